//! Decompresses logs and capture files: gzip, bzip2, zstd, xz or lz4, detected by the first bytes.
//!
//! Under `source`. Each format may contain several concatenated members, as `cat` and parallel compressors
//! produce them. The memory that a file can make a decompressor use is bounded.

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4;
use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder as Zstd;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use xz4rust::{XzDecoder, XzNextBlockResult};

/// Compressed bytes per read of the file, and unpacked bytes per read of a capture; no caller requests more.
const CHUNK: usize = 64 * 1024;
/// Maximum window of the zstd and xz decoders, in bytes. `zstd -19 --long` and `xz -9` need less.
const LOOK_BACK: usize = 128 * 1024 * 1024;
/// Initial window of the xz decoder; it grows as the file requires.
const LOOK_BACK_FIRST: usize = 1024 * 1024;
/// Number of first bytes needed to detect the format.
pub(super) const HEAD: usize = 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// Magic number written by `lz4 -l`.
const LZ4_LEGACY: &[u8] = &[0x02, 0x21, 0x4c, 0x18];
/// The last three bytes of a skippable frame's magic number (RFC 8878 §3.1.2); the first is 0x50 to 0x5f.
const SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
/// After `BZh` and a digit: the first block, or the end of an empty stream.
const BZIP2: [&[u8]; 2] = [b"1AY&SY", &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

/// Compression format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Lz4,
}

impl Packing {
    /// The compression of a file that begins with `head`; `None` if it is not compressed.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| head.starts_with(magic);
        let is_skippable = head.first().is_some_and(|first| first >> 4 == 5)
            && head.get(1..4).is_some_and(|rest| rest == SKIPPABLE);
        let is_bzip2 = starts(b"BZh")
            && head.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
            && head.get(4..).is_some_and(|rest| BZIP2.iter().any(|magic| rest.starts_with(magic)));
        Some(match head {
            _ if starts(GZIP) => Self::Gzip,
            _ if is_bzip2 => Self::Bzip2,
            _ if starts(XZ) => Self::Xz,
            _ if starts(ZSTD) || is_skippable => Self::Zstd,
            _ if starts(LZ4) || starts(LZ4_LEGACY) => Self::Lz4,
            _ => return None,
        })
    }

    /// The unpacked bytes of `packed`.
    pub(super) fn reader(self, packed: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let packed = BufReader::with_capacity(CHUNK, packed);
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
            Self::Xz => Box::new(XzMembers::new(packed)),
            Self::Zstd => Box::new(ZstdMembers::new(packed)),
            Self::Lz4 => Box::new(Lz4Members::new(packed)),
        }
    }
}

/// The unpacked bytes of `file`, and whether it is compressed.
pub(super) fn unpack(
    mut file: impl Read + Send + 'static,
) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let mut head = Vec::new();
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let packing = Packing::detect(&head);
    let whole = Cursor::new(head).chain(file);
    let Some(packing) = packing else { return Ok((Box::new(whole), false)) };
    // The amount that a corrupt stream yields depends on the size of each read, so the size is always the
    // same.
    Ok((Box::new(BufReader::with_capacity(CHUNK, packing.reader(whole))), true))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Returns true if the compressed bytes are exhausted.
fn is_at_end(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        match packed.fill_buf() {
            Ok(bytes) => return Ok(bytes.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Records whether a read went past the end.
struct EndWatch<R> {
    packed: R,
    is_past_end: bool,
}

impl<R: Read> Read for EndWatch<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.packed.read(out)?;
        self.is_past_end |= got == 0 && !out.is_empty();
        Ok(got)
    }
}

impl<R: BufRead> BufRead for EndWatch<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.packed.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.packed.consume(count);
    }
}

/// Concatenated lz4 frames. The decoder reports the end after each frame, and also if a frame is truncated
/// between two blocks.
struct Lz4Members<R: Read> {
    decoder: Lz4<EndWatch<R>>,
    /// True while a frame is being read.
    within: bool,
    /// True for a frame of `lz4 -l`, which has no end mark.
    is_legacy: bool,
}

impl<R: BufRead> Lz4Members<R> {
    fn new(packed: R) -> Self {
        let decoder = Lz4::new(EndWatch { packed, is_past_end: false });
        Self { decoder, within: false, is_legacy: false }
    }
}

impl<R: BufRead> Read for Lz4Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within {
                let packed = self.decoder.get_mut();
                if is_at_end(packed)? {
                    return Ok(0);
                }
                packed.is_past_end = false;
                let head = packed.fill_buf()?;
                if head.len() >= LZ4_LEGACY.len() {
                    self.is_legacy = head.starts_with(LZ4_LEGACY);
                }
                self.within = true;
            }
            let got = self.decoder.read(out)?;
            if got > 0 {
                return Ok(got);
            }
            if self.decoder.get_mut().is_past_end && !self.is_legacy {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.within = false;
        }
    }
}

/// Concatenated zstd frames (RFC 8878 §3.1).
struct ZstdMembers<R> {
    packed: R,
    decoder: Zstd,
    /// True while a frame is being read.
    within: bool,
}

impl<R: BufRead> ZstdMembers<R> {
    fn new(packed: R) -> Self {
        let mut decoder = Zstd::new();
        decoder.set_max_window_size(LOOK_BACK as u64);
        Self { packed, decoder, within: false }
    }

    /// Starts the next frame with content; returns false if there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !is_at_end(&mut self.packed)? {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => {
                    self.within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = self.packed.by_ref().take(u64::from(length));
                    if io::copy(&mut skipped, &mut io::sink())? < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdMembers<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(invalid)?;
            }
            let got = self.decoder.read(out)?;
            if got > 0 {
                return Ok(got);
            }
            self.within = false;
            let written = self.decoder.get_checksum_from_data();
            if written.is_some() && written != self.decoder.get_calculated_checksum() {
                return Err(invalid("the checksum of the frame does not match"));
            }
        }
    }
}

/// Concatenated xz streams (the .xz file format §2): each part is a stream, or padding of four zero bytes.
struct XzMembers<R> {
    packed: R,
    decoder: Box<XzDecoder<'static>>,
    /// True while a stream is being read.
    within: bool,
}

impl<R: BufRead> XzMembers<R> {
    fn new(packed: R) -> Self {
        let decoder = XzDecoder::in_heap_with_alloc_dict_size(LOOK_BACK_FIRST, LOOK_BACK);
        Self { packed, decoder, within: true }
    }
}

impl<R: BufRead> Read for XzMembers<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let is_end = is_at_end(&mut self.packed)?;
            if !self.within {
                if is_end {
                    return Ok(0);
                }
                let padding = self.packed.fill_buf()?.iter().take_while(|&&byte| byte == 0).count();
                if padding > 0 {
                    self.packed.consume(padding);
                    continue;
                }
                self.decoder.reset();
                self.within = true;
            }
            if is_end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (taken, given) = match self.decoder.decode(self.packed.fill_buf()?, out) {
                Ok(XzNextBlockResult::NeedMoreData(taken, given)) => (taken, given),
                Ok(XzNextBlockResult::EndOfStream(taken, given)) => {
                    self.within = false;
                    (taken, given)
                }
                Err(error) => return Err(invalid(error)),
            };
            self.packed.consume(taken);
            if given > 0 {
                return Ok(given);
            }
        }
    }
}
