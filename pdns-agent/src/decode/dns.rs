//! From DNS messages to observations, by these rules.
//!
//! Layer 3. [`Decoder`] takes the messages of a capture in their order and emits each record and each negative
//! answer that they tell; what is left out is counted in a [`DnsTally`], by reason.
//!
//! # Messages
//!
//! Opcode QUERY, class IN and one question; others are left out or rejected (RFC 1035 §4.1, RFC 9619). What comes
//! after the last counted record is ignored.
//!
//! # Queries and responses (`pairing`)
//!
//! A question is known by flow, id, QNAME and QTYPE (RFC 5452 §9.1). It stays open for a timeout from its first
//! query; one that is asked again meanwhile awaits one more answer. If none came when the time is over, the
//! question is a negative answer, UNANSWERED, at the time of its first query. A response that no open question
//! awaits is [`Provenance::Unsolicited`]: an attempt to poison a cache looks like that (RFC 5452 §4). A response
//! without a question takes that of its flow and id, if only one is open. The clock of all this is the latest
//! time that any packet told: it never goes back.
//!
//! # Records (`message`)
//!
//! Read one after the other until one cannot be: what came before stands. Names are uncompressed and in lower
//! case, in RDATA too where its type has names (RFC 3597 §4, RFC 4034 §6.2); all other RDATA is kept to the
//! octet. Records of the protocol itself (OPT, TSIG, TKEY, SIG(0), types of questions) are none. A TTL with the
//! top bit set is 0 (RFC 2181 §8). Of records that are alike within one message one counts (RFC 2181 §5).
//!
//! # Bailiwick (`bailiwick`)
//!
//! The chain is QNAME and what its CNAME records lead to (RFC 1034 §3.6.2). Of the answer section, what the
//! chain owns is filed, and the DNAME and RRSIG records at or above it that explain it (RFC 6672 §3.1, RFC 4035
//! §3.2.1); of a zone transfer, all that lies in the zone. Of the authority section, the NS and SOA records at
//! or above the chain, the first of which tells the zone's apex. All else, glue (RFC 9471) among it, must lie at
//! or below the apex; where there is none or it is a public suffix, at or below the registrable domain of the
//! chain's end.
//!
//! A server may speak for all of a chain only as a resolver, which has asked the servers of each name: its response
//! has RA set, and the query wanted recursion (RD; that of the response itself, where no query is known). Of any
//! other response the chain ends where it leaves the registrable domain of QNAME (where QNAME has none: what is
//! below QNAME); the alias that leads out is filed, what it leads to is not. AA does not tell the two apart:
//! resolvers set it in answers from zones of their own, and forwarders in all. Nor does RA alone: a malicious server
//! may set it, but what its victim's resolver wanted it cannot choose.
//!
//! # Negative answers (`response`)
//!
//! An RCODE other than 0, or no record of the type asked for at the chain's end: no data, if an SOA record of the
//! authority section says so or the response is empty (RFC 2308 §2.2). A referral is no answer. Of a chain that
//! was cut nothing is told: RCODE and lack of data are those of its true end (RFC 6604 §3).
//!
//! # Multicast
//!
//! mDNS (5353), LLMNR (5355) and `NetBIOS` (137) have no server to pair with. Their queries are left out, all of
//! their responses count as asked for, and those of mDNS are filed without regard to bailiwick (RFC 6762 §6).
//! A flow from or to port 53 is DNS, whatever its other port: resolvers draw theirs from all.

mod bailiwick;
mod message;
mod pairing;
mod repeats;
mod response;
mod ring;
mod tally;

pub use tally::{DnsFilter, DnsOmission, DnsRejection, DnsTally, Ending};

pub(super) use message::{
    CLASS_IN, Data, Names, Question, Record, Records, Section, Span, is_meta,
};
pub(super) use response::{Owners, Response, Scratch};

use super::wire::{Flow, Message, Transport};
use crate::observation::{Observation, Provenance};
use crate::time::Timestamp;
use message::Header;
use pairing::{Id, Pairing};
use std::time::Duration;

/// How messages are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether responses that nobody was seen to ask for are left out. A capture that sees one direction only
    /// has no others.
    pub drop_unsolicited: bool,
    /// How long an answer is awaited.
    pub timeout: Duration,
    /// Most open questions. When there are more, the oldest are forgotten.
    pub pending: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { drop_unsolicited: false, timeout: Duration::from_secs(10), pending: 262_144 }
    }
}

/// Decodes the messages of one capture. See the module for the rules.
pub struct Decoder {
    drop_unsolicited: bool,
    pairing: Pairing,
    /// The latest time that any packet told, in microseconds.
    clock: i64,
    scratch: Scratch,
    tally: DnsTally,
}

/// What a port says a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unicast,
    Mdns,
    /// LLMNR or `NetBIOS`.
    Local,
}

impl Kind {
    fn of(flow: Flow) -> Self {
        let ports = [flow.from.1, flow.to.1];
        if ports.contains(&53) {
            Self::Unicast
        } else if ports.contains(&5353) {
            Self::Mdns
        } else if ports.contains(&5355) || ports.contains(&137) {
            Self::Local
        } else {
            Self::Unicast
        }
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let timeout = i64::try_from(options.timeout.as_micros()).unwrap_or(i64::MAX);
        Self {
            drop_unsolicited: options.drop_unsolicited,
            pairing: Pairing::new(options.pending, timeout),
            clock: i64::MIN,
            scratch: Scratch::default(),
            tally: DnsTally::default(),
        }
    }

    /// Decodes one message, and emits what it tells and what its time shows to be unanswered.
    ///
    /// # Errors
    /// [`DnsRejection`] when the message cannot be read; it is counted, too.
    pub fn message(
        &mut self,
        message: &Message<'_>,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        let ending = match message.at.seconds() {
            Some(at) => {
                self.advance(message.at, emit);
                self.read(message, at, emit)
            }
            None => Err(DnsRejection::TimeRange),
        };
        self.tally.count(ending);
        self.tally.pending = self.pairing.len() as u64;
        ending
    }

    /// Tells the time of a packet, whatever was in it, and emits the questions that it shows to be unanswered.
    /// Cheap when nothing is due. A time before the latest changes nothing, nor does one that no store takes: it
    /// would stop the clock.
    pub fn advance(&mut self, now: Timestamp, emit: &mut dyn FnMut(Observation<'_>)) {
        if now.micros() > self.clock && now.seconds().is_some() {
            self.clock = now.micros();
            if self.pairing.is_due(self.clock) {
                self.tally.negatives += self.pairing.expire(self.clock, emit);
                self.tally.pending = self.pairing.len() as u64;
            }
        }
    }

    /// Ends the capture: questions that are open and not answered are counted, and nothing is open or known of
    /// the time any more. The decoder can go on with another capture.
    pub fn finish(&mut self) {
        let unanswered = self.pairing.clear();
        if unanswered > 0 {
            *self.tally.omitted.entry(DnsOmission::CaptureEnded).or_default() += unanswered;
        }
        self.tally.pending = 0;
        self.clock = i64::MIN;
    }

    /// What became of all messages so far.
    #[must_use]
    pub fn tally(&self) -> &DnsTally {
        &self.tally
    }

    fn read(
        &mut self,
        message: &Message<'_>,
        at: u32,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        let header = Header::read(message.octets).ok_or(DnsRejection::ShortHeader)?;
        if header.opcode() != 0 {
            return Ok(Ending::Filtered(DnsFilter::Opcode));
        }
        let kind = Kind::of(message.flow);
        if kind != Kind::Unicast && !header.is_response() {
            return Ok(Ending::Filtered(DnsFilter::MulticastQuery));
        }
        self.scratch.names.clear();
        if kind == Kind::Mdns {
            return self.read_mdns(message.octets, header, at, emit);
        }
        let flow = if header.is_response() { message.flow.reversed() } else { message.flow };
        let id = (kind == Kind::Unicast).then(|| self.pairing.id(flow, header.id));
        let (question, records_at) = self.question(message.octets, header, id)?;
        if question.class != CLASS_IN {
            return Ok(Ending::Filtered(DnsFilter::Class));
        }
        let qname = self.scratch.names.get(question.name);
        let mut provenance = Provenance::Exact;
        let mut wants_recursion = header.wants_recursion();
        if let Some(id) = id {
            if !header.is_response() {
                let question = (qname, question.qtype);
                let asked = self.pairing.ask(id, question, wants_recursion, self.clock, at);
                self.tally.retransmissions += u64::from(asked.again);
                self.tally.evicted += asked.evicted;
                return Ok(Ending::Query);
            }
            let is_stream = message.flow.transport == Transport::Tcp;
            if let Some(awaited) = self.pairing.answer(id, qname, question.qtype, is_stream) {
                wants_recursion = awaited.wants_recursion;
            } else {
                if self.drop_unsolicited {
                    return Ok(Ending::Filtered(DnsFilter::Unsolicited));
                }
                provenance = Provenance::Unsolicited;
                self.tally.unsolicited += 1;
            }
        }
        let is_resolved = wants_recursion && header.has_recursion();
        let Self { scratch, tally, .. } = self;
        let read = (message.octets, records_at);
        let response = Response::of_message(read, header, at, false, scratch, tally);
        let response = Response { provenance, is_resolved, ..response };
        response.file(question, scratch, tally, emit);
        Ok(Ending::Response)
    }

    /// The question of a message, its own or the one it answers, and where the records begin.
    fn question(
        &mut self,
        octets: &[u8],
        header: Header,
        id: Option<Id>,
    ) -> Result<(Question, usize), DnsRejection> {
        let names = &mut self.scratch.names;
        match header.counts[0] {
            0 => {
                let open =
                    id.filter(|_| header.is_response()).and_then(|id| self.pairing.question(id));
                let (name, qtype) = open.ok_or(DnsRejection::NoQuestion)?;
                let question = Question { name: names.add(name), qtype, class: CLASS_IN };
                Ok((question, Header::LENGTH))
            }
            1 => message::question(octets, Header::LENGTH, names).ok_or(DnsRejection::Question),
            _ => Err(DnsRejection::QuestionCount),
        }
    }

    /// A response of mDNS, which may repeat any number of questions.
    fn read_mdns(
        &mut self,
        octets: &[u8],
        header: Header,
        at: u32,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        let mut records_at = Header::LENGTH;
        for _ in 0..header.counts[0] {
            let read = message::question(octets, records_at, &mut self.scratch.names);
            (_, records_at) = read.ok_or(DnsRejection::Question)?;
        }
        let Self { scratch, tally, .. } = self;
        let response = Response::of_message((octets, records_at), header, at, true, scratch, tally);
        response.file_all(scratch, tally, emit);
        Ok(Ending::Response)
    }
}
