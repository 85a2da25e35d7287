//! Made-up traffic of a resolver: queries and their responses, in frames as a capture hands them over.

use pdns_agent::source::Frame;
use pdns_agent::time::Timestamp;
use pdns_ebpf_common::{Link, Start};
use std::io::Write as _;
use std::path::Path;

/// When the first frame was captured, in microseconds, and how many lie between two exchanges.
const BEGIN: i64 = 1_767_571_200_000_000;
const STEP: i64 = 10;
/// How many exchanges later a response comes than its query.
const LAG: u32 = 64;
/// Number of times each name comes, where names are not all new.
const TIMES: u32 = 20;
/// Octets of Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 42;
/// Types of records.
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;

/// What the responses are like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One A record each, each for a name of its own.
    New,
    /// One A record each, each name twenty times, in no order.
    Repeated,
    /// Two CNAME records, two A records, four NS records and their four addresses, each name twenty times.
    Mixed,
}

/// Frames, one behind the other in memory.
pub(crate) struct Traffic {
    octets: Vec<u8>,
    /// For each frame: where it ends, and which exchange it belongs to.
    frames: Vec<(usize, u32)>,
    exchanges: u32,
}

impl Traffic {
    /// So many responses, each with its query in front.
    pub(crate) fn new(shape: Shape, exchanges: u32) -> Self {
        let mut random = fastrand::Rng::with_seed(53);
        let mut traffic = Self { octets: Vec::new(), frames: Vec::new(), exchanges };
        let asked: Vec<(u32, [u8; 5])> = (0..exchanges)
            .map(|number| {
                let name =
                    if shape == Shape::New { number } else { random.u32(..exchanges / TIMES) };
                // Client, port and ident.
                (name, std::array::from_fn(|_| random.u8(1..)))
            })
            .collect();
        for turn in 0..exchanges + LAG {
            if let Some(&(name, client)) = asked.get(turn as usize) {
                traffic.push(turn, client, &query(shape, name, client), true);
            }
            let answered = turn.checked_sub(LAG);
            if let Some(&(name, client)) = answered.and_then(|turn| asked.get(turn as usize)) {
                traffic.push(turn, client, &response(shape, name, client), false);
            }
        }
        traffic
    }

    /// The queries alone, or the responses.
    pub(crate) fn only(&self, queries: bool) -> Self {
        let (octets, frames) = (Vec::new(), Vec::new());
        let mut only = Self { octets, frames, exchanges: self.exchanges };
        for (frame, turn) in self.parts() {
            // The first octet of the flags: whether it is a response.
            let is_query = frame.get(HEADERS + 2).is_some_and(|flags| flags & 0x80 == 0);
            if is_query == queries {
                only.octets.extend_from_slice(frame);
                only.frames.push((only.octets.len(), turn));
            }
        }
        only
    }

    /// How many frames.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// All frames; `round` is how often they were sent before, as to their times.
    pub(crate) fn frames(&self, round: u32) -> impl Iterator<Item = Frame<'_>> {
        let begin = BEGIN + i64::from(round) * i64::from(self.exchanges + LAG) * STEP;
        let start = Start::of(Link::Ethernet);
        self.parts().map(move |(octets, turn)| {
            let at = Timestamp::from_micros(begin + i64::from(turn) * STEP);
            Frame { at, start, octets, length: u32::try_from(octets.len()).unwrap_or(u32::MAX) }
        })
    }

    /// Writes a capture file (the classic pcap format).
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
        for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 0x4_0000, 1_u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        for frame in self.frames(0) {
            let micros = frame.at.micros();
            let time = [micros / 1_000_000, micros % 1_000_000];
            let time = time.map(|part| u32::try_from(part).unwrap_or(u32::MAX));
            for word in [time[0], time[1], frame.length, frame.length] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(frame.octets)?;
        }
        file.flush()
    }

    fn parts(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let mut start = 0;
        self.frames.iter().map(move |&(end, turn)| {
            let octets = self.octets.get(start..end).unwrap_or_default();
            start = end;
            (octets, turn)
        })
    }

    /// Appends a message in UDP, IPv4 and Ethernet.
    fn push(&mut self, turn: u32, client: [u8; 5], message: &[u8], is_query: bool) {
        let [c1, c2, p1, p2, _] = client;
        let (client, server) = (([10, 0, c1, c2], [p1 | 0x80, p2]), ([198, 51, 100, 53], [0, 53]));
        let (from, to) = if is_query { (client, server) } else { (server, client) };
        let length = |more: usize| u16::try_from(message.len() + more).unwrap_or(0).to_be_bytes();
        let mut ip = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ip[2..4].copy_from_slice(&length(28));
        ip[12..16].copy_from_slice(&from.0);
        ip[16..].copy_from_slice(&to.0);
        let sum: u32 =
            ip.as_chunks().0.iter().map(|&pair| u32::from(u16::from_be_bytes(pair))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        ip[10..12].copy_from_slice(&(!u16::try_from(sum).unwrap_or(0)).to_be_bytes());
        self.octets.extend_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        self.octets.extend_from_slice(&ip);
        for part in [from.1, to.1, length(8), [0, 0]] {
            self.octets.extend_from_slice(&part);
        }
        self.octets.extend_from_slice(message);
        self.frames.push((self.octets.len(), turn));
    }
}

fn qname(shape: Shape, name: u32) -> String {
    match shape {
        Shape::New | Shape::Repeated => format!("host{name:07}.site{:05}.example.com", name / 16),
        Shape::Mixed => format!("www.shop{name:07}.com"),
    }
}

fn query(shape: Shape, name: u32, client: [u8; 5]) -> Vec<u8> {
    let mut message = Writer::new(client, 0x0100, [1, 0, 0, 1]);
    message.question(&qname(shape, name));
    message.edns();
    message.octets
}

fn response(shape: Shape, name: u32, client: [u8; 5]) -> Vec<u8> {
    let qname = qname(shape, name);
    let [_, n1, n2, n3] = name.to_be_bytes();
    if shape != Shape::Mixed {
        let mut message = Writer::new(client, 0x8180, [1, 1, 0, 1]);
        message.question(&qname);
        message.record(&qname, A, &[10, n1, n2, n3]);
        message.edns();
        return message.octets;
    }
    let mut message = Writer::new(client, 0x8180, [1, 4, 4, 5]);
    let zone = format!("cdn{:03}.net", name % 500);
    let (edge, node) = (format!("e{name:07}.edge.{zone}"), format!("n{}.node.{zone}", name / 8));
    message.question(&qname);
    message.alias(&qname, CNAME, &edge);
    message.alias(&edge, CNAME, &node);
    for host in [1, 2] {
        message.record(&node, A, &[10 + host, n1, n2, n3 & 0xf8]);
    }
    for host in 1..5 {
        message.alias(&zone, NS, &format!("ns{host}.{zone}"));
    }
    for host in 1..5 {
        message.record(&format!("ns{host}.{zone}"), A, &[192, 0, 2, host]);
    }
    message.edns();
    message.octets
}

/// Writes a message, with names compressed (RFC 1035 §4.1.4).
struct Writer {
    octets: Vec<u8>,
    known: Vec<(String, u16)>,
}

impl Writer {
    fn new([_, _, _, i1, i2]: [u8; 5], flags: u16, counts: [u16; 4]) -> Self {
        let mut octets = vec![i1, i2];
        octets.extend(flags.to_be_bytes());
        octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        Self { octets, known: Vec::new() }
    }

    fn name(&mut self, mut name: &str) {
        while !name.is_empty() {
            if let Some((_, at)) = self.known.iter().find(|(known, _)| known == name) {
                self.octets.extend((0xc000 | at).to_be_bytes());
                return;
            }
            let at = u16::try_from(self.octets.len()).expect("messages are short");
            self.known.push((name.to_owned(), at));
            let (label, rest) = name.split_once('.').unwrap_or((name, ""));
            self.octets.push(u8::try_from(label.len()).expect("labels are short"));
            self.octets.extend_from_slice(label.as_bytes());
            name = rest;
        }
        self.octets.push(0);
    }

    fn question(&mut self, name: &str) {
        self.name(name);
        self.octets.extend([0, 1, 0, 1]);
    }

    fn record(&mut self, owner: &str, rrtype: u16, rdata: &[u8]) {
        self.head(owner, rrtype);
        self.octets.extend(u16::try_from(rdata.len()).unwrap_or(0).to_be_bytes());
        self.octets.extend_from_slice(rdata);
    }

    fn alias(&mut self, owner: &str, rrtype: u16, target: &str) {
        self.head(owner, rrtype);
        let at = self.octets.len();
        self.octets.extend([0, 0]);
        self.name(target);
        let length = u16::try_from(self.octets.len() - at - 2).unwrap_or(0).to_be_bytes();
        self.octets[at..at + 2].copy_from_slice(&length);
    }

    fn head(&mut self, owner: &str, rrtype: u16) {
        self.name(owner);
        self.octets.extend(rrtype.to_be_bytes());
        self.octets.extend([0, 1, 0, 0, 1, 44]);
    }

    /// The OPT record that nearly all messages have (RFC 6891).
    fn edns(&mut self) {
        self.octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
}
