//! The tagged addresses that lie nearest to one: `pdns near`.
//!
//! Part of `query`. As pDNS2 meant it: an IPv4 address is a point in four dimensions, its octets, and an
//! IPv6 address one in eight, its groups of 16 bits; near is what the Euclidean distance says. So 192.0.2.255
//! and 192.0.3.0, neighbours by number, are 255 apart: the length of the prefix that two addresses share
//! stands beside the distance. A prefix is as near as the nearest of its addresses on which its tag is in effect: what
//! a nearer tag trusts within a threat's prefix is no threat.

use super::order::Smallest;
use super::tags::{Bits, Nets, TagSet, TaggedNet};
use super::{Extent, on_addresses};
use crate::name::NameBuf;
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// The most records of one address that are read to count its names; they take 0.2 s.
pub const MAX_ON_ADDRESS: usize = 50_000;
/// Prefixes whose distances are worked out together.
const TOGETHER: usize = 64;
/// Names that are shown of an address.
const EXAMPLES: usize = 3;

/// A tagged address or prefix, and how near it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Near<'t> {
    /// The tag.
    pub tag: &'t Tag,
    /// Its address, or the nearest address of its prefix.
    pub address: IpAddr,
    /// The square of the distance, which is a whole number.
    pub square: u64,
    /// How many bits the two addresses share from their start.
    pub shared: u8,
}

impl Near<'_> {
    /// The distance.
    #[must_use]
    pub fn distance(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most 8 * 65535^2, below 2^53")]
        let square = self.square as f64;
        square.sqrt()
    }
}

/// What the store has on an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnAddress {
    /// How many names.
    pub names: usize,
    /// The records that were read for it, at most [`MAX_ON_ADDRESS`].
    pub extent: Extent,
    /// Some of them, in order of their text.
    pub examples: Vec<NameBuf>,
}

/// The tagged addresses and prefixes nearest to `address` and of its family, at most `limit` of them (0: all);
/// whether that left any out. Equally near ones go by the longest shared prefix, then by address and
/// kind. An IPv6 address that stands for one of IPv4 is that one.
#[must_use]
pub fn near(
    tags: &TagSet,
    address: IpAddr,
    kind: Option<TagKind>,
    limit: usize,
) -> (Vec<Near<'_>>, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => nearest(tags, tags.v4(), address.to_bits(), kind, limit),
        IpAddr::V6(address) => nearest(tags, tags.v6(), address.to_bits(), kind, limit),
    }
}

/// A tag with its place in the order; the tags of a set go by subject and kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    square: u64,
    shared: Reverse<u8>,
    place: usize,
    there: IpAddr,
}

/// The nearest of one family.
fn nearest<'t, A: Point>(
    tags: &'t TagSet,
    nets: &Nets<A>,
    from: A,
    kind: Option<TagKind>,
    limit: usize,
) -> (Vec<Near<'t>>, bool) {
    let is_wanted = |net: &TaggedNet<A>| kind.is_none_or(|kind| kind == net.kind);
    let mut nearest = Smallest::new(if limit == 0 { usize::MAX } else { limit });
    // What is further away is not among the nearest.
    let (mut bound, mut passed) = (u64::MAX, false);
    let mut squares = [0; TOGETHER];
    for (starts, ends, chunk) in nets.chunks(TOGETHER) {
        // Nothing but arithmetic, so that processors do it for several at once.
        for ((square, &start), &end) in squares.iter_mut().zip(starts).zip(ends) {
            *square = from.square(start, end);
        }
        for (&square, net) in squares.iter().zip(chunk) {
            if !is_wanted(&net) {
                continue;
            }
            if square > bound {
                passed = passed || in_effect(nets, &net, from).is_some();
                continue;
            }
            let Some(there) = in_effect(nets, &net, from) else { continue };
            let (square, shared) = (from.square(there, there), Reverse(from.shared(there)));
            nearest.offer(Placed { square, shared, place: net.place, there: there.address() });
            bound = nearest.worst().map_or(u64::MAX, |worst| worst.square);
        }
    }
    let cut = passed || nearest.overflowed();
    let found = nearest.into_sorted().into_iter().filter_map(|placed| {
        let Placed { square, shared: Reverse(shared), place, there } = placed;
        Some(Near { tag: tags.tags().get(place)?, address: there, square, shared })
    });
    (found.collect(), cut)
}

/// The nearest address of a tagged prefix on which the tag is in effect; `None` where nearer tags override it on all.
///
/// Pieces of the prefix are looked at, nearest first. One whose nearest address is overridden is halved, until it is
/// clear of what overrides it or lies within that.
fn in_effect<A: Point>(nets: &Nets<A>, net: &TaggedNet<A>, from: A) -> Option<A> {
    let piece = |start: A, length: u8| {
        let there = from.clamped(start, start.last(length));
        Reverse((from.square(there, there), Reverse(from.shared(there)), start, length, there))
    };
    let whole = piece(net.start, net.length);
    let Some(opposite) = net.kind.opposite().filter(|_| net.length < A::WIDTH) else {
        return Some(whole.0.4);
    };
    let mut due = BinaryHeap::from([whole]);
    while let Some(Reverse((_, _, start, length, there))) = due.pop() {
        let Some(by) = nets.overriding(there, net.length, opposite) else { return Some(there) };
        // Within what overrides, only a still nearer tag of the same kind can be in effect.
        let is_over = by <= length && !nets.has_within(start, length, net.kind);
        if !is_over && length < A::WIDTH {
            due.push(piece(start, length + 1));
            due.push(piece(start.last(length).network(length + 1), length + 1));
        }
    }
    None
}

/// An address as a point. A prefix is a box: each coordinate is fixed, or in part, or free, and none depends
/// on another.
trait Point: Bits {
    /// The square of the distance to the box between two corners.
    fn square(self, low: Self, high: Self) -> u64;
    /// The point of the box that is nearest.
    fn clamped(self, low: Self, high: Self) -> Self;
    /// How many bits the two share from their start.
    fn shared(self, other: Self) -> u8;
    fn address(self) -> IpAddr;
}

impl Point for u32 {
    fn square(self, low: Self, high: Self) -> u64 {
        let apart = |shift: u32| {
            let octet = |address: Self| address >> shift & 0xff;
            let (at, low, high) = (octet(self), octet(low), octet(high));
            let apart = low.saturating_sub(at) + at.saturating_sub(high);
            apart * apart
        };
        (apart(24) + apart(16) + apart(8) + apart(0)).into()
    }

    fn clamped(self, low: Self, high: Self) -> Self {
        Self::from_be_bytes(clamped(self.to_be_bytes(), low.to_be_bytes(), high.to_be_bytes()))
    }

    fn shared(self, other: Self) -> u8 {
        leading((self ^ other).leading_zeros())
    }

    fn address(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }
}

impl Point for u128 {
    fn square(self, low: Self, high: Self) -> u64 {
        let ends = groups(low).into_iter().zip(groups(high));
        let apart = groups(self).into_iter().zip(ends).map(|(at, (low, high))| {
            let apart = u64::from(at.abs_diff(at.max(low).min(high)));
            apart * apart
        });
        apart.sum()
    }

    fn clamped(self, low: Self, high: Self) -> Self {
        Ipv6Addr::from(clamped(groups(self), groups(low), groups(high))).to_bits()
    }

    fn shared(self, other: Self) -> u8 {
        leading((self ^ other).leading_zeros())
    }

    fn address(self) -> IpAddr {
        Ipv6Addr::from_bits(self).into()
    }
}

/// The coordinates of an IPv6 address.
fn groups(bits: u128) -> [u16; 8] {
    Ipv6Addr::from_bits(bits).segments()
}

/// The point nearest to `point` in a box.
fn clamped<T: Ord + Copy, const N: usize>(point: [T; N], low: [T; N], high: [T; N]) -> [T; N] {
    let mut there = point;
    for ((there, low), high) in there.iter_mut().zip(low).zip(high) {
        *there = (*there).max(low).min(high);
    }
    there
}

fn leading(bits: u32) -> u8 {
    u8::try_from(bits).unwrap_or(u8::MAX)
}

/// What the store has on an address.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn on_address(store: &mut Reader<'_>, address: IpAddr) -> Result<OnAddress, StoreError> {
    let (mut names, mut rows, mut more) = (BTreeSet::new(), 0, false);
    on_addresses(store, address, address, MAX_ON_ADDRESS + 1, &mut |row| {
        if rows >= MAX_ON_ADDRESS {
            more = true;
            return ControlFlow::Break(());
        }
        rows += 1;
        names.insert(row.rrname);
        ControlFlow::Continue(())
    })?;
    let count = names.len();
    let examples = names.into_iter().take(EXAMPLES).collect();
    Ok(OnAddress { names: count, extent: Extent::new(rows, more), examples })
}

#[cfg(test)]
mod tests;
