//! All TCP streams, each direction separately.
//!
//! Under `wire`. Opens and closes them, and bounds their number and memory: the oldest is evicted first.

use super::packet::Segment;
use super::stream::{Carried, Out, Stream};
use super::table::Table;
use super::{Flow, Message, WireLoss, WireTally};
use crate::time::Timestamp;

/// Limits for TCP streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Maximum number of streams, each direction separately; the same number again for streams being opened.
    pub streams: usize,
    /// Maximum total number of octets held.
    pub octets: usize,
    /// Maximum time that a stream is kept without a packet, in seconds of packet time.
    pub seconds: u32,
}

impl Default for StreamLimits {
    /// 65,536 streams, 64 MiB, 60 seconds.
    fn default() -> Self {
        Self { streams: 65_536, octets: 64 * 1024 * 1024, seconds: 60 }
    }
}

/// The streams.
pub(super) struct Streams {
    open: Table<Flow, Stream>,
    /// Sequence numbers of the first octets of streams that had no data yet. Kept separately, so that a flood
    /// of unused connections does not evict used ones.
    opening: Table<Flow, u32>,
    octets: usize,
    /// Number of streams that wait for missing octets before data that has already arrived.
    gaps: usize,
    limits: StreamLimits,
}

impl Streams {
    pub(super) fn new(limits: StreamLimits) -> Self {
        Self { open: Table::new(), opening: Table::new(), octets: 0, gaps: 0, limits }
    }

    /// Drops streams that were silent for too long.
    #[inline]
    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        tally: &mut WireTally,
        sink: &mut dyn FnMut(Message<'_>),
    ) {
        if self.open.is_empty() && self.opening.is_empty() {
            return;
        }
        let micros = u64::from(self.limits.seconds) * 1_000_000;
        while let Some((flow, stream)) = self.open.pop_stale(now, micros) {
            self.end(stream, WireLoss::StreamTimeout, &mut Out { flow, tally, sink });
        }
        while self.opening.pop_stale(now, micros).is_some() {}
    }

    /// Drops all streams.
    pub(super) fn finish(&mut self, tally: &mut WireTally, sink: &mut dyn FnMut(Message<'_>)) {
        while let Some((flow, stream)) = self.open.pop() {
            self.end(stream, WireLoss::CaptureEnd, &mut Out { flow, tally, sink });
        }
        while self.opening.pop().is_some() {}
    }

    /// Processes a segment.
    pub(super) fn segment(&mut self, segment: &Segment<'_>, carried: Carried, out: &mut Out<'_>) {
        let flow = out.flow;
        if self.gaps > 0 && segment.has(Segment::ACK) {
            self.acknowledge(segment.acknowledged, carried.at, out);
        }
        if segment.has(Segment::RST) {
            out.tally.segment(carried.frames);
            self.reset(flow, out);
            self.reset(flow.reversed(), out);
            return;
        }
        let has_data = !segment.data.is_empty() || carried.missing > 0;
        let first = segment.sequence.wrapping_add(u32::from(segment.has(Segment::SYN)));
        if segment.has(Segment::SYN) && self.begin(flow, first, carried.at, out) && !has_data {
            out.tally.segment(carried.frames);
            return;
        }
        if !has_data && !segment.has(Segment::FIN) {
            out.tally.segment(carried.frames);
            return;
        }
        self.data(segment, first, carried, out);
        self.make_room(out);
    }

    /// Records that a stream begins at a sequence number; false if this is already known.
    fn begin(&mut self, flow: Flow, first: u32, at: Timestamp, out: &mut Out<'_>) -> bool {
        if let Some(stream) = self.open.get(&flow) {
            if stream.starts_at(first) {
                return false;
            }
            // The ports were reused.
            self.reset(flow, out);
        }
        if let Some(known) = self.opening.touch(&flow, at) {
            *known = first;
            return true;
        }
        if self.opening.len() >= self.limits.streams.max(1) {
            self.opening.pop();
        }
        self.opening.insert(flow, first, at);
        true
    }

    fn data(&mut self, segment: &Segment<'_>, first: u32, carried: Carried, out: &mut Out<'_>) {
        let flow = out.flow;
        let has_data = !segment.data.is_empty() || carried.missing > 0;
        let known = self.open.touch(&flow, carried.at);
        let is_foreign = known.map(|stream| has_data && stream.is_foreign(first));
        if is_foreign == Some(true) {
            self.reset(flow, out);
        }
        if is_foreign != Some(false) {
            let opened = self.opening.remove(&flow);
            if !has_data {
                out.tally.segment(carried.frames);
                return;
            }
            let stream = opened.map(|start| Stream::new(start, true));
            let stream = stream.filter(|stream| !stream.is_foreign(first));
            let stream = stream.unwrap_or_else(|| Stream::new(first, false));
            self.open.insert(flow, stream, carried.at);
        }
        let Some(stream) = self.open.get(&flow) else { return };
        let (cost, had_gap) = (stream.cost(), stream.has_gap());
        if has_data {
            stream.push(first, segment.data, carried, out);
        } else {
            out.tally.segment(carried.frames);
        }
        if segment.has(Segment::FIN) {
            let size = u32::try_from(segment.data.len()).unwrap_or(u32::MAX);
            stream.close_at(first.wrapping_add(size).wrapping_add(carried.missing));
        }
        if stream.is_complete() {
            stream.close(WireLoss::StreamEnd, out);
        }
        let now = (stream.cost(), stream.has_gap());
        self.account((cost, had_gap), now);
    }

    /// Processes the acknowledgement in a packet of `out.flow`, for the opposite direction.
    fn acknowledge(&mut self, sequence: u32, at: Timestamp, out: &mut Out<'_>) {
        let flow = out.flow.reversed();
        let Some(stream) = self.open.get(&flow) else { return };
        let before = (stream.cost(), stream.has_gap());
        stream.acknowledge(sequence, at, &mut Out { flow, tally: out.tally, sink: out.sink });
        if stream.is_complete() {
            stream.close(WireLoss::StreamEnd, &mut Out { flow, tally: out.tally, sink: out.sink });
        }
        let now = (stream.cost(), stream.has_gap());
        self.account(before, now);
    }

    fn account(&mut self, before: (usize, bool), now: (usize, bool)) {
        self.octets = (self.octets + now.0).saturating_sub(before.0);
        self.gaps = (self.gaps + usize::from(now.1)).saturating_sub(usize::from(before.1));
    }

    /// Removes a stream.
    fn reset(&mut self, flow: Flow, out: &mut Out<'_>) {
        self.opening.remove(&flow);
        if let Some(stream) = self.open.remove(&flow) {
            let out = &mut Out { flow, tally: out.tally, sink: out.sink };
            self.end(stream, WireLoss::StreamEnd, out);
        }
    }

    fn end(&mut self, mut stream: Stream, reason: WireLoss, out: &mut Out<'_>) {
        self.account((stream.cost(), stream.has_gap()), (0, false));
        stream.close(reason, out);
    }

    fn make_room(&mut self, out: &mut Out<'_>) {
        while self.open.len() > self.limits.streams.max(1) || self.octets > self.limits.octets {
            let Some((flow, stream)) = self.open.pop() else { return };
            let out = &mut Out { flow, tally: out.tally, sink: out.sink };
            self.end(stream, WireLoss::StreamEvicted, out);
        }
    }

    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize, usize) {
        (self.open.len(), self.opening.len(), self.octets)
    }
}
