//! Feeds: fetched from a real server when they are due, and what happens when they fail.

use super::{intel, site};
use crate::cli::Site;
use crate::web::{WebServer, reply};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn settings(site: &Site, text: &str) -> PathBuf {
    site.home.write("feeds.toml", text)
}

fn refresh(site: &Site, feeds: &Path, more: &[&str], codes: &[i32]) -> String {
    let arguments = [&["refresh", "--feeds", feeds.to_str().unwrap()], more].concat();
    intel(site, &arguments, codes).1
}

/// A list of names, one a line, by their numbers.
fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|at| format!("evil{at}.com")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_feed_is_fetched_when_due_and_shrinks_only_when_confirmed() {
    let site = site();
    let body = Arc::new(Mutex::new(String::new()));
    let set = |numbers| *body.lock().unwrap() = lines(numbers);
    set(0..40);
    let served = Arc::clone(&body);
    let server = WebServer::start(move |_, _, out| {
        let body = served.lock().unwrap().clone();
        reply(out, 200, &["Content-Type: text/plain"], body.as_bytes());
    });
    let feeds = settings(
        &site,
        &format!(
            "[feed.test]\nurl = \"{}\"\nallow_private = true\nconfidence = 70\ninterval = \"1h\"\n\n[feed.dead]\nurl = \"http://127.0.0.1:1/x\"\nallow_private = true\n",
            server.url("/list.txt")
        ),
    );
    let said = refresh(&site, &feeds, &["test"], &[0]);
    assert!(said.contains("40 indicators from test: 40 added"), "{said}");
    // Only the other is due, and it fails.
    let said = refresh(&site, &feeds, &[], &[2]);
    assert!(said.contains("dead: ") && !said.contains("test: "), "{said}");
    let (sources, _) = intel(&site, &["sources"], &[0]);
    assert!(sources.contains("failed: "), "{sources}");
    set(0..10);
    let said = refresh(&site, &feeds, &["test"], &[1]);
    assert!(said.contains("nothing ends"), "{said}");
    intel(&site, &["show", "evil30.com"], &[0]);
    let said = refresh(&site, &feeds, &["test", "--confirm"], &[0]);
    assert!(said.contains("30 ended"), "{said}");
    intel(&site, &["show", "evil30.com"], &[1]);
    // Without permission, a loopback address is not connected to.
    let feeds = settings(&site, &format!("[feed.test]\nurl = \"{}\"\n", server.url("/list.txt")));
    let before = server.requests().len();
    let said = refresh(&site, &feeds, &["test"], &[2]);
    assert!(said.contains("test: ") && server.requests().len() == before, "{said}");
    intel(&site, &["show", "evil5.com"], &[0]);
    refresh(&site, &feeds, &["unknown"], &[2]);
}

#[test]
fn a_feed_that_lists_others_instead_has_shrunk_though_it_is_as_long() {
    let site = site();
    let list = site.home.write("list.txt", lines(0..40));
    let feeds = settings(&site, &format!("[feed.test]\nfile = \"{}\"\n", list.display()));
    refresh(&site, &feeds, &["test"], &[0]);
    site.home.write("list.txt", lines(21..61));
    let said = refresh(&site, &feeds, &["test"], &[1]);
    assert!(said.contains("it lists 19 of the 40 that it listed, so nothing ends"), "{said}");
    intel(&site, &["show", "evil0.com"], &[0]);
    intel(&site, &["show", "evil60.com"], &[0]);
    let said = refresh(&site, &feeds, &["test", "--confirm"], &[0]);
    assert!(said.contains("21 ended"), "{said}");
}

#[test]
fn what_waits_for_a_confirmation_can_be_confirmed_though_nothing_changed_since() {
    let site = site();
    let list = site.home.write("list.txt", lines(0..40));
    let feeds = settings(&site, &format!("[feed.test]\nfile = \"{}\"\n", list.display()));
    refresh(&site, &feeds, &["test"], &[0]);
    site.home.write("list.txt", lines(0..10));
    let said = refresh(&site, &feeds, &["test"], &[1]);
    assert!(said.contains("nothing ends"), "{said}");
    let said = refresh(&site, &feeds, &["test", "--confirm"], &[0]);
    assert!(said.contains("30 ended"), "{said}");
    assert!(refresh(&site, &feeds, &["test"], &[0]).contains("unchanged"));
}

#[test]
fn a_list_that_has_not_changed_is_read_again_when_something_else_has() {
    let site = site();
    let list = site.home.write("list.txt", "evil1.com\nevil2.com\n");
    let write = |more: &str| {
        settings(&site, &format!("[feed.test]\nfile = \"{}\"\n{more}", list.display()))
    };
    let feeds = write("");
    refresh(&site, &feeds, &["test"], &[0]);
    assert!(refresh(&site, &feeds, &["test"], &[0]).contains("unchanged"));
    // Its settings.
    let feeds = write("confidence = 90\nkind = \"interest\"\n");
    let said = refresh(&site, &feeds, &["test"], &[0]);
    assert!(said.contains("2 indicators from test: 0 added, 2 changed"), "{said}");
    assert!(intel(&site, &["show", "evil1.com"], &[0]).0.contains("interest"));
    // What is never a threat.
    let feeds = write("");
    let never = site.home.write("never.txt", "evil2.com\n");
    refresh(&site, &feeds, &["test"], &[0]);
    let said = refresh(&site, &feeds, &["test", "--never", never.to_str().unwrap()], &[1]);
    assert!(said.contains("not accepted") && said.contains("1 ended"), "{said}");
    assert!(refresh(&site, &feeds, &["test"], &[0]).contains("1 added"));
    // An import by hand.
    let other = site.home.write("other.txt", "evil3.com\n");
    intel(&site, &["import", "--source", "test", other.to_str().unwrap()], &[0]);
    let said = refresh(&site, &feeds, &["test"], &[0]);
    assert!(said.contains("2 added") && said.contains("1 ended"), "{said}");
    assert!(refresh(&site, &feeds, &["test"], &[0]).contains("unchanged"));
}

#[test]
fn what_a_misp_source_deletes_ends() {
    let site = site();
    let manifest = Arc::new(Mutex::new(2));
    let served = Arc::clone(&manifest);
    let uuid = |at: usize| format!("00000000-0000-4000-8000-00000000000{at}");
    let server = WebServer::start(move |request, _, out| {
        let json = ["Content-Type: application/json"];
        let count = *served.lock().unwrap();
        if request.path.ends_with("/manifest.json") {
            let entries: Vec<String> = (0..count)
                .map(|at| format!("\"{}\":{{\"timestamp\":\"100\"}}", uuid(at)))
                .collect();
            return reply(out, 200, &json, format!("{{{}}}", entries.join(",")).as_bytes());
        }
        // Both events have one name in common.
        let own = if request.path.contains(&uuid(0)) { "a" } else { "b" };
        let attribute =
            |value: &str| format!("{{\"type\":\"domain\",\"to_ids\":true,\"value\":\"{value}\"}}");
        let body = format!(
            "{{\"Event\":{{\"Attribute\":[{},{}]}}}}",
            attribute("shared-evil.com"),
            attribute(&format!("evil-{own}.com"))
        );
        reply(out, 200, &json, body.as_bytes());
    });
    let feeds = settings(
        &site,
        &format!(
            "[feed.misp]\ntype = \"misp-feed\"\nurl = \"{}\"\nallow_private = true\n",
            server.url("/feed")
        ),
    );
    refresh(&site, &feeds, &["misp"], &[0]);
    intel(&site, &["show", "evil-b.com"], &[0]);
    *manifest.lock().unwrap() = 1;
    let said = refresh(&site, &feeds, &["misp"], &[0]);
    assert!(said.contains("1 ended"), "{said}");
    intel(&site, &["show", "evil-b.com"], &[1]);
    intel(&site, &["show", "shared-evil.com"], &[0]);
    // A deleted attribute ends, unless another one has the same value.
    let event = |deleted: &str| {
        format!(
            "{{\"Event\":{{\"Attribute\":[{deleted},{{\"type\":\"domain\",\"to_ids\":true,\"value\":\"evil-c.com\"}}]}}}}"
        )
    };
    let deleted = |value: &str| {
        format!("{{\"type\":\"domain\",\"to_ids\":true,\"deleted\":true,\"value\":\"{value}\"}}")
    };
    let both = event(&deleted("evil-c.com"));
    let file = site.home.write("event.json", &both);
    let arguments = ["import", file.to_str().unwrap(), "--source", "misp", "--add"];
    intel(&site, &arguments, &[0]);
    intel(&site, &["show", "evil-c.com"], &[0]);
    site.home.write("event.json", event(&deleted("evil-a.com")));
    intel(&site, &arguments, &[0]);
    intel(&site, &["show", "evil-a.com"], &[1]);
    intel(&site, &["show", "evil-c.com"], &[0]);
}

#[test]
fn a_source_of_which_nothing_was_stored_is_none() {
    let site = site();
    let file = site.home.write("junk.txt", ".com\n10.0.0.1\n");
    let (_, said) = intel(&site, &["import", file.to_str().unwrap(), "--source", "typo"], &[2]);
    assert!(said.contains("public suffixes: .com"), "{said}");
    let (sources, _) = intel(&site, &["sources"], &[1]);
    assert!(!sources.contains("typo"), "{sources}");
    // Nothing blocks the next attempt, and a failed one later takes nothing away.
    site.home.write("junk.txt", "evil-one.com\n");
    intel(&site, &["import", file.to_str().unwrap(), "--source", "typo"], &[0]);
    site.home.write("junk.txt", ".com\n");
    intel(&site, &["import", file.to_str().unwrap(), "--source", "typo"], &[2]);
    let (sources, _) = intel(&site, &["sources"], &[0]);
    assert!(sources.contains("\"indicators\":1"), "{sources}");
    // A feed stays, since it is tried again, but has no numbers.
    let feeds =
        settings(&site, "[feed.dead]\nurl = \"http://127.0.0.1:1/x\"\nallow_private = true\n");
    refresh(&site, &feeds, &[], &[2]);
    let (sources, _) = intel(&site, &["sources"], &[0]);
    let dead = sources.lines().find(|line| line.contains("dead")).unwrap();
    assert!(dead.contains("failed: cannot connect") && !dead.contains("indicators"), "{dead}");
}
