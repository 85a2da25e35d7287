//! Context of a file: a decoder with the state that the preceding files left open.
//!
//! Under `pcap_import`. While the files of a folder are read one after another, the decoder is passed from
//! one to the next. A file that was read partially, has grown, or was added later needs the same decoder
//! state again: the store keeps for each file the packet with which its decoder began, and the files from
//! there on are decoded once more, only for the state open at their end.

use super::file_import::{DecodeProgress, Failure, Pending};
use super::folder::FolderFile;
use super::queue::Waiting;
use super::reader::Reader;
use super::stored_capture::StoredCapture;
use crate::decode::packets::PacketDecoder;
use crate::hex;
use crate::source::{CaptureFile, Digest, PcapError};
use crate::store::{SourceState, StoreError};
use crate::time::Timestamp;
use std::path::Path;

/// Maximum number of files examined to find the predecessor of another.
const LOOK_BACK: usize = 32;
/// Maximum number of bytes for which a decoder is passed on, which bounds the bytes to decode again. After
/// that a new decoder starts with the files that may have left anything open.
const CARRIED: u64 = 1 << 30;
/// Or this multiple of the last file's size, if that is larger.
const CARRIED_FILES: u64 = 8;

/// Initial decoder state for a file.
pub(super) enum Context {
    /// A new decoder: the file starts by itself.
    Fresh,
    /// The decoder of the preceding file, and the first packet that it has read.
    Carried(Box<PacketDecoder>, Digest, u64),
    /// The preceding files, which must be decoded first, and their first packet.
    Before(Vec<PrecedingFile>, Digest),
}

impl Context {
    /// The packet with which the decoder began, if it is in another file.
    pub(super) fn begins(&self) -> Option<Digest> {
        match self {
            Self::Fresh => None,
            Self::Carried(_, begins, _) | Self::Before(_, begins) => Some(*begins),
        }
    }

    /// The files that must be decoded first.
    pub(super) fn files(&self) -> &[PrecedingFile] {
        if let Self::Before(files, _) = self { files } else { &[] }
    }
}

/// A preceding file, from the store.
pub(super) struct PrecedingFile {
    part: FolderFile,
    id: Digest,
    state: SourceState,
}

impl PrecedingFile {
    /// Number of bytes to decode.
    pub(super) fn size(&self) -> u64 {
        self.state.contents.last().map_or(0, |&(length, _)| length)
    }
}

impl Reader {
    /// Determines the context of a file, and finishes the preceding one.
    pub(super) fn context(
        &mut self,
        waiting: &Waiting,
        capture: &StoredCapture,
        carried: &mut Option<Pending<'_>>,
    ) -> Result<Context, Failure> {
        let has_begun = !capture.state.contents.is_empty();
        let stored = has_begun.then(|| capture.state.follows.clone());
        if let Some(pending) = carried.take() {
            let is_it = match &stored {
                None => self.legacy.lengths().is_empty(),
                Some(follows) => follows.as_deref() == Some(hex::encode(&pending.begins).as_str()),
            };
            let is_long = pending.bytes > CARRIED.max(CARRIED_FILES * pending.size);
            let (begins, bytes) = (pending.begins, pending.bytes);
            let next = head_of(waiting).filter(|_| is_it);
            let decoder = self.close(pending, next)?;
            // A file with a partially applied batch is decoded separately.
            let is_open = !capture.checkpoint.open_ends().is_empty();
            if is_it && !is_long && !is_open {
                return Ok(Context::Carried(Box::new(decoder), begins, bytes));
            }
        }
        let until = match stored {
            // It was read by itself.
            Some(None) => return Ok(Context::Fresh),
            Some(Some(begins)) => Some(begins),
            None => None,
        };
        let earlier = self.files_before(waiting, until.as_deref())?;
        if until.is_none()
            && let Some(last) = earlier.last()
            && last.state.next.is_none()
        {
            // No other file may continue there as well: open state would be reported twice.
            let state = SourceState { next: head_of(waiting), ..last.state.clone() };
            self.sender.writer.begin(last.id, state)?;
        }
        match earlier.first().and_then(|first| first.part.start) {
            Some((begins, _)) => Ok(Context::Before(earlier, begins)),
            None => Ok(Context::Fresh),
        }
    }

    /// The decoder for a context.
    pub(super) fn decoder(&self, files: &[PrecedingFile]) -> PacketDecoder {
        let mut decoder = PacketDecoder::new(&self.options);
        for PrecedingFile { part, state, .. } in files {
            if let Err(error) = replay(&part.path, state, &mut decoder) {
                tracing::warn!(
                    path = %part.path.display(), cause = %error,
                    "cannot read all of the file before: what it left open is not known"
                );
            }
        }
        decoder.take_tally();
        decoder
    }

    /// The files that precede one, oldest first: back to the one that begins with the packet `until` or,
    /// without it, those whose questions may still be open.
    pub(super) fn files_before(
        &mut self,
        waiting: &Waiting,
        until: Option<&str>,
    ) -> Result<Vec<PrecedingFile>, Failure> {
        let folder = waiting.folder.clone();
        let mut found: Vec<PrecedingFile> = Vec::new();
        let mut at = waiting.place;
        let Some((_, first)) = folder.parts.get(at).and_then(|part| part.start) else {
            return Ok(found);
        };
        while let Some(after) = folder.parts.get(at) {
            let mut best = None;
            for index in (at.saturating_sub(LOOK_BACK)..at).rev() {
                let Some(part) = folder.parts.get(index) else { continue };
                let Some((head, _)) = part.start else { continue };
                let Some(StoredCapture { id, state, .. }) = self.known_as(&head, &part.path)?
                else {
                    continue;
                };
                let Some(last) = state.last.filter(|_| state.complete) else { continue };
                let goes_on = after.start.map(|(head, _)| hex::encode(&head));
                if state.next.is_some() && state.next != goes_on {
                    continue;
                }
                let last = Timestamp::from_micros(last);
                let Some(gap) = folder.gap(index, last, at) else { continue };
                if best.as_ref().is_none_or(|(least, _, _)| gap < *least) {
                    best = Some((gap, index, PrecedingFile { part: part.clone(), id, state }));
                }
            }
            let Some((_, index, earlier)) = best else { break };
            let begins = earlier.part.start;
            found.push(earlier);
            at = index;
            let is_enough = match (until, begins) {
                (Some(until), Some((head, _))) => hex::encode(&head) == until,
                (None, Some((_, began))) => {
                    first.micros().saturating_sub(began.micros()) > folder.most_open()
                }
                (_, None) => true,
            };
            if is_enough {
                found.reverse();
                return Ok(found);
            }
        }
        if until.is_some() {
            tracing::warn!(
                path = %waiting.path.display(),
                "the files before are not there; what they left open is not known"
            );
        }
        found.reverse();
        Ok(found)
    }

    /// The stored capture that a file contains.
    fn known_as(
        &mut self,
        head: &Digest,
        path: &Path,
    ) -> Result<Option<StoredCapture>, StoreError> {
        let (mut known, _) = self.known(path, head)?;
        let path = path.display().to_string();
        let at = known.iter().position(|known| known.state.path == path);
        Ok(at.map(|at| known.swap_remove(at)).or_else(|| known.pop()))
    }
}

/// Digest of a file's first packet, in the store's notation.
fn head_of(waiting: &Waiting) -> Option<String> {
    let part = waiting.folder.parts.get(waiting.place)?;
    part.start.map(|(head, _)| hex::encode(&head))
}

/// Decodes a stored file, for the state that it leaves open.
fn replay(path: &Path, state: &SourceState, decoder: &mut PacketDecoder) -> Result<(), PcapError> {
    let mut file = CaptureFile::open(path)?;
    let mut walk = DecodeProgress::new(&state.contents);
    let until = state.contents.last().map_or(u64::MAX, |&(length, _)| length);
    let result = loop {
        match walk.step(&mut file, decoder, until, &mut |_, _| {}) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if !state.is_followed {
        decoder.pause(&mut |_| {});
    }
    result
}
