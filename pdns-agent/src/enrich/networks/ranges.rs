//! Ranges of addresses that do not overlap, in order, each with what is known of it.

use super::Network;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

/// An address as a number.
trait Number: Copy + Ord {
    fn next(self) -> Option<Self>;
    fn previous(self) -> Self;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn previous(self) -> Self {
        self.saturating_sub(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn previous(self) -> Self {
        self.saturating_sub(1)
    }
}

/// First and last address, and the number of the network.
type Range<A> = (A, A, u32);

/// Collects ranges in any order, which may lie within each other.
#[derive(Default)]
pub(super) struct Collector {
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
    networks: Vec<Network>,
    numbers: HashMap<Network, u32>,
}

impl Collector {
    /// Adds the range from one address to another of the same family. Returns false if they are not such addresses.
    pub(super) fn add(&mut self, first: IpAddr, last: IpAddr, network: Network) -> bool {
        let is_range = first <= last && first.is_ipv4() == last.is_ipv4();
        if !is_range {
            return false;
        }
        let number = self.numbers.get(&network).copied().unwrap_or_else(|| {
            // The largest table has fewer rows.
            let number = u32::try_from(self.networks.len()).unwrap_or(u32::MAX);
            self.networks.push(network.clone());
            self.numbers.insert(network, number);
            number
        });
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                self.v4.push((first.to_bits(), last.to_bits(), number));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                self.v6.push((first.to_bits(), last.to_bits(), number));
            }
            _ => return false,
        }
        true
    }

    /// Returns true without ranges.
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Puts the ranges in order. Where some overlap, the one that begins last counts, and of those that begin together the
    /// shortest: as with prefixes, of which the longest counts.
    pub(super) fn finish(self) -> Ranges {
        Ranges { v4: flat(self.v4), v6: flat(self.v6), networks: self.networks }
    }
}

/// Cuts ranges into ones that do not overlap.
fn flat<A: Number>(mut ranges: Vec<Range<A>>) -> Vec<Range<A>> {
    // Stable: of two rows about the same range, the last one in the file counts.
    ranges.sort_by_key(|&(first, last, _)| (first, Reverse(last)));
    let mut parts: Vec<Range<A>> = Vec::with_capacity(ranges.len());
    let mut emit = |first: A, last: A, network: u32| {
        if first <= last {
            parts.push((first, last, network));
        }
    };
    // The ranges that reach beyond `at`, the innermost last.
    let mut open: Vec<(A, u32)> = Vec::new();
    let mut at: Option<A> = None;
    for (first, last, network) in ranges {
        while let Some(&(end, outer)) = open.last()
            && end < first
        {
            open.pop();
            if let Some(from) = at {
                emit(from, end, outer);
                at = at.max(end.next());
            }
        }
        if let Some(&(_, outer)) = open.last()
            && let Some(from) = at
            && from < first
        {
            emit(from, first.previous(), outer);
        }
        open.push((last, network));
        at = Some(first);
    }
    while let Some((end, network)) = open.pop() {
        if let Some(from) = at {
            emit(from, end, network);
            // Nothing is behind the last address of all.
            at = if end < from { Some(from) } else { end.next() };
        }
    }
    parts
}

/// Ranges in order.
pub(super) struct Ranges {
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u128>>,
    networks: Vec<Network>,
}

impl Ranges {
    /// Returns what is known of an address.
    pub(super) fn of(&self, address: IpAddr) -> Network {
        let number = match address {
            IpAddr::V4(address) => find(&self.v4, address.to_bits()),
            IpAddr::V6(address) => find(&self.v6, address.to_bits()),
        };
        let network = number.and_then(|number| self.networks.get(usize::try_from(number).ok()?));
        network.cloned().unwrap_or_default()
    }
}

fn find<A: Number>(ranges: &[Range<A>], address: A) -> Option<u32> {
    let behind = ranges.partition_point(|&(first, ..)| first <= address);
    let (_, last, number) = ranges.get(behind.checked_sub(1)?)?;
    (address <= *last).then_some(*number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The range that counts for an address: the last to begin, then the shortest, then the last of the list.
    fn model(ranges: &[Range<u32>], address: u32) -> Option<u32> {
        let around = ranges
            .iter()
            .enumerate()
            .filter(|(_, (first, last, _))| (*first..=*last).contains(&address));
        let best = around.max_by_key(|(at, (first, last, _))| (*first, Reverse(*last), *at));
        best.map(|(_, (.., number))| *number)
    }

    proptest! {
        #[test]
        fn each_address_is_in_the_innermost_range(
            pairs in prop::collection::vec((0_u32..40, 0_u32..40), 0..12),
            is_high in any::<bool>(),
        ) {
            // At either end of all addresses.
            let base = if is_high { u32::MAX - 39 } else { 0 };
            let ranges: Vec<Range<u32>> = (0..)
                .zip(&pairs)
                .map(|(number, (a, b))| (base + a.min(b), base + a.max(b), number))
                .collect();
            let parts = flat(ranges.clone());
            prop_assert!(parts.windows(2).all(|two| two[0].1 < two[1].0), "{parts:?}");
            for address in base..=base + 39 {
                prop_assert_eq!(find(&parts, address), model(&ranges, address), "{:?}", parts);
            }
        }
    }
}
