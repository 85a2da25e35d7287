//! Messages between `log_scheduler` and the threads of `log_reader`: tasks and their outcomes.

use super::copies::FirstPaths;
use super::open_log::{Failure, IdleLog, OpenLog};
use crate::decode::Rejection;
use crate::source::{LogId, SourceError, Waker};
use crate::store::StoreError;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

/// Work for one thread.
pub(super) struct Task {
    /// Device and inode of the file, under which the outcome is reported.
    pub(super) file: (u64, u64),
    pub(super) path: PathBuf,
    pub(super) log: Readable,
    pub(super) end: FileEnd,
}

/// A log to read, with its available state.
pub(super) enum Readable {
    /// Only its path is known.
    Unknown,
    /// It was read before and is closed.
    Idle(Box<IdleLog>),
    /// It was read before and is open.
    Open(Box<OpenLog>),
}

/// Meaning of the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileEnd {
    /// The current end of a growing log.
    Growing,
    /// The final end: the log was renamed or removed some time ago.
    Rotated,
    /// This run reads it for the last time. It is unknown whether the log still grows.
    LastLook,
}

/// Reason why nothing was found in a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NothingFound {
    /// The command that reads it, if it is known and another one.
    pub(super) command: Option<&'static str>,
    /// Number of lines that were rejected, and the reason for most of them.
    pub(super) rejected: Option<(u64, Rejection)>,
}

/// Outcome of a reading.
pub(super) enum Outcome {
    /// The log was read to its current end and may grow.
    Open(Box<OpenLog>),
    /// It was read to its end and is not expected to grow.
    Ended(Box<OpenLog>),
    /// It contained nothing new: it was read to its end before, or is a shorter copy.
    Unchanged,
    /// It has no complete first record yet.
    Empty,
    /// It contains nothing for this command.
    Foreign(NothingFound),
    /// Another thread is reading this log.
    Busy(Readable),
    /// The file is a different log now.
    Rewritten,
    /// Reading or storing failed.
    Failed(Failure),
}

impl Outcome {
    /// A file that was rewritten while being read is not a failure: it is reopened.
    pub(super) fn failed(failure: impl Into<Failure>) -> Self {
        match failure.into() {
            Failure::Source(SourceError::Rewritten { .. }) => Self::Rewritten,
            failure => Self::Failed(failure),
        }
    }
}

/// Message from a thread to the scheduler.
pub(super) enum Message {
    /// A task is done.
    Read { file: (u64, u64), path: PathBuf, outcome: Outcome },
    /// The store was checked.
    Checked(Result<(), StoreError>),
}

/// An entry of the queue.
pub(super) enum Job {
    Read(Box<Task>),
    /// Check that the store is available and unchanged.
    Check,
}

/// State shared by the threads.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    /// Logs that were read: number of readings, and whether a thread is reading them now.
    logs: Mutex<HashMap<LogId, (u64, bool)>>,
    /// First path of each log.
    pub(super) paths: FirstPaths,
    /// Wakes the scheduler.
    pub(super) waker: Waker,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl Shared {
    pub(super) fn new(waker: Waker) -> Self {
        let (queue, ready, logs) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { queue, ready, logs, paths: FirstPaths::default(), waker }
    }

    pub(super) fn read(&self, task: Task) {
        self.push(Job::Read(Box::new(task)));
    }

    pub(super) fn check(&self) {
        self.push(Job::Check);
    }

    /// Tells the threads to end after their current task.
    pub(super) fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.ready.notify_all();
    }

    fn push(&self, job: Job) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.ready.notify_one();
    }

    pub(super) fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Claims a log for this thread, unless another one is reading it.
    pub(super) fn claim(&self, id: LogId) -> Option<Claim<'_>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let (turn, is_busy) = logs.entry(id).or_default();
        if std::mem::replace(is_busy, true) {
            return None;
        }
        *turn += 1;
        Some(Claim { shared: self, id, turn: *turn })
    }
}

/// Claim of a log by one thread, until dropped.
pub(super) struct Claim<'a> {
    shared: &'a Shared,
    id: LogId,
    /// Number of times it was read, including this one.
    pub(super) turn: u64,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut logs = self.shared.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, is_busy)) = logs.get_mut(&self.id) {
            *is_busy = false;
        }
    }
}
