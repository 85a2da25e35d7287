//! What the files before one left open: a decoder that has read them.
//!
//! Under `captured`. While the files of a folder are read one after the other, the decoder is carried from one to the
//! next. One that was read in part, has grown, or came later needs the same decoder again: the file remembers in the
//! store with which packet its decoder began, and the files from there on are decoded once more, for what is open at
//! their end alone.

use super::folder::Part;
use super::known::Known;
use super::queue::Waiting;
use super::reader::Reader;
use super::reading::{Failure, Pending, Walk};
use crate::decode::packets::Decoder;
use crate::source::{CaptureFile, Digest, PcapError};
use crate::store::{SourceState, StoreError};
use crate::time::Timestamp;
use std::path::Path;

/// Files that are looked at for the one before another.
const LOOK_BACK: usize = 32;
/// A decoder is carried this far, in bytes, so that not more than this has to be decoded again. It then begins anew
/// with the files that may have left anything open.
const CARRIED: u64 = 1 << 30;
/// Or as many times the last file, if that is more.
const CARRIED_FILES: u64 = 8;

/// With what the decoder of a file begins.
pub(super) enum Context {
    /// The file itself.
    Fresh,
    /// The decoder of the file before it, and the first packet that this has read.
    Carried(Box<Decoder>, Digest, u64),
    /// The files before it, which are to be decoded, and the first packet of them.
    Before(Vec<Earlier>, Digest),
}

impl Context {
    /// The packet with which the decoder began, if that is in another file.
    pub(super) fn begins(&self) -> Option<Digest> {
        match self {
            Self::Fresh => None,
            Self::Carried(_, begins, _) | Self::Before(_, begins) => Some(*begins),
        }
    }

    /// The files that are to be decoded before.
    pub(super) fn files(&self) -> &[Earlier] {
        if let Self::Before(files, _) = self { files } else { &[] }
    }
}

/// A file before another, as the store knows it.
pub(super) struct Earlier {
    part: Part,
    id: Digest,
    state: SourceState,
}

impl Earlier {
    /// How much there is to decode.
    pub(super) fn size(&self) -> u64 {
        self.state.contents.last().map_or(0, |&(length, _)| length)
    }
}

impl Reader {
    /// Chooses the context of a file, and ends the one before it.
    pub(super) fn context(
        &mut self,
        waiting: &Waiting,
        capture: &Known,
        carried: &mut Option<Pending<'_>>,
    ) -> Result<Context, Failure> {
        let has_begun = !capture.state.contents.is_empty();
        let stored = has_begun.then(|| capture.state.follows.clone());
        if let Some(pending) = carried.take() {
            let is_it = match &stored {
                None => self.earlier.lengths().is_empty(),
                Some(follows) => follows.as_deref() == Some(hex(&pending.begins).as_str()),
            };
            let is_long = pending.bytes > CARRIED.max(CARRIED_FILES * pending.size);
            let (begins, bytes) = (pending.begins, pending.bytes);
            let next = head_of(waiting).filter(|_| is_it);
            let decoder = self.close(pending, next)?;
            // What a batch was left half-way with is decoded apart.
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
            // No other file may go on there, too: what is open would be told twice.
            let state = SourceState { next: head_of(waiting), ..last.state.clone() };
            self.outbox.writer.begin(last.id, state)?;
        }
        match earlier.first().and_then(|first| first.part.start) {
            Some((begins, _)) => Ok(Context::Before(earlier, begins)),
            None => Ok(Context::Fresh),
        }
    }

    /// The decoder that a context stands for.
    pub(super) fn decoder(&self, files: &[Earlier]) -> Decoder {
        let mut decoder = Decoder::new(&self.options);
        for Earlier { part, state, .. } in files {
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

    /// The files before one, the oldest first: those back to the one that begins with the packet `until`, or, without
    /// it, those whose questions may be open.
    pub(super) fn files_before(
        &mut self,
        waiting: &Waiting,
        until: Option<&str>,
    ) -> Result<Vec<Earlier>, Failure> {
        let folder = waiting.folder.clone();
        let mut found: Vec<Earlier> = Vec::new();
        let mut at = waiting.place;
        let Some((_, first)) = folder.parts.get(at).and_then(|part| part.start) else {
            return Ok(found);
        };
        while let Some(after) = folder.parts.get(at) {
            let mut best = None;
            for index in (at.saturating_sub(LOOK_BACK)..at).rev() {
                let Some(part) = folder.parts.get(index) else { continue };
                let Some((head, _)) = part.start else { continue };
                let Some(Known { id, state, .. }) = self.known_as(&head, &part.path)? else {
                    continue;
                };
                let Some(last) = state.last.filter(|_| state.complete) else { continue };
                let goes_on = after.start.map(|(head, _)| hex(&head));
                if state.next.is_some() && state.next != goes_on {
                    continue;
                }
                let last = Timestamp::from_micros(last);
                let Some(gap) = folder.gap(index, last, at) else { continue };
                if best.as_ref().is_none_or(|(least, _, _)| gap < *least) {
                    best = Some((gap, index, Earlier { part: part.clone(), id, state }));
                }
            }
            let Some((_, index, earlier)) = best else { break };
            let begins = earlier.part.start;
            found.push(earlier);
            at = index;
            let is_enough = match (until, begins) {
                (Some(until), Some((head, _))) => hex(&head) == until,
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

    /// The capture in the store that a file holds.
    fn known_as(&mut self, head: &Digest, path: &Path) -> Result<Option<Known>, StoreError> {
        let (mut known, _) = self.known(path, head)?;
        let path = path.display().to_string();
        let at = known.iter().position(|known| known.state.path == path);
        Ok(at.map(|at| known.swap_remove(at)).or_else(|| known.pop()))
    }
}

/// What stands in the store for the first packet of a file.
fn head_of(waiting: &Waiting) -> Option<String> {
    let part = waiting.folder.parts.get(waiting.place)?;
    part.start.map(|(head, _)| hex(&head))
}

/// Decodes a file that is in the store, for what it leaves open.
fn replay(path: &Path, state: &SourceState, decoder: &mut Decoder) -> Result<(), PcapError> {
    let mut file = CaptureFile::open(path)?;
    let mut walk = Walk::new(&state.contents);
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

/// A digest as the store has it.
pub(super) fn hex(digest: &Digest) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    text
}
