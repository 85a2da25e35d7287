//! Repairs a partition: `store/verify/rebuild.rs` plans the changes, which are made here.
//!
//! The partition is held meanwhile (`pd:{pp}v`): agents of this version wait, those of an earlier one must be stopped
//! before. All changes go through one function that checks the hold, some at a time, so that Redis is never blocked
//! for long. A repair that is killed half-way leaves the partition damaged, but not more than before; the partition
//! is free again after [`HOLD`].

use crate::name::NameBuf;
use crate::store::functions::FUNCTIONS;
use crate::store::layout::encoding::Stored;
use crate::store::layout::extension::SETS;
use crate::store::layout::keys::{EDITED, Kind, LOG_STRIDE, ROWS, Volume};
use crate::store::read::buckets::{META, Meta};
use crate::store::redis::client::{KeyScan, Pipeline};
use crate::store::redis::reply;
use crate::store::redis::reply::Pairs;
use crate::store::schema::marks::{epoch, pack_mark, read_mark};
use crate::store::schema::random_key;
use crate::store::verify::rebuild::{Change, Plan, Site};
use crate::store::verify::remains::{Remains, names_in, targets};
use crate::store::write::checkpoint::{MARK, Mark};
use crate::store::write::upsert::pack_removal;
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds that a partition stays held if the process that repairs it does not come back.
const HOLD: &str = "300000";
/// Maximum number of octets and of changes in one call.
const CALL: (usize, usize) = (256 << 10, 64);
/// Number of keys read in one pipeline: a block has 64 KiB.
const KEYS: usize = 64;

/// A key of a partition, split after its tag.
struct Present {
    kind: Kind,
    /// The edition that it belongs to; that of a key outside of them is 0.
    edition: u32,
    letter: u8,
    /// The rest after the letter: a number or a hash.
    rest: String,
}

impl Present {
    fn read(suffix: &str) -> Option<Self> {
        let (kind, suffix) = match suffix.strip_prefix('n') {
            Some(suffix) => (Kind::Negative, suffix),
            None => (Kind::Record, suffix),
        };
        let digits = suffix.bytes().take_while(u8::is_ascii_digit).count();
        let (edition, suffix) = suffix.split_at(digits);
        let edition = if edition.is_empty() { 0 } else { edition.parse().ok()? };
        let letter = *suffix.as_bytes().first()?;
        Some(Self { kind, edition, letter, rest: suffix.get(1..)?.to_owned() })
    }

    /// Returns its number, if the layout has a key with that number: other keys are foreign, and limit nothing.
    fn number(&self) -> Option<u32> {
        let most = match self.letter {
            b's' => u32::MAX / ROWS,
            b'l' => LOG_STRIDE - 1,
            b'g' => u32::MAX / SETS,
            _ => 1 << 25,
        };
        let number: u32 = self.rest.parse().ok().filter(|&number| number <= most)?;
        (number.to_string() == self.rest).then_some(number)
    }

    fn expected_type(&self) -> Option<&'static [u8]> {
        match self.letter {
            b'u' if self.rest.starts_with('h') => Some(b"string"),
            b'm' | b'b' | b'w' | b'd' | b'c' | b't' | b'q' | b'g' | b'u' | b'y' => Some(b"hash"),
            b's' | b'l' | b'v' | b'f' => Some(b"string"),
            b'x' | b'o' => Some(b"set"),
            _ => None,
        }
    }
}

/// Plans the removal of all editions but one: the keys of others are what `pdns admin forget` left when it was killed.
fn other_editions(edition: u32, present: &[Present]) -> Vec<Change> {
    let is_other = |key: &&Present| key.edition != edition && EDITED.contains(&key.letter);
    let suffix = |key: &Present| {
        let (edition, letter) = (Volume::text(key.edition), char::from(key.letter));
        format!("{}{edition}{letter}{}", key.kind.letter(), key.rest)
    };
    let others = present.iter().filter(is_other).map(suffix);
    let mut changes: Vec<Change> =
        others.map(|suffix| Change { command: "DEL", suffix, words: Vec::new() }).collect();
    let words = vec![b"y".to_vec()];
    changes.push(Change { command: "HDEL", suffix: "m".to_owned(), words });
    let last = present.iter().map(|key| key.edition).max().unwrap_or(0);
    if last > 0 {
        let words = vec![b"w".to_vec(), last.to_string().into_bytes()];
        changes.push(Change { command: "HSET", suffix: "m".to_owned(), words });
    }
    changes
}

impl Store {
    /// Repairs a partition; returns the data that could not be restored, one sentence each.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another process repairs it; other errors as they occur.
    pub(in crate::store) fn repair_partition(
        &mut self,
        partition: u8,
    ) -> Result<Vec<String>, StoreError> {
        let token = self.hold(partition, HOLD)?;
        let mut lost = Vec::new();
        let repaired = self.repair_held(partition, &token, &mut lost);
        // The hold is released, whatever the result.
        let freed = self.mend(partition, &token, "0", &[]);
        repaired?;
        freed?;
        Ok(lost)
    }

    /// Refuses while a process has the lease to forget records: what it is writing looks like remains.
    pub(in crate::store) fn refuse_forgetting(&mut self) -> Result<(), StoreError> {
        let key = self.keys.forgetting();
        let lease = reply::maybe_octets(self.client.ask(&[b"HGET", key.as_bytes(), b"l"])?)?;
        let lease = lease.and_then(|lease| String::from_utf8(lease).ok());
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX);
        let lease = lease.as_deref().and_then(|lease| {
            let mut parts = lease.splitn(3, ' ').skip(1);
            Some((parts.next()?.parse::<u32>().ok()?, parts.next()?.to_owned()))
        });
        match lease {
            Some((ends, holder)) if ends > now => {
                Err(StoreError::Forgetting { holder, seconds: ends - now })
            }
            _ => Ok(()),
        }
    }

    /// Holds a partition for so many milliseconds, so that agents wait; returns the token with which [`Store::mend`] changes it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while another process holds it; other errors as they occur.
    pub(in crate::store) fn hold(
        &mut self,
        partition: u8,
        milliseconds: &str,
    ) -> Result<String, StoreError> {
        FUNCTIONS.load(&mut self.client)?;
        let key = self.keys.repairer(partition);
        let token = crate::hex::encode(&random_key());
        // A key that never expires, or has another type, is not a repair in progress.
        if reply::integer(&self.client.ask(&[b"PTTL", key.as_bytes()])?)? == -1 {
            self.client.ask(&[b"DEL", key.as_bytes()])?;
        }
        let words: [&[u8]; 6] =
            [b"SET", key.as_bytes(), token.as_bytes(), b"NX", b"PX", milliseconds.as_bytes()];
        if self.client.ask(&words)? == redis::Value::Nil {
            return Err(StoreError::Unavailable(format!(
                "another repair is under way, or records are being forgotten; if that was killed, {key} expires within five \
                 minutes"
            )));
        }
        Ok(token)
    }

    fn repair_held(
        &mut self,
        partition: u8,
        token: &str,
        lost: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let (present, wrong) = self.present(partition)?;
        if wrong.iter().any(|suffix| suffix == "c") {
            lost.push(format!(
                "{}: the checkpoints of all logs; last batches, where they were not acknowledged, may be \
                 counted again",
                self.keys.checkpoints(partition)
            ));
        }
        let remove = |suffix: String| Change { command: "DEL", suffix, words: Vec::new() };
        self.mend(partition, token, HOLD, &wrong.into_iter().map(remove).collect::<Vec<_>>())?;
        let volume = Volume { partition, edition: self.edition_of(partition, &present)? };
        let long = self.hash(&self.keys.long(volume))?;
        let hasher = self.router.hasher().clone();
        let long: HashMap<Vec<u8>, Vec<u8>> = long
            .into_iter()
            .filter(|(digest, octets)| hasher.identity(octets)[..] == digest[..])
            .collect();
        let records = self.remains(Kind::Record, volume, &present)?;
        let negatives = self.remains(Kind::Negative, volume, &present)?;
        let names = self.names_of(partition, [&records, &negatives]);
        let (keys, router) = (self.keys.clone(), self.router.clone());
        let is_marked = self.schema.is_marked;
        let parts = [(Kind::Record, &records), (Kind::Negative, &negatives)];
        let plans = parts.map(|(kind, remains)| {
            let (keys, router, long, names) = (&keys, &router, &long, &names);
            let site = Site { kind, volume, keys, router, long, names, is_marked };
            (kind, site.plan(remains))
        });
        if plans.iter().any(|(_, plan)| plan.is_renumbered) {
            self.begin_generation()?;
        }
        for (kind, plan) in plans {
            let Plan { mut changes, lost: gone, dangling, .. } = plan;
            if kind == Kind::Record {
                changes.extend(self.checkpoint_changes(partition, lost)?);
                let sums = present.iter().filter(|key| key.letter == b'u' && key.rest.len() == 16);
                let hashes = sums.filter_map(|key| u64::from_str_radix(&key.rest, 16).ok());
                let hashes: Vec<u64> = hashes.collect();
                changes.extend(self.unkept_changes(partition, &hashes, lost)?);
                changes.extend(self.mark_changes(partition, is_marked || !present.is_empty())?);
                changes.extend(other_editions(volume.edition, &present));
            }
            let (command, words) = match volume.edition {
                0 => ("HDEL", vec![b"x".to_vec()]),
                edition => ("HSET", vec![b"x".to_vec(), edition.to_string().into_bytes()]),
            };
            let suffix = format!("{}m", kind.letter());
            changes.push(Change { command, suffix, words });
            self.mend(partition, token, HOLD, &changes)?;
            lost.extend(gone);
            let mut packed = Pipeline::default();
            for (posting, member) in dangling {
                // If another record of the same name needs the entry, the check that follows adds it again.
                pack_removal(&posting, member, &mut packed);
            }
            self.client.call(&packed)?;
        }
        self.shapes.clear();
        Ok(())
    }

    /// Returns the edition of a partition that is in use: where its metadata is lost, the one of which there is most.
    fn edition_of(&mut self, partition: u8, present: &[Present]) -> Result<u32, StoreError> {
        let is_content = |key: &&Present| EDITED.contains(&key.letter);
        let has = |edition| present.iter().filter(is_content).any(|key| key.edition == edition);
        for kind in [Kind::Record, Kind::Negative] {
            let key = self.keys.meta(partition, kind);
            let fields = reply::list(self.client.ask(&[b"HMGET", key.as_bytes(), b"r", b"x"])?)?;
            let number = |at: usize| fields.get(at).and_then(|field| reply::integer(field).ok());
            let edition = number(0).and_then(|_| u32::try_from(number(1).unwrap_or(0)).ok());
            if let Some(edition) = edition.filter(|edition| has(*edition)) {
                return Ok(edition);
            }
        }
        let mut keys: BTreeMap<u32, usize> = BTreeMap::new();
        for key in present.iter().filter(is_content) {
            *keys.entry(key.edition).or_default() += 1;
        }
        Ok(keys.into_iter().max_by_key(|&(_, count)| count).map_or(0, |(edition, _)| edition))
    }

    /// Returns names of a partition by hash, for those missing in the log: from both logs, and from the targets of
    /// records.
    fn names_of(&self, partition: u8, remains: [&Remains; 2]) -> HashMap<u64, NameBuf> {
        let mut names = HashMap::new();
        let mut add = |name: NameBuf| {
            let place = self.router.place(name.as_name());
            if place.partition == partition {
                names.insert(place.hash, name);
            }
        };
        for remains in remains {
            names_in(&remains.log).for_each(|(_, name)| add(name.to_buf()));
            targets(remains).for_each(&mut add);
        }
        names
    }

    /// Returns the keys of a partition, and the suffixes of those of the wrong type.
    fn present(&mut self, partition: u8) -> Result<(Vec<Present>, Vec<String>), StoreError> {
        let tag = self.keys.partition(partition);
        let escaped: String = tag
            .chars()
            .flat_map(|letter| {
                "*?[]\\^"
                    .contains(letter)
                    .then_some('\\')
                    .into_iter()
                    .chain(std::iter::once(letter))
            })
            .collect();
        let pattern = format!("{escaped}*");
        let mut suffixes = Vec::new();
        let mut scan = KeyScan::default();
        while let Some(page) = self.client.scan(&mut scan, Some(&pattern))? {
            for key in page {
                let key = String::from_utf8(key).ok();
                suffixes.extend(key.and_then(|key| Some(key.strip_prefix(&tag)?.to_owned())));
            }
        }
        suffixes.sort_unstable();
        suffixes.dedup();
        let (mut present, mut wrong) = (Vec::new(), Vec::new());
        for suffixes in suffixes.chunks(KEYS) {
            let mut packed = Pipeline::default();
            for suffix in suffixes {
                packed.command(&[b"TYPE", format!("{tag}{suffix}").as_bytes()]);
            }
            for (suffix, answer) in suffixes.iter().zip(self.client.call(&packed)?) {
                let is = reply::octets(answer)?;
                let Some(key) = Present::read(suffix) else { continue };
                match key.expected_type() {
                    Some(expected) if is != expected => wrong.push(suffix.clone()),
                    _ => present.push(key),
                }
            }
        }
        Ok((present, wrong))
    }

    /// Reads the remains of a part.
    fn remains(
        &mut self,
        kind: Kind,
        volume: Volume,
        present: &[Present],
    ) -> Result<Remains, StoreError> {
        let is_ours = |key: &&Present| key.kind == kind && key.edition == volume.edition;
        let numbers = |letter: u8| -> Vec<u32> {
            let mine = present.iter().filter(is_ours).filter(|key| key.letter == letter);
            mine.filter_map(Present::number).collect()
        };
        let (rows, log, buckets) = (numbers(b's'), numbers(b'l'), numbers(b'b'));
        let sets = numbers(b'g');
        let wide = present.iter().filter(is_ours).filter(|key| key.letter == b'w');
        let wide = wide.filter_map(|key| {
            let hash = u64::from_str_radix(&key.rest, 16).ok()?;
            (format!("{hash:016x}") == key.rest).then_some(hash)
        });
        let wide: Vec<u64> = wide.collect();
        let keys = self.keys.clone();
        let key = keys.meta(volume.partition, kind);
        let mut packed = Pipeline::default();
        packed.begin(2 + META.len()).arg("HMGET").arg(&key);
        for field in META {
            packed.arg(field);
        }
        let answer = self.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        let meta = Meta::read(answer, &key).ok().flatten();
        let mut remains = Remains { meta, ..Remains::default() };
        self.each(b"GET", &rows, |block| keys.rows(volume, kind, block), &mut |block, answer| {
            remains.rows.insert(block, reply::octets(answer)?);
            Ok(())
        })?;
        self.each(b"GET", &log, |block| keys.log(volume, kind, block), &mut |block, answer| {
            remains.log.insert(block, reply::octets(answer)?);
            Ok(())
        })?;
        let bucket = |bucket| keys.bucket(volume, kind, bucket);
        self.each(b"HGETALL", &buckets, bucket, &mut |bucket, answer| {
            remains.buckets.insert(bucket, reply::pairs(answer)?);
            Ok(())
        })?;
        self.each(b"HGETALL", &wide, |hash| keys.wide(volume, kind, hash), &mut |hash, answer| {
            remains.wide.insert(hash, reply::pairs(answer)?);
            Ok(())
        })?;
        remains.counts = self.hash(&keys.large_counts(volume, kind))?;
        let set = |group| keys.sensor_sets(volume, kind, group * SETS);
        self.each(b"HGETALL", &sets, set, &mut |group, answer| {
            remains.sets.insert(group, reply::pairs(answer)?);
            Ok(())
        })?;
        let days = self.hash(&keys.days(volume, kind))?;
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
        // A count that cannot be decoded is wrong.
        let day = |(day, names): &(Vec<u8>, Vec<u8>)| {
            (
                number(day).and_then(|day| u32::try_from(day).ok()).unwrap_or(u32::MAX),
                number(names).unwrap_or(0),
            )
        };
        remains.days =
            (!days.is_empty()).then(|| days.iter().map(day).collect::<BTreeMap<u32, u64>>());
        Ok(remains)
    }

    /// Runs the same command on many keys.
    fn each<T: Copy>(
        &mut self,
        command: &[u8],
        numbers: &[T],
        key: impl Fn(T) -> String,
        take: &mut dyn FnMut(T, redis::Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for numbers in numbers.chunks(KEYS) {
            let mut packed = Pipeline::default();
            for &number in numbers {
                packed.command(&[command, key(number).as_bytes()]);
            }
            for (&number, answer) in numbers.iter().zip(self.client.call(&packed)?) {
                take(number, answer)?;
            }
        }
        Ok(())
    }

    pub(in crate::store) fn hash(&mut self, key: &str) -> Result<Pairs, StoreError> {
        reply::pairs(self.client.ask(&[b"HGETALL", key.as_bytes()])?)
    }

    /// Plans the removal of checkpoints and redo data that cannot be decoded.
    fn checkpoint_changes(
        &mut self,
        partition: u8,
        lost: &mut Vec<String>,
    ) -> Result<Vec<Change>, StoreError> {
        let key = self.keys.checkpoints(partition);
        let mut changes = Vec::new();
        for (log, value) in self.hash(&key)? {
            let read = Mark::read(&value);
            let is_possible = |mark: &Mark| mark.done <= mark.end && mark.applied <= mark.slices;
            let suffix = "c".to_owned();
            let Some((_, mut redo)) = read.filter(|(mark, _)| log.len() == 16 && is_possible(mark))
            else {
                lost.push(format!(
                    "{key}: the checkpoint of a log did not read; its last batch, where that was not \
                     acknowledged, may be counted again"
                ));
                changes.push(Change { command: "HDEL", suffix, words: vec![log] });
                continue;
            };
            while !redo.is_empty() {
                let Some(rest) = Stored::read(redo).and_then(|(_, rest)| rest.get(4..)) else {
                    // The check that follows adds the entries to the inverted index that it was for.
                    let mark = value.get(..MARK).unwrap_or_default().to_vec();
                    changes.push(Change { command: "HSET", suffix, words: vec![log, mark] });
                    break;
                };
                redo = rest;
            }
        }
        Ok(changes)
    }

    /// Marks a partition as one of this store.
    fn mark_changes(&mut self, partition: u8, is_used: bool) -> Result<Vec<Change>, StoreError> {
        if !is_used || self.has_mark(partition)? {
            return Ok(Vec::new());
        }
        let schema = &self.schema;
        let fields = [(b"e", schema.epoch.to_vec()), (b"i", schema.identity.to_vec())];
        let mut words: Vec<Vec<u8>> =
            fields.into_iter().flat_map(|(field, value)| [field.to_vec(), value]).collect();
        if schema.is_marked {
            words.extend([b"a".to_vec(), b"1".to_vec()]);
        }
        Ok(vec![Change { command: "HSET", suffix: "m".to_owned(), words }])
    }

    /// Returns true if a partition is marked as one of this store.
    pub(in crate::store) fn has_mark(&mut self, partition: u8) -> Result<bool, StoreError> {
        let mut packed = Pipeline::default();
        pack_mark(&mut packed, &self.keys, partition);
        let answer = self.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        let mark = read_mark(Ok(answer))?;
        let is = |found: &Option<Vec<u8>>, expected: &[u8]| found.as_deref() == Some(expected);
        Ok(is(&mark.epoch, &self.schema.epoch)
            && is(&mark.identity, &self.schema.identity)
            && (mark.is_of_all || !self.schema.is_marked))
    }

    /// Makes all agents discard their cached rows, since row numbers are about to be reused: they reopen the store.
    /// The schema is the first to show it; a partition that does not show it yet is repaired by repeating the repair.
    fn begin_generation(&mut self) -> Result<(), StoreError> {
        let before = self.schema.epoch;
        self.schema.generation += 1;
        self.schema.epoch = epoch(self.router.hasher(), self.schema.generation);
        let generation = self.schema.generation.to_string();
        let key = self.keys.schema();
        self.client.ask(&[b"HSET", key.as_bytes(), b"g", generation.as_bytes()])?;
        let partitions: Vec<u8> = self.partitions().collect();
        let mut packed = Pipeline::default();
        for &partition in &partitions {
            pack_mark(&mut packed, &self.keys, partition);
        }
        let answers = self.client.call_each(&packed)?;
        packed.clear();
        for (partition, answer) in partitions.into_iter().zip(answers) {
            if read_mark(answer)?.epoch.as_deref() == Some(&before[..]) {
                let key = self.keys.meta(partition, Kind::Record);
                packed.command(&[b"HSET", key.as_bytes(), b"e", &self.schema.epoch]);
            }
        }
        self.client.call(&packed)?;
        Ok(())
    }

    /// Makes changes, some in each call, and extends the hold on the partition by this many milliseconds.
    pub(in crate::store) fn mend(
        &mut self,
        partition: u8,
        token: &str,
        hold: &str,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let size = |change: &Change| change.words.iter().map(Vec::len).sum::<usize>();
        let mut rest = changes;
        loop {
            let mut octets = 0;
            let fits = |change: &&Change| {
                octets += size(change);
                octets <= CALL.0
            };
            let count = rest.iter().take(CALL.1).take_while(fits).count().max(1).min(rest.len());
            let (now, later) = rest.split_at(count);
            rest = later;
            let words: usize = now.iter().map(|change| 3 + change.words.len()).sum();
            let mut packed = Pipeline::default();
            let keys = self.keys.declared(partition);
            let keys = keys.each_ref().map(String::as_str);
            packed.begin_call("FCALL", &FUNCTIONS.mend, keys, 2 + words).arg(token).arg(hold);
            for change in now {
                packed.arg(change.command).arg((change.words.len() + 1).to_string());
                packed.arg(&change.suffix);
                for word in &change.words {
                    packed.arg(word);
                }
            }
            let answer = self.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
            if reply::integer(&answer)? == 0 {
                return Err(StoreError::Unavailable(
                    "the repair took too long and lost its hold on the partition; repeat it"
                        .to_owned(),
                ));
            }
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}
