//! Before a request reaches its handler: how long it is, whom it is for, who sends it, how often he did.
//!
//! After the handler: the headers that all answers have, and the count of what was answered.

use super::app::{App, now};
use super::auth::credential;
use super::clients::{Client, Key};
use super::metrics::Endpoint;
use super::refusal::Refusal;
use super::users::Identity;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// The longest URL, in octets: a name takes 255, each octet at most twelve (`%5C%44%44%44`), and there are patterns.
const MAX_URL: usize = 8 * 1024;
/// The largest body, in octets. No question has one.
const MAX_BODY: u64 = 64 * 1024;

/// Where a connection comes from; `None` for the Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

/// The client that a request is counted on; handlers find it among the extensions, and [`Identity`] beside it.
#[derive(Clone, Debug)]
pub(super) struct Asker(pub(super) Arc<Client>);

/// All of the above.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let endpoint = Endpoint::of(request.uri().path());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut user = None;
    let (mut response, quota) = match admit(&app, endpoint, &mut request).await {
        Ok(client) => {
            user = request.extensions().get::<Identity>().and_then(|who| who.name.clone());
            let response = next.run(request).await;
            (response, client.map(|client| quota(&app, &client)))
        }
        Err((refusal, client)) => {
            (refusal.into_response(), client.map(|client| quota(&app, &client)))
        }
    };
    let headers = response.headers_mut();
    if let Some(quota) = quota {
        headers.extend(quota);
    }
    adorn(&app, headers, origin.as_ref());
    let status = response.status().as_u16();
    // What was asked is somebody's business, and not the log's.
    tracing::debug!(?endpoint, status, user = user.as_deref(), "a request was answered");
    app.metrics.request(endpoint, status);
    response
}

/// Lets a request in, with who asks noted in it; or says why not, and who it was if that is known.
async fn admit(
    app: &Arc<App>,
    endpoint: Endpoint,
    request: &mut Request,
) -> Result<Option<Arc<Client>>, (Refusal, Option<Arc<Client>>)> {
    let unknown = |refusal| (refusal, None);
    bounded(request).map_err(unknown)?;
    if let Some(hosts) = &app.hosts
        && peer(request).0.is_some()
    {
        hosts.check(request.uri(), request.headers()).map_err(unknown)?;
    }
    let is_preflight = request.method() == Method::OPTIONS && app.origin.is_some();
    if request.uri().path() == "/healthz" || is_preflight {
        return Ok(None);
    }
    let address = address(app, request);
    let identity = identify(app, endpoint, request.headers(), address).await.map_err(unknown)?;
    let key =
        identity.name.as_ref().map_or_else(|| Key::of(address), |name| Key::User(Arc::clone(name)));
    let client = app.clients.client(key);
    // To ask how much is left costs nothing.
    if !matches!(endpoint, Endpoint::Account | Endpoint::Monitor)
        && let Err(wait) = client.pay()
    {
        app.metrics.rate_limited();
        let refusal = Refusal::too_many("too many requests; ask again later", wait);
        return Err((refusal, Some(client)));
    }
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(Asker(Arc::clone(&client)));
    Ok(Some(client))
}

fn peer(request: &Request) -> Peer {
    request.extensions().get::<Peer>().copied().unwrap_or(Peer(None))
}

/// The client's address: of the connection, or what the proxy in front says. What stands before the last one in
/// `X-Forwarded-For` comes from whoever asks, and is not believed.
fn address(app: &App, request: &Request) -> Option<IpAddr> {
    let told = request.headers().get_all("x-forwarded-for").iter().next_back();
    let told = told.filter(|_| app.behind_proxy).and_then(|value| {
        let last = value.to_str().ok()?.rsplit(',').next()?.trim();
        last.trim_start_matches('[').trim_end_matches(']').parse().ok()
    });
    told.or(peer(request).0)
}

fn bounded(request: &Request) -> Result<(), Refusal> {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if length > MAX_URL {
        let line = format!("the URL has more than {MAX_URL} octets");
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, line));
    }
    let headers = request.headers();
    let body = headers.get(header::CONTENT_LENGTH);
    let body = body.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0_u64);
    if body > MAX_BODY || headers.contains_key(header::TRANSFER_ENCODING) {
        let line = format!("the body is chunked or has more than {MAX_BODY} octets");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, line));
    }
    Ok(())
}

/// Who sends a request.
///
/// Clients of CIRCL know 401, those of DNSDB 403.
async fn identify(
    app: &App,
    endpoint: Endpoint,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Identity, Refusal> {
    if app.users.is_open() {
        return Ok(Identity { name: None, may_tag: false });
    }
    let refuse = |line: &str| {
        app.metrics.refused_user();
        match endpoint {
            Endpoint::Lookup | Endpoint::Summarize | Endpoint::Flex | Endpoint::Account => {
                Refusal::new(StatusCode::FORBIDDEN, line)
            }
            _ => Refusal::new(StatusCode::UNAUTHORIZED, line).challenging(),
        }
    };
    let Some(shown) = credential(headers)? else {
        return Err(refuse("a key or a login is needed"));
    };
    let failures = app.failures.client(Key::of(address));
    if let Err(wait) = failures.can_pay() {
        app.metrics.rate_limited();
        return Err(Refusal::too_many("too many wrong keys or passwords; try again later", wait));
    }
    if let Some(identity) = app.users.identify(shown).await {
        return Ok(identity);
    }
    failures.pay().ok();
    tracing::debug!(?address, "a key or password that nobody has");
    Err(refuse("the key or the login is wrong"))
}

/// What DNSDB tells of a client's quota.
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

/// The second in which a quota is whole again, given in how many that is.
pub(super) fn reset(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the burst, above 0"
    )]
    let seconds = seconds.ceil() as u64;
    u64::from(now()) + seconds
}

/// Headers that every answer has, unless its handler knows better.
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
