//! Import of capture files: each is read to its end and stored once.
//!
//! A file is identified by its content (`stored_capture`), and the store keeps its progress, as for logs. The meaning
//! of packets depends on the packets before them, so a file that was read partially, or has grown, is decoded
//! from its beginning again, and everything already applied is skipped (`reader`). Copies of one capture are
//! not read at the same time (`queue`). `find` looks a file up without reading it. Older versions identified captures
//! differently (`legacy_captures`). If the files of a folder continue each other, they are one capture (`folder`,
//! `context`), although each is stored separately.

mod context;
mod file_import;
mod find;
mod folder;
mod legacy_captures;
mod queue;
mod reader;
mod stored_capture;

pub(super) use self::find::captures_of;

use self::folder::{Folder, by_folder};
use self::legacy_captures::LegacyCaptures;
use self::queue::Queue;
use self::reader::Reader;
use super::batch_sender::BatchSender;
use super::log_session::bar;
use super::metrics::Metrics;
use super::packet_pipeline::{self, PacketPipeline, PipelineResult};
use super::pipe::Pipe;
use super::report::PacketReport;
use super::writer::{self, Patience, WriterContext, WriterHandle};
use super::{AgentError, Captures, Settings, Stop};
use crate::aggregate::Window;
use crate::decode::packets::PacketDecoder;
use crate::source::{Condition, capture_files};
use crate::store::{Retry, StoreError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pause after the store failed between two requests.
const AGAIN: Duration = Duration::from_millis(100);

/// Reads all files and pipes.
pub(super) fn run(
    settings: &Settings,
    captures: &Captures,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<PacketReport, AgentError> {
    let mut named = BTreeSet::new();
    let (pipes, files): (Vec<PathBuf>, Vec<PathBuf>) = captures
        .inputs
        .iter()
        .filter(|path| named.insert(path.as_path()))
        .cloned()
        .partition(|path| is_pipe(path));
    let mut threads = Vec::new();
    let mut result = Ok(PacketReport::default());
    for path in &pipes {
        match start_pipe(settings, captures, path, stop, metrics) {
            Ok(thread) => threads.push(thread),
            Err(error) => result = result.and(Err(error)),
        }
    }
    if result.is_ok() && !files.is_empty() {
        let captures = Captures { inputs: files, ..captures.clone() };
        result = read_files(settings, &captures, stop, metrics);
    }
    if result.is_err() {
        // The data from the pipes so far is stored nevertheless.
        stop.stop();
    }
    let pipelines = packet_pipeline::join(threads);
    match (result, pipelines) {
        (Ok(mut report), Ok(pipelines)) => {
            report.merge(&pipelines);
            Ok(report)
        }
        (Ok(report), Err(error)) => {
            packet_pipeline::tell(&report);
            Err(error)
        }
        (Err(error), pipelines) => {
            packet_pipeline::tell(&pipelines.unwrap_or_default());
            Err(error)
        }
    }
}

/// Returns true if the input can be read only once.
fn is_pipe(path: &Path) -> bool {
    path.as_os_str() == "-"
        || std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Starts reading an input that can be read only once.
fn start_pipe(
    settings: &Settings,
    captures: &Captures,
    path: &Path,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<JoinHandle<PipelineResult>, AgentError> {
    packet_pipeline::start(PacketPipeline {
        source: Pipe::start(path).map_err(AgentError::Thread)?,
        name: path.display().to_string(),
        path: format!("pcap:{}", path.display()),
        sensor: settings.sensor.clone(),
        condition: Condition::Up,
        decoder: PacketDecoder::new(&captures.packets),
        settings: settings.clone(),
        room: settings.memory / captures.inputs.len().max(1),
        context: packet_pipeline::writer_context(stop, metrics),
    })
}

/// Reads all regular files, restarting whenever the store was replaced.
fn read_files(
    settings: &Settings,
    captures: &Captures,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<PacketReport, AgentError> {
    let reconnected = Arc::default();
    // Counts of the first pass over all files. Later passes only make sure that everything is in the store.
    let mut first = None;
    loop {
        let connections = connections(&reconnected);
        let mut report = PacketReport::default();
        match session(settings, captures, (stop, metrics, &reconnected), &mut report) {
            Err(AgentError::Store(error))
                if error.retry() == Retry::Reopen && !stop.is_stopped() =>
            {
                tracing::warn!("{error}; all files are compared with it again");
                first = None;
                stop.sleep(Duration::from_secs(1));
            }
            // Redis may have come back without earlier data: files that it has are skipped. Anything rejected
            // would be rejected again.
            Ok(())
                if connections != self::connections(&reconnected)
                    && !stop.is_stopped()
                    && metrics.health.conclusion().1.is_none() =>
            {
                first.get_or_insert(report);
            }
            Err(AgentError::Store(error)) if stop.is_stopped() && error.retry() == Retry::Wait => {
                tracing::warn!(cause = %error, "stopped while waiting for the store");
                metrics.health.give_up(&error);
                return Ok(first.unwrap_or(report));
            }
            result => return result.map(|()| first.unwrap_or(report)),
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
    let found = capture_files(&captures.inputs);
    report.note(&found);
    let files = found.files;
    let lengths = files.iter().filter_map(|path| size(path)).sum();
    let folders = by_folder(files);
    let workers = settings.workers.min(folders.len()).max(1);
    let room = settings.memory / workers;
    let bar = bar(settings.progress);
    bar.set_length(lengths);
    let mut queue = None;
    let context = WriterContext {
        stop: stop.clone(),
        grace: Duration::ZERO,
        reconnected: Arc::clone(reconnected),
        metrics: Arc::clone(metrics),
    };
    let mut legacy: Option<Arc<LegacyCaptures>> = None;
    let mut readers = Vec::new();
    while readers.len() < workers {
        let mut wait = |pause| stop.sleep(pause);
        let patience = Patience::OnceReached;
        let (mut store, opened) =
            writer::open(settings, &settings.sensor, metrics, &mut wait, patience)?;
        if legacy.is_none() {
            match LegacyCaptures::load(&mut store) {
                Ok(found) => legacy = Some(Arc::new(found)),
                // A file that is unreadable now stays unreadable.
                Err(error @ (StoreError::Damaged { .. } | StoreError::Reply)) => {
                    return Err(AgentError::Store(store.explain(error)));
                }
                Err(error) if error.retry() == Retry::Wait && stop.sleep(AGAIN) => continue,
                Err(error) => return Err(AgentError::Store(error)),
            }
        }
        if queue.is_none() {
            let folder =
                |files| Folder::new(files, opened.router.hasher(), captures.packets.timeout);
            queue = Some(Arc::new(Queue::new(folders.iter().cloned().map(folder).collect())));
        }
        let writer = WriterHandle::start(store, context.clone())?;
        let window = Window::new(opened.router.clone(), room);
        readers.push(Reader {
            options: captures.packets.clone(),
            named: captures.inputs.clone(),
            sensor: settings.sensor.clone(),
            router: opened.router.clone(),
            sender: BatchSender::new(window, writer, &opened),
            context: context.clone(),
            legacy: legacy.clone().unwrap_or_default(),
            bar: bar.clone(),
            report: PacketReport::default(),
        });
    }
    let mut threads = Vec::new();
    for (number, reader) in readers.into_iter().enumerate() {
        let Some(queue) = queue.clone() else { break };
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

fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.len())
}
