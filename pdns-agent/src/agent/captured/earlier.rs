//! Capture files that have grown since they were read.
//!
//! Under `captured`. A capture is known by all of its content, so one that has grown is another one. What was
//! stored of it when it was shorter must not be counted again: the store tells which captures were read at
//! the same path, and the file whether it begins with one of them.

use crate::hash::Place;
use crate::store::{Checkpoint, SourceState, Store, StoreError};
use std::collections::HashMap;
use std::path::Path;

/// A capture by what it is known by, and how long it was in octets.
pub(super) type Known = ([u8; 16], u64);

/// Captures that the store knows, by path, the shortest first.
#[derive(Default)]
pub(super) struct Earlier(HashMap<String, Vec<Known>>);

impl Earlier {
    /// Asks the store.
    pub(super) fn load(store: &mut Store) -> Result<Self, StoreError> {
        let mut by_path: HashMap<String, Vec<Known>> = HashMap::new();
        for (id, state) in store.sources()? {
            if state.size > 0 && !state.live {
                by_path.entry(state.path).or_default().push((id, state.size));
            }
        }
        for known in by_path.values_mut() {
            known.sort_unstable_by_key(|&(id, size)| (size, id));
        }
        Ok(Self(by_path))
    }

    /// What was read at this path.
    pub(super) fn of(&self, path: &Path) -> &[Known] {
        self.0.get(&path.display().to_string()).map_or(&[], Vec::as_slice)
    }
}

/// What of a file is in the store under what it was known by when it was shorter.
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
    /// If it was read to its end then, its last place is that of the end, where now a packet begins. What the end
    /// itself told, messages out of streams with holes in them, may be told again where they are filled.
    pub(super) fn add(&mut self, state: Option<&SourceState>, checkpoint: Checkpoint) {
        match state {
            Some(state) if state.complete => {
                self.whole = self.whole.max(state.acknowledged.saturating_sub(1));
            }
            _ => self.half.push(checkpoint),
        }
    }

    /// Whether a record of the packet that begins at `start` is stored already.
    ///
    /// The place of an end is one behind where the last packet ended, and where now another may begin, which it does not
    /// cover. No other packet begins so shortly before a place that a batch went to.
    pub(super) fn covers(&self, place: Place, start: u64) -> bool {
        start < self.whole || self.half.iter().any(|checkpoint| checkpoint.covers(place, start + 1))
    }
}
