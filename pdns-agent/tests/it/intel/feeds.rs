//! Real feeds, read completely: the numbers are counted again in another way. Where they are not there, our own files
//! of the same names take their place.

use crate::support::Data;
use pdns_agent::exchange::intel::{
    IntelFormat as Is, IntelItem, IntelOptions, IntelSummary, SkipReason, detect, read_intel,
};
use pdns_agent::indicator::ListedIndicator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

fn feed(name: &str) -> String {
    std::fs::read_to_string(Data::of("dga/feeds").folder.join(name)).unwrap()
}

/// All entries of a feed.
struct Read {
    items: Vec<IntelItem>,
    summary: IntelSummary,
}

impl Read {
    fn indicators(&self) -> Vec<&ListedIndicator> {
        let items = self.items.iter().filter_map(|item| match item {
            IntelItem::Indicator(indicator) => Some(indicator),
            _ => None,
        });
        items.collect()
    }
}

/// Reads a feed whose format is known; that it is detected is checked only where the file is the real one.
fn read(format: Is, name: &str, text: &str) -> Read {
    if !text.contains("documentation addresses") {
        assert_eq!(detect(text.as_bytes(), name), format, "{name}");
    }
    let options = IntelOptions { format: Some(format), ..IntelOptions::default() };
    let mut items = Vec::new();
    let summary = read_intel(&mut text.as_bytes(), &options, &mut |item| {
        items.push(item);
        ControlFlow::Continue(())
    });
    Read { items, summary: summary.unwrap() }
}

fn data_lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn problems(read: &Read) -> Vec<String> {
    let problems = read.items.iter().filter_map(|item| match item {
        IntelItem::Problem(problem) => Some(problem.to_string()),
        _ => None,
    });
    problems.collect()
}

fn total(read: &Read) -> u64 {
    let summary = &read.summary;
    summary.indicators + summary.problems + summary.revoked + summary.skipped.values().sum::<u64>()
}

#[test]
fn ipsum_is_read_completely() {
    let text = feed("ipsum_head.txt");
    let read = read(Is::Ipsum, "ipsum_head.txt", &text);
    let lines = data_lines(&text);
    assert_eq!(read.summary.indicators, lines.len() as u64);
    assert_eq!(read.items.len(), lines.len());
    let eight =
        lines.iter().filter(|line| line.rsplit('\t').next().unwrap().parse::<u32>().unwrap() >= 8);
    let certain = read.indicators().iter().filter(|one| one.confidence == Some(100)).count();
    assert_eq!(certain, eight.count());
}

#[test]
fn blackbook_is_read_completely() {
    let text = feed("blackbook_head.csv");
    let read = read(Is::Csv, "blackbook_head.csv", &text);
    let lines = data_lines(&text);
    assert_eq!(total(&read), lines.len() as u64 - 1);
    let of =
        |family: &str| lines.iter().filter(|line| line.split(',').nth(1) == Some(family)).count();
    let labelled = |family: &str| {
        read.indicators()
            .iter()
            .filter(|one| one.labels.iter().any(|label| label == family))
            .count()
    };
    assert!(of("amadey") + of("made") > 0);
    for family in ["amadey", "lokibot", "unam", "made"] {
        assert_eq!(labelled(family), of(family), "{family}");
    }
    assert!(read.indicators().iter().all(|one| one.first_listed.is_some()));
    assert_eq!(read.summary.problems, 0, "{:?}", problems(&read));
}

#[test]
fn trails_are_read_completely() {
    for name in ["maltrail_emotet.txt", "maltrail_ramnit.txt", "maltrail_virut.txt"] {
        let text = feed(name);
        let read = read(Is::Maltrail, name, &text);
        let lines = data_lines(&text);
        assert_eq!(total(&read), lines.len() as u64, "{name}");
        let with_port = lines.iter().filter(|line| {
            line.split_once(':').is_some_and(|(host, port)| {
                host.parse::<IpAddr>().is_ok() && port.bytes().all(|octet| octet.is_ascii_digit())
            })
        });
        let conditional = read.indicators().iter().filter(|one| one.is_conditional).count();
        assert_eq!(conditional, with_port.count(), "{name}");
        let paths = lines.iter().filter(|line| line.contains('/')).count() as u64;
        let skipped = |reason| read.summary.skipped.get(&reason).copied().unwrap_or_default();
        assert_eq!(skipped(SkipReason::Url) + skipped(SkipReason::Path), paths, "{name}");
        // One of the files is the first 60 kB of a trail, and ends within an address.
        let is_cut = !text.ends_with('\n');
        assert!(read.summary.problems <= u64::from(is_cut), "{name}: {:?}", problems(&read));
        let referenced = read.indicators().iter().filter(|one| !one.reference.is_empty()).count();
        let has_references = text.contains("# Reference:");
        assert!(!has_references || referenced * 10 > read.indicators().len() * 9, "{name}");
    }
}

/// Counts the attributes of an event, wherever they are, by type and `to_ids`.
fn attributes(value: &Value, counts: &mut BTreeMap<(String, bool), u64>) {
    match value {
        Value::Object(members) => {
            if let (Some(Value::String(kind)), Some(Value::Bool(flag))) =
                (members.get("type"), members.get("to_ids"))
            {
                *counts.entry((kind.clone(), *flag)).or_default() += 1;
            }
            members.values().for_each(|value| attributes(value, counts));
        }
        Value::Array(values) => values.iter().for_each(|value| attributes(value, counts)),
        _ => {}
    }
}

#[test]
fn events_of_eset_are_read_completely() {
    for name in ["eset_misp-turla-powershell-event.json", "eset_misp-xdspy-event.json"] {
        let text = feed(name);
        let read = read(Is::Misp, name, &text);
        let mut counts = BTreeMap::new();
        attributes(&serde_json::from_str(&text).unwrap(), &mut counts);
        let count = |kinds: &[&str]| {
            let of = |kind: &&str| counts.get(&((*kind).to_owned(), true)).copied().unwrap_or(0);
            kinds.iter().map(of).sum::<u64>()
        };
        let network = ["domain", "hostname", "ip-src", "ip-dst", "ip-dst|port", "ip-src|port"];
        let more = 2 * count(&["domain|ip"]);
        assert_eq!(read.summary.indicators, count(&network) + more, "{name}");
        let skipped = |reason| read.summary.skipped.get(&reason).copied().unwrap_or_default();
        let unmeant: u64 =
            counts.iter().filter(|((_, flag), _)| !flag).map(|(_, count)| count).sum();
        assert_eq!(skipped(SkipReason::NotForDetection), unmeant, "{name}");
        assert_eq!(skipped(SkipReason::Url), count(&["url", "uri", "link"]), "{name}");
        let is_eset = text.contains("\"name\": \"ESET\"");
        assert_eq!(read.summary.producer.as_deref(), is_eset.then_some("ESET"));
        assert_eq!(read.summary.problems, 0, "{name}");
        assert_eq!(total(&read), counts.values().sum::<u64>() + more / 2, "{name}");
    }
}
