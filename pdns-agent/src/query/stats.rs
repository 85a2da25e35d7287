//! Scan: the rows whose statistics put them first, among all rows.
//!
//! Part of `query`. The scan sees statistics and a [`Handle`]; what a handle stands for is asked only
//! for rows that may be shown. When type or outcome matter too, which the statistics do not tell, the
//! scan is repeated after the last handle until enough rows passed.

use super::order::{Each, Passes, Smallest, Sort, Sorter};
use super::{MAX_SORTED, Page, Query};
use crate::store::{Handle, Kind, Store, StoreError};

/// Handles that are resolved at once.
const RESOLVE: usize = 512;

/// A place in the scan's order: rank, then handle.
type Place = (u32, Handle);

/// The next rows after `after`, at most `keep`, in order; whether there are more.
fn pass(
    store: &mut Store,
    query: &Query,
    kind: Kind,
    sort: Sort,
    after: Option<Place>,
    keep: usize,
) -> Result<(Vec<Place>, bool), StoreError> {
    let mut kept: Smallest<Place> = Smallest::new(keep);
    store.scan(kind, |handle, seen| {
        let place = (sort.rank(seen), handle);
        if after.is_none_or(|after| place > after) && query.filter.admits_seen(seen) {
            match kept.worst() {
                Some(worst) if *worst < place => kept.refuse(),
                _ => kept.offer(place),
            }
        }
        std::ops::ControlFlow::Continue(())
    })?;
    let more = kept.overflowed();
    Ok((kept.into_sorted(), more))
}

/// Hands out the rows of `kind` that pass the query's filter.
pub(super) fn run(
    store: &mut Store,
    query: &Query,
    kind: Kind,
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let wanted = query.sort.unwrap_or(Sort::Last);
    // Tagged rows are few: nearly all rows would have to be resolved, and that by their handles.
    if query.limit == 0 || query.limit > MAX_SORTED || query.filter.tag.is_some() {
        return all(store, query, kind, wanted, each);
    }
    let mut keep = if query.filter.needs_identity() {
        query.limit.saturating_mul(4).max(passes.least).min(passes.most).max(1)
    } else {
        // One more than fits, to know whether anything is left out.
        query.limit + 1
    };
    let mut sorter = Sorter::new(wanted, query.limit);
    let mut after = None;
    let mut over = false;
    let mut given_up = false;
    'passes: loop {
        let (places, more) = pass(store, query, kind, wanted, after, keep)?;
        for chunk in places.chunks(RESOLVE) {
            let handles: Vec<Handle> = chunk.iter().map(|&(_, handle)| handle).collect();
            for row in store.resolve(&handles)? {
                if query.filter.admits(&row) && sorter.offer(row, each).is_break() {
                    over = true;
                    break 'passes;
                }
            }
        }
        // Later passes hold only rows that come after all these.
        given_up = more && sorter.is_full();
        match places.last() {
            Some(&last) if more && !given_up => after = Some(last),
            _ => break,
        }
        keep = keep.saturating_mul(4).min(passes.most);
    }
    let (end, _) = if over {
        sorter.finish(&mut |_| std::ops::ControlFlow::Break(()))
    } else {
        sorter.finish(each)
    };
    Ok(Page {
        shown: end.shown as u64,
        cut: end.cut || given_up,
        unsorted: end.unsorted,
        ..Page::default()
    })
}

/// All rows of `kind` that pass the filter: read once, with their names and RDATA.
fn all(
    store: &mut Store,
    query: &Query,
    kind: Kind,
    wanted: Sort,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let mut sorter = Sorter::new(wanted, query.limit);
    let mut flow = std::ops::ControlFlow::Continue(());
    store.every(kind, &mut |row| {
        if query.filter.admits(&row) {
            flow = sorter.offer(row, each);
        }
        flow
    })?;
    let (end, _) = if flow.is_break() {
        sorter.finish(&mut |_| std::ops::ControlFlow::Break(()))
    } else {
        sorter.finish(each)
    };
    Ok(Page { shown: end.shown as u64, cut: end.cut, unsorted: end.unsorted, ..Page::default() })
}
