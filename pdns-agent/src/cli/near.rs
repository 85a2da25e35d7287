//! Subjects close to a threat: `pdns near` by address, `pdns contrast` by shared infrastructure.

use super::answer::Output;
use super::args::RowOptions;
use super::args::tag::{ContrastArgs, NearArgs};
use super::query_args::{LIMIT, TOP_LIMIT, UsageError};
use super::{CliError, Found, Terminal, cannot, open, parked, tag};
use crate::query::{self, ContrastQuery, MAX_SHARED, MAX_SORTED, Page, Subject};
use crate::render::{Format, Item};
use crate::store::Options;
use crate::tag::TagSubject;
use std::sync::Arc;

/// Prints the tagged addresses nearest to one.
pub(super) fn near(
    args: &NearArgs,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let rows = RowOptions::from(&args.paging);
    let subject = super::query_args::subject(&args.address)?;
    let address = match subject {
        Subject::Addresses(from, to) if from == to => from,
        _ => return Err(UsageError::NoAddress(args.address.clone()).into()),
    };
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Json, terminal)?;
    let mut tags = answer.all_tags(&mut store)?;
    if !args.source.is_empty() {
        tags = Arc::new(tags.of_sources(&args.source));
    }
    let (found, cut) = query::near(&tags, address, args.kind.0, limit);
    for near in &found {
        // Counting the names on a whole prefix would require reading its records.
        let is_one = near.tag.subject == TagSubject::address(near.address);
        let there = if is_one {
            let there = query::on_address(&mut store, near.address);
            Some(there.map_err(cannot("read the store"))?)
        } else {
            None
        };
        if let Some(read) = there.as_ref().and_then(|there| there.extent.first()) {
            answer.remark(format!(
                "{}: the names of the first {read} records are counted, and there are more",
                near.address
            ));
        }
        if answer.item(&Item::Near(near, there.as_ref())).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.note(Page { shown: found.len() as u64, cut, ..Page::default() }, true, None);
    answer.end()
}

/// Prints the untagged neighbours of one subject, or of all threats.
pub(super) fn contrast(
    args: &ContrastArgs,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let rows = RowOptions::from(&args.paging);
    let of = args.subject.as_deref().map(|typed| tag::subject(typed, None)).transpose()?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let parked = if args.include_parked { None } else { Some(parked::list(None)?) };
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Json, terminal)?;
    let kind = args.relation;
    let query = ContrastQuery { of: of.as_ref(), kind, parked: parked.as_ref(), limit };
    let mut tags = answer.all_tags(&mut store)?;
    if !args.source.is_empty() {
        tags = Arc::new(tags.of_sources(&args.source));
    }
    let found = query::contrast(&mut store, &tags, &query).map_err(cannot("read the store"))?;
    for neighbour in &found.neighbours {
        if answer.item(&Item::Neighbour(neighbour, &found.limits)).is_break() {
            break;
        }
    }
    answer.check()?;
    let shown = found.neighbours.len() as u64;
    if found.cut && found.neighbours.len() == MAX_SORTED {
        answer
            .remark(format!("cut off after {shown} rows, the best; that is the most there can be"));
    } else {
        answer.note(Page { shown, cut: found.cut, ..Page::default() }, true, None);
    }
    let values = |number: u64| if number == 1 { "value is" } else { "values are" };
    if found.common > 0 {
        answer.remark(format!(
            "{} {} shared by more than {MAX_SHARED} names and left out",
            found.common,
            values(found.common)
        ));
    }
    if found.parked > 0 {
        answer.remark(format!(
            "{} {} local or parked and left out; --include-parked follows them",
            found.parked,
            values(found.parked)
        ));
    }
    for part in found.limits.parts() {
        answer.remark(format!(
            "only the first {part} were looked at, and there are more; ask for the neighbours of one threat"
        ));
    }
    answer.end()
}
