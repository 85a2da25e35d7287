//! Cuts octets into lines without copying them, and counts where each ends.
//!
//! Under `log`: holds one buffer with what was read and not yet handed out.

use crate::hash::PrefixDigest;
use memchr::{memchr, memchr_iter};
use std::io::{self, Read};

/// Octets asked of a file at once; large enough that system calls cost little beside the lines.
pub(super) const CHUNK: usize = 256 * 1024;
/// Longest line handed out, in octets. Zeek's longest real DNS record is some tens of KiB.
pub(super) const MAX_LINE: usize = 1024 * 1024;

/// The lines of one log.
// Invariant: `start <= end <= buffer.len() <= MAX_LINE + 3 * CHUNK`.
pub(super) struct Lines {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where the first line not yet handed out begins, in octets of the log.
    offset: u64,
    /// Octets of that line already thrown away because it is too long.
    skipped: u64,
    /// Of all bytes up to `offset + skipped`.
    digest: PrefixDigest,
}

impl Lines {
    /// Begins where `digest` ends.
    pub(super) fn new(digest: PrefixDigest) -> Self {
        let offset = digest.length();
        Self { buffer: Vec::new(), start: 0, end: 0, offset, skipped: 0, digest }
    }

    /// The digest of all lines that were handed out or passed over.
    pub(super) fn digest(&self) -> &PrefixDigest {
        &self.digest
    }

    /// Gives memory back that only reading needs.
    pub(super) fn release(&mut self) {
        self.buffer = self.pending().to_vec();
        (self.start, self.end) = (0, self.buffer.len());
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the log has been read.
    pub(super) fn reached(&self) -> u64 {
        self.offset + self.skipped + (self.end - self.start) as u64
    }

    /// What was read and not yet handed out.
    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads up to `at_most` octets, and at most a [`CHUNK`]; 0 is the end.
    pub(super) fn fill(&mut self, content: &mut impl Read, at_most: usize) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let wanted = self.end + at_most.clamp(1, CHUNK);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let room = self.buffer.get_mut(self.end..wanted).unwrap_or_default();
        let got = loop {
            match content.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += got;
        Ok(got)
    }

    /// Hands out the complete lines that end at `limit` or before, each without its newline and with
    /// the offset just behind that; returns how many were too long and went out as empty lines.
    pub(super) fn drain(&mut self, limit: u64, each: &mut dyn FnMut(&[u8], u64)) -> u64 {
        let mut oversized = 0;
        let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
        let base = self.offset + self.skipped;
        let (mut begin, mut digested) = (0, 0);
        for newline in memchr_iter(b'\n', pending) {
            let after = base + newline as u64 + 1;
            if after > limit {
                break;
            }
            let line = pending.get(begin..newline).unwrap_or_default();
            if self.skipped > 0 || line.len() > MAX_LINE {
                oversized += 1;
                each(b"", after);
            } else {
                each(line, after);
            }
            self.offset = after;
            self.skipped = 0;
            begin = newline + 1;
            if self.digest.is_due(after) {
                self.digest.write(pending.get(digested..begin).unwrap_or_default());
                self.digest.sample();
                digested = begin;
            }
        }
        self.digest.write(pending.get(digested..begin).unwrap_or_default());
        self.start += begin;
        self.skip_oversized();
        oversized
    }

    /// Throws away what a line without end has brought, once it is too long to be handed out.
    fn skip_oversized(&mut self) {
        let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
        if (self.skipped > 0 || pending.len() > MAX_LINE) && memchr(b'\n', pending).is_none() {
            self.digest.write(pending);
            self.skipped += pending.len() as u64;
            self.start = self.end;
        }
    }

    /// Moves on to `offset` if the log has been read that far; it may lie within a line.
    pub(super) fn cut(&mut self, offset: u64) -> bool {
        if offset > self.reached() {
            return false;
        }
        let dropped = offset.saturating_sub(self.offset);
        let from_buffer = dropped.saturating_sub(self.skipped);
        self.skipped = self.skipped.saturating_sub(dropped);
        let begin = self.start + usize::try_from(from_buffer).unwrap_or(0);
        self.digest.write(self.buffer.get(self.start..begin).unwrap_or_default());
        self.start = begin;
        self.offset = offset;
        true
    }

    /// Hands out the last line though no newline ends it, if there is one; returns 1 if it was too
    /// long.
    pub(super) fn last(&mut self, each: &mut dyn FnMut(&[u8], u64)) -> u64 {
        let end = self.reached();
        if end == self.offset {
            return 0;
        }
        let line = self.buffer.get(self.start..self.end).unwrap_or_default();
        self.digest.write(line);
        let is_oversized = self.skipped > 0 || line.len() > MAX_LINE;
        each(if is_oversized { b"" } else { line }, end);
        self.offset = end;
        self.skipped = 0;
        self.start = self.end;
        u64::from(is_oversized)
    }

    /// Forgets what was read and not handed out.
    pub(super) fn discard(&mut self) {
        self.start = self.end;
        self.skipped = 0;
    }
}
