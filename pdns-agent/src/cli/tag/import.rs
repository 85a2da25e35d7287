//! `pdns tag import`: a tag on each line of a file.
//!
//! The file is read line by line and the tags go in by the thousand, so that a list of any length takes little
//! memory. A bad line costs no other line anything.

use super::Tally;
use crate::cli::answer::next_line;
use crate::cli::resolve::UsageError;
use crate::cli::{CliError, Found, Terminal, cannot, open};
use crate::query::{Moment, Scope, TagSubjectError, WhenError, tag_subject};
use crate::store::{LongText, Options, Store, Tag, TagChange, TagKind, UnknownTagKind};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Tags that go in together.
const BATCH: usize = 1_000;
/// Bad lines that are told; the rest is counted.
const TOLD: u64 = 50;

/// What is said of lines that do not say it themselves.
pub(super) struct Defaults {
    pub(super) kind: Option<TagKind>,
    pub(super) scope: Option<Scope>,
    pub(super) note: String,
    pub(super) source: String,
    pub(super) author: String,
    pub(super) now: u32,
}

/// A column of a CSV file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Subject,
    Kind,
    Note,
    Source,
    Author,
    Time,
}

const COLUMNS: [(&str, Column); 6] = [
    ("subject", Column::Subject),
    ("kind", Column::Kind),
    ("note", Column::Note),
    ("source", Column::Source),
    ("author", Column::Author),
    ("time", Column::Time),
];

/// Why a line is no tag.
#[derive(Debug, thiserror::Error)]
enum BadLine {
    #[error("a quoted value does not end on the line")]
    Quote,
    #[error("it has {found} values and the head names {named} columns")]
    Values { found: usize, named: usize },
    #[error(
        "it holds several values, and the file begins with no head that has a column called subject"
    )]
    Several,
    #[error("it names no kind: give --kind, or a column with it")]
    NoKind,
    #[error("the time does not read")]
    Time(#[source] WhenError),
    #[error("it is not UTF-8")]
    Text,
    #[error(transparent)]
    Subject(#[from] TagSubjectError),
    #[error(transparent)]
    Kind(#[from] UnknownTagKind),
    #[error(transparent)]
    Long(#[from] LongText),
}

/// Reads a file, or standard input, and sets its tags.
pub(super) fn run(
    file: &str,
    defaults: &Defaults,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    if file == "-" {
        return import(file, None, defaults, options, terminal);
    }
    let opened =
        File::open(file).map_err(|cause| CliError::File { path: file.to_owned(), cause })?;
    import(file, Some(&mut BufReader::new(opened)), defaults, options, terminal)
}

fn import(
    file: &str,
    mut reader: Option<&mut dyn BufRead>,
    defaults: &Defaults,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut store = open(options)?;
    let (mut head, mut first) = (None, true);
    let (mut number, mut lines, mut bad) = (0_u64, 0_u64, 0_u64);
    let (mut due, mut tally) = (Vec::new(), Tally::default());
    loop {
        let line = match &mut reader {
            Some(reader) => next_line(*reader),
            None => next_line(terminal.input),
        };
        let line = line.map_err(|cause| CliError::File { path: file.to_owned(), cause })?;
        let Some(line) = line else { break };
        number += 1;
        let text = std::str::from_utf8(&line).map_err(|_| BadLine::Text);
        let text = text.map(|text| text.trim_start_matches('\u{feff}').trim());
        if matches!(&text, Ok(text) if text.is_empty() || text.starts_with('#')) {
            continue;
        }
        if std::mem::take(&mut first)
            && let Ok(text) = &text
            && let Some(columns) = columns(text, file)?
        {
            head = Some(columns);
            continue;
        }
        lines += 1;
        match text.and_then(|text| read(text, head.as_deref(), defaults)) {
            Ok(tag) => due.push(TagChange::Set(tag)),
            Err(error) => {
                bad += 1;
                if bad <= TOLD {
                    let cause = error.source().map(|cause| format!(": {cause}"));
                    let cause = cause.unwrap_or_default();
                    let name = if file == "-" { "standard input" } else { file };
                    terminal
                        .say(format_args!("{name}, line {number} is passed over: {error}{cause}"));
                }
            }
        }
        if due.len() >= BATCH {
            flush(&mut store, &mut due, &mut tally, terminal)?;
        }
    }
    flush(&mut store, &mut due, &mut tally, terminal)?;
    tally.tell(terminal);
    match bad {
        0 if lines > 0 => Ok(Found::Something),
        0 => Ok(Found::Nothing),
        bad => Err(CliError::BadLines { bad, lines }),
    }
}

fn flush(
    store: &mut Store,
    due: &mut Vec<TagChange>,
    tally: &mut Tally,
    terminal: &mut Terminal<'_>,
) -> Result<(), CliError> {
    let outcomes = store.change_tags(due).map_err(cannot("set the tags"))?;
    for (change, outcome) in due.drain(..).zip(outcomes) {
        tally.add(&change, outcome, terminal);
    }
    Ok(())
}

/// The columns that a head names; `None` when the line is no head.
fn columns(line: &str, file: &str) -> Result<Option<Vec<Column>>, UsageError> {
    let Ok(names) = values(line) else { return Ok(None) };
    if !names.iter().any(|name| name.trim().eq_ignore_ascii_case("subject")) {
        return Ok(None);
    }
    let column = |name: &String| {
        let known = COLUMNS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
        known
            .map(|&(_, column)| column)
            .ok_or_else(|| UsageError::Column { file: file.to_owned(), column: name.clone() })
    };
    names.iter().map(column).collect::<Result<_, _>>().map(Some)
}

/// The values of a line of CSV.
fn values(line: &str) -> Result<Vec<String>, BadLine> {
    // The reader takes what is left open to the end of its input.
    if line.bytes().filter(|&octet| octet == b'"').count() % 2 == 1 {
        return Err(BadLine::Quote);
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .buffer_capacity(line.len() + 1)
        .from_reader(line.as_bytes());
    let record = reader.records().next().transpose().map_err(|_| BadLine::Text)?;
    Ok(record.iter().flatten().map(str::to_owned).collect())
}

/// The tag of a line.
fn read(line: &str, head: Option<&[Column]>, defaults: &Defaults) -> Result<Tag, BadLine> {
    let Some(head) = head else {
        // A separator can be part of a name, but is far more likely one of a list in another form.
        let mut before = ' ';
        if line.chars().any(|letter| {
            let separates = matches!(letter, ',' | ';') && before != '\\';
            before = letter;
            separates
        }) {
            return Err(BadLine::Several);
        }
        let kind = defaults.kind.ok_or(BadLine::NoKind)?;
        let tag = Tag {
            note: defaults.note.clone(),
            source: defaults.source.clone(),
            author: defaults.author.clone(),
            time: defaults.now,
            ..Tag::new(kind, tag_subject(line, defaults.scope)?)
        };
        tag.check()?;
        return Ok(tag);
    };
    let values = values(line)?;
    if values.len() != head.len() {
        return Err(BadLine::Values { found: values.len(), named: head.len() });
    }
    let value = |wanted: Column| {
        let at = head.iter().position(|&column| column == wanted)?;
        values.get(at).map(|value| plain(value)).filter(|value| !value.is_empty())
    };
    let given =
        |wanted, otherwise: &String| value(wanted).map_or_else(|| otherwise.clone(), str::to_owned);
    let kind = match value(Column::Kind) {
        Some(kind) => kind.parse()?,
        None => defaults.kind.ok_or(BadLine::NoKind)?,
    };
    let time = match value(Column::Time) {
        Some(time) => Moment::parse(time, defaults.now).map_err(BadLine::Time)?.start,
        None => defaults.now,
    };
    let tag = Tag {
        subject: tag_subject(value(Column::Subject).unwrap_or_default(), defaults.scope)?,
        kind,
        note: given(Column::Note, &defaults.note),
        source: given(Column::Source, &defaults.source),
        author: given(Column::Author, &defaults.author),
        time,
    };
    tag.check()?;
    Ok(tag)
}

/// A value without the mark that [`crate::render`] puts before what a spreadsheet would take for a formula.
fn plain(value: &str) -> &str {
    match value.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults(kind: Option<TagKind>) -> Defaults {
        Defaults {
            kind,
            scope: None,
            note: "why".to_owned(),
            source: "feed".to_owned(),
            author: "me".to_owned(),
            now: 1_795_486_978,
        }
    }

    #[test]
    fn a_line_of_csv() {
        let head = columns("Kind,subject,note,time", "x").ok().flatten().unwrap();
        let read = |line: &str| read(line, Some(&head), &defaults(None));
        let tag = read("threat,'-x.example,\"a, \"\"b\"\"\",2026-01-31 12:00:00").unwrap();
        assert_eq!((tag.kind, tag.subject.to_string()), (TagKind::Threat, "-x.example".to_owned()));
        assert_eq!((tag.note.as_str(), tag.source.as_str()), ("a, \"b\"", "feed"));
        assert_eq!(tag.time, 1_769_860_800);
        let said = |line: &str| read(line).unwrap_err().to_string();
        assert_eq!(said("threat,a.example"), "it has 2 values and the head names 4 columns");
        assert_eq!(said(",a.example,,"), "it names no kind: give --kind, or a column with it");
        assert!(said("harm,a.example,,").contains("is no kind of tag"));
        assert!(said("threat,a..b,,").contains("is no domain name"));
        assert_eq!(said("threat,a.example,\"x,"), "a quoted value does not end on the line");
        assert_eq!(said("threat,a.example,,soon"), "the time does not read");
        assert!(said(&format!("threat,a.example,{},", "x".repeat(1_001))).contains("1001 bytes"));
    }

    #[test]
    fn a_head_with_another_column_is_refused() {
        assert!(columns("subject,colour", "x").is_err());
        assert!(columns("evil.example", "x").ok().flatten().is_none());
    }
}
