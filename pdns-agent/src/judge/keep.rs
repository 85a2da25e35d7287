//! Verdicts in the store: indicators of the source [`JUDGE_SOURCE`], of kind interest, for a bounded time.
//!
//! Interest overrides nothing and silences nothing, so that a guess never changes what analysts and feeds say. The
//! confidence is the score. Notes come from few texts, because the store shares them.

use super::state::State;
use crate::analyze::AlertClass;
use crate::indicator::{JUDGE_SOURCE, ListedIndicator};
use crate::name::NameBuf;
use crate::store::{ImportSpec, Store, StoreError};
use crate::tag::{TagKind, TagSubject};
use serde::{Deserialize, Serialize};

/// Verdicts that the source lists at most.
const MAX_LISTED: u64 = 200_000;
const DAY: u32 = 86_400;

/// A verdict to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The registrable domain.
    pub(super) domain: String,
    pub(super) class: AlertClass,
    pub(super) score: u8,
    pub(super) note: String,
    /// When it was judged, in seconds since the epoch.
    pub(super) time: u32,
}

impl State {
    /// Takes a verdict, unless the day has as many as are allowed.
    pub(super) fn keep(&mut self, kept: Kept, per_day: u32) {
        // A set that has grown names its domains again.
        if let Some(one) = self.unkept.iter_mut().find(|one| one.domain == kept.domain) {
            if kept.score > one.score {
                *one = kept;
            }
            return;
        }
        let day = kept.time / DAY;
        if self.kept_today.0 != day {
            self.kept_today = (day, 0);
        }
        if self.kept_today.1 >= per_day {
            self.counters.not_kept += 1;
        } else {
            self.kept_today.1 += 1;
            self.unkept.push(kept);
        }
    }

    /// Writes verdicts to the store, and once a day removes those that have ended. May be repeated.
    pub(super) fn flush(
        &mut self,
        store: &mut Store,
        lifetime: u32,
        now: u32,
    ) -> Result<(), StoreError> {
        let is_sweep = self.swept != now / DAY;
        if self.unkept.is_empty() && !is_sweep {
            return Ok(());
        }
        let has_source =
            store.reader().intel_sources()?.iter().any(|source| source.name == JUDGE_SOURCE);
        if self.unkept.is_empty() && !has_source {
            self.swept = now / DAY;
            return Ok(());
        }
        let spec = ImportSpec {
            author: JUDGE_SOURCE.to_owned(),
            kind: TagKind::Interest,
            replaces: false,
            is_partial: !is_sweep,
            ..ImportSpec::new(JUDGE_SOURCE, now)
        };
        let mut import = store.indicators().import(spec)?;
        let room = MAX_LISTED.saturating_sub(import.source().listed);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(self.unkept.len());
        for kept in self.unkept.iter().take(room) {
            let Ok(domain) = NameBuf::parse(&kept.domain) else { continue };
            let mut listed = ListedIndicator::new(TagSubject::Below(domain));
            listed.kind = Some(TagKind::Interest);
            listed.confidence = Some(kept.score);
            listed.first_listed = Some(kept.time);
            listed.valid_until = Some(kept.time.saturating_add(lifetime));
            listed.labels = vec![kept.class.as_str().to_owned(), format!("model:{}", self.model)];
            listed.note.clone_from(&kept.note);
            import.add(&listed)?;
        }
        let tally = import.commit(&mut |_| ())?.tally;
        self.counters.kept += tally.added;
        self.counters.not_kept += (self.unkept.len() - room) as u64;
        self.unkept.clear();
        self.swept = now / DAY;
        Ok(())
    }
}
