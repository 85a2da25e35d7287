//! Metrics for Prometheus, and the health of the agent.
//!
//! Updated by the threads of `agent`, read by `monitor`. Every counter of the agent is named here. Labels are
//! reasons from closed sets, and names of interfaces and sensors; never names or addresses observed on the
//! network.

use super::health::Health;
use crate::decode::packets::PacketTally;
use crate::decode::zeek::Coverage;
use crate::decode::{Filter, Tally};
use crate::exposition::Page;
use crate::monitor::Monitored;
use crate::source::CaptureCounters;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Metrics of a running agent.
#[derive(Default)]
pub(crate) struct Metrics {
    state: Mutex<RunCounts>,
    /// The state of the store.
    pub(crate) health: Health,
}

#[derive(Default)]
struct RunCounts {
    lines: Tally,
    coverage: Coverage,
    captures: BTreeMap<String, Interface>,
    /// Counts of all capture files together.
    files: PacketTally,
}

/// An interface being captured.
pub(crate) struct Interface {
    pub(crate) sensor: String,
    pub(crate) is_up: bool,
    pub(crate) tally: PacketTally,
}

impl Metrics {
    fn state(&self) -> MutexGuard<'_, RunCounts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the counts of log lines.
    pub(crate) fn lines(&self, tally: &Tally) {
        self.state().lines.merge(tally);
    }

    /// Number of dns.log lines skipped because their content is in pdns.log.
    pub(crate) fn in_pdns_log(&self) -> u64 {
        self.state().lines.filtered.get(&Filter::InPdnsLog).copied().unwrap_or(0)
    }

    /// Adds the coverage of dns.log lines by pdns.log.
    pub(crate) fn coverage(&self, coverage: &Coverage) {
        self.state().coverage.merge(coverage);
    }

    /// Adds the counts of a capture file.
    pub(crate) fn file(&self, tally: &PacketTally) {
        self.state().files.merge(tally);
    }

    /// Publishes the counters of an interface.
    pub(crate) fn interface(&self, name: &str, interface: Interface) {
        self.state().captures.insert(name.to_owned(), interface);
    }
}

impl Monitored for Metrics {
    /// Problems, one line each; empty if there are none.
    fn problems(&self) -> Vec<String> {
        let mut problems = self.health.problems();
        let state = self.state();
        let down = state.captures.iter().filter(|(_, interface)| !interface.is_up);
        problems.extend(down.map(|(name, _)| format!("interface {name}: down")));
        problems
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    fn to_text(&self) -> String {
        let state = self.state();
        let mut page = Page::default();
        page.family("pdns_up", "gauge", "1 while the agent runs");
        page.number("pdns_up", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.health.write(&mut page);
        lines(&mut page, &state.lines);
        if let Some(count) = state.coverage.uncovered() {
            let name = "pdns_log_lines_not_in_pdns_log";
            page.family(name, "gauge", "lines of dns.log left out that may be missing in pdns.log");
            page.number(name, &[], count);
        }
        kernel(&mut page, &state.captures);
        let captures = state.captures.iter();
        let mut tallies: Vec<(&str, &PacketTally)> =
            captures.map(|(name, interface)| (name.as_str(), &interface.tally)).collect();
        if state.files != PacketTally::default() {
            tallies.push(("files", &state.files));
        }
        packets(&mut page, &tallies);
        page.into_text()
    }
}

fn lines(page: &mut Page, tally: &Tally) {
    if tally.lines == 0 {
        return;
    }
    let name = "pdns_log_lines_total";
    page.family(name, "counter", "lines of logs, by what became of them");
    for (kind, count) in [
        ("counted", tally.counted),
        ("directive", tally.directives),
        ("blank", tally.blank),
        ("other_record", tally.other_records),
    ] {
        page.number(name, &[("result", kind), ("reason", "")], count);
    }
    for (filter, &count) in &tally.filtered {
        page.number(name, &[("result", "left_out"), ("reason", filter.label())], count);
    }
    for (rejection, &count) in &tally.rejected {
        page.number(name, &[("result", "rejected"), ("reason", rejection.label())], count);
    }
    let name = "pdns_log_observations_total";
    page.family(name, "counter", "observations made of lines");
    page.number(name, &[("kind", "record")], tally.records);
    page.number(name, &[("kind", "negative")], tally.negatives);
    let name = "pdns_log_answers_omitted_total";
    page.family(name, "counter", "answers in lines that were left out, by reason");
    for (omission, &count) in &tally.omitted {
        page.number(name, &[("reason", omission.label())], count);
    }
}

/// Counters of the kernel, by interface.
fn kernel(page: &mut Page, captures: &BTreeMap<String, Interface>) {
    if captures.is_empty() {
        return;
    }
    let all = || {
        captures.iter().filter_map(|(name, interface)| {
            let labels = [("interface", name.as_str()), ("sensor", interface.sensor.as_str())];
            Some((labels, interface, interface.tally.capture?))
        })
    };
    page.family("pdns_capture_up", "gauge", "whether the interface is up");
    for (labels, interface, _) in all() {
        page.number("pdns_capture_up", &labels, u64::from(interface.is_up));
    }
    for (kind, number, help) in KERNEL {
        let name = format!("pdns_capture_packets_{kind}_total");
        page.family(&name, "counter", help);
        for (labels, _, counters) in all() {
            page.number(&name, &labels, number(&counters));
        }
    }
    let name = "pdns_capture_packets_waiting";
    page.family(name, "gauge", "packets in the ring buffer");
    for (labels, interface, _) in all() {
        page.number(name, &labels, interface.tally.in_ring());
    }
    let name = "pdns_capture_interface_dropped_total";
    page.family(
        name,
        "counter",
        "packets that the interface dropped; some may have been seen before",
    );
    for (labels, _, counters) in all() {
        page.number(name, &labels, counters.interface_dropped);
    }
}

/// A counter of the kernel: its name, how to get it, and its help text.
type KernelNumber = (&'static str, fn(&CaptureCounters) -> u64, &'static str);

const KERNEL: [KernelNumber; 6] = [
    ("seen", |counters| counters.seen, "packets that the interface showed"),
    ("refused", |counters| counters.seen.saturating_sub(counters.dns), "packets that carry no DNS"),
    ("dns", |counters| counters.dns, "packets that may carry DNS: copied or lost"),
    ("copied", |counters| counters.copied, "packets that were handed to the agent"),
    ("truncated", |counters| counters.truncated, "packets that were handed over in part"),
    ("lost", |counters| counters.lost, "packets that found no room in the ring buffer"),
];

/// Counters of the decoders, by interface, or for all capture files.
fn packets(page: &mut Page, tallies: &[(&str, &PacketTally)]) {
    if tallies.is_empty() {
        return;
    }
    let name = "pdns_packets_total";
    page.family(name, "counter", "packets handed to the decoder, by what became of them");
    for (source, tally) in tallies {
        for (result, reason, count) in tally.packet_endings() {
            page.number(name, &[("source", source), ("result", result), ("reason", reason)], count);
        }
    }
    let name = "pdns_packets_held";
    page.family(name, "gauge", "packets that wait for the rest of a datagram or stream");
    for (source, tally) in tallies {
        page.number(name, &[("source", source)], tally.packets.held);
    }
    let name = "pdns_messages_total";
    page.family(name, "counter", "DNS messages, by what became of them");
    for (source, tally) in tallies {
        for (result, reason, count) in tally.message_endings() {
            page.number(name, &[("source", source), ("result", result), ("reason", reason)], count);
        }
    }
    let name = "pdns_observations_total";
    page.family(name, "counter", "observations made of messages");
    for (source, tally) in tallies {
        page.number(name, &[("source", source), ("kind", "record")], tally.messages.records);
        page.number(name, &[("source", source), ("kind", "negative")], tally.messages.negatives);
    }
    let name = "pdns_answers_omitted_total";
    page.family(name, "counter", "records and outcomes in messages that were left out, by reason");
    for (source, tally) in tallies {
        for (reason, &count) in &tally.messages.omitted {
            page.number(name, &[("source", source), ("reason", reason.label())], count);
        }
    }
    let name = "pdns_messages_unsolicited_total";
    page.family(name, "counter", "responses that nobody was seen to ask for");
    for (source, tally) in tallies {
        page.number(name, &[("source", source)], tally.messages.unsolicited);
    }
    let name = "pdns_messages_waiting";
    page.family(name, "gauge", "responses that wait for their query");
    for (source, tally) in tallies {
        page.number(name, &[("source", source)], tally.messages.waiting);
    }
    let name = "pdns_messages_hurried_total";
    page.family(
        name,
        "counter",
        "responses that could not wait for their query, as too many waited",
    );
    for (source, tally) in tallies {
        page.number(name, &[("source", source)], tally.messages.hurried);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::zeek;
    use crate::store::StoreError;
    use std::sync::Arc;

    #[test]
    fn lines_that_may_be_missing_in_pdns_log_are_a_gauge() {
        let metrics = Metrics::default();
        let read = |line: &[u8]| {
            let mut decoder = zeek::Decoder::default();
            decoder.line(line, &mut |_| {}).unwrap();
            metrics.coverage(&decoder.take_coverage());
            let text = metrics.to_text();
            text.lines()
                .find_map(|line| line.strip_prefix("pdns_log_lines_not_in_pdns_log ")?.parse().ok())
        };
        let dns: &[u8] =
            br#"{"ts":7.0,"id.resp_p":53,"query":"a.example","qtype":1,"rcode":3,"pdns":true}"#;
        let pdns = |at: u32| {
            format!(
                r#"{{"ts":{at}.5,"rrname":"a.example","rrclass":1,"rrtype":1,"outcome":"NXDOMAIN"}}"#
            )
        };
        assert_eq!(read(dns), None::<u64>);
        assert_eq!(read(pdns(6).as_bytes()), Some(1));
        assert_eq!(read(dns), Some(2));
        assert_eq!(read(pdns(7).as_bytes()), Some(0));
    }

    #[test]
    fn labels_are_escaped_and_problems_told() {
        let metrics = Metrics::default();
        let sensor = "a\"b\\c\nd".to_owned();
        let is_up = false;
        let capture =
            CaptureCounters { seen: 9, dns: 5, copied: 3, lost: 2, ..CaptureCounters::default() };
        let tally = PacketTally { capture: Some(capture), ..PacketTally::default() };
        metrics.interface("eth0", Interface { sensor, is_up, tally });
        assert_eq!(metrics.problems(), ["store: not reached yet", "interface eth0: down"]);
        assert!(metrics.to_text().contains("pdns_store_up 0\n"));
        let connection = metrics.health.enter(&Arc::default());
        metrics.health.opened(connection);
        let text = metrics.to_text();
        assert!(text.contains("pdns_capture_packets_refused_total{interface=\"eth0\",sensor=\"a\\\"b\\\\c\\nd\"} 4\n"), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("pdns_")));
        assert_eq!(metrics.problems(), ["interface eth0: down"]);
        metrics.health.failed(connection, &StoreError::Full, true);
        assert_eq!(metrics.problems().len(), 2);
        metrics.health.succeeded(connection);
        assert!(metrics.to_text().contains("pdns_store_up 1\n"));
    }
}
