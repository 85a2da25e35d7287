//! Weights of evidence, and their file.

use super::{EVIDENCE, EvidenceKind, Group};
use std::collections::BTreeMap;
use toml::Spanned;

/// The file that comes with the program.
const SHIPPED: &str = include_str!("weights.toml");
/// Largest weight or cap, in nats: e^20 is 500 million to one.
const MAX_WEIGHT: f64 = 20.0;

/// Weights of all kinds of evidence, the prior, and the caps of groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    prior: f64,
    of_kind: BTreeMap<EvidenceKind, f64>,
    caps: BTreeMap<Group, f64>,
}

/// Reason why text is not a valid file of weights.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct WeightsError {
    /// Line number, from 1.
    pub line: usize,
    /// The reason.
    pub reason: String,
}

/// The file as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsFile {
    prior: Option<Spanned<f64>>,
    #[serde(default)]
    weights: BTreeMap<Spanned<String>, Spanned<f64>>,
    #[serde(default)]
    caps: BTreeMap<Spanned<String>, Spanned<f64>>,
}

impl Weights {
    /// The weights that come with the program.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a test reads the same text")]
    pub fn shipped() -> Self {
        let none = Self { prior: 0.01, of_kind: BTreeMap::new(), caps: BTreeMap::new() };
        none.overridden_by(SHIPPED).expect("the weights that are shipped are valid")
    }

    /// Parses a file; what is not in it keeps the value that comes with the program.
    ///
    /// # Errors
    /// [`WeightsError`] for text that is not TOML, unknown names, and numbers out of range.
    pub fn parse(text: &str) -> Result<Self, WeightsError> {
        Self::shipped().overridden_by(text)
    }

    fn overridden_by(mut self, text: &str) -> Result<Self, WeightsError> {
        let line =
            |start: usize| text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
        let file: WeightsFile = toml::from_str(text).map_err(|error| WeightsError {
            line: line(error.span().map_or(0, |span| span.start)),
            reason: error.message().trim().replace('\n', "; "),
        })?;
        let at = |start: usize, reason: String| WeightsError { line: line(start), reason };
        if let Some(prior) = file.prior {
            let start = prior.span().start;
            let prior = prior.into_inner();
            if !(1e-9..=0.999).contains(&prior) {
                return Err(at(start, "prior must be from 0.000000001 to 0.999".to_owned()));
            }
            self.prior = prior;
        }
        for (name, weight) in file.weights {
            let known = EVIDENCE.iter().find(|(_, known, _)| known == name.get_ref());
            let Some(&(kind, ..)) = known else {
                return Err(at(name.span().start, format!("unknown evidence {:?}", cut(&name))));
            };
            let start = weight.span().start;
            let weight = weight.into_inner();
            if !(-MAX_WEIGHT..=MAX_WEIGHT).contains(&weight) {
                let reason = format!("{kind} must be from -{MAX_WEIGHT} to {MAX_WEIGHT}");
                return Err(at(start, reason));
            }
            self.of_kind.insert(kind, weight);
        }
        for (name, cap) in file.caps {
            let group = Group::ALL.into_iter().find(|group| group.as_str() == name.get_ref());
            let Some(group) = group else {
                return Err(at(name.span().start, format!("unknown group {:?}", cut(&name))));
            };
            let start = cap.span().start;
            let cap = cap.into_inner();
            if !(0.0..=MAX_WEIGHT).contains(&cap) {
                let reason = format!("{} must be from 0 to {MAX_WEIGHT}", group.as_str());
                return Err(at(start, reason));
            }
            self.caps.insert(group, cap);
        }
        Ok(self)
    }

    /// Log-odds of the prior.
    #[must_use]
    pub fn prior_log_odds(&self) -> f64 {
        (self.prior / (1.0 - self.prior)).ln()
    }

    /// The weight of a kind, in nats.
    #[must_use]
    pub fn of(&self, kind: EvidenceKind) -> f64 {
        self.of_kind.get(&kind).copied().unwrap_or(0.0)
    }

    /// The most that a group contributes, in nats.
    #[must_use]
    pub fn cap(&self, group: Group) -> f64 {
        self.caps.get(&group).copied().unwrap_or(f64::INFINITY)
    }
}

/// The start of a text from outside, for an error.
fn cut(text: &Spanned<String>) -> String {
    text.get_ref().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_has_every_weight_and_cap() {
        let weights = Weights::shipped();
        assert_eq!((weights.of_kind.len(), weights.caps.len()), (EVIDENCE.len(), 3));
        assert!((weights.prior_log_odds() + 4.595).abs() < 0.001);
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let weights =
            Weights::parse("prior = 0.5\n[weights]\nage = 0\n[caps]\nlexical = 1\n").unwrap();
        assert!(weights.prior_log_odds().abs() < 1e-12);
        assert!(weights.of(EvidenceKind::Age).abs() < 1e-12);
        assert!((weights.of(EvidenceKind::Dga) - 3.5).abs() < 1e-12);
        assert!((weights.cap(Group::Lexical) - 1.0).abs() < 1e-12);
        assert_eq!(Weights::parse(""), Ok(Weights::shipped()));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, reason) in [
            ("prior = 0\n", 1, "prior must be"),
            ("\n\nprior = nan\n", 3, "prior must be"),
            ("[weights]\nage = 1\nagee = 2\n", 3, "unknown evidence"),
            ("[weights]\nage = inf\n", 2, "age must be"),
            ("[weights]\nage = 'x'\n", 2, "invalid type"),
            ("[caps]\nlexical = -1\n", 2, "lexical must be"),
            ("[caps]\n\nall = 1\n", 3, "unknown group"),
            ("[weights]\nage = 1\nage = 1\n", 3, "duplicate key"),
            ("[wights]\n", 1, "unknown field"),
            ("a = 'b\n", 1, ""),
        ] {
            let error = Weights::parse(text).unwrap_err();
            assert!(error.line == line && error.reason.contains(reason), "{text:?}: {error}");
            assert!(!error.to_string().contains('\n'));
        }
    }
}
