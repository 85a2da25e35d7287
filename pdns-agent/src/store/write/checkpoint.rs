//! Exactly-once writes: the position up to which each log is applied in each partition.
//!
//! A **position** is the offset just behind a line in the uncompressed log. A window of a log goes to the store as a
//! batch with one end position for all partitions. Within a partition it is cut into slices by the hash of the name,
//! so that one call stays short; each call writes its records and its [`Mark`] in one atomic step, and only if the
//! previous mark in the store is the expected one. So a call is applied once, however often it is sent, and two
//! agents that read one log by mistake cannot count a line twice.
//!
//! After a crash, the next agent reads the log again from the acknowledged position and leaves out the records that
//! [`Checkpoint::covers`]. That rule applies to single records, so their grouping into batches does not matter. A
//! batch that was interrupted is completed first, with the same end and the same slices.

use crate::hash::NameLocation;

/// Size of a mark in the store, in octets.
pub(crate) const MARK: usize = 20;

/// Progress of one log in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// All lines up to here are applied.
    pub(crate) done: u64,
    /// End of the batch that is being applied, if `applied` is below `slices`.
    pub(crate) end: u64,
    /// Number of slices of that batch.
    pub(crate) slices: u16,
    /// Number of slices that are applied.
    pub(crate) applied: u16,
}

impl Mark {
    /// Returns the mark of a log that is applied up to `end`.
    pub(crate) fn finished(end: u64) -> Self {
        Self { done: end, end, slices: 0, applied: 0 }
    }

    /// Returns true if a batch was interrupted.
    pub(crate) fn is_open(self) -> bool {
        self.applied < self.slices
    }

    pub(crate) fn to_octets(self) -> [u8; MARK] {
        let mut octets = [0; MARK];
        let fields = self.done.to_be_bytes().into_iter().chain(self.end.to_be_bytes());
        let fields = fields.chain(self.slices.to_be_bytes()).chain(self.applied.to_be_bytes());
        for (slot, octet) in octets.iter_mut().zip(fields) {
            *slot = octet;
        }
        octets
    }

    /// Reads a mark off the front of a stored checkpoint; the rest is the redo data.
    pub(crate) fn read(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (done, rest) = octets.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (slices, rest) = rest.split_first_chunk::<2>()?;
        let (applied, rest) = rest.split_first_chunk::<2>()?;
        let mark = Self {
            done: u64::from_be_bytes(*done),
            end: u64::from_be_bytes(*end),
            slices: u16::from_be_bytes(*slices),
            applied: u16::from_be_bytes(*applied),
        };
        Some((mark, rest))
    }
}

/// Returns the slice of a name, out of `slices`.
pub(crate) fn slice(hash: u64, slices: u16) -> u16 {
    let bits = hash >> 24 & 0xf_ffff;
    u16::try_from((bits * u64::from(slices)) >> 20).unwrap_or(0)
}

/// Progress of one log in all partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// All lines up to here are applied in every partition.
    pub(crate) acknowledged: u64,
    /// Marks by partition; `None` if none of the log's records have been written to it.
    pub(crate) marks: Vec<Option<Mark>>,
    /// Editions of the partitions when the marks were read.
    pub(crate) editions: Vec<u32>,
}

impl Checkpoint {
    /// Returns the position from which to continue reading.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns the same marks, with reading to start over from the beginning.
    #[must_use]
    pub fn restarted(mut self) -> Self {
        self.acknowledged = 0;
        self
    }

    /// Returns true if a record of the line that begins at `start` is already applied.
    ///
    /// The beginning of a line does not depend on whether it was read with its newline or before that was written.
    #[must_use]
    pub fn covers(&self, place: NameLocation, start: u64) -> bool {
        if start < self.acknowledged {
            return true;
        }
        match self.marks.get(usize::from(place.partition)) {
            Some(Some(mark)) => {
                start < mark.done
                    || (mark.is_open()
                        && start < mark.end
                        && slice(place.hash, mark.slices) < mark.applied)
            }
            _ => false,
        }
    }

    /// Returns the last position that any partition has reached beyond the acknowledged one: up to there,
    /// [`Checkpoint::covers`] has to be checked.
    #[must_use]
    pub fn horizon(&self) -> u64 {
        let reached = self.marks.iter().flatten().map(|mark| mark.done.max(mark.end));
        reached.max().unwrap_or(0).max(self.acknowledged)
    }

    /// Returns the ends of interrupted batches, each once, sorted. Usually there is one at most; two agents that read
    /// the same log can leave more.
    #[must_use]
    pub fn open_ends(&self) -> Vec<u64> {
        let open = self.marks.iter().flatten().filter(|mark| mark.is_open());
        let mut ends: Vec<u64> = open.map(|mark| mark.end).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// Returns true if a batch to that end was interrupted in this partition.
    #[must_use]
    pub fn is_open_at(&self, partition: u8, end: u64) -> bool {
        let mark = self.marks.get(usize::from(partition)).copied().flatten();
        mark.is_some_and(|mark| mark.is_open() && mark.end == end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_read_back(done in any::<u64>(), end in any::<u64>(), slices in any::<u16>(), applied in any::<u16>()) {
            let mark = Mark { done, end, slices, applied };
            let octets = mark.to_octets();
            prop_assert_eq!(Mark::read(&octets), Some((mark, &[][..])));
        }

        #[test]
        fn each_name_has_one_slice(hash in any::<u64>(), slices in 1..u16::MAX) {
            prop_assert!(slice(hash, slices) < slices);
        }
    }

    #[test]
    fn a_half_applied_batch_covers_its_applied_slices_only() {
        let marks = vec![Some(Mark { done: 100, end: 200, slices: 4, applied: 2 }), None];
        let checkpoint = Checkpoint { acknowledged: 50, marks, editions: vec![0; 2] };
        let place = |partition, slice: u64| NameLocation { partition, hash: slice << 42 };
        assert_eq!(slice(place(0, 1).hash, 4), 1);
        assert!(checkpoint.covers(place(0, 3), 99));
        assert!(checkpoint.covers(place(0, 1), 199));
        assert!(!checkpoint.covers(place(0, 2), 199));
        assert!(!checkpoint.covers(place(0, 1), 200));
        assert!(checkpoint.covers(place(1, 0), 49));
        assert!(!checkpoint.covers(place(1, 0), 50));
        assert_eq!((checkpoint.open_ends(), checkpoint.horizon()), (vec![200], 200));
        assert!(checkpoint.is_open_at(0, 200) && !checkpoint.is_open_at(1, 200));
    }
}
