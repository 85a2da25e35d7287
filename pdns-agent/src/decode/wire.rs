//! Conversion of packets into DNS messages.
//!
//! Layer 3. Reads the [`Frame`]s of a capture, reassembles fragments and TCP streams, and delivers each
//! complete DNS message. `decode::dns` interprets the messages.
//!
//! Packet time alone drives it, so the same frames produce the same messages. All waiting data is bounded,
//! and each frame is counted exactly once, see [`WireTally`].

mod fragments;
mod framing;
mod packet;
mod stream;
mod streams;
mod table;
mod tally;

#[cfg(test)]
mod tests;

pub use fragments::FragmentLimits;
pub use streams::StreamLimits;
pub use tally::{WireLoss, WireRejection, WireTally};

use self::fragments::Fragments;
use self::packet::{Datagram, Watched};
use self::stream::{Carried, Out};
use self::streams::Streams;
use crate::source::Frame;
use crate::time::Timestamp;
use pdns_ebpf_common::{
    DNS_PORTS, Decision, Found, Fragment, PortSet as _, Ports, Protocol, Start, decide_at,
};
use std::net::IpAddr;

/// Maximum number of reassemblies of a packet: a tunnel's own datagram, and the one carried by the tunnel.
const MOST_NESTED: u32 = 2;
/// Maximum number of calls of `decide_at` for one packet: each examines three layers, or eight MPLS labels.
/// An Ethernet frame of the usual size holds fewer labels than that.
const MOST_LAYERS: usize = 48;

/// Transport of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram (RFC 1035 §4.2.1).
    Udp,
    /// A stream, with each message preceded by its length (RFC 1035 §4.2.2).
    Tcp,
}

/// Sender and receiver of a message. Used to pair questions with answers, and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Transport of the message.
    pub transport: Transport,
    /// Address and port of the sender.
    pub from: (IpAddr, u16),
    /// Address and port of the receiver.
    pub to: (IpAddr, u16),
}

/// One DNS message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Time of capture of the packet that completed it.
    pub at: Timestamp,
    /// Sender and receiver.
    pub flow: Flow,
    /// The message from its header on, without a TCP length; any octets, up to 65,535.
    pub octets: &'a [u8],
    /// True if these are only the first bytes of a message: the capture truncated it, or its other parts may
    /// never arrive. Its frames are counted separately, and if it is completed, it is delivered again.
    pub is_cut: bool,
}

impl Flow {
    /// The flow of the answer.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }
}

/// Settings of [`Wire`].
#[derive(Clone)]
pub struct WireOptions {
    /// The ports that carry DNS.
    pub ports: Ports,
    /// Limits for datagrams in fragments.
    pub fragments: FragmentLimits,
    /// Limits for TCP streams.
    pub streams: StreamLimits,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self {
            ports: Ports::new(DNS_PORTS),
            fragments: FragmentLimits::default(),
            streams: StreamLimits::default(),
        }
    }
}

/// Converts frames into messages.
pub struct Wire {
    options: Box<WireOptions>,
    fragments: Fragments,
    streams: Streams,
    tally: WireTally,
    /// Buffer for reassembling a datagram.
    whole: Vec<u8>,
}

/// A packet being processed, either captured or reassembled.
#[derive(Clone, Copy)]
struct Packet<'a> {
    octets: &'a [u8],
    /// Length in octets before the capture truncated it.
    length: usize,
    start: Start,
    at: Timestamp,
    /// Number of frames it arrived in.
    frames: u32,
    /// Number of reassemblies so far.
    nested: u32,
}

impl Wire {
    /// Creates an instance without any state.
    #[must_use]
    pub fn new(options: WireOptions) -> Self {
        Self {
            fragments: Fragments::new(options.fragments),
            streams: Streams::new(options.streams),
            options: Box::new(options),
            tally: WireTally::default(),
            whole: Vec::new(),
        }
    }

    /// Counts of all frames so far.
    #[must_use]
    pub fn tally(&self) -> &WireTally {
        &self.tally
    }

    /// Takes out the counts of all frames; held frames stay in the new tally.
    pub fn take_tally(&mut self) -> WireTally {
        let held = self.tally.held;
        let rest = WireTally { frames: held, held, ..WireTally::default() };
        let mut tally = std::mem::replace(&mut self.tally, rest);
        tally.frames -= held;
        tally.held = 0;
        tally
    }

    /// Counts frames with an unknown link header as rejected.
    pub fn refuse(&mut self, frames: u64) {
        self.tally.frames += frames;
        if frames > 0 {
            self.tally.rejected.add_many(WireRejection::LinkType, frames);
        }
    }

    /// Reads a frame, and delivers the messages that it completes, and the available part of one that it
    /// contains partially.
    ///
    /// A UDP datagram is delivered in place, without copies or allocations. So is a message that lies
    /// complete and in order in a TCP segment.
    pub fn frame(&mut self, frame: &Frame<'_>, sink: &mut dyn FnMut(Message<'_>)) {
        self.tally.frames += 1;
        self.fragments.expire(frame.at, &mut self.tally);
        self.streams.expire(frame.at, &mut self.tally, sink);
        let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
        let packet = Packet {
            octets: frame.octets,
            length: length.max(frame.octets.len()),
            start: frame.start,
            at: frame.at,
            frames: 1,
            nested: 0,
        };
        self.packet(packet, sink);
    }

    /// Ends the capture: delivers complete messages after a gap in a TCP stream, and counts the frames that
    /// still wait as lost.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Message<'_>)) {
        self.fragments.finish(&mut self.tally);
        self.streams.finish(&mut self.tally, sink);
    }

    fn packet(&mut self, packet: Packet<'_>, sink: &mut dyn FnMut(Message<'_>)) {
        if let Err(reason) = self.decoded(packet, sink) {
            self.tally.reject(reason, packet.frames);
        }
    }

    /// Finds DNS in a packet, through all of its layers.
    fn find(&self, packet: &Watched<'_>, start: Start) -> Result<Option<Found>, WireRejection> {
        let mut start = start;
        for _ in 0..MOST_LAYERS {
            match decide_at(packet, start, &self.options.ports) {
                None => return Ok(None),
                Some(Decision::Found(found)) => return Ok(Some(found)),
                Some(Decision::Deeper(deeper)) => start = deeper,
            }
        }
        Err(WireRejection::Nesting)
    }

    /// Counts a packet, or returns the reason why it is rejected.
    fn decoded(
        &mut self,
        packet: Packet<'_>,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), WireRejection> {
        let Packet { octets, length, at, frames, .. } = packet;
        let watched = Watched::new(octets);
        let Some(found) = self.find(&watched, packet.start)? else {
            return match (watched.fell_short.get(), length > octets.len()) {
                (true, true) => Err(WireRejection::CutByCapture),
                (true, false) => Err(WireRejection::Header),
                (false, _) => {
                    self.tally.other += u64::from(frames);
                    Ok(())
                }
            };
        };
        let datagram = Datagram::read(octets, length, &found)?;
        if found.fragment != Fragment::Whole {
            if packet.nested == MOST_NESTED {
                return Err(WireRejection::FragmentNesting);
            }
            if let Some((from, to, octets)) = packet::first_of_response(&datagram, &found)
                && (self.options.ports.has(from) || self.options.ports.has(to))
            {
                let flow = datagram.flow(Transport::Udp, from, to);
                sink(Message { at, flow, octets, is_cut: true });
            }
            let mut whole = std::mem::take(&mut self.whole);
            let fragment = (&datagram, &found);
            if let Some(frames) =
                self.fragments.add(fragment, at, frames, &mut whole, &mut self.tally)
            {
                let ethertype = if found.is_v6 { Start::IPV6 } else { Start::IPV4 };
                let start = Start { at: 0, ethertype };
                let (length, nested) = (whole.len(), packet.nested + 1);
                let packet = Packet { octets: &whole, length, start, at, frames, nested };
                self.packet(packet, sink);
            }
            self.whole = whole;
            return Ok(());
        }
        match found.protocol {
            Protocol::Udp => {
                let (from, to, octets, is_cut) = packet::udp(&datagram)?;
                let flow = datagram.flow(Transport::Udp, from, to);
                if !is_cut {
                    self.tally.datagram(frames);
                    self.tally.messages += 1;
                }
                sink(Message { at, flow, octets, is_cut });
                if is_cut {
                    return Err(WireRejection::CutByCapture);
                }
            }
            Protocol::Tcp => {
                let segment = packet::tcp(&datagram)?;
                let flow = datagram.flow(Transport::Tcp, segment.from, segment.to);
                let carried = Carried { at, frames, missing: segment.missing };
                let out = &mut Out { flow, tally: &mut self.tally, sink };
                self.streams.segment(&segment, carried, out);
            }
            // `decide` returns another protocol only for fragments.
            Protocol::Other(_) => self.tally.other += u64::from(frames),
        }
        Ok(())
    }
}
