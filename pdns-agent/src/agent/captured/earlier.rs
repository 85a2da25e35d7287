//! Captures as the store knows them from before they were known by their first packet.
//!
//! Under `captured`. Up to now a capture was known by the digest of all of its content, and one that had grown was
//! another one. What was stored of such captures must not be counted again: a file that begins with one of them, or is
//! one, is recognised by the digests of its first bytes.

use crate::hash::Place;
use crate::source::{Content, Digest};
use crate::store::{Checkpoint, SourceState, Store, StoreError};
use std::collections::{BTreeSet, HashSet};

/// Captures that are known by all of their content.
#[derive(Default)]
pub(super) struct Earlier {
    ids: HashSet<Digest>,
    /// The lengths that they may have, in bytes.
    lengths: BTreeSet<u64>,
}

impl Earlier {
    /// Asks the store.
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

    /// The lengths at which a content has to be measured.
    pub(super) fn lengths(&self) -> &BTreeSet<u64> {
        &self.lengths
    }

    /// Those that a content begins with or is, the shortest first.
    pub(super) fn of(&self, content: &Content) -> Vec<(u64, Digest)> {
        let all = content.digests().chain([(content.length, content.digest)]);
        let mut found: Vec<_> = all.filter(|(_, digest)| self.ids.contains(digest)).collect();
        found.dedup();
        found
    }
}

/// The part of a file that is in the store under an identity of an earlier version.
#[derive(Default)]
pub(super) struct Before {
    /// All packets that begin before this.
    whole: u64,
    /// And what one of these covers, which were left half-way.
    half: Vec<Checkpoint>,
}

impl Before {
    /// Adds the file as it was at one time.
    ///
    /// If it was read to its end then, its last place is that of the end, where now a packet may begin. What the end
    /// itself told, messages out of streams with holes in them, may be told again where they are filled.
    pub(super) fn add(&mut self, state: Option<&SourceState>, checkpoint: Checkpoint) {
        match state {
            Some(state) if state.complete => {
                self.whole = self.whole.max(state.acknowledged.saturating_sub(1));
            }
            _ => self.half.push(checkpoint),
        }
    }

    /// Places up to which an earlier version has read the file: what waited there was filed then.
    pub(super) fn ends(&self) -> impl Iterator<Item = u64> {
        let half = self.half.iter().map(|checkpoint| checkpoint.horizon().saturating_sub(1));
        half.chain([self.whole]).filter(|&end| end > 0)
    }

    /// True if a record of the place `at` in the file is stored already.
    pub(super) fn covers(&self, place: Place, at: u64) -> bool {
        at <= self.whole || self.half.iter().any(|checkpoint| checkpoint.covers(place, at))
    }
}
