//! A new volume of one kind, as it will be stored: what is kept of the volume in use, numbered and placed anew.
//!
//! Pure: `store/forget/old.rs` reads the volume in use, `store/forget/rewrite.rs` writes the commands that come out of
//! here. An image is made once, and then follows what is written to the volume in use meanwhile, until it takes its place.
//! Rows and names keep their order, as if what was forgotten had never been.

use crate::name::Name;
use crate::store::StoreError;
use crate::store::layout::encoding::{DIGEST, StoredRef, Value, WIDE};
use crate::store::layout::extension::SETS;
use crate::store::layout::keys::{Buckets, Keys, Kind, LOG, LOG_STRIDE, ROW, ROWS, Volume, low24};
use crate::store::layout::origin::Origin;
use crate::store::read::buckets::Meta;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Longest value of a name whose records are not in a hash of their own; `functions.lua` has the same number.
const NARROW: usize = 2048;
/// Fields written by one command.
const FIELDS: usize = 256;

/// Takes the words of a command.
pub(super) type Run<'r> = &'r mut dyn FnMut(&[&[u8]]) -> Result<(), StoreError>;

/// A record of a name: its key as stored, and the row that it has in the volume in use.
pub(super) struct Located {
    pub(super) key: Vec<u8>,
    pub(super) row: u32,
}

/// Content of a row, with what it has elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RowContent {
    pub(super) octets: [u8; ROW],
    pub(super) count: Option<Vec<u8>>,
    pub(super) sensors: Option<Vec<u8>>,
}

/// A name of the new volume.
struct ImageName {
    hash: u64,
    position: u32,
    /// Record keys, each with its new row, as in a value.
    records: Vec<u8>,
    is_wide: bool,
    day: u16,
}

/// A new volume of one kind.
pub(super) struct Image {
    pub(super) kind: Kind,
    pub(super) volume: Volume,
    names: Vec<ImageName>,
    by_hash: HashMap<u64, u32>,
    rows: Vec<[u8; ROW]>,
    /// New row by row of the volume in use.
    row_of: HashMap<u32, u32>,
    counts: BTreeMap<u32, Vec<u8>>,
    sensors: BTreeMap<u32, Vec<u8>>,
    log: Vec<Vec<u8>>,
    end: (u32, u32),
    buckets: Buckets,
    /// Names by bucket.
    members: Vec<Vec<u32>>,
    days: BTreeMap<u16, u64>,
    /// Corresponding places of the volume in use and of this one.
    names_from: Vec<(u32, u32)>,
    rows_from: Vec<(u32, u32)>,
    changed: Changed,
}

/// Changes that are not written yet.
#[derive(Default)]
struct Changed {
    names: BTreeSet<u32>,
    rows: BTreeSet<u32>,
    counts: BTreeSet<u32>,
    sensors: BTreeSet<u32>,
    /// Rows, and the end of the log, that are written.
    rows_written: u32,
    log_written: (u32, u32),
    /// Names that left a bucket in which they are written.
    moved: Vec<(u32, u64)>,
    is_begun: bool,
}

impl Image {
    pub(super) fn new(kind: Kind, volume: Volume) -> Self {
        Self {
            kind,
            volume,
            names: Vec::new(),
            by_hash: HashMap::new(),
            rows: Vec::new(),
            row_of: HashMap::new(),
            counts: BTreeMap::new(),
            sensors: BTreeMap::new(),
            log: Vec::new(),
            end: (0, 0),
            buckets: Buckets::FIRST,
            members: vec![Vec::new(); Buckets::FIRST.count() as usize],
            days: BTreeMap::new(),
            names_from: Vec::new(),
            rows_from: Vec::new(),
            changed: Changed::default(),
        }
    }

    /// Returns the new row of one of the volume in use, if its record is kept.
    pub(super) fn row_of(&self, old: u32) -> Option<u32> {
        self.row_of.get(&old).copied()
    }

    /// Adds a row that is kept, behind all others.
    pub(super) fn add_row(&mut self, old: u32, content: RowContent) -> u32 {
        let row = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        // A record that is back after it was left out does not stand where it did.
        if self.rows_from.last().is_none_or(|&(last, _)| last < old) {
            self.rows_from.push((old, row));
        }
        self.row_of.insert(old, row);
        self.rows.push([0; ROW]);
        self.put_row(row, content);
        row
    }

    /// Replaces what a row holds.
    pub(super) fn put_row(&mut self, row: u32, content: RowContent) {
        let RowContent { octets, count, sensors } = content;
        if let Some(slot) = self.rows.get_mut(row as usize)
            && *slot != octets
        {
            *slot = octets;
            self.changed.rows.insert(row);
        }
        for (stored, changed, now) in [
            (&mut self.counts, &mut self.changed.counts, count),
            (&mut self.sensors, &mut self.changed.sensors, sensors),
        ] {
            if let Some(now) = now
                && stored.get(&row) != Some(&now)
            {
                stored.insert(row, now);
                changed.insert(row);
            }
        }
    }

    /// Adds a name, or replaces its records, given as keys with their new rows. `position` is where the name stands in
    /// the log of the volume in use, `day` the first day on which a record that is kept was seen.
    pub(super) fn put_name(
        &mut self,
        (hash, name, position): (u64, Name<'_>, u32),
        records: Vec<u8>,
        day: u16,
    ) {
        let is_wide = records.len() + 6 > NARROW;
        if let Some(&at) = self.by_hash.get(&hash)
            && let Some(known) = self.names.get_mut(at as usize)
        {
            // A name that has a hash of its own keeps it.
            let is_wide = is_wide || known.is_wide;
            if known.day != day {
                for (day, by) in [(known.day, -1), (day, 1)] {
                    let sum = self.days.entry(day).or_default();
                    *sum = sum.saturating_add_signed(by);
                }
            } else if known.records == records {
                return;
            }
            (known.records, known.is_wide, known.day) = (records, is_wide, day);
            self.changed.names.insert(at);
            return;
        }
        let at = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let new = self.log_name(name);
        if self.names_from.last().is_none_or(|&(last, _)| last < position) {
            self.names_from.push((position, new));
        }
        self.by_hash.insert(hash, at);
        self.names.push(ImageName { hash, position: new, records, is_wide, day });
        *self.days.entry(day).or_default() += 1;
        let bucket = self.buckets.of(low24(hash));
        if let Some(members) = self.members.get_mut(bucket as usize) {
            members.push(at);
        }
        self.changed.names.insert(at);
        self.split();
    }

    fn log_name(&mut self, name: Name<'_>) -> u32 {
        let line = name.as_str().len() + 1;
        let length = u32::try_from(line).unwrap_or(LOG);
        if self.end.1 + length > LOG {
            self.end = (self.end.0 + 1, 0);
        }
        let (block, offset) = self.end;
        if self.log.len() <= block as usize {
            self.log.push(vec![0; LOG as usize]);
        }
        let place = offset as usize..offset as usize + line;
        if let Some(place) = self.log.get_mut(block as usize).and_then(|log| log.get_mut(place)) {
            let text = name.as_str().bytes().chain(std::iter::once(b'\n'));
            place.iter_mut().zip(text).for_each(|(slot, octet)| *slot = octet);
        }
        self.end.1 += length;
        block * LOG_STRIDE + offset
    }

    /// Adds buckets by the rule of the layout.
    fn split(&mut self) {
        let due = Buckets::due(self.names.len() as u64);
        while self.buckets != due {
            let old = self.buckets;
            let next = match old.split + 1 {
                split if split == 1 << old.bits => Buckets { bits: old.bits + 1, split: 0 },
                split => Buckets { bits: old.bits, split },
            };
            let from = self.members.get_mut(old.split as usize).map(std::mem::take);
            let (mut stay, mut go) = (Vec::new(), Vec::new());
            for at in from.unwrap_or_default() {
                let Some(name) = self.names.get(at as usize) else { continue };
                if next.of(low24(name.hash)) == old.split {
                    stay.push(at);
                } else {
                    if self.changed.is_begun {
                        self.changed.moved.push((old.split, name.hash));
                    }
                    self.changed.names.insert(at);
                    go.push(at);
                }
            }
            if let Some(members) = self.members.get_mut(old.split as usize) {
                *members = stay;
            }
            self.members.push(go);
            self.buckets = next;
        }
    }

    /// Returns the digests of long RDATA that names which are not written yet lead to.
    pub(super) fn digests(&self) -> Vec<Vec<u8>> {
        let names = self.changed.names.iter().filter_map(|at| self.names.get(*at as usize));
        let keys = names.flat_map(|name| records_in(&name.records).map(|(key, _)| key));
        keys.filter_map(digest_in).map(<[u8]>::to_vec).collect()
    }

    /// Returns about how many octets the volume needs.
    pub(super) fn octets(&self) -> u64 {
        let records: usize = self.names.iter().map(|name| name.records.len() + 30).sum();
        (records + self.rows.len() * (ROW + 8)) as u64
    }

    /// Returns the metadata of the volume.
    pub(super) fn meta(&self) -> Meta {
        let (block, offset) = self.end;
        Meta {
            rows: u32::try_from(self.rows.len()).unwrap_or(u32::MAX),
            block,
            offset,
            buckets: self.buckets,
            names: self.names.len() as u64,
            empty: 0,
            edition: self.volume.edition,
        }
    }

    /// Passes on the commands that write what has changed since the last call.
    pub(super) fn write(&mut self, keys: &Keys, run: Run<'_>) -> Result<(), StoreError> {
        let changed = std::mem::take(&mut self.changed);
        let (kind, volume) = (self.kind, self.volume);
        let used = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        // Blocks that are new are written in their full size, as the function that adds records does.
        let whole = changed.rows_written.div_ceil(ROWS);
        for block in whole..used.div_ceil(ROWS) {
            let first = (block * ROWS) as usize;
            let rows = self.rows.get(first..self.rows.len().min(first + ROWS as usize));
            let mut octets: Vec<u8> = rows.unwrap_or_default().concat();
            octets.resize(ROWS as usize * ROW, 0);
            run(&[b"SETRANGE", keys.rows(volume, kind, block).as_bytes(), b"0", &octets])?;
        }
        for &row in changed.rows.iter().take_while(|row| **row / ROWS < whole) {
            let Some(octets) = self.rows.get(row as usize) else { continue };
            let offset = ((row % ROWS) as usize * ROW).to_string();
            let key = keys.rows(volume, kind, row / ROWS);
            run(&[b"SETRANGE", key.as_bytes(), offset.as_bytes(), octets])?;
        }
        for row in &changed.counts {
            let Some(octets) = self.counts.get(row) else { continue };
            let key = keys.large_counts(volume, kind);
            run(&[b"HSET", key.as_bytes(), row.to_string().as_bytes(), octets])?;
        }
        for row in &changed.sensors {
            let Some(octets) = self.sensors.get(row) else { continue };
            let key = keys.sensor_sets(volume, kind, *row);
            run(&[b"HSET", key.as_bytes(), row.to_string().as_bytes(), octets])?;
        }
        self.write_log(changed.log_written, keys, run)?;
        self.write_names(&changed, keys, run)?;
        self.changed.rows_written = used;
        self.changed.log_written = self.end;
        self.changed.is_begun = true;
        Ok(())
    }

    fn write_log(&self, written: (u32, u32), keys: &Keys, run: Run<'_>) -> Result<(), StoreError> {
        for (block, octets) in (0_u32..).zip(&self.log).skip(written.0 as usize) {
            let from = if block == written.0 { written.1 as usize } else { 0 };
            // A block that is new is written in its full size.
            let is_rest = from > 0 && block == self.end.0;
            let to = if is_rest { self.end.1 as usize } else { octets.len() };
            let Some(text) = octets.get(from..to).filter(|text| !text.is_empty()) else { continue };
            let key = keys.log(self.volume, self.kind, block);
            run(&[b"SETRANGE", key.as_bytes(), from.to_string().as_bytes(), text])?;
        }
        Ok(())
    }

    fn write_names(&self, changed: &Changed, keys: &Keys, run: Run<'_>) -> Result<(), StoreError> {
        let (kind, volume) = (self.kind, self.volume);
        let mut by_bucket: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for &at in &changed.names {
            let Some(name) = self.names.get(at as usize) else { continue };
            by_bucket.entry(self.buckets.of(low24(name.hash))).or_default().push(at);
        }
        for (bucket, names) in by_bucket {
            let names = names.iter().filter_map(|at| self.names.get(*at as usize));
            let pairs = names.map(|name| (name.hash.to_be_bytes().to_vec(), name.value()));
            set(&keys.bucket(volume, kind, bucket), &pairs.collect::<Vec<_>>(), run)?;
        }
        for (bucket, hash) in &changed.moved {
            let key = keys.bucket(volume, kind, *bucket);
            run(&[b"HDEL", key.as_bytes(), &hash.to_be_bytes()])?;
        }
        let wide = changed.names.iter().filter_map(|at| self.names.get(*at as usize));
        for name in wide.filter(|name| name.is_wide) {
            let records: Vec<(Vec<u8>, Vec<u8>)> = records_in(&name.records)
                .map(|(key, row)| (key.to_vec(), row.to_be_bytes().to_vec()))
                .collect();
            set(&keys.wide(volume, kind, name.hash), &records, run)?;
        }
        Ok(())
    }

    /// Passes on the commands that write what stands only once: the days, and the places that correspond to those of the
    /// volume in use, which ends as `old` says.
    pub(super) fn write_last(
        &self,
        old: &Meta,
        keys: &Keys,
        run: Run<'_>,
    ) -> Result<(), StoreError> {
        let (kind, volume) = (self.kind, self.volume);
        let key = keys.days(volume, kind);
        run(&[b"DEL", key.as_bytes()])?;
        let days = self.days.iter().filter(|(_, names)| **names > 0);
        let days =
            days.map(|(day, names)| (day.to_string().into_bytes(), names.to_string().into_bytes()));
        set(&key, &days.collect::<Vec<_>>(), run)?;
        let end = |(block, offset): (u32, u32)| block * LOG_STRIDE + offset;
        let (mut names, mut rows) = (self.names_from.clone(), self.rows_from.clone());
        names.push((end((old.block, old.offset)), end(self.end)));
        rows.push((old.rows, u32::try_from(self.rows.len()).unwrap_or(u32::MAX)));
        let key = keys.origin(volume, kind);
        run(&[b"DEL", key.as_bytes()])?;
        run(&[
            b"SETRANGE",
            key.as_bytes(),
            b"0",
            &Origin::of(old.edition, &names, &rows).to_octets(),
        ])
    }
}

/// Sets fields of a hash, some at a time.
fn set(key: &str, pairs: &[(Vec<u8>, Vec<u8>)], run: Run<'_>) -> Result<(), StoreError> {
    for pairs in pairs.chunks(FIELDS) {
        let mut words: Vec<&[u8]> = vec![b"HSET", key.as_bytes()];
        words.extend(pairs.iter().flat_map(|(field, value)| [&field[..], &value[..]]));
        run(&words)?;
    }
    Ok(())
}

impl ImageName {
    fn value(&self) -> Vec<u8> {
        let mut value = self.position.to_be_bytes().to_vec();
        value.extend(self.day.to_be_bytes());
        if self.is_wide {
            value.push(WIDE);
        } else {
            value.extend(&self.records);
        }
        debug_assert!(Value::read(&value).is_some());
        value
    }
}

/// Returns the digest in the key of a record with long RDATA.
pub(super) fn digest_in(key: &[u8]) -> Option<&[u8]> {
    match StoredRef::read(key)?.0 {
        StoredRef::Long { .. } => key.get(key.len().checked_sub(DIGEST)?..),
        StoredRef::Fact(_) => None,
    }
}

/// Iterates over the keys of records, each as stored, and their rows; ends at what does not read.
pub(super) fn records_in(octets: &[u8]) -> impl Iterator<Item = (&[u8], u32)> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (_, after) = StoredRef::read(rest)?;
        let (key, _) = rest.split_at_checked(rest.len() - after.len())?;
        let (row, later) = after.split_first_chunk::<4>()?;
        rest = later;
        Some((key, u32::from_be_bytes(*row)))
    })
}

/// Returns the keys of a volume that was in use, which ended as `meta` says.
pub(super) fn keys_of(
    keys: &Keys,
    kind: Kind,
    volume: Volume,
    meta: &Meta,
    wide: &[u64],
) -> Vec<String> {
    let rows = 0..meta.rows.div_ceil(ROWS);
    let mut all: Vec<String> = (0..meta.buckets.count())
        .map(|bucket| keys.bucket(volume, kind, bucket))
        .chain(rows.map(|block| keys.rows(volume, kind, block)))
        .chain(meta.log_blocks().map(|block| keys.log(volume, kind, block)))
        .chain(wide.iter().map(|hash| keys.wide(volume, kind, *hash)))
        .chain(
            (0..meta.rows.div_ceil(SETS)).map(|group| keys.sensor_sets(volume, kind, group * SETS)),
        )
        .collect();
    all.extend([
        keys.large_counts(volume, kind),
        keys.days(volume, kind),
        keys.origin(volume, kind),
    ]);
    if kind == Kind::Record {
        all.push(keys.long(volume));
    }
    all
}
