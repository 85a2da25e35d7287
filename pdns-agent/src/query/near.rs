//! The tagged addresses that lie nearest to one: `pdns near`.
//!
//! Part of `query`. Defined as in pDNS2: an IPv4 address is a point in four dimensions (its octets), an IPv6
//! address a point in eight (its groups of 16 bits), and nearness is the Euclidean distance. So 192.0.2.255 and
//! 192.0.3.0 are 255 apart although they are adjacent numbers; that is why the length of the shared prefix is
//! shown beside the distance. A prefix is as near as the nearest of its addresses on which its tag is in
//! effect: the part of a threat's prefix that a nearer tag trusts is not a threat.

mod threats;

use super::order::TopN;
use super::tags::{Bits, Nets, TagSet, TaggedNet};
use super::{Extent, on_addresses};
use crate::name::NameBuf;
use crate::store::{Reader, StoreError};
use crate::tag::{Tag, TagKind};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
pub use threats::{NearThreat, Threats};

/// Maximum number of records of one address to read when counting its names; they take 0.2 s.
pub const MAX_ON_ADDRESS: usize = 50_000;
/// Number of prefixes whose distances are computed together.
const TOGETHER: usize = 64;
/// Maximum number of example names of an address.
const EXAMPLES: usize = 3;

/// A tagged address or prefix, and its distance.
#[derive(Clone, Debug, PartialEq)]
pub struct Near<'t> {
    /// The tag.
    pub tag: &'t Tag,
    /// Its address, or the nearest address of its prefix.
    pub address: IpAddr,
    /// The square of the distance, which is an integer.
    pub square: u64,
    /// Number of leading bits that the two addresses share.
    pub shared: u8,
}

impl Near<'_> {
    /// Returns the distance.
    #[must_use]
    pub fn distance(&self) -> f64 {
        distance(self.square)
    }
}

/// Returns the distance of which this is the square.
fn distance(square: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 8 * 65535^2, below 2^53")]
    let square = square as f64;
    square.sqrt()
}

/// Names of an address in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnAddress {
    /// Number of names.
    pub names: usize,
    /// The records read to count them, at most [`MAX_ON_ADDRESS`].
    pub extent: Extent,
    /// Some of the names, in text order.
    pub examples: Vec<NameBuf>,
}

/// Returns the tagged addresses and prefixes nearest to `address` and of its family, at most `limit` of them
/// (0: all), and true if the limit left any out. Ties sort by longest shared prefix, then by address and kind.
/// An IPv4-mapped IPv6 address counts as IPv4.
#[must_use]
pub fn near(
    tags: &TagSet,
    address: IpAddr,
    kind: Option<TagKind>,
    limit: usize,
) -> (Vec<Near<'_>>, bool) {
    let (found, is_cut) = match address.to_canonical() {
        IpAddr::V4(address) => nearest(tags.v4(), address.to_bits(), kind, limit),
        IpAddr::V6(address) => nearest(tags.v6(), address.to_bits(), kind, limit),
    };
    let found = found.into_iter().filter_map(|placed| {
        let RankedTag { square, shared: Reverse(shared), place, there } = placed;
        Some(Near { tag: tags.tags().get(place)?, address: there, square, shared })
    });
    (found.collect(), is_cut)
}

/// A tag with its sort key; the tags of a set are sorted by subject and kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RankedTag {
    square: u64,
    shared: Reverse<u8>,
    place: usize,
    there: IpAddr,
}

/// Returns the nearest tags of one family, and true if the limit left any out.
fn nearest<A: Point>(
    nets: &Nets<A>,
    from: A,
    kind: Option<TagKind>,
    limit: usize,
) -> (Vec<RankedTag>, bool) {
    let is_wanted = |net: &TaggedNet<A>| kind.is_none_or(|kind| kind == net.kind);
    let mut nearest = TopN::new(if limit == 0 { usize::MAX } else { limit });
    // Tags beyond the bound are not among the nearest.
    let (mut bound, mut passed) = (u64::MAX, false);
    let mut squares = [0; TOGETHER];
    for (starts, ends, chunk) in nets.chunks(TOGETHER) {
        // Only arithmetic, so that the compiler can vectorize it.
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
            nearest.offer(RankedTag { square, shared, place: net.place, there: there.address() });
            bound = nearest.worst().map_or(u64::MAX, |worst| worst.square);
        }
    }
    let cut = passed || nearest.overflowed();
    (nearest.into_sorted(), cut)
}

/// Returns the nearest address of a tagged prefix on which the tag is in effect; `None` if nearer tags override
/// it everywhere.
///
/// Examines pieces of the prefix, nearest first. A piece whose nearest address is overridden is halved until it
/// lies completely outside or inside the overriding prefix.
fn in_effect<A: Point>(nets: &Nets<A>, net: &TaggedNet<A>, from: A) -> Option<A> {
    let piece = |start: A, length: u8| {
        let there = from.clamped(start, start.last(length));
        Reverse((from.square(there, there), Reverse(from.shared(there)), start, length, there))
    };
    let whole = piece(net.start, net.length);
    if net.kind.opposite().is_none() || (net.is_own && net.length == A::WIDTH) {
        return Some(whole.0.4);
    }
    let mut due = BinaryHeap::from([whole]);
    while let Some(Reverse((_, _, start, length, there))) = due.pop() {
        let Some(by) = nets.overriding(there, net) else { return Some(there) };
        // Within the overriding prefix, only a still nearer tag of the same kind can be in effect.
        let is_over = by <= length && !nets.has_within(start, length, net.kind);
        if !is_over && length < A::WIDTH {
            due.push(piece(start, length + 1));
            due.push(piece(start.last(length).network(length + 1), length + 1));
        }
    }
    None
}

/// An address as a point. A prefix is a box: each coordinate is fixed, partly fixed or free, independently of
/// the others.
trait Point: Bits {
    /// Returns the square of the distance to the box between two corners.
    fn square(self, low: Self, high: Self) -> u64;
    /// Returns the nearest point of the box.
    fn clamped(self, low: Self, high: Self) -> Self;
    /// Returns the number of leading bits that both share.
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

/// Returns the coordinates of an IPv6 address.
fn groups(bits: u128) -> [u16; 8] {
    Ipv6Addr::from_bits(bits).segments()
}

/// Returns the point of a box that is nearest to `point`.
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

/// Reads the names of an address in the store.
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
