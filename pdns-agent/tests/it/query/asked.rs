//! Questions at random, about what is in a store or nearly is.

use super::letters::{Letters, letters};
use super::world::{World, target};
use pdns_agent::observation::Outcome;
use pdns_agent::query::{Fence, Filter, Query, Sort, TimeSpec, TtlFence, What};
use pdns_agent::rdata::Target;
use pdns_agent::record::{FactBuf, StoredRecord};
use pdns_agent::rr::RrType;
use proptest::prelude::*;
use proptest::sample::Index;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A question, with what is asked of names in letters.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) letters: Letters,
}

pub(super) fn words() -> impl Strategy<Value = (Index, Index, Index)> {
    any::<(Index, Index, Index)>()
}

/// A piece of one of the names.
pub(super) fn piece(world: &World, (name, from, length): (Index, Index, Index)) -> Vec<Option<u8>> {
    let letters = letters(name.get(&world.names).as_name());
    let from = from.index(letters.len());
    let length = 1 + length.index(letters.len() - from);
    letters[from..from + length.min(6)].to_vec()
}

pub(super) fn asked(world: &World) -> impl Strategy<Value = Asked> + '_ {
    let what = prop_oneof![
        (any::<Index>(), any::<bool>()).prop_map(|(name, negative)| {
            let name = name.get(&world.names).clone();
            (What::Name { name, negative }, Letters::default())
        }),
        (any::<(Index, Index)>(), any::<(bool, u8)>())
            .prop_map(|(rows, bits)| (addresses(world, rows, bits), Letters::default())),
        // Names that meet many conditions at once are few.
        (prop::array::uniform5(prop::option::weighted(0.3, words())), any::<(bool, bool, bool)>(),)
            .prop_map(|(words, how)| of_names(world, words, how)),
        Just((What::Records, Letters::default())),
        Just((What::Negatives, Letters::default())),
    ];
    let sort =
        prop::sample::select(vec![Sort::Count, Sort::First, Sort::Last, Sort::Name, Sort::Ttl]);
    let limit = prop_oneof![Just(0_usize), 1..12_usize, 1..200_usize, Just(100_000)];
    (what, filter(world), limit, prop::option::of(sort)).prop_map(
        |((what, letters), filter, limit, sort)| {
            // Negative answers are asked for by what their statistics tell.
            let sort = sort.filter(|sort| what != What::Negatives || *sort != Sort::Name);
            Asked { query: Query { what, filter, limit, sort }, letters }
        },
    )
}

/// Two addresses that there are or nearly are, or the prefix around one.
pub(super) fn addresses(
    world: &World,
    (one, other): (Index, Index),
    (prefix, length): (bool, u8),
) -> What {
    let all: Vec<IpAddr> = world
        .rows
        .iter()
        .filter_map(|row| match target(row) {
            Target::V4(address) => Some(address.into()),
            Target::V6(address) => Some(address.into()),
            _ => None,
        })
        .collect();
    let one = *one.get(&all);
    // Nor do real addresses lie near each other.
    let is_near = |address: &IpAddr| match (one, address) {
        (IpAddr::V4(one), IpAddr::V4(address)) => {
            one.to_bits().abs_diff(address.to_bits()) < 1 << 24
        }
        (IpAddr::V6(_), IpAddr::V6(_)) => true,
        _ => false,
    };
    let family: Vec<IpAddr> = all.into_iter().filter(is_near).collect();
    let other = *other.get(&family);
    if !prefix {
        return What::Addresses(one.min(other), one.max(other));
    }
    match one {
        IpAddr::V4(address) => {
            // A shorter prefix has so many sets that the test would take minutes.
            let host = u32::MAX.checked_shr(u32::from(8 + length % 25)).unwrap_or(0);
            let bits = address.to_bits();
            What::Addresses(
                Ipv4Addr::from_bits(bits & !host).into(),
                Ipv4Addr::from_bits(bits | host).into(),
            )
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(u32::from(length % 129)).unwrap_or(0);
            let bits = address.to_bits();
            What::Addresses(
                Ipv6Addr::from_bits(bits & !host).into(),
                Ipv6Addr::from_bits(bits | host).into(),
            )
        }
    }
}

pub(super) fn of_names(
    world: &World,
    [starts, ends, one, other, below]: [Option<(Index, Index, Index)>; 5],
    (narrow, globs, negative): (bool, bool, bool),
) -> (What, Letters) {
    let head = |(name, _, length)| {
        let letters = letters(Index::get(&name, &world.names).as_name());
        letters[..=Index::index(&length, letters.len())].to_vec()
    };
    let tail = |(name, from, _)| {
        let letters = letters(Index::get(&name, &world.names).as_name());
        letters[Index::index(&from, letters.len())..].to_vec()
    };
    let mut letters = Letters {
        ends: ends.map(tail).unwrap_or_default(),
        contains: one.into_iter().map(|word| piece(world, word)).collect(),
        ..Letters::default()
    };
    // All at once would hardly ever find anything.
    if narrow {
        letters.starts = starts.map(head).unwrap_or_default();
        letters.contains.extend(other.map(|word| piece(world, word)));
    }
    letters.below = below.map(|(name, labels, _)| {
        let name = name.get(&world.names).as_name();
        let count = labels.index(name.labels().count() + 1);
        name.suffix(count).to_buf()
    });
    let text = if globs { letters.globs() } else { letters.text() };
    (What::Names { text, negative }, letters)
}

pub(super) fn filter(world: &World) -> impl Strategy<Value = Filter> + '_ {
    let time = any::<(Index, bool, i8)>().prop_map(|(row, last, off)| {
        let seen = row.get(&world.rows).seen;
        let time = if last { seen.time_last } else { seen.time_first };
        time.saturating_add_signed(i32::from(off) / 60)
    });
    let times = prop::option::weighted(0.2, time.clone());
    let span = prop::option::weighted(0.2, (time.clone(), time)).prop_map(|span| {
        span.map(|(one, other)| TimeSpec { start: one.min(other), end: one.max(other) + 1 })
    });
    let fence = (times.clone(), times.clone(), times.clone(), times, span).prop_map(
        |(first_after, first_before, last_after, last_before, seen_in)| Fence {
            first_after,
            first_before,
            last_after,
            last_before,
            seen_in,
        },
    );
    let ttl = || {
        prop::option::weighted(
            0.15,
            any::<(Index, i8)>().prop_map(|(row, off)| {
                let seen = row.get(&world.rows).seen;
                let ttl = if off > 0 { seen.ttl_max } else { seen.ttl_last };
                ttl.saturating_add_signed(i32::from(off) / 100)
            }),
        )
    };
    let ttl =
        (ttl(), ttl(), ttl()).prop_map(|(exactly, least, most)| TtlFence { exactly, least, most });
    let rrtypes = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(
            any::<Index>().prop_map(|row| rrtype(row.get(&world.rows))), 1..3)
    ];
    let outcome = prop::option::weighted(
        0.3,
        prop::sample::select(vec![
            Outcome::NODATA,
            Outcome::NXDOMAIN,
            Outcome::UNANSWERED,
            Outcome(9),
        ]),
    );
    (rrtypes, fence, ttl, outcome).prop_map(|(rrtypes, fence, ttl, outcome)| Filter {
        rrtypes,
        fence,
        ttl,
        outcome,
        ..Filter::default()
    })
}

pub(super) fn rrtype(row: &StoredRecord) -> RrType {
    match &row.fact {
        FactBuf::Record(rdata) => rdata.rrtype,
        FactBuf::Negative { qtype, .. } => *qtype,
    }
}
