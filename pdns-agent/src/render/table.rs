//! Aligned columns for people, fitted to a width.
//!
//! Column widths depend on all rows, so rows are held back and written [`PAGE`] at a time, each page with its header.
//! A table that is too wide first drops the hours of its times; then names and RDATA are folded, if possible at the
//! end of a label.

use super::field::ttl;
use super::{Item, Mark, RenderOptions, Renderer, csv, date, escape, field, judged, utc};
use crate::name::{Name, display::unicode};
use crate::observation::Seen;
use crate::query::{GroupKey, NameSum, Subject, TagSet, printed, printed_name};
use crate::rdata::{FinalDot, Rdata, Target};
use crate::record::{FactBuf, StoredRecord};
use crate::tag::Tag;
use comfy_table::{CellAlignment, presets};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// Number of rows in one page.
const PAGE: usize = 1_000;
/// Number of spaces between two columns of the table.
const GAP: usize = 2;
/// Width of a time that is shortened for lack of room: `2026-11-24`.
const DATE: usize = 10;
/// Minimum width to which text is folded.
const LEAST: usize = 8;
/// Width of the longest bar.
const BAR: u64 = 40;

/// The layout of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text that may be folded.
    Text,
    /// Text that is folded only as a last resort.
    Fixed,
    /// Words that are never broken, but folded at spaces, colons and commas.
    Words,
    /// A time, which may be cut to its date.
    Time,
    /// A number, aligned to the right.
    Number,
}

/// A column: its header and its kind.
pub(super) type Column = (&'static str, Kind);

const ROW: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("TYPE", Kind::Fixed),
    ("RDATA", Kind::Text),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
    ("TTL", Kind::Number),
];
const SENSORS: Column = ("SENSORS", Kind::Text);
const TAGS: Column = ("TAGS", Kind::Words);
const NETWORK: Column = ("NETWORK", Kind::Fixed);
/// Width of a table from which the names of organisations have room beside addresses.
const WIDE: u16 = 140;
const SUM: &[Column] = &[
    ("RRNAME", Kind::Text),
    ("RECORDS", Kind::Number),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
];
const DAY: &[Column] = &[("DAY", Kind::Fixed), ("NEW NAMES", Kind::Number), ("", Kind::Fixed)];
/// Width of a day's columns beside the bar.
const DAY_WIDTH: usize = 10 + GAP + 11 + GAP;
const SUBJECT: Column = ("SUBJECT", Kind::Text);
const WHY: Column = ("WHY", Kind::Fixed);
/// The columns of a group, after its key.
const GROUP: &[Column] = &[
    ("NAMES", Kind::Number),
    ("RECORDS", Kind::Number),
    ("COUNT", Kind::Number),
    ("FIRST (UTC)", Kind::Time),
    ("LAST (UTC)", Kind::Time),
];
const NEW: &[Column] = &[("RRNAME", Kind::Text), ("FIRST (UTC)", Kind::Time)];

/// The table renderer.
pub(super) struct Table {
    look: RenderOptions,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(look: RenderOptions) -> Self {
        Self { look, columns: Vec::new(), rows: Vec::new() }
    }

    /// Returns the columns and cells of an item.
    fn cells(&self, item: &Item<'_>) -> (Vec<Column>, Vec<String>) {
        match *item {
            Item::Record(row) => self.row(row),
            Item::Marked { row, name, mark } => {
                let (mut columns, mut cells) = self.row(row);
                columns.push(match name {
                    Mark::Subject => SUBJECT,
                    Mark::Why => WHY,
                });
                cells.push(mark.to_owned());
                (columns, cells)
            }
            Item::Sum(NameSum { rrname, sum }) => {
                let cells = vec![
                    printed_name(rrname),
                    sum.records.to_string(),
                    field::count(sum.count, sum.is_least),
                    time(sum.time_first),
                    time(sum.time_last),
                ];
                self.tagged(SUM.to_vec(), cells, &self.look.tags.of_name(rrname.as_name()))
            }
            Item::Group { group, by } => {
                let (head, kind, key) = match (&group.key, by) {
                    (GroupKey::Name(name), "domain") => ("DOMAIN", Kind::Text, printed_name(name)),
                    (GroupKey::Name(name), _) => ("RRNAME", Kind::Text, printed_name(name)),
                    (GroupKey::Address(address), _) => ("ADDRESS", Kind::Text, address.to_string()),
                    (GroupKey::RrType(rrtype), _) => ("TYPE", Kind::Fixed, rrtype.to_string()),
                    (GroupKey::Depth(depth), _) => ("LABELS", Kind::Number, depth.to_string()),
                };
                let columns = std::iter::once((head, kind)).chain(GROUP.iter().copied());
                let cells = vec![
                    key,
                    group.names.to_string(),
                    group.records.to_string(),
                    field::count(group.count, group.is_least),
                    time(group.time_first),
                    time(group.time_last),
                ];
                let tags = field::of_key(&self.look, &group.key);
                let (mut columns, mut cells) = self.tagged(columns.collect(), cells, &tags);
                if let GroupKey::Address(address) = group.key {
                    self.network(Some(address), &mut columns, &mut cells);
                }
                (columns, cells)
            }
            Item::Day { day, of, names, most } => {
                let mut columns = DAY.to_vec();
                if let Some(column) = columns.get_mut(1).filter(|_| of == "domains") {
                    column.0 = "NEW DOMAINS";
                }
                let bar = bar(names, most, self.bar());
                (columns, vec![date(day), names.to_string(), bar])
            }
            Item::New { rrname, time_first } => {
                let shown = Name::from_canonical(rrname).map(|name| printed_name(&name.to_buf()));
                let cells = vec![shown.unwrap_or_else(|_| rrname.to_owned()), time(time_first)];
                self.tagged(NEW.to_vec(), cells, &field::of_text(&self.look, rrname))
            }
            Item::Tag(tag) => owned(judged::tag_line(tag)),
            Item::Indicator(tag, by) => owned(judged::indicator_line(tag, by)),
            Item::Cells(cells) => super::cells::line(cells),
            Item::TagEvent(event) => owned(judged::event_line(event)),
            Item::Near(near, there) => owned(judged::near_line(near, there)),
            Item::Neighbour(neighbour, _) => owned(judged::neighbour_line(neighbour)),
        }
    }

    /// Returns the columns and cells of a row. A single sensor needs no column.
    fn row(&self, row: &StoredRecord) -> (Vec<Column>, Vec<String>) {
        let (rrtype, right) = match (&row.fact, &row.unkept) {
            (FactBuf::Record(rdata), Some(unkept)) => (rdata.rrtype, field::not_kept(unkept)),
            (FactBuf::Record(rdata), None) => (rdata.rrtype, right(rdata.as_rdata())),
            (FactBuf::Negative { qtype, outcome }, Some(unkept)) => {
                (*qtype, format!("({outcome}) {}", field::not_kept(unkept)))
            }
            (FactBuf::Negative { qtype, outcome }, None) => (*qtype, format!("({outcome})")),
        };
        let seen = &row.seen;
        // A name that has a real `*` label is printed with a backslash.
        let owner = row.unkept_below().map(|domain| printed(&Subject::Below(domain)));
        let cells = vec![
            owner.unwrap_or_else(|| printed_name(&row.rrname)),
            rrtype.to_string(),
            right,
            count(seen),
            time(seen.time_first),
            time(seen.time_last),
            csv::text(ttl(seen, seen.ttl_max)),
        ];
        let tags = judged::row_kinds(&self.look.tags.of_row(row));
        let (mut columns, mut cells) = self.with_tags(ROW.to_vec(), cells, tags);
        if self.look.hides_owner {
            columns.remove(0);
            cells.remove(0);
        }
        self.network(row.address(), &mut columns, &mut cells);
        if self.look.sensors.len() > 1 {
            columns.push(SENSORS);
            cells.push(self.look.sensor_list(&row.sensors));
        }
        (columns, cells)
    }

    /// Returns a line with its tags appended, if the store has tags.
    fn tagged(
        &self,
        columns: Vec<Column>,
        cells: Vec<String>,
        tags: &[&Tag],
    ) -> (Vec<Column>, Vec<String>) {
        self.with_tags(columns, cells, judged::kinds(tags).join(" "))
    }

    fn with_tags(
        &self,
        mut columns: Vec<Column>,
        mut cells: Vec<String>,
        tags: String,
    ) -> (Vec<Column>, Vec<String>) {
        if self.look.tags.is_of_tagged_store() {
            columns.push(TAGS);
            cells.push(tags);
        }
        (columns, cells)
    }

    /// Appends the network of an address, if there are tables: without its organisation if the table is narrow.
    fn network(&self, address: Option<IpAddr>, columns: &mut Vec<Column>, cells: &mut Vec<String>) {
        let Some(mut network) = self.look.network(address) else { return };
        if self.look.width.is_some_and(|width| width < WIDE) {
            network.organisation = None;
        }
        columns.push(NETWORK);
        cells.push(network.to_string());
    }

    /// Returns the width of the longest bar.
    fn bar(&self) -> u64 {
        let room =
            self.look.width.map_or(BAR, |width| u64::from(width).saturating_sub(DAY_WIDTH as u64));
        room.clamp(1, BAR)
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
        if let Item::Neighbour(neighbour, _) = item {
            self.rows.extend(judged::further_lines(neighbour));
        }
        if self.rows.len() >= PAGE { self.page(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() { Ok(()) } else { self.page(out) }
    }

    fn set_tags(&mut self, tags: &Arc<TagSet>) {
        self.look.tags = Arc::clone(tags);
    }
}

fn owned((columns, cells): judged::Line) -> (Vec<Column>, Vec<String>) {
    (columns.to_vec(), cells)
}

/// Formats the count of a row, with a word if no sensor of this store counted it.
fn count(seen: &Seen) -> String {
    let count = field::count(seen.count, seen.is_count_saturated());
    if seen.is_imported() { format!("{count} imported") } else { count }
}

/// Formats RDATA for people: for a partial record only the host, since its other fields are unknown.
fn right(rdata: Rdata<'_>) -> String {
    match rdata.target() {
        Target::Name(host) if rdata.partial => host.to_string(),
        _ => rdata.to_text(FinalDot::Without),
    }
}

/// Draws a bar for `part`, where `most` has the longest; zero has no bar, and anything else has at least one mark.
fn bar(part: u64, most: u64, room: u64) -> String {
    let length = part.saturating_mul(room).checked_div(most).unwrap_or(0);
    let length = if part > 0 { length.clamp(1, room) } else { 0 };
    "#".repeat(usize::try_from(length).unwrap_or(0))
}

fn time(at: u32) -> String {
    utc(at) + "Z"
}

/// Writes lines in columns.
pub(super) fn write(
    heads: Vec<String>,
    kinds: &[Kind],
    rows: Vec<Vec<String>>,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| with_unicode(escape(cell).into_owned())).collect())
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

/// Appends the Unicode form to each name in a cell that has one; this is the only text of a table that is not ASCII.
fn with_unicode(cell: String) -> String {
    if !cell.contains("xn--") {
        return cell;
    }
    let words = cell.split(' ').map(|word| {
        let name = word.trim_start_matches(['\\', '*', '.']);
        let form = Name::from_canonical(name).ok().and_then(unicode);
        form.map_or_else(|| word.to_owned(), |form| format!("{word} {}", form.note()))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Shortens or folds cells until lines fit into `width`, as far as possible.
fn fit(heads: &[String], kinds: &[Kind], rows: &mut [Vec<String>], width: usize) {
    let mut widths: Vec<usize> = heads.iter().map(String::len).collect();
    for row in rows.iter() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
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
    for (at, head) in
        heads.iter().enumerate().filter(|&(at, _)| kinds.get(at) == Some(&Kind::Words))
    {
        let cells = || rows.iter().filter_map(|row| row.get(at));
        let words = |cell: &str| cell.replace(' ', "\n").replace(':', ":\n").replace(',', ",\n");
        let longest = cells()
            .flat_map(|cell| words(cell).lines().map(UnicodeWidthStr::width).collect::<Vec<_>>());
        let longest = longest.max().unwrap_or(0).max(head.len());
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            *cell = words(cell);
        }
        if let Some(width) = widths.get_mut(at) {
            *width = longest;
        }
    }
    let of_kinds = |folded: &[Kind]| -> (Vec<usize>, usize) {
        let (texts, others): (Vec<usize>, Vec<usize>) = (0..widths.len())
            .partition(|at| kinds.get(*at).is_some_and(|kind| folded.contains(kind)));
        let taken: usize = others.iter().filter_map(|&at| widths.get(at)).sum();
        (texts, width.saturating_sub(taken + gaps))
    };
    let (mut texts, mut room) = of_kinds(&[Kind::Text]);
    if room < LEAST * texts.len() {
        (texts, room) = of_kinds(&[Kind::Text, Kind::Fixed]);
    }
    // The narrowest takes what it needs, and the others share the rest.
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

/// Folds text into lines of at most `width`, broken after a dot or another mark unless that leaves a line half empty.
fn fold(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while rest.width() > width {
        let head = start(rest, width);
        let end = head.rfind(['.', ' ', ':', '/', ',']).map_or(0, |at| at + 1);
        let (head, tail) = rest.split_at(if end > head.len() / 2 { end } else { head.len() });
        out.push_str(head);
        out.push('\n');
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Returns as much of the start of a text as `width` columns hold, at least one character.
fn start(text: &str, width: usize) -> &str {
    let ends = text.char_indices().skip(1).map(|(at, _)| at);
    let mut start = text.chars().next().map_or(0, char::len_utf8);
    for end in ends.take_while(|&end| text.get(..end).is_some_and(|head| head.width() <= width)) {
        start = end;
    }
    text.get(..start).unwrap_or(text)
}

/// Writes rows in columns of their own.
pub(super) fn lines(
    columns: &[Column],
    rows: Vec<Vec<String>>,
    look: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let kinds: Vec<Kind> = columns.iter().map(|&(_, kind)| kind).collect();
    write(heads, &kinds, rows, look, out)
}

/// Writes lines of text in columns, for text that is not an [`Item`].
pub(super) fn text(
    heads: &[&str],
    rows: Vec<Vec<String>>,
    look: &RenderOptions,
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
        let kinds = [Kind::Text, Kind::Time, Kind::Fixed];
        let heads = ["A", "B", "C"].map(str::to_owned);
        let mut rows = [["www.example.com", "2026-11-24 02:22:58Z", "parking-name-server"]
            .map(str::to_owned)
            .to_vec()];
        fit(&heads, &kinds, &mut rows, 42);
        assert_eq!(rows[0], ["www.examp\nle.com", "2026-11-24", "parking-name-server"]);
        fit(&heads, &kinds, &mut rows, 36);
        assert_eq!(rows[0][2], "parking-nam\ne-server");
    }
}
