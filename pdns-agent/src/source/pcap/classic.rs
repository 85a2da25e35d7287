//! The classic capture format: one link type, and one record per packet.
//!
//! Under `pcap`; the format is draft-ietf-opsawg-pcap.

use super::{Fault, MOST_PACKET, Order, Packet, ReadResult};
use crate::source::pcap::window::{Short, Window};
use crate::time::Timestamp;

/// Lengths of the file header and a record header, in bytes.
const HEADER: usize = 24;
const RECORD: usize = 16;
/// Magic numbers for timestamps in microseconds and in nanoseconds.
const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;

/// Contents of the file header.
pub(super) struct Classic {
    order: Order,
    is_nanos: bool,
    link: u16,
}

impl Classic {
    /// Reads the header if these first bytes are its magic number.
    pub(super) fn begin(magic: [u8; 4], window: &mut Window) -> Result<Option<Self>, Fault> {
        let (order, is_nanos) = match (u32::from_be_bytes(magic), u32::from_le_bytes(magic)) {
            (MICROS, _) => (Order::Big, false),
            (NANOS, _) => (Order::Big, true),
            (_, MICROS) => (Order::Little, false),
            (_, NANOS) => (Order::Little, true),
            _ => return Ok(None),
        };
        let header = window.peek(HEADER)?;
        if order.u16(header, 4) != 2 {
            return Err(Fault::Broken("its version of the format is not 2"));
        }
        // The upper half of the last number describes frame check sequences; IP's own length cuts those off.
        let [_, _, _, link] = [4, 8, 12, 20].map(|at| order.u32(header, at));
        let link = u16::try_from(link & 0xffff).unwrap_or_default();
        window.pass(HEADER);
        Ok(Some(Self { order, is_nanos, link }))
    }

    /// The next packet.
    pub(super) fn next(&self, window: &mut Window) -> Result<ReadResult, Fault> {
        window.begin_record();
        let record = match window.peek(RECORD) {
            Ok(record) => record,
            Err(Short::End) => return Ok(ReadResult::End),
            Err(short) => return Err(short.into()),
        };
        let [seconds, fraction, captured, length] =
            [0, 4, 8, 12].map(|at| self.order.u32(record, at));
        let size = captured as usize;
        if captured > MOST_PACKET {
            return Err(Fault::TooLong(captured));
        }
        window.peek(RECORD + size)?;
        window.pass(RECORD);
        let micros = if self.is_nanos { fraction / 1000 } else { fraction };
        Ok(ReadResult::Packet(Packet {
            at: Timestamp::from_micros(i64::from(seconds) * 1_000_000 + i64::from(micros)),
            link: self.link,
            octets: window.pass(size),
            length: length.max(captured),
            end: window.offset(),
        }))
    }
}
