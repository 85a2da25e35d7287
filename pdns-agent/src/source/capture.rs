//! Live packets of a network interface, picked by a program in the kernel.
//!
//! Layer 2, beside files. The socket filter `pdns-ebpf` looks at every packet in the kernel and writes those
//! that may carry DNS into a ring buffer; nothing is queued on the socket, and other packets never leave the
//! kernel. [`Capture::drain`] hands over what is in the ring buffer, [`Capture::wait`] sleeps until there is
//! more, [`Capture::follow`] keeps to the interface when it goes down, or goes away and comes back.
//!
//! What is lost is counted: packets that found the ring buffer full here, those that the interface itself had
//! no room for by [`Counters::interface_dropped`].

mod error;
mod kernel;
mod program;

pub use error::CaptureError;
pub use program::{LEAST_RING, MOST_RING};

use crate::source::Frame;
use crate::time::Timestamp;
use kernel::Interface;
use pdns_ebpf_common::{Counter, Header, Link, Start};
use program::Loaded;
use serde::{Deserialize, Serialize};
use std::fs;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// What to capture.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The interface's name.
    pub interface: String,
    /// The ports that carry DNS.
    pub ports: &'a [u16],
    /// Size of the ring buffer in octets; rounded up to a power of two within [`LEAST_RING`] and [`MOST_RING`].
    pub ring: usize,
    /// Whether to ask the interface for packets meant for other stations.
    pub promiscuous: bool,
}

/// What the filter counted since the start, all processors together. Exact when nothing arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Packets that the interface showed.
    pub seen: u64,
    /// Those that may carry DNS: `copied` + `lost`.
    pub dns: u64,
    /// Those of them that were put into the ring buffer.
    pub copied: u64,
    /// Those of `copied` that are larger than the largest record, and were cut.
    pub truncated: u64,
    /// Those that may carry DNS and found the ring buffer full.
    pub lost: u64,
    /// Packets that the interface dropped: `rx_dropped` and `rx_missed_errors`. No more than this was lost there, but it
    /// may be less: the kernel also counts as dropped what was seen and belongs to no protocol that this host speaks.
    pub interface_dropped: u64,
}

impl Counters {
    /// Adds those of another capture.
    pub fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        self.dns += other.dns;
        self.copied += other.copied;
        self.truncated += other.truncated;
        self.lost += other.lost;
        self.interface_dropped += other.interface_dropped;
    }
}

/// How an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is up and has a carrier.
    Up,
    /// It is there, and down or without a carrier.
    Down,
    /// There is none of its name, or one of another kind; it is looked for.
    Gone,
}

/// A running capture of one interface. Closing it ends the capture.
pub struct Capture {
    name: String,
    promiscuous: bool,
    link: Link,
    /// `None` once the capture is closed.
    socket: Option<OwnedFd>,
    /// What the socket is bound to; `None` while the interface is gone.
    bound: Option<i32>,
    program: Loaded,
    waiter: OwnedFd,
    /// Records that were no header and packet, which the filter never writes.
    broken: u64,
    /// The interface's own drops at the start, and of interfaces of this name before the present one.
    drops: Drops,
}

/// The interface's own count of drops starts anew when it is made anew.
#[derive(Clone, Copy, Debug, Default)]
struct Drops {
    /// What it had when we came.
    base: u64,
    /// What it had when last looked at.
    last: u64,
    /// What was dropped by those before it.
    before: u64,
}

impl Capture {
    /// Starts to capture. Needs `CAP_BPF` and `CAP_NET_RAW`, for this call alone. With `CAP_PERFMON` as well the
    /// kernel puts no guards against speculation into the filter: 25 ns a packet less, of some 35, where measured.
    ///
    /// # Errors
    /// A sentence that says what is missing and what to do.
    pub fn open(options: &Options<'_>) -> Result<Self, CaptureError> {
        let name = options.interface.clone();
        let socket = kernel::packet_socket().map_err(|cause| CaptureError::Socket { cause })?;
        let interface = kernel::interface(socket.as_fd(), &name).map_err(|cause| {
            match cause.raw_os_error() {
                Some(libc::ENODEV) => {
                    CaptureError::NoInterface { name: name.clone(), present: interfaces() }
                }
                _ => CaptureError::Interface { name: name.clone(), cause },
            }
        })?;
        let link = link(interface.kind)
            .ok_or_else(|| CaptureError::Link { name: name.clone(), kind: interface.kind })?;
        let program = program::load(link, options.ports, program::ring_size(options.ring))?;
        let setup = |act| {
            let name = name.clone();
            move |cause| CaptureError::Setup { act, name, cause }
        };
        program.attach(&socket).map_err(setup("attach the socket filter"))?;
        if interface.is_loopback {
            kernel::ignore_outgoing(socket.as_fd()).map_err(setup("leave out outgoing packets"))?;
        }
        let waiter = kernel::waiter(program.ring.as_fd()).map_err(setup("wait for packets"))?;
        let mut capture = Self {
            promiscuous: options.promiscuous,
            link,
            socket: Some(socket),
            bound: None,
            program,
            waiter,
            broken: 0,
            drops: Drops::default(),
            name: name.clone(),
        };
        capture.bind(interface).map_err(setup("capture"))?;
        Ok(capture)
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.name
    }

    /// Hands over what is in the ring buffer, oldest first, `most` packets at most and none after `each` broke;
    /// returns how many. Their times are the time of day as it is now, less their age.
    pub fn drain(
        &mut self,
        most: usize,
        each: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> usize {
        let offset = kernel::clock_offset();
        let start = Start::of(self.link);
        let mut taken = 0;
        while taken < most {
            let Some(record) = self.program.ring.next() else { break };
            taken += 1;
            let Some((header, octets)) = Header::split(&record) else {
                self.broken += 1;
                continue;
            };
            let nanoseconds = header.at.cast_signed().saturating_add(offset);
            let at = Timestamp::from_micros(nanoseconds.div_euclid(1000));
            if each(Frame { at, start, octets, length: header.length }).is_break() {
                break;
            }
        }
        taken
    }

    /// Sleeps until the ring buffer is full to a good part, or `timeout` has passed. Packets that come meanwhile
    /// do not wake it: that would cost more than they do. What is missed with a timeout of some milliseconds
    /// is nothing, since a ring buffer that fills up wakes it.
    pub fn wait(&self, timeout: Duration) {
        kernel::wait(self.waiter.as_fd(), timeout);
    }

    /// What the filter counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        // The one key of the map is always there.
        let Ok(values) = self.program.counters.get(&0, 0) else { return Counters::default() };
        let sum = |counter: Counter| -> u64 {
            values.iter().filter_map(|slots| slots.get(counter as usize)).sum()
        };
        Counters {
            seen: sum(Counter::Seen),
            dns: sum(Counter::Dns),
            copied: sum(Counter::Copied) - self.broken,
            truncated: sum(Counter::Truncated),
            lost: sum(Counter::Lost) + self.broken,
            interface_dropped: self.interface_drops(),
        }
    }

    /// Packets that the interface dropped since the start: `rx_dropped` + `rx_missed_errors`. The latter found no
    /// room. So did some of the former; others were seen and then of no use to this host.
    fn interface_drops(&self) -> u64 {
        let now = dropped(&self.name).unwrap_or(self.drops.last);
        self.drops.before + now.saturating_sub(self.drops.base)
    }

    /// Ends the capture. What is in the ring buffer can still be drained, and the counters read.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Looks how the interface is, and binds to it again if it was made anew; to be called about once a second.
    /// Needs no capability. An interface that was down needs nothing: the kernel goes on by itself.
    pub fn follow(&mut self) -> State {
        let Some(socket) = &self.socket else { return State::Gone };
        let found = kernel::interface(socket.as_fd(), &self.name)
            .ok()
            .filter(|interface| link(interface.kind) == Some(self.link));
        let Some(interface) = found else {
            if self.bound.take().is_some() {
                self.drops.before += self.drops.last.saturating_sub(self.drops.base);
                self.drops.base = self.drops.last;
            }
            return State::Gone;
        };
        if self.bound != Some(interface.index) && self.bind(interface).is_err() {
            // It went away again in between.
            return State::Gone;
        }
        if let Some(now) = dropped(&self.name) {
            self.drops.last = now;
        }
        if interface.is_up { State::Up } else { State::Down }
    }

    fn bind(&mut self, interface: Interface) -> std::io::Result<()> {
        let had = self.bound.take().is_some();
        if let Some(socket) = &self.socket {
            kernel::bind(socket.as_fd(), interface.index)?;
            if self.promiscuous && !interface.is_loopback {
                kernel::be_promiscuous(socket.as_fd(), interface.index)?;
            }
        }
        if had {
            self.drops.before += self.drops.last.saturating_sub(self.drops.base);
        }
        self.drops.base = dropped(&self.name).unwrap_or(0);
        self.drops.last = self.drops.base;
        self.bound = Some(interface.index);
        Ok(())
    }
}

/// Gives up every capability of the calling thread for good, and that a program which it starts could have one.
/// Capabilities are per thread: to be called before the first is started, and after the last [`Capture::open`].
///
/// # Errors
/// [`CaptureError::Privileges`] if the kernel does not let go of them.
pub fn drop_privileges() -> Result<(), CaptureError> {
    kernel::drop_capabilities().map_err(|cause| CaptureError::Privileges { cause })
}

/// `ARPHRD_RAWIP`: modems.
const RAW_IP: u16 = 519;

/// What packets of an interface of this `ARPHRD_...` type begin with, on a packet socket.
fn link(kind: u16) -> Option<Link> {
    match kind {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(Link::Ethernet),
        // Tun and WireGuard; PPP, whose header the kernel takes off; tunnels of IP in IP.
        libc::ARPHRD_NONE
        | RAW_IP
        | libc::ARPHRD_PPP
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT => Some(Link::Raw),
        _ => None,
    }
}

/// The table of interfaces and their counts. Of this thread's network namespace, whichever `/sys` shows.
const TABLE: &str = "/proc/thread-self/net/dev";

/// The names of all interfaces.
fn interfaces() -> Vec<String> {
    let table = fs::read_to_string(TABLE).unwrap_or_default();
    table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

/// What an interface dropped of what it received. The table's fourth number is the sum of both kinds of drops.
fn dropped(name: &str) -> Option<u64> {
    let table = fs::read_to_string(TABLE).ok()?;
    table.lines().find_map(|line| {
        let (this, numbers) = line.split_once(':')?;
        (this.trim() == name).then(|| numbers.split_whitespace().nth(3)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there_and_its_drops_can_be_read() {
        assert!(interfaces().contains(&"lo".to_owned()));
        assert!(dropped("lo").is_some());
        assert_eq!(dropped("none-such"), None);
    }

    #[test]
    fn ring_sizes_are_powers_of_two_within_bounds() {
        assert_eq!(program::ring_size(0), LEAST_RING);
        assert_eq!(program::ring_size(LEAST_RING + 1), 2 * LEAST_RING);
        assert_eq!(program::ring_size(usize::MAX), MOST_RING);
    }
}
