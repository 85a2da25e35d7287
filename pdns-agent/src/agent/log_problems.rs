//! Problems of a session of reading logs: each is reported once, and all are counted.
//!
//! Used by `log_scheduler`.

use super::report::{LogReport, with_causes};
use super::standard_input::shown;
use crate::render::escape;
use crate::source::{Missing, Scan, SourceError};
use std::collections::{HashMap, HashSet};
use std::mem::{Discriminant, discriminant};
use std::path::{Path, PathBuf};

/// Number of remembered problems, so that each is reported once.
const WARNINGS: usize = 1024;
/// Maximum number of displayed problems of one kind; all are counted.
const SHOWN: usize = 10;

/// The problems of a session.
pub(super) struct LogProblems {
    /// The command that reads the logs.
    command: &'static str,
    /// Problems that were reported.
    reported: HashSet<String>,
    /// Number of displayed problems, by kind.
    shown: HashMap<Discriminant<SourceError>, usize>,
    /// Files that could not be read.
    failed: HashSet<PathBuf>,
    /// Number of files that contain nothing for this command.
    foreign: u64,
    has_told_skipped: bool,
}

impl LogProblems {
    pub(super) fn new(command: &'static str) -> Self {
        let (reported, shown, failed) = Default::default();
        Self { command, reported, shown, failed, foreign: 0, has_told_skipped: false }
    }

    /// Reports a problem, unless it was reported before.
    pub(super) fn warn_once(&mut self, text: &str) {
        if self.reported.len() < WARNINGS && self.reported.insert(text.to_owned()) {
            tracing::warn!("{text}");
        }
    }

    /// Reports an error, unless it or many of its kind were reported before.
    pub(super) fn warn(&mut self, error: &SourceError) {
        let text = with_causes(error);
        if self.reported.contains(&text) {
            return;
        }
        let shown = self.shown.entry(discriminant(error)).or_default();
        *shown += 1;
        match *shown {
            ..=SHOWN => self.warn_once(&text),
            shown if shown == SHOWN + 1 => {
                tracing::warn!("more problems of this kind are counted, not shown: {text}");
            }
            _ => {}
        }
    }

    /// Counts a file that could not be read.
    pub(super) fn failed(&mut self, path: &Path) {
        self.failed.insert(path.to_owned());
    }

    /// Records that a file could be read after all.
    pub(super) fn passed(&mut self, path: &Path) {
        self.failed.remove(path);
    }

    /// Reports a file in which nothing was found; `command` is the one that reads it, if any.
    pub(super) fn foreign(&mut self, path: &Path, command: Option<&str>, is_named: bool) {
        let path = escape(&shown(path)).into_owned();
        match command {
            Some(command) => {
                self.foreign += 1;
                self.warn_once(&format!(
                    "nothing read from {path}: it is for `pdns-agent {command}`"
                ));
            }
            None if is_named => {
                self.foreign += 1;
                let own = self.command;
                self.warn_once(&format!(
                    "nothing read from {path}: no DNS records for `pdns-agent {own}`"
                ));
            }
            None => {}
        }
    }

    /// Reports the errors of the last scan, and once the skipped files, unless a final report will mention
    /// them.
    pub(super) fn scanned(&mut self, scan: &Scan, has_end: bool) {
        for error in scan.problems() {
            self.warn(error);
        }
        let skipped = scan.skipped();
        if let (Some(example), false) = (&skipped.example, self.has_told_skipped || has_end) {
            self.has_told_skipped = true;
            let (files, example) = (skipped.count, example.display());
            tracing::info!(files, %example, "files skipped, not named like the logs");
        }
    }

    /// Adds the counts to the report of a session that ends.
    pub(super) fn finish(&self, scan: &Scan, report: &mut LogReport) {
        report.failed += self.failed.len() as u64 + scan.problem_count();
        report.foreign += self.foreign;
        report.empty = 0;
        for missing in scan.missing() {
            if let Missing::NoLogs(folder) = missing {
                report.empty += 1;
                let skipped = scan.skipped();
                let (folder, names) = (folder.display(), scan.names().wanted());
                match &skipped.example {
                    None => tracing::warn!("no logs in {folder}: no file is named like {names}"),
                    Some(example) => tracing::warn!(
                        "no logs in {folder}: no file is named like {names} (there are others, such as {}; name one to \
                         have it read)",
                        example.display()
                    ),
                }
            }
        }
        report.skipped = scan.skipped().clone();
    }
}
