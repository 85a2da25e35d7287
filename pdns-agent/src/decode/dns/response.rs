//! Conversion of one response into observations: accepted records, or a negative answer.

use super::bailiwick::{self, Bailiwick};
use super::message::{Header, MessageNames, Question, Record, Records, Section, Span};
use super::repeats::Repeats;
use super::tally::{DnsOmission, DnsTally};
use crate::observation::{Fact, Observation, Outcome, Provenance};
use crate::rdata::Rdata;
use crate::rr::RrType;

/// Buffers that are reused for the next response.
#[derive(Default)]
pub(in crate::decode) struct ResponseBuffers {
    pub(in crate::decode) names: MessageNames,
    pub(in crate::decode) records: Records,
    chain: Vec<Span>,
    repeats: Repeats,
}

/// Properties of a response whose records have been read.
pub(in crate::decode) struct Response<'a> {
    /// The message that the records refer to; empty if they do not refer to one.
    pub(in crate::decode) message: &'a [u8],
    /// The RCODE, as far as its bits are known.
    pub(in crate::decode) rcode: u16,
    /// True if the server is authoritative for the name (AA).
    pub(in crate::decode) is_authoritative: bool,
    /// True if parts of the message are missing.
    pub(in crate::decode) is_truncated: bool,
    /// Time of arrival, in whole seconds.
    pub(in crate::decode) at: u32,
    /// Provenance of all records with an explicit owner.
    pub(in crate::decode) provenance: Provenance,
    /// Source of the owners in the answer section.
    pub(in crate::decode) owners: Owners,
    /// True if a resolver made it for a client that requested recursion, and vouches for the whole chain.
    pub(in crate::decode) is_resolved: bool,
}

/// Source of the owners in the answer section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) enum Owners {
    /// Each record has an explicit owner.
    Exact,
    /// They were inferred.
    Inferred,
    /// They were inferred, but the end of the chain could not be determined.
    Lost,
}

/// Facts about the question, collected from the accepted records.
#[derive(Default)]
struct Findings {
    /// True if the answer section contains a record of the requested owner and type.
    is_answered: bool,
    /// True if the authority section contains an SOA record for the chain's end.
    has_soa: bool,
    /// True if the authority section contains an NS record.
    has_ns: bool,
}

/// Target of the answer section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// None: the section is empty, without even an alias.
    Nowhere,
    /// The end of the chain.
    End,
    /// Names out of the server's bailiwick, about which its statements do not count.
    Away,
}

impl<'a> Response<'a> {
    /// Properties of a message, treated as a direct response of an authoritative server until the caller
    /// changes them.
    pub(super) fn from_message(
        (message, records_at): (&'a [u8], usize),
        header: Header,
        at: u32,
        is_mdns: bool,
        scratch: &mut ResponseBuffers,
        tally: &mut DnsTally,
    ) -> Self {
        let ResponseBuffers { names, records, .. } = scratch;
        records.read(message, records_at, header, names, is_mdns);
        count(records, tally);
        Self {
            message,
            rcode: u16::from(records.extended_rcode.unwrap_or(0)) << 4 | header.rcode(),
            is_authoritative: header.is_authoritative(),
            is_truncated: header.is_truncated() || records.is_cut,
            at,
            provenance: Provenance::Exact,
            owners: Owners::Exact,
            is_resolved: false,
        }
    }

    /// Emits the observations from a response to `question`: records, or a negative answer.
    pub(in crate::decode) fn file(
        &self,
        question: Question,
        scratch: &mut ResponseBuffers,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let ResponseBuffers { names, records, chain, repeats } = scratch;
        let is_cut = bailiwick::follow(question.name, records, names, self.is_resolved, chain);
        let (names, records) = (&*names, &*records);
        let bailiwick = Bailiwick::new(names, chain, question.name, question.qtype, records);
        // A question of the protocol itself (RFC 2930, RFC 8945) is not about data.
        let is_answered = matches!(question.qtype, RrType::TKEY | RrType::TSIG)
            // An answer in a different class from the question: there is data, but it is unusable.
            || records.has_unusable_answer;
        let mut findings = Findings { is_answered, ..Findings::default() };
        repeats.clear();
        for (index, record) in (0..).zip(&records.all) {
            if bailiwick.admits(record) {
                findings.add(record, question, &bailiwick, names);
                self.file_record(index, record, (records, names), repeats, tally, emit);
            } else {
                tally.omit(DnsOmission::OutOfBailiwick);
            }
        }
        let lead = match is_cut {
            true => Lead::Away,
            false if self.owners == Owners::Lost => Lead::Away,
            false if chain.len() == 1 && !records.has_answer => Lead::Nowhere,
            false => Lead::End,
        };
        match self.conclude(&findings, lead) {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                tally.negatives += 1;
                emit(Observation {
                    rrname: names.get(chain.last().copied().unwrap_or(question.name)),
                    fact: Fact::Negative { qtype: question.qtype, outcome },
                    at: self.at,
                    ttl: None,
                    provenance: self.provenance_of(Section::Answer),
                });
            }
            Err(omission) => tally.omit(omission),
        }
    }

    /// Emits all records of an mDNS response: any host may provide any name (RFC 6762 §6), and does not
    /// respond if it has no data.
    pub(super) fn file_all(
        &self,
        scratch: &mut ResponseBuffers,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let ResponseBuffers { names, records, repeats, .. } = scratch;
        repeats.clear();
        for (index, record) in (0..).zip(&records.all) {
            self.file_record(index, record, (&*records, &*names), repeats, tally, emit);
        }
    }

    /// Emits an accepted record, unless it is unreadable or a repetition.
    fn file_record(
        &self,
        index: u32,
        record: &Record,
        (records, names): (&Records, &MessageNames),
        repeats: &mut Repeats,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let octets = match records.rdata(self.message, record.data) {
            Ok(octets) => octets,
            Err(omission) => {
                tally.omit(omission);
                return;
            }
        };
        if !repeats.is_new(index, records, names, self.message) {
            tally.omit(DnsOmission::Repeated);
            return;
        }
        tally.records += 1;
        emit(Observation {
            rrname: names.get(record.owner),
            fact: Fact::Record(Rdata { rrtype: record.rrtype, octets, partial: record.partial }),
            at: self.at,
            ttl: record.ttl,
            provenance: self.provenance_of(record.section),
        });
    }

    fn provenance_of(&self, section: Section) -> Provenance {
        if section == Section::Answer && self.owners != Owners::Exact {
            Provenance::Inferred
        } else {
            self.provenance
        }
    }

    /// Returns the outcome if this is a negative answer (RFC 2308 §2), or the reason why that is unknown.
    fn conclude(&self, findings: &Findings, lead: Lead) -> Result<Option<Outcome>, DnsOmission> {
        let rcode = self.rcode;
        // RCODE and lack of data belong to the last name of the whole chain (RFC 6604 §3).
        if lead == Lead::Away && (rcode != 0 || !findings.is_answered) {
            return Err(DnsOmission::ChainCut);
        }
        if rcode != 0 {
            return Ok(Some(Outcome::from_rcode(rcode)));
        }
        if findings.is_answered {
            return Ok(None);
        }
        if self.is_truncated {
            return Err(DnsOmission::Truncated);
        }
        if findings.has_soa {
            return Ok(Some(Outcome::NODATA));
        }
        if lead != Lead::Nowhere {
            return Err(DnsOmission::NodataOrReferral);
        }
        if findings.has_ns && !self.is_authoritative {
            return Err(DnsOmission::Referral);
        }
        Ok(Some(Outcome::NODATA))
    }
}

impl Findings {
    /// Registers an accepted record. Unreadable and repeated ones count as well: they show the server's
    /// intention.
    fn add(
        &mut self,
        record: &Record,
        question: Question,
        bailiwick: &Bailiwick<'_>,
        names: &MessageNames,
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

/// Counts the records that were omitted while reading.
fn count(records: &Records, tally: &mut DnsTally) {
    for (omission, count) in [
        (DnsOmission::Class, records.other_class),
        (DnsOmission::Meta, records.meta),
        (DnsOmission::RestUnreadable, u64::from(records.is_cut)),
    ] {
        if count > 0 {
            tally.omitted.add_many(omission, count);
        }
    }
}
