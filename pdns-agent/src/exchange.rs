//! Lists for other programs: sensors, resolvers, and those with whom a site shares what it knows. And the readers of what
//! others list, in [`intel`].
//!
//! Beside `render`, above `query`, whose subjects and descriptions it takes. Each format has a file here. Nothing in
//! a list may break the program that reads it: names come from strangers, and notes are free text.

mod csv;
mod dnsmasq;
mod ecs;
mod host_name;
mod hosts;
pub mod intel;
mod ip_descriptions;
mod jsonl;
mod list;
mod misp;
mod page;
mod reason;
mod rpz;
pub mod stix;
mod suricata_dataset;
mod suricata_iprep;
mod suricata_ndjson;
mod suricata_rules;
mod unbound;
mod uuid;
mod zeek_intel;

pub use ecs::{Dataset, EcsContext, EcsSubject, EcsVerdict};
pub use list::{LISTS, List, ListInfo, UnknownList};
pub use page::{PageUrl, PageUrlError};

use crate::name::NameBuf;
use crate::query::{Described, ExportItem, TagSet, typed_tag};
use std::io::{self, Write};

/// Contents of a list besides its subjects.
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// URL where people can look up a subject.
    pub page: Option<PageUrl>,
    /// Name of the one who exports, for STIX and MISP.
    pub identity: String,
    /// Name of the response policy zone.
    pub zone: NameBuf,
    /// Serial number of the zone, which must increase: the time of the export, in seconds since the epoch.
    pub serial: u32,
    /// Names of the sensors, by their number.
    pub sensors: Vec<String>,
}

/// Writes one list.
pub struct Writer {
    list: List,
    page: Option<PageUrl>,
    state: State,
}

/// State that a list keeps until its end.
enum State {
    Nothing,
    Csv(csv::Rows),
    Stix(Box<stix::Bundle>),
    Misp(Box<misp::Event>),
    Rpz(Box<rpz::Zone>),
    Unbound(unbound::LocalZones),
}

impl Writer {
    /// Creates a writer.
    #[must_use]
    pub fn new(list: List, options: ListOptions) -> Self {
        let ListOptions { page, identity, zone, serial, sensors } = options;
        let state = match list {
            List::Csv => State::Csv(csv::Rows::default()),
            List::Stix => State::Stix(Box::new(stix::Bundle::new(&identity, page.clone()))),
            List::Misp | List::MispFeed => {
                State::Misp(Box::new(misp::Event::new(&identity, sensors)))
            }
            List::Rpz => State::Rpz(Box::new(rpz::Zone::new(zone, serial))),
            List::Unbound => State::Unbound(unbound::LocalZones::default()),
            _ => State::Nothing,
        };
        Self { list, page, state }
    }

    /// Writes the header, even for a list without lines.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match (self.list, &mut self.state) {
            (List::ZeekIntel, _) => zeek_intel::head(out),
            (List::IpDescriptions, _) => ip_descriptions::head(out),
            (_, State::Stix(bundle)) => bundle.begin(out),
            (_, State::Misp(_)) => misp::Event::begin(out),
            (_, State::Rpz(zone)) => zone.begin(out),
            (_, State::Unbound(_)) => unbound::LocalZones::begin(out),
            _ => Ok(()),
        }
    }

    /// Writes a subject; not used for descriptions.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn subject(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        let page = self.page.as_ref();
        match (self.list, &mut self.state) {
            (_, State::Csv(rows)) => rows.item(listed, out),
            (_, State::Stix(bundle)) => bundle.item(listed, out),
            (_, State::Misp(event)) => event.item(listed, out),
            (_, State::Rpz(zone)) => zone.item(listed, out),
            (_, State::Unbound(zones)) => zones.item(listed, out),
            (List::ZeekIntel, _) => zeek_intel::line(listed, page, out),
            (List::SuricataDataset, _) => suricata_dataset::line(&listed.subject, out),
            (List::SuricataNdjson, _) => suricata_ndjson::line(listed, page, out),
            (List::SuricataIprep, _) => suricata_iprep::line(listed, out),
            (List::Hosts, _) => hosts::line(listed, out),
            (List::Dnsmasq, _) => dnsmasq::line(listed, out),
            (List::Jsonl, _) => jsonl::line(listed, page, out),
            (List::Plain, _) => writeln!(out, "{}", typed_tag(&listed.subject)),
            _ => Ok(()),
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

    /// Writes what stands behind the last subject, even for a list without lines.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.state {
            State::Stix(_) => stix::Bundle::end(out),
            State::Misp(event) => event.end(out),
            State::Rpz(zone) => zone.end(out),
            _ => Ok(()),
        }
    }

    /// The number of subjects that were left out since their names are too long for the zone.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        match &self.state {
            State::Rpz(zone) => zone.too_long(),
            _ => 0,
        }
    }

    /// Writes the `manifest.json` of a MISP feed, after the event has ended.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn misp_manifest(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.state {
            State::Misp(event) => event.manifest(out),
            _ => Ok(()),
        }
    }

    /// Writes the `hashes.csv` of a MISP feed, after the event has ended.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn misp_hashes(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.state {
            State::Misp(event) => event.hashes(out),
            _ => Ok(()),
        }
    }
}

/// The name of the file with the event in a MISP feed of the identity with this name.
#[must_use]
pub fn misp_file_name(identity: &str) -> String {
    misp::file_name(identity)
}

/// Writes the rules that load a list of Suricata from a file; returns false for other lists.
///
/// # Errors
/// Errors of the writer.
pub fn suricata_rules(list: List, file: &str, out: &mut dyn Write) -> io::Result<bool> {
    suricata_rules::write(list, file, out)
}

/// Writes the file of categories of Suricata's reputation of addresses.
///
/// # Errors
/// Errors of the writer.
pub fn iprep_categories(out: &mut dyn Write) -> io::Result<()> {
    suricata_iprep::categories(out)
}

#[cfg(test)]
mod tests;
