//! A thread that owns a connection to the store, so that reading goes on while Redis works.
//!
//! Between the readers (`pass`, `captured`, `lane`) and `store`. It takes one request at a time and answers each.
//! Whatever is wrong with the store, but for an incompatible schema, it waits, longer each time, and tries again; the
//! reader waits for its answer and so stops reading. How the store is doing is published in `health`.

use super::health::Access;
use super::metrics::Metrics;
use super::{AgentError, Stop};
use crate::hash::{DIGEST, Router};
use crate::store::{
    Batch, Checkpoint, Options, Packer, ReplyTimer, Retry, SourceState, Store, StoreError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// First and longest pause between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often a store is looked at that nothing is written to.
const PROBE: Duration = Duration::from_secs(3);
/// How often in a row the same answer is given before a batch is taken to be rejected.
const REJECTIONS: u32 = 4;

/// A batch on its way to the store.
pub(crate) struct Parcel {
    pub(crate) batch: Batch,
    pub(crate) checkpoint: Checkpoint,
    /// Digest of the log up to the end of the batch, if it is of a log.
    pub(crate) digest: Option<[u8; DIGEST]>,
    /// What to acknowledge afterwards, unless the batch only finishes another one.
    pub(crate) state: Option<SourceState>,
}

enum Request {
    Load([u8; 16], String),
    UnderWay([u8; 16]),
    Begin([u8; 16], Box<SourceState>),
    Write(Box<Parcel>),
    Check,
}

#[expect(clippy::large_enum_variant, reason = "the largest is sent once for each file")]
enum Answer {
    Loaded(Result<(Option<SourceState>, Checkpoint), StoreError>),
    UnderWay(Result<Option<[u8; DIGEST]>, StoreError>),
    Written(Box<Parcel>, Result<(), StoreError>),
    Checked(Result<(), StoreError>),
}

/// What a writer's thread shares with others.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) stop: Stop,
    /// How long a store that is away is tried when the agent is to stop.
    pub(crate) grace: Duration,
    /// Counts connections that had to be made anew.
    pub(crate) reconnected: Arc<AtomicU64>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The reader's end of the thread.
pub(crate) struct Writer {
    requests: Option<Sender<Request>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
    connections: Arc<AtomicU64>,
}

/// The error of a store that is away while the agent stops.
fn stopped() -> StoreError {
    StoreError::Unavailable("stopped while the store was away".to_owned())
}

impl Writer {
    /// Starts the thread on an open store. What is rejected again and again goes back to the reader, which sets its
    /// log aside ([`StoreError::Rejected`]).
    pub(crate) fn start(store: Store, means: Means) -> Result<Self, AgentError> {
        Self::start_as(store, means, true)
    }

    /// Starts the thread for what cannot be read again: what is rejected is tried on and on.
    pub(crate) fn start_live(store: Store, means: Means) -> Result<Self, AgentError> {
        Self::start_as(store, means, false)
    }

    fn start_as(store: Store, means: Means, sets_aside: bool) -> Result<Self, AgentError> {
        let (requests, inbox) = channel();
        let (outbox, answers) = channel();
        let connections = Arc::clone(&means.reconnected);
        let mut work = Work::new(store, means, sets_aside);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                loop {
                    let answer = match inbox.recv_timeout(PROBE) {
                        Ok(Request::Load(log, name)) => Answer::Loaded(work.load(&log, name)),
                        Ok(Request::UnderWay(log)) => {
                            Answer::UnderWay(work.patiently(Some((&log, Access::Read)), |store| {
                                store.writer().batch_under_way(&log)
                            }))
                        }
                        Ok(Request::Begin(log, state)) => {
                            Answer::Checked(work.patiently(Some((&log, Access::Write)), |store| {
                                store.writer().acknowledge(&log, &state)
                            }))
                        }
                        Ok(Request::Write(mut parcel)) => {
                            let result = work.write(&mut parcel);
                            Answer::Written(parcel, result)
                        }
                        Ok(Request::Check) => Answer::Checked(work.check()),
                        Err(RecvTimeoutError::Timeout) => {
                            work.probe();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => break,
                    };
                    if outbox.send(answer).is_err() {
                        break;
                    }
                }
            })
            .map_err(AgentError::Thread)?;
        Ok(Self {
            requests: Some(requests),
            answers,
            thread: Some(thread),
            busy: false,
            connections,
        })
    }

    /// Loads what the store knows of a log, which people know by its `name`. All that follows is of this log.
    pub(crate) fn load(
        &mut self,
        log: [u8; 16],
        name: &str,
    ) -> Result<(Option<SourceState>, Checkpoint), StoreError> {
        self.send(Request::Load(log, name.to_owned()));
        match self.answers.recv() {
            Ok(Answer::Loaded(result)) => result,
            _ => Err(stopped()),
        }
    }

    /// Loads the digest of a log up to the end of the batch that was sent last.
    pub(crate) fn under_way(&mut self, log: [u8; 16]) -> Result<Option<[u8; DIGEST]>, StoreError> {
        self.send(Request::UnderWay(log));
        match self.answers.recv() {
            Ok(Answer::UnderWay(result)) => result,
            _ => Err(stopped()),
        }
    }

    /// Says what is going to be read, before anything of it is stored.
    pub(crate) fn begin(&mut self, log: [u8; 16], state: SourceState) -> Result<(), StoreError> {
        self.checked(Request::Begin(log, Box::new(state)))
    }

    /// Makes sure that the store is there and the one that was opened.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.checked(Request::Check)
    }

    fn checked(&mut self, request: Request) -> Result<(), StoreError> {
        self.send(request);
        match self.answers.recv() {
            Ok(Answer::Checked(result)) => result,
            _ => Err(stopped()),
        }
    }

    /// How often a connection had to be made anew, by any thread.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sends a batch. The one before must have been taken back.
    pub(crate) fn write(&mut self, parcel: Parcel) {
        self.send(Request::Write(Box::new(parcel)));
        self.busy = true;
    }

    /// Waits for the batch under way, if one is.
    pub(crate) fn take_back(&mut self) -> Option<(Parcel, Result<(), StoreError>)> {
        if !std::mem::take(&mut self.busy) {
            return None;
        }
        match self.answers.recv() {
            Ok(Answer::Written(parcel, result)) => Some((*parcel, result)),
            _ => None,
        }
    }

    /// The batch under way, if one is and it has come back.
    pub(crate) fn poll(&mut self) -> Option<(Parcel, Result<(), StoreError>)> {
        if !self.busy {
            return None;
        }
        match self.answers.try_recv() {
            Ok(Answer::Written(parcel, result)) => {
                self.busy = false;
                Some((*parcel, result))
            }
            // No other request is sent while one is under way.
            Ok(_) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Whether a batch is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    fn send(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // Fails only when the thread is gone, and then there will be no answer either.
            drop(requests.send(request));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Work {
    store: Store,
    means: Means,
    generation: u64,
    /// Number of the connection in [`super::health::Health`].
    connection: u64,
    /// What people know the log by that was loaded last.
    name: String,
    /// Whether a batch that is rejected again and again goes back to its reader.
    sets_aside: bool,
}

impl Work {
    fn new(store: Store, means: Means, sets_aside: bool) -> Self {
        let connection = means.metrics.health.enter(store.reply_timer());
        Self {
            generation: store.generation(),
            connection,
            store,
            means,
            name: String::new(),
            sets_aside,
        }
    }

    fn load(
        &mut self,
        log: &[u8; 16],
        name: String,
    ) -> Result<(Option<SourceState>, Checkpoint), StoreError> {
        self.name = name;
        self.patiently(Some((log, Access::Read)), |store| {
            let state = store.writer().source(log)?;
            Ok((state, store.writer().load(log)?))
        })
    }

    fn write(&mut self, parcel: &mut Parcel) -> Result<(), StoreError> {
        let Parcel { batch, checkpoint, digest, state } = parcel;
        let (metrics, log) = (Arc::clone(&self.means.metrics), *batch.log());
        self.patiently(Some((&log, Access::Write)), |store| {
            metrics.health.capacity(store.safe_capacity()?);
            if let Some(digest) = digest {
                store.writer().announce_batch(batch.log(), digest)?;
            }
            let flushed = store.writer().flush(checkpoint, batch);
            // What the store took of a batch that failed stays there.
            metrics.health.stored(batch.take_confirmed());
            flushed?;
            if let Some(state) = &*state {
                store.writer().acknowledge(batch.log(), state)?;
                if state.complete {
                    store.writer().settle(batch.log(), checkpoint)?;
                }
            }
            Ok(())
        })
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.patiently(None, Store::check)
    }

    /// Looks at the store while there is nothing to write, so that trouble shows before it is needed.
    fn probe(&mut self) {
        let mut is_repeated = false;
        loop {
            let result = self.store.safe_capacity();
            self.note_connection();
            let health = &self.means.metrics.health;
            match result {
                Ok(capacity) => {
                    health.capacity(capacity);
                    health.succeeded(self.connection);
                }
                // A connection that ended while it was idle says nothing about the store.
                Err(error @ StoreError::Unavailable(_)) if !is_repeated => {
                    health.failed(self.connection, &error, false);
                    is_repeated = !self.means.stop.is_stopped();
                    if is_repeated {
                        continue;
                    }
                }
                Err(error) => health.failed(self.connection, &error, true),
            }
            return;
        }
    }

    /// Tells the readers of a new connection: Redis may have lost data before it was made.
    fn note_connection(&mut self) {
        if self.store.generation() != self.generation {
            self.generation = self.store.generation();
            self.means.reconnected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tries until it works, it can only go on from another state of the store, or the agent stops. What is to be
    /// written or read is `of` a log.
    fn patiently<T>(
        &mut self,
        of: Option<(&[u8; 16], Access)>,
        mut attempt: impl FnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let metrics = Arc::clone(&self.means.metrics);
        let health = &metrics.health;
        let (mut pause, longest) = PAUSE;
        let mut given_up = None;
        let (mut tries, mut same, mut last) = (0_u32, 0_u32, String::new());
        // The last answer that a part of the batch was refused with.
        let mut refused = None;
        loop {
            let result = attempt(&mut self.store);
            self.note_connection();
            let error = match result {
                Err(error) if error.retry() == Retry::Wait => error,
                Err(StoreError::Conflict) if refused.is_some() => {
                    health.succeeded(self.connection);
                    let cause: StoreError = refused.take().unwrap_or(StoreError::Conflict);
                    return Err(StoreError::PartlyRefused(Box::new(cause)));
                }
                other => {
                    health.succeeded(self.connection);
                    if let (Ok(_), Some((log, access))) = (&other, of) {
                        health.accept(log, access);
                    }
                    return other;
                }
            };
            tries += 1;
            let text = error.to_string();
            same = if text == last { same + 1 } else { 1 };
            last = text;
            // A connection that ended says nothing about the store, so another one is made at once. What may be
            // about this one batch is no outage until other commands fail, too.
            let is_lost = tries == 1 && matches!(error, StoreError::Unavailable(_));
            let suspect = of.filter(|_| self.sets_aside && error.concerns_call());
            let is_told = !is_lost && (suspect.is_none() || same >= REJECTIONS);
            // Not before it is compared with the last one: the number of evicted keys changes.
            let error = self.store.explain(error);
            if let Some((log, access)) = suspect.filter(|_| same >= REJECTIONS)
                && self.store.check().is_ok()
            {
                health.reject(self.connection, (*log, access), &self.name, &error);
                return Err(StoreError::Rejected(Box::new(error)));
            }
            health.failed(self.connection, &error, is_told);
            if is_lost && !self.means.stop.is_stopped() {
                continue;
            }
            if !self.means.stop.sleep(pause) {
                let until = *given_up.get_or_insert_with(|| Instant::now() + self.means.grace);
                if Instant::now() >= until {
                    if of.is_some() {
                        health.give_up(&error);
                    }
                    return Err(error);
                }
                pause = PAUSE.0;
                thread::sleep(pause);
            }
            refused = Some(error).filter(StoreError::concerns_call);
            pause = (pause * 2).min(longest);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let entries = self.store.writer().pending_postings();
        if entries > 0 {
            tracing::warn!(entries, "index entries not written, run `pdns admin verify --repair`");
        }
        self.means.metrics.health.leave(self.connection);
    }
}

/// What a store that was opened tells.
pub(crate) struct Opened {
    pub(crate) router: Router,
    pub(crate) packer: Packer,
    /// The sensor's bit.
    pub(crate) sensors: u32,
}

/// When a store that was never in use is waited for. Afterwards its errors are waited out in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// From the start, if it is away.
    FromStart,
    /// Once it can be reached, if it is full or busy.
    OnceReached,
}

/// Opens the store and finds the sensor's bit. `wait` sleeps, and is `false` when the agent is to stop.
pub(crate) fn open(
    options: &Options,
    sensor: &str,
    metrics: &Metrics,
    wait: &mut dyn FnMut(Duration) -> bool,
    patience: Patience,
) -> Result<(Store, Opened), AgentError> {
    let timer = Arc::default();
    let connection = metrics.health.enter(&timer);
    let opened = open_as(connection, (options, &timer), sensor, metrics, wait, patience);
    metrics.health.leave(connection);
    opened.map_err(AgentError::Store)
}

fn open_as(
    connection: u64,
    (options, timer): (&Options, &Arc<ReplyTimer>),
    sensor: &str,
    metrics: &Metrics,
    wait: &mut dyn FnMut(Duration) -> bool,
    patience: Patience,
) -> Result<(Store, Opened), StoreError> {
    let health = &metrics.health;
    let (mut pause, longest) = PAUSE;
    let mut tries = 0;
    loop {
        let opened = Store::open_timed(options, Arc::clone(timer)).and_then(|mut store| {
            health.capacity(store.safe_capacity()?);
            let sensors = store.writer().sensor(sensor).map_err(|error| store.explain(error))?;
            Ok((store, sensors))
        });
        let error = match opened {
            Ok((mut store, sensors)) => {
                // That it does not read says itself sooner or later; the agent can do without.
                if let Ok(Some(names)) = store.reader().sensors_sharing(sensors) {
                    health.shares_mark(sensor, &names);
                }
                health.opened(connection);
                let (router, packer) = (store.router().clone(), store.writer().packer());
                return Ok((store, Opened { router, packer, sensors }));
            }
            Err(error) => error,
        };
        tries += 1;
        let waits = if health.has_worked() {
            error.retry() == Retry::Wait
        } else {
            (error.is_transient() && (patience == Patience::FromStart || error.is_busy()))
                || (error.is_doubtful() && tries < REJECTIONS)
        };
        health.failed(connection, &error, waits);
        if !waits || !wait(pause) {
            return Err(error);
        }
        pause = (pause * 2).min(longest);
    }
}
