//! Logs as complete lines, each delivered exactly once whatever happens to the file; and captures as packets.
//!
//! Layer 2, the start of the data flow: [`Scan`] finds the files, [`Log`] reads one of them, [`Wake`] sleeps
//! until there is more; [`capture`] reads packets of an interface. `decode` interprets the lines; `store`
//! keeps the position in each log and `agent` passes it in. Nothing here knows about DNS or a store.
//!
//! A log is identified by its content, not by its path. Rotation renames a log, `archive-log` compresses it
//! into the folder of its day, people copy it: it keeps its [`LogId`], and because a position counts
//! uncompressed bytes, it stays valid. This is what makes reading exactly-once.
//!
//! [`Capture`] delivers the packets of an interface that may carry DNS, as [`Frame`]s;
//! `pdns_ebpf_common::decide` makes the decision in the kernel. [`CaptureFile`] reads those of a file, and
//! [`capture_files`] finds the files.

pub mod capture;
mod content;
mod first_bytes;
mod frame;
mod lines;
mod log;
mod names;
mod pcap;
mod pcap_files;
mod scan;
mod unpack;
mod wake;
mod walk;

#[cfg(test)]
mod tests;

pub use capture::{
    Capture, CaptureError, CaptureOptions, Counters as CaptureCounters, State as Condition,
    drop_privileges,
};
pub use first_bytes::{first_bytes, has_binary, is_utf16, marked_binary, open_unpacked};
pub use frame::Frame;
pub use lines::Damage;
pub use log::{ClosedLog, DEVICE, Log, Progress};
pub use names::LogNames;
pub use pcap::{CaptureFile, Content, Digest, MOST_PACKET, MOST_PASSED, PcapError, Step};
pub use pcap_files::{CaptureFiles, capture_files};
pub use scan::{FoundLog, Missing, Scan};
pub use wake::{Wake, WakeReason, Waker};
pub use walk::Skipped;

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Identity of a log: the hash of its head.
///
/// The head is everything up to and including the first record, but at most 64 KiB. The first record is the
/// first complete line that does not begin with `#` and contains a digit. Zeek's headers are the same in
/// every file, with or without `#` (`LogAscii` in `tsv` mode writes bare column names). The first record
/// contains a time in microseconds and a random uid; Suricata's contains a time and a random flow number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl fmt::Display for LogId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// State of a file, compared to detect changes without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    /// The device that holds the file.
    pub dev: u64,
    /// Its inode number on the device; reused once the file is deleted.
    pub ino: u64,
    /// Length in bytes; of the compressed data if the file is compressed.
    pub size: u64,
    /// Modification time, in nanoseconds since the epoch.
    pub mtime_ns: i128,
}

impl Stat {
    /// The current state of the file at a path, if it exists.
    #[must_use]
    pub fn at(path: &std::path::Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::from_metadata(&metadata))
    }

    fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        }
    }

    /// Device and inode, which identify the file.
    #[must_use]
    pub fn file(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Returns true if both are states of the same file.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

/// Error with a log or while looking for it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An input is neither an existing path nor a valid glob.
    #[error("{pattern} is neither an existing file nor a valid file name pattern")]
    Pattern {
        /// The input as given.
        pattern: String,
        /// Error in the pattern.
        #[source]
        cause: glob::PatternError,
    },
    /// A directory could not be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// A directory contains implausibly many entries, for example because of a link to `/`.
    #[error("{} holds more than {most} directories; the rest is not looked at, name parts of it", path.display())]
    TooWide {
        /// The directory given.
        path: PathBuf,
        /// Maximum number of entries examined.
        most: usize,
    },
    /// A file could not be examined or opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The path is not a regular file, so reading cannot resume from a position.
    #[error("{} is a {kind}, not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// Actual kind of the file.
        kind: &'static str,
    },
    /// Reading failed; nothing was lost, and reading can be retried.
    #[error("cannot read {} at byte {offset}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Start of the next line, in uncompressed bytes.
        offset: u64,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The compressed stream is corrupt or ends too early ([`io::ErrorKind::UnexpectedEof`]: it may still be
    /// being written). The complete lines before that were delivered.
    #[error("cannot unpack {} after byte {offset} of its content", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Start of the next line, in uncompressed bytes.
        offset: u64,
        /// The decompressor's error.
        #[source]
        cause: io::Error,
    },
    /// The file is text in an unsupported encoding.
    #[error(
        "{} is encoded in UTF-16, which is not supported: convert it with `iconv -f UTF-16 -t UTF-8`",
        path.display()
    )]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A position lies beyond the end: a copy in progress, or a truncated log.
    #[error("{} holds {len} bytes, less than the position {offset}", path.display())]
    Shrank {
        /// The file.
        path: PathBuf,
        /// Actual length, in uncompressed bytes.
        len: u64,
        /// The position, in uncompressed bytes.
        offset: u64,
    },
    /// Too many different logs begin with the same record.
    #[error("{} begins with the same record as {most} other logs that were read", path.display())]
    TooManyAlike {
        /// The file.
        path: PathBuf,
        /// Maximum number that can be told apart.
        most: u16,
    },
    /// The file was truncated or rewritten in place since it was opened: open it again.
    #[error("{} was rewritten while it was read", path.display())]
    Rewritten {
        /// The file.
        path: PathBuf,
    },
    /// The system cannot report changes; polling continues.
    #[error("cannot watch {}; changes are found by polling alone", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// The system's error, for example that `fs.inotify.max_user_watches` is reached.
        #[source]
        cause: notify::Error,
    },
}
