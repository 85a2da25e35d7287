//! RDATA from Zeek's text.
//!
//! Each function appends canonical wire form to `out`, or reports that the text does not parse; `out` then
//! contains an unfinished remainder that the caller removes.

use super::row::decimal;
use crate::name::Name;
use crate::rr::RrType;

/// Maximum length of RDATA in octets: its length field has 16 bits (RFC 1035 §3.2.1).
const MAX_RDATA: usize = 0xffff;

/// TXT or SPF: `<keyword> <length> <octets>`, once for each character-string, separated by spaces.
pub(super) fn strings(keyword: &[u8], text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let mut rest = text;
    loop {
        rest = rest.strip_prefix(keyword)?.strip_prefix(b" ")?;
        let digits = memchr::memchr(b' ', rest)?;
        let (digits, octets) = rest.split_at_checked(digits)?;
        let length = u8::try_from(decimal(digits)?).ok()?;
        let (octets, after) = octets.get(1..)?.split_at_checked(usize::from(length))?;
        out.push(length);
        out.extend_from_slice(octets);
        if after.is_empty() {
            return (out.len() - start <= MAX_RDATA).then_some(());
        }
        rest = after.strip_prefix(b" ")?;
    }
}

/// NAPTR (RFC 3403 §4.1): `order preference flags service`, then the regular expression and the replacement.
/// Zeek omits whichever of the two is empty, or both.
pub(super) fn naptr(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut fields = text.splitn(5, |&octet| octet == b' ');
    for _ in 0..2 {
        let number = u16::try_from(decimal(fields.next()?)?).ok()?;
        out.extend_from_slice(&number.to_be_bytes());
    }
    for _ in 0..2 {
        string(fields.next()?, out)?;
    }
    let rest = fields.next()?;
    let (expression, replacement) = match rest.first() {
        None => (rest, rest),
        // A name here consists of letters, digits, `-` and `_`. In practice the delimiter that begins an
        // expression is none of these; if it were, the two could not be distinguished.
        Some(first) if is_host_octet(*first) => (
            &[][..],
            rest.iter().all(|&octet| is_host_octet(octet) || octet == b'.').then_some(rest)?,
        ),
        Some(_) => expression(rest)?,
    };
    string(expression, out)?;
    let mut scratch = String::new();
    Name::from_dotted(replacement, &mut scratch).ok()?.write_wire(out);
    Some(())
}

/// Splits `delimiter ERE delimiter replacement delimiter flags` (RFC 3402 §3.2) off the front of `text`, and
/// the name that may follow.
fn expression(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let delimiter = *text.first()?;
    let mut delimiters = 0;
    let mut escaped = false;
    for (at, &octet) in text.iter().enumerate() {
        if delimiters == 3 {
            match octet {
                b'i' => {}
                b' ' => return Some((text.get(..at)?, text.get(at + 1..)?)),
                _ => return None,
            }
        } else if escaped {
            escaped = false;
        } else if octet == delimiter {
            delimiters += 1;
        } else if octet == b'\\' {
            escaped = true;
        }
    }
    (delimiters == 3).then_some((text, &[]))
}

fn is_host_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

/// One character-string (RFC 1035 §3.3).
fn string(octets: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.push(u8::try_from(octets.len()).ok()?);
    out.extend_from_slice(octets);
    Some(())
}

/// The RDATA of a record of `rrtype` for which only the name is known; all other fields are zero. Returns
/// true if there are other fields.
pub(super) fn from_name(rrtype: RrType, name: Name<'_>, out: &mut Vec<u8>) -> bool {
    let (before, after): (&[u8], &[u8]) = match rrtype {
        RrType::MX => (&[0; 2], &[]),
        RrType::SRV => (&[0; 6], &[]),
        // A root RNAME and five numbers of 32 bits.
        RrType::SOA => (&[], &[0; 21]),
        _ => (&[], &[]),
    };
    out.extend_from_slice(before);
    name.write_wire(out);
    out.extend_from_slice(after);
    !(before.is_empty() && after.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;
    use crate::rdata::{FinalDot, Rdata};
    use proptest::prelude::*;

    #[track_caller]
    fn check(rrtype: RrType, text: &str, want: Option<&str>) {
        let mut octets = Vec::new();
        let done = match rrtype {
            RrType::NAPTR => naptr(text.as_bytes(), &mut octets),
            RrType::SPF => strings(b"SPF", text.as_bytes(), &mut octets),
            _ => strings(b"TXT", text.as_bytes(), &mut octets),
        };
        let rdata = Rdata { rrtype, octets: &octets, partial: false };
        let text = done.map(|()| rdata.to_text(FinalDot::Without));
        assert_eq!(text.as_deref(), want);
    }

    #[test]
    fn strings_are_as_long_as_they_say() {
        check(RrType::TXT, "TXT 3 a b", Some(r#""a b""#));
        check(RrType::TXT, "TXT 5 TXT 1 TXT 1 b", Some(r#""TXT 1" "b""#));
        check(RrType::TXT, "TXT 0 ", Some(r#""""#));
        check(RrType::TXT, "TXT 0  TXT 1 a", Some(r#""" "a""#));
        check(RrType::SPF, "SPF 6 v=spf1", Some(r#""v=spf1""#));
        for bad in
            ["TXT 3 ab", "TXT 1 ab", "TXT 0", "TXT ", "TXT -1 a", "TXT 256 a", "TXT 1 aTXT 1 b"]
        {
            check(RrType::TXT, bad, None);
        }
        check(RrType::SPF, "SPF 1 a TXT 1 b", None);
    }

    #[test]
    fn naptr_fields_are_told_apart() {
        check(
            RrType::NAPTR,
            "100 10 s SIP+D2U _sip._udp.example",
            Some("100 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.example"),
        );
        check(
            RrType::NAPTR,
            "1 2 u E2U+sip !^.*$!sip:a@b!i",
            Some("1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!i\" ."),
        );
        check(RrType::NAPTR, "1 2   !a b!c!", Some("1 2 \"\" \"\" \"!a b!c!\" ."));
        check(RrType::NAPTR, "1 2 u x !a\\!b!c! d.e", Some("1 2 \"u\" \"x\" \"!a\\\\!b!c!\" d.e"));
        check(RrType::NAPTR, "1 2 s x ", Some("1 2 \"s\" \"x\" \"\" ."));
        for bad in [
            "1 2 s x",
            "1 2",
            "65536 2 s x y",
            "1 2 u x !a!b",
            "1 2 u x !a!b!x",
            "1 2 u x _^.*$_x_",
        ] {
            check(RrType::NAPTR, bad, None);
        }
    }

    #[test]
    fn unknown_fields_are_zero() {
        let name = NameBuf::parse("a.example").unwrap();
        for (rrtype, text, partial) in [
            (RrType::NS, "a.example", false),
            (RrType::MX, "0 a.example", true),
            (RrType::SRV, "0 0 0 a.example", true),
            (RrType::SOA, "a.example . 0 0 0 0 0", true),
        ] {
            let mut octets = Vec::new();
            assert_eq!(from_name(rrtype, name.as_name(), &mut octets), partial);
            let rdata = Rdata { rrtype, octets: &octets, partial };
            assert_eq!(rdata.to_text(FinalDot::Without), text);
        }
    }

    proptest! {
        #[test]
        fn what_zeek_writes_for_txt_reads_back(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..256), 1..5)
        ) {
            let mut text = Vec::new();
            let mut want = Vec::new();
            for part in &parts {
                if !text.is_empty() { text.push(b' '); }
                text.extend_from_slice(format!("TXT {} ", part.len()).as_bytes());
                text.extend_from_slice(part);
                want.push(u8::try_from(part.len()).unwrap());
                want.extend_from_slice(part);
            }
            let mut octets = Vec::new();
            prop_assert_eq!(strings(b"TXT", &text, &mut octets), Some(()));
            prop_assert_eq!(octets, want);
        }
    }
}
