//! The files that a session of reading logs knows: what is kept of each between readings.
//!
//! Used by `log_scheduler`. Logs stay open as long as they are few enough, and are closed and remembered otherwise.

use super::open_log::{IdleLog, OpenLog};
use super::report::with_causes;
use crate::source::Scan;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Logs kept open between readings, at most. As many again may be read, or wait to be looked at.
const MOST_OPEN: usize = 512;
/// The same where few files may be open.
const LEAST_OPEN: usize = 4;
/// First and longest pause before a log is tried again that could not be read or stored.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Which file it is: device and inode.
pub(super) type FileId = (u64, u64);

/// How many logs may be kept open, by the limit of the process on open files.
fn open_limit() -> usize {
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

/// The files of a session, by device and inode.
pub(super) struct Files {
    pub(super) by_id: HashMap<FileId, File>,
    /// Logs kept open between readings.
    open_limit: usize,
}

impl Files {
    /// Knows no file yet.
    pub(super) fn new() -> Self {
        Self { by_id: HashMap::new(), open_limit: open_limit() }
    }

    /// Logs that may be open between readings; as many again may be read.
    pub(super) fn open_limit(&self) -> usize {
        self.open_limit
    }

    /// Keeps fewer logs open, where the process or the system has too many files open.
    pub(super) fn lower_open_limit(&mut self, scan: &Scan) {
        if self.open_limit > LEAST_OPEN {
            self.open_limit = (self.open_limit / 2).max(LEAST_OPEN);
            self.close_least_used(self.open_limit, scan);
        }
    }

    /// Forgets a file of which nothing is kept: it is found again when it changes.
    pub(super) fn forget_unless_changed(&mut self, id: FileId) {
        if self.by_id.get(&id).is_some_and(|file| !file.changed) {
            self.by_id.remove(&id);
        }
    }

    /// Keeps a log that was opened under the name of another file.
    pub(super) fn adopt(&mut self, open: Box<OpenLog>, path: PathBuf, scan: &Scan) {
        let id = open.stat().file();
        if self.by_id.contains_key(&id) {
            // What a thread reads of it under its own name goes on from there.
            return;
        }
        self.by_id.insert(id, File::new(path, false, false));
        self.keep_open(id, open, scan);
    }

    /// Keeps a log open, and closes the one that was read least lately if these are too many.
    pub(super) fn keep_open(&mut self, id: FileId, mut open: Box<OpenLog>, scan: &Scan) {
        if let Some(file) = self.by_id.get_mut(&id) {
            if open.path() != file.path {
                open.renamed(&file.path);
            }
            file.state = State::Open(open);
        }
        let open = self.by_id.values().filter(|file| matches!(file.state, State::Open(_)));
        if open.count() > self.open_limit {
            self.close_least_used(1, scan);
        }
    }

    /// Closes logs that can be found again by their paths, those first that were read least lately.
    fn close_least_used(&mut self, count: usize, scan: &Scan) {
        let mut open: Vec<(Instant, FileId)> = self
            .by_id
            .iter()
            .filter(|(id, file)| {
                matches!(file.state, State::Open(_)) && scan.locate(**id).is_some()
            })
            .map(|(&id, file)| (file.used, id))
            .collect();
        open.sort_unstable();
        for (_, id) in open.into_iter().take(count) {
            let state = self.by_id.get_mut(&id).map(|file| &mut file.state);
            if let Some(State::Open(open)) =
                state.map(|state| std::mem::replace(state, State::Unknown))
                && !self.keep_idle(id, *open)
            {
                self.forget_unless_changed(id);
            }
        }
    }

    /// Closes a log and remembers it; `false` when that failed and it has to be read anew.
    pub(super) fn keep_idle(&mut self, id: FileId, open: OpenLog) -> bool {
        match (open.close(), self.by_id.get_mut(&id)) {
            (Ok(idle), Some(file)) => {
                file.state = State::Idle(Box::new(idle));
                true
            }
            (Err(error), _) => {
                tracing::debug!(error = with_causes(&error), "closed, to be read anew");
                false
            }
            (Ok(_), None) => false,
        }
    }

    /// Has a file tried again later, longer each time; how often it failed.
    pub(super) fn retry_later(&mut self, id: FileId) -> u32 {
        let Some(file) = self.by_id.get_mut(&id) else { return 0 };
        let tries = file.retry.map_or(1, |(_, tries)| tries.saturating_add(1));
        let (first, longest) = RETRY;
        let pause = first.saturating_mul(1 << (tries - 1).min(10)).min(longest);
        file.retry = Some((Instant::now() + pause, tries));
        file.changed = false;
        tries
    }

    /// Marks as changed what is to be tried again by now, and gives it.
    pub(super) fn take_due(&mut self) -> Vec<FileId> {
        let now = Instant::now();
        let due = |file: &File| file.retry.is_some_and(|(at, _)| at <= now);
        let due = self.by_id.iter_mut().filter(|(_, file)| due(file));
        due.map(|(&id, file)| {
            file.changed = true;
            id
        })
        .collect()
    }
}
