//! Records that are forgotten: they are gone, all others stay exact, and their memory is free.

use crate::logs::seed;
use crate::redis::Redis;
use crate::store::{
    Log, Model, a, agrees, cname, collect, contents, name, options, record, subset,
};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Fact, Outcome, Provenance, Seen};
use pdns_agent::record::FactBuf;
use pdns_agent::rr::RrType;
use pdns_agent::store::{Candidate, Kind, Store, StoreError};
use std::net::Ipv6Addr;

const START: u32 = 1_600_000_000;

/// The answer of Redis to a command.
fn ask<T: redis::FromRedisValue>(server: &Redis, words: &[&str]) -> T {
    T::from_redis_value(server.call(words)).unwrap()
}

fn forget(
    store: &mut Store,
    keep: &dyn Fn(&Candidate<'_>) -> bool,
) -> pdns_agent::store::ForgetTally {
    store.forget(keep, false, &|| false, &mut |_, _| {}).unwrap()
}

/// Records of all forms: many of one name, long ones, failures, large counts, many sensors.
fn fill(store: &mut Store, model: &mut Model, random: &mut fastrand::Rng) {
    let long = |number: u16| record(RrType::TXT, &number.to_be_bytes().repeat(300));
    for sensor in [0, 1, 40, 41, 90] {
        let mut log = Log::of_sensor(store, sensor);
        for number in 0..600_u16 {
            let [high, low] = number.to_be_bytes();
            let owner = name(&format!("h{number}.d{}.example", number % 50));
            let at = START + random.u32(..800) * 86_400;
            log.add(model, &owner, &a([10, 1, high, low]), at, Some(60));
            log.add(model, &owner, &a([10, 2, high, low % 7]), at + 5, None);
            if number % 5 == 0 {
                log.add(model, &owner, &cname(&format!("t{}.example", number % 30)), at, None);
                let address = Ipv6Addr::new(0x2001, 0xdb8, number % 3, 0, 0, 0, 0, number);
                log.add(model, &owner, &record(RrType::AAAA, &address.octets()), at, None);
                log.add(model, &owner, &long(number % 20), at, None);
            }
            let failed = FactBuf::Negative { qtype: RrType::A, outcome: Outcome::NXDOMAIN };
            log.add(model, &name(&format!("gone{}.example", number % 590)), &failed, at, None);
        }
        for number in 0..400_u16 {
            let [high, low] = number.to_be_bytes();
            let at = START + random.u32(..800) * 86_400;
            log.add(model, &name("wide.example"), &a([10, 9, high, low]), at, None);
        }
        let sum =
            Seen { count: 3 << 32, ..Seen::once(START + 400 * 86_400, None, Provenance::Exact) };
        log.merge(model, &name("large.example"), &a([10, 8, 0, 1]), &sum);
        log.flush(store).unwrap();
    }
}

fn is_recent(seen: &Seen) -> bool {
    seen.time_last >= START + 500 * 86_400
}

#[test]
fn what_is_forgotten_is_gone_and_all_else_is_as_before() {
    for server in [Redis::start_durable(), Redis::start_cluster()] {
        let mut random = fastrand::Rng::with_seed(seed(61));
        let mut store = Store::open(&options(&server)).unwrap();
        for number in 0..205 {
            let (field, number) = (format!("sensor-{number}"), number.to_string());
            server.call(&["HSET", "pd:sensors", &field, &number]);
            server.call(&["HSET", "pd:schema", &format!("sensor:{field}"), &number]);
        }
        let mut model = Model::new();
        fill(&mut store, &mut model, &mut random);
        agrees(&mut store, &model);
        let before = model.len();
        // Nothing is to be forgotten.
        let tally = forget(&mut store, &|_| true);
        assert_eq!((tally.records, tally.negatives, tally.names), (0, 0, 0));
        assert_eq!(tally.kept, before as u64);
        agrees(&mut store, &model);
        // A trial changes nothing.
        let keep = |one: &Candidate<'_>| is_recent(one.seen);
        let trial = store.forget(&keep, true, &|| false, &mut |_, _| {}).unwrap();
        agrees(&mut store, &model);

        let tally = forget(&mut store, &keep);
        assert_eq!(trial, tally);
        model.retain(|_, sum| is_recent(&sum.seen));
        assert_eq!(tally.records + tally.negatives, (before - model.len()) as u64);
        assert!(tally.records > 100 && tally.negatives > 10 && model.len() > 1_000);
        agrees(&mut store, &model);
        // By all ways to ask, also of a store that was open before.
        let wide = name("wide.example");
        let of = collect(|each| store.reader().records_by_name(wide.as_name(), each));
        assert_eq!(of, subset(&model, |owner, _| *owner == wide));
        let (from, to) = ("10.2.0.0".parse().unwrap(), "10.2.0.255".parse().unwrap());
        let of =
            collect(|each| store.reader().records_by_address_range(from, to, usize::MAX, each));
        let in_range = |_: &NameBuf, fact: &FactBuf| {
            fact.as_fact().address().is_some_and(|address| (from..=to).contains(&address))
        };
        assert_eq!(of, subset(&model, in_range));

        // A second and a third time, with new records in between, some of which were there before.
        for round in 0..2 {
            let mut log = Log::of_sensor(&mut store, 200 + round);
            for number in 0..300_u16 {
                let [high, low] = number.to_be_bytes();
                let owner = name(&format!("h{number}.d{}.example", number % 50));
                let at = START + 900 * 86_400;
                log.add(&mut model, &owner, &a([10, 1, high, low]), at, Some(9));
                log.add(
                    &mut model,
                    &name(&format!("new{number}.example")),
                    &a([10, 3, high, low]),
                    at,
                    None,
                );
            }
            log.flush(&mut store).unwrap();
            agrees(&mut store, &model);
            let gone = name(&format!("d{round}.example"));
            let is_gone = |owner: pdns_agent::name::Name<'_>| owner.is_at_or_below(gone.as_name());
            forget(&mut store, &|one| !is_gone(one.rrname));
            model.retain(|(owner, _), _| !is_gone(owner.as_name()));
            agrees(&mut store, &model);
        }
        let tally = forget(&mut store, &|_| false);
        assert_eq!(tally.kept, 0);
        agrees(&mut store, &Model::new());
        // Nothing is left of the inverted index, either.
        let keys: Vec<String> = ask(&server, &["KEYS", "*"]);
        let is_index =
            |key: &&String| key.contains("{4:") || key.contains("}x") || key.contains("}o");
        assert_eq!(keys.iter().find(is_index), None);
        // And the store takes records again.
        let mut log = Log::of_sensor(&mut store, 204);
        let mut model = Model::new();
        log.add(&mut model, &name("h1.d1.example"), &a([10, 1, 0, 1]), START, None);
        log.flush(&mut store).unwrap();
        agrees(&mut store, &model);
    }
}

#[test]
fn rows_that_an_agent_remembers_are_refused_when_they_have_other_numbers() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let mut log = Log::new(&mut store, 1);
    for number in 0..100_u8 {
        log.add(
            &mut model,
            &name(&format!("h{number}.d.example")),
            &a([10, 0, 0, number]),
            START,
            None,
        );
    }
    log.flush(&mut store).unwrap();
    let is_odd = |fact: Fact<'_>| {
        fact.address().is_some_and(|address| match address {
            std::net::IpAddr::V4(address) => address.octets()[3] % 2 == 1,
            std::net::IpAddr::V6(_) => false,
        })
    };
    forget(&mut store, &|one| !is_odd(one.fact));
    model.retain(|(_, fact), _| !is_odd(fact.as_fact()));
    let mut lost = Model::new();
    log.add(&mut lost, &name("h2.d.example"), &a([10, 0, 0, 2]), START + 9, None);
    assert!(matches!(log.flush(&mut store), Err(StoreError::Conflict)));
    let mut other = Store::open(&options(&server)).unwrap();
    agrees(&mut other, &model);
    let mut log = Log::new(&mut other, 2);
    for number in 0..4 {
        log.add(
            &mut model,
            &name(&format!("h{number}.d.example")),
            &a([10, 0, 0, number]),
            START + 9,
            None,
        );
    }
    log.flush(&mut other).unwrap();
    agrees(&mut other, &model);
    // The days on which names were first seen are those of what is left.
    let days = other.reader().days().unwrap();
    assert_eq!(days.values().sum::<u64>(), 52);
    assert_eq!(collect(|each| other.reader().scan_records(Kind::Record, each)).len(), 52);
}

#[test]
fn memory_is_that_of_a_store_that_never_had_what_is_forgotten() {
    let (server, plain) = (Redis::start(), Redis::start());
    let memory = |server: &Redis| -> u64 {
        let keys: Vec<String> = ask(server, &["KEYS", "pd:{*"]);
        let usage = |key: &String| ask::<u64>(server, &["MEMORY", "USAGE", key, "SAMPLES", "0"]);
        keys.iter().map(usage).sum()
    };
    let mut both = Store::open(&options(&server)).unwrap();
    // With the same hash key, so that both divide their names alike.
    for field in ["v", "P"] {
        let value: String = ask(&server, &["HGET", "pd:schema", field]);
        plain.call(&["HSET", "pd:schema", field, &value]);
    }
    let secret: Vec<u8> = ask(&server, &["HGET", "pd:schema", "sip"]);
    redis::cmd("HSET")
        .arg("pd:schema")
        .arg("sip")
        .arg(secret)
        .exec(&mut plain.connection())
        .unwrap();
    let mut half = Store::open(&options(&plain)).unwrap();
    let (mut of_both, mut of_half) = (Log::new(&mut both, 1), Log::new(&mut half, 1));
    let is_kept = |number: u32| !number.is_multiple_of(2);
    for number in 0..200_000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let (owner, fact) =
            (name(&format!("host{number}.d{}.example", number % 999)), a([10, b, c, d]));
        of_both.add(&mut Model::new(), &owner, &fact, START + number % 2, Some(60));
        if is_kept(number) {
            of_half.add(&mut Model::new(), &owner, &fact, START + number % 2, Some(60));
        }
        if number % 20_000 == 19_999 {
            of_both.flush(&mut both).unwrap();
            of_half.flush(&mut half).unwrap();
        }
    }
    let before = memory(&server);
    let tally = forget(&mut both, &|one| one.seen.time_last > START);
    assert_eq!((tally.records, tally.kept), (100_000, 100_000));
    let (after, want) = (memory(&server), memory(&plain));
    println!("{before} before, {after} after, {want} for the same records");
    assert!(after * 10 <= want * 11, "{after} bytes, where {want} would do");
    assert_eq!(contents(&mut both), contents(&mut half));
    assert!(both.verify(false, &mut |_, _| {}).unwrap().is_sound());
}
