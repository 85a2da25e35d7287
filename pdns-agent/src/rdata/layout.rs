//! Fields of the RDATA of each type: one table for reading, lower-casing and displaying it.

use super::parse::Reader;
use super::text::TextWriter;
use super::{address, bits, location, service, strings};
use crate::rr::RrType;

/// One field of RDATA.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// The number of a record type, two octets.
    Type,
    /// Seconds since 1970 in four octets, shown as `YYYYMMDDHHmmSS` (RFC 4034 §3.2).
    Time,
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// A domain name.
    Name,
    /// A character-string (RFC 1035 §3.3), shown in quotes.
    String,
    /// One or more character-strings, to the end.
    Strings,
    /// The rest, one octet or more, in hex.
    Hex,
    /// The rest, one octet or more, in base64.
    Base64,
    /// The rest, a bitmap of types (RFC 4034 §4.1.2); may be empty.
    Types,
    /// The rest, which has no text representation of its own.
    Opaque,
    /// A field that only one or two types have, with the functions that write it as text and read it. Such a field
    /// contains no name that is lower-cased.
    Special(fn(&mut TextWriter<'_>) -> Option<()>, fn(&mut Reader<'_, '_>) -> Option<()>),
}

/// The fields of a type; `None` for a type that is written in the RFC 3597 form.
pub(super) fn layout(rrtype: RrType) -> Option<&'static [Field]> {
    use Field::{
        Base64, Hex, Name, Opaque, Special, String, Strings, Time, Type, Types, U8, U16, U32, V4,
        V6,
    };
    Some(match rrtype {
        RrType::A => &[V4],
        RrType::AAAA => &[V6],
        RrType::NS
        | RrType::MD
        | RrType::MF
        | RrType::CNAME
        | RrType::MB
        | RrType::MG
        | RrType::MR
        | RrType::PTR
        | RrType::NSAP_PTR
        | RrType::DNAME => &[Name],
        RrType::SOA => &[Name, Name, U32, U32, U32, U32, U32],
        RrType::WKS => &[V4, U8, Special(bits::services, bits::read_services)],
        RrType::HINFO => &[String, String],
        RrType::MINFO | RrType::RP | RrType::TALINK => &[Name, Name],
        RrType::MX | RrType::AFSDB | RrType::RT | RrType::KX | RrType::LP => &[U16, Name],
        RrType::TXT
        | RrType::SPF
        | RrType::NINFO
        | RrType::AVC
        | RrType::RESINFO
        | RrType::WALLET
        | RrType::CLA => &[Strings],
        RrType::X25 => &[String],
        // The second string is optional (RFC 1183 §3.2).
        RrType::ISDN => &[Special(strings::one_or_two, strings::read_one_or_two)],
        RrType::NSAP => &[Special(address::nsap, address::read_nsap)],
        RrType::SIG | RrType::RRSIG => &[Type, U8, U8, U32, Time, Time, U16, Name, Base64],
        RrType::KEY | RrType::DNSKEY | RrType::CDNSKEY | RrType::RKEY => &[U16, U8, U8, Base64],
        RrType::PX => &[U16, Name, Name],
        RrType::GPOS => &[String, String, String],
        RrType::LOC => &[Special(location::location, location::read_location)],
        RrType::NXT => &[Name, Opaque],
        RrType::SRV => &[U16, U16, U16, Name],
        RrType::NAPTR => &[U16, U16, String, String, String, Name],
        RrType::CERT => &[U16, U16, U8, Base64],
        RrType::APL => &[Special(address::prefixes, address::read_prefixes)],
        RrType::DS | RrType::CDS | RrType::DLV | RrType::TA => &[U16, U8, U8, Hex],
        RrType::SSHFP => &[U8, U8, Hex],
        RrType::IPSECKEY => &[Special(address::gateway, address::read_gateway), Base64],
        RrType::NSEC => &[Name, Types],
        RrType::DHCID | RrType::OPENPGPKEY => &[Base64],
        RrType::NSEC3 => &[
            U8,
            U8,
            U16,
            Special(bits::salt, bits::read_salt),
            Special(bits::hash, bits::read_hash),
            Types,
        ],
        RrType::NSEC3PARAM => &[U8, U8, U16, Special(bits::salt, bits::read_salt)],
        RrType::TLSA | RrType::SMIMEA => &[U8, U8, U8, Hex],
        RrType::HIP => &[Special(address::host_identity, address::read_host_identity)],
        RrType::CSYNC => &[U32, U16, Types],
        RrType::ZONEMD => &[U32, U8, U8, Hex],
        RrType::SVCB | RrType::HTTPS => {
            &[U16, Name, Special(service::parameters, service::read_parameters)]
        }
        RrType::DSYNC => &[Type, U8, U16, Name],
        RrType::NID | RrType::L64 => &[U16, Special(address::locator, address::read_locator)],
        RrType::L32 => &[U16, V4],
        RrType::EUI48 => &[Special(address::eui::<6>, address::read_eui::<6>)],
        RrType::EUI64 => &[Special(address::eui::<8>, address::read_eui::<8>)],
        RrType::URI => &[U16, U16, Special(strings::long, strings::read_long)],
        RrType::CAA => &[
            U8,
            Special(strings::tag, strings::read_tag),
            Special(strings::long_or_empty, strings::read_long_or_empty),
        ],
        RrType::AMTRELAY => &[Special(address::relay, address::read_relay)],
        _ => return None,
    })
}

impl Field {
    /// Length of a field of fixed size, in octets.
    fn size(self) -> Option<usize> {
        Some(match self {
            Self::U8 => 1,
            Self::U16 | Self::Type => 2,
            Self::U32 | Self::Time | Self::V4 => 4,
            Self::V6 => 16,
            _ => return None,
        })
    }
}

/// Returns true if RDATA of this type can have this length. A type of fixed form has one length, and a record
/// with any other is malformed, whatever text form it is displayed in. All other types accept any length (RFC
/// 3597 §3).
pub(crate) fn can_have_length(rrtype: RrType, length: usize) -> bool {
    match rrtype {
        RrType::EUI48 => return length == 6,
        RrType::EUI64 => return length == 8,
        RrType::NID | RrType::L64 => return length == 10,
        _ => {}
    }
    let Some(fields) = layout(rrtype) else { return true };
    let sizes: Option<usize> = fields.iter().map(|field| field.size()).sum();
    sizes.is_none_or(|size| size == length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_what_has_a_fixed_form_is_fixed() {
        let fits = |rrtype: RrType| -> Vec<usize> {
            (0..40).filter(|&length| can_have_length(rrtype, length)).collect()
        };
        for (rrtype, length) in [
            (RrType::A, 4),
            (RrType::AAAA, 16),
            (RrType::EUI48, 6),
            (RrType::EUI64, 8),
            (RrType::NID, 10),
            (RrType::L32, 6),
            (RrType::L64, 10),
        ] {
            assert_eq!(fits(rrtype), [length], "{rrtype}");
        }
        for rrtype in [RrType::DS, RrType::TXT, RrType::SOA, RrType(65_280)] {
            assert_eq!(fits(rrtype).len(), 40, "{rrtype}");
        }
    }
}
