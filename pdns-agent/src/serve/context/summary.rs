//! The page in a sentence or two, and what there is to say of the event that was clicked.
//!
//! Part of the page; pure words, made of what was read.

use super::around::Around;
use super::read::Reading;
use super::timeline::{Time, grouped, lasting};
use crate::query::Subject;

/// What is said of the event that was clicked.
pub(super) fn event(field: Option<&str>, at: Option<u32>, records: &Reading) -> Option<String> {
    let from = field.map(|field| format!("From {field}")).unwrap_or_default();
    let Some(at) = at else { return field.map(|_| format!("{from}.")) };
    let seen =
        records.rows.iter().filter(|row| (row.seen.time_first..=row.seen.time_last).contains(&at));
    let seen = match seen.count() {
        0 => "no record was seen both before and after it".to_owned(),
        1 => "one record was seen both before and after it".to_owned(),
        many => format!("{many} records were seen both before and after it"),
    };
    let from = if from.is_empty() { "Event".to_owned() } else { format!("{from}, event") };
    Some(format!("{from} at {} (the thin line): {seen}.", Time::of(at).iso))
}

/// The page in a sentence or two.
pub(super) fn summary(
    subject: &Subject,
    records: &Reading,
    pointing: &Reading,
    negatives: &Reading,
    nearby: &[Around],
) -> String {
    let number = |number: usize, is_whole: bool, one: &str, many: &str| {
        let more = if is_whole { "" } else { "at least " };
        let word = if number == 1 { one } else { many };
        format!("{more}{} {word}", grouped(number as u64))
    };
    let of = |rows: &Reading| number(rows.read, rows.is_whole, "record", "records");
    if let Subject::Below(_) = subject {
        let around = nearby.first();
        return match around.map_or((0, false), |around| (around.met, around.is_cut)) {
            (0, _) => "No name below was seen.".to_owned(),
            (met, is_cut) => format!("{} below.", number(met, !is_cut, "name", "names")),
        };
    }
    let mut text = match (records.first, records.last) {
        (Some(first), Some(last)) => {
            let (from, to) = (Time::of(first), Time::of(last));
            let span = match lasting(last.saturating_sub(first)) {
                _ if first == last => format!("on {} at {}", from.date, from.clock),
                span if from.date == to.date => {
                    format!("on {} from {} to {} ({span})", from.date, from.clock, to.clock)
                }
                span => format!("from {} to {} ({span})", from.date, to.date),
            };
            let is_exact = records.is_whole && !records.is_least;
            let least = if is_exact { "" } else { "at least " };
            let times = if records.count == 1 {
                "once".to_owned()
            } else {
                format!("{} times", grouped(records.count))
            };
            let what = if let Subject::Name(_) | Subject::AtOrBelow(_) = subject {
                of(records)
            } else {
                let names = number(records.names, records.is_whole, "name", "names");
                format!("{names} in {}", of(records))
            };
            format!("Seen {least}{times}, {span} UTC: {what}.")
        }
        _ => "Never seen with a record.".to_owned(),
    };
    if pointing.read > 0 {
        let verb = if pointing.read == 1 && pointing.is_whole { "points" } else { "point" };
        text = format!("{text} {} {verb} at it.", of(pointing));
    }
    if negatives.read > 0 {
        let times = if negatives.count == 1 {
            "once".to_owned()
        } else {
            format!("{} times", grouped(negatives.count))
        };
        text = format!("{text} It was asked for in vain {times}.");
    }
    text
}
