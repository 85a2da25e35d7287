//! State of each client: its tokens, and its running queries.

use super::rate_limit::{Bucket, Quota, Rate};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Maximum number of clients remembered at a time. All others share one bucket.
const MOST: usize = 10_000;

/// Interval at which clients that can be forgotten are removed.
const SWEEP: Duration = Duration::from_secs(1);

/// Identity of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientKey {
    /// A user, regardless of the address.
    User(Arc<str>),
    /// An address. An IPv6 address counts by its /64, because a host has any number of addresses in it.
    Address(IpAddr),
    /// A local user who connected to the Unix socket, by user ID.
    Local(u32),
    /// All clients that there is no room for.
    Others,
}

impl ClientKey {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let net = address.to_bits() >> 64 << 64;
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(net)))
            }
            address @ IpAddr::V4(_) => Self::Address(address),
        }
    }
}

/// The client that a request counts against. Handlers find it among the request extensions, together with the
/// identity of the user.
#[derive(Clone, Debug)]
pub(super) struct ClientHandle {
    /// The user, or the address if there are no users.
    pub(super) client: Arc<Client>,
    /// The address.
    address: Arc<Client>,
    /// The address as a key.
    pub(super) from: ClientKey,
}

impl ClientHandle {
    pub(super) fn new(client: Arc<Client>, address: Arc<Client>, from: ClientKey) -> Self {
        Self { client, address, from }
    }

    /// Returns each client whose queries are counted, the user first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Client>> {
        let address = Some(&self.address).filter(|address| !Arc::ptr_eq(address, &self.client));
        std::iter::once(&self.client).chain(address)
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    bucket: Mutex<Bucket>,
    rate: Rate,
    /// Permits for its queries, fewer than in total, so that some are left for other clients.
    pub(super) queries: Arc<Semaphore>,
}

impl Client {
    fn new(rate: Rate, queries: usize) -> Self {
        Self {
            bucket: Mutex::new(Bucket::full(rate, Instant::now())),
            rate,
            queries: Arc::new(Semaphore::new(queries)),
        }
    }

    /// Takes a token for one request; the error is the time to wait for one.
    pub(super) fn pay(&self) -> Result<(), Duration> {
        self.bucket().take(self.rate, 1, Instant::now())
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        self.bucket().quota(self.rate, Instant::now())
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All recent clients.
#[derive(Debug)]
pub(super) struct Clients {
    rate: Rate,
    queries: usize,
    known: Mutex<KnownClients>,
}

#[derive(Debug, Default)]
struct KnownClients {
    clients: HashMap<ClientKey, Arc<Client>>,
    /// Time of the last removal of forgettable clients.
    swept: Option<Instant>,
}

impl Clients {
    /// Creates the table; `queries` is the maximum number of concurrent queries of one client.
    pub(super) fn new(rate: Rate, queries: usize) -> Self {
        Self { rate, queries: queries.max(1), known: Mutex::default() }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn client(&self, key: ClientKey) -> Arc<Client> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let KnownClients { clients, swept } = &mut *known;
        if let Some(client) = clients.get(&key) {
            return Arc::clone(client);
        }
        let now = Instant::now();
        if clients.len() >= MOST && swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            *swept = Some(now);
            // A client with a full bucket can be forgotten.
            clients.retain(|_, client| {
                Arc::strong_count(client) > 1 || !client.bucket().is_full(self.rate, now)
            });
        }
        let key = if clients.len() >= MOST { ClientKey::Others } else { key };
        let client =
            clients.entry(key).or_insert_with(|| Arc::new(Client::new(self.rate, self.queries)));
        Arc::clone(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_and_their_number_is_bounded() {
        let clients = Clients::new(Rate { per_second: 1, burst: 1 }, 1);
        let of = |text: &str| clients.client(ClientKey::of(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1").pay(), Ok(()));
        assert!(of("192.0.2.1").pay().is_err() && of("::ffff:192.0.2.1").pay().is_err());
        assert_eq!(of("192.0.2.2").pay(), Ok(()));
        assert_eq!(of("2001:db8::1").pay(), Ok(()));
        assert!(of("2001:db8::2").pay().is_err());
        // All of them still ask, so that none can be forgotten.
        let busy: Vec<_> = (0..2 * MOST)
            .map(|number| clients.client(ClientKey::User(number.to_string().into())))
            .collect();
        assert!(clients.known.lock().unwrap().clients.len() <= MOST + 1);
        let [one, other] =
            ["one", "other"].map(|name| clients.client(ClientKey::User(name.into())));
        assert!(Arc::ptr_eq(&one, &other) && busy.iter().any(|client| Arc::ptr_eq(client, &one)));
    }
}
