//! Scan: the rows whose statistics put them first, among all rows.
//!
//! Part of `query`. The scan sees statistics, what a row tells of its type, and a [`Handle`]; what a handle stands for is
//! asked only for rows that may be shown. Where outcomes matter, or types that rows do not tell, some more are asked for;
//! where that does not bring enough, all facts are read.

use super::order::{Each, Passes, Smallest, Sort, Sorter};
use super::{MAX_SORTED, Page, Query};
use crate::store::{Handle, Kind, Reader, StoreError};
use std::ops::ControlFlow;

/// Handles that are resolved at once.
const RESOLVE: usize = 512;

/// A place in the scan's order: rank, then handle.
type Place = (u32, Handle);

/// The places that come first, and whether there are more.
struct First(Smallest<Place>);

/// Of places in order those that may be among the first `limit` rows, and one more at least; whether that left any out. Rows
/// that share the last rank that fits go by what they are, so all of them are kept, if all are there.
fn first_of(mut places: Vec<Place>, more: bool, limit: usize) -> (Vec<Place>, bool) {
    let last =
        limit.checked_sub(1).and_then(|last| places.get(last)).map_or(u32::MAX, |last| last.0);
    let ties = places.partition_point(|place| place.0 <= last);
    let is_whole = ties < places.len() || !more;
    let keep = if is_whole { ties.max(limit + 1) } else { limit + 1 };
    let is_less = keep < places.len();
    places.truncate(keep);
    (places, more || is_less)
}

impl First {
    fn offer(&mut self, place: Place) {
        match self.0.worst() {
            Some(worst) if *worst < place => self.0.refuse(),
            _ => self.0.offer(place),
        }
    }
}

/// The first rows by what they tell alone, in order, and whether there are more: as [`first_of`] has it where that is enough
/// to know that they pass, and else at most `keep`.
fn by_statistics(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    sort: Sort,
    keep: usize,
) -> Result<(Vec<Place>, bool), StoreError> {
    let mut first = First(Smallest::new(keep));
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

/// The first rows that pass the filter, at most `keep`, in order; whether there are more.
fn by_facts(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    sort: Sort,
    keep: usize,
) -> Result<(Vec<Place>, bool), StoreError> {
    let mut first = First(Smallest::new(keep));
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

/// Hands out the rows of `kind` that pass the query's filter.
pub(super) fn run(
    store: &mut Reader<'_>,
    query: &Query,
    kind: Kind,
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let wanted = query.sort.unwrap_or(Sort::Last);
    // Tags are on names: each record would have to be resolved by its handle.
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
        // Of what comes first by statistics too little is of that type: all types have to be read.
        let (places, more) = by_facts(store, query, kind, wanted, enough)?;
        sorter = Sorter::new(wanted, query.limit);
        resolve(store, query, &places, &mut sorter, each)?;
        given_up = more && sorter.is_full();
    }
    let (end, _) = sorter.finish(each);
    Ok(Page {
        shown: end.shown as u64,
        cut: end.cut || given_up,
        unsorted: end.unsorted,
        ..Page::default()
    })
}

/// Offers the rows at these places that pass. The sorter holds as many as are wanted, so that none is handed out yet.
fn resolve(
    store: &mut Reader<'_>,
    query: &Query,
    places: &[Place],
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

/// All rows of `kind` that pass the filter: read once, with their names and RDATA.
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
    let (end, _) = if flow.is_break() {
        sorter.finish(&mut |_| ControlFlow::Break(()))
    } else {
        sorter.finish(each)
    };
    Ok(Page { shown: end.shown as u64, cut: end.cut, unsorted: end.unsorted, ..Page::default() })
}
