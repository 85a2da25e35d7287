//! The lease of a judge: only one works on a store.

use crate::store::{JudgeLease, Store, StoreError};
use std::time::{Duration, Instant};

/// Seconds for which the lease is taken, and after how many it is extended.
const LEASE: u32 = 30;
const RENEW: Duration = Duration::from_secs(8);

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
