//! Programs given to the kernel as instructions, and its statistics of programs.

#![expect(
    unsafe_code,
    clippy::cast_possible_truncation,
    reason = "bpf(), which neither std nor aya gives for bare instructions, and the narrow fields of its structures"
)]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// One instruction (RFC 9669 §3).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    pub(crate) const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: to | from << 4, offset, immediate }
    }

    /// Sets how many instructions a jump passes over.
    pub(crate) const fn jump(&mut self, by: i16) {
        self.offset = by;
    }
}

/// Where a program is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a packet socket.
    Socket = 1,
    /// In traffic control, where an interface receives.
    Ingress = 3,
}

/// What `BPF_PROG_LOAD` takes, as far as it is needed.
#[repr(C)]
struct LoadRequest {
    kind: u32,
    instructions: u32,
    first: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// What `BPF_LINK_CREATE` takes for traffic control.
#[repr(C)]
struct LinkRequest {
    program: u32,
    interface: u32,
    place: u32,
    flags: u32,
    before: u64,
    revision: u64,
}

const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
/// `BPF_TCX_INGRESS` (Linux 6.6).
const TCX_INGRESS: u32 = 46;
const LOG_SIZE: u32 = 1 << 16;

/// Loads a program; the error has what the verifier says.
pub(crate) fn load(place: Place, program: &[Instruction]) -> Result<OwnedFd, String> {
    let mut log = vec![0_u8; LOG_SIZE as usize];
    let request = LoadRequest {
        kind: place as u32,
        instructions: u32::try_from(program.len()).expect("a short program"),
        first: program.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
        log_level: 1,
        log_size: LOG_SIZE,
        log: log.as_mut_ptr() as u64,
    };
    bpf(PROG_LOAD, &request).map_err(|error| {
        let said = String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
        format!("cannot load a program: {error}\n{said}")
    })
}

/// Runs a program for all that an interface receives, as long as what is returned is open.
pub(crate) fn attach(program: &OwnedFd, interface: u32) -> Result<OwnedFd, String> {
    let request = LinkRequest {
        program: program.as_raw_fd().unsigned_abs(),
        interface,
        place: TCX_INGRESS,
        flags: 0,
        before: 0,
        revision: 0,
    };
    bpf(LINK_CREATE, &request).map_err(|error| format!("cannot attach a program: {error}"))
}

/// Runs a program for all that an interface receives, on a packet socket.
pub(crate) fn listen(program: &OwnedFd, interface: u32) -> Result<OwnedFd, String> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointers.
    let socket = owned(unsafe { libc::socket(libc::AF_PACKET, kind, 0) });
    let socket = socket.map_err(|error| format!("cannot open a packet socket: {error}"))?;
    let number = program.as_raw_fd();
    let (option, pointer) = (libc::SO_ATTACH_BPF, (&raw const number).cast());
    let length = size_of_val(&number) as libc::socklen_t;
    // SAFETY: the pointer and the length are those of `number`, which outlives the call.
    done(unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, pointer, length)
    })?;
    // SAFETY: all zeros are a valid `sockaddr_ll`, which is plain numbers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = 0x0003_u16.to_be();
    address.sll_ifindex = interface.cast_signed();
    let (pointer, length) = ((&raw const address).cast(), size_of_val(&address));
    // SAFETY: the pointer and the length are those of `address`, which outlives the call.
    done(unsafe { libc::bind(socket.as_raw_fd(), pointer, length as libc::socklen_t) })?;
    Ok(socket)
}

/// How often a program ran, and how long in all, in nanoseconds: what the kernel says of an open program.
pub(crate) fn ran(program: RawFd) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{program}")).unwrap_or_default();
    let number = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    (number("run_cnt"), number("run_time_ns"))
}

/// The programs that this process has open.
pub(crate) fn open_programs() -> Vec<RawFd> {
    let folder = fs::read_dir("/proc/self/fdinfo").expect("proc is mounted");
    let files = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_program = |file: &RawFd| {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{file}")).unwrap_or_default();
        text.lines().any(|line| line.starts_with("prog_type:"))
    };
    files.filter(is_program).collect()
}

fn bpf<T>(command: libc::c_int, request: &T) -> io::Result<OwnedFd> {
    let (pointer, length) = (std::ptr::from_ref(request), size_of::<T>());
    // SAFETY: the pointer and the length are those of `request`; what it points to outlives the call as well.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, length) };
    owned(libc::c_int::try_from(result).unwrap_or(-1))
}

fn owned(file: RawFd) -> io::Result<OwnedFd> {
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

fn done(result: libc::c_int) -> Result<(), String> {
    if result == 0 {
        Ok(())
    } else {
        Err(format!("cannot set up a packet socket: {}", io::Error::last_os_error()))
    }
}
