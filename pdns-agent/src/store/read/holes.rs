//! Whether what is not there was lost: asked by readers before they say that there is nothing.
//!
//! A key that was deleted looks like one that was never written. Where another key tells the two apart, it is asked
//! here; that costs a question more, and only those who found nothing pay for it. What no other key tells of, as a set of the
//! inverse index, is found by `store/verify.rs` alone.

use crate::store::layout::keys::{Kind, LOG, low24};
use crate::store::read::buckets::Meta;
use crate::store::read::scan::{Part, lines};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

impl Reader<'_> {
    /// Makes sure that partitions of a store from an earlier version, which say nothing or that they hold nothing, hold nothing.
    /// Where all are marked they say so, and what they say is checked.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the key that should say what they hold.
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
            for key in
                [self.store.keys.log(partition, kind, 0), self.store.keys.rows(partition, kind, 0)]
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
            // The first batch may have come in between.
            let key = self.store.keys.meta(partition, kind);
            let rows =
                reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), b"r"])?)?;
            if rows.is_none_or(|rows| rows == b"0") {
                return Err(StoreError::damaged(&key));
            }
        }
        Ok(())
    }

    /// Makes sure that names which are not in their buckets are not missing because a whole bucket is.
    ///
    /// `bits` are those of the names. Where their buckets hold others, as nearly all do, that is soon told; else the name
    /// log of the partition is read.
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
            let mut absent = self.absent(kind, partition, &indices)?;
            if absent.is_empty() || meta.rows == 0 {
                return Ok(());
            }
            let should_be = self.indices_in_log(kind, partition, &meta)?;
            absent.retain(|index| should_be.contains(index));
            // What was added meanwhile is in the log and was not in its bucket, and what was split has left it.
            absent = self.absent(kind, partition, &absent)?;
            if self.meta(kind, Part(partition))?.buckets != meta.buckets {
                continue;
            }
            return match absent.first() {
                Some(&index) => {
                    Err(StoreError::damaged(&self.store.keys.bucket(partition, kind, index)))
                }
                None => Ok(()),
            };
        }
    }

    /// Which of these buckets there are none of.
    fn absent(
        &mut self,
        kind: Kind,
        partition: u8,
        indices: &BTreeSet<u32>,
    ) -> Result<BTreeSet<u32>, StoreError> {
        let indices: Vec<u32> = indices.iter().copied().collect();
        let buckets = self.buckets(kind, partition, &indices)?;
        // What has no name in it is no bucket.
        let is_absent = |bucket: &reply::Pairs| bucket.iter().all(|(field, _)| field.len() != 8);
        let absent = indices.into_iter().zip(buckets).filter(|(_, bucket)| is_absent(bucket));
        Ok(absent.map(|(index, _)| index).collect())
    }

    /// The buckets that the names of a partition's log belong into.
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
