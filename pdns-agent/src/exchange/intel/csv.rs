//! CSV files, with any separator, with or without a header, which may be a comment: also URLhaus, ThreatFox and Feodo
//! Tracker.

use super::columns::{ColumnRef, Role, key};
use super::lines::{Line, Lines};
use super::records::Record;
use super::sink::{Sink, Stop};
use super::{IntelError, item::Place};
use std::io::BufRead;

/// Maximum number of lines that a quoted value may span.
const MAX_SPAN: usize = 50;
/// Separators, the preferred first.
const SEPARATORS: [u8; 4] = [b'\t', b',', b';', b'|'];

/// Reads a file.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    let mut comment = String::new();
    let mut table: Option<Table> = None;
    while let Some(line) = lines.next(sink)? {
        let text = line.text.trim();
        if text.is_empty() {
            continue;
        }
        // A semicolon may be a separator before a missing value.
        if text.starts_with(['#', '!']) || text.starts_with("//") {
            if table.is_none() {
                text.trim_start_matches(['#', ';', '!', '/', ' ', '\t']).clone_into(&mut comment);
            }
            continue;
        }
        let Some(line) = joined(line, &mut lines, sink)? else { continue };
        if table.is_none() {
            let (made, is_header) = Table::new(&comment, &line.text, sink)?;
            table = Some(made);
            if is_header {
                continue;
            }
        }
        if let Some(table) = &table {
            table.row(&line.place(), &line.text, sink)?;
        }
    }
    Ok(())
}

/// A line with those that belong to a quoted value; none if the value does not end.
fn joined(line: Line, lines: &mut Lines<'_>, sink: &mut Sink<'_>) -> Result<Option<Line>, Stop> {
    let is_open = |text: &str| text.bytes().filter(|&octet| octet == b'"').count() % 2 == 1;
    if !is_open(&line.text) {
        return Ok(Some(line));
    }
    let (mut text, mut read) = (line.text.clone(), Vec::new());
    while read.len() < MAX_SPAN && text.len() < sink.options.max_line {
        let Some(next) = lines.next(sink)? else { break };
        text.push('\n');
        text.push_str(&next.text);
        let is_end = is_open(&next.text);
        read.push(next);
        if is_end {
            return Ok(Some(Line { number: line.number, text }));
        }
    }
    lines.put_back(read);
    sink.problem(line.place(), &line.text, "a quoted value does not end")?;
    Ok(None)
}

/// The shape of a file.
struct Table {
    separator: u8,
    /// Index of each column that has a role, the preferred of a role first.
    roles: Vec<(Role, usize)>,
    /// True if there is no header, and the subject is in the first column with one.
    is_bare: bool,
}

impl Table {
    /// Decides on the shape by the comment before the first line and by that line; true if that line is the header.
    fn new(comment: &str, first: &str, sink: &Sink<'_>) -> Result<(Self, bool), Stop> {
        let separator = separator(first);
        let names = fields(first, separator).unwrap_or_default();
        let count = names.len();
        let given = &sink.options.columns;
        let keys = |names: &[String]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
        let is_header = |names: &[String]| {
            let keys = keys(names);
            let is_named = |role: Role| {
                given_column(given, role).is_some_and(
                    |column| matches!(column, ColumnRef::Name(name) if keys.contains(&key(name))),
                )
            };
            let has_subject = keys.iter().any(|key| Role::Subject.names().contains(&key.as_str()));
            // A line with a name or an address in it is data.
            let has_data = names.iter().any(|name| name.contains(['.', '/', ':']));
            Role::ALL.into_iter().any(is_named) || has_subject && !has_data
        };
        let commented = fields(comment, self::separator(comment)).unwrap_or_default();
        let (header, is_first) = if is_header(&names) {
            (names, true)
        } else if commented.len() == count && count > 1 && is_header(&commented) {
            (commented, false)
        } else {
            (Vec::new(), false)
        };
        let keys = keys(&header);
        let mut roles = Vec::new();
        for role in Role::ALL {
            match given_column(given, role) {
                Some(ColumnRef::Number(number)) => roles.push((role, number - 1)),
                Some(ColumnRef::Name(name)) => {
                    let at = keys.iter().position(|known| *known == key(name));
                    let at = at.ok_or_else(|| IntelError::NoColumn(name.clone()))?;
                    roles.push((role, at));
                }
                None => {
                    let named = role
                        .names()
                        .iter()
                        .filter_map(|name| keys.iter().position(|known| known == name));
                    let most = if role.is_many() { usize::MAX } else { 1 };
                    roles.extend(named.take(most).map(|at| (role, at)));
                }
            }
        }
        let is_bare = !roles.iter().any(|(role, _)| *role == Role::Subject);
        Ok((Self { separator, roles, is_bare }, is_first))
    }

    fn row(&self, place: &Place, text: &str, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let Some(values) = fields(text, self.separator) else {
            return sink.problem(place.clone(), text, "a quoted value does not end");
        };
        let values: Vec<String> = values.iter().map(|value| plain(value.trim())).collect();
        let value = |at: usize| values.get(at).map(String::as_str);
        let mut record = Record::default();
        for &(role, at) in &self.roles {
            if let Some(value) = value(at) {
                record.add(role, value);
            }
        }
        if self.is_bare {
            // Numbers and times before the subject have no letters, or no dot.
            let looks_so = |value: &&str| {
                value.contains(['.', ':'])
                    && sink.subjects(value, super::sink::Wanted::Any, None).is_ok()
            };
            let values: Vec<&str> = (0..values.len()).filter_map(value).collect();
            match values.iter().find(|value| looks_so(value)).or(values.first()) {
                Some(value) => record.add(Role::Subject, value),
                None => return Ok(()),
            }
        }
        record.hand_out(place, text, sink)
    }
}

fn given_column(given: &super::Columns, role: Role) -> Option<&ColumnRef> {
    match role {
        Role::Subject => given.subject.as_ref(),
        Role::Kind => given.kind.as_ref(),
        Role::Confidence => given.confidence.as_ref(),
        Role::Labels => given.labels.as_ref(),
        Role::Reference => given.reference.as_ref(),
        Role::Note => given.note.as_ref(),
        Role::First => given.first.as_ref(),
        Role::Last => given.last.as_ref(),
        Role::Until | Role::Id | Role::Tlp | Role::Port | Role::Conditional => None,
    }
}

/// The separator of a line: the preferred one that stands outside quotes.
pub(super) fn separator(line: &str) -> u8 {
    let mut found = [false; SEPARATORS.len()];
    let mut quoted = false;
    for octet in line.bytes() {
        quoted ^= octet == b'"';
        let at = SEPARATORS.iter().position(|&separator| separator == octet && !quoted);
        if let Some(found) = at.and_then(|at| found.get_mut(at)) {
            *found = true;
        }
    }
    let found = SEPARATORS.iter().zip(found).find(|(_, found)| *found);
    found.map_or(b',', |(&separator, _)| separator)
}

/// Splits a line into values; `None` if a quoted value does not end.
pub(super) fn fields(line: &str, separator: u8) -> Option<Vec<String>> {
    // Some feeds have a space before each quote.
    let line = line.replace("\", \"", "\",\"");
    if line.bytes().filter(|&octet| octet == b'"').count() % 2 == 1 {
        return None;
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .buffer_capacity(line.len() + 1)
        .from_reader(line.as_bytes());
    let record = reader.records().next().transpose().ok()?;
    Some(record.iter().flatten().map(str::to_owned).collect())
}

/// Undoes what our own export does to a value: the mark before those that a spreadsheet would read as a formula, and
/// the escapes `\u{e9}`.
fn plain(value: &str) -> String {
    let value = match value.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => value,
    };
    let (mut out, mut rest) = (String::with_capacity(value.len()), value);
    while let Some((head, tail)) = rest.split_once("\\u{") {
        out.push_str(head);
        let code = tail.split_once('}').filter(|(code, _)| code.len() <= 6);
        let code =
            code.and_then(|(code, after)| Some((u32::from_str_radix(code, 16).ok()?, after)));
        if let Some((letter, after)) =
            code.and_then(|(code, after)| Some((char::from_u32(code)?, after)))
        {
            out.push(letter);
            rest = after;
        } else {
            out.push_str("\\u{");
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}
