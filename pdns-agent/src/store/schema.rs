//! Which layout a store has: read at every start, before anything else is touched.

use super::keys::{Keys, PARTITIONS, VERSION};
use super::link::Link;
use super::{StoreError, reply};
use crate::hash::{Hasher, Router};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read as _;

/// Reads the schema, creating it when the store is empty, and makes the router that it determines.
pub(crate) fn open(link: &mut Link, keys: &Keys) -> Result<Router, StoreError> {
    let key = keys.schema();
    let mut fields = reply::pairs(link.ask(&[b"HGETALL", key.as_bytes()])?)?;
    if fields.is_empty() {
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
        fields = reply::pairs(link.ask(&words).map_err(missing)?)?;
    }
    let fields: HashMap<Vec<u8>, Vec<u8>> = fields.into_iter().collect();
    let number = |field: &[u8]| {
        let text = fields.get(field).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse::<u32>().ok())
    };
    match number(b"v") {
        Some(VERSION) => {}
        found => {
            let newer = found.is_some_and(|found| found > VERSION);
            return Err(StoreError::Schema {
                found: found
                    .map_or_else(|| "of an unknown form".to_owned(), |found| found.to_string()),
                known: VERSION,
                advice: if newer {
                    "install a newer pdns"
                } else {
                    "it was made before the first release: give another `prefix`, and import the logs anew"
                },
            });
        }
    }
    let partitions = number(b"P").and_then(|number| u16::try_from(number).ok());
    let partitions = partitions.filter(|number| (1..=256).contains(number));
    let secret = fields.get(&b"sip"[..]).and_then(|key| <[u8; 16]>::try_from(key.as_slice()).ok());
    let (Some(partitions), Some(secret)) = (partitions, secret) else {
        return Err(StoreError::damaged(&key));
    };
    Ok(Router::new(Hasher::new(&secret), partitions))
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
fn random_key() -> [u8; 16] {
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
