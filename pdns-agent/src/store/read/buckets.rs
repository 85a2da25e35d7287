//! Looks up the entry of a name: finds its bucket, and reads the entry in it.
//!
//! The lowest layer of reading, below `store/read/rows.rs`. The ends of buckets are read once and cached. Buckets
//! only grow, so an entry that is found is the right one; one that is not found is looked up again if the buckets
//! have grown since.

use crate::hash::NameLocation;
use crate::name::{Name, NameBuf};
use crate::store::layout::keys::{
    Buckets, FIRST_BITS, Keys, Kind, LOG, LOG_STRIDE, Pointer, Volume, low24,
};
use crate::store::read::scan::Part;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use redis::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Ends of the rows, buckets and log of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) rows: u32,
    pub(crate) block: u32,
    pub(crate) offset: u32,
    pub(crate) buckets: Buckets,
    pub(crate) names: u64,
    /// Number of rows that hold nothing since a repair.
    pub(crate) empty: u32,
    /// Edition of the keys.
    pub(crate) edition: u32,
}

/// Fields of a [`Meta`], in the order in which they are read. The last two may be missing.
pub(in crate::store) const META: [&[u8]; 8] = [b"r", b"b", b"p", b"k", b"s", b"n", b"z", b"x"];

impl Meta {
    pub(in crate::store) const NONE: Self = Self {
        rows: 0,
        block: 0,
        offset: 0,
        buckets: Buckets::FIRST,
        names: 0,
        empty: 0,
        edition: 0,
    };

    /// Decodes the value of `key`; `None` if the key is missing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a number is missing, or the numbers contradict each other.
    pub(in crate::store) fn read(reply: Value, key: &str) -> Result<Option<Self>, StoreError> {
        let fields = reply::list(reply)?;
        if fields.iter().all(|field| *field == Value::Nil) {
            return Ok(None);
        }
        let number = |at: usize| -> Result<u32, StoreError> {
            let number = fields.get(at).and_then(|field| reply::integer(field).ok());
            number
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| StoreError::damaged(key))
        };
        let or_nothing =
            |at: usize| if fields.get(at) == Some(&Value::Nil) { Ok(0) } else { number(at) };
        let meta = Self {
            rows: number(0)?,
            block: number(1)?,
            offset: number(2)?,
            buckets: Buckets { bits: number(3)?, split: number(4)? },
            names: number(5)?.into(),
            empty: or_nothing(6)?,
            edition: or_nothing(7)?,
        };
        let Buckets { bits, split } = meta.buckets;
        let possible = (FIRST_BITS..=24).contains(&bits)
            && split < 1 << bits
            && (meta.buckets == Buckets::due(meta.names) || meta.names > Buckets::MOST_NAMES)
            && meta.block < LOG_STRIDE
            && meta.offset <= LOG
            && (meta.names == 0 || (meta.block, meta.offset) > (0, 0))
            && u64::from(meta.empty) + meta.names <= meta.rows.into();
        if possible { Ok(Some(meta)) } else { Err(StoreError::damaged(key)) }
    }
}

impl Meta {
    /// Returns the fields as stored; the first edition has none.
    pub(in crate::store) fn fields(&self) -> impl Iterator<Item = (&'static [u8], u64)> {
        let Self { rows, block, offset, buckets: Buckets { bits, split }, names, empty, edition } =
            *self;
        let numbers = [rows, block, offset, bits, split].map(u64::from);
        let numbers = numbers.into_iter().chain([names, empty.into(), edition.into()]);
        META.into_iter().zip(numbers).filter(|(field, number)| *field != b"x" || *number > 0)
    }

    /// Returns the metadata with the numbers of an edition, in the order of [`META`].
    pub(in crate::store) fn from_numbers(edition: u32, numbers: &[u32]) -> Option<Self> {
        let &[rows, block, offset, bits, split, names, empty, ..] = numbers else { return None };
        let buckets = Buckets { bits, split };
        let is_possible = bits <= 24 && split < 1 << bits;
        let names = names.into();
        is_possible.then_some(Self { rows, block, offset, buckets, names, empty, edition })
    }

    /// Returns the volume of a partition that this is the metadata of.
    pub(crate) fn volume(&self, partition: u8) -> Volume {
        Volume { partition, edition: self.edition }
    }

    /// Returns the blocks of the name log.
    pub(crate) fn log_blocks(&self) -> std::ops::Range<u32> {
        let begun = u32::from(self.offset > 0);
        0..self.block + begun
    }

    /// Returns true if a position lies behind the end of the log.
    pub(crate) fn is_after(&self, position: u32) -> bool {
        (position / LOG_STRIDE, position % LOG_STRIDE) >= (self.block, self.offset)
    }
}

/// Edition and buckets of a partition: all that is needed to find the key of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    edition: u32,
    buckets: Buckets,
}

impl Shape {
    /// The shape where none is known: one that no partition has, since keys that were replaced may still be there.
    const UNKNOWN: Self = Self { edition: u32::MAX, buckets: Buckets::FIRST };

    fn of(meta: &Meta) -> Self {
        Self { edition: meta.edition, buckets: meta.buckets }
    }

    /// Returns the key of a bucket.
    fn key(self, keys: &Keys, kind: Kind, partition: u8, bucket: u32) -> String {
        keys.bucket(self.volume(partition), kind, bucket)
    }

    fn volume(self, partition: u8) -> Volume {
        Volume { partition, edition: self.edition }
    }
}

/// Freshness that a look-up requires of the bucket counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KnownBuckets {
    /// The cached counts, if any: if the name is found, it does not matter whether they are out of date.
    IfAny,
    /// The current counts.
    Now,
}

/// A name's entry in its bucket.
pub(crate) struct BucketEntry {
    pub(crate) volume: Volume,
    pub(crate) hash: u64,
    /// The bucket in which it was found.
    pub(crate) bucket: u32,
    pub(crate) value: Vec<u8>,
}

/// An entry that borrows from the reply.
pub(crate) struct EntryRef<'v> {
    pub(crate) volume: Volume,
    pub(crate) hash: u64,
    pub(crate) bucket: u32,
    pub(crate) value: &'v [u8],
}

impl EntryRef<'_> {
    /// Copies the entry.
    pub(crate) fn to_entry(&self) -> BucketEntry {
        let Self { volume, hash, bucket, value } = *self;
        BucketEntry { volume, hash, bucket, value: value.to_vec() }
    }
}

/// Callback for entries.
pub(crate) type EachEntry<'e> = &'e mut dyn FnMut(EntryRef<'_>) -> Result<(), StoreError>;

/// Names to find in one partition.
struct WantedEntries {
    partition: u8,
    /// Edition and buckets of the partition, as cached.
    shape: Shape,
    /// Hash bits of the names, sorted, and whether such a name was found.
    bits: Vec<(u32, bool)>,
}

impl WantedEntries {
    fn volume(&self) -> Volume {
        self.shape.volume(self.partition)
    }
}

/// Entries that were requested and not found.
pub(crate) struct Missing {
    kind: Kind,
    wanted: Vec<WantedEntries>,
}

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// Entries that were requested and not yet read.
pub(crate) struct AskedEntries {
    missing: Missing,
    /// For each request, the index of the partition in the list, and the bucket.
    questions: Vec<(usize, u32)>,
}

impl Reader<'_> {
    /// Reads the ends of these partitions, in the given order.
    pub(crate) fn metas(
        &mut self,
        kind: Kind,
        partitions: impl IntoIterator<Item = u8>,
    ) -> Result<Vec<Meta>, StoreError> {
        let partitions: Vec<u8> = partitions.into_iter().collect();
        let mut packed = Pipeline::default();
        for &partition in &partitions {
            self.pack_meta(&mut packed, kind, partition);
        }
        let replies = partitions.iter().zip(self.store.client.call(&packed)?);
        let metas: Vec<Meta> = replies
            .map(|(&partition, reply)| self.read_meta(kind, partition, reply))
            .collect::<Result<_, _>>()?;
        let empty = partitions.iter().zip(&metas).filter(|(_, meta)| meta.rows == 0);
        let empty: Vec<u8> = empty.map(|(&partition, _)| partition).collect();
        self.expect_empty(kind, &empty)?;
        Ok(metas)
    }

    /// Reads the ends of one partition.
    pub(crate) fn meta(&mut self, kind: Kind, part: Part) -> Result<Meta, StoreError> {
        self.metas(kind, [part.0])?.into_iter().next().ok_or(StoreError::Reply)
    }

    /// Decodes the ends of a partition. They may be missing only from a partition that was never marked.
    fn read_meta(&self, kind: Kind, partition: u8, reply: Value) -> Result<Meta, StoreError> {
        let key = self.store.keys.meta(partition, kind);
        match Meta::read(reply, &key)? {
            Some(meta) => Ok(meta),
            None if self.store.schema.is_marked => Err(StoreError::damaged(&key)),
            None => Ok(Meta::NONE),
        }
    }

    fn pack_meta(&self, packed: &mut Pipeline, kind: Kind, partition: u8) {
        let key = self.store.keys.meta(partition, kind);
        packed.begin(2 + META.len()).arg("HMGET").arg(key);
        for field in META {
            packed.arg(field);
        }
    }

    /// Returns the editions and buckets of these partitions, in the given order.
    fn shapes_of(
        &mut self,
        kind: Kind,
        partitions: impl IntoIterator<Item = u8, IntoIter: Clone> + Clone,
        known: KnownBuckets,
    ) -> Result<Vec<Shape>, StoreError> {
        let places = partitions.clone().into_iter().map(|partition| (kind, partition));
        let mut remembered = places.clone().map(|place| self.store.shapes.get(&place).copied());
        if known == KnownBuckets::IfAny
            && let Some(shapes) = remembered.by_ref().collect::<Option<Vec<Shape>>>()
        {
            return Ok(shapes);
        }
        let metas = self.metas(kind, partitions)?;
        let shapes: Vec<Shape> = metas.iter().map(Shape::of).collect();
        self.store.shapes.extend(places.zip(shapes.iter().copied()));
        Ok(shapes)
    }

    /// Reads the entries of one name of these kinds, `None` where there is none, and the replies to the commands that
    /// are sent along with that.
    pub(crate) fn entries_and(
        &mut self,
        name: Name<'_>,
        kinds: &[Kind],
        mut also: Pipeline,
    ) -> Result<(Vec<Option<BucketEntry>>, Vec<Value>), StoreError> {
        let NameLocation { partition, hash } = self.store.router.place(name);
        let mut entries: Vec<Option<BucketEntry>> = kinds.iter().map(|_| None).collect();
        let mut due: Vec<usize> = (0..kinds.len()).collect();
        let (mut other, mut absent) = (Vec::new(), Vec::new());
        loop {
            let count = also.len();
            let mut packed = std::mem::take(&mut also);
            let known = |kind: Kind| self.store.shapes.get(&(kind, partition)).copied();
            let asked: Vec<(usize, Kind, Option<Shape>)> = due
                .drain(..)
                .filter_map(|at| kinds.get(at).map(|&kind| (at, kind, known(kind))))
                .collect();
            for &(_, kind, shape) in &asked {
                if let Some(shape) = shape {
                    let bucket = shape.buckets.of(low24(hash));
                    let key = shape.key(&self.store.keys, kind, partition, bucket);
                    packed.command(&[b"HGET", key.as_bytes(), &hash.to_be_bytes()]);
                }
                self.pack_meta(&mut packed, kind, partition);
            }
            let mut replies = self.store.client.call(&packed)?.into_iter();
            other.extend(replies.by_ref().take(count));
            for (at, kind, before) in asked {
                let mut next = || replies.next().ok_or(StoreError::Reply);
                let value = before.map(|_| reply::maybe_octets(next()?)).transpose()?.flatten();
                let meta = self.read_meta(kind, partition, next()?)?;
                let shape = Shape::of(&meta);
                self.store.shapes.insert((kind, partition), shape);
                match (value, before, entries.get_mut(at)) {
                    // It was found in an earlier edition.
                    (_, Some(before), _) if before.edition != shape.edition => due.push(at),
                    // The name was there before the ends of its partition were read.
                    (Some(_), ..) if meta.rows == 0 => {
                        return Err(StoreError::damaged(&self.store.keys.meta(partition, kind)));
                    }
                    (Some(value), Some(before), Some(slot)) => {
                        let (bucket, volume) =
                            (before.buckets.of(low24(hash)), before.volume(partition));
                        *slot = Some(BucketEntry { volume, hash, bucket, value });
                    }
                    // Buckets only grow: if they are as cached, the name had not moved when its entry was requested.
                    _ if before == Some(shape) => absent.push((kind, meta.rows)),
                    _ => due.push(at),
                }
            }
            if due.is_empty() {
                for (kind, rows) in absent {
                    match rows {
                        0 => self.expect_empty(kind, &[partition])?,
                        _ => self.expect_buckets(kind, partition, &[low24(hash)])?,
                    }
                }
                return Ok((entries, other));
            }
        }
    }

    /// Reads the entries of these names, in the given order; `None` for a name that is missing.
    pub(crate) fn entries_of(
        &mut self,
        kind: Kind,
        names: &[NameBuf],
    ) -> Result<Vec<Option<BucketEntry>>, StoreError> {
        let places: Vec<NameLocation> =
            names.iter().map(|name| self.store.router.place(name.as_name())).collect();
        let mut entries: Vec<Option<BucketEntry>> = places.iter().map(|_| None).collect();
        let mut wanted: Vec<usize> = (0..names.len()).collect();
        let mut known = KnownBuckets::IfAny;
        let mut last: BTreeMap<u8, Shape> = BTreeMap::new();
        let mut absent: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
        loop {
            let partition = |at: usize| places.get(at).map(|place| place.partition);
            let partitions: BTreeSet<u8> = wanted.iter().filter_map(|&at| partition(at)).collect();
            let shapes = self.shapes_of(kind, partitions.iter().copied(), known)?;
            let now: BTreeMap<u8, Shape> = partitions.into_iter().zip(shapes).collect();
            let found_in = |place: &NameLocation| {
                let shape = now.get(&place.partition).copied().unwrap_or(Shape::UNKNOWN);
                (shape.volume(place.partition), shape.buckets.of(low24(place.hash)))
            };
            // As for one name: missing entries are requested again until nothing moves.
            wanted.retain(|&at| {
                let Some(place) = places.get(at) else { return false };
                let moves = now.get(&place.partition) != last.get(&place.partition);
                if !moves {
                    absent.entry(place.partition).or_default().push(low24(place.hash));
                }
                moves
            });
            if wanted.is_empty() {
                for (partition, bits) in absent {
                    self.expect_buckets(kind, partition, &bits)?;
                }
                return Ok(entries);
            }
            let mut packed = Pipeline::default();
            for &at in &wanted {
                let Some(place) = places.get(at) else { continue };
                let (volume, bucket) = found_in(place);
                let key = self.store.keys.bucket(volume, kind, bucket);
                packed.command(&[b"HGET", key.as_bytes(), &place.hash.to_be_bytes()]);
            }
            let mut missing = Vec::new();
            for (at, value) in wanted.into_iter().zip(self.store.client.call(&packed)?) {
                match (reply::maybe_octets(value)?, places.get(at), entries.get_mut(at)) {
                    (Some(value), Some(place), Some(slot)) => {
                        let (volume, bucket) = found_in(place);
                        *slot = Some(BucketEntry { volume, hash: place.hash, bucket, value });
                    }
                    _ => missing.push(at),
                }
            }
            (wanted, known, last) = (missing, KnownBuckets::Now, now);
        }
    }

    /// Reads the entries of all names that these pointers may refer to.
    pub(crate) fn entries(
        &mut self,
        kind: Kind,
        pointers: &[Pointer],
    ) -> Result<Vec<BucketEntry>, StoreError> {
        let mut entries = Vec::with_capacity(pointers.len());
        let mut each = |entry: EntryRef<'_>| {
            entries.push(entry.to_entry());
            Ok(())
        };
        self.know_buckets(kind, pointers)?;
        let asked = self.ask_entries(kind, pointers)?;
        let missing = self.read_entries(asked, &mut each)?;
        self.find_missing(missing, &mut each)?;
        Ok(entries)
    }

    /// Caches the buckets of the partitions that these pointers lie in.
    pub(crate) fn know_buckets(
        &mut self,
        kind: Kind,
        pointers: &[Pointer],
    ) -> Result<(), StoreError> {
        let partitions: BTreeSet<u8> = pointers.iter().map(|pointer| pointer.partition()).collect();
        self.shapes_of(kind, partitions.iter().copied(), KnownBuckets::IfAny).map(|_| ())
    }

    /// Requests the entries of all names that these pointers may refer to, by the cached buckets. They must be read
    /// next, after the requests that were sent before.
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
            // A wrong guess costs a second request.
            let shape = self.store.shapes.get(&(kind, partition)).copied();
            let shape = shape.unwrap_or(Shape::UNKNOWN);
            let bits = pointers.iter().map(|pointer| (pointer.bits(), false)).collect();
            Some(WantedEntries { partition, shape, bits })
        });
        let wanted = wanted.collect();
        self.send_for(Missing { kind, wanted })
    }

    fn send_for(&mut self, missing: Missing) -> Result<AskedEntries, StoreError> {
        let mut packed = Pipeline::default();
        let mut questions = Vec::new();
        for (at, WantedEntries { partition, shape, bits }) in missing.wanted.iter().enumerate() {
            let mut indices: Vec<u32> =
                bits.iter().map(|&(bits, _)| shape.buckets.of(bits)).collect();
            indices.sort_unstable();
            indices.dedup();
            for index in indices {
                let key = shape.key(&self.store.keys, missing.kind, *partition, index);
                packed.command(&[b"HGETALL", key.as_bytes()]);
                questions.push((at, index));
            }
        }
        self.store.client.send(&packed)?;
        Ok(AskedEntries { missing, questions })
    }

    /// Reads the requested entries and passes them to `each`; returns the missing ones.
    pub(crate) fn read_entries(
        &mut self,
        asked: AskedEntries,
        each: EachEntry<'_>,
    ) -> Result<Missing, StoreError> {
        let AskedEntries { mut missing, questions } = asked;
        let (keys, kind) = (self.store.keys.clone(), missing.kind);
        let volumes: Vec<Volume> = missing.wanted.iter().map(WantedEntries::volume).collect();
        let key = |question: usize| {
            let (at, index) = questions.get(question).copied().unwrap_or_default();
            keys.bucket(volumes.get(at).copied().unwrap_or(Volume::first(0)), kind, index)
        };
        self.store.client.pairs(questions.len(), &key, &mut |question, field, value| {
            let (at, bucket) = questions.get(question).copied().ok_or(StoreError::Reply)?;
            let wanted = missing.wanted.get_mut(at);
            let wanted = wanted.ok_or(StoreError::Reply)?;
            let volume = wanted.volume();
            let bits = &mut wanted.bits;
            let hash = field.try_into().map_err(|_| StoreError::damaged(&key(question)))?;
            let hash = u64::from_be_bytes(hash);
            let at = bits.binary_search_by_key(&low24(hash), |&(bits, _)| bits);
            let Some((_, met)) = at.ok().and_then(|at| bits.get_mut(at)) else { return Ok(()) };
            *met = true;
            each(EntryRef { volume, hash, bucket, value })
        })?;
        // Names that share the bits share the bucket: if one was found, all were.
        for wanted in &mut missing.wanted {
            wanted.bits.retain(|&(_, met)| !met);
        }
        missing.wanted.retain(|wanted| !wanted.bits.is_empty());
        Ok(missing)
    }

    /// Looks for the missing entries in the current buckets, since some may have been split after they were cached.
    /// Nothing else may be in flight.
    pub(crate) fn find_missing(
        &mut self,
        mut missing: Missing,
        each: EachEntry<'_>,
    ) -> Result<(), StoreError> {
        while !missing.wanted.is_empty() {
            let partitions: Vec<u8> = missing.wanted.iter().map(|one| one.partition).collect();
            let now =
                self.shapes_of(missing.kind, partitions.iter().copied(), KnownBuckets::Now)?;
            let mut now = now.into_iter();
            // Where nothing was split, there is no such name.
            let mut absent = Vec::new();
            missing.wanted.retain_mut(|wanted| {
                let before = wanted.shape;
                wanted.shape = now.next().unwrap_or(before);
                let moves = wanted.shape != before;
                if !moves {
                    let bits = std::mem::take(&mut wanted.bits);
                    absent.push((wanted.partition, bits));
                }
                moves
            });
            for (partition, bits) in absent {
                let bits: Vec<u32> = bits.into_iter().map(|(bits, _)| bits).collect();
                self.expect_buckets(missing.kind, partition, &bits)?;
            }
            let asked = self.send_for(missing)?;
            missing = self.read_entries(asked, each)?;
        }
        Ok(())
    }

    /// Skips the replies to a request.
    pub(crate) fn skip_entries(&mut self, asked: &AskedEntries) -> Result<(), StoreError> {
        let (keys, missing) = (self.store.keys.clone(), &asked.missing);
        let key = |question: usize| {
            let (at, index) = asked.questions.get(question).copied().unwrap_or_default();
            let volume = missing.wanted.get(at).map_or(Volume::first(0), WantedEntries::volume);
            keys.bucket(volume, missing.kind, index)
        };
        self.store.client.pairs(asked.questions.len(), &key, &mut |_, _, _| Ok(()))
    }
}
