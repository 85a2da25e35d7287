//! Reading of one capture file to its end, into the store.
//!
//! Under `pcap_import`, before `batch_sender`.

use super::context::{Context, PrecedingFile};
use super::legacy_captures::LegacyProgress;
use super::queue::{Claim, Waiting};
use super::reader::Reader;
use super::size;
use super::stored_capture::StoredCapture;
use crate::agent::now;
use crate::agent::report::PacketReport;
use crate::decode::packets::{PacketDecoder, PacketTally};
use crate::hex;
use crate::observation::Observation;
use crate::source::{CaptureFile, Content, Digest, PcapError, Step};
use crate::store::{Checkpoint, SourceState, StoreError};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// Reason why a file was not read to its end.
pub(super) enum Failure {
    Store(StoreError),
    File(PcapError),
    /// The preceding file could not be finished, and must be read again.
    Before(Waiting, StoreError),
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

/// Progress of decoding a file.
#[derive(Default)]
pub(super) struct DecodeProgress {
    /// Position after the last packet.
    pub(super) position: u64,
    /// Time of that packet; the latest time if packets are out of order.
    last: Option<Timestamp>,
    /// Lengths that the file had before it grew. Responses that waited for their query at such an end were
    /// stored there, and are stored there again.
    ends: VecDeque<u64>,
}

impl DecodeProgress {
    /// State at the beginning of a file that had these contents when it was read before.
    pub(super) fn new(contents: &[(u64, u64)]) -> Self {
        let ends = contents.iter().map(|&(length, _)| length).collect();
        Self { ends, ..Self::default() }
    }

    /// The same for a file that was also read up to these positions.
    pub(super) fn with_ends(mut self, ends: impl Iterator<Item = u64>) -> Self {
        self.ends.extend(ends);
        self.ends.make_contiguous().sort_unstable();
        self
    }

    /// Reads one packet up to a position; `Ok(false)` at the end. `each` receives an observation and its
    /// position in the file: one after the start of the packet that produced it. The position of a batch that
    /// ends before this packet does not cover it, nor does that of an end that was found here, which comes
    /// before it; no packet is so short that it would end there. Only one packet, because it may contain a
    /// message of 64 KiB: the window is checked before the next.
    pub(super) fn step(
        &mut self,
        file: &mut CaptureFile,
        decoder: &mut PacketDecoder,
        until: u64,
        each: &mut dyn FnMut(Observation<'_>, u64),
    ) -> Result<bool, PcapError> {
        let start = self.position;
        if start >= until {
            return Ok(false);
        }
        match file.next()? {
            Some(Step::Packet(frame, end)) => {
                while self.ends.front().is_some_and(|&length| length < end) {
                    self.ends.pop_front();
                    decoder.settle(&mut |observation| each(observation, start));
                }
                decoder.frame(&frame, &mut |observation| each(observation, start + 1));
                self.position = end;
                self.last = self.last.max(Some(frame.at));
            }
            Some(Step::Nothing) => {}
            None => return Ok(false),
        }
        Ok(true)
    }
}

/// A file that is read, except for the effect of its end, where another file may continue.
pub(super) struct Pending<'q> {
    waiting: Waiting,
    /// Prevents other threads from reading a copy of it.
    _claim: Claim<'q>,
    capture: StoredCapture,
    decoder: PacketDecoder,
    before: LegacyProgress,
    position: u64,
    pub(super) last: Option<Timestamp>,
    /// The packet with which the decoder began.
    pub(super) begins: Digest,
    /// Number of bytes read by the decoder, and number of those in this file.
    pub(super) bytes: u64,
    pub(super) size: u64,
}

impl Pending<'_> {
    pub(super) fn place(&self) -> usize {
        self.waiting.place
    }
}

impl Reader {
    /// Reads one capture to its end. The effect of the end is left open if the file is complete.
    pub(super) fn read<'q>(
        &mut self,
        (waiting, claim): (&Waiting, Claim<'q>),
        (mut file, head): (CaptureFile, Digest),
        mut capture: StoredCapture,
        (before, mut walk): (LegacyProgress, DecodeProgress),
        context: Context,
    ) -> Result<Option<Pending<'q>>, Failure> {
        let id = capture.id;
        capture.state.follows = context.begins().as_ref().map(|digest| hex::encode(digest));
        // The applied position must never exceed a known content: if this process were killed within its
        // first batch, and the file were longer when read again, it could not be recognised.
        let begun = self.state(&capture, 0, false, &PacketTally::default());
        self.sender.writer.begin(id, begun)?;
        for end in capture.checkpoint.open_ends() {
            let ends = DecodeProgress { ends: walk.ends.clone(), ..DecodeProgress::default() };
            let rest = (end, self.decoder(context.files()), ends);
            capture.checkpoint = self.finish(&file, id, capture.checkpoint, rest, &before)?;
        }
        let begins = context.begins().unwrap_or(head);
        let (mut decoder, bytes) = match context {
            Context::Fresh => (PacketDecoder::new(&self.options), 0),
            Context::Carried(decoder, _, bytes) => (*decoder, bytes),
            Context::Before(files, _) => {
                (self.decoder(&files), files.iter().map(PrecedingFile::size).sum())
            }
        };
        let mut result = Ok(true);
        while matches!(result, Ok(true)) && !self.context.stop.is_stopped() {
            let window = &mut self.sender.window;
            let mut each = |observation: Observation<'_>, at: u64| {
                let place = window.place(observation.rrname);
                if !capture.checkpoint.covers(place, at) && !before.covers(place, at) {
                    window.observe(&observation);
                }
            };
            result = walk.step(&mut file, &mut decoder, u64::MAX, &mut each);
            if matches!(result, Ok(true)) && self.sender.window.is_full() {
                let state = self.state(&capture, walk.position, false, &decoder.tally());
                if let Some(settled) = self.sender.wait()? {
                    capture.checkpoint = settled;
                }
                let to = (walk.position, false);
                self.sender.submit(id, capture.checkpoint.clone(), to, Some(state));
            }
        }
        decoder.refuse(file.refused());
        if let Some(settled) = self.sender.wait()? {
            capture.checkpoint = settled;
        }
        if file.has_grown() {
            tracing::info!(
                path = capture.state.path,
                "has grown while it was read; what is new is read next time"
            );
        }
        let DecodeProgress { position, last, .. } = walk;
        let size = position;
        let bytes = bytes.saturating_add(size);
        let pending = Pending {
            waiting: waiting.clone(),
            _claim: claim,
            capture,
            decoder,
            before,
            position,
            last,
            begins,
            bytes,
            size,
        };
        match result {
            Ok(false) => Ok(Some(pending)),
            // A stop was requested.
            Ok(true) => Ok(self.leave(pending).map(|()| None)?),
            // Packets before an error are valid. There may be more content if the disk failed.
            Err(error) if error.is_of_content() => {
                self.end(pending, None)?;
                Err(error.into())
            }
            Err(error) => {
                self.leave(pending)?;
                Err(error.into())
            }
        }
    }

    /// Finishes a file; `next` is the first packet of the file that continues it immediately. Returns the
    /// decoder for that file.
    pub(super) fn close(
        &mut self,
        pending: Pending<'_>,
        next: Option<String>,
    ) -> Result<PacketDecoder, Failure> {
        let waiting = pending.waiting.clone();
        self.end(pending, next).map_err(|error| Failure::Before(waiting, error))
    }

    fn end(
        &mut self,
        pending: Pending<'_>,
        next: Option<String>,
    ) -> Result<PacketDecoder, StoreError> {
        let Pending { mut capture, mut decoder, before, mut position, last, .. } = pending;
        let is_followed = next.is_some();
        if !is_followed {
            // Observations made at the end have their own position, after the last packet.
            let window = &mut self.sender.window;
            let mut each = |observation: Observation<'_>| {
                let place = window.place(observation.rrname);
                if !capture.checkpoint.covers(place, position) && !before.covers(place, position) {
                    window.observe(&observation);
                }
            };
            decoder.finish(&mut each);
            position += 1;
        }
        let tally = decoder.take_tally();
        capture.state.last = last.map(Timestamp::micros);
        capture.state.is_followed = is_followed;
        capture.state.next = next;
        self.store(capture, position, true, tally)?;
        Ok(decoder)
    }

    /// Stores the part read of a file that was not read to its end.
    pub(super) fn leave(&mut self, mut pending: Pending<'_>) -> Result<(), StoreError> {
        let tally = pending.decoder.take_tally();
        self.store(pending.capture, pending.position, false, tally)
    }

    /// Stores the last part read of a file, and reports it.
    fn store(
        &mut self,
        capture: StoredCapture,
        position: u64,
        is_complete: bool,
        tally: PacketTally,
    ) -> Result<(), StoreError> {
        let state = self.state(&capture, position, is_complete, &tally);
        if self.sender.window.dirty() == 0 && position <= capture.checkpoint.acknowledged() {
            // It has only grown by data without observations.
            self.sender.writer.begin(capture.id, state)?;
        } else {
            self.sender.submit(capture.id, capture.checkpoint, (position, false), Some(state));
            self.sender.wait()?;
        }
        self.context.metrics.file(&tally);
        self.report.merge(&PacketReport::from_tally(tally));
        Ok(())
    }

    /// Loads the progress of a file stored under identities of earlier versions, and applies the rest of
    /// partially applied batches; `None` if this is the whole file.
    pub(super) fn before(
        &mut self,
        path: &Path,
        file: &CaptureFile,
        content: &Content,
    ) -> Result<Option<LegacyProgress>, Failure> {
        let mut before = LegacyProgress::default();
        let earlier = Arc::clone(&self.legacy);
        for (length, id) in earlier.matching(content) {
            let (state, mut checkpoint) =
                self.sender.writer.load(id, &path.display().to_string())?;
            if length == content.length && state.as_ref().is_some_and(|state| state.complete) {
                return Ok(None);
            }
            for end in checkpoint.open_ends() {
                // Those files were each read separately.
                let rest = (end, PacketDecoder::new(&self.options), DecodeProgress::default());
                checkpoint = self.finish(file, id, checkpoint, rest, &before)?;
            }
            before.add(state.as_ref(), checkpoint);
        }
        Ok(Some(before))
    }

    /// Applies the rest of a partially applied batch, up to `end`.
    fn finish(
        &mut self,
        file: &CaptureFile,
        id: Digest,
        checkpoint: Checkpoint,
        (end, mut decoder, mut walk): (u64, PacketDecoder, DecodeProgress),
        before: &LegacyProgress,
    ) -> Result<Checkpoint, Failure> {
        let mut file = file.again()?;
        let window = &mut self.sender.window;
        let mut each = |observation: Observation<'_>, at: u64| {
            let place = window.place(observation.rrname);
            if checkpoint.is_open_at(place.partition, end)
                && !checkpoint.covers(place, at)
                && !before.covers(place, at)
            {
                window.observe(&observation);
            }
        };
        // The end of a truncated file is found at the same position as before; if the file has grown since, a
        // packet begins there, one before the position of the end, and does not belong to this batch.
        let until = end.saturating_sub(1);
        while matches!(walk.step(&mut file, &mut decoder, until, &mut each), Ok(true)) {}
        let position = walk.position;
        if position < end {
            decoder.finish(&mut |observation| each(observation, position));
        }
        self.sender.submit(id, checkpoint, (end, true), None);
        Ok(self.sender.wait()?.ok_or(StoreError::Conflict)?)
    }

    /// State to store for a capture that is read up to a position.
    fn state(
        &self,
        capture: &StoredCapture,
        position: u64,
        complete: bool,
        tally: &PacketTally,
    ) -> SourceState {
        let SourceState { path, contents, last, follows, next, is_followed, .. } = &capture.state;
        SourceState {
            path: path.clone(),
            sensor: self.sensor.clone(),
            // The part applied when it was shorter stays applied.
            acknowledged: position.max(capture.state.acknowledged),
            complete,
            size: size(Path::new(path)).unwrap_or(0),
            contents: contents.clone(),
            last: *last,
            follows: follows.clone(),
            next: next.clone(),
            is_followed: *is_followed,
            updated: now(),
            tally: serde_json::to_value(tally).unwrap_or_default(),
            ..SourceState::default()
        }
    }
}
