//! Scores of names and addresses: evidence from the name, the lists and the store, weighed by `analyze`.
//!
//! Part of `query`. [`assess`] reads a bounded number of records for one subject ([`Reach`]), makes a value of each
//! kind of evidence, and has them weighed. Nothing outside the store is asked. [`Scorer::assess_name`] does the same
//! with what is known of the name alone, for programs that judge millions of names and read the store only for those
//! that stand out.
//!
//! Evidence spreads by one hop, from an address to the names on it, and never through addresses that many names share:
//! parking, sinkholes, content networks, and addresses with names of more than [`MAX_SHARED_DOMAINS`](super::MAX_SHARED_DOMAINS) domains.
//! Verdicts of the judge ([`JUDGE_SOURCE`]) are no evidence: it would confirm itself.

mod addresses;
mod collect;
mod evidence;
mod facts;
mod from_tags;
mod new;

pub use collect::Reach;
pub use facts::{AddressFacts, AddressUse, Facts};
pub use new::{NewScores, ScoredNew, score_new};

use super::{ScoreLists, Subject, TagSet, Threats, TopList};
use crate::analyze::{Exempts, Ledger, MimicIndex, Model, ModelError, Weights, brands};
use crate::indicator::JUDGE_SOURCE;
use crate::name::{Name, NameBuf};
use crate::store::{Reader, StoreError};
use std::fmt;
use std::sync::Arc;

/// Everything that scoring needs besides the store: models, lists and weights. Made once, used for many subjects; a
/// clone shares them.
#[derive(Clone)]
pub struct Scorer {
    /// Model of generated names.
    pub model: Arc<Model>,
    /// Protected names.
    pub mimics: Arc<MimicIndex>,
    /// Weights of evidence.
    pub weights: Arc<Weights>,
    /// Lists of networks, zones and suffixes.
    pub lists: Arc<ScoreLists>,
    /// Names that look like tunnels and are none.
    pub exempts: Arc<Exempts>,
    /// The operator's list of popular names, if there is one.
    pub top: Option<Arc<TopList>>,
    /// Threats on addresses, among which the nearest is sought.
    threats: Arc<Threats>,
    /// The first day of the store, in seconds since 1970; `None` for an empty store.
    store_since: Option<u32>,
    reach: Reach,
}

impl fmt::Debug for Scorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scorer").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Scorer {
    /// A scorer with the models, lists and weights that come with the program; [`Scorer::refresh`] reads the rest.
    ///
    /// # Errors
    /// [`ModelError`] if the model within the program is damaged.
    pub fn shipped() -> Result<Self, ModelError> {
        Ok(Self {
            model: Arc::new(Model::embedded()?),
            mimics: Arc::new(MimicIndex::new(&brands())),
            weights: Arc::new(Weights::shipped()),
            lists: Arc::new(ScoreLists::shipped()),
            exempts: Arc::new(Exempts::shipped()),
            top: None,
            threats: Arc::default(),
            store_since: None,
            reach: Reach::default(),
        })
    }

    /// Reads what all scores share from the store: the threats on addresses, and its first day. Call it once, and again
    /// when tags have changed.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn refresh(&mut self, store: &mut Reader<'_>) -> Result<(), StoreError> {
        let threats = Threats::load(store)?;
        self.refresh_with(store, Arc::new(threats))
    }

    /// Like [`Scorer::refresh`], with threats that were read before.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn refresh_with(
        &mut self,
        store: &mut Reader<'_>,
        threats: Arc<Threats>,
    ) -> Result<(), StoreError> {
        self.threats = threats;
        let first = store.days()?.first_key_value().map(|(&day, _)| day);
        self.store_since = first.map(|day| day.saturating_mul(super::DAY));
        Ok(())
    }

    /// Sets how much of the store is read for a subject.
    pub fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// Scores a name by its text, the lists and the time of its first sighting, if that is known; the store is not
    /// read, and all other evidence is unknown. Takes some ten microseconds.
    #[must_use]
    pub fn assess_name(&self, name: Name<'_>, first: Option<u32>, now: u32) -> Assessment {
        let facts = Facts { first, ..Facts::new(name) };
        self.assess_facts(&facts, None, now)
    }

    /// Scores what was collected of a subject; `tags` are those that apply to it and to the names on its addresses,
    /// without those of the judge, and `None` if they were not read. Pure: neither store nor clock.
    #[must_use]
    pub fn assess_facts(&self, facts: &Facts, tags: Option<&TagSet>, now: u32) -> Assessment {
        let (evidence, labels) = evidence::evidence(self, facts, tags, now);
        Assessment {
            subject: facts.subject.clone(),
            domain: facts.domain.clone(),
            first: facts.first,
            records: facts.records,
            ledger: Ledger::new(&self.weights, evidence),
            labels,
            notes: facts.notes.clone(),
        }
    }
}

/// The score of a subject, with all that it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// A name or an address.
    pub subject: Subject,
    /// The registrable domain of a name; a user's name below a zone of dynamic DNS.
    pub domain: Option<NameBuf>,
    /// Time of the first sighting of the domain or address among what was read, in seconds since 1970.
    pub first: Option<u32>,
    /// Number of rows that were read.
    pub records: usize,
    /// The ledger.
    pub ledger: Ledger,
    /// Uses of the subject or its addresses: `parked`, `sinkholed`, `content-network`, `shared-hosting`.
    pub labels: Vec<&'static str>,
    /// Parts of the store that were not read, as sentences.
    pub notes: Vec<String>,
}

/// A subject that has no score: a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no score: give names or single addresses")]
pub struct NoScore(pub String);

/// Returns the name or address that a subject is scored as; all names below one are scored as that one.
///
/// # Errors
/// [`NoScore`] for ranges and the root.
pub fn scored_subject(subject: &Subject) -> Result<Subject, NoScore> {
    match subject {
        Subject::Name(name) | Subject::Below(name) | Subject::AtOrBelow(name)
            if !name.as_name().is_root() =>
        {
            Ok(Subject::Name(name.clone()))
        }
        Subject::Addresses(from, to) if from == to => {
            let address = from.to_canonical();
            Ok(Subject::Addresses(address, address))
        }
        _ => Err(NoScore(subject.to_string())),
    }
}

/// Scores a name or an address with what the store has about it. `now` is in seconds since 1970.
///
/// # Errors
/// [`AssessError`] when the store cannot be read, or for a subject without a score.
pub fn assess(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    subject: &Subject,
    now: u32,
) -> Result<Assessment, AssessError> {
    let facts = match scored_subject(subject)? {
        Subject::Addresses(address, _) => collect::address(store, scorer, address)?,
        Subject::Name(name) | Subject::Below(name) | Subject::AtOrBelow(name) => {
            return Ok(assess_stored(store, scorer, name.as_name(), false, now)?);
        }
    };
    let tags = TagSet::of_subjects(store, &facts.tag_subjects())?.without_source(JUDGE_SOURCE);
    Ok(scorer.assess_facts(&facts, Some(&tags), now))
}

/// Scores a name with what the store has about it, as [`assess`] does. `is_new` says that somebody saw its domain come, so
/// that its age is known even on the first day of the store.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn assess_stored(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    name: Name<'_>,
    is_new: bool,
    now: u32,
) -> Result<Assessment, StoreError> {
    let facts = Facts { is_new, ..collect::name(store, scorer, name)? };
    let tags = TagSet::of_subjects(store, &facts.tag_subjects())?.without_source(JUDGE_SOURCE);
    Ok(scorer.assess_facts(&facts, Some(&tags), now))
}

/// Reason why a subject could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum AssessError {
    /// The subject has no score.
    #[error(transparent)]
    NoScore(#[from] NoScore),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
