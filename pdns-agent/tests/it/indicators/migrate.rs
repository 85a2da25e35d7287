//! Stores of schema version 2 are migrated in place.

use crate::cli::Site;
use crate::redis::Redis;
use crate::run::run;
use base64ct::{Base64, Encoding as _};
use std::io::Read as _;
use std::path::Path;

/// Fills an empty server with a store as version 2 left it.
fn version_2(server: &Redis) {
    server.flush();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store-v2.jsonl.gz");
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
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
    for marked in [0_u8, 20, 64] {
        version_2(&site.server);
        let epoch = site.server.call(&["HGET", "pd:{00}m", "e"]);
        site.server.call(&["HSET", "pd:schema", "v", "3", "mig", "2", "g", "1"]);
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
        assert!(refused.stderr.contains("half migrated"), "{}", refused.stderr);
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
