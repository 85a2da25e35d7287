//! Plain lists: one subject per line, or several; comments; maybe more columns, which are ignored.

use super::hosts::{self, SINK_ADDRESSES};
use super::item::Place;
use super::lines::{Line, Lines};
use super::sink::{Details, Refusal, Sink, Stop, Wanted};
use crate::query::{is_comment, parts, without_comment};
use std::io::BufRead;

/// Number of lists at which IPsum is certain.
const IPSUM_LISTS: u64 = 8;

/// Reads a list.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        read_line(&line, sink)?;
    }
    Ok(())
}

pub(super) fn read_line(line: &Line, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let Some(text) = content(&line.text) else { return Ok(()) };
    let is_sink = text.split_whitespace().next().is_some_and(|word| SINK_ADDRESSES.contains(&word));
    if is_sink && text.contains(char::is_whitespace) {
        return hosts::read_line(line, sink);
    }
    let details = Details::default();
    for part in parts(text) {
        entry(&line.place(), part.trim(), &details, sink)?;
    }
    Ok(())
}

/// The text of a line without a comment; `None` if there is nothing else.
pub(super) fn content(line: &str) -> Option<&str> {
    let text = line.trim();
    if text.is_empty() || is_comment(text) {
        return None;
    }
    Some(without_comment(text)).filter(|text| !text.is_empty())
}

/// Reads one part of a line: a subject, several with blanks between, or a subject before other columns.
fn entry(place: &Place, text: &str, details: &Details, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let scope = sink.options.scope;
    let whole = sink.subjects(text, Wanted::Any, scope);
    let words: Vec<&str> = text.split_whitespace().collect();
    let (subjects, refusal) = match whole {
        Ok(subjects) => return sink.indicators(subjects, details),
        Err(refusal @ Refusal::Skip(_)) => (&[][..], refusal),
        Err(refusal) if words.len() < 2 => (&[][..], refusal),
        Err(refusal) => (words.as_slice(), refusal),
    };
    let is_each = subjects.iter().all(|word| word.contains(['.', ':']));
    match subjects {
        [_, ..] if is_each => {
            for word in subjects {
                sink.value(place.clone(), word, Wanted::Any, scope, details)?;
            }
            Ok(())
        }
        [first, ..] if first.contains(['.', ':']) => {
            sink.value(place.clone(), first, Wanted::Any, scope, details)
        }
        _ => sink.refuse(place.clone(), text, refusal),
    }
}

/// Reads IPsum: an address, a tab, and the number of lists that have it.
pub(super) fn read_ipsum(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        let Some(text) = content(&line.text) else { continue };
        let mut columns = text.split_whitespace();
        let address = columns.next().unwrap_or_default();
        let mut details = Details::default();
        if let Some(count) = columns.next() {
            let Ok(count) = count.parse::<u64>() else {
                sink.problem(line.place(), text, "the second column is not a number of lists")?;
                continue;
            };
            let percent = count.saturating_mul(100) / IPSUM_LISTS;
            details.confidence = Some(u8::try_from(percent.min(100)).unwrap_or(100));
            let lists = if count == 1 { "list" } else { "lists" };
            details.note = format!("on {count} {lists}");
        }
        sink.value(line.place(), address, Wanted::Any, sink.options.scope, &details)?;
    }
    Ok(())
}
