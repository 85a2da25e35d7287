//! Lists for resolvers and partners, read by the programs that they are for.

use super::{import, lines, log};
use crate::cli::Site;
use crate::reference::{program, python_json};
use crate::run::{Home, run};
use pdns_agent::exchange::stix::{SightingBundle, SightingOf};
use pdns_agent::indicator::{Sighting, Tlp};
use pdns_agent::tag::TagKind;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A note that tries to break every format.
const NOTE: &str = "a 'b' \"c\"\r\n0.0.0.0 d\t{{e}} <f> =g() \\ \u{1b}[2J \u{e9}\u{1f600}";

/// A site with tags of all kinds and forms, and records of some of them.
fn site() -> Site {
    let site = Site::new();
    import(
        &site,
        &log([
            ("www.evil.example", "192.0.2.7"),
            ("www.evil.example", "192.0.2.8"),
            ("x.bad.example", "198.51.100.10"),
            ("a_b.bad.example", "198.51.100.9"),
            ("good.bad.example", "192.0.2.9"),
            ("o'b\\\\x;y \\u0007.example", "192.0.2.30"),
        ]),
    );
    let set = |kind: &str, subjects: &[&str], more: &[&str]| {
        let words = [&["tag", "set", kind], subjects, more].concat();
        run(&mut site.pdns(), &words).with(&[0]);
    };
    let hostile = "o'b\\\\x\\;y\\032\\007.example";
    let names = ["www.evil.example", ".bad.example", ".a_b.bad.example", hostile];
    let nets = ["192.0.2.0/25", "198.51.100.9", "2001:db8::/32", "2001:db8:0:1::7"];
    let by = ["--note", NOTE, "--source", "feed-1", "--author", "anna"];
    set("threat", &[&names[..], &nets].concat(), &by);
    set("interest", &[".watch.example", "\\*.wild.example", "1.example"], &[]);
    set("trust", &["good.bad.example", "192.0.2.9", ".fine.example"], &[]);
    site
}

/// Writes a list to a file of the site.
fn list(site: &Site, format: &str, more: &[&str]) -> PathBuf {
    let path = site.home.path().join(format!("list.{format}"));
    let out = path.to_str().unwrap();
    let words = ["export", "--tag", "threat", "--tag", "interest", "--format", format];
    run(&mut site.pdns(), &[&words[..], &["--out", out], more].concat()).with(&[0]);
    path
}

/// Standard output of a program that must succeed.
fn output(program: &Path, arguments: &[&OsStr]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {text}{errors}", program.display());
    text + &errors
}

#[test]
fn bind_reads_the_policy_zone() {
    let Some(check) = program("bind_reads_the_policy_zone", "named-checkzone") else { return };
    let site = site();
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(53));
    // With the name of a zone that is not short, neither has room.
    let shorter = &long[2..];
    run(&mut site.pdns(), &["tag", "set", "threat", &long, &format!(".{shorter}")]).with(&[0]);
    let path = site.home.path().join("long.zone");
    let out = path.to_str().unwrap();
    let words = ["export", "--tag", "threat", "--format", "rpz", "--zone", "rpz.example.net"];
    let ended = run(&mut site.pdns(), &[&words[..], &["--out", out]].concat());
    let said = "2 subjects have a name that is too long for this zone";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    ended.with(&[0]);
    let dumped = ["-i", "none", "-D", "-o", "-", "rpz.example.net", out].map(OsStr::new);
    output(&check, &dumped);

    let path = list(&site, "rpz", &[]);
    let dumped = ["-i", "none", "-D", "-o", "-", "rpz"].map(OsStr::new);
    let dumped = output(&check, &[&dumped[..], &[path.as_os_str()]].concat());
    let rules: BTreeSet<(String, String)> = dumped
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [owner, _, "IN", "CNAME", policy] = words.as_slice() else { return None };
            Some((owner.trim_end_matches(".rpz.").to_owned(), (*policy).to_owned()))
        })
        .collect();
    let blocked = [
        "www.evil.example",
        "bad.example",
        "*.bad.example",
        "a_b.bad.example",
        "*.a_b.bad.example",
        "o'b\\\\x\\;y\\032\\007.example",
        "watch.example",
        "*.watch.example",
        "1.example",
        "25.0.2.0.192.rpz-ip",
        "32.9.100.51.198.rpz-ip",
        "32.zz.db8.2001.rpz-ip",
        "128.7.zz.1.0.db8.2001.rpz-ip",
        &long,
        shorter,
        &format!("*.{shorter}"),
    ];
    let passed = ["good.bad.example", "32.9.2.0.192.rpz-ip", "fine.example", "*.fine.example"];
    let blocked = blocked.iter().map(|owner| ((*owner).to_owned(), ".".to_owned()));
    let passed = passed.iter().map(|owner| ((*owner).to_owned(), "rpz-passthru.".to_owned()));
    assert_eq!(rules, blocked.chain(passed).collect());
    // What is trusted stands first.
    let text = fs::read_to_string(&path).unwrap();
    let policies: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(" CNAME ")).map(|(_, to)| to).collect();
    assert!(policies.is_sorted_by_key(|policy| *policy == "."));
}

#[test]
fn what_is_said_of_a_name_goes_before_what_is_said_of_its_domain() {
    let site = Site::new();
    for line in [
        "tag set trust .one.example two.example",
        "tag set threat one.example .two.example",
        "tag set interest .one.example",
    ] {
        run(&mut site.pdns(), &line.split(' ').collect::<Vec<_>>()).with(&[0]);
    }
    let shown = lines(&site, &["--tag", "any", "--format", "rpz"]);
    let rules: Vec<&str> = shown.iter().skip(4).map(String::as_str).collect();
    let want = [
        "two.example CNAME rpz-passthru.",
        "*.one.example CNAME rpz-passthru.",
        "one.example CNAME .",
        "*.two.example CNAME .",
    ];
    assert_eq!(rules, want);
}

#[test]
fn unbound_and_dnsmasq_read_their_lists() {
    let test = "unbound_and_dnsmasq_read_their_lists";
    let site = site();
    let (unbound, dnsmasq) = (list(&site, "unbound", &[]), list(&site, "dnsmasq", &[]));
    let text = fs::read_to_string(&unbound).unwrap();
    let zones: Vec<&str> = text.lines().skip(1).collect();
    let want = [
        "local-zone: \"good.bad.example.\" transparent",
        "local-zone: \"a_b.bad.example.\" always_nxdomain",
        "local-zone: \"bad.example.\" always_nxdomain",
        "local-zone: \"fine.example.\" transparent",
        "local-zone: \"watch.example.\" always_nxdomain",
    ];
    assert_eq!(zones, want);
    let text = fs::read_to_string(&dnsmasq).unwrap();
    let want = [
        "server=/good.bad.example/#",
        "address=/a_b.bad.example/",
        "address=/bad.example/",
        "server=/fine.example/#",
        "address=/watch.example/",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), want);
    if let Some(check) = program(test, "unbound-checkconf") {
        // Names that no host has are written with escapes, which it must read.
        run(&mut site.pdns(), &["tag", "set", "threat", ".o'b\\\\x\\;y\\032\\\"\\007.example"])
            .with(&[0]);
        let unbound = list(&site, "unbound", &[]);
        output(&check, &[unbound.as_os_str()]);
    }
    if let Some(check) = program(test, "dnsmasq") {
        output(&check, &[OsStr::new("--test"), OsStr::new("-C"), dnsmasq.as_os_str()]);
    }
}

#[test]
fn a_hosts_file_has_nothing_but_names() {
    let site = site();
    let hosts = fs::read_to_string(list(&site, "hosts", &[])).unwrap();
    let want = [
        "0.0.0.0 1.example",
        "0.0.0.0 www.evil.example",
        "0.0.0.0 a_b.bad.example",
        "0.0.0.0 bad.example",
        "0.0.0.0 watch.example",
        "0.0.0.0 x.bad.example",
    ];
    assert_eq!(hosts.lines().collect::<Vec<_>>(), want);
}

#[test]
fn stix_is_valid_and_complete_for_the_reference() {
    let site = site();
    let path = list(&site, "stix", &["--max-tlp", "amber", "--url", "https://pdns.example.net"]);
    let first = fs::read(&path).unwrap();
    assert!(first.iter().all(|byte| *byte == b'\n' || *byte == b' ' || byte.is_ascii_graphic()));
    let said = python_json("exchange.py", &[OsStr::new("stix"), path.as_os_str()], &[]);
    assert_eq!(said["errors"], Value::Array(Vec::new()));
    assert_eq!(said["is_valid"], true);
    // It would have all identifiers be random, which those of the same thing must not be, and pages have a hash.
    let expected = ["not a valid UUIDv4", "has a URL but no hash"];
    let is_expected = |one: &&Value| {
        let text = one.as_str().unwrap_or_default();
        expected.iter().any(|expected| text.contains(expected))
    };
    let warnings = said["warnings"].as_array().unwrap();
    let others: Vec<&Value> = warnings.iter().filter(|one| !is_expected(one)).collect();
    assert!(others.is_empty(), "{others:?}");
    let objects = said["objects"].as_array().unwrap();
    let of = |kind: &str| objects.iter().filter(|one| one["type"] == kind).collect::<Vec<_>>();
    let indicator = |name: &str| {
        let found = of("indicator").into_iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {objects:?}"))
    };
    assert_eq!(of("indicator").len(), 11);
    let evil = indicator("www.evil.example");
    assert_eq!(evil["pattern"], "[domain-name:value = 'www.evil.example']");
    assert_eq!(evil["indicator_types"][0], "malicious-activity");
    assert_eq!(evil["confidence"], 100);
    let description = evil["description"].as_str().unwrap();
    assert!(description.starts_with("a 'b' \"c\" 0.0.0.0 d {{e}} <f>"), "{description}");
    assert!(!description.contains("anna") && !description.contains(char::is_control));
    assert_eq!(indicator(".watch.example")["indicator_types"][0], "anomalous-activity");
    assert_eq!(indicator("192.0.2.0/25")["pattern"], "[ipv4-addr:value ISSUBSET '192.0.2.0/25']");
    let records: Vec<&str> = of("relationship")
        .iter()
        .filter(|one| one["relationship_type"] == "based-on" && one["source_ref"] == evil["id"])
        .map(|one| one["target_ref"].as_str().unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    let sightings = of("sighting");
    let of_evil = sightings.iter().find(|one| one["sighting_of_ref"] == evil["id"]).unwrap();
    assert_eq!(of_evil["count"], 2);
    assert_eq!(of_evil["first_seen"], "2023-11-14T22:13:20Z");
    assert_eq!(of_evil["observed_data_refs"].as_array().unwrap().len(), 2);
    // The same store gives the same file.
    list(&site, "stix", &["--max-tlp", "amber", "--url", "https://pdns.example.net"]);
    assert_eq!(fs::read(&path).unwrap(), first);
    // All restrictions are known to other programs.
    for tlp in ["clear", "green", "amber+strict", "red"] {
        site.home
            .write(".config/pdns/pdns.toml", format!("default_tlp = '{tlp}'\nidentity = 'SOC'"));
        let path = list(&site, "stix", &["--max-tlp", "red"]);
        let said = python_json("exchange.py", &[OsStr::new("stix"), path.as_os_str()], &[]);
        assert_eq!(said["errors"], Value::Array(Vec::new()), "{tlp}");
        let objects = said["objects"].as_array().unwrap();
        assert!(objects.iter().any(|one| one["type"] == "identity" && one["name"] == "SOC"));
    }
}

#[test]
fn sightings_are_valid_for_the_reference() {
    let home = Home::new();
    let subject = pdns_agent::query::tag_subject(".bad.example", None).unwrap();
    let theirs = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f";
    let seen = |count, time_last| {
        let sensors = vec!["so-1".to_owned()];
        Sighting { count, time_first: 1_700_000_000, time_last, sensors }
    };
    let mut bundle = SightingBundle::new("SOC", Tlp::AmberStrict);
    let mut out = Vec::new();
    bundle.begin(&mut out).unwrap();
    for (id, seen) in [
        (Some(theirs), seen(u64::MAX, 1_700_000_000)),
        (Some("no identifier"), seen(3, 1_700_000_099)),
    ] {
        let of = SightingOf { id, subject: &subject, kind: TagKind::Threat };
        bundle.sighting(&of, &seen, &mut out).unwrap();
    }
    bundle.end(&mut out).unwrap();
    let path = home.write("sightings.json", out);
    let said = python_json("exchange.py", &[OsStr::new("sightings"), path.as_os_str()], &[]);
    assert_eq!(said["errors"], Value::Array(Vec::new()));
    let objects = said["objects"].as_array().unwrap();
    let of = objects.iter().filter(|one| one["type"] == "sighting");
    assert_eq!(of.clone().count(), 2);
    assert!(of.clone().any(|one| one["sighting_of_ref"] == theirs && one["count"] == 999_999_999));
}

#[test]
fn the_reference_of_misp_reads_the_event_and_the_feed() {
    let site = site();
    let path = list(&site, "misp", &["--max-tlp", "amber"]);
    let said = python_json("exchange.py", &[OsStr::new("misp"), path.as_os_str()], &[]);
    let attributes = said["Attribute"].as_array().unwrap();
    let values: BTreeSet<(&str, &str, bool)> = attributes
        .iter()
        .map(|one| {
            let to_ids = one["to_ids"].as_bool().unwrap();
            (one["type"].as_str().unwrap(), one["value"].as_str().unwrap(), to_ids)
        })
        .collect();
    let want = [
        ("hostname", "www.evil.example", true),
        ("domain", "bad.example", true),
        ("domain", "a_b.bad.example", true),
        ("domain", "watch.example", false),
        ("domain", "1.example", false),
        ("ip-dst", "192.0.2.0/25", true),
        ("ip-dst", "198.51.100.9", true),
        ("ip-dst", "2001:db8::/32", true),
        ("ip-dst", "2001:db8:0:1::7", true),
    ];
    assert_eq!(values, BTreeSet::from(want));
    assert_eq!(said["Tag"][0]["name"], "tlp:amber");
    let objects = said["Object"].as_array().unwrap();
    assert!(objects.iter().all(|one| one["name"] == "passive-dns"));
    assert!(objects.len() >= 5, "{}", objects.len());

    let directory = site.home.path().join("feed");
    let words = ["export", "--tag", "threat", "--format", "misp-feed", "--max-tlp", "amber"];
    let out = ["--out", directory.to_str().unwrap()];
    for _ in 0..2 {
        run(&mut site.pdns(), &[&words[..], &out].concat()).with(&[0]);
    }
    let said = python_json("exchange.py", &[OsStr::new("misp-feed"), directory.as_os_str()], &[]);
    assert_eq!(said["hashes"], 7);
    assert_eq!(said["events"].as_object().unwrap().len(), 1);
    // Nothing for others: an empty feed.
    let words = ["export", "--tag", "threat", "--format", "misp-feed"];
    run(&mut site.pdns(), &[&words[..], &out].concat()).with(&[1]);
    assert_eq!(fs::read_to_string(directory.join("manifest.json")).unwrap(), "{}\n");
}

#[test]
fn only_what_is_wanted_is_listed() {
    let site = site();
    let plain = |more: &[&str]| {
        let words = [&["--tag", "any", "--format", "plain"], more].concat();
        lines(&site, &words)
    };
    let all = plain(&[]);
    assert_eq!(all.len(), 14);
    assert_eq!(plain(&["--source", "feed-1"]).len(), 8);
    assert_eq!(plain(&["--source", "feed-1", "--source", ""]), all);
    assert!(plain(&["--source", "other"]).is_empty());
    assert_eq!(plain(&["--confidence-min", "100"]), all);
    assert_eq!(plain(&["--max-age", "1d"]), all);
    assert!(plain(&["--max-age", "2100-01-01"]).is_empty());
    let seen = plain(&["--seen"]);
    let want = [
        "good.bad.example",
        "o'b\\\\x\\;y\\032\\007.example",
        "www.evil.example",
        ".a_b.bad.example",
        ".bad.example",
        "192.0.2.0/25",
        "192.0.2.9",
        "198.51.100.9",
        "2001:db8::/32",
    ];
    let read = |text: &String| pdns_agent::query::tag_subject(text, None).unwrap();
    let want: Vec<_> = want.iter().map(|text| read(&(*text).to_owned())).collect();
    assert_eq!(seen.iter().map(read).collect::<Vec<_>>(), want);
    assert_eq!(plain(&["--seen", "--limit", "9"]), seen);

    // What may be shared depends on the settings.
    let count = |more: &[&str]| {
        lines(&site, &[&["--tag", "any", "--format", "jsonl"], more].concat()).len()
    };
    assert_eq!((count(&[]), count(&["--max-tlp", "amber"])), (0, 14));
    site.home.write(".config/pdns/pdns.toml", "default_tlp = 'TLP:GREEN'\n");
    assert_eq!((count(&[]), count(&["--max-tlp", "clear"])), (14, 0));
    site.home.write(".config/pdns/pdns.toml", "default_tlp = 'blue'\n");
    let ended = run(&mut site.pdns(), &["export", "--tag", "any", "--format", "jsonl"]);
    assert!(ended.stderr.contains("unknown TLP \"blue\""), "{}", ended.stderr);
    ended.with(&[2]);
}

#[test]
fn json_lines_hold_all_that_is_known() {
    let site = site();
    let shown = lines(&site, &["--tag", "any", "--format", "jsonl", "--max-tlp", "red"]);
    let objects: Vec<Value> =
        shown.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |subject: &str| objects.iter().find(|one| one["subject"] == subject).unwrap();
    let evil = of("www.evil.example");
    assert_eq!((&evil["form"], &evil["verdict"]), (&"name".into(), &"threat".into()));
    assert_eq!((&evil["tlp"], &evil["confidence"]), (&"amber".into(), &100.into()));
    assert_eq!(evil["tags"][0]["note"], NOTE);
    assert_eq!(evil["seen"]["count"], 2);
    assert_eq!(evil["seen"]["sensors"][0], "so-1");
    assert_eq!(evil["seen"]["time_first"], "2023-11-14T22:13:20Z");
    assert_eq!(of(".fine.example")["verdict"], "trust");
    assert_eq!(of(".fine.example").get("seen"), None);
    assert_eq!(of("192.0.2.0/25")["form"], "prefix");
}

#[test]
fn suricata_gets_its_lists_and_rules() {
    let site = site();
    let path = list(&site, "suricata-ndjson", &["--url", "https://pdns.example.net"]);
    let text = fs::read_to_string(&path).unwrap();
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = objects.iter().map(|one| one["name"].as_str().unwrap()).collect();
    // The one with a control character has no form in JSON that is also in the buffer.
    let want = [
        "*.wild.example",
        "1.example",
        "www.evil.example",
        "a_b.bad.example",
        "bad.example",
        "watch.example",
        "x.bad.example",
    ];
    assert_eq!(names, want);
    let evil = &objects[2];
    assert_eq!((&evil["count"], &evil["kind"]), (&2.into(), &"threat".into()));
    assert_eq!(evil["url"], "https://pdns.example.net/context?q=www.evil.example");

    let rules = site.home.path().join("pdns.rules");
    let categories = site.home.path().join("categories.txt");
    let (shown, shown_categories) = (rules.to_str().unwrap(), categories.to_str().unwrap());
    let more = ["--rules", shown, "--categories", shown_categories];
    let text = fs::read_to_string(list(&site, "suricata-iprep", &more)).unwrap();
    let networks: Vec<&str> = text.lines().map(|line| line.split(',').next().unwrap()).collect();
    // The trusted address is cut out of its prefix.
    let want = ["192.0.2.0/29", "192.0.2.8", "192.0.2.10/31", "192.0.2.12/30", "192.0.2.16/28"];
    assert_eq!(&networks[..5], want);
    assert!(text.lines().all(|line| line.ends_with(",1,127")));
    assert!(fs::read_to_string(&categories).unwrap().starts_with("1,pdns-threat,"));
    let text = fs::read_to_string(&rules).unwrap();
    assert!(text.contains("iprep:any,pdns-threat,>,0;"), "{text}");
    let path = list(&site, "suricata-dataset", &["--rules", shown]);
    let text = fs::read_to_string(&rules).unwrap();
    assert!(text.contains(&format!("type string,load {};", path.display())), "{text}");
}

#[test]
fn flags_are_refused_where_they_mean_nothing() {
    let site = Site::new();
    for (line, said) in [
        ("--format plain --zone rpz", "--zone does not apply to export --format plain"),
        ("--format rpz --rules r", "--rules does not apply to export --format rpz"),
        ("--format suricata-ndjson --rules r", "--rules needs the file of the list"),
        ("--format suricata-dataset --categories c", "--categories does not apply"),
        ("--format ip-descriptions --seen", "--seen does not apply"),
        ("--format rpz --zone .", "is not a valid name of a zone"),
        ("--format misp-feed", "name their directory with --out"),
        ("--format stix --max-tlp blue", "unknown TLP"),
        ("--format stix --confidence-min 101", "101 is not in 0..=100"),
        ("--format stix --max-age often", "bad value for --max-age"),
    ] {
        let words: Vec<&str> =
            ["export", "--tag", "any"].into_iter().chain(line.split(' ')).collect();
        let ended = run(&mut site.pdns(), &words);
        assert!(ended.stderr.contains(said), "{line}: {}", ended.stderr);
        ended.with(&[2]);
    }
}

/// Suricata 8 itself, where there is one: Debian 12 has none to install.
#[test]
fn suricata_itself_loads_its_lists() {
    let named = std::env::var_os("PDNS_TEST_SURICATA").unwrap_or_else(|| "suricata".into());
    let version = Command::new(&named).arg("-V").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !version.as_ref().is_ok_and(|text| text.contains("version 8.")) {
        println!("no Suricata 8 here: PDNS_TEST_SURICATA names one; {version:?}");
        return;
    }
    let site = site();
    let home = site.home.path().to_str().unwrap();
    let mut rules = String::new();
    for format in ["suricata-dataset", "suricata-ndjson", "suricata-iprep"] {
        let path = format!("{home}/{format}.rules");
        let categories = format!("{home}/categories.txt");
        let more = ["--rules", &path, "--categories", &categories];
        let count = if format == "suricata-iprep" { 4 } else { 2 };
        list(&site, format, &more[..count]);
        let of_one = fs::read_to_string(&path).unwrap();
        rules += &of_one.replace("isset,pdns-threat", &format!("isset,{format}"));
    }
    let rules = site.home.write("all.rules", rules);
    let classes = site.home.write(
        "classification.config",
        "config classification: trojan-activity,A Network Trojan was detected,1\n",
    );
    let references = site.home.write("reference.config", "");
    let text = format!(
        "%YAML 1.1\n---\nclassification-file: {}\nreference-config-file: {}\n\
         reputation-categories-file: {home}/categories.txt\ndefault-reputation-path: {home}\n\
         reputation-files:\n - list.suricata-iprep\n\
         app-layer:\n  protocols:\n    dns:\n      udp:\n        enabled: yes\n        detection-ports:\n          dp: 53\n",
        classes.display(),
        references.display()
    );
    let settings = site.home.write("suricata.yaml", text);
    let arguments = [
        OsStr::new("-T"),
        OsStr::new("-c"),
        settings.as_os_str(),
        OsStr::new("-S"),
        rules.as_os_str(),
        OsStr::new("-l"),
        site.home.path().as_os_str(),
    ];
    let said = output(Path::new(&named), &arguments);
    assert!(said.contains("successfully loaded"), "{said}");
}
