//! Lock for programs that read a file, change it and write it back.
//!
//! Layer 0, std only. Writers replace the file itself, so the lock is a separate file next to it:
//! `.users.toml.lock` for `users.toml`. Only its owner can open it, and it exists only while a program holds
//! or waits for the lock.

use crate::atomic_file::target;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Maximum time to wait for other programs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// A lock held until it is dropped or the program ends, for whatever reason.
pub(crate) struct FileLock {
    path: PathBuf,
    _file: File,
}

impl FileLock {
    /// Waits for the lock of the file at `path`, which need not exist.
    ///
    /// # Errors
    /// The system's error; [`io::ErrorKind::TimedOut`] if others hold the lock for too long.
    pub(crate) fn acquire(path: &Path) -> io::Result<Self> {
        Self::acquire_within(path, PATIENCE)
    }

    fn acquire_within(path: &Path, patience: Duration) -> io::Result<Self> {
        let path = target(path)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".lock");
        let path = path.with_file_name(name);
        let deadline = Instant::now() + patience;
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path)?;
            match file.try_lock() {
                Ok(()) => {
                    // The previous holder has removed it, and a third program may have locked a new one.
                    let own = file.metadata()?;
                    if fs::symlink_metadata(&path)
                        .is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
                    {
                        return Ok(Self { path, _file: file });
                    }
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let line = format!("another program holds {} locked", path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, line));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Remove it while it is still locked: nobody else can hold this file.
        fs::remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tempfile::TempDir;

    #[test]
    fn one_at_a_time_holds_it_and_nothing_is_left() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("users.toml");
        let holders = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = FileLock::acquire(&path).unwrap();
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_that_is_never_released_ends_in_an_error() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("users.toml");
        let lock = FileLock::acquire(&path).unwrap();
        let error = FileLock::acquire_within(&path, Duration::ZERO).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains(".users.toml.lock"), "{error}");
        drop(lock);
        // A killed program leaves the file behind, but no lock on it.
        fs::write(directory.path().join(".users.toml.lock"), "").unwrap();
        FileLock::acquire_within(&path, Duration::ZERO).unwrap();
    }
}
