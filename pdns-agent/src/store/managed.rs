//! `managed:`: a private redis-server, so that a newcomer has to set up nothing.
//!
//! Used by `store/link.rs` when no Redis is named. The server listens on a Unix socket in the data
//! directory, which only its owner can enter, and on no TCP port. It writes an append-only file and
//! goes on running when the program that started it ends; [`stop`] ends it.

use super::StoreError;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to accept, and then to load a large store from disk.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a server that listens may take to say whether it is loading; it does so at once.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest path of a Unix socket on Linux, less the final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// Settings that the store was measured with: small hashes and integer sets stay compact.
const SETTINGS: &str = "\
port 0
unixsocketperm 700
daemonize yes
appendonly yes
appendfsync everysec
aof-use-rdb-preamble yes
hash-max-listpack-entries 512
hash-max-listpack-value 4096
set-max-intset-entries 8192
latency-tracking no
maxmemory-policy noeviction
";

/// Where the managed store lives: `$XDG_DATA_HOME/pdns`, or `/var/lib/pdns` for root, or
/// `~/.local/share/pdns`.
///
/// # Errors
/// When none of these can be told from the environment.
pub fn directory() -> Result<PathBuf, StoreError> {
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|data| !data.is_empty()) {
        return Ok(Path::new(&data).join("pdns"));
    }
    // /proc/self belongs to the effective user.
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        return Ok(PathBuf::from("/var/lib/pdns"));
    }
    match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        Some(home) => Ok(Path::new(&home).join(".local/share/pdns")),
        None => Err(StoreError::Managed {
            act: "cannot tell where to keep the store: set XDG_DATA_HOME or name a Redis"
                .to_owned(),
            cause: io::ErrorKind::NotFound.into(),
        }),
    }
}

fn failed(act: String) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::Managed { act, cause }
}

/// Starts the server unless it runs; returns its socket.
pub(super) fn start() -> Result<PathBuf, StoreError> {
    let home = directory()?;
    let socket = home.join("redis.sock");
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(StoreError::Managed {
            act: format!("{} is too long for a Unix socket: set XDG_DATA_HOME", socket.display()),
            cause: io::ErrorKind::InvalidInput.into(),
        });
    }
    if UnixStream::connect(&socket).is_ok() {
        wait_while_loading(&socket);
        return Ok(socket);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&home)
        .map_err(failed(format!("cannot make {}", home.display())))?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))
        .map_err(failed(format!("cannot close {} to others", home.display())))?;
    // Two programs may start at once: the second waits here and finds the server running.
    let lock_path = home.join("lock");
    let lock = File::create(&lock_path)
        .map_err(failed(format!("cannot write {}", lock_path.display())))?;
    lock.lock().map_err(failed(format!("cannot lock {}", lock_path.display())))?;
    if UnixStream::connect(&socket).is_err() {
        launch(&home, &socket)?;
    }
    wait_while_loading(&socket);
    Ok(socket)
}

/// Waits until a server that listens has loaded its data; until then it refuses all commands. One that
/// takes too long is left to its caller, who is told that it is loading.
fn wait_while_loading(socket: &Path) {
    let deadline = Instant::now() + START_TIMEOUT;
    while is_loading(socket).unwrap_or(false) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_loading(socket: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PING_TIMEOUT))?;
    stream.write_all(b"PING\r\n")?;
    // As long as "+PONG" with its end.
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"-LOADIN")
}

fn launch(home: &Path, socket: &Path) -> Result<(), StoreError> {
    let configuration = home.join("redis.conf");
    let mut file = File::create(&configuration)
        .map_err(failed(format!("cannot write {}", configuration.display())))?;
    // redis.conf takes a quoted string with C escapes; a path may hold a blank or a quote.
    let text = format!(
        "{SETTINGS}dir {}\nunixsocket {}\npidfile {}\nlogfile {}\n",
        quoted(home),
        quoted(socket),
        quoted(&home.join("redis.pid")),
        quoted(&home.join("redis.log")),
    );
    file.write_all(text.as_bytes())
        .map_err(failed(format!("cannot write {}", configuration.display())))?;
    let torn = super::aof::mend(home)
        .map_err(failed(format!("cannot mend the append-only file in {}", home.display())))?;
    if torn > 0 {
        tracing::warn!(
            octets = torn,
            "the store's server had crashed; a torn write was taken off its file"
        );
    }
    let status = Command::new("redis-server")
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed(
            "cannot run redis-server: install it, or name a Redis with --redis".to_owned(),
        ))?;
    let deadline = Instant::now() + START_TIMEOUT;
    while UnixStream::connect(socket).is_err() {
        if !status.success() || Instant::now() > deadline {
            return Err(StoreError::Managed {
                act: format!(
                    "redis-server does not start: see {}",
                    home.join("redis.log").display()
                ),
                cause: io::ErrorKind::ConnectionRefused.into(),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for &octet in path.as_os_str().as_encoded_bytes() {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            b' '..=b'~' => text.push(char::from(octet)),
            _ => {
                text.push_str("\\x");
                for digit in [octet >> 4, octet & 15] {
                    text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
        }
    }
    text.push('"');
    text
}

/// Stops the server and waits until it has written its data; `false` when none was running.
///
/// # Errors
/// When the server does not stop.
pub fn stop() -> Result<bool, StoreError> {
    let socket = directory()?.join("redis.sock");
    let Ok(mut stream) = UnixStream::connect(&socket) else { return Ok(false) };
    stream
        .write_all(b"*1\r\n$8\r\nSHUTDOWN\r\n")
        .map_err(failed("cannot stop the managed redis-server".to_owned()))?;
    let deadline = Instant::now() + START_TIMEOUT;
    while UnixStream::connect(&socket).is_ok() {
        if Instant::now() > deadline {
            return Err(StoreError::Managed {
                act: "the managed redis-server does not stop".to_owned(),
                cause: io::ErrorKind::TimedOut.into(),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted_for_redis_conf() {
        assert_eq!(quoted(Path::new("/a b/\"c\"\\\n")), "\"/a b/\\\"c\\\"\\\\\\x0a\"");
    }
}
