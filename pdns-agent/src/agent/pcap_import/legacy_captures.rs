//! Captures stored by earlier versions, which did not identify them by their first packet.
//!
//! Under `pcap_import`. Earlier versions identified a capture by the digest of its entire content, so one
//! that had grown was a new capture. The data stored for such captures must not be counted again: a file that
//! begins with one of them, or equals one, is recognised by the digests of its first bytes.

use crate::hash::NameLocation;
use crate::source::{Content, Digest};
use crate::store::{Checkpoint, SourceState, Store, StoreError};
use std::collections::{BTreeSet, HashSet};

/// Captures that are identified by their entire content.
#[derive(Default)]
pub(super) struct LegacyCaptures {
    ids: HashSet<Digest>,
    /// Their possible lengths, in bytes.
    lengths: BTreeSet<u64>,
}

impl LegacyCaptures {
    /// Loads them from the store.
    pub(super) fn load(store: &mut Store) -> Result<Self, StoreError> {
        let sources = store.reader().sources()?;
        Ok(Self::of_sources(sources.iter().map(|(id, state)| (id, state))))
    }

    /// Those among all that the store knows.
    pub(super) fn of_sources<'s>(
        sources: impl Iterator<Item = (&'s [u8; 16], &'s SourceState)>,
    ) -> Self {
        let mut earlier = Self::default();
        for (id, state) in sources {
            if state.live || !state.contents.is_empty() {
                continue;
            }
            earlier.ids.insert(*id);
            // Of a packed file the first is the size on disk; the second is right unless other things come behind its
            // last packet.
            earlier.lengths.insert(state.size);
            if state.complete {
                earlier.lengths.insert(state.acknowledged.saturating_sub(1));
            }
        }
        earlier.lengths.remove(&0);
        earlier
    }

    /// The lengths at which a content must be measured.
    pub(super) fn lengths(&self) -> &BTreeSet<u64> {
        &self.lengths
    }

    /// Those that the content begins with or equals, shortest first.
    pub(super) fn matching(&self, content: &Content) -> Vec<(u64, Digest)> {
        let all = content.digests().chain([(content.length, content.digest)]);
        let mut found: Vec<_> = all.filter(|(_, digest)| self.ids.contains(digest)).collect();
        found.dedup();
        found
    }
}

/// Part of a file that was stored under an identity of an earlier version.
#[derive(Default)]
pub(super) struct LegacyProgress {
    /// All packets that begin before this position are stored.
    whole: u64,
    /// Checkpoints of partially applied batches, whose records are stored too.
    half: Vec<Checkpoint>,
}

impl LegacyProgress {
    /// Adds the file as it was at one time.
    ///
    /// If it was read to its end then, its last position is that of the end, where a packet may begin now.
    /// Observations made at the end itself, from messages in streams with gaps, may be repeated once the gaps
    /// are filled.
    pub(super) fn add(&mut self, state: Option<&SourceState>, checkpoint: Checkpoint) {
        match state {
            Some(state) if state.complete => {
                self.whole = self.whole.max(state.acknowledged.saturating_sub(1));
            }
            _ => self.half.push(checkpoint),
        }
    }

    /// Positions up to which an earlier version has read the file: everything that waited there was stored.
    pub(super) fn ends(&self) -> impl Iterator<Item = u64> {
        let half = self.half.iter().map(|checkpoint| checkpoint.horizon().saturating_sub(1));
        half.chain([self.whole]).filter(|&end| end > 0)
    }

    /// Returns true if a record at the position `at` of the file is already stored.
    pub(super) fn covers(&self, place: NameLocation, at: u64) -> bool {
        at <= self.whole || self.half.iter().any(|checkpoint| checkpoint.covers(place, at))
    }
}
