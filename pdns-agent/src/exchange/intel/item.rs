//! Items that a reader hands out.

use super::IntelFormat;
use crate::indicator::ListedIndicator;
use crate::tag::TagSubject;
use std::collections::BTreeMap;
use std::fmt;

/// Place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, from 1.
    Line(u64),
    /// An object with an identifier, escaped.
    Object(String),
    /// An object without one: its number in the list, from 1.
    Number(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Object(id) => f.write_str(id),
            Self::Number(number) => write!(f, "object {number}"),
        }
    }
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntelProblem {
    /// Place of the entry.
    pub place: Place,
    /// Text of the entry, escaped and shortened.
    pub text: String,
    /// Reason, in words.
    pub reason: String,
}

impl fmt::Display for IntelProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.as_str() {
            "" => write!(f, "{}: {}", self.place, self.reason),
            text => write!(f, "{}: {text}: {}", self.place, self.reason),
        }
    }
}

/// Reason why a valid entry is not an indicator for passive DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// A URL, unless URLs stand for their hosts.
    Url,
    /// A path without a host.
    Path,
    /// A mail address.
    Mail,
    /// A digest of a file or a certificate.
    Hash,
    /// Another type of indicator, such as a file name or a mutex.
    OtherType,
    /// A pattern in another language than STIX, such as YARA.
    PatternType,
    /// A comparison that is negated.
    Negated,
    /// A regular expression.
    Regex,
    /// A wildcard elsewhere than in front of a name.
    Wildcard,
    /// A MISP attribute that is not meant for detection.
    NotForDetection,
    /// An RPZ trigger on name servers or clients.
    OtherTrigger,
    /// A rule about the parts of a page.
    Cosmetic,
    /// A name or an address of the reader's own machine or network, such as `localhost`.
    Local,
}

impl SkipReason {
    /// The reason in words, behind a count: `3 URLs`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "URLs",
            Self::Path => "paths without a host",
            Self::Mail => "mail addresses",
            Self::Hash => "hashes",
            Self::OtherType => "other types of indicators",
            Self::PatternType => "patterns in other languages than STIX",
            Self::Negated => "negated comparisons",
            Self::Regex => "regular expressions",
            Self::Wildcard => "wildcards other than *. before a name",
            Self::NotForDetection => "attributes not meant for detection (to_ids)",
            Self::OtherTrigger => "RPZ triggers on name servers or clients",
            Self::Cosmetic => "rules about parts of pages",
            Self::Local => "local names and addresses",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One entry of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntelItem {
    /// An indicator.
    Indicator(ListedIndicator),
    /// An indicator that the source took back.
    Revoked {
        /// The source's identifier.
        id: Option<String>,
        /// Its subject, if the file still has it.
        subject: Option<TagSubject>,
    },
    /// An entry that cannot be read.
    Problem(IntelProblem),
    /// A valid entry that is not an indicator here.
    Skipped(SkipReason),
}

/// Facts about a file, beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntelSummary {
    /// Format, given or detected.
    pub format: IntelFormat,
    /// Name of the organisation that produced the file, if it has one.
    pub producer: Option<String>,
    /// Number of indicators.
    pub indicators: u64,
    /// Number of indicators that were taken back.
    pub revoked: u64,
    /// Number of entries that cannot be read.
    pub problems: u64,
    /// Numbers of entries that are not indicators here.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// True if a TAXII envelope says that there is more.
    pub more: bool,
    /// The TAXII envelope's value for the next request.
    pub next: Option<String>,
    /// True if the caller stopped the reader.
    pub is_stopped: bool,
}

impl IntelSummary {
    pub(super) fn new(format: IntelFormat) -> Self {
        Self {
            format,
            producer: None,
            indicators: 0,
            revoked: 0,
            problems: 0,
            skipped: BTreeMap::new(),
            more: false,
            next: None,
            is_stopped: false,
        }
    }
}
