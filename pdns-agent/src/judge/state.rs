//! The state of the judge, which is kept in the store.

use super::backlog::Backlog;
use super::keep::{Kept, KeptOn};
use crate::analyze::Budget;
use serde::{Deserialize, Serialize};

/// Counts since the first start of a judge on the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Names that were judged.
    pub names: u64,
    /// Failed names that were judged.
    pub failed: u64,
    /// Events for names that were never seen before.
    pub first_seen: u64,
    /// Alerts, hits included.
    pub alerts: u64,
    /// Hits on tags and feeds among them.
    pub hits: u64,
    /// Verdicts below the budget.
    pub not_raised: u64,
    /// Verdicts that went to the store.
    pub kept: u64,
    /// Verdicts for which the store has no room that day.
    pub not_kept: u64,
    /// Events that the web hook did not get, because its spool was full or it refused them.
    pub webhook_dropped: u64,
    /// Events that the system log did not get.
    pub syslog_dropped: u64,
    /// Times that the store had lost names that were judged.
    pub losses: u64,
}

impl Counters {
    /// All counts, with their names.
    #[must_use]
    pub fn each(&self) -> [(&'static str, u64); 11] {
        [
            ("names", self.names),
            ("failed", self.failed),
            ("first_seen", self.first_seen),
            ("alerts", self.alerts),
            ("hits", self.hits),
            ("not_raised", self.not_raised),
            ("kept", self.kept),
            ("not_kept", self.not_kept),
            ("webhook_dropped", self.webhook_dropped),
            ("syslog_dropped", self.syslog_dropped),
            ("losses", self.losses),
        ]
    }

    fn zip(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            names: with(self.names, other.names),
            failed: with(self.failed, other.failed),
            first_seen: with(self.first_seen, other.first_seen),
            alerts: with(self.alerts, other.alerts),
            hits: with(self.hits, other.hits),
            not_raised: with(self.not_raised, other.not_raised),
            kept: with(self.kept, other.kept),
            not_kept: with(self.not_kept, other.not_kept),
            webhook_dropped: with(self.webhook_dropped, other.webhook_dropped),
            syslog_dropped: with(self.syslog_dropped, other.syslog_dropped),
            losses: with(self.losses, other.losses),
        }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }
}

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// [`crate::store::Store::repairs`] for which the positions are valid.
    pub(super) repairs: u32,
    pub(super) records: Backlog,
    pub(super) negatives: Backlog,
    /// The alert budget.
    pub budget: Budget,
    /// Counts.
    pub counters: Counters,
    /// Verdicts that are to be kept and are not in the store yet.
    pub(super) unkept: Vec<Kept>,
    /// The day of the last verdict, with its numbers.
    pub(super) kept_on: KeptOn,
    /// Day on which verdicts that had ended were removed.
    pub(super) swept: u32,
    /// Octets of names that were left at the last change.
    pub left: u64,
    /// Time of the last change, in seconds since the epoch.
    pub updated: u32,
    /// Identifier of the model.
    pub model: String,
}

impl State {
    /// Decodes a state; `None` if it is damaged.
    #[must_use]
    pub fn decode(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice(octets).ok()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Numbers, texts and lists can always be encoded.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
