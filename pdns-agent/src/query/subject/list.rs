//! Several subjects in one text, separated by commas, semicolons or line breaks.
//!
//! Part of the subject parser.

use super::{Certainty, Purpose, Reading, Subject, SubjectError, exact};
use std::borrow::Cow;
use std::net::IpAddr;

/// Maximum number of subjects in one text.
pub const MAX_LISTED: usize = 10_000;

/// The parts of a list, and the subject that each was read as.
pub type Readings<'t> = Vec<(Cow<'t, str>, Reading)>;

/// Returns true if a line of a list is a comment.
#[must_use]
pub fn is_comment(line: &str) -> bool {
    line.starts_with(['#', ';', '!'])
        || line.starts_with("//") && !line.contains('.')
        || line.starts_with("// ")
}

/// Returns a line of a list without a comment behind the subject.
#[must_use]
pub fn without_comment(line: &str) -> &str {
    let mut ends = line
        .match_indices(['#', ';'])
        .filter(|(at, _)| line.get(..*at).is_some_and(|head| head.ends_with([' ', '\t'])));
    let slashes = line.match_indices(" //").next();
    let end = ends.next().into_iter().chain(slashes).map(|(at, _)| at).min();
    end.and_then(|end| line.get(..end)).unwrap_or(line).trim()
}

/// Splits a list into its parts. Some text stays whole: `192.0.2.0,24` is a prefix in DNSDB's notation.
#[must_use]
pub fn parts(text: &str) -> Vec<Cow<'_, str>> {
    if let Some((head, length)) = text.split_once(',')
        && head.trim().parse::<IpAddr>().is_ok()
        && length.trim().parse::<u8>().is_ok()
    {
        return vec![Cow::Owned(format!("{}/{}", head.trim(), length.trim()))];
    }
    let is_one = |reading: Reading| reading.certainty == Certainty::AsTyped;
    if exact(text.trim(), Purpose::LookUp).is_ok_and(is_one) {
        return vec![Cow::Borrowed(text)];
    }
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        let is_break = matches!(letter, ',' | ';' | '\n' | '\r') && !escaped;
        escaped = letter == '\\' && !escaped;
        if !is_break {
            continue;
        }
        let head = text.get(start..at).unwrap_or_default();
        let rest = text.get(at + 1..).unwrap_or_default();
        // A comma within a URL does not separate parts, unless another URL follows.
        let next = rest.split([',', ';', '\n', '\r']).next().unwrap_or_default();
        if letter.is_control() || !head.contains("://") || next.contains("://") {
            parts.push(Cow::Borrowed(head));
            start = at + 1;
        }
    }
    parts.push(Cow::Borrowed(text.get(start..).unwrap_or_default()));
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Reads all subjects of a text.
///
/// # Errors
/// The part that is not a subject, and why.
pub fn read_list(text: &str, purpose: Purpose) -> Result<Readings<'_>, (String, SubjectError)> {
    let parts = parts(text);
    if parts.is_empty() {
        return Err((text.to_owned(), SubjectError::Empty));
    }
    let mut readings = Vec::with_capacity(parts.len());
    for part in parts.into_iter().take(MAX_LISTED) {
        let reading =
            Subject::read(&part, purpose).map_err(|error| (part.trim().to_owned(), error))?;
        readings.push((part, reading));
    }
    Ok(readings)
}
