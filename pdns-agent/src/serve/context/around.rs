//! What is new near a subject: in the /24 or /48 around an address, and under a registrable domain.
//!
//! Part of the page. Both are glances: a prefix is read up to [`READ`] rows; under a domain, the end of the
//! list of names is read, which the store keeps in the order in which they came.

use crate::name::{Name, NameBuf, suffix};
use crate::query::{Subject, Text};

use crate::store::{Row, Store, StoreError};
use ipnet::IpNet;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// The most rows that are read of a prefix.
const READ: usize = 150;
/// Blocks of 64 KiB of the list of names that are read of its end.
const BLOCKS: usize = 32;
/// Names of them that are looked up.
const LOOKED_UP: usize = 48;
/// The most records that are read of these.
const RECORDS: usize = 600;
/// Neighbours that are shown beside other things.
const SHOWN: usize = 10;
/// Names that are shown of a page that has nothing else.
const ALONE: usize = 30;
/// Prefixes around the addresses of one name.
const PREFIXES: usize = 2;

/// A name nearby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) name: NameBuf,
    /// An address of it, the latest seen.
    pub(super) address: Option<IpAddr>,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) count: u64,
}

/// Neighbours of one sort, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Around {
    /// What they lie in.
    pub(super) whole: Subject,
    pub(super) newest: Vec<Neighbour>,
    /// How many names were met.
    pub(super) met: usize,
    /// There are more names than were looked at.
    pub(super) is_cut: bool,
}

/// The /24 or /48 around an address.
pub(super) fn prefix(address: IpAddr) -> Option<IpNet> {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

/// The prefixes around the latest addresses of rows, each once.
pub(super) fn prefixes(rows: &[Row]) -> Vec<IpNet> {
    let mut found = Vec::new();
    for net in rows.iter().filter_map(Row::address).filter_map(prefix) {
        if found.len() < PREFIXES && !found.contains(&net) {
            found.push(net);
        }
    }
    found
}

/// The newest names in a prefix, without those that `is_own` says belong to the subject itself.
pub(super) fn in_prefix(
    store: &mut Store,
    net: IpNet,
    is_own: &dyn Fn(&Row) -> bool,
) -> Result<Around, StoreError> {
    let mut met = Met::default();
    let (mut read, mut is_cut) = (0, false);
    store.of_addresses(net.network(), net.broadcast(), READ + 1, &mut |row| {
        if read >= READ {
            is_cut = true;
            return ControlFlow::Break(());
        }
        read += 1;
        if !is_own(&row) {
            met.add(&row);
        }
        ControlFlow::Continue(())
    })?;
    Ok(met.around(Subject::Addresses(net.network(), net.broadcast()), is_cut, SHOWN))
}

/// The newest names below the registrable domain of a name, without the name itself; `None` for a public suffix.
pub(super) fn under_domain(
    store: &mut Store,
    name: Name<'_>,
) -> Result<Option<Around>, StoreError> {
    let Some(domain) = suffix::registrable(name) else { return Ok(None) };
    below(store, domain.to_buf(), Some(name)).map(Some)
}

/// The newest names below a name, without `but`.
pub(super) fn below(
    store: &mut Store,
    apex: NameBuf,
    but: Option<Name<'_>>,
) -> Result<Around, StoreError> {
    let text = Text { below: Some(apex.clone()), ..Text::default() };
    let mut latest: VecDeque<NameBuf> = VecDeque::new();
    let (mut blocks, mut is_cut) = (0, false);
    store.latest_names(Some(apex.as_name()), BLOCKS, &mut |block| {
        blocks += 1;
        // Within a block the newest stand last, and an earlier block has none newer.
        let room = LOOKED_UP - latest.len().min(LOOKED_UP);
        let mut here: VecDeque<NameBuf> = VecDeque::new();
        let flow = text.search(block, &mut |name| {
            if but != Some(name) {
                if here.len() >= room {
                    here.pop_front();
                    is_cut = true;
                }
                here.push_back(name.to_buf());
            }
            ControlFlow::Continue(())
        });
        latest.extend(here.into_iter().rev());
        if latest.len() >= LOOKED_UP { ControlFlow::Break(()) } else { flow }
    })?;
    is_cut |= blocks >= BLOCKS || latest.len() >= LOOKED_UP;
    let names: Vec<NameBuf> = latest.into();
    let mut met = Met::default();
    let mut read = 0;
    store.of_names(&names, &mut |row| {
        read += 1;
        met.add(&row);
        if read < RECORDS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let shown = if but.is_some() { SHOWN } else { ALONE };
    Ok(met.around(Subject::Below(apex), is_cut || read >= RECORDS, shown))
}

/// Names that were met, with the sum of their rows.
#[derive(Default)]
struct Met(BTreeMap<NameBuf, Neighbour>);

impl Met {
    fn add(&mut self, row: &Row) {
        let seen = &row.seen;
        let known = self.0.entry(row.rrname.clone()).or_insert_with(|| Neighbour {
            name: row.rrname.clone(),
            address: None,
            first: u32::MAX,
            last: 0,
            count: 0,
        });
        if let Some(address) = row.address()
            && (known.address.is_none() || seen.time_last >= known.last)
        {
            known.address = Some(address);
        }
        known.first = known.first.min(seen.time_first);
        known.last = known.last.max(seen.time_last);
        known.count = known.count.saturating_add(seen.count.into());
    }

    fn around(self, whole: Subject, is_cut: bool, shown: usize) -> Around {
        let mut newest: Vec<Neighbour> = self.0.into_values().collect();
        let met = newest.len();
        // Ties go by name: the map has them in that order, and the sort keeps it.
        newest.sort_by_key(|neighbour| std::cmp::Reverse(neighbour.first));
        newest.truncate(shown);
        Around { whole, newest, met, is_cut }
    }
}
