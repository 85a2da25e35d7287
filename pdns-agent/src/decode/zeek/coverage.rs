//! Coverage by pdns.log of the dns.log rows that our Zeek package marked.
//!
//! Under `zeek`. A marked row is skipped, because pdns.log has its content. However, Zeek writes that content
//! up to a window later, and not at all if it is killed before. [`Coverage`] therefore counts the marked rows
//! whose content may be missing.

use std::collections::BTreeMap;

/// Maximum number of seconds whose rows are counted separately; earlier ones are counted together.
const MAX_SECONDS: usize = 4096;

/// The end of pdns.log, and the number of marked dns.log rows that it may not cover.
///
/// Logs are read in any order, so rows are kept by second until the end of pdns.log is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The end of pdns.log; `None` if no line of it was read.
    end: Option<End>,
    /// Number of marked rows that may not be covered, for each of the newest seconds.
    rows: BTreeMap<u32, u64>,
    /// Number of marked rows older than those, and the time of the newest.
    older: Option<(u64, u32)>,
}

/// The newest times in the lines of pdns.log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    /// Newest first observation. Zeek writes lines in this order, so everything observed until then has been
    /// written.
    first: u32,
    /// Newest last observation. Nothing is missing if no marked row is newer.
    last: u32,
}

impl Coverage {
    /// Counts a marked row of dns.log.
    pub(super) fn mark(&mut self, at: u32) {
        self.add(at, 1);
    }

    /// Records a line of pdns.log, with the times of its first and last observation.
    pub(super) fn extend(&mut self, first: u32, last: u32) {
        let known = self.end.unwrap_or(End { first, last });
        let end = End { first: known.first.max(first), last: known.last.max(last) };
        if self.end == Some(end) {
            return;
        }
        self.end = Some(end);
        self.rows.retain(|&second, _| second > end.first);
        self.older = self.older.filter(|&(_, newest)| newest > end.first);
    }

    /// Adds the coverage from other logs.
    pub fn merge(&mut self, other: &Self) {
        if let Some(End { first, last }) = other.end {
            self.extend(first, last);
        }
        if let Some((count, newest)) = other.older
            && self.may_lack(newest)
        {
            self.put_aside(count, newest);
        }
        for (&second, &count) in &other.rows {
            self.add(second, count);
        }
    }

    /// Number of marked rows whose content may not be in pdns.log; `None` if no line of pdns.log was read.
    #[must_use]
    pub fn uncovered(&self) -> Option<u64> {
        let end = self.end?;
        let (older, newest_older) = self.older.unwrap_or_default();
        let newest = self.rows.last_key_value().map_or(newest_older, |(&second, _)| second);
        if newest <= end.last {
            return Some(0);
        }
        Some(self.rows.values().fold(older, |sum, &count| sum.saturating_add(count)))
    }

    fn may_lack(&self, at: u32) -> bool {
        self.end.is_none_or(|end| at > end.first)
    }

    fn add(&mut self, at: u32, count: u64) {
        if !self.may_lack(at) {
            return;
        }
        let sum = self.rows.entry(at).or_default();
        *sum = sum.saturating_add(count);
        if self.rows.len() > MAX_SECONDS
            && let Some((second, count)) = self.rows.pop_first()
        {
            self.put_aside(count, second);
        }
    }

    fn put_aside(&mut self, count: u64, newest: u32) {
        let (sum, known) = self.older.unwrap_or_default();
        self.older = Some((sum.saturating_add(count), known.max(newest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_may_be_missing_from_the_newest_first_sighting_on_unless_the_last_row_is_covered() {
        let mut coverage = Coverage::default();
        for at in [5, 10, 10, 12] {
            coverage.mark(at);
        }
        assert_eq!(coverage.uncovered(), None);
        coverage.extend(5, 11);
        assert_eq!(coverage.uncovered(), Some(3));
        coverage.extend(4, 12);
        assert_eq!(coverage.uncovered(), Some(0));
        coverage.mark(13);
        assert_eq!(coverage.uncovered(), Some(4));
        coverage.extend(10, 10);
        assert_eq!(coverage.uncovered(), Some(2));
    }

    #[test]
    fn memory_is_bounded_and_the_number_is_never_too_low() {
        let mut coverage = Coverage::default();
        for second in 0..20_000 {
            coverage.mark(second);
        }
        assert_eq!(coverage.rows.len(), MAX_SECONDS);
        let mut early = coverage.clone();
        early.extend(10_000, 10_000);
        assert!(early.uncovered().is_some_and(|count| (9_999..=20_000).contains(&count)));
        coverage.extend(19_990, 19_990);
        assert_eq!((coverage.uncovered(), coverage.older), (Some(9), None));
    }

    proptest! {
        #[test]
        fn the_order_of_logs_makes_no_difference(
            rows in prop::collection::vec(0_u32..50, 0..40),
            lines in prop::collection::vec((0_u32..50, 0_u32..9), 1..9),
            parts in prop::collection::vec(0_usize..4, 49),
        ) {
            let first = lines.iter().map(|&(first, _)| first).max().unwrap_or(0);
            let last = lines.iter().map(|&(first, span)| first + span).max().unwrap_or(0);
            let is_over = rows.iter().all(|&at| at <= last);
            let newer = rows.iter().filter(|&&at| at > first).count();
            let want = if is_over { 0 } else { newer };
            let mut logs = vec![Coverage::default(); 4];
            for (&at, &part) in rows.iter().zip(&parts) {
                logs[part].mark(at);
            }
            for (&(first, span), &part) in lines.iter().zip(parts.iter().rev()) {
                logs[part].extend(first, first + span);
            }
            for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
                let mut sum = Coverage::default();
                for log in order {
                    sum.merge(&logs[log]);
                }
                prop_assert_eq!(sum.uncovered(), Some(want as u64));
            }
        }
    }
}
