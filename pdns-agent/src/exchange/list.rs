//! The formats of lists, and what each can hold.

use super::{dnsmasq, hosts, misp, rpz, suricata_ndjson, unbound};
use crate::indicator::Tlp;
use crate::query::{ExportDetail, ExportItem};
use crate::tag::TagSubject;
use std::str::FromStr;

/// A list format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// A file of Zeek's Intel framework.
    ZeekIntel,
    /// A data set of Suricata, of strings.
    SuricataDataset,
    /// A data set of Suricata 8 with context, JSON lines.
    SuricataNdjson,
    /// Suricata's reputation of addresses.
    SuricataIprep,
    /// The names that Security Onion shows beside addresses.
    IpDescriptions,
    /// A response policy zone.
    Rpz,
    /// A hosts file.
    Hosts,
    /// Local zones of Unbound.
    Unbound,
    /// Options of dnsmasq.
    Dnsmasq,
    /// A bundle of STIX 2.1.
    Stix,
    /// A MISP event.
    Misp,
    /// A directory with a MISP feed.
    MispFeed,
    /// JSON lines.
    Jsonl,
    /// A row per tag and indicator; `pdns tag list --format csv` has its first columns.
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
        list: List::SuricataNdjson,
        name: "suricata-ndjson",
        command: "export --format suricata-ndjson",
        help: "names for Suricata 8, with the reason for its alerts to show",
        most: 500_000,
    },
    ListInfo {
        list: List::SuricataIprep,
        name: "suricata-iprep",
        command: "export --format suricata-iprep",
        help: "addresses and prefixes for Suricata's IP reputation",
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
        list: List::Rpz,
        name: "rpz",
        command: "export --format rpz",
        help: "a response policy zone for BIND, Unbound, Knot and PowerDNS",
        most: 0,
    },
    ListInfo {
        list: List::Hosts,
        name: "hosts",
        command: "export --format hosts",
        help: "a hosts file that gives names the address 0.0.0.0",
        most: 500_000,
    },
    ListInfo {
        list: List::Unbound,
        name: "unbound",
        command: "export --format unbound",
        help: "domains for Unbound to answer with NXDOMAIN",
        most: 0,
    },
    ListInfo {
        list: List::Dnsmasq,
        name: "dnsmasq",
        command: "export --format dnsmasq",
        help: "domains for dnsmasq to answer with NXDOMAIN",
        most: 0,
    },
    ListInfo {
        list: List::Stix,
        name: "stix",
        command: "export --format stix",
        help: "a bundle of STIX 2.1: indicators, records, sightings",
        most: 0,
    },
    ListInfo {
        list: List::Misp,
        name: "misp",
        command: "export --format misp",
        help: "a MISP event",
        most: 50_000,
    },
    ListInfo {
        list: List::MispFeed,
        name: "misp-feed",
        command: "export --format misp-feed",
        help: "a directory that MISP reads as a feed; needs --out",
        most: 50_000,
    },
    ListInfo {
        list: List::Jsonl,
        name: "jsonl",
        command: "export --format jsonl",
        help: "a JSON object per subject, with all reasons",
        most: 0,
    },
    ListInfo {
        list: List::Csv,
        name: "csv",
        command: "export --format csv",
        help: "a row per tag and indicator, with all fields",
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
#[error("unknown list {0:?}: give {names}", names = names())]
pub struct UnknownList(String);

/// The names of all lists, in a sentence.
fn names() -> String {
    let names: Vec<&str> = LISTS.iter().map(|info| info.name).collect();
    match names.split_last() {
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

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
        matches!(self, Self::ZeekIntel | Self::SuricataDataset | Self::SuricataNdjson | Self::Hosts)
    }

    /// Returns true if prefixes are split around parts with the opposite tag, since readers of the list know no
    /// exceptions.
    #[must_use]
    pub fn splits(self) -> bool {
        self.expands() || self == Self::SuricataIprep
    }

    /// Returns true if trusted subjects are always in the list, as exceptions to the others.
    #[must_use]
    pub fn has_exceptions(self) -> bool {
        matches!(self, Self::Rpz | Self::Unbound | Self::Dnsmasq)
    }

    /// Returns true if the list can say that an indicator holds only under further conditions. In a list that blocks or
    /// raises alarms without saying so, it has no place.
    #[must_use]
    pub fn takes_conditional(self) -> bool {
        self.is_shared() || matches!(self, Self::ZeekIntel | Self::IpDescriptions)
    }

    /// Returns true if the list is for others; lists for the site's own sensors and resolvers are not.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Stix | Self::Misp | Self::MispFeed | Self::Csv | Self::Jsonl)
    }

    /// The strongest restriction of subjects that go into the list by default.
    #[must_use]
    pub fn max_tlp(self) -> Tlp {
        if self.is_shared() { Tlp::Green } else { Tlp::Red }
    }

    /// Returns true if the list links subjects to their pages.
    #[must_use]
    pub fn has_pages(self) -> bool {
        matches!(self, Self::ZeekIntel | Self::SuricataNdjson | Self::Stix | Self::Jsonl)
    }

    /// The data about each subject that the list has.
    #[must_use]
    pub fn detail(self) -> ExportDetail {
        match self {
            Self::Stix | Self::Misp | Self::MispFeed => ExportDetail::Records,
            Self::SuricataNdjson | Self::Jsonl => ExportDetail::Seen,
            _ => ExportDetail::Subject,
        }
    }

    /// Returns true if the list can hold a subject.
    #[must_use]
    pub fn admits(self, listed: &ExportItem<'_>) -> bool {
        let subject = &listed.subject;
        match self {
            // The root has no text in either program.
            Self::ZeekIntel => match subject {
                TagSubject::Name(name) => !name.as_name().is_root(),
                TagSubject::Below(_) => false,
                TagSubject::Net(_) => true,
            },
            Self::SuricataDataset => {
                matches!(subject, TagSubject::Name(name) if !name.as_name().is_root())
            }
            Self::SuricataNdjson => suricata_ndjson::admits(subject),
            Self::SuricataIprep => matches!(subject, TagSubject::Net(_)),
            Self::Rpz => rpz::admits(subject),
            Self::Hosts => hosts::admits(listed),
            Self::Unbound => unbound::admits(listed),
            Self::Dnsmasq => dnsmasq::admits(listed),
            Self::Misp | Self::MispFeed => misp::admits(subject),
            Self::IpDescriptions | Self::Stix | Self::Jsonl | Self::Csv | Self::Plain => true,
        }
    }
}
