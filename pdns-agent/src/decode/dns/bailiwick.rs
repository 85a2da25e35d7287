//! Which records of a response are to be believed: the chain of its answer, and what lies below its zone.
//!
//! A server may put anything into a response, and an attacker's does: an address for somebody else's name in
//! the additional section was how caches were poisoned (RFC 5452 §6, RFC 2181 §5.4.1). A record is filed if it
//! belongs to what was asked, or to the zone that the response shows itself to be about; the public suffix list
//! sets the limit where it shows none, or claims all of a top-level domain.
//!
//! An alias is how a server would speak for others: that of `evil.example` answers `www.evil.example CNAME
//! www.bank.com` and adds an address of `www.bank.com`. A resolver does not believe it, and asks the servers of
//! `bank.com` itself; what it tells its own clients then is such a chain, too, and a true one. So of a resolver's
//! answer the whole chain is taken, of any other server's the part within the registrable domain of QNAME.

use super::message::{Names, Record, Records, Section, Span};
use crate::name::{Name, suffix};
use crate::rr::RrType;
use std::cell::OnceCell;

/// Most names of a chain. Resolvers follow far fewer; each costs a look at every CNAME record.
const LONGEST_CHAIN: usize = 64;

/// Whether a response speaks for all of its chain: a resolver made it (RA) for a client that wanted recursion (RD).
///
/// What the query wanted decides, where it was seen: a malicious server can set any bit of its response, but not what
/// its victim's resolver asks for. `query` is `None` where no query was seen; then the response's own RD stands in.
pub(in crate::decode) fn is_resolved(query: Option<bool>, response: bool, has_ra: bool) -> bool {
    query.unwrap_or(response) && has_ra
}

/// The domain that the chain of a response may not leave, unless that is made by a resolver: the registrable domain of
/// QNAME, or, if it has none, QNAME.
pub(in crate::decode) fn bounds(qname: Name<'_>) -> Name<'_> {
    suffix::registrable(qname).unwrap_or(qname)
}

/// Follows the CNAME records of the answer section from QNAME (RFC 1034 §3.6.2); `chain` gets each name once.
///
/// Unless it `is_resolved`, the chain ends with the last name before it leaves the registrable domain of QNAME, or,
/// if QNAME has none, what is below QNAME. Whether it was cut there is returned.
pub(super) fn follow(
    qname: Span,
    records: &Records,
    names: &Names,
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

fn has(chain: &[Span], name: Span, names: &Names) -> bool {
    chain.iter().any(|&link| names.are_equal(link, name))
}

/// What a response may tell of.
pub(super) struct Bailiwick<'a> {
    names: &'a Names,
    /// From QNAME on; never empty.
    chain: &'a [Span],
    qname: Span,
    qtype: RrType,
    /// The zone below which owners are believed; worked out when it is first needed.
    zone: OnceCell<Option<Name<'a>>>,
    apex: Option<Span>,
}

impl<'a> Bailiwick<'a> {
    pub(super) fn new(
        names: &'a Names,
        chain: &'a [Span],
        qname: Span,
        qtype: RrType,
        records: &Records,
    ) -> Self {
        let mut bailiwick = Self { names, chain, qname, qtype, zone: OnceCell::new(), apex: None };
        // The first NS or SOA record of the authority section tells what zone it is (RFC 2308 §2, RFC 1034
        // §4.2.1), wherever it stands among the others.
        bailiwick.apex = records
            .all
            .iter()
            .filter(|record| record.section == Section::Authority && is_apex(record.rrtype))
            .find(|record| bailiwick.is_above(record.owner))
            .map(|record| record.owner);
        bailiwick
    }

    /// The name at which the chain ends.
    pub(super) fn end(&self) -> Span {
        self.chain.last().copied().unwrap_or(self.qname)
    }

    /// Whether a record may be filed.
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

    /// Whether an owner is at or above the chain's end.
    pub(super) fn is_above_end(&self, owner: Span) -> bool {
        self.name(self.end()).is_at_or_below(self.name(owner))
    }

    /// Whether an owner is at or above a name of the chain.
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

/// Types that stand at the apex of a zone.
pub(super) fn is_apex(rrtype: RrType) -> bool {
    matches!(rrtype, RrType::NS | RrType::SOA)
}

/// Questions for a whole zone (RFC 5936, RFC 1995).
fn is_transfer(qtype: RrType) -> bool {
    matches!(qtype, RrType::AXFR | RrType::IXFR)
}
