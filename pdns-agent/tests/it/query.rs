//! Every question against plain filtering and sorting of the whole contents.
//!
//! What a row must be like is said here a second time, in the simplest way there is; indexes, scans,
//! passes, limits and orders of the real thing must come to the same.

use crate::corpus::logs_for;
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{Log, Model, contents, options};
use pdns_agent::name::{Name, NameBuf};
use pdns_agent::observation::{Outcome, Seen};
use pdns_agent::query::{
    self, Fence, Filter, Moment, Passes, Query, Sort, Text, TtlFence, What, Word,
};
use pdns_agent::rdata::{Rdata, Target};
use pdns_agent::rr::RrType;
use pdns_agent::store::{FactBuf, Row, Store};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// 2023-11-14, the first day of what is made up.
const START: u32 = 1_699_920_000;
const DAY: u32 = 86_400;

/// A store and all that is in it.
struct World {
    store: RefCell<Store>,
    rows: Vec<Row>,
    names: Vec<NameBuf>,
    _server: Redis,
}

impl World {
    fn new(mut store: Store, server: Redis) -> Self {
        let rows: Vec<Row> = contents(&mut store)
            .into_iter()
            .map(|((rrname, fact), seen)| Row { rrname, fact, seen })
            .collect();
        let mut names: Vec<NameBuf> = rows.iter().map(|row| row.rrname.clone()).collect();
        names.dedup();
        Self { store: RefCell::new(store), rows, names, _server: server }
    }

    /// A store of made-up rows: few labels, addresses and times, so that all of them meet often.
    fn made_up() -> Self {
        let server = Redis::start();
        let mut store = Store::open(&options(&server)).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut log = Log::new(&mut store, 1);
        let mut model = Model::new();
        for number in 0..2_400_u32 {
            let rrname = made_up_name(&mut random);
            let fact = made_up_fact(&mut random);
            let at = START + random.u32(0..12) * DAY + random.u32(0..40) * 1_000;
            let ttl = random.bool().then(|| [0, 60, 300, 3_600][random.usize(0..4)]);
            for again in 0..random.u32(1..4) {
                log.add(&mut model, &rrname, &fact, at + again * 5_000 * random.u32(0..20), ttl);
            }
            if number % 500 == 0 {
                log.flush(&mut store).unwrap();
            }
        }
        // More records than a name's value takes.
        let wide = NameBuf::parse("wide.b.example").unwrap();
        for number in 0..700_u16 {
            let [high, low] = number.to_be_bytes();
            let fact = record(RrType::A, &[10, 9, high, low]);
            log.add(&mut model, &wide, &fact, START + u32::from(number % 50), Some(60));
        }
        log.flush(&mut store).unwrap();
        let world = Self::new(store, server);
        assert_eq!(world.rows.len(), model.len());
        world
    }

    /// The real logs, as the agent reads them.
    fn real(test: &str) -> Option<Self> {
        let logs = logs_for(test)?;
        let (home, server) = (Home::new(), Redis::start());
        let url = server.url();
        // Some of the logs are broken on purpose, which the exit code tells.
        run(home.agent().args(["zeek", "--once", "--redis", &url]), &[logs]).with(&[0, 1, 2]);
        Some(Self::new(Store::open(&options(&server)).unwrap(), server))
    }
}

fn made_up_name(random: &mut fastrand::Rng) -> NameBuf {
    const LABELS: &[&str] =
        &["a", "b", "www", "mail", "x-1", "_srv", "a\\.b", "\\000\\010", "\\\\", "\\0321", "*"];
    const TOPS: &[&str] =
        &["example", "b.example", "b.example.co.uk", "com", "2.0.192.in-addr.arpa", "."];
    let top = TOPS[random.usize(0..TOPS.len())];
    let labels = random.usize(0..4);
    let mut text = String::new();
    for _ in 0..labels {
        text += LABELS[random.usize(0..LABELS.len())];
        text += ".";
    }
    text += if top == "." && labels > 0 { "" } else { top };
    NameBuf::parse(&text).unwrap()
}

fn made_up_fact(random: &mut fastrand::Rng) -> FactBuf {
    let target = |random: &mut fastrand::Rng, before: &[u8]| {
        let mut octets = before.to_vec();
        made_up_name(random).as_name().write_wire(&mut octets);
        octets
    };
    match random.u8(0..12) {
        0..=2 => record(RrType::A, &[10, random.u8(0..3) * 16, random.u8(0..2), random.u8(0..9)]),
        3 => record(
            RrType::A,
            &[[9, 255, 255, 255], [10, 32, 2, 0], [10, 63, 0, 1]][random.usize(0..3)],
        ),
        4 | 5 => {
            let mut segments = [0x2001, 0xdb8, random.u16(0..3), 0, 0, 0, 0, random.u16(0..6)];
            segments[1] += random.u16(0..2);
            record(RrType::AAAA, &Ipv6Addr::from(segments).octets())
        }
        6 => record(RrType::CNAME, &target(random, &[])),
        7 => record(RrType::NS, &target(random, &[])),
        8 => record(RrType::MX, &target(random, &[0, 10])),
        9 => record(RrType::TXT, [[1, 0x1b].as_slice(), &[7; 400]][random.usize(0..2)]),
        10 => record(RrType(65_280), &[random.u8(0..3)]),
        _ => FactBuf::Negative {
            qtype: [RrType::A, RrType::AAAA, RrType::MX][random.usize(0..3)],
            outcome: [Outcome::NODATA, Outcome::NXDOMAIN, Outcome::UNANSWERED][random.usize(0..3)],
        },
    }
}

fn record(rrtype: RrType, octets: &[u8]) -> FactBuf {
    FactBuf::Record(Rdata { rrtype, octets, partial: false }.to_buf())
}

fn is_record(row: &Row) -> bool {
    matches!(row.fact, FactBuf::Record(_))
}

fn target(row: &Row) -> Target {
    match &row.fact {
        FactBuf::Record(rdata) => rdata.as_rdata().target(),
        FactBuf::Negative { .. } => Target::Octets,
    }
}

/// A name as its octets, with `None` between labels.
fn letters(name: Name<'_>) -> Vec<Option<u8>> {
    let mut letters = Vec::new();
    let mut text = name.as_str().bytes();
    while let Some(octet) = text.next() {
        letters.push(match octet {
            b'.' => None,
            b'\\' => {
                let first = text.next().unwrap();
                let more = text.clone();
                let digits: Vec<u8> =
                    std::iter::once(first).chain(more).take_while(u8::is_ascii_digit).collect();
                if digits.is_empty() {
                    Some(first)
                } else {
                    text.nth(1);
                    std::str::from_utf8(&digits[..3]).unwrap().parse().ok()
                }
            }
            _ => Some(octet),
        });
    }
    letters
}

/// Letters as one may type them.
fn typed(letters: &[Option<u8>]) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    let show = |letter: &Option<u8>| match letter {
        None => ".".to_owned(),
        Some(octet) if plain(*octet) => char::from(*octet).to_ascii_uppercase().to_string(),
        Some(octet) => format!("\\{octet:03}"),
    };
    letters.iter().map(show).collect()
}

/// What of [`Text`] must hold, in letters.
#[derive(Clone, Debug, Default)]
struct Letters {
    starts: Vec<Option<u8>>,
    ends: Vec<Option<u8>>,
    contains: Vec<Vec<Option<u8>>>,
    below: Option<NameBuf>,
}

impl Letters {
    fn text(&self) -> Text {
        let word = |letters: &Vec<Option<u8>>| {
            (!letters.is_empty()).then(|| Word::parse(&typed(letters)).unwrap())
        };
        Text {
            starts: word(&self.starts),
            ends: word(&self.ends),
            contains: self.contains.iter().filter_map(word).collect(),
            below: self.below.clone(),
        }
    }

    fn admits(&self, name: &NameBuf) -> bool {
        let letters = letters(name.as_name());
        let labels = |name: &NameBuf| name.as_name().labels().map(str::to_owned).collect();
        letters.starts_with(&self.starts)
            && letters.ends_with(&self.ends)
            && self.contains.iter().all(|word| {
                word.is_empty() || letters.windows(word.len()).any(|letters| letters == word)
            })
            && self.below.as_ref().is_none_or(|apex| {
                let (name, apex): (Vec<String>, Vec<String>) = (labels(name), labels(apex));
                name.len() > apex.len() && name.ends_with(&apex)
            })
    }
}

/// A question, with what is asked of names in letters.
#[derive(Clone, Debug)]
struct Asked {
    query: Query,
    letters: Letters,
}

fn words() -> impl Strategy<Value = (Index, Index, Index)> {
    any::<(Index, Index, Index)>()
}

/// A piece of one of the names.
fn piece(world: &World, (name, from, length): (Index, Index, Index)) -> Vec<Option<u8>> {
    let letters = letters(name.get(&world.names).as_name());
    let from = from.index(letters.len());
    let length = 1 + length.index(letters.len() - from);
    letters[from..from + length.min(6)].to_vec()
}

fn asked(world: &World) -> impl Strategy<Value = Asked> + '_ {
    let what = prop_oneof![
        (any::<Index>(), any::<bool>()).prop_map(|(name, negative)| {
            let name = name.get(&world.names).clone();
            (What::Name { name, negative }, Letters::default())
        }),
        (any::<(Index, Index)>(), any::<(bool, u8)>())
            .prop_map(|(rows, bits)| (addresses(world, rows, bits), Letters::default())),
        (prop::array::uniform5(prop::option::of(words())), any::<bool>())
            .prop_map(|(words, narrow)| of_names(world, words, narrow)),
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
fn addresses(world: &World, (one, other): (Index, Index), (prefix, length): (bool, u8)) -> What {
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

fn of_names(
    world: &World,
    [starts, ends, one, other, below]: [Option<(Index, Index, Index)>; 5],
    narrow: bool,
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
    (What::Names(letters.text()), letters)
}

fn filter(world: &World) -> impl Strategy<Value = Filter> + '_ {
    let time = any::<(Index, bool, i8)>().prop_map(|(row, last, off)| {
        let seen = row.get(&world.rows).seen;
        let time = if last { seen.time_last } else { seen.time_first };
        time.saturating_add_signed(i32::from(off) / 60)
    });
    let times = prop::option::weighted(0.2, time.clone());
    let span = prop::option::weighted(0.2, (time.clone(), time)).prop_map(|span| {
        span.map(|(one, other)| Moment { start: one.min(other), end: one.max(other) + 1 })
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
    })
}

fn rrtype(row: &Row) -> RrType {
    match &row.fact {
        FactBuf::Record(rdata) => rdata.rrtype,
        FactBuf::Negative { qtype, .. } => *qtype,
    }
}

/// Whether a row passes, from the words of the documentation.
fn passes(filter: &Filter, row: &Row) -> bool {
    let Filter { rrtypes, fence, ttl, outcome } = filter;
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
fn rank(sort: Sort, row: &Row) -> i64 {
    let seen = &row.seen;
    match sort {
        Sort::Count => -i64::from(seen.count),
        Sort::First => -i64::from(seen.time_first),
        Sort::Last => -i64::from(seen.time_last),
        Sort::Name => 0,
        Sort::Ttl if seen.ttl_min == Seen::NO_TTL => i64::MAX,
        Sort::Ttl => seen.ttl_max.into(),
    }
}

/// All rows that answer, in order, without the limit.
fn expected(world: &World, Asked { query, letters }: &Asked) -> Vec<Row> {
    let section = |keep: &dyn Fn(&Row) -> bool, otherwise: Sort| {
        let rows = world.rows.iter().filter(|row| passes(&query.filter, row) && keep(row));
        let mut rows: Vec<&Row> = rows.collect();
        // The rows of the world stand by name and fact, and the sort is stable.
        rows.sort_by_key(|row| rank(query.sort.unwrap_or(otherwise), row));
        rows.into_iter().cloned().collect::<Vec<Row>>()
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
        What::Names(_) => section(&|row| is_record(row) && letters.admits(&row.rrname), Sort::Name),
        What::Records => section(&is_record, Sort::Last),
        What::Negatives => section(&|row| !is_record(row), Sort::Last),
    }
}

/// Asks, and compares with what is expected.
fn check(world: &World, asked: &Asked, passes: Passes) -> Result<(), TestCaseError> {
    let want = expected(world, asked);
    let query = &asked.query;
    let mut got = Vec::new();
    let page = query::run_in(&mut world.store.borrow_mut(), query, passes, &mut |row| {
        got.push(row);
        ControlFlow::Continue(())
    })
    .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(page.shown, got.len() as u64);
    prop_assert!(!page.unsorted);
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
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
    let kept: Vec<Row> = want.iter().take(limit).cloned().collect();
    if cut && is_scan && !by_name {
        // Of rows that share the last place that fits, any may be shown.
        let sort = query.sort.unwrap_or(Sort::Last);
        let last = rank(sort, kept.last().unwrap());
        let before = |rows: &[Row]| -> Vec<Row> {
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
    let answered = RefCell::new([0_u32; 5]);
    let outcome = TestRunner::new(config).run(&(asked(world), passes), |(asked, passes)| {
        let number = match asked.query.what {
            What::Name { .. } => 0,
            What::Addresses(..) => 1,
            What::Names(_) => 2,
            What::Records => 3,
            What::Negatives => 4,
        };
        answered.borrow_mut()[number] += u32::from(!expected(world, &asked).is_empty());
        check(world, &asked, passes)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, (asked, passes))) => panic!("{why}\n{asked:#?}\n{passes:?}"),
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
fn questions_about_real_logs_are_answered_as_a_plain_filter_answers_them() {
    let test = "questions_about_real_logs_are_answered_as_a_plain_filter_answers_them";
    if let Some(world) = World::real(test) {
        ask_at_random(&world, 300);
    }
}

#[test]
fn an_answer_that_is_broken_off_is_the_start_of_it() {
    let world = World::made_up();
    for what in [
        What::Records,
        What::Names(Text::default()),
        What::Names(Text { below: NameBuf::parse("example").ok(), ..Text::default() }),
        What::Addresses([10, 0, 0, 0].into(), [10, 255, 255, 255].into()),
        What::Name { name: NameBuf::parse("wide.b.example").unwrap(), negative: true },
    ] {
        for (limit, sort) in [(0, None), (0, Some(Sort::Name)), (50, Some(Sort::Count))] {
            let query = Query { what: what.clone(), filter: Filter::default(), limit, sort };
            let answer = |most: usize| {
                let mut rows = Vec::new();
                let page = query::run(&mut world.store.borrow_mut(), &query, &mut |row| {
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
        sum.1 += u64::from(row.seen.count);
        sum.2 = sum.2.min(row.seen.time_first);
        sum.3 = sum.3.max(row.seen.time_last);
    }
    sums
}

#[test]
fn names_are_ranked_by_all_their_records_that_pass() {
    let world = World::made_up();
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let strategy = (filter(&world), prop_oneof![1..30_usize, Just(100_000)]);
    let ran = TestRunner::new(config).run(&strategy, |(filter, limit)| {
        let sums = sums(&world, &filter);
        let mut want: Vec<_> = sums.into_iter().collect();
        want.sort_by(|(name, sum), (other, than)| than.1.cmp(&sum.1).then(name.cmp(other)));
        let cut = want.len() > limit;
        want.truncate(limit);
        let (got, got_cut) =
            query::top_names(&mut world.store.borrow_mut(), &filter, limit).unwrap();
        let got: Vec<_> = got
            .into_iter()
            .map(|sum| (sum.rrname, (sum.records, sum.count, sum.time_first, sum.time_last)))
            .collect();
        prop_assert_eq!((got, got_cut), (want, cut));
        Ok(())
    });
    ran.unwrap();
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
    assert_eq!(store.days().unwrap(), counts);
    for day in START / DAY - 1..START / DAY + 14 {
        let want = days.remove(&day).unwrap_or_default();
        for limit in [0, 1, 5, want.len().max(1), want.len() + 1] {
            let mut got = Vec::new();
            let page = query::new_names(&mut store, day, limit, &mut |name, first| {
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
