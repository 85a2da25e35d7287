//! Judgement of a name: scores, a verdict, and the reasons for both.

use crate::name::Name;
use std::fmt;

/// The verdict on a name or a set of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Looks generated: fewer than one in a hundred ordinary names score as high.
    Dga,
    /// Looks like a name that a person chose.
    Benign,
    /// Between both: up to one in twenty ordinary names score as high.
    Unsure,
    /// The label has too few characters to judge.
    TooShort,
    /// The label is internationalised: the models do not know its letters.
    Idn,
}

impl Verdict {
    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dga => "dga",
            Self::Benign => "benign",
            Self::Unsure => "unsure",
            Self::TooShort => "too_short",
            Self::Idn => "idn",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Scores of a name: probabilities from 0 to 1 that it is generated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Of the language models alone.
    pub bayes: f64,
    /// Of the forest alone, at even prior.
    pub forest: f64,
    /// Of both.
    pub p: f64,
    /// Natural log-odds of `p` at even prior.
    pub odds: f64,
}

/// A judged name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classified<'n> {
    /// The domain whose first label was scored.
    pub registrable: Name<'n>,
    /// The scores.
    pub scores: Scores,
    /// The verdict.
    pub verdict: Verdict,
}

/// A judged set of names.
#[derive(Clone, Debug, PartialEq)]
pub struct SetVerdict {
    /// Number of names.
    pub names: usize,
    /// Probability from 0 to 1 that the set is generated.
    pub p: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// The reasons.
    pub reasons: Vec<Reason>,
}

/// One reason for a score or a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// A feature and what it added to the score of the forest.
    Feature {
        /// Name of the feature.
        name: &'static str,
        /// Its value.
        value: f32,
        /// Change of the forest's score, from -1 to 1.
        contribution: f32,
    },
    /// Up to four characters (`^` is the start of the label, `$` its end) and their weight in the language models.
    Gram {
        /// The characters.
        gram: String,
        /// Natural log-odds; positive for generated names.
        weight: f32,
    },
    /// The names of a set that look generated when judged alone.
    Alone {
        /// Number of these names.
        names: usize,
        /// Number of registrable domains.
        of: usize,
    },
    /// A name of a set that decided the verdict.
    Member {
        /// Its registrable domain.
        registrable: String,
        /// Its own probability.
        p: f64,
    },
    /// The label is too short.
    TooShort,
    /// The label is internationalised.
    Idn,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feature { name, value, contribution } => {
                write!(f, "{name} {} ({contribution:+.2})", Short(*value))
            }
            Self::Gram { gram, weight } => write!(f, "{gram} ({weight:+.1})"),
            Self::Alone { names, of } => write!(f, "{names} of {of} look generated alone"),
            Self::Member { registrable, p } => write!(f, "{registrable} {p:.2}"),
            Self::TooShort => f.write_str("too short to judge"),
            Self::Idn => f.write_str("internationalised, not scored"),
        }
    }
}

/// A value without digits that say nothing.
struct Short(f32);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.fract() == 0.0 { write!(f, "{:.0}", self.0) } else { write!(f, "{:.2}", self.0) }
    }
}
