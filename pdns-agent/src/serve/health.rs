//! `/health` (also `/healthz`) and `/metrics`, for a monitoring system.

use super::app::App;
use super::http_error::HttpError;
use crate::exposition;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;

/// Maximum time for the store to respond to a health check.
const WAIT: Duration = Duration::from_secs(3);

/// Returns 200 if the store can be queried, otherwise 503.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let asked = Arc::clone(&app);
    let health = tokio::task::spawn_blocking(move || asked.pool.health());
    let health = match tokio::time::timeout(WAIT, health).await {
        Ok(Ok(health)) => health,
        _ => Err(HttpError::busy("the store does not answer", WAIT)),
    };
    app.metrics.store(health.is_ok());
    match health {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n").into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Returns the metrics in Prometheus format.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.metrics.to_text(&app.pool);
    ([(header::CONTENT_TYPE, exposition::MEDIA)], text).into_response()
}
