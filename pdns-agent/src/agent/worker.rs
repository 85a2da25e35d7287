//! A thread of a session: takes logs to read, one after the other, and tells what came of each.
//!
//! Between `follow`, which says what there is to do, and `pass`, which does it. A log is worked on by one
//! thread at a time: that it lies there twice, under other names or compressed, is seen when its identity is
//! known, and then the second one waits.

use super::pass::{Failure, Job, Opened, Passed, Reader};
use super::report::LogReport;
use crate::source::{LogId, SourceError, Waker};
use crate::store::StoreError;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, PoisonError};

/// Work for one thread.
pub(super) enum Task {
    /// Open a file. `finished`: it will not grow.
    Open { path: PathBuf, finished: bool },
    /// Go on with a log that is open. `last`: it will not grow. `reload`: the store may have it elsewhere than
    /// when it was loaded.
    Go { job: Box<Job>, last: bool, reload: bool },
    /// See whether the store is there, and the same.
    Check,
}

/// What came of it.
pub(super) enum Outcome {
    Kept(Box<Job>),
    Done(PathBuf),
    /// Another thread has this log: try again when it is done.
    Busy(Task),
    /// The file is another log now.
    Rewritten(PathBuf),
    /// The store was looked for.
    Checked(Result<(), StoreError>),
    Failed(PathBuf, Failure),
}

/// Tasks for the threads.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<(VecDeque<Task>, bool)>,
    ready: Condvar,
}

impl Queue {
    pub(super) fn push(&self, task: Task) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(task);
        self.ready.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.ready.notify_all();
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.1 {
                return None;
            }
            if let Some(task) = state.0.pop_front() {
                return Some(task);
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    /// Logs that a thread works on.
    busy: Mutex<HashSet<LogId>>,
    /// Wakes the session's main thread.
    waker: Waker,
}

impl Shared {
    pub(super) fn new(waker: Waker) -> Self {
        Self { queue: Queue::default(), busy: Mutex::default(), waker }
    }

    /// Makes a log this thread's own, unless another one has it.
    fn claim(&self, id: LogId) -> Option<Claim<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(id).then(|| Claim { shared: self, id })
    }
}

/// A log that one thread works on, until dropped.
struct Claim<'a> {
    shared: &'a Shared,
    id: LogId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// A thread's life: one task after the other.
pub(super) fn work(mut reader: Reader, shared: &Shared, outbox: &Sender<Outcome>) -> LogReport {
    while let Some(task) = shared.queue.next() {
        let outcome = perform(&mut reader, shared, task);
        if outbox.send(outcome).is_err() {
            break;
        }
        shared.waker.wake();
    }
    reader.report
}

fn perform(reader: &mut Reader, shared: &Shared, task: Task) -> Outcome {
    match task {
        Task::Check => Outcome::Checked(reader.check()),
        Task::Open { path, finished } => {
            let log = match reader.open(&path, finished) {
                Ok(Some(log)) => log,
                Ok(None) => return Outcome::Done(path),
                Err(error) => return failed(path, error.into()),
            };
            let Some(_claim) = shared.claim(log.id()) else {
                return Outcome::Busy(Task::Open { path, finished });
            };
            let opened = reader.take(log, &path);
            work_on(reader, opened, path, finished)
        }
        Task::Go { job, last, reload } => {
            let Some(_claim) = shared.claim(job.id()) else {
                return Outcome::Busy(Task::Go { job, last, reload: true });
            };
            let path = job.path().to_owned();
            let opened = if reload || reader.is_outdated(&job) {
                reader.reload(*job)
            } else {
                Ok(Opened::Ready(job))
            };
            work_on(reader, opened, path, last)
        }
    }
}

/// Reads a log that this thread has claimed to its present end.
fn work_on(
    reader: &mut Reader,
    mut opened: Result<Opened, Failure>,
    path: PathBuf,
    last: bool,
) -> Outcome {
    loop {
        let job = match opened {
            Ok(Opened::Ready(job)) => job,
            Ok(Opened::Unchanged) => {
                reader.report.unchanged += 1;
                return Outcome::Done(path);
            }
            Err(failure) => return failed(path, failure),
        };
        match reader.pass(job, last) {
            Ok(Passed::Open(job)) => return Outcome::Kept(job),
            Ok(Passed::Ended) => return Outcome::Done(path),
            Ok(Passed::Rewritten) => return Outcome::Rewritten(path),
            Err((Failure::Store(StoreError::Conflict), Some(stale))) => {
                tracing::warn!(path = %path.display(), "another agent reads this log, or Redis lost data; reading it again");
                opened = reader.reload(*stale);
            }
            Err((failure, _)) => return failed(path, failure),
        }
    }
}

/// A file that was rewritten while it was read is no failure: it is opened anew.
fn failed(path: PathBuf, failure: Failure) -> Outcome {
    match failure {
        Failure::Source(SourceError::Rewritten { .. }) => Outcome::Rewritten(path),
        failure => Outcome::Failed(path, failure),
    }
}
