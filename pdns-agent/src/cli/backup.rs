//! `pdns admin backup`, `restore`, `copy` and `merge`: a store as a whole, to and from files and servers.

use super::args::backup::{BackupArgs, FromStore, MergeArgs};
use super::{CliError, Found, Terminal};
use crate::atomic_file::AtomicFile;
use crate::config::security_onion;

use crate::render::{counted, escape, utc};
use crate::store::{
    BackupError, BackupSummary, MergeFrom, MergeSummary, Options, Progress, Store, UnkeptSums,
};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Mode of a backup: it holds what a network has looked up.
const MODE: u32 = 0o600;

/// Saves the store, or checks what was saved.
pub(super) fn backup(
    args: &BackupArgs,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    if args.verify {
        let file = open(&args.file).map_err(failed("check the backup"))?;
        let summary = Store::check_backup(file).map_err(failed("check the backup"))?;
        terminal.say(format_args!("the backup is whole: {}", described(&summary)));
        return Ok(Found::Something);
    }
    let act = failed("back up the store");
    let now = terminal.now;
    let mut report = Report::new(terminal, "backup");
    let summary = if args.file == Path::new("-") {
        let mut out = BufWriter::new(&mut *report.out);
        let summary = Store::backup(options, now, &mut out, &mut |progress| {
            report.watch.show(progress);
        });
        let summary = summary.and_then(|summary| {
            out.flush().map_err(BackupError::Write)?;
            Ok(summary)
        });
        drop(out);
        summary.map_err(act)?
    } else {
        let write = |watch: &mut Watch<'_>| {
            let mut file = AtomicFile::create(&args.file, MODE).map_err(BackupError::Write)?;
            let summary =
                Store::backup(options, now, &mut file, &mut |progress| watch.show(progress))?;
            file.commit().map_err(BackupError::Write)?;
            Ok(summary)
        };
        write(&mut report.watch).map_err(act)?
    };
    report.watch.end();
    left_out(&summary, terminal);
    terminal.say(format_args!("the store is saved: {}", described(&summary)));
    Ok(Found::Something)
}

/// Restores a store.
pub(super) fn restore(
    file: &Path,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let act = failed("restore the store");
    let file = open(file).map_err(&act)?;
    let now = terminal.now;
    let mut report = Report::new(terminal, "restore");
    let summary = Store::restore(options, file, now, &mut |progress| report.watch.show(progress));
    report.watch.end();
    let summary = summary.map_err(act)?;
    terminal.say(format_args!("the store is restored: {}", described(&summary)));
    migration(&summary, terminal);
    Ok(Found::Something)
}

/// Copies another store.
pub(super) fn copy(
    args: &FromStore,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let from = other(args, terminal)?;
    let now = terminal.now;
    let mut report = Report::new(terminal, "copy");
    let summary = Store::copy(options, &from, now, &mut |progress| report.watch.show(progress));
    report.watch.end();
    let summary = summary.map_err(failed("copy the store"))?;
    left_out(&summary, terminal);
    terminal.say(format_args!("the store is copied: {}", described(&summary)));
    migration(&summary, terminal);
    Ok(Found::Something)
}

/// Merges another store.
pub(super) fn merge(
    MergeArgs { from: args, leave_out_sums }: &MergeArgs,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let act = failed("merge the stores");
    let now = terminal.now;
    let is_server = args.store == "managed:" || args.store.contains("://");
    let (from, label);
    let source = if is_server {
        from = other(args, terminal)?;
        label = format!("merge of {} {}", from.shown_url(), from.prefix);
        MergeFrom::Server(&from)
    } else {
        let path = Path::new(&args.store);
        label = format!("merge of {}", path.display());
        MergeFrom::File(open(path).map_err(&act)?)
    };
    let mut report = Report::new(terminal, "merge");
    let sums = if *leave_out_sums { UnkeptSums::LeaveOut } else { UnkeptSums::Refuse };
    let summary = Store::merge(options, source, sums, &label, now, &mut |progress| {
        report.watch.show(progress);
    });
    report.watch.end();
    let MergeSummary { is_old, records, tags, logs, intel_sources } = summary.map_err(act)?;
    if is_old {
        terminal.say(format_args!(
            "the other store was merged before: nothing is changed, and what it has read since is not added"
        ));
        return Ok(Found::Something);
    }
    if intel_sources > 0 {
        terminal.say(format_args!(
            "indicators are not merged: import {} again",
            counted(intel_sources, "source", "sources")
        ));
    }
    terminal.say(format_args!(
        "the stores are merged: {} added, {} set, {} taken over",
        counted(records, "record or negative answer", "records and negative answers"),
        counted(tags, "tag", "tags"),
        counted(logs, "position of a log", "positions of logs")
    ));
    Ok(Found::Something)
}

/// Returns the options of the other store. Settings and variables for this one do not apply to it.
fn other(args: &FromStore, terminal: &Terminal<'_>) -> Result<Options, CliError> {
    let env = |name: &str| match name {
        "PDNS_REDIS_PASSWORD" => (terminal.env)("PDNS_FROM_REDIS_PASSWORD"),
        security_onion::OVERRIDE => (terminal.env)(name),
        _ => None,
    };
    Ok(args.other.connection(&args.store).options(&env, &[])?)
}

fn open(path: &Path) -> Result<File, BackupError> {
    File::open(path).map_err(BackupError::Read)
}

/// Describes what was saved or restored.
fn described(summary: &BackupSummary) -> String {
    format!(
        "{} with {} bytes, as of {} UTC",
        counted(summary.keys, "key", "keys"),
        summary.bytes,
        utc(summary.description.created)
    )
}

/// Says what is not part of the store.
fn left_out(summary: &BackupSummary, terminal: &mut Terminal<'_>) {
    if summary.left_out > 0 {
        terminal.say(format_args!(
            "{} with the same prefix left out, which are not of this store, such as {}",
            counted(summary.left_out, "key", "keys"),
            escape(&summary.examples.join(", "))
        ));
    }
}

/// Says that a restored store is of an earlier version.
fn migration(summary: &BackupSummary, terminal: &mut Terminal<'_>) {
    if summary.description.schema < Store::SCHEMA_VERSION {
        terminal.say(format_args!(
            "it has the earlier schema version {}: run `pdns admin migrate`",
            summary.description.schema
        ));
    }
}

fn failed(act: &'static str) -> impl Fn(BackupError) -> CliError + Copy {
    move |cause| CliError::Backup { act, cause }
}

/// The streams of a long command.
struct Report<'t> {
    out: &'t mut dyn Write,
    watch: Watch<'t>,
}

impl<'t> Report<'t> {
    fn new(terminal: &'t mut Terminal<'_>, command: &'static str) -> Self {
        let watch = Watch {
            err: &mut *terminal.err,
            is_watched: terminal.is_watched,
            command,
            is_shown: false,
        };
        Self { out: &mut *terminal.out, watch }
    }
}

/// A line that shows progress and is overwritten, if somebody reads it.
struct Watch<'t> {
    err: &'t mut dyn Write,
    is_watched: bool,
    command: &'static str,
    is_shown: bool,
}

impl Watch<'_> {
    fn show(&mut self, progress: Progress) {
        if !self.is_watched {
            return;
        }
        self.is_shown = true;
        let command = self.command;
        let shown = match progress {
            Progress::Keys { keys, bytes } => {
                write!(self.err, "\r{command}: {keys} keys, {} MB   ", bytes >> 20)
            }
            Progress::Parts { done, all } => {
                write!(self.err, "\r{command}: part {done} of {all}            ")
            }
        };
        drop(shown.and_then(|()| self.err.flush()));
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            drop(writeln!(self.err));
        }
    }
}
