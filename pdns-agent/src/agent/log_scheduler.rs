//! Selection of the logs to read: the main thread of a `log_session`.
//!
//! There is one entry for each file that is read, kept open, or to be retried, identified by device and inode
//! whatever its name. Polling is authoritative, change notifications only shorten the wait.

use super::log_files::{FileId, FileState, Files, LogFile};
use super::log_problems::LogProblems;
use super::log_session::bar;
use super::log_tasks::{FileEnd, Message, NothingFound, Outcome, Readable, Shared, Task};
use super::metrics::Metrics;
use super::open_log::{Failure, is_incomplete};
use super::report::{LACKS_PDNS_LOG, LogReport};
use super::{AgentError, Logs, Settings, Stop, now};
use crate::source::{DEVICE, FoundLog, Scan, SourceError, Wake};
use crate::store::{Retry, Store};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Maximum time between two scans without a change notification.
const POLL: Duration = Duration::from_secs(5);
/// Time for which a renamed log may still be written to.
const GRACE: Duration = Duration::from_secs(5);
/// Maximum delay of our Zeek package's log after the corresponding rows of dns.log.
const LATE: Duration = Duration::from_mins(10);
/// Interval of deleting old checkpoints.
const TIDY: Duration = Duration::from_hours(1);
/// Number of attempts for a log that is read once and rejected by the store.
const TRIES: u32 = 4;

/// State of a session's main thread.
pub(super) struct LogScheduler<'a> {
    settings: &'a Settings,
    logs: &'a Logs,
    stop: &'a Stop,
    scan: Scan,
    shared: &'a Shared,
    metrics: &'a Metrics,
    began: Instant,
    /// True if a log of our Zeek package was found.
    has_pdns_log: bool,
    messages: Receiver<Message>,
    files: Files,
    /// Number of files that threads are reading.
    reading: usize,
    /// Files waiting for a thread: each file that is being read, or was read and not processed yet, is an
    /// open file.
    ready: VecDeque<(FileId, FileEnd)>,
    /// Tasks whose log was being read by another thread: retried when one is done.
    waiting: Vec<Task>,
    /// True if a file was gone when it was to be opened: it may have been renamed.
    moved: bool,
    /// True if a thread is checking the store.
    is_checking: bool,
    problems: LogProblems,
    total: u64,
    bar: ProgressBar,
    read: Arc<AtomicU64>,
}

impl<'a> LogScheduler<'a> {
    /// Starts without any file. `read` counts bytes for the progress bar.
    pub(super) fn new(
        (settings, logs, stop, metrics): (&'a Settings, &'a Logs, &'a Stop, &'a Metrics),
        scan: Scan,
        (shared, messages): (&'a Shared, Receiver<Message>),
        read: Arc<AtomicU64>,
    ) -> Self {
        Self {
            settings,
            logs,
            stop,
            scan,
            shared,
            metrics,
            began: Instant::now(),
            has_pdns_log: false,
            messages,
            files: Files::new(),
            reading: 0,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            moved: false,
            is_checking: false,
            problems: LogProblems::new(logs.format, &logs.inputs),
            total: 0,
            bar: bar(settings.progress),
            read,
        }
    }

    /// Ends the progress bar and adds the counts to the report.
    pub(super) fn finish(&self, report: &mut LogReport) {
        self.bar.finish_and_clear();
        self.problems.finish(&self.scan, report);
        report.has_pdns_log |= self.has_pdns_log;
    }

    /// Schedules logs until stopped, or until the end of the input.
    pub(super) fn run(
        &mut self,
        mut found: Vec<FoundLog>,
        wake: &mut Wake,
        reconnected: &AtomicU64,
    ) -> Result<(), AgentError> {
        let mut tidied: Option<Instant> = None;
        let mut checked = Instant::now();
        let mut connections = 0;
        loop {
            let looked = Instant::now();
            self.report_problems(wake);
            for found in found.drain(..) {
                self.found(found);
            }
            self.retry_due();
            if !self.logs.once {
                self.finish_rotated();
                if tidied.is_none_or(|at| at.elapsed() > TIDY) {
                    self.tidy();
                    tidied = Some(Instant::now());
                }
                if !self.is_checking && checked.elapsed() >= POLL {
                    // If no log grows, nothing else would reveal that the store was replaced.
                    self.is_checking = true;
                    checked = Instant::now();
                    self.shared.check();
                }
            }
            // Wait for tasks to finish and for files to change.
            loop {
                self.take_messages()?;
                self.bar.set_position(self.read.load(Ordering::Relaxed));
                if self.stop.is_stopped() {
                    return Ok(());
                }
                let is_idle = self.reading == 0;
                if !self.ready.is_empty() {
                    let woken = wake.wait(self.settings.flush);
                    tracing::trace!(?woken, "handing out what is ready");
                    continue;
                }
                if !self.logs.once {
                    let woken = wake.wait(if is_idle { POLL } else { self.settings.flush });
                    tracing::trace!(?woken, "looking for changes");
                    self.take_messages()?;
                    break;
                }
                let is_due =
                    |file: &LogFile| file.retry.is_some_and(|(at, _)| at <= Instant::now());
                if is_idle && self.files.by_id.values().any(is_due) {
                    break;
                }
                if is_idle && self.files.by_id.values().all(|file| file.retry.is_none()) {
                    // Redis may have lost earlier data, and a file may have been renamed.
                    let lost = reconnected.load(Ordering::Relaxed) != connections;
                    // Rejected data would be rejected again.
                    let is_rejected = self.metrics.health.conclusion().1.is_some();
                    if is_rejected || (!std::mem::take(&mut self.moved) && !lost) {
                        return Ok(());
                    }
                    break;
                }
                // Process messages, whatever ended the wait.
                let woken = wake.wait(Duration::from_millis(100));
                tracing::trace!(?woken, "looking at what was done");
            }
            // Lines wait a little, so that equal answers become one upsert.
            if !self.logs.once {
                self.stop.sleep(self.settings.flush.saturating_sub(looked.elapsed()));
            }
            let now = reconnected.load(Ordering::Relaxed);
            if now != connections {
                connections = now;
                self.read_all_again();
            }
            found = self.scan.changed();
        }
    }

    /// Processes a file that is new, has changed, or has another path.
    fn found(&mut self, found: FoundLog) {
        self.has_pdns_log |= found.is_pdns_log();
        let id = found.stat.file();
        if let Some(file) = self.files.by_id.get_mut(&id) {
            if file.path != found.path {
                file.rotated = Some(Instant::now());
                if let FileState::Open(open) = &mut file.state {
                    open.renamed(&found.path);
                }
                file.path = found.path;
            }
            file.changed = true;
            file.named |= found.named;
        } else {
            self.total += found.stat.size;
            self.bar.set_length(self.total);
            self.files.by_id.insert(id, LogFile::new(found.path, found.named, true));
        }
        self.read_changed(id);
    }

    /// Queues a changed file, unless a thread is reading it.
    fn read_changed(&mut self, id: FileId) {
        if self.files.by_id.get(&id).is_some_and(|file| file.changed) {
            let end = if self.logs.once { FileEnd::LastLook } else { FileEnd::Growing };
            self.read_file(id, end);
        }
    }

    /// Queues a file until a thread is free.
    fn read_file(&mut self, id: FileId, end: FileEnd) {
        self.ready.push_back((id, end));
        self.hand_out();
    }

    /// Assigns files to threads, as many as may be open.
    fn hand_out(&mut self) {
        while self.reading < self.files.open_limit()
            && let Some((id, end)) = self.ready.pop_front()
        {
            self.hand_over(id, end);
        }
    }

    /// Assigns a file to a thread, unless one is reading it.
    fn hand_over(&mut self, id: FileId, end: FileEnd) {
        let Some(file) = self.files.by_id.get_mut(&id) else { return };
        let log = match std::mem::replace(&mut file.state, FileState::Reading) {
            kept @ (FileState::Reading | FileState::Foreign) => {
                file.state = kept;
                return;
            }
            FileState::Open(open) => Readable::Open(open),
            FileState::Idle(idle) => Readable::Idle(idle),
            FileState::Unknown => Readable::Unknown,
        };
        file.changed = false;
        file.used = Instant::now();
        self.reading += 1;
        self.shared.read(Task { file: id, path: file.path.clone(), log, end });
    }

    /// Queues files whose retry is due.
    fn retry_due(&mut self) {
        for id in self.files.take_due() {
            self.read_changed(id);
        }
    }

    /// Reads the rest of a log that was renamed or removed, then closes it.
    fn finish_rotated(&mut self) {
        let mut rotated = Vec::new();
        for (&id, file) in &mut self.files.by_id {
            let is_gone = self.scan.locate(id).is_none();
            match file.state {
                FileState::Open(_) if is_gone => {
                    let since = *file.rotated.get_or_insert_with(Instant::now);
                    let is_over = since.elapsed() > GRACE;
                    rotated.push((id, if is_over { FileEnd::Rotated } else { FileEnd::Growing }));
                }
                FileState::Open(_) | FileState::Idle(_)
                    if file.rotated.is_some_and(|since| since.elapsed() > GRACE) =>
                {
                    file.rotated = None;
                    rotated.push((id, FileEnd::Rotated));
                }
                // Nothing is left to read.
                FileState::Idle(_) | FileState::Unknown | FileState::Foreign if is_gone => {
                    file.retry = None;
                    file.rotated = Some(Instant::now());
                }
                _ => {}
            }
        }
        let (scan, health) = (&self.scan, &self.metrics.health);
        self.files.by_id.retain(|&id, file| {
            let is_kept = matches!(file.state, FileState::Open(_) | FileState::Reading)
                || scan.locate(id).is_some();
            if !is_kept {
                health.forget(&file.path.display().to_string());
            }
            is_kept
        });
        for (id, end) in rotated {
            self.read_file(id, end);
        }
    }

    /// After a reconnect: Redis may have come back without its latest data, so every log is compared with the
    /// stored position.
    fn read_all_again(&mut self) {
        self.scan.forget();
    }

    fn take_messages(&mut self) -> Result<(), AgentError> {
        let mut is_any_done = false;
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Checked(result) => {
                    self.is_checking = false;
                    if let Err(error) = result
                        && matches!(error.retry(), Retry::Never | Retry::Reopen)
                    {
                        return Err(AgentError::Store(error));
                    }
                }
                Message::Read { file, path, outcome: Outcome::Busy(log) } => {
                    let end = if self.logs.once { FileEnd::LastLook } else { FileEnd::Growing };
                    self.waiting.push(Task { file, path, log, end });
                }
                Message::Read { file, path, outcome } => {
                    is_any_done = true;
                    self.reading -= 1;
                    self.done(file, path, outcome)?;
                    self.read_changed(file);
                }
            }
        }
        if is_any_done || self.reading <= self.waiting.len() {
            for task in std::mem::take(&mut self.waiting) {
                self.shared.read(task);
            }
        }
        self.hand_out();
        Ok(())
    }

    /// Keeps the state of a file that a thread has finished.
    fn done(&mut self, id: FileId, path: PathBuf, outcome: Outcome) -> Result<(), AgentError> {
        let Some(file) = self.files.by_id.get_mut(&id) else { return Ok(()) };
        file.state = FileState::Unknown;
        match outcome {
            Outcome::Failed(failure) => return self.failed(id, &path, failure),
            Outcome::Rewritten => file.changed = true,
            Outcome::Foreign(found) => {
                let named = file.named;
                file.state = FileState::Foreign;
                self.problems.foreign(&path, found, named);
            }
            Outcome::Open(open) | Outcome::Ended(open) if open.stat().file() != id => {
                // It was renamed before it was opened, and another file has its name.
                self.moved = true;
                self.scan.forget();
                self.files.by_id.remove(&id);
                if !self.logs.once {
                    self.files.adopt(open, path, &self.scan);
                }
            }
            Outcome::Open(open) => {
                file.retry = None;
                self.problems.passed(&path);
                self.problems.taken(&path, open.has_taken());
                self.files.keep_open(id, open, &self.scan);
            }
            Outcome::Ended(open) => {
                file.retry = None;
                self.problems.passed(&path);
                self.problems.taken(&path, open.has_taken());
                if self.logs.once || !open.may_grow() || !self.files.keep_idle(id, *open) {
                    self.files.forget_unless_changed(id);
                }
            }
            outcome @ (Outcome::Unchanged | Outcome::Empty | Outcome::Busy(_)) => {
                file.retry = None;
                self.problems.passed(&path);
                self.problems.taken(&path, matches!(outcome, Outcome::Unchanged));
                self.files.forget_unless_changed(id);
            }
        }
        Ok(())
    }

    /// Handles a file that could not be read or stored.
    fn failed(&mut self, id: FileId, path: &Path, failure: Failure) -> Result<(), AgentError> {
        match failure {
            Failure::Source(SourceError::Open { cause, .. })
                if cause.kind() == ErrorKind::NotFound =>
            {
                tracing::debug!(path = %path.display(), "gone before it was opened");
                self.moved = true;
                self.files.by_id.remove(&id);
            }
            Failure::Source(SourceError::NotAFile { kind: DEVICE, .. }) if self.logs.once => {
                // Such as /dev/null.
                let is_named = self.files.by_id.remove(&id).is_some_and(|file| file.named);
                self.problems.foreign(path, NothingFound::default(), is_named);
            }
            Failure::Source(error) if is_incomplete(&error) && !self.logs.once => {
                tracing::debug!(path = %path.display(), "still being written");
                self.files.forget_unless_changed(id);
            }
            Failure::Source(error) => {
                self.problems.failed(path);
                self.problems.warn(&error);
                let may_pass = matches!(
                    error,
                    SourceError::Open { .. }
                        | SourceError::Read { .. }
                        | SourceError::NotAFile { .. }
                );
                if is_out_of_files(&error) {
                    self.files.lower_open_limit(&self.scan);
                }
                if self.logs.once || !may_pass {
                    self.files.by_id.remove(&id);
                } else {
                    // Its mode, or the file system, may change without the file changing.
                    self.files.retry_later(id);
                }
            }
            Failure::Store(error) => match error.retry() {
                Retry::Never | Retry::Reopen => return Err(AgentError::Store(error)),
                Retry::Wait | Retry::Reload if self.stop.is_stopped() => tracing::warn!(
                    path = %path.display(),
                    "stopped while waiting for the store, what was not written is read again next time"
                ),
                // The writer has reported it. Other logs continue, and this one stays unread.
                Retry::Wait | Retry::Reload => {
                    if self.files.retry_later(id) >= TRIES && self.logs.once {
                        self.problems.failed(path);
                        self.files.by_id.remove(&id);
                    }
                }
            },
        }
        Ok(())
    }

    fn report_problems(&mut self, wake: &mut Wake) {
        self.problems.scanned(&self.scan, self.logs.once);
        if self.logs.once {
            return;
        }
        let is_late = !self.has_pdns_log && self.began.elapsed() > LATE;
        if is_late && self.metrics.in_pdns_log() > 0 {
            self.problems.warn_once(LACKS_PDNS_LOG);
        }
        if let Some(error) = wake.watch(&self.scan.watch_dirs()) {
            self.problems.warn(&error);
        }
    }

    /// Deletes checkpoints of logs that ended long ago; does nothing if the store is unavailable.
    fn tidy(&self) {
        let tidied =
            Store::open(&self.settings.store).and_then(|mut store| store.writer().tidy(now()));
        match tidied {
            Ok(0) => {}
            Ok(deleted) => tracing::debug!(deleted, "old checkpoints deleted"),
            Err(error) => tracing::debug!(%error, "old checkpoints not deleted"),
        }
    }
}

/// Returns true if the process or the system has too many open files.
fn is_out_of_files(error: &SourceError) -> bool {
    matches!(error, SourceError::Open { cause, .. }
        if matches!(io::Error::raw_os_error(cause), Some(libc::EMFILE | libc::ENFILE)))
}
