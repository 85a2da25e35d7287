//! What one client may take.

use super::{Site, read_reply};
use crate::redis::until;
use crate::run::Home;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
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
            "POST /tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsubject=",
        ] {
            scope.spawn(|| waits(head));
        }
    });
}

/// The number in a line of `/metrics`, which is asked for over the Unix socket.
fn number(home: &Home, name: &str) -> u64 {
    let mut stream = UnixStream::connect(home.path().join("serve.sock")).unwrap();
    let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let page = read_reply(&mut stream).body;
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}: {page}")).trim().parse().unwrap()
}

#[test]
fn one_address_does_not_take_all_connections() {
    let flags = ["--client-connections", "8", "--listen", "unix:HOME/serve.sock"];
    let site = Site::with(&flags);
    let refused = || number(&site.home, "pdns_serve_limited_total{limit=\"connections\"}");
    // Each is answered, and stays open.
    let mut open: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(&site.address).unwrap();
            let head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(head).unwrap();
            stream.read_exact(&mut [0; 15]).unwrap();
            stream
        })
        .collect();
    for count in 1..=3 {
        let mut stream = TcpStream::connect(&site.address).unwrap();
        let ended = stream.read(&mut [0; 1]);
        assert!(!matches!(ended, Ok(1)), "it is closed");
        // Others are served all the while.
        assert_eq!(refused(), count);
    }
    open.pop();
    until("there is room for one again", || {
        let Ok(mut stream) = TcpStream::connect(&site.address) else { return false };
        let head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(head).is_ok() && stream.read_exact(&mut [0; 15]).is_ok()
    });
}

/// Sends requests that take until Redis answers again, each on a connection of its own.
fn send(site: &Site, from: &str, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(&site.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let head = format!(
                "GET /pdns/query/www.example.com HTTP/1.1\r\nHost: localhost\r\n\
                 X-Forwarded-For: {from}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect()
}

#[test]
fn one_address_does_not_take_all_queries() {
    let site = Site::with(&["--queries", "4", "--client-queries", "2", "--behind-proxy"]);
    site.redis.call(&["CLIENT", "PAUSE", "3000", "ALL"]);
    // Two run, and fourteen wait.
    let many = send(&site, "192.0.2.1", 20);
    let few = send(&site, "192.0.2.2", 2);
    let statuses = |streams: Vec<TcpStream>| {
        let replies = streams.into_iter().map(|mut stream| read_reply(&mut stream));
        replies.map(|reply| reply.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(few), [200, 200]);
    let many = statuses(many);
    let count = |status: u16| many.iter().filter(|one| **one == status).count();
    assert_eq!((count(200), count(429)), (16, 4), "{many:?}");
    let page = site.get("/metrics").body;
    assert!(page.contains("pdns_serve_limited_total{limit=\"queries\"} 4\n"), "{page}");
}

#[test]
fn behind_a_proxy_the_requests_of_each_client_are_counted() {
    let site = Site::with(&["--client-connections", "3", "--behind-proxy"]);
    site.redis.call(&["CLIENT", "PAUSE", "3000", "ALL"]);
    let many = send(&site, "2001:db8::1", 5);
    let other = send(&site, "2001:db8::2", 1);
    let statuses = |streams: Vec<TcpStream>| {
        let replies = streams.into_iter().map(|mut stream| read_reply(&mut stream));
        let mut statuses: Vec<_> = replies.map(|reply| reply.status).collect();
        statuses.sort_unstable();
        statuses
    };
    // Both have the same /64.
    assert_eq!(statuses(many.into_iter().chain(other).collect()), [200, 200, 200, 429, 429, 429]);
    // What they held is free again.
    assert_eq!(statuses(send(&site, "2001:db8::1", 3)), [200, 200, 200]);
    assert_eq!(statuses(send(&site, "2001:db8:0:1::1", 3)), [200, 200, 200]);
}
