//! Where events go: a file, the system log, a web hook that may be away.

use super::{Running, alerts, events, feed_names, generated, once, set};
use crate::cli::Site;
use crate::redis::until;
use crate::run::run;
use crate::web::{WebServer, reply};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_file_the_system_log_and_a_web_hook_get_what_they_should() {
    let site = Site::new();
    let hook = WebServer::start(|_, _, out| reply(out, 200, &["Content-Type: text/html"], b"ok"));
    let socket = site.home.path().join("log");
    let log = UnixDatagram::bind(&socket).unwrap();
    set(
        &site.home,
        &format!(
            "[judge.file]\npath = 'events/pdns.json'\n[judge.syslog]\nsocket = '{}'\n[judge.webhook]\nurl = '{}'\n\
             allow_private = true\nspool = 'spool'\napi_key_env = 'HOOK_KEY'\n",
            socket.display(),
            hook.url("/hook?x=1")
        ),
    );
    let judge =
        || run(site.pdns().env("HOOK_KEY", "word").args(["judge", "--once"]), &[] as &[&str]);
    assert_eq!(judge().with(&[0]), "");
    let odd = format!("{}.com", generated(1));
    feed_names(&site, "1", &["www.paypa1.com", &odd, "harmless.org"]);
    assert_eq!(judge().with(&[0]), "", "events have other places");
    let file = site.home.path().join(".config/pdns/events/pdns.json");
    let in_file = events(&fs::read_to_string(file).unwrap());
    assert_eq!((in_file.len(), alerts(&in_file).len()), (5, 2));
    let sent = hook.requests();
    let bodies: Vec<Value> =
        sent.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
    assert_eq!(alerts(&bodies), alerts(&in_file));
    assert_eq!(sent.len(), 2, "alerts only");
    for request in &sent {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?x=1"));
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("authorization"), "Bearer word");
    }
    let mut buffer = vec![0; 65_536];
    for _ in 0..2 {
        let length = log.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let (head, body) = text.split_once(": ").unwrap();
        assert!(head.starts_with("<133>pdns-judge["), "{head}");
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["event"]["kind"], "alert");
    }
    // A daemon that is away costs its lines, which are counted, and nothing else.
    drop(log);
    fs::remove_file(&socket).unwrap();
    feed_names(&site, "2", &["www.paypall.com"]);
    judge().with(&[0]);
    let status: Value =
        serde_json::from_str(&run(&mut site.pdns(), &["judge", "--status"]).with(&[0])).unwrap();
    assert_eq!(status["counters"]["syslog_dropped"], 1);
    assert_eq!(hook.requests().len(), 3);
}

#[test]
fn a_dead_web_hook_gets_everything_later_in_order_and_after_a_kill() {
    let site = Site::new();
    let is_up = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_up);
    let hook = WebServer::start(move |_, _, out| {
        let status = if seen.load(Ordering::Relaxed) { 204 } else { 503 };
        reply(out, status, &[], b"");
    });
    let settings = format!(
        "[judge]\ninterval = '1s'\n[judge.webhook]\nurl = '{}'\nallow_private = true\nspool = 'spool'\nbatch = 10\n\
         events = ['first_seen', 'verdict']\n",
        hook.url("/")
    );
    set(&site.home, &settings);
    once(&site, &[]).with(&[0]);
    let judge = Running::start(&site, &[]);
    judge.wait_for_lease(&site);
    feed_names(&site, "1", &["a.example", "b.example"]);
    until("the hook was tried", || !hook.requests().is_empty());
    judge.kill9(&site);
    feed_names(&site, "2", &["c.example"]);
    let count = hook.requests().len();
    is_up.store(true, Ordering::Relaxed);
    let judge = Running::start(&site, &["--wait"]);
    let names = || -> Vec<String> {
        let after = hook.requests().split_off(count);
        let text: String = after.iter().map(|one| String::from_utf8_lossy(&one.body)).collect();
        assert!(after.iter().all(|one| one.header("content-type") == "application/x-ndjson"));
        events(&text)
            .iter()
            .map(|event| event["dns"]["question"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    until("the hook has everything", || names().contains(&"c.example".to_owned()));
    let mut names = names();
    names.sort();
    names.dedup();
    assert_eq!(names, ["a.example", "b.example", "c.example"]);
    let (code, said) = judge.terminate();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_full_spool_drops_the_oldest_events_and_counts_them() {
    let site = Site::new();
    let hook = WebServer::start(|_, _, out| reply(out, 500, &[], b""));
    set(
        &site.home,
        &format!(
            "[judge.webhook]\nurl = '{}'\nallow_private = true\nspool = 'spool'\nmax_bytes = '64KB'\n\
             events = ['first_seen']\n",
            hook.url("/")
        ),
    );
    once(&site, &[]).with(&[0]);
    let names: Vec<String> = (0..1_000).map(|number| format!("host-{number}.example")).collect();
    feed_names(&site, "1", &names.iter().map(String::as_str).collect::<Vec<_>>());
    once(&site, &[]).with(&[0]);
    let status: Value =
        serde_json::from_str(&run(&mut site.pdns(), &["judge", "--status"]).with(&[0])).unwrap();
    let dropped = status["counters"]["webhook_dropped"].as_u64().unwrap();
    let spool = site.home.path().join(".config/pdns/spool");
    let left: usize = fs::read_dir(spool)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "ndjson"))
        .map(|path| fs::read_to_string(path).unwrap().lines().count())
        .sum();
    assert_eq!(dropped + left as u64, 1_000);
    assert!((50..500).contains(&left), "{left}");
}
