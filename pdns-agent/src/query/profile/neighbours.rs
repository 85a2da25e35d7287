//! The newest names near a subject: in the /24 or /48 around an address, and under a registrable domain.
//!
//! Part of the profile. Reads up to [`READ`] records of a prefix, and a whole domain unless its part of the
//! store holds more than [`MOST_ROWS`] records. The extent tells what was left unread
//! ([`Neighbourhood::extent`]).

use crate::name::{Name, NameBuf, suffix};
use crate::query::{
    By, Extent, Filter, Group, GroupKey, GroupSort, Grouping, Subject, groups, on_addresses,
    prefix_around,
};
use crate::record::StoredRecord;
use crate::store::{Kind, Reader, StoreError};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum number of records to read of a prefix, and for the addresses of names; they take 0.2 s.
const READ: usize = 50_000;
/// Maximum number of records in the parts of the store that hold the names below a domain; they take 2 s.
const MOST_ROWS: u64 = 2_000_000;
/// Number of labels of the longest possible name.
const LABELS: usize = 127;
/// Number of names shown beside other sections.
const SHOWN: usize = 10;
/// Number of names shown in a profile that has nothing else.
const ALONE: usize = 30;
/// Maximum number of prefixes around the addresses of one name.
const PREFIXES: usize = 2;

/// A neighbouring name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewName {
    /// The name.
    pub name: NameBuf,
    /// Its address that was seen last.
    pub address: Option<IpAddr>,
    /// The time of its first sighting, in seconds since 1970.
    pub first: u32,
}

/// The names in a prefix or below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbourhood {
    /// The prefix, or the names below the domain.
    pub whole: Subject,
    /// The newest names among the records read, newest first.
    pub newest: Vec<NewName>,
    /// Number of names among the records read.
    pub names: u64,
    /// The records that were read.
    pub extent: Extent,
}

/// Returns the prefixes around the latest addresses of rows, each once.
pub(super) fn prefixes(rows: &[StoredRecord]) -> Vec<IpNet> {
    let mut found = Vec::new();
    for net in rows.iter().filter_map(StoredRecord::address).map(prefix_around) {
        if found.len() < PREFIXES && !found.contains(&net) {
            found.push(net);
        }
    }
    found
}

/// Finds the newest names in a prefix, except those of rows that belong to the subject itself according to
/// `is_own`.
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
    // Ties sort by name: the map has that order, and the sort is stable.
    newest.sort_by_key(|neighbour| std::cmp::Reverse(neighbour.first));
    newest.truncate(SHOWN);
    let whole = Subject::from(net);
    Ok(Neighbourhood { whole, newest, names: count, extent: Extent::new(read, is_cut) })
}

/// Finds the newest names below the registrable domain of a name, except the name itself; `has_records` is true
/// if the name has records. Returns `None` for a public suffix.
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

/// Finds the newest names below a name.
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

/// Sets the last seen address of each neighbour, unless they have too many records to read.
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
