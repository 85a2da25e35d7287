//! Tags: the organisation's own assessment of names and addresses, and changes to it.
//!
//! A tag is a kind assigned to a subject. `store` keeps tags and their history, `query` finds those that
//! apply to a record, `render` and `exchange` write them.

use crate::indicator::{JUDGE_SOURCE, Listing};
use crate::name::{NameBuf, display::escaped};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Maximum length of a note, in bytes.
pub const MAX_NOTE: usize = 1_000;
/// Maximum length of a source or author, in bytes.
pub const MAX_SOURCE: usize = 200;

/// Assessment that a tag expresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKind {
    /// Known to be bad.
    Threat,
    /// To be watched.
    Interest,
    /// Known to be good. A subject is either trusted or a threat.
    Trust,
}

impl TagKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Threat, Self::Interest, Self::Trust];

    /// The name of the kind, for input and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Threat => "threat",
            Self::Interest => "interest",
            Self::Trust => "trust",
        }
    }

    /// The kind that cannot be set on the same subject.
    #[must_use]
    pub fn opposite(self) -> Option<Self> {
        match self {
            Self::Threat => Some(Self::Trust),
            Self::Trust => Some(Self::Threat),
            Self::Interest => None,
        }
    }
}

impl fmt::Display for TagKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that is not the name of a tag kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of tag {0:?}: give threat, interest or trust")]
pub struct UnknownTagKind(String);

impl FromStr for TagKind {
    type Err = UnknownTagKind;

    fn from_str(text: &str) -> Result<Self, UnknownTagKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownTagKind(text.to_owned()))
    }
}

/// Subject of a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagSubject {
    /// One name.
    Name(NameBuf),
    /// A name and everything below it; never the root.
    Below(NameBuf),
    /// An address (a prefix of full length) or all addresses of a prefix; without host bits.
    Net(IpNet),
}

impl TagSubject {
    /// A single address. An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) becomes the IPv4 address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Net(address.to_canonical().into())
    }

    /// The name in the subject, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&NameBuf> {
        match self {
            Self::Name(name) | Self::Below(name) => Some(name),
            Self::Net(_) => None,
        }
    }

    /// The prefix of the subject, if it is one.
    pub(crate) fn net(&self) -> Option<IpNet> {
        match self {
            Self::Net(net) => Some(*net),
            _ => None,
        }
    }

    /// The address of the subject, if it is a single one.
    pub(crate) fn as_address(&self) -> Option<IpAddr> {
        self.net().filter(|net| net.prefix_len() == net.max_prefix_len()).map(|net| net.addr())
    }

    /// Returns true if `other` covers everything that this subject covers.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(name) | Self::Below(name), Self::Below(apex)) => {
                name.as_name().is_at_or_below(apex.as_name())
            }
            (Self::Net(net), Self::Net(other)) => other.contains(net),
            _ => self == other,
        }
    }
}

/// The subject in input syntax: `.example.com` for a name with everything below it, an address without its
/// prefix length. Octets that are not allowed in host names are escaped.
impl fmt::Display for TagSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Unescaped, this would read as "everything below".
            Self::Name(name) if name.as_str().starts_with("*.") => {
                f.pad(&format!("\\*{}", escaped(name.as_name()).trim_start_matches("\\042")))
            }
            Self::Name(name) => f.pad(&escaped(name.as_name())),
            Self::Below(name) => f.pad(&format!(".{}", escaped(name.as_name()))),
            Self::Net(net) => match self.as_address() {
                Some(address) => f.pad(&address.to_string()),
                None => f.pad(&net.to_string()),
            },
        }
    }
}

/// A tag. Empty text means that the text was not given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Subject of the tag.
    pub subject: TagSubject,
    /// Kind of the tag.
    pub kind: TagKind,
    /// Reason for the tag, in free text; at most [`MAX_NOTE`] bytes.
    pub note: String,
    /// Origin of the assessment, such as the name of a feed; at most [`MAX_SOURCE`] bytes.
    pub source: String,
    /// User who set the tag; at most [`MAX_SOURCE`] bytes.
    pub author: String,
    /// Time when the tag was set, in seconds since the epoch.
    pub time: u32,
    /// Further statements of a feed or partner, if the tag stands for an indicator and not for an analyst's assessment.
    pub listing: Option<Box<Listing>>,
}

/// Error for a text of a tag that is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has {length} bytes, more than {most}: shorten it")]
pub struct LongText {
    /// Name of the text.
    what: &'static str,
    length: usize,
    most: usize,
}

impl Tag {
    /// Its source, else its author, else `analyst`.
    #[must_use]
    pub fn said_by(&self) -> &str {
        let names = [self.source.as_str(), self.author.as_str()];
        names.into_iter().find(|text| !text.is_empty()).unwrap_or("analyst")
    }

    /// Returns true if it is an analyst's assessment.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.listing.is_none()
    }

    /// Returns true if it stands for a verdict of the program itself, see [`JUDGE_SOURCE`].
    #[must_use]
    pub fn is_of_judge(&self) -> bool {
        !self.is_own() && self.source == JUDGE_SOURCE
    }

    /// A tag with only a kind and a subject.
    #[must_use]
    pub fn new(kind: TagKind, subject: TagSubject) -> Self {
        let none = String::new;
        Self { subject, kind, note: none(), source: none(), author: none(), time: 0, listing: None }
    }

    /// Checks that no text is too long to be stored.
    ///
    /// # Errors
    /// [`LongText`] for the first text that is too long.
    pub fn check(&self) -> Result<(), LongText> {
        let texts = [
            ("note", &self.note, MAX_NOTE),
            ("source", &self.source, MAX_SOURCE),
            ("author", &self.author, MAX_SOURCE),
        ];
        match texts.iter().find(|(_, text, most)| text.len() > *most) {
            Some(&(what, text, most)) => Err(LongText { what, length: text.len(), most }),
            None => Ok(()),
        }
    }
}

/// All tags of a store at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSnapshot {
    /// Generation number: it changes whenever the tags change.
    pub generation: u64,
    /// The tags, by subject and kind.
    pub tags: Vec<Tag>,
}

/// A requested change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// Sets a tag; the opposite kind on the same subject ends.
    Set(Tag),
    /// Clears a tag. Note and source give the reason.
    Clear(Tag),
}

/// Result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagOutcome {
    /// Nothing changed: the tag was already set with the same texts, or there was no tag to clear.
    Same,
    /// Set; there was no such tag before.
    New,
    /// Set with different texts.
    Changed,
    /// Set, and the opposite kind on the subject was removed.
    Displaced,
    /// Cleared.
    Cleared,
}

/// Event in the history of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagAct {
    /// The tag was set, or its texts were changed.
    Set,
    /// The tag was cleared.
    Cleared,
    /// The tag ended because the opposite kind was set.
    Displaced,
}

impl TagAct {
    /// The name of the event, for output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Cleared => "cleared",
            Self::Displaced => "displaced",
        }
    }
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagEvent {
    /// Sequence number over all entries ever made, starting at 1.
    pub number: u64,
    /// Kind of event.
    pub act: TagAct,
    /// The tag concerned, including who changed it, when, and why.
    pub tag: Tag,
}

impl TagChange {
    /// The tag that the change sets or clears.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        match self {
            Self::Set(tag) | Self::Clear(tag) => tag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    fn net(text: &str) -> TagSubject {
        TagSubject::Net(text.parse().unwrap())
    }

    #[test]
    fn subjects_are_shown_as_they_are_typed() {
        assert_eq!(TagSubject::Below(name("example.com")).to_string(), ".example.com");
        assert_eq!(TagSubject::Name(name("*.example.com")).to_string(), "\\*.example.com");
        assert_eq!(net("192.0.2.1/32").to_string(), "192.0.2.1");
        assert_eq!(net("2001:db8::/32").to_string(), "2001:db8::/32");
        let mapped = TagSubject::address("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(mapped, net("192.0.2.1/32"));
    }

    #[test]
    fn within() {
        let below = TagSubject::Below(name("example.com"));
        assert!(TagSubject::Name(name("example.com")).is_within(&below));
        assert!(TagSubject::Below(name("a.example.com")).is_within(&below));
        assert!(!TagSubject::Name(name("badexample.com")).is_within(&below));
        assert!(!below.is_within(&TagSubject::Name(name("example.com"))));
        assert!(net("192.0.2.7/32").is_within(&net("192.0.2.0/24")));
        assert!(!net("192.0.0.0/16").is_within(&net("192.0.2.0/24")));
        assert!(!net("2001:db8::/32").is_within(&net("0.0.0.0/0")));
    }
}
