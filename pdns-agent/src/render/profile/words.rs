//! A profile in sentences, for terminals and pages alike.
//!
//! Part of `render`. Pages group the digits of numbers and terminals do not, so the number format is a parameter.

use crate::query::{
    Extent, NearestThreat, Neighbourhood, Profile, Section, SectionReading, Subject, TagChanges,
};
use crate::render::json::iso;
use crate::render::utc;

/// Formats a number.
pub(crate) type Digits<'d> = &'d dyn Fn(u64) -> String;

/// Returns the title of a section.
pub(crate) fn section_title(subject: &Subject, section: Section) -> &'static str {
    match (subject, section) {
        (Subject::Name(_) | Subject::AtOrBelow(_), Section::Records) => "What it resolved to",
        (_, Section::Records) => "Records that point here",
        (_, Section::Pointing) => "What points at it",
        (_, Section::Negatives) => "Negative answers",
    }
}

/// Returns the title of the names near a subject, before the prefix or domain that they lie in.
pub(crate) fn neighbourhood_title(subject: &Subject, near: &Neighbourhood) -> &'static str {
    match (&near.whole, subject, near.extent.is_whole()) {
        (Subject::Below(_), Subject::Below(_) | Subject::AtOrBelow(_), true) => {
            "Newest names below"
        }
        (Subject::Below(_), _, true) => "Newest under",
        (Subject::Below(_), _, false) => "Names under",
        (_, _, true) => "Newest in",
        (_, _, false) => "Some names in",
    }
}

/// Formats the number of names near a subject, and the number of records it is based on.
pub(crate) fn neighbourhood_extent(near: &Neighbourhood, digits: Digits<'_>) -> String {
    let (names, shown) = (digits(near.names), near.newest.len());
    match (near.extent.first(), near.names) {
        (None, 0) => "no other name was seen".to_owned(),
        (None, 1) => "1 name".to_owned(),
        (None, many) if many > shown as u64 => format!("the newest {shown} of {names} names"),
        (None, _) => format!("{names} names"),
        (Some(0), _) => "too many names to rank here; `pdns new --list` has each day's".to_owned(),
        (Some(read), _) => format!(
            "{shown} of {names} names in the first {} records read; there are more",
            digits(read)
        ),
    }
}

/// Describes the rows of a section that are not shown; empty if all are.
pub(crate) fn left_out(rows: &SectionReading, digits: Digits<'_>) -> String {
    let shown = digits(rows.rows.len() as u64);
    match (rows.extent.first(), rows.read > rows.rows.len()) {
        (None, false) => String::new(),
        (None, true) => format!("the latest {shown} of {}", digits(rows.read as u64)),
        (Some(read), _) => {
            format!("{shown} of the first {} that were read; there are more", digits(read))
        }
    }
}

/// Describes the changes of tags that are not shown; empty if all are.
pub(crate) fn changes_left_out(changes: &TagChanges, kept: u32, digits: Digits<'_>) -> String {
    let mut note = String::new();
    let shown = changes.latest.len();
    if changes.count > shown as u64 {
        note = format!("The latest {shown} of {} changes.", digits(changes.count));
    }
    if changes.dropped > 0 {
        let (kept, gone) = (digits(kept.into()), digits(changes.dropped));
        note = format!(
            "{note} The store keeps the last {kept} changes of all tags; {gone} older ones are gone."
        );
    }
    note.trim_start().to_owned()
}

/// Formats a length of time in its largest fitting unit: `3 days`.
pub(crate) fn lasting(seconds: u32) -> String {
    const UNITS: [(u32, &str); 5] =
        [(31_536_000, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fits = UNITS.iter().find(|(length, _)| seconds >= *length);
    let &(length, unit) = fits.unwrap_or(&(1, "second"));
    let number = seconds / length;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Describes the event that was clicked.
pub(crate) fn event(
    field: Option<&str>,
    at: Option<u32>,
    records: &SectionReading,
    digits: Digits<'_>,
) -> Option<String> {
    let from = field.map(|field| format!("From {field}")).unwrap_or_default();
    let Some(at) = at else { return field.map(|_| format!("{from}.")) };
    let seen = match records.covering {
        0 => "no record covers this time".to_owned(),
        1 => "one record covers the time of this event".to_owned(),
        many => format!("{} records cover the time of this event", digits(many as u64)),
    };
    let part = of_first(records.extent, "records", digits).map(|part| format!(" ({part})"));
    let from = if from.is_empty() { "Event".to_owned() } else { format!("{from}, event") };
    let iso = iso(at);
    Some(format!("{from} at {iso} (the thin line): {seen}{}.", part.unwrap_or_default()))
}

/// Formats `of the first 50 000 records read`, if there are more.
pub(crate) fn of_first(extent: Extent, what: &str, digits: Digits<'_>) -> Option<String> {
    extent.first().map(|read| format!("of the first {} {what} read", digits(read)))
}

/// The addresses that were compared to find the nearest threat, if not all were. `extent` is that of the records.
pub(crate) fn compared(
    nearest: &NearestThreat,
    extent: Extent,
    digits: Digits<'_>,
) -> Option<String> {
    let &NearestThreat { compared, addresses, .. } = nearest;
    if compared == addresses && extent.is_whole() {
        return None;
    }
    let part = of_first(extent, "records", digits).map(|part| format!(" {part}"));
    let addresses = digits(addresses as u64);
    Some(format!(
        "{compared} of the {addresses} addresses{} were compared",
        part.unwrap_or_default()
    ))
}

/// Summarises a profile in a sentence or two.
pub(crate) fn summary(profile: &Profile, digits: Digits<'_>) -> String {
    let Profile { subject, records, pointing, negatives, .. } = profile;
    if let Subject::Below(_) = subject {
        return profile.neighbourhoods.first().map_or_else(String::new, |around| {
            match (around.extent.is_whole(), around.names) {
                (true, 0) => "No name below was seen.".to_owned(),
                (true, names) => format!("{} below.", number(names, "name", "names", digits)),
                (false, _) => "Too many names lie below to list here.".to_owned(),
            }
        });
    }
    let mut text = seen(subject, records, digits);
    if pointing.read > 0 {
        let verb = if pointing.read == 1 { "points" } else { "point" };
        let more = if pointing.extent.is_whole() { "" } else { "More than " };
        text = format!("{text} {more}{} {verb} at it.", rows(pointing, digits));
    }
    if negatives.read > 0 {
        let queries = number(negatives.count, "query", "queries", digits);
        let part = of_first(negatives.extent, "negative answers", digits);
        let part = part.map(|part| format!(" ({part})")).unwrap_or_default();
        let least = if negatives.is_least { "At least " } else { "" };
        text = format!(
            "{text} {least}{queries} got no answer{part} (NXDOMAIN, NODATA, failure or timeout)."
        );
    }
    text
}

fn number(number: u64, one: &str, many: &str, digits: Digits<'_>) -> String {
    format!("{} {}", digits(number), if number == 1 { one } else { many })
}

fn rows(reading: &SectionReading, digits: Digits<'_>) -> String {
    number(reading.read as u64, "record", "records", digits)
}

/// Formats the count and times of a subject; for a partial reading, only what holds for the part.
fn seen(subject: &Subject, records: &SectionReading, digits: Digits<'_>) -> String {
    let (Some(first), Some(last)) = (records.first, records.last) else {
        return if records.extent.is_whole() {
            match subject {
                Subject::AtOrBelow(_) => "The name itself was never seen with a record.".to_owned(),
                _ => "Never seen with a record.".to_owned(),
            }
        } else {
            "There was no time to read its records.".to_owned()
        };
    };
    let times = if records.count == 1 {
        "once".to_owned()
    } else {
        format!("{} times", digits(records.count))
    };
    let least = if records.is_least { "at least " } else { "" };
    let names = number(records.names as u64, "name", "names", digits);
    if let Some(part) = of_first(records.extent, "records", digits) {
        let names = match subject {
            Subject::Name(_) | Subject::AtOrBelow(_) => "",
            _ => &format!("{names}, "),
        };
        let (from, to) = (Clock::new(first), Clock::new(last));
        return format!(
            "More records than are read here; {part}: {names}seen {least}{times} between {} and {} UTC.",
            from.date, to.date
        );
    }
    let (from, to) = (Clock::new(first), Clock::new(last));
    let span = match lasting(last.saturating_sub(first)) {
        _ if first == last => format!("on {} at {}", from.date, from.clock),
        span if from.date == to.date => {
            format!("on {} from {} to {} ({span})", from.date, from.clock, to.clock)
        }
        span => format!("from {} to {} ({span})", from.date, to.date),
    };
    let what = match subject {
        Subject::Name(_) | Subject::AtOrBelow(_) => rows(records, digits),
        _ => format!("{names} in {}", rows(records, digits)),
    };
    format!("Seen {least}{times}, {span} UTC: {what}.")
}

/// A time, split into date and clock.
struct Clock {
    /// `2026-11-24`.
    date: String,
    /// `02:22`.
    clock: String,
}

impl Clock {
    fn new(at: u32) -> Self {
        let text = utc(at);
        let (date, clock) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        let clock = clock.get(..5).unwrap_or(clock);
        Self { date: date.to_owned(), clock: clock.to_owned() }
    }
}
