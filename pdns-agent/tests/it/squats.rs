//! `pdns squats`: imitations among the names of a real store.

use crate::cli::Site;
use crate::run::run;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A store with records in COF: name, type, RDATA and time.
fn site(records: &[(&str, &str, &str, u32)]) -> Site {
    let site = Site::new();
    let mut text = String::new();
    for (name, rrtype, rdata, time) in records {
        let line = json!({
            "rrname": name, "rrtype": rrtype, "rdata": rdata, "count": 2,
            "time_first": time, "time_last": time + 10,
        });
        writeln!(text, "{line}").unwrap();
    }
    let file = site.home.write("records.cof", text);
    run(site.agent().args(["cof"]), &[file]).with(&[0]);
    site
}

fn squats(site: &Site, words: &[&str]) -> Vec<Value> {
    let said = run(site.pdns().args(["squats", "--format", "json"]), words).with(&[0, 1]);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(found: &[Value]) -> Vec<&str> {
    found.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn imitations_that_were_seen_are_found_the_likeliest_first() {
    let site = site(&[
        ("paypal.com", "A", "45.61.1.1", 1_700_000_000),
        ("www.paypal.com", "A", "45.61.1.1", 1_700_000_000),
        ("paypa1.com", "A", "45.61.2.1", 1_700_000_300),
        ("www.paypa1.com", "A", "45.61.2.1", 1_700_000_100),
        ("paypal.com.evil.top", "A", "45.61.2.2", 1_700_000_000),
        ("login-paypal.net", "A", "45.61.2.3", 1_700_000_000),
        ("xn--pypal-4ve.com", "A", "45.61.2.4", 1_700_000_000),
        ("secure-paypai.org", "A", "45.61.2.5", 1_700_000_000),
        ("example.com", "A", "45.61.2.6", 1_700_000_000),
        ("papal.net", "A", "45.61.2.7", 1_700_000_000),
    ]);
    let found = squats(&site, &["paypal.com"]);
    let scores: Vec<u64> = found.iter().map(|one| one["score"].as_u64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| *score >= 80));
    let mut sorted = names(&found);
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "login-paypal.net",
            "paypa1.com",
            "paypal.com.evil.top",
            "secure-paypai.org",
            "xn--pypal-4ve.com"
        ]
    );
    // The names of one domain count together.
    let one = found.iter().find(|one| one["name"] == "paypa1.com").unwrap();
    assert_eq!(
        (&one["names"], &one["count"], &one["time_first"], &one["time_last"], &one["resolves"]),
        (&json!(2), &json!(4), &json!(1_700_000_100), &json!(1_700_000_310), &json!(true))
    );
    assert_eq!(
        names(&squats(&site, &["paypal.com", "--kind", "levelsquat"])),
        ["paypal.com.evil.top"]
    );
    let ended = run(&mut site.pdns(), &["squats", "paypal.com", "--limit", "1"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1));
    assert!(ended.stderr.contains("cut off after 1 name,"), "{}", ended.stderr);
    let ended = run(&mut site.pdns(), &["squats", "microsoft.com"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
}

#[test]
fn names_of_the_same_owner_are_left_out() {
    let mut records = vec![
        ("paypal.com".to_owned(), "A", "45.61.1.1"),
        ("paypal.com".to_owned(), "A", "104.16.1.1"),
        ("paypal.com".to_owned(), "A", "45.61.1.99"),
        ("paypal.com".to_owned(), "NS", "ns1.paypal.com"),
        ("paypal.com".to_owned(), "NS", "ns1.registrar.example"),
        ("www.paypal.com".to_owned(), "CNAME", "edge.owner.example"),
        ("old.paypal.com".to_owned(), "CNAME", "shop.paypal-shop.org"),
        // All that these lead to is the owner's, or a record of the owner leads to them.
        ("paypa1.com".to_owned(), "A", "45.61.1.1"),
        ("www.peypal.com".to_owned(), "CNAME", "edge.owner.example"),
        ("paypal.net".to_owned(), "CNAME", "www.paypal.com"),
        ("paypall.com".to_owned(), "NS", "ns1.paypal.com"),
        ("paypal-shop.org".to_owned(), "A", "45.61.7.7"),
        // Content networks and what many have are nobody's, and name servers of a registrar serve everybody.
        ("paypal.org".to_owned(), "A", "104.16.1.1"),
        ("paypal.info".to_owned(), "A", "45.61.1.99"),
        ("paypai.com".to_owned(), "NS", "ns1.registrar.example"),
        // Squatters point one name at the owner, and use another.
        ("payapl.com".to_owned(), "CNAME", "www.paypal.com"),
        ("login.payapl.com".to_owned(), "A", "45.61.6.6"),
        ("paypaal.com".to_owned(), "NS", "ns1.paypal.com"),
        ("paypaal.com".to_owned(), "A", "45.61.6.7"),
        ("papyal.com".to_owned(), "A", "45.61.1.1"),
        ("papyal.com".to_owned(), "A", "45.61.6.8"),
    ];
    records.extend((0..250).map(|at| (format!("site{at}.example"), "A", "45.61.1.99")));
    let records: Vec<_> = records
        .iter()
        .map(|(name, rrtype, rdata)| (name.as_str(), *rrtype, *rdata, 1_700_000_000))
        .collect();
    let site = site(&records);
    let ended = run(site.pdns().args(["squats", "--format", "json"]), &["paypal.com"]);
    let found: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut shown = names(&found);
    shown.sort_unstable();
    assert_eq!(
        shown,
        ["papyal.com", "payapl.com", "paypaal.com", "paypai.com", "paypal.info", "paypal.org"]
    );
    let said = "5 more names belong to the owner of paypal.com";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let all = squats(&site, &["paypal.com", "--own"]);
    let own = all.iter().filter(|one| one["same_owner"] == true).count();
    assert_eq!((all.len(), own), (11, 5));
}

#[test]
fn names_that_never_resolved_come_last() {
    let site = Site::new();
    let line = |name: &str, code: u16, rcode: &str, answers: &str| {
        format!(
            "{{\"ts\":1700000000.5,\"uid\":\"C1\",\"id.orig_h\":\"10.0.0.1\",\"id.orig_p\":1,\
             \"id.resp_h\":\"10.0.0.2\",\"id.resp_p\":53,\"proto\":\"udp\",\"query\":\"{name}\",\
             \"qclass\":1,\"qtype\":1,\"qtype_name\":\"A\",\"rcode\":{code},\"rcode_name\":\"{rcode}\",\
             \"AA\":false,\"TC\":false,\"RD\":true,\"RA\":true,\"Z\":0,\"rejected\":false{answers}}}\n"
        )
    };
    let log = line("paypla.com", 3, "NXDOMAIN", "")
        + &line("paypal.top", 0, "NOERROR", ",\"answers\":[\"45.61.1.1\"],\"TTLs\":[60.0]");
    let file = site.home.write("dns.log", log);
    run(site.agent().args(["zeek", "--once"]), &[file]).with(&[0]);
    let found = squats(&site, &["paypal.com"]);
    assert_eq!(names(&found), ["paypal.top", "paypla.com"]);
    assert_eq!((&found[0]["resolves"], &found[1]["resolves"]), (&json!(true), &json!(false)));
    let table = run(&mut site.pdns(), &["squats", "paypal.com", "--format", "table"]).with(&[0]);
    assert!(table.contains("1 failed"), "{table}");
}

#[test]
fn octets_without_a_character_hide_no_imitation() {
    let escaped = [
        "pay\\032pal.com",
        "payp\\000l.com",
        "pay\\.pal.com",
        "\\255paypal.com",
        "paypal\\010.com",
    ];
    let records: Vec<_> =
        escaped.iter().map(|name| (*name, "A", "45.61.2.1", 1_700_000_000)).collect();
    let site = site(&records);
    let found = squats(&site, &["paypal.com"]);
    let (mut found, mut wanted) = (names(&found), escaped.to_vec());
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    // Of what there cannot be, it says so.
    for (words, why) in [
        (&["paypal.com", "--kind", "two-edits,soundsquat"][..], "their likeness stays below 80"),
        (&["xn--a.com"], "xn--a.com cannot be imitated: its label begins with xn--, but is not"),
    ] {
        let ended = run(site.pdns().arg("squats"), words);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(ended.stderr.contains(why), "{words:?}: {}", ended.stderr);
    }
}
