//! The subjects of a list that were seen here: the answer to "is any of this in our network?".
//!
//! Part of `query`. A name was seen if it has records or negative answers; a domain, if any name at or below it has;
//! an address, if a record points at it; a prefix, if a record points into it. Counts are answers.

use super::{Text, on_addresses};
use crate::indicator::Sighting;
use crate::name::{Name, NameBuf, ancestors};
use crate::record::StoredRecord;
use crate::sensors::SensorSet;
use crate::store::{Kind, Reader, StoreError};
use crate::tag::TagSubject;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

/// Number of names, or of domains, from which on all names of the store are read once.
const ONE_BY_ONE: usize = 20_000;
/// Number of domains from which on all names of the store are read once.
const DOMAINS_ONE_BY_ONE: usize = 16;
/// Number of addresses from which on all records of the store are read once.
const ADDRESSES_ONE_BY_ONE: usize = 20_000;
/// Names looked up at once.
const TOGETHER: usize = 4_096;

/// Sums of the rows of one subject.
#[derive(Clone, Default)]
struct SightingSum {
    count: u64,
    times: Option<(u32, u32)>,
    sensors: SensorSet,
}

impl SightingSum {
    fn add(&mut self, row: &StoredRecord) {
        let seen = &row.seen;
        self.count = self.count.saturating_add(seen.count);
        let (first, last) = self.times.unwrap_or((seen.time_first, seen.time_last));
        self.times = Some((first.min(seen.time_first), last.max(seen.time_last)));
        self.sensors.merge(&row.sensors);
    }
}

/// Returns the subjects that were seen, in the order in which they sort.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn sightings(
    store: &mut Reader<'_>,
    subjects: &[TagSubject],
) -> Result<BTreeMap<TagSubject, Sighting>, StoreError> {
    let mut sums: HashMap<TagSubject, SightingSum> = HashMap::new();
    names(store, subjects, &mut sums)?;
    addresses(store, subjects, &mut sums)?;
    let sensors = store.sensors()?;
    let sighting = |sum: SightingSum| {
        let (time_first, time_last) = sum.times.unwrap_or_default();
        let mut sensors: Vec<String> = sum.sensors.names(&sensors).map(str::to_owned).collect();
        sensors.sort_unstable();
        Sighting { count: sum.count, time_first, time_last, sensors }
    };
    Ok(sums.into_iter().map(|(subject, sum)| (subject, sighting(sum))).collect())
}

/// The names among the subjects.
struct WantedSubjects<'s> {
    own: HashSet<&'s str>,
    below: HashSet<&'s str>,
}

impl WantedSubjects<'_> {
    /// Returns true if a name is a subject, or at or below one.
    fn has(&self, name: Name<'_>) -> bool {
        self.own.contains(name.as_str())
            || (!self.below.is_empty() && ancestors(name).any(|text| self.below.contains(text)))
    }
}

fn names(
    store: &mut Reader<'_>,
    subjects: &[TagSubject],
    sums: &mut HashMap<TagSubject, SightingSum>,
) -> Result<(), StoreError> {
    let mut wanted = WantedSubjects { own: HashSet::new(), below: HashSet::new() };
    for subject in subjects {
        match subject {
            TagSubject::Name(name) => wanted.own.insert(name.as_str()),
            TagSubject::Below(name) => wanted.below.insert(name.as_str()),
            TagSubject::Net(_) => continue,
        };
    }
    let kinds = [Kind::Record, Kind::Negative];
    let mut candidates: HashSet<NameBuf> = HashSet::new();
    let is_one_by_one = wanted.own.len() <= ONE_BY_ONE && wanted.below.len() <= DOMAINS_ONE_BY_ONE;
    if is_one_by_one {
        let own = wanted.own.iter().filter_map(|text| Name::from_canonical(text).ok());
        candidates.extend(own.map(Name::to_buf));
    }
    let searches: Vec<Text> = if is_one_by_one {
        let apexes = wanted.below.iter().filter_map(|text| Name::from_canonical(text).ok());
        let text = |apex: Name<'_>| Text { at_or_below: Some(apex.to_buf()), ..Text::default() };
        apexes.map(text).collect()
    } else {
        vec![Text::default()]
    };
    for text in &searches {
        let apex = text.apex();
        store.names_of(&kinds, apex.as_ref().map(NameBuf::as_name), &mut |block| {
            text.search(block, &mut |name| {
                if wanted.has(name) {
                    candidates.insert(name.to_buf());
                }
                ControlFlow::Continue(())
            })
        })?;
    }
    let candidates: Vec<NameBuf> = candidates.into_iter().collect();
    for names in candidates.chunks(TOGETHER) {
        store.rows_by_names(&kinds, names, &mut |row| {
            let name = row.rrname.as_name();
            if wanted.own.contains(name.as_str()) {
                sums.entry(TagSubject::Name(row.rrname.clone())).or_default().add(&row);
            }
            let above = ancestors(name).filter(|text| wanted.below.contains(text));
            for apex in above.filter_map(|text| Name::from_canonical(text).ok()) {
                sums.entry(TagSubject::Below(apex.to_buf())).or_default().add(&row);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}

fn addresses(
    store: &mut Reader<'_>,
    subjects: &[TagSubject],
    sums: &mut HashMap<TagSubject, SightingSum>,
) -> Result<(), StoreError> {
    let nets: HashSet<_> = subjects.iter().filter_map(TagSubject::net).collect();
    if nets.len() <= ADDRESSES_ONE_BY_ONE {
        for net in nets {
            let (from, to) = (net.network(), net.broadcast());
            on_addresses(store, from, to, usize::MAX, &mut |row| {
                sums.entry(TagSubject::Net(net)).or_default().add(&row);
                ControlFlow::Continue(())
            })?;
        }
        return Ok(());
    }
    let lengths: HashSet<(bool, u8)> =
        nets.iter().map(|net| (net.addr().is_ipv4(), net.prefix_len())).collect();
    store.scan_records(Kind::Record, &mut |row| {
        let Some(address) = row.address().map(|address| address.to_canonical()) else {
            return ControlFlow::Continue(());
        };
        let fits = lengths.iter().filter(|(is_v4, _)| *is_v4 == address.is_ipv4());
        for net in fits.filter_map(|&(_, length)| ipnet::IpNet::new(address, length).ok()) {
            let net = net.trunc();
            if nets.contains(&net) {
                sums.entry(TagSubject::Net(net)).or_default().add(&row);
            }
        }
        ControlFlow::Continue(())
    })
}
