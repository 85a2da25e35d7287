//! Text for the fields that many types share.

use super::FinalDot;
use super::layout::Field;
use crate::name::{push_decimal, push_octet};
use crate::rr::RrType;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Appends formatted text; a `String` takes all of it.
pub(super) fn write_text(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

/// Reads fields from the start of RDATA and writes them as text; each step returns `None` if the RDATA does
/// not fit.
pub(super) struct TextWriter<'a> {
    pub(super) rest: &'a [u8],
    pub(super) out: &'a mut String,
    pub(super) dot: FinalDot,
}

impl TextWriter<'_> {
    /// Writes all of these fields, separated by spaces; nothing may follow them.
    pub(super) fn fields(mut self, fields: &[Field]) -> Option<()> {
        for &field in fields {
            let end = self.out.len();
            if end > 0 {
                self.space();
            }
            let start = self.out.len();
            self.field(field)?;
            // An empty field, such as a bitmap without types, needs no space before it.
            if self.out.len() == start {
                self.out.truncate(end);
            }
        }
        // Present RDATA must produce text, or the text would not parse back.
        (self.rest.is_empty() && !self.out.is_empty()).then_some(())
    }

    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::U8 => {
                let [value] = self.take()?;
                self.write(format_args!("{value}"));
            }
            Field::U16 => {
                let value = self.u16()?;
                self.write(format_args!("{value}"));
            }
            Field::U32 => {
                let value = u32::from_be_bytes(self.take()?);
                self.write(format_args!("{value}"));
            }
            Field::Type => {
                let value = RrType(self.u16()?);
                self.write(format_args!("{value}"));
            }
            Field::Time => self.time()?,
            Field::V4 => {
                let octets: [u8; 4] = self.take()?;
                self.write(format_args!("{}", Ipv4Addr::from(octets)));
            }
            Field::V6 => {
                let octets: [u8; 16] = self.take()?;
                self.write(format_args!("{}", Ipv6Addr::from(octets)));
            }
            Field::Name => self.name()?,
            Field::String => self.string()?,
            Field::Strings => {
                self.string()?;
                while !self.rest.is_empty() {
                    self.space();
                    self.string()?;
                }
            }
            Field::Hex => {
                let octets = self.rest()?;
                self.hex(octets);
            }
            Field::Base64 => {
                let octets = self.rest()?;
                self.base64(octets);
            }
            Field::Types => self.types()?,
            Field::Opaque => return None,
            Field::Special(write, _) => write(self)?,
        }
        Some(())
    }

    pub(super) fn write(&mut self, text: std::fmt::Arguments<'_>) {
        write_text(self.out, text);
    }

    pub(super) fn space(&mut self) {
        self.out.push(' ');
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    /// A name in its original case: types that are not canonicalised keep it, and all others are already
    /// lower case.
    pub(super) fn name(&mut self) -> Option<()> {
        let start = self.out.len();
        let mut wire = 1;
        loop {
            let [length] = self.take()?;
            if length == 0 {
                break;
            }
            wire += usize::from(length) + 1;
            if length > 63 || wire > crate::name::MAX_WIRE {
                return None;
            }
            if self.out.len() > start {
                self.out.push('.');
            }
            for &octet in self.slice(usize::from(length))? {
                if octet.is_ascii_uppercase() {
                    self.out.push(char::from(octet));
                } else {
                    push_octet(octet, self.out);
                }
            }
        }
        // The root is a dot regardless of the setting.
        if self.dot == FinalDot::With || self.out.len() == start {
            self.out.push('.');
        }
        Some(())
    }

    /// One character-string (RFC 1035 §3.3), always quoted to keep strings apart.
    pub(super) fn string(&mut self) -> Option<()> {
        let [length] = self.take()?;
        let octets = self.slice(usize::from(length))?;
        self.quoted(octets);
        Some(())
    }

    pub(super) fn quoted(&mut self, octets: &[u8]) {
        self.out.push('"');
        for &octet in octets {
            match octet {
                b'"' | b'\\' => {
                    self.out.push('\\');
                    self.out.push(char::from(octet));
                }
                b' '..=b'~' => self.out.push(char::from(octet)),
                _ => push_decimal(octet, self.out),
            }
        }
        self.out.push('"');
    }

    pub(super) fn hex(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write(format_args!("{octet:02x}"));
        }
    }

    /// Base64 (RFC 4648 §4).
    pub(super) fn base64(&mut self, octets: &[u8]) {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for chunk in octets.chunks(3) {
            let bits = chunk
                .iter()
                .enumerate()
                .fold(0, |bits, (at, &octet)| bits | u32::from(octet) << (16 - 8 * at));
            for at in 0..4 {
                let digit = DIGITS.get((bits >> (18 - 6 * at) & 0x3f) as usize);
                let is_padding = at > chunk.len();
                self.out.push(if is_padding {
                    '='
                } else {
                    digit.map_or('=', |&digit| char::from(digit))
                });
            }
        }
    }
}

impl<'a> TextWriter<'a> {
    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    /// All remaining octets, if there are any.
    pub(super) fn rest(&mut self) -> Option<&'a [u8]> {
        Some(std::mem::take(&mut self.rest)).filter(|rest| !rest.is_empty())
    }
}
