//! Names and records seen for the first time, reported as they arrive: `pdns watch`.
//!
//! Part of `query`. Names and records are appended to the store, so new ones lie after the ends noted at the
//! last poll. The caller decides when to poll again.

use super::filter::Filter;
use super::order::Each;
use super::tags::TagSet;
use super::text::Text;
use crate::name::NameBuf;
use crate::store::{Ends, Reader, StoreError};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Number of records to resolve at once.
const RESOLVE: usize = 512;

/// A watch over a store.
#[derive(Debug)]
pub struct Watch {
    at: Ends,
    text: Text,
    filter: Filter,
    tags: Arc<TagSet>,
    records: bool,
}

/// Outcome of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Everything new was passed on.
    Whole,
    /// The receiver wants no more.
    Enough,
    /// The store has less data than before: it lost data that was not on disk yet. From here on, data counts as
    /// new relative to this state.
    Lost,
}

impl Watch {
    /// Starts watching now. With `records`, new records of known names are reported as well; otherwise only new
    /// names, with all their records.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn begin(
        store: &mut Reader<'_>,
        text: Text,
        filter: Filter,
        records: bool,
    ) -> Result<Self, StoreError> {
        let tags = Arc::new(TagSet::load(store)?);
        Ok(Self { at: store.ends()?, text, filter, tags, records })
    }

    /// Returns the current tags, for the filter and for display.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn refresh(&mut self, store: &mut Reader<'_>) -> Result<&Arc<TagSet>, StoreError> {
        if !self.tags.is_current(store)? {
            self.tags = Arc::new(TagSet::load(store)?);
        }
        self.filter.tags = Arc::clone(&self.tags);
        Ok(&self.tags)
    }

    /// Passes on everything that is new since the last poll.
    ///
    /// # Errors
    /// [`StoreError::Replaced`] when the store was replaced by another one; other errors of the store. Rows that
    /// were not passed on are passed on by the next poll.
    pub fn poll(
        &mut self,
        store: &mut Reader<'_>,
        each: &mut Each<'_>,
    ) -> Result<Polled, StoreError> {
        store.check()?;
        self.read_on(store, each).map_err(|error| match error {
            // A store that was emptied between two reads looks damaged.
            StoreError::Damaged { .. } => store.check().err().unwrap_or(error),
            error => error,
        })
    }

    fn read_on(
        &mut self,
        store: &mut Reader<'_>,
        each: &mut Each<'_>,
    ) -> Result<Polled, StoreError> {
        let now = store.ends()?;
        if now == self.at {
            return Ok(Polled::Whole);
        }
        store.carry(&mut self.at, &now)?;
        if now.is_behind(&self.at) {
            self.at = now;
            return Ok(Polled::Lost);
        }
        // In steps of a bounded size, because an import may have added millions of names.
        while self.at != now {
            let next = self.at.step(&now);
            let flow = if self.records {
                self.new_records(store, &next, each)?
            } else {
                self.new_names(store, &next, each)?
            };
            self.at = next;
            if flow.is_break() {
                return Ok(Polled::Enough);
            }
        }
        Ok(Polled::Whole)
    }

    fn new_names(
        &self,
        store: &mut Reader<'_>,
        next: &Ends,
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut names: Vec<NameBuf> = Vec::new();
        store.names_between(&self.at, next, &mut |block| {
            self.text.search(block, &mut |name| {
                names.push(name.to_buf());
                ControlFlow::Continue(())
            })
        })?;
        names.sort_unstable();
        let mut flow = ControlFlow::Continue(());
        store.records_by_names(&names, &mut |row| {
            if self.filter.admits(&row) {
                flow = each(row);
            }
            flow
        })?;
        Ok(flow)
    }

    fn new_records(
        &self,
        store: &mut Reader<'_>,
        next: &Ends,
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut handles = Vec::new();
        store.records_between(&self.at, next, &mut |handle| {
            handles.push(handle);
            ControlFlow::Continue(())
        })?;
        for handles in handles.chunks(RESOLVE) {
            for row in store.resolve(handles)? {
                if self.text.admits(row.rrname.as_name())
                    && self.filter.admits(&row)
                    && each(row).is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
