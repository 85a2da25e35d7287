//! Every kind of packet: what carries DNS arrives as it was, other packets do not.

use crate::network::{Sender, pair};
use crate::offload::expect_offload_header;
use crate::packets::{
    UDP, V4, VLAN, dns, ethernet, kinds, others, received, tag, udp, v4, v6, web,
};
use crate::tunnel::Tunnel;
use crate::{capture, isolated, taken};
use pdns_agent::source::capture::{Capture, CaptureOptions, Counters};
use pdns_ebpf_common::{Link, Ports, Start, decide};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

#[test]
fn what_carries_dns_arrives_as_it_was_and_nothing_else_does() {
    isolated("what_carries_dns_arrives_as_it_was_and_nothing_else_does", || {
        pair("cap");
        let (mut capture, sender) = (capture("cap"), Sender::open("cap-out"));
        for (kind, packet) in kinds() {
            sender.send(&packet);
            assert_eq!(taken(&mut capture), [received(&packet)], "{kind}");
        }
        let dns = kinds().len() as u64;
        for (kind, packet) in others() {
            sender.send(&packet);
            assert!(taken(&mut capture).is_empty(), "{kind} is not DNS");
        }
        let seen = dns + others().len() as u64;
        let counters = capture.counters();
        // The host speaks neither the older kind of VLAN nor what has a length for an EtherType, and MPLS and PPPoE only
        // with modules of the kernel: it counts these as dropped by the interface, once they were seen.
        assert!((2..=5).contains(&counters.interface_dropped), "{counters:?}");
        let want = Counters {
            seen,
            dns,
            copied: dns,
            interface_dropped: counters.interface_dropped,
            ..Counters::default()
        };
        assert_eq!(counters, want);
    });
}

#[test]
fn the_kinds_are_those_that_the_host_decides_on_alike() {
    let ports = Ports::new(&[53]);
    for (kind, packet) in kinds() {
        assert!(decide(&packet[..], Link::Ethernet, &ports).is_some(), "{kind}");
    }
    for (kind, packet) in others() {
        assert_eq!(decide(&packet[..], Link::Ethernet, &ports), None, "{kind}");
    }
}

#[test]
fn tags_are_in_the_data_of_what_is_sent_and_beside_what_is_received() {
    isolated("tags_are_in_the_data_of_what_is_sent_and_beside_what_is_received", || {
        pair("cap");
        let (mut here, mut there) = (capture("cap"), capture("cap-out"));
        let sender = Sender::open("cap-out");
        // With a header that asks for nothing.
        expect_offload_header(&sender);
        let packet = ethernet(VLAN, &tag(V4, &v4(UDP, 0, 0, &dns())));
        sender.send(&[&[0; 10][..], &packet].concat());
        assert_eq!(taken(&mut there), std::slice::from_ref(&packet), "the tag is in the data");
        assert_eq!(taken(&mut here), [received(&packet)], "the tag is beside the packet");
    });
}

#[test]
fn further_ports_are_those_that_were_asked_for() {
    isolated("further_ports_are_those_that_were_asked_for", || {
        pair("cap");
        let ports = &[53, 5353, 5355, 8053, 65_535];
        let options =
            CaptureOptions { interface: "cap".to_owned(), ports, ring: 0, promiscuous: false };
        let mut capture = Capture::open(&options).unwrap();
        let sender = Sender::open("cap-out");
        for port in [52, 53, 54, 5352, 5353, 5354, 5355, 8053, 0, 65_535, 65_534] {
            // At once, and below a tag, where the filter finds ports in another way.
            for (from, to) in [(port, 40_000), (40_000, port)] {
                let ip = v4(UDP, 0, 0, &udp(from, to, b"payload"));
                for packet in [ethernet(V4, &ip), ethernet(0x9100, &tag(V4, &ip))] {
                    sender.send(&packet);
                    let want = usize::from(ports.contains(&port));
                    assert_eq!(taken(&mut capture).len(), want, "{from} to {to}");
                }
            }
        }
    });
}

#[test]
fn an_interface_of_ip_alone() {
    isolated("an_interface_of_ip_alone", || {
        let mut tunnel = Tunnel::new("tun");
        let mut capture = capture("tun");
        let packets = [v4(UDP, 0, 0, &dns()), v6(UDP, &dns()), v4(4, 0, 0, &v4(UDP, 0, 0, &dns()))];
        for packet in packets {
            tunnel.receive(&packet);
            let mut came = Vec::new();
            capture.drain(9, &mut |frame| {
                came.push((frame.start, frame.octets.to_vec()));
                ControlFlow::Continue(())
            });
            assert_eq!(came, [(Start { at: 0, ethertype: Start::ANY_IP }, packet)]);
        }
        tunnel.receive(&v4(UDP, 0, 0, &web()));
        assert!(taken(&mut capture).is_empty());
        assert_eq!(capture.counters().seen, 4);
    });
}

#[test]
fn the_time_of_a_packet_is_when_it_came() {
    isolated("the_time_of_a_packet_is_when_it_came", || {
        let micros = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            i64::try_from(now.as_micros()).unwrap()
        };
        pair("cap");
        let (mut capture, sender) = (capture("cap"), Sender::open("cap-out"));
        let packet = ethernet(V4, &v4(UDP, 0, 0, &dns()));
        let mut sent = Vec::new();
        for _ in 0..5 {
            sent.push(micros());
            sender.send(&packet);
            std::thread::sleep(Duration::from_millis(120));
        }
        let mut came = Vec::new();
        capture.drain(9, &mut |frame| {
            came.push(frame.at.micros());
            ControlFlow::Continue(())
        });
        assert_eq!(came.len(), sent.len());
        for (sent, came) in sent.iter().zip(&came) {
            assert!((sent - came).abs() < 50_000, "sent at {sent}, came at {came}");
        }
    });
}
