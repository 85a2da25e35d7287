//! One import of a source: lease, collection, and replacement of its listings hash by hash.

use super::merge::{Incoming, ListingChange, ListingTally, Rules, merge};
use super::source::{HALF_LIFE, ImportEntry, IntelSource, decode, encode};
use super::spool::Spool;
use super::words::Words;
use super::{Indicators, MAX_CHANGES, MAX_IMPORTS};
use crate::indicator::ListedIndicator;
use crate::store::layout::listing::{
    BucketAddress, Listing, Text, key, place, read_subject, write_subject,
};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::schema::random_key;
use crate::store::{Store, StoreError};
use crate::tag::{TagKind, TagSubject};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Time for which a lease is taken; a process that was killed blocks its source no longer.
const LEASE: u32 = 60;
/// Time after which a lease is extended.
const RENEW: Duration = Duration::from_secs(15);
/// Octets of buckets that one run of the script writes, which keeps Redis busy for some milliseconds.
const WRITE: usize = 2 << 20;
/// Attempts to write a hash that others keep changing.
const ATTEMPTS: usize = 100;

const SOURCE: &str =
    concat!("#!lua\n", include_str!("../refusals.lua"), include_str!("source.lua"));
const CHANGE: &str =
    concat!("#!lua\n", include_str!("../refusals.lua"), include_str!("change.lua"));
const FORGET: &str =
    concat!("#!lua\n", include_str!("../refusals.lua"), include_str!("forget.lua"));
const RECORD: &str =
    concat!("#!lua\n", include_str!("../refusals.lua"), include_str!("record.lua"));
/// The same for withdrawals, which free memory: they are allowed on a full store.
const SOURCE_SHRUNK: &str =
    concat!("#!lua flags=allow-oom\n", include_str!("../refusals.lua"), include_str!("source.lua"));
const SHRINK: &str =
    concat!("#!lua flags=allow-oom\n", include_str!("../refusals.lua"), include_str!("change.lua"));
const RECORD_SHRUNK: &str =
    concat!("#!lua flags=allow-oom\n", include_str!("../refusals.lua"), include_str!("record.lua"));

/// Description of an import. Times are in seconds since the epoch, durations in seconds.
#[derive(Clone, Debug)]
pub struct ImportSpec {
    /// Name of the source.
    pub source: String,
    /// The time now.
    pub now: u32,
    /// User who imports.
    pub author: String,
    /// Kind where the file has none.
    pub kind: TagKind,
    /// Confidence where the file has none.
    pub confidence: u8,
    /// Time for which an indicator counts after it was last listed; `None` keeps that of the source.
    pub lifetime: Option<u32>,
    /// Time in which the confidence halves; `None` keeps that of the source.
    pub half_life: Option<u32>,
    /// True if the import has all that the source lists: what it lacks is no longer listed.
    pub replaces: bool,
    /// True to remove all that the source lists.
    pub withdraws: bool,
    /// True to read and write only the buckets of what is collected: for a few indicators of a source whose imports never
    /// replace all.
    pub is_partial: bool,
    /// Digest of the content, in hex.
    pub digest: String,
    /// Number of lines that were rejected.
    pub rejected: u64,
    /// Memory of the fetcher; `None` keeps what it had.
    pub fetched: Option<serde_json::Value>,
}

impl ImportSpec {
    /// An import of threats that replaces all that a source lists.
    #[must_use]
    pub fn new(source: &str, now: u32) -> Self {
        Self {
            source: source.to_owned(),
            now,
            author: String::new(),
            kind: TagKind::Threat,
            confidence: 50,
            lifetime: None,
            half_life: None,
            replaces: true,
            withdraws: false,
            is_partial: false,
            digest: String::new(),
            rejected: 0,
            fetched: None,
        }
    }
}

/// Result of an import.
#[derive(Clone, Debug)]
pub struct ImportOutcome {
    /// Counts of the changes.
    pub tally: ListingTally,
    /// The source as it is now.
    pub source: IntelSource,
}

/// An import in progress.
pub struct IndicatorImport<'s> {
    store: &'s mut Store,
    /// Description of the import. May be changed until the commit.
    pub spec: ImportSpec,
    source: IntelSource,
    token: String,
    started: Instant,
    renewed: Instant,
    words: Words,
    spool: Spool,
    /// True if the source did not exist before, and nothing of it was written.
    is_new: bool,
    is_done: bool,
}

impl<'s> Indicators<'s> {
    /// Begins an import. Until it ends, no other process imports from this source.
    ///
    /// # Errors
    /// [`StoreError::Leased`] while another process imports from the source; other errors as they occur.
    pub fn import(self, spec: ImportSpec) -> Result<IndicatorImport<'s>, StoreError> {
        let store = self.store;
        if !spec.withdraws {
            store.safe_capacity()?;
        }
        let token = crate::hex::encode(&random_key());
        let record = IntelSource {
            name: spec.source.clone(),
            created: spec.now,
            half_life: HALF_LIFE,
            ..IntelSource::default()
        };
        let ends = (spec.now.saturating_add(LEASE)).to_string();
        let (root, now) = (store.keys.tags_root(), spec.now.to_string());
        let mut packed = Pipeline::default();
        let script = if spec.withdraws { SOURCE_SHRUNK } else { SOURCE };
        packed.begin_call("EVAL", script, [&root, &store.keys.intel("i")], 5);
        packed.arg(&spec.source).arg(encode(&record)).arg(&token).arg(now).arg(ends);
        let answer = answer(store, &packed)?;
        if let Some(ends) = answer.strip_prefix("L") {
            let ends: u32 = ends.parse().unwrap_or(spec.now);
            let seconds = ends.saturating_sub(spec.now);
            return Err(StoreError::Leased { source_name: spec.source, seconds });
        }
        let (number, is_new) = match answer.strip_prefix('N') {
            Some(number) => (number, true),
            None => (answer.as_str(), false),
        };
        let key = store.keys.intel("is");
        let words: [&[u8]; 3] = [b"HGET", key.as_bytes(), number.as_bytes()];
        let record = reply::maybe_octets(store.client.ask(&words)?)?;
        let source = record.and_then(|record| decode(number.as_bytes(), &record));
        let source = source.ok_or_else(|| StoreError::damaged(&key))?;
        let (started, renewed) = (Instant::now(), Instant::now());
        let words = Words::load(store)?;
        let spool = Spool::default();
        Ok(IndicatorImport {
            store,
            spec,
            source,
            token,
            started,
            renewed,
            words,
            spool,
            is_new,
            is_done: false,
        })
    }
}

impl IndicatorImport<'_> {
    /// Returns the source as it was before the import.
    #[must_use]
    pub fn source(&self) -> &IntelSource {
        &self.source
    }

    /// Collects an indicator. If a subject occurs more than once, the first counts, but one without further conditions
    /// before one that has some; and the end of another indicator on the same subject does not count.
    ///
    /// # Errors
    /// [`StoreError::Spool`] if the disk is full; other errors as they occur.
    pub fn add(&mut self, listed: &ListedIndicator) -> Result<(), StoreError> {
        let (head, tail) = split_reference(&listed.reference);
        let listing = Listing {
            source: self.source.number,
            kind: listed.kind.unwrap_or(self.spec.kind),
            confidence: listed.confidence.unwrap_or(self.spec.confidence),
            first_listed: listed.first_listed.unwrap_or(self.spec.now).min(self.spec.now),
            gone: None,
            valid_until: listed.valid_until,
            labels: self.words.text(self.store, &listed.labels.join("\u{1f}"))?,
            reference_head: self.words.text(self.store, head)?,
            reference_tail: tail.to_owned(),
            note: self.words.note(self.store, &listed.note)?,
            tlp: listed.tlp,
            is_conditional: listed.is_conditional,
        };
        // A word that could not be interned belongs to the rest.
        let listing = match listing.reference_head {
            Text::Inline(_) => Listing {
                reference_head: Text::None,
                reference_tail: listed.reference.clone(),
                ..listing
            },
            _ => listing,
        };
        let mut octets = Vec::new();
        listing.write(&mut octets);
        self.collect(&listed.subject, &octets)
    }

    /// Collects the end of an indicator that the source has revoked.
    ///
    /// # Errors
    /// As [`IndicatorImport::add`].
    pub fn revoke(&mut self, subject: &TagSubject) -> Result<(), StoreError> {
        self.collect(subject, &[])
    }

    fn collect(&mut self, subject: &TagSubject, listing: &[u8]) -> Result<(), StoreError> {
        let place = place(self.store.router.hasher(), subject);
        let mut octets = place.field().to_vec();
        write_subject(&key(subject), listing, &mut octets);
        self.spool.push(place.shard, &octets)?;
        if self.renewed.elapsed() > RENEW { self.renew() } else { Ok(()) }
    }

    /// Returns the number of collected subjects that the source lists already. Reads all its indicators.
    ///
    /// # Errors
    /// If Redis does not answer, or a bucket cannot be decoded.
    pub fn count_listed(&mut self) -> Result<u64, StoreError> {
        let mut count = 0;
        for shard in Store::shards() {
            let (incoming, _) = self.incoming(shard)?;
            let (_, buckets) = read_shard(self.store, shard)?;
            for (bucket, subjects) in &incoming {
                let stored = buckets.get(bucket).map(Vec::as_slice).unwrap_or_default();
                let listed = listed_by(self.source.number, stored).ok_or_else(|| {
                    StoreError::damaged(&self.store.keys.intel(&format!("ib{shard:02x}")))
                })?;
                let is_given = |key: &&[u8]| subjects.get(*key).is_some_and(Option::is_some);
                count += listed.iter().filter(|key| is_given(key)).count() as u64;
            }
            if self.renewed.elapsed() > RENEW {
                self.renew()?;
            }
        }
        Ok(count)
    }

    /// Writes all changes, and ends the import. `each` is called with every change.
    ///
    /// # Errors
    /// As they occur; a part may have been written, which the next import completes.
    pub fn commit(
        mut self,
        each: &mut dyn FnMut(&ListingChange),
    ) -> Result<ImportOutcome, StoreError> {
        self.is_new = false;
        self.words.flush(self.store)?;
        let rules = Rules {
            source: self.source.number,
            now: self.spec.now,
            refreshed: self.source.refreshed,
            lifetime: self.spec.lifetime.unwrap_or(self.source.lifetime),
            replaces: self.spec.replaces || self.spec.withdraws,
            withdraws: self.spec.withdraws,
        };
        let mut tally = ListingTally::default();
        let mut latest = VecDeque::new();
        for shard in Store::shards() {
            let (incoming, repeated) = self.incoming(shard)?;
            if self.spec.is_partial && incoming.is_empty() {
                continue;
            }
            tally.repeated += repeated;
            let mut note = |change: ListingChange| {
                each(&change);
                if latest.len() >= MAX_CHANGES as usize {
                    latest.pop_front();
                }
                latest.push_back(change.encode());
            };
            tally.add(&self.replace(shard, &incoming, &rules, &mut note)?);
            if self.renewed.elapsed() > RENEW {
                self.renew()?;
            }
        }
        let source = self.record(&tally, &latest)?;
        self.is_done = true;
        Ok(ImportOutcome { tally, source })
    }

    /// Returns what was collected for a hash by bucket, and the number of repeated subjects.
    fn incoming(&self, shard: u8) -> Result<(BTreeMap<u16, Incoming>, u64), StoreError> {
        let octets = self.spool.read(shard)?;
        let (mut incoming, mut repeated) = (BTreeMap::<u16, Incoming>::new(), 0);
        let mut rest = octets.as_slice();
        while let Some((field, after)) = rest.split_first_chunk::<2>() {
            rest = after;
            let subject = BucketAddress::of_field(field).zip(read_subject(&mut rest));
            let Some((bucket, (key, mut listing))) = subject else { return Err(StoreError::Reply) };
            let listing = if listing.is_empty() { None } else { Listing::read(&mut listing) };
            let of_bucket = incoming.entry(bucket).or_default();
            match of_bucket.get_mut(key) {
                // One entry for the subject was taken back, and another stands.
                Some(known @ None) => *known = listing,
                Some(Some(known)) => {
                    repeated += u64::from(listing.is_some());
                    if let Some(certain) = listing.filter(|one| !one.is_conditional)
                        && known.is_conditional
                    {
                        *known = certain;
                    }
                }
                None => drop(of_bucket.insert(key.to_vec(), listing)),
            }
        }
        Ok((incoming, repeated))
    }

    /// Replaces the listings of the source in one hash.
    fn replace(
        &mut self,
        shard: u8,
        incoming: &BTreeMap<u16, Incoming>,
        rules: &Rules,
        note: &mut dyn FnMut(ListingChange),
    ) -> Result<ListingTally, StoreError> {
        let nothing = Incoming::new();
        let mut tally = ListingTally::default();
        // Buckets that were written before another process changed the hash.
        let mut done = HashSet::new();
        for _ in 0..ATTEMPTS {
            let (version, buckets) = if self.spec.is_partial {
                read_buckets(self.store, shard, incoming.keys().copied())?
            } else {
                read_shard(self.store, shard)?
            };
            let all: std::collections::BTreeSet<u16> =
                buckets.keys().chain(incoming.keys()).copied().collect();
            let mut writer = ShardWriter { version, pending: Vec::new(), size: 0 };
            let mut is_current = true;
            let mut unwritten = Vec::new();
            for bucket in all {
                let old = buckets.get(&bucket).map(Vec::as_slice).unwrap_or_default();
                let merged = merge(old, incoming.get(&bucket).unwrap_or(&nothing), rules);
                let key = || StoreError::damaged(&self.store.keys.intel(&format!("ib{shard:02x}")));
                let mut merged = merged.ok_or_else(key)?;
                let octets = merged.octets.take();
                let is_new = done.insert(bucket);
                if is_new {
                    unwritten.push((bucket, merged));
                }
                if let Some(octets) = octets {
                    writer.size += octets.len();
                    writer.pending.push((bucket, octets));
                }
                if writer.size >= WRITE {
                    is_current = self.write(shard, &mut writer)?;
                    if !is_current {
                        break;
                    }
                    settle(&mut unwritten, &mut tally, note);
                }
            }
            if is_current && self.write(shard, &mut writer)? {
                settle(&mut unwritten, &mut tally, note);
                return Ok(tally);
            }
            for (bucket, _) in unwritten {
                done.remove(&bucket);
            }
        }
        Err(StoreError::Conflict)
    }

    /// Writes buckets; returns false if the hash was changed since it was read.
    fn write(&mut self, shard: u8, writer: &mut ShardWriter) -> Result<bool, StoreError> {
        if writer.pending.is_empty() {
            return Ok(true);
        }
        let pending = std::mem::take(&mut writer.pending);
        writer.size = 0;
        let is_current = self.change(&format!("{shard:02x}"), writer.version, &pending)?;
        writer.version += 1;
        Ok(is_current)
    }

    fn renew(&mut self) -> Result<(), StoreError> {
        self.change("", 0, &[]).map(drop)
    }

    fn change(
        &mut self,
        shard: &str,
        version: u64,
        buckets: &[(u16, Vec<u8>)],
    ) -> Result<bool, StoreError> {
        let elapsed = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        let ends = self.spec.now.saturating_add(elapsed).saturating_add(LEASE).to_string();
        let script = if self.spec.withdraws { SHRINK } else { CHANGE };
        let mut packed = Pipeline::default();
        let (root, meta) = (self.store.keys.tags_root(), self.store.keys.intel("i"));
        packed.begin_call("EVAL", script, [&root, &meta], 5 + 2 * buckets.len());
        packed.arg(shard).arg(version.to_string());
        packed.arg(self.source.number.to_string()).arg(&self.token).arg(ends);
        for (bucket, octets) in buckets {
            packed.arg(bucket.to_be_bytes()).arg(octets);
        }
        let answer = answer(self.store, &packed)?;
        self.renewed = Instant::now();
        match answer.as_str() {
            "O" => Ok(true),
            "C" => Ok(false),
            _ => Err(self.lost()),
        }
    }

    /// Error for a lease that another process has taken, because this one was held up for too long.
    fn lost(&self) -> StoreError {
        StoreError::Leased { source_name: self.spec.source.clone(), seconds: LEASE }
    }

    /// Writes the record and the history of the source, and gives the lease back.
    fn record(
        &mut self,
        tally: &ListingTally,
        changes: &VecDeque<Vec<u8>>,
    ) -> Result<IntelSource, StoreError> {
        let spec = &self.spec;
        let source = IntelSource {
            refreshed: spec.now,
            listed: if spec.is_partial {
                (self.source.listed + tally.added).saturating_sub(tally.expired)
            } else {
                tally.listed
            },
            ending: if spec.is_partial { self.source.ending } else { tally.waiting },
            lifetime: spec.lifetime.unwrap_or(self.source.lifetime),
            half_life: spec.half_life.unwrap_or(self.source.half_life).max(1),
            is_withdrawn: spec.withdraws,
            digest: spec.digest.clone(),
            attempted: spec.now,
            failures: 0,
            error: String::new(),
            fetched: match &spec.fetched {
                Some(fetched) => fetched.clone(),
                // A withdrawn source is fetched again from its start.
                None if spec.withdraws => serde_json::Value::Null,
                None => self.source.fetched.clone(),
            },
            ..self.source.clone()
        };
        let entry = ImportEntry {
            time: spec.now,
            author: spec.author.clone(),
            digest: spec.digest.clone(),
            added: tally.added,
            changed: tally.changed,
            same: tally.same,
            ending: tally.ending,
            expired: tally.expired,
            rejected: spec.rejected,
            is_withdrawal: spec.withdraws,
        };
        self.write_record(&source, Some(&entry), changes)?;
        Ok(source)
    }

    fn write_record(
        &mut self,
        source: &IntelSource,
        entry: Option<&ImportEntry>,
        changes: &VecDeque<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let script = if self.spec.withdraws { RECORD_SHRUNK } else { RECORD };
        let entry = entry.and_then(|entry| serde_json::to_string(entry).ok()).unwrap_or_default();
        let mut packed = Pipeline::default();
        let (root, meta) = (self.store.keys.tags_root(), self.store.keys.intel("i"));
        packed.begin_call("EVAL", script, [&root, &meta], 6 + changes.len());
        packed.arg(source.number.to_string()).arg(&self.token);
        packed.arg(encode(source)).arg(entry);
        packed.arg(MAX_IMPORTS.to_string()).arg(MAX_CHANGES.to_string());
        for change in changes {
            packed.arg(change);
        }
        match answer(self.store, &packed)?.as_str() {
            "O" => Ok(()),
            _ => Err(self.lost()),
        }
    }

    /// Ends the import without a change of the listings, and records a failed or needless attempt to fetch them.
    ///
    /// # Errors
    /// As they occur.
    pub fn give_up(mut self, error: &str) -> Result<(), StoreError> {
        let is_failure = !error.is_empty();
        let source = IntelSource {
            attempted: self.spec.now,
            failures: if is_failure { self.source.failures.saturating_add(1) } else { 0 },
            error: error.to_owned(),
            // What the source lists was confirmed as it is.
            refreshed: if is_failure { self.source.refreshed } else { self.spec.now },
            fetched: match &self.spec.fetched {
                Some(fetched) => fetched.clone(),
                None => self.source.fetched.clone(),
            },
            ..self.source.clone()
        };
        self.write_record(&source, None, &VecDeque::new())?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for IndicatorImport<'_> {
    /// Gives the lease back after an error, so that the next attempt need not wait for its end. A source that began with
    /// this attempt is no source yet.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let (key, number) = (self.store.keys.intel("il"), self.source.number.to_string());
        if self.is_new {
            let root = self.store.keys.tags_root();
            let mut packed = Pipeline::default();
            packed.begin_call("EVAL", FORGET, [&root, &self.store.keys.intel("i")], 3).arg(&number);
            packed.arg(&self.token).arg(&self.spec.source);
            drop(answer(self.store, &packed));
            return;
        }
        let held = self.store.client.ask(&[b"HGET", key.as_bytes(), number.as_bytes()]);
        let held = held.and_then(reply::octets).unwrap_or_default();
        if held.starts_with(self.token.as_bytes()) {
            drop(self.store.client.ask(&[b"HDEL", key.as_bytes(), number.as_bytes()]));
        }
    }
}

/// Buckets of a hash that are to be written.
struct ShardWriter {
    version: u64,
    pending: Vec<(u16, Vec<u8>)>,
    size: usize,
}

/// Counts buckets that were written or are as they were.
fn settle(
    unwritten: &mut Vec<(u16, super::merge::Merged)>,
    tally: &mut ListingTally,
    note: &mut dyn FnMut(ListingChange),
) {
    for (_, merged) in unwritten.drain(..) {
        tally.add(&merged.tally);
        merged.changes.into_iter().for_each(&mut *note);
    }
}

/// Reads a hash: its version, and its buckets.
pub(super) fn read_shard(
    store: &mut Store,
    shard: u8,
) -> Result<(u64, BTreeMap<u16, Vec<u8>>), StoreError> {
    let key = store.keys.intel(&format!("ib{shard:02x}"));
    let (mut version, mut buckets) = (0, BTreeMap::new());
    let mut packed = Pipeline::default();
    packed.command(&[b"HGETALL", key.as_bytes()]);
    store.client.send(&packed)?;
    store.client.pairs(1, &|_| key.clone(), &mut |_, field, value| {
        let damaged = || StoreError::damaged(&key);
        if field == b"v" {
            let text = std::str::from_utf8(value).ok();
            version = text.and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        } else {
            let bucket = BucketAddress::of_field(field).ok_or_else(damaged)?;
            buckets.insert(bucket, value.to_vec());
        }
        Ok(())
    })?;
    Ok((version, buckets))
}

/// Reads some buckets of a hash, and its version. Empty buckets are left out.
fn read_buckets(
    store: &mut Store,
    shard: u8,
    buckets: impl Iterator<Item = u16> + Clone,
) -> Result<(u64, BTreeMap<u16, Vec<u8>>), StoreError> {
    let key = store.keys.intel(&format!("ib{shard:02x}"));
    let mut packed = Pipeline::default();
    packed.begin(3 + buckets.clone().count()).arg("HMGET").arg(&key).arg("v");
    for bucket in buckets.clone() {
        packed.arg(bucket.to_be_bytes());
    }
    let answer = store.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
    let mut values = reply::list(answer)?.into_iter().map(reply::maybe_octets);
    let version = match values.next().ok_or(StoreError::Reply)?? {
        None => 0,
        Some(text) => std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| StoreError::damaged(&key))?,
    };
    let mut read = BTreeMap::new();
    for (bucket, value) in buckets.zip(values) {
        if let Some(value) = value? {
            read.insert(bucket, value);
        }
    }
    Ok((version, read))
}

/// Runs a script, and returns its answer.
fn answer(store: &mut Store, packed: &Pipeline) -> Result<String, StoreError> {
    store.client.send(packed)?;
    let answer = reply::octets(store.client.answer()?)?;
    let answer = String::from_utf8(answer).map_err(|_| StoreError::Reply)?;
    match answer.strip_prefix('H') {
        Some(key) => Err(StoreError::damaged(key)),
        None => Ok(answer),
    }
}

/// Splits a reference into a part that references of a source share, and the rest: behind its last slash, equals
/// sign or hash mark.
fn split_reference(reference: &str) -> (&str, &str) {
    let cut = reference.rfind(['/', '=', '#']).map_or(0, |at| at + 1);
    reference.split_at(cut)
}

/// Keys of the subjects that a source lists in a bucket; `None` if the bucket is damaged.
fn listed_by(source: u32, bucket: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut keys, mut rest) = (Vec::new(), bucket);
    while !rest.is_empty() {
        let (key, listings) = read_subject(&mut rest)?;
        let is_listed = |one: &Listing| one.source == source && one.gone.is_none();
        if Listing::read_all(listings)?.iter().any(is_listed) {
            keys.push(key);
        }
    }
    Some(keys)
}
