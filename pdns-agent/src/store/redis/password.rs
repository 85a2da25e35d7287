//! Password files: one line, read at the start and for each connection.

use crate::bounded_file::open_file;
use std::io::{self, Read as _};
use std::path::Path;

/// Maximum size of a password file, in bytes.
const LONGEST: u64 = 4_096;

/// Reads the password of a file; `None` if the file is empty, too long, not UTF-8, or has more than one line.
///
/// # Errors
/// I/O errors of the file.
pub fn read_password(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    open_file(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= LONGEST);
    let line = text.as_deref().map(|text| text.trim_end_matches(['\r', '\n']));
    Ok(line.filter(|line| !line.is_empty() && !line.contains('\n')).map(str::to_owned))
}
