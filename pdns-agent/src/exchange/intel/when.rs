//! Times in files: RFC 3339, dates with or without a time, and seconds since the epoch.

use crate::query::TimeSpec;

/// Seconds since the epoch; `None` for what is not a time, or out of range.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let text = text.trim().trim_end_matches(" UTC").trim_end_matches(" GMT").trim();
    // An age such as 7d is not a time of a file.
    let is_time = text.starts_with(|first: char| first.is_ascii_digit())
        && (text.contains('-') || text.bytes().all(|octet| octet.is_ascii_digit()));
    if !is_time || text == "0" {
        return None;
    }
    TimeSpec::parse(text, 0).ok().map(|time| time.start)
}
