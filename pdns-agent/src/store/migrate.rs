//! Brings a store of schema version 2 to version 3, in place.
//!
//! Records are as they were. New are the indicators, and what the tags need to be looked up one by one. Each step can
//! be repeated, so a migration that was killed is completed by the next:
//!
//! 1. The schema gets the new version, a mark that the migration is under way, and a new generation. Programs of this
//!    version refuse the store until the mark is gone, those of version 2 refuse the new version.
//! 2. Each partition gets the new version and the epoch of the new generation. A running agent of version 2 is
//!    refused at its next batch, opens the store again, and ends with the message that it is too old. What it had
//!    written is kept, and what it had read and not written is read again.
//! 3. The metadata of the tags gets the prefix lengths in use, and a number of tags that scripts of version 2 refuse.
//! 4. The mark is removed.

use crate::hash::Hasher;
use crate::store::layout::keys::{Keys, Kind, OLDEST_VERSION, VERSION};
use crate::store::redis::client::{Pipeline, RedisClient};
use crate::store::redis::reply;
use crate::store::schema::marks::{self, PartitionMark};
use crate::store::tags::encoding::read_field;
use crate::store::tags::lengths_of;
use crate::store::{Options, Store, StoreError};
use std::collections::HashMap;
use std::sync::Arc;

/// Attempts to change the metadata of the tags while others change tags.
const ATTEMPTS: usize = 20;

/// Changes the metadata of the tags unless tags were changed since they were read.
///
/// KEYS[1]: the prefix of the keys of tags. ARGV: the generation as it was read (empty: none), the prefix lengths.
/// Answers 1 done, 0 changed meanwhile.
const TAGS: &str = "#!lua\n\
    local tags, meta = KEYS[1] .. 't', KEYS[1] .. 'm'\n\
    if (redis.call('HGET', meta, 'g') or '') ~= ARGV[1] then return 0 end\n\
    redis.call('HINCRBY', meta, 'g', 1)\n\
    redis.call('HINCRBY', meta, 'n', 0)\n\
    redis.call('HSET', meta, 'k', redis.call('HLEN', tags), 'c', '-1', 'p', ARGV[2])\n\
    return 1";

impl Store {
    /// Brings a store to the schema version of this program. Returns the version that it had, or `None` if there is
    /// nothing to do.
    ///
    /// # Errors
    /// [`StoreError::Schema`] if the store is of a version that cannot be migrated; other errors as they occur. The
    /// migration can be repeated.
    pub fn migrate(options: &Options) -> Result<Option<u32>, StoreError> {
        let mut client = RedisClient::open(options.clone(), Arc::default())?;
        client.refuse_cluster()?;
        let keys = Keys::new(&options.prefix);
        let key = keys.schema();
        let fields = reply::pairs(client.ask(&[b"HGETALL", key.as_bytes()])?)?;
        let fields: HashMap<Vec<u8>, Vec<u8>> = fields.into_iter().collect();
        let number = |field: &[u8]| -> Option<u32> {
            std::str::from_utf8(fields.get(field)?).ok()?.parse().ok()
        };
        let (version, under_way) = (number(b"v"), number(b"mig"));
        let from = match (version, under_way) {
            (Some(VERSION), Some(from)) => from,
            (Some(version @ OLDEST_VERSION..VERSION), _) => version,
            // There is nothing to migrate, or it is refused.
            _ => return Self::open(options).map(|_| None),
        };
        let damaged = || StoreError::damaged(&key);
        let partitions = number(b"P").and_then(|number| u16::try_from(number).ok());
        let partitions =
            partitions.filter(|number| (1..=256).contains(number)).ok_or_else(damaged)?;
        let secret = fields.get(&b"sip"[..]).and_then(|key| <[u8; 16]>::try_from(&key[..]).ok());
        let secret = secret.ok_or_else(damaged)?;
        let hasher = Hasher::new(&secret);
        let old = marks::all(&mut client, &keys)?;
        if old.iter().any(|mark| is_of_another(mark, partitions, &secret, &hasher)) {
            return Err(damaged());
        }
        let mut generation = number(b"g").unwrap_or(0);
        if version != Some(VERSION) {
            generation += 1;
            client.ask(&[
                b"HSET",
                key.as_bytes(),
                b"v",
                VERSION.to_string().as_bytes(),
                b"mig",
                from.to_string().as_bytes(),
                b"g",
                generation.to_string().as_bytes(),
            ])?;
        }
        let (epoch, identity) =
            (marks::epoch(&hasher, generation), marks::identity(partitions, &secret));
        let mut packed = Pipeline::default();
        for (partition, mark) in (0..=u8::MAX).zip(&old) {
            if mark.is_present() {
                let meta = keys.meta(partition, Kind::Record);
                packed.command(&[b"HSET", meta.as_bytes(), b"e", &epoch, b"i", &identity]);
            }
        }
        client.call(&packed)?;
        tags(&mut client, &keys)?;
        client.ask(&[b"HDEL", key.as_bytes(), b"mig"])?;
        // Refuses what is still wrong.
        Self::open(options)?;
        Ok(Some(from))
    }
}

/// Returns true if a partition is marked as one of another store.
fn is_of_another(
    mark: &PartitionMark,
    partitions: u16,
    secret: &[u8; 16],
    hasher: &Hasher,
) -> bool {
    let of_us = |version| marks::identity_of(version, partitions, secret).to_vec();
    match (&mark.identity, &mark.epoch) {
        (Some(identity), _) => {
            !(OLDEST_VERSION..=VERSION).any(|version| *identity == of_us(version))
        }
        (None, Some(epoch)) => marks::generation_of(epoch, hasher).is_none(),
        (None, None) => mark.is_damaged,
    }
}

/// Writes the metadata of the tags as this version has them.
fn tags(client: &mut RedisClient, keys: &Keys) -> Result<(), StoreError> {
    let (tags, meta, root) = (keys.tags(), keys.tags_meta(), keys.tags_root());
    for _ in 0..ATTEMPTS {
        let before = client.ask(&[b"HGET", meta.as_bytes(), b"g"])?;
        let before = reply::maybe_octets(before)?.unwrap_or_default();
        let mut subjects = Vec::new();
        let mut packed = Pipeline::default();
        packed.command(&[b"HKEYS", tags.as_bytes()]);
        let fields = client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        for field in reply::list(fields)? {
            let field = String::from_utf8(reply::octets(field)?).ok();
            // `verify` reports tags that cannot be decoded.
            subjects.extend(field.and_then(|field| read_field(&field)).map(|(_, subject)| subject));
        }
        let lengths = lengths_of(subjects.iter());
        let words: [&[u8]; 6] =
            [b"EVAL", TAGS.as_bytes(), b"1", root.as_bytes(), &before, lengths.as_bytes()];
        if reply::integer(&client.ask(&words)?)? == 1 {
            return Ok(());
        }
    }
    Err(StoreError::Conflict)
}
