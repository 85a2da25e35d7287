//! Stores that lost more than one key, or what nothing else tells of: noticed, refused, and whole again after a repair.

use crate::agent::{clean_import, zeek};
use crate::damage::{DAY, Site, host};
use crate::logs::{Lines, seed};
use crate::redis::{Redis, until};
use crate::run::{Ended, Home, run};
use crate::store::{Log, Model, a, agrees, contents, name, options};
use pdns_agent::store::{Store, StoreError};
use std::path::Path;

fn keys(server: &Redis, pattern: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(pattern).query(&mut server.connection()).unwrap()
}

fn delete(server: &Redis, keys: &[String]) {
    for key in keys {
        server.call(&["DEL", key]);
    }
}

/// Repairs a store; what it says was lost.
#[track_caller]
fn repaired(ended: &Ended) -> Vec<String> {
    let lost: Vec<String> = ended
        .stdout
        .lines()
        .filter_map(|line| Some(line.strip_prefix("lost: ")?.to_owned()))
        .collect();
    assert_eq!(ended.code, Some(i32::from(!lost.is_empty())), "{ended:?}");
    let said = if lost.is_empty() { "nothing was lost" } else { "all repaired; what could not" };
    assert!(ended.stderr.contains(said), "{ended:?}");
    let mut problems: Vec<&str> = ended.stdout.lines().collect();
    let count = problems.len();
    problems.sort_unstable();
    problems.dedup();
    assert_eq!(problems.len(), count, "a line comes twice: {ended:?}");
    lost
}

/// The store holds some of the model and nothing else, and can be written to.
#[track_caller]
fn is_part_and_writable(server: &Redis, model: &Model) -> Model {
    let mut store = Store::open(&options(server)).unwrap();
    let left = contents(&mut store);
    let differs = left.iter().find(|(record, seen)| model.get(*record) != Some(*seen));
    assert_eq!(differs, None);
    agrees(&mut store, &left);
    left
}

#[test]
fn the_numbers_and_the_rows_of_a_partition_may_go_together() {
    for ends in
        [&["m", "s0"][..], &["m", "s0", "s1"], &["m", "l0"], &["nm", "ns0"], &["nm", "nl0", "nd"]]
    {
        let mut site = Site::new();
        for end in ends {
            site.server.call(&["DEL", &site.key(end)]);
        }
        let lost = repaired(&site.pdns(&["admin", "verify", "--repair"]));
        assert!(!lost.is_empty() || !ends.contains(&"s0"), "{ends:?}");
        site.is_sound();
        let mut left = is_part_and_writable(&site.server, &site.model);
        // What is seen again begins anew.
        let mut log = Log::new(&mut site.store, 7);
        for number in 0..700 {
            log.add(&mut left, &host(number), &a([10, 9, 9, 9]), DAY, Some(60));
        }
        log.flush(&mut site.store).unwrap();
        agrees(&mut site.store, &left);
    }
}

#[test]
fn an_agent_forgets_the_rows_that_a_repair_numbers_anew() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut lost) = (Log::new(&mut store, 1), Model::new());
    let owner = name("www.example.com");
    for last in 0..20 {
        log.add(&mut lost, &owner, &a([192, 0, 2, last]), DAY, Some(60));
    }
    log.flush(&mut store).unwrap();
    // The rows go, and with them what says how many there were.
    let partition = store.router().partition(owner.as_name());
    delete(&server, &[format!("pd:{{{partition:02x}}}m"), format!("pd:{{{partition:02x}}}s0")]);
    let mut other = Store::open(&options(&server)).unwrap();
    let verdict = other.verify(true, &mut |_, _| {}).unwrap();
    assert!(verdict.remaining() == 0 && !verdict.lost.is_empty(), "{verdict:?}");
    // Another one enters other addresses of the name in the same places.
    let (mut others, mut model) = (Log::new(&mut other, 2), Model::new());
    for last in (100..130).rev() {
        others.add(&mut model, &owner, &a([192, 0, 2, last]), DAY, Some(60));
    }
    others.flush(&mut other).unwrap();
    log.add(&mut lost, &owner, &a([192, 0, 2, 3]), DAY, Some(60));
    let refused = log.flush(&mut store);
    assert!(matches!(refused, Err(StoreError::Renumbered)), "{refused:?}");
    agrees(&mut other, &model);
}

/// Reads the log that was imported once more, as one that was never read.
fn import_again(home: &Home, server: &Redis, log: &Path) {
    run(home.pdns().args(["--redis", &server.url(), "admin", "forget-source"]), &[log])
        .with(&[0, 1]);
    run(zeek(home, &server.url()).arg("--once"), &[log]).with(&[0]);
}

#[test]
fn a_store_that_redis_evicted_keys_of_is_whole_again_and_says_what_was_lost() {
    let home = Home::new();
    for round in 0..3 {
        let log =
            home.write(&format!("{round}/dns.log"), Lines::new(seed(61 + round), 900).log(6_000));
        let clean = clean_import(&home, &log);
        let server = Redis::start();
        run(zeek(&home, &server.url()).arg("--once"), &[&log]).with(&[0]);
        let size = |server: &Redis| -> u64 {
            redis::cmd("DBSIZE").query(&mut server.connection()).unwrap()
        };
        let (before, mut limit) = (size(&server), 8_000_000_u64);
        server.call(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
        until("Redis evicts a third of the keys", || {
            limit -= 50_000;
            server.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
            size(&server) < before * 2 / 3
        });
        server.call(&["CONFIG", "SET", "maxmemory", "0"]);
        server.call(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        let pdns =
            |arguments: &[&str]| run(home.pdns().args(["--redis", &server.url()]), arguments);
        assert_eq!(pdns(&["find", "--limit", "0"]).code, Some(2));
        assert_eq!(
            pdns(&["admin", "verify"]).code,
            Some(if keys(&server, "pd:schema").is_empty() { 2 } else { 1 })
        );
        let lost = repaired(&pdns(&["admin", "verify", "--repair"]));
        assert!(!lost.is_empty());
        pdns(&["admin", "verify"]).with(&[0]);
        let mut all = is_part_and_writable(&server, &clean);
        assert!(all.len() < clean.len());
        // What was lost is told: each name that lacks something.
        let missing = clean.keys().filter(|key| !all.contains_key(*key));
        let is_named = |owner: &str| {
            lost.iter().any(|line| {
                line.contains(owner)
                    || line.contains("unknown")
                    || line.contains("if there were any")
                    || line.contains("with the hash")
                    || line.contains("does not read")
            })
        };
        for (owner, _) in missing {
            assert!(is_named(owner.as_str()), "{owner} is not among {lost:?}");
        }
        import_again(&home, &server, &log);
        let mut store = Store::open(&options(&server)).unwrap();
        // The sensor has another number where all that told of the first one was evicted.
        let sensor = store.writer().sensor("test").unwrap();
        for (record, sum) in clean {
            all.entry(record).or_default().observe(&sum.seen, sensor);
        }
        agrees(&mut store, &all);
    }
}

#[test]
fn a_partition_that_lost_everything_is_no_empty_one() {
    let mut site = Site::new();
    let gone = keys(&site.server, &site.key("*"));
    delete(&site.server, &gone);
    let meta = site.key("m");
    for question in [
        &["find", "--limit", "0"][..],
        &["host7.example.com"],
        &["top", "--by", "names"],
        &["status"],
    ] {
        site.names(question, &meta);
    }
    site.pdns(&["admin", "verify"]).with(&[1]);
    let refused = site.write(7, [10, 0, 0, 7]);
    assert!(matches!(&refused, Err(StoreError::Damaged { key }) if *key == meta), "{refused:?}");
    assert_eq!(keys(&site.server, &site.key("*")), Vec::<String>::new());
    let lost = repaired(&site.pdns(&["admin", "verify", "--repair"]));
    assert_eq!(lost.len(), 2, "{lost:?}");
    site.is_sound();
    assert!(is_part_and_writable(&site.server, &site.model).is_empty());
    site.write(7, [10, 0, 0, 7]).unwrap();
    site.is_sound();
}

#[test]
fn a_store_of_an_earlier_version_is_marked_by_the_first_agent_that_writes_to_it() {
    let mut site = Site::new();
    // As that version leaves it: partitions that hold nothing are not there, and the schema has no copy of the sensors.
    for (kind, field) in [("m", "r"), ("nm", "r")] {
        for partition in 0..64 {
            let key = format!("pd:{{{partition:02x}}}{kind}");
            let rows: u64 = redis::cmd("HGET")
                .arg(&key)
                .arg(field)
                .query(&mut site.server.connection())
                .unwrap();
            if rows == 0 {
                site.server.call(&["DEL", &key]);
            } else {
                site.server.call(&["HDEL", &key, "a"]);
            }
        }
    }
    site.server.call(&["HDEL", "pd:schema", "m", "g", "sensor:test"]);
    site.is_sound();
    agrees(&mut site.store, &site.model);
    // What is missing of such a store is noticed as before.
    let (meta, kept) = (site.key("m"), "kept");
    site.server.call(&["RENAME", &meta, kept]);
    site.names(&["find", "--limit", "0"], &meta);
    assert!(
        matches!(site.write(7, [10, 0, 0, 7]), Err(StoreError::Damaged { key }) if key == meta)
    );
    assert!(keys(&site.server, &meta.replace('{', "\\{")).is_empty());
    site.server.call(&["RENAME", kept, &meta]);
    let sensors = "pd:sensors";
    site.server.call(&["HDEL", "pd:schema", "m"]);
    site.server.call(&["RENAME", sensors, kept]);
    site.server.call(&["HDEL", "pd:schema", "sensor:test"]);
    let refused = Store::open(&options(&site.server)).unwrap().writer().sensor("test");
    assert!(matches!(&refused, Err(StoreError::Damaged { key }) if key == sensors), "{refused:?}");
    site.server.call(&["RENAME", kept, sensors]);
    site.write(7, [10, 0, 0, 7]).unwrap();
    assert_eq!(keys(&site.server, "pd:{??}m").len(), 64);
    assert_eq!(keys(&site.server, "pd:{??}nm").len(), 64);
    site.is_sound();
    delete(&site.server, &["pd:{00}m".to_owned(), "pd:{01}m".to_owned()]);
    assert_eq!(site.pdns(&["find", "--limit", "0"]).code, Some(2));
}

#[test]
fn numbers_that_cannot_be_are_refused_and_bound_no_repair() {
    let mut site = Site::new();
    let (meta, before) = (site.key("m"), keys(&site.server, "*").len());
    for (field, number) in [
        ("r", "4294967295"),
        ("b", "65535"),
        ("n", "100000000"),
        ("n", "1"),
        ("k", "24"),
        ("k", "5"),
        ("s", "63"),
        ("s", "9"),
        ("z", "4000000000"),
        ("e", "12345678"),
    ] {
        let was: Option<Vec<u8>> =
            redis::cmd("HGET").arg(&meta).arg(field).query(&mut site.server.connection()).unwrap();
        assert_ne!(was.as_deref(), Some(number.as_bytes()), "{field}");
        site.server.call(&["HSET", &meta, field, number]);
        let found = site.pdns(&["find", "--limit", "0"]);
        let is_told = found.code == Some(2) && found.stderr.contains(&site.key(""));
        assert!(is_told || field == "e", "{field}={number}: {found:?}");
        let refused = site.write(1000, [10, 9, 9, 9]);
        let is_refused =
            matches!(&refused, Err(StoreError::Damaged { .. } | StoreError::LimitReached { .. }));
        assert!(is_refused, "{field}={number}: {refused:?}");
        let lost = repaired(&site.pdns(&["admin", "verify", "--repair"]));
        assert_eq!(lost, Vec::<String>::new(), "{field}={number}");
        site.is_sound();
        agrees(&mut site.store, &site.model);
        assert_eq!(keys(&site.server, "*").len(), before, "{field}={number}");
    }
    site.write(1000, [10, 9, 9, 9]).unwrap();
    site.is_sound();
    // Stray blocks with the highest numbers.
    let mut site = Site::new();
    for end in ["s2098175", "l65535", "s99999999999", "l007", "b33554432", "wx", "v"] {
        site.server.call(&["SET", &site.key(end), "x"]);
    }
    site.server.call(&["DEL", &site.key("m")]);
    let lost = repaired(&site.pdns(&["admin", "verify", "--repair"]));
    assert_eq!(lost, Vec::<String>::new());
    site.is_sound();
    agrees(&mut site.store, &site.model);
}

#[test]
fn another_hash_key_is_noticed_when_the_store_is_opened_and_the_right_one_comes_back() {
    let mut site = Site::new();
    site.server.call(&["HSET", "pd:schema", "sip", "0123456789abcdef"]);
    for question in [&["find", "--limit", "0"][..], &["status"], &["host7.example.com"]] {
        site.names(question, "pd:schema");
    }
    assert!(
        matches!(site.write(7, [10, 0, 0, 7]), Err(StoreError::Damaged { key }) if key == "pd:schema")
    );
    site.pdns(&["admin", "verify", "--repair"]).with(&[0]);
    site.is_sound();
    agrees(&mut site.store, &site.model);
    // Without anything stored, too.
    let server = Redis::start();
    drop(Store::open(&options(&server)).unwrap());
    server.call(&["HSET", "pd:schema", "sip", "0123456789abcdef"]);
    assert!(
        matches!(Store::open(&options(&server)), Err(StoreError::Damaged { key }) if key == "pd:schema")
    );
}

#[test]
fn sensors_that_are_gone_are_noticed_and_come_back_from_their_copy() {
    let mut site = Site::new();
    assert_eq!(site.store.writer().sensor("second").unwrap(), 1);
    let refused = |site: &Site| {
        let mut store = Store::open(&options(&site.server)).unwrap();
        let refused = store.writer().sensor("third");
        assert!(
            matches!(&refused, Err(StoreError::Damaged { key }) if key == "pd:sensors"),
            "{refused:?}"
        );
    };
    for damage in [
        &["DEL", "pd:sensors"][..],
        &["HDEL", "pd:sensors", "test"],
        &["HSET", "pd:sensors", "test", "1"],
    ] {
        site.server.call(damage);
        for question in [&["find", "--limit", "0"][..], &["status"]] {
            site.names(question, "pd:sensors");
        }
        refused(&site);
        site.pdns(&["admin", "verify"]).with(&[1]);
        assert_eq!(repaired(&site.pdns(&["admin", "verify", "--repair"])), Vec::<String>::new());
        site.is_sound();
        assert_eq!(site.store.reader().sensors().unwrap(), ["test", "second"]);
    }
    assert_eq!(site.store.writer().sensor("third").unwrap(), 2);
    // The copy is made again, too.
    site.server.call(&["DEL", "pd:schema"]);
    site.pdns(&["admin", "verify", "--repair"]).with(&[0]);
    site.server.call(&["DEL", "pd:sensors"]);
    refused(&site);
}

#[test]
fn what_is_lost_of_tags_is_noticed_and_comes_back_from_their_history() {
    let mut site = Site::new();
    for number in 0..4 {
        site.pdns(&["tag", "set", "threat", &format!("192.0.2.{number}"), "--note", "seen"])
            .with(&[0]);
    }
    site.pdns(&["tag", "set", "trust", "192.0.2.1"]).with(&[0]);
    site.pdns(&["tag", "clear", "threat", "192.0.2.2"]).with(&[0]);
    let list = |site: &Site| site.pdns(&["tag", "list", "--format", "json"]).with(&[0]);
    let history = |site: &Site| site.pdns(&["tag", "history", "--format", "json"]).with(&[0]);
    let (tags, events) = (list(&site), history(&site));
    let [t, m, h] = ["t", "m", "h"].map(|end| format!("pd:{{tags}}{end}"));
    let field: Vec<String> =
        redis::cmd("HKEYS").arg(&t).query(&mut site.server.connection()).unwrap();
    let damages: Vec<(&str, Vec<&str>, bool)> = vec![
        (&t, vec!["DEL", &t], false),
        (&t, vec!["HDEL", &t, &field[0]], false),
        (&t, vec!["SET", &t, "x"], false),
        (&m, vec!["DEL", &m], false),
        (&m, vec!["HDEL", &m, "g"], false),
        (&m, vec!["HSET", &m, "n", "x"], false),
        (&m, vec!["HSET", &m, "g", "x"], false),
        (&m, vec!["SET", &m, "x"], false),
        (&h, vec!["DEL", &h], true),
        (&h, vec!["RPOP", &h], true),
        (&h, vec!["LPOP", &h], true),
        (&h, vec!["SET", &h, "x"], true),
        (&h, vec!["LSET", &h, "1", "x"], true),
    ];
    for (key, damage, is_lost) in damages {
        let dump: Vec<(String, Vec<u8>)> = [&t, &m, &h]
            .map(|key| {
                (
                    key.clone(),
                    redis::cmd("DUMP").arg(key).query(&mut site.server.connection()).unwrap(),
                )
            })
            .to_vec();
        site.server.call(&damage);
        // Readers of that key, and whoever would change tags.
        if key == h {
            site.names(&["tag", "history"], key);
        } else {
            for question in [&["tag", "list"][..], &["find", "--limit", "0"]] {
                site.names(question, key);
            }
        }
        if !damage.contains(&"LSET") {
            site.names(&["tag", "set", "interest", "192.0.2.9"], key);
            site.names(&["tag", "clear", "threat", "192.0.2.3"], key);
        }
        site.pdns(&["admin", "verify"]).with(&[1]);
        let lost = repaired(&site.pdns(&["admin", "verify", "--repair"]));
        assert_eq!(!lost.is_empty(), is_lost, "{damage:?}: {lost:?}");
        site.is_sound();
        assert_eq!(list(&site), tags, "{damage:?}");
        if !is_lost {
            assert_eq!(history(&site), events, "{damage:?}");
        }
        // They can be changed again, and what follows is counted on.
        site.pdns(&["tag", "set", "interest", "192.0.2.9"]).with(&[0]);
        site.pdns(&["tag", "history"]).with(&[0]);
        site.is_sound();
        for (key, dump) in dump {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(&key).arg(0).arg(dump).arg("REPLACE");
            let () = restore.query(&mut site.server.connection()).unwrap();
        }
    }
    // All three at once: only the note that there were tags is gone with them.
    site.server.call(&["DEL", &t, &h]);
    site.names(&["tag", "list"], &t);
    let lost = repaired(&site.pdns(&["admin", "verify", "--repair"]));
    assert_eq!(lost.len(), 2, "{lost:?}");
    site.is_sound();
    site.pdns(&["tag", "set", "interest", "192.0.2.9"]).with(&[0]);
    assert_eq!(list(&site).lines().count(), 1);
}

#[test]
fn sensors_beyond_the_31st_are_told_apart() {
    let (home, server) = (Home::new(), Redis::start());
    let url = server.url();
    let log = home.write("dns.log", Lines::new(seed(66), 20).log(50));
    let import = |sensor: &str| {
        let mut command = home.agent();
        command.args(["zeek", "--redis", &url, "--sensor", sensor, "--once", "--workers", "2"]);
        let ended = run(command.arg(&log).arg("/dev/null"), &[] as &[&str]);
        run(home.pdns().args(["--redis", &url, "admin", "forget-source"]), &[&log]).with(&[0]);
        assert!([Some(0), Some(1)].contains(&ended.code), "{}", ended.stderr);
    };
    let status = |format: &str| {
        run(&mut home.pdns(), &["status", "--redis", &url, "--format", format]).with(&[0])
    };
    let mut store = Store::open(&options(&server)).unwrap();
    for number in 0..31 {
        assert_eq!(store.writer().sensor(&format!("s{number}")).unwrap(), number);
    }
    for sensor in ["south wing", "north wing", "s3"] {
        import(sensor);
    }
    let listed = status("table");
    assert!(listed.contains("s29,s30,south wing,north wing\n"), "{listed}");
    let json: serde_json::Value = serde_json::from_str(&status("json")).unwrap();
    assert_eq!(json["sensors"].as_array().map(Vec::len), Some(33), "{json}");
    assert!(!status("json").contains("told apart"));
    // One separator in every format that has one text for all.
    let find = |format: &str| {
        run(&mut home.pdns(), &["find", "--redis", &url, "--format", format]).with(&[0])
    };
    let all = "s3,south wing,north wing";
    for format in ["table", "csv"] {
        assert!(find(format).contains(all), "{}", find(format));
    }
    assert!(find("cof").contains(&format!("\"sensor_id\":\"{all}\"")), "{}", find("cof"));
}
