//! Listening sockets, and one task per connection.
//!
//! Connections are bounded before any of their data is parsed: their number, the time of a handshake, of a
//! request's head and of the pause between two requests, and the size of a head.

use super::app::App;
use super::in_flight::Held;
use super::metrics::Limit;
use super::tls::Tls;
use super::{Address, Limits, guard::Peer};
use crate::unix_socket;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use patience::Patient;

mod patience;

/// Maximum time of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Maximum time to receive a request's head, from the end of the previous request.
const HEAD: Duration = Duration::from_secs(15);
/// Maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Pause after a failed accept: the next one would fail as well if tried immediately.
const PAUSE: Duration = Duration::from_millis(20);
/// Mode of the socket: only its user and group may connect.
const SOCKET_MODE: u32 = 0o660;

/// A listening socket.
pub(super) enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, whose file is removed together with it.
    Unix(UnixListener, PathBuf),
}

impl Bound {
    /// Returns its IP address, if it has one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.ip()),
            Self::Unix(..) => None,
        }
    }
}

/// Listens on an address. Replaces the socket of a server that no longer runs.
pub(super) fn bind(address: &Address) -> io::Result<Bound> {
    match address {
        Address::Tcp(address) => {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(Bound::Tcp(TcpListener::from_std(listener)?))
        }
        Address::Unix(path) => {
            let listener = unix_socket::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
            listener.set_nonblocking(true)?;
            Ok(Bound::Unix(UnixListener::from_std(listener)?, path.clone()))
        }
    }
}

/// The listening tasks.
pub(super) struct Server {
    stop: watch::Sender<bool>,
    /// Closed when the last task has ended.
    ended: mpsc::Receiver<()>,
    sockets: Vec<PathBuf>,
}

/// Permits that a connection holds while it is open.
struct ConnectionPermit {
    _of_all: OwnedSemaphorePermit,
    _of_client: Option<Held>,
}

/// State that each connection needs.
#[derive(Clone)]
struct Shared {
    router: Router,
    tls: Option<Arc<Tls>>,
    app: Arc<App>,
    stop: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
}

impl Shared {
    async fn stopped(&mut self) {
        stopped(&mut self.stop).await;
    }

    /// Takes the permits for a connection, one of all and one of the client's. Returns `None` if the client has
    /// reached its limit, so that the connection has to be closed. A proxy in front has no limit: its clients
    /// are counted by request.
    fn place(&self, peer: Peer, of_all: OwnedSemaphorePermit) -> Option<ConnectionPermit> {
        let of_client = if self.app.behind_proxy {
            None
        } else {
            let Some(held) = self.app.connections.hold(peer.key()) else {
                self.app.metrics.limited(Limit::Connections);
                tracing::debug!(?peer, "connection refused: too many of this client");
                return None;
            };
            Some(held)
        };
        Some(ConnectionPermit { _of_all: of_all, _of_client: of_client })
    }
}

/// Waits until the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // If the sender is gone, the server has stopped as well.
    drop(stop.wait_for(|stop| *stop).await);
}

impl Server {
    pub(super) fn start(
        listeners: Vec<Bound>,
        router: Router,
        tls: Option<Arc<Tls>>,
        app: &Arc<App>,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (alive, ended) = mpsc::channel(1);
        let shared = Shared { router, tls, app: Arc::clone(app), stop: stopping, alive };
        let connections = Arc::new(Semaphore::new(Limits::CONNECTIONS));
        let mut sockets = Vec::new();
        for listener in listeners {
            match listener {
                Bound::Tcp(listener) => {
                    let scheme = if shared.tls.is_some() { "https" } else { "http" };
                    match listener.local_addr() {
                        Ok(address) => {
                            tracing::info!(url = %format_args!("{scheme}://{address}/"), "listening");
                        }
                        Err(error) => tracing::warn!(%error, "listening on an unknown address"),
                    }
                    tokio::spawn(accept_tcp(listener, shared.clone(), Arc::clone(&connections)));
                }
                Bound::Unix(listener, path) => {
                    tracing::info!(address = %format_args!("unix:{}", path.display()), "listening");
                    sockets.push(path);
                    tokio::spawn(accept_unix(listener, shared.clone(), Arc::clone(&connections)));
                }
            }
        }
        Self { stop, ended, sockets }
    }

    /// Accepts no more connections, and waits for open ones to end, at most for `grace`.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(true);
        for path in &self.sockets {
            remove(path);
        }
        if tokio::time::timeout(grace, self.ended.recv()).await.is_err() {
            tracing::warn!("requests that still run are cut off");
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "cannot remove the socket");
    }
}

async fn accept_tcp(listener: TcpListener, mut shared: Shared, connections: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopped() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Sends lines without delay.
                drop(stream.set_nodelay(true));
                let peer = Peer::Address(peer.ip().to_canonical());
                let Some(place) = shared.place(peer, place) else { continue };
                tokio::spawn(secured(stream, peer, shared.clone(), place));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be had");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn accept_unix(listener: UnixListener, mut shared: Shared, connections: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopped() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let uid = stream.peer_cred().map_or(u32::MAX, |credentials| credentials.uid());
                let peer = Peer::Local(uid);
                let Some(place) = shared.place(peer, place) else { continue };
                tokio::spawn(talk(stream, peer, shared.clone(), place));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be had");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves a TCP connection, with TLS if there is a certificate.
async fn secured(
    stream: tokio::net::TcpStream,
    peer: Peer,
    shared: Shared,
    place: ConnectionPermit,
) {
    let Some(tls) = &shared.tls else { return talk(stream, peer, shared, place).await };
    let handshake = TlsAcceptor::from(tls.config()).accept(stream);
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => talk(stream, peer, shared, place).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Serves HTTP/1.1 on a connection until it ends or the server stops.
async fn talk<S>(stream: S, peer: Peer, shared: Shared, _place: ConnectionPermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Shared { router, app, mut stop, alive, .. } = shared;
    app.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = router.call(request);
        async move { answer.await as Result<Response<Body>, _> }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(Patient::new(TokioIo::new(stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
    app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    // The server waits until all handles are dropped.
    drop(alive);
}
