//! Passwords that are guessed: how many are tried, whom it holds up, and what it takes of the server.

use super::Site;
use super::users::{add, add_with_password, basic};
use crate::redis::until;
use crate::run::Home;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A path that asks the store for nothing.
const PATH: &str = "/metrics";
/// The proxy of the tests says from where each request comes.
const FLAGS: [&str; 5] =
    ["--users", "HOME/users.toml", "--behind-proxy", "--client-connections", "512"];

/// A site with two users who have passwords; and the key of a third one.
fn site(more: &[&str]) -> (Site, String) {
    let home = Home::new();
    add_with_password(&home, "alice", "correct horse battery");
    add_with_password(&home, "bob", "staple staple staple");
    let key = add(&home, "carol");
    (Site::of(home, &[&FLAGS[..], more].concat()), key)
}

fn log_in(site: &Site, from: &str, user: &str, password: &str) -> u16 {
    let headers = [("X-Forwarded-For", from), ("Authorization", &basic(user, password))];
    let reply = site.get_with(PATH, &headers);
    let waits = reply.header("retry-after").is_some();
    assert_eq!(waits, [429, 503].contains(&reply.status), "{reply:?}");
    reply.status
}

/// Sends many wrong passwords at the same time, each of the user that `user` says; how many were tried.
fn guess(site: &Site, count: usize, user: impl Fn(usize) -> String + Sync) -> usize {
    let replies = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..count {
            let (replies, user) = (&replies, &user);
            scope.spawn(move || {
                let status = log_in(site, "192.0.2.1", &user(number), &format!("guess {number}"));
                replies.lock().unwrap().push(status);
            });
        }
    });
    let replies = replies.into_inner().unwrap();
    assert!(replies.iter().all(|status| [401, 429, 503].contains(status)), "{replies:?}");
    replies.iter().filter(|status| **status == 401).count()
}

#[test]
fn guesses_at_the_same_time_are_counted_before_they_are_tried() {
    let (site, key) = site(&[]);
    let started = Instant::now();
    let tried = guess(&site, 128, |_| "alice".to_owned());
    // A few at once, and one a second.
    let most = 10 + usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=most).contains(&tried), "{tried} of {most}");
    until("there is nothing left to try with", || {
        log_in(&site, "192.0.2.1", "alice", "another guess") == 429
    });
    // It delays nobody else: no other user there, no key, and not the same user elsewhere.
    assert_eq!(log_in(&site, "192.0.2.1", "bob", "staple staple staple"), 200);
    let with_key = [("X-Forwarded-For", "192.0.2.1"), ("X-API-Key", key.as_str())];
    assert_eq!(site.get_with(PATH, &with_key).status, 200);
    assert_eq!(log_in(&site, "192.0.2.1", "carol", &key), 200);
    assert_eq!(log_in(&site, "192.0.2.2", "alice", "correct horse battery"), 200);
    // Whoever was right a short while ago is not held up by guesses either.
    guess(&site, 20, |_| "bob".to_owned());
    assert_eq!(log_in(&site, "192.0.2.1", "bob", "staple staple staple"), 200);
    let page = site.get_with("/metrics", &with_key).body;
    let limited =
        page.lines().find(|line| line.starts_with("pdns_serve_limited_total{limit=\"logins\"}"));
    assert_ne!(limited.and_then(|line| line.rsplit(' ').next()), Some("0"), "{page}");
}

#[test]
fn guesses_with_many_names_are_counted_by_address() {
    let (site, key) = site(&[]);
    let started = Instant::now();
    let tried = guess(&site, 200, |number| format!("user{number}"));
    let most = 50 + 5 * (usize::try_from(started.elapsed().as_secs()).unwrap() + 1);
    assert!((1..=most).contains(&tried), "{tried} of {most}");
    assert_eq!(log_in(&site, "192.0.2.2", "alice", "correct horse battery"), 200);
    let with_key = [("X-Forwarded-For", "192.0.2.1"), ("X-API-Key", key.as_str())];
    assert_eq!(site.get_with(PATH, &with_key).status, 200);
}

#[test]
fn right_passwords_at_the_same_time_are_all_let_in() {
    let (site, _) = site(&[]);
    let right = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                let status = log_in(&site, "192.0.2.1", "alice", "correct horse battery");
                right.fetch_add(u64::from(status == 200), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(right.into_inner(), 60);
}

#[test]
fn hundreds_of_failed_logins_leave_the_memory_as_it_is() {
    // Each query has a thread, and those hash the passwords.
    let (site, key) = site(&["--queries", "64"]);
    assert_eq!(site.get_with(PATH, &[("X-API-Key", &key)]).status, 200);
    let before = site.process.memory();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let site = &site;
            scope.spawn(move || {
                for number in 0..20 {
                    let from = format!("10.0.{thread}.{number}");
                    // Every other one hangs up before it is answered.
                    if number % 2 == 0 {
                        let authorization = basic("alice", &from);
                        let head = format!(
                            "GET {PATH} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {from}\r\n\
                             Authorization: {authorization}\r\n\r\n"
                        );
                        let mut stream = TcpStream::connect(&site.address).unwrap();
                        stream.write_all(head.as_bytes()).unwrap();
                    } else {
                        assert!([401, 503].contains(&log_in(site, &from, "alice", &from)));
                    }
                }
            });
        }
    });
    // Two passwords are hashed at a time, in 19 MiB each.
    let more = site.process.memory().saturating_sub(before) / (1 << 20);
    assert!(more < 2 * 19 + 32, "{more} MiB more");
}
