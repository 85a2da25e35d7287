//! Bitmaps, hashes and times: fields of the DNSSEC types, CSYNC and WKS.

use super::text::TextWriter;
use crate::rr::RrType;
use jiff::tz::Offset;

impl TextWriter<'_> {
    /// The types of a bitmap, in ascending order (RFC 4034 §4.1.2). `None` unless the bitmap is the unique
    /// encoding of its types: windows ascend, and none ends in zeros.
    pub(super) fn types(&mut self) -> Option<()> {
        let mut last = None;
        let mut is_first = true;
        while !self.rest.is_empty() {
            let [window, length] = self.take()?;
            let bits = self.slice(usize::from(length))?;
            if last.is_some_and(|last| window <= last)
                || bits.len() > 32
                || bits.last().is_none_or(|&last| last == 0)
            {
                return None;
            }
            last = Some(window);
            for bit in set_bits(bits) {
                if !std::mem::take(&mut is_first) {
                    self.space();
                }
                // At most 32 octets have at most 256 bits.
                let rrtype = RrType(u16::from(window) << 8 | bit);
                self.write(format_args!("{rrtype}"));
            }
        }
        Some(())
    }

    /// Seconds since 1970 as `YYYYMMDDHHmmSS` (RFC 4034 §3.2). The number uses serial arithmetic; it is
    /// displayed as in its first cycle, which ends in 2106.
    pub(super) fn time(&mut self) -> Option<()> {
        let seconds = u32::from_be_bytes(self.take()?);
        let time = jiff::Timestamp::from_second(seconds.into()).ok()?;
        let time = Offset::UTC.to_datetime(time);
        self.write(format_args!("{:04}{:02}{:02}", time.year(), time.month(), time.day()));
        self.write(format_args!("{:02}{:02}{:02}", time.hour(), time.minute(), time.second()));
        Some(())
    }
}

/// The numbers of the bits that are set; bit 0 is the highest of the first octet.
fn set_bits(octets: &[u8]) -> impl Iterator<Item = u16> {
    (0..).zip(octets).flat_map(|(at, &octet)| {
        (0..8).filter(move |bit| octet << bit & 0x80 != 0).map(move |bit| at * 8 + bit)
    })
}

/// The ports of a WKS record (RFC 1035 §3.4.2).
pub(super) fn services(writer: &mut TextWriter<'_>) -> Option<()> {
    let bits = std::mem::take(&mut writer.rest);
    // A bitmap that ends in zeros is not the unique encoding of its ports; ports end at 65,535.
    if bits.last() == Some(&0) || bits.len() > 8192 {
        return None;
    }
    for (at, port) in set_bits(bits).enumerate() {
        if at > 0 {
            writer.space();
        }
        writer.write(format_args!("{port}"));
    }
    Some(())
}

/// The salt of NSEC3: hex, or `-` if empty (RFC 5155 §3.3).
pub(super) fn salt(writer: &mut TextWriter<'_>) -> Option<()> {
    let [length] = writer.take()?;
    let octets = writer.slice(usize::from(length))?;
    if octets.is_empty() {
        writer.out.push('-');
    }
    writer.hex(octets);
    Some(())
}

/// The hashed owner name of NSEC3: base32 with the extended hex alphabet, unpadded (RFC 4648 §7).
pub(super) fn hash(writer: &mut TextWriter<'_>) -> Option<()> {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    let [length] = writer.take()?;
    let octets = writer.slice(usize::from(length))?;
    if octets.is_empty() {
        return None;
    }
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &octet in octets {
        bits = bits << 8 | u32::from(octet);
        held += 8;
        while held >= 5 {
            held -= 5;
            writer.out.push(digit(DIGITS, bits >> held));
        }
    }
    if held > 0 {
        writer.out.push(digit(DIGITS, bits << (5 - held)));
    }
    Some(())
}

fn digit(digits: &[u8; 32], bits: u32) -> char {
    digits.get((bits & 0x1f) as usize).map_or('0', |&digit| char::from(digit))
}
