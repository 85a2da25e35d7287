//! The connection to Redis is cut within replies, and slow.

use super::{Trial, pick, progresses};
use crate::agent::Agent;
use crate::netns::{Network, is_root};
use crate::redis::{Redis, until};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A call of the function that writes records begins with this.
const WRITE: &[u8] = b"pdns_upsert_";

/// Place in a connection from which bytes of replies are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Its beginning.
    Start,
    /// The request that writes for the first time.
    Write,
}

/// A way to a real server that knows nothing of replies, and cuts its connections within them.
///
/// Every second connection is cut later, within the replies to its third write, so that the agent goes on.
struct Wire {
    directory: TempDir,
    cuts: Arc<Mutex<Cuts>>,
    is_closed: Arc<AtomicBool>,
}

/// The next cut.
struct Cuts {
    from: From,
    /// Bytes of replies that still pass; `None` for no cut.
    bytes: Option<usize>,
    /// Bytes by which this grows with every second connection.
    step: usize,
    connections: usize,
}

impl Wire {
    /// One that passes on everything.
    fn before(server: &Redis) -> Self {
        let directory = TempDir::with_prefix("pdns-wire-").expect("a temporary directory");
        let listener = UnixListener::bind(directory.path().join("s")).expect("a socket of our own");
        let behind = PathBuf::from(server.url().trim_start_matches("redis+unix://"));
        let cuts = Cuts { from: From::Start, bytes: None, step: 0, connections: 0 };
        let cuts = Arc::new(Mutex::new(cuts));
        let is_closed = Arc::new(AtomicBool::new(false));
        let (next, closed) = (Arc::clone(&cuts), Arc::clone(&is_closed));
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                let (behind, cut) = (behind.clone(), next.lock().unwrap().next());
                thread::spawn(move || pass_on(client, &behind, cut));
            }
        });
        Self { directory, cuts, is_closed }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Cuts connections after no byte, after `step` bytes, and so on.
    fn cut(&self, from: From, step: usize) {
        let cuts = Cuts { from, bytes: Some(0), step, connections: 0 };
        *self.cuts.lock().unwrap() = cuts;
    }

    /// Cuts none from now on.
    fn mend(&self) {
        self.cuts.lock().unwrap().bytes = None;
    }

    /// Bytes after which the next connection is cut, and how many connections there were.
    fn state(&self) -> (usize, usize) {
        let cuts = self.cuts.lock().unwrap();
        (cuts.bytes.unwrap_or_default(), cuts.connections)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(UnixStream::connect(self.socket()));
    }
}

/// Where one connection is cut: this many bytes of replies after so many writes.
type Cut = Option<(usize, usize)>;

impl Cuts {
    /// The cut of the next connection.
    fn next(&mut self) -> Cut {
        let bytes = self.bytes?;
        self.connections += 1;
        if self.connections.is_multiple_of(2) {
            self.bytes = Some(bytes + self.step);
            return Some((bytes, 3));
        }
        Some((bytes, usize::from(self.from == From::Write)))
    }
}

/// Passes on what is said both ways up to the cut: then neither side hears more.
fn pass_on(client: UnixStream, behind: &PathBuf, cut: Cut) -> Option<()> {
    let server = UnixStream::connect(behind).ok()?;
    let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let (mut from_server, mut to_client) = (server, client);
    let writes = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&writes);
    thread::spawn(move || {
        let mut piece = vec![0; 1 << 16];
        while let Some(bytes) = from_client.read(&mut piece).ok().filter(|&bytes| bytes > 0) {
            // Counted before they are passed on: their replies come afterwards.
            if memchr::memmem::find(&piece[..bytes], WRITE).is_some() {
                written.fetch_add(1, Ordering::SeqCst);
            }
            if to_server.write_all(&piece[..bytes]).is_err() {
                break;
            }
        }
        to_server.shutdown(Shutdown::Both).ok();
    });
    let (mut counted, mut piece) = (0, vec![0; 1 << 16]);
    loop {
        let bytes = from_server.read(&mut piece).ok().filter(|&bytes| bytes > 0);
        let counts = cut.filter(|(_, after)| writes.load(Ordering::SeqCst) >= *after);
        let left = counts.map_or(usize::MAX, |(most, _)| most - counted);
        let passed = bytes.unwrap_or(0).min(left);
        to_client.write_all(&piece[..passed]).ok();
        if counts.is_some() {
            counted += passed;
        }
        if bytes.is_none_or(|bytes| bytes >= left) {
            to_client.shutdown(Shutdown::Both).ok();
            from_server.shutdown(Shutdown::Both).ok();
            return None;
        }
    }
}

#[test]
fn replies_are_cut() {
    let (step, last) = pick((1, 900), (61, 900));
    let bytes = if step == 1 { "each byte".to_owned() } else { format!("every {step}th byte") };
    let done = format!("connection cut after {bytes} of its replies, and of those to writes");
    let trial = Trial::begin("replies_are_cut", 141, done);
    let server = Redis::start();
    let wire = Wire::before(&server);
    let mut agent = trial.follow(&wire.url());
    progresses(&mut agent, &server);
    for from in [From::Write, From::Start] {
        wire.cut(from, step);
        server.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let (mut at, mut connections) = (0, 0);
        while at < last {
            until("the agent makes another connection", || {
                assert!(agent.is_alive(), "{}", agent.said());
                wire.state().1 > connections
            });
            (at, connections) = wire.state();
        }
        println!("{from:?}: {connections} connections were cut");
    }
    wire.mend();
    trial.end(agent, &server);
}

#[test]
fn the_network_is_slow() {
    let fault = "the_network_is_slow";
    if !is_root(fault) {
        return;
    }
    let network = Network::new();
    network.ip(&["link", "set", "lo", "mtu", "1500", "up"]);
    // Not every kernel can delay and lose packets at will. A narrow link with a short queue does both.
    let slow: [(&str, &[&str]); 2] = [
        ("netem: 80 ms, 3 % lost", &["netem", "delay", "40ms", "20ms", "loss", "3%"]),
        (
            "tbf: 2 Mbit/s, a queue of 8 packets that loses what is more",
            &["tbf", "rate", "2mbit", "burst", "3000", "limit", "12000"],
        ),
    ];
    let (done, _) = slow
        .iter()
        .find(|(_, arguments)| network.shape("lo", arguments))
        .expect("the kernel shapes traffic in one of these ways");
    let trial = Trial::begin(fault, 142, format!("tc {done}, for {} s", pick(60, 10)));
    let server = Redis::start_within(&network);
    let mut command = trial.home.agent_by("ip", &network.entry());
    let words = ["zeek", "--redis", "redis://127.0.0.1:6379", "--sensor", "test", "--memory", "4"];
    let mut agent = Agent::start(command.args(words).args(["--flush", "0.1"]).arg(&trial.folder));
    progresses(&mut agent, &server);
    thread::sleep(Duration::from_secs(pick(60, 10)));
    progresses(&mut agent, &server);
    trial.end(agent, &server);
}
