//! One thread that reads capture files, one after the other.
//!
//! Under `captured`, in front of `outbox`.

use super::earlier::{Before, Earlier};
use super::known::{self, Known, Relation};
use super::queue::{Queue, Waiting};
use super::size;
use crate::agent::now;
use crate::agent::open_log::tell_conflict;
use crate::agent::outbox::Outbox;
use crate::agent::report::PacketReport;
use crate::agent::writer::Means;
use crate::decode::log::command_for;
use crate::decode::packets::{Decoder, Options};
use crate::hash::Router;
use crate::observation::Observation;
use crate::source::{CaptureFile, Content, Digest, PcapError, Step, first_bytes};
use crate::store::{Checkpoint, SourceState, StoreError};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a file that is no capture which are looked at for what it is.
const FIRST: usize = 4096;

/// A thread's means.
pub(super) struct Reader {
    pub(super) options: Options,
    /// What was named, and not found in a directory.
    pub(super) named: Vec<PathBuf>,
    pub(super) sensor: String,
    pub(super) router: Router,
    pub(super) outbox: Outbox,
    pub(super) means: Means,
    pub(super) earlier: Arc<Earlier>,
    pub(super) bar: ProgressBar,
    pub(super) report: PacketReport,
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

/// The outcome of looking at a file.
enum Outcome {
    /// It is read, or was before.
    Done,
    /// It is in the queue again: another file has to be read first.
    Queued,
}

impl Reader {
    pub(super) fn run(mut self, queue: &Queue) -> (PacketReport, Result<(), StoreError>) {
        while let Some(waiting) = queue.next() {
            let path = waiting.path.as_path();
            loop {
                let connections = self.outbox.writer.connections();
                match self.file(&waiting, queue) {
                    Ok(Outcome::Done) => {
                        self.bar.inc(size(path).unwrap_or(0));
                        break;
                    }
                    Ok(Outcome::Queued) => break,
                    Err(Failure::File(error)) => {
                        self.fail(path, &error);
                        self.bar.inc(size(path).unwrap_or(0));
                        break;
                    }
                    Err(Failure::Store(StoreError::Conflict))
                        if self.means.stop.sleep(Duration::from_millis(100)) =>
                    {
                        let is_lost = connections != self.outbox.writer.connections();
                        tell_conflict(path, is_lost);
                    }
                    // The others may be stored all the same.
                    Err(Failure::Store(error)) if error.is_refusal() => {
                        self.report.fail(&error);
                        self.bar.inc(size(path).unwrap_or(0));
                        break;
                    }
                    Err(Failure::Store(error)) => return (self.report, Err(error)),
                }
            }
            if self.means.stop.is_stopped() {
                break;
            }
        }
        (self.report, Ok(()))
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

    /// Finds out which capture a file is, and reads what is not in the store yet.
    fn file(&mut self, waiting: &Waiting, queue: &Queue) -> Result<Outcome, Failure> {
        let path = waiting.path.as_path();
        let hasher = self.router.hasher().clone();
        let mut file = CaptureFile::open(path)?;
        let Some(head) = file.head(&hasher)? else { return self.without_packets(file) };
        let Some(_claim) = queue.claim(head, waiting) else { return Ok(Outcome::Queued) };
        let (known, new) = self.known(path, &head)?;
        let mut lengths = self.earlier.lengths().clone();
        lengths.extend(known.iter().flat_map(Known::lengths));
        // Only a pipe has no content to measure, and no head.
        let Some(content) = file.content(&hasher, &lengths)? else { return Ok(Outcome::Done) };
        let mut capture = new;
        let mut longer = None;
        for known in known {
            let relation = match known.relation(&content) {
                Relation::Unknown if known.holds(&content, &hasher) => Relation::Beginning,
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
                // It may be among the other files, under another name than it was read.
                queue.postpone(waiting.clone());
                return Ok(Outcome::Queued);
            }
            tracing::warn!(
                path = %path.display(),
                longer,
                "begins with the same packet as a longer capture, which is not there to compare; counted as another one"
            );
        }
        let is_read = capture.state.complete && capture.lengths().last() == Some(content.length);
        let before = if is_read { None } else { self.before(path, &file, &content)? };
        match before {
            None => self.report.unchanged += 1,
            Some(before) => {
                capture.state.path = path.display().to_string();
                known::note(&mut capture.state.contents, &content);
                self.read(file, capture, &before)?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Sees to a file that is the beginning of a longer capture.
    fn beginning(
        &mut self,
        (waiting, queue): (&Waiting, &Queue),
        mut known: Known,
        content: &Content,
    ) -> Result<Outcome, Failure> {
        if known.state.complete {
            self.report.unchanged += 1;
            if known.lengths().all(|length| length != content.length) {
                known::note(&mut known.state.contents, content);
                self.outbox.writer.begin(known.id, known.state)?;
            }
            return Ok(Outcome::Done);
        }
        if !waiting.postponed {
            // The longer one may be among the other files.
            queue.postpone(waiting.clone());
            return Ok(Outcome::Queued);
        }
        // A batch that was left half-way may go beyond this file.
        let (file, longer) = (waiting.path.display().to_string(), known.state.path);
        Err(PcapError::Part { file, longer }.into())
    }

    /// Reads a file that has no packet, and so nothing to store: to tell what is wrong with it.
    fn without_packets(&mut self, mut file: CaptureFile) -> Result<Outcome, Failure> {
        while file.next()?.is_some() {}
        let tally = Decoder::new(&self.options).tally();
        self.means.metrics.file(&tally);
        self.report.merge(&PacketReport::of(tally));
        Ok(Outcome::Done)
    }

    /// The captures in the store that begin with a packet, and a new one.
    fn known(&mut self, path: &Path, head: &Digest) -> Result<(Vec<Known>, Known), StoreError> {
        let mut known = Vec::new();
        for number in 0.. {
            let id = known::id(self.router.hasher(), head, number);
            let (state, checkpoint) = self.outbox.writer.load(id, &path.display().to_string())?;
            let is_new = state.is_none();
            known.push(Known { id, state: state.unwrap_or_default(), checkpoint });
            if is_new {
                break;
            }
        }
        let new = known.pop().ok_or(StoreError::Conflict)?;
        Ok((known, new))
    }

    /// Reads one capture to its end.
    fn read(
        &mut self,
        mut file: CaptureFile,
        mut capture: Known,
        before: &Before,
    ) -> Result<(), Failure> {
        let id = capture.id;
        let mut decoder = Decoder::new(&self.options);
        // What is applied must never be beyond a content that is known: were this killed within its first batch, and the
        // file longer when it is read again, nobody could tell that it is the same.
        let begun = self.state(&capture, 0, false, &decoder);
        self.outbox.writer.begin(id, begun)?;
        for end in capture.checkpoint.open_ends() {
            capture.checkpoint = self.finish(&file, id, capture.checkpoint, end, before)?;
        }
        let (mut position, mut result) = (0, Ok(true));
        while matches!(result, Ok(true)) && !self.means.stop.is_stopped() {
            let window = &mut self.outbox.window;
            let mut each = |observation: Observation<'_>, at: u64| {
                let place = window.place(observation.rrname);
                if !capture.checkpoint.covers(place, at) && !before.covers(place, at) {
                    window.add(&observation);
                }
            };
            result = step(&mut file, &mut decoder, &mut position, u64::MAX, &mut each);
            if matches!(result, Ok(true)) && self.outbox.window.is_full() {
                let state = self.state(&capture, position, false, &decoder);
                if let Some(settled) = self.outbox.taken_back()? {
                    capture.checkpoint = settled;
                }
                let to = (position, false);
                self.outbox.ship(id, capture.checkpoint.clone(), to, Some(state));
            }
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
                let place = window.place(observation.rrname);
                if !capture.checkpoint.covers(place, position) && !before.covers(place, position) {
                    window.add(&observation);
                }
            });
            position += 1;
        }
        if let Some(settled) = self.outbox.taken_back()? {
            capture.checkpoint = settled;
        }
        let state = self.state(&capture, position, is_complete, &decoder);
        if self.outbox.window.dirty() == 0 && position <= capture.checkpoint.acknowledged() {
            // It has grown by nothing that could be stored.
            self.outbox.writer.begin(id, state)?;
        } else {
            self.outbox.ship(id, capture.checkpoint, (position, false), Some(state));
            self.outbox.taken_back()?;
        }
        if file.has_grown() {
            tracing::info!(
                path = capture.state.path,
                "has grown while it was read; what is new is read next time"
            );
        }
        let tally = decoder.tally();
        self.means.metrics.file(&tally);
        self.report.merge(&PacketReport::of(tally));
        result?;
        Ok(())
    }

    /// Loads what the store has of a file under identities of earlier versions, and applies the rest of what was left
    /// half-way then; `None` if that is all of it.
    fn before(
        &mut self,
        path: &Path,
        file: &CaptureFile,
        content: &Content,
    ) -> Result<Option<Before>, Failure> {
        let mut before = Before::default();
        let earlier = Arc::clone(&self.earlier);
        for (length, id) in earlier.of(content) {
            let (state, mut checkpoint) =
                self.outbox.writer.load(id, &path.display().to_string())?;
            if length == content.length && state.as_ref().is_some_and(|state| state.complete) {
                return Ok(None);
            }
            for end in checkpoint.open_ends() {
                checkpoint = self.finish(file, id, checkpoint, end, &before)?;
            }
            before.add(state.as_ref(), checkpoint);
        }
        Ok(Some(before))
    }

    /// Applies the rest of a batch that was left half-way.
    fn finish(
        &mut self,
        file: &CaptureFile,
        id: Digest,
        checkpoint: Checkpoint,
        end: u64,
        before: &Before,
    ) -> Result<Checkpoint, Failure> {
        let mut file = file.again()?;
        let mut decoder = Decoder::new(&self.options);
        let mut position = 0;
        let window = &mut self.outbox.window;
        let mut each = |observation: Observation<'_>, at: u64| {
            let place = window.place(observation.rrname);
            if checkpoint.is_open_at(place.partition, end)
                && !checkpoint.covers(place, at)
                && !before.covers(place, at)
            {
                window.add(&observation);
            }
        };
        // The end of a file that breaks off is found where it was found before; in one that has grown since, a packet begins
        // there, one before the place of the end, and is not of this batch.
        let until = end.saturating_sub(1);
        while matches!(step(&mut file, &mut decoder, &mut position, until, &mut each), Ok(true)) {}
        if position < end {
            decoder.finish(&mut |observation| each(observation, position));
        }
        self.outbox.ship(id, checkpoint, (end, true), None);
        Ok(self.outbox.taken_back()?.ok_or(StoreError::Conflict)?)
    }

    /// What the store is told of a capture that is read up to a position.
    fn state(
        &self,
        capture: &Known,
        position: u64,
        complete: bool,
        decoder: &Decoder,
    ) -> SourceState {
        let SourceState { path, contents, .. } = &capture.state;
        SourceState {
            path: path.clone(),
            sensor: self.sensor.clone(),
            // What was applied of it when it was shorter stays applied.
            acknowledged: position.max(capture.state.acknowledged),
            complete,
            size: size(Path::new(path)).unwrap_or(0),
            contents: contents.clone(),
            updated: now(),
            tally: serde_json::to_value(decoder.tally()).unwrap_or_default(),
            ..SourceState::default()
        }
    }
}

/// Reads one packet up to a position; `Ok(false)` at the end. `each` takes an observation and its place in the file:
/// one behind where the packet begins that it was made at. There the place of a batch that goes up to this packet
/// does not cover it, nor does that of an end that was found here, which comes before it; no packet is so short that it
/// would end there. One packet, since it may bring a message of 64 KiB: the window is looked at before the next.
fn step(
    file: &mut CaptureFile,
    decoder: &mut Decoder,
    position: &mut u64,
    until: u64,
    each: &mut dyn FnMut(Observation<'_>, u64),
) -> Result<bool, PcapError> {
    let start = *position;
    if start >= until {
        return Ok(false);
    }
    match file.next()? {
        Some(Step::Packet(frame, end)) => {
            decoder.frame(&frame, &mut |observation| each(observation, start + 1));
            *position = end;
        }
        Some(Step::Nothing) => {}
        None => return Ok(false),
    }
    Ok(true)
}
