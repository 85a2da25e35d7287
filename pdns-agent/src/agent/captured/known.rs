//! Recognises the capture in the store that a file holds.
//!
//! Under `captured`. A capture is known by its first packet, so that it stays the same when it grows, is renamed or
//! compressed. Two captures may begin with the same packet: with each the store keeps digests of its content at the
//! lengths that it had, and a file that contradicts them is another capture, with the next number.

use crate::hash::Hasher;
use crate::source::{CaptureFile, Content, Digest};
use crate::store::{Checkpoint, SourceState};
use std::collections::BTreeSet;
use std::path::Path;

/// Most lengths that are kept of one capture; of older ones, copies are only recognised beside the longer file.
const MOST_LENGTHS: usize = 16;

/// A capture that begins with the same packet as a file.
pub(super) struct Known {
    pub(super) id: Digest,
    pub(super) state: SourceState,
    pub(super) checkpoint: Checkpoint,
}

/// The relation of a file to a capture that begins with the same packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// The capture, as long as it was or longer.
    Continuation,
    /// The capture when it was shorter.
    Beginning,
    /// Shorter, and of no length that is known: only the longer file can tell.
    Unknown,
    /// Another capture.
    Other,
}

/// The identity of the capture of some number that begins with the packet of this digest.
pub(super) fn id(hasher: &Hasher, head: &Digest, number: u32) -> Digest {
    hasher.identity(&[b"capture".as_slice(), head, &number.to_be_bytes()].concat())
}

/// Half of a digest, which is enough to tell apart captures that begin alike.
fn half(digest: &Digest) -> u64 {
    u64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}

impl Known {
    /// The lengths at which a file has to be measured to tell what it is.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u64> {
        self.state.contents.iter().map(|&(length, _)| length)
    }

    /// The relation of a file with this content to the capture.
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

    /// Reads a file that the capture was read from again: true if it is there and begins with this content.
    pub(super) fn holds(&self, path: &Path, content: &Content, hasher: &Hasher) -> bool {
        let Some(&(longest, digest)) = self.state.contents.last() else { return false };
        let lengths = BTreeSet::from([content.length, longest]);
        let longer = CaptureFile::open(path).and_then(|mut file| file.content(hasher, &lengths));
        // A file that cannot be read proves nothing.
        let Ok(Some(longer)) = longer else { return false };
        longer.at(content.length) == Some(content.digest)
            && longer.at(longest).is_some_and(|found| half(&found) == digest)
    }
}

/// Notes the length and digest of a content among those that are known.
pub(super) fn note(contents: &mut Vec<(u64, u64)>, content: &Content) {
    let new = (content.length, half(&content.digest));
    if let Err(at) = contents.binary_search(&new) {
        contents.insert(at, new);
    }
    if contents.len() > MOST_LENGTHS {
        contents.remove(0);
    }
}
