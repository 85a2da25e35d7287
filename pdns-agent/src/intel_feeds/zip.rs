//! One file of a zip archive (APPNOTE.TXT 6.3.10), stored or deflated.
//!
//! Nothing is written under a name from the archive. An archive whose names lead out of their folder is refused all the
//! same: whoever made it means harm.

use super::FeedError;
use crate::outgoing::{SizeLimits, inflate_to_temporary_file, printable, to_temporary_file};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

/// Length of the end record without its comment, and longest comment.
const END: usize = 22;
const LONGEST_COMMENT: u64 = 65_535;
/// Maximum size of the central directory, in bytes.
const MAX_DIRECTORY: u64 = 4 << 20;
/// Number of names in an error.
const SHOWN: usize = 5;

/// Returns true if a file with these first bytes is a zip archive, maybe an empty one.
pub(super) fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06")
}

/// A file in the archive, from the central directory.
#[derive(Debug)]
struct Member {
    name: String,
    is_encrypted: bool,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

/// Extracts the file `wanted`, or the only one.
pub(super) fn extract(
    archive: &mut File,
    limits: SizeLimits,
    wanted: Option<&str>,
) -> Result<File, FeedError> {
    let members = members(archive)?;
    let member = choose(&members, wanted)?;
    if member.is_encrypted {
        return Err(broken("is an encrypted zip archive, which is not supported"));
    }
    if member.size > limits.bytes {
        return Err(FeedError::List(format!("is larger than {} bytes", limits.bytes)));
    }
    let head = read_at(archive, member.offset, 30)?;
    let (Some(b"PK\x03\x04"), Some(name), Some(extra)) =
        (head.get(..4), u16_at(&head, 26), u16_at(&head, 28))
    else {
        return Err(broken("is a broken zip archive: a file is not where the directory says"));
    };
    let start = member.offset + 30 + u64::from(name) + u64::from(extra);
    archive.seek(SeekFrom::Start(start)).map_err(FeedError::TemporaryFile)?;
    let mut packed = archive.take(member.packed);
    let mut file = match member.method {
        0 => to_temporary_file(&mut packed, limits)?,
        8 => inflate_to_temporary_file(&mut packed, limits)?,
        _ => return Err(broken("is a zip archive with a compression other than deflate")),
    };
    let mut crc = flate2::Crc::new();
    let mut buffer = vec![0; 64 << 10];
    let mut check = || -> io::Result<()> {
        loop {
            match file.read(&mut buffer)? {
                0 => return file.rewind(),
                length => crc.update(buffer.get(..length).unwrap_or_default()),
            }
        }
    };
    check().map_err(FeedError::TemporaryFile)?;
    let length = file.metadata().map_err(FeedError::TemporaryFile)?.len();
    if crc.sum() != member.crc || length != member.size {
        return Err(broken("is a broken zip archive: its file is damaged or cut off"));
    }
    Ok(file)
}

/// The member that is wanted, or the only one.
fn choose<'m>(members: &'m [Member], wanted: Option<&str>) -> Result<&'m Member, FeedError> {
    let shown = || {
        let names: Vec<String> =
            members.iter().take(SHOWN).map(|member| printable(&member.name)).collect();
        let more = if members.len() > SHOWN { ", ..." } else { "" };
        format!("{}{more}", names.join(", "))
    };
    match (wanted, members) {
        (_, []) => Err(broken("is a zip archive without files")),
        (Some(wanted), _) => members.iter().find(|member| member.name == wanted).ok_or_else(|| {
            FeedError::List(format!(
                "is a zip archive without the file {wanted:?}: it has {}",
                shown()
            ))
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(FeedError::List(format!(
            "is a zip archive with several files: set member to one of {}",
            shown()
        ))),
    }
}

/// The files of an archive.
fn members(archive: &mut File) -> Result<Vec<Member>, FeedError> {
    let length = archive.metadata().map_err(FeedError::TemporaryFile)?.len();
    let from = length.saturating_sub(END as u64 + LONGEST_COMMENT);
    let tail = read_at(archive, from, length - from)?;
    let end = (0..tail.len().saturating_sub(END - 1)).rev().find(|&at| {
        let comment = u16_at(&tail, at + 20).map(usize::from);
        tail.get(at..at + 4) == Some(b"PK\x05\x06")
            && comment.is_some_and(|comment| at + END + comment == tail.len())
    });
    let cut = || broken("is a broken zip archive: its directory is missing or cut off");
    let end = end.and_then(|at| tail.get(at..)).ok_or_else(cut)?;
    let count = u16_at(end, 10).ok_or_else(cut)?;
    let size = u64::from(u32_at(end, 12).ok_or_else(cut)?);
    let offset = u64::from(u32_at(end, 16).ok_or_else(cut)?);
    if count == u16::MAX || offset == u64::from(u32::MAX) || size > MAX_DIRECTORY {
        return Err(broken("is a zip archive with too many files"));
    }
    let directory = read_at(archive, offset, size)?;
    let (mut members, mut at) = (Vec::new(), 0);
    for _ in 0..count {
        let entry = directory.get(at..).ok_or_else(cut)?;
        let (member, length) = member(entry).ok_or_else(cut)?;
        at += length;
        if is_unsafe(&member.name) {
            let name = printable(&member.name);
            return Err(FeedError::List(format!(
                "is a zip archive with an unsafe file name, {name}"
            )));
        }
        if !member.name.ends_with('/') {
            members.push(member);
        }
    }
    Ok(members)
}

/// One entry of the central directory, and its length.
fn member(entry: &[u8]) -> Option<(Member, usize)> {
    if !entry.starts_with(b"PK\x01\x02") {
        return None;
    }
    let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(entry, at).map(usize::from));
    let name = name?;
    let bytes = entry.get(46..46 + name)?;
    let member = Member {
        name: String::from_utf8_lossy(bytes).into_owned(),
        is_encrypted: u16_at(entry, 8)? & 1 != 0,
        method: u16_at(entry, 10)?,
        crc: u32_at(entry, 16)?,
        packed: u32_at(entry, 20)?.into(),
        size: u32_at(entry, 24)?.into(),
        offset: u32_at(entry, 42)?.into(),
    };
    Some((member, 46 + name + extra? + comment?))
}

/// Returns true for a name that leads out of its folder or could on some system.
fn is_unsafe(name: &str) -> bool {
    name.is_empty()
        || name.starts_with('/')
        || name.contains(['\\', '\0', ':'])
        || name.split('/').any(|part| part == "..")
}

fn read_at(file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>, FeedError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(length).read_to_end(&mut bytes))
        .map_err(FeedError::TemporaryFile)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn broken(reason: &str) -> FeedError {
    FeedError::List(reason.to_owned())
}
