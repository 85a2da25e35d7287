//! The analyst's command line: `pdns`.
//!
//! The top layer: reads arguments (`args`), turns them into queries (`query_args`), runs them through `query` or
//! `store`, and passes the results to `render`. Standard output is data; messages go to standard error. The binary
//! provides the streams, the environment and the time.

mod admin;
mod answer;
mod args;
mod backup;
mod classify;
mod export;
mod forget;
mod groups;
mod intel;
mod judge;
mod lists;
mod manpages;
mod mimics;
mod near;
mod parked;
mod query_args;
mod score;
mod serve;
mod show;
mod squats;
mod suggest;
mod tag;
#[cfg(test)]
mod tests;
mod train;
mod watch;

pub use args::Args;
pub use query_args::UsageError;
pub use suggest::explain_unknown_flag;

use crate::analyze::{ModelError, NoSquats, TrainError};
use crate::config::score::ScoreFileError;
use crate::config::serve::ServeConfigError;
use crate::config::{ConnectionError, DEFAULT_URL, FileError, Sharing, exit, pdns_files};
use crate::enrich::NetworkTables;
use crate::exchange::intel::IntelError;
use crate::intel_feeds::FeedError;
use crate::query;
use crate::render::{Format, RenderOptions, counted, escape};
use crate::retention::Retention;
use crate::store::{BackupError, Options, Store, StoreError, is_another_of_root};
use args::intel::IntelCommand;
use args::tag::TagCommand;
use args::{Command, RowOptions};
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The environment of the command line.
pub struct Terminal<'t> {
    /// Data.
    pub out: &'t mut dyn Write,
    /// Messages.
    pub err: &'t mut dyn Write,
    /// Subjects of `pdns lookup -`.
    pub input: &'t mut dyn BufRead,
    /// Width of the terminal that `out` is; `None` if it is not a terminal.
    pub width: Option<u16>,
    /// True if `err` is a terminal, so that a person reads it.
    pub is_watched: bool,
    /// Looks up an environment variable.
    pub env: &'t dyn Fn(&str) -> Option<String>,
    /// Seconds since the epoch.
    pub now: u32,
    /// Tables of addresses that the settings name; [`run`] fills it in.
    pub address_tables: Vec<PathBuf>,
}

/// The outcome of a command, which determines the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The command found something to show: exit status 0.
    Something,
    /// The command found nothing: exit status 1.
    Nothing,
}

/// The reason for which a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is invalid.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The location of the store is unclear or invalid.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A settings file of `pdns`.
    #[error(transparent)]
    Settings(#[from] FileError),
    /// The configuration of the server is invalid.
    #[error(transparent)]
    ServeConfig(#[from] ServeConfigError),
    /// The server failed.
    #[error(transparent)]
    Serve(#[from] crate::serve::ServeError),
    /// The judge ended.
    #[error(transparent)]
    Judge(#[from] crate::judge::JudgeError),
    /// The users of the server cannot be shown or changed.
    #[error(transparent)]
    Users(#[from] crate::serve::users::UsersError),
    /// Records were being forgotten when a signal came.
    #[error(
        "interrupted: what is forgotten by now is gone; run the same command again for the rest"
    )]
    ForgettingStopped,
    /// An operation on the store failed.
    #[error("cannot {act}")]
    Store {
        /// The operation.
        act: &'static str,
        /// Cause of the failure.
        #[source]
        cause: StoreError,
    },
    /// There is a store already where one was to be created.
    #[error(
        "there is a store with the prefix {0} already, with {1} partitions; that number is for good"
    )]
    Exists(String, u16),
    /// The store that a settings file names cannot be opened.
    #[error("cannot open the store that {file} names")]
    Named {
        /// The file.
        file: String,
        /// Cause of the failure.
        #[source]
        cause: StoreError,
    },
    /// Standard output cannot be written.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    /// Some lines of standard input were skipped; all others were answered.
    #[error("skipped {}", counted(*.0, "line that is not a subject", "lines that are not subjects"))]
    Lines(u64),
    /// Sets have more names than are judged together; all were answered, without the rest of their names.
    #[error("{} left out, because a set has more than {most}", counted(*.names, "name was", "names were"))]
    LongSets {
        /// Names that were left out.
        names: u64,
        /// Largest number of names of a set.
        most: usize,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Its path.
        path: String,
        /// Cause of the failure.
        #[source]
        cause: io::Error,
    },
    /// Standard input cannot be read.
    #[error("cannot read subjects from standard input")]
    Input(#[source] io::Error),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file, as it was named.
        path: String,
        /// Cause of the failure.
        #[source]
        cause: io::Error,
    },
    /// Some lines of a file were invalid; each was reported.
    #[error("skipped {bad} of {}{}", counted(*.lines, "line", "lines"), others(*.bad, *.lines, *.is_dry))]
    BadLines {
        /// Number of invalid lines.
        bad: u64,
        /// Number of lines that are not empty.
        lines: u64,
        /// True for a dry run, which only counts the other lines.
        is_dry: bool,
    },
    /// A backup, restore, copy or merge failed.
    #[error("cannot {act}")]
    Backup {
        /// The operation.
        act: &'static str,
        /// Cause of the failure.
        #[source]
        cause: BackupError,
    },
    /// A file of indicators cannot be read to its end; nothing of it was imported.
    #[error("cannot read {file}, and nothing of it is imported")]
    Intel {
        /// The file, as it was named.
        file: String,
        /// Cause of the failure.
        #[source]
        cause: IntelError,
    },
    /// A feed cannot be fetched.
    #[error("cannot fetch {feed}")]
    Feed {
        /// The feed, without secrets.
        feed: String,
        /// Cause of the failure.
        #[source]
        cause: FeedError,
    },
    /// A file has no indicator that is accepted.
    #[error("nothing is imported: {0} has no indicator that is accepted")]
    NothingImported(String),
    /// No feed could be fetched.
    #[error("nothing is imported: {}", counted(*.0, "feed failed", "feeds failed"))]
    NoFeedFetched(u64),
    /// A model is damaged, or something else.
    #[error("cannot use {path}")]
    Model {
        /// The file, or what it is.
        path: String,
        /// Cause of the failure.
        #[source]
        cause: ModelError,
    },
    /// A name without a registrable domain, which nothing can imitate.
    #[error("{0} is not a domain that can be imitated: give one like example.com")]
    NoDomain(crate::name::NameBuf),
    /// A domain that nothing would imitate.
    #[error("{0} cannot be imitated")]
    NoSquats(crate::name::NameBuf, #[source] NoSquats),
    /// Only kinds of imitation were asked for of which there is nothing to show.
    #[error("{0}")]
    NoSuchSquats(String),
    /// A file that scores rest on is invalid.
    #[error(transparent)]
    ScoreFile(#[from] ScoreFileError),
    /// No model can be made of the lists.
    #[error("cannot train")]
    Train(#[source] TrainError),
    /// A signal cannot be waited for.
    #[error("cannot wait for signals")]
    Signal(#[source] io::Error),
}

impl CliError {
    /// Returns the exit status: 2, or another one for a server whose settings never worked, which a service manager
    /// does not restart.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::ServeConfig(_) => exit::CONFIGURATION,
            Self::Serve(error) => error.exit_status(),
            _ => exit::FAILED,
        }
    }

    /// Adds to the error that Redis evicts keys, if that may be the reason for which a key is missing.
    fn explained(self, options: &Options) -> Self {
        match self {
            Self::Store { act, cause } => {
                Self::Store { act, cause: Store::explain_loss(options, cause) }
            }
            Self::Named { file, cause } => {
                Self::Named { file, cause: Store::explain_loss(options, cause) }
            }
            error => error,
        }
    }

    /// Returns true if the reader of the output has gone, as `head` does; this is not an error.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Wraps an error of the store, naming the operation that failed.
fn cannot(act: &'static str) -> impl Fn(StoreError) -> CliError {
    move |cause| CliError::Store { act, cause }
}

impl Terminal<'_> {
    /// Writes a message beside the data: one line of printable ASCII, whatever it quotes. Failure to write it is
    /// ignored.
    pub fn say(&mut self, text: std::fmt::Arguments<'_>) {
        drop(writeln!(self.err, "pdns: {}", escape(&text.to_string())));
    }

    /// Returns the requested format, or the default for the output.
    fn format(&self, asked: Option<Format>, elsewhere: Format) -> Format {
        asked.unwrap_or(if self.width.is_some() { Format::Table } else { elsewhere })
    }

    /// Names the tables that could not be used, or were damaged, where the answer needed them.
    fn say_problems(&mut self, networks: Option<&NetworkTables>) {
        for problem in networks.map(NetworkTables::problems).unwrap_or_default() {
            self.say(format_args!("{problem}"));
        }
    }

    fn look(&self, sensors: Vec<String>) -> RenderOptions {
        // https://no-color.org: set and not empty.
        let no_color = (self.env)("NO_COLOR").is_some_and(|value| !value.is_empty());
        let bold = self.width.is_some() && !no_color;
        let tables = &self.address_tables;
        let networks = (!tables.is_empty()).then(|| Arc::new(NetworkTables::new(tables.clone())));
        RenderOptions { width: self.width, bold, sensors, networks, ..RenderOptions::default() }
    }
}

/// Runs a command.
///
/// # Errors
/// [`CliError`]; a part of the output may have been written.
pub fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    if args.command.is_some() && !args.subjects.is_empty() {
        return Err(UsageError::SubjectBeforeCommand.into());
    }
    if let (None, [word, _, ..]) = (&args.command, args.subjects.as_slice())
        && suggest::is_like_command(word)
    {
        let like = suggest::command_like(word);
        return Err(UsageError::Command { word: word.clone(), like }.into());
    }
    if let (None, [_, rest @ ..]) = (&args.command, args.subjects.as_slice())
        && let Some(word) = rest.iter().find(|word| suggest::is_command(word))
    {
        return Err(UsageError::CommandBehind(word.clone()).into());
    }
    let (options, sharing, judging, retention) = match &args.command {
        // It has a settings file of its own.
        // And these judge text alone.
        Some(Command::Serve(_) | Command::Classify(_) | Command::Mimics(_)) => Default::default(),
        Some(Command::Squats(asked)) if asked.possible => Default::default(),
        Some(Command::Train(asked)) if !asked.from_tags => Default::default(),
        Some(Command::Admin(admin)) if !admin.needs_store() => Default::default(),
        _ => {
            let is_named = args.connection.names_store(terminal.env);
            let files = pdns_files(terminal.env, is_named)?;
            let judging = files.iter().find_map(|file| file.judge.clone());
            let retention = files.iter().find_map(|file| file.retention);
            let sharing = Sharing::from_files(&files);
            let tables = files.iter().map(|file| &file.address_tables);
            terminal.address_tables =
                tables.into_iter().find(|tables| !tables.is_empty()).cloned().unwrap_or_default();
            (args.connection.options(terminal.env, &files)?, sharing, judging, retention)
        }
    };
    let found = match &args.command {
        Some(Command::Judge(asked)) => judge::judge(asked, judging, &options, terminal),
        _ => command(args, &options, &sharing, retention, terminal),
    };
    let found = found.map_err(|error| error.explained(&options))?;
    terminal.out.flush().map_err(CliError::Output)?;
    if found == Found::Nothing {
        nothing(args, &options, terminal);
    }
    Ok(found)
}

/// Reports that nothing was found, to a person, and suggests a command that may have been meant.
fn nothing(args: &Args, options: &Options, terminal: &mut Terminal<'_>) {
    let meant = match (&args.command, args.subjects.as_slice()) {
        (None, [subject]) => suggest::command_like(subject),
        // These commands have their own message.
        (
            Some(
                Command::Admin(_)
                | Command::Serve(_)
                | Command::Judge(_)
                | Command::Intel(
                    IntelCommand::Import(_)
                    | IntelCommand::Refresh(_)
                    | IntelCommand::Withdraw { .. }
                    | IntelCommand::History { .. },
                )
                | Command::Tag(TagCommand::Clear { .. } | TagCommand::Import { .. }),
            ),
            _,
        ) => return,
        (Some(Command::New(asked)), _) if asked.list.is_none() => return,
        _ => None,
    };
    match meant {
        Some(command) => {
            terminal.say(format_args!("nothing found; did you mean `pdns {command}`?"));
        }
        None if terminal.width.is_some() || terminal.is_watched => {
            terminal.say(format_args!("nothing found"));
        }
        None => {}
    }
    if terminal.width.is_some() && options.url == DEFAULT_URL && is_another_of_root() {
        terminal.say(format_args!(
            "this is your own store; root's agents write into another: sudo pdns, or name a Redis for all in \
             /etc/pdns/pdns.toml and /etc/pdns/agent.toml"
        ));
    }
}

/// Describes the fate of the lines that were not skipped.
fn others(bad: u64, lines: u64, is_dry: bool) -> &'static str {
    match (bad < lines, is_dry) {
        (false, _) => "",
        (true, true) => "; the others would be imported",
        (true, false) => "; the others are imported",
    }
}

/// Names this process for those who meet its lease.
fn this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("process {} on {}", std::process::id(), host.trim())
}

/// Seconds since the epoch, for what runs for long.
fn clock() -> u32 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX)
}

/// Opens the store.
fn open(options: &Options) -> Result<Store, CliError> {
    Store::open(options).map_err(|cause| match &options.named_in {
        Some(file) => CliError::Named { file: file.display().to_string(), cause },
        None => cannot("open the store")(cause),
    })
}

fn command(
    args: &Args,
    options: &Options,
    sharing: &Sharing,
    retention: Option<Retention>,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let now = terminal.now;
    if let (Some(_), Some(flag)) = (&args.command, args.rows.first_given()) {
        return Err(UsageError::FlagBeforeCommand(flag).into());
    }
    match &args.command {
        None => answer::look_up(&args.subjects, &RowOptions::from(&args.rows), options, terminal),
        Some(Command::Lookup { subjects, rows }) => {
            answer::look_up(subjects, &RowOptions::from(rows), options, terminal)
        }
        Some(Command::Show(asked)) => show::show(asked, options, terminal),
        Some(Command::Find(find)) => {
            let rows = RowOptions { score: find.score, ..RowOptions::from(&find.rows) };
            let query = rows.find(find, now)?;
            answer::rows(&mut open(options)?.reader(), &query, &rows, Format::Cof, terminal)
        }
        Some(Command::Subdomains(asked)) => {
            let rows = RowOptions::from(&asked.rows);
            let (grouping, sort) = rows.subdomains(asked, now)?;
            groups::subdomains(&grouping, sort, &rows, options, terminal)
        }
        Some(Command::Top(asked)) => top(asked, options, terminal),
        Some(Command::Parked(asked)) => parked::parked(asked, options, terminal),
        Some(Command::New(asked)) => new(asked, options, terminal),
        Some(Command::Unanswered(asked)) => unanswered(asked, options, terminal),
        Some(Command::Tag(command)) => tag::run(command, options, terminal),
        Some(Command::Intel(command)) => intel::run(command, options, sharing, terminal),
        Some(Command::Near(args)) => near::near(args, options, terminal),
        Some(Command::Contrast(args)) => near::contrast(args, options, terminal),
        Some(Command::Classify(asked)) => classify::classify(asked, terminal),
        Some(Command::Mimics(asked)) => mimics::mimics(asked, terminal),
        Some(Command::Score(asked)) => score::score(asked, options, terminal),
        Some(Command::Squats(asked)) if asked.possible => squats::possible(asked, terminal),
        Some(Command::Squats(asked)) => squats::seen(asked, options, terminal),
        Some(Command::Train(asked)) => train::train(asked, options, terminal),
        // It has settings of its own, see `run`.
        Some(Command::Judge(_)) => Ok(Found::Nothing),
        Some(Command::Watch(args)) => watch::run(args, options, terminal),
        Some(Command::Export(args)) => export::run(args, options, sharing, terminal),
        Some(Command::Status { verbose, output }) => {
            admin::status(*verbose, output.format(), options, terminal)
        }
        Some(Command::Serve(typed)) => serve::run(typed, &args.connection, terminal),
        Some(Command::Admin(admin)) => admin::run(admin, retention, options, terminal),
    }
}

/// Prints the top rows or groups.
fn top(
    asked: &args::Top,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let rows = RowOptions::from(&asked.rows);
    if let Some((grouping, sort)) = rows.top_by(asked.by, terminal.now)? {
        return groups::top(&grouping, sort, &rows, options, terminal);
    }
    if asked.by == args::By::Names {
        return answer::top_names(&rows, options, terminal);
    }
    let query = rows.top(terminal.now)?;
    answer::rows(&mut open(options)?.reader(), &query, &rows, Format::Cof, terminal)
}

/// Prints failed queries, one by one or by domain.
fn unanswered(
    asked: &args::Unanswered,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (rows, now) = (RowOptions::from(&asked.rows), terminal.now);
    let outcome = asked.outcome.unwrap_or_default();
    let found = match asked.by {
        args::ByName::Domains => {
            let (grouping, sort) = rows.unanswered_domains(outcome, now)?;
            groups::unanswered(&grouping, sort, &rows, options, terminal)?
        }
        args::ByName::Names => {
            let query = rows.unanswered(outcome, now)?;
            let mut opened = open(options)?;
            // COF has no negative answers.
            answer::rows(&mut opened.reader(), &query, &rows, Format::Json, terminal)?
        }
    };
    if asked.outcome.is_none() && (terminal.width.is_some() || terminal.is_watched) {
        terminal.say(format_args!(
            "these are queries without any response; see --outcome nxdomain, nodata, servfail or any for others"
        ));
    }
    Ok(found)
}

/// Prints new names: from the store's own counts if no row is filtered out, from all records otherwise.
fn new(
    asked: &args::New,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (rows, now) = (RowOptions::from(&asked.rows), terminal.now);
    let Some(day) = &asked.list else {
        let since = moment("--since", &asked.since, now)?.start / query::DAY;
        return groups::days(since, asked.by, &rows, options, terminal);
    };
    let day = moment("--list", day, now)?.start / query::DAY;
    let in_order = matches!(rows.sort, None | Some(args::SortArg::Name));
    if asked.by == args::ByName::Names && rows.fences.is_open() && in_order {
        answer::new_names(day, &rows, options, terminal)
    } else {
        groups::new_on(day, asked.by, &rows, options, terminal)
    }
}

fn moment(flag: &'static str, text: &str, now: u32) -> Result<query::TimeSpec, UsageError> {
    query::TimeSpec::parse(text, now).map_err(|cause| UsageError::When { flag, cause })
}
