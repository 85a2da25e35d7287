//! One open log: its identity, and its lines from a position on.
//!
//! Under `source`: the agent opens a log found by [`super::Scan`], resumes at the position that the store
//! keeps for its [`LogId`], and reads in turns.

mod closed;

pub use closed::ClosedLog;

use super::content::Content;
use super::is_utf16;
use super::lines::{Damage, Lines, MARK};
use super::{LogId, SourceError, Stat};
use crate::hash::{Hasher, PrefixDigest};
use memchr::memchr;
use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of remembered bytes at the beginning, used to guess the file type.
const FIRST: usize = 256;
/// Maximum number of bytes that form the identity of a log.
const HEAD_MAX: usize = 64 * 1024;
/// Distance before a position, in bytes, in which lines are skimmed for context that later lines need.
const RECENT: u64 = 256 * 1024;

/// Result of a turn of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is used up; there may be more.
    More,
    /// The end was reached. A plain log may grow and can be read again; a compressed one must be reopened.
    AtEnd,
    /// The file is shorter than what was read of it, or begins differently: it was truncated or rewritten in
    /// place. Nothing read after that was delivered. This [`Log`] can no longer be used; reopen the path.
    Truncated,
}

/// Reason why a log yields nothing more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spent {
    No,
    /// The compressed stream is corrupt from here on.
    Broken,
    Rewritten,
}

/// One open log. It keeps its descriptor, so it reads to the end of a file even after it was renamed or
/// deleted.
pub struct Log {
    path: PathBuf,
    id: LogId,
    stat: Stat,
    /// End of the first record; lines up to there are headers.
    head: u64,
    hasher: Hasher,
    content: Content,
    lines: Lines,
    /// True if the buffer contains lines that were read ahead: they are delivered before the next read,
    /// because that may fail.
    ahead: bool,
    spent: Spent,
    damage: Damage,
    /// The first bytes of the content.
    first: Vec<u8>,
}

/// Result of reading the next chunk.
enum ReadStep {
    /// Number of bytes read; zero at the end.
    Got(usize),
    Rewritten,
}

impl Log {
    /// Opens a log that may still grow; `None` if its first record is not yet complete.
    ///
    /// The first bytes determine the compression, regardless of the name; concatenated members form one log.
    ///
    /// # Errors
    /// If the path is not a regular file or cannot be read, if it is UTF-16, or if a compressed stream is
    /// corrupt or ends before the first record does.
    pub fn open(path: &Path, hasher: &Hasher) -> Result<Option<Self>, SourceError> {
        Self::open_as(path, hasher, false)
    }

    /// Opens a log that no longer grows, so its first record may be a last line without newline; `None` if it
    /// contains no record.
    ///
    /// The identity is the same as [`Log::open`] returns once that newline is written.
    ///
    /// # Errors
    /// Same as [`Log::open`].
    pub fn open_finished(path: &Path, hasher: &Hasher) -> Result<Option<Self>, SourceError> {
        Self::open_as(path, hasher, true)
    }

    fn open_as(path: &Path, hasher: &Hasher, finished: bool) -> Result<Option<Self>, SourceError> {
        let cannot_open = |cause| SourceError::Open { path: path.to_owned(), cause };
        let (file, stat) = open_file(path)?;
        let content = Content::new(Arc::new(file)).map_err(cannot_open)?;
        let mut log = Self {
            path: path.to_owned(),
            id: LogId([0; 16]),
            stat,
            head: 0,
            hasher: hasher.clone(),
            content,
            lines: Lines::new(PrefixDigest::new(hasher)),
            ahead: true,
            spent: Spent::No,
            damage: Damage::default(),
            first: Vec::new(),
        };
        loop {
            if let Some(head) = first_record(log.lines.pending()) {
                let octets = log.lines.pending().get(..head).unwrap_or_default();
                let id = LogId(hasher.identity(octets));
                return Ok(Some(log.known(id, head)));
            }
            match log.lines.fill(&mut log.content, HEAD_MAX) {
                Ok(0) => break,
                Ok(_) => {}
                Err(cause) => return Err(log.failed(cause)),
            }
            if log.content.is_packed_after_all() {
                log.content = Content::new(Arc::clone(log.content.file())).map_err(cannot_open)?;
                log.lines = Lines::new(PrefixDigest::new(hasher));
                continue;
            }
            if is_utf16(log.lines.pending()) {
                return Err(SourceError::Utf16 { path: path.to_owned() });
            }
        }
        // A compressed file with a proper end is complete: an appended member starts a new line.
        let finished = finished || log.content.is_packed();
        let octets = log.lines.pending();
        let tail = octets.rsplit(|&octet| octet == b'\n').next().unwrap_or_default();
        if !finished || !is_record(tail) {
            return Ok(None);
        }
        let head = octets.len();
        let id = LogId(hasher.identity(&[octets, b"\n"].concat()));
        Ok(Some(log.known(id, head)))
    }

    /// Completes opening: the log is `id`, and its first record ends at `head`.
    fn known(mut self, id: LogId, head: usize) -> Self {
        (self.id, self.head) = (id, head as u64);
        let pending = self.lines.pending();
        let first = pending.strip_prefix(MARK).unwrap_or(pending);
        self.first = first.iter().take(FIRST).copied().collect();
        self.content.learned(head);
        self
    }

    /// Identity of the log.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The path it was opened under; by now it may refer to another file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position: the start of the next line, in uncompressed bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// The digest of all bytes before [`Log::offset`].
    #[must_use]
    pub fn digest(&self) -> &PrefixDigest {
        self.lines.digest()
    }

    /// The beginning of the log, unpacked.
    #[must_use]
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// Returns true if bytes were read that no newline ends yet; to be called before [`Log::rest_here`], which forgets them.
    #[must_use]
    pub fn has_unfinished_line(&self) -> bool {
        self.lines.reached() > self.lines.offset()
    }

    /// Sets the path after the open file was renamed.
    pub fn renamed(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// Ends a reading of a plain log: gives memory back that only reading needs. A long unfinished line is forgotten, and
    /// read again from its beginning when its end arrives.
    pub fn rest_here(&mut self) {
        self.content.release();
        // What is unpacked cannot be read again.
        self.lines.release(!self.is_packed());
    }

    /// Returns true if the file is compressed.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.content.is_packed()
    }

    /// The state of the file when it was last read.
    #[must_use]
    pub fn stat(&self) -> Stat {
        self.stat
    }

    /// Lines not delivered completely since the log was opened.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Moves to `offset`, which an earlier run or a reader of another copy of this log had reached.
    ///
    /// Passes every skipped line that begins with `#`, and every line before the first record, to `skim`,
    /// because headers define how to read the following lines and may be repeated within a log. Also passes
    /// the last JSON lines before `offset`, because the following lines may be answers to their queries.
    /// Reading therefore starts at the beginning of the log, whatever its position: the caller may not know
    /// any headers yet.
    ///
    /// # Errors
    /// [`SourceError::Shrank`] if the log ends before `offset`; [`SourceError::Rewritten`] if it is no longer
    /// the same log; and read errors. After an error the position is unchanged or lies before `offset`:
    /// reopen the log.
    pub fn resume(&mut self, offset: u64, skim: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        if self.spent == Spent::Rewritten {
            return Err(SourceError::Rewritten { path: self.path.clone() });
        }
        self.recall();
        if self.lines.offset() > 0 || self.spent == Spent::Broken {
            self.content.rewind();
            self.lines = Lines::new(PrefixDigest::new(&self.hasher));
            self.ahead = false;
            self.spent = Spent::No;
        }
        if offset == 0 {
            return Ok(());
        }
        let head = self.head;
        loop {
            // Do not read beyond the position, so that the digest covers exactly the bytes before it.
            let left = offset.saturating_sub(self.lines.reached());
            let got = match self.step(usize::try_from(left).unwrap_or(usize::MAX))? {
                ReadStep::Got(got) => got,
                ReadStep::Rewritten => {
                    return Err(SourceError::Rewritten { path: self.path.clone() });
                }
            };
            self.lines.drain(offset, &mut |line, end| {
                let is_recent = offset.saturating_sub(end) < RECENT && line.starts_with(b"{");
                if line.starts_with(b"#") || end < head || is_recent {
                    skim(line);
                }
            });
            if self.lines.cut(offset) {
                self.ahead = true;
                return Ok(());
            }
            if got == 0 {
                let len = self.lines.reached();
                return Err(SourceError::Shrank { path: self.path.clone(), len, offset });
            }
        }
    }

    /// Reads about `budget` bytes and delivers the complete lines, each without its newline and with the
    /// position after it. A last line without newline stays unread.
    ///
    /// A line longer than 1 MiB is delivered as an empty one, so that the position advances; [`Log::damage`]
    /// counts it. `budget` bounds the bytes read: one call delivers at most that much plus the bytes read
    /// before, which are less than 2 MiB. Lines delivered before an error are valid.
    ///
    /// # Errors
    /// [`SourceError::Read`], after which reading of a plain log can continue; [`SourceError::Unpack`] if the
    /// stream is corrupt. A compressed log is at its end after either: reopen it to try again.
    pub fn read(
        &mut self,
        budget: usize,
        each: &mut dyn FnMut(&[u8], u64),
    ) -> Result<Progress, SourceError> {
        match self.spent {
            Spent::No => {}
            Spent::Broken => return Ok(Progress::AtEnd),
            Spent::Rewritten => return Ok(Progress::Truncated),
        }
        let mut left = budget.max(1);
        loop {
            let ReadStep::Got(got) = self.step(left)? else { return Ok(Progress::Truncated) };
            if self.lines.needs_recall() {
                // Once for each line, which is at most as long as a line may be.
                self.recall();
                continue;
            }
            self.damage += self.lines.drain(u64::MAX, each);
            if got == 0 {
                return Ok(Progress::AtEnd);
            }
            left = left.saturating_sub(got);
            if left == 0 {
                return Ok(Progress::More);
            }
        }
    }

    /// Reads to the end and delivers the last line even if it lacks a newline; for a log that no longer
    /// grows. If it grows nevertheless, the rest is read as a separate line.
    ///
    /// # Errors
    /// Same as [`Log::read`].
    pub fn rest(&mut self, each: &mut dyn FnMut(&[u8], u64)) -> Result<Progress, SourceError> {
        self.recall();
        loop {
            match self.read(usize::MAX, each)? {
                Progress::More => {}
                Progress::AtEnd => break,
                Progress::Truncated => return Ok(Progress::Truncated),
            }
        }
        self.damage += self.lines.last(each);
        Ok(Progress::AtEnd)
    }

    /// Goes back to the beginning of an unfinished line whose bytes were dropped.
    fn recall(&mut self) {
        let back = self.lines.recall();
        if back > 0 {
            self.content.go_back(back);
        }
    }

    /// Takes the bytes read ahead, or reads the next chunk, and verifies that all pending bytes come from
    /// this log.
    fn step(&mut self, at_most: usize) -> Result<ReadStep, SourceError> {
        let ahead = self.lines.pending().len();
        let read = if std::mem::take(&mut self.ahead) && ahead > 0 {
            Ok(ahead)
        } else {
            self.lines.fill(&mut self.content, at_most)
        };
        // Bytes, or an error, from a file that was being rewritten do not belong to this log.
        if !self.is_intact()? {
            self.spent = Spent::Rewritten;
            self.lines.discard();
            return Ok(ReadStep::Rewritten);
        }
        read.map(ReadStep::Got).map_err(|cause| {
            let error = self.failed(cause);
            if self.is_packed() {
                // A decoder cannot continue after an error, whatever its cause.
                self.spent = Spent::Broken;
                self.lines.discard();
            }
            error
        })
    }

    fn is_intact(&mut self) -> Result<bool, SourceError> {
        let looked = self.content.file().metadata().and_then(|now| {
            self.stat = Stat::from_metadata(&now);
            self.content.is_intact(self.stat.size)
        });
        looked.map_err(|cause| {
            // The bytes await verification; nothing more is read until then.
            self.ahead = true;
            self.failed(cause)
        })
    }

    /// The error for this cause: the system's or the decoder's.
    fn failed(&self, cause: io::Error) -> SourceError {
        let (path, offset) = (self.path.clone(), self.lines.offset());
        if self.is_packed() && cause.raw_os_error().is_none() {
            SourceError::Unpack { path, offset, cause }
        } else {
            SourceError::Read { path, offset, cause }
        }
    }
}

/// Opens a regular file; refuses anything that could block, have side effects or yield different bytes the
/// second time.
fn open_file(path: &Path) -> Result<(File, Stat), SourceError> {
    let cannot_open = |cause| SourceError::Open { path: path.to_owned(), cause };
    let regular = |kind: FileType| {
        if kind.is_file() {
            return Ok(());
        }
        Err(SourceError::NotAFile { path: path.to_owned(), kind: name_of(kind) })
    };
    regular(fs::metadata(path).map_err(cannot_open)?.file_type())?;
    // If a FIFO has just replaced the file, opening it must not wait for a writer.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    regular(metadata.file_type())?;
    Ok((file, Stat::from_metadata(&metadata)))
}

/// Word for a device in [`SourceError::NotAFile`].
pub const DEVICE: &str = "device";

/// Name of the kind of a file that is not a regular file.
pub(super) fn name_of(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "directory",
        _ if kind.is_fifo() => "FIFO",
        _ if kind.is_socket() => "socket",
        _ => DEVICE,
    }
}

/// End of the head that identifies a log, if the head is complete.
fn first_record(octets: &[u8]) -> Option<usize> {
    let head = octets.get(..HEAD_MAX).unwrap_or(octets);
    let mut begin = 0;
    while let Some(length) = head.get(begin..).and_then(|rest| memchr(b'\n', rest)) {
        let newline = begin + length;
        if head.get(begin..newline).is_some_and(is_record) {
            return Some(newline + 1);
        }
        begin = newline + 1;
    }
    (head.len() == HEAD_MAX).then_some(HEAD_MAX)
}

/// Returns true if a line is a record, not a header.
fn is_record(line: &[u8]) -> bool {
    !line.starts_with(b"#") && line.iter().any(u8::is_ascii_digit)
}
