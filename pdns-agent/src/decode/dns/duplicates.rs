//! Duplicate messages in a capture, from a mirror port that copies both directions, or from two VLANs.
//!
//! Under `dns`. Two datagrams of one flow with the same bytes, at most [`WITHIN`] apart, are the same
//! message: a client that repeats a query waits longer for the answer. The first copy counts, and later
//! copies are compared with its time, so that repetitions in a loop do not go on forever. Copies in a stream
//! need no handling here, because its bytes have sequence numbers.

use super::pairing::Id;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::collections::VecDeque;

/// Maximum time between two copies, in microseconds.
pub(super) const WITHIN: u64 = 50_000;
/// Number of remembered messages: those within `WITHIN` at a rate of 650,000 per second.
const MOST: usize = 32_768;

/// A message, identified by the keyed hash of its flow and bytes.
#[derive(Clone, Copy)]
struct Sighting {
    hash: u64,
    /// Time in microseconds.
    at: i64,
}

/// The most recent messages. Memory is bounded; if more arrive, the oldest are dropped.
#[derive(Default)]
pub(super) struct Duplicates {
    /// Messages in order of arrival.
    order: VecDeque<Sighting>,
    latest: HashTable<Sighting>,
}

impl Duplicates {
    /// Returns true if a message is a copy of a recent one; otherwise remembers it.
    ///
    /// Times are those of the packets. The absolute difference counts, so a clock that was set back does not
    /// create copies.
    pub(super) fn is_copy(&mut self, message: Id, at: i64) -> bool {
        let hash = message.0;
        // At most two, so that one packet with a wrong time does not evict all others.
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

    /// Removes all messages.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.latest.clear();
    }

    fn forget_oldest(&mut self) {
        let Some(Sighting { hash, at }) = self.order.pop_front() else { return };
        // It may have arrived again since.
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
        // The clock was set back.
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
