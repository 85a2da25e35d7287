//! The manual pages and shell completions, generated from the definitions of the arguments.

use super::args::{Args, Program};
use super::{CliError, Found, Terminal};
use crate::atomic_file;
use crate::config::agent;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use std::fs;
use std::path::Path;

/// File mode of a new page.
const MODE: u32 = 0o644;

impl Program {
    fn command(self) -> (Command, &'static str) {
        match self {
            Self::Pdns => (Args::command(), "pdns"),
            Self::PdnsAgent => (agent::Args::command(), "pdns-agent"),
        }
    }
}

/// Writes a page for each program and for each of its commands: `pdns.1`, `pdns-find.1`, `pdns-admin-verify.1`.
pub(super) fn man(directory: &Path, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    fs::create_dir_all(directory).map_err(|cause| wrong(directory, cause))?;
    let mut pages = 0_u32;
    for program in [Program::Pdns, Program::PdnsAgent] {
        let (mut command, name) = program.command();
        command.build();
        page(&command, name, directory, &mut pages)?;
    }
    terminal.say(format_args!("{pages} pages are in {}", directory.display()));
    Ok(Found::Something)
}

/// Writes the page of a command and those of its subcommands.
fn page(command: &Command, name: &str, directory: &Path, pages: &mut u32) -> Result<(), CliError> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    // What the short help leaves out would have no description: a page is no short help.
    let command = command.clone().mut_args(|arg| arg.hide_short_help(false));
    let command = command.version(env!("CARGO_PKG_VERSION"));
    let title = Man::new(command.clone()).title(name.to_uppercase()).source("pdns");
    title.render(&mut text).map_err(|cause| wrong(&path, cause))?;
    atomic_file::write(&path, MODE, &text).map_err(|cause| wrong(&path, cause))?;
    *pages += 1;
    for below in command.get_subcommands().filter(|command| command.get_name() != "help") {
        page(below, &format!("{name}-{}", below.get_name()), directory, pages)?;
    }
    Ok(())
}

fn wrong(path: &Path, cause: std::io::Error) -> CliError {
    CliError::Write { path: path.display().to_string(), cause }
}

/// Writes the completions of a shell to standard output.
pub(super) fn completions(
    shell: Shell,
    program: Program,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut text = Vec::new();
    let (mut command, name) = program.command();
    clap_complete::generate(shell, &mut command, name, &mut text);
    terminal.out.write_all(&text).map_err(CliError::Output)?;
    terminal.out.flush().map_err(CliError::Output)?;
    Ok(Found::Something)
}
