//! RDATA from text: the right-hand side of a master file (RFC 1035 §5.1), as this module and others write it.
//!
//! The reverse of `text`, by the same table. Accepts what other programs write besides: names with and without a
//! final dot, hex and base64 with blanks, and `\# length hex` for any type (RFC 3597 §5). Names are absolute.

use super::canonical;
use super::layout::{Field, can_have_length, layout};
use crate::hex;
use crate::name::{MAX_LABEL, MAX_WIRE};
use crate::rr::RrType;
use base64ct::{Base64, Encoding as _};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Maximum length of RDATA in octets: its length field has 16 bits (RFC 1035 §3.2.1).
const MAX_RDATA: usize = 0xffff;

/// Text that is not RDATA of the type that it is said to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the RDATA of such a record")]
pub struct Unreadable;

/// Appends the canonical wire form of the RDATA that `text` stands for.
///
/// Strings that are not in quotes are one string if the record consists of strings (TXT, SPF): programs that leave the
/// quotes away write the text of a single one.
///
/// # Errors
/// [`Unreadable`] if the text is not RDATA of this type; nothing is appended then.
pub fn parse(rrtype: RrType, text: &str, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut octets = Vec::new();
    let mut reader = Reader { rest: text.as_bytes().trim_ascii(), out: &mut octets };
    read(rrtype, &mut reader).filter(|()| octets.len() <= MAX_RDATA).ok_or(Unreadable)?;
    let start = out.len();
    let is_valid = if canonical::has_names(rrtype) {
        canonical::write(rrtype, &octets, 0, octets.len(), out).is_ok()
    } else {
        out.extend_from_slice(&octets);
        can_have_length(rrtype, octets.len())
    };
    if is_valid {
        Ok(())
    } else {
        out.truncate(start);
        Err(Unreadable)
    }
}

fn read(rrtype: RrType, reader: &mut Reader<'_, '_>) -> Option<()> {
    if let Some(rest) = reader.rest.strip_prefix(b"\\#") {
        reader.rest = rest;
        return reader.unknown();
    }
    for &field in layout(rrtype)? {
        reader.field(field)?;
    }
    reader.is_at_end().then_some(())
}

/// Reads text word by word and appends the octets that it stands for; each step returns `None` if the text does not
/// fit.
pub(super) struct Reader<'t, 'o> {
    rest: &'t [u8],
    pub(super) out: &'o mut Vec<u8>,
}

impl<'o> Reader<'static, 'o> {
    /// A reader without text, to append octets.
    pub(super) fn without_text(out: &'o mut Vec<u8>) -> Self {
        Self { rest: &[], out }
    }
}

impl<'t> Reader<'t, '_> {
    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::U8 => self.number::<u8>().map(|value| self.out.push(value)),
            Field::U16 => self.u16(),
            Field::U32 => self.u32(),
            Field::Type => {
                let rrtype = self.rrtype()?;
                self.put(&rrtype.0.to_be_bytes());
                Some(())
            }
            Field::Time => self.time(),
            Field::V4 => {
                let address: Ipv4Addr = self.parsed()?;
                self.put(&address.octets());
                Some(())
            }
            Field::V6 => {
                let address: Ipv6Addr = self.parsed()?;
                self.put(&address.octets());
                Some(())
            }
            Field::Name => self.name(),
            Field::String => self.string(),
            Field::Strings => self.strings(),
            Field::Hex => self.hex(),
            Field::Base64 => {
                let words = std::iter::from_fn(|| self.word()).collect::<Vec<_>>().concat();
                self.base64(&words)
            }
            Field::Types => self.types(),
            Field::Opaque => None,
            Field::Special(_, read) => read(self),
        }
    }

    pub(super) fn put(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Appends one octet with the length of what `write` appends behind it.
    pub(super) fn counted(&mut self, write: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let at = self.out.len();
        self.out.push(0);
        write(self)?;
        let length = u8::try_from(self.out.len() - at - 1).ok()?;
        *self.out.get_mut(at)? = length;
        Some(())
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty()
    }

    /// The next word, with its escapes; a blank behind a backslash is part of it.
    pub(super) fn word(&mut self) -> Option<&'t [u8]> {
        self.skip_blanks();
        self.take_until(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty())
    }

    /// A key and, if `=` follows at once, its value: a string in quotes or not, without its escapes.
    pub(super) fn parameter(&mut self) -> Option<(&'t [u8], Option<Vec<u8>>)> {
        self.skip_blanks();
        let key = self.take_until(|octet| octet == b'=' || octet.is_ascii_whitespace())?;
        let Some(rest) = self.rest.strip_prefix(b"=") else { return Some((key, None)) };
        self.rest = rest;
        let mut value = Vec::new();
        // An empty value ends here.
        if rest.first().is_some_and(|octet| !octet.is_ascii_whitespace()) {
            let mut reader = Reader { rest, out: &mut value };
            reader.text()?;
            self.rest = reader.rest;
        }
        Some((key, Some(value)))
    }

    /// The octets up to the first one that ends them and has no backslash before it.
    fn take_until(&mut self, ends: impl Fn(u8) -> bool) -> Option<&'t [u8]> {
        let (head, rest) = split(self.rest, ends)?;
        self.rest = rest;
        Some(head)
    }

    /// The next word, which stands for a value.
    pub(super) fn parsed<T: FromStr>(&mut self) -> Option<T> {
        std::str::from_utf8(self.word()?).ok()?.parse().ok()
    }

    /// The next word, a number in decimal digits.
    pub(super) fn number<T: FromStr>(&mut self) -> Option<T> {
        number(self.word()?)
    }

    pub(super) fn u16(&mut self) -> Option<()> {
        let value: u16 = self.number()?;
        self.put(&value.to_be_bytes());
        Some(())
    }

    fn u32(&mut self) -> Option<()> {
        let value: u32 = self.number()?;
        self.put(&value.to_be_bytes());
        Some(())
    }

    /// The next word, a record type by mnemonic or number.
    pub(super) fn rrtype(&mut self) -> Option<RrType> {
        let word = self.word()?;
        number(word).map(RrType).or_else(|| std::str::from_utf8(word).ok()?.parse().ok())
    }

    /// A name, in its case.
    pub(super) fn name(&mut self) -> Option<()> {
        let word = self.word()?;
        let start = self.out.len();
        if word != b"." {
            let mut rest = word;
            while !rest.is_empty() {
                let (text, after) = split(rest, |octet| octet == b'.')?;
                rest = after.get(1..).unwrap_or_default();
                let at = self.out.len();
                self.counted(|reader| unescape(text, reader.out))?;
                if !(1..=MAX_LABEL).contains(&(self.out.len() - at - 1)) {
                    return None;
                }
            }
        }
        self.out.push(0);
        (self.out.len() - start <= MAX_WIRE).then_some(())
    }

    /// The octets of a string, in quotes or not, of any length.
    pub(super) fn text(&mut self) -> Option<()> {
        self.skip_blanks();
        let text = match self.rest.strip_prefix(b"\"") {
            Some(rest) => {
                self.rest = rest;
                let text = self.take_until(|octet| octet == b'"')?;
                self.rest = self.rest.strip_prefix(b"\"")?;
                text
            }
            None => self.word()?,
        };
        unescape(text, self.out)
    }

    /// One character-string (RFC 1035 §3.3).
    pub(super) fn string(&mut self) -> Option<()> {
        self.counted(Self::text)
    }

    /// One or more character-strings; without quotes, all of the rest is one.
    fn strings(&mut self) -> Option<()> {
        self.skip_blanks();
        if self.rest.starts_with(b"\"") {
            while !self.is_at_end() {
                self.string()?;
            }
            return Some(());
        }
        let text = std::mem::take(&mut self.rest);
        (!text.is_empty()).then_some(())?;
        self.counted(|reader| unescape(text, reader.out))
    }

    /// The rest, one octet or more in hex, with blanks or not.
    pub(super) fn hex(&mut self) -> Option<()> {
        let words = std::iter::from_fn(|| self.word()).collect::<Vec<_>>().concat();
        (!words.is_empty()).then_some(())?;
        self.hex_of(&words)
    }

    /// The octets of these hexadecimal digits.
    pub(super) fn hex_of(&mut self, digits: &[u8]) -> Option<()> {
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        for &[high, low] in pairs {
            self.out.push(hex::digit(high)? << 4 | hex::digit(low)?);
        }
        Some(())
    }

    /// One octet or more in base64 (RFC 4648 §4).
    pub(super) fn base64(&mut self, digits: &[u8]) -> Option<()> {
        let octets = Base64::decode_vec(std::str::from_utf8(digits).ok()?).ok()?;
        self.put(&octets);
        (!octets.is_empty()).then_some(())
    }

    /// `length hex`, what follows the `\#` of RFC 3597 §5.
    fn unknown(&mut self) -> Option<()> {
        let length: usize = self.number()?;
        if self.is_at_end() {
            return (length == 0).then_some(());
        }
        self.hex()?;
        (self.out.len() == length).then_some(())
    }

    /// The rest, types in any order, as a bitmap (RFC 4034 §4.1.2).
    fn types(&mut self) -> Option<()> {
        let mut windows = BTreeMap::<u8, [u8; 32]>::new();
        while !self.is_at_end() {
            let [window, bit] = self.rrtype()?.0.to_be_bytes();
            let octets = windows.entry(window).or_default();
            *octets.get_mut(usize::from(bit / 8))? |= 0x80 >> (bit % 8);
        }
        for (window, octets) in windows {
            let used = octets.iter().rposition(|&octet| octet != 0)? + 1;
            self.out.push(window);
            self.counted(|reader| {
                reader.put(octets.get(..used)?);
                Some(())
            })?;
        }
        Some(())
    }
}

/// Splits text before the first octet that ends it and has no backslash before it.
fn split(text: &[u8], ends: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let mut is_escaped = false;
    let length = text.iter().position(|&octet| {
        let is_end = !is_escaped && ends(octet);
        is_escaped = !is_escaped && octet == b'\\';
        is_end
    });
    text.split_at_checked(length.unwrap_or(text.len()))
}

/// A number in decimal digits, without a sign.
pub(super) fn number<T: FromStr>(digits: &[u8]) -> Option<T> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends the octets that text with escapes stands for (RFC 1035 §5.1).
pub(super) fn unescape(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut octets = text.iter().copied();
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        let first = octets.next()?;
        out.push(if first.is_ascii_digit() {
            number(&[first, octets.next()?, octets.next()?])?
        } else {
            first
        });
    }
    Some(())
}

#[cfg(test)]
mod tests;
