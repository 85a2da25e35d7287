//! Logs as complete lines, each handed out once, whatever happens to the file; and captures as packets.
//!
//! Layer 2, the start of the flow: [`Scan`] says which files are meant, [`Log`] reads one of them,
//! [`Wake`] sleeps until there is more; [`capture`] has packets of an interface. `decode` makes sense of the lines; how far each log has been
//! read is kept by `store` and handed in by `agent`. Nothing here knows of DNS or of a store.
//!
//! A log is known by what it holds, not by where it lies. Rotation renames a log, `archive-log` compresses
//! it into the folder of its day, people copy it: it stays the same [`LogId`], and a position, being
//! counted in uncompressed octets, stays true. That is what makes reading exactly once.
//!
//! [`Capture`] shows the packets of an interface that may carry DNS, as [`Frame`]s; the decision is made in the
//! kernel, by `pdns_ebpf_common::decide`. [`CaptureFile`] has those of a file, [`capture_files`] says which.

pub mod capture;
mod captures;
mod content;
mod first_bytes;
mod frame;
mod lines;
mod log;
mod names;
mod pcap;
mod scan;
mod unpack;
mod wake;
mod walk;

#[cfg(test)]
mod tests;

pub use capture::{
    Capture, CaptureError, Counters as CaptureCounters, Options as CaptureOptions,
    State as Condition, drop_privileges,
};
pub use captures::{CaptureFiles, capture_files};
pub use first_bytes::{first_bytes, is_utf16, open_unpacked};
pub use frame::Frame;
pub use lines::Damage;
pub use log::{ClosedLog, DEVICE, Log, Progress};
pub use names::LogNames;
pub use pcap::{CaptureFile, Content, Digest, MOST_PACKET, MOST_PASSED, PcapError, Step};
pub use scan::{Found, Missing, Scan};
pub use wake::{Wake, Waker, Woken};
pub use walk::Skipped;

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What a log is known by: the hash of its head.
///
/// The head is everything up to and including the first record, but 64 KiB at most. The first record
/// is the first complete line that does not begin with `#` and holds a digit. Zeek's headers are the
/// same in every file, `#` or not (`LogAscii` in `tsv` mode writes bare column names); the first
/// record has a time in microseconds and a random uid, as Suricata's has a time and a random number of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl fmt::Display for LogId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// What tells one state of one file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    /// The device that holds the file.
    pub dev: u64,
    /// Its inode there; used again once the file is gone.
    pub ino: u64,
    /// Length in octets, compressed if the file is.
    pub size: u64,
    /// Time of the last write, in nanoseconds since the epoch.
    pub mtime_ns: i128,
}

impl Stat {
    /// The state of the file that a path names now, if it names one.
    #[must_use]
    pub fn at(path: &std::path::Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        }
    }

    /// Device and inode: which file it is.
    #[must_use]
    pub fn file(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Whether both are states of one file.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

/// What went wrong with a log or on the way to it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An input is neither a path that exists nor a well-formed glob.
    #[error("{pattern} is no file and no valid pattern of file names")]
    Pattern {
        /// The input as given.
        pattern: String,
        /// Where the pattern is broken.
        #[source]
        cause: glob::PatternError,
    },
    /// A directory could not be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A directory holds more than can be meant; a link to `/` may have got into it.
    #[error("{} holds more than {most} directories; the rest is not looked at, name parts of it", path.display())]
    TooWide {
        /// The directory given.
        path: PathBuf,
        /// How many are looked at.
        most: usize,
    },
    /// A file could not be looked at or opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// What the path names is no regular file, and so cannot be read again from a position.
    #[error("{} is a {kind}, not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        kind: &'static str,
    },
    /// Reading failed; nothing was lost, it can be tried again.
    #[error("cannot read {} at byte {offset}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where the next line begins, in uncompressed octets.
        offset: u64,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The compressed stream is broken, or ends too early ([`io::ErrorKind::UnexpectedEof`]: it may still be
    /// written). The complete lines before that were handed out.
    #[error("cannot unpack {} after byte {offset} of its content", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Where the next line begins, in uncompressed octets.
        offset: u64,
        /// What is broken.
        #[source]
        cause: io::Error,
    },
    /// The file is text in another encoding.
    #[error(
        "{} is encoded in UTF-16, which is not supported: convert it with `iconv -f UTF-16 -t UTF-8`",
        path.display()
    )]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A position lies past the end: a copy still being made, or a log cut short.
    #[error("{} holds {len} bytes, less than the position {offset}", path.display())]
    Shrank {
        /// The file.
        path: PathBuf,
        /// How much there is, in uncompressed octets.
        len: u64,
        /// The position, in uncompressed octets.
        offset: u64,
    },
    /// Too many different logs begin with the same record.
    #[error("{} begins with the same record as {most} other logs that were read", path.display())]
    TooManyAlike {
        /// The file.
        path: PathBuf,
        /// How many can be told apart.
        most: u16,
    },
    /// The file was cut or rewritten in place since it was opened: open it again.
    #[error("{} was rewritten while it was read", path.display())]
    Rewritten {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no notice of changes; polling goes on.
    #[error("cannot watch {}; changes are found by polling alone", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// What the system says, such as that `fs.inotify.max_user_watches` is reached.
        #[source]
        cause: notify::Error,
    },
}
