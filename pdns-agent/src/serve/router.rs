//! Routes of the server.
//!
//! Handlers split and decode the tail of a path, because clients differ in how much of it they escape.

use super::app::App;
use super::http_error::HttpError;
use super::{circl, context, dnsdb, guard, health, misp, openapi};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;

/// Returns all routes, behind the guard.
pub(super) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(context::start))
        .route("/context", get(context::query))
        .route("/context/", get(context::query))
        .route("/context/{*tail}", get(context::subject))
        .route("/tag", post(context::tag))
        .route("/health", get(health::health))
        .route("/healthz", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route("/pdns/query/{*tail}", get(circl::query))
        .route("/misp/{*tail}", get(misp::file))
        .route("/dnsdb/v2/{*tail}", get(dnsdb::version_2))
        .route("/dnsdb/v1/{*tail}", get(dnsdb::version_1))
        // The path that clients of version 1 expect.
        .route("/lookup/{*tail}", get(dnsdb::version_1))
        .route("/summarize/{*tail}", get(dnsdb::version_1))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(Arc::clone(app), guard::guard))
        .with_state(Arc::clone(app))
}

async fn unknown() -> HttpError {
    HttpError::not_found(
        "there are /, /context/SUBJECT, /pdns/query/VALUE, /dnsdb/v2/..., /misp/manifest.json, /openapi.json, /metrics and /health",
    )
}

/// Handles methods other than GET and HEAD; browsers send OPTIONS before a request from a page of another
/// origin.
async fn other_method(State(app): State<Arc<App>>, method: Method) -> Response {
    if method != Method::OPTIONS || app.origin.is_none() {
        let line = "method not allowed: use GET, or POST for the tag form";
        return HttpError::new(StatusCode::METHOD_NOT_ALLOWED, line).into_response();
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, x-api-key, dribble-filter-rrtype, dribble-paginate-count, \
             dribble-paginate-cursor, dribble-disable-active-query",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
