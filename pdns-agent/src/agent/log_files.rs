//! The files that a session of reading logs knows: what is kept of each between readings.

use super::open_log::{IdleLog, OpenLog};
use std::path::PathBuf;
use std::time::Instant;

/// Logs kept open between readings, at most. As many again may be read, or wait to be looked at.
const MOST_OPEN: usize = 512;
/// The same where few files may be open.
pub(super) const LEAST_OPEN: usize = 4;

/// Which file it is: device and inode.
pub(super) type FileId = (u64, u64);

/// How many logs may be kept open, by the limit of the process on open files.
pub(super) fn open_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    files.map_or(MOST_OPEN, |files| (files / 4).clamp(LEAST_OPEN, MOST_OPEN))
}

/// A file that is read, kept, or to be tried again.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) state: State,
    /// Whether it was named itself, and not found in a directory.
    pub(super) named: bool,
    /// Since when its path names another file, or it has another path.
    pub(super) rotated: Option<Instant>,
    /// Whether it changed while a thread had it.
    pub(super) changed: bool,
    /// When to try again what failed, and how often it did.
    pub(super) retry: Option<(Instant, u32)>,
    /// When it was read last.
    pub(super) used: Instant,
}

impl File {
    pub(super) fn new(path: PathBuf, named: bool, changed: bool) -> Self {
        let (state, used) = (State::Unknown, Instant::now());
        Self { path, state, named, rotated: None, changed, retry: None, used }
    }
}

/// What there is of a file.
pub(super) enum State {
    /// A thread has it or will have it.
    Reading,
    /// It is open between readings.
    Open(Box<OpenLog>),
    /// It is closed between readings.
    Idle(Box<IdleLog>),
    /// Nothing: it has to be opened by its path.
    Unknown,
    /// It is for another command, and left alone.
    Foreign,
}
