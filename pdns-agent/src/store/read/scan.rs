//! Scans: queries without an index, answered by reading everything of one kind, in large blocks.
//!
//! Queries on text read the name logs, numeric ones the rows; both are packed so that this takes a quarter of a
//! second at ten million names. The work is done here and not in Redis, which therefore never blocks. A scan sees
//! each block as of one moment; additions made during the scan may be missing.

use crate::name::Name;
use crate::observation::Seen;
use crate::record::StoredRecord;
use crate::sensors::SensorSet;
use crate::store::layout::encoding::{RowRead, Value, read_row, row_of};
use crate::store::layout::extension::{RowSensors, read_count, read_set};
use crate::store::layout::keys::{
    Buckets, Keys, Kind, LOG, LOG_STRIDE, Pointer, ROW, ROWS, Volume,
};
use crate::store::layout::type_code::TypeCode;
use crate::store::read::buckets::{BucketEntry, Meta};
use crate::store::read::lookup::Each;
use crate::store::read::rows::{Found, Owner, PAGE, Place, set_count};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

/// Buckets fetched in one pipeline.
pub(crate) const BUCKETS: usize = 64;
/// Number of seconds in a day.
pub(in crate::store) const DAY: u32 = 86_400;

/// The record of a scanned row, for [`Reader::resolve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    kind: Kind,
    pointer: Pointer,
    edition: u32,
    row: u32,
}

impl Handle {
    /// Returns the handle of a row in a volume, by 24 bits of its owner's hash.
    pub(crate) fn new(kind: Kind, volume: Volume, bits: u32, row: u32) -> Self {
        let Volume { partition, edition } = volume;
        Self { kind, pointer: Pointer::new(partition, bits), edition, row }
    }

    fn place(&self) -> Place {
        let volume = Volume { partition: self.pointer.partition(), edition: self.edition };
        (self.kind, volume, self.row)
    }
}

/// A part of the store that can be read separately: names that share a domain share a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part(pub(in crate::store) u8);

impl Reader<'_> {
    /// Reads the owner names of all records, each once, block by block: canonical text with a newline after each
    /// name. With `below`, reads only the blocks that may hold names at or below that name; they hold other names,
    /// too.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn names(
        &mut self,
        below: Option<Name<'_>>,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.names_of(&[Kind::Record], below, each)
    }

    /// Reads the owner names of all rows of these kinds, like [`Reader::names`]; a name of two kinds comes twice.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn names_of(
        &mut self,
        kinds: &[Kind],
        below: Option<Name<'_>>,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let partitions: Vec<u8> = self.parts(below).into_iter().map(|part| part.0).collect();
        let mut blocks = Vec::new();
        for &kind in kinds {
            let metas = self.metas(kind, partitions.iter().copied())?;
            for (&partition, meta) in partitions.iter().zip(metas) {
                for block in 0..=meta.block {
                    let end = if block == meta.block { meta.offset } else { LOG };
                    if end > 0 {
                        let key = self.store.keys.log(meta.volume(partition), kind, block);
                        blocks.push((key, end as usize));
                    }
                }
            }
        }
        let (keys, ends): (Vec<String>, Vec<usize>) = blocks.into_iter().unzip();
        self.store.client.blocks(&keys, LOG as usize, &mut |at, octets| {
            let end = ends.get(at).copied().unwrap_or(0);
            each(lines(octets.get(..end).unwrap_or(octets)))
        })
    }

    /// Reads the rows of all records or negative answers, without their names, with their type codes.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn scan(
        &mut self,
        kind: Kind,
        mut each: impl FnMut(Handle, &Seen, TypeCode) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let partitions: Vec<u8> = self.store.partitions().collect();
        let metas = self.metas(kind, partitions.iter().copied())?;
        let (mut keys, mut blocks) = (Vec::new(), Vec::new());
        for (partition, meta) in partitions.into_iter().zip(metas) {
            keys.extend(self.row_blocks(kind, partition, &meta));
            let firsts = (0..meta.rows).step_by(ROWS as usize);
            let volume = meta.volume(partition);
            blocks.extend(firsts.map(|first| (volume, first..meta.rows)));
        }
        let mut large = Vec::new();
        let mut flow = ControlFlow::Continue(());
        self.store.client.blocks(&keys, ROWS as usize * ROW, &mut |at, octets| {
            let Some((volume, rows)) = blocks.get(at) else { return ControlFlow::Break(()) };
            for (row, octets) in rows.clone().zip(octets.as_chunks::<ROW>().0) {
                let read = row_of(octets);
                let RowRead { seen, bits, told, .. } = read;
                let handle = Handle::new(kind, *volume, bits, row);
                if read.is_large() {
                    large.push((handle, seen, told));
                } else if seen.count > 0 {
                    flow = each(handle, &seen, told);
                    if flow.is_break() {
                        break;
                    }
                }
            }
            flow
        })?;
        if flow.is_continue() {
            let rows = large.iter_mut().map(|(handle, seen, _)| (seen, handle.place()));
            self.complete_counts(rows.collect())?;
            let _all = large.iter().try_for_each(|(handle, seen, told)| each(*handle, seen, *told));
        }
        Ok(())
    }

    /// Fetches the records of rows that a scan found, in the order of the handles.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn resolve(&mut self, handles: &[Handle]) -> Result<Vec<StoredRecord>, StoreError> {
        let mut rows = Vec::with_capacity(handles.len());
        for page in handles.chunks(PAGE) {
            let mut slots: HashMap<Place, Found> = HashMap::new();
            for kind in [Kind::Record, Kind::Negative] {
                let wanted = page.iter().filter(|handle| handle.kind == kind);
                let pointers: Vec<Pointer> = wanted.map(|handle| handle.pointer).collect();
                if pointers.is_empty() {
                    continue;
                }
                for entry in self.entries(kind, &pointers)? {
                    let log = Value::read(&entry.value).map(|value| value.log);
                    let log = log.ok_or_else(|| {
                        let Self { store } = &*self;
                        StoreError::damaged(&store.keys.bucket(entry.volume, kind, entry.bucket))
                    })?;
                    let volume = entry.volume;
                    self.for_each_record(kind, &entry, &mut |_, page| {
                        for (stored, row) in page {
                            let owner = Owner::Logged(log);
                            let found = Found { kind, volume, owner, stored, row };
                            slots.insert((kind, volume, row), found);
                        }
                        Ok(true)
                    })?;
                }
            }
            let mut found = Vec::with_capacity(page.len());
            for handle in page {
                let place = handle.place();
                // A row without a record: one of the two is damaged, or the row is one of an earlier edition.
                found.push(slots.remove(&place).ok_or_else(|| {
                    let (kind, volume, row) = place;
                    StoreError::damaged(&self.store.keys.rows(volume, kind, row / ROWS))
                })?);
            }
            rows.extend(self.fetch(found)?);
        }
        Ok(rows)
    }

    /// Reads every record, or every negative answer, in no particular order. Holds one partition's rows and names in
    /// memory at a time.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn scan_records(&mut self, kind: Kind, each: Each<'_>) -> Result<(), StoreError> {
        for partition in self.store.partitions() {
            if self.scan_records_in(kind, Part(partition), each)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the parts that hold all names at or below a name, or all names.
    #[must_use]
    pub fn parts(&self, below: Option<Name<'_>>) -> Vec<Part> {
        match below.and_then(|apex| self.store.router.partition_below(apex)) {
            Some(partition) => vec![Part(partition)],
            None => self.store.partitions().map(Part).collect(),
        }
    }

    /// Reads one part like [`Reader::scan_records`]; the records of one name come one after the other.
    ///
    /// # Errors
    /// As [`Reader::scan_records`].
    pub fn scan_records_in(
        &mut self,
        kind: Kind,
        part: Part,
        each: Each<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let partition = part.0;
        let meta = self.meta(kind, part)?;
        let volume = meta.volume(partition);
        let mut whole = self.load_partition(kind, partition, &meta)?;
        self.complete_rows((kind, volume), &mut whole, true)?;
        let mut met = Met::new(&meta);
        let mut walk = BucketWalk::new(meta.buckets);
        while let Some(indices) = walk.next(self, kind, part)? {
            for (&bucket, pairs) in indices.iter().zip(self.buckets(kind, volume, &indices)?) {
                for (field, value) in pairs {
                    let key = self.store.keys.bucket(volume, kind, bucket);
                    let hash = field.try_into().map(u64::from_be_bytes);
                    let hash = hash.map_err(|_| StoreError::damaged(&key))?;
                    let entry = BucketEntry { volume, hash, bucket, value };
                    let value = Value::read(&entry.value);
                    let log = value.ok_or_else(|| StoreError::damaged(&key))?.log;
                    // Names added since the partition was loaded are not part of this scan.
                    if meta.is_after(log) {
                        continue;
                    }
                    let rrname = whole.name(log).ok_or_else(|| {
                        StoreError::damaged(&self.store.keys.log(volume, kind, log / LOG_STRIDE))
                    })?;
                    let mut flow = ControlFlow::Continue(());
                    self.for_each_record(kind, &entry, &mut |store, page| {
                        for (stored, row) in page {
                            // Rows added since the partition was loaded are not part of this scan.
                            let seen = whole.used(row).ok_or_else(|| {
                                let key = store.store.keys.rows(volume, kind, row / ROWS);
                                StoreError::damaged(&key)
                            })?;
                            let Some(seen) = seen.filter(|_| met.is_new(row)) else { continue };
                            let fact = store.complete(volume, stored)?;
                            let sensors = whole.sensors(row);
                            let rrname = rrname.to_buf();
                            flow = each(StoredRecord { rrname, fact, seen, sensors, unkept: None });
                            if flow.is_break() {
                                return Ok(false);
                            }
                        }
                        Ok(true)
                    })?;
                    if flow.is_break() {
                        return Ok(flow);
                    }
                }
            }
        }
        self.expect_all_met(kind, volume, &meta, &whole, &met)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Checks that a walk through all buckets found the record of each row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with a bucket that lacks a record.
    pub(in crate::store) fn expect_all_met(
        &self,
        kind: Kind,
        volume: Volume,
        meta: &Meta,
        whole: &Whole,
        met: &Met,
    ) -> Result<(), StoreError> {
        let rows = (0..meta.rows).filter(|&row| !met.has(row)).filter_map(|row| whole.raw_row(row));
        match rows.into_iter().find(|row| row.seen.count > 0) {
            Some(RowRead { bits, .. }) => {
                let bucket = meta.buckets.of(bits);
                Err(StoreError::damaged(&self.store.keys.bucket(volume, kind, bucket)))
            }
            None => Ok(()),
        }
    }

    /// Reads the fields and values of some buckets, in the given order.
    pub(crate) fn buckets(
        &mut self,
        kind: Kind,
        volume: Volume,
        indices: &[u32],
    ) -> Result<Vec<reply::Pairs>, StoreError> {
        let mut packed = Pipeline::default();
        for &index in indices {
            let key = self.store.keys.bucket(volume, kind, index);
            packed.command(&[b"HGETALL", key.as_bytes()]);
        }
        self.store.client.call(&packed)?.into_iter().map(reply::pairs).collect()
    }

    /// Loads all rows and all names of a partition.
    pub(crate) fn load_partition(
        &mut self,
        kind: Kind,
        partition: u8,
        meta: &Meta,
    ) -> Result<Whole, StoreError> {
        let (rows, log) =
            (self.row_blocks(kind, partition, meta), self.log_blocks(kind, partition, meta));
        let rows = self.blocks(&rows, ROWS as usize * ROW)?;
        let log = self.blocks(&log, LOG as usize)?;
        Ok(Whole { rows, used: meta.rows, log, ..Whole::default() })
    }

    /// Reads the counts that the rows of a partition do not have and, with `sensors`, their sensors, too.
    pub(in crate::store) fn complete_rows(
        &mut self,
        (kind, volume): (Kind, Volume),
        whole: &mut Whole,
        sensors: bool,
    ) -> Result<(), StoreError> {
        let (mut large, mut many) = (Vec::new(), Vec::new());
        for row in 0..whole.used {
            let Some(read) = whole.raw_row(row) else { continue };
            if read.is_large() {
                large.push((kind, volume, row));
            }
            if sensors && read.sensors == RowSensors::Many {
                many.push((kind, volume, row));
            }
        }
        let key = |keys: &Keys, (kind, volume, _)| keys.large_counts(volume, kind);
        let counts = self.extensions(&large, key, read_count)?;
        whole.counts = large.into_iter().map(|(.., row)| row).zip(counts).collect();
        let key = |keys: &Keys, (kind, volume, row)| keys.sensor_sets(volume, kind, row);
        let sets = self.extensions(&many, key, read_set)?;
        whole.sets = many.into_iter().map(|(.., row)| row).zip(sets).collect();
        Ok(())
    }

    /// Loads all rows of a partition, without names.
    pub(in crate::store) fn load_rows(
        &mut self,
        kind: Kind,
        partition: u8,
        meta: &Meta,
    ) -> Result<Whole, StoreError> {
        let rows = self.row_blocks(kind, partition, meta);
        let rows = self.blocks(&rows, ROWS as usize * ROW)?;
        Ok(Whole { rows, used: meta.rows, ..Whole::default() })
    }

    /// Returns the keys of a partition's rows, block by block.
    pub(in crate::store) fn row_blocks(
        &self,
        kind: Kind,
        partition: u8,
        meta: &Meta,
    ) -> Vec<String> {
        let blocks = 0..meta.rows.div_ceil(ROWS);
        let volume = meta.volume(partition);
        blocks.map(|block| self.store.keys.rows(volume, kind, block)).collect()
    }

    /// Returns the keys of a partition's name log, block by block.
    pub(in crate::store) fn log_blocks(
        &self,
        kind: Kind,
        partition: u8,
        meta: &Meta,
    ) -> Vec<String> {
        let volume = meta.volume(partition);
        meta.log_blocks().map(|block| self.store.keys.log(volume, kind, block)).collect()
    }

    fn blocks(&mut self, keys: &[String], length: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut blocks = Vec::with_capacity(keys.len());
        self.store.client.blocks(keys, length, &mut |_, octets| {
            blocks.push(octets.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(blocks)
    }

    /// Counts the names first seen on each day, by days since the epoch. The counts are exact: a name that an older
    /// log made older has moved to its earlier day.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn days(&mut self) -> Result<BTreeMap<u32, u64>, StoreError> {
        let kind = Kind::Record;
        let partitions: Vec<u8> = self.store.partitions().collect();
        // The names are counted first: additions made meanwhile can only increase the counts of the days.
        let metas = self.metas(kind, partitions.iter().copied())?;
        let mut packed = Pipeline::default();
        for (&partition, meta) in partitions.iter().zip(&metas) {
            let key = self.store.keys.days(meta.volume(partition), kind);
            packed.command(&[b"HGETALL", key.as_bytes()]);
        }
        let mut days = BTreeMap::new();
        let places = partitions.into_iter().zip(metas);
        for ((partition, meta), value) in places.zip(self.store.client.call(&packed)?) {
            let volume = meta.volume(partition);
            let damaged = || StoreError::damaged(&self.store.keys.days(volume, kind));
            let mut names = 0_u64;
            for (day, count) in reply::pairs(value)? {
                let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
                let day = number(&day).and_then(|day| u32::try_from(day).ok());
                let (Some(day), Some(count)) = (day, number(&count)) else {
                    return Err(damaged());
                };
                names = names.saturating_add(count);
                let sum: &mut u64 = days.entry(day).or_default();
                *sum = sum.saturating_add(count);
            }
            if names < meta.names {
                return Err(damaged());
            }
        }
        Ok(days)
    }
}

/// An iteration over all buckets of a part, some at a time. Names move to new buckets meanwhile, so it goes on until
/// there are no new ones: a name may be seen twice, and none is missed.
pub(in crate::store) struct BucketWalk {
    next: u32,
    end: u32,
}

impl BucketWalk {
    pub(in crate::store) fn new(buckets: Buckets) -> Self {
        Self { next: 0, end: buckets.count() }
    }

    /// Returns the next buckets; `None` if there are no more. Nothing may be in flight when the known buckets are
    /// exhausted.
    pub(in crate::store) fn next(
        &mut self,
        store: &mut Reader<'_>,
        kind: Kind,
        part: Part,
    ) -> Result<Option<Vec<u32>>, StoreError> {
        if self.is_through() {
            self.end = self.end.max(store.meta(kind, part)?.buckets.count());
        }
        Ok(self.known())
    }

    /// Returns the next of the known buckets.
    pub(in crate::store) fn known(&mut self) -> Option<Vec<u32>> {
        let most = u32::try_from(BUCKETS).unwrap_or(u32::MAX);
        let indices: Vec<u32> = (self.next..self.end.min(self.next.saturating_add(most))).collect();
        self.next = indices.last().map_or(self.next, |last| last + 1);
        Some(indices).filter(|indices| !indices.is_empty())
    }

    pub(in crate::store) fn is_through(&self) -> bool {
        self.next >= self.end
    }
}

/// The rows of a partition that were seen, as a bit set.
pub(in crate::store) struct Met(Vec<u64>);

impl Met {
    pub(in crate::store) fn new(meta: &Meta) -> Self {
        Self(vec![0; meta.rows as usize / 64 + 1])
    }

    /// Returns true if a row was seen.
    fn has(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Marks a row as seen; returns true if it was not seen before.
    pub(in crate::store) fn is_new(&mut self, row: u32) -> bool {
        let bit = 1 << (row % 64);
        let Some(word) = self.0.get_mut(row as usize / 64) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// Returns the lines of a block. A block that was closed for lack of room ends in NULs.
pub(in crate::store) fn lines(block: &[u8]) -> &[u8] {
    let used = memchr::memrchr(b'\n', block).map_or(0, |last| last + 1);
    block.get(..used).unwrap_or_default()
}

/// All rows and names of one partition, in blocks as they are stored.
#[derive(Default)]
pub(crate) struct Whole {
    pub(in crate::store) rows: Vec<Vec<u8>>,
    /// Number of rows when it was loaded.
    pub(in crate::store) used: u32,
    pub(crate) log: Vec<Vec<u8>>,
    /// Counts that rows do not have, and whether they are lower bounds.
    pub(in crate::store) counts: HashMap<u32, (u64, bool)>,
    /// Sensors that rows do not have.
    pub(in crate::store) sets: HashMap<u32, SensorSet>,
}

impl Whole {
    /// Returns the data of a record's row: `Some(None)` for a row that was added since, and `None` if the row should
    /// hold a record and does not.
    #[expect(clippy::option_option, reason = "an error without the key that only the caller knows")]
    pub(crate) fn used(&self, row: u32) -> Option<Option<Seen>> {
        match self.row(row) {
            None if row < self.used => None,
            seen => Some(seen.filter(|_| row < self.used)),
        }
    }

    /// Returns the data of a row that is in use.
    pub(crate) fn row(&self, row: u32) -> Option<Seen> {
        let read = self.raw_row(row).filter(|row| row.seen.count > 0)?;
        let mut seen = read.seen;
        if read.is_large()
            && let Some(&(count, is_bound)) = self.counts.get(&row)
        {
            set_count(&mut seen, count, is_bound);
        }
        Some(seen)
    }

    /// Returns the sensors of a row.
    pub(crate) fn sensors(&self, row: u32) -> SensorSet {
        let in_row = self.raw_row(row).and_then(|row| row.sensors.to_set());
        in_row.or_else(|| self.sets.get(&row).cloned()).unwrap_or_default()
    }

    /// Returns a row with its type code and owner bits.
    pub(crate) fn raw_row(&self, row: u32) -> Option<RowRead> {
        let at = (row % ROWS) as usize * ROW;
        read_row(self.rows.get((row / ROWS) as usize)?.get(at..at + ROW)?)
    }

    /// Returns the name at a position of the log.
    pub(crate) fn name(&self, position: u32) -> Option<Name<'_>> {
        let block = self.log.get((position / LOG_STRIDE) as usize)?;
        let text = block.get((position % LOG_STRIDE) as usize..)?;
        let line = text.get(..memchr::memchr(b'\n', text)?)?;
        Name::from_canonical(std::str::from_utf8(line).ok()?).ok()
    }
}
