//! The way from an address to its tags.
//!
//! Part of [`super::TagSet`], and what `near` goes through: the tagged prefixes of one family in compact arrays, in the order
//! of the tags themselves, so that a prefix is found by halving and all are gone through in one line.

use crate::tag::{Tag, TagKind};
use ipnet::IpNet;

/// Addresses of one family, as numbers.
pub(in crate::query) trait Bits: Copy + Ord + std::fmt::Debug {
    /// How many bits an address has.
    const WIDTH: u8;
    /// The address without the bits behind a prefix of this length.
    fn network(self, length: u8) -> Self;
    /// The address with all bits behind a prefix of this length set.
    fn last(self, length: u8) -> Self;
    /// The network address and the length of a prefix that is of this family.
    fn of(net: IpNet) -> Option<(Self, u8)>;
}

/// Tagged prefixes of one family.
#[derive(Clone, Debug)]
pub(in crate::query) struct Nets<A> {
    /// The place of the first tag among all.
    first: usize,
    /// Of each tag, in their order, the first address of its prefix.
    starts: Vec<A>,
    /// The last ones.
    ends: Vec<A>,
    /// Of each tag, the length of its prefix and its kind.
    marks: Vec<(u8, TagKind)>,
    /// The lengths that there are, longest first.
    lengths: Vec<u8>,
}

/// One tagged prefix.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct TaggedNet<A> {
    /// The place of its tag among all.
    pub(in crate::query) place: usize,
    pub(in crate::query) start: A,
    pub(in crate::query) length: u8,
    pub(in crate::query) kind: TagKind,
}

impl<A: Bits> Nets<A> {
    /// Of some tags, in order, the first of which has this place.
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
            nets.starts.push(start);
            nets.ends.push(start.last(length));
            nets.marks.push((length, tag.kind));
            if let Err(at) = nets.lengths.binary_search_by(|known| length.cmp(known)) {
                nets.lengths.insert(at, length);
            }
        }
        nets
    }

    /// All of them, in order, so many at a time: the first addresses, the last ones, and the whole.
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

    /// The length of the longest prefix that holds an address and is tagged as a threat or trusted, if that is
    /// `opposite` and longer than `length`.
    pub(in crate::query) fn overriding(
        &self,
        address: A,
        length: u8,
        opposite: TagKind,
    ) -> Option<u8> {
        let mut nearest = None;
        self.holding(address, |place| {
            let mark = place.checked_sub(self.first).and_then(|at| self.marks.get(at));
            if let Some(&(found, kind)) = mark
                && nearest.is_none()
                && kind.opposite().is_some()
            {
                nearest = Some((found, kind));
            }
        });
        nearest.filter(|&(found, kind)| kind == opposite && found > length).map(|(found, _)| found)
    }

    /// Whether a longer prefix within a prefix is tagged with this kind.
    pub(in crate::query) fn has_within(&self, start: A, length: u8, kind: TagKind) -> bool {
        let from = self.starts.partition_point(|known| *known < start);
        let last = start.last(length);
        let within = self.from(from).take_while(|net| net.start <= last);
        within.into_iter().any(|net| net.length > length && net.kind == kind)
    }

    fn from(&self, at: usize) -> impl Iterator<Item = TaggedNet<A>> {
        let starts = self.starts.get(at..).unwrap_or_default();
        let marks = self.marks.get(at..).unwrap_or_default();
        (self.first + at..)
            .zip(starts.iter().zip(marks))
            .map(|(place, (&start, &(length, kind)))| TaggedNet { place, start, length, kind })
    }

    /// Hands out the places of the tags on an address and on the prefixes that hold it, longest first.
    pub(super) fn holding(&self, address: A, mut each: impl FnMut(usize)) {
        let mut starts = self.starts.as_slice();
        for &length in &self.lengths {
            let network = address.network(length);
            // A shorter prefix does not begin behind a longer one.
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

/// The bits of an IPv4 address behind a prefix.
fn host(length: u8) -> u32 {
    u32::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// The bits of an IPv6 address behind a prefix.
fn host_long(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}
