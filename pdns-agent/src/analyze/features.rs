//! The 38 numbers that the forest sees of a label.

#![expect(clippy::cast_precision_loss, reason = "counts within a label stay below 64")]

use super::language::{Language, LanguageScore};
use super::symbols::Padded;
use super::vocabulary::Vocabulary;

/// Number of features.
pub(crate) const FEATURES: usize = 38;

/// Names of the features, in their order; part of the model's format.
pub(crate) const NAMES: [&str; FEATURES] = [
    "length",
    "entropy",
    "relative_entropy",
    "distinct_share",
    "digit_share",
    "vowel_share",
    "consonant_run",
    "consonant_run_share",
    "digit_run",
    "digit_run_share",
    "vowel_run",
    "digit_switches",
    "vowel_switches",
    "hyphens",
    "hex_share",
    "repeated_share",
    "commonest_share",
    "bigram_entropy",
    "starts_with_digit",
    "ends_with_digit",
    "rare_letters",
    "site_grams",
    "site_grams_known",
    "word_grams",
    "word_grams_known",
    "word_cover",
    "words",
    "longest_word",
    "mean_word",
    "good_mean",
    "good_min",
    "bad_mean",
    "markov_sum",
    "markov_mean",
    "good_quartile",
    "bayes_1_3",
    "bayes_2_4",
    "hex_run",
];

/// The features of one label.
pub(crate) type Features = [f32; FEATURES];

/// Computes features with the tables of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extractor<'m> {
    pub(crate) language: &'m Language,
    pub(crate) vocabulary: &'m Vocabulary,
}

/// Properties of the octets alone, found in one pass.
#[derive(Default)]
struct Shape {
    digits: u16,
    letters: u16,
    vowels: u16,
    rare: u16,
    hyphens: u16,
    hex: u16,
    consonant_run: Run,
    digit_run: Run,
    vowel_run: Run,
    digit_switches: u16,
    vowel_switches: u16,
    hex_run: u16,
}

/// Runs of octets of one kind.
#[derive(Default)]
struct Run {
    now: u16,
    longest: u16,
    /// Octets in runs of two and more.
    in_runs: u16,
}

impl Run {
    fn step(&mut self, is_in: bool) {
        if !is_in {
            self.now = 0;
            return;
        }
        self.now += 1;
        self.longest = self.longest.max(self.now);
        self.in_runs += match self.now {
            1 => 0,
            2 => 2,
            _ => 1,
        };
    }
}

fn is_vowel(octet: u8) -> bool {
    matches!(octet, b'a' | b'e' | b'i' | b'o' | b'u')
}

impl Shape {
    fn new(label: &[u8]) -> Self {
        let mut shape = Self::default();
        let mut before: Option<u8> = None;
        let (mut hex_now, mut hex_has_digit) = (0, false);
        for &octet in label {
            let (is_digit, is_letter) = (octet.is_ascii_digit(), octet.is_ascii_lowercase());
            let vowel = is_vowel(octet);
            let is_hex = is_digit || matches!(octet, b'a'..=b'f');
            shape.digits += u16::from(is_digit);
            shape.letters += u16::from(is_letter);
            shape.vowels += u16::from(vowel);
            shape.hyphens += u16::from(octet == b'-');
            shape.hex += u16::from(is_hex);
            shape.rare +=
                u16::from(matches!(octet, b'q' | b'x' | b'z' | b'j' | b'k' | b'w' | b'v'));
            shape.consonant_run.step(is_letter && !vowel);
            shape.digit_run.step(is_digit);
            shape.vowel_run.step(vowel);
            if let Some(before) = before {
                let was_digit = before.is_ascii_digit();
                let mixed = (was_digit && is_letter) || (before.is_ascii_lowercase() && is_digit);
                shape.digit_switches += u16::from(mixed);
                shape.vowel_switches += u16::from(is_vowel(before) != vowel);
            }
            if is_hex {
                hex_now += 1;
                hex_has_digit |= is_digit;
                if hex_has_digit {
                    shape.hex_run = shape.hex_run.max(hex_now);
                }
            } else {
                (hex_now, hex_has_digit) = (0, false);
            }
            before = Some(octet);
        }
        shape
    }
}

/// Entropy in bits of values that are equal within runs of a sorted slice; also the number of distinct values, of those
/// that repeat, and the largest count.
fn entropy<T: PartialEq>(sorted: &[T]) -> (f32, u16, u16, u16) {
    let total = sorted.len() as f32;
    let (mut sum, mut distinct, mut repeated, mut most) = (0.0, 0, 0, 0);
    for run in sorted.chunk_by(|a, b| a == b) {
        let count = u16::try_from(run.len()).unwrap_or(u16::MAX);
        sum += f32::from(count) * f32::from(count).log2();
        distinct += 1;
        repeated += u16::from(count > 1);
        most = most.max(count);
    }
    let bits = if sorted.is_empty() { 0.0 } else { total.log2() - sum / total };
    (bits.max(0.0), distinct, repeated, most)
}

impl Extractor<'_> {
    /// The features of a label in lower case, and the scores of the language models on the way.
    pub(crate) fn features(&self, label: &[u8]) -> (Features, LanguageScore) {
        let label = label.get(..label.len().min(super::symbols::MAX_LABEL)).unwrap_or_default();
        let padded = Padded::new(label);
        let score = self.language.score(&padded);
        (self.with_score(label, &padded, &score), score)
    }

    fn with_score(&self, label: &[u8], padded: &Padded, score: &LanguageScore) -> Features {
        let n = (label.len() as f32).max(1.0);
        let shape = Shape::new(label);

        let mut octets = [0_u8; super::symbols::MAX_LABEL];
        let mut bigrams = [0_u16; super::symbols::MAX_LABEL];
        for (to, &octet) in octets.iter_mut().zip(label) {
            *to = octet;
        }
        for (to, pair) in bigrams.iter_mut().zip(label.windows(2)) {
            if let &[first, second] = pair {
                *to = u16::from(first) << 8 | u16::from(second);
            }
        }
        let octets = octets.get_mut(..label.len()).unwrap_or_default();
        octets.sort_unstable();
        let bigrams = bigrams.get_mut(..label.len().saturating_sub(1)).unwrap_or_default();
        bigrams.sort_unstable();
        let (bits, distinct, repeated, most) = entropy(octets);
        let (bigram_bits, ..) = entropy(bigrams);

        let symbols = padded.inner();
        let grams = self.vocabulary.gram_sums(symbols);
        let cover = self.vocabulary.cover(symbols);
        let words = f32::from(cover.words());

        let mut good = score.good;
        let good = good.get_mut(..score.positions).unwrap_or_default();
        let quarter = good.len() / 4;
        let quartile = if good.is_empty() {
            0.0
        } else {
            *good.select_nth_unstable_by(quarter, f32::total_cmp).1
        };
        let least = score.good.iter().take(score.positions).copied().fold(0.0, f32::min);
        let positions = (score.positions as f32).max(1.0);
        let ratio = score.bad_sum - score.good_sum;
        let of = |part: u16, whole: f32| f32::from(part) / whole.max(1.0);
        let flag = |octet: Option<&u8>| f32::from(u8::from(octet.is_some_and(u8::is_ascii_digit)));

        [
            label.len() as f32,
            bits,
            if label.len() < 2 { 0.0 } else { bits / n.log2() },
            of(distinct, n),
            of(shape.digits, n),
            of(shape.vowels, f32::from(shape.letters)),
            f32::from(shape.consonant_run.longest),
            of(shape.consonant_run.in_runs, n),
            f32::from(shape.digit_run.longest),
            of(shape.digit_run.in_runs, n),
            f32::from(shape.vowel_run.longest),
            f32::from(shape.digit_switches),
            of(shape.vowel_switches, n - 1.0),
            f32::from(shape.hyphens),
            of(shape.hex, n),
            of(repeated, f32::from(distinct)),
            of(most, n),
            bigram_bits,
            flag(label.first()),
            flag(label.last()),
            of(shape.rare, n),
            grams.sites,
            grams.sites_known,
            grams.words,
            grams.words_known,
            f32::from(cover.octets) / n,
            words,
            f32::from(cover.longest),
            f32::from(cover.octets) / words.max(1.0),
            score.good_sum / positions,
            least,
            score.bad_sum / positions,
            ratio,
            ratio / positions,
            quartile,
            score.short,
            score.long,
            of(shape.hex_run, n),
        ]
    }
}
