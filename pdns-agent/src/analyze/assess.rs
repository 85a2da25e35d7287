//! The risk of a registrable domain or a set, from what its names say and what is known of them.
//!
//! For programs that judge millions of names: `judge` asks [`risk`], which weighs what is known of a name alone in the
//! ledger that `pdns score` uses, with the same weights; evidence that is missing adds nothing. It is asked which names
//! are worth more questions, and of sets, which have no score elsewhere.

use super::{Evidence, EvidenceKind, Ledger, Mimic, SetVerdict, Verdict, Weights, dga_strength};
use serde::{Deserialize, Serialize};

/// Author of this evidence in the ledger; nobody reads it.
const SOURCE: &str = "judge";

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
pub fn risk(evidence: &NameEvidence<'_>, weights: &Weights) -> Risk {
    let mut found: Vec<Evidence> = Vec::new();
    let mut reasons = Vec::new();
    let mut strongest: Option<(f64, AlertClass)> = None;
    let mut add = |kind: EvidenceKind, x: f64, class: Option<AlertClass>| {
        let weight = x * weights.of(kind);
        if let Some(class) = class.filter(|_| strongest.is_none_or(|(most, _)| weight > most)) {
            strongest = Some((weight, class));
        }
        found.push(Evidence::new(kind, x, "", SOURCE));
    };
    match (evidence.set, evidence.generated) {
        (Some(set), _) => {
            if set.verdict == Verdict::Dga {
                add(EvidenceKind::DgaSet, 1.0, Some(AlertClass::GeneratedSet));
                // Each of its names looks generated in the company of the others.
                add(EvidenceKind::Dga, 1.0, None);
                let (names, p) = (set.names, set.p);
                reasons.push(format!("{names} names look generated together (p {p:.2})"));
            }
        }
        (None, Some((verdict @ (Verdict::Dga | Verdict::Unsure), own))) => {
            let x = dga_strength(own).max(0.0);
            add(EvidenceKind::Dga, x, Some(AlertClass::Generated));
            reasons.push(looks(verdict, own));
        }
        // An ordinary name says nothing for an imitation, which looks like one on purpose.
        (None, _) => {}
    }
    if let Some(mimic) = evidence.mimic {
        add(EvidenceKind::Squat, f64::from(mimic.score) / 100.0, Some(AlertClass::Mimic));
        reasons.push(imitates(mimic));
    }
    let has_any = !reasons.is_empty();
    if has_any && evidence.is_new {
        add(EvidenceKind::Age, 1.0, None);
        reasons.push("never seen before".to_owned());
    }
    if has_any && evidence.has_feed_trust {
        add(EvidenceKind::FeedTrust, 1.0, None);
        reasons.push("a feed trusts it".to_owned());
    }
    let class = strongest.map(|(_, class)| class);
    Risk { score: Ledger::new(weights, found).score, class, reasons }
}

/// The verdict on a name in a sentence, with the log-odds at even prior.
#[must_use]
pub fn looks(verdict: Verdict, own: f64) -> String {
    let looks = if verdict == Verdict::Dga { "looks generated" } else { "may be generated" };
    format!("the name {looks} (log-odds {own:.1})")
}

/// An imitation in a sentence.
#[must_use]
pub fn imitates(mimic: &Mimic<'_>) -> String {
    let Mimic { target, kind, score } = mimic;
    format!("it imitates {target} ({kind}, {score} of 100)")
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
            let risk = risk(&evidence, &Weights::shipped());
            (risk.score, risk.class, risk.reasons.len())
        };
        let none = NameEvidence::default();
        assert_eq!(scored(none), (1, None, 0));
        assert_eq!(scored(NameEvidence { is_new, ..none }), (1, None, 0));
        let generated = Some((Verdict::Dga, 9.0));
        let of = Some(AlertClass::Generated);
        assert_eq!(scored(NameEvidence { generated, is_new, ..none }), (60, of, 2));
        assert_eq!(scored(NameEvidence { generated, ..none }), (25, of, 1));
        let trusted = NameEvidence { generated, is_new, has_feed_trust: true, ..none };
        assert_eq!(scored(trusted).0, 25);
        let unsure = Some((Verdict::Unsure, 2.0));
        assert_eq!(scored(NameEvidence { generated: unsure, is_new, ..none }), (13, of, 2));
        let copied = NameEvidence { mimic: Some(&mimic), is_new, ..none };
        assert_eq!(scored(copied), (43, Some(AlertClass::Mimic), 2));
        let both = NameEvidence { generated, ..copied };
        assert_eq!(scored(both), (71, of, 3));
        let of = Some(AlertClass::GeneratedSet);
        assert_eq!(
            scored(NameEvidence { set: Some(&set), generated, is_new, ..none }),
            (71, of, 2)
        );
        let band = |score| Band::new(score).as_str();
        assert_eq!([0, 30, 60, 85].map(band), ["low", "watch", "suspicious", "bad"]);
    }
}
