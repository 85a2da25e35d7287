//! One partition: a new volume without what is forgotten is written beside the one in use, follows it, and takes its
//! place.
//!
//! Agents and readers go on with the volume in use meanwhile. What they change is taken over in rounds, and the last of
//! these takes place while the partition is held for some milliseconds. From then on agents that remember rows of the old
//! volume are refused, and find their rows anew.

use crate::name::Name;
use crate::observation::Fact;
use crate::rdata::Rdata;
use crate::store::forget::image::{Image, Located, digest_in, keys_of};
use crate::store::forget::index::Gone;
use crate::store::forget::old::{OldName, changed, content, long_in, names_in};
use crate::store::forget::{Candidate, HELD, Keep, Pace, Tally};
use crate::store::layout::encoding::StoredRef;
use crate::store::layout::keys::{Kind, LOG_STRIDE, ROWS, Volume};
use crate::store::read::buckets::Meta;
use crate::store::read::scan::{BucketWalk, DAY, Part, Whole};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::verify::Change;
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

/// Octets of commands sent at once.
const SENT: usize = 128 << 10;
/// Rows that may be left for the last round, in which the partition is held, and the most rounds before it.
const LAST_ROUND: usize = 500;
const ROUNDS: usize = 8;

/// One kind of a partition.
pub(super) struct Side {
    pub(super) kind: Kind,
    pub(super) meta: Meta,
    whole: Whole,
    pub(super) image: Image,
    /// By row of the volume in use.
    pub(super) dropped: BTreeMap<u32, Gone>,
    /// Names of the volume in use whose records are in a hash of their own.
    wide: BTreeSet<u64>,
    /// Rows that have changed and whose names are not found yet: names move while their partition grows.
    unresolved: BTreeSet<u32>,
}

/// A partition that is being rewritten.
pub(super) struct Rewrite<'r> {
    store: &'r mut Store,
    partition: u8,
    keep: Keep<'r>,
    pub(super) sides: [Side; 2],
    /// Long RDATA of the volume in use, by digest.
    pub(super) long: HashMap<Vec<u8>, Vec<u8>>,
    long_written: HashSet<Vec<u8>>,
    /// Number of the new edition, once it is begun.
    edition: u32,
}

impl<'r> Rewrite<'r> {
    /// Reads a partition, and decides what is kept of it.
    pub(super) fn plan(
        store: &'r mut Store,
        partition: u8,
        keep: Keep<'r>,
        pace: &mut Pace<'_>,
    ) -> Result<Self, StoreError> {
        let begin = Instant::now();
        let records = load(store, Kind::Record, partition)?;
        let negatives = load(store, Kind::Negative, partition)?;
        if records.meta.edition != negatives.meta.edition {
            return Err(StoreError::damaged(&store.keys.meta(partition, Kind::Negative)));
        }
        let long = long_in(store, records.meta.volume(partition))?;
        pace.rest(begin.elapsed());
        let sides = [records, negatives];
        let long_written = HashSet::new();
        let mut rewrite = Self { store, partition, keep, sides, long, long_written, edition: 0 };
        for at in 0..2 {
            rewrite.take_all(at, pace)?;
        }
        Ok(rewrite)
    }

    /// Returns true if anything is left out.
    pub(super) fn is_needed(&self) -> bool {
        self.sides.iter().any(|side| !side.dropped.is_empty())
    }

    fn old(&self) -> Volume {
        let [records, _] = &self.sides;
        records.meta.volume(self.partition)
    }

    /// Returns the volume that is being written.
    pub(super) fn new_volume(&self) -> Volume {
        Volume { partition: self.partition, edition: self.edition }
    }

    /// Adds what is kept and left out to a tally.
    pub(super) fn count(&self, tally: &mut Tally) {
        for side in &self.sides {
            let kept = side.image.meta();
            let records = side.dropped.len() as u64;
            let octets: u64 = side.dropped.values().map(|one| one.key.len() as u64 + 44).sum();
            match side.kind {
                Kind::Record => tally.records += records,
                Kind::Negative => tally.negatives += records,
            }
            tally.names += side.meta.names.saturating_sub(kept.names);
            tally.octets += octets;
            tally.kept += u64::from(kept.rows);
            tally.octets_kept += side.image.octets();
        }
    }

    /// Decides about all names of one kind, and numbers what is kept in the order in which it was.
    fn take_all(&mut self, at: usize, pace: &mut Pace<'_>) -> Result<(), StoreError> {
        let Some(side) = self.sides.get(at) else { return Ok(()) };
        let (kind, volume) = (side.kind, side.meta.volume(self.partition));
        let mut walk = BucketWalk::new(side.meta.buckets);
        let mut names: HashMap<u64, OldName> = HashMap::new();
        loop {
            let begin = Instant::now();
            let Some(buckets) = walk.next(&mut self.store.reader(), kind, Part(self.partition))?
            else {
                break;
            };
            names_in(self.store, kind, volume, &buckets, &mut |name| {
                names.insert(name.hash, name);
                Ok(())
            })?;
            pace.rest(begin.elapsed());
        }
        let mut names: Vec<OldName> = names.into_values().collect();
        names.sort_unstable_by_key(|name| name.position);
        let (long, keep, keys) = (&self.long, self.keep, &self.store.keys);
        let Some(side) = self.sides.get_mut(at) else { return Ok(()) };
        let (mut kept, mut rows) = (Vec::new(), Vec::new());
        for mut name in names {
            if name.is_wide {
                side.wide.insert(name.hash);
            }
            // Rows that came later belong to the rounds that follow.
            name.records.retain(|record| record.row < side.whole.used);
            if name.records.is_empty() {
                continue;
            }
            let rrname = side.whole.name(name.position).ok_or_else(|| {
                StoreError::damaged(&keys.log(volume, kind, name.position / LOG_STRIDE))
            })?;
            let (hash, whole, dropped) = (name.hash, &side.whole, &mut side.dropped);
            let mut failed = None;
            name.records.retain(|record| match is_kept(kind, rrname, record, whole, long, keep) {
                Some(true) => true,
                Some(false) => {
                    let key = record.key.clone();
                    dropped.insert(record.row, Gone { hash, key });
                    false
                }
                None => {
                    failed = failed.or(Some(record.row));
                    true
                }
            });
            if let Some(row) = failed {
                return Err(StoreError::damaged(&keys.rows(volume, kind, row / ROWS)));
            }
            rows.extend(name.records.iter().map(|record| record.row));
            if !name.records.is_empty() {
                kept.push(name);
            }
        }
        rows.sort_unstable();
        for row in rows {
            if let Some(content) = content(&side.whole, row) {
                side.image.add_row(row, content);
            }
        }
        for name in &kept {
            side.put(name);
        }
        Ok(())
    }

    /// Writes the new volume, and lets it take the place of the one in use. Returns the keys of that.
    pub(super) fn run(&mut self, pace: &mut Pace<'_>) -> Result<Vec<String>, StoreError> {
        let meta = self.store.keys.meta(self.partition, Kind::Record);
        // No two processes ever write the same edition, whatever became of their leases.
        let edition = self.store.client.ask(&[b"HINCRBY", meta.as_bytes(), b"w", b"1"])?;
        let edition = u32::try_from(reply::integer(&edition)?).ok();
        self.edition = edition
            .filter(|edition| *edition > self.old().edition)
            .ok_or_else(|| StoreError::damaged(&meta))?;
        for side in &mut self.sides {
            side.image.volume.edition = self.edition;
        }
        let edition = self.edition.to_string();
        self.store.client.ask(&[b"HSET", meta.as_bytes(), b"y", edition.as_bytes()])?;
        self.write(pace)?;
        for _ in 0..ROUNDS {
            let changed = self.catch_up(false, pace)?;
            self.write(pace)?;
            pace.is_busy = changed > 0;
            if changed <= LAST_ROUND {
                break;
            }
        }
        let token = self.store.hold(self.partition, HELD)?;
        let taken = self.take_place(&token, pace);
        if taken.is_err() {
            // Whatever the reason, agents need not wait for the end of the hold.
            drop(self.store.mend(self.partition, &token, "0", &[]));
        }
        taken?;
        Ok(self.old_keys())
    }

    /// The last round, and the change of the metadata, while the partition is held.
    fn take_place(&mut self, token: &str, pace: &mut Pace<'_>) -> Result<(), StoreError> {
        // A repair, or another process while this one was stopped, may have deleted the new volume.
        let (old, ours) = (self.old().edition, self.edition.to_string());
        let noted = self.store.editions(self.partition)?;
        if noted.is_none_or(|(now, other)| (now, other) != (old, ours)) {
            let text = "another process has taken back what was to be forgotten: run it again";
            return Err(StoreError::Unavailable(text.to_owned()));
        }
        pace.is_held = true;
        let caught_up = self.catch_up(true, pace).and_then(|_| self.write(pace));
        pace.is_held = false;
        caught_up?;
        let Self { store, sides, .. } = self;
        let keys = store.keys.clone();
        let mut writes = Writes::new(store, pace);
        for side in &*sides {
            side.image.write_last(&side.meta, &keys, &mut |words| writes.run(words))?;
        }
        writes.flush()?;
        let [records, negatives] = &*sides;
        let old =
            format!("{} {} {}", records.meta.edition, text(&records.meta), text(&negatives.meta));
        let changes = [records, negatives].map(|side| {
            let fields = side.image.meta();
            let mut words: Vec<Vec<u8>> = fields
                .fields()
                .flat_map(|(field, number)| [field.to_vec(), number.to_string().into_bytes()])
                .collect();
            if side.kind == Kind::Record {
                words.extend([b"y".to_vec(), old.clone().into_bytes()]);
            }
            Change { command: "HSET", suffix: format!("{}m", side.kind.letter()), words }
        });
        store.mend(self.partition, token, "0", &changes)?;
        store.shapes.clear();
        Ok(())
    }

    /// Takes over what has changed in the volume in use; returns how many rows have. The last round has to see all.
    fn catch_up(&mut self, is_last: bool, pace: &mut Pace<'_>) -> Result<usize, StoreError> {
        let mut count = 0;
        for at in 0..2 {
            let begin = Instant::now();
            let Some(side) = self.sides.get(at) else { continue };
            let (kind, volume) = (side.kind, side.meta.volume(self.partition));
            let now = load(self.store, kind, self.partition)?;
            let Some(side) = self.sides.get_mut(at) else { continue };
            if now.meta.edition != side.meta.edition {
                return Err(StoreError::damaged(&self.store.keys.meta(self.partition, kind)));
            }
            let rows = changed(&side.whole, &now.whole);
            count += rows.len();
            let before = std::mem::replace(&mut side.whole, now.whole);
            side.meta = now.meta;
            let mut wanted = std::mem::take(&mut side.unresolved);
            if is_last {
                // None may be missing, whatever happened while they were read.
                let is_known =
                    |row: &u32| side.image.row_of(*row).is_some() || side.dropped.contains_key(row);
                let is_used =
                    |row: &u32| side.whole.raw_row(*row).is_some_and(|read| read.seen.count > 0);
                wanted.extend((0..side.whole.used).filter(|row| !is_known(row) && is_used(row)));
            }
            for row in rows {
                let Some(content) = content(&side.whole, row) else { continue };
                let Some(new) = side.image.row_of(row) else {
                    wanted.insert(row);
                    continue;
                };
                side.image.put_row(new, content);
                let first = |whole: &Whole| whole.raw_row(row).map(|read| read.seen.time_first);
                if first(&before) != first(&side.whole) {
                    wanted.insert(row);
                }
            }
            let whole = &side.whole;
            let buckets: BTreeSet<u32> = wanted
                .iter()
                .filter_map(|row| Some(side.meta.buckets.of(whole.raw_row(*row)?.bits)))
                .collect();
            let buckets: Vec<u32> = buckets.into_iter().collect();
            let mut found = Vec::new();
            names_in(self.store, kind, volume, &buckets, &mut |name| {
                if name.records.iter().any(|record| wanted.contains(&record.row)) {
                    found.push(name);
                }
                Ok(())
            })?;
            for name in found {
                for record in &name.records {
                    wanted.remove(&record.row);
                }
                self.take(at, name)?;
            }
            if is_last && let Some(row) = wanted.first() {
                return Err(StoreError::damaged(&self.store.keys.rows(volume, kind, row / ROWS)));
            }
            if let Some(side) = self.sides.get_mut(at) {
                side.unresolved = wanted;
            }
            pace.rest(begin.elapsed());
        }
        Ok(count)
    }

    /// Takes over a name that has changed.
    fn take(&mut self, at: usize, mut name: OldName) -> Result<(), StoreError> {
        let old = self.old();
        let Some(side) = self.sides.get(at) else { return Ok(()) };
        let kind = side.kind;
        name.records.retain(|record| record.row < side.whole.used);
        let digests = name.records.iter().filter_map(|record| digest_in(&record.key));
        if digests.into_iter().any(|digest| !self.long.contains_key(digest)) {
            self.long = long_in(self.store, old)?;
        }
        let keys = &self.store.keys;
        let Some(side) = self.sides.get_mut(at) else { return Ok(()) };
        if name.is_wide {
            side.wide.insert(name.hash);
        }
        let mut kept = Vec::new();
        for record in std::mem::take(&mut name.records) {
            if side.image.row_of(record.row).is_some() {
                kept.push(record);
                continue;
            }
            let rrname = side.whole.name(name.position).ok_or_else(|| {
                StoreError::damaged(&keys.log(old, kind, name.position / LOG_STRIDE))
            })?;
            let damaged = || StoreError::damaged(&keys.rows(old, kind, record.row / ROWS));
            let decided = is_kept(kind, rrname, &record, &side.whole, &self.long, self.keep);
            if decided.ok_or_else(damaged)? {
                let content = content(&side.whole, record.row).ok_or_else(damaged)?;
                side.image.add_row(record.row, content);
                side.dropped.remove(&record.row);
                kept.push(record);
            } else {
                let key = record.key;
                side.dropped.insert(record.row, Gone { hash: name.hash, key });
            }
        }
        name.records = kept;
        if !name.records.is_empty() {
            side.put(&name);
        }
        Ok(())
    }

    /// Writes what is not written yet of the new volume.
    fn write(&mut self, pace: &mut Pace<'_>) -> Result<(), StoreError> {
        let Self { store, sides, long, long_written, partition, .. } = self;
        let keys = store.keys.clone();
        let mut writes = Writes::new(store, pace);
        for side in &mut *sides {
            let long_key = keys.long(side.image.volume);
            // Long RDATA comes before the names that lead to it.
            for digest in side.image.digests() {
                let Some(octets) = long.get(&digest) else {
                    let old = side.meta.volume(*partition);
                    return Err(StoreError::damaged(&keys.long(old)));
                };
                if !long_written.contains(&digest) {
                    writes.run(&[b"HSET", long_key.as_bytes(), &digest, octets])?;
                    long_written.insert(digest);
                }
            }
            side.image.write(&keys, &mut |words| writes.run(words))?;
        }
        writes.flush()
    }

    fn old_keys(&self) -> Vec<String> {
        let volume = self.old();
        let keys = |side: &Side| {
            let wide: Vec<u64> = side.wide.iter().copied().collect();
            keys_of(&self.store.keys, side.kind, volume, &side.meta, &wide)
        };
        self.sides.iter().flat_map(keys).collect()
    }
}

impl Side {
    /// Puts a name with its records, all of which have a new row, into the new volume.
    fn put(&mut self, name: &OldName) {
        let Some(rrname) = self.whole.name(name.position) else { return };
        let (mut records, mut first) = (Vec::new(), u32::MAX);
        for record in &name.records {
            let Some(row) = self.image.row_of(record.row) else { continue };
            records.extend(&record.key);
            records.extend(row.to_be_bytes());
            first =
                first.min(self.whole.raw_row(record.row).map_or(first, |row| row.seen.time_first));
        }
        let day = u16::try_from(first / DAY).unwrap_or(u16::MAX);
        self.image.put_name((name.hash, rrname, name.position), records, day);
    }
}

/// Reads one kind of a partition.
fn load(store: &mut Store, kind: Kind, partition: u8) -> Result<Side, StoreError> {
    let meta = store.reader().meta(kind, Part(partition))?;
    let mut whole = store.reader().load_partition(kind, partition, &meta)?;
    store.reader().complete_rows((kind, meta.volume(partition)), &mut whole, true)?;
    let image = Image::new(kind, Volume { partition, edition: meta.edition + 1 });
    let (dropped, wide, unresolved) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    Ok(Side { kind, meta, whole, image, dropped, wide, unresolved })
}

/// Decides about a record; `None` if it cannot be read.
fn is_kept(
    kind: Kind,
    rrname: Name<'_>,
    record: &Located,
    whole: &Whole,
    long: &HashMap<Vec<u8>, Vec<u8>>,
    keep: Keep<'_>,
) -> Option<bool> {
    let seen = whole.row(record.row)?;
    let (stored, _) = StoredRef::read(&record.key)?;
    let fact = match stored {
        StoredRef::Fact(fact) => fact,
        StoredRef::Long { rrtype, partial, digest } => {
            let octets = long.get(&digest[..])?;
            Fact::Record(Rdata { rrtype, octets, partial })
        }
    };
    let sensors = whole.sensors(record.row);
    Some(keep(&Candidate { kind, rrname, fact, seen: &seen, sensors: &sensors }))
}

/// Metadata of a volume that is not in use any more.
fn text(meta: &Meta) -> String {
    let numbers = meta.fields().filter(|(field, _)| *field != b"x");
    numbers.map(|(_, number)| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Sends commands, many at once.
struct Writes<'w, 'p, 'q> {
    store: &'w mut Store,
    pace: &'p mut Pace<'q>,
    packed: Pipeline,
}

impl<'w, 'p, 'q> Writes<'w, 'p, 'q> {
    fn new(store: &'w mut Store, pace: &'p mut Pace<'q>) -> Self {
        Self { store, pace, packed: Pipeline::default() }
    }

    fn run(&mut self, words: &[&[u8]]) -> Result<(), StoreError> {
        self.packed.command(words);
        if self.packed.size() >= SENT { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let begin = Instant::now();
        let packed = std::mem::take(&mut self.packed);
        for answer in self.store.client.call(&packed)? {
            reply::integer(&answer)?;
        }
        self.pace.rest(begin.elapsed());
        Ok(())
    }
}
