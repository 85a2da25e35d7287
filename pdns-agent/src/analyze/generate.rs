//! Made-up labels in the shapes of published domain generation algorithms.
//!
//! The shapes are alphabets, lengths and patterns as the literature describes them (analyses of the families by their
//! names; Plohmann et al., A Comprehensive Measurement Study of Domain Generating Malware, 2016). The labels come from a
//! generator of our own, not from the malware's: they look like a family's names and are none of them. They let a model
//! be trained without lists that must not be passed on, and keep it from learning only the alphabets that a list has.

use super::random::Random;

/// Letters of algorithms that draw `'a' + number % 25`.
const A_TO_Y: &[u8] = b"abcdefghijklmnopqrstuvwxy";
const A_TO_Z: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";
const CONSONANTS: &[u8] = b"bcdfghjklmnpqrstvwxz";
const VOWELS: &[u8] = b"aeiouy";
/// Endings of the second version of Kraken.
const KRAKEN: &[&str] =
    &["able", "dom", "hood", "ment", "ness", "ship", "ency", "ist", "ly", "ful", "age", "ing"];

/// The construction of the labels of a shape.
#[derive(Clone, Copy, Debug)]
enum LabelPattern {
    /// Characters drawn alone, all equally likely; lengths from the first number to the second.
    Uniform(&'static [u8], usize, usize),
    /// Consonants and vowels in turn.
    Alternating(usize, usize),
    /// Letters of which about one in this many is a vowel.
    Pronounceable(usize, usize, usize),
    /// A letter, then hexadecimal digits.
    LetterAndHex(usize),
    /// Random letters with a common ending.
    WithEnding(usize, usize),
    /// A fixed tail behind letters that change.
    FixedTail,
    /// This many words, with hyphens or without; the length at least the third number.
    Words(usize, usize, usize),
}

use LabelPattern::{
    Alternating, FixedTail, LetterAndHex, Pronounceable, Uniform, WithEnding, Words,
};

/// Shapes: name, pattern.
const SHAPES: &[(&str, LabelPattern)] = &[
    ("bamital", Uniform(HEX, 32, 32)),
    ("banjori", FixedTail),
    ("bazarloader", Alternating(8, 12)),
    ("chinad", Uniform(ALPHANUMERIC, 16, 16)),
    ("conficker", Uniform(A_TO_Z, 5, 11)),
    ("conficker-c", Uniform(A_TO_Z, 4, 9)),
    ("corebot", Uniform(b"abcdefghijklmnopqrstuvwxy012345678", 12, 23)),
    ("cryptolocker", Uniform(A_TO_Y, 12, 15)),
    ("dircrypt", Uniform(A_TO_Z, 8, 20)),
    ("dyre", LetterAndHex(33)),
    ("emotet", Uniform(A_TO_Y, 16, 16)),
    ("flubot", Uniform(A_TO_Y, 15, 15)),
    ("fobber", Uniform(A_TO_Z, 10, 17)),
    ("gameover", Uniform(ALPHANUMERIC, 20, 28)),
    ("gozi", Words(2, 4, 12)),
    ("hash", Uniform(HEX, 8, 40)),
    ("kraken", WithEnding(5, 9)),
    ("locky", Uniform(A_TO_Y, 5, 18)),
    ("matsnu", Words(2, 4, 16)),
    ("monerominer", Uniform(HEX, 13, 13)),
    ("murofet", Uniform(A_TO_Z, 11, 16)),
    ("murofet-2", Uniform(ALPHANUMERIC, 30, 47)),
    ("necurs", Uniform(A_TO_Y, 7, 21)),
    ("nymaim", Uniform(A_TO_Z, 5, 11)),
    ("padcrypt", Uniform(b"abcdefklmno", 16, 24)),
    ("pandabanker", Uniform(HEX, 12, 12)),
    ("proslikefan", Uniform(A_TO_Z, 6, 12)),
    ("pushdo", Alternating(7, 12)),
    ("pykspa", Pronounceable(3, 6, 15)),
    ("qadars", Uniform(ALPHANUMERIC, 12, 12)),
    ("qakbot", Uniform(A_TO_Z, 8, 25)),
    ("ramdo", Uniform(b"acegikmoqsuwy", 16, 16)),
    ("ramnit", Uniform(A_TO_Y, 8, 19)),
    ("ranbyus", Uniform(A_TO_Y, 14, 17)),
    ("rovnix", Uniform(ALPHANUMERIC, 18, 18)),
    ("shiotob", Uniform(ALPHANUMERIC, 10, 15)),
    ("simda", Alternating(5, 11)),
    ("suppobox", Words(2, 2, 9)),
    ("symmi", Alternating(8, 15)),
    ("tempedreve", Uniform(A_TO_Z, 7, 11)),
    ("tinba", Uniform(A_TO_Y, 12, 12)),
    ("urlzone", Uniform(ALPHANUMERIC, 8, 15)),
    ("vawtrak", Pronounceable(2, 6, 12)),
    ("virut", Pronounceable(3, 6, 6)),
    ("zloader", Uniform(A_TO_Y, 20, 20)),
];

/// A generated label with the shape that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The name of the shape, that of the family that is known for it.
    pub shape: &'static str,
    /// The label.
    pub label: String,
}

/// Generates this many labels of each shape; shapes of words need some. Equal seeds give equal labels.
#[must_use]
pub fn generate(each: usize, words: &[String], seed: u64) -> Vec<Generated> {
    let mut random = Random::new(seed);
    let short: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| (3..=8).contains(&word.len())).collect();
    let mut all = Vec::with_capacity(each * SHAPES.len());
    for &(shape, pattern) in SHAPES {
        // All labels of a run share their tail, as those of one seed of the family do.
        let tails = [text(A_TO_Z, 9, &mut random), text(A_TO_Z, 11, &mut random)];
        if matches!(pattern, Words(..)) && short.len() < 100 {
            continue;
        }
        all.extend(
            (0..each)
                .map(|_| Generated { shape, label: label(pattern, &short, &tails, &mut random) }),
        );
    }
    all
}

fn text(alphabet: &[u8], length: usize, random: &mut Random) -> String {
    (0..length).filter_map(|_| random.one_of(alphabet).map(|&octet| char::from(octet))).collect()
}

fn between(from: usize, to: usize, random: &mut Random) -> usize {
    from + random.below(to.saturating_sub(from) + 1)
}

fn label(pattern: LabelPattern, words: &[&str], tails: &[String], random: &mut Random) -> String {
    match pattern {
        Uniform(alphabet, from, to) => text(alphabet, between(from, to, random), random),
        Alternating(from, to) => {
            let first = random.below(2);
            let sets = [CONSONANTS, VOWELS];
            let length = between(from, to, random);
            let letters = (first..first + length)
                .map(|turn| text(sets.get(turn % 2).unwrap_or(&CONSONANTS), 1, random));
            letters.collect()
        }
        Pronounceable(share, from, to) => {
            let length = between(from, to, random);
            let letters = (0..length).map(|_| {
                let set = if random.below(share) == 0 { VOWELS } else { A_TO_Z };
                text(set, 1, random)
            });
            letters.collect()
        }
        LetterAndHex(digits) => text(A_TO_Z, 1, random) + &text(HEX, digits, random),
        WithEnding(from, to) => {
            let ending = random.one_of(KRAKEN).copied().unwrap_or_default();
            let length = between(from, to, random);
            text(A_TO_Z, length, random) + ending
        }
        FixedTail => {
            let tail = random.one_of(tails).cloned().unwrap_or_default();
            text(A_TO_Z, 4, random) + &tail
        }
        Words(from, to, least) => {
            let number = between(from, to, random);
            let hyphen = if to > 2 && random.below(4) == 0 { "-" } else { "" };
            let mut parts: Vec<&str> = Vec::new();
            while parts.len() < number || parts.iter().map(|part| part.len()).sum::<usize>() < least
            {
                parts.push(random.one_of(words).copied().unwrap_or("word"));
            }
            let mut label = parts.join(hyphen);
            label.truncate(super::symbols::MAX_LABEL);
            label
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_labels_and_shapes_are_kept() {
        let words: Vec<String> = (0..200_u8).map(|number| format!("w{number:03}")).collect();
        let made = generate(20, &words, 7);
        assert_eq!(made, generate(20, &words, 7));
        assert_ne!(made, generate(20, &words, 8));
        assert_eq!(made.len(), 20 * SHAPES.len());
        for Generated { shape, label } in &made {
            assert!((4..=63).contains(&label.len()), "{shape} {label}");
            let is_hex = label.bytes().all(|octet| octet.is_ascii_hexdigit());
            assert!(
                is_hex || !["bamital", "hash", "pandabanker"].contains(shape),
                "{shape} {label}"
            );
        }
        assert_eq!(generate(5, &[], 7).len(), 5 * (SHAPES.len() - 3));
    }
}
