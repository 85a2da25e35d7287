//! Commands about the store itself: its state, maintenance and shutdown.

use super::args::Admin;
use super::{CliError, Found, Terminal, backup, cannot, forget, manpages, open};
use crate::agent::sources_of;
use crate::render::{self, Format};
use crate::retention::Retention;
use crate::store::{Options, Store, Verdict, mend_aof as mend, stop_managed};
use std::path::Path;

/// Shows the state of the store.
pub(super) fn status(
    verbose: bool,
    format: Option<Format>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut store = open(options)?;
    let summary = store.reader().summary().map_err(cannot("read the state of the store"))?;
    let mut facts = vec![("store", options.shown_url()), ("server", summary.server.clone())];
    if verbose {
        facts.insert(0, ("version", env!("CARGO_PKG_VERSION").to_owned()));
        if let Some(file) = &options.named_in {
            facts.push(("settings file", file.display().to_string()));
        }
        facts.push(("prefix", options.prefix.clone()));
        facts.push(("user", options.user.clone().unwrap_or_default()));
        let password = if options.password.is_some() { "given" } else { "none" };
        facts.push(("password", password.to_owned()));
    }
    let format = terminal.format(format, Format::Json);
    let look = terminal.look(Vec::new());
    render::status(&summary, &facts, verbose, format, &look, terminal.out)
        .map_err(CliError::Output)?;
    Ok(Found::Something)
}

/// Maintains the store. Problems are data: they go to standard output, and make the exit status 1.
pub(super) fn run(
    admin: &Admin,
    retention: Option<Retention>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    match admin {
        &Admin::Verify { repair } => {
            if repair && Store::rebuild_schema(options).map_err(cannot("repair the store"))? {
                terminal
                    .say(format_args!("the schema was made again from what partitions keep of it"));
            }
            let mut store = open(options)?;
            let on_terminal = terminal.width.is_some();
            let err = &mut *terminal.err;
            let verdict = store
                .verify(repair, &mut |done, all| {
                    if on_terminal {
                        // The line is overwritten until the last step.
                        let end = if done >= all { "\n" } else { "\r" };
                        drop(write!(err, "verify: {done} of {all}{end}"));
                    }
                })
                .map_err(cannot("verify the store"))?;
            for problem in &verdict.problems {
                writeln!(terminal.out, "{}", render::escape(problem)).map_err(CliError::Output)?;
            }
            for lost in &verdict.lost {
                writeln!(terminal.out, "lost: {}", render::escape(lost))
                    .map_err(CliError::Output)?;
            }
            for (count, what) in [
                (verdict.names, ["name", "names"]),
                (verdict.records, ["record", "records"]),
                (verdict.negatives, ["negative answer", "negative answers"]),
                (verdict.postings, ["entry of the inverse index", "entries of the inverse index"]),
                (verdict.checkpoints, ["checkpoint", "checkpoints"]),
                (verdict.tags, ["tag", "tags"]),
                (verdict.indicators, ["indicator", "indicators"]),
            ] {
                let [one, many] = what;
                terminal.say(format_args!("{} checked", render::counted(count, one, many)));
            }
            terminal.say(format_args!("{}", conclusion(&verdict, repair)));
            if verdict.problem_count > 0
                && let Ok(Some(capacity)) = store.capacity()
            {
                for warning in capacity.eviction_warnings() {
                    terminal.say(format_args!("{warning}"));
                }
            }
            Ok(if verdict.is_sound() { Found::Something } else { Found::Nothing })
        }
        &Admin::Create { partitions } => {
            let options = Options { partitions, ..options.clone() };
            let created = Store::create(&options).map_err(cannot("create the store"))?;
            if created.is_none() {
                let existing = open(&options)?.router().partitions();
                return Err(CliError::Exists(options.prefix, existing));
            }
            terminal.say(format_args!("the store is created, with {partitions} partitions"));
            Ok(Found::Something)
        }
        Admin::Migrate => {
            match Store::migrate(options).map_err(cannot("migrate the store"))? {
                Some(from) => terminal.say(format_args!(
                    "the store is migrated from schema version {from}; agents of the old version stop at their next \
                     batch: install the new one and start them again"
                )),
                None => terminal.say(format_args!("the store is up to date")),
            }
            Ok(Found::Something)
        }
        Admin::Backup(args) => backup::backup(args, options, terminal),
        Admin::Restore { file } => backup::restore(file, options, terminal),
        Admin::Copy(args) => backup::copy(args, options, terminal),
        Admin::Merge(args) => backup::merge(args, options, terminal),
        Admin::Forget(asked) => forget::forget(asked, retention, options, terminal),
        Admin::ForgetSource { file } => forget_source(file, options, terminal),
        Admin::Stop => {
            let stopped = stop_managed().map_err(cannot("stop the managed Redis"))?;
            let word = if stopped { "stopped" } else { "was not running" };
            terminal.say(format_args!("the managed Redis {word}"));
            Ok(Found::Something)
        }
        Admin::MendAof { directory } => mend_aof(directory, terminal),
        Admin::Man { directory } => manpages::man(directory, terminal),
        Admin::Completions { shell, program } => manpages::completions(*shell, *program, terminal),
    }
}

/// Summarises a check, in accordance with its exit status.
fn conclusion(verdict: &Verdict, repair: bool) -> String {
    let (problems, remaining, lost) =
        (verdict.problem_count, verdict.remaining(), verdict.lost.len());
    let found = render::counted(problems, "problem", "problems");
    match (problems, repair) {
        (0, _) => "no problems: the store is whole".to_owned(),
        (_, false) => format!("{found}: run `pdns admin verify --repair` while no agent writes"),
        _ if remaining > 0 => {
            format!("{found}, {remaining} of them not repaired: restore a backup, or report this")
        }
        _ if lost > 0 => format!(
            "{found}, all repaired; what could not be restored is listed above as lost ({}): read its logs again, or \
             restore a backup",
            render::counted(lost as u64, "line", "lines")
        ),
        _ => format!("{found}, all repaired: the store is whole, nothing was lost"),
    }
}

/// Forgets the logs read under a path, and the file there under its other paths.
fn forget_source(
    file: &Path,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut store = open(options)?;
    let (path, whole) = (file.display().to_string(), std::path::absolute(file).ok());
    let whole = whole.map(|path| path.display().to_string());
    let sources = store.reader().sources().map_err(cannot("read the list of sources"))?;
    let found = sources_of(file, &sources, &mut store).map_err(cannot("look the file up"))?;
    let mut known: Vec<_> = sources
        .into_iter()
        .filter(|(key, state)| {
            state.path == path || Some(&state.path) == whole.as_ref() || found.contains(key)
        })
        .collect();
    known.sort_unstable_by(|(_, one), (_, other)| one.path.cmp(&other.path));
    let mut keys: Vec<[u8; 16]> = known.iter().map(|(key, _)| *key).collect();
    // Logs whose position was lost, but which still have checkpoints.
    for key in found {
        if !keys.contains(&key) {
            terminal
                .say(format_args!("{}: forgotten; what was counted stays", render::escape(&path)));
            keys.push(key);
        }
    }
    if keys.is_empty() {
        terminal.say(format_args!("{}: not read before", render::escape(&path)));
        return Ok(Found::Nothing);
    }
    store.writer().forget_sources(&keys).map_err(cannot("forget the source"))?;
    for (_, state) in known {
        terminal.say(format_args!(
            "{}: forgotten, it had been read to byte {}; what was counted stays",
            render::escape(&state.path),
            state.acknowledged
        ));
    }
    Ok(Found::Something)
}

/// Repairs an append-only file. A file that is sound, or does not exist yet, is not an error.
fn mend_aof(directory: &Path, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    match mend(directory).map_err(cannot("mend the file"))? {
        None => {
            let directory = directory.display();
            terminal.say(format_args!("{directory} has no append-only file: nothing to mend"));
        }
        Some(0) => {}
        Some(torn) => terminal.say(format_args!("{torn} bytes of a torn write were taken off")),
    }
    Ok(Found::Something)
}
