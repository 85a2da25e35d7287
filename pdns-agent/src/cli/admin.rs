//! Commands about the store itself: its state, its health, its end.

use super::args::Admin;
use super::{CliError, Found, Terminal, cannot, open, papers};
use crate::render::{self, Format};
use crate::source::Log;
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

/// Looks after the store. Problems are data: they go to standard output, and make exit status 1.
pub(super) fn run(
    admin: &Admin,
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
                        // The line is written over until the last step.
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
            ] {
                let [one, many] = what;
                terminal.say(format_args!("{} checked", render::counted(count, one, many)));
            }
            terminal.say(format_args!("{}", conclusion(&verdict, repair)));
            Ok(if verdict.is_sound() { Found::Something } else { Found::Nothing })
        }
        Admin::Migrate => {
            // Version 2 is the first that was released: a store that opens is of it, any other is refused with advice.
            drop(open(options)?);
            terminal.say(format_args!("the store is up to date"));
            Ok(Found::Something)
        }
        Admin::ForgetSource { file } => forget_source(file, options, terminal),
        Admin::Stop => {
            let stopped = stop_managed().map_err(cannot("stop the managed Redis"))?;
            let word = if stopped { "stopped" } else { "was not running" };
            terminal.say(format_args!("the managed Redis {word}"));
            Ok(Found::Something)
        }
        Admin::MendAof { directory } => mend_aof(directory, terminal),
        Admin::Man { directory } => papers::man(directory, terminal),
        Admin::Completions { shell, program } => papers::completions(*shell, *program, terminal),
    }
}

/// What a check comes to, as its exit status does.
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

/// Forgets what was read under a path, and what the file there was read as under other paths.
fn forget_source(
    file: &Path,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut store = open(options)?;
    let log = Log::open_finished(file, store.router().hasher()).ok().flatten();
    let id = log.map(|log| log.id().0);
    let (path, whole) = (file.display().to_string(), std::path::absolute(file).ok());
    let whole = whole.map(|path| path.display().to_string());
    let sources = store.reader().sources().map_err(cannot("read the list of sources"))?;
    let known: Vec<_> = sources
        .into_iter()
        .filter(|(key, state)| {
            state.path == path || Some(&state.path) == whole.as_ref() || Some(*key) == id
        })
        .collect();
    let mut keys: Vec<[u8; 16]> = known.iter().map(|(key, _)| *key).collect();
    // A log whose position was lost may have checkpoints still.
    if let Some(id) = id.filter(|id| !keys.contains(id))
        && store.writer().load(&id).map_err(cannot("read the checkpoints"))?.horizon() > 0
    {
        terminal.say(format_args!("{}: forgotten; what was counted stays", render::escape(&path)));
        keys.push(id);
    }
    if keys.is_empty() {
        terminal.say(format_args!("{}: not read before", render::escape(&path)));
        return Ok(Found::Nothing);
    }
    store.writer().remove_sources(&keys).map_err(cannot("forget the source"))?;
    for (_, state) in known {
        terminal.say(format_args!(
            "{}: forgotten, it had been read to byte {}; what was counted stays",
            render::escape(&state.path),
            state.acknowledged
        ));
    }
    Ok(Found::Something)
}

/// Mends an append-only file. A file that is sound, or not there yet, is no error.
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
