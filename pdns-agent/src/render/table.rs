//! Aligned columns for people, fitted to a width.
//!
//! Column widths depend on all rows, so rows are held back and written [`PAGE`] at a time, each page
//! with its head. What does not fit gives up first the hours of its times; then names and RDATA are folded,
//! at the end of a label where there is one.

use super::field::ttl;
use super::{Item, Look, Renderer, csv, date, escape, field, judged, utc};
use crate::query::TagSet;
use crate::rdata::{FinalDot, Rdata, Target};
use crate::store::{FactBuf, Tag};
use comfy_table::{CellAlignment, presets};
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of one page.
const PAGE: usize = 1_000;
/// Columns between two columns of the table.
const GAP: usize = 2;
/// What is left of a time where room is short: `2026-11-24`.
const DATE: usize = 10;
/// The least width to which text is folded.
const LEAST: usize = 8;
/// Columns of the longest bar.
const BAR: u64 = 40;

/// How a column is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text that may be folded.
    Text,
    /// Text that is never folded.
    Fixed,
    /// A time, which may be cut to its date.
    Time,
    /// A number, set to the right.
    Number,
}

/// A column: its head and its kind.
pub(super) type Column = (&'static str, Kind);

const ROW: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("TYPE", Kind::Fixed),
    ("RDATA", Kind::Text),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
    ("TTL", Kind::Number),
    ("SENSORS", Kind::Text),
];
const TAGGED_ROW: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("TYPE", Kind::Fixed),
    ("RDATA", Kind::Text),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
    ("TTL", Kind::Number),
    TAGS,
    ("SENSORS", Kind::Text),
];
const TAGS: Column = ("TAGS", Kind::Text);
const SUM: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("RECORDS", Kind::Number),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
];
const TAGGED_SUM: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("RECORDS", Kind::Number),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
    TAGS,
];
const DAY: &[Column] = &[("DAY", Kind::Fixed), ("NEW NAMES", Kind::Number), ("", Kind::Fixed)];
const NEW: &[Column] = &[("RRNAME", Kind::Text), ("FIRST (UTC)", Kind::Time)];
const TAGGED_NEW: &[Column] = &[("RRNAME", Kind::Text), ("FIRST (UTC)", Kind::Time), TAGS];

/// The table renderer.
pub(super) struct Table {
    look: Look,
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(look: Look) -> Self {
        Self { look, columns: &[], rows: Vec::new() }
    }

    /// Columns and cells of an item. One sensor alone needs no column, nor does a store without tags.
    fn cells(&self, item: &Item<'_>) -> (&'static [Column], Vec<String>) {
        match *item {
            Item::Row(row) => {
                let (rrtype, right) = match &row.fact {
                    FactBuf::Record(rdata) => (rdata.rrtype, right(rdata.as_rdata())),
                    FactBuf::Negative { qtype, outcome } => (*qtype, format!("({outcome})")),
                };
                let seen = &row.seen;
                let tagged = !self.look.tags.is_empty();
                let mut columns = if tagged { TAGGED_ROW } else { ROW };
                let mut cells = vec![
                    row.rrname.to_string(),
                    rrtype.to_string(),
                    right,
                    seen.count.to_string(),
                    time(seen.time_first),
                    time(seen.time_last),
                    csv::text(ttl(seen, seen.ttl_max)),
                ];
                if tagged {
                    cells.push(judged::kinds(&self.look.tags.of_row(row)).join(" "));
                }
                if self.look.sensors.len() > 1 {
                    cells.push(self.look.sensors(seen.sensors).collect::<Vec<_>>().join(" "));
                } else {
                    columns = columns.split_last().map_or(columns, |(_, rest)| rest);
                }
                (columns, cells)
            }
            Item::Sum(sum) => {
                let cells = vec![
                    sum.rrname.to_string(),
                    sum.records.to_string(),
                    sum.count.to_string(),
                    time(sum.time_first),
                    time(sum.time_last),
                ];
                let tags = self.look.tags.of_name(sum.rrname.as_name());
                self.tagged((SUM, TAGGED_SUM), cells, &tags)
            }
            Item::Day { day, names, most } => {
                (DAY, vec![date(day), names.to_string(), bar(names, most)])
            }
            Item::New { rrname, time_first } => {
                let cells = vec![rrname.to_owned(), time(time_first)];
                self.tagged((NEW, TAGGED_NEW), cells, &field::of_text(&self.look, rrname))
            }
            Item::Tag(tag) => judged::tag_line(tag),
            Item::TagEvent(event) => judged::event_line(event),
            Item::Near(near, there) => judged::near_line(near, there),
            Item::Tie(tie) => judged::tie_line(tie),
        }
    }

    /// A line with its tags behind it, where the store has tags.
    fn tagged(
        &self,
        (without, with): (&'static [Column], &'static [Column]),
        mut cells: Vec<String>,
        tags: &[&Tag],
    ) -> judged::Line {
        if self.look.tags.is_empty() {
            return (without, cells);
        }
        cells.push(judged::kinds(tags).join(" "));
        (with, cells)
    }

    fn page(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let heads = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let kinds: Vec<Kind> = self.columns.iter().map(|&(_, kind)| kind).collect();
        write(heads, &kinds, std::mem::take(&mut self.rows), &self.look, out)
    }
}

impl Renderer for Table {
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (columns, cells) = self.cells(item);
        self.columns = columns;
        self.rows.push(cells);
        if self.rows.len() >= PAGE { self.page(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() { Ok(()) } else { self.page(out) }
    }

    fn retag(&mut self, tags: &Arc<TagSet>) {
        self.look.tags = Arc::clone(tags);
    }
}

/// RDATA for people: of a partial record only the host, since its other fields are unknown.
fn right(rdata: Rdata<'_>) -> String {
    match rdata.target() {
        Target::Name(host) if rdata.partial => host.to_string(),
        _ => rdata.to_text(FinalDot::Without),
    }
}

/// A bar for `part`, where `most` has the longest; nothing is no bar, and anything at least one mark.
fn bar(part: u64, most: u64) -> String {
    let length = part.saturating_mul(BAR).checked_div(most).unwrap_or(0);
    let length = if part > 0 { length.clamp(1, BAR) } else { 0 };
    "#".repeat(usize::try_from(length).unwrap_or(0))
}

fn time(at: u32) -> String {
    utc(at) + "Z"
}

/// Writes lines in columns.
fn write(
    heads: Vec<String>,
    kinds: &[Kind],
    rows: Vec<Vec<String>>,
    look: &Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| escape(cell).into_owned()).collect())
        .collect();
    if let Some(width) = look.width {
        fit(&heads, kinds, &mut rows, width.into());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads);
    table.add_rows(rows);
    for (column, kind) in table.column_iter_mut().zip(kinds) {
        column.set_padding((0, 2));
        if *kind == Kind::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (at, line) in table.lines().enumerate() {
        let line = line.trim_end();
        if at == 0 && look.bold {
            writeln!(out, "\x1b[1m{line}\x1b[0m")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Makes cells shorter, or folds them, until lines fit into `width`, as far as that can be.
fn fit(heads: &[String], kinds: &[Kind], rows: &mut [Vec<String>], width: usize) {
    let mut widths: Vec<usize> = heads.iter().map(String::len).collect();
    for row in rows.iter() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let gaps = GAP * kinds.len().saturating_sub(1);
    if widths.iter().sum::<usize>() + gaps <= width {
        return;
    }
    for (at, head) in heads.iter().enumerate().filter(|&(at, _)| kinds.get(at) == Some(&Kind::Time))
    {
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            cell.truncate(DATE);
        }
        if let Some(width) = widths.get_mut(at) {
            *width = head.len().max(DATE);
        }
    }
    let is_text = |at: &usize| kinds.get(*at) == Some(&Kind::Text);
    let taken: usize =
        widths.iter().enumerate().filter(|(at, _)| !is_text(at)).map(|(_, width)| width).sum();
    let mut room = width.saturating_sub(taken + gaps);
    // The narrowest takes what it needs, and the others share what it leaves.
    let mut texts: Vec<usize> = (0..widths.len()).filter(is_text).collect();
    texts.sort_by_key(|&at| widths.get(at));
    let mut left = texts.len();
    for at in texts {
        let share = (room / left).max(LEAST);
        let width = widths.get(at).map_or(share, |&width| width.min(share));
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            *cell = fold(cell, width);
        }
        room = room.saturating_sub(width);
        left -= 1;
    }
}

/// Text in lines of at most `width`, broken behind a dot or another mark if that leaves no line half
/// empty.
fn fold(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while rest.len() > width {
        let head = rest.get(..width).unwrap_or(rest);
        let end = head.rfind(['.', ' ', ':', '/', ',']).map_or(0, |at| at + 1);
        let (head, tail) = rest.split_at(if end > width / 2 { end } else { head.len() });
        out.push_str(head);
        out.push('\n');
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Writes lines of text in columns, for what is no [`Item`].
pub(super) fn text(
    heads: &[&str],
    rows: Vec<Vec<String>>,
    look: &Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let kinds = vec![Kind::Text; heads.len()];
    write(heads, &kinds, rows, look, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_at_the_end_of_a_label() {
        assert_eq!(fold("www.example.com", 15), "www.example.com");
        assert_eq!(fold("www.example.com", 14), "www.example.\ncom");
        assert_eq!(fold("a.bbbbbbbbbbbbbbbbbbbb", 10), "a.bbbbbbbb\nbbbbbbbbbb\nbb");
        assert_eq!(fold("", 10), "");
    }

    #[test]
    fn times_are_cut_before_text_is_folded() {
        let kinds = [Kind::Text, Kind::Time, Kind::Text];
        let heads = ["A", "B", "C"].map(str::to_owned);
        let row = ["www.example.com", "2026-11-24 02:22:58Z", "x"].map(str::to_owned).to_vec();
        let fitted = |width| {
            let mut rows = [row.clone()];
            fit(&heads, &kinds, &mut rows, width);
            let [row] = rows;
            row
        };
        assert_eq!(fitted(40), row);
        assert_eq!(fitted(39), ["www.example.com", "2026-11-24", "x"]);
        assert_eq!(fitted(28), ["www.example.\ncom", "2026-11-24", "x"]);
        assert_eq!(fitted(1), ["www.exam\nple.com", "2026-11-24", "x"]);
    }
}
