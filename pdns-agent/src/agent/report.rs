//! What an agent's run amounted to, in numbers and in the first bad lines.
//!
//! The last words of `agent`: what was read, and what became of all of it.

use crate::decode::packets::PacketTally;
use crate::decode::zeek::Coverage;
use crate::decode::{Filter, Tally};
use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::thread::JoinHandle;

/// Bad lines that are shown; all are counted.
const SHOWN: u64 = 10;

/// The sum of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was read.
    pub input: Input,
    /// Answers that this run stored.
    pub stored: u64,
    /// Why not all that was read is stored, if so.
    pub unwritten: Option<String>,
}

/// What was read in a run.
#[derive(Clone, Debug)]
pub enum Input {
    /// Logs.
    Logs(LogReport),
    /// Packets.
    Packets(PacketReport),
}

impl Report {
    /// How many files could not be read, or not to their end.
    #[must_use]
    pub fn failed(&self) -> u64 {
        match &self.input {
            Input::Logs(report) => report.failed,
            Input::Packets(report) => report.failed,
        }
    }

    /// A few lines for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = match &self.input {
            Input::Logs(report) => report.to_text(),
            Input::Packets(report) => report.to_text(),
        };
        let stored = self.stored;
        write!(text, "\n  {stored:>10} observations stored").expect("a String takes any text");
        if let Some(cause) = &self.unwritten {
            write!(
                text,
                "\n  not all of them are stored, the rest is read again next time: {cause}"
            )
            .expect("a String takes any text");
        }
        text
    }
}

/// The sum of a run that read packets.
#[derive(Clone, Debug, Default)]
pub struct PacketReport {
    /// What was counted, all interfaces or files together.
    pub tally: PacketTally,
    /// Interfaces or files.
    pub captures: u64,
    /// Files that were read to their end before.
    pub unchanged: u64,
    /// Files that could not be read, or not to their end.
    pub failed: u64,
}

impl PacketReport {
    /// The sum of one capture.
    pub(crate) fn of(tally: PacketTally) -> Self {
        Self { tally, captures: 1, ..Self::default() }
    }

    /// Tells of a file that could not be read, and counts it.
    pub(crate) fn fail(&mut self, error: &dyn Error) {
        self.failed += 1;
        tracing::warn!("{}", with_causes(error));
    }

    /// Waits for threads and adds what each did.
    ///
    /// # Errors
    /// The first one's that failed, after all have ended.
    pub(crate) fn gather<E>(
        &mut self,
        threads: Vec<JoinHandle<(Self, Result<(), E>)>>,
    ) -> Result<(), E> {
        let mut all = Ok(());
        for thread in threads {
            match thread.join() {
                Ok((part, result)) => {
                    self.merge(&part);
                    all = all.and(result);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    }

    /// Adds another one.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.captures += other.captures;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
    }

    /// A few lines for people: where every packet went.
    #[must_use]
    pub fn to_text(&self) -> String {
        let tally = &self.tally;
        let plural = if self.captures == 1 { "" } else { "s" };
        let where_from = if tally.capture.is_some() { "interface" } else { "capture file" };
        let mut text = format!(
            "{} packets on {} {where_from}{plural}: {} without DNS, {} decoded, {} rejected, {} lost; \
             from them {} observations of records and {} of negative answers",
            tally.seen(),
            self.captures,
            tally.refused(),
            tally.decoded(),
            tally.rejected(),
            tally.lost(),
            tally.messages.records,
            tally.messages.negatives
        );
        let mut part = |label: &str, count: u64| {
            if count > 0 {
                write!(text, "\n  {count:>10} {label}").expect("a String takes any text");
            }
        };
        if let Some(capture) = &tally.capture {
            part("packets lost: no room in the ring buffer", capture.lost);
            part("packets handed over in part", capture.truncated);
            part(
                "packets dropped by the interface, some of which may have been seen",
                capture.interface_dropped,
            );
        }
        part("packets that were still waiting at the end", tally.waiting());
        part("files unchanged since they were read", self.unchanged);
        part("files could not be read to their end", self.failed);
        for (result, reason, count) in tally.packet_endings() {
            part(&spelled("packets", result, reason), count);
        }
        for (result, reason, count) in tally.message_endings() {
            part(&spelled("messages", result, reason), count);
        }
        part("responses that nobody was seen to ask for", tally.messages.unsolicited);
        part(
            "responses that could not wait for their query: too many waited",
            tally.messages.hurried,
        );
        for (reason, &count) in &tally.messages.omitted {
            part(&format!("answers not taken: {reason}"), count);
        }
        text
    }
}

/// An error and what caused it, in one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// `packets rejected: cut by capture`.
fn spelled(what: &str, result: &str, reason: &str) -> String {
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("{what} {}{colon}{}", result.replace('_', " "), reason.replace('_', " "))
}

/// The sum of a run that read logs.
#[derive(Clone, Debug, Default)]
pub struct LogReport {
    /// Lines by what became of them.
    pub tally: Tally,
    /// Logs that lines were read from, each once, whatever its names.
    logs: HashSet<[u8; 16]>,
    /// Logs that were read to their end before, and had nothing new.
    pub unchanged: u64,
    /// Lines of more than 1 MiB, which were passed over.
    pub oversized: u64,
    /// Last lines without a newline, which were left for the next run.
    pub unfinished: u64,
    /// Files that were named, and in which nothing was found.
    pub foreign: u64,
    /// Files that could not be read, or not to their end.
    pub failed: u64,
    /// Whether there was a log of our Zeek package.
    pub has_pdns_log: bool,
    /// How far pdns.log covers the lines of dns.log that were left out for it.
    pub coverage: Coverage,
    shown: u64,
}

/// What an operator has to know who gives us but one of the two logs that Zeek writes with our package.
pub(super) const LACKS_PDNS_LOG: &str = "lines of dns.log were passed over because pdns.log has what they say, but \
     there is no pdns.log: name its folder as well, or give --no-pdns-log";

/// What an operator has to know whose dns.log goes on after the end of pdns.log.
const AFTER_PDNS_LOG: &str = "lines of dns.log left out may be missing in pdns.log: Zeek writes them there within \
     PDNS::window while it runs, and never if it was killed";

impl LogReport {
    /// How many logs lines were read from.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// Notes that lines of a log were read.
    pub(crate) fn read_log(&mut self, log: [u8; 16]) {
        self.logs.insert(log);
    }

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
        self.logs.extend(&other.logs);
        self.unchanged += other.unchanged;
        self.unfinished += other.unfinished;
        self.foreign += other.foreign;
        self.oversized += other.oversized;
        self.failed += other.failed;
        self.has_pdns_log |= other.has_pdns_log;
        self.coverage.merge(&other.coverage);
        self.shown += other.shown;
    }

    /// A few lines for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let tally = &self.tally;
        let mut text = format!(
            "{} lines of {} logs: {} DNS records, from them {} observations of records and {} of negative answers",
            tally.lines,
            self.logs(),
            tally.counted,
            tally.records,
            tally.negatives
        );
        let mut part = |label: &str, count: u64| {
            if count > 0 {
                write!(text, "\n  {count:>10} {label}").expect("a String takes any text");
            }
        };
        part("logs unchanged since they were read", self.unchanged);
        part("files could not be read to their end", self.failed);
        part("files that hold nothing for this command", self.foreign);
        part("unfinished last lines, left for the next run", self.unfinished);
        part("lines of headers and footers", tally.directives);
        part("lines that tell of something else than DNS", tally.other_records);
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
        part(AFTER_PDNS_LOG, self.coverage.uncovered().unwrap_or(0));
        if tally.filtered.contains_key(&Filter::InPdnsLog) && !self.has_pdns_log {
            write!(text, "\n  {LACKS_PDNS_LOG}").expect("a String takes any text");
        }
        text
    }
}
