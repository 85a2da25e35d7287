//! The encoding of tags in Redis: field and value of one tag.
//!
//! All tags lie in one hash under fields such as `threat =www.example.com`: the kind, a letter for the type of
//! subject (`=` a name, `.` a name with all below it, `@` an address or prefix), the subject. The value is the time
//! in decimal, a space, and the texts as JSON, so that Redis can tell whether anything but the time has changed.

use crate::name::Name;
use crate::tag::{Tag, TagKind, TagSubject};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The texts of a tag, as in its value.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct TagWords {
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
}

/// Encodes the value of a tag.
pub(in crate::store) fn value(tag: &Tag) -> String {
    let words =
        TagWords { note: tag.note.clone(), source: tag.source.clone(), author: tag.author.clone() };
    // Three texts can always be encoded as JSON.
    let words = serde_json::to_string(&words).unwrap_or_default();
    format!("{} {words}", tag.time)
}

/// Decodes tags one after the other. Tags of one feed mostly have the same texts, so the last ones are kept and
/// decoded again only if they differ.
pub(in crate::store) struct TagReader {
    json: String,
    words: TagWords,
}

impl Default for TagReader {
    fn default() -> Self {
        Self { json: "{}".to_owned(), words: TagWords::default() }
    }
}

impl TagReader {
    /// Decodes the tag in a field and its value; `None` if they are invalid.
    pub(in crate::store) fn read(&mut self, field: &[u8], value: &[u8]) -> Option<Tag> {
        let (kind, subject) = read_field(std::str::from_utf8(field).ok()?)?;
        let (time, json) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let time = time.parse().ok()?;
        if json != self.json {
            self.words = serde_json::from_str(json).ok()?;
            json.clone_into(&mut self.json);
        }
        let TagWords { note, source, author } = self.words.clone();
        Some(Tag { subject, kind, note, source, author, time, listing: None })
    }
}

/// Encodes the field of a tag.
pub(in crate::store) fn field(kind: TagKind, subject: &TagSubject) -> String {
    format!("{kind} {}", stored(subject))
}

/// Decodes kind and subject from a field.
pub(in crate::store) fn read_field(field: &str) -> Option<(TagKind, TagSubject)> {
    let (kind, subject) = field.split_once(' ')?;
    let kind = TagKind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some((kind, read_subject(subject)?))
}

/// Encodes a subject.
pub(in crate::store) fn stored(subject: &TagSubject) -> String {
    match subject {
        TagSubject::Name(name) => format!("={name}"),
        TagSubject::Below(name) => format!(".{name}"),
        TagSubject::Net(net) => format!("@{net}"),
    }
}

/// Decodes the subject in a field.
fn read_subject(text: &str) -> Option<TagSubject> {
    let name = |text| Name::from_canonical(text).ok().map(Name::to_buf);
    match text.split_at_checked(1)? {
        ("=", text) => name(text).map(TagSubject::Name),
        (".", text) => name(text).filter(|name| !name.as_name().is_root()).map(TagSubject::Below),
        ("@", text) => {
            // As an address and a length, which takes half the time.
            let (address, length) = text.split_once('/')?;
            let net = IpNet::new(address.parse().ok()?, length.parse().ok()?).ok()?;
            (net.trunc() == net).then_some(TagSubject::Net(net))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    fn net(text: &str) -> TagSubject {
        TagSubject::Net(text.parse().unwrap())
    }

    fn read(field: &[u8], value: &[u8]) -> Option<Tag> {
        TagReader::default().read(field, value)
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
                listing: None,
            };
            let field = field(tag.kind, &tag.subject);
            assert_eq!(read(field.as_bytes(), value(&tag).as_bytes()), Some(tag));
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
            assert_eq!(read(field.as_bytes(), value.as_bytes()), None, "{field} {value}");
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
}
