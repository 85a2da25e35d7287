//! Beginning of a file, read to guess its type.
//!
//! Under `source`: for files that none of the readers understands, and for lists that people keep.

use super::unpack;
use crate::bounded_file::open_file;
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

/// Files that are not text, by their first bytes.
const BINARY: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x7fELF", "an ELF program"),
    (b"PK\x03\x04", "a ZIP archive, or a document that is one inside: unpack or convert it first"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"BZh", "compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ\x00", "compressed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
    (b"\x04\x22\x4d\x18", "compressed with lz4: unpack it first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document or mail: convert it first"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xd4\xc3\xb2\xa1", "a packet capture"),
    (b"\xa1\xb2\xc3\xd4", "a packet capture"),
    (b"\x4d\x3c\xb2\xa1", "a packet capture"),
];

/// Returns what a file is that begins with the mark of a type that is not text.
#[must_use]
pub fn marked_binary(bytes: &[u8]) -> Option<&'static str> {
    let marked = BINARY.iter().find(|(mark, _)| bytes.starts_with(mark));
    // A text may begin with these letters: the size of the blocks follows.
    let is_text = |mark: &[u8]| mark == b"BZh" && !matches!(bytes.get(3), Some(b'1'..=b'9'));
    marked.filter(|(mark, _)| !is_text(mark)).map(|(_, what)| *what)
}

/// Returns true for bytes that no text has, in whichever encoding that extends ASCII: NUL, or many control characters.
/// Tabs, form feeds and escape sequences for colors are common.
#[must_use]
pub fn has_binary(bytes: &[u8]) -> bool {
    let is_control = |byte: &u8| matches!(byte, 1..=7 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    bytes.contains(&0) || bytes.iter().filter(|byte| is_control(byte)).count() * 20 > bytes.len()
}

/// Opens a file for reading, decompressed if it is compressed. Pipes and devices are refused, unless the program was
/// given them open.
///
/// # Errors
/// The error of the system or the decompressor.
pub fn open_unpacked(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    unpack::unpack(open_file(path)?).map(|(reader, _)| reader)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_language_is_not_binary() {
        for text in [
            "".as_bytes(),
            b"BZhang said that evil.com is down",
            b"PK is short for public key",
            b"\x1b[31mevil.com\x1b[0m\r\n\x0c\tnext page\x1a",
            b"na\xefve caf\xe9 \xa9 \x80\x93\x94",
            "\u{feff}b\u{fc}cher \u{4f60}\u{597d} \u{1f600}".as_bytes(),
        ] {
            assert_eq!(marked_binary(text), None, "{text:?}");
            assert!(!has_binary(text), "{text:?}");
        }
        assert_eq!(marked_binary(b"BZh91AY&SY"), Some("compressed with bzip2: unpack it first"));
        assert!(has_binary(b"evil.com\0") && has_binary(b"\x01\x02\x90\x90evil.com"));
    }
}
