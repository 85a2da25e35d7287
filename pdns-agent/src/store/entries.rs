//! From the place of a name to its entry: which bucket it is in, and what stands there.
//!
//! The lowest of what reads, below `store/resolve.rs`. Where buckets end is asked once and remembered: they only grow, so an
//! entry that is found is the right one, and one that is not is looked for again where they have grown since.

use super::keys::{Buckets, FIRST_BITS, Kind, Pointer, low24};
use super::link::Packed;
use super::scan::Part;
use super::{Store, StoreError, reply};
use crate::hash::Place;
use crate::name::{Name, NameBuf};
use redis::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where a partition's parts end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) rows: u32,
    pub(crate) block: u32,
    pub(crate) offset: u32,
    pub(crate) buckets: Buckets,
    pub(crate) names: u64,
}

impl Meta {
    fn read(reply: Value) -> Result<Self, StoreError> {
        let fields = reply::list(reply)?;
        let number = |at: usize, missing: u32| -> Result<u32, StoreError> {
            let field = fields.get(at).ok_or(StoreError::Reply)?;
            let number = reply::integer_or(field, missing.into())?;
            u32::try_from(number).map_err(|_| StoreError::Reply)
        };
        Ok(Self {
            rows: number(0, 0)?,
            block: number(1, 0)?,
            offset: number(2, 0)?,
            buckets: Buckets { bits: number(3, FIRST_BITS)?, split: number(4, 0)? },
            names: number(5, 0)?.into(),
        })
    }
}

/// Which buckets are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Those that are remembered, if any: whoever finds what he looks for need not know whether they are out of date.
    IfAny,
    /// Those that there are now.
    Now,
}

/// A name's entry in its bucket.
pub(crate) struct Entry {
    pub(crate) partition: u8,
    pub(crate) hash: u64,
    pub(crate) value: Vec<u8>,
}

/// An entry where it lies.
pub(crate) struct EntryRef<'v> {
    pub(crate) partition: u8,
    pub(crate) hash: u64,
    pub(crate) value: &'v [u8],
}

impl EntryRef<'_> {
    /// A copy.
    pub(crate) fn to_entry(&self) -> Entry {
        Entry { partition: self.partition, hash: self.hash, value: self.value.to_vec() }
    }
}

/// Takes entries.
pub(crate) type EachEntry<'e> = &'e mut dyn FnMut(EntryRef<'_>) -> Result<(), StoreError>;

/// Names that are wanted of one partition.
struct Wanted {
    partition: u8,
    /// Its buckets, as they are thought to be.
    buckets: Buckets,
    /// The bits of the names in order, and whether such a name was met.
    bits: Vec<(u32, bool)>,
}

/// Entries that are wanted and were not met.
pub(crate) struct Missing {
    kind: Kind,
    wanted: Vec<Wanted>,
}

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// Entries that were asked for and not yet read.
pub(crate) struct AskedEntries {
    missing: Missing,
    /// For each question, which of the partitions that are wanted it is about.
    questions: Vec<usize>,
}

impl Store {
    /// Where the parts of these partitions end, in their order.
    pub(crate) fn metas(
        &mut self,
        kind: Kind,
        partitions: impl IntoIterator<Item = u8>,
    ) -> Result<Vec<Meta>, StoreError> {
        let mut packed = Packed::default();
        for partition in partitions {
            self.pack_meta(&mut packed, kind, partition);
        }
        self.link.call(&packed)?.into_iter().map(Meta::read).collect()
    }

    /// Where a part ends.
    pub(crate) fn meta(&mut self, kind: Kind, part: Part) -> Result<Meta, StoreError> {
        self.metas(kind, [part.0])?.into_iter().next().ok_or(StoreError::Reply)
    }

    fn pack_meta(&self, packed: &mut Packed, kind: Kind, partition: u8) {
        let key = self.keys.meta(partition, kind);
        packed.command(&[b"HMGET", key.as_bytes(), b"r", b"b", b"p", b"k", b"s", b"n"]);
    }

    /// The buckets of these partitions, in their order.
    fn buckets_of(
        &mut self,
        kind: Kind,
        partitions: impl IntoIterator<Item = u8, IntoIter: Clone> + Clone,
        known: Known,
    ) -> Result<Vec<Buckets>, StoreError> {
        let places = partitions.clone().into_iter().map(|partition| (kind, partition));
        let mut remembered = places.clone().map(|place| self.buckets.get(&place).copied());
        if known == Known::IfAny
            && let Some(buckets) = remembered.by_ref().collect::<Option<Vec<Buckets>>>()
        {
            return Ok(buckets);
        }
        let metas = self.metas(kind, partitions)?;
        let buckets: Vec<Buckets> = metas.iter().map(|meta| meta.buckets).collect();
        self.buckets.extend(places.zip(buckets.iter().copied()));
        Ok(buckets)
    }

    /// The entries of one name of these kinds, `None` where there is none, and the replies to what else is asked together
    /// with that.
    pub(crate) fn entries_and(
        &mut self,
        name: Name<'_>,
        kinds: &[Kind],
        mut also: Packed,
    ) -> Result<(Vec<Option<Entry>>, Vec<Value>), StoreError> {
        let Place { partition, hash } = self.router.place(name);
        let mut entries: Vec<Option<Entry>> = kinds.iter().map(|_| None).collect();
        let mut due: Vec<usize> = (0..kinds.len()).collect();
        let mut other = Vec::new();
        loop {
            let count = also.len();
            let mut packed = std::mem::take(&mut also);
            let known = |kind: Kind| self.buckets.get(&(kind, partition)).copied();
            let asked: Vec<(usize, Kind, Option<Buckets>)> = due
                .drain(..)
                .filter_map(|at| kinds.get(at).map(|&kind| (at, kind, known(kind))))
                .collect();
            for &(_, kind, buckets) in &asked {
                if let Some(buckets) = buckets {
                    let key = self.keys.bucket(partition, kind, buckets.of(low24(hash)));
                    packed.command(&[b"HGET", key.as_bytes(), &hash.to_be_bytes()]);
                }
                self.pack_meta(&mut packed, kind, partition);
            }
            let mut replies = self.link.call(&packed)?.into_iter();
            other.extend(replies.by_ref().take(count));
            for (at, kind, before) in asked {
                let mut next = || replies.next().ok_or(StoreError::Reply);
                let value = before.map(|_| reply::maybe_octets(next()?)).transpose()?.flatten();
                let buckets = Meta::read(next()?)?.buckets;
                self.buckets.insert((kind, partition), buckets);
                match (value, entries.get_mut(at)) {
                    (Some(value), Some(slot)) => *slot = Some(Entry { partition, hash, value }),
                    // Buckets only grow: where they are as they were thought to be, the name had not moved when it was
                    // asked for.
                    _ if before == Some(buckets) => {}
                    _ => due.push(at),
                }
            }
            if due.is_empty() {
                return Ok((entries, other));
            }
        }
    }

    /// The entries of these names, in their order; `None` of a name that is not there.
    pub(crate) fn entries_of(
        &mut self,
        kind: Kind,
        names: &[NameBuf],
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        let places: Vec<Place> =
            names.iter().map(|name| self.router.place(name.as_name())).collect();
        let mut entries: Vec<Option<Entry>> = places.iter().map(|_| None).collect();
        let mut wanted: Vec<usize> = (0..names.len()).collect();
        let mut known = Known::IfAny;
        let mut last: BTreeMap<u8, Buckets> = BTreeMap::new();
        loop {
            let partition = |at: usize| places.get(at).map(|place| place.partition);
            let partitions: BTreeSet<u8> = wanted.iter().filter_map(|&at| partition(at)).collect();
            let buckets = self.buckets_of(kind, partitions.iter().copied(), known)?;
            let now: BTreeMap<u8, Buckets> = partitions.into_iter().zip(buckets).collect();
            // As of one name: what was not there is asked for again until nothing moves.
            wanted.retain(|&at| {
                partition(at).is_some_and(|partition| now.get(&partition) != last.get(&partition))
            });
            if wanted.is_empty() {
                return Ok(entries);
            }
            let mut packed = Packed::default();
            for &at in &wanted {
                let Some(place) = places.get(at) else { continue };
                let bits = low24(place.hash);
                let bucket = now.get(&place.partition).map_or(0, |buckets| buckets.of(bits));
                let key = self.keys.bucket(place.partition, kind, bucket);
                packed.command(&[b"HGET", key.as_bytes(), &place.hash.to_be_bytes()]);
            }
            let mut missing = Vec::new();
            for (at, value) in wanted.into_iter().zip(self.link.call(&packed)?) {
                match (reply::maybe_octets(value)?, places.get(at), entries.get_mut(at)) {
                    (Some(value), Some(place), Some(slot)) => {
                        let (partition, hash) = (place.partition, place.hash);
                        *slot = Some(Entry { partition, hash, value });
                    }
                    _ => missing.push(at),
                }
            }
            if missing.is_empty() {
                return Ok(entries);
            }
            (wanted, known, last) = (missing, Known::Now, now);
        }
    }

    /// The entries of all names that these pointers may mean.
    pub(crate) fn entries(
        &mut self,
        kind: Kind,
        pointers: &[Pointer],
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::with_capacity(pointers.len());
        let mut each = |entry: EntryRef<'_>| {
            entries.push(entry.to_entry());
            Ok(())
        };
        let asked = self.ask_entries(kind, pointers)?;
        let missing = self.read_entries(asked, &mut each)?;
        self.find_missing(missing, &mut each)?;
        Ok(entries)
    }

    /// Remembers the buckets of the partitions that these pointers lie in.
    pub(crate) fn know_buckets(
        &mut self,
        kind: Kind,
        pointers: &[Pointer],
    ) -> Result<(), StoreError> {
        let partitions: BTreeSet<u8> = pointers.iter().map(|pointer| pointer.partition()).collect();
        self.buckets_of(kind, partitions.iter().copied(), Known::IfAny).map(|_| ())
    }

    /// Asks for the entries of all names that these pointers may mean, by the buckets that are remembered; they must be
    /// read next, but for what was asked before.
    pub(crate) fn ask_entries(
        &mut self,
        kind: Kind,
        pointers: &[Pointer],
    ) -> Result<AskedEntries, StoreError> {
        let mut pointers = pointers.to_vec();
        pointers.sort_unstable();
        pointers.dedup();
        let partitions = pointers.chunk_by(|one, other| one.partition() == other.partition());
        let wanted = partitions.filter_map(|pointers| {
            let partition = pointers.first()?.partition();
            // A guess that is wrong costs a second question.
            let buckets = self.buckets.get(&(kind, partition)).copied().unwrap_or(Buckets::FIRST);
            let bits = pointers.iter().map(|pointer| (pointer.bits(), false)).collect();
            Some(Wanted { partition, buckets, bits })
        });
        let wanted = wanted.collect();
        self.send_for(Missing { kind, wanted })
    }

    fn send_for(&mut self, missing: Missing) -> Result<AskedEntries, StoreError> {
        let mut packed = Packed::default();
        let mut questions = Vec::new();
        for (at, Wanted { partition, buckets, bits }) in missing.wanted.iter().enumerate() {
            let mut indices: Vec<u32> = bits.iter().map(|&(bits, _)| buckets.of(bits)).collect();
            indices.sort_unstable();
            indices.dedup();
            for index in indices {
                let key = self.keys.bucket(*partition, missing.kind, index);
                packed.command(&[b"HGETALL", key.as_bytes()]);
                questions.push(at);
            }
        }
        self.link.send(&packed)?;
        Ok(AskedEntries { missing, questions })
    }

    /// Reads what was asked for, and hands it to `each`; what was not there.
    pub(crate) fn read_entries(
        &mut self,
        asked: AskedEntries,
        each: EachEntry<'_>,
    ) -> Result<Missing, StoreError> {
        let AskedEntries { mut missing, questions } = asked;
        self.link.pairs(questions.len(), &mut |at, field, value| {
            let wanted = questions.get(at).and_then(|&at| missing.wanted.get_mut(at));
            let Wanted { partition, bits, .. } = wanted.ok_or(StoreError::Reply)?;
            let hash = u64::from_be_bytes(field.try_into().map_err(|_| StoreError::Reply)?);
            let at = bits.binary_search_by_key(&low24(hash), |&(bits, _)| bits);
            let Some((_, met)) = at.ok().and_then(|at| bits.get_mut(at)) else { return Ok(()) };
            *met = true;
            each(EntryRef { partition: *partition, hash, value })
        })?;
        // Names that share the bits share the bucket: if one was met, all were.
        for wanted in &mut missing.wanted {
            wanted.bits.retain(|&(_, met)| !met);
        }
        missing.wanted.retain(|wanted| !wanted.bits.is_empty());
        Ok(missing)
    }

    /// Looks for what was not there in the buckets that there are now: some may have been split since we knew them. Nothing
    /// else may be under way.
    pub(crate) fn find_missing(
        &mut self,
        mut missing: Missing,
        each: EachEntry<'_>,
    ) -> Result<(), StoreError> {
        while !missing.wanted.is_empty() {
            let partitions: Vec<u8> = missing.wanted.iter().map(|one| one.partition).collect();
            let now = self.buckets_of(missing.kind, partitions.iter().copied(), Known::Now)?;
            let mut now = now.into_iter();
            // Where nothing was split, there is no such name.
            missing.wanted.retain_mut(|wanted| {
                let before = wanted.buckets;
                wanted.buckets = now.next().unwrap_or(before);
                wanted.buckets != before
            });
            let asked = self.send_for(missing)?;
            missing = self.read_entries(asked, each)?;
        }
        Ok(())
    }

    /// Passes over what was asked for.
    pub(crate) fn skip_entries(&mut self, asked: &AskedEntries) -> Result<(), StoreError> {
        self.link.pairs(asked.questions.len(), &mut |_, _, _| Ok(()))
    }
}
