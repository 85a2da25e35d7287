//! The calls into the kernel that the standard library has no words for: packet sockets, interfaces, clocks,
//! waiting, privileges. The one place of the crate that is `unsafe`.

#![expect(unsafe_code, reason = "system calls that neither std nor aya wraps")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// `ETH_P_ALL` in network byte order, as a socket's address has it.
const ALL_PROTOCOLS: u16 = 0x0003_u16.to_be();
/// `AF_PACKET` and `PACKET_MR_PROMISC`, as wide as the structures have them.
const PACKET_FAMILY: libc::sa_family_t = 17;
const PROMISCUOUS: libc::c_ushort = 1;
/// `PACKET_IGNORE_OUTGOING` (Linux 4.20); the `libc` crate has it for some targets alone.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// `_LINUX_CAPABILITY_VERSION_3`: two words of capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// More capabilities than a kernel can have with version 3.
const MOST_CAPABILITIES: libc::c_ulong = 64;

/// The flags and the kind of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// What the kernel knows it by; an interface that was made anew has another.
    pub(super) index: i32,
    /// `ARPHRD_...`: what its packets begin with.
    pub(super) kind: u16,
    /// Whether it is up, and has a carrier.
    pub(super) is_up: bool,
    /// Whether it is the loopback.
    pub(super) is_loopback: bool,
}

/// A packet socket that gets nothing yet.
pub(super) fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let socket = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
    };
    owned(socket)
}

/// Binds a packet socket to an interface, from then on it gets all its packets.
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

/// Has an interface show packets for other stations, as long as the socket is open.
pub(super) fn be_promiscuous(socket: BorrowedFd<'_>, interface: i32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: interface,
        mr_type: PROMISCUOUS,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Leaves out what this host sends: on the loopback it is what it gets as well.
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    let yes: libc::c_int = 1;
    set(socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes)
}

/// What the kernel says of the interface of this name; `NotFound` if there is none.
pub(super) fn interface(socket: BorrowedFd<'_>, name: &str) -> io::Result<Interface> {
    let absent = || io::Error::from_raw_os_error(libc::ENODEV);
    // SAFETY: all zeros are a valid `ifreq`: a name and a union of plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last octet stays 0.
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
    Ok(Interface {
        index,
        kind,
        is_up: flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0,
        is_loopback: flags & libc::IFF_LOOPBACK != 0,
    })
}

/// What to add to a time of `CLOCK_MONOTONIC` to get the time of day, in nanoseconds.
pub(super) fn clock_offset() -> i64 {
    let before = clock(libc::CLOCK_MONOTONIC);
    let day = clock(libc::CLOCK_REALTIME);
    let after = clock(libc::CLOCK_MONOTONIC);
    day - (before + (after - before) / 2)
}

/// A clock in nanoseconds.
fn clock(which: libc::clockid_t) -> i64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to room for one `timespec`. The call fails only for clocks that do not exist.
    unsafe { libc::clock_gettime(which, time.as_mut_ptr()) };
    // SAFETY: it was zeroed, which is valid, and then written.
    let time = unsafe { time.assume_init() };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Something to wait with for wake-ups of a file.
pub(super) fn waiter(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let waiter = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // Edge-triggered: it wakes when the kernel says so, not already when there is something to read.
    let mut event =
        libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET).cast_unsigned(), u64: 0 };
    // SAFETY: `event` outlives the call.
    done(unsafe {
        libc::epoll_ctl(waiter.as_raw_fd(), libc::EPOLL_CTL_ADD, file.as_raw_fd(), &raw mut event)
    })?;
    Ok(waiter)
}

/// Sleeps until the kernel wakes the file, or a time has passed, or a signal comes.
pub(super) fn wait(waiter: BorrowedFd<'_>, timeout: Duration) {
    let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: there is room for the one event that is asked for. Whatever it returns, the caller looks.
    unsafe { libc::epoll_wait(waiter.as_raw_fd(), &raw mut event, 1, milliseconds) };
}

/// How much memory a process may lock, if there is a limit: what bounds BPF maps before Linux 5.11. Raises the
/// limit first, if that is allowed.
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

/// Gives up every capability of this thread, and that a program it starts could have one.
///
/// The bounding set can be emptied by one who has `CAP_SETPCAP` alone; for others `no_new_privs` does the same.
pub(super) fn drop_capabilities() -> io::Result<()> {
    for capability in 0..MOST_CAPABILITIES {
        if control(libc::PR_CAPBSET_DROP, capability).is_err() {
            // Not allowed, or one more than there are.
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
    // Of a structure of some octets.
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
