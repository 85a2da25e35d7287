//! Beginning of a file, read to guess its type.
//!
//! Under `source`: for files that none of the readers understands.

use super::unpack;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

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
