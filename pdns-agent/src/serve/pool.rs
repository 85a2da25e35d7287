//! Stores for questions: a bounded number of connections, each lent to one question at a time.

use super::clients::Asker;
use super::refusal::Refusal;
use crate::store::{Options, Store, StoreError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a question may wait for its turn.
const WAIT: Duration = Duration::from_secs(10);
/// Questions that may wait, for each that may run.
const WAITING: usize = 16;
/// How long a word on the store's health holds.
const FRESH: Duration = Duration::from_secs(1);

/// The connections.
#[derive(Debug)]
pub(super) struct Pool {
    options: Options,
    size: usize,
    idle: Mutex<Vec<Idle>>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    health: Mutex<Option<(Instant, Result<(), Refusal>)>>,
}

struct Idle(Store);

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Leave to run one question; others get it when this is dropped.
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

    /// Waits for a turn, first among those of the user, then of the address, then of all.
    ///
    /// # Errors
    /// 503 when too many wait, or for too long.
    pub(super) async fn turn(&self, asker: &Asker) -> Result<Turn, Refusal> {
        let busy = || {
            Refusal::busy(
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

    /// A store that can be reached and is the one it was. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] when there is none.
    pub(super) fn take(&self) -> Result<Store, StoreError> {
        while let Some(Idle(mut store)) = self.idle().pop() {
            // Else its connection ended, its user lost rights, or the store is another one: a new connection tells.
            if store.check().is_ok() {
                return Ok(store);
            }
        }
        Store::open(&self.options)
    }

    /// Takes a store back, of which no question failed.
    pub(super) fn give(&self, store: Store) {
        let mut idle = self.idle();
        if idle.len() < self.size {
            idle.push(Idle(store));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the store can be asked. Blocks, and is asked once a second at most.
    pub(super) fn health(&self) -> Result<(), Refusal> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, known)) = &*health
            && at.elapsed() < FRESH
        {
            return known.clone();
        }
        let now = self.take().map(|store| self.give(store)).map_err(|error| Refusal::from(&error));
        *health = Some((Instant::now(), now.clone()));
        now
    }

    /// Questions that may run, that do, and that wait.
    pub(super) fn numbers(&self) -> (usize, usize, usize) {
        let running = self.size.saturating_sub(self.turns.available_permits());
        (self.size, running, self.waiting.load(Ordering::Relaxed))
    }
}

/// Counts one less that waits, however the wait ends.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
