//! Points in time as people write them.
//!
//! Part of `query`. `cli` and `serve` parse what a user typed into a [`TimeSpec`] here. The clock is a parameter.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Seconds of a day.
pub const DAY: u32 = 86_400;

/// A point in time at the precision it was written with: one second, or a whole day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpec {
    /// First second of the interval, since the epoch.
    pub start: u32,
    /// First second after the interval.
    pub end: u32,
}

/// Reason why text is not a valid point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeParseError {
    /// Text in none of the known forms.
    #[error(
        "invalid time {0:?}: give an age such as 24h or 7d, a date such as 2026-01-31, \
         an RFC 3339 time such as 2026-01-31T12:00:00Z, or seconds since 1970 (nine digits or more)"
    )]
    Form(String),
    /// A time before 1970 or after 2106, which the store cannot represent.
    #[error("{0:?} is outside 1970 to 2106, the times a record can have")]
    Range(String),
    /// A span that ends before it starts.
    #[error("{0:?} ends before it starts")]
    Backwards(String),
}

impl TimeSpec {
    /// Returns the interval of one second.
    fn second(at: u32) -> Self {
        Self { start: at, end: at.saturating_add(1) }
    }

    /// Returns the interval of a whole day, counted from 1970-01-01.
    #[must_use]
    pub fn day(day: u32) -> Self {
        let start = day.saturating_mul(DAY);
        Self { start, end: start.saturating_add(DAY) }
    }

    /// Parses an age before `now` (`90s`, `15m`, `24h`, `7d`, `2w`, `1y` of 365 days), `now`, `today`,
    /// `yesterday`, a date, a date and time (UTC unless it has an offset), or seconds since the epoch.
    ///
    /// # Errors
    /// [`TimeParseError`] when it is none of these, or out of range.
    pub fn parse(text: &str, now: u32) -> Result<Self, TimeParseError> {
        let text = text.trim();
        match text {
            "now" => return Ok(Self::second(now)),
            "today" => return Ok(Self::day(now / DAY)),
            "yesterday" => return Ok(Self::day((now / DAY).saturating_sub(1))),
            _ => {}
        }
        if let Some(age) = age(text) {
            let at = u32::try_from(age).ok().and_then(|age| now.checked_sub(age));
            // An age that reaches back before 1970 means "ever".
            return Ok(Self::second(at.unwrap_or(0)));
        }
        if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
            // Fewer digits are a year or a date without dashes, never seconds; 0 is the epoch itself.
            if text.len() < 9 && text != "0" {
                return Err(TimeParseError::Form(text.to_owned()));
            }
            let at = text.parse().map_err(|_| TimeParseError::Range(text.to_owned()))?;
            return Ok(Self::second(at));
        }
        if let Ok(date) = text.parse::<Date>()
            && text.len() == "2026-01-31".len()
        {
            let start = seconds(date.to_datetime(jiff::civil::Time::midnight()))
                .ok_or_else(|| TimeParseError::Range(text.to_owned()))?;
            return Ok(Self { start, end: start.saturating_add(DAY) });
        }
        let at = if let Ok(time) = text.parse::<Timestamp>() {
            u32::try_from(time.as_second()).ok()
        } else if let Ok(time) = text.parse::<DateTime>() {
            seconds(time)
        } else {
            return Err(TimeParseError::Form(text.to_owned()));
        };
        at.map(Self::second).ok_or_else(|| TimeParseError::Range(text.to_owned()))
    }

    /// Parses `FROM..TO`, `FROM..`, `..TO`, or one [`TimeSpec`]. All of `TO` is included, so that
    /// `2026-01-01..2026-01-31` ends with the last second of January. A single age such as `7d` extends from
    /// then until now.
    ///
    /// # Errors
    /// [`TimeParseError`] for either end, or when the end lies before the start.
    pub fn parse_span(text: &str, now: u32) -> Result<Self, TimeParseError> {
        let ever = Self { start: 0, end: u32::MAX };
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => {
                let end = |text: &str| match text.trim() {
                    "" => Ok(ever),
                    text => Self::parse(text, now),
                };
                (end(from)?, end(to)?)
            }
            None if age(text.trim()).is_some() => {
                (Self::parse(text, now)?, Self { start: now, end: u32::MAX })
            }
            None => {
                let moment = Self::parse(text, now)?;
                (moment, moment)
            }
        };
        if to.end <= from.start {
            return Err(TimeParseError::Backwards(text.to_owned()));
        }
        Ok(Self { start: from.start, end: to.end })
    }
}

/// Converts a civil time in UTC to seconds since the epoch.
fn seconds(time: DateTime) -> Option<u32> {
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    u32::try_from(time.as_second()).ok()
}

/// Parses a span of time such as `90s`, `15m`, `24h`, `7d`, `2w` or `1y` into seconds.
#[must_use]
pub fn parse_age(text: &str) -> Option<u64> {
    age(text.trim())
}

/// Parses an age such as `24h` into seconds.
fn age(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(number.len()..)? {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    // A number that is too large is still an age: it reaches back before 1970.
    Some(number.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-24T02:22:58Z.
    const NOW: u32 = 1_795_486_978;

    #[track_caller]
    fn check(text: &str, start: u32, end: u32) {
        assert_eq!(TimeSpec::parse(text, NOW), Ok(TimeSpec { start, end }), "{text}");
    }

    #[test]
    fn every_form_is_read() {
        check("now", NOW, NOW + 1);
        check("24h", NOW - 86_400, NOW - 86_399);
        check("7d", NOW - 604_800, NOW - 604_799);
        check("99999999999999999999y", 0, 1);
        check("2026-11-24", 1_795_478_400, 1_795_564_800);
        check("today", 1_795_478_400, 1_795_564_800);
        check("yesterday", 1_795_392_000, 1_795_478_400);
        check("2026-11-24T02:22:58Z", NOW, NOW + 1);
        check("2026-11-24T04:22:58.9+02:00", NOW, NOW + 1);
        check("2026-11-24 02:22:58Z", NOW, NOW + 1);
        check("2026-11-24T02:22:58", NOW, NOW + 1);
        check("1795486978", NOW, NOW + 1);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2026", "20260131", "-1d", "h", "7 d", "2026-13-01", "soon"] {
            assert_eq!(TimeSpec::parse(text, NOW), Err(TimeParseError::Form(text.to_owned())));
        }
        for text in ["1969-12-31", "2107-01-01", "99999999999"] {
            assert_eq!(TimeSpec::parse(text, NOW), Err(TimeParseError::Range(text.to_owned())));
        }
    }

    #[test]
    fn spans_hold_the_whole_of_their_last_day() {
        let span = |text| TimeSpec::parse_span(text, NOW).map(|moment| (moment.start, moment.end));
        assert_eq!(span("2026-11-23..2026-11-24"), Ok((1_795_392_000, 1_795_564_800)));
        assert_eq!(span("2026-11-24"), Ok((1_795_478_400, 1_795_564_800)));
        assert_eq!(span("7d"), Ok((NOW - 604_800, u32::MAX)));
        assert_eq!(span("..24h"), Ok((0, NOW - 86_399)));
        assert_eq!(span("24h.."), Ok((NOW - 86_400, u32::MAX)));
        assert!(matches!(span("2026-11-24..2026-11-22"), Err(TimeParseError::Backwards(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", now in any::<u32>()) {
            if let Ok(moment) = TimeSpec::parse_span(&text, now) {
                prop_assert!(moment.start < moment.end);
            }
        }
    }
}
