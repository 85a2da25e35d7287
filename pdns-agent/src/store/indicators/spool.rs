//! The listings of an import, by the hash that they go to, in bounded memory.
//!
//! A feed of a hundred megabytes has more listings than memory should hold, and they arrive in any order. They are
//! collected for each hash, and written to a temporary file whenever they have grown too large; the import then reads
//! them back hash by hash.

use crate::store::StoreError;
use crate::store::layout::listing::SHARDS;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Octets in memory from which on they are written to the file.
const MEMORY: usize = 16 << 20;

/// Collects octets for each shard.
#[derive(Default)]
pub(super) struct Spool {
    pending: Vec<Vec<u8>>,
    size: usize,
    file: Option<File>,
    /// Shard, offset and length of each piece in the file.
    pieces: Vec<(u8, u64, usize)>,
    end: u64,
}

impl Spool {
    /// Appends octets to a shard.
    pub(super) fn push(&mut self, shard: u8, octets: &[u8]) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            self.pending.resize(SHARDS.into(), Vec::new());
        }
        if let Some(pending) = self.pending.get_mut(usize::from(shard)) {
            pending.extend_from_slice(octets);
            self.size += octets.len();
        }
        if self.size > MEMORY { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile().map_err(StoreError::Spool)?),
        };
        for (shard, pending) in (0..).zip(&mut self.pending) {
            file.write_all_at(pending, self.end).map_err(StoreError::Spool)?;
            self.pieces.push((shard, self.end, pending.len()));
            self.end += pending.len() as u64;
            pending.clear();
        }
        self.size = 0;
        Ok(())
    }

    /// Returns all octets of a shard, in the order in which they were pushed.
    pub(super) fn read(&self, shard: u8) -> Result<Vec<u8>, StoreError> {
        let mut octets = Vec::new();
        if let Some(file) = &self.file {
            for &(_, offset, length) in self.pieces.iter().filter(|(of, ..)| *of == shard) {
                let start = octets.len();
                octets.resize(start + length, 0);
                let piece = octets.get_mut(start..).unwrap_or_default();
                file.read_exact_at(piece, offset).map_err(StoreError::Spool)?;
            }
        }
        if let Some(pending) = self.pending.get(usize::from(shard)) {
            octets.extend_from_slice(pending);
        }
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spilled_comes_back_in_order() {
        let mut spool = Spool::default();
        let piece = vec![7; MEMORY / 4];
        for round in 0..10 {
            spool.push(3, &[round]).unwrap();
            spool.push(5, &piece).unwrap();
        }
        assert!(spool.file.is_some());
        assert_eq!(spool.read(3).unwrap(), (0..10).collect::<Vec<u8>>());
        assert_eq!(spool.read(5).unwrap().len(), 10 * piece.len());
        assert!(spool.read(4).unwrap().is_empty());
    }
}
