//! Reads the matching records of the names behind index pointers, pipelined.
//!
//! Below `store/read/lookup.rs`, which finds the pointers. Several requests are in flight at a time, so that Redis
//! looks up names while rows are read here: the entries of some names, then the rows of those that match, each read
//! in the order in which they were requested. Names that take more requests than these are deferred until nothing is
//! in flight: names with very many records, long RDATA, long names, and names that are no longer in their old bucket.

use crate::observation::Fact;
use crate::rdata::Rdata;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::layout::encoding::{Stored, StoredRef, Value, records_in};
use crate::store::layout::keys::{Kind, Pointer};
use crate::store::read::buckets::{AskedEntries, BucketEntry, EntryRef, Missing};
use crate::store::read::lookup::Each;
use crate::store::read::rows::{AskedRows, Fetched, Found, NAME_GUESS, Owner, PAGE};
use crate::store::{Reader, StoreError};
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;

/// Only records are indexed by their target.
const KIND: Kind = Kind::Record;
/// Number of names whose entries are requested together at first, and at most later on: clients that want few rows
/// wait for few names.
const NAMES: (usize, usize) = (64, 256);
/// Number of requests for entries in flight together, and as many for rows.
const AHEAD: usize = 2;

/// The records to look for.
#[derive(Clone, Copy)]
pub(in crate::store) struct Wanted<'a> {
    /// Predicate on the RDATA of a record.
    pub(in crate::store) matches: &'a dyn Fn(Rdata<'_>) -> bool,
    /// Predicate on the type of a record with long RDATA: true if it may match, so that its RDATA has to be fetched.
    pub(in crate::store) long: fn(RrType) -> bool,
    /// Number of records after which the callback is likely to break: no more are requested ahead.
    pub(in crate::store) most: usize,
}

/// A search for records behind pointers, and its progress.
pub(in crate::store) struct PointerReader<'a> {
    wanted: Wanted<'a>,
    met: HashSet<u32>,
    due: Vec<Pointer>,
    at_once: usize,
    /// Names that may be requested before it is known whether the rows so far suffice.
    left: usize,
    each: Each<'a>,
}

/// A request in flight.
enum PendingReply {
    Entries(AskedEntries),
    Rows(AskedRows),
}

/// Names and records that wait until nothing is in flight.
#[derive(Default)]
struct Deferred {
    missing: Vec<Missing>,
    /// Names with very many records, or with long RDATA that may match: the records of a name stay together.
    entries: Vec<BucketEntry>,
    /// Records with long names.
    long: Vec<Found>,
}

impl Deferred {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.len() == 0
    }

    fn len(&self) -> usize {
        self.entries.len() + self.long.len()
    }
}

impl<'a> PointerReader<'a> {
    pub(in crate::store) fn new(wanted: Wanted<'a>, each: Each<'a>) -> Self {
        let wanted = Wanted { most: wanted.most.max(NAMES.0), ..wanted };
        let (met, due) = (HashSet::new(), Vec::new());
        Self { wanted, met, due, at_once: NAMES.0, left: wanted.most, each }
    }

    /// Adds a pointer, unless it was added before.
    pub(in crate::store) fn push(&mut self, pointer: Pointer) {
        if self.met.insert(pointer.0) {
            self.due.push(pointer);
        }
    }

    /// Returns the number of pointers seen.
    pub(in crate::store) fn met(&self) -> usize {
        self.met.len()
    }

    /// Returns true if so many pointers are pending that they may as well be followed now.
    pub(in crate::store) fn is_full(&self) -> bool {
        self.due.len() >= PAGE
    }

    /// Takes the next names to request off `rest`; `None` if it is better to wait.
    fn next<'d>(&mut self, rest: &mut &'d [Pointer]) -> Option<&'d [Pointer]> {
        let (now, later) = rest.split_at(rest.len().min(self.at_once).min(self.left));
        *rest = later;
        self.left -= now.len();
        self.at_once = (self.at_once * 2).min(NAMES.1);
        Some(now).filter(|now| !now.is_empty())
    }
}

impl Reader<'_> {
    /// Passes on the matching records of the names that are pending.
    pub(in crate::store) fn follow_pending(
        &mut self,
        gather: &mut PointerReader<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let due = std::mem::take(&mut gather.due);
        self.know_buckets(KIND, &due)?;
        let flow = self.emit(&due, gather);
        if flow.is_err() {
            // Replies may be outstanding that nobody reads.
            self.store.client.disconnect();
        }
        flow
    }

    fn emit(
        &mut self,
        mut due: &[Pointer],
        gather: &mut PointerReader<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut late = Deferred::default();
        let mut found: Vec<Found> = Vec::new();
        let mut under_way: VecDeque<PendingReply> = VecDeque::new();
        // Questions for entries and for rows among those.
        let (mut entries, mut rows) = (0, 0);
        loop {
            while rows < AHEAD && !found.is_empty() {
                let later = found.split_off(found.len().min(PAGE));
                let page = std::mem::replace(&mut found, later);
                under_way.push_back(PendingReply::Rows(self.ask_rows(page, NAME_GUESS)?));
                rows += 1;
            }
            while entries < AHEAD
                && found.len() < PAGE
                && late.len() < PAGE
                && let Some(now) = gather.next(&mut due)
            {
                under_way.push_back(PendingReply::Entries(self.ask_entries(KIND, now)?));
                entries += 1;
            }
            match under_way.pop_front() {
                Some(PendingReply::Entries(asked)) => {
                    entries -= 1;
                    self.read_matching(asked, gather.wanted, &mut found, &mut late)?;
                }
                Some(PendingReply::Rows(asked)) => {
                    rows -= 1;
                    for one in self.read_rows(asked)? {
                        let flow = match one {
                            Fetched::Row(row) => (gather.each)(row),
                            Fetched::Long(found) => {
                                late.long.push(found);
                                ControlFlow::Continue(())
                            }
                        };
                        if flow.is_break() {
                            self.skip(under_way)?;
                            return Ok(flow);
                        }
                    }
                }
                None if !late.is_empty() => {
                    if self.emit_deferred(std::mem::take(&mut late), gather)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                None if due.is_empty() => return Ok(ControlFlow::Continue(())),
                // The rows that were requested did not suffice.
                None => gather.left = gather.wanted.most,
            }
        }
    }

    /// Reads entries, and returns the matching records among them; defers those that take more requests.
    fn read_matching(
        &mut self,
        asked: AskedEntries,
        wanted: Wanted<'_>,
        found: &mut Vec<Found>,
        late: &mut Deferred,
    ) -> Result<(), StoreError> {
        let keys = self.store.keys.clone();
        let missing = self.read_entries(asked, &mut |entry: EntryRef<'_>| {
            let damaged = || StoreError::damaged(&keys.bucket(entry.volume, KIND, entry.bucket));
            let value = Value::read(entry.value).ok_or_else(damaged)?;
            let Some(octets) = value.records else {
                late.entries.push(entry.to_entry());
                return Ok(());
            };
            let before = found.len();
            for record in records_in(octets) {
                let (stored, row) = record.map_err(|_| damaged())?;
                match stored {
                    StoredRef::Fact(Fact::Record(rdata)) if (wanted.matches)(rdata) => {
                        let (volume, owner) = (entry.volume, Owner::Logged(value.log));
                        let stored = stored.to_stored();
                        found.push(Found { kind: KIND, volume, owner, stored, row });
                    }
                    StoredRef::Long { rrtype, .. } if (wanted.long)(rrtype) => {
                        found.truncate(before);
                        late.entries.push(entry.to_entry());
                        return Ok(());
                    }
                    _ => {}
                }
            }
            Ok(())
        })?;
        if !missing.is_empty() {
            late.missing.push(missing);
        }
        Ok(())
    }

    /// Skips the replies in flight.
    fn skip(&mut self, under_way: VecDeque<PendingReply>) -> Result<(), StoreError> {
        for asked in under_way {
            match asked {
                PendingReply::Entries(asked) => self.skip_entries(&asked)?,
                PendingReply::Rows(asked) => self.skip_rows(&asked)?,
            }
        }
        Ok(())
    }

    /// Passes on the records that were deferred.
    fn emit_deferred(
        &mut self,
        late: Deferred,
        gather: &mut PointerReader<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let Deferred { missing, mut entries, long } = late;
        for missing in missing {
            self.find_missing(missing, &mut |entry| {
                entries.push(entry.to_entry());
                Ok(())
            })?;
        }
        let PointerReader { wanted, each, .. } = gather;
        let mut take = |row: StoredRecord| match &row.fact {
            FactBuf::Record(rdata) if (wanted.matches)(rdata.as_rdata()) => each(row),
            _ => ControlFlow::Continue(()),
        };
        let mut flow = ControlFlow::Continue(());
        let mut found: Vec<Found> = Vec::new();
        for entry in &entries {
            let position = Value::read(&entry.value).map(|value| value.log);
            let position = position.ok_or_else(|| {
                StoreError::damaged(&self.store.keys.bucket(entry.volume, KIND, entry.bucket))
            })?;
            self.for_each_record(KIND, entry, &mut |store, page| {
                let may_match = |stored: &Stored| match stored {
                    Stored::Fact(FactBuf::Record(rdata)) => (wanted.matches)(rdata.as_rdata()),
                    Stored::Fact(FactBuf::Negative { .. }) => false,
                    Stored::Long { rrtype, .. } => (wanted.long)(*rrtype),
                };
                let page = page.into_iter().filter(|(stored, _)| may_match(stored));
                found.extend(page.map(|(stored, row)| {
                    let (volume, owner) = (entry.volume, Owner::Logged(position));
                    Found { kind: KIND, volume, owner, stored, row }
                }));
                if found.len() >= PAGE {
                    let found = std::mem::take(&mut found);
                    flow = store.fetch(found)?.into_iter().try_for_each(&mut take);
                }
                Ok(flow.is_continue())
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        let mut found = found.into_iter().chain(long);
        while flow.is_continue() {
            let page: Vec<Found> = found.by_ref().take(PAGE).collect();
            if page.is_empty() {
                break;
            }
            flow = self.fetch(page)?.into_iter().try_for_each(&mut take);
        }
        Ok(flow)
    }
}
