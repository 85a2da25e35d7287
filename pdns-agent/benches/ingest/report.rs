//! The table that a run ends with.

use std::path::Path;
use std::time::Duration;

/// Lines of a table: printed as Markdown, and written to a file as tab-separated text, from which
/// `cargo xtask bench` makes the tables of `benches/report.md`.
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut table = Self { text: String::new() };
        table.line(columns);
        println!("|{}", "---|".repeat(columns.len()));
        table
    }

    pub(crate) fn line(&mut self, cells: &[&str]) {
        println!("| {} |", cells.join(" | "));
        self.text.push_str(&cells.join("\t"));
        self.text.push('\n');
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, &self.text).expect("the numbers can be written");
    }
}

/// The numbers of a run, with their targets.
pub(crate) struct Report {
    table: Table,
    missed: u32,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(&["measured", "value", "target"]), missed: 0 }
    }

    fn line(&mut self, what: &str, value: &str, target: &str) {
        self.table.line(&[what, value, target]);
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
        self.table.write(path);
        println!("\nwritten to {}; {} targets missed", path.display(), self.missed);
    }
}
