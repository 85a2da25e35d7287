//! DNSDB's API.

use super::{PAGES, START, Site, wire};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The results of an answer in SAF, and how it ended.
#[track_caller]
fn saf(site: &Site, path: &str) -> (Vec<Value>, String) {
    let lines = site.get(&format!("/dnsdb/v2/{path}")).lines();
    assert_eq!(lines.first(), Some(&json!({"cond": "begin"})), "{path}");
    let end = lines.last().unwrap()["cond"].as_str().unwrap_or_else(|| panic!("no end: {path}"));
    let inner = &lines[1..lines.len() - 1];
    assert!(inner.iter().all(|line| line["obj"].is_object()), "{path}");
    (inner.iter().map(|line| line["obj"].clone()).collect(), end.to_owned())
}

/// The same of a whole answer.
#[track_caller]
fn whole(site: &Site, path: &str) -> Vec<Value> {
    let (rows, end) = saf(site, path);
    assert_eq!(end, "succeeded", "{path}");
    rows
}

/// Owner and type of each result.
#[track_caller]
fn keys(site: &Site, path: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    whole(site, path)
        .iter()
        .map(|row| format!("{} {}", text(&row["rrname"]), text(&row["rrtype"])))
        .collect()
}

fn hex(octets: &[u8]) -> String {
    let mut out = String::new();
    for octet in octets {
        write!(out, "{octet:02x}").unwrap();
    }
    out
}

#[test]
fn rrsets_are_grouped_and_have_their_zone() {
    let site = Site::new();
    let rows = whole(&site, "lookup/rrset/name/www.example.com");
    assert_eq!(
        rows,
        [
            json!({"count": 2, "time_first": START, "time_last": START + 9_000, "rrname": "www.example.com.",
                "rrtype": "A", "bailiwick": "example.com.", "rdata": ["192.0.2.7", "192.0.2.8"]}),
            json!({"count": 1, "time_first": START + 61, "time_last": START + 61, "rrname": "www.example.com.",
                "rrtype": "AAAA", "bailiwick": "example.com.", "rdata": ["2001:db8::7"]}),
        ]
    );
    for owner in [
        "WWW.EXAMPLE.COM.",
        "www.example.com/ANY",
        "www.example.com/ANY/example.com",
        "www.example.com/ANY/*.com",
        "www.example.com/any/",
    ] {
        assert_eq!(whole(&site, &format!("lookup/rrset/name/{owner}")), rows, "{owner}");
    }
    let raw = hex(&wire("www.example.com"));
    assert_eq!(whole(&site, &format!("lookup/rrset/raw/{raw}")), rows);
    assert_eq!(keys(&site, "lookup/rrset/name/www.example.com/AAAA"), ["www.example.com. AAAA"]);
    assert_eq!(keys(&site, "lookup/rrset/name/www.example.com/ANY/com."), Vec::<String>::new());
    let zone =
        |name: &str| whole(&site, &format!("lookup/rrset/name/{name}"))[0]["bailiwick"].clone();
    assert_eq!(zone("a.deep.example.com"), "deep.example.com.");
    assert_eq!(zone("deep.example.com"), "deep.example.com.");
    assert_eq!(zone("www.example.co.uk"), "example.co.uk.");
}

#[test]
fn wildcards_and_types() {
    let site = Site::new();
    let below = keys(&site, "lookup/rrset/name/*.example.com");
    assert_eq!(
        below,
        [
            "example.com. NS",
            "example.com. SOA",
            "example.com. MX",
            "a.deep.example.com. A",
            "deep.example.com. NS",
            "login.example.com. CNAME",
            "www.example.com. A",
            "www.example.com. AAAA",
        ]
    );
    assert_eq!(keys(&site, "lookup/rrset/name/%2A.Example.com./ANY"), below);
    assert_eq!(
        keys(&site, "lookup/rrset/name/www.example.*/A"),
        ["www.example.co.uk. A", "www.example.com. A", "www.example.net. A"]
    );
    assert_eq!(keys(&site, "lookup/rrset/name/*.example.com/ANY/deep.example.com").len(), 2);
    // DNSSEC is apart from the rest, and types without a mnemonic have a name here.
    assert_eq!(keys(&site, "lookup/rrset/name/signed.example.org"), ["signed.example.org. A"]);
    assert_eq!(
        keys(&site, "lookup/rrset/name/signed.example.org/ANY-DNSSEC"),
        ["signed.example.org. DS"]
    );
    assert_eq!(keys(&site, "lookup/rrset/name/signed.example.org/DS"), ["signed.example.org. DS"]);
    assert_eq!(
        keys(&site, "lookup/rrset/name/unknown.example.org"),
        ["unknown.example.org. TYPE65280"]
    );
    assert_eq!(keys(&site, "lookup/rrset/name/unknown.example.org/TYPE65280").len(), 1);
    assert_eq!(keys(&site, "lookup/rrset/name/nothing.example"), Vec::<String>::new());
}

#[test]
fn rdata_is_found_by_name_address_and_octets() {
    let site = Site::new();
    let rows = whole(&site, "lookup/rdata/name/www.example.com");
    assert_eq!(
        rows,
        [json!({"count": 1, "time_first": START + 9_000, "time_last": START + 9_000,
            "rrname": "login.example.com.", "rrtype": "CNAME", "rdata": ["www.example.com."]})]
    );
    assert_eq!(
        keys(&site, "lookup/rdata/name/ns1.example.net"),
        ["example.com. NS", "example.com. SOA"]
    );
    assert_eq!(keys(&site, "lookup/rdata/name/ns1.example.net/NS"), ["example.com. NS"]);
    assert_eq!(
        keys(&site, "lookup/rdata/name/*.example.net"),
        ["example.com. NS", "example.com. NS", "example.com. SOA"]
    );
    assert_eq!(keys(&site, "lookup/rdata/name/mail.example.*"), ["example.com. MX"]);
    assert_eq!(
        keys(&site, "lookup/rdata/ip/192.0.2.7"),
        ["www.example.net. A", "www.example.com. A"]
    );
    for value in [
        "192.0.2.0,24",
        "192.0.2.0%2C24",
        "192.0.2.0%2F24",
        "192.0.2.7-192.0.2.99",
        "192.0.2.0,24/AAAA",
    ] {
        assert_eq!(keys(&site, &format!("lookup/rdata/ip/{value}")).len(), 4, "{value}");
    }
    assert_eq!(
        keys(&site, "lookup/rdata/ip/2001%3Adb8%3A%3A/32".replace("/32", ",32").as_str()),
        ["www.example.com. AAAA"]
    );
    let raw = |octets: &[u8]| keys(&site, &format!("lookup/rdata/raw/{}", hex(octets)));
    assert_eq!(raw(&[192, 0, 2, 7]).len(), 2);
    assert_eq!(raw(&wire("www.example.com")), ["login.example.com. CNAME"]);
    assert_eq!(raw(&[&[0, 10], wire("mail.example.com").as_slice()].concat()), ["example.com. MX"]);
    assert_eq!(
        raw(&[&[0, 1, 0, 2, 0x13, 0xc4], wire("SIP.example.org").as_slice()].concat()),
        ["_sip._tcp.example.org. SRV"]
    );
    assert_eq!(raw(b"\x0bv=spf1 -all"), ["txt.example.org. TXT"]);
    assert_eq!(raw(&[1, 2, 3]), ["unknown.example.org. TYPE65280"]);
    assert_eq!(raw(&[9, 9, 9]), Vec::<String>::new());
}

#[test]
fn limits_offsets_and_fences() {
    let site = Site::new();
    let all = keys(&site, "lookup/rrset/name/*.pages.example.org");
    assert_eq!(all.len(), usize::from(PAGES));
    let (rows, end) = saf(&site, "lookup/rrset/name/*.pages.example.org?limit=10");
    assert_eq!((rows.len(), end.as_str()), (10, "limited"));
    for path in ["lookup/rrset/name/*.pages.example.org", "lookup/rdata/ip/198.51.100.0,24"] {
        let all = whole(&site, path);
        let mut paged = Vec::new();
        for offset in (0..120).step_by(50) {
            let (rows, end) = saf(&site, &format!("{path}?limit=50&offset={offset}"));
            assert_eq!(end, if offset == 100 { "succeeded" } else { "limited" }, "{path} {offset}");
            paged.extend(rows);
        }
        assert_eq!(paged, all, "{path}");
        assert_eq!(saf(&site, &format!("{path}?limit=120")), (all, "succeeded".to_owned()));
        assert_eq!(whole(&site, &format!("{path}?offset=500")), Vec::<Value>::new());
        assert_eq!(whole(&site, &format!("{path}?limit=0")).len(), 120);
        site.get(&format!("/dnsdb/v2/{path}?offset=90001")).refused(416);
    }
    let fenced = |fence: String| {
        whole(&site, &format!("lookup/rrset/name/*.pages.example.org?{fence}")).len()
    };
    let at = START + 10_050;
    assert_eq!(fenced(format!("time_first_after={at}")), 70);
    assert_eq!(fenced(format!("time_first_before={at}")), 51);
    assert_eq!(fenced(format!("time_last_after={at}&time_last_before={}", at + 9)), 10);
    assert_eq!(fenced("time_last_after=-60".to_owned()), 0);
    assert_eq!(fenced("time_last_before=-60".to_owned()), 120);
    // A fence is for the RRset: it was first seen at START, whenever its second address was.
    let path = format!("lookup/rrset/name/www.example.com/A?time_first_after={}", START + 1);
    assert_eq!(whole(&site, &path), Vec::<Value>::new());
    let rows = whole(&site, "lookup/rrset/name/www.example.com/A?humantime=t&aggr=f");
    assert_eq!(rows[0]["time_first"], "2023-11-14T22:13:20Z");
}

#[test]
fn summaries_add_up() {
    let site = Site::new();
    assert_eq!(
        whole(&site, "summarize/rrset/name/www.example.com"),
        [json!({"count": 3, "num_results": 2, "time_first": START, "time_last": START + 9_000})]
    );
    let rows = whole(&site, "summarize/rdata/ip/192.0.2.0,24");
    assert_eq!((&rows[0]["count"], &rows[0]["num_results"]), (&json!(5), &json!(4)));
    let rows = whole(&site, "summarize/rrset/name/*.pages.example.org?max_count=7");
    assert_eq!((&rows[0]["count"], &rows[0]["num_results"]), (&json!(7), &json!(7)));
    let (rows, end) = saf(&site, "summarize/rrset/name/*.pages.example.org?limit=9");
    assert_eq!((&rows[0]["count"], end.as_str()), (&json!(9), "limited"));
    assert_eq!(whole(&site, "summarize/rrset/name/nothing.example"), Vec::<Value>::new());
}

#[test]
fn patterns_find_names_and_rdata() {
    let site = Site::new();
    assert_eq!(
        keys(&site, "regex/rrnames/%5Ewww%5C.example%5C.(com|net)%5C.$/A"),
        ["www.example.com. A", "www.example.net. A"]
    );
    let rows = whole(&site, "glob/rrnames/www.example.n*");
    assert_eq!(
        rows,
        [json!({"count": 1, "time_first": START + 400, "time_last": START + 400,
            "rrname": "www.example.net.", "rrtype": "A"})]
    );
    let rows = whole(&site, "glob/rrnames/www.example.n*?verbose=false");
    assert_eq!(rows, [json!({"rrname": "www.example.net.", "rrtype": "A"})]);
    assert_eq!(
        keys(&site, "glob/rrnames/www*?exclude=*.com."),
        ["www.example.co.uk. A", "www.example.net. A"]
    );
    assert_eq!(keys(&site, "glob/rrnames/www.example.com"), Vec::<String>::new(), "no final dot");
    assert_eq!(saf(&site, "glob/rrnames/h*.pages.*?limit=3&offset=2").0.len(), 3);
    let rows = whole(&site, "regex/rdata/spf1.*%22$/TXT");
    assert_eq!(
        rows,
        [json!({"count": 1, "time_first": START + 600, "time_last": START + 600, "rrtype": "TXT",
            "rdata": "\"v=spf1 -all\"", "raw_rdata": "0B763D73706631202D616C6C"})]
    );
    let rows = whole(&site, "glob/rdata/*.example.net.?verbose=f");
    let text = |row: &Value| {
        format!("{} {}", row["rrtype"].as_str().unwrap(), row["rdata"].as_str().unwrap())
    };
    assert_eq!(
        rows.iter().map(text).collect::<Vec<_>>(),
        ["NS ns1.example.net.", "NS ns2.example.net."]
    );
    for path in [
        "regex/rrnames/(",
        "regex/rrnames/(a)%5C1",
        "glob/rrnames/[a",
        "glob/rdata/*/A",
        "regex/rrnames/",
    ] {
        site.get(&format!("/dnsdb/v2/{path}")).refused(400);
    }
}

#[test]
fn what_is_no_question_is_refused_and_all_else_is_framed() {
    let site = Site::new();
    for (path, status) in [
        ("lookup/rrset/name/a/NONSENSE", 400),
        ("lookup/rdata/ip/192.0.2.1/NS", 400),
        ("lookup/rdata/raw/abc", 400),
        ("lookup/rrset/name/a?limit=x", 400),
        ("lookup/rrset/name/%ff", 400),
        ("nonsense", 404),
        ("nonsense/a/b", 404),
    ] {
        site.get(&format!("/dnsdb/v2/{path}")).refused(status);
    }
    let path = "/dnsdb/v2/lookup/rrset/name/example.com";
    site.get_with(path, &[("Accept", "text/html")]).refused(415);
    site.get_with(path, &[("Accept", "application/x-ndjson")]).lines();
    let ping = site.get("/dnsdb/v2/ping");
    assert_eq!((ping.status, ping.body.as_str()), (200, "{\"ping\":\"ok\"}\n"));
    let rate: Value = serde_json::from_str(&site.get("/dnsdb/v2/rate_limit").body).unwrap();
    for name in
        ["limit", "remaining", "reset", "results_max", "offset_max", "burst_size", "burst_window"]
    {
        assert!(rate["rate"][name].is_u64(), "{name}: {rate}");
    }
    let reply = site.get(path);
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert!(reply.header(name).unwrap().parse::<u64>().is_ok(), "{name}");
    }
}

#[test]
fn version_1_has_no_frame_and_404_for_nothing() {
    let site = Site::new();
    for prefix in ["", "/dnsdb/v1"] {
        let rows = site.get(&format!("{prefix}/lookup/rrset/name/www.example.com")).lines();
        assert_eq!((rows.len(), &rows[0]["rdata"]), (2, &json!(["192.0.2.7", "192.0.2.8"])));
        let rows = site.get(&format!("{prefix}/lookup/rdata/ip/192.0.2.7")).lines();
        assert_eq!(rows[0]["rdata"], "192.0.2.7");
        let rows = site.get(&format!("{prefix}/summarize/rrset/name/www.example.com")).lines();
        assert_eq!(rows[0]["num_results"], 2);
        site.get(&format!("{prefix}/lookup/rrset/name/nothing.example")).refused(404);
        assert!(site.get(&format!("{prefix}/lookup/rate_limit")).body.contains("\"limit\""));
    }
}
