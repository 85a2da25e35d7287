//! A window that moves over the unpacked octets of a capture file.
//!
//! Under `pcap`: each record is looked at where it was read to, so that no packet is copied, and no record can
//! make the window larger.

use std::io::{self, Read};
use std::ops::Range;

/// Octets of the window. A packet of the largest size and its record's header lie in it whole.
const SIZE: usize = 512 * 1024;
/// Octets asked for at once. What a broken compressed stream had given within the call that fails is lost with
/// the error, so this bounds how much comes short of the break.
const CHUNK: usize = 64 * 1024;

/// Why octets that were asked for are not there.
#[derive(Debug)]
pub(super) enum Short {
    /// The file ends here, before the first of them.
    End,
    /// The file ends among them.
    Cut,
    /// The system or the decompressor says why.
    Failed(io::Error),
}

/// The window.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet passed.
    held: Range<usize>,
    /// Offset in the unpacked file of the first octet held.
    offset: u64,
    /// Offset of the record that is being read.
    record: u64,
    /// How many octets of the file may still be read.
    left: u64,
}

impl Window {
    /// A window at the beginning of what `reader` yields.
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { reader, buffer: vec![0; SIZE], held: 0..0, offset: 0, record: 0, left: u64::MAX }
    }

    /// Ends the file after `bytes` more bytes of what the reader yields.
    pub(super) fn limit(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Offset in the unpacked file of the next octet.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// A record begins with the next octet.
    pub(super) fn begin_record(&mut self) {
        self.record = self.offset;
    }

    /// Offset in the unpacked file of the record that is being read.
    pub(super) fn record(&self) -> u64 {
        self.record
    }

    /// The next `count` octets, without passing them; at most half of [`SIZE`] and a little.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Short> {
        while self.held.len() < count {
            if self.fill(count)? == 0 {
                return Err(if self.held.is_empty() { Short::End } else { Short::Cut });
            }
        }
        self.octets(self.held.start..self.held.start + count).ok_or(Short::Cut)
    }

    /// Passes `count` octets that were peeked at, and says where in the buffer they are until the next call.
    pub(super) fn pass(&mut self, count: usize) -> Range<usize> {
        let start = self.held.start;
        self.held.start = (start + count).min(self.held.end);
        self.offset += (self.held.start - start) as u64;
        start..self.held.start
    }

    /// Octets that were passed by the last call.
    pub(super) fn octets(&self, at: Range<usize>) -> Option<&[u8]> {
        self.buffer.get(at)
    }

    /// Passes `count` octets, however many.
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

    /// Reads on once; 0 at the end. `need` octets get room.
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
