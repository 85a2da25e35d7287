//! Evidence that an imitation belongs to the owner of the name that it imitates.

use crate::name::{Name, NameBuf};
use crate::query::is_reserved;
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Store, StoreError};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Records of a name that are read at most.
const MAX_ROWS: usize = 1_000;

/// What a domain uses.
#[derive(Default)]
struct Uses {
    addresses: BTreeSet<IpAddr>,
    servers: BTreeSet<NameBuf>,
    targets: BTreeSet<NameBuf>,
}

impl Uses {
    fn read(store: &mut Store, names: &[NameBuf]) -> Result<Self, StoreError> {
        let (mut uses, mut rows) = (Self::default(), 0);
        store.reader().records_by_names(names, &mut |row| {
            uses.add(&row);
            rows += 1;
            if rows < MAX_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(uses)
    }

    fn add(&mut self, row: &StoredRecord) {
        let FactBuf::Record(rdata) = &row.fact else { return };
        let target = rdata.as_rdata().target();
        match (target, rdata.rrtype) {
            (Target::V4(address), _) => self.add_address(address.into()),
            (Target::V6(address), _) => self.add_address(address.into()),
            (Target::Name(name), RrType::NS) => {
                self.servers.insert(name);
            }
            (Target::Name(name), RrType::CNAME | RrType::DNAME) => {
                self.targets.insert(name);
            }
            _ => {}
        }
    }

    /// Everybody may share a local address.
    fn add_address(&mut self, address: IpAddr) {
        if !is_reserved(address) {
            self.addresses.insert(address);
        }
    }
}

/// Returns true if the name that a domain imitates shares an address, a CNAME target or all name servers with it, or if
/// its CNAME leads there.
pub(super) fn share_infrastructure(
    store: &mut Store,
    name: &NameBuf,
    domain: &NameBuf,
    target: &str,
) -> Result<bool, StoreError> {
    let Ok(target) = NameBuf::parse(target) else { return Ok(false) };
    let with_www = |name: &NameBuf| NameBuf::parse(&format!("www.{}", name.as_str())).ok();
    let names = |first: &NameBuf, domain: &NameBuf| -> Vec<NameBuf> {
        let mut names = vec![first.clone(), domain.clone()];
        names.extend(with_www(domain));
        names.sort_unstable();
        names.dedup();
        names
    };
    let own = Uses::read(store, &names(name, domain))?;
    let is_there = |name: &NameBuf| name.as_name().is_at_or_below(target.as_name());
    if own.targets.iter().any(is_there) || own.servers.iter().any(is_there) {
        return Ok(true);
    }
    let theirs = Uses::read(store, &names(&target, &target))?;
    let is_below = |apex: Name<'_>, names: &BTreeSet<NameBuf>| {
        names.iter().any(|name| name.as_name().is_at_or_below(apex))
    };
    Ok(!own.addresses.is_disjoint(&theirs.addresses)
        || !own.targets.is_disjoint(&theirs.targets)
        || (!own.servers.is_empty() && own.servers == theirs.servers)
        || is_below(domain.as_name(), &theirs.targets))
}
