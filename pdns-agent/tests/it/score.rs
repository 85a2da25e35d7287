//! `pdns score`: evidence from a real store, the ledger that it is weighed in, and where the score is shown.
//!
//! The records are made: their times are counted back from now, which is the time of the scores.

use crate::cli::Site;
use crate::run::run;
use crate::store::options;
use pdns_agent::indicator::ListedIndicator;
use pdns_agent::query::tag_subject;
use pdns_agent::store::{ImportSpec, Store};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const HOUR: u32 = 3_600;
const DAY: u32 = 24 * HOUR;

fn now() -> u32 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u32::try_from(since_1970.as_secs()).unwrap()
}

/// Records in COF: name, type, RDATA, and the age of the first sighting in seconds.
#[derive(Default)]
struct Records(String);

impl Records {
    fn add(&mut self, name: &str, rrtype: &str, rdata: &str, age: u32) {
        let first = now() - age;
        let line = json!({
            "rrname": name, "rrtype": rrtype, "rdata": rdata, "count": 1,
            "time_first": first, "time_last": first,
        });
        writeln!(self.0, "{line}").unwrap();
    }

    fn import(self, site: &Site) {
        let file = site.home.write("records.cof", self.0);
        run(site.agent().args(["cof"]), &[file]).with(&[0]);
    }
}

/// Runs `pdns score` and returns one object for each subject.
fn score(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let said = run(site.pdns().args(["score", "--format", "json"]), arguments).with(&[0]);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn one(site: &Site, subject: &str) -> Value {
    let mut found = score(site, &[subject]);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// The contribution of known evidence; `None` if it is unknown.
#[track_caller]
fn part(score: &Value, name: &str) -> Option<f64> {
    let find = |list: &str| {
        score[list].as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned()
    };
    match (find("evidence"), find("unknown")) {
        (Some(entry), None) => entry["contribution"].as_f64(),
        (None, Some(_)) => None,
        other => panic!("{name}: {other:?} in {score}"),
    }
}

fn value<'s>(score: &'s Value, name: &str) -> &'s str {
    let mut all = score["evidence"].as_array().unwrap().iter();
    all.find(|entry| entry["name"] == name).unwrap()["value"].as_str().unwrap()
}

/// A site whose store begins years ago.
fn site(fill: impl FnOnce(&mut Records)) -> Site {
    let site = Site::new();
    let mut records = Records::default();
    records.add("www.old.example.org", "A", "198.51.100.1", 1_300 * DAY);
    fill(&mut records);
    records.import(&site);
    site
}

#[test]
fn a_ledger_adds_up_and_names_its_sources() {
    let site = site(|records| {
        records.add("news.evil-one.com", "A", "45.61.1.1", HOUR);
        records.add("evil-two.net", "A", "45.61.1.1", 40 * DAY);
    });
    let list = site.home.write("feed.txt", "evil-one.com\n.evil-one.com\n");
    let arguments =
        ["intel", "import", list.to_str().unwrap(), "--source", "a-feed", "--confidence", "90"];
    run(&mut site.pdns(), &arguments).with(&[0]);
    let scored = one(&site, "news.evil-one.com");
    let sum: f64 = ["evidence", "caps"]
        .iter()
        .flat_map(|list| scored[*list].as_array().unwrap())
        .map(|entry| entry["contribution"].as_f64().unwrap())
        .sum();
    let odds = scored["prior"].as_f64().unwrap() + sum;
    assert!((odds - scored["log_odds"].as_f64().unwrap()).abs() < 0.01, "{scored}");
    let percent = (100.0 / (1.0 + (-odds).exp())).round();
    assert!((percent - scored["score"].as_f64().unwrap()).abs() < 1.01, "{scored}");
    assert_eq!(scored["registrable"], "evil-one.com");
    assert!((part(&scored, "feed_threat").unwrap() - 4.05).abs() < 0.01, "{scored}");
    assert!((part(&scored, "age").unwrap() - 1.5).abs() < 1e-9, "{scored}");
    let feed = scored["evidence"].as_array().unwrap();
    let feed = feed.iter().find(|entry| entry["name"] == "feed_threat").unwrap();
    assert_eq!(feed["source"], "a-feed");
    assert!(feed["since"].as_u64().is_some() && feed["weight"] == 4.5, "{feed}");
    for unknown in ["reputation", "top_10k", "dga_set", "nx_ratio", "low_ttl"] {
        assert_eq!(part(&scored, unknown), None, "{unknown}");
    }
    // An analyst's trust silences the feed, and the ledger says so.
    run(&mut site.pdns(), &["tag", "set", "trust", ".evil-one.com"]).with(&[0]);
    let trusted = one(&site, "news.evil-one.com");
    assert_eq!((trusted["score"].as_u64(), &trusted["band"]), (Some(0), &json!("low")));
    assert_eq!(part(&trusted, "feed_threat"), Some(0.0));
    assert!(value(&trusted, "feed_threat").contains("overridden by trust"), "{trusted}");
    // The neighbour shares an address with a threat, once the analyst agrees.
    run(&mut site.pdns(), &["tag", "set", "threat", "news.evil-one.com"]).with(&[0]);
    let neighbour = one(&site, "evil-two.net");
    assert!(part(&neighbour, "shared_ip").unwrap() > 0.3, "{neighbour}");
    assert!(value(&neighbour, "shared_ip").contains("1 of 2 domains on 45.61.1.1"), "{neighbour}");
    let address = one(&site, "45.61.1.1");
    assert!(part(&address, "shared_ip").unwrap() > 0.3, "{address}");
}

#[test]
fn evidence_spreads_one_hop_and_not_through_what_many_share() {
    let site = site(|records| {
        for number in 0..210 {
            records.add(&format!("www.tenant{number}.com"), "A", "45.70.1.1", 50 * DAY);
        }
        for number in 0..20 {
            records.add(&format!("www.few{number}.com"), "A", "45.71.1.1", 50 * DAY);
        }
        // A sinkhole, a parking service and a content network of the lists.
        for (name, address) in
            [("sunk", "195.22.26.195"), ("parked", "91.195.240.12"), ("shown", "104.16.1.1")]
        {
            records.add(&format!("{name}-one.com"), "A", address, 50 * DAY);
            records.add(&format!("{name}-two.com"), "A", address, 50 * DAY);
        }
        // Two hops: few1 is on an address with other.com, which is on another with far.com.
        records.add("other.com", "A", "45.71.1.1", 50 * DAY);
        records.add("other.com", "A", "45.72.1.1", 50 * DAY);
        records.add("far.com", "A", "45.72.1.1", 50 * DAY);
    });
    let threats =
        ["www.tenant1.com", "www.few1.com", "sunk-one.com", "parked-one.com", "shown-one.com"];
    run(site.pdns().args(["tag", "set", "threat"]), &threats).with(&[0]);
    for (name, label) in [
        ("www.tenant2.com", "shared-hosting"),
        ("sunk-two.com", "sinkholed"),
        ("parked-two.com", "parked"),
        ("shown-two.com", "content-network"),
    ] {
        let scored = one(&site, name);
        assert_eq!(part(&scored, "shared_ip"), None, "{scored}");
        assert_eq!(part(&scored, "nearest_threat"), None, "{scored}");
        assert_eq!(scored["labels"], json!([label]), "{scored}");
    }
    assert!(part(&one(&site, "www.few2.com"), "shared_ip").unwrap() > 0.1);
    assert_eq!(part(&one(&site, "far.com"), "shared_ip"), Some(0.0));
    assert!((part(&one(&site, "sunk-two.com"), "sinkholed").unwrap() - 4.0).abs() < 1e-9);
    // The address of a sinkhole does no harm itself.
    let sinkhole = one(&site, "195.22.26.195");
    assert_eq!(part(&sinkhole, "sinkholed"), Some(0.0));
    assert!(sinkhole["score"].as_u64().unwrap() < 5, "{sinkhole}");
}

#[test]
fn verdicts_of_the_judge_are_no_evidence() {
    let site = site(|records| records.add("plain-name.com", "A", "45.61.1.1", 100 * DAY));
    let before = one(&site, "plain-name.com");
    let list = site.home.write("judge.txt", "plain-name.com\n45.61.1.1\n45.61.1.0/24\n");
    // Only the judge itself may use its name.
    let mut store = Store::open(&options(&site.server)).unwrap();
    let mut import = store.indicators().import(ImportSpec::new("pdns-judge", now())).unwrap();
    for subject in ["plain-name.com", "45.61.1.1", "45.61.1.0/24"] {
        let subject = tag_subject(subject, None).unwrap();
        let confidence = Some(100);
        import.add(&ListedIndicator { confidence, ..ListedIndicator::new(subject) }).unwrap();
    }
    import.commit(&mut |_| ()).unwrap();
    assert_eq!(one(&site, "plain-name.com")["score"], before["score"]);
    assert_eq!(one(&site, "plain-name.com")["evidence"], before["evidence"]);
    let import =
        ["intel", "import", list.to_str().unwrap(), "--source", "others", "--confidence", "100"];
    run(&mut site.pdns(), &import).with(&[0]);
    assert!(one(&site, "plain-name.com")["score"].as_u64() > before["score"].as_u64());
}

/// A line of Zeek's log: a question, and its answer or what it failed with.
fn zeek(out: &mut String, second: u32, query: &str, qtype: (u16, &str), answer: Option<&str>) {
    let (rcode, name) = if answer.is_some() { (0, "NOERROR") } else { (3, "NXDOMAIN") };
    let answers = answer.map(|text| format!(r#""answers":[{}],"TTLs":[3.0],"#, json!(text)));
    writeln!(
        out,
        r#"{{"ts":{second}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"{query}","qclass":1,"qclass_name":"C_INTERNET","qtype":{},"qtype_name":"{}","rcode":{rcode},"rcode_name":"{name}","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,{}"rejected":false}}"#,
        qtype.0,
        qtype.1,
        answers.unwrap_or_default(),
    )
    .unwrap();
}

/// Hexadecimal digits that do not repeat.
fn hex(random: &mut fastrand::Rng, count: usize) -> String {
    (0..count).map(|_| char::from(b"0123456789abcdef"[random.usize(..16)])).collect()
}

#[test]
fn tunnels_are_found_and_what_looks_like_one_is_exempt() {
    let site = site(|_| {});
    let (mut log, mut random, start) =
        (String::new(), fastrand::Rng::with_seed(3), now() - 5 * HOUR);
    for at in 0..60 {
        let (long, short) = (hex(&mut random, 60), hex(&mut random, 30));
        // As dnscat2 does it, by TXT and by CNAME; as exfiltration does it, by names alone.
        let text = format!("TXT 120 {}", hex(&mut random, 120));
        zeek(
            &mut log,
            start + at,
            &format!("{long}.{short}.cat-txt.com"),
            (16, "TXT"),
            Some(&text),
        );
        let back = format!("{}.cat-cname.com", hex(&mut random, 60));
        zeek(&mut log, start + at, &format!("{long}.cat-cname.com"), (5, "CNAME"), Some(&back));
        zeek(&mut log, start + at, &format!("{long}.out-names.com"), (1, "A"), None);
        // Reputation by names, block lists, certificates of many hosts, and a web site.
        zeek(
            &mut log,
            start + at,
            &format!("{short}.a.sophosxl.net"),
            (16, "TXT"),
            Some("TXT 1 w"),
        );
        let reversed = format!("{at}.1.168.192.zen.spamhaus.org");
        zeek(&mut log, start + at, &reversed, (1, "A"), Some("127.0.0.2"));
        let acme = format!("_acme-challenge.host{at}.hosting-firm.com");
        zeek(
            &mut log,
            start + at,
            &acme,
            (16, "TXT"),
            Some(&format!("TXT 43 {}", hex(&mut random, 43))),
        );
        for _ in 0..4 {
            let page = format!("page{at}.web-site.com");
            zeek(&mut log, start + at, &page, (1, "A"), Some("45.61.1.9"));
        }
    }
    let file = site.home.write("tunnel/dns.log", log);
    run(site.agent().args(["zeek", "--once", "--sensor", "so-9"]), &[file]).with(&[0]);
    for domain in ["cat-txt.com", "cat-cname.com", "out-names.com"] {
        let scored = one(&site, domain);
        assert!((part(&scored, "tunnel").unwrap() - 3.5).abs() < 1e-9, "{scored}");
        assert!(value(&scored, "tunnel").starts_with("tunnel: "), "{scored}");
    }
    let scored = one(&site, "cat-txt.com");
    assert!(part(&scored, "txt_cues").unwrap() > 0.7, "{scored}");
    assert!((part(&one(&site, "out-names.com"), "nx_ratio").unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(value(&one(&site, "a.sophosxl.net"), "tunnel"), "exempt: antivirus");
    for domain in ["spamhaus.org", "hosting-firm.com", "web-site.com"] {
        assert!(part(&one(&site, domain), "tunnel").unwrap_or(0.0) < 1e-9, "{domain}");
    }
    // The list can be replaced, and a wrong one is refused with its line.
    let list = site.home.write("exempt.txt", "# ours\nlab .cat-txt.com\n");
    let exempt =
        score(&site, &["--exempt", list.to_str().unwrap(), "cat-txt.com", "a.sophosxl.net"]);
    assert_eq!(value(&exempt[0], "tunnel"), "exempt: lab");
    assert!(part(&exempt[1], "tunnel").unwrap() > 1.0, "{}", exempt[1]);
    let list = site.home.write("exempt.txt", "lab\n");
    let ended = run(site.pdns().args(["score", "a.com", "--exempt"]), &[list]);
    assert!(ended.code == Some(2) && ended.stderr.contains("line 1: give a class"), "{ended:?}");
}

#[test]
fn further_evidence() {
    let site = site(|records| {
        records.add("rebound.com", "A", "45.61.1.1", 2 * DAY);
        records.add("rebound.com", "A", "192.168.7.7", 2 * DAY);
        records.add("intranet.com", "A", "10.1.1.1", 2 * DAY);
        records.add("filtered.com", "A", "0.0.0.0", 2 * DAY);
        records.add("paypal-login.com", "A", "45.61.1.2", HOUR);
        records.add("paypal-signin.com", "NS", "ns1.sedoparking.com", HOUR);
        records.add("paypal-signin.com", "A", "45.61.1.3", HOUR);
        records.add("joe.mooo.com", "A", "45.61.1.4", 400 * DAY);
        records.add("joe.000webhostapp.com", "A", "45.61.1.4", 400 * DAY);
        records.add("joe.top", "A", "45.61.1.4", 1_200 * DAY);
        for number in 0..20 {
            records.add("flux-some.com", "A", &format!("45.{number}.7.1"), 3 * DAY);
        }
        for number in 0..120 {
            records.add("flux-much.com", "A", &format!("45.{number}.7.2"), 3 * DAY);
            records.add("flux-old.com", "A", &format!("45.{number}.7.3"), 500 * DAY);
        }
        for label in ["kdjfhgqwz", "qpzmvwktx", "ljxwkqzrb", "vbnqxzrtk", "wqzxkjhgf", "zxqwvbnmk"]
        {
            records.add(&format!("{label}.net"), "A", "45.88.1.1", 2 * HOUR);
        }
    });
    let near = |name: &str, kind: &str, want: f64| {
        let scored = one(&site, name);
        let part = part(&scored, kind).unwrap_or_else(|| panic!("{kind} is unknown: {scored}"));
        assert!((part - want).abs() < 0.006, "{name} {kind}: {part}, not {want}");
    };
    near("rebound.com", "rebinding", 1.5);
    near("intranet.com", "rebinding", 0.45);
    near("filtered.com", "rebinding", 0.75);
    near("paypal-login.com", "squat", 3.0 * 0.91);
    near("paypal-signin.com", "squat", 3.0 * 0.6);
    near("paypal-signin.com", "parked", -0.5);
    near("joe.mooo.com", "dynamic_dns", 0.7);
    near("joe.000webhostapp.com", "free_hosting", 0.4);
    near("joe.top", "abused_tld", 0.4);
    near("joe.mooo.com", "age", -0.75);
    near("joe.top", "age", -1.5);
    // On the first day of the store all names are new to it, so that nothing is known of their age, however long ago it was.
    assert_eq!(part(&one(&site, "www.old.example.org"), "age"), None);
    near("flux-much.com", "fast_flux", 2.5);
    near("flux-old.com", "fast_flux", 0.0);
    near("rebound.com", "fast_flux", 0.0);
    let unclear = one(&site, "flux-some.com");
    assert_eq!(part(&unclear, "fast_flux"), None, "{unclear}");
    assert!(unclear.to_string().contains("autonomous systems are not known"), "{unclear}");
    near("kdjfhgqwz.net", "dga_set", 3.0);
    let set = one(&site, "kdjfhgqwz.net");
    assert_eq!(set["caps"][0]["group"], "lexical", "{set}");
    assert!(set["score"].as_u64().unwrap() >= 60, "{set}");
    // Never seen: what the name alone says, and the rest is unknown.
    let unseen = one(&site, "never-seen-here.com");
    assert_eq!((part(&unseen, "age"), part(&unseen, "shared_ip")), (None, None));
    assert_eq!((&unseen["rows_read"], &unseen["time_first"]), (&json!(0), &Value::Null));
}

#[test]
fn weights_are_read_from_a_file_and_a_wrong_one_is_refused() {
    let site = site(|records| records.add("paypal-login.com", "A", "45.61.1.2", HOUR));
    let file =
        site.home.write("weights.toml", "prior = 0.5\n[weights]\nsquat = 0\nage = 2\ndga = 0\n");
    let scored = score(&site, &["--weights", file.to_str().unwrap(), "paypal-login.com"]);
    assert_eq!((scored[0]["score"].as_u64(), &scored[0]["prior"]), (Some(88), &json!(0.0)));
    for (text, line) in [
        ("prior = 0.5\n[weights]\nsqat = 1\n", "line 3: unknown evidence"),
        ("[weights]\nage = 1e300\n", "line 2: age must be"),
        ("[weights\n", "line 1: "),
        ("[caps]\nlexical = 'x'\n", "line 2: invalid type"),
    ] {
        let file = site.home.write("weights.toml", text);
        let ended = run(site.pdns().args(["score", "a.com", "--weights"]), &[file]);
        assert!(ended.code == Some(2) && ended.stderr.contains(line), "{text:?}: {ended:?}");
        assert!(ended.stderr.contains("weights.toml") && ended.stdout.is_empty(), "{ended:?}");
    }
}

#[test]
fn what_is_new_is_ranked() {
    let site = site(|records| {
        for number in 0..30 {
            records.add(&format!("www.flower-shop{number}.com"), "A", "45.61.9.1", 2 * HOUR);
        }
        records.add("paypal-login.com", "A", "45.61.1.2", HOUR);
        records.add("www.known-bad.net", "A", "45.61.1.3", HOUR);
        records.add("kdjfhgqwzxv.org", "A", "45.61.1.5", HOUR);
        records.add("old-bad.net", "A", "45.61.1.4", 9 * DAY);
        // A flood below one domain, each name as bad as the first.
        for number in 0..300 {
            records.add(&format!("h{number}.zxqwvbnmkpt.org"), "A", "45.61.1.6", 3 * HOUR);
        }
    });
    run(&mut site.pdns(), &["tag", "set", "threat", ".known-bad.net", "old-bad.net"]).with(&[0]);
    let ranked = |arguments: &[&str]| -> Vec<String> {
        let scores = score(&site, &[&["--new"], arguments].concat());
        let order: Vec<i64> = scores.iter().map(|one| one["score"].as_i64().unwrap()).collect();
        assert!(order.is_sorted_by(|one, other| one >= other), "{order:?}");
        scores.iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect()
    };
    let day = ranked(&[]);
    assert_eq!(day.len(), 36, "{day:?}");
    let flood = day.iter().filter(|name| name.ends_with("zxqwvbnmkpt.org")).count();
    assert_eq!(flood, 3, "{day:?}");
    assert_eq!(day[0], "www.known-bad.net");
    for name in ["paypal-login.com", "kdjfhgqwzxv.org"] {
        assert!(day[1..6].contains(&name.to_owned()), "{day:?}");
    }
    let week = ranked(&["--since", "10d", "--limit", "2"]);
    assert!(week.len() == 2 && week.contains(&"old-bad.net".to_owned()), "{week:?}");
    let domains = ranked(&["--by", "domains", "--limit", "1"]);
    assert_eq!(domains, ["known-bad.net"]);
    assert_eq!(ranked(&["--min-score", "85"]), ["www.known-bad.net"]);
    let ended = run(&mut site.pdns(), &["score", "--new", "--since", "1d", "--min-score", "100"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("333 new names"), "{ended:?}");
    run(&mut site.pdns(), &["score", "--new", "a.com"]).with(&[2]);
    run(&mut site.pdns(), &["score", "--since", "1d", "a.com"]).with(&[2]);
}

#[test]
fn a_flood_of_generated_names_hides_neither_an_imitation_nor_a_listed_name() {
    let site = site(|records| {
        // Labels without vowels, from a generator of 64-bit numbers (Knuth's MMIX).
        let mut state = 1_u64;
        for _ in 0..3_000 {
            let label: String = (0..14)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from(b"bcdfghjklmnpqrstvwxz0123456789"[(state >> 33) as usize % 30])
                })
                .collect();
            records.add(&format!("{label}.com"), "A", "45.61.1.6", HOUR);
        }
        records.add("paypa1-login.com", "A", "45.61.1.2", HOUR);
        records.add("plain-but-listed.net", "A", "45.61.1.3", HOUR);
    });
    run(&mut site.pdns(), &["tag", "set", "threat", "plain-but-listed.net"]).with(&[0]);
    let scores = score(&site, &["--new", "--limit", "20"]);
    let names: Vec<&str> = scores.iter().map(|one| one["subject"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 20, "{names:?}");
    for name in ["paypa1-login.com", "plain-but-listed.net"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[test]
fn input_is_read_line_by_line_and_ranges_have_no_score() {
    let site = site(|_| {});
    let ended = run(&mut site.pdns(), &["score", "192.0.2.0/24"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("has no score"), "{ended:?}");
    let ended = run(&mut site.pdns(), &["score", "*.example.com", "--format", "json"]);
    assert!(ended.code == Some(0) && ended.stderr.contains("is scored as example.com alone"));
    let lines = "www.example.com\n# not this\n\n192.0.2.0/24\nhxxp://evil[.]example/x\n192.0.2.7\n";
    let ended = run(
        site.shell().arg("-c").arg(format!("printf '%s' '{lines}' | \"$0\" score -")),
        &[env!("CARGO_BIN_EXE_pdns")],
    );
    let subjects: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["subject"].clone())
        .collect();
    assert_eq!(subjects, ["www.example.com", "evil.example", "192.0.2.7"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("line 4 skipped"), "{ended:?}");
}

#[test]
fn the_score_is_shown_beside_what_is_known() {
    let site = site(|records| records.add("paypal-login.com", "A", "45.61.1.2", HOUR));
    let whole = one(&site, "paypal-login.com");
    // That an imitation does not look generated is nothing in its favour.
    assert_eq!(part(&whole, "dga"), Some(0.0), "{whole}");
    assert!(part(&one(&site, "flower-shop.com"), "dga").unwrap() < 0.0);
    let shown = run(&mut site.pdns(), &["show", "paypal-login.com", "--format", "json"]).with(&[0]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["score"]["score"], whole["score"]);
    assert_eq!(shown["score"]["unknown"], whole["unknown"]);
    let table =
        run(&mut site.pdns(), &["show", "paypal-login.com", "--format", "table"]).with(&[0]);
    assert!(
        table.contains("\nScore ") && table.contains("squat") && table.contains("Unknown: "),
        "{table}"
    );
    let range = run(&mut site.pdns(), &["show", "192.0.2.0/24", "--format", "json"]).with(&[0]);
    assert!(!range.contains("\"score\""), "{range}");
    for (arguments, field) in [
        (&["paypal-login.com", "--score"][..], "pdns_score"),
        (&["paypal-login.com", "--score", "--format", "json"], "score"),
        (&["find", "--starts", "paypal-login", "--score"], "pdns_score"),
        (&["find", "--starts", "paypal-login", "--score", "--tag", "none"], "pdns_score"),
    ] {
        let rows = run(&mut site.pdns(), arguments).with(&[0]);
        let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
        assert_eq!(row[field], whole["score"], "{rows}");
    }
    let csv = run(&mut site.pdns(), &["paypal-login.com", "--score", "--format", "csv"]).with(&[0]);
    assert!(csv.lines().next().unwrap().ends_with(",score"), "{csv}");
    let plain = run(&mut site.pdns(), &["paypal-login.com"]).with(&[0]);
    assert!(!plain.contains("score"), "{plain}");
}
