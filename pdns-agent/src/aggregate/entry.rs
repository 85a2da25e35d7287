//! One tuple of a window: its identity and the sum of its observations.

use crate::observation::Seen;

/// One tuple. 48 bytes, because there are millions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) name_hash: u64,
    pub(super) fact_hash: u64,
    pub(super) count: u32,
    pub(super) time_first: u32,
    pub(super) time_last: u32,
    ttl_min: u32,
    ttl_max: u32,
    ttl_last: u32,
    /// Position of its text, if held here; otherwise its row.
    pub(super) at: u32,
    pub(super) partition: u8,
    flags: u8,
    pub(super) is_negative: bool,
    pub(super) state: TupleState,
}

const _: () = assert!(size_of::<Entry>() == 48);

/// State of a tuple: in flight or known, with or without text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TupleState {
    /// New; its text is held here.
    Unsent,
    /// Sent to the store, which will return its row.
    Sent,
    /// Same as [`TupleState::Sent`], and its text is held again because it was observed again.
    SentHeld,
    /// The store did not keep it. It was not observed since.
    Unkept,
    /// Its row is known.
    Known,
    /// Its row is known, and it was not observed since the last sweep.
    Idle,
    /// Its row is known, and its text is held, preceded by the row.
    Held,
}

impl Entry {
    /// A tuple without observations.
    pub(super) fn new(
        (name_hash, fact_hash): (u64, u64),
        partition: u8,
        is_negative: bool,
        (at, state): (u32, TupleState),
    ) -> Self {
        let mut entry = Self {
            name_hash,
            fact_hash,
            count: 0,
            time_first: 0,
            time_last: 0,
            ttl_min: 0,
            ttl_max: 0,
            ttl_last: 0,
            at,
            partition,
            flags: 0,
            is_negative,
            state,
        };
        entry.reset();
        entry
    }

    /// The sum of its observations since it was last sent to the store, without the part of the count that the window
    /// keeps ([`Entry::merge`]).
    pub(super) fn seen(&self) -> Seen {
        Seen {
            count: self.count.into(),
            time_first: self.time_first,
            time_last: self.time_last,
            ttl_min: self.ttl_min,
            ttl_max: self.ttl_max,
            ttl_last: self.ttl_last,
            flags: self.flags,
        }
    }

    /// Sets the sum; returns the part of the count that does not fit.
    fn set(&mut self, seen: &Seen) -> u64 {
        self.count = u32::try_from(seen.count).unwrap_or(u32::MAX);
        self.time_first = seen.time_first;
        self.time_last = seen.time_last;
        self.ttl_min = seen.ttl_min;
        self.ttl_max = seen.ttl_max;
        self.ttl_last = seen.ttl_last;
        self.flags = seen.flags;
        seen.count - u64::from(self.count)
    }

    /// Resets the sum to zero observations.
    pub(super) fn reset(&mut self) {
        self.set(&Seen::default());
    }

    /// Adds observations; returns the part of the count that does not fit, which only sums made elsewhere have.
    #[must_use]
    pub(super) fn merge(&mut self, more: &Seen) -> u64 {
        let mut seen = self.seen();
        seen.merge(more);
        let excess = self.set(&seen);
        if self.state == TupleState::Idle {
            self.state = TupleState::Known;
        }
        excess
    }
}
