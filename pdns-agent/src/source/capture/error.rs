//! Errors that prevent a capture from starting, worded for the person who has to fix them.

use std::io;

/// Reason why a capture did not start.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There is no such interface.
    #[error("there is no interface {name}; there are: {}", present.join(", "))]
    NoInterface {
        /// The name given.
        name: String,
        /// The names of the existing interfaces.
        present: Vec<String>,
    },
    /// The interface's packets begin with neither Ethernet nor IP.
    #[error(
        "cannot capture on {name}: its packets begin with neither Ethernet nor IP (ARPHRD type {kind}); \
         capture on the interface below or above it"
    )]
    Link {
        /// The interface.
        name: String,
        /// `ARPHRD_...`, as in `/sys/class/net/NAME/type`.
        kind: u16,
    },
    /// The interface could not be queried.
    #[error("cannot ask the kernel for interface {name}")]
    Interface {
        /// The interface.
        name: String,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// A packet socket could not be opened.
    #[error("cannot open a packet socket; {}", advice_for_socket(cause))]
    Socket {
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The socket could not be set up.
    #[error("cannot {act} on {name}")]
    Setup {
        /// Operation that failed.
        act: &'static str,
        /// The interface.
        name: String,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The ring buffer or the counters could not be created.
    #[error("cannot make a ring buffer of {} MiB; {advice}", size >> 20)]
    Ring {
        /// Its size in bytes.
        size: usize,
        /// Suggested remedy.
        advice: String,
        /// Error of aya and the system.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel rejected the program.
    #[error("cannot load the socket filter; {advice}")]
    Load {
        /// Suggested remedy.
        advice: String,
        /// Error of aya, the system and the kernel's verifier.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Privileges could not be dropped.
    #[error("cannot give up privileges; start the agent under the shipped unit")]
    Privileges {
        /// The system's error.
        #[source]
        cause: io::Error,
    },
}

fn advice_for_socket(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "grant the capability CAP_NET_RAW, or run under the shipped unit or as root"
        }
        Some(libc::EAFNOSUPPORT) => {
            "this kernel has none: it needs CONFIG_PACKET, or the module af_packet"
        }
        _ => "see what the system says",
    }
}

/// Suggests a remedy when the kernel refused the ring buffer or the program with this error. `lockable` is
/// the amount of memory that may be locked, if limited.
pub(super) fn advice(cause: &io::Error, ring: usize, lockable: Option<u64>) -> String {
    let too_little = lockable.is_some_and(|most| most < ring as u64);
    match cause.raw_os_error() {
        Some(libc::EPERM) if too_little => format!(
            "grant the capability CAP_BPF; and before Linux 5.11 no more than \
             RLIMIT_MEMLOCK ({} KiB now) can be had: raise it to more than the ring buffer's size \
             (LimitMEMLOCK= in a unit, ulimit -l), or make the ring buffer smaller",
            lockable.unwrap_or(0) >> 10
        ),
        Some(libc::EPERM | libc::EACCES) => {
            "grant the capability CAP_BPF (CAP_SYS_ADMIN before Linux 5.8), or run under the shipped unit or as \
             root; in a container or with kernel lockdown bpf() may be forbidden to all"
                .to_owned()
        }
        Some(libc::ENOMEM) => {
            "there is not enough memory: make the ring buffer smaller, or raise the memory limit of the unit \
             or container"
                .to_owned()
        }
        Some(libc::EINVAL) => "this kernel lacks what it needs: Linux 5.8 is the oldest with ring buffers \
             (CONFIG_BPF_SYSCALL)"
            .to_owned(),
        Some(libc::ENOSYS) => {
            "this kernel was built without bpf(): it needs CONFIG_BPF_SYSCALL".to_owned()
        }
        _ => "see what the kernel says; Linux 5.8 is the oldest that can do it".to_owned(),
    }
}
