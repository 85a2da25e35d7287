//! Commands that answer with sums: names below a domain, rankings, new names and failed questions by domain.

use super::answer::Answer;
use super::args::{ByName, Rows};
use super::resolve::{LIMIT, TOP_LIMIT};
use super::{CliError, Found, Terminal, cannot, open};
use crate::query::{self, By, DAY, GroupSort, Grouping, Moment, Totals};
use crate::render::{Format, Item, escape};
use crate::store::{Options, Reader};

/// The most days in a row without new names that a table has a line for each of.
const LONGEST_GAP: u32 = 31;

/// What a group is by, as every format has it.
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
    answer: &mut Answer<'_, '_>,
) -> Result<Totals, CliError> {
    let by = word(&grouping.by);
    let (page, totals) = query::groups(store, grouping, sort, limit, &mut |group| {
        answer.item(&Item::Group { group, by })
    })
    .map_err(cannot("read the store"))?;
    answer.check()?;
    answer.note(page, true, None);
    Ok(totals)
}

/// Names below a domain; how many there are in all is said beside the data.
pub(super) fn subdomains(
    grouping: &Grouping,
    sort: GroupSort,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Answer::new(&mut store, rows.format(), Format::Cof, terminal)?;
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

/// Domains, addresses or types that were counted most.
pub(super) fn top(
    grouping: &Grouping,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    simple(grouping, GroupSort::Count, limit, rows, options, terminal)
}

/// Domains with failed questions.
pub(super) fn unanswered(
    grouping: &Grouping,
    sort: GroupSort,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    simple(grouping, sort, limit, rows, options, terminal)
}

/// Names or domains that were new on a day, with what is known of them since.
pub(super) fn new_on(
    day: u32,
    by: ByName,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut grouping = rows.new_by(by, terminal.now)?;
    grouping.first_on = Some(day);
    let limit = rows.limit.unwrap_or(LIMIT);
    simple(&grouping, GroupSort::Key, limit, rows, options, terminal)
}

fn simple(
    grouping: &Grouping,
    sort: GroupSort,
    limit: usize,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Answer::new(&mut store, rows.format(), Format::Cof, terminal)?;
    write(&mut store, grouping, sort, limit, &mut answer)?;
    answer.end()
}

/// A day in ISO 8601.
fn date(day: u32) -> String {
    let start = i64::from(Moment::day(day).start);
    jiff::Timestamp::from_second(start).unwrap_or_default().strftime("%Y-%m-%d").to_string()
}

/// How many names or domains were new on each day since `since`.
pub(super) fn days(
    since: u32,
    by: ByName,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let today = terminal.now / DAY;
    let grouping = rows.new_by(by, terminal.now)?;
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let (of, days) = match by {
        // The store counts these by itself.
        ByName::Names if rows.rrtype.is_empty() && rows.tag.is_none() => ("names", store.days()),
        ByName::Names => ("names", query::days(&mut store, &grouping)),
        ByName::Domains => ("domains", query::days(&mut store, &grouping)),
    };
    let days = days.map_err(cannot("read what was new on each day"))?;
    let mut answer = Answer::new(&mut store, rows.format(), Format::Cof, terminal)?;
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
    let most = shown.map(|(_, &names)| names).max().unwrap_or(0);
    // Until today a day without new names is a line too, or the bars would tell a wrong story; a log
    // that is ahead of its time adds only its own days.
    let mut next = Some(first);
    let folds = answer.terminal.format(rows.format(), Format::Cof) == Format::Table;
    while let Some(day) = next {
        let names = days.get(&day).copied().unwrap_or(0);
        let until = days.range(day..).map(|(&day, _)| day).next().unwrap_or(today + 1);
        if folds && until.saturating_sub(day) > LONGEST_GAP {
            let (from, to) = (date(day), date(until - 1));
            answer.notes.push(format!("no new {of} from {from} to {to}; these days are not shown"));
            next = days.range(until..).map(|(&day, _)| day).next();
            continue;
        }
        if answer.item(&Item::Day { day, of, names, most }).is_break() {
            break;
        }
        let after = day.saturating_add(1);
        next = if after <= today {
            Some(after)
        } else {
            days.range(after..).map(|(&day, _)| day).next()
        };
    }
    answer.check()?;
    answer.end()
}
