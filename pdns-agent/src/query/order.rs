//! Sort orders of answers, and selection of the first rows in bounded memory.
//!
//! Part of `query`. Every order is total (ties sort by name, type and RDATA), so that the same query to the
//! same store gives the same answer, line for line.

use crate::observation::Seen;
use crate::record::StoredRecord;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

/// Maximum number of rows held for sorting, about 50 MB of them.
pub const MAX_SORTED: usize = 200_000;

/// Number of items that one pass over the store may hold, for answers that take several passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// The minimum of names or rows per pass, at least 1; a smaller pass is not worth its cost, even for a
    /// small limit.
    pub least: usize,
    /// The maximum, at least `least`: 262,144 names take about 15 MB.
    pub most: usize,
}

impl Default for Passes {
    fn default() -> Self {
        Self { least: 1_024, most: 262_144 }
    }
}

/// Sort order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Highest count first.
    Count,
    /// Latest first sighting first.
    First,
    /// Latest last sighting first.
    Last,
    /// By the text of the name.
    Name,
    /// Lowest TTL first, by the largest TTL seen; rows without a TTL come last.
    Ttl,
}

impl Sort {
    /// Returns the rank of a row with these statistics; lower comes first.
    #[must_use]
    pub fn rank(self, seen: &Seen) -> u64 {
        match self {
            Self::Count => u64::MAX - seen.count,
            Self::First => u64::MAX - u64::from(seen.time_first),
            Self::Last => u64::MAX - u64::from(seen.time_last),
            Self::Name => 0,
            Self::Ttl if seen.ttl_min == Seen::NO_TTL => u64::MAX,
            Self::Ttl => seen.ttl_max.into(),
        }
    }
}

/// Collects the `keep` smallest of the items offered.
#[derive(Debug)]
pub(super) struct TopN<T> {
    keep: usize,
    heap: BinaryHeap<T>,
    refused: bool,
}

impl<T: Ord> TopN<T> {
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, heap: BinaryHeap::new(), refused: false }
    }

    /// Returns the item that the next one must beat; `None` while there is room.
    pub(super) fn worst(&self) -> Option<&T> {
        if self.heap.len() < self.keep { None } else { self.heap.peek() }
    }

    /// Records that an item was not offered because [`TopN::worst`] beats it.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    pub(super) fn offer(&mut self, item: T) {
        self.heap.push(item);
        if self.heap.len() > self.keep {
            self.heap.pop();
            self.refused = true;
        }
    }

    /// Returns true if more items were offered than are kept.
    pub(super) fn overflowed(&self) -> bool {
        self.refused
    }

    pub(super) fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

/// A row with its rank, which determines its order.
#[derive(Debug, PartialEq, Eq)]
struct SortedRow {
    rank: u64,
    row: StoredRecord,
}

impl Ord for SortedRow {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank
            .cmp(&other.rank)
            .then_with(|| self.row.rrname.cmp(&other.row.rrname))
            // Records by type and RDATA before negative answers by type and outcome.
            .then_with(|| self.row.fact.cmp(&other.row.fact))
    }
}

impl PartialOrd for SortedRow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Sorts rows and passes on the first of them.
///
/// With a limit of up to [`MAX_SORTED`], exactly the first rows are returned. Otherwise up to that many rows
/// are buffered; if there are more, they and all further rows are passed on in the order they were read.
#[derive(Debug)]
pub(super) struct Sorter {
    sort: Sort,
    limit: usize,
    kept: TopN<SortedRow>,
    streaming: bool,
    /// Number of rows passed on.
    shown: usize,
    /// True if more rows were offered than the limit allows.
    cut: bool,
}

/// Summary of a finished [`Sorter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) shown: usize,
    pub(super) cut: bool,
    pub(super) unsorted: bool,
}

/// Callback that takes rows; breaks if it wants no more.
pub type Each<'e> = dyn FnMut(StoredRecord) -> ControlFlow<()> + 'e;

impl Sorter {
    /// Creates a sorter; `limit` 0 means no limit.
    pub(super) fn new(sort: Sort, limit: usize) -> Self {
        let keep = if limit == 0 || limit > MAX_SORTED { MAX_SORTED } else { limit };
        Self { sort, limit, kept: TopN::new(keep), streaming: false, shown: 0, cut: false }
    }

    /// Returns true if more rows were offered than the limit allows.
    pub(super) fn is_cut(&self) -> bool {
        self.cut || (self.bounded() && self.kept.overflowed())
    }

    /// Returns true if there are as many rows as the limit allows.
    pub(super) fn is_full(&self) -> bool {
        self.bounded() && self.kept.worst().is_some()
    }

    fn bounded(&self) -> bool {
        self.limit != 0 && self.limit <= MAX_SORTED
    }

    /// Takes a row; breaks if no further row can matter.
    pub(super) fn offer(&mut self, row: StoredRecord, each: &mut Each<'_>) -> ControlFlow<()> {
        if self.streaming {
            return self.emit(row, each);
        }
        let placed = SortedRow { rank: self.sort.rank(&row.seen), row };
        match self.kept.worst() {
            None => self.kept.offer(placed),
            Some(_) if !self.bounded() => {
                self.streaming = true;
                let kept = std::mem::replace(&mut self.kept, TopN::new(0));
                for placed in kept.heap.into_vec() {
                    self.emit(placed.row, each)?;
                }
                return self.emit(placed.row, each);
            }
            Some(worst) if placed < *worst => self.kept.offer(placed),
            Some(_) => self.kept.refuse(),
        }
        ControlFlow::Continue(())
    }

    fn emit(&mut self, row: StoredRecord, each: &mut Each<'_>) -> ControlFlow<()> {
        if self.limit != 0 && self.shown >= self.limit {
            self.cut = true;
            return ControlFlow::Break(());
        }
        self.shown += 1;
        each(row)
    }

    /// Passes on the buffered rows.
    pub(super) fn finish(mut self, each: &mut Each<'_>) -> (Sorted, ControlFlow<()>) {
        let cut = self.is_cut();
        let kept = std::mem::replace(&mut self.kept, TopN::new(0));
        let mut flow = ControlFlow::Continue(());
        for placed in kept.into_sorted() {
            flow = self.emit(placed.row, each);
            if flow.is_break() {
                break;
            }
        }
        (Sorted { shown: self.shown, cut: cut || self.cut, unsorted: self.streaming }, flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::rows::{a, counted};
    use proptest::prelude::*;

    fn sort(sort: Sort, limit: usize, rows: Vec<StoredRecord>) -> (Vec<StoredRecord>, Sorted) {
        let mut out = Vec::new();
        let mut each = |row| {
            out.push(row);
            ControlFlow::Continue(())
        };
        let mut sorter = Sorter::new(sort, limit);
        for row in rows {
            if sorter.offer(row, &mut each).is_break() {
                break;
            }
        }
        let (end, _) = sorter.finish(&mut each);
        (out, end)
    }

    #[test]
    fn the_limit_keeps_the_first_and_says_that_it_cut() {
        let rows = vec![counted("b", 5), counted("c", 9), counted("a", 5), counted("d", 1)];
        let (out, sorted) = sort(Sort::Count, 3, rows.clone());
        let names: Vec<_> = out.iter().map(|row| row.rrname.as_str()).collect();
        assert_eq!(names, ["c", "a", "b"]);
        assert_eq!(sorted, Sorted { shown: 3, cut: true, unsorted: false });
        let (_, sorted) = sort(Sort::Count, 4, rows);
        assert_eq!(sorted, Sorted { shown: 4, cut: false, unsorted: false });
    }

    #[test]
    fn what_is_too_much_to_sort_streams() {
        let rows =
            |count: usize| (0..count).map(|at| a("x", u8::try_from(at % 251).unwrap())).collect();
        let (out, sorted) = sort(Sort::Last, 0, rows(MAX_SORTED + 2));
        assert_eq!(out.len(), MAX_SORTED + 2);
        assert_eq!(sorted, Sorted { shown: MAX_SORTED + 2, cut: false, unsorted: true });
        let (out, sorted) = sort(Sort::Last, MAX_SORTED + 1, rows(MAX_SORTED + 2));
        assert_eq!(out.len(), MAX_SORTED + 1);
        assert!(sorted.cut && sorted.unsorted);
    }

    #[test]
    fn a_ttl_that_is_unknown_comes_last() {
        let known = Seen { ttl_min: 1, ttl_max: 4_000_000, ..Seen::default() };
        assert!(Sort::Ttl.rank(&known) < Sort::Ttl.rank(&Seen::default()));
    }

    proptest! {
        #[test]
        fn the_heap_agrees_with_sorting(counts in prop::collection::vec(0u64..9, 0..60), limit in 1usize..20) {
            let rows: Vec<_> =
                counts.iter().enumerate().map(|(at, &count)| counted(&format!("n{at}"), count)).collect();
            let (out, sorted) = sort(Sort::Count, limit, rows.clone());
            let mut want = rows;
            want.sort_by(|left, right| {
                right.seen.count.cmp(&left.seen.count).then_with(|| left.rrname.cmp(&right.rrname))
            });
            prop_assert_eq!(sorted.cut, want.len() > limit);
            want.truncate(limit);
            prop_assert_eq!(out, want);
        }
    }
}
