//! The keyed hash that spreads names over the store and identifies logs.
//!
//! Layer 0. `SipHash`-1-3 with a key that each store draws when it is created: whoever chooses names
//! on the wire cannot aim at one bucket.

mod prefix_digest;

pub use prefix_digest::{DIGEST, PrefixDigest, StoredDigest};

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
        let mut identity = self.begin();
        identity.write(octets);
        identity.finish()
    }

    /// Begins a [`Hasher::identity`] of octets that come in parts.
    #[must_use]
    pub fn begin(&self) -> Identity {
        Identity(self.long)
    }
}

/// [`Hasher::identity`] of octets that come in parts.
#[derive(Clone, Debug)]
pub struct Identity(sip128::SipHasher13);

impl Identity {
    /// The next octets.
    pub fn write(&mut self, octets: &[u8]) {
        self.0.write(octets);
    }

    /// The 128 bits of all octets so far.
    #[must_use]
    pub fn finish(&self) -> [u8; 16] {
        sip128::Hasher128::finish128(&self.0).as_bytes()
    }
}

/// Says where in the store a name belongs.
#[derive(Clone, Debug)]
pub struct Router {
    hasher: Hasher,
    partitions: u16,
}

/// Where a name belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition: that of all names with the same routing key.
    pub partition: u8,
    /// The name's hash. Its low 24 bits choose the bucket, the 20 above them the slice of a batch.
    pub hash: u64,
}

impl Router {
    /// A router for a store of that many partitions: 1 to 256.
    #[must_use]
    pub fn new(hasher: Hasher, partitions: u16) -> Self {
        Self { hasher, partitions: partitions.clamp(1, 256) }
    }

    /// The hasher.
    #[must_use]
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// How many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The place of a name.
    #[must_use]
    pub fn place(&self, name: Name<'_>) -> Place {
        Place { partition: self.partition(name), hash: self.hasher.name(name) }
    }

    /// The partition of a name.
    #[must_use]
    pub fn partition(&self, name: Name<'_>) -> u8 {
        self.spread(self.hasher.octets(routing_key(name.as_str()).as_bytes()))
    }

    /// The partition of any hash: by bits that choose nothing else. An apex is its own routing key, so that the
    /// bits of its bucket, were they these, would be the same for all of them in a partition.
    #[must_use]
    pub fn spread(&self, hash: u64) -> u8 {
        u8::try_from((hash >> 48) % u64::from(self.partitions)).unwrap_or(u8::MAX)
    }

    /// The partition that holds all names at or below `apex`, if one does.
    #[must_use]
    pub fn partition_below(&self, apex: Name<'_>) -> Option<u8> {
        let key = routing_key(apex.as_str());
        // A name with fewer labels than a routing key has is no key of names below it.
        let labels = key_labels(apex.as_str());
        let has = if apex.is_root() { 0 } else { apex.labels().count() };
        (has >= labels).then(|| self.spread(self.hasher.octets(key.as_bytes())))
    }
}

/// Two-label suffixes under which the registrable domain is the third label. Frozen with the
/// schema: a change would move names between partitions. It only spreads load; what people are
/// shown follows the public suffix list.
const THIRD_LEVEL: &[&str] = &[
    "ac.jp", "ac.uk", "co.id", "co.il", "co.in", "co.jp", "co.kr", "co.nz", "co.th", "co.uk",
    "co.za", "com.ar", "com.au", "com.br", "com.cn", "com.hk", "com.mx", "com.my", "com.pl",
    "com.sg", "com.tr", "com.tw", "com.ua", "com.vn", "go.jp", "gov.au", "gov.br", "gov.cn",
    "gov.uk", "ne.jp", "net.au", "net.br", "net.cn", "nhs.uk", "or.jp", "org.au", "org.br",
    "org.uk",
];

/// How many last labels of a name make its routing key.
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

/// The last labels of a name that decide its partition.
fn routing_key(text: &str) -> &str {
    last_labels(text, key_labels(text))
}

/// The last `count` labels of canonical text, or all of it. A dot behind an odd run of backslashes is
/// part of a label.
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
        // Some 1,000 names, 16 in each.
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
