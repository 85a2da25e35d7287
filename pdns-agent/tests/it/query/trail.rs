//! Followed CNAMEs and parked names against plain loops over all rows.

use super::asked::filter;
use super::passes;
use super::world::{World, is_record, target};
use pdns_agent::name::NameBuf;
use pdns_agent::query::{self, Filter, MAX_STEPS, ParkedList, Query, Sort, WHYS, What, Why};
use pdns_agent::rdata::Target;
use pdns_agent::record::StoredRecord;
use pdns_agent::rr::RrType;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

fn alias(row: &StoredRecord) -> Option<NameBuf> {
    match target(row) {
        Target::Name(name) if super::rrtype(row) == RrType::CNAME => Some(name),
        _ => None,
    }
}

fn address(row: &StoredRecord) -> Option<IpAddr> {
    match target(row) {
        Target::V4(address) => Some(address.into()),
        Target::V6(address) => Some(address.into()),
        _ => None,
    }
}

/// Indices of the rows that lie ahead of a name and behind names, and whether either is longer than is followed.
fn walked(
    world: &World,
    start: Option<&NameBuf>,
    ends: BTreeSet<NameBuf>,
) -> (BTreeSet<usize>, bool) {
    let mut rows = BTreeSet::new();
    let mut longer = false;
    let mut names: BTreeSet<NameBuf> = start.into_iter().cloned().collect();
    let mut met = names.clone();
    // One step more than steps are followed: the first is the look-up's own.
    for step in 0..=MAX_STEPS + 1 {
        longer |= step > MAX_STEPS && !names.is_empty();
        let mut next = BTreeSet::new();
        for (at, row) in
            world.rows.iter().enumerate().filter(|(_, row)| names.contains(&row.rrname))
        {
            let target = alias(row);
            if step <= MAX_STEPS && (target.is_some() || address(row).is_some()) {
                rows.insert(at);
                next.extend(target.filter(|target| !met.contains(target)));
            }
        }
        met.extend(next.iter().cloned());
        names = next;
    }
    let mut names = ends;
    let mut met = names.clone();
    let steps = MAX_STEPS + usize::from(start.is_some());
    for step in 0..=steps {
        longer |= step == steps && !names.is_empty();
        let mut next = BTreeSet::new();
        for (at, row) in world.rows.iter().enumerate() {
            let leads = alias(row).is_some_and(|target| names.contains(&target));
            if step < steps && leads {
                rows.insert(at);
                if !met.contains(&row.rrname) {
                    next.insert(row.rrname.clone());
                }
            }
        }
        met.extend(next.iter().cloned());
        names = next;
    }
    (rows, longer)
}

fn follow_at_random(world: &World, cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let strategy =
        (any::<(Index, bool, bool)>(), prop_oneof![Just(Filter::default()), filter(world),]);
    let addresses: Vec<IpAddr> = world.rows.iter().filter_map(address).collect();
    let ran = TestRunner::new(config).run(&strategy, |((at, of_name, negative), filter)| {
        let what = if of_name {
            What::Name { name: at.get(&world.names).clone(), negative }
        } else {
            let address = *at.get(&addresses);
            What::Addresses(address, address)
        };
        let query = Query { what, filter, limit: 0, sort: None };
        let mut own = BTreeSet::new();
        let (start, ends) = match &query.what {
            What::Name { name, .. } => {
                for (at, row) in world.rows.iter().enumerate() {
                    let is_own = row.rrname == *name && (is_record(row) || negative);
                    if is_own || is_record(row) && target(row) == Target::Name(name.clone()) {
                        own.insert(at);
                    }
                }
                (Some(name), BTreeSet::from([name.clone()]))
            }
            What::Addresses(wanted, _) => {
                let rows = world.rows.iter().enumerate();
                let rows = rows.filter(|(_, row)| address(row) == Some(*wanted));
                own.extend(rows.map(|(at, _)| at));
                (None, own.iter().map(|&at| world.rows[at].rrname.clone()).collect())
            }
            _ => unreachable!("only look-ups are made"),
        };
        let (trail, longer) = walked(world, start, ends);
        let all: BTreeSet<usize> = own.union(&trail).copied().collect();
        let want: Vec<StoredRecord> = all
            .into_iter()
            .map(|at| world.rows[at].clone())
            .filter(|row| passes(&query.filter, row))
            .collect();
        let answer = |limit| {
            let mut rows = Vec::new();
            let query = Query { limit, ..query.clone() };
            let ended = query::follow(&mut world.store.borrow_mut().reader(), &query, &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            });
            (rows, ended.unwrap())
        };
        let (rows, (page, trail)) = answer(0);
        let mut sorted = rows.clone();
        sorted.sort_by(|one, other| (&one.rrname, &one.fact).cmp(&(&other.rrname, &other.fact)));
        prop_assert_eq!(sorted, want);
        prop_assert_eq!((page.shown, page.cut), (rows.len() as u64, false));
        prop_assert_eq!((trail.too_long, trail.too_many), (longer, false));
        let limit = rows.len().div_ceil(2).max(1);
        let (some, (page, _)) = answer(limit);
        prop_assert_eq!(&some, &rows[..limit.min(rows.len())]);
        prop_assert_eq!(page.cut, limit < rows.len());
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn cnames_are_followed_both_ways() {
    follow_at_random(&World::made_up(), 300);
}

#[test]
fn cnames_of_real_logs_are_followed_both_ways() {
    follow_at_random(&World::real(), 100);
}

/// Why a row is parked, by the words of the documentation.
fn why(row: &StoredRecord) -> Option<Why> {
    if let Target::Name(server) = target(row) {
        let labels: Vec<&str> = server.as_name().labels().collect();
        let is_parking = super::rrtype(row) == RrType::NS && labels.ends_with(&["b", "example"]);
        return is_parking.then_some(Why::ParkingNameServer);
    }
    match address(row)? {
        IpAddr::V4(address) => match address.octets() {
            [0, ..] => Some(Why::Unspecified),
            _ if address.is_loopback() => Some(Why::Loopback),
            _ if address.is_private() => Some(Why::Private),
            [100, 64..=127, ..] => Some(Why::Shared),
            _ if address.is_link_local() => Some(Why::LinkLocal),
            _ if address.is_documentation() => Some(Why::Documentation),
            [198, 18 | 19, ..] => Some(Why::Documentation),
            [9, ..] => Some(Why::ParkingAddress),
            _ => None,
        },
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some(Why::Unspecified),
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(Why::Loopback),
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(Why::Private),
            [0xfe80..=0xfebf, ..] => Some(Why::LinkLocal),
            [0x2001, 0xdb8, ..] | [0x2001, 2, 0, ..] | [0x3fff, 0..=0xfff, ..] => {
                Some(Why::Documentation)
            }
            _ => None,
        },
    }
}

fn parked_at_random(world: &World, cases: u32) {
    let list = ParkedList::parse("b.example\n9.0.0.0/8\n9.255.0.0/16\n10.0.0.0/12\n").unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let whys: Vec<Why> = WHYS.iter().map(|&(why, _)| why).collect();
    let kinds = prop_oneof![Just(whys.clone()), prop::sample::subsequence(whys, 1..4)];
    let ran = TestRunner::new(config).run(&(kinds, filter(world), 0..9_usize), |(kinds, filter, limit)| {
        let why = |row: &StoredRecord| {
            let why = why(row)?;
            let in_list = |row: &StoredRecord| matches!(address(row), Some(IpAddr::V4(address)) if address.octets()[0] == 10 && address.octets()[1] < 16);
            // What is in the list and local is the list's where the local kind is not asked for.
            let of_list = in_list(row) && !kinds.contains(&why);
            let why = if of_list { Why::ParkingAddress } else { why };
            kinds.contains(&why).then_some(why)
        };
        let mut want: Vec<(Why, i64, StoredRecord)> = world.rows.iter().filter(|row| is_record(row) && passes(&filter, row))
            .filter_map(|row| Some((why(row)?, -i64::from(row.seen.time_last), row.clone()))).collect();
        want.sort_by_key(|(why, last, _)| (*why, *last));
        // An order that is asked for, even the usual one, has all rows read, however many there are.
        let query = Query { what: What::Records, filter, limit, sort: Some(Sort::Last) };
        let mut got = Vec::new();
        let page = query::parked(&mut world.store.borrow_mut().reader(), &query, &kinds, &list, &mut |row, why| {
            got.push((why, -i64::from(row.seen.time_last), row));
            ControlFlow::Continue(())
        }).unwrap();
        let fits = if limit == 0 { want.len() } else { limit.min(want.len()) };
        prop_assert_eq!(page.cut, fits < want.len());
        prop_assert_eq!(&got, &want[..fits]);
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn parked_names_are_all_that_a_plain_look_finds() {
    parked_at_random(&World::made_up(), 200);
}

#[test]
fn parked_names_of_real_logs_are_all_that_a_plain_look_finds() {
    parked_at_random(&World::real(), 60);
}
