//! The beginning of a file, to tell what kind of file it is.
//!
//! Under `source`: for files that no reader of theirs could make anything of.

use super::unpack;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads what a regular file begins with, unpacked, at most `most` bytes.
///
/// # Errors
/// As the system says, or the decompressor.
pub fn first_bytes(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if std::fs::metadata(path)?.is_file() {
        let (reader, _) = unpack::unpack(File::open(path)?)?;
        reader.take(most as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
