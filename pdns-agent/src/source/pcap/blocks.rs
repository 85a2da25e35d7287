//! The newer capture format, pcapng: sections of blocks, several interfaces.
//!
//! Under `pcap`; the format is draft-ietf-opsawg-pcapng.

use super::{Fault, MOST_PACKET, MOST_PASSED, Order, Packet, ReadResult};
use crate::source::pcap::window::{Short, Window};
use crate::time::Timestamp;

/// Block types.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
/// The packet block used by older writers.
const PACKET: u32 = 2;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Bytes around a block's body: type and length before it, length after it.
const FRAMING: u32 = 12;
/// Bytes before the packet in a packet block, and in a simple one.
const PACKET_HEAD: u32 = 28;
const SIMPLE_HEAD: u32 = 12;
/// Maximum number of interfaces of a section; and maximum number of bytes read from an interface description.
const MOST_INTERFACES: usize = 65_536;
const MOST_OPTIONS: u32 = 64 * 1024;
/// Options of an interface.
const END: u16 = 0;
const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;

/// Contents of an interface description.
struct Interface {
    link: u16,
    snaplen: u32,
    clock: Clock,
}

/// Time base of an interface.
#[derive(Clone, Copy)]
struct Clock {
    /// Units per second; 0 if there are more than any clock can count.
    per_second: u128,
    /// Seconds to add.
    offset: i64,
}

impl Clock {
    const MICROS: Self = Self { per_second: 1_000_000, offset: 0 };

    /// Parses the option's value: a power of ten, or of two if the highest bit is set.
    fn resolution(&mut self, octet: u8) {
        let base: u128 = if octet & 0x80 == 0 { 10 } else { 2 };
        self.per_second = base.checked_pow(u32::from(octet & 0x7f)).unwrap_or(0);
    }

    fn time(self, units: u64) -> Timestamp {
        let micros = match self.per_second {
            1_000_000 => i128::from(units),
            1_000_000_000 => i128::from(units / 1000),
            0 => 0,
            // Below 2^64 * 2^20.
            per_second => (u128::from(units) * 1_000_000 / per_second).cast_signed(),
        };
        let micros = micros + i128::from(self.offset) * 1_000_000;
        let clamped = micros.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp::from_micros(i64::try_from(clamped).unwrap_or(i64::MAX))
    }
}

/// Read position within the file.
pub(super) struct Blocks {
    order: Order,
    interfaces: Vec<Interface>,
    /// Remaining length of the last packet's block, and the length field expected at its end.
    rest: Option<(u32, u32)>,
    /// Time of the last packet, used for simple packet blocks, which have none.
    last: Timestamp,
}

/// Fields of a block that contains a packet.
struct Fields {
    interface: u32,
    units: Option<u64>,
    captured: u32,
    length: u32,
    head: u32,
}

impl Blocks {
    /// State at the beginning of a file.
    pub(super) fn new() -> Self {
        Self {
            order: Order::Big,
            interfaces: Vec::new(),
            rest: None,
            // A time that no store accepts, so that a packet without one is rejected instead of dated 1970.
            last: Timestamp::from_micros(-1),
        }
    }

    /// The next packet, or [`ReadResult::Nothing`] after too many other blocks.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<ReadResult, Fault> {
        for _ in 0..MOST_PASSED {
            if let Some((rest, length)) = self.rest.take() {
                self.leave(window, rest, length)?;
            }
            window.begin_record();
            let head = match window.peek(8) {
                Ok(head) => head,
                Err(Short::End) => return Ok(ReadResult::End),
                Err(short) => return Err(short.into()),
            };
            if self.order.u32(head, 0) == SECTION {
                self.section(window)?;
                continue;
            }
            let (kind, length) = (self.order.u32(head, 0), self.order.u32(head, 4));
            if length < FRAMING || !length.is_multiple_of(4) {
                return Err(Fault::Broken("the length of a block is impossible"));
            }
            match kind {
                INTERFACE => self.interface(window, length)?,
                PACKET | SIMPLE | ENHANCED => {
                    return self.packet(window, kind, length).map(ReadResult::Packet);
                }
                _ => {}
            }
            self.rest = Some((length, length));
        }
        Ok(ReadResult::Nothing)
    }

    /// Skips the rest of a block and checks its second length field against the first.
    fn leave(&self, window: &mut Window, rest: u32, length: u32) -> Result<(), Fault> {
        window.skip(u64::from(rest.saturating_sub(4)))?;
        if self.order.u32(window.peek(4).map_err(Short::cut)?, 0) != length {
            return Err(Fault::Broken("the two lengths of a block differ"));
        }
        window.pass(4);
        Ok(())
    }

    /// Starts a section: its header defines the byte order, and interfaces are numbered from 0 again.
    fn section(&mut self, window: &mut Window) -> Result<(), Fault> {
        let head = window.peek(16).map_err(Short::cut)?;
        self.order = if Order::Big.u32(head, 8) == BYTE_ORDER {
            Order::Big
        } else if Order::Little.u32(head, 8) == BYTE_ORDER {
            Order::Little
        } else {
            return Err(Fault::Broken("a section's byte order is neither of the two"));
        };
        if self.order.u16(head, 12) != 1 {
            return Err(Fault::Broken("its version of the format is not 1"));
        }
        let length = self.order.u32(head, 4);
        if length < 28 || !length.is_multiple_of(4) {
            return Err(Fault::Broken("the length of a section's header is impossible"));
        }
        self.interfaces.clear();
        self.rest = Some((length, length));
        Ok(())
    }

    fn interface(&mut self, window: &mut Window, length: u32) -> Result<(), Fault> {
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Fault::Broken("a section has more than 65,536 interfaces"));
        }
        let order = self.order;
        let body = window.peek(length.min(MOST_OPTIONS) as usize).map_err(Short::cut)?;
        let (link, snaplen) = (order.u16(body, 8), order.u32(body, 12));
        let mut clock = Clock::MICROS;
        let mut options = body.get(16..body.len().saturating_sub(4)).unwrap_or_default();
        while options.len() >= 4 {
            let (code, size) = (order.u16(options, 0), usize::from(order.u16(options, 2)));
            let value = options.get(4..4 + size).unwrap_or_default();
            match (code, value) {
                (END, _) => break,
                (RESOLUTION, [octet, ..]) => clock.resolution(*octet),
                (OFFSET, value) if value.len() == 8 => {
                    clock.offset = order.u64(value).cast_signed();
                }
                _ => {}
            }
            options = options.get(4 + size.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(Interface { link, snaplen, clock });
        Ok(())
    }

    fn packet(&mut self, window: &mut Window, kind: u32, length: u32) -> Result<Packet, Fault> {
        let order = self.order;
        let head = if kind == SIMPLE { SIMPLE_HEAD } else { PACKET_HEAD };
        let Some(room) = length.checked_sub(head + 4) else {
            return Err(Fault::Broken("the length of a packet's block is impossible"));
        };
        let octets = window.peek(head as usize).map_err(Short::cut)?;
        let word = |at| order.u32(octets, at);
        let mut fields = match kind {
            SIMPLE => Fields {
                interface: 0,
                units: None,
                captured: word(8).min(room),
                length: word(8),
                head,
            },
            _ => Fields {
                interface: if kind == PACKET { order.u16(octets, 8).into() } else { word(8) },
                units: Some(u64::from(word(12)) << 32 | u64::from(word(16))),
                captured: word(20),
                length: word(24),
                head,
            },
        };
        let interface = usize::try_from(fields.interface).ok();
        let Some(interface) = interface.and_then(|index| self.interfaces.get(index)) else {
            return Err(Fault::Broken("a packet names an interface that was not described"));
        };
        if kind == SIMPLE && interface.snaplen != 0 {
            fields.captured = fields.captured.min(interface.snaplen);
        }
        if fields.captured > MOST_PACKET {
            return Err(Fault::TooLong(fields.captured));
        }
        if fields.captured > room {
            return Err(Fault::Broken("a packet is longer than its block"));
        }
        let size = fields.captured as usize;
        window.peek(fields.head as usize + size).map_err(Short::cut)?;
        if let Some(units) = fields.units {
            self.last = interface.clock.time(units);
        }
        window.pass(fields.head as usize);
        let octets = window.pass(size);
        // The octets of the packet stay in place until the rest of the block is skipped.
        let rest = length - fields.head - fields.captured;
        self.rest = Some((rest, length));
        Ok(Packet {
            at: self.last,
            link: interface.link,
            octets,
            length: fields.length.max(fields.captured),
            end: window.offset() + u64::from(rest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_count_in_powers_of_ten_or_two_from_an_offset() {
        let time = |octet, offset, units| {
            let mut clock = Clock { offset, ..Clock::MICROS };
            clock.resolution(octet);
            clock.time(units).micros()
        };
        assert_eq!(time(6, 0, 7), 7);
        assert_eq!(time(9, 0, 1_999), 1);
        assert_eq!(time(3, 1, 5), 1_005_000);
        assert_eq!(time(0, -1, 3), 2_000_000);
        assert_eq!(time(0x8a, 0, 512), 500_000);
        assert_eq!(time(127, 0, u64::MAX), 0);
        assert_eq!(time(0xff, 0, u64::MAX), 0);
        assert_eq!(time(0, i64::MAX, u64::MAX), i64::MAX);
    }
}
