//! Bitmaps, hashes and times: fields of the DNSSEC types, CSYNC and WKS.

use super::parse::{Reader, number};
use super::text::TextWriter;
use crate::rr::RrType;
use jiff::civil::DateTime;
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

impl Reader<'_, '_> {
    /// `YYYYMMDDHHmmSS`, or seconds since 1970, which have at most ten digits (RFC 4034 §3.2).
    pub(super) fn time(&mut self) -> Option<()> {
        let word = self.word()?;
        let seconds: u32 = if word.len() == 14 {
            let part = |from: usize, to: usize| number::<i16>(word.get(from..to)?);
            let small = |from: usize| i8::try_from(part(from, from + 2)?).ok();
            let (month, day) = (small(4)?, small(6)?);
            let (hour, minute, second) = (small(8)?, small(10)?, small(12)?);
            let time = DateTime::new(part(0, 4)?, month, day, hour, minute, second, 0).ok()?;
            let time = Offset::UTC.to_timestamp(time).ok()?;
            u32::try_from(time.as_second()).ok()?
        } else {
            number(word)?
        };
        self.put(&seconds.to_be_bytes());
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

/// Reads what [`services`] writes.
pub(super) fn read_services(reader: &mut Reader<'_, '_>) -> Option<()> {
    let mut octets = Vec::new();
    while !reader.is_at_end() {
        let port = usize::from(reader.number::<u16>()?);
        octets.resize(octets.len().max(port / 8 + 1), 0);
        *octets.get_mut(port / 8)? |= 0x80 >> (port % 8);
    }
    reader.put(&octets);
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

/// Reads what [`salt`] writes.
pub(super) fn read_salt(reader: &mut Reader<'_, '_>) -> Option<()> {
    let word = reader.word()?;
    reader.counted(|reader| if word == b"-" { Some(()) } else { reader.hex_of(word) })
}

/// The alphabet of base32 with extended hex.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// The hashed owner name of NSEC3: base32 with the extended hex alphabet, unpadded (RFC 4648 §7).
pub(super) fn hash(writer: &mut TextWriter<'_>) -> Option<()> {
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

/// Reads what [`hash`] writes, in either case.
pub(super) fn read_hash(reader: &mut Reader<'_, '_>) -> Option<()> {
    let word = reader.word()?;
    reader.counted(|reader| {
        let (mut bits, mut held) = (0_u32, 0_u32);
        for digit in word {
            let digit = digit.to_ascii_uppercase();
            let value = DIGITS.iter().position(|&other| other == digit)?;
            bits = bits << 5 | u32::try_from(value).ok()?;
            held += 5;
            if held >= 8 {
                held -= 8;
                reader.out.push(u8::try_from(bits >> held & 0xff).ok()?);
            }
            bits &= (1 << held) - 1;
        }
        // What is left over are fewer bits than a digit has, all zero.
        (held < 5 && bits == 0).then_some(())
    })
}
