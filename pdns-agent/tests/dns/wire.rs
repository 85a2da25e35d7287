//! Real captures: every frame is accounted for after each of them, and the messages are those that tshark sees.

use crate::support::{Data, skip};
use pdns_agent::decode::wire::{Message, Transport, Wire, WireOptions, WireTally};
use pdns_agent::hash::Hasher;
use pdns_agent::source::{CaptureFile, Digest, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A message as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    micros: i64,
    is_tcp: bool,
    octets: Vec<u8>,
}

impl Seen {
    fn id(&self) -> Option<u16> {
        self.octets.first_chunk().map(|&id| u16::from_be_bytes(id))
    }
}

/// What a capture gave.
struct Outcome {
    id: Digest,
    seen: Vec<Seen>,
    tally: WireTally,
    refused: u64,
    error: Option<String>,
}

/// Reads a capture to its end, and holds the ledger to its law after each frame.
fn read(path: &Path) -> Outcome {
    let name = path.display();
    let hasher = Hasher::new(&[1; 16]);
    let mut file = CaptureFile::open(path).unwrap();
    let id = file.content(&hasher, &BTreeSet::new()).unwrap().expect("it is a file").digest;
    let mut wire = Wire::new(WireOptions::default());
    let mut seen = Vec::new();
    let mut sink = |message: Message<'_>| {
        if message.is_cut {
            return;
        }
        seen.push(Seen {
            micros: message.at.micros(),
            is_tcp: message.flow.transport == Transport::Tcp,
            octets: message.octets.to_vec(),
        });
    };
    let (mut frames, mut last) = (0, 0);
    let error = loop {
        match file.next() {
            Ok(Some(Step::Packet(frame, position))) => {
                assert!(position > last, "{name}: {position} after {last}");
                last = position;
                frames += 1;
                wire.frame(&frame, &mut sink);
                let tally = wire.tally();
                assert_eq!((tally.frames, tally.endings()), (frames, frames), "{name}: {tally:?}");
            }
            Ok(Some(Step::Nothing)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    wire.finish(&mut sink);
    let tally = wire.tally().clone();
    assert_eq!((tally.endings(), tally.held), (frames, 0), "{name}: {tally:?}");
    assert_eq!(tally.messages, seen.len() as u64, "{name}");
    Outcome { id, seen, tally, refused: file.refused(), error }
}

/// How many messages there are of each id, over UDP and over TCP.
type Counts = BTreeMap<(bool, u16), u64>;

fn counts(seen: &[Seen]) -> Counts {
    let mut counts = Counts::new();
    for seen in seen {
        if let Some(id) = seen.id() {
            *counts.entry((seen.is_tcp, id)).or_default() += 1;
        }
    }
    counts
}

/// What tshark's dissector counts.
fn tshark(path: &Path) -> Counts {
    let output = Command::new("tshark")
        .args(["-n", "-Y", "dns", "-T", "fields", "-e", "tcp.stream", "-e", "dns.id", "-r"])
        .arg(path)
        .output()
        .unwrap();
    let mut counts = Counts::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (stream, ids) = line.split_once('\t').unwrap();
        for id in ids.split(',').filter(|id| !id.is_empty()) {
            let id = u16::from_str_radix(id.trim_start_matches("0x"), 16).unwrap();
            *counts.entry((!stream.is_empty(), id)).or_default() += 1;
        }
    }
    counts
}

/// Captures in which we see other messages than tshark does, how many each of us sees, and why.
const UNLIKE_TSHARK: &[(&str, u64, u64, &str)] = &[
    ("dnscap/dns.pcap.xz", 82, 0, "tshark does not read xz"),
    // 5 messages before the gap, 5 within it, 36 questions and 36 answers behind it. The length of the first
    // question behind it is missing, and tshark does not see that the others have theirs.
    ("dnscap/dnso1tcp-bighole.pcap", 77, 41, "tshark does not find the framing again behind a gap"),
    ("dnscap/do1t-nosyn-1nolen.pcap", 4, 2, "tshark needs the length of the first message"),
    ("suricata-verify/dns__dns-incomplete__input.pcap", 0, 4, "port 5353, which is not ours here"),
    ("tcpdump/dns_udp_2.pcap", 1, 2, "cut by the capture, tshark shows the header all the same"),
    ("tcpdump/dns_udp_8053.pcap", 0, 2, "port 8053, told by tshark's heuristics"),
    ("zeek/dns-edns-ecs-bad.pcap", 3, 4, "the IP header claims more octets than were sent"),
    ("zeek/tunnels__geneve-vxlan-dns-truncated.pcap", 0, 2, "a tunnel within a tunnel"),
];

#[test]
fn every_frame_is_accounted_for_and_messages_are_those_of_tshark() {
    let data = Data::of("pcaps");
    let folder = &data.folder;
    let files = files(folder);
    assert!(files.len() > data.pick(100, 25), "too few captures in {}", folder.display());
    let has_tshark = Command::new("tshark").arg("--version").output().is_ok();
    if !has_tshark {
        skip("the comparison with tshark", "it is not installed (cargo xtask test does)");
    }
    let check = |path: &PathBuf| {
        let outcome = read(path);
        let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
        assert_eq!((outcome.refused, outcome.error.as_deref()), (0, None), "{name}");
        let ours = counts(&outcome.seen);
        if !has_tshark {
            return;
        }
        let theirs = tshark(path);
        let sum = |counts: &Counts| counts.values().sum::<u64>();
        match UNLIKE_TSHARK.iter().find(|(other, ..)| *other == name) {
            None => assert_eq!(ours, theirs, "{name}: {:?}", outcome.tally),
            Some((_, our_sum, their_sum, why)) => {
                let is_own_xz = data.is_own && name == "dnscap/dns.pcap.xz";
                let our_sum = if is_own_xz { 80 } else { *our_sum };
                assert_eq!((sum(&ours), sum(&theirs)), (our_sum, *their_sum), "{name}: {why}");
            }
        }
    };
    // tshark takes half a second to start.
    std::thread::scope(|scope| {
        for half in files.chunks(files.len().div_ceil(2)) {
            scope.spawn(move || half.iter().for_each(check));
        }
    });
}

/// Messages without their times, in order of content.
fn octets(outcome: &Outcome) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = outcome.seen.iter().map(|seen| seen.octets.clone()).collect();
    all.sort();
    all
}

#[test]
fn one_capture_is_the_same_however_it_is_packed_and_its_messages_however_they_are_carried() {
    let data = Data::of("pcaps");
    let folder = &data.folder;
    let plain = read(&folder.join("dnscap/dns.pcap"));
    let (messages, other) = data.pick((82, 51), (80, 5));
    assert_eq!(
        (plain.seen.len(), plain.tally.datagrams, plain.tally.other),
        (messages, messages as u64, other)
    );
    for form in ["gz", "zst", "xz", "lz4"] {
        let packed = read(&folder.join("dnscap/dns.pcap").with_added_extension(form));
        assert_eq!(packed.id, plain.id, "{form}");
        assert_eq!(
            (packed.seen, packed.tally),
            (plain.seen.clone(), plain.tally.clone()),
            "{form}"
        );
    }
    // Tagged, in fragments of many frames, and over one connection; the resolver answered that one anew, so only
    // the questions are alike there.
    let tagged = read(&folder.join("dnscap/vlan11.pcap"));
    assert_eq!((tagged.seen, tagged.tally), (plain.seen.clone(), plain.tally.clone()));
    let fragments = read(&folder.join("dnscap/frags.pcap"));
    assert_eq!(octets(&fragments), octets(&plain));
    assert_eq!(
        (fragments.tally.fragments, fragments.tally.messages),
        (data.pick(495, 81), messages as u64)
    );
    let stream = read(&folder.join("dnscap/dnso1tcp.pcap"));
    assert_eq!(
        (stream.seen.len(), stream.tally.segments, stream.tally.gaps),
        (messages, data.pick(212, 86), 0)
    );
    let ids = |outcome: &Outcome| {
        let mut ids: Vec<_> = outcome.seen.iter().map(Seen::id).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&stream), ids(&plain));
}

#[test]
fn what_is_known_of_single_captures() {
    let data = Data::of("pcaps");
    let folder = &data.folder;
    let big = read(&folder.join("packetq/sample-bigendian.pcap.gz"));
    assert_eq!((big.seen.len(), big.tally.frames), (2, 2));
    assert!(big.seen.iter().all(|seen| seen.micros > 1_000_000_000_000_000));
    let missing =
        read(&folder.join(data.pick("dnscap/dnso1tcp-midmiss.pcap", "dnscap/tcp-gap.pcap")));
    assert_eq!((missing.tally.gaps, missing.tally.messages), (2, 6));
    let many = read(&folder.join("dnscap/dnsotcp-many1pkt.pcap"));
    let times: BTreeSet<_> = many.seen.iter().map(|seen| seen.micros).collect();
    assert!(times.len() < many.seen.len(), "some lie in one segment");
    let fragments = read(&folder.join("zeek/ipv6-fragmented-dns.pcap"));
    assert!(fragments.tally.fragments > 0, "{:?}", fragments.tally);
}
