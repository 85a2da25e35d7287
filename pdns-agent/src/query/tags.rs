//! Which tags apply to a name, an address, a row.
//!
//! Part of `query`. A [`TagSet`] is made of all tags of a store once, and then asked for every row: by a look
//! into one map per label of a name, or per length of the prefixes that are tagged.

use crate::name::Name;
use crate::rdata::Target;
use crate::store::{FactBuf, Row, Store, StoreError, Tag, TagKind, TagSubject};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;

/// The tags of one subject, by kind: places in [`TagSet::tags`], or [`NONE`].
type Marks = [u32; TagKind::ALL.len()];
const NONE: u32 = u32::MAX;

/// Tags, ready to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet {
    generation: u64,
    tags: Vec<Tag>,
    names: HashMap<Box<str>, Marks>,
    below: HashMap<Box<str>, Marks>,
    v4: Nets,
    v6: Nets,
}

/// Tagged prefixes of one family; addresses are numbers, of as many bits as an address has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Nets {
    /// The lengths that there are, longest first.
    lengths: Vec<u8>,
    marks: HashMap<(u8, u128), Marks>,
}

/// Which rows are wanted, by their tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// Those with a tag of this kind.
    Kind(TagKind),
    /// Those with any tag.
    Any,
    /// Those without one.
    None,
}

impl TagFilter {
    /// Whether something with these tags is wanted.
    #[must_use]
    pub fn admits(self, tags: &[&Tag]) -> bool {
        match self {
            Self::Kind(kind) => tags.iter().any(|tag| tag.kind == kind),
            Self::Any => !tags.is_empty(),
            Self::None => tags.is_empty(),
        }
    }
}

/// Text that says nothing of tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of tag: give threat, interest, trust, any or none")]
pub struct UnknownTagFilter(String);

impl FromStr for TagFilter {
    type Err = UnknownTagFilter;

    fn from_str(text: &str) -> Result<Self, UnknownTagFilter> {
        match text.to_ascii_lowercase().as_str() {
            "any" => Ok(Self::Any),
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Kind).map_err(|_| UnknownTagFilter(text.to_owned())),
        }
    }
}

impl TagSet {
    /// Reads the tags of a store.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn load(store: &mut Store) -> Result<Self, StoreError> {
        let tags = store.tags()?;
        Ok(Self { generation: tags.generation, ..Self::new(tags.tags) })
    }

    /// Whether the tags of the store are still those of this set.
    ///
    /// # Errors
    /// As [`TagSet::load`].
    pub fn is_current(&self, store: &mut Store) -> Result<bool, StoreError> {
        Ok(store.tags_generation()? == self.generation)
    }

    /// Makes tags ready to be asked.
    #[must_use]
    pub fn new(tags: Vec<Tag>) -> Self {
        let mut set = Self::default();
        for (place, tag) in (0..NONE).zip(&tags) {
            let marks = match &tag.subject {
                TagSubject::Name(name) => marks(&mut set.names, name.as_str().into()),
                TagSubject::Below(name) => marks(&mut set.below, name.as_str().into()),
                TagSubject::Net(net) => {
                    let (nets, bits, _) = set.nets(net.network());
                    let length = net.prefix_len();
                    if let Err(at) = nets.lengths.binary_search_by(|known| length.cmp(known)) {
                        nets.lengths.insert(at, length);
                    }
                    marks(&mut nets.marks, (length, bits))
                }
            };
            if let Some(mark) = marks.get_mut(tag.kind as usize) {
                *mark = place;
            }
        }
        Self { tags, ..set }
    }

    /// All tags, by subject and kind.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The prefixes of an address's family, the address as a number, and how many bits it has.
    fn nets(&mut self, address: IpAddr) -> (&mut Nets, u128, u8) {
        match address {
            IpAddr::V4(address) => (&mut self.v4, address.to_bits().into(), 32),
            IpAddr::V6(address) => (&mut self.v6, address.to_bits(), 128),
        }
    }

    /// The tags of a name: its own, then those of the domains that it is at or below, nearest first.
    #[must_use]
    pub fn of_name(&self, name: Name<'_>) -> Vec<&Tag> {
        let mut found = Vec::new();
        if !self.names.is_empty() {
            self.collect(self.names.get(name.as_str()), &mut found);
        }
        if !self.below.is_empty() {
            for ancestor in ancestors(name) {
                self.collect(self.below.get(ancestor), &mut found);
            }
        }
        found
    }

    /// The tags of an address: its own, then those of the prefixes that hold it, longest first.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> Vec<&Tag> {
        let (nets, bits, width) = match address.to_canonical() {
            IpAddr::V4(address) => (&self.v4, u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (&self.v6, address.to_bits(), 128),
        };
        let mut found = Vec::new();
        for &length in &nets.lengths {
            self.collect(nets.marks.get(&(length, network(bits, length, width))), &mut found);
        }
        found
    }

    /// The tags of a row: those of its owner name, then those of the address or name that it points at;
    /// each once.
    #[must_use]
    pub fn of_row(&self, row: &Row) -> Vec<&Tag> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut found = self.of_name(row.rrname.as_name());
        if let FactBuf::Record(rdata) = &row.fact {
            let more = match rdata.as_rdata().target() {
                Target::V4(address) => self.of_address(address.into()),
                Target::V6(address) => self.of_address(address.into()),
                Target::Name(name) => self.of_name(name.as_name()),
                Target::Octets => Vec::new(),
            };
            for tag in more {
                if !found.iter().any(|known| std::ptr::eq(*known, tag)) {
                    found.push(tag);
                }
            }
        }
        found
    }

    /// The tags that apply to all of a subject.
    #[must_use]
    pub fn of_subject(&self, subject: &TagSubject) -> Vec<&Tag> {
        match subject {
            TagSubject::Name(name) => self.of_name(name.as_name()),
            TagSubject::Below(_) => {
                self.tags.iter().filter(|tag| subject.is_within(&tag.subject)).collect()
            }
            TagSubject::Net(net) => {
                let found = self.of_address(net.network()).into_iter();
                found.filter(|tag| subject.is_within(&tag.subject)).collect()
            }
        }
    }

    /// The tagged addresses and prefixes, in the order of [`TagSet::tags`].
    pub(super) fn tagged_nets(&self) -> impl Iterator<Item = (&IpNet, &Tag)> {
        self.tags.iter().filter_map(|tag| match &tag.subject {
            TagSubject::Net(net) => Some((net, tag)),
            _ => None,
        })
    }

    fn collect<'s>(&'s self, marks: Option<&Marks>, found: &mut Vec<&'s Tag>) {
        for &mark in marks.into_iter().flatten().filter(|&&mark| mark != NONE) {
            found.extend(self.tags.get(mark as usize));
        }
    }
}

fn marks<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Marks>, key: K) -> &mut Marks {
    map.entry(key).or_insert([NONE; TagKind::ALL.len()])
}

/// The bits of an address that a prefix of this length has.
fn network(bits: u128, length: u8, width: u8) -> u128 {
    let host = u32::from(width.saturating_sub(length));
    bits.checked_shr(host).and_then(|bits| bits.checked_shl(host)).unwrap_or(0)
}

/// A name and all that it is below, the root not, as canonical text; nearest first.
pub(super) fn ancestors(name: Name<'_>) -> impl Iterator<Item = &str> {
    let text = name.as_str();
    let mut escaped = false;
    let starts = text.bytes().enumerate().filter_map(move |(at, octet)| {
        let separates = octet == b'.' && !escaped;
        escaped = octet == b'\\' && !escaped;
        separates.then_some(at + 1)
    });
    let ancestors = std::iter::once(0).chain(starts).filter_map(|at| text.get(at..));
    ancestors.filter(|text| !text.is_empty() && *text != ".")
}

#[cfg(test)]
mod tests;
