//! Fields and cells of tags, their history, nearby addresses and neighbours.
//!
//! Part of `render`: fields for the formats that programs read, columns and cells for tables. Notes, sources and
//! authors are free text; the formats escape them like all other text.

use super::field::{Field, Value};
use super::table::{Column, Kind};
use super::utc;
use crate::indicator::{Listing, Tlp};
use crate::name::NameBuf;
use crate::query::{End, Extent, Limits, Near, Neighbour, OnAddress, Relation, RowTags};
use crate::tag::{Tag, TagEvent, TagKind};
use serde::Serialize;
use std::borrow::Cow;

/// A tag in JSON.
#[derive(Serialize)]
pub(super) struct Wire<'t> {
    /// For a record, the end that the tag is in effect on.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'static str>,
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
    #[serde(flatten)]
    listing: Option<ListingJson<'t>>,
}

/// In JSON, what an indicator has besides a tag.
#[derive(Serialize)]
struct ListingJson<'t> {
    confidence: u8,
    confidence_now: u8,
    last_listed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    labels: &'t [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    reference: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlp: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    conditional: bool,
}

impl<'t> ListingJson<'t> {
    fn of(listing: &'t Listing) -> Self {
        Self {
            confidence: listing.confidence,
            confidence_now: listing.confidence_now,
            last_listed: listing.last_listed,
            valid_until: listing.valid_until,
            labels: &listing.labels,
            reference: &listing.reference,
            tlp: listing.tlp.map(Tlp::name),
            conditional: listing.is_conditional,
        }
    }
}

impl<'t> Wire<'t> {
    pub(super) fn of((end, tag): (Option<End>, &'t Tag)) -> Self {
        Self {
            end: end.map(End::name),
            kind: tag.kind.name(),
            subject: tag.subject.to_string(),
            note: &tag.note,
            source: &tag.source,
            author: &tag.author,
            time: tag.time,
            time_iso: super::json::iso(tag.time),
            listing: tag.listing.as_deref().map(ListingJson::of),
        }
    }
}

/// Returns the kinds among some tags, each once.
pub(super) fn kinds(tags: &[&Tag]) -> Vec<&'static str> {
    let has = |kind: &TagKind| tags.iter().any(|tag| tag.kind == *kind);
    TagKind::ALL.into_iter().filter(has).map(TagKind::name).collect()
}

/// Formats the kinds in effect on the two ends of a record: `rrname:threat rdata:trust,interest`.
pub(super) fn row_kinds(tags: &RowTags<'_>) -> String {
    let ends = [End::Rrname, End::Rdata].into_iter().filter_map(|end| {
        let kinds = kinds(tags.at(end));
        (!kinds.is_empty()).then(|| format!("{}:{}", end.name(), kinds.join(",")))
    });
    ends.collect::<Vec<_>>().join(" ")
}

/// Formats tags in one cell: kind and subject of each, and the end of a record that it is in effect on.
pub(super) fn cell(tags: &[(Option<End>, &Tag)]) -> String {
    let one = |(end, tag): &(Option<End>, &Tag)| {
        let end = end.map(|end| format!("{}:", end.name())).unwrap_or_default();
        format!("{end}{}:{}", tag.kind, tag.subject)
    };
    tags.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn text<'a>(text: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::Text(text.into())
}

/// Returns the number of items read for the preceding count, if there are more.
fn first(extent: Extent) -> Value<'static> {
    extent.first().map_or(Value::Absent, Value::Number)
}

/// Wraps optional text.
fn given(said: &str) -> Value<'_> {
    if said.is_empty() { Value::Absent } else { text(said) }
}

fn words(tag: &Tag) -> [Field<'_>; 3] {
    [("note", given(&tag.note)), ("source", given(&tag.source)), ("author", given(&tag.author))]
}

/// Returns the values of a tag.
pub(super) fn tag(tag: &Tag) -> Vec<Field<'_>> {
    let mut fields =
        vec![("subject", text(tag.subject.to_string())), ("kind", text(tag.kind.name()))];
    fields.extend(words(tag));
    fields.push(("time", Value::Time(tag.time)));
    fields
}

/// Returns the values of an indicator, as its tag has them; `by` silences it.
pub(super) fn indicator<'a>(tag: &'a Tag, by: Option<&'a Tag>) -> Vec<Field<'a>> {
    let listing = tag.listing.as_deref();
    let value = |value: &dyn Fn(&'a Listing) -> Value<'a>| listing.map_or(Value::Absent, value);
    let labels = |listing: &'a Listing| match listing.labels.as_slice() {
        [] => Value::Absent,
        labels => Value::List(labels.iter().map(|label| label.as_str().into()).collect()),
    };
    vec![
        ("subject", text(tag.subject.to_string())),
        ("kind", text(tag.kind.name())),
        ("source", given(&tag.source)),
        ("confidence", value(&|listing| Value::Number(listing.confidence.into()))),
        ("confidence_now", value(&|listing| Value::Number(listing.confidence_now.into()))),
        ("first_listed", Value::Time(tag.time)),
        ("last_listed", value(&|listing| Value::Time(listing.last_listed))),
        ("valid_until", value(&|listing| listing.valid_until.map_or(Value::Absent, Value::Time))),
        ("labels", value(&labels)),
        ("reference", value(&|listing| given(&listing.reference))),
        ("note", given(&tag.note)),
        ("tlp", value(&|listing| listing.tlp.map_or(Value::Absent, |tlp| text(tlp.name())))),
        ("conditional", value(&|listing| Value::Flag(listing.is_conditional))),
        ("overridden_by", by.map_or(Value::Absent, |by| text(by.subject.to_string()))),
    ]
}

/// Describes what an indicator has besides a tag: `confidence 80, now 40; emotet; last listed 2026-11-20`.
pub(crate) fn listing_words(listing: &Listing) -> String {
    let Listing { confidence, confidence_now, .. } = listing;
    let mut words = vec![if confidence == confidence_now {
        format!("confidence {confidence}")
    } else {
        format!("confidence {confidence}, now {confidence_now}")
    }];
    if !listing.labels.is_empty() {
        words.push(listing.labels.join(", "));
    }
    if listing.is_conditional {
        words.push("only with further conditions".to_owned());
    }
    words.push(format!("last listed {}", super::utc_date(listing.last_listed)));
    words.extend(listing.valid_until.map(|until| format!("until {}", super::utc_date(until))));
    words.extend(listing.tlp.map(|tlp| format!("TLP:{}", tlp.name().to_uppercase())));
    if !listing.reference.is_empty() {
        words.push(listing.reference.clone());
    }
    words.join("; ")
}

/// Returns the values of an entry of the history.
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

/// Returns the values of a nearby address.
pub(super) fn near<'a>(near: &'a Near<'a>, there: Option<&'a OnAddress>) -> Vec<Field<'a>> {
    let examples = there.map(|there| there.examples.iter()).into_iter().flatten();
    let mut fields = vec![
        ("subject", text(near.tag.subject.to_string())),
        ("kind", text(near.tag.kind.name())),
        ("address", text(near.address.to_string())),
        ("distance", Value::Decimal(near.distance())),
        ("shared_prefix", Value::Number(near.shared.into())),
        ("names", there.map_or(Value::Absent, |there| Value::Number(there.names as u64))),
        ("names_of_first", there.map_or(Value::Absent, |there| first(there.extent))),
        ("examples", Value::List(examples.map(|name| name.as_str().into()).collect())),
    ];
    fields.extend(words(near.tag));
    fields.push(("time", Value::Time(near.tag.time)));
    fields
}

/// A relation in JSON.
#[derive(Serialize)]
pub(super) struct RelationJson {
    relation: &'static str,
    via: String,
    threat: String,
    threats: u64,
    shared_by: u64,
}

impl RelationJson {
    pub(super) fn of(relation: &Relation) -> Self {
        Self {
            relation: relation.kind.name(),
            via: relation.via.to_string(),
            threat: relation.threat.to_string(),
            threats: relation.threats,
            shared_by: relation.shared,
        }
    }
}

/// Formats relations in one cell: `address 192.0.2.66 shared by 2 with evil.example; ...`.
pub(super) fn relations(relations: &[Relation]) -> String {
    let one = |relation: &Relation| {
        let (kind, shared) = (relation.kind.name(), relation.shared);
        format!("{kind} {} shared by {shared} with {}", relation.via, threats(relation))
    };
    relations.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Formats the threats of a relation.
fn threats(relation: &Relation) -> String {
    match relation.threats {
        0 | 1 => relation.threat.to_string(),
        more => format!("{} and {} more", relation.threat, more - 1),
    }
}

/// Returns the values of a neighbour.
pub(super) fn neighbour<'a>(neighbour: &'a Neighbour, limits: &Limits) -> Vec<Field<'a>> {
    let parts = limits.parts();
    let of_first = if parts.is_empty() {
        Value::Absent
    } else {
        Value::List(parts.into_iter().map(Cow::Owned).collect())
    };
    vec![
        ("subject", text(neighbour.subject.to_string())),
        ("score", Value::Decimal(neighbour.score())),
        ("relations", Value::Relations(&neighbour.relations)),
        ("of_first", of_first),
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
const INDICATOR: &[Column] = &[
    ("SUBJECT", Kind::Text),
    ("KIND", Kind::Fixed),
    ("SOURCE", Kind::Text),
    ("CONFIDENCE", Kind::Fixed),
    ("LAST LISTED", Kind::Fixed),
    ("LABELS", Kind::Text),
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
const NEIGHBOUR: &[Column] = &[
    ("SUBJECT", Kind::Text),
    ("SCORE", Kind::Number),
    ("RELATION", Kind::Fixed),
    ("VIA", Kind::Text),
    ("SHARED BY", Kind::Number),
    ("THREAT", Kind::Text),
];

/// Columns and cells of a line.
pub(super) type Line = (&'static [Column], Vec<String>);

fn time(at: u32) -> String {
    utc(at) + "Z"
}

/// Returns a tag for a table.
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

/// Returns an indicator for a table; `by` silences it.
pub(super) fn indicator_line(tag: &Tag, by: Option<&Tag>) -> Line {
    let listing = tag.listing.as_deref();
    let confidence = |listing: &Listing| match (listing.confidence, listing.confidence_now) {
        (then, now) if then == now => now.to_string(),
        (then, now) => format!("{then}, now {now}"),
    };
    let mut notes = Vec::new();
    notes.extend(by.map(|by| format!("overridden by {} {}", by.kind, by.subject)));
    if let Some(listing) = listing {
        if listing.is_conditional {
            notes.push("only with further conditions".to_owned());
        }
        notes.extend(listing.valid_until.map(|until| format!("until {}", super::utc_date(until))));
        notes.extend(listing.tlp.map(|tlp| format!("TLP:{}", tlp.name().to_uppercase())));
        notes.extend(Some(listing.reference.clone()).filter(|reference| !reference.is_empty()));
    }
    notes.extend(Some(tag.note.clone()).filter(|note| !note.is_empty()));
    let cells = vec![
        tag.subject.to_string(),
        tag.kind.to_string(),
        tag.source.clone(),
        listing.map(confidence).unwrap_or_default(),
        listing.map(|listing| super::utc_date(listing.last_listed)).unwrap_or_default(),
        listing.map(|listing| listing.labels.join(", ")).unwrap_or_default(),
        notes.join("; "),
    ];
    (INDICATOR, cells)
}

/// Returns an entry of the history for a table.
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

/// Returns a nearby address for a table.
pub(super) fn near_line(near: &Near<'_>, there: Option<&OnAddress>) -> Line {
    let names = |there: &OnAddress| match there.extent.first() {
        Some(read) => format!("{} of the first {read} records", there.names),
        None => there.names.to_string(),
    };
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

/// Returns a neighbour for a table, with its first relation.
pub(super) fn neighbour_line(neighbour: &Neighbour) -> Line {
    let mut cells = vec![neighbour.subject.to_string(), decimal(neighbour.score())];
    match neighbour.relations.first() {
        Some(relation) => cells.extend(relation_cells(relation)),
        None => cells.resize(NEIGHBOUR.len(), String::new()),
    }
    (NEIGHBOUR, cells)
}

/// Returns the further relations of a neighbour, for the lines below it.
pub(super) fn further_lines(neighbour: &Neighbour) -> impl Iterator<Item = Vec<String>> {
    neighbour.relations.iter().skip(1).map(|relation| {
        let mut cells = vec![String::new(), String::new()];
        cells.extend(relation_cells(relation));
        cells
    })
}

fn relation_cells(relation: &Relation) -> [String; 4] {
    [
        relation.kind.name().to_owned(),
        relation.via.to_string(),
        relation.shared.to_string(),
        threats(relation),
    ]
}

/// Formats a number with four digits after the decimal point, so that it is the same on every machine.
pub(super) fn decimal(number: f64) -> String {
    format!("{number:.4}")
}
