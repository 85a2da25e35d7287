//! A window that moves over the unpacked bytes of a capture file.
//!
//! Under `pcap`: each record is examined in the buffer it was read into, so no packet is copied, and no
//! record can enlarge the window.

use std::io::{self, Read};
use std::ops::Range;

/// Size of the window in bytes. A packet of maximum size fits into it with its record header.
const SIZE: usize = 512 * 1024;
/// Bytes requested at a time. Everything a corrupt compressed stream yielded within the failing call is lost
/// with the error, so this bounds the loss before the corruption.
const CHUNK: usize = 64 * 1024;

/// Reason why requested bytes are not available.
#[derive(Debug)]
pub(super) enum Short {
    /// The file ends here, before the first of them.
    End,
    /// The file ends within them.
    Cut,
    /// The error of the system or the decompressor.
    Failed(io::Error),
}

/// The window.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Part of the buffer that was read but not yet consumed.
    held: Range<usize>,
    /// Offset of the first held byte in the unpacked file.
    offset: u64,
    /// Offset of the current record.
    record: u64,
    /// Number of bytes of the file that may still be read.
    left: u64,
}

impl Window {
    /// A window at the beginning of `reader`'s data.
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; SIZE], held: 0..0, offset: 0, record: 0, left: u64::MAX }
    }

    /// Ends the file after `bytes` more bytes of the reader's data.
    pub(super) fn limit(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Offset of the next byte in the unpacked file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Starts a record at the next byte.
    pub(super) fn begin_record(&mut self) {
        self.record = self.offset;
    }

    /// Offset of the current record in the unpacked file.
    pub(super) fn record(&self) -> u64 {
        self.record
    }

    /// The next `count` bytes, without consuming them; at most slightly more than half of [`SIZE`].
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Short> {
        while self.held.len() < count {
            if self.fill(count)? == 0 {
                return Err(if self.held.is_empty() { Short::End } else { Short::Cut });
            }
        }
        self.octets(self.held.start..self.held.start + count).ok_or(Short::Cut)
    }

    /// Consumes `count` peeked bytes and returns their place in the buffer, valid until the next call.
    pub(super) fn pass(&mut self, count: usize) -> Range<usize> {
        let start = self.held.start;
        self.held.start = (start + count).min(self.held.end);
        self.offset += (self.held.start - start) as u64;
        start..self.held.start
    }

    /// The bytes consumed by the last call.
    pub(super) fn octets(&self, at: Range<usize>) -> Option<&[u8]> {
        self.buffer.get(at)
    }

    /// Skips `count` bytes, however many.
    pub(super) fn skip(&mut self, mut count: u64) -> Result<(), Short> {
        while count > 0 {
            if self.held.is_empty() && self.fill(1)? == 0 {
                return Err(Short::Cut);
            }
            let part = usize::try_from(count).unwrap_or(usize::MAX).min(self.held.len());
            self.pass(part);
            count -= part as u64;
        }
        Ok(())
    }

    /// Reads once more, with room for `need` bytes; returns 0 at the end.
    fn fill(&mut self, need: usize) -> Result<usize, Short> {
        if self.held.is_empty() {
            self.held = 0..0;
        } else if self.held.start + need > self.buffer.len() {
            self.buffer.copy_within(self.held.clone(), 0);
            self.held = 0..self.held.len();
        }
        let most = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
        let end = self.buffer.len().min(self.held.end + most);
        let Some(room) = self.buffer.get_mut(self.held.end..end) else { return Ok(0) };
        loop {
            match self.reader.read(room) {
                Ok(got) => {
                    self.held.end += got;
                    self.left -= got as u64;
                    return Ok(got);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Short::Failed(error)),
            }
        }
    }
}
