//! Fetches [`StoredRecord`]s by location: from buckets, rows, log positions and digests.
//!
//! The lower half of reading; `store/read/lookup.rs` and `store/read/scan.rs` decide what to fetch. Requests go out
//! in pipelines of bounded size, so that a long result costs few round trips and little memory.

use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use crate::record::{FactBuf, StoredRecord};
use crate::sensors::SensorSet;
use crate::store::layout::encoding::{Damaged, RowRead, Stored, Value, read_row, records};
use crate::store::layout::extension::{RowSensors, read_count, read_set};
use crate::store::layout::keys::{Keys, Kind, LOG_STRIDE, ROW, ROWS, Volume};
use crate::store::read::buckets::BucketEntry;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};

/// Number of items fetched in one pipeline.
pub(crate) const PAGE: usize = 512;
/// Number of octets of the log fetched for a name of unknown length; nearly all names fit.
pub(crate) const NAME_GUESS: u32 = 64;
/// Longest line of the log: 255 octets in wire form are at most 1,004 in text.
const NAME_MOST: u32 = 1005;

/// Callback for a page of records and their rows; returns whether to go on.
pub(crate) type EachPage<'a> =
    dyn FnMut(&mut Reader<'_>, Vec<(Stored, u32)>) -> Result<bool, StoreError> + 'a;

/// A record that was found and not yet fetched.
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) volume: Volume,
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

impl Found {
    /// Returns the location of the owner name in a log, if the name is not known.
    fn name(&self) -> Option<Place> {
        match self.owner {
            Owner::Logged(position) => Some((self.kind, self.volume, position)),
            Owner::Known(_) => None,
        }
    }

    /// Returns the key of its row.
    fn rows_key(&self, keys: &Keys) -> String {
        keys.rows(self.volume, self.kind, self.row / ROWS)
    }
}

/// Records that were requested and not yet read.
pub(crate) struct AskedRows {
    found: Vec<Found>,
    /// Locations of their names, each once, sorted.
    names: Vec<Place>,
    replies: usize,
}

impl AskedRows {
    /// Returns the key that a request is about.
    fn key(&self, question: usize, keys: &Keys) -> String {
        if let Some(found) = self.found.get(question) {
            return found.rows_key(keys);
        }
        if let Some(&(kind, volume, position)) = self.names.get(question - self.found.len()) {
            return keys.log(volume, kind, position / LOG_STRIDE);
        }
        let long = |found: &&Found| matches!(found.stored, Stored::Long { .. });
        let at = question - self.found.len() - self.names.len();
        let found = self.found.iter().filter(long).nth(at);
        keys.long(found.map_or(Volume::first(0), |found| found.volume))
    }
}

/// A row's kind, volume and number, or those of a position in a name log.
pub(in crate::store) type Place = (Kind, Volume, u32);

/// The parts of a record that a request brought.
struct Part {
    found: Found,
    /// `None` if the name is longer than what was requested.
    rrname: Option<NameBuf>,
    fact: FactBuf,
    row: RowRead,
}

/// Sets a count that was not in its row.
pub(in crate::store) fn set_count(seen: &mut Seen, count: u64, is_lower_bound: bool) {
    seen.count = count;
    seen.flags = seen.flags & Seen::FLAGS | if is_lower_bound { Seen::AT_LEAST } else { 0 };
}

/// The result of a request for a record.
pub(crate) enum Fetched {
    Row(StoredRecord),
    /// A part of it takes another request: its name is longer than what was requested, or its row does not have all.
    Long(Found),
}

impl Reader<'_> {
    /// Reads the records of an entry, page by page.
    pub(crate) fn for_each_record(
        &mut self,
        kind: Kind,
        entry: &BucketEntry,
        each: &mut EachPage<'_>,
    ) -> Result<bool, StoreError> {
        let bucket =
            || StoreError::damaged(&self.store.keys.bucket(entry.volume, kind, entry.bucket));
        let value = Value::read(&entry.value).ok_or_else(bucket)?;
        if let Some(octets) = value.records {
            let page = records(octets).collect::<Result<_, Damaged>>().map_err(|_| bucket())?;
            return each(self, page);
        }
        let key = self.store.keys.wide(entry.volume, kind, entry.hash);
        let mut cursor = b"0".to_vec();
        let mut is_empty = true;
        loop {
            let answer =
                self.store.client.ask(&[b"HSCAN", key.as_bytes(), &cursor, b"COUNT", b"500"])?;
            let mut answer = reply::list(answer)?.into_iter();
            cursor = reply::octets(answer.next().ok_or(StoreError::Reply)?)?;
            let mut page = Vec::new();
            for (rk, row) in reply::pairs(answer.next().ok_or(StoreError::Reply)?)? {
                let row = row.try_into().map_err(|_| StoreError::damaged(&key))?;
                let (stored, _) = Stored::read(&rk).ok_or_else(|| StoreError::damaged(&key))?;
                page.push((stored, u32::from_be_bytes(row)));
            }
            is_empty &= page.is_empty();
            if !each(self, page)? {
                return Ok(false);
            }
            if cursor == b"0" {
                return if is_empty { Err(StoreError::damaged(&key)) } else { Ok(true) };
            }
        }
    }

    /// Fetches the octets of long RDATA.
    pub(crate) fn complete(
        &mut self,
        volume: Volume,
        stored: Stored,
    ) -> Result<FactBuf, StoreError> {
        let Stored::Long { digest, .. } = &stored else { return Ok(stored.with_octets(&[])) };
        let key = self.store.keys.long(volume);
        let octets =
            reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), digest])?)?;
        let octets = octets.filter(|octets| self.store.router.hasher().identity(octets) == *digest);
        let octets = octets.ok_or_else(|| StoreError::damaged(&key))?;
        Ok(stored.with_octets(&octets))
    }

    /// Reads rows, in the given order.
    pub(crate) fn sums(&mut self, rows: &[Place]) -> Result<Vec<RowRead>, StoreError> {
        let mut packed = Pipeline::default();
        for &(kind, volume, row) in rows {
            self.pack_row(&mut packed, kind, volume, row);
        }
        let values = rows.iter().zip(self.store.client.call(&packed)?);
        let mut read: Vec<RowRead> = values
            .map(|(&(kind, volume, row), value)| {
                let read = read_row(&reply::octets(value)?);
                read.ok_or_else(|| {
                    StoreError::damaged(&self.store.keys.rows(volume, kind, row / ROWS))
                })
            })
            .collect::<Result<_, _>>()?;
        let large = read.iter_mut().zip(rows).filter(|(read, _)| read.is_large());
        self.complete_counts(large.map(|(read, row)| (&mut read.seen, *row)).collect())?;
        Ok(read)
    }

    fn pack_row(&self, packed: &mut Pipeline, kind: Kind, volume: Volume, row: u32) {
        let key = self.store.keys.rows(volume, kind, row / ROWS);
        let from = (row % ROWS) as usize * ROW;
        let (from, to) = (from.to_string(), (from + ROW - 1).to_string());
        packed.command(&[b"GETRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()]);
    }

    fn pack_text(
        &self,
        packed: &mut Pipeline,
        kind: Kind,
        volume: Volume,
        position: u32,
        length: u32,
    ) {
        let key = self.store.keys.log(volume, kind, position / LOG_STRIDE);
        let from = position % LOG_STRIDE;
        let (from, to) = (from.to_string(), (from + length - 1).to_string());
        packed.command(&[b"GETRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()]);
    }

    /// Fetches the missing parts of records that were found, in the given order.
    pub(crate) fn fetch(&mut self, found: Vec<Found>) -> Result<Vec<StoredRecord>, StoreError> {
        let asked = self.ask_rows(found, NAME_GUESS)?;
        let mut long = Vec::new();
        let fetched = self.read_rows(asked)?.into_iter().map(|one| match one {
            Fetched::Row(row) => Some(row),
            Fetched::Long(found) => {
                long.push(found);
                None
            }
        });
        let fetched: Vec<Option<StoredRecord>> = fetched.collect();
        let mut long = self.fetch_long(long)?.into_iter();
        Ok(fetched.into_iter().filter_map(|row| row.or_else(|| long.next())).collect())
    }

    /// Fetches records like [`Reader::fetch`] if their names are long, or their rows do not have all.
    fn fetch_long(&mut self, found: Vec<Found>) -> Result<Vec<StoredRecord>, StoreError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<Place> =
            found.iter().map(|found| (found.kind, found.volume, found.row)).collect();
        let owners: Vec<Owner> = found.iter().map(|found| found.owner.clone()).collect();
        let asked = self.ask_rows(found, NAME_MOST)?;
        let parts = self.read_parts(asked)?;
        let mut records = Vec::with_capacity(parts.len());
        let mut rows = Vec::with_capacity(parts.len());
        for ((part, owner), &(kind, volume, _)) in parts.into_iter().zip(owners).zip(&places) {
            let Part { found: _, rrname, fact, row } = part;
            let rrname = rrname.ok_or_else(|| {
                let block = match owner {
                    Owner::Logged(position) => position / LOG_STRIDE,
                    Owner::Known(_) => 0,
                };
                StoreError::damaged(&self.store.keys.log(volume, kind, block))
            })?;
            let sensors = row.sensors.to_set().unwrap_or_default();
            records.push(StoredRecord { rrname, fact, seen: row.seen, sensors, unkept: None });
            rows.push(row);
        }
        let mut large = Vec::new();
        let mut many = Vec::new();
        for ((record, row), place) in records.iter_mut().zip(&rows).zip(places) {
            let StoredRecord { seen, sensors, .. } = record;
            if row.is_large() {
                large.push((seen, place));
            }
            if row.sensors == RowSensors::Many {
                many.push((sensors, place));
            }
        }
        self.complete_counts(large)?;
        self.complete_sensors(many)?;
        Ok(records)
    }

    /// Reads the counts that rows do not have.
    pub(in crate::store) fn complete_counts(
        &mut self,
        large: Vec<(&mut Seen, Place)>,
    ) -> Result<(), StoreError> {
        let key = |keys: &Keys, (kind, volume, _)| keys.large_counts(volume, kind);
        let places: Vec<Place> = large.iter().map(|(_, place)| *place).collect();
        let counts = self.extensions(&places, key, read_count)?;
        for ((seen, _), (count, is_bound)) in large.into_iter().zip(counts) {
            set_count(seen, count, is_bound);
        }
        Ok(())
    }

    /// Reads the sensors that rows do not have.
    fn complete_sensors(&mut self, many: Vec<(&mut SensorSet, Place)>) -> Result<(), StoreError> {
        let key = |keys: &Keys, (kind, volume, row)| keys.sensor_sets(volume, kind, row);
        let places: Vec<Place> = many.iter().map(|(_, place)| *place).collect();
        let sets = self.extensions(&places, key, read_set)?;
        for ((sensors, _), set) in many.into_iter().zip(sets) {
            *sensors = set;
        }
        Ok(())
    }

    /// Reads what some rows have elsewhere, in the order of the rows.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the key that lacks it. A row says that there is more only after it was written.
    pub(in crate::store) fn extensions<T>(
        &mut self,
        rows: &[Place],
        key: impl Fn(&Keys, Place) -> String,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::with_capacity(rows.len());
        for rows in rows.chunks(PAGE) {
            let keys: Vec<String> = rows.iter().map(|&row| key(&self.store.keys, row)).collect();
            let mut packed = Pipeline::default();
            for (key, (_, _, row)) in keys.iter().zip(rows) {
                packed.command(&[b"HGET", key.as_bytes(), row.to_string().as_bytes()]);
            }
            for (key, answer) in keys.iter().zip(self.store.client.call_each(&packed)?) {
                let answer = answer.map_err(|error| error.of(|| Some(key.clone())))?;
                let octets = reply::maybe_octets(answer)?;
                let value = octets.and_then(|octets| read(&octets));
                all.push(value.ok_or_else(|| StoreError::damaged(key))?);
            }
        }
        Ok(all)
    }

    /// Requests the missing parts of records that were found, and this many octets of names in the log. They must be
    /// read next, after the requests that were sent before.
    pub(crate) fn ask_rows(
        &mut self,
        found: Vec<Found>,
        name: u32,
    ) -> Result<AskedRows, StoreError> {
        let mut packed = Pipeline::default();
        for found in &found {
            self.pack_row(&mut packed, found.kind, found.volume, found.row);
        }
        let mut names: Vec<Place> = found.iter().filter_map(Found::name).collect();
        names.sort_unstable();
        names.dedup();
        for &(kind, volume, position) in &names {
            self.pack_text(&mut packed, kind, volume, position, name);
        }
        for found in &found {
            if let Stored::Long { digest, .. } = &found.stored {
                let key = self.store.keys.long(found.volume);
                packed.command(&[b"HGET", key.as_bytes(), digest]);
            }
        }
        self.store.client.send(&packed)?;
        Ok(AskedRows { found, names, replies: packed.len() })
    }

    /// Skips the replies to a request.
    pub(crate) fn skip_rows(&mut self, asked: &AskedRows) -> Result<(), StoreError> {
        let keys = self.store.keys.clone();
        self.store.client.texts(asked.replies, &|at| asked.key(at, &keys), &mut |_, _| Ok(()))
    }

    /// Reads the requested records and returns a result for each, in the given order.
    pub(crate) fn read_rows(&mut self, asked: AskedRows) -> Result<Vec<Fetched>, StoreError> {
        let parts = self.read_parts(asked)?.into_iter();
        let fetched = parts.map(|Part { found, rrname, fact, row }| {
            let sensors = row.sensors.to_set().filter(|_| !row.is_large());
            match (rrname, sensors) {
                (Some(rrname), Some(sensors)) => Fetched::Row(StoredRecord {
                    rrname,
                    fact,
                    seen: row.seen,
                    sensors,
                    unkept: None,
                }),
                _ => Fetched::Long(found),
            }
        });
        Ok(fetched.collect())
    }

    /// Reads the parts of the requested records, in the given order.
    fn read_parts(&mut self, asked: AskedRows) -> Result<Vec<Part>, StoreError> {
        let mut rows = Vec::with_capacity(asked.found.len());
        let mut names: Vec<Option<NameBuf>> = Vec::with_capacity(asked.names.len());
        let mut longs: Vec<Vec<u8>> = Vec::new();
        let keys = self.store.keys.clone();
        let AskedRows { found, names: places, replies } = &asked;
        self.store.client.texts(*replies, &|at| asked.key(at, &keys), &mut |at, octets| {
            if at < found.len() {
                rows.push(read_row(octets));
            } else if at < found.len() + places.len() {
                names.push(first_name(octets));
            } else {
                longs.push(octets.to_vec());
            }
            Ok(())
        })?;
        let AskedRows { found, names: places, .. } = asked;
        let mut longs = longs.into_iter();
        let mut fetched = Vec::with_capacity(found.len());
        for (found, row) in found.into_iter().zip(rows) {
            let octets = match &found.stored {
                Stored::Long { digest, .. } => {
                    let is_whole =
                        |octets: &Vec<u8>| self.store.router.hasher().identity(octets) == *digest;
                    let octets = longs.next().filter(is_whole);
                    octets
                        .ok_or_else(|| StoreError::damaged(&self.store.keys.long(found.volume)))?
                }
                Stored::Fact(_) => Vec::new(),
            };
            let row = row.filter(|row| row.seen.count > 0);
            let row = row.ok_or_else(|| StoreError::damaged(&found.rows_key(&keys)))?;
            let logged = found.name().and_then(|place| places.binary_search(&place).ok());
            let rrname = match (&found.owner, logged) {
                (Owner::Known(name), _) => Some(name.clone()),
                (Owner::Logged(_), at) => at.and_then(|at| names.get(at).cloned().flatten()),
            };
            let fact = found.stored.clone().with_octets(&octets);
            fetched.push(Part { found, rrname, fact, row });
        }
        Ok(fetched)
    }
}

/// Returns the name at the front of a piece of the log; `None` if it is longer than the piece or invalid.
fn first_name(text: &[u8]) -> Option<NameBuf> {
    let line = text.get(..memchr::memchr(b'\n', text)?)?;
    let name = Name::from_canonical(std::str::from_utf8(line).ok()?).ok()?;
    Some(name.to_buf())
}
