//! The risk of a registrable domain or a set, from what its names say and what is known of them.
//!
//! The one place where evidence becomes a risk score: `judge` asks [`risk`] and knows nothing of weights. A ledger of
//! log-odds over a prior of 1 %; evidence that is missing adds nothing. Scores from [`super::WATCH`] on
//! are kept.

use super::score::percent;
use super::{Mimic, SetVerdict, Verdict};
use serde::{Deserialize, Serialize};

/// Log-odds of a domain of which nothing is known: 1 %.
const PRIOR: f64 = -4.6;
/// Most that a generated label adds.
const LEXICAL: f64 = 4.0;
/// Weight of a set of generated names: its names were not chosen apart.
const SET: f64 = 5.5;
/// Weight of a perfect imitation.
const MIMIC: f64 = 3.0;
/// Weight of a domain that was never seen before.
const NEW: f64 = 1.5;
/// Weight of a feed's trust.
const FEED_TRUST: f64 = -2.0;
/// Weights of a threat: said by an analyst, and by a feed that is certain.
const ANALYST: f64 = 8.0;
const FEED: f64 = 4.5;

/// A class of verdicts, with a share of the alert budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertClass {
    /// A generated name.
    Generated,
    /// A set of generated names.
    GeneratedSet,
    /// A name that imitates a protected one.
    Mimic,
}

impl AlertClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Generated, Self::GeneratedSet, Self::Mimic];
    /// Number of classes.
    pub const COUNT: u32 = 3;

    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::GeneratedSet => "generated-set",
            Self::Mimic => "mimic",
        }
    }
}

/// Known facts of a domain or a set.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameEvidence<'e> {
    /// Verdict on its name, with the log-odds at even prior.
    pub generated: Option<(Verdict, f64)>,
    /// Verdict on the set.
    pub set: Option<&'e SetVerdict>,
    /// The protected name that it imitates.
    pub mimic: Option<&'e Mimic<'e>>,
    /// True if none of its names was seen before.
    pub is_new: bool,
    /// True if a feed trusts it, and nothing overrides that.
    pub has_feed_trust: bool,
}

/// A risk score with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// From 0 to 100.
    pub score: u8,
    /// The class of the strongest evidence; `None` without any.
    pub class: Option<AlertClass>,
    /// One short sentence for each piece of evidence.
    pub reasons: Vec<String>,
}

/// The risk that evidence adds up to.
#[must_use]
pub fn risk(evidence: &NameEvidence<'_>) -> Risk {
    let mut odds = PRIOR;
    let mut reasons = Vec::new();
    let mut strongest: Option<(f64, AlertClass)> = None;
    let mut add = |weight: f64, class: AlertClass, odds: &mut f64| {
        *odds += weight;
        if strongest.is_none_or(|(most, _)| weight > most) {
            strongest = Some((weight, class));
        }
    };
    match (evidence.set, evidence.generated) {
        (Some(set), _) => {
            if set.verdict == Verdict::Dga {
                add(SET, AlertClass::GeneratedSet, &mut odds);
                let (names, p) = (set.names, set.p);
                reasons.push(format!("{names} names look generated together (p {p:.2})"));
            }
        }
        (None, Some((Verdict::Dga, own))) => {
            add(own.clamp(0.0, LEXICAL), AlertClass::Generated, &mut odds);
            reasons.push(format!("the name looks generated (log-odds {own:.1})"));
        }
        (None, Some((Verdict::Unsure, own))) => {
            add((own / 2.0).clamp(0.0, LEXICAL / 2.0), AlertClass::Generated, &mut odds);
            reasons.push(format!("the name may be generated (log-odds {own:.1})"));
        }
        (None, _) => {}
    }
    if let Some(mimic) = evidence.mimic {
        let Mimic { target, kind, score } = mimic;
        add(MIMIC * f64::from(*score) / 100.0, AlertClass::Mimic, &mut odds);
        reasons.push(format!("it imitates {target} ({kind}, {score} of 100)"));
    }
    let class = strongest.map(|(_, class)| class);
    if class.is_some() && evidence.is_new {
        odds += NEW;
        reasons.push("never seen before".to_owned());
    }
    if class.is_some() && evidence.has_feed_trust {
        odds += FEED_TRUST;
        reasons.push("a feed trusts it".to_owned());
    }
    Risk { score: percent(odds), class, reasons }
}

/// The risk of something that analysts or feeds call a threat, with the confidence of the feed from 0 to 100.
#[must_use]
pub fn hit_score(feed_confidence: Option<u8>) -> u8 {
    percent(NEW + PRIOR + feed_confidence.map_or(ANALYST, |sure| FEED * f64::from(sure) / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{Band, MimicKind};

    #[test]
    fn evidence_adds_up() {
        let mimic = Mimic { target: "paypal.com", kind: MimicKind::Homoglyph, score: 94 };
        let set = SetVerdict { names: 5, p: 0.99, verdict: Verdict::Dga, reasons: Vec::new() };
        let is_new = true;
        let scored = |evidence: NameEvidence<'_>| {
            let risk = risk(&evidence);
            (risk.score, risk.class, risk.reasons.len())
        };
        let none = NameEvidence::default();
        assert_eq!(scored(none), (1, None, 0));
        assert_eq!(scored(NameEvidence { is_new, ..none }), (1, None, 0));
        let generated = Some((Verdict::Dga, 9.0));
        let of = Some(AlertClass::Generated);
        assert_eq!(scored(NameEvidence { generated, is_new, ..none }), (71, of, 2));
        assert_eq!(scored(NameEvidence { generated, ..none }), (35, of, 1));
        let trusted = NameEvidence { generated, is_new, has_feed_trust: true, ..none };
        assert_eq!(scored(trusted).0, 25);
        let unsure = Some((Verdict::Unsure, 2.0));
        assert_eq!(scored(NameEvidence { generated: unsure, is_new, ..none }), (11, of, 2));
        let copied = NameEvidence { mimic: Some(&mimic), is_new, ..none };
        assert_eq!(scored(copied), (43, Some(AlertClass::Mimic), 2));
        let both = NameEvidence { generated, ..copied };
        assert_eq!(scored(both), (98, of, 3));
        let of = Some(AlertClass::GeneratedSet);
        assert_eq!(
            scored(NameEvidence { set: Some(&set), generated, is_new, ..none }),
            (92, of, 2)
        );
        assert_eq!((hit_score(None), hit_score(Some(90)), hit_score(Some(0))), (99, 72, 4));
        let band = |score| Band::new(score).as_str();
        assert_eq!([0, 30, 60, 85].map(band), ["low", "watch", "suspicious", "bad"]);
    }
}
