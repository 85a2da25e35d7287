//! Records that are forgotten: they are gone, all others stay exact, and their memory is free.

use crate::agent::{Agent, catches_up, ends_well, zeek_site};
use crate::cli::Site;
use crate::logs::seed;
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{
    Log, Model, a, agrees, cname, collect, contents, name, options, record, subset,
};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Fact, Outcome, Provenance, Seen};
use pdns_agent::record::FactBuf;
use pdns_agent::rr::RrType;
use pdns_agent::store::{Candidate, ForgetTally, Forgetting, Kind, Store, StoreError};
use serde_json::Value;
use std::net::Ipv6Addr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START: u32 = 1_600_000_000;

/// The answer of Redis to a command.
fn ask<T: redis::FromRedisValue>(server: &Redis, words: &[&str]) -> T {
    T::from_redis_value(server.call(words)).unwrap()
}

/// Octets of memory in use.
fn used_memory(server: &Redis) -> u64 {
    let info: String = ask(server, &["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.trim().parse().unwrap()
}

/// Forgets what is not to be kept.
fn forget(store: &mut Store, keep: &dyn Fn(&Candidate<'_>) -> bool) -> ForgetTally {
    run_forget(store, keep, false)
}

fn run_forget(
    store: &mut Store,
    keep: &dyn Fn(&Candidate<'_>) -> bool,
    is_trial: bool,
) -> ForgetTally {
    try_forget(store, keep, is_trial).unwrap()
}

fn try_forget(
    store: &mut Store,
    keep: &dyn Fn(&Candidate<'_>) -> bool,
    is_trial: bool,
) -> Result<ForgetTally, StoreError> {
    let mut how = Forgetting {
        keep,
        keep_sum: &|_| true,
        is_trial,
        holder: "a test",
        clock: &|| 1_700_000_000,
        is_stopped: &|| false,
        progress: &mut |_, _| {},
    };
    let mut tally = ForgetTally::default();
    store.forget(&mut how, &mut tally).map(|()| tally)
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
    for (server, rounds) in [(Redis::start_durable(), 2), (Redis::start_cluster(), 1)] {
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
        let trial = run_forget(&mut store, &keep, true);
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
        for round in 0..rounds {
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
    assert!(matches!(log.flush(&mut store), Err(StoreError::Rewritten)));
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

/// A line of a dns.log.
fn line(query: &str, time: u32, answer: &str) -> String {
    format!(
        "{{\"ts\":{time}.5,\"id.orig_h\":\"10.0.0.1\",\"id.resp_p\":53,\"query\":\"{query}\",\"qtype\":1,\
         \"RD\":true,\"RA\":true,{answer}}}\n"
    )
}

/// The part of a line that has an address.
fn answered(address: std::net::Ipv4Addr) -> String {
    format!("\"rcode\":0,\"answers\":[\"{address}\"],\"TTLs\":[60.0]")
}

/// A log of answers about names below the domains of [`zeek_site`], of which none is among its names.
fn old_log(home: &Home, batch: u32, names: u32) -> std::path::PathBuf {
    let mut log = String::new();
    for number in 0..names {
        let time = 1_400_000_000 + batch * 10_000_000 + number;
        let (domain, address) = (number % 97, std::net::Ipv4Addr::from_bits(0x0a63_0000 + number));
        let owner = format!("old{number}.b{batch}.d{domain}.example");
        log += &line(&owner, time, &answered(address));
    }
    home.write(&format!("old/dns.{batch}.log"), log)
}

fn forget_before(home: &Home, url: &str, time: u32) -> Command {
    let mut command = home.pdns();
    command.env("PDNS_REDIS", url).args(["admin", "forget", "--yes", "--last-before"]);
    command.arg(time.to_string());
    command
}

/// All keys are of the edition in use.
#[track_caller]
fn has_no_remains(server: &Redis) {
    let keys: Vec<String> = ask(server, &["KEYS", "pd:{??}*"]);
    for key in keys {
        let (tag, suffix) = key.split_at(7);
        let edition: Option<String> = ask(server, &["HGET", &format!("{tag}m"), "x"]);
        let other: Option<String> = ask(server, &["HGET", &format!("{tag}m"), "y"]);
        assert_eq!(other, None, "{tag}");
        let suffix = suffix.strip_prefix('n').unwrap_or(suffix);
        let digits: String = suffix.chars().take_while(char::is_ascii_digit).collect();
        if "bwsqgldtf".contains(&suffix[digits.len()..=digits.len()]) {
            assert_eq!(digits, edition.unwrap_or_default(), "{key}");
        }
    }
}

#[test]
fn what_an_agent_writes_meanwhile_is_counted_once() {
    let (home, folder, mut zeek) = zeek_site(seed(62));
    let server = Redis::start();
    zeek.write(20_000);
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    // On a fast machine one batch is gone before much is written.
    let (mut written, mut batch) = (0, 0);
    while written < 300 {
        let log = old_log(&home, batch, 3_000);
        run(
            home.agent().args(["zeek", "--once", "--sensor", "test", "--redis", &server.url()]),
            &[log],
        )
        .with(&[0]);
        batch += 1;
        let before = 1_400_000_000 + batch * 10_000_000;
        let mut forgetting =
            forget_before(&home, &server.url(), before).stderr(Stdio::piped()).spawn().unwrap();
        while forgetting.try_wait().unwrap().is_none() {
            zeek.go_on();
            written += 1;
            thread::sleep(Duration::from_millis(2));
        }
        let ended = forgetting.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(0), "{said}");
        assert!(said.contains("forgotten: 3000 records, 0 negative answers"), "{said}");
    }
    zeek.finish_line();
    catches_up(&mut agent, &server, zeek.octets() + old_octets(&server));
    assert!(agent.is_alive());
    // Positions of the old logs are of no interest to the comparison.
    has_no_remains(&server);
    let said = agent.said();
    assert!(!said.contains("WARN"), "{said}");
    ends_well(agent, &home, &server, &zeek);
}

/// Octets of the logs that are not the ones of the agent that follows.
fn old_octets(server: &Redis) -> u64 {
    let mut store = Store::open(&options(server)).unwrap();
    let sources = store.reader().sources().unwrap();
    let old = sources.iter().filter(|(_, state)| state.path.contains("/old/"));
    old.map(|(_, state)| state.acknowledged).sum()
}

#[test]
fn a_process_that_is_killed_is_completed_by_the_next() {
    let (home, server) = (Home::new(), Redis::start());
    let mut random = fastrand::Rng::with_seed(seed(63));
    let mut kills = 0;
    for batch in 0..3 {
        let log = old_log(&home, batch, 4_000);
        run(
            home.agent().args(["zeek", "--once", "--sensor", "test", "--redis", &server.url()]),
            &[log],
        )
        .with(&[0]);
        let mut model = contents(&mut Store::open(&options(&server)).unwrap());
        // A half of the batch.
        let before = 1_400_000_000 + batch * 10_000_000 + 2_000;
        for _ in 0..8 {
            let mut killed =
                forget_before(&home, &server.url(), before).stderr(Stdio::null()).spawn().unwrap();
            let end = Instant::now() + Duration::from_millis(random.u64(20..2_500));
            while killed.try_wait().unwrap().is_none() && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
            if killed.try_wait().unwrap().is_none() {
                killed.kill().unwrap();
                kills += 1;
            }
            killed.wait().unwrap();
            // Its lease and its hold end with it, for the test.
            server.call(&["DEL", "pd:{tags}f"]);
            for key in ask::<Vec<String>>(&server, &["KEYS", "pd:{??}v"]) {
                server.call(&["DEL", &key]);
            }
            // Whatever it was at, nothing is damaged, and nothing is gone that should be there.
            let now = contents(&mut Store::open(&options(&server)).unwrap());
            let is_kept = |sum: &crate::store::Sum| sum.seen.time_last >= before;
            let lost = model.iter().find(|(key, sum)| is_kept(sum) && now.get(key) != Some(sum));
            assert_eq!(lost, None);
        }
        run(&mut forget_before(&home, &server.url(), before), &[] as &[&str]).with(&[0]);
        model.retain(|_, sum| sum.seen.time_last >= before);
        agrees(&mut Store::open(&options(&server)).unwrap(), &model);
        has_no_remains(&server);
    }
    // The first of each batch has work for longer than it is given.
    assert!(kills >= 3, "only {kills} kills");
    // What the inverted index has is what the records need.
    let mut store = Store::open(&options(&server)).unwrap();
    let postings = store.verify(false, &mut |_, _| {}).unwrap().postings;
    let keys: Vec<String> = ask(&server, &["KEYS", "pd:{4:*"]);
    let members = keys.iter().flat_map(|key| ask::<Vec<i64>>(&server, &["SMEMBERS", key]));
    // The mark of a set that was spread is no entry.
    assert_eq!(members.filter(|member| *member >= 0).count() as u64, postings);
}

fn rows(site: &Site, words: &[&str]) -> Vec<Value> {
    let said = run(site.pdns().args(words), &["--format", "json", "--limit", "0"]).with(&[0, 1]);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_command_asks_shows_and_keeps_what_is_tagged() {
    let site = Site::new();
    let forget = |words: &[&str]| run(site.pdns().args(["admin", "forget"]), words);
    let all = rows(&site, &["find"]).len();
    assert!(all > 5);
    for (words, text) in [
        (&["--dry-run"][..], "say what to forget"),
        (&["--last-before", "1d"], "nobody can be asked here"),
        (&["--rules", "--yes"], "there are no rules"),
        (&["--only-sensor", "none", "--dry-run"], "no sensor \"none\""),
        (&["--last-before", "never", "--dry-run"], "--last-before"),
        (&["--address", "192.0.2", "--dry-run"], "give an address"),
        (&["--below", "a..b", "--dry-run"], "--below"),
        (&["--below", "", "--dry-run"], "give a name"),
        (&["--below", ".", "--dry-run"], "give a name"),
        (&["--below", "*.example.com", "--dry-run"], "give the name alone"),
        (&["--below", "bücher.example", "--dry-run"], "xn--"),
        (&["--most-count", "0", "--dry-run"], "--most-count"),
    ] {
        let ended = forget(words);
        assert_eq!(ended.code, Some(2), "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(text), "{words:?}: {}", ended.stderr);
    }
    // Everything of one type, as shown and as done.
    let of_type = |rrtype: &str| rows(&site, &["find", "--rrtype", rrtype]).len();
    let (cnames, addresses) = (of_type("CNAME"), of_type("A"));
    assert!(cnames > 0 && addresses > 1, "{cnames} {addresses}");
    let shown = forget(&["--rrtype", "CNAME", "--records", "--dry-run"]);
    assert!(
        shown.stderr.contains(&format!("to be forgotten: {cnames} record")),
        "{}",
        shown.stderr
    );
    assert_eq!(rows(&site, &["find"]).len(), all);
    forget(&["--rrtype", "CNAME", "--records", "--yes"]).with(&[0]);
    assert_eq!((of_type("CNAME"), of_type("A")), (0, addresses));
    let again = forget(&["--rrtype", "CNAME", "--records", "--yes"]);
    assert_eq!(again.code, Some(0));
    assert!(again.stderr.contains("nothing to forget"), "{}", again.stderr);
    // What is tagged on either end stays, unless that is meant, too.
    let row = rows(&site, &["find", "--rrtype", "A"]).swap_remove(0);
    let (name, address) = (row["rrname"].as_str().unwrap(), row["rdata"].as_str().unwrap());
    run(site.pdns().args(["tag", "set", "threat", address]), &[] as &[&str]).with(&[0]);
    forget(&["--address", "0.0.0.0/0", "--yes"]).with(&[0]);
    assert!(rows(&site, &[address]).iter().any(|row| row["rrname"] == name));
    assert!(of_type("A") < addresses);
    forget(&["--address", address, "--tagged", "--yes"]).with(&[0]);
    assert_eq!(rows(&site, &[address]), Vec::<Value>::new());
    // The rules of the settings.
    site.home.write(".config/pdns/pdns.toml", "[retention]\nlast_seen = \"400d\"\n");
    let shown = forget(&["--rules", "--dry-run"]);
    assert!(shown.stderr.contains("to be forgotten: "), "{}", shown.stderr);
    forget(&["--rules", "--yes"]).with(&[0]);
    assert_eq!(rows(&site, &["find"]), Vec::<Value>::new());
    run(site.pdns().args(["admin", "verify"]), &[] as &[&str]).with(&[0]);
    let status = run(site.pdns().args(["status", "--format", "json"]), &[] as &[&str]).with(&[0]);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["forgotten"]["reason"], "rules", "{status}");
}

#[test]
fn a_damaged_partition_is_told_and_the_others_are_done() {
    let (home, server) = (Home::new(), Redis::start());
    let log = old_log(&home, 0, 2_000);
    run(crate::agent::zeek(&home, &server.url()).arg("--once"), &[&log]).with(&[0]);
    let before = Store::open(&options(&server)).unwrap().reader().summary().unwrap().records;
    let keys: Vec<String> = ask(&server, &["KEYS", "pd:{??}s0"]);
    let gone = keys.first().expect("there are rows");
    server.call(&["DEL", gone]);
    let ended = run(&mut forget_before(&home, &server.url(), 1_800_000_000), &[] as &[&str]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("forgotten: ") && ended.stderr.contains(gone), "{ended:?}");
    let mut store = Store::open(&options(&server)).unwrap();
    let summary = store.reader().summary().unwrap();
    let noted = summary.forgotten.as_ref().expect("it is noted");
    assert_eq!(noted.records, before - summary.records);
    assert!(summary.records > 0 && summary.records < before / 20, "{summary:?}");
}

#[test]
fn a_judge_and_a_watch_go_on_where_they_were() {
    let (home, server) = (Home::new(), Redis::start());
    let url = server.url();
    let import = |name: &str, hosts: std::ops::Range<u32>, time: u32| {
        let mut log = String::new();
        for number in hosts {
            let address = std::net::Ipv4Addr::from_bits(0x0a62_0000 + number);
            let owner = format!("host{number}.d{}.example", number % 50);
            log += &line(&owner, time, &answered(address));
        }
        let log = home.write(name, log);
        run(home.agent().args(["zeek", "--once", "--sensor", "test", "--redis", &url]), &[log])
            .with(&[0]);
    };
    let judge = || {
        let events = run(home.pdns().env("PDNS_REDIS", &url), &["judge", "--once"]).with(&[0]);
        let names = events.lines().filter_map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            let is_first_seen = event["event"]["dataset"] == "pdns.first_seen";
            is_first_seen.then(|| event["dns"]["question"]["name"].as_str().unwrap().to_owned())
        });
        names.collect::<std::collections::BTreeSet<String>>()
    };
    import("first.log", 0..2_000, 1_500_000_000);
    judge();
    import("second.log", 2_000..2_100, 1_700_000_000);
    assert_eq!(judge().len(), 100);
    let mut watch = Agent::start(home.pdns().env("PDNS_REDIS", &url).args([
        "watch",
        "--interval",
        "1",
        "--records",
    ]));
    thread::sleep(Duration::from_secs(1));
    // What was judged is not judged again, whether it is forgotten or stays.
    run(&mut forget_before(&home, &url, 1_600_000_000), &[] as &[&str]).with(&[0]);
    assert_eq!(judge(), std::collections::BTreeSet::new());
    import("third.log", 2_100..2_150, 1_700_001_000);
    let names = judge();
    assert_eq!(names.len(), 50, "{names:?}");
    assert!(names.contains("host2149.d49.example"));
    // One that was forgotten is new again.
    import("fourth.log", 7..8, 1_700_002_000);
    assert_eq!(judge(), [String::from("host7.d7.example")].into());
    assert!(watch.is_alive(), "{}", watch.said());
    assert!(!watch.said().contains("lost"), "{}", watch.said());
}

#[test]
fn a_reader_that_takes_too_long_is_told_to_begin_again() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    for number in 0..3_000_u16 {
        let [high, low] = number.to_be_bytes();
        let owner = name(&format!("h{number}.one.example"));
        log.add(&mut model, &owner, &a([10, 0, high, low]), START, None);
    }
    log.flush(&mut store).unwrap();
    let mut seen = 0;
    let ended = store.reader().scan_records(Kind::Record, &mut |_| {
        seen += 1;
        if seen == 1 {
            let mut other = Store::open(&options(&server)).unwrap();
            forget(&mut other, &|one| one.rrname.as_str() != "h7.one.example");
        }
        std::ops::ControlFlow::Continue(())
    });
    let error = ended.expect_err("the keys are gone");
    assert!(seen < 3_000);
    let error = Store::explain_loss(&options(&server), error);
    assert!(matches!(error, StoreError::Rewritten), "{error}");
    model.remove(&(name("h7.one.example"), a([10, 0, 0, 7])));
    agrees(&mut store, &model);
}

#[test]
fn the_budget_of_memory_takes_the_least_valuable_first() {
    let (home, server) = (Home::new(), Redis::start());
    let url = server.url();
    let now = u32::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
    )
    .unwrap();
    let day = 86_400;
    let mut log = String::new();
    let address = answered(std::net::Ipv4Addr::new(192, 0, 2, 1));
    let mut line = |owner: String, time: u32, answer: &str| log += &line(&owner, time, answer);
    for number in 0..20_000 {
        // Seen once, the longer ago the lower the number.
        let time = now - 500 * day + number * 30;
        line(format!("once{number}.d{}.example", number % 97), time, &address);
    }
    for number in 0..2_000 {
        for again in 0..16 {
            let time = now - 490 * day + again;
            line(format!("often{number}.d{}.example", number % 97), time, &address);
        }
        line(format!("new{number}.d{}.example", number % 97), now - day, &address);
        line(format!("kept{number}.tagged.example"), now - 499 * day, &address);
        line(format!("gone{number}.d{}.example", number % 97), now - 480 * day, "\"rcode\":3");
    }
    let log = home.write("dns.log", log);
    run(home.agent().args(["zeek", "--once", "--sensor", "test", "--redis", &url]), &[log])
        .with(&[0]);
    let pdns = |words: &[&str]| run(home.pdns().env("PDNS_REDIS", &url), words);
    pdns(&["tag", "set", "interest", ".tagged.example"]).with(&[0]);
    // It is full where it is now. The least budget is 16 MB.
    server.call(&["SET", "filler", &"x".repeat(12 << 20)]);
    let used = used_memory(&server);
    let settings = |most: u64| {
        home.write(".config/pdns/pdns.toml", format!("[retention]\nmax_memory = {most}\n"));
    };
    settings(used * 2);
    let said = pdns(&["admin", "forget", "--rules", "--yes"]);
    assert!(said.stderr.contains("nothing to forget"), "{}", said.stderr);
    settings(used);
    let said = pdns(&["admin", "forget", "--rules", "--yes"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("the least valuable records go"), "{}", said.stderr);
    let model = contents(&mut Store::open(&options(&server)).unwrap());
    let of = |part: &str| -> Vec<u32> {
        let names = model.keys().filter_map(|(owner, _)| {
            owner.as_name().as_str().split('.').next()?.strip_prefix(part)?.parse().ok()
        });
        names.collect()
    };
    let once = of("once");
    assert!(once.len() < 19_000, "{} of 20,000 are left", once.len());
    assert_eq!((of("often").len(), of("new").len(), of("kept").len()), (2_000, 2_000, 2_000));
    // Those that are left are the later ones, to the hour.
    let first = once.iter().min().copied().unwrap_or(20_000);
    assert!(once.len() + 121 >= (20_000 - first) as usize, "{first}, {}", once.len());
    let status = pdns(&["status", "--format", "json"]).with(&[0]);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["forgotten"]["reason"], "memory", "{status}");
    // What is left may not go: that is said, and is a warning from then on.
    settings(16 << 20);
    server.call(&["SET", "other", &"x".repeat(16 << 20)]);
    let said = pdns(&["admin", "forget", "--rules", "--yes"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("still uses"), "{}", said.stderr);
    let model = contents(&mut Store::open(&options(&server)).unwrap());
    assert_eq!(model.len(), 4_000);
    let status = pdns(&["status"]).with(&[0]);
    assert!(status.contains("max_memory"), "{status}");
    pdns(&["admin", "verify"]).with(&[0]);
}

#[test]
fn what_a_repair_takes_away_meanwhile_does_not_come_into_use() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    for number in 0..9_000_u16 {
        let [high, low] = number.to_be_bytes();
        let owner = name(&format!("h{number}.d{}.example", number % 97));
        log.add(&mut model, &owner, &a([10, 0, high, low]), START, None);
        if number % 3_000 == 2_999 {
            log.flush(&mut store).unwrap();
        }
    }
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    let (mut done, mut refused) = (0, 0);
    thread::scope(|threads| {
        // It takes the keys that are being written for remains, as after a kill.
        threads.spawn(|| {
            while !is_over.load(ordering) {
                let mut other = Store::open(&options(&server)).unwrap();
                // A hold of the other one is an error here.
                drop(other.verify(true, &mut |_, _| {}));
                thread::sleep(Duration::from_millis(20));
            }
        });
        while done < 2 {
            let keep = |one: &Candidate<'_>| {
                let number = one.rrname.as_str().split('.').next().unwrap()[1..].parse::<u16>();
                number.unwrap() % 10 > done
            };
            match try_forget(&mut store, &keep, false) {
                Ok(_) => done += 1,
                Err(_) => refused += 1,
            }
            assert!(refused < 500, "it never ends");
            if refused > 20 {
                is_over.store(true, ordering);
            }
        }
        is_over.store(true, ordering);
    });
    println!("refused {refused} times");
    model.retain(|(owner, _), _| {
        owner.as_name().as_str().split('.').next().unwrap()[1..].parse::<u16>().unwrap() % 10 > 1
    });
    forget(&mut store, &|_| true);
    agrees(&mut store, &model);
    has_no_remains(&server);
}

#[test]
fn a_redis_that_is_full_leaves_nothing_half_done() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    for number in 0..20_000_u16 {
        let [high, low] = number.to_be_bytes();
        log.add(
            &mut model,
            &name(&format!("h{number}.one.example")),
            &a([10, 0, high, low]),
            START,
            None,
        );
        if number % 2_000 == 1_999 {
            log.flush(&mut store).unwrap();
        }
    }
    let used = used_memory(&server);
    // Room for a part of the new keys.
    server.call(&["CONFIG", "SET", "maxmemory", &(used + 700_000).to_string()]);
    let keep = |one: &Candidate<'_>| one.rrname.as_str() != "h7.one.example";
    let error = try_forget(&mut store, &keep, false).expect_err("there is no room");
    assert!(matches!(error, StoreError::Full), "{error}");
    agrees(&mut store, &model);
    has_no_remains(&server);
    server.call(&["CONFIG", "SET", "maxmemory", "0"]);
    forget(&mut store, &keep);
    model.remove(&(name("h7.one.example"), a([10, 0, 0, 7])));
    agrees(&mut store, &model);
}

#[test]
fn two_processes_at_once_destroy_nothing() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    for number in 0..3_000_u16 {
        let [high, low] = number.to_be_bytes();
        let owner = name(&format!("h{number}.one.example"));
        log.add(&mut model, &owner, &a([10, 0, high, low]), START, None);
    }
    log.flush(&mut store).unwrap();
    // The first is stopped for longer than its lease lasts, and the second does its work meanwhile.
    let is_done = std::cell::Cell::new(false);
    let keep = |one: &Candidate<'_>| {
        if !is_done.replace(true) {
            server.call(&["DEL", "pd:{tags}f"]);
            let mut other = Store::open(&options(&server)).unwrap();
            forget(&mut other, &|one| !one.rrname.as_str().starts_with("h8"));
        }
        !one.rrname.as_str().starts_with("h7")
    };
    assert!(try_forget(&mut store, &keep, false).is_err());
    model.retain(|(owner, _), _| !owner.as_name().as_str().starts_with("h8"));
    agrees(&mut store, &model);
    has_no_remains(&server);
    forget(&mut store, &|one| !one.rrname.as_str().starts_with("h7"));
    model.retain(|(owner, _), _| !owner.as_name().as_str().starts_with("h7"));
    agrees(&mut store, &model);
    has_no_remains(&server);
}
