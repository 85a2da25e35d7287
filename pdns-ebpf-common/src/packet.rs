//! A packet's octets, as the decision reads them.

/// Numbers in network byte order; `None` where the packet ends before.
pub trait Packet {
    /// One octet.
    fn u8(&self, at: u32) -> Option<u8>;
    /// Two octets.
    fn u16(&self, at: u32) -> Option<u16>;
    /// Four octets.
    fn u32(&self, at: u32) -> Option<u32>;
}

impl Packet for [u8] {
    #[inline(always)]
    fn u8(&self, at: u32) -> Option<u8> {
        self.get(usize::try_from(at).ok()?).copied()
    }

    #[inline(always)]
    fn u16(&self, at: u32) -> Option<u16> {
        chunk(self, at).map(u16::from_be_bytes)
    }

    #[inline(always)]
    fn u32(&self, at: u32) -> Option<u32> {
        chunk(self, at).map(u32::from_be_bytes)
    }
}

#[inline(always)]
fn chunk<const N: usize>(octets: &[u8], at: u32) -> Option<[u8; N]> {
    octets.get(usize::try_from(at).ok()?..)?.first_chunk().copied()
}

/// The two numbers that stand in one word.
#[inline(always)]
pub(crate) const fn halves(word: u32) -> (u16, u16) {
    let [high0, high1, low0, low1] = word.to_be_bytes();
    (u16::from_be_bytes([high0, high1]), u16::from_be_bytes([low0, low1]))
}

/// Header that packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header (IEEE 802.3).
    Ethernet,
    /// An IPv4 or IPv6 header: tunnels and `WireGuard`.
    Raw,
}
