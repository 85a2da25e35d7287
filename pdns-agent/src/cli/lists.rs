//! Lists of subjects, names and words that commands read from standard input, line by line.

use super::CliError;
use crate::source::is_utf16;
use std::io::{self, BufRead, Read as _};

/// The longest line of standard input, in bytes: a URL may be long, a name is not.
const MAX_LINE: u64 = 65_536;

/// Reads the next line of standard input and counts it; `None` at the end. Returned without a byte order mark and the
/// white space around it.
pub(super) fn next_text(
    input: &mut dyn BufRead,
    number: &mut u64,
) -> Result<Option<String>, CliError> {
    let Some(line) = next_line(input).map_err(CliError::Input)? else { return Ok(None) };
    if *number == 0 && is_utf16(&line) {
        return Err(CliError::Input(utf16()));
    }
    *number += 1;
    let line = String::from_utf8_lossy(&line);
    Ok(Some(line.trim_start_matches('\u{feff}').trim().to_owned()))
}

/// Returns the error for a list in UTF-16.
pub(super) fn utf16() -> io::Error {
    let text = "it is encoded in UTF-16 or UTF-32; convert it with `iconv -f UTF-16 -t UTF-8`";
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Reads the next line; `None` at the end. The rest of a line that is too long is skipped.
pub(super) fn next_line(input: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = (&mut *input).take(MAX_LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && read as u64 == MAX_LINE {
        input.skip_until(b'\n')?;
    }
    Ok(Some(line))
}
