//! Reads what the store has about a subject, within bounds.

use super::Scorer;
use super::addresses::{addresses, set_of_the_day};
use super::facts::Facts;
use crate::analyze::{MIMIC_LIMIT, TunnelAggregate, TunnelSighting, content_strength, is_rare};
use crate::name::{Name, NameBuf};
use crate::observation::{Outcome, Seen};
use crate::query::follow::alias;
use crate::query::names::pass;
use crate::query::owner::Owner;
use crate::query::{DAY, Subject, Text, subjects_of_row};
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::sensors::SensorSet;
use crate::store::{Kind, Reader, StoreError};
use crate::tag::TagSubject;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum length of a chain of CNAMEs that is followed.
const MAX_CHAIN: usize = 8;
/// Maximum number of addresses and names that a name points at whose tags are read.
const MAX_TARGETS: usize = 2_000;
/// Days in which addresses count for fast flux, as seconds.
const FLUX: u32 = 7 * DAY;

/// Bounds of what is read from the store for one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Maximum number of rows of the name, of its CNAMEs and of its domain.
    pub rows: usize,
    /// Maximum number of names below the domain, the first in text order; 0 reads none, and saves a walk over the
    /// names of the part of the store that the domain is in.
    pub siblings: usize,
    /// Maximum number of addresses whose names are read, the latest seen.
    pub addresses: usize,
    /// Maximum number of rows read of one address.
    pub rows_on_address: usize,
}

impl Default for Reach {
    fn default() -> Self {
        Self { rows: 2_000, siblings: 2_000, addresses: 8, rows_on_address: 1_000 }
    }
}

/// Collects what is known of an address.
pub(super) fn address(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    address: IpAddr,
) -> Result<Facts, StoreError> {
    let mut facts = Facts::of(Subject::Addresses(address, address));
    let days = addresses(store, scorer, &[address], &mut facts)?;
    facts.first = days.iter().map(|(_, first)| *first).min();
    facts.set = facts.first.and_then(|_| {
        // The day with most new names.
        let latest = days.iter().map(|(_, first)| *first).max()?;
        set_of_the_day(scorer, &days, latest)
    });
    Ok(facts)
}

/// Collects what is known of a name.
pub(super) fn name(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    name: Name<'_>,
) -> Result<Facts, StoreError> {
    let mut facts = Facts::new(name);
    let own = rows_of(store, &[name.to_buf()], scorer.reach.rows, &mut facts)?;
    let domain = facts.domain.clone().filter(|domain| domain.as_name() != name);
    let apex = match &domain {
        Some(domain) => {
            rows_of(store, std::slice::from_ref(domain), scorer.reach.rows, &mut facts)?
        }
        None => Vec::new(),
    };
    let chain = chain(store, scorer, &own, &mut facts)?;
    let with_addresses: Vec<&StoredRecord> = own.iter().chain(&chain).collect();
    let latest = latest_addresses(&with_addresses);
    let read: Vec<IpAddr> =
        latest.iter().take(scorer.reach.addresses).map(|&(address, _)| address).collect();
    if latest.len() > read.len() {
        facts.notes.push(format!(
            "names were read on {} of {} addresses",
            read.len(),
            latest.len()
        ));
    }
    facts.targets = targets(name, &with_addresses);
    facts.flux = flux(&latest);
    facts.ttl = median_ttl(&with_addresses);
    facts.hosts.extend(own.iter().chain(&apex).filter_map(name_server));
    facts.hosts.sort_unstable();
    facts.hosts.dedup();
    let own_first = first(own.iter().chain(&apex));
    siblings(store, scorer, &mut facts)?;
    facts.first = [facts.first, own_first].into_iter().flatten().min();
    for row in own.iter().chain(&apex) {
        offer_text(&mut facts, row);
    }
    let days = addresses(store, scorer, &read, &mut facts)?;
    if let Some(own) = first(own.iter()) {
        facts.set = set_of_the_day(scorer, &days, own);
    }
    facts.same_owner = same_owner(store, scorer, name, &facts)?;
    Ok(facts)
}

/// Reads the rows of names, at most so many.
fn rows_of(
    store: &mut Reader<'_>,
    names: &[NameBuf],
    most: usize,
    facts: &mut Facts,
) -> Result<Vec<StoredRecord>, StoreError> {
    let (mut rows, mut is_cut) = (Vec::new(), false);
    store.rows_by_names(&[Kind::Record, Kind::Negative], names, &mut |row| {
        is_cut = rows.len() >= most;
        if is_cut {
            return ControlFlow::Break(());
        }
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    if is_cut && let [one] = names {
        facts.notes.push(format!("only the first {most} rows of {one} were read"));
    }
    facts.records += rows.len();
    Ok(rows)
}

/// Reads the rows at the end of CNAMEs.
fn chain(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    own: &[StoredRecord],
    facts: &mut Facts,
) -> Result<Vec<StoredRecord>, StoreError> {
    let (mut found, mut met) = (Vec::new(), BTreeSet::new());
    let mut due: Vec<NameBuf> = own.iter().filter_map(alias).collect();
    for _ in 0..MAX_CHAIN {
        due.retain(|target| met.len() < MAX_CHAIN * 4 && met.insert(target.clone()));
        if due.is_empty() {
            break;
        }
        facts.hosts.extend(due.iter().cloned());
        let rows = rows_of(store, &due, scorer.reach.rows, facts)?;
        due = rows.iter().filter_map(alias).collect();
        found.extend(rows);
    }
    Ok(found)
}

/// Returns the target of an NS record.
fn name_server(row: &StoredRecord) -> Option<NameBuf> {
    row_target(row).filter(|_| row.fact.as_fact().rrtype() == RrType::NS)
}

/// Returns the time of the first record; if there is none, of the first negative answer.
fn first<'r>(rows: impl Iterator<Item = &'r StoredRecord> + Clone) -> Option<u32> {
    let is_record = |row: &&StoredRecord| matches!(row.fact, FactBuf::Record(_));
    let records = rows.clone().filter(is_record).map(|row| row.seen.time_first).min();
    records.or_else(|| rows.map(|row| row.seen.time_first).min())
}

/// Returns addresses with the time of their last sighting, the latest first.
fn latest_addresses(rows: &[&StoredRecord]) -> Vec<(IpAddr, u32)> {
    let mut last: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for row in rows {
        if let Some(address) = row.address() {
            let time = last.entry(address.to_canonical()).or_default();
            *time = (*time).max(row.seen.time_last);
        }
    }
    let mut latest: Vec<(IpAddr, u32)> = last.into_iter().collect();
    latest.sort_by_key(|&(_, time)| std::cmp::Reverse(time));
    latest
}

/// Returns what rows point at besides the name itself, each once.
fn targets(name: Name<'_>, rows: &[&StoredRecord]) -> Vec<TagSubject> {
    let is_other = |subject: &TagSubject| subject.name().is_none_or(|one| one.as_name() != name);
    let subjects: BTreeSet<TagSubject> = rows
        .iter()
        .flat_map(|row| subjects_of_row(row).skip(1))
        .filter(is_other)
        .take(MAX_TARGETS)
        .collect();
    subjects.into_iter().collect()
}

/// Counts the addresses of the last week, and the /16 and /32 prefixes around them.
fn flux(latest: &[(IpAddr, u32)]) -> Option<(u32, u32)> {
    let since = latest.first()?.1.saturating_sub(FLUX);
    let recent = latest.iter().take_while(|&&(_, time)| time >= since);
    let (mut count, mut nets) = (0, BTreeSet::new());
    for (address, _) in recent {
        count += 1;
        nets.insert(match address {
            IpAddr::V4(address) => (4, u128::from(address.to_bits() >> 16)),
            IpAddr::V6(address) => (6, address.to_bits() >> 96),
        });
    }
    Some((count, u32::try_from(nets.len()).unwrap_or(u32::MAX)))
}

/// Returns the median over record sets of the largest TTL of their addresses: caches hand out what is left of a TTL, so
/// only the largest tells what the owner set.
fn median_ttl(rows: &[&StoredRecord]) -> Option<u32> {
    let mut sets: BTreeMap<(&NameBuf, RrType), u32> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.address().is_some()) {
        if row.seen.ttl_min != Seen::NO_TTL {
            let most = sets.entry((&row.rrname, row.fact.as_fact().rrtype())).or_default();
            *most = (*most).max(row.seen.ttl_max);
        }
    }
    let mut ttls: Vec<u32> = sets.into_values().collect();
    ttls.sort_unstable();
    ttls.get(ttls.len() / 2).copied()
}

/// Keeps the strongest sign of encoded data.
fn offer_text(facts: &mut Facts, row: &StoredRecord) {
    let FactBuf::Record(rdata) = &row.fact else { return };
    let rdata = rdata.as_rdata();
    if ![RrType::TXT, RrType::NULL].contains(&rdata.rrtype) {
        return;
    }
    let ttl = (row.seen.ttl_min != Seen::NO_TTL).then_some(row.seen.ttl_max);
    let strength = content_strength(rdata.rrtype, rdata.octets, ttl);
    if facts.txt.as_ref().is_none_or(|(most, _)| strength > *most) {
        facts.txt = Some((strength, row.rrname.clone()));
    }
}

/// One name below the domain, of all its rows together.
#[derive(Default)]
struct Sibling {
    first: Option<u32>,
    count: u64,
    sensors: SensorSet,
    is_rare: bool,
    has_record: bool,
    is_nx: bool,
}

/// Reads the names below the domain, and what they say about tunnels, failed names and the age of the domain.
fn siblings(store: &mut Reader<'_>, scorer: &Scorer, facts: &mut Facts) -> Result<(), StoreError> {
    let Some(domain) = facts.domain.clone().filter(|_| scorer.reach.siblings > 0) else {
        return Ok(());
    };
    let domain = domain.as_name();
    let text = Text { at_or_below: Some(domain.to_buf()), ..Text::default() };
    let kinds = [Kind::Record, Kind::Negative];
    let (names, more) =
        pass(store, &kinds, &text, &|_| true, None, scorer.reach.siblings, &|| false)?;
    if more {
        let most = scorer.reach.siblings;
        facts.notes.push(format!("only the first {most} names of {domain} were read"));
    }
    facts.exempt = scorer.exempts.zone_class(domain).map(str::to_owned);
    let mut found: BTreeMap<NameBuf, Sibling> = BTreeMap::new();
    let (most, mut read) = (scorer.reach.rows.max(names.len() * 4), 0);
    let mut is_cut = false;
    let mut texts = Vec::new();
    store.rows_by_names(&kinds, &names, &mut |row| {
        is_cut = read >= most;
        if is_cut {
            return ControlFlow::Break(());
        }
        read += 1;
        let name = found.entry(row.rrname.clone()).or_default();
        let is_own = row_target(&row).is_some_and(|target| {
            target.as_name() != row.rrname.as_name() && target.as_name().is_at_or_below(domain)
        });
        let (seen, fact) = (&row.seen, row.fact.as_fact());
        name.count = name.count.max(seen.count);
        name.sensors.merge(&row.sensors);
        name.is_rare |= is_rare(fact.rrtype(), is_own);
        match row.fact {
            FactBuf::Record(_) => {
                // Records tell the age; negative answers only where there are none.
                let known = name.first.filter(|_| name.has_record).unwrap_or(u32::MAX);
                name.first = Some(known.min(seen.time_first));
                name.has_record = true;
            }
            FactBuf::Negative { outcome, .. } => {
                name.is_nx |= outcome == Outcome::NXDOMAIN;
                if !name.has_record {
                    name.first = Some(name.first.unwrap_or(u32::MAX).min(seen.time_first));
                }
            }
        }
        if [RrType::TXT, RrType::NULL].contains(&fact.rrtype())
            && scorer.exempts.class(row.rrname.as_name()).is_none()
        {
            texts.push(row);
        }
        ControlFlow::Continue(())
    })?;
    facts.records += read;
    if is_cut {
        facts.notes.push(format!("only the first {most} rows below {domain} were read"));
    }
    for row in &texts {
        offer_text(facts, row);
    }
    let (mut failed, mut aggregate) = (0, TunnelAggregate::default());
    let has_records = found.values().any(|one| one.has_record);
    for (name, one) in &found {
        failed += u32::from(one.is_nx && !one.has_record);
        if one.has_record == has_records {
            facts.first = [facts.first, one.first].into_iter().flatten().min();
        }
        if let Some(first) = one.first.filter(|_| scorer.exempts.class(name.as_name()).is_none()) {
            let sensors = u32::try_from(one.sensors.iter().count()).unwrap_or(u32::MAX);
            let (count, is_rare) = (one.count, one.is_rare);
            let sighting = TunnelSighting { first, count, sensors, is_rare };
            aggregate.add(name.as_name(), domain, sighting);
        }
    }
    let unkept = store.count_unkept(&[domain.to_buf()])?;
    if unkept > 0 {
        aggregate.leave_out(unkept);
        facts.notes.push(format!(
            "about {unkept} names below {domain} were not kept: it had too many new ones on one day"
        ));
    }
    facts.siblings = Some((failed, u32::try_from(found.len()).unwrap_or(u32::MAX)));
    facts.tunnel = Some(aggregate);
    Ok(())
}

/// Returns the name that a row points at.
fn row_target(row: &StoredRecord) -> Option<NameBuf> {
    let FactBuf::Record(rdata) = &row.fact else { return None };
    match rdata.as_rdata().target() {
        Target::Name(name) => Some(name),
        _ => None,
    }
}

/// Returns the protected name that a name imitates, if it belongs to the same owner.
fn same_owner(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    name: Name<'_>,
    facts: &Facts,
) -> Result<Option<String>, StoreError> {
    let found = scorer.mimics.find(name);
    let mimic = found.first().filter(|mimic| mimic.score >= MIMIC_LIMIT);
    let target = mimic.and_then(|mimic| NameBuf::parse(mimic.target).ok());
    let (Some(target), Some(domain)) = (target, &facts.domain) else { return Ok(None) };
    let owner = Owner::read(store, target.as_name())?;
    let is_own = owner.owns(store, &scorer.lists, name, domain.as_name())?;
    Ok(is_own.then(|| target.to_string()))
}
