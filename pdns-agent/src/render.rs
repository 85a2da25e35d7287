//! Renders results as text: one [`Format`] for `--format`, HTTP and help alike.
//!
//! Above `query`, whose rows it takes, and below `cli` and `serve`, which choose the format and own the writer. A
//! renderer knows only items and a writer: no flags, no terminal, no socket.
//!
//! Names and RDATA are printable ASCII by construction. All other text from outside (paths, sensor names, tallies)
//! goes through [`escape`] or an encoder.

mod cells;
mod cof;
mod csv;
mod field;
mod json;
mod judged;
mod judgement;
mod paragraph;
mod plain;
mod plural;
mod profile;
mod score;
mod status;
mod table;

pub use cells::{Cell, CellValue};
pub(crate) use csv::safe as safe_cell;
pub(crate) use field::not_kept;
pub(crate) use json::{ascii as ascii_json, iso};
pub(crate) use judged::listing_words;
pub use judgement::{Judgements, training};
pub use plural::{counted, noun};
pub use profile::profile;
pub(crate) use profile::words;
pub use score::Scores;
pub(crate) use score::{ledger_rows, reasons, unknown, without_effect};
pub use status::status;

use crate::enrich::{Network, NetworkTables};
use crate::name::NameBuf;
use crate::observation::SENSOR_SEPARATOR;
use crate::query::{Group, Limits, NameSum, Near, Neighbour, OnAddress, TagSet};
use crate::record::StoredRecord;
use crate::sensors::SensorSet;
use crate::tag::{Tag, TagEvent};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// One item of a result. All items of one result are of the same kind.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A record or a negative answer.
    Record(&'a StoredRecord),
    /// A row with an additional value.
    Marked {
        /// The row.
        row: &'a StoredRecord,
        /// Name of the additional value.
        name: Mark,
        /// The additional value.
        mark: &'a str,
    },
    /// A name with the totals of its records.
    Sum(&'a NameSum),
    /// Rows that share a key, added up.
    Group {
        /// The totals.
        group: &'a Group,
        /// The type of key, in one lower-case word: `domain`, `address`, `rrtype`.
        by: &'static str,
    },
    /// The number of names, or domains, first seen on a day.
    Day {
        /// Days since 1970-01-01.
        day: u32,
        /// `names` or `domains`.
        of: &'static str,
        /// The number.
        names: u64,
        /// The largest `names` of the result, which has the longest bar.
        most: u64,
    },
    /// A name and the time when it was first seen.
    New {
        /// The name.
        rrname: &'a str,
        /// Seconds since the epoch.
        time_first: u32,
    },
    /// A tag.
    Tag(&'a Tag),
    /// A tag that stands for an indicator, and the tag that overrides it, if any.
    Indicator(&'a Tag, Option<&'a Tag>),
    /// Named values.
    Cells(&'a [Cell]),
    /// An entry of the history of tags.
    TagEvent(&'a TagEvent),
    /// A tagged address and its distance, with the names on it.
    Near(&'a Near<'a>, Option<&'a OnAddress>),
    /// An untagged subject that shares infrastructure with a threat, and the amount of data read to find it.
    Neighbour(&'a Neighbour, &'a Limits),
}

/// An additional value of a row, besides the stored data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The subject that the row answers, as typed, if there are several.
    Subject,
    /// The reason for which it is in the result.
    Why,
}

impl Mark {
    /// Returns the name that it has in every format; COF adds the prefix `pdns_`.
    fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Why => "why",
        }
    }
}

/// Scores of names, from 0 to 100.
pub type NameScores = HashMap<NameBuf, u8>;

/// Options for rendering, besides the format.
#[derive(Clone, Debug, Default)]
pub struct RenderOptions {
    /// Maximum width of a table, in columns of the terminal; `None` for as many as it needs.
    pub width: Option<u16>,
    /// True if the header of a table is bold, by an ANSI escape.
    pub bold: bool,
    /// Names of the sensors, by their number in a [`SensorSet`].
    pub sensors: Vec<String>,
    /// Tags that are shown beside names and addresses.
    pub tags: Arc<TagSet>,
    /// True if tables of records leave out the owner names, since all are the same.
    pub hides_owner: bool,
    /// Scores of owner names, from 0 to 100, if they were asked for; tables do not show them.
    pub scores: Option<Arc<NameScores>>,
    /// Tables of the networks that addresses are in, which are shown beside them.
    pub networks: Option<Arc<NetworkTables>>,
    /// URI of the server that answers, which is `origin` in COF; `None` without a server.
    pub origin: Option<String>,
}

impl RenderOptions {
    /// Returns the network of an address, if there are tables: empty without an address.
    fn network(&self, address: Option<IpAddr>) -> Option<Network> {
        let tables = self.networks.as_ref()?;
        Some(address.map(|address| tables.of(address)).unwrap_or_default())
    }

    /// Iterates over the names of the sensors in a set.
    fn sensors(&self, set: &SensorSet) -> impl Iterator<Item = &str> {
        set.names(&self.sensors)
    }

    /// Returns the names of the sensors in a set as one text.
    fn sensor_list(&self, set: &SensorSet) -> String {
        sensor_list(self.sensors(set))
    }
}

/// Joins the names of sensors, in the same way wherever they are listed.
fn sensor_list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut list = String::new();
    for name in names.filter(|name| !name.is_empty()) {
        if !list.is_empty() {
            list.push(SENSOR_SEPARATOR);
        }
        list.push_str(name);
    }
    list
}

/// Writes items in one format.
pub trait Renderer {
    /// Writes one item, or holds it until [`Renderer::end`].
    ///
    /// # Errors
    /// Errors of the writer.
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the items that were held back. Call it after the last item, even if there was none; a result that goes
    /// on for long may call it earlier, too.
    ///
    /// # Errors
    /// Errors of the writer.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Replaces the tags shown beside names and addresses of the items that follow.
    fn set_tags(&mut self, tags: &Arc<TagSet>);

    /// Replaces the scores of the owner names of the items that follow.
    fn set_scores(&mut self, _scores: &Arc<NameScores>) {}

    /// Returns the number of items that were left out because the format cannot represent them.
    fn left_out(&self) -> u64 {
        0
    }
}

/// A format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: aligned columns.
    Table,
    /// Passive DNS Common Output Format, a JSON object per line (draft-dulaunoy-dnsop-passive-dns-cof-12). It is for
    /// records; other items are the same as in [`Format::Json`].
    Cof,
    /// All data, a JSON object per line.
    Json,
    /// RFC 4180 with a header, safe to open in a spreadsheet.
    Csv,
    /// Name, type and RDATA, separated by tabs.
    Plain,
}

/// Properties of a [`Format`].
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
    /// Creates a renderer for one result.
    #[must_use]
    pub fn renderer(self, look: RenderOptions) -> Box<dyn Renderer> {
        match self {
            Self::Table => Box::new(table::Table::new(look)),
            Self::Cof => Box::new(cof::Cof::new(look)),
            Self::Json => Box::new(json::Json::new(look)),
            Self::Csv => Box::new(csv::Csv::new(look)),
            Self::Plain => Box::new(plain::Plain::new(look)),
        }
    }

    /// Returns the properties of the format.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "each format is in the list, as a test shows")]
    pub fn info(self) -> &'static FormatInfo {
        FORMATS.iter().find(|info| info.format == self).expect("each format is in the list")
    }
}

/// Text that is not the name of a format.
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

/// Replaces everything outside printable ASCII by `\u{..}`, so that the text can neither move a terminal's cursor nor
/// break a line.
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

/// Percent-encodes text as a part of a URL: all but unreserved characters (RFC 3986 §2.3).
#[must_use]
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            out.extend(format!("%{octet:02X}").chars());
        }
    }
    out
}

/// Formats seconds since the epoch in UTC: `2026-11-24 02:22:58`.
/// Formats the day of a time in seconds since the epoch: `2026-11-29`.
#[must_use]
pub fn utc_date(at: u32) -> String {
    date(at / 86_400)
}

pub(crate) fn utc(at: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(at)).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Formats days since 1970-01-01 in UTC: `2026-11-24`.
pub(crate) fn date(day: u32) -> String {
    let at = i64::from(day) * i64::from(crate::query::DAY);
    let time = jiff::Timestamp::from_second(at).unwrap_or_default();
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests;
