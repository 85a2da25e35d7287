//! Indicators: what feeds and partners say about names and addresses.
//!
//! An indicator is what one source says of one subject: a kind, how sure the source is, since when and until when.
//! Analysts' own assessment is a [`crate::tag::Tag`]. `exchange::intel` reads indicators from files, `store` keeps
//! them, `query` weighs them against tags, `exchange` writes them.

use crate::tag::{Tag, TagKind, TagSubject};
use std::fmt;
use std::str::FromStr;

/// Highest confidence; the lowest is 0. STIX 2.1 §3.2 has the same scale.
pub const MAX_CONFIDENCE: u8 = 100;

/// Source of the indicators of `pdns judge`: the program's own guesses. They are of kind interest, so that they override
/// nothing; what learns from tags or weighs them must leave them out.
pub const JUDGE_SOURCE: &str = "pdns-judge";

/// Restriction on sharing: Traffic Light Protocol 2.0 (FIRST). In ascending order of restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tlp {
    /// No limit. TLP 1.0 calls it WHITE.
    Clear,
    /// The community.
    Green,
    /// The recipients' organisation and its clients.
    Amber,
    /// The recipients' organisation alone.
    AmberStrict,
    /// The recipients alone.
    Red,
}

impl Tlp {
    /// All restrictions, the weakest first.
    pub const ALL: [Self; 5] =
        [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// The name, for input and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }
}

impl fmt::Display for Tlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that is not a TLP restriction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown TLP {0:?}: give clear, green, amber, amber+strict or red")]
pub struct UnknownTlp(String);

impl FromStr for Tlp {
    type Err = UnknownTlp;

    /// Parses a restriction: in any case, with or without `TLP:` before it, `white` for clear.
    fn from_str(text: &str) -> Result<Self, UnknownTlp> {
        let lower = text.trim().to_ascii_lowercase();
        let name = lower.strip_prefix("tlp:").unwrap_or(&lower).trim();
        let name = if name == "white" { "clear" } else { name };
        let known = Self::ALL.into_iter().find(|tlp| tlp.name() == name);
        known.ok_or_else(|| UnknownTlp(text.to_owned()))
    }
}

/// What a file says about one subject. Where it says nothing, the defaults of the import apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedIndicator {
    /// Subject of the indicator.
    pub subject: TagSubject,
    /// Kind, if the file has one.
    pub kind: Option<TagKind>,
    /// Confidence, 0 to [`MAX_CONFIDENCE`].
    pub confidence: Option<u8>,
    /// Time from which the source lists it, in seconds since the epoch.
    pub first_listed: Option<u32>,
    /// Last time the source saw it active, in seconds since the epoch.
    pub last_listed: Option<u32>,
    /// Time when it ends, in seconds since the epoch.
    pub valid_until: Option<u32>,
    /// Malware families, campaigns and other labels; sorted, without duplicates.
    pub labels: Vec<String>,
    /// URL or identifier of more about it; empty if there is none.
    pub reference: String,
    /// Free text; empty if there is none.
    pub note: String,
    /// Restriction on sharing.
    pub tlp: Option<Tlp>,
    /// The source's own identifier, such as a STIX id or a MISP attribute's UUID.
    pub id: Option<String>,
    /// True if the source states further conditions, such as a port or another value beside this one.
    pub is_conditional: bool,
}

impl ListedIndicator {
    /// An indicator with only a subject.
    #[must_use]
    pub fn new(subject: TagSubject) -> Self {
        Self {
            subject,
            kind: None,
            confidence: None,
            first_listed: None,
            last_listed: None,
            valid_until: None,
            labels: Vec::new(),
            reference: String::new(),
            note: String::new(),
            tlp: None,
            id: None,
            is_conditional: false,
        }
    }
}

/// An indicator as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    /// Name of the source.
    pub source: String,
    /// Subject of the indicator.
    pub subject: TagSubject,
    /// Kind of the indicator.
    pub kind: TagKind,
    /// Confidence when it was last listed, 0 to [`MAX_CONFIDENCE`].
    pub confidence: u8,
    /// Confidence at the time of reading; it halves with the source's half-life since it was last listed.
    pub confidence_now: u8,
    /// Time when the source listed it first, in seconds since the epoch.
    pub first_listed: u32,
    /// Time when the source listed it last, in seconds since the epoch.
    pub last_listed: u32,
    /// Time when it ends, in seconds since the epoch.
    pub valid_until: Option<u32>,
    /// Malware families, campaigns and other labels; sorted, without duplicates.
    pub labels: Vec<String>,
    /// URL or identifier of more about it; empty if there is none.
    pub reference: String,
    /// Free text; empty if there is none.
    pub note: String,
    /// Restriction on sharing; `None` if the source has none.
    pub tlp: Option<Tlp>,
    /// True if the source states further conditions.
    pub is_conditional: bool,
}

/// What a tag has besides, if it stands for an indicator. Times are in seconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listing {
    /// Confidence when it was last listed, 0 to [`MAX_CONFIDENCE`].
    pub confidence: u8,
    /// Confidence at the time of reading.
    pub confidence_now: u8,
    /// Time when the source listed it last; the tag's time is the first.
    pub last_listed: u32,
    /// Time when it ends.
    pub valid_until: Option<u32>,
    /// Malware families, campaigns and other labels.
    pub labels: Vec<String>,
    /// URL or identifier of more about it; empty if there is none.
    pub reference: String,
    /// Restriction on sharing.
    pub tlp: Option<Tlp>,
    /// True if the source states further conditions.
    pub is_conditional: bool,
}

impl From<Indicator> for Tag {
    /// The tag that stands for an indicator wherever tags apply: its note and source are those of the indicator, it has
    /// no author, and its time is that of the first listing.
    fn from(indicator: Indicator) -> Self {
        Self {
            subject: indicator.subject,
            kind: indicator.kind,
            note: indicator.note,
            source: indicator.source,
            author: String::new(),
            time: indicator.first_listed,
            listing: Some(Box::new(Listing {
                confidence: indicator.confidence,
                confidence_now: indicator.confidence_now,
                last_listed: indicator.last_listed,
                valid_until: indicator.valid_until,
                labels: indicator.labels,
                reference: indicator.reference,
                tlp: indicator.tlp,
                is_conditional: indicator.is_conditional,
            })),
        }
    }
}

impl Indicator {
    /// The indicator that a tag stands for, if it stands for one.
    #[must_use]
    pub fn of_tag(tag: &Tag) -> Option<Self> {
        let listing = tag.listing.as_deref()?;
        Some(Self {
            source: tag.source.clone(),
            subject: tag.subject.clone(),
            kind: tag.kind,
            confidence: listing.confidence,
            confidence_now: listing.confidence_now,
            first_listed: tag.time,
            last_listed: listing.last_listed,
            valid_until: listing.valid_until,
            labels: listing.labels.clone(),
            reference: listing.reference.clone(),
            note: tag.note.clone(),
            tlp: listing.tlp,
            is_conditional: listing.is_conditional,
        })
    }
}

/// What the store has seen of a subject: the sum of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Number of answers.
    pub count: u64,
    /// First time seen, in seconds since the epoch.
    pub time_first: u32,
    /// Last time seen, in seconds since the epoch.
    pub time_last: u32,
    /// Names of the sensors, sorted.
    pub sensors: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tlp_is_read_in_every_usual_form() {
        assert_eq!("TLP:WHITE".parse(), Ok(Tlp::Clear));
        assert_eq!("tlp:amber+strict".parse(), Ok(Tlp::AmberStrict));
        assert_eq!(" Red".parse(), Ok(Tlp::Red));
        assert!("orange".parse::<Tlp>().is_err());
        assert!(Tlp::Green < Tlp::AmberStrict);
    }
}
