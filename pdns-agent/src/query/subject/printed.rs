//! Subjects as text that is read back as the same subject, whatever octets they contain.
//!
//! Part of the subject parser; its inverse.

use super::{Certainty, Purpose, Reading, Subject};
use crate::name::NameBuf;
use crate::name::display::{ends_in_hex, escaped};
use crate::tag::TagSubject;
use std::borrow::Cow;

/// Returns a subject in the exact notation: a name as stored, unless it would be taken for something else.
#[must_use]
pub fn printed(subject: &Subject) -> String {
    let lead = match subject {
        Subject::Name(name) if is_plain(name.as_str()) => return name.to_string(),
        Subject::Name(_) => "",
        Subject::Below(apex) if apex.as_name().is_root() => return "*".to_owned(),
        Subject::Below(_) => "*.",
        Subject::AtOrBelow(_) => ".",
        Subject::Addresses(from, to) if from == to => return from.to_string(),
        Subject::Addresses(from, to) => {
            return match subject.as_prefix() {
                Some(net) => net.to_string(),
                None => format!("{from}-{to}"),
            };
        }
    };
    let name = subject.name().map_or("", NameBuf::as_str);
    let text = format!("{lead}{name}");
    let reads_back = |text: &str| {
        let reading = Reading { subject: subject.clone(), certainty: Certainty::AsTyped };
        Subject::read(text, Purpose::LookUp) == Ok(reading)
    };
    if reads_back(&text) {
        return text;
    }
    if let Some(rest) = name.strip_prefix('*') {
        let text = format!("{lead}\\*{rest}");
        if reads_back(&text) {
            return text;
        }
    }
    format!("{lead}{}", subject.name().map(escaped_labels).unwrap_or_default())
}

/// Like [`printed`], for a name.
#[must_use]
pub fn printed_name(name: &NameBuf) -> String {
    if is_plain(name.as_str()) { name.to_string() } else { printed(&Subject::Name(name.clone())) }
}

/// Returns true if text can only be a name: it has letters that are not part of a number, and no characters
/// with a special meaning. Most names are like this.
fn is_plain(text: &str) -> bool {
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let top = text.rsplit('.').next().unwrap_or_default();
    text.contains('.')
        && text.bytes().all(is_host)
        && !text.starts_with('.')
        && top.bytes().any(|octet| octet.is_ascii_alphabetic())
        && !ends_in_hex(text)
}

/// Returns a name with its unusual octets as `\DDD`, for links and lists: it is read back as the same name for
/// every [`Purpose`].
#[must_use]
pub fn typed_name(name: &NameBuf) -> String {
    escaped_labels(name).into_owned()
}

/// Returns the text of a tag's subject that [`super::tag_subject`] reads as the same subject.
#[must_use]
pub fn typed_tag(subject: &TagSubject) -> String {
    match subject {
        TagSubject::Name(name) => typed_name(name),
        TagSubject::Below(apex) => format!(".{}", escaped_labels(apex)),
        TagSubject::Net(_) => subject.to_string(),
    }
}

fn escaped_labels(name: &NameBuf) -> Cow<'_, str> {
    escaped(name.as_name())
}
