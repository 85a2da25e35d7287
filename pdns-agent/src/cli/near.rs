//! What lies close to a threat: `pdns near` by address, `pdns contrast` by what is shared.

use super::answer::Answer;
use super::args::Rows;
use super::args::tag::{ContrastArgs, NearArgs};
use super::resolve::{LIMIT, TOP_LIMIT, UsageError};
use super::{CliError, Found, Terminal, cannot, open, tag};
use crate::query::{self, MAX_SHARED, MAX_SORTED, Page, Subject};
use crate::render::{Format, Item};
use crate::store::{Options, TagSubject};

/// The tagged addresses nearest to one.
pub(super) fn near(
    args: &NearArgs,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let subject = super::resolve::subject(&args.address)?;
    let address = match subject {
        Subject::Addresses(from, to) if from == to => from,
        _ => return Err(UsageError::NoAddress(args.address.clone()).into()),
    };
    let limit = rows.limit.unwrap_or(TOP_LIMIT);
    let mut store = open(options)?;
    let mut answer = Answer::new(&mut store, rows.format(), Format::Json, terminal)?;
    let tags = answer.tags();
    let (found, cut) = query::near(&tags, address, args.kind.0, limit);
    for near in &found {
        // The records on a whole prefix would have to be read to count its names.
        let is_one = near.tag.subject == TagSubject::address(near.address);
        let there = if is_one {
            let there = query::on_address(&mut store, near.address);
            Some(there.map_err(cannot("read the store"))?)
        } else {
            None
        };
        if answer.item(&Item::Near(near, there.as_ref())).is_break() {
            break;
        }
    }
    answer.check()?;
    answer.note(Page { shown: found.len() as u64, cut, ..Page::default() }, true, None);
    answer.end()
}

/// The untagged neighbours of one subject, or of all threats.
pub(super) fn contrast(
    args: &ContrastArgs,
    rows: &Rows,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let of = args.subject.as_deref().map(|typed| tag::subject(typed, None)).transpose()?;
    let limit = rows.limit.unwrap_or(LIMIT);
    let mut store = open(options)?;
    let mut answer = Answer::new(&mut store, rows.format(), Format::Json, terminal)?;
    let found = query::contrast(&mut store, &answer.tags(), of.as_ref(), args.tie, limit)
        .map_err(cannot("read the store"))?;
    for tie in &found.ties {
        if answer.item(&Item::Tie(tie)).is_break() {
            break;
        }
    }
    answer.check()?;
    let shown = found.ties.len() as u64;
    if found.cut && found.ties.len() == MAX_SORTED {
        answer
            .remark(format!("cut off after {shown} rows, the best; that is the most there can be"));
    } else {
        answer.note(Page { shown, cut: found.cut, ..Page::default() }, true, None);
    }
    if found.common > 0 {
        let values = if found.common == 1 { "value is" } else { "values are" };
        answer.remark(format!(
            "{} {values} shared by more than {MAX_SHARED} names and left out",
            found.common
        ));
    }
    if found.partial {
        answer.remark(
            "there are more threats than are looked at together; ask for the neighbours of one"
                .to_owned(),
        );
    }
    answer.end()
}
