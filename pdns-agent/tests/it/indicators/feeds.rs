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

#[test]
fn a_feed_is_fetched_when_due_and_shrinks_only_when_confirmed() {
    let site = site();
    let body = Arc::new(Mutex::new(String::new()));
    let set = |numbers: std::ops::Range<u32>| {
        let lines: Vec<String> = numbers.map(|at| format!("evil{at}.com")).collect();
        *body.lock().unwrap() = lines.join("\n");
    };
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
    assert!(sources.contains("failed 1 time"), "{sources}");
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
