//! Untagged names and addresses that share infrastructure with a threat: `pdns contrast`.
//!
//! Part of `query`. A threat has *values* that it may share with others: its addresses, those at the end of its
//! CNAMEs, the /24 or /48 around them, its name servers, its CNAME targets, its registrable domain. Everything
//! that shares a value is related through it. The fewer names share the value, the stronger the relation: its
//! score is 1 divided by their number, threats included. A value that more than [`MAX_SHARED`] names share is a
//! hosting service or a resolver's answer to everything; it is counted but not followed. Local and parked
//! values are not followed either, because good and bad names alike share them.
//!
//! First the values are collected (`contrast/values.rs`), then each is followed (`contrast/sharers.rs`). Both
//! steps are bounded, and the answer does not depend on the order in which the store returns rows.

mod sharers;
mod values;

use super::Extent;
use super::order::{MAX_SORTED, TopN};
use super::parked::{ParkedList, is_reserved};
use super::tags::TagSet;
use crate::name::Name;
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::str::FromStr;
use values::Values;

/// Maximum number of names that may share a value for it to be followed.
pub const MAX_SHARED: usize = 1_000;
/// Maximum number of relations held until they are sorted, about 200 MB of them.
const MAX_RELATIONS: usize = 1_000_000;

/// The kind of a shared value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationKind {
    /// An address.
    Address,
    /// A prefix: the /24 or /48 around an address of a threat, or a prefix that is tagged.
    Prefix,
    /// A name server.
    Nameserver,
    /// The target of a CNAME record, which may be the threat itself.
    Cname,
    /// A registrable domain.
    Domain,
}

impl RelationKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Address, Self::Prefix, Self::Nameserver, Self::Cname, Self::Domain];

    /// Returns the name of the kind, as typed and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Nameserver => "nameserver",
            Self::Cname => "cname",
            Self::Domain => "domain",
        }
    }
}

/// Text that is not a kind of relation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a relation: give address, prefix, nameserver, cname or domain")]
pub struct UnknownRelation(String);

impl FromStr for RelationKind {
    type Err = UnknownRelation;

    fn from_str(text: &str) -> Result<Self, UnknownRelation> {
        let known = Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownRelation(text.to_owned()))
    }
}

/// A value that a neighbour shares with threats. Ordered like an answer: most specific first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// Number of names that share the value, at least 1.
    pub shared: u64,
    /// The kind of the value.
    pub kind: RelationKind,
    /// The value.
    pub via: TagSubject,
    /// The threat that has it; the first in order when there are several.
    pub threat: TagSubject,
    /// Number of threats that have it.
    pub threats: u64,
}

/// An untagged name or address that shares a value with a threat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The name or address.
    pub subject: TagSubject,
    /// The values it shares, most specific first; never empty.
    pub relations: Vec<Relation>,
}

impl Neighbour {
    /// Returns the specificity of the most specific relation: 1 divided by the number of names that share the
    /// value.
    #[must_use]
    pub fn score(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_SHARED")]
        let shared = self.relations.first().map_or(1, |best| best.shared.max(1)) as f64;
        1.0 / shared
    }
}

/// The parts of the data that an answer is based on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Names of threats, in text order.
    pub names: Extent,
    /// Records of those names.
    pub records: Extent,
    /// Values that were followed.
    pub values: Extent,
    /// Relations that were found and ranked.
    pub relations: Extent,
}

impl Limits {
    /// Describes the parts that were not read completely: `200000 names of threats`.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        let what = [
            (self.names, "names of threats"),
            (self.records, "records of threats"),
            (self.values, "addresses, servers and domains of threats"),
            (self.relations, "relations"),
        ];
        let parts = what.into_iter().filter_map(|(extent, what)| Some((extent.first()?, what)));
        parts.map(|(read, what)| format!("{read} {what}")).collect()
    }
}

/// The answer, best neighbour first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contrast {
    /// The neighbours.
    pub neighbours: Vec<Neighbour>,
    /// True if the limit left any out.
    pub cut: bool,
    /// Number of values left out because more than [`MAX_SHARED`] names share them.
    pub common: u64,
    /// Number of values left out because they are local or parked.
    pub parked: u64,
    /// The parts of the data that the answer is based on.
    pub limits: Limits,
}

/// Parameters of [`contrast`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ContrastQuery<'q> {
    /// The subject to find neighbours of; `None` for all threats.
    pub of: Option<&'q TagSubject>,
    /// Only relations of this kind.
    pub kind: Option<RelationKind>,
    /// Addresses and name servers that do not count as shared values, in addition to local addresses; `None` to
    /// follow all of them.
    pub parked: Option<&'q ParkedList>,
    /// Maximum number of neighbours; 0 and values above [`MAX_SORTED`] mean [`MAX_SORTED`].
    pub limit: usize,
}

/// The subjects to find neighbours of.
enum Of<'a> {
    /// All threats.
    Threats,
    /// One subject, tagged or not.
    One(&'a TagSubject),
}

/// The query, with the tags that separate threats from neighbours.
struct ContrastScope<'a> {
    tags: &'a TagSet,
    of: Of<'a>,
    parked: Option<&'a ParkedList>,
}

impl<'a> ContrastScope<'a> {
    /// Returns the subjects to find neighbours of.
    fn subjects(&self) -> Vec<&'a TagSubject> {
        match self.of {
            Of::One(subject) => vec![subject],
            Of::Threats => {
                let threats = self.tags.tags().iter().filter(|tag| tag.kind == TagKind::Threat);
                threats.map(|tag| &tag.subject).collect()
            }
        }
    }

    /// Returns the nearest threat that contains a subject with these tags in effect.
    fn threat(&self, subject: &TagSubject, tags: &[&'a Tag]) -> Option<&'a TagSubject> {
        match self.of {
            Of::One(one) => subject.is_within(one).then_some(one),
            Of::Threats => {
                tags.iter().find(|tag| tag.kind == TagKind::Threat).map(|tag| &tag.subject)
            }
        }
    }

    /// Returns true if an address is local or parked and therefore relates nothing.
    fn is_parked_address(&self, address: IpAddr) -> bool {
        self.parked.is_some_and(|list| is_reserved(address) || list.has_address(address))
    }

    /// Returns true if an address is trusted, by a tag nearer than that of any threat.
    fn is_trusted_address(&self, address: IpAddr) -> bool {
        self.tags.of_address(address).iter().any(|tag| tag.kind == TagKind::Trust)
    }

    /// Returns true if a name server or CNAME target belongs to parked domains and therefore relates nothing.
    fn is_parked_host(&self, name: Name<'_>) -> bool {
        self.parked.is_some_and(|list| list.has_host(name))
    }

    /// Returns true if a subject may be a neighbour: it is untagged and not itself part of the query.
    fn is_candidate(&self, subject: &TagSubject) -> bool {
        let tags = self.tags.of_subject(subject);
        // A guess of the program itself hides nothing.
        tags.iter().all(|tag| tag.is_of_judge()) && self.threat(subject, &[]).is_none()
    }
}

/// One value, with the threats that have it.
struct SharedValue<'v> {
    /// Its index among all values.
    place: usize,
    kind: RelationKind,
    via: &'v TagSubject,
    threats: &'v BTreeSet<&'v TagSubject>,
}

/// The neighbours found so far. Each maps to the values it shares: the number of names that share the value,
/// and the value's index.
#[derive(Default)]
struct FoundRelations {
    neighbours: HashMap<TagSubject, Vec<(u32, usize)>>,
    count: usize,
    cut: bool,
    common: u64,
}

impl FoundRelations {
    /// Records that a neighbour shares a value with `shared` names, itself included.
    fn add(&mut self, subject: TagSubject, value: &SharedValue<'_>, shared: usize) {
        if self.count >= MAX_RELATIONS {
            self.cut = true;
            return;
        }
        self.count += 1;
        let shared = u32::try_from(shared.max(1)).unwrap_or(u32::MAX);
        self.neighbours.entry(subject).or_default().push((shared, value.place));
    }

    /// Returns the best `keep` neighbours and true if there are more: those with the most specific relation
    /// first, then those with the most relations.
    fn ranked(&mut self, values: &Values<'_>, keep: usize) -> (Vec<Neighbour>, bool) {
        let mut best = TopN::new(keep);
        for (subject, relations) in self.neighbours.drain() {
            let shared = relations.iter().map(|&(shared, _)| shared).min();
            best.offer((shared, Reverse(relations.len()), subject, relations));
        }
        let cut = best.overflowed();
        let all: Vec<SharedValue<'_>> = values.each().collect();
        let relation = |(shared, place): (u32, usize)| {
            let value = all.get(place)?;
            let threat = (*value.threats.first()?).clone();
            let (kind, via, threats) = (value.kind, value.via.clone(), value.threats.len() as u64);
            Some(Relation { shared: shared.into(), kind, via, threat, threats })
        };
        let neighbours = best.into_sorted().into_iter().map(|(_, _, subject, relations)| {
            let mut relations: Vec<Relation> = relations.into_iter().filter_map(relation).collect();
            relations.sort_unstable();
            Neighbour { subject, relations }
        });
        (neighbours.collect(), cut)
    }
}

/// Finds the untagged neighbours of one subject or of all threats.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn contrast(
    store: &mut Reader<'_>,
    tags: &TagSet,
    query: &ContrastQuery<'_>,
) -> Result<Contrast, StoreError> {
    let asked =
        ContrastScope { tags, of: query.of.map_or(Of::Threats, Of::One), parked: query.parked };
    let values = Values::collect(store, &asked)?;
    let mut found = FoundRelations::default();
    sharers::follow(store, &asked, &values, query.kind, &mut found)?;
    let keep = if query.limit == 0 { MAX_SORTED } else { query.limit.min(MAX_SORTED) };
    let relations = Extent::new(found.count, found.cut);
    let (neighbours, cut) = found.ranked(&values, keep);
    Ok(Contrast {
        neighbours,
        cut,
        common: found.common,
        parked: values.parked.len() as u64,
        limits: Limits { relations, ..values.limits },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names() {
        for kind in RelationKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("colour".parse::<RelationKind>().is_err());
    }

    #[test]
    fn what_was_read_in_part_is_named() {
        assert!(Limits::default().parts().is_empty());
        let limits = Limits { names: Extent::First(3), ..Limits::default() };
        assert_eq!(limits.parts(), ["3 names of threats"]);
    }
}
