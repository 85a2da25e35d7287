//! `pdns serve` as its clients see it: the real program on a free port, before a real `redis-server`.

mod circl;
mod clients;
mod dnsdb;
mod exposed;
mod facts;
mod hostile;
mod limits;
mod logins;
mod misp;
mod outage;
mod page;
mod users;

use crate::agent::Agent;
use crate::redis::{Redis, until};
use crate::run::Home;
use crate::store::{Log, Model, options};
use pdns_agent::name::NameBuf;
use pdns_agent::rdata::Rdata;
use pdns_agent::record::FactBuf;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

/// 2023-11-14T22:13:20Z, the first second of what was seen.
pub(super) const START: u32 = 1_700_000_000;
/// Names below `pages.example.org`, each seen one second after the one before.
pub(super) const PAGES: u8 = 120;

/// A server with a store that holds what [`fill`] puts there.
pub(super) struct Site {
    pub(super) home: Home,
    pub(super) redis: Redis,
    pub(super) process: Agent,
    /// `127.0.0.1:PORT`.
    pub(super) address: String,
}

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// By their names in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// With more flags. `HOME` in them is the home.
    pub(super) fn with(flags: &[&str]) -> Self {
        Self::of(Home::new(), flags)
    }

    /// In a home that holds what the flags name.
    pub(super) fn of(home: Home, flags: &[&str]) -> Self {
        let redis = Redis::start_durable();
        fill(&redis);
        let process = serve(&home, &redis, &[&["--listen", "127.0.0.1:0"], flags].concat());
        let address = listens(&process);
        Self { home, redis, process, address }
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    pub(super) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        request(&self.address, "GET", path, headers)
    }

    /// A URL on it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Starts the server.
pub(super) fn serve(home: &Home, redis: &Redis, flags: &[&str]) -> Agent {
    let home_path = home.path().display().to_string();
    let mut command = home.pdns();
    command.arg("serve").args(flags.iter().map(|flag| flag.replace("HOME", &home_path)));
    if !flags.contains(&"--listen") {
        // Not where another server may listen.
        command.args(["--listen", "127.0.0.1:0"]);
    }
    Agent::start(command.env("PDNS_REDIS", redis.url()).env("PDNS_LOG", "info,pdns_agent=debug"))
}

/// Waits until the server says where it listens.
pub(super) fn listens(process: &Agent) -> String {
    let mut address = None;
    until("the server listens", || {
        let said = process.said();
        let told = said.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            if line["message"] != "listening" {
                return None;
            }
            let Some(url) = line["url"].as_str() else {
                return Some(line["address"].as_str().unwrap().to_owned());
            };
            let (_, place) = url.split_once("://").unwrap();
            Some(place.strip_suffix('/').unwrap().to_owned())
        });
        address = told;
        address.is_some() || said.contains("pdns: ")
    });
    address.unwrap_or_else(|| panic!("it does not listen: {}", process.said()))
}

/// Sends a request, and reads the reply to the end of the connection.
pub(super) fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        write!(head, "Host: {address}\r\n").unwrap();
    }
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head += "Connection: close\r\n\r\n";
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    read_reply(&mut stream)
}

/// Reads a reply to the end of the connection.
pub(super) fn read_reply(stream: &mut impl std::io::Read) -> Reply {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).expect("a reply, and an end");
    let at = octets.windows(4).position(|end| end == b"\r\n\r\n");
    let at = at.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(&octets)));
    let head = String::from_utf8(octets[..at].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: HashMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut rest = &octets[at + 4..];
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let end = rest.windows(2).position(|end| end == b"\r\n").expect("a chunk's length");
            let length = std::str::from_utf8(&rest[..end]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            body.extend_from_slice(&rest[end + 2..end + 2 + length]);
            rest = &rest[end + 2 + length + 2..];
            if length == 0 {
                break;
            }
        }
    } else {
        body.extend_from_slice(rest);
    }
    Reply { status, headers, body: String::from_utf8(body).expect("all that is shown is text") }
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The lines of an answer, each of which must be a JSON object in printable ASCII.
    #[track_caller]
    pub(super) fn lines(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/x-ndjson"));
        assert!(self.body.is_empty() || self.body.ends_with('\n'), "the last line has its end");
        let printable = |octet: u8| octet == b'\n' || (b' '..=b'~').contains(&octet);
        assert!(self.body.bytes().all(printable), "{}", self.body);
        let read = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
        };
        self.body.lines().map(read).collect()
    }

    /// One plain line, as an error has it.
    #[track_caller]
    pub(super) fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body.lines().count(), 1, "{}", self.body);
        assert!(self.body.ends_with('\n'));
        self.body.trim_end()
    }
}

pub(crate) fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    NameBuf::parse(name).unwrap().as_name().write_wire(&mut out);
    out
}

/// Puts a small network into a store.
pub(crate) fn fill(redis: &Redis) {
    let mut store = Store::open(&options(redis)).unwrap();
    add(&mut store, 1, &rows());
}

/// Adds what was seen by one more log: owner, type, RDATA, when after [`START`].
pub(crate) fn add(store: &mut Store, log: u8, rows: &[(String, RrType, Vec<u8>, u32)]) {
    let mut model = Model::new();
    let mut log = Log::new(store, log);
    for (rrname, rrtype, octets, at) in rows {
        let rdata = Rdata { rrtype: *rrtype, octets, partial: false };
        let name = NameBuf::parse(rrname).unwrap();
        log.add(&mut model, &name, &FactBuf::Record(rdata.to_buf()), START + at, Some(300));
    }
    log.flush(store).unwrap();
}

fn rows() -> Vec<(String, RrType, Vec<u8>, u32)> {
    let joined = |parts: &[&[u8]]| parts.concat();
    let soa = joined(&[&wire("ns1.example.net"), &wire("hostmaster.example.com"), &[0; 20]]);
    let mut rows: Vec<(&str, RrType, Vec<u8>, u32)> = vec![
        ("www.example.com", RrType::A, vec![192, 0, 2, 7], 0),
        ("www.example.com", RrType::A, vec![192, 0, 2, 7], 60),
        ("www.example.com", RrType::A, vec![192, 0, 2, 8], 9_000),
        ("www.example.com", RrType::AAAA, joined(&[&[0x20, 1, 0xd, 0xb8], &[0; 11], &[7]]), 61),
        ("login.example.com", RrType::CNAME, wire("www.example.com"), 9_000),
        ("example.com", RrType::NS, wire("ns1.example.net"), 100),
        ("example.com", RrType::NS, wire("ns2.example.net"), 160),
        ("example.com", RrType::SOA, soa, 100),
        ("example.com", RrType::MX, joined(&[&[0, 10], &wire("mail.example.com")]), 200),
        ("deep.example.com", RrType::NS, wire("ns.deep.example.com"), 300),
        ("a.deep.example.com", RrType::A, vec![192, 0, 2, 99], 300),
        ("www.example.net", RrType::A, vec![192, 0, 2, 7], 400),
        ("www.example.co.uk", RrType::A, vec![198, 18, 0, 1], 500),
        ("txt.example.org", RrType::TXT, b"\x0bv=spf1 -all".to_vec(), 600),
        ("txt.example.org", RrType::TXT, b"\x0d\x1b[2J<\"a\">\\\r\nx".to_vec(), 601),
        ("a\\027]0;x\\007.example.org", RrType::A, vec![203, 0, 113, 9], 602),
        ("unknown.example.org", RrType(65_280), vec![1, 2, 3], 603),
        ("signed.example.org", RrType::A, vec![203, 0, 113, 10], 604),
        ("signed.example.org", RrType::DS, vec![0, 1, 8, 2, 0xab, 0xcd], 604),
        (
            "_sip._tcp.example.org",
            RrType::SRV,
            joined(&[&[0, 1, 0, 2, 0x13, 0xc4], &wire("sip.example.org")]),
            605,
        ),
    ];
    let mut all: Vec<_> = rows
        .drain(..)
        .map(|(name, rrtype, octets, at)| (name.to_owned(), rrtype, octets, at))
        .collect();
    for host in 0..PAGES {
        let name = format!("h{host}.pages.example.org");
        all.push((name, RrType::A, vec![198, 51, 100, host], 10_000 + u32::from(host)));
    }
    all
}
