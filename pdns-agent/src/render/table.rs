//! Aligned columns for people, fitted to a width.
//!
//! Column widths depend on all rows, so rows are held back and written [`PAGE`] at a time, each page
//! with its head.

use super::field::ttl;
use super::{Item, Look, Renderer, csv, date, escape, utc};
use crate::rdata::{FinalDot, Rdata, Target};
use crate::store::FactBuf;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, presets};
use std::io::{self, Write};

/// Rows of one page.
const PAGE: usize = 1_000;
/// Below this width times are shown as dates, so that names and RDATA have room.
const NARROW: u16 = 110;
/// Columns of the longest bar.
const BAR: u64 = 40;

/// How a column is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text that may be folded.
    Text,
    /// Text that is never folded.
    Fixed,
    /// A number, set to the right.
    Number,
}

/// A column: its head and its kind.
type Column = (&'static str, Kind);

const ROW: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("TYPE", Kind::Fixed),
    ("RDATA", Kind::Text),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Fixed),
    ("LAST (UTC)", Kind::Fixed),
    ("TTL", Kind::Number),
    ("SENSORS", Kind::Text),
];
const SUM: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("RECORDS", Kind::Number),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Fixed),
    ("LAST (UTC)", Kind::Fixed),
];
const DAY: &[Column] = &[("DAY", Kind::Fixed), ("NEW NAMES", Kind::Number), ("", Kind::Fixed)];
const NEW: &[Column] = &[("RRNAME", Kind::Text), ("FIRST (UTC)", Kind::Fixed)];

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

    fn time(&self, at: u32) -> String {
        if self.look.width.is_some_and(|width| width < NARROW) {
            date(at / crate::query::DAY)
        } else {
            utc(at) + "Z"
        }
    }

    /// Columns and cells of an item. One sensor alone needs no column.
    fn cells(&self, item: &Item<'_>) -> (&'static [Column], Vec<String>) {
        match *item {
            Item::Row(row) => {
                let (rrtype, right) = match &row.fact {
                    FactBuf::Record(rdata) => (rdata.rrtype, right(rdata.as_rdata())),
                    FactBuf::Negative { qtype, outcome } => (*qtype, format!("({outcome})")),
                };
                let seen = &row.seen;
                let mut columns = ROW;
                let mut cells = vec![
                    row.rrname.to_string(),
                    rrtype.to_string(),
                    right,
                    seen.count.to_string(),
                    self.time(seen.time_first),
                    self.time(seen.time_last),
                    csv::text(ttl(seen, seen.ttl_max)),
                ];
                if self.look.sensors.len() > 1 {
                    cells.push(self.look.sensors(seen.sensors).collect::<Vec<_>>().join(" "));
                } else {
                    columns = columns.split_last().map_or(columns, |(_, rest)| rest);
                }
                (columns, cells)
            }
            Item::Sum(sum) => (
                SUM,
                vec![
                    sum.rrname.to_string(),
                    sum.records.to_string(),
                    sum.count.to_string(),
                    self.time(sum.time_first),
                    self.time(sum.time_last),
                ],
            ),
            Item::Day { day, names, most } => {
                (DAY, vec![date(day), names.to_string(), bar(names, most)])
            }
            Item::New { rrname, time_first } => {
                (NEW, vec![rrname.to_owned(), self.time(time_first)])
            }
        }
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

/// Writes lines in columns.
fn write(
    heads: Vec<String>,
    kinds: &[Kind],
    rows: Vec<Vec<String>>,
    look: &Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads);
    for row in rows {
        table.add_row(row.iter().map(|cell| escape(cell)));
    }
    if let Some(width) = look.width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    for (column, kind) in table.column_iter_mut().zip(kinds) {
        column.set_padding((0, 2));
        match kind {
            Kind::Text => {}
            Kind::Fixed => {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
            Kind::Number => {
                column.set_constraint(ColumnConstraint::ContentWidth);
                column.set_cell_alignment(CellAlignment::Right);
            }
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
