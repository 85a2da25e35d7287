//! Runs a query and streams its answer: a thread reads the store and writes lines, the connection sends them.
//!
//! A channel of a few chunks connects the two. A slow client holds only its own thread, and no memory. If it
//! takes nothing for [`PATIENCE`] or disconnects, its query ends at the next line or block.

use super::app::App;
use super::clients::ClientHandle;
use super::http_error::HttpError;
use super::metrics::{Endpoint, Limit};
use crate::store::{Reader, Store, StoreError, Tags};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

/// Size of a chunk, in bytes.
const CHUNK: usize = 16 * 1024;
/// Maximum number of chunks in the channel.
const CHUNKS: usize = 4;
/// Maximum age of a line before it is sent, however small its chunk is.
const AGE: Duration = Duration::from_millis(500);
/// Maximum time for which a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time without output after which a client gets a keep-alive line.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Retry delay for a client that has too many queries.
const AGAIN: Duration = Duration::from_secs(1);
/// Time an answer may be overdue: a query checks its deadline only between two calls of the store.
const SLACK: Duration = Duration::from_secs(5);

/// Reason why an answer ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// The client disconnected, or the server stops.
    Gone,
    /// The query took too long.
    Late,
}

/// The client of a query, and the time limit.
pub(super) struct QueryContext {
    pub(super) app: Arc<App>,
    pub(super) asker: ClientHandle,
    pub(super) endpoint: Endpoint,
    pub(super) time: Duration,
    /// The protocol's keep-alive line, if it has one: it carries no data, and shows only that work continues.
    pub(super) keep_alive: Option<&'static str>,
}

/// Tells whether an answer is still wanted.
#[derive(Clone)]
pub(super) struct Pulse {
    chunks: mpsc::Sender<Bytes>,
    deadline: Instant,
    app: Arc<App>,
}

/// The output of the thread that answers.
pub(super) struct Out {
    head: Option<oneshot::Sender<Result<HeaderMap, HttpError>>>,
    pulse: Pulse,
    chunk: Vec<u8>,
    flushed: Instant,
    runtime: Handle,
    rows: u64,
    /// True if the connection is to be aborted at the end, so that the client sees that the answer is
    /// incomplete.
    breaks_off: bool,
    /// True if a chunk was not taken.
    is_broken: bool,
}

impl Pulse {
    /// Returns an error if the answer is no longer wanted.
    pub(super) fn check(&self) -> Result<(), Cancelled> {
        if self.chunks.is_closed() || self.app.is_stopping() {
            Err(Cancelled::Gone)
        } else if Instant::now() >= self.deadline {
            Err(Cancelled::Late)
        } else {
            Ok(())
        }
    }
}

impl Out {
    /// Ends the wait for an answer: its status is now 200, with these headers. Later calls have no effect.
    pub(super) fn begin(&mut self, media: &'static str, headers: HeaderMap) {
        if let Some(head) = self.head.take() {
            let mut headers = headers;
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
            // The client may have disconnected.
            drop(head.send(Ok(headers)));
        }
    }

    /// Answers with a refusal, if no answer has begun.
    pub(super) fn refuse(&mut self, refusal: HttpError) {
        if let Some(head) = self.head.take() {
            drop(head.send(Err(refusal)));
        }
    }

    /// Returns an error if the answer is no longer wanted.
    pub(super) fn check(&self) -> Result<(), Cancelled> {
        self.pulse.check()
    }

    /// Returns a handle for this check that can be used while the output is borrowed.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Makes the connection abort at the end, so that the client sees that the answer is incomplete.
    pub(super) fn abort(&mut self) {
        self.breaks_off = true;
    }

    /// Writes one line and appends a line feed.
    pub(super) fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Cancelled> {
        let before = self.chunk.len();
        write(&mut self.chunk);
        debug_assert!(
            !self.chunk.get(before..).is_some_and(|line| line.is_empty() || line.contains(&b'\n')),
            "a line is one line, and never blank: some clients die of it"
        );
        self.chunk.push(b'\n');
        if self.chunk.len() >= CHUNK || self.flushed.elapsed() >= AGE {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Like [`Out::line`], and counts a row.
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Cancelled> {
        self.rows += 1;
        self.line(write)
    }

    /// Sends the rest and marks the answer as complete. Without this mark the connection is aborted, so that
    /// nobody takes a part for the whole.
    fn end(&mut self) -> Result<(), Cancelled> {
        self.flush()?;
        if self.breaks_off { Err(Cancelled::Gone) } else { self.send(Bytes::new()) }
    }

    /// Sends the buffered lines.
    pub(super) fn flush(&mut self) -> Result<(), Cancelled> {
        self.flushed = Instant::now();
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        self.send(chunk)
    }

    fn send(&mut self, chunk: Bytes) -> Result<(), Cancelled> {
        if !self.is_broken && !self.pulse.app.is_stopping() {
            let send = self.pulse.chunks.send_timeout(chunk, PATIENCE);
            if self.runtime.block_on(send).is_ok() {
                return Ok(());
            }
        }
        // A chunk that was not taken is missing, so nothing may follow it.
        self.is_broken = true;
        Err(Cancelled::Gone)
    }
}

/// Runs `work` on a thread with a store of the pool, and responds with its output.
///
/// `work` returns an error only if its store cannot be used any more. If the answer has begun, `work` has to
/// write an error for the client before that.
pub(super) async fn ask(
    asking: QueryContext,
    work: impl FnOnce(&mut Reader<'_>, &mut Out) -> Result<(), StoreError> + Send + 'static,
) -> Response {
    with_store(asking, |store, out| work(&mut store.reader(), out)).await
}

/// Like [`ask`], for work that changes tags.
pub(super) async fn change_tags(
    asking: QueryContext,
    work: impl FnOnce(&mut Tags<'_>, &mut Out) -> Result<(), StoreError> + Send + 'static,
) -> Response {
    with_store(asking, |store, out| work(&mut store.tags(), out)).await
}

async fn with_store(
    asking: QueryContext,
    work: impl FnOnce(&mut Store, &mut Out) -> Result<(), StoreError> + Send + 'static,
) -> Response {
    let QueryContext { app, asker, endpoint, time, keep_alive } = asking;
    let Some(held) = app.queries.hold(asker.from.clone()) else {
        app.metrics.limited(Limit::Queries);
        let line = "too many queries of this client run or wait at the same time; ask again";
        return HttpError::too_many(line, AGAIN).into_response();
    };
    let turn = match app.pool.turn(&asker).await {
        Ok(turn) => turn,
        Err(refusal) => {
            app.metrics.limited(Limit::Queries);
            return refusal.into_response();
        }
    };
    let (head, begun) = oneshot::channel();
    let (chunks, lines) = mpsc::channel(CHUNKS);
    let now = Instant::now();
    let mut out = Out {
        head: Some(head),
        pulse: Pulse { chunks, deadline: now + time, app: Arc::clone(&app) },
        chunk: Vec::new(),
        flushed: now,
        runtime: Handle::current(),
        rows: 0,
        breaks_off: false,
        is_broken: false,
    };
    tokio::task::spawn_blocking(move || {
        // Held until the thread is free.
        let _turn = (turn, held);
        let asked = app.pool.take().and_then(|mut store| {
            work(&mut store, &mut out)?;
            Ok(store)
        });
        match asked {
            Ok(store) => {
                app.pool.give(store);
                app.metrics.store(true);
            }
            Err(error) => {
                let error = app.pool.explain(error);
                tracing::warn!(error = &error as &dyn std::error::Error, "a query failed");
                app.metrics.store(!error.is_transient());
                out.refuse(HttpError::from(&error));
                // Protocols with an error line have already sent it.
                out.breaks_off |= keep_alive.is_none();
            }
        }
        let ended = out.end();
        tracing::debug!(rows = out.rows, ?ended, "a query ended");
        app.metrics.query(endpoint, out.rows, now.elapsed());
    });
    let Ok(begun) = tokio::time::timeout(time + SLACK, begun).await else {
        // The thread waits for Redis, and keeps its turn until Redis times out.
        return HttpError::busy("the store does not answer", SLACK).into_response();
    };
    match begun {
        Ok(Ok(headers)) => {
            let alive = keep_alive.map(|line| (line, Box::pin(tokio::time::sleep(KEEP_ALIVE))));
            let mut response = Response::new(Body::new(AnswerBody { lines, alive }));
            *response.headers_mut() = headers;
            response
        }
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => {
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            HttpError::new(status, "the query came to no end").into_response()
        }
    }
}

/// Error for an answer that was not completed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer was broken off")]
struct Broken;

/// The body of an answer: chunks as they arrive, with an empty one at the end.
struct AnswerBody {
    lines: mpsc::Receiver<Bytes>,
    alive: Option<(&'static str, Pin<Box<Sleep>>)>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let chunk = match self.lines.poll_recv(context) {
            Poll::Ready(None) => return Poll::Ready(Some(Err(Broken))),
            Poll::Ready(Some(end)) if end.is_empty() => return Poll::Ready(None),
            Poll::Ready(Some(chunk)) => chunk,
            Poll::Pending => match &mut self.alive {
                None => return Poll::Pending,
                Some((line, sleep)) => {
                    ready!(sleep.as_mut().poll(context));
                    Bytes::from_static(line.as_bytes())
                }
            },
        };
        if let Some((_, sleep)) = &mut self.alive {
            sleep.as_mut().reset(tokio::time::Instant::now() + KEEP_ALIVE);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}
