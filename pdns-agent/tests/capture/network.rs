//! A network of the calling thread's own, and packets sent into it. The one file here that is `unsafe`.
//!
//! The kernel takes the network down when the last thread in it ends, also when a test fails. The measurements
//! of the filter (`benches/filter`) use it too.

#![expect(
    unsafe_code,
    clippy::cast_possible_truncation,
    reason = "system calls that std does not wrap, and the narrow fields of their structures"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::Command;

/// Past the interface's queue. The `libc` crate has it for some targets alone.
pub(crate) const PACKET_QDISC_BYPASS: libc::c_int = 20;

/// Moves this thread, and the programs and threads that it starts from now on, into a network of its own that
/// has nothing but a loopback. IPv6 is off in it: the kernel sends nothing by itself.
pub(crate) fn enter() {
    // SAFETY: takes no pointers.
    done(unsafe { libc::unshare(libc::CLONE_NEWNET) }, "make a network");
    for which in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
        std::fs::write(&path, "1").unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Keeps this thread on one processor: packets that it sends arrive in order.
pub(crate) fn stay_on_one_processor() {
    // SAFETY: takes no pointers.
    let processor = unsafe { libc::sched_getcpu() };
    // SAFETY: all zeros are a valid `cpu_set_t`: a set of bits.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is that of a processor, for which a set has room.
    unsafe { libc::CPU_SET(usize::try_from(processor).expect("a processor"), &mut set) };
    // SAFETY: the pointer and the size are those of `set`, which outlives the call.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    done(result, "stay on a processor");
}

/// `ip` in this thread's network.
#[track_caller]
pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {said}", arguments.join(" "));
}

/// Makes two interfaces: what is sent on `{name}-out` arrives on `{name}`.
#[track_caller]
pub(crate) fn pair(name: &str) {
    let peer = format!("{name}-out");
    let words = ["mtu", "65535", "type", "veth", "peer", "name", &peer, "mtu", "65535"];
    ip(&[&["link", "add", name], &words[..]].concat());
    ip(&["link", "set", name, "up"]);
    ip(&["link", "set", &peer, "up"]);
}

/// The number of an interface.
pub(crate) fn index(name: &str) -> u32 {
    let name = CString::new(name).expect("a name without a zero");
    // SAFETY: the pointer is to a string that ends with a zero and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    assert_ne!(index, 0, "{name:?}: {}", io::Error::last_os_error());
    index
}

/// Sends packets on an interface as they are, link header included.
pub(crate) struct Sender(OwnedFd);

impl Sender {
    /// On the interface of this name.
    pub(crate) fn open(name: &str) -> Self {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: takes no pointers.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        assert!(socket >= 0, "cannot open a packet socket: {}", io::Error::last_os_error());
        // SAFETY: the kernel has just opened it, nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: all zeros are a valid `sockaddr_ll`, which is plain numbers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index(name).cast_signed();
        let length = libc::socklen_t::try_from(size_of_val(&address)).expect("a few octets");
        let pointer = (&raw const address).cast();
        // SAFETY: the pointer and the length are those of `address`, which outlives the call.
        done(unsafe { libc::bind(socket.as_raw_fd(), pointer, length) }, "bind");
        let sender = Self(socket);
        // Each packet is received before `send` returns.
        sender.set(PACKET_QDISC_BYPASS, 1);
        sender
    }

    /// Sets an option of packet sockets.
    pub(crate) fn set(&self, option: libc::c_int, value: i32) {
        let length = libc::socklen_t::try_from(size_of_val(&value)).expect("a few octets");
        let (socket, pointer) = (self.0.as_raw_fd(), (&raw const value).cast());
        // SAFETY: the pointer and the length are those of `value`, which outlives the call.
        let result = unsafe { libc::setsockopt(socket, libc::SOL_PACKET, option, pointer, length) };
        done(result, "set up a packet socket");
    }

    /// Sends one packet.
    #[track_caller]
    pub(crate) fn send(&self, packet: &[u8]) {
        let (socket, pointer, length) = (self.0.as_raw_fd(), packet.as_ptr().cast(), packet.len());
        // SAFETY: the pointer and the length are those of `packet`, which outlives the call.
        let sent = unsafe { libc::send(socket, pointer, length, 0) };
        assert_eq!(usize::try_from(sent).ok(), Some(length), "{}", io::Error::last_os_error());
    }
}

#[track_caller]
fn done(result: libc::c_int, act: &str) {
    assert_eq!(result, 0, "cannot {act}: {}", io::Error::last_os_error());
}
