//! Indicators in lists for other programs: what is uncertain does not block, and what may not be told is not.

use super::{intel, list, site};
use crate::cli::Site;
use crate::run::run;
use serde_json::Value;
use std::path::Path;

/// Runs `pdns export` and returns what it wrote to both streams.
fn export(site: &Site, format: &str, more: &[&str]) -> (String, String) {
    let words = [&["export", "--tag", "threat", "--format", format], more].concat();
    let ended = run(&mut site.pdns(), &words);
    let said = ended.stderr.clone();
    (ended.with(&[0, 1]), said)
}

#[test]
fn conditional_indicators_do_not_block() {
    let site = site();
    let pattern = |id: u32, pattern: &str| {
        format!(
            "{{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--00000000-0000-4000-8000-00000000000{id}\",\
             \"pattern_type\":\"stix\",\"pattern\":\"{pattern}\",\"valid_from\":\"2026-01-01T00:00:00Z\"}}"
        )
    };
    let objects = [
        pattern(1, "[domain-name:value = 'partly-evil.com' AND url:value = 'http://x/']"),
        pattern(
            2,
            "[domain-name:value LIKE '%.widely-evil.com'] FOLLOWEDBY [ipv4-addr:value = '45.9.9.9']",
        ),
        pattern(3, "[ipv4-addr:value ISSUBSET '45.9.8.0/24'] FOLLOWEDBY [file:name = 'x']"),
        pattern(4, "[domain-name:value = 'surely-evil.com']"),
        pattern(5, "[ipv4-addr:value = '45.7.7.7']"),
    ];
    let bundle = format!("{{\"type\":\"bundle\",\"objects\":[{}]}}", objects.join(","));
    let file = list(&site, "bundle.json", &[&bundle]);
    let (_, said) = intel(&site, &["import", file.to_str().unwrap()], &[0]);
    assert!(said.contains("4 hold only under further conditions"), "{said}");
    for (format, certain, left_out) in [
        ("rpz", 2, 4),
        ("hosts", 1, 2),
        ("unbound", 0, 1),
        ("dnsmasq", 0, 1),
        ("suricata-dataset", 1, 2),
        ("suricata-ndjson", 1, 2),
        ("suricata-iprep", 1, 2),
        ("plain", 2, 4),
    ] {
        let (lines, said) = export(&site, format, &[]);
        let text = lines.replace("c3VyZWx5LWV2aWwuY29t", "surely-evil.com");
        let has = ["surely-evil.com", "45.7.7.7", "32.7.7.7.45.rpz-ip"];
        let has = text.lines().filter(|line| has.iter().any(|one| line.contains(one))).count();
        assert_eq!(has, certain, "{format}: {lines}");
        for never in ["partly", "widely", "45.9.9.9", "45.9.8", "8.9.45", "cGFydGx5", "d2lkZWx5"] {
            assert!(!lines.contains(never), "{format}: {lines}");
        }
        let are = if left_out == 1 { "subject is" } else { "subjects are" };
        assert!(said.contains(&format!("{left_out} {are} left out: ")), "{format}: {said}");
        assert!(said.contains("only under further conditions"), "{format}: {said}");
    }
    // Where it can be said, it is, and nothing raises an alarm.
    let (zeek, _) = export(&site, "zeek-intel", &[]);
    let line = |name: &str| zeek.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("partly-evil.com").ends_with("\tF"), "{zeek}");
    assert!(line("partly-evil.com").contains("conditional threat (bundle)"), "{zeek}");
    assert!(line("surely-evil.com").ends_with("\tT"), "{zeek}");
    let shared = |format: &str| export(&site, format, &["--max-tlp", "amber"]).0;
    let stix: Value = serde_json::from_str(&shared("stix")).unwrap();
    let marked = stix["objects"].as_array().unwrap().iter().filter(|one| {
        one["labels"].as_array().is_some_and(|labels| labels.contains(&"pdns:conditional".into()))
    });
    assert_eq!(marked.count(), 4);
    let misp: Value = serde_json::from_str(&shared("misp")).unwrap();
    let attributes = misp["Event"]["Attribute"].as_array().unwrap();
    assert_eq!(attributes.iter().filter(|one| one["to_ids"] == true).count(), 2);
    assert_eq!(shared("jsonl").matches("\"conditional\":true").count(), 4);
    assert_eq!(shared("csv").lines().filter(|line| line.contains(",true,")).count(), 4);
    // What the source says somewhere else without a condition counts.
    let file = list(&site, "ports.txt", &["port-evil.com:443", "45.66.6.6:80", "port-evil.com"]);
    intel(&site, &["import", file.to_str().unwrap()], &[0]);
    let (rpz, said) = export(&site, "rpz", &["--source", "ports"]);
    assert!(rpz.contains("port-evil.com CNAME .") && !rpz.contains("6.6.66"), "{rpz}");
    assert!(said.contains("1 subject is left out"), "{said}");
    // What another source or an analyst says for certain counts again.
    run(&mut site.pdns(), &["tag", "set", "threat", "partly-evil.com"]).with(&[0]);
    let (rpz, _) = export(&site, "rpz", &[]);
    assert!(rpz.contains("partly-evil.com CNAME ."), "{rpz}");
}

#[test]
fn trust_goes_into_policy_zones_of_the_site_but_not_to_others() {
    let site = site();
    let file = list(&site, "feed.txt", &[".evil-host.com"]);
    let tlp = ["import", file.to_str().unwrap(), "--tlp", "green"];
    intel(&site, &tlp, &[0]);
    run(&mut site.pdns(), &["tag", "set", "trust", "partner.evil-host.com"]).with(&[0]);
    for format in ["rpz", "unbound", "dnsmasq"] {
        let (own, said) = export(&site, format, &[]);
        assert!(own.contains("partner.evil-host.com"), "{own}");
        assert!(!said.contains("held back"), "{said}");
        let (others, said) = export(&site, format, &["--max-tlp", "green"]);
        assert!(others.contains("evil-host.com") && !others.contains("partner"), "{others}");
        assert!(said.contains("1 subject is held back because of TLP"), "{said}");
        assert!(said.contains("1 of them is trusted"), "{said}");
    }
    let settings = "default_tlp = 'green'\n";
    site.home.write(".config/pdns/pdns.toml", settings);
    let (others, _) = export(&site, "rpz", &["--max-tlp", "green"]);
    assert!(others.contains("partner.evil-host.com CNAME rpz-passthru."), "{others}");
}

#[test]
fn what_one_site_exports_another_imports_as_it_was() {
    let (one, other) = (site(), Site::new());
    let rows = "subject,kind,confidence,labels,reference,note,tlp,valid_until,conditional\n\
                evil-one.com,threat,80,\"emotet,c2\",https://r.test/1,first seen in spam,green,,false\n\
                .evil-two.net,threat,55,,,,clear,2099-01-02 03:04:05,false\n\
                .a_b.evil-two.net,interest,10,dyn,,odd,green,,true\n\
                45.61.1.0/24,threat,90,,,range,green,,false\n\
                45.62.9.9,trust,40,,,ours,green,,false\n\
                2a00:1450:1::/48,threat,33,x,,,green,,false\n";
    let file = one.home.write("feed.csv", rows);
    intel(&one, &["import", file.to_str().unwrap(), "--source", "feed"], &[0]);
    let listed = |site: &Site| -> Vec<Value> {
        let subjects = [
            "evil-one.com",
            ".evil-two.net",
            ".a_b.evil-two.net",
            "45.61.1.0/24",
            "45.62.9.9",
            "2a00:1450:1::/48",
        ];
        let of = |subject: &str| -> Vec<Value> {
            let (shown, _) = intel(site, &["show", subject, "--format", "json"], &[0]);
            let lines = shown.lines().map(|line| serde_json::from_str(line).unwrap());
            let mut lines: Vec<Value> = lines.collect();
            for line in &mut lines {
                let line = line.as_object_mut().unwrap();
                line.retain(|name, _| !name.contains("listed") && !name.contains("time"));
            }
            lines
        };
        subjects.into_iter().flat_map(of).collect()
    };
    let before = listed(&one);
    assert_eq!(before.len(), 7, "{before:?}");
    for format in ["stix", "jsonl", "csv"] {
        let out = one.home.path().join(format!("out.{format}"));
        let words = ["export", "--tag", "any", "--format", format, "--out", out.to_str().unwrap()];
        run(&mut one.pdns(), &words).with(&[0]);
        import(&other, &out);
        assert_eq!(listed(&other), before, "{format}");
    }
}

#[test]
fn tags_can_be_made_of_an_exported_csv() {
    let (one, other) = (site(), Site::new());
    let file = list(&one, "feed.txt", &["evil-one.com", ".evil-two.net"]);
    intel(&one, &["import", file.to_str().unwrap()], &[0]);
    let (csv, _) = export(&one, "csv", &["--max-tlp", "amber"]);
    let file = other.home.write("export.csv", csv);
    run(&mut other.pdns(), &["tag", "import", file.to_str().unwrap()]).with(&[0]);
    let tags = run(&mut other.pdns(), &["tag", "list", "--format", "csv"]).with(&[0]);
    assert!(
        tags.contains("evil-one.com,threat,") && tags.contains(".evil-two.net,threat,"),
        "{tags}"
    );
}

fn import(site: &Site, file: &Path) {
    let (_, said) = intel(site, &["import", file.to_str().unwrap(), "--source", "feed"], &[0]);
    assert!(said.contains("6 indicators from feed"), "{said}");
}

#[test]
fn help_describes_the_formats_of_each_command() {
    let site = Site::new();
    let help = |words: &str| {
        let words: Vec<&str> = words.split(' ').chain(["--help"]).collect();
        run(&mut site.pdns(), &words).with(&[0])
    };
    for command in [
        "intel sources",
        "intel show",
        "intel history",
        "intel extract",
        "near",
        "contrast",
        "tag list",
        "tag history",
        "status",
    ] {
        let shown = help(command);
        assert!(shown.contains("table on a terminal, and json elsewhere"), "{shown}");
        assert!(!shown.contains("RDATA with tabs") && !shown.contains("- cof:"), "{shown}");
    }
    assert!(help("find").contains("- cof:"));
    assert!(help("export").contains("- rpz:") && !help("export").contains("- cof:"));
    let shown = help("intel import");
    assert!(shown.contains("- openioc:") && shown.contains("web pages with indicators"), "{shown}");
}

#[test]
fn a_named_column_makes_a_file_a_table() {
    let site = site();
    let rows = ["evil1.com,reporter.com", "evil2.com,reporter.com"];
    let file = list(&site, "rows.txt", &rows);
    let file = file.to_str().unwrap();
    intel(&site, &["import", file, "--column", "1", "--source", "rows"], &[0]);
    intel(&site, &["show", "evil2.com"], &[0]);
    intel(&site, &["show", "reporter.com"], &[1]);
    let (_, said) = intel(&site, &["import", file, "--column", "1", "-f", "hosts"], &[2]);
    assert!(said.contains("hosts has no columns"), "{said}");
    let said = intel(&site, &["import", file, "--column", "nosuch", "--source", "rows"], &[2]).1;
    assert!(said.contains("nosuch"), "{said}");
    let feeds = format!("[feed.c]\nfile = \"{file}\"\ncolumn = \"1\"\n");
    let feeds = site.home.write("feeds.toml", feeds);
    intel(&site, &["refresh", "c", "--feeds", feeds.to_str().unwrap()], &[0]);
    intel(&site, &["show", "reporter.com"], &[1]);
}

#[test]
fn what_was_imported_stays_when_a_report_fails() {
    let site = site();
    let file = list(&site, "one.txt", &["evil1.com"]);
    let (_, said) =
        intel(&site, &["import", file.to_str().unwrap(), "--sightings", "/missing/x.json"], &[1]);
    assert!(said.contains("1 added") && said.contains("/missing/x.json"), "{said}");
    intel(&site, &["show", "evil1.com"], &[0]);
}
