//! A domain judged by the text of one of its names.

use super::Knowledge;
use crate::analyze::{
    AlertClass, MIMIC_LIMIT, Mimic, NameEvidence, Risk, Verdict, WATCH, Weights, imitates, looks,
    risk,
};
use crate::name::{Name, NameBuf};

/// A domain whose name says something against it.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'k> {
    /// The name.
    pub(super) name: NameBuf,
    /// The domain that its owner has.
    pub(super) domain: NameBuf,
    generated: (Verdict, f64),
    pub(super) mimic: Option<Mimic<'k>>,
    weights: &'k Weights,
}

impl<'k> Candidate<'k> {
    /// Judges a name of a domain that is new; `None` if nothing speaks against it.
    pub(super) fn of_new(knowledge: &'k Knowledge, name: Name<'_>) -> Option<Self> {
        let domain = knowledge.domain_of(name)?;
        let classified = knowledge.scorer.model.classify(domain);
        Self::new(knowledge, name, domain, (classified.verdict, classified.scores.odds))
    }

    /// Judges a further name of a domain: the labels before it may imitate.
    pub(super) fn of_host(
        knowledge: &'k Knowledge,
        name: Name<'_>,
        domain: Name<'_>,
    ) -> Option<Self> {
        if name.as_str().len() == domain.as_str().len()
            || !knowledge.scorer.mimics.may_hold(name, domain)
        {
            return None;
        }
        Self::of_new(knowledge, name)
    }

    fn new(
        knowledge: &'k Knowledge,
        name: Name<'_>,
        domain: Name<'_>,
        generated: (Verdict, f64),
    ) -> Option<Self> {
        let mimic = knowledge.scorer.mimics.find(name).into_iter().next();
        let mimic = mimic.filter(|mimic| mimic.score >= MIMIC_LIMIT);
        let is_generated = matches!(generated.0, Verdict::Dga | Verdict::Unsure);
        if mimic.is_none() && !is_generated {
            return None;
        }
        let weights = &knowledge.scorer.weights;
        let candidate =
            Self { name: name.to_buf(), domain: domain.to_buf(), generated, mimic, weights };
        (candidate.risk(false).score >= WATCH).then_some(candidate)
    }

    /// What its text says, in sentences: that it looks generated, and that it imitates.
    pub(super) fn reasons(&self, is_generated: bool, is_mimic: bool) -> Vec<String> {
        let (verdict, odds) = self.generated;
        let generated = is_generated.then(|| looks(verdict, odds));
        let mimic = self.mimic.as_ref().filter(|_| is_mimic).map(imitates);
        generated.into_iter().chain(mimic).collect()
    }

    /// The risk of its text, if it were new.
    pub(super) fn risk(&self, has_feed_trust: bool) -> Risk {
        let evidence = NameEvidence {
            generated: Some(self.generated),
            mimic: self.mimic.as_ref(),
            is_new: true,
            has_feed_trust,
            ..NameEvidence::default()
        };
        risk(&evidence, self.weights)
    }

    /// A short note for the store.
    pub(super) fn note(&self, class: AlertClass) -> String {
        match (&self.mimic, class) {
            (Some(mimic), AlertClass::Mimic) => {
                format!("imitates {} ({})", mimic.target, mimic.kind)
            }
            _ => "looks generated".to_owned(),
        }
    }
}
