//! Suricata's eve.json: its DNS events of version 2, detailed or grouped, and version 3, line by line.
//!
//! Layer 3. [`Decoder::line`] takes a line from `source` and emits what it says. Each line speaks for itself, so the
//! order in which logs are read, their rotation and a restart make no difference.
//!
//! ```text
//! line -> event (JSON) -> detailed (each record tells its owner) -> decode::dns (chain, bailiwick, outcome)
//!                      -> grouped (owners are worked out)        ->
//! ```
//!
//! **Answers** tell all that is filed. The rules are those of packets, and the code is, too: see `decode::dns` for chain,
//! bailiwick, repeats and negative answers. What wanted recursion is told by the query's RD bit, where the same log has
//! the query before its answer and tells its flags, as version 3 does (`queries`); else by the response's own.
//!
//! **Queries** are counted and left aside otherwise. Whether one was answered would take both lines, which may be in two
//! files: nothing is said to be unanswered, and nothing to be unsolicited. Nor can the log tell that a mirror port
//! showed a packet twice.
//!
//! **What the log does not hold** is left out and counted. It has no RDATA of most types ([`Omission::RdataNotInLog`]),
//! of MX the host alone, and each string of a TXT record in a place of its own, so that of several under one owner nobody
//! knows which are one record: each is filed as a record with that string (both are partial). It has no class either: names below
//! `bind` and `server` are taken for those of CHAOS (RFC 4892), all others for those of IN. Version 2 of Suricata 7 has no
//! additional section. A dot within a label looks like one between labels.
//!
//! Formats: doc/userguide/output/eve/eve-json-format.rst of Suricata, and rust/src/dns/log.rs, where they are written.
//!
//! [`Omission::RdataNotInLog`]: super::Omission::RdataNotInLog

use super::dns::{self, DnsOmission, DnsTally, Response};
use super::{Filter, Line, Omission, Rejection, Tally};
use crate::name::Name;
use crate::observation::{Observation, Provenance, Sightings};
use crate::time::Timestamp;
use detailed::Filler;
use event::{Dns, Event, Kind, Text};
use queries::Queries;

mod detailed;
mod event;
mod grouped;
mod queries;
mod rdata;

/// Reads the lines of one log in their order.
#[derive(Default)]
pub struct Decoder {
    scratch: Scratch,
    queries: Queries,
    tally: Tally,
}

/// What is kept from line to line, so that its memory is used again.
#[derive(Default)]
struct Scratch {
    response: dns::Scratch,
    /// For names that are not canonical where they stand.
    name: String,
    tally: DnsTally,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// The header of a response, as `flags` has it in hexadecimal digits (RFC 1035 §4.1.1).
#[derive(Clone, Copy)]
struct Flags(u16);

impl Flags {
    fn read(text: Option<&Text<'_>>) -> Result<Self, Rejection> {
        let text = text.ok_or(Rejection::BadField)?;
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

impl Decoder {
    /// Reads one line without its newline; a carriage return at its end is passed over.
    ///
    /// Emits the records in the order of the sections, then a negative answer if the line is one, all with one time.
    /// Memory is kept for the next line, as much as the longest line took.
    ///
    /// # Errors
    /// [`Rejection`] when the line cannot be used; then nothing is emitted. It is counted, and reading goes on.
    pub fn line(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Sightings<'_>),
    ) -> Result<Line, Rejection> {
        let ending = self.decode(line, emit);
        self.tally.count(ending);
        ending
    }

    /// Takes in the query that a line before the point of resumption tells; nothing is emitted or counted.
    pub fn skim(&mut self, line: &[u8]) {
        let event = serde_json::from_slice::<Kind<'_>>(line)
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

    /// What became of all lines since the start.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn decode(
        &mut self,
        line: &[u8],
        emit: &mut dyn FnMut(Sightings<'_>),
    ) -> Result<Line, Rejection> {
        match line.iter().find(|octet| !octet.is_ascii_whitespace()) {
            None => return Ok(Line::Blank),
            Some(b'{') => {}
            Some(_) => return Err(Rejection::Json),
        }
        // All events are looked at for their kind; the fields of others may have any shape.
        let kind: Kind<'_> = serde_json::from_slice(line).map_err(|_| Rejection::Json)?;
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
        emit: &mut dyn FnMut(Sightings<'_>),
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
        let mut emit = |observation: Observation<'_>| emit(Sightings::from(observation));
        response.file(question, scratch, told, &mut emit);
        count(told, tally);
        Ok(Line::Counted)
    }
}

/// The time of an event in whole seconds since the epoch: RFC 3339, but for an offset without its colon.
fn seconds(text: Option<&Text<'_>>) -> Result<u32, Rejection> {
    let time: jiff::Timestamp =
        text.and_then(|text| text.0.parse().ok()).ok_or(Rejection::BadTime)?;
    Timestamp::from_micros(time.as_microsecond()).seconds().ok_or(Rejection::TimeRange)
}

/// Whether ports are those of `NetBIOS` (137), mDNS (5353) or LLMNR (5355); a client of DNS may have chosen any.
fn is_multicast(ports: [Option<u16>; 2]) -> bool {
    !ports.contains(&Some(53)) && ports.iter().any(|port| matches!(port, Some(137 | 5353 | 5355)))
}

/// Whether a name is of those that servers answer of themselves, in class CHAOS.
fn is_chaos(name: Name<'_>) -> bool {
    name.labels().next_back().is_some_and(|label| matches!(label, "bind" | "server"))
}

/// Moves what was counted while one response was filed to the tally of the log.
fn count(told: &mut DnsTally, tally: &mut Tally) {
    let told = std::mem::take(told);
    tally.records += told.records;
    tally.negatives += told.negatives;
    for (omission, count) in told.omitted {
        *tally.omitted.entry(omission.into()).or_default() += count;
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
