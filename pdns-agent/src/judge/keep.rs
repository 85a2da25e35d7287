//! Verdicts in the store: indicators of the source [`JUDGE_SOURCE`], of kind interest, for a bounded time.
//!
//! Interest overrides nothing and silences nothing, so that a guess never changes what analysts and feeds say. The
//! confidence is the score. Notes come from few texts, because the store shares them.

use super::state::State;
use crate::analyze::AlertClass;
use crate::indicator::{JUDGE_SOURCE, ListedIndicator};
use crate::name::NameBuf;
use crate::query::DAY;
use crate::store::{ImportSpec, Store, StoreError};
use crate::tag::{TagKind, TagSubject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Verdicts that the source lists at most.
const MAX_LISTED: u64 = 200_000;

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
    /// True if it is an alert, too.
    #[serde(default)]
    pub(super) is_raised: bool,
}

/// Verdicts of a day that were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeptOn {
    /// Days since the epoch.
    day: u32,
    /// Number of verdicts by class.
    classes: BTreeMap<AlertClass, u32>,
}

impl State {
    /// Takes a verdict, unless the day has as many of its class as are allowed. What is raised as an alert is always
    /// taken.
    pub(super) fn keep(&mut self, kept: Kept, per_day: u32) {
        // A set that has grown names its domains again.
        if let Some(one) = self.unkept.iter_mut().find(|one| one.domain == kept.domain) {
            let is_raised = one.is_raised || kept.is_raised;
            if kept.score > one.score {
                *one = kept;
            }
            one.is_raised = is_raised;
            return;
        }
        if self.may_keep(kept.class, kept.time, per_day) || kept.is_raised {
            *self.kept_on.classes.entry(kept.class).or_default() += 1;
            self.unkept.push(kept);
        } else {
            self.counters.not_kept += 1;
        }
    }

    /// True if the day of a time has room for one more verdict of a class.
    pub(super) fn may_keep(&mut self, class: AlertClass, time: u32, per_day: u32) -> bool {
        let day = time / DAY;
        if self.kept_on.day != day {
            self.kept_on = KeptOn { day, classes: BTreeMap::new() };
        }
        let used = |class| self.kept_on.classes.get(&class).copied().unwrap_or(0);
        self.budget.has_room(per_day, class, used)
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
        self.unkept.sort_by_key(|kept| !kept.is_raised);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::WATCH;

    #[test]
    fn a_flood_of_one_class_leaves_room_for_others_and_for_what_is_raised() {
        let mut state = State::default();
        let mut keep = |class, number: u32, is_raised| {
            let time = 20_000 * DAY;
            state.budget.decide(5, 20_000, class, number.into(), WATCH);
            let domain = format!("d{number}.example");
            let kept = Kept { domain, class, score: WATCH, note: String::new(), time, is_raised };
            state.keep(kept, 300);
            let of = |class| state.unkept.iter().filter(|one| one.class == class).count();
            (of(AlertClass::Generated), of(AlertClass::GeneratedSet), of(AlertClass::Mimic))
        };
        for number in 0..1_000 {
            keep(AlertClass::Generated, number, false);
        }
        assert_eq!(keep(AlertClass::Generated, 1_000, false), (100, 0, 0));
        for number in 2_000..2_200 {
            keep(AlertClass::Mimic, number, false);
        }
        assert_eq!(keep(AlertClass::GeneratedSet, 3_000, false), (100, 1, 100));
        assert_eq!(keep(AlertClass::Generated, 1_001, true), (101, 1, 100));
        assert_eq!(keep(AlertClass::Mimic, 2_200, true), (101, 1, 101));
        assert_eq!(state.counters.not_kept, 901 + 100);
    }
}
