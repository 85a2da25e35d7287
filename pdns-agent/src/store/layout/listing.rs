//! The encoding of indicators in Redis: where a subject lies, and what a bucket holds.
//!
//! Indicators lie in buckets, the fields of 64 hashes with 1,024 buckets each. A keyed hash of the subject selects
//! hash and field, so that an answer reads the buckets of its own subjects alone: one for each name and each domain
//! above it, four for an address, whatever the number of indicators. With two million of them a bucket holds about
//! thirty, and takes a kilobyte.
//!
//! A bucket is a sequence of subjects. Each has the length of its key, the key, the length of its listings, the
//! listings; lengths are varints (seven bits an octet, least significant first). A listing is what one source says
//! of the subject; texts that many of them share are numbers of words (`pd:{tags}iw`).

use crate::hash::Hasher;
use crate::indicator::{MAX_CONFIDENCE, Tlp};
use crate::name::{Name, NameBuf};
use crate::tag::{TagKind, TagSubject};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Number of hashes with buckets.
pub(in crate::store) const SHARDS: u8 = 64;
/// Buckets in each of them.
const BUCKETS: u64 = 1_024;

/// Place of a subject: the hash, and the field in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct BucketAddress {
    pub(in crate::store) shard: u8,
    pub(in crate::store) bucket: u16,
}

impl BucketAddress {
    fn of(hasher: &Hasher, group: &[u8]) -> Self {
        let hash = hasher.octets(group);
        Self {
            shard: u8::try_from(hash % u64::from(SHARDS)).unwrap_or(0),
            bucket: u16::try_from(hash / u64::from(SHARDS) % BUCKETS).unwrap_or(0),
        }
    }

    /// Returns the field of the bucket.
    pub(in crate::store) fn field(self) -> [u8; 2] {
        self.bucket.to_be_bytes()
    }

    /// Returns the bucket of a field; `None` for other fields.
    pub(in crate::store) fn of_field(field: &[u8]) -> Option<u16> {
        let bucket = u16::from_be_bytes(field.try_into().ok()?);
        (u64::from(bucket) < BUCKETS).then_some(bucket)
    }
}

/// Returns the place of a subject.
pub(in crate::store) fn place(hasher: &Hasher, subject: &TagSubject) -> BucketAddress {
    match subject {
        TagSubject::Name(name) | TagSubject::Below(name) => place_of_name(hasher, name.as_str()),
        TagSubject::Net(net) => BucketAddress::of(hasher, &group(*net, net.prefix_len())),
    }
}

/// Returns the place of a name, and of the name with everything below it.
pub(in crate::store) fn place_of_name(hasher: &Hasher, name: &str) -> BucketAddress {
    let mut group = Vec::with_capacity(1 + name.len());
    group.push(b'n');
    group.extend_from_slice(name.as_bytes());
    BucketAddress::of(hasher, &group)
}

/// Returns the places of all prefixes that contain a prefix.
pub(in crate::store) fn places_around(hasher: &Hasher, net: IpNet) -> Vec<BucketAddress> {
    let lengths: &[u8] = match net {
        IpNet::V4(_) => &[0, 16, 24, 32],
        IpNet::V6(_) => &[0, 32, 48, 128],
    };
    let fits = lengths.iter().filter(|&&length| length <= net.prefix_len());
    fits.map(|&length| BucketAddress::of(hasher, &group(net, length))).collect()
}

/// Returns the group of prefixes that share a bucket: those of similar length within one network, so that a bucket
/// stays small, and the buckets around an address are few.
fn group(net: IpNet, length: u8) -> Vec<u8> {
    let (family, class, shared) = match net {
        IpNet::V4(_) => match length {
            0..16 => (b'4', 0, 0),
            16..24 => (b'4', 1, 16),
            24..32 => (b'4', 2, 24),
            _ => (b'4', 3, 32),
        },
        IpNet::V6(_) => match length {
            0..32 => (b'6', 0, 0),
            32..48 => (b'6', 1, 32),
            48..128 => (b'6', 2, 48),
            _ => (b'6', 3, 128),
        },
    };
    let network = IpNet::new(net.addr(), shared).unwrap_or(net).trunc();
    let mut group = vec![family, class];
    octets_of(network, &mut group);
    group
}

fn octets_of(net: IpNet, out: &mut Vec<u8>) {
    let used = usize::from(net.prefix_len().div_ceil(8));
    match net {
        IpNet::V4(net) => out.extend(net.network().octets().into_iter().take(used)),
        IpNet::V6(net) => out.extend(net.network().octets().into_iter().take(used)),
    }
}

/// Encodes the key of a subject within its bucket: `=` or `.` and a name, `4` or `6`, the length of a prefix and as
/// many octets as it fills.
pub(in crate::store) fn key(subject: &TagSubject) -> Vec<u8> {
    let (sort, name) = match subject {
        TagSubject::Name(name) => (b'=', name),
        TagSubject::Below(name) => (b'.', name),
        TagSubject::Net(net) => {
            let sort = if matches!(net, IpNet::V4(_)) { b'4' } else { b'6' };
            let mut key = vec![sort, net.prefix_len()];
            octets_of(*net, &mut key);
            return key;
        }
    };
    key_of_name(sort, name.as_str())
}

/// Encodes the key of a name (`=`), or of a name with everything below it (`.`).
pub(in crate::store) fn key_of_name(sort: u8, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(sort);
    key.extend_from_slice(name.as_bytes());
    key
}

/// Decodes a key.
pub(in crate::store) fn subject(key: &[u8]) -> Option<TagSubject> {
    let (sort, rest) = key.split_first()?;
    let name = || -> Option<NameBuf> {
        Name::from_canonical(std::str::from_utf8(rest).ok()?).ok().map(Name::to_buf)
    };
    match sort {
        b'=' => name().map(TagSubject::Name),
        b'.' => name().filter(|name| !name.as_name().is_root()).map(TagSubject::Below),
        b'4' | b'6' => net(key).map(TagSubject::Net),
        _ => None,
    }
}

/// Decodes the prefix in a key, if it is one.
pub(in crate::store) fn net(key: &[u8]) -> Option<IpNet> {
    let (&[sort, length], octets) = key.split_first_chunk::<2>()?;
    if octets.len() != usize::from(length.div_ceil(8)) {
        return None;
    }
    let mut bits = [0_u8; 16];
    for (octet, slot) in octets.iter().zip(&mut bits) {
        *slot = *octet;
    }
    let net = match sort {
        b'4' => {
            let first: [u8; 4] = *bits.first_chunk()?;
            IpNet::V4(Ipv4Net::new(Ipv4Addr::from(first), length).ok()?)
        }
        b'6' => IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bits), length).ok()?),
        _ => return None,
    };
    (net.trunc() == net).then_some(net)
}

/// A text of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) enum Text {
    /// None.
    #[default]
    None,
    /// The number of a word.
    Word(u32),
    /// The text itself.
    Inline(String),
}

/// A statement of one source about a subject, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Listing {
    /// Number of the source.
    pub(in crate::store) source: u32,
    pub(in crate::store) kind: TagKind,
    pub(in crate::store) confidence: u8,
    /// Seconds since the epoch, as all times here.
    pub(in crate::store) first_listed: u32,
    /// The last time it was listed; `None` while it still is.
    pub(in crate::store) gone: Option<u32>,
    pub(in crate::store) valid_until: Option<u32>,
    /// Labels, with the unit separator (1F hex) between them.
    pub(in crate::store) labels: Text,
    /// The first part of the reference, which references of a source share; never inline.
    pub(in crate::store) reference_head: Text,
    /// The rest of the reference.
    pub(in crate::store) reference_tail: String,
    pub(in crate::store) note: Text,
    pub(in crate::store) tlp: Option<Tlp>,
    pub(in crate::store) is_conditional: bool,
}

/// Bits of the first octet of a listing, above the two of the kind.
const CONDITIONAL: u8 = 1 << 2;
const GONE: u8 = 1 << 3;
const UNTIL: u8 = 1 << 4;
const LABELS: u8 = 1 << 5;
const REFERENCE: u8 = 1 << 6;
const NOTE: u8 = 1 << 7;

impl Listing {
    /// Appends the listing to a bucket.
    pub(in crate::store) fn write(&self, out: &mut Vec<u8>) {
        let has_reference = self.reference_head != Text::None || !self.reference_tail.is_empty();
        let bits = [
            (CONDITIONAL, self.is_conditional),
            (GONE, self.gone.is_some()),
            (UNTIL, self.valid_until.is_some()),
            (LABELS, self.labels != Text::None),
            (REFERENCE, has_reference),
            (NOTE, self.note != Text::None),
        ];
        let kind = match self.kind {
            TagKind::Threat => 0,
            TagKind::Interest => 1,
            TagKind::Trust => 2,
        };
        out.push(
            bits.into_iter().filter(|(_, is_set)| *is_set).fold(kind, |all, (bit, _)| all | bit),
        );
        let tlp = self.tlp.and_then(|tlp| Tlp::ALL.iter().position(|known| *known == tlp));
        out.push(tlp.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0));
        out.push(self.confidence.min(MAX_CONFIDENCE));
        varint(self.source, out);
        out.extend(self.first_listed.to_be_bytes());
        for time in [self.gone, self.valid_until].into_iter().flatten() {
            out.extend(time.to_be_bytes());
        }
        write_text(&self.labels, out);
        if has_reference {
            match self.reference_head {
                Text::Word(word) => varint(word, out),
                _ => varint(0, out),
            }
            write_octets(self.reference_tail.as_bytes(), out);
        }
        write_text(&self.note, out);
    }

    /// Reads a listing, and removes it from the octets; `None` if they are invalid.
    pub(in crate::store) fn read(octets: &mut &[u8]) -> Option<Self> {
        let (&[bits, tlp, confidence], rest) = octets.split_first_chunk::<3>()?;
        *octets = rest;
        let kind = match bits & 3 {
            0 => TagKind::Threat,
            1 => TagKind::Interest,
            2 => TagKind::Trust,
            _ => return None,
        };
        let tlp = match tlp.checked_sub(1) {
            None => None,
            Some(at) => Some(*Tlp::ALL.get(usize::from(at))?),
        };
        let has = |bit: u8| bits & bit != 0;
        let source = read_varint(octets)?;
        let first_listed = read_time(octets)?;
        let gone = if has(GONE) { Some(read_time(octets)?) } else { None };
        let valid_until = if has(UNTIL) { Some(read_time(octets)?) } else { None };
        let labels = if has(LABELS) { read_text(octets)? } else { Text::None };
        let (reference_head, reference_tail) = if has(REFERENCE) {
            let head = match read_varint(octets)? {
                0 => Text::None,
                word => Text::Word(word),
            };
            (head, read_string(octets)?)
        } else {
            (Text::None, String::new())
        };
        let note = if has(NOTE) { read_text(octets)? } else { Text::None };
        Some(Self {
            source,
            kind,
            confidence: (confidence <= MAX_CONFIDENCE).then_some(confidence)?,
            first_listed,
            gone,
            valid_until,
            labels,
            reference_head,
            reference_tail,
            note,
            tlp,
            is_conditional: has(CONDITIONAL),
        })
    }

    /// Reads all listings of a subject; `None` if one is invalid.
    pub(in crate::store) fn read_all(mut octets: &[u8]) -> Option<Vec<Self>> {
        let mut listings = Vec::with_capacity(1);
        while !octets.is_empty() {
            listings.push(Self::read(&mut octets)?);
        }
        Some(listings)
    }

    /// Returns true if two listings say the same, whenever they were listed.
    pub(in crate::store) fn says_the_same(&self, other: &Self) -> bool {
        let timeless = |listing: &Self| Self { first_listed: 0, gone: None, ..listing.clone() };
        timeless(self) == timeless(other)
    }
}

/// Appends a subject to a bucket.
pub(in crate::store) fn write_subject(key: &[u8], listings: &[u8], out: &mut Vec<u8>) {
    write_octets(key, out);
    write_octets(listings, out);
}

/// Reads the next subject of a bucket, as key and listings, and removes it from the octets; `None` if they are
/// invalid.
pub(in crate::store) fn read_subject<'b>(octets: &mut &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
    let key = read_octets(octets)?;
    Some((key, read_octets(octets)?))
}

/// Encodes a number in as many octets as it needs.
fn varint(number: u32, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}

fn read_varint(octets: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..32).step_by(7) {
        let (&octet, rest) = octets.split_first()?;
        *octets = rest;
        let bits = u32::from(octet & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

fn write_octets(octets: &[u8], out: &mut Vec<u8>) {
    varint(u32::try_from(octets.len()).unwrap_or(u32::MAX), out);
    out.extend_from_slice(octets);
}

fn read_octets<'b>(octets: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(read_varint(octets)?).ok()?;
    let (read, rest) = octets.split_at_checked(length)?;
    *octets = rest;
    Some(read)
}

fn read_string(octets: &mut &[u8]) -> Option<String> {
    String::from_utf8(read_octets(octets)?.to_vec()).ok()
}

fn read_time(octets: &mut &[u8]) -> Option<u32> {
    let (time, rest) = octets.split_first_chunk::<4>()?;
    *octets = rest;
    Some(u32::from_be_bytes(*time))
}

/// Encodes a text: the number of its word, or 0 and the text itself.
fn write_text(text: &Text, out: &mut Vec<u8>) {
    match text {
        Text::None => {}
        Text::Word(word) => varint(*word, out),
        Text::Inline(text) => {
            varint(0, out);
            write_octets(text.as_bytes(), out);
        }
    }
}

fn read_text(octets: &mut &[u8]) -> Option<Text> {
    match read_varint(octets)? {
        0 => read_string(octets).map(Text::Inline),
        word => Some(Text::Word(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Vec<TagSubject> {
        let name = |text: &str| NameBuf::parse(text).unwrap();
        let net = |text: &str| TagSubject::Net(text.parse().unwrap());
        vec![
            TagSubject::Name(name("www.example.com")),
            TagSubject::Below(name("example.com")),
            TagSubject::Name(name(".")),
            TagSubject::Name(name("a b.example")),
            net("192.0.2.1/32"),
            net("192.0.2.128/25"),
            net("0.0.0.0/0"),
            net("2001:db8::1/128"),
            net("2001:db8::/33"),
        ]
    }

    fn listing() -> Listing {
        Listing {
            source: 300,
            kind: TagKind::Threat,
            confidence: 75,
            first_listed: 1,
            gone: Some(2),
            valid_until: Some(u32::MAX),
            labels: Text::Word(70_000),
            reference_head: Text::Word(1),
            reference_tail: "123".to_owned(),
            note: Text::Inline("\u{e9}".to_owned()),
            tlp: Some(Tlp::Red),
            is_conditional: true,
        }
    }

    #[test]
    fn what_is_stored_reads_back() {
        let plain = Listing {
            kind: TagKind::Trust,
            gone: None,
            valid_until: None,
            labels: Text::None,
            reference_head: Text::None,
            reference_tail: String::new(),
            note: Text::None,
            tlp: None,
            is_conditional: false,
            ..listing()
        };
        let mut bucket = Vec::new();
        for subject in subjects() {
            assert_eq!(super::subject(&key(&subject)), Some(subject.clone()));
            let mut listings = Vec::new();
            listing().write(&mut listings);
            plain.write(&mut listings);
            write_subject(&key(&subject), &listings, &mut bucket);
        }
        let mut rest = bucket.as_slice();
        for subject in subjects() {
            let (key, listings) = read_subject(&mut rest).unwrap();
            assert_eq!(super::subject(key), Some(subject));
            assert_eq!(Listing::read_all(listings), Some(vec![listing(), plain.clone()]));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn damaged_octets_are_noticed() {
        let mut octets = Vec::new();
        listing().write(&mut octets);
        for end in 0..octets.len() {
            assert_eq!(Listing::read(&mut &octets[..end]), None, "{end}");
        }
        assert_eq!(read_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(read_varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Some(u32::MAX));
        for key in [&b"="[..], b"..", b"4\x21", b"4\x18\x01\x02", b"4\x07\xff", b"x", b"=A", b"6"] {
            assert_eq!(subject(key), None, "{key:?}");
        }
    }

    #[test]
    fn an_address_finds_every_prefix_that_contains_it() {
        let hasher = Hasher::new(&[3; 16]);
        for (address, most) in [("192.0.2.77", 32), ("2001:db8:1:2::3", 128)] {
            let full = IpNet::new(address.parse().unwrap(), most).unwrap();
            for length in 0..=most {
                let wider = IpNet::new(full.addr(), length).unwrap().trunc();
                let place = place(&hasher, &TagSubject::Net(wider));
                assert!(places_around(&hasher, full).contains(&place), "{wider}");
            }
        }
    }
}
