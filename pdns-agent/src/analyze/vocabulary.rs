//! Known text: 3- to 5-grams of popular names and of English words, and the words themselves.

#![expect(
    clippy::cast_precision_loss,
    reason = "document counts stay far below the 24 bits of a float"
)]

use super::symbols::{gram_key, symbol};
use hashbrown::{HashMap, HashSet};

/// Lengths of words that are kept.
pub(crate) const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 3..=12;
/// A gram of names is known if at least this share of them holds it.
const SITE_SHARE: f64 = 1e-4;
/// A gram of words is known if at least this share of them holds it.
const WORD_SHARE: f64 = 1e-5;

/// A gram with the number of labels or words that hold it.
pub(crate) type GramCount = (u32, u32);

/// The stored form of known text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownText {
    /// Grams of good labels, ascending by key.
    pub(crate) sites: Vec<GramCount>,
    /// Grams of words, ascending by key.
    pub(crate) word_grams: Vec<GramCount>,
    /// Words, ascending, of letters a to z.
    pub(crate) words: Vec<String>,
}

/// Counts in how many texts each 3- to 5-gram occurs; keeps those in at least `share` of them.
pub(crate) fn gram_counts<'a>(texts: impl Iterator<Item = &'a [u8]>, share: f64) -> Vec<GramCount> {
    let mut counts: HashMap<u32, u32, Mixer> = HashMap::default();
    let (mut number, mut own, mut symbols) = (0_u32, Vec::new(), Vec::new());
    for text in texts {
        number += 1;
        symbols.clear();
        symbols.extend(text.iter().map(|&octet| symbol(octet)));
        own.clear();
        for length in 3..=5 {
            own.extend(symbols.windows(length).map(gram_key));
        }
        own.sort_unstable();
        own.dedup();
        for &key in &own {
            *counts.entry(key).or_default() += 1;
        }
    }
    let least = (f64::from(number) * share).max(2.0);
    let mut kept: Vec<_> =
        counts.into_iter().filter(|&(_, count)| f64::from(count) >= least).collect();
    kept.sort_unstable();
    kept
}

impl KnownText {
    /// The grams of good labels, and a list of words.
    pub(crate) fn new<'a>(good: impl Iterator<Item = &'a [u8]>, words: Vec<String>) -> Self {
        let word_grams = gram_counts(words.iter().map(String::as_bytes), WORD_SHARE);
        Self { sites: gram_counts(good, SITE_SHARE), word_grams, words }
    }
}

/// True for words that can be kept: 3 to 12 letters from a to z.
pub(crate) fn is_word(text: &[u8]) -> bool {
    WORD_LENGTHS.contains(&text.len()) && text.iter().all(u8::is_ascii_lowercase)
}

/// Spreads keys over a table: a multiplication suffices, because they are not an attacker's to choose.
#[derive(Clone, Default)]
pub(crate) struct Mixer;

impl std::hash::BuildHasher for Mixer {
    type Hasher = MixerState;
    fn build_hasher(&self) -> MixerState {
        MixerState(0)
    }
}

/// See [`Mixer`].
pub(crate) struct MixerState(u64);

impl std::hash::Hasher for MixerState {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }
    fn write_u32(&mut self, value: u32) {
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

/// Known text, ready to be searched.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    /// Weights of a gram: logarithm (base 10) of its count in names and in words, 0 where it is not known.
    grams: HashMap<u32, (f32, f32), Mixer>,
    /// Words as numbers, see [`word_key`].
    words: HashSet<u64, Mixer>,
    /// Bit set of the four letters that begin a word of four and more; few places in a label pass it.
    beginnings: Vec<u64>,
}

/// Number of letters whose word bits [`Vocabulary::beginnings`] has.
const BEGINNING: u8 = 4;

impl std::fmt::Debug for Mixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mixer")
    }
}

/// Appends a letter to the number of a word: five bits for each of at most twelve letters.
const fn word_key(key: u64, symbol: u8) -> u64 {
    key << 5 | symbol as u64
}

/// Sums over the grams of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GramSums {
    /// Sum of the weights of grams known from names.
    pub(crate) sites: f32,
    /// Share of grams known from names.
    pub(crate) sites_known: f32,
    /// Sum of the weights of grams known from words.
    pub(crate) words: f32,
    /// Share of grams known from words.
    pub(crate) words_known: f32,
}

/// The words that cover most of a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cover {
    /// Octets covered.
    pub(crate) octets: u8,
    /// Fewer words are better: 255 minus their number.
    few: u8,
    /// Length of the longest word.
    pub(crate) longest: u8,
}

impl Cover {
    /// Number of words.
    pub(crate) fn words(self) -> u8 {
        255 - self.few
    }
}

impl Vocabulary {
    pub(crate) fn new(known: &KnownText) -> Self {
        let mut grams: HashMap<u32, (f32, f32), Mixer> = HashMap::default();
        for &(key, count) in &known.sites {
            grams.entry(key).or_default().0 = (count as f32).log10();
        }
        for &(key, count) in &known.word_grams {
            grams.entry(key).or_default().1 = (count as f32).log10();
        }
        let number =
            |word: &String| word.bytes().fold(0, |key, octet| word_key(key, symbol(octet)));
        let mut beginnings = vec![0_u64; 1 << (5 * u32::from(BEGINNING) - 6)];
        for word in known.words.iter().filter(|word| word.len() >= BEGINNING.into()) {
            let key = word
                .bytes()
                .take(BEGINNING.into())
                .fold(0, |key, octet| word_key(key, symbol(octet)));
            if let Some(bits) = usize::try_from(key / 64).ok().and_then(|at| beginnings.get_mut(at))
            {
                *bits |= 1 << (key % 64);
            }
        }
        Self { grams, words: known.words.iter().map(number).collect(), beginnings }
    }

    fn begins_word(&self, key: u64) -> bool {
        let bits = usize::try_from(key / 64).ok().and_then(|at| self.beginnings.get(at));
        bits.is_some_and(|bits| bits >> (key % 64) & 1 == 1)
    }

    /// Adds up the known 3- to 5-grams of a label.
    pub(crate) fn gram_sums(&self, symbols: &[u8]) -> GramSums {
        let mut sums = GramSums::default();
        let (mut number, mut of_sites, mut of_words) = (0_u16, 0_u16, 0_u16);
        for length in 3..=5 {
            for gram in symbols.windows(length) {
                number += 1;
                let Some(&(site, word)) = self.grams.get(&gram_key(gram)) else { continue };
                sums.sites += site;
                sums.words += word;
                of_sites += u16::from(site > 0.0);
                of_words += u16::from(word > 0.0);
            }
        }
        let number = f32::from(number.max(1));
        sums.sites_known = f32::from(of_sites) / number;
        sums.words_known = f32::from(of_words) / number;
        sums
    }

    /// The best cover: most octets, then fewest words, then the longest word.
    pub(crate) fn cover(&self, symbols: &[u8]) -> Cover {
        let mut best = [Cover { octets: 0, few: 255, longest: 0 }; super::symbols::MAX_LABEL + 1];
        for start in 0..symbols.len() {
            let Some(&before) = best.get(start) else { break };
            if let Some(next) = best.get_mut(start + 1) {
                *next = before.max(*next);
            }
            let mut key = 0;
            let rest = symbols.iter().skip(start).take(*WORD_LENGTHS.end());
            for (length, &symbol) in (1_u8..).zip(rest) {
                if symbol > 26 {
                    break;
                }
                key = word_key(key, symbol);
                if length == BEGINNING && !self.begins_word(key) {
                    break;
                }
                if usize::from(length) < *WORD_LENGTHS.start() || !self.words.contains(&key) {
                    continue;
                }
                let cover = Cover {
                    octets: before.octets + length,
                    few: before.few.saturating_sub(1),
                    longest: before.longest.max(length),
                };
                if let Some(end) = best.get_mut(start + usize::from(length)) {
                    *end = cover.max(*end);
                }
            }
        }
        best.get(symbols.len()).copied().unwrap_or_default()
    }
}
