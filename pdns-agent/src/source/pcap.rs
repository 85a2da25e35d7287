//! Capture files as packets, each with the position after it.
//!
//! Alongside `log`: reads pcap and pcapng, plain or compressed, from a file or standard input. A capture is
//! identified by its first packet and by digests of its entire content, because two captures may begin with
//! the same packets. Memory is bounded whatever a file claims.

mod blocks;
mod classic;
mod content;
mod error;
mod input;
mod link;
#[cfg(test)]
mod tests;
mod window;

use self::blocks::Blocks;
use self::classic::Classic;
use self::input::{Disk, Input, ReadFailure};
use self::window::{Short, Window};
use super::{Frame, Stat, unpack};
use crate::hash::Hasher;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use content::{Content, Digest};
pub use error::PcapError;

/// Maximum packet size in octets; no interface captures more, so a file that claims more is corrupt.
pub const MOST_PACKET: u32 = 256 * 1024;
/// Maximum number of records without a usable packet that are skipped in one step.
pub const MOST_PASSED: usize = 256;

/// Byte order of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    /// The two bytes at `at` as a number; 0 if missing.
    fn u16(self, octets: &[u8], at: usize) -> u16 {
        let octets =
            octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Self::Big => u16::from_be_bytes(octets),
            Self::Little => u16::from_le_bytes(octets),
        }
    }

    /// The four bytes at `at` as a number; 0 if missing.
    fn u32(self, octets: &[u8], at: usize) -> u32 {
        let octets =
            octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Self::Big => u32::from_be_bytes(octets),
            Self::Little => u32::from_le_bytes(octets),
        }
    }

    /// The first eight bytes as a number; 0 if missing.
    fn u64(self, octets: &[u8]) -> u64 {
        let octets = octets.first_chunk().copied().unwrap_or_default();
        match self {
            Self::Big => u64::from_be_bytes(octets),
            Self::Little => u64::from_le_bytes(octets),
        }
    }
}

/// A packet found by a reader of either format; its octets stay in the window until the next call.
struct Packet {
    at: Timestamp,
    link: u16,
    octets: Range<usize>,
    length: u32,
    /// Offset of the end of its record, in uncompressed bytes.
    end: u64,
}

/// Result of one step of a reader of either format.
enum ReadResult {
    Packet(Packet),
    /// Only records without a packet, for a while.
    Nothing,
    /// The end of the file.
    End,
}

/// Defect that a reader of either format found in a file.
enum Fault {
    Short(Short),
    TooLong(u32),
    Broken(&'static str),
}

impl From<Short> for Fault {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

impl Short {
    /// Converts the end of the file to a truncation, if a record has already begun.
    fn cut(self) -> Self {
        if matches!(self, Self::End) { Self::Cut } else { self }
    }
}

enum CaptureFormat {
    Unknown,
    Classic(Classic),
    Blocks(Blocks),
    /// Finished: at the end, or after a reported error.
    Done,
}

/// One step of reading a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A packet, and its position: the offset of the end of its record in the uncompressed file.
    Packet(Frame<'a>, u64),
    /// Some records without a packet, or with one of an unknown link type. Returned so that the caller can do
    /// other work: a pipe may bring nothing else for as long as it is open.
    Nothing,
}

/// One capture file, read from its beginning to its end.
pub struct CaptureFile {
    name: String,
    window: Window,
    format: CaptureFormat,
    is_packed: bool,
    /// `None` for input that cannot be read twice.
    opened: Option<Opened>,
    /// Error that occurred below the decompressor.
    failure: ReadFailure,
    refused: u64,
}

/// A regular file.
struct Opened {
    file: Arc<File>,
    /// Its state when it was opened.
    stat: Stat,
    /// Its content when it was measured: reading stops there.
    measured: Option<Measured>,
    has_grown: bool,
}

struct Measured {
    length: u64,
    digest: Digest,
    hasher: Hasher,
    /// Reason why no more of it can be unpacked.
    broken: Option<io::Error>,
}

impl CaptureFile {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    /// [`PcapError::Open`] and [`PcapError::Read`]. Only [`CaptureFile::next`] tells whether it is a capture
    /// at all.
    pub fn open(path: &Path) -> Result<Self, PcapError> {
        if path.as_os_str() == "-" {
            return Self::once("standard input".to_owned(), io::stdin());
        }
        let name = path.display().to_string();
        let open = |cause| PcapError::Open { file: name.clone(), cause };
        let file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        if metadata.is_dir() {
            return Err(open(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Self::once(name, file);
        }
        Self::from_file(name, &Arc::new(file), Stat::from_metadata(&metadata))
    }

    fn from_file(name: String, file: &Arc<File>, stat: Stat) -> Result<Self, PcapError> {
        let opened = Opened { file: Arc::clone(file), stat, measured: None, has_grown: false };
        Ok(Self { opened: Some(opened), ..Self::once(name, Disk::new(file))? })
    }

    fn once(name: String, input: impl io::Read + Send + 'static) -> Result<Self, PcapError> {
        let (input, failure) = Input::new(input);
        let (reader, is_packed) = match unpack::unpack(input) {
            Ok(unpacked) => unpacked,
            Err(cause) => return Err(PcapError::Read { file: name, offset: 0, cause }),
        };
        Ok(Self {
            name,
            window: Window::new(reader),
            format: CaptureFormat::Unknown,
            is_packed,
            opened: None,
            failure,
            refused: 0,
        })
    }

    /// The same file from its beginning, limited to the measured content.
    ///
    /// # Errors
    /// [`PcapError::Read`].
    pub fn again(&self) -> Result<Self, PcapError> {
        let Some(Opened { file, stat, measured, .. }) = &self.opened else {
            let cause = io::Error::new(io::ErrorKind::NotSeekable, "a pipe can be read only once");
            return Err(PcapError::Read { file: self.name.clone(), offset: 0, cause });
        };
        let mut again = Self::from_file(self.name.clone(), file, *stat)?;
        if let Some(measured) = measured {
            again.window.limit(measured.length);
        }
        Ok(again)
    }

    /// The digest of a regular file up to the end of its first packet; `None` if it contains no packet.
    ///
    /// # Errors
    /// [`PcapError::Read`].
    pub fn head(&self, hasher: &Hasher) -> Result<Option<Digest>, PcapError> {
        let Some(opened) = &self.opened else { return Ok(None) };
        let mut scan = self.again()?;
        loop {
            match scan.packet() {
                Ok(ReadResult::Packet(_)) => break,
                Ok(ReadResult::Nothing) => {}
                Ok(ReadResult::End) => return Ok(None),
                Err(fault) => match scan.error(fault) {
                    error @ PcapError::Read { .. } => return Err(error),
                    _ => return Ok(None),
                },
            }
        }
        // The rest of the packet's block is skipped later, and may be missing.
        let (content, _) = self.measured(opened, hasher, &BTreeSet::new(), scan.window.offset())?;
        Ok(Some(content.digest))
    }

    /// Measures a regular file: its length and digest, and digests of its first bytes at some lengths. From
    /// then on no more than that is read, even if the file grows. Call it before [`CaptureFile::next`].
    ///
    /// # Errors
    /// [`PcapError::Read`].
    pub fn content(
        &mut self,
        hasher: &Hasher,
        lengths: &BTreeSet<u64>,
    ) -> Result<Option<Content>, PcapError> {
        let Some(opened) = &self.opened else { return Ok(None) };
        let (content, broken) = self.measured(opened, hasher, lengths, u64::MAX)?;
        let (length, digest) = (content.length, content.digest);
        self.window.limit(length);
        if let Some(opened) = &mut self.opened {
            opened.measured = Some(Measured { length, digest, hasher: hasher.clone(), broken });
        }
        Ok(Some(content))
    }

    fn measured(
        &self,
        opened: &Opened,
        hasher: &Hasher,
        lengths: &BTreeSet<u64>,
        limit: u64,
    ) -> Result<(Content, Option<io::Error>), PcapError> {
        let read = |(offset, cause)| PcapError::Read { file: self.name.clone(), offset, cause };
        content::measure(&opened.file, hasher, lengths, limit).map_err(read)
    }

    /// Returns true if the file has more bytes than when it was measured. Only known once the end was
    /// reached.
    #[must_use]
    pub fn has_grown(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.has_grown)
    }

    /// Number of packets so far that were skipped because of an unknown link type.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns the next packet, or [`Step::Nothing`] after [`MOST_PASSED`] records without one. Positions
    /// increase strictly and are the same each time the file is read. `None` at the end.
    ///
    /// # Errors
    /// Any [`PcapError`]. It is reported once, after all packets before it; then the capture is at its end.
    #[expect(clippy::should_implement_trait, reason = "a frame borrows; no iterator can lend")]
    pub fn next(&mut self) -> Result<Option<Step<'_>>, PcapError> {
        if matches!(self.format, CaptureFormat::Done) {
            return Ok(None);
        }
        let mut passed = 0;
        let (packet, start) = loop {
            let packet = match self.packet() {
                Ok(ReadResult::Packet(packet)) => packet,
                Ok(ReadResult::Nothing) => return Ok(Some(Step::Nothing)),
                Ok(ReadResult::End) => {
                    self.format = CaptureFormat::Done;
                    self.check_end()?;
                    return Ok(None);
                }
                Err(fault) => {
                    self.format = CaptureFormat::Done;
                    return Err(self.error(fault));
                }
            };
            let octets = self.window.octets(packet.octets.clone()).unwrap_or_default();
            match link::start(packet.link, octets) {
                Some(start) => break (packet, start),
                None => self.refused += 1,
            }
            passed += 1;
            if passed == MOST_PASSED {
                return Ok(Some(Step::Nothing));
            }
        };
        let octets = self.window.octets(packet.octets).unwrap_or_default();
        let frame = Frame { at: packet.at, start, octets, length: packet.length };
        Ok(Some(Step::Packet(frame, packet.end)))
    }

    fn packet(&mut self) -> Result<ReadResult, Fault> {
        if matches!(self.format, CaptureFormat::Unknown) {
            let magic = match self.window.peek(4) {
                Ok(octets) => octets.first_chunk().copied().unwrap_or_default(),
                Err(Short::Failed(error)) => return Err(Short::Failed(error).into()),
                // Too short to be a capture, or empty.
                Err(Short::End | Short::Cut) => [0; 4],
            };
            self.format = match Classic::begin(magic, &mut self.window)? {
                Some(classic) => CaptureFormat::Classic(classic),
                None if u32::from_be_bytes(magic) == blocks::SECTION => {
                    CaptureFormat::Blocks(Blocks::new())
                }
                None => CaptureFormat::Unknown,
            };
        }
        match &mut self.format {
            CaptureFormat::Classic(classic) => classic.next(&mut self.window),
            CaptureFormat::Blocks(blocks) => blocks.next(&mut self.window),
            CaptureFormat::Unknown => Err(Fault::Short(Short::End)),
            CaptureFormat::Done => Ok(ReadResult::End),
        }
    }

    fn error(&mut self, fault: Fault) -> PcapError {
        let (file, offset) = (self.name.clone(), self.window.record());
        if let Some(cause) = self.failure.take() {
            return PcapError::Read { file, offset: self.window.offset(), cause };
        }
        if matches!(fault, Fault::Short(Short::End | Short::Cut))
            && let Some(cause) = self.broken()
        {
            return PcapError::Unpack { file, offset: self.window.offset(), cause };
        }
        match fault {
            Fault::Short(Short::End) => PcapError::NotACapture { file },
            Fault::Short(Short::Cut) => PcapError::Cut { file, offset },
            Fault::Short(Short::Failed(cause)) if self.is_packed => {
                PcapError::Unpack { file, offset: self.window.offset(), cause }
            }
            Fault::Short(Short::Failed(cause)) => {
                PcapError::Read { file, offset: self.window.offset(), cause }
            }
            Fault::TooLong(length) => PcapError::TooLong { file, offset, length },
            Fault::Broken(reason) => PcapError::Broken { file, offset, reason },
        }
    }

    /// Reason why the content ends where it does, if there should be more.
    fn broken(&mut self) -> Option<io::Error> {
        self.opened.as_mut()?.measured.as_mut()?.broken.take()
    }

    /// Checks the file against its measured content; called once, at the end.
    fn check_end(&mut self) -> Result<(), PcapError> {
        if let Some(cause) = self.broken() {
            let (file, offset) = (self.name.clone(), self.window.offset());
            return Err(PcapError::Unpack { file, offset, cause });
        }
        let Some(opened) = &self.opened else { return Ok(()) };
        let Some(Measured { length, digest, hasher, .. }) = &opened.measured else { return Ok(()) };
        let is_same = |metadata| Stat::from_metadata(&metadata) == opened.stat;
        if opened.file.metadata().is_ok_and(is_same) {
            return Ok(());
        }
        let (content, _) = self.measured(opened, hasher, &BTreeSet::new(), *length)?;
        if (content.length, content.digest) != (*length, *digest) {
            return Err(PcapError::Changed { file: self.name.clone() });
        }
        if let Some(opened) = &mut self.opened {
            opened.has_grown = true;
        }
        Ok(())
    }
}
