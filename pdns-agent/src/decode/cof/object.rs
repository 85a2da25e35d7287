//! Shape of a line: the parts of its JSON that are used, borrowed where possible.
//!
//! Under `cof`. Programs disagree on the types of values, so each is accepted as number or text where both make sense.

use super::Rejection;
use crate::time::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A line of DNSDB's Streaming API Framing; a line without any of its fields is a record by itself.
#[derive(serde::Deserialize)]
pub(super) struct Frame<'l> {
    #[serde(borrow)]
    pub(super) cond: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) obj: Option<Record<'l>>,
}

/// An object about records of one owner and type.
#[derive(serde::Deserialize)]
pub(super) struct Record<'l> {
    #[serde(borrow)]
    pub(super) rrname: Option<Text<'l>>,
    #[serde(borrow)]
    pub(super) rrtype: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) rdata: Option<List<'l>>,
    #[serde(borrow)]
    pub(super) count: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) time_first: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) time_last: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) zone_time_first: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) zone_time_last: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) ttl_min: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) ttl_max: Option<Scalar<'l>>,
    #[serde(borrow)]
    pub(super) ttl_last: Option<Scalar<'l>>,
    pub(super) pdns_partial: Option<bool>,
    pub(super) pdns_count_is_lower_bound: Option<bool>,
}

/// A number or text.
#[derive(Debug)]
pub(super) enum Scalar<'l> {
    Unsigned(u64),
    /// Any other number: with a fraction, negative, or of more than 64 bits.
    Float(f64),
    Text(Cow<'l, str>),
}

impl Scalar<'_> {
    /// The value as a count, at most `u64::MAX`; `None` if it is not a whole number from 0 on.
    pub(super) fn count(&self) -> Option<u64> {
        let number = match self {
            Self::Unsigned(number) => return Some(*number),
            Self::Float(number) => *number,
            Self::Text(text) => match text.parse() {
                Ok(number) => return Some(number),
                Err(_) => text.parse().ok()?,
            },
        };
        (number >= 0.0 && number.fract() == 0.0).then(|| whole(number))
    }

    /// The value as a time in whole seconds since the epoch, rounded down.
    pub(super) fn seconds(&self) -> Result<u32, Rejection> {
        let in_range = |seconds: u64| u32::try_from(seconds).map_err(|_| Rejection::TimeRange);
        let number = match self {
            Self::Unsigned(seconds) => return in_range(*seconds),
            Self::Float(seconds) => *seconds,
            Self::Text(text) => match text.parse() {
                Ok(seconds) => seconds,
                Err(_) => return in_words(text),
            },
        };
        if number.is_nan() {
            return Err(Rejection::BadTime);
        }
        if number < 0.0 { Err(Rejection::TimeRange) } else { in_range(whole(number)) }
    }
}

/// The whole part of a number that is not negative; saturates at `u64::MAX`.
fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates, and the number is not negative"
    )]
    {
        number as u64
    }
}

/// A time in RFC 3339, or without an offset, which is then UTC.
fn in_words(text: &str) -> Result<u32, Rejection> {
    let time = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|time| Offset::UTC.to_timestamp(time)));
    let micros = time.map_err(|_| Rejection::BadTime)?.as_microsecond();
    Timestamp::from_micros(micros).seconds().ok_or(Rejection::TimeRange)
}

impl<'de: 'l, 'l> Deserialize<'de> for Scalar<'l> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Unsigned(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                match u64::try_from(number) {
                    Ok(number) => Ok(Scalar::Unsigned(number)),
                    // Enough to see that it is negative.
                    Err(_) => Ok(Scalar::Float(-1.0)),
                }
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Float(number))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_any(Any)
    }
}

/// Texts: an array of them, or one alone.
#[derive(Debug)]
pub(super) struct List<'l>(pub(super) Vec<Cow<'l, str>>);

/// A text that is borrowed if it has no escapes.
#[derive(serde::Deserialize)]
pub(super) struct Text<'l>(#[serde(borrow)] pub(super) Cow<'l, str>);

impl<'de: 'l, 'l> Deserialize<'de> for List<'l> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(List(vec![Cow::Borrowed(text)]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(List(vec![Cow::Owned(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(Text(text)) = items.next_element()? {
                    texts.push(text);
                }
                Ok(List(texts))
            }
        }
        from.deserialize_any(Texts)
    }
}
