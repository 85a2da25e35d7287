//! A hash table with entries ordered by age, so that the oldest can be evicted first.
//!
//! Under `wire`: one stores waiting fragments, another streams. Keys come from the network, so they are
//! hashed with a random key; nothing depends on the resulting order.

use crate::time::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;

/// Marks a missing entry.
const NONE: usize = usize::MAX;

struct Slot<K, V> {
    key: K,
    /// `None` in a free slot; `newer` is then the next free one.
    value: Option<V>,
    touched: Timestamp,
    older: usize,
    newer: usize,
}

/// A map to slots that form a linked list from the oldest to the newest. Each operation is O(1).
pub(super) struct Table<K, V> {
    index: HashMap<K, usize>,
    slots: Vec<Slot<K, V>>,
    free: usize,
    oldest: usize,
    newest: usize,
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { index: HashMap::new(), slots: Vec::new(), free: NONE, oldest: NONE, newest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The value of a key.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        self.slots.get_mut(at)?.value.as_mut()
    }

    /// The value of a key, which becomes the newest entry.
    pub(super) fn touch(&mut self, key: &K, now: Timestamp) -> Option<&mut V> {
        let at = *self.index.get(key)?;
        if at != self.newest {
            self.unlink(at);
            self.link(at);
        }
        let slot = self.slots.get_mut(at)?;
        slot.touched = now;
        slot.value.as_mut()
    }

    /// Inserts a value as the newest; the key must not be present.
    pub(super) fn insert(&mut self, key: K, value: V, now: Timestamp) -> &mut V {
        let slot = Slot { key, value: None, touched: now, older: NONE, newer: NONE };
        let at = match self.slots.get_mut(self.free) {
            Some(free) => std::mem::replace(&mut self.free, free.newer),
            None => self.slots.len(),
        };
        match self.slots.get_mut(at) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        self.link(at);
        self.index.insert(key, at);
        let slot = self.slots.get_mut(at).expect("it was filled above");
        slot.value.insert(value)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.index.remove(key)?;
        self.unlink(at);
        let free = self.free;
        let slot = self.slots.get_mut(at)?;
        slot.newer = free;
        self.free = at;
        slot.value.take()
    }

    /// The oldest entry: its key, and the time when it was last touched.
    pub(super) fn oldest(&self) -> Option<(K, Timestamp)> {
        self.slots.get(self.oldest).map(|slot| (slot.key, slot.touched))
    }

    /// Removes the oldest entry.
    pub(super) fn pop(&mut self) -> Option<(K, V)> {
        let (key, _) = self.oldest()?;
        self.remove(&key).map(|value| (key, value))
    }

    /// Removes the oldest entry if it was not touched for this long. The clock may have been set back, so the
    /// absolute difference counts.
    pub(super) fn pop_stale(&mut self, now: Timestamp, micros: u64) -> Option<(K, V)> {
        let (_, touched) = self.oldest()?;
        if now.micros().abs_diff(touched.micros()) <= micros {
            return None;
        }
        self.pop()
    }

    fn unlink(&mut self, at: usize) {
        let Some(slot) = self.slots.get(at) else { return };
        let (older, newer) = (slot.older, slot.newer);
        match self.slots.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }

    fn link(&mut self, at: usize) {
        let newest = self.newest;
        if let Some(slot) = self.slots.get_mut(at) {
            slot.older = newest;
            slot.newer = NONE;
        }
        match self.slots.get_mut(newest) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u32) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn the_oldest_goes_when_it_is_stale_in_either_direction() {
        let mut table = Table::new();
        table.insert('a', 1, at(10));
        table.insert('b', 2, at(11));
        *table.touch(&'a', at(12)).unwrap() += 1;
        assert_eq!(table.pop_stale(at(20), 9_000_000), None);
        assert_eq!(table.pop_stale(at(21), 9_000_000), Some(('b', 2)));
        assert_eq!(table.pop_stale(at(2), 9_000_000), Some(('a', 2)));
        assert!(table.is_empty() && table.pop().is_none());
    }

    proptest! {
        #[test]
        fn it_is_a_list_in_order_of_touch(acts in prop::collection::vec((0_u8..3, 0_u8..8), 0..200)) {
            let mut table = Table::new();
            let mut model: Vec<u8> = Vec::new();
            for (act, key) in acts {
                let had = model.iter().position(|&other| other == key);
                match (act, had) {
                    (0, None) => { table.insert(key, key, at(0)); model.push(key); }
                    (1, Some(at_index)) => { prop_assert_eq!(table.remove(&key), Some(key)); model.remove(at_index); }
                    (_, Some(at_index)) => { table.touch(&key, at(0)).unwrap(); model.remove(at_index); model.push(key); }
                    (_, None) => prop_assert!(table.touch(&key, at(0)).is_none() && table.get(&key).is_none()),
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.oldest().map(|(key, _)| key), model.first().copied());
            }
            prop_assert!(table.slots.len() <= 8);
            let mut left = Vec::new();
            while let Some((key, _)) = table.pop() { left.push(key); }
            prop_assert_eq!(left, model);
        }
    }
}
