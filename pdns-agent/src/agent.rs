//! The sensor: reads logs and packets and keeps the store up to date.
//!
//! Connects the parts: `source` reads logs, capture files and interfaces, `decode` turns their lines and
//! packets into observations, `aggregate` collects these in windows, `store` stores the windows.
//!
//! - `log_session` reads logs: `log_scheduler` selects them, threads of `log_reader` read them, `open_log`
//!   tracks the progress of each, `log_files` keeps their state between readings, `log_problems` reports their
//!   problems. A session lasts as long as the store it writes to; if that is emptied or replaced, the next
//!   session starts from scratch, as after a restart.
//! - `pcap_import` reads capture files. `live` captures on interfaces, `pipe` reads input that comes only
//!   once: both use a `packet_pipeline`, which keeps packets until they are stored safely.
//! - `batch_sender` holds what was observed but is not in the store yet, `writer` is the thread that stores
//!   it.
//! - `health` is the state of the store as the writers see it. `metrics` publishes the current
//!   state, `report` the final one, `copies` which files had been read before.

mod batch_sender;
mod copies;
mod health;
mod live;
mod log_files;
mod log_problems;
mod log_reader;
mod log_scheduler;
mod log_session;
mod log_tasks;
mod merged_log;
mod metrics;
mod open_log;
mod packet_pipeline;
mod pcap_import;
mod pipe;
mod report;
mod standard_input;
mod writer;

pub use copies::{Copies, NothingNew};
pub use report::{Input, LogReport, PacketReport, Report};

use crate::config::exit;
use crate::decode::log::Format;
use crate::decode::packets;
use crate::monitor;
use crate::source::{CaptureError, PcapError, SourceError, Waker};
use crate::store::{NewNames, Options, Retry, SourceState, Store, StoreError};
use metrics::Metrics;
use standard_input::Copied;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// Interval of checks whether Redis answers.
const WATCH: Duration = Duration::from_millis(500);

/// Settings of the agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: Options,
    /// Name of this sensor, displayed with its records.
    pub sensor: String,
    /// Maximum time that observations may wait before they go to the store.
    pub flush: Duration,
    /// Memory in bytes for windows and the batches packed from them, all threads together.
    pub memory: usize,
    /// Maximum number of threads that read files.
    pub workers: usize,
    /// Address that serves metrics and health: an address and port, or the path of a Unix socket.
    pub listen: Option<String>,
    /// True to draw a progress bar.
    pub progress: bool,
    /// Bound on the new names of one domain on one day.
    pub new_names: NewNames,
    /// Source of the answers.
    pub source: Source,
}

/// Source of the answers.
#[derive(Clone, Debug)]
pub enum Source {
    /// Logs of Zeek or Suricata, or passive DNS from elsewhere.
    Logs(Logs),
    /// Capture files.
    Pcap(Captures),
    /// Network interfaces.
    Ebpf(Interfaces),
}

/// Logs to read, with options.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Program that wrote them, with its options.
    pub format: Format,
    /// Files, directories and globs.
    pub inputs: Vec<PathBuf>,
    /// True to stop at the present end.
    pub once: bool,
}

/// Capture files to read, with options.
#[derive(Clone, Debug)]
pub struct Captures {
    /// Files and directories; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    /// Options for decoding packets.
    pub packets: packets::PacketOptions,
}

/// Interfaces to capture on, with options.
#[derive(Clone, Debug)]
pub struct Interfaces {
    /// Each interface with its sensor name.
    pub interfaces: Vec<(String, String)>,
    /// Size of each interface's ring buffer in bytes.
    pub ring: usize,
    /// True to capture packets addressed to other stations too.
    pub promiscuous: bool,
    /// Options for decoding packets.
    pub packets: packets::PacketOptions,
}

/// Reason why the agent gave up.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The store is unusable.
    #[error("cannot use the store")]
    Store(#[source] StoreError),
    /// An input is invalid.
    #[error("cannot read the input")]
    Source(#[from] SourceError),
    /// Some observations could not be stored before the end.
    #[error("{sightings} answers that were seen last are lost: they could not be stored")]
    Lost {
        /// Number of observations.
        sightings: u64,
        /// The store's error.
        #[source]
        cause: StoreError,
    },
    /// The agent was stopped while it waited for a store that it had not used yet.
    #[error("stopped before the store could be used")]
    Stopped(#[source] StoreError),
    /// The path does not exist, and nothing can be waited for.
    #[error("{}: no such file or directory", .0.display())]
    Missing(PathBuf),
    /// No file matches a pattern.
    #[error("no file matches {0}")]
    NoMatch(String),
    /// Standard input cannot be copied.
    #[error("cannot copy standard input to a temporary file in {}: make room there, or set TMPDIR", std::env::temp_dir().display())]
    StandardInput(#[source] std::io::Error),
    /// An interface cannot be captured on.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A capture cannot be read.
    #[error(transparent)]
    Pcap(#[from] PcapError),
    /// Metrics cannot be served.
    #[error("cannot listen on {address} for metrics: give --listen another address")]
    Listen {
        /// The configured address.
        address: String,
        /// The system's error.
        #[source]
        cause: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl AgentError {
    /// The exit status that tells a service manager whether to restart the agent.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            // The previous agent may not have ended yet.
            Self::Listen { cause, .. } if cause.kind() == ErrorKind::AddrInUse => exit::FAILED,
            // Once the store has worked, only an incompatible store ends the agent.
            Self::Store(_) | Self::Source(_) | Self::Capture(_) | Self::Listen { .. } => {
                exit::CONFIGURATION
            }
            Self::Lost { .. }
            | Self::Stopped(_)
            | Self::Missing(_)
            | Self::NoMatch(_)
            | Self::StandardInput(_)
            | Self::Pcap(_)
            | Self::Thread(_) => exit::FAILED,
        }
    }
}

/// Tells the agent to stop: used by the signal handler's thread, or a test.
#[derive(Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    waker: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl Stop {
    /// Requests an orderly end: everything read is stored first.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Release);
        if let Ok(waker) = self.waker.lock()
            && let Some(waker) = &*waker
        {
            waker.wake();
        }
    }

    /// Returns true if the end was requested.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Registers a sleeper to wake on request.
    fn wakes(&self, waker: Waker) {
        if let Ok(mut slot) = self.waker.lock() {
            *slot = Some(waker);
        }
    }

    /// Sleeps until the time has passed or a stop is requested; returns `false` in the latter case.
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

/// Stores the answers of the sources until `stop`, or until the end of the input.
///
/// # Errors
/// [`AgentError`] if the store never worked or is incompatible, or if an input is invalid. Once the store has
/// worked, the agent waits until its other errors are over; unreadable lines, packets and files are counted
/// in the report.
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
            pcap_import::run(settings, captures, stop, &metrics).map(Input::Packets)
        }
        Source::Ebpf(interfaces) => {
            let captures = live::open(interfaces)?;
            // After the code that needs capabilities, so that these threads have none either.
            _watch = start(settings, &metrics)?;
            live::run(settings, interfaces, captures, stop, &metrics).map(Input::Packets)
        }
    }?;
    let (stored, unwritten) = metrics.health.conclusion();
    Ok(Report { input, stored, unwritten })
}

/// Starts the background tasks: serving metrics, if configured, and watching whether Redis answers. They run
/// until the returned value is dropped.
fn start(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Sender<()>, AgentError> {
    if let Some(address) = &settings.listen {
        monitor::start(address, metrics)
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
    let mut logs = logs.clone();
    // Only an import takes standard input: a log that is followed has a path. The copy is kept to the end.
    let copy = if logs.format == Format::Cof {
        standard_input::resolve(&mut logs.inputs, stop)?
    } else {
        Copied::Nothing
    };
    if matches!(copy, Copied::Stopped) {
        return Ok(report);
    }
    let logs = &logs;
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
    keys.extend(pcap_import::captures_of(path, &sources, store)?);
    let mut met = HashSet::new();
    keys.retain(|key| met.insert(*key));
    Ok(keys)
}

/// Whole seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
