//! The search of a MISP server, as its REST interface answers: attributes, whole events, and errors.

use super::{intel, site};
use crate::cli::Site;
use crate::run::run;
use crate::web::{WebRequest, WebServer, reply};
use serde_json::{Value, json};
use std::io::Write;

const JSON: &[&str] = &["Content-Type: application/json; charset=UTF-8"];

/// An answer that is not that of a search: status, header, body, and what is said of it.
type Answer = (u16, &'static str, Vec<u8>, &'static str);

/// Fetches from a MISP server, and returns what was said.
fn refresh(site: &Site, url: &str, codes: &[i32]) -> String {
    let feeds = format!(
        "[feed.misp]\ntype = 'misp'\nurl = '{url}'\nallow_private = true\napi_key_env = 'PDNS_TEST_KEY'\n"
    );
    let feeds = site.home.write("feeds.toml", feeds);
    let arguments = ["intel", "refresh", "--feeds", feeds.to_str().unwrap(), "misp"];
    let ended = run(site.pdns().env("PDNS_TEST_KEY", "hunter2"), &arguments);
    let said = ended.stderr.clone();
    assert!(!said.contains("hunter2"), "{said}");
    ended.with(codes);
    said
}

/// An attribute, with the members that a server sends.
fn attribute(number: u64, kind: &str, value: &str) -> Value {
    json!({
        "id": number.to_string(), "event_id": "1", "object_id": "0", "object_relation": null,
        "category": "Network activity", "type": kind, "to_ids": true,
        "uuid": format!("{number:08}-0000-4000-8000-000000000000"),
        "timestamp": (1_700_000_000 + number).to_string(), "distribution": "5",
        "sharing_group_id": "0", "comment": "", "deleted": false, "disable_correlation": false,
        "first_seen": null, "last_seen": null, "value": value,
    })
}

/// Conditions of a search, its page and the size of pages; the path is that of the request.
fn search(request: &WebRequest, path: &str) -> (Value, usize, usize) {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
    assert_eq!(request.header("authorization"), "hunter2");
    assert_eq!(request.header("accept"), "application/json");
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(asked["returnFormat"], "json");
    let number = |name: &str| usize::try_from(asked[name].as_u64().unwrap()).unwrap();
    let (page, limit) = (number("page"), number("limit"));
    (asked, page, limit)
}

/// A page of a whole list.
fn page(all: &[Value], page: usize, limit: usize) -> Vec<Value> {
    all.iter().skip((page - 1) * limit).take(limit).cloned().collect()
}

#[test]
fn attributes_are_imported_page_by_page() {
    let site = site();
    let event = json!({
        "id": "1", "org_id": "1", "distribution": "1", "info": "Case 17", "orgc_id": "1",
        "uuid": "5b7f7a2d-3b54-4a4c-9a27-0f6f950d210f",
    });
    let mut all: Vec<Value> =
        (0..2_000).map(|at| attribute(at, "domain", &format!("evil{at}.com"))).collect();
    all[3] = attribute(3, "ip-dst|port", "45.61.1.1|443");
    all[5]["to_ids"] = false.into();
    all[7]["Tag"] =
        json!([{"id": "2", "name": "tlp:green", "colour": "#339900", "exportable": true}]);
    for one in &mut all {
        one["Event"] = event.clone();
    }
    let server = WebServer::start(move |request, _, out| {
        let (asked, number, limit) = search(request, "/attributes/restSearch");
        assert!(asked["type"].as_array().unwrap().contains(&"hostname".into()));
        let attributes = page(&all, number, limit);
        let answer = json!({"response": {"Attribute": attributes}});
        reply(out, 200, JSON, answer.to_string().as_bytes());
    });
    let said = refresh(&site, &server.url("/"), &[0, 1]);
    assert!(said.contains("1999 indicators from misp: 1999 added"), "{said}");
    // Two full pages, and an empty one, which is the end.
    assert_eq!(server.requests().len(), 3);
    for (subject, is_listed) in [("evil0.com", true), ("evil1999.com", true), ("evil5.com", false)]
    {
        intel(&site, &["show", subject], &[i32::from(!is_listed)]);
    }
    let (shown, _) = intel(&site, &["show", "evil7.com"], &[0]);
    assert!(shown.contains(r#""tlp":"green""#), "{shown}");
    let (shown, _) = intel(&site, &["show", "45.61.1.1"], &[0]);
    assert!(shown.contains(r#""conditional":true"#), "{shown}");
}

#[test]
fn events_are_imported_page_by_page() {
    let site = site();
    let event = |at: u64| {
        json!({"Event": {
            "id": at.to_string(), "orgc_id": "1", "org_id": "1", "date": "2026-01-02",
            "threat_level_id": "4", "info": format!("Case {at}"), "published": true,
            "uuid": format!("5b7f7a2d-3b54-4a4c-9a27-{at:012}"), "attribute_count": "2",
            "analysis": "0", "timestamp": (1_700_000_000 + at).to_string(), "distribution": "1",
            "Org": {"id": "1", "name": "ORG"}, "Orgc": {"id": "1", "name": "CERT"},
            "Attribute": [attribute(at, "hostname", &format!("www.evil{at}.com"))],
            "ShadowAttribute": [], "RelatedEvent": [], "Galaxy": [],
            "Object": [{"id": "1", "name": "domain-ip", "meta-category": "network", "Attribute":
                [attribute(1000 + at, "domain", &format!("object{at}.net"))]}],
            "EventReport": [], "Tag": [{"id": "2", "name": "tlp:amber"}],
        }})
    };
    let all: Vec<Value> = (0..60).map(event).collect();
    let server = WebServer::start(move |request, _, out| {
        let (_, number, limit) = search(request, "/events/restSearch");
        let answer = json!({"response": page(&all, number, limit)});
        reply(out, 200, JSON, answer.to_string().as_bytes());
    });
    let said = refresh(&site, &server.url("/events/restSearch"), &[0]);
    assert!(said.contains("120 indicators from misp: 120 added"), "{said}");
    assert_eq!(server.requests().len(), 2);
    let (shown, _) = intel(&site, &["show", "object59.net"], &[0]);
    for text in [r#""tlp":"amber""#, "Case 59", "5b7f7a2d-3b54-4a4c-9a27-000000000059"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
}

#[test]
fn an_error_of_the_server_is_reported_and_nothing_ends() {
    let site = site();
    let all: Vec<Value> =
        (0..1_500).map(|at| attribute(at, "domain", &format!("evil{at}.com"))).collect();
    let whole = all.clone();
    let server = WebServer::start(move |request, _, out| {
        let (_, number, limit) = search(request, "/attributes/restSearch");
        let answer = json!({"response": {"Attribute": page(&whole, number, limit)}});
        reply(out, 200, JSON, answer.to_string().as_bytes());
    });
    refresh(&site, &server.url("/"), &[0]);
    let login = "<!DOCTYPE html><html><head><title>Users - MISP</title></head><body>Login evil-login.com</body></html>";
    let forbidden = json!({
        "name": "Authentication failed. Please make sure you pass the API key of an API enabled user along in the Authorization header.",
        "message": "Authentication failed.", "url": "/attributes/restSearch",
    });
    let failed = json!({"errors": ["Invalid search"], "saved": false});
    let mut cut = json!({"response": {"Attribute": all}}).to_string().into_bytes();
    cut.truncate(20_000);
    let answers: [Answer; 5] = [
        (200, "Content-Type: text/html; charset=UTF-8", login.into(), "text/html"),
        (200, "Content-Type: application/json", login.into(), "web page, not JSON"),
        (
            403,
            JSON[0],
            forbidden.to_string().into(),
            "answered 403 (access is forbidden: check the credentials)",
        ),
        (200, JSON[0], failed.to_string().into(), "JSON"),
        (200, JSON[0], cut, "JSON"),
    ];
    for (status, header, body, reason) in answers {
        let first = json!({"response": {"Attribute": page(&all, 1, 1_000)}}).to_string();
        for fails_late in [false, true] {
            let (first, body) = (first.clone(), body.clone());
            let server = WebServer::start(move |request: &WebRequest, _, out: &mut dyn Write| {
                let (_, number, _) = search(request, "/attributes/restSearch");
                match number {
                    1 if fails_late => reply(out, 200, JSON, first.as_bytes()),
                    _ => reply(out, status, &[header], &body),
                }
            });
            let said = refresh(&site, &server.url("/"), &[2]);
            assert!(said.contains("misp: ") && said.contains(reason), "{status} {reason}: {said}");
            let (sources, _) = intel(&site, &["sources"], &[0]);
            assert!(sources.contains(r#""indicators":1500,"ending":0"#), "{sources}");
            assert!(sources.contains("failed"), "{sources}");
        }
    }
    intel(&site, &["show", "evil-login.com"], &[1]);
    intel(&site, &["show", "evil1499.com"], &[0]);
}
