//! Continuous judgement: `pdns judge` follows new names, judges them, keeps verdicts in the store and writes events.
//!
//! Beside `serve`, above `query` and `exchange`. The loop ([`run`]) takes names that were never judged from the name logs,
//! latest first (`backlog`), examines them with their records and tags (`examine`), weighs what stands out (`weigh`), and hands events to the sinks. Then
//! it writes its position and state into the store (`state`), so that after a kill every event is written at least once,
//! with the same identifier. Only one judge works on a store; the lease is in the store, too.
//!
//! It only reads records, in small pieces, so that it slows writers little; when names come faster than it reads, it lags.

mod backlog;
mod candidate;
mod examine;
mod existing;
mod follow;
mod found;
mod keep;
mod known;
mod lease;
mod metrics;
mod pause;
mod position;
mod settings;
mod sinks;
mod state;
mod weigh;

pub use follow::{Mode, Summary, run};
pub use settings::{FileSink, FirstSeen, JudgeSettings, SyslogSink, WebhookKey, WebhookSink};
pub use sinks::SinkError;
pub use state::{Counters, State};

use crate::analyze::owned_domain;
use crate::name::Name;
use crate::query::Scorer;
use crate::store::StoreError;

/// What names are judged with: the same as what they are scored with.
#[derive(Debug)]
pub struct Knowledge {
    /// Model, protected names, weights and lists, of which the content networks are exempt.
    pub scorer: Scorer,
}

impl Knowledge {
    /// The domain that the owner of a name has, unless it belongs to a content network.
    fn domain_of<'n>(&self, name: Name<'n>) -> Option<Name<'n>> {
        owned_domain(name).filter(|_| !self.scorer.lists.is_content_network(name))
    }
}

/// The reason for which a judge ended.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The store never worked, is of another version, or has another judge.
    #[error("cannot {act}")]
    Store {
        /// The operation.
        act: &'static str,
        /// Cause of the failure.
        #[source]
        cause: StoreError,
    },
    /// The address for metrics is not available.
    #[error("cannot listen on {address} for metrics: give --listen another address")]
    Listen {
        /// The address.
        address: String,
        /// The system's error.
        #[source]
        cause: std::io::Error,
    },
    /// Events cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

fn cannot(act: &'static str) -> impl Fn(StoreError) -> JudgeError {
    move |cause| JudgeError::Store { act, cause }
}
