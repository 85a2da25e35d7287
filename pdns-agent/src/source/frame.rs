//! Packets: what a capture, live or in a file, hands over.
//!
//! Layer 2. `decode` finds DNS in them.

use crate::time::Timestamp;
use pdns_ebpf_common::Start;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// Where its first header begins and what that is.
    pub start: Start,
    /// What was captured of it, from the link header on.
    pub octets: &'a [u8],
    /// How many octets it had; more than `octets` has where the capture cut it.
    pub length: u32,
}
