//! Digests that identify a capture's content.
//!
//! Under `pcap`. All digests cover the unpacked bytes, so a compressed copy is the same capture.

use super::input::{Disk, Input};
use crate::hash::Hasher;
use crate::source::unpack;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// Number of bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A keyed digest of the first bytes of a capture.
pub type Digest = [u8; 16];

/// The content of a capture file when it was measured.
#[derive(Clone, Debug)]
pub struct Content {
    /// Length in bytes.
    pub length: u64,
    /// Digest of the entire content.
    pub digest: Digest,
    /// True if the file is compressed and cannot be unpacked any further.
    pub is_cut: bool,
    /// Digests of the first bytes, by their number.
    at: BTreeMap<u64, Digest>,
}

impl Content {
    /// The digest of the first `length` bytes, if there are as many and it was requested.
    #[must_use]
    pub fn at(&self, length: u64) -> Option<Digest> {
        self.at.get(&length).copied()
    }

    /// All requested digests that are available.
    pub fn digests(&self) -> impl Iterator<Item = (u64, Digest)> {
        self.at.iter().map(|(&length, &digest)| (length, digest))
    }
}

/// Reads the first `limit` bytes of a capture and computes digests at some lengths. The error is that of a
/// compressed stream that cannot be unpacked any further: the content ends before it.
///
/// # Errors
/// If the disk cannot be read; includes the number of bytes read.
pub(super) fn measure(
    file: &Arc<File>,
    hasher: &Hasher,
    lengths: &BTreeSet<u64>,
    limit: u64,
) -> Result<(Content, Option<io::Error>), (u64, io::Error)> {
    let (input, failure) = Input::new(Disk::new(file));
    let (reader, _) = unpack::unpack(input).map_err(|cause| (0, cause))?;
    let mut reader = reader.take(limit);
    let mut identity = hasher.begin();
    let mut at = BTreeMap::new();
    let mut wanted = lengths.iter().copied().peekable();
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    let broken = loop {
        let got = match reader.read(&mut chunk) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => match failure.take() {
                Some(cause) => return Err((length, cause)),
                None => break Some(error),
            },
        };
        let mut rest = chunk.get(..got).unwrap_or_default();
        while let Some(next) = wanted.next_if(|&next| next <= length + rest.len() as u64) {
            let part = usize::try_from(next - length).unwrap_or(0);
            let (head, tail) = rest.split_at(part);
            identity.write(head);
            at.insert(next, identity.finish());
            (length, rest) = (next, tail);
        }
        identity.write(rest);
        length += rest.len() as u64;
        if got == 0 {
            break None;
        }
    };
    let is_cut = broken.is_some();
    Ok((Content { length, digest: identity.finish(), is_cut, at }, broken))
}
