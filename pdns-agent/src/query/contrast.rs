//! Untagged names and addresses that share infrastructure with a threat: `pdns contrast`.
//!
//! Part of `query`. A threat has *values* that it may share with others: its addresses, those at the end of its CNAMEs,
//! the /24 or /48 around them, its name servers, its CNAME targets, its registrable domain. All that share a value are
//! related by it. A relation says the more the fewer names share the value: its score is 1 over their number, those
//! of threats included. A value that more than [`MAX_SHARED`] names share is a hosting service or a resolver's
//! answer to everything; it is counted and not followed. So is one that is local or parked, which bad and good share alike.
//!
//! First the values are collected (`contrast/values.rs`), then each is followed (`contrast/sharers.rs`). Both
//! are bounded, and the answer does not depend on the order in which the store hands anything out.

mod sharers;
mod values;

use super::Extent;
use super::order::{MAX_SORTED, Smallest};
use super::parked::{List, is_reserved};
use super::tags::TagSet;
use crate::name::Name;
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind, TagSubject};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::str::FromStr;
use values::Values;

/// The most names that may share a value for it to be followed.
pub const MAX_SHARED: usize = 1_000;
/// The most relations that are held until they are sorted, some 200 MB of them.
const MAX_RELATIONS: usize = 1_000_000;

/// The kind of value that is shared.
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
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Address, Self::Prefix, Self::Nameserver, Self::Cname, Self::Domain];

    /// Its name, as it is typed and shown.
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

/// Text that names no kind of relation.
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

/// A value that a neighbour shares with threats. Ordered as an answer is: the most specific first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// How many names share the value, at least 1.
    pub shared: u64,
    /// What sort of value it is.
    pub kind: RelationKind,
    /// The value.
    pub via: TagSubject,
    /// The threat that has it; the first in order when there are several.
    pub threat: TagSubject,
    /// How many threats have it.
    pub threats: u64,
}

/// An untagged name or address that shares something with a threat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The name or address.
    pub subject: TagSubject,
    /// What it shares, the most specific first; never empty.
    pub relations: Vec<Relation>,
}

impl Neighbour {
    /// How specific the most specific relation is: 1 over the number of names that share the value.
    #[must_use]
    pub fn score(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_SHARED")]
        let shared = self.relations.first().map_or(1, |best| best.shared.max(1)) as f64;
        1.0 / shared
    }
}

/// How much was read for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The names of threats that were looked at, in order of their text.
    pub names: Extent,
    /// Their records.
    pub records: Extent,
    /// The values that were followed.
    pub values: Extent,
    /// The relations that were found and ranked.
    pub relations: Extent,
}

impl Limits {
    /// What was not read in whole: `200000 names of threats`.
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

/// The answer, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contrast {
    /// The neighbours.
    pub neighbours: Vec<Neighbour>,
    /// Whether the limit left any out.
    pub cut: bool,
    /// Values that more than [`MAX_SHARED`] names share, which are left out.
    pub common: u64,
    /// Values that are local or parked, which are left out.
    pub parked: u64,
    /// What of the store it stands on.
    pub limits: Limits,
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContrastQuery<'q> {
    /// Whose neighbours; `None` for those of all threats.
    pub of: Option<&'q TagSubject>,
    /// Only relations of this kind.
    pub kind: Option<RelationKind>,
    /// Addresses and name servers that relate nothing, beside local addresses; `None` to follow those, too.
    pub parked: Option<&'q List>,
    /// The most neighbours; 0 or more than [`MAX_SORTED`] stand for that many.
    pub limit: usize,
}

/// Whose neighbours are looked for.
enum Of<'a> {
    /// Those of all threats.
    Threats,
    /// Those of one subject, tagged or not.
    One(&'a TagSubject),
}

/// The question, with what tells threat from neighbour.
struct Asked<'a> {
    tags: &'a TagSet,
    of: Of<'a>,
    parked: Option<&'a List>,
}

impl<'a> Asked<'a> {
    /// The subjects that are asked about.
    fn subjects(&self) -> Vec<&'a TagSubject> {
        match self.of {
            Of::One(subject) => vec![subject],
            Of::Threats => {
                let threats = self.tags.tags().iter().filter(|tag| tag.kind == TagKind::Threat);
                threats.map(|tag| &tag.subject).collect()
            }
        }
    }

    /// The threat that something with these tags in effect is part of: the nearest one.
    fn threat(&self, subject: &TagSubject, tags: &[&'a Tag]) -> Option<&'a TagSubject> {
        match self.of {
            Of::One(one) => subject.is_within(one).then_some(one),
            Of::Threats => {
                tags.iter().find(|tag| tag.kind == TagKind::Threat).map(|tag| &tag.subject)
            }
        }
    }

    /// Whether an address relates nothing: it is local or parked.
    fn is_parked_address(&self, address: IpAddr) -> bool {
        self.parked.is_some_and(|list| is_reserved(address) || list.has_address(address))
    }

    /// Whether an address is trusted, by a tag nearer than that of any threat.
    fn is_trusted_address(&self, address: IpAddr) -> bool {
        self.tags.of_address(address).iter().any(|tag| tag.kind == TagKind::Trust)
    }

    /// Whether a name server or the target of a CNAME relates nothing: parked domains have it.
    fn is_parked_host(&self, name: Name<'_>) -> bool {
        self.parked.is_some_and(|list| list.has_host(name))
    }

    /// Whether something may be a neighbour: it is untagged, and not what is asked about.
    fn is_candidate(&self, subject: &TagSubject) -> bool {
        let tags = self.tags.of_subject(subject);
        tags.is_empty() && self.threat(subject, &[]).is_none()
    }
}

/// One value that threats have, with those threats.
struct Value<'v> {
    /// Its place among all values.
    place: usize,
    kind: RelationKind,
    via: &'v TagSubject,
    threats: &'v BTreeSet<&'v TagSubject>,
}

/// What the neighbours share: of each value its place and by how many names it is shared.
#[derive(Default)]
struct Found {
    neighbours: HashMap<TagSubject, Vec<(u32, usize)>>,
    count: usize,
    cut: bool,
    common: u64,
}

impl Found {
    /// Notes that a neighbour shares a value with `shared` names, itself included.
    fn add(&mut self, subject: TagSubject, value: &Value<'_>, shared: usize) {
        if self.count >= MAX_RELATIONS {
            self.cut = true;
            return;
        }
        self.count += 1;
        let shared = u32::try_from(shared.max(1)).unwrap_or(u32::MAX);
        self.neighbours.entry(subject).or_default().push((shared, value.place));
    }

    /// The best `keep` neighbours and whether there are more: those with the most specific relation first, then those
    /// with the most relations.
    fn ranked(&mut self, values: &Values<'_>, keep: usize) -> (Vec<Neighbour>, bool) {
        let mut best = Smallest::new(keep);
        for (subject, relations) in self.neighbours.drain() {
            let shared = relations.iter().map(|&(shared, _)| shared).min();
            best.offer((shared, Reverse(relations.len()), subject, relations));
        }
        let cut = best.overflowed();
        let all: Vec<Value<'_>> = values.each().collect();
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

/// The untagged neighbours of one subject, or of all threats.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn contrast(
    store: &mut Reader<'_>,
    tags: &TagSet,
    query: &ContrastQuery<'_>,
) -> Result<Contrast, StoreError> {
    let asked = Asked { tags, of: query.of.map_or(Of::Threats, Of::One), parked: query.parked };
    let values = Values::collect(store, &asked)?;
    let mut found = Found::default();
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
