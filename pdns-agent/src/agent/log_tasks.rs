//! What `log_scheduler` and the threads of `log_reader` say to each other: tasks, and what came of them.

use super::copies::FirstPaths;
use super::open_log::{Failure, IdleLog, OpenLog};
use crate::source::{LogId, SourceError, Waker};
use crate::store::StoreError;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

/// Work for one thread.
pub(super) struct Task {
    /// Which file it is, by device and inode: what the outcome is reported under.
    pub(super) file: (u64, u64),
    pub(super) path: PathBuf,
    pub(super) log: Readable,
    pub(super) end: End,
}

/// What there is of a log to be read.
pub(super) enum Readable {
    /// Nothing but its path.
    Unknown,
    /// It was read before and is closed.
    Idle(Box<IdleLog>),
    /// It was read before and is open.
    Open(Box<OpenLog>),
}

/// What the end of a file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is where the log is at the moment.
    Growing,
    /// The log was renamed or removed some time ago: it is its end.
    Rotated,
    /// There is no later reading in this run. Whether the log grows is not known.
    LastLook,
}

/// How a reading ended.
pub(super) enum Outcome {
    /// The log was read to its present end and may grow.
    Open(Box<OpenLog>),
    /// It was read to its end and is not expected to grow.
    Ended(Box<OpenLog>),
    /// It had nothing new: it was read to its end before, or is a shorter copy.
    Unchanged,
    /// It has no first record yet, which may come.
    Empty,
    /// Nothing was found in it that this command reads; the command that does, if that is known.
    Foreign(Option<&'static str>),
    /// Another thread has this log.
    Busy(Readable),
    /// The file is another log now.
    Rewritten,
    /// It could not be read on, or what was read could not be stored.
    Failed(Failure),
}

impl Outcome {
    /// A file that was rewritten while it was read is no failure: it is opened anew.
    pub(super) fn failed(failure: impl Into<Failure>) -> Self {
        match failure.into() {
            Failure::Source(SourceError::Rewritten { .. }) => Self::Rewritten,
            failure => Self::Failed(failure),
        }
    }
}

/// What a thread reports to the scheduler.
pub(super) enum Message {
    /// A task is done.
    Read { file: (u64, u64), path: PathBuf, outcome: Outcome },
    /// The store was looked for.
    Checked(Result<(), StoreError>),
}

/// An entry of the queue.
pub(super) enum Job {
    Read(Box<Task>),
    /// See whether the store is there, and the same.
    Check,
}

/// What the threads share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    /// Logs that were read, and how often; and whether a thread has them now.
    logs: Mutex<HashMap<LogId, (u64, bool)>>,
    /// Where each log was met first.
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

    /// Has the threads end after what they do now.
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

    /// Makes a log this thread's own, unless another one has it.
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

/// A log that one thread reads, until dropped.
pub(super) struct Claim<'a> {
    shared: &'a Shared,
    id: LogId,
    /// How often it was read, this reading included.
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
