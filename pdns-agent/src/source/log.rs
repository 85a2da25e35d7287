//! One open log: which it is, and its lines from a position on.
//!
//! Under `source`: the agent opens what [`super::Scan`] found, resumes at the position that the store
//! holds for its [`LogId`], and reads in turns.

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

/// Bytes that are remembered of the beginning, to tell what kind of file it is.
const FIRST: usize = 256;
/// Most octets that a log's identity is made of.
const HEAD_MAX: usize = 64 * 1024;
/// How far before a position lines are skimmed for what belongs to those behind it, in octets.
const RECENT: u64 = 256 * 1024;

/// How a turn of reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is used up; there may be more.
    More,
    /// There was no more. A plain log may grow and can be read again; a compressed one has to be opened again.
    AtEnd,
    /// The file is shorter than what was read of it, or begins otherwise: it was cut or rewritten in
    /// place. Nothing read after that went out. This [`Log`] is of no more use; open the path anew.
    Truncated,
}

/// Why nothing more comes out of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spent {
    No,
    /// The compressed stream is broken from here on.
    Broken,
    Rewritten,
}

/// One open log. It keeps its descriptor, and so reads on to the end of a file that was renamed or
/// removed.
pub struct Log {
    path: PathBuf,
    id: LogId,
    stat: Stat,
    /// Where the first record ends: until there, lines are headers.
    head: u64,
    hasher: Hasher,
    content: Content,
    lines: Lines,
    /// There are lines in the buffer that were read ahead: they go out before more is read, since the
    /// next read may end in an error.
    ahead: bool,
    spent: Spent,
    damage: Damage,
    /// The first bytes of what it holds.
    first: Vec<u8>,
    /// The last bytes before the position, while nothing is read.
    tail: Vec<u8>,
}

/// What became of a read of the next chunk.
enum Step {
    /// So many octets more, none at the end.
    Got(usize),
    Rewritten,
}

impl Log {
    /// Opens a log that may still grow; `None` if its first record is not yet complete.
    ///
    /// Compression is told by the first bytes, whatever the name; members that follow each other are one log.
    ///
    /// # Errors
    /// When the path names no regular file or cannot be read, when it is UTF-16, and when a compressed stream breaks or ends
    /// before the first record does.
    pub fn open(path: &Path, hasher: &Hasher) -> Result<Option<Self>, SourceError> {
        Self::open_as(path, hasher, false)
    }

    /// Opens a log that will not grow any more, so that its first record may be a last line without
    /// newline; `None` if it holds no record at all.
    ///
    /// The identity is the one that [`Log::open`] finds once that newline is there.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_finished(path: &Path, hasher: &Hasher) -> Result<Option<Self>, SourceError> {
        Self::open_as(path, hasher, true)
    }

    fn open_as(path: &Path, hasher: &Hasher, finished: bool) -> Result<Option<Self>, SourceError> {
        let cannot_open = |cause| SourceError::Open { path: path.to_owned(), cause };
        let (file, stat) = open_file(path)?;
        let content = Content::new(Arc::new(file)).map_err(cannot_open)?;
        // A compressed file that ends as it should is finished: whoever adds a member starts a line with it.
        let finished = finished || content.is_packed();
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
            tail: Vec::new(),
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
            if is_utf16(log.lines.pending()) {
                return Err(SourceError::Utf16 { path: path.to_owned() });
            }
        }
        let octets = log.lines.pending();
        let tail = octets.rsplit(|&octet| octet == b'\n').next().unwrap_or_default();
        if !finished || !is_record(tail) {
            return Ok(None);
        }
        let head = octets.len();
        let id = LogId(hasher.identity(&[octets, b"\n"].concat()));
        Ok(Some(log.known(id, head)))
    }

    /// Opening ends: the log is `id`, and its first record ends at `head`.
    fn known(mut self, id: LogId, head: usize) -> Self {
        (self.id, self.head) = (id, head as u64);
        let pending = self.lines.pending();
        let first = pending.strip_prefix(MARK).unwrap_or(pending);
        self.first = first.iter().take(FIRST).copied().collect();
        self.content.learned(head);
        self
    }

    /// What the log is known by.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The path it was opened under, which may name another file by now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position: where the next line begins, in uncompressed octets.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// The digest of all bytes before [`Log::offset`].
    #[must_use]
    pub fn digest(&self) -> &PrefixDigest {
        self.lines.digest()
    }

    /// What the log begins with, unpacked.
    #[must_use]
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// Whether bytes were read that no newline ends yet; to be asked before [`Log::rest_here`], which forgets them.
    #[must_use]
    pub fn has_unfinished_line(&self) -> bool {
        self.lines.reached() > self.lines.offset()
    }

    /// Says that the path of the open file is another one by now.
    pub fn renamed(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// Ends a reading of a plain log: gives memory back that only reading needs, and remembers the last bytes. A long
    /// unfinished line is forgotten and read again from its beginning when the log has grown.
    ///
    /// # Errors
    /// [`SourceError::Read`] when these cannot be read.
    pub fn rest_here(&mut self) -> Result<(), SourceError> {
        self.content.release();
        // What is unpacked cannot be read again.
        let forgotten = self.lines.release(!self.is_packed());
        if !self.is_packed() {
            self.content.go_back(forgotten);
            self.tail = closed::tail(self.content.file(), self.lines.offset())
                .map_err(|cause| self.failed(cause))?;
        }
        Ok(())
    }

    /// Whether a plain log still has the bytes before the position that it had at [`Log::rest_here`]: one that was cut
    /// and has grown again, or was written over, has others.
    ///
    /// # Errors
    /// [`SourceError::Read`] when they cannot be read.
    pub fn is_as_it_was(&self) -> Result<bool, SourceError> {
        if self.is_packed() {
            return Ok(true);
        }
        let tail = closed::tail(self.content.file(), self.lines.offset());
        Ok(tail.map_err(|cause| self.failed(cause))? == self.tail)
    }

    /// Whether the file is compressed.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.content.is_packed()
    }

    /// The state of the file when it was last read.
    #[must_use]
    pub fn stat(&self) -> Stat {
        self.stat
    }

    /// Lines that could not be handed out whole, since the log was opened.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Moves to `offset`, to where an earlier run or another copy of this log was read.
    ///
    /// Every line passed over that begins with `#`, and every line before the first record, goes to
    /// `skim`, since headers say how to read what follows and may repeat within a log. So do the last lines of JSON
    /// before `offset`, since what follows may be the answers to what they ask. So it reads from
    /// the start, wherever the log stands: who skims may know none of the headers yet.
    ///
    /// # Errors
    /// [`SourceError::Shrank`] when the log ends before `offset`; [`SourceError::Rewritten`] when it is
    /// no longer that log; and as reading. After an error the position is where it was or before
    /// `offset`: open the log anew.
    pub fn resume(&mut self, offset: u64, skim: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        if self.spent == Spent::Rewritten {
            return Err(SourceError::Rewritten { path: self.path.clone() });
        }
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
            // Not beyond the position, so that the digest is of what lies before it.
            let left = offset.saturating_sub(self.lines.reached());
            let got = match self.step(usize::try_from(left).unwrap_or(usize::MAX))? {
                Step::Got(got) => got,
                Step::Rewritten => {
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

    /// Reads about `budget` octets and hands out the lines that are complete by then, each without its
    /// newline and with the position just behind that. A last line without newline stays unread.
    ///
    /// A line above 1 MiB goes out as an empty one, so that the position moves on; [`Log::damage`]
    /// counts it. `budget` bounds the octets read: one call hands out at most that much and
    /// what was read before, which is less than 2 MiB. Lines handed out before an error are good.
    ///
    /// # Errors
    /// [`SourceError::Read`], after which a plain log can be read on; [`SourceError::Unpack`] when the
    /// stream breaks. A compressed log is at its end after either: to try again, open it anew.
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
            let Step::Got(got) = self.step(left)? else { return Ok(Progress::Truncated) };
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

    /// Reads to the end and hands out the last line even if no newline ends it; for a log that will
    /// not grow any more. Should it grow after all, what follows is read as a line of its own.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn rest(&mut self, each: &mut dyn FnMut(&[u8], u64)) -> Result<Progress, SourceError> {
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

    /// Takes what was read ahead, or reads the next chunk; and proves that all that is pending comes
    /// from this log.
    fn step(&mut self, at_most: usize) -> Result<Step, SourceError> {
        let ahead = self.lines.pending().len();
        let read = if std::mem::take(&mut self.ahead) && ahead > 0 {
            Ok(ahead)
        } else {
            self.lines.fill(&mut self.content, at_most)
        };
        // Whatever a file gave while it was being rewritten, an error too, is not this log's.
        if !self.is_intact()? {
            self.spent = Spent::Rewritten;
            self.lines.discard();
            return Ok(Step::Rewritten);
        }
        read.map(Step::Got).map_err(|cause| {
            let error = self.failed(cause);
            if self.is_packed() {
                // A decoder cannot go on after an error, whosever it was.
                self.spent = Spent::Broken;
                self.lines.discard();
            }
            error
        })
    }

    fn is_intact(&mut self) -> Result<bool, SourceError> {
        let looked = self.content.file().metadata().and_then(|now| {
            self.stat = Stat::of(&now);
            self.content.is_intact(self.stat.size)
        });
        looked.map_err(|cause| {
            // What was read waits for its proof; nothing more is read until then.
            self.ahead = true;
            self.failed(cause)
        })
    }

    /// The error for this cause: the system's, or else the decoder's.
    fn failed(&self, cause: io::Error) -> SourceError {
        let (path, offset) = (self.path.clone(), self.lines.offset());
        if self.is_packed() && cause.raw_os_error().is_none() {
            SourceError::Unpack { path, offset, cause }
        } else {
            SourceError::Read { path, offset, cause }
        }
    }
}

/// Opens a regular file, and nothing that could block, act or give other octets the second time.
fn open_file(path: &Path) -> Result<(File, Stat), SourceError> {
    let cannot_open = |cause| SourceError::Open { path: path.to_owned(), cause };
    let regular = |kind: FileType| {
        if kind.is_file() {
            return Ok(());
        }
        Err(SourceError::NotAFile { path: path.to_owned(), kind: name_of(kind) })
    };
    regular(fs::metadata(path).map_err(cannot_open)?.file_type())?;
    // Should a FIFO have taken its place just now, opening it must not wait for a writer.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    regular(metadata.file_type())?;
    Ok((file, Stat::of(&metadata)))
}

/// The word for a device in [`SourceError::NotAFile`].
pub const DEVICE: &str = "device";

/// What a path names when it is no regular file.
pub(super) fn name_of(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_dir() => "directory",
        _ if kind.is_fifo() => "FIFO",
        _ if kind.is_socket() => "socket",
        _ => DEVICE,
    }
}

/// Where the head ends that identifies a log, if it is all there.
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

/// Whether a line is the first record and no header.
fn is_record(line: &[u8]) -> bool {
    !line.starts_with(b"#") && line.iter().any(u8::is_ascii_digit)
}
