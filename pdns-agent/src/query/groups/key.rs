//! What rows are added up by, and each row's key.
//!
//! Part of `query/groups`. Where the key comes of the name alone, it is worked out once for all rows of the name.

use super::Totals;
use crate::hash::Router;
use crate::name::{Name, NameBuf, suffix};
use crate::rr::RrType;
use crate::store::{FactBuf, OwnerSum, Row};
use std::net::IpAddr;

/// What rows must share to be added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The owner name.
    Names,
    /// The registrable domain of the owner name; a public suffix stands for itself.
    Domains,
    /// The address that an A or AAAA record points at.
    Addresses,
    /// The type; of a negative answer, the type asked for.
    RrTypes,
    /// So many labels below a name: `Children("example.com", 1)` has `a.b.example.com` below `b.example.com`. A
    /// name with fewer labels stands for itself.
    Children(NameBuf, usize),
    /// How many labels lie between the owner name and a name above it.
    Depths(NameBuf),
}

/// What the rows of a group share.
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
    /// Whether a row's key comes of its owner name alone.
    pub(super) fn is_of_name(&self) -> bool {
        !matches!(self, Self::Addresses | Self::RrTypes)
    }

    /// The name that all names that count lie below.
    pub(super) fn apex(&self) -> Option<&NameBuf> {
        match self {
            Self::Children(apex, _) | Self::Depths(apex) => Some(apex),
            _ => None,
        }
    }
}

impl GroupKey {
    /// Whether all rows with this key lie in one part of the store.
    pub(super) fn is_of_one_part(&self, router: &Router) -> bool {
        match self {
            Self::Name(name) => router.partition_below(name.as_name()).is_some(),
            _ => false,
        }
    }

    /// A hash that nobody on the wire can aim at.
    pub(super) fn hash(&self, router: &Router) -> u64 {
        let hasher = router.hasher();
        match self {
            Self::Name(name) => hasher.name(name.as_name()),
            Self::Address(IpAddr::V4(address)) => hasher.octets(&address.octets()),
            Self::Address(IpAddr::V6(address)) => hasher.octets(&address.octets()),
            Self::RrType(rrtype) => hasher.octets(&rrtype.0.to_be_bytes()),
            Self::Depth(depth) => hasher.octets(&depth.to_be_bytes()),
        }
    }
}

/// The key of some rows of a name, and whether they are the first of that name with it.
pub(super) struct Keyed<'k> {
    pub(super) key: &'k GroupKey,
    pub(super) hash: u64,
    pub(super) of_one_part: bool,
    pub(super) new_name: bool,
}

/// Finds the keys of rows that come name by name, and counts what there is on the way.
pub(super) struct Keys<'b> {
    by: &'b By,
    router: Router,
    name: Option<NameBuf>,
    /// The key of `name`, or of the row.
    key: Option<(GroupKey, u64, bool)>,
    /// The types of `name` that were met.
    types: Vec<RrType>,
    /// Whether `name` is in the totals.
    counted: bool,
    pub(super) totals: Totals,
}

impl<'b> Keys<'b> {
    pub(super) fn new(by: &'b By, router: Router) -> Self {
        let (name, key, types, totals) = (None, None, Vec::new(), Totals::default());
        Self { by, router, name, key, types, counted: false, totals }
    }

    /// The key of all rows of an owner, where the name alone decides; `None` when they do not count.
    pub(super) fn of_owner(&mut self, name: Name<'_>, rows: &OwnerSum) -> Option<Keyed<'_>> {
        self.counted = false;
        self.key = self.of_name(name).map(|key| self.known(key));
        self.count(name, rows, true)
    }

    /// The key of the next row; `None` when it does not count.
    pub(super) fn of(&mut self, row: &Row) -> Option<Keyed<'_>> {
        let mut new_name = self.name.as_ref() != Some(&row.rrname);
        if new_name {
            self.types.clear();
            self.counted = false;
            self.key = self.of_name(row.rrname.as_name()).map(|key| self.known(key));
            self.name = Some(row.rrname.clone());
        }
        match self.by {
            By::Addresses => {
                // An address stands once below a name.
                new_name = true;
                self.key = row.address().map(GroupKey::Address).map(|key| self.known(key));
            }
            By::RrTypes => {
                let rrtype = match &row.fact {
                    FactBuf::Record(rdata) => rdata.rrtype,
                    FactBuf::Negative { qtype, .. } => *qtype,
                };
                new_name = !self.types.contains(&rrtype);
                if new_name {
                    self.types.push(rrtype);
                }
                self.key = Some(self.known(GroupKey::RrType(rrtype)));
            }
            _ => {}
        }
        self.count(row.rrname.as_name(), &OwnerSum::of(&row.seen), new_name)
    }

    /// Adds rows to the totals, if they have a key.
    fn count(&mut self, name: Name<'_>, rows: &OwnerSum, new_name: bool) -> Option<Keyed<'_>> {
        let (key, hash, of_one_part) = self.key.as_ref()?;
        let first_of_name = !std::mem::replace(&mut self.counted, true);
        let totals = &mut self.totals;
        totals.names += u64::from(first_of_name);
        totals.records += rows.records;
        totals.count += rows.count;
        if first_of_name && let Some(apex) = self.by.apex() {
            *totals.depths.entry(depth(name, apex.as_name())).or_default() += 1;
        }
        Some(Keyed { key, hash: *hash, of_one_part: *of_one_part, new_name })
    }

    fn known(&self, key: GroupKey) -> (GroupKey, u64, bool) {
        let (hash, of_one_part) = (key.hash(&self.router), key.is_of_one_part(&self.router));
        (key, hash, of_one_part)
    }

    /// The key that a name has, where the name alone decides.
    fn of_name(&self, name: Name<'_>) -> Option<GroupKey> {
        match self.by {
            By::Names => Some(GroupKey::Name(name.to_buf())),
            By::Domains => Some(GroupKey::Name(suffix::registrable(name).unwrap_or(name).to_buf())),
            By::Children(apex, labels) => {
                let above = apex.as_name().labels().count();
                (depth(name, apex.as_name()) > 0)
                    .then(|| GroupKey::Name(name.suffix(above + labels).to_buf()))
            }
            By::Depths(apex) => {
                let depth = depth(name, apex.as_name());
                (depth > 0).then_some(GroupKey::Depth(depth))
            }
            By::Addresses | By::RrTypes => None,
        }
    }
}

/// How many labels a name has more than one above it; 0 when it does not lie below that.
fn depth(name: Name<'_>, apex: Name<'_>) -> u32 {
    if !name.is_at_or_below(apex) {
        return 0;
    }
    let more = name.labels().count() - apex.labels().count();
    u32::try_from(more).unwrap_or(0)
}
