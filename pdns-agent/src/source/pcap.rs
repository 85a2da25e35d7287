//! Capture files as packets, each with the position behind it.
//!
//! Beside `log`: reads pcap and pcapng, plain or compressed, from a file or from standard input. A capture is
//! known by all that it holds, because two captures may begin with the same packets. Memory is bounded whatever
//! a file says.

mod blocks;
mod classic;
mod input;
mod link;
#[cfg(test)]
mod tests;
mod unpack;
mod window;

use self::blocks::Blocks;
use self::classic::Classic;
use self::input::{Disk, Failure, Input};
use self::window::{Short, Window};
use super::{Frame, LogId, Stat};
use crate::hash::Hasher;
use crate::time::Timestamp;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Most octets of one packet; no interface captures more, so a file that says so is broken.
pub const MOST_PACKET: u32 = 256 * 1024;
/// Most records without a packet of use that are passed in one step.
pub const MOST_PASSED: usize = 256;
/// Octets read at once to know a file by its content.
const CHUNK: usize = 64 * 1024;

/// What went wrong with a capture file. All packets before that were handed over.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened.
    #[error("cannot open capture {file}")]
    Open {
        /// The file.
        file: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Reading failed.
    #[error("cannot read capture {file} at octet {offset}")]
    Read {
        /// The file.
        file: String,
        /// Where, in octets of its content.
        offset: u64,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The compressed file is broken, ends too early, or wants too much memory.
    #[error("cannot unpack capture {file} after octet {offset} of its content; copy it again")]
    Unpack {
        /// The file.
        file: String,
        /// How much was unpacked and used.
        offset: u64,
        /// What is broken.
        #[source]
        cause: io::Error,
    },
    /// The first octets are those of no capture file.
    #[error(
        "{file} is no capture file: it is neither pcap nor pcapng, plain or packed with gzip, zstd, xz or lz4"
    )]
    NotACapture {
        /// The file.
        file: String,
    },
    /// The file ends within a record: whoever wrote it was stopped, or has not finished.
    #[error(
        "capture {file} ends within the record at octet {offset}; the packets before it were read"
    )]
    Cut {
        /// The file.
        file: String,
        /// Where the record begins, in uncompressed octets.
        offset: u64,
    },
    /// A record claims a packet that cannot be.
    #[error(
        "capture {file} is broken at octet {offset}: a packet of {length} octets, more than {MOST_PACKET}"
    )]
    TooLong {
        /// The file.
        file: String,
        /// Where the record begins, in uncompressed octets.
        offset: u64,
        /// What it claims, in octets.
        length: u32,
    },
    /// A record contradicts the format.
    #[error("capture {file} is broken at octet {offset}: {reason}")]
    Broken {
        /// The file.
        file: String,
        /// Where the record begins, in uncompressed octets.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file was written to while it was read: what it holds now is another capture.
    #[error("capture {file} was written to while it was read; read it once it is complete")]
    Changed {
        /// The file.
        file: String,
    },
}

impl PcapError {
    /// Whether the content is to blame: no more will ever come of it. If not, the system failed to read it, and may
    /// succeed another time.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Read { .. } => false,
            Self::Unpack { .. }
            | Self::NotACapture { .. }
            | Self::Cut { .. }
            | Self::TooLong { .. }
            | Self::Broken { .. }
            | Self::Changed { .. } => true,
        }
    }
}

/// The order of the octets of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    /// Two octets at `at`; 0 where there are none.
    fn u16(self, octets: &[u8], at: usize) -> u16 {
        let octets =
            octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Self::Big => u16::from_be_bytes(octets),
            Self::Little => u16::from_le_bytes(octets),
        }
    }

    /// Four octets at `at`; 0 where there are none.
    fn u32(self, octets: &[u8], at: usize) -> u32 {
        let octets =
            octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Self::Big => u32::from_be_bytes(octets),
            Self::Little => u32::from_le_bytes(octets),
        }
    }

    /// The first eight octets; 0 where there are none.
    fn u64(self, octets: &[u8]) -> u64 {
        let octets = octets.first_chunk().copied().unwrap_or_default();
        match self {
            Self::Big => u64::from_be_bytes(octets),
            Self::Little => u64::from_le_bytes(octets),
        }
    }
}

/// A packet that a reader of either format found; its octets lie in the window until the next call.
struct Packet {
    at: Timestamp,
    link: u16,
    octets: Range<usize>,
    length: u32,
    /// Offset of the end of its record, in uncompressed octets.
    end: u64,
}

/// What a reader of either format came upon.
enum Found {
    Packet(Packet),
    /// Nothing but records without a packet, for a while.
    Nothing,
    /// The end of the file.
    End,
}

/// What a reader of either format has to say against a file.
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
    /// The end of the file, where a record has begun already.
    fn cut(self) -> Self {
        if matches!(self, Self::End) { Self::Cut } else { self }
    }
}

enum Format {
    Unknown,
    Classic(Classic),
    Blocks(Blocks),
    /// Nothing more: the end, or an error that was told.
    Done,
}

/// One step in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A packet, and its position: the offset of the end of its record in the uncompressed file.
    Packet(Frame<'a>, u64),
    /// Some records that hold no packet, or one of a link type that is not known. It is told so that who reads can
    /// look at other things: a pipe may bring nothing else for as long as it is open.
    Nothing,
}

/// One capture file, read from its beginning to its end.
pub struct CaptureFile {
    name: String,
    id: LogId,
    window: Window,
    format: Format,
    is_packed: bool,
    /// The file, and its state when it was opened; `None` for what cannot be read twice.
    opened: Option<(Arc<File>, Stat)>,
    /// What went wrong below the decompressor.
    failure: Failure,
    refused: u64,
}

impl CaptureFile {
    /// Opens a capture file; `-` is standard input.
    ///
    /// A regular file is read once to know its [`LogId`]. What can be read only once (standard input, a pipe) gets
    /// an id of its own each time.
    ///
    /// # Errors
    /// [`PcapError::Open`] and [`PcapError::Read`]. Whether it is a capture at all, [`CaptureFile::next`] says.
    pub fn open(path: &Path, hasher: &Hasher) -> Result<Self, PcapError> {
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
        let file = Arc::new(file);
        let stat = Stat::of(&metadata);
        let read = |offset, cause| PcapError::Read { file: name.clone(), offset, cause };
        let (id, size) =
            identify(Disk::new(&file), hasher).map_err(|(offset, cause)| read(offset, cause))?;
        let (input, failure) = Input::new(Disk::new(&file));
        let (reader, is_packed) = unpack::unpack(input).map_err(|cause| read(0, cause))?;
        Ok(Self {
            name,
            id,
            window: Window::new(reader, size),
            format: Format::Unknown,
            is_packed,
            opened: Some((file, stat)),
            failure,
            refused: 0,
        })
    }

    fn once(name: String, input: impl io::Read + Send + 'static) -> Result<Self, PcapError> {
        let (input, failure) = Input::new(input);
        let (reader, is_packed) = match unpack::unpack(input) {
            Ok(unpacked) => unpacked,
            Err(cause) => return Err(PcapError::Read { file: name, offset: 0, cause }),
        };
        let mut id = [0; 16];
        for half in id.chunks_exact_mut(8) {
            // A fresh state of this hasher is the system's randomness.
            half.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
        }
        Ok(Self {
            name,
            id: LogId(id),
            window: Window::new(reader, u64::MAX),
            format: Format::Unknown,
            is_packed,
            opened: None,
            failure,
            refused: 0,
        })
    }

    /// What the capture is known by: the keyed hash of all its uncompressed octets, so that a packed copy is the
    /// same capture.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// How many packets so far were of a link type that is not known, and so were not handed over.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The next packet, or word that there was none for [`MOST_PASSED`] records. Positions increase strictly and are
    /// the same each time that the file is read. `None` at the end.
    ///
    /// # Errors
    /// Any [`PcapError`]. It is told once, after all packets that come before it; then the capture is at its end.
    #[expect(clippy::should_implement_trait, reason = "a frame borrows; no iterator can lend")]
    pub fn next(&mut self) -> Result<Option<Step<'_>>, PcapError> {
        if matches!(self.format, Format::Done) {
            return Ok(None);
        }
        let mut passed = 0;
        let (packet, start) = loop {
            let packet = match self.packet() {
                Ok(Found::Packet(packet)) => packet,
                Ok(Found::Nothing) => return Ok(Some(Step::Nothing)),
                Ok(Found::End) => {
                    self.format = Format::Done;
                    self.check_unchanged()?;
                    return Ok(None);
                }
                Err(fault) => {
                    self.format = Format::Done;
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

    /// Whether this capture is another one that has grown: whether its first `size` octets, and not more, are what
    /// that was known by. Of a packed file it is not known.
    ///
    /// # Errors
    /// [`PcapError::Read`].
    pub fn goes_on_from(&self, id: LogId, size: u64, hasher: &Hasher) -> Result<bool, PcapError> {
        let Some((file, stat)) = &self.opened else { return Ok(false) };
        if self.is_packed || size >= stat.size {
            return Ok(false);
        }
        let failed =
            |(_, offset, cause)| PcapError::Read { file: self.name.clone(), offset, cause };
        let (begin, read) = digest(Disk::new(file).take(size), hasher).map_err(failed)?;
        Ok(begin == id && read == size)
    }

    fn packet(&mut self) -> Result<Found, Fault> {
        if matches!(self.format, Format::Unknown) {
            let magic = match self.window.peek(4) {
                Ok(octets) => octets.first_chunk().copied().unwrap_or_default(),
                Err(Short::Failed(error)) => return Err(Short::Failed(error).into()),
                // Too short to be anything, or empty.
                Err(Short::End | Short::Cut) => [0; 4],
            };
            self.format = match Classic::begin(magic, &mut self.window)? {
                Some(classic) => Format::Classic(classic),
                None if u32::from_be_bytes(magic) == blocks::SECTION => {
                    Format::Blocks(Blocks::new())
                }
                None => Format::Unknown,
            };
        }
        match &mut self.format {
            Format::Classic(classic) => classic.next(&mut self.window),
            Format::Blocks(blocks) => blocks.next(&mut self.window),
            Format::Unknown => Err(Fault::Short(Short::End)),
            Format::Done => Ok(Found::End),
        }
    }

    fn error(&self, fault: Fault) -> PcapError {
        let (file, offset) = (self.name.clone(), self.window.record());
        if let Some(cause) = self.failure.take() {
            return PcapError::Read { file, offset: self.window.offset(), cause };
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

    /// Holds the file to the state in which its id was made; asked once, at the end.
    fn check_unchanged(&self) -> Result<(), PcapError> {
        let Some((file, stat)) = &self.opened else { return Ok(()) };
        let is_same = file.metadata().is_ok_and(|metadata| Stat::of(&metadata) == *stat);
        if is_same { Ok(()) } else { Err(PcapError::Changed { file: self.name.clone() }) }
    }
}

/// The id of a capture, and how many octets of it may be read to stay true to it.
///
/// A stream that cannot be unpacked to its end is known by what can be: reading meets the same end.
fn identify(disk: Disk, hasher: &Hasher) -> Result<(LogId, u64), (u64, io::Error)> {
    let (input, failure) = Input::new(disk);
    let (reader, is_packed) = unpack::unpack(input).map_err(|error| (0, error))?;
    digest(reader, hasher).or_else(|(identity, size, error)| match failure.take() {
        Some(cause) => Err((size, cause)),
        None if is_packed => Ok((identity, u64::MAX)),
        None => Err((size, error)),
    })
}

/// The hash of all that can be read, and how much that is; with an error the same of what came before it.
fn digest(
    mut reader: impl io::Read,
    hasher: &Hasher,
) -> Result<(LogId, u64), (LogId, u64, io::Error)> {
    let mut identity = hasher.begin();
    let mut size = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok((LogId(identity.finish()), size)),
            Ok(got) => {
                identity.write(chunk.get(..got).unwrap_or_default());
                size += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((LogId(identity.finish()), size, error)),
        }
    }
}
