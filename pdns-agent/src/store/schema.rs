//! The schema of a store, read at every start before anything else is accessed.

pub(super) mod marks;

use crate::hash::{Hasher, Router};
use crate::store::functions::FUNCTIONS;
use crate::store::layout::keys::{Keys, Kind, OLDEST_VERSION, VERSION};
use crate::store::redis::client::{Pipeline, RedisClient};
use crate::store::redis::options::PARTITIONS;
use crate::store::redis::reply::Pairs;
use crate::store::redis::{capacity, reply};
use crate::store::schema::marks::{Epoch, Identity, PartitionMark, pack_mark, read_mark};
use crate::store::{Options, StoreError};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read as _;
use std::sync::Arc;

/// Prefix of the schema fields that map sensors to their bits: a copy of `pd:sensors`.
const SENSOR: &str = "sensor:";
/// Prefix of the schema fields with the hash keys of stores that were merged into this one, by which their logs are
/// known.
pub(in crate::store) const MERGED: &[u8] = b"merged:";

/// The schema of a store that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    /// The copy of the schema that partitions keep.
    pub(crate) identity: Identity,
    /// Grows when rows that were remembered lead elsewhere: a repair renumbered them, or the store was restored.
    pub(crate) generation: u32,
    /// The epoch under which rows are written.
    pub(crate) epoch: Epoch,
    /// True if all partitions are marked.
    pub(crate) is_marked: bool,
}

/// Connects, and reads the fields of the schema as they are stored, of whatever version; none if there is no store.
pub(in crate::store) fn stored(options: &Options) -> Result<StoredSchema, StoreError> {
    let mut client = RedisClient::open(options.clone(), Arc::default())?;
    client.refuse_unsupported()?;
    let keys = Keys::new(&options.prefix);
    let fields = reply::pairs(client.ask(&[b"HGETALL", keys.schema().as_bytes()])?)?;
    Ok((client, keys, fields.into_iter().collect()))
}

/// A connection, the keys of its store, and the fields of the schema.
type StoredSchema = (RedisClient, Keys, HashMap<Vec<u8>, Vec<u8>>);

/// Reads the schema, creating it if the store is empty, and derives the router from it.
pub(crate) fn open(client: &mut RedisClient, keys: &Keys) -> Result<(Router, Schema), StoreError> {
    let key = keys.schema();
    // One round trip: the marks of the default number of partitions show whether this is the right schema. A store
    // has that number unless another program created it.
    let mut packed = Pipeline::default();
    packed.command(&[b"HGETALL", key.as_bytes()]);
    for partition in (0..PARTITIONS).filter_map(|partition| u8::try_from(partition).ok()) {
        pack_mark(&mut packed, keys, partition);
    }
    let mut answers = client.call_each(&packed)?.into_iter();
    let fields = answers.next().ok_or(StoreError::Reply)?;
    let mut fields = reply::pairs(fields.map_err(|error| error.of(|| Some(key.clone())))?)?;
    let marks: Vec<PartitionMark> = answers.map(read_mark).collect::<Result<_, _>>()?;
    let mut is_new = false;
    if fields.is_empty() {
        // Another process may be creating a store and writing to it right now: the schema comes first.
        let marks = marks::all(client, keys)?;
        if marks.iter().any(PartitionMark::is_present) || marks::has_names(client, keys)? {
            fields = reply::pairs(client.ask(&[b"HGETALL", key.as_bytes()])?)?;
            if fields.is_empty() {
                return Err(StoreError::damaged(&key));
            }
        } else {
            fields = create(client, &key)?;
            is_new = true;
        }
    }
    let (router, mut schema) = read(client, keys, fields)?;
    if is_new {
        mark_all(client, keys, &router, &mut schema)?;
    } else if contradict(&marks, &router, &schema) {
        return Err(StoreError::damaged(&key));
    }
    Ok((router, schema))
}

/// Parses the fields of a schema.
fn read(
    client: &mut RedisClient,
    keys: &Keys,
    fields: Pairs,
) -> Result<(Router, Schema), StoreError> {
    let key = keys.schema();
    let fields: HashMap<Vec<u8>, Vec<u8>> = fields.into_iter().collect();
    // It has this field alone, and no more of a schema than a version that earlier programs refuse.
    if fields.contains_key(&b"restore"[..]) {
        return Err(StoreError::unfinished_restore());
    }
    let number = |field: &[u8]| {
        let text = fields.get(field).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse::<u32>().ok())
    };
    let partitions = number(b"P").and_then(|number| u16::try_from(number).ok());
    let partitions = partitions.filter(|number| (1..=256).contains(number));
    let secret = fields.get(&b"sip"[..]).and_then(|key| <[u8; 16]>::try_from(key.as_slice()).ok());
    let generation = if fields.contains_key(&b"g"[..]) { number(b"g") } else { Some(0) };
    let is_under_way = fields.contains_key(&b"mig"[..]);
    match (number(b"v"), partitions, secret, generation) {
        (Some(VERSION), ..) if is_under_way => Err(StoreError::Schema {
            found: format!("{}, half migrated to {VERSION}", number(b"mig").unwrap_or(0)),
            known: VERSION,
            advice: "a migration was interrupted or is under way: run `pdns admin migrate`",
        }),
        (Some(VERSION), Some(partitions), Some(secret), Some(generation)) => {
            let hasher = Hasher::new(&secret);
            let schema = Schema {
                identity: marks::identity(partitions, &secret),
                generation,
                epoch: marks::epoch(&hasher, generation),
                is_marked: fields.contains_key(&b"m"[..]),
            };
            let merged = fields.iter().filter(|(field, _)| field.starts_with(MERGED));
            let mut merged: Vec<_> = merged.collect();
            merged.sort_unstable();
            let merged = merged.into_iter().map(|(_, secret)| {
                let secret = secret.as_slice().try_into().map_err(|_| StoreError::damaged(&key))?;
                Ok(Hasher::new(secret))
            });
            let merged = merged.collect::<Result<_, StoreError>>()?;
            Ok((Router::new(hasher, partitions).with_merged(merged), schema))
        }
        (Some(VERSION), ..) => Err(StoreError::damaged(&key)),
        (None, ..) if marks::all(client, keys)?.iter().any(PartitionMark::is_present) => {
            Err(StoreError::damaged(&key))
        }
        (found, ..) => {
            let advice = match found {
                Some(found) if found > VERSION => "install a newer pdns",
                Some(OLDEST_VERSION..VERSION) => {
                    "stop the old agents, then run `pdns admin migrate`, which keeps all records"
                }
                _ => {
                    "it was made before the first release: give another `prefix`, and import the logs anew"
                }
            };
            Err(StoreError::Schema {
                found: found
                    .map_or_else(|| "of an unknown form".to_owned(), |found| found.to_string()),
                known: VERSION,
                advice,
            })
        }
    }
}

/// Returns true if the marks are those of another schema. With another hash key or number of partitions, names are
/// looked up and written in the wrong place. If a single partition differs, that partition is damaged.
fn contradict(marks: &[PartitionMark], router: &Router, schema: &Schema) -> bool {
    let (mut same, mut other) = (0, 0);
    for mark in marks {
        let generation =
            mark.epoch.as_deref().and_then(|epoch| marks::generation_of(epoch, router.hasher()));
        let is_same = match &mark.identity {
            Some(identity) => *identity == schema.identity,
            None if mark.epoch.is_some() => generation.is_some(),
            None => continue,
        };
        // The schema is the first key to show a new generation.
        if is_same && generation.is_some_and(|generation| generation > schema.generation) {
            return true;
        }
        if is_same { same += 1 } else { other += 1 }
    }
    other > same
}

/// Marks all partitions of a store, and records that they are marked.
pub(crate) fn mark_all(
    client: &mut RedisClient,
    keys: &Keys,
    router: &Router,
    schema: &mut Schema,
) -> Result<(), StoreError> {
    mark(client, keys, router.partitions(), schema.epoch, &schema.identity)?;
    client.ask(&[b"HSET", keys.schema().as_bytes(), b"m", b"1"])?;
    schema.is_marked = true;
    Ok(())
}

/// Reads the sensors and their bits as stored, and the copies of them in the schema.
pub(crate) fn sensors(client: &mut RedisClient, keys: &Keys) -> Result<(Pairs, Pairs), StoreError> {
    let mut packed = Pipeline::default();
    packed.command(&[b"HGETALL", keys.sensors().as_bytes()]);
    packed.command(&[b"HGETALL", keys.schema().as_bytes()]);
    let mut answers = client.call(&packed)?.into_iter();
    let mut next = || reply::pairs(answers.next().ok_or(StoreError::Reply)?);
    let (stored, fields) = (next()?, next()?);
    let copy = |(field, bit): (Vec<u8>, Vec<u8>)| {
        Some((field.strip_prefix(SENSOR.as_bytes())?.to_vec(), bit))
    };
    Ok((stored, fields.into_iter().filter_map(copy).collect()))
}

/// Stores a copy of a sensor's bit.
pub(crate) fn keep_sensor(
    client: &mut RedisClient,
    keys: &Keys,
    name: &[u8],
    bit: &[u8],
) -> Result<(), StoreError> {
    let field = [SENSOR.as_bytes(), name].concat();
    client.ask(&[b"HSET", keys.schema().as_bytes(), &field, bit])?;
    Ok(())
}

/// Creates the schema, and returns its fields.
fn create(client: &mut RedisClient, key: &str) -> Result<Pairs, StoreError> {
    // A schema that Redis may evict is not created.
    capacity::safe_capacity(client)?;
    // A user with read-only access is refused here, or by the function.
    let prefix = client.options().prefix.clone();
    let missing = |error| match error {
        StoreError::Refused(text) => {
            StoreError::Missing { prefix: prefix.clone(), right: right(&text) }
        }
        error => error,
    };
    FUNCTIONS.load(client).map_err(missing)?;
    let function = &FUNCTIONS.create;
    let (version, partitions) = (VERSION.to_string(), client.options().partitions.to_string());
    let words: [&[u8]; 10] = [
        b"FCALL",
        function.as_bytes(),
        b"1",
        key.as_bytes(),
        b"v",
        version.as_bytes(),
        b"P",
        partitions.as_bytes(),
        b"sip",
        &random_key(),
    ];
    reply::pairs(client.ask(&words).map_err(missing)?)
}

/// Restores the schema from the copies in the partitions if it is missing, cannot be decoded, or belongs to another
/// store than they do. Returns true if it was restored. Without any marked partition there is nothing to do.
pub(crate) fn rebuild(client: &mut RedisClient, keys: &Keys) -> Result<bool, StoreError> {
    let key = keys.schema();
    match open(client, keys) {
        Ok(_) => return Ok(false),
        Err(StoreError::Damaged { .. }) => {}
        // Without its version, it may be the schema of a store made by a later program.
        Err(error) => return Err(error),
    }
    let lost = |why| StoreError::Lost { key: key.clone(), why };
    let marks = marks::all(client, keys)?;
    let mut copies = marks.iter().filter_map(PartitionMark::read);
    let (identity, mut generation) = copies.next().ok_or_else(|| {
        lost(
            "no partition keeps a copy of it, which agents of this version make: restore a backup, or empty \
             the store with FLUSHDB and import the logs again",
        )
    })?;
    let (version, partitions, secret) = marks::read_identity(&identity).ok_or(StoreError::Reply)?;
    let hasher = Hasher::new(&secret);
    let is_other = |mark: &PartitionMark| match (mark.read(), &mark.epoch) {
        // Their versions differ in the middle of a migration.
        (Some((copy, _)), _) => {
            marks::read_identity(&copy).map(|(_, partitions, secret)| (partitions, secret))
                != Some((partitions, secret))
        }
        (None, Some(epoch)) if mark.identity.is_none() => {
            marks::generation_of(epoch, &hasher).is_none()
        }
        _ => false,
    };
    if marks.iter().any(is_other) {
        return Err(lost(
            "the partitions are those of different stores: restore a backup, or empty the store with FLUSHDB \
             and import the logs again",
        ));
    }
    let mut newest = version;
    let mut oldest = version;
    for (copy, other) in copies {
        generation = generation.max(other);
        let (version, ..) = marks::read_identity(&copy).ok_or(StoreError::Reply)?;
        (oldest, newest) = (oldest.min(version), newest.max(version));
    }
    let under_way = oldest.to_string();
    let (version, partitions) = (newest.to_string(), partitions.to_string());
    let generation = generation.to_string();
    let mut words: Vec<&[u8]> = vec![
        b"HSET",
        key.as_bytes(),
        b"v",
        version.as_bytes(),
        b"P",
        partitions.as_bytes(),
        b"sip",
        &secret,
        b"g",
        generation.as_bytes(),
    ];
    if oldest < newest {
        words.extend([&b"mig"[..], under_way.as_bytes()]);
    }
    if let Err(StoreError::Damaged { .. }) = client.ask(&words) {
        client.ask(&[b"DEL", key.as_bytes()])?;
        client.ask(&words)?;
    }
    if marks.iter().any(|mark| mark.is_of_all) {
        client.ask(&[b"HSET", key.as_bytes(), b"m", b"1"])?;
    }
    Ok(true)
}

/// Marks the empty partitions, unless they are marked already.
fn mark(
    client: &mut RedisClient,
    keys: &Keys,
    partitions: u16,
    epoch: Epoch,
    identity: &Identity,
) -> Result<(), StoreError> {
    let mut packed = Pipeline::default();
    for partition in (0..partitions).filter_map(|partition| u8::try_from(partition).ok()) {
        let keys = keys.declared(partition);
        let keys = keys.each_ref().map(String::as_str);
        packed.begin_call("FCALL", &FUNCTIONS.mark, keys, 2).arg(epoch).arg(identity);
    }
    for (answer, partition) in client.call_each(&packed)?.into_iter().zip(0..=u8::MAX) {
        let meta = || Some(keys.meta(partition, Kind::Record));
        answer.map_err(|error| error.of(meta))?;
    }
    Ok(())
}

/// Extracts the command that a refusal names, in the words of our functions or of Redis; the whole text if it names
/// none.
fn right(refusal: &str) -> String {
    let ours = refusal.split_once("may not run ").and_then(|(_, rest)| rest.split(' ').next());
    ours.or_else(|| refusal.split('\'').nth(1)).unwrap_or(refusal).to_owned()
}

/// Checks that the store is still the one that was opened; returns true if all its partitions are marked.
pub(crate) fn same(
    client: &mut RedisClient,
    keys: &Keys,
    router: &Router,
    schema: &Schema,
) -> Result<bool, StoreError> {
    let key = keys.schema();
    let fields = reply::list(client.ask(&[b"HMGET", key.as_bytes(), b"sip", b"g", b"m"])?)?;
    let mut fields = fields.into_iter();
    let mut next = || reply::maybe_octets(fields.next().ok_or(StoreError::Reply)?);
    let (secret, generation, is_marked) = (next()?, next()?, next()?.is_some());
    let secret = secret.and_then(|secret| <[u8; 16]>::try_from(secret).ok());
    let is_generation = match generation {
        Some(generation) => generation == schema.generation.to_string().as_bytes(),
        None => schema.generation == 0,
    };
    let is_same = secret.is_some_and(|secret| {
        marks::epoch(&Hasher::new(&secret), schema.generation)
            == marks::epoch(router.hasher(), schema.generation)
    });
    match (is_same, is_generation) {
        (true, true) => Ok(is_marked),
        (true, false) => Err(StoreError::Renumbered),
        (false, _) if is_in_partitions(client, keys, router, schema)? => {
            Err(StoreError::SchemaLost { key })
        }
        (false, _) => Err(StoreError::Replaced),
    }
}

/// Returns true if a partition is still marked as one of the store that was opened.
fn is_in_partitions(
    client: &mut RedisClient,
    keys: &Keys,
    router: &Router,
    schema: &Schema,
) -> Result<bool, StoreError> {
    let is_ours = |mark: &PartitionMark| match (&mark.identity, &mark.epoch) {
        (Some(identity), _) => *identity == schema.identity,
        (None, Some(epoch)) => marks::generation_of(epoch, router.hasher()).is_some(),
        (None, None) => false,
    };
    Ok(marks::all(client, keys)?.iter().any(is_ours))
}

/// Generates 16 unpredictable bytes.
pub(in crate::store) fn random_key() -> [u8; 16] {
    let mut key = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
    if read.is_err() {
        // The standard library also seeds its own hash maps from the system.
        let halves = [(); 2].map(|()| RandomState::new().build_hasher().finish().to_be_bytes());
        for (slot, octet) in key.iter_mut().zip(halves.into_iter().flatten()) {
            *slot = octet;
        }
    }
    key
}
