//! The indicators of a store: what feeds and partners say, by source.
//!
//! They lie in buckets (`store/layout/listing.rs`), of which an answer reads those of its own subjects. All keys
//! share the slot of the tags: `pd:{tags}i` is a hash with the generation `g`, the highest number of a source `s` and
//! of a word `w`, and the number of each source under `=` and its name; `pd:{tags}ib<xx>` are the buckets, with a
//! version `v` in each hash; `pd:{tags}iw` the words; `pd:{tags}is` the sources; `pd:{tags}il` the leases of
//! processes that import; `pd:{tags}ih<n>` and `pd:{tags}ic<n>` the history of a source: its imports, and the
//! subjects that they changed.
//!
//! An import reads every hash once, replaces the listings of its source, and writes the buckets that changed. A
//! version that was read and is no longer the stored one makes it read again. Killed half-way, it leaves a source
//! that is partly new; the next import completes it.

mod import;
mod merge;
mod read;
mod repair;
mod source;
mod spool;
mod words;

pub use import::{ImportOutcome, ImportSpec, IndicatorImport};
pub use merge::{ListingAct, ListingChange, ListingTally};
pub use source::{ImportEntry, IntelSource};

use crate::store::layout::listing::SHARDS;
use crate::store::{Store, StoreError};

/// Maximum number of imports in the history of a source.
pub const MAX_IMPORTS: u32 = 1_000;
/// Maximum number of changed subjects in the history of a source.
pub const MAX_CHANGES: u32 = 10_000;

/// Changes the indicators of a store.
pub struct Indicators<'s> {
    store: &'s mut Store,
}

impl Store {
    /// Returns the view for changing indicators.
    pub fn indicators(&mut self) -> Indicators<'_> {
        Indicators { store: self }
    }

    /// Returns the number of hashes with buckets, as the numbers of all of them.
    fn shards() -> impl Iterator<Item = u8> {
        0..SHARDS
    }
}

impl Indicators<'_> {
    /// Removes all indicators of a source. Returns `None` if there is no such source, or it has none.
    ///
    /// # Errors
    /// As [`Indicators::import`].
    pub fn withdraw(
        self,
        source: &str,
        author: &str,
        now: u32,
    ) -> Result<Option<ListingTally>, StoreError> {
        let known = self.store.reader().intel_sources()?;
        // An import that was broken off has left indicators that its record does not count.
        if !known.iter().any(|known| known.name == source) {
            return Ok(None);
        }
        let spec = ImportSpec {
            author: author.to_owned(),
            withdraws: true,
            ..ImportSpec::new(source, now)
        };
        let tally = self.import(spec)?.commit(&mut |_| ())?.tally;
        Ok(Some(tally).filter(|tally| tally.expired > 0))
    }
}
