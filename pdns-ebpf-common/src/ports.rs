//! The ports that carry DNS, as one bit each: two octets to look at per packet, however many ports there are.

/// Octets of the set.
pub const PORT_BYTES: usize = 8192;
/// Ports that are captured by default.
pub const DNS_PORTS: &[u16] = &[53];

/// A set of ports, as the decision needs it. The kernel has one of its own: a lookup in a map, since where the
/// verifier looks into speculation (no `CAP_PERFMON`), an index into constant data is beyond what it takes.
pub trait PortSet {
    /// Returns true for a port of the set.
    fn has(&self, port: u16) -> bool;
}

/// A set of ports.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Ports(pub [u8; PORT_BYTES]);

impl Ports {
    /// No port.
    pub const NONE: Self = Self([0; PORT_BYTES]);

    /// These ports.
    #[must_use]
    pub fn new(ports: &[u16]) -> Self {
        let mut set = Self::NONE;
        for &port in ports {
            if let Some(octet) = set.0.get_mut(usize::from(port >> 3)) {
                *octet |= 1 << (port & 7);
            }
        }
        set
    }

    /// The set as numbers of 64 bits, as the kernel's map has it: port `p` is bit `p % 64` of number `p / 64`.
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.as_chunks().0.iter().map(|octets| u64::from_le_bytes(*octets))
    }
}

/// Length of [`Ports::words`].
pub const PORT_WORDS: usize = PORT_BYTES / 8;

impl PortSet for Ports {
    #[inline(always)]
    fn has(&self, port: u16) -> bool {
        match self.0.get(usize::from(port >> 3)) {
            Some(octet) => octet >> (port & 7) & 1 == 1,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_what_it_was_given() {
        let set = Ports::new(&[0, 53, 65535]);
        let words: std::vec::Vec<u64> = set.words().collect();
        assert_eq!(words.len(), PORT_WORDS);
        for port in 0..=u16::MAX {
            assert_eq!(set.has(port), [0, 53, 65535].contains(&port), "{port}");
            let word = words[usize::from(port >> 6)];
            assert_eq!(set.has(port), word >> (port & 63) & 1 == 1, "{port}");
        }
    }
}
