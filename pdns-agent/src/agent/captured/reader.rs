//! One thread that reads capture files, one after the other.
//!
//! Under `captured`, in front of `outbox`.

use super::earlier::{Before, Earlier};
use super::size;
use crate::agent::now;
use crate::agent::outbox::Outbox;
use crate::agent::report::PacketReport;
use crate::agent::writer::Means;
use crate::decode::packets::{Decoder, Options};
use crate::hash::Router;
use crate::observation::Observation;
use crate::source::{CaptureFile, LogId, PcapError, Step};
use crate::store::{Checkpoint, SourceState, StoreError};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A thread's means.
pub(super) struct Reader {
    pub(super) options: Options,
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

impl Reader {
    pub(super) fn run(
        mut self,
        queue: &Mutex<VecDeque<PathBuf>>,
    ) -> (PacketReport, Result<(), StoreError>) {
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
                    // The others may be stored all the same.
                    Err(Failure::Store(error)) if error.is_refusal() => {
                        self.report.fail(&error);
                        break;
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
        let is_known = state.is_some();
        if state.is_some_and(|state| state.complete) {
            self.report.unchanged += 1;
            return Ok(());
        }
        let before = self.before(path, &file)?;
        for end in checkpoint.open_ends() {
            checkpoint = self.finish(path, id, checkpoint, end, &before)?;
        }
        let mut decoder = Decoder::new(&self.options);
        if !is_known {
            // Were this killed within its first batch, and the file longer when it is read again, what is stored of it by
            // then could not be found.
            self.outbox.writer.begin(id, self.state(path, 0, false, &decoder))?;
        }
        let (mut position, mut result) = (0, Ok(true));
        while matches!(result, Ok(true)) && !self.means.stop.is_stopped() {
            let window = &mut self.outbox.window;
            let mut each = |observation: Observation<'_>, start: u64| {
                let place = window.place(observation.rrname);
                if !checkpoint.covers(place, start) && !before.covers(place, start) {
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

    /// What is in the store of the same file from when it was shorter, and applies the rest of what was left
    /// half-way then.
    fn before(&mut self, path: &Path, file: &CaptureFile) -> Result<Before, Failure> {
        let mut before = Before::default();
        let earlier = Arc::clone(&self.earlier);
        for &(id, size) in earlier.of(path) {
            if !file.goes_on_from(LogId(id), size, self.router.hasher())? {
                continue;
            }
            let (state, mut checkpoint) = self.outbox.writer.load(id)?;
            for end in checkpoint.open_ends() {
                checkpoint = self.finish(path, id, checkpoint, end, &before)?;
            }
            before.add(state.as_ref(), checkpoint);
        }
        Ok(before)
    }

    /// Applies the rest of a batch that was left half-way.
    fn finish(
        &mut self,
        path: &Path,
        id: [u8; 16],
        checkpoint: Checkpoint,
        end: u64,
        before: &Before,
    ) -> Result<Checkpoint, Failure> {
        let mut file = CaptureFile::open(path, self.router.hasher())?;
        let mut decoder = Decoder::new(&self.options);
        let mut position = 0;
        let window = &mut self.outbox.window;
        let mut each = |observation: Observation<'_>, start: u64| {
            let place = window.place(observation.rrname);
            if checkpoint.is_open_at(place.partition, end)
                && !checkpoint.covers(place, start)
                && !before.covers(place, start)
            {
                window.add(&observation);
            }
        };
        // The end of a file that breaks off is found where it was found before; in one that has grown since, a packet begins
        // there, one before the place of the end, and is not of this batch.
        let until = end.saturating_sub(1);
        while matches!(read(&mut file, &mut decoder, &mut position, until, &mut each), Ok(true)) {}
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

/// Reads one packet up to a position; `Ok(false)` at the end. `each` takes an observation, and where the packet
/// begins that it was made at. One packet, since it may bring a message of 64 KiB: the window is looked at before
/// the next.
fn read(
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
            decoder.frame(&frame, &mut |observation| each(observation, start));
            *position = end;
        }
        Some(Step::Nothing) => {}
        None => return Ok(false),
    }
    Ok(true)
}
