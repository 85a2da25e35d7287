//! Comma-separated values (RFC 4180): a row per reason of a subject, its tags first.
//!
//! The first columns are those of `pdns tag list --format csv`, so that `pdns tag import` reads them. As there, a cell
//! that a spreadsheet would take for a formula has a `'` in front, and times are UTC without an offset.

use crate::indicator::{Indicator, Tlp};
use crate::query::{ExportItem, typed_tag};
use crate::render::{safe_cell, utc};
use crate::tag::Tag;
use std::io::{self, Write};

/// Names of the columns.
const COLUMNS: [&str; 13] = [
    "subject",
    "kind",
    "note",
    "source",
    "author",
    "time",
    "confidence",
    "labels",
    "reference",
    "tlp",
    "conditional",
    "last_listed",
    "valid_until",
];

/// Writer of rows, below a header that comes with the first.
#[derive(Debug, Default)]
pub(super) struct Rows {
    has_begun: bool,
}

impl Rows {
    /// Writes all reasons of a subject.
    pub(super) fn item(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = ::csv::WriterBuilder::new().buffer_capacity(512).from_writer(out);
        if !std::mem::replace(&mut self.has_begun, true) {
            lines.write_record(COLUMNS)?;
        }
        for tag in &listed.tags {
            lines.write_record(of_tag(tag).map(|cell| safe_cell(&cell)))?;
        }
        let mut indicators: Vec<&Indicator> = listed.indicators.iter().collect();
        // A reader that keeps one row for each subject keeps the first.
        indicators.sort_by_key(|one| (one.kind, one.is_conditional));
        for one in indicators {
            lines.write_record(of_indicator(one).map(|cell| safe_cell(&cell)))?;
        }
        lines.flush()
    }
}

fn of_tag(tag: &Tag) -> [String; COLUMNS.len()] {
    let mut cells = [const { String::new() }; COLUMNS.len()];
    let known = [
        typed_tag(&tag.subject),
        tag.kind.to_string(),
        tag.note.clone(),
        tag.source.clone(),
        tag.author.clone(),
        utc(tag.time),
    ];
    for (cell, value) in cells.iter_mut().zip(known) {
        *cell = value;
    }
    cells
}

fn of_indicator(one: &Indicator) -> [String; COLUMNS.len()] {
    [
        typed_tag(&one.subject),
        one.kind.to_string(),
        one.note.clone(),
        one.source.clone(),
        String::new(),
        utc(one.first_listed),
        one.confidence_now.to_string(),
        one.labels.join(","),
        one.reference.clone(),
        one.tlp.map(Tlp::name).unwrap_or_default().to_owned(),
        if one.is_conditional { "true" } else { "false" }.to_owned(),
        utc(one.last_listed),
        one.valid_until.map(utc).unwrap_or_default(),
    ]
}
