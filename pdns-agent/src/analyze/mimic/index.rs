//! Protected names, indexed by all that their imitations may look like.
//!
//! Names with the same label share a group, so that `example.com` and `example.net` cost once. A table of 32-bit hashes
//! leads to groups: of the label, of the label without one character or two (the symmetric deletes of `SymSpell`), of the
//! folded label and of its sound. Whoever finds a group this way compares the texts themselves. Labels of five
//! characters and more are also sought within names, by Aho-Corasick.

use super::glyph::{folded, looks, sound};
use crate::analyze::random::mix;
use crate::analyze::subject::{Label, Scored};
use crate::name::{MAX_LABEL, Name, NameBuf};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use hashbrown::HashMap;

/// Largest number of protected names.
pub const MAX_PROTECTED: usize = 1_000_000;
/// Labels from this length on may differ in two characters.
pub(super) const TWO_EDITS: usize = 6;
/// Labels from this length on are sought within names.
const WITHIN: usize = 5;
/// Bits of a hash that choose a bucket.
const BUCKET_BITS: u32 = 20;
/// Bits of the number of a group. Beside it there is room for all of a hash that its bucket does not tell.
const GROUP_BITS: u32 = 20;
const _: () = assert!(MAX_PROTECTED <= 1 << GROUP_BITS && BUCKET_BITS + 32 - GROUP_BITS == 32);

/// Namespaces of the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Space {
    /// Labels, with characters left out.
    Text,
    /// Folded labels.
    Folded,
    /// Sounds.
    Sound,
}

/// A protected label.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The label as it looks.
    pub(super) label: Box<[u8]>,
    /// The protected names with this label, the first given first: places in `names`.
    pub(super) names: Vec<u32>,
}

/// Protected names, ready to be compared with.
#[derive(Debug)]
pub struct MimicIndex {
    pub(super) names: Vec<Box<str>>,
    pub(super) groups: Vec<Group>,
    /// In the [`GROUP_BITS`] lower bits the group, above them the bits of the hash that its bucket does not tell; by bucket.
    table: Vec<u32>,
    /// First place of each bucket in the table.
    buckets: Vec<u32>,
    /// A bit for each hash that the table has, by its upper bits: most look-ups end here, in the cache.
    filter: Vec<u64>,
    pub(super) within: Option<AhoCorasick>,
    /// The group of each pattern of `within`.
    pub(super) patterns: Vec<u32>,
    /// Length of the longest protected label.
    pub(super) longest: usize,
}

/// Base of the polynomial that hashes rest on: any large odd number.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Appends a character to the polynomial of a text.
fn append(sum: u64, octet: u8) -> u64 {
    sum.wrapping_mul(BASE).wrapping_add(u64::from(octet) + 1)
}

fn finish(space: Space, sum: u64) -> u32 {
    u32::try_from(mix(sum ^ (space as u64) << 32) >> 32).unwrap_or(0)
}

/// The hash of a text in one of the namespaces.
pub(super) fn hash(space: Space, text: impl Iterator<Item = u8>) -> u32 {
    finish(space, text.fold(0, append))
}

/// Hashes of a text with up to `most` characters left out (at most two); of a text that is too long for a label only the
/// hash of all of it.
pub(super) fn deletes(text: &[u8], most: usize, each: &mut impl FnMut(u32)) {
    let n = text.len();
    each(hash(Space::Text, text.iter().copied()));
    // Polynomials of all beginnings, and powers of the base: with them a hash without some characters takes no loop.
    let (mut sums, mut powers) = ([0_u64; MAX_LABEL + 1], [1_u64; MAX_LABEL + 1]);
    if most == 0 || n > MAX_LABEL {
        return;
    }
    let (mut sum, mut power) = (0, 1_u64);
    for ((octet, to_sum), to_power) in
        text.iter().zip(sums.iter_mut().skip(1)).zip(powers.iter_mut().skip(1))
    {
        sum = append(sum, *octet);
        power = power.wrapping_mul(BASE);
        (*to_sum, *to_power) = (sum, power);
    }
    let sum = |at: usize| sums.get(at).copied().unwrap_or(0);
    let power = |at: usize| powers.get(at).copied().unwrap_or(1);
    // The polynomial of a beginning, with the characters from `from` to `to` behind it.
    let then = |begin: u64, from: usize, to: usize| {
        let length = power(to - from);
        begin
            .wrapping_mul(length)
            .wrapping_add(sum(to).wrapping_sub(sum(from).wrapping_mul(length)))
    };
    for first in 0..n {
        each(finish(Space::Text, then(sum(first), first + 1, n)));
        if most > 1 {
            for second in first + 1..n {
                let begin = then(sum(first), first + 1, second);
                each(finish(Space::Text, then(begin, second + 1, n)));
            }
        }
    }
}

/// Number of characters in which a label may differ.
pub(super) fn edits(length: usize) -> usize {
    match length {
        0 | 1 => 0,
        2..TWO_EDITS => 1,
        _ => 2,
    }
}

/// The suffix of a registrable domain: all behind its first label.
pub(super) fn suffix(registrable: Name<'_>) -> &str {
    behind_label(registrable.as_str())
}

/// The text of a domain behind its first label, which may have dots of its own: those are escaped.
pub(super) fn behind_label(domain: &str) -> &str {
    let mut octets = domain.bytes().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'.' => return domain.get(at + 1..).unwrap_or_default(),
            b'\\' => drop(octets.next()),
            _ => {}
        }
    }
    ""
}

impl MimicIndex {
    /// Indexes the registrable domains of names, the most important first; repeated ones count once, and those beyond
    /// [`MAX_PROTECTED`] are left out.
    #[must_use]
    pub fn new(names: &[NameBuf]) -> Self {
        let mut index = Self {
            names: Vec::new(),
            groups: Vec::new(),
            table: Vec::new(),
            buckets: Vec::new(),
            filter: Vec::new(),
            within: None,
            patterns: Vec::new(),
            longest: 0,
        };
        let mut known: HashMap<Box<[u8]>, u32, std::hash::RandomState> = HashMap::default();
        for name in names.iter().take(MAX_PROTECTED) {
            let scored = Scored::new(name.as_name());
            let text = scored.registrable.as_str();
            let label = looks(Label::new(scored.label).octets()).text.into_boxed_slice();
            if label.is_empty() {
                continue;
            }
            let place = u32::try_from(index.names.len()).unwrap_or(u32::MAX);
            let group = *known.entry(label).or_insert_with_key(|label| {
                let group = u32::try_from(index.groups.len()).unwrap_or(u32::MAX);
                index.groups.push(Group { label: label.clone(), names: Vec::new() });
                group
            });
            let Some(group) = index.groups.get_mut(group as usize) else { continue };
            let is_new =
                |place: &u32| index.names.get(*place as usize).is_some_and(|name| **name != *text);
            if group.names.iter().all(is_new) {
                group.names.push(place);
                index.names.push(text.into());
            }
        }
        drop(known);
        index.fill();
        index
    }

    /// Number of protected names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True without protected names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Memory of the index in octets, without that of the allocator.
    #[must_use]
    pub fn memory(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.len() + 16).sum();
        let groups: usize = self
            .groups
            .iter()
            .map(|group| group.label.len() + 48 + group.names.capacity() * 4)
            .sum();
        let table =
            self.table.capacity() * 4 + self.buckets.capacity() * 4 + self.filter.capacity() * 8;
        names
            + groups
            + table
            + self.patterns.capacity() * 4
            + self.within.as_ref().map_or(0, AhoCorasick::memory_usage)
    }

    fn fill(&mut self) {
        let size = |group: &Group| {
            let n = group.label.len();
            5 + group.names.len() * 3 + if edits(n) == 2 { n * (n + 1) / 2 } else { n }
        };
        let mut table = Vec::with_capacity(self.groups.iter().map(size).sum());
        for (place, group) in (0_u64..).zip(&self.groups) {
            let mut put = |hash: u32| table.push(u64::from(hash) << 32 | place);
            let label = &group.label;
            self.longest = self.longest.max(label.len());
            deletes(label, edits(label.len()), &mut put);
            put(hash(Space::Folded, folded(label).into_iter()));
            if label.len() >= WITHIN {
                put(hash(Space::Sound, sound(label).into_iter()));
            }
            let plain = label.iter().copied().filter(|octet| *octet != b'-');
            put(hash(Space::Folded, folded(&plain.clone().collect::<Vec<_>>()).into_iter()));
            put(hash(Space::Text, plain.clone()));
            put(hash(Space::Text, b"www".iter().copied().chain(plain.clone())));
            for name in &group.names {
                let Some(name) = self.names.get(*name as usize) else { continue };
                let suffix = behind_label(name).bytes().filter(|octet| !b".-".contains(octet));
                put(hash(Space::Text, plain.clone().chain(suffix)));
                if let Some((before, _)) = behind_label(name).rsplit_once('.') {
                    let before = before.bytes().filter(|octet| !b".-".contains(octet));
                    put(hash(Space::Text, plain.clone().chain(before)));
                }
            }
        }
        table.sort_unstable();
        table.dedup();
        let mut place = 0;
        self.buckets = (0..=1_u64 << BUCKET_BITS)
            .map(|bucket| {
                while table.get(place).is_some_and(|entry| entry >> (64 - BUCKET_BITS) < bucket) {
                    place += 1;
                }
                u32::try_from(place).unwrap_or(u32::MAX)
            })
            .collect();
        // Sixteen bits for each entry, in a power of two from 2^16 to 2^26.
        let bits = (table.len() * 16).next_power_of_two().trailing_zeros().clamp(16, 26);
        self.filter = vec![0; 1 << (bits - 6)];
        for entry in &table {
            let bit = entry >> (64 - bits);
            if let Some(word) =
                usize::try_from(bit / 64).ok().and_then(|at| self.filter.get_mut(at))
            {
                *word |= 1 << (bit % 64);
            }
        }
        let short = |entry: &u64| {
            let (hash, group) = (entry >> 32, entry & ((1 << GROUP_BITS) - 1));
            u32::try_from((hash << GROUP_BITS | group) & 0xffff_ffff).unwrap_or(0)
        };
        self.table = table.iter().map(short).collect();
        drop(table);
        let within = |group: &&(u32, &Group)| group.1.label.len() >= WITHIN;
        let patterns: Vec<(u32, &Group)> =
            (0..).zip(&self.groups).filter(|group| within(&group)).collect();
        let labels = patterns.iter().map(|(_, group)| &group.label);
        // A set of labels that cannot be built is not sought within names; everything else is.
        self.within =
            AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(labels).ok();
        self.patterns = patterns.into_iter().map(|(place, _)| place).collect();
    }

    /// The groups under a hash.
    pub(super) fn lookup(&self, hash: u32, found: &mut Vec<u32>) {
        let bits = self.filter.len().trailing_zeros() + 6;
        let bit = hash.checked_shr(32_u32.saturating_sub(bits)).unwrap_or(0);
        if self.filter.get(bit as usize / 64).is_none_or(|word| word >> (bit % 64) & 1 == 0) {
            return;
        }
        let bucket = (hash >> (32 - BUCKET_BITS)) as usize;
        let bounds = (self.buckets.get(bucket), self.buckets.get(bucket + 1));
        let (Some(&from), Some(&to)) = bounds else { return };
        let entries = self.table.get(from as usize..to as usize).unwrap_or_default();
        let rest = hash << GROUP_BITS >> GROUP_BITS;
        let same = entries.iter().filter(|entry| *entry >> GROUP_BITS == rest);
        found.extend(same.map(|entry| entry & ((1 << GROUP_BITS) - 1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_are_the_hashes_of_what_is_left() {
        let mut found = Vec::new();
        deletes(b"abcd", 2, &mut |hash| found.push(hash));
        let left = ["abcd", "bcd", "acd", "abd", "abc", "cd", "bd", "bc", "ad", "ac", "ab"];
        let mut want = left.map(|text| hash(Space::Text, text.bytes())).to_vec();
        found.sort_unstable();
        want.sort_unstable();
        assert_eq!(found, want);
        deletes(&[b'a'; 100], 2, &mut |hash| found.push(hash));
        assert_eq!(found.len(), want.len() + 1);
    }
}
