//! The time for which a reply of Redis has been pending: tells a server that hangs from one that is unreachable.
//!
//! Run by `store/redis/client.rs`, read by other threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A timer that runs while a connection waits for the server.
#[derive(Debug)]
pub struct ReplyTimer {
    made: Instant,
    /// Milliseconds from `made` to the beginning of the wait, plus one; 0 while no reply is pending.
    since: AtomicU64,
}

impl Default for ReplyTimer {
    fn default() -> Self {
        Self { made: Instant::now(), since: AtomicU64::new(0) }
    }
}

/// Stops the timer when it is dropped.
pub(crate) struct Waiting<'t>(&'t ReplyTimer);

impl ReplyTimer {
    /// Returns the duration of the current wait; `None` while no reply is pending.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.made.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    /// Starts the timer.
    pub(crate) fn start(&self) -> Waiting<'_> {
        let since = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(since + 1, Ordering::Relaxed);
        Waiting(self)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Relaxed);
    }
}
