//! Comma-separated values (RFC 4180) with a header.
//!
//! A spreadsheet takes a cell that begins with one of `= + - @` for a formula, and names come from strangers; such a
//! cell gets a `'` in front. Times are UTC without an offset, as dnsdbq writes them and spreadsheets read them.

use super::field::{self, Value, fields};
use super::{Item, NameScores, RenderOptions, Renderer, date, escape, judged, sensor_list, utc};
use crate::query::TagSet;
use std::io::{self, Write};
use std::sync::Arc;

/// The CSV renderer.
pub(super) struct Csv {
    look: RenderOptions,
    headed: bool,
}

impl Csv {
    pub(super) fn new(look: RenderOptions) -> Self {
        Self { look, headed: false }
    }
}

impl Renderer for Csv {
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        let fields = fields(item, &self.look);
        let mut lines = writer(out);
        if !std::mem::replace(&mut self.headed, true) {
            lines.write_record(fields.iter().map(|(name, _)| name))?;
        }
        lines.write_record(fields.into_iter().map(|(_, value)| safe(&text(value))))?;
        lines.flush()
    }

    fn set_scores(&mut self, scores: &Arc<NameScores>) {
        self.look.scores = Some(Arc::clone(scores));
    }

    fn set_tags(&mut self, tags: &Arc<TagSet>) {
        self.look.tags = Arc::clone(tags);
    }
}

/// Creates a writer for a few lines.
pub(super) fn writer(out: &mut dyn Write) -> csv::Writer<&mut dyn Write> {
    csv::WriterBuilder::new().buffer_capacity(512).from_writer(out)
}

/// Formats a value as the text of a cell; several texts are joined with spaces, names of sensors with commas.
pub(super) fn text(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => text.into_owned(),
        Value::Number(number) => number.to_string(),
        Value::Count(number, is_least) => field::count(number, is_least),
        Value::Time(at) => utc(at),
        Value::Day(day) => date(day),
        Value::Flag(flag) => flag.to_string(),
        Value::List(list) => list.join(" "),
        Value::Sensors(names) => sensor_list(names.into_iter()),
        Value::Decimal(number) => judged::decimal(number),
        Value::Tags(tags) => judged::cell(&tags),
        Value::Relations(relations) => judged::relations(relations),
        Value::Absent => String::new(),
    }
}

/// Makes a cell safe, so that no spreadsheet runs it and no terminal obeys it.
pub(crate) fn safe(cell: &str) -> String {
    let cell = escape(cell);
    if cell.starts_with(['=', '+', '-', '@']) { format!("'{cell}") } else { cell.into_owned() }
}
