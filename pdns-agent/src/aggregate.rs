//! The window: merges equal observations before they are sent to Redis.
//!
//! Sits between `decode` and `store`. DNS repeats itself: the same answer arrives many times within seconds,
//! and a single upsert for all of them is what makes a store of individual records affordable.
//!
//! A tuple stays in the window after it was sent to the store, without its text but with its row number. The
//! next time, the store needs no look-up and the window no text. A window of bounded memory therefore holds
//! some millions of tuples and merges repeats that are far apart. Tuples are identified by 128 bits of keyed
//! hashes of name and fact. The row numbers of tuples that had to leave the window are cached for a while.
//!
//! ```text
//! new --observe--> unsent (with text) --sent--> sent --learn--> known (with row) --observe, sent--> known ...
//!                        ^------------observe------------ unkept <--forget--'
//! ```
//!
//! A tuple that the store did not keep, because its domain has too many new names, has no row: it is sent with its text
//! each time.
//!
//! A window for packets, which cannot be read again, holds the text of all due tuples: see [`RetryBuffer`].

mod entry;
mod retry_buffer;
mod rows;
mod text;

pub use retry_buffer::RetryBuffer;

use crate::hash::{NameLocation, Router};
use crate::name::Name;
use crate::observation::{Fact, Observation, Seen};
use entry::{Entry, TupleState};
use hashbrown::HashTable;
use rows::RowCache;
use std::collections::HashMap;
use text::{LONGEST, Parts, Texts};

/// Memory for one tuple without its text, in bytes: its entry, its share of the table, and its packed upsert.
const TUPLE_COST: usize = size_of::<Entry>() + 8 + 40;
/// Fraction of the memory reserved for text: one part in this many. A window that holds texts has more.
const TEXT_SHARE: usize = 10;
const HELD_TEXT_SHARE: usize = 5;
/// Fraction of the memory reserved for the rows of tuples that are not in the window.
const ROW_SHARE: usize = 5;

/// Distinct tuples with their observations since they were last sent to the store.
pub struct Window {
    router: Router,
    texts: Texts,
    /// True if the text of every due tuple is held here.
    holds_texts: bool,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    rows: RowCache,
    /// Editions of the store's partitions that all of these rows belong to; none while no row is known.
    editions: Vec<u32>,
    /// Parts of counts beyond the 32 bits of an entry, by the hashes of name and fact.
    excess: HashMap<(u64, u64), u64>,
    /// Number of tuples observed since they were last sent to the store.
    dirty: usize,
    most_entries: usize,
    most_text: usize,
}

/// One tuple due to be sent to the store.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'a> {
    /// Location of the name.
    pub place: NameLocation,
    /// True for a negative answer.
    pub is_negative: bool,
    /// The tuple itself, or its row in the store.
    pub tuple: Tuple<'a>,
    /// Sum of the observations since the tuple was last sent to the store.
    pub seen: Seen,
}

/// A tuple in the form that the window has.
#[derive(Clone, Copy, Debug)]
pub enum Tuple<'a> {
    /// Its row in the store.
    Row(u32),
    /// Its text, because the store may not know the tuple.
    Text {
        /// Owner name or QNAME.
        rrname: Name<'a>,
        /// Record or negative answer.
        fact: Fact<'a>,
    },
}

impl Window {
    /// An empty window that uses at most about `memory` bytes, including the upserts packed from it.
    #[must_use]
    pub fn new(router: Router, memory: usize) -> Self {
        Self::sized(router, memory, false)
    }

    /// Same as [`Window::new`], but holds the text of every due tuple for [`Window::copy_due`]; the kept copies
    /// count towards the memory.
    #[must_use]
    pub fn with_texts(router: Router, memory: usize) -> Self {
        Self::sized(router, memory, true)
    }

    fn sized(router: Router, memory: usize, holds_texts: bool) -> Self {
        let share = if holds_texts { HELD_TEXT_SHARE } else { TEXT_SHARE };
        // Positions in the text have 32 bits.
        let most_text = (memory / share).clamp(LONGEST, u32::MAX as usize / 2);
        let rows = RowCache::new(memory / ROW_SHARE / rows::COST);
        // The text of new tuples is also packed while it is still here; the kept copy is the third one.
        let copies = if holds_texts { 3 } else { 2 };
        let rest =
            memory.saturating_sub(copies * most_text).saturating_sub(rows.len() * rows::COST);
        let most_entries = rest / TUPLE_COST;
        let most_entries = most_entries.clamp(1024, u32::MAX as usize / 2);
        Self {
            router,
            texts: Texts::with_capacity(most_text),
            holds_texts,
            entries: Vec::with_capacity(most_entries),
            table: HashTable::with_capacity(most_entries),
            rows,
            editions: Vec::new(),
            excess: HashMap::new(),
            dirty: 0,
            most_entries,
            most_text,
        }
    }

    /// Number of tuples due to be sent to the store.
    #[must_use]
    pub fn dirty(&self) -> usize {
        self.dirty
    }

    /// Returns true if the window should be sent to the store before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.texts.len() + LONGEST > self.most_text
            || self.entries.len() >= self.most_entries
            || self.dirty >= self.most_entries / 4 * 3
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.entries.clear();
        self.table.clear();
        self.rows.clear();
        self.editions.clear();
        self.excess.clear();
        self.dirty = 0;
    }

    /// Returns the editions of the store's partitions that the known rows belong to: those that were passed first since
    /// the window was cleared.
    pub(crate) fn editions(&mut self, now: &[u32]) -> &[u32] {
        if self.editions.is_empty() {
            self.editions.extend(now);
        }
        &self.editions
    }

    /// The location of a name.
    #[must_use]
    pub fn place(&self, name: Name<'_>) -> NameLocation {
        self.router.place(name)
    }

    /// Adds one observation.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        let Observation { rrname, fact, at, ttl, provenance } = *observation;
        self.merge(rrname, fact, &Seen::once(at, ttl, provenance));
    }

    /// Adds the sum of several observations of one tuple.
    pub fn merge(&mut self, rrname: Name<'_>, fact: Fact<'_>, seen: &Seen) {
        let parts = Parts::from_fact(fact);
        let hasher = self.router.hasher();
        let name_hash = hasher.octets(rrname.as_str().as_bytes());
        let (rrtype, outcome, form) = (parts.rrtype.0, parts.outcome.0, parts.form);
        let mark = u64::from(rrtype) << 24 | u64::from(outcome) << 8 | u64::from(form);
        let fact_hash = hasher.octets(parts.octets) ^ mark.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = mixed(name_hash, fact_hash);
        let Self { entries, texts, .. } = self;
        let found = self.table.find(hash, |&index| {
            entries
                .get(index as usize)
                .is_some_and(|entry| entry.name_hash == name_hash && entry.fact_hash == fact_hash)
        });
        if let Some(entry) = found.and_then(|&index| entries.get_mut(index as usize)) {
            if entry.count == 0 {
                // Without a row, the text is needed again: the store may not have kept what is in flight.
                let is_rowless = matches!(entry.state, TupleState::Sent | TupleState::Unkept);
                if (self.holds_texts || is_rowless) && !hold(entry, texts, rrname, parts) {
                    return;
                }
                self.dirty += 1;
            }
            let excess = entry.merge(seen);
            self.keep_excess((name_hash, fact_hash), excess);
            return;
        }
        let Ok(index) = u32::try_from(entries.len()) else { return };
        let place = match self.rows.get(name_hash, fact_hash) {
            Some(row) if self.holds_texts => {
                texts.push(rrname, parts, Some(row)).map(|at| (at, TupleState::Held))
            }
            Some(row) => Some((row, TupleState::Known)),
            None => texts.push(rrname, parts, None).map(|at| (at, TupleState::Unsent)),
        };
        let Some(place) = place else { return };
        let partition = self.router.partition(rrname);
        let mut entry = Entry::new((name_hash, fact_hash), partition, parts.is_negative(), place);
        let excess = entry.merge(seen);
        entries.push(entry);
        self.dirty += 1;
        enter(&mut self.table, entries, index);
        self.keep_excess((name_hash, fact_hash), excess);
    }

    /// Keeps the part of a count that its tuple has no room for.
    fn keep_excess(&mut self, tuple: (u64, u64), count: u64) {
        if count > 0 {
            let excess = self.excess.entry(tuple).or_default();
            *excess = excess.saturating_add(count);
        }
    }

    /// The sum of a tuple's observations since it was last sent to the store.
    fn seen(&self, entry: &Entry) -> Seen {
        let mut seen = entry.seen();
        let excess = (entry.count == u32::MAX)
            .then(|| self.excess.get(&(entry.name_hash, entry.fact_hash)))
            .flatten();
        if let Some(&count) = excess {
            seen.merge(&Seen { count, ..Seen::default() });
        }
        seen
    }

    /// The tuples due to be sent to the store: index and location.
    pub fn due(&self) -> impl Iterator<Item = (u32, NameLocation)> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.count > 0).map(|(index, entry)| {
            (index, NameLocation { partition: entry.partition, hash: entry.name_hash })
        })
    }

    /// The tuple at an index of [`Window::due`].
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Merged<'_>> {
        let entry = self.entries.get(index as usize)?;
        let tuple = match entry.state {
            TupleState::Known | TupleState::Idle => Tuple::Row(entry.at),
            TupleState::Held => Tuple::Row(self.texts.row(entry.at)?),
            TupleState::Unsent => {
                let (rrname, fact) = self.texts.tuple(entry.at)?;
                Tuple::Text { rrname, fact }
            }
            TupleState::Sent | TupleState::SentHeld | TupleState::Unkept => return None,
        };
        Some(Merged {
            place: NameLocation { partition: entry.partition, hash: entry.name_hash },
            is_negative: entry.is_negative,
            tuple,
            seen: self.seen(entry),
        })
    }

    /// Copies all due tuples to `kept`. Only a window with texts has all of them.
    pub fn copy_due(&self, kept: &mut RetryBuffer) {
        for entry in self.entries.iter().filter(|entry| entry.count > 0) {
            if let Some((rrname, fact)) = self.texts.tuple(entry.at) {
                kept.push(rrname, fact, &self.seen(entry));
            }
        }
    }

    /// Marks all due tuples as sent. Until [`Window::learn`] receives the rows of the new ones, more can be
    /// added, but nothing sent.
    pub fn sent(&mut self) {
        for entry in &mut self.entries {
            if entry.count > 0 {
                entry.reset();
                match entry.state {
                    TupleState::Unsent => entry.state = TupleState::Sent,
                    TupleState::Held => {
                        // Each tuple in this state has its row in front of its text.
                        entry.at = self.texts.row(entry.at).unwrap_or_default();
                        entry.state = TupleState::Known;
                    }
                    TupleState::Sent
                    | TupleState::SentHeld
                    | TupleState::Unkept
                    | TupleState::Known
                    | TupleState::Idle => {}
                }
            }
        }
        self.texts.clear();
        self.excess.clear();
        self.dirty = 0;
    }

    /// Records the rows that sent tuples have in the store.
    pub fn learn(&mut self, rows: impl IntoIterator<Item = (u32, u32)>) {
        for (index, row) in rows {
            let Some(entry) = self.entries.get_mut(index as usize) else { continue };
            match entry.state {
                TupleState::Sent => (entry.at, entry.state) = (row, TupleState::Known),
                TupleState::SentHeld => {
                    self.texts.set_row(entry.at, row);
                    entry.state = TupleState::Held;
                }
                _ => continue,
            }
            self.rows.insert(entry.name_hash, entry.fact_hash, row);
        }
    }

    /// Notes sent tuples that the store did not keep.
    pub fn forget(&mut self, indices: impl IntoIterator<Item = u32>) {
        for index in indices {
            let Some(entry) = self.entries.get_mut(index as usize) else { continue };
            match entry.state {
                TupleState::Sent => entry.state = TupleState::Unkept,
                TupleState::SentHeld => entry.state = TupleState::Unsent,
                _ => {}
            }
        }
    }

    /// Makes room when three quarters are used: removes known tuples that were not observed since the last
    /// sweep or, if there are too few of them, every other known tuple. No tuple may be in flight to the
    /// store.
    pub fn sweep(&mut self) {
        let crowded = self.most_entries / 4 * 3;
        if self.entries.len() < crowded {
            return;
        }
        let idle = |entry: &Entry| {
            entry.count == 0 && matches!(entry.state, TupleState::Idle | TupleState::Unkept)
        };
        let few = self.entries.iter().filter(|entry| idle(entry)).count() < self.most_entries / 4;
        let mut odd = false;
        self.entries.retain_mut(|entry| {
            odd = !odd;
            let keep = entry.count > 0 || !(idle(entry) || (few && odd));
            if entry.state == TupleState::Known {
                entry.state = TupleState::Idle;
            }
            keep
        });
        self.table.clear();
        for (index, _) in (0..).zip(&self.entries) {
            enter(&mut self.table, &self.entries, index);
        }
    }
}

/// Inserts the tuple at an index, which must not be present yet, into the table.
fn enter(table: &mut HashTable<u32>, entries: &[Entry], index: u32) {
    let hash_of = |&index: &u32| {
        entries.get(index as usize).map_or(0, |entry| mixed(entry.name_hash, entry.fact_hash))
    };
    table.insert_unique(hash_of(&index), index, hash_of);
}

/// Hash of a tuple for the table.
fn mixed(name_hash: u64, fact_hash: u64) -> u64 {
    name_hash ^ fact_hash.rotate_left(32)
}

/// Stores the text of a tuple that becomes due again; `false` if there is no room for it.
fn hold(entry: &mut Entry, texts: &mut Texts, rrname: Name<'_>, parts: Parts<'_>) -> bool {
    let (row, state) = match entry.state {
        TupleState::Known | TupleState::Idle => (Some(entry.at), TupleState::Held),
        // Its row is not known yet.
        TupleState::Sent => (Some(0), TupleState::SentHeld),
        TupleState::Unkept => (None, TupleState::Unsent),
        TupleState::Unsent | TupleState::SentHeld | TupleState::Held => return true,
    };
    match texts.push(rrname, parts, row) {
        Some(at) => {
            (entry.at, entry.state) = (at, state);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests;
