//! Names without a real destination: answered with a local address, or parked.
//!
//! Part of `query`. Addresses are looked up in the index, range by range. The name servers of parked domains
//! are identified by the domain that their hosts lie below. No index covers that, so all records are read, as
//! the last step.

use super::{Page, Query, SectionedAnswer, Subject, SubjectError};
use crate::name::{Name, NameBuf};
use crate::observation::Fact;
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Kind, Reader, StoreError};
use ipnet::IpNet;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// The list used if the operator gives none.
const LIST: &str = include_str!("parked.txt");
/// Number of records to resolve at once.
const AT_ONCE: usize = 512;
/// Maximum number of entries of a list.
const MAX_ENTRIES: usize = 100_000;

/// Reason for which a name counts as local or parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// "This network" (RFC 791 §3.2) and the unspecified address (RFC 4291 §2.5.2).
    Unspecified,
    /// The machine itself (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Loopback,
    /// Private networks (RFC 1918), unique local (RFC 4193) and site-local (RFC 3879) addresses.
    Private,
    /// Addresses shared by the customers of a carrier (RFC 6598).
    Shared,
    /// Addresses of one link (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// Addresses reserved for documentation (RFC 5737, RFC 3849, RFC 9637) and for benchmarks (RFC 2544, RFC
    /// 5180).
    Documentation,
    /// An address in the list.
    ParkingAddress,
    /// A name server in the list.
    ParkingNameServer,
}

/// All reasons, in the order of an answer.
pub const WHYS: &[(Why, &str)] = &[
    (Why::Unspecified, "unspecified"),
    (Why::Loopback, "loopback"),
    (Why::Private, "private"),
    (Why::Shared, "shared"),
    (Why::LinkLocal, "link-local"),
    (Why::Documentation, "documentation"),
    (Why::ParkingAddress, "parking-address"),
    (Why::ParkingNameServer, "parking-name-server"),
];

/// Local networks; IPv4 networks also cover the same addresses within `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const LOCAL: &[(Why, &str)] = &[
    (Why::Unspecified, "0.0.0.0/8"),
    (Why::Unspecified, "::/128"),
    (Why::Loopback, "127.0.0.0/8"),
    (Why::Loopback, "::1/128"),
    (Why::Private, "10.0.0.0/8"),
    (Why::Private, "172.16.0.0/12"),
    (Why::Private, "192.168.0.0/16"),
    (Why::Private, "fc00::/7"),
    (Why::Private, "fec0::/10"),
    (Why::Shared, "100.64.0.0/10"),
    (Why::LinkLocal, "169.254.0.0/16"),
    (Why::LinkLocal, "fe80::/10"),
    (Why::Documentation, "192.0.2.0/24"),
    (Why::Documentation, "198.51.100.0/24"),
    (Why::Documentation, "203.0.113.0/24"),
    (Why::Documentation, "198.18.0.0/15"),
    (Why::Documentation, "2001:db8::/32"),
    (Why::Documentation, "3fff::/20"),
    (Why::Documentation, "2001:2::/48"),
];

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = WHYS.iter().find(|(why, _)| why == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

/// Addresses and name servers of parked domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedList {
    /// Ranges in order, without overlaps.
    addresses: Vec<(IpAddr, IpAddr)>,
    servers: HashSet<NameBuf>,
}

/// Reason why text is not a valid list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// A line that is neither a name nor an address.
    #[error("line {line}: give a name server's domain, an address or a prefix")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// The error in the line.
        #[source]
        cause: SubjectError,
    },
    /// More entries than a list may have.
    #[error("line {0}: more than {MAX_ENTRIES} entries")]
    Long(usize),
}

impl ParkedList {
    /// Returns the list that is part of the program.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a test reads the same text")]
    pub fn shipped() -> Self {
        Self::parse(LIST).expect("the list that is shipped is one")
    }

    /// Parses a list. Each line has a name server's domain, an address, a prefix or a range of addresses; `#`
    /// starts a comment.
    ///
    /// # Errors
    /// [`ListError`] for the first invalid line.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let mut list = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if list.addresses.len() + list.servers.len() >= MAX_ENTRIES {
                return Err(ListError::Long(at + 1));
            }
            match Subject::parse(line).map_err(|cause| ListError::Line { line: at + 1, cause })? {
                Subject::Name(name) | Subject::Below(name) | Subject::AtOrBelow(name) => {
                    list.servers.insert(name);
                }
                Subject::Addresses(from, to) => list.addresses.push((from, to)),
            }
        }
        list.addresses = without_overlap(list.addresses);
        Ok(list)
    }

    /// Returns true if an address is in the list.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self.addresses.partition_point(|(from, _)| *from <= address);
        let before = after.checked_sub(1).and_then(|at| self.addresses.get(at));
        before.is_some_and(|(_, to)| address.is_ipv4() == to.is_ipv4() && address <= *to)
    }

    /// Returns true if a host is one of the name servers or lies below one of their domains.
    pub(super) fn has_host(&self, host: Name<'_>) -> bool {
        let labels = host.labels().count();
        (1..=labels).any(|count| self.servers.contains(&host.suffix(count).to_buf()))
    }

    /// Returns true if a record points at one of the name servers.
    fn has_server_of(&self, fact: Fact<'_>) -> bool {
        let Fact::Record(rdata) = fact else { return false };
        if rdata.rrtype != RrType::NS || self.servers.is_empty() {
            return false;
        }
        matches!(rdata.target(), Target::Name(server) if self.has_host(server.as_name()))
    }
}

/// Merges ranges so that no two overlap.
fn without_overlap(mut ranges: Vec<(IpAddr, IpAddr)>) -> Vec<(IpAddr, IpAddr)> {
    ranges.sort_unstable();
    let mut out: Vec<(IpAddr, IpAddr)> = Vec::new();
    for (from, to) in ranges {
        match out.last_mut() {
            Some((_, last)) if from.is_ipv4() == last.is_ipv4() && from <= *last => {
                *last = to.max(*last);
            }
            _ => out.push((from, to)),
        }
    }
    out
}

/// Returns the first and last address of local networks, with those of IPv4 mapped into IPv6.
fn local(why: Why) -> Vec<(IpAddr, IpAddr)> {
    let mut ranges = Vec::new();
    for net in LOCAL.iter().filter(|(of, _)| *of == why).filter_map(|(_, net)| net.parse().ok()) {
        let net: IpNet = net;
        ranges.push((net.network(), net.broadcast()));
        if let (IpAddr::V4(from), IpAddr::V4(to)) = (net.network(), net.broadcast()) {
            ranges.push((from.to_ipv6_mapped().into(), to.to_ipv6_mapped().into()));
        }
    }
    ranges
}

/// The networks of [`LOCAL`], parsed.
static LOCAL_NETS: LazyLock<Vec<(Why, IpNet)>> = LazyLock::new(|| {
    LOCAL.iter().filter_map(|&(why, net)| Some((why, net.parse().ok()?))).collect()
});

/// Returns the reason why an address is local; `None` if it is not.
pub(super) fn why_local(address: IpAddr) -> Option<Why> {
    let address = address.to_canonical();
    LOCAL_NETS.iter().find(|(_, net)| net.contains(&address)).map(|&(why, _)| why)
}

/// Returns true if an address is local, so that it identifies a different host on each network. Documentation
/// addresses are excluded: networks do not use them on their own.
pub(crate) fn is_reserved(address: IpAddr) -> bool {
    why_local(address).is_some_and(|why| why != Why::Documentation)
}

/// Passes on the rows with a reason among `whys`, each once, with the reason: reason by reason in the order of
/// [`WHYS`], sorted within each. Uses the filter, the sort order and the limit of `query`, not its subject.
///
/// # Errors
/// [`StoreError`] when the store cannot be read; rows may have been returned before.
pub fn parked(
    store: &mut Reader<'_>,
    query: &Query,
    whys: &[Why],
    list: &ParkedList,
    each: &mut dyn FnMut(StoredRecord, Why) -> ControlFlow<()>,
) -> Result<Page, StoreError> {
    let query = &*query.with_tags(store)?;
    let why = Cell::new(Why::Unspecified);
    let mut emit = |row| each(row, why.get());
    let mut answer = SectionedAnswer::new(query, &mut emit);
    let wants = |types: &[RrType]| {
        let asked = &query.filter.rrtypes;
        asked.is_empty() || asked.iter().any(|rrtype| types.contains(rrtype))
    };
    for &(reason, _) in WHYS.iter().filter(|(reason, _)| whys.contains(reason)) {
        why.set(reason);
        match reason {
            Why::ParkingNameServer if wants(&[RrType::NS]) && !list.servers.is_empty() => {
                answer.section(|_, take| {
                    for part in store.parts(None) {
                        let mut handles = Vec::new();
                        store.scan_unnamed(Kind::Record, part, &mut |one| {
                            if list.has_server_of(one.fact) {
                                handles.push(one.handle);
                            }
                        })?;
                        for handles in handles.chunks(AT_ONCE) {
                            let rows = store.resolve(handles)?;
                            if rows.into_iter().try_for_each(&mut *take).is_break() {
                                return Ok(());
                            }
                        }
                    }
                    Ok(())
                })?;
            }
            Why::ParkingNameServer => {}
            Why::ParkingAddress => {
                // A local address was returned with that reason already, if the reason is among `whys`.
                let is_told =
                    |row: &StoredRecord| why_local_of(row).is_some_and(|why| whys.contains(&why));
                of_ranges(store, &mut answer, &list.addresses, &|row| !is_told(row))?;
            }
            _ if wants(&[RrType::A, RrType::AAAA]) => {
                of_ranges(store, &mut answer, &local(reason), &|_| true)?;
            }
            _ => {}
        }
    }
    Ok(answer.page)
}

fn why_local_of(row: &StoredRecord) -> Option<Why> {
    let FactBuf::Record(rdata) = &row.fact else { return None };
    match rdata.as_rdata().target() {
        Target::V4(address) => why_local(address.into()),
        Target::V6(address) => why_local(address.into()),
        Target::Name(_) | Target::Octets => None,
    }
}

/// Adds one section with the rows of several ranges.
fn of_ranges(
    store: &mut Reader<'_>,
    answer: &mut SectionedAnswer<'_, '_, '_>,
    ranges: &[(IpAddr, IpAddr)],
    admits: &dyn Fn(&StoredRecord) -> bool,
) -> Result<(), StoreError> {
    answer.section(|most, take| {
        let mut flow = ControlFlow::Continue(());
        for &(from, to) in ranges {
            store.records_by_address_range(from, to, most, &mut |row| {
                if admits(&row) {
                    flow = take(row);
                }
                flow
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::rows::{a, record};

    #[test]
    fn the_list_that_is_shipped_is_one() {
        let list = ParkedList::shipped();
        assert!(list.servers.len() > 12 && list.addresses.len() > 8);
        let ns = |target: &[u8]| record("parked.example", RrType::NS, target);
        assert!(list.has_server_of(ns(b"\x03ns1\x0bsedoparking\x03com\x00").fact.as_fact()));
        assert!(list.has_server_of(ns(b"\x05bodis\x03com\x00").fact.as_fact()));
        assert!(!list.has_server_of(ns(b"\x06xbodis\x03com\x00").fact.as_fact()));
        assert!(!list.has_server_of(ns(b"\x03ns1\x07example\x03com\x00").fact.as_fact()));
        assert!(!list.has_server_of(a("bodis.com", 1).fact.as_fact()));
    }

    #[test]
    fn a_list_is_read_line_by_line() {
        let list = ParkedList::parse(
            "# ours\n\nns.example # theirs\n*.p.example\n192.0.2.0/25\n192.0.2.64-192.0.2.200\n::1\n",
        );
        let list = list.unwrap();
        assert_eq!(list.servers.len(), 2);
        let range = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(list.addresses, [range("192.0.2.0", "192.0.2.200"), range("::1", "::1")]);
        let wrong = ParkedList::parse("a.example\n192.0.2.0/40\n").unwrap_err();
        assert!(matches!(wrong, ListError::Line { line: 2, .. }), "{wrong:?}");
        let long = "192.0.2.1\n".repeat(MAX_ENTRIES + 1);
        assert_eq!(ParkedList::parse(&long), Err(ListError::Long(MAX_ENTRIES + 1)));
    }

    #[test]
    fn local_networks_do_not_overlap_and_say_why() {
        let mut all: Vec<_> = WHYS.iter().flat_map(|&(why, _)| local(why)).collect();
        let count = all.len();
        assert!(LOCAL.iter().all(|(_, net)| net.parse::<IpNet>().is_ok()));
        all = without_overlap(all);
        assert_eq!(all.len(), count);
        for (address, want) in [
            ("0.0.0.0", Some(Why::Unspecified)),
            ("127.0.0.53", Some(Why::Loopback)),
            ("::ffff:10.1.2.3", Some(Why::Private)),
            ("172.32.0.1", None),
            ("fd00::1", Some(Why::Private)),
            ("2001:db9::", None),
        ] {
            assert_eq!(why_local(address.parse().unwrap()), want, "{address}");
        }
        assert_eq!(Why::LinkLocal.to_string(), "link-local");
    }
}
