//! Counts of frames by outcome: the ledger of packet capture.
//!
//! Under `wire`. No loss is silent: each captured frame is in exactly one of these numbers.

use crate::decode::Counter;
use serde::{Deserialize, Serialize};
use std::fmt;

reasons! {
    /// Reason why a complete frame that could carry DNS was not used.
    WireRejection {
        /// The link headers of the capture are unknown, so its packets cannot be read.
        LinkType = "link_type", "the link type of the capture is not known";
        /// The packet ends within its headers, although the capture did not truncate it.
        Header = "header", "the packet ends within its headers";
        /// The capture truncated the packet, and the message is incomplete.
        CutByCapture = "cut_by_capture", "the capture cut the packet: raise the snapshot length";
        /// The IP header claims more octets than the packet has, or fewer than the header.
        IpLength = "ip_length", "the length in the IP header is impossible";
        /// The UDP header claims more octets than the datagram has, or fewer than the header.
        UdpLength = "udp_length", "the length in the UDP header is impossible";
        /// An empty datagram.
        EmptyDatagram = "empty_datagram", "the datagram is empty";
        /// The TCP header is shorter than the minimum, or longer than the segment.
        TcpHeader = "tcp_header", "the length of the TCP header is impossible";
        /// A fragment that is empty, has a length that is not a multiple of eight octets, or exceeds the
        /// largest datagram.
        FragmentLength = "fragment_length", "the length of a fragment is impossible";
        /// Fragments of one datagram overlap or contradict each other (RFC 5722 §4).
        FragmentOverlap = "fragment_overlap", "fragments overlap";
        /// Fragments within fragments within fragments.
        FragmentNesting = "fragment_nesting", "fragments are nested too deep";
        /// More nested tunnels or labels than are examined.
        Nesting = "nesting", "tunnels are nested too deep";
        /// The stream is not DNS: its framing does not fit (RFC 1035 §4.2.2).
        NotDns = "not_dns", "the TCP stream is not DNS";
    }
}

reasons! {
    /// Reason why a frame was lost after it was accepted.
    WireLoss {
        /// Other fragments of the datagram did not arrive in time.
        FragmentTimeout = "fragment_timeout", "the other fragments were not seen";
        /// The same, but the missing fragment is the first, which contains the ports: most likely not DNS.
        NoFirstFragment = "no_first_fragment", "the first fragment was not seen";
        /// More datagrams were waiting for fragments than there is room for.
        FragmentEvicted = "fragment_evicted", "too many fragments were waiting";
        /// Octets of the stream before it, or needed to complete it, were not captured.
        StreamGap = "stream_gap", "octets of the TCP stream were not captured";
        /// The stream ended within a message.
        StreamEnd = "stream_end", "the TCP stream ended within a message";
        /// The missing part of the message never arrived.
        StreamTimeout = "stream_timeout", "the TCP stream fell silent within a message";
        /// More streams were open than there is room for.
        StreamEvicted = "stream_evicted", "too many TCP streams were open";
        /// The capture ended while the frame was waiting.
        CaptureEnd = "capture_end", "the capture ended before the rest came";
    }
}

/// Counts of frames, by outcome.
///
/// Invariant: each frame is counted once under `frames` and once elsewhere, see [`WireTally::endings`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WireTally {
    /// All frames.
    pub frames: u64,
    /// Frames without DNS.
    pub other: u64,
    /// Complete UDP datagrams that carried a message.
    pub datagrams: u64,
    /// TCP segments without data, with data that was seen before, or whose data was used completely.
    pub segments: u64,
    /// Fragments of reassembled datagrams that carried a message or a used segment.
    pub fragments: u64,
    /// Frames that wait for others: a gauge.
    pub held: u64,
    /// Frames that were rejected.
    pub rejected: Counter<WireRejection>,
    /// Frames that were lost.
    pub lost: Counter<WireLoss>,
    /// Messages delivered.
    pub messages: u64,
    /// Gaps in TCP streams that were given up.
    pub gaps: u64,
}

impl WireTally {
    /// The sum of all endings, equal to `frames`.
    #[must_use]
    pub fn endings(&self) -> u64 {
        self.other
            + self.datagrams
            + self.segments
            + self.fragments
            + self.held
            + self.rejected.total()
            + self.lost.total()
    }

    /// Adds another tally to this one.
    pub fn merge(&mut self, other: &Self) {
        self.frames += other.frames;
        self.other += other.other;
        self.datagrams += other.datagrams;
        self.segments += other.segments;
        self.fragments += other.fragments;
        self.held += other.held;
        self.rejected.merge(&other.rejected);
        self.lost.merge(&other.lost);
        self.messages += other.messages;
        self.gaps += other.gaps;
    }

    pub(super) fn reject(&mut self, reason: WireRejection, frames: u32) {
        self.rejected.add_many(reason, frames.into());
    }

    pub(super) fn lose(&mut self, reason: WireLoss, frames: u32) {
        self.lost.add_many(reason, frames.into());
    }

    /// Counts a UDP datagram that arrived in this many frames.
    pub(super) fn datagram(&mut self, frames: u32) {
        if frames == 1 { self.datagrams += 1 } else { self.fragments += u64::from(frames) }
    }

    /// Counts a TCP segment that arrived in this many frames: more than one are always fragments.
    pub(super) fn segment(&mut self, frames: u32) {
        if frames == 1 { self.segments += 1 } else { self.fragments += u64::from(frames) }
    }

    pub(super) fn hold(&mut self, frames: u32) {
        self.held += u64::from(frames);
    }

    /// Removes frames from those that wait; they are counted elsewhere immediately.
    pub(super) fn release(&mut self, frames: u32) {
        self.held = self.held.saturating_sub(u64::from(frames));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_read_back() {
        let mut left = WireTally { frames: 7, other: 1, held: 1, ..WireTally::default() };
        left.reject(WireRejection::NotDns, 2);
        left.lose(WireLoss::StreamGap, 3);
        left.lose(WireLoss::StreamEnd, 0);
        let mut both = WireTally { frames: 4, messages: 2, ..WireTally::default() };
        both.datagram(1);
        both.segment(3);
        both.merge(&left);
        assert_eq!((left.endings(), both.endings()), (left.frames, both.frames));
        assert_eq!((both.datagrams, both.segments, both.fragments), (1, 0, 3));
        let text = serde_json::to_string(&both).unwrap();
        assert!(text.contains(r#""lost":{"stream_gap":3}"#), "{text}");
        assert_eq!(serde_json::from_str::<WireTally>(&text).unwrap(), both);
        assert_eq!(serde_json::from_str::<WireTally>("{}").unwrap(), WireTally::default());
    }
}
