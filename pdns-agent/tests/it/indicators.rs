//! Indicators: imported, shown, weighed against tags, withdrawn; and what of them was seen here.

mod documents;
mod feeds;
mod lists;
mod misp;

use crate::cli::Site;
use crate::export::log;
use crate::redis::Redis;
use crate::run::run;
use crate::store::options;
use pdns_agent::indicator::ListedIndicator;
use pdns_agent::name::NameBuf;
use pdns_agent::store::{ImportSpec, Store, StoreError};
use pdns_agent::tag::TagSubject;
use std::path::PathBuf;

/// A site whose store has seen some names.
pub(crate) fn site() -> Site {
    let site = Site::new();
    let records = [
        ("www.evil-one.com", "45.61.1.1"),
        ("www.evil-one.com", "45.61.1.2"),
        ("evil-two.net", "45.62.9.9"),
        ("shop.harmless.org", "151.101.1.1"),
    ];
    let file = site.home.write("more/dns.log", log(records));
    run(site.agent().args(["zeek", "--once", "--sensor", "so-2"]), &[file]).with(&[0]);
    site
}

fn list(site: &Site, name: &str, lines: &[&str]) -> PathBuf {
    site.home.write(name, lines.join("\n") + "\n")
}

/// Runs `pdns intel` and returns what it wrote to both streams.
fn intel(site: &Site, arguments: &[&str], codes: &[i32]) -> (String, String) {
    let ended = run(site.pdns().arg("intel"), arguments);
    let said = ended.stderr.clone();
    (ended.with(codes), said)
}

#[test]
fn an_import_says_at_once_what_was_seen_here() {
    let site = site();
    let file = list(
        &site,
        "report.txt",
        &["www.evil-one.com", ".evil-two.net", "45.61.1.0/24", "unseen-a.com", "unseen-b.com"],
    );
    let file = file.to_str().unwrap();
    let (seen, said) = intel(&site, &["import", file, "--confidence", "80"], &[0]);
    assert!(said.contains("5 indicators from report: 5 added"), "{said}");
    assert!(said.contains("3 of 5 were seen here, first on 2023-11-14 by sensor so-2"), "{said}");
    let lines: Vec<serde_json::Value> =
        seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts: Vec<(&str, u64)> = lines
        .iter()
        .map(|line| (line["subject"].as_str().unwrap(), line["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts.len(), 3);
    assert!(counts.contains(&("45.61.1.0/24", 2)) && counts.contains(&(".evil-two.net", 1)));
    // The same file again changes nothing.
    let (_, said) = intel(&site, &["import", file, "--confidence", "80"], &[0]);
    assert!(said.contains("0 added, 5 as before"), "{said}");
    let shown = site.typed("www.evil-one.com --format json");
    assert!(shown.contains(r#""source":"report""#) && shown.contains(r#""confidence_now":80"#));
    let rows = site.typed("find --tag threat --format plain");
    assert_eq!(rows.lines().filter(|line| line.contains('\t')).count(), 3, "{rows}");
}

#[test]
fn a_source_expires_what_it_no_longer_lists_and_can_be_withdrawn() {
    let site = site();
    let first = list(&site, "one.txt", &["evil-a.com", "evil-b.com", "evil-c.com"]);
    let second = list(&site, "two.txt", &["evil-a.com", "evil-d.com"]);
    let import = |file: &PathBuf, more: &[&str]| {
        let arguments = [&["import", file.to_str().unwrap(), "--source", "feed"], more].concat();
        intel(&site, &arguments, &[0]).1
    };
    import(&first, &[]);
    assert!(import(&second, &["--add"]).contains("1 added, 3 as before"));
    assert!(import(&second, &[]).contains("0 added, 2 as before, 2 ended"));
    intel(&site, &["show", "evil-b.com"], &[1]);
    let (shown, _) = intel(&site, &["show", "evil-d.com"], &[0]);
    assert!(shown.contains(r#""source":"feed""#), "{shown}");
    // With a lifetime, what is gone counts for a while.
    assert!(
        import(&first, &["--lifetime", "7d"]).contains("2 added, 1 as before, 1 no longer listed")
    );
    intel(&site, &["show", "evil-d.com"], &[0]);
    let (sources, _) = intel(&site, &["sources"], &[0]);
    assert!(sources.contains(r#""indicators":3,"ending":1"#), "{sources}");
    let (imports, _) = intel(&site, &["history", "feed"], &[0]);
    assert_eq!(imports.lines().count(), 4);
    let (changes, _) = intel(&site, &["history", "feed", "--subjects"], &[0]);
    assert!(changes.lines().next().unwrap().contains(r#""act":"#), "{changes}");
    intel(&site, &["withdraw", "feed"], &[0]);
    for name in ["evil-a.com", "evil-c.com", "evil-d.com"] {
        intel(&site, &["show", name], &[1]);
    }
    intel(&site, &["withdraw", "feed"], &[1]);
    intel(&site, &["withdraw", "nobody"], &[1]);
}

#[test]
fn mistakes_of_a_feed_are_counted_and_do_no_harm() {
    let site = site();
    run(&mut site.pdns(), &["tag", "set", "trust", "harmless.org"]).with(&[0]);
    let file = list(
        &site,
        "bad.txt",
        &[".com", "8.8.8.8", "10.0.0.0/8", "harmless.org", "!!!", "really-evil.com"],
    );
    let (_, said) = intel(&site, &["import", file.to_str().unwrap()], &[1]);
    assert!(said.contains("1 indicator from bad: 1 added"), "{said}");
    for text in
        ["public suffixes: .com", "8.8.8.8", "10.0.0.0/8", "trusted by an analyst: harmless.org"]
    {
        assert!(said.contains(text), "{text}: {said}");
    }
    for subject in ["www.example.com", "8.8.8.8", "10.1.2.3", "harmless.org"] {
        intel(&site, &["show", subject], &[1]);
    }
    let empty = list(&site, "empty.txt", &["# nothing"]);
    intel(&site, &["import", empty.to_str().unwrap(), "--source", "bad"], &[2]);
    intel(&site, &["show", "really-evil.com"], &[0]);
    let broken = site.home.write("broken.json", r#"{"type":"bundle","objects":[{"type":"indi"#);
    intel(&site, &["import", broken.to_str().unwrap(), "--source", "bad"], &[2]);
    intel(&site, &["show", "really-evil.com"], &[0]);
}

#[test]
fn what_an_analyst_trusts_silences_feeds_and_they_stay_visible() {
    let site = site();
    let file = list(
        &site,
        "feed.txt",
        &["www.evil-one.com", "45.61.1.2", "user.github.io", "x.s3.amazonaws.com"],
    );
    intel(&site, &["import", file.to_str().unwrap()], &[0]);
    for trusted in [".evil-one.com", "45.61.0.0/16", ".github.io", ".amazonaws.com"] {
        run(&mut site.pdns(), &["tag", "set", "trust", trusted]).with(&[0]);
    }
    let (shown, _) = intel(&site, &["show", "www.evil-one.com"], &[0]);
    assert!(shown.contains(r#""overridden_by":".evil-one.com""#), "{shown}");
    let (shown, _) = intel(&site, &["show", "45.61.1.2"], &[0]);
    assert!(shown.contains(r#""overridden_by":"45.61.0.0/16""#), "{shown}");
    for exempt in ["user.github.io", "x.s3.amazonaws.com"] {
        let (shown, _) = intel(&site, &["show", exempt], &[0]);
        assert!(!shown.contains("overridden_by"), "{exempt}: {shown}");
    }
    let rows = site.typed("find --tag threat --format plain");
    assert!(rows.contains("nothing found") || rows.contains("[1]"), "{rows}");
}

#[test]
fn what_an_analyst_trusts_is_not_imported_as_a_threat() {
    let site = site();
    for (kind, subject) in [
        ("trust", ".evil-one.com"),
        ("trust", "45.61.0.0/16"),
        ("trust", ".github.io"),
        ("trust", ".amazonaws.com"),
        ("threat", "bad.evil-one.com"),
    ] {
        run(&mut site.pdns(), &["tag", "set", kind, subject]).with(&[0]);
    }
    let refused = ["www.evil-one.com", "45.61.1.2", "45.61.9.0/24"];
    let accepted =
        ["bad.evil-one.com", "user.github.io", "x.s3.amazonaws.com", "45.62.9.9", "evil-two.net"];
    let file = list(&site, "feed.txt", &[refused.as_slice(), &accepted].concat());
    let (_, said) = intel(&site, &["import", file.to_str().unwrap()], &[1]);
    assert!(said.contains("5 indicators from feed: 5 added"), "{said}");
    assert!(said.contains("trusted by an analyst: "), "{said}");
    for subject in refused {
        assert!(said.contains(subject), "{subject}: {said}");
    }
    // The analyst's tags show as well: what the feed says is beside them.
    for (subject, is_listed) in
        refused.map(|one| (one, false)).into_iter().chain(accepted.map(|one| (one, true)))
    {
        let ended = run(&mut site.pdns(), &["intel", "show", subject]);
        assert_eq!(
            ended.stdout.contains(r#""source":"feed""#),
            is_listed,
            "{subject}: {}",
            ended.stdout
        );
    }
}

/// The subjects and confidences of all indicators.
fn all(server: &Redis) -> Vec<(String, String, u8)> {
    let mut store = Store::open(&options(server)).unwrap();
    let mut all = Vec::new();
    store
        .reader()
        .all_indicators(2_000, &mut |one| {
            all.push((one.source, one.subject.to_string(), one.confidence));
        })
        .unwrap();
    all.sort();
    all
}

fn listed(at: u32) -> ListedIndicator {
    let name = NameBuf::parse(&format!("n{at}.evil{}.com", at % 977)).unwrap();
    ListedIndicator {
        confidence: Some(u8::try_from(at % 100).unwrap()),
        ..ListedIndicator::new(TagSubject::Name(name))
    }
}

#[test]
fn two_sources_are_imported_at_once_and_one_source_by_one_process_alone() {
    let server = Redis::start();
    Store::open(&options(&server)).unwrap();
    let import = |source: &'static str, numbers: std::ops::Range<u32>| {
        let options = options(&server);
        std::thread::spawn(move || {
            let mut store = Store::open(&options).unwrap();
            let mut import = store.indicators().import(ImportSpec::new(source, 1_000)).unwrap();
            for at in numbers {
                import.add(&listed(at)).unwrap();
            }
            import.commit(&mut |_| ()).unwrap().tally
        })
    };
    let imports = [import("a", 0..20_000), import("b", 10_000..30_000), import("c", 0..30_000)];
    let tallies = imports.map(|import| import.join().unwrap());
    assert_eq!(tallies.map(|tally| tally.added), [20_000, 20_000, 30_000]);
    assert_eq!(all(&server).len(), 70_000);
    let mut store = Store::open(&options(&server)).unwrap();
    let mut other = Store::open(&options(&server)).unwrap();
    let mut import = store.indicators().import(ImportSpec::new("a", 1_001)).unwrap();
    import.add(&listed(1)).unwrap();
    let refused = other.indicators().import(ImportSpec::new("a", 1_001)).map(drop);
    assert!(matches!(refused, Err(StoreError::Leased { .. })), "{refused:?}");
    drop(import);
    // An import that was given up gives its lease back, and has changed nothing.
    let import = other.indicators().import(ImportSpec::new("a", 1_001)).unwrap();
    drop(import);
    assert_eq!(all(&server).len(), 70_000);
    // A process that is killed keeps its lease for a minute.
    std::mem::forget(store.indicators().import(ImportSpec::new("a", 1_001)).unwrap());
    assert!(other.indicators().import(ImportSpec::new("a", 1_060)).is_err());
    assert!(other.indicators().import(ImportSpec::new("a", 1_061)).is_ok());
}

#[test]
fn indicators_of_subjects_are_those_that_a_walk_through_all_finds() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let subject = |random: &mut fastrand::Rng| -> TagSubject {
        let name = |random: &mut fastrand::Rng| {
            let labels = ["a", "b", "c", "com"];
            let count = random.usize(1..5);
            let labels: Vec<&str> = (0..count).map(|_| random.choice(labels).unwrap()).collect();
            NameBuf::parse(&labels.join(".")).unwrap()
        };
        match random.u8(0..3) {
            0 => TagSubject::Name(name(random)),
            1 => TagSubject::Below(name(random)),
            _ => {
                let bits = random.u32(0..1 << 10) << 22 | random.u32(0..1 << 9);
                let (address, most): (std::net::IpAddr, u8) = if random.bool() {
                    (std::net::Ipv4Addr::from(bits).into(), 32)
                } else {
                    let bits = u128::from(bits) << 96 | u128::from(bits) << 60;
                    (std::net::Ipv6Addr::from(bits).into(), 128)
                };
                let net = ipnet::IpNet::new(address, random.u8(0..=most)).unwrap();
                TagSubject::Net(net.trunc())
            }
        }
    };
    let mut stored = std::collections::BTreeSet::new();
    let mut import = store.indicators().import(ImportSpec::new("s", 1_000)).unwrap();
    for _ in 0..2_000 {
        let subject = subject(&mut random);
        import.add(&ListedIndicator::new(subject.clone())).unwrap();
        stored.insert(subject);
    }
    import.commit(&mut |_| ()).unwrap();
    let mut found_any = 0;
    for _ in 0..300 {
        let wanted = subject(&mut random);
        let (found, _) =
            store.reader().indicators_of(std::slice::from_ref(&wanted), 1_000).unwrap();
        let mut found: Vec<TagSubject> = found.into_iter().map(|one| one.subject).collect();
        found.sort();
        let want: Vec<TagSubject> =
            stored.iter().filter(|stored| wanted.is_within(stored)).cloned().collect();
        assert_eq!(found, want, "{wanted}");
        found_any += want.len();
    }
    assert!(found_any > 500, "{found_any}");
}

#[test]
fn verify_finds_and_removes_what_of_indicators_cannot_be_read() {
    let site = site();
    let lines: Vec<String> = (0..500).map(|at| format!("evil{at}.com # note {at}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let file = list(&site, "feed.txt", &lines);
    let import = || intel(&site, &["import", file.to_str().unwrap()], &[0]).1;
    import();
    let verify = |more: &[&str], codes: &[i32]| {
        run(&mut site.pdns(), &[&["admin", "verify"], more].concat()).with(codes)
    };
    assert_eq!(verify(&[], &[0]), "");
    let hurt: [&[&str]; 6] = [
        &["HSET", "pd:{tags}ib00", "x", "y"],
        &["HSET", "pd:{tags}ib01", "v", "z"],
        &["HDEL", "pd:{tags}i", "=feed", "s"],
        &["SET", "pd:{tags}ib05", "text"],
        &["DEL", "pd:{tags}is"],
        &["HSET", "pd:{tags}iw", "x", "y"],
    ];
    for command in hurt {
        if command[0] == "SET" {
            site.server.call(&["DEL", command[1]]);
        }
        site.server.call(command);
        assert_ne!(verify(&[], &[1]), "", "{command:?}");
        verify(&["--repair"], &[0, 1]);
        assert_eq!(verify(&[], &[0]), "", "{command:?}");
        import();
        assert_eq!(all(&site.server).len(), 500, "{command:?}");
    }
}

#[test]
fn an_import_that_is_broken_off_is_told_of_and_can_be_withdrawn_from_a_full_store() {
    let site = site();
    let lines: Vec<String> =
        (0..30_000).map(|at| format!("w{at}.evil{}.com", at % 9_973)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let file = list(&site, "big.txt", &lines);
    let info: String =
        redis::cmd("INFO").arg("memory").query(&mut site.server.connection()).unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let limit = used.trim().parse::<u64>().unwrap() + 400_000;
    site.server.call(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    let (_, said) = intel(&site, &["import", file.to_str().unwrap()], &[2]);
    assert!(said.contains("the store is full"), "{said}");
    assert!(!all(&site.server).is_empty());
    let (sources, _) = intel(&site, &["sources"], &[0]);
    assert!(sources.contains("no import was completed"), "{sources}");
    run(&mut site.pdns(), &["admin", "verify"]).with(&[1]);
    intel(&site, &["withdraw", "big"], &[0]);
    assert_eq!(all(&site.server), []);
    intel(&site, &["withdraw", "big"], &[1]);
    run(&mut site.pdns(), &["admin", "verify"]).with(&[0]);
}

#[test]
fn trust_of_a_feed_in_everything_is_refused_and_records_of_what_is_secret_are_not_shared() {
    let site = site();
    let wide = list(&site, "wide.txt", &[".com", "0.0.0.0/1", "good-host.org"]);
    let (_, said) = intel(&site, &["import", wide.to_str().unwrap(), "--kind", "trust"], &[1]);
    assert!(said.contains("1 indicator from wide"), "{said}");
    let open = list(&site, "open.txt", &["45.61.1.0/24"]);
    let secret = list(&site, "secret.txt", &["www.evil-one.com"]);
    let with = |file: &PathBuf, tlp: &str| {
        intel(&site, &["import", file.to_str().unwrap(), "--tlp", tlp], &[0]);
    };
    with(&open, "green");
    with(&secret, "red");
    for format in ["stix", "misp", "jsonl"] {
        let shared =
            run(&mut site.pdns(), &["export", "--tag", "threat", "--format", format]).with(&[0]);
        assert!(
            shared.contains("45.61.1.0/24") && !shared.contains("evil-one"),
            "{format}: {shared}"
        );
    }
    let url = "https://user:hunter2@127.0.0.1:1/secret-path/list.txt";
    let (_, said) = intel(&site, &["import", url], &[2]);
    assert!(!said.contains("hunter2") && !said.contains("secret-path"), "{said}");
}
