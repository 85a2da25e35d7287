//! The names with the highest counts.
//!
//! Part of `query`. If a filter has conditions only on times, TTLs and types, the rows tell approximately which
//! owners have the highest counts. A row identifies its owner only by a 32-bit slot (the partition and 24 bits
//! of the hash), which a few names may share, and no name has a higher count than its slot. So the names of the
//! best slots are looked up. If the last name of the answer then has a higher count than any remaining slot,
//! the answer is complete. Otherwise, for example if all names were counted once, every record is read.

use super::Filter;
use super::order::TopN;
use crate::name::NameBuf;
use crate::store::{HashSlot, Kind, NameTotal, Reader, StoreError};
use std::cell::Cell;
use std::ops::ControlFlow;

/// Number of slots to look up for each name of the answer, and the minimum.
const LOOK_UPS: (usize, usize) = (2, 64);
/// Maximum number of names for which slots are looked up; for more, reading every record is no more expensive.
const MAX_WANTED: usize = 10_000;

/// The total of all records of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSum {
    /// The name.
    pub rrname: NameBuf,
    /// The total.
    pub sum: NameTotal,
}

/// A total ordered by rank: highest count first, then by name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RankedName {
    rank: u64,
    rrname: NameBuf,
    records: u64,
    time_first: u32,
    time_last: u32,
    is_least: bool,
}

impl RankedName {
    fn of(rrname: NameBuf, sum: &NameTotal) -> Self {
        let NameTotal { records, count, time_first, time_last, is_least } = *sum;
        Self { rank: u64::MAX - count, rrname, records, time_first, time_last, is_least }
    }

    fn sum(self) -> NameSum {
        let Self { rank, rrname, records, time_first, time_last, is_least } = self;
        let count = u64::MAX - rank;
        NameSum { rrname, sum: NameTotal { records, count, time_first, time_last, is_least } }
    }
}

/// Returns the names whose records have the highest counts, best first, at most `limit` (at least 1, at most
/// [`super::MAX_SORTED`]), and true if the limit left any out. Only records that pass `filter` are added up.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn top_names(
    store: &mut Reader<'_>,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<NameSum>, bool), StoreError> {
    let filter = &*filter.with_tags(store)?;
    let limit = limit.clamp(1, super::MAX_SORTED);
    let found = if filter.outcome.is_some() || filter.tag.is_some() || limit > MAX_WANTED {
        None
    } else {
        of_slots(store, filter, limit)?
    };
    let (kept, cut) = match found {
        Some(found) => found,
        None => of_all(store, filter, limit)?,
    };
    Ok((kept.into_iter().map(RankedName::sum).collect(), cut))
}

/// Finds the names by slots; returns `None` if that is not sufficient.
fn of_slots(
    store: &mut Reader<'_>,
    filter: &Filter,
    limit: usize,
) -> Result<Option<(Vec<RankedName>, bool)>, StoreError> {
    let mut best: TopN<(u64, HashSlot)> = TopN::new((limit * LOOK_UPS.0).max(LOOK_UPS.1));
    let (types, is_sure) = (filter.told_types(), Cell::new(true));
    let passed = store.slots(
        Kind::Record,
        |seen, told| {
            let admits = filter.matches_row(types, seen, told);
            is_sure.set(is_sure.get() && admits.is_some());
            admits != Some(false)
        },
        |slot, count| {
            let place = (u64::MAX - count, slot);
            match best.worst() {
                Some(worst) if *worst < place => best.refuse(),
                _ => best.offer(place),
            }
            best.worst().map_or(0, |worst| u64::MAX - worst.0)
        },
    )?;
    let left = passed || best.overflowed();
    let best = best.into_sorted();
    let slots: Vec<HashSlot> = best.iter().map(|&(_, slot)| slot).collect();
    let mut names = Adder::new(limit);
    store.records_by_slots(&slots, &mut |row| {
        if filter.admits(&row) {
            names.add(row.rrname, &NameTotal::of(&row.seen));
        }
        ControlFlow::Continue(())
    })?;
    let (kept, cut) = names.end();
    if !left {
        return Ok(Some((kept, cut)));
    }
    // No name that was left out is better than the last slot that was looked up.
    let (worst, enough) = (best.last().map_or(0, |place| place.0), kept.len() == limit);
    let last = kept.last().map_or(u64::MAX, |place| place.rank);
    // If the type codes cannot tell whether rows pass, perhaps none of the remaining ones does.
    Ok((enough && last < worst && (cut || is_sure.get())).then_some((kept, true)))
}

/// Finds the names by reading every record.
fn of_all(
    store: &mut Reader<'_>,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<RankedName>, bool), StoreError> {
    let mut names = Adder::new(limit);
    // The records of a name are adjacent.
    store.scan_records(Kind::Record, &mut |row| {
        if filter.admits(&row) {
            names.add(row.rrname, &NameTotal::of(&row.seen));
        }
        ControlFlow::Continue(())
    })?;
    Ok(names.end())
}

/// Adds up records that arrive name by name, and keeps the best names.
struct Adder {
    last: Option<(NameBuf, NameTotal)>,
    kept: TopN<RankedName>,
}

impl Adder {
    fn new(limit: usize) -> Self {
        Self { last: None, kept: TopN::new(limit) }
    }

    fn add(&mut self, rrname: NameBuf, one: &NameTotal) {
        match &mut self.last {
            Some((name, sum)) if *name == rrname => sum.add(one),
            last => {
                if let Some((name, sum)) = last.replace((rrname, *one)) {
                    self.kept.offer(RankedName::of(name, &sum));
                }
            }
        }
    }

    /// Returns the best names in order, and true if any was left out.
    fn end(mut self) -> (Vec<RankedName>, bool) {
        if let Some((name, sum)) = self.last {
            self.kept.offer(RankedName::of(name, &sum));
        }
        let cut = self.kept.overflowed();
        (self.kept.into_sorted(), cut)
    }
}
