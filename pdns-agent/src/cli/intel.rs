//! `pdns intel`: what feeds and partners say.

mod extract;
mod import;
mod importer;
mod input;
mod refresh;
mod report;
mod seen;

use super::answer::Output;
use super::args::RowOptions;
use super::args::intel::IntelCommand;
use super::query_args::LIMIT;
use super::tag::{said_by, subject};
use super::{CliError, Found, Terminal, cannot, open};
use crate::config::Sharing;
use crate::query::{Page, TagSet};
use crate::render::{Cell, CellValue, Format, Item, counted};
use crate::store::{IntelSource, MAX_CHANGES, MAX_IMPORTS, Options, Reader};
use crate::tag::Tag;

/// Runs a command on indicators.
pub(super) fn run(
    command: &IntelCommand,
    options: &Options,
    sharing: &Sharing,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    match command {
        IntelCommand::Sources { output } => sources(output.format(), options, terminal),
        IntelCommand::Import(args) => import::run(args, options, sharing, terminal),
        IntelCommand::Refresh(args) => refresh::run(args, options, terminal),
        IntelCommand::Withdraw { source, author } => {
            withdraw(source, author.as_ref(), options, terminal)
        }
        IntelCommand::Show { subject, output } => show(subject, output.format(), options, terminal),
        IntelCommand::History { source, subjects, paging } => {
            history(source, *subjects, &RowOptions::from(paging), options, terminal)
        }
        IntelCommand::Extract { file, output } => {
            extract::run(file, output.format(), options, terminal)
        }
    }
}

/// Lists the sources.
fn sources(
    format: Option<Format>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let sources = store.intel_sources().map_err(cannot("read the sources"))?;
    let mut answer = Output::new(&mut store, format, Format::Json, terminal)?;
    for source in &sources {
        if answer.item(&Item::Cells(&source_cells(source))).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.end()
}

fn source_cells(source: &IntelSource) -> Vec<Cell> {
    let state = if source.is_withdrawn {
        "withdrawn".to_owned()
    } else if source.refreshed == 0 && source.failures == 0 {
        "no import was completed: import or withdraw it".to_owned()
    } else if source.failures == 1 {
        format!("failed: {}", source.error)
    } else if source.failures > 0 {
        format!("failed {}: {}", counted(source.failures.into(), "time", "times"), source.error)
    } else {
        String::new()
    };
    // A source that never was imported has no numbers, rather than zeros.
    let number = |number| CellValue::OptionalNumber(Some(number).filter(|_| source.refreshed > 0));
    vec![
        Cell::new("SOURCE", "source", CellValue::Text(source.name.clone())),
        Cell::new("INDICATORS", "indicators", number(source.listed)),
        Cell::new("ENDING", "ending", number(source.ending)),
        Cell::new("REFRESHED (UTC)", "refreshed", CellValue::Time(source.refreshed)),
        Cell::new("", "attempted", CellValue::Time(source.attempted)),
        Cell::new("", "created", CellValue::Time(source.created)),
        Cell::new("", "lifetime", CellValue::Number(source.lifetime.into())),
        Cell::new("", "half_life", CellValue::Number(source.half_life.into())),
        Cell::new("", "digest", CellValue::Text(source.digest.clone())),
        Cell::new("STATE", "state", CellValue::Text(state)),
    ]
}

/// Returns a source by name.
fn known(store: &mut Reader<'_>, name: &str) -> Result<Option<IntelSource>, CliError> {
    let sources = store.intel_sources().map_err(cannot("read the sources"))?;
    Ok(sources.into_iter().find(|source| source.name == name))
}

/// Removes all that a source lists.
fn withdraw(
    name: &str,
    author: Option<&String>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let author = said_by(author, terminal);
    let mut store = open(options)?;
    let withdrawn = store.indicators().withdraw(name, &author, terminal.now);
    if let Some(tally) = withdrawn.map_err(cannot("withdraw the source"))? {
        let removed = counted(tally.expired, "indicator", "indicators");
        terminal.say(format_args!("{removed} from {name} removed"));
        return Ok(Found::Something);
    }
    let is_known = known(&mut store.reader(), name)?.is_some();
    let text = if is_known { "lists nothing" } else { "is not a source" };
    terminal.say(format_args!("{name} {text}"));
    Ok(Found::Nothing)
}

/// Lists every indicator that applies to a subject.
fn show(
    typed: &str,
    format: Option<Format>,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let subject = subject(typed, None)?;
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let set = TagSet::of_subjects(&mut store, std::slice::from_ref(&subject))
        .map_err(cannot("read the indicators"))?;
    let mut answer = Output::new(&mut store, format, Format::Json, terminal)?;
    let all = set.all_of_subject(&subject);
    for tag in all.iter().filter(|tag| !tag.is_own()) {
        let by: Option<&Tag> = set.overriding(tag, &all, &subject);
        if answer.item(&Item::Indicator(tag, by)).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.end()
}

/// Prints the imports of a source, or the subjects that they changed.
fn history(
    name: &str,
    subjects: bool,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let Some(source) = known(&mut store, name)? else {
        terminal.say(format_args!("{name} is not a source"));
        return Ok(Found::Nothing);
    };
    let limit = match rows.limit.unwrap_or(LIMIT) {
        0 => usize::MAX,
        limit => limit,
    };
    let reading = cannot("read the history of the source");
    let lines: Vec<Vec<Cell>> = if subjects {
        let changes = store.intel_changes(&source).map_err(reading)?;
        changes
            .into_iter()
            .map(|change| {
                vec![
                    Cell::new("TIME (UTC)", "time", CellValue::Time(change.time)),
                    Cell::new("ACT", "act", CellValue::Text(change.act.name().to_owned())),
                    Cell::new("KIND", "kind", CellValue::Text(change.kind.name().to_owned())),
                    Cell::new(
                        "CONFIDENCE",
                        "confidence",
                        CellValue::Number(change.confidence.into()),
                    ),
                    Cell::new("SUBJECT", "subject", CellValue::Text(change.subject.to_string())),
                ]
            })
            .collect()
    } else {
        let imports = store.intel_imports(&source).map_err(reading)?;
        imports
            .into_iter()
            .map(|import| {
                let number = |number| CellValue::Number(number);
                vec![
                    Cell::new("TIME (UTC)", "time", CellValue::Time(import.time)),
                    Cell::new("AUTHOR", "author", CellValue::Text(import.author)),
                    Cell::new("ADDED", "added", number(import.added)),
                    Cell::new("CHANGED", "changed", number(import.changed)),
                    Cell::new("SAME", "same", number(import.same)),
                    Cell::new("ENDING", "ending", number(import.ending)),
                    Cell::new("EXPIRED", "expired", number(import.expired)),
                    Cell::new("REJECTED", "rejected", number(import.rejected)),
                    Cell::new("", "digest", CellValue::Text(import.digest)),
                    Cell::new("WITHDRAWN", "withdrawal", CellValue::Flag(import.is_withdrawal)),
                ]
            })
            .collect()
    };
    let kept = if subjects { MAX_CHANGES } else { MAX_IMPORTS } as usize;
    let (mut page, all) = (Page::default(), lines.len());
    let mut answer = Output::new(&mut store, rows.format(), Format::Json, terminal)?;
    for line in lines.into_iter().take(limit) {
        page.shown += 1;
        if answer.item(&Item::Cells(&line)).is_break() {
            break;
        }
    }
    page.cut = all > limit;
    answer.check()?;
    answer.note(page, false, None);
    if all >= kept {
        answer.remark(format!("the history of a source keeps the latest {kept}"));
    }
    answer.end()
}
