//! Weighs what stands out, with all that `pdns score` knows: both have the same ledger, and the same number.
//!
//! Names are chosen by their text, which costs no question to the store ([`Candidate::risk`]). Only those that may be kept
//! or raised are weighed here.

use super::Knowledge;
use super::candidate::Candidate;
use crate::analyze::{AlertClass, EvidenceKind, LedgerEntry};
use crate::name::Name;
use crate::query::{Assessment, Scorer, assess_stored};
use crate::store::{Store, StoreError};
use std::time::{Duration, Instant};

/// Time for which the threats on addresses, among which the nearest is sought, are kept in memory.
const KEPT: Duration = Duration::from_mins(10);
/// Least contribution, in nats, that is told beside the text of the name.
const TOLD: f64 = 0.1;

/// What a name weighs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    /// The score of `pdns score`.
    pub(super) score: u8,
    /// The score if the name were new, by which verdicts are compared.
    pub(super) rank: u8,
    /// The class of the stronger evidence of its text; `None` if there is none.
    pub(super) class: Option<AlertClass>,
    /// One short sentence for each piece of evidence.
    pub(super) reasons: Vec<String>,
}

/// Weighs names.
pub(super) struct Weigher {
    scorer: Scorer,
    refreshed: Option<Instant>,
}

impl Weigher {
    pub(super) fn new(knowledge: &Knowledge) -> Self {
        Self { scorer: knowledge.scorer.clone(), refreshed: None }
    }

    /// The score of a name. `is_new` says that the judge saw its domain come.
    pub(super) fn score(
        &mut self,
        store: &mut Store,
        name: Name<'_>,
        is_new: bool,
        now: u32,
    ) -> Result<u8, StoreError> {
        Ok(self.assess(store, name, is_new, now)?.ledger.score)
    }

    /// Weighs a candidate.
    pub(super) fn weigh(
        &mut self,
        store: &mut Store,
        candidate: &Candidate<'_>,
        is_new: bool,
        now: u32,
    ) -> Result<Weight, StoreError> {
        let ledger = self.assess(store, candidate.name.as_name(), is_new, now)?.ledger;
        let of = |kind| ledger.entry(kind).map_or(0.0, |entry| entry.contribution);
        let (dga, squat) = (of(EvidenceKind::Dga), of(EvidenceKind::Squat));
        let class = match (dga > 0.0, squat > 0.0) {
            (true, _) if dga >= squat => Some(AlertClass::Generated),
            (_, true) => Some(AlertClass::Mimic),
            _ => None,
        };
        let mut reasons = candidate.reasons(dga > 0.0, squat > 0.0);
        if is_new {
            reasons.push("never seen before".to_owned());
        } else if let Some(age) = ledger.entry(EvidenceKind::Age) {
            reasons.push(age.evidence.value.to_string());
        }
        let is_told = |entry: &&LedgerEntry| {
            let kind = entry.evidence.kind;
            let is_of_text =
                [EvidenceKind::Dga, EvidenceKind::Squat, EvidenceKind::Age].contains(&kind);
            entry.contribution.abs() >= TOLD && !is_of_text
        };
        reasons.extend(ledger.reasons().filter(is_told).map(|entry| match entry.evidence.kind {
            EvidenceKind::FeedTrust => "a feed trusts it".to_owned(),
            kind => format!("{kind}: {}", entry.evidence.value),
        }));
        let rank = ledger.score_if_new(&self.scorer.weights);
        Ok(Weight { score: ledger.score, rank, class, reasons })
    }

    fn assess(
        &mut self,
        store: &mut Store,
        name: Name<'_>,
        is_new: bool,
        now: u32,
    ) -> Result<Assessment, StoreError> {
        let mut reader = store.reader();
        if self.refreshed.is_none_or(|at| at.elapsed() >= KEPT) {
            self.scorer.refresh(&mut reader)?;
            self.refreshed = Some(Instant::now());
        }
        assess_stored(&mut reader, &self.scorer, name, is_new, now)
    }
}
