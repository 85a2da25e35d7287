//! Facts about busy subjects: what the page and the command line say, against what was put into the store.

use super::{START, Site, add, wire};
use crate::run::run;
use crate::store::options;
use pdns_agent::query::MAX_ON_ADDRESS;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use std::fmt::Write as _;
use std::process::Command;

/// Names on the busy address.
const NAMES: u32 = 3_000;
/// Seconds between two of them.
const APART: u32 = 1_000;

/// When a name was seen: in another order than that of the numbers or of the store.
fn seen(number: u32) -> u32 {
    number * 7_919 % NAMES * APART
}

/// The number of the name that was seen in this place.
fn number_at(place: u32) -> u32 {
    (0..NAMES).find(|&number| seen(number) == place * APART).unwrap()
}

fn name(number: u32) -> String {
    format!("n{number}.busy.example")
}

fn busy() -> Site {
    let site = Site::new();
    let mut store = Store::open(&options(&site.redis)).unwrap();
    let mut rows: Vec<_> = (0..NAMES)
        .map(|number| (name(number), RrType::A, vec![198, 19, 7, 200], seen(number)))
        .collect();
    // Forty addresses, of which the last but two lies next to a threat.
    for low in 0..40 {
        rows.push(("many.example".to_owned(), RrType::A, vec![198, 18, low, 1], u32::from(low)));
    }
    rows.push(("next.example".to_owned(), RrType::A, vec![198, 19, 7, 201], 5));
    rows.push(("alias.example".to_owned(), RrType::CNAME, wire("next.example"), 6));
    add(&mut store, 2, &rows);
    site
}

fn pdns(site: &Site) -> Command {
    let mut command = site.home.pdns();
    command.env("PDNS_REDIS", site.redis.url());
    command
}

/// The day and time of so many seconds after [`START`], as a page has it for machines.
fn iso(after: u32) -> String {
    let time = jiff::Timestamp::from_second(i64::from(START + after)).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn date(after: u32) -> String {
    iso(after)[..10].to_owned()
}

/// The names that a part of a page links to, in its order.
fn names_in(html: &str) -> Vec<String> {
    let links = html.split("href=\"/context/").skip(1);
    let names = links.map(|rest| rest.split('"').next().unwrap().to_owned());
    names.filter(|name| name.starts_with('n') && name.ends_with(".busy.example")).collect()
}

/// The names seen last, the latest first.
fn latest(count: u32) -> Vec<String> {
    (NAMES - count..NAMES).rev().map(|place| name(number_at(place))).collect()
}

#[test]
fn a_busy_address_has_its_true_first_last_and_latest() {
    let site = busy();
    let page = site.get("/context/198.19.7.200").body;
    let last = (NAMES - 1) * APART;
    let want = format!("Seen 3\u{202f}000 times, from {} to {} (", date(0), date(last));
    assert!(page.contains(&want), "{page}");
    assert!(page.contains("3\u{202f}000 names in 3\u{202f}000 records."), "{page}");
    assert!(page.contains("the latest 25 of 3\u{202f}000"), "{page}");
    let records = page.split("id=\"records\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(names_in(records), latest(25));
    // The same on the command line, without an order and with one.
    for sort in [&[][..], &["--sort", "last"]] {
        let words = [&["198.19.7.200", "--limit", "25", "--format", "plain"], sort].concat();
        let shown = run(&mut pdns(&site), &words).with(&[0]);
        let names: Vec<&str> = shown.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(names, latest(25));
    }
    // What came last to the prefix, and below the domain.
    let page = site.get("/context/198.19.7.201").body;
    let newest = page.split("Newest in").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(names_in(newest), latest(10));
    assert!(newest.contains("the newest 10 of 3\u{202f}000 names"), "{newest}");
    let page = site.get("/context/*.busy.example").body;
    assert!(page.contains("3\u{202f}000 names below."), "{page}");
    let newest = page.split("Newest names below").nth(1).unwrap();
    assert_eq!(names_in(newest.split("</section>").next().unwrap()), latest(30));
    let own = name(number_at(NAMES - 1));
    let page = site.get(&format!("/context/{own}")).body;
    let newest = page.split("Newest under").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(names_in(newest), latest(11)[1..]);
    assert!(newest.contains("the newest 10 of 2\u{202f}999 names"), "{newest}");
    // The record that covers the event is not among those shown.
    let at = START + seen(number_at(3));
    let page = site.get(&format!("/context/198.19.7.200?t={at}")).body;
    assert!(page.contains("one record covers the time of this event"), "{page}");
}

#[test]
fn of_more_than_is_read_nothing_is_called_first_or_latest() {
    let site = busy();
    let mut store = Store::open(&options(&site.redis)).unwrap();
    let most = u32::try_from(MAX_ON_ADDRESS).unwrap();
    let rows: Vec<_> = (0..=most)
        .map(|number| (format!("m{number}.host.example"), RrType::A, vec![198, 19, 0, 9], number))
        .collect();
    add(&mut store, 3, &rows);
    let page = site.get("/context/198.19.0.9").body;
    let main = page.split("<main").nth(1).unwrap().split("id=\"tags\"").next().unwrap();
    let part = "of the first 50\u{202f}000 records read";
    assert!(main.contains(part), "{main}");
    assert!(
        main.contains("25 of the first 50\u{202f}000 that were read; there are more"),
        "{main}"
    );
    for word in ["latest", "Newest", "newest", " from ", "Seen "] {
        assert!(!main.contains(word), "{word}: {main}");
    }
    let shown = run(&mut pdns(&site), &["show", "198.19.0.9", "--format", "json"]).with(&[0]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let sums = &shown["records_sums"];
    assert_eq!((&sums["complete"], &sums["rows_read"]), (&false.into(), &50_000.into()));
    assert!(shown.get("time_first").is_none(), "{shown}");
    let page = site.get("/context/198.19.0.10").body;
    let near = page.split("class=\"card vicinity\"").nth(1).unwrap();
    assert!(
        near.contains("Some names in") && near.contains("50\u{202f}000 records read; there are")
    );
    assert!(!near.contains("ewest"), "{near}");
    // The command line reads more, and names its limit where that is reached.
    run(&mut pdns(&site), &["tag", "set", "threat", "198.19.0.9"]).with(&[0]);
    let ended = run(&mut pdns(&site), &["near", "198.19.0.8"]);
    let line: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&line["names"], &line["names_of_first"]), (&50_000.into(), &50_000.into()));
    let said = "198.19.0.9: the names of the first 50000 records are counted, and there are more";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let shown = run(&mut pdns(&site), &["198.19.0.9", "--limit", "3", "--format", "plain"]);
    let want: Vec<String> =
        (most - 2..=most).rev().map(|n| format!("m{n}.host.example\tA\t198.19.0.9")).collect();
    assert_eq!(shown.stdout.lines().collect::<Vec<_>>(), want);
    assert!(!shown.stderr.contains("were read"), "{}", shown.stderr);
}

#[test]
fn a_profile_says_what_the_page_says() {
    let site = busy();
    run(&mut pdns(&site), &["tag", "set", "threat", "198.18.37.2"]).with(&[0]);
    let show = |subject: &str| -> serde_json::Value {
        let shown = run(&mut pdns(&site), &["show", subject, "--format", "json"]).with(&[0]);
        serde_json::from_str(&shown).unwrap()
    };
    let names = |rows: &serde_json::Value| -> Vec<String> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["rrname"].as_str().unwrap().to_owned()).collect()
    };
    let address = show("198.19.7.200");
    assert_eq!(names(&address["records"]), latest(25));
    let sums = &address["records_sums"];
    assert_eq!(sums["rows_read"], NAMES);
    assert_eq!(sums["complete"], true);
    assert_eq!(
        (&sums["time_first"], &sums["time_last"]),
        (&address["time_first"], &address["time_last"])
    );
    assert_eq!(address["time_first"], START);
    assert_eq!(address["time_last"], START + (NAMES - 1) * APART);
    assert_eq!(address["see_also"][0], "198.19.7.0/24");
    // The same rows as a look-up and the page have.
    let words = ["198.19.7.200", "--limit", "25", "--format", "json"];
    let rows: Vec<serde_json::Value> = run(&mut pdns(&site), &words)
        .with(&[0])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(address["records"].as_array().unwrap(), &rows);
    let below = show("*.busy.example");
    assert_eq!(below["neighbourhoods"][0]["names"], NAMES);
    assert_eq!(names(&below["neighbourhoods"][0]["newest"]), latest(30));
    let many = show("many.example");
    assert_eq!(many["nearest_threat"]["subject"], "198.18.37.2");
    assert_eq!(many["nearest_threat_from"], "198.18.37.1");
    assert_eq!((&many["addresses"], &many["addresses_compared"]), (&40.into(), &40.into()));
    let next = show("next.example");
    assert_eq!(names(&next["pointing"]), ["alias.example"]);
    // What a nearer tag overrides is told apart.
    run(&mut pdns(&site), &["tag", "set", "threat", ".busy.example"]).with(&[0]);
    run(&mut pdns(&site), &["tag", "set", "trust", "n1.busy.example"]).with(&[0]);
    let one = show("n1.busy.example");
    let kinds = |tags: &serde_json::Value| -> Vec<String> {
        tags.as_array()
            .unwrap()
            .iter()
            .map(|tag| tag["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (kinds(&one["tags"]), kinds(&one["tags_overridden"])),
        (vec!["trust".to_owned()], vec!["threat".to_owned()])
    );
    // Of all names below one there are no sums.
    assert!(below.get("records").is_none() && below.get("time_first").is_none(), "{below}");
    let tree = show(".busy.example");
    assert_eq!(tree["records_of"], "busy.example");
    assert!(tree.get("time_first").is_none(), "{tree}");
    // On a terminal the sentences of the page.
    let shown = run(&mut pdns(&site), &["show", "198.19.7.200", "--format", "table"]).with(&[0]);
    let last = (NAMES - 1) * APART;
    let want = format!("Seen 3000 times, from {} to {} (", date(0), date(last));
    assert!(shown.contains(&want), "{shown}");
    assert!(shown.contains("Records that point here (the latest 25 of 3000)"), "{shown}");
    // What there was no time to read is said.
    let ended = run(&mut pdns(&site), &["show", "nothing.example"]);
    assert_eq!(ended.code, Some(1));
    let ended = run(&mut pdns(&site), &["show", "a.example, b.example"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("has several subjects"), "{}", ended.stderr);
}

#[test]
fn the_history_of_a_subject_is_whole_after_an_import() {
    let site = busy();
    let mut list = String::new();
    for number in 0..4_000 {
        writeln!(list, "f{number}.feed.example").unwrap();
    }
    let list = site.home.write("feed.txt", list);
    let tag = |words: &[&str]| {
        let words = [&["tag"], words].concat();
        run(&mut pdns(&site), &words).with(&[0]);
    };
    tag(&["set", "threat", "many.example", "--note", "long ago"]);
    tag(&["clear", "many.example", "--note", "was wrong"]);
    tag(&["import", list.to_str().unwrap(), "--kind", "threat"]);
    for number in 0..60 {
        tag(&["set", "interest", "next.example", "--note", &format!("round {number}")]);
    }
    let page = site.get("/context/many.example").body;
    let history = page.split("<summary>History").nth(1).unwrap();
    assert!(history.contains("long ago") && history.contains("was wrong"), "{history}");
    assert!(!history.contains("changes."), "{history}");
    let page = site.get("/context/next.example").body;
    let history = page.split("<summary>History").nth(1).unwrap();
    assert!(history.contains("The latest 50 of 60 changes."), "{history}");
    assert!(history.contains("round 59") && !history.contains("round 9<"), "{history}");
}

#[test]
fn the_nearest_threat_is_that_of_all_addresses_and_no_tag_is_left_out() {
    let site = busy();
    let mut tagged = vec!["tag", "set", "threat", "198.18.37.2", "10.0.0.1"];
    run(&mut pdns(&site), &tagged).with(&[0]);
    let page = site.get("/context/many.example").body;
    let near = page.split("<h2>Nearest threat").nth(1).unwrap();
    let near = near.split("</section>").next().unwrap();
    assert!(near.contains("198.18.37.2") && near.contains("198.18.37.1"), "{near}");
    assert!(near.contains("<strong>1.0</strong>") && !near.contains("compared"), "{near}");
    // What is trusted within a threat's prefix is none, here as on the command line.
    run(&mut pdns(&site), &["tag", "set", "threat", "198.18.5.0/24"]).with(&[0]);
    run(&mut pdns(&site), &["tag", "set", "trust", "198.18.5.0/30"]).with(&[0]);
    let shown = run(&mut pdns(&site), &["near", "198.18.5.1", "--format", "plain"]).with(&[0]);
    assert!(shown.starts_with("198.18.5.0/24\tthreat\t198.18.5.4\t3.0000\t"), "{shown}");
    // Tags on more than twenty prefixes and the address itself.
    let prefixes: Vec<String> = (8..=32).map(|length| format!("198.18.37.1/{length}")).collect();
    tagged =
        [&["tag", "set", "interest"], &*prefixes.iter().map(String::as_str).collect::<Vec<_>>()]
            .concat();
    run(&mut pdns(&site), &tagged).with(&[0]);
    let page = site.get("/context/198.18.37.1").body;
    let tags = page.split("id=\"tags\"").nth(1).unwrap().split("<form class=\"judge\"").next();
    assert_eq!(tags.unwrap().matches("class=\"badge interest\"").count(), 25);
}

#[test]
fn badges_stand_at_their_end_and_an_overridden_tag_is_none() {
    let site = busy();
    for (kind, subject) in [
        ("threat", ".example"),
        ("trust", "next.example"),
        ("threat", "198.19.7.201"),
        ("interest", "alias.example"),
    ] {
        run(&mut pdns(&site), &["tag", "set", kind, subject]).with(&[0]);
    }
    let page = site.get("/context/next.example").body;
    let title = page.split("class=\"title\"").nth(1).unwrap().split("</div>").next().unwrap();
    assert!(title.contains("badge trust") && !title.contains("badge threat"), "{title}");
    let records = page.split("id=\"records\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(records.contains("badge threat\" title=\"rdata: threat by 198.19.7.201"), "{records}");
    let pointing =
        page.split("id=\"pointing\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(pointing.contains("title=\"rrname: threat by .example"), "{pointing}");
    assert!(pointing.contains("title=\"rrname: interest by alias.example"), "{pointing}");
    assert!(!pointing.contains("badge trust"), "{pointing}");
    let tags = page.split("id=\"tags\"").nth(1).unwrap();
    assert!(tags.contains("badge threat overridden"), "{tags}");
    let page = site.get("/context/198.19.7.201").body;
    let records = page.split("id=\"records\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(records.contains("title=\"rrname: trust by next.example"), "{records}");
    assert!(!records.contains("badge threat"), "{records}");
}
