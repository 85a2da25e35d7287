//! Tags that apply to a name, an address or a row.
//!
//! Part of `query`. A [`TagSet`] holds all tags of a store in order, and is consulted for every row. It builds
//! its indexes by name (`tags/names.rs`) and by address (`tags/nets.rs`) on first use: nearly every query reads
//! the tags, and many need only one of the indexes. `tags/precedence.rs` decides which tags are in effect.

mod names;
mod nets;
mod precedence;

use crate::name::{Name, NameBuf, ancestors};
use crate::observation::Fact;
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
use ipnet::IpNet;
use names::Names;
pub(super) use nets::{Bits, Nets, TaggedNet};
pub use precedence::{End, RowTags, TagRules};
use precedence::{effective, overriding};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// All tags of a store, with indexes.
#[derive(Clone, Debug, Default)]
pub struct TagSet {
    /// Of the tags and of the indicators.
    generation: [u64; 2],
    /// Sorted: names, names with everything below them, IPv4 prefixes, IPv6 prefixes.
    tags: Vec<Tag>,
    names: OnceLock<Names>,
    v4: OnceLock<Nets<u32>>,
    v6: OnceLock<Nets<u128>>,
    rules: Arc<TagRules>,
    /// True if the store has any tag or indicator, though it may not be in this set.
    is_of_tagged_store: bool,
}

/// Compares the tags; the indexes follow from them.
impl PartialEq for TagSet {
    fn eq(&self, other: &Self) -> bool {
        (self.generation, &self.tags, &self.rules) == (other.generation, &other.tags, &other.rules)
    }
}

impl Eq for TagSet {}

/// Condition on the tags of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// A tag of this kind.
    Kind(TagKind),
    /// Any tag.
    Any,
    /// No tag.
    None,
}

impl TagFilter {
    /// Returns true if something with these tags passes.
    #[must_use]
    pub fn admits(self, tags: &[&Tag]) -> bool {
        match self {
            Self::Kind(kind) => tags.iter().any(|tag| tag.kind == kind),
            Self::Any => !tags.is_empty(),
            Self::None => tags.is_empty(),
        }
    }

    /// Returns true if a record with these tags passes, by its owner name or by its RDATA.
    #[must_use]
    pub fn admits_row(self, tags: &RowTags<'_>) -> bool {
        match self {
            Self::Kind(_) | Self::Any => self.admits(&tags.rrname) || self.admits(&tags.rdata),
            Self::None => tags.is_empty(),
        }
    }
}

/// Text that is not a tag filter.
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
    /// Reads all tags and indicators of a store.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn load(store: &mut Reader<'_>) -> Result<Self, StoreError> {
        Self::load_if(store, &|_| true)
    }

    /// Reads the tags and indicators of a store that `is_wanted` accepts.
    ///
    /// # Errors
    /// As [`TagSet::load`].
    pub fn load_if(
        store: &mut Reader<'_>,
        is_wanted: &dyn Fn(&Tag) -> bool,
    ) -> Result<Self, StoreError> {
        let rules = TagRules::of_store(store);
        let indicators = store.indicators_generation()?;
        let tags = store.tags()?;
        let generation = [tags.generation, indicators];
        let mut tags = tags.tags;
        tags.retain(is_wanted);
        let own = tags.len();
        store.all_indicators(now(), &mut |indicator| {
            let tag = Tag::from(indicator);
            if is_wanted(&tag) {
                tags.push(tag);
            }
        })?;
        if tags.len() > own {
            tags.sort_unstable();
        }
        Ok(Self { generation, tags, rules, ..Self::default() })
    }

    /// Reads the tags and indicators on addresses and prefixes.
    ///
    /// # Errors
    /// As [`TagSet::load`].
    pub fn of_addresses(store: &mut Reader<'_>) -> Result<Self, StoreError> {
        Self::load_if(store, &|tag| tag.subject.net().is_some())
    }

    /// Reads the tags and indicators that apply to some subjects. The set says nothing about others.
    ///
    /// # Errors
    /// As [`TagSet::load`].
    pub fn of_subjects(
        store: &mut Reader<'_>,
        subjects: &[TagSubject],
    ) -> Result<Self, StoreError> {
        let rules = TagRules::of_store(store);
        let (mut tags, has_tags) = store.tags_of(subjects)?;
        let (indicators, has_indicators) = store.indicators_of(subjects, now())?;
        tags.extend(indicators.into_iter().map(Tag::from));
        tags.sort_unstable();
        let is_of_tagged_store = has_tags || has_indicators;
        Ok(Self { tags, rules, is_of_tagged_store, ..Self::default() })
    }

    /// Returns true if this set still equals the tags and indicators of the store.
    ///
    /// # Errors
    /// As [`TagSet::load`].
    pub fn is_current(&self, store: &mut Reader<'_>) -> Result<bool, StoreError> {
        Ok([store.tags_generation()?, store.indicators_generation()?] == self.generation)
    }

    /// Returns the set of the tags and indicators from some sources, and of what analysts trust.
    #[must_use]
    pub fn of_sources(&self, sources: &[String]) -> Self {
        let is_kept = |tag: &&Tag| {
            sources.contains(&tag.source) || (tag.is_own() && tag.kind == TagKind::Trust)
        };
        let tags = self.tags.iter().filter(is_kept).cloned().collect();
        let rules = Arc::clone(&self.rules);
        Self { generation: self.generation, tags, rules, ..Self::default() }
    }

    /// Returns the set without the tags and indicators from a source.
    #[must_use]
    pub fn without_source(self, source: &str) -> Self {
        if self.tags.iter().all(|tag| tag.source != source) {
            return self;
        }
        let Self { generation, mut tags, rules, is_of_tagged_store, .. } = self;
        tags.retain(|tag| tag.source != source);
        Self { generation, tags, rules, is_of_tagged_store, ..Self::default() }
    }

    /// Creates a set from tags.
    #[must_use]
    pub fn new(tags: Vec<Tag>) -> Self {
        let mut tags = tags;
        tags.sort_unstable();
        Self { tags, ..Self::default() }
    }

    /// Creates a set from tags, with other rules than none.
    #[must_use]
    pub(super) fn with_rules(tags: Vec<Tag>, rules: TagRules) -> Self {
        Self { rules: Arc::new(rules), ..Self::new(tags) }
    }

    /// Returns all tags, by subject and kind.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Returns true if the store has any tag or indicator.
    #[must_use]
    pub fn is_of_tagged_store(&self) -> bool {
        self.is_of_tagged_store || !self.tags.is_empty()
    }

    /// Returns true if there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::of(&self.tags))
    }

    /// Returns the tagged IPv4 prefixes.
    pub(super) fn v4(&self) -> &Nets<u32> {
        self.v4.get_or_init(|| self.family())
    }

    /// Returns the tagged IPv6 prefixes.
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

    /// Returns the tags in effect on a name: its own, then those of the domains that it is at or below, nearest
    /// first.
    #[must_use]
    pub fn of_name(&self, name: Name<'_>) -> Vec<&Tag> {
        effective(self.all_of_name(name), Some(name), &self.rules)
    }

    /// Returns the tags in effect on an address: its own, then those of the prefixes that contain it, longest
    /// first.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> Vec<&Tag> {
        effective(self.all_of_address(address), None, &self.rules)
    }

    /// Returns the tags in effect on the two ends of a row.
    #[must_use]
    pub fn of_row(&self, row: &StoredRecord) -> RowTags<'_> {
        if self.is_empty() {
            return RowTags::default();
        }
        RowTags { rrname: self.of_name(row.rrname.as_name()), rdata: self.of_rdata(row) }
    }

    /// Returns true if there is any tag on an owner name, or on the address or name that its record points at, whether others
    /// override it or not.
    #[must_use]
    pub fn has_any_on(&self, rrname: Name<'_>, fact: Fact<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let is_target_tagged = || match fact {
            Fact::Negative { .. } => false,
            Fact::Record(rdata) => match rdata.target() {
                Target::V4(address) => !self.all_of_address(address.into()).is_empty(),
                Target::V6(address) => !self.all_of_address(address.into()).is_empty(),
                Target::Name(name) => !self.all_of_name(name.as_name()).is_empty(),
                Target::Octets => false,
            },
        };
        !self.all_of_name(rrname).is_empty() || is_target_tagged()
    }

    /// Returns the tags in effect on the address or name that a row points at.
    fn of_rdata(&self, row: &StoredRecord) -> Vec<&Tag> {
        let FactBuf::Record(rdata) = &row.fact else { return Vec::new() };
        match rdata.as_rdata().target() {
            Target::V4(address) => self.of_address(address.into()),
            Target::V6(address) => self.of_address(address.into()),
            Target::Name(name) => self.of_name(name.as_name()),
            Target::Octets => Vec::new(),
        }
    }

    /// Returns the tags in effect on all of a subject, nearest first.
    #[must_use]
    pub fn of_subject(&self, subject: &TagSubject) -> Vec<&Tag> {
        let name = subject.name().map(|name| name.as_name());
        effective(self.all_of_subject(subject), name, &self.rules)
    }

    /// Returns the tag that overrides another on a subject, if any; `all` are those that apply to the subject, nearest
    /// first.
    #[must_use]
    pub fn overriding<'t>(
        &self,
        tag: &Tag,
        all: &[&'t Tag],
        subject: &TagSubject,
    ) -> Option<&'t Tag> {
        overriding(tag, all, subject.name().map(|name| name.as_name()), &self.rules)
    }

    /// Returns the analyst's trust that overrides a feed's threat on a subject, if any does.
    pub(super) fn silencing(&self, subject: &TagSubject) -> Option<&Tag> {
        let all = self.all_of_subject(subject);
        if all.is_empty() {
            return None;
        }
        let threat = Tag::new(TagKind::Threat, subject.clone());
        let threat = Tag { listing: Some(Box::default()), ..threat };
        self.overriding(&threat, &all, subject)
    }

    /// Returns all tags that apply to a subject, including overridden ones, nearest first.
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

    /// Returns the tags on domains that a name is at or below, nearest first.
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

/// Returns the subjects whose tags apply to a row: its owner name, and the address or name in its RDATA.
pub fn subjects_of_row(row: &StoredRecord) -> impl Iterator<Item = TagSubject> {
    let rdata = match &row.fact {
        FactBuf::Record(rdata) => match rdata.as_rdata().target() {
            Target::V4(address) => Some(TagSubject::address(address.into())),
            Target::V6(address) => Some(TagSubject::address(address.into())),
            Target::Name(name) => Some(TagSubject::Name(name)),
            Target::Octets => None,
        },
        FactBuf::Negative { .. } => None,
    };
    std::iter::once(TagSubject::Name(row.rrname.clone())).chain(rdata)
}

impl TagRules {
    /// The shipped rules.
    #[must_use]
    pub fn shipped() -> Self {
        let lines = include_str!("tags/never_silence.txt").lines();
        let never_silence = lines
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| NameBuf::parse(line).ok())
            .collect();
        Self { never_silence }
    }

    /// The rules of a store: the shipped ones, and those of its settings.
    #[must_use]
    pub fn of_store(store: &Reader<'_>) -> Arc<Self> {
        static SHIPPED: LazyLock<Arc<TagRules>> = LazyLock::new(|| Arc::new(TagRules::shipped()));
        let mut rules = Arc::clone(&SHIPPED);
        let more = &store.options().never_silence;
        if !more.is_empty() {
            Arc::make_mut(&mut rules).never_silence.extend(more.iter().cloned());
        }
        rules
    }
}

/// Returns the time, in seconds since the epoch: indicators end and age.
pub(super) fn now() -> u32 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
