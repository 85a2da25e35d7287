//! Which tags apply to a name, an address, a row.
//!
//! Part of `query`. A [`TagSet`] holds all tags of a store in order, and is asked for every row. What it needs to find those
//! of a name (`tags/names.rs`) or of an address (`tags/nets.rs`) it makes when it is first asked for one: nearly every
//! answer reads the tags, and many need one of the ways to them. Which of them count is decided in
//! `tags/precedence.rs`.

mod names;
mod nets;
mod precedence;

use crate::name::Name;
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
use ipnet::IpNet;
use names::Names;
pub(super) use nets::{Bits, Nets, TaggedNet};
use precedence::effective;
pub use precedence::{End, RowTags, is_overridden};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::OnceLock;

/// Tags, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct TagSet {
    generation: u64,
    /// In order: names, names with all below them, prefixes of IPv4, of IPv6.
    tags: Vec<Tag>,
    names: OnceLock<Names>,
    v4: OnceLock<Nets<u32>>,
    v6: OnceLock<Nets<u128>>,
}

/// By the tags; what was made to find them tells nothing.
impl PartialEq for TagSet {
    fn eq(&self, other: &Self) -> bool {
        (self.generation, &self.tags) == (other.generation, &other.tags)
    }
}

impl Eq for TagSet {}

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

    /// Whether a record with these tags is wanted: for its owner name or for its RDATA.
    #[must_use]
    pub fn admits_row(self, tags: &RowTags<'_>) -> bool {
        match self {
            Self::Kind(_) | Self::Any => self.admits(&tags.rrname) || self.admits(&tags.rdata),
            Self::None => tags.is_empty(),
        }
    }
}

/// Text that says nothing of tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of tag {0:?}: give threat, interest, trust, any or none")]
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
    pub fn load(store: &mut Reader<'_>) -> Result<Self, StoreError> {
        let tags = store.tags()?;
        Ok(Self { generation: tags.generation, tags: tags.tags, ..Self::default() })
    }

    /// Whether the tags of the store are still those of this set.
    ///
    /// # Errors
    /// As [`TagSet::load`].
    pub fn is_current(&self, store: &mut Reader<'_>) -> Result<bool, StoreError> {
        Ok(store.tags_generation()? == self.generation)
    }

    /// Makes tags ready to be asked.
    #[must_use]
    pub fn new(tags: Vec<Tag>) -> Self {
        let mut tags = tags;
        tags.sort_unstable();
        Self { tags, ..Self::default() }
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

    fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::of(&self.tags))
    }

    /// The tagged prefixes of IPv4.
    pub(super) fn v4(&self) -> &Nets<u32> {
        self.v4.get_or_init(|| self.family())
    }

    /// The tagged prefixes of IPv6.
    pub(super) fn v6(&self) -> &Nets<u128> {
        self.v6.get_or_init(|| self.family())
    }

    fn family<A: Bits>(&self) -> Nets<A> {
        let is_before = |tag: &Tag| match &tag.subject {
            TagSubject::Net(net) => A::WIDTH == 128 && matches!(net, IpNet::V4(_)),
            _ => true,
        };
        let first = self.tags.partition_point(is_before);
        Nets::of(self.tags.get(first..).unwrap_or_default(), first)
    }

    /// The tags in effect on a name: its own, then those of the domains that it is at or below, nearest first.
    #[must_use]
    pub fn of_name(&self, name: Name<'_>) -> Vec<&Tag> {
        effective(self.all_of_name(name))
    }

    /// The tags in effect on an address: its own, then those of the prefixes that hold it, longest first.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> Vec<&Tag> {
        effective(self.all_of_address(address))
    }

    /// The tags in effect on the two ends of a row.
    #[must_use]
    pub fn of_row(&self, row: &StoredRecord) -> RowTags<'_> {
        if self.is_empty() {
            return RowTags::default();
        }
        RowTags { rrname: self.of_name(row.rrname.as_name()), rdata: self.of_rdata(row) }
    }

    /// The tags in effect on the address or name that a row points at.
    fn of_rdata(&self, row: &StoredRecord) -> Vec<&Tag> {
        let FactBuf::Record(rdata) = &row.fact else { return Vec::new() };
        match rdata.as_rdata().target() {
            Target::V4(address) => self.of_address(address.into()),
            Target::V6(address) => self.of_address(address.into()),
            Target::Name(name) => self.of_name(name.as_name()),
            Target::Octets => Vec::new(),
        }
    }

    /// The tags in effect on all of a subject, nearest first.
    #[must_use]
    pub fn of_subject(&self, subject: &TagSubject) -> Vec<&Tag> {
        effective(self.all_of_subject(subject))
    }

    /// All tags that hold for a subject, those that a nearer one overrides as well, nearest first.
    #[must_use]
    pub fn all_of_subject(&self, subject: &TagSubject) -> Vec<&Tag> {
        match subject {
            TagSubject::Name(name) => self.all_of_name(name.as_name()),
            TagSubject::Below(name) => self.above(name.as_name()),
            TagSubject::Net(net) => {
                let found = self.all_of_address(net.network()).into_iter();
                found.filter(|tag| subject.is_within(&tag.subject)).collect()
            }
        }
    }

    fn all_of_name(&self, name: Name<'_>) -> Vec<&Tag> {
        if self.is_empty() {
            return Vec::new();
        }
        let own = self.names().own(&self.tags, name.as_str());
        own.iter().chain(self.above(name)).collect()
    }

    /// The tags on domains that a name is at or below, nearest first.
    fn above(&self, name: Name<'_>) -> Vec<&Tag> {
        let names = self.names();
        if !names.has_below() {
            return Vec::new();
        }
        ancestors(name).flat_map(|ancestor| names.below(&self.tags, ancestor)).collect()
    }

    fn all_of_address(&self, address: IpAddr) -> Vec<&Tag> {
        let mut found = Vec::new();
        let each = |place: usize| found.extend(self.tags.get(place));
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4().holding(address.to_bits(), each),
            IpAddr::V6(address) => self.v6().holding(address.to_bits(), each),
        }
        found
    }
}

/// A name and all that it is below, the root not, as canonical text; nearest first.
pub(in crate::query) fn ancestors(name: Name<'_>) -> impl Iterator<Item = &str> {
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
