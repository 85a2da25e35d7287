//! Addresses, prefixes and ranges in the forms that people, routers and logs write.
//!
//! Part of the subject parser. IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2) are read as IPv4.

use super::{Certainty, SubjectError};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first and the last address of a range.
type Range = (IpAddr, IpAddr);

/// Reads text that is an address, a prefix or a range; returns `None` if it is something else.
///
/// # Errors
/// [`SubjectError::Prefix`] and [`SubjectError::Range`] for text that begins as one but is not valid.
pub(super) fn read(text: &str) -> Result<Option<(Range, Certainty)>, SubjectError> {
    if let Some((address, certainty)) = address(text) {
        return Ok(Some(((address, address), certainty)));
    }
    if let Some((head, tail)) = text.split_once('/') {
        return prefix(head.trim(), tail.trim());
    }
    if let Some(found) = wildcard(text) {
        return Ok(Some((found, Certainty::Cleaned)));
    }
    if let Some((head, mask)) = text.split_once(char::is_whitespace) {
        let mask = mask.trim().trim_start_matches("netmask").trim_start_matches("mask").trim();
        if let (Some((IpAddr::V4(base), _)), Some(length)) = (address(head), length_of_mask(mask)) {
            return Ok(Some((of_net(base.into(), length)?, Certainty::Cleaned)));
        }
    }
    range(text)
}

/// Reads one address, in brackets or not; the zone of an IPv6 address (RFC 4007 §11) is removed.
pub(super) fn address(text: &str) -> Option<(IpAddr, Certainty)> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = inner.parse::<IpAddr>() {
        let canonical = address.to_canonical();
        let is_same = canonical == address;
        return Some((canonical, if is_same { Certainty::AsTyped } else { Certainty::Cleaned }));
    }
    if let Some((address, zone)) = inner.split_once('%')
        && let Ok(address) = address.parse::<Ipv6Addr>()
        && !zone.is_empty()
        && zone.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
    {
        return Some((address.to_canonical(), Certainty::Guessed));
    }
    let found = padded(inner).or_else(|| hexadecimal(inner))?;
    Some((found.into(), Certainty::Guessed))
}

/// Reads an IPv4 address written as one hexadecimal number of eight digits, or as four hexadecimal numbers:
/// `0xc0000242`.
fn hexadecimal(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let digits: Option<Vec<&str>> = parts
        .iter()
        .map(|part| part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")))
        .collect();
    match digits?.as_slice() {
        [one] if one.len() == 8 => of_url(text),
        [_, _, _, _] => of_url(text),
        _ => None,
    }
}

/// Reads four numbers of which at least one has a leading zero. Most logs pad decimal numbers this way; some
/// programs read them as octal.
fn padded(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| (1..=3).contains(&part.len()))?;
        *octet = number(part)?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// Reads a decimal number of one byte, digits only.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Reads `ADDRESS/LENGTH`, `ADDRESS/NETMASK`, or fewer than four numbers before the slash: `10/8`.
fn prefix(head: &str, tail: &str) -> Result<Option<(Range, Certainty)>, SubjectError> {
    let (base, certainty) = match address(head) {
        // The prefix length of a mapped address counts all bits of IPv6.
        Some(_) if head.contains(':') => {
            let inner = head.trim_matches(['[', ']']);
            match inner.parse::<Ipv6Addr>() {
                Ok(base) => (IpAddr::V6(base), Certainty::AsTyped),
                Err(_) => return Ok(None),
            }
        }
        Some((base, certainty)) => (base, certainty),
        None => match partial(head) {
            Some((base, count)) if tail.bytes().all(|octet| octet.is_ascii_digit()) => {
                // 10/8 and 192.168/16 can mean nothing else; 24/7 can.
                let is_full = tail.parse() == Ok(u32::from(count) * 8);
                (base.into(), if is_full { Certainty::Cleaned } else { Certainty::Guessed })
            }
            _ => return Ok(None),
        },
    };
    if tail.is_empty() || tail.contains(|letter: char| !letter.is_ascii_digit() && letter != '.') {
        // The path of a URL.
        return Ok(None);
    }
    if let Some(length) = length_of_mask(tail).filter(|_| base.is_ipv4()) {
        return Ok(Some((of_net(base, length)?, Certainty::Cleaned.max(certainty))));
    }
    let length = tail.parse().map_err(|_| SubjectError::Prefix)?;
    let (from, to) = of_net(base, length)?;
    let is_typed = from == base && from.is_ipv4() == base.is_ipv4();
    let certainty = certainty.max(if is_typed { Certainty::AsTyped } else { Certainty::Cleaned });
    Ok(Some(((from, to), certainty)))
}

fn of_net(base: IpAddr, length: u8) -> Result<Range, SubjectError> {
    let net = IpNet::new(base, length).map_err(|_| SubjectError::Prefix)?;
    Ok(canonical(net.network(), net.broadcast()))
}

/// Converts a range to IPv4 if all of it is mapped.
pub(super) fn canonical(from: IpAddr, to: IpAddr) -> Range {
    match (from.to_canonical(), to.to_canonical()) {
        (from @ IpAddr::V4(_), to @ IpAddr::V4(_)) => (from, to),
        _ => (from, to),
    }
}

/// Reads the first one to three numbers of an IPv4 address, and returns how many there are.
fn partial(text: &str) -> Option<(Ipv4Addr, u8)> {
    let mut octets = [0; 4];
    let mut count = 0;
    for part in text.split('.') {
        let is_plain = part == "0" || !part.starts_with('0');
        *octets.get_mut(usize::from(count)).filter(|_| count < 3 && is_plain)? = number(part)?;
        count += 1;
    }
    Some((octets.into(), count))
}

/// Reads `192.168.1.*`, and fewer numbers with more stars.
fn wildcard(text: &str) -> Option<Range> {
    let mut head = text.strip_suffix(".*")?;
    let mut stars = 1;
    while let Some(rest) = head.strip_suffix(".*") {
        head = rest;
        stars += 1;
    }
    let (base, count) = partial(head)?;
    (count + stars <= 4).then(|| of_net(base.into(), count * 8).ok()).flatten()
}

/// Returns the prefix length of this netmask or inverted netmask.
fn length_of_mask(text: &str) -> Option<u8> {
    let mask = text.parse::<Ipv4Addr>().ok()?.to_bits();
    let mask = if mask.leading_ones() == 0 && mask != 0 { !mask } else { mask };
    let length = mask.leading_ones();
    let is_mask = length + mask.trailing_zeros() == 32 || mask == u32::MAX;
    is_mask.then(|| u8::try_from(length).ok()).flatten()
}

/// Reads `ADDRESS-ADDRESS`.
fn range(text: &str) -> Result<Option<(Range, Certainty)>, SubjectError> {
    let parts = text.split_once(" to ").or_else(|| text.split_once(['-', '\u{2013}', '\u{2014}']));
    let Some((head, tail)) = parts else { return Ok(None) };
    let (head, tail) = (head.trim(), tail.trim());
    let Some((from, one)) = address(head) else { return Ok(None) };
    let Some((to, other)) = address(tail) else {
        // A name such as 192.0.2.7-static.example.
        let is_name = text.bytes().any(|octet| octet.is_ascii_alphabetic()) && !text.contains(':');
        return if is_name { Ok(None) } else { Err(SubjectError::Range) };
    };
    if from.is_ipv4() != to.is_ipv4() || from > to {
        return Err(SubjectError::Range);
    }
    let is_typed = text.len() == head.len() + 1 + tail.len() && text.is_ascii();
    let cleaned = if is_typed { Certainty::AsTyped } else { Certainty::Cleaned };
    Ok(Some(((from, to), one.max(other).max(cleaned))))
}

/// Reads an IPv4 address as browsers read the host of a URL: up to four numbers, decimal, octal (`0`) or
/// hexadecimal (`0x`), the last of which fills the remaining bytes.
pub(super) fn of_url(host: &str) -> Option<Ipv4Addr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let parts: Vec<&str> = host.split('.').collect();
    let (last, heads) = parts.split_last().filter(|(_, heads)| heads.len() < 4)?;
    let number = |part: &str| {
        let (digits, radix) = match part.as_bytes() {
            [b'0', b'x' | b'X', ..] => (part.get(2..)?, 16),
            [b'0', _, ..] => (part.get(1..)?, 8),
            _ => (part, 10),
        };
        match digits {
            "" if radix == 16 => Some(0),
            digits if digits.starts_with('+') => None,
            digits => u32::from_str_radix(digits, radix).ok(),
        }
    };
    let mut bits = 0_u32;
    for head in heads {
        bits = bits << 8 | number(head).filter(|&value| value < 256)?;
    }
    let left = 8 * (4 - u32::try_from(heads.len()).ok()?);
    let last = number(last).filter(|&last| left == 32 || last < 1 << left)?;
    Some(Ipv4Addr::from_bits(bits.checked_shl(left).unwrap_or(0) | last))
}
