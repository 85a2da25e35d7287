//! RDATA from its fields in pdns.log: in master file order, each as a separate text.
//!
//! Under `package`. The result is canonical wire form, the same as `decode::dns` produces from a packet:
//! names in lower case, except in types for which this is not specified (RFC 4034 §6.2).

use super::decoded;
use crate::decode::Omission;
use crate::decode::zeek::answers::Answers;
use crate::decode::zeek::row::decimal;
use crate::hex;
use crate::name::Name;
use crate::rr::RrType;
use std::net::{IpAddr, Ipv6Addr};

/// Maximum length of RDATA in octets: its length field has 16 bits (RFC 1035 §3.2.1).
const MAX_RDATA: usize = 0xffff;

/// Buffers reused for the next field.
#[derive(Debug, Default)]
pub(super) struct FieldBuffers {
    text: Vec<u8>,
    name: String,
}

/// Kind of field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FieldKind {
    V4,
    V6,
    U8,
    U16,
    U32,
    Name,
    /// A name that keeps its case.
    CasedName,
    /// A character-string (RFC 1035 §3.3).
    Text,
    /// The rest of the RDATA, without a length.
    Rest,
    /// The rest, in hexadecimal digits.
    Hex,
}

/// The fields of a type; `None` for a type whose RDATA Zeek does not log. TXT and SPF may have any number.
fn parts(rrtype: RrType) -> Option<&'static [FieldKind]> {
    use FieldKind::{CasedName, Hex, Name, Rest, Text, U8, U16, U32, V4, V6};
    Some(match rrtype {
        RrType::A => &[V4],
        RrType::AAAA => &[V6],
        RrType::NS | RrType::CNAME | RrType::PTR => &[Name],
        RrType::SOA => &[Name, Name, U32, U32, U32, U32, U32],
        RrType::MX => &[U16, Name],
        RrType::SRV => &[U16, U16, U16, Name],
        RrType::NAPTR => &[U16, U16, Text, Text, Text, Name],
        RrType::CAA => &[U8, Text, Rest],
        RrType::SVCB | RrType::HTTPS => &[U16, CasedName],
        RrType::DS | RrType::DNSKEY => &[U16, U8, U8, Hex],
        RrType::SSHFP => &[U8, U8, Hex],
        RrType::LOC => &[U8, U8, U8, U8, U32, U32, U32],
        _ => return None,
    })
}

/// Appends the RDATA of a record; returns true if a part of it is unknown.
///
/// # Errors
/// [`Omission::RdataNotInLog`] if there are no fields, [`Omission::Undecodable`] if they do not fit the type.
/// The octets appended so far are then not valid RDATA.
pub(super) fn rdata(
    rrtype: RrType,
    fields: &Answers,
    scratch: &mut FieldBuffers,
    out: &mut Vec<u8>,
) -> Result<bool, Omission> {
    if fields.len() == 0 {
        return Err(Omission::RdataNotInLog);
    }
    let done = if matches!(rrtype, RrType::TXT | RrType::SPF) {
        fields.texts().try_for_each(|text| write(FieldKind::Text, text?, scratch, out))
    } else {
        let parts = parts(rrtype).ok_or(Omission::RdataNotInLog)?;
        let mut texts = fields.texts();
        let all = parts.iter().try_for_each(|&part| write(part, texts.next()??, scratch, out));
        all.filter(|()| texts.next().is_none())
    };
    if done.is_none() || out.len() > MAX_RDATA {
        return Err(Omission::Undecodable);
    }
    // Zeek does not log parameters, and only an alias certainly has none (RFC 9460 §2.4.2).
    let is_service = matches!(rrtype, RrType::SVCB | RrType::HTTPS);
    Ok(is_service && !out.starts_with(&[0, 0]))
}

/// Appends the wire form of one field.
fn write(
    part: FieldKind,
    text: &[u8],
    scratch: &mut FieldBuffers,
    out: &mut Vec<u8>,
) -> Option<()> {
    let FieldBuffers { text: buffer, name: scratch } = scratch;
    match part {
        FieldKind::V4 | FieldKind::V6 => {
            let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
            match (part, address) {
                (FieldKind::V4, IpAddr::V4(address)) => out.extend_from_slice(&address.octets()),
                (FieldKind::V6, address) => out.extend_from_slice(&mapped(address).octets()),
                _ => return None,
            }
        }
        FieldKind::U8 => out.push(u8::try_from(decimal(text)?).ok()?),
        FieldKind::U16 => out.extend_from_slice(&u16::try_from(decimal(text)?).ok()?.to_be_bytes()),
        FieldKind::U32 => out.extend_from_slice(&u32::try_from(decimal(text)?).ok()?.to_be_bytes()),
        FieldKind::Name => Name::from_dotted(decoded(text, buffer)?, scratch).ok()?.write_wire(out),
        FieldKind::CasedName => {
            let octets = decoded(text, buffer)?;
            let start = out.len();
            Name::from_dotted(octets, scratch).ok()?.write_wire(out);
            // The labels have the same length in either case.
            let labels = octets.strip_suffix(b".").unwrap_or(octets);
            let cased = out.get_mut(start + 1..start + 1 + labels.len()).unwrap_or_default();
            for (octet, &with_case) in cased.iter_mut().zip(labels) {
                if octet.eq_ignore_ascii_case(&with_case) {
                    *octet = with_case;
                }
            }
        }
        FieldKind::Text => {
            let octets = decoded(text, buffer)?;
            out.push(u8::try_from(octets.len()).ok()?);
            out.extend_from_slice(octets);
        }
        FieldKind::Rest => out.extend_from_slice(decoded(text, buffer)?),
        FieldKind::Hex => {
            let digits = decoded(text, buffer)?;
            let (pairs, odd) = digits.as_chunks::<2>();
            if !odd.is_empty() {
                return None;
            }
            for [high, low] in pairs {
                out.push(hex::digit(*high)? << 4 | hex::digit(*low)?);
            }
        }
    }
    Some(())
}

/// The address of an AAAA record. Zeek displays an IPv4-mapped one as IPv4.
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
