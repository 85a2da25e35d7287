//! Suricata 8's data sets with context: a JSON object per line, which an alert shows as `alert.context.pdns`
//! (rules/datasets in its user guide).

use super::PageUrl;
use super::reason::reasons;
use crate::query::ExportItem;
use crate::render::{ascii_json, iso};
use crate::tag::TagSubject;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// The key of the value that is matched. Suricata takes a key with dots for a path into nested objects.
pub(super) const VALUE_KEY: &str = "name";

/// Returns true if the set can hold a subject: a name of printable ASCII, which is all that both JSON and the buffer
/// of octets can hold.
pub(super) fn admits(subject: &TagSubject) -> bool {
    matches!(subject, TagSubject::Name(name) if !name.as_name().is_root() && dotted(subject).is_some())
}

/// The name as it is in the buffer `dns.query`.
fn dotted(subject: &TagSubject) -> Option<String> {
    let TagSubject::Name(name) = subject else { return None };
    let mut octets = Vec::new();
    name.as_name().write_dotted(&mut octets);
    let text = String::from_utf8(octets).ok()?;
    text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()).then_some(text)
}

/// Writes a name; other subjects have no line.
pub(super) fn line(
    listed: &ExportItem<'_>,
    page: Option<&PageUrl>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(name) = dotted(&listed.subject) else { return Ok(()) };
    let mut object = Map::new();
    object.insert(VALUE_KEY.to_owned(), name.into());
    object.insert("kind".to_owned(), listed.kind().name().into());
    object.insert("confidence".to_owned(), listed.confidence.into());
    object.insert("reason".to_owned(), reasons(listed, true).into());
    if let Some(seen) = &listed.seen {
        object.insert("first_seen".to_owned(), iso(seen.time_first).into());
        object.insert("last_seen".to_owned(), iso(seen.time_last).into());
        object.insert("count".to_owned(), seen.count.into());
    }
    if let Some(page) = page {
        object.insert("url".to_owned(), page.of(&listed.subject).into());
    }
    ascii_json(&Value::Object(object), out)?;
    out.write_all(b"\n")
}
