//! Real logs and the golden logs of Zeek's own tests: nothing panics, every line is accounted for, and
//! what is known of some of them by hand comes out.

use crate::support::Data;
use flate2::read::MultiGzDecoder;
use pdns_agent::decode::zeek::{Decoder, Options};
use pdns_agent::decode::{Filter, Line, Omission, Rejection, Tally};
use pdns_agent::observation::{Aggregated, Fact, Seen};
use pdns_agent::rdata::FinalDot;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The octets of a log; of a broken gzip file as many as can be had. Golden logs get a time.
fn read(path: &Path) -> Vec<u8> {
    let raw = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut octets = Vec::new();
        if let Err(error) = MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut octets) {
            assert!(path.to_string_lossy().contains("corrupt"), "{}: {error}", path.display());
        }
        return octets;
    }
    let Ok(text) = std::str::from_utf8(&raw) else { return raw };
    let text = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("### BTest") => rest,
        _ => text,
    };
    text.replace("XXXXXXXXXX.XXXXXX", "1300000000.000000").into_bytes()
}

fn show(observation: &Aggregated<'_>) -> String {
    let fact = match observation.fact {
        Fact::Record(rdata) => {
            let text = rdata.to_text(FinalDot::Without);
            format!("{} {text}{}", rdata.rrtype, if rdata.partial { " partial" } else { "" })
        }
        Fact::Negative { qtype, outcome } => format!("{qtype} {outcome}"),
    };
    let ttl = Some(observation.seen.ttl_last).filter(|&ttl| ttl != Seen::NO_TTL);
    let ttl = ttl.map_or(String::new(), |ttl| format!(" {ttl}"));
    format!("{} {fact}{ttl}", observation.rrname)
}

/// Every observation of a log, with its time, and what became of the lines.
fn decode(octets: &[u8], options: Options) -> (Vec<(u32, String)>, Tally) {
    let mut decoder = Decoder::new(options);
    let mut seen = Vec::new();
    let text = octets.strip_suffix(b"\n").unwrap_or(octets);
    for line in text.split(|&octet| octet == b'\n') {
        let before = seen.len();
        let ending = decoder.line(line, &mut |one| seen.push((one.seen.time_first, show(&one))));
        assert!(ending == Ok(Line::Counted) || seen.len() == before);
    }
    let tally = decoder.take_tally();
    assert_eq!(tally.lines, text.split(|&octet| octet == b'\n').count() as u64);
    assert_eq!(tally.lines, tally.endings());
    assert_eq!(tally.records + tally.negatives, seen.len() as u64);
    (seen, tally)
}

fn shown(octets: &[u8], options: Options) -> (Vec<String>, Tally) {
    let (seen, tally) = decode(octets, options);
    (seen.into_iter().map(|(_, text)| text).collect(), tally)
}

#[test]
fn every_line_of_every_log_is_accounted_for() {
    let data = Data::of("zeek-logs");
    let logs = &data.folder;
    let mut paths = Vec::new();
    files(logs, &mut paths);
    paths.sort();
    let mut total = Tally::default();
    for path in &paths {
        for keep_multicast in [false, true] {
            let (_, tally) = decode(&read(path), Options { keep_multicast, ..Options::default() });
            if keep_multicast {
                total.merge(&tally);
                let text = path.strip_prefix(logs).unwrap().display().to_string();
                if !tally.rejected.is_empty() {
                    println!("{text}: rejected {:?}", tally.rejected);
                }
            }
        }
    }
    println!("{total:#?}");
    let (records, negatives) = data.pick((3000, 500), (1000, 100));
    assert!(total.records > records && total.negatives > negatives, "{total:?}");
}

/// A golden log by the name of its test.
fn golden(logs: &Path, name: &str) -> Vec<u8> {
    read(&logs.join("zeek-btest-baseline").join(name))
}

#[track_caller]
fn check(octets: &[u8], seen: &[&str], expect: impl FnOnce(&mut Tally)) {
    let (shown, tally) = shown(octets, Options::default());
    assert_eq!(shown, seen);
    // What is told of the lines is compared whole, so that nothing else happened to them.
    let mut want = Tally { lines: tally.lines, directives: tally.directives, ..Tally::default() };
    expect(&mut want);
    assert_eq!(tally, want);
}

#[test]
fn golden_logs_say_what_is_known_of_them() {
    let data = Data::of("zeek-logs");
    let logs = &data.folder;
    if data.is_own {
        return own_golden_logs(logs);
    }
    let base = |name: &str| golden(logs, &format!("scripts.base.protocols.dns.{name}__dns.log"));
    check(
        &base("multiple-txt-strings"),
        &[
            "flkr._domainkey.flickr.com CNAME fa14._domainkey.flickr.com 900",
            "fa14._domainkey.flickr.com CNAME fa14._domainkey.yahoo.com 900",
        ],
        |tally| {
            // A server that is no resolver was asked about flickr.com.
            (tally.counted, tally.records) = (1, 2);
            tally.omitted.add_many(Omission::OutOfBailiwick, 1);
        },
    );
    check(
        &base("flip"),
        &[
            "us.v27.distributed.net A 206.109.64.186 900",
            "us.v27.distributed.net A 216.1.205.81 900",
            "us.v27.distributed.net A 205.149.163.211 900",
            "us.v27.distributed.net A 134.53.131.135 900",
            "us.v27.distributed.net A 134.53.131.192 900",
            "us.v27.distributed.net A 128.104.18.148 900",
            "us.v27.distributed.net A 204.152.186.139 900",
            "us.v27.distributed.net A 63.77.33.226 900",
        ],
        |tally| (tally.counted, tally.records) = (1, 8),
    );
    check(&base("mdns-no-assoc"), &[], |tally| {
        tally.filtered.add_many(Filter::Port, 6);
    });
    check(&base("notify"), &["_acme-challenge.intmail.cbs.mpg.de NXT UNANSWERED"], |tally| {
        (tally.counted, tally.negatives) = (1, 1);
        tally.filtered.add_many(Filter::Opcode, 1);
        tally.rejected.add_many(Rejection::NoQuery, 1);
    });
    check(&base("dynamic-update"), &[], |tally| {
        tally.filtered.add_many(Filter::Opcode, 2);
    });
    let chain = [
        "www.cmu.edu CNAME www-cmu.andrew.cmu.edu 86400",
        "www-cmu.andrew.cmu.edu CNAME www-cmu-2.andrew.cmu.edu 5",
        "www-cmu-2.andrew.cmu.edu A 128.2.10.163 21600",
    ];
    check(&base("duplicate-reponses"), &[chain, chain].concat(), |tally| {
        (tally.counted, tally.records) = (2, 6);
        tally.omitted.add_many(Omission::RdataNotInLog, 2);
    });
    check(&base("zero-responses"), &[], |tally| {
        tally.counted = 1;
        tally.omitted.add_many(Omission::NodataOrReferral, 1);
    });
    check(
        &golden(logs, "scripts.policy.protocols.dns.original_case__dns.log"),
        &["us.v27.distributed.net A UNANSWERED"],
        |tally| (tally.counted, tally.negatives) = (1, 1),
    );
    // zeek-cut left times and TTLs out of this one.
    let naptr = golden(logs, "scripts.base.protocols.dns.naptr__dns.log.cut");
    let naptr = String::from_utf8(naptr).unwrap();
    let timed =
        naptr.trim_end().replacen("uid", "ts\tuid", 1).replacen("\nC", "\n1300000000.0\tC", 1);
    check(
        timed.as_bytes(),
        &["fp-de-carrier-vodafone.rcs.telephony.goog NAPTR 100 100 \"s\" \"SIPS+D2T\" \"\" \
           _sips._tcp.fp-de-carrier-vodafone.rcs.telephony.goog"],
        |tally| (tally.counted, tally.records, tally.ttl_mismatches) = (1, 1, 1),
    );
}

/// The same of our own.
fn own_golden_logs(logs: &Path) {
    let base = |name: &str| golden(logs, &format!("scripts.base.protocols.dns.{name}__dns.log"));
    check(
        &base("multiple-txt-strings"),
        &["a.example.com CNAME b.example.com 900", "b.example.com CNAME b.example.net 900"],
        |tally| {
            (tally.counted, tally.records) = (1, 2);
            tally.omitted.add_many(Omission::OutOfBailiwick, 1);
        },
    );
    let flip: Vec<String> =
        (1..=8).map(|host| format!("us.example.com A 192.0.2.{host} 900")).collect();
    let flip: Vec<&str> = flip.iter().map(String::as_str).collect();
    check(&base("flip"), &flip, |tally| (tally.counted, tally.records) = (1, 8));
    check(&base("mdns-no-assoc"), &[], |tally| {
        tally.filtered.add_many(Filter::Port, 3);
    });
    check(&base("nxdomain"), &["none.example.com A NXDOMAIN"], |tally| {
        (tally.counted, tally.negatives) = (1, 1);
    });
    check(&base("zero-responses"), &[], |tally| {
        tally.counted = 1;
        tally.omitted.add_many(Omission::NodataOrReferral, 1);
    });
}

#[test]
fn a_busy_site_comes_out_as_another_reader_counted_it() {
    let data = Data::of("zeek-logs");
    let octets = read(&data.folder.join("zeek-pdns/reddit_dns_2016-04-01.log"));
    let (shown, tally) = shown(&octets, Options::default());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in &shown {
        let owner_and_type = text.match_indices(' ').nth(1).unwrap().0;
        *counts.entry(&text[..owner_and_type]).or_default() += 1;
    }
    let real = [
        ("blog.reddit.com A", 75),
        ("buttons.reddit.com A", 210),
        ("np.reddit.com A", 45),
        ("oauth.reddit.com A", 45),
        // One of them is a question without an answer.
        ("reddit.com A", 1050 + 1),
        ("ssl.reddit.com A", 30),
        ("www.reddit.com A", 1665),
    ];
    let own = [
        ("blog.example.com A", 5 * 3),
        ("buttons.example.com A", 14 * 5),
        // A question without an answer.
        ("example.com A", 1),
        ("ssl.example.com A", 6),
        ("www.example.com A", 37 * 9),
    ];
    let want = if data.is_own { BTreeMap::from(own) } else { BTreeMap::from(real) };
    assert_eq!(counts, want);
    let lines = (tally.counted, tally.records, tally.negatives);
    assert_eq!(lines, data.pick((214, 3120, 1), (65, 424, 1)));
    assert_eq!(*tally.omitted, BTreeMap::from([(Omission::NodataOrReferral, data.pick(5, 2))]));
}

/// A TSV log of DNS in Zeek's usual form as JSON; escapes of octets stay as they are.
fn as_json(tsv: &str) -> Option<String> {
    let mut fields: Option<Vec<&str>> = None;
    let mut types = Vec::new();
    let mut json = String::new();
    for line in tsv.lines() {
        if let Some(names) = line.strip_prefix("#fields\t") {
            fields = Some(names.split('\t').collect());
        } else if let Some(names) = line.strip_prefix("#types\t") {
            types = names.split('\t').collect();
        }
        if line.starts_with('#') {
            continue;
        }
        let mut object = serde_json::Map::from_iter([("_path".to_owned(), "dns".into())]);
        for ((name, kind), cell) in fields.as_ref()?.iter().zip(&types).zip(line.split('\t')) {
            let value = |text: &str| match *kind {
                _ if text == "-" => serde_json::Value::Null,
                "bool" => (text == "T").into(),
                "count" | "port" => text.parse::<u64>().unwrap().into(),
                "time" | "interval" | "vector[interval]" => text.parse::<f64>().unwrap().into(),
                _ if text == "(empty)" => "".into(),
                _ => text.replace("\\\\", "\\x5c").into(),
            };
            let value = match cell {
                "-" => continue,
                "(empty)" if kind.starts_with("vector") => Vec::<u8>::new().into(),
                _ if kind.starts_with("vector") => cell.split(',').map(value).collect(),
                _ => value(cell),
            };
            object.insert((*name).to_owned(), value);
        }
        json.push_str(&serde_json::to_string(&object).unwrap());
        json.push('\n');
    }
    Some(json)
}

#[test]
fn a_log_says_the_same_as_json() {
    let data = Data::of("zeek-logs");
    let mut paths = Vec::new();
    files(&data.folder, &mut paths);
    let mut compared = 0;
    for path in paths {
        let octets = read(&path);
        let Ok(text) = std::str::from_utf8(&octets) else { continue };
        if !text.contains("\n#path\tdns\n") {
            continue;
        }
        let Some(json) = as_json(text) else { continue };
        let options = Options { keep_multicast: true, ..Options::default() };
        let (from_tsv, tsv) = decode(&octets, options);
        let (from_json, json) = decode(json.as_bytes(), options);
        assert_eq!(from_tsv, from_json, "{}", path.display());
        assert_eq!((tsv.omitted, tsv.rejected), (json.omitted, json.rejected));
        compared += from_tsv.len();
    }
    assert!(compared > data.pick(8000, 1000), "{compared}");
}
