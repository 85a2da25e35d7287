//! The meaning of columns and members, by their names.

use std::str::FromStr;

/// Names of columns with subjects, in order of preference.
pub const SUBJECT_COLUMNS: [&str; 27] = [
    "ioc_value",
    "indicator",
    "indicator_value",
    "ioc",
    "subject",
    "value",
    "domain",
    "domain_name",
    "domains",
    "fqdn",
    "hostname",
    "host",
    "hosts",
    "dst_ip",
    "dest_ip",
    "ip",
    "ip_address",
    "ipaddress",
    "ipv4",
    "address",
    "ip_addr",
    "cidr",
    "network",
    "netblock",
    "url",
    "rrname",
    "c2",
];
const CONFIDENCE: &[&str] = &["confidence_level", "confidence", "score", "risk_score"];
const LABELS: &[&str] = &[
    "malware",
    "malware_printable",
    "malware_family",
    "family",
    "threat",
    "threat_name",
    "campaign",
    "actor",
    "tags",
    "labels",
];
const REFERENCE: &[&str] =
    &["reference", "references", "urlhaus_link", "urlhaus_reference", "link", "source_url"];
const NOTE: &[&str] = &["note", "description", "comment", "reason"];
const FIRST: &[&str] = &[
    "first_seen_utc",
    "first_seen",
    "firstseen",
    "dateadded",
    "date_added",
    "valid_from",
    "added",
    "created",
    "date",
    "first_listed",
    "time",
];
const LAST: &[&str] =
    &["last_seen_utc", "last_seen", "last_online", "lastseen", "modified", "last_listed"];
const UNTIL: &[&str] = &["valid_until", "expires", "expiration"];
const ID: &[&str] = &["uuid", "id", "ioc_id"];
const TLP: &[&str] = &["tlp"];
const KIND: &[&str] = &["kind", "verdict"];
const CONDITIONAL: &[&str] = &["conditional", "is_conditional"];
const PORT: &[&str] = &["dst_port", "dest_port", "port"];

/// A column: its name, or its number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// Number, from 1.
    Number(usize),
    /// Name in the header; case, blanks and hyphens do not matter.
    Name(String),
}

impl FromStr for ColumnRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<usize>() {
            Ok(number) if number > 0 => Ok(Self::Number(number)),
            _ => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// Columns of a CSV file, where they are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Subject.
    pub subject: Option<ColumnRef>,
    /// Kind: threat, interest or trust.
    pub kind: Option<ColumnRef>,
    /// Confidence.
    pub confidence: Option<ColumnRef>,
    /// Labels, separated by commas, semicolons or bars.
    pub labels: Option<ColumnRef>,
    /// Reference.
    pub reference: Option<ColumnRef>,
    /// Note.
    pub note: Option<ColumnRef>,
    /// Time from which the source lists the subject.
    pub first: Option<ColumnRef>,
    /// Last time the source saw it active.
    pub last: Option<ColumnRef>,
}

/// Meaning of a column or member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Subject,
    Kind,
    Confidence,
    Labels,
    Reference,
    Note,
    First,
    Last,
    Until,
    Id,
    Tlp,
    Port,
    Conditional,
}

impl Role {
    pub(super) const ALL: [Self; 13] = [
        Self::Subject,
        Self::Kind,
        Self::Confidence,
        Self::Labels,
        Self::Reference,
        Self::Note,
        Self::First,
        Self::Last,
        Self::Until,
        Self::Id,
        Self::Tlp,
        Self::Port,
        Self::Conditional,
    ];

    /// Names of columns that say this, in order of preference.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Subject => &SUBJECT_COLUMNS,
            Self::Kind => KIND,
            Self::Confidence => CONFIDENCE,
            Self::Labels => LABELS,
            Self::Reference => REFERENCE,
            Self::Note => NOTE,
            Self::First => FIRST,
            Self::Last => LAST,
            Self::Until => UNTIL,
            Self::Id => ID,
            Self::Tlp => TLP,
            Self::Port => PORT,
            Self::Conditional => CONDITIONAL,
        }
    }

    /// True if all columns with such a name count, not only the preferred one.
    pub(super) fn is_many(self) -> bool {
        matches!(self, Self::Labels)
    }
}

/// Normalises the name of a column, so that different spellings are equal.
pub(super) fn key(name: &str) -> String {
    let name = name.trim().trim_matches(['"', '\'', '#']).trim();
    name.to_ascii_lowercase().replace([' ', '-'], "_")
}
