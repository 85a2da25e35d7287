//! The ports that carry DNS, as one bit each: two octets to look at per packet, however many ports there are.

/// Octets of the set.
pub const PORT_BYTES: usize = 8192;
/// What is captured when nothing else is said.
pub const DNS_PORTS: &[u16] = &[53];

/// A set of ports. In the kernel it is constant data that the agent fills in before it loads the program.
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

    /// Whether a port is one of them.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, port: u16) -> bool {
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
        for port in 0..=u16::MAX {
            assert_eq!(set.has(port), [0, 53, 65535].contains(&port), "{port}");
        }
    }
}
