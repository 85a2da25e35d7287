//! Counts of character 1- to 4-grams in good and bad labels, from which the language models are made.

use super::symbols::{Padded, RADIX, gram_key};

/// Size of a dense table of trigrams.
pub(crate) const TRIGRAMS: usize = RADIX * RADIX * RADIX;

/// Counts of the grams that end at a position behind the padding, in one class.
#[derive(Clone, Debug)]
pub(crate) struct ClassCounts {
    /// Counts of 4-grams, by key.
    pub(crate) four: Vec<u32>,
}

impl ClassCounts {
    pub(crate) fn new() -> Self {
        Self { four: vec![0; TRIGRAMS * RADIX] }
    }

    /// Counts the grams of a label.
    pub(crate) fn add(&mut self, label: &[u8]) {
        for gram in Padded::new(label).all().windows(4) {
            if let Some(count) = self.four.get_mut(gram_key(gram) as usize) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// The counts without those of another part of the same labels.
    pub(crate) fn without(&self, part: &Self) -> Self {
        let pairs = self.four.iter().zip(&part.four);
        Self { four: pairs.map(|(&all, &part)| all.saturating_sub(part)).collect() }
    }
}

/// One 4-gram with its counts in both classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FourGram {
    pub(crate) key: u32,
    pub(crate) good: u32,
    pub(crate) bad: u32,
}

/// Counts as the model file has them: trigrams (key, good, bad) exactly, and the 4-grams that were seen often enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Trigrams with a count, ascending by key.
    pub(crate) three: Vec<FourGram>,
    /// 4-grams with a count, ascending by key.
    pub(crate) four: Vec<FourGram>,
}

impl Counts {
    /// Merges the counts of both classes and leaves out 4-grams with a sum below `least`.
    pub(crate) fn new(good: &ClassCounts, bad: &ClassCounts, least: u32) -> Self {
        let mut counts = Self::default();
        let mut three = vec![(0_u32, 0_u32); TRIGRAMS];
        for (key, (&good, &bad)) in (0_u32..).zip(good.four.iter().zip(&bad.four)) {
            let sum = good.saturating_add(bad);
            if sum == 0 {
                continue;
            }
            if let Some(entry) = three.get_mut(key as usize % TRIGRAMS) {
                entry.0 = entry.0.saturating_add(good);
                entry.1 = entry.1.saturating_add(bad);
            }
            if sum >= least {
                counts.four.push(FourGram { key, good, bad });
            }
        }
        let seen = (0_u32..).zip(three).filter(|(_, (good, bad))| good.saturating_add(*bad) > 0);
        counts.three = seen.map(|(key, (good, bad))| FourGram { key, good, bad }).collect();
        counts
    }
}
