//! RDATA built from the values in an event.
//!
//! Under `suricata`. The result is canonical wire form, the same as `decode::dns` produces from a packet.

use super::event::{Datum, Fields, RecordEntry, Text, lower_hex};
use crate::decode::dns::DnsOmission;
use crate::name::Name;
use crate::rr::RrType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Maximum length of a fingerprint in octets: far longer than any hash.
const MOST_FINGERPRINT: usize = 1024;

/// Values of an event for the RDATA of one record.
#[derive(Clone, Copy)]
pub(super) struct RdataValues<'v> {
    pub(super) text: Option<&'v Text<'v>>,
    pub(super) fields: Option<&'v Fields<'v>>,
    /// True if a part of the text is missing.
    pub(super) is_truncated: bool,
    /// True if it may be one of several strings of one record.
    pub(super) is_part: bool,
}

impl<'v> From<&'v RecordEntry<'_>> for RdataValues<'v> {
    fn from(entry: &'v RecordEntry<'_>) -> Self {
        Self {
            text: entry.rdata.as_ref(),
            fields: entry.fields.as_deref(),
            is_truncated: entry.rdata_truncated,
            is_part: false,
        }
    }
}

impl<'v> From<&'v Datum<'_>> for RdataValues<'v> {
    fn from(datum: &'v Datum<'_>) -> Self {
        let (text, fields) = match datum {
            Datum::Text(text) => (Some(text), None),
            Datum::Fields(fields) => (None, Some(&**fields)),
        };
        Self { text, fields, is_truncated: false, is_part: false }
    }
}

/// Returns true if Suricata logs the RDATA of this type, in either form.
pub(super) fn is_logged(rrtype: RrType) -> bool {
    matches!(
        rrtype,
        RrType::A
            | RrType::AAAA
            | RrType::CNAME
            | RrType::MX
            | RrType::NS
            | RrType::NULL
            | RrType::PTR
            | RrType::SOA
            | RrType::SRV
            | RrType::SSHFP
            | RrType::TXT
    )
}

/// Appends the RDATA of a record; returns true if a part of it is unknown. `buffer` is used for names.
///
/// # Errors
/// [`DnsOmission::RdataNotInLog`] or [`DnsOmission::Undecodable`]; the octets appended so far are then not
/// valid RDATA.
pub(super) fn write(
    rrtype: RrType,
    value: RdataValues<'_>,
    buffer: &mut String,
    out: &mut Vec<u8>,
) -> Result<bool, DnsOmission> {
    let is_there = match rrtype {
        RrType::SOA | RrType::SRV | RrType::SSHFP => value.fields.is_some(),
        _ => is_logged(rrtype) && value.text.is_some(),
    };
    if !is_there {
        return Err(DnsOmission::RdataNotInLog);
    }
    let done = match (value.text, value.fields) {
        _ if value.is_truncated => None,
        (Some(text), _) => of_text(rrtype, text, buffer, out),
        (None, Some(fields)) => of_fields(rrtype, fields, buffer, out),
        (None, None) => None,
    };
    done.map(|()| rrtype == RrType::MX || value.is_part).ok_or(DnsOmission::Undecodable)
}

fn of_text(rrtype: RrType, text: &Text<'_>, buffer: &mut String, out: &mut Vec<u8>) -> Option<()> {
    match rrtype {
        RrType::A => out.extend_from_slice(&text.0.parse::<Ipv4Addr>().ok()?.octets()),
        RrType::AAAA => out.extend_from_slice(&text.0.parse::<Ipv6Addr>().ok()?.octets()),
        RrType::CNAME | RrType::NS | RrType::PTR if text.is_root() => return None,
        RrType::CNAME | RrType::NS | RrType::PTR => name(text, buffer, out)?,
        RrType::MX => {
            // The preference is not logged; an empty name means that there is no mail service (RFC 7505).
            out.extend_from_slice(&[0; 2]);
            name(text, buffer, out)?;
        }
        RrType::TXT => {
            let octets = text.octets();
            out.push(u8::try_from(octets.len()).ok()?);
            out.extend_from_slice(&octets);
        }
        RrType::NULL => {
            let octets = text.octets();
            u16::try_from(octets.len()).ok()?;
            out.extend_from_slice(&octets);
        }
        _ => return None,
    }
    Some(())
}

fn of_fields(
    rrtype: RrType,
    fields: &Fields<'_>,
    buffer: &mut String,
    out: &mut Vec<u8>,
) -> Option<()> {
    match rrtype {
        RrType::SOA => {
            if fields.mname_truncated || fields.rname_truncated {
                return None;
            }
            name(fields.mname.as_ref()?, buffer, out)?;
            name(fields.rname.as_ref()?, buffer, out)?;
            let Fields { serial, refresh, retry, expire, minimum, .. } = *fields;
            for number in [serial, refresh, retry, expire, minimum] {
                out.extend_from_slice(&number?.to_be_bytes());
            }
        }
        RrType::SRV => {
            let Fields { priority, weight, port, .. } = *fields;
            for number in [priority, weight, port] {
                out.extend_from_slice(&number?.to_be_bytes());
            }
            name(fields.name.as_ref()?, buffer, out)?;
        }
        RrType::SSHFP => {
            out.extend_from_slice(&[fields.algo?, fields.kind?]);
            fingerprint(&fields.fingerprint.as_ref()?.0, out)?;
        }
        _ => return None,
    }
    Some(())
}

fn name(text: &Text<'_>, buffer: &mut String, out: &mut Vec<u8>) -> Option<()> {
    Name::from_dotted(&text.octets(), buffer).ok()?.write_wire(out);
    Some(())
}

/// Octets in hexadecimal digits, separated by colons.
fn fingerprint(text: &str, out: &mut Vec<u8>) -> Option<()> {
    if text.len() > 3 * MOST_FINGERPRINT {
        return None;
    }
    for octet in text.split(':').filter(|_| !text.is_empty()) {
        let &[high, low] = octet.as_bytes() else { return None };
        out.push(lower_hex(high)? << 4 | lower_hex(low)?);
    }
    Some(())
}
