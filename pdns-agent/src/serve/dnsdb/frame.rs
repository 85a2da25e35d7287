//! Framing of results: version 2 reports on a line of its own how the answer ends (SAF), version 1 does not.

use super::object::Style;
use super::parameters::Parameters;
use crate::serve::http_error::HttpError;
use crate::serve::stream::{Cancelled, Out};
use axum::http::HeaderMap;
use std::time::Duration;

/// The media type of both versions.
const MEDIA: &str = "application/x-ndjson";

/// Retry delay after a timeout.
const LATE: Duration = Duration::from_secs(10);

/// A frame, and its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Version 2: each result in `{"obj":...}`, between `begin` and a line with the end condition.
    Saf,
    /// Version 1: plain results, and 404 if there are none.
    Bare {
        /// True after the first result.
        begun: bool,
    },
}

/// End condition of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerEnd {
    /// All results were sent.
    Whole,
    /// The limit was reached, and there are more results.
    Limit,
    /// The query took too long.
    Late,
    /// The client takes no more.
    Gone,
}

impl From<Cancelled> for AnswerEnd {
    fn from(halt: Cancelled) -> Self {
        match halt {
            Cancelled::Gone => Self::Gone,
            Cancelled::Late => Self::Late,
        }
    }
}

impl Frame {
    pub(super) fn bare() -> Self {
        Self::Bare { begun: false }
    }

    /// Returns the keep-alive line.
    pub(super) fn keep_alive(self) -> Option<&'static str> {
        match self {
            Self::Saf => Some("{\"cond\":\"ongoing\"}\n"),
            Self::Bare { .. } => None,
        }
    }

    pub(super) fn style(self, parameters: &Parameters) -> Style {
        let Parameters { human, own_keys, .. } = *parameters;
        Style { human, arrays: self == Self::Saf, own_keys }
    }

    /// Begins the answer.
    pub(super) fn begin(self, out: &mut Out) -> Result<(), Cancelled> {
        if self == Self::Saf {
            out.begin(MEDIA, HeaderMap::new());
            out.line(|line| line.extend_from_slice(b"{\"cond\":\"begin\"}"))?;
            // So that the client sees a response, however long the first result takes.
            out.flush()?;
        }
        Ok(())
    }

    /// Writes one result.
    pub(super) fn result(
        &mut self,
        out: &mut Out,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Cancelled> {
        match self {
            Self::Saf => out.row(|line| {
                line.extend_from_slice(b"{\"obj\":");
                write(line);
                line.push(b'}');
            }),
            Self::Bare { begun } => {
                if !std::mem::replace(begun, true) {
                    out.begin(MEDIA, HeaderMap::new());
                }
                out.row(write)
            }
        }
    }

    /// Ends the answer. Errors are ignored, because nothing follows.
    pub(super) fn end(self, out: &mut Out, end: AnswerEnd) {
        match (self, end) {
            (Self::Saf, _) => {}
            (Self::Bare { begun: true }, AnswerEnd::Late) => return out.abort(),
            (Self::Bare { begun: true }, _) => return,
            (Self::Bare { begun: false }, AnswerEnd::Late) => {
                return out.refuse(HttpError::busy("the query took too long", LATE));
            }
            (Self::Bare { begun: false }, _) => {
                return out.refuse(HttpError::not_found("no results found"));
            }
        }
        let line: &[u8] = match end {
            AnswerEnd::Whole => b"{\"cond\":\"succeeded\"}",
            AnswerEnd::Limit => b"{\"cond\":\"limited\",\"msg\":\"Result limit reached\"}",
            AnswerEnd::Late => b"{\"cond\":\"limited\",\"msg\":\"Time limit reached\"}",
            AnswerEnd::Gone => return,
        };
        out.line(|chunk| chunk.extend_from_slice(line)).ok();
    }

    /// Ends an answer that failed.
    pub(super) fn fail(self, out: &mut Out, refusal: HttpError) {
        match self {
            Self::Saf => {
                let message = serde_json::json!({"cond": "failed", "msg": refusal.line()});
                out.line(|line| line.extend_from_slice(message.to_string().as_bytes())).ok();
            }
            Self::Bare { begun: true } => out.abort(),
            Self::Bare { begun: false } => out.refuse(refusal),
        }
    }
}
