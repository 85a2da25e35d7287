//! Error responses: a status and one plain line, which clients of both protocols print.

use crate::render::escape;
use crate::store::StoreError;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// Retry delay while the store is unavailable.
const AWAY: Duration = Duration::from_secs(2);

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpError {
    pub(super) status: StatusCode,
    /// One sentence for the user.
    line: String,
    /// Time after which a retry may succeed.
    retry: Option<Duration>,
    /// True to tell the client how to authenticate (RFC 9110 §11.6.1).
    challenge: bool,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, line: impl Into<String>) -> Self {
        Self { status, line: line.into(), retry: None, challenge: false }
    }

    /// 400: the request is not valid.
    pub(super) fn bad(line: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, line)
    }

    pub(super) fn not_found(line: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, line)
    }

    /// 503: the request cannot be served at present.
    pub(super) fn busy(line: impl Into<String>, retry: Duration) -> Self {
        let busy = Self::new(StatusCode::SERVICE_UNAVAILABLE, line);
        Self { retry: Some(retry), ..busy }
    }

    /// 429: the client sends too many requests.
    pub(super) fn too_many(line: impl Into<String>, retry: Duration) -> Self {
        Self { retry: Some(retry), ..Self::new(StatusCode::TOO_MANY_REQUESTS, line) }
    }

    /// Adds a challenge that tells the client how to authenticate.
    pub(super) fn challenging(self) -> Self {
        Self { challenge: true, ..self }
    }

    pub(super) fn line(&self) -> &str {
        &self.line
    }
}

impl From<&StoreError> for HttpError {
    /// Describes a store error to the client. Addresses and causes appear only in the log.
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full => Self::busy("the store is full, nothing is being written", AWAY),
            error if error.is_transient() => {
                Self::busy("the store cannot be reached at the moment", AWAY)
            }
            StoreError::Missing { .. } => Self::busy("there is no store yet", AWAY),
            StoreError::Replaced => Self::busy("the store was replaced by another one", AWAY),
            StoreError::Renumbered => Self::busy("the store was repaired; ask again", AWAY),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the store failed; the server's log says how",
            ),
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(format!("{}\n", escape(&self.line))));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(retry) = self.retry {
            // Whole seconds, at least one.
            let seconds = retry.as_secs_f64().ceil().max(1.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small, above 0"
            )]
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        if self.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"pdns\", charset=\"UTF-8\""),
            );
        }
        response
    }
}
