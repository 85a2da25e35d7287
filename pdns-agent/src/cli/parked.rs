//! `pdns parked`: names that point at local addresses, or are parked.

use super::answer::Output;
use super::args::{Parked, RowOptions};
use super::{CliError, Found, Terminal, UsageError, cannot, open};
use crate::bounded_file::read_text_file;
use crate::query::{self, ParkedList, WHYS, Why};
use crate::render::{Format, Item, Mark};
use crate::store::Options;
use std::io;
use std::path::Path;

/// File that replaces the built-in list, if it exists.
const LIST: &str = "/etc/pdns/parked.txt";
/// Maximum size of a list, in MiB.
const MAX_LIST: u64 = 16;

/// Prints rows that are local or parked, each with its reason.
pub(super) fn parked(
    asked: &Parked,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let rows = RowOptions::from(&asked.rows);
    let query = rows.parked(terminal.now)?;
    let all: Vec<Why> = WHYS.iter().map(|&(why, _)| why).collect();
    let whys = if asked.kind.is_empty() { &all } else { &asked.kind };
    let list = list(asked.list.as_deref())?;
    let mut opened = open(options)?;
    let mut store = opened.reader();
    let mut answer = Output::new(&mut store, rows.format(), Format::Cof, terminal)?;
    let page = query::parked(&mut store, &query, whys, &list, &mut |row, why| {
        answer.item(&Item::Marked { row: &row, name: Mark::Why, mark: &why.to_string() })
    })
    .map_err(cannot("read the store"))?;
    answer.check()?;
    answer.note(page, query.sort.is_some(), None);
    answer.end()
}

/// Reads the given list, the operator's default list, or the built-in one.
pub(super) fn list(path: Option<&Path>) -> Result<ParkedList, UsageError> {
    match path {
        Some(path) => read(path),
        None if Path::new(LIST).exists() => read(Path::new(LIST)),
        None => Ok(ParkedList::shipped()),
    }
}

/// Reads a list of the operator.
fn read(path: &Path) -> Result<ParkedList, UsageError> {
    let shown = || path.display().to_string();
    let no_file = |cause: io::Error| UsageError::ListFile { path: shown(), cause };
    let text = read_text_file(path, MAX_LIST).map_err(no_file)?;
    ParkedList::parse(&text).map_err(|cause| UsageError::List { path: shown(), cause })
}
