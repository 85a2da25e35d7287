//! Inference of owners and types: Zeek logs an answer section without them.
//!
//! The section is in packet order. An alias precedes its target, so the owner is followed from the query
//! along the chain of aliases (RFC 1034 §3.6.2). If a chain cannot be distinguished from the requested names,
//! nothing is guessed: the answer is omitted and counted. All observations made here are
//! [`Provenance::Inferred`].
//!
//! The extent of a chain follows the rule of `decode::dns`: RD comes from the query, RA from the response. A
//! log without these columns, or with responses only, does not show that a resolver answered, so chains end
//! where they leave QNAME's domain.

use super::answers::{Answer, Answers};
use super::emitted::{Emitted, Record};
use super::rdata;
use super::row::Row;
use crate::decode::dns::{bounds, is_resolved};
use crate::decode::{Omission, Rejection, Tally};
use crate::name::Name;
use crate::observation::{Fact, Observation, Outcome, Provenance};
use crate::rdata::Rdata;
use crate::rr::RrType;
use std::ops::Range;

/// Buffers reused for the next line, so that a typical line allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// One string for each name that is not canonical in place.
    names: Vec<String>,
    emitted: Emitted,
}

/// Interpretation of the names among the answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interpretation {
    /// Each is the target of an alias owned by the previous one.
    Chain,
    /// Those within in-addr.arpa and ip6.arpa, except in the last answer, form a chain (RFC 2317 §4); the
    /// others are the targets of the chain's end.
    Pointers,
    /// All except the last of this many names form a chain; the last is the primary server of a zone.
    Authority(usize),
    /// All are RDATA of the query name.
    Data,
    /// The interpretation is ambiguous.
    Ambiguous,
}

/// Determines how to interpret the names of a row.
fn interpret(qtype: Option<RrType>, query: &[u8], answers: &Answers) -> Interpretation {
    match qtype {
        Some(RrType::PTR) => Interpretation::Pointers,
        Some(RrType::SOA) => Interpretation::Authority(names(answers).count()),
        Some(RrType::NS | RrType::MX | RrType::SRV) => {
            // The TTLs of an RRset are equal (RFC 2181 §5.2); an alias mostly has a different one.
            let mut ttls = names(answers);
            let first = ttls.next();
            if ttls.all(|ttl| Some(ttl) == first) {
                Interpretation::Data
            } else {
                Interpretation::Ambiguous
            }
        }
        // A zone transfer contains every owner of the zone.
        Some(RrType::DNAME | RrType::ANY | RrType::AXFR | RrType::IXFR) => {
            Interpretation::Ambiguous
        }
        Some(_) => Interpretation::Chain,
        None if is_in_arpa(query) => Interpretation::Pointers,
        None => {
            // Names followed by their targets: a chain.
            let mut kinds = answers
                .iter()
                .map(|(answer, _)| answer)
                .filter(|answer| answer.is_typed() || matches!(answer, Answer::Name(_)));
            let data = kinds.find(|answer| answer.is_typed());
            if data.is_some() && kinds.all(Answer::is_typed) {
                Interpretation::Chain
            } else {
                Interpretation::Ambiguous
            }
        }
    }
}

/// The TTL of each answer that is a name.
fn names(answers: &Answers) -> impl Iterator<Item = Option<u32>> {
    answers.iter().filter(|(answer, _)| matches!(answer, Answer::Name(_))).map(|(_, ttl)| ttl)
}

/// Returns true if a dotted name is in one of the reverse trees (RFC 1035 §3.5, RFC 3596 §2.5).
fn is_in_arpa(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    [&b"in-addr.arpa"[..], b"ip6.arpa"].iter().any(|apex| {
        let Some(cut) = name.len().checked_sub(apex.len()) else { return false };
        let Some((head, tail)) = name.split_at_checked(cut) else { return false };
        tail.eq_ignore_ascii_case(apex) && (head.is_empty() || head.ends_with(b"."))
    })
}

/// Data of a row, apart from its answers.
pub(super) struct RowContext<'r, 'l> {
    pub(super) row: &'r Row<'l>,
    /// Label octets joined with dots.
    pub(super) query: &'r [u8],
    /// Whole seconds since the epoch.
    pub(super) at: u32,
}

/// Emits the observations of a row, and counts what it omits.
///
/// # Errors
/// [`Rejection::BadName`] for the query, [`Rejection::BadField`] for the other columns; nothing has been
/// emitted then.
pub(super) fn infer(
    context: &RowContext<'_, '_>,
    answers: &Answers,
    scratch: &mut Scratch,
    tally: &mut Tally,
    emit: &mut dyn FnMut(Observation<'_>),
) -> Result<(), Rejection> {
    let RowContext { row, query, at } = *context;
    let qtype = row.qtype()?;
    let outcome = outcome(row, qtype, answers.len() > 0)?;
    let Scratch { names, emitted } = scratch;
    emitted.clear();
    if names.len() <= answers.len() {
        names.resize_with(answers.len() + 1, String::new);
    }
    let mut names = names.iter_mut();
    let buffer = names.next().ok_or(Rejection::BadName)?;
    let owner = Name::from_dotted(query, buffer).map_err(|_| Rejection::BadName)?;
    if answers.len() > 0 && !answers.ttls_match() {
        tally.ttl_mismatches += 1;
    }

    // Owners are only compared if there is more than one record.
    if answers.len() > 1 {
        owner.write_wire(&mut emitted.wire);
    }
    let owner_wire = 0..emitted.wire.len();
    // Zeek logs the RD of the query, or nothing if it saw no query.
    let is_resolved = is_resolved(Some(row.rd.is_true()?), false, row.ra.is_true()?);
    let mut walker = AnswerWalker {
        owner,
        owner_wire,
        bounds: (!is_resolved).then(|| bounds(owner)),
        is_cut: false,
        is_lost: false,
        saw_data_name: false,
        qtype,
        at,
        compares: answers.len() > 1,
        emitted,
        tally,
        emit,
    };
    if answers.len() > 0 {
        let interpretation = interpret(qtype, query, answers);
        let last = answers.len() - 1;
        let mut names_left =
            if let Interpretation::Authority(count) = interpretation { count } else { 0 };
        for (index, (answer, ttl)) in answers.iter().enumerate() {
            let Answer::Name(raw) = answer else {
                walker.other(answer, ttl);
                continue;
            };
            names_left = names_left.saturating_sub(1);
            let is_alias = match interpretation {
                Interpretation::Chain => true,
                Interpretation::Pointers => index != last && is_in_arpa(raw),
                Interpretation::Authority(_) => names_left > 0,
                Interpretation::Data => false,
                Interpretation::Ambiguous => {
                    walker.is_lost = true;
                    walker.tally.omit(Omission::Ambiguous);
                    continue;
                }
            };
            let parsed = names.next().map(|buffer| Name::from_dotted(raw, buffer));
            match parsed {
                Some(Ok(name)) if is_alias => {
                    walker.alias(name, ttl);
                    walker.saw_data_name |= interpretation != Interpretation::Chain;
                }
                Some(Ok(name)) => walker.data_name(name, ttl),
                _ => walker.bad_name(is_alias),
            }
        }
    }
    walker.negative(outcome);
    Ok(())
}

/// State while processing the answers of one row.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct AnswerWalker<'s, 'e> {
    /// The end of the chain so far.
    owner: Name<'s>,
    /// Its wire form within `emitted`.
    owner_wire: Range<usize>,
    /// Domain that the chain must not leave, if any.
    bounds: Option<Name<'s>>,
    /// True if the chain left it.
    is_cut: bool,
    /// True if an answer was found that hides the next part of the chain.
    is_lost: bool,
    /// True after a name that allows a following address to have a different owner: a name that is not an
    /// alias, or an alias if names are requested.
    saw_data_name: bool,
    qtype: Option<RrType>,
    at: u32,
    compares: bool,
    emitted: &'e mut Emitted,
    tally: &'e mut Tally,
    emit: &'e mut dyn FnMut(Observation<'_>),
}

impl<'s> AnswerWalker<'s, '_> {
    fn alias(&mut self, name: Name<'s>, ttl: Option<u32>) {
        if self.is_lost {
            self.tally.omit(Omission::Ambiguous);
            return;
        }
        if self.is_cut {
            self.tally.omit(Omission::OutOfBailiwick);
            return;
        }
        let rdata = self.emit_name(RrType::CNAME, name, ttl);
        self.owner = name;
        self.owner_wire = rdata;
        self.is_cut = self.bounds.is_some_and(|bounds| !name.is_at_or_below(bounds));
    }

    fn data_name(&mut self, name: Name<'s>, ttl: Option<u32>) {
        if self.is_lost {
            self.tally.omit(Omission::Ambiguous);
        } else if self.is_cut {
            self.tally.omit(Omission::OutOfBailiwick);
        } else {
            self.emit_name(self.qtype.unwrap_or(RrType::PTR), name, ttl);
        }
        self.saw_data_name = true;
    }

    fn bad_name(&mut self, is_alias: bool) {
        self.tally.omit(Omission::BadName);
        self.is_lost |= is_alias;
        self.saw_data_name |= !is_alias;
    }

    /// Processes an answer that is not a name.
    fn other(&mut self, answer: Answer<'_>, ttl: Option<u32>) {
        let start = self.emitted.wire.len();
        let wire = &mut self.emitted.wire;
        let read = match answer {
            Answer::V4(address) => {
                wire.extend_from_slice(&address.octets());
                Ok(RrType::A)
            }
            // An A6 record contains more than the address (RFC 2874 §3.1), and an answer to an A6 question is
            // not an AAAA record.
            Answer::V6(_) if self.qtype == Some(RrType::A6) => Err(Omission::RdataNotInLog),
            Answer::V6(address) => {
                wire.extend_from_slice(&address.octets());
                Ok(RrType::AAAA)
            }
            Answer::Strings(rrtype, text) => {
                let keyword = if rrtype == RrType::SPF { b"SPF" } else { b"TXT" };
                rdata::strings(keyword, text, wire).ok_or(Omission::Undecodable).map(|()| rrtype)
            }
            Answer::Naptr(text) => {
                rdata::naptr(text, wire).ok_or(Omission::Undecodable).map(|()| RrType::NAPTR)
            }
            Answer::Update => Err(Omission::DynamicUpdate),
            Answer::NotInLog | Answer::Name(_) => Err(Omission::RdataNotInLog),
        };
        match read {
            Ok(_) if self.is_lost || self.saw_data_name => {
                self.emitted.wire.truncate(start);
                self.tally.omit(Omission::Ambiguous);
            }
            Ok(_) if self.is_cut => {
                self.emitted.wire.truncate(start);
                self.tally.omit(Omission::OutOfBailiwick);
            }
            Ok(rrtype) => self.record(rrtype, start, false, ttl),
            Err(omission) => {
                self.emitted.wire.truncate(start);
                self.tally.omit(omission);
            }
        }
    }

    /// Emits a record for which the log has a name; returns the position of the name's wire form.
    fn emit_name(&mut self, rrtype: RrType, name: Name<'s>, ttl: Option<u32>) -> Range<usize> {
        let start = self.emitted.wire.len();
        let is_partial = rdata::from_name(rrtype, name, &mut self.emitted.wire);
        let rdata = start..self.emitted.wire.len();
        self.record(rrtype, start, is_partial, ttl);
        rdata
    }

    /// Emits a record with the RDATA from `start` on, once per line.
    fn record(&mut self, rrtype: RrType, start: usize, partial: bool, ttl: Option<u32>) {
        let rdata = start..self.emitted.wire.len();
        if self.compares {
            let record = Record { owner: self.owner_wire.clone(), rrtype, rdata: rdata.clone() };
            if !self.emitted.insert(record) {
                self.tally.omit(Omission::Repeated);
                return;
            }
        }
        let octets = self.emitted.octets(&rdata);
        self.tally.records += 1;
        (self.emit)(Observation {
            rrname: self.owner,
            fact: Fact::Record(Rdata { rrtype, octets, partial }),
            at: self.at,
            ttl,
            provenance: Provenance::Inferred,
        });
    }

    /// Emits the outcome; an error refers to the end of the chain (RFC 2308 §2.1).
    fn negative(&mut self, outcome: Result<Option<Outcome>, Omission>) {
        let outcome = match outcome {
            Ok(None) => return,
            Ok(Some(_)) if self.is_lost => Err(Omission::Ambiguous),
            Ok(Some(_)) if self.is_cut => Err(Omission::ChainCut),
            Ok(Some(outcome)) => Ok(outcome),
            Err(omission) => Err(omission),
        };
        match (outcome, self.qtype) {
            (Ok(outcome), Some(qtype)) => {
                self.tally.negatives += 1;
                (self.emit)(Observation {
                    rrname: self.owner,
                    fact: Fact::Negative { qtype, outcome },
                    at: self.at,
                    ttl: None,
                    provenance: Provenance::Inferred,
                });
            }
            (Ok(_), None) => self.tally.omit(Omission::NoQtype),
            (Err(omission), _) => self.tally.omit(omission),
        }
    }
}

/// Outcome of the question: `Ok(None)` if it was answered, an omission if the log has no record and it is
/// unknown whether there was one.
fn outcome(
    row: &Row<'_>,
    qtype: Option<RrType>,
    has_answers: bool,
) -> Result<Result<Option<Outcome>, Omission>, Rejection> {
    let rcode = row.rcode()?;
    // Zeek copies AA and RA from a reply with an answer record, and from no other.
    let was_answered = row.rtt.is_set() || row.aa.is_true()? || row.ra.is_true()?;
    // A reply may be a referral, with authority records, or truncated, and Zeek logs neither. `rejected`
    // means that there was no record at all; only a stream is never truncated (RFC 7766 §5).
    let is_no_data = row.rejected.is_true()? && row.proto.is_stream()?;
    Ok(match rcode {
        None | Some(0) if has_answers => Ok(None),
        None => Ok(Some(Outcome::UNANSWERED)),
        Some(0) if was_answered || qtype.is_some_and(is_never_logged) => {
            Err(Omission::AnswerNotInLog)
        }
        Some(0) if qtype.is_none() => Err(Omission::NoQtype),
        Some(0) if is_no_data => Ok(Some(Outcome::NODATA)),
        Some(0) => Err(Omission::NodataOrReferral),
        Some(rcode) => Ok(Some(Outcome::from_rcode(rcode))),
    })
}

/// Returns true if Zeek never logs answers of this type, not even their existence.
fn is_never_logged(qtype: RrType) -> bool {
    matches!(
        qtype,
        RrType::WKS
            | RrType::HINFO
            | RrType::SVCB
            | RrType::HTTPS
            | RrType::TKEY
            | RrType::TSIG
            | RrType::CAA
    )
}
