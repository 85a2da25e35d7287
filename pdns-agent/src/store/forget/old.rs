//! The volume in use, as far as a new one is made from it.

use crate::store::forget::image::{Located, RowContent, records_in};
use crate::store::layout::encoding::Value;
use crate::store::layout::extension::{write_count, write_set};
use crate::store::layout::keys::{Kind, ROW, ROWS, Volume};
use crate::store::read::scan::{BUCKETS, Whole};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Store, StoreError};
use std::collections::BTreeSet;

/// A name of the volume in use.
pub(super) struct OldName {
    pub(super) hash: u64,
    /// Its position in the log.
    pub(super) position: u32,
    pub(super) is_wide: bool,
    pub(super) records: Vec<Located>,
}

/// Reads the names in some buckets, with all of their records.
pub(super) fn names_in(
    store: &mut Store,
    kind: Kind,
    volume: Volume,
    buckets: &[u32],
    each: &mut dyn FnMut(OldName) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for buckets in buckets.chunks(BUCKETS) {
        let found = store.reader().buckets(kind, volume, buckets)?;
        for (&bucket, pairs) in buckets.iter().zip(found) {
            let damaged = || StoreError::damaged(&store.keys.bucket(volume, kind, bucket));
            let mut wide = Vec::new();
            for (field, value) in pairs {
                let hash = u64::from_be_bytes(field.try_into().map_err(|_| damaged())?);
                let value = Value::read(&value).ok_or_else(damaged)?;
                let Some(octets) = value.records else {
                    wide.push((hash, value.log));
                    continue;
                };
                let located = |(key, row): (&[u8], u32)| Located { key: key.to_vec(), row };
                let records: Vec<Located> = records_in(octets).map(located).collect();
                let length: usize = records.iter().map(|record| record.key.len() + 4).sum();
                if length != octets.len() {
                    return Err(damaged());
                }
                each(OldName { hash, position: value.log, is_wide: false, records })?;
            }
            for (hash, position) in wide {
                let key = store.keys.wide(volume, kind, hash);
                let pairs = reply::pairs(store.client.ask(&[b"HGETALL", key.as_bytes()])?)?;
                let located = |(key, row): (Vec<u8>, Vec<u8>)| {
                    Some(Located { key, row: u32::from_be_bytes(row.try_into().ok()?) })
                };
                let records: Option<Vec<Located>> = pairs.into_iter().map(located).collect();
                let records = records.filter(|records| !records.is_empty());
                let records = records.ok_or_else(|| StoreError::damaged(&key))?;
                each(OldName { hash, position, is_wide: true, records })?;
            }
        }
    }
    Ok(())
}

/// Returns what a row holds, if it is in use.
pub(super) fn content(whole: &Whole, row: u32) -> Option<RowContent> {
    let read = whole.raw_row(row).filter(|read| read.seen.count > 0 && row < whole.used)?;
    let at = (row % ROWS) as usize * ROW;
    let octets = whole.rows.get((row / ROWS) as usize)?.get(at..at + ROW)?;
    let count = whole.counts.get(&row).filter(|_| read.is_large());
    Some(RowContent {
        octets: octets.try_into().ok()?,
        count: count.map(|&(count, is_bound)| write_count(count, is_bound).to_vec()),
        sensors: whole.sets.get(&row).map(write_set),
    })
}

/// Returns the rows that hold something else than before.
pub(super) fn changed(before: &Whole, now: &Whole) -> Vec<u32> {
    let mut rows = BTreeSet::new();
    for (block, octets) in (0_u32..).zip(&now.rows) {
        let old = before.rows.get(block as usize);
        if old == Some(octets) {
            continue;
        }
        let old = old.map_or(&[][..], |old| old.as_chunks::<ROW>().0);
        let slots = (block * ROWS..).zip(octets.as_chunks::<ROW>().0).enumerate();
        rows.extend(
            slots.filter(|(at, (_, row))| old.get(*at) != Some(row)).map(|(_, (row, _))| row),
        );
    }
    let counts = now.counts.iter().filter(|(row, count)| before.counts.get(row) != Some(count));
    rows.extend(counts.map(|(row, _)| *row));
    let sets = now.sets.iter().filter(|(row, set)| before.sets.get(row) != Some(set));
    rows.extend(sets.map(|(row, _)| *row));
    // A block may have held rows that were not in use when their number was read.
    rows.extend(before.used..now.used);
    // Rows that are not in use yet.
    rows.into_iter().filter(|row| *row < now.used).collect()
}

/// Reads the long RDATA of a volume, by digest.
pub(super) fn long_in(
    store: &mut Store,
    volume: Volume,
) -> Result<std::collections::HashMap<Vec<u8>, Vec<u8>>, StoreError> {
    let key = store.keys.long(volume);
    Ok(reply::pairs(store.client.ask(&[b"HGETALL", key.as_bytes()])?)?.into_iter().collect())
}

/// Deletes keys, some at a time.
pub(super) fn delete(
    store: &mut Store,
    keys: &[String],
    rest: &mut dyn FnMut(std::time::Duration),
) -> Result<(), StoreError> {
    for keys in keys.chunks(64) {
        let begin = std::time::Instant::now();
        let mut packed = Pipeline::default();
        for key in keys {
            packed.command(&[b"UNLINK", key.as_bytes()]);
        }
        store.client.call(&packed)?;
        rest(begin.elapsed());
    }
    Ok(())
}
