//! Group keys: the properties that rows can be added up by, and the key of each row.
//!
//! Part of `query/groups`. A key is borrowed until a group is created for it.

use super::Totals;
use crate::hash::{Hasher, Router};
use crate::name::{Name, NameBuf, suffix};
use crate::observation::Fact;
use crate::record::StoredRecord;
use crate::rr::RrType;
use crate::store::NameTotal;
use std::cmp::Ordering;
use std::net::IpAddr;

/// The property that rows of a group share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The owner name.
    Names,
    /// The registrable domain of the owner name; a public suffix stands for itself.
    Domains,
    /// The address that an A or AAAA record points at.
    Addresses,
    /// The record type; for a negative answer, the query type.
    RrTypes,
    /// The ancestor this many labels below a name: `Children("example.com", 1)` puts `a.b.example.com` under
    /// `b.example.com`. A name with fewer labels stands for itself.
    Children(NameBuf, usize),
    /// The number of labels between the owner name and a name above it.
    Depths(NameBuf),
}

/// Like [`GroupKey`], borrowed from the rows.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum KeyRef<'k> {
    Name(Name<'k>),
    Address(IpAddr),
    RrType(RrType),
    Depth(u32),
}

/// The key that the rows of a group share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// A name.
    Name(NameBuf),
    /// An address.
    Address(IpAddr),
    /// A type.
    RrType(RrType),
    /// A number of labels.
    Depth(u32),
}

impl By {
    /// Returns true if the owner name alone determines a row's key.
    pub(super) fn is_of_name(&self) -> bool {
        !matches!(self, Self::Addresses | Self::RrTypes)
    }

    /// Returns the name that all counted names lie below.
    pub(super) fn apex(&self) -> Option<&NameBuf> {
        match self {
            Self::Children(apex, _) | Self::Depths(apex) => Some(apex),
            _ => None,
        }
    }
}

impl GroupKey {
    pub(super) fn borrowed(&self) -> KeyRef<'_> {
        match self {
            Self::Name(name) => KeyRef::Name(name.as_name()),
            Self::Address(address) => KeyRef::Address(*address),
            Self::RrType(rrtype) => KeyRef::RrType(*rrtype),
            Self::Depth(depth) => KeyRef::Depth(*depth),
        }
    }
}

impl KeyRef<'_> {
    pub(super) fn to_key(self) -> GroupKey {
        match self {
            Self::Name(name) => GroupKey::Name(name.to_buf()),
            Self::Address(address) => GroupKey::Address(address),
            Self::RrType(rrtype) => GroupKey::RrType(rrtype),
            Self::Depth(depth) => GroupKey::Depth(depth),
        }
    }

    /// Compares with a key of the same variant.
    pub(super) fn compare(self, key: &GroupKey) -> Ordering {
        match (self, key) {
            (Self::Name(one), GroupKey::Name(other)) => one.cmp(&other.as_name()),
            (Self::Address(one), GroupKey::Address(other)) => one.cmp(other),
            (Self::RrType(one), GroupKey::RrType(other)) => one.cmp(other),
            (Self::Depth(one), GroupKey::Depth(other)) => one.cmp(other),
            (one, other) => one.to_key().cmp(other),
        }
    }

    /// Returns true if both are the same key.
    pub(super) fn is(self, key: &GroupKey) -> bool {
        match (self, key) {
            (Self::Name(one), GroupKey::Name(other)) => one == other.as_name(),
            (Self::Address(one), GroupKey::Address(other)) => one == *other,
            (Self::RrType(one), GroupKey::RrType(other)) => one == *other,
            (Self::Depth(one), GroupKey::Depth(other)) => one == *other,
            _ => false,
        }
    }

    /// Returns true if all rows with this key lie in one part of the store.
    pub(super) fn is_of_one_part(self, router: &Router) -> bool {
        match self {
            Self::Name(name) => router.partition_below(name).is_some(),
            _ => false,
        }
    }

    /// Returns a keyed hash, so that nobody on the wire can provoke collisions.
    fn hash(self, hasher: &Hasher) -> u64 {
        match self {
            Self::Name(name) => hasher.name(name),
            Self::Address(IpAddr::V4(address)) => hasher.octets(&address.octets()),
            Self::Address(IpAddr::V6(address)) => hasher.octets(&address.octets()),
            Self::RrType(rrtype) => hasher.octets(&rrtype.0.to_be_bytes()),
            Self::Depth(depth) => hasher.octets(&depth.to_be_bytes()),
        }
    }
}

/// The key of some rows of a name, and whether they are the first rows of that name with this key.
#[derive(Clone, Copy)]
pub(super) struct Keyed<'k> {
    pub(super) key: KeyRef<'k>,
    pub(super) hash: u64,
    pub(super) new_name: bool,
}

/// Finds the keys of rows that arrive name by name, and counts totals on the way.
pub(super) struct Keys<'b> {
    by: &'b By,
    /// Number of labels of the name above all counted names.
    above: usize,
    hasher: Hasher,
    name: Option<NameBuf>,
    /// Types of `name` met so far.
    types: Vec<RrType>,
    /// True if `name` is in the totals.
    counted: bool,
    pub(super) totals: Totals,
}

impl<'b> Keys<'b> {
    pub(super) fn new(by: &'b By, router: &Router) -> Self {
        let hasher = router.hasher().clone();
        let above = by.apex().map_or(0, |apex| apex.as_name().labels().count());
        Self {
            by,
            above,
            hasher,
            name: None,
            types: Vec::new(),
            counted: false,
            totals: Totals::default(),
        }
    }

    /// Returns the key of all rows of an owner if the name alone determines it; `None` if they do not count.
    pub(super) fn of_owner<'n>(&mut self, name: Name<'n>, rows: &NameTotal) -> Option<Keyed<'n>> {
        self.counted = false;
        let (key, depth) = self.of_name(name)?;
        Some(self.count(depth, key, rows, true))
    }

    /// Returns the key of the next row; `None` if it does not count.
    pub(super) fn of<'r>(&mut self, row: &'r StoredRecord) -> Option<Keyed<'r>> {
        let new_name = self.name.as_ref() != Some(&row.rrname);
        if new_name {
            self.name = Some(row.rrname.clone());
        }
        let rows = NameTotal::of(&row.seen);
        match self.by {
            By::Addresses | By::RrTypes => self.of_fact(new_name, row.fact.as_fact(), &rows),
            _ => {
                if new_name {
                    self.counted = false;
                }
                let (key, depth) = self.of_name(row.rrname.as_name())?;
                Some(self.count(depth, key, &rows, new_name))
            }
        }
    }

    /// Returns the key of a row by its fact. The name does not matter, only whether this is the first row of
    /// its name.
    pub(super) fn of_fact(
        &mut self,
        new_name: bool,
        fact: Fact<'_>,
        rows: &NameTotal,
    ) -> Option<Keyed<'static>> {
        if new_name {
            self.types.clear();
            self.counted = false;
        }
        if *self.by == By::Addresses {
            // An address occurs once per name.
            return Some(self.count(None, KeyRef::Address(fact.address()?), rows, true));
        }
        let rrtype = fact.rrtype();
        let new_name = !self.types.contains(&rrtype);
        if new_name {
            self.types.push(rrtype);
        }
        Some(self.count(None, KeyRef::RrType(rrtype), rows, new_name))
    }

    /// Adds rows to the totals, with the depth of their name if depths are counted.
    fn count<'k>(
        &mut self,
        depth: Option<u32>,
        key: KeyRef<'k>,
        rows: &NameTotal,
        new_name: bool,
    ) -> Keyed<'k> {
        let first_of_name = !std::mem::replace(&mut self.counted, true);
        let totals = &mut self.totals;
        totals.names += u64::from(first_of_name);
        totals.records += rows.records;
        totals.count += rows.count;
        if first_of_name && let Some(depth) = depth {
            *totals.depths.entry(depth).or_default() += 1;
        }
        Keyed { key, hash: key.hash(&self.hasher), new_name }
    }

    /// Returns the key of a name, if the name alone determines it, and its depth below the apex.
    fn of_name<'n>(&self, name: Name<'n>) -> Option<(KeyRef<'n>, Option<u32>)> {
        match self.by {
            By::Names => Some((KeyRef::Name(name), None)),
            By::Domains => Some((KeyRef::Name(suffix::registrable(name).unwrap_or(name)), None)),
            By::Children(apex, labels) => {
                let depth = self.depth(name, apex.as_name())?;
                // A name with no more labels stands for itself.
                let child =
                    if depth as usize <= *labels { name } else { name.suffix(self.above + labels) };
                Some((KeyRef::Name(child), Some(depth)))
            }
            By::Depths(apex) => {
                let depth = self.depth(name, apex.as_name())?;
                Some((KeyRef::Depth(depth), Some(depth)))
            }
            By::Addresses | By::RrTypes => None,
        }
    }

    /// Returns the number of labels that a name has below `apex`; `None` if it does not lie below it.
    fn depth(&self, name: Name<'_>, apex: Name<'_>) -> Option<u32> {
        if !name.is_at_or_below(apex) {
            return None;
        }
        let more = name.labels().count().saturating_sub(self.above);
        u32::try_from(more).ok().filter(|&more| more > 0)
    }
}
