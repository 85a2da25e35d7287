//! Report of an agent's run: counts, and the first invalid lines.
//!
//! The final output of `agent`: the input, and the outcome for all of it.

use super::copies::NothingNew;
use super::standard_input;
use crate::causes::with_causes;
use crate::decode::packets::PacketTally;
use crate::decode::zeek::Coverage;
use crate::decode::{Filter, Rejection, Tally};
use crate::render::{counted, escape, noun};
use crate::source::{CaptureFiles, Damage, Skipped};
use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::thread::JoinHandle;

/// Maximum number of invalid lines displayed; all are counted.
const SHOWN: u64 = 10;

/// Result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Input that was read.
    pub input: Input,
    /// Number of answers stored by this run.
    pub stored: u64,
    /// Reason why not everything read is stored, if so.
    pub unwritten: Option<String>,
}

/// Input of a run.
#[derive(Clone, Debug)]
pub enum Input {
    /// Logs.
    Logs(LogReport),
    /// Packets.
    Packets(PacketReport),
}

impl Report {
    /// Number of files and folders that could not be read, or not completely.
    #[must_use]
    pub fn failed(&self) -> u64 {
        match &self.input {
            Input::Logs(report) => report.failed,
            Input::Packets(report) => report.failed,
        }
    }

    /// Number of files without data for this command, and of folders without such files.
    #[must_use]
    pub fn without_use(&self) -> u64 {
        match &self.input {
            Input::Logs(report) => report.foreign + report.empty + report.useless,
            Input::Packets(report) => report.foreign + report.empty,
        }
    }

    /// A few lines for display.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = match &self.input {
            Input::Logs(report) => report.to_text(),
            Input::Packets(report) => report.to_text(),
        };
        let stored = self.stored;
        let label = noun(stored, "observation stored", "observations stored");
        write!(text, "\n  {stored:>10} {label}").expect("a String takes any text");
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

/// Result of a run that read packets.
#[derive(Clone, Debug, Default)]
pub struct PacketReport {
    /// Counts of all interfaces or files together.
    pub tally: PacketTally,
    /// Number of interfaces or files.
    pub captures: u64,
    /// Files that were read to their end before.
    pub nothing_new: NothingNew,
    /// Files and folders that could not be read, or not to their end.
    pub failed: u64,
    /// Number of given files that are not captures.
    pub foreign: u64,
    /// Number of given folders that contain no capture.
    pub empty: u64,
    /// Files in folders that were skipped because of their names.
    pub skipped: Skipped,
}

impl PacketReport {
    /// Report for one capture.
    pub(crate) fn from_tally(tally: PacketTally) -> Self {
        Self { tally, captures: 1, ..Self::default() }
    }

    /// Logs that a file could not be read, and counts it.
    pub(crate) fn fail(&mut self, error: &dyn Error) {
        self.failed += 1;
        tracing::warn!("{}", with_causes(error));
    }

    /// Reports the problems found while searching for files.
    pub(crate) fn note(&mut self, found: &CaptureFiles) {
        for problem in &found.problems {
            self.fail(problem);
        }
        for folder in &found.empty {
            self.empty += 1;
            let folder = folder.display();
            tracing::warn!(
                "no capture files in {folder}: no name has .pcap in it or ends with .cap"
            );
        }
        self.skipped = found.skipped.clone();
    }

    /// Reports a given file that is not a capture; `command` is the one that reads it, if any.
    pub(crate) fn fail_foreign(&mut self, path: &str, command: Option<&str>) {
        self.foreign += 1;
        let path = escape(path);
        if let Some(command) = command {
            tracing::warn!("nothing read from {path}: it is for `pdns-agent {command}`");
        } else {
            tracing::warn!(
                "nothing read from {path}: it is not a capture file (pcap or pcapng, plain or compressed)"
            );
        }
    }

    /// Waits for threads and adds their reports.
    ///
    /// # Errors
    /// The error of the first thread that failed, after all have ended.
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

    /// Adds another report.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.captures += other.captures;
        self.nothing_new.merge(&other.nothing_new);
        self.failed += other.failed;
        self.foreign += other.foreign;
        self.empty += other.empty;
    }

    /// A few lines for display, with the outcome for every packet.
    #[must_use]
    pub fn to_text(&self) -> String {
        let tally = &self.tally;
        let (one, many) = match tally.capture {
            Some(_) => ("interface", "interfaces"),
            None => ("capture file", "capture files"),
        };
        let mut text = format!(
            "{} on {}: {} without DNS, {} decoded, {} rejected, {} lost; \
             from them {} and {}",
            counted(tally.seen(), "packet", "packets"),
            counted(self.captures, one, many),
            tally.refused(),
            tally.decoded(),
            tally.rejected(),
            tally.lost(),
            counted(tally.messages.records, "observation of a record", "observations of records"),
            counted(tally.messages.negatives, "of a negative answer", "of negative answers")
        );
        let mut part = part_of(&mut text);
        if let Some(capture) = &tally.capture {
            part(capture.lost, ["packet", "packets"], "lost: no room in the ring buffer");
            part(capture.truncated, ["packet", "packets"], "handed over in part");
            let label = "dropped by the interface, some of which may have been seen";
            part(capture.interface_dropped, ["packet", "packets"], label);
        }
        part(tally.waiting(), ["packet", "packets"], "still waiting at the end");
        nothing_new(&self.nothing_new, ["file", "files"], "capture", &mut part);
        part(self.failed, FILES, "that could not be read to the end");
        part(self.foreign, ["file", "files"], "without packets for this command");
        part(self.empty, ["folder", "folders"], "without capture files");
        skipped(&self.skipped, "captures", &mut part);
        for (result, reason, count) in tally.packet_endings() {
            part(count, ["packet", "packets"], &spelled(result, reason));
        }
        for (result, reason, count) in tally.message_endings() {
            part(count, ["message", "messages"], &spelled(result, reason));
        }
        part(
            tally.messages.unsolicited,
            ["response", "responses"],
            "that nobody was seen to ask for",
        );
        let label = "that could not wait for their query: too many waited";
        part(tally.messages.hurried, ["response", "responses"], label);
        for (reason, &count) in &tally.messages.omitted {
            part(count, ["answer", "answers"], &format!("not taken: {reason}"));
        }
        drop(part);
        text
    }
}

/// Singular and plural of the unit in which unreadable inputs are counted.
const FILES: [&str; 2] = ["file or folder", "files and folders"];

/// Adds a line with a count to a report, unless it is 0.
fn part_of(text: &mut String) -> impl FnMut(u64, [&str; 2], &str) {
    |count, [one, many], label| {
        if count > 0 {
            write!(text, "\n  {count:>10} {} {label}", noun(count, one, many))
                .expect("a String takes any text");
        }
    }
}

/// Adds the number of files that were skipped because of their names.
fn skipped(skipped: &Skipped, wanted: &str, part: &mut impl FnMut(u64, [&str; 2], &str)) {
    if let Some(example) = &skipped.example {
        let label = format!(
            "skipped, not named like {wanted}, such as {}",
            escape(&example.display().to_string())
        );
        part(skipped.count, ["other file", "other files"], &label);
    }
}

/// Adds the files in which nothing was new, and where what they hold was read.
fn nothing_new(
    files: &NothingNew,
    noun: [&str; 2],
    content: &str,
    part: &mut impl FnMut(u64, [&str; 2], &str),
) {
    part(files.unchanged, noun, "unchanged since the last run");
    let shown = |path: &Path| escape(&standard_input::shown(path)).into_owned();
    if let Some((path, other)) = &files.copied.example {
        let (path, other) = (shown(path), shown(other));
        let label = match files.copied.count {
            1 => format!("already read as {other}"),
            _ => format!("already read under other paths, such as {path} as {other}"),
        };
        part(files.copied.count, noun, &label);
    }
    if let Some((path, other)) = &files.repeated.example {
        let (path, other) = (shown(path), shown(other));
        let label = match files.repeated.count {
            1 => format!("the same {content} as {other} in this run"),
            _ => {
                format!("the same {content} as another one in this run, such as {path} and {other}")
            }
        };
        part(files.repeated.count, noun, &label);
    }
}

/// `rejected: cut by capture`.
fn spelled(result: &str, reason: &str) -> String {
    let colon = if reason.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", result.replace('_', " "), reason.replace('_', " "))
}

/// Result of a run that read logs.
#[derive(Clone, Debug, Default)]
pub struct LogReport {
    /// Lines by outcome.
    pub tally: Tally,
    /// Logs from which lines were read, each once, whatever its names.
    logs: HashSet<[u8; 16]>,
    /// Logs that were read to their end before, and had nothing new.
    pub nothing_new: NothingNew,
    /// Lines of more than 1 MiB, which were passed over, and lines that a crash cut off.
    pub damage: Damage,
    /// Number of last lines without a newline, which were left for the next run.
    pub unfinished: u64,
    /// Number of given files in which nothing was found.
    pub foreign: u64,
    /// Number of given folders that contain no log.
    pub empty: u64,
    /// Number of given folders with logs of which lines were rejected and none was taken.
    pub useless: u64,
    /// Number of files and folders that could not be read, or not completely.
    pub failed: u64,
    /// Files in folders that were skipped because of their names.
    pub skipped: Skipped,
    /// True if there was a log of our Zeek package.
    pub has_pdns_log: bool,
    /// Coverage by pdns.log of the dns.log lines that were skipped in its favour.
    pub coverage: Coverage,
    shown: u64,
    /// Invalid lines of a log in which no line was valid so far.
    held: Vec<(u64, Rejection)>,
}

/// Warning for an operator who provides only one of the two logs written by Zeek with our package.
pub(super) const LACKS_PDNS_LOG: &str = "lines of dns.log were skipped because pdns.log has their content, but \
     there is no pdns.log: name its folder as well, or give --no-pdns-log";

/// Warning for an operator whose dns.log continues after the end of pdns.log.
const AFTER_PDNS_LOG: &str = "of dns.log left out may be missing in pdns.log: Zeek writes them there within \
     PDNS::window while it runs, and never if it was killed";

impl LogReport {
    /// Number of logs from which lines were read.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// Records that lines of a log were read.
    pub(crate) fn read_log(&mut self, log: [u8; 16]) {
        self.logs.insert(log);
    }

    /// Reports an invalid line, if it is among the first. Those of a log without a valid line so far are held
    /// back until [`LogReport::end_bad_lines`]: if there is no valid line at all, that is reported instead.
    pub(crate) fn bad_line(
        &mut self,
        path: &Path,
        line: u64,
        reason: Rejection,
        is_understood: bool,
    ) {
        if !is_understood {
            if (self.held.len() as u64) <= SHOWN {
                self.held.push((line, reason));
            }
            return;
        }
        self.end_bad_lines(path, true);
        self.show_bad_line(path, line, reason);
    }

    /// Reports the invalid lines held back, or discards them.
    pub(crate) fn end_bad_lines(&mut self, path: &Path, are_shown: bool) {
        for (line, reason) in std::mem::take(&mut self.held) {
            if are_shown {
                self.show_bad_line(path, line, reason);
            }
        }
    }

    fn show_bad_line(&mut self, path: &Path, line: u64, reason: Rejection) {
        self.shown += 1;
        if self.shown <= SHOWN {
            tracing::warn!(path = %standard_input::shown(path), line, %reason, "line not taken");
        } else if self.shown == SHOWN + 1 {
            tracing::warn!("more lines not taken are counted, not shown");
        }
    }

    /// Adds the report of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.logs.extend(&other.logs);
        self.nothing_new.merge(&other.nothing_new);
        self.unfinished += other.unfinished;
        self.foreign += other.foreign;
        self.empty += other.empty;
        self.useless += other.useless;
        self.damage += other.damage;
        self.failed += other.failed;
        self.has_pdns_log |= other.has_pdns_log;
        self.coverage.merge(&other.coverage);
        self.shown += other.shown;
    }

    /// A few lines for display.
    #[must_use]
    pub fn to_text(&self) -> String {
        let tally = &self.tally;
        let mut text = format!(
            "{} of {}: {}, from them {} and {}",
            counted(tally.lines, "line", "lines"),
            counted(self.logs() as u64, "log", "logs"),
            counted(tally.counted, "DNS record", "DNS records"),
            counted(tally.records, "observation of a record", "observations of records"),
            counted(tally.negatives, "of a negative answer", "of negative answers")
        );
        let mut part = part_of(&mut text);
        nothing_new(&self.nothing_new, ["log", "logs"], "log", &mut part);
        part(self.failed, FILES, "that could not be read to the end");
        part(self.foreign, ["file", "files"], "without anything for this command");
        part(self.empty, ["folder", "folders"], "without logs");
        part(self.useless, ["folder", "folders"], "whose logs hold nothing for this command");
        skipped(&self.skipped, "DNS logs", &mut part);
        let unfinished = ["unfinished last line", "unfinished last lines"];
        part(self.unfinished, unfinished, "left for the next run");
        let lines = ["line", "lines"];
        part(tally.directives, lines, "of headers and footers");
        part(tally.other_records, lines, "about something else than DNS");
        part(self.damage.oversized, lines, "longer than 1 MiB, skipped");
        part(self.damage.torn, lines, "cut off by NUL bytes, as a crash leaves them");
        for (filter, &count) in &tally.filtered {
            part(count, lines, &format!("left out: {filter}"));
        }
        for (rejection, &count) in &tally.rejected {
            part(count, lines, &format!("not taken: {rejection}"));
        }
        for (omission, &count) in &tally.omitted {
            part(count, ["answer", "answers"], &format!("not taken: {omission}"));
        }
        part(self.coverage.uncovered().unwrap_or(0), lines, AFTER_PDNS_LOG);
        drop(part);
        if tally.filtered.contains_key(&Filter::InPdnsLog) && !self.has_pdns_log {
            write!(text, "\n  {LACKS_PDNS_LOG}").expect("a String takes any text");
        }
        text
    }
}
