//! The socket filter in the kernel, and its shared data: a ring buffer and counters.

use super::error::{CaptureError, advice};
use super::kernel;
use aya::maps::{Array, MapError, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, SocketFilter, SocketFilterError};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use pdns_ebpf_common::{Link, Ports, SLOTS};
use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

/// The program, built by `cargo xtask build-ebpf` from `pdns-ebpf`.
pub(super) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../pdns-ebpf/pdns.bpf.o"));

/// Names defined in `pdns-ebpf/src/main.rs`.
const PROGRAM: &str = "pdns";
const RING: &str = "RING";
const COUNTERS: &str = "COUNTERS";
const PORTS: &str = "PORTS";

/// Smallest ring buffer: room for a few of the largest packets.
pub const LEAST_RING: usize = 1 << 20;
/// Largest ring buffer: the kernel accepts at most 4 GiB minus one page.
pub const MOST_RING: usize = 1 << 31;
/// The kernel wakes us when one part in this many of the ring buffer is used, over all processors together.
const WAKE_SHARE: u64 = 4;

/// Numbers kept by the filter: its counters and the values after them.
pub(super) type Slots = [u64; SLOTS];

/// The program, loaded but not yet attached.
pub(super) struct Loaded {
    /// Keeps the program loaded.
    pub(super) ebpf: Ebpf,
    /// Ring buffer that the filter writes packets to.
    pub(super) ring: RingBuf<aya::maps::MapData>,
    /// Counters of the filter.
    pub(super) counters: PerCpuArray<aya::maps::MapData, Slots>,
}

impl Loaded {
    /// Attaches the program, so that it examines every packet that the socket receives.
    pub(super) fn attach(&self, socket: &OwnedFd) -> io::Result<()> {
        let failed = |error: ProgramError| match error {
            ProgramError::SocketFilterError(SocketFilterError::SetsockoptError {
                io_error,
                ..
            }) => io_error,
            error => io::Error::other(error),
        };
        let program = self.ebpf.program(PROGRAM).ok_or(ProgramError::NotLoaded).map_err(failed)?;
        let program: &SocketFilter = program.try_into().map_err(failed)?;
        program.attach(socket).map_err(failed)
    }
}

/// The actual ring buffer size for a requested `size`: a power of two.
pub(super) fn ring_size(size: usize) -> usize {
    size.clamp(LEAST_RING, MOST_RING).next_power_of_two()
}

/// Loads the program into the kernel. `ring` is the result of [`ring_size`].
pub(super) fn load(link: Link, ports: &[u16], ring: usize) -> Result<Loaded, CaptureError> {
    let lockable = kernel::lockable_memory();
    let processors = aya::util::nr_cpus().map_or(1, |number| number.max(1) as u64);
    let is_raw = u32::from(link == Link::Raw);
    // Each processor counts separately, so each gets its part of the share.
    let wake = ring as u64 / WAKE_SHARE / processors;
    let mut ebpf = EbpfLoader::new()
        .btf(None)
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("IS_RAW", &is_raw, true)
        .override_global("WAKE", &wake, true)
        .map_max_entries(RING, u32::try_from(ring).unwrap_or(u32::MAX))
        .load(OBJECT)
        .map_err(|cause| refused(&cause, ring, lockable))?;
    let program: &mut SocketFilter = ebpf
        .program_mut(PROGRAM)
        .ok_or(ProgramError::NotLoaded)
        .and_then(TryInto::try_into)
        .map_err(|cause| refused(&cause.into(), ring, lockable))?;
    program.load().map_err(|cause| refused(&cause.into(), ring, lockable))?;
    fill_in(&mut ebpf, &Ports::new(ports))
        .map_err(|cause| refused(&cause.into(), ring, lockable))?;
    let map = |ebpf: &mut Ebpf, name| {
        ebpf.take_map(name).ok_or(MapError::InvalidName { name: String::from(name) })
    };
    let rings = map(&mut ebpf, RING).and_then(RingBuf::try_from);
    let counters = map(&mut ebpf, COUNTERS).and_then(PerCpuArray::try_from);
    Ok(Loaded {
        ring: rings.map_err(|cause| refused(&cause.into(), ring, lockable))?,
        counters: counters.map_err(|cause| refused(&cause.into(), ring, lockable))?,
        ebpf,
    })
}

/// Tells the program which ports carry DNS, before the first packet arrives.
fn fill_in(ebpf: &mut Ebpf, ports: &Ports) -> Result<(), MapError> {
    let map = ebpf.map_mut(PORTS).ok_or_else(|| MapError::InvalidName { name: PORTS.into() })?;
    let mut words: Array<_, u64> = map.try_into()?;
    for (index, word) in (0..).zip(ports.words()).filter(|(_, word)| *word != 0) {
        words.set(index, word, 0)?;
    }
    Ok(())
}

/// Converts an error of aya.
fn refused(cause: &EbpfError, ring: usize, lockable: Option<u64>) -> CaptureError {
    let is_verdict = matches!(&cause, EbpfError::ProgramError(ProgramError::LoadError { io_error, .. })
        if io_error.raw_os_error() != Some(libc::EPERM));
    let advice = match system_error(cause) {
        Some(_) if is_verdict && !may_load_any() => {
            "the kernel takes a program like this only from one who may look into it: grant the capability \
             CAP_PERFMON beside CAP_BPF, or run under the shipped unit or as root"
                .to_owned()
        }
        Some(_) if is_verdict => {
            "this kernel's verifier does not take the program: Linux 5.8 is the \
             oldest that can; report it with the kernel's version and what follows"
                .to_owned()
        }
        Some(system) => advice(system, ring, lockable),
        None => "the agent and its embedded program do not match; rebuild both".to_owned(),
    };
    // aya's message includes those of its causes, such as the verifier's log.
    let is_of_map = matches!(cause, EbpfError::MapError(_));
    let cause = cause.to_string().into();
    if is_of_map {
        CaptureError::Ring { size: ring, advice, cause }
    } else {
        CaptureError::Load { advice, cause }
    }
}

/// Returns true if this thread has `CAP_PERFMON` or `CAP_SYS_ADMIN`. Without them the verifier applies the
/// rules for unprivileged programs.
fn may_load_any() -> bool {
    let (sys_admin, perfmon) = (21, 38);
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    bits.is_none_or(|bits| bits >> sys_admin & 1 == 1 || bits >> perfmon & 1 == 1)
}

/// The system's error underlying aya's.
fn system_error<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    loop {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        error = error.source()?;
    }
}
