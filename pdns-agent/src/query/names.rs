//! Search: the names with some text, in order of their text, and their records.
//!
//! Part of `query`. Each pass over the names keeps the next [`Smallest`] of those that match; it takes
//! about 10 ms per million names, so that passes cost little beside the look-ups they lead to.

use super::order::{Each, Smallest, Sort, Sorter};
use super::{Filter, Page, Query, Text, left, rows_of};
use crate::name::NameBuf;
use crate::store::{Kind, Store, StoreError};
use std::ops::ControlFlow;

/// The most names of one pass, some 15 MB.
const MAX_PASS: usize = 262_144;
/// The fewest names of one pass.
const MIN_PASS: usize = 1_024;

/// How many names are looked at beyond the limit, only to know whether it left anything out.
const MAX_BEYOND: usize = 1_024;

/// All records of one name, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSum {
    /// The name.
    pub rrname: NameBuf,
    /// How many records it has.
    pub records: u64,
    /// The sum of their counts.
    pub count: u64,
    /// First time any was seen, in seconds since the epoch.
    pub time_first: u32,
    /// Last time any was seen, in seconds since the epoch.
    pub time_last: u32,
}

/// The next names after `after` with `text`, at most `keep`, in order; whether there are more.
fn pass(
    store: &mut Store,
    text: &Text,
    after: Option<&NameBuf>,
    keep: usize,
) -> Result<(Vec<NameBuf>, bool), StoreError> {
    let apex = text.apex();
    let mut kept: Smallest<NameBuf> = Smallest::new(keep);
    store.names(apex.as_ref().map(NameBuf::as_name), &mut |block| {
        text.search(block, &mut |name| {
            if after.is_none_or(|after| name > after.as_name()) {
                match kept.worst() {
                    Some(worst) if worst.as_name() < name => kept.refuse(),
                    _ => kept.offer(name.to_buf()),
                }
            }
            ControlFlow::Continue(())
        })
    })?;
    let more = kept.overflowed();
    let mut names = kept.into_sorted();
    // The store lists each name once; should a log hold one twice, its rows come once all the same.
    names.dedup();
    Ok((names, more))
}

/// Hands out the records of all names with `text`.
pub(super) fn run(
    store: &mut Store,
    query: &Query,
    text: &Text,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    match query.sort {
        None | Some(Sort::Name) => in_order(store, query, text, each),
        Some(sort) => sorted(store, query, text, sort, each),
    }
}

/// By name: stops soon after the limit is reached.
fn in_order(
    store: &mut Store,
    query: &Query,
    text: &Text,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut after = None;
    // Names looked at since the limit was reached, in search of a row that it leaves out.
    let mut beyond = 0;
    let keep = if query.limit == 0 { MAX_PASS } else { query.limit.clamp(MIN_PASS, MAX_PASS) };
    loop {
        let (names, more) = pass(store, text, after.as_ref(), keep)?;
        for name in &names {
            if left(query.limit, page.shown).is_none() {
                beyond += 1;
                page.cut = beyond > MAX_BEYOND;
            }
            if page.cut || one_name(store, query, name, &mut page, each)?.is_break() {
                return Ok(page);
            }
        }
        match names.last() {
            Some(last) if more => after = Some(last.clone()),
            _ => return Ok(page),
        }
    }
}

/// Hands out the records of one name, in order; breaks when the limit or the taker ends the answer.
fn one_name(
    store: &mut Store,
    query: &Query,
    name: &NameBuf,
    page: &mut Page,
    each: &mut Each<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    // One more than fits, to know whether anything is left out.
    let room = match left(query.limit, page.shown) {
        None => 1,
        Some(0) => 0,
        Some(room) => room.saturating_add(1),
    };
    let mut sorter = Sorter::new(Sort::Name, room);
    let mut emit = |row| {
        if left(query.limit, page.shown).is_none() {
            page.cut = true;
            return ControlFlow::Break(());
        }
        page.shown += 1;
        each(row)
    };
    let mut flow = ControlFlow::Continue(());
    rows_of(store, std::slice::from_ref(name), &mut |row| {
        if query.filter.admits(&row) {
            flow = sorter.offer(row, &mut emit);
        }
        flow
    })?;
    if flow.is_continue() {
        let (end, last) = sorter.finish(&mut emit);
        page.unsorted |= end.unsorted;
        flow = last;
    }
    Ok(flow)
}

/// By statistics: all matching names must be looked up before the first row is known.
fn sorted(
    store: &mut Store,
    query: &Query,
    text: &Text,
    sort: Sort,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let mut sorter = Sorter::new(sort, query.limit);
    let mut over = false;
    walk(store, text, &mut |store, names| {
        rows_of(store, names, &mut |row| {
            if query.filter.admits(&row) && sorter.offer(row, each).is_break() {
                over = true;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let (end, _) =
        if over { sorter.finish(&mut |_| ControlFlow::Break(())) } else { sorter.finish(each) };
    Ok(Page { shown: end.shown as u64, cut: end.cut, unsorted: end.unsorted })
}

/// What [`walk`] does with the names of one pass.
type Visit<'v> = dyn FnMut(&mut Store, &[NameBuf]) -> Result<ControlFlow<()>, StoreError> + 'v;

/// Visits all names with `text`, pass by pass.
fn walk(store: &mut Store, text: &Text, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let (names, more) = pass(store, text, after.as_ref(), MAX_PASS)?;
        if visit(store, &names)?.is_break() {
            return Ok(());
        }
        match names.last() {
            Some(last) if more => after = Some(last.clone()),
            _ => return Ok(()),
        }
    }
}

/// A sum with its place: most counted first, then by name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: u64,
    rrname: NameBuf,
    records: u64,
    time_first: u32,
    time_last: u32,
}

/// The names whose records were counted most, best first, at most `limit` (at least 1, at most
/// [`super::MAX_SORTED`]); whether that left any out. Only records that pass `filter` are added up.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn top_names(
    store: &mut Store,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<NameSum>, bool), StoreError> {
    let mut kept = Smallest::new(limit.clamp(1, super::MAX_SORTED));
    let mut sum: Option<NameSum> = None;
    // The records of one name come one after the other.
    store.every(Kind::Record, &mut |row| {
        if !filter.admits(&row) {
            return ControlFlow::Continue(());
        }
        match &mut sum {
            Some(sum) if sum.rrname == row.rrname => {
                sum.records += 1;
                sum.count += u64::from(row.seen.count);
                sum.time_first = sum.time_first.min(row.seen.time_first);
                sum.time_last = sum.time_last.max(row.seen.time_last);
            }
            _ => {
                let next = NameSum {
                    rrname: row.rrname,
                    records: 1,
                    count: row.seen.count.into(),
                    time_first: row.seen.time_first,
                    time_last: row.seen.time_last,
                };
                if let Some(sum) = sum.replace(next) {
                    kept.offer(Place::of(sum));
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    if let Some(sum) = sum {
        kept.offer(Place::of(sum));
    }
    let cut = kept.overflowed();
    let sums = kept.into_sorted().into_iter().map(|place| NameSum {
        rrname: place.rrname,
        records: place.records,
        count: u64::MAX - place.rank,
        time_first: place.time_first,
        time_last: place.time_last,
    });
    Ok((sums.collect(), cut))
}

impl Place {
    fn of(sum: NameSum) -> Self {
        Self {
            rank: u64::MAX - sum.count,
            rrname: sum.rrname,
            records: sum.records,
            time_first: sum.time_first,
            time_last: sum.time_last,
        }
    }
}
