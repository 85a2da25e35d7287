//! Real captures: every message of them ends in some way, and what is known of some of them by hand comes out.
//!
//! The data is not in this repository: its folder is named by `PDNS_TEST_DATA`, or is `shared/data` beside it.

use super::build::line;
use flate2::read::GzDecoder;
use pdns_agent::decode::dns::{Decoder, DnsFilter, DnsOmission, DnsRejection, DnsTally, Options};
use pdns_agent::decode::wire::{Flow, Message, Transport};
use pdns_agent::time::Timestamp;
use std::fs;
use std::io::Read as _;
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
    let mut file = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut plain = Vec::new();
        GzDecoder::new(file.as_slice()).read_to_end(&mut plain).unwrap();
        file = plain;
    }
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
            each(Message { at, flow, octets, is_cut: false });
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
        [8, 0] if *packet.get(9)? == 17 && [0, 0x40].contains(&packet[6]) && packet[7] == 0 => (
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
    let (mut lines, mut endings) = (Vec::new(), 0);
    datagrams(path, |message| {
        let ending = decoder.message(&message, &mut |observation| lines.push(line(&observation)));
        endings += u64::from(ending.is_ok());
        assert_eq!(decoder.tally().messages, decoder.tally().endings(), "{}", path.display());
    });
    decoder.finish(&mut |observation| lines.push(line(&observation)));
    let tally = decoder.tally();
    assert_eq!((tally.endings(), tally.waiting), (tally.messages, 0), "{}", path.display());
    // Those that waited may be rejected later.
    let rejected: u64 = tally.rejected.values().sum();
    assert!(endings + rejected >= tally.messages, "{}", path.display());
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
            sum.merge(&tally);
        }
    }
    println!("{sum:?}");
    assert!(sum.messages > 800 && sum.records > 1000 && sum.negatives > 50, "{sum:?}");
}

/// One capture: all that it tells, in order.
#[track_caller]
fn check(file: &str, want: &[&str]) -> Option<DnsTally> {
    let folder = captures(file)?;
    let (lines, tally) = decode(&folder.join(file));
    assert_eq!(lines, want);
    Some(tally)
}

#[test]
fn lies_of_the_wire_are_rejected() {
    // Names of pointers to themselves, in datagrams whose length says that they are empty.
    for file in ["tcpdump/dns-zlip-1.pcap", "tcpdump/dns-zlip-2.pcap", "tcpdump/dns-zlip-3.pcap"] {
        let Some(tally) = check(file, &[]) else { return };
        assert_eq!((tally.messages, tally.rejected[&DnsRejection::ShortHeader]), (1, 1));
    }
    // A label of unknown type, and a pointer that leads on, in messages whose opcode is no query's.
    for file in ["tcpdump/dns-badlabel.pcap", "tcpdump/dns_fwdptr.pcap"] {
        let Some(tally) = check(file, &[]) else { return };
        assert_eq!((tally.messages, tally.filtered[&DnsFilter::Opcode]), (1, 1));
    }
    let Some(tally) = check("zeek/dns__dns-invalid-names.pcap", &[]) else { return };
    assert_eq!(tally.rejected[&DnsRejection::Question], 3);
    let address = "codemonkey.net 300 A 152.53.82.239 ?";
    let Some(tally) = check("suricata-verify/dns__dns-forward-pointer__input.pcap", &[address])
    else {
        return;
    };
    assert_eq!(tally.rejected[&DnsRejection::QuestionCount], 1);
}

#[test]
fn a_second_response_is_unsolicited() {
    let name = "suricata-verify/dns__dns-udp-unsolicited-response__dns-response-2x.pcap";
    // The first has another id than the query, for which it waits.
    let want =
        ["client-cf.dropbox.com 47 A 52.85.112.21", "client-cf.dropbox.com 47 A 52.85.112.21 ?"];
    let Some(tally) = check(name, &want) else { return };
    assert_eq!((tally.queries, tally.unsolicited), (1, 1));
    let Some(folder) = captures("zeek/dns-two-responses.pcap") else { return };
    let (lines, _) = decode(&folder.join("zeek/dns-two-responses.pcap"));
    let (first, second) = lines.split_at(lines.len() / 2);
    assert_eq!(first.len(), 6);
    for (first, second) in first.iter().zip(second) {
        assert_eq!(&format!("{first} ?"), second);
    }
}

#[test]
fn records_of_many_types() {
    check("zeek/dns-caa.pcap", &["google.com 21577 CAA 0 issue \"symantec.com\""]);
    check("zeek/dns__hinfo.pcap", &["zeek.example.net 3600 HINFO \"INTEL-386\" \"Windows\""]);
    let host = "fp-de-carrier-vodafone.rcs.telephony.goog";
    check(
        "zeek/dns__naptr.pcap",
        &[&format!("{host} 168 NAPTR 100 100 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.{host}")],
    );
    check(
        "zeek/dns-https.pcap",
        &[
            "cloudflare.com 129 HTTPS 1 . alpn=\"h3,h3-29,h3-28,h3-27,h2\" ipv4hint=104.16.132.229,104.16.133.229 \
           ipv6hint=2606:4700::6810:84e5,2606:4700::6810:85e5",
        ],
    );
    check(
        "zeek/dns__dns-wks.pcap",
        &[
            "zeek.example.net 3600 WKS 192.168.0.1 6 0 1 2 21 23",
            "zeek.example.net 3600 WKS 192.168.0.1 17 0 1 2 53",
        ],
    );
    // What breaks the form of its type is kept to the octet.
    check(
        "zeek/dns__svcb-port-malformed.pcap",
        &["example.com 300 HTTPS \\# 10 0001000003000301bb00"],
    );
    check("zeek/dns-svcb-rdlength-mismatch.pcap", &["a.com 60 SVCB \\# 2 0001 ?"]);
    // A signature of the message is no record.
    check("zeek/dns-tsig.pcap", &["example.com 11825 A 93.184.216.119"]);
}

#[test]
fn what_is_told_of_a_name_that_does_not_exist() {
    let name = "suricata-verify/dns-eve-v2-udp-nxdomain-soa__dns-udp-nxdomain-soa.pcap";
    let soa = "oisf.net 899 SOA ns-110.awsdns-13.com awsdns-hostmaster.amazon.com 1 7200 900 1209600 86400";
    check(name, &[soa, "dne.oisf.net A NXDOMAIN"]);
}

#[test]
fn a_server_is_believed_within_the_domain_that_it_was_asked_about() {
    // Asked with RD, and without RA in the answer. It is a server of yahoo.com too, but nothing here says so.
    let first = "flkr._domainkey.flickr.com 900 CNAME fa14._domainkey.flickr.com";
    let second = "fa14._domainkey.flickr.com 900 CNAME fa14._domainkey.yahoo.com";
    let Some(tally) = check("zeek/dns-txt-multiple.pcap", &[first, second]) else { return };
    // The key, the name servers of _domainkey.yahoo.com, and their addresses.
    assert_eq!(tally.omitted[&DnsOmission::OutOfBailiwick], 11);
    assert_eq!(tally.omitted[&DnsOmission::ChainCut], 1);
}

#[test]
fn the_additional_section_is_believed_below_the_apex_only() {
    let Some(folder) = captures("zeek/dns-huge-ttl.pcap") else { return };
    let (lines, tally) = decode(&folder.join("zeek/dns-huge-ttl.pcap"));
    // Its TTL has the top bit set.
    assert_eq!(lines[0], "us.v27.distributed.net 0 A 206.109.64.186 ?");
    assert_eq!((lines.len(), tally.omitted[&DnsOmission::OutOfBailiwick]), (15, 7));
}
