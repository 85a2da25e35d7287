//! Tests of archives. `tests/it/feeds.rs` has those with servers.

use super::unpack::unpack;
use super::*;
use crate::outgoing::SizeLimits;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::{Read as _, Write as _};

/// One file in an archive: name, content, whether it is deflated.
type Entry<'a> = (&'a str, &'a [u8], bool);

fn u32_le(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_le_bytes()
}

fn u16_le(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_le_bytes()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive as zip programs write it.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for &(name, data, is_deflated) in entries {
        let packed = if is_deflated { deflate(data) } else { data.to_vec() };
        let mut crc = flate2::Crc::new();
        crc.update(data);
        let mut fields = Vec::new();
        for number in [20_u16, 0, if is_deflated { 8 } else { 0 }, 0, 0] {
            fields.extend(number.to_le_bytes());
        }
        fields.extend(crc.sum().to_le_bytes());
        fields.extend([u32_le(packed.len()), u32_le(data.len())].concat());
        fields.extend(u16_le(name.len()));
        fields.extend([0, 0]);
        let offset = u32_le(out.len());
        out.extend([b"PK\x03\x04", fields.as_slice(), name.as_bytes(), &packed].concat());
        directory.extend([b"PK\x01\x02\x14\x03", fields.as_slice()].concat());
        // Comment, disk, attributes.
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.as_bytes());
    }
    let start = u32_le(out.len());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([u16_le(entries.len()); 2].concat());
    out.extend([u32_le(directory.len()), start].concat());
    out.extend([0, 0]);
    out
}

fn unpacked(data: &[u8], member: Option<&str>, limits: SizeLimits) -> Result<Vec<u8>, String> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file.rewind().unwrap();
    let mut file = unpack(file, limits, member).map_err(|error| error.to_string())?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).unwrap();
    Ok(content)
}

const LIMITS: SizeLimits = SizeLimits { bytes: 1 << 20, lines: 1000 };

#[test]
fn a_list_is_unpacked_from_gzip_and_zip() {
    let list = b"www.example.com\n".repeat(20);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&list).unwrap();
    let gzip = encoder.finish().unwrap();
    let one = archive(&[("folder/", b"", false), ("folder/list.txt", &list, true)]);
    let stored = archive(&[("list.txt", &list, false)]);
    for data in [list.as_slice(), &gzip, &one, &stored] {
        assert_eq!(unpacked(data, None, LIMITS), Ok(list.clone()));
    }
    assert_eq!(unpacked(b"", None, LIMITS), Ok(Vec::new()));
    let two = archive(&[("a.csv", b"a", true), ("b\x1b.csv", b"b", false)]);
    assert_eq!(unpacked(&two, Some("a.csv"), LIMITS), Ok(b"a".to_vec()));
    assert_eq!(
        unpacked(&two, None, LIMITS).unwrap_err(),
        "the list is a zip archive with several files: set member to one of a.csv, b\\u{1b}.csv"
    );
    assert!(unpacked(&two, Some("c.csv"), LIMITS).unwrap_err().contains("without the file"));
    assert!(unpacked(&list, Some("a.csv"), LIMITS).unwrap_err().contains("not a zip archive"));
    assert!(unpacked(&archive(&[]), None, LIMITS).unwrap_err().contains("without files"));
}

#[test]
fn a_hostile_archive_is_refused() {
    for name in ["../list.txt", "a/../../list.txt", "/etc/passwd", "..\\list.txt", "C:list.txt", ""]
    {
        let data = archive(&[("list.txt", b"a", true), (name, b"b", true)]);
        let error = unpacked(&data, Some("list.txt"), LIMITS).unwrap_err();
        assert!(error.contains("unsafe file name"), "{name}: {error}");
    }
    let bomb = archive(&[("list.txt", &vec![b'a'; 2 << 20], true)]);
    assert!(unpacked(&bomb, None, LIMITS).unwrap_err().contains("larger than 1048576 bytes"));
    // One that lies about its size.
    let mut liar = bomb.clone();
    let directory = liar.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    liar[directory + 24..directory + 28].copy_from_slice(&7_u32.to_le_bytes());
    assert!(unpacked(&liar, None, LIMITS).unwrap_err().contains("larger than 1048576 bytes"));
    let mut encrypted = archive(&[("list.txt", b"a", true)]);
    let directory = encrypted.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[directory + 8] |= 1;
    assert!(unpacked(&encrypted, None, LIMITS).unwrap_err().contains("encrypted"));
}

#[test]
fn a_broken_archive_ends_in_the_list_or_an_error() {
    let list = b"www.example.com\n".repeat(20);
    let whole = archive(&[("list.txt", &list, true)]);
    for end in 4..whole.len() {
        assert!(unpacked(&whole[..end], None, LIMITS).is_err(), "{end}");
    }
    for at in 4..whole.len() {
        for bit in 0..8 {
            let mut broken = whole.clone();
            broken[at] ^= 1 << bit;
            if let Ok(content) = unpacked(&broken, None, LIMITS) {
                assert_eq!(content, list, "bit {bit} of byte {at}");
            }
        }
    }
}
