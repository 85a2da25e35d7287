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
pub(in crate::decode) struct Scratch {
    pub(in crate::decode) names: Names,
    pub(in crate::decode) records: Records,
    chain: Vec<Span>,
    repeats: Repeats,
}

/// A response whose records are read: what is said of it as a whole.
pub(in crate::decode) struct Response<'a> {
    /// The message that the records refer to; nothing where they do not.
    pub(in crate::decode) message: &'a [u8],
    /// All bits of the RCODE that are known.
    pub(in crate::decode) rcode: u16,
    /// The server has authority for the name (AA).
    pub(in crate::decode) is_authoritative: bool,
    /// Parts of the message are missing.
    pub(in crate::decode) is_truncated: bool,
    /// When it came, whole seconds.
    pub(in crate::decode) at: u32,
    /// Of all that tells its own owner.
    pub(in crate::decode) provenance: Provenance,
    /// How the owners of the answer section are known.
    pub(in crate::decode) owners: NameTotals,
    /// A resolver made it for a client that wanted recursion, and stands for all of its chain.
    pub(in crate::decode) is_resolved: bool,
}

/// How the owners of the answer section are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) enum NameTotals {
    /// Each record tells its own.
    TypeCode,
    /// They were worked out.
    Inferred,
    /// The same, and where the chain ends could not be.
    Lost,
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

impl<'a> Response<'a> {
    /// Reads the records of a message, which are those of a resolver to no client until more is said.
    pub(super) fn of_message(
        (message, records_at): (&'a [u8], usize),
        header: Header,
        at: u32,
        is_mdns: bool,
        scratch: &mut Scratch,
        tally: &mut DnsTally,
    ) -> Self {
        let Scratch { names, records, .. } = scratch;
        records.read(message, records_at, header, names, is_mdns);
        count(records, tally);
        Self {
            message,
            rcode: u16::from(records.extended_rcode.unwrap_or(0)) << 4 | header.rcode(),
            is_authoritative: header.is_authoritative(),
            is_truncated: header.is_truncated() || records.is_cut,
            at,
            provenance: Provenance::Exact,
            owners: NameTotals::TypeCode,
            is_resolved: false,
        }
    }

    /// Emits what a response to `question` tells: records, or a negative answer.
    pub(in crate::decode) fn file(
        &self,
        question: Question,
        scratch: &mut Scratch,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let Scratch { names, records, chain, repeats } = scratch;
        let is_cut = bailiwick::follow(question.name, records, names, self.is_resolved, chain);
        let (names, records) = (&*names, &*records);
        let bailiwick = Bailiwick::new(names, chain, question.name, question.qtype, records);
        // A question of the protocol itself (RFC 2930, RFC 8945) is not about data.
        let is_answered = matches!(question.qtype, RrType::TKEY | RrType::TSIG)
            // An answer of another class than that of the question: there is data, and no use for it.
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
            false if self.owners == NameTotals::Lost => Lead::Away,
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

    /// Emits all records of an mDNS response: any host tells of any name there (RFC 6762 §6), and says nothing
    /// where it has nothing.
    pub(super) fn file_all(
        &self,
        scratch: &mut Scratch,
        tally: &mut DnsTally,
        emit: &mut dyn FnMut(Observation<'_>),
    ) {
        let Scratch { names, records, repeats, .. } = scratch;
        repeats.clear();
        for (index, record) in (0..).zip(&records.all) {
            self.file_record(index, record, (&*records, &*names), repeats, tally, emit);
        }
    }

    /// Emits a record that may be filed, unless it cannot be read or was there before.
    fn file_record(
        &self,
        index: u32,
        record: &Record,
        (records, names): (&Records, &Names),
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
        if section == Section::Answer && self.owners != NameTotals::TypeCode {
            Provenance::Inferred
        } else {
            self.provenance
        }
    }

    /// Whether this is a negative answer (RFC 2308 §2), and why that cannot be told if it cannot.
    fn conclude(&self, findings: &Findings, lead: Lead) -> Result<Option<Outcome>, DnsOmission> {
        let rcode = self.rcode;
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
