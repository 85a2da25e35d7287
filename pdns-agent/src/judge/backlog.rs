//! What is left to judge: ranges of the name logs, of which the latest comes first.

use crate::store::NameEnds;
use serde::{Deserialize, Serialize};

/// Largest number of ranges. While there are as many, new names wait in the store.
const MAX_GAPS: usize = 8;

/// The names of one kind that were not judged yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Backlog {
    /// The end of the names as far as they were looked at; behind it everything is new.
    seen: NameEnds,
    /// Ranges before it that were not judged, the oldest first.
    gaps: Vec<(NameEnds, NameEnds)>,
}

impl Backlog {
    /// Everything before a point counts as judged.
    pub(super) fn after(seen: NameEnds) -> Self {
        Self { seen, gaps: Vec::new() }
    }

    /// Takes what is new up to a point.
    pub(super) fn extend(&mut self, now: &NameEnds) {
        if *now == self.seen {
            return;
        }
        let count = self.gaps.len();
        match self.gaps.last_mut() {
            Some((_, until)) if *until == self.seen => *until = now.clone(),
            _ if count >= MAX_GAPS => return,
            _ => self.gaps.push((self.seen.clone(), now.clone())),
        }
        self.seen = now.clone();
    }

    /// The latest range.
    pub(super) fn latest(&self) -> Option<&(NameEnds, NameEnds)> {
        self.gaps.last()
    }

    /// The latest range is judged from `before` to its end.
    pub(super) fn judged(&mut self, before: NameEnds) {
        if let Some((from, until)) = self.gaps.last_mut() {
            *until = before;
            if from == until {
                self.gaps.pop();
            }
        }
    }

    /// The ranges that were judged, the oldest first.
    pub(super) fn done(&self) -> Vec<(NameEnds, NameEnds)> {
        let mut ranges = Vec::new();
        let mut from = self.seen.start();
        for (begin, end) in &self.gaps {
            ranges.push((from, begin.clone()));
            from = end.clone();
        }
        ranges.push((from, self.seen.clone()));
        ranges
    }

    /// Octets of names that are left, up to a point.
    pub(super) fn octets(&self, now: &NameEnds) -> u64 {
        let gaps: u64 = self.gaps.iter().map(|(from, until)| until.octets_since(from)).sum();
        gaps + now.octets_since(&self.seen)
    }

    /// All points, to be translated when the store numbers its names anew.
    pub(super) fn points(&mut self) -> Vec<&mut NameEnds> {
        let gaps = self.gaps.iter_mut().flat_map(|(from, until)| [from, until]);
        gaps.chain(std::iter::once(&mut self.seen)).collect()
    }

    /// True if the store has less than was judged: it lost data, or is another one.
    pub(super) fn is_lost(&self, now: &NameEnds) -> bool {
        now.is_behind(&self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(offset: u32) -> NameEnds {
        serde_json::from_str(&format!("[[0,{offset}],[0,{offset}]]")).unwrap()
    }

    #[test]
    fn the_latest_names_come_first_and_none_is_forgotten() {
        let mut backlog = Backlog::after(ends(10));
        backlog.extend(&ends(10));
        assert_eq!(backlog.latest(), None);
        backlog.extend(&ends(100));
        backlog.judged(ends(80));
        backlog.extend(&ends(200));
        assert_eq!(backlog.latest(), Some(&(ends(100), ends(200))));
        // What was not begun grows.
        backlog.extend(&ends(250));
        assert_eq!(backlog.latest(), Some(&(ends(100), ends(250))));
        assert_eq!(backlog.octets(&ends(260)), 2 * (70 + 150 + 10));
        assert_eq!(
            backlog.done(),
            [(ends(0), ends(10)), (ends(80), ends(100)), (ends(250), ends(250))]
        );
        backlog.judged(ends(100));
        assert_eq!(backlog.latest(), Some(&(ends(10), ends(80))));
        backlog.judged(ends(10));
        assert_eq!((backlog.latest(), backlog.octets(&ends(250))), (None, 0));
        assert!(backlog.is_lost(&ends(249)) && !backlog.is_lost(&ends(250)));
        assert!(backlog.is_lost(&NameEnds::default()));
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let mut backlog = Backlog::after(ends(0));
        for step in 1..=50 {
            backlog.extend(&ends(step * 100));
            if backlog.gaps.len() < MAX_GAPS {
                backlog.judged(ends(step * 100 - 1));
            }
        }
        assert_eq!(backlog.gaps.len(), MAX_GAPS);
        let text = serde_json::to_string(&backlog).unwrap();
        assert_eq!(serde_json::from_str::<Backlog>(&text).unwrap(), backlog);
        while backlog.latest().is_some() {
            let from = backlog.latest().unwrap().0.clone();
            backlog.judged(from);
        }
        backlog.extend(&ends(5_000));
        assert_eq!(backlog.seen, ends(5_000));
    }
}
