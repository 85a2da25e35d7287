//! Finds DNS messages in the octets of a TCP stream.
//!
//! Under `wire`. Each message is preceded by its length (RFC 1035 §4.2.2), so a stream that is seen from its
//! beginning needs no guessing. If the beginning or something in between is missing, the code searches for a
//! position with a length and a message that agrees with it.

use super::packet::u16_at;

/// Length of a DNS header, the shortest possible message, in octets.
pub(super) const HEADER: usize = 12;
/// Size of the length field, in octets.
pub(super) const LENGTH: usize = 2;
/// Maximum number of records that are parsed in a message: sufficient evidence, and a bound on the cost.
const MOST_RECORDS: u32 = 16;

/// Interpretation of octets as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    /// They are a message, which ends here.
    Ends(usize),
    /// They are the beginning of a message with at least one question or record.
    Begins,
    /// They may be the beginning of a message, but there are too few to decide.
    TooFew,
    /// They are not a message.
    Not,
}

/// Result of searching for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeekResult {
    /// There is a length at this offset.
    At(usize),
    /// From this offset on there are too few octets to decide.
    Perhaps(usize),
}

/// Searches for the first position of a length followed by its message.
pub(super) fn seek(octets: &[u8]) -> SeekResult {
    for at in 0..octets.len() {
        let rest = octets.get(at..).unwrap_or_default();
        match framed(rest) {
            Match::Not => {}
            Match::TooFew => return SeekResult::Perhaps(at),
            Match::Begins => return SeekResult::At(at),
            // A complete message must be followed by another one.
            Match::Ends(end) => {
                let next = rest.get(end..).unwrap_or_default();
                if next.is_empty() || framed(next) != Match::Not {
                    return SeekResult::At(at);
                }
            }
        }
    }
    SeekResult::Perhaps(octets.len())
}

/// Returns true if octets are exactly one message without its length, which the sender wrote before it.
pub(super) fn is_message(octets: &[u8]) -> bool {
    read(octets, octets.len()) == Match::Ends(octets.len())
}

/// Interprets octets as a length and its message.
fn framed(octets: &[u8]) -> Match {
    let Some(length) = u16_at(octets, 0).map(usize::from) else { return Match::TooFew };
    if length < HEADER {
        return Match::Not;
    }
    let rest = octets.get(LENGTH..).unwrap_or_default();
    let message = rest.get(..length).unwrap_or(rest);
    let is_whole = message.len() == length;
    match read(message, length) {
        // It agrees with its length, or has more records than are parsed.
        Match::Ends(end) if end == length => Match::Ends(LENGTH + length),
        Match::Begins if is_whole => Match::Ends(LENGTH + length),
        Match::Begins => Match::Begins,
        Match::TooFew if !is_whole => Match::TooFew,
        _ => Match::Not,
    }
}

/// Parses a message of `size` octets: header, questions, records.
fn read(octets: &[u8], size: usize) -> Match {
    let [Some(flags), Some(questions), Some(answers), Some(authorities), Some(additionals)] =
        [2, 4, 6, 8, 10].map(|at| u16_at(octets, at))
    else {
        return Match::TooFew;
    };
    // QUERY, NOTIFY and UPDATE; the reserved bit is zero (RFC 1035 §4.1.1); at most one question (RFC 9619),
    // or the one zone of an update. The later messages of a zone transfer may have records but no question.
    let opcode = flags >> 11 & 0xf;
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
    if !matches!(opcode, 0 | 4 | 5) || flags & 0x40 != 0 || questions > 1 {
        return Match::Not;
    }
    if questions == 0 && records == 0 {
        return Match::Not;
    }
    let mut at = HEADER;
    let mut seen = Match::TooFew;
    if questions == 1 {
        match question(octets, at) {
            Parsed::To(end) => at = end,
            Parsed::Short => return seen,
            Parsed::Broken => return Match::Not,
        }
        seen = Match::Begins;
    }
    for _ in 0..records.min(MOST_RECORDS) {
        match record(octets, at, size) {
            Parsed::To(end) => at = end,
            Parsed::Short => return seen,
            Parsed::Broken => return Match::Not,
        }
        seen = Match::Begins;
    }
    if records > MOST_RECORDS {
        return Match::Begins;
    }
    if at <= size { Match::Ends(at) } else { Match::Not }
}

/// Result of parsing one part of a message.
enum Parsed {
    To(usize),
    Short,
    Broken,
}

/// Returns true if a class exists (IANA's "DNS CLASSes"), ignoring the top bit, which mDNS uses.
fn is_class(class: u16) -> bool {
    matches!(class & 0x7fff, 1 | 3 | 4 | 254 | 255)
}

fn question(octets: &[u8], at: usize) -> Parsed {
    match name(octets, at, false) {
        Parsed::To(end) => match (u16_at(octets, end), u16_at(octets, end + 2)) {
            (Some(0), _) => Parsed::Broken,
            (Some(_), Some(class)) if is_class(class) => Parsed::To(end + 4),
            (Some(_), Some(_)) => Parsed::Broken,
            _ => Parsed::Short,
        },
        other => other,
    }
}

fn record(octets: &[u8], at: usize, message: usize) -> Parsed {
    /// The type whose class field is a size (RFC 6891 §6.1.2).
    const OPT: u16 = 41;
    match name(octets, at, true) {
        Parsed::To(end) => {
            let [kind, class, size] = [0, 2, 8].map(|offset| u16_at(octets, end + offset));
            match (kind, class, size) {
                (Some(0), _, _) => Parsed::Broken,
                (Some(kind), Some(class), _) if kind != OPT && !is_class(class) => Parsed::Broken,
                (Some(_), Some(_), Some(size)) => {
                    let end = end + 10 + usize::from(size);
                    match end {
                        _ if end > message => Parsed::Broken,
                        _ if end > octets.len() => Parsed::Short,
                        _ => Parsed::To(end),
                    }
                }
                _ => Parsed::Short,
            }
        }
        other => other,
    }
}

/// Parses a name (RFC 1035 §3.1, §4.1.4).
fn name(octets: &[u8], start: usize, may_point: bool) -> Parsed {
    let mut at = start;
    loop {
        match octets.get(at) {
            None => return Parsed::Short,
            Some(0) => return Parsed::To(at + 1),
            Some(&length @ 1..=63) => at += 1 + usize::from(length),
            Some(0xc0..) if may_point => {
                return match u16_at(octets, at) {
                    None => Parsed::Short,
                    Some(target) if usize::from(target & 0x3fff) < at => Parsed::To(at + 2),
                    Some(_) => Parsed::Broken,
                };
            }
            Some(_) => return Parsed::Broken,
        }
        if at - start > 254 {
            return Parsed::Broken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question for `label.` of type A, preceded by its length.
    fn framed_query(label: &str) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
        message.extend([0, 0, 1, 0, 1]);
        let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(message);
        framed
    }

    #[test]
    fn a_place_is_found_behind_the_end_of_a_message_that_was_missed() {
        let two = [framed_query("first"), framed_query("second")].concat();
        let length = framed_query("first").len();
        assert_eq!(seek(&two), SeekResult::At(0));
        for missed in 1..length {
            assert_eq!(seek(&two[missed..]), SeekResult::At(length - missed), "{missed}");
        }
        assert!(is_message(&two[2..length]) && !is_message(&two[2..]));
    }

    #[test]
    fn too_few_octets_are_no_proof() {
        let query = framed_query("example");
        for end in 0..query.len() {
            assert_eq!(seek(&query[..end]), SeekResult::Perhaps(0), "{end}");
        }
        assert_eq!(seek(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), SeekResult::Perhaps(14));
    }
}
