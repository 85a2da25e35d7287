//! A tag: what the organisation itself says of a name or of addresses.
//!
//! Part of `store`, which keeps tags (`store/tags.rs`); `query` finds those that apply to a row. A tag is a
//! kind on a subject. It lies in one hash under a field such as `threat =www.example.com`: the kind, a letter
//! for the sort of subject (`=` a name, `.` a name with all below it, `@` an address or prefix), the subject.
//! The value is its time in decimal, a space, and the words as JSON, so that Redis can tell whether
//! anything but the time is new.

use crate::name::{Name, NameBuf, shown::escaped};
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
#[error("{0:?} is no kind of tag: give threat, interest or trust")]
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

    /// The form it is stored in.
    fn stored(&self) -> String {
        match self {
            Self::Name(name) => format!("={name}"),
            Self::Below(name) => format!(".{name}"),
            Self::Net(net) => format!("@{net}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let name = |text| Name::from_canonical(text).ok().map(Name::to_buf);
        match text.split_at_checked(1)? {
            ("=", text) => name(text).map(Self::Name),
            (".", text) => name(text).filter(|name| !name.as_name().is_root()).map(Self::Below),
            ("@", text) => {
                // As an address and a length, which takes half the time.
                let (address, length) = text.split_once('/')?;
                let net = IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()?;
                (net.trunc() == net).then_some(Self::Net(net))
            }
            _ => None,
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

/// The words of a tag, as the value holds them.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Words {
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
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

    /// The value it is stored with.
    pub(crate) fn value(&self) -> String {
        let words = Words {
            note: self.note.clone(),
            source: self.source.clone(),
            author: self.author.clone(),
        };
        // Three texts always have a form in JSON.
        let words = serde_json::to_string(&words).unwrap_or_default();
        format!("{} {words}", self.time)
    }

    /// The tag in a field and its value; `None` when they do not read.
    pub(crate) fn read(field: &[u8], value: &[u8]) -> Option<Self> {
        TagReader::default().read(field, value)
    }
}

/// Reads tags one after the other. Those of one feed mostly have the same words, so the last words are kept,
/// and read again only where they differ.
pub(crate) struct TagReader {
    json: String,
    words: Words,
}

impl Default for TagReader {
    fn default() -> Self {
        Self { json: "{}".to_owned(), words: Words::default() }
    }
}

impl TagReader {
    /// The tag in a field and its value; `None` when they do not read.
    pub(crate) fn read(&mut self, field: &[u8], value: &[u8]) -> Option<Tag> {
        let (kind, subject) = read_field(std::str::from_utf8(field).ok()?)?;
        let (time, json) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let time = time.parse().ok()?;
        if json != self.json {
            self.words = serde_json::from_str(json).ok()?;
            json.clone_into(&mut self.json);
        }
        let Words { note, source, author } = self.words.clone();
        Some(Tag { subject, kind, note, source, author, time })
    }
}

/// The field of a tag.
pub(crate) fn field(kind: TagKind, subject: &TagSubject) -> String {
    format!("{kind} {}", subject.stored())
}

/// Kind and subject of a field.
pub(crate) fn read_field(field: &str) -> Option<(TagKind, TagSubject)> {
    let (kind, subject) = field.split_once(' ')?;
    let kind = TagKind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some((kind, TagSubject::read(subject)?))
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
    fn what_is_stored_reads_back() {
        for subject in [
            TagSubject::Name(name("www.example.com")),
            TagSubject::Name(name("*.example.com")),
            TagSubject::Name(name(".")),
            TagSubject::Below(name("a b.example")),
            net("192.0.2.0/24"),
            net("2001:db8::1/128"),
        ] {
            let tag = Tag {
                subject,
                kind: TagKind::Interest,
                note: "\u{1b}[2J\n\"".to_owned(),
                source: String::new(),
                author: "me".to_owned(),
                time: u32::MAX,
            };
            let field = field(tag.kind, &tag.subject);
            assert_eq!(Tag::read(field.as_bytes(), tag.value().as_bytes()), Some(tag));
        }
    }

    #[test]
    fn what_is_damaged_does_not_read() {
        for (field, value) in [
            ("threat", "1 {}"),
            ("threat ", "1 {}"),
            ("harm =a", "1 {}"),
            ("threat =A", "1 {}"),
            ("threat ..", "1 {}"),
            ("threat @192.0.2.1/24", "1 {}"),
            ("threat =a", "x {}"),
            ("threat =a", "1"),
            ("threat =a", "1 []x"),
        ] {
            assert_eq!(Tag::read(field.as_bytes(), value.as_bytes()), None, "{field} {value}");
        }
    }

    #[test]
    fn words_are_not_those_of_the_tag_before() {
        let mut reader = TagReader::default();
        let mut read = |value: &str| {
            let tag = reader.read(b"threat =a", value.as_bytes())?;
            Some((tag.note, tag.source, tag.time))
        };
        let tag = |note: &str, source: &str, time| Some((note.to_owned(), source.to_owned(), time));
        assert_eq!(read("1 "), None);
        assert_eq!(read("1 {}"), tag("", "", 1));
        assert_eq!(read("2 {\"note\":\"n\",\"source\":\"s\"}"), tag("n", "s", 2));
        assert_eq!(read("3 {\"note\":\"n\",\"source\":\"s\"}"), tag("n", "s", 3));
        assert_eq!(read("4 {\"note\":1}"), None);
        assert_eq!(read("5 {\"note\":\"n\",\"source\":\"s\"}"), tag("n", "s", 5));
        assert_eq!(read("6 {\"source\":\"t\"}"), tag("", "t", 6));
        assert_eq!(read("7 {}"), tag("", "", 7));
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
