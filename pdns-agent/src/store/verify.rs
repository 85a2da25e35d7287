//! Checks the store for consistency: `pdns admin verify`.
//!
//! Invariants: each name lies in the bucket of its hash and stands once in the log; each record has one row and each
//! row one record; rows are possible aggregates; the counts in the partition's metadata and by day are correct; the
//! target of a record leads back to its name; checkpoints and positions can be decoded. Run it while no agent writes:
//! changes made meanwhile look like damage. A repair (`store/verify/repair.rs`) holds each partition that it changes;
//! if it found damage only because of a change, it finds none when it checks again.

mod extensions;
mod rebuild;
mod registers;
mod remains;
mod repair;
mod unkept;

pub(in crate::store) use rebuild::Change;

use crate::record::FactBuf;
use crate::sensors::SensorSet;
use crate::store::layout::encoding::{DIGEST, RowRead, Stored, Value};
use crate::store::layout::keys::{Keys, Kind, Pointer, Volume, low24};
use crate::store::layout::posting::Posting;
use crate::store::layout::type_code::TypeCode;
use crate::store::read::buckets::{BucketEntry, Meta};
use crate::store::read::rows::PAGE;
use crate::store::read::scan::{BUCKETS, Part, Whole};
use crate::store::redis::client::{Pipeline, RedisClient};
use crate::store::redis::{capacity, reply};
use crate::store::write::checkpoint::Mark;
use crate::store::{Options, Reader, Store, StoreError, schema};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Number of problems that are listed; the rest are only counted.
const LISTED: usize = 50;

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Names with records, and with negative answers.
    pub names: u64,
    /// Records.
    pub records: u64,
    /// Negative answers.
    pub negatives: u64,
    /// Entries of the inverted index that records need.
    pub postings: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Tags.
    pub tags: u64,
    /// Indicators.
    pub indicators: u64,
    /// The first problems, one sentence each, without duplicates.
    pub problems: Vec<String>,
    /// Total number of problems.
    pub problem_count: u64,
    /// Number of problems that were repaired.
    pub repaired: u64,
    /// Data that a repair could not restore, one sentence each.
    pub lost: Vec<String>,
    /// The sensors that occur in rows.
    pub(in crate::store) sensors: SensorSet,
}

impl Verdict {
    /// Returns true if the store is sound: there were no problems, or all were repaired and nothing was lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.remaining() == 0 && self.lost.is_empty()
    }

    /// Returns the number of remaining problems.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.problem_count.saturating_sub(self.repaired)
    }

    /// Adds the result for a partition, and the result of the second check after its repair.
    fn add(&mut self, found: Self, after: Option<Self>) {
        let last = after.as_ref().unwrap_or(&found);
        let (remaining, count) = (last.remaining(), found.problem_count.max(last.problem_count));
        self.problem_count += count;
        self.repaired += count.saturating_sub(remaining);
        self.names += last.names;
        self.records += last.records;
        self.negatives += last.negatives;
        self.postings += last.postings;
        self.checkpoints += last.checkpoints;
        self.sensors.merge(&last.sensors);
        for problem in
            found.problems.into_iter().chain(after.into_iter().flat_map(|after| after.problems))
        {
            if self.problems.len() < LISTED && !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// Reports a problem, and whether it is being repaired. A problem that is already listed is not counted again.
    pub(in crate::store) fn problem(&mut self, is_repaired: bool, text: impl FnOnce() -> String) {
        let text = text();
        if self.problems.contains(&text) {
            return;
        }
        self.problem_count += 1;
        self.repaired += u64::from(is_repaired);
        if self.problems.len() < LISTED {
            self.problems.push(text);
        }
    }
}

/// An entry of the inverted index that has to exist.
struct Due {
    posting: Posting,
    member: u64,
}

impl Reader<'_> {
    fn long_fact(
        &mut self,
        volume: Volume,
        digest: &[u8; DIGEST],
        stored: &Stored,
    ) -> Result<Option<FactBuf>, StoreError> {
        let key = self.store.keys.long(volume);
        let octets =
            reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), digest])?)?;
        let octets = octets.filter(|octets| self.store.router.hasher().identity(octets) == *digest);
        Ok(octets.map(|octets| stored.clone().with_octets(&octets)))
    }
}

impl Store {
    /// Restores the schema of a store, if the partitions have copies of it; returns true if that was necessary.
    /// Without a schema, a store cannot be opened.
    ///
    /// # Errors
    /// [`StoreError::Evicts`] if Redis may evict the repaired data again; [`StoreError::Lost`] if there are no
    /// copies; other errors as they occur.
    pub fn rebuild_schema(options: &Options) -> Result<bool, StoreError> {
        let mut client = RedisClient::open(options.clone(), Arc::default())?;
        capacity::safe_capacity(&mut client)?;
        schema::rebuild(&mut client, &Keys::new(&options.prefix))
    }

    /// Checks everything. With `repair`, data that follows from other keys is restored, and data that does not is
    /// removed and listed in [`Verdict::lost`], so that the store is sound afterwards. It may be killed and repeated.
    ///
    /// `progress` receives the number of partitions done, and of all.
    ///
    /// # Errors
    /// [`StoreError::Evicts`] if Redis may evict the repaired data again; also if Redis does not answer.
    pub fn verify(
        &mut self,
        repair: bool,
        progress: &mut dyn FnMut(u16, u16),
    ) -> Result<Verdict, StoreError> {
        let mut verdict = Verdict::default();
        if repair {
            self.safe_capacity()?;
            self.refuse_forgetting()?;
            match self.writer().redo_all() {
                Err(StoreError::Damaged { .. }) => {}
                redone => redone?,
            }
        }
        for partition in self.partitions() {
            let found = self.verify_all_of(partition, false)?;
            let mut after = None;
            if repair && found.problem_count > 0 {
                verdict.lost.extend(self.repair_partition(partition)?);
                after = Some(self.verify_all_of(partition, true)?);
            }
            verdict.add(found, after);
            progress(u16::from(partition) + 1, self.router.partitions());
        }
        self.verify_tags(repair, &mut verdict)?;
        self.verify_indicators(repair, &mut verdict)?;
        self.verify_judge(repair, &mut verdict)?;
        self.verify_sources(repair, &mut verdict)?;
        self.verify_sensors(repair, &mut verdict)?;
        if repair && !self.schema.is_marked {
            self.mark_partitions()?;
        }
        Ok(verdict)
    }

    /// Checks a partition; with `repair`, adds the entries that the inverted index lacks.
    fn verify_all_of(&mut self, partition: u8, repair: bool) -> Result<Verdict, StoreError> {
        let mut verdict = Verdict::default();
        // A missing key that a reader would notice ends the check of the structure it belongs to.
        let met = |checked: Result<(), StoreError>, verdict: &mut Verdict| match checked {
            Err(StoreError::Damaged { key }) => {
                verdict.problem(false, || format!("{key} is missing, cut short, or does not read"));
                Ok(())
            }
            checked => checked,
        };
        for kind in [Kind::Record, Kind::Negative] {
            let checked = self.verify_partition(kind, partition, repair, &mut verdict);
            met(checked, &mut verdict)?;
        }
        let checked = self.verify_checkpoints(partition, &mut verdict);
        met(checked, &mut verdict)?;
        let checked = self.verify_unkept(partition, &mut verdict);
        met(checked, &mut verdict)?;
        let is_used = self.schema.is_marked || verdict.names > 0;
        match self.has_mark(partition) {
            Err(error) => met(Err(error), &mut verdict)?,
            Ok(is_ours) => {
                if !is_ours && is_used && verdict.problem_count == 0 {
                    let key = self.keys.meta(partition, Kind::Record);
                    verdict
                        .problem(false, || format!("{key} is not marked as a part of this store"));
                }
            }
        }
        let checked = self.verify_edition(partition, &mut verdict);
        met(checked, &mut verdict)?;
        let held = self.keys.repairer(partition);
        match self.client.ask(&[b"GET", held.as_bytes()]) {
            Ok(redis::Value::Nil) => {}
            Ok(_) | Err(StoreError::Damaged { .. }) => verdict.problem(false, || {
                format!("{held} stops all agents: a repair is under way, or left it behind")
            }),
            Err(error) => return Err(error),
        }
        Ok(verdict)
    }

    /// Checks that both kinds of a partition are of the same edition, and that it has no other.
    fn verify_edition(&mut self, partition: u8, verdict: &mut Verdict) -> Result<(), StoreError> {
        let [key, negatives] =
            [Kind::Record, Kind::Negative].map(|kind| self.keys.meta(partition, kind));
        let mut packed = Pipeline::default();
        packed.command(&[b"HMGET", key.as_bytes(), b"x", b"y"]);
        packed.command(&[b"HMGET", negatives.as_bytes(), b"x", b"r"]);
        let mut answers = self.client.call(&packed)?.into_iter();
        let mut next = || reply::list(answers.next().ok_or(StoreError::Reply)?);
        let (records, others) = (next()?, next()?);
        let is_there = others.get(1).is_some_and(|rows| *rows != redis::Value::Nil);
        if is_there && records.first() != others.first() {
            verdict.problem(false, || format!("{negatives} is of another edition than {key}"));
        }
        if records.get(1).is_some_and(|other| *other != redis::Value::Nil) {
            verdict.problem(false, || {
                format!(
                    "{key}: keys of an edition that is not in use are left: `pdns admin forget` is at work, or was killed"
                )
            });
        }
        Ok(())
    }

    fn verify_partition(
        &mut self,
        kind: Kind,
        partition: u8,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let meta = self.reader().meta(kind, Part(partition))?;
        let mut whole = self.reader().load_partition(kind, partition, &meta)?;
        let volume = meta.volume(partition);
        self.verify_extensions((kind, volume), &mut whole, verdict)?;
        let at = self.keys.meta(partition, kind);
        let mut log = self.verify_log(kind, partition, &meta, &whole, verdict);
        let mut taken = vec![false; meta.rows as usize];
        let mut days: BTreeMap<u32, u64> = BTreeMap::new();
        let mut names = 0_u64;
        let indices: Vec<u32> = (0..meta.buckets.count()).collect();
        for indices in indices.chunks(BUCKETS) {
            let mut due = Vec::new();
            for (&index, bucket) in
                indices.iter().zip(self.reader().buckets(kind, volume, indices)?)
            {
                let key = self.keys.bucket(volume, kind, index);
                for (field, value) in bucket {
                    let Ok(hash) = field.try_into().map(u64::from_be_bytes) else {
                        verdict
                            .problem(false, || format!("{key}: a field does not have eight bytes"));
                        continue;
                    };
                    names += 1;
                    if meta.buckets.of(low24(hash)) != index {
                        verdict.problem(false, || {
                            format!("{key}: {hash:016x} belongs into another bucket")
                        });
                    }
                    let entry = BucketEntry { volume, hash, bucket: index, value };
                    let Some(value) = Value::read(&entry.value) else {
                        verdict.problem(false, || {
                            format!("{key}: the value of {hash:016x} does not read")
                        });
                        continue;
                    };
                    if log.remove(&hash) != Some(value.log) {
                        verdict.problem(false, || {
                            format!("{key}: {hash:016x} is not where it says in the log")
                        });
                    }
                    let first =
                        self.verify_records(kind, &entry, &whole, &mut taken, &mut due, verdict)?;
                    if first / 86_400 != u32::from(value.day) {
                        verdict.problem(false, || {
                            format!("{key}: {hash:016x} has the wrong first day")
                        });
                    }
                    *days.entry(u32::from(value.day)).or_default() += 1;
                }
            }
            for due in due.chunks(PAGE) {
                self.verify_postings(due, repair, verdict)?;
            }
        }
        for hash in log.keys() {
            verdict.problem(false, || {
                format!("{at}: {hash:016x} stands in the name log and in no bucket")
            });
        }
        for row in taken.iter().zip(0_u32..).filter(|(taken, _)| !**taken).map(|(_, row)| row) {
            if whole.row(row).is_some() {
                verdict.problem(false, || format!("{at}: row {row} belongs to no record"));
            }
        }
        let held = taken.iter().filter(|taken| **taken).count() as u64;
        if u64::from(meta.rows) != held + u64::from(meta.empty) {
            let (rows, empty) = (meta.rows, meta.empty);
            verdict.problem(false, || {
                format!("{at}: {held} of {rows} rows belong to records, where {empty} should hold nothing")
            });
        }
        if names != meta.names {
            verdict.problem(false, || format!("{at}: {names} names, but {} counted", meta.names));
        }
        self.verify_days(kind, volume, &days, verdict)?;
        verdict.names += names;
        Ok(())
    }

    /// Maps the hash of each logged name to its position.
    fn verify_log(
        &self,
        kind: Kind,
        partition: u8,
        meta: &Meta,
        whole: &Whole,
        verdict: &mut Verdict,
    ) -> HashMap<u64, u32> {
        let mut log = HashMap::new();
        for (block, octets) in (0_u32..).zip(&whole.log) {
            let key = self.keys.log(meta.volume(partition), kind, block);
            let end = if block == meta.block { meta.offset as usize } else { octets.len() };
            let mut at = 0;
            let used = octets.get(..end).unwrap_or_default();
            while let Some(line) = memchr::memchr(b'\n', used.get(at..).unwrap_or_default()) {
                let position =
                    block * crate::store::layout::keys::LOG_STRIDE + u32::try_from(at).unwrap_or(0);
                at += line + 1;
                // Left behind where a repair removed a name.
                if line == 0 {
                    continue;
                }
                let Some(name) = whole.name(position) else {
                    verdict.problem(false, || {
                        format!("{key}: no canonical name at {}", at - line - 1)
                    });
                    continue;
                };
                let place = self.router.place(name);
                if place.partition != partition {
                    verdict
                        .problem(false, || format!("{key}: {name} belongs into another partition"));
                }
                if log.insert(place.hash, position).is_some() {
                    verdict.problem(false, || format!("{key}: {name} stands in the log twice"));
                }
            }
        }
        log
    }

    /// Checks the records of one name; returns its smallest `time_first`.
    fn verify_records(
        &mut self,
        kind: Kind,
        entry: &BucketEntry,
        whole: &Whole,
        taken: &mut [bool],
        due: &mut Vec<Due>,
        verdict: &mut Verdict,
    ) -> Result<u32, StoreError> {
        let (volume, hash) = (entry.volume, entry.hash);
        let partition = volume.partition;
        let at = format!("name {hash:016x} of {}", self.keys.meta(partition, kind));
        let mut first = u32::MAX;
        let walked = self.reader().for_each_record(kind, entry, &mut |store, page| {
            for (stored, row) in page {
                match kind {
                    Kind::Record => verdict.records += 1,
                    Kind::Negative => verdict.negatives += 1,
                }
                match taken.get_mut(row as usize) {
                    Some(taken) if !*taken => *taken = true,
                    Some(_) => {
                        verdict.problem(false, || format!("{at}: row {row} has two records"));
                    }
                    None => {
                        verdict.problem(false, || format!("{at}: row {row} is beyond the last"));
                    }
                }
                let Some(RowRead { seen, bits, told, .. }) = whole.raw_row(row) else { continue };
                first = first.min(seen.time_first);
                verdict.sensors.merge(&whole.sensors(row));
                if !seen.is_possible() {
                    verdict.problem(false, || format!("{at}: row {row} is no possible sum"));
                }
                if bits != low24(hash) {
                    verdict.problem(false, || format!("{at}: row {row} leads to another bucket"));
                }
                let fact = match &stored {
                    Stored::Long { digest, .. } => store.long_fact(volume, digest, &stored)?,
                    Stored::Fact(_) => Some(stored.with_octets(&[])),
                };
                let rrtype = fact.as_ref().map(|fact| fact.as_fact().rrtype());
                if told != TypeCode::NOTHING
                    && rrtype.is_some_and(|rrtype| told != TypeCode::of(rrtype))
                {
                    verdict.problem(false, || format!("{at}: row {row} tells another type"));
                }
                match fact {
                    Some(FactBuf::Record(rdata)) => {
                        let rdata = rdata.as_rdata();
                        let posting = Posting::of(rdata, &store.store.keys, &store.store.router);
                        let member = posting.member(Pointer::new(partition, bits));
                        due.push(Due { posting, member });
                    }
                    Some(FactBuf::Negative { .. }) => {}
                    None => verdict
                        .problem(false, || format!("{at}: long RDATA of row {row} is missing")),
                }
            }
            Ok(true)
        });
        match walked {
            Err(StoreError::Damaged { .. }) => {
                verdict.problem(false, || format!("{at}: does not read"));
            }
            other => {
                other?;
            }
        }
        Ok(first)
    }

    /// Checks that members are in their sets, or in the children of spread sets.
    fn verify_postings(
        &mut self,
        due: &[Due],
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let mut packed = Pipeline::default();
        for Due { posting, member } in due {
            let text = member.to_string();
            let mut key = posting.key.clone();
            packed.command(&[b"SISMEMBER", key.as_bytes(), text.as_bytes()]);
            for level in posting.levels {
                key.push_str(&level.suffix(level.child(*member)));
                packed.command(&[b"SISMEMBER", key.as_bytes(), text.as_bytes()]);
            }
            if let Some(net) = posting.net {
                let directory = Posting::directory(net, &self.keys);
                let net = net.to_string();
                packed.command(&[b"SISMEMBER", directory.as_bytes(), net.as_bytes()]);
            }
        }
        let answers = loop {
            match self.client.call(&packed) {
                // A key that is not a set holds nothing.
                Err(StoreError::Damaged { key }) if repair => {
                    self.client.ask(&[b"DEL", key.as_bytes()])?;
                }
                answers => break answers?,
            }
        };
        let mut answers = answers.into_iter();
        let (mut mend, mut directories) = (Pipeline::default(), HashSet::new());
        for Due { posting, member } in due {
            verdict.postings += 1;
            let mut there = false;
            for answer in answers.by_ref().take(1 + posting.levels.len()) {
                there |= reply::integer(&answer)? == 1;
            }
            if let Some(net) = posting.net {
                let answer = answers.next().ok_or(StoreError::Reply)?;
                if reply::integer(&answer)? != 1 && directories.insert(net) {
                    let key = Posting::directory(net, &self.keys);
                    verdict.problem(repair, || format!("{key} lacks {net}"));
                    if repair {
                        let (key, net) = (key.as_bytes(), net.to_string());
                        mend.command(&[b"SADD", key, net.as_bytes()]);
                    }
                }
            }
            if !there {
                verdict.problem(repair, || format!("{} lacks {member}", posting.key));
                if repair {
                    self.writer_state.add_posting(posting, *member, &self.keys, &mut mend);
                }
            }
        }
        self.client.call(&mend)?;
        Ok(())
    }

    fn verify_days(
        &mut self,
        kind: Kind,
        volume: Volume,
        days: &BTreeMap<u32, u64>,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.days(volume, kind);
        let stored = reply::pairs(self.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
        let stored: Option<BTreeMap<u32, u64>> = stored
            .iter()
            .map(|(day, count)| Some((u32::try_from(number(day)?).ok()?, number(count)?)))
            .collect();
        if stored.as_ref() != Some(days) {
            verdict.problem(false, || format!("{key}: the names first seen by day are miscounted"));
        }
        Ok(())
    }

    fn verify_checkpoints(
        &mut self,
        partition: u8,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.checkpoints(partition);
        for (log, value) in reply::pairs(self.client.ask(&[b"HGETALL", key.as_bytes()])?)? {
            verdict.checkpoints += 1;
            let Some((mark, mut redo)) = Mark::read(&value) else {
                verdict.problem(false, || format!("{key}: a checkpoint does not read"));
                continue;
            };
            if log.len() != 16 || mark.done > mark.end || mark.applied > mark.slices {
                verdict.problem(false, || format!("{key}: a checkpoint is impossible"));
            }
            while !redo.is_empty() {
                let entry = Stored::read(redo).and_then(|(_, rest)| rest.get(4..));
                redo = entry.unwrap_or_else(|| {
                    verdict.problem(false, || format!("{key}: a redo does not read"));
                    &[]
                });
            }
        }
        Ok(())
    }
}
