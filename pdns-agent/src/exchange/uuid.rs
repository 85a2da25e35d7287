//! UUIDs that follow from names: version 5 (RFC 9562 §5.5), SHA-1 over a namespace and a name.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use std::fmt;

/// A UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Uuid(u128);

impl Uuid {
    /// A UUID with these bits.
    pub(super) const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The UUID of a name within a namespace.
    pub(super) fn of(namespace: Self, name: &[u8]) -> Self {
        let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(&namespace.0.to_be_bytes());
        hash.update(name);
        let digest = hash.finish();
        let first = digest.as_ref().iter().take(16);
        let bits = first.fold(0, |bits: u128, byte| bits << 8 | u128::from(*byte));
        let bits = bits & !(0xf << 76) | 5 << 76;
        Self(bits & !(0b11 << 62) | 0b10 << 62)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let mut rest = digits.as_str();
        for length in [8, 4, 4, 4, 12] {
            let (part, tail) = rest.split_at(length);
            f.write_str(part)?;
            if !tail.is_empty() {
                f.write_str("-")?;
            }
            rest = tail;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 9562 A.4: the namespace is that of DNS.
        let dns = Uuid::new(0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8);
        let uuid = Uuid::of(dns, b"www.example.com");
        assert_eq!(uuid.to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }
}
