//! Times in readable form, and bars on a common axis.
//!
//! Part of the page. A bar is a rectangle in an SVG image of [`WIDTH`] units, which the browser scales; this
//! avoids inline styles, which the page's policy forbids.

use crate::render::words::lasting;

/// Width of the axis, in units.
const WIDTH: u64 = 1_000;
/// Minimum width of a bar, so that a single sighting is visible.
const LEAST: u64 = 8;

/// A point in time as shown on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Time {
    /// `2026-11-24`.
    pub(super) date: String,
    /// `02:22`.
    pub(super) clock: String,
    /// RFC 3339, for `datetime` and the title.
    pub(super) iso: String,
}

impl Time {
    pub(super) fn of(at: u32) -> Self {
        let time = jiff::Timestamp::from_second(i64::from(at)).unwrap_or_default();
        Self {
            date: time.strftime("%Y-%m-%d").to_string(),
            clock: time.strftime("%H:%M").to_string(),
            iso: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }
}

/// The time span that all bars of a page share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Axis {
    span: Option<(u32, u32)>,
    mark: Option<u32>,
}

/// A bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) width: u64,
    /// Position of the requested time.
    pub(super) mark: Option<u64>,
    /// Text for tooltips and screen readers.
    pub(super) title: String,
}

impl Axis {
    /// Creates an axis with a mark at the time of the clicked event.
    pub(super) fn marked(mark: Option<u32>) -> Self {
        let mut axis = Self { span: None, mark };
        if let Some(mark) = mark {
            axis.add(mark, mark);
        }
        axis
    }

    /// Extends the axis to include a time span.
    pub(super) fn add(&mut self, first: u32, last: u32) {
        let (from, to) = self.span.unwrap_or((first, last));
        self.span = Some((from.min(first), to.max(last)));
    }

    /// Returns both ends of the axis.
    pub(super) fn ends(&self) -> Option<(Time, Time)> {
        self.span.map(|(from, to)| (Time::of(from), Time::of(to)))
    }

    /// Returns the bar from the first to the last sighting.
    pub(super) fn bar(&self, first: u32, last: u32) -> Bar {
        let from = self.place(first).min(WIDTH - LEAST);
        let width = self.place(last).saturating_sub(from).max(LEAST);
        let title = if first == last {
            format!("seen at {}", Time::of(first).iso)
        } else {
            let (from, to) = (Time::of(first).iso, Time::of(last).iso);
            format!("seen from {from} to {to}, {}", lasting(last.saturating_sub(first)))
        };
        Bar { x: from, width, mark: self.mark.map(|mark| self.place(mark)), title }
    }

    fn place(&self, at: u32) -> u64 {
        let Some((from, to)) = self.span else { return 0 };
        let length = u64::from(to - from);
        if length == 0 {
            return WIDTH / 2;
        }
        u64::from(at.clamp(from, to) - from) * WIDTH / length
    }
}

/// Formats a number with narrow no-break spaces between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_lie_on_their_axis() {
        let mut axis = Axis::marked(None);
        axis.add(1_000, 2_000);
        axis.add(1_500, 3_000);
        let place = |first, last| {
            let bar = axis.bar(first, last);
            (bar.x, bar.width)
        };
        assert_eq!(place(1_000, 3_000), (0, WIDTH));
        assert_eq!(place(1_000, 1_000), (0, LEAST));
        assert_eq!(place(3_000, 3_000), (WIDTH - LEAST, LEAST));
        assert_eq!(place(2_000, 2_500), (500, 250));
        let mut axis = Axis::marked(Some(0));
        axis.add(u32::MAX, u32::MAX);
        assert_eq!(axis.bar(u32::MAX, u32::MAX).mark, Some(0));
        assert_eq!(Axis::default().bar(5, 5).title, "seen at 1970-01-01T00:00:05Z");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(lasting(0), "0 seconds");
        assert_eq!(lasting(86_400), "1 day");
        assert_eq!(lasting(7_300), "2 hours");
    }
}
