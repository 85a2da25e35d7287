//! Tags: the organisation's own judgement of names and addresses, and changes of it.
//!
//! A tag is a kind on a subject. `store` keeps tags and their history, `query` finds those that apply to a record,
//! `render` and `exchange` write them.

use crate::name::{NameBuf, shown::escaped};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest note, in octets.
pub const MAX_NOTE: usize = 1_000;
/// The longest source or author, in octets.
pub const MAX_SOURCE: usize = 200;

/// What a tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKind {
    /// Known to be bad.
    Threat,
    /// To be kept an eye on.
    Interest,
    /// Known to be good. A subject is either trusted or a threat.
    Trust,
}

impl TagKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Threat, Self::Interest, Self::Trust];

    /// Its name, as it is typed and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Threat => "threat",
            Self::Interest => "interest",
            Self::Trust => "trust",
        }
    }

    /// The kind that a subject cannot have beside this one.
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

/// Text that names no kind.
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

/// What a tag is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagSubject {
    /// One name.
    Name(NameBuf),
    /// A name and all below it; never the root.
    Below(NameBuf),
    /// An address, as a prefix of full length, or all addresses of a prefix; without host bits.
    Net(IpNet),
}

impl TagSubject {
    /// One address. An IPv6 address that stands for one of IPv4 (RFC 4291 §2.5.5.2) is that one.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Net(address.to_canonical().into())
    }

    /// The name that it is on, if it is on one.
    #[must_use]
    pub fn name(&self) -> Option<&NameBuf> {
        match self {
            Self::Name(name) | Self::Below(name) => Some(name),
            Self::Net(_) => None,
        }
    }

    /// The prefix that it is, if it is one.
    pub(crate) fn net(&self) -> Option<IpNet> {
        match self {
            Self::Net(net) => Some(*net),
            _ => None,
        }
    }

    /// Whether all that this subject covers is covered by `other`, too.
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

/// As it can be typed: `.example.com` for a name with all below it, an address without its length. Octets that no host name
/// has are escaped.
impl fmt::Display for TagSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Unescaped it would read as all below.
            Self::Name(name) if name.as_str().starts_with("*.") => {
                f.pad(&format!("\\*{}", escaped(name.as_name()).trim_start_matches("\\042")))
            }
            Self::Name(name) => f.pad(&escaped(name.as_name())),
            Self::Below(name) => f.pad(&format!(".{}", escaped(name.as_name()))),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => {
                f.pad(&net.addr().to_string())
            }
            Self::Net(net) => f.pad(&net.to_string()),
        }
    }
}

/// A tag. Empty text is text that was not given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// What it is on.
    pub subject: TagSubject,
    /// What it says.
    pub kind: TagKind,
    /// Why, in free text; at most [`MAX_NOTE`] octets.
    pub note: String,
    /// Where the judgement comes from, such as the name of a feed; at most [`MAX_SOURCE`] octets.
    pub source: String,
    /// Who set it; at most [`MAX_SOURCE`] octets.
    pub author: String,
    /// When it was set, in seconds since the epoch.
    pub time: u32,
}

/// Text of a tag that is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has {length} bytes, more than {most}: shorten it")]
pub struct LongText {
    /// Which text.
    what: &'static str,
    length: usize,
    most: usize,
}

impl Tag {
    /// A tag of which nothing else is said.
    #[must_use]
    pub fn new(kind: TagKind, subject: TagSubject) -> Self {
        let none = String::new;
        Self { subject, kind, note: none(), source: none(), author: none(), time: 0 }
    }

    /// Refuses what is too long to be stored.
    ///
    /// # Errors
    /// [`LongText`] for the first text that is.
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

/// All tags of a store, as they were at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSnapshot {
    /// Another number than before means other tags.
    pub generation: u64,
    /// The tags, by subject and kind.
    pub tags: Vec<Tag>,
}

/// A change that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// Sets a tag; the opposite kind on the same subject ends.
    Set(Tag),
    /// Clears one. Note and source say why.
    Clear(Tag),
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagOutcome {
    /// It was so before: set with the same words, or not there to be cleared.
    Same,
    /// Set where none was.
    New,
    /// Set with other words.
    Changed,
    /// Set, and the opposite kind on the subject is gone.
    Displaced,
    /// Cleared.
    Cleared,
}

/// What happened to a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagAct {
    /// It was set, or its words were changed.
    Set,
    /// It was cleared.
    Cleared,
    /// It ended because the opposite kind was set.
    Displaced,
}

impl TagAct {
    /// Its name, as it is shown.
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
    /// Counts all entries that there ever were, from 1.
    pub number: u64,
    /// What happened.
    pub act: TagAct,
    /// To which tag: who did it, when, and why.
    pub tag: Tag,
}

impl TagChange {
    /// The tag that is set or cleared.
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
