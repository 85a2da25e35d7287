//! The model file.
//!
//! ```text
//! "PDNSDGA1"  digest of the feature names (8 octets)
//! sections:   tag (4 octets), length (u32, little endian), contents
//! SHA-256 of all before it
//! ```
//!
//! The sections are, in this order: `META` (text), `TRI ` and `FOUR` (n-grams with the counts of both classes), `SITE`
//! and `WGRM` (n-grams with one count), `WORD` (words), `BINS`, `TREE` and `CALI`. Numbers of unlimited size are LEB128;
//! ascending numbers are stored as differences. A file is someone else's: every number is checked against what it
//! must not exceed before memory is set aside for it, and trees must be whole.

use super::counts::{Counts, FourGram, TRIGRAMS};
use super::features::{FEATURES, NAMES};
use super::forest::{Bins, Forest, LEAF, MAX_BINS, Node, Tree};
use super::logistic::Logistic;
use super::model::Calibration;
use super::symbols::RADIX;
use super::vocabulary::{GramCount, KnownText, is_word};

const MAGIC: &[u8; 8] = b"PDNSDGA1";
/// Largest file that is read.
pub const MAX_MODEL: usize = 16 << 20;
/// Length of the digest at the end.
const DIGEST: usize = 32;
/// Numbers that a file must not exceed; a trained model stays far below.
const MAX_GRAMS: usize = 1 << 20;
const MAX_WORDS: usize = 1 << 18;
const MAX_TREES: usize = 1000;
const MAX_NODES: usize = 1 << 20;
const MAX_DEPTH: usize = 64;

/// Reason why octets are not a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The octets are something else.
    #[error("not a model file")]
    NotModel,
    /// Larger than [`MAX_MODEL`].
    #[error("larger than {} MiB", MAX_MODEL >> 20)]
    TooLarge,
    /// The checksum does not fit.
    #[error("damaged: the checksum does not match")]
    Checksum,
    /// The model was trained for other features.
    #[error("made for other features; train it again with this version")]
    Features,
    /// Contents that no trained model has.
    #[error("invalid contents in section {section}: {what}")]
    Invalid {
        /// Tag of the section.
        section: &'static str,
        /// The fault.
        what: &'static str,
    },
}

/// The contents of a model file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    pub(crate) manifest: String,
    pub(crate) counts: Counts,
    pub(crate) known: KnownText,
    pub(crate) forest: Forest,
    pub(crate) calibration: Calibration,
}

/// The first octets of the digest of the feature names.
fn schema() -> [u8; 8] {
    let digest = ring::digest::digest(&ring::digest::SHA256, NAMES.join(" ").as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_len(out: &mut Vec<u8>, length: usize) {
    put(out, length as u64);
}

fn put_section(out: &mut Vec<u8>, tag: &str, contents: &[u8]) {
    out.extend(tag.as_bytes());
    out.extend(u32::try_from(contents.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(contents);
}

fn four_section(grams: &[FourGram]) -> Vec<u8> {
    let mut out = Vec::new();
    put_len(&mut out, grams.len());
    let mut before = 0;
    for gram in grams {
        put(&mut out, u64::from(gram.key - before));
        put(&mut out, gram.good.into());
        put(&mut out, gram.bad.into());
        before = gram.key;
    }
    out
}

fn gram_section(grams: &[GramCount]) -> Vec<u8> {
    let mut out = Vec::new();
    put_len(&mut out, grams.len());
    let mut before = 0;
    for &(key, count) in grams {
        put(&mut out, u64::from(key - before));
        put(&mut out, count.into());
        before = key;
    }
    out
}

fn word_section(words: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    put_len(&mut out, words.len());
    let mut before: &[u8] = &[];
    for word in words {
        let word = word.as_bytes();
        let shared = word.iter().zip(before).take_while(|(a, b)| a == b).count();
        let rest = word.get(shared..).unwrap_or_default();
        put_len(&mut out, shared << 4 | rest.len());
        out.extend(rest);
        before = word;
    }
    out
}

fn tree_section(trees: &[Tree]) -> Vec<u8> {
    let mut out = Vec::new();
    put_len(&mut out, trees.len());
    for tree in trees {
        put_len(&mut out, tree.len());
        for node in tree {
            out.push(node.feature);
            if node.feature != LEAF {
                out.push(node.bin);
            }
            out.extend(node.value.to_le_bytes());
        }
    }
    out
}

impl Parts {
    /// The file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(schema());
        put_section(&mut out, "META", self.manifest.as_bytes());
        put_section(&mut out, "TRI ", &four_section(&self.counts.three));
        put_section(&mut out, "FOUR", &four_section(&self.counts.four));
        put_section(&mut out, "SITE", &gram_section(&self.known.sites));
        put_section(&mut out, "WGRM", &gram_section(&self.known.word_grams));
        put_section(&mut out, "WORD", &word_section(&self.known.words));
        let mut bins = Vec::new();
        for limits in &self.forest.bins.0 {
            put_len(&mut bins, limits.len());
            bins.extend(limits.iter().flat_map(|limit| limit.to_le_bytes()));
        }
        put_section(&mut out, "BINS", &bins);
        put_section(&mut out, "TREE", &tree_section(&self.forest.trees));
        let Calibration { bayes, both, prior, limits, sets } = &self.calibration;
        let mut numbers = Vec::new();
        numbers.extend(
            bayes
                .0
                .iter()
                .chain(&both.0)
                .chain([prior])
                .chain(limits)
                .flat_map(|number| number.to_le_bytes()),
        );
        put_len(&mut numbers, sets.len());
        for (size, low, high) in sets {
            put(&mut numbers, u64::from(*size));
            numbers.extend([low, high].iter().flat_map(|number| number.to_le_bytes()));
        }
        put_section(&mut out, "CALI", &numbers);
        let digest = ring::digest::digest(&ring::digest::SHA256, &out);
        out.extend(digest.as_ref());
        out
    }

    /// Reads a file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        if !bytes.starts_with(MAGIC) {
            return Err(ModelError::NotModel);
        }
        if bytes.len() > MAX_MODEL {
            return Err(ModelError::TooLarge);
        }
        let cut = bytes.len().checked_sub(DIGEST).ok_or(ModelError::Checksum)?;
        let (body, digest) = bytes.split_at_checked(cut).ok_or(ModelError::Checksum)?;
        if ring::digest::digest(&ring::digest::SHA256, body).as_ref() != digest {
            return Err(ModelError::Checksum);
        }
        Self::decode_body(body)
    }

    /// Reads a file whose checksum has been checked, or must not matter.
    pub(super) fn decode_body(body: &[u8]) -> Result<Self, ModelError> {
        let rest = body.strip_prefix(MAGIC).ok_or(ModelError::NotModel)?;
        let mut rest = rest.strip_prefix(&schema()).ok_or(ModelError::Features)?;
        let mut section = |tag: &'static str| PartInput::section(&mut rest, tag);
        let manifest = section("META")?.text()?;
        let three = section("TRI ")?.fours(TRIGRAMS)?;
        let four = section("FOUR")?.fours(TRIGRAMS * RADIX)?;
        let sites = section("SITE")?.grams()?;
        let word_grams = section("WGRM")?.grams()?;
        let words = section("WORD")?.words()?;
        let bins = section("BINS")?.bins()?;
        let trees = section("TREE")?.trees()?;
        let calibration = section("CALI")?.calibration()?;
        if !rest.is_empty() {
            return Err(ModelError::Invalid { section: "CALI", what: "more follows" });
        }
        Ok(Self {
            manifest,
            counts: Counts { three, four },
            known: KnownText { sites, word_grams, words },
            forest: Forest { bins, trees },
            calibration,
        })
    }
}

/// The unread rest of a section.
struct PartInput<'b> {
    section: &'static str,
    rest: &'b [u8],
}

impl<'b> PartInput<'b> {
    fn section(rest: &mut &'b [u8], tag: &'static str) -> Result<Self, ModelError> {
        let invalid = |what| ModelError::Invalid { section: tag, what };
        let behind = rest.strip_prefix(tag.as_bytes()).ok_or(invalid("missing"))?;
        let (length, behind) = behind.split_first_chunk().ok_or(invalid("cut short"))?;
        let length =
            usize::try_from(u32::from_le_bytes(*length)).map_err(|_| invalid("cut short"))?;
        let (contents, behind) = behind.split_at_checked(length).ok_or(invalid("cut short"))?;
        *rest = behind;
        Ok(Self { section: tag, rest: contents })
    }

    fn invalid(&self, what: &'static str) -> ModelError {
        ModelError::Invalid { section: self.section, what }
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], ModelError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.invalid("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.invalid("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn octet(&mut self) -> Result<u8, ModelError> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    fn number(&mut self) -> Result<u32, ModelError> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| self.invalid("number too large"));
            }
        }
        Err(self.invalid("number too large"))
    }

    /// A number of things of which each takes at least so many octets.
    fn length(&mut self, most: usize, octets: usize) -> Result<usize, ModelError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > most || length.saturating_mul(octets) > self.rest.len() {
            return Err(self.invalid("too many entries"));
        }
        Ok(length)
    }

    fn real(&mut self) -> Result<f64, ModelError> {
        let value = f64::from_le_bytes(self.array()?);
        // Beyond this no score is, and sums stay finite.
        if value.abs() <= 1e6 { Ok(value) } else { Err(self.invalid("not a finite number")) }
    }

    fn end<T>(&self, value: T) -> Result<T, ModelError> {
        if self.rest.is_empty() { Ok(value) } else { Err(self.invalid("more follows")) }
    }

    fn text(mut self) -> Result<String, ModelError> {
        let text = self.take(self.rest.len())?;
        let is_plain = |octet: &u8| octet.is_ascii_graphic() || matches!(octet, b' ' | b'\n');
        let text = String::from_utf8(text.to_vec()).map_err(|_| self.invalid("not text"))?;
        if text.len() <= 1 << 16 && text.bytes().all(|octet| is_plain(&octet)) {
            Ok(text)
        } else {
            Err(self.invalid("not plain text"))
        }
    }

    /// The next of ascending keys.
    fn key(&mut self, before: Option<u32>, limit: usize) -> Result<u32, ModelError> {
        let step = self.number()?;
        let key = before.unwrap_or(0).checked_add(step).filter(|key| (*key as usize) < limit);
        match key {
            Some(key) if before.is_none_or(|before| key > before) => Ok(key),
            _ => Err(self.invalid("keys do not ascend")),
        }
    }

    fn fours(mut self, limit: usize) -> Result<Vec<FourGram>, ModelError> {
        let length = self.length(limit, 3)?;
        let mut grams = Vec::with_capacity(length);
        let mut before = None;
        for _ in 0..length {
            let key = self.key(before, limit)?;
            grams.push(FourGram { key, good: self.number()?, bad: self.number()? });
            before = Some(key);
        }
        self.end(grams)
    }

    fn grams(mut self) -> Result<Vec<GramCount>, ModelError> {
        let length = self.length(MAX_GRAMS, 2)?;
        let mut grams = Vec::with_capacity(length);
        let mut before = None;
        for _ in 0..length {
            let key = self.key(before, RADIX.pow(5))?;
            let count = self.number()?;
            if count == 0 {
                return Err(self.invalid("a gram without a count"));
            }
            grams.push((key, count));
            before = Some(key);
        }
        self.end(grams)
    }

    fn words(mut self) -> Result<Vec<String>, ModelError> {
        let length = self.length(MAX_WORDS, 2)?;
        let mut words: Vec<String> = Vec::with_capacity(length);
        for _ in 0..length {
            let sizes = self.number()? as usize;
            let rest = self.take(sizes & 15)?;
            let before = words.last().map_or(&[][..], |word| word.as_bytes());
            let mut word = before.get(..sizes >> 4).ok_or(self.invalid("not a word"))?.to_vec();
            word.extend(rest);
            if !is_word(&word) || word.as_slice() <= before {
                return Err(self.invalid("not a word"));
            }
            words.push(String::from_utf8(word).map_err(|_| self.invalid("not a word"))?);
        }
        self.end(words)
    }

    fn bins(mut self) -> Result<Bins, ModelError> {
        let mut bins = Vec::with_capacity(FEATURES);
        for _ in 0..FEATURES {
            let length = self.length(MAX_BINS - 1, 4)?;
            let mut limits: Vec<f32> = Vec::with_capacity(length);
            for _ in 0..length {
                let limit = f32::from_le_bytes(self.array()?);
                if !limit.is_finite() || limits.last().is_some_and(|last| *last >= limit) {
                    return Err(self.invalid("limits do not ascend"));
                }
                limits.push(limit);
            }
            bins.push(limits);
        }
        self.end(Bins(bins))
    }

    fn trees(mut self) -> Result<Vec<Tree>, ModelError> {
        let length = self.length(MAX_TREES, 4)?;
        let mut all = 0;
        let mut trees = Vec::with_capacity(length);
        for _ in 0..length {
            let nodes = self.length(MAX_NODES, 3)?;
            all += nodes;
            if all > MAX_NODES {
                return Err(self.invalid("too many entries"));
            }
            trees.push(self.tree(nodes)?);
        }
        if trees.is_empty() {
            return Err(self.invalid("no tree"));
        }
        self.end(trees)
    }

    /// A tree in preorder: an inner node is followed by its left child and all below it, then by its right.
    fn tree(&mut self, length: usize) -> Result<Tree, ModelError> {
        let mut nodes: Tree = Vec::with_capacity(length);
        // Nodes whose right child has yet to come, with their depths.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut follows_leaf = false;
        for place in 0..length {
            let parent = if follows_leaf { open.pop() } else { open.last().copied() };
            let depth = parent.map_or(0, |(_, depth)| depth + 1);
            if depth > MAX_DEPTH {
                return Err(self.invalid("a tree too deep"));
            }
            match parent.and_then(|(parent, _)| nodes.get_mut(parent)) {
                Some(parent) if follows_leaf => parent.right = u32::try_from(place).unwrap_or(0),
                None if place > 0 => return Err(self.invalid("a tree with two roots")),
                _ => {}
            }
            let feature = self.octet()?;
            follows_leaf = feature == LEAF;
            if !follows_leaf {
                if usize::from(feature) >= FEATURES {
                    return Err(self.invalid("unknown feature"));
                }
                open.push((place, depth));
            }
            let bin = if follows_leaf { 0 } else { self.octet()? };
            let value = u16::from_le_bytes(self.array()?);
            nodes.push(Node { feature, bin, value, right: 0 });
        }
        if length == 0 || !open.is_empty() || !follows_leaf {
            return Err(self.invalid("an incomplete tree"));
        }
        Ok(nodes)
    }

    fn calibration(mut self) -> Result<Calibration, ModelError> {
        let bayes = Logistic([self.real()?, self.real()?, self.real()?, self.real()?]);
        let both = Logistic([self.real()?, self.real()?, self.real()?]);
        let prior = self.real()?;
        if !(prior > 0.0 && prior < 1.0) {
            return Err(self.invalid("not a probability"));
        }
        let limits = [self.real()?, self.real()?, self.real()?];
        let length = self.length(100, 17)?;
        let mut sets: Vec<(u16, f64, f64)> = Vec::with_capacity(length);
        for _ in 0..length {
            let size =
                u16::try_from(self.number()?).map_err(|_| self.invalid("number too large"))?;
            if sets.last().is_some_and(|last| last.0 >= size) {
                return Err(self.invalid("sizes do not ascend"));
            }
            sets.push((size, self.real()?, self.real()?));
        }
        self.end(Calibration { bayes, both, prior, limits, sets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(feature: u8, value: u16, right: u32) -> Node {
        Node { feature, bin: u8::from(feature != LEAF), value, right }
    }

    fn parts() -> Parts {
        let gram = |key, good, bad| FourGram { key, good, bad };
        let tree = vec![
            node(3, 30_000, 4),
            node(0, 9_000, 3),
            node(LEAF, 1, 0),
            node(LEAF, 2, 0),
            node(LEAF, 65_535, 0),
        ];
        Parts {
            manifest: "seed: 1\n".to_owned(),
            counts: Counts {
                three: vec![gram(0, 300, 1), gram(63_999, 0, 70_000)],
                four: vec![gram(5, 1, 1), gram(2_559_999, 2, 0)],
            },
            known: KnownText {
                sites: vec![(1_641, 12), (102_399_999, 11)],
                word_grams: vec![(7_000, 3)],
                words: vec!["able".to_owned(), "ably".to_owned(), "zoo".to_owned()],
            },
            forest: Forest {
                bins: Bins((0..FEATURES).map(|_| vec![-1.5, 0.0, 7.25]).collect()),
                trees: vec![tree, vec![node(LEAF, 40_000, 0)]],
            },
            calibration: Calibration {
                bayes: Logistic([0.5, 1.0, -1.0, 2.0]),
                both: Logistic([0.0, 1.0, 0.25]),
                prior: 0.5,
                limits: [0.1, 1.0, 4.0],
                sets: vec![(2, 1.0, 2.0), (5, 0.5, 1.0)],
            },
        }
    }

    fn invalid(change: impl FnOnce(&mut Parts)) -> ModelError {
        let mut parts = parts();
        change(&mut parts);
        Parts::decode(&parts.encode()).expect_err("it decodes")
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let parts = parts();
        assert_eq!(Parts::decode(&parts.encode()), Ok(parts));
    }

    #[test]
    fn a_changed_octet_is_found_and_its_contents_hurt_nobody() {
        let bytes = parts().encode();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            assert!(Parts::decode(&damaged).is_err(), "octet {place}");
            // A hostile file has a valid checksum.
            let body = &damaged[..damaged.len() - DIGEST];
            if let Ok(parts) = Parts::decode_body(body) {
                let model = super::super::Model::from_parts(parts);
                for name in ["example.com", "xn--bcher-kva.example", "x.y", "."] {
                    let name = crate::name::NameBuf::parse(name).unwrap();
                    let p = model.explain(name.as_name()).0.scores.p;
                    assert!((0.0..=1.0).contains(&p), "octet {place}: {p}");
                }
            }
            assert!(Parts::decode(&bytes[..place]).is_err());
        }
        assert_eq!(Parts::decode(b""), Err(ModelError::NotModel));
    }

    #[test]
    fn contradictions_are_named() {
        let error = |section, what| ModelError::Invalid { section, what };
        let tree = |nodes: Vec<Node>| invalid(|parts| parts.forest.trees = vec![nodes]);
        assert_eq!(
            tree(vec![node(0, 1, 2), node(LEAF, 1, 0)]),
            error("TREE", "an incomplete tree")
        );
        assert_eq!(
            tree(vec![node(LEAF, 1, 0), node(LEAF, 1, 0)]),
            error("TREE", "a tree with two roots")
        );
        assert_eq!(
            tree(vec![node(38, 1, 2), node(LEAF, 1, 0), node(LEAF, 1, 0)]),
            error("TREE", "unknown feature")
        );
        // A chain to the right, as long as it likes.
        let mut chain: Tree = (0..200).flat_map(|_| [node(0, 1, 0), node(LEAF, 1, 0)]).collect();
        chain.push(node(LEAF, 1, 0));
        assert_eq!(tree(chain), error("TREE", "a tree too deep"));
        assert_eq!(invalid(|parts| parts.forest.trees.clear()), error("TREE", "no tree"));
        assert_eq!(
            invalid(|parts| parts.known.words = vec!["zoo".to_owned(), "able".to_owned()]),
            error("WORD", "not a word")
        );
        assert_eq!(
            invalid(|parts| parts.calibration.prior = 1.0),
            error("CALI", "not a probability")
        );
        assert_eq!(
            invalid(|parts| parts.calibration.limits[0] = f64::NAN),
            error("CALI", "not a finite number")
        );
        assert_eq!(
            invalid(|parts| parts.forest.bins.0[5] = vec![1.0, 1.0]),
            error("BINS", "limits do not ascend")
        );
        assert_eq!(invalid(|parts| parts.manifest.push('\u{7f}')), error("META", "not plain text"));
    }
}
