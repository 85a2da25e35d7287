//! Which questions are open: pairs responses with queries, and tells what was never answered.
//!
//! Attackers choose the addresses, ids and names of most of what comes here. So the tables are keyed by a
//! secret hash, each step takes the same time however many questions are open, and a flood of questions only
//! drives out older ones, which are counted.
//!
//! Time here is the capture's clock: the latest time that any packet told. So it never goes back, questions
//! fall due in the order in which they were asked, and a queue is enough to find them.

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

/// Octets for the name of each question; a name has about 20 in practice, and those that are longer take from
/// the others.
const NAME_SHARE: usize = 32;
/// The longest name in canonical text: 254 octets, each of them `\DDD`, are less.
const LONGEST_NAME: usize = 1024;

/// The open questions.
pub(super) struct Pairing {
    hasher: Hasher,
    /// Microseconds from a question to the moment when its answer is no longer awaited.
    timeout: i64,
    most: usize,
    /// In the order in which they were asked.
    open: VecDeque<Question>,
    /// The number of the first of them; numbers wrap around.
    first: u32,
    names: TextRing,
    /// The numbers of questions by their hash.
    by_hash: HashTable<u32>,
    /// What is open by flow and id, for responses that do not repeat the question.
    by_id: HashTable<SameId>,
    key: Vec<u8>,
}

/// One question that was asked. It stays open until its time is over, answered or not.
#[derive(Clone, Copy)]
struct Question {
    /// Stands for the flow and the id.
    id: u64,
    /// The hash of all that an answer has to repeat: flow, id, QTYPE and QNAME.
    hash: u64,
    /// The clock may reach this and not pass it; microseconds.
    deadline: i64,
    name: TextAt,
    /// When it was asked first, whole seconds.
    at: u32,
    /// How many answers are awaited.
    asked: u32,
    qtype: RrType,
    is_answered: bool,
    /// Each of its queries wanted recursion.
    wants_recursion: bool,
}

/// Questions of one flow and id.
#[derive(Clone, Copy)]
struct SameId {
    id: u64,
    count: u32,
    /// The exclusive or of their numbers: the number itself, if it is one question.
    numbers: u32,
    /// So many of them, the oldest, were open when a response came that is the answer to none for sure.
    responded: u32,
}

/// What a query was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// It repeated a question that was open.
    pub(super) again: bool,
    /// How many questions had to go for it.
    pub(super) evicted: u64,
    /// Stands for all that a response to it has to have.
    pub(super) question: u64,
}

/// What a response has come to that was awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    /// The client wanted recursion: it asked a resolver, and not a server that speaks for itself.
    pub(super) wants_recursion: bool,
}

/// Why a response has no question that awaits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unawaited {
    /// Stands for all that its query has to have.
    pub(super) question: u64,
}

/// A keyed hash: stands for the flow and the id of a query, or for all of a message.
#[derive(Clone, Copy)]
pub(super) struct Id(pub(super) u64);

impl Pairing {
    /// No open questions, and room for `most`; `timeout` is in microseconds.
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

    /// How many questions are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Stands for a message, by its [`Pairing::id`] and its bytes, one of which says which way it goes.
    pub(super) fn message(&self, id: Id, octets: &[u8]) -> Id {
        Id(id.0 ^ self.hasher.octets(octets).rotate_left(32))
    }

    /// What stands for the flow of a query, from client to server, and its id.
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
        // Of another length for each version of IP, so that none is taken for another.
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

    /// Takes note of a query at `clock`, whose packet came `at`.
    pub(super) fn ask(
        &mut self,
        id: Id,
        (name, qtype): (Name<'_>, RrType),
        wants_recursion: bool,
        clock: i64,
        at: u32,
    ) -> Asked {
        let hash = self.hash(id, name, qtype);
        if let Some(question) = self.find(hash) {
            question.asked = question.asked.saturating_add(1);
            question.wants_recursion &= wants_recursion;
            return Asked { again: true, evicted: 0, question: hash };
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
                return Asked { again: false, evicted, question: hash };
            }
            evicted += 1;
        };
        let number = self.first.wrapping_add(u32::try_from(self.open.len()).unwrap_or(u32::MAX));
        let (deadline, asked) = (clock.saturating_add(self.timeout), 1);
        self.open.push_back(Question {
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
        Asked { again: false, evicted, question: hash }
    }

    /// Takes note of a response to a question. A zone transfer over a stream is answered by as many messages as it
    /// takes (RFC 5936 §2.2).
    ///
    /// # Errors
    /// [`Unawaited`] if no answer to its question was awaited.
    pub(super) fn answer(
        &mut self,
        id: Id,
        name: Name<'_>,
        qtype: RrType,
        is_stream: bool,
    ) -> Result<Awaited, Unawaited> {
        let hash = self.hash(id, name, qtype);
        let question = self
            .find(hash)
            .filter(|question| question.asked > 0)
            .ok_or(Unawaited { question: hash })?;
        let is_transfer = is_stream && matches!(qtype, RrType::AXFR | RrType::IXFR);
        question.asked -= u32::from(!is_transfer);
        question.is_answered = true;
        Ok(Awaited { wants_recursion: question.wants_recursion })
    }

    /// Takes note of a response of which only flow and id are known for sure: none of the questions that are open there
    /// is unanswered. Returns whether that is new of any. An answer that fits one of them is awaited as before.
    pub(super) fn respond(&mut self, id: Id) -> bool {
        let same = self.by_id.find_mut(id.0, |same| same.id == id.0);
        same.is_some_and(|same| std::mem::replace(&mut same.responded, same.count) < same.count)
    }

    /// Whether any question of this flow and id is open.
    pub(super) fn is_open(&self, id: Id) -> bool {
        self.by_id.find(id.0, |same| same.id == id.0).is_some()
    }

    /// The question of a response that does not repeat it, if just one is open of its flow and id.
    pub(super) fn question(&self, id: Id) -> Option<(Name<'_>, RrType)> {
        let same = self.by_id.find(id.0, |same| same.id == id.0).filter(|same| same.count == 1)?;
        let question = nth(&self.open, self.first, same.numbers)?;
        Some((self.names.name(question.name), question.qtype))
    }

    /// Whether a question was to be answered before `clock`.
    pub(super) fn is_due(&self, clock: i64) -> bool {
        self.open.front().is_some_and(|question| question.deadline < clock)
    }

    /// Closes what was to be answered before `clock`; returns how many of it never were, after telling of each.
    pub(super) fn expire(&mut self, clock: i64, emit: &mut dyn FnMut(Observation<'_>)) -> u64 {
        let mut unanswered = 0;
        while self.is_due(clock) {
            let Some(question) = self.close() else { break };
            if !question.is_answered {
                unanswered += 1;
                // The text stays where it is until another is written.
                let rrname = self.names.name(question.name);
                let fact = Fact::Negative { qtype: question.qtype, outcome: Outcome::UNANSWERED };
                let provenance = Provenance::Exact;
                emit(Observation { rrname, fact, at: question.at, ttl: None, provenance });
            }
        }
        unanswered
    }

    /// Closes all; returns how many were not answered.
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

    /// The open question of that hash. It is keyed and has 64 bits, so what has it is the question: to compare the
    /// name, too, would cost as much again, since that lies elsewhere in memory.
    fn find(&mut self, hash: u64) -> Option<&mut Question> {
        let (open, first) = (&mut self.open, self.first);
        let number = *self.by_hash.find(hash, |&number| {
            nth(open, first, number).is_some_and(|question| question.hash == hash)
        })?;
        open.get_mut(number.wrapping_sub(first) as usize)
    }

    /// Forgets the oldest question.
    fn close(&mut self) -> Option<Question> {
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

/// Puts parts one behind the other; they are as long as the whole.
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

fn nth(open: &VecDeque<Question>, first: u32, number: u32) -> Option<&Question> {
    open.get(number.wrapping_sub(first) as usize)
}
