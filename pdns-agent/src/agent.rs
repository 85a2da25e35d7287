//! The sensor's work: logs and packets in, store up to date, again and again.
//!
//! Wires the flow together: `source` reads logs, capture files and interfaces, `decode` makes observations of
//! their lines and packets, `aggregate` gathers them in windows, `store` takes the windows.
//!
//! - `log_session` reads logs: `log_scheduler` says which, threads of `log_reader` read them, `open_log` is how far
//!   each is, `log_files` what is kept of each between readings, `log_problems` what there is to tell of them.
//!   A session lasts as long as the store it writes to; if that is emptied or replaced, the next session begins from
//!   nothing, as after a restart.
//! - `captured` reads capture files. `live` listens to interfaces, `pipe` reads what comes only once: both in
//!   `lane`s, which keep what is not safe yet.
//! - `outbox` is what was seen and is not in the store yet, `writer` the thread that brings it there.
//! - `health` is the state of the store as the writers find it. `metrics` and `listen` say how it goes meanwhile,
//!   `report` how it went, `copies` which files had been read before.

mod captured;
mod copies;
mod health;
mod lane;
mod listen;
mod live;
mod log_files;
mod log_problems;
mod log_reader;
mod log_scheduler;
mod log_session;
mod log_tasks;
mod metrics;
mod open_log;
mod outbox;
mod pipe;
mod report;
mod writer;

pub use copies::{Copies, NothingNew};
pub use report::{Input, LogReport, PacketReport, Report};

use crate::config::exit;
use crate::decode::log::Format;
use crate::decode::packets;
use crate::source::{CaptureError, PcapError, SourceError, Waker};
use crate::store::{Options, Retry, SourceState, Store, StoreError};
use metrics::Metrics;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// How often it is looked whether Redis answers.
const WATCH: Duration = Duration::from_millis(500);

/// What the agent is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: Options,
    /// Name of this sensor, as it will be shown with records.
    pub sensor: String,
    /// How long what was seen may wait before it goes to the store.
    pub flush: Duration,
    /// Octets of memory for windows and what is packed of them, all threads together.
    pub memory: usize,
    /// Threads that read files, at most.
    pub workers: usize,
    /// Where metrics and health can be asked for: an address and port, or the path of a Unix socket.
    pub listen: Option<String>,
    /// Draw a progress bar.
    pub progress: bool,
    /// Where the answers come from.
    pub source: Source,
}

/// Where the answers come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Logs of Zeek or Suricata.
    Logs(Logs),
    /// Capture files.
    Pcap(Captures),
    /// Network interfaces.
    Ebpf(Interfaces),
}

/// Which logs to read, and how.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Who wrote them, and what to take from them.
    pub format: Format,
    /// Files, directories and globs.
    pub inputs: Vec<PathBuf>,
    /// Stop at the end of what is there.
    pub once: bool,
}

/// Which capture files to read, and how.
#[derive(Clone, Debug)]
pub struct Captures {
    /// Files and directories; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    /// What to take from them.
    pub packets: packets::Options,
}

/// Which interfaces to capture on, and how.
#[derive(Clone, Debug)]
pub struct Interfaces {
    /// Each interface, and the sensor that it is.
    pub interfaces: Vec<(String, String)>,
    /// Octets of each interface's ring buffer.
    pub ring: usize,
    /// Take packets that are for others, too.
    pub promiscuous: bool,
    /// What to take from them.
    pub packets: packets::Options,
}

/// Why the agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The store cannot be used.
    #[error("cannot use the store")]
    Store(#[source] StoreError),
    /// An input is wrong.
    #[error("cannot read the input")]
    Source(#[from] SourceError),
    /// What was seen could not be stored before the end.
    #[error("{sightings} answers that were seen last are lost: they could not be stored")]
    Lost {
        /// How many.
        sightings: u64,
        /// What the store said.
        #[source]
        cause: StoreError,
    },
    /// The agent was stopped while it waited for a store that it never used.
    #[error("stopped before the store could be used")]
    Stopped(#[source] StoreError),
    /// Nothing to read, and nothing to wait for.
    #[error("{}: no such file or directory", .0.display())]
    Missing(PathBuf),
    /// A pattern of file names that no file has.
    #[error("no file matches {0}")]
    NoMatch(String),
    /// An interface cannot be captured on.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A capture cannot be read.
    #[error(transparent)]
    Pcap(#[from] PcapError),
    /// Metrics cannot be served.
    #[error("cannot listen on {address} for metrics: give --listen another address")]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl AgentError {
    /// The exit status that tells a service manager whether to try again.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            // The agent before this one may not have ended yet.
            Self::Listen { cause, .. } if cause.kind() == ErrorKind::AddrInUse => exit::FAILED,
            // Once the store has worked, only an incompatible one ends the agent.
            Self::Store(_) | Self::Source(_) | Self::Capture(_) | Self::Listen { .. } => {
                exit::CONFIGURATION
            }
            Self::Lost { .. }
            | Self::Stopped(_)
            | Self::Missing(_)
            | Self::NoMatch(_)
            | Self::Pcap(_)
            | Self::Thread(_) => exit::FAILED,
        }
    }
}

/// Tells the agent to stop: from a signal handler's thread, or a test.
#[derive(Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    waker: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl Stop {
    /// Asks for an orderly end: what was read goes to the store first.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
        if let Ok(waker) = self.waker.lock()
            && let Some(waker) = &*waker
        {
            waker.wake();
        }
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Remembers whom to wake.
    fn wakes(&self, waker: Waker) {
        if let Ok(mut slot) = self.waker.lock() {
            *slot = Some(waker);
        }
    }

    /// Sleeps, but not beyond the request to stop; `false` when that came.
    fn sleep(&self, time: Duration) -> bool {
        let step = Duration::from_millis(50);
        let mut left = time;
        while !left.is_zero() && !self.is_stopped() {
            let now = left.min(step);
            thread::sleep(now);
            left -= now;
        }
        !self.is_stopped()
    }
}

/// Brings what the sources say into the store until `stop`, or to the end of what is there.
///
/// # Errors
/// [`AgentError`] when the store never worked or is incompatible, or an input is wrong. Once the store has worked all
/// its other errors are waited out; a line, a packet or a file that cannot be read is counted in the report.
pub fn run(settings: &Settings, stop: &Stop) -> Result<Report, AgentError> {
    let metrics = Arc::new(Metrics::default());
    let _watch;
    let input = match &settings.source {
        Source::Logs(logs) => {
            _watch = start(settings, &metrics)?;
            read_logs(settings, logs, stop, &metrics).map(Input::Logs)
        }
        Source::Pcap(captures) => {
            _watch = start(settings, &metrics)?;
            captured::run(settings, captures, stop, &metrics).map(Input::Packets)
        }
        Source::Ebpf(interfaces) => {
            let captures = live::open(interfaces)?;
            // Behind what takes capabilities, so that these threads have none either.
            _watch = start(settings, &metrics)?;
            live::run(settings, interfaces, captures, stop, &metrics).map(Input::Packets)
        }
    }?;
    let (stored, unwritten) = metrics.health.conclusion();
    Ok(Report { input, stored, unwritten })
}

/// Starts what goes on beside reading: serving metrics, if that is asked for, and watching whether Redis answers,
/// until the value is dropped.
fn start(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Sender<()>, AgentError> {
    if let Some(address) = &settings.listen {
        listen::start(address, metrics)
            .map_err(|cause| AgentError::Listen { address: address.clone(), cause })?;
    }
    let (sender, end) = channel();
    let metrics = Arc::clone(metrics);
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            while end.recv_timeout(WATCH) == Err(RecvTimeoutError::Timeout) {
                metrics.health.watch();
            }
        })
        .map_err(AgentError::Thread)?;
    Ok(sender)
}

fn read_logs(
    settings: &Settings,
    logs: &Logs,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<LogReport, AgentError> {
    let mut report = LogReport::default();
    loop {
        match log_session::session(settings, logs, stop, metrics, &mut report) {
            Err(AgentError::Store(error))
                if error.retry() == Retry::Reopen && !stop.is_stopped() =>
            {
                tracing::warn!("{error}; logs are compared with it again");
                stop.sleep(Duration::from_secs(1));
            }
            Err(AgentError::Store(error)) if stop.is_stopped() && error.retry() == Retry::Wait => {
                tracing::warn!(cause = %error, "stopped while waiting for the store");
                // A store that was never reached leaves nothing unwritten that was read.
                if logs.once || error.refuses_writes() {
                    metrics.health.give_up(&error);
                }
                return Ok(report);
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(report),
        }
    }
}

/// The identities under which the store knows what a file holds, whatever its name and packing, each once: for
/// `pdns admin forget-source`. None for a file that is not there.
///
/// # Errors
/// When the store does not answer, or what it holds does not read.
pub fn sources_of(
    path: &Path,
    sources: &[([u8; 16], SourceState)],
    store: &mut Store,
) -> Result<Vec<[u8; 16]>, StoreError> {
    // A pipe would be waited for, and read.
    if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return Ok(Vec::new());
    }
    let sources: HashMap<[u8; 16], SourceState> = sources.iter().cloned().collect();
    let mut keys = open_log::logs_of(path, &sources, store)?;
    keys.extend(captured::captures_of(path, &sources, store)?);
    let mut met = HashSet::new();
    keys.retain(|key| met.insert(*key));
    Ok(keys)
}

/// Whole seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
