//! `pdns judge`: events, verdicts, the lease, and patience, with a real store, a real web hook and a real socket of the
//! system log.

mod ecs;
mod following;
mod ledger;
mod monitored;
mod sinks;

use crate::cli::Site;
use crate::redis::until;
use crate::run::{Ended, Home, run};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that no person chose, one of many.
fn generated(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    let mut label = String::new();
    for _ in 0..16 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        label.push(char::from(b"bcdfghjklmnpqrstvwxz0123456789"[(state >> 33) as usize % 30]));
    }
    label
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// One answer of a log; no address is NXDOMAIN.
fn line(log: &mut String, second: u64, name: &str, address: Option<&str>) {
    let (code, word) = if address.is_some() { (0, "NOERROR") } else { (3, "NXDOMAIN") };
    let answers =
        address.map_or(String::new(), |one| format!(r#""answers":["{one}"],"TTLs":[60.0],"#));
    writeln!(
        log,
        r#"{{"ts":{second}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"{name}","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":{code},"rcode_name":"{word}","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,{answers}"rejected":false}}"#
    )
    .unwrap();
}

/// Feeds a log.
fn feed(site: &Site, name: &str, log: &str) {
    let path = site.home.write(&format!("fed/{name}/dns.log"), log);
    // Some of these tests need more names of one domain than are kept of a flood.
    let words = ["zeek", "--once", "--sensor", "so-1", "--new-names", "0"];
    run(site.agent().args(words), &[path]).with(&[0]);
}

/// Feeds names with an address each.
fn feed_names(site: &Site, file: &str, names: &[&str]) {
    let mut log = String::new();
    for (number, name) in names.iter().enumerate() {
        line(
            &mut log,
            now() - 60,
            name,
            Some(&format!("45.9.{}.{}", number / 250, number % 250 + 1)),
        );
    }
    feed(site, file, &log);
}

/// Writes the section of the settings file.
fn set(home: &Home, text: &str) {
    home.write(".config/pdns/pdns.toml", text);
}

/// Judges once.
fn once(site: &Site, arguments: &[&str]) -> Ended {
    run(site.pdns().args(["judge", "--once"]), arguments)
}

/// Events of a text of lines.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The names of the alerts, with their rules, sorted.
fn alerts(events: &[Value]) -> Vec<(String, String)> {
    let is_alert = |event: &&Value| event["event"]["dataset"] == "pdns.verdict";
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut alerts: Vec<(String, String)> = events
        .iter()
        .filter(is_alert)
        .map(|event| (text(&event["dns"]["question"]["name"]), text(&event["rule"]["name"])))
        .collect();
    alerts.sort();
    alerts
}

/// A judge that follows; killed at the end of the test.
struct Running {
    child: Child,
    said: PathBuf,
}

impl Running {
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let said = site
            .home
            .path()
            .join(format!("said-{}", fs::read_dir(site.home.path()).unwrap().count()));
        let mut command: Command = site.pdns();
        let child = command
            .arg("judge")
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        Self { child, said }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// Waits until another one cannot have the lease.
    fn wait_for_lease(&self, site: &Site) {
        until("the judge has the lease", || {
            let lease: Option<String> = ::redis::cmd("HGET")
                .arg(&["pd:{tags}j", "l"])
                .query(&mut site.server.connection())
                .unwrap();
            lease.is_some_and(|lease| lease.contains(&format!("process {} ", self.child.id())))
        });
    }

    /// Kills it, and takes its lease away, so that the next one need not wait for the end of the lease.
    fn kill9(mut self, site: &Site) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        site.server.call(&["HDEL", "pd:{tags}j", "l"]);
    }

    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, self.said())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn new_names_become_events_and_verdicts_that_silence_nothing() {
    let site = Site::new();
    let first = once(&site, &[]);
    assert!(first.stderr.contains("the first start on this store"), "{}", first.stderr);
    assert_eq!((first.code, first.stdout.as_str()), (Some(0), ""));
    run(&mut site.pdns(), &["tag", "set", "threat", ".bad.example"]).with(&[0]);
    run(&mut site.pdns(), &["tag", "set", "trust", ".paypa1.org"]).with(&[0]);
    let feed_file = site.home.write("feed.txt", "45.9.0.5\n");
    run(site.pdns().args(["intel", "import", "--source", "feed"]), &[feed_file]).with(&[0]);
    let odd = format!("{}.com", generated(1));
    feed_names(
        &site,
        "1",
        &["login.paypa1.com", &odd, "www.bad.example", "paypa1.org", "harmless.org"],
    );
    let found = events(&once(&site, &[]).with(&[0]));
    let rule = |name: &str, rule: &str| (name.to_owned(), format!("pdns-judge {rule}"));
    let mut wanted = [
        rule(&odd, "generated"),
        // Its address is on a feed.
        rule("harmless.org", "hit"),
        rule("login.paypa1.com", "mimic"),
        rule("www.bad.example", "hit"),
    ];
    wanted.sort();
    assert_eq!(alerts(&found), wanted);
    assert_eq!(found.len(), 5 + 4, "each name is new");
    // Nothing is judged twice.
    assert_eq!(once(&site, &[]).with(&[0]), "");
    // The verdicts are indicators of the judge, of kind interest.
    let shown =
        run(&mut site.pdns(), &["intel", "show", "paypa1.com", "--format", "json"]).with(&[0]);
    for part in [
        "\"source\":\"pdns-judge\"",
        "\"kind\":\"interest\"",
        // Likeness, age, TTL, and an address of the feed in the same /24.
        "\"confidence\":68",
        "\"model:",
        "\"mimic\"",
        "valid_until",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // They do not weigh against a feed's or an analyst's word.
    run(&mut site.pdns(), &["tag", "set", "trust", &format!(".{odd}")]).with(&[0]);
    let shown = run(&mut site.pdns(), &["find", "--contains", &odd, "--format", "cof"]).with(&[0]);
    assert!(
        shown.contains("\"pdns_rrname_tags\":[\"trust\",\"interest\"]") || shown.contains("trust"),
        "{shown}"
    );
    assert!(!shown.contains("threat"), "{shown}");
    let threats =
        run(&mut site.pdns(), &["find", "--tag", "threat", "--format", "plain"]).with(&[0]);
    assert!(!threats.contains("paypa1") && !threats.contains(&odd), "{threats}");
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
    // Its source is its own.
    let feed_file = site.home.path().join("feed.txt");
    let refused =
        run(site.pdns().args(["intel", "import", "--source", "pdns-judge"]), &[feed_file]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("give another --source"), "{}", refused.stderr);
}

#[test]
fn an_imitation_that_shares_the_owners_address_is_none() {
    let site = Site::new();
    once(&site, &[]).with(&[0]);
    let mut log = String::new();
    line(&mut log, now() - 60, "www.paypal.com", Some("45.9.0.1"));
    line(&mut log, now() - 60, "www.paypa1.com", Some("45.9.0.1"));
    line(&mut log, now() - 60, "www.paypall.com", Some("45.9.0.2"));
    feed(&site, "1", &log);
    let found = events(&once(&site, &[]).with(&[0]));
    assert_eq!(alerts(&found), [("www.paypall.com".to_owned(), "pdns-judge mimic".to_owned())]);
}

#[test]
fn sets_are_judged_together() {
    let site = Site::new();
    once(&site, &[]).with(&[0]);
    let mut log = String::new();
    let suffixes = ["com", "net", "org", "biz"];
    for (number, suffix) in (0..6).zip(suffixes.iter().cycle()) {
        let name = format!("{}.{suffix}", generated(number));
        line(&mut log, now() - 60, &name, Some("45.9.0.1"));
    }
    // The burst must not lie on both sides of a border.
    let second = now() / 600 * 600 - 300;
    for (number, suffix) in (100..140).zip(suffixes.iter().cycle()) {
        let name = format!("{}.{suffix}", generated(number));
        line(&mut log, second, &name, None);
    }
    feed(&site, "1", &log);
    let found = events(&once(&site, &["--first-seen", "none"]).with(&[0]));
    let sets: Vec<&Value> =
        found.iter().filter(|event| event["rule"]["name"] == "pdns-judge generated-set").collect();
    assert_eq!(sets.len(), 2, "{found:#?}");
    let on_address = sets
        .iter()
        .find(|event| event["message"].as_str().unwrap().contains("new on 45.9.0.1"))
        .unwrap();
    assert!(on_address["related"]["hosts"].as_array().unwrap().len() >= 5);
    assert_eq!(on_address["related"]["ip"], serde_json::json!(["45.9.0.1"]));
    let burst = sets
        .iter()
        .find(|event| event["message"].as_str().unwrap().contains("that failed"))
        .unwrap();
    assert_eq!(burst["event"]["risk_score"], 71);
    assert!(burst["dns"]["answers"].is_null());
}

#[test]
fn a_flood_of_generated_names_does_not_hide_one_squat() {
    let site = Site::new();
    once(&site, &[]).with(&[0]);
    let mut log = String::new();
    for number in 0..10_000_u64 {
        let address = format!("45.{}.{}.1", 10 + number / 250, number % 250);
        line(&mut log, now() - 60, &format!("{}.com", generated(number)), Some(&address));
        if number == 5_000 {
            line(&mut log, now() - 60, "paypa1.com", Some("45.9.0.1"));
        }
    }
    feed(&site, "flood", &log);
    let ended = once(&site, &["--first-seen", "none"]);
    let said = ended.stderr.clone();
    let found = alerts(&events(&ended.with(&[0])));
    assert!(found.contains(&("paypa1.com".to_owned(), "pdns-judge mimic".to_owned())));
    assert!((5..=50).contains(&found.len()), "{}", found.len());
    // What is not raised is counted.
    let status = run(&mut site.pdns(), &["judge", "--status"]).with(&[0]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let counters = &status["counters"];
    let of = |name: &str| counters[name].as_u64().unwrap();
    assert_eq!(of("alerts"), found.len() as u64);
    assert!(of("not_raised") > 9_000 && of("not_raised") + of("alerts") <= 10_001, "{counters}");
    assert!(said.contains(&format!("{} not raised", of("not_raised"))), "{said}");
    // A third of 5,000 a day is reserved for each other class.
    let kept = of("kept");
    assert!((1_668..=1_668 + found.len() as u64).contains(&kept), "{kept}");
    let shown = run(&mut site.pdns(), &["intel", "show", "paypa1.com"]).with(&[0]);
    assert!(shown.contains("pdns-judge"), "what is raised is kept: {shown}");
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn what_a_store_has_is_judged_on_demand() {
    let site = Site::new();
    let odd = format!("{}.net", generated(7));
    feed_names(
        &site,
        "1",
        &["a.b.example.org", "www.paypa1.com", &odd, "login.paypal.com.host17.top", "x.host17.top"],
    );
    let ended = once(&site, &["--all"]);
    assert!(ended.stderr.contains(" of 7 domains: 3 alerts"), "{}", ended.stderr);
    let found = events(&ended.with(&[0]));
    let names: Vec<String> = alerts(&found).into_iter().map(|(name, _)| name).collect();
    let mut wanted = [odd.as_str(), "login.paypal.com.host17.top", "www.paypa1.com"];
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert!(
        found.iter().all(|event| event["event"]["kind"] == "alert"),
        "what is there is not new"
    );
    assert_eq!(once(&site, &[]).with(&[0]), "");
    // Again, it raises nothing that was raised.
    assert_eq!(once(&site, &["--all"]).with(&[0]), "");
}
