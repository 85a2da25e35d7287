//! Brings a store of schema version 2, 3 or 4 to version 5, in place.
//!
//! Version 3 added the indicators, and what the tags need to be looked up one by one. In version 4 counts go beyond
//! 2^32, and each sensor has a number of its own. In version 5 a partition has editions, so that records can be forgotten;
//! until the first is, nothing differs. Rows stay as they are. Each step can be repeated, so a migration that
//! was killed is completed by the next:
//!
//! 1. The schema gets the new version, a mark that the migration is under way, and a new generation. Programs of this
//!    version refuse the store until the mark is gone, those of an earlier one refuse the new version.
//! 2. Each partition gets the new version and the epoch of the new generation. A running agent of an earlier version is
//!    refused at its next batch, opens the store again, and ends with the message that it is too old. What it had
//!    written is kept, and what it had read and not written is read again.
//! 3. A count that stopped at the former limit, 4,294,967,295, gets an entry as a lower bound, from which it goes on.
//! 4. From version 2: the metadata of the tags gets the prefix lengths in use, and a number of tags that scripts of
//!    version 2 refuse.
//! 5. Sensors that shared a number get numbers of their own. Their common number keeps all of their names, since what
//!    they saw until then cannot be told apart.
//! 6. The mark is removed.

use crate::hash::Hasher;
use crate::observation::SENSOR_SEPARATOR;
use crate::store::layout::encoding::row_of;
use crate::store::layout::extension::{LARGE, write_count};
use crate::store::layout::keys::{Keys, Kind, OLDEST_VERSION, ROW, ROWS, VERSION, Volume};
use crate::store::redis::client::{Pipeline, RedisClient};
use crate::store::redis::reply;
use crate::store::schema::marks::{self, PartitionMark};
use crate::store::tags::encoding::read_field;
use crate::store::tags::lengths_of;
use crate::store::write::sources::{SHARED, sensor_number};
use crate::store::{Options, Store, StoreError, schema};
/// Version since which tags have the metadata that [`tags`] writes.
const TAGS_SINCE: u32 = 3;
/// Blocks of rows read in one pipeline: two megabytes.
const BLOCKS: usize = 32;
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
        let (mut client, keys, fields) = schema::stored(options)?;
        let key = keys.schema();
        let number = |field: &[u8]| -> Option<u32> {
            std::str::from_utf8(fields.get(field)?).ok()?.parse().ok()
        };
        let (version, under_way) = (number(b"v"), number(b"mig"));
        let from = match (version, under_way) {
            (Some(VERSION), Some(from)) => from,
            // An earlier program may have been killed while it migrated.
            (Some(version @ OLDEST_VERSION..VERSION), under_way) => under_way.unwrap_or(version),
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
        for partition in (0..partitions).filter_map(|partition| u8::try_from(partition).ok()) {
            for kind in [Kind::Record, Kind::Negative] {
                counts(&mut client, &keys, kind, partition)?;
            }
        }
        if from < TAGS_SINCE {
            tags(&mut client, &keys)?;
        }
        sensors(&mut client, &keys)?;
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

/// Gives each row whose count stopped at the former limit an entry, as a lower bound.
///
/// Blocks that are missing or of another type are left to `verify`, which needs a migrated store.
fn counts(
    client: &mut RedisClient,
    keys: &Keys,
    kind: Kind,
    partition: u8,
) -> Result<(), StoreError> {
    let meta = keys.meta(partition, kind);
    let rows = match client.ask(&[b"HGET", meta.as_bytes(), b"r"]) {
        Err(StoreError::Damaged { .. }) => return Ok(()),
        rows => reply::maybe_octets(rows?)?,
    };
    let rows = rows.and_then(|rows| std::str::from_utf8(&rows).ok()?.parse::<u32>().ok());
    let blocks: Vec<u32> = (0..rows.unwrap_or(0).div_ceil(ROWS)).collect();
    // Nothing was ever forgotten in a store of these versions.
    let volume = Volume::first(partition);
    let key = keys.large_counts(volume, kind);
    let count = write_count(LARGE.into(), true);
    for blocks in blocks.chunks(BLOCKS) {
        let mut packed = Pipeline::default();
        for &block in blocks {
            packed.command(&[b"GET", keys.rows(volume, kind, block).as_bytes()]);
        }
        let mut entries = Pipeline::default();
        for (&block, answer) in blocks.iter().zip(client.call_each(&packed)?) {
            let octets = match answer.map_err(|error| error.of(|| Some(String::new()))) {
                Err(StoreError::Damaged { .. }) => continue,
                answer => reply::maybe_octets(answer?)?.unwrap_or_default(),
            };
            for (row, octets) in (block * ROWS..).zip(octets.as_chunks::<ROW>().0) {
                if row_of(octets).is_large() {
                    let row = row.to_string();
                    entries.command(&[b"HSETNX", key.as_bytes(), row.as_bytes(), &count]);
                }
            }
        }
        client.call(&entries)?;
    }
    Ok(())
}

/// Gives sensors that share a number numbers of their own, and keeps all of their names for the one that they shared.
fn sensors(client: &mut RedisClient, keys: &Keys) -> Result<(), StoreError> {
    let key = keys.sensors();
    let (stored, copies) = schema::sensors(client, keys)?;
    let numbered = stored.into_iter().map(|(name, number)| Some((name, sensor_number(&number)?)));
    let numbered: Option<Vec<(Vec<u8>, u16)>> = numbered.collect();
    let mut numbered = numbered.ok_or_else(|| StoreError::damaged(&key))?;
    numbered.sort_unstable();
    let (mut shared, others): (Vec<_>, Vec<_>) =
        numbered.into_iter().partition(|(_, number)| *number == SHARED);
    let mut numbered = others;
    if shared.len() > 1 {
        let names: Vec<&[u8]> = shared.iter().map(|(name, _)| name.as_slice()).collect();
        let group = (names.join(SENSOR_SEPARATOR.to_string().as_bytes()), SHARED);
        for ((_, number), own) in shared.iter_mut().zip(SHARED + 1..) {
            *number = own;
        }
        shared.push(group);
        // In one command: a part of it would look like another state.
        let mut packed = Pipeline::default();
        packed.begin(2 + 2 * shared.len()).arg("HSET").arg(&key);
        for (name, number) in &shared {
            packed.arg(name).arg(number.to_string());
        }
        client.call(&packed)?;
    }
    numbered.append(&mut shared);
    for (name, number) in numbered {
        let number = number.to_string().into_bytes();
        let is_kept = copies.iter().any(|(copy, kept)| *copy == name && *kept == number);
        if !is_kept {
            schema::keep_sensor(client, keys, &name, &number)?;
        }
    }
    Ok(())
}

/// Writes the metadata of the tags as version 3 has them.
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
        let mut packed = Pipeline::default();
        packed.begin_call("EVAL", TAGS, [&root, &meta], 2).arg(before).arg(&lengths);
        let answer = client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
        if reply::integer(&answer)? == 1 {
            return Ok(());
        }
    }
    Err(StoreError::Conflict)
}
