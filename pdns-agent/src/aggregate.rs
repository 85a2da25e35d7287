//! The window: equal observations become one before Redis hears of them.
//!
//! Between `decode` and `store`. DNS repeats itself: within seconds the same answer comes many times, and one
//! upsert for all of them is what makes a store of single records affordable.
//!
//! A tuple stays in the window after it went to the store, without its text but with the row it has there:
//! the next time it costs the store no look-up and the window no text. So a window of bounded memory holds
//! some millions of tuples and merges repeats that lie far apart. A tuple is known by 128 bits of keyed
//! hashes of its name and its fact. Of tuples that had to leave the window, their row is kept a while.
//!
//! ```text
//! new --add--> unsent (with text) --sent--> sent --learn--> known (with row) --add, sent--> known ...
//! ```

mod rows;

use crate::hash::{Place, Router};
use crate::name::Name;
use crate::observation::{Fact, Observation, Outcome, Provenance, Seen};
use crate::rdata::Rdata;
use crate::rr::RrType;
use hashbrown::HashTable;
use rows::RowCache;

/// Octets of memory that one tuple takes without its text: its entry, its share of the table, and the upsert
/// that is packed of it.
const TUPLE_COST: usize = size_of::<Entry>() + 8 + 40;
/// Share of the memory that is for text.
const TEXT_SHARE: usize = 10;
/// Share of the memory that is for rows of tuples that are not in the window, and what one takes.
const ROW_SHARE: usize = 5;
const ROW_COST: usize = 16;
/// Longest text of one tuple: a name in text, RDATA, and the fields before them.
const LONGEST: usize = 1_004 + 65_535 + FIELDS;
/// Octets before the name and the RDATA of a tuple in the text.
const FIELDS: usize = 9;

/// Distinct tuples with what was seen of them since they last went to the store.
pub struct Window {
    router: Router,
    /// Text of the unsent tuples.
    text: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    rows: RowCache,
    /// Tuples seen since they last went to the store.
    dirty: usize,
    most_entries: usize,
    most_text: usize,
}

/// One tuple. 48 octets: there are millions.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name_hash: u64,
    fact_hash: u64,
    count: u32,
    time_first: u32,
    time_last: u32,
    ttl_min: u32,
    ttl_max: u32,
    ttl_last: u32,
    /// Where its text begins, or its row.
    at: u32,
    partition: u8,
    flags: u8,
    is_negative: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its text is here.
    Unsent,
    /// It is on its way to the store, which will tell its row.
    Sent,
    /// Its row is known. `idle` since the last sweep.
    Known { idle: bool },
}

/// One tuple that has to go to the store.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'a> {
    /// Where the name belongs.
    pub place: Place,
    /// Whether it is a negative answer.
    pub is_negative: bool,
    /// The tuple itself, or where the store has it.
    pub tuple: Tuple<'a>,
    /// The sum of its sightings since it last went to the store; `sensors` is empty.
    pub seen: Seen,
}

/// A tuple as far as the window has it.
#[derive(Clone, Copy, Debug)]
pub enum Tuple<'a> {
    /// The store's row of it.
    Row(u32),
    /// The store may not know it.
    Text {
        /// Owner name or QNAME.
        rrname: Name<'a>,
        /// Record or negative answer.
        fact: Fact<'a>,
    },
}

impl Window {
    /// An empty window that takes up to about `memory` octets, the upserts packed of it included.
    #[must_use]
    pub fn new(router: Router, memory: usize) -> Self {
        // Positions in the text have 32 bits.
        let most_text = (memory / TEXT_SHARE).clamp(LONGEST, u32::MAX as usize / 2);
        let rows = RowCache::new(memory / ROW_SHARE / ROW_COST);
        // The text of new tuples is packed, too, while it is still here.
        let rest = memory.saturating_sub(2 * most_text).saturating_sub(rows.len() * ROW_COST);
        let most_entries = rest / TUPLE_COST;
        let most_entries = most_entries.clamp(1024, u32::MAX as usize / 2);
        Self {
            router,
            text: Vec::with_capacity(most_text),
            entries: Vec::with_capacity(most_entries),
            table: HashTable::with_capacity(most_entries),
            rows,
            dirty: 0,
            most_entries,
            most_text,
        }
    }

    /// How many tuples have to go to the store.
    #[must_use]
    pub fn dirty(&self) -> usize {
        self.dirty
    }

    /// Whether the window should go to the store before more is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.text.len() + LONGEST > self.most_text
            || self.entries.len() >= self.most_entries
            || self.dirty >= self.most_entries / 4 * 3
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.table.clear();
        self.rows.clear();
        self.dirty = 0;
    }

    /// Where a name belongs.
    #[must_use]
    pub fn place(&self, name: Name<'_>) -> Place {
        self.router.place(name)
    }

    /// Adds one observation.
    pub fn add(&mut self, observation: &Observation<'_>) {
        let name = observation.rrname.as_str().as_bytes();
        let (form, rrtype, outcome, octets) = match observation.fact {
            Fact::Record(rdata) => {
                (u8::from(rdata.partial), rdata.rrtype, Outcome(0), rdata.octets)
            }
            Fact::Negative { qtype, outcome } => (2, qtype, outcome, &[][..]),
        };
        let hasher = self.router.hasher();
        let name_hash = hasher.octets(name);
        let mark = u64::from(rrtype.0) << 24 | u64::from(outcome.0) << 8 | u64::from(form);
        let fact_hash = hasher.octets(octets) ^ mark.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = mixed(name_hash, fact_hash);
        let entries = &mut self.entries;
        let found = self.table.find(hash, |&index| {
            entries
                .get(index as usize)
                .is_some_and(|entry| entry.name_hash == name_hash && entry.fact_hash == fact_hash)
        });
        if let Some(entry) = found.and_then(|&index| entries.get_mut(index as usize)) {
            self.dirty += usize::from(entry.count == 0);
            entry.merge(observation);
            return;
        }
        let (Ok(at), Ok(index)) = (u32::try_from(self.text.len()), u32::try_from(entries.len()))
        else {
            return;
        };
        // A name has at most 1,004 octets of text and RDATA at most 65,535 (RFC 1035 §3.2.1).
        let (Ok(name_length), Ok(length)) =
            (u16::try_from(name.len()), u16::try_from(octets.len()))
        else {
            return;
        };
        let row = self.rows.get(name_hash, fact_hash);
        if row.is_none() {
            for field in [name_length, length, rrtype.0, outcome.0] {
                self.text.extend(field.to_be_bytes());
            }
            self.text.push(form);
            self.text.extend_from_slice(name);
            self.text.extend_from_slice(octets);
        }
        let mut entry = Entry {
            name_hash,
            fact_hash,
            count: 0,
            time_first: 0,
            time_last: 0,
            ttl_min: 0,
            ttl_max: 0,
            ttl_last: 0,
            at: row.unwrap_or(at),
            partition: self.router.partition(observation.rrname),
            flags: 0,
            is_negative: form == 2,
            state: if row.is_some() { State::Known { idle: false } } else { State::Unsent },
        };
        entry.reset();
        entry.merge(observation);
        entries.push(entry);
        self.dirty += 1;
        enter(&mut self.table, entries, index);
    }

    /// The tuples that have to go to the store: their index, and where they belong.
    pub fn due(&self) -> impl Iterator<Item = (u32, Place)> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.count > 0).map(|(index, entry)| {
            (index, Place { partition: entry.partition, hash: entry.name_hash })
        })
    }

    /// The tuple at an index of [`Window::due`].
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Merged<'_>> {
        let entry = self.entries.get(index as usize)?;
        let tuple = match entry.state {
            State::Known { .. } => Tuple::Row(entry.at),
            State::Unsent => self.tuple(entry.at)?,
            State::Sent => return None,
        };
        Some(Merged {
            place: Place { partition: entry.partition, hash: entry.name_hash },
            is_negative: entry.is_negative,
            tuple,
            seen: entry.seen(),
        })
    }

    fn tuple(&self, at: u32) -> Option<Tuple<'_>> {
        let (fields, rest) = self.text.get(at as usize..)?.split_first_chunk::<FIELDS>()?;
        let (numbers, form) = fields.split_first_chunk::<8>()?;
        let (numbers, _) = numbers.as_chunks::<2>();
        let &[name, octets, rrtype, outcome] = numbers else { return None };
        let [name, octets] = [name, octets].map(|length| u16::from_be_bytes(length).into());
        let rrtype = RrType(u16::from_be_bytes(rrtype));
        let (name, rest) = rest.split_at_checked(name)?;
        let fact = match form.first()? {
            2 => Fact::Negative { qtype: rrtype, outcome: Outcome(u16::from_be_bytes(outcome)) },
            form => {
                Fact::Record(Rdata { rrtype, octets: rest.get(..octets)?, partial: *form == 1 })
            }
        };
        Some(Tuple::Text { rrname: Name::trusted(std::str::from_utf8(name).ok()?), fact })
    }

    /// Notes that all tuples that had to go to the store are on their way. Until [`Window::learn`] was told
    /// the rows of the new ones, more can be added, but nothing sent.
    pub fn sent(&mut self) {
        for entry in &mut self.entries {
            if entry.count > 0 {
                entry.reset();
                if entry.state == State::Unsent {
                    entry.state = State::Sent;
                }
            }
        }
        self.text.clear();
        self.dirty = 0;
    }

    /// Notes the rows that sent tuples have in the store.
    pub fn learn(&mut self, rows: impl IntoIterator<Item = (u32, u32)>) {
        for (index, row) in rows {
            if let Some(entry) = self.entries.get_mut(index as usize)
                && entry.state == State::Sent
            {
                (entry.at, entry.state) = (row, State::Known { idle: false });
                self.rows.insert(entry.name_hash, entry.fact_hash, row);
            }
        }
    }

    /// Makes room when three quarters are taken: forgets known tuples that were not seen since the last
    /// sweep, or if there are too few of them, every other one. Nothing may be on its way to the store.
    pub fn sweep(&mut self) {
        let crowded = self.most_entries / 4 * 3;
        if self.entries.len() < crowded {
            return;
        }
        let idle = |entry: &Entry| entry.count == 0 && entry.state == State::Known { idle: true };
        let few = self.entries.iter().filter(|entry| idle(entry)).count() < self.most_entries / 4;
        let mut odd = false;
        self.entries.retain_mut(|entry| {
            odd = !odd;
            let keep = entry.count > 0 || !(idle(entry) || (few && odd));
            if let State::Known { idle } = &mut entry.state {
                *idle = true;
            }
            keep
        });
        self.table.clear();
        for (index, _) in (0..).zip(&self.entries) {
            enter(&mut self.table, &self.entries, index);
        }
    }
}

/// Enters the tuple at an index, which is not there yet, into the table.
fn enter(table: &mut HashTable<u32>, entries: &[Entry], index: u32) {
    let hash_of = |&index: &u32| {
        entries.get(index as usize).map_or(0, |entry| mixed(entry.name_hash, entry.fact_hash))
    };
    table.insert_unique(hash_of(&index), index, hash_of);
}

/// The hash of a tuple in the table.
fn mixed(name_hash: u64, fact_hash: u64) -> u64 {
    name_hash ^ fact_hash.rotate_left(32)
}

impl Entry {
    fn seen(&self) -> Seen {
        Seen {
            count: self.count,
            time_first: self.time_first,
            time_last: self.time_last,
            ttl_min: self.ttl_min,
            ttl_max: self.ttl_max,
            ttl_last: self.ttl_last,
            sensors: 0,
            flags: self.flags,
        }
    }

    fn set(&mut self, seen: &Seen) {
        self.count = seen.count;
        self.time_first = seen.time_first;
        self.time_last = seen.time_last;
        self.ttl_min = seen.ttl_min;
        self.ttl_max = seen.ttl_max;
        self.ttl_last = seen.ttl_last;
        self.flags = seen.flags;
    }

    fn reset(&mut self) {
        self.set(&Seen::default());
    }

    fn merge(&mut self, observation: &Observation<'_>) {
        let provenance: Provenance = observation.provenance;
        let mut seen = self.seen();
        seen.merge(&Seen::once(observation.at, observation.ttl, provenance, 0));
        self.set(&seen);
        if let State::Known { idle } = &mut self.state {
            *idle = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;
    use crate::name::NameBuf;

    fn window(memory: usize) -> Window {
        Window::new(Router::new(Hasher::new(&[3; 16]), 64), memory)
    }

    fn add(window: &mut Window, name: &str, fact: Fact<'_>, at: u32) {
        let name = NameBuf::parse(name).unwrap();
        window.add(&Observation {
            rrname: name.as_name(),
            fact,
            at,
            ttl: Some(60),
            provenance: Provenance::Inferred,
        });
    }

    fn a(octets: &[u8]) -> Fact<'_> {
        Fact::Record(Rdata { rrtype: RrType::A, octets, partial: false })
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    #[test]
    fn equal_observations_are_one_and_all_others_are_apart() {
        let mut window = window(1 << 22);
        let mx = b"\x00\x00\x04mail\x00";
        let facts = [
            a(&[192, 0, 2, 1]),
            a(&[192, 0, 2, 2]),
            Fact::Record(Rdata { rrtype: RrType(1000), octets: &[192, 0, 2, 1], partial: false }),
            Fact::Record(Rdata { rrtype: RrType::MX, octets: mx, partial: false }),
            Fact::Record(Rdata { rrtype: RrType::MX, octets: mx, partial: true }),
            Fact::Negative { qtype: RrType::A, outcome: Outcome::NXDOMAIN },
            Fact::Negative { qtype: RrType::A, outcome: Outcome::UNANSWERED },
            Fact::Negative { qtype: RrType::AAAA, outcome: Outcome::NXDOMAIN },
        ];
        for at in [5, 9, 7] {
            for name in ["www.example", "example"] {
                for fact in facts {
                    add(&mut window, name, fact, at);
                }
            }
        }
        let due: Vec<(u32, Place)> = window.due().collect();
        assert_eq!((due.len(), window.dirty()), (facts.len() * 2, facts.len() * 2));
        for (&(index, place), fact) in due.iter().zip(facts) {
            let merged = window.get(index).unwrap();
            let Tuple::Text { rrname, fact: stored } = merged.tuple else { panic!("no text") };
            assert_eq!((rrname.as_str(), stored), ("www.example", fact));
            assert_eq!(place, window.place(rrname));
            let seen = merged.seen;
            assert_eq!((seen.count, seen.time_first, seen.time_last), (3, 5, 9));
        }
        window.clear();
        assert!(window.dirty() == 0 && window.get(0).is_none());
    }

    #[test]
    fn a_tuple_that_was_sent_comes_back_as_its_row() {
        let mut window = window(1 << 22);
        add(&mut window, "a.example", a(&[192, 0, 2, 1]), 1);
        add(&mut window, "b.example", a(&[192, 0, 2, 1]), 1);
        window.sent();
        assert_eq!((window.due().count(), window.dirty()), (0, 0));
        add(&mut window, "a.example", a(&[192, 0, 2, 1]), 2);
        window.learn([(0, 70), (1, 71)]);
        let due: Vec<u32> = window.due().map(|(index, _)| index).collect();
        assert_eq!(due, [0]);
        let merged = window.get(0).unwrap();
        assert!(matches!(merged.tuple, Tuple::Row(70)));
        assert_eq!((merged.seen.count, merged.seen.time_first), (1, 2));
    }

    #[test]
    fn a_window_is_bounded_and_a_sweep_keeps_what_is_used_and_what_is_due() {
        let mut window = window(1 << 20);
        let mut added = 0_u32;
        while !window.is_full() {
            add(&mut window, "www.example", a(&added.to_be_bytes()), 1);
            added += 1;
        }
        let due: Vec<u32> = window.due().map(|(index, _)| index).collect();
        window.sent();
        window.learn(due.iter().map(|&index| (index, index)));
        window.sweep();
        // Now the rest is idle, but for one.
        add(&mut window, "www.example", a(&1_u32.to_be_bytes()), 2);
        let left = window.entries.len();
        while !window.is_full() {
            add(&mut window, "www.example", a(&added.to_be_bytes()), 3);
            added += 1;
        }
        window.sweep();
        assert!(left > 0 && window.entries.len() <= window.most_entries);
        assert_eq!(window.dirty(), window.due().count());
        add(&mut window, "www.example", a(&1_u32.to_be_bytes()), 4);
        let one = window.entries.iter().find(|entry| entry.time_last == 4).unwrap();
        assert_eq!((one.count, one.state), (2, State::Known { idle: false }));
    }
}
