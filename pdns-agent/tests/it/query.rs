//! Every question against plain filtering and sorting of the whole contents.
//!
//! What a row must be like is said here a second time, in the simplest way there is; indexes, scans,
//! passes, limits and orders of the real thing must come to the same.

mod asked;
mod letters;
mod sums;
mod trail;
mod world;

use crate::redis::Redis;
use crate::store::{Log, Model, options};
use asked::{Asked, asked, filter, rrtype};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::Seen;
use pdns_agent::query::{self, Filter, MOST_READ, NameSum, Passes, Query, Sort, Text, What};
use pdns_agent::rdata::Target;
use pdns_agent::record::{FactBuf, StoredRecord};
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use world::{DAY, START, World, is_record, record, target};

/// Whether a row passes, from the words of the documentation.
fn passes(filter: &Filter, row: &StoredRecord) -> bool {
    let Filter { rrtypes, fence, ttl, outcome, .. } = filter;
    let seen = &row.seen;
    let (first, last) = (seen.time_first, seen.time_last);
    let has_ttl = seen.ttl_min != Seen::NO_TTL;
    let ttls = [seen.ttl_min, seen.ttl_max, seen.ttl_last];
    let by_type = rrtypes.is_empty() || rrtypes.contains(&rrtype(row));
    let by_time = fence.first_after.is_none_or(|at| first >= at)
        && fence.first_before.is_none_or(|at| first < at)
        && fence.last_after.is_none_or(|at| last >= at)
        && fence.last_before.is_none_or(|at| last < at)
        && fence.seen_in.is_none_or(|span| !(last < span.start || first >= span.end));
    let by_ttl = ttl.exactly.is_none_or(|wanted| has_ttl && ttls.contains(&wanted))
        && ttl.least.is_none_or(|least| has_ttl && seen.ttl_max >= least)
        && ttl.most.is_none_or(|most| has_ttl && seen.ttl_max <= most);
    let by_outcome = match (&row.fact, outcome) {
        (FactBuf::Negative { outcome, .. }, Some(wanted)) => outcome == wanted,
        _ => true,
    };
    by_type && by_time && by_ttl && by_outcome
}

/// The place of a row in an order: lower comes first, and ties go by name, type and RDATA.
fn rank(sort: Sort, row: &StoredRecord) -> i64 {
    let seen = &row.seen;
    match sort {
        Sort::Count => -i64::try_from(seen.count).unwrap(),
        Sort::First => -i64::from(seen.time_first),
        Sort::Last => -i64::from(seen.time_last),
        Sort::Name => 0,
        Sort::Ttl if seen.ttl_min == Seen::NO_TTL => i64::MAX,
        Sort::Ttl => seen.ttl_max.into(),
    }
}

/// All rows that answer, in order, without the limit.
fn expected(world: &World, Asked { query, letters }: &Asked) -> Vec<StoredRecord> {
    let section = |keep: &dyn Fn(&StoredRecord) -> bool, otherwise: Sort| {
        let rows = world.rows.iter().filter(|row| passes(&query.filter, row) && keep(row));
        let mut rows: Vec<&StoredRecord> = rows.collect();
        // The rows of the world stand by name and fact, and the sort is stable.
        rows.sort_by_key(|row| rank(query.sort.unwrap_or(otherwise), row));
        rows.into_iter().cloned().collect::<Vec<StoredRecord>>()
    };
    match &query.what {
        What::Name { name, negative } => {
            let own = section(&|row| is_record(row) && row.rrname == *name, Sort::Last);
            let pointing = section(
                &|row| row.rrname != *name && target(row) == Target::Name(name.clone()),
                Sort::Last,
            );
            let failed =
                section(&|row| *negative && !is_record(row) && row.rrname == *name, Sort::Last);
            [own, pointing, failed].concat()
        }
        What::Addresses(from, to) => section(
            &|row| match (target(row), from, to) {
                (Target::V4(address), IpAddr::V4(from), IpAddr::V4(to)) => {
                    (from..=to).contains(&&address)
                }
                (Target::V6(address), IpAddr::V6(from), IpAddr::V6(to)) => {
                    (from..=to).contains(&&address)
                }
                _ => false,
            },
            Sort::Last,
        ),
        What::Names { negative, .. } => {
            section(&|row| (*negative || is_record(row)) && letters.admits(&row.rrname), Sort::Name)
        }
        What::Records => section(&is_record, Sort::Last),
        What::Negatives => section(&|row| !is_record(row), Sort::Last),
    }
}

/// Asks, and compares with what is expected.
fn check(world: &World, asked: &Asked, passes: Passes) -> Result<(), TestCaseError> {
    let want = expected(world, asked);
    let query = &asked.query;
    let mut got = Vec::new();
    let page = query::run_in(&mut world.store.borrow_mut().reader(), query, passes, &mut |row| {
        got.push(row);
        ControlFlow::Continue(())
    })
    .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(page.shown, got.len() as u64);
    prop_assert!(!page.unsorted);
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    if !page.extent.is_whole() {
        // Of too many rows some are read, where no order is asked for; those are shown in order.
        prop_assert!(want.len() > MOST_READ && query.sort.is_none() && page.cut);
        prop_assert_eq!(got.len(), limit);
        prop_assert!(got.iter().all(|row| want.contains(row)));
        return Ok(());
    }
    let cut = want.len() > limit;
    let is_scan = matches!(query.what, What::Records | What::Negatives);
    let by_name = query.sort == Some(Sort::Name);
    if is_scan && !by_name {
        // A scan that knows no types may give up the search for one row more.
        prop_assert!(page.cut || !cut);
        prop_assert!(!page.cut || cut || query.filter.needs_identity());
    } else {
        prop_assert_eq!(page.cut, cut);
    }
    let kept: Vec<StoredRecord> = want.iter().take(limit).cloned().collect();
    let sort = query.sort.unwrap_or(Sort::Last);
    let ties = kept
        .last()
        .map_or(0, |last| want.iter().filter(|row| rank(sort, row) == rank(sort, last)).count());
    if cut && is_scan && !by_name && (ties > passes.least || query.filter.needs_identity()) {
        // Of very many rows that share the last place that fits, any may be shown.
        let last = rank(sort, kept.last().unwrap());
        let before = |rows: &[StoredRecord]| -> Vec<StoredRecord> {
            rows.iter().filter(|row| rank(sort, row) < last).cloned().collect()
        };
        prop_assert_eq!(before(&got), before(&kept));
        prop_assert_eq!(got.len(), kept.len());
        prop_assert!(got.iter().all(|row| want.contains(row)));
        prop_assert!(got.is_sorted_by_key(|row| (rank(sort, row), &row.rrname, &row.fact)));
    } else {
        prop_assert_eq!(got, kept);
    }
    Ok(())
}

fn ask_at_random(world: &World, cases: u32) {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let passes =
        (1..20_usize, 0..60_usize).prop_map(|(least, more)| Passes { least, most: least + more });
    let passes = prop_oneof![2 => Just(Passes::default()), 1 => passes];
    // A limit is hardest where it is just enough.
    let exactly = prop::option::weighted(0.5, -1..=1_isize);
    let answered = RefCell::new([0_u32; 5]);
    let outcome = TestRunner::new(config).run(
        &(asked(world), passes, exactly),
        |(mut asked, passes, exactly)| {
            let rows = expected(world, &asked).len();
            if let Some(off) = exactly {
                asked.query.limit = rows.saturating_add_signed(off).max(1);
            }
            let number = match asked.query.what {
                What::Name { .. } => 0,
                What::Addresses(..) => 1,
                What::Names { .. } => 2,
                What::Records => 3,
                What::Negatives => 4,
            };
            answered.borrow_mut()[number] += u32::from(rows > 0);
            check(world, &asked, passes)
        },
    );
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}\n{case:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let answered = answered.into_inner();
    assert!(answered.iter().all(|&count| count > cases / 50), "few have an answer: {answered:?}");
}

#[test]
fn every_question_is_answered_as_a_plain_filter_answers_it() {
    ask_at_random(&World::made_up(), 600);
}

#[test]
fn rows_that_tell_no_type_are_found_by_it_all_the_same() {
    ask_at_random(&World::half_told(), 300);
}

#[test]
fn questions_about_real_logs_are_answered_as_a_plain_filter_answers_them() {
    // Few questions have an answer there: with fewer cases some kind of question might by chance have hardly any.
    ask_at_random(&World::real(), 1_200);
}

#[test]
fn an_answer_that_is_broken_off_is_the_start_of_it() {
    let world = World::made_up();
    for what in [
        What::Records,
        What::Names { text: Text::default(), negative: false },
        What::Names {
            text: Text { below: NameBuf::parse("example").ok(), ..Text::default() },
            negative: true,
        },
        What::Addresses([10, 0, 0, 0].into(), [10, 255, 255, 255].into()),
        What::Name { name: NameBuf::parse("wide.b.example").unwrap(), negative: true },
    ] {
        for (limit, sort) in [(0, None), (0, Some(Sort::Name)), (50, Some(Sort::Count))] {
            let query = Query { what: what.clone(), filter: Filter::default(), limit, sort };
            let answer = |most: usize| {
                let mut rows = Vec::new();
                let page = query::run(&mut world.store.borrow_mut().reader(), &query, &mut |row| {
                    rows.push(row);
                    if rows.len() == most {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
                (rows, page.unwrap())
            };
            let (whole, _) = answer(usize::MAX);
            for most in [1, 7] {
                let (rows, page) = answer(most);
                assert_eq!(rows, whole[..most], "{query:?}");
                assert_eq!(page.shown, most as u64);
            }
        }
    }
}

/// Each name's records together: how many, their counts, first and last time.
fn sums(world: &World, filter: &Filter) -> BTreeMap<NameBuf, (u64, u64, u32, u32)> {
    let mut sums = BTreeMap::new();
    for row in world.rows.iter().filter(|row| is_record(row) && passes(filter, row)) {
        let sum = sums.entry(row.rrname.clone()).or_insert((0, 0, u32::MAX, 0));
        sum.0 += 1;
        sum.1 += row.seen.count;
        sum.2 = sum.2.min(row.seen.time_first);
        sum.3 = sum.3.max(row.seen.time_last);
    }
    sums
}

#[test]
fn names_are_ranked_by_all_their_records_that_pass() {
    names_ranked_at_random(&World::made_up());
    names_ranked_at_random(&World::half_told());
}

fn names_ranked_at_random(world: &World) {
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let strategy = (filter(world), prop_oneof![1..30_usize, Just(100_000)]);
    let ran = TestRunner::new(config).run(&strategy, |(filter, limit)| {
        let sums = sums(world, &filter);
        let mut want: Vec<_> = sums.into_iter().collect();
        want.sort_by(|(name, sum), (other, than)| than.1.cmp(&sum.1).then(name.cmp(other)));
        let cut = want.len() > limit;
        want.truncate(limit);
        let (got, got_cut) =
            query::top_names(&mut world.store.borrow_mut().reader(), &filter, limit).unwrap();
        let got: Vec<_> = got
            .into_iter()
            .map(|NameSum { rrname, sum }| {
                (rrname, (sum.records, sum.count, sum.time_first, sum.time_last))
            })
            .collect();
        prop_assert_eq!((got, got_cut), (want, cut));
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn nothing_is_left_out_where_rows_do_not_tell_that_they_do_not_pass() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    let name = |number: u32| NameBuf::parse(&format!("n{number}.d{number}.example")).unwrap();
    for number in 0..500 {
        // Both types are told as one of the seldom ones.
        let (rrtype, times) = if number < 5 { (RrType::WKS, 20) } else { (RrType::CERT, 1) };
        for time in 0..times {
            log.add(&mut model, &name(number), &record(rrtype, &[1]), 100 + time, None);
        }
    }
    log.flush(&mut store).unwrap();
    let filter = Filter { rrtypes: vec![RrType::WKS], ..Filter::default() };
    for (limit, want) in [(4, true), (5, false), (6, false)] {
        let (names, cut) = query::top_names(&mut store.reader(), &filter, limit).unwrap();
        assert_eq!((names.len(), cut), (limit.min(5), want), "of {limit}");
    }
}

#[test]
fn each_name_is_new_on_the_day_of_its_first_record() {
    let world = World::made_up();
    let mut days: BTreeMap<u32, Vec<(NameBuf, u32)>> = BTreeMap::new();
    for (name, (_, _, first, _)) in sums(&world, &Filter::default()) {
        days.entry(first / DAY).or_default().push((name, first));
    }
    let mut store = world.store.borrow_mut();
    let counts: BTreeMap<u32, u64> =
        days.iter().map(|(&day, names)| (day, names.len() as u64)).collect();
    assert_eq!(store.reader().days().unwrap(), counts);
    for day in START / DAY - 1..START / DAY + 14 {
        let want = days.remove(&day).unwrap_or_default();
        for limit in [0, 1, 5, want.len().max(1), want.len() + 1] {
            let mut got = Vec::new();
            let page = query::new_names(&mut store.reader(), day, limit, &mut |name, first| {
                got.push((name, first));
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(page.shown, got.len() as u64);
            if limit == 0 {
                got.sort();
            }
            let fits = if limit == 0 { want.len() } else { limit.min(want.len()) };
            assert_eq!(got, want[..fits], "day {day}, limit {limit}");
            assert_eq!(page.cut, fits < want.len());
        }
    }
    assert!(days.is_empty(), "{days:?}");
}
