//! Who may ask.

use super::{Site, serve};
use crate::agent::Agent;
use crate::redis::until;
use crate::run::{Home, run};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Instant;

const FLAGS: [&str; 2] = ["--users", "HOME/users.toml"];

/// Adds a user; his key.
pub(super) fn add(home: &Home, name: &str) -> String {
    let mut pdns = home.pdns();
    let key = run(&mut pdns, &["serve", "user", "add", name, "--users", "users.toml"]).with(&[0]);
    key.trim().to_owned()
}

/// Adds a user with a password.
pub(super) fn add_with_password(home: &Home, name: &str, password: &str) {
    let mut child = home
        .pdns()
        .args(["serve", "user", "add", name, "--password", "--users", "users.toml"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
}

/// The value of `Authorization` for a login.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(&format!("{user}:{password}")))
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for part in text.as_bytes().chunks(3) {
        let bits = part
            .iter()
            .enumerate()
            .fold(0_u32, |bits, (at, octet)| bits | u32::from(*octet) << (16 - 8 * at));
        for digit in 0..4_u32 {
            let value = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap();
            out.push(if digit as usize <= part.len() { char::from(DIGITS[value]) } else { '=' });
        }
    }
    out
}

#[test]
fn a_key_or_a_password_is_needed_where_there_are_users() {
    let home = Home::new();
    let key = add(&home, "alice");
    assert_eq!(key.len(), 64);
    add_with_password(&home, "bob", "correct horse battery");
    let mode = fs::metadata(home.path().join("users.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let site = Site::of(home, &FLAGS);
    let status = |path: &str, headers: &[(&str, &str)]| site.get_with(path, headers).status;
    let (circl, dnsdb) = ("/pdns/query/example.com", "/dnsdb/v2/lookup/rrset/name/example.com");
    let bearer = format!("Bearer {key}");
    let with_key = basic("alice", &key);
    let with_password = basic("bob", "correct horse battery");
    for path in [circl, dnsdb, "/metrics", "/dnsdb/v2/ping"] {
        for headers in [
            [("X-API-Key", key.as_str())],
            [("Authorization", bearer.as_str())],
            [("Authorization", key.as_str())],
            [("Authorization", with_key.as_str())],
            [("Authorization", with_password.as_str())],
        ] {
            assert_eq!(status(path, &headers), 200, "{path} {headers:?}");
        }
    }
    let as_bob = basic("bob", &key);
    let wrong = basic("bob", "wrong horse battery");
    for (path, want) in [(circl, 401), (dnsdb, 403), ("/metrics", 401), ("/nonsense", 401)] {
        assert_eq!(status(path, &[]), want, "{path}");
        assert_eq!(status(path, &[("Authorization", "wrong")]), want, "{path}");
    }
    assert_eq!(status(circl, &[("Authorization", &as_bob)]), 401);
    assert_eq!(status(circl, &[("Authorization", &wrong)]), 401);
    assert_eq!(
        site.get(circl).header("www-authenticate"),
        Some("Basic realm=\"pdns\", charset=\"UTF-8\"")
    );
    assert_eq!(status("/healthz", &[]), 200);
    // Who guesses has to wait, which delays nobody with a right key; the log has names and no secrets.
    until("guesses are limited", || status(circl, &[("X-API-Key", "guess")]) == 429);
    assert_eq!(status(circl, &[("X-API-Key", &key)]), 200);
    let said = site.process.said();
    assert!(!said.contains(&key) && !said.contains("horse") && !said.contains("guess"), "{said}");
}

#[test]
fn users_that_come_and_go_are_seen_without_a_restart() {
    let home = Home::new();
    let alice = add(&home, "alice");
    let site = Site::of(home, &FLAGS);
    let may = |key: &str| site.get_with("/pdns/query/example.com", &[("X-API-Key", key)]).status;
    assert_eq!(may(&alice), 200);
    let bob = add(&site.home, "bob");
    until("bob is known", || may(&bob) == 200);
    run(&mut site.home.pdns(), &["serve", "user", "remove", "alice", "--users", "users.toml"])
        .with(&[0]);
    until("alice is not", || may(&alice) == 401);
    let shown =
        run(&mut site.home.pdns(), &["serve", "user", "list", "--users", "users.toml"]).with(&[0]);
    assert_eq!(shown, "bob\n");
    // A file that does not do changes nothing.
    site.home.write("users.toml", "nonsense");
    let told = || site.process.said().matches("those before stay").count();
    until("the server says so", || told() == 1);
    assert_eq!(may(&bob), 200);
    // SIGHUP has it look again, changed or not.
    site.process.signal("-HUP");
    until("the server says so again", || told() == 2);
    assert_eq!(may(&bob), 200);
}

#[test]
fn a_file_that_all_can_read_is_refused() {
    let home = Home::new();
    add(&home, "alice");
    let path = home.path().join("users.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let redis = crate::redis::Redis::start();
    let (code, said) = serve(&home, &redis, &FLAGS).end();
    assert_eq!(code, Some(78));
    assert!(said.contains("can be read or changed by every user of this machine"), "{said}");
    let ended = run(&mut home.pdns(), &["serve", "user", "add", "a b", "--users", "u"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("is no name for a user"), "{}", ended.stderr);
}

/// The names of all files in a home.
fn files(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn users_who_are_added_at_the_same_time_are_all_there() {
    let home = Home::new();
    let keys: Vec<String> = std::thread::scope(|scope| {
        let home = &home;
        let added: Vec<_> = (0..12)
            .map(|number| scope.spawn(move || add(home, &format!("user{number}"))))
            .collect();
        added.into_iter().map(|added| added.join().unwrap()).collect()
    });
    assert_eq!(files(&home), ["users.toml"]);
    let site = Site::of(home, &FLAGS);
    for key in &keys {
        let reply = site.get_with("/pdns/query/example.com", &[("X-API-Key", key)]);
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

#[test]
fn a_kill_while_the_users_are_written_leaves_the_old_or_the_new_ones() {
    let home = Home::new();
    let started = Instant::now();
    add(&home, "first");
    let time = started.elapsed();
    let listed =
        || run(&mut home.pdns(), &["serve", "user", "list", "--users", "users.toml"]).with(&[0]);
    let mut before = listed();
    for number in 0..60 {
        let name = format!("user{number}");
        let arguments = ["serve", "user", "add", &name, "--users", "users.toml"];
        let added = Agent::start(home.pdns().args(arguments));
        let code = added.kill9_after(time * number / 50);
        let now = listed();
        let with_one_more = format!("{before}{name}\n");
        assert!(now == with_one_more || (now == before && code != Some(0)), "{code:?}: {now}");
        before = now;
    }
    // What the killed ones left goes with the next.
    add(&home, "last");
    assert_eq!(listed(), format!("{before}last\n"));
    assert_eq!(files(&home), ["users.toml"]);
}
