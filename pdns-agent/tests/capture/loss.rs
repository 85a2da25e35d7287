//! A reader that does not keep up: what it loses is counted, and what it has stays as it was.

use crate::network::{Sender, pair};
use crate::packets::{UDP, V4, dns, ethernet, udp, v4, web};
use crate::{RING, capture, isolated, open, taken};
use pdns_agent::source::capture::Counters;
use std::time::{Duration, Instant};

#[test]
fn a_reader_that_never_drains_loses_what_is_counted() {
    isolated("a_reader_that_never_drains_loses_what_is_counted", || {
        pair("cap");
        let (mut capture, sender) = (capture("cap"), Sender::open("cap-out"));
        let (packets, others) = (20_000, 5000);
        let other = ethernet(V4, &v4(UDP, 0, 0, &web()));
        for number in 0..packets {
            let payload = udp(53, 50_000, &u32::to_be_bytes(number));
            sender.send(&ethernet(V4, &v4(UDP, 0, 0, &payload)));
            if number < others {
                sender.send(&other);
            }
        }
        let counters = capture.counters();
        let want = Counters {
            seen: u64::from(packets + others),
            dns: u64::from(packets),
            copied: counters.copied,
            lost: counters.lost,
            ..Counters::default()
        };
        assert_eq!(counters, want);
        assert_eq!(counters.copied + counters.lost, counters.dns);
        // A record is a header of 8 octets, one of 16 and room for 240; the last place stays free.
        let room = RING as u64 / (8 + 16 + 240);
        assert!((room - 1..=room).contains(&counters.copied), "{counters:?}");
        // The first are there, in order, and no other.
        let kept = taken(&mut capture);
        assert_eq!(kept.len() as u64, counters.copied);
        for (number, packet) in (0_u32..).zip(&kept) {
            assert_eq!(packet[42..46], number.to_be_bytes(), "the packet in place {number}");
        }
        // There is room again.
        sender.send(&ethernet(V4, &v4(UDP, 0, 0, &dns())));
        assert_eq!(taken(&mut capture).len(), 1);
        assert_eq!(capture.counters().lost, counters.lost);
    });
}

#[test]
fn a_reader_that_waits_is_woken_before_the_buffer_is_full() {
    isolated("a_reader_that_waits_is_woken_before_the_buffer_is_full", || {
        pair("cap");
        let mut capture = open("cap", 4 * RING);
        let sender = std::thread::spawn(|| {
            let sender = Sender::open("cap-out");
            std::thread::sleep(Duration::from_millis(100));
            let packet = ethernet(V4, &v4(UDP, 0, 0, &udp(53, 50_000, &[0; 1400])));
            for _ in 0..1500 {
                sender.send(&packet);
            }
        });
        let started = Instant::now();
        capture.wait(Duration::from_secs(20));
        let waited = started.elapsed();
        sender.join().unwrap();
        assert!(waited < Duration::from_secs(10), "nobody woke the reader");
        assert!(!taken(&mut capture).is_empty());
        assert_eq!(capture.counters().lost, 0);
    });
}
