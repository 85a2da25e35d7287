//! `pdns serve`: the server, and the management of its users.

use super::{CliError, Found, Terminal};
use crate::config::Connection;
use crate::config::serve::{Serve, ServeCommand, UserCommand, settings, users_file};
use crate::serve;
use crate::serve::users;
use std::io::{self, IsTerminal as _, Read as _};
use tracing_subscriber::EnvFilter;

/// Maximum length of a password with its line feed, in octets.
const MAX_PASSWORD: u64 = 2_048;

/// Runs the server, or manages its users.
pub(super) fn run(
    typed: &Serve,
    connection: &Connection,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    match &typed.command {
        None => {
            let settings = settings(typed, connection, terminal.env)?;
            log();
            serve::run(settings)?;
            Ok(Found::Something)
        }
        Some(ServeCommand::User(command)) => user(typed, command, terminal),
    }
}

fn user(
    typed: &Serve,
    command: &UserCommand,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let path = users_file(typed, terminal.env)?;
    match command {
        UserCommand::Add { name, may_tag, password } => {
            let password = password.then(|| read_password(terminal)).transpose()?;
            let added = users::add(&path, name, *may_tag, password.as_deref());
            if let Some(key) = added? {
                writeln!(terminal.out, "{key}").map_err(CliError::Output)?;
            }
            terminal.say(format_args!("{name} is in {}", path.display()));
            Ok(Found::Something)
        }
        UserCommand::Remove { name } => {
            users::remove(&path, name)?;
            terminal.say(format_args!("{name} is out of {}", path.display()));
            Ok(Found::Something)
        }
        UserCommand::List => {
            let entries = users::list(&path)?;
            for entry in &entries {
                let may_tag = if entry.may_tag { "\tmay tag" } else { "" };
                writeln!(terminal.out, "{}{may_tag}", entry.name).map_err(CliError::Output)?;
            }
            Ok(if entries.is_empty() { Found::Nothing } else { Found::Something })
        }
    }
}

/// Reads the first line of standard input.
fn read_password(terminal: &mut Terminal<'_>) -> Result<String, CliError> {
    let mut text = String::new();
    let read = (&mut *terminal.input).take(MAX_PASSWORD).read_to_string(&mut text);
    read.map_err(CliError::Input)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Sends the log of a server or judge to standard error.
pub(super) fn log() {
    let is_terminal = io::stderr().is_terminal();
    let filter = EnvFilter::try_from_env("PDNS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // If standard error is closed, its failure cannot be reported there.
    let log = log.log_internal_errors(false);
    // If a subscriber is already installed, that is as good.
    drop(if is_terminal {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    });
}
