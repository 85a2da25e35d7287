//! A trained model: scores, verdicts and reasons for names and for sets of names.

use super::features::{Extractor, FEATURES, Features, NAMES};
use super::forest::FlatForest;
use super::language::{Language, LanguageScore};
use super::logistic::{Logistic, logit, sigmoid};
use super::parts::{ModelError, Parts};
use super::subject::{Label, SHORT, Scored};
use super::symbols::Padded;
use super::verdict::{Classified, Reason, Scores, SetVerdict, Verdict};
use super::vocabulary::Vocabulary;
use crate::name::{Name, NameBuf};

/// Number of features that are given as reasons.
const TOP_FEATURES: usize = 4;
/// Number of n-grams that are given as reasons.
const TOP_GRAMS: usize = 3;
/// Number of names of a set that are given as reasons.
const TOP_NAMES: usize = 3;

/// The model that comes with the program.
static EMBEDDED: &[u8] = include_bytes!("model.bin");

/// The step from scores to probabilities and verdicts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calibration {
    /// Log-odds of Bayes: constant, both naive Bayes log-odds and the Markov log-odds, each divided by the square root
    /// of the number of positions.
    pub(crate) bayes: Logistic<4>,
    /// Log-odds of all: constant, log-odds of the forest, log-odds of Bayes.
    pub(crate) both: Logistic<3>,
    /// Share of generated names among the names that are judged, as assumed.
    pub(crate) prior: f64,
    /// Log-odds at even prior that 5 %, 1 % and 0.1 % of the good training labels exceed.
    pub(crate) limits: [f64; 3],
    /// For sets of this many names: log-odds that 1 % and 0.1 % of the sets of good labels exceed. Ascending.
    pub(crate) sets: Vec<(u16, f64, f64)>,
}

impl Calibration {
    /// The constant and the scores of the language models, for logistic regression.
    pub(crate) fn bayes_row(language: &LanguageScore) -> [f64; 4] {
        let positions = u32::try_from(language.positions.max(1)).map_or(1.0, f64::from).sqrt();
        let ratio = language.bad_sum - language.good_sum;
        [
            1.0,
            f64::from(language.short) / positions,
            f64::from(language.long) / positions,
            f64::from(ratio) / positions,
        ]
    }

    /// Log-odds at even prior of a label.
    pub(crate) fn scores(&self, language: &LanguageScore, forest: f32) -> Scores {
        let bayes = self.bayes.odds(&Self::bayes_row(language));
        let odds = self.both.odds(&[1.0, logit(f64::from(forest)), bayes]);
        Scores { bayes: self.p(bayes), forest: f64::from(forest), p: self.p(odds), odds }
    }

    /// The probability at the configured prior.
    fn p(&self, odds: f64) -> f64 {
        sigmoid(odds + logit(self.prior))
    }

    fn verdict(&self, odds: f64) -> Verdict {
        let [unsure, dga, _] = self.limits;
        if odds >= dga {
            Verdict::Dga
        } else if odds >= unsure {
            Verdict::Unsure
        } else {
            Verdict::Benign
        }
    }

    /// The limits of a set of this size: those of the next smaller size that is known.
    fn set_limits(&self, size: usize) -> (f64, f64) {
        let fits = |known: &&(u16, f64, f64)| usize::from(known.0) <= size;
        let known = self.sets.iter().rev().find(fits);
        known.map_or((self.limits[1], self.limits[2]), |&(_, unsure, dga)| (unsure, dga))
    }
}

/// Log-odds of a set whose names have these log-odds: their mean, as if the square root of their number were
/// independent. Names of one client are not independent, and how far they are not is unknown.
#[expect(
    clippy::cast_precision_loss,
    reason = "sets are far smaller than the precision of a double"
)]
pub(crate) fn set_odds(odds: &[f64]) -> f64 {
    // One odd name must not decide.
    let sum: f64 = odds.iter().map(|odds| odds.clamp(-8.0, 8.0)).sum();
    sum / (odds.len().max(1) as f64).sqrt()
}

/// A model, ready to judge.
#[derive(Clone, Debug)]
pub struct Model {
    language: Language,
    vocabulary: Vocabulary,
    forest: FlatForest,
    calibration: Calibration,
    manifest: String,
    /// Words, one a line.
    words: String,
    /// First half of the SHA-256 of its file, in hex; empty if it has none.
    digest: String,
}

impl Model {
    /// The model that comes with the program.
    ///
    /// # Errors
    /// [`ModelError`] if the program is damaged.
    pub fn embedded() -> Result<Self, ModelError> {
        Self::from_bytes(EMBEDDED)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError`] if it is damaged, of another version, or its contents contradict each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let half = digest.as_ref().get(..16).unwrap_or_default();
        Ok(Self { digest: crate::hex::encode(half), ..Self::from_parts(Parts::decode(bytes)?) })
    }

    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self {
            language: Language::new(&parts.counts),
            vocabulary: Vocabulary::new(&parts.known),
            forest: FlatForest::new(parts.forest),
            calibration: parts.calibration,
            manifest: parts.manifest,
            words: parts.known.words.join("\n"),
            digest: String::new(),
        }
    }

    /// Description of the model: lines of `key: value`.
    #[must_use]
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// First half of the SHA-256 of the model's file, in hex; empty for one that was not read from a file.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The words that the model knows, for training another one.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.words.lines().map(str::to_owned).collect()
    }

    fn extractor(&self) -> Extractor<'_> {
        Extractor { language: &self.language, vocabulary: &self.vocabulary }
    }

    /// The features of a label by name, for comparison with other implementations.
    #[must_use]
    pub fn features(&self, label: &str) -> [(&'static str, f32); FEATURES] {
        let (features, _) = self.extractor().features(Label::new(label).octets());
        let mut named = NAMES.map(|name| (name, 0.0));
        for (named, value) in named.iter_mut().zip(features) {
            named.1 = value;
        }
        named
    }

    /// The probability of the language models alone, for the label of a registrable domain.
    #[must_use]
    pub fn bayes(&self, label: &str) -> f64 {
        let score = self.language.score(&Padded::new(Label::new(label).octets()));
        self.calibration.p(self.calibration.bayes.odds(&Calibration::bayes_row(&score)))
    }

    /// Scores and verdict of a name.
    #[must_use]
    pub fn classify<'n>(&self, name: Name<'n>) -> Classified<'n> {
        let scored = Scored::new(name);
        let label = Label::new(scored.label);
        if label.is_idn() {
            return self.unscored(scored, Verdict::Idn);
        }
        let (features, language) = self.extractor().features(label.octets());
        let forest = self.forest.score(&features);
        self.classified(scored, &label, &language, forest)
    }

    /// Log-odds of a label at even prior.
    pub(crate) fn label_odds(&self, label: &Label) -> f64 {
        let (features, language) = self.extractor().features(label.octets());
        let forest = self.forest.score(&features);
        self.calibration.scores(&language, forest).odds
    }

    /// Scores, verdict and reasons of a name. The reasons for a high score come first if the score is high, those
    /// for a low one otherwise.
    #[must_use]
    pub fn explain<'n>(&self, name: Name<'n>) -> (Classified<'n>, Vec<Reason>) {
        let scored = Scored::new(name);
        let label = Label::new(scored.label);
        if label.is_idn() {
            return (self.unscored(scored, Verdict::Idn), vec![Reason::Idn]);
        }
        let (features, language) = self.extractor().features(label.octets());
        let walk = self.forest.walk(&features);
        let classified = self.classified(scored, &label, &language, walk.score);
        let sign = if classified.scores.odds >= 0.0 { 1.0 } else { -1.0 };
        let mut reasons = Vec::with_capacity(1 + TOP_FEATURES + TOP_GRAMS);
        if classified.verdict == Verdict::TooShort {
            reasons.push(Reason::TooShort);
        }
        feature_reasons(&features, &walk.contributions, sign, &mut reasons);
        self.gram_reasons(&label, sign, &mut reasons);
        (classified, reasons)
    }

    fn gram_reasons(&self, label: &Label, sign: f32, reasons: &mut Vec<Reason>) {
        let mut grams = self.language.grams(&Padded::new(label.octets()));
        grams.retain(|(_, weight)| weight * sign > 0.0);
        grams.sort_by(|a, b| (b.1 * sign).total_cmp(&(a.1 * sign)));
        grams.truncate(TOP_GRAMS);
        reasons.extend(grams.into_iter().map(|(gram, weight)| Reason::Gram { gram, weight }));
    }

    /// A name without a score, whose probability is the prior.
    fn unscored<'n>(&self, scored: Scored<'n>, verdict: Verdict) -> Classified<'n> {
        let p = self.calibration.prior;
        let scores = Scores { bayes: p, forest: p, p, odds: 0.0 };
        Classified { registrable: scored.registrable, scores, verdict }
    }

    fn classified<'n>(
        &self,
        scored: Scored<'n>,
        label: &Label,
        language: &LanguageScore,
        forest: f32,
    ) -> Classified<'n> {
        let scores = self.calibration.scores(language, forest);
        let verdict = if label.octets().len() <= SHORT {
            Verdict::TooShort
        } else {
            self.calibration.verdict(scores.odds)
        };
        Classified { registrable: scored.registrable, scores, verdict }
    }

    /// One verdict for names that belong together, such as the new names of one client on one day. Several names of
    /// one registrable domain count once.
    #[must_use]
    pub fn classify_set(&self, names: &[NameBuf]) -> SetVerdict {
        let mut members: Vec<Classified<'_>> =
            names.iter().map(|name| self.classify(name.as_name())).collect();
        members.sort_by(|a, b| a.registrable.as_str().cmp(b.registrable.as_str()));
        members.dedup_by(|a, b| a.registrable == b.registrable);
        let domains = members.len();
        let idn = members.iter().filter(|member| member.verdict == Verdict::Idn).count();
        members.retain(|member| member.verdict != Verdict::Idn);
        let odds: Vec<f64> = members.iter().map(|member| member.scores.odds).collect();
        let set = set_odds(&odds);
        let (unsure, dga) = self.calibration.set_limits(odds.len());
        let is_short = |member: &Classified<'_>| member.verdict == Verdict::TooShort;
        let verdict = match members.as_slice() {
            [] if idn > 0 => Verdict::Idn,
            [] => Verdict::TooShort,
            [member] => member.verdict,
            members if members.iter().all(is_short) && set < dga => Verdict::TooShort,
            _ if set >= dga => Verdict::Dga,
            _ if set >= unsure => Verdict::Unsure,
            _ => Verdict::Benign,
        };
        let alone =
            members.iter().filter(|member| member.scores.odds >= self.calibration.limits[1]);
        let mut reasons = vec![Reason::Alone { names: alone.count(), of: domains }];
        let sign = if set >= 0.0 { 1.0 } else { -1.0 };
        members.sort_by(|a, b| (b.scores.odds * sign).total_cmp(&(a.scores.odds * sign)));
        reasons.extend(members.iter().take(TOP_NAMES).map(|member| Reason::Member {
            registrable: member.registrable.to_string(),
            p: member.scores.p,
        }));
        SetVerdict { names: names.len(), p: self.calibration.p(set), verdict, reasons }
    }
}

/// The features that contribute most in one direction.
fn feature_reasons(
    features: &Features,
    contributions: &[f32; FEATURES],
    sign: f32,
    reasons: &mut Vec<Reason>,
) {
    let mut order: [usize; FEATURES] = std::array::from_fn(|feature| feature);
    let contribution = |feature: &usize| contributions.get(*feature).copied().unwrap_or(0.0);
    order.sort_by(|a, b| (contribution(b) * sign).total_cmp(&(contribution(a) * sign)));
    for feature in order.iter().take(TOP_FEATURES) {
        let contribution = contribution(feature);
        let (Some(&name), Some(&value)) = (NAMES.get(*feature), features.get(*feature)) else {
            continue;
        };
        if contribution * sign > 0.0 {
            reasons.push(Reason::Feature { name, value, contribution });
        }
    }
}
