//! `pdns classify`: judges names by their text; the store is not read.

use super::args::analyze::Classify;
use super::lists::next_text;
use super::query_args::{UsageError, quoted};
use super::{CliError, Found, Terminal};
use crate::analyze::{MAX_MODEL, Model};
use crate::bounded_file::open_file;
use crate::causes::with_causes;
use crate::name::{Name, NameBuf, suffix};
use crate::query::{Purpose, Subject, is_comment};
use crate::render::{Format, Judgements, RenderOptions};
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

/// Largest number of names of one set; further ones are left out and counted.
const MAX_SET: usize = 100_000;

/// Judges names, or sets of names.
pub(super) fn classify(asked: &Classify, terminal: &mut Terminal<'_>) -> Result<Found, CliError> {
    let model = model(asked.model.as_deref())?;
    let format = terminal.format(asked.format, Format::Json);
    let look = terminal.look(Vec::new());
    if matches!(asked.names.as_slice(), [only] if only == "-") {
        return from_input(&model, asked.sets, format, look, terminal);
    }
    // All names must be valid before the first one is judged.
    let mut names = Vec::new();
    for text in &asked.names {
        names.push(name(text)?);
    }
    let mut answer = Judgements::new(format, look);
    if asked.sets {
        answer.set(&model.classify_set(&names), terminal.out).map_err(CliError::Output)?;
    } else {
        for name in &names {
            let (classified, reasons) = model.explain(name.as_name());
            answer
                .name(name.as_name(), &classified, &reasons, terminal.out)
                .map_err(CliError::Output)?;
        }
    }
    answer.end(terminal.out).map_err(CliError::Output)?;
    Ok(Found::Something)
}

/// Reads a model file, or the model that comes with the program.
pub(super) fn model(path: Option<&Path>) -> Result<Model, CliError> {
    let cannot = |path: String| move |cause| CliError::Model { path, cause };
    let Some(path) = path else {
        return Model::embedded().map_err(cannot("the model of this program".to_owned()));
    };
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    open_file(path)
        // One octet more than a model may have, so that a larger file is noticed.
        .and_then(|file| file.take(MAX_MODEL as u64 + 1).read_to_end(&mut bytes))
        .map_err(|cause| CliError::File { path: shown.clone(), cause })?;
    Model::from_bytes(&bytes).map_err(cannot(shown))
}

/// Judges the names, or sets of names, on standard input. An invalid line is reported and skipped.
fn from_input(
    model: &Model,
    sets: bool,
    format: Format,
    look: RenderOptions,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut answer = Judgements::new(format, look);
    let (mut number, mut skipped, mut beyond, mut set) = (0_u64, 0_u64, 0_u64, Vec::new());
    while let Some(text) = next_text(terminal.input, &mut number)? {
        if text.is_empty() && sets && !set.is_empty() {
            answer.set(&model.classify_set(&set), terminal.out).map_err(CliError::Output)?;
            set.clear();
        }
        if text.is_empty() || is_comment(&text) {
            continue;
        }
        match name(&text) {
            Ok(name) if sets && set.len() < MAX_SET => set.push(name),
            Ok(_) if sets => beyond += 1,
            Ok(name) => {
                let (classified, reasons) = model.explain(name.as_name());
                answer
                    .name(name.as_name(), &classified, &reasons, terminal.out)
                    .map_err(CliError::Output)?;
            }
            Err(error) => {
                skipped += 1;
                let why = with_causes(&error);
                terminal.say(format_args!("line {number} skipped: {why}"));
            }
        }
    }
    if !set.is_empty() {
        answer.set(&model.classify_set(&set), terminal.out).map_err(CliError::Output)?;
    }
    answer.end(terminal.out).map_err(CliError::Output)?;
    match (skipped, beyond) {
        (0, 0) => Ok(Found::Something),
        (0, names) => Err(CliError::LongSets { names, most: MAX_SET }),
        (skipped, 0) => Err(CliError::Lines(skipped)),
        (skipped, names) => {
            terminal.say(format_args!("{}", CliError::LongSets { names, most: MAX_SET }));
            Err(CliError::Lines(skipped))
        }
    }
}

/// Reads a name: host names as they are, all other text as of a look-up. What is none of these may be a name with other
/// characters as `pdns find` and `pdns squats` print it, which escape only what cannot be printed.
pub(super) fn name(text: &str) -> Result<NameBuf, UsageError> {
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    // Reading a list must not cost more than judging it; and a label of digits or a digest is a name here.
    if text.bytes().all(is_host)
        && text.bytes().any(|octet| octet != b'.')
        && text.parse::<IpAddr>().is_err()
        && let Ok(name) = NameBuf::parse(text)
    {
        return Ok(name);
    }
    let no_name = || UsageError::NotName(quoted(text));
    let cause = |cause| UsageError::Subject { text: quoted(text), cause };
    let printed = as_printed(text);
    // Of `pay/pal.com`, a look-up takes what may be the host of a URL.
    let is_part = |host: &NameBuf| host.as_name().labels().count() == 1;
    let is_known = printed.is_some_and(suffix::has_listed);
    match Subject::read(text, Purpose::LookUp).map(|reading| reading.subject) {
        Ok(Subject::Name(name)) if !(is_known && is_part(&name)) => Ok(name),
        Ok(Subject::Addresses(..)) => Err(no_name()),
        Ok(_) => printed.map(Name::to_buf).ok_or_else(no_name),
        Err(error) => printed.map(Name::to_buf).ok_or_else(|| cause(error)),
    }
}

/// The name that text is as the programs print names: below a top-level domain, and no URL.
fn as_printed(text: &str) -> Option<Name<'_>> {
    let is_letter = |octet: u8| octet.is_ascii_alphabetic();
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    let name = Name::from_canonical(text).ok().filter(|_| !text.contains("://"))?;
    let top = name.labels().last().filter(|top| top.len() < text.len())?;
    (top.bytes().all(is_host) && top.bytes().any(is_letter)).then_some(name)
}
