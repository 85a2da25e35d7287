//! Invariants: any order produces the same messages, any octets stay within limits, the ledger adds up.

mod build;
mod datagrams;
mod streams;

use super::{Flow, FragmentLimits, Message, StreamLimits, Wire, WireOptions};
use crate::source::Frame;
use crate::time::Timestamp;
use build::ip_frame;
use pdns_ebpf_common::Start;
use proptest::prelude::*;

/// Transparent Ethernet bridging: the start of an Ethernet frame.
const ETHERNET: Start = Start { at: 0, ethertype: 0x6558 };

/// A decoder under test, which checks the ledger after each frame.
struct Run {
    wire: Wire,
    seen: Vec<(Flow, Vec<u8>)>,
    /// The beginnings of messages.
    beginnings: Vec<(Flow, Vec<u8>)>,
    micros: i64,
}

impl Run {
    fn new() -> Self {
        Self::with(WireOptions::default())
    }

    fn with(options: WireOptions) -> Self {
        Self {
            wire: Wire::new(options),
            seen: Vec::new(),
            beginnings: Vec::new(),
            micros: 1_000_000_000,
        }
    }

    /// Processes an Ethernet frame of which `captured` octets were captured.
    fn cut(&mut self, octets: &[u8], captured: usize) -> &mut Self {
        self.micros += 1;
        let frame = Frame {
            at: Timestamp::from_micros(self.micros),
            start: ETHERNET,
            octets: &octets[..captured.min(octets.len())],
            length: u32::try_from(octets.len()).unwrap(),
        };
        let Self { wire, seen, beginnings, .. } = self;
        wire.frame(&frame, &mut |message: Message<'_>| {
            let to = if message.is_cut { &mut *beginnings } else { &mut *seen };
            to.push((message.flow, message.octets.to_vec()));
        });
        self.check();
        self
    }

    fn frame(&mut self, octets: &[u8]) -> &mut Self {
        self.cut(octets, usize::MAX)
    }

    fn ip(&mut self, packet: &[u8]) -> &mut Self {
        self.frame(&ip_frame(packet))
    }

    fn wait(&mut self, seconds: i64) -> &mut Self {
        self.micros += seconds * 1_000_000;
        self
    }

    fn finish(&mut self) -> &mut Self {
        let Self { wire, seen, beginnings, .. } = self;
        wire.finish(&mut |message: Message<'_>| {
            let to = if message.is_cut { &mut *beginnings } else { &mut *seen };
            to.push((message.flow, message.octets.to_vec()));
        });
        self.check();
        assert_eq!(self.wire.tally().held, 0);
        assert_eq!(self.wire.fragments.usage(), (0, 0));
        assert_eq!(self.wire.streams.usage(), (0, 0, 0));
        self
    }

    fn check(&self) {
        let tally = self.wire.tally();
        assert_eq!(tally.endings(), tally.frames, "{tally:?}");
        assert_eq!(tally.messages, self.seen.len() as u64);
    }

    fn messages(&self) -> Vec<&[u8]> {
        self.seen.iter().map(|(_, octets)| octets.as_slice()).collect()
    }

    /// The tally as text, without zeros: `datagrams 1, lost stream_gap 2`.
    fn ledger(&self) -> String {
        let tally = self.wire.tally();
        let mut parts: Vec<String> = [
            ("other", tally.other),
            ("datagrams", tally.datagrams),
            ("segments", tally.segments),
            ("fragments", tally.fragments),
            ("held", tally.held),
        ]
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
        parts.extend(
            tally.rejected.iter().map(|(why, count)| format!("rejected {} {count}", why.label())),
        );
        parts.extend(tally.lost.iter().map(|(why, count)| format!("lost {} {count}", why.label())));
        parts.join(", ")
    }
}

/// Reorders things as given by numbers.
fn shuffle<T>(things: &mut [T], order: &[usize]) {
    let count = things.len();
    for (at, other) in order.iter().enumerate() {
        if at < count {
            things.swap(at, other % count);
        }
    }
}

/// A realistic frame with some corruption.
fn mangled() -> impl Strategy<Value = (Vec<u8>, usize, i64)> {
    let message = (any::<u16>(), 0_usize..200).prop_map(|(id, padding)| build::query(id, padding));
    let packet =
        (message, 0_u8..8, 0_u32..2000, any::<u8>()).prop_map(|(message, kind, number, flags)| {
            let segment =
                build::tcp((build::PORT, 53), number, number, flags, &build::framed(&message));
            let whole = build::v4(17, 7, &build::udp(53, build::PORT, &message));
            let whole6 = build::v6(17, &build::udp(53, build::PORT, &message));
            let cut = number as usize % 10;
            match kind {
                0 => whole,
                1 => whole6,
                2 => build::fragments(&whole, &[cut])[0].clone(),
                3 => build::fragments(&whole6, &[cut]).pop().unwrap(),
                4 => build::fragments(&build::v4(6, 9, &segment), &[cut]).pop().unwrap(),
                5 => build::v6(6, &segment),
                6 => {
                    let tunnels = build::tunnels(&whole);
                    let (_, protocol, payload) = &tunnels[number as usize % tunnels.len()];
                    build::fragments(&build::v4(*protocol, 5, payload), &[cut])[0].clone()
                }
                _ => build::v4(6, 8, &segment),
            }
        });
    let breaks = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (packet, breaks, 0_usize..400, -40_i64..40).prop_map(|(packet, breaks, captured, seconds)| {
        let mut frame = ip_frame(&packet);
        for (at, octet) in breaks {
            let at = at.index(frame.len());
            frame[at] = octet;
        }
        (frame, captured, seconds)
    })
}

proptest! {
    #[test]
    fn any_octets_are_accounted_for(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..120), 0_u16..4), 0..20)
    ) {
        let mut run = Run::new();
        for (octets, start) in frames {
            let start = [0x6558, 0, 0x0800, 0x86dd][usize::from(start)];
            let frame = Frame {
                at: Timestamp::from_micros(i64::MAX),
                start: Start { at: u32::from(start & 1), ethertype: start },
                octets: &octets,
                length: 0,
            };
            run.wire.frame(&frame, &mut |_| {});
            prop_assert_eq!(run.wire.tally().endings(), run.wire.tally().frames);
        }
    }

    #[test]
    fn mangled_packets_are_accounted_for_within_the_bounds(
        frames in prop::collection::vec(mangled(), 1..80)
    ) {
        let fragments = FragmentLimits { datagrams: 3, octets: 1000, seconds: 30 };
        let streams = StreamLimits { streams: 3, octets: 3000, seconds: 60 };
        let mut run = Run::with(WireOptions { fragments, streams, ..WireOptions::default() });
        for (frame, captured, seconds) in frames {
            run.wait(seconds).cut(&frame, captured);
            let (waiting, octets) = run.wire.fragments.usage();
            prop_assert!(waiting <= 3 && octets <= 1000, "{waiting} {octets}");
            let (open, opening, octets) = run.wire.streams.usage();
            prop_assert!(open <= 3 && opening <= 3 && octets <= 3000, "{open} {opening} {octets}");
        }
        run.finish();
    }
}
