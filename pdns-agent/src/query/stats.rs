//! Scan: finds the rows that come first by their statistics, among all rows.
//!
//! Part of `query`. The scan sees statistics, type codes and a [`Handle`] of each row; only the handles of rows
//! that may be shown are resolved. If the filter has conditions on outcomes, or on types that the codes do not
//! tell apart, some more handles are resolved; if that does not yield enough rows, all facts are read.

use super::order::{Each, Passes, Sort, Sorter, TopN};
use super::{MAX_SORTED, Page, Query};
use crate::store::{Handle, Kind, Reader, StoreError};
use std::ops::ControlFlow;

/// Number of handles to resolve at once.
const RESOLVE: usize = 512;

/// A position in the scan's order: rank, then handle.
type RankedRow = (u64, Handle);

/// The first places, and whether there are more.
struct First(TopN<RankedRow>);

/// Selects the places that may be among the first `limit` rows, and at least one more; the result also tells
/// whether any were left out. Rows that share the last rank that fits are sorted by their content, so all of
/// them are kept, provided that all are present.
fn first_of(mut places: Vec<RankedRow>, more: bool, limit: usize) -> (Vec<RankedRow>, bool) {
    let last =
        limit.checked_sub(1).and_then(|last| places.get(last)).map_or(u64::MAX, |last| last.0);
    let ties = places.partition_point(|place| place.0 <= last);
    let is_whole = ties < places.len() || !more;
    let keep = if is_whole { ties.max(limit + 1) } else { limit + 1 };
    let is_less = keep < places.len();
    places.truncate(keep);
    (places, more || is_less)
}

impl First {
    fn offer(&mut self, place: RankedRow) {
        match self.0.worst() {
            Some(worst) if *worst < place => self.0.refuse(),
            _ => self.0.offer(place),
        }
    }
}

/// Finds the first rows by statistics and type codes alone, in order, and whether there are more. If these are
/// sufficient to know that the rows pass, the places are those of [`first_of`]; otherwise they are at most
/// `keep`.
fn by_statistics(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    sort: Sort,
    keep: usize,
) -> Result<(Vec<RankedRow>, bool), StoreError> {
    let mut first = First(TopN::new(keep));
    let (types, mut is_sure) = (query.filter.told_types(), true);
    store.scan(kind, |handle, seen, told| {
        let admits = query.filter.matches_row(types, seen, told);
        is_sure &= admits.is_some();
        if admits != Some(false) {
            first.offer((sort.rank(seen), handle));
        }
        ControlFlow::Continue(())
    })?;
    let more = first.0.overflowed();
    let places = first.0.into_sorted();
    Ok(if is_sure { first_of(places, more, query.limit) } else { (places, more) })
}

/// Finds the first rows that pass the filter, at most `keep`, in order, and whether there are more.
fn by_facts(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    sort: Sort,
    keep: usize,
) -> Result<(Vec<RankedRow>, bool), StoreError> {
    let mut first = First(TopN::new(keep));
    for part in store.parts(None) {
        store.scan_unnamed(kind, part, &mut |one| {
            if query.filter.admits_fact(one.fact, one.seen) {
                first.offer((sort.rank(one.seen), one.handle));
            }
        })?;
    }
    let more = first.0.overflowed();
    Ok(first_of(first.0.into_sorted(), more, query.limit))
}

/// Passes on the rows of `kind` that pass the query's filter.
pub(super) fn run(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let wanted = query.sort.unwrap_or(Sort::Last);
    // Tags apply to names and addresses, so each record would have to be resolved by its handle.
    if query.limit == 0 || query.limit > MAX_SORTED || query.filter.tag.is_some() {
        return all(store, query, kind, wanted, each);
    }
    // One more than fits, to know whether anything is left out, and room for ties.
    let enough = query.limit + 1 + passes.least;
    let keep = if query.filter.needs_identity() {
        query.limit.saturating_mul(4).min(passes.most).max(enough)
    } else {
        enough
    };
    let (places, more) = by_statistics(store, query, kind, wanted, keep)?;
    let mut sorter = Sorter::new(wanted, query.limit);
    resolve(store, query, &places, &mut sorter, each)?;
    let mut given_up = more && sorter.is_full();
    if more && !given_up {
        // Too few of the rows that come first by statistics pass the filter: the facts of all rows have to be
        // read.
        let (places, more) = by_facts(store, query, kind, wanted, enough)?;
        sorter = Sorter::new(wanted, query.limit);
        resolve(store, query, &places, &mut sorter, each)?;
        given_up = more && sorter.is_full();
    }
    let _ended = offer_unkept(store, query, kind, &mut sorter, each)?;
    let (end, _) = sorter.finish(each);
    Ok(Page {
        shown: end.shown as u64,
        cut: end.cut || given_up,
        unsorted: end.unsorted,
        ..Page::default()
    })
}

/// Offers the rows at these places that pass the filter. The sorter holds as many rows as are wanted, so it
/// passes none on yet.
fn resolve(
    store: &mut Reader<'_>,
    query: &Query,
    places: &[RankedRow],
    sorter: &mut Sorter,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    for chunk in places.chunks(RESOLVE) {
        let handles: Vec<Handle> = chunk.iter().map(|&(_, handle)| handle).collect();
        for row in store.resolve(&handles)? {
            if query.filter.admits(&row) && sorter.offer(row, each).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Offers what is not kept below domains with too many new names.
fn offer_unkept(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    sorter: &mut Sorter,
    each: &mut Each<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    let domains = store.unkept_domains(None)?;
    let rows = store.unkept(&domains, &[kind])?.into_iter();
    let mut rows = rows.filter(|row| query.filter.admits(row));
    Ok(rows.try_for_each(|row| sorter.offer(row, each)))
}

/// Reads all rows of `kind` once, with their names and RDATA, and passes on those that match the filter.
fn all(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    wanted: Sort,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let mut sorter = Sorter::new(wanted, query.limit);
    let mut flow = ControlFlow::Continue(());
    store.scan_records(kind, &mut |row| {
        if query.filter.admits(&row) {
            flow = sorter.offer(row, each);
        }
        flow
    })?;
    if flow.is_continue() {
        flow = offer_unkept(store, query, kind, &mut sorter, each)?;
    }
    let (end, _) = if flow.is_break() {
        sorter.finish(&mut |_| ControlFlow::Break(()))
    } else {
        sorter.finish(each)
    };
    Ok(Page { shown: end.shown as u64, cut: end.cut, unsorted: end.unsorted, ..Page::default() })
}
