//! Real captures: every message of them ends in some way, and what is known of some of them by hand comes out.

use super::build::line;
use crate::support::Data;
use flate2::read::GzDecoder;
use pdns_agent::decode::dns::{
    Decoder, DnsFilter, DnsOmission, DnsOptions, DnsRejection, DnsTally,
};
use pdns_agent::decode::wire::{Flow, Message, Transport};
use pdns_agent::time::Timestamp;
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

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
    let mut decoder = Decoder::new(DnsOptions::default());
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
    let data = Data::of("pcaps");
    let mut sum = DnsTally::default();
    for source in fs::read_dir(&data.folder).unwrap() {
        for file in fs::read_dir(source.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let (lines, tally) = decode(&path);
            assert_eq!(lines.len() as u64, tally.records + tally.negatives, "{}", path.display());
            sum.merge(&tally);
        }
    }
    println!("{sum:?}");
    let (messages, records, negatives) = data.pick((800, 1000, 50), (250, 100, 10));
    assert!(
        sum.messages > messages && sum.records > records && sum.negatives > negatives,
        "{sum:?}"
    );
}

/// One capture: all that it tells, in order; the real one, and our own in its place.
#[track_caller]
fn check(file: &str, real: &[&str], own: &[&str]) -> DnsTally {
    let data = Data::of("pcaps");
    let (lines, tally) = decode(&data.folder.join(file));
    assert_eq!(lines, data.pick(real, own));
    tally
}

#[test]
fn lies_of_the_wire_are_rejected() {
    // Names of pointers to themselves, in datagrams whose length says that they are empty.
    for file in ["tcpdump/dns-zlip-1.pcap", "tcpdump/dns-zlip-2.pcap", "tcpdump/dns-zlip-3.pcap"] {
        let tally = check(file, &[], &[]);
        assert_eq!((tally.messages, tally.rejected[&DnsRejection::ShortHeader]), (1, 1));
    }
    // A label of unknown type, and a pointer that leads on, in messages whose opcode is no query's.
    for file in ["tcpdump/dns-badlabel.pcap", "tcpdump/dns_fwdptr.pcap"] {
        let tally = check(file, &[], &[]);
        assert_eq!((tally.messages, tally.filtered[&DnsFilter::Opcode]), (1, 1));
    }
    let tally = check("zeek/dns__dns-invalid-names.pcap", &[], &[]);
    assert_eq!(tally.rejected[&DnsRejection::Question], 3);
    let address = "codemonkey.net 300 A 152.53.82.239 ?";
    let own = "www.example.com 300 A 192.0.2.7 ?";
    let file = "suricata-verify/dns__dns-forward-pointer__input.pcap";
    let tally = check(file, &[address], &[own]);
    assert_eq!(tally.rejected[&DnsRejection::QuestionCount], 1);
}

#[test]
fn a_second_response_is_unsolicited() {
    let name = "suricata-verify/dns__dns-udp-unsolicited-response__dns-response-2x.pcap";
    // The first has another id than the query, for which it waits.
    let want =
        ["client-cf.dropbox.com 47 A 52.85.112.21", "client-cf.dropbox.com 47 A 52.85.112.21 ?"];
    let own = ["www.example.com 300 A 192.0.2.7", "www.example.com 300 A 192.0.2.7 ?"];
    let tally = check(name, &want, &own);
    assert_eq!((tally.queries, tally.unsolicited), (1, 1));
    // The same response again within 0.1 ms, as a mirror port shows it, is a copy.
    let (lines, tally) = decode(&Data::of("pcaps/zeek/dns-two-responses.pcap").folder);
    assert_eq!(lines.len(), 6);
    assert!(lines.iter().all(|line| !line.ends_with(" ?")), "{lines:?}");
    assert_eq!((tally.queries, tally.unsolicited), (1, 0));
}

#[test]
fn records_of_many_types() {
    check(
        "zeek/dns-caa.pcap",
        &["google.com 21577 CAA 0 issue \"symantec.com\""],
        &["example.com 300 CAA 0 issue \"ca.example.net\""],
    );
    check(
        "zeek/dns__hinfo.pcap",
        &["zeek.example.net 3600 HINFO \"INTEL-386\" \"Windows\""],
        &["host.example.net 300 HINFO \"INTEL-386\" \"Linux\""],
    );
    let host = "fp-de-carrier-vodafone.rcs.telephony.goog";
    check(
        "zeek/dns__naptr.pcap",
        &[&format!("{host} 168 NAPTR 100 100 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.{host}")],
        &["sip.example.org 300 NAPTR 100 100 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.sip.example.org"],
    );
    check(
        "zeek/dns-https.pcap",
        &[
            "cloudflare.com 129 HTTPS 1 . alpn=\"h3,h3-29,h3-28,h3-27,h2\" ipv4hint=104.16.132.229,104.16.133.229 \
           ipv6hint=2606:4700::6810:84e5,2606:4700::6810:85e5",
        ],
        &["example.net 300 HTTPS 1 . alpn=\"h3,h2\" ipv4hint=192.0.2.7 ipv6hint=2001:db8::7"],
    );
    check(
        "zeek/dns__dns-wks.pcap",
        &[
            "zeek.example.net 3600 WKS 192.168.0.1 6 0 1 2 21 23",
            "zeek.example.net 3600 WKS 192.168.0.1 17 0 1 2 53",
        ],
        &["host.example.net 300 WKS 192.0.2.7 6 0 1 2 21 23"],
    );
    // What breaks the form of its type is kept to the octet.
    check(
        "zeek/dns__svcb-port-malformed.pcap",
        &["example.com 300 HTTPS \\# 10 0001000003000301bb00"],
        &["example.com 300 HTTPS \\# 10 0001000003000301bb00"],
    );
    check(
        "zeek/dns-svcb-rdlength-mismatch.pcap",
        &["a.com 60 SVCB \\# 2 0001 ?"],
        &["example.org 300 SVCB \\# 2 0001"],
    );
    // A signature of the message is no record.
    check(
        "zeek/dns-tsig.pcap",
        &["example.com 11825 A 93.184.216.119"],
        &["www.example.com 300 A 192.0.2.7"],
    );
}

#[test]
fn what_is_told_of_a_name_that_does_not_exist() {
    let name = "suricata-verify/dns-eve-v2-udp-nxdomain-soa__dns-udp-nxdomain-soa.pcap";
    let soa = "oisf.net 899 SOA ns-110.awsdns-13.com awsdns-hostmaster.amazon.com 1 7200 900 1209600 86400";
    let own = "example.com 300 SOA ns1.example.com root.example.com 1 7200 3600 1209600 300";
    check(name, &[soa, "dne.oisf.net A NXDOMAIN"], &[own, "none.example.com A NXDOMAIN"]);
}

#[test]
fn a_server_is_believed_within_the_domain_that_it_was_asked_about() {
    // Asked with RD, and without RA in the answer. It is a server of yahoo.com too, but nothing here says so.
    let first = "flkr._domainkey.flickr.com 900 CNAME fa14._domainkey.flickr.com";
    let second = "fa14._domainkey.flickr.com 900 CNAME fa14._domainkey.yahoo.com";
    let own = ["a.example.com 900 CNAME b.example.com", "b.example.com 900 CNAME b.example.net"];
    let tally = check("zeek/dns-txt-multiple.pcap", &[first, second], &own);
    // The key, the name servers of the other domain, and their addresses.
    let left_out = Data::of("pcaps").pick(11, 5);
    assert_eq!(tally.omitted[&DnsOmission::OutOfBailiwick], left_out);
    assert_eq!(tally.omitted[&DnsOmission::ChainCut], 1);
}

#[test]
fn the_additional_section_is_believed_below_the_apex_only() {
    let data = Data::of("pcaps/zeek/dns-huge-ttl.pcap");
    let (lines, tally) = decode(&data.folder);
    // Its TTL has the top bit set.
    let first =
        data.pick("us.v27.distributed.net 0 A 206.109.64.186 ?", "us.example.com 0 A 192.0.2.7 ?");
    assert_eq!(lines[0], first);
    let left_out = tally.omitted[&DnsOmission::OutOfBailiwick];
    assert_eq!((lines.len(), left_out), data.pick((15, 7), (4, 1)));
}
