//! Strings specific to a few types: optional, of any length, or unquoted.

use super::parse::Reader;
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

/// Reads what [`one_or_two`] writes.
pub(super) fn read_one_or_two(reader: &mut Reader<'_, '_>) -> Option<()> {
    reader.string()?;
    if reader.is_at_end() { Some(()) } else { reader.string() }
}

/// The rest, one octet or more, as a single string of any length (RFC 7553 §4.4).
pub(super) fn long(writer: &mut TextWriter<'_>) -> Option<()> {
    let octets = writer.rest()?;
    writer.quoted(octets);
    Some(())
}

/// Reads what [`long`] writes.
pub(super) fn read_long(reader: &mut Reader<'_, '_>) -> Option<()> {
    let start = reader.out.len();
    reader.text()?;
    (reader.out.len() > start).then_some(())
}

/// The rest, which may be empty, as a single string (RFC 8659 §4.1.1).
#[expect(clippy::unnecessary_wraps, reason = "an entry of a table, as the others")]
pub(super) fn long_or_empty(writer: &mut TextWriter<'_>) -> Option<()> {
    let octets = std::mem::take(&mut writer.rest);
    writer.quoted(octets);
    Some(())
}

/// Reads what [`long_or_empty`] writes.
pub(super) fn read_long_or_empty(reader: &mut Reader<'_, '_>) -> Option<()> {
    reader.text()
}

/// An unquoted character-string of letters and digits (RFC 8659 §4.1).
pub(super) fn tag(writer: &mut TextWriter<'_>) -> Option<()> {
    let [length] = writer.take()?;
    let octets = writer.slice(usize::from(length))?;
    let is_tag = !octets.is_empty() && octets.iter().all(u8::is_ascii_alphanumeric);
    writer.out.push_str(std::str::from_utf8(octets).ok().filter(|_| is_tag)?);
    Some(())
}

/// Reads what [`tag`] writes.
pub(super) fn read_tag(reader: &mut Reader<'_, '_>) -> Option<()> {
    let tag = reader.word()?;
    if !tag.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    reader.counted(|reader| {
        reader.put(tag);
        Some(())
    })
}
