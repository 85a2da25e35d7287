//! Names that share the values of threats.
//!
//! Second half of `contrast`: follows each value to the names that share it, unless too many do.

use super::values::{Values, each_below};
use super::{ContrastScope, FoundRelations, MAX_SHARED, RelationKind, SharedValue};
use crate::name::NameBuf;
use crate::query::order::Each;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Reader, StoreError};
use crate::tag::TagSubject;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum number of records read for one value.
const MAX_ROWS: usize = 20 * MAX_SHARED;

/// The names that share a value, each with its addresses there; `None` if there are too many.
type Sharers = Option<BTreeMap<NameBuf, BTreeSet<IpAddr>>>;

/// Follows all values of one kind, or of all kinds.
pub(super) fn follow(
    store: &mut Reader<'_>,
    asked: &ContrastScope<'_>,
    values: &Values<'_>,
    kind: Option<RelationKind>,
    found: &mut FoundRelations,
) -> Result<(), StoreError> {
    let wanted = |is: RelationKind| kind.is_none_or(|kind| kind == is);
    for value in values.each().filter(|value| wanted(value.kind)) {
        let sharers = match (value.kind, value.via) {
            (RelationKind::Address | RelationKind::Prefix, TagSubject::Net(net)) => {
                on_net(store, asked, *net)?
            }
            (RelationKind::Nameserver, TagSubject::Name(name)) => {
                pointing(store, name, RrType::NS)?
            }
            (RelationKind::Cname, TagSubject::Name(name)) => pointing(store, name, RrType::CNAME)?,
            // All domains are walked together, below.
            _ => continue,
        };
        match sharers {
            None => found.common += 1,
            Some(sharers) => offer(asked, values, &value, &sharers, found),
        }
    }
    if wanted(RelationKind::Domain) {
        domains(store, asked, values, found)?;
    }
    Ok(())
}

/// Adds those sharers of a value that are neighbours.
fn offer(
    asked: &ContrastScope<'_>,
    values: &Values<'_>,
    value: &SharedValue<'_>,
    sharers: &BTreeMap<NameBuf, BTreeSet<IpAddr>>,
    found: &mut FoundRelations,
) {
    // A name with the exact address of a threat is related by that address, not also by the prefix around it.
    let is_value = |address: &IpAddr| {
        let key = (RelationKind::Address, TagSubject::Net((*address).into()));
        values.of.contains_key(&key)
    };
    let shared = sharers.len();
    let mut near: BTreeSet<IpAddr> = BTreeSet::new();
    for (name, addresses) in sharers {
        if value.kind == RelationKind::Prefix {
            let others: Vec<&IpAddr> = addresses.iter().filter(|one| !is_value(one)).collect();
            if others.is_empty() {
                continue;
            }
            near.extend(others);
        }
        let subject = TagSubject::Name(name.clone());
        if asked.is_candidate(&subject) {
            found.add(subject, value, shared);
        }
    }
    match (value.kind, value.via) {
        // The address of a threat is a neighbour itself.
        (RelationKind::Address, via) if asked.is_candidate(via) => {
            found.add(via.clone(), value, shared);
        }
        (RelationKind::Prefix, _) => {
            for address in near {
                let subject = TagSubject::Net(address.into());
                if asked.is_candidate(&subject) {
                    found.add(subject, value, shared);
                }
            }
        }
        _ => {}
    }
}

/// Returns the names on the addresses of a prefix, with those addresses. Trusted and parked addresses within
/// the prefix are left out, unless the whole prefix is parked.
fn on_net(
    store: &mut Reader<'_>,
    asked: &ContrastScope<'_>,
    net: IpNet,
) -> Result<Sharers, StoreError> {
    let is_parked = asked.is_parked_address(net.network());
    gather(
        |each| store.records_by_address_range(net.network(), net.broadcast(), MAX_SHARED + 1, each),
        |row| {
            let address = row.address()?;
            let is_left_out = net.prefix_len() < net.max_prefix_len()
                && (asked.is_trusted_address(address)
                    || !is_parked && asked.is_parked_address(address));
            (!is_left_out).then_some(Some(address))
        },
    )
}

/// Returns the names with a record of one type that points at a name.
fn pointing(store: &mut Reader<'_>, name: &NameBuf, rrtype: RrType) -> Result<Sharers, StoreError> {
    gather(
        |each| store.records_targeting_name(name.as_name(), MAX_SHARED + 1, each),
        |row| match &row.fact {
            FactBuf::Record(rdata) => (rdata.rrtype == rrtype).then_some(None),
            FactBuf::Negative { .. } => None,
        },
    )
}

/// Collects the owners of the rows that `of` accepts, each with the addresses it returns.
fn gather(
    read: impl FnOnce(&mut Each<'_>) -> Result<(), StoreError>,
    of: impl Fn(&StoredRecord) -> Option<Option<IpAddr>>,
) -> Result<Sharers, StoreError> {
    let mut sharers: BTreeMap<NameBuf, BTreeSet<IpAddr>> = BTreeMap::new();
    let (mut rows, mut too_many) = (0, false);
    read(&mut |row| {
        rows += 1;
        if let Some(address) = of(&row) {
            sharers.entry(row.rrname).or_default().extend(address);
        }
        too_many = sharers.len() > MAX_SHARED || rows > MAX_ROWS;
        if too_many { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((!too_many).then_some(sharers))
}

/// Follows all registrable domains: one walk over the names counts them, a second one adds neighbours.
fn domains(
    store: &mut Reader<'_>,
    asked: &ContrastScope<'_>,
    values: &Values<'_>,
    found: &mut FoundRelations,
) -> Result<(), StoreError> {
    let mut known: HashMap<&str, (SharedValue<'_>, usize)> = HashMap::new();
    let mut domains = Vec::new();
    for value in values.each() {
        if let TagSubject::Below(domain) = value.via {
            domains.push(domain);
            known.insert(domain.as_str(), (value, 0));
        }
    }
    each_below(store, &domains, &mut |_, domain| {
        if let Some((_, count)) = known.get_mut(domain) {
            *count += 1;
        }
    })?;
    let is_common = |count: usize| count > MAX_SHARED;
    found.common += known.values().filter(|&&(_, count)| is_common(count)).count() as u64;
    each_below(store, &domains, &mut |name, domain| {
        let Some((value, count)) = known.get(domain) else { return };
        let subject = TagSubject::Name(name.to_buf());
        if !is_common(*count) && asked.is_candidate(&subject) {
            found.add(subject, value, *count);
        }
    })
}
