//! Names and records that are new since a point in time. Both are appended, so these are the ones behind the previous
//! ends.
//!
//! For `pdns watch`. Each partition is read as one function call left it: if a name is in the log, its records are
//! there.

use crate::store::layout::encoding::{RowRead, read_row};
use crate::store::layout::keys::{Kind, LOG, LOG_STRIDE, ROW, ROWS, Volume};
use crate::store::layout::origin::Origin;
use crate::store::read::buckets::Meta;
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
    name: NameEnd,
}

/// Ends of the names of one kind, in each partition, at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<u32>>", into = "Vec<Vec<u32>>")]
pub struct NameEnds(Vec<NameEnd>);

/// A point in the name log of one partition: the edition of its keys, then block and offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NameEnd {
    edition: u32,
    block: u32,
    offset: u32,
}

impl NameEnd {
    fn of(meta: &Meta) -> Self {
        Self { edition: meta.edition, block: meta.block, offset: meta.offset }
    }

    fn at(self) -> (u32, u32) {
        (self.block, self.offset)
    }

    fn position(self) -> u32 {
        self.block * LOG_STRIDE + self.offset
    }

    /// Returns true if it lies behind another point, or nothing is known about their order.
    fn is_behind(self, other: Self) -> bool {
        self.edition != other.edition || self.at() < other.at()
    }
}

/// Points of the first edition, as in stores of earlier versions, are stored without its number.
impl From<Vec<Vec<u32>>> for NameEnds {
    fn from(ends: Vec<Vec<u32>>) -> Self {
        let end = |end: Vec<u32>| {
            let number = |at: usize| end.get(at).copied().unwrap_or(0);
            NameEnd { block: number(0), offset: number(1), edition: number(2) }
        };
        Self(ends.into_iter().map(end).collect())
    }
}

impl From<NameEnds> for Vec<Vec<u32>> {
    fn from(ends: NameEnds) -> Self {
        let end = |NameEnd { edition, block, offset }: NameEnd| match edition {
            0 => vec![block, offset],
            edition => vec![block, offset, edition],
        };
        ends.0.into_iter().map(end).collect()
    }
}

impl NameEnds {
    /// Returns true if names that existed at `before` are gone, or the number of partitions is another one.
    #[must_use]
    pub fn is_behind(&self, before: &Self) -> bool {
        let mut ends = self.0.iter().zip(&before.0);
        self.0.len() != before.0.len() || ends.any(|(now, then)| now.is_behind(*then))
    }

    /// Returns the point before all names.
    #[must_use]
    pub fn start(&self) -> Self {
        let start = |end: &NameEnd| NameEnd { edition: end.edition, ..NameEnd::default() };
        Self(self.0.iter().map(start).collect())
    }

    /// Returns the octets of names from `from` to here.
    #[must_use]
    pub fn octets_since(&self, from: &Self) -> u64 {
        let place = |end: &NameEnd| u64::from(end.block) * u64::from(LOG) + u64::from(end.offset);
        self.0.iter().zip(&from.0).map(|(to, from)| place(to).saturating_sub(place(from))).sum()
    }
}

/// A part of a block: volume, block, first octet or row in it, and the end (exclusive).
type BlockRange = (Volume, u32, u32, u32);

impl Ends {
    /// Returns true if something that existed at `before` is gone: Redis lost data that was not yet on disk.
    #[must_use]
    pub fn is_behind(&self, before: &Self) -> bool {
        self.0.len() != before.0.len()
            || self
                .0
                .iter()
                .zip(&before.0)
                .any(|(now, before)| now.rows < before.rows || now.name.is_behind(before.name))
    }

    /// Advances towards `until` by at most one block of names and one of rows in each partition.
    #[must_use]
    pub fn step(&self, until: &Self) -> Self {
        let ends = self.0.iter().zip(&until.0).map(|(from, to)| {
            let rows = to.rows.min((from.rows / ROWS + 1) * ROWS);
            let (from, to) = (from.name, to.name);
            let is_later = from.block < to.block;
            let next = NameEnd { block: from.block + 1, offset: 0, ..to };
            let name = if is_later { next } else { to };
            PartitionEnd { rows, name }
        });
        Self(ends.collect())
    }

    /// Returns the parts of the name logs from here to `until`.
    fn names(&self, until: &Self) -> Vec<BlockRange> {
        let mut pieces = Vec::new();
        for (partition, (from, to)) in (0..=u8::MAX).zip(self.0.iter().zip(&until.0)) {
            let (from, to) = (from.name, to.name);
            let volume = Volume { partition, edition: to.edition };
            for block in from.block..=to.block {
                let start = if block == from.block { from.offset } else { 0 };
                let end = if block == to.block { to.offset } else { LOG };
                if start < end {
                    pieces.push((volume, block, start, end));
                }
            }
        }
        pieces
    }

    /// Returns the parts of the rows from here to `until`.
    fn rows(&self, until: &Self) -> Vec<BlockRange> {
        let mut pieces = Vec::new();
        for (partition, (from, to)) in (0..=u8::MAX).zip(self.0.iter().zip(&until.0)) {
            let volume = Volume { partition, edition: to.name.edition };
            let mut row = from.rows;
            while row < to.rows {
                let block = row / ROWS;
                let end = to.rows.min((block + 1) * ROWS);
                pieces.push((volume, block, row % ROWS, end - block * ROWS));
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
        let end = |meta: Meta| PartitionEnd { rows: meta.rows, name: NameEnd::of(&meta) };
        Ok(Ends(metas.map(end).collect()))
    }

    /// Translates ends that were read earlier to the editions of `now`: what they lie behind is the same. Where that is
    /// not known exactly, they come to lie some names and records earlier. Ends that are older than the edition before
    /// stay as they are, and [`Ends::is_behind`] says so.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn carry(&mut self, before: &mut Ends, now: &Ends) -> Result<(), StoreError> {
        for (partition, (before, now)) in (0..=u8::MAX).zip(before.0.iter_mut().zip(&now.0)) {
            let edition = now.name.edition;
            if before.name.edition != edition
                && let Some(origin) = self.origin(Kind::Record, Volume { partition, edition })?
                && origin.edition() == before.name.edition
            {
                before.rows = origin.row(before.rows);
                before.name = carried(before.name, edition, &origin);
            }
        }
        Ok(())
    }

    /// Translates ends of names of one kind like [`Reader::carry`]; returns true if there were any to translate.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn carry_names(
        &mut self,
        kind: Kind,
        before: &mut [&mut NameEnds],
        now: &NameEnds,
    ) -> Result<bool, StoreError> {
        let mut is_carried = false;
        for (at, now) in now.0.iter().enumerate() {
            let edition = now.edition;
            let is_due = |end: &&mut NameEnd| end.edition != edition;
            let ends = before.iter_mut().filter_map(|ends| ends.0.get_mut(at));
            let due: Vec<&mut NameEnd> = ends.filter(is_due).collect();
            let (false, Ok(partition)) = (due.is_empty(), u8::try_from(at)) else { continue };
            let Some(origin) = self.origin(kind, Volume { partition, edition })? else { continue };
            for end in due.into_iter().filter(|end| end.edition == origin.edition()) {
                *end = carried(*end, edition, &origin);
                is_carried = true;
            }
        }
        Ok(is_carried)
    }

    fn origin(&mut self, kind: Kind, volume: Volume) -> Result<Option<Origin>, StoreError> {
        let key = self.store.keys.origin(volume, kind);
        let octets =
            reply::octets(self.store.client.ask(&[b"GETRANGE", key.as_bytes(), b"0", b"-1"])?)?;
        Ok(Origin::read(&octets))
    }

    /// Reads the current ends of the names of one kind.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn name_ends(&mut self, kind: Kind) -> Result<NameEnds, StoreError> {
        let partitions: Vec<u8> = self.store.partitions().collect();
        let metas = self.metas(kind, partitions)?.into_iter();
        Ok(NameEnds(metas.map(|meta| NameEnd::of(&meta)).collect()))
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
            if from.at() >= until.at() {
                continue;
            }
            let volume = Volume { partition, edition: until.edition };
            // Before the first name of a block lies the end of the previous one.
            let (block, end) = if until.offset == 0 { (until.block - 1, LOG) } else { until.at() };
            let first = if block == from.block { from.offset } else { 0 };
            if first < end {
                ranges.push((volume, block, first.max(end.saturating_sub(most)), end));
            }
            if let Some(before) = before.0.get_mut(usize::from(partition)) {
                *before = NameEnd { block, offset: first, ..*until };
            }
        }
        let key = |store: &Self, volume, block| store.store.keys.log(volume, kind, block);
        for ranges in ranges.chunks(PARTS) {
            for (octets, &(volume, block, start, _)) in
                self.pieces(ranges, 1, &key)?.iter().zip(ranges)
            {
                let before = before.0.get_mut(usize::from(volume.partition));
                let Some(before) = before else { continue };
                let used = octets.get(..memchr::memrchr(b'\n', octets).map_or(0, |last| last + 1));
                let used = used.unwrap_or_default();
                let skipped = if start == before.offset {
                    0
                } else {
                    // The first of the octets lie within a name.
                    memchr::memchr(b'\n', used).map_or(used.len(), |first| first + 1)
                };
                each(used.get(skipped..).unwrap_or_default());
                *before = NameEnd {
                    block,
                    offset: start + u32::try_from(skipped).unwrap_or(0),
                    ..*before
                };
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
        let key = |store: &Self, volume, block| store.store.keys.log(volume, Kind::Record, block);
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
        let key = |store: &Self, volume, block| store.store.keys.rows(volume, kind, block);
        for pieces in from.rows(until).chunks(BLOCKS) {
            let found = self.pieces(pieces, ROW, &key)?;
            for (octets, &(volume, block, start, _)) in found.iter().zip(pieces) {
                let first = block * ROWS + start;
                for (row, octets) in (first..).zip(octets.chunks_exact(ROW)) {
                    let Some(RowRead { bits, .. }) = read_row(octets) else { continue };
                    let handle = Handle::new(kind, volume, bits, row);
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
        key: &dyn Fn(&Self, Volume, u32) -> String,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut packed = Pipeline::default();
        for &(volume, block, start, end) in pieces {
            let (from, to) = (start as usize * size, end as usize * size - 1);
            let key = key(self, volume, block);
            let (from, to) = (from.to_string(), to.to_string());
            packed.command(&[b"GETRANGE", key.as_bytes(), from.as_bytes(), to.as_bytes()]);
        }
        let answers = pieces.iter().zip(self.store.client.call(&packed)?);
        answers
            .map(|(&(volume, block, start, end), answer)| {
                let octets = reply::octets(answer)?;
                let whole = octets.len() == (end - start) as usize * size;
                let damaged = || StoreError::damaged(&key(self, volume, block));
                if whole { Ok(octets) } else { Err(damaged()) }
            })
            .collect()
    }
}

/// Returns the point in an edition that corresponds to one in the edition before it.
fn carried(end: NameEnd, edition: u32, origin: &Origin) -> NameEnd {
    let position = origin.name(end.position());
    NameEnd { edition, block: position / LOG_STRIDE, offset: position % LOG_STRIDE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(rows: u32, block: u32, offset: u32) -> Ends {
        Ends(vec![PartitionEnd { rows, name: NameEnd { block, offset, edition: 0 } }])
    }

    #[test]
    fn points_of_earlier_versions_are_of_the_first_edition() {
        let read: NameEnds = serde_json::from_str("[[1,2],[3,4,5]]").unwrap();
        let end = |block, offset, edition| NameEnd { edition, block, offset };
        assert_eq!(read, NameEnds(vec![end(1, 2, 0), end(3, 4, 5)]));
        assert_eq!(serde_json::to_string(&read).unwrap(), "[[1,2],[3,4,5]]");
        assert!(read.is_behind(&NameEnds(vec![end(1, 2, 0), end(3, 4, 4)])));
    }

    #[test]
    fn pieces_are_what_was_added() {
        let first = Volume::first(0);
        let (from, to) = (ends(2_040, 0, 100), ends(2_050, 2, 7));
        assert_eq!(from.names(&to), [(first, 0, 100, LOG), (first, 1, 0, LOG), (first, 2, 0, 7)]);
        assert_eq!(from.rows(&to), [(first, 0, 2_040, 2_047), (first, 1, 0, 3)]);
        assert!(to.names(&to).is_empty() && to.rows(&to).is_empty());
        assert!(!to.is_behind(&from) && !to.is_behind(&to) && from.is_behind(&to));
        assert!(Ends::default().is_behind(&to));
        let steps: Vec<Ends> =
            std::iter::successors(Some(from), |at| (*at != to).then(|| at.step(&to))).collect();
        assert_eq!(steps.len(), 4);
        assert_eq!(steps.last(), Some(&to));
    }
}
