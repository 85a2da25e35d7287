//! The server of the managed store: starts it if there is none, and waits for it.

use super::directory::{CONFIGURATION, Directory};
use super::{PAUSE, SOCKET, SOCKET_PATIENCE, cannot_lock, failed, is_locked};
use crate::atomic_file;
use crate::store::StoreError;
use crate::store::redis::{aof, in_use};
use std::fs::TryLockError;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name of the server's log in the directory.
const LOG: &str = "redis.log";
/// Time limit for a server to load its data, during which it replies that it is loading: 10 GB take a minute or two.
const LOADING_PATIENCE: Duration = Duration::from_mins(15);

/// Settings that the store was measured with: small hashes and integer sets stay compact. The append-only file holds
/// all data, so that no snapshots are needed besides.
const SETTINGS: &str = "\
port 0
unixsocketperm 700
daemonize no
appendonly yes
appendfsync everysec
save \"\"
aof-use-rdb-preamble yes
hash-max-listpack-entries 512
hash-max-listpack-value 4096
set-max-intset-entries 8192
latency-tracking no
maxmemory-policy noeviction
";

/// The state of a server, as its socket shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerState {
    /// Nobody listens.
    Absent,
    /// It accepts, but does not reply.
    Silent,
    /// It is loading its data.
    Loading,
    Ready,
}

/// Asks a server for its state. A connection alone says little: the kernel accepts it for a server that is busy
/// loading or shutting down.
fn ask(socket: &Path, patience: Duration) -> ServerState {
    let Ok(mut stream) = UnixStream::connect(socket) else { return ServerState::Absent };
    let mut reply = [0; 5];
    let asked = stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.write_all(b"PING\r\n"))
        .and_then(|()| stream.read_exact(&mut reply));
    match (asked, &reply) {
        (Ok(()), b"+PONG") => ServerState::Ready,
        (Ok(()), _) => ServerState::Loading,
        (Err(_), _) => ServerState::Silent,
    }
}

/// Starts a server on the directory.
pub(super) type Launch<'l> = &'l mut dyn FnMut(&Directory) -> Result<Child, StoreError>;

/// Waits until a server is ready; launches one if there is none, or it has gone.
pub(super) fn wait(
    directory: &Directory,
    patience: Duration,
    launch: Launch<'_>,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut pause = PAUSE.0;
    let mut launched: Option<Child> = None;
    loop {
        let state = ask(&directory.path.join(SOCKET), patience);
        if state == ServerState::Ready {
            break;
        }
        if state == ServerState::Absent && launched.is_none() && is_free(directory)? {
            launched = Some(launch(directory)?);
            continue;
        }
        let ended =
            launched.as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(Some(_))));
        let patience = match state {
            ServerState::Loading => LOADING_PATIENCE,
            ServerState::Absent if launched.is_none() => patience.min(SOCKET_PATIENCE),
            _ => patience,
        };
        if ended || begun.elapsed() > patience {
            return Err(trouble(state, launched.is_some(), &directory.path));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE.1);
    }
    if let Some(mut server) = launched {
        // An agent may outlive the server, and must not leave it a zombie.
        std::thread::spawn(move || drop(server.wait()));
    }
    Ok(())
}

/// Returns true if a server may be started, and takes the lock then. Otherwise one is being started, is shutting
/// down, or has lost its socket.
fn is_free(directory: &Directory) -> Result<bool, StoreError> {
    match directory.marker.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(cause)) => return Err(cannot_lock(&directory.path)(cause)),
    }
    // Servers of earlier versions hold no lock.
    let found = in_use::find(&directory.path)
        .map_err(failed(format!("cannot see who uses {}", directory.path.display())))?;
    if matches!(found, in_use::InUse::By(_)) {
        directory.marker.unlock().map_err(cannot_lock(&directory.path))?;
        return Ok(false);
    }
    Ok(true)
}

/// Builds the error after the time limit.
fn trouble(state: ServerState, is_launched: bool, home: &Path) -> StoreError {
    let log = home.join(LOG);
    let (act, advice) = match state {
        _ if is_launched => {
            ("redis-server does not start".to_owned(), format!("see {}", log.display()))
        }
        ServerState::Loading => (
            format!("{} is still loading its data", named(home)),
            format!("try again later; see {}", log.display()),
        ),
        ServerState::Silent => (
            format!("{} does not answer", named(home)),
            format!("wait, or end the process; see {}", log.display()),
        ),
        ServerState::Absent | ServerState::Ready => (
            format!("{} uses {} but does not listen there", named(home), home.display()),
            format!(
                "its socket may have been removed: stop it with `pdns admin stop`; see {}",
                log.display()
            ),
        ),
    };
    StoreError::Managed { act, cause: io::Error::other(advice) }
}

/// Asks a server that has lost its socket to stop, by its process; `false` if there is none.
pub(super) fn terminate(directory: &Directory) -> Result<bool, StoreError> {
    let home = &directory.path;
    let cannot = |why: String| StoreError::Managed {
        act: format!("cannot stop the server that uses {}", home.display()),
        cause: io::Error::other(why),
    };
    let found = in_use::find(home).map_err(|error| cannot(error.to_string()))?;
    match found {
        in_use::InUse::By(process) => process
            .terminate()
            .map(|()| true)
            .map_err(|error| cannot(format!("{process}: {error}"))),
        in_use::InUse::Unknown(process) => {
            Err(cannot(format!("only root can see whether it is {process}: run as root")))
        }
        // Held through a network file system or from another container.
        in_use::InUse::No if is_locked(directory)? => {
            Err(cannot("it is not to be seen from here: stop it where it runs".to_owned()))
        }
        in_use::InUse::No => Ok(false),
    }
}

/// Describes the server that uses a directory.
pub(super) fn named(home: &Path) -> String {
    match in_use::find(home) {
        Ok(in_use::InUse::By(process)) => process.to_string(),
        // The lock may be held through a network file system or from another container.
        _ => "a program that is not to be seen from here".to_owned(),
    }
}

/// Runs redis-server, which keeps running after this program ends. The lock on the marker is held, and passes to it.
pub(super) fn launch(directory: &Directory) -> Result<Child, StoreError> {
    let home = &directory.path;
    let configuration = home.join(CONFIGURATION);
    // Written at each start: the directory may have been moved.
    let text = format!(
        "{SETTINGS}dir {}\nunixsocket {}\nlogfile {}\n",
        quoted(home),
        quoted(&home.join(SOCKET)),
        quoted(&home.join(LOG)),
    );
    atomic_file::write(&configuration, 0o600, text.as_bytes())
        .map_err(failed(format!("cannot write {}", configuration.display())))?;
    let torn = aof::mend(home)
        .map_err(failed(format!("cannot mend the append-only file in {}", home.display())))?;
    if torn > 0 {
        tracing::warn!(
            bytes = torn,
            "the store's server had crashed; a torn write was taken off its file"
        );
    }
    // A lock belongs to the open file, so that it lasts as long as the server, or a child of it, has this input.
    let marker = directory.marker.try_clone().map_err(cannot_lock(home))?;
    // Not as a daemon, which would hide its exit from us. In a process group of its own, so that Ctrl-C does not
    // reach it; it ignores SIGHUP.
    Command::new("redis-server")
        .arg(&configuration)
        .stdin(marker)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(failed(
            "cannot run redis-server: install it, or name a Redis with --redis".to_owned(),
        ))
}

/// Quotes a path for redis.conf, with C escapes: it may hold a space or a quote.
fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                text.push_str("\\x");
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::super::PATIENCE;
    use super::*;
    use std::os::unix::net::UnixListener;
    use tempfile::TempDir;

    fn new() -> (TempDir, Directory) {
        let place = TempDir::new().unwrap();
        let directory = Directory::open(place.path().join("pdns")).unwrap();
        (place, directory)
    }

    #[test]
    fn a_server_is_waited_for_while_it_loads() {
        let (_place, directory) = new();
        let socket = directory.path.join(SOCKET);
        assert_eq!(ask(&socket, PATIENCE), ServerState::Absent);
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            // The first closes the connection without a reply, as a server does that is killed.
            for reply in [&b""[..], b"-LOADING Redis is loading\r\n", b"+PONG\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = [0; 6];
                stream.read_exact(&mut question).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        wait(&directory, PATIENCE, &mut |_| panic!("there is a server")).unwrap();
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
        let (_place, directory) = new();
        // The kernel accepts connections on its behalf.
        let _listener = UnixListener::bind(directory.path.join(SOCKET)).unwrap();
        let patience = Duration::from_millis(20);
        let error = wait(&directory, patience, &mut |_| panic!("there is a server")).unwrap_err();
        assert!(error.to_string().ends_with("does not answer"), "{error}");
    }

    #[test]
    fn no_server_is_started_while_the_lock_is_held() {
        let (_place, directory) = new();
        // Like a server whose socket somebody removed, or one on another machine.
        let other = Directory::open(directory.path.clone()).unwrap();
        other.marker.lock().unwrap();
        let patience = Duration::from_millis(20);
        let error = wait(&directory, patience, &mut |_| panic!("it is locked")).unwrap_err();
        assert!(error.to_string().contains("does not listen there"), "{error}");
    }

    #[test]
    fn no_server_is_started_beside_one_that_holds_no_lock() {
        let (_place, directory) = new();
        // A server of an earlier version whose socket was removed.
        let socket = directory.path.join("other");
        let mut server = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(&directory.path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while ask(&socket, PATIENCE) != ServerState::Ready {
            assert!(matches!(server.try_wait(), Ok(None)), "redis-server ended");
            std::thread::sleep(PAUSE.0);
        }
        let patience = Duration::from_millis(20);
        let error = wait(&directory, patience, &mut |_| panic!("there is one")).unwrap_err();
        let process = format!("redis-server (process {}) uses", server.id());
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(error.to_string().starts_with(&process), "{error}");
        // The lock was released.
        directory.marker.try_lock().unwrap();
    }

    #[test]
    fn odd_paths_are_quoted_for_redis_conf() {
        assert_eq!(quoted(Path::new("/a b/\"c\"\\\n")), "\"/a b/\\\"c\\\"\\\\\\x0a\"");
    }
}
