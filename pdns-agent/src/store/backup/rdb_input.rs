//! The bytes of a snapshot, with their number and checksum, and the lengths and strings that it is made of.
//!
//! Part of `store/backup`. Nothing that the input promises is believed: memory is allocated as bytes arrive.

use super::crc64::crc64;
use std::io::{self, Read};

/// Bytes read at a time.
const BLOCK: usize = 256 << 10;
/// Largest value that is kept. Redis takes no command with more than 512 MB in one word, unless it is told to.
const MOST: usize = 1 << 30;
/// Longest key that is read; longer ones are not keys of a store.
const LONGEST_KEY: u64 = 1 << 10;

/// The reason for which a snapshot cannot be read, and the place.
#[derive(Debug, thiserror::Error)]
#[error("byte {offset} of the snapshot: {reason}")]
pub struct SnapshotError {
    /// Number of bytes before it.
    offset: u64,
    /// The fault.
    reason: String,
    /// True if the connection or file failed, or ended too early.
    pub(super) is_broken: bool,
}

/// A length, or the way in which a string is encoded that has no length here.
pub(super) enum Length {
    Plain(u64),
    Encoded(u8),
}

/// A stream of bytes that is read in order.
pub(super) struct RdbInput<R> {
    inner: R,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were consumed.
    at: usize,
    /// Bytes of the buffer that the checksum covers.
    summed: usize,
    /// Bytes before the buffer.
    before: u64,
    crc: u64,
    /// True while what is consumed is kept.
    is_keeping: bool,
    kept: Vec<u8>,
}

impl<R: Read> RdbInput<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: Vec::with_capacity(BLOCK),
            at: 0,
            summed: 0,
            before: 0,
            crc: 0,
            is_keeping: false,
            kept: Vec::new(),
        }
    }

    /// Returns an error at this place.
    pub(super) fn fault(&self, reason: impl Into<String>) -> SnapshotError {
        SnapshotError {
            offset: self.before + self.at as u64,
            reason: reason.into(),
            is_broken: false,
        }
    }

    /// Begins to keep what is consumed.
    pub(super) fn keep(&mut self) {
        self.kept.clear();
        self.is_keeping = true;
    }

    /// Ends that, and returns what was kept.
    pub(super) fn kept(&mut self) -> &[u8] {
        self.is_keeping = false;
        &self.kept
    }

    /// Returns the checksum of all that was consumed.
    pub(super) fn checksum(&mut self) -> u64 {
        self.crc = crc64(self.crc, self.buffer.get(self.summed..self.at).unwrap_or_default());
        self.summed = self.at;
        self.crc
    }

    /// Reads more bytes behind those that are not consumed yet.
    fn refill(&mut self) -> Result<(), SnapshotError> {
        self.checksum();
        self.before += self.at as u64;
        self.buffer.drain(..self.at);
        (self.at, self.summed) = (0, 0);
        let held = self.buffer.len();
        self.buffer.resize(BLOCK, 0);
        let room = self.buffer.get_mut(held..).unwrap_or_default();
        let read = loop {
            match self.inner.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        let broken = |reason: String| SnapshotError {
            offset: self.before + held as u64,
            reason,
            is_broken: true,
        };
        match read {
            Ok(0) => Err(broken("it ends too early".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// Consumes a few bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(bytes) = rest.first_chunk::<N>() {
                let bytes = *bytes;
                self.at += N;
                if self.is_keeping {
                    self.kept.extend_from_slice(&bytes);
                }
                return Ok(bytes);
            }
            self.refill()?;
        }
    }

    /// Consumes one byte.
    pub(super) fn byte(&mut self) -> Result<u8, SnapshotError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Consumes many bytes.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), SnapshotError> {
        while count > 0 {
            if self.at == self.buffer.len() {
                self.refill()?;
            }
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let now = usize::try_from(count).unwrap_or(usize::MAX).min(rest.len());
            if self.is_keeping {
                if self.kept.len() + now > MOST {
                    return Err(self.fault("a value of more than 1 GiB"));
                }
                self.kept.extend_from_slice(rest.get(..now).unwrap_or_default());
            }
            self.at += now;
            count -= now as u64;
        }
        Ok(())
    }

    /// Consumes a length.
    pub(super) fn length(&mut self) -> Result<Length, SnapshotError> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(first.into()),
            1 => {
                let low = self.byte()?;
                Length::Plain(u64::from(first & 0x3f) << 8 | u64::from(low))
            }
            2 => match first {
                0x80 => Length::Plain(u32::from_be_bytes(self.array()?).into()),
                0x81 => Length::Plain(u64::from_be_bytes(self.array()?)),
                _ => return Err(self.fault(format!("no length begins with {first:#04x}"))),
            },
            _ => Length::Encoded(first & 0x3f),
        })
    }

    /// Consumes a number of things, which cannot be encoded otherwise.
    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        match self.length()? {
            Length::Plain(number) => Ok(number),
            Length::Encoded(form) => Err(self.fault(format!("{form} is not a form of a number"))),
        }
    }

    /// Consumes a string.
    pub(super) fn string(&mut self) -> Result<(), SnapshotError> {
        let octets = match self.length()? {
            Length::Plain(length) => length,
            Length::Encoded(form @ 0..=2) => 1 << form,
            Length::Encoded(3) => {
                let length = self.number()?;
                self.number()?;
                length
            }
            Length::Encoded(form) => {
                return Err(self.fault(format!("{form} is not a form of a string")));
            }
        };
        self.skip(octets)
    }

    /// Consumes a string and returns it in `key`; a very long one is left empty.
    pub(super) fn key(&mut self, key: &mut Vec<u8>) -> Result<(), SnapshotError> {
        key.clear();
        match self.length()? {
            Length::Plain(length) => self.bytes(length, key),
            Length::Encoded(0) => {
                let number = i8::from_le_bytes(self.array()?);
                key.extend_from_slice(number.to_string().as_bytes());
                Ok(())
            }
            Length::Encoded(1) => {
                let number = i16::from_le_bytes(self.array()?);
                key.extend_from_slice(number.to_string().as_bytes());
                Ok(())
            }
            Length::Encoded(2) => {
                let number = i32::from_le_bytes(self.array()?);
                key.extend_from_slice(number.to_string().as_bytes());
                Ok(())
            }
            Length::Encoded(3) => {
                let (packed, length) = (self.number()?, self.number()?);
                if length > LONGEST_KEY || packed > LONGEST_KEY {
                    return self.skip(packed);
                }
                let mut octets = Vec::new();
                self.bytes(packed, &mut octets)?;
                match unpack(&octets, usize::try_from(length).unwrap_or(0)) {
                    Some(text) => *key = text,
                    None => return Err(self.fault("a compressed key that does not read")),
                }
                Ok(())
            }
            Length::Encoded(form) => Err(self.fault(format!("{form} is not a form of a string"))),
        }
    }

    /// Consumes bytes into `to`, unless they are very many.
    fn bytes(&mut self, length: u64, to: &mut Vec<u8>) -> Result<(), SnapshotError> {
        if length > LONGEST_KEY {
            return self.skip(length);
        }
        for _ in 0..length {
            to.push(self.byte()?);
        }
        Ok(())
    }
}

/// Decompresses LZF: literals of up to 32 bytes, and references to at most 8 KiB before. `None` unless it has exactly
/// `length` bytes.
fn unpack(mut octets: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = Vec::new();
    while let Some((&control, rest)) = octets.split_first() {
        octets = rest;
        let control = usize::from(control);
        if control < 32 {
            let (literal, rest) = octets.split_at_checked(control + 1)?;
            text.extend_from_slice(literal);
            octets = rest;
        } else {
            let mut count = control >> 5;
            if count == 7 {
                let (&more, rest) = octets.split_first()?;
                count += usize::from(more);
                octets = rest;
            }
            let (&low, rest) = octets.split_first()?;
            octets = rest;
            let from = text.len().checked_sub((control & 0x1f) << 8 | usize::from(low))?;
            let from = from.checked_sub(1)?;
            for at in from..from + count + 2 {
                text.push(*text.get(at)?);
            }
        }
        if text.len() > length {
            return None;
        }
    }
    (text.len() == length).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compressed_string_is_unpacked() {
        assert_eq!(unpack(b"\x02abc", 3).unwrap(), b"abc");
        // Three literals, then eight bytes from three before: they overlap what they make.
        assert_eq!(unpack(b"\x02abc\xc0\x02", 11).unwrap(), b"abcabcabcab");
        assert_eq!(unpack(b"\x00a\xe0\x05\x00", 15).unwrap(), b"aaaaaaaaaaaaaaa");
        for (octets, length) in [
            (&b"\x02ab"[..], 3),
            (b"\x02abc", 4),
            (b"\x02abc", 2),
            (b"\xc0\x02", 8),
            (b"\x00a\xe0", 9),
            (b"\x00a\x20\x01", 4),
        ] {
            assert_eq!(unpack(octets, length), None, "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_unpack_within_their_length(octets in prop::collection::vec(any::<u8>(), 0..64), length in 0_usize..600) {
            if let Some(text) = unpack(&octets, length) {
                prop_assert_eq!(text.len(), length);
            }
        }
    }
}
