//! Thread that owns a connection to the store, so that reading continues while Redis works.
//!
//! Between the readers (`log_reader`, `pcap_import`, `packet_pipeline`) and `store`. It processes one request
//! at a time and replies to each. It retries after any error of the store except an incompatible schema, with
//! increasing pauses; the reader waits for the reply and therefore stops reading. The state of the store is
//! published in `health`.

use super::health::{Access, Health};
use super::metrics::Metrics;
use super::{AgentError, Settings, Stop};
use crate::hash::{DIGEST, Router};
use crate::store::{
    Batch, Capacity, Checkpoint, Options, Packer, ReplyTimer, Retry, SourceState, Store, StoreError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// First and longest pause between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Time for which a part of the store may be held by another process before that counts as trouble, and the pause between
/// two looks.
const HELD: Duration = Duration::from_secs(5);
const NAP: Duration = Duration::from_millis(10);
/// Interval of checking a store that is not written to.
const PROBE: Duration = Duration::from_secs(3);
/// Number of identical consecutive replies after which a batch counts as rejected.
const REJECTIONS: u32 = 4;

/// A batch on its way to the store.
pub(crate) struct WriteRequest {
    pub(crate) batch: Batch,
    pub(crate) checkpoint: Checkpoint,
    /// Digest of the log up to the end of the batch, if it belongs to a log.
    pub(crate) digest: Option<[u8; DIGEST]>,
    /// State to acknowledge afterwards, unless the batch only finishes another one.
    pub(crate) state: Option<SourceState>,
}

enum WriterRequest {
    Load([u8; 16], String),
    UnderWay([u8; 16]),
    Begin([u8; 16], Box<SourceState>),
    Write(Box<WriteRequest>),
    Check,
}

#[expect(clippy::large_enum_variant, reason = "the largest is sent once for each file")]
enum WriterReply {
    Loaded(Result<(Option<SourceState>, Checkpoint), StoreError>),
    UnderWay(Result<Option<[u8; DIGEST]>, StoreError>),
    Written(Box<WriteRequest>, Result<(), StoreError>),
    Checked(Result<(), StoreError>),
}

/// Context that a writer's thread shares with others.
#[derive(Clone)]
pub(crate) struct WriterContext {
    pub(crate) stop: Stop,
    /// Time for which an unavailable store is retried when the agent is to stop.
    pub(crate) grace: Duration,
    /// Counts reconnects.
    pub(crate) reconnected: Arc<AtomicU64>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Handle of the thread for its reader.
pub(crate) struct WriterHandle {
    requests: Option<Sender<WriterRequest>>,
    replies: Receiver<WriterReply>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
    connections: Arc<AtomicU64>,
}

/// The error for a store that is unavailable while the agent stops.
fn stopped() -> StoreError {
    StoreError::Unavailable("stopped while the store was away".to_owned())
}

impl WriterHandle {
    /// Starts the thread on an open store. A batch that is rejected repeatedly is returned to the reader,
    /// which sets its log aside ([`StoreError::Rejected`]).
    pub(crate) fn start(store: Store, context: WriterContext) -> Result<Self, AgentError> {
        Self::start_as(store, context, true)
    }

    /// Starts the thread for data that cannot be read again: rejected batches are retried indefinitely.
    pub(crate) fn start_live(store: Store, context: WriterContext) -> Result<Self, AgentError> {
        Self::start_as(store, context, false)
    }

    fn start_as(
        store: Store,
        context: WriterContext,
        sets_aside: bool,
    ) -> Result<Self, AgentError> {
        let (requests, inbox) = channel();
        let (reply_sender, replies) = channel();
        let connections = Arc::clone(&context.reconnected);
        let mut work = Work::new(store, context, sets_aside);
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                loop {
                    let reply = match inbox.recv_timeout(PROBE) {
                        Ok(WriterRequest::Load(log, name)) => {
                            WriterReply::Loaded(work.load(&log, name))
                        }
                        Ok(WriterRequest::UnderWay(log)) => WriterReply::UnderWay(
                            work.with_retry(Some((&log, Access::Read)), |store| {
                                store.writer().batch_under_way(&log)
                            }),
                        ),
                        Ok(WriterRequest::Begin(log, state)) => WriterReply::Checked(
                            work.with_retry(Some((&log, Access::Write)), |store| {
                                store.writer().acknowledge(&log, &state)
                            }),
                        ),
                        Ok(WriterRequest::Write(mut request)) => {
                            let result = work.write(&mut request);
                            WriterReply::Written(request, result)
                        }
                        Ok(WriterRequest::Check) => WriterReply::Checked(work.check()),
                        Err(RecvTimeoutError::Timeout) => {
                            work.probe();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => break,
                    };
                    if reply_sender.send(reply).is_err() {
                        break;
                    }
                }
            })
            .map_err(AgentError::Thread)?;
        Ok(Self {
            requests: Some(requests),
            replies,
            thread: Some(thread),
            busy: false,
            connections,
        })
    }

    /// Loads the stored state of a log; `name` is its name for people. All following requests refer to this
    /// log.
    pub(crate) fn load(
        &mut self,
        log: [u8; 16],
        name: &str,
    ) -> Result<(Option<SourceState>, Checkpoint), StoreError> {
        self.send(WriterRequest::Load(log, name.to_owned()));
        match self.replies.recv() {
            Ok(WriterReply::Loaded(result)) => result,
            _ => Err(stopped()),
        }
    }

    /// Loads the digest of a log up to the end of the batch that was sent last.
    pub(crate) fn under_way(&mut self, log: [u8; 16]) -> Result<Option<[u8; DIGEST]>, StoreError> {
        self.send(WriterRequest::UnderWay(log));
        match self.replies.recv() {
            Ok(WriterReply::UnderWay(result)) => result,
            _ => Err(stopped()),
        }
    }

    /// Announces the data to be read, before any of it is stored.
    pub(crate) fn begin(&mut self, log: [u8; 16], state: SourceState) -> Result<(), StoreError> {
        self.checked(WriterRequest::Begin(log, Box::new(state)))
    }

    /// Checks that the store is available and is the one that was opened.
    pub(crate) fn check(&mut self) -> Result<(), StoreError> {
        self.checked(WriterRequest::Check)
    }

    fn checked(&mut self, request: WriterRequest) -> Result<(), StoreError> {
        self.send(request);
        match self.replies.recv() {
            Ok(WriterReply::Checked(result)) => result,
            _ => Err(stopped()),
        }
    }

    /// Number of reconnects, by any thread.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sends a batch. The previous one must have been waited for.
    pub(crate) fn write(&mut self, request: WriteRequest) {
        self.send(WriterRequest::Write(Box::new(request)));
        self.busy = true;
    }

    /// Waits for the batch in flight, if there is one.
    pub(crate) fn wait(&mut self) -> Option<(WriteRequest, Result<(), StoreError>)> {
        if !std::mem::take(&mut self.busy) {
            return None;
        }
        match self.replies.recv() {
            Ok(WriterReply::Written(request, result)) => Some((*request, result)),
            _ => None,
        }
    }

    /// Returns the batch in flight, if there is one and it is finished.
    pub(crate) fn poll(&mut self) -> Option<(WriteRequest, Result<(), StoreError>)> {
        if !self.busy {
            return None;
        }
        match self.replies.try_recv() {
            Ok(WriterReply::Written(request, result)) => {
                self.busy = false;
                Some((*request, result))
            }
            // No other request is sent while a batch is in flight.
            Ok(_) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Returns true if a batch is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    fn send(&self, request: WriterRequest) {
        if let Some(requests) = &self.requests {
            // Sending fails only if the thread is gone, and then there will be no reply either.
            drop(requests.send(request));
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Work {
    store: Store,
    context: WriterContext,
    generation: u64,
    /// Number of the connection in [`super::health::Health`].
    connection: u64,
    /// Name for people of the log that was loaded last.
    name: String,
    /// True if a batch that is rejected repeatedly is returned to its reader.
    sets_aside: bool,
}

impl Work {
    fn new(store: Store, context: WriterContext, sets_aside: bool) -> Self {
        let connection = context.metrics.health.enter(store.reply_timer());
        Self {
            generation: store.generation(),
            connection,
            store,
            context,
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
        self.with_retry(Some((log, Access::Read)), |store| {
            let state = store.writer().source(log)?;
            Ok((state, store.writer().load(log)?))
        })
    }

    fn write(&mut self, request: &mut WriteRequest) -> Result<(), StoreError> {
        let WriteRequest { batch, checkpoint, digest, state } = request;
        let (metrics, log) = (Arc::clone(&self.context.metrics), *batch.log());
        self.with_retry(Some((&log, Access::Write)), |store| {
            check_capacity(store, &metrics.health)?;
            if let Some(digest) = digest {
                store.writer().announce_batch(batch.log(), digest)?;
            }
            let flushed = store.writer().flush(checkpoint, batch);
            // The part of a failed batch that the store accepted stays stored.
            metrics.health.stored(batch.take_confirmed(), batch.take_unkept());
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
        self.with_retry(None, Store::check)
    }

    /// Checks the store while there is nothing to write, so that problems show early.
    fn probe(&mut self) {
        let mut is_repeated = false;
        loop {
            let health = &self.context.metrics.health;
            let result = check_capacity(&mut self.store, health);
            self.note_connection();
            let health = &self.context.metrics.health;
            match result {
                Ok(()) => health.succeeded(self.connection),
                // A connection that was closed while idle says nothing about the store.
                Err(error @ StoreError::Unavailable(_)) if !is_repeated => {
                    health.failed(self.connection, &error, false);
                    is_repeated = !self.context.stop.is_stopped();
                    if is_repeated {
                        continue;
                    }
                }
                Err(error) => health.failed(self.connection, &error, true),
            }
            return;
        }
    }

    /// Notifies the readers of a reconnect: Redis may have lost data before it.
    fn note_connection(&mut self) {
        if self.store.generation() != self.generation {
            self.generation = self.store.generation();
            self.context.reconnected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Retries until the operation succeeds, can only continue from another state of the store, or the agent
    /// stops. `of` is the log that is written or read.
    fn with_retry<T>(
        &mut self,
        of: Option<(&[u8; 16], Access)>,
        mut attempt: impl FnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let metrics = Arc::clone(&self.context.metrics);
        let health = &metrics.health;
        let (mut pause, longest) = PAUSE;
        let (mut given_up, mut held) = (None, None);
        let (mut tries, mut same, mut last) = (0_u32, 0_u32, String::new());
        // The last answer that a part of the batch was refused with.
        let mut refused = None;
        loop {
            let result = attempt(&mut self.store);
            self.note_connection();
            let error = match result {
                Err(error) if error.retry() == Retry::Wait => error,
                Err(StoreError::Conflict) if refused.is_some() => {
                    // The reader logs it.
                    health.succeeded_as_told(self.connection);
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
            // A part is held for some milliseconds while records are forgotten, which is no trouble of the store.
            if matches!(error, StoreError::Held) {
                let since = *held.get_or_insert_with(Instant::now);
                if since.elapsed() < HELD && self.context.stop.sleep(NAP) {
                    continue;
                }
            }
            tries += 1;
            let text = error.to_string();
            same = if text == last { same + 1 } else { 1 };
            last = text;
            // A closed connection says nothing about the store, so another one is made at once. A problem
            // that may concern this batch only is not an outage until other commands fail, too.
            let is_lost = tries == 1 && matches!(error, StoreError::Unavailable(_));
            let suspect = of.filter(|_| self.sets_aside && error.concerns_call());
            // Errors that differ each time concern more than the batch.
            let is_told =
                !is_lost && (suspect.is_none() || same >= REJECTIONS || tries >= 2 * REJECTIONS);
            // Not before it is compared with the last one: the number of evicted keys changes.
            let error = self.store.explain(error);
            if let Some((log, access)) = suspect.filter(|_| same >= REJECTIONS)
                && self.store.check().is_ok()
            {
                health.reject(self.connection, (*log, access), &self.name, &error);
                return Err(StoreError::Rejected(Box::new(error)));
            }
            health.failed(self.connection, &error, is_told);
            // Also when the agent stops: the reply that was lost may have been to a batch that is stored.
            if is_lost {
                continue;
            }
            if !self.context.stop.sleep(pause) {
                let until = *given_up.get_or_insert_with(|| Instant::now() + self.context.grace);
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
        self.context.metrics.health.leave(self.connection);
    }
}

/// Publishes the memory of Redis, and then refuses a server that may evict what is written to it: its metrics go on
/// while nothing is written.
fn check_capacity(store: &mut Store, health: &Health) -> Result<(), StoreError> {
    let capacity = store.capacity()?;
    let checked = capacity.as_ref().map_or(Ok(()), Capacity::refuse_eviction);
    health.capacity(capacity);
    checked
}

/// Properties of a store that was opened.
pub(crate) struct OpenStore {
    pub(crate) router: Router,
    pub(crate) packer: Packer,
    /// The sensor's number.
    pub(crate) sensor: u16,
}

/// Patience with a store that was never in use. After its first use errors are always retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait from the start if it is unavailable.
    FromStart,
    /// Wait if it is full or busy, but not if it is unavailable.
    OnceReached,
}

/// Opens the store and determines the sensor's number. `wait` sleeps, and returns `false` if the agent is to
/// stop.
pub(crate) fn open(
    settings: &Settings,
    sensor: &str,
    metrics: &Metrics,
    wait: &mut dyn FnMut(Duration) -> bool,
    patience: Patience,
) -> Result<(Store, OpenStore), AgentError> {
    let timer = Arc::default();
    let connection = metrics.health.enter(&timer);
    let opened = open_as(connection, (&settings.store, &timer), sensor, metrics, wait, patience);
    metrics.health.leave(connection);
    let (store, mut opened) = opened.map_err(AgentError::Store)?;
    opened.packer.bind(&settings.new_names);
    Ok((store, opened))
}

fn open_as(
    connection: u64,
    (options, timer): (&Options, &Arc<ReplyTimer>),
    sensor: &str,
    metrics: &Metrics,
    wait: &mut dyn FnMut(Duration) -> bool,
    patience: Patience,
) -> Result<(Store, OpenStore), StoreError> {
    let health = &metrics.health;
    let (mut pause, longest) = PAUSE;
    let mut tries = 0;
    loop {
        let opened = Store::open_timed(options, Arc::clone(timer)).and_then(|mut store| {
            check_capacity(&mut store, health)?;
            let number = store.writer().sensor(sensor).map_err(|error| store.explain(error))?;
            Ok((store, number))
        });
        let error = match opened {
            Ok((mut store, sensor)) => {
                health.opened(connection);
                let (router, packer) = (store.router().clone(), store.writer().packer());
                return Ok((store, OpenStore { router, packer, sensor }));
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
