//! The language models behind the Bayes score: a Markov chain of order three for each class, and two multinomial naive
//! Bayes classifiers over character n-grams of lengths 1 to 3 and 2 to 4.
//!
//! All weights are natural logarithms; a positive weight speaks for a generated name.
//!
//! A probability of the Markov chain interpolates between the orders: `P(t | context) = (count + 8 P(t | shorter)) /
//! (total + 8)`, down to the uniform 1/40. Naive Bayes adds 0.1 to each count; a gram that neither class has weighs
//! nothing. 4-grams are stored behind a bit set for each context, so that a look-up costs two reads.

#![expect(clippy::cast_precision_loss, reason = "counts stay far below the 53 bits of a double")]

use super::counts::{Counts, FourGram, TRIGRAMS};
use super::symbols::{END, MAX_LABEL, Padded, RADIX, START, shown};

/// Weight of the shorter context, in observations.
const BACK_OFF: f64 = 8.0;
/// Number that naive Bayes adds to each count.
const SMOOTHING: f64 = 0.1;
/// Number of bigrams.
const BIGRAMS: usize = RADIX * RADIX;

/// The weights of a trigram: two symbols of context, one target.
#[derive(Clone, Copy, Debug, Default)]
struct Trigram {
    /// Log probability of the target in good labels.
    good: f32,
    /// The same in bad labels.
    bad: f32,
    /// Naive Bayes weight of the grams of lengths 1, 2 and 3 that end here.
    short: f32,
    /// Naive Bayes weight of those of lengths 2 and 3.
    long: f32,
}

/// A context of three symbols.
#[derive(Clone, Copy, Debug, Default)]
struct GramContext {
    /// Bit set of the targets that have a 4-gram.
    targets: u64,
    /// Place of the first of them.
    first: u32,
    /// Log of the share that is left to the trigram in good labels.
    good: f32,
    /// The same in bad labels.
    bad: f32,
}

/// The weights of a 4-gram.
#[derive(Clone, Copy, Debug, Default)]
struct Four {
    good: f32,
    bad: f32,
    /// Naive Bayes weight of the 4-gram alone.
    weight: f32,
}

/// The language models of both classes.
#[derive(Clone, Debug)]
pub(crate) struct Language {
    trigrams: Vec<Trigram>,
    contexts: Vec<GramContext>,
    fours: Vec<Four>,
}

/// Scores of one label.
#[derive(Clone, Debug)]
pub(crate) struct LanguageScore {
    /// Log probability in good labels of each octet, and of the end.
    pub(crate) good: [f32; MAX_LABEL + 1],
    /// Number of positions, which is the length of the label plus one.
    pub(crate) positions: usize,
    /// Sum of `good`.
    pub(crate) good_sum: f32,
    /// Sum of log probabilities in bad labels.
    pub(crate) bad_sum: f32,
    /// Log-odds of naive Bayes over 1- to 3-grams.
    pub(crate) short: f32,
    /// Log-odds of naive Bayes over 2- to 4-grams.
    pub(crate) long: f32,
}

/// Sums of the counts of one class and order.
#[derive(Clone, Copy, Default)]
struct Total {
    good: f64,
    bad: f64,
    distinct: f64,
}

impl Total {
    fn add(&mut self, good: f64, bad: f64) {
        if good + bad > 0.0 {
            self.good += good;
            self.bad += bad;
            self.distinct += 1.0;
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            good: self.good + other.good,
            bad: self.bad + other.bad,
            distinct: self.distinct + other.distinct,
        }
    }

    /// Log-odds of a gram with these counts.
    fn weight(self, good: f64, bad: f64) -> f64 {
        if good + bad == 0.0 {
            return 0.0;
        }
        let extra = SMOOTHING * self.distinct;
        ((bad + SMOOTHING) / (self.bad + extra)).ln()
            - ((good + SMOOTHING) / (self.good + extra)).ln()
    }
}

/// Counts of both classes in a dense table.
type GramTable = Vec<(f64, f64)>;

fn get(table: &GramTable, key: usize) -> (f64, f64) {
    table.get(key).copied().unwrap_or_default()
}

/// Adds up the counts of grams that share their last symbols.
fn shorter(table: &GramTable, size: usize) -> GramTable {
    let mut sums = vec![(0.0, 0.0); size];
    for (key, &(good, bad)) in table.iter().enumerate() {
        if let Some(sum) = sums.get_mut(key % size) {
            *sum = (sum.0 + good, sum.1 + bad);
        }
    }
    sums
}

/// Probabilities of one order from counts and the probabilities of the order below.
fn interpolate(table: &GramTable, below: &GramTable) -> GramTable {
    let mut out = Vec::with_capacity(table.len());
    for targets in table.chunks(RADIX) {
        let total = targets.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        for &(good, bad) in targets {
            let lower = get(below, out.len() % below.len());
            out.push((
                (good + BACK_OFF * lower.0) / (total.0 + BACK_OFF),
                (bad + BACK_OFF * lower.1) / (total.1 + BACK_OFF),
            ));
        }
    }
    out
}

#[expect(clippy::cast_possible_truncation, reason = "weights are stored with the precision of f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Language {
    /// The models that follow from counts.
    pub(crate) fn new(counts: &Counts) -> Self {
        let mut three: GramTable = vec![(0.0, 0.0); TRIGRAMS];
        for gram in &counts.three {
            if let Some(count) = three.get_mut(gram.key as usize) {
                *count = (f64::from(gram.good), f64::from(gram.bad));
            }
        }
        let two = shorter(&three, BIGRAMS);
        let one = shorter(&two, RADIX);
        let uniform = vec![(1.0 / RADIX as f64, 1.0 / RADIX as f64); RADIX];
        let p1 = interpolate(&one, &uniform);
        let p2 = interpolate(&two, &p1);
        let p3 = interpolate(&three, &p2);

        let (mut one_total, mut two_total) = (Total::default(), Total::default());
        let (mut three_total, mut four_total) = (Total::default(), Total::default());
        for (table, total) in [(&one, &mut one_total), (&two, &mut two_total)] {
            for &(good, bad) in table {
                total.add(good, bad);
            }
        }
        // Grams that begin with two start symbols say no more than those with one.
        for &(good, bad) in three.iter().skip(RADIX) {
            three_total.add(good, bad);
        }
        let is_gram = |gram: &&FourGram| gram.key as usize >= BIGRAMS;
        for gram in counts.four.iter().filter(is_gram) {
            four_total.add(f64::from(gram.good), f64::from(gram.bad));
        }
        let short = one_total.and(two_total).and(three_total);
        let long = two_total.and(three_total).and(four_total);

        let trigrams = three.iter().enumerate().map(|(key, &(good, bad))| {
            let (one, two) = (get(&one, key % RADIX), get(&two, key % BIGRAMS));
            let third = |total: Total| if key < RADIX { 0.0 } else { total.weight(good, bad) };
            let p = get(&p3, key);
            Trigram {
                good: narrow(p.0.ln()),
                bad: narrow(p.1.ln()),
                short: narrow(
                    short.weight(one.0, one.1) + short.weight(two.0, two.1) + third(short),
                ),
                long: narrow(long.weight(two.0, two.1) + third(long)),
            }
        });
        let trigrams = trigrams.collect();
        let (contexts, fours) = four_grams(counts, &p3, long);
        Self { trigrams, contexts, fours }
    }

    /// Scores a label.
    pub(crate) fn score(&self, padded: &Padded) -> LanguageScore {
        let mut score = LanguageScore {
            good: [0.0; MAX_LABEL + 1],
            positions: 0,
            good_sum: 0.0,
            bad_sum: 0.0,
            short: 0.0,
            long: 0.0,
        };
        let mut context = 0_usize;
        for (&target, place) in padded.all().iter().skip(3).zip(&mut score.good) {
            let part = self.part(context, target);
            *place = part.good;
            score.good_sum += part.good;
            score.bad_sum += part.bad;
            score.short += part.short;
            score.long += part.long;
            score.positions += 1;
            context = (context * RADIX + usize::from(target)) % TRIGRAMS;
        }
        score
    }

    /// Weights of one position, given the three symbols before it.
    #[inline]
    fn part(&self, context: usize, target: u8) -> Trigram {
        let key = (context * RADIX + usize::from(target)) % TRIGRAMS;
        let mut part = self.trigrams.get(key).copied().unwrap_or_default();
        let Some(there) = self.contexts.get(context) else { return part };
        let bit = 1_u64 << (target & 63);
        if there.targets & bit == 0 {
            part.good += there.good;
            part.bad += there.bad;
            return part;
        }
        let place = there.first + (there.targets & (bit - 1)).count_ones();
        if let Some(four) = self.fours.get(place as usize) {
            part.good = four.good;
            part.bad = four.bad;
            part.long += four.weight;
        }
        part
    }

    /// The grams of a label and what each position adds to the log-odds of all three models, for reasons.
    pub(crate) fn grams(&self, padded: &Padded) -> Vec<(String, f32)> {
        let mut context = 0_usize;
        let mut grams = Vec::with_capacity(padded.all().len());
        for gram in padded.all().windows(4) {
            let Some(&target) = gram.last() else { continue };
            let part = self.part(context, target);
            let text = gram.iter().skip_while(|&&symbol| symbol == START).copied();
            let starts = gram.contains(&START);
            let text: String = text.map(shown).collect();
            let text = if starts { format!("^{text}") } else { text };
            grams.push((text, part.bad - part.good + part.long));
            context = (context * RADIX + usize::from(target)) % TRIGRAMS;
        }
        grams
    }
}

/// Groups the 4-grams by context.
fn four_grams(counts: &Counts, p3: &GramTable, total: Total) -> (Vec<GramContext>, Vec<Four>) {
    let mut contexts = vec![GramContext::default(); TRIGRAMS];
    let mut fours = Vec::with_capacity(counts.four.len());
    for targets in counts.four.chunk_by(|a, b| a.key as usize / RADIX == b.key as usize / RADIX) {
        let Some(first) = targets.first() else { continue };
        let Some(context) = contexts.get_mut(first.key as usize / RADIX) else { continue };
        let sum = |class: fn(&FourGram) -> u32| -> f64 {
            targets.iter().map(|gram| f64::from(class(gram))).sum::<f64>() + BACK_OFF
        };
        let (good, bad) = (sum(|gram| gram.good), sum(|gram| gram.bad));
        context.first = u32::try_from(fours.len()).unwrap_or(u32::MAX);
        context.good = narrow((BACK_OFF / good).ln());
        context.bad = narrow((BACK_OFF / bad).ln());
        for gram in targets {
            let key = gram.key as usize;
            context.targets |= 1 << (key % RADIX);
            let lower = get(p3, key % TRIGRAMS);
            let counted = (f64::from(gram.good), f64::from(gram.bad));
            fours.push(Four {
                good: narrow(((counted.0 + BACK_OFF * lower.0) / good).ln()),
                bad: narrow(((counted.1 + BACK_OFF * lower.1) / bad).ln()),
                weight: if key < BIGRAMS {
                    0.0
                } else {
                    narrow(total.weight(counted.0, counted.1))
                },
            });
        }
    }
    (contexts, fours)
}

const _: () = assert!(RADIX <= 64 && (END as usize) < RADIX);
