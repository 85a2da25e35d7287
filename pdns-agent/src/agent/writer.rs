//! A thread that owns a connection to the store, so that reading goes on while Redis works.
//!
//! Between `pass` and `store`. It takes one request at a time and answers each. While Redis is away it
//! waits, longer each time, and tries again; the reader waits for its answer and so stops reading.

use super::metrics::Metrics;
use super::{AgentError, Stop};
use crate::hash::{DIGEST, Router};
use crate::store::{Batch, Checkpoint, Options, Packer, SourceState, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// First and longest pause between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

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
    Load([u8; 16]),
    UnderWay([u8; 16]),
    Begin([u8; 16], Box<SourceState>),
    Write(Box<Parcel>),
    Check,
}

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
    /// Starts the thread on an open store.
    pub(crate) fn start(store: Store, means: Means) -> Result<Self, AgentError> {
        let (requests, inbox) = channel();
        let (outbox, answers) = channel();
        let connections = Arc::clone(&means.reconnected);
        let mut work = Work { generation: store.generation(), store, means };
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                for request in inbox {
                    let answer = match request {
                        Request::Load(log) => Answer::Loaded(work.load(&log)),
                        Request::UnderWay(log) => {
                            Answer::UnderWay(work.patiently(|store| store.batch_under_way(&log)))
                        }
                        Request::Begin(log, state) => {
                            Answer::Checked(work.patiently(|store| store.acknowledge(&log, &state)))
                        }
                        Request::Write(mut parcel) => {
                            let result = work.write(&mut parcel);
                            Answer::Written(parcel, result)
                        }
                        Request::Check => Answer::Checked(work.patiently(Store::check)),
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

    /// Loads what the store knows of a log.
    pub(crate) fn load(
        &mut self,
        log: [u8; 16],
    ) -> Result<(Option<SourceState>, Checkpoint), StoreError> {
        self.send(Request::Load(log));
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
}

impl Work {
    fn load(&mut self, log: &[u8; 16]) -> Result<(Option<SourceState>, Checkpoint), StoreError> {
        self.patiently(|store| {
            let state = store.source(log)?;
            Ok((state, store.load(log)?))
        })
    }

    fn write(&mut self, parcel: &mut Parcel) -> Result<(), StoreError> {
        let Parcel { batch, checkpoint, digest, state } = parcel;
        self.patiently(|store| {
            if let Some(digest) = digest {
                store.announce_batch(batch.log(), digest)?;
            }
            store.flush(checkpoint, batch)?;
            if let Some(state) = state {
                store.acknowledge(batch.log(), state)?;
                if state.complete {
                    store.settle(batch.log(), checkpoint)?;
                }
            }
            Ok(())
        })
    }

    /// Tries until it works, Redis refuses for good, or the agent stops.
    fn patiently<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (mut pause, longest) = PAUSE;
        let mut given_up = None;
        loop {
            let result = attempt(&mut self.store);
            if self.store.generation() != self.generation {
                self.generation = self.store.generation();
                self.means.reconnected.fetch_add(1, Ordering::Relaxed);
            }
            self.means.metrics.store(result.as_ref().err());
            match result {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, pause_ms = pause.as_millis(), "the store is away; reading waits");
                    if !self.means.stop.sleep(pause) {
                        let until =
                            *given_up.get_or_insert_with(|| Instant::now() + self.means.grace);
                        if Instant::now() >= until {
                            return Err(error);
                        }
                        pause = PAUSE.0;
                        thread::sleep(pause);
                    }
                    pause = (pause * 2).min(longest);
                }
                other => return other,
            }
        }
    }
}

/// What a store that was opened tells.
pub(crate) struct Opened {
    pub(crate) router: Router,
    pub(crate) packer: Packer,
    /// The sensor's bit.
    pub(crate) sensors: u32,
}

/// Opens the store and finds the sensor's bit. A store that is away is waited for with `wait`, if there is one:
/// it sleeps, and is `false` when the agent is to stop.
pub(crate) fn open(
    options: &Options,
    sensor: &str,
    metrics: &Metrics,
    mut wait: Option<&mut dyn FnMut(Duration) -> bool>,
) -> Result<(Store, Opened), AgentError> {
    let (mut pause, longest) = PAUSE;
    loop {
        let opened = Store::open(options).and_then(|mut store| {
            let bit = store.sensor(sensor)?;
            Ok((store, bit))
        });
        metrics.store(opened.as_ref().err());
        match opened {
            Ok((store, sensors)) => {
                let router = store.router().clone();
                let packer = store.packer();
                return Ok((store, Opened { router, packer, sensors }));
            }
            Err(error) => {
                let Some(wait) = wait.as_mut().filter(|_| error.is_transient()) else {
                    return Err(AgentError::Store(error));
                };
                tracing::warn!(%error, pause_ms = pause.as_millis(), "the store is away; waiting for it");
                if !wait(pause) {
                    return Err(AgentError::Store(error));
                }
                pause = (pause * 2).min(longest);
            }
        }
    }
}
