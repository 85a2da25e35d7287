//! Conversion of packets into observations: `wire` extracts the messages, `dns` decodes them.
//!
//! Layer 3. The result depends only on the packets and their times, so a capture file that is read again
//! produces the same observations.

use super::dns::{self, DnsTally};
use super::wire::{self, WireTally};
use crate::observation::Observation;
use crate::source::{CaptureCounters, Frame};
use crate::time::Timestamp;
use pdns_ebpf_common::Ports;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Decoder settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOptions {
    /// UDP and TCP ports that carry DNS.
    pub ports: Vec<u16>,
    /// Time that a question waits for its answer.
    pub timeout: Duration,
    /// True to drop unsolicited responses.
    pub drop_unsolicited: bool,
}

/// Reads the packets of one capture in order.
pub struct PacketDecoder {
    wire: wire::Wire,
    dns: dns::Decoder,
}

/// Counts of packets and of the messages in them, by outcome.
///
/// Invariant: `seen = refused + decoded + rejected + lost + waiting`, at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PacketTally {
    /// Counters of the kernel; absent for a capture file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureCounters>,
    /// Packets passed to the decoder.
    pub packets: WireTally,
    /// Messages in these packets.
    pub messages: DnsTally,
}

/// Result, reason, and count.
pub type Ending = (&'static str, &'static str, u64);

impl PacketTally {
    /// Adds another tally to this one.
    pub fn merge(&mut self, other: &Self) {
        if let Some(counters) = &other.capture {
            self.capture.get_or_insert_default().merge(counters);
        }
        self.packets.merge(&other.packets);
        self.messages.merge(&other.messages);
    }

    /// Packets seen on the interface or in the file.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.capture.map_or(self.packets.frames, |capture| capture.seen)
    }

    /// Packets without DNS.
    #[must_use]
    pub fn refused(&self) -> u64 {
        let by_kernel = self.capture.map_or(0, |capture| capture.seen.saturating_sub(capture.dns));
        by_kernel + self.packets.other
    }

    /// Packets that were used: each carried a message or a part of one, or was part of a stream.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.packets.datagrams + self.packets.segments + self.packets.fragments
    }

    /// Counts of the packets that the decoder finished: result, reason if there is one, and number. Packets
    /// that are still held are not included.
    pub fn packet_endings(&self) -> impl Iterator<Item = Ending> {
        let WireTally { other, datagrams, segments, fragments, rejected, lost, .. } = &self.packets;
        let plain = [
            ("refused", "no_dns", *other),
            ("decoded", "datagram", *datagrams),
            ("decoded", "segment", *segments),
            ("decoded", "fragment", *fragments),
        ];
        let rejected = rejected.iter().map(|(reason, &count)| ("rejected", reason.label(), count));
        let lost = lost.iter().map(|(reason, &count)| ("lost", reason.label(), count));
        plain.into_iter().chain(rejected).chain(lost)
    }

    /// Counts of the messages: result, reason if there is one, and number.
    pub fn message_endings(&self) -> impl Iterator<Item = Ending> {
        let DnsTally { counted, queries, filtered, rejected, .. } = &self.messages;
        let plain = [("counted", "response", *counted), ("counted", "query", *queries)];
        let filtered = filtered.iter().map(|(reason, &count)| ("left_out", reason.label(), count));
        let rejected = rejected.iter().map(|(reason, &count)| ("rejected", reason.label(), count));
        plain.into_iter().chain(filtered).chain(rejected)
    }

    /// Packets that were unusable.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.packets.rejected.total()
    }

    /// Packets that were dropped for lack of room, or that waited for missing others.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let in_ring = self.capture.map_or(0, |capture| capture.lost);
        in_ring + self.packets.lost.total()
    }

    /// Packets in the kernel's ring buffer.
    #[must_use]
    pub fn in_ring(&self) -> u64 {
        self.capture.map_or(0, |capture| capture.copied.saturating_sub(self.packets.frames))
    }

    /// Packets that are in the ring buffer, or wait for the rest of a datagram or stream.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.in_ring() + self.packets.held
    }
}

impl PacketDecoder {
    /// A decoder at the start of a capture.
    #[must_use]
    pub fn new(options: &PacketOptions) -> Self {
        let wire = wire::Wire::new(wire::WireOptions {
            ports: Ports::new(&options.ports),
            ..wire::WireOptions::default()
        });
        let dns = dns::Decoder::new(dns::DnsOptions {
            drop_unsolicited: options.drop_unsolicited,
            timeout: options.timeout,
            ..dns::DnsOptions::default()
        });
        Self { wire, dns }
    }

    /// Reads one packet. Unusable packets are counted.
    pub fn frame(&mut self, frame: &Frame<'_>, emit: &mut dyn FnMut(Observation<'_>)) {
        self.dns.advance(frame.at, emit);
        let dns = &mut self.dns;
        self.wire.frame(frame, &mut |message| read(dns, &message, emit));
    }

    /// Counts packets that the source refused because of their link type.
    pub fn refuse(&mut self, packets: u64) {
        self.wire.refuse(packets);
    }

    /// Sets the clock: no packet before `now` will follow, so questions that waited too long are unanswered.
    pub fn advance(&mut self, now: Timestamp, emit: &mut dyn FnMut(Observation<'_>)) {
        self.dns.advance(now, emit);
    }

    /// Ends the capture: incomplete data is dropped, and counted.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        let dns = &mut self.dns;
        self.wire.finish(&mut |message| read(dns, &message, emit));
        self.dns.finish(emit);
    }

    /// Reads the responses that wait for their query, as at the end of a capture. Questions stay open.
    pub fn settle(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        self.dns.settle(emit);
    }

    /// Ends a part of a capture that may continue: the same as [`PacketDecoder::finish`], but questions stay open.
    pub fn pause(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        let dns = &mut self.dns;
        self.wire.finish(&mut |message| read(dns, &message, emit));
        self.dns.settle(emit);
    }

    /// Takes out the counts so far. Waiting packets and messages stay in the new tally.
    pub fn take_tally(&mut self) -> PacketTally {
        let (packets, messages) = (self.wire.take_tally(), self.dns.take_tally());
        PacketTally { capture: None, packets, messages }
    }

    /// Resets the open questions and the clock, after the clock was set back. Questions are counted as at the
    /// end of a capture, and responses that wait for their query become unsolicited.
    pub fn begin_anew(&mut self, emit: &mut dyn FnMut(Observation<'_>)) {
        self.dns.finish(emit);
    }

    /// The counts so far.
    #[must_use]
    pub fn tally(&self) -> PacketTally {
        PacketTally {
            capture: None,
            packets: self.wire.tally().clone(),
            messages: self.dns.tally().clone(),
        }
    }
}

/// Reads a message, or the beginning of one. Unusable messages are counted there.
fn read(
    dns: &mut dns::Decoder,
    message: &wire::Message<'_>,
    emit: &mut dyn FnMut(Observation<'_>),
) {
    if message.is_cut {
        dns.glimpse(message, emit);
    } else {
        dns.message(message, emit).ok();
    }
}
