//! The keyed hash that spreads names over the store and identifies logs.
//!
//! Layer 0. `SipHash`-1-3 with a key that each store draws at random when it is created, so that an attacker
//! who chooses names on the wire cannot aim them at one bucket.

mod prefix_digest;

pub use prefix_digest::{DIGEST, PrefixDigest, StoredDigest};

use crate::name::Name;
use siphasher::sip::SipHasher13;
use siphasher::sip128;
use std::hash::Hasher as _;
use std::sync::Arc;

/// The secret key of one store.
pub type Key = [u8; 16];

/// Computes hashes with the key of one store.
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

    /// 64-bit hash of any octets.
    #[must_use]
    pub fn octets(&self, octets: &[u8]) -> u64 {
        let mut hasher = self.short;
        hasher.write(octets);
        hasher.finish()
    }

    /// 64-bit hash of a name's canonical text.
    #[must_use]
    pub fn name(&self, name: Name<'_>) -> u64 {
        self.octets(name.as_str().as_bytes())
    }

    /// 128-bit hash of any octets, long enough to identify them.
    #[must_use]
    pub fn identity(&self, octets: &[u8]) -> [u8; 16] {
        let mut identity = self.begin();
        identity.write(octets);
        identity.finish()
    }

    /// Starts a [`Hasher::identity`] over octets that arrive in parts.
    #[must_use]
    pub fn begin(&self) -> IdentityHasher {
        IdentityHasher(self.long)
    }
}

/// Incremental form of [`Hasher::identity`], for octets that arrive in parts.
#[derive(Clone, Debug)]
pub struct IdentityHasher(sip128::SipHasher13);

impl IdentityHasher {
    /// Adds the next octets.
    pub fn write(&mut self, octets: &[u8]) {
        self.0.write(octets);
    }

    /// The 128-bit hash of all octets so far.
    #[must_use]
    pub fn finish(&self) -> [u8; 16] {
        sip128::Hasher128::finish128(&self.0).as_bytes()
    }
}

/// Maps a name to its location in the store.
#[derive(Clone, Debug)]
pub struct Router {
    hasher: Hasher,
    partitions: u16,
    merged: Arc<[Hasher]>,
}

/// Location of a name in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLocation {
    /// The partition, shared by all names with the same routing key.
    pub partition: u8,
    /// The name's hash. Its low 24 bits select the bucket, the 20 bits above them the slice of a batch.
    pub hash: u64,
}

impl Router {
    /// A router for a store with the given number of partitions: 1 to 256.
    #[must_use]
    pub fn new(hasher: Hasher, partitions: u16) -> Self {
        Self { hasher, partitions: partitions.clamp(1, 256), merged: Arc::default() }
    }

    /// The same router for a store into which other stores were merged.
    #[must_use]
    pub fn with_merged(self, merged: Vec<Hasher>) -> Self {
        Self { merged: merged.into(), ..self }
    }

    /// The hashers of the stores that were merged into this one: their logs are known by these.
    #[must_use]
    pub fn merged(&self) -> &[Hasher] {
        &self.merged
    }

    /// The hasher.
    #[must_use]
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Number of partitions.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The location of a name.
    #[must_use]
    pub fn place(&self, name: Name<'_>) -> NameLocation {
        NameLocation { partition: self.partition(name), hash: self.hasher.name(name) }
    }

    /// The partition of a name.
    #[must_use]
    pub fn partition(&self, name: Name<'_>) -> u8 {
        self.spread(self.hasher.octets(routing_key(name.as_str()).as_bytes()))
    }

    /// The partition for any hash, selected by bits that select nothing else. An apex is its own routing key:
    /// if the bits of its bucket were used, they would be the same for all apexes of a partition.
    #[must_use]
    pub fn spread(&self, hash: u64) -> u8 {
        u8::try_from((hash >> 48) % u64::from(self.partitions)).unwrap_or(u8::MAX)
    }

    /// The partition that holds all names at or below `apex`, if there is a single one.
    #[must_use]
    pub fn partition_below(&self, apex: Name<'_>) -> Option<u8> {
        let key = routing_key(apex.as_str());
        // A name with fewer labels than a routing key is not the routing key of the names below it.
        let labels = key_labels(apex.as_str());
        let has = if apex.is_root() { 0 } else { apex.labels().count() };
        (has >= labels).then(|| self.spread(self.hasher.octets(key.as_bytes())))
    }
}

/// Two-label suffixes whose registrable domains have three labels. Frozen with the schema: a change would
/// move names between partitions. The list only serves to spread load; anything displayed uses the public
/// suffix list.
const THIRD_LEVEL: &[&str] = &[
    "ac.jp", "ac.uk", "co.id", "co.il", "co.in", "co.jp", "co.kr", "co.nz", "co.th", "co.uk",
    "co.za", "com.ar", "com.au", "com.br", "com.cn", "com.hk", "com.mx", "com.my", "com.pl",
    "com.sg", "com.tr", "com.tw", "com.ua", "com.vn", "go.jp", "gov.au", "gov.br", "gov.cn",
    "gov.uk", "ne.jp", "net.au", "net.br", "net.cn", "nhs.uk", "or.jp", "org.au", "org.br",
    "org.uk",
];

/// Number of trailing labels that form the routing key of a name.
fn key_labels(text: &str) -> usize {
    let two = last_labels(text, 2);
    if THIRD_LEVEL.binary_search(&two).is_ok() {
        3
    } else if two == "in-addr.arpa" {
        4
    } else if two == "ip6.arpa" {
        10
    } else {
        2
    }
}

/// The trailing labels of a name that determine its partition.
fn routing_key(text: &str) -> &str {
    last_labels(text, key_labels(text))
}

/// The last `count` labels of canonical text, or all of it. A dot after an odd number of backslashes belongs
/// to a label.
fn last_labels(text: &str, count: usize) -> &str {
    let octets = text.as_bytes();
    let mut left = count;
    for at in memchr::memrchr_iter(b'.', octets) {
        let head = octets.get(..at).unwrap_or_default();
        let escaped = head.iter().rev().take_while(|&&octet| octet == b'\\').count() % 2 == 1;
        if !escaped {
            left -= 1;
            if left == 0 {
                return text.get(at + 1..).unwrap_or(text);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;

    #[test]
    fn routing_keys() {
        assert!(THIRD_LEVEL.is_sorted());
        for (name, key) in [
            ("www.example.com", "example.com"),
            ("com", "com"),
            (".", "."),
            ("a.b.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("1.2.0.192.in-addr.arpa", "0.192.in-addr.arpa"),
            ("a\\.b.com", "a\\.b.com"),
            ("x.a\\.b.com", "a\\.b.com"),
        ] {
            assert_eq!(routing_key(name), key, "{name}");
        }
    }

    #[test]
    fn an_identity_does_not_depend_on_the_parts() {
        let hasher = Hasher::new(&[7; 16]);
        let mut identity = hasher.begin();
        for part in [&b"par"[..], b"", b"ts of something longer than a block"] {
            identity.write(part);
        }
        assert_eq!(identity.finish(), hasher.identity(b"parts of something longer than a block"));
    }

    #[test]
    fn what_shares_a_partition_is_spread_over_its_buckets() {
        let router = Router::new(Hasher::new(&[7; 16]), 64);
        let mut buckets = [0_u32; 64];
        for number in 0..64_000 {
            let place = router.place(NameBuf::parse(&format!("n{number}.test")).unwrap().as_name());
            if place.partition == 5 {
                buckets[usize::try_from(place.hash % 64).unwrap()] += 1;
            }
        }
        // About 1,000 names, 16 in each.
        assert!(buckets.iter().all(|&names| (1..=40).contains(&names)), "{buckets:?}");
    }

    #[test]
    fn names_below_share_a_partition_when_the_apex_is_long_enough() {
        let router = Router::new(Hasher::new(&[7; 16]), 64);
        let name = |text: &str| NameBuf::parse(text).unwrap();
        let apex = name("example.co.uk");
        let below = router.partition_below(apex.as_name()).unwrap();
        assert_eq!(router.partition(name("a.b.example.co.uk").as_name()), below);
        for short in [".", "com", "co.uk", "in-addr.arpa", "192.in-addr.arpa"] {
            assert_eq!(router.partition_below(name(short).as_name()), None, "{short}");
        }
        assert!(router.partition_below(name("0.192.in-addr.arpa").as_name()).is_some());
    }
}
