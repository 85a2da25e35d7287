//! From the place of a name to its entry: which bucket it is in, and what stands there.
//!
//! The lowest of what reads, below `store/resolve.rs`. Where buckets end is asked once and remembered: they only grow, so an
//! entry that is found is the right one, and one that is not is looked for again where they have grown since.

use super::keys::{Buckets, FIRST_BITS, Kind, Pointer, low24};
use super::link::Packed;
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

/// Entries that were asked for and not yet read.
pub(crate) struct AskedEntries {
    kind: Kind,
    /// The bits that are wanted of each partition, and whether they were met.
    wanted: BTreeMap<u8, Vec<(u32, bool)>>,
    /// Buckets of those partitions, in the same order, by which we asked.
    buckets: Vec<Buckets>,
    /// The partition of each question.
    partitions: Vec<u8>,
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

    /// The entry of one name.
    pub(crate) fn entry(
        &mut self,
        kind: Kind,
        name: Name<'_>,
    ) -> Result<Option<Entry>, StoreError> {
        let place = self.router.place(name);
        let partition = place.partition;
        let mut buckets = self.buckets_of(kind, [partition], Known::IfAny)?;
        loop {
            let now = buckets.first().copied().ok_or(StoreError::Reply)?;
            let key = self.keys.bucket(partition, kind, now.of(low24(place.hash)));
            let mut packed = Packed::default();
            packed.command(&[b"HGET", key.as_bytes(), &place.hash.to_be_bytes()]);
            self.pack_meta(&mut packed, kind, partition);
            let mut replies = self.link.call(&packed)?.into_iter();
            let value = reply::maybe_octets(replies.next().ok_or(StoreError::Reply)?)?;
            if let Some(value) = value {
                return Ok(Some(Entry { partition, hash: place.hash, value }));
            }
            // Buckets only grow: where they are as they were thought to be, the name had not moved when it was asked for.
            let meta = Meta::read(replies.next().ok_or(StoreError::Reply)?)?;
            self.buckets.insert((kind, partition), meta.buckets);
            if meta.buckets == now {
                return Ok(None);
            }
            buckets = vec![meta.buckets];
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
        let asked = self.ask_entries(kind, pointers)?;
        self.read_entries(asked)
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
        let mut wanted: BTreeMap<u8, Vec<(u32, bool)>> = BTreeMap::new();
        for pointer in pointers {
            wanted.entry(pointer.partition()).or_default().push((pointer.bits(), false));
        }
        for bits in wanted.values_mut() {
            bits.sort_unstable();
            bits.dedup();
        }
        let known = |partition: &u8| self.buckets.get(&(kind, *partition)).copied();
        // A guess that is wrong costs a second question.
        let buckets = wanted.keys().map(|partition| known(partition).unwrap_or(Buckets::FIRST));
        let mut asked =
            AskedEntries { kind, buckets: buckets.collect(), wanted, partitions: Vec::new() };
        self.send_for(&mut asked)?;
        Ok(asked)
    }

    fn send_for(&mut self, asked: &mut AskedEntries) -> Result<(), StoreError> {
        let mut packed = Packed::default();
        asked.partitions.clear();
        for ((&partition, bits), buckets) in asked.wanted.iter().zip(&asked.buckets) {
            let mut indices: Vec<u32> = bits.iter().map(|&(bits, _)| buckets.of(bits)).collect();
            indices.sort_unstable();
            indices.dedup();
            for index in indices {
                let key = self.keys.bucket(partition, asked.kind, index);
                packed.command(&[b"HGETALL", key.as_bytes()]);
                asked.partitions.push(partition);
            }
        }
        self.link.send(&packed)
    }

    /// Reads what was asked for.
    pub(crate) fn read_entries(
        &mut self,
        mut asked: AskedEntries,
    ) -> Result<Vec<Entry>, StoreError> {
        loop {
            let AskedEntries { kind, wanted, partitions, .. } = &mut asked;
            let mut entries: Vec<Entry> = Vec::with_capacity(partitions.len());
            self.link.pairs(partitions.len(), &mut |at, field, value| {
                let partition = partitions.get(at).copied().ok_or(StoreError::Reply)?;
                let hash = u64::from_be_bytes(field.try_into().map_err(|_| StoreError::Reply)?);
                let bits = wanted.get_mut(&partition).ok_or(StoreError::Reply)?;
                if let Ok(at) = bits.binary_search_by_key(&low24(hash), |&(bits, _)| bits) {
                    if let Some((_, met)) = bits.get_mut(at) {
                        *met = true;
                    }
                    entries.push(Entry { partition, hash, value: value.to_vec() });
                }
                Ok(())
            })?;
            // Names that share the bits share the bucket: if one was met, all were.
            if wanted.values().flatten().all(|&(_, met)| met) {
                return Ok(entries);
            }
            // Buckets that were split since we knew them may have given a name away: if any was, read again.
            let now = self.buckets_of(*kind, wanted.keys().copied(), Known::Now)?;
            if now == asked.buckets {
                return Ok(entries);
            }
            asked.buckets = now;
            self.send_for(&mut asked)?;
        }
    }

    /// Passes over what was asked for.
    pub(crate) fn skip_entries(&mut self, asked: &AskedEntries) -> Result<(), StoreError> {
        self.link.pairs(asked.partitions.len(), &mut |_, _, _| Ok(()))
    }
}
