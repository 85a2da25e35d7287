//! `pdns serve`: the store over HTTP, in the protocols that clients of passive DNS speak already.
//!
//! On top, beside `cli`: reads requests, puts questions to `query` and `store`, writes what `render` or a protocol of
//! its own makes of the answers. A request's way:
//!
//! ```text
//! listen (TCP, TLS, Unix socket) -> guard (host, user, rate) -> router -> circl | dnsdb | context | health
//!                                                                  |
//!                                    answer (a thread with a store of the pool, rows in a bounded channel)
//! ```
//!
//! The connection side is asynchronous; the store is not, so each question runs on a thread of its own, and how
//! many run at once is bounded by the pool. What cannot be answered is a refusal: a status and one plain line.

mod address;
mod answer;
mod app;
mod auth;
mod bucket;
mod circl;
mod clients;
mod context;
mod dnsdb;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod health;
mod host;
mod in_flight;
mod listen;
mod metrics;
mod openapi;
mod pages;
mod part;
mod pool;
mod refusal;
mod router;
mod tls;
pub mod users;

pub use address::{Address, BadAddress};
pub use host::{HostName, NoHostName};
pub use pages::hunt::{HuntUrl, NoHuntUrl};

use crate::config::exit;
use crate::store::{Options, Store, StoreError};
use app::App;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests that run may go on after the first signal to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often the files of users and certificates are looked at for changes.
const RELOAD: Duration = Duration::from_secs(5);
/// Threads beside those of questions: for passwords and health.
const MORE_THREADS: usize = 4;

/// What the server is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: Options,
    /// Where to listen.
    pub listen: Vec<Address>,
    /// File of users; without it everybody who can connect may ask.
    pub users: Option<PathBuf>,
    /// Certificate and key, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A proxy stands in front, speaks TLS, and tells the client's address in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Names that a request may be addressed to, beside the loopback ones.
    pub hosts: Vec<HostName>,
    /// The one origin whose pages may read answers.
    pub origin: Option<String>,
    /// Security Onion's Hunt, for links to it.
    pub hunt: Option<HuntUrl>,
    /// Origins whose pages may show ours in a frame.
    pub frame_ancestors: Vec<String>,
    /// Bounds.
    pub limits: Limits,
}

/// What one client may take, and all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests per second and client; 0 for any number.
    pub rate: u32,
    /// Requests at once that a client may have saved up.
    pub burst: u32,
    /// Questions that run at once.
    pub queries: usize,
    /// Those of one user, and of one client address, that run at once. Some more may wait.
    pub client_queries: usize,
    /// Open connections of one client address; behind a proxy, requests that it sends at the same time.
    pub client_connections: usize,
    /// How long one may run.
    pub time: Duration,
    /// The most rows of an answer.
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
    /// Open connections of all clients. More wait in the system's queue.
    pub const CONNECTIONS: usize = 512;

    /// The default for one client's queries: half of all, rounded up, so that one client never takes all.
    #[must_use]
    pub fn client_queries(queries: usize) -> usize {
        queries.div_ceil(2)
    }
}

/// Why there is no serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address for all the world, and nobody has to say who he is.
    #[error(
        "{0} can be reached from other machines: name a file of users (--users, pdns serve user add) first, \
         or listen on 127.0.0.1"
    )]
    NoUsers(Address),
    /// An address for all the world, and secrets would pass in clear text.
    #[error(
        "{0} can be reached from other machines: give --tls-cert and --tls-key, or say --behind-proxy when a \
         proxy in front of it speaks TLS"
    )]
    NoTls(Address),
    /// An address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: Address,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The file of users does not do.
    #[error(transparent)]
    Users(#[from] users::UsersError),
    /// The certificate or its key does not do.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The store will not become usable by itself.
    #[error("cannot open the store")]
    Store(#[source] StoreError),
    /// No threads, or no signals.
    #[error("cannot start the server")]
    Start(#[source] io::Error),
}

impl ServeError {
    /// The exit status that tells a service manager whether to try again.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            // The server before this one may not have ended yet.
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
/// [`ServeError`] when it cannot begin. Redis being away, or empty, is no reason: requests are refused until there is a store.
pub fn run(settings: Settings) -> Result<(), ServeError> {
    exposed(&settings)?;
    match Store::open(&settings.store) {
        Ok(store) => drop(store),
        // The agent that makes the store may start later.
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
    // A thread that waits for Redis does not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    served
}

/// Refuses what would be open to the network without users, or would show their secrets to it.
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
