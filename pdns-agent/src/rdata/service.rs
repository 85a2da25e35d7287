//! Service parameters: SVCB and HTTPS (RFC 9460).

use super::parse::{Reader, number};
use super::text::TextWriter;
use std::collections::BTreeMap;
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

/// Reads parameters in any order, each once.
pub(super) fn read_parameters(reader: &mut Reader<'_, '_>) -> Option<()> {
    let mut found = BTreeMap::new();
    while !reader.is_at_end() {
        let (key, text) = reader.parameter()?;
        let key = key_of(key)?;
        let mut value = Vec::new();
        read_value(&mut Reader::without_text(&mut value), key, text.as_deref())?;
        if found.insert(key, value).is_some() {
            return None;
        }
    }
    for (key, value) in found {
        reader.put(&key.to_be_bytes());
        reader.put(&u16::try_from(value.len()).ok()?.to_be_bytes());
        reader.put(&value);
    }
    Some(())
}

/// The number of a key by its name.
fn key_of(name: &[u8]) -> Option<u16> {
    Some(match name {
        b"mandatory" => MANDATORY,
        b"alpn" => ALPN,
        b"no-default-alpn" => NO_DEFAULT_ALPN,
        b"port" => 3,
        b"ipv4hint" => 4,
        b"ech" => 5,
        b"ipv6hint" => 6,
        _ => number(name.strip_prefix(b"key")?)?,
    })
}

/// Appends the octets of a value; `text` is without its first escapes.
fn read_value(reader: &mut Reader<'_, '_>, key: u16, text: Option<&[u8]>) -> Option<()> {
    if key == NO_DEFAULT_ALPN {
        return text.is_none_or(<[u8]>::is_empty).then_some(());
    }
    if key > 6 {
        reader.put(text.unwrap_or_default());
        return Some(());
    }
    let text = text.filter(|text| !text.is_empty())?;
    let words = || text.split(|&octet| octet == b',');
    match key {
        MANDATORY => {
            let mut keys = words().map(key_of).collect::<Option<Vec<_>>>()?;
            keys.sort_unstable();
            for key in keys {
                reader.put(&key.to_be_bytes());
            }
        }
        ALPN => read_protocols(reader, text)?,
        3 => reader.put(&number::<u16>(text)?.to_be_bytes()),
        5 => reader.base64(text)?,
        _ => {
            for word in words() {
                let word = std::str::from_utf8(word).ok()?;
                match key {
                    4 => reader.put(&word.parse::<Ipv4Addr>().ok()?.octets()),
                    _ => reader.put(&word.parse::<Ipv6Addr>().ok()?.octets()),
                }
            }
        }
    }
    Some(())
}

/// Reads what [`protocols`] writes, without the quotes and their escapes.
fn read_protocols(reader: &mut Reader<'_, '_>, text: &[u8]) -> Option<()> {
    let mut protocol = Vec::new();
    let mut octets = text.iter().copied();
    loop {
        let octet = octets.next();
        match octet {
            Some(b'\\') => protocol.push(octets.next()?),
            None | Some(b',') => {
                (!protocol.is_empty()).then_some(())?;
                reader.put(&[u8::try_from(protocol.len()).ok()?]);
                reader.put(&std::mem::take(&mut protocol));
            }
            Some(octet) => protocol.push(octet),
        }
        if octet.is_none() {
            return Some(());
        }
    }
}
