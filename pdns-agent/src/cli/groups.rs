//! Commands that print totals: names below a domain, rankings, new names and failed queries by domain.

use super::answer::Output;
use super::args::{ByName, RowOptions};
use super::query_args::{LIMIT, TOP_LIMIT};
use super::{CliError, Found, Terminal, cannot, open};
use crate::name::Name;
use crate::query::{self, By, DAY, GroupSort, Grouping, TimeSpec, Totals};
use crate::render::{Format, Item, escape};
use crate::store::{Options, Reader, StoreError};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The maximum number of consecutive days without new names that a table lists one by one.
const LONGEST_GAP: u32 = 31;

/// Returns the label of a grouping, which is the same in all formats.
fn word(by: &By) -> &'static str {
    match by {
        By::Names | By::Children(..) => "rrname",
        By::Domains => "domain",
        By::Addresses => "address",
        By::RrTypes => "rrtype",
        By::Depths(_) => "depth",
    }
}

/// Writes groups in order.
fn write(
    store: &mut Reader<'_>,
    grouping: &Grouping,
    sort: GroupSort,
    limit: usize,
    answer: &mut Output<'_, '_>,
) -> Result<Totals, CliError> {
    let by = word(&grouping.by);
    let (page, totals) = query::groups(store, grouping, sort, limit, &mut |group| {
        answer.item(&Item::Group { group, by })
    })
    .map_err(cannot("read the store"))?;
    answer.check()?;
    answer.note(page, true, None);
    let apex = match &grouping.by {
        By::Children(apex, _) | By::Depths(apex) => Some(apex.as_name()),
        By::Names | By::Domains | By::Addresses | By::RrTypes => None,
    };
    if let Some(note) = unkept(store, apex).map_err(cannot("read the store"))? {
        answer.notes.push(note);
    }
    Ok(totals)
}

/// Says how many names are missing from totals, because their domains had too many new ones.
fn unkept(store: &mut Reader<'_>, below: Option<Name<'_>>) -> Result<Option<String>, StoreError> {
    let domains = store.unkept_domains(below)?;
    let Some(first) = domains.first() else { return Ok(None) };
    let names = store.count_unkept(&domains)?;
    let of = match domains.len() {
        1 => escape(first.as_str()).into_owned(),
        count => format!("{count} domains"),
    };
    Ok(Some(format!("about {names} names below {of} were not kept and are not counted here")))
}

/// Prints the names below a domain; their total number goes to standard error.
pub(super) fn subdomains(
    grouping: &Grouping,
    sort: GroupSort,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let totals = write(&mut store, grouping, sort, limit, &mut answer)?;
    if totals.names > 0
        && let By::Children(apex, _) | By::Depths(apex) = &grouping.by
    {
        answer.notes.push(said(apex.as_name().as_str(), &totals));
    }
    answer.end()
}

/// `5 names below example.com: 3 by 1 label, 2 by 2`
fn said(apex: &str, totals: &Totals) -> String {
    let name = if totals.names == 1 { "name" } else { "names" };
    let mut depths = Vec::new();
    for (at, (depth, names)) in totals.depths.iter().enumerate() {
        let label = match (at, depth) {
            (0, 1) => " label",
            (0, _) => " labels",
            _ => "",
        };
        depths.push(format!("{names} by {depth}{label}"));
    }
    format!("{} {name} below {}: {}", totals.names, escape(apex), depths.join(", "))
}

/// Prints the domains, addresses or types with the highest counts.
pub(super) fn top(
    grouping: &Grouping,
    sort: GroupSort,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    simple(grouping, sort, limit, rows, options, terminal)
}

/// Prints domains with failed queries.
pub(super) fn unanswered(
    grouping: &Grouping,
    sort: GroupSort,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    simple(grouping, sort, limit, rows, options, terminal)
}

/// Prints the names or domains that were new on a day, with the records of them since.
pub(super) fn new_on(
    day: u32,
    by: ByName,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let (mut grouping, sort) = rows.new_by(by, terminal.now)?;
    grouping.first_on = Some(day);
    let limit = rows.limit.unwrap_or(LIMIT);
    simple(&grouping, sort.unwrap_or(GroupSort::Key), limit, rows, options, terminal)
}

fn simple(
    grouping: &Grouping,
    sort: GroupSort,
    limit: usize,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    write(&mut store, grouping, sort, limit, &mut answer)?;
    answer.end()
}

/// A line of the counts of new names by day.
enum DayLine {
    /// A day.
    Day { day: u32, names: u64 },
    /// Several consecutive days without new names, the first and the last.
    Gap { from: u32, to: u32 },
}

impl DayLine {
    fn names(&self) -> u64 {
        match self {
            Self::Day { names, .. } => *names,
            Self::Gap { .. } => 0,
        }
    }
}

/// Returns every day from `first` to today, and later ones with new names. Days without new names have a line, too,
/// since the bars would mislead otherwise; with `folds`, a long gap is one line. A log whose clock is ahead adds only
/// its own days.
fn by_day(days: &BTreeMap<u32, u64>, first: u32, today: u32, folds: bool) -> Vec<DayLine> {
    let (mut lines, mut day) = (Vec::new(), first);
    loop {
        let next = days.range(day..).next();
        // The first day after those without new names.
        let until = next.map_or(today + 1, |(&next, _)| next.max(day));
        if folds && until.saturating_sub(day) > LONGEST_GAP {
            lines.push(DayLine::Gap { from: day, to: until - 1 });
        } else {
            // Days after today are not filled in.
            let empty = day..until.min(today.saturating_add(1));
            lines.extend(empty.map(|day| DayLine::Day { day, names: 0 }));
        }
        let Some((&next, &names)) = next else { return lines };
        lines.push(DayLine::Day { day: next, names });
        day = next.saturating_add(1);
    }
}

/// Formats a day in ISO 8601.
fn date(day: u32) -> String {
    let start = i64::from(TimeSpec::day(day).start);
    jiff::Timestamp::from_second(start).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

/// Prints the number of names or domains that were new on each day since `since`.
pub(super) fn days(
    since: u32,
    by: ByName,
    rows: &RowOptions,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let today = terminal.now / DAY;
    let (grouping, sort) = rows.new_by(by, terminal.now)?;
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let (of, days) = match by {
        // The store keeps these counts.
        ByName::Names if rows.fences.is_open() => ("names", store.days()),
        ByName::Names => ("names", query::days(&mut store, &grouping)),
        ByName::Domains => ("domains", query::days(&mut store, &grouping)),
    };
    let days = days.map_err(cannot("read what was new on each day"))?;
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    let shown = days.range(since..);
    let Some(first) = shown.clone().map(|(&day, _)| day).next() else {
        if let Some((&day, _)) = days.last_key_value() {
            let last = date(day);
            answer
                .terminal
                .say(format_args!("no new {of} since then; the last were new on {last}"));
        } else {
            answer.terminal.say(format_args!("no records yet"));
        }
        return answer.end();
    };
    let most = shown.clone().map(|(_, &names)| names).max().unwrap_or(0);
    let folds = answer.terminal.format(rows.format(), Format::Cof) == Format::Table;
    let with_names = shown.clone().count();
    let limit = rows.limit.filter(|&limit| limit > 0).unwrap_or(usize::MAX).min(with_names);
    // A limit is of days with new names. In order of time the latest are of most interest.
    let from = shown.clone().rev().nth(limit - 1).map_or(first, |(&day, _)| day);
    let lines = match sort {
        None | Some(GroupSort::Key | GroupSort::First) => by_day(&days, from, today, folds),
        Some(GroupSort::Last) => by_day(&days, from, today, folds).into_iter().rev().collect(),
        Some(GroupSort::Count | GroupSort::Names) => {
            let mut lines: Vec<DayLine> =
                shown.map(|(&day, &names)| DayLine::Day { day, names }).collect();
            lines.sort_by_key(|line| Reverse(line.names()));
            lines.truncate(limit);
            lines
        }
    };
    for line in lines {
        match line {
            DayLine::Day { day, names } => {
                if answer.item(&Item::Day { day, of, names, most }).is_break() {
                    break;
                }
            }
            DayLine::Gap { from, to } => {
                let (from, to) = (date(from), date(to));
                answer.remark(format!("no new {of} from {from} to {to}; these days are not shown"));
            }
        }
    }
    if limit < with_names {
        answer.remark(format!(
            "cut off after {limit} of {with_names} days with new {of}; --limit 0 shows them"
        ));
    }
    answer.check()?;
    answer.end()
}
