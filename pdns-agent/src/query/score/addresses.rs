//! Names on the addresses of a subject.

use super::Scorer;
use super::facts::{AddressFacts, AddressUse, Facts};
use crate::analyze::{SetVerdict, scored_domain};
use crate::name::{NameBuf, suffix};
use crate::query::MAX_SHARED_DOMAINS;
use crate::query::{DAY, on_addresses};
use crate::store::{Reader, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Least number of domains that appeared together for a verdict on them as a set.
const LEAST_SET: usize = 5;
/// Largest number of names of a set.
const MOST_SET: usize = 200;

/// Names with the time of their first sighting on an address.
pub(super) type FirstOn = Vec<(NameBuf, u32)>;

/// Reads the names on addresses, and returns those on addresses through which evidence spreads.
pub(super) fn addresses(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    addresses: &[IpAddr],
    facts: &mut Facts,
) -> Result<FirstOn, StoreError> {
    let mut all = Vec::new();
    for &address in addresses {
        let listed = AddressUse::listed(scorer, address);
        if listed != AddressUse::Host && facts.subject.name().is_some() {
            // Nothing spreads through it.
            facts.addresses.push(AddressFacts {
                address,
                names: Vec::new(),
                domains: 0,
                use_: listed,
            });
            continue;
        }
        let (mut names, mut domains) = (BTreeMap::<NameBuf, u32>::new(), BTreeSet::new());
        let (most, mut read, mut is_cut) = (scorer.reach.rows_on_address, 0, false);
        on_addresses(store, address, address, most + 1, &mut |row| {
            is_cut = read >= most;
            if is_cut || domains.len() > MAX_SHARED_DOMAINS {
                return ControlFlow::Break(());
            }
            read += 1;
            let name = row.rrname.as_name();
            domains.insert(suffix::registrable(name).unwrap_or(name).to_buf());
            let first = names.entry(row.rrname).or_insert(u32::MAX);
            *first = (*first).min(row.seen.time_first);
            ControlFlow::Continue(())
        })?;
        facts.records += read;
        if is_cut {
            facts.notes.push(format!("only the first {most} rows of {address} were read"));
        }
        let only = names.keys().cloned().collect();
        let one = AddressFacts::new(scorer, address, only, domains.len());
        if one.spreads() {
            all.extend(names);
        }
        facts.addresses.push(one);
    }
    Ok(all)
}

/// Judges the names that appeared within a day of `at` as a set; `None` if they are of too few domains.
pub(super) fn set_of_the_day(scorer: &Scorer, names: &FirstOn, at: u32) -> Option<SetVerdict> {
    let mut domains = BTreeMap::new();
    for (name, _) in names.iter().filter(|(_, first)| first.abs_diff(at) < DAY) {
        let domain = scored_domain(name.as_name()).to_buf();
        if domains.len() < MOST_SET {
            domains.entry(domain).or_insert_with(|| name.clone());
        }
    }
    if domains.len() < LEAST_SET {
        return None;
    }
    let names: Vec<NameBuf> = domains.into_keys().collect();
    Some(scorer.model.classify_set(&names))
}
