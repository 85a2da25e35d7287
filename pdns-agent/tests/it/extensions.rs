//! Counts of 2^32 and more, and more sensors than a row has bits: both are beside the rows.

use crate::cli::Site;
use crate::logs::seed;
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{Log, Model, a, agrees, collect, contents, name, options, subset};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Provenance, Seen};
use pdns_agent::record::FactBuf;
use pdns_agent::store::{Kind, Store};
use redis::Commands as _;
use serde_json::Value;
use std::collections::BTreeSet;

const SENSORS: u16 = 1_200;

fn host(number: u16) -> (NameBuf, FactBuf) {
    let [high, low] = number.to_be_bytes();
    (name(&format!("h{number}.d{}.example", number % 7)), a([10, 1, high, low]))
}

/// Checks all ways to read against a model: whole, by name, by address.
#[track_caller]
fn reads_alike(store: &mut Store, model: &Model) {
    agrees(store, model);
    let owner = host(3).0;
    let of_owner = collect(|each| store.reader().records_by_name(owner.as_name(), each));
    assert_eq!(of_owner, subset(model, |name, _| *name == owner));
    let (from, to) = ("10.1.0.0".parse().unwrap(), "10.1.0.255".parse().unwrap());
    let in_range =
        collect(|each| store.reader().records_by_address_range(from, to, usize::MAX, each));
    let in_model = |_: &NameBuf, fact: &FactBuf| {
        fact.as_fact().address().is_some_and(|address| (from..=to).contains(&address))
    };
    assert_eq!(in_range, subset(model, in_model));
}

#[test]
fn a_store_tells_1200_sensors_apart() {
    let mut server = Redis::start_durable();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut random = fastrand::Rng::with_seed(seed(41));
    let mut model = Model::new();
    // Some sensors that write again and again, so that they know rows, and all others once.
    let mut logs: Vec<Log> = Vec::new();
    for number in 0..SENSORS {
        let sensor = match number {
            // To be registered looks at all others: most are entered as if they had been.
            40..1_190 => {
                let (field, number) = (format!("sensor-{number}"), number.to_string());
                server.call(&["HSET", "pd:sensors", &field, &number]);
                server.call(&["HSET", "pd:schema", &format!("sensor:{field}"), &number]);
                number.parse().unwrap()
            }
            _ => store.writer().sensor(&format!("sensor-{number}")).unwrap(),
        };
        assert_eq!(sensor, number);
        let mut log = Log::of_sensor(&mut store, sensor);
        let hosts = [0, random.u16(0..600), random.u16(0..20), 2_000 + number];
        for host in hosts.map(host) {
            log.add(&mut model, &host.0, &host.1, 1_700_000_000 + random.u32(..86_400), Some(60));
        }
        log.flush(&mut store).unwrap();
        if number % 97 == 5 {
            logs.push(log);
        }
        if random.u8(..12) == 0 && !logs.is_empty() {
            let log = random.choice(&mut logs).unwrap();
            for host in [0, random.u16(0..20), random.u16(0..600)].map(host) {
                log.add(&mut model, &host.0, &host.1, 1_700_100_000, None);
            }
            log.flush(&mut store).unwrap();
        }
    }
    assert_eq!(model[&host(0)].sensors.iter().count(), usize::from(SENSORS));
    reads_alike(&mut store, &model);
    server.kill9();
    server.restart();
    let mut store = Store::open(&options(&server)).unwrap();
    reads_alike(&mut store, &model);

    let home = Home::new();
    let url = server.url();
    let shown = |words: &[&str]| -> Vec<Value> {
        let shown = run(home.pdns().env("PDNS_REDIS", &url), words).with(&[0]);
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all: BTreeSet<String> = (0..SENSORS).map(|number| format!("sensor-{number}")).collect();
    let names = |value: &Value| -> BTreeSet<String> {
        let names = value.as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let common = host(0).0.to_string();
    assert_eq!(names(&shown(&[&common, "--format", "json"])[0]["sensors"]), all);
    assert_eq!(names(&shown(&["status"])[0]["sensors"]), all);
    let cof = shown(&[&common, "--format", "cof"]).remove(0);
    let list: BTreeSet<String> =
        cof["sensor_id"].as_str().unwrap().split(',').map(str::to_owned).collect();
    assert_eq!(list, all);
    let last = host(2_000 + SENSORS - 1).0.to_string();
    let last = shown(&[&last, "--format", "json"]).remove(0);
    assert_eq!(last["sensors"], serde_json::json!([format!("sensor-{}", SENSORS - 1)]));
    let found = shown(&["find", "--format", "json", "--limit", "0"]);
    assert_eq!(found.len(), model.len());
}

#[test]
fn a_sensor_too_many_is_refused() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    store.writer().sensor("first").unwrap();
    server.call(&["HSET", "pd:sensors", "last", "65535"]);
    let refused = store.writer().sensor("another").unwrap_err().to_string();
    assert!(refused.contains("as many sensors as it can tell apart (65536)"), "{refused}");
    assert_eq!(store.writer().sensor("last").unwrap(), u16::MAX);
    let mut model = Model::new();
    server.call(&["HSET", "pd:sensors", "between", "40000"]);
    for sensor in [u16::MAX, 0, 40_000] {
        let mut log = Log::of_sensor(&mut store, sensor);
        let (owner, fact) = host(1);
        log.add(&mut model, &owner, &fact, 1_700_000_000, None);
        log.flush(&mut store).unwrap();
    }
    agrees(&mut store, &model);
}

/// A sum with a count.
fn counted(count: u64) -> Seen {
    Seen { count, ..Seen::once(1_700_000_000, Some(60), Provenance::Imported) }
}

#[test]
fn counts_go_beyond_2_to_the_32_up_to_2_to_the_53() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    let limit = u64::from(u32::MAX);
    let mut log = Log::new(&mut store, 1);
    for number in 1..=40 {
        store.writer().sensor(&format!("s{number}")).unwrap();
    }
    let mut other = Log::of_sensor(&mut store, 40);
    // New, known to the store, and known to the writer; around the limit of the row, and of all counts.
    let counts =
        [1, limit - 2, limit - 1, limit, limit + 1, 1 << 40, Seen::MAX_COUNT - 5, Seen::MAX_COUNT];
    for round in 0..3_u64 {
        for (number, count) in (0..).zip(counts) {
            let (owner, fact) = host(number);
            let count = if round == 0 { count } else { 1 + round * (limit / 2) };
            log.merge(&mut model, &owner, &fact, &counted(count));
        }
        log.flush(&mut store).unwrap();
        agrees(&mut store, &model);
        for number in 0..4 {
            let (owner, fact) = host(number);
            other.merge(&mut model, &owner, &fact, &counted(limit - 3));
            other.merge(&mut model, &owner, &fact, &counted(limit - 3));
        }
        other.flush(&mut store).unwrap();
        reads_alike(&mut store, &model);
    }
    let sums: Vec<(u64, bool)> =
        model.values().map(|sum| (sum.count, sum.is_count_saturated())).collect();
    assert_eq!(sums.iter().filter(|sum| **sum == (Seen::MAX_COUNT, true)).count(), 2, "{sums:?}");
    // Scans without names and totals by name.
    let mut scanned: Vec<u64> = Vec::new();
    store
        .reader()
        .scan(Kind::Record, |_, seen, _| {
            scanned.push(seen.count);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    scanned.sort_unstable();
    let mut counts: Vec<u64> = model.values().map(|sum| sum.count).collect();
    counts.sort_unstable();
    assert_eq!(scanned, counts);
}

fn cof(name: &str, count: u64) -> String {
    format!(
        r#"{{"rrname":"{name}","rrtype":"A","rdata":"192.0.2.7","count":{count},"time_first":1600000000,"time_last":1600000009}}"#
    ) + "\n"
}

#[test]
fn large_counts_are_shown_as_they_were_imported() {
    let site = Site::new();
    let counts = [4_294_967_296, 5_000_000_000, Seen::MAX_COUNT];
    let lines =
        (0..).zip(counts).map(|(number, count)| cof(&format!("n{number}.example.org"), count));
    let file = site
        .home
        .write("elsewhere.json", lines.collect::<String>() + &cof("n3.example.org", u64::MAX));
    run(site.agent().arg("cof"), &[file]).with(&[0]);
    let shown = |words: &[&str]| -> Vec<Value> {
        let shown = run(&mut site.pdns(), words).with(&[0]);
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (number, count) in (0..).zip(counts) {
        let name = format!("n{number}.example.org");
        for (format, bound) in
            [("json", "count_is_lower_bound"), ("cof", "pdns_count_is_lower_bound")]
        {
            let row = shown(&[&name, "--format", format]).remove(0);
            assert_eq!((&row["count"], &row[bound]), (&count.into(), &Value::Null));
        }
    }
    // Beyond the limit, it is a lower bound.
    let row = shown(&["n3.example.org", "--format", "json"]).remove(0);
    assert_eq!(
        (&row["count"], &row["count_is_lower_bound"]),
        (&Seen::MAX_COUNT.into(), &true.into())
    );
    let most = shown(&["find", "--sort", "count", "--limit", "4", "--format", "json"]);
    let counts: Vec<Option<u64>> = most.iter().map(|row| row["count"].as_u64()).collect();
    let max = Some(Seen::MAX_COUNT);
    assert_eq!(counts, [max, max, Some(5_000_000_000), Some(4_294_967_296)]);
    // With all sums by domain, by address and by type.
    for by in ["domains", "addresses", "rrtypes"] {
        let top = shown(&["top", "--by", by, "--limit", "1", "--format", "json"]).remove(0);
        assert!(top["count"].as_u64() >= Some(2 * Seen::MAX_COUNT + 9_294_967_296), "{top}");
    }
    let top = shown(&["top", "--by", "names", "--limit", "3", "--format", "json"]);
    let counts: Vec<Option<u64>> = top.iter().map(|row| row["count"].as_u64()).collect();
    assert_eq!(counts, [max, max, Some(5_000_000_000)]);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn lost_counts_and_sensors_are_named_and_never_made_up() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut model = Model::new();
    for sensor in [3, 33, 34] {
        let mut log = Log::of_sensor(&mut store, sensor);
        for number in 0..3 {
            let (owner, fact) = host(number);
            log.merge(&mut model, &owner, &fact, &counted(3_000_000_000));
        }
        log.flush(&mut store).unwrap();
    }
    for number in 0..=34 {
        let sensor = store.writer().sensor(&format!("s{number}")).unwrap();
        assert_eq!(sensor, number);
    }
    agrees(&mut store, &model);
    let home = Home::new();
    let url = server.url();
    let pdns = |words: &[&str]| run(home.pdns().env("PDNS_REDIS", &url), words);
    let keys = |pattern: &str| -> Vec<String> { server.connection().keys(pattern).unwrap() };
    for (pattern, what) in [("pd:{??}q", "the count of row"), ("pd:{??}g*", "the sensors of row")] {
        let lost = keys(pattern).remove(0);
        server.call(&["DEL", &lost]);
        let refused = pdns(&["find", "--format", "json", "--limit", "0"]);
        assert!(refused.stderr.contains(&lost), "{}", refused.stderr);
        refused.with(&[2]);
        let checked = pdns(&["admin", "verify"]);
        let said = &checked.stdout;
        assert!(said.contains(what) && said.contains(&lost), "{said}");
        assert_ne!(checked.code, Some(0));
        let repaired = pdns(&["admin", "verify", "--repair"]);
        let said = repaired.stdout + &repaired.stderr;
        assert!(said.contains("example A 10.1.0."), "{said}");
        pdns(&["admin", "verify"]).with(&[0]);
    }
    for (key, sum) in contents(&mut store) {
        let was = &model[&key];
        // A count that is left of one is a lower bound, and a set that is left of one is empty.
        let is_bound = sum.count == u64::from(u32::MAX) && sum.is_count_saturated();
        assert!(sum.count == was.count && !sum.is_count_saturated() || is_bound, "{sum:?}");
        assert!(sum.sensors == was.sensors || sum.sensors.is_empty(), "{sum:?}");
    }
    // What belongs to no row, and what does not read.
    let set = keys("pd:{??}g*").remove(0);
    let (partition, _) = set.split_once('g').unwrap();
    let count = format!("{partition}q");
    for (key, field, value) in
        [(&set, "63", &b"\0\0\x21\0\x22"[..]), (&set, "x", b"y"), (&count, "62", b"short")]
    {
        let _: () = server.connection().hset(key, field, value).unwrap();
        assert_ne!(pdns(&["admin", "verify"]).code, Some(0));
        pdns(&["admin", "verify", "--repair"]).with(&[0]);
        pdns(&["admin", "verify"]).with(&[0]);
    }
}
