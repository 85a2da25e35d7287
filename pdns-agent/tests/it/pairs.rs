//! What others logged of a capture, against the capture itself.
//!
//! **Zeek.** A dns.log tells less than the packets: no owner, no type, no authority or additional section, no
//! RDATA for many types. What `pdns-agent zeek` infers from it must be true all the same: each record that it
//! stores is one of the capture's, with the same owner, type and RDATA (of a partial record: the host it
//! names), the same count, and the same least and greatest TTL; and each negative answer is one of the capture's;
//! exceptions are told ([`ONLY_LOGGED`]).
//! What only the capture has is allowed. Times are not compared: the golden logs of Zeek's tests have theirs
//! blanked out.
//!
//! **Suricata.** Its EVE log lists the records of all sections. Each that it lists is stored, or left out by a
//! rule that the reference names (bailiwick, repeated within a message): stored + left out = listed, exactly. And the
//! other way round: what is stored or left out, it lists.
//!
//! What `pdns-agent suricata` stores of the log of version 3 is what `pdns-agent pcap` stores of the capture, number by
//! number, but for what the log does not hold: RDATA of most types, records of several strings ([`UNTOLD`]), preferences
//! of MX, and queries that nobody answered. Version 2 has no additional section in Suricata 7: its detailed form comes
//! to the same as version 3 without that section. The grouped form comes to the same as the detailed one, its answers
//! without their TTLs.

use crate::corpus::{Key, Rows, as_written, assert_alike, import, stored};
use crate::redis::Redis;
use crate::reference::{imported, octets, packets, python_json};
use crate::run::Home;
use crate::support::Data;
use crate::suricata;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Negative answers that a log tells and its capture does not: log, owner, type, outcome, why.
const ONLY_LOGGED: &[(&str, &str, &str, &str, &str)] = &[
    (
        "core.ipv6-frag",
        "txtpadding_3230.n1.netalyzr.icsi.berkeley.edu",
        "TXT",
        "UNANSWERED",
        "the query was sent twice and answered once: Zeek waits for a second answer, the packets show a \
         retransmission",
    ),
    (
        "scripts.base.protocols.dns.notify",
        "_acme-challenge.intmail.cbs.mpg.de",
        "NXT",
        "UNANSWERED",
        ENDED,
    ),
    ("scripts.base.protocols.dns.rrsig", "virgo.sas.upenn.edu", "A", "UNANSWERED", ENDED),
    (
        "scripts.policy.protocols.dns.original_case",
        "us.v27.distributed.net",
        "A",
        "UNANSWERED",
        ENDED,
    ),
];
const ENDED: &str = "the capture ends before the time to answer is over: Zeek logs the query when it ends, the \
                     packets tell nothing yet";

/// A log of a capture that shows each response twice, which packets tell, and a log does not.
const COPIED: &str = "scripts.base.protocols.dns.duplicate-reponses";

/// Where a rule leaves out whole messages that Suricata lists: EVE file, why.
const UNLISTED: &[(&str, &str)] =
    &[("zeek_dns__dynamic-update.eve.json", "dynamic updates (opcode 5) are no answers")];

/// Types of which Suricata's log cannot tell the RDATA, or not of all records.
const UNTOLD: &[&str] = &["DNSKEY", "DS", "HTTPS", "NAPTR", "NSEC", "NSEC3", "RRSIG", "TXT"];

/// Octets of a row's RDATA, from `\# length hex`.
fn octets_of(key: &Key) -> Vec<u8> {
    let hex = key.2.split(' ').nth(2).unwrap_or("");
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The row of a capture that a row of a log stands for.
fn counterpart<'r>(key: &Key, capture: &'r Rows) -> Option<&'r BTreeMap<&'static str, u64>> {
    if !key.3 {
        return capture.get(key);
    }
    // A partial record has nothing but the host, behind or before fields that are zero.
    let host = |key: &Key| {
        let octets = octets_of(key);
        let skip = match key.1.as_str() {
            "MX" => 2,
            "SRV" => 6,
            _ => 0,
        };
        let end = octets[skip..].iter().position(|&octet| octet == 0).unwrap_or(0);
        octets[skip..=skip + end].to_vec()
    };
    // Or it is one of the strings of a TXT record.
    let is_alike = |other: &Key| match key.1.as_str() {
        "TXT" => strings(other).contains(&octets_of(key)),
        _ => host(other) == host(key),
    };
    let is_it = |other: &&Key| other.0 == key.0 && other.1 == key.1 && is_alike(other);
    capture.get(capture.keys().find(is_it)?)
}

#[test]
fn what_is_inferred_from_a_log_is_in_its_capture() {
    let from = Data::of("");
    let (data, logs) = (&from.folder, from.folder.join("zeek-logs"));
    let (home, server) = (Home::new(), Redis::start());
    let (mut pairs, mut rows) = (0, 0);
    for line in fs::read_to_string(logs.join("pairs.tsv")).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (log, capture) = (data.join(fields[0]), data.join(fields[3]));
        if !capture.is_file() {
            continue;
        }
        pairs += 1;
        let title = log.file_name().unwrap().to_str().unwrap();
        server.flush();
        let ended = import(&home, &server, &as_written(&home, &log));
        let code = ended.code;
        ended.with(&[0, 1]);
        let (logged, logged_negatives) = stored(&home, &server.url());
        let logged = octets(logged);
        // A log without a header has nothing that could be taken.
        let is_empty = logged.is_empty() && logged_negatives.is_empty();
        assert!(code == Some(0) || is_empty, "{title}: {code:?}");
        let (records, negatives) = imported(&home, &server, &[], &[&capture]);
        rows += logged.len() + logged_negatives.len();
        for (key, numbers) in &logged {
            let found = counterpart(key, &records);
            let found = found.unwrap_or_else(|| panic!("{title}: {key:?} is not in the capture"));
            let copies = if title.starts_with(COPIED) { 2 } else { 1 };
            assert_eq!(numbers["count"], copies * found["count"], "{title}: count of {key:?}");
            for name in ["ttl_min", "ttl_max"] {
                assert_eq!(numbers.get(name), found.get(name), "{title}: {name} of {key:?}");
            }
        }
        for (key, numbers) in &logged_negatives {
            let known = ONLY_LOGGED.iter().find(|known| {
                title.starts_with(known.0)
                    && (known.1, known.2, known.3) == (&key.0, &key.1, &key.2)
            });
            let found = negatives.get(key).map(|numbers| numbers["count"]);
            let wanted = if known.is_some() { None } else { Some(numbers["count"]) };
            assert_eq!(found, wanted, "{title}: {key:?} ({})", known.map_or("", |known| known.4));
        }
    }
    assert!(pairs >= from.pick(25, 5) && rows >= 30, "{pairs} pairs, {rows} rows");
}

/// The character-strings in the RDATA of a TXT record, each with its length.
fn strings(key: &Key) -> Vec<Vec<u8>> {
    let octets = octets_of(key);
    let (mut at, mut strings) = (0, Vec::new());
    while let Some(&length) = octets.get(at) {
        let end = at + 1 + usize::from(length);
        strings.push(octets.get(at..end).unwrap_or_default().to_vec());
        at = end;
    }
    strings
}

#[test]
fn what_suricata_lists_is_stored_or_left_out_by_a_rule() {
    let from = Data::of("");
    let (data, eves) = (&from.folder, from.folder.join("suricata-eve/v3d"));
    let (home, server) = (Home::new(), Redis::start());
    let (mut files, mut listed_rows) = (0, 0);
    for (title, capture) in logs_of(data, "v3d") {
        files += 1;
        let (records, _) = imported(&home, &server, &[], &[&capture]);
        // Owner, type, and octets where Suricata logs them: how many there are.
        let mut ours: BTreeMap<(String, String, Option<String>), u64> = BTreeMap::new();
        let mut add = |key: &Key, count: u64| {
            let (rrname, rrtype) = (key.0.clone(), key.1.clone());
            if rrtype == "TXT" {
                *ours.entry((rrname, rrtype, None)).or_default() +=
                    count * strings(key).len() as u64;
                return;
            }
            *ours.entry((rrname.clone(), rrtype.clone(), None)).or_default() += count;
            *ours.entry((rrname, rrtype, Some(key.2.clone()))).or_default() += count;
        };
        for (key, numbers) in &records {
            add(key, numbers["count"]);
        }
        for omitted in &packets(&[&capture], &[]).remove(0).omitted {
            let word = |name: &str| omitted[name].as_str().unwrap().to_owned();
            let key = (word("rrname"), word("rrtype"), word("rdata"), false);
            add(&key, omitted["count"].as_u64().unwrap());
        }
        let listed = python_json("eve.py", &[eves.join(&title).as_os_str()], &[]);
        if let Some((_, reason)) = UNLISTED.iter().find(|(file, _)| *file == title.as_str()) {
            assert!(ours.is_empty(), "{title}: {reason}");
            continue;
        }
        let mut listed_by_type: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in listed.as_array().unwrap() {
            let word = |name: &str| row[name].as_str().map(str::to_owned);
            let key = (word("rrname").unwrap(), word("rrtype").unwrap(), word("rdata"));
            if key.1 == "OPT" {
                continue;
            }
            listed_rows += 1;
            let count = row["count"].as_u64();
            *listed_by_type.entry((key.0.clone(), key.1.clone())).or_default() += count.unwrap();
            assert_eq!(
                ours.get(&key).copied(),
                count,
                "{title}: {key:?} is listed {count:?} times"
            );
        }
        // Each row that it lists is ours. If it lists as many of an owner and type as we have, each of ours is listed.
        for ((rrname, rrtype, _), &count) in ours.iter().filter(|(key, _)| key.2.is_none()) {
            let key = (rrname.clone(), rrtype.clone());
            let listed = listed_by_type.get(&key).copied().unwrap_or(0);
            assert_eq!(listed, count, "{title}: Suricata lists {key:?} {listed} times");
        }
    }
    assert!(
        files > from.pick(10, 2) && listed_rows > from.pick(100, 50),
        "{files} files, {listed_rows} rows"
    );
}

/// The logs of a form by their captures: file name, capture.
fn logs_of(data: &Path, form: &str) -> Vec<(String, PathBuf)> {
    let manifest = fs::read_to_string(data.join("manifest.tsv")).unwrap();
    let pair = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let title = fields[0].strip_prefix(&format!("suricata-eve/{form}/"))?;
        Some((title.to_owned(), data.join(fields[2].strip_prefix("from ").unwrap())))
    };
    manifest.lines().filter_map(pair).collect()
}

#[test]
fn what_is_stored_of_suricatas_log_is_what_its_capture_says() {
    let from = Data::of("");
    let (data, eves) = (&from.folder, from.folder.join("suricata-eve/v3d"));
    let (home, server) = (Home::new(), Redis::start());
    let (mut files, mut rows) = (0, 0);
    for (title, capture) in logs_of(data, "v3d") {
        files += 1;
        let (logged, logged_negatives) = suricata::imported(&home, &server, &[&eves.join(&title)]);
        let (records, mut negatives) = imported(&home, &server, &[], &[&capture]);
        rows += logged.len() + logged_negatives.len();
        // A log does not tell who asked.
        let asked = |rows: Rows| -> Rows {
            let known = |(key, mut numbers): (Key, BTreeMap<&'static str, u64>)| {
                numbers.remove("unsolicited");
                (key, numbers)
            };
            rows.into_iter().map(known).collect()
        };
        let records = asked(records);
        for (key, numbers) in &logged {
            assert_eq!(Some(numbers), counterpart(key, &records), "{title}: {key:?}");
        }
        for key in records.keys() {
            let is_logged = logged.contains_key(key)
                || key.1 == "MX"
                    && logged.keys().any(|other| (&other.0, &other.1) == (&key.0, &key.1));
            assert!(
                is_logged || UNTOLD.contains(&key.1.as_str()),
                "{title}: {key:?} is not logged"
            );
        }
        negatives.retain(|key, _| key.2 != "UNANSWERED");
        assert_alike(&title, &logged_negatives, &asked(negatives));
    }
    assert!(files > from.pick(10, 2) && rows > from.pick(100, 50), "{files} files, {rows} rows");
}

#[test]
fn the_forms_of_suricatas_log_come_to_the_same() {
    let data = &Data::of("").folder;
    let eves = data.join("suricata-eve");
    let (home, server) = (Home::new(), Redis::start());
    let mut inferred = 0;
    for (title, _) in logs_of(data, "v3d") {
        let of = |form: &str| suricata::imported(&home, &server, &[&eves.join(form).join(&title)]);
        let (detailed, negatives) = of("v2d");
        let (grouped, grouped_negatives) = of("v2g");
        let newer = fs::read_to_string(eves.join("v3d").join(&title)).unwrap();
        let without_additionals = |line: &str| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            event["dns"].as_object_mut().unwrap().remove("additionals");
            event.to_string()
        };
        let newer: Vec<String> = newer.lines().map(without_additionals).collect();
        let path = home.write("eve.json", newer.join("\n") + "\n");
        let (newer, newer_negatives) = suricata::imported(&home, &server, &[&path]);
        assert_alike(&format!("{title}, version 3"), &newer, &detailed);
        assert_alike(&format!("{title}, version 3, negatives"), &newer_negatives, &negatives);
        assert_alike(&format!("{title}, grouped, negatives"), &grouped_negatives, &negatives);
        assert_eq!(grouped.len(), detailed.len(), "{title}, grouped");
        for (key, numbers) in &grouped {
            let mut want = detailed[key].clone();
            if !numbers.contains_key("ttl_last") {
                inferred += 1;
                want.retain(|name, _| !name.starts_with("ttl"));
            }
            assert_eq!(*numbers, want, "{title}: {key:?}");
        }
    }
    assert!(inferred > 10, "{inferred} rows without a TTL");
}
