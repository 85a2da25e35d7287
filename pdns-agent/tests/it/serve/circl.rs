//! CIRCL's protocol.

use super::{PAGES, Site, add, listens, request, serve};
use crate::corpus::zeek_logs;
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::options;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt::Write as _;

/// What identifies a record.
fn key(row: &Value) -> String {
    format!("{} {} {}", row["rrname"], row["rrtype"], row["rdata"])
}

/// Whether a line is as the draft and its schema have it, and as clients need it.
#[track_caller]
fn is_cof(row: &Value) {
    assert!(row["rrname"].is_string() && row["rdata"].is_array(), "{row}");
    assert!(row["rdata"].as_array().unwrap().iter().all(Value::is_string), "{row}");
    let number = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name}: {row}"));
    assert!(number("time_first") <= number("time_last") && number("count") > 0, "{row}");
    // The schema wants text, the draft a number where there is no mnemonic.
    let rrtype = &row["rrtype"];
    let is_known = rrtype.as_str().is_some_and(|text| !text.starts_with("TYPE"));
    assert!(is_known || rrtype.is_u64(), "{row}");
    assert!(!row["rrname"].as_str().unwrap().ends_with('.'), "{row}");
}

#[test]
fn values_are_answered_as_clients_write_them() {
    let site = Site::new();
    let names = |value: &str| -> Vec<String> {
        let lines = site.get(&format!("/pdns/query/{value}")).lines();
        lines.iter().for_each(is_cof);
        let times: Vec<u64> = lines.iter().map(|row| row["time_last"].as_u64().unwrap()).collect();
        assert!(times.is_sorted_by(|one, other| one >= other), "{value}: latest seen first");
        lines.iter().map(|row| row["rrname"].as_str().unwrap().to_owned()).collect()
    };
    let www = ["login.example.com", "www.example.com", "www.example.com", "www.example.com"];
    for value in
        ["www.example.com", "WWW.Example.COM.", "https://www.example.com/x", "www%2Eexample.com"]
    {
        assert_eq!(names(value), www, "{value}");
    }
    for value in ["*.deep.example.com", "%2A.deep.example.com"] {
        assert_eq!(names(value), ["a.deep.example.com"], "{value}");
    }
    assert_eq!(names(".deep.example.com"), ["a.deep.example.com", "deep.example.com"]);
    assert_eq!(names("www.example.*").len(), 5);
    assert_eq!(names("192.0.2.7"), ["www.example.net", "www.example.com"]);
    for value in ["192.0.2.0/24", "192.0.2.0,24", "192.0.2.0%2F24", "192.0.2.7-192.0.2.99"] {
        let found = names(value);
        assert_eq!(
            found,
            ["www.example.com", "www.example.net", "a.deep.example.com", "www.example.com"],
            "{value}"
        );
    }
    for value in ["2001:db8::7", "2001%3Adb8%3A%3A7", "2001:db8::/32", "2001:db8::,32"] {
        assert_eq!(names(value), ["www.example.com"], "{value}");
    }
    assert_eq!(names("mail.example.com"), ["example.com"]);
    assert_eq!(names("a%5C027]0;x%5C007.example.org"), ["a\\027]0\\;x\\007.example.org"]);
    assert_eq!(names("0.0.0.0/0").len(), usize::from(PAGES) + 7);
    // Nothing is found with 200 and nothing, not 404.
    let reply = site.get("/pdns/query/nothing.example");
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.header("x-dribble-cursor"), None);
}

#[test]
fn a_type_without_a_mnemonic_is_a_number_and_a_filter_is_obeyed() {
    let site = Site::new();
    let lines = site.get("/pdns/query/unknown.example.org").lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["rrtype"], json!(65_280));
    assert_eq!(lines[0]["rdata"], json!(["\\# 3 010203"]));
    let filtered = |value: &str, rrtype: &str| {
        let path = format!("/pdns/query/{value}");
        site.get_with(&path, &[("dribble-filter-rrtype", rrtype)]).lines().len()
    };
    assert_eq!(filtered("www.example.com", "A"), 2);
    assert_eq!(filtered("www.example.com", "aaaa"), 1);
    assert_eq!(filtered("www.example.com", "CNAME"), 1);
    assert_eq!(filtered("www.example.com", "NS"), 0);
    assert_eq!(filtered("www.example.com", "NONSENSE"), 0);
    assert_eq!(filtered("unknown.example.org", "TYPE65280"), 1);
}

#[test]
fn pages_are_the_whole_whatever_their_size_and_while_the_store_grows() {
    let site = Site::new();
    let whole = site.get("/pdns/query/*.example.org").lines();
    assert_eq!(whole.len(), usize::from(PAGES) + 7);
    let pages = |count: usize, between: &mut dyn FnMut()| {
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let count = count.to_string();
            let mut headers = vec![("dribble-paginate-count", count.as_str())];
            headers.extend(cursor.as_deref().map(|cursor| ("dribble-paginate-cursor", cursor)));
            let reply = site.get_with("/pdns/query/*.example.org", &headers);
            let page = reply.lines();
            assert_eq!(reply.header("x-dribble-errors"), None);
            let next = reply.header("x-dribble-cursor").map(str::to_owned);
            rows.extend(page.iter().cloned());
            let Some(next) = next else { return rows };
            assert_eq!(page.len().to_string(), count);
            assert!(next.parse::<i64>().unwrap() > 0, "{next}");
            cursor = Some(next);
            between();
        }
    };
    for count in [1, 7, 50, 127, 500] {
        assert_eq!(pages(count, &mut || {}), whole, "{count}");
    }
    let mut log = 10;
    let mut store = Store::open(&options(&site.redis)).unwrap();
    let grown = pages(10, &mut || {
        log += 1;
        let name = format!("new{log}.pages.example.org");
        let seen_anew = format!("h{log}.pages.example.org");
        let rows = [
            (name, RrType::A, vec![198, 51, 100, 200], 20_000 + u32::from(log)),
            (seen_anew, RrType::A, vec![198, 51, 100, log], 20_000 + u32::from(log)),
        ];
        add(&mut store, log, &rows);
    });
    let keys: Vec<String> = grown.iter().map(key).collect();
    let distinct: HashSet<&String> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "nothing twice");
    // Those that were seen anew before their page came are before the first one now; all others are there.
    let missed = whole.iter().filter(|row| !distinct.contains(&key(row))).count();
    assert!(missed <= usize::from(log - 10), "{missed} of {log}");
}

#[test]
fn a_cut_answer_says_so_and_how_to_go_on() {
    let site = Site::with(&["--max-rows", "5"]);
    let reply = site.get("/pdns/query/*.example.org");
    assert_eq!(reply.lines().len(), 5);
    let errors: Value = serde_json::from_str(reply.header("x-dribble-errors").unwrap()).unwrap();
    assert!(errors["rows"].is_string(), "{errors}");
    assert!(reply.header("x-dribble-cursor").is_some());
    let asked = site.get_with("/pdns/query/*.example.org", &[("dribble-paginate-count", "50")]);
    assert_eq!((asked.lines().len(), asked.header("x-dribble-errors")), (5, None));
}

#[test]
fn what_cannot_be_asked_is_refused_in_one_line() {
    let site = Site::new();
    for value in [
        "",
        "a..b",
        "192.0.2.0/33",
        "192.0.2.9-192.0.2.1",
        "a.*.b",
        "%",
        "%zz",
        "%00",
        "%ff",
        "a%0ab",
    ] {
        let status = if value.is_empty() { 404 } else { 400 };
        site.get(&format!("/pdns/query/{value}")).refused(status);
    }
    for (name, value) in [
        ("dribble-paginate-count", "0"),
        ("dribble-paginate-count", "many"),
        ("dribble-paginate-cursor", "0"),
        ("dribble-paginate-cursor", "-7"),
    ] {
        site.get_with("/pdns/query/example.com", &[(name, value)]).refused(400);
    }
    let reply = request(&site.address, "POST", "/pdns/query/example.com", &[]);
    reply.refused(405);
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
    let head = request(&site.address, "HEAD", "/pdns/query/example.com", &[]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn real_logs_are_answered_as_by_pdns_itself() {
    let logs = zeek_logs().folder;
    let (home, redis) = (Home::new(), Redis::start());
    // Some of the logs are broken on purpose, which the exit code tells.
    run(home.agent().args(["zeek", "--once", "--redis", &redis.url()]), &[logs]).with(&[0, 1, 2]);
    let pdns = |arguments: &[&str]| {
        let mut pdns = home.pdns();
        let shown = run(pdns.env("PDNS_REDIS", redis.url()), arguments).with(&[0, 1]);
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let all = pdns(&["find", "--limit", "0", "--format", "cof"]);
    assert!(all.len() > 100, "{} records", all.len());
    let process =
        serve(&home, &redis, &["--listen", "127.0.0.1:0", "--rate", "0", "--max-rows", "100000"]);
    let address = listens(&process);
    let sorted = |mut rows: Vec<Value>| {
        rows.sort_by_key(Value::to_string);
        rows
    };
    let ask = |value: &str| {
        let mut escaped = String::new();
        for octet in value.bytes() {
            match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' => escaped.push(char::from(octet)),
                octet => write!(escaped, "%{octet:02X}").unwrap(),
            }
        }
        let reply = request(&address, "GET", &format!("/pdns/query/{escaped}"), &[]);
        let mut rows = reply.lines();
        rows.iter().for_each(is_cof);
        for row in &mut rows {
            // The one field that `pdns` has no value for.
            let origin = row.as_object_mut().unwrap().remove("origin");
            assert_eq!(origin, Some(json!(format!("http://{address}/pdns/"))));
        }
        sorted(rows)
    };
    let step = all.len().div_ceil(40);
    for row in all.iter().step_by(step) {
        let name = row["rrname"].as_str().unwrap();
        assert_eq!(
            ask(name),
            sorted(pdns(&["lookup", name, "--limit", "0", "--format", "cof"])),
            "{name}"
        );
        if row["rrtype"] == "A" {
            let address = row["rdata"][0].as_str().unwrap();
            let net = format!("{address}/20");
            let want = pdns(&["lookup", &net, "--limit", "0", "--format", "cof"]);
            assert_eq!(ask(&net), sorted(want), "{net}");
        }
    }
    // Every record is in exactly one RRset.
    let sets = request(&address, "GET", "/dnsdb/v2/lookup/rrset/name/*?limit=0", &[]).lines();
    let dnssec =
        request(&address, "GET", "/dnsdb/v2/lookup/rrset/name/*/ANY-DNSSEC?limit=0", &[]).lines();
    let sets = sets.iter().chain(&dnssec).filter_map(|line| line["obj"]["rdata"].as_array());
    assert_eq!(sets.map(Vec::len).sum::<usize>(), all.len());
}

#[test]
fn tags_stand_beside_what_they_apply_to() {
    let site = Site::new();
    let set = ["tag", "set", "threat", "192.0.2.7", "--redis", &site.redis.url()];
    run(&mut site.home.pdns(), &set).with(&[0]);
    let lines = site.get("/pdns/query/192.0.2.7").lines();
    assert!(!lines.is_empty());
    for row in lines {
        assert_eq!(row["pdns_tags"], json!(["threat"]), "{row}");
    }
}
