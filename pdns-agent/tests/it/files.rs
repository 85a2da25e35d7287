//! Files as they are met in the field: copies, late ones, empty ones, torn ones, and things that are no logs.

use crate::agent::{Agent, catches_up, clean_import, zeek};
use crate::logs::{Lines, append, gzip};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::store::{Model, agrees, contents, options};
use pdns_agent::store::Store;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

fn store(server: &Redis) -> Store {
    Store::open(&options(server)).unwrap()
}

fn import(home: &Home, server: &Redis, input: &Path) -> Ended {
    run(zeek(home, &server.url()).arg("--once"), &[input])
}

/// Makes a file one that nobody has written to for an hour.
fn age(path: &Path) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
}

/// What a log amounts to by itself.
fn alone(log: &str) -> Model {
    let home = Home::new();
    let path = home.write("dns.log", log);
    clean_import(&home, &path)
}

#[test]
fn one_log_under_three_names_is_counted_once() {
    let (home, server) = (Home::new(), Redis::start());
    let log = Lines::new(31, 500).log(3_000);
    home.write("logs/dns.log", &log);
    home.write("logs/dns.copy.log", &log);
    home.write("logs/day/dns.1.log.gz", gzip(log.as_bytes()));
    // A shorter copy, and one that ends within a line.
    home.write("logs/dns.short.log", log.get(..log.len() / 2).unwrap());
    for _ in 0..3 {
        let ended = import(&home, &server, &home.path().join("logs"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        agrees(&mut store(&server), &alone(&log));
    }
}

#[test]
fn logs_and_folders_that_appear_later_are_read() {
    let (home, server) = (Home::new(), Redis::start());
    let folder = home.path().join("not/yet/there");
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    let mut lines = Lines::new(32, 500);
    let logs = [lines.log(500), lines.log(500), lines.log(500)];
    let mut octets = 0;
    let places = ["dns.1.log", "day/dns.2.log", "other/day/dns.3.log.gz"];
    for (log, place) in logs.iter().zip(places) {
        let content =
            if place.ends_with("gz") { gzip(log.as_bytes()) } else { log.clone().into_bytes() };
        home.write(&format!("not/yet/there/{place}"), content);
        octets += log.len() as u64;
        catches_up(&mut agent, &server, octets);
    }
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    agrees(&mut store(&server), &clean_import(&home, &folder));
}

#[test]
fn a_log_of_a_header_alone_is_read_when_lines_come() {
    let (home, server) = (Home::new(), Redis::start());
    let mut lines = Lines::new(33, 500);
    let path = home.write("logs/dns.log", lines.header());
    home.write("logs/dns.empty.log", "");
    let folder = home.path().join("logs");
    let ended = import(&home, &server, &folder);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(contents(&mut store(&server)).is_empty());
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    let first = lines.line();
    let (head, tail) = first.split_at(40);
    append(&path, head.as_bytes());
    append(&path, tail.as_bytes());
    append(&path, lines.line().as_bytes());
    catches_up(&mut agent, &server, fs::metadata(&path).unwrap().len());
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    agrees(&mut store(&server), &clean_import(&home, &path));
}

#[test]
fn a_last_line_without_newline_counts_once_when_imported_and_when_its_newline_comes() {
    let (home, server) = (Home::new(), Redis::start());
    let mut lines = Lines::new(34, 500);
    let log = lines.log(200);
    let path = home.write("dns.log", log.trim_end());
    age(&path);
    for _ in 0..2 {
        let ended = import(&home, &server, &path);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        agrees(&mut store(&server), &alone(&log));
    }
    let next = lines.line();
    append(&path, b"\n");
    append(&path, next.as_bytes());
    let ended = import(&home, &server, &path);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    agrees(&mut store(&server), &alone(&format!("{log}{next}")));
}

#[test]
fn what_cannot_be_read_is_told_and_all_else_is_read() {
    let (home, server) = (Home::new(), Redis::start());
    let log = Lines::new(35, 500).log(500);
    home.write("logs/dns.1.log", &log);
    home.write("logs/dns.2.log.gz", "\x1f\u{8}no gzip");
    let pipe = home.path().join("logs/dns.3.log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let ended = import(&home, &server, &home.path().join("logs"));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("is a FIFO, not a regular file"), "{}", ended.stderr);
    agrees(&mut store(&server), &alone(&log));
    let missing = import(&home, &server, &home.path().join("nothing"));
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains("nothing: no such file or directory"), "{}", missing.stderr);
}

#[test]
fn a_broken_gzip_is_counted_up_to_the_break_and_once() {
    let (home, server) = (Home::new(), Redis::start());
    let log = Lines::new(36, 2_000).log(8_000);
    let packed = gzip(log.as_bytes());
    let path = home.write("dns.log.gz", packed.get(..packed.len() / 2).unwrap());
    let mut before = None;
    for _ in 0..3 {
        let ended = import(&home, &server, &path);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let model = contents(&mut store(&server));
        let first = before.get_or_insert_with(|| {
            assert!(ended.stderr.contains("1 file or folder that could not be read to the end"));
            model.clone()
        });
        assert!(!first.is_empty());
        assert_eq!(*first, model);
    }
    // The whole of it comes later.
    fs::write(&path, packed).unwrap();
    let ended = import(&home, &server, &path);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    agrees(&mut store(&server), &alone(&log));
}

/// Whether a key says where a part of a partition ends.
fn is_meta(key: &str) -> bool {
    key.ends_with("}m") || key.ends_with("}nm")
}

/// Empties a store, which remains the same one.
pub(crate) fn empty(server: &Redis) {
    let mut connection = server.connection();
    let keys: Vec<String> = redis::cmd("KEYS").arg("pd:*").query(&mut connection).unwrap();
    for key in keys.iter().filter(|key| !["pd:schema", "pd:sensors"].contains(&key.as_str())) {
        let mut command = redis::cmd(if is_meta(key) { "HSET" } else { "DEL" });
        command.arg(key);
        if is_meta(key) {
            // What says that a partition belongs to this store remains.
            let none = [("r", 0), ("z", 0), ("b", 0), ("p", 0), ("k", 6), ("s", 0), ("n", 0)];
            command.arg(&none);
        }
        let () = command.query(&mut connection).unwrap();
    }
}

/// Makes a store that holds nothing but a batch of one log that all its partitions have begun, to end at `end`.
pub(crate) fn half_way(server: &Redis, log: &[u8; 16], end: u64) {
    let mut connection = server.connection();
    let rows = |connection: &mut redis::Connection, meta: String| -> u64 {
        redis::cmd("HGET").arg(meta).arg("r").query(connection).unwrap()
    };
    // Where nothing was ever written no batch was begun.
    let used: Vec<u8> = (0..64)
        .filter(|partition| {
            let tag = format!("pd:{{{partition:02x}}}");
            ["m", "nm"].iter().any(|end| rows(&mut connection, format!("{tag}{end}")) > 0)
        })
        .collect();
    empty(server);
    // All before 0 is done; of two slices none is applied.
    let mark = [&[0; 8][..], &end.to_be_bytes(), &[0, 2], &[0, 0]].concat();
    for partition in used {
        let key = format!("pd:{{{partition:02x}}}c");
        let () = redis::cmd("HSET").arg(key).arg(log).arg(&mark).query(&mut connection).unwrap();
    }
}

#[test]
fn a_batch_left_half_way_is_finished_to_its_last_line_and_from_a_whole_copy_only() {
    let (home, server) = (Home::new(), Redis::start());
    let log = Lines::new(37, 500).log(300);
    // The last line has no newline.
    let torn = log.trim_end();
    let path = home.write("dns.log", torn);
    age(&path);
    import(&home, &server, &path).with(&[0]);
    let (id, state) = store(&server).reader().sources().unwrap().remove(0);
    assert_eq!(state.acknowledged, torn.len() as u64);
    half_way(&server, &id, state.acknowledged);
    age(&path);
    import(&home, &server, &path).with(&[0]);
    agrees(&mut store(&server), &alone(&log));
    // A copy that is not yet whole has not all of the batch.
    half_way(&server, &id, state.acknowledged);
    fs::write(&path, torn.get(..torn.len() / 2).unwrap()).unwrap();
    import(&home, &server, &path).with(&[0]);
    // By now the newline is there.
    fs::write(&path, &log).unwrap();
    import(&home, &server, &path).with(&[0]);
    agrees(&mut store(&server), &alone(&log));
}

#[test]
fn what_was_gathered_of_a_torn_half_way_batch_goes_with_no_other_log() {
    let (home, server) = (Home::new(), Redis::start());
    let packed = gzip(Lines::new(38, 500).log(3_000).as_bytes());
    let path = home.write("logs/dns.1.log.gz", &packed);
    import(&home, &server, &path).with(&[0]);
    let (id, state) = store(&server).reader().sources().unwrap().remove(0);
    half_way(&server, &id, state.acknowledged);
    // One thread meets the torn file first, then another log.
    fs::write(&path, packed.get(..packed.len() / 2).unwrap()).unwrap();
    home.write("logs/dns.2.log", Lines::new(39, 500).log(300));
    let folder = home.path().join("logs");
    let both = || run(zeek(&home, &server.url()).args(["--once", "--workers", "1"]), &[&folder]);
    both().with(&[2]);
    fs::write(&path, &packed).unwrap();
    both().with(&[0]);
    agrees(&mut store(&server), &clean_import(&Home::new(), &folder));
}
