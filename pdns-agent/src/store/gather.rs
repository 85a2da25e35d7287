//! From pointers to rows: what the names that they may mean have that matches.
//!
//! Below `store/lookup.rs`, which finds the pointers. Several questions are under way at a time, so that Redis looks for
//! names while rows are read here: the entries of some names, then the rows of what matched among them, each read in the
//! order in which they were asked. What takes more questions than these waits until nothing is under way: names with very
//! many records, long RDATA, long names, and names that are not where they were.

use super::encoding::{Stored, StoredRef, Value, records_in};
use super::entries::{AskedEntries, Entry, EntryRef, Missing};
use super::keys::{Kind, Pointer};
use super::lookup::Each;
use super::resolve::{AskedRows, Fetched, Found, NAME_GUESS, Owner, PAGE, rows};
use super::{FactBuf, Store, StoreError};
use crate::observation::Fact;
use crate::rdata::Rdata;
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;

/// Names whose entries are asked for together in the beginning, and later on: who wants few rows waits for few.
const NAMES: (usize, usize) = (64, 256);
/// Questions for entries that are under way together.
const AHEAD: usize = 2;

/// What is looked for, and what was met of it.
pub(super) struct Gather<'a> {
    matches: &'a dyn Fn(Rdata<'_>) -> bool,
    met: HashSet<u32>,
    due: Vec<Pointer>,
    at_once: usize,
    most: usize,
    /// Names that may be asked for before it has to be known whether the rows so far suffice.
    left: usize,
    each: Each<'a>,
}

/// A question under way.
enum Asked {
    Entries(AskedEntries),
    Rows(AskedRows),
}

/// What waits until nothing is under way.
#[derive(Default)]
struct Late {
    missing: Vec<Missing>,
    entries: Vec<Entry>,
    /// Records with long names.
    long: Vec<Found>,
}

impl<'a> Gather<'a> {
    /// For records that match. Where `each` is likely to break after `most` of them, no more are asked for ahead.
    pub(super) fn new(matches: &'a dyn Fn(Rdata<'_>) -> bool, most: usize, each: Each<'a>) -> Self {
        let most = most.max(NAMES.0);
        let (met, due) = (HashSet::new(), Vec::new());
        Self { matches, met, due, at_once: NAMES.0, most, left: most, each }
    }

    /// Takes a pointer, if it is a new one.
    pub(super) fn meet(&mut self, pointer: Pointer) {
        if self.met.insert(pointer.0) {
            self.due.push(pointer);
        }
    }

    /// How many pointers were met.
    pub(super) fn met(&self) -> usize {
        self.met.len()
    }

    /// Whether so many are due that they may as well be followed now.
    pub(super) fn is_full(&self) -> bool {
        self.due.len() >= PAGE
    }

    /// The next names to ask for, taken off `rest`, unless it is better to wait.
    fn next<'d>(&mut self, rest: &mut &'d [Pointer], is_idle: bool) -> Option<&'d [Pointer]> {
        if self.left == 0 && is_idle {
            // They did not suffice.
            self.left = self.most;
        }
        let (now, later) = rest.split_at(rest.len().min(self.at_once).min(self.left));
        *rest = later;
        self.left -= now.len();
        self.at_once = (self.at_once * 2).min(NAMES.1);
        Some(now).filter(|now| !now.is_empty())
    }
}

impl Store {
    /// Hands out the matching records of the names that are due.
    pub(super) fn follow_due(
        &mut self,
        gather: &mut Gather<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let due = std::mem::take(&mut gather.due);
        self.know_buckets(Kind::Record, &due)?;
        let flow = self.hand_out(&due, gather);
        if flow.is_err() {
            // There may be replies that nobody reads.
            self.link.hang_up();
        }
        flow
    }

    fn hand_out(
        &mut self,
        mut due: &[Pointer],
        gather: &mut Gather<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut late = Late::default();
        let mut under_way: VecDeque<Asked> = VecDeque::new();
        let mut ahead = 0;
        loop {
            while ahead < AHEAD
                && let Some(now) = gather.next(&mut due, under_way.is_empty())
            {
                under_way.push_back(Asked::Entries(self.ask_entries(Kind::Record, now)?));
                ahead += 1;
            }
            match under_way.pop_front() {
                None => break,
                Some(Asked::Entries(asked)) => {
                    ahead -= 1;
                    let found = self.read_matching(asked, gather.matches, &mut late)?;
                    if !found.is_empty() {
                        under_way.push_back(Asked::Rows(self.ask_rows(found, NAME_GUESS)?));
                    }
                }
                Some(Asked::Rows(asked)) => {
                    for one in self.read_rows(asked)? {
                        let flow = match one {
                            Fetched::Row(row) => (gather.each)(row),
                            Fetched::Gone => ControlFlow::Continue(()),
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
            }
        }
        self.hand_out_late(late, gather)
    }

    /// Reads entries: the records among them that match, but for what has to wait.
    fn read_matching(
        &mut self,
        asked: AskedEntries,
        matches: &dyn Fn(Rdata<'_>) -> bool,
        late: &mut Late,
    ) -> Result<Vec<Found>, StoreError> {
        let kind = Kind::Record;
        let mut found = Vec::new();
        let missing = self.read_entries(asked, &mut |entry: EntryRef<'_>| {
            let damaged = || StoreError::damaged("a bucket");
            let value = Value::read(entry.value).ok_or_else(damaged)?;
            let Some(octets) = value.records else {
                late.entries.push(entry.to_entry());
                return Ok(());
            };
            let before = found.len();
            for record in records_in(octets) {
                match record.map_err(|_| damaged())? {
                    (StoredRef::Fact(Fact::Record(rdata)), row) => {
                        if matches(rdata) {
                            let stored = Stored::Fact(FactBuf::Record(rdata.to_buf()));
                            let owner = Owner::Logged(value.log);
                            let partition = entry.partition;
                            found.push(Found { kind, partition, owner, stored, row });
                        }
                    }
                    (StoredRef::Fact(Fact::Negative { .. }), _) => {}
                    (StoredRef::Long { .. }, _) => {
                        found.truncate(before);
                        late.entries.push(entry.to_entry());
                        return Ok(());
                    }
                }
            }
            Ok(())
        })?;
        late.missing.push(missing);
        Ok(found)
    }

    /// Passes over what is under way.
    fn skip(&mut self, under_way: VecDeque<Asked>) -> Result<(), StoreError> {
        for asked in under_way {
            match asked {
                Asked::Entries(asked) => self.skip_entries(&asked)?,
                Asked::Rows(asked) => self.skip_rows(&asked)?,
            }
        }
        Ok(())
    }

    /// Hands out what had to wait.
    fn hand_out_late(
        &mut self,
        late: Late,
        gather: &mut Gather<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let Late { missing, mut entries, mut long } = late;
        for missing in missing {
            self.find_missing(missing, &mut |entry| {
                entries.push(entry.to_entry());
                Ok(())
            })?;
        }
        for entry in &entries {
            let mut found = self.matching(entry, gather.matches)?;
            while !found.is_empty() {
                let later = found.split_off(found.len().min(PAGE));
                let page = std::mem::replace(&mut found, later);
                if self.fetch(page)?.into_iter().try_for_each(&mut *gather.each).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        while !long.is_empty() {
            let later = long.split_off(long.len().min(PAGE));
            let page = std::mem::replace(&mut long, later);
            if rows(self.fetch_long(page)?).try_for_each(&mut *gather.each).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The records of an entry that match, whatever it takes.
    fn matching(
        &mut self,
        entry: &Entry,
        matches: &dyn Fn(Rdata<'_>) -> bool,
    ) -> Result<Vec<Found>, StoreError> {
        let kind = Kind::Record;
        let mut found = Vec::new();
        let position = Value::read(&entry.value).map(|value| value.log);
        let position = position.ok_or_else(|| StoreError::damaged("a bucket"))?;
        let partition = entry.partition;
        self.each_record(kind, entry, &mut |store, page| {
            for (stored, row) in page {
                let fact = match &stored {
                    Stored::Fact(fact) => Cow::Borrowed(fact),
                    Stored::Long { .. } => Cow::Owned(store.complete(partition, stored.clone())?),
                };
                if matches!(&*fact, FactBuf::Record(rdata) if matches(rdata.as_rdata())) {
                    let owner = Owner::Logged(position);
                    found.push(Found { kind, partition, owner, stored, row });
                }
            }
            Ok(true)
        })?;
        Ok(found)
    }
}
