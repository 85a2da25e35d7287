//! From one response to observations: what is filed of its records, and whether it is a negative answer.

use super::bailiwick::{self, Bailiwick};
use super::message::{Header, Names, Question, Record, Records, Section, Span};
use super::repeats::Repeats;
use super::tally::{DnsOmission, DnsTally};
use crate::observation::{Fact, Observation, Outcome, Provenance};
use crate::rdata::Rdata;
use crate::rr::RrType;

/// What is kept from one response to the next, so that its memory is used again.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) names: Names,
    pub(super) records: Records,
    chain: Vec<Span>,
    repeats: Repeats,
}

/// A response that is being read.
pub(super) struct Response<'a> {
    pub(super) message: &'a [u8],
    pub(super) header: Header,
    /// Where the records begin.
    pub(super) records_at: usize,
    /// When it came, whole seconds.
    pub(super) at: u32,
    pub(super) provenance: Provenance,
    /// A resolver made it for a client that wanted recursion, and stands for all of its chain.
    pub(super) is_resolved: bool,
}

/// What the filed records say about the question.
#[derive(Default)]
struct Findings {
    /// The answer section has a record of the owner and type that were asked for.
    is_answered: bool,
    /// The authority section has an SOA record for the chain's end.
    has_soa: bool,
    /// The authority section has an NS record.
    has_ns: bool,
}

/// What the answer section leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Nothing: nothing at all is in it, not even an alias.
    Nowhere,
    /// The end of the chain.
    End,
    /// Names that the server has no business with, and so with what it says of them.
    Away,
}

impl Response<'_> {
    /// Emits what a response to `question` tells: records, or a negative answer.
    pub(super) fn read(
        &self,
        question: Question,
        scratch: &mut Scratch,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let Scratch { names, records, chain, repeats } = scratch;
        records.read(self.message, self.records_at, self.header, names, false);
        count(records, tally);
        let is_cut = bailiwick::follow(question.name, records, names, self.is_resolved, chain);
        let (names, records) = (&*names, &*records);
        let bailiwick = Bailiwick::new(names, chain, question.name, question.qtype, records);
        // A question of the protocol itself (RFC 2930, RFC 8945) is not about data.
        let is_answered = matches!(question.qtype, RrType::TKEY | RrType::TSIG);
        let mut findings = Findings { is_answered, ..Findings::default() };
        repeats.clear();
        for (index, record) in (0..).zip(&records.all) {
            if bailiwick.admits(record) {
                findings.add(record, question, &bailiwick, names);
                self.file(index, record, (records, names), repeats, tally, emit);
            } else {
                tally.omit(DnsOmission::OutOfBailiwick);
            }
        }
        let lead = match is_cut {
            true => Lead::Away,
            false if chain.len() == 1 && !records.has_answer => Lead::Nowhere,
            false => Lead::End,
        };
        match self.conclude(&findings, records, lead) {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                tally.negatives += 1;
                emit(Observation {
                    rrname: names.get(chain.last().copied().unwrap_or(question.name)),
                    fact: Fact::Negative { qtype: question.qtype, outcome },
                    at: self.at,
                    ttl: None,
                    provenance: self.provenance,
                });
            }
            Err(omission) => tally.omit(omission),
        }
    }

    /// Emits all records of an mDNS response: any host tells of any name there (RFC 6762 §6), and says nothing
    /// where it has nothing.
    pub(super) fn read_multicast(
        &self,
        scratch: &mut Scratch,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let Scratch { names, records, repeats, .. } = scratch;
        records.read(self.message, self.records_at, self.header, names, true);
        count(records, tally);
        repeats.clear();
        for (index, record) in (0..).zip(&records.all) {
            self.file(index, record, (&*records, &*names), repeats, tally, emit);
        }
    }

    /// Emits a record that may be filed, unless it cannot be read or was there before.
    fn file(
        &self,
        index: u32,
        record: &Record,
        (records, names): (&Records, &Names),
        repeats: &mut Repeats,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let Some(octets) = records.rdata(self.message, record.data) else {
            tally.omit(DnsOmission::Undecodable);
            return;
        };
        if !repeats.is_new(index, records, names, self.message) {
            tally.omit(DnsOmission::Repeated);
            return;
        }
        tally.records += 1;
        emit(Observation {
            rrname: names.get(record.owner),
            fact: Fact::Record(Rdata { rrtype: record.rrtype, octets, partial: false }),
            at: self.at,
            ttl: Some(record.ttl),
            provenance: self.provenance,
        });
    }

    /// Whether this is a negative answer (RFC 2308 §2), and why that cannot be told if it cannot.
    fn conclude(
        &self,
        findings: &Findings,
        records: &Records,
        lead: Lead,
    ) -> Result<Option<Outcome>, DnsOmission> {
        let extended = u16::from(records.extended_rcode.unwrap_or(0));
        let rcode = extended << 4 | self.header.rcode();
        // The RCODE is that of the last name of the whole chain (RFC 6604 §3), and so is the lack of data.
        if lead == Lead::Away && (rcode != 0 || !findings.is_answered) {
            return Err(DnsOmission::ChainCut);
        }
        if rcode != 0 {
            return Ok(Some(Outcome::from_rcode(rcode)));
        }
        if findings.is_answered {
            return Ok(None);
        }
        if self.header.is_truncated() || records.is_cut {
            return Err(DnsOmission::Truncated);
        }
        if findings.has_soa {
            return Ok(Some(Outcome::NODATA));
        }
        if lead != Lead::Nowhere {
            return Err(DnsOmission::NodataOrReferral);
        }
        if findings.has_ns && !self.header.is_authoritative() {
            return Err(DnsOmission::Referral);
        }
        Ok(Some(Outcome::NODATA))
    }
}

impl Findings {
    /// Takes note of a record that may be filed. One that cannot be read, or was there before, counts as well:
    /// it shows what the server meant.
    fn add(
        &mut self,
        record: &Record,
        question: Question,
        bailiwick: &Bailiwick<'_>,
        names: &Names,
    ) {
        match (record.section, record.rrtype) {
            (Section::Answer, rrtype) => {
                self.is_answered |= match question.qtype {
                    RrType::ANY | RrType::AXFR | RrType::IXFR | RrType::MAILA | RrType::MAILB => {
                        true
                    }
                    RrType::CNAME if rrtype == RrType::CNAME => {
                        names.are_equal(record.owner, question.name)
                            || names.are_equal(record.owner, bailiwick.end())
                    }
                    qtype => rrtype == qtype && names.are_equal(record.owner, bailiwick.end()),
                };
            }
            (Section::Authority, RrType::SOA) => {
                self.has_soa |= bailiwick.is_above_end(record.owner);
            }
            (Section::Authority, RrType::NS) => self.has_ns = true,
            _ => {}
        }
    }
}

/// Counts what was left out while the records were read.
fn count(records: &Records, tally: &mut DnsTally) {
    for (omission, count) in [
        (DnsOmission::Class, records.other_class),
        (DnsOmission::Meta, records.meta),
        (DnsOmission::RestUnreadable, u64::from(records.is_cut)),
    ] {
        if count > 0 {
            *tally.omitted.entry(omission).or_default() += count;
        }
    }
}
