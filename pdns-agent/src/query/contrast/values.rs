//! What the threats have that others may share.
//!
//! First half of `contrast`. Threats that are domains are opened into the names below them, names into the
//! values of their records; addresses and prefixes are values themselves.

use super::{Asked, MAX_SHARED, TieKind};
use crate::name::{Name, NameBuf, suffix};
use crate::query::order::Smallest;
use crate::query::tags::ancestors;
use crate::query::text::Text;
use crate::rdata::Target;
use crate::rr::RrType;
use crate::store::{FactBuf, Row, Store, StoreError, TagSubject};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// The most names of threats that are looked at, the first by their text.
const MAX_NAMES: usize = 50_000;
/// The most values that are followed.
const MAX_VALUES: usize = 200_000;
/// The most records of threats that are read.
const MAX_ROWS: usize = 1_000_000;

/// The threats that have a value.
pub(super) type Threats<'a> = BTreeSet<&'a TagSubject>;

/// Values, with the threats that have them, in a fixed order.
pub(super) struct Values<'a> {
    pub(super) of: BTreeMap<(TieKind, TagSubject), Threats<'a>>,
    /// A bound left threats or values out.
    pub(super) partial: bool,
}

impl<'a> Values<'a> {
    /// The values of all that is asked about.
    pub(super) fn collect(store: &mut Store, asked: &Asked<'a>) -> Result<Self, StoreError> {
        let mut values = Self { of: BTreeMap::new(), partial: false };
        let subjects = asked.subjects();
        for &subject in &subjects {
            if let TagSubject::Net(net) = subject {
                values.net(*net, subject);
            }
        }
        let names = values.names(store, &subjects)?;
        let mut threats: BTreeMap<NameBuf, &'a TagSubject> = BTreeMap::new();
        for name in names {
            let subject = TagSubject::Name(name.clone());
            let tags = asked.tags.of_name(name.as_name());
            // What is trusted within a threat's domain is no threat.
            if let Some(threat) = asked.threat(&subject, &tags) {
                values.add(TieKind::Cname, subject, threat);
                if let Some(domain) = suffix::registrable(name.as_name()) {
                    values.add(TieKind::Domain, TagSubject::Below(domain.to_buf()), threat);
                }
                threats.insert(name, threat);
            }
        }
        let names: Vec<NameBuf> = threats.keys().cloned().collect();
        let mut rows = 0;
        store.of_names(&names, &mut |row| {
            rows += 1;
            if let Some(threat) = threats.get(&row.rrname) {
                values.row(&row, threat);
            }
            if rows < MAX_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        values.partial |= rows >= MAX_ROWS;
        values.nameservers(store)?;
        Ok(values)
    }

    fn add(&mut self, kind: TieKind, over: TagSubject, threat: &'a TagSubject) {
        let full = self.of.len() >= MAX_VALUES;
        let key = (kind, over);
        if full && !self.of.contains_key(&key) {
            self.partial = true;
            return;
        }
        let threats = self.of.entry(key).or_default();
        // A value of more threats is one of too many names.
        if threats.len() <= MAX_SHARED {
            threats.insert(threat);
        }
    }

    fn net(&mut self, net: IpNet, threat: &'a TagSubject) {
        if net.prefix_len() == net.max_prefix_len() {
            self.address(net.addr(), threat);
            return;
        }
        self.add(TieKind::Prefix, TagSubject::Net(net), threat);
        if net.prefix_len() > around(net.addr()).prefix_len() {
            self.add(TieKind::Prefix, TagSubject::Net(around(net.addr())), threat);
        }
    }

    fn address(&mut self, address: IpAddr, threat: &'a TagSubject) {
        self.add(TieKind::Address, TagSubject::Net(address.into()), threat);
        self.add(TieKind::Prefix, TagSubject::Net(around(address)), threat);
    }

    /// The values of a record of a threat.
    fn row(&mut self, row: &Row, threat: &'a TagSubject) {
        let FactBuf::Record(rdata) = &row.fact else { return };
        match (rdata.rrtype, rdata.as_rdata().target()) {
            (_, Target::V4(address)) => self.address(address.into(), threat),
            (_, Target::V6(address)) => self.address(address.into(), threat),
            (RrType::CNAME, Target::Name(name)) => {
                self.add(TieKind::Cname, TagSubject::Name(name), threat);
            }
            (RrType::NS, Target::Name(name)) => {
                self.add(TieKind::Nameserver, TagSubject::Name(name), threat);
            }
            _ => {}
        }
    }

    /// The name servers of the registrable domains that are values by now.
    fn nameservers(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let mut domains: BTreeMap<NameBuf, Threats<'a>> = BTreeMap::new();
        for ((_, over), threats) in &self.of {
            if let TagSubject::Below(domain) = over {
                domains.insert(domain.clone(), threats.clone());
            }
        }
        let names: Vec<NameBuf> = domains.keys().cloned().collect();
        let mut rows = 0;
        store.of_names(&names, &mut |row| {
            rows += 1;
            if let FactBuf::Record(rdata) = &row.fact
                && rdata.rrtype == RrType::NS
            {
                for threat in domains.get(&row.rrname).into_iter().flatten() {
                    self.row(&row, threat);
                }
            }
            if rows < MAX_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.partial |= rows >= MAX_ROWS;
        Ok(())
    }

    /// The names among the subjects, and those that the store has below their domains, in order.
    fn names(
        &mut self,
        store: &mut Store,
        subjects: &[&TagSubject],
    ) -> Result<Vec<NameBuf>, StoreError> {
        let mut names = Smallest::new(MAX_NAMES);
        let mut domains: Vec<&NameBuf> = Vec::new();
        for subject in subjects {
            match subject {
                TagSubject::Name(name) => names.offer(name.clone()),
                TagSubject::Below(name) => {
                    names.offer(name.clone());
                    domains.push(name);
                }
                TagSubject::Net(_) => {}
            }
        }
        each_below(store, &domains, &mut |name, _| match names.worst() {
            Some(worst) if worst.as_name() < name => names.refuse(),
            _ => names.offer(name.to_buf()),
        })?;
        self.partial |= names.overflowed();
        let mut names = names.into_sorted();
        names.dedup();
        Ok(names)
    }
}

/// The /24 or /48 around an address.
pub(super) fn around(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| address.into(), |net| net.trunc())
}

/// Calls `each` for every name of the store that lies at or below one of these domains, with that domain:
/// the longest, where one lies below another. One walk over the names, or over a part of them when there
/// is one domain alone.
pub(super) fn each_below(
    store: &mut Store,
    domains: &[&NameBuf],
    each: &mut dyn FnMut(Name<'_>, &str),
) -> Result<(), StoreError> {
    let apex = match domains {
        [] => return Ok(()),
        [one] => Some(one.as_name()),
        _ => None,
    };
    let known: HashSet<&str> = domains.iter().map(|domain| domain.as_str()).collect();
    // No condition: every name of a block.
    let all = Text::default();
    store.names(apex, &mut |block| {
        all.search(block, &mut |name| {
            if let Some(domain) = ancestors(name).find_map(|text| known.get(text)) {
                each(name, domain);
            }
            ControlFlow::Continue(())
        })
    })
}
