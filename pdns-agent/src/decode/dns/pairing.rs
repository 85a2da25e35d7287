//! Open questions: pairs responses with queries, and reports those never answered.
//!
//! Attackers choose the addresses, ids and names of most of the input. The tables are therefore keyed by a
//! secret hash, each step takes the same time however many questions are open, and a flood of questions only
//! evicts older ones, which are counted.
//!
//! Time here is the capture's clock: the latest packet time so far. Because it never goes back, questions
//! expire in the order in which they were asked, and a queue is sufficient to find them.

use super::ring::{TextAt, TextRing};
use crate::decode::wire::{Flow, Transport};
use crate::hash::Hasher;
use crate::name::Name;
use crate::observation::{Fact, Observation, Outcome, Provenance};
use crate::rr::RrType;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;

/// Octets reserved for the name of each question; a name has about 20 in practice, and longer names use the
/// space of others.
const NAME_SHARE: usize = 32;
/// Upper bound for a name in canonical text: 254 octets, each written as `\DDD`, are shorter.
const LONGEST_NAME: usize = 1024;

/// The open questions.
pub(super) struct Pairing {
    hasher: Hasher,
    /// Time in microseconds after which a question expires.
    timeout: i64,
    most: usize,
    /// Questions in the order in which they were asked.
    open: VecDeque<OpenQuestion>,
    /// Number of the first of them; numbers wrap around.
    first: u32,
    names: TextRing,
    /// Numbers of questions, by hash.
    by_hash: HashTable<u32>,
    /// Open questions by flow and id, for responses that do not repeat the question.
    by_id: HashTable<SameId>,
    key: Vec<u8>,
}

/// One question. It stays open until it expires, whether answered or not.
#[derive(Clone, Copy)]
struct OpenQuestion {
    /// Hash of flow and id.
    id: u64,
    /// Hash of everything that an answer must repeat: flow, id, QTYPE and QNAME.
    hash: u64,
    /// Last clock value at which the question is open, in microseconds.
    deadline: i64,
    name: TextAt,
    /// Time of its first query, in whole seconds.
    at: u32,
    /// Number of answers still expected.
    asked: u32,
    qtype: RrType,
    is_answered: bool,
    /// True if all of its queries requested recursion.
    wants_recursion: bool,
}

/// Questions of the same flow and id.
#[derive(Clone, Copy)]
struct SameId {
    id: u64,
    count: u32,
    /// XOR of their numbers: the number itself if there is only one question.
    numbers: u32,
    /// Number of questions, the oldest ones, that were open when a response arrived that answers none of them
    /// for sure.
    responded: u32,
}

/// Result of registering a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegisteredQuery {
    /// True if it repeated an open question.
    pub(super) again: bool,
    /// Number of questions evicted for it.
    pub(super) evicted: u64,
    /// Hash of everything that a response must repeat.
    pub(super) question: u64,
}

/// Details of an expected response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExpectedResponse {
    /// True if the client requested recursion: it queried a resolver, not an authoritative server.
    pub(super) wants_recursion: bool,
}

/// Details of a response that no question expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnexpectedResponse {
    /// Hash of everything that its query must contain.
    pub(super) question: u64,
}

/// A keyed hash, either of the flow and id of a query or of a whole message.
#[derive(Clone, Copy)]
pub(super) struct Id(pub(super) u64);

impl Pairing {
    /// Creates a table for up to `most` open questions; `timeout` is in microseconds.
    pub(super) fn new(most: usize, timeout: i64) -> Self {
        // Numbers of questions have 32 bits.
        let most = most.clamp(1, u32::MAX as usize / 2);
        let mut key = [0; 16];
        for half in key.chunks_exact_mut(8) {
            half.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
        }
        Self {
            hasher: Hasher::new(&key),
            timeout,
            most,
            open: VecDeque::new(),
            first: 0,
            names: TextRing::new((most * NAME_SHARE).max(LONGEST_NAME)),
            by_hash: HashTable::new(),
            by_id: HashTable::new(),
            key: Vec::new(),
        }
    }

    /// Number of open questions.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Identifies a message by its [`Pairing::id`] and its bytes, one of which gives the direction.
    pub(super) fn message(&self, id: Id, octets: &[u8]) -> Id {
        Id(id.0 ^ self.hasher.octets(octets).rotate_left(32))
    }

    /// Hash of a query's id and its flow, from client to server.
    pub(super) fn id(&self, query: Flow, id: u16) -> Id {
        let transport = match query.transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
        };
        let ((from, from_port), (to, to_port)) = (query.from, query.to);
        let [p1, p2] = from_port.to_be_bytes();
        let [p3, p4] = to_port.to_be_bytes();
        let [i1, i2] = id.to_be_bytes();
        let rest = [p1, p2, p3, p4, i1, i2, transport];
        // The lengths differ between IP versions, so that they cannot be confused.
        Id(match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut key = [0; 15];
                join(&mut key, [&from.octets(), &to.octets(), &rest]);
                self.hasher.octets(&key)
            }
            (from, to) => {
                let [from, to] = [from, to].map(|address| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                });
                let mut key = [0; 39];
                join(&mut key, [&from, &to, &rest]);
                self.hasher.octets(&key)
            }
        })
    }

    /// Registers a query at `clock`; its packet has the time `at`.
    pub(super) fn ask(
        &mut self,
        id: Id,
        (name, qtype): (Name<'_>, RrType),
        wants_recursion: bool,
        clock: i64,
        at: u32,
    ) -> RegisteredQuery {
        let hash = self.hash(id, name, qtype);
        if let Some(question) = self.find(hash) {
            question.asked = question.asked.saturating_add(1);
            question.wants_recursion &= wants_recursion;
            return RegisteredQuery { again: true, evicted: 0, question: hash };
        }
        let mut evicted = 0;
        let name = loop {
            if self.open.len() < self.most
                && let Some(name) = self.names.push(name.as_str())
            {
                break name;
            }
            // The ring has room for any name once it is empty.
            if self.close().is_none() {
                return RegisteredQuery { again: false, evicted, question: hash };
            }
            evicted += 1;
        };
        let number = self.first.wrapping_add(u32::try_from(self.open.len()).unwrap_or(u32::MAX));
        let (deadline, asked) = (clock.saturating_add(self.timeout), 1);
        self.open.push_back(OpenQuestion {
            id: id.0,
            hash,
            deadline,
            name,
            at,
            asked,
            qtype,
            is_answered: false,
            wants_recursion,
        });
        let (open, first) = (&self.open, self.first);
        self.by_hash.insert_unique(hash, number, |&number| {
            nth(open, first, number).map_or(0, |question| question.hash)
        });
        match self.by_id.entry(id.0, |same| same.id == id.0, |same| same.id) {
            Slot::Occupied(mut same) => {
                same.get_mut().count += 1;
                same.get_mut().numbers ^= number;
            }
            Slot::Vacant(slot) => {
                slot.insert(SameId { id: id.0, count: 1, numbers: number, responded: 0 });
            }
        }
        RegisteredQuery { again: false, evicted, question: hash }
    }

    /// Registers a response to a question. A zone transfer over a stream is answered by any number of
    /// messages (RFC 5936 §2.2).
    ///
    /// # Errors
    /// [`UnexpectedResponse`] if no answer to its question was expected.
    pub(super) fn answer(
        &mut self,
        id: Id,
        name: Name<'_>,
        qtype: RrType,
        is_stream: bool,
    ) -> Result<ExpectedResponse, UnexpectedResponse> {
        let hash = self.hash(id, name, qtype);
        let question = self
            .find(hash)
            .filter(|question| question.asked > 0)
            .ok_or(UnexpectedResponse { question: hash })?;
        let is_transfer = is_stream && matches!(qtype, RrType::AXFR | RrType::IXFR);
        question.asked -= u32::from(!is_transfer);
        question.is_answered = true;
        Ok(ExpectedResponse { wants_recursion: question.wants_recursion })
    }

    /// Registers a response of which only flow and id are known for sure: none of the questions open for them
    /// is unanswered. Returns true if this is new for any of them. An answer that matches one of them is
    /// still expected.
    pub(super) fn respond(&mut self, id: Id) -> bool {
        let same = self.by_id.find_mut(id.0, |same| same.id == id.0);
        same.is_some_and(|same| std::mem::replace(&mut same.responded, same.count) < same.count)
    }

    /// Returns true if any question of this flow and id is open.
    pub(super) fn is_open(&self, id: Id) -> bool {
        self.by_id.find(id.0, |same| same.id == id.0).is_some()
    }

    /// The question for a response that does not repeat it, if exactly one is open for its flow and id.
    pub(super) fn question(&self, id: Id) -> Option<(Name<'_>, RrType)> {
        let same = self.by_id.find(id.0, |same| same.id == id.0).filter(|same| same.count == 1)?;
        let question = nth(&self.open, self.first, same.numbers)?;
        Some((self.names.name(question.name), question.qtype))
    }

    /// Returns true if a question expired before `clock`.
    pub(super) fn is_due(&self, clock: i64) -> bool {
        self.open.front().is_some_and(|question| question.deadline < clock)
    }

    /// Closes the questions that expired before `clock`; emits those that were never answered and returns
    /// their number.
    pub(super) fn expire(&mut self, clock: i64, emit: &mut dyn FnMut(Observation<'_>)) -> u64 {
        let mut unanswered = 0;
        while self.is_due(clock) {
            let Some(question) = self.close() else { break };
            if !question.is_answered {
                unanswered += 1;
                // The text stays in place until another is written.
                let rrname = self.names.name(question.name);
                let fact = Fact::Negative { qtype: question.qtype, outcome: Outcome::UNANSWERED };
                let provenance = Provenance::Exact;
                emit(Observation { rrname, fact, at: question.at, ttl: None, provenance });
            }
        }
        unanswered
    }

    /// Closes all questions; returns the number that were not answered.
    pub(super) fn clear(&mut self) -> u64 {
        let mut unanswered = 0;
        while let Some(question) = self.close() {
            unanswered += u64::from(!question.is_answered);
        }
        unanswered
    }

    fn hash(&mut self, id: Id, name: Name<'_>, qtype: RrType) -> u64 {
        self.key.clear();
        self.key.extend_from_slice(&id.0.to_ne_bytes());
        self.key.extend_from_slice(&qtype.0.to_ne_bytes());
        self.key.extend_from_slice(name.as_str().as_bytes());
        self.hasher.octets(&self.key)
    }

    /// The open question with this hash. The hash is keyed and has 64 bits, so equal hashes mean equal
    /// questions: comparing the name as well would double the cost, because it is elsewhere in memory.
    fn find(&mut self, hash: u64) -> Option<&mut OpenQuestion> {
        let (open, first) = (&mut self.open, self.first);
        let number = *self.by_hash.find(hash, |&number| {
            nth(open, first, number).is_some_and(|question| question.hash == hash)
        })?;
        open.get_mut(number.wrapping_sub(first) as usize)
    }

    /// Removes the oldest question.
    fn close(&mut self) -> Option<OpenQuestion> {
        let mut question = *self.open.front()?;
        let number = self.first;
        if let Ok(slot) = self.by_hash.find_entry(question.hash, |&other| other == number) {
            slot.remove();
        }
        if let Ok(mut same) = self.by_id.find_entry(question.id, |same| same.id == question.id) {
            same.get_mut().count -= 1;
            same.get_mut().numbers ^= number;
            // Questions close in the order in which they were asked.
            if same.get().responded > 0 {
                same.get_mut().responded -= 1;
                question.is_answered = true;
            }
            if same.get().count == 0 {
                same.remove();
            }
        }
        self.open.pop_front();
        self.first = self.first.wrapping_add(1);
        self.names.pop(question.name);
        Some(question)
    }
}

/// Concatenates parts whose total length is that of the whole.
fn join(whole: &mut [u8], parts: [&[u8]; 3]) {
    let mut rest = whole;
    for part in parts {
        if let Some((head, tail)) = rest.split_at_mut_checked(part.len()) {
            head.copy_from_slice(part);
            rest = tail;
        } else {
            return;
        }
    }
}

fn nth(open: &VecDeque<OpenQuestion>, first: u32, number: u32) -> Option<&OpenQuestion> {
    open.get(number.wrapping_sub(first) as usize)
}
