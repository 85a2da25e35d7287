//! Forgetting: removes records for good, and gives their memory back.
//!
//! A partition of which something is to be forgotten is written anew without that, beside the keys in use
//! (`store/forget/rewrite.rs`): nothing else frees rows, buckets and the name log, since agents remember row numbers and
//! Redis strings do not shrink in their middle. The metadata then leads to the new keys, all at once, and the old ones are
//! deleted some seconds later, when nobody reads them any more. What the inverted index has of the records is removed in
//! between (`store/forget/index.rs`).
//!
//! It may be killed at any point. The field `y` of the metadata of records says which other keys there are: the number of
//! an edition beyond the one in use was not finished; one before it was replaced, and the numbers behind it say where that
//! ended as long as the inverted index still has its records.

mod image;
mod index;
mod old;
mod rewrite;
mod sums;

use crate::name::Name;
use crate::observation::{Fact, Seen};
use crate::record::StoredRecord;
use crate::sensors::SensorSet;
use crate::store::forget::index::Gone;
use crate::store::forget::rewrite::Rewrite;
use crate::store::judge::{JudgeLease, run_lease};
use crate::store::layout::keys::{Kind, Pointer, Volume, low24};
use crate::store::read::buckets::Meta;
use crate::store::read::forgotten::ForgetNote;
use crate::store::redis::client::KeyScan;
use crate::store::redis::reply;
use crate::store::verify::Change;
use crate::store::{Store, StoreError};
use std::collections::{HashMap, HashSet, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

/// Time for which keys that were replaced are kept for those who read them.
const GRACE: Duration = Duration::from_secs(5);
/// Octets of replaced keys that wait for their end together, and partitions that may exceed them.
const WAITING: (u64, usize) = (32 << 20, 2);
/// Milliseconds for which a partition is held at most: agents wait meanwhile, also if this process is killed.
pub(in crate::store) const HELD: &str = "15000";
/// Seconds after which another process may go on where this one was killed.
const LEASE: u32 = 300;
/// While others write, this many times as long as Redis was kept busy is waited.
const REST: u32 = 4;
/// Longest of these waits.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// A stored record or negative answer about which is decided.
pub struct Candidate<'a> {
    /// Record or negative answer.
    pub kind: Kind,
    /// Its owner name.
    pub rrname: Name<'a>,
    /// Its RDATA, or the outcome of the question.
    pub fact: Fact<'a>,
    /// Count and times.
    pub seen: &'a Seen,
    /// The sensors that saw it.
    pub sensors: &'a SensorSet,
}

/// Decides whether a record is kept.
pub type Keep<'k> = &'k dyn Fn(&Candidate<'_>) -> bool;

/// Instructions for forgetting.
pub struct Forgetting<'f> {
    /// Decides about each record.
    pub keep: Keep<'f>,
    /// Decides about the sum of what is not kept below a domain, which comes as a record of its wildcard.
    pub keep_sum: &'f dyn Fn(&StoredRecord) -> bool,
    /// Count only.
    pub is_trial: bool,
    /// The process, as others are told.
    pub holder: &'f str,
    /// Gives seconds since the epoch.
    pub clock: &'f dyn Fn() -> u32,
    /// Says that it should end early.
    pub is_stopped: &'f dyn Fn() -> bool,
    /// Receives the number of partitions done, and of all.
    pub progress: &'f mut dyn FnMut(u16, u16),
}

/// Sums of what was, or would be, forgotten and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that go.
    pub records: u64,
    /// Negative answers that go.
    pub negatives: u64,
    /// Names of which nothing is left, of records and of negative answers.
    pub names: u64,
    /// Sums of what was not kept below a domain, that go.
    pub sums: u64,
    /// Records and negative answers that are kept.
    pub kept: u64,
    /// About the octets that go, and that are kept.
    pub octets: u64,
    /// See `octets`.
    pub octets_kept: u64,
}

/// Spares those who share Redis: waits between the steps, in which Redis is kept busy.
pub(in crate::store) struct Pace<'p> {
    /// True while others are known to write.
    is_busy: bool,
    /// True while a partition is held: others wait for us.
    is_held: bool,
    /// Says that it should end early.
    ends: &'p dyn Fn() -> bool,
}

impl Pace<'_> {
    fn rest(&self, busy: Duration) {
        if self.is_busy && !self.is_held && !(self.ends)() {
            thread::sleep((busy * REST).min(LONGEST_REST));
        }
    }
}

/// Keys that were replaced, and the time from which nobody reads them any more.
struct Replaced {
    partition: u8,
    keys: Vec<String>,
    octets: u64,
    until: Instant,
}

impl Store {
    /// Forgets records, negative answers, and sums of what is not kept. Ends early when that is asked for. What is forgotten is
    /// added to the tally, also where an error follows; a damaged partition is left as it is, and the others are done.
    ///
    /// # Errors
    /// [`StoreError::Forgetting`] while another process does so, [`StoreError::Unavailable`] while one repairs the store;
    /// [`StoreError::Damaged`] where a repair is due first; other errors as they occur. The same call completes what an
    /// error or a kill interrupted.
    pub fn forget(
        &mut self,
        how: &mut Forgetting<'_>,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        if how.is_trial {
            return self.forget_all(how, None, tally);
        }
        self.safe_capacity()?;
        self.writer().check_marked()?;
        let lease = JudgeLease::new(how.holder, LEASE);
        self.forget_lease("take", &lease, (how.clock)())?;
        let forgotten = self.forget_all(how, Some(&lease), tally);
        let freed = self.forget_lease("free", &lease, (how.clock)());
        forgotten.and(freed)
    }

    fn forget_lease(&mut self, act: &str, lease: &JudgeLease, now: u32) -> Result<(), StoreError> {
        let key = self.keys.forgetting();
        match run_lease(self, &key, act, lease, now, None)? {
            None => Ok(()),
            Some((holder, seconds)) => Err(StoreError::Forgetting { holder, seconds }),
        }
    }

    fn forget_all(
        &mut self,
        how: &mut Forgetting<'_>,
        lease: Option<&JudgeLease>,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        let mut pace = Pace { is_busy: true, is_held: false, ends: how.is_stopped };
        if lease.is_some() {
            self.end_interrupted(&mut pace)?;
        }
        self.forget_parts(how, lease, &mut pace, tally)
    }

    fn forget_parts(
        &mut self,
        how: &mut Forgetting<'_>,
        lease: Option<&JudgeLease>,
        pace: &mut Pace<'_>,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        let mut damaged = None;
        let mut waiting: VecDeque<Replaced> = VecDeque::new();
        let all = self.router.partitions();
        for (partition, done) in self.partitions().zip(1..) {
            if (how.is_stopped)() {
                break;
            }
            if let Some(lease) = lease {
                self.forget_lease("take", lease, (how.clock)())?;
            }
            match self.forget_part(how, partition, pace, tally) {
                Ok(replaced) => waiting.extend(replaced),
                Err(error @ StoreError::Damaged { .. }) => {
                    damaged.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            while waiting.len() > WAITING.1
                && waiting.iter().map(|replaced| replaced.octets).sum::<u64>() > WAITING.0
                && let Some(first) = waiting.pop_front()
            {
                self.delete_replaced(&first, pace)?;
            }
            (how.progress)(done, all);
        }
        for replaced in waiting {
            self.delete_replaced(&replaced, pace)?;
        }
        damaged.map_or(Ok(()), Err)
    }

    /// Forgets records of a partition. Returns the keys that were replaced, if any were.
    fn forget_part(
        &mut self,
        how: &Forgetting<'_>,
        partition: u8,
        pace: &mut Pace<'_>,
        tally: &mut Tally,
    ) -> Result<Option<Replaced>, StoreError> {
        tally.sums += self.forget_sums(partition, how.keep_sum, how.is_trial)?;
        let mut rewrite = Rewrite::plan(self, partition, how.keep, pace)?;
        if how.is_trial || !rewrite.is_needed() {
            rewrite.count(tally);
            return Ok(None);
        }
        let keys = match rewrite.run(pace) {
            Ok(keys) => keys,
            Err(error) => {
                // It takes memory. Where this fails, too, the next run does it.
                let volume = rewrite.new_volume();
                drop(self.abandon(volume, pace));
                return Err(error);
            }
        };
        let before = tally.octets + tally.octets_kept;
        rewrite.count(tally);
        let octets = tally.octets + tally.octets_kept - before;
        let [records, _] = rewrite.sides;
        let gone: Vec<Gone> = records.dropped.into_values().collect();
        let (edition, long) = (records.meta.edition, rewrite.long);
        index::remove(self, partition, &gone, &long, pace)?;
        self.note_index_done(partition, edition)?;
        Ok(Some(Replaced { partition, keys, octets, until: Instant::now() + GRACE }))
    }

    fn note_index_done(&mut self, partition: u8, edition: u32) -> Result<(), StoreError> {
        let meta = self.keys.meta(partition, Kind::Record);
        self.client.ask(&[b"HSET", meta.as_bytes(), b"y", edition.to_string().as_bytes()])?;
        Ok(())
    }

    fn delete_replaced(&mut self, replaced: &Replaced, pace: &Pace<'_>) -> Result<(), StoreError> {
        thread::sleep(replaced.until.saturating_duration_since(Instant::now()));
        old::delete(self, &replaced.keys, &mut |time| pace.rest(time))?;
        let meta = self.keys.meta(replaced.partition, Kind::Record);
        self.client.ask(&[b"HDEL", meta.as_bytes(), b"y"])?;
        Ok(())
    }

    /// Notes what was forgotten last.
    ///
    /// # Errors
    /// As they occur.
    pub fn note_forgotten(&mut self, note: &ForgetNote) -> Result<(), StoreError> {
        let key = self.keys.forgetting();
        let json = serde_json::to_vec(note).map_err(|_| StoreError::damaged(&key))?;
        self.client.ask(&[b"HSET", key.as_bytes(), b"s", &json])?;
        Ok(())
    }

    /// Completes what was interrupted: takes the records of replaced keys out of the inverted index, and deletes the keys
    /// of editions that are not in use. Each partition is held meanwhile, so that no process which was stopped for long makes
    /// an edition the one in use whose keys go.
    fn end_interrupted(&mut self, pace: &mut Pace<'_>) -> Result<(), StoreError> {
        let mut interrupted = HashMap::new();
        for partition in self.partitions() {
            let Some((now, other)) = self.editions(partition)? else { continue };
            let damaged = || StoreError::damaged(&self.keys.meta(partition, Kind::Record));
            let numbers: Option<Vec<u32>> =
                other.split(' ').map(|word| word.parse().ok()).collect();
            let numbers = numbers.ok_or_else(damaged)?;
            let (&edition, ends) = numbers.split_first().ok_or_else(damaged)?;
            if edition < now && !ends.is_empty() {
                let ends = Meta::from_numbers(edition, ends).ok_or_else(damaged)?;
                self.take_out(partition, &ends, pace)?;
                self.note_index_done(partition, edition)?;
            }
            interrupted.insert(Volume { partition, edition: now }, Vec::new());
        }
        if interrupted.is_empty() {
            return Ok(());
        }
        self.find_other_editions(&mut interrupted, pace)?;
        for (volume, keys) in interrupted {
            let partition = volume.partition;
            let token = self.hold(partition, HELD)?;
            let is_as_before = self
                .editions(partition)
                .map(|editions| editions.is_some_and(|(now, _)| now == volume.edition));
            let is_due = *is_as_before.as_ref().unwrap_or(&false);
            let deleted = if is_due { old::delete(self, &keys, &mut |_| {}) } else { Ok(()) };
            let words = vec![b"y".to_vec()];
            let change = Change { command: "HDEL", suffix: "m".to_owned(), words };
            let changes = if is_due && deleted.is_ok() { vec![change] } else { Vec::new() };
            self.mend(partition, &token, "0", &changes)?;
            is_as_before?;
            deleted?;
        }
        Ok(())
    }

    /// Deletes a volume that this process has begun and not finished; nobody else uses its number.
    fn abandon(&mut self, volume: Volume, pace: &Pace<'_>) -> Result<(), StoreError> {
        let noted = self.editions(volume.partition)?;
        if volume.edition == 0 || noted.as_ref().is_none_or(|(now, _)| *now == volume.edition) {
            return Ok(());
        }
        let mut found = HashMap::from([(Volume::first(volume.partition), Vec::new())]);
        let prefix = self.client.options().prefix.clone();
        self.find_other_editions(&mut found, pace)?;
        let is_ours =
            |key: &String| key.strip_prefix(&prefix).and_then(Volume::of_key) == Some(volume);
        let keys: Vec<String> = found.into_values().flatten().filter(is_ours).collect();
        old::delete(self, &keys, &mut |time| pace.rest(time))?;
        if noted.is_some_and(|(_, other)| other == volume.edition.to_string()) {
            let meta = self.keys.meta(volume.partition, Kind::Record);
            self.client.ask(&[b"HDEL", meta.as_bytes(), b"y"])?;
        }
        Ok(())
    }

    /// Returns the edition of a partition that is in use, and what is noted of another one; `None` if there is none.
    pub(super) fn editions(&mut self, partition: u8) -> Result<Option<(u32, String)>, StoreError> {
        let key = self.keys.meta(partition, Kind::Record);
        let answer = self.client.ask(&[b"HMGET", key.as_bytes(), b"x", b"y"])?;
        let mut fields = reply::list(answer)?.into_iter();
        let mut next = || -> Result<Option<String>, StoreError> {
            let field = reply::maybe_octets(fields.next().ok_or(StoreError::Reply)?)?;
            field.map(String::from_utf8).transpose().map_err(|_| StoreError::damaged(&key))
        };
        let (now, Some(other)) = (next()?, next()?) else { return Ok(None) };
        let now = now.map_or(Ok(0), |now| now.parse()).map_err(|_| StoreError::damaged(&key))?;
        Ok(Some((now, other)))
    }

    /// Takes out of the inverted index what was in a replaced volume of records and is not in the one in use.
    fn take_out(
        &mut self,
        partition: u8,
        ends: &Meta,
        pace: &mut Pace<'_>,
    ) -> Result<(), StoreError> {
        let now = self.reader().meta(Kind::Record, crate::store::Part(partition))?;
        let mut sets: [HashSet<(u64, Vec<u8>)>; 2] = Default::default();
        for (set, meta) in sets.iter_mut().zip([ends, &now]) {
            let buckets: Vec<u32> = (0..meta.buckets.count()).collect();
            let volume = meta.volume(partition);
            old::names_in(self, Kind::Record, volume, &buckets, &mut |name| {
                set.extend(name.records.into_iter().map(|record| (name.hash, record.key)));
                Ok(())
            })?;
        }
        let [old, now] = sets;
        let long = old::long_in(self, ends.volume(partition))?;
        let gone = old.difference(&now).map(|(hash, key)| Gone { hash: *hash, key: key.clone() });
        let gone: Vec<Gone> = gone.collect();
        index::remove(self, partition, &gone, &long, pace)?;
        // An entry may have been removed and not yet added again.
        let owner = |(hash, _): &(u64, Vec<u8>)| Pointer::new(partition, low24(*hash));
        let owners: Vec<Pointer> = now.iter().map(owner).collect();
        index::add_again(self, &owners, pace)
    }

    /// Finds the keys of all editions of some partitions but those in use.
    fn find_other_editions(
        &mut self,
        in_use: &mut HashMap<Volume, Vec<String>>,
        pace: &Pace<'_>,
    ) -> Result<(), StoreError> {
        let prefix = self.client.options().prefix.clone();
        let mut scan = KeyScan::default();
        loop {
            let begin = Instant::now();
            let Some(page) = self.client.scan(&mut scan, None)? else { return Ok(()) };
            for key in page {
                let Ok(key) = String::from_utf8(key) else { continue };
                let found = key.strip_prefix(&prefix).and_then(Volume::of_key);
                let Some(found) = found else { continue };
                let due = in_use
                    .iter_mut()
                    .find(|(volume, _)| volume.partition == found.partition && **volume != found);
                if let Some((_, keys)) = due {
                    keys.push(key);
                }
            }
            pace.rest(begin.elapsed());
        }
    }
}
