//! Facts about a subject, before they are weighed.

use super::Scorer;
use crate::analyze::{SetVerdict, TunnelAggregate, scored_domain};
use crate::name::{Name, NameBuf};
use crate::query::MAX_SHARED_DOMAINS;
use crate::query::Subject;
use crate::tag::TagSubject;
use std::net::IpAddr;

/// Facts about a name or an address. Counts are of what was read; [`Facts::notes`] says what was not.
#[derive(Clone, Debug)]
pub struct Facts {
    /// A name or an address.
    pub subject: Subject,
    /// The registrable domain of a name.
    pub domain: Option<NameBuf>,
    /// Number of rows that were read.
    pub records: usize,
    /// Time of the first sighting of the domain or address, in seconds since 1970.
    pub first: Option<u32>,
    /// True if somebody saw the domain come: then its age is known even on the first day of the store.
    pub is_new: bool,
    /// Addresses and names that the name's records point at, also by its CNAMEs.
    pub targets: Vec<TagSubject>,
    /// The addresses of the name, also by its CNAMEs, the latest seen first; or the address itself.
    pub addresses: Vec<AddressFacts>,
    /// Number of distinct addresses of the name in the week before its last sighting, and of distinct /16 and /32
    /// prefixes around them.
    pub flux: Option<(u32, u32)>,
    /// Median of the largest TTL of the name's A and AAAA record sets, in seconds.
    pub ttl: Option<u32>,
    /// Hosts that the name's CNAMEs lead to, and the name servers of the domain.
    pub hosts: Vec<NameBuf>,
    /// Names below the domain: those that only ever got NXDOMAIN, and all.
    pub siblings: Option<(u32, u32)>,
    /// Class for which names below the domain are exempt from the verdict on tunnels.
    pub exempt: Option<String>,
    /// Names below the domain.
    pub tunnel: Option<TunnelAggregate>,
    /// Strongest sign of encoded data in TXT and NULL records, from 0 to 1, with the owner.
    pub txt: Option<(f64, NameBuf)>,
    /// Verdict on the names that appeared together with this one.
    pub set: Option<SetVerdict>,
    /// A protected name that is known to belong to the same owner.
    pub same_owner: Option<String>,
    /// Parts of the store that were not read, as sentences.
    pub notes: Vec<String>,
}

/// An address of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFacts {
    /// The address.
    pub address: IpAddr,
    /// The names on it, at most those of [`MAX_SHARED_DOMAINS`] domains.
    pub names: Vec<NameBuf>,
    /// Number of registrable domains of these names.
    pub domains: usize,
    /// Use of the address.
    pub use_: AddressUse,
}

/// Use of an address: evidence spreads only through addresses of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressUse {
    /// A host with few domains.
    Host,
    /// A parking service.
    Parked,
    /// A sinkhole.
    Sinkhole,
    /// A content network.
    ContentNetwork,
    /// Names of more than [`MAX_SHARED_DOMAINS`] domains.
    Shared,
    /// A local or reserved address.
    Local,
}

impl AddressUse {
    /// The use of an address by the lists alone.
    #[must_use]
    pub fn listed(scorer: &Scorer, address: IpAddr) -> Self {
        let lists = &scorer.lists;
        if lists.sinkholes.has_address(address) {
            Self::Sinkhole
        } else if crate::query::parked::is_reserved(address) {
            Self::Local
        } else if lists.parked.has_address(address) {
            Self::Parked
        } else if lists.content_networks.has_address(address) {
            Self::ContentNetwork
        } else {
            Self::Host
        }
    }
}

impl AddressFacts {
    /// Facts on an address with names of so many domains.
    #[must_use]
    pub fn new(scorer: &Scorer, address: IpAddr, names: Vec<NameBuf>, domains: usize) -> Self {
        let use_ = match AddressUse::listed(scorer, address) {
            AddressUse::Host if domains > MAX_SHARED_DOMAINS => AddressUse::Shared,
            listed => listed,
        };
        Self { address, names, domains, use_ }
    }

    /// Returns true if evidence spreads through the address.
    #[must_use]
    pub fn spreads(&self) -> bool {
        self.use_ == AddressUse::Host
    }
}

impl Facts {
    /// Facts on a name of which nothing is known but its text.
    #[must_use]
    pub fn new(name: Name<'_>) -> Self {
        let domain = scored_domain(name);
        let domain = (domain != name || crate::name::suffix::registrable(name).is_some())
            .then(|| domain.to_buf());
        Self { domain, ..Self::of(Subject::Name(name.to_buf())) }
    }

    /// Facts on a subject of which nothing is known.
    pub(super) fn of(subject: Subject) -> Self {
        Self {
            subject,
            domain: None,
            records: 0,
            first: None,
            is_new: false,
            targets: Vec::new(),
            addresses: Vec::new(),
            flux: None,
            ttl: None,
            hosts: Vec::new(),
            siblings: None,
            exempt: None,
            tunnel: None,
            txt: None,
            set: None,
            same_owner: None,
            notes: Vec::new(),
        }
    }

    /// The subjects whose tags are evidence: the subject, what it points at, and the names on those through which evidence
    /// spreads.
    #[must_use]
    pub fn tag_subjects(&self) -> Vec<TagSubject> {
        let own = match &self.subject {
            Subject::Name(name) => Some(TagSubject::Name(name.clone())),
            _ => None,
        };
        let spread = self.addresses.iter().filter(|one| one.spreads());
        let is_other = |name: &&NameBuf| {
            let own = self.domain.as_ref();
            !own.is_some_and(|own| name.as_name().is_at_or_below(own.as_name()))
        };
        let names = spread.flat_map(|one| &one.names).filter(is_other);
        let names = names.cloned().map(TagSubject::Name);
        let addresses = self.addresses.iter().map(|one| TagSubject::address(one.address));
        let targets = self.targets.iter().cloned();
        own.into_iter().chain(addresses).chain(targets).chain(names).collect()
    }
}
