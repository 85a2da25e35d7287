//! The lease of a judge: only one works on a store.

use crate::store::{JudgeLease, Options, Store, StoreError};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Seconds for which the lease is taken, and after how many it is extended.
const LEASE: u32 = 30;
pub(super) const RENEW: Duration = Duration::from_secs(8);

/// The lease, and when it was extended.
pub(super) struct Lease {
    lease: JudgeLease,
    renewed: Instant,
}

impl Lease {
    pub(super) fn new(holder: &str) -> Self {
        Self { lease: JudgeLease::new(holder, LEASE), renewed: Instant::now() }
    }

    /// Takes the lease.
    pub(super) fn take(&mut self, store: &mut Store, now: u32) -> Result<(), StoreError> {
        store.judge().take(&self.lease, now)?;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Extends the lease, if that is due.
    pub(super) fn renew(&mut self, store: &mut Store, now: u32) -> Result<(), StoreError> {
        if self.renewed.elapsed() >= RENEW { self.take(store, now) } else { Ok(()) }
    }

    /// Extends the lease, from a connection of its own, while something is done that takes long: else another judge that
    /// waits would take over in the middle of it. `now` is the time in seconds since the epoch.
    pub(super) fn held_during<T>(
        &self,
        options: &Options,
        now: u32,
        work: impl FnOnce() -> T,
    ) -> T {
        let (working, ended) = channel();
        thread::scope(|scope| {
            let lease = &self.lease;
            scope.spawn(move || extend(lease, options, now, &ended));
            let outcome = work();
            drop(working);
            outcome
        })
    }

    /// Writes the state of the judge, which extends the lease.
    pub(super) fn commit(
        &mut self,
        store: &mut Store,
        now: u32,
        state: &[u8],
    ) -> Result<(), StoreError> {
        store.judge().commit(&self.lease, now, state)?;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Gives the lease back.
    pub(super) fn release(&self, store: &mut Store, now: u32) -> Result<(), StoreError> {
        store.judge().release(&self.lease, now)
    }
}

/// Extends a lease again and again until the other end of `ended` is gone. What fails is tried again; whoever works finds
/// out at the next change whether the lease was lost.
fn extend(lease: &JudgeLease, options: &Options, now: u32, ended: &Receiver<()>) {
    let begin = Instant::now();
    let mut opened = None;
    while ended.recv_timeout(RENEW) == Err(RecvTimeoutError::Timeout) {
        let passed = u32::try_from(begin.elapsed().as_secs()).unwrap_or(u32::MAX);
        let taken =
            opened.take().map_or_else(|| Store::open(options), Ok).and_then(|mut store: Store| {
                store.judge().take(lease, now.saturating_add(passed))?;
                Ok(store)
            });
        match taken {
            Ok(store) => opened = Some(store),
            Err(error) => tracing::debug!(%error, "cannot extend the lease"),
        }
    }
}
