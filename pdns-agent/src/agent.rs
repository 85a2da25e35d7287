//! The sensor's work: logs in, store up to date, again and again.
//!
//! Wires the flow together: `source` finds and reads logs, `decode` makes observations of their lines,
//! `aggregate` gathers them in windows, `store` takes the windows. A session lasts as long as the store
//! it writes to; if that is emptied or replaced, the next session begins from nothing, as after a restart.

mod follow;
mod pass;
mod report;
mod worker;
mod writer;

pub use report::Report;

use crate::source::{SourceError, Waker};
use crate::store::{Options, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the agent is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: Options,
    /// Name of this sensor, as it will be shown with records.
    pub sensor: String,
    /// Files, directories and globs.
    pub inputs: Vec<PathBuf>,
    /// Stop at the end of what is there.
    pub once: bool,
    /// Also take multicast DNS, LLMNR and `NetBIOS`.
    pub keep_multicast: bool,
    /// How long lines of a growing log may wait before they go to the store.
    pub flush: Duration,
    /// Octets of memory for windows and what is packed of them, all threads together.
    pub memory: usize,
    /// Threads that read logs, at most.
    pub workers: usize,
    /// Draw a progress bar.
    pub progress: bool,
}

/// Why the agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The store cannot be used.
    #[error("cannot use the store")]
    Store(#[source] StoreError),
    /// An input is wrong.
    #[error("cannot read the logs")]
    Source(#[from] SourceError),
    /// Nothing to read, and nothing to wait for.
    #[error("{}: no such file or directory", .0.display())]
    Missing(PathBuf),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// Tells the agent to stop: from a signal handler's thread, or a test.
#[derive(Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    waker: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl Stop {
    /// Asks for an orderly end: what was read goes to the store first.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
        if let Ok(waker) = self.waker.lock()
            && let Some(waker) = &*waker
        {
            waker.wake();
        }
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Remembers whom to wake.
    fn wakes(&self, waker: Waker) {
        if let Ok(mut slot) = self.waker.lock() {
            *slot = Some(waker);
        }
    }

    /// Sleeps, but not beyond the request to stop; `false` when that came.
    fn sleep(&self, time: Duration) -> bool {
        let step = Duration::from_millis(50);
        let mut left = time;
        while !left.is_zero() && !self.is_stopped() {
            let now = left.min(step);
            std::thread::sleep(now);
            left -= now;
        }
        !self.is_stopped()
    }
}

/// Reads logs into the store until `stop`, or to the end of what is there.
///
/// # Errors
/// [`AgentError`] when the store refuses us or an input is wrong. A store that is away is waited for, unless
/// the agent is to run `once` and never reached it; a line or a file that cannot be read is counted in the
/// report.
pub fn run(settings: &Settings, stop: &Stop) -> Result<Report, AgentError> {
    let mut report = Report::default();
    loop {
        match follow::session(settings, stop, &mut report) {
            Err(AgentError::Store(StoreError::Replaced)) if !stop.is_stopped() => {
                tracing::warn!("the store was emptied or replaced; logs are read again");
                stop.sleep(Duration::from_secs(1));
            }
            Err(AgentError::Store(error)) if stop.is_stopped() && error.is_transient() => {
                tracing::warn!(%error, "stopped while the store was away");
                return Ok(report);
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(report),
        }
    }
}
