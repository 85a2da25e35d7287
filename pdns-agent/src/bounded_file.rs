//! Files of people and other programs, which may be of any size.
//!
//! Layer 0.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Reads a file of at most `most` MiB.
///
/// # Errors
/// If it cannot be read, or is larger.
pub(crate) fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One octet more than a file may have, so that a larger one is noticed.
    File::open(path)?.take((most << 20) + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most << 20 {
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    Ok(bytes)
}
