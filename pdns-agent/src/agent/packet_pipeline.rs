//! Pipeline for packets that cannot be read again: from their source into the store.
//!
//! After `live` and `pipe`, before `batch_sender`; each pipeline is a thread. Observations are kept until the
//! store has certainly stored them ([`RetryBuffer`]). If Redis is slower than the network, first the window
//! fills, then the kernel's ring buffer, and then the kernel counts its losses: no loss is silent.

use super::batch_sender::BatchSender;
use super::metrics::{Interface, Metrics};
use super::report::PacketReport;
use super::writer::{self, Patience, WriteRequest, WriterContext, WriterHandle};
use super::{AgentError, Settings, Stop, now};
use crate::aggregate::{RetryBuffer, Window};
use crate::decode::packets::{PacketDecoder, PacketTally};
use crate::source::{CaptureCounters, Condition, Frame};
use crate::store::{Checkpoint, Retry, SourceState, Store, StoreError};
use crate::time::Timestamp;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Number of packets taken from the ring buffer before other work is checked.
const BUDGET: usize = 256;
/// Time to sleep if there are no packets.
const IDLE: Duration = Duration::from_millis(10);
/// Interval of checking the interface and publishing the counters.
const LOOK: Duration = Duration::from_millis(250);
/// Interval of storing the counters of an interface without DNS.
const NOTE: Duration = Duration::from_mins(1);
/// Time to wait for an unavailable store when the agent has to stop.
const GRACE: Duration = Duration::from_secs(5);
/// Time to wait if Redis lost something while it was checked.
const AGAIN: Duration = Duration::from_millis(20);

/// Result of a pipeline.
pub(super) type PipelineResult = (PacketReport, Result<(), AgentError>);

/// Context shared by the pipelines of an agent.
pub(super) fn writer_context(stop: &Stop, metrics: &Arc<Metrics>) -> WriterContext {
    WriterContext {
        stop: stop.clone(),
        grace: GRACE,
        reconnected: Arc::default(),
        metrics: Arc::clone(metrics),
    }
}

/// Starts a pipeline's thread.
pub(super) fn start<T: PacketSource + 'static>(
    pipeline: PacketPipeline<T>,
) -> Result<JoinHandle<PipelineResult>, AgentError> {
    let name = format!("cap-{}", pipeline.name);
    thread::Builder::new().name(name).spawn(move || pipeline.run()).map_err(AgentError::Thread)
}

/// Waits for all pipelines; logs the report and returns the first error, if there is one.
pub(super) fn join(threads: Vec<JoinHandle<PipelineResult>>) -> Result<PacketReport, AgentError> {
    let mut report = PacketReport::default();
    match report.gather(threads) {
        Ok(()) => Ok(report),
        Err(error) => {
            tell(&report);
            Err(error)
        }
    }
}

/// Logs a report that is not returned because the agent ends with an error.
pub(super) fn tell(report: &PacketReport) {
    if report.captures > 0 {
        tracing::info!("{}", report.to_text());
    }
}

/// Callback that receives a packet and decides whether to continue.
pub(super) type EachPacket<'e> = dyn FnMut(Frame<'_>) -> ControlFlow<()> + 'e;

/// Source of packets that cannot be read again.
pub(super) trait PacketSource: Send {
    /// Delivers available packets, at most `most`, and none after `each` breaks; returns their number.
    fn drain(&mut self, most: usize, each: &mut EachPacket<'_>) -> usize;
    /// The current time, if packets arrive as they are captured: everything drained when none is left came
    /// before it.
    fn clock(&self) -> Option<Timestamp>;
    /// Sleeps until there are packets, or the time is over.
    fn wait(&mut self, time: Duration);
    /// Number of packets so far that were not delivered because of an unknown link type.
    fn refused(&self) -> u64 {
        0
    }
    /// Returns true if it ended prematurely.
    fn has_failed(&self) -> bool {
        false
    }
    /// Its name, if it turned out not to be a capture.
    fn foreign(&self) -> Option<&str> {
        None
    }
    /// Returns true if no more packets will arrive.
    fn is_over(&self) -> bool;
    /// Stops accepting packets. Available ones can still be drained.
    fn close(&mut self);
    /// Checks the interface.
    fn follow(&mut self) -> Condition;
    /// Counters of the kernel, if there are any.
    fn counters(&self) -> Option<CaptureCounters>;
}

/// One interface or pipe with its decoder.
pub(super) struct PacketPipeline<T> {
    pub(super) source: T,
    /// Name for people, and path in the store.
    pub(super) name: String,
    pub(super) path: String,
    pub(super) sensor: String,
    pub(super) condition: Condition,
    pub(super) decoder: PacketDecoder,
    pub(super) settings: Settings,
    /// Memory for the window, in bytes.
    pub(super) room: usize,
    pub(super) context: WriterContext,
}

/// State of a pipeline in one store.
struct StoreSession {
    sender: BatchSender,
    /// Identity of the run: random, because no other run can continue it.
    run: [u8; 16],
    /// Path in the store.
    path: String,
    checkpoint: Checkpoint,
    /// Number of the last batch, which is its end; it began at the previous number.
    batch: u64,
    /// The batch in flight.
    kept: RetryBuffer,
    sent: Instant,
}

impl<T: PacketSource> PacketPipeline<T> {
    /// Runs the thread. An error stops the whole agent.
    pub(super) fn run(mut self) -> (PacketReport, Result<(), AgentError>) {
        let mut carried = RetryBuffer::default();
        self.publish();
        let result = loop {
            let mut session = match self.open_session(&carried) {
                Ok(session) => session,
                Err(AgentError::Store(error)) => {
                    let is_stopped = self.context.stop.is_stopped();
                    break Err(lost(&carried, error, is_stopped));
                }
                Err(error) => break Err(error),
            };
            carried.clear();
            let Err(error) = self.serve(&mut session) else { break Ok(()) };
            carried.append(&session.kept);
            session.sender.window.copy_due(&mut carried);
            if error.retry() == Retry::Reopen && !self.context.stop.is_stopped() {
                tracing::warn!(
                    interface = self.name,
                    "{error}; going on with what was not stored yet"
                );
                self.context.stop.sleep(Duration::from_secs(1));
                continue;
            }
            break Err(lost(&carried, error, self.context.stop.is_stopped()));
        };
        // A pipeline that cannot continue must not leave the others running unnoticed.
        if result.is_err() {
            self.context.stop.stop();
        }
        self.publish();
        let mut report = PacketReport::from_tally(self.tally());
        report.failed += u64::from(self.source.has_failed());
        if let Some(name) = self.source.foreign() {
            report.fail_foreign(name, None);
        }
        (report, result)
    }

    /// Opens the store, and adds the carried-over observations to the new window.
    fn open_session(&mut self, carried: &RetryBuffer) -> Result<StoreSession, AgentError> {
        let (settings, sensor) = (self.settings.clone(), self.sensor.clone());
        let metrics = Arc::clone(&self.context.metrics);
        let mut wait = |pause: Duration| {
            let until = Instant::now() + pause;
            while Instant::now() < until && self.context.stop.sleep(LOOK.min(pause)) {
                self.look();
            }
            !self.context.stop.is_stopped()
        };
        let patience = Patience::FromStart;
        let (mut store, opened) = writer::open(&settings, &sensor, &metrics, &mut wait, patience)?;
        let run = fresh_id().map_err(AgentError::Thread)?;
        if let Err(error) = self.remove_stale_runs(&mut store) {
            tracing::warn!(interface = self.name, cause = %error, "cannot remove earlier runs from the store");
        }
        let window = Window::with_texts(opened.router.clone(), self.room);
        let mut writer = WriterHandle::start_live(store, self.context.clone())?;
        let (_, checkpoint) = writer.load(run, &self.path).map_err(AgentError::Store)?;
        let mut sender = BatchSender::new(window, writer, &opened);
        for (rrname, fact, seen) in carried.iter() {
            sender.window.merge(rrname, fact, seen);
        }
        Ok(StoreSession {
            sender,
            run,
            path: self.path.clone(),
            checkpoint,
            batch: 0,
            kept: RetryBuffer::default(),
            sent: Instant::now(),
        })
    }

    /// Removes the records of earlier runs on this interface from the store, and warns of one that seems to
    /// be running.
    fn remove_stale_runs(&self, store: &mut Store) -> Result<(), StoreError> {
        let path = &self.path;
        let now = now();
        let mut old = Vec::new();
        for (id, state) in store.reader().sources()? {
            if state.path != *path || state.sensor != self.sensor {
                continue;
            }
            let age = now.saturating_sub(state.updated);
            if state.complete || age > 86_400 {
                old.push(id);
            } else if age < NOTE.as_secs() * 2 && self.source.clock().is_some() {
                tracing::warn!(
                    interface = self.name,
                    sensor = self.sensor,
                    seconds_ago = age,
                    "another agent captures here as the same sensor, or one ended without a word; two count everything twice"
                );
            }
        }
        store.writer().remove_sources(&old)
    }

    /// Captures until the agent is stopped and everything is stored, or until the store fails.
    fn serve(&mut self, session: &mut StoreSession) -> Result<(), StoreError> {
        let mut looked = Instant::now();
        let mut is_closed = false;
        let mut last = None;
        loop {
            if self.context.stop.is_stopped() && !is_closed {
                self.source.close();
                is_closed = true;
            }
            let before = self.source.clock();
            if let Some(now) = before {
                if last.is_some_and(|last| now < last) {
                    tracing::warn!(
                        interface = self.name,
                        "the clock was set back; questions that wait for an answer are given up"
                    );
                    let window = &mut session.sender.window;
                    self.decoder.begin_anew(&mut |observation| window.observe(&observation));
                }
                last = Some(now);
            }
            let window = &mut session.sender.window;
            let decoder = &mut self.decoder;
            // Each may contain a message of 64 KiB, so the window is checked after each.
            let taken = self.source.drain(BUDGET, &mut |frame| {
                decoder.frame(&frame, &mut |observation| window.observe(&observation));
                if window.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if taken == 0 {
                if let Some(before) = before {
                    decoder.advance(before, &mut |observation| window.observe(&observation));
                }
                if is_closed || self.source.is_over() {
                    break;
                }
                self.source.wait(IDLE);
            }
            if let Some((request, result)) = session.sender.writer.poll() {
                session.on_written(request, result, &self.context.stop)?;
            }
            let is_full = session.sender.window.is_full();
            if is_full || session.sent.elapsed() >= self.settings.flush {
                if is_full {
                    self.settle(session)?;
                }
                if !session.sender.writer.is_busy() {
                    self.send(session, false);
                }
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
        }
        self.decoder.refuse(self.source.refused());
        let window = &mut session.sender.window;
        self.decoder.finish(&mut |observation| window.observe(&observation));
        self.settle(session)?;
        loop {
            self.send(session, true);
            self.settle(session)?;
            // Redis may have been restarted meanwhile: lost data is in the window again.
            if session.sender.window.dirty() == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for the batch in flight.
    fn settle(&mut self, session: &mut StoreSession) -> Result<(), StoreError> {
        let mut looked = Instant::now();
        while session.sender.writer.is_busy() {
            if let Some((request, result)) = session.sender.writer.poll() {
                session.on_written(request, result, &self.context.stop)?;
                continue;
            }
            thread::sleep(Duration::from_millis(1));
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
        }
        Ok(())
    }

    /// Sends due tuples or counters, if there are any. No batch may be in flight.
    fn send(&mut self, session: &mut StoreSession, is_last: bool) {
        let is_quiet = session.sender.window.dirty() == 0;
        if is_quiet && !is_last && session.batch > 0 && session.sent.elapsed() < NOTE {
            return;
        }
        session.sender.window.copy_due(&mut session.kept);
        session.batch += 1;
        session.sent = Instant::now();
        let state = SourceState {
            path: self.path.clone(),
            sensor: self.sensor.clone(),
            acknowledged: session.batch,
            live: true,
            complete: is_last,
            updated: now(),
            tally: serde_json::to_value(self.tally()).unwrap_or_default(),
            ..SourceState::default()
        };
        let to = (session.batch, false);
        session.sender.submit(session.run, session.checkpoint.clone(), to, Some(state));
    }

    /// Checks the interface and publishes the counters.
    fn look(&mut self) {
        let condition = self.source.follow();
        if condition != self.condition {
            let interface = &self.name;
            match condition {
                Condition::Up => tracing::info!(interface, "the interface is up"),
                Condition::Down => {
                    tracing::warn!(interface, "the interface is down; waiting for it");
                }
                Condition::Gone => {
                    tracing::warn!(interface, "the interface is gone; waiting for one of its name");
                }
            }
            self.condition = condition;
        }
        self.publish();
    }

    fn publish(&self) {
        let interface = Interface {
            sensor: self.sensor.clone(),
            is_up: self.condition == Condition::Up,
            tally: self.tally(),
        };
        self.context.metrics.interface(&self.name, interface);
    }

    /// The counts so far. The decoder is read first, so its counts can only lag behind the kernel's.
    fn tally(&self) -> PacketTally {
        let tally = self.decoder.tally();
        PacketTally { capture: self.source.counters(), ..tally }
    }
}

impl StoreSession {
    /// Processes the result of a batch.
    fn on_written(
        &mut self,
        request: WriteRequest,
        result: Result<(), StoreError>,
        stop: &Stop,
    ) -> Result<(), StoreError> {
        let checkpoint = self.sender.learn(request);
        match result {
            Ok(()) => {
                self.checkpoint = checkpoint;
                self.kept.clear();
                Ok(())
            }
            Err(error) if error.retry() == Retry::Reload => self.recover(&error, stop),
            Err(error) => Err(error),
        }
    }

    /// After Redis refused a part of a batch, or lost data or a reply: finds out what of the batch under way is in the store, and puts the
    /// rest of it into the window again, with all that came since.
    fn recover(&mut self, error: &StoreError, stop: &Stop) -> Result<(), StoreError> {
        if let StoreError::PartlyRefused(cause) = error {
            tracing::warn!(%cause, "batch refused in part; what is not in the store is sent again");
        } else if matches!(error, StoreError::Rewritten) {
            tracing::debug!("records were forgotten; what is not in the store is sent again");
        } else {
            tracing::warn!(
                "Redis was started anew or lost a reply; what is not in it is sent again"
            );
        }
        let mut rest = RetryBuffer::default();
        self.sender.window.copy_due(&mut rest);
        // What happens to the lane now must not lose it.
        let start = self.batch.saturating_sub(1);
        let result = loop {
            self.sender.window.clear();
            match self.finish(start) {
                Err(error) if error.retry() == Retry::Reload && stop.sleep(AGAIN) => {}
                result => break result,
            }
        };
        self.sender.window.clear();
        if let Ok(checkpoint) = &result {
            for (rrname, fact, seen) in self.kept.iter() {
                if !checkpoint.covers(self.sender.window.place(rrname), start) {
                    self.sender.window.merge(rrname, fact, seen);
                }
            }
            self.kept.clear();
        }
        for (rrname, fact, seen) in rest.iter() {
            self.sender.window.merge(rrname, fact, seen);
        }
        self.checkpoint = result?;
        Ok(())
    }

    /// Finishes partially stored batches, with their original slices.
    fn finish(&mut self, start: u64) -> Result<Checkpoint, StoreError> {
        let (_, mut checkpoint) = self.sender.writer.load(self.run, &self.path)?;
        for end in checkpoint.open_ends() {
            // An earlier batch that is open again was complete in data that Redis lost: it is only closed.
            if end == self.batch {
                for (rrname, fact, seen) in self.kept.iter() {
                    let place = self.sender.window.place(rrname);
                    let open = checkpoint.is_open_at(place.partition, end);
                    if open && !checkpoint.covers(place, start) {
                        self.sender.window.merge(rrname, fact, seen);
                    }
                }
            }
            self.sender.submit(self.run, checkpoint, (end, true), None);
            match self.sender.wait()? {
                Some(finished) => checkpoint = finished,
                None => return Err(StoreError::Conflict),
            }
        }
        Ok(checkpoint)
    }
}

/// The error of a pipeline that ends with unstored observations.
fn lost(carried: &RetryBuffer, cause: StoreError, is_stopped: bool) -> AgentError {
    match carried.sightings() {
        0 if is_stopped => AgentError::Stopped(cause),
        0 => AgentError::Store(cause),
        sightings => AgentError::Lost { sightings, cause },
    }
}

/// 16 random bytes that identify a run.
fn fresh_id() -> std::io::Result<[u8; 16]> {
    use std::io::Read as _;
    let mut id = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}
