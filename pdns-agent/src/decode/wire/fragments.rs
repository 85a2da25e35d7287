//! Reassembles IP datagrams from fragments.
//!
//! Under `wire`. Accepts any order and duplicates. A datagram with overlapping fragments is dropped entirely,
//! as RFC 5722 §4 requires for IPv6, because attacks exploit differences in how receivers resolve overlaps.
//! Bounded in datagrams, octets and time.

use super::packet::{Datagram, V6_HEADER, u16_at, u32_at};
use super::table::Table;
use super::{WireLoss, WireRejection, WireTally};
use crate::time::Timestamp;
use pdns_ebpf_common::{Found, Fragment};
use std::net::IpAddr;

/// Limits for waiting datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Maximum number of datagrams that wait for fragments.
    pub datagrams: usize,
    /// Maximum total size of their fragments in octets, including the overhead of storing them.
    pub octets: usize,
    /// Maximum waiting time, in seconds of packet time.
    pub seconds: u32,
}

impl Default for FragmentLimits {
    /// 16,384 datagrams, 32 MiB, and 30 seconds, the same as in Linux (`net.ipv4.ipfrag_time`).
    fn default() -> Self {
        Self { datagrams: 16_384, octets: 32 * 1024 * 1024, seconds: 30 }
    }
}

/// Largest datagram, header included (RFC 791 §3.1).
const MOST: usize = 65_535;
/// Overhead of storing one fragment, besides its octets: its entry, and the allocator's overhead.
const OVERHEAD: usize = 64;

/// Fields shared by the fragments of one datagram (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct DatagramKey {
    from: IpAddr,
    to: IpAddr,
    id: u32,
    /// Zero for IPv6, where it is not part of the key.
    protocol: u8,
}

struct FragmentPiece {
    offset: usize,
    octets: Box<[u8]>,
}

/// An incomplete datagram. Pieces are sorted and do not overlap.
#[derive(Default)]
struct Pending {
    pieces: Vec<FragmentPiece>,
    /// The headers before the payload of the first fragment, ending with that fragment's own.
    header: Option<Box<[u8]>>,
    /// Total length of all payloads in octets, once the last fragment has arrived.
    total: Option<usize>,
    /// Octets of payload received so far.
    have: usize,
    frames: u32,
    /// True if fragments overlapped: all later ones are dropped too.
    is_spoiled: bool,
    cost: usize,
}

/// The fields of one fragment.
struct FragmentFields {
    key: DatagramKey,
    offset: usize,
    is_last: bool,
}

/// All incomplete datagrams.
pub(super) struct Fragments {
    waiting: Table<DatagramKey, Pending>,
    octets: usize,
    limits: FragmentLimits,
}

impl Fragments {
    pub(super) fn new(limits: FragmentLimits) -> Self {
        Self { waiting: Table::new(), octets: 0, limits }
    }

    /// Drops datagrams that waited too long.
    #[inline]
    pub(super) fn expire(&mut self, now: Timestamp, tally: &mut WireTally) {
        let micros = u64::from(self.limits.seconds) * 1_000_000;
        while let Some((_, pending)) = self.waiting.pop_stale(now, micros) {
            self.lose(&pending, WireLoss::FragmentTimeout, tally);
        }
    }

    /// Drops all datagrams.
    pub(super) fn finish(&mut self, tally: &mut WireTally) {
        while let Some((_, pending)) = self.waiting.pop() {
            self.lose(&pending, WireLoss::CaptureEnd, tally);
        }
    }

    fn lose(&mut self, pending: &Pending, reason: WireLoss, tally: &mut WireTally) {
        self.octets -= pending.cost;
        tally.release(pending.frames);
        let headless = pending.header.is_none();
        tally.lose(if headless { WireLoss::NoFirstFragment } else { reason }, pending.frames);
    }

    /// Adds a fragment that arrived in `frames` frames. If it completes its datagram, the datagram is written
    /// to `whole` from its IP header on, and the number of its frames is returned, for the caller to count.
    pub(super) fn add(
        &mut self,
        (datagram, found): (&Datagram<'_>, &Found),
        at: Timestamp,
        frames: u32,
        whole: &mut Vec<u8>,
        tally: &mut WireTally,
    ) -> Option<u32> {
        let data = datagram.carried();
        let fields = match fields(datagram, found) {
            Ok(fields) => fields,
            Err(reason) => {
                tally.reject(reason, frames);
                return None;
            }
        };
        let header = match fields.offset {
            0 => datagram.octets.get(datagram.network..datagram.payload.start),
            _ => None,
        };
        let cost = data.len() + header.map_or(0, <[u8]>::len) + OVERHEAD;
        self.make_room(&fields.key, cost, tally);
        let pending = match self.waiting.get(&fields.key) {
            Some(pending) => pending,
            None => self.waiting.insert(fields.key, Pending::default(), at),
        };
        if !pending.is_spoiled && pending.repeats(&fields, data) {
            pending.frames += frames;
            tally.hold(frames);
            return None;
        }
        if pending.is_spoiled || !pending.accepts(&fields, data.len()) {
            tally.release(pending.frames);
            tally.reject(WireRejection::FragmentOverlap, pending.frames + frames);
            self.octets -= pending.cost;
            *pending = Pending { is_spoiled: true, ..Pending::default() };
            return None;
        }
        pending.put(&fields, data, header);
        pending.frames += frames;
        pending.cost += cost;
        self.octets += cost;
        tally.hold(frames);
        if pending.total != Some(pending.have) {
            return None;
        }
        let pending = self.waiting.remove(&fields.key)?;
        self.octets -= pending.cost;
        tally.release(pending.frames);
        if pending.rebuild(fields.key.from.is_ipv6(), whole) {
            return Some(pending.frames);
        }
        tally.reject(WireRejection::FragmentLength, pending.frames);
        None
    }

    /// Makes room for `cost` more octets, and for their datagram unless it is already waiting.
    fn make_room(&mut self, key: &DatagramKey, cost: usize, tally: &mut WireTally) {
        while self.octets + cost > self.limits.octets
            || self.waiting.len() >= self.limits.datagrams.max(1) && self.waiting.get(key).is_none()
        {
            let Some((_, pending)) = self.waiting.pop() else { return };
            self.lose(&pending, WireLoss::FragmentEvicted, tally);
        }
    }

    #[cfg(test)]
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.waiting.len(), self.octets)
    }
}

impl Pending {
    /// Returns true if exactly this fragment has already arrived.
    fn repeats(&self, fields: &FragmentFields, data: &[u8]) -> bool {
        let at = self.pieces.partition_point(|piece| piece.offset < fields.offset);
        let is_last = self.total == Some(fields.offset + data.len());
        is_last == fields.is_last
            && self
                .pieces
                .get(at)
                .is_some_and(|piece| piece.offset == fields.offset && *piece.octets == *data)
    }

    /// Returns true if a part of `size` octets neither overlaps another nor contradicts the end.
    fn accepts(&self, fields: &FragmentFields, size: usize) -> bool {
        let end = fields.offset + size;
        let at = self.pieces.partition_point(|piece| piece.offset < fields.offset);
        let before = at.checked_sub(1).and_then(|before| self.pieces.get(before));
        let furthest = self.pieces.last().map_or(0, |piece| piece.offset + piece.octets.len());
        before.is_none_or(|piece| piece.offset + piece.octets.len() <= fields.offset)
            && self.pieces.get(at).is_none_or(|piece| piece.offset >= end)
            && match (self.total, fields.is_last) {
                (Some(_), true) => false,
                (Some(total), false) => end < total,
                (None, true) => furthest <= end,
                (None, false) => true,
            }
    }

    fn put(&mut self, fields: &FragmentFields, data: &[u8], header: Option<&[u8]>) {
        let at = self.pieces.partition_point(|piece| piece.offset < fields.offset);
        self.pieces.insert(at, FragmentPiece { offset: fields.offset, octets: data.into() });
        self.have += data.len();
        if fields.is_last {
            self.total = Some(fields.offset + data.len());
        }
        if let Some(header) = header {
            self.header = Some(header.into());
        }
    }

    /// Writes the datagram as if it had never been fragmented; returns false if it would exceed the maximum
    /// length of a datagram. The version field is ignored, because the preceding header gives the version.
    fn rebuild(&self, is_v6: bool, whole: &mut Vec<u8>) -> bool {
        let Some(header) = &self.header else { return false };
        whole.clear();
        whole.extend_from_slice(header);
        for piece in &self.pieces {
            whole.extend_from_slice(&piece.octets);
        }
        // A fragment header with offset zero and no more fragments is that of a complete datagram (RFC 6946
        // §4).
        let (length_at, length, fragment_at) = if is_v6 {
            (4, whole.len() - V6_HEADER.min(whole.len()), header.len().saturating_sub(6))
        } else {
            (2, whole.len(), 6)
        };
        let Some(length) = u16::try_from(length).ok().filter(|&length| usize::from(length) <= MOST)
        else {
            return false;
        };
        for (at, value) in [(length_at, length), (fragment_at, 0)] {
            if let Some(field) = whole.get_mut(at..at + 2) {
                field.copy_from_slice(&value.to_be_bytes());
            }
        }
        true
    }
}

/// Reads the fields of a fragment and checks its length.
fn fields(datagram: &Datagram<'_>, found: &Found) -> Result<FragmentFields, WireRejection> {
    let size = datagram.carried().len();
    if datagram.missing > 0 {
        return Err(WireRejection::CutByCapture);
    }
    let octets = datagram.octets;
    let read = |at| u16_at(octets, at).ok_or(WireRejection::Header);
    let (id, protocol, offset, has_more) = if let Fragment::V6(header) = found.fragment {
        let header = header as usize;
        let bits = read(header + 2)?;
        let id = u32_at(octets, header + 4).ok_or(WireRejection::Header)?;
        (id, 0, usize::from(bits & 0xfff8), bits & 1 != 0)
    } else {
        let bits = read(datagram.network + 6)?;
        let id = u32::from(read(datagram.network + 4)?);
        let [_, protocol] = read(datagram.network + 8)?.to_be_bytes();
        (id, protocol, usize::from(bits & 0x1fff) * 8, bits & 0x2000 != 0)
    };
    if size == 0 || (has_more && !size.is_multiple_of(8)) || offset + size > MOST {
        return Err(WireRejection::FragmentLength);
    }
    let key = DatagramKey { from: datagram.from, to: datagram.to, id, protocol };
    Ok(FragmentFields { key, offset, is_last: !has_more })
}
