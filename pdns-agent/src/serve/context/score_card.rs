//! The score of a subject, for the template.
//!
//! Part of the page.

use super::sanitize::visible;
use crate::query::Assessment;
use crate::render::{ledger_rows, reasons, unknown, without_effect};

/// Number of reasons beside the score.
const REASONS: usize = 3;

/// A score with its ledger.
pub(super) struct ScoreCard {
    pub(super) score: u8,
    pub(super) band: &'static str,
    pub(super) labels: Vec<&'static str>,
    /// The heaviest reasons, in one line.
    pub(super) reasons: String,
    pub(super) lines: Vec<LedgerLine>,
    pub(super) without_effect: String,
    pub(super) unknown: String,
    /// Parts of the store that were not read.
    pub(super) notes: Vec<String>,
}

/// A line of the ledger.
pub(super) struct LedgerLine {
    pub(super) nats: String,
    pub(super) name: String,
    /// Weight and value between -1 and 1.
    pub(super) product: String,
    pub(super) value: String,
    /// Origin and time.
    pub(super) source: String,
}

impl ScoreCard {
    pub(super) fn new(assessed: &Assessment) -> Self {
        let ledger = &assessed.ledger;
        let lines = ledger_rows(ledger).into_iter().map(|cells| {
            let [nats, name, weight, x, value, source, since] = cells;
            let product = if x.is_empty() { x } else { format!("{weight} \u{d7} {x}") };
            let since = since.split(' ').next().unwrap_or_default();
            let source = if since.is_empty() { source } else { format!("{source}, {since}") };
            LedgerLine { nats, name, product, value: visible(&value), source: visible(&source) }
        });
        Self {
            score: ledger.score,
            band: ledger.band().as_str(),
            labels: assessed.labels.clone(),
            reasons: reasons(ledger, REASONS),
            lines: lines.collect(),
            without_effect: without_effect(ledger),
            unknown: visible(&unknown(ledger)),
            notes: assessed.notes.iter().map(|note| visible(note)).collect(),
        }
    }
}
