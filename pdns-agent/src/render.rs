//! Answers as text: one [`Format`] for `--format`, for HTTP and for help alike.
//!
//! Above `query`, whose rows it takes, and below `cli` and `serve`, which choose the format and own the
//! writer. A renderer knows items and a writer: no flags, no terminal, no socket.
//!
//! Names and RDATA are printable ASCII by construction. Everything else that came from outside (paths,
//! sensor names, tallies) goes through [`escape`] or an encoder.

mod cof;
mod csv;
mod field;
mod json;
mod judged;
mod plain;
mod plural;
mod profile;
mod status;
mod table;

pub(crate) use csv::safe as safe_cell;
pub use plural::{counted, noun};
pub use profile::profile;
pub(crate) use profile::words;
pub use status::status;

use crate::query::{Group, Limits, NameSum, Near, Neighbour, OnAddress, TagSet};
use crate::record::StoredRecord;
use crate::tag::{Tag, TagEvent};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

/// One line of an answer. All items of one answer are of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A record or a negative answer.
    Record(&'a StoredRecord),
    /// A row, and one thing more that the answer says of it.
    Marked {
        /// The row.
        row: &'a StoredRecord,
        /// What the mark is called.
        name: Mark,
        /// What it says.
        mark: &'a str,
    },
    /// A name with the sum of its records.
    Sum(&'a NameSum),
    /// Rows that share something, added up.
    Group {
        /// The sums.
        group: &'a Group,
        /// What is shared, in one lower-case word: `domain`, `address`, `rrtype`.
        by: &'static str,
    },
    /// How many names, or domains, were first seen on a day.
    Day {
        /// Days since 1970-01-01.
        day: u32,
        /// `names` or `domains`.
        of: &'static str,
        /// How many.
        names: u64,
        /// The largest `names` of the answer, which has the longest bar.
        most: u64,
    },
    /// A name and when it was first seen.
    New {
        /// The name.
        rrname: &'a str,
        /// Seconds since the epoch.
        time_first: u32,
    },
    /// A tag.
    Tag(&'a Tag),
    /// An entry of the history of tags.
    TagEvent(&'a TagEvent),
    /// A tagged address and how near it is, with what is on it.
    Near(&'a Near<'a>, Option<&'a OnAddress>),
    /// Something untagged that shares infrastructure with a threat, and how much was read to find it.
    Neighbour(&'a Neighbour, &'a Limits),
}

/// What is said of a row beside what is stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Which of several subjects it answers, as that was typed.
    Subject,
    /// Why it is in the answer.
    Why,
}

impl Mark {
    /// Its name in every format; COF has it behind `pdns_`.
    fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Why => "why",
        }
    }
}

/// How an answer is to look, beside its format.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The columns that a table may take; `None` for as many as it needs.
    pub width: Option<u16>,
    /// Whether the head of a table is bold, by an ANSI escape.
    pub bold: bool,
    /// Names of the sensors, by their bit in [`crate::observation::Seen::sensors`].
    pub sensors: Vec<String>,
    /// The tags that are shown beside names and addresses.
    pub tags: Arc<TagSet>,
    /// Whether tables of records leave out the owner names, since all have the same.
    pub hides_owner: bool,
    /// The URI of the server that answers, which COF has as `origin`; `None` where no server does.
    pub origin: Option<String>,
}

impl Look {
    /// The names of the sensors in a bit set.
    fn sensors(&self, bits: u32) -> impl Iterator<Item = &str> {
        let names = self.sensors.iter().take(32).enumerate();
        names.filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| name.as_str())
    }
}

/// Writes items in one format.
pub trait Renderer {
    /// Writes one item, or holds it until [`Renderer::end`].
    ///
    /// # Errors
    /// What the writer says.
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what was held back. To be called after the last item, also when there was none; an answer that
    /// goes on for long may call it before, too.
    ///
    /// # Errors
    /// What the writer says.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// From now on these tags are shown beside names and addresses.
    fn retag(&mut self, tags: &Arc<TagSet>);

    /// How many items the format could not hold and left out.
    fn left_out(&self) -> u64 {
        0
    }
}

/// A way to write answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: aligned columns.
    Table,
    /// Passive DNS Common Output Format, a JSON object per line
    /// (draft-dulaunoy-dnsop-passive-dns-cof-12). It is for records; other items are as [`Format::Json`].
    Cof,
    /// All that is known, a JSON object per line.
    Json,
    /// RFC 4180 with a head, safe to open in a spreadsheet.
    Csv,
    /// Name, type and RDATA with tabs between.
    Plain,
}

/// What there is to say of a [`Format`].
#[derive(Clone, Copy, Debug)]
pub struct FormatInfo {
    /// The format.
    pub format: Format,
    /// Its name on the command line and in a URL.
    pub name: &'static str,
    /// Its media type (RFC 6838).
    pub media: &'static str,
    /// One line of help.
    pub help: &'static str,
}

/// All formats.
pub const FORMATS: &[FormatInfo] = &[
    FormatInfo {
        format: Format::Table,
        name: "table",
        media: "text/plain; charset=utf-8",
        help: "aligned columns, for people",
    },
    FormatInfo {
        format: Format::Cof,
        name: "cof",
        media: "application/x-ndjson",
        help: "passive DNS Common Output Format, one JSON object a line",
    },
    FormatInfo {
        format: Format::Json,
        name: "json",
        media: "application/x-ndjson",
        help: "all that is known, one JSON object a line",
    },
    FormatInfo {
        format: Format::Csv,
        name: "csv",
        media: "text/csv; charset=utf-8; header=present",
        help: "comma-separated with a head, safe to open in a spreadsheet",
    },
    FormatInfo {
        format: Format::Plain,
        name: "plain",
        media: "text/tab-separated-values; charset=utf-8",
        help: "name, type and RDATA with tabs between",
    },
];

impl Format {
    /// A renderer for one answer.
    #[must_use]
    pub fn renderer(self, look: Look) -> Box<dyn Renderer> {
        match self {
            Self::Table => Box::new(table::Table::new(look)),
            Self::Cof => Box::new(cof::Cof::new(look)),
            Self::Json => Box::new(json::Json::new(look)),
            Self::Csv => Box::new(csv::Csv::new(look)),
            Self::Plain => Box::new(plain::Plain::new(look)),
        }
    }

    /// What there is to say of it.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "each format is in the list, as a test shows")]
    pub fn info(self) -> &'static FormatInfo {
        FORMATS.iter().find(|info| info.format == self).expect("each format is in the list")
    }
}

/// Text that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no format: give table, cof, json, csv or plain")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let info = FORMATS.iter().find(|info| info.name.eq_ignore_ascii_case(text));
        info.map(|info| info.format).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.info().name)
    }
}

/// `text` with everything outside printable ASCII as `\u{..}`, so that it can neither move a terminal's
/// cursor nor break a line.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    let printable = |letter: char| letter == ' ' || letter.is_ascii_graphic();
    if text.chars().all(printable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if printable(letter) { out.push(letter) } else { out.extend(letter.escape_unicode()) }
    }
    Cow::Owned(out)
}

/// Text as a part of a URL: all but unreserved characters escaped (RFC 3986 §2.3).
#[must_use]
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            // A String takes all that is written to it.
            out.extend(format!("%{octet:02X}").chars());
        }
    }
    out
}

/// `2026-11-24 02:22:58` in UTC, of seconds since the epoch.
fn utc(at: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(at)).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2026-11-24` in UTC, of days since 1970-01-01.
fn date(day: u32) -> String {
    let at = i64::from(day) * i64::from(crate::query::DAY);
    let time = jiff::Timestamp::from_second(at).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests;
