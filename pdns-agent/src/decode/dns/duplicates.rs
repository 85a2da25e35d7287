//! Messages that a capture shows more than once: a mirror port that copies both directions, or two VLANs.
//!
//! Under `dns`. Two datagrams of one flow with the same bytes, at most [`WITHIN`] apart, are one message: whoever
//! repeats a query waits longer for the answer. The first copy is the one that counts, and its time is the one that
//! later copies are held against, so that a repetition in a loop does not go on for ever. Copies in a stream need
//! nothing here, since its bytes have numbers.

use super::pairing::Id;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::collections::VecDeque;

/// Most time between two copies, in microseconds.
pub(super) const WITHIN: u64 = 50_000;
/// Messages that are remembered: those of `WITHIN` at 650,000 a second.
const MOST: usize = 32_768;

/// A message, by the keyed hash of its flow and bytes.
#[derive(Clone, Copy)]
struct Sighting {
    hash: u64,
    /// Microseconds.
    at: i64,
}

/// The messages of the last moments. Memory is bounded; where more come, the oldest are forgotten.
#[derive(Default)]
pub(super) struct Duplicates {
    /// In the order in which they came.
    order: VecDeque<Sighting>,
    latest: HashTable<Sighting>,
}

impl Duplicates {
    /// Whether a message is a copy of one that was there just before; if not, it is remembered.
    ///
    /// Times are those of the packets. A clock that was set back makes nothing a copy: a difference either way counts.
    pub(super) fn is_copy(&mut self, message: Id, at: i64) -> bool {
        let hash = message.0;
        // Two at most, so that one packet with a wrong time does not have all others forgotten.
        for _ in 0..2 {
            let is_stale = |oldest: &Sighting| oldest.at.abs_diff(at) > WITHIN;
            if !self.order.front().is_some_and(is_stale) {
                break;
            }
            self.forget_oldest();
        }
        let sighting = Sighting { hash, at };
        match self.latest.entry(hash, |other| other.hash == hash, |other| other.hash) {
            Slot::Occupied(mut slot) => {
                if slot.get().at.abs_diff(at) <= WITHIN {
                    return true;
                }
                *slot.get_mut() = sighting;
            }
            Slot::Vacant(slot) => {
                slot.insert(sighting);
            }
        }
        self.order.push_back(sighting);
        if self.order.len() > MOST {
            self.forget_oldest();
        }
        false
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.latest.clear();
    }

    fn forget_oldest(&mut self) {
        let Some(Sighting { hash, at }) = self.order.pop_front() else { return };
        // It may have come again since.
        if let Ok(slot) = self.latest.find_entry(hash, |other| other.hash == hash && other.at == at)
        {
            slot.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_copy_is_the_one_that_others_are_held_against() {
        let mut seen = Duplicates::default();
        let ms = |at: i64| at * 1000;
        let found = [0, 40, 50, 60, 61, 20].map(|at| seen.is_copy(Id(1), ms(at)));
        assert_eq!(found, [false, true, true, false, true, true]);
        assert!(!seen.is_copy(Id(2), ms(61)));
        // A clock that was set back.
        assert!(!seen.is_copy(Id(1), ms(-1000)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Duplicates::default();
        for number in 0..3 * MOST as u64 {
            assert!(!seen.is_copy(Id(number), 0));
            assert!(seen.order.len() <= MOST && seen.latest.len() <= MOST);
        }
        for number in 0..100_000_u32 {
            assert!(!seen.is_copy(Id(u64::from(number)), 1_000_000 + i64::from(number) * 1000));
        }
        assert!(seen.order.len() <= 51, "{}", seen.order.len());
    }
}
