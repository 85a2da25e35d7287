//! What a file holds once it is unpacked, and the proof that the file is still the one opened.
//!
//! Under `log`: reads plain text and gzip alike, and remembers the first octets on disk, so that a file
//! cut or rewritten in place is noticed before anything read from it is handed out.

use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The first octets of a gzip file (RFC 1952 §2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most octets of the file that are remembered. Enough for a gzip whose first 64 KiB do not compress.
const PREFIX_MAX: usize = 128 * 1024;
/// Compressed octets per read of the file.
const PACKED_CHUNK: usize = 64 * 1024;
/// Uncompressed octets asked for at once. What a broken stream had given since the last call is lost
/// with the error, so this bounds how much comes short of the break.
const UNPACKED_CHUNK: usize = 16 * 1024;

/// The octets on disk, from the start.
struct Disk {
    file: Arc<File>,
    at: u64,
    /// The first octets as they were read; grows while `learning`.
    prefix: Vec<u8>,
    learning: bool,
}

impl Read for Disk {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(out, self.at)?;
        self.at += got as u64;
        if self.learning {
            let room = PREFIX_MAX.saturating_sub(self.prefix.len());
            self.prefix.extend(out.iter().take(got.min(room)));
        }
        Ok(got)
    }
}

enum Form {
    Plain(Disk),
    Gzip(Box<MultiGzDecoder<BufReader<Disk>>>),
}

impl Form {
    fn gzip(disk: Disk) -> Self {
        let packed = BufReader::with_capacity(PACKED_CHUNK, disk);
        Self::Gzip(Box::new(MultiGzDecoder::new(packed)))
    }
}

/// The unpacked octets of one open file.
pub(super) struct Content {
    file: Arc<File>,
    form: Form,
    /// An error met after octets that had to go out first.
    broken: Option<io::Error>,
    /// Room to read the prefix again.
    again: Vec<u8>,
}

impl Content {
    /// Starts at the beginning of `file`, gzip or not as its first octets say.
    pub(super) fn new(file: Arc<File>) -> io::Result<Self> {
        let mut magic = [0; 2];
        let is_gzip = match file.read_exact_at(&mut magic, 0) {
            Ok(()) => magic == MAGIC,
            Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        let disk = Disk { file: Arc::clone(&file), at: 0, prefix: Vec::new(), learning: true };
        let form = if is_gzip { Form::gzip(disk) } else { Form::Plain(disk) };
        Ok(Self { file, form, broken: None, again: Vec::new() })
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn is_gzip(&self) -> bool {
        matches!(self.form, Form::Gzip(_))
    }

    /// Back to the start of the file, still holding it to the octets it began with.
    pub(super) fn rewind(&mut self) {
        let prefix = self.disk().prefix.clone();
        let disk = Disk { file: Arc::clone(&self.file), at: 0, prefix, learning: false };
        self.form = if self.is_gzip() { Form::gzip(disk) } else { Form::Plain(disk) };
        self.broken = None;
    }

    /// Goes on reading plain text at `at`, where `prefix` is what the file begins with.
    pub(super) fn at(file: Arc<File>, at: u64, prefix: Vec<u8>) -> Self {
        let disk = Disk { file: Arc::clone(&file), at, prefix, learning: false };
        Self { file, form: Form::Plain(disk), broken: None, again: Vec::new() }
    }

    /// What the file begins with, as far as it is remembered.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.disk().prefix
    }

    /// Gives memory back that only reading needs.
    pub(super) fn release(&mut self) {
        self.again = Vec::new();
    }

    fn disk(&self) -> &Disk {
        match &self.form {
            Form::Plain(disk) => disk,
            Form::Gzip(decoder) => decoder.get_ref().get_ref(),
        }
    }

    /// Ends the remembering of first octets; of plain text only `head` octets are kept.
    pub(super) fn learned(&mut self, head: usize) {
        match &mut self.form {
            Form::Plain(disk) => {
                disk.learning = false;
                disk.prefix.truncate(head);
                disk.prefix.shrink_to_fit();
            }
            Form::Gzip(decoder) => decoder.get_mut().get_mut().learning = false,
        }
    }

    /// Whether a file of `size` octets now still holds what was read: it reaches as far, and begins as
    /// it did.
    ///
    /// Asked after octets were read and before they go out, this leaves no room for a file that is cut
    /// and grows again between two looks. The prefix is compared each time, not only when the time of
    /// writing changed, because that clock ticks in milliseconds and the comparison costs less than one.
    pub(super) fn is_intact(&mut self, size: u64) -> io::Result<bool> {
        let mut again = std::mem::take(&mut self.again);
        let disk = self.disk();
        again.resize(disk.prefix.len(), 0);
        let same = match disk.file.read_exact_at(&mut again, 0) {
            Ok(()) => size >= disk.at && again == disk.prefix,
            Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        self.again = again;
        Ok(same)
    }

    /// Fills `out` from a gzip stream; an error waits until what came before it is out.
    fn unpack(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Form::Gzip(decoder) = &mut self.form else { return Ok(0) };
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let mut filled = 0;
        while let Some(room) = out.get_mut(filled..).filter(|room| !room.is_empty()) {
            let part = room.len().min(UNPACKED_CHUNK);
            match decoder.read(room.get_mut(..part).unwrap_or_default()) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.form {
            Form::Plain(disk) => disk.read(out),
            Form::Gzip(_) => self.unpack(out),
        }
    }
}
