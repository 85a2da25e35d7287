//! The domains that a judge knows, by hash: nine octets each, and room to grow.

use std::collections::HashSet;

/// Number of parts. A part that grows is copied: in one piece, the copy of all would need half as much memory again.
const PARTS: usize = 64;
/// Largest number of domains; they take 600 MB.
const MAX_KNOWN: usize = 50_000_000;

/// Domains by hash.
pub(super) struct KnownDomains {
    parts: Vec<HashSet<u64>>,
    count: usize,
}

impl Default for KnownDomains {
    fn default() -> Self {
        Self { parts: vec![HashSet::new(); PARTS], count: 0 }
    }
}

impl KnownDomains {
    fn place(hash: u64) -> usize {
        usize::try_from(hash >> 32).unwrap_or(0) % PARTS
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        self.parts.get(Self::place(hash)).is_some_and(|part| part.contains(&hash))
    }

    /// Adds a domain; false if it is known, or if there are too many.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if self.count >= MAX_KNOWN {
            return false;
        }
        let is_new = self.parts.get_mut(Self::place(hash)).is_some_and(|part| part.insert(hash));
        self.count += usize::from(is_new);
        is_new
    }

    pub(super) fn remove(&mut self, hash: u64) {
        let part = self.parts.get_mut(Self::place(hash));
        self.count -= usize::from(part.is_some_and(|part| part.remove(&hash)));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_is_not_known() {
        let mut known = KnownDomains::default();
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..10_000 {
            assert!(known.insert(hash(number)) && !known.insert(hash(number)));
        }
        assert!(known.parts.iter().all(|part| part.len() > 100), "all parts are used");
        known.remove(hash(7));
        known.remove(hash(7));
        assert!(!known.contains(hash(7)) && known.contains(hash(8)));
        assert_eq!(known.count, 9_999);
        known.clear();
        assert!(!known.contains(hash(8)) && known.count == 0);
    }
}
