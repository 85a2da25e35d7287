//! A flood of names below one domain: so many are kept, and the answers of all others are added up below it.

use crate::agent::Agent;
use crate::cli::Site;
use crate::logs::seed;
use crate::run::run;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Midnight in UTC.
const DAY: u32 = 1_700_006_400;

/// Lines of a dns.log.
#[derive(Default)]
struct Log(String);

impl Log {
    /// An answer with a TXT record, or NXDOMAIN to a question for A.
    fn line(&mut self, time: u32, name: &str, exists: bool) {
        let (qtype, rcode, answers) =
            if exists { (16, 0, r#","answers":["TXT 1 x"],"TTLs":[60.0]"#) } else { (1, 3, "") };
        writeln!(
            self.0,
            r#"{{"ts":{time}.5,"id.orig_h":"10.0.0.1","id.resp_p":53,"query":"{name}","qtype":{qtype},"rcode":{rcode},"RD":true,"RA":true{answers}}}"#
        )
        .unwrap();
    }
}

fn import(site: &Site, name: &str, log: &Log, words: &[&str]) {
    let file = site.home.write(name, &log.0);
    let mut agent = site.agent();
    run(agent.args(["zeek", "--once"]).args(words), &[file]).with(&[0]);
}

fn ask(site: &Site, words: &[&str]) -> Vec<Value> {
    let mut command = site.pdns();
    let said = run(command.args(words), &["--format", "json"]).with(&[0, 1]);
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All rows at or below a domain.
fn all_below(site: &Site, domain: &str) -> Vec<Value> {
    ask(site, &[&format!(".{domain}"), "--negative", "--limit", "0"])
}

fn is_sum(row: &Value) -> bool {
    row.get("names_not_kept").is_some()
}

/// Counts by type, over names that are kept and names that are not.
fn counts(rows: &[Value]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row["rrtype"].as_str().unwrap()).or_default() +=
            row["count"].as_u64().unwrap();
    }
    counts
}

fn kept(rows: &[Value]) -> BTreeSet<&str> {
    let names = rows.iter().filter(|row| !is_sum(row)).map(|row| row["rrname"].as_str().unwrap());
    names.collect()
}

#[test]
fn names_beyond_the_bound_are_added_up_below_their_domain() {
    let site = Site::new();
    let mut log = Log::default();
    for number in 0..1_000 {
        log.line(DAY + number, &format!("t{number}.tunnel.example"), true);
        log.line(DAY + number, &format!("t{number}.tunnel.example"), true);
        if number % 2 == 0 {
            log.line(DAY + 2_000 + number, &format!("gone{number}.tunnel.example"), false);
        }
        if number < 90 {
            log.line(DAY + number, &format!("host{number}.quiet.example"), true);
            log.line(DAY + number, &format!("{number}.2.0.192.in-addr.arpa"), false);
        }
        log.line(DAY + number, &format!("x.d{number}.example"), true);
    }
    import(&site, "first.log", &log, &["--sensor", "so-1", "--new-names", "100"]);
    let rows = all_below(&site, "tunnel.example");
    assert_eq!(kept(&rows).len(), 100);
    assert_eq!(counts(&rows), [("A", 500), ("TXT", 2_000)].into());
    let sums: Vec<&Value> = rows.iter().filter(|row| is_sum(row)).collect();
    assert_eq!(sums.len(), 2);
    let names = |sum: &Value| sum["names_not_kept"].as_u64().unwrap();
    let not_kept: u64 = sums.iter().map(|sum| names(sum)).sum();
    assert!((1_358..=1_442).contains(&not_kept), "{not_kept} instead of 1,400");
    for sum in &sums {
        assert_eq!(sum["rrname"], "*.tunnel.example");
        assert!(sum.get("rdata").is_none());
        let sample = sum["names_not_kept_sample"].as_array().unwrap();
        let sample: BTreeSet<&str> = sample.iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(sample.len(), 16);
        assert!(sample.is_disjoint(&kept(&rows)));
        assert!(sample.iter().all(|name| name.ends_with(".tunnel.example")));
    }
    let text = sums.iter().find(|sum| sum["rrtype"] == "TXT").unwrap();
    assert_eq!((&text["ttl_min"], &text["sensors"]), (&60.into(), &json!(["so-1"])));

    // The domain itself, the wildcard, and names that may be among those not kept have the sum in their answers; a name
    // that is kept has not.
    let gone = sums[0]["names_not_kept_sample"][0].as_str().unwrap();
    let records: Vec<Value> =
        rows.iter().filter(|row| row.get("outcome").is_none()).cloned().collect();
    let there = *kept(&records).first().unwrap();
    for (name, is_shown) in
        [("tunnel.example", true), ("*.tunnel.example", true), (gone, true), (there, false)]
    {
        let answer = ask(&site, &[name]);
        assert_eq!(answer.iter().any(is_sum), is_shown, "{name}");
    }
    let text = run(&mut site.pdns(), &["tunnel.example", "--format", "table"]).with(&[0]);
    assert!(text.contains("names not kept)"), "{text}");
    // Written as the names below the domain, and not as a name with a star.
    assert!(text.contains("\n*.tunnel.example ") && !text.contains('\\'), "{text}");
    let found = ask(&site, &["find", "--contains", "tunnel", "--limit", "0"]);
    assert_eq!(found.iter().filter(|row| is_sum(row)).count(), 1, "no negative answers");
    let found = ask(&site, &["find", "--sort", "count", "--limit", "3"]);
    assert!(found.first().is_some_and(is_sum), "{found:?}");
    for words in [&["subdomains", "tunnel.example"][..], &["top", "--by", "domains"]] {
        let ended = run(&mut site.pdns(), words);
        assert!(ended.stderr.contains("names below tunnel.example were not kept"), "{ended:?}");
    }
    let scored = run(&mut site.pdns(), &["score", "tunnel.example"]).with(&[0, 1]);
    assert!(scored.contains("were not kept"), "{scored}");
    let ended = run(&mut site.pdns(), &["tunnel.example", "--format", "cof"]);
    assert_eq!((ended.stdout.as_str(), ended.code), ("", Some(0)));
    assert!(ended.stderr.contains("no form in COF"), "{}", ended.stderr);

    // All others are as they would be without a flood.
    assert_eq!(kept(&all_below(&site, "quiet.example")).len(), 90);
    assert_eq!(kept(&all_below(&site, "2.0.192.in-addr.arpa")).len(), 90);
    assert_eq!(run(&mut site.pdns(), &["x.d999.example"]).code, Some(0));
    assert!(
        !all_below(&site, "example")
            .iter()
            .any(|row| is_sum(row) && !row["rrname"].as_str().unwrap().ends_with("tunnel.example"))
    );
    let state = &ask(&site, &["status"])[0];
    assert_eq!(state["domains_of_names_not_kept"], 1);
    assert_eq!(state["names_not_kept"], not_kept);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn the_bound_is_for_a_day_and_for_all_sensors_together() {
    let site = Site::new();
    // From number 32 on, sensors have no bit in a row.
    site.server.call(&["HSET", "pd:sensors", "far", "40"]);
    let mut first = Log::default();
    let mut second = Log::default();
    for number in 0..60 {
        first.line(DAY + number, &format!("a{number}.tunnel.example"), true);
        second.line(DAY + number, &format!("b{number}.tunnel.example"), true);
        second.line(DAY + 86_400 + number, &format!("c{number}.tunnel.example"), true);
    }
    for number in 0..4 {
        // A name with a star is a name like any other.
        first.line(DAY + number, "*.tunnel.example", true);
        second.line(DAY + 86_400, &format!("*.x{number}.tunnel.example"), true);
    }
    import(&site, "first.log", &first, &["--sensor", "so-1", "--new-names", "50"]);
    import(&site, "second.log", &second, &["--sensor", "far", "--new-names", "50"]);
    let rows = all_below(&site, "tunnel.example");
    let names = kept(&rows);
    let of = |letter: char| names.iter().filter(|name| name.starts_with(letter)).count();
    assert_eq!(of('a') + usize::from(names.contains("*.tunnel.example")), 50);
    assert_eq!((of('b'), names.len()), (0, 100));
    assert_eq!(counts(&rows), [("TXT", 188)].into());
    let sum = rows.iter().find(|row| is_sum(row)).unwrap();
    assert_eq!(sum["sensors"], json!(["so-1", "far"]));
    assert_eq!(
        (sum["time_first"].as_u64().unwrap() / 86_400, sum["time_last"].as_u64().unwrap() / 86_400),
        (u64::from(DAY / 86_400), u64::from(DAY / 86_400 + 1))
    );
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
    // What another system kept is kept.
    let mut cof = String::new();
    for number in 0..70 {
        let rrname = format!("i{number}.tunnel.example");
        let line = json!({
            "rrname": rrname, "rrtype": "A", "rdata": "192.0.2.1", "count": 1, "time_first": DAY, "time_last": DAY,
        });
        writeln!(cof, "{line}").unwrap();
    }
    let file = site.home.write("records.cof", cof);
    run(site.agent().arg("cof"), &[file]).with(&[0]);
    let rows = all_below(&site, "tunnel.example");
    assert_eq!(kept(&rows).iter().filter(|name| name.starts_with('i')).count(), 70);
}

/// A log of several floods, and how many answers of each type there are.
fn floods(random: &mut fastrand::Rng) -> (Log, BTreeMap<&'static str, u64>) {
    let mut log = Log::default();
    let mut counts = BTreeMap::new();
    for number in 0..20_000 {
        let (exists, domain) = (random.u8(..3) > 0, random.u8(..5));
        let name = format!("n{}.flood{domain}.example", random.u32(..4_000));
        log.line(DAY + number, &name, exists);
        *counts.entry(if exists { "TXT" } else { "A" }).or_default() += 1;
    }
    (log, counts)
}

#[test]
fn an_import_of_floods_killed_again_and_again_counts_each_answer_once() {
    let seed = seed(1);
    let mut random = fastrand::Rng::with_seed(seed);
    let site = Site::new();
    let (log, want) = floods(&mut random);
    let file: PathBuf = site.home.write("flood.log", &log.0);
    let start = || {
        let mut command = site.agent();
        command.args(["--memory", "4", "--new-names", "300", "zeek", "--once"]).arg(&file);
        Agent::start(&mut command)
    };
    let begin = Instant::now();
    let (code, said) = start().end();
    assert_eq!(code, Some(0), "{said}");
    let whole = begin.elapsed();
    let mut kills = 0;
    while kills < 12 {
        let time = whole.mul_f64(random.f64() * 0.6).max(Duration::from_millis(5));
        if start().kill9_after(time).is_none() {
            kills += 1;
            continue;
        }
        check_floods(&site, &want, seed);
        site.server.flush();
    }
    let (code, said) = start().end();
    assert_eq!(code, Some(0), "seed {seed}: {said}");
    check_floods(&site, &want, seed);
}

fn check_floods(site: &Site, want: &BTreeMap<&'static str, u64>, seed: u64) {
    let mut rows = Vec::new();
    for domain in 0..5 {
        let below = all_below(site, &format!("flood{domain}.example"));
        // A name with records and negative answers is new once for each.
        let is_negative = |row: &&Value| row.get("outcome").is_some();
        let records: Vec<Value> = below.iter().filter(|row| !is_negative(row)).cloned().collect();
        let negatives: Vec<Value> = below.iter().filter(is_negative).cloned().collect();
        let new = kept(&records).len() + kept(&negatives).len();
        assert_eq!(new, 300, "seed {seed}");
        rows.extend(below);
    }
    assert_eq!(&counts(&rows), want, "seed {seed}");
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn damage_to_what_is_not_kept_is_found_and_repaired() {
    let site = Site::new();
    let mut log = Log::default();
    for number in 0..100 {
        log.line(DAY + number, &format!("t{number}.tunnel.example"), true);
        log.line(DAY + number, &format!("gone{number}.tunnel.example"), false);
    }
    import(&site, "first.log", &log, &["--new-names", "10"]);
    let keys = |pattern: &str| -> Vec<String> {
        redis::from_redis_value(site.server.call(&["KEYS", pattern])).unwrap()
    };
    let [directory] = &keys("pd:{??}u")[..] else { panic!("one directory") };
    let [sums] =
        &keys(&format!("{}{}", directory.replace(['{', '}'], "?"), "????????????????"))[..]
    else {
        panic!("one domain")
    };
    let verify = |words: &[&str]| run(site.pdns().args(["admin", "verify"]), words);
    verify(&[]).with(&[0]);
    // Estimates that are gone or damaged stop neither answers nor agents.
    for (number, key) in (0_u32..).zip(keys("pd:{??}uh*")) {
        site.server.call(&["SET", &key, "no sketch"]);
        let mut more = Log::default();
        more.line(DAY, &format!("more{number}.tunnel.example"), true);
        import(&site, &format!("more{number}.log"), &more, &["--new-names", "10"]);
    }
    verify(&[]).with(&[0]);
    // The directory comes back from the sample.
    site.server.call(&["HSET", directory, "nothing.example", "1"]);
    let ended = verify(&[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    verify(&["--repair"]);
    verify(&[]).with(&[0]);
    site.server.call(&["DEL", directory]);
    assert!(ask(&site, &["tunnel.example"]).iter().any(is_sum));
    // A sum that does not read.
    site.server.call(&["HSET", sums, "\u{0}\u{10}", "no sum"]);
    let ended = run(&mut site.pdns(), &["tunnel.example"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("damaged"), "{}", ended.stderr);
    site.server.call(&["HSET", directory, "tunnel.example", "1"]);
    let ended = verify(&["--repair"]);
    assert!(ended.stdout.contains("not kept") || ended.stderr.contains("not kept"), "{ended:?}");
    verify(&[]).with(&[0]);
    let rows = ask(&site, &["tunnel.example", "--negative"]);
    assert_eq!(rows.iter().filter(|row| is_sum(row)).count(), 1, "what else was summed stays");
    site.server.call(&["DEL", sums]);
    site.server.call(&["SET", sums, "of another type"]);
    assert_eq!(verify(&[]).code, Some(1));
    verify(&["--repair"]);
    verify(&[]).with(&[0]);
}
