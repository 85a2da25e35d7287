//! The inverted index: maps the targets of records to their owner names.
//!
//! Posting sets hold only integers below 2^52, so that Redis keeps them as sorted arrays of 8 octets and Lua's
//! doubles hold them exactly. A member is a hash or part of an address, 20 bits at most, above the [`Pointer`] of the
//! owner. It is a location, not proof of a match: readers compare the record.
//!
//! The sets lie in other slots than the names, so they are written after the records; until then the pending
//! additions are kept as redo data with the checkpoint. Writing them twice does no harm.
//!
//! A set that grows large is **spread**: its members move to children whose keys continue its own, and a member -1
//! stays as a mark. Writers continue to write to the root, which is spread again when it has grown. Readers read the
//! root before the children, so that they also see a member that is being moved.

use crate::hash::Router;
use crate::name::Name;
use crate::rdata::{Rdata, Target};
use crate::store::layout::keys::{Keys, Pointer};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Number of members from which on a set is spread. Redis gives up the compact form at 8,192.
pub(crate) const LARGE: i64 = 4096;

/// One level of spreading: child = member / divisor % ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Divisor, as a power of two.
    pub(crate) shift: u32,
    /// Number of children, 16 or 256.
    pub(crate) ways: u64,
}

impl Level {
    /// Returns the format of a child's suffix, in the notation of Lua's `string.format`.
    pub(crate) fn format(self) -> &'static str {
        if self.ways == 16 { "%x" } else { "%02x" }
    }

    /// Returns the suffix of child `number`.
    pub(crate) fn suffix(self, number: u64) -> String {
        if self.ways == 16 { format!("{number:x}") } else { format!("{number:02x}") }
    }

    /// Returns the child that a member belongs to.
    pub(crate) fn child(self, member: u64) -> u64 {
        member >> self.shift & (self.ways - 1)
    }
}

/// Levels of an IPv4 /16: /20, /24, /32, then by the owner's hash.
pub(crate) const V4_LEVELS: &[Level] = &[
    Level { shift: 44, ways: 16 },
    Level { shift: 40, ways: 16 },
    Level { shift: 32, ways: 256 },
    Level { shift: 0, ways: 256 },
];
/// Levels of all other sets: by the hash of the target, then by the owner's.
pub(crate) const HASH_LEVELS: &[Level] =
    &[Level { shift: 32, ways: 256 }, Level { shift: 0, ways: 256 }];

/// The index entry of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) key: String,
    /// The upper part of the member; the owner's pointer goes below.
    pub(crate) upper: u64,
    pub(crate) levels: &'static [Level],
    /// The IPv6 /48 to enter into the directory.
    pub(crate) net: Option<u64>,
}

impl Posting {
    /// Returns the index entry of a record with this RDATA.
    pub(crate) fn of(rdata: Rdata<'_>, keys: &Keys, router: &Router) -> Self {
        match rdata.target() {
            Target::V4(address) => Self::v4(address, keys),
            Target::V6(address) => Self::v6(address, keys, router),
            Target::Name(name) => Self::name(name.as_name(), keys, router),
            Target::Octets => Self::octets(rdata.octets, keys, router),
        }
    }

    pub(crate) fn v4(address: Ipv4Addr, keys: &Keys) -> Self {
        let bits = address.to_bits();
        Self {
            key: keys.v4(bits >> 16),
            upper: u64::from(bits & 0xffff),
            levels: V4_LEVELS,
            net: None,
        }
    }

    pub(crate) fn v6(address: Ipv6Addr, keys: &Keys, router: &Router) -> Self {
        let net = u64::try_from(address.to_bits() >> 80).unwrap_or(0);
        let upper = router.hasher().octets(&address.octets()) >> 44;
        Self { key: keys.v6(net), upper, levels: HASH_LEVELS, net: Some(net) }
    }

    pub(crate) fn name(target: Name<'_>, keys: &Keys, router: &Router) -> Self {
        let place = router.place(target);
        let key = keys.posting(place.partition, 'x', place.hash & 0x3ff);
        Self { key, upper: place.hash >> 44, levels: HASH_LEVELS, net: None }
    }

    pub(crate) fn octets(octets: &[u8], keys: &Keys, router: &Router) -> Self {
        let hash = router.hasher().octets(octets);
        let key = keys.posting(router.spread(hash), 'o', hash >> 8 & 0x3ff);
        Self { key, upper: hash >> 44, levels: HASH_LEVELS, net: None }
    }

    /// Returns the member for an owner.
    pub(crate) fn member(&self, owner: Pointer) -> u64 {
        self.upper << 32 | u64::from(owner.0)
    }

    /// Returns the key of the directory of an IPv6 /48.
    pub(crate) fn directory(net: u64, keys: &Keys) -> String {
        keys.v6_nets(u8::try_from(net >> 24 & 0xff).unwrap_or(0))
    }

    /// Returns true if the size of the set is checked after this addition: one in 256. The choice depends only on the
    /// member, so that writers need no counter.
    pub(crate) fn is_probe(member: u64) -> bool {
        (member ^ member >> 8 ^ member >> 16).trailing_zeros() >= 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hasher;
    use crate::rr::RrType;

    #[test]
    fn members_fit_what_lua_and_redis_hold_exactly() {
        let (keys, router) = (Keys::new("pd:"), Router::new(Hasher::new(&[9; 16]), 64));
        let facts: [(RrType, &[u8]); 4] = [
            (RrType::A, &[255; 4]),
            (RrType::AAAA, &[255; 16]),
            (RrType::CNAME, b"\x03www\x07example\x00"),
            (RrType::TXT, b"\x01a"),
        ];
        for (rrtype, octets) in facts {
            let posting = Posting::of(Rdata { rrtype, octets, partial: false }, &keys, &router);
            assert!(posting.member(Pointer(u32::MAX)) < 1 << 52);
            let bits: u32 = posting.levels.iter().map(|level| level.ways.ilog2()).sum();
            assert!(bits <= 24);
        }
    }

    #[test]
    fn an_address_and_its_levels() {
        let keys = Keys::new("pd:");
        let posting = Posting::v4(Ipv4Addr::new(192, 0, 0x2f, 7), &keys);
        assert_eq!((posting.key.as_str(), posting.upper), ("pd:{4:c000}", 0x2f07));
        let member = posting.member(Pointer(0x0102_03ff));
        let path: Vec<_> =
            V4_LEVELS.iter().map(|level| level.suffix(level.child(member))).collect();
        assert_eq!(path, ["2", "f", "07", "ff"]);
    }
}
