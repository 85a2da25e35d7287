//! What is said of names and addresses, taken apart: tags, their history, nearness, ties.
//!
//! Part of `render`: fields for the formats that programs read, columns and cells for tables. Notes, sources
//! and authors are anybody's text; the formats escape them as they do all other text.

use super::field::{Field, Value};
use super::table::{Column, Kind};
use super::utc;
use crate::name::NameBuf;
use crate::query::{Near, OnAddress, Tie};
use crate::store::{Tag, TagEvent, TagKind};
use serde::Serialize;
use std::borrow::Cow;

/// A tag in JSON.
#[derive(Serialize)]
pub(super) struct Wire<'t> {
    kind: &'static str,
    subject: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'t str,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'t str,
    time: u32,
    time_iso: String,
}

impl<'t> Wire<'t> {
    pub(super) fn of(tag: &'t Tag) -> Self {
        Self {
            kind: tag.kind.name(),
            subject: tag.subject.to_string(),
            note: &tag.note,
            source: &tag.source,
            author: &tag.author,
            time: tag.time,
            time_iso: super::json::iso(tag.time),
        }
    }
}

/// The kinds among some tags, each once.
pub(super) fn kinds(tags: &[&Tag]) -> Vec<&'static str> {
    let has = |kind: &TagKind| tags.iter().any(|tag| tag.kind == *kind);
    TagKind::ALL.into_iter().filter(has).map(TagKind::name).collect()
}

/// Tags in one cell: kind and subject of each.
pub(super) fn cell(tags: &[&Tag]) -> String {
    let tags: Vec<String> =
        tags.iter().map(|tag| format!("{}:{}", tag.kind, tag.subject)).collect();
    tags.join(" ")
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

/// Text that may not have been given.
fn given(said: &str) -> Value<'_> {
    if said.is_empty() { Value::Absent } else { text(said) }
}

fn words(tag: &Tag) -> [Field<'_>; 3] {
    [("note", given(&tag.note)), ("source", given(&tag.source)), ("author", given(&tag.author))]
}

/// The values of a tag.
pub(super) fn tag(tag: &Tag) -> Vec<Field<'_>> {
    let mut fields =
        vec![("subject", text(tag.subject.to_string())), ("kind", text(tag.kind.name()))];
    fields.extend(words(tag));
    fields.push(("time", Value::Time(tag.time)));
    fields
}

/// The values of an entry of the history.
pub(super) fn event(event: &TagEvent) -> Vec<Field<'_>> {
    let mut fields = vec![
        ("number", Value::Number(event.number)),
        ("time", Value::Time(event.tag.time)),
        ("act", text(event.act.name())),
        ("kind", text(event.tag.kind.name())),
        ("subject", text(event.tag.subject.to_string())),
    ];
    fields.extend(words(&event.tag));
    fields
}

/// The values of a near address.
pub(super) fn near<'a>(near: &'a Near<'a>, there: Option<&'a OnAddress>) -> Vec<Field<'a>> {
    let examples = there.map(|there| there.examples.iter()).into_iter().flatten();
    let mut fields = vec![
        ("subject", text(near.tag.subject.to_string())),
        ("kind", text(near.tag.kind.name())),
        ("address", text(near.address.to_string())),
        ("distance", Value::Decimal(near.distance())),
        ("shared_prefix", Value::Number(near.shared.into())),
        ("names", there.map_or(Value::Absent, |there| Value::Number(there.names as u64))),
        ("more_names", there.map_or(Value::Absent, |there| Value::Flag(there.more))),
        ("examples", Value::List(examples.map(|name| name.as_str().into()).collect())),
    ];
    fields.extend(words(near.tag));
    fields.push(("time", Value::Time(near.tag.time)));
    fields
}

/// The values of a tie.
pub(super) fn tie(tie: &Tie) -> Vec<Field<'_>> {
    vec![
        ("subject", text(tie.subject.to_string())),
        ("tie", text(tie.kind.name())),
        ("over", text(tie.over.to_string())),
        ("threat", text(tie.threat.to_string())),
        ("threats", Value::Number(tie.threats)),
        ("shared_by", Value::Number(tie.shared)),
        ("score", Value::Decimal(tie.score())),
    ]
}

const TAG: &[Column] = &[
    ("SUBJECT", Kind::Text),
    ("KIND", Kind::Fixed),
    ("SET (UTC)", Kind::Time),
    ("AUTHOR", Kind::Text),
    ("SOURCE", Kind::Text),
    ("NOTE", Kind::Text),
];
const EVENT: &[Column] = &[
    ("TIME (UTC)", Kind::Time),
    ("ACT", Kind::Fixed),
    ("KIND", Kind::Fixed),
    ("SUBJECT", Kind::Text),
    ("AUTHOR", Kind::Text),
    ("SOURCE", Kind::Text),
    ("NOTE", Kind::Text),
];
const NEAR: &[Column] = &[
    ("DISTANCE", Kind::Number),
    ("SHARED", Kind::Number),
    ("TAGGED", Kind::Text),
    ("KIND", Kind::Fixed),
    ("NEAREST", Kind::Text),
    ("NAMES", Kind::Number),
    ("SUCH AS", Kind::Text),
    ("NOTE", Kind::Text),
];
const TIE: &[Column] = &[
    ("SUBJECT", Kind::Text),
    ("TIE", Kind::Fixed),
    ("OVER", Kind::Text),
    ("THREAT", Kind::Text),
    ("SHARED BY", Kind::Number),
    ("SCORE", Kind::Number),
];

/// Columns and cells of a line.
pub(super) type Line = (&'static [Column], Vec<String>);

fn time(at: u32) -> String {
    utc(at) + "Z"
}

/// A tag in a table.
pub(super) fn tag_line(tag: &Tag) -> Line {
    let cells = vec![
        tag.subject.to_string(),
        tag.kind.to_string(),
        time(tag.time),
        tag.author.clone(),
        tag.source.clone(),
        tag.note.clone(),
    ];
    (TAG, cells)
}

/// An entry of the history in a table.
pub(super) fn event_line(event: &TagEvent) -> Line {
    let tag = &event.tag;
    let cells = vec![
        time(tag.time),
        event.act.name().to_owned(),
        tag.kind.to_string(),
        tag.subject.to_string(),
        tag.author.clone(),
        tag.source.clone(),
        tag.note.clone(),
    ];
    (EVENT, cells)
}

/// A near address in a table.
pub(super) fn near_line(near: &Near<'_>, there: Option<&OnAddress>) -> Line {
    let names =
        |there: &OnAddress| format!("{}{}", if there.more { "over " } else { "" }, there.names);
    let examples = |there: &OnAddress| {
        there.examples.iter().map(NameBuf::as_str).collect::<Vec<_>>().join(" ")
    };
    let cells = vec![
        decimal(near.distance()),
        format!("/{}", near.shared),
        near.tag.subject.to_string(),
        near.tag.kind.to_string(),
        near.address.to_string(),
        there.map(names).unwrap_or_default(),
        there.map(examples).unwrap_or_default(),
        near.tag.note.clone(),
    ];
    (NEAR, cells)
}

/// A tie in a table.
pub(super) fn tie_line(tie: &Tie) -> Line {
    let threat = match tie.threats {
        0 | 1 => tie.threat.to_string(),
        more => format!("{} and {} more", tie.threat, more - 1),
    };
    let cells = vec![
        tie.subject.to_string(),
        tie.kind.name().to_owned(),
        tie.over.to_string(),
        threat,
        tie.shared.to_string(),
        decimal(tie.score()),
    ];
    (TIE, cells)
}

/// A number with four digits behind the point, so that it is the same on every machine.
pub(super) fn decimal(number: f64) -> String {
    format!("{number:.4}")
}
