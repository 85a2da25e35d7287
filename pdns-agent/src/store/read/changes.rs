//! Names and records that are new since a point in time. Both are appended, so these are the ones behind the previous
//! ends.
//!
//! For `pdns watch`. Each partition is read as one function call left it: if a name is in the log, its records are
//! there.

use crate::store::layout::encoding::{RowRead, read_row};
use crate::store::layout::keys::{Kind, LOG, Pointer, ROW, ROWS};
use crate::store::read::scan::Handle;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Blocks fetched in one pipeline: half a megabyte.
const BLOCKS: usize = 8;

/// Parts of blocks fetched in one pipeline, of some kilobytes each.
const PARTS: usize = 64;

/// Ends of the names and records of each partition at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends(Vec<PartitionEnd>);

/// Ends of the names and records of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PartitionEnd {
    rows: u32,
    block: u32,
    offset: u32,
}

/// Ends of the names of one kind, in each partition, at one point in time: block and offset in the name log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEnds(Vec<(u32, u32)>);

impl NameEnds {
    /// Returns true if names that existed at `before` are gone, or the number of partitions is another one.
    #[must_use]
    pub fn is_behind(&self, before: &Self) -> bool {
        self.0.len() != before.0.len() || self.0.iter().zip(&before.0).any(|(now, then)| now < then)
    }

    /// Returns the point before all names.
    #[must_use]
    pub fn start(&self) -> Self {
        Self(vec![(0, 0); self.0.len()])
    }

    /// Returns the octets of names from `from` to here.
    #[must_use]
    pub fn octets_since(&self, from: &Self) -> u64 {
        let place =
            |&(block, offset): &(u32, u32)| u64::from(block) * u64::from(LOG) + u64::from(offset);
        self.0.iter().zip(&from.0).map(|(to, from)| place(to).saturating_sub(place(from))).sum()
    }
}

/// A part of a block: partition, block, first octet or row in it, and the end (exclusive).
type BlockRange = (u8, u32, u32, u32);

impl Ends {
    /// Returns true if something that existed at `before` is gone: Redis lost data that was not yet on disk.
    #[must_use]
    pub fn is_behind(&self, before: &Self) -> bool {
        self.0.len() != before.0.len()
            || self.0.iter().zip(&before.0).any(|(now, before)| {
                now.rows < before.rows || (now.block, now.offset) < (before.block, before.offset)
            })
    }

    /// Advances towards `until` by at most one block of names and one of rows in each partition.
    #[must_use]
    pub fn step(&self, until: &Self) -> Self {
        let ends = self.0.iter().zip(&until.0).map(|(from, to)| {
            let rows = to.rows.min((from.rows / ROWS + 1) * ROWS);
            let (block, offset) =
                if from.block < to.block { (from.block + 1, 0) } else { (to.block, to.offset) };
            PartitionEnd { rows, block, offset }
        });
        Self(ends.collect())
    }

    /// Returns the parts of the name logs from here to `until`.
    fn names(&self, until: &Self) -> Vec<BlockRange> {
        let mut pieces = Vec::new();
        for (partition, (from, to)) in (0..=u8::MAX).zip(self.0.iter().zip(&until.0)) {
            for block in from.block..=to.block {
                let start = if block == from.block { from.offset } else { 0 };
                let end = if block == to.block { to.offset } else { LOG };
                if start < end {
                    pieces.push((partition, block, start, end));
                }
            }
        }
        pieces
    }

    /// Returns the parts of the rows from here to `until`.
    fn rows(&self, until: &Self) -> Vec<BlockRange> {
        let mut pieces = Vec::new();
        for (partition, (from, to)) in (0..=u8::MAX).zip(self.0.iter().zip(&until.0)) {
            let mut row = from.rows;
            while row < to.rows {
                let block = row / ROWS;
                let end = to.rows.min((block + 1) * ROWS);
                pieces.push((partition, block, row % ROWS, end - block * ROWS));
                row = end;
            }
        }
        pieces
    }
}

impl Reader<'_> {
    /// Reads the current ends of names and records.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn ends(&mut self) -> Result<Ends, StoreError> {
        let partitions: Vec<u8> = self.store.partitions().collect();
        let metas = self.metas(Kind::Record, partitions)?.into_iter();
        let end = |meta: crate::store::read::buckets::Meta| PartitionEnd {
            rows: meta.rows,
            block: meta.block,
            offset: meta.offset,
        };
        Ok(Ends(metas.map(end).collect()))
    }

    /// Reads the current ends of the names of one kind.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn name_ends(&mut self, kind: Kind) -> Result<NameEnds, StoreError> {
        let partitions: Vec<u8> = self.store.partitions().collect();
        let metas = self.metas(kind, partitions)?.into_iter();
        Ok(NameEnds(metas.map(|meta| (meta.block, meta.offset)).collect()))
    }

    /// Reads the latest names before `until` that are not before `from`: of each partition about `most` octets of text,
    /// which must be more than a name can have. Passes the text to `each`, a name on each line, and returns the point
    /// before the names that were read.
    ///
    /// # Errors
    /// If Redis does not answer, or the names are not there.
    pub fn names_before(
        &mut self,
        kind: Kind,
        from: &NameEnds,
        until: &NameEnds,
        most: u32,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<NameEnds, StoreError> {
        let mut ranges: Vec<BlockRange> = Vec::new();
        let mut before = until.clone();
        for (partition, (from, until)) in (0..=u8::MAX).zip(from.0.iter().zip(&until.0)) {
            if from >= until {
                continue;
            }
            // Before the first name of a block lies the end of the previous one.
            let (block, end) = if until.1 == 0 { (until.0 - 1, LOG) } else { *until };
            let first = if block == from.0 { from.1 } else { 0 };
            if first < end {
                ranges.push((partition, block, first.max(end.saturating_sub(most)), end));
            }
            if let Some(before) = before.0.get_mut(usize::from(partition)) {
                *before = (block, first);
            }
        }
        let key = |store: &Self, partition, block| store.store.keys.log(partition, kind, block);
        for ranges in ranges.chunks(PARTS) {
            for (octets, &(partition, block, start, _)) in
                self.pieces(ranges, 1, &key)?.iter().zip(ranges)
            {
                let Some(before) = before.0.get_mut(usize::from(partition)) else { continue };
                let used = octets.get(..memchr::memrchr(b'\n', octets).map_or(0, |last| last + 1));
                let used = used.unwrap_or_default();
                let skipped = if start == before.1 {
                    0
                } else {
                    // The first of the octets lie within a name.
                    memchr::memchr(b'\n', used).map_or(used.len(), |first| first + 1)
                };
                each(used.get(skipped..).unwrap_or_default());
                *before = (block, start + u32::try_from(skipped).unwrap_or(0));
            }
        }
        Ok(before)
    }

    /// Reads the names that were added between two points in time, part by part: canonical text with a newline after
    /// each name.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn names_between(
        &mut self,
        from: &Ends,
        until: &Ends,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let key =
            |store: &Self, partition, block| store.store.keys.log(partition, Kind::Record, block);
        for pieces in from.names(until).chunks(BLOCKS) {
            for octets in self.pieces(pieces, 1, &key)? {
                // A block that was closed for lack of room ends in NULs.
                let used = memchr::memrchr(b'\n', &octets).map_or(0, |last| last + 1);
                if each(octets.get(..used).unwrap_or_default()).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads the records that were added between two points in time, for [`Reader::resolve`].
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn records_between(
        &mut self,
        from: &Ends,
        until: &Ends,
        each: &mut dyn FnMut(Handle) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let kind = Kind::Record;
        let key = |store: &Self, partition, block| store.store.keys.rows(partition, kind, block);
        for pieces in from.rows(until).chunks(BLOCKS) {
            let found = self.pieces(pieces, ROW, &key)?;
            for (octets, &(partition, block, start, _)) in found.iter().zip(pieces) {
                let first = block * ROWS + start;
                for (row, octets) in (first..).zip(octets.chunks_exact(ROW)) {
                    let Some(RowRead { bits, .. }) = read_row(octets) else { continue };
                    let handle = Handle::new(kind, Pointer::new(partition, bits), row);
                    if each(handle).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the octets of parts of blocks, in their order; `size` is the length of one unit of their bounds.
    fn pieces(
        &mut self,
        pieces: &[BlockRange],
        size: usize,
        key: &dyn Fn(&Self, u8, u32) -> String,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut packed = Pipeline::default();
        for &(partition, block, start, end) in pieces {
            let (from, to) = (start as usize * size, end as usize * size - 1);
            let key = key(self, partition, block);
            let (from, to) = (from.to_string(), to.to_string());
            packed.command(&[b"GETRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()]);
        }
        let answers = pieces.iter().zip(self.store.client.call(&packed)?);
        answers
            .map(|(&(partition, block, start, end), answer)| {
                let octets = reply::octets(answer)?;
                let whole = octets.len() == (end - start) as usize * size;
                let damaged = || StoreError::damaged(&key(self, partition, block));
                if whole { Ok(octets) } else { Err(damaged()) }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(rows: u32, block: u32, offset: u32) -> Ends {
        Ends(vec![PartitionEnd { rows, block, offset }])
    }

    #[test]
    fn pieces_are_what_was_added() {
        let (from, to) = (ends(2_040, 0, 100), ends(2_050, 2, 7));
        assert_eq!(from.names(&to), [(0, 0, 100, LOG), (0, 1, 0, LOG), (0, 2, 0, 7)]);
        assert_eq!(from.rows(&to), [(0, 0, 2_040, 2_047), (0, 1, 0, 3)]);
        assert!(to.names(&to).is_empty() && to.rows(&to).is_empty());
        assert!(!to.is_behind(&from) && !to.is_behind(&to) && from.is_behind(&to));
        assert!(Ends::default().is_behind(&to));
        let steps: Vec<Ends> =
            std::iter::successors(Some(from), |at| (*at != to).then(|| at.step(&to))).collect();
        assert_eq!(steps.len(), 4);
        assert_eq!(steps.last(), Some(&to));
    }
}
