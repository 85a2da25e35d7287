//! The parts of a message: header, question, and the records of each section, in one pass (RFC 1035 §4.1).
//!
//! Names are read once: most owners are pointers to a name that was already read at the position they point
//! to. `decode::suricata` fills [`MessageNames`] and [`Records`] from a log instead. All buffers are reused for the
//! next message, so a typical message allocates nothing. Their size is bounded by that of the message, at
//! most 65,535 octets: 5,955 records, with at most 1,004 octets of text for each name.

use super::tally::DnsOmission;
use crate::name::Name;
use crate::name::compressed::{self, MAX_POINTERS, Walked};
use crate::rdata::{can_have_length, canonical};
use crate::rr::RrType;

/// Number of names that are cached by position. Most messages have fewer.
const KNOWN_NAMES: usize = 8;

/// The header (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) id: u16,
    flags: u16,
    /// Number of questions, and of records in the answer, authority and additional sections, as in the
    /// header.
    pub(super) counts: [u16; 4],
}

impl Header {
    /// Length of a header, in octets.
    pub(super) const LENGTH: usize = 12;

    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let (fields, []) = message.get(..Self::LENGTH)?.as_chunks::<2>() else { return None };
        let &[id, flags, ref counts @ ..] = fields else { return None };
        let counts: [[u8; 2]; 4] = *counts.first_chunk()?;
        Some(Self {
            id: u16::from_be_bytes(id),
            flags: u16::from_be_bytes(flags),
            counts: counts.map(u16::from_be_bytes),
        })
    }

    /// Reads the header of a message that may be truncated: missing fields count as 0. `None` if even id and
    /// flags are missing.
    pub(super) fn begin(message: &[u8]) -> Option<Self> {
        let mut header = [0; Self::LENGTH];
        let there = message.len().min(Self::LENGTH);
        header.get_mut(..there)?.copy_from_slice(message.get(..there)?);
        if there < 4 { None } else { Self::read(&header) }
    }

    pub(super) fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(super) fn opcode(self) -> u16 {
        self.flags >> 11 & 0xf
    }

    /// Returns true if the server is authoritative for the name (AA).
    pub(super) fn is_authoritative(self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// Returns true if the client requests recursion (RD).
    pub(super) fn wants_recursion(self) -> bool {
        self.flags & 0x0100 != 0
    }

    /// Returns true if the server offers recursion (RA).
    pub(super) fn has_recursion(self) -> bool {
        self.flags & 0x0080 != 0
    }

    /// Returns true if the message is truncated (TC).
    pub(super) fn is_truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The lower four bits of the RCODE.
    pub(super) fn rcode(self) -> u16 {
        self.flags & 0xf
    }
}

/// Position of a text in [`MessageNames`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) struct Span {
    start: u32,
    end: u32,
}

/// The names of one message in canonical text.
#[derive(Default)]
pub(in crate::decode) struct MessageNames {
    text: String,
    known: Vec<KnownLabels>,
}

/// A name and its position in the message.
struct KnownLabels {
    place: usize,
    name: Span,
    walked: Walked,
}

impl MessageNames {
    pub(in crate::decode) fn clear(&mut self) {
        self.text.clear();
        self.known.clear();
    }

    pub(in crate::decode) fn get(&self, span: Span) -> Name<'_> {
        let text = self.text.get(span.start as usize..span.end as usize).unwrap_or(".");
        Name::trusted(text)
    }

    pub(super) fn are_equal(&self, left: Span, right: Span) -> bool {
        left == right || self.get(left) == self.get(right)
    }

    /// Adds a name that is not in the message.
    pub(in crate::decode) fn add(&mut self, name: Name<'_>) -> Span {
        let start = self.text.len();
        self.text.push_str(name.as_str());
        span(start, self.text.len())
    }

    /// Reads the name at `at`; returns it and the position after it.
    pub(super) fn read(&mut self, message: &[u8], at: usize) -> Option<(Span, usize)> {
        let (place, end) = match compressed::lone_pointer(message, at) {
            Some(target) if target >= at => return None,
            Some(target) => (target, Some(at + 2)),
            None => (at, None),
        };
        let known = self.known.iter().find(|known| known.place == place);
        let (name, walked) = if let Some(known) = known {
            (known.name, known.walked)
        } else {
            let start = self.text.len();
            let walked = compressed::text(message, place, &mut self.text).ok()?;
            let name = span(start, self.text.len());
            if self.known.len() < KNOWN_NAMES {
                self.known.push(KnownLabels { place, name, walked });
            }
            (name, walked)
        };
        // The pointer that leads there also counts for the name.
        if end.is_some() && walked.pointers == MAX_POINTERS {
            return None;
        }
        Some((name, end.unwrap_or(walked.end)))
    }
}

/// Span between two offsets, which fit into 32 bits: see the module documentation.
fn span(start: usize, end: usize) -> Span {
    let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: offset(start), end: offset(end) }
}

/// A question (RFC 1035 §4.1.2).
#[derive(Clone, Copy, Debug)]
pub(in crate::decode) struct Question {
    pub(in crate::decode) name: Span,
    pub(in crate::decode) qtype: RrType,
    pub(in crate::decode) class: u16,
}

/// Reads the question at `at`; returns it and the position after it.
pub(super) fn question(
    message: &[u8],
    at: usize,
    names: &mut MessageNames,
) -> Option<(Question, usize)> {
    let (name, at) = names.read(message, at)?;
    let &[t1, t2, c1, c2] = message.get(at..)?.first_chunk::<4>()?;
    let (qtype, class) = (RrType(u16::from_be_bytes([t1, t2])), u16::from_be_bytes([c1, c2]));
    Some((Question { name, qtype, class }, at + 4))
}

/// Sections that contain records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) enum Section {
    Answer,
    Authority,
    Additional,
}

impl Section {
    const ALL: [Self; 3] = [Self::Answer, Self::Authority, Self::Additional];
}

/// Position of a record's canonical RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) enum Data {
    /// In the message, unchanged.
    Message { start: u32, end: u32 },
    /// In [`Records::octets`].
    Written { start: u32, end: u32 },
    /// Nowhere: the record is omitted for this reason.
    Left(DnsOmission),
}

/// A record of class IN that is not one of the protocol itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::decode) struct Record {
    pub(in crate::decode) section: Section,
    pub(in crate::decode) owner: Span,
    pub(in crate::decode) rrtype: RrType,
    /// TTL in seconds, if known.
    pub(in crate::decode) ttl: Option<u32>,
    pub(in crate::decode) data: Data,
    /// See [`Rdata::partial`](crate::rdata::Rdata::partial).
    pub(in crate::decode) partial: bool,
    /// Target of a CNAME record in the answer section.
    pub(in crate::decode) alias: Option<Span>,
}

/// The records of one message, and other findings from its sections.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::decode) struct Records {
    pub(in crate::decode) all: Vec<Record>,
    octets: Vec<u8>,
    /// Numbers of records omitted because of their class, and as the protocol's own.
    pub(super) other_class: u64,
    pub(super) meta: u64,
    /// True if the rest was unreadable.
    pub(super) is_cut: bool,
    /// True if the answer section contains a record.
    pub(in crate::decode) has_answer: bool,
    /// True if the answer section contains an unusable record, which may be the answer.
    pub(super) has_unusable_answer: bool,
    /// True if the answer section contains a readable CNAME record.
    pub(in crate::decode) has_alias: bool,
    /// The upper eight bits of the RCODE (RFC 6891 §6.1.3).
    pub(super) extended_rcode: Option<u8>,
}

/// Class IN, the internet.
pub(in crate::decode) const CLASS_IN: u16 = 1;
/// mDNS: the record replaces the cached ones (RFC 6762 §10.2).
const CACHE_FLUSH: u16 = 0x8000;

impl Records {
    /// The canonical RDATA of a record.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(super) fn rdata<'a>(
        &'a self,
        message: &'a [u8],
        data: Data,
    ) -> Result<&'a [u8], DnsOmission> {
        let octets = match data {
            Data::Message { start, end } => message.get(start as usize..end as usize),
            Data::Written { start, end } => self.octets.get(start as usize..end as usize),
            Data::Left(omission) => return Err(omission),
        };
        octets.ok_or(DnsOmission::Undecodable)
    }

    /// Removes all records.
    pub(in crate::decode) fn clear(&mut self) {
        self.all.clear();
        self.octets.clear();
        (self.other_class, self.meta) = (0, 0);
        (self.is_cut, self.has_answer, self.has_alias) = (false, false, false);
        self.has_unusable_answer = false;
        self.extended_rcode = None;
    }

    /// Stores canonical RDATA that is not in a message: the octets appended by `write`. Passes its result on.
    ///
    /// # Errors
    /// Those of `write`; the octets appended are then discarded.
    pub(in crate::decode) fn written<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, DnsOmission>,
    ) -> Result<(Data, T), DnsOmission> {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let from = self.octets.len();
        match write(&mut self.octets) {
            Ok(said) => {
                Ok((Data::Written { start: offset(from), end: offset(self.octets.len()) }, said))
            }
            Err(omission) => {
                self.octets.truncate(from);
                Err(omission)
            }
        }
    }

    /// Reads all records from `at` on, up to the counts in the header, until one is unreadable.
    pub(super) fn read(
        &mut self,
        message: &[u8],
        mut at: usize,
        header: Header,
        names: &mut MessageNames,
        is_mdns: bool,
    ) {
        self.clear();
        let [_, counts @ ..] = header.counts;
        for (section, count) in Section::ALL.into_iter().zip(counts) {
            for _ in 0..count {
                let Some(next) = self.record(message, at, section, names, is_mdns) else {
                    self.is_cut = true;
                    return;
                };
                at = next;
            }
        }
    }

    /// Reads the record at `at`; returns the position after it.
    fn record(
        &mut self,
        message: &[u8],
        at: usize,
        section: Section,
        names: &mut MessageNames,
        is_mdns: bool,
    ) -> Option<usize> {
        let (owner, at) = names.read(message, at)?;
        let (fields, _) = message.get(at..)?.split_first_chunk::<10>()?;
        let &[t1, t2, c1, c2, l1, l2, l3, l4, r1, r2] = fields;
        let (rrtype, mut class) =
            (RrType(u16::from_be_bytes([t1, t2])), u16::from_be_bytes([c1, c2]));
        let ttl = u32::from_be_bytes([l1, l2, l3, l4]);
        let start = at + 10;
        let end = start + usize::from(u16::from_be_bytes([r1, r2]));
        let octets = message.get(start..end)?;
        if rrtype == RrType::OPT {
            if section == Section::Additional {
                self.extended_rcode.get_or_insert(l1);
            }
            return Some(end);
        }
        if is_mdns {
            class &= !CACHE_FLUSH;
        }
        self.has_answer |= section == Section::Answer;
        if class != CLASS_IN {
            self.other_class += 1;
            self.has_unusable_answer |= section == Section::Answer;
            return Some(end);
        }
        // A signature of the message itself covers no type and has no owner (RFC 2931 §3).
        let is_signature = rrtype == RrType::SIG && octets.starts_with(&[0, 0]);
        if is_meta(rrtype) || is_signature && names.get(owner).is_root() {
            self.meta += 1;
            return Some(end);
        }
        let alias = if rrtype == RrType::CNAME && section == Section::Answer {
            names.read(message, start).filter(|&(_, stop)| stop == end).map(|(target, _)| target)
        } else {
            None
        };
        self.has_alias |= alias.is_some();
        let data = self.data(rrtype, message, start, end);
        self.all.push(Record {
            section,
            owner,
            rrtype,
            // RFC 2181 §8: a TTL with the top bit set is 0.
            ttl: Some(if ttl > 0x7fff_ffff { 0 } else { ttl }),
            data,
            partial: false,
            alias,
        });
        Some(end)
    }

    fn data(&mut self, rrtype: RrType, message: &[u8], start: usize, end: usize) -> Data {
        if !can_have_length(rrtype, end - start) {
            return Data::Left(DnsOmission::Undecodable);
        }
        if !canonical::has_names(rrtype) {
            let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
            return Data::Message { start: offset(start), end: offset(end) };
        }
        let written = self.written(|out| {
            canonical::write(rrtype, message, start, end, out).map_err(|_| DnsOmission::Undecodable)
        });
        written.map_or_else(Data::Left, |(data, ())| data)
    }
}

/// Returns true for types that only occur in questions or in the protocol itself (RFC 6895 §3.1).
pub(in crate::decode) fn is_meta(rrtype: RrType) -> bool {
    matches!(rrtype.0, 128 | 249..=255)
}
