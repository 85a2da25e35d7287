//! Scores: a ledger for each subject, a line for each, or a JSON object for each.

use super::json::{Object, iso};
use super::paragraph::paragraph;
use super::table::{Column, Kind, lines};
use super::{Format, RenderOptions, escape, utc};
use crate::analyze::{Ledger, LedgerEntry};
use crate::query::Assessment;
use serde::Serialize;
use std::io::{self, Write};

/// Number of rows of one page of a table.
const PAGE: usize = 1_000;
/// Number of reasons in a line.
const REASONS: usize = 4;

const BRIEF: &[Column] = &[
    ("SCORE", Kind::Number),
    ("BAND", Kind::Fixed),
    ("SUBJECT", Kind::Text),
    ("FIRST (UTC)", Kind::Time),
    ("REASONS", Kind::Text),
];
/// Columns of numbers and of names of evidence in a ledger, with the gap between.
const INDENT: usize = 24;

/// A ledger entry in JSON.
#[derive(Serialize)]
struct JsonEntry<'e> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'static str>,
    value: &'e str,
    x: Option<f64>,
    weight: f64,
    contribution: f64,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_iso: Option<String>,
}

#[derive(Serialize)]
struct JsonUnknown<'e> {
    name: &'static str,
    reason: &'e str,
    weight: f64,
    contribution: f64,
}

#[derive(Serialize)]
struct JsonCap {
    group: &'static str,
    cap: f64,
    contribution: f64,
}

/// A number with four digits after the decimal point, as in all formats.
fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0 + 0.0
}

impl<'e> JsonEntry<'e> {
    fn new(entry: &'e LedgerEntry) -> Self {
        let evidence = &entry.evidence;
        Self {
            name: evidence.kind.as_str(),
            group: evidence.kind.group().map(crate::analyze::Group::as_str),
            value: &evidence.value,
            x: evidence.x.map(rounded),
            weight: rounded(entry.weight),
            contribution: rounded(entry.contribution),
            source: &evidence.source,
            since: evidence.since,
            since_iso: evidence.since.map(iso),
        }
    }
}

/// Scores in progress.
#[derive(Debug)]
pub struct Scores {
    format: Format,
    look: RenderOptions,
    is_brief: bool,
    rows: Vec<Vec<String>>,
    count: u64,
}

impl Scores {
    /// Nothing yet. Tables have a ledger for each subject, or one line if `is_brief`.
    #[must_use]
    pub fn new(format: Format, look: RenderOptions, is_brief: bool) -> Self {
        Self { format, look, is_brief, rows: Vec::new(), count: 0 }
    }

    /// Adds a score.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn add(&mut self, assessed: &Assessment, out: &mut dyn Write) -> io::Result<()> {
        self.count += 1;
        if self.format != Format::Table {
            return out.write_all(&line(assessed)?);
        }
        if !self.is_brief {
            if self.count > 1 {
                writeln!(out)?;
            }
            return ledger(assessed, &self.look, out);
        }
        let ledger = &assessed.ledger;
        self.rows.push(vec![
            ledger.score.to_string(),
            ledger.band().to_string(),
            assessed.subject.to_string(),
            assessed.first.map(|first| utc(first) + "Z").unwrap_or_default(),
            escape(&reasons(ledger, REASONS)).into_owned(),
        ]);
        if self.rows.len() >= PAGE { self.end(out) } else { Ok(()) }
    }

    /// Writes the lines that were held back.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        lines(BRIEF, std::mem::take(&mut self.rows), &self.look, out)
    }
}

/// The heaviest reasons for a score, as words.
#[must_use]
pub(crate) fn reasons(ledger: &Ledger, most: usize) -> String {
    let shown = ledger.reasons().filter(|entry| entry.contribution.abs() >= 0.05).take(most);
    let words = shown.map(|entry| {
        let evidence = &entry.evidence;
        format!("{} {:+.1}", evidence.kind, entry.contribution)
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The entries that are not known, each with its reason, as one sentence.
pub(crate) fn unknown(ledger: &Ledger) -> String {
    let unknown = ledger.entries.iter().filter(|entry| entry.evidence.x.is_none());
    let words = unknown.map(|entry| format!("{} ({})", entry.evidence.kind, entry.evidence.value));
    words.collect::<Vec<_>>().join(", ")
}

/// The entries that are known and change nothing, as one sentence.
pub(crate) fn without_effect(ledger: &Ledger) -> String {
    let none = ledger
        .entries
        .iter()
        .filter(|entry| entry.evidence.x.is_some() && entry.contribution == 0.0);
    none.map(|entry| entry.evidence.kind.as_str()).collect::<Vec<_>>().join(", ")
}

/// A score as a line with one JSON object.
pub(super) fn line(assessed: &Assessment) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut object = Object::begin(&mut line)?;
    fields(assessed, &mut object)?;
    object.end()?;
    Ok(line)
}

/// Writes the fields of a score.
fn fields(assessed: &Assessment, object: &mut Object<'_>) -> io::Result<()> {
    let ledger = &assessed.ledger;
    object.field("subject", &assessed.subject.to_string())?;
    if let Some(domain) = &assessed.domain {
        object.field("registrable", &domain.as_str())?;
    }
    object.field("score", &ledger.score)?;
    object.field("band", &ledger.band().as_str())?;
    object.field("log_odds", &rounded(ledger.log_odds))?;
    object.field("prior", &rounded(ledger.prior))?;
    if let Some(first) = assessed.first {
        object.field("time_first", &first)?;
        object.field("time_first_iso", &iso(first))?;
    }
    object.field("labels", &assessed.labels)?;
    let known = ledger.entries.iter().filter(|entry| entry.evidence.x.is_some());
    object.field("evidence", &known.map(JsonEntry::new).collect::<Vec<_>>())?;
    let unknown = ledger.entries.iter().filter(|entry| entry.evidence.x.is_none());
    let unknown = unknown.map(|entry| JsonUnknown {
        name: entry.evidence.kind.as_str(),
        reason: &entry.evidence.value,
        weight: rounded(entry.weight),
        contribution: 0.0,
    });
    object.field("unknown", &unknown.collect::<Vec<_>>())?;
    let caps = ledger.capped.iter().map(|capped| JsonCap {
        group: capped.group.as_str(),
        cap: rounded(capped.cap),
        contribution: rounded(capped.contribution),
    });
    object.field("caps", &caps.collect::<Vec<_>>())?;
    object.field("rows_read", &assessed.records)?;
    object.field("complete", &assessed.notes.is_empty())?;
    object.field("notes", &assessed.notes)
}

/// The first line: subject, score and band.
pub(crate) fn headline(assessed: &Assessment) -> String {
    let ledger = &assessed.ledger;
    let labels = match assessed.labels.as_slice() {
        [] => String::new(),
        labels => format!(", {}", labels.join(", ")),
    };
    format!("{} of 100: {}{labels}", ledger.score, ledger.band())
}

/// The cells of the lines of a ledger, with the prior first, and the sum last.
pub(crate) fn ledger_rows(ledger: &Ledger) -> Vec<[String; 7]> {
    let none = String::new;
    let nats = |number: f64| format!("{:+.2}", rounded(number));
    let mut rows = Vec::new();
    for entry in ledger.reasons() {
        let evidence = &entry.evidence;
        rows.push([
            nats(entry.contribution),
            evidence.kind.to_string(),
            format!("{:+.1}", entry.weight),
            format!("{:.2}", evidence.x.unwrap_or_default()),
            evidence.value.to_string(),
            evidence.source.to_string(),
            evidence.since.map(|since| utc(since) + "Z").unwrap_or_default(),
        ]);
    }
    for capped in &ledger.capped {
        let value = format!("{} evidence adds at most {:.1}", capped.group.as_str(), capped.cap);
        let cap =
            [nats(capped.contribution), "cap".to_owned(), none(), none(), value, none(), none()];
        rows.push(cap);
    }
    let percent = 100.0 / (1.0 + (-ledger.prior).exp());
    let value = format!("{} % of all names", rounded(percent));
    rows.push([nats(ledger.prior), "prior".to_owned(), none(), none(), value, none(), none()]);
    let value = format!("{} of 100", ledger.score);
    rows.push([nats(ledger.log_odds), "sum".to_owned(), none(), none(), value, none(), none()]);
    rows
}

/// Writes a ledger as a table, with a heading.
fn ledger(assessed: &Assessment, look: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let (on, off) = if look.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    writeln!(out, "{on}{}: {}{off}", escape(&assessed.subject.to_string()), headline(assessed))?;
    body(assessed, look, out)
}

/// Writes what follows the heading.
pub(super) fn body(
    assessed: &Assessment,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    entries(&assessed.ledger, look, out)?;
    let ledger = &assessed.ledger;
    let texts = [("Without effect", without_effect(ledger)), ("Unknown", unknown(ledger))];
    for (title, text) in texts {
        if !text.is_empty() {
            paragraph(look, out, &format!("{title}: {text}."))?;
        }
    }
    for note in &assessed.notes {
        paragraph(look, out, &format!("Note: {note}."))?;
    }
    Ok(())
}

/// Writes the lines of a ledger, and the names of what is not known.
pub(super) fn short_body(
    assessed: &Assessment,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    entries(&assessed.ledger, look, out)?;
    let unknown = assessed.ledger.entries.iter().filter(|entry| entry.evidence.x.is_none());
    let unknown: Vec<&str> = unknown.map(|entry| entry.evidence.kind.as_str()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    paragraph(look, out, &format!("Unknown: {}; pdns score says why.", unknown.join(", ")))
}

/// Writes the lines of a ledger: what each adds, its name, and the rest as text with a hanging indent.
fn entries(ledger: &Ledger, look: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let width = look.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(INDENT));
    let look = RenderOptions {
        width: look.width.map(|_| u16::try_from(width).unwrap_or(u16::MAX)),
        ..RenderOptions::default()
    };
    let mut line = |nats: &str, name: &str, text: &str| {
        let mut wrapped = Vec::new();
        paragraph(&look, &mut wrapped, text)?;
        let wrapped = String::from_utf8_lossy(&wrapped).into_owned();
        let mut lines = wrapped.lines();
        writeln!(out, "{nats:>6}  {name:<14}  {}", lines.next().unwrap_or_default())?;
        lines.try_for_each(|more| writeln!(out, "{:INDENT$}{more}", ""))
    };
    line("NATS", "EVIDENCE", "VALUE (WEIGHT x STRENGTH, SOURCE, SINCE)")?;
    for [nats, name, weight, x, value, source, since] in ledger_rows(ledger) {
        let mut product = Vec::new();
        if !x.is_empty() {
            product.push(format!("{weight} x {x}"));
        }
        product.extend(Some(source).filter(|source| !source.is_empty()));
        let day = since.split(' ').next().unwrap_or_default();
        if !day.is_empty() {
            product.push(format!("since {day}"));
        }
        let text =
            if product.is_empty() { value } else { format!("{value} ({})", product.join(", ")) };
        line(&nats, &name, &text)?;
    }
    Ok(())
}
