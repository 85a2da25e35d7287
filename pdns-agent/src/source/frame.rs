//! Packets of a capture, live or from a file.
//!
//! Layer 2. `decode` extracts DNS from them.

use crate::time::Timestamp;
use pdns_ebpf_common::Start;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Time of capture.
    pub at: Timestamp,
    /// Position and kind of its first header.
    pub start: Start,
    /// Captured octets, from the link header on.
    pub octets: &'a [u8],
    /// Original length in octets; greater than the length of `octets` if the capture truncated the packet.
    pub length: u32,
}
