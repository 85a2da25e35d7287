//! The vectors `answers` and `TTLs` of a row, and the kind of record of each answer.
//!
//! An answer is a string without owner and type. Zeek's scripts/base/protocols/dns/main.zeek defines the text
//! for each record type: names are converted to lower case there, so a keyword in capitals cannot be a name.

use crate::rr::RrType;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The vectors of one row, without escapes; the buffers are reused for the next line.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The text of all elements.
    text: Vec<u8>,
    /// Range of each element within `text`, in order; `None` is an unset element.
    elements: Vec<Option<Range<usize>>>,
    /// Each TTL in seconds, in order; `None` if it cannot be parsed.
    ttls: Vec<Option<u32>>,
}

impl Answers {
    pub(super) fn clear(&mut self) {
        self.clear_answers();
        self.clear_ttls();
    }

    pub(super) fn clear_answers(&mut self) {
        self.text.clear();
        self.elements.clear();
    }

    pub(super) fn clear_ttls(&mut self) {
        self.ttls.clear();
    }

    /// Adds an answer that `write` appends to the buffer.
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        self.elements.push(Some(start..self.text.len()));
    }

    /// Appends an unset answer.
    pub(super) fn push_unset(&mut self) {
        self.elements.push(None);
    }

    pub(super) fn push_ttl(&mut self, ttl: Option<u32>) {
        self.ttls.push(ttl);
    }

    /// The text of each element; `None` is an unset one.
    pub(super) fn texts(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.elements.iter().map(|range| self.text.get(range.clone()?))
    }

    /// Number of answers, including unset ones.
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Returns true if there is a TTL for each answer, so that they can be matched.
    pub(super) fn ttls_match(&self) -> bool {
        self.ttls.len() == self.elements.len()
    }

    /// Each answer with its TTL.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (Answer<'_>, Option<u32>)> {
        let told = self.ttls_match();
        self.elements.iter().enumerate().map(move |(at, range)| {
            let text = range.clone().and_then(|range| self.text.get(range));
            let ttl = if told { self.ttls.get(at).copied().flatten() } else { None };
            (Answer::read(text.unwrap_or_default()), ttl)
        })
    }
}

/// An answer, classified by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// An address of an A record.
    V4(Ipv4Addr),
    /// An address of an AAAA record (or of the historic A6).
    V6(Ipv6Addr),
    /// TXT or SPF: `TXT <length> <octets>`, once for each of its character-strings.
    Strings(RrType, &'a [u8]),
    /// NAPTR; the text after the keyword.
    Naptr(&'a [u8]),
    /// A record whose RDATA is missing from the log, at least in part.
    NotInLog,
    /// A part of a dynamic update.
    Update,
    /// A name; anything else.
    Name(&'a [u8]),
}

impl<'a> Answer<'a> {
    /// Classifies `text`; empty text also represents an unset answer.
    fn read(text: &'a [u8]) -> Self {
        match text.first() {
            None => return Self::NotInLog,
            Some(b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':') => {
                if let Some(address) = Self::address(text) {
                    return address;
                }
            }
            Some(_) => {}
        }
        if text.starts_with(b"TXT ") {
            return Self::Strings(RrType::TXT, text);
        }
        if text.starts_with(b"SPF ") {
            return Self::Strings(RrType::SPF, text);
        }
        if let Some(fields) = text.strip_prefix(b"NAPTR ") {
            return Self::Naptr(fields);
        }
        if [&b"pre:"[..], b"del:", b"add:"].iter().any(|prefix| text.starts_with(prefix)) {
            return Self::Update;
        }
        if is_without_rdata(text) { Self::NotInLog } else { Self::Name(text) }
    }

    fn address(text: &[u8]) -> Option<Self> {
        // The longest is an IPv6 address with an IPv4 address at its end.
        if text.len() > 45 {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        if text.contains(':') {
            text.parse().ok().map(Self::V6)
        } else {
            text.parse().ok().map(Self::V4)
        }
    }

    /// Returns true if the type is known from the text; the record is only usable if its owner is known too.
    pub(super) fn is_typed(self) -> bool {
        matches!(self, Self::V4(_) | Self::V6(_) | Self::Strings(..) | Self::Naptr(_))
    }
}

/// Returns true if `text` is what Zeek writes for a record whose RDATA it does not log.
fn is_without_rdata(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 6] = [b"RRSIG", b"DNSKEY", b"DS", b"NSEC", b"NSEC3", b"NSEC3PARAM"];
    const STARTS: [&[u8]; 4] = [b"SSHFP:", b"LOC:", b"BIND9 signing signal", b"<unknown type="];
    let word = text.split(|&octet| octet == b' ').next().unwrap_or_default();
    WORDS.contains(&word) || STARTS.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_by_their_text() {
        let name = |text: &'static str| (text, Answer::Name(text.as_bytes()));
        for (text, want) in [
            ("192.0.2.1", Answer::V4(Ipv4Addr::new(192, 0, 2, 1))),
            ("2001:db8::1", Answer::V6("2001:db8::1".parse().unwrap())),
            ("::1", Answer::V6(Ipv6Addr::LOCALHOST)),
            ("fe80::1", Answer::V6("fe80::1".parse().unwrap())),
            name("192.0.2.01"),
            name("192.0.2.1."),
            name("1.2.0.192.in-addr.arpa"),
            name("fe80.example"),
            name("txt 3 abc"),
            name("ds.example"),
            name("amzn.dmgr:6b.local"),
            ("TXT 3 abc", Answer::Strings(RrType::TXT, b"TXT 3 abc")),
            ("SPF 3 abc", Answer::Strings(RrType::SPF, b"SPF 3 abc")),
            ("NAPTR 1 2 s", Answer::Naptr(b"1 2 s")),
            ("RRSIG 5 example", Answer::NotInLog),
            ("NSEC3", Answer::NotInLog),
            ("DS 8 2", Answer::NotInLog),
            ("SSHFP: a6b9", Answer::NotInLog),
            ("LOC:  18 21 19", Answer::NotInLog),
            ("<unknown type=39>", Answer::NotInLog),
            ("BIND9 signing signal", Answer::NotInLog),
            ("", Answer::NotInLog),
            ("add: A a.example 192.0.2.1", Answer::Update),
        ] {
            assert_eq!(Answer::read(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn ttls_count_only_when_there_is_one_for_each_answer() {
        let mut answers = Answers::default();
        answers.push_with(|text| text.extend_from_slice(b"192.0.2.1"));
        answers.push_unset();
        answers.push_ttl(Some(1));
        assert_eq!(answers.iter().map(|(_, ttl)| ttl).collect::<Vec<_>>(), [None, None]);
        answers.push_ttl(None);
        assert_eq!(answers.iter().map(|(_, ttl)| ttl).collect::<Vec<_>>(), [Some(1), None]);
        assert_eq!(answers.iter().next_back().unwrap().0, Answer::NotInLog);
    }
}
