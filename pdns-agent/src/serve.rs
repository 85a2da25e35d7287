//! `pdns serve`: the store over HTTP, in the protocols that passive DNS clients already support.
//!
//! Top layer, beside `cli`: reads requests, queries `query` and `store`, and writes the answers with `render`
//! or in a protocol of its own. The path of a request:
//!
//! ```text
//! listen (TCP, TLS, Unix socket) -> guard (host, user, rate) -> router -> circl | dnsdb | context | health
//!                                                                  |
//!                                    answer (a thread with a store of the pool, rows in a bounded channel)
//! ```
//!
//! Connections are asynchronous; the store is not, so each query runs on a thread of its own, and the pool
//! bounds the number of concurrent queries. A request that cannot be answered gets a refusal: a status and one
//! plain line.

mod address;
mod app;
mod auth;
mod circl;
mod clients;
mod context;
mod dnsdb;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod health;
mod host_check;
mod http_error;
mod in_flight;
mod listen;
mod metrics;
mod misp;
mod openapi;
mod pages;
mod part;
mod pool;
mod rate_limit;
mod router;
mod stream;
mod tls;
pub mod users;

pub use address::{Address, BadAddress};
pub use host_check::{HostName, NoHostName};
pub use pages::hunt::{HuntUrl, NoHuntUrl};

use crate::config::exit;
use crate::indicator::Tlp;
use crate::query::Scorer;
use crate::store::{Options, Store, StoreError};
use app::App;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Time that running requests get to finish after the first signal to stop.
const GRACE: Duration = Duration::from_secs(10);
/// Interval at which the users file and the certificate files are checked for changes.
const RELOAD: Duration = Duration::from_secs(5);
/// Number of threads in addition to those of queries: for passwords and health checks.
const MORE_THREADS: usize = 4;

/// Settings of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: Options,
    /// Addresses to listen on.
    pub listen: Vec<Address>,
    /// Users file; without it, everybody who can connect may send queries.
    pub users: Option<PathBuf>,
    /// Certificate and key, both in PEM format.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// True if a reverse proxy in front terminates TLS and sends the client's address in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Names accepted in the `Host` header, in addition to the loopback ones.
    pub hosts: Vec<HostName>,
    /// The one origin whose pages may read responses (CORS).
    pub origin: Option<String>,
    /// URL of Security Onion's Hunt, for links to it.
    pub hunt: Option<HuntUrl>,
    /// Origins whose pages may embed ours in a frame.
    pub frame_ancestors: Vec<String>,
    /// Settings of the MISP feed.
    pub feed: Feed,
    /// Models, lists and weights of scores.
    pub scorer: Scorer,
    /// Resource limits.
    pub limits: Limits,
}

/// Settings of the MISP feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Restriction of what has none, such as all tags; what is above TLP:GREEN is not in the feed.
    pub default_tlp: Tlp,
    /// Name under which the feed speaks.
    pub identity: String,
}

/// Resource limits, per client and in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests per second and client; 0 means no limit.
    pub rate: u32,
    /// Burst size: requests that a client can make at once after a pause.
    pub burst: u32,
    /// Maximum number of concurrent queries.
    pub queries: usize,
    /// Maximum number of concurrent queries of one user, and of one client address. Some more may wait.
    pub client_queries: usize,
    /// Maximum number of open connections of one client address; behind a proxy, of its concurrent requests.
    pub client_connections: usize,
    /// Maximum run time of a query.
    pub time: Duration,
    /// Maximum number of rows of an answer.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: 50,
            burst: 200,
            queries: 8,
            client_queries: Self::client_queries(8),
            client_connections: 64,
            time: Duration::from_mins(1),
            rows: 10_000,
        }
    }
}

impl Limits {
    /// Maximum number of open connections of all clients. Further connections wait in the system's queue.
    pub const CONNECTIONS: usize = 512;

    /// Returns the default limit for the queries of one client: half of all, rounded up, so that one client
    /// never takes all.
    #[must_use]
    pub fn client_queries(queries: usize) -> usize {
        queries.div_ceil(2)
    }
}

/// Reason why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A public address without authentication.
    #[error(
        "{0} can be reached from other machines: name a file of users (--users, pdns serve user add) first, \
         or listen on 127.0.0.1"
    )]
    NoUsers(Address),
    /// A public address without TLS: secrets would pass in clear text.
    #[error(
        "{0} can be reached from other machines: give --tls-cert and --tls-key, or say --behind-proxy when a \
         proxy in front of it speaks TLS"
    )]
    NoTls(Address),
    /// An address that cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: Address,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// An invalid users file.
    #[error(transparent)]
    Users(#[from] users::UsersError),
    /// An invalid certificate or key.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// A store that will not become usable without intervention.
    #[error("cannot open the store")]
    Store(#[source] StoreError),
    /// Threads or signal handlers that cannot be set up.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
}

impl ServeError {
    /// Returns the exit status, which tells a service manager whether to try again.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            // The previous server may not have ended yet.
            Self::Listen { cause, .. } if cause.kind() == io::ErrorKind::AddrInUse => exit::FAILED,
            Self::Start(_) => exit::FAILED,
            Self::NoUsers(_)
            | Self::NoTls(_)
            | Self::Listen { .. }
            | Self::Users(_)
            | Self::Tls(_)
            | Self::Store(_) => exit::CONFIGURATION,
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`ServeError`] when it cannot start. An unreachable or empty Redis is not an error: requests are refused
/// until there is a store.
pub fn run(settings: Settings) -> Result<(), ServeError> {
    exposed(&settings)?;
    match Store::open(&settings.store) {
        Ok(store) => drop(store),
        // The agent that creates the store may start later.
        Err(error) if error.is_transient() || matches!(error, StoreError::Missing { .. }) => {
            tracing::warn!(cause = %error, "cannot open the store, refusing requests until it is there");
        }
        Err(error) => return Err(ServeError::Store(error)),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(settings.limits.queries + MORE_THREADS)
        .thread_name("serve")
        .enable_all()
        .build()
        .map_err(ServeError::Start)?;
    let served = runtime.block_on(serve(settings));
    // A thread that waits for Redis must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_millis(500));
    served
}

/// Refuses settings that would open the server to the network without users, or send their secrets in clear
/// text.
fn exposed(settings: &Settings) -> Result<(), ServeError> {
    for address in settings.listen.iter().filter(|address| !address.is_local()) {
        if settings.users.is_none() {
            return Err(ServeError::NoUsers(address.clone()));
        }
        if settings.tls.is_none() && !settings.behind_proxy {
            return Err(ServeError::NoTls(address.clone()));
        }
    }
    Ok(())
}

async fn serve(settings: Settings) -> Result<(), ServeError> {
    let mut listeners = Vec::new();
    for address in &settings.listen {
        let listener = listen::bind(address)
            .map_err(|cause| ServeError::Listen { address: address.clone(), cause })?;
        listeners.push(listener);
    }
    let tls = settings.tls.as_ref().map(tls::Tls::load).transpose()?.map(Arc::new);
    let addresses: Vec<IpAddr> = listeners.iter().filter_map(listen::Bound::ip).collect();
    let app = Arc::new(App::new(&settings, &addresses)?);
    let mut terminated = signal(SignalKind::terminate()).map_err(ServeError::Start)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(ServeError::Start)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(ServeError::Start)?;
    let server = listen::Server::start(listeners, router::router(&app), tls.clone(), &app);
    let mut reload = tokio::time::interval(RELOAD);
    loop {
        let force = tokio::select! {
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            _ = hung_up.recv() => true,
            _ = reload.tick() => false,
        };
        app.users.reload(force);
        if let Some(tls) = &tls {
            tls.reload(force);
        }
    }
    tracing::info!("stopping: requests that run have some seconds to end");
    tokio::select! {
        () = server.stop(GRACE) => {}
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    app.stop();
    tracing::info!("stopped");
    Ok(())
}
