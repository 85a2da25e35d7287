//! Times and TTLs, in every form written by Zeek.
//!
//! A time is seconds with a fraction (`TS_EPOCH`), whole milliseconds (`TS_MILLIS`), the same as an unsigned
//! number, in which times before 1970 become huge (`TS_MILLIS_UNSIGNED`), or ISO 8601 (`TS_ISO8601`). A TTL
//! is an interval: seconds with a fraction.

use super::row::{RawValue, decimal};
use crate::decode::Rejection;
use crate::time::Timestamp;

/// Whole numbers above this are milliseconds: as seconds it would be the year 5138, as milliseconds it is
/// March 1973.
const MOST_SECONDS: u64 = 100_000_000_000;
/// Largest TTL (RFC 2181 §8); larger ones are reduced to it (RFC 8767 §4).
const MAX_TTL: u32 = 0x7fff_ffff;

/// The time of a row in whole seconds since the epoch, rounded down.
pub(super) fn seconds(value: RawValue<'_>) -> Result<u32, Rejection> {
    match value {
        RawValue::Text(text) => text_seconds(text),
        RawValue::Unsigned(number) => number_seconds(number),
        RawValue::Negative(_) => Err(Rejection::TimeRange),
        RawValue::Float(number) if number < 0.0 => Err(Rejection::TimeRange),
        RawValue::Float(number) => number_seconds(whole(number).ok_or(Rejection::TimeRange)?),
        RawValue::Unset | RawValue::Bool(_) | RawValue::Odd => Err(Rejection::BadTime),
    }
}

fn number_seconds(number: u64) -> Result<u32, Rejection> {
    let seconds = if number > MOST_SECONDS { number / 1000 } else { number };
    u32::try_from(seconds).map_err(|_| Rejection::TimeRange)
}

fn text_seconds(text: &[u8]) -> Result<u32, Rejection> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let Some((number, fraction)) = fixed_point(digits) else { return iso_seconds(text) };
    if negative && (number > 0 || fraction.iter().any(|&digit| digit != b'0')) {
        return Err(Rejection::TimeRange);
    }
    number_seconds(number)
}

fn iso_seconds(text: &[u8]) -> Result<u32, Rejection> {
    let text = std::str::from_utf8(text).map_err(|_| Rejection::BadTime)?;
    let time: jiff::Timestamp = text.parse().map_err(|_| Rejection::BadTime)?;
    Timestamp::from_micros(time.as_microsecond()).seconds().ok_or(Rejection::TimeRange)
}

/// A TTL in whole seconds; `None` if it is negative or not a number.
pub(super) fn ttl(value: RawValue<'_>) -> Option<u32> {
    Some(u32::try_from(interval(value)?).unwrap_or(MAX_TTL).min(MAX_TTL))
}

/// The TTL of a record in the packet, in whole seconds; one with the top bit set is 0 (RFC 2181 §8).
pub(super) fn wire_ttl(value: RawValue<'_>) -> Option<u32> {
    let ttl = u32::try_from(interval(value)?).ok()?;
    Some(if ttl > MAX_TTL { 0 } else { ttl })
}

/// An interval in whole seconds; `None` if it is negative or not a number.
fn interval(value: RawValue<'_>) -> Option<u64> {
    match value {
        RawValue::Text(text) => Some(fixed_point(text)?.0),
        RawValue::Unsigned(number) => Some(number),
        RawValue::Float(number) if number >= 0.0 => Some(whole(number).unwrap_or(u64::MAX)),
        _ => None,
    }
}

/// The integer part and the fraction digits of a number such as `900.000000`.
fn fixed_point(text: &[u8]) -> Option<(u64, &[u8])> {
    let dot = memchr::memchr(b'.', text).unwrap_or(text.len());
    let (whole, rest) = text.split_at_checked(dot)?;
    let fraction = rest.strip_prefix(b".").unwrap_or_default();
    fraction.iter().all(u8::is_ascii_digit).then_some((decimal(whole)?, fraction))
}

/// The integer part of a non-negative number; `None` from 2^53 on, where floats lose precision.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked in the same line; to cut the fraction is the purpose"
    )]
    (0.0..EXACT).contains(&number).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_read() {
        let want = 1_521_911_720;
        for value in [
            RawValue::Text(b"1521911720.865716"),
            RawValue::Text(b"1521911720"),
            RawValue::Text(b"1521911720865"),
            RawValue::Text(b"2018-03-24T17:15:20.865716Z"),
            RawValue::Text(b"2018-03-24T19:15:20.865716+02:00"),
            RawValue::Unsigned(1_521_911_720),
            RawValue::Unsigned(1_521_911_720_865),
            RawValue::Float(1_521_911_720.865_716),
            RawValue::Float(1_521_911_720_865.7),
        ] {
            assert_eq!(seconds(value), Ok(want), "{value:?}");
        }
        assert_eq!(seconds(RawValue::Text(b"0.000000")), Ok(0));
        assert_eq!(seconds(RawValue::Text(b"-0.000000")), Ok(0));
        assert_eq!(seconds(RawValue::Text(b"4294967295.9")), Ok(u32::MAX));
    }

    #[test]
    fn times_out_of_range_are_told_from_what_is_no_time() {
        for value in [
            RawValue::Float(-315_619_200.0),
            RawValue::Text(b"1960-01-01T00:00:00.000000Z"),
            RawValue::Negative(-315_619_200_000),
            RawValue::Unsigned(18_446_743_758_090_351_616),
            RawValue::Text(b"-0.000001"),
            RawValue::Text(b"4294967296"),
            RawValue::Float(1e300),
        ] {
            assert_eq!(seconds(value), Err(Rejection::TimeRange), "{value:?}");
        }
        for value in [
            RawValue::Unset,
            RawValue::Odd,
            RawValue::Bool(true),
            RawValue::Text(b""),
            RawValue::Text(b"."),
            RawValue::Text(b"1."),
            RawValue::Text(b"XXXXXXXXXX.XXXXXX"),
            RawValue::Text(b"1521911720.8x"),
            RawValue::Text(b"99999999999999999999"),
        ] {
            let end = seconds(value);
            assert!(end == Err(Rejection::BadTime) || value == RawValue::Text(b"1."), "{value:?}");
        }
    }

    #[test]
    fn ttls_are_cut_to_whole_seconds_and_to_31_bits() {
        assert_eq!(ttl(RawValue::Text(b"900.000000")), Some(900));
        assert_eq!(ttl(RawValue::Float(299.9)), Some(299));
        assert_eq!(ttl(RawValue::Unsigned(0)), Some(0));
        assert_eq!(ttl(RawValue::Text(b"4294967295.000000")), Some(MAX_TTL));
        assert_eq!(ttl(RawValue::Float(1e30)), Some(MAX_TTL));
        for none in [
            RawValue::Unset,
            RawValue::Text(b"-1.0"),
            RawValue::Float(-1.0),
            RawValue::Text(b"nan"),
        ] {
            assert_eq!(ttl(none), None, "{none:?}");
        }
    }
}
