//! The analyst's command line: `pdns`.
//!
//! On top of everything: reads arguments (`args`), turns them into questions (`resolve`), asks `query`
//! or `store`, and hands the answers to `render`. Standard output is data; what is to be said beside it
//! goes to standard error. The binary gives it the streams, the environment and the time.

mod admin;
mod answer;
mod args;
mod export;
mod groups;
mod hint;
mod near;
mod papers;
mod parked;
mod resolve;
mod serve;
mod show;
mod tag;
#[cfg(test)]
mod tests;
mod watch;

pub use args::Args;
pub use hint::explain_unknown_flag;
pub use resolve::UsageError;

use crate::config::serve::ServeConfigError;
use crate::config::{ConnectionError, DEFAULT_URL, FileError, exit, pdns_files};
use crate::query;
use crate::render::{Format, Look, counted, escape};
use crate::store::{Options, Store, StoreError, is_another_of_root};
use args::tag::TagCommand;
use args::{Command, Rows};
use std::io::{self, BufRead, Write};

/// What the command line talks to.
pub struct Terminal<'t> {
    /// Data.
    pub out: &'t mut dyn Write,
    /// Talk.
    pub err: &'t mut dyn Write,
    /// Subjects of `pdns lookup -`.
    pub input: &'t mut dyn BufRead,
    /// Columns of the terminal that `out` is; `None` when it is none.
    pub width: Option<u16>,
    /// Whether `err` is a terminal, so that a person reads it.
    pub is_watched: bool,
    /// Looks up an environment variable.
    pub env: &'t dyn Fn(&str) -> Option<String>,
    /// Seconds since the epoch.
    pub now: u32,
}

/// Whether there was anything to show: the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Exit status 0.
    Something,
    /// Exit status 1.
    Nothing,
}

/// Why a command came to no end.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// What was typed means nothing.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// It is not clear where the store is.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A settings file of `pdns`.
    #[error(transparent)]
    Settings(#[from] FileError),
    /// What the server is told makes no sense.
    #[error(transparent)]
    ServeConfig(#[from] ServeConfigError),
    /// The server did not serve.
    #[error(transparent)]
    Serve(#[from] crate::serve::ServeError),
    /// The users of the server cannot be shown or changed.
    #[error(transparent)]
    Users(#[from] crate::serve::users::UsersError),
    /// The store did not do it.
    #[error("cannot {act}")]
    Store {
        /// What was to be done.
        act: &'static str,
        /// Why it was not.
        #[source]
        cause: StoreError,
    },
    /// The store that a settings file names cannot be opened.
    #[error("cannot open the store that {file} names")]
    Named {
        /// The file.
        file: String,
        /// Why it cannot.
        #[source]
        cause: StoreError,
    },
    /// Standard output cannot be written.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    /// Some lines of standard input were passed over; all others were answered.
    #[error("skipped {}", counted(*.0, "line that is not a subject", "lines that are not subjects"))]
    Lines(u64),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Its path.
        path: String,
        /// Why not.
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
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Some lines of a file were bad; each was told.
    #[error("skipped {bad} of {}{}", counted(*.lines, "line", "lines"), others(*.bad, *.lines, *.is_dry))]
    BadLines {
        /// How many.
        bad: u64,
        /// Of how many that were not empty.
        lines: u64,
        /// True for a dry run, which counts the others only.
        is_dry: bool,
    },
    /// A signal cannot be waited for.
    #[error("cannot wait for signals")]
    Signal(#[source] io::Error),
}

impl CliError {
    /// The exit status: 2, or another one for a server whose settings never worked, which a service manager leaves
    /// alone.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::ServeConfig(_) => exit::CONFIGURATION,
            Self::Serve(error) => error.exit_status(),
            _ => exit::FAILED,
        }
    }

    /// The same, saying that Redis evicts keys where that may be why one is gone.
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

    /// Whether the reader of the answer has gone, as `head` does, which is no error.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Names the act that a store's error ended.
fn cannot(act: &'static str) -> impl Fn(StoreError) -> CliError {
    move |cause| CliError::Store { act, cause }
}

impl Terminal<'_> {
    /// Says something beside the data: one line of printable ASCII, whatever is quoted in it. That nobody
    /// may listen is no reason to stop.
    pub fn say(&mut self, text: std::fmt::Arguments<'_>) {
        drop(writeln!(self.err, "pdns: {}", escape(&text.to_string())));
    }

    /// The format that was asked for, or the one that fits.
    fn format(&self, asked: Option<Format>, elsewhere: Format) -> Format {
        asked.unwrap_or(if self.width.is_some() { Format::Table } else { elsewhere })
    }

    fn look(&self, sensors: Vec<String>) -> Look {
        // https://no-color.org: set and not empty.
        let no_color = (self.env)("NO_COLOR").is_some_and(|value| !value.is_empty());
        let bold = self.width.is_some() && !no_color;
        Look { width: self.width, bold, sensors, ..Look::default() }
    }
}

/// Does what was typed.
///
/// # Errors
/// [`CliError`]; a part of the answer may have been written.
pub fn run(args: &Args, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    if args.command.is_some() && !args.subjects.is_empty() {
        return Err(UsageError::SubjectBeforeCommand.into());
    }
    if let (None, [word, _, ..]) = (&args.command, args.subjects.as_slice())
        && hint::is_like_command(word)
    {
        let like = hint::command_like(word);
        return Err(UsageError::Command { word: word.clone(), like }.into());
    }
    if let (None, [_, rest @ ..]) = (&args.command, args.subjects.as_slice())
        && let Some(word) = rest.iter().find(|word| hint::is_command(word))
    {
        return Err(UsageError::CommandBehind(word.clone()).into());
    }
    let options = match &args.command {
        // Its settings have a file of their own.
        Some(Command::Serve(_)) => Options::default(),
        Some(Command::Admin(admin)) if !admin.needs_store() => Options::default(),
        _ => {
            let is_named = args.connection.names_store(terminal.env);
            args.connection.options(terminal.env, &pdns_files(terminal.env, is_named)?)?
        }
    };
    let found = command(args, &options, terminal).map_err(|error| error.explained(&options))?;
    terminal.out.flush().map_err(CliError::Output)?;
    if found == Found::Nothing {
        nothing(args, &options, terminal);
    }
    Ok(found)
}

/// Says that nothing was found, to a person, and what was perhaps meant.
fn nothing(args: &Args, options: &Options, terminal: &mut Terminal<'_>) {
    let meant = match (&args.command, args.subjects.as_slice()) {
        (None, [subject]) => hint::command_like(subject),
        // These have said it in their own words.
        (
            Some(
                Command::Admin(_)
                | Command::Serve(_)
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

/// Opens the store.
fn open(options: &Options) -> Result<Store, CliError> {
    Store::open(options).map_err(|cause| match &options.named_in {
        Some(file) => CliError::Named { file: file.display().to_string(), cause },
        None => cannot("open the store")(cause),
    })
}

fn command(args: &Args, options: &Options, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    let now = terminal.now;
    if let (Some(_), Some(flag)) = (&args.command, args.rows.first_given()) {
        return Err(UsageError::FlagBeforeCommand(flag).into());
    }
    match &args.command {
        None => answer::look_up(&args.subjects, &Rows::from(&args.rows), options, terminal),
        Some(Command::Lookup { subjects, rows }) => {
            answer::look_up(subjects, &Rows::from(rows), options, terminal)
        }
        Some(Command::Show(asked)) => show::show(asked, options, terminal),
        Some(Command::Find(find)) => {
            let rows = Rows::from(&find.rows);
            let query = rows.find(find, now)?;
            answer::rows(&mut open(options)?.reader(), &query, &rows, Format::Cof, terminal)
        }
        Some(Command::Subdomains(asked)) => {
            let rows = Rows::from(&asked.rows);
            let (grouping, sort) = rows.subdomains(asked, now)?;
            groups::subdomains(&grouping, sort, &rows, options, terminal)
        }
        Some(Command::Top(asked)) => top(asked, options, terminal),
        Some(Command::Parked(asked)) => parked::parked(asked, options, terminal),
        Some(Command::New(asked)) => new(asked, options, terminal),
        Some(Command::Unanswered(asked)) => unanswered(asked, options, terminal),
        Some(Command::Tag(command)) => tag::run(command, options, terminal),
        Some(Command::Near(args)) => near::near(args, options, terminal),
        Some(Command::Contrast(args)) => near::contrast(args, options, terminal),
        Some(Command::Watch(args)) => watch::run(args, options, terminal),
        Some(Command::Export(args)) => export::run(args, options, terminal),
        Some(Command::Status { verbose, output }) => {
            admin::status(*verbose, output.format(), options, terminal)
        }
        Some(Command::Serve(typed)) => serve::run(typed, &args.connection, terminal),
        Some(Command::Admin(admin)) => admin::run(admin, options, terminal),
    }
}

/// The rows or sums that come first.
fn top(
    asked: &args::Top,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let rows = Rows::from(&asked.rows);
    if let Some((grouping, sort)) = rows.top_by(asked.by, terminal.now)? {
        return groups::top(&grouping, sort, &rows, options, terminal);
    }
    if asked.by == args::By::Names {
        return answer::top_names(&rows, options, terminal);
    }
    let query = rows.top(terminal.now)?;
    answer::rows(&mut open(options)?.reader(), &query, &rows, Format::Cof, terminal)
}

/// Failed queries, one by one or by domain.
fn unanswered(
    asked: &args::Unanswered,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (rows, now) = (Rows::from(&asked.rows), terminal.now);
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

/// New names: from the store's own lists if no row is left out, from all records otherwise.
fn new(
    asked: &args::New,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (rows, now) = (Rows::from(&asked.rows), terminal.now);
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

fn moment(flag: &'static str, text: &str, now: u32) -> Result<query::Moment, UsageError> {
    query::Moment::parse(text, now).map_err(|cause| UsageError::When { flag, cause })
}
