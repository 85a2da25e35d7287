//! What can be wrong with a capture file.
//!
//! Under `pcap`.

use super::MOST_PACKET;
use std::io;

/// What went wrong with a capture file. All packets before that were handed over.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened.
    #[error("cannot open capture {file}")]
    Open {
        /// The file.
        file: String,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Reading failed.
    #[error("cannot read capture {file} at byte {offset}")]
    Read {
        /// The file.
        file: String,
        /// Where, in octets of its content.
        offset: u64,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The compressed file is broken, ends too early, or wants too much memory.
    #[error("cannot unpack capture {file} after byte {offset} of its content; copy it again")]
    Unpack {
        /// The file.
        file: String,
        /// How much was unpacked and used.
        offset: u64,
        /// What is broken.
        #[source]
        cause: io::Error,
    },
    /// The first octets are those of no capture file.
    #[error(
        "{file} is no capture file: it is neither pcap nor pcapng, plain or packed with gzip, bzip2, zstd, xz or lz4"
    )]
    NotACapture {
        /// The file.
        file: String,
    },
    /// The file ends within a record: whoever wrote it was stopped, or has not finished.
    #[error(
        "capture {file} ends within the record at byte {offset}; the packets before it were read"
    )]
    Cut {
        /// The file.
        file: String,
        /// Where the record begins, in uncompressed octets.
        offset: u64,
    },
    /// A record claims a packet that cannot be.
    #[error(
        "capture {file} is broken at byte {offset}: a packet of {length} bytes, more than {MOST_PACKET}"
    )]
    TooLong {
        /// The file.
        file: String,
        /// Where the record begins, in uncompressed octets.
        offset: u64,
        /// What it claims, in octets.
        length: u32,
    },
    /// A record contradicts the format.
    #[error("capture {file} is broken at byte {offset}: {reason}")]
    Broken {
        /// The file.
        file: String,
        /// Where the record begins, in uncompressed octets.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file was overwritten while it was read: what it holds now is another capture.
    #[error("capture {file} was overwritten while it was read; read it once it is complete")]
    Changed {
        /// The file.
        file: String,
    },
    /// The file is the beginning of a capture that was read in part.
    #[error(
        "capture {file} is the beginning of a longer one, {longer}, that was not read to its end: read that one again"
    )]
    Part {
        /// The file.
        file: String,
        /// Where the longer one was.
        longer: String,
    },
}

impl PcapError {
    /// Whether the content is to blame: no more will ever come of it. If not, the system failed to read it, and may
    /// succeed another time.
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
