//! Sums by a property that many rows share: a registrable domain, an address, a type, a label below a domain.
//!
//! Part of `query`; serves `pdns top --by`, `pdns subdomains`, and new and failed queries by domain. No index
//! has such sums, so every row that may count is read, one part of the store after another, and added up by
//! `tally`, which holds a bounded number of groups and reads again for the rest. The results are always exact.

mod ahead;
mod heavy;
mod key;
mod tally;

use super::order::TopN;
use super::{DAY, Filter, MAX_SORTED, Page, Text};
use crate::name::NameBuf;
use crate::store::{Each, Kind, NameTotal, Part, Reader, StoreError};
pub use key::{By, GroupKey};
use key::{KeyRef, Keyed, Keys};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tally::GroupRef;

/// Maximum number of groups held at once, about 25 MB of them.
pub const MAX_GROUPS: usize = 224_000;
/// Maximum number of groups of one pass if there is no limit, about 75 MB of them.
const MAX_KEPT: usize = 500_000;
/// Maximum number of names below a domain to look up one by one; if there are more, their part of the store is
/// read.
const LOOK_UPS: usize = 2_048;

/// Rows that share a key, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The shared key.
    pub key: GroupKey,
    /// Number of owner names.
    pub names: u64,
    /// Number of rows.
    pub records: u64,
    /// The sum of their counts.
    pub count: u64,
    /// Time of the first sighting of any row, in seconds since the epoch.
    pub time_first: u32,
    /// Time of the last sighting of any row, in seconds since the epoch.
    pub time_last: u32,
    /// True if `count` is a lower bound, as in [`NameTotal`].
    pub is_least: bool,
}

/// Definition of the groups to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The property to group rows by.
    pub by: By,
    /// Kind of the rows: records or negative answers.
    pub kind: Kind,
    /// Conditions that rows must meet to count.
    pub filter: Filter,
    /// Only groups that were first seen on this day, counted from 1970-01-01.
    pub first_on: Option<u32>,
}

/// Sort order of groups; ties sort by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSort {
    /// Most names first.
    Names,
    /// Highest count first.
    Count,
    /// Latest first sighting first.
    First,
    /// Latest last sighting first.
    Last,
    /// By key alone.
    Key,
}

/// All rows that were added up, whether their group is shown or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Owner names.
    pub names: u64,
    /// Rows.
    pub records: u64,
    /// The sum of their counts.
    pub count: u64,
    /// Below a domain: the number of names at each depth, in labels below it.
    pub depths: BTreeMap<u32, u64>,
}

/// A group with its rank; lower comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RankedGroup {
    rank: u64,
    key: GroupKey,
    names: u64,
    records: u64,
    count: u64,
    times: (u32, u32),
    is_least: bool,
}

impl RankedGroup {
    /// Returns the rank of a group; lower comes first.
    fn rank(group: GroupRef<'_>, sort: GroupSort) -> u64 {
        match sort {
            GroupSort::Names => u64::MAX - group.names,
            GroupSort::Count => u64::MAX - group.rows.count,
            GroupSort::First => u64::MAX - u64::from(group.rows.time_first),
            GroupSort::Last => u64::MAX - u64::from(group.rows.time_last),
            GroupSort::Key => 0,
        }
    }

    /// Compares a group of this rank and key with this one.
    fn compare(&self, rank: u64, key: KeyRef<'_>) -> Ordering {
        rank.cmp(&self.rank).then_with(|| key.compare(&self.key))
    }

    fn new(rank: u64, group: Group) -> Self {
        let Group { key, names, records, count, time_first, time_last, is_least } = group;
        Self { rank, key, names, records, count, times: (time_first, time_last), is_least }
    }

    fn group(self) -> Group {
        let Self { key, names, records, count, times: (time_first, time_last), is_least, .. } =
            self;
        Group { key, names, records, count, time_first, time_last, is_least }
    }
}

impl Grouping {
    /// Returns the grouping with the tags of the store, if it filters by tag and has none loaded yet.
    fn with_tags(&self, store: &mut Reader<'_>) -> Result<Cow<'_, Self>, StoreError> {
        Ok(match self.filter.with_tags(store)? {
            Cow::Borrowed(_) => Cow::Borrowed(self),
            Cow::Owned(filter) => Cow::Owned(Self { filter, ..self.clone() }),
        })
    }
}

/// Passes groups to `each` in order until it breaks, at most `limit` of them (0: all, in several passes if
/// there are more than fit in memory).
///
/// # Errors
/// [`StoreError`] when the store cannot be read; groups may have been returned before.
pub fn groups(
    store: &mut Reader<'_>,
    grouping: &Grouping,
    sort: GroupSort,
    limit: usize,
    each: &mut dyn FnMut(&Group) -> ControlFlow<()>,
) -> Result<(Page, Totals), StoreError> {
    groups_in(store, grouping, sort, limit, MAX_GROUPS, each)
}

/// Like [`groups`], but holding another number of groups (at least 1); the answer is the same.
///
/// # Errors
/// As [`groups`].
pub fn groups_in(
    store: &mut Reader<'_>,
    grouping: &Grouping,
    sort: GroupSort,
    limit: usize,
    most: usize,
    each: &mut dyn FnMut(&Group) -> ControlFlow<()>,
) -> Result<(Page, Totals), StoreError> {
    let grouping = &*grouping.with_tags(store)?;
    let mut page = Page::default();
    let mut totals = None;
    let mut after: Option<RankedGroup> = None;
    let walks = walks(store, grouping)?;
    loop {
        let left = super::left(limit, page.shown);
        let keep = match left {
            None => return Ok((page, totals.unwrap_or_default())),
            Some(0) => MAX_KEPT.min(most.max(1)),
            Some(left) => left.min(MAX_SORTED),
        };
        let mut kept: TopN<RankedGroup> = TopN::new(keep);
        let mut take = |group: GroupRef<'_>| {
            let rank = RankedGroup::rank(group, sort);
            if after.as_ref().is_some_and(|after| after.compare(rank, group.key).is_le()) {
                return;
            }
            match kept.worst() {
                Some(worst) if worst.compare(rank, group.key).is_gt() => kept.refuse(),
                _ => kept.offer(RankedGroup::new(rank, group.to_group())),
            }
        };
        let counted = if grouping.by == By::Addresses && sort == GroupSort::Count && limit != 0 {
            // One more than fits, to know whether anything is left out.
            let wanted = keep.saturating_add(usize::try_from(page.shown).unwrap_or(usize::MAX));
            heavy::tally(store, grouping, &walks, wanted.saturating_add(1), most, &mut take)?
        } else {
            tally::tally(store, grouping, &walks, most, &|_| true, &mut take)?
        };
        totals.get_or_insert(counted);
        let more = kept.overflowed();
        let kept = kept.into_sorted();
        after = kept.last().cloned();
        for place in kept {
            page.shown += 1;
            if each(&place.group()).is_break() {
                return Ok((page, totals.unwrap_or_default()));
            }
        }
        if !more || super::left(limit, page.shown).is_none() {
            page.cut = more;
            return Ok((page, totals.unwrap_or_default()));
        }
    }
}

/// Returns the number of groups first seen on each day, by days since the epoch.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn days(store: &mut Reader<'_>, grouping: &Grouping) -> Result<BTreeMap<u32, u64>, StoreError> {
    let grouping = &*grouping.with_tags(store)?;
    let mut days = BTreeMap::new();
    let walks = walks(store, grouping)?;
    tally::tally(store, grouping, &walks, MAX_GROUPS, &|_| true, &mut |group| {
        *days.entry(group.rows.time_first / DAY).or_default() += 1;
    })?;
    Ok(days)
}

/// Rows that are read together.
enum GroupWalk {
    Part(Part),
    Names(Vec<NameBuf>),
}

impl GroupWalk {
    /// Passes the rows that match the filter to the callback, with their keys.
    fn keyed(
        &self,
        store: &mut Reader<'_>,
        grouping: &Grouping,
        keys: &mut Keys<'_>,
        each: &mut dyn FnMut(&Keyed<'_>, &NameTotal),
    ) -> Result<(), StoreError> {
        let (kind, filter) = (grouping.kind, &grouping.filter);
        if let Self::Part(part) = self
            && matches!(grouping.by, By::Addresses | By::RrTypes)
            && filter.tag.is_none()
        {
            let mut first_of_owner = false;
            return store.scan_unnamed(kind, *part, &mut |one| {
                first_of_owner |= one.first_of_owner;
                if filter.admits_fact(one.fact, one.seen) {
                    let rows = NameTotal::of(one.seen);
                    // The first row that passes may not be the owner's first row.
                    let first = std::mem::take(&mut first_of_owner);
                    if let Some(keyed) = keys.of_fact(first, one.fact, &rows) {
                        each(&keyed, &rows);
                    }
                }
            });
        }
        self.rows(store, kind, &mut |row| {
            if filter.admits(&row)
                && let Some(keyed) = keys.of(&row)
            {
                each(&keyed, &NameTotal::of(&row.seen));
            }
            ControlFlow::Continue(())
        })
    }

    fn rows(&self, store: &mut Reader<'_>, kind: Kind, each: Each<'_>) -> Result<(), StoreError> {
        match self {
            Self::Part(part) => store.scan_records_in(kind, *part, each).map(|_| ()),
            Self::Names(names) => store.records_by_names(names, each),
        }
    }
}

/// Returns walks over all rows that may count: by name for a few names below a domain, otherwise by part of the
/// store.
fn walks(store: &mut Reader<'_>, grouping: &Grouping) -> Result<Vec<GroupWalk>, StoreError> {
    let apex = grouping.by.apex();
    if let Some(apex) = apex
        && grouping.kind == Kind::Record
    {
        let text = Text { below: Some(apex.clone()), ..Text::default() };
        let mut names = Vec::new();
        store.names(Some(apex.as_name()), &mut |block| {
            text.search(block, &mut |name| {
                names.push(name.to_buf());
                if names.len() > LOOK_UPS {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        })?;
        if names.len() <= LOOK_UPS {
            names.sort_unstable();
            names.dedup();
            return Ok(vec![GroupWalk::Names(names)]);
        }
    }
    let parts = store.parts(apex.map(NameBuf::as_name));
    Ok(parts.into_iter().map(GroupWalk::Part).collect())
}
