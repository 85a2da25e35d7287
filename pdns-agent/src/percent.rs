//! Percent escapes of URLs (RFC 3986 §2.1), undone.
//!
//! Layer 0.

use crate::hex;

/// The bytes of text without its percent escapes, and whether a `%` was not followed by two digits; such a one stays.
#[must_use]
pub(crate) fn decode(text: &str) -> (Vec<u8>, bool) {
    let (mut out, mut is_broken) = (Vec::with_capacity(text.len()), false);
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let value = match tail {
            [high, low, after @ ..] if byte == b'%' => {
                let digits = hex::digit(*high).zip(hex::digit(*low));
                digits.map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        is_broken |= byte == b'%' && value.is_none();
        let (byte, after) = value.unwrap_or((byte, tail));
        out.push(byte);
        rest = after;
    }
    (out, is_broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_broken_ones_stay() {
        assert_eq!(decode("a%2Eb%2e%41"), (b"a.b.A".to_vec(), false));
        assert_eq!(decode("%e9+"), (b"\xe9+".to_vec(), false));
        for broken in ["%", "%4", "100%", "%zz", "%4g%"] {
            assert_eq!(decode(broken), (broken.as_bytes().to_vec(), true), "{broken}");
        }
    }
}
