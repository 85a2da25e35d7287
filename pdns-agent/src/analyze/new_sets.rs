//! Names that belong together: new on one day on one address, or failed (NXDOMAIN) in one burst across suffixes.
//!
//! A set is due when it has grown enough since it was judged last. Memory is bounded: the oldest sets are forgotten
//! first, and an address with very many new domains is shared hosting or a CDN, and no set.

use crate::name::{NameBuf, suffix};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

/// Smallest number of domains of a set on an address.
const LEAST_ON_ADDRESS: usize = 5;
/// New domains a day from which on an address is shared by strangers.
const SHARED: usize = 160;
/// Addresses that are remembered, and domains on all of them; a domain takes some hundred octets.
const MAX_ADDRESSES: usize = 100_000;
const MAX_DOMAINS: usize = 500_000;
/// Seconds of one burst.
const BURST: u32 = 600;
/// Smallest number of generated names, and of suffixes, of a burst.
const LEAST_IN_BURST: usize = 8;
const LEAST_SUFFIXES: usize = 3;
/// The part of the names of a burst that must look generated: one in so many. Ordinary names do at most once in 20.
const PART: usize = 5;
/// Generated names of a burst that are kept.
const MAX_IN_BURST: usize = 1_000;
/// Bursts that are remembered: those of a day.
const MAX_BURSTS: usize = 144;

/// Property that the names of a set share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKey {
    /// An address, on a day since the epoch.
    Address(IpAddr, u32),
    /// The time of failed queries: the first second of the burst.
    Burst(u32),
}

/// A set that should be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSet {
    /// Property that its names share.
    pub key: SetKey,
    /// Its registrable domains.
    pub names: Vec<NameBuf>,
    /// Number of domains that were seen with them, which they are part of.
    pub of: usize,
}

#[derive(Debug)]
struct OnAddress {
    domains: BTreeSet<NameBuf>,
    /// Number of domains at which it is judged.
    due: usize,
}

#[derive(Debug)]
struct Burst {
    generated: BTreeSet<NameBuf>,
    suffixes: BTreeSet<String>,
    all: usize,
    due: usize,
}

/// The sets of the last days.
#[derive(Debug, Default)]
pub struct NewSets {
    addresses: HashMap<(IpAddr, u32), OnAddress>,
    order: VecDeque<(IpAddr, u32)>,
    /// Number of domains on all addresses.
    domains: usize,
    bursts: BTreeMap<u32, Burst>,
}

impl NewSets {
    /// Adds a registrable domain that was new on a day and has this address.
    pub fn on_address(&mut self, address: IpAddr, day: u32, domain: &NameBuf) -> Option<DueSet> {
        let key = (address, day);
        let set = self.addresses.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            OnAddress { domains: BTreeSet::new(), due: LEAST_ON_ADDRESS }
        });
        if set.domains.len() < SHARED && set.domains.insert(domain.clone()) {
            self.domains += 1;
        }
        let count = set.domains.len();
        let is_due = count >= set.due && count < SHARED;
        let due = is_due.then(|| {
            set.due = count * 2;
            let names = set.domains.iter().cloned().collect();
            DueSet { key: SetKey::Address(address, day), names, of: count }
        });
        while self.order.len() > MAX_ADDRESSES || self.domains > MAX_DOMAINS {
            let Some(oldest) = self.order.pop_front() else { break };
            let removed = self.addresses.remove(&oldest);
            self.domains -= removed.map_or(0, |set| set.domains.len());
        }
        due
    }

    /// Adds a registrable domain of which a query failed for the first time, at a time in seconds since the epoch.
    pub fn failed(&mut self, time: u32, domain: &NameBuf, is_generated: bool) -> Option<DueSet> {
        let start = time - time % BURST;
        let burst = self.bursts.entry(start).or_insert_with(|| Burst {
            generated: BTreeSet::new(),
            suffixes: BTreeSet::new(),
            all: 0,
            due: LEAST_IN_BURST,
        });
        burst.all += 1;
        let mut due = None;
        if is_generated && burst.generated.len() < MAX_IN_BURST {
            burst.generated.insert(domain.clone());
            let suffix = public_suffix(domain);
            if burst.suffixes.len() < LEAST_SUFFIXES {
                burst.suffixes.insert(suffix.to_owned());
            }
            let count = burst.generated.len();
            let is_due = count >= burst.due
                && burst.suffixes.len() >= LEAST_SUFFIXES
                && count * PART >= burst.all;
            due = is_due.then(|| {
                burst.due = count * 2;
                let names = burst.generated.iter().cloned().collect();
                DueSet { key: SetKey::Burst(start), names, of: burst.all }
            });
        }
        while self.bursts.len() > MAX_BURSTS {
            self.bursts.pop_first();
        }
        due
    }
}

impl NewSets {
    /// Has a set judged again when it next grows.
    pub fn judge_again(&mut self, key: &SetKey) {
        match key {
            SetKey::Address(address, day) => {
                if let Some(set) = self.addresses.get_mut(&(*address, *day)) {
                    set.due = LEAST_ON_ADDRESS;
                }
            }
            SetKey::Burst(start) => {
                if let Some(burst) = self.bursts.get_mut(start) {
                    burst.due = LEAST_IN_BURST;
                }
            }
        }
    }
}

/// The text behind the first label of a registrable domain.
fn public_suffix(domain: &NameBuf) -> &str {
    let name = domain.as_name();
    if suffix::is_public(name) {
        return name.as_str();
    }
    name.suffix(name.labels().count().saturating_sub(1)).as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn new_domains_on_one_address_are_a_set_that_is_judged_as_it_doubles() {
        let mut sets = NewSets::default();
        let address = "192.0.2.1".parse().unwrap();
        let mut due = Vec::new();
        for number in 0..1_000 {
            let domain = name(&format!("n{number}.com"));
            due.extend(sets.on_address(address, 7, &domain).map(|set| set.names.len()));
            assert_eq!(sets.on_address(address, 7, &domain), None);
            assert_eq!(sets.on_address(address, 8, &name("n.com")), None);
        }
        assert_eq!(due, [5, 10, 20, 40, 80], "and from then on it is shared hosting");
    }

    #[test]
    fn a_burst_needs_generated_names_below_several_suffixes() {
        let mut sets = NewSets::default();
        // Below one suffix, or among many ordinary names, nothing is due.
        for number in 0..50 {
            assert_eq!(sets.failed(10, &name(&format!("g{number}.com")), true), None);
            assert_eq!(sets.failed(600, &name(&format!("o{number}.com")), false), None);
        }
        for (number, suffix) in ["net", "org", "biz", "co.uk"].iter().cycle().take(12).enumerate() {
            assert_eq!(sets.failed(601, &name(&format!("g{number}.{suffix}")), true), None);
        }
        let due = sets.failed(601, &name("last.info"), true).unwrap();
        assert_eq!((due.key, due.names.len(), due.of), (SetKey::Burst(600), 13, 63));
        let due = sets.failed(11, &name("g.net"), true);
        assert_eq!(due, None);
        let due = sets.failed(12, &name("g.org"), true).unwrap();
        assert_eq!(due.names.len(), 52);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut sets = NewSets::default();
        for number in 0..200_000_u32 {
            let address = IpAddr::V4(number.into());
            sets.on_address(address, 7, &name("a.com"));
            sets.failed(number * BURST, &name("a.com"), true);
        }
        assert!(sets.addresses.len() == MAX_ADDRESSES && sets.order.len() == MAX_ADDRESSES);
        // A flood puts as many domains on each address as are not yet shared hosting.
        for number in 0..600_000_u32 {
            let address = IpAddr::V4((number / 150).into());
            sets.on_address(address, 8, &name(&format!("n{number}.com")));
        }
        let domains: usize = sets.addresses.values().map(|set| set.domains.len()).sum();
        assert_eq!((domains, sets.order.len()), (sets.domains, sets.addresses.len()));
        assert!((400_000..=MAX_DOMAINS).contains(&domains), "{domains}");
        assert_eq!(sets.bursts.len(), MAX_BURSTS);
    }
}
