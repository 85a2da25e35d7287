//! One direction of one TCP connection: octets into order, messages out of them.
//!
//! Under `streams`. Where segments overlap, what came first stays. Frames are counted once the last of their octets
//! is used, skipped or dropped; until then they are held.

use super::framing::{self, Place};
use super::packet::u16_at;
use super::{Flow, Message, WireLoss, WireRejection, WireTally};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Most octets that one stream holds: those of the largest message, and a window of what came out of order.
const MOST_HELD: usize = 256 * 1024;
/// Most octets in which a place in the stream is looked for before it is given up.
const MOST_SOUGHT: usize = 128 * 1024;
/// What it costs to hold one segment out of order, besides its octets.
const OVERHEAD: usize = 96;
/// Buffers up to this many octets are kept for the next message.
const KEPT: usize = 4096;
/// How long a gap waits for a retransmission, in microseconds: ten seconds are several timeouts of a sender.
const GAP_WAIT: i64 = 10_000_000;
/// How long after the receiver acknowledged what is missing: long enough for packets that two queues of a network
/// card swapped, in microseconds. It will not be sent again, so this is all there is to wait for.
const ACKNOWLEDGED_WAIT: i64 = 100_000;
/// How far from its place in the stream a segment can be; further off, the ports are used by another connection.
const REACH: u64 = 16 * 1024 * 1024;

/// What is known of the place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// A length comes next: the stream was seen from its beginning.
    Sure,
    /// A length comes next, as far as can be told.
    Guessed,
    /// Not known.
    Lost,
    /// The stream is not DNS.
    GivenUp,
}

/// Who takes the messages, and the ledger.
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

    /// Hands on what is there of a message that will not be whole. Its time is that of no packet.
    fn beginning(&mut self, octets: &[u8]) {
        let at = Timestamp::from_micros(i64::MIN);
        (self.sink)(Message { at, flow: self.flow, octets, is_cut: true });
    }
}

/// How data came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub(super) at: Timestamp,
    /// In how many frames.
    pub(super) frames: u32,
    /// How many octets behind it the capture left out.
    pub(super) missing: u32,
}

/// Data that came before its turn.
struct Piece {
    octets: Box<[u8]>,
    carried: Carried,
}

/// Frames whose last octet is `end` octets into what is ready.
struct Mark {
    end: usize,
    frames: u32,
    is_cut: bool,
}

/// What became of octets.
#[derive(Clone, Copy)]
enum Fate {
    Used,
    NotDns,
    Lost(WireLoss),
}

/// One direction.
pub(super) struct Stream {
    /// Position of the first octet: a sequence number that does not wrap.
    start: u64,
    /// Position of the next octet in order.
    next: u64,
    sync: Sync,
    sought: usize,
    /// Octets in order that are not used yet: the beginning of a message.
    ready: Vec<u8>,
    marks: Vec<Mark>,
    later: BTreeMap<u64, Piece>,
    later_cost: usize,
    /// Position behind the last octet, once the sender said so.
    end: Option<u64>,
    is_closed: bool,
    /// When the receiver was first seen to acknowledge what is missing.
    acknowledged: Option<Timestamp>,
}

impl Stream {
    /// A stream whose next octet has this sequence number; `is_start` if it is its first.
    pub(super) fn new(sequence: u32, is_start: bool) -> Self {
        // Above the lowest positions, so that a segment of before has one too.
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

    /// Whether its first octet has this sequence number.
    pub(super) fn starts_at(&self, sequence: u32) -> bool {
        self.start & 0xffff_ffff == u64::from(sequence)
    }

    /// The position of a sequence number: the one nearest to the next octet (RFC 9293 §3.4).
    fn position(&self, sequence: u32) -> u64 {
        let next = u32::try_from(self.next & 0xffff_ffff).unwrap_or(0);
        let distance = sequence.wrapping_sub(next).cast_signed();
        self.next.saturating_add_signed(i64::from(distance))
    }

    /// Whether data with this sequence number belongs to another connection between the same ports.
    pub(super) fn is_foreign(&self, sequence: u32) -> bool {
        let position = self.position(sequence);
        position.abs_diff(self.next) > REACH || (self.is_closed && position >= self.next)
    }

    /// Octets of memory it holds.
    pub(super) fn cost(&self) -> usize {
        self.ready.capacity() + self.marks.capacity() * size_of::<Mark>() + self.later_cost
    }

    /// Whether it waits for octets that others came before.
    pub(super) fn has_gap(&self) -> bool {
        !self.later.is_empty()
    }

    /// Takes data.
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

    /// The sender says that this is the sequence number behind its last octet.
    pub(super) fn close_at(&mut self, sequence: u32) {
        self.end = Some(self.position(sequence));
    }

    /// Whether all octets have come.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_closed && self.end.is_some_and(|end| self.next >= end)
    }

    /// The receiver says that it has all octets before this sequence number.
    pub(super) fn acknowledge(&mut self, sequence: u32, now: Timestamp, out: &mut Out<'_>) {
        if !self.has_gap() || self.position(sequence) <= self.next {
            return;
        }
        self.acknowledged.get_or_insert(now);
        if self.is_overdue(now) {
            self.skip_gap(out);
        }
    }

    /// Ends it: uses what can be used behind gaps, and drops the rest. It stays, to know retransmissions by.
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

    /// Whether what is missing has been waited for long enough.
    fn is_overdue(&self, now: Timestamp) -> bool {
        let waited =
            |since: Timestamp, micros| now.micros().saturating_sub(since.micros()) >= micros;
        self.later.first_key_value().is_some_and(|(_, first)| {
            waited(first.carried.at, GAP_WAIT)
                || self.acknowledged.is_some_and(|since| waited(since, ACKNOWLEDGED_WAIT))
        })
    }

    /// Keeps those parts of data that are not here yet. The frames go with the last of them.
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
                self.later.insert(from, Piece { octets, carried });
                last = Some(from);
            }
            from = resume;
        }
        match last.and_then(|last| self.later.get_mut(&last)) {
            Some(piece) => {
                piece.carried.frames = carried.frames;
                tally.hold(carried.frames);
            }
            // Nothing of it is new, or nothing of it was captured.
            None if data.is_empty() => tally.reject(WireRejection::CutByCapture, carried.frames),
            None => tally.segment(carried.frames),
        }
    }

    /// Takes the pieces whose turn has come.
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

    /// Gives up waiting for what is missing.
    fn skip_gap(&mut self, out: &mut Out<'_>) {
        if let Some((&to, _)) = self.later.first_key_value() {
            self.gap(to, out);
            self.acknowledged = None;
            self.drain(out);
        }
    }

    /// Hands on the beginning of a message whose rest will not come.
    fn give_up_message(&self, out: &mut Out<'_>) {
        if matches!(self.sync, Sync::Sure | Sync::Guessed)
            && let Some(message) = self.ready.get(framing::LENGTH..).filter(|m| !m.is_empty())
        {
            out.beginning(message);
        }
    }

    /// Goes on at `to`, without the octets before it.
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

    /// Takes the next octets in order. `end` is the position behind them, or before the next octet where all that
    /// was captured of the segment is here already and what the capture left out of it is not.
    fn take(&mut self, data: &[u8], end: u64, carried: Carried, out: &mut Out<'_>) {
        self.next += data.len() as u64;
        let ready_end = self.ready.len() + data.len();
        let is_cut = carried.missing > 0;
        if data.is_empty() {
            // All that was new of it was cut off.
            if carried.frames > 0 {
                out.tally.reject(WireRejection::CutByCapture, carried.frames);
            }
        } else {
            out.tally.hold(carried.frames);
            self.marks.push(Mark { end: ready_end, frames: carried.frames, is_cut });
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

    /// Finds the messages in octets in order, and says how many octets are done with. Those of `data` that `marks`
    /// count from its beginning are settled.
    fn scan(&mut self, data: &[u8], is_segment: bool, at: Timestamp, out: &mut Out<'_>) -> usize {
        let mut done = 0;
        if is_segment && self.sync == Sync::Lost && framing::is_message(data) {
            // Its length came in a segment before it that is missing.
            out.message(at, data);
            done = data.len();
            self.sync = Sync::Guessed;
            self.settle(done, Fate::Used, out.tally);
        }
        loop {
            let rest = data.get(done..).unwrap_or_default();
            if self.sync == Sync::Lost {
                let place = framing::seek(rest);
                let (Place::At(skip) | Place::Perhaps(skip)) = place;
                done += skip;
                self.sought += skip;
                self.settle(done, Fate::Lost(WireLoss::StreamGap), out.tally);
                if self.sought > MOST_SOUGHT {
                    self.sync = Sync::GivenUp;
                    break;
                }
                if matches!(place, Place::Perhaps(_)) {
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
        // Only when something is done: a message of many small segments has a mark for each.
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
