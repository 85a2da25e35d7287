//! Suricata's eve.json: DNS events of version 2, detailed or grouped, and version 3, line by line.
//!
//! Layer 3. [`SuricataDecoder::line`] reads a line from `source` and emits its observations. Each line is
//! independent, so the order in which logs are read, their rotation and restarts make no difference.
//!
//! ```text
//! line -> event (JSON) -> detailed (records have owners) -> decode::dns (chain, bailiwick, outcome)
//!                      -> grouped (owners are inferred)  ->
//! ```
//!
//! **Answers** produce all observations. The rules, and the code, are the same as for packets: see
//! `decode::dns` for chain, bailiwick, repeats and negative answers. Whether recursion was requested is taken
//! from the query's RD bit, if the same log contains the query before its answer and with its flags, as
//! version 3 does (`queries`); otherwise from the response's own.
//!
//! **Queries** are counted but otherwise ignored. Whether a query was answered requires both lines, which may
//! be in two files: nothing is reported as unanswered, and nothing as unsolicited. Nor does the log show
//! whether a mirror port delivered a packet twice.
//!
//! **Data missing from the log** is omitted and counted. The log contains no RDATA for most types
//! ([`Omission::RdataNotInLog`]), only the host of an MX record, and each string of a TXT record separately,
//! so that with several strings under one owner their grouping into records is unknown: each is stored as a
//! record with that string (both are partial). It contains no class either: names below `bind` and `server`
//! are assumed to be of class CHAOS (RFC 4892), all others of class IN. Version 2 of Suricata 7 has no
//! additional section. A dot within a label looks like one between labels.
//!
//! Formats: doc/userguide/output/eve/eve-json-format.rst of Suricata, and rust/src/dns/log.rs, which writes
//! them.
//!
//! [`Omission::RdataNotInLog`]: super::Omission::RdataNotInLog

use super::dns::{self, DnsOmission, DnsTally, Response};
use super::{Filter, Line, Omission, Rejection, Tally};
use crate::name::Name;
use crate::observation::{Aggregated, Observation, Provenance};
use crate::time::Timestamp;
use detailed::Filler;
use event::{Dns, Event, EventKind, Text};
use queries::Queries;

mod detailed;
mod event;
mod grouped;
mod queries;
mod rdata;

/// Reads the lines of one log in order.
#[derive(Default)]
pub struct SuricataDecoder {
    scratch: Scratch,
    queries: Queries,
    tally: Tally,
}

/// Buffers that are reused for the next line.
#[derive(Default)]
struct Scratch {
    response: dns::ResponseBuffers,
    /// Buffer for names that are not canonical in place.
    name: String,
    tally: DnsTally,
}

impl std::fmt::Debug for SuricataDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuricataDecoder").field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// Header flags of a response, from the hexadecimal digits in `flags` (RFC 1035 §4.1.1).
#[derive(Clone, Copy)]
struct Flags(u16);

impl Flags {
    fn read(text: Option<&Text<'_>>) -> Result<Self, Rejection> {
        let text = text.ok_or(Rejection::NoFlags)?;
        u16::from_str_radix(&text.0, 16).map(Self).map_err(|_| Rejection::BadField)
    }

    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    fn opcode(self) -> u16 {
        self.0 >> 11 & 0xf
    }
}

const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const RA: u16 = 0x0080;

impl SuricataDecoder {
    /// Reads one line without its newline; ignores a carriage return at its end.
    ///
    /// Emits the records in the order of the sections, then a negative answer if the line is one, all with
    /// the same time. Memory is kept for the next line, as much as the longest line needed.
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

    /// Reads the query in a line before the position of resumption; nothing is emitted or counted.
    pub fn skim(&mut self, line: &[u8]) {
        let event = serde_json::from_slice::<EventKind<'_>>(line)
            .ok()
            .filter(|kind| kind.event_type.as_ref().is_some_and(|kind| kind.0 == "dns"))
            .and_then(|_| serde_json::from_slice::<Event<'_>>(line).ok());
        if let Some((event, dns)) =
            event.as_ref().and_then(|event| Some((event, event.dns.as_ref()?)))
            && dns.is_query()
        {
            self.queries.note(event, dns);
        }
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
        // The kind is read from all events; the fields of other kinds may have any shape.
        let kind: EventKind<'_> = serde_json::from_slice(line).map_err(|_| Rejection::Json)?;
        if kind.event_type.is_none_or(|kind| kind.0 != "dns") {
            return Ok(Line::OtherRecord);
        }
        let event: Event<'_> = serde_json::from_slice(line).map_err(|_| Rejection::BadField)?;
        let dns = event.dns.as_ref().ok_or(Rejection::BadField)?;
        if dns.is_query() {
            self.queries.note(&event, dns);
            return Ok(Line::Filtered(Filter::Query));
        }
        if !dns.is_answer() {
            return Err(Rejection::BadField);
        }
        if !matches!(dns.version, Some(2 | 3)) {
            return Ok(Line::Filtered(Filter::Version));
        }
        let flags = Flags::read(dns.flags.as_ref())?;
        if flags.opcode() != 0 {
            return Ok(Line::Filtered(Filter::Opcode));
        }
        if is_multicast([event.src_port, event.dest_port]) {
            return Ok(Line::Filtered(Filter::Port));
        }
        let asked = self.queries.wants_recursion(&event, dns);
        let is_resolved = dns::is_resolved(asked, flags.has(RD), flags.has(RA));
        self.answer(dns, (flags, is_resolved), seconds(event.timestamp.as_ref())?, emit)
    }

    /// Reads an answer.
    fn answer(
        &mut self,
        event: &Dns<'_>,
        (flags, is_resolved): (Flags, bool),
        at: u32,
        emit: &mut dyn FnMut(Aggregated<'_>),
    ) -> Result<Line, Rejection> {
        let Self { scratch: Scratch { response: scratch, name, tally: told }, tally, .. } = self;
        let mut filler = Filler::new(scratch, name, told);
        let question = filler.question(event)?;
        if is_chaos(filler.name(question.name)) {
            return Ok(Line::Filtered(Filter::Class));
        }
        let owners = filler.sections(event, question);
        let rcode = Filler::rcode(event, flags.0);
        let response = Response {
            message: &[],
            rcode,
            is_authoritative: flags.has(AA),
            is_truncated: flags.has(TC),
            at,
            provenance: Provenance::Exact,
            owners,
            is_resolved,
        };
        let mut emit = |observation: Observation<'_>| emit(Aggregated::from(observation));
        response.file(question, scratch, told, &mut emit);
        count(told, tally);
        Ok(Line::Counted)
    }
}

/// The time of an event in whole seconds since the epoch: RFC 3339, except that the offset has no colon.
fn seconds(text: Option<&Text<'_>>) -> Result<u32, Rejection> {
    let time: jiff::Timestamp =
        text.and_then(|text| text.0.parse().ok()).ok_or(Rejection::BadTime)?;
    Timestamp::from_micros(time.as_microsecond()).seconds().ok_or(Rejection::TimeRange)
}

/// Returns true if a port is that of `NetBIOS` (137), mDNS (5353) or LLMNR (5355); a DNS client may have
/// chosen any port.
fn is_multicast(ports: [Option<u16>; 2]) -> bool {
    !ports.contains(&Some(53)) && ports.iter().any(|port| matches!(port, Some(137 | 5353 | 5355)))
}

/// Returns true if a name is in class CHAOS, used by servers for information about themselves.
fn is_chaos(name: Name<'_>) -> bool {
    name.labels().next_back().is_some_and(|label| matches!(label, "bind" | "server"))
}

/// Adds the counts from storing one response to the tally of the log.
fn count(told: &mut DnsTally, tally: &mut Tally) {
    let told = std::mem::take(told);
    tally.records += told.records;
    tally.negatives += told.negatives;
    for (&omission, &count) in &told.omitted {
        tally.omitted.add_many(omission.into(), count);
    }
}

impl From<DnsOmission> for Omission {
    fn from(omission: DnsOmission) -> Self {
        match omission {
            DnsOmission::Meta | DnsOmission::Class => Self::Meta,
            DnsOmission::OutOfBailiwick => Self::OutOfBailiwick,
            DnsOmission::Undecodable | DnsOmission::RestUnreadable => Self::Undecodable,
            DnsOmission::Repeated => Self::Repeated,
            DnsOmission::Truncated => Self::Truncated,
            DnsOmission::Referral => Self::Referral,
            DnsOmission::NodataOrReferral => Self::NodataOrReferral,
            DnsOmission::ChainCut => Self::ChainCut,
            DnsOmission::RdataNotInLog => Self::RdataNotInLog,
            DnsOmission::BadName => Self::BadName,
            DnsOmission::Ambiguous | DnsOmission::CaptureEnded => Self::Ambiguous,
        }
    }
}

#[cfg(test)]
mod tests;
