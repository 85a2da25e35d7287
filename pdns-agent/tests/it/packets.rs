//! Captures through `pdns-agent pcap` and the store, against tshark and against what was worked out by hand.
//!
//! Real captures: what is stored is what `tests/reference/packets.py` says, which applies the rules of passive
//! DNS to tshark's dissection. Where tshark reads a message otherwise than the rules do, [`DIFFERS`] says why;
//! where tshark does not find the messages that are there, [`BY_HAND`] says what must be stored.
//!
//! Made captures (`tests/reference/captures.py`): what is stored is what their maker says, row by row; times
//! and TTLs are the reference's.

use crate::corpus::{Key, Rows, assert_alike, files_below};
use crate::redis::Redis;
use crate::reference::{Said, imported, made, options_of, packets, python};
use crate::run::Home;
use crate::support::Data;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where tshark and the rules read the octets of a message differently.
struct Differs {
    capture: &'static str,
    /// Why the rules are right.
    reason: &'static str,
    /// What packets.py says, all of it.
    said: &'static [&'static str],
}

const EMPTY: &str = "the length in its UDP header is 8: there is no message in it";

const DIFFERS: &[Differs] = &[
    Differs {
        capture: "tcpdump/dns-zlip-1.pcap",
        reason: EMPTY,
        said: &["frame 1: no DNS for tshark, but udp"],
    },
    Differs {
        capture: "tcpdump/dns-zlip-2.pcap",
        reason: EMPTY,
        said: &["frame 1: no DNS for tshark, but udp"],
    },
    Differs {
        capture: "tcpdump/dns-zlip-3.pcap",
        reason: EMPTY,
        said: &["frame 1: no DNS for tshark, but udp"],
    },
    Differs {
        capture: "tcpdump/dns_udp_2.pcap",
        reason: "the capture cut the packet, and tshark reads what is left of the message",
        said: &["frame 2: 56 of 224 octets of a message"],
    },
    Differs {
        capture: "zeek/dns-edns-ecs-bad.pcap",
        reason: "the packet ends before the datagram in it, and tshark reads what is there",
        said: &["frame 4: 213 of 323 octets of a message"],
    },
    Differs {
        capture: "zeek/dns__dns-edns-bad-length.pcap",
        reason: "tshark stops at an EDNS option that cannot be; the rules read no options and go on behind them",
        said: &["frame 1, additional at 41: only the rules read it"],
    },
    Differs {
        capture: "zeek/tunnels__geneve-vxlan-dns-truncated.pcap",
        reason: "VXLAN in GENEVE: the packet ends before the datagram in it, and tshark reads what is there",
        said: &["frame 1: 48 of 54 octets of a message", "frame 2: 48 of 74 octets of a message"],
    },
];

/// Where tshark does not find all messages, or not what they belong to.
struct ByHand {
    capture: &'static str,
    reason: &'static str,
    /// Owner and type, how often each of its records was seen, and whether nobody asked for it.
    rows: &'static [(&'static str, &'static str, u64, bool)],
}

const PTR: &str = "206.218.58.216.in-addr.arpa";

const BY_HAND: &[ByHand] = &[
    ByHand {
        capture: "dnscap/dnso1tcp-midmiss.pcap",
        reason: "tshark gives up on a direction in which segments are missing; the two messages behind the gap \
                 are whole, each in a segment of its own",
        rows: &[("google.com", "A", 3, false)],
    },
    ByHand {
        capture: "dnscap/dnso1tcp-bighole.pcap",
        reason: "as above: 22 and 16 responses are whole in segments of their own, 2 and 1 of them before the gap",
        rows: &[("google.com", "A", 22, false), (PTR, "PTR", 16, false)],
    },
    ByHand {
        capture: "dnscap/do1t-nosyn-1nolen.pcap",
        reason: "the stream begins behind a message's length: tshark takes the message for a length and loses \
                 the second query, which is whole",
        rows: &[("google.com", "A", 1, false), (PTR, "PTR", 1, false)],
    },
    ByHand {
        capture: "dnscap/tcp-gap.pcap",
        reason: "the third question and its answer are missing; those behind the gap are whole",
        rows: &[("www.example.com", "A", 3, false)],
    },
];

/// The path of a capture below the folder of captures.
fn title<'p>(folder: &Path, capture: &'p Path) -> &'p str {
    capture.strip_prefix(folder).unwrap().to_str().unwrap()
}

/// Takes the rows that are known by hand out of both sides, after a look at what is stored of them.
fn check_by_hand(by_hand: &ByHand, records: &mut Rows, said: &mut Said) {
    let ByHand { capture, reason, rows } = by_hand;
    for &(rrname, rrtype, count, unsolicited) in *rows {
        let is_it = |key: &Key| key.0 == rrname && key.1 == rrtype;
        let keys: BTreeSet<Key> = said.records.keys().filter(|key| is_it(key)).cloned().collect();
        assert!(!keys.is_empty(), "{capture}: {rrname} {rrtype} is not there at all");
        for key in &keys {
            let numbers = records.get(key).unwrap_or_else(|| panic!("{capture}: lacks {key:?}"));
            let found = (numbers["count"], numbers.contains_key("unsolicited"));
            assert_eq!(found, (count, unsolicited), "{capture}: {key:?} ({reason})");
        }
        records.retain(|key, _| !keys.contains(key));
        said.records.retain(|key, _| !keys.contains(key));
    }
}

/// Imports each of some captures into an empty store, and compares what is there then with the reference.
fn check(data: &Data, captures: &[PathBuf], options: &[String], least_rows: usize) {
    let folder = &data.folder;
    let paths: Vec<&Path> = captures.iter().map(AsRef::as_ref).collect();
    let (home, server) = (Home::new(), Redis::start());
    let mut rows = 0;
    for (capture, mut said) in paths.iter().zip(packets(&paths, options)) {
        let title = title(folder, capture);
        let what = format!("{title} {}", options.join(" "));
        let (mut records, negatives) = imported(&home, &server, options, &[capture]);
        rows += records.len() + negatives.len();
        let differs = DIFFERS.iter().find(|differs| differs.capture == title);
        let expected = differs.map_or(&[][..], |differs| differs.said);
        let reason = differs.map_or("no reason is known", |differs| differs.reason);
        assert_eq!(said.differs, expected, "{what}: {reason}");
        for by_hand in BY_HAND.iter().filter(|by_hand| by_hand.capture == title) {
            check_by_hand(by_hand, &mut records, &mut said);
        }
        assert_alike(&format!("{what}, records"), &records, &said.records);
        assert_alike(&format!("{what}, negatives"), &negatives, &said.negatives);
    }
    assert!(rows >= least_rows, "only {rows} rows in all");
}

/// The captures of one source.
fn check_folder(source: &str, real_rows: usize, own_rows: usize) {
    let data = Data::of("pcaps");
    let mut captures = Vec::new();
    files_below(&data.folder.join(source), &mut captures);
    check(&data, &captures, &[], data.pick(real_rows, own_rows));
}

#[test]
fn captures_of_dnscap_are_stored_as_tshark_reads_them() {
    check_folder("dnscap", 100, 100);
}

#[test]
fn captures_of_packetq_are_stored_as_tshark_reads_them() {
    check_folder("packetq", 15, 1);
}

#[test]
fn captures_of_suricata_verify_are_stored_as_tshark_reads_them() {
    check_folder("suricata-verify", 200, 4);
}

#[test]
fn captures_of_tcpdump_are_stored_as_tshark_reads_them() {
    check_folder("tcpdump", 35, 0);
}

#[test]
fn captures_of_zeek_are_stored_as_tshark_reads_them() {
    check_folder("zeek", 300, 30);
}

/// Captures with DNS on other ports than 53.
const OTHER_PORTS: &[&str] = &[
    "suricata-verify/dns__dns-incomplete__input.pcap",
    "suricata-verify/dns__dns-truncated-rname__poc2.pcap",
    "tcpdump/dns_tcp_8053.pcap",
    "tcpdump/dns_udp_8053.pcap",
    "zeek/dns__mdns-no-assoc.pcap",
    "zeek/dns__mdns.pcap",
    "zeek/wikipedia.pcap",
];

#[test]
fn captures_on_other_ports_are_stored_as_tshark_reads_them() {
    let data = Data::of("pcaps");
    let mut captures: Vec<PathBuf> =
        OTHER_PORTS.iter().map(|title| data.folder.join(title)).collect();
    if data.is_own {
        captures.retain(|capture| capture.is_file());
    }
    check(&data, &captures, &ports(&[53, 5353, 5355, 8053, 1053]), data.pick(30, 2));
}

/// `--port` for each.
fn ports(ports: &[u16]) -> Vec<String> {
    ports.iter().flat_map(|port| ["--port".to_owned(), port.to_string()]).collect()
}

/// What a made capture must lead to: rows by their identity, with count and whether unsolicited.
fn expected(made: &Value, part: &str) -> BTreeMap<Key, (u64, bool)> {
    let rows = made[part].as_array().unwrap().iter();
    rows.map(|row| {
        let text = |at: usize| row[at].as_str().unwrap().to_owned();
        let numbers = (row[3].as_u64().unwrap(), row[4].as_bool().unwrap());
        ((text(0), text(1), text(2), false), numbers)
    })
    .collect()
}

/// The owners that a part of a made capture's description names.
fn owners<'v>(lists: impl Iterator<Item = &'v Value>) -> BTreeSet<&'v str> {
    lists.flat_map(|list| list.as_array().unwrap()).map(|owner| owner.as_str().unwrap()).collect()
}

#[track_caller]
fn assert_made(title: &str, made: &Value, part: &str, stored: &Rows, reference: &Rows) {
    let optional = owners(std::iter::once(&made["optional"]));
    let apart = made["apart"].as_array().unwrap();
    let apart = owners(apart.iter().flat_map(|one| [&one["lacks"], &one["adds"]]));
    let is_told = |key: &Key| !optional.contains(key.0.as_str());
    let numbers = |numbers: &BTreeMap<&'static str, u64>| {
        (numbers["count"], numbers.contains_key("unsolicited"))
    };
    let found: BTreeMap<Key, (u64, bool)> = stored
        .iter()
        .filter(|(key, _)| is_told(key))
        .map(|(key, seen)| (key.clone(), numbers(seen)))
        .collect();
    let mut wanted = expected(made, part);
    wanted.retain(|key, _| is_told(key));
    for (key, numbers) in &wanted {
        assert_eq!(found.get(key), Some(numbers), "{title}: {key:?}");
    }
    for key in found.keys() {
        assert!(wanted.contains_key(key), "{title}: {key:?} must not be stored");
    }
    // The same rows with times and TTLs.
    let known = |rows: &Rows| -> Rows {
        let is_known = |key: &Key| is_told(key) && !apart.contains(key.0.as_str());
        rows.iter().filter(|(key, _)| is_known(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    assert_alike(&format!("{title}, {part}"), &known(stored), &known(reference));
}

#[test]
fn made_captures_are_stored_as_their_maker_says() {
    let folder = TempDir::with_prefix("pdns-captures-").unwrap();
    let captures = made(folder.path());
    assert!(captures.len() > 40, "too few captures");
    let (home, server) = (Home::new(), Redis::start());
    for (title, made) in &captures {
        let path = folder.path().join(format!("{title}.pcap"));
        let options = options_of(made);
        let said = packets(&[&path], &options).remove(0);
        let (records, negatives) = imported(&home, &server, &options, &[&path]);
        assert_made(title, made, "records", &records, &said.records);
        assert_made(title, made, "negatives", &negatives, &said.negatives);
    }
}

#[test]
fn the_reference_reads_made_captures_as_their_maker_says() {
    let folder = TempDir::with_prefix("pdns-captures-").unwrap();
    made(folder.path());
    python("check.py", &[folder.path().as_os_str()], &[]);
}

#[test]
fn a_capture_counts_once_however_often_it_is_read() {
    let folder = Data::of("pcaps/dnscap").folder;
    let path = folder.join("dns.pcap");
    let (home, server) = (Home::new(), Redis::start());
    let once = imported(&home, &server, &[], &[&path]);
    crate::reference::import(&home, &server.url(), &[], &[&path]).with(&[0]);
    let twice = crate::reference::stored_octets(&home, &server.url());
    assert_eq!(once, twice);
    // Nor does a compressed copy of it: it is the same capture.
    let packed: Vec<_> =
        ["gz", "xz", "zst", "lz4"].map(|end| folder.join(format!("dns.pcap.{end}"))).into();
    let packed: Vec<&Path> = packed.iter().map(AsRef::as_ref).collect();
    crate::reference::import(&home, &server.url(), &[], &packed).with(&[0]);
    assert_eq!(once, crate::reference::stored_octets(&home, &server.url()));
}
