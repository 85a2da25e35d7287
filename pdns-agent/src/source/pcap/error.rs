//! Errors of capture files.
//!
//! Under `pcap`.

use super::MOST_PACKET;
use std::io;

/// Error in a capture file. All packets before it were delivered.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened.
    #[error("cannot open capture {file}")]
    Open {
        /// The file.
        file: String,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// Reading failed.
    #[error("cannot read capture {file} at byte {offset}")]
    Read {
        /// The file.
        file: String,
        /// Position in bytes of its content.
        offset: u64,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The compressed file is corrupt, ends too early, or requires too much memory.
    #[error("cannot unpack capture {file} after byte {offset} of its content; copy it again")]
    Unpack {
        /// The file.
        file: String,
        /// Number of bytes unpacked and used.
        offset: u64,
        /// The decompressor's error.
        #[source]
        cause: io::Error,
    },
    /// The first bytes are not those of a capture file.
    #[error(
        "{file} is not a capture file: it is neither pcap nor pcapng, plain or compressed with gzip, bzip2, zstd, xz or lz4"
    )]
    NotACapture {
        /// The file.
        file: String,
    },
    /// The file ends within a record: its writer was stopped, or has not finished.
    #[error(
        "capture {file} ends within the record at byte {offset}; the packets before it were read"
    )]
    Cut {
        /// The file.
        file: String,
        /// Start of the record, in uncompressed bytes.
        offset: u64,
    },
    /// A record claims an impossible packet.
    #[error(
        "capture {file} is broken at byte {offset}: a packet of {length} bytes, more than {MOST_PACKET}"
    )]
    TooLong {
        /// The file.
        file: String,
        /// Start of the record, in uncompressed bytes.
        offset: u64,
        /// Claimed length, in bytes.
        length: u32,
    },
    /// A record violates the format.
    #[error("capture {file} is broken at byte {offset}: {reason}")]
    Broken {
        /// The file.
        file: String,
        /// Start of the record, in uncompressed bytes.
        offset: u64,
        /// Description of the violation.
        reason: &'static str,
    },
    /// The file was overwritten while it was read: it is now a different capture.
    #[error("capture {file} was overwritten while it was read; read it once it is complete")]
    Changed {
        /// The file.
        file: String,
    },
    /// The file is the beginning of a capture that was read partially.
    #[error(
        "capture {file} is the beginning of a longer one, {longer}, that was not read to its end: read that one again"
    )]
    Part {
        /// The file.
        file: String,
        /// Path of the longer one.
        longer: String,
    },
}

impl PcapError {
    /// Returns true if the content is the cause, so that retrying is futile. Otherwise the system failed to
    /// read the file, and a retry may succeed.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Read { .. } => false,
            Self::Unpack { .. }
            | Self::NotACapture { .. }
            | Self::Cut { .. }
            | Self::TooLong { .. }
            | Self::Broken { .. }
            | Self::Changed { .. }
            | Self::Part { .. } => true,
        }
    }
}
