//! Files known to a session of reading logs, with their state between readings.
//!
//! Used by `log_scheduler`. Logs stay open if there are few enough of them; the others are closed and
//! remembered.

use super::open_log::{IdleLog, OpenLog};
use crate::source::Scan;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Maximum number of logs kept open between readings. The same number may be read, or wait to be processed.
const MOST_OPEN: usize = 512;
/// The same if few files may be open.
const LEAST_OPEN: usize = 4;
/// First and longest pause before retrying a log that could not be read or stored.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Identity of a file: device and inode.
pub(super) type FileId = (u64, u64);

/// Number of logs that may be kept open, given the process's limit on open files.
fn open_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    files.map_or(MOST_OPEN, |files| (files / 4).clamp(LEAST_OPEN, MOST_OPEN))
}

/// A file that is read, kept, or to be retried.
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) state: FileState,
    /// True if it was given by name, not found in a directory.
    pub(super) named: bool,
    /// Time since when its path refers to another file, or it has another path.
    pub(super) rotated: Option<Instant>,
    /// True if it changed while a thread was reading it.
    pub(super) changed: bool,
    /// Time of the next retry, and number of failures.
    pub(super) retry: Option<(Instant, u32)>,
    /// Time of the last reading.
    pub(super) used: Instant,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, named: bool, changed: bool) -> Self {
        let (state, used) = (FileState::Unknown, Instant::now());
        Self { path, state, named, rotated: None, changed, retry: None, used }
    }
}

/// State of a file.
pub(super) enum FileState {
    /// A thread is reading it or will read it.
    Reading,
    /// It is open between readings.
    Open(Box<OpenLog>),
    /// It is closed between readings.
    Idle(Box<IdleLog>),
    /// No state: it must be opened by its path.
    Unknown,
    /// It is for another command, and ignored.
    Foreign,
}

/// The files of a session, by device and inode.
pub(super) struct Files {
    pub(super) by_id: HashMap<FileId, LogFile>,
    /// Maximum number of logs kept open between readings.
    open_limit: usize,
}

impl Files {
    /// Creates an empty set.
    pub(super) fn new() -> Self {
        Self { by_id: HashMap::new(), open_limit: open_limit() }
    }

    /// Maximum number of logs open between readings; the same number may be read.
    pub(super) fn open_limit(&self) -> usize {
        self.open_limit
    }

    /// Keeps fewer logs open, after the process or the system reached its limit on open files.
    pub(super) fn lower_open_limit(&mut self, scan: &Scan) {
        if self.open_limit > LEAST_OPEN {
            self.open_limit = (self.open_limit / 2).max(LEAST_OPEN);
            self.close_least_used(self.open_limit, scan);
        }
    }

    /// Removes a file without state: it is found again when it changes.
    pub(super) fn forget_unless_changed(&mut self, id: FileId) {
        if self.by_id.get(&id).is_some_and(|file| !file.changed) {
            self.by_id.remove(&id);
        }
    }

    /// Keeps a log that was opened under the name of another file.
    pub(super) fn adopt(&mut self, open: Box<OpenLog>, path: PathBuf, scan: &Scan) {
        let id = open.stat().file();
        if self.by_id.contains_key(&id) {
            // The thread that reads it under its own name continues from there.
            return;
        }
        self.by_id.insert(id, LogFile::new(path, false, false));
        self.keep_open(id, open, scan);
    }

    /// Keeps a log open, and closes the least recently read one if there are too many.
    pub(super) fn keep_open(&mut self, id: FileId, mut open: Box<OpenLog>, scan: &Scan) {
        if let Some(file) = self.by_id.get_mut(&id) {
            if open.path() != file.path {
                open.renamed(&file.path);
            }
            file.state = FileState::Open(open);
        }
        let open = self.by_id.values().filter(|file| matches!(file.state, FileState::Open(_)));
        if open.count() > self.open_limit {
            self.close_least_used(1, scan);
        }
    }

    /// Closes logs that can be found again by their paths, least recently read first.
    fn close_least_used(&mut self, count: usize, scan: &Scan) {
        let mut open: Vec<(Instant, FileId)> = self
            .by_id
            .iter()
            .filter(|(id, file)| {
                matches!(file.state, FileState::Open(_)) && scan.locate(**id).is_some()
            })
            .map(|(&id, file)| (file.used, id))
            .collect();
        open.sort_unstable();
        for (_, id) in open.into_iter().take(count) {
            let state = self.by_id.get_mut(&id).map(|file| &mut file.state);
            if let Some(FileState::Open(open)) =
                state.map(|state| std::mem::replace(state, FileState::Unknown))
                && !self.keep_idle(id, *open)
            {
                self.forget_unless_changed(id);
            }
        }
    }

    /// Closes a log and remembers it; `false` if its file is not known any more.
    pub(super) fn keep_idle(&mut self, id: FileId, open: OpenLog) -> bool {
        let Some(file) = self.by_id.get_mut(&id) else { return false };
        file.state = FileState::Idle(Box::new(open.close()));
        true
    }

    /// Schedules a retry of a file, with a longer pause each time; returns the number of failures.
    pub(super) fn retry_later(&mut self, id: FileId) -> u32 {
        let Some(file) = self.by_id.get_mut(&id) else { return 0 };
        let tries = file.retry.map_or(1, |(_, tries)| tries.saturating_add(1));
        let (first, longest) = RETRY;
        let pause = first.saturating_mul(1 << (tries - 1).min(10)).min(longest);
        file.retry = Some((Instant::now() + pause, tries));
        file.changed = false;
        tries
    }

    /// Marks files as changed whose retry is due, and returns them.
    pub(super) fn take_due(&mut self) -> Vec<FileId> {
        let now = Instant::now();
        let due = |file: &LogFile| file.retry.is_some_and(|(at, _)| at <= now);
        let due = self.by_id.iter_mut().filter(|(_, file)| due(file));
        due.map(|(&id, file)| {
            file.changed = true;
            id
        })
        .collect()
    }
}
