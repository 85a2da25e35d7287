//! Values of threats that other names may share.
//!
//! First half of `contrast`. Domains are expanded into the names below them, names into the values of their
//! records; addresses and prefixes are values themselves. The CNAMEs of a threat are followed to the addresses
//! at their end.

use super::{ContrastScope, Limits, MAX_SHARED, RelationKind, SharedValue};
use crate::name::{Name, NameBuf, ancestors, suffix};
use crate::query::Extent;
use crate::query::addresses::prefix_around;
use crate::query::follow::{MAX_STEPS, alias};
use crate::query::order::TopN;
use crate::query::text::Text;
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Reader, StoreError};
use crate::tag::TagSubject;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum number of threat names to read, first in text order, and of their CNAME targets.
const MAX_NAMES: usize = 200_000;
/// Maximum number of values to follow.
const MAX_VALUES: usize = 200_000;
/// Maximum number of records of threats to read.
const MAX_ROWS: usize = 1_000_000;

/// The threats that have a value.
pub(super) type Threats<'a> = BTreeSet<&'a TagSubject>;

/// Values with the threats that have them, in a fixed order.
pub(super) struct Values<'a> {
    pub(super) of: BTreeMap<(RelationKind, TagSubject), Threats<'a>>,
    /// Values that are left out because they are local or parked.
    pub(super) parked: BTreeSet<TagSubject>,
    pub(super) limits: Limits,
    asked: &'a ContrastScope<'a>,
    /// Number of records read.
    rows: usize,
}

impl<'a> Values<'a> {
    /// Collects the values of all subjects of the query.
    pub(super) fn collect(
        store: &mut Reader<'_>,
        asked: &'a ContrastScope<'a>,
    ) -> Result<Self, StoreError> {
        let mut values = Self {
            of: BTreeMap::new(),
            parked: BTreeSet::new(),
            limits: Limits::default(),
            asked,
            rows: 0,
        };
        let subjects = asked.subjects();
        for &subject in &subjects {
            if let TagSubject::Net(net) = subject {
                values.net(*net, subject);
            }
        }
        let names = values.names(store, &subjects)?;
        let mut threats: BTreeMap<NameBuf, Threats<'a>> = BTreeMap::new();
        for name in names {
            let subject = TagSubject::Name(name.clone());
            let tags = asked.tags.of_name(name.as_name());
            // A trusted name within a threat's domain is not a threat.
            if let Some(threat) = asked.threat(&subject, &tags) {
                values.add(RelationKind::Cname, subject, threat);
                if let Some(domain) = suffix::registrable(name.as_name()) {
                    values.add(RelationKind::Domain, TagSubject::Below(domain.to_buf()), threat);
                }
                threats.insert(name, Threats::from([threat]));
            }
        }
        let targets = values.records(store, &threats, &|_| true)?;
        values.targets(store, targets)?;
        values.nameservers(store)?;
        let is_cut = values.rows > MAX_ROWS;
        values.limits.records = Extent::new(values.rows.min(MAX_ROWS), is_cut);
        Ok(values)
    }

    /// Returns all values, each with its index.
    pub(super) fn each(&self) -> impl Iterator<Item = SharedValue<'_>> {
        let values = self.of.iter().enumerate();
        values.map(|(place, ((kind, via), threats))| SharedValue {
            place,
            kind: *kind,
            via,
            threats,
        })
    }

    fn add(&mut self, kind: RelationKind, via: TagSubject, threat: &'a TagSubject) {
        let full = self.of.len() >= MAX_VALUES;
        let key = (kind, via);
        if full && !self.of.contains_key(&key) {
            self.limits.values = Extent::new(MAX_VALUES, true);
            return;
        }
        let threats = self.of.entry(key).or_default();
        // If more threats than this share a value, more names than this do.
        if threats.len() <= MAX_SHARED {
            threats.insert(threat);
        }
    }

    /// Reads the records of names, given with the threats each belongs to, and adds their values. Returns the
    /// targets of their CNAMEs.
    fn records(
        &mut self,
        store: &mut Reader<'_>,
        of: &BTreeMap<NameBuf, Threats<'a>>,
        admits: &dyn Fn(&StoredRecord) -> bool,
    ) -> Result<BTreeMap<NameBuf, Threats<'a>>, StoreError> {
        let names: Vec<NameBuf> = of.keys().cloned().collect();
        let mut targets: BTreeMap<NameBuf, Threats<'a>> = BTreeMap::new();
        store.records_by_names(&names, &mut |row| {
            self.rows += 1;
            if self.rows > MAX_ROWS {
                return ControlFlow::Break(());
            }
            let threats = of.get(&row.rrname).filter(|_| admits(&row));
            for &threat in threats.into_iter().flatten() {
                self.row(&row, threat);
                let target = alias(&row);
                if let Some(target) = target.filter(|target| self.is_host(target.as_name())) {
                    targets.entry(target).or_default().insert(threat);
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(targets)
    }

    /// Follows CNAMEs to the addresses at their end.
    fn targets(
        &mut self,
        store: &mut Reader<'_>,
        mut due: BTreeMap<NameBuf, Threats<'a>>,
    ) -> Result<(), StoreError> {
        let leads_on = |row: &StoredRecord| row.address().is_some() || alias(row).is_some();
        let mut followed: BTreeMap<NameBuf, Threats<'a>> = BTreeMap::new();
        for _ in 0..MAX_STEPS {
            due.retain(|name, threats| {
                if !followed.contains_key(name) && followed.len() >= MAX_NAMES {
                    self.limits.names = Extent::new(MAX_NAMES, true);
                    return false;
                }
                let known = followed.entry(name.clone()).or_default();
                threats.retain(|threat| known.len() <= MAX_SHARED && known.insert(threat));
                !threats.is_empty()
            });
            if due.is_empty() {
                break;
            }
            due = self.records(store, &due, &leads_on)?;
        }
        Ok(())
    }

    /// Returns true if a host relates anything; counts it as parked otherwise.
    fn is_host(&mut self, name: Name<'_>) -> bool {
        let is_parked = self.asked.is_parked_host(name);
        if is_parked {
            self.parked.insert(TagSubject::Name(name.to_buf()));
        }
        !is_parked
    }

    fn net(&mut self, net: IpNet, threat: &'a TagSubject) {
        if net.prefix_len() == net.max_prefix_len() {
            self.address(net.addr(), threat);
            return;
        }
        self.add(RelationKind::Prefix, TagSubject::Net(net), threat);
        if net.prefix_len() > prefix_around(net.addr()).prefix_len() {
            self.add(RelationKind::Prefix, TagSubject::Net(prefix_around(net.addr())), threat);
        }
    }

    fn address(&mut self, address: IpAddr, threat: &'a TagSubject) {
        self.add(RelationKind::Address, TagSubject::Net(address.into()), threat);
        self.add(RelationKind::Prefix, TagSubject::Net(prefix_around(address)), threat);
    }

    /// Adds the values of a threat's record.
    fn row(&mut self, row: &StoredRecord, threat: &'a TagSubject) {
        if let Some(address) = row.address() {
            if self.asked.is_parked_address(address) {
                self.parked.insert(TagSubject::address(address));
            } else {
                self.address(address, threat);
            }
            return;
        }
        let FactBuf::Record(rdata) = &row.fact else { return };
        let kind = match rdata.rrtype {
            RrType::CNAME => RelationKind::Cname,
            RrType::NS => RelationKind::Nameserver,
            _ => return,
        };
        if let Target::Name(name) = rdata.as_rdata().target()
            && self.is_host(name.as_name())
        {
            self.add(kind, TagSubject::Name(name), threat);
        }
    }

    /// Adds the name servers of the registrable domains collected so far.
    fn nameservers(&mut self, store: &mut Reader<'_>) -> Result<(), StoreError> {
        let mut domains: BTreeMap<NameBuf, Threats<'a>> = BTreeMap::new();
        for ((_, via), threats) in &self.of {
            if let TagSubject::Below(domain) = via {
                domains.insert(domain.clone(), threats.clone());
            }
        }
        let is_server = |row: &StoredRecord| matches!(&row.fact, FactBuf::Record(rdata) if rdata.rrtype == RrType::NS);
        self.records(store, &domains, &is_server).map(|_| ())
    }

    /// Returns the names among the subjects and the names that the store has below their domains, in order.
    fn names(
        &mut self,
        store: &mut Reader<'_>,
        subjects: &[&TagSubject],
    ) -> Result<Vec<NameBuf>, StoreError> {
        let mut names = TopN::new(MAX_NAMES);
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
        if names.overflowed() {
            self.limits.names = Extent::new(MAX_NAMES, true);
        }
        let mut names = names.into_sorted();
        names.dedup();
        Ok(names)
    }
}

/// Calls `each` for every name of the store at or below one of these domains, with that domain: the longest one
/// if domains are nested. Walks the names once, or only a part of them if there is a single domain.
pub(super) fn each_below(
    store: &mut Reader<'_>,
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
