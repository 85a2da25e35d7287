//! `pdns mimics`: names that imitate protected ones, by their text; the store is not read.

use super::args::analyze::Mimics;
use super::classify::name;
use super::lists::next_text;
use super::{CliError, Found, Terminal};
use crate::analyze::{MimicIndex, brands};
use crate::bounded_file::read_file;
use crate::causes::with_causes;
use crate::name::{Name, NameBuf};
use crate::query::is_comment;
use crate::render::{Format, Judgements};
use std::path::{Path, PathBuf};

/// Largest list of protected names, in MiB.
const MAX_LIST: u64 = 64;

/// Compares names with protected ones.
pub(super) fn mimics(asked: &Mimics, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    let index = MimicIndex::new(&protected(&asked.protect, terminal)?);
    let format = terminal.format(asked.format, Format::Json);
    let mut answer = Judgements::new(format, terminal.look(Vec::new()));
    let mut compare = |name: Name<'_>, terminal: &mut Terminal<'_>| {
        answer.mimic(name, &index.find(name), terminal.out).map_err(CliError::Output)
    };
    let mut skipped = 0;
    if matches!(asked.names.as_slice(), [only] if only == "-") {
        let mut number = 0_u64;
        while let Some(text) = next_text(terminal.input, &mut number)? {
            if text.is_empty() || is_comment(&text) {
                continue;
            }
            match name(&text) {
                Ok(name) => compare(name.as_name(), terminal)?,
                Err(error) => {
                    skipped += 1;
                    let why = with_causes(&error);
                    terminal.say(format_args!("line {number} skipped: {why}"));
                }
            }
        }
    } else {
        // All names must be valid before the first one is compared.
        let names = asked.names.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
        for name in &names {
            compare(name.as_name(), terminal)?;
        }
    }
    answer.end(terminal.out).map_err(CliError::Output)?;
    if skipped > 0 { Err(CliError::Lines(skipped)) } else { Ok(Found::Something) }
}

/// Reads the lists of protected names, or takes the one that comes with the program. An invalid line is reported and
/// skipped.
pub(super) fn protected(
    files: &[PathBuf],
    terminal: &mut Terminal<'_>,
) -> Result<Vec<NameBuf>, CliError> {
    let mut names = Vec::new();
    if files.is_empty() {
        names = brands();
    }
    for path in files {
        let text = read(path)?;
        for (number, line) in (1_u64..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let first = line.split(['\t', ',']).next().unwrap_or_default().trim();
            if first.is_empty() || is_comment(first) {
                continue;
            }
            match name(first) {
                Ok(name) => names.push(name),
                Err(error) => {
                    let why = with_causes(&error);
                    terminal.say(format_args!("{}:{number} skipped: {why}", path.display()));
                }
            }
        }
    }
    Ok(names)
}

fn read(path: &Path) -> Result<String, CliError> {
    let cannot = |cause| CliError::File { path: path.display().to_string(), cause };
    let bytes = read_file(path, MAX_LIST).map_err(cannot)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
