//! Lists in gzip files and zip archives.

use super::{FeedError, zip};
use crate::outgoing::{SizeLimits, gunzip_to_temporary_file};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

/// First bytes of a gzip file (RFC 1952 §2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";

/// Unpacks a list: a gzip file, one file of a zip archive (`member`, or the only one), or the list itself. The first bytes
/// decide, whatever the name.
pub(super) fn unpack(
    mut file: File,
    limits: SizeLimits,
    member: Option<&str>,
) -> Result<File, FeedError> {
    let mut first = Vec::new();
    let read = |file: &mut File, first: &mut Vec<u8>| -> io::Result<()> {
        file.by_ref().take(4).read_to_end(first)?;
        file.rewind()
    };
    read(&mut file, &mut first).map_err(FeedError::TemporaryFile)?;
    if zip::is_zip(&first) {
        return zip::extract(&mut file, limits, member);
    }
    if member.is_some() {
        return Err(FeedError::List("is not a zip archive, so member does not apply".to_owned()));
    }
    if first.starts_with(GZIP) {
        return Ok(gunzip_to_temporary_file(&mut file, limits)?);
    }
    Ok(file)
}
