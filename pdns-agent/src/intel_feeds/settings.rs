//! Settings of a feed. `config::feeds` reads them from `feeds.toml`.

use super::Credentials;
use crate::indicator::Tlp;
use crate::outgoing::{OutgoingSettings, SecretSource};
use crate::tag::TagKind;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where a feed is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A URL.
    Url(String),
    /// A file on this machine.
    File(PathBuf),
}

impl fmt::Debug for Location {
    /// Leaves out a URL, which can hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str("Url([hidden])"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Protocol of a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// One list, by HTTP or in a file.
    #[default]
    Http,
    /// A collection of a TAXII 2.1 server.
    Taxii,
    /// A folder with `manifest.json` and one file per event, as MISP exports it.
    MispFeed,
    /// The REST API of a MISP server.
    Misp,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 4] = [Self::Http, Self::Taxii, Self::MispFeed, Self::Misp];

    /// The name, for input and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Taxii => "taxii",
            Self::MispFeed => "misp-feed",
            Self::Misp => "misp",
        }
    }
}

/// What an entry of a feed means where the feed itself does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// Kind of the indicators.
    pub kind: TagKind,
    /// Confidence, 0 to [`crate::indicator::MAX_CONFIDENCE`].
    pub confidence: u8,
    /// Time for which an entry remains after it was last listed; zero if it ends at once.
    pub lifetime: Duration,
    /// Time in which the confidence falls to one half; `None` if it does not fall.
    pub half_life: Option<Duration>,
    /// Restriction on sharing.
    pub tlp: Option<Tlp>,
    /// Labels.
    pub labels: Vec<String>,
}

/// How the documents of a feed are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Name of the format; `None` if it is to be recognized.
    pub format: Option<String>,
    /// Name or number of the column with the subject, for tables.
    pub column: Option<String>,
    /// JSON pointer to the subjects, for JSON.
    pub pointer: Option<String>,
    /// True if the hosts of URLs are indicators, too.
    pub url_hosts: bool,
}

/// A feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// Name, which is the source of its indicators.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// Its protocol.
    pub protocol: Protocol,
    /// Credentials.
    pub credentials: Credentials,
    /// Settings of the connections.
    pub outgoing: OutgoingSettings,
    /// Time between two fetches.
    pub interval: Duration,
    /// File to read from a zip archive with several.
    pub member: Option<String>,
    /// Further conditions of a search on a MISP server.
    pub search: serde_json::Map<String, serde_json::Value>,
    /// How its documents are read.
    pub read: ReadOptions,
    /// What its entries mean.
    pub assessment: Assessment,
}

impl Feed {
    /// A list at a URL that is fetched once.
    #[must_use]
    pub fn of_url(url: &str, allow_private: bool) -> Self {
        Self {
            name: String::new(),
            location: Location::Url(url.to_owned()),
            protocol: Protocol::Http,
            credentials: Credentials::None,
            outgoing: OutgoingSettings { allow_private, ..OutgoingSettings::default() },
            interval: Duration::ZERO,
            member: None,
            search: serde_json::Map::new(),
            read: ReadOptions::default(),
            assessment: Assessment {
                kind: TagKind::Threat,
                confidence: 50,
                lifetime: Duration::ZERO,
                half_life: None,
                tlp: None,
                labels: Vec::new(),
            },
        }
    }

    /// A MISP server that is told of sightings. Its key is in the environment variable `PDNS_MISP_KEY`.
    #[must_use]
    pub fn of_misp(url: &str, allow_private: bool) -> Self {
        let key = SecretSource::Env("PDNS_MISP_KEY".to_owned());
        let header = "Authorization".to_owned();
        Self {
            protocol: Protocol::Misp,
            credentials: Credentials::Key { header, prefix: "", key },
            ..Self::of_url(url, allow_private)
        }
    }
}
