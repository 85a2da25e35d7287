//! Splits bytes into lines without copying them, and counts where each ends.
//!
//! Under `log`: keeps one buffer with the bytes read but not yet delivered. A byte order mark at the
//! beginning of a line is removed, and so are NUL bytes: a crash leaves blocks of them, followed by a
//! complete record.

use crate::hash::PrefixDigest;
use memchr::{memchr, memchr_iter, memrchr};
use std::io::{self, Read};
use std::ops::AddAssign;

/// Bytes requested from a file at a time; large enough to make the cost of system calls negligible.
pub(super) const CHUNK: usize = 256 * 1024;
/// Longest line delivered, in bytes. Zeek's longest real DNS records have some tens of KiB.
pub(super) const MAX_LINE: usize = 1024 * 1024;

/// Bytes of an unfinished line that a log keeps while nothing is read of it. Of longer ones it keeps the length, and reads
/// them again when their end arrives: as many logs as may be open would keep half a gigabyte.
pub(super) const KEPT: usize = 4 * 1024;

/// The byte order mark of UTF-8.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// Counts of lines that were not delivered completely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Lines that were too long, delivered as empty lines.
    pub oversized: u64,
    /// Beginnings of lines that were cut off by NUL bytes.
    pub torn: u64,
}

impl AddAssign for Damage {
    fn add_assign(&mut self, other: Self) {
        self.oversized += other.oversized;
        self.torn += other.torn;
    }
}

impl Damage {
    /// The increase since an earlier count.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            oversized: self.oversized.saturating_sub(earlier.oversized),
            torn: self.torn.saturating_sub(earlier.torn),
        }
    }
}

/// Splits a line into its text without NUL bytes and byte order mark, and everything up to the last NUL byte.
fn without_nul(line: &[u8]) -> (&[u8], &[u8]) {
    let bare = |line| <[u8]>::strip_prefix(line, MARK).unwrap_or(line);
    if memchr(0, line).is_none() {
        return (bare(line), &[]);
    }
    let end = line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let line = line.get(..end).unwrap_or_default();
    let (before, record) = line.split_at(memrchr(0, line).map_or(0, |nul| nul + 1));
    (bare(record), before)
}

/// The lines of one log.
// Invariant: `start <= end <= buffer.len() <= MAX_LINE + 3 * CHUNK`.
pub(super) struct Lines {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Start of the first undelivered line, in bytes of the log.
    offset: u64,
    /// Bytes of that line already discarded because it is too long.
    skipped: u64,
    /// True if the discarded bytes end with a NUL byte, so that a new line follows.
    is_cut: bool,
    /// Bytes after these that were read, hold no newline and are not in the buffer. Nothing is delivered before they
    /// are read again ([`Lines::recall`]).
    passed: u64,
    /// Digest of all bytes up to `offset + skipped`.
    digest: PrefixDigest,
}

/// The position within an unfinished line, without its bytes.
#[derive(Clone)]
pub(super) struct Unfinished {
    offset: u64,
    skipped: u64,
    is_cut: bool,
    passed: u64,
    digest: PrefixDigest,
}

impl Unfinished {
    /// End of the bytes read from the log.
    pub(super) fn reached(&self) -> u64 {
        self.offset + self.skipped + self.passed
    }
}

impl Lines {
    /// Starts at the end of `digest`.
    pub(super) fn new(digest: PrefixDigest) -> Self {
        let offset = digest.length();
        let (skipped, is_cut, passed) = (0, false, 0);
        Self::within(Unfinished { offset, skipped, is_cut, passed, digest })
    }

    /// Continues within an unfinished line.
    pub(super) fn within(line: Unfinished) -> Self {
        let Unfinished { offset, skipped, is_cut, passed, digest } = line;
        Self { buffer: Vec::new(), start: 0, end: 0, offset, skipped, is_cut, passed, digest }
    }

    /// The position within the unfinished line.
    pub(super) fn unfinished(&self) -> Unfinished {
        let Self { offset, skipped, is_cut, .. } = *self;
        let passed = self.passed + self.pending().len() as u64;
        Unfinished { offset, skipped, is_cut, passed, digest: self.digest.clone() }
    }

    /// The digest of all lines delivered or skipped.
    pub(super) fn digest(&self) -> &PrefixDigest {
        &self.digest
    }

    /// Gives memory back that only reading needs. With `rereads`, the bytes of an unfinished line are dropped, too, if
    /// they are more than [`KEPT`].
    pub(super) fn release(&mut self, rereads: bool) {
        let unfinished = self.pending().len();
        if rereads && (self.passed > 0 || unfinished > KEPT) {
            self.passed += unfinished as u64;
            self.end = self.start;
        }
        self.buffer = self.pending().to_vec();
        (self.start, self.end) = (0, self.buffer.len());
    }

    /// Returns true if the bytes of the unfinished line that were dropped are needed: it has ended, or is too long.
    pub(super) fn needs_recall(&self) -> bool {
        let pending = self.pending();
        self.passed > 0
            && (self.passed + pending.len() as u64 > MAX_LINE as u64
                || memchr(b'\n', pending).is_some())
    }

    /// Drops all undelivered bytes if some of them were dropped before: returns how many bytes the reader has to go
    /// back to read them again.
    pub(super) fn recall(&mut self) -> u64 {
        if self.passed == 0 {
            return 0;
        }
        let back = self.passed + self.pending().len() as u64;
        (self.start, self.end, self.passed) = (0, 0, 0);
        back
    }

    /// Start of the next line.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// End of the bytes read from the log.
    pub(super) fn reached(&self) -> u64 {
        self.offset + self.skipped + self.passed + (self.end - self.start) as u64
    }

    /// Bytes read but not yet delivered.
    pub(super) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads up to `at_most` bytes, and at most a [`CHUNK`]; returns 0 at the end.
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

    /// Delivers the complete lines that end at or before `limit`, each without its newline and with the
    /// offset after it; returns the damage found in them. Delivers nothing while [`Lines::needs_recall`].
    pub(super) fn drain(&mut self, limit: u64, each: &mut dyn FnMut(&[u8], u64)) -> Damage {
        let mut damage = Damage::default();
        if self.passed > 0 {
            return damage;
        }
        let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
        let base = self.offset + self.skipped;
        let (mut begin, mut digested) = (0, 0);
        for newline in memchr_iter(b'\n', pending) {
            let after = base + newline as u64 + 1;
            if after > limit {
                break;
            }
            let line = pending.get(begin..newline).unwrap_or_default();
            damage += hand_out(line, self.skipped > 0 && !self.is_cut, after, each);
            self.offset = after;
            (self.skipped, self.is_cut) = (0, false);
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
        damage
    }

    /// Discards the bytes of an unfinished line once it is too long to be delivered, except those after NUL
    /// bytes.
    fn skip_oversized(&mut self) {
        let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
        if self.skipped == 0 && pending.len() <= MAX_LINE || memchr(b'\n', pending).is_some() {
            return;
        }
        let nul = memrchr(0, pending).map(|at| at + 1);
        let kept_from = match nul {
            Some(at) if pending.len() - at <= MAX_LINE => at,
            None if self.is_cut && pending.len() <= MAX_LINE => 0,
            _ => pending.len(),
        };
        self.is_cut = kept_from < pending.len() || nul == Some(pending.len());
        self.digest.write(pending.get(..kept_from).unwrap_or_default());
        self.skipped += kept_from as u64;
        self.start += kept_from;
    }

    /// Advances to `offset` if the log has been read that far; it may lie within a line.
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

    /// Delivers the last line even if it lacks a newline; returns the damage found in it.
    pub(super) fn last(&mut self, each: &mut dyn FnMut(&[u8], u64)) -> Damage {
        let end = self.reached();
        if end == self.offset {
            return Damage::default();
        }
        let line = self.buffer.get(self.start..self.end).unwrap_or_default();
        self.digest.write(line);
        let damage = hand_out(line, self.skipped > 0 && !self.is_cut, end, each);
        self.offset = end;
        (self.skipped, self.is_cut) = (0, false);
        self.start = self.end;
        damage
    }

    /// Discards the undelivered bytes.
    pub(super) fn discard(&mut self) {
        self.start = self.end;
        (self.skipped, self.is_cut, self.passed) = (0, false, 0);
    }
}

/// Delivers one line; `lacks_beginning` indicates that it was already too long. Returns the damage found in
/// it.
fn hand_out(
    line: &[u8],
    lacks_beginning: bool,
    end: u64,
    each: &mut dyn FnMut(&[u8], u64),
) -> Damage {
    let (record, before) = without_nul(line);
    let is_torn = before.iter().any(|&byte| byte != 0);
    let is_oversized = lacks_beginning && before.is_empty() || record.len() > MAX_LINE;
    each(if is_oversized { b"" } else { record }, end);
    Damage { oversized: is_oversized.into(), torn: is_torn.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;

    /// The lines of a text that is read in pieces of `chunk` bytes.
    fn lines(text: &[u8], chunk: usize) -> (Vec<(Vec<u8>, u64)>, Damage) {
        let mut lines = Lines::new(PrefixDigest::new(&Hasher::new(&[7; 16])));
        let (mut found, mut damage, mut rest) = (Vec::new(), Damage::default(), text);
        while lines.fill(&mut rest, chunk).unwrap() > 0 {
            damage += lines.drain(u64::MAX, &mut |line, end| found.push((line.to_vec(), end)));
        }
        damage += lines.last(&mut |line, end| found.push((line.to_vec(), end)));
        let mut digest = PrefixDigest::new(&Hasher::new(&[7; 16]));
        digest.write(text);
        assert_eq!(lines.digest().to_bytes(), digest.to_bytes());
        (found, damage)
    }

    #[test]
    fn the_record_behind_nul_bytes_goes_out_however_many_they_are() {
        for nul in [1, 1000, MAX_LINE - 10, MAX_LINE + 10, 3 * MAX_LINE + 7] {
            for (before, torn) in [("", 0), ("{\"torn", 1)] {
                let text = [b"one\n", before.as_bytes(), &vec![0; nul], b"two\nthree\n\0\0four\0"]
                    .concat();
                for chunk in [CHUNK, 1 << 20] {
                    let (found, damage) = lines(&text, chunk);
                    let (texts, ends): (Vec<_>, Vec<_>) = found.into_iter().unzip();
                    assert_eq!(texts, [&b"one"[..], b"two", b"three", b"four"], "{nul}");
                    assert_eq!((ends[0], ends[3]), (4, text.len() as u64));
                    assert_eq!(damage.oversized, 0, "{nul}");
                    // Bytes that were discarded before the end of the line are not counted.
                    assert!(damage.torn == torn || nul > MAX_LINE, "{nul}: {damage:?}");
                }
            }
        }
        let long = [b"x".repeat(MAX_LINE + 1), b"\n\xef\xbb\xbfmarked\n".to_vec()].concat();
        let (found, damage) = lines(&long, CHUNK);
        assert_eq!((found[0].0.as_slice(), found[1].0.as_slice()), (&b""[..], &b"marked"[..]));
        assert_eq!(damage, Damage { oversized: 1, torn: 0 });
        // A line that is too long, before or after NUL bytes.
        let long = b"x".repeat(MAX_LINE + 1);
        let (found, _) = lines(&[&long[..], b"\0good\n", b"\0", &long, b"\n"].concat(), CHUNK);
        assert_eq!((found[0].0.as_slice(), found[1].0.as_slice()), (&b"good"[..], &b""[..]));
    }
}
