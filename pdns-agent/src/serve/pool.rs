//! Pool of stores: a bounded number of connections, each lent to one query at a time.

use super::clients::ClientHandle;
use super::http_error::HttpError;
use crate::store::{Options, Store, StoreError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum time for which a query may wait for its turn.
const WAIT: Duration = Duration::from_secs(10);
/// Number of queries that may wait, per query that may run.
const WAITING: usize = 16;
/// Time for which a health check result is reused.
const FRESH: Duration = Duration::from_secs(1);

/// The pool of connections.
#[derive(Debug)]
pub(super) struct Pool {
    options: Options,
    size: usize,
    idle: Mutex<Vec<Idle>>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    health: Mutex<Option<(Instant, Result<(), HttpError>)>>,
}

struct Idle(Store);

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Permit to run one query; released when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_clients: Vec<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(options: Options, size: usize) -> Self {
        let size = size.max(1);
        Self {
            options,
            size,
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(size)),
            waiting: AtomicUsize::new(0),
            health: Mutex::default(),
        }
    }

    /// Waits for a turn, first for a permit of the user, then of the address, then of all.
    ///
    /// # Errors
    /// 503 when too many wait, or for too long.
    pub(super) async fn turn(&self, asker: &ClientHandle) -> Result<Turn, HttpError> {
        let busy = || {
            HttpError::busy(
                "too many queries run at the same time; ask again",
                Duration::from_secs(1),
            )
        };
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _leaves = Leaves(&self.waiting);
        if waiting >= self.size.saturating_mul(WAITING) {
            return Err(busy());
        }
        let turn = async {
            let mut of_clients = Vec::with_capacity(2);
            for client in asker.all() {
                of_clients.push(Arc::clone(&client.queries).acquire_owned().await.ok()?);
            }
            let of_all = Arc::clone(&self.turns).acquire_owned().await.ok()?;
            Some(Turn { _of_all: of_all, _of_clients: of_clients })
        };
        tokio::time::timeout(WAIT, turn).await.ok().flatten().ok_or_else(busy)
    }

    /// Returns a store that can be reached and is still the same store. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when there is none.
    pub(super) fn take(&self) -> Result<Store, StoreError> {
        while let Some(Idle(mut store)) = self.idle().pop() {
            // Otherwise the connection ended, its user lost rights, or the store was replaced: a new connection
            // will tell.
            if store.check().is_ok() {
                return Ok(store);
            }
        }
        Store::open(&self.options)
    }

    /// Adds to an error that Redis evicts keys, if that may be why a key is missing. Blocks.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        Store::explain_loss(&self.options, error)
    }

    /// Returns a store to the pool after a successful query.
    pub(super) fn give(&self, store: Store) {
        let mut idle = self.idle();
        if idle.len() < self.size {
            idle.push(Idle(store));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks whether the store can be queried. Blocks, and queries the store at most once per second.
    pub(super) fn health(&self) -> Result<(), HttpError> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, known)) = &*health
            && at.elapsed() < FRESH
        {
            return known.clone();
        }
        let now =
            self.take().map(|store| self.give(store)).map_err(|error| HttpError::from(&error));
        *health = Some((Instant::now(), now.clone()));
        now
    }

    /// Returns the number of queries that may run, that are running, and that wait.
    pub(super) fn numbers(&self) -> (usize, usize, usize) {
        let running = self.size.saturating_sub(self.turns.available_permits());
        (self.size, running, self.waiting.load(Ordering::Relaxed))
    }
}

/// Decrements the number of waiting queries when dropped, however the wait ends.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
