//! The page in a sentence or two, and what there is to say of the event that was clicked.
//!
//! Part of the page; pure words, made of what was read.

use super::around::Around;
use super::read::Reading;
use super::timeline::{Time, grouped, lasting};
use crate::query::{Extent, Subject};

/// What is said of the event that was clicked.
pub(super) fn event(field: Option<&str>, at: Option<u32>, records: &Reading) -> Option<String> {
    let from = field.map(|field| format!("From {field}")).unwrap_or_default();
    let Some(at) = at else { return field.map(|_| format!("{from}.")) };
    let seen = match records.covering {
        0 => "no record covers this time".to_owned(),
        1 => "one record covers the time of this event".to_owned(),
        many => format!("{} records cover the time of this event", grouped(many as u64)),
    };
    let part = of_first(records.extent, "records").map(|part| format!(" ({part})"));
    let from = if from.is_empty() { "Event".to_owned() } else { format!("{from}, event") };
    let iso = Time::of(at).iso;
    Some(format!("{from} at {iso} (the thin line): {seen}{}.", part.unwrap_or_default()))
}

/// `of the first 50 000 records read`, where there are more.
pub(super) fn of_first(extent: Extent, what: &str) -> Option<String> {
    extent.first().map(|read| format!("of the first {} {what} read", grouped(read)))
}

/// The page in a sentence or two.
pub(super) fn summary(
    subject: &Subject,
    records: &Reading,
    pointing: &Reading,
    negatives: &Reading,
    nearby: &[Around],
) -> String {
    if let Subject::Below(_) = subject {
        return nearby.first().map_or_else(String::new, |around| {
            match (around.extent.is_whole(), around.names) {
                (true, 0) => "No name below was seen.".to_owned(),
                (true, names) => format!("{} below.", number(names, "name", "names")),
                (false, _) => "Too many names lie below to list here.".to_owned(),
            }
        });
    }
    let mut text = seen(subject, records);
    if pointing.read > 0 {
        let verb = if pointing.read == 1 { "points" } else { "point" };
        let more = if pointing.extent.is_whole() { "" } else { "More than " };
        text = format!("{text} {more}{} {verb} at it.", rows(pointing));
    }
    if negatives.read > 0 {
        let queries = number(negatives.count, "query", "queries");
        let part = of_first(negatives.extent, "negative answers");
        let part = part.map(|part| format!(" ({part})")).unwrap_or_default();
        let least = if negatives.is_least { "At least " } else { "" };
        text = format!(
            "{text} {least}{queries} got no answer{part} (NXDOMAIN, NODATA, failure or timeout)."
        );
    }
    text
}

fn number(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

fn rows(reading: &Reading) -> String {
    number(reading.read as u64, "record", "records")
}

/// How often and when a subject was seen; of a part, nothing that only the whole can tell.
fn seen(subject: &Subject, records: &Reading) -> String {
    let (Some(first), Some(last)) = (records.first, records.last) else {
        return if records.extent.is_whole() {
            "Never seen with a record.".to_owned()
        } else {
            "There was no time to read its records.".to_owned()
        };
    };
    let times = if records.count == 1 {
        "once".to_owned()
    } else {
        format!("{} times", grouped(records.count))
    };
    let least = if records.is_least { "at least " } else { "" };
    let names = number(records.names as u64, "name", "names");
    if let Some(part) = of_first(records.extent, "records") {
        let names = match subject {
            Subject::Name(_) | Subject::AtOrBelow(_) => "",
            _ => &format!("{names}, "),
        };
        let (from, to) = (Time::of(first), Time::of(last));
        return format!(
            "More records than a page reads; {part}: {names}seen {least}{times} between {} and {} UTC.",
            from.date, to.date
        );
    }
    let (from, to) = (Time::of(first), Time::of(last));
    let span = match lasting(last.saturating_sub(first)) {
        _ if first == last => format!("on {} at {}", from.date, from.clock),
        span if from.date == to.date => {
            format!("on {} from {} to {} ({span})", from.date, from.clock, to.clock)
        }
        span => format!("from {} to {} ({span})", from.date, to.date),
    };
    let what = match subject {
        Subject::Name(_) | Subject::AtOrBelow(_) => rows(records),
        _ => format!("{names} in {}", rows(records)),
    };
    format!("Seen {least}{times}, {span} UTC: {what}.")
}
