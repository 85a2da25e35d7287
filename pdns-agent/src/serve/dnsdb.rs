//! DNSDB's API: version 2 with its framing (SAF) and Flex search, and version 1, which has neither.
//!
//! ```text
//! path, parameters -> request -> source (names, addresses, patterns) -> sink (offset, limit, fences) -> frame
//! ```
//!
//! The store keeps single records. Here, an RRset consists of all records of an owner and type: its first and
//! last seen are the earliest and the latest of theirs. Its count is the largest of theirs, because an answer
//! with the RRset counts each of its records once; two RRsets of a name that never occurred in one answer
//! cannot be told apart. A look-up by RDATA returns single records. There are no time slices, so `aggr=f` has
//! no effect, and there are no zone files.

mod apex;
mod frame;
mod object;
mod owner;
mod parameters;
mod pattern;
mod request;
mod sink;
mod source;
mod types;

use super::app::{App, now};
use super::clients::Client;
use super::clients::ClientHandle;
use super::guard::reset;
use super::http_error::HttpError;
use super::metrics::Endpoint;
use super::stream::{QueryContext, ask};
use crate::query::MAX_PAGE;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use frame::Frame;
use parameters::Bounds;
use request::Request;
use serde_json::json;
use std::sync::Arc;

/// Media types accepted in version 2.
const ACCEPTED: [&str; 5] =
    ["application/x-ndjson", "application/json", "application/jsonl", "application/*", "*/*"];

/// Reads a path and a query string, for the fuzzer.
pub(super) fn check(path: &str, query: Option<&str>) -> Result<(), HttpError> {
    Request::parse(path, query, Bounds { results: 1_000, offset: 1_000 }, 1_700_000_000).map(drop)
}

/// `/dnsdb/v2/...`
pub(super) async fn version_2(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().strip_prefix("/dnsdb/v2/").unwrap_or_default();
    match path.trim_end_matches('/') {
        "ping" => return json(&json!({"ping": "ok"})),
        "rate_limit" => return rate_limit(&app, &asker.client),
        _ => {}
    }
    if !accepts(&headers) {
        let line = "only application/x-ndjson is known here";
        return HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, line).into_response();
    }
    answer(app, asker, Frame::Saf, path, uri.query()).await
}

/// `/dnsdb/v1/...`, and the same paths without that prefix.
pub(super) async fn version_1(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
    uri: Uri,
) -> Response {
    let path = uri.path().strip_prefix("/dnsdb/v1").unwrap_or(uri.path());
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.trim_end_matches('/') == "lookup/rate_limit" {
        return rate_limit(&app, &asker.client);
    }
    answer(app, asker, Frame::bare(), path, uri.query()).await
}

async fn answer(
    app: Arc<App>,
    asker: ClientHandle,
    frame: Frame,
    path: &str,
    query: Option<&str>,
) -> Response {
    let request = match Request::parse(path, query, bounds(&app), now()) {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let endpoint = Endpoint::of(&format!("/{path}"));
    let (time, keep_alive) = (app.limits.time, frame.keep_alive());
    let asking = QueryContext { app, asker, endpoint, time, keep_alive };
    ask(asking, move |store, out| source::run(store, &request, frame, out)).await
}

/// Returns the limits of a request.
fn bounds(app: &App) -> Bounds {
    let results = app.limits.rows.min(MAX_PAGE);
    // If rows are sorted, skipped ones have to be held as well.
    Bounds { results, offset: MAX_PAGE - results }
}

fn accepts(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    accepted.peek().is_none()
        || accepted.any(|value| {
            let types = value.to_str().unwrap_or_default().split(',');
            let mut types = types.map(|one| one.split(';').next().unwrap_or_default().trim());
            types.any(|one| ACCEPTED.iter().any(|known| one.eq_ignore_ascii_case(known)))
        })
}

/// Returns the client's remaining quota; the request itself is free.
fn rate_limit(app: &App, client: &Client) -> Response {
    let bounds = bounds(app);
    let rate = app.clients.rate();
    let mut told = json!({"results_max": bounds.results, "offset_max": bounds.offset});
    let more = match client.quota() {
        None => json!({"limit": "unlimited", "remaining": "n/a", "reset": "n/a"}),
        Some(quota) => json!({
            "limit": quota.limit,
            "remaining": quota.remaining,
            "reset": reset(quota.full_in.as_secs_f64()),
            "burst_size": quota.limit,
            // The time it takes to refill the burst.
            "burst_window": quota.limit.div_ceil(rate.per_second.max(1)),
        }),
    };
    if let (Some(told), serde_json::Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
    json(&json!({ "rate": told }))
}

fn json(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_answered_with() {
        let accepts_one = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(value));
            accepts(&headers)
        };
        assert!(accepts(&HeaderMap::new()));
        for value in ["*/*", "application/x-ndjson", "text/html, Application/JSON;q=0.9"] {
            assert!(accepts_one(value), "{value}");
        }
        for value in ["text/html", "application/xml", ""] {
            assert!(!accepts_one(value), "{value}");
        }
    }
}
