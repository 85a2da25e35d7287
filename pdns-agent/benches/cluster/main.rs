//! Measures a store on a Redis Cluster beside one on a single server: `cargo xtask bench cluster`.
//!
//! Three masters, all on this machine, without replicas; and a single server, reached by TCP like them.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a program that prints times and ratios"
)]

#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/report.rs"]
mod report;

use pdns_agent::name::NameBuf;
use pdns_agent::store::{Options, Store};
use report::Report;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Number of masters.
const MASTERS: usize = 3;
/// Number of slots.
const SLOTS: usize = 16_384;
/// Time for a server to come up, and for a cluster to form.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most that a cluster may take of the time of a single server.
const KEPT: f64 = 1.1;
/// Rounds of each question; the fastest counts.
const ROUNDS: usize = 3;

/// Servers that hold one store; killed at the end.
struct Servers {
    children: Vec<Child>,
    ports: Vec<u16>,
}

fn main() {
    let Some(folder) = std::env::var_os("PDNS_BENCH").map(PathBuf::from) else {
        println!("skipping the measurements: run `cargo xtask bench cluster`");
        return;
    };
    let (log, out) = (folder.join("one-million.tsv"), folder.join("cluster.tsv"));
    let mut report = Report::new();
    let times = [1, MASTERS].map(|count| {
        let servers = Servers::start(&folder.join(format!("cluster-{count}")), count);
        servers.measure(&log)
    });
    let [single, cluster] = times;
    for (single, cluster) in single.iter().zip(&cluster) {
        let (what, alone) = single;
        report.number(&format!("ms of {what}, one server"), alone.as_secs_f64() * 1e3);
        report.number(&format!("ms of {what}, {MASTERS} masters"), cluster.1.as_secs_f64() * 1e3);
        let ratio = cluster.1.as_secs_f64() / alone.as_secs_f64();
        report.at_most(&format!("{what}: time with {MASTERS} masters, of one server"), ratio, KEPT);
    }
    report.write(&out);
}

impl Servers {
    /// Starts a single server, or the masters of a cluster.
    fn start(folder: &Path, count: usize) -> Self {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let buses: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let children = ports.iter().zip(&buses).map(|(port, bus)| {
            let folder = folder.join(port.to_string());
            fs::remove_dir_all(&folder).ok();
            fs::create_dir_all(&folder).expect("the folder can be made");
            let mut command = Command::new("redis-server");
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
                .args(["--hash-max-listpack-value", "4096", "--set-max-intset-entries", "8192"])
                .args(["--latency-tracking", "no"])
                .arg("--dir")
                .arg(folder);
            if count > 1 {
                command.args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
            }
            command.stdout(Stdio::null()).spawn().expect("redis-server is installed")
        });
        let servers = Self { children: children.collect(), ports };
        for port in &servers.ports {
            until(|| TcpStream::connect(("127.0.0.1", *port)).is_ok());
        }
        if count == 1 {
            return servers;
        }
        for (number, port) in servers.ports.iter().enumerate() {
            let first = SLOTS * number / count;
            let last = SLOTS * (number + 1) / count - 1;
            call(*port, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        let first = servers.ports.first().expect("there are masters");
        for (port, bus) in servers.ports.iter().zip(&buses).skip(1) {
            let words = ["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()];
            call(*first, &words);
        }
        until(|| {
            servers
                .ports
                .iter()
                .all(|port| call(*port, &["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
        servers
    }

    fn url(&self) -> String {
        let hosts: Vec<String> =
            self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let scheme = if hosts.len() > 1 { "redis-cluster" } else { "redis" };
        format!("{scheme}://{}", hosts.join(","))
    }

    /// Imports a log of new names and asks; each with its time.
    fn measure(&self, log: &Path) -> Vec<(&'static str, Duration)> {
        let run = |program: &str, words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).env("PDNS_REDIS", self.url()).stderr(Stdio::null());
            let begin = Instant::now();
            let ended = command.stdout(File::create("/dev/null").expect("it is there")).status();
            assert!(ended.is_ok_and(|status| status.success()), "{program} {words:?}");
            begin.elapsed()
        };
        let log = log.to_str().expect("the path is text");
        let agent = env!("CARGO_BIN_EXE_pdns-agent");
        let mut times =
            vec![("an import of a million new names", run(agent, &["zeek", "--once", log]))];
        for (what, words) in [
            ("a list of all records", &["find", "--limit", "0", "--format", "csv"][..]),
            ("the most counted domains", &["top", "--by", "domains"]),
            ("the most counted addresses", &["top", "--by", "addresses"]),
            ("all names in an IPv4 /8", &["45.0.0.0/8", "--limit", "0"]),
        ] {
            let rounds = (0..ROUNDS).map(|_| run(env!("CARGO_BIN_EXE_pdns"), words));
            times.push((what, rounds.min().unwrap_or_default()));
        }
        times.push(("10,000 look-ups", self.look_ups()));
        times
    }

    fn look_ups(&self) -> Duration {
        let options = Options { url: self.url(), ..Options::default() };
        let mut store = Store::open(&options).expect("the store opens");
        let mut names = Vec::new();
        let mut take = |block: &[u8]| {
            let lines = block.split(|&octet| octet == b'\n').step_by(97);
            let texts = lines.filter_map(|line| std::str::from_utf8(line).ok());
            names.extend(texts.filter_map(|text| NameBuf::parse(text).ok()));
            ControlFlow::Continue(())
        };
        store.reader().names(None, &mut take).expect("the store answers");
        let begin = Instant::now();
        for name in names.iter().cycle().take(10_000) {
            let found =
                store.reader().lookup_name(name.as_name(), true).expect("the store answers");
            let mut each = |_| ControlFlow::Continue(());
            store.reader().own_records(&found, &mut each).expect("the store answers");
        }
        begin.elapsed()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn call(port: u16, words: &[&str]) -> String {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("a URL");
    let mut connection = client.get_connection().expect("the server takes connections");
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query(&mut connection).expect("the server accepts the command")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "the servers do not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}
