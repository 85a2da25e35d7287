//! `pdns mimics`: names that imitate protected ones, by their text; the store is not read.

use super::args::analyze::Mimics;
use super::classify::name;
use super::lists::next_text;
use super::{CliError, Found, Terminal};
use crate::causes::with_causes;
use crate::config::score::{protected, protected_or_popular};
use crate::name::Name;
use crate::query::is_comment;
use crate::render::{Format, Judgements, counted};

/// Compares names with protected ones.
pub(super) fn mimics(asked: &Mimics, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    let index = match &asked.top_list {
        None => protected(&asked.protect)?,
        Some(path) => {
            let (index, left_out) = protected_or_popular(&asked.protect, path)?;
            if left_out > 0 {
                let names = counted(left_out, "name is", "names are");
                terminal.say(format_args!(
                    "{names} left out of {}, because nothing can imitate public suffixes",
                    path.display()
                ));
            }
            index
        }
    };
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
