//! The table that a run ends with.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Lines of a Markdown table.
pub(crate) struct Report {
    text: String,
    missed: u32,
}

impl Report {
    pub(crate) fn new() -> Self {
        let mut report = Self { text: String::new(), missed: 0 };
        report.line("measured", "value", "target");
        report.line("---", "---:", "---");
        report
    }

    fn line(&mut self, what: &str, value: &str, target: &str) {
        let line = format!("| {what} | {value} | {target} |");
        println!("{line}");
        writeln!(self.text, "{line}").expect("a String takes any text");
    }

    fn judged(&mut self, what: &str, value: f64, target: &str, met: bool) {
        self.missed += u32::from(!met);
        let verdict = if met { "met" } else { "MISSED" };
        self.line(what, &format!("{value:.2}"), &format!("{target}: {verdict}"));
    }

    pub(crate) fn number(&mut self, what: &str, value: f64) {
        self.line(what, &format!("{value:.1}"), "");
    }

    /// Nanoseconds, and those of the quickest round.
    pub(crate) fn nanoseconds(&mut self, what: &str, median: f64, best: f64) {
        self.line(what, &format!("{median:.0} ns, at best {best:.0}"), "");
    }

    /// The median and the 99th percentile of times, which are sorted; the latter is judged.
    pub(crate) fn milliseconds(&mut self, what: &str, times: &[Duration], target: Option<f64>) {
        let at = |part: usize| {
            let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let (median, last) = (at(50), at(99));
        let digits = if median < 1.0 { 3 } else { 1 };
        let value = format!("{median:.digits$} ms, p99 {last:.digits$} ms");
        let target = target.map(|target| {
            let is_met = last <= target;
            self.missed += u32::from(!is_met);
            format!("at most {target} ms: {}", if is_met { "met" } else { "MISSED" })
        });
        self.line(what, &value, &target.unwrap_or_default());
    }

    /// Processor time of two programs.
    pub(crate) fn times(&mut self, what: &str, one: Duration, other: Duration) {
        let value = format!("{:.1} s + {:.1} s", one.as_secs_f64(), other.as_secs_f64());
        self.line(what, &value, "");
    }

    /// Something per second of the server's processor time.
    pub(crate) fn rate(&mut self, what: &str, per_second: f64) {
        self.line(what, &format!("{:.0} k/s", per_second / 1000.0), "");
    }

    /// Something per second of the clock.
    pub(crate) fn clock(&mut self, what: &str, count: u64, time: Duration) {
        self.rate(what, count as f64 / time.as_secs_f64());
    }

    pub(crate) fn at_least(&mut self, what: &str, value: f64, target: f64) {
        self.judged(what, value, &format!("at least {target}"), value >= target);
    }

    pub(crate) fn at_most(&mut self, what: &str, value: f64, target: f64) {
        self.judged(what, value, &format!("at most {target}"), value <= target);
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, &self.text).expect("the report can be written");
        println!("\nwritten to {}; {} targets missed", path.display(), self.missed);
    }
}
