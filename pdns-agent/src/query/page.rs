//! Pages of an answer, latest seen first, for clients that request one after another.
//!
//! Part of `query`. A page begins at a [`Cursor`]: the time of the last row before it, and the number of rows
//! with that time on earlier pages. No state is kept between two pages. While the store grows, a row is
//! repeated only if it was seen again, and missed only if it was seen again and therefore moved in front of the
//! first page.

use super::order::{MAX_SORTED, TopN};
use crate::record::StoredRecord;
use std::cmp::{Ordering, Reverse};

/// Maximum number of rows of a page.
pub const MAX_PAGE: usize = MAX_SORTED / 2;
/// Bits of a cursor for the number of rows that share a time.
const TIE_BITS: u32 = 31;

/// Start of a page: a positive number of at most 63 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// `time_last` of the preceding row.
    time_last: u32,
    /// Number of preceding rows with that time, at least 1.
    ties: u32,
}

impl Cursor {
    /// Parses the number; returns `None` if no page can end there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number: u64 = text.trim().parse().ok()?;
        let ties = u32::try_from(number & ((1 << TIE_BITS) - 1)).ok()?;
        let time_last = u32::try_from(number >> TIE_BITS).ok()?;
        let cursor = Self { time_last, ties };
        (ties > 0 && cursor.is_usable()).then_some(cursor)
    }

    /// Returns the number that represents the cursor.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(self.time_last) << TIE_BITS | u64::from(self.ties)
    }

    /// Returns true if a page can begin there: the preceding rows of the same second have to be held while the
    /// page is built.
    fn is_usable(self) -> bool {
        self.ties as usize <= MAX_SORTED - MAX_PAGE
    }
}

/// A row ordered as in a page: latest seen first, then by name, type and RDATA.
#[derive(Debug, PartialEq, Eq)]
struct LatestFirst(StoredRecord);

impl Ord for LatestFirst {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |placed: &Self| Reverse(placed.0.seen.time_last);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.0.rrname.cmp(&other.0.rrname))
            .then_with(|| self.0.fact.cmp(&other.0.fact))
    }
}

impl PartialOrd for LatestFirst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Builds one page from the rows of a whole answer, in bounded memory.
#[derive(Debug)]
pub struct Pager {
    after: Option<Cursor>,
    count: usize,
    kept: TopN<LatestFirst>,
}

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    /// Its rows, in order.
    pub rows: Vec<StoredRecord>,
    /// Start of the next page, if there is one.
    pub next: Option<Cursor>,
    /// True if there are more rows than these.
    pub cut: bool,
}

impl Pager {
    /// Creates a page of up to `count` rows (at most [`MAX_PAGE`]) that begins at `after`.
    #[must_use]
    pub fn new(after: Option<Cursor>, count: usize) -> Self {
        let count = count.clamp(1, MAX_PAGE);
        let before = after.map_or(0, |cursor| cursor.ties as usize);
        // One more, to know whether there is a next page.
        Self { after, count, kept: TopN::new(before.saturating_add(count).saturating_add(1)) }
    }

    /// Takes a row of the answer; rows may arrive in any order, each once.
    pub fn offer(&mut self, row: StoredRecord) {
        if self.after.is_some_and(|after| row.seen.time_last > after.time_last) {
            return;
        }
        let placed = LatestFirst(row);
        match self.kept.worst() {
            Some(worst) if placed >= *worst => self.kept.refuse(),
            _ => self.kept.offer(placed),
        }
    }

    /// Returns the page.
    #[must_use]
    pub fn finish(self) -> Rows {
        let Self { after, count, kept } = self;
        let sorted = kept.into_sorted();
        let mut before = 0;
        if let Some(after) = after {
            let ties = sorted.iter().take_while(|row| row.0.seen.time_last == after.time_last);
            before = ties.count().min(after.ties as usize);
        }
        let mut rows: Vec<StoredRecord> =
            sorted.into_iter().skip(before).map(|LatestFirst(row)| row).collect();
        let cut = rows.len() > count;
        rows.truncate(count);
        let next = rows.last().filter(|_| cut).map(|last| {
            let time_last = last.seen.time_last;
            let here = rows.iter().rev().take_while(|row| row.seen.time_last == time_last).count();
            let earlier = match after {
                Some(after) if after.time_last == time_last => before,
                _ => 0,
            };
            Cursor { time_last, ties: u32::try_from(here + earlier).unwrap_or(u32::MAX) }
        });
        Rows { rows, next: next.filter(|next| next.is_usable()), cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::rows::a;
    use proptest::prelude::*;

    fn at(host: u8, time_last: u32) -> StoredRecord {
        let mut row = a("www.example.com", host);
        (row.seen.time_first, row.seen.time_last) = (0, time_last);
        row
    }

    fn pages(rows: &[StoredRecord], count: usize) -> Vec<StoredRecord> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let mut pager = Pager::new(after, count);
            for row in rows {
                pager.offer(row.clone());
            }
            let page = pager.finish();
            assert_eq!(page.cut, page.next.is_some());
            assert!(page.rows.len() == count || page.next.is_none());
            all.extend(page.rows);
            match page.next {
                // A client hands back the number.
                Some(next) => after = Cursor::parse(&next.number().to_string()),
                None => return all,
            }
        }
    }

    #[test]
    fn numbers_that_no_page_ended_at_are_refused() {
        for text in ["", "0", "-1", "1.5", "x", "99999999999999999999", "2147483648", "200001"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
        assert_eq!(Cursor::parse("1"), Some(Cursor { time_last: 0, ties: 1 }));
    }

    #[test]
    fn what_is_seen_anew_between_two_pages_repeats_nothing() {
        let rows = [at(1, 50), at(2, 40), at(3, 30), at(4, 20)];
        let mut pager = Pager::new(None, 2);
        for row in &rows {
            pager.offer(row.clone());
        }
        let first = pager.finish();
        assert_eq!(first.rows, rows[..2]);
        let mut pager = Pager::new(first.next, 2);
        for row in [at(1, 50), at(2, 40), at(3, 60), at(4, 20), at(5, 70)] {
            pager.offer(row);
        }
        assert_eq!(pager.finish(), Rows { rows: vec![at(4, 20)], next: None, cut: false });
    }

    proptest! {
        #[test]
        fn pages_of_any_size_are_the_whole(
            times in prop::collection::vec(0_u32..4, 0..40), count in 1_usize..12,
        ) {
            let rows: Vec<StoredRecord> =
                times.iter().zip(0..).map(|(&time, host)| at(host, time)).collect();
            let whole = pages(&rows, 100);
            prop_assert_eq!(whole.len(), rows.len());
            prop_assert!(whole.is_sorted_by_key(|row| Reverse(row.seen.time_last)));
            prop_assert_eq!(pages(&rows, count), whole);
        }
    }
}
