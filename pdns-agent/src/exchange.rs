//! Lists for other programs: Zeek's Intel framework, Suricata's data sets and Security Onion. And the readers of what
//! others list, in [`intel`].
//!
//! Beside `render`, above `query`, whose subjects and descriptions it takes. Each format has a file here. Nothing in
//! a list may break the program that reads it: names come from strangers, and notes are free text.

pub mod intel;
mod ip_descriptions;
mod page;
mod suricata_dataset;
mod zeek_intel;

pub use page::{PageUrl, PageUrlError};

use crate::query::{Described, ExportItem, TagSet, typed_tag};
use crate::render::{Format, Item, RenderOptions, Renderer};
use crate::tag::TagSubject;
use std::io::{self, Write};
use std::str::FromStr;

/// A list format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// A file of Zeek's Intel framework.
    ZeekIntel,
    /// A data set of Suricata, of strings.
    SuricataDataset,
    /// The names that Security Onion shows beside addresses.
    IpDescriptions,
    /// Tags in the format of `pdns tag list --format csv`.
    Csv,
    /// Subjects, one per line, as `pdns tag import` reads them.
    Plain,
}

/// Properties of a [`List`].
#[derive(Clone, Copy, Debug)]
pub struct ListInfo {
    /// The list.
    pub list: List,
    /// Its name on the command line.
    pub name: &'static str,
    /// Name of its command in a sentence.
    pub command: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Maximum number of lines by default; 0 for all.
    pub most: usize,
}

/// All lists.
pub const LISTS: &[ListInfo] = &[
    ListInfo {
        list: List::ZeekIntel,
        name: "zeek-intel",
        command: "export --format zeek-intel",
        help: "names, addresses and prefixes for Zeek's Intel framework",
        most: 100_000,
    },
    ListInfo {
        list: List::SuricataDataset,
        name: "suricata-dataset",
        command: "export --format suricata-dataset",
        help: "names for Suricata's `dataset` of type string",
        most: 500_000,
    },
    ListInfo {
        list: List::IpDescriptions,
        name: "ip-descriptions",
        command: "export --format ip-descriptions",
        help: "a name for each IPv4 address, for Security Onion",
        most: 50_000,
    },
    ListInfo {
        list: List::Csv,
        name: "csv",
        command: "export --format csv",
        help: "tags as pdns tag list --format csv has them",
        most: 0,
    },
    ListInfo {
        list: List::Plain,
        name: "plain",
        command: "export --format plain",
        help: "subjects, one a line, as pdns tag import takes them",
        most: 0,
    },
];

/// Text that is not the name of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list: give zeek-intel, suricata-dataset, ip-descriptions, csv or plain")]
pub struct UnknownList(String);

impl FromStr for List {
    type Err = UnknownList;

    fn from_str(text: &str) -> Result<Self, UnknownList> {
        let info = LISTS.iter().find(|info| info.name.eq_ignore_ascii_case(text));
        info.map(|info| info.list).ok_or_else(|| UnknownList(text.to_owned()))
    }
}

impl List {
    /// Returns the properties of the list.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "each list is in the table, as a test shows")]
    pub fn info(self) -> &'static ListInfo {
        LISTS.iter().find(|info| info.list == self).expect("each list is in the table")
    }

    /// Returns true if names below a domain replace the domain, since readers of the list do not support domains.
    #[must_use]
    pub fn expands(self) -> bool {
        matches!(self, Self::ZeekIntel | Self::SuricataDataset)
    }

    /// Returns true if the list can hold a subject.
    #[must_use]
    pub fn admits(self, subject: &TagSubject) -> bool {
        match (self, subject) {
            // The root has no text in either program.
            (Self::ZeekIntel | Self::SuricataDataset, TagSubject::Name(name)) => {
                !name.as_name().is_root()
            }
            (Self::ZeekIntel, TagSubject::Below(_))
            | (Self::SuricataDataset, TagSubject::Below(_) | TagSubject::Net(_)) => false,
            _ => true,
        }
    }
}

/// Writes one list.
pub struct Writer {
    list: List,
    page: Option<PageUrl>,
    csv: Box<dyn Renderer>,
}

impl Writer {
    /// Creates a writer; `page` is the URL where people can look up a subject.
    #[must_use]
    pub fn new(list: List, page: Option<PageUrl>) -> Self {
        Self { list, page, csv: Format::Csv.renderer(RenderOptions::default()) }
    }

    /// Writes the header, even for a list without lines.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.list {
            List::ZeekIntel => zeek_intel::head(out),
            List::IpDescriptions => ip_descriptions::head(out),
            List::SuricataDataset | List::Csv | List::Plain => Ok(()),
        }
    }

    /// Writes a subject; not used for descriptions.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn subject(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        match self.list {
            List::ZeekIntel => zeek_intel::line(listed, self.page.as_ref(), out),
            List::SuricataDataset => suricata_dataset::line(&listed.subject, out),
            List::Csv => listed.tags.iter().try_for_each(|tag| self.csv.item(&Item::Tag(tag), out)),
            List::Plain => writeln!(out, "{}", typed_tag(&listed.subject)),
            List::IpDescriptions => Ok(()),
        }
    }

    /// Writes an address with its name and the tags of both; returns true if there was anything to write.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn described(
        &self,
        described: &Described,
        tags: &TagSet,
        out: &mut dyn Write,
    ) -> io::Result<bool> {
        match self.list {
            List::IpDescriptions => ip_descriptions::line(described, tags, out),
            _ => Ok(false),
        }
    }
}

/// Joins the words of a text on one line: words end at spaces and control characters.
fn words(text: &str) -> String {
    let words = text.split(|char: char| char.is_whitespace() || char.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
