//! Identification of the stored capture that a file contains.
//!
//! Under `pcap_import`. A capture is identified by its first packet, so that it stays the same when it grows,
//! is renamed or compressed. Two captures may begin with the same packet: the store keeps for each one
//! digests of its content at the lengths it had, and a file that contradicts them is another capture, with
//! the next number.

use crate::hash::Hasher;
use crate::source::{CaptureFile, Content, Digest};
use crate::store::{Checkpoint, SourceState};
use std::collections::BTreeSet;
use std::path::Path;

/// Maximum number of lengths kept for one capture; copies with an older length are only recognised if the
/// longer file is available.
const MOST_LENGTHS: usize = 16;

/// A capture that begins with the same packet as a file.
pub(super) struct StoredCapture {
    pub(super) id: Digest,
    pub(super) state: SourceState,
    pub(super) checkpoint: Checkpoint,
}

/// Relation of a file to a capture that begins with the same packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same capture, with the same length or longer.
    Continuation,
    /// The same capture at an earlier, shorter length.
    Beginning,
    /// Shorter, and with an unknown length: only the longer file can decide.
    Unknown,
    /// Another capture.
    Other,
}

/// Identity of the capture with this number among those that begin with the packet of this digest.
pub(super) fn id(hasher: &Hasher, head: &Digest, number: u32) -> Digest {
    hasher.identity(&[b"capture".as_slice(), head, &number.to_be_bytes()].concat())
}

/// Half of a digest, which is sufficient to distinguish captures with the same beginning.
fn half(digest: &Digest) -> u64 {
    u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}

impl StoredCapture {
    /// The lengths at which a file must be measured to identify it.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u64> {
        self.state.contents.iter().map(|&(length, _)| length)
    }

    /// Returns true if a file with this content, which was read to its end, was certainly read to its last byte, not to
    /// a defect. The end of a file that no other one continues has a position of its own.
    pub(super) fn is_whole(&self, content: &Content) -> bool {
        let end = content.length + u64::from(!self.state.is_followed);
        !content.is_cut && self.state.acknowledged >= end
    }

    /// Relation of a file with this content to the capture.
    pub(super) fn relation(&self, content: &Content) -> Relation {
        let contents = &self.state.contents;
        let Some(&(longest, digest)) = contents.last() else { return Relation::Other };
        if content.length >= longest {
            let at = content.at(longest).map(|digest| half(&digest));
            return if at == Some(digest) { Relation::Continuation } else { Relation::Other };
        }
        if contents.contains(&(content.length, half(&content.digest))) {
            Relation::Beginning
        } else {
            Relation::Unknown
        }
    }

    /// Reads a file that the capture was read from again: whether it begins with this content. `None` if the capture is
    /// not there any more.
    pub(super) fn begins_with(
        &self,
        path: &Path,
        content: &Content,
        hasher: &Hasher,
    ) -> Option<bool> {
        let &(longest, digest) = self.state.contents.last()?;
        let lengths = BTreeSet::from([content.length, longest]);
        let longer = CaptureFile::open(path).and_then(|mut file| file.content(hasher, &lengths));
        // A file that cannot be read proves nothing.
        let longer = longer.ok().flatten()?;
        let is_it = longer.at(longest).is_some_and(|found| half(&found) == digest);
        is_it.then(|| longer.at(content.length) == Some(content.digest))
    }
}

/// Adds the length and digest of a content to the known ones.
pub(super) fn note(contents: &mut Vec<(u64, u64)>, content: &Content) {
    let new = (content.length, half(&content.digest));
    if let Err(at) = contents.binary_search(&new) {
        contents.insert(at, new);
    }
    if contents.len() > MOST_LENGTHS {
        contents.remove(0);
    }
}
