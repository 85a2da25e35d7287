//! The socket filter that picks DNS out of an interface's packets in the kernel.
//!
//! It runs for every packet of the interface, so that its cost for those that are not DNS is what counts.
//! [`pdns_ebpf_common`] decides; here is how a packet is read, counted and copied. A packet that may carry DNS
//! goes whole, behind a [`Header`], into the ring buffer `RING`. The filter always returns 0: nothing is queued
//! on the socket.
//!
//! The agent fills in the constants `IS_RAW` and `WAKE` and the size of `RING` before it loads the program, and
//! the map `PORTS` before it attaches it. Helpers no newer than Linux 5.8, none that asks for the GPL.

#![no_std]
#![no_main]
#![feature(link_llvm_intrinsics)]
#![allow(internal_features, reason = "the kernel's loads have no other name in Rust")]

use aya_ebpf::Global;
use aya_ebpf::bindings::{__sk_buff, BPF_F_RDONLY_PROG, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{
    bpf_jiffies64, bpf_ktime_get_ns, bpf_ringbuf_discard, bpf_ringbuf_reserve, bpf_ringbuf_submit,
    bpf_skb_load_bytes,
};
use aya_ebpf::macros::{map, socket_filter};
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::SkBuffContext;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use pdns_ebpf_common::{
    CLASSES, Counter, GLANCE_AT, GLANCE_V6_AT, Glance, HEADER, Header, Link, PORT_WORDS, Packet,
    PortSet, SLOTS, Start, TICK, TIME, UNWOKEN, decide_at, glance, glance_v6,
};

/// Packets for the agent. The agent says how large it is.
#[map]
static RING: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// One set of numbers for each processor, so that none waits for another.
#[map]
static COUNTERS: PerCpuArray<[u64; SLOTS]> = PerCpuArray::with_max_entries(1, 0);

/// The ports that carry DNS, 64 to a number.
#[map]
static PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS as u32, BPF_F_RDONLY_PROG);

/// Not 0 if packets begin with an IP header.
#[unsafe(no_mangle)]
static IS_RAW: Global<u32> = Global::new(0);

/// Octets put into the ring buffer by one processor after which it wakes the agent.
#[unsafe(no_mangle)]
static WAKE: Global<u64> = Global::new(1 << 20);

/// License, which decides which helpers of the kernel may be called: none that is for GPL programs alone.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"MIT\0";

/// Octets of the ring buffer that each record takes beside its own.
const RECORD_HEADER: u64 = 8;

/// The packet that the program runs for.
#[derive(Clone, Copy)]
struct Skb(*mut __sk_buff);

impl Skb {
    /// Copies a part of the packet; `None` where it ends before.
    #[inline(always)]
    fn load<const LENGTH: usize>(self, at: u32) -> Option<[u8; LENGTH]> {
        let mut octets = Aligned(MaybeUninit::<[u8; LENGTH]>::uninit());
        let to = octets.0.as_mut_ptr().cast();
        // SAFETY: `to` is room for `LENGTH` octets; the kernel checks the offset.
        let failed = unsafe { bpf_skb_load_bytes(self.0.cast(), at, to, LENGTH as u32) };
        // SAFETY: written in full unless it failed, and any octets are a value of the array.
        if failed == 0 { Some(unsafe { octets.0.assume_init() }) } else { None }
    }
}

/// Laid out so that the numbers in it can be read as such.
#[repr(C, align(8))]
struct Aligned<T>(T);

unsafe extern "C" {
    // The kernel's instructions LD_ABS and LD_IND: a number in network byte order at an offset. Where the packet
    // ends before, they end the program and return 0.
    #[link_name = "llvm.bpf.load.byte"]
    fn load_byte(skb: *mut c_void, at: u64) -> u64;
    #[link_name = "llvm.bpf.load.half"]
    fn load_half(skb: *mut c_void, at: u64) -> u64;
    #[link_name = "llvm.bpf.load.word"]
    fn load_word(skb: *mut c_void, at: u64) -> u64;
}

/// The set that `PORTS` is.
struct InMap;

impl PortSet for InMap {
    #[inline(always)]
    fn has(&self, port: u16) -> bool {
        PORTS.get(u32::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 == 1)
    }
}

/// A packet that ends too early is none that carries DNS, so that nothing is missed when the program ends there.
/// It must hold nothing then, and all that is counted of such a packet must have been counted.
///
/// A load costs one call that copies nothing; `bpf_skb_load_bytes` costs two, and the way over the stack.
impl Packet for Skb {
    #[inline(always)]
    fn u8(&self, at: u32) -> Option<u8> {
        // SAFETY: the kernel gives a valid context; it checks the offset.
        Some(unsafe { load_byte(self.0.cast(), u64::from(at)) } as u8)
    }

    #[inline(always)]
    fn u16(&self, at: u32) -> Option<u16> {
        // SAFETY: as above.
        Some(unsafe { load_half(self.0.cast(), u64::from(at)) } as u16)
    }

    #[inline(always)]
    fn u32(&self, at: u32) -> Option<u32> {
        // SAFETY: as above.
        Some(unsafe { load_word(self.0.cast(), u64::from(at)) } as u32)
    }
}

/// `PACKET_OUTGOING`: the packet's `pkt_type` if this host sends it.
const OUTGOING: u32 = 4;
/// The `EtherType` of ARP.
const ARP: u16 = 0x0806;

/// Sees a packet.
#[socket_filter]
#[inline(always)]
pub fn pdns(context: SkBuffContext) -> i64 {
    let skb = Skb(context.skb.skb);
    let Some(counters) = COUNTERS.get_ptr_mut(0) else { return 0 };
    add(counters, Counter::Seen);
    if is_dns(skb) {
        add(counters, Counter::Dns);
        hand_over(skb, counters);
    }
    0
}

#[inline(always)]
fn is_dns(skb: Skb) -> bool {
    let link = if IS_RAW.load() == 0 { Link::Ethernet } else { Link::Raw };
    let start = Start::of(link);
    // SAFETY: the kernel gives a valid context; it rewrites this read into one of the packet's kind.
    let kind = unsafe { (*skb.0).pkt_type };
    // What was received has its `EtherType` noted, as it stands in the Ethernet header: what
    // follows can be read at a glance. Who sends a packet from here may note another.
    if link == Link::Ethernet && kind != OUTGOING {
        // SAFETY: as above, of the packet's protocol.
        let noted = u16::from_be(unsafe { (*skb.0).protocol } as u16);
        let glance = match noted {
            Start::IPV4 => skb.load(GLANCE_AT).map(|head| glance(&head)),
            Start::IPV6 => skb.load(GLANCE_V6_AT).map(|head| glance_v6(&head)),
            ARP => Some(Glance::Other),
            _ => None,
        };
        match glance {
            Some(Glance::Ports(from, to)) => return InMap.has(from) || InMap.has(to),
            Some(Glance::Other) => return false,
            Some(Glance::Unsettled) | None => {}
        }
    }
    decide_at(&skb, start, &InMap).is_some()
}

/// Copies a packet into the ring buffer, in the smallest class that holds it.
#[inline(always)]
fn hand_over(skb: Skb, counters: *mut [u64; SLOTS]) {
    // SAFETY: the kernel gives a valid context; it rewrites this read into one of the packet's length.
    let length = unsafe { (*skb.0).len };
    let [first, second, third, fourth, _] = CLASSES.map(|size| size as u32);
    if length == 0 {
        // Never; but the verifier has to be told.
    } else if length <= first {
        copy::<{ CLASSES[0] }>(skb, length, counters);
    } else if length <= second {
        copy::<{ CLASSES[1] }>(skb, length, counters);
    } else if length <= third {
        copy::<{ CLASSES[2] }>(skb, length, counters);
    } else if length <= fourth {
        copy::<{ CLASSES[3] }>(skb, length, counters);
    } else {
        copy::<{ CLASSES[4] }>(skb, length, counters);
    }
}

#[inline(always)]
fn copy<const SIZE: usize>(skb: Skb, length: u32, counters: *mut [u64; SLOTS]) {
    let ring = (&raw const RING).cast_mut().cast();
    let size = (HEADER + SIZE) as u64;
    // SAFETY: `RING` is a ring buffer, `size` a constant.
    let record = unsafe { bpf_ringbuf_reserve(ring, size, 0) };
    if record.is_null() {
        return add(counters, Counter::Lost);
    }
    let captured = if length > SIZE as u32 { SIZE as u32 } else { length };
    let at = now(counters);
    // SAFETY: the record has room for a header and `SIZE` octets, and begins at a multiple of 8.
    unsafe { record.cast::<Header>().write(Header { at, length, captured }) };
    // SAFETY: as above.
    let octets = unsafe { record.byte_add(HEADER) };
    // SAFETY: there is room for `SIZE` octets, and `captured` is no more.
    let failed = unsafe { bpf_skb_load_bytes(skb.0.cast(), 0, octets, captured) };
    if failed != 0 {
        // SAFETY: the record was reserved above and is given back once.
        unsafe { bpf_ringbuf_discard(record, u64::from(BPF_RB_NO_WAKEUP)) };
        return add(counters, Counter::Lost);
    }
    add(counters, Counter::Copied);
    if length > SIZE as u32 {
        add(counters, Counter::Truncated);
    }
    // To wake the agent for each packet would cost more than the packet: it looks by itself every few
    // milliseconds, and has to be woken only when the ring buffer fills up meanwhile.
    // SAFETY: as in `add`.
    let unwoken = unsafe { &mut (*counters)[UNWOKEN] };
    *unwoken += size + RECORD_HEADER;
    let flags = if *unwoken < WAKE.load() {
        BPF_RB_NO_WAKEUP
    } else {
        *unwoken = 0;
        BPF_RB_FORCE_WAKEUP
    };
    // SAFETY: the record was reserved above and is handed over once.
    unsafe { bpf_ringbuf_submit(record, u64::from(flags)) };
}

/// The time. To ask the clock costs a third of all that a packet of DNS costs, so that it is asked once a tick.
#[inline(always)]
fn now(counters: *mut [u64; SLOTS]) -> u64 {
    // SAFETY: takes nothing; the kernel makes a mere read of it.
    let tick = unsafe { bpf_jiffies64() };
    // SAFETY: as in `add`.
    let slots = unsafe { &mut *counters };
    if slots[TICK] != tick {
        slots[TICK] = tick;
        // SAFETY: takes nothing.
        slots[TIME] = unsafe { bpf_ktime_get_ns() };
    }
    slots[TIME]
}

#[inline(always)]
fn add(counters: *mut [u64; SLOTS], counter: Counter) {
    // SAFETY: the pointer is that of this processor's numbers, not null; the program is not interrupted by itself.
    unsafe { (*counters)[counter as usize] += 1 };
}

/// There is nothing that could panic; the compiler asks for it all the same.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
