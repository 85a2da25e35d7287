//! Thread that identifies the capture in each file and reads the part that is not stored yet.
//!
//! Under `pcap_import`, before `file_import`.

use super::file_import::{DecodeProgress, Failure, Pending};
use super::legacy_captures::LegacyCaptures;
use super::queue::{Queue, Waiting};
use super::size;
use super::stored_capture::{self, Relation, StoredCapture};
use crate::agent::batch_sender::BatchSender;
use crate::agent::open_log::tell_conflict;
use crate::agent::report::PacketReport;
use crate::agent::writer::WriterContext;
use crate::decode::log::command_for;
use crate::decode::packets::{PacketDecoder, PacketOptions};
use crate::hash::Router;
use crate::source::{CaptureFile, Content, Digest, PcapError, first_bytes};
use crate::store::{Retry, SourceState, StoreError};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Number of bytes of an unrecognised file that are examined to guess its type.
const FIRST: usize = 4096;

/// State of one thread.
pub(super) struct Reader {
    pub(super) options: PacketOptions,
    /// Paths that were given, not found in a directory.
    pub(super) named: Vec<PathBuf>,
    pub(super) sensor: String,
    pub(super) router: Router,
    pub(super) sender: BatchSender,
    pub(super) context: WriterContext,
    pub(super) legacy: Arc<LegacyCaptures>,
    pub(super) bar: ProgressBar,
    pub(super) report: PacketReport,
}

/// Outcome of processing a file.
enum FileOutcome<'q> {
    /// The file is read and stored, now or earlier.
    Done,
    /// The file is read, except for the effect of its end.
    Read(Box<Pending<'q>>),
    /// The file is queued again: another one must be read first.
    Queued,
}

impl Reader {
    pub(super) fn run(mut self, queue: &Queue) -> (PacketReport, Result<(), StoreError>) {
        while let Some(files) = queue.next() {
            if let Err(error) = self.files(files.into(), queue) {
                return (self.report, Err(error));
            }
            if self.context.stop.is_stopped() {
                break;
            }
        }
        (self.report, Ok(()))
    }

    /// Reads files one after another; a file is followed by its continuation, if there is one.
    fn files(&mut self, mut files: VecDeque<Waiting>, queue: &Queue) -> Result<(), StoreError> {
        let mut carried: Option<Pending<'_>> = None;
        while let Some(waiting) = next(&mut files, carried.as_ref()) {
            let path = waiting.path.as_path();
            let connections = self.sender.writer.connections();
            let outcome = self.file(&waiting, queue, &mut carried);
            // Without a continuation, the capture has ended.
            let mut ended =
                carried.take().map_or(Ok(()), |pending| self.close(pending, None).map(drop));
            match outcome {
                Ok(FileOutcome::Done) => self.bar.inc(size(path).unwrap_or(0)),
                Ok(FileOutcome::Queued) => {}
                Ok(FileOutcome::Read(pending)) => {
                    self.bar.inc(size(path).unwrap_or(0));
                    if self.context.stop.is_stopped() {
                        return self.leave(*pending);
                    }
                    match next_of(&files, Some(&pending)) {
                        Some(_) => carried = Some(*pending),
                        None => ended = ended.and(self.close(*pending, None).map(drop)),
                    }
                }
                Err(failure) => self.failed(failure, connections, &waiting, &mut files)?,
            }
            if let Err(failure) = ended {
                self.failed(failure, connections, &waiting, &mut files)?;
            }
            if self.context.stop.is_stopped() {
                break;
            }
        }
        Ok(())
    }

    /// Handles a file that could not be read or stored: queues it again or counts it. The others may still be
    /// stored, unless the store fails. `connections`: number of connections when the file was begun.
    fn failed(
        &mut self,
        failure: Failure,
        connections: u64,
        waiting: &Waiting,
        files: &mut VecDeque<Waiting>,
    ) -> Result<(), StoreError> {
        let (error, again) = match failure {
            Failure::File(error) => {
                self.fail(&waiting.path, &error);
                self.bar.inc(size(&waiting.path).unwrap_or(0));
                return Ok(());
            }
            Failure::Store(error) => (error, vec![waiting.clone()]),
            Failure::Before(before, error) if before.path == waiting.path => (error, vec![before]),
            Failure::Before(before, error) => (error, vec![waiting.clone(), before]),
        };
        if error.retry() == Retry::Reload && self.context.stop.sleep(Duration::from_millis(100)) {
            let is_lost = connections != self.sender.writer.connections();
            tell_conflict(&waiting.path, &error, is_lost);
            for waiting in again {
                files.retain(|other| other.path != waiting.path);
                files.push_front(waiting);
            }
            return Ok(());
        }
        if !error.is_refusal() {
            return Err(error);
        }
        self.report.fail(&error);
        self.bar.inc(size(&waiting.path).unwrap_or(0));
        Ok(())
    }

    /// Reports a file that could not be read.
    fn fail(&mut self, path: &Path, error: &PcapError) {
        let first = match error {
            PcapError::NotACapture { .. } => first_bytes(path, FIRST).ok(),
            _ => None,
        };
        let command = first.as_deref().and_then(command_for).filter(|&command| command != "pcap");
        if first.is_some() && (command.is_some() || self.named.iter().any(|named| named == path)) {
            self.report.fail_foreign(&path.display().to_string(), command);
        } else {
            self.report.fail(error);
        }
    }

    /// Identifies the capture in a file, and reads the part that is not stored yet.
    fn file<'q>(
        &mut self,
        waiting: &Waiting,
        queue: &'q Queue,
        carried: &mut Option<Pending<'_>>,
    ) -> Result<FileOutcome<'q>, Failure> {
        let path = waiting.path.as_path();
        let hasher = self.router.hasher().clone();
        let mut file = CaptureFile::open(path)?;
        let Some(head) = file.head(&hasher)? else { return self.without_packets(file) };
        let Some(claim) = queue.claim(head, waiting) else { return Ok(FileOutcome::Queued) };
        let (known, new) = self.known(path, &head)?;
        let mut lengths = self.legacy.lengths().clone();
        lengths.extend(known.iter().flat_map(StoredCapture::lengths));
        // Only a pipe has no measurable content and no head.
        let Some(content) = file.content(&hasher, &lengths)? else { return Ok(FileOutcome::Done) };
        let mut capture = new;
        let mut longer = None;
        for known in known {
            let relation = match known.relation(&content) {
                Relation::Unknown => match self.begins_with(&known, &content, queue) {
                    Some(true) => Relation::Beginning,
                    Some(false) => Relation::Other,
                    None => Relation::Unknown,
                },
                relation => relation,
            };
            match relation {
                Relation::Continuation => {
                    capture = known;
                    longer = None;
                    break;
                }
                Relation::Beginning => return self.beginning((waiting, queue), known, &content),
                Relation::Unknown => longer = Some(known.state.path),
                Relation::Other => {}
            }
        }
        if let Some(longer) = longer {
            if !waiting.postponed {
                // It may be among the other files, under a different name.
                queue.postpone(waiting.clone());
                return Ok(FileOutcome::Queued);
            }
            tracing::warn!(
                path = %path.display(),
                longer,
                "begins with the same packet as a longer capture, which is no longer at this path to compare; counted as \
                 another one"
            );
        }
        let met = queue.paths.meet(capture.id, path);
        let is_read = capture.state.complete && capture.lengths().last() == Some(content.length);
        if is_read {
            let is_whole = capture.is_whole(&content);
            if !is_whole {
                check_records(&mut file)?;
            }
            self.report.nothing_new.add(&queue.paths, path, &met, &capture.state.path);
            if has_moved(&capture.state, path) {
                // A shorter file is compared with what is at the path that the store has.
                let state = SourceState { path: path.display().to_string(), ..capture.state };
                self.sender.writer.begin(capture.id, state)?;
            }
            return Ok(FileOutcome::Done);
        }
        let context = self.context(waiting, &capture, carried)?;
        let Some(before) = self.before(path, &file, &content)? else {
            check_records(&mut file)?;
            self.report.nothing_new.add(&queue.paths, path, &met, "");
            return Ok(FileOutcome::Done);
        };
        let walk = DecodeProgress::new(&capture.state.contents).with_ends(before.ends());
        capture.state.path = path.display().to_string();
        stored_capture::note(&mut capture.state.contents, &content);
        let claimed = (waiting, claim);
        let pending = self.read(claimed, (file, head), capture, (before, walk), context)?;
        Ok(pending.map_or(FileOutcome::Done, |pending| FileOutcome::Read(Box::new(pending))))
    }

    /// Returns whether a capture begins with this content, by a file that holds it: the one that the store has, or one
    /// that was met in this run. `None` if neither is there.
    fn begins_with(&self, known: &StoredCapture, content: &Content, queue: &Queue) -> Option<bool> {
        let hasher = self.router.hasher();
        let stored = Path::new(&known.state.path);
        known.begins_with(stored, content, hasher).or_else(|| {
            let met = queue.paths.first(&known.id).filter(|met| met != stored)?;
            known.begins_with(&met, content, hasher)
        })
    }

    /// Sees to a file that is the beginning of a longer capture.
    fn beginning(
        &mut self,
        (waiting, queue): (&Waiting, &Queue),
        mut known: StoredCapture,
        content: &Content,
    ) -> Result<FileOutcome<'static>, Failure> {
        if known.state.complete {
            let met = queue.paths.meet(known.id, &waiting.path);
            let known_as = known.state.path.as_str();
            self.report.nothing_new.add(&queue.paths, &waiting.path, &met, known_as);
            if known.lengths().all(|length| length != content.length) {
                stored_capture::note(&mut known.state.contents, content);
                self.sender.writer.begin(known.id, known.state)?;
            }
            return Ok(FileOutcome::Done);
        }
        if !waiting.postponed {
            // The longer one may be among the other files.
            queue.postpone(waiting.clone());
            return Ok(FileOutcome::Queued);
        }
        // A partially applied batch may extend beyond this file.
        let (file, longer) = (waiting.path.display().to_string(), known.state.path);
        Err(PcapError::Part { file, longer }.into())
    }

    /// Reads a file without packets, which stores nothing, to report its defects.
    fn without_packets(&mut self, mut file: CaptureFile) -> Result<FileOutcome<'static>, Failure> {
        check_records(&mut file)?;
        let tally = PacketDecoder::new(&self.options).tally();
        self.context.metrics.file(&tally);
        self.report.merge(&PacketReport::from_tally(tally));
        Ok(FileOutcome::Done)
    }

    /// The stored captures that begin with a packet, and a new one.
    pub(super) fn known(
        &mut self,
        path: &Path,
        head: &Digest,
    ) -> Result<(Vec<StoredCapture>, StoredCapture), StoreError> {
        let mut known = Vec::new();
        // The first place that a forgotten capture has left free.
        let mut free = None;
        for number in 0.. {
            let id = stored_capture::id(self.router.hasher(), head, number);
            let (state, checkpoint) = self.sender.writer.load(id, &path.display().to_string())?;
            if state.as_ref().is_some_and(SourceState::is_forgotten) {
                let state = SourceState::default();
                free.get_or_insert(StoredCapture { id, state, checkpoint });
                continue;
            }
            let is_new = state.is_none();
            known.push(StoredCapture { id, state: state.unwrap_or_default(), checkpoint });
            if is_new {
                break;
            }
        }
        let new = known.pop().ok_or(StoreError::Conflict)?;
        Ok((known, free.unwrap_or(new)))
    }
}

/// Reads the records of a file that was read before, without decoding them: each import of the file reports the defect
/// that ends them.
fn check_records(file: &mut CaptureFile) -> Result<(), PcapError> {
    while file.next()?.is_some() {}
    Ok(())
}

/// Returns true if the file that a capture was read from is gone, so that this one takes its place.
fn has_moved(state: &SourceState, path: &Path) -> bool {
    let stored = Path::new(&state.path);
    stored != path && size(stored) != Some(state.size)
}

/// Index of the file that continues the one read before.
fn next_of(files: &VecDeque<Waiting>, read: Option<&Pending<'_>>) -> Option<usize> {
    let read = read?;
    let gap = |waiting: &Waiting| waiting.folder.gap(read.place(), read.last?, waiting.place);
    let gaps = files.iter().enumerate().filter_map(|(at, waiting)| Some((gap(waiting)?, at)));
    gaps.min().map(|(_, at)| at)
}

/// Removes the next file: the continuation of the last one, if there is one.
fn next(files: &mut VecDeque<Waiting>, read: Option<&Pending<'_>>) -> Option<Waiting> {
    files.remove(next_of(files, read).unwrap_or(0))
}
