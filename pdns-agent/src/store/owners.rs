//! Sums for each owner name, without its records: how many there are, how often and when they were seen.
//!
//! Beside `store/scan.rs`, for questions that need all names and no RDATA. To read all buckets for them takes more than ten
//! seconds at ten million names; rows and name logs are read in half a second. A row tells 24 bits of its owner's hash,
//! and a name's hash can be worked out from its text, so the two are joined here. Where two names of a partition share
//! those bits, as one in a hundred does, their buckets are asked.

use super::encoding::row_of;
use super::keys::{Kind, LOG, Pointer, ROW, ROWS, low24};
use super::lookup::Each;
use super::resolve::PAGE;
use super::scan::Part;
use super::{Store, StoreError};
use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;

/// Rows of one owner, added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerSum {
    /// How many rows.
    pub records: u64,
    /// The sum of their counts.
    pub count: u64,
    /// First time any was seen, in seconds since the epoch.
    pub time_first: u32,
    /// Last time any was seen, in seconds since the epoch.
    pub time_last: u32,
}

impl OwnerSum {
    /// The sum of one row.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        Self {
            records: 1,
            count: seen.count.into(),
            time_first: seen.time_first,
            time_last: seen.time_last,
        }
    }

    /// Adds another's rows.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.count += other.count;
        self.time_first = self.time_first.min(other.time_first);
        self.time_last = self.time_last.max(other.time_last);
    }
}

/// Names that share what a row knows of its owner: one, nearly always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(Pointer);

/// What is known of a slot while its partition is read; there may be a million of them.
struct Joined {
    count: u64,
    records: u32,
    time_first: u32,
    time_last: u32,
    /// Names of the log with these bits; more than one is all the same.
    names: u8,
}

impl Joined {
    const NONE: Self = Self { count: 0, records: 0, time_first: u32::MAX, time_last: 0, names: 0 };

    fn add(&mut self, seen: &Seen) {
        self.count += u64::from(seen.count);
        self.records += 1;
        self.time_first = self.time_first.min(seen.time_first);
        self.time_last = self.time_last.max(seen.time_last);
    }

    fn sum(&self) -> OwnerSum {
        OwnerSum {
            records: self.records.into(),
            count: self.count,
            time_first: self.time_first,
            time_last: self.time_last,
        }
    }
}

/// 24 bits of a keyed hash need no other hash, only a spread over all bits.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, bits: u32) {
        self.0 = u64::from(bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Slots = HashMap<u32, Joined, BuildHasherDefault<Spread>>;

impl Store {
    /// The sums of all slots, of the rows that `admits` lets through, in no special order.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn slots(
        &mut self,
        kind: Kind,
        admits: impl Fn(&Seen) -> bool,
        mut each: impl FnMut(Slot, &OwnerSum),
    ) -> Result<(), StoreError> {
        for part in self.parts(None) {
            for (bits, joined) in self.slots_of(kind, part, &admits)? {
                each(Slot(Pointer::new(part.0, bits)), &joined.sum());
            }
        }
        Ok(())
    }

    /// The records of all names of these slots, name by name.
    ///
    /// # Errors
    /// As [`Store::of_name`].
    pub fn of_slots(&mut self, slots: &[Slot], each: Each<'_>) -> Result<(), StoreError> {
        let pointers = slots.iter().map(|slot| slot.0).collect();
        self.of_pointers(pointers, each)
    }

    /// The sum of each name of a part that has rows which `admits` lets through, in no special order. Holds one
    /// partition's names at a time.
    ///
    /// # Errors
    /// When Redis does not answer, or what it holds does not read.
    pub fn owners_in(
        &mut self,
        kind: Kind,
        part: Part,
        admits: impl Fn(&Seen) -> bool,
        each: &mut dyn FnMut(Name<'_>, &OwnerSum),
    ) -> Result<(), StoreError> {
        let mut slots = self.slots_of(kind, part, &admits)?;
        // The names come after the rows: one whose rows were read is among them.
        let meta = *self.metas(kind, [part.0])?.first().ok_or(StoreError::Reply)?;
        let keys = self.log_blocks(kind, part.0, &meta);
        let hasher = self.router.hasher().clone();
        let mut names: Vec<u8> = Vec::with_capacity(keys.len() * LOG as usize);
        let mut bits = Vec::new();
        self.link.strings(&keys, &mut |_, block| {
            for line in super::scan::lines(block).split_inclusive(|&octet| octet == b'\n') {
                let name = line.strip_suffix(b"\n").unwrap_or(line);
                let of_name = low24(hasher.octets(name));
                if let Some(slot) = slots.get_mut(&of_name) {
                    slot.names = slot.names.saturating_add(1);
                    names.extend_from_slice(line);
                    bits.push(of_name);
                }
            }
            ControlFlow::Continue(())
        })?;
        let mut shared: Vec<NameBuf> = Vec::new();
        for (line, bits) in names.split(|&octet| octet == b'\n').zip(bits) {
            let name = std::str::from_utf8(line).ok();
            // A line that is not a canonical name has no rows; `pdns admin verify` tells of it.
            let name = name.and_then(|name| Name::from_canonical(name).ok());
            let (Some(name), Some(slot)) = (name, slots.get(&bits)) else { continue };
            if slot.names > 1 {
                shared.push(name.to_buf());
            } else {
                each(name, &slot.sum());
            }
        }
        // A log may hold a name twice.
        shared.sort_unstable();
        shared.dedup();
        self.owners_one_by_one(kind, &shared, &admits, each)
    }

    /// The sums of these names, from their buckets.
    fn owners_one_by_one(
        &mut self,
        kind: Kind,
        names: &[NameBuf],
        admits: &impl Fn(&Seen) -> bool,
        each: &mut dyn FnMut(Name<'_>, &OwnerSum),
    ) -> Result<(), StoreError> {
        for names in names.chunks(PAGE) {
            let mut rows = Vec::new();
            let mut owners = Vec::new();
            for (owner, entry) in self.entries_of(kind, names)?.into_iter().enumerate() {
                let Some(entry) = entry else { continue };
                let partition = entry.partition;
                self.each_record(kind, &entry, &mut |_, page| {
                    rows.extend(page.iter().map(|&(_, row)| (kind, partition, row)));
                    owners.resize(rows.len(), owner);
                    Ok(true)
                })?;
            }
            let mut sums: Vec<Option<OwnerSum>> = vec![None; names.len()];
            for (seen, owner) in self.sums(&rows)?.into_iter().zip(owners) {
                let Some((seen, _)) = seen.filter(|(seen, _)| seen.count > 0 && admits(seen))
                else {
                    continue;
                };
                let Some(sum) = sums.get_mut(owner) else { continue };
                let one = OwnerSum::of(&seen);
                match sum {
                    Some(sum) => sum.add(&one),
                    None => *sum = Some(one),
                }
            }
            for (name, sum) in names.iter().zip(sums) {
                if let Some(sum) = sum {
                    each(name.as_name(), &sum);
                }
            }
        }
        Ok(())
    }

    /// The rows of one part, added up by slot.
    fn slots_of(
        &mut self,
        kind: Kind,
        part: Part,
        admits: &impl Fn(&Seen) -> bool,
    ) -> Result<Slots, StoreError> {
        let meta = *self.metas(kind, [part.0])?.first().ok_or(StoreError::Reply)?;
        let keys = self.row_blocks(kind, part.0, &meta);
        let mut slots = Slots::default();
        let mut left = meta.rows as usize;
        self.link.strings(&keys, &mut |_, block| {
            let rows = block.as_chunks::<ROW>().0.iter().take(left.min(ROWS as usize));
            left -= rows.len();
            for row in rows {
                let (seen, bits) = row_of(row);
                if seen.count == 0 || !admits(&seen) {
                    continue;
                }
                slots.entry(bits).or_insert(Joined::NONE).add(&seen);
            }
            ControlFlow::Continue(())
        })?;
        Ok(slots)
    }
}
