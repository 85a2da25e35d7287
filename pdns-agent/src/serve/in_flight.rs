//! Limit on the number of items each client holds at a time: connections or queries. Clients without items use
//! no memory.

use super::clients::ClientKey;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The counts of all clients.
#[derive(Debug)]
pub(super) struct InFlight {
    /// Maximum number of items per client.
    most: usize,
    held: Mutex<HashMap<ClientKey, usize>>,
}

/// An item of a client; released when dropped.
#[derive(Debug)]
pub(super) struct Held {
    of: Arc<InFlight>,
    key: ClientKey,
}

impl InFlight {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), held: Mutex::default() })
    }

    /// Adds an item for this client; returns `None` if it has reached its limit.
    pub(super) fn hold(self: &Arc<Self>, key: ClientKey) -> Option<Held> {
        let mut held = self.held();
        let count = held.get(&key).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        held.insert(key.clone(), count + 1);
        Some(Held { of: Arc::clone(self), key })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ClientKey, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.of.held().entry(self.key.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A response body that holds an item until it is sent or given up.
pub(super) struct HoldingBody {
    body: Body,
    _held: Held,
}

impl HoldingBody {
    pub(super) fn new(body: Body, held: Held) -> Self {
        Self { body, _held: held }
    }
}

impl HttpBody for HoldingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_holds_so_many_and_leaves_nothing() {
        let connections = InFlight::new(2);
        let [one, other] =
            ["192.0.2.1", "192.0.2.2"].map(|text| ClientKey::of(text.parse().unwrap()));
        let first = connections.hold(one.clone()).unwrap();
        let second = connections.hold(one.clone()).unwrap();
        assert!(connections.hold(one.clone()).is_none());
        assert!(connections.hold(other).is_some());
        drop(first);
        assert!(connections.hold(one).is_some());
        drop(second);
        assert!(connections.held().is_empty());
    }
}
