//! Counts by reason.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Deref;

/// How often each reason occurred, as a map; reasons that did not occur are not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent, bound(deserialize = "R: Ord + Deserialize<'de>"))]
pub struct Counter<R>(BTreeMap<R, u64>);

impl<R: Ord + Copy> Counter<R> {
    /// Counts one.
    pub fn add(&mut self, reason: R) {
        self.add_many(reason, 1);
    }

    /// Counts several; zero leaves no entry.
    pub fn add_many(&mut self, reason: R, count: u64) {
        if count > 0 {
            let sum = self.0.entry(reason).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// The sum of all counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        for (&reason, &count) in &other.0 {
            self.add_many(reason, count);
        }
    }

    /// Subtracts earlier counts.
    pub fn subtract(&mut self, earlier: &Self) {
        for (reason, &count) in &earlier.0 {
            if let Some(sum) = self.0.get_mut(reason) {
                *sum = sum.saturating_sub(count);
            }
        }
    }
}

impl<R> Default for Counter<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R> Deref for Counter<R> {
    type Target = BTreeMap<R, u64>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'c, R> IntoIterator for &'c Counter<R> {
    type Item = (&'c R, &'c u64);
    type IntoIter = std::collections::btree_map::Iter<'c, R, u64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
