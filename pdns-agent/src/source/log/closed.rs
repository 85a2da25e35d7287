//! A log that was read and closed, to be reopened once it has grown.
//!
//! Under `log`: allows following more logs than a process may have files open.

use super::super::content::{Content, Tail};
use super::super::lines::{Damage, Lines, Unfinished};
use super::super::{LogId, SourceError, Stat};
use super::{Log, Spent, open_file};
use crate::hash::Hasher;
use std::path::Path;
use std::sync::Arc;

/// State needed to continue reading a plain log, without its descriptor and buffers.
pub struct ClosedLog {
    id: LogId,
    stat: Stat,
    head: u64,
    hasher: Hasher,
    /// The first bytes of the file.
    prefix: Vec<u8>,
    /// The last bytes that were read.
    tail: Tail,
    /// Position within the unfinished line.
    line: Unfinished,
    damage: Damage,
    /// The first bytes of the content.
    first: Vec<u8>,
}

impl Log {
    /// Closes a plain log after reading. The bytes of an unfinished line are read again when its end arrives.
    #[must_use]
    pub fn close(self) -> ClosedLog {
        ClosedLog {
            id: self.id,
            stat: self.stat,
            head: self.head,
            prefix: self.content.prefix(),
            tail: self.content.checked(),
            line: self.lines.unfinished(),
            damage: self.damage,
            first: self.first,
            hasher: self.hasher,
        }
    }
}

impl ClosedLog {
    /// Reopens the log at `path` and continues where it was closed.
    ///
    /// # Errors
    /// [`SourceError::Rewritten`] if the path refers to another file, or to one that does not begin with the
    /// bytes that were read; otherwise the same as [`Log::open`].
    pub fn reopen(self, path: &Path) -> Result<Log, SourceError> {
        let rewritten = || SourceError::Rewritten { path: path.to_owned() };
        let (file, stat) = open_file(path)?;
        let offset = self.line.reached();
        if !stat.is_same_file(&self.stat) || stat.size < offset {
            return Err(rewritten());
        }
        let file = Arc::new(file);
        let read = |cause| SourceError::Read { path: path.to_owned(), offset, cause };
        let mut content = Content::at(file, offset, self.prefix, self.tail);
        if !content.is_intact(stat.size).map_err(read)? {
            return Err(rewritten());
        }
        Ok(Log {
            path: path.to_owned(),
            id: self.id,
            stat,
            head: self.head,
            content,
            lines: Lines::within(self.line),
            ahead: false,
            spent: Spent::No,
            damage: self.damage,
            first: self.first,
            hasher: self.hasher,
        })
    }
}
