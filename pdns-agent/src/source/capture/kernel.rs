//! System calls that the standard library does not wrap: packet sockets, interfaces, clocks, waiting,
//! privileges. The only `unsafe` module of the crate.

#![expect(unsafe_code, reason = "system calls that neither std nor aya wraps")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// `ETH_P_ALL` in network byte order, as used in a socket address.
const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();
/// `AF_PACKET` and `PACKET_MR_PROMISC`, in the width of the structures' fields.
const PACKET_FAMILY: libc::sa_family_t = 17;
const PROMISCUOUS: libc::c_ushort = 1;
/// `PACKET_IGNORE_OUTGOING` (Linux 4.20); the `libc` crate defines it for some targets only.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// `_LINUX_CAPABILITY_VERSION_3`: two words of capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// Upper bound on the number of capabilities in version 3.
const MOST_CAPABILITIES: libc::c_ulong = 64;

/// Flags and type of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceInfo {
    /// The kernel's index of the interface; an interface that was recreated has a new one.
    pub(super) index: i32,
    /// `ARPHRD_...` type: the first header of its packets.
    pub(super) kind: u16,
    /// True if it is up and has a carrier.
    pub(super) is_up: bool,
    /// True for the loopback interface.
    pub(super) is_loopback: bool,
}

/// A packet socket that receives nothing yet.
pub(super) fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let socket = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
    };
    owned(socket)
}

/// Binds a packet socket to an interface, which starts delivery of all its packets.
pub(super) fn bind(socket: BorrowedFd<'_>, interface: i32) -> io::Result<()> {
    // SAFETY: all zeros are a valid `sockaddr_ll`, which is plain numbers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = PACKET_FAMILY;
    address.sll_protocol = ALL_PROTOCOLS;
    address.sll_ifindex = interface;
    // SAFETY: the pointer and the length are those of `address`, which outlives the call.
    done(unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length_of(&address))
    })
}

/// Enables promiscuous mode on an interface for as long as the socket is open.
pub(super) fn be_promiscuous(socket: BorrowedFd<'_>, interface: i32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: interface,
        mr_type: PROMISCUOUS,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Ignores packets sent by this host: on the loopback each one is also received.
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    let yes: libc::c_int = 1;
    set(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes)
}

/// Queries the kernel for the interface of this name; `NotFound` if there is none.
pub(super) fn interface(socket: BorrowedFd<'_>, name: &str) -> io::Result<InterfaceInfo> {
    let absent = || io::Error::from_raw_os_error(libc::ENODEV);
    // SAFETY: all zeros are a valid `ifreq`: a name and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0.
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(absent());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    let mut ask = |what: libc::Ioctl| {
        // SAFETY: each of the requests below reads the name and writes a part of the union.
        done(unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) })
    };
    ask(libc::SIOCGIFINDEX)?;
    // SAFETY: SIOCGIFINDEX wrote this part.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    let mut ask = |what: libc::Ioctl| {
        // SAFETY: as above.
        done(unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) })
    };
    ask(libc::SIOCGIFHWADDR)?;
    // SAFETY: SIOCGIFHWADDR wrote this part.
    let kind = unsafe { request.ifr_ifru.ifru_hwaddr.sa_family };
    let mut ask = |what: libc::Ioctl| {
        // SAFETY: as above.
        done(unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) })
    };
    ask(libc::SIOCGIFFLAGS)?;
    // SAFETY: SIOCGIFFLAGS wrote this part.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    Ok(InterfaceInfo {
        index,
        kind,
        is_up: flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0,
        is_loopback: flags & libc::IFF_LOOPBACK != 0,
    })
}

/// Nanoseconds to add to a `CLOCK_MONOTONIC` time to get the time of day.
pub(super) fn clock_offset() -> i64 {
    let before = clock(libc::CLOCK_MONOTONIC);
    let day = clock(libc::CLOCK_REALTIME);
    let after = clock(libc::CLOCK_MONOTONIC);
    day - (before + (after - before) / 2)
}

/// Reads a clock, in nanoseconds.
fn clock(which: libc::clockid_t) -> i64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to room for one `timespec`. The call fails only for clocks that do not exist.
    unsafe { libc::clock_gettime(which, time.as_mut_ptr()) };
    // SAFETY: it was zeroed, which is valid, and then written.
    let time = unsafe { time.assume_init() };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Creates an epoll instance that waits for wake-ups of a file.
pub(super) fn waiter(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let waiter = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // Edge-triggered: it wakes when the kernel signals, not whenever there is something to read.
    let mut event =
        libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET).cast_unsigned(), u64: 0 };
    // SAFETY: `event` outlives the call.
    done(unsafe {
        libc::epoll_ctl(waiter.as_raw_fd(), libc::EPOLL_CTL_ADD, file.as_raw_fd(), &raw mut event)
    })?;
    Ok(waiter)
}

/// Sleeps until the kernel wakes the file, the timeout expires, or a signal arrives.
pub(super) fn wait(waiter: BorrowedFd<'_>, timeout: Duration) {
    let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: there is room for the one event requested. The caller checks for data whatever the call
    // returns.
    unsafe { libc::epoll_wait(waiter.as_raw_fd(), &raw mut event, 1, milliseconds) };
}

/// Amount of memory that a process may lock, if limited; it bounds BPF maps before Linux 5.11. First raises
/// the limit if permitted.
pub(super) fn lockable_memory() -> Option<u64> {
    let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `all` outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const all) } == 0 {
        return None;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is room for one `rlimit`.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Drops all capabilities of this thread, and the ability to regain one by starting a program.
///
/// The bounding set can only be emptied with `CAP_SETPCAP`; without it `no_new_privs` has the same effect.
pub(super) fn drop_capabilities() -> io::Result<()> {
    for capability in 0..MOST_CAPABILITIES {
        if control(libc::PR_CAPBSET_DROP, capability).is_err() {
            // Not permitted, or past the last capability.
            break;
        }
    }
    control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong)?;
    control(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: `capset` reads a header of two words and, with this version, two times three words.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn control(option: libc::c_int, argument: libc::c_ulong) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options above take numbers, no pointers.
    done(unsafe { libc::prctl(option, argument, zero, zero, zero) })
}

fn set<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let (pointer, length) = (std::ptr::from_ref(value).cast(), length_of(value));
    // SAFETY: pointer and length are those of `value`, which outlives the call.
    done(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, length) })
}

fn length_of<T>(_: &T) -> libc::socklen_t {
    // The size of a structure of some bytes.
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn owned(file: RawFd) -> io::Result<OwnedFd> {
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}
