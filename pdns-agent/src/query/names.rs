//! Search: the names that match a text, in text order, and their records.
//!
//! Part of `query`. Each pass over the names keeps the next [`TopN`] matches. A pass takes about 10 ms per
//! million names, which is little compared with the look-ups it leads to; those are sent in batches.

use super::order::{Each, Passes, Sort, Sorter, TopN};
use super::{Page, Query, Text, left};
use crate::name::{Name, NameBuf, suffix};
use crate::record::StoredRecord;
use crate::store::{Kind, Reader, StoreError};
use std::ops::ControlFlow;

/// Number of names to look up at once: the minimum for small limits, and the maximum.
const LOOK_UP: (usize, usize) = (32, 512);
/// Maximum number of names to look up beyond the limit, only to know whether it left anything out.
const MAX_BEYOND: usize = 1_024;

/// Returns the next names after `after` that match `text` and pass `sieve`, at most `keep`, in order, and true
/// if there are more. The names are those of rows of these kinds. Ends early if `stop` returns true.
pub(super) fn pass(
    store: &mut Reader<'_>,
    kinds: &[Kind],
    text: &Text,
    sieve: &dyn Fn(Name<'_>) -> bool,
    after: Option<&NameBuf>,
    keep: usize,
    stop: &dyn Fn() -> bool,
) -> Result<(Vec<NameBuf>, bool), StoreError> {
    let apex = text.apex();
    let mut kept: TopN<NameBuf> = TopN::new(keep);
    store.names_of(kinds, apex.as_ref().map(NameBuf::as_name), &mut |block| {
        if stop() {
            return ControlFlow::Break(());
        }
        text.search_lines(block, &mut |line| {
            let is_late = kept.worst().is_some_and(|worst| worst.as_str().as_bytes() < line);
            // Comparing names costs less than most conditions.
            if is_late && kept.overflowed()
                || after.is_some_and(|after| line <= after.as_str().as_bytes())
            {
                return ControlFlow::Continue(());
            }
            match text.read(line).filter(|name| sieve(*name)) {
                Some(_) if is_late => kept.refuse(),
                Some(name) => kept.offer(name.to_buf()),
                None => {}
            }
            ControlFlow::Continue(())
        })
    })?;
    let more = kept.overflowed();
    let mut names = kept.into_sorted();
    // The store lists each name once per kind; even if a log holds one twice, its rows must be returned once.
    names.dedup();
    Ok((names, more))
}

/// Like [`pass`], for all names that match the text.
fn pass_all(
    store: &mut Reader<'_>,
    kinds: &[Kind],
    text: &Text,
    after: Option<&NameBuf>,
    keep: usize,
) -> Result<(Vec<NameBuf>, bool), StoreError> {
    pass(store, kinds, text, &|_| true, after, keep, &|| false)
}

/// Passes on the rows of these kinds of all names that match `text`.
pub(super) fn run(
    store: &mut Reader<'_>,
    query: &Query,
    text: &Text,
    kinds: &[Kind],
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    match query.sort {
        None | Some(Sort::Name) => in_order(store, query, text, kinds, passes, each),
        Some(sort) => sorted(store, query, text, kinds, sort, passes, each),
    }
}

/// Reads the records of the wildcards that match `text`, in text order, or that stand for names which it may mean: those
/// below a domain that lies above its apex.
fn wildcards(
    store: &mut Reader<'_>,
    text: &Text,
    kinds: &[Kind],
) -> Result<Vec<StoredRecord>, StoreError> {
    let apex = text.apex();
    let above = apex.as_ref().and_then(|apex| suffix::registrable(apex.as_name()));
    let above = above.or(apex.as_ref().map(NameBuf::as_name));
    let domains = store.unkept_domains(above)?;
    let mut records = store.unkept(&domains, kinds)?;
    records.retain(|record| {
        let domain = record.unkept_below();
        let stands_above = apex.as_ref().zip(domain.as_ref()).is_some_and(|(apex, domain)| {
            apex.as_name().is_at_or_below(domain.as_name()) && apex != domain
        });
        stands_above || text.admits(record.rrname.as_name())
    });
    Ok(records)
}

/// Answers in name order: stops soon after the limit is reached.
fn in_order(
    store: &mut Reader<'_>,
    query: &Query,
    text: &Text,
    kinds: &[Kind],
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let keep = if query.limit == 0 { passes.most } else { query.limit };
    let mut keep = keep.max(passes.least).min(passes.most).max(1);
    let at_once = keep.clamp(LOOK_UP.0, LOOK_UP.1);
    let mut by_name = ByName { query, page: Page::default(), name: None, each };
    // Nearly all names come after a star.
    for row in wildcards(store, text, kinds)? {
        if by_name.take(row).is_break() {
            return Ok(by_name.page);
        }
    }
    let mut after = None;
    // Names looked up since the limit was reached, in search of a row that it leaves out.
    let mut beyond = 0;
    loop {
        let (names, more) = pass_all(store, kinds, text, after.as_ref(), keep)?;
        for names in names.chunks(at_once) {
            if by_name.room().is_none() {
                beyond += names.len();
                by_name.page.cut = beyond > MAX_BEYOND;
                if by_name.page.cut {
                    return Ok(by_name.page);
                }
            }
            let mut flow = ControlFlow::Continue(());
            store.rows_by_names(kinds, names, &mut |row| {
                flow = by_name.take(row);
                flow
            })?;
            if flow.is_break() || by_name.end_name().is_break() {
                return Ok(by_name.page);
            }
        }
        match names.last() {
            Some(last) if more => after = Some(last.clone()),
            _ => return Ok(by_name.page),
        }
        // The filter accepts few rows, so make the next pass larger.
        keep = keep.saturating_mul(4).min(passes.most);
    }
}

/// Passes on rows that arrive name by name; sorts the rows of a name before passing on the first.
struct ByName<'q, 'e, 'f> {
    query: &'q Query,
    page: Page,
    name: Option<(NameBuf, Sorter)>,
    each: &'e mut Each<'f>,
}

impl ByName<'_, '_, '_> {
    /// Returns the rest of the limit: 0 if there is no limit, `None` if it is used up.
    fn room(&self) -> Option<usize> {
        left(self.query.limit, self.page.shown)
    }

    /// Takes a row; breaks if the limit or the receiver ends the answer.
    fn take(&mut self, row: StoredRecord) -> ControlFlow<()> {
        if !self.query.filter.admits(&row) {
            return ControlFlow::Continue(());
        }
        if self.name.as_ref().is_none_or(|(name, _)| *name != row.rrname) {
            self.end_name()?;
            // One more than fits, to know whether anything is left out.
            let room = match self.room() {
                None => 1,
                Some(0) => 0,
                Some(room) => room.saturating_add(1),
            };
            self.name = Some((row.rrname.clone(), Sorter::new(Sort::Name, room)));
        }
        let (page, each, limit) = (&mut self.page, &mut *self.each, self.query.limit);
        match &mut self.name {
            Some((_, sorter)) => sorter.offer(row, &mut |row| emit(row, limit, page, each)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Passes on the buffered rows of the last name.
    fn end_name(&mut self) -> ControlFlow<()> {
        let Some((_, sorter)) = self.name.take() else { return ControlFlow::Continue(()) };
        let (page, each, limit) = (&mut self.page, &mut *self.each, self.query.limit);
        let (end, flow) = sorter.finish(&mut |row| emit(row, limit, page, each));
        self.page.unsorted |= end.unsorted;
        flow
    }
}

/// Passes on a row if the limit allows it.
fn emit(row: StoredRecord, limit: usize, page: &mut Page, each: &mut Each<'_>) -> ControlFlow<()> {
    if left(limit, page.shown).is_none() {
        page.cut = true;
        return ControlFlow::Break(());
    }
    page.shown += 1;
    each(row)
}

/// Answers in order of statistics: all matching names must be looked up before the first row is known.
fn sorted(
    store: &mut Reader<'_>,
    query: &Query,
    text: &Text,
    kinds: &[Kind],
    sort: Sort,
    passes: Passes,
    each: &mut Each<'_>,
) -> Result<Page, StoreError> {
    let mut sorter = Sorter::new(sort, query.limit);
    let mut after = None;
    let mut flow = ControlFlow::Continue(());
    for row in wildcards(store, text, kinds)? {
        if query.filter.admits(&row) && flow.is_continue() {
            flow = sorter.offer(row, each);
        }
    }
    while flow.is_continue() {
        let (names, more) = pass_all(store, kinds, text, after.as_ref(), passes.most)?;
        store.rows_by_names(kinds, &names, &mut |row| {
            if query.filter.admits(&row) {
                flow = sorter.offer(row, each);
            }
            flow
        })?;
        match names.last() {
            Some(last) if more && flow.is_continue() => after = Some(last.clone()),
            _ => break,
        }
    }
    let (end, _) = if flow.is_break() {
        sorter.finish(&mut |_| ControlFlow::Break(()))
    } else {
        sorter.finish(each)
    };
    Ok(Page { shown: end.shown as u64, cut: end.cut, unsorted: end.unsorted, ..Page::default() })
}
