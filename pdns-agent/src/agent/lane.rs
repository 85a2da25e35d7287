//! A lane: packets that cannot be read again, into the store until there are no more.
//!
//! Behind `live` and `pipe`, in front of `outbox`; each lane is a thread. What came is kept until the store has it
//! for sure ([`Kept`]). When Redis is slower than the wire, first the window fills, then the kernel's ring, and
//! then the kernel counts what it lost: no loss is silent.

use super::metrics::{Interface, Metrics};
use super::outbox::Outbox;
use super::report::PacketReport;
use super::writer::{self, Means, Parcel, Patience, Writer};
use super::{AgentError, Settings, Stop, now};
use crate::aggregate::{Kept, Window};
use crate::decode::packets::{Decoder, PacketTally};
use crate::source::{CaptureCounters, Condition, Frame};
use crate::store::{Checkpoint, Retry, SourceState, Store, StoreError};
use crate::time::Timestamp;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Packets taken from the ring between looks at everything else.
const BUDGET: usize = 256;
/// How long to sleep when no packet is there.
const IDLE: Duration = Duration::from_millis(10);
/// How often the interface is looked after and the counters are shown.
const LOOK: Duration = Duration::from_millis(250);
/// How often the store is told the counters of an interface that shows no DNS.
const NOTE: Duration = Duration::from_mins(1);
/// How long a store that is away is waited for when the agent has to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when Redis lost something while it was looked at.
const AGAIN: Duration = Duration::from_millis(20);

/// What came of a lane.
pub(super) type Landed = (PacketReport, Result<(), AgentError>);

/// What the lanes of an agent share.
pub(super) fn means(stop: &Stop, metrics: &Arc<Metrics>) -> Means {
    Means {
        stop: stop.clone(),
        grace: GRACE,
        reconnected: Arc::default(),
        metrics: Arc::clone(metrics),
    }
}

/// Starts a lane's thread.
pub(super) fn start<T: Tap + 'static>(lane: Lane<T>) -> Result<JoinHandle<Landed>, AgentError> {
    let name = format!("lane-{}", lane.name);
    thread::Builder::new().name(name).spawn(move || lane.run()).map_err(AgentError::Thread)
}

/// Waits for all lanes; the first error, if there is one, after its report was told.
pub(super) fn join(threads: Vec<JoinHandle<Landed>>) -> Result<PacketReport, AgentError> {
    let mut report = PacketReport::default();
    match report.gather(threads) {
        Ok(()) => Ok(report),
        Err(error) => {
            tell(&report);
            Err(error)
        }
    }
}

/// Tells a report that nobody will be given, since the agent ends with an error.
pub(super) fn tell(report: &PacketReport) {
    if report.captures > 0 {
        tracing::info!("{}", report.to_text());
    }
}

/// Takes a packet, and tells whether to go on.
pub(super) type Each<'e> = dyn FnMut(Frame<'_>) -> ControlFlow<()> + 'e;

/// Where packets come from that cannot be read again.
pub(super) trait Tap: Send {
    /// Hands over packets that are there, at most so many, and none after `each` broke; how many it were.
    fn drain(&mut self, most: usize, each: &mut Each<'_>) -> usize;
    /// The time now, if packets come as they are captured: what has been drained when none is left came before.
    fn clock(&self) -> Option<Timestamp>;
    /// Sleeps until there are packets, or the time is over.
    fn wait(&mut self, time: Duration);
    /// Packets so far that could not be handed over, since their link type is not known.
    fn refused(&self) -> u64 {
        0
    }
    /// Whether it ended before its end.
    fn has_failed(&self) -> bool {
        false
    }
    /// What it is called, if it turned out to be no capture.
    fn foreign(&self) -> Option<&str> {
        None
    }
    /// Whether no packet will come any more.
    fn is_over(&self) -> bool;
    /// Takes in no more packets. Those that are there can still be drained.
    fn close(&mut self);
    /// Looks after the interface.
    fn follow(&mut self) -> Condition;
    /// What the kernel counted, if it did.
    fn counters(&self) -> Option<CaptureCounters>;
}

/// One interface or pipe: tap, decoder, outbox.
pub(super) struct Lane<T> {
    pub(super) tap: T,
    /// What people know it by, and how it is called in the store.
    pub(super) name: String,
    pub(super) path: String,
    pub(super) sensor: String,
    pub(super) condition: Condition,
    pub(super) decoder: Decoder,
    pub(super) settings: Settings,
    /// Octets of memory for the window.
    pub(super) room: usize,
    pub(super) means: Means,
}

/// What a lane has in one store.
struct Berth {
    outbox: Outbox,
    /// What the lane is to the store: drawn by chance, since no other run can go on where this one ended.
    run: [u8; 16],
    /// How it is called there.
    path: String,
    checkpoint: Checkpoint,
    /// Number of the last batch, which is its end; it began at the one before.
    batch: u64,
    /// The batch under way.
    kept: Kept,
    sent: Instant,
}

impl<T: Tap> Lane<T> {
    /// The life of the thread. An error stops the whole agent.
    pub(super) fn run(mut self) -> (PacketReport, Result<(), AgentError>) {
        let mut carried = Kept::default();
        self.publish();
        let result = loop {
            let mut berth = match self.moor(&carried) {
                Ok(berth) => berth,
                Err(AgentError::Store(error)) => {
                    let is_stopped = self.means.stop.is_stopped();
                    break Err(lost(&carried, error, is_stopped));
                }
                Err(error) => break Err(error),
            };
            carried.clear();
            let Err(error) = self.serve(&mut berth) else { break Ok(()) };
            carried.append(&berth.kept);
            berth.outbox.window.keep(&mut carried);
            if error.retry() == Retry::Reopen && !self.means.stop.is_stopped() {
                tracing::warn!(
                    interface = self.name,
                    "{error}; going on with what was not stored yet"
                );
                self.means.stop.sleep(Duration::from_secs(1));
                continue;
            }
            break Err(lost(&carried, error, self.means.stop.is_stopped()));
        };
        // One lane that cannot go on must not leave the others to run without notice.
        if result.is_err() {
            self.means.stop.stop();
        }
        self.publish();
        let mut report = PacketReport::of(self.tally());
        report.failed += u64::from(self.tap.has_failed());
        if let Some(name) = self.tap.foreign() {
            report.fail_foreign(name, None);
        }
        (report, result)
    }

    /// Opens the store, and puts what is carried over into the new window.
    fn moor(&mut self, carried: &Kept) -> Result<Berth, AgentError> {
        let (options, sensor) = (self.settings.store.clone(), self.sensor.clone());
        let metrics = Arc::clone(&self.means.metrics);
        let mut wait = |pause: Duration| {
            let until = Instant::now() + pause;
            while Instant::now() < until && self.means.stop.sleep(LOOK.min(pause)) {
                self.look();
            }
            !self.means.stop.is_stopped()
        };
        let patience = Patience::FromStart;
        let (mut store, opened) = writer::open(&options, &sensor, &metrics, &mut wait, patience)?;
        let run = fresh_id().map_err(AgentError::Thread)?;
        if let Err(error) = self.clear_away(&mut store) {
            tracing::warn!(interface = self.name, cause = %error, "cannot remove earlier runs from the store");
        }
        let window = Window::with_texts(opened.router.clone(), self.room);
        let mut writer = Writer::start_live(store, self.means.clone())?;
        let (_, checkpoint) = writer.load(run, &self.path).map_err(AgentError::Store)?;
        let mut outbox = Outbox::new(window, writer, &opened);
        for (rrname, fact, seen) in carried.iter() {
            outbox.window.put(rrname, fact, seen);
        }
        Ok(Berth {
            outbox,
            run,
            path: self.path.clone(),
            checkpoint,
            batch: 0,
            kept: Kept::default(),
            sent: Instant::now(),
        })
    }

    /// Removes what earlier runs on this interface left in the store, and tells of one that seems to be running.
    fn clear_away(&self, store: &mut Store) -> Result<(), StoreError> {
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
            } else if age < NOTE.as_secs() * 2 && self.tap.clock().is_some() {
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

    /// Captures until the agent is told to stop and all is stored, or the store fails.
    fn serve(&mut self, berth: &mut Berth) -> Result<(), StoreError> {
        let mut looked = Instant::now();
        let mut is_closed = false;
        let mut last = None;
        loop {
            if self.means.stop.is_stopped() && !is_closed {
                self.tap.close();
                is_closed = true;
            }
            let before = self.tap.clock();
            if let Some(now) = before {
                if last.is_some_and(|last| now < last) {
                    tracing::warn!(
                        interface = self.name,
                        "the clock was set back; questions that wait for an answer are given up"
                    );
                    let window = &mut berth.outbox.window;
                    self.decoder.begin_anew(&mut |observation| window.add(&observation));
                }
                last = Some(now);
            }
            let window = &mut berth.outbox.window;
            let decoder = &mut self.decoder;
            // Each may bring a message of 64 KiB, so the window is looked at after each.
            let taken = self.tap.drain(BUDGET, &mut |frame| {
                decoder.frame(&frame, &mut |observation| window.add(&observation));
                if window.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if taken == 0 {
                if let Some(before) = before {
                    decoder.advance(before, &mut |observation| window.add(&observation));
                }
                if is_closed || self.tap.is_over() {
                    break;
                }
                self.tap.wait(IDLE);
            }
            if let Some((parcel, result)) = berth.outbox.writer.poll() {
                berth.land(parcel, result, &self.means.stop)?;
            }
            let is_full = berth.outbox.window.is_full();
            if is_full || berth.sent.elapsed() >= self.settings.flush {
                if is_full {
                    self.settle(berth)?;
                }
                if !berth.outbox.writer.is_busy() {
                    self.send(berth, false);
                }
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
        }
        self.decoder.refuse(self.tap.refused());
        let window = &mut berth.outbox.window;
        self.decoder.finish(&mut |observation| window.add(&observation));
        self.settle(berth)?;
        loop {
            self.send(berth, true);
            self.settle(berth)?;
            // Redis may have been started anew meanwhile: what it lacks is in the window again.
            if berth.outbox.window.dirty() == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for the batch under way.
    fn settle(&mut self, berth: &mut Berth) -> Result<(), StoreError> {
        let mut looked = Instant::now();
        while berth.outbox.writer.is_busy() {
            if let Some((parcel, result)) = berth.outbox.writer.poll() {
                berth.land(parcel, result, &self.means.stop)?;
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

    /// Sends what is due, if there is anything to tell. Nothing may be under way.
    fn send(&mut self, berth: &mut Berth, is_last: bool) {
        let is_quiet = berth.outbox.window.dirty() == 0;
        if is_quiet && !is_last && berth.batch > 0 && berth.sent.elapsed() < NOTE {
            return;
        }
        berth.outbox.window.keep(&mut berth.kept);
        berth.batch += 1;
        berth.sent = Instant::now();
        let state = SourceState {
            path: self.path.clone(),
            sensor: self.sensor.clone(),
            acknowledged: berth.batch,
            live: true,
            complete: is_last,
            updated: now(),
            tally: serde_json::to_value(self.tally()).unwrap_or_default(),
            ..SourceState::default()
        };
        let to = (berth.batch, false);
        berth.outbox.ship(berth.run, berth.checkpoint.clone(), to, Some(state));
    }

    /// Looks after the interface and shows the counters.
    fn look(&mut self) {
        let condition = self.tap.follow();
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
        self.means.metrics.interface(&self.name, interface);
    }

    /// What was counted so far. The decoder's numbers first: they can only be behind the kernel's.
    fn tally(&self) -> PacketTally {
        let tally = self.decoder.tally();
        PacketTally { capture: self.tap.counters(), ..tally }
    }
}

impl Berth {
    /// Takes in how a batch went.
    fn land(
        &mut self,
        parcel: Parcel,
        result: Result<(), StoreError>,
        stop: &Stop,
    ) -> Result<(), StoreError> {
        let checkpoint = self.outbox.learn(parcel);
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
        } else {
            tracing::warn!(
                "Redis was started anew or lost a reply; what is not in it is sent again"
            );
        }
        let mut rest = Kept::default();
        self.outbox.window.keep(&mut rest);
        // What happens to the lane now must not lose it.
        let start = self.batch.saturating_sub(1);
        let result = loop {
            self.outbox.window.clear();
            match self.finish(start) {
                Err(error) if error.retry() == Retry::Reload && stop.sleep(AGAIN) => {}
                result => break result,
            }
        };
        self.outbox.window.clear();
        if let Ok(checkpoint) = &result {
            for (rrname, fact, seen) in self.kept.iter() {
                if !checkpoint.covers(self.outbox.window.place(rrname), start) {
                    self.outbox.window.put(rrname, fact, seen);
                }
            }
            self.kept.clear();
        }
        for (rrname, fact, seen) in rest.iter() {
            self.outbox.window.put(rrname, fact, seen);
        }
        self.checkpoint = result?;
        Ok(())
    }

    /// Finishes batches that are in the store half-way, with the slices they had.
    fn finish(&mut self, start: u64) -> Result<Checkpoint, StoreError> {
        let (_, mut checkpoint) = self.outbox.writer.load(self.run, &self.path)?;
        for end in checkpoint.open_ends() {
            // An earlier batch that is open again was whole in data that Redis lost: it is only closed.
            if end == self.batch {
                for (rrname, fact, seen) in self.kept.iter() {
                    let place = self.outbox.window.place(rrname);
                    let open = checkpoint.is_open_at(place.partition, end);
                    if open && !checkpoint.covers(place, start) {
                        self.outbox.window.put(rrname, fact, seen);
                    }
                }
            }
            self.outbox.ship(self.run, checkpoint, (end, true), None);
            match self.outbox.taken_back()? {
                Some(finished) => checkpoint = finished,
                None => return Err(StoreError::Conflict),
            }
        }
        Ok(checkpoint)
    }
}

/// The error of a lane that ends with what it could not store.
fn lost(carried: &Kept, cause: StoreError, is_stopped: bool) -> AgentError {
    match carried.sightings() {
        0 if is_stopped => AgentError::Stopped(cause),
        0 => AgentError::Store(cause),
        sightings => AgentError::Lost { sightings, cause },
    }
}

/// 16 octets that no other run has.
fn fresh_id() -> std::io::Result<[u8; 16]> {
    use std::io::Read as _;
    let mut id = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}
