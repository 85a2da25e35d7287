//! Measurements of a soak: times of requests, and the memory of programs.

use super::Findings;
use super::programs::Program;
use std::time::Duration;

/// Growth after warming up that is allowed: a tenth, and 8 MiB. What an allocator keeps moves by so much.
const PARTS: u64 = 10;
const SLACK: u64 = 8 << 10;

/// Requests of one sort.
pub(super) struct Requests {
    name: &'static str,
    limit: Duration,
    times: Vec<Duration>,
    failed: u64,
    /// The first that failed.
    failure: Option<String>,
}

impl Requests {
    /// None yet.
    pub(super) fn new(name: &'static str, limit: Duration) -> Self {
        Self { name, limit, times: Vec::new(), failed: 0, failure: None }
    }

    /// Adds one: a name may have no records, and anything else is a failure.
    pub(super) fn add(&mut self, time: Duration, path: &str, reply: anyhow::Result<u16>) {
        self.times.push(time);
        let failure = match reply {
            Ok(200 | 404) => return,
            Ok(status) => format!("{path}: status {status}"),
            Err(error) => format!("{path}: {error:#}"),
        };
        self.failed += 1;
        self.failure.get_or_insert(failure);
    }

    /// Adds rows to the report.
    pub(super) fn report(&self, findings: &mut Findings) {
        let mut times = self.times.clone();
        times.sort_unstable();
        let (half, most, all) = (percentile(&times, 50), percentile(&times, 99), times.len());
        let name = self.name;
        findings.number(&format!("{name}: requests, median"), &format!("{all}, {}", shown(half)));
        let limit = format!("at most {}", shown(self.limit));
        findings.check(
            &format!("{name}: p99"),
            &shown(most),
            &limit,
            most <= self.limit && all > 0,
        );
        let failed = self.failure.as_ref().map_or_else(String::new, |first| format!(" ({first})"));
        findings.check(
            &format!("{name}: failed"),
            &format!("{}{failed}", self.failed),
            "0",
            self.failed == 0,
        );
    }
}

/// A percentile of sorted times; 0 of none.
fn percentile(sorted: &[Duration], part: usize) -> Duration {
    let at = (sorted.len() * part).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

fn shown(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

/// Memory of programs over time, in KiB.
pub(super) struct Memory {
    names: [&'static str; 5],
    looks: Vec<(Duration, [u64; 5])>,
}

impl Memory {
    /// No look yet.
    pub(super) fn new(names: [&'static str; 5]) -> Self {
        Self { names, looks: Vec::new() }
    }

    /// Adds a look.
    pub(super) fn look(&mut self, at: Duration, programs: [&Program; 5]) -> anyhow::Result<()> {
        let mut look = [0; 5];
        for (slot, program) in look.iter_mut().zip(programs) {
            *slot = program.memory()?;
        }
        self.looks.push((at, look));
        Ok(())
    }

    /// Adds rows to the report: the most in the second third of the time and in the last.
    pub(super) fn report(&self, findings: &mut Findings) {
        let end = self.looks.last().map_or(Duration::ZERO, |(at, _)| *at);
        for (number, name) in self.names.into_iter().enumerate() {
            let most = |from: Duration, to: Duration| {
                let within = self.looks.iter().filter(|(at, _)| *at > from && *at <= to);
                within.filter_map(|(_, look)| look.get(number).copied()).max().unwrap_or_default()
            };
            let (warm, last) = (most(end / 3, end * 2 / 3), most(end * 2 / 3, end));
            let measured = format!("memory of {name}, second third and last");
            let value = format!("{} and {} MiB", warm >> 10, last >> 10);
            // What Redis holds grows with what is seen.
            if name == "redis-server" {
                findings.number(&measured, &value);
                continue;
            }
            let is_met = !has_grown(warm, last);
            findings.check(&measured, &value, "no more than a tenth and 8 MiB above", is_met);
        }
    }
}

/// Returns true if memory has grown by more than an allocator's moods, in KiB.
fn has_grown(warm: u64, last: u64) -> bool {
    last > warm + warm / PARTS + SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_of_a_hundred_is_the_last_but_one() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
        assert_eq!(shown(Duration::from_micros(1_250)), "1.2 ms");
    }

    #[test]
    fn a_leak_fails_and_moods_of_the_allocator_do_not() {
        assert!(!has_grown(100 << 10, 110 << 10));
        assert!(has_grown(100 << 10, 120 << 10));
    }

    #[test]
    fn a_request_that_fails_fails_the_run() {
        let mut requests = Requests::new("page", Duration::from_millis(100));
        requests.add(Duration::from_millis(2), "/context/x", Ok(404));
        let mut findings = Findings::default();
        requests.report(&mut findings);
        assert!(findings.failed.is_empty(), "{:?}", findings.failed);
        requests.add(Duration::from_millis(200), "/context/y", Ok(500));
        requests.report(&mut findings);
        assert_eq!(findings.failed.len(), 2, "{:?}", findings.failed);
    }
}
