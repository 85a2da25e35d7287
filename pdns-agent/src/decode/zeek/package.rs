//! A row of pdns.log, the log of our Zeek package: one record or one negative answer, with everything that
//! dns.log lacks.
//!
//! Under `zeek`. Owner and type are those of the packet, so observations are [`Provenance::Exact`], or
//! [`Provenance::Unsolicited`] if Zeek saw no question. The package has no public suffix list, so the
//! bailiwick of additional records is checked here, and so are the aliases in answers of authoritative
//! servers: by the rules of `decode::dns`, except that a zone that is a public suffix is not trusted at all.

use super::answers::Answers;
use super::clock;
use super::row::{RawValue, Row};
use crate::decode::dns::bounds;
use crate::decode::{Omission, Rejection, Tally};
use crate::hex;
use crate::name::{Name, suffix};
use crate::observation::{Aggregated, Fact, Outcome, Provenance, Seen};
use crate::rdata::Rdata;
use crate::rr::RrType;

mod fields;

/// Buffers reused for the next line.
#[derive(Debug, Default)]
pub(super) struct LineBuffers {
    owner: Buffer,
    zone: Buffer,
    /// The RDATA's wire form.
    octets: Vec<u8>,
    fields: fields::FieldBuffers,
}

/// Buffer for one name.
#[derive(Debug, Default)]
struct Buffer {
    octets: Vec<u8>,
    name: String,
}

impl Buffer {
    /// Reads a name in the package's notation.
    fn name<'b>(&'b mut self, text: &'b [u8]) -> Option<Name<'b>> {
        let octets = decoded(text, &mut self.octets)?;
        Name::from_dotted(octets, &mut self.name).ok()
    }
}

/// Emits the observation of a row, or counts the reason why it is omitted.
///
/// # Errors
/// [`Rejection`] if a mandatory column cannot be read; nothing has been emitted then.
pub(super) fn read(
    row: &Row<'_>,
    rdata: &Answers,
    scratch: &mut LineBuffers,
    tally: &mut Tally,
    emit: &mut dyn FnMut(Aggregated<'_>),
) -> Result<(), Rejection> {
    let LineBuffers { owner, zone, octets, fields } = scratch;
    let package = &row.package;
    let seen = seen(row)?;
    let rrtype = RrType(package.rrtype.number()?.ok_or(Rejection::BadField)?);
    let rrname = owner.name(package.rrname.text()?.ok_or(Rejection::NoQuery)?);
    let rrname = rrname.ok_or(Rejection::BadName)?;
    if !is_believed(row, rrname, zone)? {
        tally.omit(Omission::OutOfBailiwick);
        return Ok(());
    }
    let fact = if let Some(outcome) = outcome(package.outcome)? {
        tally.negatives = tally.negatives.saturating_add(seen.count);
        Fact::Negative { qtype: rrtype, outcome }
    } else {
        octets.clear();
        let partial = match fields::rdata(rrtype, rdata, fields, octets) {
            Ok(partial) => partial,
            Err(omission) => {
                tally.omit(omission);
                return Ok(());
            }
        };
        tally.records = tally.records.saturating_add(seen.count);
        Fact::Record(Rdata { rrtype, octets, partial })
    };
    emit(Aggregated { rrname, fact, seen });
    Ok(())
}

/// Count, times and TTLs.
fn seen(row: &Row<'_>) -> Result<Seen, Rejection> {
    let package = &row.package;
    let first = clock::seconds(row.ts)?;
    let last = if package.last.is_set() { clock::seconds(package.last)? } else { first };
    let count = package.seen.large()?.unwrap_or(1);
    if count == 0 {
        return Err(Rejection::BadField);
    }
    let is_asked = !package.asked.is_set() || package.asked.is_true()?;
    let provenance = if is_asked { Provenance::Exact } else { Provenance::Unsolicited };
    let [ttl, smallest, largest] =
        [package.ttl, package.ttl_min, package.ttl_max].map(clock::wire_ttl);
    let known = [ttl, smallest, largest].into_iter().flatten();
    Ok(Seen {
        count: count.into(),
        time_first: first.min(last),
        time_last: first.max(last),
        ttl_min: known.clone().min().unwrap_or(Seen::NO_TTL),
        ttl_max: known.max().unwrap_or(0),
        ttl_last: ttl.unwrap_or(Seen::NO_TTL),
        flags: Seen::flag(provenance),
    })
}

/// Outcome of a question, if the row has one.
fn outcome(value: RawValue<'_>) -> Result<Option<Outcome>, Rejection> {
    let Some(text) = value.text()? else { return Ok(None) };
    let text = std::str::from_utf8(text).map_err(|_| Rejection::BadField)?;
    text.parse().map(Some).map_err(|_| Rejection::BadField)
}

/// Returns true if an owner is in the response's bailiwick.
fn is_believed(row: &Row<'_>, owner: Name<'_>, buffer: &mut Buffer) -> Result<bool, Rejection> {
    let (text, is_apex) = match (row.package.zone.text()?, row.package.qname.text()?) {
        (Some(zone), _) => (zone, true),
        (None, Some(qname)) => (qname, false),
        // The answer itself, or the servers of its zone.
        (None, None) => return Ok(true),
    };
    let Some(name) = buffer.name(text) else { return Ok(false) };
    // The answer of a server that is only trusted about the domain of QNAME, or its outcome.
    let is_answer = row.package.section.text()? == Some(b"answer") || row.package.outcome.is_set();
    if is_answer && !is_apex {
        return Ok(owner.is_at_or_below(bounds(name)));
    }
    let zone = if is_apex {
        Some(name).filter(|&name| !suffix::is_public(name))
    } else {
        suffix::registrable(name)
    };
    Ok(zone.is_some_and(|zone| owner.is_at_or_below(zone)))
}

/// Decodes a text of the package: each `%hh` represents one octet, and a text of `%` alone is empty.
fn decoded<'t>(text: &'t [u8], buffer: &'t mut Vec<u8>) -> Option<&'t [u8]> {
    if memchr::memchr(b'%', text).is_none() {
        return Some(text);
    }
    buffer.clear();
    if text == b"%" {
        return Some(buffer);
    }
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at_checked(at)?;
        buffer.extend_from_slice(plain);
        let [_, high, low, after @ ..] = escape else { return None };
        buffer.push(hex::digit(*high)? << 4 | hex::digit(*low)?);
        rest = after;
    }
    buffer.extend_from_slice(rest);
    Some(buffer)
}

#[cfg(test)]
mod tests;
