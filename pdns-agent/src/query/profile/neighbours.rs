//! The newest names near a subject: in the /24 or /48 around an address, and under a registrable domain.
//!
//! Part of the profile. A prefix is read up to [`READ`] records, and a domain whole, unless its part of the store holds more than
//! [`MOST_ROWS`]. What that leaves unread is said ([`Neighbourhood::extent`]).

use crate::name::{Name, NameBuf, suffix};
use crate::query::{
    By, Extent, Filter, Group, GroupKey, GroupSort, Grouping, Subject, groups, on_addresses,
};
use crate::record::StoredRecord;
use crate::store::{Kind, Reader, StoreError};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// The most records that are read of a prefix, and for the addresses of names; they take 0.2 s.
const READ: usize = 50_000;
/// The most records of the parts of the store in which the names below a domain lie; they take 2 s.
const MOST_ROWS: u64 = 2_000_000;
/// Labels of the longest name.
const LABELS: usize = 127;
/// Names that are shown beside other things.
const SHOWN: usize = 10;
/// Names that are shown of a profile that has nothing else.
const ALONE: usize = 30;
/// Prefixes around the addresses of one name.
const PREFIXES: usize = 2;

/// A name nearby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewName {
    /// The name.
    pub name: NameBuf,
    /// An address of it, the latest seen.
    pub address: Option<IpAddr>,
    /// The time of its first sighting, in seconds since 1970.
    pub first: u32,
}

/// The names in a prefix or below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbourhood {
    /// The prefix, or the names below the domain.
    pub whole: Subject,
    /// The newest names in what was read, newest first.
    pub newest: Vec<NewName>,
    /// How many names there are in what was read.
    pub names: u64,
    /// The records that were read.
    pub extent: Extent,
}

/// The /24 or /48 around an address.
#[must_use]
pub fn prefix_around(address: IpAddr) -> Option<IpNet> {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

/// The prefixes around the latest addresses of rows, each once.
pub(super) fn prefixes(rows: &[StoredRecord]) -> Vec<IpNet> {
    let mut found = Vec::new();
    for net in rows.iter().filter_map(StoredRecord::address).filter_map(prefix_around) {
        if found.len() < PREFIXES && !found.contains(&net) {
            found.push(net);
        }
    }
    found
}

/// The newest names in a prefix, without those that `is_own` says belong to the subject itself.
pub(super) fn in_prefix(
    store: &mut Reader<'_>,
    net: IpNet,
    is_own: &dyn Fn(&StoredRecord) -> bool,
) -> Result<Neighbourhood, StoreError> {
    let mut names: BTreeMap<NameBuf, (NewName, u32)> = BTreeMap::new();
    let (mut read, mut is_cut) = (0, false);
    on_addresses(store, net.network(), net.broadcast(), READ + 1, &mut |row| {
        if read >= READ {
            is_cut = true;
            return ControlFlow::Break(());
        }
        read += 1;
        if !is_own(&row) {
            let (address, seen) = (row.address(), row.seen);
            let neighbour = || NewName { name: row.rrname.clone(), address, first: u32::MAX };
            let entry = names.entry(row.rrname.clone()).or_insert_with(|| (neighbour(), 0));
            entry.0.first = entry.0.first.min(seen.time_first);
            if seen.time_last >= entry.1 {
                (entry.0.address, entry.1) = (address, seen.time_last);
            }
        }
        ControlFlow::Continue(())
    })?;
    let count = names.len() as u64;
    let mut newest: Vec<NewName> = names.into_values().map(|(neighbour, _)| neighbour).collect();
    // Ties go by name: the map has them in that order, and the sort keeps it.
    newest.sort_by_key(|neighbour| std::cmp::Reverse(neighbour.first));
    newest.truncate(SHOWN);
    let whole = Subject::Addresses(net.network(), net.broadcast());
    Ok(Neighbourhood { whole, newest, names: count, extent: Extent::new(read, is_cut) })
}

/// The newest names below the registrable domain of a name, without the name itself, which `has_records` or has not;
/// `None` for a public suffix.
pub(super) fn under_domain(
    store: &mut Reader<'_>,
    name: Name<'_>,
    has_records: bool,
) -> Result<Option<Neighbourhood>, StoreError> {
    let Some(domain) = suffix::registrable(name) else { return Ok(None) };
    let mut around = newest_below(store, domain.to_buf(), SHOWN + 1)?;
    around.newest.retain(|neighbour| neighbour.name.as_name() != name);
    around.newest.truncate(SHOWN);
    if has_records && name != domain && around.extent.is_whole() {
        around.names = around.names.saturating_sub(1);
    }
    Ok(Some(around))
}

/// The newest names below a name.
pub(super) fn below(store: &mut Reader<'_>, apex: NameBuf) -> Result<Neighbourhood, StoreError> {
    newest_below(store, apex, ALONE)
}

fn newest_below(
    store: &mut Reader<'_>,
    apex: NameBuf,
    most: usize,
) -> Result<Neighbourhood, StoreError> {
    let mut rows = 0;
    for part in store.parts(Some(apex.as_name())) {
        rows += u64::from(store.rows_in(Kind::Record, part)?);
    }
    let whole = Subject::Below(apex.clone());
    if rows > MOST_ROWS {
        let (newest, names, extent) = (Vec::new(), 0, Extent::First(0));
        return Ok(Neighbourhood { whole, newest, names, extent });
    }
    let grouping = Grouping {
        by: By::Children(apex, LABELS),
        kind: Kind::Record,
        filter: Filter::default(),
        first_on: None,
    };
    let mut newest = Vec::new();
    let (_, totals) = groups(store, &grouping, GroupSort::First, most, &mut |group| {
        let Group { key, time_first, .. } = group;
        if let GroupKey::Name(name) = key {
            newest.push(NewName { name: name.clone(), address: None, first: *time_first });
        }
        ControlFlow::Continue(())
    })?;
    addresses(store, &mut newest)?;
    Ok(Neighbourhood { whole, newest, names: totals.names, extent: Extent::Whole })
}

/// Gives each neighbour its address that was seen last, unless they have too many records to read.
fn addresses(store: &mut Reader<'_>, neighbours: &mut [NewName]) -> Result<(), StoreError> {
    let names: Vec<NameBuf> = neighbours.iter().map(|one| one.name.clone()).collect();
    let mut latest: HashMap<NameBuf, (u32, IpAddr)> = HashMap::new();
    let mut read = 0;
    store.records_by_names(&names, &mut |row| {
        read += 1;
        if read > READ {
            return ControlFlow::Break(());
        }
        if let Some(address) = row.address() {
            let seen = (row.seen.time_last, address);
            latest.entry(row.rrname).and_modify(|known| *known = seen.max(*known)).or_insert(seen);
        }
        ControlFlow::Continue(())
    })?;
    if read <= READ {
        for one in neighbours {
            one.address = latest.get(&one.name).map(|&(_, address)| address);
        }
    }
    Ok(())
}
