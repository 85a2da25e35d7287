//! RDATA: the stored octets, the displayed text, and the target of a record.
//!
//! Layer 0. Octets are the canonical wire form: names uncompressed and in lower case (RFC 4034 §6.2). Text is
//! the right-hand side of a master file (RFC 1035 §5.1), printable ASCII, and parses back to the same octets.
//! A type that this module does not know, or octets that do not fit their type, are written as `\# length
//! hex` (RFC 3597 §5).
//!
//! A single table, `layout`, lists the fields of each type; `canonical`, `text` and `parse` follow it.

mod address;
mod bits;
pub(crate) mod canonical;
mod layout;
mod location;
mod parse;
mod service;
mod strings;
mod text;

use crate::name::NameBuf;
use crate::rr::RrType;
pub(crate) use layout::can_have_length;
use layout::layout;
pub use parse::{Unreadable, parse};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use text::{TextWriter, write_text};

/// The RDATA of one record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rdata<'a> {
    /// The record's type.
    pub rrtype: RrType,
    /// Canonical wire form, at most 65,535 octets.
    pub octets: &'a [u8],
    /// True if a part of the record is unknown. Either the source gave only the host of an MX, SRV or SOA
    /// record, as a Zeek dns.log does, and every other field of `octets` is zero. Or it gave strings of TXT
    /// records without saying which belong to one record, as Suricata does, and `octets` is one of them. Such
    /// a record is distinct from the complete one.
    pub partial: bool,
}

/// The RDATA of one record, owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RdataBuf {
    /// See [`Rdata::rrtype`].
    pub rrtype: RrType,
    /// See [`Rdata::octets`].
    pub octets: Box<[u8]>,
    /// See [`Rdata::partial`].
    pub partial: bool,
}

/// Key under which a record is found in a search by right-hand side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The address of an A record.
    V4(Ipv4Addr),
    /// The address of an AAAA record.
    V6(Ipv6Addr),
    /// The host or domain in the RDATA.
    Name(NameBuf),
    /// Any other RDATA: found by all of its octets.
    Octets,
}

/// Final dot of a name within RDATA: DNSDB writes it, COF and CIRCL do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalDot {
    /// `mail.example.com.`
    With,
    /// `mail.example.com`
    Without,
}

impl RdataBuf {
    /// The RDATA, borrowed.
    #[must_use]
    pub fn as_rdata(&self) -> Rdata<'_> {
        Rdata { rrtype: self.rrtype, octets: &self.octets, partial: self.partial }
    }
}

impl Rdata<'_> {
    /// An owned copy.
    #[must_use]
    pub fn to_buf(self) -> RdataBuf {
        RdataBuf { rrtype: self.rrtype, octets: self.octets.into(), partial: self.partial }
    }

    /// The address in an A or AAAA record.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self.rrtype {
            RrType::A => Some(IpAddr::from(<[u8; 4]>::try_from(self.octets).ok()?)),
            RrType::AAAA => Some(IpAddr::from(<[u8; 16]>::try_from(self.octets).ok()?)),
            _ => None,
        }
    }

    /// The target of the record. [`may_point_at_name`] lists the types for which it can be a name.
    #[must_use]
    pub fn target(self) -> Target {
        let name_at = |at: usize| {
            let parsed = self.octets.get(at..).map(NameBuf::from_wire);
            match parsed {
                Some(Ok((name, _))) => Target::Name(name),
                _ => Target::Octets,
            }
        };
        match self.rrtype {
            RrType::A | RrType::AAAA => match self.address() {
                Some(IpAddr::V4(address)) => Target::V4(address),
                Some(IpAddr::V6(address)) => Target::V6(address),
                None => Target::Octets,
            },
            RrType::NS | RrType::CNAME | RrType::DNAME | RrType::PTR | RrType::SOA => name_at(0),
            RrType::MX | RrType::KX | RrType::AFSDB | RrType::RT => name_at(2),
            RrType::SRV => name_at(6),
            // The root means "no service" or "the owner itself" (RFC 9460 §2.5).
            RrType::SVCB | RrType::HTTPS => match name_at(2) {
                Target::Name(name) if name.as_name().is_root() => Target::Octets,
                target => target,
            },
            _ => Target::Octets,
        }
    }

    /// The right-hand side in master file text.
    #[must_use]
    pub fn to_text(self, dot: FinalDot) -> String {
        let mut out = String::new();
        let writer = TextWriter { rest: self.octets, out: &mut out, dot };
        if layout(self.rrtype).and_then(|fields| writer.fields(fields)).is_none() {
            out.clear();
            unknown(self.octets, &mut out);
        }
        out
    }
}

/// Appends RFC 3597 §5 text: `\# length hex`.
fn unknown(octets: &[u8], out: &mut String) {
    write_text(out, format_args!("\\# {}", octets.len()));
    for (at, octet) in octets.iter().enumerate() {
        write_text(out, format_args!("{}{octet:02x}", if at == 0 { " " } else { "" }));
    }
}

/// Returns true if a record of this type can point at a name; see [`Rdata::target`].
#[must_use]
pub fn may_point_at_name(rrtype: RrType) -> bool {
    // A name after the number of octets that precede it in any of these types.
    [0, 2, 6].iter().any(|&before| {
        let mut octets = [0; 9];
        if let Some(name) = octets.get_mut(before..) {
            name.iter_mut().zip(b"\x01a\0").for_each(|(slot, octet)| *slot = *octet);
        }
        let octets = octets.get(..before + 3).unwrap_or_default();
        matches!(Rdata { rrtype, octets, partial: false }.target(), Target::Name(_))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(rrtype: RrType, octets: &[u8], want: &str) {
        let rdata = Rdata { rrtype, octets, partial: false };
        assert_eq!(rdata.to_text(FinalDot::Without), want);
    }

    #[test]
    fn known_types_are_master_file_text() {
        check(RrType::A, &[192, 0, 2, 1], "192.0.2.1");
        check(
            RrType::AAAA,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            "2001:db8::1",
        );
        check(RrType::CNAME, b"\x03www\x07example\x00", "www.example");
        check(RrType::MX, b"\x00\x0a\x04mail\x00", "10 mail");
        check(RrType::MX, b"\x00\x00\x00", "0 .");
        check(RrType::SRV, b"\x00\x01\x00\x02\x00\x03\x01h\x00", "1 2 3 h");
        check(RrType::TXT, b"\x02ab\x01c", "\"ab\" \"c\"");
        check(RrType::TXT, b"\x00", "\"\"");
        check(RrType::TXT, b"\x04\x1b[2J", "\"\\027[2J\"");
        check(RrType::TXT, b"\x03a\"\\", "\"a\\\"\\\\\"");
    }

    #[test]
    fn fields_of_rarer_types() {
        check(RrType::DS, &[0x30, 0x39, 13, 2, 0xab, 0xcd], "12345 13 2 abcd");
        check(RrType::DNSKEY, &[1, 1, 3, 13, 1, 2, 3, 4], "257 3 13 AQIDBA==");
        check(RrType::NSEC, b"\x01b\x00\x00\x06\x40\x01\x00\x00\x00\x03", "b A MX RRSIG NSEC");
        check(
            RrType::NSEC3,
            b"\x01\x00\x00\x0a\x02\xaa\xbb\x05\xff\x00\xff\x00\xff\x00\x01\x40",
            "1 0 10 aabb VS0FU07V A",
        );
        check(RrType::NSEC3PARAM, &[1, 0, 0, 0, 0], "1 0 0 -");
        // These times are from RFC 4034 §3.3.
        check(
            RrType::RRSIG,
            b"\x00\x01\x05\x03\x00\x01\x51\x80\x3e\x7c\x9d\xd7\x3e\x55\x10\xd7\x0a\x52\x07example\x03com\x00\x01",
            "A 5 3 86400 20030322173103 20030220173103 2642 example.com AQ==",
        );
        check(RrType::CAA, b"\x80\x05issue\x61\x22", "128 issue \"a\\\"\"");
        check(
            RrType::HTTPS,
            b"\x00\x01\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x03\x00\x02\x01\xbb\x00\x04\x00\x04\xc0\x00\x02\x01",
            "1 . alpn=\"h2,h3\" port=443 ipv4hint=192.0.2.1",
        );
        check(RrType::HTTPS, b"\x00\x00\x01X\x00", "0 X");
        // Keys out of order, a truncated list, and a duplicate key.
        check(
            RrType::SVCB,
            b"\x00\x01\x00\x00\x03\x00\x00\x00\x01\x00\x00",
            "\\# 11 0001000003000000010000",
        );
        check(
            RrType::SVCB,
            b"\x00\x01\x00\x00\x01\x00\x02\x05h\x00",
            "\\# 10 00010000010002056800",
        );
        check(
            RrType::LOC,
            &[0, 0x12, 0x16, 0x13, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0x98, 0x96, 0x80],
            "0 0 0.000 N 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m",
        );
        check(RrType::EUI48, &[0, 0, 0x5e, 0, 0x53, 0x2a], "00-00-5e-00-53-2a");
        check(RrType::URI, b"\x00\x0a\x00\x01ftp://a/", "10 1 \"ftp://a/\"");
        check(RrType::APL, &[0, 1, 24, 0x83, 192, 0, 2], "!1:192.0.2.0/24");
        check(RrType::NULL, &[1], "\\# 1 01");
    }

    #[test]
    fn octets_that_do_not_fit_their_type_are_rfc_3597() {
        check(RrType::A, &[1, 2, 3], "\\# 3 010203");
        check(RrType::TXT, &[], "\\# 0");
        check(RrType::CNAME, b"\x03ww", "\\# 3 037777");
        check(RrType::CNAME, b"\x00\x00", "\\# 2 0000");
        check(RrType(65280), &[0xab], "\\# 1 ab");
    }

    #[test]
    fn final_dot_is_a_choice() {
        let rdata = Rdata { rrtype: RrType::MX, octets: b"\x00\x0a\x04mail\x00", partial: false };
        assert_eq!(rdata.to_text(FinalDot::With), "10 mail.");
    }

    #[test]
    fn targets() {
        let target = |rrtype, octets| Rdata { rrtype, octets, partial: false }.target();
        let mail = Target::Name(NameBuf::parse("mail").unwrap());
        assert_eq!(target(RrType::MX, b"\x00\x0a\x04mail\x00"), mail);
        assert_eq!(target(RrType::A, &[192, 0, 2, 1]), Target::V4(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(target(RrType::A, &[192, 0, 2]), Target::Octets);
        assert_eq!(target(RrType::TXT, b"\x01a"), Target::Octets);
        assert_eq!(target(RrType::MX, b"\x00"), Target::Octets);
        for rrtype in [RrType::KX, RrType::AFSDB, RrType::RT, RrType::SVCB, RrType::HTTPS] {
            assert_eq!(target(rrtype, b"\x00\x01\x04Mail\x00"), mail, "{rrtype}");
        }
        // "The owner itself" is not a host that can be searched for.
        assert_eq!(target(RrType::HTTPS, b"\x00\x01\x00\x00\x03\x00\x02\x01\xbb"), Target::Octets);
        assert_eq!(target(RrType::LP, b"\x00\x01\x04mail\x00"), Target::Octets);
    }

    proptest! {
        #[test]
        fn any_octets_of_any_type_are_printable(number in 0u16..300, octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = Rdata { rrtype: RrType(number), octets: &octets, partial: false }.to_text(FinalDot::With);
            prop_assert!(text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{text}");
        }
    }
}
