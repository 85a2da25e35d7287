//! The key layout, schema version 5: the names of all keys, as pure functions.
//!
//! All keys of a name lie in one of P partitions and share that partition's hash tag, so that one function call can
//! change them together, on a single server and in a cluster alike. `pp` is the partition in two hex digits; `K` is
//! empty for records and `n` for negative answers. What stands here as `E` is the number of the edition of the partition
//! that is in use (field `x` of its metadata), and nothing for the first.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `pd:schema` | hash | `v` version, `P` partitions, `sip` hash key, `g` generation: grows when a repair renumbers rows, and at a restore, `m` all partitions are marked, `sensor:<name>` copies of `pd:sensors`, `mig` the version from which a migration is under way, `restore` the restore that is under way, `merged:<digest>` hash keys of merged stores |
//! | `pd:sensors` | hash | sensor name to its number |
//! | `pd:{tags}t` | hash | tags: kind and subject to time and words, see `tag.rs` |
//! | `pd:{tags}m` | hash | `g` generation of the tags, `n` entries of their history that there ever were, `k` how many tags there are, `p` the prefix lengths that tags have or had, `f` first entry since a repair that lost some, `c` always -1, which programs of version 2 refuse |
//! | `pd:{tags}h` | list | history of the tags, latest last |
//! | `pd:{tags}i...` | | indicators, see `store/indicators.rs` |
//! | `pd:{tags}j` | hash | the judge: `l` lease, `s` state, see `store/judge.rs` |
//! | `pd:{tags}f` | hash | `l` lease of the process that forgets records, `s` what was forgotten last, as JSON |
//! | `pd:src` | hash | log identity to JSON: acknowledged position, path, state, tally |
//! | `pd:srcw` | hash | log identity to the batch that may be in flight: 8 bytes of its end, 16 of the digest of the log up to there |
//! | `pd:{pp}Km` | hash | `r` rows used, `z` how many of them hold nothing since a repair, `b` `p` end of the name log, `k` `s` bucket bits and split pointer, `n` names, `x` edition of the keys in use, `y` the edition whose keys are being written or deleted, `w` the last number of an edition; records only: `e` epoch, `i` copy of the schema (version, `P`, `sip`), `a` made by a program that marks all partitions |
//! | `pd:{pp}v` | string | the process that repairs the partition; agents wait while it exists, and it expires |
//! | `pd:{pp}KEb<i>` | hash | bucket *i*: hash of a name (8 octets) to position in the log, first day, records |
//! | `pd:{pp}KEw<hash>` | hash | a name with very many records: record to row |
//! | `pd:{pp}KEs<j>` | string | rows of 32 octets, 2,047 in each block |
//! | `pd:{pp}KEq` | hash | row number to its count, if that does not fit into the row |
//! | `pd:{pp}KEg<n>` | hash | row number to its set of sensors, if that does not fit into the row; 64 rows in each hash |
//! | `pd:{pp}KEl<j>` | string | name log: each name once, newline after it, in blocks of 65,500 octets |
//! | `pd:{pp}KEd` | hash | day since the epoch to the number of names first seen on it |
//! | `pd:{pp}KEf` | string | points of the edition before and of this one that correspond, see `store/layout/origin.rs` |
//! | `pd:{pp}y` | hash | day to its turn among the days whose new names are counted by domain; the latest four |
//! | `pd:{pp}y<day>` | hash | hash of a registrable domain (8 octets) to how many names below it were new on that day |
//! | `pd:{pp}u` | hash | registrable domains of which not all names are kept |
//! | `pd:{pp}u<hash>` | hash | one of them: type to the sum of what is not kept, see `store/layout/unkept.rs` |
//! | `pd:{pp}uh<hash><type>` | string | registers that tell how many names are not kept |
//! | `pd:{pp}us<hash>` | hash | sample of the names that are not kept: hash (8 octets) to name |
//! | `pd:{pp}c` | hash | log identity to checkpoint and redo |
//! | `pd:{pp}Et` | hash | digest of RDATA longer than 254 octets to the octets |
//! | `pd:{pp}x<iii>` | set | what points at a name: members (hash of the target, place of the owner) |
//! | `pd:{pp}o<iii>` | set | the same for RDATA that names neither host nor address |
//! | `pd:{4:aabb}` | set | IPv4 /16: members (low 16 bits of the address, place of the owner) |
//! | `pd:{6:aabbccdd}<eeff>` | set | IPv6 /48: members (hash of the address, place of the owner) |
//! | `pd:6:<cc>` | set | which /48 there are, by their third octet: members are their 48 bits |
//!
//! A posting set that grows too large is spread over children whose keys continue its own; see
//! `store/layout/posting.rs`.

use crate::hash::NameLocation;
use crate::record::FactBuf;
use crate::store::layout::extension::SETS;

/// Version of this layout.
pub(crate) const VERSION: u32 = 5;
/// The oldest version that can be migrated.
pub(crate) const OLDEST_VERSION: u32 = 2;
/// Maximum number of tags in a store: all of them are read at once.
pub const MAX_TAGS: u32 = 500_000;
/// Rows in one block; `functions.lua` has the same number.
pub(crate) const ROWS: u32 = 2047;
/// Octets in one row.
pub(crate) const ROW: usize = 32;
/// Octets in one block of the name log; `functions.lua` has the same number.
pub(crate) const LOG: u32 = 65_500;
/// A position in the log is block times this plus offset.
pub(crate) const LOG_STRIDE: u32 = 65_536;
/// Bucket bits of a partition that has no buckets yet.
pub(crate) const FIRST_BITS: u32 = 6;

/// The two stores within a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Records.
    Record,
    /// Negative answers.
    Negative,
}

impl Kind {
    /// Returns the kind of a fact.
    #[must_use]
    pub fn of(fact: &FactBuf) -> Self {
        match fact {
            FactBuf::Record(_) => Self::Record,
            FactBuf::Negative { .. } => Self::Negative,
        }
    }

    /// Returns the letter that tells the two apart in keys.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Record => "",
            Self::Negative => "n",
        }
    }
}

/// The keys of a partition that hold its names and records, in one of their editions.
///
/// What is forgotten is left out of a new edition of the partition, which is written beside the one in use and then takes
/// its place. The first edition has no number in its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Volume {
    pub(crate) partition: u8,
    pub(crate) edition: u32,
}

/// Letters of the keys that belong to an edition.
pub(crate) const EDITED: [u8; 9] = [b'b', b'w', b's', b'q', b'g', b'l', b'd', b't', b'f'];

impl Volume {
    /// Returns the volume that a key belongs to, given what follows the prefix; `None` if it belongs to none.
    pub(crate) fn of_key(rest: &str) -> Option<Self> {
        let (partition, suffix) = rest.strip_prefix('{')?.split_once('}')?;
        let partition = u8::from_str_radix(partition, 16).ok().filter(|_| partition.len() == 2)?;
        let suffix = suffix.strip_prefix('n').unwrap_or(suffix);
        let digits = suffix.bytes().take_while(u8::is_ascii_digit).count();
        let (edition, suffix) = suffix.split_at(digits);
        let edition = if edition.is_empty() { 0 } else { edition.parse().ok()? };
        EDITED.contains(suffix.as_bytes().first()?).then_some(Self { partition, edition })
    }

    /// Returns the first edition of a partition, the only one until something is forgotten.
    pub(crate) fn first(partition: u8) -> Self {
        Self { partition, edition: 0 }
    }

    /// Returns the number of an edition as it stands in keys and metadata.
    pub(crate) fn text(edition: u32) -> String {
        if edition == 0 { String::new() } else { edition.to_string() }
    }
}

/// Builds the keys of a store with one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(crate) fn schema(&self) -> String {
        format!("{}schema", self.prefix)
    }

    pub(crate) fn sensors(&self) -> String {
        format!("{}sensors", self.prefix)
    }

    pub(crate) fn sources(&self) -> String {
        format!("{}src", self.prefix)
    }

    /// Key of the batches that may be in flight, by log.
    pub(crate) fn under_way(&self) -> String {
        format!("{}srcw", self.prefix)
    }

    /// Prefix of the keys of tags, which makes them share a slot.
    pub(crate) fn tags_root(&self) -> String {
        format!("{}{{tags}}", self.prefix)
    }

    /// `t`: the tags.
    pub(crate) fn tags(&self) -> String {
        format!("{}{{tags}}t", self.prefix)
    }

    /// `m`: generation of the tags, and entries of their history.
    pub(crate) fn tags_meta(&self) -> String {
        format!("{}{{tags}}m", self.prefix)
    }

    /// `h`: the history of the tags.
    pub(crate) fn tags_history(&self) -> String {
        format!("{}{{tags}}h", self.prefix)
    }

    /// `j`: the judge.
    pub(crate) fn judge(&self) -> String {
        format!("{}{{tags}}j", self.prefix)
    }

    /// `f`: who forgets records, and what was forgotten last.
    pub(crate) fn forgetting(&self) -> String {
        format!("{}{{tags}}f", self.prefix)
    }

    /// Prefix of all keys of a partition.
    pub(crate) fn partition(&self, partition: u8) -> String {
        format!("{}{{{partition:02x}}}", self.prefix)
    }

    /// The keys that a function declares which works on a partition: one that never exists, and one that always does.
    pub(crate) fn declared(&self, partition: u8) -> [String; 2] {
        [self.partition(partition), self.meta(partition, Kind::Record)]
    }

    /// Prefix of the keys of one kind in a volume.
    pub(crate) fn volume(&self, volume: Volume, kind: Kind) -> String {
        let Volume { partition, edition } = volume;
        let edition = Volume::text(edition);
        format!("{}{{{partition:02x}}}{}{edition}", self.prefix, kind.letter())
    }

    /// `m`: ends of a partition's rows, buckets and log.
    pub(crate) fn meta(&self, partition: u8, kind: Kind) -> String {
        format!("{}{{{partition:02x}}}{}m", self.prefix, kind.letter())
    }

    /// `b`: a bucket of names.
    pub(crate) fn bucket(&self, volume: Volume, kind: Kind, bucket: u32) -> String {
        format!("{}b{bucket}", self.volume(volume, kind))
    }

    /// `w`: the records of a wide name.
    pub(crate) fn wide(&self, volume: Volume, kind: Kind, hash: u64) -> String {
        format!("{}w{hash:016x}", self.volume(volume, kind))
    }

    /// `s`: a block of rows.
    pub(crate) fn rows(&self, volume: Volume, kind: Kind, block: u32) -> String {
        format!("{}s{block}", self.volume(volume, kind))
    }

    /// `q`: counts that do not fit into their rows.
    pub(crate) fn large_counts(&self, volume: Volume, kind: Kind) -> String {
        format!("{}q", self.volume(volume, kind))
    }

    /// `g`: sets of sensors that do not fit into their rows.
    pub(crate) fn sensor_sets(&self, volume: Volume, kind: Kind, row: u32) -> String {
        format!("{}g{}", self.volume(volume, kind), row / SETS)
    }

    /// `l`: a block of the name log.
    pub(crate) fn log(&self, volume: Volume, kind: Kind, block: u32) -> String {
        format!("{}l{block}", self.volume(volume, kind))
    }

    /// `d`: names by first day.
    pub(crate) fn days(&self, volume: Volume, kind: Kind) -> String {
        format!("{}d", self.volume(volume, kind))
    }

    /// `f`: positions and rows of the edition before, and those that took their places.
    pub(crate) fn origin(&self, volume: Volume, kind: Kind) -> String {
        format!("{}f", self.volume(volume, kind))
    }

    /// `u`: domains of which not all names are kept.
    pub(crate) fn unkept_domains(&self, partition: u8) -> String {
        format!("{}{{{partition:02x}}}u", self.prefix)
    }

    /// `u`: the sums of what is not kept below a domain.
    pub(crate) fn unkept(&self, partition: u8, hash: u64) -> String {
        format!("{}{{{partition:02x}}}u{hash:016x}", self.prefix)
    }

    /// `uh`: registers of the names of one type that are not kept below a domain.
    pub(crate) fn unkept_registers(&self, partition: u8, hash: u64, field: &[u8]) -> String {
        format!("{}{{{partition:02x}}}uh{hash:016x}{}", self.prefix, crate::hex::encode(field))
    }

    /// `us`: a sample of the names that are not kept below a domain.
    pub(crate) fn unkept_sample(&self, partition: u8, hash: u64) -> String {
        format!("{}{{{partition:02x}}}us{hash:016x}", self.prefix)
    }

    /// `c`: checkpoints.
    pub(crate) fn checkpoints(&self, partition: u8) -> String {
        format!("{}{{{partition:02x}}}c", self.prefix)
    }

    /// `v`: the process that repairs a partition.
    pub(crate) fn repairer(&self, partition: u8) -> String {
        format!("{}{{{partition:02x}}}v", self.prefix)
    }

    /// `t`: long RDATA.
    pub(crate) fn long(&self, volume: Volume) -> String {
        format!("{}t", self.volume(volume, Kind::Record))
    }

    /// `x`, `o`: posting sets of names and of other RDATA; `index` has 10 bits.
    pub(crate) fn posting(&self, partition: u8, letter: char, index: u64) -> String {
        format!("{}{{{partition:02x}}}{letter}{index:03x}", self.prefix)
    }

    /// Posting set of an IPv4 /16, given its 16 bits.
    pub(crate) fn v4(&self, net: u32) -> String {
        format!("{}{{4:{net:04x}}}", self.prefix)
    }

    /// Posting set of an IPv6 /48, given its 48 bits.
    pub(crate) fn v6(&self, net: u64) -> String {
        format!("{}{{6:{:08x}}}{:04x}", self.prefix, net >> 16, net & 0xffff)
    }

    /// Directory of the IPv6 /48 with this third octet.
    pub(crate) fn v6_nets(&self, octet: u8) -> String {
        format!("{}6:{octet:02x}", self.prefix)
    }
}

/// The part that a key plays in a store, by what follows the prefix. Another store may have a prefix that continues this
/// one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyClass {
    /// It holds data.
    Content,
    /// It says who is at work, and means nothing elsewhere.
    Lease,
    /// It is not a key of the store.
    Foreign,
}

impl KeyClass {
    /// Returns the class of a key, without the prefix.
    pub(crate) fn of(rest: &[u8]) -> Self {
        let is_hex =
            |digits: &[u8]| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        match rest {
            b"schema" | b"sensors" | b"src" | b"srcw" => Self::Content,
            [b'6', b':', octet @ ..] if octet.len() == 2 && is_hex(octet) => Self::Content,
            b"{tags}il" => Self::Lease,
            [b'{', a, b, b'}', b'v'] if is_hex(&[*a, *b]) => Self::Lease,
            [b'{', b't', b'a', b'g', b's', b'}', _, ..] => Self::Content,
            [b'{', a, b, b'}', _, ..] if is_hex(&[*a, *b]) => Self::Content,
            [b'{', b'4', b':', net @ ..] => match net.split_first_chunk::<4>() {
                Some((net, [b'}', ..])) if is_hex(net) => Self::Content,
                _ => Self::Foreign,
            },
            [b'{', b'6', b':', net @ ..] => match net.split_first_chunk::<8>() {
                Some((net, [b'}', ..])) if is_hex(net) => Self::Content,
                _ => Self::Foreign,
            },
            _ => Self::Foreign,
        }
    }
}

/// The location of a name in 32 bits, as in rows and posting sets: the partition above 24 bits of the hash. It
/// identifies a bucket, not a name; readers compare what they find there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pointer(pub(crate) u32);

impl Pointer {
    pub(crate) fn to(place: NameLocation) -> Self {
        Self(u32::from(place.partition) << 24 | low24(place.hash))
    }

    pub(crate) fn new(partition: u8, bits: u32) -> Self {
        Self(u32::from(partition) << 24 | bits & 0xff_ffff)
    }

    pub(crate) fn partition(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// Returns the 24 bits that choose the bucket.
    pub(crate) fn bits(self) -> u32 {
        self.0 & 0xff_ffff
    }
}

/// Returns the low 24 bits of a hash.
pub(crate) fn low24(hash: u64) -> u32 {
    u32::try_from(hash & 0xff_ffff).unwrap_or(0)
}

/// The division of a partition into buckets: linear hashing with 2^bits buckets, of which the first `split` are split
/// in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) bits: u32,
    pub(crate) split: u32,
}

impl Buckets {
    /// Buckets of a partition that has none yet.
    pub(crate) const FIRST: Self = Self { bits: FIRST_BITS, split: 0 };

    /// Number of names from which on no more buckets are added.
    pub(crate) const MOST_NAMES: u64 = 8 << 24;

    /// Returns the buckets of a partition with that many names: a bucket is split whenever there are more than eight
    /// names for each. The function that writes applies the same rule.
    pub(crate) fn due(names: u64) -> Self {
        let count = names.div_ceil(8).clamp(1 << FIRST_BITS, 1 << 24);
        let bits = count.ilog2();
        Self { bits, split: u32::try_from(count - (1 << bits)).unwrap_or(0) }
    }

    /// Returns the bucket for 24 bits of a hash.
    pub(crate) fn of(self, bits: u32) -> u32 {
        let half = 1u32 << self.bits.min(24);
        let index = bits & (half - 1);
        if index < self.split { bits & (half * 2 - 1) } else { index }
    }

    /// Returns the number of buckets.
    pub(crate) fn count(self) -> u32 {
        (1u32 << self.bits.min(24)) + self.split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hash_tag_holds_all_of_a_partition() {
        let keys = Keys::new("pd:");
        assert_eq!(keys.partition(10), "pd:{0a}");
        for key in [
            keys.meta(10, Kind::Negative),
            keys.bucket(Volume::first(10), Kind::Record, 3),
            keys.wide(Volume { partition: 10, edition: 7 }, Kind::Record, 1),
            keys.posting(10, 'x', 1023),
        ] {
            assert!(key.starts_with("pd:{0a}"), "{key}");
        }
        assert_eq!(keys.v4(0xc000), "pd:{4:c000}");
        assert_eq!(keys.v6(0x2001_0db8_0001), "pd:{6:20010db8}0001");
    }

    #[test]
    fn all_keys_are_told_from_those_of_another_store() {
        let keys = Keys::new("");
        for key in [
            keys.schema(),
            keys.sensors(),
            keys.sources(),
            keys.under_way(),
            keys.tags(),
            keys.judge(),
            keys.meta(255, Kind::Negative),
            keys.rows(Volume::first(0), Kind::Record, 7),
            keys.wide(Volume { partition: 10, edition: 7 }, Kind::Record, 1),
            keys.posting(10, 'x', 1023),
            keys.checkpoints(0),
            keys.v4(0xc000),
            keys.v6(0x2001_0db8_0001),
            keys.v6_nets(13),
        ] {
            assert_eq!(KeyClass::of(key.as_bytes()), KeyClass::Content, "{key}");
        }
        for key in [keys.repairer(10), "{tags}il".to_owned()] {
            assert_eq!(KeyClass::of(key.as_bytes()), KeyClass::Lease, "{key}");
        }
        for key in
            ["", "merge:schema", "merge:{00}m", "schemas", "{00}", "{0g}m", "{4:c00}", "6:0", "x"]
        {
            assert_eq!(KeyClass::of(key.as_bytes()), KeyClass::Foreign, "{key}");
        }
    }

    #[test]
    fn the_volume_of_a_key_is_told() {
        let keys = Keys::new("");
        let volume = Volume { partition: 10, edition: 7 };
        for key in [
            keys.rows(volume, Kind::Negative, 3),
            keys.bucket(volume, Kind::Record, 3),
            keys.long(volume),
        ] {
            assert_eq!(Volume::of_key(&key), Some(volume), "{key}");
        }
        let first = Volume::first(10);
        assert_eq!(Volume::of_key(&keys.days(first, Kind::Record)), Some(first));
        for key in [
            keys.meta(10, Kind::Negative),
            keys.posting(10, 'x', 7),
            keys.unkept_domains(10),
            keys.checkpoints(10),
            keys.v4(1),
            keys.tags(),
            "{0a}".to_owned(),
        ] {
            assert_eq!(Volume::of_key(&key), None, "{key}");
        }
    }

    #[test]
    fn a_split_moves_only_names_of_the_bucket_that_is_split() {
        let before = Buckets { bits: 6, split: 3 };
        let after = Buckets { bits: 6, split: 4 };
        for bits in 0..1 << 12 {
            if before.of(bits) == after.of(bits) {
                continue;
            }
            assert_eq!((before.of(bits), after.of(bits)), (3, 67));
        }
        assert_eq!(
            Buckets { bits: 6, split: 63 }.count() + 1,
            Buckets { bits: 7, split: 0 }.count()
        );
    }
}
