//! The tagged addresses that lie nearest to one: `pdns near`.
//!
//! Part of `query`. As pDNS2 meant it: an IPv4 address is a point in four dimensions, its octets, and an
//! IPv6 address one in eight, its groups of 16 bits; near is what the Euclidean distance says. So 192.0.2.255
//! and 192.0.3.0, neighbours by number, are 255 apart: the length of the prefix that two addresses share
//! stands beside the distance. A prefix is as near as the nearest of its addresses.

use super::order::Smallest;
use super::tags::TagSet;
use crate::name::NameBuf;
use crate::store::{Store, StoreError, Tag, TagKind};
use ipnet::IpNet;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// The most names that are counted on one address.
pub const MAX_NAMES: usize = 1_000;
/// The most rows that are read to count them.
const MAX_ROWS: usize = 4 * MAX_NAMES;
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
    /// How many names, at most [`MAX_NAMES`].
    pub names: usize,
    /// Whether there are more.
    pub more: bool,
    /// The first of them by their text.
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
    let address = address.to_canonical();
    let keep = if limit == 0 { tags.tags().len() } else { limit };
    let mut nearest = Smallest::new(keep);
    for (place, (net, tag)) in tags.tagged_nets().enumerate() {
        if kind.is_some_and(|kind| kind != tag.kind) {
            continue;
        }
        let Some((there, square)) = within(*net, address) else { continue };
        let placed = Placed { square, shared: Reverse(shared(address, there)), place, there, tag };
        match nearest.worst() {
            Some(worst) if *worst < placed => nearest.refuse(),
            _ => nearest.offer(placed),
        }
    }
    let cut = nearest.overflowed();
    let found = nearest.into_sorted().into_iter().map(|placed| Near {
        tag: placed.tag,
        address: placed.there,
        square: placed.square,
        shared: placed.shared.0,
    });
    (found.collect(), cut)
}

/// A tag with its place in the order; the tags of a set go by subject and kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Placed<'t> {
    square: u64,
    shared: Reverse<u8>,
    place: usize,
    there: IpAddr,
    tag: &'t Tag,
}

/// The address of a prefix that is nearest to `address`, and the square of how far it is; `None` when they
/// are of two families.
fn within(net: IpNet, address: IpAddr) -> Option<(IpAddr, u64)> {
    match (net, address) {
        (IpNet::V4(net), IpAddr::V4(address)) => {
            let ends = (net.network().octets(), net.broadcast().octets());
            let (octets, square) = nearest(address.octets(), ends);
            Some((Ipv4Addr::from(octets).into(), square))
        }
        (IpNet::V6(net), IpAddr::V6(address)) => {
            let ends = (net.network().segments(), net.broadcast().segments());
            let (groups, square) = nearest(address.segments(), ends);
            Some((Ipv6Addr::from(groups).into(), square))
        }
        _ => None,
    }
}

/// The point nearest to `point` in a box, and the square of how far it is. A prefix is a box: each coordinate
/// is fixed, or in part, or free, and none depends on another.
fn nearest<T: Copy + Ord + Into<u64>, const N: usize>(
    point: [T; N],
    (low, high): ([T; N], [T; N]),
) -> ([T; N], u64) {
    let mut there = point;
    let mut square = 0;
    for ((there, low), high) in there.iter_mut().zip(low).zip(high) {
        let at = *there;
        *there = at.clamp(low, high);
        let apart = at.into().abs_diff((*there).into());
        square += apart * apart;
    }
    (there, square)
}

/// How many bits two addresses of one family share from their start.
fn shared(one: IpAddr, other: IpAddr) -> u8 {
    let bits = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => 0,
    };
    u8::try_from(bits).unwrap_or(u8::MAX)
}

/// What the store has on an address.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn on_address(store: &mut Store, address: IpAddr) -> Result<OnAddress, StoreError> {
    let (mut names, mut rows, mut more) = (BTreeSet::new(), 0, false);
    store.of_addresses(address, address, &mut |row| {
        rows += 1;
        names.insert(row.rrname);
        more = names.len() > MAX_NAMES || rows > MAX_ROWS;
        if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let count = names.len().min(MAX_NAMES);
    Ok(OnAddress { names: count, more, examples: names.into_iter().take(EXAMPLES).collect() })
}

#[cfg(test)]
mod tests;
