//! Zeek's ASCII writer: a header that names the columns, then one row per line.
//!
//! The format is defined by src/logging/writers/ascii/Ascii.cc and src/threading/formatters/Ascii.cc. A new
//! header may appear at any line, because files are concatenated and Zeek restarts. Columns are only found by
//! name: sites add, drop and reorder them.

use super::clock;
use super::row::{Columns, LogColumn, Query, RawValue, Row};
use crate::decode::Rejection;
use crate::hex;
use memchr::memmem;

/// Format of a log, as declared by its lines so far.
#[derive(Debug)]
pub(super) struct Header {
    /// Separator of columns, usually a tab.
    separator: Vec<u8>,
    /// Separator of the elements of a vector.
    set_separator: Vec<u8>,
    /// Marker for an empty string or vector.
    empty: Vec<u8>,
    /// Marker for an unset value.
    unset: Vec<u8>,
    /// True if `#path` names a DNS log; `None` before it.
    is_dns: Option<bool>,
    rows: TsvRows,
}

/// Kind of rows under a header.
#[derive(Debug)]
enum TsvRows {
    /// Not known yet.
    Unknown,
    /// Records of another log.
    Other,
    /// DNS records, but unusable.
    Unusable,
    /// DNS records: the field of each column, `None` for irrelevant ones.
    Dns(Vec<Option<LogColumn>>),
}

/// Kind of a parsed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A DNS record.
    Row,
    /// A record of another log.
    Other,
    /// A header line of bare names, written with the writer's `tsv` option.
    Header,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            separator: b"\t".to_vec(),
            set_separator: b",".to_vec(),
            empty: b"(empty)".to_vec(),
            unset: b"-".to_vec(),
            is_dns: None,
            rows: TsvRows::Unknown,
        }
    }
}

impl Header {
    /// Processes a line that begins with `#`; ignores irrelevant ones.
    pub(super) fn directive(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b"#").unwrap_or(line);
        if let Some(value) = line.strip_prefix(b"separator ") {
            // The first line of a header: the previous header ends here.
            *self = Self { separator: unescaped(value), ..Self::default() };
        } else if let Some(value) = self.value(line, b"set_separator") {
            self.set_separator = unescaped(value);
        } else if let Some(value) = self.value(line, b"empty_field") {
            self.empty = unescaped(value);
        } else if let Some(value) = self.value(line, b"unset_field") {
            self.unset = unescaped(value);
        } else if let Some(path) = self.value(line, b"path") {
            let is_dns = is_dns_path(path);
            self.is_dns = Some(is_dns);
            self.rows = if is_dns { TsvRows::Unknown } else { TsvRows::Other };
        } else if let Some(names) = self.value(line, b"fields") {
            self.rows = self.rows_under(names);
        }
    }

    fn value<'l>(&self, line: &'l [u8], key: &[u8]) -> Option<&'l [u8]> {
        line.strip_prefix(key)?.strip_prefix(self.separator.as_slice())
    }

    fn rows_under(&self, names: &[u8]) -> TsvRows {
        let is_usable = !self.separator.is_empty() && !self.set_separator.is_empty();
        match self.is_dns {
            Some(false) => TsvRows::Other,
            Some(true) if !is_usable => TsvRows::Unusable,
            is_dns => match self.columns(names) {
                Some(columns) => TsvRows::Dns(columns),
                None if is_dns.is_some() => TsvRows::Unusable,
                None => TsvRows::Other,
            },
        }
    }

    /// The field of each column, if `ts` and `query` are among them, or `rrname` in pdns.log.
    fn columns(&self, names: &[u8]) -> Option<Vec<Option<LogColumn>>> {
        let mut columns: Vec<Option<LogColumn>> = Vec::new();
        each(names, &self.separator, |name| {
            // If two columns have the same name, the first counts.
            columns.push(LogColumn::named(name).filter(|field| !columns.contains(&Some(*field))));
            true
        });
        let has = |field| columns.contains(&Some(field));
        let has_name = has(LogColumn::Query) || (has(LogColumn::Rrname) && has(LogColumn::Rrtype));
        (has(LogColumn::Ts) && has_name).then_some(columns)
    }

    /// Returns true if the kind of rows is known.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self.rows, TsvRows::Unknown)
    }

    /// Processes a line of bare column names, and returns true if it is one.
    ///
    /// A row cannot be mistaken for it, because `ts` is not a valid time.
    pub(super) fn bare(&mut self, line: &[u8]) -> bool {
        if self.is_dns == Some(false) {
            return false;
        }
        match self.columns(line) {
            Some(columns) => {
                self.rows = TsvRows::Dns(columns);
                true
            }
            None => false,
        }
    }

    /// Reads one row into `row`. Its vectors are written to `columns`, and so is its query if it contains
    /// escapes.
    ///
    /// # Errors
    /// [`Rejection::NoHeader`], [`Rejection::UnusableHeader`] or [`Rejection::ColumnCount`].
    pub(super) fn row<'l>(
        &mut self,
        line: &'l [u8],
        row: &mut Row<'l>,
        columns: &mut Columns,
    ) -> Result<Parsed, Rejection> {
        let rejection = match &self.rows {
            TsvRows::Other => return Ok(Parsed::Other),
            TsvRows::Unusable => return Err(Rejection::UnusableHeader),
            TsvRows::Unknown => Rejection::NoHeader,
            TsvRows::Dns(fields) => {
                let count_fits = self.cells(fields, line, row, columns);
                if count_fits && row.ts != RawValue::Text(b"ts") {
                    return Ok(Parsed::Row);
                }
                Rejection::ColumnCount
            }
        };
        // In a log in `tsv` mode, a header is only recognisable as an invalid row.
        if self.bare(line) { Ok(Parsed::Header) } else { Err(rejection) }
    }

    /// Stores each cell in its field; `false` if their number differs from that of the columns.
    fn cells<'l>(
        &self,
        fields: &[Option<LogColumn>],
        line: &'l [u8],
        row: &mut Row<'l>,
        columns: &mut Columns,
    ) -> bool {
        let mut fields = fields.iter();
        let mut too_many = false;
        each(line, &self.separator, |cell| {
            match fields.next() {
                Some(Some(field)) => self.cell(*field, cell, row, columns),
                Some(None) => {}
                None => too_many = true,
            }
            !too_many
        });
        !too_many && fields.next().is_none()
    }

    fn cell<'l>(&self, field: LogColumn, cell: &'l [u8], row: &mut Row<'l>, columns: &mut Columns) {
        if cell == self.unset {
            return;
        }
        match field {
            LogColumn::Query if cell == self.empty => row.query = Query::InLine(b""),
            LogColumn::Query if memchr::memchr(b'\\', cell).is_none() => {
                row.query = Query::InLine(cell);
            }
            LogColumn::Query => {
                unescape(cell, &mut columns.query);
                row.query = Query::Unescaped;
            }
            LogColumn::Answers => self.elements(cell, |element| {
                if element == self.unset {
                    columns.answers.push_unset();
                } else if element == self.empty {
                    columns.answers.push_with(|_| {});
                } else {
                    columns.answers.push_with(|out| unescape(element, out));
                }
            }),
            LogColumn::Rdata => self.elements(cell, |element| {
                if element == self.unset {
                    columns.rdata.push_unset();
                } else {
                    columns.rdata.push_with(|out| unescape(element, out));
                }
            }),
            LogColumn::Ttls => self.elements(cell, |element| {
                columns.answers.push_ttl(clock::ttl(RawValue::Text(element)));
            }),
            _ => {
                if let Some(slot) = row.slot(field) {
                    *slot = RawValue::Text(cell);
                }
            }
        }
    }

    /// Calls `element` for each set element of a vector, still with its escapes.
    fn elements(&self, cell: &[u8], mut element: impl FnMut(&[u8])) {
        // Split first: a separator within an element is written as `\xHH`.
        if cell != self.empty {
            each(cell, &self.set_separator, |part| {
                element(part);
                true
            });
        }
    }
}

/// Returns true if a log of this name contains DNS records: `dns`, a filter's `dns_...`, or
/// `json_streaming_dns`; or the same with `pdns`.
pub(super) fn is_dns_path(path: &[u8]) -> bool {
    [&b"dns"[..], b"pdns"].into_iter().any(|log| {
        let begins = path.strip_prefix(log).is_some_and(|rest| matches!(rest, [] | [b'_', ..]));
        begins || path.strip_suffix(log).is_some_and(|rest| rest.ends_with(b"_"))
    })
}

/// Calls `part` for each part of `text` between separators until it returns `false`. An empty separator does
/// not split.
#[inline]
fn each<'t>(text: &'t [u8], separator: &[u8], part: impl FnMut(&'t [u8]) -> bool) {
    match separator {
        [] => between(text, std::iter::empty(), 0, part),
        [octet] => between(text, memchr::memchr_iter(*octet, text), 1, part),
        octets => between(text, memmem::find_iter(text, octets), octets.len(), part),
    }
}

#[inline]
fn between<'t>(
    text: &'t [u8],
    ends: impl Iterator<Item = usize>,
    width: usize,
    mut part: impl FnMut(&'t [u8]) -> bool,
) {
    let mut start = 0;
    for end in ends {
        if !part(text.get(start..end).unwrap_or_default()) {
            return;
        }
        start = end + width;
    }
    part(text.get(start..).unwrap_or_default());
}

/// Appends `raw` without its escapes: `\\` is a backslash, `\xHH` an octet. Zeek writes no others; a
/// backslash before anything else represents itself.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (octet, width) = match escape {
            [_, b'\\', ..] => (b'\\', 2),
            [_, b'x', high, low, ..] => match (hex::digit(*high), hex::digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            _ => (b'\\', 1),
        };
        out.push(octet);
        rest = escape.get(width..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw, &mut out);
    out
}
