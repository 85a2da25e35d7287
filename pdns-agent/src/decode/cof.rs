//! Passive DNS from elsewhere: COF, and the JSON of DNSDB and dnsdbq, line by line.
//!
//! Layer 3. [`CofDecoder::line`] reads a line from `source` and emits an observation for each record in it, with the
//! count and the times that the line gives. Each line is independent.
//!
//! ```text
//! {"rrname":"www.example.com","rrtype":"A","rdata":["192.0.2.1"],"time_first":1700000000,"time_last":1700000100,"count":7}
//! {"cond":"begin"}  {"obj":{...}}  {"cond":"succeeded"}
//! ```
//!
//! - **`rdata`** is master file text, a string or an array; each element is a record with the count of the line,
//!   because all of them were in each of its answers. Elements that cannot be read are omitted and counted; if none
//!   can, the line is rejected.
//! - **`count`** is optional in COF. A line without it, or with 0, still tells of a record that was there: it counts
//!   once. A count beyond 2^53 - 1 becomes that number, as a lower bound. Our own output says where a count is one.
//! - **Times** are seconds, also with a fraction or as text, or ISO 8601 as dnsdbq prints; those of zone files
//!   (`zone_time_first`) are used if there are no others.
//! - **`ttl_min`, `ttl_max`, `ttl_last`, `pdns_partial`, `pdns_count_is_lower_bound`** are fields that our own COF
//!   has. All other fields are ignored: `bailiwick`, `origin`, `sensor_id`.
//!
//! All observations have [`Provenance::Imported`]: no sensor of this store saw them.
//!
//! Formats: draft-dulaunoy-dnsop-passive-dns-cof-12; DNSDB API version 2 with its Streaming API Framing.

use super::dns::is_meta;
use super::{Line, Omission, Rejection, Tally};
use crate::name::NameBuf;
use crate::observation::{Aggregated, Fact, Provenance, Seen};
use crate::rdata::{self, Rdata};
use crate::rr::RrType;
use memchr::memmem;
use object::{Frame, List, Record, Scalar};
use serde_json::error::Category;
use std::collections::HashSet;

mod object;

/// Fields of the framing, one of which each framed line has.
const FRAME: [&[u8]; 2] = [b"\"cond\"", b"\"obj\""];
/// The largest TTL (RFC 2181 §8).
const MAX_TTL: u64 = 0x7fff_ffff;

/// Reads the lines of one file.
#[derive(Debug, Default)]
pub struct CofDecoder {
    /// The RDATA of the line, end to end.
    octets: Vec<u8>,
    tally: Tally,
}

impl CofDecoder {
    /// Reads one line without its newline; ignores a carriage return at its end.
    ///
    /// # Errors
    /// [`Rejection`] if the line is unusable; nothing is emitted then. It is counted, and reading continues.
    pub fn line(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Aggregated<'_>),
    ) -> Result<Line, Rejection> {
        let ending = self.decode(line, emit);
        self.tally.count(ending);
        ending
    }

    /// Counts of all lines since the start.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn decode(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Aggregated<'_>),
    ) -> Result<Line, Rejection> {
        match line.iter().find(|octet| !octet.is_ascii_whitespace()) {
            None => return Ok(Line::Blank),
            Some(b'{') => {}
            Some(_) => return Err(Rejection::Json),
        }
        if FRAME.iter().any(|field| memmem::find(line, field).is_some()) {
            match read(line)? {
                Frame { obj: Some(record), .. } => return self.record(&record, emit),
                Frame { cond: Some(_), .. } => return Ok(Line::Directive),
                Frame { .. } => {}
            }
        }
        self.record(&read(line)?, emit)
    }

    fn record(
        &mut self,
        record: &Record<'_>,
        emit: &mut dyn FnMut(Aggregated<'_>),
    ) -> Result<Line, Rejection> {
        let Record { rrname, rrtype, rdata, .. } = record;
        if rrname.is_none() && rrtype.is_none() {
            return Ok(Line::OtherRecord);
        }
        let (Some(rrname), Some(rrtype), Some(rdata)) = (rrname, rrtype, rdata) else {
            return Err(Rejection::MissingField);
        };
        let rrname = NameBuf::parse(&rrname.0).map_err(|_| Rejection::BadName)?;
        let rrtype = type_of(rrtype)?;
        let (seen, has_bad_ttl) = seen(record)?;
        if is_meta(rrtype) {
            self.tally.omitted.add_many(Omission::Meta, rdata.0.len() as u64);
            return Ok(Line::Counted);
        }
        let ends = self.rdata(rrtype, rdata)?;
        self.tally.ttl_mismatches += u64::from(has_bad_ttl);
        let partial = record.pdns_partial == Some(true) && may_be_partial(rrtype);
        let mut start = 0;
        let mut met = HashSet::new();
        for end in ends {
            let octets = self.octets.get(start..end).unwrap_or_default();
            start = end;
            if !met.insert(octets) {
                self.tally.omitted.add(Omission::Repeated);
                continue;
            }
            self.tally.records += 1;
            let fact = Fact::Record(Rdata { rrtype, octets, partial });
            emit(Aggregated { rrname: rrname.as_name(), fact, seen });
        }
        Ok(Line::Counted)
    }

    /// Reads the RDATA into the buffer; returns the end of each one.
    fn rdata(&mut self, rrtype: RrType, list: &List<'_>) -> Result<Vec<usize>, Rejection> {
        self.octets.clear();
        let mut ends = Vec::with_capacity(list.0.len());
        for text in &list.0 {
            if rdata::parse(rrtype, text, &mut self.octets).is_ok() {
                ends.push(self.octets.len());
            }
        }
        match (ends.len(), list.0.len()) {
            (_, 0) => Err(Rejection::MissingField),
            (0, _) => Err(Rejection::BadRdata),
            (read, all) => {
                self.tally.omitted.add_many(Omission::Undecodable, (all - read) as u64);
                Ok(ends)
            }
        }
    }
}

/// Parses JSON; the error says whether it is JSON at all.
fn read<'l, T: serde::Deserialize<'l>>(line: &'l [u8]) -> Result<T, Rejection> {
    serde_json::from_slice(line).map_err(|error| match error.classify() {
        Category::Data => Rejection::BadField,
        Category::Io | Category::Syntax | Category::Eof => Rejection::Json,
    })
}

/// The record type: a mnemonic, `TYPEnnn` or a number.
fn type_of(scalar: &Scalar<'_>) -> Result<RrType, Rejection> {
    let found = match scalar {
        Scalar::Text(text) => text.parse().ok().or_else(|| text.parse().ok().map(RrType)),
        Scalar::Unsigned(number) => u16::try_from(*number).ok().map(RrType),
        Scalar::Float(_) => None,
    };
    found.ok_or(Rejection::BadType)
}

/// Returns true for types of which a source of ours may know only a part of a record.
fn may_be_partial(rrtype: RrType) -> bool {
    matches!(rrtype, RrType::MX | RrType::SRV | RrType::SOA | RrType::TXT | RrType::SPF)
}

/// Count, times and TTLs of a line; true if its TTLs were dropped because they contradict each other.
fn seen(record: &Record<'_>) -> Result<(Seen, bool), Rejection> {
    let count = match &record.count {
        None => 1,
        Some(count) => count.count().ok_or(Rejection::BadField)?.max(1),
    };
    let pairs = [
        (&record.time_first, &record.time_last),
        (&record.zone_time_first, &record.zone_time_last),
    ];
    let (first, last) = pairs
        .into_iter()
        .find(|(first, last)| first.is_some() || last.is_some())
        .ok_or(Rejection::BadTime)?;
    let time = |scalar: &Option<Scalar<'_>>| scalar.as_ref().ok_or(Rejection::BadTime)?.seconds();
    let (time_first, time_last) = (time(first)?, time(last)?);
    if time_first > time_last {
        return Err(Rejection::TimeOrder);
    }
    // A store has no room to say so of a small count, and none of ours is a lower bound.
    let is_bound = count > Seen::MAX_COUNT
        || (record.pdns_count_is_lower_bound == Some(true) && count >= u64::from(u32::MAX));
    let mut seen = Seen {
        count: count.min(Seen::MAX_COUNT),
        time_first,
        time_last,
        flags: Seen::flag(Provenance::Imported) | if is_bound { Seen::AT_LEAST } else { 0 },
        ..Seen::default()
    };
    let ttl = |scalar: &Option<Scalar<'_>>| match scalar {
        Some(Scalar::Unsigned(ttl)) if *ttl <= MAX_TTL => u32::try_from(*ttl).ok(),
        _ => None,
    };
    let without = seen;
    if let (Some(least), Some(most)) = (ttl(&record.ttl_min), ttl(&record.ttl_max)) {
        let ttl_last = ttl(&record.ttl_last).unwrap_or(Seen::NO_TTL);
        seen = Seen { ttl_min: least, ttl_max: most, ttl_last, ..seen };
    }
    let are_possible = seen.ttl_min <= seen.ttl_max || seen.ttl_min == Seen::NO_TTL;
    if are_possible && seen.is_possible() { Ok((seen, false)) } else { Ok((without, true)) }
}

#[cfg(test)]
mod tests;
