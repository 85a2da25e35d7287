//! Subjects as they can be typed, or stand in a link or a list: whatever is in them, they read back as the same.
//!
//! Part of `query`, the other way round than `subject` and `tag_subject`.

use super::Subject;
use crate::name::NameBuf;
use crate::store::TagSubject;
use std::fmt::Write as _;

/// Lengths of hexadecimal digests, which are no names though a name could look so.
const DIGESTS: [usize; 5] = [32, 40, 56, 64, 128];

/// Whether text is a number or a digest, and hardly a name, though it could be one.
#[must_use]
pub fn is_number_or_digest(value: &str) -> bool {
    let is_number = value.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-');
    let is_digest =
        DIGESTS.contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_number || is_digest
}

/// What a tag is on, so that [`super::tag_subject`] makes the same of it.
#[must_use]
pub fn typed_tag(subject: &TagSubject) -> String {
    match subject {
        TagSubject::Name(name) => typed_name(name),
        TagSubject::Below(apex) => format!(".{}", escaped_labels(apex)),
        TagSubject::Net(_) => subject.to_string(),
    }
}

/// A name, so that [`Subject::parse`] makes the same of it: octets that would be taken for something else (a comma, a slash,
/// a quote) are `\DDD`.
#[must_use]
pub fn typed_name(name: &NameBuf) -> String {
    let text = escaped_labels(name);
    let is_same = Subject::parse(&text) == Ok(Subject::Name(name.clone()));
    if is_same && !is_number_or_digest(&text) {
        return text;
    }
    // Such as a name of four numbers, which is no address.
    let mut out = String::new();
    match text.as_bytes().first() {
        Some(&first) if first != b'.' && first != b'\\' => push_escape(first, &mut out),
        _ => return text,
    }
    out + text.get(1..).unwrap_or_default()
}

/// A name's text with all but letters, digits, `-` and `_` as `\DDD`.
#[must_use]
pub fn escaped_labels(name: &NameBuf) -> String {
    let mut out = String::new();
    let mut octets = name.as_str().bytes().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' if octets.peek().is_some_and(u8::is_ascii_digit) => out.push('\\'),
            b'\\' => push_escape(octets.next().unwrap_or(b'\\'), &mut out),
            b'.' | b'-' | b'_' => out.push(char::from(octet)),
            octet if octet.is_ascii_alphanumeric() => out.push(char::from(octet)),
            octet => push_escape(octet, &mut out),
        }
    }
    out
}

/// One octet as `\DDD` (RFC 1035 §5.1).
fn push_escape(octet: u8, out: &mut String) {
    // A String takes all that is written to it.
    write!(out, "\\{octet:03}").ok();
}
