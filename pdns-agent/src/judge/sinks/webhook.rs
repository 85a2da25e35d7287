//! The web hook: a thread sends what is in the spool, one request after the other, until the server has it.

use super::spool::Spool;
use super::{SinkError, at};
use crate::judge::settings::WebhookSink;
use crate::outgoing::{Client, OutgoingError, Request, Secret};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Shortest and longest pause after a failed request.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// The spool and its thread. The thread ends with the process.
pub(super) struct Webhook {
    shared: Arc<SharedQueue>,
    folder: PathBuf,
}

struct SharedQueue {
    state: Mutex<SendState>,
    changed: Condvar,
}

struct SendState {
    spool: Spool,
    /// True after a request failed.
    is_failing: bool,
}

impl SharedQueue {
    fn lock(&self) -> MutexGuard<'_, SendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Webhook {
    pub(super) fn start(
        settings: &WebhookSink,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SinkError> {
        let client = Client::new(&settings.outgoing, env).map_err(SinkError::Webhook)?;
        let key = match &settings.key {
            None => None,
            Some(key) => {
                let secret = key.secret.read(env).map_err(SinkError::Webhook)?;
                Some((key.header.clone(), secret.map(|text| format!("{}{text}", key.prefix))))
            }
        };
        let folder = settings.spool.clone();
        let spool = Spool::open(&folder, settings.most).map_err(at(&folder))?;
        let shared = Arc::new(SharedQueue {
            state: Mutex::new(SendState { spool, is_failing: false }),
            changed: Condvar::new(),
        });
        let sender =
            Sender { client, key, url: settings.url.clone(), batch: settings.batch.max(1) };
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(move || sender.run(&own))
            .map_err(at(&folder))?;
        Ok(Self { shared, folder })
    }

    /// Puts lines into the spool; returns how many are there, even after an error.
    pub(super) fn push<'l>(
        &self,
        lines: impl Iterator<Item = &'l str>,
    ) -> (usize, Result<(), SinkError>) {
        let (count, pushed) = self.shared.lock().spool.push(lines);
        self.shared.changed.notify_all();
        (count, pushed.map_err(at(&self.folder)))
    }

    pub(super) fn has_dropped(&self) -> bool {
        self.shared.lock().spool.dropped > 0
    }

    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.shared.lock().spool.dropped)
    }

    /// Waits until everything is sent or a request failed.
    pub(super) fn drain(&self, most: Duration) {
        let until = Instant::now() + most;
        let mut state = self.shared.lock();
        while state.spool.waiting() > 0 && !state.is_failing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct Sender {
    client: Client,
    key: Option<(String, Secret)>,
    url: String,
    batch: usize,
}

impl Sender {
    fn run(&self, shared: &SharedQueue) {
        let mut pause = PAUSE.0;
        loop {
            let mut state = shared.lock();
            while state.spool.waiting() == 0 {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let peeked = state.spool.peek(self.batch);
            drop(state);
            let outcome = peeked.map_err(PostFailure::Spool).and_then(|(lines, after)| {
                self.send(&lines).map(|refused| (refused, after, lines.len()))
            });
            let outcome = outcome.and_then(|(refused, after, count)| {
                let mut state = shared.lock();
                if let Some(error) = refused {
                    tracing::warn!(%error, events = count, "the web hook refused events, dropping them");
                    state.spool.dropped += count as u64;
                }
                state.spool.advance(after).map_err(PostFailure::Spool)
            });
            let mut state = shared.lock();
            match outcome {
                Ok(()) => {
                    if std::mem::take(&mut state.is_failing) {
                        tracing::info!("the web hook takes events again");
                    }
                    pause = PAUSE.0;
                    drop(state);
                    shared.changed.notify_all();
                }
                Err(error) => {
                    if !std::mem::replace(&mut state.is_failing, true) {
                        tracing::warn!(%error, "the web hook takes no events, keeping them");
                    }
                    drop(state);
                    shared.changed.notify_all();
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    /// Sends lines; returns the reason if the server will never take them.
    fn send(&self, lines: &[String]) -> Result<Option<OutgoingError>, PostFailure> {
        let body = lines.concat();
        let (body, media) = if self.batch == 1 {
            (body.trim_end().to_owned(), "application/json")
        } else {
            (body, "application/x-ndjson")
        };
        let mut request = Request::post(&self.url, body.into_bytes(), media);
        request.secrets.extend(self.key.clone());
        match self.client.send(&request) {
            Ok(_) => Ok(None),
            // Anything else may be put right: a key, an address, the server.
            Err(error @ OutgoingError::Status { status: 400 | 413 | 415 | 422, .. }) => {
                Ok(Some(error))
            }
            Err(error) => Err(PostFailure::Request(error)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum PostFailure {
    #[error("cannot use the spool: {0}")]
    Spool(io::Error),
    #[error(transparent)]
    Request(OutgoingError),
}
