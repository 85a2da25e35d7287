//! Conversion of DNS messages into observations.
//!
//! Layer 3. [`Decoder`] processes the messages of a capture in order and emits the records and negative
//! answers in them; it counts in a [`DnsTally`], by reason, what it leaves out.
//!
//! # Messages
//!
//! Opcode QUERY, class IN and one question; others are filtered or rejected (RFC 1035 §4.1, RFC 9619). Data
//! after the last counted record is ignored.
//!
//! # Queries and responses (`pairing`)
//!
//! A question is identified by flow, id, QNAME and QTYPE (RFC 5452 §9.1). It stays open for a timeout from
//! its first query; each repetition expects one more answer. If none arrived when the timeout expires, the
//! question becomes a negative answer, UNANSWERED, at the time of its first query. A response that no open
//! question expects is [`Provenance::Unsolicited`]: an attempt at cache poisoning looks like this (RFC 5452
//! §4). A response without a question takes that of its flow and id, if exactly one is open. The clock for
//! all this is the latest packet time so far, so it never goes back.
//!
//! # Records (`message`)
//!
//! Records are read one after another until one is unreadable; those before it count. Names are uncompressed
//! and in lower case, also in RDATA of types with names (RFC 3597 §4, RFC 4034 §6.2); all other RDATA is kept
//! octet by octet. Records of the protocol itself (OPT, TSIG, TKEY, SIG(0), question types) do not count. A
//! TTL with the top bit set is 0 (RFC 2181 §8). Identical records within one message count once (RFC 2181
//! §5).
//!
//! # Bailiwick (`bailiwick`)
//!
//! The chain consists of QNAME and the targets of its CNAME records (RFC 1034 §3.6.2). From the answer
//! section, the records owned by the chain are stored, and the DNAME and RRSIG records at or above it that
//! explain it (RFC 6672 §3.1, RFC 4035 §3.2.1); from a zone transfer, everything within the zone. From the
//! authority section, the NS and SOA records at or above the chain are stored; the first of them gives the
//! zone's apex. Everything else, including glue (RFC 9471), must lie at or below the apex. If there is no
//! apex, or it is a public suffix, it must lie at or below the registrable domain of the chain's end.
//!
//! Only a resolver may vouch for a whole chain, because it has queried the servers of each name: its response
//! has RA set, and the query had RD set (or the response, if no query is known). In any other response the
//! chain ends where it leaves the registrable domain of QNAME (if QNAME has none: the names below QNAME); the
//! alias that leads out is stored, its target is not. AA does not distinguish the two cases: resolvers set it
//! in answers from their own zones, and forwarders in all answers. Neither does RA alone: a malicious server
//! can set it, but it cannot choose the flags of its victim's query.
//!
//! # Negative answers (`response`)
//!
//! An RCODE other than 0, or no record of the requested type at the chain's end: no data, if an SOA record of
//! the authority section says so or the response is empty (RFC 2308 §2.2). A referral is not an answer. A
//! chain that was cut yields no negative answer: RCODE and lack of data belong to its true end (RFC 6604 §3).
//!
//! # Multicast
//!
//! mDNS (5353), LLMNR (5355) and `NetBIOS` (137) have no server to pair with. Their queries are filtered, all
//! their responses count as solicited, and those of mDNS are stored without a bailiwick check (RFC 6762 §6).
//! A flow from or to port 53 is DNS, whatever its other port: resolvers choose theirs from the whole range.

mod bailiwick;
mod duplicates;
mod message;
mod pairing;
mod repeats;
mod response;
mod ring;
mod tally;
mod waiting;

pub use tally::{DnsFilter, DnsOmission, DnsRejection, DnsTally, Ending};

pub(super) use bailiwick::{bounds, is_resolved};
pub(super) use message::{
    CLASS_IN, Data, MessageNames, Question, Record, Records, Section, Span, is_meta,
};
pub(super) use response::{Owners, Response, ResponseBuffers};

use super::wire::{Flow, Message, Transport};
use crate::observation::{Observation, Provenance};
use crate::time::Timestamp;
use duplicates::Duplicates;
use message::Header;
use pairing::{Id, Pairing, UnexpectedResponse};
use std::time::Duration;
use waiting::WaitingResponses;

/// Decoder settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// True to drop unsolicited responses. A capture that sees only one direction has no others.
    pub drop_unsolicited: bool,
    /// Time to wait for an answer.
    pub timeout: Duration,
    /// Maximum number of open questions. Beyond it, the oldest are dropped.
    pub pending: usize,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self { drop_unsolicited: false, timeout: Duration::from_secs(10), pending: 262_144 }
    }
}

/// Decodes the messages of one capture, by the rules in the module documentation.
pub struct Decoder {
    drop_unsolicited: bool,
    pairing: Pairing,
    duplicates: Duplicates,
    waiting: WaitingResponses,
    /// The latest packet time so far, in microseconds.
    clock: i64,
    scratch: ResponseBuffers,
    tally: DnsTally,
}

/// Kind of message, by port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Unicast,
    Mdns,
    /// LLMNR or `NetBIOS`.
    Local,
}

impl MessageKind {
    fn from_flow(flow: Flow) -> Self {
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
    /// A decoder without any state.
    #[must_use]
    pub fn new(options: DnsOptions) -> Self {
        let timeout = i64::try_from(options.timeout.as_micros()).unwrap_or(i64::MAX);
        Self {
            drop_unsolicited: options.drop_unsolicited,
            pairing: Pairing::new(options.pending, timeout),
            duplicates: Duplicates::default(),
            waiting: WaitingResponses::default(),
            clock: i64::MIN,
            scratch: ResponseBuffers::default(),
            tally: DnsTally::default(),
        }
    }

    /// Decodes one message, and emits its observations and the questions that its time proves to be
    /// unanswered.
    ///
    /// # Errors
    /// [`DnsRejection`] if the message cannot be read; it is also counted.
    pub fn message(
        &mut self,
        message: &Message<'_>,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        self.advance(message.at, emit);
        let ending = self.see(message, emit);
        self.tally.count(ending);
        self.note_gauges();
        ending
    }

    /// Processes a message of which only the first bytes were captured, and which is counted elsewhere. A
    /// query with a complete question opens it; a response shows that its query was answered. See
    /// [`Message::is_cut`].
    pub fn glimpse(&mut self, message: &Message<'_>, emit: &mut dyn FnMut(Observation<'_>)) {
        self.advance(message.at, emit);
        let Some((id, header)) = self.paired(message) else { return };
        if header.is_response() {
            self.respond(id, emit);
        } else if let Some(at) = message.at.seconds()
            && header.opcode() == 0
            && header.counts[0] == 1
        {
            self.scratch.names.clear();
            let names = &mut self.scratch.names;
            let question = message::question(message.octets, Header::LENGTH, names);
            if let Some((question, _)) = question.filter(|(found, _)| found.class == CLASS_IN) {
                self.ask(id, question, header, at, emit);
            }
        }
        self.note_gauges();
    }

    /// Sets the clock to the time of any packet, and emits the questions that are now unanswered and the
    /// responses that are now unsolicited. Cheap if nothing is due. Earlier times are ignored, and so are
    /// times that no store accepts, which would stop the clock.
    pub fn advance(&mut self, now: Timestamp, emit: &mut dyn FnMut(Observation<'_>)) {
        if now.micros() > self.clock && now.seconds().is_some() {
            self.clock = now.micros();
            if self.waiting.is_due(self.clock) {
                while self.waiting.is_due(self.clock) {
                    self.read_oldest(emit);
                }
                self.note_gauges();
            }
            if self.pairing.is_due(self.clock) {
                self.tally.negatives += self.pairing.expire(self.clock, emit);
                self.note_gauges();
            }
        }
    }

    /// Processes the waiting responses as unsolicited, as at the end of a capture. Questions stay open.
    pub fn settle(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        while self.read_oldest(emit) {}
        self.note_gauges();
    }

    /// Ends the capture: emits waiting responses, counts questions that are still open and unanswered, and
    /// resets all questions and the clock. The decoder can then be used for another capture.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        self.settle(emit);
        let unanswered = self.pairing.clear();
        if unanswered > 0 {
            self.tally.omitted.add_many(DnsOmission::CaptureEnded, unanswered);
        }
        self.duplicates.clear();
        self.clock = i64::MIN;
        self.note_gauges();
    }

    /// Counts of all messages so far.
    #[must_use]
    pub fn tally(&self) -> &DnsTally {
        &self.tally
    }

    /// Takes out the counts of all messages; waiting messages stay in the new tally.
    pub fn take_tally(&mut self) -> DnsTally {
        let mut tally = std::mem::take(&mut self.tally);
        tally.messages -= tally.waiting;
        (tally.waiting, tally.pending) = (0, 0);
        self.note_gauges();
        self.tally.messages = self.tally.waiting;
        tally
    }

    fn note_gauges(&mut self) {
        self.tally.pending = self.pairing.len() as u64;
        self.tally.waiting = self.waiting.len() as u64;
    }

    /// Processes a message unless it is a copy.
    fn see(
        &mut self,
        message: &Message<'_>,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        if message.at.seconds().is_none() {
            return Err(DnsRejection::TimeRange);
        }
        let Some(header) = Header::read(message.octets) else {
            self.note_unusable(message, emit);
            return Err(DnsRejection::ShortHeader);
        };
        let id = self.id(message.flow, header);
        if message.flow.transport == Transport::Udp {
            let bytes = self.pairing.message(id, message.octets);
            if self.duplicates.is_copy(bytes, message.at.micros()) {
                return Ok(Ending::Filtered(DnsFilter::Duplicate));
            }
        }
        let ending = self.read(message, (id, header), false, emit);
        if matches!(ending, Err(_) | Ok(Ending::Filtered(DnsFilter::Class | DnsFilter::Opcode))) {
            self.note_unusable(message, emit);
        }
        ending
    }

    /// Key for the flow and id of the query that a message is or answers.
    fn id(&self, flow: Flow, header: Header) -> Id {
        self.pairing.id(if header.is_response() { flow.reversed() } else { flow }, header.id)
    }

    /// The same, and the header, of a message that may be truncated to its first bytes; `None` if it cannot
    /// be paired.
    fn paired(&self, message: &Message<'_>) -> Option<(Id, Header)> {
        let header = Header::begin(message.octets)?;
        let is_paired = MessageKind::from_flow(message.flow) == MessageKind::Unicast;
        is_paired.then(|| (self.id(message.flow, header), header))
    }

    /// Registers an unusable message if it is a response.
    fn note_unusable(&mut self, message: &Message<'_>, emit: &mut dyn FnMut(Observation<'_>)) {
        let found = self.paired(message).filter(|(_, header)| header.is_response());
        if let Some((id, _)) = found {
            self.respond(id, emit);
        }
    }

    /// Registers an unusable response: its query is answered, whether it was already seen or arrives later.
    fn respond(&mut self, id: Id, emit: &mut dyn FnMut(Observation<'_>)) {
        // If there are too many for one flow and id, the others add no information.
        if !self.pairing.respond(id) && self.waiting.push(id, None, self.clock).is_ok() {
            self.make_room(emit);
        }
    }

    /// Reads a message; `is_late` if it has waited for its query.
    fn read(
        &mut self,
        message: &Message<'_>,
        (id, header): (Id, Header),
        is_late: bool,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        let at = message.at.seconds().ok_or(DnsRejection::TimeRange)?;
        if header.opcode() != 0 {
            return Ok(Ending::Filtered(DnsFilter::Opcode));
        }
        let kind = MessageKind::from_flow(message.flow);
        if kind != MessageKind::Unicast && !header.is_response() {
            return Ok(Ending::Filtered(DnsFilter::MulticastQuery));
        }
        self.scratch.names.clear();
        if kind == MessageKind::Mdns {
            return self.read_mdns(message.octets, header, at, emit);
        }
        let is_paired = kind == MessageKind::Unicast;
        if header.is_response() && header.counts[0] == 0 && is_paired && !is_late {
            // The question that it answers may still arrive.
            if !self.pairing.is_open(id) {
                return self.wait(message, id, header, None, emit);
            }
        }
        let paired = is_paired.then_some(id);
        let (question, records_at) = self.question(message.octets, header, paired)?;
        if question.class != CLASS_IN {
            return Ok(Ending::Filtered(DnsFilter::Class));
        }
        let mut provenance = Provenance::Exact;
        let mut asked = None;
        if is_paired {
            if !header.is_response() {
                self.ask(id, question, header, at, emit);
                return Ok(Ending::Query);
            }
            let is_stream = message.flow.transport == Transport::Tcp;
            let qname = self.scratch.names.get(question.name);
            match self.pairing.answer(id, qname, question.qtype, is_stream) {
                Ok(awaited) => asked = Some(awaited.wants_recursion),
                Err(UnexpectedResponse { question }) if !is_late => {
                    self.pairing.respond(id);
                    return self.wait(message, id, header, Some(question), emit);
                }
                Err(_) if self.drop_unsolicited => {
                    return Ok(Ending::Filtered(DnsFilter::Unsolicited));
                }
                Err(_) => {
                    provenance = Provenance::Unsolicited;
                    self.tally.unsolicited += 1;
                }
            }
        }
        let is_resolved = is_resolved(asked, header.wants_recursion(), header.has_recursion());
        let Self { scratch, tally, .. } = self;
        let read = (message.octets, records_at);
        let response = Response::from_message(read, header, at, false, scratch, tally);
        let response = Response { provenance, is_resolved, ..response };
        response.file(question, scratch, tally, emit);
        Ok(Ending::Response)
    }

    /// Opens a question, and reads the responses that arrived before it.
    fn ask(
        &mut self,
        id: Id,
        question: Question,
        header: Header,
        at: u32,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let qname = self.scratch.names.get(question.name);
        let asked = (qname, question.qtype);
        let asked = self.pairing.ask(id, asked, header.wants_recursion(), self.clock, at);
        self.tally.retransmissions += u64::from(asked.again);
        self.tally.evicted += asked.evicted;
        if !self.waiting.has(id) {
            return;
        }
        self.pairing.respond(id);
        while let Some(response) = self.waiting.take(id, asked.question) {
            self.read_late(&response, emit);
        }
    }

    /// Queues a response until its query arrives.
    fn wait(
        &mut self,
        message: &Message<'_>,
        id: Id,
        header: Header,
        question: Option<u64>,
        emit: &mut dyn FnMut(Observation<'_>),
    ) -> Result<Ending, DnsRejection> {
        let Message { at, flow, octets, .. } = *message;
        let response = waiting::Response { question, at, flow, octets: octets.into() };
        if self.waiting.push(id, Some(response), self.clock).is_err() {
            self.tally.hurried += 1;
            return self.read(message, (id, header), true, emit);
        }
        self.make_room(emit);
        Ok(Ending::Waiting)
    }

    /// Reads the oldest waiting responses if there are too many.
    fn make_room(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        while self.waiting.is_crowded() {
            let before = self.waiting.len();
            self.read_oldest(emit);
            self.tally.hurried += (before - self.waiting.len()) as u64;
        }
    }

    /// Reads the oldest waiting response; `false` if there is none.
    fn read_oldest(&mut self, emit: &mut dyn FnMut(Observation<'_>)) -> bool {
        let Some(oldest) = self.waiting.pop() else { return false };
        if let Some(response) = oldest {
            self.read_late(&response, emit);
        }
        true
    }

    /// Reads a response that has waited.
    fn read_late(&mut self, response: &waiting::Response, emit: &mut dyn FnMut(Observation<'_>)) {
        let waiting::Response { at, flow, octets, .. } = response;
        let message = Message { at: *at, flow: *flow, octets, is_cut: false };
        let ending = match Header::read(octets) {
            Some(header) => self.read(&message, (self.id(*flow, header), header), true, emit),
            None => Err(DnsRejection::ShortHeader),
        };
        self.tally.settle(ending);
    }

    /// The question of a message, either its own or the one that it answers, and the position of the records.
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

    /// Reads an mDNS response, which may repeat any number of questions.
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
        let response =
            Response::from_message((octets, records_at), header, at, true, scratch, tally);
        response.file_all(scratch, tally, emit);
        Ok(Ending::Response)
    }
}
