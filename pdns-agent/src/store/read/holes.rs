//! Detection of lost keys: checked by readers before they report that there is nothing.
//!
//! A key that was deleted looks like one that was never written. If another key tells the two apart, it is read here;
//! that costs an extra request, and only look-ups that found nothing pay for it. Losses that no other key reveals,
//! such as that of a set of the inverted index, are found only by `store/verify.rs`.

use crate::store::layout::keys::{Kind, LOG, Volume, low24};
use crate::store::read::buckets::Meta;
use crate::store::read::scan::{Part, lines};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

impl Reader<'_> {
    /// Checks that partitions of a store from an earlier version which have no metadata, or claim to be empty, are
    /// empty. If all partitions are marked, each has metadata, and that is checked.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the key of the missing metadata.
    pub(in crate::store) fn expect_empty(
        &mut self,
        kind: Kind,
        partitions: &[u8],
    ) -> Result<(), StoreError> {
        if self.store.schema.is_marked {
            return Ok(());
        }
        let mut packed = Pipeline::default();
        for &partition in partitions {
            // Nothing is forgotten in such a store.
            let volume = Volume::first(partition);
            for key in [self.store.keys.log(volume, kind, 0), self.store.keys.rows(volume, kind, 0)]
            {
                packed.command(&[b"GETRANGE", key.as_bytes(), b"0", b"0"]);
            }
        }
        let mut found = Vec::new();
        for (at, answer) in self.store.client.call(&packed)?.into_iter().enumerate() {
            if !reply::octets(answer)?.is_empty() {
                found.extend(partitions.get(at / 2).copied());
            }
        }
        found.dedup();
        for partition in found {
            // The first batch may have been written in between.
            let key = self.store.keys.meta(partition, kind);
            let rows =
                reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), b"r"])?)?;
            if rows.is_none_or(|rows| rows == b"0") {
                return Err(StoreError::damaged(&key));
            }
        }
        Ok(())
    }

    /// Checks that names are not missing from their buckets because a whole bucket is lost.
    ///
    /// `bits` are those of the names. If their buckets hold other names, as nearly all do, this is settled quickly;
    /// otherwise the name log of the partition is read.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the key of such a bucket.
    pub(in crate::store) fn expect_buckets(
        &mut self,
        kind: Kind,
        partition: u8,
        bits: &[u32],
    ) -> Result<(), StoreError> {
        loop {
            let meta = self.meta(kind, Part(partition))?;
            let indices: BTreeSet<u32> = bits.iter().map(|&bits| meta.buckets.of(bits)).collect();
            let volume = meta.volume(partition);
            let mut absent = self.absent(kind, volume, &indices)?;
            if absent.is_empty() || meta.rows == 0 {
                return Ok(());
            }
            let should_be = self.indices_in_log(kind, partition, &meta)?;
            absent.retain(|index| should_be.contains(index));
            // Names added meanwhile are in the log and were not in their bucket, and split ones have left it.
            absent = self.absent(kind, volume, &absent)?;
            let now = self.meta(kind, Part(partition))?;
            if (now.edition, now.buckets) != (meta.edition, meta.buckets) {
                continue;
            }
            return match absent.first() {
                Some(&index) => {
                    Err(StoreError::damaged(&self.store.keys.bucket(volume, kind, index)))
                }
                None => Ok(()),
            };
        }
    }

    /// Returns the buckets among these that do not exist.
    fn absent(
        &mut self,
        kind: Kind,
        volume: Volume,
        indices: &BTreeSet<u32>,
    ) -> Result<BTreeSet<u32>, StoreError> {
        let indices: Vec<u32> = indices.iter().copied().collect();
        let buckets = self.buckets(kind, volume, &indices)?;
        // A hash without a name in it is not a bucket.
        let is_absent = |bucket: &reply::Pairs| bucket.iter().all(|(field, _)| field.len() != 8);
        let absent = indices.into_iter().zip(buckets).filter(|(_, bucket)| is_absent(bucket));
        Ok(absent.map(|(index, _)| index).collect())
    }

    /// Computes the buckets of the names in a partition's log.
    fn indices_in_log(
        &mut self,
        kind: Kind,
        partition: u8,
        meta: &Meta,
    ) -> Result<BTreeSet<u32>, StoreError> {
        let keys = self.log_blocks(kind, partition, meta);
        let hasher = self.store.router.hasher().clone();
        let mut indices = BTreeSet::new();
        self.store.client.blocks(&keys, LOG as usize, &mut |_, block| {
            let names = lines(block).split(|&octet| octet == b'\n').filter(|line| !line.is_empty());
            indices.extend(names.map(|line| meta.buckets.of(low24(hasher.octets(line)))));
            ControlFlow::Continue(())
        })?;
        Ok(indices)
    }
}
