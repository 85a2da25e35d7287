//! The number of the judge is the number of `pdns score`, and hits are told apart by what they hit.

use super::{alerts, events, feed, generated, line, now, once};
use crate::cli::Site;
use crate::run::run;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const DAY: u64 = 86_400;

/// A site whose store has records of these ages in days: name, address and age.
fn with_records(records: &[(&str, &str, u64)]) -> Site {
    let site = Site::new();
    let mut text = String::new();
    for (name, address, age) in records {
        let time = now() - age * DAY;
        let line = json!({
            "rrname": name, "rrtype": "A", "rdata": address, "count": 1,
            "time_first": time, "time_last": time,
        });
        writeln!(text, "{line}").unwrap();
    }
    let file = site.home.write("records.cof", text);
    run(site.agent().args(["cof"]), &[file]).with(&[0]);
    site
}

/// The score of a name by `pdns score`.
fn score(site: &Site, name: &str) -> Value {
    let said = run(&mut site.pdns(), &["score", "--format", "json", name]).with(&[0]);
    serde_json::from_str(&said).unwrap()
}

/// The names of alerts, with their risk scores.
fn risks(events: &[Value]) -> BTreeMap<String, u64> {
    let alerts = events.iter().filter(|event| event["event"]["dataset"] == "pdns.verdict");
    let risk = |event: &Value| {
        let name = event["dns"]["question"]["name"].as_str().unwrap().to_owned();
        (name, event["event"]["risk_score"].as_u64().unwrap())
    };
    alerts.map(risk).collect()
}

#[test]
fn the_judge_and_the_score_have_one_number() {
    let site = with_records(&[("www.old.example.org", "198.51.100.1", 400)]);
    once(&site, &[]).with(&[0]);
    run(&mut site.pdns(), &["tag", "set", "threat", "45.9.7.1", ".bad-by-tag.com"]).with(&[0]);
    let list = site.home.write("feed.txt", "garden-flowers.net\n45.9.7.2\n");
    let import = ["intel", "import", "--source", "feed", "--confidence", "90"];
    run(site.pdns().args(import), &[list]).with(&[0]);
    let odd = format!("{}.top", generated(1));
    let names = [
        ("on-a-bad-address.org", "45.9.7.1"),
        ("on-a-listed-address.org", "45.9.7.2"),
        ("garden-flowers.net", "45.9.7.3"),
        ("www.bad-by-tag.com", "45.9.7.4"),
        ("paypa1-shop.com", "45.9.7.5"),
        ("secure-paypal.xyz", "45.9.7.6"),
        (&odd, "45.9.7.7"),
    ];
    let mut log = String::new();
    for (name, address) in names {
        line(&mut log, now() - 60, name, Some(address));
    }
    feed(&site, "1", &log);
    let risks = risks(&events(&once(&site, &["--first-seen", "none"]).with(&[0])));
    assert_eq!(risks.len(), names.len(), "{risks:?}");
    for (name, risk) in &risks {
        let scored = score(&site, name);
        assert_eq!(scored["score"].as_u64(), Some(*risk), "{name}: {scored}");
    }
    // The word of an analyst about an address is strong evidence about a name that is new on it; and that a label is an
    // ordinary one does not speak for a name that a feed lists.
    assert!(risks["on-a-bad-address.org"] >= 60, "{risks:?}");
    assert!(risks["on-a-listed-address.org"] >= 60, "{risks:?}");
    assert!(risks["garden-flowers.net"] >= 60, "{risks:?}");
    let part = |name: &str, kind: &str| {
        let scored = score(&site, name);
        let mut entries = scored["evidence"].as_array().unwrap().iter();
        let found = entries.find(|one| one["name"] == kind);
        found.map(|one| one["contribution"].as_f64().unwrap()).unwrap()
    };
    assert_eq!(part("on-a-bad-address.org", "leads_to_threat").to_string(), "4.5");
    assert_eq!(part("on-a-bad-address.org", "nearest_threat").to_string(), "0.75");
    assert_eq!(part("garden-flowers.net", "dga").to_string(), "0");
    let ranked = run(&mut site.pdns(), &["score", "--new", "--limit", "4", "--format", "json"]);
    for name in ["garden-flowers.net", "www.bad-by-tag.com"] {
        assert!(ranked.stdout.contains(name), "{}", ranked.stdout);
    }
    // What is kept has the same number.
    let kept = run(&mut site.pdns(), &["intel", "show", "secure-paypal.xyz", "--format", "json"]);
    let confidence = format!("\"confidence\":{}", risks["secure-paypal.xyz"]);
    assert!(kept.stdout.contains(&confidence), "{}", kept.stdout);
}

#[test]
fn what_a_store_has_is_not_said_to_be_new() {
    let odd = format!("{}.net", generated(7));
    let site = with_records(&[
        ("www.old.example.org", "198.51.100.1", 400),
        ("paypa1.com", "45.9.7.1", 50),
        (&odd, "45.9.7.2", 200),
        ("paypal-login.com", "45.9.7.3", 1),
    ]);
    run(&mut site.pdns(), &["tag", "set", "threat", "www.old.example.org"]).with(&[0]);
    let ended = once(&site, &["--all"]);
    assert!(ended.stderr.contains("pdns find --tag threat shows those"), "{}", ended.stderr);
    let found = events(&ended.with(&[0]));
    let risks = risks(&found);
    assert_eq!(risks.len(), 3, "{risks:?}");
    for (name, risk) in &risks {
        assert_eq!(score(&site, name)["score"].as_u64(), Some(*risk), "{name}");
    }
    for event in &found {
        let message = event["message"].as_str().unwrap();
        assert!(!message.contains("never seen before"), "{message}");
        assert!(message.contains("first seen here less than "), "{message}");
    }
    let shown = run(&mut site.pdns(), &["find", "--tag", "threat", "--format", "plain"]).with(&[0]);
    assert!(shown.contains("www.old.example.org"), "{shown}");
}

#[test]
fn hosts_of_one_domain_that_are_listed_apart_are_hits_each() {
    let site = with_records(&[("www.old.example.org", "198.51.100.1", 400)]);
    once(&site, &[]).with(&[0]);
    let list = site.home.write("feed.txt", "a.plain-host.com\nb.plain-host.com\n45.9.7.9\n");
    run(site.pdns().args(["intel", "import", "--source", "feed"]), &[list]).with(&[0]);
    let hosts = |first: usize| {
        let mut log = String::new();
        for (host, address) in [
            ("a", "45.9.7.1"),
            ("b", "45.9.7.1"),
            ("c", "45.9.7.9"),
            ("d", "45.9.7.9"),
            ("e", "45.9.7.1"),
            ("a.a", "45.9.7.1"),
        ]
        .iter()
        .skip(first)
        {
            line(&mut log, now() - 60, &format!("{host}.plain-host.com"), Some(address));
        }
        log
    };
    feed(&site, "1", &hosts(0));
    let found = events(&once(&site, &["--first-seen", "none"]).with(&[0]));
    let hit = |name: &str| (format!("{name}.plain-host.com"), "pdns-judge hit".to_owned());
    let names = alerts(&found);
    // One for each listed host, and one for the address, whichever of its names came first.
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&hit("a")) && names.contains(&hit("b")), "{names:?}");
    assert!(names.contains(&hit("c")) || names.contains(&hit("d")), "{names:?}");
    let ids: std::collections::BTreeSet<String> =
        found.iter().map(|event| event["event"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 3, "{found:#?}");
    // Each once.
    feed(&site, "2", &hosts(2));
    assert_eq!(once(&site, &["--first-seen", "none"]).with(&[0]), "");
}
