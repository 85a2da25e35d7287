//! Real captures: every message of them ends in some way, and what is known of some of them by hand comes out.
//!
//! The data is not in this repository: its folder is named by `PDNS_TEST_DATA`, or is `shared/data` beside it.

use super::build::line;
use pdns_agent::decode::dns::{Decoder, DnsFilter, DnsOmission, DnsRejection, DnsTally, Options};
use pdns_agent::decode::wire::{Flow, Message, Transport};
use pdns_agent::time::Timestamp;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// The folder of captures, if the data is here.
fn captures(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("PDNS_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let captures = data.join("pcaps");
    if !captures.is_dir() {
        println!("skipping {test}: no test data");
        return None;
    }
    Some(captures)
}

fn number(octets: &[u8], is_big: bool) -> u64 {
    let add = |sum: u64, &octet: &u8| sum << 8 | u64::from(octet);
    if is_big { octets.iter().fold(0, add) } else { octets.iter().rev().fold(0, add) }
}

/// Hands over the UDP datagrams of a classic capture file of Ethernet, whole ones only: enough for these tests,
/// and independent of what the agent reads captures with.
fn datagrams(path: &Path, mut each: impl FnMut(Message<'_>)) {
    let file = fs::read(path).unwrap();
    let is_big = match file.get(..4) {
        Some([0xa1, 0xb2, 0xc3, 0xd4]) => true,
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => false,
        _ => return,
    };
    if number(&file[20..24], is_big) != 1 {
        return;
    }
    let mut rest = &file[24..];
    while rest.len() >= 16 {
        let field = |at: usize| number(&rest[at..at + 4], is_big);
        let (seconds, micros) = (field(0), field(4));
        let captured = usize::try_from(field(8)).unwrap();
        let Some(packet) = rest.get(16..16 + captured) else { return };
        rest = &rest[16 + captured..];
        let at = Timestamp::from_micros(i64::try_from(seconds * 1_000_000 + micros).unwrap());
        if let Some((flow, octets)) = udp(packet) {
            each(Message { at, flow, octets });
        }
    }
}

/// The datagram in an Ethernet frame.
fn udp(mut frame: &[u8]) -> Option<(Flow, &[u8])> {
    frame = frame.get(12..)?;
    while frame.starts_with(&[0x81, 0]) {
        frame = frame.get(4..)?;
    }
    let packet = frame.get(2..)?;
    let (from, to, segment): (IpAddr, IpAddr, &[u8]) = match frame.get(..2)? {
        [8, 0] if *packet.get(9)? == 17 && packet[6] & 0x3f == 0 && packet[7] == 0 => (
            Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?).into(),
            Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?).into(),
            packet.get(usize::from(packet[0] & 0xf) * 4..)?,
        ),
        [0x86, 0xdd] if *packet.get(6)? == 17 => (
            Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?).into(),
            Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?).into(),
            packet.get(40..)?,
        ),
        _ => return None,
    };
    let port = |at: usize| {
        segment.get(at..at + 2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    };
    let (source, destination, length) = (port(0)?, port(2)?, usize::from(port(4)?));
    let flow = Flow { transport: Transport::Udp, from: (from, source), to: (to, destination) };
    let is_dns = [source, destination].iter().any(|port| [53, 5353, 5355, 137].contains(port));
    is_dns.then_some((flow, segment.get(8..length.clamp(8, segment.len()))?))
}

/// What one capture tells.
fn decode(path: &Path) -> (Vec<String>, DnsTally) {
    let mut decoder = Decoder::new(Options::default());
    let mut lines = Vec::new();
    datagrams(path, |message| {
        drop(decoder.message(&message, &mut |observation| lines.push(line(&observation))));
        assert_eq!(decoder.tally().messages, decoder.tally().endings(), "{}", path.display());
    });
    decoder.finish();
    (lines, decoder.tally().clone())
}

#[test]
fn every_message_ends_in_some_way() {
    let Some(folder) = captures("every_message_ends_in_some_way") else { return };
    let mut sum = DnsTally::default();
    for source in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(source.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let (lines, tally) = decode(&path);
            assert_eq!(lines.len() as u64, tally.records + tally.negatives, "{}", path.display());
            if std::env::var_os("PDNS_SHOW").is_some() {
                println!("{} {tally:?}", path.display());
                lines.iter().for_each(|line| println!("    {line}"));
            }
            sum.merge(&tally);
        }
    }
    println!("{sum:?}");
    assert!(sum.messages > 1000 && sum.records > 1000 && sum.negatives > 50, "{sum:?}");
}
