//! A proxy before a real server, which answers some commands with an error of its own.

use crate::redis::Redis;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// An error that takes the place of replies.
#[derive(Clone)]
pub(crate) struct Fault {
    /// The error, such as `ERR internal error`.
    pub(crate) error: &'static str,
    /// What a command has to hold to be answered with it.
    pub(crate) holds: &'static [u8],
    /// How many commands are.
    pub(crate) times: usize,
    /// Whether the server gets the command all the same, so that only its reply is lost.
    pub(crate) applies: bool,
}

/// A running proxy; it ends with the test.
pub(crate) struct Proxy {
    directory: TempDir,
    fault: Arc<Mutex<Option<Fault>>>,
    cut: Arc<Mutex<Option<usize>>>,
    /// What a command has to hold to wait until it is released.
    held: Arc<Mutex<Option<&'static [u8]>>>,
    is_closed: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy that passes everything on.
    pub(crate) fn before(server: &Redis) -> Self {
        let directory = TempDir::with_prefix("pdns-proxy-").expect("a temporary directory");
        let listener = UnixListener::bind(directory.path().join("s")).expect("a socket of our own");
        let behind = PathBuf::from(server.url().trim_start_matches("redis+unix://"));
        let (fault, is_closed) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let cut = Arc::new(Mutex::new(None));
        let (faults, closed) = (Arc::clone(&fault), Arc::clone(&is_closed));
        let cuts = Arc::clone(&cut);
        let held = Arc::new(Mutex::new(None));
        let holds = Arc::clone(&held);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let (behind, faults) = (behind.clone(), Arc::clone(&faults));
                let cut = *cuts.lock().unwrap();
                let holds = Arc::clone(&holds);
                thread::spawn(move || pass_on(client, &behind, &faults, cut, &holds));
            }
        });
        Self { directory, fault, cut, held, is_closed }
    }

    /// The URL that `--redis` takes.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// Has commands answered with an error from now on.
    pub(crate) fn inject(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// Cuts a connection behind its first commands from now on: this many are passed on, and answered.
    pub(crate) fn cut_after(&self, commands: usize) {
        *self.cut.lock().unwrap() = Some(commands);
    }

    /// Has commands with this in them wait from now on, each on its connection.
    pub(crate) fn hold(&self, holds: &'static [u8]) {
        *self.held.lock().unwrap() = Some(holds);
    }

    /// Passes on what waits.
    pub(crate) fn release(&self) {
        *self.held.lock().unwrap() = None;
    }

    /// Cuts no connection from now on.
    pub(crate) fn clear_cut(&self) {
        *self.cut.lock().unwrap() = None;
    }

    /// Answers no more commands with an error.
    pub(crate) fn clear(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// How many commands will still be answered with the error.
    pub(crate) fn left(&self) -> usize {
        self.fault.lock().unwrap().as_ref().map_or(0, |fault| fault.times)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(UnixStream::connect(self.socket()));
    }
}

/// One connection: command by command, until either side hangs up or it is cut.
fn pass_on(
    client: UnixStream,
    behind: &Path,
    fault: &Mutex<Option<Fault>>,
    cut: Option<usize>,
    held: &Mutex<Option<&'static [u8]>>,
) -> Option<()> {
    let server = UnixStream::connect(behind).ok()?;
    let (mut to_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
    for passed in 0.. {
        let command = element(&mut client)?;
        if cut == Some(passed) {
            return None;
        }
        let waits = || {
            let held = *held.lock().unwrap();
            held.is_some_and(|holds| memchr::memmem::find(&command, holds).is_some())
        };
        while waits() {
            thread::sleep(Duration::from_millis(5));
        }
        let mut slot = fault.lock().unwrap();
        let hit = slot.as_mut().filter(|fault| {
            fault.times > 0 && memchr::memmem::find(&command, fault.holds).is_some()
        });
        let hit = hit.map(|fault| {
            fault.times -= 1;
            fault.clone()
        });
        drop(slot);
        if hit.as_ref().is_none_or(|fault| fault.applies) {
            to_server.write_all(&command).ok()?;
            let reply = element(&mut server)?;
            if hit.is_none() {
                to_client.write_all(&reply).ok()?;
            }
        }
        if let Some(fault) = hit {
            to_client.write_all(format!("-{}\r\n", fault.error).as_bytes()).ok()?;
        }
    }
    None
}

/// The next element of RESP2, whole: a command or a reply.
fn element(from: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes).ok()?;
    let text = std::str::from_utf8(bytes.get(1..)?).unwrap_or_default().trim_end();
    let length = text.parse::<i64>().ok().and_then(|length| usize::try_from(length).ok());
    match (bytes.first()?, length) {
        (b'$', Some(length)) => {
            let start = bytes.len();
            bytes.resize(start + length + 2, 0);
            from.read_exact(&mut bytes[start..]).ok()?;
        }
        (b'*', Some(length)) => {
            for _ in 0..length {
                bytes.extend(element(from)?);
            }
        }
        _ => {}
    }
    Some(bytes)
}
