//! Scans a part of the store without the owner names, for queries about types, addresses and targets.
//!
//! Beside `store/read/scan.rs`. Finding the name of a record costs more than reading it, and most of these queries
//! need a few names, if any. The next buckets are requested while the current ones are read, since Redis takes as
//! long to send them as we take to process them.

use crate::observation::{Fact, Seen};
use crate::store::layout::encoding::{StoredRef, Value, records_in};
use crate::store::layout::keys::{Kind, ROWS, low24};
use crate::store::read::buckets::{BucketEntry, Meta};
use crate::store::read::scan::{BucketWalk, Handle, Met, Part, Whole};
use crate::store::redis::client::Pipeline;
use crate::store::{Reader, StoreError};

/// A record or negative answer without its name.
#[derive(Clone, Copy, Debug)]
pub struct UnnamedRecord<'a> {
    /// Handle to fetch the whole record.
    pub handle: Handle,
    /// The record or negative answer.
    pub fact: Fact<'a>,
    /// Count and times.
    pub seen: &'a Seen,
    /// True for the first record of its owner; those of one owner come one after the other.
    pub first_of_owner: bool,
}

/// Callback for facts.
pub type EachUnnamed<'e> = &'e mut dyn FnMut(&UnnamedRecord<'_>);

impl Reader<'_> {
    /// Reads every record, or every negative answer, of one part, in no particular order.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn scan_unnamed(
        &mut self,
        kind: Kind,
        part: Part,
        each: EachUnnamed<'_>,
    ) -> Result<(), StoreError> {
        let mut late = Vec::new();
        let read = self.read_facts(kind, part, &mut late, each);
        if read.is_err() {
            // Replies may be outstanding that nobody reads.
            self.store.client.disconnect();
        }
        let (whole, mut met, meta) = read?;
        let keys = self.store.keys.clone();
        let volume = meta.volume(part.0);
        for entry in &late {
            let mut first_of_owner = true;
            self.for_each_record(kind, entry, &mut |store, page| {
                for (stored, row) in page {
                    let seen = whole
                        .used(row)
                        .ok_or_else(|| StoreError::damaged(&keys.rows(volume, kind, row / ROWS)))?;
                    let Some(seen) = seen.filter(|_| met.is_new(row)) else { continue };
                    let fact = store.complete(volume, stored)?;
                    let handle = Handle::new(kind, volume, low24(entry.hash), row);
                    let fact = fact.as_fact();
                    each(&UnnamedRecord { handle, fact, seen: &seen, first_of_owner });
                    first_of_owner = false;
                }
                Ok(true)
            })?;
        }
        self.expect_all_met(kind, volume, &meta, &whole, &met)
    }

    /// Passes on the records that are stored in the buckets themselves; the other entries go to `late`.
    fn read_facts(
        &mut self,
        kind: Kind,
        part: Part,
        late: &mut Vec<BucketEntry>,
        each: EachUnnamed<'_>,
    ) -> Result<(Whole, Met, Meta), StoreError> {
        let partition = part.0;
        let meta = self.meta(kind, part)?;
        let volume = meta.volume(partition);
        let mut whole = self.load_rows(kind, partition, &meta)?;
        self.complete_rows((kind, volume), &mut whole, false)?;
        let mut met = Met::new(&meta);
        let mut walk = BucketWalk::new(meta.buckets);
        let ask = |store: &mut Self, indices: Option<Vec<u32>>| {
            let mut packed = Pipeline::default();
            for index in indices.unwrap_or_default() {
                packed.command(&[
                    b"HGETALL",
                    store.store.keys.bucket(volume, kind, index).as_bytes(),
                ]);
            }
            store.store.client.send(&packed).map(|()| packed.len())
        };
        let keys = self.store.keys.clone();
        // The first of the requested buckets, and of those requested ahead.
        let mut indices = (0, 0);
        let first_of = |indices: &Option<Vec<u32>>| {
            indices.as_ref().and_then(|indices| indices.first().copied()).unwrap_or(0)
        };
        let mut asked = 0;
        loop {
            if asked == 0 {
                let Some(next) = walk.next(self, kind, part)? else { break };
                let next = Some(next);
                indices.0 = first_of(&next);
                asked = ask(self, next)?;
            }
            let next = walk.known();
            indices.1 = first_of(&next);
            let ahead = ask(self, next)?;
            let first = indices.0;
            let key = |at: usize| {
                keys.bucket(volume, kind, first + u32::try_from(at).unwrap_or(u32::MAX))
            };
            self.store.client.pairs(asked, &key, &mut |at, field, value| {
                let damaged = || StoreError::damaged(&key(at));
                let hash = u64::from_be_bytes(field.try_into().map_err(|_| damaged())?);
                let read = Value::read(value).ok_or_else(damaged)?;
                let is_late = match read.records {
                    None => true,
                    Some(octets) => records_in(octets)
                        .any(|record| matches!(record, Ok((StoredRef::Long { .. }, _)))),
                };
                if is_late {
                    let bucket = first + u32::try_from(at).unwrap_or(u32::MAX);
                    late.push(BucketEntry { volume, hash, bucket, value: value.to_vec() });
                    return Ok(());
                }
                let mut first_of_owner = true;
                for record in records_in(read.records.unwrap_or_default()) {
                    let (stored, row) = record.map_err(|_| damaged())?;
                    // Rows added since the rows were loaded are not part of this scan.
                    let seen = whole
                        .used(row)
                        .ok_or_else(|| StoreError::damaged(&keys.rows(volume, kind, row / ROWS)))?;
                    let seen = seen.filter(|_| met.is_new(row));
                    let (StoredRef::Fact(fact), Some(seen)) = (stored, seen) else { continue };
                    let handle = Handle::new(kind, volume, low24(hash), row);
                    each(&UnnamedRecord { handle, fact, seen: &seen, first_of_owner });
                    first_of_owner = false;
                }
                Ok(())
            })?;
            (asked, indices.0) = (ahead, indices.1);
        }
        Ok((whole, met, meta))
    }
}
