//! Checks before a request reaches its handler: its length, its host, its sender, and the client's rate limit.
//!
//! After the handler: adds the headers that all responses have, and counts the response.

use super::app::{App, now};
use super::auth::credential;
use super::clients::{Client, ClientHandle, ClientKey};
use super::host_check::authority;
use super::http_error::HttpError;
use super::in_flight::{Held, HoldingBody};
use super::metrics::{Endpoint, Limit};
use super::users::{Denied, Identity};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Maximum length of a URL, in bytes: a name has up to 255 octets, each at most twelve characters
/// (`%5C%44%44%44`), and there are patterns.
const MAX_URL: usize = 8 * 1024;
/// Maximum size of a body, in bytes. Queries have none.
const MAX_BODY: usize = 64 * 1024;
/// Maximum time to receive a body.
const BODY: Duration = Duration::from_secs(15);
/// Retry delay for a client that was refused for lack of room.
const AGAIN: Duration = Duration::from_secs(1);
/// Headers that a request may have only once: with two, a proxy in front and this server could each use a
/// different one. `hyper` checks Content-Length and Transfer-Encoding, and `host` checks Host.
const SINGLE: [HeaderName; 5] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    header::CONTENT_TYPE,
    header::ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
];

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// An address, over TCP.
    Address(IpAddr),
    /// A local user, by user ID, over the Unix socket.
    Local(u32),
}

impl Peer {
    /// Returns the client that is counted if nothing else is known about it.
    pub(super) fn key(self) -> ClientKey {
        match self {
            Self::Address(address) => ClientKey::of(address),
            Self::Local(uid) => ClientKey::Local(uid),
        }
    }
}

/// A request that was admitted.
#[derive(Default)]
struct Admitted {
    client: Option<Arc<Client>>,
    /// Behind a proxy, its place among the concurrent requests of its client.
    held: Option<Held>,
}

/// Applies all checks, calls the handler, and completes the response.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let endpoint = Endpoint::of(request.uri().path());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut user = None;
    let mut admitted = Admitted::default();
    let mut response = match admit(&app, endpoint, &mut request, &mut admitted).await {
        Ok(()) => {
            user = request.extensions().get::<Identity>().and_then(|who| who.name.clone());
            match whole(request).await {
                Ok(request) => next.run(request).await,
                Err(refusal) => refusal.into_response(),
            }
        }
        Err(refusal) => refusal.into_response(),
    };
    let Admitted { client, held } = admitted;
    let headers = response.headers_mut();
    if let Some(client) = client {
        headers.extend(quota(&app, &client));
    }
    adorn(&app, headers, origin.as_ref());
    let status = response.status().as_u16();
    // The query is confidential, so the log does not contain it.
    tracing::debug!(?endpoint, status, user = user.as_deref(), "a request was answered");
    app.metrics.request(endpoint, status);
    match held {
        Some(held) => response.map(|body| Body::new(HoldingBody::new(body, held))),
        None => response,
    }
}

/// Admits a request and adds its client to it, or refuses it. Stores everything learned about the client in
/// `admitted`, also if the request is refused.
async fn admit(
    app: &Arc<App>,
    endpoint: Endpoint,
    request: &mut Request,
    admitted: &mut Admitted,
) -> Result<(), HttpError> {
    bounded(request)?;
    let authority = authority(request.version(), request.uri(), request.headers())?;
    let peer = peer(request);
    if let Some(hosts) = &app.hosts
        && matches!(peer, Peer::Address(_))
    {
        hosts.check(authority.as_ref())?;
    }
    let from = client_key(app, peer, request.headers());
    if app.behind_proxy {
        admitted.held = app.connections.hold(from.clone());
        if admitted.held.is_none() {
            app.metrics.limited(Limit::Connections);
            let line = "too many requests of this client at the same time; ask again";
            return Err(HttpError::too_many(line, AGAIN));
        }
    }
    let is_preflight = request.method() == Method::OPTIONS && app.origin.is_some();
    if matches!(request.uri().path(), "/health" | "/healthz") || is_preflight {
        return Ok(());
    }
    let identity = identify(app, endpoint, request.headers(), &from).await?;
    let address = app.clients.client(from.clone());
    let client = match &identity.name {
        Some(name) => app.clients.client(ClientKey::User(Arc::clone(name))),
        None => Arc::clone(&address),
    };
    admitted.client = Some(Arc::clone(&client));
    // Requests for the remaining quota are free.
    if !matches!(endpoint, Endpoint::Account | Endpoint::Monitor)
        && let Err(wait) = client.pay()
    {
        app.metrics.limited(Limit::Rate);
        return Err(HttpError::too_many("too many requests; ask again later", wait));
    }
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(ClientHandle::new(client, address, from));
    Ok(())
}

/// Reads the body of a request, which must be small and must not be slow.
async fn whole(request: Request) -> Result<Request, HttpError> {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(HttpError::bad("the body cannot be read")),
        Err(_) => {
            let line = "the body takes too long";
            return Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, line));
        }
    };
    Ok(Request::from_parts(head, Body::from(body)))
}

fn peer(request: &Request) -> Peer {
    request.extensions().get::<Peer>().copied().unwrap_or(Peer::Local(u32::MAX))
}

/// Identifies the client by its address: that of the connection, or the one reported by the proxy in front.
/// Entries before the last one in `X-Forwarded-For` come from the client, so they are ignored.
fn client_key(app: &App, peer: Peer, headers: &HeaderMap) -> ClientKey {
    let told = headers.get_all("x-forwarded-for").iter().next_back();
    let told = told.filter(|_| app.behind_proxy).and_then(|value| {
        let last = value.to_str().ok()?.rsplit(',').next()?.trim();
        last.trim_start_matches('[').trim_end_matches(']').parse().ok()
    });
    told.map_or_else(|| peer.key(), ClientKey::of)
}

fn bounded(request: &Request) -> Result<(), HttpError> {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if length > MAX_URL {
        let line = format!("the URL has more than {MAX_URL} bytes");
        return Err(HttpError::new(StatusCode::URI_TOO_LONG, line));
    }
    let headers = request.headers();
    let body = headers.get(header::CONTENT_LENGTH);
    let body = body.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0_usize);
    if body > MAX_BODY || headers.contains_key(header::TRANSFER_ENCODING) {
        let line = format!("the body is chunked or has more than {MAX_BODY} bytes");
        return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, line));
    }
    match SINGLE.iter().find(|&name| headers.get_all(name).iter().nth(1).is_some()) {
        Some(name) => Err(HttpError::bad(format!("there is more than one header {name}"))),
        None => Ok(()),
    }
}

/// Identifies the sender of a request.
///
/// CIRCL clients expect 401, DNSDB clients 403.
async fn identify(
    app: &App,
    endpoint: Endpoint,
    headers: &HeaderMap,
    from: &ClientKey,
) -> Result<Identity, HttpError> {
    if app.users.is_open() {
        return Ok(Identity { name: None, may_tag: false });
    }
    let refuse = |line: &str| {
        app.metrics.refused_user();
        match endpoint {
            Endpoint::Lookup | Endpoint::Summarize | Endpoint::Flex | Endpoint::Account => {
                HttpError::new(StatusCode::FORBIDDEN, line)
            }
            _ => HttpError::new(StatusCode::UNAUTHORIZED, line).challenging(),
        }
    };
    let Some(shown) = credential(headers)? else {
        return Err(refuse("authentication required: send X-API-Key or log in"));
    };
    let denied = match app.users.identify(shown, from.clone()).await {
        Ok(identity) => return Ok(identity),
        Err(denied) => denied,
    };
    tracing::debug!(?from, ?denied, "authentication failed");
    Err(match denied {
        Denied::Wrong => refuse("the key or the login is wrong"),
        Denied::TooMany(wait) => {
            app.metrics.limited(Limit::Logins);
            HttpError::too_many("too many wrong keys or passwords; try again later", wait)
        }
        Denied::Busy => {
            app.metrics.limited(Limit::Hashing);
            HttpError::busy("too many logins at the same time; try again", AGAIN)
        }
    })
}

/// Returns DNSDB's headers for a client's quota.
fn quota(app: &App, client: &Client) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    match client.quota() {
        None => {
            set("x-ratelimit-limit", "unlimited".to_owned());
            set("x-ratelimit-remaining", "n/a".to_owned());
            set("x-ratelimit-reset", "n/a".to_owned());
        }
        Some(quota) => {
            debug_assert!(quota.limit == app.limits.burst.max(1), "the quota is the burst");
            set("x-ratelimit-limit", quota.limit.to_string());
            set("x-ratelimit-remaining", quota.remaining.to_string());
            set("x-ratelimit-reset", reset(quota.full_in.as_secs_f64()).to_string());
        }
    }
    headers
}

/// Returns the second in which a quota is full again, given the number of seconds until then.
pub(super) fn reset(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the burst, above 0"
    )]
    let seconds = seconds.ceil() as u64;
    u64::from(now()) + seconds
}

/// Adds the headers that every response has, unless its handler set them.
fn adorn(app: &App, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(allowed) = &app.origin {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if origin == Some(allowed) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone());
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(
                    "x-dribble-cursor, x-dribble-errors, x-ratelimit-limit, x-ratelimit-remaining, \
                     x-ratelimit-reset, retry-after",
                ),
            );
        }
    }
}
