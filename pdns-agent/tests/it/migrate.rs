//! Stores of earlier schema versions are migrated in place, whatever stops the migration.

use crate::cli::Site;
use crate::logs::seed;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::run::{Home, run};
use base64ct::{Base64, Encoding as _};
use redis::Commands as _;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// A file of the test data.
fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn version_2(server: &Redis) {
    fill(server, "store-v2.jsonl.gz");
}

/// Fills a server with a store as a program of an earlier version left it.
fn fill(server: &Redis, store: &str) {
    server.flush();
    let text = data(store);
    let mut connection = server.connection();
    for line in text.lines() {
        let words: Vec<String> = serde_json::from_str(line).unwrap();
        let mut words = words.iter().map(|word| Base64::decode_vec(word).unwrap());
        let command = String::from_utf8(words.next().unwrap()).unwrap();
        let mut call = redis::cmd(&command);
        words.for_each(|word| {
            call.arg(word);
        });
        call.exec(&mut connection).unwrap();
    }
}

#[track_caller]
fn is_as_before(site: &Site) {
    let rows = run(&mut site.pdns(), &["find", "--format", "plain"]).with(&[0]);
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    assert_eq!(rows, ["mail.example.net\tA\t198.51.100.9", "www.example.com\tA\t192.0.2.7"]);
    let tags = run(&mut site.pdns(), &["tag", "list", "--format", "plain"]).with(&[0]);
    assert_eq!(tags.lines().count(), 4, "{tags}");
    let rows = run(&mut site.pdns(), &["find", "--tag", "threat", "--format", "plain"]).with(&[0]);
    assert_eq!(rows.lines().count(), 2);
    let shown = run(&mut site.pdns(), &["192.0.2.7", "--format", "json"]).with(&[0]);
    assert!(shown.contains("192.0.2.0/24"), "{shown}");
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn a_store_of_version_2_keeps_everything_and_can_be_migrated_again_after_a_kill() {
    let site = Site::new();
    version_2(&site.server);
    let refused = run(&mut site.pdns(), &["find"]);
    assert!(refused.stderr.contains("pdns admin migrate"), "{}", refused.stderr);
    refused.with(&[2]);
    let migrate = || run(&mut site.pdns(), &["admin", "migrate"]);
    let done = migrate();
    assert!(done.stderr.contains("migrated from schema version 2"), "{}", done.stderr);
    done.with(&[0]);
    is_as_before(&site);
    let again = migrate();
    assert!(again.stderr.contains("up to date"), "{}", again.stderr);
    again.with(&[0]);
    // The states in which a kill leaves a migration: after its first step, within the second, and before the last.
    // Programs of versions 3 and 4 leave the same ones, with their own versions.
    for (marked, version) in [(0_u8, "5"), (20, "5"), (64, "5"), (20, "4"), (20, "3")] {
        version_2(&site.server);
        let epoch = site.server.call(&["HGET", "pd:{00}m", "e"]);
        site.server.call(&["HSET", "pd:schema", "v", version, "mig", "2", "g", "1"]);
        let other = Redis::start();
        version_2(&other);
        run(site.pdns().env("PDNS_REDIS", other.url()), &["admin", "migrate"]).with(&[0]);
        let mut from = other.connection();
        let mut to = site.server.connection();
        for partition in 0..marked {
            let key = format!("pd:{{{partition:02x}}}m");
            for field in ["e", "i"] {
                let value: Vec<u8> =
                    redis::cmd("HGET").arg(&key).arg(field).query(&mut from).unwrap();
                redis::cmd("HSET").arg(&key).arg(field).arg(value).exec(&mut to).unwrap();
            }
        }
        assert!(marked == 0 || site.server.call(&["HGET", "pd:{00}m", "e"]) != epoch);
        let refused = run(&mut site.pdns(), &["find"]);
        let why = if version == "5" { "half migrated" } else { "pdns admin migrate" };
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        migrate().with(&[0]);
        is_as_before(&site);
    }
}

#[test]
fn writers_of_version_2_are_refused_after_the_migration() {
    let site = Site::new();
    version_2(&site.server);
    let epoch = site.server.call(&["HGET", "pd:{00}m", "e"]);
    run(&mut site.pdns(), &["admin", "migrate"]).with(&[0]);
    // An agent of version 2 compares the epoch with the one it knows.
    assert_ne!(site.server.call(&["HGET", "pd:{00}m", "e"]), epoch);
    // A tag script of version 2 compares this with the number of tags.
    let count = site.server.call(&["HGET", "pd:{tags}m", "c"]);
    assert_eq!(count, redis::Value::BulkString(b"-1".to_vec()));
    run(&mut site.pdns(), &["tag", "set", "threat", "203.0.113.0/25"]).with(&[0]);
    let count = site.server.call(&["HGET", "pd:{tags}m", "c"]);
    assert_eq!(count, redis::Value::BulkString(b"-1".to_vec()));
    let lengths = site.server.call(&["HGET", "pd:{tags}m", "p"]);
    assert_eq!(lengths, redis::Value::BulkString(b"4/24 4/32 6/32 4/25".to_vec()));
}

/// All records as `pdns find` shows them, without what changes with the time of the import.
fn found(site: &Site) -> Vec<Value> {
    let rows = run(&mut site.pdns(), &["find", "--format", "json", "--limit", "0"]).with(&[0]);
    sorted(&rows)
}

fn sorted(rows: &str) -> Vec<Value> {
    let mut rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

/// The stores of version 3 and what its program said of their records: one with 32 sensors, and one with 34, of which
/// the last three share a number.
const VERSION_3: [(&str, &str); 2] = [
    ("store-v3.jsonl.gz", "store-v3-records.jsonl.gz"),
    ("store-v3-shared.jsonl.gz", "store-v3-shared-records.jsonl.gz"),
];

fn sensor_numbers(server: &Redis) -> BTreeMap<String, u16> {
    server.connection().hgetall("pd:sensors").unwrap()
}

/// The store is one of this version that holds what it held before, also where no query looks.
#[track_caller]
fn is_migrated(site: &Site, records: &[Value], shares: bool) {
    assert_eq!(found(site), records);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
    let numbers = sensor_numbers(&site.server);
    let copies: BTreeMap<Vec<u8>, Vec<u8>> = site.server.connection().hgetall("pd:schema").unwrap();
    for (name, number) in &numbers {
        let field = format!("sensor:{name}").into_bytes();
        assert_eq!(copies.get(&field), Some(&number.to_string().into_bytes()), "{name}");
    }
    let distinct: BTreeSet<u16> = numbers.values().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
    assert_eq!(numbers.get("s30"), Some(&30));
    let last = if shares { [32, 33, 34].map(Some) } else { [Some(31), None, None] };
    assert_eq!(["s31", "s32", "s33"].map(|name| numbers.get(name).copied()), last);
    assert_eq!(numbers.get("s31,s32,s33").copied(), shares.then_some(31));
    // The count that had stopped.
    let huge = run(&mut site.pdns(), &["huge.example.com", "--format", "json"]).with(&[0]);
    let huge: Value = serde_json::from_str(&huge).unwrap();
    assert_eq!(
        (&huge["count"], &huge["count_is_lower_bound"]),
        (&4_294_967_295_u64.into(), &true.into())
    );
}

#[test]
fn a_store_of_version_3_keeps_everything_whatever_cuts_its_migration_short() {
    let site = Site::new();
    let proxy = Proxy::before(&site.server);
    let mut cuts = 0;
    for (store, records) in VERSION_3 {
        let (records, shares) = (sorted(&data(records)), store.contains("shared"));
        let migrate = |url: &str| run(site.pdns().env("PDNS_REDIS", url), &["admin", "migrate"]);
        fill(&site.server, store);
        migrate(&site.server.url()).with(&[0]);
        is_migrated(&site, &records, shares);
        // Behind the first commands, and then at points that lie further and further apart.
        let mut at = 1;
        loop {
            fill(&site.server, store);
            proxy.cut_after(at);
            let ended = migrate(&proxy.url());
            if ended.code == Some(0) {
                break;
            }
            cuts += 1;
            // It is as it was, it is refused, or it is done.
            let read = run(&mut site.pdns(), &["find", "--format", "json", "--limit", "0"]);
            if read.code == Some(0) {
                assert_eq!(sorted(&read.stdout), records);
            } else {
                assert!(read.stderr.contains("pdns admin migrate"), "{}", read.stderr);
            }
            migrate(&site.server.url()).with(&[0]);
            is_migrated(&site, &records, shares);
            at += 1 + at / 4;
        }
        proxy.clear_cut();
    }
    assert!(cuts > 30, "only {cuts} cuts");
}

#[test]
fn a_killed_migration_of_version_3_is_completed_by_the_next() {
    let site = Site::new();
    let (store, records) = VERSION_3[1];
    let records = sorted(&data(records));
    let mut random = fastrand::Rng::with_seed(seed(18));
    for _ in 0..12 {
        fill(&site.server, store);
        let mut child = site.pdns().args(["admin", "migrate"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(0..60)));
        // `kill` is SIGKILL.
        drop(child.kill());
        child.wait().unwrap();
        run(&mut site.pdns(), &["admin", "migrate"]).with(&[0]);
        is_migrated(&site, &records, true);
    }
}

#[test]
fn counts_and_sensors_go_on_after_the_migration_and_a_restart() {
    let home = Home::new();
    let mut server = Redis::start_durable();
    let url = server.url();
    let pdns = |words: &[&str]| run(home.pdns().env("PDNS_REDIS", &url), words);
    fill(&server, VERSION_3[1].0);
    pdns(&["admin", "migrate"]).with(&[0]);
    let line = |query: &str, address: &str| {
        format!(
            r#"{{"ts":1700009000.5,"id.resp_p":53,"query":"{query}","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["{address}"],"TTLs":[300.0]}}"#
        ) + "\n"
    };
    for sensor in ["s32", "new", "s05"] {
        let log = [
            line(&format!("{sensor}.example.edu"), "192.0.2.1"),
            line("near.example.com", "192.0.2.9").repeat(3),
            line("huge.example.com", "192.0.2.8"),
            line("s00.example.net", "10.0.0.1"),
        ];
        let log = home.write(&format!("{sensor}.log"), log.concat());
        let agent = &["zeek", "--once", "--sensor", sensor, "--redis", &url];
        run(home.agent().args(agent), &[log]).with(&[0]);
    }
    server.kill9();
    server.restart();
    let shown = |name: &str| -> Value {
        let shown = run(home.pdns().env("PDNS_REDIS", server.url()), &[name, "--format", "json"]);
        let shown: Value = serde_json::from_str(&shown.with(&[0])).unwrap();
        serde_json::json!([shown["count"], shown["count_is_lower_bound"], shown["sensors"]])
    };
    assert_eq!(
        shown("near.example.com"),
        serde_json::json!([4_294_967_299_u64, null, ["s00", "s05", "s32", "new"]])
    );
    assert_eq!(
        shown("huge.example.com"),
        serde_json::json!([4_294_967_298_u64, true, ["s00", "s05", "s32", "new"]])
    );
    assert_eq!(
        shown("s00.example.net"),
        serde_json::json!([4, null, ["s00", "s05", "s32", "new"]])
    );
    // Which of the three saw it before cannot be told any more, and that is said.
    assert_eq!(shown("s33.example.net"), serde_json::json!([1, null, ["s31,s32,s33"]]));
    let status = run(home.pdns().env("PDNS_REDIS", server.url()), &["status"]);
    let status: Value = serde_json::from_str(&status.with(&[0])).unwrap();
    assert_eq!(status["sensors"].as_array().map(Vec::len), Some(35), "{status}");
    assert!(
        status["warnings"][0].as_str().is_some_and(|text| text.contains("(s31,s32,s33)")),
        "{status}"
    );
    run(home.pdns().env("PDNS_REDIS", server.url()), &["admin", "verify"]).with(&[0]);
}

#[test]
fn a_store_of_version_4_differs_in_its_number_alone() {
    let site = Site::new();
    let records = found(&site);
    let mut redis = site.server.connection();
    site.server.call(&["HSET", "pd:schema", "v", "4"]);
    for partition in 0..64 {
        let key = format!("pd:{{{partition:02x}}}m");
        let mut mark: Vec<u8> = redis.hget(&key, "i").unwrap();
        mark[..2].copy_from_slice(&[0, 4]);
        let _: () = redis.hset(&key, "i", mark).unwrap();
    }
    let refused = run(&mut site.pdns(), &["find"]);
    assert!(refused.stderr.contains("pdns admin migrate"), "{}", refused.stderr);
    run(&mut site.pdns(), &["admin", "migrate"]).with(&[0]);
    assert_eq!(found(&site), records);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
    run(&mut site.pdns(), &["admin", "forget", "--rrtype", "A", "--yes"]).with(&[0]);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn writers_of_version_3_are_refused_after_the_migration_and_later_versions_always() {
    let site = Site::new();
    fill(&site.server, VERSION_3[0].0);
    let epoch = site.server.call(&["HGET", "pd:{00}m", "e"]);
    run(&mut site.pdns(), &["admin", "migrate"]).with(&[0]);
    // An agent of version 3 compares the epoch with the one it knows, and then finds the version.
    assert_ne!(site.server.call(&["HGET", "pd:{00}m", "e"]), epoch);
    let version = site.server.call(&["HGET", "pd:schema", "v"]);
    assert_eq!(version, redis::Value::BulkString(b"5".to_vec()));
    site.server.call(&["HSET", "pd:schema", "v", "6"]);
    for command in [&["find"][..], &["admin", "migrate"], &["admin", "verify", "--repair"]] {
        let refused = run(&mut site.pdns(), command);
        assert!(
            refused.stderr.contains("schema version 6, this program knows 5: install a newer pdns"),
            "{}",
            refused.stderr
        );
        refused.with(&[2]);
    }
}
