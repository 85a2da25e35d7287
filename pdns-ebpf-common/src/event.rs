//! Data from the kernel: a header before each packet, and counters.

/// Octets of a [`Header`].
pub const HEADER: usize = 16;

/// Octets of a packet that one record of the ring buffer has room for, by size class. A reservation has a
/// constant size; most answers fit the first two. The last holds the largest packet that segmentation offload
/// makes of a stream, with its link header and tags.
pub const CLASSES: [usize; 5] = [240, 496, 2032, 16_368, 65_776];

/// Header of each packet in the ring buffer, in the machine's own byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Time at which the filter saw the packet: nanoseconds of `CLOCK_MONOTONIC`, no more than one tick of the kernel (1 to
    /// 10 milliseconds) ago, never ahead.
    pub at: u64,
    /// Octets of the packet, link header included.
    pub length: u32,
    /// Octets of it that follow. Fewer than `length` for a packet larger than the largest class.
    pub captured: u32,
}

const _: () = assert!(size_of::<Header>() == HEADER);

impl Header {
    /// Splits a record of the ring buffer into its header and the packet.
    #[must_use]
    pub fn split(record: &[u8]) -> Option<(Self, &[u8])> {
        let (at, rest) = record.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (captured, rest) = rest.split_first_chunk::<4>()?;
        let captured = u32::from_ne_bytes(*captured);
        let header =
            Self { at: u64::from_ne_bytes(*at), length: u32::from_ne_bytes(*length), captured };
        Some((header, rest.get(..usize::try_from(captured).ok()?)?))
    }
}

/// Counters of the filter, on each processor for itself. Each is the index of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Packets that the interface showed.
    Seen = 0,
    /// Those that may carry DNS: `Copied` + `Lost`.
    Dns = 1,
    /// Those of them that were handed over.
    Copied = 2,
    /// Those of them that were handed over in part.
    Truncated = 3,
    /// Those that may carry DNS and found no room.
    Lost = 4,
}

/// Number of counters.
pub const COUNTERS: usize = 5;
/// Number that the filter keeps behind the counters: octets put into the ring buffer since it last woke the reader.
pub const UNWOKEN: usize = COUNTERS;
/// And the tick of the kernel in which it last looked at the clock.
pub const TICK: usize = COUNTERS + 1;
/// And what the clock said.
pub const TIME: usize = COUNTERS + 2;
/// Number of values that the filter keeps on each processor.
pub const SLOTS: usize = COUNTERS + 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_split_and_a_cut_one_is_refused() {
        let mut record = [0_u8; 20];
        record[..8].copy_from_slice(&7_u64.to_ne_bytes());
        record[8..12].copy_from_slice(&9_u32.to_ne_bytes());
        record[12..16].copy_from_slice(&3_u32.to_ne_bytes());
        record[16..].copy_from_slice(&[1, 2, 3, 4]);
        let header = Header { at: 7, length: 9, captured: 3 };
        assert_eq!(Header::split(&record), Some((header, &[1, 2, 3][..])));
        assert_eq!(Header::split(&record[..18]), None);
        assert_eq!(Header::split(&record[..15]), None);
    }
}
