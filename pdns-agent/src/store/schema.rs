//! Which layout a store has: read at every start, before anything else is touched.

use super::keys::{Keys, Kind, PARTITIONS, VERSION};
use super::link::{Link, Packed};
use super::{StoreError, capacity, reply};
use crate::hash::{Hasher, Router};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read as _;

/// What each partition keeps of the schema, so that it can be made again: version and number of partitions, two octets
/// each, and the hash key.
pub(crate) type Identity = [u8; 20];

/// Reads the schema, creating it when the store is empty, and makes the router that it determines.
pub(crate) fn open(link: &mut Link, keys: &Keys) -> Result<(Router, Identity), StoreError> {
    let key = keys.schema();
    let mut fields = reply::pairs(link.ask(&[b"HGETALL", key.as_bytes()])?)?;
    if fields.is_empty() {
        // Another one may make a store and write to it at this very moment: the schema comes first.
        if !marks(link, keys)?.is_empty() || has_names(link, keys)? {
            fields = reply::pairs(link.ask(&[b"HGETALL", key.as_bytes()])?)?;
            if fields.is_empty() {
                return Err(StoreError::damaged(&key));
            }
        } else {
            fields = create(link, &key)?;
        }
    }
    let fields: HashMap<Vec<u8>, Vec<u8>> = fields.into_iter().collect();
    let number = |field: &[u8]| {
        let text = fields.get(field).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse::<u32>().ok())
    };
    let partitions = number(b"P").and_then(|number| u16::try_from(number).ok());
    let partitions = partitions.filter(|number| (1..=256).contains(number));
    let secret = fields.get(&b"sip"[..]).and_then(|key| <[u8; 16]>::try_from(key.as_slice()).ok());
    match (number(b"v"), partitions, secret) {
        (Some(VERSION), Some(partitions), Some(secret)) => {
            let identity = identity(partitions, &secret);
            if has_other_size(link, keys, &identity)? {
                return Err(StoreError::damaged(&key));
            }
            Ok((Router::new(Hasher::new(&secret), partitions), identity))
        }
        (Some(VERSION), ..) => Err(StoreError::damaged(&key)),
        (None, ..) if !marks(link, keys)?.is_empty() => Err(StoreError::damaged(&key)),
        (found, ..) => {
            let newer = found.is_some_and(|found| found > VERSION);
            Err(StoreError::Schema {
                found: found
                    .map_or_else(|| "of an unknown form".to_owned(), |found| found.to_string()),
                known: VERSION,
                advice: if newer {
                    "install a newer pdns"
                } else {
                    "it was made before the first release: give another `prefix`, and import the logs anew"
                },
            })
        }
    }
}

/// Whether a partition keeps a copy of the schema with the same hash key and another number of partitions: with the
/// wrong number names are looked for, and written, where they do not belong.
fn has_other_size(link: &mut Link, keys: &Keys, identity: &Identity) -> Result<bool, StoreError> {
    let mut packed = Packed::default();
    for partition in 0..=u8::MAX {
        packed.command(&[b"HGET", keys.meta(partition, Kind::Record).as_bytes(), b"i"]);
    }
    let copies = match link.call(&packed) {
        // Who reads that partition is told.
        Err(StoreError::Damaged { .. }) => return Ok(false),
        copies => copies?,
    };
    let (_, secret) = identity.split_at(4);
    for copy in copies {
        let copy = reply::maybe_octets(copy)?.unwrap_or_default();
        if copy.get(4..) == Some(secret) && copy != identity {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Creates the schema, and tells its fields.
fn create(link: &mut Link, key: &str) -> Result<reply::Pairs, StoreError> {
    // What it may delete is not kept.
    capacity::safe_capacity(link)?;
    // Who may only read is refused here, or by the function.
    let prefix = link.options().prefix.clone();
    let missing = |error| match error {
        StoreError::Refused(text) => {
            StoreError::Missing { prefix: prefix.clone(), right: right(&text) }
        }
        error => error,
    };
    link.load_functions().map_err(missing)?;
    let function = link.functions.create.clone();
    let (version, partitions) = (VERSION.to_string(), PARTITIONS.to_string());
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
    reply::pairs(link.ask(&words).map_err(missing)?)
}

fn identity(partitions: u16, secret: &[u8; 16]) -> Identity {
    let mut identity = [0; 20];
    let version = u16::try_from(VERSION).unwrap_or(0).to_be_bytes();
    let fields = version.into_iter().chain(partitions.to_be_bytes()).chain(*secret);
    for (slot, octet) in identity.iter_mut().zip(fields) {
        *slot = octet;
    }
    identity
}

/// What a partition is marked with.
struct PartitionMark {
    epoch: Vec<u8>,
    identity: Option<Vec<u8>>,
}

/// What partitions are marked with.
struct Marks {
    known: Vec<PartitionMark>,
    /// Whether there are partitions whose mark cannot be read.
    is_damaged: bool,
}

impl Marks {
    fn is_empty(&self) -> bool {
        self.known.is_empty() && !self.is_damaged
    }
}

/// The marks of the partitions that were ever written to.
fn marks(link: &mut Link, keys: &Keys) -> Result<Marks, StoreError> {
    let mut packed = Packed::default();
    for partition in 0..=u8::MAX {
        packed.command(&[b"HMGET", keys.meta(partition, Kind::Record).as_bytes(), b"e", b"i"]);
    }
    let answers = match link.call(&packed) {
        Err(StoreError::Damaged { .. }) => {
            // One by one: some are no hashes any more, and still a sign that the partition was written to.
            let mut answers = Vec::new();
            for partition in 0..=u8::MAX {
                let key = keys.meta(partition, Kind::Record);
                match link.ask(&[b"HMGET", key.as_bytes(), b"e", b"i"]) {
                    Err(StoreError::Damaged { .. }) => {}
                    answer => answers.push(answer?),
                }
            }
            answers
        }
        answers => answers?,
    };
    let is_damaged = answers.len() < packed.len();
    let mut marks = Marks { known: Vec::new(), is_damaged };
    for fields in answers {
        let mut fields = reply::list(fields)?.into_iter();
        let mut next = || reply::maybe_octets(fields.next().ok_or(StoreError::Reply)?);
        let (epoch, identity) = (next()?, next()?);
        marks.known.extend(epoch.map(|epoch| PartitionMark { epoch, identity }));
    }
    Ok(marks)
}

/// Whether any partition holds names: one that does is of some store, though it may have lost its mark.
fn has_names(link: &mut Link, keys: &Keys) -> Result<bool, StoreError> {
    let mut packed = Packed::default();
    for partition in 0..=u8::MAX {
        for kind in [Kind::Record, Kind::Negative] {
            let key = keys.log(partition, kind, 0);
            packed.command(&[b"GETRANGE", key.as_bytes(), b"0", b"0"]);
        }
    }
    match link.call(&packed) {
        Err(StoreError::Damaged { .. }) => Ok(true),
        answers => {
            Ok(answers?.iter().any(|answer| *answer != redis::Value::BulkString(Vec::new())))
        }
    }
}

/// Makes the schema again from what the partitions keep of it, when it is gone, does not read, or is that of another
/// store than all of them; whether it was. Where no partition was written to there is nothing to do.
pub(crate) fn rebuild(link: &mut Link, keys: &Keys) -> Result<bool, StoreError> {
    let key = keys.schema();
    let now = match open(link, keys) {
        Ok((router, _)) => Some(epoch(router.hasher())),
        Err(StoreError::Damaged { .. }) => None,
        // Without its version it may be that of a store that a later program made.
        Err(error) => return Err(error),
    };
    let marks = marks(link, keys)?.known;
    if now.is_some_and(|now| marks.is_empty() || marks.iter().any(|mark| mark.epoch == now)) {
        return Ok(false);
    }
    let lost = |why| StoreError::Lost { key: key.clone(), why };
    let first = marks.iter().find_map(|mark| mark.identity.clone());
    let read = first.as_deref().and_then(read_identity);
    let (partitions, secret) = read.ok_or_else(|| {
        lost(
            "no partition keeps a copy of it, which agents of this version make: restore a backup, or empty \
             the store with FLUSHDB and import the logs again",
        )
    })?;
    let of_it = epoch(&Hasher::new(&secret));
    if marks
        .iter()
        .any(|mark| mark.epoch != of_it || (mark.identity.is_some() && mark.identity != first))
    {
        return Err(lost(
            "the partitions are those of different stores: restore a backup, or empty the store with FLUSHDB \
             and import the logs again",
        ));
    }
    let (version, partitions) = (VERSION.to_string(), partitions.to_string());
    let mut packed = Packed::default();
    packed.command(&[b"MULTI"]);
    packed.command(&[b"DEL", key.as_bytes()]);
    packed.command(&[
        b"HSET",
        key.as_bytes(),
        b"v",
        version.as_bytes(),
        b"P",
        partitions.as_bytes(),
        b"sip",
        &secret,
    ]);
    packed.command(&[b"EXEC"]);
    link.call(&packed)?;
    Ok(true)
}

/// Number of partitions and hash key of a copy that is of this version.
fn read_identity(octets: &[u8]) -> Option<(u16, [u8; 16])> {
    let octets: &Identity = octets.try_into().ok()?;
    let (version, rest) = octets.split_first_chunk::<2>()?;
    let (partitions, secret) = rest.split_first_chunk::<2>()?;
    let partitions = u16::from_be_bytes(*partitions);
    let is_ours = u32::from(u16::from_be_bytes(*version)) == VERSION;
    (is_ours && (1..=256).contains(&partitions)).then_some((partitions, secret.try_into().ok()?))
}

/// The command that a refusal names, in our functions' words or in Redis's; all that it says, if it names none.
fn right(refusal: &str) -> String {
    let ours = refusal.split_once("may not run ").and_then(|(_, rest)| rest.split(' ').next());
    ours.or_else(|| refusal.split('\'').nth(1)).unwrap_or(refusal).to_owned()
}

/// Makes sure that the store is still the one that was opened.
pub(crate) fn same(link: &mut Link, keys: &Keys, hasher: &Hasher) -> Result<(), StoreError> {
    let key = keys.schema();
    let secret = reply::maybe_octets(link.ask(&[b"HGET", key.as_bytes(), b"sip"])?)?;
    let secret = secret.and_then(|secret| <[u8; 16]>::try_from(secret).ok());
    match secret {
        Some(secret) if epoch(&Hasher::new(&secret)) == epoch(hasher) => Ok(()),
        _ => Err(StoreError::Replaced),
    }
}

/// What the partitions of a store are marked with: rows known from another store are refused by it.
pub(crate) fn epoch(hasher: &Hasher) -> [u8; 8] {
    hasher.octets(b"epoch").to_be_bytes()
}

/// Sixteen octets that nobody can guess.
pub(super) fn random_key() -> [u8; 16] {
    let mut key = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
    if read.is_err() {
        // The standard library seeds its own hash maps from the system, too.
        let halves = [(); 2].map(|()| RandomState::new().build_hasher().finish().to_be_bytes());
        for (slot, octet) in key.iter_mut().zip(halves.into_iter().flatten()) {
            *slot = octet;
        }
    }
    key
}
