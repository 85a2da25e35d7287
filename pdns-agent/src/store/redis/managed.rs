//! `managed:`: a private redis-server, so that new users need no setup.
//!
//! Used by `store/redis/client.rs` if no Redis is configured. The server listens on a Unix socket in the data
//! directory, which only its owner can enter, and on no TCP port. It writes an append-only file and keeps running
//! after the program that started it ends; [`stop`] stops it.
//!
//! `managed/directory.rs` chooses that directory and checks whether it may be used; `managed/server.rs` runs the
//! server. At most one server runs on a directory: it holds a lock on the directory's marker.

mod directory;
mod server;

pub use directory::is_another_of_root;

use crate::store::StoreError;
use crate::store::redis::in_use;
use directory::Directory;
use std::fs::TryLockError;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The socket's name in the directory.
const SOCKET: &str = "redis.sock";
/// Time limit for a server to reply, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time in which a server that another program has just started begins to listen. After that it has lost its socket.
const SOCKET_PATIENCE: Duration = Duration::from_secs(10);
/// First and longest interval between attempts to reach a server that is not ready.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// Longest path of a Unix socket on Linux, less the final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

fn failed(act: String) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::Managed { act, cause }
}

/// Starts the server unless it is running; returns its socket.
pub(in crate::store) fn start() -> Result<PathBuf, StoreError> {
    let path = directory::path()?;
    let socket = path.join(SOCKET);
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(StoreError::Managed {
            act: format!("{} is too long for a Unix socket", socket.display()),
            cause: io::Error::other("set XDG_DATA_HOME to a shorter path"),
        });
    }
    let directory = Directory::open(path)?;
    server::wait(&directory, PATIENCE, &mut |directory| server::launch(directory))?;
    Ok(socket)
}

/// Stops the server and waits until it has written its data; `false` if none was running.
///
/// # Errors
/// If the server does not stop, or the directory is not ours.
pub fn stop() -> Result<bool, StoreError> {
    let Some(directory) = Directory::existing(directory::path()?)? else { return Ok(false) };
    let socket = directory.path.join(SOCKET);
    if let Ok(mut stream) = UnixStream::connect(&socket) {
        stream
            .write_all(b"*1\r\n$8\r\nSHUTDOWN\r\n")
            .map_err(failed("cannot stop the managed redis-server".to_owned()))?;
    } else if !server::terminate(&directory)? {
        return Ok(false);
    }
    let mut pause = PAUSE.0;
    let deadline = Instant::now() + PATIENCE;
    // The server closes its socket last; then it exits and releases the lock.
    while UnixStream::connect(&socket).is_ok() || is_locked(&directory)? {
        if Instant::now() > deadline {
            return Err(StoreError::Managed {
                act: format!("{} does not stop", server::named(&directory.path)),
                cause: io::ErrorKind::TimedOut.into(),
            });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE.1);
    }
    Ok(true)
}

/// Returns true if a server, or a program that is starting one, holds the lock.
fn is_locked(directory: &Directory) -> Result<bool, StoreError> {
    match directory.marker.try_lock() {
        Ok(()) => {
            directory.marker.unlock().map_err(cannot_lock(&directory.path))?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(cause)) => Err(cannot_lock(&directory.path)(cause)),
    }
}

fn cannot_lock(directory: &Path) -> impl FnOnce(io::Error) -> StoreError {
    failed(format!("cannot lock the marker in {}", directory.display()))
}

/// Removes a torn write from the end of the append-only file below `home`, as a crash may leave it; returns the
/// number of bytes removed, or `None` if there is no such file. For `pdns admin mend-aof`: the file may belong to any
/// server, but none may be running on it.
///
/// # Errors
/// When a server uses the directory or may do so, when there is no directory, or when the file cannot be read or
/// cut.
pub fn mend(home: &Path) -> Result<Option<u64>, StoreError> {
    let cannot = || failed(format!("cannot mend the append-only file in {}", home.display()));
    let _lock = directory::lock_marker(home).map_err(cannot())?;
    if UnixStream::connect(home.join(SOCKET)).is_ok() {
        return Err(cannot()(io::Error::other("its server is running: stop it first")));
    }
    match in_use::find(home).map_err(cannot())? {
        in_use::InUse::No => crate::store::redis::aof::mend_data(home).map_err(cannot()),
        in_use::InUse::By(process) => {
            Err(cannot()(io::Error::other(format!("{process} is using it: stop it first"))))
        }
        in_use::InUse::Unknown(process) => Err(cannot()(io::Error::other(format!(
            "only root can see whether {process} is using it: run as root, or stop it first"
        )))),
    }
}
