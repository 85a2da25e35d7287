//! Fields of addresses, prefixes, locators, and hosts given as a name or an address.

use super::parse::{Reader, number};
use super::text::TextWriter;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An EUI: octets in hex, joined with hyphens (RFC 7043 §3.2, §4.2).
pub(super) fn eui<const N: usize>(writer: &mut TextWriter<'_>) -> Option<()> {
    let octets: [u8; N] = writer.take()?;
    for (at, octet) in octets.into_iter().enumerate() {
        writer.write(format_args!("{}{octet:02x}", if at == 0 { "" } else { "-" }));
    }
    Some(())
}

/// 64 bits as four groups of hex (RFC 6742 §2.1.2, §2.3.2).
pub(super) fn locator(writer: &mut TextWriter<'_>) -> Option<()> {
    for at in 0..4 {
        let group = writer.u16()?;
        writer.write(format_args!("{}{group:04x}", if at == 0 { "" } else { ":" }));
    }
    Some(())
}

/// An NSAP address: `0x` and hex (RFC 1706 §6).
pub(super) fn nsap(writer: &mut TextWriter<'_>) -> Option<()> {
    let octets = writer.rest()?;
    writer.out.push_str("0x");
    writer.hex(octets);
    Some(())
}

/// The items of an APL record, `[!]family:address/prefix` (RFC 3123 §4, §5). `None` if an item is not in the
/// only valid form, without trailing zeros.
pub(super) fn prefixes(writer: &mut TextWriter<'_>) -> Option<()> {
    let mut is_first = true;
    while !writer.rest.is_empty() {
        let family = writer.u16()?;
        let [prefix, length] = writer.take()?;
        let octets = writer.slice(usize::from(length & 0x7f))?;
        if octets.last() == Some(&0) {
            return None;
        }
        if !std::mem::take(&mut is_first) {
            writer.space();
        }
        if length & 0x80 != 0 {
            writer.out.push('!');
        }
        match family {
            1 if prefix <= 32 => {
                let address = Ipv4Addr::from(padded::<4>(octets)?);
                writer.write(format_args!("1:{address}/{prefix}"));
            }
            2 if prefix <= 128 => {
                let address = Ipv6Addr::from(padded::<16>(octets)?);
                writer.write(format_args!("2:{address}/{prefix}"));
            }
            _ => return None,
        }
    }
    Some(())
}

/// Pads octets with zeros to `N`; `None` if there are more than `N`.
fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0; N];
    whole.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(whole)
}

/// IPSECKEY's precedence, gateway type, algorithm and gateway (RFC 4025 §2).
pub(super) fn gateway(writer: &mut TextWriter<'_>) -> Option<()> {
    let [precedence, kind, algorithm] = writer.take()?;
    writer.write(format_args!("{precedence} {kind} {algorithm} "));
    host(writer, kind)
}

/// AMTRELAY's precedence, discovery bit, type and relay (RFC 8777 §4.2).
pub(super) fn relay(writer: &mut TextWriter<'_>) -> Option<()> {
    let [precedence, kind] = writer.take()?;
    let (discovery, kind) = (kind >> 7, kind & 0x7f);
    writer.write(format_args!("{precedence} {discovery} {kind} "));
    host(writer, kind)
}

/// Nothing, an IPv4 address, an IPv6 address or a name.
fn host(writer: &mut TextWriter<'_>, kind: u8) -> Option<()> {
    match kind {
        0 => writer.out.push('.'),
        1 => {
            let octets: [u8; 4] = writer.take()?;
            writer.write(format_args!("{}", Ipv4Addr::from(octets)));
        }
        2 => {
            let octets: [u8; 16] = writer.take()?;
            writer.write(format_args!("{}", Ipv6Addr::from(octets)));
        }
        3 => writer.name()?,
        _ => return None,
    }
    Some(())
}

/// HIP's algorithm, tag, key and rendezvous servers (RFC 8005 §5, §6).
pub(super) fn host_identity(writer: &mut TextWriter<'_>) -> Option<()> {
    let [tag, algorithm] = writer.take()?;
    let key = writer.u16()?;
    let (tag, key) = (writer.slice(tag.into())?, writer.slice(key.into())?);
    if tag.is_empty() || key.is_empty() {
        return None;
    }
    writer.write(format_args!("{algorithm} "));
    writer.hex(tag);
    writer.space();
    writer.base64(key);
    while !writer.rest.is_empty() {
        writer.space();
        writer.name()?;
    }
    Some(())
}

/// Reads what [`eui`] writes.
pub(super) fn read_eui<const N: usize>(reader: &mut Reader<'_, '_>) -> Option<()> {
    let start = reader.out.len();
    for octet in reader.word()?.split(|&octet| octet == b'-') {
        Some(octet).filter(|octet| octet.len() == 2)?;
        reader.hex_of(octet)?;
    }
    (reader.out.len() - start == N).then_some(())
}

/// Reads what [`locator`] writes.
pub(super) fn read_locator(reader: &mut Reader<'_, '_>) -> Option<()> {
    let start = reader.out.len();
    for group in reader.word()?.split(|&octet| octet == b':') {
        let group = std::str::from_utf8(group).ok().filter(|group| !group.starts_with('+'))?;
        let group = u16::from_str_radix(group, 16).ok()?;
        reader.put(&group.to_be_bytes());
    }
    (reader.out.len() - start == 8).then_some(())
}

/// Reads what [`nsap`] writes; dots between the digits mean nothing (RFC 1706 §7).
pub(super) fn read_nsap(reader: &mut Reader<'_, '_>) -> Option<()> {
    let word = reader.word()?;
    let digits = word.strip_prefix(b"0x").or_else(|| word.strip_prefix(b"0X"))?;
    let digits: Vec<u8> = digits.iter().copied().filter(|&octet| octet != b'.').collect();
    (!digits.is_empty()).then_some(())?;
    reader.hex_of(&digits)
}

/// Reads what [`prefixes`] writes.
pub(super) fn read_prefixes(reader: &mut Reader<'_, '_>) -> Option<()> {
    while !reader.is_at_end() {
        let word = reader.word()?;
        let (negation, word) = word.strip_prefix(b"!").map_or((0, word), |word| (0x80, word));
        let word = std::str::from_utf8(word).ok()?;
        let (family, word) = word.split_once(':')?;
        let (address, prefix) = word.rsplit_once('/')?;
        let (family, octets, most) = match family {
            "1" => (1_u16, address.parse::<Ipv4Addr>().ok()?.octets().to_vec(), 32),
            "2" => (2, address.parse::<Ipv6Addr>().ok()?.octets().to_vec(), 128),
            _ => return None,
        };
        let prefix = number::<u8>(prefix.as_bytes()).filter(|&prefix| prefix <= most)?;
        let used = octets.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
        reader.put(&family.to_be_bytes());
        reader.put(&[prefix, negation | u8::try_from(used).ok()?]);
        reader.put(octets.get(..used)?);
    }
    Some(())
}

/// Reads what [`gateway`] writes.
pub(super) fn read_gateway(reader: &mut Reader<'_, '_>) -> Option<()> {
    let precedence: u8 = reader.number()?;
    let kind: u8 = reader.number()?;
    let algorithm: u8 = reader.number()?;
    reader.put(&[precedence, kind, algorithm]);
    read_host(reader, kind)
}

/// Reads what [`relay`] writes.
pub(super) fn read_relay(reader: &mut Reader<'_, '_>) -> Option<()> {
    let precedence: u8 = reader.number()?;
    let discovery = reader.number::<u8>().filter(|&bit| bit <= 1)?;
    let kind = reader.number::<u8>().filter(|&kind| kind <= 0x7f)?;
    reader.put(&[precedence, discovery << 7 | kind]);
    read_host(reader, kind)
}

/// Reads what [`host`] writes.
fn read_host(reader: &mut Reader<'_, '_>, kind: u8) -> Option<()> {
    match kind {
        0 => return (reader.word()? == b".").then_some(()),
        1 => {
            let address: Ipv4Addr = reader.parsed()?;
            reader.put(&address.octets());
        }
        2 => {
            let address: Ipv6Addr = reader.parsed()?;
            reader.put(&address.octets());
        }
        3 => reader.name()?,
        _ => return None,
    }
    Some(())
}

/// Reads what [`host_identity`] writes.
pub(super) fn read_host_identity(reader: &mut Reader<'_, '_>) -> Option<()> {
    let algorithm: u8 = reader.number()?;
    let (mut tag, mut key) = (Vec::new(), Vec::new());
    let (tag_digits, key_digits) = (reader.word()?, reader.word()?);
    Reader::without_text(&mut tag).hex_of(tag_digits)?;
    Reader::without_text(&mut key).base64(key_digits)?;
    if tag.is_empty() {
        return None;
    }
    reader.put(&[u8::try_from(tag.len()).ok()?, algorithm]);
    reader.put(&u16::try_from(key.len()).ok()?.to_be_bytes());
    reader.put(&tag);
    reader.put(&key);
    while !reader.is_at_end() {
        reader.name()?;
    }
    Some(())
}
