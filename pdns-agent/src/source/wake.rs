//! Sleeps until there may be more to read.
//!
//! Under `source`. File change notifications of the system only wake the agent early. [`super::Scan`] alone
//! finds the changes, at each poll, so a notification that is lost, late, or never arrives (as on a network
//! file system) costs time but no lines.

use super::{SourceError, Stat};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time during which changes are collected before they wake. Zeek writes many logs in parallel, each in many
/// small pieces: without this, every piece would cause a poll.
const GATHER: Duration = Duration::from_millis(200);

/// Reason why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// Something changed in a watched directory.
    Changed,
    /// [`Waker::wake`] was called.
    Called,
    /// The timeout expired.
    TimedOut,
}

#[derive(Default)]
struct Flags {
    changed: bool,
    called: bool,
}

#[derive(Default)]
struct Signal {
    flags: Mutex<Flags>,
    notified: Condvar,
}

impl Signal {
    fn flags(&self) -> MutexGuard<'_, Flags> {
        // Two booleans cannot be left in an inconsistent state.
        self.flags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a sleep from another thread, such as the signal handler.
#[derive(Clone)]
pub struct Waker(Arc<Signal>);

impl Waker {
    /// Ends the current sleep, or else the next one.
    pub fn wake(&self) {
        self.0.flags().called = true;
        self.0.notified.notify_all();
    }
}

/// The agent's sleep between polls.
pub struct Wake {
    signal: Arc<Signal>,
    watcher: Option<RecommendedWatcher>,
    /// Reason why there is no watcher, until it is reported.
    broken: Option<notify::Error>,
    /// Each directory that is watched or cannot be, with its device and inode: a path may later refer to
    /// another directory.
    known: HashMap<PathBuf, Watched>,
    warned: bool,
}

struct Watched {
    stat: Stat,
    is_watched: bool,
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake {
    /// Creates an instance that watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let signal = Arc::new(Signal::default());
        let signal2 = Arc::clone(&signal);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that notifications were lost: an extra poll is safer.
            if event.is_ok_and(|event| !is_change(event.kind) && !event.need_rescan()) {
                return;
            }
            if !std::mem::replace(&mut signal2.flags().changed, true) {
                signal2.notified.notify_all();
            }
        });
        let (watcher, broken) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error)),
        };
        Self { signal, watcher, broken, known: HashMap::new(), warned: false }
    }

    /// A handle for other threads.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.signal))
    }

    /// Watches exactly these directories.
    ///
    /// Returns a warning the first time that one cannot be watched, and none afterwards.
    pub fn watch(&mut self, dirs: &[PathBuf]) -> Option<SourceError> {
        let mut failed = None;
        if let Some(first) = dirs.first() {
            failed = self.broken.take().map(|cause| (first.clone(), cause));
        }
        if let Some(watcher) = &mut self.watcher {
            self.known.retain(|dir, watched| {
                let keep = dirs.contains(dir) && is_still(dir, &watched.stat);
                if !keep && watched.is_watched {
                    // It fails if the directory is gone, and the watch with it.
                    drop(watcher.unwatch(dir));
                }
                keep
            });
            for dir in dirs {
                if self.known.contains_key(dir) {
                    continue;
                }
                let Ok(metadata) = fs::metadata(dir) else { continue };
                let outcome = watcher.watch(dir, RecursiveMode::NonRecursive);
                let is_watched = outcome.is_ok();
                let stat = Stat::from_metadata(&metadata);
                self.known.insert(dir.clone(), Watched { stat, is_watched });
                if let Err(cause) = outcome {
                    failed.get_or_insert((dir.clone(), cause));
                }
            }
        }
        let (path, cause) = failed?;
        if std::mem::replace(&mut self.warned, true) {
            return None;
        }
        Some(SourceError::Watch { path, cause })
    }

    /// Sleeps for at most `at_most`, until a change or a call. Changes are first collected for a fifth of a
    /// second; a call ends the sleep at once. Changes since the last sleep count.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> WakeReason {
        let start = Instant::now();
        let mut until = at_most;
        let mut flags = self.signal.flags();
        loop {
            if std::mem::take(&mut flags.called) {
                return WakeReason::Called;
            }
            let slept = start.elapsed();
            if flags.changed {
                until = until.min(slept.saturating_add(GATHER));
            }
            if slept >= until {
                return if std::mem::take(&mut flags.changed) {
                    WakeReason::Changed
                } else {
                    WakeReason::TimedOut
                };
            }
            let left = until.saturating_sub(slept);
            flags = match self.signal.notified.wait_timeout(flags, left) {
                Ok((flags, _)) => flags,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

fn is_still(dir: &Path, stat: &Stat) -> bool {
    fs::metadata(dir).is_ok_and(|now| Stat::from_metadata(&now).is_same_file(stat))
}

/// Returns true if a notification indicates new data. Opening a file, or closing it after reading, does not:
/// our own reading would wake us forever.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Any | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Other => true,
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(modify) => !matches!(modify, ModifyKind::Metadata(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_write_and_a_call_end_a_sleep_and_reading_does_not() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("dns.log");
        fs::write(&file, "1\n").unwrap();
        let mut wake = Wake::new();
        if let Some(warning) = wake.watch(&[dir.path().to_owned()]) {
            println!("skipping notices of changes: {warning}");
            return;
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(&file).unwrap(), b"1\n");
        assert_eq!(wake.wait(Duration::from_millis(300)), WakeReason::TimedOut);
        fs::write(&file, "2\n").unwrap();
        assert_eq!(wake.wait(LONG), WakeReason::Changed);
        assert_eq!(wake.wait(Duration::ZERO), WakeReason::TimedOut);
        let waker = wake.waker();
        std::thread::spawn(move || waker.wake());
        assert_eq!(wake.wait(LONG), WakeReason::Called);
    }

    #[test]
    fn a_directory_made_anew_is_watched_anew() {
        let root = TempDir::new().unwrap();
        let dirs = [root.path().join("spool")];
        fs::create_dir(&dirs[0]).unwrap();
        let mut wake = Wake::new();
        if let Some(warning) = wake.watch(&dirs) {
            println!("skipping notices of changes: {warning}");
            return;
        }
        fs::rename(&dirs[0], root.path().join("old")).unwrap();
        fs::create_dir(&dirs[0]).unwrap();
        assert!(wake.watch(&dirs).is_none());
        while wake.wait(Duration::from_millis(300)) == WakeReason::Changed {}
        fs::write(dirs[0].join("dns.log"), "1\n").unwrap();
        assert_eq!(wake.wait(LONG), WakeReason::Changed);
    }
}
