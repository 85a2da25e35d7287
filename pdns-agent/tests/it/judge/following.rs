//! The judge that follows: kills, restarts, losses and full stores, and a second judge.

use super::{Running, alerts, events, feed, feed_names, generated, line, now, once, set};
use crate::cli::Site;
use crate::proxy::Proxy;
use crate::redis::{Redis, until};
use crate::run::{Home, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Settings with a file of events, which is returned.
fn with_file(site: &Site) -> PathBuf {
    set(&site.home, "[judge]\ninterval = '1s'\n[judge.file]\npath = 'events.json'\n");
    site.home.path().join(".config/pdns/events.json")
}

fn names_in(file: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |last| last + 1)];
    events(whole)
        .iter()
        .filter(|event| event["event"]["dataset"] == "pdns.first_seen")
        .map(|event| event["dns"]["question"]["name"].as_str().unwrap().to_owned())
        .collect()
}

fn status(site: &Site) -> Value {
    serde_json::from_str(&run(&mut site.pdns(), &["judge", "--status"]).with(&[0])).unwrap()
}

#[test]
fn after_kills_every_event_is_written_at_least_once_with_the_same_identifier() {
    let site = Site { home: Home::new(), server: Redis::start_durable() };
    feed_names(&site, "0", &["before.example"]);
    let file = with_file(&site);
    once(&site, &[]).with(&[0]);
    let mut wanted = BTreeSet::new();
    for round in 0..6_u64 {
        let judge = Running::start(&site, &["--wait"]);
        let mut log = String::new();
        for number in 0..3_000 {
            let name = format!("{}.example{round}.com", generated(round * 10_000 + number));
            line(&mut log, now() - 60, &name, Some("45.9.0.1"));
            wanted.insert(name);
        }
        feed(&site, &format!("round-{round}"), &log);
        if round % 2 == 0 {
            // In the middle of its work, as far as that can be had.
            let before = names_in(&file).len();
            until("it writes", || names_in(&file).len() > before);
        }
        judge.kill9(&site);
    }
    once(&site, &[]).with(&[0]);
    let text = fs::read_to_string(&file).unwrap();
    let (mut ids, mut found) = (BTreeSet::new(), BTreeSet::new());
    for event in events(&text) {
        if event["event"]["dataset"] == "pdns.first_seen" {
            let name = event["dns"]["question"]["name"].as_str().unwrap().to_owned();
            ids.insert((name.clone(), event["event"]["id"].as_str().unwrap().to_owned()));
            found.insert(name);
        }
    }
    assert_eq!(found, wanted);
    assert_eq!(ids.len(), wanted.len(), "an event has the same identifier each time");
}

#[test]
fn after_a_break_the_latest_names_come_first() {
    let site = Site::new();
    let file = with_file(&site);
    once(&site, &[]).with(&[0]);
    // More than one step of each partition.
    for part in 0..5 {
        let names: Vec<String> = (part * 4_000..part * 4_000 + 4_000)
            .map(|number| format!("h{number:05}.one-domain.com"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        feed_names(&site, &format!("part-{part}"), &names);
    }
    once(&site, &[]).with(&[0]);
    let found = names_in(&file);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 20_000);
    assert_eq!(found.len(), 20_000);
    let number = |name: &String| name[1..6].parse::<u32>().unwrap();
    // Names of one domain are in one partition, in the order of the imports.
    let mean = |names: &[String]| {
        names.iter().map(|name| u64::from(number(name))).sum::<u64>() / names.len() as u64
    };
    assert!(
        mean(&found[..2_000]) > mean(&found[18_000..]) + 10_000,
        "{} {}",
        mean(&found[..2_000]),
        mean(&found[18_000..])
    );
}

#[test]
fn one_judge_works_on_a_store_and_another_may_wait() {
    let site = Site::new();
    with_file(&site);
    let first = Running::start(&site, &[]);
    first.wait_for_lease(&site);
    let refused = once(&site, &[]);
    assert_eq!(refused.code, Some(2));
    let holder = format!("process {} on ", first.child.id());
    assert!(
        refused.stderr.contains(&holder) && refused.stderr.contains("judges this store already"),
        "{}",
        refused.stderr
    );
    assert_eq!(status(&site)["holder"].as_str().map(|text| text.starts_with(&holder)), Some(true));
    let second = Running::start(&site, &["--wait"]);
    until("it waits", || second.said().contains("waiting for another judge"));
    let (code, said) = first.terminate();
    assert_eq!(code, Some(0), "{said}");
    second.wait_for_lease(&site);
    // One whose lease another has taken ends.
    site.server.call(&[
        "HSET",
        "pd:{tags}j",
        "l",
        &format!("other {} process 1 on moon", now() + 1_000),
    ]);
    let third = once(&site, &[]);
    assert!(
        third.stderr.contains("process 1 on moon judges this store already"),
        "{}",
        third.stderr
    );
    until("it notices", || second.said().contains("another judge took over"));
    site.server.call(&["HDEL", "pd:{tags}j", "l"]);
    second.wait_for_lease(&site);
}

/// The time until which the lease is taken.
fn lease_ends(site: &Site) -> u64 {
    let lease: String = ::redis::cmd("HGET")
        .arg(&["pd:{tags}j", "l"])
        .query(&mut site.server.connection())
        .unwrap();
    lease.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_lease_is_kept_in_an_interval_that_is_longer() {
    let site = Site::new();
    set(&site.home, "[judge]\ninterval = '1h'\n");
    let judge = Running::start(&site, &[]);
    judge.wait_for_lease(&site);
    let before = lease_ends(&site);
    until("it extends the lease", || lease_ends(&site) > before);
    let (code, said) = judge.terminate();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_lease_is_kept_while_all_names_are_read() {
    let site = Site::new();
    with_file(&site);
    feed_names(&site, "1", &["www.paypa1.com"]);
    let proxy = Proxy::before(&site.server);
    // The names are read, and nothing else is done meanwhile on this connection.
    proxy.hold(b"\r\nGET\r\n$9\r\npd:{");
    let mut judge = Running::start(&site, &["--once", "--all", "--redis", &proxy.url()]);
    judge.wait_for_lease(&site);
    let before = lease_ends(&site);
    until("it extends the lease", || lease_ends(&site) > before);
    assert_eq!(judge.child.try_wait().unwrap(), None, "it still reads");
    proxy.release();
    until("it ends", || judge.child.try_wait().unwrap().is_some());
    assert_eq!(judge.child.wait().unwrap().code(), Some(0), "{}", judge.said());
    let file = site.home.path().join(".config/pdns/events.json");
    assert_eq!(alerts(&events(&fs::read_to_string(file).unwrap())).len(), 1);
}

#[test]
fn trouble_of_the_store_does_not_end_it() {
    let mut site = Site { home: Home::new(), server: Redis::start_durable() };
    feed_names(&site, "0", &["before.example"]);
    let file = with_file(&site);
    let judge = Running::start(&site, &[]);
    judge.wait_for_lease(&site);
    let comes = |site: &Site, name: &str| {
        feed_names(site, name, &[name]);
        until("the name comes", || names_in(&file).contains(&name.to_owned()));
    };
    comes(&site, "a.example");
    // Restarts, orderly and not.
    site.server.restart();
    comes(&site, "b.example");
    site.server.kill9();
    site.server.restart();
    comes(&site, "c.example");
    // A store that is full takes neither names nor the state.
    site.server.call(&["CONFIG", "SET", "maxmemory", "1"]);
    until("it tells", || judge.said().contains("the store is full"));
    site.server.call(&["CONFIG", "SET", "maxmemory", "0"]);
    comes(&site, "d.example");
    // A failover made it a replica for a while.
    site.server.call(&["REPLICAOF", "127.0.0.1", "1"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    site.server.call(&["REPLICAOF", "NO", "ONE"]);
    comes(&site, "e.example");
    // Another store in its place: everything in it is new.
    site.server.flush();
    comes(&site, "f.example");
    // A repair numbers names anew.
    site.server.call(&["DEL", "pd:{00}m", "pd:{01}m", "pd:{02}m", "pd:{0d}m"]);
    run(&mut site.pdns(), &["admin", "verify", "--repair"]);
    comes(&site, "g.example");
    let (code, said) = judge.terminate();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn names_that_the_store_lost_and_got_again_are_judged_again() {
    let mut site = Site::new();
    let file = with_file(&site);
    once(&site, &[]).with(&[0]);
    feed_names(&site, "1", &["one.example", "two.example"]);
    once(&site, &[]).with(&[0]);
    // As if Redis had lost the last second: the names are gone, the state is not.
    let state: Vec<u8> = ::redis::cmd("HGET")
        .arg(&["pd:{tags}j", "s"])
        .query(&mut site.server.connection())
        .unwrap();
    site.server.kill9();
    site.server.restart();
    feed_names(&site, "2", &["three.example"]);
    ::redis::cmd("HSET")
        .arg("pd:{tags}j")
        .arg("s")
        .arg(state)
        .query::<()>(&mut site.server.connection())
        .unwrap();
    let ended = once(&site, &[]);
    assert!(ended.stderr.contains("the store lost names"), "{}", ended.stderr);
    assert!(names_in(&file).contains(&"three.example".to_owned()));
    assert_eq!(status(&site)["counters"]["losses"], 1);
}

#[test]
fn a_damaged_state_is_found_repaired_and_survived() {
    let site = Site::new();
    with_file(&site);
    once(&site, &[]).with(&[0]);
    site.server.call(&["HSET", "pd:{tags}j", "s", "{", "l", "?", "x", "y"]);
    let found = run(&mut site.pdns(), &["admin", "verify"]);
    assert_eq!(found.code, Some(1));
    assert!(
        found.stderr.contains("pd:{tags}j: the field \"s\" does not read")
            || found.stdout.contains("pd:{tags}j: the field \"s\" does not read"),
        "{found:?}"
    );
    run(&mut site.pdns(), &["admin", "verify", "--repair"]).with(&[1]);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
    once(&site, &[]).with(&[0]);
    site.server.call(&["DEL", "pd:{tags}j"]);
    site.server.call(&["SET", "pd:{tags}j", "text"]);
    let ended = once(&site, &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("pd:{tags}j in the store is damaged"), "{}", ended.stderr);
    run(&mut site.pdns(), &["admin", "verify", "--repair"]);
    once(&site, &[]).with(&[0]);
    feed_names(&site, "1", &["www.paypa1.com"]);
    let file = site.home.path().join(".config/pdns/events.json");
    once(&site, &[]).with(&[0]);
    assert_eq!(alerts(&events(&fs::read_to_string(file).unwrap())).len(), 1);
}

#[test]
fn a_file_that_cannot_be_written_holds_the_judge_up_and_loses_nothing() {
    let site = Site::new();
    let file = with_file(&site);
    once(&site, &[]).with(&[0]);
    // Files cannot grow beyond 64 KiB, of which 100 bytes are left: as on a full disk, a part of the event fits.
    let filler = format!("{}\n", " ".repeat((64 << 10) - 101));
    fs::write(&file, &filler).unwrap();
    feed_names(&site, "1", &["a.example"]);
    let script = "trap '' XFSZ; ulimit -f 128; exec \"$@\"";
    let pdns = site.pdns();
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", script, "sh"]).arg(pdns.get_program()).args(pdns.get_args());
    for (name, value) in pdns.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let said = site.home.path().join("said");
    limited.arg("judge").stdout(std::process::Stdio::null());
    let mut child = limited.stderr(fs::File::create(&said).unwrap()).spawn().unwrap();
    let tells = || fs::read_to_string(&said).unwrap().contains("cannot write events to ");
    until("it tells", tells);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap().trim_end(), "", "nothing torn is left");
    site.server.call(&["HDEL", "pd:{tags}j", "l"]);
    fs::remove_file(&file).unwrap();
    once(&site, &[]).with(&[0]);
    assert_eq!(names_in(&file), ["a.example"]);
}

#[test]
fn a_path_that_is_no_regular_file_is_refused() {
    let site = Site::new();
    for path in ["/dev/null", "/dev/full", "."] {
        set(&site.home, &format!("[judge.file]\npath = '{path}'\n"));
        let ended = once(&site, &[]);
        assert_ne!(ended.code, Some(0), "{path}");
        assert!(ended.stderr.contains("judge.file: path is "), "{path}: {}", ended.stderr);
        assert!(ended.stderr.contains("not a regular file"), "{path}: {}", ended.stderr);
    }
}

#[test]
fn names_of_content_networks_are_not_alerts() {
    let site = Site::new();
    once(&site, &[]).with(&[0]);
    let odd = format!("{}.com", generated(1));
    feed_names(&site, "1", &["e13541.x.akamaiedge.net", "d2u28gf9o4d1cv.cloudfront.net", &odd]);
    let found = alerts(&events(&once(&site, &[]).with(&[0])));
    assert_eq!(found, [(odd, "pdns-judge generated".to_owned())]);
}
