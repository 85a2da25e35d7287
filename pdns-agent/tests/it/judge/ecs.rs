//! Events have the fields of ECS, with their types; so has the example of the document.

use super::{events, feed_names, generated, once};
use crate::cli::Site;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Fields of ECS 8.17 that events use (`ecs_flat.yml` of elastic/ecs): name, type, and whether it is a list.
const FIELDS: &[(&str, &str, bool)] = &[
    ("@timestamp", "date", false),
    ("message", "match_only_text", false),
    ("tags", "keyword", true),
    ("labels.pdns_url", "keyword", false),
    ("ecs.version", "keyword", false),
    ("event.kind", "keyword", false),
    ("event.category", "keyword", true),
    ("event.type", "keyword", true),
    ("event.dataset", "keyword", false),
    ("event.module", "keyword", false),
    ("event.id", "keyword", false),
    ("event.created", "date", false),
    ("event.risk_score", "float", false),
    ("event.reference", "keyword", false),
    ("observer.name", "keyword", true),
    ("dns.question.name", "keyword", false),
    ("dns.question.type", "keyword", false),
    ("dns.question.registered_domain", "keyword", false),
    ("dns.question.subdomain", "keyword", false),
    ("dns.question.top_level_domain", "keyword", false),
    ("dns.answers.name", "keyword", false),
    ("dns.answers.type", "keyword", false),
    ("dns.answers.ttl", "long", false),
    ("dns.answers.data", "keyword", false),
    ("dns.resolved_ip", "ip", true),
    ("dns.response_code", "keyword", false),
    ("related.hosts", "keyword", true),
    ("related.ip", "ip", true),
    ("rule.name", "keyword", false),
    ("rule.category", "keyword", false),
    ("rule.ruleset", "keyword", false),
    ("rule.version", "keyword", false),
    ("threat.indicator.type", "keyword", false),
    ("threat.indicator.name", "keyword", false),
    ("threat.indicator.ip", "ip", false),
    ("threat.indicator.provider", "keyword", false),
    ("threat.indicator.first_seen", "date", false),
    ("threat.indicator.last_seen", "date", false),
    // Security Onion's own.
    ("dns.query.name", "keyword", false),
];

/// Checks a value and all below it.
fn check(path: &str, value: &Value) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            check(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value);
        }
        return;
    }
    // A list of objects.
    if path == "dns.answers" {
        value.as_array().unwrap().iter().for_each(|value| check(path, value));
        return;
    }
    let known = FIELDS.iter().find(|(name, ..)| *name == path);
    let &(_, kind, is_list) = known.unwrap_or_else(|| panic!("{path} is no field of ECS"));
    let values = match value {
        Value::Array(values) if is_list => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    for value in values {
        let fits = match kind {
            "float" | "long" => value.is_number(),
            "date" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
            "ip" => value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
            _ => value.is_string(),
        };
        assert!(fits, "{path}: {value} is no {kind}");
    }
}

/// Fields that every event of a data set must have.
fn check_required(event: &Value) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    for pointer in ["/@timestamp", "/event/id", "/event/module", "/dns/question/name"] {
        assert!(!text(pointer).is_empty(), "{pointer} is missing: {event}");
    }
    let is_alert = match text("/event/dataset") {
        "pdns.first_seen" => false,
        "pdns.verdict" => true,
        other => panic!("unknown data set {other}"),
    };
    let of = |pointer: &str| event.pointer(pointer).cloned().unwrap_or_default();
    if is_alert {
        assert_eq!(of("/event/kind"), "alert");
        assert_eq!(of("/event/category"), serde_json::json!(["threat"]));
        assert_eq!(of("/event/type"), serde_json::json!(["indicator"]));
        assert!(of("/event/risk_score").as_u64().is_some_and(|score| score <= 100));
        assert!(!text("/rule/name").is_empty() && !text("/message").is_empty());
    } else {
        assert_eq!(of("/event/kind"), "event");
        assert_eq!(of("/event/category"), serde_json::json!(["network"]));
        assert_eq!(of("/event/type"), serde_json::json!(["info"]));
    }
}

#[test]
fn events_have_the_fields_of_ecs_whatever_the_names_are() {
    let site = Site::new();
    super::set(&site.home, "[judge]\nurl = 'https://pdns.example.net'\n");
    once(&site, &[]).with(&[0]);
    let odd = format!("{}.com", generated(3));
    feed_names(
        &site,
        "1",
        &[
            "www.paypa1.com",
            &odd,
            r"a\u001b]0;x\u0007.example.net",
            r"\u00ff\u0000\n.example.net",
            r#"quote\"and\\backslash.example.net"#,
            "xn--pypal-4ve.com",
            "single",
            "paypal.com.x.co.uk",
        ],
    );
    run_hit(&site);
    let text = once(&site, &[]).with(&[0]);
    assert!(text.bytes().all(|octet| octet == b'\n' || (b' '..=b'~').contains(&octet)), "{text}");
    let found = events(&text);
    assert!(found.len() >= 10, "{}", found.len());
    for event in &found {
        check("", event);
        check_required(event);
        let url = event["labels"]["pdns_url"].as_str().unwrap();
        assert!(url.starts_with("https://pdns.example.net/context?q="), "{url}");
        let is_alert = event["event"]["kind"] == "alert";
        assert_eq!(event["event"]["reference"].is_string(), is_alert);
    }
    let ids: std::collections::BTreeSet<&str> =
        found.iter().map(|event| event["event"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), found.len(), "each has an identifier of its own");
}

/// A name with the address of a feed, which has dates and a provider.
fn run_hit(site: &Site) {
    let list = site.home.write("feed.txt", "45.9.0.0/30\n");
    crate::run::run(site.pdns().args(["intel", "import", "--source", "feed"]), &[list]).with(&[0]);
}

#[test]
fn the_examples_of_the_document_are_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/judgement.md");
    let document = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> =
        document.lines().filter(|line| line.starts_with("{\"@timestamp\"")).collect();
    assert_eq!(lines.len(), 2, "one for each data set");
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap();
        check("", &event);
        check_required(&event);
    }
}
