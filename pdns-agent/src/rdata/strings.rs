//! Strings specific to a few types: optional, of any length, or unquoted.

use super::text::TextWriter;

/// A character-string and an optional second one.
pub(super) fn one_or_two(writer: &mut TextWriter<'_>) -> Option<()> {
    writer.string()?;
    if writer.rest.is_empty() {
        return Some(());
    }
    writer.space();
    writer.string()
}

/// The rest, one octet or more, as a single string of any length (RFC 7553 §4.4).
pub(super) fn long(writer: &mut TextWriter<'_>) -> Option<()> {
    let octets = writer.rest()?;
    writer.quoted(octets);
    Some(())
}

/// The rest, which may be empty, as a single string (RFC 8659 §4.1.1).
#[expect(clippy::unnecessary_wraps, reason = "an entry of a table, as the others")]
pub(super) fn long_or_empty(writer: &mut TextWriter<'_>) -> Option<()> {
    let octets = std::mem::take(&mut writer.rest);
    writer.quoted(octets);
    Some(())
}

/// An unquoted character-string of letters and digits (RFC 8659 §4.1).
pub(super) fn tag(writer: &mut TextWriter<'_>) -> Option<()> {
    let [length] = writer.take()?;
    let octets = writer.slice(usize::from(length))?;
    let is_tag = !octets.is_empty() && octets.iter().all(u8::is_ascii_alphanumeric);
    writer.out.push_str(std::str::from_utf8(octets).ok().filter(|_| is_tag)?);
    Some(())
}
