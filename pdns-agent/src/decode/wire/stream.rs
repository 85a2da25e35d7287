//! One direction of a TCP connection: puts octets in order and extracts messages.
//!
//! Under `streams`. If segments overlap, the data that arrived first is kept. A frame is counted once its
//! last octet is used, skipped or dropped; until then it is held.

use super::framing::{self, SeekResult};
use super::packet::u16_at;
use super::{Flow, Message, WireLoss, WireRejection, WireTally};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Maximum number of octets held by one stream: the largest message, and a window of out-of-order data.
const MOST_HELD: usize = 256 * 1024;
/// Maximum number of octets searched for a message before the stream is given up.
const MOST_SOUGHT: usize = 128 * 1024;
/// Overhead of holding one out-of-order segment, besides its octets.
const OVERHEAD: usize = 96;
/// Maximum capacity of a buffer that is kept for the next message, in octets.
const KEPT: usize = 4096;
/// Time that a gap waits for a retransmission, in microseconds: ten seconds are several retransmission
/// timeouts.
const GAP_WAIT: i64 = 10_000_000;
/// Time to wait after the receiver acknowledged the missing data, in microseconds: long enough for packets
/// that two queues of a network card swapped. The data will not be sent again, so there is nothing else to
/// wait for.
const ACKNOWLEDGED_WAIT: i64 = 100_000;
/// Maximum distance of a segment from the position in the stream; beyond it, the ports are used by another
/// connection.
const REACH: u64 = 16 * 1024 * 1024;

/// Synchronisation with the message boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// Certain: a length is next, because the stream was seen from its beginning.
    Sure,
    /// Probable: a length is next as far as can be told.
    Guessed,
    /// The position is unknown.
    Lost,
    /// The stream is not DNS.
    GivenUp,
}

/// Receiver of the messages, and the tally.
pub(super) struct Out<'a> {
    pub(super) flow: Flow,
    pub(super) tally: &'a mut WireTally,
    pub(super) sink: &'a mut dyn FnMut(Message<'_>),
}

impl Out<'_> {
    fn message(&mut self, at: Timestamp, octets: &[u8]) {
        self.tally.messages += 1;
        (self.sink)(Message { at, flow: self.flow, octets, is_cut: false });
    }

    /// Delivers the available part of a message that will not be completed. Its time is not that of a packet.
    fn beginning(&mut self, octets: &[u8]) {
        let at = Timestamp::from_micros(i64::MIN);
        (self.sink)(Message { at, flow: self.flow, octets, is_cut: true });
    }
}

/// Frames that carried some data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub(super) at: Timestamp,
    /// Number of frames.
    pub(super) frames: u32,
    /// Number of octets after the data that the capture left out.
    pub(super) missing: u32,
}

/// Data received out of order.
struct StreamPiece {
    octets: Box<[u8]>,
    carried: Carried,
}

/// Frames whose last octet is at offset `end` of the ready data.
struct FrameMark {
    end: usize,
    frames: u32,
    is_cut: bool,
}

/// Outcome for octets.
#[derive(Clone, Copy)]
enum Fate {
    Used,
    NotDns,
    Lost(WireLoss),
}

/// One direction of a connection.
pub(super) struct Stream {
    /// Position of the first octet: a sequence number that does not wrap.
    start: u64,
    /// Position of the next octet in order.
    next: u64,
    sync: Sync,
    sought: usize,
    /// Octets in order that are not used yet: the beginning of a message.
    ready: Vec<u8>,
    marks: Vec<FrameMark>,
    later: BTreeMap<u64, StreamPiece>,
    later_cost: usize,
    /// Position after the last octet, once the sender has closed the stream.
    end: Option<u64>,
    is_closed: bool,
    /// Time when the receiver was first seen to acknowledge the missing data.
    acknowledged: Option<Timestamp>,
}

impl Stream {
    /// A stream whose next octet has this sequence number; `is_start` if it is its first.
    pub(super) fn new(sequence: u32, is_start: bool) -> Self {
        // Above the lowest positions, so that an earlier segment has a position too.
        let start = (1 << 32) + u64::from(sequence);
        Self {
            start,
            next: start,
            sync: if is_start { Sync::Sure } else { Sync::Lost },
            sought: 0,
            ready: Vec::new(),
            marks: Vec::new(),
            later: BTreeMap::new(),
            later_cost: 0,
            end: None,
            is_closed: false,
            acknowledged: None,
        }
    }

    /// Returns true if its first octet has this sequence number.
    pub(super) fn starts_at(&self, sequence: u32) -> bool {
        self.start & 0xffff_ffff == u64::from(sequence)
    }

    /// The position for a sequence number: the one closest to the next octet (RFC 9293 §3.4).
    fn position(&self, sequence: u32) -> u64 {
        let next = u32::try_from(self.next & 0xffff_ffff).unwrap_or(0);
        let distance = sequence.wrapping_sub(next).cast_signed();
        self.next.saturating_add_signed(i64::from(distance))
    }

    /// Returns true if data with this sequence number belongs to another connection between the same ports.
    pub(super) fn is_foreign(&self, sequence: u32) -> bool {
        let position = self.position(sequence);
        position.abs_diff(self.next) > REACH || (self.is_closed && position >= self.next)
    }

    /// Memory used, in octets.
    pub(super) fn cost(&self) -> usize {
        self.ready.capacity() + self.marks.capacity() * size_of::<FrameMark>() + self.later_cost
    }

    /// Returns true if it waits for missing octets before data that has already arrived.
    pub(super) fn has_gap(&self) -> bool {
        !self.later.is_empty()
    }

    /// Adds data.
    pub(super) fn push(&mut self, sequence: u32, data: &[u8], carried: Carried, out: &mut Out<'_>) {
        let position = self.position(sequence);
        let end = position + data.len() as u64;
        if self.sync == Sync::GivenUp {
            out.tally.reject(WireRejection::NotDns, carried.frames);
            self.next = self.next.max(end);
            return;
        }
        if self.is_overdue(carried.at) {
            self.skip_gap(out);
        }
        if end + u64::from(carried.missing) <= self.next {
            out.tally.segment(carried.frames);
            return;
        }
        match self.next.checked_sub(position) {
            Some(known) if self.later.is_empty() => {
                let known = usize::try_from(known).unwrap_or(usize::MAX);
                self.take(data.get(known..).unwrap_or_default(), end, carried, out);
            }
            _ => {
                self.keep(position, data, carried, out.tally);
                self.drain(out);
            }
        }
        while self.cost() > MOST_HELD && self.has_gap() {
            self.skip_gap(out);
        }
    }

    /// The sender closed the stream: this is the sequence number after its last octet.
    pub(super) fn close_at(&mut self, sequence: u32) {
        self.end = Some(self.position(sequence));
    }

    /// Returns true if all octets have arrived.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_closed && self.end.is_some_and(|end| self.next >= end)
    }

    /// The receiver acknowledged all octets before this sequence number.
    pub(super) fn acknowledge(&mut self, sequence: u32, now: Timestamp, out: &mut Out<'_>) {
        if !self.has_gap() || self.position(sequence) <= self.next {
            return;
        }
        self.acknowledged.get_or_insert(now);
        if self.is_overdue(now) {
            self.skip_gap(out);
        }
    }

    /// Closes the stream: uses the usable data after gaps, and drops the rest. The stream is kept to
    /// recognise retransmissions.
    pub(super) fn close(&mut self, reason: WireLoss, out: &mut Out<'_>) {
        while self.has_gap() {
            self.skip_gap(out);
        }
        self.give_up_message(out);
        self.settle(usize::MAX, Fate::Lost(reason), out.tally);
        self.ready = Vec::new();
        self.marks = Vec::new();
        self.is_closed = true;
    }

    /// Returns true if the missing data has been waited for long enough.
    fn is_overdue(&self, now: Timestamp) -> bool {
        let waited =
            |since: Timestamp, micros| now.micros().saturating_sub(since.micros()) >= micros;
        self.later.first_key_value().is_some_and(|(_, first)| {
            waited(first.carried.at, GAP_WAIT)
                || self.acknowledged.is_some_and(|since| waited(since, ACKNOWLEDGED_WAIT))
        })
    }

    /// Stores the parts of data that are new. The frames are counted with the last of them.
    fn keep(&mut self, position: u64, data: &[u8], carried: Carried, tally: &mut WireTally) {
        let end = position + data.len() as u64;
        let mut from = position.max(self.next);
        if let Some((&start, piece)) = self.later.range(..=from).next_back() {
            from = from.max(start + piece.octets.len() as u64);
        }
        let mut last = None;
        while from < end {
            let following = self.later.range(from..).next();
            let (to, resume) = match following {
                Some((&start, piece)) if start < end => (start, start + piece.octets.len() as u64),
                _ => (end, end),
            };
            if from < to {
                let [first, behind] =
                    [from, to].map(|at| usize::try_from(at - position).unwrap_or(usize::MAX));
                let octets: Box<[u8]> = data.get(first..behind).unwrap_or_default().into();
                self.later_cost += octets.len() + OVERHEAD;
                let missing = if to == end { carried.missing } else { 0 };
                let carried = Carried { frames: 0, missing, ..carried };
                self.later.insert(from, StreamPiece { octets, carried });
                last = Some(from);
            }
            from = resume;
        }
        match last.and_then(|last| self.later.get_mut(&last)) {
            Some(piece) => {
                piece.carried.frames = carried.frames;
                tally.hold(carried.frames);
            }
            // None of it is new, or none of it was captured.
            None if data.is_empty() => tally.reject(WireRejection::CutByCapture, carried.frames),
            None => tally.segment(carried.frames),
        }
    }

    /// Processes the pieces that are now in order.
    fn drain(&mut self, out: &mut Out<'_>) {
        while let Some(first) = self.later.first_entry() {
            if *first.key() > self.next {
                return;
            }
            let (position, piece) = first.remove_entry();
            let end = position + piece.octets.len() as u64;
            self.later_cost -= piece.octets.len() + OVERHEAD;
            out.tally.release(piece.carried.frames);
            if self.sync == Sync::GivenUp {
                if piece.carried.frames > 0 {
                    out.tally.reject(WireRejection::NotDns, piece.carried.frames);
                }
                self.next += piece.octets.len() as u64;
                continue;
            }
            self.take(&piece.octets, end, piece.carried, out);
        }
        self.acknowledged = None;
    }

    /// Gives up waiting for the missing data.
    fn skip_gap(&mut self, out: &mut Out<'_>) {
        if let Some((&to, _)) = self.later.first_key_value() {
            self.gap(to, out);
            self.acknowledged = None;
            self.drain(out);
        }
    }

    /// Delivers the beginning of a message that will not be completed.
    fn give_up_message(&self, out: &mut Out<'_>) {
        if matches!(self.sync, Sync::Sure | Sync::Guessed)
            && let Some(message) = self.ready.get(framing::LENGTH..).filter(|m| !m.is_empty())
        {
            out.beginning(message);
        }
    }

    /// Continues at `to`, without the octets before it.
    fn gap(&mut self, to: u64, out: &mut Out<'_>) {
        self.give_up_message(out);
        self.settle(usize::MAX, Fate::Lost(WireLoss::StreamGap), out.tally);
        self.ready.clear();
        self.next = to;
        if self.sync != Sync::GivenUp {
            self.sync = Sync::Lost;
        }
        out.tally.gaps += 1;
    }

    /// Processes the next octets in order. `end` is the position after them. It may be before the next octet,
    /// if all captured data of the segment has already arrived but the part left out by the capture has not.
    fn take(&mut self, data: &[u8], end: u64, carried: Carried, out: &mut Out<'_>) {
        self.next += data.len() as u64;
        let ready_end = self.ready.len() + data.len();
        let is_cut = carried.missing > 0;
        if data.is_empty() {
            // All of its new data was cut off.
            if carried.frames > 0 {
                out.tally.reject(WireRejection::CutByCapture, carried.frames);
            }
        } else {
            out.tally.hold(carried.frames);
            self.marks.push(FrameMark { end: ready_end, frames: carried.frames, is_cut });
        }
        if self.ready.is_empty() {
            let used = self.scan(data, true, carried.at, out);
            self.ready.extend_from_slice(data.get(used..).unwrap_or_default());
        } else {
            let mut ready = std::mem::take(&mut self.ready);
            ready.extend_from_slice(data);
            let used = self.scan(&ready, false, carried.at, out);
            ready.drain(..used);
            self.ready =
                if ready.is_empty() && ready.capacity() > KEPT { Vec::new() } else { ready };
        }
        if is_cut {
            let to = end + u64::from(carried.missing);
            let first = self.later.first_key_value().map_or(to, |(&first, _)| first);
            if first > self.next {
                self.gap(to.min(first), out);
            }
        }
    }

    /// Extracts the messages from octets in order, and returns the number of octets consumed. `marks` of
    /// `data`, counted from its beginning, are settled.
    fn scan(&mut self, data: &[u8], is_segment: bool, at: Timestamp, out: &mut Out<'_>) -> usize {
        let mut done = 0;
        if is_segment && self.sync == Sync::Lost && framing::is_message(data) {
            // Its length was in a preceding segment that is missing.
            out.message(at, data);
            done = data.len();
            self.sync = Sync::Guessed;
            self.settle(done, Fate::Used, out.tally);
        }
        loop {
            let rest = data.get(done..).unwrap_or_default();
            if self.sync == Sync::Lost {
                let place = framing::seek(rest);
                let (SeekResult::At(skip) | SeekResult::Perhaps(skip)) = place;
                done += skip;
                self.sought += skip;
                self.settle(done, Fate::Lost(WireLoss::StreamGap), out.tally);
                if self.sought > MOST_SOUGHT {
                    self.sync = Sync::GivenUp;
                    break;
                }
                if matches!(place, SeekResult::Perhaps(_)) {
                    break;
                }
                self.sync = Sync::Guessed;
                continue;
            }
            let Some(length) = u16_at(rest, 0).map(usize::from) else { break };
            if length < framing::HEADER {
                if self.sync == Sync::Sure {
                    self.sync = Sync::GivenUp;
                    break;
                }
                self.sync = Sync::Lost;
                continue;
            }
            let Some(message) = rest.get(framing::LENGTH..framing::LENGTH + length) else { break };
            out.message(at, message);
            self.sought = 0;
            done += framing::LENGTH + length;
            self.settle(done, Fate::Used, out.tally);
        }
        if self.sync == Sync::GivenUp {
            self.settle(usize::MAX, Fate::NotDns, out.tally);
            done = data.len();
        }
        // Only if something was consumed: a message in many small segments has a mark for each.
        if done > 0 {
            self.marks.iter_mut().for_each(|mark| mark.end -= done);
        }
        done
    }

    /// Counts the frames that end within the first `done` octets.
    fn settle(&mut self, done: usize, fate: Fate, tally: &mut WireTally) {
        let count = self.marks.iter().take_while(|mark| mark.end <= done).count();
        for mark in self.marks.drain(..count) {
            tally.release(mark.frames);
            match fate {
                _ if mark.frames == 0 => {}
                Fate::Used => tally.segment(mark.frames),
                Fate::NotDns => tally.reject(WireRejection::NotDns, mark.frames),
                Fate::Lost(_) if mark.is_cut => {
                    tally.reject(WireRejection::CutByCapture, mark.frames);
                }
                Fate::Lost(reason) => tally.lose(reason, mark.frames),
            }
        }
    }
}
