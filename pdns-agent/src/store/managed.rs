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
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where root's managed store lives.
const OF_ROOT: &str = "/var/lib/pdns";
/// The socket's name in the directory.
const SOCKET: &str = "redis.sock";
/// The name of the server's log there.
const LOG: &str = "redis.log";
/// How long a server may take to answer, and to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to load its data, which it answers meanwhile: 10 GB take a minute or two.
const LOADING_PATIENCE: Duration = Duration::from_mins(15);
/// How often a server that is not ready is asked again.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest path of a Unix socket on Linux, less the final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// Settings that the store was measured with: small hashes and integer sets stay compact. The append-only
/// file has all, so that no snapshots are needed beside it.
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
        return Ok(PathBuf::from(OF_ROOT));
    }
    match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        Some(home) => Ok(Path::new(&home).join(".local/share/pdns")),
        None => Err(StoreError::Managed {
            act: "cannot tell where to keep the store".to_owned(),
            cause: io::Error::other("set XDG_DATA_HOME, or name a Redis with --redis"),
        }),
    }
}

/// Whether root has a managed store on this machine, and it is not the one that is used here: an agent that
/// was started by root writes there.
#[must_use]
pub fn is_another_of_root() -> bool {
    let used = directory().ok();
    used.is_some_and(|used| used != Path::new(OF_ROOT)) && Path::new(OF_ROOT).exists()
}

fn failed(act: String) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::Managed { act, cause }
}

/// Starts the server unless it runs; returns its socket.
pub(super) fn start() -> Result<PathBuf, StoreError> {
    let home = directory()?;
    let socket = home.join(SOCKET);
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(StoreError::Managed {
            act: format!("{} is too long for a Unix socket", socket.display()),
            cause: io::Error::other("set XDG_DATA_HOME to a shorter path"),
        });
    }
    if ask(&socket) == State::Ready {
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
    wait(&home, &mut launch)?;
    Ok(socket)
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody listens.
    Absent,
    /// It accepts, but does not answer.
    Silent,
    /// It loads its data.
    Loading,
    Ready,
}

/// Asks a server how it is. To be connected says little: the kernel does that for a server that is busy
/// loading, or dying.
fn ask(socket: &Path) -> State {
    let Ok(mut stream) = UnixStream::connect(socket) else { return State::Absent };
    let mut reply = [0; 5];
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(b"PING\r\n"))
        .and_then(|()| stream.read_exact(&mut reply));
    match (asked, &reply) {
        (Ok(()), b"+PONG") => State::Ready,
        (Ok(()), _) => State::Loading,
        (Err(_), _) => State::Silent,
    }
}

/// Runs redis-server, which goes on when this program ends.
fn launch(home: &Path) -> Result<Child, StoreError> {
    let configuration = home.join("redis.conf");
    let mut file = File::create(&configuration)
        .map_err(failed(format!("cannot write {}", configuration.display())))?;
    // redis.conf takes a quoted string with C escapes; a path may hold a blank or a quote.
    let text = format!(
        "{SETTINGS}dir {}\nunixsocket {}\nlogfile {}\n",
        quoted(home),
        quoted(&home.join(SOCKET)),
        quoted(&home.join(LOG)),
    );
    file.write_all(text.as_bytes())
        .map_err(failed(format!("cannot write {}", configuration.display())))?;
    let torn = mend(home)?;
    if torn > 0 {
        tracing::warn!(
            octets = torn,
            "the store's server had crashed; a torn write was taken off its file"
        );
    }
    // Not as a daemon, which would hide from us that it ended. Of its own group, so that Ctrl-C is not
    // for it; SIGHUP it ignores.
    Command::new("redis-server")
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(failed(
            "cannot run redis-server: install it, or name a Redis with --redis".to_owned(),
        ))
}

/// Takes a torn write off the end of the append-only file below `home`, as a crash may leave it; returns how many octets that
/// was. To be done before the server starts.
///
/// # Errors
/// When there is no such folder, or the file cannot be read or cut.
pub fn mend(home: &Path) -> Result<u64, StoreError> {
    super::aof::mend(home)
        .map_err(failed(format!("cannot mend the append-only file in {}", home.display())))
}

/// Waits until a server is ready; launches one when there is none, or none any more.
fn wait(
    home: &Path,
    launch: &mut dyn FnMut(&Path) -> Result<Child, StoreError>,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut launched: Option<Child> = None;
    loop {
        let patience = match ask(&home.join(SOCKET)) {
            State::Ready => break,
            State::Loading => LOADING_PATIENCE,
            State::Absent if launched.is_none() => {
                launched = Some(launch(home)?);
                PATIENCE
            }
            State::Silent | State::Absent => PATIENCE,
        };
        let ended =
            launched.as_mut().is_some_and(|server| matches!(server.try_wait(), Ok(Some(_))));
        if ended || begun.elapsed() > patience {
            return Err(StoreError::Managed {
                act: "redis-server does not start".to_owned(),
                cause: io::Error::other(format!("see {}", home.join(LOG).display())),
            });
        }
        std::thread::sleep(PAUSE);
    }
    if let Some(mut server) = launched {
        // An agent may outlive the server, and must not leave it a zombie.
        std::thread::spawn(move || drop(server.wait()));
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
    let socket = directory()?.join(SOCKET);
    let Ok(mut stream) = UnixStream::connect(&socket) else { return Ok(false) };
    stream
        .write_all(b"*1\r\n$8\r\nSHUTDOWN\r\n")
        .map_err(failed("cannot stop the managed redis-server".to_owned()))?;
    let deadline = Instant::now() + PATIENCE;
    while UnixStream::connect(&socket).is_ok() {
        if Instant::now() > deadline {
            return Err(StoreError::Managed {
                act: "the managed redis-server does not stop".to_owned(),
                cause: io::ErrorKind::TimedOut.into(),
            });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_server_is_waited_for_while_it_loads() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join(SOCKET);
        assert_eq!(ask(&socket), State::Absent);
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            // The first hangs up without a word, as a server does that is killed.
            for reply in [&b""[..], b"-LOADING Redis is loading\r\n", b"+PONG\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = [0; 6];
                stream.read_exact(&mut question).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        wait(home.path(), &mut |_| panic!("there is a server")).unwrap();
        server.join().unwrap();
    }

    #[test]
    fn odd_paths_are_quoted_for_redis_conf() {
        assert_eq!(quoted(Path::new("/a b/\"c\"\\\n")), "\"/a b/\\\"c\\\"\\\\\\x0a\"");
    }
}
