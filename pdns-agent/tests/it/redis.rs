//! A private `redis-server` for one test: its own data, a socket nobody else knows, gone at the end.

use crate::netns::Network;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to come up or to go down before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// Two ports are looked up free and then given to the server; another process may take one in between.
const PORT_TRIES: usize = 5;

/// A running, stopped or killed server with its data directory.
pub(crate) struct Redis {
    directory: TempDir,
    endpoint: Endpoint,
    durable: bool,
    child: Option<Child>,
    /// Words before `redis-server`, which run it in another place.
    before: Vec<String>,
    /// Settings besides those that all have.
    more: Vec<String>,
    /// Whether the data directory is a file system of its own.
    is_mounted: bool,
}

/// What a store is on: a server, or a cluster.
pub(crate) trait Served {
    /// The URL that `--redis` takes.
    fn store_url(&self) -> String;
}

impl Served for Redis {
    fn store_url(&self) -> String {
        self.url()
    }
}

/// Where the server listens.
#[derive(Clone, Copy)]
enum Endpoint {
    /// A Unix socket in the data directory and no TCP port.
    Socket,
    /// Cluster mode on loopback.
    Cluster { port: u16, bus: u16 },
    /// A TCP port on loopback.
    Tcp { port: u16 },
}

impl Redis {
    /// A server on a Unix socket that keeps its data in memory only: after [`Self::kill9`] and
    /// [`Self::restart`] it is empty.
    pub(crate) fn start() -> Self {
        Self::launch(Endpoint::Socket, false).expect("redis-server starts")
    }

    /// A server on a Unix socket that has each write on disk before it answers
    /// (`appendfsync always`): nothing that it acknowledged is lost by [`Self::kill9`].
    pub(crate) fn start_durable() -> Self {
        Self::launch(Endpoint::Socket, true).expect("redis-server starts")
    }

    /// A cluster of one server on a loopback port that holds all 16,384 slots, durable as above.
    pub(crate) fn start_cluster() -> Self {
        let mut last = String::new();
        for _ in 0..PORT_TRIES {
            let endpoint = Endpoint::Cluster { port: free_port(), bus: free_port() };
            match Self::launch(endpoint, true) {
                Ok(server) => {
                    server.call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
                    server.wait_for_slots();
                    return server;
                }
                Err(log) => last = log,
            }
        }
        panic!("no redis-server in cluster mode came up: {last}");
    }

    /// A server in cluster mode that has no slots and knows no other node; it keeps its data in memory only.
    pub(crate) fn start_node() -> Self {
        let mut last = String::new();
        for _ in 0..PORT_TRIES {
            let endpoint = Endpoint::Cluster { port: free_port(), bus: free_port() };
            match Self::launch(endpoint, false) {
                Ok(server) => {
                    server.call(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
                    return server;
                }
                Err(log) => last = log,
            }
        }
        panic!("no redis-server in cluster mode came up: {last}");
    }

    /// A server on a loopback port that keeps its data in memory only, for replication. A replica attaches to it
    /// without the delay in which a server waits for more of them.
    pub(crate) fn start_tcp() -> Self {
        let mut last = String::new();
        for _ in 0..PORT_TRIES {
            match Self::launch(Endpoint::Tcp { port: free_port() }, false) {
                Ok(server) => {
                    server.call(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
                    return server;
                }
                Err(log) => last = log,
            }
        }
        panic!("no redis-server on a port came up: {last}");
    }

    /// The port of a server on one.
    pub(crate) fn port(&self) -> u16 {
        let (Endpoint::Tcp { port } | Endpoint::Cluster { port, .. }) = self.endpoint else {
            panic!("the server listens on no port")
        };
        port
    }

    /// A durable server whose data lie in a file system of so many bytes. Only root can make one.
    pub(crate) fn start_on_disk(bytes: u64, fsync: &str) -> Self {
        let directory = TempDir::with_prefix("pdns-redis-").expect("a temporary directory");
        let mut server = Self::prepare(directory, Endpoint::Socket, true);
        server.more = ["--appendfsync", fsync].map(str::to_owned).to_vec();
        let size = format!("size={bytes}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "pdns-test"]).arg(server.directory.path());
        assert!(mount.status().expect("mount is there").success(), "no disk of {bytes} bytes");
        server.is_mounted = true;
        server.spawn().expect("redis-server starts");
        server
    }

    /// Gives the file system of [`Self::start_on_disk`] another size.
    pub(crate) fn resize_disk(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        let mut mount = Command::new("mount");
        mount.args(["-o", &size]).arg(self.directory.path());
        assert!(mount.status().expect("mount is there").success(), "no disk of {bytes} bytes");
    }

    /// A server without a disk, in a network of its own: on port 6379 of loopback there, and on its socket here.
    pub(crate) fn start_within(network: &Network) -> Self {
        let directory = TempDir::with_prefix("pdns-redis-").expect("a temporary directory");
        let mut server = Self::prepare(directory, Endpoint::Socket, false);
        server.before =
            [&["ip"][..], &network.entry()].concat().into_iter().map(str::to_owned).collect();
        server.more = ["--bind", "127.0.0.1", "--port", "6379"].map(str::to_owned).to_vec();
        server.spawn().expect("redis-server starts");
        server
    }

    fn prepare(directory: TempDir, endpoint: Endpoint, durable: bool) -> Self {
        let (before, more) = (Vec::new(), Vec::new());
        Self { directory, endpoint, durable, child: None, before, more, is_mounted: false }
    }

    /// Whether the server ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        let has_ended = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
        let has_ended = self.child.as_mut().is_none_or(has_ended);
        if has_ended {
            self.child = None;
        }
        has_ended
    }

    fn launch(endpoint: Endpoint, durable: bool) -> Result<Self, String> {
        let directory = TempDir::with_prefix("pdns-redis-").expect("a temporary directory");
        let mut server = Self::prepare(directory, endpoint, durable);
        server.spawn()?;
        Ok(server)
    }

    /// Starts the process and returns when it says that it accepts connections, with its log when it
    /// ends before that.
    fn spawn(&mut self) -> Result<(), String> {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        let words = self.before.iter().map(String::as_str).chain(["redis-server"]);
        let words: Vec<&str> = words.collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["--save", ""])
            .args(["--appendonly", yes_no(self.durable), "--appendfsync", "always"])
            .arg("--dir")
            .arg(self.directory.path())
            .args(["--hash-max-listpack-value", "4096", "--set-max-intset-entries", "8192"])
            .args(["--enable-debug-command", "local"])
            .args(["--daemonize", "no", "--loglevel", "notice", "--logfile", ""]);
        match self.endpoint {
            Endpoint::Socket => {
                command.args(["--port", "0", "--unixsocketperm", "700"]);
                command.arg("--unixsocket").arg(self.socket());
            }
            Endpoint::Tcp { port } => {
                command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            }
            Endpoint::Cluster { port, bus } => {
                command.args(["--cluster-enabled", "yes", "--bind", "127.0.0.1"]);
                command.args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()]);
            }
        }
        let mut child = command
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run redis-server ({error}): install redis-server (cargo xtask test does)")
            });
        let ready = watch(child.stdout.take().expect("stdout is piped"));
        let started = ready.recv_timeout(PATIENCE).expect("redis-server says something");
        if started.is_err() {
            child.wait().expect("the server can be waited for");
        } else {
            self.child = Some(child);
        }
        started
    }

    /// The process of a running server.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// True unless it was stopped or killed.
    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Host and port of a server on a port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The data directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The socket's path.
    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// The URL that `--redis` takes.
    pub(crate) fn url(&self) -> String {
        match self.endpoint {
            Endpoint::Socket => format!("redis+unix://{}", self.socket().display()),
            Endpoint::Tcp { port } | Endpoint::Cluster { port, .. } => {
                format!("redis://127.0.0.1:{port}")
            }
        }
    }

    /// Makes a node of a cluster and another one of one cluster.
    pub(crate) fn meet(&self, other: &Self) {
        let Endpoint::Cluster { port, bus } = other.endpoint else {
            panic!("no node of a cluster")
        };
        self.call(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()]);
    }

    /// A connection past the code under test.
    pub(crate) fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("a URL of our own making");
        client.get_connection_with_timeout(PATIENCE).expect("the server takes connections")
    }

    /// One command; its reply must not be an error.
    pub(crate) fn call(&self, command: &[&str]) -> redis::Value {
        let mut request = redis::Cmd::new();
        for &argument in command {
            request.arg(argument);
        }
        request
            .query(&mut self.connection())
            .unwrap_or_else(|error| panic!("{}: {error}", command.join(" ")))
    }

    /// Forgets all keys; the function library stays.
    pub(crate) fn flush(&self) {
        self.call(&["FLUSHALL"]);
    }

    /// SIGKILL, as a crash or the kernel's memory killer does it.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be waited for");
        }
    }

    /// An orderly shutdown.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The server closes the connection in place of a reply.
            let reply: redis::RedisResult<()> =
                redis::cmd("SHUTDOWN").query(&mut self.connection());
            drop(reply);
            until("redis-server ends", || matches!(child.try_wait(), Ok(Some(_))));
        }
    }

    /// Starts the server again on its data, stopping it first when it runs.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.mend();
        self.spawn().unwrap_or_else(|log| panic!("redis-server does not come up again: {log}"));
        if matches!(self.endpoint, Endpoint::Cluster { .. }) {
            self.wait_for_slots();
        }
    }

    /// Takes a torn transaction off the end of the append-only file, as an administrator should after a crash.
    ///
    /// A write that SIGKILL or a loss of power cuts within a transaction leaves the file with a MULTI and no
    /// EXEC. Redis 7.0 cuts off the last command only; the half transaction is kept and is executed at the next
    /// start but one (valkey-io/valkey#4342 mends that).
    fn mend(&self) {
        let manifest = self.directory.path().join("appendonlydir/appendonly.aof.manifest");
        if !manifest.exists() {
            return;
        }
        let mut child = Command::new("redis-check-aof")
            .arg("--fix")
            .arg(manifest)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-check-aof comes with redis-server");
        // It asks only when there is something to mend, and may have ended before it reads the answer.
        child.stdin.take().expect("stdin is piped").write_all(b"y\n").ok();
        child.wait().expect("our own child can be waited for");
    }

    fn wait_for_slots(&self) {
        until("the cluster serves all slots", || {
            let info = redis::cmd("CLUSTER").arg("INFO").query::<String>(&mut self.connection());
            info.is_ok_and(|text| text.contains("cluster_state:ok"))
        });
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill9();
        if self.is_mounted {
            let unmounted = Command::new("umount").arg(self.directory.path()).status();
            if !unmounted.is_ok_and(|status| status.success()) {
                println!("{} is left behind", self.directory.path().display());
            }
        }
    }
}

/// Reads the server's log to its end, so that it never blocks on a full pipe. Sends once: `Ok` when it
/// accepts connections, the log so far when it ended before.
fn watch(stdout: ChildStdout) -> mpsc::Receiver<Result<(), String>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut log = String::new();
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines.by_ref() {
            if line.contains("eady to accept connections") {
                sender.send(Ok(())).ok();
                // The rest is read and dropped.
                lines.for_each(drop);
                return;
            }
            writeln!(log, "{line}").expect("a String takes any text");
        }
        sender.send(Err(log)).ok();
    });
    receiver
}

/// A loopback port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Waits until a condition holds; fails the test when it doesn't within [`PATIENCE`].
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
