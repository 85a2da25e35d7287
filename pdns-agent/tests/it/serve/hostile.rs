//! Requests that no client sends.

use super::{Site, add, read_reply, request};
use crate::redis::until;
use crate::store::options;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a server says to octets, which may be nothing; afterwards it must still serve.
fn sent(site: &Site, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(&site.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may hang up before all is sent.
    stream.write_all(octets).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok();
    assert_eq!(site.get("/pdns/query/www.example.com").lines().len(), 4);
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn broken_requests_are_refused_and_change_nothing() {
    let site = Site::new();
    for octets in [
        b"\x00\x01\x02\x03\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /pdns/query/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /pdns/query/x HTTP/9.9\r\n\r\n",
        b"GET /pdns/query/x HTTP/1.1\r\nX: \xff\x00\r\n\r\n",
        b"GET /pdns/query/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let reply = sent(&site, octets);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{reply}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let site = Site::new();
    let long = "a".repeat(9_000);
    site.get(&format!("/pdns/query/{long}")).refused(414);
    site.get(&format!("/dnsdb/v2/regex/rrnames/a?exclude={long}")).refused(414);
    let reply = sent(&site, format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)).as_bytes());
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{reply}");
    let headers = "X-Y: y\r\n".repeat(2_000);
    let reply = sent(&site, format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes());
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431"), "{reply}");
    let big = [("Content-Length", "100000000")];
    request(&site.address, "GET", "/pdns/query/example.com", &big).refused(413);
    let chunked = [("Transfer-Encoding", "chunked")];
    request(&site.address, "GET", "/pdns/query/example.com", &chunked).refused(413);
    // A name may be long: each octet of it escaped twice over.
    let name = format!("{0}.{0}.{0}.{1}", "%5C120".repeat(63), "%5C120".repeat(61));
    assert_eq!(site.get(&format!("/pdns/query/{name}")).lines(), Vec::<serde_json::Value>::new());
}

#[test]
fn an_expression_that_would_run_forever_does_not() {
    let site = Site::new();
    for pattern in ["(a*)*b", "(a|aa)%2B$", "(.*)(.*)(.*)(.*)x", "%5E(h[0-9]*)*%5C.pages"] {
        let reply = site.get(&format!("/dnsdb/v2/regex/rrnames/{pattern}"));
        assert_eq!(reply.lines().last().unwrap()["cond"], "succeeded", "{pattern}");
    }
    site.get("/dnsdb/v2/regex/rrnames/((((a%7B99%7D)%7B99%7D)%7B99%7D)%7B99%7D)").refused(400);
}

#[test]
fn a_client_that_hangs_up_or_does_not_read_holds_nobody_up() {
    let site = Site::with(&["--queries", "2"]);
    let running = |site: &Site| {
        let page = site.get("/metrics").body;
        let line = page.lines().find(|line| line.starts_with("pdns_serve_queries_running "));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    let head = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Redis does not answer for a while; whoever asked has gone by then.
    site.redis.call(&["CLIENT", "PAUSE", "1000", "ALL"]);
    for _ in 0..4 {
        let mut stream = TcpStream::connect(&site.address).unwrap();
        stream.write_all(head("/pdns/query/*.example.org").as_bytes()).unwrap();
    }
    until("their queries end", || running(&site) == "0");
    // One that reads nothing takes what fits into the sockets' buffers, and others are answered.
    let mut stuck = TcpStream::connect(&site.address).unwrap();
    for _ in 0..50 {
        stuck.write_all(head("/dnsdb/v2/lookup/rrset/name/*.example.org").as_bytes()).unwrap();
    }
    assert_eq!(site.get("/pdns/query/www.example.com").lines().len(), 4);
    // All its requests were on one connection: they are answered one after the other, in full.
    stuck.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stuck.shutdown(std::net::Shutdown::Write).ok();
    let mut first = [0; 15];
    stuck.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    drop(stuck);
    let mut stream = TcpStream::connect(&site.address).unwrap();
    let close =
        head("/pdns/query/www.example.com").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all(close.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).lines().len(), 4);
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let site = Site::with(&["--queries", "3", "--max-rows", "100000"]);
    let rows: Vec<_> = (0..60_000_u32)
        .map(|number| {
            let [_, high, middle, low] = number.to_be_bytes();
            (format!("n{number}.big.example"), RrType::A, vec![10, high, middle, low], number)
        })
        .collect();
    add(&mut Store::open(&options(&site.redis)).unwrap(), 9, &rows);
    let path = "/dnsdb/v2/lookup/rrset/name/*.big.example?limit=0";
    let lines = site.get(path).lines();
    assert_eq!(lines.len(), rows.len() + 2);
    let mut stuck = TcpStream::connect(&site.address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stuck.write_all(head.as_bytes()).unwrap();
    let count = |name: &str| {
        let page = site.get("/metrics").body;
        let line = page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    until("it is asked", || count("pdns_serve_queries_running") == 1);
    // Others are answered all the while; then nothing is left of it but what the system holds.
    let deadline = Instant::now() + Duration::from_secs(90);
    while count("pdns_serve_queries_running") > 0 || count("pdns_serve_connections") > 1 {
        assert!(Instant::now() < deadline, "it is never given up");
        assert_eq!(site.get("/pdns/query/www.example.com").lines().len(), 4);
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut rest = Vec::new();
    stuck.read_to_end(&mut rest).ok();
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        !rest.contains("succeeded") && !rest.ends_with("0\r\n\r\n"),
        "a part is not taken for the whole"
    );
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let site = Site::new();
    let reply_to = |head: &str| {
        let mut stream = TcpStream::connect(&site.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        String::from_utf8(reply).unwrap()
    };
    let status = |target: &str, headers: &[&str]| {
        let headers = [headers, &[""]].concat().join("\r\n");
        let head = format!("GET {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        let reply = reply_to(&head);
        reply.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let path = "/pdns/query/www.example.com";
    let url = format!("http://localhost{path}");
    for (target, headers, want) in [
        (path, &["Host: localhost"][..], "200"),
        (path, &[], "400"),
        (path, &["Host: localhost", "Host: localhost"], "400"),
        (path, &["Host: localhost", "Host: evil.example"], "400"),
        (path, &["Host: evil.example@localhost"], "400"),
        (path, &["Host: evil.example localhost"], "400"),
        (&url, &["Host: localhost"], "200"),
        (&url, &["Host: LOCALHOST:80"], "200"),
        (&url, &["Host: evil.example"], "400"),
        ("http://evil.example/", &["Host: localhost"], "400"),
        ("http://evil.example/", &["Host: evil.example"], "403"),
        (path, &["Host: localhost", "X-API-Key: a", "X-API-Key: b"], "400"),
        (path, &["Host: localhost", "Authorization: a", "Authorization: a"], "400"),
        (path, &["Host: localhost", "Origin: http://localhost", "Origin: null"], "400"),
        (path, &["Host: localhost", "Sec-Fetch-Site: none", "Sec-Fetch-Site: none"], "400"),
        (path, &["Host: localhost", "Content-Length: 0", "Content-Length: 1"], "400"),
        (path, &["Host: localhost", "Content-Length: 0, 0"], "400"),
        (path, &["Host: localhost", "Content-Length: 0", "Content-Length: 0"], "200"),
        (path, &["Host: localhost", "Content-Length: 0", "Transfer-Encoding: chunked"], "413"),
        (path, &["Host: localhost", "Transfer-Encoding: identity"], "400"),
    ] {
        assert_eq!(status(target, headers), want, "{target} {headers:?}");
    }
    let old = reply_to(&format!("GET {path} HTTP/1.0\r\n\r\n"));
    assert!(old.starts_with("HTTP/1.0 403 "), "{old}");
}
