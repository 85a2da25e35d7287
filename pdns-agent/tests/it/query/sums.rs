//! Sums by domain, address, type and label against plain dictionaries.

use super::asked::filter;
use super::passes;
use super::world::{DAY, World, is_record, target};
use pdns_agent::name::{Name, NameBuf, suffix};
use pdns_agent::query::{self, By, Group, GroupKey, GroupSort, Grouping, MAX_GROUPS};
use pdns_agent::rdata::Target;
use pdns_agent::record::{FactBuf, StoredRecord};
use pdns_agent::store::Kind;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

fn labels(name: Name<'_>) -> Vec<&str> {
    name.labels().collect()
}

/// The labels that a name has more than one above it.
fn below(name: &NameBuf, apex: &NameBuf) -> Option<usize> {
    let (name, apex) = (labels(name.as_name()), labels(apex.as_name()));
    (name.len() > apex.len() && name.ends_with(&apex)).then(|| name.len() - apex.len())
}

fn key(by: &By, row: &StoredRecord) -> Option<GroupKey> {
    match by {
        By::Names => Some(GroupKey::Name(row.rrname.clone())),
        By::Domains => {
            let name = row.rrname.as_name();
            Some(GroupKey::Name(suffix::registrable(name).unwrap_or(name).to_buf()))
        }
        By::Addresses => match target(row) {
            Target::V4(address) => Some(GroupKey::Address(address.into())),
            Target::V6(address) => Some(GroupKey::Address(address.into())),
            _ => None,
        },
        By::RrTypes => Some(GroupKey::RrType(super::rrtype(row))),
        By::Children(apex, depth) => below(&row.rrname, apex).map(|more| {
            let labels = labels(row.rrname.as_name());
            let child = labels[more.saturating_sub(*depth)..].join(".");
            GroupKey::Name(NameBuf::parse(&child).unwrap())
        }),
        By::Depths(apex) => {
            below(&row.rrname, apex).map(|more| GroupKey::Depth(more.try_into().unwrap()))
        }
    }
}

/// All groups, by key.
fn expected(world: &World, grouping: &Grouping) -> Vec<Group> {
    let mut groups: BTreeMap<GroupKey, (BTreeSet<&NameBuf>, Vec<&StoredRecord>)> = BTreeMap::new();
    for row in &world.rows {
        if is_record(row) != (grouping.kind == Kind::Record) || !passes(&grouping.filter, row) {
            continue;
        }
        if let Some(key) = key(&grouping.by, row) {
            let (names, rows) = groups.entry(key).or_default();
            names.insert(&row.rrname);
            rows.push(row);
        }
    }
    let groups = groups.into_iter().map(|(key, (names, rows))| Group {
        key,
        names: names.len() as u64,
        records: rows.len() as u64,
        count: rows.iter().map(|row| row.seen.count).sum(),
        time_first: rows.iter().map(|row| row.seen.time_first).min().unwrap(),
        time_last: rows.iter().map(|row| row.seen.time_last).max().unwrap(),
        is_least: rows.iter().any(|row| row.seen.is_count_saturated()),
    });
    let day = grouping.first_on;
    groups.filter(|group| day.is_none_or(|day| group.time_first / DAY == day)).collect()
}

fn rank(sort: GroupSort, group: &Group) -> i64 {
    let rank = match sort {
        GroupSort::Names => group.names,
        GroupSort::Count => group.count,
        GroupSort::First => group.time_first.into(),
        GroupSort::Last => group.time_last.into(),
        GroupSort::Key => 0,
    };
    -i64::try_from(rank).unwrap()
}

fn by(world: &World) -> impl Strategy<Value = By> + '_ {
    let apex = any::<(Index, Index)>().prop_map(|(name, labels)| {
        let name = name.get(&world.names).as_name();
        name.suffix(labels.index(name.labels().count() + 1)).to_buf()
    });
    prop_oneof![
        1 => Just(By::Names),
        1 => Just(By::Domains),
        2 => Just(By::Addresses),
        1 => Just(By::RrTypes),
        2 => (apex.clone(), 1..4_usize).prop_map(|(apex, depth)| By::Children(apex, depth)),
        1 => apex.prop_map(By::Depths),
    ]
}

fn sums_at_random(world: &World, cases: u32) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let sort = prop::sample::select(vec![
        GroupSort::Names,
        GroupSort::Count,
        GroupSort::First,
        GroupSort::Last,
        GroupSort::Key,
    ]);
    let limit = prop_oneof![Just(0_usize), 1..12_usize, Just(100_000)];
    // Few are slow: each pass reads all there is.
    let most = prop_oneof![2 => Just(MAX_GROUPS), 1 => 150..900_usize];
    let first = prop::option::weighted(0.2, any::<Index>())
        .prop_map(|row| row.map(|row| row.get(&world.rows).seen.time_first / DAY));
    let kind = prop_oneof![4 => Just(Kind::Record), 1 => Just(Kind::Negative)];
    let strategy = (by(world), kind, filter(world), first, sort, limit, most);
    let ran = TestRunner::new(config).run(
        &strategy,
        |(by, kind, filter, first_on, sort, limit, most)| {
            let grouping = Grouping { by, kind, filter, first_on };
            let mut want = expected(world, &grouping);
            let whole = expected(world, &Grouping { first_on: None, ..grouping.clone() });
            want.sort_by_key(|group| rank(sort, group));
            let fits = if limit == 0 { want.len() } else { limit.min(want.len()) };
            let mut got = Vec::new();
            let (page, totals) = query::groups_in(
                &mut world.store.borrow_mut().reader(),
                &grouping,
                sort,
                limit,
                most,
                &mut |group| {
                    got.push(group.clone());
                    ControlFlow::Continue(())
                },
            )
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&got, &want[..fits]);
            prop_assert_eq!(page.shown, got.len() as u64);
            prop_assert_eq!(page.cut, fits < want.len());
            let sum = |of: fn(&Group) -> u64| whole.iter().map(of).sum::<u64>();
            prop_assert_eq!(totals.records, sum(|group| group.records));
            prop_assert_eq!(totals.count, sum(|group| group.count));
            if matches!(grouping.by, By::Names | By::Domains | By::Children(..) | By::Depths(_)) {
                prop_assert_eq!(totals.names, sum(|group| group.names));
            }
            if let By::Depths(_) = grouping.by {
                let depths: Vec<_> = totals.depths.into_iter().collect();
                let want = whole.iter().map(|group| match group.key {
                    GroupKey::Depth(depth) => (depth, group.names),
                    _ => (0, 0),
                });
                prop_assert_eq!(depths, want.collect::<Vec<_>>());
            }
            Ok(())
        },
    );
    ran.unwrap();
}

#[test]
fn sums_are_those_of_plain_dictionaries() {
    sums_at_random(&World::made_up(), 200);
    sums_at_random(&World::half_told(), 100);
}

#[test]
fn sums_of_real_logs_are_those_of_plain_dictionaries() {
    sums_at_random(&World::real(), 40);
}

#[test]
fn the_most_counted_addresses_are_found_among_more_than_can_be_held() {
    let world = World::made_up();
    let (by, filter) = (By::Addresses, query::Filter::default());
    let grouping = Grouping { by, kind: Kind::Record, filter, first_on: None };
    let mut want = expected(&world, &grouping);
    want.sort_by_key(|group| rank(GroupSort::Count, group));
    assert!(want.len() > 700);
    for most in [60, 200, 600, want.len() - 1, want.len()] {
        for limit in [1, 3, 12, 55, 300, want.len() - 1, want.len(), want.len() + 1] {
            let mut got = Vec::new();
            let mut store = world.store.borrow_mut();
            let (page, _) = query::groups_in(
                &mut store.reader(),
                &grouping,
                GroupSort::Count,
                limit,
                most,
                &mut |group| {
                    got.push(group.clone());
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
            let fits = limit.min(want.len());
            assert_eq!(got, want[..fits], "{limit} of {most}");
            assert_eq!(page.cut, fits < want.len(), "{limit} of {most}");
        }
    }
}

#[test]
fn days_count_each_domain_once() {
    let world = World::made_up();
    let grouping = Grouping {
        by: By::Domains,
        kind: Kind::Record,
        filter: query::Filter::default(),
        first_on: None,
    };
    let mut want: BTreeMap<u32, u64> = BTreeMap::new();
    for group in expected(&world, &grouping) {
        *want.entry(group.time_first / DAY).or_default() += 1;
    }
    assert_eq!(query::days(&mut world.store.borrow_mut().reader(), &grouping).unwrap(), want);
    let negative = |row: &&StoredRecord| matches!(row.fact, FactBuf::Negative { .. });
    assert!(world.rows.iter().any(|row| negative(&row)));
}
