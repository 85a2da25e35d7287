//! The window: equal observations become one before Redis hears of them.
//!
//! Between `decode` and `store`. DNS repeats itself: within seconds the same answer comes many times,
//! and one upsert for all of them is what makes a store of single records affordable. A window is
//! bounded in memory; whoever fills it sends it to the store when it is full or old and clears it.

use crate::hash::{Place, Router};
use crate::name::Name;
use crate::observation::{Fact, Observation, Outcome, Seen};
use crate::rdata::Rdata;
use crate::rr::RrType;
use hashbrown::HashTable;

/// Octets that one tuple takes beside its text: an entry and its share of the table.
const ENTRY_COST: usize = size_of::<Entry>() + 8;
/// Octets of text that one tuple is expected to take; only the first allocation depends on it.
const TEXT_COST: usize = 40;

/// Distinct tuples and their sums, up to a bound of memory.
pub struct Window {
    router: Router,
    text: Vec<u8>,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    limit: usize,
}

/// One tuple of a window. Its name and RDATA lie in the window's text, the name first.
#[derive(Clone, Copy, Debug)]
struct Entry {
    place: Place,
    fact_hash: u64,
    at: u32,
    name: u16,
    octets: u16,
    rrtype: RrType,
    outcome: Outcome,
    form: Form,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    Partial,
    Negative,
}

/// One tuple of a window, as the store takes it.
#[derive(Clone, Copy, Debug)]
pub struct Merged<'a> {
    /// Where the name belongs.
    pub place: Place,
    /// Hash of the fact; with the hash of the name it identifies the tuple.
    pub fact_hash: u64,
    /// Owner name or QNAME.
    pub rrname: Name<'a>,
    /// Record or negative answer.
    pub fact: Fact<'a>,
    /// The sum of its sightings in this window.
    pub seen: Seen,
}

impl Window {
    /// An empty window that takes up to about `limit` octets of memory.
    #[must_use]
    pub fn new(router: Router, limit: usize) -> Self {
        let expected = limit / (ENTRY_COST + TEXT_COST);
        Self {
            router,
            text: Vec::with_capacity(expected * TEXT_COST),
            entries: Vec::with_capacity(expected),
            table: HashTable::with_capacity(expected),
            limit,
        }
    }

    /// Distinct tuples in the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in the window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the window has taken its memory and should go to the store.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.text.len() + self.entries.len() * ENTRY_COST >= self.limit
            // Positions in the text have 32 bits; a whole line's worth of room is kept.
            || self.text.len() > (u32::MAX / 2) as usize
    }

    /// Forgets all tuples and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.table.clear();
    }

    /// Where a name belongs; [`Window::add`] takes it so that it is worked out once.
    #[must_use]
    pub fn place(&self, name: Name<'_>) -> Place {
        self.router.place(name)
    }

    /// Adds one observation, made by the sensors in the bit set `sensors`.
    pub fn add(&mut self, observation: &Observation<'_>, place: Place, sensors: u32) {
        let seen = Seen::once(observation.at, observation.ttl, observation.provenance, sensors);
        let (form, rrtype, outcome, octets) = match observation.fact {
            Fact::Record(rdata) => {
                let form = if rdata.partial { Form::Partial } else { Form::Whole };
                (form, rdata.rrtype, Outcome(0), rdata.octets)
            }
            Fact::Negative { qtype, outcome } => (Form::Negative, qtype, outcome, &[][..]),
        };
        let name = observation.rrname.as_str().as_bytes();
        let mark = u64::from(rrtype.0) << 24 | u64::from(outcome.0) << 8 | form as u64;
        let fact_hash =
            self.router.hasher().octets(octets) ^ mark.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = place.hash ^ fact_hash.rotate_left(32);
        let (entries, text) = (&mut self.entries, &mut self.text);
        let found = self.table.find(hash, |&index| {
            entries.get(index as usize).is_some_and(|entry| {
                entry.place.hash == place.hash
                    && entry.fact_hash == fact_hash
                    && entry.text(text) == Some((name, octets))
                    && (entry.form, entry.rrtype, entry.outcome) == (form, rrtype, outcome)
            })
        });
        if let Some(entry) = found.and_then(|&index| entries.get_mut(index as usize)) {
            entry.seen.merge(&seen);
            return;
        }
        let (Ok(at), Ok(index)) = (u32::try_from(text.len()), u32::try_from(entries.len())) else {
            return;
        };
        // A name has at most 1,004 octets of text and RDATA at most 65,535 (RFC 1035 §3.2.1).
        let (Ok(name_length), Ok(length)) =
            (u16::try_from(name.len()), u16::try_from(octets.len()))
        else {
            return;
        };
        text.extend_from_slice(name);
        text.extend_from_slice(octets);
        entries.push(Entry {
            place,
            fact_hash,
            at,
            name: name_length,
            octets: length,
            rrtype,
            outcome,
            form,
            seen,
        });
        self.table.insert_unique(hash, index, |&index| {
            entries
                .get(index as usize)
                .map_or(0, |entry| entry.place.hash ^ entry.fact_hash.rotate_left(32))
        });
    }

    /// The tuple at `index`, below [`Window::len`].
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Merged<'_>> {
        let entry = self.entries.get(index)?;
        let (name, octets) = entry.text(&self.text)?;
        let name = std::str::from_utf8(name).ok()?;
        let fact = match entry.form {
            Form::Negative => Fact::Negative { qtype: entry.rrtype, outcome: entry.outcome },
            form => {
                Fact::Record(Rdata { rrtype: entry.rrtype, octets, partial: form == Form::Partial })
            }
        };
        Some(Merged {
            place: entry.place,
            fact_hash: entry.fact_hash,
            rrname: Name::trusted(name),
            fact,
            seen: entry.seen,
        })
    }

    /// The place of the tuple at `index`.
    #[must_use]
    pub fn place_of(&self, index: usize) -> Option<Place> {
        self.entries.get(index).map(|entry| entry.place)
    }
}

impl Entry {
    fn text<'a>(&self, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (name, rest) = text.get(self.at as usize..)?.split_at_checked(self.name.into())?;
        Some((name, rest.get(..self.octets.into())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;
    use crate::name::NameBuf;
    use crate::observation::Provenance;

    fn window(limit: usize) -> Window {
        Window::new(Router::new(Hasher::new(&[3; 16]), 64), limit)
    }

    fn add(window: &mut Window, name: &str, fact: Fact<'_>, at: u32) {
        let name = NameBuf::parse(name).unwrap();
        let observation = Observation {
            rrname: name.as_name(),
            fact,
            at,
            ttl: Some(60),
            provenance: Provenance::Inferred,
        };
        let place = window.place(name.as_name());
        window.add(&observation, place, 1);
    }

    fn a(octets: &[u8]) -> Fact<'_> {
        Fact::Record(Rdata { rrtype: RrType::A, octets, partial: false })
    }

    #[test]
    fn equal_observations_are_one_and_all_others_are_apart() {
        let mut window = window(1 << 20);
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
        assert_eq!(window.len(), facts.len() * 2);
        for (index, fact) in facts.into_iter().enumerate() {
            let merged = window.get(index).unwrap();
            assert_eq!((merged.rrname.as_str(), merged.fact), ("www.example", fact));
            let seen = merged.seen;
            assert_eq!((seen.count, seen.time_first, seen.time_last), (3, 5, 9));
        }
        window.clear();
        assert!(window.is_empty() && window.get(0).is_none());
    }

    #[test]
    fn a_window_says_when_it_is_full() {
        let mut window = window(10_000);
        let mut added = 0_u32;
        while !window.is_full() {
            add(&mut window, "www.example", a(&added.to_be_bytes()), 1);
            added += 1;
        }
        assert!((80..200).contains(&added), "{added}");
    }
}
