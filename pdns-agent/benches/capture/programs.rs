//! The programs that capture: ours, which decodes and stores, and two that only write packets to a file.

use crate::network::{Network, SEEN};
use crate::server::Server;
use pdns_agent::store::Kind;
use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a peer takes until it captures, which not all of them tell, and the agent's counters to be right.
const SETTLE: Duration = Duration::from_secs(1);

/// One program with its buffer.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) kind: Which,
    /// MiB between kernel and program; `None` for what it has by default.
    pub(crate) buffer: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Agent,
    Dnscap,
    Dumpcap,
}

/// How a capture went.
pub(crate) struct Outcome {
    /// Packets that were sent and are not accounted for.
    pub(crate) lost: u64,
    /// Whether all sightings are in the store; of a peer: true.
    pub(crate) is_stored: bool,
    /// Processor time of the program, and of the store.
    pub(crate) spent: (Duration, Duration),
}

impl Program {
    pub(crate) fn name(self) -> String {
        let name = match self.kind {
            Which::Agent => "pdns-agent",
            Which::Dnscap => "dnscap",
            Which::Dumpcap => "dumpcap",
        };
        match self.buffer {
            Some(buffer) => format!("{name}, {buffer} MiB"),
            None => format!("{name}, its own buffer"),
        }
    }

    /// Captures what `send` sends and says how many packets it were. `sightings`: how many records that brings.
    pub(crate) fn capture(
        self,
        network: &Network,
        server: &Server,
        folder: &Path,
        send: &dyn Fn() -> (u64, u64),
    ) -> Outcome {
        match self.kind {
            Which::Agent => self.agent(network, server, folder, send),
            Which::Dnscap | Which::Dumpcap => self.peer(network, folder, send),
        }
    }

    fn agent(
        self,
        network: &Network,
        server: &Server,
        folder: &Path,
        send: &dyn Fn() -> (u64, u64),
    ) -> Outcome {
        server.flush();
        let metrics = folder.join("metrics");
        std::fs::remove_file(&metrics).ok();
        let mut command = network.command(env!("CARGO_BIN_EXE_pdns-agent"));
        command.args(["ebpf", "--interface", SEEN, "--sensor", "bench", "--redis", &server.url()]);
        command.arg("--listen").arg(&metrics).env_remove("PDNS_REDIS");
        if let Some(buffer) = self.buffer {
            command.args(["--ring", &buffer.to_string()]);
        }
        let before = server.spent();
        let running = Running::start(&mut command);
        let counter =
            |name: &str| scrape(&metrics, &format!("pdns_capture_packets_{name}_total{{"));
        wait_for("the agent's metrics", || counter("seen").is_some());
        let (sent, sightings) = send();
        std::thread::sleep(SETTLE);
        let [seen, lost] = ["seen", "lost"].map(|name| counter(name).expect("the agent listens"));
        let spent = running.stop("-TERM");
        let stored = server.sightings();
        assert!(stored <= sightings, "more is stored than was sent: {stored}, not {sightings}");
        Outcome {
            lost: lost + sent.abs_diff(seen),
            is_stored: stored == sightings,
            spent: (spent, server.spent().since(before).time()),
        }
    }

    fn peer(self, network: &Network, folder: &Path, send: &dyn Fn() -> (u64, u64)) -> Outcome {
        let files = folder.join("peer");
        std::fs::remove_dir_all(&files).ok();
        std::fs::create_dir_all(&files).expect("a folder can be made");
        let out = files.join("packets");
        let mut command;
        if self.kind == Which::Dnscap {
            command = network.command("dnscap");
            // Without `-N` it gives up its rights before it makes its file.
            command.args(["-N", "-i", SEEN, "-w"]).arg(&out);
            if let Some(buffer) = self.buffer {
                command.arg("-o").arg(format!("pcap_buffer_size={}", buffer << 20));
            }
        } else {
            command = network.command("dumpcap");
            command.args(["-q", "-P", "-i", SEEN, "-f", "port 53", "-w"]).arg(&out);
            if let Some(buffer) = self.buffer {
                command.args(["-B", &buffer.to_string()]);
            }
        }
        let running = Running::start(&mut command);
        std::thread::sleep(SETTLE);
        let (sent, _) = send();
        std::thread::sleep(SETTLE);
        let spent = running.stop("-INT");
        let paths = std::fs::read_dir(&files).expect("our own folder");
        let written: u64 = paths.map(|file| packets(&file.expect("a file").path())).sum();
        std::fs::remove_dir_all(&files).ok();
        Outcome { lost: sent.abs_diff(written), is_stored: true, spent: (spent, Duration::ZERO) }
    }
}

/// A program that runs; killed if it is not stopped.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(Some(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))))
    }

    /// Ends it by a signal and returns the processor time that it took.
    fn stop(mut self, signal: &str) -> Duration {
        let Some(mut child) = self.0.take() else { return Duration::ZERO };
        let spent = processor_time(child.id());
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the program ended before its time");
        wait_for("the program's end", || child.try_wait().expect("our own child").is_some());
        spent
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// User and system time of a process, in the kernel's hundredths of a second.
fn processor_time(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything; utime and stime are the 14th and 15th field, the state the third.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number of the metrics page, by what its line begins with.
fn scrape(socket: &Path, start: &str) -> Option<u64> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.lines().find(|line| line.starts_with(start))?.rsplit(' ').next()?.parse().ok()
}

/// Packets in a capture file of the classic format and this machine's order of octets.
fn packets(path: &PathBuf) -> u64 {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).expect("it was just listed"));
    let mut header = [0; 24];
    if file.read_exact(&mut header).is_err() {
        return 0;
    }
    let (mut count, mut header) = (0, [0; 16]);
    while file.read_exact(&mut header).is_ok() {
        let [_, _, length, _] = header.as_chunks::<4>().0 else { break };
        let length = i64::from(u32::from_ne_bytes(*length));
        if file.seek_relative(length).is_err() {
            break;
        }
        count += 1;
    }
    count
}

impl Server {
    /// The sum of the counts of all records.
    fn sightings(&self) -> u64 {
        let mut sum = 0;
        self.store()
            .reader()
            .scan(Kind::Record, |_, seen, _| {
                sum += seen.count;
                ControlFlow::Continue(())
            })
            .expect("the store can be read");
        sum
    }
}
