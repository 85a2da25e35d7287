//! Digests of the first bytes of a file, used by a later run to recognise the file.
//!
//! Layer 0. The full digest tells whether two files are equal up to a position. The samples, taken at line
//! ends at growing distances, tell the same about a shorter file, up to its last sample.

use super::{Hasher, IdentityHasher};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Minimum distance between two samples, in bytes.
const NEAREST: u64 = 64;

/// Length of [`PrefixDigest::to_bytes`], in bytes.
pub const DIGEST: usize = 24;

/// Digest of all bytes read from a file so far.
#[derive(Clone, Debug)]
pub struct PrefixDigest {
    hasher: IdentityHasher,
    length: u64,
    /// Length and digest at some line ends. Each length is at least 1.5 times the previous one, so a file of
    /// 10 GB has fewer than 50 samples.
    samples: Vec<(u64, u32)>,
    next: u64,
}

impl PrefixDigest {
    /// The digest of zero bytes, with a store's key.
    #[must_use]
    pub fn new(hasher: &Hasher) -> Self {
        Self { hasher: hasher.begin(), length: 0, samples: Vec::new(), next: 0 }
    }

    /// Adds the next bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.length += bytes.len() as u64;
    }

    /// Returns true if a sample is due at the end of a line that ends at `length`.
    #[must_use]
    pub fn is_due(&self, length: u64) -> bool {
        length >= self.next
    }

    /// Takes a sample of the bytes so far, which must end with a line end.
    ///
    /// Due samples depend on the line ends alone, so files with the same beginning have the same samples.
    pub fn sample(&mut self) {
        let [first, second, third, fourth, ..] = self.hasher.finish();
        self.samples.push((self.length, u32::from_be_bytes([first, second, third, fourth])));
        self.next = self.length + (self.length / 2).max(NEAREST);
    }

    /// Number of bytes covered.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The length in 8 bytes and the digest in 16, sufficient to compare files of equal length.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; DIGEST] {
        let mut bytes = [0; DIGEST];
        let parts = self.length.to_be_bytes().into_iter().chain(self.hasher.finish());
        bytes.iter_mut().zip(parts).for_each(|(slot, byte)| *slot = byte);
        bytes
    }

    /// The form kept in the store.
    #[must_use]
    pub fn to_stored(&self) -> StoredDigest {
        let mut samples = String::new();
        for (length, digest) in &self.samples {
            let comma = if samples.is_empty() { "" } else { "," };
            write!(samples, "{comma}{length}:{digest:08x}").expect("a String takes any text");
        }
        StoredDigest { length: self.length, digest: self.digest(), samples }
    }

    fn digest(&self) -> String {
        let mut text = String::with_capacity(32);
        for byte in self.hasher.finish() {
            write!(text, "{byte:02x}").expect("a String takes any text");
        }
        text
    }
}

/// A [`PrefixDigest`] as saved together with a position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDigest {
    /// Number of bytes covered.
    pub length: u64,
    /// 32 hexadecimal digits.
    pub digest: String,
    /// `LENGTH:DIGEST` pairs, separated by commas: 8 hexadecimal digits of the digest at each sampled length.
    pub samples: String,
}

impl StoredDigest {
    /// Returns true if a file that was read up to `read` is the file that this digest was taken from.
    ///
    /// If exactly as much was read, the full digests are compared. A shorter file is compared up to its last
    /// sample, which covers at least half of it.
    #[must_use]
    pub fn matches(&self, read: &PrefixDigest) -> bool {
        if read.length == self.length {
            return read.digest() == self.digest;
        }
        let samples = read.to_stored().samples;
        read.length < self.length
            && self
                .samples
                .strip_prefix(samples.as_str())
                .is_some_and(|rest| samples.is_empty() || rest.is_empty() || rest.starts_with(','))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads lines as a log reader does, in pieces.
    fn read(lines: &[String], piece: usize) -> PrefixDigest {
        let mut digest = PrefixDigest::new(&Hasher::new(&[3; 16]));
        for line in lines {
            let bytes = format!("{line}\n").into_bytes();
            bytes.chunks(piece.max(1)).for_each(|piece| digest.write(piece));
            if digest.is_due(digest.length()) {
                digest.sample();
            }
        }
        digest
    }

    proptest! {
        #[test]
        fn a_file_and_what_it_begins_with_are_recognised(
            lines in proptest::collection::vec("[a-z]{0,200}", 1..80),
            part in any::<prop::sample::Index>(),
            piece in 1_usize..90,
        ) {
            let stored = read(&lines, 64).to_stored();
            prop_assert!(stored.matches(&read(&lines, piece)));
            prop_assert!(stored.matches(&read(&lines[..part.index(lines.len())], piece)));
        }

        #[test]
        fn a_file_that_differs_is_not(
            lines in proptest::collection::vec("[a-z]{1,200}", 2..80),
            at in any::<prop::sample::Index>(),
        ) {
            let stored = read(&lines, 64).to_stored();
            let mut other = lines.clone();
            other[at.index(lines.len())].replace_range(..1, "Z");
            prop_assert!(!stored.matches(&read(&other, 64)));
            // A longer file is not compared at all.
            other.push("more".to_owned());
            prop_assert!(!stored.matches(&read(&other, 64)));
        }
    }

    #[test]
    fn a_shorter_file_that_differs_early_is_another_one() {
        let lines: Vec<String> =
            (0..1000).map(|number| format!("line {number} of a log")).collect();
        let stored = read(&lines, 64).to_stored();
        let mut other = lines[..300].to_vec();
        other[100] = "another line".to_owned();
        assert!(!stored.matches(&read(&other, 64)));
        assert!(stored.matches(&read(&lines[..300], 64)));
        assert!(stored.samples.split(',').count() < 20, "{}", stored.samples);
    }
}
