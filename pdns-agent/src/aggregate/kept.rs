//! Tuples with what was seen of them, kept until the store has acknowledged them.
//!
//! Part of `aggregate`. A log can be read again when Redis loses a batch; packets cannot. So a capture keeps
//! each batch in this form, which no row and no hash of a store is part of, until it is safe.

use super::text::{Parts, Texts};
use crate::name::Name;
use crate::observation::{Fact, Seen};

/// Tuples and their sums, in the order they were kept.
#[derive(Default)]
pub struct Kept {
    texts: Texts,
    sums: Vec<(u32, Seen)>,
}

impl Kept {
    /// Keeps one tuple.
    pub fn push(&mut self, rrname: Name<'_>, fact: Fact<'_>, seen: &Seen) {
        if let Some(at) = self.texts.push(rrname, Parts::of(fact), None) {
            self.sums.push((at, *seen));
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Name<'_>, Fact<'_>, &Seen)> {
        self.sums.iter().filter_map(|(at, seen)| {
            let (name, fact) = self.texts.tuple(*at)?;
            Some((name, fact, seen))
        })
    }

    /// How many tuples are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// How many sightings are kept.
    #[must_use]
    pub fn sightings(&self) -> u64 {
        self.sums.iter().map(|(_, seen)| u64::from(seen.count)).sum()
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.sums.clear();
    }

    /// Takes over all of another.
    pub fn append(&mut self, other: &Self) {
        for (rrname, fact, seen) in other.iter() {
            self.push(rrname, fact, seen);
        }
    }
}
