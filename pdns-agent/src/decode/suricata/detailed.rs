//! Conversion of an event to the question and records of a response, in the form of `decode::dns`.
//!
//! Under `suricata`. Records here have explicit owners; `grouped` infers those of answers without.

use super::event::{Dns, RecordEntry, Text};
use super::grouped;
use super::rdata::{self, RdataValues};
use crate::decode::Rejection;
use crate::decode::dns::{
    self, CLASS_IN, Data, DnsOmission, DnsTally, MessageNames, Owners, Question, Record, Records,
    Section, Span, is_meta,
};
use crate::name::Name;
use crate::rr::RrType;
use std::collections::HashMap;

/// Largest TTL; one with the top bit set is 0 (RFC 2181 §8).
const MAX_TTL: u32 = 0x7fff_ffff;

/// Fills in one response.
pub(super) struct Filler<'s> {
    names: &'s mut MessageNames,
    records: &'s mut Records,
    /// Buffer for a name that is not canonical in place.
    buffer: &'s mut String,
    tally: &'s mut DnsTally,
}

impl<'s> Filler<'s> {
    /// Creates an empty response.
    pub(super) fn new(
        scratch: &'s mut dns::ResponseBuffers,
        buffer: &'s mut String,
        tally: &'s mut DnsTally,
    ) -> Self {
        let dns::ResponseBuffers { names, records, .. } = scratch;
        names.clear();
        records.clear();
        Self { names, records, buffer, tally }
    }

    /// The question of an event.
    pub(super) fn question(&mut self, event: &Dns<'_>) -> Result<Question, Rejection> {
        let (rrname, rrtype, is_truncated) = match event.queries.0.as_slice() {
            [] => (&event.rrname, &event.rrtype, event.rrname_truncated),
            [query] => (&query.rrname, &query.rrtype, query.rrname_truncated),
            _ => return Err(Rejection::QuestionCount),
        };
        let rrname = rrname.as_ref().ok_or(Rejection::NoQuery)?;
        let name = self.add(rrname).filter(|_| !is_truncated).ok_or(Rejection::BadName)?;
        let qtype = rrtype.as_ref().and_then(rrtype_of).ok_or(Rejection::BadField)?;
        Ok(Question { name, qtype, class: CLASS_IN })
    }

    /// Reads the records of all sections; returns the source of the answers' owners.
    pub(super) fn sections(&mut self, event: &Dns<'_>, question: Question) -> Owners {
        let authorities = &event.authorities.0;
        let owners = match (&event.answers, &event.grouped) {
            (Some(answers), _) => {
                self.section(Section::Answer, &answers.0);
                Owners::Exact
            }
            (None, Some(groups)) => {
                let is_soa =
                    |entry: &RecordEntry<'_>| entry.rrtype.as_ref().is_some_and(|t| t.0 == "SOA");
                grouped::fill(self, groups, question, authorities.iter().any(is_soa))
            }
            (None, None) => Owners::Exact,
        };
        self.section(Section::Authority, authorities);
        self.section(Section::Additional, &event.additionals.0);
        owners
    }

    /// The RCODE: four bits of the header, and eight of the OPT record if it is logged (RFC 6891 §6.1.3).
    pub(super) fn rcode(event: &Dns<'_>, flags: u16) -> u16 {
        let is_option =
            |entry: &&RecordEntry<'_>| entry.rrtype.as_ref().is_some_and(|t| t.0 == "OPT");
        let ttl = event.additionals.0.iter().find(is_option).and_then(|entry| entry.ttl);
        let [extended, ..] = ttl.unwrap_or(0).to_be_bytes();
        u16::from(extended) << 4 | flags & 0xf
    }

    /// Reads the records of one section.
    fn section(&mut self, section: Section, entries: &[RecordEntry<'_>]) {
        let strings = Strings::count(entries);
        for entry in entries {
            let rrtype = entry.rrtype.as_ref().and_then(rrtype_of);
            if rrtype == Some(RrType::OPT) {
                continue;
            }
            self.records.has_answer |= section == Section::Answer;
            let owner = entry.rrname.as_ref().filter(|_| !entry.rrname_truncated);
            match (rrtype, owner.and_then(|owner| self.add(owner))) {
                (None, _) => self.tally.omit(DnsOmission::Undecodable),
                (Some(rrtype), _) if is_meta(rrtype) => self.tally.omit(DnsOmission::Meta),
                (Some(_), None) => self.tally.omit(DnsOmission::BadName),
                (Some(rrtype), Some(owner)) => {
                    let ttl = entry.ttl.map(|ttl| if ttl > MAX_TTL { 0 } else { ttl });
                    let is_part = rrtype == RrType::TXT && strings.are_several(entry);
                    let value = RdataValues { is_part, ..entry.into() };
                    self.record((section, owner, rrtype), ttl, value);
                }
            }
        }
    }

    /// Adds one record; returns its target if it is an alias among the answers.
    pub(super) fn record(
        &mut self,
        (section, owner, rrtype): (Section, Span, RrType),
        ttl: Option<u32>,
        value: RdataValues<'_>,
    ) -> Option<Span> {
        let buffer = &mut *self.buffer;
        let written = self.records.written(|out| rdata::write(rrtype, value, buffer, out));
        let (data, partial) = written.unwrap_or_else(|omission| (Data::Left(omission), false));
        let is_alias = section == Section::Answer
            && rrtype == RrType::CNAME
            && matches!(data, Data::Written { .. });
        let alias = value.text.filter(|_| is_alias).and_then(|text| self.add(text));
        self.records.has_alias |= alias.is_some();
        self.records.all.push(Record { section, owner, rrtype, ttl, data, partial, alias });
        alias
    }

    /// Adds a record of which only the existence is known.
    pub(super) fn left_out(
        &mut self,
        (section, owner, rrtype): (Section, Span, RrType),
        why: DnsOmission,
    ) {
        let (ttl, data, partial, alias) = (None, Data::Left(why), false, None);
        self.records.all.push(Record { section, owner, rrtype, ttl, data, partial, alias });
    }

    /// Counts `count` answers whose owners are unknown.
    pub(super) fn omit(&mut self, why: DnsOmission, count: usize) {
        if count > 0 {
            self.tally.omitted.add_many(why, count as u64);
        }
    }

    /// Marks the answer section as not empty.
    pub(super) fn has_answers(&mut self) {
        self.records.has_answer = true;
    }

    /// A name that was added.
    pub(super) fn name(&self, span: Span) -> Name<'_> {
        self.names.get(span)
    }

    /// Adds a name if it is valid.
    pub(super) fn add(&mut self, text: &Text<'_>) -> Option<Span> {
        let octets = text.octets();
        let name = Name::from_dotted(&octets, self.buffer).ok()?;
        Some(self.names.add(name))
    }
}

/// Parses a type as Suricata writes it: a mnemonic, or just the number.
pub(super) fn rrtype_of(text: &Text<'_>) -> Option<RrType> {
    text.0.parse().ok().or_else(|| text.0.parse().ok().map(RrType))
}

/// Number of TXT strings of a section for each owner: each is a separate entry, so if there are several,
/// their grouping into records is unknown.
struct Strings(HashMap<String, usize>);

impl Strings {
    fn count(entries: &[RecordEntry<'_>]) -> Self {
        let mut counts = HashMap::new();
        let is_string =
            |entry: &&RecordEntry<'_>| entry.rrtype.as_ref().is_some_and(|t| t.0 == "TXT");
        // A single string, the usual case, needs no counting.
        if entries.iter().filter(is_string).nth(1).is_some() {
            for owner in entries.iter().filter(is_string).filter_map(Self::owner) {
                *counts.entry(owner).or_default() += 1;
            }
        }
        Self(counts)
    }

    fn are_several(&self, entry: &RecordEntry<'_>) -> bool {
        !self.0.is_empty()
            && Self::owner(entry).is_some_and(|owner| self.0.get(&owner).is_some_and(|&n| n > 1))
    }

    /// The owner in the form for comparison: names are case-insensitive (RFC 4343).
    fn owner(entry: &RecordEntry<'_>) -> Option<String> {
        let text = &entry.rrname.as_ref()?.0;
        Some(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase())
    }
}
