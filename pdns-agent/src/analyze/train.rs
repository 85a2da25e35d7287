//! Training: labels of good and bad names in, a model and a report out.
//!
//! The language models' scores of a training label come from models that have not seen it (five folds), else the forest
//! would trust them too much; the forest's come from the trees that did not draw it. All that is calibrated and reported
//! rests on these scores.

use super::counts::{ClassCounts, Counts};
use super::features::{Extractor, Features};
use super::forest::{Bins, Forest};
use super::generate::generate;
use super::grow::{Growth, Sample, grow};
use super::language::Language;
use super::logistic::{Logistic, Row, logit};
use super::model::{Calibration, Model};
use super::parts::Parts;
use super::random::split_hash;
use super::report::{self, Judged, Measured, Report};
use super::subject::{Label, Scored};
use super::vocabulary::{KnownText, Vocabulary, is_word};
use crate::name::NameBuf;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Number of parts of the training labels for scores that have not seen them.
const FOLDS: u64 = 5;
/// 4-grams that are rarer are left to the trigrams.
const LEAST_COUNT: u32 = 2;
/// Most bins of a feature.
const BINS: usize = 128;
/// Least number of labels of each class.
const LEAST_LABELS: usize = 200;

/// A name of which is known what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The name.
    pub name: NameBuf,
    /// Family of a bad name, source of a good one; for the report.
    pub group: String,
}

/// Options of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// Equal seeds give equal models.
    pub seed: u64,
    /// Number of trees.
    pub trees: usize,
    /// Greatest depth of a tree.
    pub depth: usize,
    /// Generated labels of each published shape that are added to the bad ones.
    pub generated: usize,
    /// Assumed share of generated names among those that are judged.
    pub prior: f64,
    /// Number of threads; the model does not depend on it.
    pub threads: usize,
    /// Also measure families that were not trained on, which takes twice as long.
    pub unseen: bool,
    /// Lines of `key: value` for the manifest, such as the inputs' names and licences.
    pub notes: Vec<String>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            trees: 48,
            depth: 14,
            generated: 200,
            prior: 0.5,
            threads: 2,
            unseen: true,
            notes: Vec::new(),
        }
    }
}

/// Reason why no model was trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// Too few labels of a class.
    #[error("{found} distinct labels of {class} names; at least {LEAST_LABELS} are needed")]
    TooFew {
        /// `good` or `bad`.
        class: &'static str,
        /// Their number.
        found: usize,
    },
    /// The prior is not a probability between 0 and 1.
    #[error("the prior must lie between 0 and 1")]
    Prior,
}

/// One distinct label.
struct Example {
    label: Label,
    is_bad: bool,
    group: u16,
    hash: u64,
}

impl Example {
    fn octets(&self) -> &[u8] {
        self.label.octets()
    }
}

/// Distinct labels with the names of their groups.
#[derive(Default)]
struct Examples {
    rows: Vec<Example>,
    groups: Vec<String>,
    numbers: HashMap<String, u16, super::vocabulary::Mixer>,
    places: HashMap<Vec<u8>, usize, super::vocabulary::Mixer>,
    /// Labels of both classes, which are used for neither.
    ambiguous: usize,
}

impl Examples {
    fn group(&mut self, name: &str) -> u16 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        // Names of groups beyond what a number holds share the last one.
        let number = u16::try_from(self.groups.len()).unwrap_or(u16::MAX);
        if self.groups.len() < usize::from(u16::MAX) {
            self.groups.push(name.to_owned());
        }
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn add(&mut self, label: Label, is_bad: bool, group: &str) {
        if label.is_idn() || label.octets().is_empty() {
            return;
        }
        let group = self.group(group);
        let hash = split_hash(label.octets());
        let place = *self.places.entry(label.octets().to_vec()).or_insert(self.rows.len());
        if place == self.rows.len() {
            self.rows.push(Example { label, is_bad, group, hash });
        }
    }

    /// Adds names; a label that both classes have is dropped.
    fn new(good: &[Labelled], bad: &[Labelled]) -> Self {
        let mut all = Self::default();
        let mut classes: HashMap<Vec<u8>, u8, super::vocabulary::Mixer> = HashMap::default();
        let mut read = |names: &[Labelled], bit: u8| -> Vec<Label> {
            let labels =
                names.iter().map(|named| Label::new(Scored::new(named.name.as_name()).label));
            let labels: Vec<Label> = labels.collect();
            for label in &labels {
                *classes.entry(label.octets().to_vec()).or_default() |= bit;
            }
            labels
        };
        let (good_labels, bad_labels) = (read(good, 1), read(bad, 2));
        all.ambiguous = classes.values().filter(|bits| **bits == 3).count();
        let parts = [(bad, bad_labels, true), (good, good_labels, false)];
        for (names, labels, is_bad) in parts {
            for (named, label) in names.iter().zip(labels) {
                if classes.get(label.octets()) != Some(&3) {
                    all.add(label, is_bad, &named.group);
                }
            }
        }
        all
    }

    fn number(&self, is_bad: bool) -> usize {
        self.rows.iter().filter(|row| row.is_bad == is_bad).count()
    }
}

/// A model with the scores that its training labels have from parts that did not see them.
struct Trained {
    parts: Parts,
    odds: Vec<f64>,
}

/// Trains a model. Words are those of a dictionary, in lower case; others than of 3 to 12 letters a to z are ignored.
///
/// # Errors
/// [`TrainError`] if there are too few names.
pub fn train(
    good: &[Labelled],
    bad: &[Labelled],
    words: &[String],
    options: &TrainOptions,
) -> Result<(Vec<u8>, Report), TrainError> {
    if !(options.prior > 0.0 && options.prior < 1.0) {
        return Err(TrainError::Prior);
    }
    let mut words: Vec<String> =
        words.iter().filter(|word| is_word(word.as_bytes())).cloned().collect();
    words.sort_unstable();
    words.dedup();
    let mut examples = Examples::new(good, bad);
    for (class, is_bad) in [("good", false), ("bad", true)] {
        let found = examples.number(is_bad);
        if found < LEAST_LABELS {
            return Err(TrainError::TooFew { class, found });
        }
    }
    let given = examples.rows.len();
    for made in generate(options.generated, &words, options.seed) {
        examples.add(Label::new(&made.label), true, &format!("shape:{}", made.shape));
    }
    let rows: Vec<&Example> = examples.rows.iter().collect();
    let mut trained = fit(&rows, &words, options);

    let judged: Vec<Judged> = examples
        .rows
        .iter()
        .zip(&trained.odds)
        .take(given)
        .map(|(row, &odds)| row.judged(odds))
        .collect();
    let unseen =
        if options.unseen { unseen(&examples, given, &words, options) } else { Vec::new() };
    let mut report = report::report(&judged, &unseen, &examples.groups, options.seed);
    let calibration = &mut trained.parts.calibration;
    calibration.limits = report.limits();
    calibration.sets = report::set_limits(&judged, options.seed);
    report.sets = report::sets(&judged, &examples.groups, &calibration.sets, options.seed);
    report.ambiguous = examples.ambiguous;
    report.generated = examples.rows.len() - given;
    trained.parts.manifest = manifest(&report, options);
    let bytes = trained.parts.encode();
    report.bytes = bytes.len();
    Ok((bytes, report))
}

impl Example {
    fn judged(&self, odds: f64) -> Judged {
        Judged { odds, is_bad: self.is_bad, group: self.group }
    }
}

/// Judges the names of each family, and a part of the good ones, with models that have seen neither. Families are left
/// out a third at a time.
fn unseen(
    examples: &Examples,
    given: usize,
    words: &[String],
    options: &TrainOptions,
) -> Vec<Judged> {
    let mut judged = Vec::new();
    let smaller = TrainOptions { trees: options.trees.div_ceil(2), ..options.clone() };
    for turn in 0..3 {
        let is_out = |row: &Example| {
            let family = examples.groups.get(usize::from(row.group)).map_or("", String::as_str);
            let key = if row.is_bad {
                split_hash(family.trim_start_matches("shape:").as_bytes())
            } else {
                row.hash
            };
            key % 3 == turn
        };
        let rows: Vec<&Example> = examples.rows.iter().filter(|row| !is_out(row)).collect();
        let is_both = |class| rows.iter().filter(|row| row.is_bad == class).count() >= LEAST_LABELS;
        if !is_both(true) || !is_both(false) {
            continue;
        }
        let model = Model::from_parts(fit(&rows, words, &smaller).parts);
        let out = examples.rows.iter().take(given).filter(|row| is_out(row));
        judged.extend(out.map(|row| row.judged(model.label_odds(&row.label))));
    }
    judged
}

/// The counts of the labels of one class in one fold, or in all.
fn class_counts(rows: &[&Example], is_bad: bool, fold: Option<u64>) -> ClassCounts {
    let mut counts = ClassCounts::new();
    let is_in =
        |row: &&&Example| row.is_bad == is_bad && fold.is_none_or(|fold| row.hash % FOLDS == fold);
    for row in rows.iter().filter(is_in) {
        counts.add(row.octets());
    }
    counts
}

/// Features of all labels, each from language models that have not seen it, and the Bayes scores.
fn features(
    rows: &[&Example],
    all: (&ClassCounts, &ClassCounts),
    vocabulary: &Vocabulary,
) -> Vec<(Features, [f64; 4])> {
    let fold = |fold: u64| {
        let good = all.0.without(&class_counts(rows, false, Some(fold)));
        let bad = all.1.without(&class_counts(rows, true, Some(fold)));
        let language = Language::new(&Counts::new(&good, &bad, LEAST_COUNT));
        let extractor = Extractor { language: &language, vocabulary };
        let own = (0..).zip(rows).filter(|(_, row)| row.hash % FOLDS == fold);
        let scored = own.map(|(place, row): (usize, _)| {
            let (features, score) = extractor.features(row.octets());
            (place, (features, Calibration::bayes_row(&score)))
        });
        scored.collect::<Vec<_>>()
    };
    let mut scored: Vec<_> = std::thread::scope(|scope| {
        let fold = &fold;
        let odd = scope.spawn(move || (0..FOLDS).step_by(2).flat_map(fold).collect::<Vec<_>>());
        let mut scored: Vec<_> = (1..FOLDS).step_by(2).flat_map(fold).collect();
        scored.extend(odd.join().unwrap_or_default());
        scored
    });
    scored.sort_unstable_by_key(|(place, _)| *place);
    scored.into_iter().map(|(_, scored)| scored).collect()
}

/// Weights of labels: each class weighs the same, and each family the square root of its number.
fn weights(rows: &[&Example]) -> Vec<f64> {
    let mut sizes: BTreeMap<u16, f64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_bad) {
        *sizes.entry(row.group).or_default() += 1.0;
    }
    let weight = |row: &&Example| {
        if row.is_bad { 1.0 / sizes.get(&row.group).copied().unwrap_or(1.0).sqrt() } else { 1.0 }
    };
    let sum =
        |is_bad: bool| rows.iter().filter(|row| row.is_bad == is_bad).map(weight).sum::<f64>();
    let scale = sum(false) / sum(true);
    rows.iter().map(|row| weight(row) * if row.is_bad { scale } else { 1.0 }).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "weights need no more than the precision of f32"
)]
fn fit(rows: &[&Example], words: &[String], options: &TrainOptions) -> Trained {
    let (good, bad) = (class_counts(rows, false, None), class_counts(rows, true, None));
    let good_labels = rows.iter().filter(|row| !row.is_bad).map(|row| row.octets());
    let known = KnownText::new(good_labels, words.to_vec());
    let vocabulary = Vocabulary::new(&known);
    let scored = features(rows, (&good, &bad), &vocabulary);
    let weights = weights(rows);

    let all: Vec<Features> = scored.iter().map(|(features, _)| *features).collect();
    let bins = Bins::new(&all, BINS);
    let samples: Vec<Sample> = rows
        .iter()
        .zip(&all)
        .zip(&weights)
        .map(|((row, features), &weight)| Sample {
            binned: bins.bin(features),
            is_bad: row.is_bad,
            weight: weight as f32,
        })
        .collect();
    let growth = Growth {
        trees: options.trees,
        depth: options.depth,
        leaf: 20,
        tried: 7,
        seed: options.seed,
        threads: options.threads,
    };
    let (trees, shares) = grow(&samples, &growth);

    let class = rows.iter().zip(&weights).map(|(row, &weight)| (row.is_bad, weight));
    let bayes_rows: Vec<Row<4>> = scored
        .iter()
        .zip(class.clone())
        .map(|((_, row), (bad, weight))| (*row, bad, weight))
        .collect();
    let bayes = Logistic::fit(&bayes_rows);
    let both_row = |((_, row), &share): (&(Features, [f64; 4]), &f32)| {
        [1.0, logit(f64::from(share)), bayes.odds(row)]
    };
    let both_rows: Vec<[f64; 3]> = scored.iter().zip(&shares).map(both_row).collect();
    let weighted: Vec<Row<3>> =
        both_rows.iter().zip(class).map(|(row, (bad, weight))| (*row, bad, weight)).collect();
    let both = Logistic::fit(&weighted);
    let odds = both_rows.iter().map(|row| both.odds(row)).collect();
    let parts = Parts {
        manifest: String::new(),
        counts: Counts::new(&good, &bad, LEAST_COUNT),
        known,
        forest: Forest { bins, trees },
        calibration: Calibration {
            bayes,
            both,
            prior: options.prior,
            limits: [0.0; 3],
            sets: Vec::new(),
        },
    };
    Trained { parts, odds }
}

#[expect(clippy::format_push_string, reason = "a few lines, once")]
/// Describes the model. No time: equal inputs give equal files.
fn manifest(report: &Report, options: &TrainOptions) -> String {
    let mut text = String::new();
    for note in &options.notes {
        text.extend(note.chars().filter(|char| char.is_ascii_graphic() || *char == ' ').take(300));
        text.push('\n');
    }
    let TrainOptions { seed, trees, depth, prior, .. } = options;
    text += &format!("seed: {seed}\ntrees: {trees}\ndepth: {depth}\nprior: {prior}\n");
    let Report { good, bad, generated, trained, unseen, .. } = report;
    text += &format!("good: {good}\nbad: {bad}\ngenerated: {generated}\n");
    for (name, measured) in [("trained", Some(trained)), ("unseen", unseen.as_ref())] {
        if let Some(Measured { auc, at_1, at_01, .. }) = measured {
            let (first, second) = (at_1.tpr, at_01.tpr);
            text +=
                &format!("{name}: AUC {auc:.4}, TPR {first:.3} at FPR 1 %, {second:.3} at 0.1 %\n");
        }
    }
    text
}
