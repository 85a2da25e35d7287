//! A log that was read and then closed, to be opened again when it has grown.
//!
//! Under `log`: more logs can be followed than a process may have files open.

use super::super::content::Content;
use super::super::lines::{Damage, Lines};
use super::super::{LogId, SourceError, Stat};
use super::{Log, Spent, open_file};
use crate::hash::{Hasher, PrefixDigest};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// Bytes before the position that are compared when the log is opened again.
const TAIL: u64 = 1024;

/// All that is needed to read on in a plain log, without its descriptor and buffers.
pub struct ClosedLog {
    id: LogId,
    stat: Stat,
    head: u64,
    hasher: Hasher,
    /// The first bytes of the file.
    prefix: Vec<u8>,
    /// The last bytes before the position.
    tail: Vec<u8>,
    digest: PrefixDigest,
    damage: Damage,
    /// The first bytes of what it holds.
    first: Vec<u8>,
}

impl Log {
    /// Closes a plain log whose lines were read. What was read of an unfinished line is read again later.
    ///
    /// # Errors
    /// [`SourceError::Read`] when the bytes before the position cannot be read.
    pub fn close(self) -> Result<ClosedLog, SourceError> {
        let digest = self.lines.digest().clone();
        let tail =
            tail(self.content.file(), digest.length()).map_err(|cause| self.failed(cause))?;
        Ok(ClosedLog {
            id: self.id,
            stat: self.stat,
            head: self.head,
            prefix: self.content.prefix(),
            tail,
            digest,
            damage: self.damage,
            first: self.first,
            hasher: self.hasher,
        })
    }
}

impl ClosedLog {
    /// Opens the log at `path` again and goes on where it was closed.
    ///
    /// # Errors
    /// [`SourceError::Rewritten`] when the path names another file, or one that does not begin with what was read;
    /// and as [`Log::open`].
    pub fn reopen(self, path: &Path) -> Result<Log, SourceError> {
        let rewritten = || SourceError::Rewritten { path: path.to_owned() };
        let (file, stat) = open_file(path)?;
        let offset = self.digest.length();
        if !stat.is_same_file(&self.stat) || stat.size < offset {
            return Err(rewritten());
        }
        let file = Arc::new(file);
        let read = |cause| SourceError::Read { path: path.to_owned(), offset, cause };
        if tail(&file, offset).map_err(read)? != self.tail {
            return Err(rewritten());
        }
        let mut content = Content::at(file, offset, self.prefix);
        if !content.is_intact(stat.size).map_err(read)? {
            return Err(rewritten());
        }
        Ok(Log {
            path: path.to_owned(),
            id: self.id,
            stat,
            head: self.head,
            content,
            lines: Lines::new(self.digest),
            ahead: false,
            spent: Spent::No,
            damage: self.damage,
            first: self.first,
            hasher: self.hasher,
            tail: self.tail,
        })
    }
}

/// The last bytes of a file before `offset`.
pub(super) fn tail(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let length = offset.min(TAIL);
    let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
    match file.read_exact_at(&mut tail, offset - length) {
        Ok(()) => Ok(tail),
        // Shorter than it was: equal to nothing that was read.
        Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
