//! Copies of answers and files on disk, within limits.
//!
//! An answer is complete in a private temporary file before anything reads it, so that one which is cut off, endless or
//! a decompression bomb never gets further than here.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};

/// Limits of one answer or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// Maximum number of bytes, both as received and after decompression.
    pub bytes: u64,
    /// Maximum number of lines.
    pub lines: u64,
}

impl Default for SizeLimits {
    /// 256 MiB and ten million lines.
    fn default() -> Self {
        Self { bytes: 256 << 20, lines: 10_000_000 }
    }
}

/// Maximum ratio of decompressed to compressed bytes: ten times that of real lists.
const MAX_RATIO: u64 = 200;
/// Number of decompressed bytes below which the ratio does not matter.
const RATIO_FREE: u64 = 16 << 20;
/// Size of the buffer, in bytes.
const CHUNK: usize = 64 << 10;

/// Error while an answer or file is copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// A limit is exceeded. The text is the end of a sentence.
    #[error("{0}")]
    TooLarge(String),
    /// Compressed data that cannot be decoded. The text says why.
    #[error("cannot be decompressed: {0}")]
    Compression(String),
    /// The temporary file cannot be written.
    #[error("cannot write the temporary file")]
    TemporaryFile(#[source] io::Error),
}

/// Copies `source` to a private temporary file that has no name, and returns it with the position at its start.
///
/// # Errors
/// [`CopyError`] if the source fails, exceeds `limits`, or the file cannot be written.
pub fn to_temporary_file(source: &mut dyn Read, limits: SizeLimits) -> Result<File, CopyError> {
    let mut counted = Counted::new(source, limits.bytes);
    copy(&mut counted, limits, |counted| counted, |counted| counted)
}

/// As [`to_temporary_file`], from gzip data with one or several members.
///
/// # Errors
/// [`CopyError`], also for data that expands more than 200 times.
pub fn gunzip_to_temporary_file(
    source: &mut dyn Read,
    limits: SizeLimits,
) -> Result<File, CopyError> {
    let mut decoder = MultiGzDecoder::new(Counted::new(source, limits.bytes));
    copy(&mut decoder, limits, MultiGzDecoder::get_ref, MultiGzDecoder::get_mut)
}

/// As [`to_temporary_file`], from raw deflate data (RFC 1951), as in a zip archive.
///
/// # Errors
/// [`CopyError`], also for data that expands more than 200 times.
pub fn inflate_to_temporary_file(
    source: &mut dyn Read,
    limits: SizeLimits,
) -> Result<File, CopyError> {
    let mut decoder = flate2::read::DeflateDecoder::new(Counted::new(source, limits.bytes));
    copy(
        &mut decoder,
        limits,
        flate2::read::DeflateDecoder::get_ref,
        flate2::read::DeflateDecoder::get_mut,
    )
}

/// Reader that counts bytes up to a limit, and keeps its error apart from those of a decoder around it.
struct Counted<'s> {
    source: &'s mut dyn Read,
    count: u64,
    limit: u64,
    error: Option<io::Error>,
}

impl<'s> Counted<'s> {
    fn new(source: &'s mut dyn Read, limit: u64) -> Self {
        Self { source, count: 0, limit, error: None }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.count > self.limit {
            return Err(io::Error::other("the limit is exceeded"));
        }
        match self.source.read(buffer) {
            Ok(length) => {
                self.count = self.count.saturating_add(length as u64);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.error = Some(error);
                Err(io::Error::other("the source failed"))
            }
        }
    }
}

fn copy<'s, R: Read>(
    reader: &mut R,
    limits: SizeLimits,
    counted: impl for<'r> Fn(&'r R) -> &'r Counted<'s>,
    counted_mut: impl for<'r> Fn(&'r mut R) -> &'r mut Counted<'s>,
) -> Result<File, CopyError>
where
    's: 's,
{
    let mut file = tempfile::tempfile().map_err(CopyError::TemporaryFile)?;
    let mut buffer = vec![0; CHUNK];
    let (mut bytes, mut lines) = (0_u64, 0_u64);
    let too_large = || CopyError::TooLarge(format!("is larger than {} bytes", limits.bytes));
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                if counted(reader).count > limits.bytes {
                    return Err(too_large());
                }
                return Err(match counted_mut(reader).error.take() {
                    Some(error) => CopyError::Read(error),
                    None => CopyError::Compression(super::printable(&error.to_string())),
                });
            }
        };
        let chunk = buffer.get(..length).unwrap_or_default();
        bytes = bytes.saturating_add(length as u64);
        lines += memchr::memchr_iter(b'\n', chunk).count() as u64;
        let received = counted(reader).count;
        if bytes > limits.bytes || received > limits.bytes {
            return Err(too_large());
        }
        if lines > limits.lines {
            return Err(CopyError::TooLarge(format!("has more than {} lines", limits.lines)));
        }
        if bytes > RATIO_FREE && bytes / MAX_RATIO > received {
            let reason = format!("expands more than {MAX_RATIO} times (a decompression bomb)");
            return Err(CopyError::TooLarge(reason));
        }
        file.write_all(chunk).map_err(CopyError::TemporaryFile)?;
    }
    file.rewind().map_err(CopyError::TemporaryFile)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn text(mut file: File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_too_large_too_long_or_a_bomb_is_refused() {
        let limits = SizeLimits { bytes: 100, lines: 3 };
        let copy = |data: &[u8]| to_temporary_file(&mut &data[..], limits);
        assert_eq!(text(copy(b"a\nb\nc\n").unwrap()), "a\nb\nc\n");
        assert!(copy(&[b'a'; 100]).is_ok());
        let error = copy(&[b'a'; 101]).unwrap_err().to_string();
        assert_eq!(error, "is larger than 100 bytes");
        assert_eq!(copy(b"\n\n\n\n").unwrap_err().to_string(), "has more than 3 lines");
        assert!(matches!(
            to_temporary_file(&mut io::repeat(b'x'), limits),
            Err(CopyError::TooLarge(_))
        ));
        let unzip = |data: &[u8]| gunzip_to_temporary_file(&mut &data[..], limits);
        assert_eq!(text(unzip(&[gzip(b"a\n"), gzip(b"b")].concat()).unwrap()), "a\nb");
        assert!(matches!(unzip(&gzip(&[b'a'; 101])), Err(CopyError::TooLarge(_))));
        let many = gzip(b"").repeat(50);
        assert!(matches!(unzip(&many), Err(CopyError::TooLarge(_))));
        let wide = SizeLimits { bytes: 1 << 30, lines: 1 };
        let bomb = gzip(&vec![0; 64 << 20]);
        let error = gunzip_to_temporary_file(&mut bomb.as_slice(), wide).unwrap_err();
        assert!(error.to_string().contains("bomb"), "{error}");
    }

    /// A connection that breaks.
    struct Fails;

    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    #[test]
    fn broken_gzip_and_a_broken_source_are_told_apart() {
        let limits = SizeLimits::default();
        let whole = gzip(b"www.example.com\n");
        for end in 0..whole.len() {
            let result = gunzip_to_temporary_file(&mut &whole[..end], limits);
            // No data at all is no member at all.
            assert!(end == 0 || matches!(result, Err(CopyError::Compression(_))), "{end}");
        }
        let mut broken = whole.clone();
        let last = broken.len() - 6;
        broken[last] ^= 1;
        assert!(matches!(
            gunzip_to_temporary_file(&mut broken.as_slice(), limits),
            Err(CopyError::Compression(_))
        ));
        let error = gunzip_to_temporary_file(&mut (&whole[..20]).chain(Fails), limits);
        let Err(CopyError::Read(error)) = error else { panic!("{error:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
