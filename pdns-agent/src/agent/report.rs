//! What an agent's run amounted to, in numbers and in the first bad lines.

use crate::decode::Tally;
use std::fmt::Write as _;
use std::path::Path;

/// Bad lines that are shown; all are counted.
const SHOWN: u64 = 10;

/// The sum of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lines by what became of them.
    pub tally: Tally,
    /// Logs that lines were read from.
    pub logs: u64,
    /// Logs that were read to their end before, and had nothing new.
    pub unchanged: u64,
    /// Lines of more than 1 MiB, which were passed over.
    pub oversized: u64,
    /// Files that could not be read, or not to their end.
    pub failed: u64,
    shown: u64,
}

impl Report {
    /// Counts a bad line; the first ones are told to the operator.
    pub(crate) fn bad_line(&mut self, path: &Path, line: u64, reason: &dyn std::fmt::Display) {
        self.shown += 1;
        if self.shown <= SHOWN {
            tracing::warn!(path = %path.display(), line, %reason, "line not taken");
        } else if self.shown == SHOWN + 1 {
            tracing::warn!("more lines not taken are counted, not shown");
        }
    }

    /// Adds what another thread did.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.logs += other.logs;
        self.unchanged += other.unchanged;
        self.oversized += other.oversized;
        self.failed += other.failed;
        self.shown += other.shown;
    }

    /// A few lines for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let tally = &self.tally;
        let mut text = format!(
            "{} lines of {} logs: {} DNS records, from them {} observations of records and {} of negative answers",
            tally.lines, self.logs, tally.counted, tally.records, tally.negatives
        );
        let mut part = |label: &str, count: u64| {
            if count > 0 {
                write!(text, "\n  {count:>10} {label}").expect("a String takes any text");
            }
        };
        part("logs unchanged since they were read", self.unchanged);
        part("files could not be read to their end", self.failed);
        part("lines of headers and footers", tally.directives);
        part("lines of other logs than dns", tally.other_records);
        part("lines longer than 1 MiB, passed over", self.oversized);
        for (filter, &count) in &tally.filtered {
            part(&format!("lines left out: {filter}"), count);
        }
        for (rejection, &count) in &tally.rejected {
            part(&format!("lines not taken: {rejection}"), count);
        }
        for (omission, &count) in &tally.omitted {
            part(&format!("answers not taken: {omission}"), count);
        }
        text
    }
}
