//! Hexadecimal digits.
//!
//! Layer 0.

/// The bytes in lower case, two digits each.
#[must_use]
pub(crate) fn encode(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The value of a digit in either case.
#[must_use]
pub(crate) fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_digits() {
        assert_eq!(encode(&[0, 0x7f, 0xa5]), "007fa5");
        assert_eq!(
            [b'0', b'a', b'F', b'g', 0xff].map(digit),
            [Some(0), Some(10), Some(15), None, None]
        );
    }
}
