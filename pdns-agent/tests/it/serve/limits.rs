//! What one client may take.

use super::Site;
use crate::redis::until;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let site = Site::with(&["--rate", "1", "--burst", "3", "--behind-proxy"]);
    let from =
        |address: &str| site.get_with("/pdns/query/example.com", &[("X-Forwarded-For", address)]);
    for left in ["2", "1", "0"] {
        let reply = from("192.0.2.1");
        assert_eq!((reply.status, reply.header("x-ratelimit-remaining")), (200, Some(left)));
        assert_eq!(reply.header("x-ratelimit-limit"), Some("3"));
    }
    let reply = from("192.0.2.1");
    reply.refused(429);
    assert_eq!(reply.header("retry-after"), Some("1"));
    // Others have their own; what stands before the last address is not believed.
    assert_eq!(from("192.0.2.2").status, 200);
    assert_eq!(from("192.0.2.7, 192.0.2.1").status, 429);
    // To ask how much is left costs nothing.
    let free = site.get_with("/dnsdb/v2/rate_limit", &[("X-Forwarded-For", "192.0.2.1")]);
    assert!(free.body.contains("\"remaining\":0"), "{}", free.body);
    until("the tokens come back", || from("192.0.2.1").status == 200);
    let unlimited = Site::with(&["--rate", "0"]);
    let reply = unlimited.get("/pdns/query/example.com");
    assert_eq!(reply.header("x-ratelimit-limit"), Some("unlimited"));
    assert!(unlimited.get("/dnsdb/v2/rate_limit").body.contains("\"limit\":\"unlimited\""));
}

#[test]
fn numbers_are_there_for_prometheus_without_names() {
    let site = Site::new();
    site.get("/pdns/query/www.example.com").lines();
    site.get("/dnsdb/v2/lookup/rrset/name/www.example.com").lines();
    site.get("/dnsdb/v2/lookup/rrset/name/a..b").refused(400);
    site.get("/secret.example").refused(404);
    let page = || site.get("/metrics").body;
    until("all is counted", || page().contains("pdns_serve_rows_total{endpoint=\"lookup\"} 2\n"));
    let page = page();
    for line in [
        "pdns_serve_requests_total{endpoint=\"circl\",status=\"200\"} 1\n",
        "pdns_serve_requests_total{endpoint=\"lookup\",status=\"400\"} 1\n",
        "pdns_serve_requests_total{endpoint=\"other\",status=\"404\"} 1\n",
        "pdns_serve_rows_total{endpoint=\"circl\"} 4\n",
        "pdns_serve_query_seconds_count{endpoint=\"circl\"} 1\n",
        "pdns_serve_store_up 1\n",
        "pdns_serve_queries_running 0\n",
    ] {
        assert!(page.contains(line), "{line}{page}");
    }
    assert!(!page.contains("example"), "{page}");
    assert!(page.lines().all(|line| line.starts_with("# ") || line.starts_with("pdns_serve_")));
}

#[test]
fn a_query_that_takes_too_long_says_that_it_is_not_whole() {
    // Nothing can be read in this time: the answer is what there is, and a word.
    let site = Site::with(&["--time", "0.1"]);
    site.redis.call(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let started = Instant::now();
    let reply = site.get("/pdns/query/*.example.org");
    assert!(started.elapsed() > Duration::from_millis(300));
    let errors = reply.header("x-dribble-errors").unwrap_or_default();
    assert!(reply.status == 200 && errors.contains("\"time\""), "{reply:?}");
    site.redis.call(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let lines = site.get("/dnsdb/v2/lookup/rrset/name/*.example.org").lines();
    let end = lines.last().unwrap();
    assert_eq!((&end["cond"], &end["msg"]), (&"limited".into(), &"Time limit reached".into()));
}

#[test]
fn a_slow_head_and_an_idle_connection_are_ended() {
    let site = Site::new();
    let waits = |head: &str| {
        let mut stream = TcpStream::connect(&site.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let started = Instant::now();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{head:?}: {error}"));
        assert!(started.elapsed() > Duration::from_secs(5), "{head:?}");
    };
    std::thread::scope(|scope| {
        for head in [
            "GET /pdns/query/example.com HTTP/1.1\r\nHost: lo",
            "",
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ] {
            scope.spawn(|| waits(head));
        }
    });
}
