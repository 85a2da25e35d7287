//! Index of tags by address.
//!
//! Part of [`super::TagSet`]; also searched by `near`. Holds the tagged prefixes of one family in compact
//! arrays, in the order of the tags, so that binary search finds a prefix and a linear scan visits all.

use crate::tag::{Tag, TagKind};
use ipnet::IpNet;

/// Addresses of one family, as numbers.
pub(in crate::query) trait Bits: Copy + Ord + std::fmt::Debug {
    /// Number of bits of an address.
    const WIDTH: u8;
    /// Returns the address with all bits after a prefix of this length cleared.
    fn network(self, length: u8) -> Self;
    /// Returns the address with all bits after a prefix of this length set.
    fn last(self, length: u8) -> Self;
    /// Returns the network address and the length of a prefix; `None` if it is of the other family.
    fn of(net: IpNet) -> Option<(Self, u8)>;
}

/// Tagged prefixes of one family.
#[derive(Clone, Debug)]
pub(in crate::query) struct Nets<A> {
    /// Index of the first tag in the whole set.
    first: usize,
    /// First address of each prefix, in the order of the tags.
    starts: Vec<A>,
    /// Last address of each prefix.
    ends: Vec<A>,
    /// Prefix length and kind of each tag, and true if it is an analyst's.
    marks: Vec<(u8, TagKind, bool)>,
    /// The prefix lengths in use, longest first.
    lengths: Vec<u8>,
}

/// One tagged prefix.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct TaggedNet<A> {
    /// Index of its tag in the whole set.
    pub(in crate::query) place: usize,
    pub(in crate::query) start: A,
    pub(in crate::query) length: u8,
    pub(in crate::query) kind: TagKind,
    /// True if it is an analyst's.
    pub(in crate::query) is_own: bool,
}

impl<A: Bits> Nets<A> {
    /// Indexes tags, which must be in order; `first` is the index of the first one.
    pub(super) fn of(tags: &[Tag], first: usize) -> Self {
        let mut nets = Self {
            first,
            starts: Vec::with_capacity(tags.len()),
            ends: Vec::with_capacity(tags.len()),
            marks: Vec::with_capacity(tags.len()),
            lengths: Vec::new(),
        };
        for tag in tags {
            let Some((start, length)) = tag.subject.net().and_then(A::of) else { continue };
            nets.push(start, length, tag.kind, tag.is_own());
        }
        nets
    }

    /// Indexes rows, which begin with first address, length and kind, and say whether the tag is an analyst's. They must
    /// be in the order of tags.
    pub(in crate::query) fn of_rows(rows: &[(A, u8, TagKind, bool, u32, u32)]) -> Self {
        let mut nets = Self {
            first: 0,
            starts: Vec::with_capacity(rows.len()),
            ends: Vec::with_capacity(rows.len()),
            marks: Vec::with_capacity(rows.len()),
            lengths: Vec::new(),
        };
        for &(start, length, kind, is_own, ..) in rows {
            nets.push(start, length, kind, is_own);
        }
        nets
    }

    fn push(&mut self, start: A, length: u8, kind: TagKind, is_own: bool) {
        self.starts.push(start);
        self.ends.push(start.last(length));
        self.marks.push((length, kind, is_own));
        if let Err(at) = self.lengths.binary_search_by(|known| length.cmp(known)) {
            self.lengths.insert(at, length);
        }
    }

    /// Returns the prefix of a place in the whole set.
    pub(in crate::query) fn at(&self, place: usize) -> Option<TaggedNet<A>> {
        self.from(place.checked_sub(self.first)?).next()
    }

    /// Returns all prefixes in order, in chunks of this size: the first addresses, the last addresses, and the
    /// prefixes.
    pub(in crate::query) fn chunks(
        &self,
        size: usize,
    ) -> impl Iterator<Item = (&[A], &[A], impl Iterator<Item = TaggedNet<A>>)> {
        let ends = self.ends.chunks(size);
        (0..)
            .step_by(size)
            .zip(self.starts.chunks(size).zip(ends))
            .map(move |(at, (starts, ends))| (starts, ends, self.from(at).take(size)))
    }

    /// Returns the length of the prefix whose tag overrides that of `net` at an address, if one does: the longest that
    /// an analyst tagged as threat or trust, if that is the opposite; for trust of a feed, also a feed's threat.
    pub(in crate::query) fn overriding(&self, address: A, net: &TaggedNet<A>) -> Option<u8> {
        let opposite = net.kind.opposite()?;
        let (mut own, mut threat) = (None, None);
        self.holding(address, |place| {
            let mark = place.checked_sub(self.first).and_then(|at| self.marks.get(at));
            match mark {
                Some(&(length, kind, true)) if kind.opposite().is_some() => {
                    own = own.or(Some((length, kind)));
                }
                Some(&(length, TagKind::Threat, false)) => threat = threat.or(Some(length)),
                _ => {}
            }
        });
        match own {
            Some((length, kind)) => {
                (kind == opposite && (length > net.length || !net.is_own)).then_some(length)
            }
            None if net.is_own || net.kind == TagKind::Threat => None,
            None => threat,
        }
    }

    /// Returns true if a longer prefix within a prefix has a tag of this kind.
    pub(in crate::query) fn has_within(&self, start: A, length: u8, kind: TagKind) -> bool {
        let from = self.starts.partition_point(|known| *known < start);
        let last = start.last(length);
        let within = self.from(from).take_while(|net| net.start <= last);
        within.into_iter().any(|net| net.length > length && net.kind == kind)
    }

    fn from(&self, at: usize) -> impl Iterator<Item = TaggedNet<A>> {
        let starts = self.starts.get(at..).unwrap_or_default();
        let marks = self.marks.get(at..).unwrap_or_default();
        (self.first + at..).zip(starts.iter().zip(marks)).map(
            |(place, (&start, &(length, kind, is_own)))| TaggedNet {
                place,
                start,
                length,
                kind,
                is_own,
            },
        )
    }

    /// Passes the indexes of the tags on an address and on the prefixes that contain it to `each`, longest
    /// first.
    pub(super) fn holding(&self, address: A, mut each: impl FnMut(usize)) {
        let mut starts = self.starts.as_slice();
        for &length in &self.lengths {
            let network = address.network(length);
            // A shorter prefix never starts after a longer one that it contains.
            let at = starts.partition_point(|start| *start < network);
            starts = starts.get(..at).unwrap_or_default();
            for net in self.from(at).take_while(|net| net.start == network) {
                if net.length == length {
                    each(net.place);
                }
            }
        }
    }
}

impl Bits for u32 {
    const WIDTH: u8 = 32;

    fn network(self, length: u8) -> Self {
        self & !host(length)
    }

    fn last(self, length: u8) -> Self {
        self | host(length)
    }

    fn of(net: IpNet) -> Option<(Self, u8)> {
        match net {
            IpNet::V4(net) => Some((net.network().to_bits(), net.prefix_len())),
            IpNet::V6(_) => None,
        }
    }
}

impl Bits for u128 {
    const WIDTH: u8 = 128;

    fn network(self, length: u8) -> Self {
        self & !host_long(length)
    }

    fn last(self, length: u8) -> Self {
        self | host_long(length)
    }

    fn of(net: IpNet) -> Option<(Self, u8)> {
        match net {
            IpNet::V4(_) => None,
            IpNet::V6(net) => Some((net.network().to_bits(), net.prefix_len())),
        }
    }
}

/// Returns a mask of the bits of an IPv4 address after a prefix.
fn host(length: u8) -> u32 {
    u32::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// Returns a mask of the bits of an IPv6 address after a prefix.
fn host_long(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}
