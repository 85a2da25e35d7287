//! Fields of addresses, prefixes, locators, and hosts given as a name or an address.

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
