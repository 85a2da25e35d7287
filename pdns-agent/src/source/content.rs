//! Unpacked content of a file, and a check that the file is still the one that was opened.
//!
//! Under `log`: reads plain and compressed text alike, and remembers the first bytes on disk, so that a file
//! truncated or rewritten in place is detected before anything read from it is delivered.

use super::unpack::{HEAD, Packing};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of remembered bytes. Enough for a gzip whose first 64 KiB do not compress.
const PREFIX_MAX: usize = 128 * 1024;
/// Number of bytes before the position that are remembered and compared.
const TAIL_MAX: usize = 1024;
/// Uncompressed bytes requested at a time. Everything a corrupt stream yielded since the last call is lost
/// with the error, so this bounds the loss before the corruption.
const UNPACKED_CHUNK: usize = 16 * 1024;

/// The bytes on disk, from the start. The decompressor holds one of two handles on the same state.
#[derive(Clone)]
struct Disk {
    file: Arc<File>,
    reading: Arc<Mutex<DiskReader>>,
}

/// The last bytes that were read before a position, as they were when they were read: at most [`TAIL_MAX`].
#[derive(Clone, Default)]
pub(super) struct Tail {
    end: u64,
    bytes: Vec<u8>,
}

impl Tail {
    /// Adds bytes that follow.
    fn extend(&mut self, read: &[u8]) {
        self.end += read.len() as u64;
        let last = read.get(read.len().saturating_sub(TAIL_MAX)..).unwrap_or_default();
        let most = self.bytes.len().min(TAIL_MAX - last.len());
        self.bytes.drain(..self.bytes.len() - most);
        self.bytes.extend_from_slice(last);
    }

    fn go_back(&mut self, bytes: u64) {
        self.end = self.end.saturating_sub(bytes);
        let left = (self.bytes.len() as u64).saturating_sub(bytes);
        self.bytes.truncate(usize::try_from(left).unwrap_or(0));
    }
}

/// State of reading a file on disk.
#[derive(Default)]
struct DiskReader {
    at: u64,
    /// The first bytes as read; grows while `is_learning`.
    prefix: Vec<u8>,
    /// The last bytes as read, up to `at`.
    tail: Tail,
    /// The tail at the time of the last check.
    checked: Tail,
    is_learning: bool,
    /// True once a read went past the end of the file.
    is_at_end: bool,
    /// The system's error, which decompressors reword.
    failure: Option<io::Error>,
}

impl Disk {
    fn new(file: Arc<File>, at: u64, prefix: Vec<u8>, is_learning: bool) -> Self {
        let tail = Tail { end: at, bytes: Vec::new() };
        let checked = tail.clone();
        let reading =
            DiskReader { at, prefix, tail, checked, is_learning, ..DiskReader::default() };
        Self { file, reading: Arc::new(Mutex::new(reading)) }
    }

    fn reading(&self) -> MutexGuard<'_, DiskReader> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Disk {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.reading();
        let got = self.file.read_at(out, reading.at).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                reading.failure = error.raw_os_error().map(io::Error::from_raw_os_error);
            }
        })?;
        reading.at += got as u64;
        reading.tail.extend(out.get(..got).unwrap_or_default());
        reading.is_at_end |= got == 0 && !out.is_empty();
        if reading.is_learning {
            let room = PREFIX_MAX.saturating_sub(reading.prefix.len());
            reading.prefix.extend(out.iter().take(got.min(room)));
        }
        Ok(got)
    }
}

/// The unpacked bytes of one open file.
pub(super) struct Content {
    disk: Disk,
    packing: Option<Packing>,
    /// Decompressor, if the file is compressed.
    unpacked: Option<Box<dyn Read + Send>>,
    /// An error that occurred after bytes that must be delivered first.
    broken: Option<io::Error>,
    /// Buffer for reading the prefix again.
    again: Vec<u8>,
}

impl Content {
    /// Starts at the beginning of `file`; the first bytes determine whether it is compressed.
    pub(super) fn new(file: Arc<File>) -> io::Result<Self> {
        let mut head = [0; HEAD];
        let mut length = 0;
        while let Some(room) = head.get_mut(length..).filter(|room| !room.is_empty()) {
            match file.read_at(room, length as u64)? {
                0 => break,
                got => length += got,
            }
        }
        let packing = Packing::detect(head.get(..length).unwrap_or_default());
        Ok(Self::on(Disk::new(file, 0, Vec::new(), true), packing))
    }

    /// Continues reading plain text at `at`; `prefix` is the expected beginning of the file, and `checked` what was read
    /// of it.
    pub(super) fn at(file: Arc<File>, at: u64, prefix: Vec<u8>, checked: Tail) -> Self {
        let disk = Disk::new(file, at, prefix, false);
        disk.reading().checked = checked;
        Self::on(disk, None)
    }

    fn on(disk: Disk, packing: Option<Packing>) -> Self {
        let unpacked = packing.map(|packing| packing.reader(disk.clone()));
        Self { disk, packing, unpacked, broken: None, again: Vec::new() }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.disk.file
    }

    pub(super) fn is_packed(&self) -> bool {
        self.packing.is_some()
    }

    /// Returns true if a file that was taken for plain text begins like a compressed one: its first bytes were written
    /// between the look at them and the first reading.
    pub(super) fn is_packed_after_all(&self) -> bool {
        !self.is_packed() && Packing::detect(&self.disk.reading().prefix).is_some()
    }

    /// Goes back to the start of the file, whose first bytes must still match.
    pub(super) fn rewind(&mut self) {
        let disk = Disk::new(Arc::clone(self.file()), 0, self.prefix(), false);
        *self = Self::on(disk, self.packing);
    }

    /// Goes back so many bytes of plain text, which are read again.
    pub(super) fn go_back(&mut self, bytes: u64) {
        debug_assert!(!self.is_packed());
        let mut reading = self.disk.reading();
        reading.at = reading.at.saturating_sub(bytes);
        reading.tail.go_back(bytes);
        reading.checked = reading.tail.clone();
    }

    /// The last bytes that were read and checked.
    pub(super) fn checked(&self) -> Tail {
        self.disk.reading().checked.clone()
    }

    /// First bytes of the file, as far as they are remembered.
    pub(super) fn prefix(&self) -> Vec<u8> {
        self.disk.reading().prefix.clone()
    }

    /// Frees memory that is only needed for reading.
    pub(super) fn release(&mut self) {
        self.again = Vec::new();
    }

    /// Stops remembering first bytes; for plain text, keeps only `head` bytes.
    pub(super) fn learned(&mut self, head: usize) {
        let mut reading = self.disk.reading();
        reading.is_learning = false;
        if self.packing.is_none() {
            reading.prefix.truncate(head);
            reading.prefix.shrink_to_fit();
        }
    }

    /// Returns true if a file that is now `size` bytes long still contains what was read: it is long enough,
    /// begins with the same bytes, and has the same bytes before the position of the last check.
    ///
    /// If called after bytes were read and before they are delivered, this detects even a file that is
    /// truncated, or written over, and grows again between two checks. The bytes are compared each time, not only
    /// if the modification time changed, because that clock ticks in milliseconds and the comparison takes less
    /// than one.
    pub(super) fn is_intact(&mut self, size: u64) -> io::Result<bool> {
        let mut reading = self.disk.reading();
        let DiskReader { at, prefix, tail, checked, .. } = &mut *reading;
        let begin = checked.end.saturating_sub(checked.bytes.len() as u64);
        let is_same = size >= *at
            && is_at(&self.disk.file, 0, prefix, &mut self.again)?
            && is_at(&self.disk.file, begin, &checked.bytes, &mut self.again)?;
        if is_same {
            checked.clone_from(tail);
        }
        Ok(is_same)
    }

    /// Fills `out` from a compressed stream; an error is deferred until the bytes before it are delivered.
    fn unpack(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let Some(unpacked) = &mut self.unpacked else { return Ok(0) };
        let mut filled = 0;
        while let Some(room) = out.get_mut(filled..).filter(|room| !room.is_empty()) {
            let part = room.len().min(UNPACKED_CHUNK);
            match unpacked.read(room.get_mut(..part).unwrap_or_default()) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let error = cause(&self.disk, error);
                    if filled == 0 {
                        return Err(error);
                    }
                    self.broken = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

/// Returns true if a file has `expected` at a position; `buffer` is used to read it.
fn is_at(file: &File, at: u64, expected: &[u8], buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.resize(expected.len(), 0);
    match file.read_exact_at(buffer, at) {
        Ok(()) => Ok(buffer == expected),
        Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Cause of a decompressor's error: the system's error, a premature end, or corrupt data.
fn cause(disk: &Disk, error: io::Error) -> io::Error {
    let mut reading = disk.reading();
    match reading.failure.take() {
        Some(failure) => failure,
        None if reading.is_at_end => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the compressed data end too early")
        }
        None => error,
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.unpacked.is_some() { self.unpack(out) } else { self.disk.read(out) }
    }
}
