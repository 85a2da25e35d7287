//! Owners for the answers of a grouped event, which come by type, without owners and TTLs.
//!
//! Under `suricata`; Security Onion configures Suricata to write this form. Within a type the order is that
//! of the packet, in which an alias precedes its target: the CNAME records form a chain from QNAME on (RFC
//! 1034 §3.6.2), and the records of the requested type belong to its end. The owner of other types is
//! unknown. Types whose RDATA Suricata does not log are not even mentioned.

use super::detailed::{Filler, rrtype_of};
use super::event::{Datum, Groups};
use super::rdata::{RdataValues, is_logged};
use crate::decode::dns::{DnsOmission, Owners, Question, Section, Span};
use crate::rr::RrType;

/// Maximum number of aliases in a chain; resolvers follow far fewer.
const LONGEST_CHAIN: usize = 64;

/// Adds the answers of a grouped event. `has_soa`: the authority section contains an SOA record, which
/// indicates a negative answer.
pub(super) fn fill(
    filler: &mut Filler<'_>,
    groups: &Groups<'_>,
    question: Question,
    has_soa: bool,
) -> Owners {
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
        // Transfers and mailboxes (RFC 1035 §3.2.3): each record may have a different owner.
        (251..=254, _) => None,
        // All records of a name; but if it has an alias, those of the target may be included.
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
            // Each string of a TXT record is a separate value, and so is each record.
            let is_part = rrtype == RrType::TXT && list.len() > 1;
            filler.record(place, None, RdataValues { is_part, ..datum.into() });
        }
    }
    let Some(end) = end else { return Owners::Lost };
    let is_told = by_type.iter().any(|&(rrtype, _)| is_all || rrtype == qtype);
    if !is_told && !is_logged(qtype) && !has_soa {
        filler.left_out((Section::Answer, end, qtype), DnsOmission::RdataNotInLog);
    }
    Owners::Inferred
}

/// Adds the aliases of an answer, each owned by the target of the previous one; returns the end of the chain,
/// unless it is lost.
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
            // The same record again, because no name is an alias of itself.
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
