//! From packets to DNS messages.
//!
//! Layer 3. Takes the [`Frame`]s of a capture, puts fragments and TCP streams together, and hands on each DNS
//! message that is whole. What a message says is `decode::dns`'s business.
//!
//! Packet time alone drives it, so the same frames give the same messages. Everything that waits is bounded, and
//! each frame is in one place of the ledger, see [`WireTally`].

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

/// Most times that a packet is put together: a tunnel's own datagram, and the one that the tunnel carried.
const MOST_NESTED: u32 = 2;
/// Most calls of `decide_at` for one packet: each looks through three layers, or eight labels of MPLS. An Ethernet
/// frame of the usual size has room for fewer labels than these can have.
const MOST_LAYERS: usize = 48;

/// How a message was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram (RFC 1035 §4.2.1).
    Udp,
    /// A stream, each message behind its length (RFC 1035 §4.2.2).
    Tcp,
}

/// Who sent a message to whom. It pairs questions with answers and is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// How it was carried.
    pub transport: Transport,
    /// Address and port of the sender.
    pub from: (IpAddr, u16),
    /// Address and port of the receiver.
    pub to: (IpAddr, u16),
}

/// One DNS message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// When the packet was captured that made it whole.
    pub at: Timestamp,
    /// Who sent it to whom.
    pub flow: Flow,
    /// The message from its header on, without a TCP length; any octets, up to 65,535.
    pub octets: &'a [u8],
    /// It is only the first bytes of a message: the capture cut it, or other parts of it may never come. Its frames
    /// are counted apart from it, and if it comes to be whole, it is handed on again.
    pub is_cut: bool,
}

impl Flow {
    /// The way an answer takes.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }
}

/// What [`Wire`] is told.
#[derive(Clone)]
pub struct Options {
    /// The ports that carry DNS.
    pub ports: Ports,
    /// Bounds on datagrams in fragments.
    pub fragments: FragmentLimits,
    /// Bounds on TCP streams.
    pub streams: StreamLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ports: Ports::new(DNS_PORTS),
            fragments: FragmentLimits::default(),
            streams: StreamLimits::default(),
        }
    }
}

/// Turns frames into messages.
pub struct Wire {
    options: Box<Options>,
    fragments: Fragments,
    streams: Streams,
    tally: WireTally,
    /// Room to put a datagram together.
    whole: Vec<u8>,
}

/// A packet on its way: a captured one, or one put together.
#[derive(Clone, Copy)]
struct Parcel<'a> {
    octets: &'a [u8],
    /// Octets it had before the capture cut it.
    length: usize,
    start: Start,
    at: Timestamp,
    /// In how many frames it came.
    frames: u32,
    /// How often it was put together.
    nested: u32,
}

impl Wire {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            fragments: Fragments::new(options.fragments),
            streams: Streams::new(options.streams),
            options: Box::new(options),
            tally: WireTally::default(),
            whole: Vec::new(),
        }
    }

    /// What became of all frames so far.
    #[must_use]
    pub fn tally(&self) -> &WireTally {
        &self.tally
    }

    /// Moves out what became of all frames; those that are held are counted anew, with what comes.
    pub fn take_tally(&mut self) -> WireTally {
        let held = self.tally.held;
        let rest = WireTally { frames: held, held, ..WireTally::default() };
        let mut tally = std::mem::replace(&mut self.tally, rest);
        tally.frames -= held;
        tally.held = 0;
        tally
    }

    /// Notes frames whose link header the source does not know: they are counted as rejected.
    pub fn refuse(&mut self, frames: u64) {
        self.tally.frames += frames;
        if frames > 0 {
            *self.tally.rejected.entry(WireRejection::LinkType).or_default() += frames;
        }
    }

    /// Takes a frame, and hands on the messages that it makes whole, and what there is of one that it has in part.
    ///
    /// A datagram of UDP is handed on where it lies: no copy, no allocation. So is a message that lies whole and in
    /// order in a segment of TCP.
    pub fn frame(&mut self, frame: &Frame<'_>, sink: &mut dyn FnMut(Message<'_>)) {
        self.tally.frames += 1;
        self.fragments.expire(frame.at, &mut self.tally);
        self.streams.expire(frame.at, &mut self.tally, sink);
        let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
        let parcel = Parcel {
            octets: frame.octets,
            length: length.max(frame.octets.len()),
            start: frame.start,
            at: frame.at,
            frames: 1,
            nested: 0,
        };
        self.parcel(parcel, sink);
    }

    /// The end of the capture: hands on what lies whole behind a gap of a TCP stream, and counts the frames that
    /// still wait as lost.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Message<'_>)) {
        self.fragments.finish(&mut self.tally);
        self.streams.finish(&mut self.tally, sink);
    }

    fn parcel(&mut self, parcel: Parcel<'_>, sink: &mut dyn FnMut(Message<'_>)) {
        if let Err(reason) = self.decoded(parcel, sink) {
            self.tally.reject(reason, parcel.frames);
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

    /// Counts a packet, or says why it is rejected.
    fn decoded(
        &mut self,
        parcel: Parcel<'_>,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), WireRejection> {
        let Parcel { octets, length, at, frames, .. } = parcel;
        let watched = Watched::new(octets);
        let Some(found) = self.find(&watched, parcel.start)? else {
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
            if parcel.nested == MOST_NESTED {
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
                let (length, nested) = (whole.len(), parcel.nested + 1);
                let parcel = Parcel { octets: &whole, length, start, at, frames, nested };
                self.parcel(parcel, sink);
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
            // `decide` names another protocol only of fragments.
            Protocol::Other(_) => self.tally.other += u64::from(frames),
        }
        Ok(())
    }
}
