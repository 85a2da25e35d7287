//! Which record each answer of a grouped event is: answers come by type, without owners and TTLs.
//!
//! Under `suricata`; Security Onion has Suricata write this form. Within a type the order is that of the packet, where
//! an alias comes before what it leads to: the CNAME records are a chain from QNAME on (RFC 1034 §3.6.2), and the
//! records of the type asked for belong to its end. Of those of another type the owner cannot be told. Types of which
//! Suricata logs no RDATA are not even mentioned.

use super::detailed::{Filler, rrtype_of};
use super::event::{Datum, Groups};
use super::rdata::{Value, is_logged};
use crate::decode::dns::{DnsOmission, NameTotals, Question, Section, Span};
use crate::rr::RrType;

/// Most aliases of a chain; resolvers follow far fewer.
const LONGEST_CHAIN: usize = 64;

/// Takes the answers of a grouped event. `has_soa`: the authority section has an SOA record, which speaks for a
/// negative answer.
pub(super) fn fill(
    filler: &mut Filler<'_>,
    groups: &Groups<'_>,
    question: Question,
    has_soa: bool,
) -> NameTotals {
    // There were answers, whether they are logged or not.
    filler.has_answers();
    let mut by_type = Vec::with_capacity(groups.0.len());
    for (rrtype, list) in &groups.0 {
        match rrtype_of(rrtype) {
            Some(rrtype) => by_type.push((rrtype, list.0.as_slice())),
            None => filler.omit(DnsOmission::Undecodable, list.0.len()),
        }
    }
    let aliases = by_type.iter().find(|(rrtype, _)| *rrtype == RrType::CNAME);
    let qtype = question.qtype;
    let end = match (qtype.0, aliases) {
        // Transfers and mailboxes (RFC 1035 §3.2.3): each record may be another owner's.
        (251..=254, _) => None,
        // All that a name has; but if it has an alias, what it leads to may be there as well.
        (255, aliases) => Some(question.name).filter(|_| aliases.is_none()),
        (_, None) => Some(question.name),
        (_, Some((_, aliases))) => chain(filler, aliases, question.name),
    };
    let is_all = qtype == RrType::ANY;
    let is_chain = !matches!(qtype.0, 251..=255);
    for &(rrtype, list) in &by_type {
        if rrtype == RrType::CNAME && is_chain {
            continue;
        }
        let owner = end.filter(|_| is_all || rrtype == qtype);
        let Some(owner) = owner else {
            filler.omit(DnsOmission::Ambiguous, list.len());
            continue;
        };
        let place = (Section::Answer, owner, rrtype);
        for datum in list {
            // Strings of a TXT record are each a value of its own, as are records.
            let is_part = rrtype == RrType::TXT && list.len() > 1;
            filler.record(place, None, Value { is_part, ..datum.into() });
        }
    }
    let Some(end) = end else { return NameTotals::Lost };
    let is_told = by_type.iter().any(|&(rrtype, _)| is_all || rrtype == qtype);
    if !is_told && !is_logged(qtype) && !has_soa {
        filler.left_out((Section::Answer, end, qtype), DnsOmission::RdataNotInLog);
    }
    NameTotals::Inferred
}

/// Takes the aliases of an answer, each as the one before leads to it; the end of the chain, unless it is lost.
fn chain(filler: &mut Filler<'_>, aliases: &[Datum<'_>], qname: Span) -> Option<Span> {
    let mut links = vec![qname];
    let mut is_lost = false;
    for datum in aliases {
        let target = match datum {
            Datum::Text(text) if !text.is_root() => filler.add(text),
            _ => None,
        };
        let (Some(target), Some(&owner)) = (target, links.last()) else {
            filler.omit(DnsOmission::BadName, 1);
            is_lost = true;
            continue;
        };
        let is_same = |&link: &Span| filler.name(link) == filler.name(target);
        if is_same(&owner) {
            // The same record again, since no name is an alias of itself.
            filler.omit(DnsOmission::Repeated, 1);
        } else if is_lost || links.len() > LONGEST_CHAIN || links.iter().any(is_same) {
            filler.omit(DnsOmission::Ambiguous, 1);
            is_lost = true;
        } else {
            filler.record((Section::Answer, owner, RrType::CNAME), None, datum.into());
            links.push(target);
        }
    }
    links.last().copied().filter(|_| !is_lost)
}
