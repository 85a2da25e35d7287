//! The MISP feed, read by `PyMISP`.

use super::Site;
use crate::reference::python_json;
use crate::run::{Home, run};
use serde_json::Value;
use std::ffi::OsStr;

/// Tags subjects in the store of a server.
fn tag(site: &Site, words: &[&str]) {
    let mut pdns = site.home.pdns();
    run(pdns.env("PDNS_REDIS", site.redis.url()).args(["tag", "set"]), words).with(&[0]);
}

#[test]
fn the_feed_has_the_threats_that_may_be_shared() {
    let home = Home::new();
    home.write(".config/pdns/pdns.toml", "default_tlp = 'green'\nidentity = 'SOC'\n");
    let site = Site::of(home, &[]);
    let empty = site.get("/misp/manifest.json");
    assert_eq!((empty.status, empty.body.trim()), (200, "{}"));
    tag(&site, &["threat", "www.example.com", ".evil.example", "192.0.2.0/24", "--note", "a\n'b'"]);
    tag(&site, &["interest", "other.example"]);
    let manifest = site.get("/misp/manifest.json");
    assert_eq!(manifest.headers["content-type"], "application/json");
    let said: Value = serde_json::from_str(&manifest.body).unwrap();
    let uuid = said.as_object().unwrap().keys().next().unwrap().clone();
    let event = format!("{uuid}.json");
    for file in ["manifest.json", "hashes.csv", event.as_str()] {
        let reply = site.get(&format!("/misp/{file}"));
        assert_eq!(reply.status, 200, "{file}");
        site.home.write(&format!("feed/{file}"), reply.body);
    }
    let directory = site.home.path().join("feed");
    let said = python_json("exchange.py", &[OsStr::new("misp-feed"), directory.as_os_str()], &[]);
    assert_eq!(said["hashes"], 3);
    let event = &said["events"][&uuid];
    assert_eq!(event["Orgc"]["name"], "SOC");
    assert_eq!(event["Attribute"].as_array().unwrap().len(), 3);
    assert!(!event["Object"].as_array().unwrap().is_empty());
    for path in ["/misp/", "/misp/other.json", "/misp/../metrics", "/misp/manifest.json/x"] {
        assert!([400, 404].contains(&site.get(path).status), "{path}");
    }
}

#[test]
fn the_feed_needs_a_key_and_holds_back_what_is_not_for_others() {
    let home = Home::new();
    let key = run(&mut home.pdns(), &["serve", "user", "add", "misp", "--users", "users.toml"])
        .with(&[0]);
    let site = Site::of(home, &["--users", "HOME/users.toml"]);
    tag(&site, &["threat", "www.example.com"]);
    assert_eq!(site.get("/misp/manifest.json").status, 401);
    let reply = site.get_with("/misp/manifest.json", &[("X-API-Key", key.trim())]);
    // A tag has no TLP, and counts as amber.
    assert_eq!((reply.status, reply.body.trim()), (200, "{}"));
    let reply = site.get_with("/misp/hashes.csv", &[("X-API-Key", key.trim())]);
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
}
