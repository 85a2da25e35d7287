//! From where something is to what it is: buckets, rows, log positions and digests become [`Row`]s.
//!
//! The lower half of reading; `store/lookup.rs` and `store/scan.rs` decide what to resolve. Everything goes
//! in pipelines of bounded size, so that a long answer costs few round trips and little memory.

use super::encoding::{Damaged, Stored, Value, read_row, records};
use super::keys::{Buckets, FIRST_BITS, Kind, LOG_STRIDE, Pointer, ROW, ROWS, low24};
use super::link::Packed;
use super::{FactBuf, Row, Store, StoreError, reply};
use crate::hash::Place;
use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Things resolved in one pipeline.
pub(crate) const PAGE: usize = 512;
/// Octets of the log fetched for a name of unknown length; nearly all names fit.
const NAME_GUESS: u32 = 64;
/// Longest line of the log: 255 octets in wire form are at most 1,004 in text.
const NAME_MOST: u32 = 1005;

/// Takes a page of records and their rows; answers whether to go on.
pub(crate) type EachPage<'a> =
    dyn FnMut(&mut Store, Vec<(Stored, u32)>) -> Result<bool, StoreError> + 'a;

/// Where a partition's parts end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) rows: u32,
    pub(crate) block: u32,
    pub(crate) offset: u32,
    pub(crate) buckets: Buckets,
    pub(crate) names: u64,
}

/// A name's entry in its bucket.
pub(crate) struct Entry {
    pub(crate) partition: u8,
    pub(crate) hash: u64,
    pub(crate) value: Vec<u8>,
}

/// One record that was found, not yet fetched.
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) partition: u8,
    pub(crate) owner: Owner,
    pub(crate) stored: Stored,
    pub(crate) row: u32,
}

/// The owner name of a record that was found.
#[derive(Clone)]
pub(crate) enum Owner {
    Known(NameBuf),
    /// Position in the partition's name log.
    Logged(u32),
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
            let key = self.keys.meta(partition, kind);
            packed.command(&[b"HMGET", key.as_bytes(), b"r", b"b", b"p", b"k", b"s", b"n"]);
        }
        let mut metas = Vec::with_capacity(packed.len());
        for value in self.link.call(&packed)? {
            let fields = reply::list(value)?;
            let number = |at: usize, missing: u32| -> Result<u32, StoreError> {
                let field = fields.get(at).ok_or(StoreError::Reply)?;
                let number = reply::integer_or(field, missing.into())?;
                u32::try_from(number).map_err(|_| StoreError::Reply)
            };
            metas.push(Meta {
                rows: number(0, 0)?,
                block: number(1, 0)?,
                offset: number(2, 0)?,
                buckets: Buckets { bits: number(3, FIRST_BITS)?, split: number(4, 0)? },
                names: number(5, 0)?.into(),
            });
        }
        Ok(metas)
    }

    /// The entry of one name.
    pub(crate) fn entry(
        &mut self,
        kind: Kind,
        name: Name<'_>,
    ) -> Result<Option<Entry>, StoreError> {
        let place = self.router.place(name);
        let mut last = None;
        loop {
            let metas = self.metas(kind, [place.partition])?;
            let buckets = metas.first().ok_or(StoreError::Reply)?.buckets;
            if last == Some(buckets) {
                return Ok(None);
            }
            let key = self.keys.bucket(place.partition, kind, buckets.of(low24(place.hash)));
            let words: [&[u8]; 3] = [b"HGET", key.as_bytes(), &place.hash.to_be_bytes()];
            if let Some(value) = reply::maybe_octets(self.link.ask(&words)?)? {
                return Ok(Some(Entry { partition: place.partition, hash: place.hash, value }));
            }
            // The name may have moved between the two questions: ask again until nothing moves.
            last = Some(buckets);
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
        // Names yet to be found, each with the buckets of its partition when it was not there.
        let mut wanted: Vec<(usize, Option<Buckets>)> =
            (0..names.len()).map(|at| (at, None)).collect();
        while !wanted.is_empty() {
            let partition = |at: usize| places.get(at).map(|place| place.partition);
            let partitions: BTreeSet<u8> =
                wanted.iter().filter_map(|&(at, _)| partition(at)).collect();
            let metas = self.metas(kind, partitions.iter().copied())?;
            let buckets: BTreeMap<u8, Buckets> =
                partitions.into_iter().zip(metas.iter().map(|meta| meta.buckets)).collect();
            let mut packed = Packed::default();
            let mut asked = Vec::new();
            for (at, last) in wanted.drain(..) {
                let Some(place) = places.get(at) else { continue };
                let now = buckets.get(&place.partition).copied();
                // As of one name: what was not there is asked for again until nothing moves.
                let Some(buckets) = now.filter(|_| now != last) else { continue };
                let key = self.keys.bucket(place.partition, kind, buckets.of(low24(place.hash)));
                packed.command(&[b"HGET", key.as_bytes(), &place.hash.to_be_bytes()]);
                asked.push((at, place, now));
            }
            for ((at, place, now), value) in asked.into_iter().zip(self.link.call(&packed)?) {
                match (reply::maybe_octets(value)?, entries.get_mut(at)) {
                    (Some(value), Some(slot)) => {
                        let (partition, hash) = (place.partition, place.hash);
                        *slot = Some(Entry { partition, hash, value });
                    }
                    _ => wanted.push((at, now)),
                }
            }
        }
        Ok(entries)
    }

    /// The entries of all names that these pointers may mean.
    pub(crate) fn entries(
        &mut self,
        kind: Kind,
        pointers: &[Pointer],
    ) -> Result<Vec<Entry>, StoreError> {
        let mut wanted: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
        for pointer in pointers {
            wanted.entry(pointer.partition()).or_default().push(pointer.bits());
        }
        for bits in wanted.values_mut() {
            bits.sort_unstable();
            bits.dedup();
        }
        let mut entries = Vec::new();
        let mut last: Option<Vec<Buckets>> = None;
        loop {
            let metas = self.metas(kind, wanted.keys().copied())?;
            let now: Vec<Buckets> = metas.iter().map(|meta| meta.buckets).collect();
            if last.as_ref() == Some(&now) {
                return Ok(entries);
            }
            // Buckets that were split while we read may have given a name away: read again.
            let first = last.is_none();
            entries.clear();
            let mut packed = Packed::default();
            let mut asked = Vec::new();
            for ((&partition, bits), buckets) in wanted.iter().zip(&now) {
                let mut indices: Vec<u32> = bits.iter().map(|&bits| buckets.of(bits)).collect();
                indices.sort_unstable();
                indices.dedup();
                for index in indices {
                    let key = self.keys.bucket(partition, kind, index);
                    packed.command(&[b"HGETALL", key.as_bytes()]);
                    asked.push(partition);
                }
            }
            for (partition, value) in asked.into_iter().zip(self.link.call(&packed)?) {
                let Some(bits) = wanted.get(&partition) else { continue };
                for (field, value) in reply::pairs(value)? {
                    let hash = field.try_into().map_err(|_| StoreError::Reply)?;
                    let hash = u64::from_be_bytes(hash);
                    if bits.binary_search(&low24(hash)).is_ok() {
                        entries.push(Entry { partition, hash, value });
                    }
                }
            }
            let expected: usize = wanted.values().map(Vec::len).sum();
            if first && entries.len() >= expected {
                return Ok(entries);
            }
            last = Some(now);
        }
    }

    /// The records of an entry, page by page.
    pub(crate) fn each_record(
        &mut self,
        kind: Kind,
        entry: &Entry,
        each: &mut EachPage<'_>,
    ) -> Result<bool, StoreError> {
        let bucket = || StoreError::damaged("a bucket");
        let value = Value::read(&entry.value).ok_or_else(bucket)?;
        if let Some(octets) = value.records {
            let page = records(octets).collect::<Result<_, Damaged>>().map_err(|_| bucket())?;
            return each(self, page);
        }
        let key = self.keys.wide(entry.partition, kind, entry.hash);
        let mut cursor = b"0".to_vec();
        loop {
            let answer = self.link.ask(&[b"HSCAN", key.as_bytes(), &cursor, b"COUNT", b"500"])?;
            let mut answer = reply::list(answer)?.into_iter();
            cursor = reply::octets(answer.next().ok_or(StoreError::Reply)?)?;
            let mut page = Vec::new();
            for (rk, row) in reply::pairs(answer.next().ok_or(StoreError::Reply)?)? {
                let row = row.try_into().map_err(|_| StoreError::damaged(&key))?;
                let (stored, _) = Stored::read(&rk).ok_or_else(|| StoreError::damaged(&key))?;
                page.push((stored, u32::from_be_bytes(row)));
            }
            if !each(self, page)? {
                return Ok(false);
            }
            if cursor == b"0" {
                return Ok(true);
            }
        }
    }

    /// Fetches the octets of long RDATA.
    pub(crate) fn complete(
        &mut self,
        partition: u8,
        stored: Stored,
    ) -> Result<FactBuf, StoreError> {
        let Stored::Long { digest, .. } = &stored else { return Ok(stored.with_octets(&[])) };
        let key = self.keys.long(partition);
        let octets = reply::maybe_octets(self.link.ask(&[b"HGET", key.as_bytes(), digest])?)?;
        let octets = octets.ok_or_else(|| StoreError::damaged(&key))?;
        Ok(stored.with_octets(&octets))
    }

    /// The sums of rows, in their order; `None` where there is no such row.
    pub(crate) fn sums(
        &mut self,
        rows: &[(Kind, u8, u32)],
    ) -> Result<Vec<Option<(Seen, u32)>>, StoreError> {
        let mut packed = Packed::default();
        for &(kind, partition, row) in rows {
            self.pack_row(&mut packed, kind, partition, row);
        }
        let values = self.link.call(&packed)?.into_iter();
        values.map(|value| Ok(read_row(&reply::octets(value)?))).collect()
    }

    fn pack_row(&self, packed: &mut Packed, kind: Kind, partition: u8, row: u32) {
        let key = self.keys.rows(partition, kind, row / ROWS);
        let from = (row % ROWS) as usize * ROW;
        let (from, to) = (from.to_string(), (from + ROW - 1).to_string());
        packed.command(&[b"GETRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()]);
    }

    /// The names at these positions of the logs, in their order.
    pub(crate) fn logged(
        &mut self,
        kind: Kind,
        positions: &[(u8, u32)],
    ) -> Result<Vec<NameBuf>, StoreError> {
        let mut packed = Packed::default();
        for &(partition, position) in positions {
            self.pack_text(&mut packed, kind, partition, position, NAME_GUESS);
        }
        let texts = self.link.call(&packed)?;
        let places = positions.iter().zip(texts);
        places
            .map(|(&(partition, position), text)| {
                self.name_of(kind, partition, position, reply::octets(text)?)
            })
            .collect()
    }

    /// The name at a position of the log, of which the first octets are known.
    fn name_of(
        &mut self,
        kind: Kind,
        partition: u8,
        position: u32,
        mut text: Vec<u8>,
    ) -> Result<NameBuf, StoreError> {
        if memchr::memchr(b'\n', &text).is_none() {
            let mut packed = Packed::default();
            self.pack_text(&mut packed, kind, partition, position, NAME_MOST);
            let whole = self.link.call(&packed)?.pop();
            text = reply::octets(whole.ok_or(StoreError::Reply)?)?;
        }
        let line = memchr::memchr(b'\n', &text).and_then(|end| text.get(..end));
        let line = line.and_then(|line| std::str::from_utf8(line).ok());
        let name = line.and_then(|line| Name::from_canonical(line).ok());
        name.map(Name::to_buf).ok_or_else(|| {
            StoreError::damaged(&self.keys.log(partition, kind, position / LOG_STRIDE))
        })
    }

    fn pack_text(
        &self,
        packed: &mut Packed,
        kind: Kind,
        partition: u8,
        position: u32,
        length: u32,
    ) {
        let key = self.keys.log(partition, kind, position / LOG_STRIDE);
        let from = position % LOG_STRIDE;
        let (from, to) = (from.to_string(), (from + length - 1).to_string());
        packed.command(&[b"GETRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()]);
    }

    /// Fetches what is missing of records that were found, in their order. A record whose row is gone is
    /// left out.
    pub(crate) fn fetch(&mut self, found: Vec<Found>) -> Result<Vec<Row>, StoreError> {
        let mut packed = Packed::default();
        for found in &found {
            self.pack_row(&mut packed, found.kind, found.partition, found.row);
        }
        let logged = found.iter().filter_map(|found| match found.owner {
            Owner::Logged(position) => Some((found.kind, found.partition, position)),
            Owner::Known(_) => None,
        });
        let mut positions: Vec<(Kind, u8, u32)> = logged.collect();
        positions.sort_unstable();
        positions.dedup();
        for &(kind, partition, position) in &positions {
            self.pack_text(&mut packed, kind, partition, position, NAME_GUESS);
        }
        for found in &found {
            if let Stored::Long { digest, .. } = &found.stored {
                let key = self.keys.long(found.partition);
                packed.command(&[b"HGET", key.as_bytes(), digest]);
            }
        }
        let mut values = self.link.call(&packed)?.into_iter();
        let rows: Vec<_> = values.by_ref().take(found.len()).collect();
        let texts: Vec<_> = values.by_ref().take(positions.len()).collect();
        let mut names: HashMap<(Kind, u8, u32), NameBuf> = HashMap::new();
        for (place, text) in positions.into_iter().zip(texts) {
            let (kind, partition, position) = place;
            names.insert(place, self.name_of(kind, partition, position, reply::octets(text)?)?);
        }
        let mut result = Vec::with_capacity(found.len());
        for (found, row) in found.into_iter().zip(rows) {
            let octets = match &found.stored {
                Stored::Long { .. } => {
                    let octets = reply::maybe_octets(values.next().ok_or(StoreError::Reply)?)?;
                    octets.ok_or_else(|| StoreError::damaged(&self.keys.long(found.partition)))?
                }
                Stored::Fact(_) => Vec::new(),
            };
            let fact = found.stored.with_octets(&octets);
            let row = read_row(&reply::octets(row)?);
            let Some((seen, _)) = row.filter(|(seen, _)| seen.count > 0) else { continue };
            let rrname = match found.owner {
                Owner::Known(name) => name,
                Owner::Logged(position) => names
                    .get(&(found.kind, found.partition, position))
                    .cloned()
                    .ok_or(StoreError::Reply)?,
            };
            result.push(Row { rrname, fact, seen });
        }
        Ok(result)
    }
}
