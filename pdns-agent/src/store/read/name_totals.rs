//! Totals for each owner name, without its records: how many there are, how often and when they were seen.
//!
//! Beside `store/read/scan.rs`, for queries that need all names and no RDATA. Reading all buckets for them takes
//! seconds at ten million names, while rows and name logs are read in half a second. A row holds 24 bits of its
//! owner's hash, and a name's hash can be computed from its text, so the two are joined here. Both are sorted by
//! those bits, which is kinder to memory than a table of a million entries, and the names are passed on in the order
//! of the log, so that their text is read once and sequentially. Where two names of a partition share the bits, as
//! one in a hundred does, their buckets are read.

use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use crate::record::StoredRecord;
use crate::store::layout::encoding::{RowRead, row_of};
use crate::store::layout::keys::{Kind, LOG, Pointer, ROW, ROWS, low24};
use crate::store::layout::type_code::TypeCode;
use crate::store::read::buckets::Meta;
use crate::store::read::lookup::Each;
use crate::store::read::rows::PAGE;
use crate::store::read::scan::{DAY, Part, lines};
use crate::store::{Reader, StoreError};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;

/// Aggregated rows of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTotal {
    /// Number of rows.
    pub records: u64,
    /// Sum of their counts.
    pub count: u64,
    /// First time any of them was seen, in seconds since the epoch.
    pub time_first: u32,
    /// Last time any of them was seen, in seconds since the epoch.
    pub time_last: u32,
    /// True if `count` is a lower bound because the count of a row is.
    pub is_least: bool,
}

impl NameTotal {
    /// Returns the total of one row.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        Self {
            records: 1,
            count: seen.count,
            time_first: seen.time_first,
            time_last: seen.time_last,
            is_least: seen.is_count_saturated(),
        }
    }

    /// Adds the rows of another total.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.count = self.count.saturating_add(other.count);
        self.time_first = self.time_first.min(other.time_first);
        self.time_last = self.time_last.max(other.time_last);
        self.is_least |= other.is_least;
    }
}

/// Totals of the names of one part.
#[derive(Debug, Default)]
pub struct NameTotals {
    /// Lines of names, as in the log, and the total of each.
    text: Vec<u8>,
    sums: Vec<NameTotal>,
    /// Names whose records had to be read.
    asked: Vec<(NameBuf, NameTotal)>,
}

impl NameTotals {
    /// Passes on each name that has rows, with its total, in no particular order.
    pub fn each<'o>(&'o self, each: &mut dyn FnMut(Name<'o>, &'o NameTotal)) {
        for (line, sum) in self.lines().filter(|(_, sum)| sum.records > 0 && **sum != SHARED) {
            // A line that is not a canonical name has no rows; `pdns admin verify` reports it.
            if let Some(name) = name_on(line) {
                each(name, sum);
            }
        }
        for (name, sum) in &self.asked {
            each(name.as_name(), sum);
        }
    }

    fn lines(&self) -> impl Iterator<Item = (&[u8], &NameTotal)> {
        self.text.split(|&octet| octet == b'\n').zip(&self.sums)
    }
}

/// Names that share the owner bits of a row: nearly always one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashSlot(Pointer);

/// One row of an owner; there may be a million of them.
#[derive(Clone, Copy)]
struct RowTotal {
    bits: u32,
    time_first: u32,
    time_last: u32,
    is_least: bool,
    count: u64,
}

/// Names of a log that may own the rows.
struct Names {
    /// Lines of the names, as in the log.
    text: Vec<u8>,
    /// For each line, its bits above its number, sorted.
    lines: Vec<u64>,
}

/// Total of a name without rows.
const NO_ROWS: NameTotal =
    NameTotal { records: 0, count: 0, time_first: u32::MAX, time_last: 0, is_least: false };
/// Placeholder for the total of a name whose records have to be read.
const SHARED: NameTotal = NameTotal { records: u64::MAX, ..NO_ROWS };

/// The largest block of memory that an allocator keeps after it is freed: glibc learns to keep blocks of up to 32
/// MiB. Each part needs blocks of other sizes, so the kept ones are seldom of use to the next part.
const KEPT: usize = 32 << 20;

/// Bits of a slot's number that choose a counter: few enough for the counters to stay in the cache.
const COUNTER_BITS: u32 = 17;

/// Hasher for 24 bits of a keyed hash, which need only to be spread over all bits.
#[derive(Default)]
struct MulHasher(u64);

impl Hasher for MulHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, bits: u32) {
        self.0 = u64::from(bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Reader<'_> {
    /// Counts the names of each slot, in no particular order, over the rows whose type code `admits` accepts. `each`
    /// returns the minimum count that a slot must have from now on to be passed on. Returns true if any slot was left
    /// out.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn slots(
        &mut self,
        kind: Kind,
        admits: impl Fn(&Seen, TypeCode) -> bool,
        mut each: impl FnMut(HashSlot, u64) -> u64,
    ) -> Result<bool, StoreError> {
        let (mut least, mut passed) = (0, false);
        let mut rows: Vec<(u32, u64)> = Vec::new();
        let mut counters = vec![0_u64; 1 << COUNTER_BITS];
        let mut slots: HashMap<u32, u64, BuildHasherDefault<MulHasher>> = HashMap::default();
        let counter = |bits: u32| (bits & ((1 << COUNTER_BITS) - 1)) as usize;
        for part in self.parts(None) {
            rows.clear();
            counters.fill(0);
            let meta = self.meta(kind, part)?;
            self.each_row(kind, part, &meta, &mut |RowRead { seen, bits, told, .. }| {
                if admits(&seen, told) {
                    rows.push((bits, seen.count));
                    if let Some(sum) = counters.get_mut(counter(bits)) {
                        *sum = sum.saturating_add(seen.count);
                    }
                }
            })?;
            // No slot has a higher count than all slots that share its counter together.
            for &(bits, count) in &rows {
                if counters.get(counter(bits)).is_some_and(|&sum| sum >= least) {
                    let sum = slots.entry(bits).or_default();
                    *sum = sum.saturating_add(count);
                } else {
                    passed = true;
                }
            }
            for (bits, count) in slots.drain() {
                least = each(HashSlot(Pointer::new(part.0, bits)), count);
            }
        }
        Ok(passed)
    }

    /// Reads the records of all names of these slots, name by name.
    ///
    /// # Errors
    /// As [`Reader::records_by_name`].
    pub fn records_by_slots(
        &mut self,
        slots: &[HashSlot],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        let pointers = slots.iter().map(|slot| slot.0).collect();
        self.records_by_pointers(pointers, each)
    }

    /// Returns the number of rows in a part.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn rows_in(&mut self, kind: Kind, part: Part) -> Result<u32, StoreError> {
        Ok(self.meta(kind, part)?.rows)
    }

    /// Computes the total of each name of a part over the rows that pass: those whose type code `admits` accepts, if
    /// it decides for all of them, and otherwise those that `admits_row` accepts.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn owners_in(
        &mut self,
        kind: Kind,
        part: Part,
        admits: impl Fn(&Seen, TypeCode) -> Option<bool>,
        admits_row: impl Fn(&StoredRecord) -> bool,
    ) -> Result<NameTotals, StoreError> {
        if let Some(rows) = self.summed(kind, part, &admits)? {
            let admits = |seen: &Seen, told| admits(seen, told) == Some(true);
            return self.join(kind, part, rows, &admits);
        }
        let mut asked: Vec<(NameBuf, NameTotal)> = Vec::new();
        // The records of one name come one after the other.
        let _all = self.scan_records_in(kind, part, &mut |row| {
            if admits_row(&row) {
                let one = NameTotal::of(&row.seen);
                match asked.last_mut() {
                    Some((name, sum)) if *name == row.rrname => sum.add(&one),
                    _ => asked.push((row.rrname, one)),
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(NameTotals { asked, ..NameTotals::default() })
    }

    /// Reads the names that were first seen on one day (days since the epoch), with the time, in no particular order.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn new_on(
        &mut self,
        day: u32,
        each: &mut dyn FnMut(Name<'_>, u32) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let kind = Kind::Record;
        let mut flow = ControlFlow::Continue(());
        // Rows that were first seen later make no name older.
        let admits = |seen: &Seen, _| seen.time_first / DAY <= day;
        for part in self.parts(None) {
            let told = |seen: &Seen, told| Some(admits(seen, told));
            let mut rows = self.summed(kind, part, &told)?.unwrap_or_default();
            let mut kept = 0;
            let mut at = 0;
            while let Some(run) = rows.get(at..).and_then(|rest| rest.chunk_by(same_bits).next()) {
                let end = at + run.len();
                // Names that share the bits are told apart later: one of them may be new.
                if run.iter().any(|row| row.time_first / DAY == day) {
                    rows.copy_within(at..end, kept);
                    kept += end - at;
                }
                at = end;
            }
            rows.truncate(kept);
            self.join(kind, part, rows, &admits)?.each(&mut |name, sum| {
                if sum.time_first / DAY == day && flow.is_continue() {
                    flow = each(name, sum.time_first);
                }
            });
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Joins rows of a part with the names that own them. The rows are all those of their owners that `admits`
    /// accepts, sorted by bits.
    fn join(
        &mut self,
        kind: Kind,
        part: Part,
        rows: Vec<RowTotal>,
        admits: &impl Fn(&Seen, TypeCode) -> bool,
    ) -> Result<NameTotals, StoreError> {
        if rows.is_empty() {
            return Ok(NameTotals::default());
        }
        // The names are read after the rows, so they include the owners of all rows that were read.
        let Names { text, lines } = self.load_names(kind, part, &rows)?;
        let mut sums = try_with_capacity(lines.len());
        sums.resize(lines.len(), NO_ROWS);
        let mut rest = rows.as_slice();
        for lines in lines.chunk_by(|one, other| one >> 32 == other >> 32) {
            let bits = lines.first().map_or(0, |line| line >> 32);
            if rest.first().is_some_and(|row| u64::from(row.bits) < bits) {
                break;
            }
            let run = rest.iter().take_while(|row| u64::from(row.bits) == bits).count();
            let (run, later) = rest.split_at(run);
            rest = later;
            let sum = run.iter().fold(NO_ROWS, |mut sum, row| {
                sum.add(&row.sum());
                sum
            });
            let is_shared = lines.len() > 1 && sum != NO_ROWS;
            for line in lines {
                if let Some(place) = sums.get_mut((line & 0xffff_ffff) as usize) {
                    *place = if is_shared { SHARED } else { sum };
                }
            }
        }
        if !rest.is_empty() {
            // Each row that was read has a name in the log.
            return Err(StoreError::damaged(&self.store.keys.meta(part.0, kind)));
        }
        drop((rows, lines));
        let mut owners = NameTotals { text, sums, asked: Vec::new() };
        let shared = owners.lines().filter(|(_, sum)| **sum == SHARED);
        let mut shared: Vec<NameBuf> =
            shared.filter_map(|(line, _)| name_on(line)).map(Name::to_buf).collect();
        // A log may hold a name twice.
        shared.sort_unstable();
        shared.dedup();
        owners.asked = self.owners_one_by_one(kind, shared, admits)?;
        Ok(owners)
    }

    /// Loads the names of a part that may own rows.
    fn load_names(
        &mut self,
        kind: Kind,
        part: Part,
        rows: &[RowTotal],
    ) -> Result<Names, StoreError> {
        // A filter: where there are few rows, few names pass it.
        let sieve_of = |bits: u32| ((bits >> 14) as usize, 1_u64 << (bits >> 8 & 63));
        let mut sieve = vec![0_u64; 1 << 10];
        for row in rows {
            let (word, bit) = sieve_of(row.bits);
            if let Some(word) = sieve.get_mut(word) {
                *word |= bit;
            }
        }
        let meta = self.meta(kind, part)?;
        let keys = self.log_blocks(kind, part.0, &meta);
        let hasher = self.store.router.hasher().clone();
        let length = meta.block as usize * LOG as usize + meta.offset as usize;
        let count = usize::try_from(meta.names).unwrap_or(0).min(length);
        let mut names = Names { text: try_with_capacity(length), lines: try_with_capacity(count) };
        self.store.client.blocks(&keys, LOG as usize, &mut |_, block| {
            for line in lines(block).split_inclusive(|&octet| octet == b'\n') {
                let bits = low24(hasher.octets(line.strip_suffix(b"\n").unwrap_or(line)));
                let (word, bit) = sieve_of(bits);
                if sieve.get(word).is_some_and(|word| word & bit != 0) {
                    names.text.extend_from_slice(line);
                    names.lines.push(u64::from(bits) << 32 | names.lines.len() as u64);
                }
            }
            ControlFlow::Continue(())
        })?;
        names.lines.sort_unstable();
        Ok(names)
    }

    /// Reads the totals of these names from their buckets.
    fn owners_one_by_one(
        &mut self,
        kind: Kind,
        names: Vec<NameBuf>,
        admits: &impl Fn(&Seen, TypeCode) -> bool,
    ) -> Result<Vec<(NameBuf, NameTotal)>, StoreError> {
        let mut all: Vec<Option<NameTotal>> = Vec::with_capacity(names.len());
        for names in names.chunks(PAGE) {
            let mut rows = Vec::new();
            let mut owners = Vec::new();
            for (owner, entry) in self.entries_of(kind, names)?.into_iter().enumerate() {
                let Some(entry) = entry else { continue };
                let volume = entry.volume;
                self.for_each_record(kind, &entry, &mut |_, page| {
                    rows.extend(page.iter().map(|&(_, row)| (kind, volume, row)));
                    owners.resize(rows.len(), owner);
                    Ok(true)
                })?;
            }
            let mut sums: Vec<Option<NameTotal>> = vec![None; names.len()];
            for (row, owner) in self.sums(&rows)?.into_iter().zip(owners) {
                let RowRead { seen, told, .. } = row;
                if seen.count == 0 || !admits(&seen, told) {
                    continue;
                }
                let Some(sum) = sums.get_mut(owner) else { continue };
                let one = NameTotal::of(&seen);
                match sum {
                    Some(sum) => sum.add(&one),
                    None => *sum = Some(one),
                }
            }
            all.extend(sums);
        }
        let owners = names.into_iter().zip(all);
        Ok(owners.filter_map(|(name, sum)| Some((name, sum?))).collect())
    }

    /// Reads the rows of one part that `admits` accepts, sorted by bits; `None` if it cannot decide for some row.
    fn summed(
        &mut self,
        kind: Kind,
        part: Part,
        admits: &impl Fn(&Seen, TypeCode) -> Option<bool>,
    ) -> Result<Option<Vec<RowTotal>>, StoreError> {
        let meta = self.meta(kind, part)?;
        let (mut rows, mut is_sure) = (try_with_capacity(meta.rows as usize), true);
        let each = &mut |RowRead { seen, bits, told, .. }: RowRead| match admits(&seen, told) {
            Some(true) => {
                let Seen { count, time_first, time_last, .. } = seen;
                let is_least = seen.is_count_saturated();
                rows.push(RowTotal { bits, time_first, time_last, is_least, count });
            }
            Some(false) => {}
            None => is_sure = false,
        };
        self.each_row(kind, part, &meta, each)?;
        rows.sort_unstable_by_key(|row| row.bits);
        Ok(is_sure.then_some(rows))
    }

    /// Iterates over the rows of one part that are in use.
    fn each_row(
        &mut self,
        kind: Kind,
        part: Part,
        meta: &Meta,
        each: &mut impl FnMut(RowRead),
    ) -> Result<(), StoreError> {
        let keys = self.row_blocks(kind, part.0, meta);
        let mut left = meta.rows as usize;
        let mut number = 0;
        let mut large = Vec::new();
        self.store.client.blocks(&keys, ROWS as usize * ROW, &mut |_, block| {
            let rows = block.as_chunks::<ROW>().0.iter().take(left.min(ROWS as usize));
            left -= rows.len();
            for row in rows {
                let row = row_of(row);
                if row.is_large() {
                    large.push((row, number));
                } else if row.seen.count > 0 {
                    each(row);
                }
                number += 1;
            }
            ControlFlow::Continue(())
        })?;
        let counts = large.iter_mut();
        let counts =
            counts.map(|(row, number)| (&mut row.seen, (kind, meta.volume(part.0), *number)));
        self.complete_counts(counts.collect())?;
        for (row, _) in large {
            each(row);
        }
        Ok(())
    }
}

impl RowTotal {
    fn sum(&self) -> NameTotal {
        let Self { count, time_first, time_last, is_least, .. } = *self;
        NameTotal { records: 1, count, time_first, time_last, is_least }
    }
}

/// Reserves room for up to this many items; growing would take twice as much. Blocks larger than [`KEPT`] go back to
/// the system when they are dropped, and room that is never used takes no memory.
fn try_with_capacity<T>(most: usize) -> Vec<T> {
    let mut room = Vec::new();
    // If a damaged store claims more than there is, it will not be used, either.
    room.try_reserve_exact(most.max(KEPT / size_of::<T>().max(1) + 1)).ok();
    room
}

fn name_on(line: &[u8]) -> Option<Name<'_>> {
    Name::from_canonical(std::str::from_utf8(line).ok()?).ok()
}

fn same_bits(one: &RowTotal, other: &RowTotal) -> bool {
    one.bits == other.bits
}
