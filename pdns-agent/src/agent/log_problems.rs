//! Problems of a session of reading logs: each is reported once, and all are counted.
//!
//! Used by `log_scheduler`.

use super::log_tasks::NothingFound;
use super::report::LogReport;
use super::standard_input::shown;
use crate::causes::with_causes;
use crate::decode::Rejection;
use crate::decode::log::Format;
use crate::render::{counted, escape};
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
    /// Format of the logs.
    format: Format,
    /// The given folders and patterns: what their logs held.
    folders: Vec<Folder>,
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

/// The logs found in one given folder, or by one pattern.
struct Folder {
    path: PathBuf,
    /// True if anything was taken from one of them.
    is_useful: bool,
    /// The reason for which lines of a log were rejected of which none was taken.
    rejected: Option<Rejection>,
}

impl LogProblems {
    pub(super) fn new(format: Format, inputs: &[PathBuf]) -> Self {
        let (reported, shown, failed) = Default::default();
        let folder =
            |path: &PathBuf| Folder { path: path.clone(), is_useful: false, rejected: None };
        let folders = inputs.iter().map(folder).collect();
        Self { format, folders, reported, shown, failed, foreign: 0, has_told_skipped: false }
    }

    /// The given folder that a file was found in, or a pattern where it is in none.
    fn folder(&mut self, path: &Path) -> Option<&mut Folder> {
        let is_in = |folder: &&mut Folder| {
            let is_pattern = folder.path.to_string_lossy().contains(['*', '?', '[']);
            path.starts_with(&folder.path) || is_pattern
        };
        let folders = self.folders.iter_mut().filter(is_in);
        folders.max_by_key(|folder| {
            if path.starts_with(&folder.path) { folder.path.as_os_str().len() } else { 0 }
        })
    }

    /// Records that a file was read, and whether anything was taken from it, now or before.
    pub(super) fn taken(&mut self, path: &Path, has_taken: bool) {
        if has_taken && let Some(folder) = self.folder(path) {
            folder.is_useful = true;
        }
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

    /// Reports a file in which nothing was found.
    pub(super) fn foreign(&mut self, path: &Path, found: NothingFound, is_named: bool) {
        if let (Some((_, reason)), false) = (found.rejected, is_named)
            && let Some(folder) = self.folder(path)
        {
            folder.rejected = Some(reason);
        }
        let path = escape(&shown(path)).into_owned();
        match found.command {
            Some(command) => {
                self.foreign += 1;
                self.warn_once(&format!(
                    "nothing read from {path}: it is for `pdns-agent {command}`"
                ));
            }
            None if is_named => {
                self.foreign += 1;
                let own = self.format.command();
                let why = match (found.rejected, self.format) {
                    (Some((count, reason)), _) => {
                        format!("{} rejected: {reason}", counted(count, "line", "lines"))
                    }
                    (None, Format::Zeek(_)) => {
                        "no line has query, qtype or rcode, as in dns.log, or rrname, as in pdns.log"
                            .to_owned()
                    }
                    (None, Format::Suricata) => "no line has the event_type dns".to_owned(),
                    (None, Format::Cof) => "no line has rrname and rrtype".to_owned(),
                };
                self.warn_once(&format!(
                    "nothing read from {path}: no DNS records for `pdns-agent {own}` ({why})"
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
        report.useless = 0;
        for folder in self.folders.iter().filter(|folder| !folder.is_useful) {
            if let Some(reason) = folder.rejected {
                report.useless += 1;
                let folder = folder.path.display();
                tracing::warn!(%reason, "nothing read from the logs in {folder}: lines were rejected and none taken");
            }
        }
        report.skipped = scan.skipped().clone();
    }
}
