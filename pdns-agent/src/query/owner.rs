//! Evidence that a name which imitates another belongs to the owner of the other.
//!
//! Part of `query`. Anybody can point a name at another's address, so that one thing in common proves nothing: a squatter
//! would add it. A name is cleared if all that it leads to is the owner's, so that it can do no harm, or if a record of the
//! imitated name leads to it. What many domains use is nobody's: content networks, parking, and all that more than
//! [`MAX_SHARED_DOMAINS`] domains have here. Name servers count only where nothing else is known, and only the owner's own:
//! those of registrars and hosts serve squatters, too.

use super::names::pass;
use super::{MAX_SHARED_DOMAINS, ScoreLists, Text, is_reserved, on_addresses};
use crate::name::{Name, NameBuf, suffix};
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Kind, Reader, StoreError};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum number of names of a domain that are read.
const MAX_NAMES: usize = 100;
/// Maximum number of records that are read of each side, and of each thing that both use.
const MAX_RECORDS: usize = 1_000;

/// The addresses, name servers and CNAME targets of a domain.
#[derive(Default)]
struct Uses {
    addresses: BTreeSet<IpAddr>,
    servers: BTreeSet<NameBuf>,
    targets: BTreeSet<NameBuf>,
}

impl Uses {
    /// Reads those of a name, of the first names in text order at and below its domain, and of www there.
    fn read(store: &mut Reader<'_>, name: Name<'_>, domain: Name<'_>) -> Result<Self, StoreError> {
        let text = Text { at_or_below: Some(domain.to_buf()), ..Text::default() };
        let (mut names, _) =
            pass(store, &[Kind::Record], &text, &|_| true, None, MAX_NAMES, &|| false)?;
        names.push(name.to_buf());
        names.extend(NameBuf::parse(&format!("www.{}", domain.as_str())).ok());
        names.sort_unstable();
        names.dedup();
        let (mut uses, mut read) = (Self::default(), 0);
        store.records_by_names(&names, &mut |row| {
            uses.add(&row);
            read += 1;
            if read < MAX_RECORDS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(uses)
    }

    fn add(&mut self, row: &StoredRecord) {
        let FactBuf::Record(rdata) = &row.fact else { return };
        match (rdata.as_rdata().target(), rdata.rrtype) {
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

    /// Everybody may use a local address.
    fn add_address(&mut self, address: IpAddr) {
        if !is_reserved(address) {
            self.addresses.insert(address.to_canonical());
        }
    }
}

/// An imitated name, with what its owner uses.
pub struct Owner<'t> {
    target: Name<'t>,
    uses: Uses,
}

impl<'t> Owner<'t> {
    /// Reads what the store has about a name.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn read(store: &mut Reader<'_>, target: Name<'t>) -> Result<Self, StoreError> {
        Ok(Self { target, uses: Uses::read(store, target, target)? })
    }

    /// Returns true if a name of `domain` belongs to the same owner by what the store has about both.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn owns(
        &self,
        store: &mut Reader<'_>,
        lists: &ScoreLists,
        name: Name<'_>,
        domain: Name<'_>,
    ) -> Result<bool, StoreError> {
        let (own, theirs) = (Uses::read(store, name, domain)?, &self.uses);
        let leads_to = |apex: Name<'_>, name: &NameBuf| name.as_name().is_at_or_below(apex);
        if theirs.targets.iter().any(|target| leads_to(domain, target)) {
            return Ok(true);
        }
        if own.addresses.is_empty() && own.targets.is_empty() {
            return Ok(own.servers.iter().any(|server| leads_to(self.target, server)));
        }
        for target in own.targets.iter().filter(|target| !leads_to(self.target, target)) {
            let is_theirs = theirs.targets.contains(target)
                && !lists.is_host_of_many(target.as_name())
                && is_target_of_few(store, target.as_name())?;
            if !is_theirs {
                return Ok(false);
            }
        }
        for address in &own.addresses {
            let is_theirs = theirs.addresses.contains(address)
                && !lists.is_address_of_many(*address)
                && is_of_few(store, *address)?;
            if !is_theirs {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Domains with something in common, as far as they matter.
#[derive(Default)]
struct Sharers {
    domains: BTreeSet<NameBuf>,
    read: usize,
}

impl Sharers {
    fn add(&mut self, row: &StoredRecord) -> ControlFlow<()> {
        let name = row.rrname.as_name();
        self.domains.insert(suffix::registrable(name).unwrap_or(name).to_buf());
        self.read += 1;
        if self.are_few() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// More records than are read may be of many domains.
    fn are_few(&self) -> bool {
        self.domains.len() <= MAX_SHARED_DOMAINS && self.read <= MAX_RECORDS
    }
}

fn is_of_few(store: &mut Reader<'_>, address: IpAddr) -> Result<bool, StoreError> {
    let mut sharers = Sharers::default();
    on_addresses(store, address, address, MAX_RECORDS + 1, &mut |row| sharers.add(&row))?;
    Ok(sharers.are_few())
}

fn is_target_of_few(store: &mut Reader<'_>, name: Name<'_>) -> Result<bool, StoreError> {
    let mut sharers = Sharers::default();
    store.records_targeting_name(name, MAX_RECORDS + 1, &mut |row| sharers.add(&row))?;
    Ok(sharers.are_few())
}
