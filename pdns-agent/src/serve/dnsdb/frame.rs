//! How results are wrapped: version 2 says on a line of its own how the answer ends (SAF), version 1 says nothing.

use super::object::Style;
use super::parameters::Parameters;
use crate::serve::answer::{Halt, Out};
use crate::serve::refusal::Refusal;
use axum::http::HeaderMap;
use std::time::Duration;

/// The media type of both.
const MEDIA: &str = "application/x-ndjson";

/// When what took too long may be asked again.
const LATE: Duration = Duration::from_secs(10);

/// A frame, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Version 2: each result in `{"obj":...}`, between `begin` and how it ended.
    Saf,
    /// Version 1: results, and 404 when there are none.
    Bare {
        /// There was a result.
        begun: bool,
    },
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With all results.
    Whole,
    /// With as many as were asked for, and there are more.
    Limit,
    /// Because it took too long.
    Late,
    /// Because nobody takes it.
    Gone,
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Gone => Self::Gone,
            Halt::Late => Self::Late,
        }
    }
}

impl Frame {
    pub(super) fn bare() -> Self {
        Self::Bare { begun: false }
    }

    /// What to say when there is nothing to say for long.
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
    pub(super) fn begin(self, out: &mut Out) -> Result<(), Halt> {
        if self == Self::Saf {
            out.begin(MEDIA, HeaderMap::new());
            out.line(|line| line.extend_from_slice(b"{\"cond\":\"begin\"}"))?;
            // So that a client knows it is heard, however long the first result takes.
            out.flush()?;
        }
        Ok(())
    }

    /// Writes one result.
    pub(super) fn result(
        &mut self,
        out: &mut Out,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Halt> {
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

    /// Ends the answer. Whether it was taken makes no difference any more.
    pub(super) fn end(self, out: &mut Out, end: End) {
        match (self, end) {
            (Self::Saf, _) => {}
            (Self::Bare { begun: true }, End::Late) => return out.break_off(),
            (Self::Bare { begun: true }, _) => return,
            (Self::Bare { begun: false }, End::Late) => {
                return out.refuse(Refusal::busy("the query took too long", LATE));
            }
            (Self::Bare { begun: false }, _) => {
                return out.refuse(Refusal::not_found("no results found"));
            }
        }
        let line: &[u8] = match end {
            End::Whole => b"{\"cond\":\"succeeded\"}",
            End::Limit => b"{\"cond\":\"limited\",\"msg\":\"Result limit reached\"}",
            End::Late => b"{\"cond\":\"limited\",\"msg\":\"Time limit reached\"}",
            End::Gone => return,
        };
        out.line(|chunk| chunk.extend_from_slice(line)).ok();
    }

    /// Ends an answer that failed.
    pub(super) fn fail(self, out: &mut Out, refusal: Refusal) {
        match self {
            Self::Saf => {
                let message = serde_json::json!({"cond": "failed", "msg": refusal.line()});
                out.line(|line| line.extend_from_slice(message.to_string().as_bytes())).ok();
            }
            Self::Bare { begun: true } => out.break_off(),
            Self::Bare { begun: false } => out.refuse(refusal),
        }
    }
}
