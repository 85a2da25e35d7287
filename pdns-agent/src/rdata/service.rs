//! Service parameters: SVCB and HTTPS (RFC 9460).

use super::text::TextWriter;
use std::net::{Ipv4Addr, Ipv6Addr};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

/// All parameters, separated by spaces. `None` if they violate RFC 9460 §2.2 or the form of a key, because
/// such text would not parse back.
pub(super) fn parameters(writer: &mut TextWriter<'_>) -> Option<()> {
    let whole = writer.rest;
    let mut last = None;
    while !writer.rest.is_empty() {
        let key = writer.u16()?;
        let length = writer.u16()?;
        let value = writer.slice(usize::from(length))?;
        if last.is_some_and(|last| key <= last) {
            return None;
        }
        if last.is_some() {
            writer.space();
        }
        last = Some(key);
        match key {
            MANDATORY => mandatory(writer, whole, value)?,
            NO_DEFAULT_ALPN if !has(whole, ALPN) => return None,
            _ => parameter(writer, key, value)?,
        }
    }
    Some(())
}

/// Returns true if `octets` contain a parameter with this key.
fn has(mut octets: &[u8], key: u16) -> bool {
    while let Some((&[high, low, length @ ..], rest)) = octets.split_first_chunk::<4>() {
        if u16::from_be_bytes([high, low]) == key {
            return true;
        }
        octets = rest.get(usize::from(u16::from_be_bytes(length))..).unwrap_or_default();
    }
    false
}

/// Keys that must be present and understood, in ascending order (RFC 9460 §8).
fn mandatory(writer: &mut TextWriter<'_>, whole: &[u8], value: &[u8]) -> Option<()> {
    writer.out.push_str("mandatory=");
    let (keys, []) = value.as_chunks::<2>() else { return None };
    let mut last = MANDATORY;
    for &key in keys {
        let key = u16::from_be_bytes(key);
        if key <= last || !has(whole, key) {
            return None;
        }
        if last != MANDATORY {
            writer.out.push(',');
        }
        last = key;
        name(writer, key);
    }
    (last != MANDATORY).then_some(())
}

/// The key's name in the IANA registry, or its number.
fn name(writer: &mut TextWriter<'_>, key: u16) {
    match key {
        ALPN => writer.out.push_str("alpn"),
        NO_DEFAULT_ALPN => writer.out.push_str("no-default-alpn"),
        3 => writer.out.push_str("port"),
        4 => writer.out.push_str("ipv4hint"),
        5 => writer.out.push_str("ech"),
        6 => writer.out.push_str("ipv6hint"),
        _ => writer.write(format_args!("key{key}")),
    }
}

fn parameter(writer: &mut TextWriter<'_>, key: u16, value: &[u8]) -> Option<()> {
    name(writer, key);
    // This key has no value.
    if key == NO_DEFAULT_ALPN {
        return value.is_empty().then_some(());
    }
    if key > 6 && value.is_empty() {
        return Some(());
    }
    writer.out.push('=');
    match key {
        ALPN => protocols(writer, value)?,
        3 => {
            let port = u16::from_be_bytes(value.try_into().ok()?);
            writer.write(format_args!("{port}"));
        }
        4 => {
            let (addresses, []) = value.as_chunks::<4>() else { return None };
            list(writer, addresses.iter().map(|&octets| Ipv4Addr::from(octets)))?;
        }
        5 if value.is_empty() => return None,
        5 => writer.base64(value),
        6 => {
            let (addresses, []) = value.as_chunks::<16>() else { return None };
            list(writer, addresses.iter().map(|&octets| Ipv6Addr::from(octets)))?;
        }
        _ => writer.quoted(value),
    }
    Some(())
}

/// One or more items, separated by commas.
fn list(
    writer: &mut TextWriter<'_>,
    items: impl Iterator<Item = impl std::fmt::Display>,
) -> Option<()> {
    let mut is_empty = true;
    for item in items {
        if !std::mem::take(&mut is_empty) {
            writer.out.push(',');
        }
        writer.write(format_args!("{item}"));
    }
    (!is_empty).then_some(())
}

/// Protocols in quotes, separated by commas; a comma or backslash within one is escaped twice (RFC 9460
/// appendix A.1).
fn protocols(writer: &mut TextWriter<'_>, mut value: &[u8]) -> Option<()> {
    let mut joined = Vec::new();
    while let Some((&length, rest)) = value.split_first() {
        let (protocol, rest) = rest.split_at_checked(usize::from(length))?;
        value = rest;
        if protocol.is_empty() {
            return None;
        }
        if !joined.is_empty() {
            joined.push(b',');
        }
        for &octet in protocol {
            if matches!(octet, b',' | b'\\') {
                joined.push(b'\\');
            }
            joined.push(octet);
        }
    }
    if joined.is_empty() {
        return None;
    }
    writer.quoted(&joined);
    Some(())
}
