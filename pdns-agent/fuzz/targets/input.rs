//! Input of the fuzzer, read as packets with times, logs or threat intelligence; and written, for seeds made of captures.
//!
//! One packet is its length (2 octets), the time since the one before in units of 1/64 s (1 octet), then its
//! octets. A broken end is left out.

use pdns_agent::decode::packets::{PacketDecoder, PacketOptions, PacketTally};
use pdns_agent::decode::{Line, log};
use pdns_agent::exchange::intel::{self, IntelFormat, IntelItem, IntelOptions};
use pdns_agent::observation::Observation;
use pdns_agent::source::Frame;
use pdns_agent::time::Timestamp;
use pdns_ebpf_common::Start;
use std::ops::ControlFlow;
use std::time::Duration;

/// Ports that are DNS to the targets: the usual one, and those of multicast.
pub const PORTS: [u16; 3] = [53, 5353, 5355];

/// When a capture begins.
const BEGIN: i64 = 1_700_000_000_000_000;
/// Microseconds of one unit of time.
const UNIT: i64 = 1_000_000 / 64;

/// Appends one packet.
pub fn write(input: &mut Vec<u8>, since: Duration, octets: &[u8]) {
    let Ok(length) = u16::try_from(octets.len()) else { return };
    let units = u8::try_from(since.as_micros() / 15_625).unwrap_or(u8::MAX);
    input.extend(length.to_be_bytes());
    input.push(units);
    input.extend(octets);
}

/// The packets in an input: time, octets.
pub fn read(mut input: &[u8]) -> impl Iterator<Item = (Timestamp, &[u8])> {
    let mut at = BEGIN;
    std::iter::from_fn(move || {
        let (&[high, low, units], rest) = input.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (octets, rest) = rest.split_at(length);
        input = rest;
        at += i64::from(units) * UNIT;
        Some((Timestamp::from_micros(at), octets))
    })
}

/// Runs a decoder over packets and holds it to what it promises.
pub fn run<'a>(packets: impl Iterator<Item = (Timestamp, &'a [u8])>, start: Start) -> PacketTally {
    let options = PacketOptions {
        ports: PORTS.to_vec(),
        timeout: Duration::from_secs(10),
        drop_unsolicited: false,
    };
    let mut decoder = PacketDecoder::new(&options);
    let mut emitted = 0;
    for (at, octets) in packets {
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        decoder.frame(&Frame { at, start, octets, length }, &mut |observation| {
            emitted += 1;
            check(&observation);
        });
        balance(&decoder.tally());
    }
    decoder.finish(&mut |observation| {
        emitted += 1;
        check(&observation);
    });
    let tally = decoder.tally();
    balance(&tally);
    assert_eq!(tally.waiting(), 0, "nothing waits after the end");
    assert_eq!(tally.messages.records + tally.messages.negatives, emitted);
    tally
}

/// Runs a decoder over the lines of a log and holds it to its promises.
pub fn read_log(format: log::Format, input: &[u8]) {
    let lines = || input.split(|&octet| octet == b'\n');
    let mut decoder = log::LogDecoder::new(format);
    let (mut emitted, mut count) = (0, 0);
    for line in lines() {
        let before = emitted;
        let ending = decoder.line(line, &mut |observed| {
            emitted += 1;
            assert!(observed.rrname.as_str().is_ascii());
        });
        count += 1;
        assert!(ending == Ok(Line::Counted) || emitted == before);
    }
    let tally = decoder.tally();
    assert_eq!((tally.lines, tally.endings()), (count, count));
    assert_eq!(tally.records + tally.negatives, emitted);
    let records = tally.records;
    // Resuming reads lines without counting them, behind others and at the beginning.
    let mut resumed = log::LogDecoder::new(format);
    for line in lines() {
        decoder.skim(line);
        resumed.skim(line);
    }
    assert_eq!(decoder.tally().records, records);
    assert_eq!(resumed.tally().records, 0);
}

/// Reads threat intelligence and holds the reader to its promises.
pub fn read_intel(format: IntelFormat, mut input: &[u8]) {
    let options = IntelOptions { format: Some(format), url_hosts: true, ..IntelOptions::default() };
    let (mut items, mut problems) = (0, 0);
    let result = intel::read_intel(&mut input, &options, &mut |item| {
        items += 1;
        if let IntelItem::Problem(problem) = item {
            problems += 1;
            let text = problem.text;
            assert!(
                text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()),
                "{text:?}"
            );
        }
        ControlFlow::Continue(())
    });
    if let Ok(summary) = result {
        let skipped = summary.skipped.values().sum::<u64>();
        assert_eq!(summary.problems, problems);
        assert_eq!(summary.indicators + summary.revoked + skipped + problems, items);
    }
}

/// A JSON string of these characters.
#[must_use]
pub fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_ascii_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Every packet went somewhere.
fn balance(tally: &PacketTally) {
    let sum = tally.refused() + tally.decoded() + tally.rejected() + tally.lost() + tally.waiting();
    assert_eq!(tally.seen(), sum, "{tally:?}");
}

/// Whatever was on the wire, what is shown is printable.
pub fn check(observation: &Observation<'_>) {
    use pdns_agent::observation::Fact;
    use pdns_agent::rdata::FinalDot;
    let name = observation.rrname.as_str();
    assert!(name.bytes().all(|octet| octet.is_ascii_graphic()), "{name:?}");
    assert!(observation.ttl.is_none_or(|ttl| ttl < 1 << 31));
    if let Fact::Record(rdata) = observation.fact {
        let text = rdata.to_text(FinalDot::With);
        assert!(text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{text:?}");
        let _ = rdata.target();
    }
}
