//! The keyed hash that spreads names over the store and identifies logs.
//!
//! Layer 0. `SipHash`-1-3 with a key that each store draws when it is created: whoever chooses names on
//! the wire cannot aim at one bucket.

use crate::name::Name;
use siphasher::sip::SipHasher13;
use siphasher::sip128;
use std::hash::Hasher as _;

/// The secret of one store.
pub type Key = [u8; 16];

/// Hashes with one store's key.
#[derive(Clone, Debug)]
pub struct Hasher {
    short: SipHasher13,
    long: sip128::SipHasher13,
}

impl Hasher {
    /// A hasher for the store with this key.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self { short: SipHasher13::new_with_key(key), long: sip128::SipHasher13::new_with_key(key) }
    }

    /// 64 bits of any octets.
    #[must_use]
    pub fn octets(&self, octets: &[u8]) -> u64 {
        let mut hasher = self.short;
        hasher.write(octets);
        hasher.finish()
    }

    /// 64 bits of a name's canonical text.
    #[must_use]
    pub fn name(&self, name: Name<'_>) -> u64 {
        self.octets(name.as_str().as_bytes())
    }

    /// 128 bits of any octets: identity enough to stand for them.
    #[must_use]
    pub fn identity(&self, octets: &[u8]) -> [u8; 16] {
        let mut hasher = self.long;
        hasher.write(octets);
        sip128::Hasher128::finish128(&hasher).as_bytes()
    }
}
