//! The formats, and their names on the command line.

use std::fmt;
use std::str::FromStr;

/// A format of threat intelligence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntelFormat {
    /// STIX 2.0 or 2.1: a bundle, a list of objects, or a TAXII envelope.
    Stix,
    /// MISP events.
    Misp,
    /// OpenIOC 1.0.
    OpenIoc,
    /// A file of Zeek's Intel framework.
    ZeekIntel,
    /// A data set of Suricata, of strings or addresses.
    SuricataDataset,
    /// An IP reputation list of Suricata.
    SuricataIprep,
    /// A response policy zone.
    Rpz,
    /// A hosts file that blocks names, or rules of dnsmasq or Unbound that do.
    Hosts,
    /// Rules of an ad blocker.
    Adblock,
    /// One subject per line.
    List,
    /// Comma-separated values, or with tabs, semicolons or bars.
    Csv,
    /// URLhaus (abuse.ch), CSV or JSON.
    Urlhaus,
    /// ThreatFox (abuse.ch), CSV or JSON.
    Threatfox,
    /// Feodo Tracker (abuse.ch), CSV or JSON.
    Feodo,
    /// IPsum: addresses and the number of lists that have them.
    Ipsum,
    /// A trail of Maltrail.
    Maltrail,
    /// JSON records, one per line or in an array.
    Jsonl,
    /// Prose with indicators, maybe defanged.
    Text,
    /// A page with such prose.
    Html,
}

/// Properties of an [`IntelFormat`].
#[derive(Clone, Copy, Debug)]
pub struct IntelFormatInfo {
    /// The format.
    pub format: IntelFormat,
    /// Its name on the command line.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
}

const fn info(format: IntelFormat, name: &'static str, help: &'static str) -> IntelFormatInfo {
    IntelFormatInfo { format, name, help }
}

/// All formats.
pub const FORMATS: &[IntelFormatInfo] = &[
    info(IntelFormat::Stix, "stix", "STIX 2.0 or 2.1 bundles and TAXII envelopes"),
    info(IntelFormat::Misp, "misp", "MISP events"),
    info(IntelFormat::OpenIoc, "openioc", "OpenIOC 1.0 files"),
    info(IntelFormat::ZeekIntel, "zeek-intel", "files of Zeek's Intel framework"),
    info(IntelFormat::SuricataDataset, "suricata-dataset", "Suricata data sets"),
    info(IntelFormat::SuricataIprep, "suricata-iprep", "Suricata IP reputation lists"),
    info(IntelFormat::Rpz, "rpz", "response policy zones"),
    info(IntelFormat::Hosts, "hosts", "hosts files, dnsmasq and Unbound rules that block names"),
    info(IntelFormat::Adblock, "adblock", "rules of ad blockers"),
    info(IntelFormat::List, "list", "one subject per line"),
    info(IntelFormat::Csv, "csv", "columns separated by commas, tabs, semicolons or bars"),
    info(IntelFormat::Urlhaus, "urlhaus", "URLhaus, CSV or JSON"),
    info(IntelFormat::Threatfox, "threatfox", "ThreatFox, CSV or JSON"),
    info(IntelFormat::Feodo, "feodo", "Feodo Tracker, CSV or JSON"),
    info(IntelFormat::Ipsum, "ipsum", "IPsum: addresses and the number of lists with them"),
    info(IntelFormat::Maltrail, "maltrail", "trails of Maltrail"),
    info(IntelFormat::Jsonl, "jsonl", "JSON records, one per line or in an array"),
    info(IntelFormat::Text, "text", "prose with indicators, also defanged"),
    info(IntelFormat::Html, "html", "web pages with indicators, also defanged"),
];

/// Text that is not the name of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}: give one of {names}", names = names())]
pub struct UnknownIntelFormat(String);

fn names() -> String {
    FORMATS.iter().map(|info| info.name).collect::<Vec<_>>().join(", ")
}

impl IntelFormat {
    /// True for text that people write, in which names and addresses are searched for.
    #[must_use]
    pub fn is_prose(self) -> bool {
        matches!(self, Self::Text | Self::Html)
    }

    /// The name of the format, for input and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|info| info.format == self).map_or("", |info| info.name)
    }
}

impl fmt::Display for IntelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for IntelFormat {
    type Err = UnknownIntelFormat;

    fn from_str(text: &str) -> Result<Self, UnknownIntelFormat> {
        let info = FORMATS.iter().find(|info| info.name.eq_ignore_ascii_case(text));
        info.map(|info| info.format).ok_or_else(|| UnknownIntelFormat(text.to_owned()))
    }
}
