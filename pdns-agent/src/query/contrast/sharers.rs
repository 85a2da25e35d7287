//! Who else has what the threats have.
//!
//! Second half of `contrast`: each value is followed to the names that share it, as far as it is worth it.

use super::values::{Threats, Values, each_below};
use super::{Answer, Asked, MAX_SHARED, TieKind, Value};
use crate::name::NameBuf;
use crate::query::order::Each;
use crate::rdata::Target;
use crate::rr::RrType;
use crate::store::{FactBuf, Row, Store, StoreError, TagSubject};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// The most records of one value that are read.
const MAX_ROWS: usize = 20 * MAX_SHARED;

/// The names on a value; `None` when there are too many.
type Sharers = Option<BTreeMap<NameBuf, BTreeSet<IpAddr>>>;

/// Follows all values of one kind, or of all kinds.
pub(super) fn follow(
    store: &mut Store,
    asked: &Asked<'_>,
    values: &Values<'_>,
    kind: Option<TieKind>,
    answer: &mut Answer,
) -> Result<(), StoreError> {
    let wanted = |is: TieKind| kind.is_none_or(|kind| kind == is);
    for ((kind, over), threats) in values.of.iter().filter(|((kind, _), _)| wanted(*kind)) {
        let value = Value { kind: *kind, over, threats };
        let sharers = match (kind, over) {
            (TieKind::Address | TieKind::Prefix, TagSubject::Net(net)) => on_net(store, *net)?,
            (TieKind::Nameserver, TagSubject::Name(name)) => pointing(store, name, RrType::NS)?,
            (TieKind::Cname, TagSubject::Name(name)) => pointing(store, name, RrType::CNAME)?,
            // All domains are walked together, below.
            _ => continue,
        };
        match sharers {
            None => answer.common += 1,
            Some(sharers) => offer(asked, values, &value, &sharers, answer),
        }
    }
    if wanted(TieKind::Domain) {
        domains(store, asked, values, answer)?;
    }
    Ok(())
}

/// Offers the sharers of a value that are neighbours.
fn offer(
    asked: &Asked<'_>,
    values: &Values<'_>,
    value: &Value<'_>,
    sharers: &BTreeMap<NameBuf, BTreeSet<IpAddr>>,
    answer: &mut Answer,
) {
    // Who has the very address of a threat is tied by that, and not by the prefix around it, too.
    let is_value = |address: &IpAddr| {
        let key = (TieKind::Address, TagSubject::Net((*address).into()));
        values.of.contains_key(&key)
    };
    let shared = sharers.len();
    let mut near: BTreeSet<IpAddr> = BTreeSet::new();
    for (name, addresses) in sharers {
        if value.kind == TieKind::Prefix {
            let others: Vec<&IpAddr> = addresses.iter().filter(|one| !is_value(one)).collect();
            if others.is_empty() {
                continue;
            }
            near.extend(others);
        }
        let subject = TagSubject::Name(name.clone());
        if asked.is_candidate(&subject) {
            answer.offer(subject, value, shared);
        }
    }
    match (value.kind, value.over) {
        // The address of a threat is itself what it shares.
        (TieKind::Address, over) if asked.is_candidate(over) => {
            answer.offer(over.clone(), value, shared);
        }
        (TieKind::Prefix, _) => {
            for address in near {
                let subject = TagSubject::Net(address.into());
                if asked.is_candidate(&subject) {
                    answer.offer(subject, value, shared);
                }
            }
        }
        _ => {}
    }
}

/// The names on the addresses of a prefix, with those addresses.
fn on_net(store: &mut Store, net: IpNet) -> Result<Sharers, StoreError> {
    gather(
        |each| store.of_addresses(net.network(), net.broadcast(), MAX_SHARED + 1, each),
        |row| match &row.fact {
            FactBuf::Record(rdata) => match rdata.as_rdata().target() {
                Target::V4(address) => Some(Some(address.into())),
                Target::V6(address) => Some(Some(address.into())),
                _ => None,
            },
            FactBuf::Negative { .. } => None,
        },
    )
}

/// The names with a record of one type that points at a name.
fn pointing(store: &mut Store, name: &NameBuf, rrtype: RrType) -> Result<Sharers, StoreError> {
    gather(
        |each| store.pointing_at(name.as_name(), MAX_SHARED + 1, each),
        |row| match &row.fact {
            FactBuf::Record(rdata) => (rdata.rrtype == rrtype).then_some(None),
            FactBuf::Negative { .. } => None,
        },
    )
}

/// The owners of the rows that `of` takes, each with the addresses that it says.
fn gather(
    read: impl FnOnce(&mut Each<'_>) -> Result<(), StoreError>,
    of: impl Fn(&Row) -> Option<Option<IpAddr>>,
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

/// Follows all registrable domains: one walk over the names counts, another offers.
fn domains(
    store: &mut Store,
    asked: &Asked<'_>,
    values: &Values<'_>,
    answer: &mut Answer,
) -> Result<(), StoreError> {
    let mut known: HashMap<&str, (&TagSubject, &Threats<'_>, usize)> = HashMap::new();
    let mut domains = Vec::new();
    for ((_, over), threats) in &values.of {
        if let TagSubject::Below(domain) = over {
            domains.push(domain);
            known.insert(domain.as_str(), (over, threats, 0));
        }
    }
    each_below(store, &domains, &mut |_, domain| {
        if let Some((_, _, count)) = known.get_mut(domain) {
            *count += 1;
        }
    })?;
    let is_common = |count: usize| count > MAX_SHARED;
    answer.common += known.values().filter(|&&(_, _, count)| is_common(count)).count() as u64;
    each_below(store, &domains, &mut |name, domain| {
        let Some(&(over, threats, count)) = known.get(domain) else { return };
        let subject = TagSubject::Name(name.to_buf());
        if !is_common(count) && asked.is_candidate(&subject) {
            let value = Value { kind: TieKind::Domain, over, threats };
            answer.offer(subject, &value, count);
        }
    })
}
