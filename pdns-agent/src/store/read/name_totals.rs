//! Sums for each owner name, without its records: how many there are, how often and when they were seen.
//!
//! Beside `store/read/scan.rs`, for questions that need all names and no RDATA. To read all buckets for them takes
//! seconds at ten million names; rows and name logs are read in half a second. A row tells 24 bits of its owner's hash,
//! and a name's hash can be worked out from its text, so the two are joined here: both are sorted by those bits, which is
//! kinder to memory than a table of a million places, and the names are handed out as the log has them, so that their
//! text is gone through once and in order. Where two names of a partition share the bits, as one in a hundred does, their
//! buckets are asked.

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

/// Rows of one owner, added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTotal {
    /// How many rows.
    pub records: u64,
    /// The sum of their counts.
    pub count: u64,
    /// First time any was seen, in seconds since the epoch.
    pub time_first: u32,
    /// Last time any was seen, in seconds since the epoch.
    pub time_last: u32,
    /// Whether `count` is a lower bound: that of a row is at the limit of its field.
    pub is_least: bool,
}

impl NameTotal {
    /// The sum of one row.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        Self {
            records: 1,
            count: seen.count.into(),
            time_first: seen.time_first,
            time_last: seen.time_last,
            is_least: seen.is_count_saturated(),
        }
    }

    /// Adds another's rows.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.count += other.count;
        self.time_first = self.time_first.min(other.time_first);
        self.time_last = self.time_last.max(other.time_last);
        self.is_least |= other.is_least;
    }
}

/// The sums of the names of one part.
#[derive(Debug, Default)]
pub struct NameTotals {
    /// The lines of names, as the log has them, and the sum of each.
    text: Vec<u8>,
    sums: Vec<NameTotal>,
    /// Names whose records had to be asked for.
    asked: Vec<(NameBuf, NameTotal)>,
}

impl NameTotals {
    /// Hands out each name that has rows with its sum, in no special order.
    pub fn each<'o>(&'o self, each: &mut dyn FnMut(Name<'o>, &'o NameTotal)) {
        for (line, sum) in self.lines().filter(|(_, sum)| sum.records > 0 && **sum != SHARED) {
            // A line that is not a canonical name has no rows; `pdns admin verify` tells of it.
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

/// Names that share what a row knows of its owner: one, nearly always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashSlot(Pointer);

/// Rows of one owner, or of those that share a slot; there may be a million of them.
#[derive(Clone, Copy)]
struct RowTotal {
    bits: u32,
    count: u32,
    time_first: u32,
    time_last: u32,
}

/// Names of a log that rows may belong to.
struct Names {
    /// Their lines, as the log has them.
    text: Vec<u8>,
    /// For each line its bits above its number, sorted.
    lines: Vec<u64>,
}

/// The sum of a name without rows.
const NO_ROWS: NameTotal =
    NameTotal { records: 0, count: 0, time_first: u32::MAX, time_last: 0, is_least: false };
/// Stands for the sum of a name that has to be asked for.
const SHARED: NameTotal = NameTotal { records: u64::MAX, ..NO_ROWS };

/// The largest piece of memory that an allocator keeps for later when it is given back: that of glibc learns to keep pieces
/// of up to 32 MiB. Each part has pieces of other sizes, and what is kept of one is seldom of use to the next.
const KEPT: usize = 32 << 20;

/// Bits of a slot's number that choose a counter: few enough for them to stay at hand.
const COUNTER_BITS: u32 = 17;

/// 24 bits of a keyed hash need no other hash, only a spread over all bits.
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
    /// How often the names of each slot were counted, in no special order, of the rows that `admits` lets through by what
    /// they tell. `each` answers how often a slot must have been counted from now on to be worth telling; whether any was
    /// not told.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn slots(
        &mut self,
        kind: Kind,
        admits: impl Fn(&Seen, TypeCode) -> bool,
        mut each: impl FnMut(HashSlot, u64) -> u64,
    ) -> Result<bool, StoreError> {
        let (mut least, mut passed) = (0, false);
        let mut rows: Vec<(u32, u32)> = Vec::new();
        let mut counters = vec![0_u64; 1 << COUNTER_BITS];
        let mut slots: HashMap<u32, u64, BuildHasherDefault<MulHasher>> = HashMap::default();
        let counter = |bits: u32| (bits & ((1 << COUNTER_BITS) - 1)) as usize;
        for part in self.parts(None) {
            rows.clear();
            counters.fill(0);
            let meta = self.meta(kind, part)?;
            self.each_row(kind, part, &meta, &mut |RowRead { seen, bits, told }| {
                if admits(&seen, told) {
                    rows.push((bits, seen.count));
                    if let Some(sum) = counters.get_mut(counter(bits)) {
                        *sum += u64::from(seen.count);
                    }
                }
            })?;
            // No slot was counted more often than all that share its counter.
            for &(bits, count) in &rows {
                if counters.get(counter(bits)).is_some_and(|&sum| sum >= least) {
                    *slots.entry(bits).or_default() += u64::from(count);
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

    /// The records of all names of these slots, name by name.
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

    /// How many rows a part has.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn rows_in(&mut self, kind: Kind, part: Part) -> Result<u32, StoreError> {
        Ok(self.meta(kind, part)?.rows)
    }

    /// The sum of each name of a part that has rows which pass: by what they tell, if `admits` can say it of all of them,
    /// and else as `admits_row` has it.
    ///
    /// # Errors
    /// When Redis does not answer, or what it holds does not read.
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

    /// The names that were first seen on one day (days since the epoch), with the time, in no special order.
    ///
    /// # Errors
    /// When Redis does not answer, or what it holds does not read.
    pub fn new_on(
        &mut self,
        day: u32,
        each: &mut dyn FnMut(Name<'_>, u32) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let kind = Kind::Record;
        let mut flow = ControlFlow::Continue(());
        // What was first seen later makes no name older.
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

    /// The names of a part that rows belong to. The rows are all that `admits` lets through of their owners, sorted by
    /// bits.
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
        // The names come after the rows: one whose rows were read is among them.
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

    /// The names of a part that rows may belong to.
    fn load_names(
        &mut self,
        kind: Kind,
        part: Part,
        rows: &[RowTotal],
    ) -> Result<Names, StoreError> {
        // A sieve: where there are few rows, few names pass it.
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

    /// The sums of these names, from their buckets.
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
                let partition = entry.partition;
                self.for_each_record(kind, &entry, &mut |_, page| {
                    rows.extend(page.iter().map(|&(_, row)| (kind, partition, row)));
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

    /// The rows of one part that `admits` lets through, sorted by bits; `None` if it cannot say of some row.
    fn summed(
        &mut self,
        kind: Kind,
        part: Part,
        admits: &impl Fn(&Seen, TypeCode) -> Option<bool>,
    ) -> Result<Option<Vec<RowTotal>>, StoreError> {
        let meta = self.meta(kind, part)?;
        let (mut rows, mut is_sure) = (try_with_capacity(meta.rows as usize), true);
        let each = &mut |RowRead { seen, bits, told }: RowRead| match admits(&seen, told) {
            Some(true) => {
                let Seen { count, time_first, time_last, .. } = seen;
                rows.push(RowTotal { bits, count, time_first, time_last });
            }
            Some(false) => {}
            None => is_sure = false,
        };
        self.each_row(kind, part, &meta, each)?;
        rows.sort_unstable_by_key(|row| row.bits);
        Ok(is_sure.then_some(rows))
    }

    /// The rows of one part that are in use.
    fn each_row(
        &mut self,
        kind: Kind,
        part: Part,
        meta: &Meta,
        each: &mut impl FnMut(RowRead),
    ) -> Result<(), StoreError> {
        let keys = self.row_blocks(kind, part.0, meta);
        let mut left = meta.rows as usize;
        self.store.client.blocks(&keys, ROWS as usize * ROW, &mut |_, block| {
            let rows = block.as_chunks::<ROW>().0.iter().take(left.min(ROWS as usize));
            left -= rows.len();
            for row in rows {
                let row = row_of(row);
                if row.seen.count > 0 {
                    each(row);
                }
            }
            ControlFlow::Continue(())
        })
    }
}

impl RowTotal {
    fn sum(&self) -> NameTotal {
        let Self { count, time_first, time_last, .. } = *self;
        let is_least = count == u32::MAX;
        NameTotal { records: 1, count: count.into(), time_first, time_last, is_least }
    }
}

/// Room for so many things, at most: to grow would take twice as much. What is larger than [`KEPT`] goes back to the system
/// when it is dropped; room that is never used takes no memory.
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
