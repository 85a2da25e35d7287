//! Capture files: each read to its end, into the store, once.
//!
//! A file is known by all of its content, and how far it is applied is kept in the store, as with logs. What its
//! packets say depends on the ones before them, so a file that was left half-way is decoded from its beginning
//! again, and what is applied already is passed over.

use super::follow::bar;
use super::lane::{self, Landed, Lane};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::pipe::Pipe;
use super::report::PacketReport;
use super::writer::{self, Means, Writer};
use super::{AgentError, Captures, Settings, Stop, now};
use crate::aggregate::Window;
use crate::decode::packets::{Decoder, Options};
use crate::hash::{Hasher, Router};
use crate::observation::Observation;
use crate::source::{CaptureFile, Condition, PcapError, Step, capture_files};
use crate::store::{Checkpoint, SourceState, StoreError};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Packets read between looks at the window and at the request to stop. Each may bring a message of 64 KiB, and
/// the window has to bear what they bring together.
const BUDGET: usize = 64;

/// Reads all files and pipes.
pub(super) fn run(
    settings: &Settings,
    captures: &Captures,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<PacketReport, AgentError> {
    let (pipes, files): (Vec<PathBuf>, Vec<PathBuf>) =
        captures.inputs.iter().cloned().partition(|path| is_pipe(path));
    let lanes = pipes.iter().map(|path| pipe_lane(settings, captures, path, stop, metrics));
    let threads = lanes.collect::<Result<_, AgentError>>()?;
    let report = if files.is_empty() {
        PacketReport::default()
    } else {
        read_files(settings, &Captures { inputs: files, ..captures.clone() }, stop, metrics)?
    };
    let mut sum = lane::join(threads)?;
    sum.merge(&report);
    Ok(sum)
}

/// Whether what is there can be read only once.
fn is_pipe(path: &Path) -> bool {
    path.as_os_str() == "-"
        || std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Starts to read what can be read only once.
fn pipe_lane(
    settings: &Settings,
    captures: &Captures,
    path: &Path,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<JoinHandle<Landed>, AgentError> {
    // It is known by chance, and not by its content.
    let file = CaptureFile::open(path, &Hasher::new(&[0; 16]))?;
    lane::start(Lane {
        tap: Pipe::start(file).map_err(AgentError::Thread)?,
        name: path.display().to_string(),
        path: format!("pcap:{}", path.display()),
        sensor: settings.sensor.clone(),
        condition: Condition::Up,
        decoder: Decoder::new(&captures.packets),
        settings: settings.clone(),
        room: settings.memory / captures.inputs.len().max(1),
        means: lane::means(stop, metrics),
    })
}

/// Reads all that are files, however often the store is another one.
fn read_files(
    settings: &Settings,
    captures: &Captures,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<PacketReport, AgentError> {
    let reconnected = Arc::default();
    let mut report = PacketReport::default();
    loop {
        let connections = connections(&reconnected);
        match session(settings, captures, (stop, metrics, &reconnected), &mut report) {
            Err(AgentError::Store(StoreError::Replaced)) if !stop.is_stopped() => {
                tracing::warn!("the store was emptied or replaced; all files are read again");
                stop.sleep(Duration::from_secs(1));
            }
            // Redis may have come back without what was done before: files that it has are passed over.
            Ok(()) if connections != self::connections(&reconnected) && !stop.is_stopped() => {}
            Err(AgentError::Store(error)) if stop.is_stopped() && error.is_transient() => {
                tracing::warn!(%error, "stopped while the store was away; what was not written is read again next time");
                return Ok(report);
            }
            result => return result.map(|()| report),
        }
    }
}

fn connections(reconnected: &AtomicU64) -> u64 {
    reconnected.load(Ordering::Relaxed)
}

/// Reads all files into one store, and adds to the report.
fn session(
    settings: &Settings,
    captures: &Captures,
    (stop, metrics, reconnected): (&Stop, &Arc<Metrics>, &Arc<AtomicU64>),
    report: &mut PacketReport,
) -> Result<(), AgentError> {
    let files = capture_files(&captures.inputs)?;
    let workers = settings.workers.min(files.len()).max(1);
    let room = settings.memory / workers;
    let bar = bar(settings.progress);
    bar.set_length(files.iter().filter_map(|path| size(path)).sum());
    let queue = Arc::new(Mutex::new(VecDeque::from(files)));
    let means = Means {
        stop: stop.clone(),
        grace: Duration::ZERO,
        reconnected: Arc::clone(reconnected),
        metrics: Arc::clone(metrics),
    };
    let mut threads = Vec::new();
    for number in 0..workers {
        let (store, opened) = writer::open(&settings.store, &settings.sensor, false, stop)?;
        let writer = Writer::start(store, means.clone())?;
        let window = Window::new(opened.router.clone(), room);
        let reader = Reader {
            options: captures.packets.clone(),
            sensor: settings.sensor.clone(),
            router: opened.router.clone(),
            outbox: Outbox::new(window, writer, &opened),
            means: means.clone(),
            bar: bar.clone(),
            report: PacketReport::default(),
        };
        let queue = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name(format!("reader-{number}"))
            .spawn(move || reader.run(&queue))
            .map_err(AgentError::Thread)?;
        threads.push(thread);
    }
    let result = report.gather(threads);
    bar.finish_and_clear();
    result.map_err(AgentError::Store)
}

/// A thread's means.
struct Reader {
    options: Options,
    sensor: String,
    router: Router,
    outbox: Outbox,
    means: Means,
    bar: ProgressBar,
    report: PacketReport,
}

/// Why a file was not read to its end.
enum Failure {
    Store(StoreError),
    File(PcapError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PcapError> for Failure {
    fn from(error: PcapError) -> Self {
        Self::File(error)
    }
}

impl Reader {
    fn run(mut self, queue: &Mutex<VecDeque<PathBuf>>) -> (PacketReport, Result<(), StoreError>) {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(path) = next() {
            loop {
                match self.file(&path) {
                    Ok(()) => break,
                    Err(Failure::File(error)) => {
                        self.report.fail(&error);
                        break;
                    }
                    Err(Failure::Store(StoreError::Conflict))
                        if self.means.stop.sleep(Duration::from_millis(100)) =>
                    {
                        tracing::warn!(path = %path.display(), "another agent reads this file, or Redis lost data; reading it again");
                    }
                    Err(Failure::Store(error)) => return (self.report, Err(error)),
                }
            }
            self.bar.inc(size(&path).unwrap_or(0));
            if self.means.stop.is_stopped() {
                break;
            }
        }
        (self.report, Ok(()))
    }

    /// Reads one file to its end.
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let mut file = CaptureFile::open(path, self.router.hasher())?;
        let id = file.id().0;
        let (state, mut checkpoint) = self.outbox.writer.load(id)?;
        if state.is_some_and(|state| state.complete) {
            self.report.unchanged += 1;
            return Ok(());
        }
        for end in checkpoint.open_ends() {
            checkpoint = self.finish(path, id, checkpoint, end)?;
        }
        let mut decoder = Decoder::new(&self.options);
        let (mut position, mut result) = (0, Ok(true));
        while matches!(result, Ok(true)) && !self.means.stop.is_stopped() {
            let window = &mut self.outbox.window;
            let mut each = |observation: Observation<'_>, start: u64| {
                if !checkpoint.covers(window.place(observation.rrname), start) {
                    window.add(&observation);
                }
            };
            result = read(&mut file, &mut decoder, &mut position, u64::MAX, &mut each);
            if matches!(result, Ok(true)) && self.outbox.window.is_full() {
                let state = self.state(path, position, false, &decoder);
                if let Some(settled) = self.outbox.taken_back()? {
                    checkpoint = settled;
                }
                self.outbox.ship(id, checkpoint.clone(), (position, false), Some(state));
            }
        }
        if position == 0
            && file.refused() == 0
            && let Err(error) = result
        {
            // No capture at all.
            return Err(error.into());
        }
        decoder.refuse(file.refused());
        // What came before an error is good. There may be more of the content, if it was the disk that failed.
        let is_complete = match &result {
            Ok(has_more) => !has_more,
            Err(error) => error.is_of_content(),
        };
        if is_complete {
            // What the end tells has a place of its own, behind the last packet.
            let window = &mut self.outbox.window;
            decoder.finish(&mut |observation| {
                if !checkpoint.covers(window.place(observation.rrname), position) {
                    window.add(&observation);
                }
            });
            position += 1;
        }
        if let Some(settled) = self.outbox.taken_back()? {
            checkpoint = settled;
        }
        let state = self.state(path, position, is_complete, &decoder);
        self.outbox.ship(id, checkpoint, (position, false), Some(state));
        self.outbox.taken_back()?;
        let tally = decoder.tally();
        self.means.metrics.file(&tally);
        self.report.merge(&PacketReport::of(tally));
        result?;
        Ok(())
    }

    /// Applies the rest of a batch that was left half-way.
    fn finish(
        &mut self,
        path: &Path,
        id: [u8; 16],
        checkpoint: Checkpoint,
        end: u64,
    ) -> Result<Checkpoint, Failure> {
        let mut file = CaptureFile::open(path, self.router.hasher())?;
        let mut decoder = Decoder::new(&self.options);
        let mut position = 0;
        let window = &mut self.outbox.window;
        let mut each = |observation: Observation<'_>, start: u64| {
            let place = window.place(observation.rrname);
            if checkpoint.is_open_at(place.partition, end) && !checkpoint.covers(place, start) {
                window.add(&observation);
            }
        };
        // The end of a file that breaks off is found where it was found before.
        while matches!(read(&mut file, &mut decoder, &mut position, end, &mut each), Ok(true)) {}
        if position < end {
            decoder.finish(&mut |observation| each(observation, position));
        }
        self.outbox.ship(id, checkpoint, (end, true), None);
        Ok(self.outbox.taken_back()?.ok_or(StoreError::Conflict)?)
    }

    fn state(&self, path: &Path, position: u64, complete: bool, decoder: &Decoder) -> SourceState {
        SourceState {
            path: path.display().to_string(),
            sensor: self.sensor.clone(),
            acknowledged: position,
            complete,
            size: size(path).unwrap_or(0),
            updated: now(),
            tally: serde_json::to_value(decoder.tally()).unwrap_or_default(),
            ..SourceState::default()
        }
    }
}

/// Reads some packets up to a position; `Ok(false)` at the end. `each` takes an observation, and where the packet
/// begins that it was made at.
fn read(
    file: &mut CaptureFile,
    decoder: &mut Decoder,
    position: &mut u64,
    until: u64,
    each: &mut dyn FnMut(Observation<'_>, u64),
) -> Result<bool, PcapError> {
    for _ in 0..BUDGET {
        let start = *position;
        if start >= until {
            return Ok(false);
        }
        match file.next()? {
            Some(Step::Packet(frame, end)) => {
                decoder.frame(&frame, &mut |observation| each(observation, start));
                *position = end;
            }
            Some(Step::Nothing) => {}
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.len())
}
