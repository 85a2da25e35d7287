//! Cache of row numbers for tuples that the window has no room for, at a third of an entry's size.
//!
//! Part of `aggregate`. A row never moves during the lifetime of a store. The cache has a fixed size and
//! evicts at random.
//!
//! Every tuple that is new to the window is looked up here, and the look-up fails for every tuple that is new
//! to the store. One byte of each tag is therefore kept separately: a miss is usually detected in a sixteenth
//! of the memory, which fits the processor's caches, instead of in all of it.

/// Ways of one set: they fit in one cache line.
const WAYS: usize = 4;

/// One known row. The tag has 96 of the tuple's 128 bits; the index of the set uses others.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    more: u32,
    /// Row number plus one; 0 marks an empty slot. The last row of a partition is never cached.
    row: u32,
}

/// Size of one row, in bytes.
pub(super) const COST: usize = size_of::<Slot>() + 1;

/// Maps tuples to row numbers.
#[derive(Default)]
pub(super) struct RowCache {
    /// One byte of each slot's tag; 0 for an empty slot.
    hints: Vec<[u8; WAYS]>,
    slots: Vec<[Slot; WAYS]>,
    turn: usize,
}

impl RowCache {
    /// Creates a cache for about `rows` row numbers of [`COST`] bytes each; 0 disables it.
    pub(super) fn new(rows: usize) -> Self {
        let sets = rows / WAYS;
        Self { hints: vec![[0; WAYS]; sets], slots: vec![[Slot::default(); WAYS]; sets], turn: 0 }
    }

    /// Capacity, in rows.
    pub(super) fn len(&self) -> usize {
        self.slots.len() * WAYS
    }

    fn set(&self, name: u64, fact: u64) -> usize {
        let mixed = (name ^ fact.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let scaled = u128::from(mixed) * self.slots.len() as u128;
        usize::try_from(scaled >> 64).unwrap_or(0)
    }

    fn tag(name: u64, fact: u64) -> (u64, u32) {
        (name, u32::try_from((fact ^ fact >> 32) & 0xffff_ffff).unwrap_or(0))
    }

    fn hint(name: u64) -> u8 {
        u8::try_from(name & 0xff).unwrap_or(1).max(1)
    }

    /// The row of a tuple, given the hashes of its name and its fact.
    pub(super) fn get(&self, name: u64, fact: u64) -> Option<u32> {
        let index = self.set(name, fact);
        if !self.hints.get(index)?.contains(&Self::hint(name)) {
            return None;
        }
        let (tag, more) = Self::tag(name, fact);
        let set = self.slots.get(index)?;
        let slot = set.iter().find(|slot| slot.row != 0 && slot.tag == tag && slot.more == more)?;
        Some(slot.row - 1)
    }

    /// Stores the row of a tuple.
    pub(super) fn insert(&mut self, name: u64, fact: u64, row: u32) {
        let Some(row) = row.checked_add(1) else { return };
        let (tag, more) = Self::tag(name, fact);
        let index = self.set(name, fact);
        self.turn = self.turn.wrapping_add(1);
        let victim = self.turn % WAYS;
        let (Some(set), Some(hints)) = (self.slots.get_mut(index), self.hints.get_mut(index))
        else {
            return;
        };
        let at = set
            .iter()
            .position(|slot| slot.row == 0 || (slot.tag == tag && slot.more == more))
            .unwrap_or(victim);
        if let (Some(slot), Some(hint)) = (set.get_mut(at), hints.get_mut(at)) {
            *slot = Slot { tag, more, row };
            *hint = Self::hint(name);
        }
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        self.hints.fill([0; WAYS]);
        self.slots.fill([Slot::default(); WAYS]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_right_and_what_is_lost_is_unknown() {
        let mut cache = RowCache::new(1024);
        for number in 0..10_000_u32 {
            cache.insert(u64::from(number) * 7919, u64::from(number) << 33, number);
        }
        let known = (0..10_000_u32).filter(|&number| {
            let row = cache.get(u64::from(number) * 7919, u64::from(number) << 33);
            assert!(row.is_none() || row == Some(number));
            row.is_some()
        });
        assert!(known.count() > 500);
        cache.clear();
        assert_eq!(cache.get(9999 * 7919, 9999 << 33), None);
        let mut none = RowCache::new(0);
        none.insert(1, 2, 3);
        assert_eq!(none.get(1, 2), None);
    }
}
