//! A redis-server for the measurements: private, on a Unix socket, without persistence, with the settings
//! that the managed store has.

use pdns_agent::name::NameBuf;
use pdns_agent::store::{Kind, Options, Store};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Pause between two look-ups.
const PAUSE: Duration = Duration::from_millis(2);
/// Commands of `redis-benchmark`.
const COMMANDS: u32 = 2_000_000;

/// The server; killed at the end.
pub(crate) struct Server {
    child: Child,
    socket: PathBuf,
}

/// Processor time of the server, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Spent(f64);

impl Spent {
    pub(crate) fn since(self, before: Self) -> Self {
        Self(self.0 - before.0)
    }

    pub(crate) fn per_second(self, count: u64) -> f64 {
        count as f64 / self.0
    }

    pub(crate) fn time(self) -> Duration {
        Duration::from_secs_f64(self.0.max(0.0))
    }
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, None)
    }

    /// Starts with what is in a snapshot, a file of that name in the directory, if it is there.
    pub(crate) fn start_with(directory: &Path, snapshot: Option<&str>) -> Self {
        let socket = directory.join("redis.sock");
        std::fs::remove_file(&socket).ok();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--hash-max-listpack-value", "4096", "--set-max-intset-entries", "8192"])
            .args(["--latency-tracking", "no", "--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(directory)
            .args(["--dbfilename", snapshot.unwrap_or("none.rdb")])
            .arg("--unixsocket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: `cargo xtask test` does it");
        let server = Self { child, socket };
        // A snapshot takes its time to load.
        let deadline = Instant::now() + Duration::from_mins(2);
        while !server.is_ready() {
            assert!(Instant::now() < deadline, "redis-server does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    fn is_ready(&self) -> bool {
        let connection = redis::Client::open(self.url()).and_then(|client| client.get_connection());
        connection.is_ok_and(|mut server| redis::cmd("PING").query::<String>(&mut server).is_ok())
    }

    /// Removes the store with a prefix.
    pub(crate) fn remove(&self, prefix: &str) {
        let mut connection = self.connection();
        let keys =
            redis::cmd("KEYS").arg(format!("{prefix}*")).query::<Vec<Vec<u8>>>(&mut connection);
        for keys in keys.expect("KEYS").chunks(1000) {
            redis::cmd("DEL").arg(keys).exec(&mut connection).expect("DEL");
        }
    }

    /// Writes the snapshot.
    pub(crate) fn save(&self) {
        let () = redis::cmd("SAVE").query(&mut self.connection()).expect("SAVE");
    }

    /// Forgets which logs were read, so that one can be read again.
    pub(crate) fn forget_sources(&self) {
        let mut store = self.store();
        let sources = store.reader().sources().expect("the store tells its logs");
        let ids: Vec<[u8; 16]> = sources.iter().map(|(id, _)| *id).collect();
        store.writer().remove_sources(&ids).expect("they are there");
    }

    pub(crate) fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("a URL of our own making");
        client.get_connection().expect("the server takes connections")
    }

    pub(crate) fn store(&self) -> Store {
        let options = Options { url: self.url(), ..Options::default() };
        Store::open(&options).expect("the store opens")
    }

    fn info(&self, field: &str) -> f64 {
        let info: String =
            redis::cmd("INFO").query(&mut self.connection()).expect("the server tells its state");
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse().ok()).expect("the server tells its use")
    }

    pub(crate) fn spent(&self) -> Spent {
        Spent(self.info("used_cpu_user") + self.info("used_cpu_sys"))
    }

    pub(crate) fn memory(&self) -> u64 {
        // Whole octets, far below 2^53.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        {
            self.info("used_memory") as u64
        }
    }

    pub(crate) fn flush(&self) {
        let () = redis::cmd("FLUSHALL").query(&mut self.connection()).expect("FLUSHALL");
    }

    pub(crate) fn records(&self) -> u64 {
        self.store().reader().summary().expect("the store tells its state").records
    }

    /// Records whose last sighting is at `time` or later.
    pub(crate) fn touched_since(&self, time: u32) -> u64 {
        let mut touched = 0;
        self.store()
            .reader()
            .scan(Kind::Record, |_, seen, _| {
                touched += u64::from(seen.time_last >= time);
                ControlFlow::Continue(())
            })
            .expect("the store can be read");
        touched
    }

    /// Imports a log with the real agent.
    pub(crate) fn import(&self, log: &Path) {
        self.import_with(log, &[]);
    }

    /// The same with further flags.
    pub(crate) fn import_with(&self, log: &Path, flags: &[&str]) {
        let status = Command::new(env!("CARGO_BIN_EXE_pdns-agent"))
            .args(["zeek", "--once"])
            .args(flags)
            .arg(log)
            .env("PDNS_REDIS", self.url())
            .stderr(Stdio::null())
            .status()
            .expect("the agent runs");
        assert!(status.success(), "the agent failed");
    }

    /// Looks up names one after the other until `is_over`; returns the times, sorted.
    pub(crate) fn look_up(
        &self,
        names: &[NameBuf],
        is_over: &dyn Fn(usize) -> bool,
    ) -> Vec<Duration> {
        let mut store = self.store();
        let mut times = Vec::new();
        for name in names.iter().cycle() {
            if is_over(times.len()) {
                break;
            }
            let begin = Instant::now();
            let found =
                store.reader().lookup_name(name.as_name(), true).expect("the store answers");
            let mut rows = 0;
            let mut each = |_| {
                rows += 1;
                ControlFlow::Continue(())
            };
            store.reader().own_records(&found, &mut each).expect("the store answers");
            times.push(begin.elapsed());
            assert!(rows > 0, "{name} is gone");
            std::thread::sleep(PAUSE);
        }
        times.sort_unstable();
        times
    }

    /// HINCRBY on random keys, each per second of processor time.
    pub(crate) fn limit(&self) -> f64 {
        let before = self.spent();
        let status = Command::new("redis-benchmark")
            .arg("-s")
            .arg(&self.socket)
            .args(["-P", "64", "-c", "4", "-r", "10000000", "-n", &COMMANDS.to_string(), "-q"])
            .args(["HINCRBY", "limit:__rand_int__", "f", "1"])
            .stdout(Stdio::null())
            .status()
            .expect("redis-benchmark is installed: `cargo xtask test` does it");
        assert!(status.success(), "redis-benchmark failed");
        self.spent().since(before).per_second(COMMANDS.into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
