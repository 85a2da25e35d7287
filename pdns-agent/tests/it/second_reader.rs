//! The layout in Redis as `docs/redis-model.md` describes it: its worked example against a real store, and a reader that
//! was written from the document alone against `pdns`.

use crate::cli::Site;
use crate::corpus::{assert_alike, row};
use crate::redis::Redis;
use crate::reference::{python, python_json, stored_octets};
use crate::run::{Home, run};
use redis::Commands as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;

/// The document.
fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/redis-model.md");
    std::fs::read_to_string(path).expect("the document is there")
}

/// The first block of a language after a heading.
fn block<'a>(document: &'a str, heading: &str, language: &str) -> &'a str {
    let (_, part) = document.split_once(heading).expect("the heading is there");
    let (_, part) = part.split_once(&format!("```{language}\n")).expect("a block follows");
    part.split_once("```").expect("the block ends").0
}

/// Bytes as the document writes them: text in quotes, or hexadecimal.
fn bytes(text: &str) -> Vec<u8> {
    if let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return text.replace("\\n", "\n").into_bytes();
    }
    let digits: Vec<char> = text.chars().collect();
    let byte = |pair: &[char]| {
        u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal")
    };
    digits.chunks(2).map(byte).collect()
}

#[test]
fn the_worked_example_is_what_a_store_holds() {
    let document = document();
    let part = "## A record, byte by byte";
    let (home, server) = (Home::new(), Redis::start());
    let mut redis = server.connection();
    let secret: Vec<u8> = (0..16).collect();
    assert!(document.contains("`000102030405060708090a0b0c0d0e0f`"));
    for (field, value) in [("v", &b"5"[..]), ("P", b"64"), ("sip", &secret)] {
        let _: () = redis.hset("pd:schema", field, value).unwrap();
    }
    let log = home.write("dns.log", block(&document, part, "json"));
    let url = server.url();
    run(home.agent().args(["zeek", "--once", "--sensor", "so-1", "--redis", &url]), &[log])
        .with(&[0]);
    let mut checked = 0;
    for line in block(&document, part, "text").lines() {
        if let Some((key, member)) = line.split_once(" contains ") {
            assert!(redis.sismember::<_, _, bool>(key, member).unwrap(), "{line}");
        } else {
            let (place, value) = line.split_once(" = ").expect("a value follows");
            let want = bytes(value);
            let found: Vec<u8> = match place.split_once(' ') {
                // A field of eight bytes is hexadecimal, all others are text.
                Some((key, field)) if field.len() == 16 => redis.hget(key, bytes(field)).unwrap(),
                Some((key, field)) => redis.hget(key, field).unwrap(),
                None => redis.get(place).unwrap(),
            };
            let rest = found.strip_prefix(want.as_slice()).unwrap_or(b"differs");
            assert!(rest.iter().all(|byte| *byte == 0), "{line}: {found:02x?}");
            assert!(rest.is_empty() || !place.contains(' '), "{line}: {found:02x?}");
        }
        checked += 1;
    }
    assert!(checked > 15, "too few lines in the example");
}

/// A log that makes a store use all that its layout has: blocks of rows and of names, split buckets, a posting set with
/// children, a name with very many records, long RDATA.
fn large_log() -> String {
    let mut log = String::new();
    let mut line = |query: &str, qtype: u16, answers: &str| {
        writeln!(
            log,
            r#"{{"ts":1700000000.5,"id.resp_p":53,"query":"{query}","qtype":{qtype},"rcode":0,"RD":true,"RA":true,"answers":[{answers}],"TTLs":[60.0]}}"#
        )
        .unwrap();
    };
    for number in 0..9000 {
        line(&format!("h{number}.example.com"), 1, &format!(r#""10.0.{}.1""#, number % 40));
    }
    for number in 0..300 {
        line("wide.example.org", 1, &format!(r#""10.1.{}.{}""#, number / 250, number % 250));
    }
    let text = "x".repeat(200);
    line("long.example.net", 16, &format!(r#""TXT 200 {text} TXT 200 {text}""#));
    line("www.example.net", 28, r#""2001:db8:1::7""#);
    line("mail.example.net", 15, r#""mx.example.net""#);
    line("7.2.0.192.in-addr.arpa", 12, r#""www.example.net""#);
    log
}

/// Rows by what tells them apart, with the numbers that `Rows` does not have.
fn marks(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut marks = BTreeMap::new();
    for row in rows {
        let mark = format!(
            "{} {} {} {} {} {} {}",
            row["rrname"],
            row["rrtype"],
            row["count"],
            row["count_is_lower_bound"],
            row["sensors"],
            row["inferred"],
            row["imported"]
        );
        *marks.entry(mark).or_default() += 1;
    }
    marks
}

#[test]
fn a_reader_written_from_the_document_finds_what_pdns_finds() {
    let site = Site::new();
    let odd = python("odd.py", &["3", "3000", "json"].map(OsStr::new), &[]);
    let logs = [site.home.write("odd/dns.log", odd), site.home.write("large/dns.log", large_log())];
    run(site.agent().args(["zeek", "--once", "--sensor", "so-2"]), &logs).with(&[0]);
    let elsewhere = site.home.write(
        "elsewhere.json",
        concat!(
            r#"{"rrname":"www.example.com","rrtype":"A","rdata":"192.0.2.7","count":3,"time_first":1,"time_last":9}"#,
            "\n",
            r#"{"rrname":"old.example.com","rrtype":"A","rdata":"192.0.2.9","count":3,"time_first":1,"time_last":9}"#,
            "\n",
            r#"{"rrname":"large.example.com","rrtype":"A","rdata":"192.0.2.9","count":5000000000,"time_first":1,"time_last":9}"#,
            "\n",
            r#"{"rrname":"most.example.com","rrtype":"A","rdata":"192.0.2.9","count":9999999999999999999,"time_first":1,"time_last":9}"#,
            "\n",
        ),
    );
    run(site.agent().arg("cof"), &[elsewhere]).with(&[0]);
    // Sensors without a bit in rows: alone, in a short set, and in a long one.
    for sensor in 0..42 {
        let line = |query: &str| {
            format!(
                r#"{{"ts":1700000000.5,"id.resp_p":53,"query":"{query}","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["192.0.2.7"],"TTLs":[60.0]}}"#
            ) + "\n"
        };
        let mut log = line(&format!("n{sensor}.example.edu")) + &line("many.example.edu");
        if sensor >= 40 {
            log += &line("two.example.edu");
        }
        let log = site.home.write(&format!("n{sensor}.log"), log);
        let sensor = format!("n{sensor}");
        run(site.agent().args(["zeek", "--once", "--sensor", &sensor]), &[log]).with(&[0]);
    }
    for tag in [
        &["threat", ".bad.example", "192.0.2.0/25", "--note", "seen in case 17"][..],
        &["trust", "www.example.com", "2001:db8::7", "--source", "our own"],
    ] {
        run(site.pdns().args(["tag", "set"]), tag).with(&[0]);
    }
    let url = site.server.url();
    let socket = url.strip_prefix("redis+unix://").expect("a Unix socket");
    for pattern in [
        "pd:{4:0a00}?",
        "pd:{??}w*",
        "pd:{??}t",
        "pd:{??}l1",
        "pd:{??}s1",
        "pd:{??}b64",
        "pd:{??}q",
        "pd:{??}g*",
    ] {
        let keys: Vec<String> = site.server.connection().keys(pattern).unwrap();
        assert!(!keys.is_empty(), "no key like {pattern}: the log is too small");
    }
    // Some partitions are in their second edition, and others in their first.
    let forget = &["admin", "forget", "--address", "10.0.0.0/21", "--yes"];
    run(&mut site.pdns(), forget).with(&[0]);
    for pattern in ["pd:{??}1b*", "pd:{??}1s1", "pd:{??}n1s0", "pd:{??}b*"] {
        let keys: Vec<String> = site.server.connection().keys(pattern).unwrap();
        assert!(!keys.is_empty(), "no key like {pattern}");
    }
    let said = python_json("second_reader.py", &[OsStr::new(socket)], &[]);

    let rows = |part: &str| said[part].as_array().unwrap().iter().map(row).collect();
    let (records, negatives) = stored_octets(&site.home, &url);
    let sizes = (records.len(), negatives.len());
    assert!(sizes.0 > 7500 && sizes.1 > 50, "too little in the store: {sizes:?}");
    assert_alike("records", &records, &rows("records"));
    assert_alike("negatives", &negatives, &rows("negatives"));

    let shown = |arguments: &[&str]| -> Vec<Value> {
        let all = [arguments, &["--format", "json"]].concat();
        let shown = run(&mut site.pdns(), &all).with(&[0]);
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let found = shown(&["find", "--limit", "0"]);
    assert_eq!(marks(said["records"].as_array().unwrap()), marks(&found));

    let status = shown(&["status", "--verbose"]).remove(0);
    let days = said["days"].as_object().unwrap().values();
    assert_eq!(Some(days.map(|names| names.as_u64().unwrap()).sum()), status["names"].as_u64());
    let texts = |list: &Value, names: &[&str]| {
        let list = list.as_array().unwrap().iter();
        let mut texts: Vec<String> = list
            .map(|one| {
                names.iter().fold(String::new(), |text, name| text + &one[*name].to_string())
            })
            .collect();
        texts.sort();
        texts
    };
    let of_log = ["id", "path", "position"];
    assert_eq!(texts(&said["logs"], &of_log), texts(&status["sources"], &of_log));
    let of_tag = ["kind", "subject", "time", "note", "source", "author"];
    let tags = shown(&["tag", "list", "--limit", "0"]);
    let mut theirs = said["tags"].clone();
    for tag in theirs.as_array_mut().unwrap() {
        let subject = tag["subject"].as_str().unwrap();
        let alone = subject.strip_suffix("/32").or_else(|| subject.strip_suffix("/128"));
        tag["subject"] = alone.unwrap_or(subject).into();
    }
    assert_eq!(texts(&theirs, &of_tag), texts(&Value::Array(tags), &of_tag));
}
