//! The marks of partitions: the identity of the store that a partition belongs to, and a copy of the schema.
//!
//! Each partition is marked when the store is created, so that a partition without a mark has lost it. Stores of
//! earlier versions marked a partition with its first record; the first agent that writes to such a store marks the
//! rest. `store/schema.rs` checks the schema against the copy, and restores it from there.

use crate::hash::Hasher;
use crate::store::StoreError;
use crate::store::layout::keys::{Keys, Kind, OLDEST_VERSION, VERSION, Volume};
use crate::store::redis::client::{Pipeline, RedisClient};
use crate::store::redis::reply;

/// A copy of the schema: version and number of partitions, two bytes each, and the hash key.
pub(crate) type Identity = [u8; 20];

/// Identifier under which rows are written. Row numbers cached from another store, or from before a repair that
/// renumbered rows, are refused by it.
pub(crate) type Epoch = [u8; 8];

/// The mark of one partition, as stored.
#[derive(Debug, Default)]
pub(in crate::store) struct PartitionMark {
    pub(in crate::store) epoch: Option<Vec<u8>>,
    pub(in crate::store) identity: Option<Vec<u8>>,
    /// True if a program that marks all partitions made it.
    pub(in crate::store) is_of_all: bool,
    /// True if the key is not a hash.
    pub(in crate::store) is_damaged: bool,
}

impl PartitionMark {
    /// Returns true if the partition was ever marked or written to.
    pub(in crate::store) fn is_present(&self) -> bool {
        self.is_damaged || self.epoch.is_some() || self.identity.is_some()
    }

    /// Returns the schema it is a copy of and the generation, if its two parts agree.
    pub(in crate::store) fn read(&self) -> Option<(Identity, u32)> {
        let identity: Identity = self.identity.as_deref()?.try_into().ok()?;
        let (_, _, secret) = read_identity(&identity)?;
        let generation = match &self.epoch {
            Some(epoch) => generation_of(epoch, &Hasher::new(&secret))?,
            None => 0,
        };
        Some((identity, generation))
    }
}

/// Packs the command that reads the mark of a partition.
pub(in crate::store) fn pack_mark(packed: &mut Pipeline, keys: &Keys, partition: u8) {
    packed.command(&[b"HMGET", keys.meta(partition, Kind::Record).as_bytes(), b"e", b"i", b"a"]);
}

/// Parses the reply to that command.
pub(in crate::store) fn read_mark(
    answer: Result<redis::Value, StoreError>,
) -> Result<PartitionMark, StoreError> {
    let fields = match answer.map_err(|error| error.of(|| Some(String::new()))) {
        Err(StoreError::Damaged { .. }) => {
            return Ok(PartitionMark { is_damaged: true, ..PartitionMark::default() });
        }
        answer => reply::list(answer?)?,
    };
    let mut fields = fields.into_iter();
    let mut next = || reply::maybe_octets(fields.next().ok_or(StoreError::Reply)?);
    let (epoch, identity) = (next()?, next()?);
    Ok(PartitionMark { epoch, identity, is_of_all: next()?.is_some(), is_damaged: false })
}

/// Reads the marks of the maximum number of partitions.
pub(in crate::store) fn all(
    client: &mut RedisClient,
    keys: &Keys,
) -> Result<Vec<PartitionMark>, StoreError> {
    let mut packed = Pipeline::default();
    for partition in 0..=u8::MAX {
        pack_mark(&mut packed, keys, partition);
    }
    client.call_each(&packed)?.into_iter().map(read_mark).collect()
}

/// Returns true if any partition holds names: it then belongs to a store, though it may have lost its mark.
pub(in crate::store) fn has_names(
    client: &mut RedisClient,
    keys: &Keys,
) -> Result<bool, StoreError> {
    let mut packed = Pipeline::default();
    for partition in 0..=u8::MAX {
        for kind in [Kind::Record, Kind::Negative] {
            // Read-only users may run this command. Partitions with another edition than the first are all marked.
            let key = keys.log(Volume::first(partition), kind, 0);
            packed.command(&[b"GETRANGE", key.as_bytes(), b"0", b"0"]);
        }
    }
    match client.call(&packed) {
        Err(StoreError::Damaged { .. }) => Ok(true),
        answers => {
            Ok(answers?.iter().any(|answer| *answer != redis::Value::BulkString(Vec::new())))
        }
    }
}

/// Encodes the copy of a schema of this version.
pub(in crate::store) fn identity(partitions: u16, secret: &[u8; 16]) -> Identity {
    identity_of(VERSION, partitions, secret)
}

/// Encodes the copy of a schema of some version.
pub(in crate::store) fn identity_of(version: u32, partitions: u16, secret: &[u8; 16]) -> Identity {
    let mut identity = [0; 20];
    let version = u16::try_from(version).unwrap_or(0).to_be_bytes();
    let fields = version.into_iter().chain(partitions.to_be_bytes()).chain(*secret);
    for (slot, byte) in identity.iter_mut().zip(fields) {
        *slot = byte;
    }
    identity
}

/// Decodes the version, the number of partitions and the hash key from a copy of this version, or of one that can be
/// migrated.
pub(in crate::store) fn read_identity(identity: &Identity) -> Option<(u32, u16, [u8; 16])> {
    let (version, rest) = identity.split_first_chunk::<2>()?;
    let (partitions, secret) = rest.split_first_chunk::<2>()?;
    let partitions = u16::from_be_bytes(*partitions);
    let version = u32::from(u16::from_be_bytes(*version));
    let is_known = (OLDEST_VERSION..=VERSION).contains(&version);
    (is_known && (1..=256).contains(&partitions)).then_some((
        version,
        partitions,
        secret.try_into().ok()?,
    ))
}

/// Computes the epoch of a generation of a store.
pub(crate) fn epoch(hasher: &Hasher, generation: u32) -> Epoch {
    hasher.octets(b"epoch").wrapping_add(generation.into()).to_be_bytes()
}

/// Returns the generation that an epoch belongs to, if it is one of the store with this hasher.
pub(in crate::store) fn generation_of(epoch: &[u8], hasher: &Hasher) -> Option<u32> {
    let epoch = u64::from_be_bytes(epoch.try_into().ok()?);
    u32::try_from(epoch.wrapping_sub(hasher.octets(b"epoch"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_reads_back_and_one_that_contradicts_itself_does_not() {
        let secret = [7; 16];
        let hasher = Hasher::new(&secret);
        let mark = |secret: &[u8; 16], epoch: Epoch| PartitionMark {
            epoch: Some(epoch.to_vec()),
            identity: Some(identity(64, secret).to_vec()),
            ..PartitionMark::default()
        };
        let read = mark(&secret, epoch(&hasher, 3)).read();
        assert_eq!(read, Some((identity(64, &secret), 3)));
        assert_eq!(read_identity(&identity(64, &secret)), Some((VERSION, 64, secret)));
        assert_eq!(mark(&[8; 16], epoch(&hasher, 0)).read(), None);
        assert_eq!(generation_of(b"short", &hasher), None);
    }
}
