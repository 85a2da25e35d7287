//! Bailiwick: the records of a response that are trustworthy, by the chain of its answer and its zone.
//!
//! A server, and an attacker, can put anything into a response: addresses for other people's names in the
//! additional section were used to poison caches (RFC 5452 §6, RFC 2181 §5.4.1). A record is accepted if it
//! belongs to the question, or to the zone that the response identifies; the public suffix list sets the
//! limit if the response identifies none, or claims an entire top-level domain.
//!
//! Aliases are another way to make claims about other domains: the server of `evil.example` answers
//! `www.evil.example CNAME www.bank.com` and adds an address of `www.bank.com`. A resolver does not believe
//! it, and queries the servers of `bank.com` itself; its own response to its clients is also such a chain,
//! but a true one. The whole chain is therefore accepted from a resolver, and only the part within the
//! registrable domain of QNAME from any other server.

use super::message::{MessageNames, Record, Records, Section, Span};
use crate::name::{Name, suffix};
use crate::rr::RrType;
use std::cell::OnceCell;

/// Maximum chain length. Resolvers follow far fewer; each name costs a pass over all CNAME records.
const LONGEST_CHAIN: usize = 64;

/// Returns true if a response vouches for its whole chain: a resolver (RA) made it for a client that
/// requested recursion (RD).
///
/// The query's RD flag decides if the query was observed: a malicious server can set any bit of its response,
/// but not the flags of its victim's query. `query` is `None` if no query was observed; the response's own RD
/// is used then.
pub(in crate::decode) fn is_resolved(query: Option<bool>, response: bool, has_ra: bool) -> bool {
    query.unwrap_or(response) && has_ra
}

/// The domain that the chain of a response must not leave, unless a resolver made it: the registrable domain
/// of QNAME or, if it has none, QNAME.
pub(in crate::decode) fn bounds(qname: Name<'_>) -> Name<'_> {
    suffix::registrable(qname).unwrap_or(qname)
}

/// Follows the CNAME records of the answer section from QNAME (RFC 1034 §3.6.2); `chain` receives each name
/// once.
///
/// Unless `is_resolved`, the chain ends with the last name before it leaves the registrable domain of QNAME
/// or, if QNAME has none, the names below QNAME. Returns true if the chain was cut there.
pub(super) fn follow(
    qname: Span,
    records: &Records,
    names: &MessageNames,
    is_resolved: bool,
    chain: &mut Vec<Span>,
) -> bool {
    chain.clear();
    chain.push(qname);
    if !records.has_alias {
        return false;
    }
    let bounds = (!is_resolved).then(|| bounds(names.get(qname)));
    let mut end = qname;
    while chain.len() < LONGEST_CHAIN {
        let target = records
            .all
            .iter()
            .take_while(|record| record.section == Section::Answer)
            .find_map(|record| record.alias.filter(|_| names.are_equal(record.owner, end)));
        let Some(target) = target.filter(|&target| !has(chain, target, names)) else { break };
        if bounds.is_some_and(|bounds| !names.get(target).is_at_or_below(bounds)) {
            return true;
        }
        chain.push(target);
        end = target;
    }
    false
}

fn has(chain: &[Span], name: Span, names: &MessageNames) -> bool {
    chain.iter().any(|&link| names.are_equal(link, name))
}

/// Owners that a response is trusted about.
pub(super) struct Bailiwick<'a> {
    names: &'a MessageNames,
    /// Names from QNAME on; never empty.
    chain: &'a [Span],
    qname: Span,
    qtype: RrType,
    /// The zone below which owners are trusted; computed on first use.
    zone: OnceCell<Option<Name<'a>>>,
    apex: Option<Span>,
}

impl<'a> Bailiwick<'a> {
    pub(super) fn new(
        names: &'a MessageNames,
        chain: &'a [Span],
        qname: Span,
        qtype: RrType,
        records: &Records,
    ) -> Self {
        let mut bailiwick = Self { names, chain, qname, qtype, zone: OnceCell::new(), apex: None };
        // The first NS or SOA record of the authority section identifies the zone (RFC 2308 §2, RFC 1034
        // §4.2.1), wherever it stands among the others.
        bailiwick.apex = records
            .all
            .iter()
            .filter(|record| record.section == Section::Authority && is_apex(record.rrtype))
            .find(|record| bailiwick.is_above(record.owner))
            .map(|record| record.owner);
        bailiwick
    }

    /// The last name of the chain.
    pub(super) fn end(&self) -> Span {
        self.chain.last().copied().unwrap_or(self.qname)
    }

    /// Returns true if a record is in bailiwick.
    pub(super) fn admits(&self, record: &Record) -> bool {
        match record.section {
            Section::Answer => {
                has(self.chain, record.owner, self.names)
                    || matches!(record.rrtype, RrType::DNAME | RrType::RRSIG)
                        && self.is_above(record.owner)
                    || is_transfer(self.qtype)
                        && self.name(record.owner).is_at_or_below(self.name(self.qname))
            }
            Section::Authority if is_apex(record.rrtype) => self.is_above(record.owner),
            Section::Authority | Section::Additional => {
                let owner = self.name(record.owner);
                self.zone().is_some_and(|zone| owner.is_at_or_below(zone))
            }
        }
    }

    /// Returns true if an owner is at or above the chain's end.
    pub(super) fn is_above_end(&self, owner: Span) -> bool {
        self.name(self.end()).is_at_or_below(self.name(owner))
    }

    /// Returns true if an owner is at or above a name of the chain.
    fn is_above(&self, owner: Span) -> bool {
        let owner = self.name(owner);
        self.chain.iter().any(|&link| self.name(link).is_at_or_below(owner))
    }

    fn zone(&self) -> Option<Name<'a>> {
        *self.zone.get_or_init(|| {
            let apex =
                self.apex.map(|apex| self.name(apex)).filter(|&apex| !suffix::is_public(apex));
            apex.or_else(|| suffix::registrable(self.name(self.end())))
        })
    }

    fn name(&self, span: Span) -> Name<'a> {
        self.names.get(span)
    }
}

/// Returns true for types that exist at the apex of a zone.
pub(super) fn is_apex(rrtype: RrType) -> bool {
    matches!(rrtype, RrType::NS | RrType::SOA)
}

/// Returns true for zone transfer queries (RFC 5936, RFC 1995).
fn is_transfer(qtype: RrType) -> bool {
    matches!(qtype, RrType::AXFR | RrType::IXFR)
}
