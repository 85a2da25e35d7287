//! Buffer of sent tuples, kept until the store has acknowledged them.
//!
//! Part of `aggregate`. A log can be read again if Redis loses a batch; packets cannot. A capture therefore
//! keeps each batch in this form, which contains no rows and no hashes of a store, until it is safe.

use super::text::{Parts, Texts};
use crate::name::Name;
use crate::observation::{Fact, Seen};

/// Tuples and their sums, in insertion order.
#[derive(Default)]
pub struct RetryBuffer {
    texts: Texts,
    sums: Vec<(u32, Seen)>,
}

impl RetryBuffer {
    /// Appends one tuple.
    pub fn push(&mut self, rrname: Name<'_>, fact: Fact<'_>, seen: &Seen) {
        if let Some(at) = self.texts.push(rrname, Parts::from_fact(fact), None) {
            self.sums.push((at, *seen));
        }
    }

    /// All tuples.
    pub fn iter(&self) -> impl Iterator<Item = (Name<'_>, Fact<'_>, &Seen)> {
        self.sums.iter().filter_map(|(at, seen)| {
            let (name, fact) = self.texts.tuple(*at)?;
            Some((name, fact, seen))
        })
    }

    /// Number of tuples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Returns true if there are no tuples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Number of observations in all tuples.
    #[must_use]
    pub fn sightings(&self) -> u64 {
        self.sums.iter().fold(0, |sum, (_, seen)| sum.saturating_add(seen.count))
    }

    /// Removes everything but keeps the memory allocated.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.sums.clear();
    }

    /// Appends everything from another buffer.
    pub fn append(&mut self, other: &Self) {
        for (rrname, fact, seen) in other.iter() {
            self.push(rrname, fact, seen);
        }
    }
}
