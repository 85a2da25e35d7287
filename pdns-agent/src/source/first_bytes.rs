//! Beginning of a file, read to guess its type.
//!
//! Under `source`: for files that none of the readers understands, and for lists that people keep.

use super::unpack;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Returns true if a file begins with UTF-16 text: with a byte order mark, or with ASCII characters.
#[must_use]
pub fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] => {
            [a, b].iter().all(|byte| (b' '..=b'~').contains(byte))
        }
        _ => false,
    }
}

/// Opens a file for reading, decompressed if it is compressed.
///
/// # Errors
/// The error of the system or the decompressor.
pub fn open_unpacked(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    unpack::unpack(File::open(path)?).map(|(reader, _)| reader)
}

/// Reads the beginning of a regular file, unpacked, at most `most` bytes.
///
/// # Errors
/// The error of the system or the decompressor.
pub fn first_bytes(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if std::fs::metadata(path)?.is_file() {
        let (reader, _) = unpack::unpack(File::open(path)?)?;
        reader.take(most as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
