//! What a response costs in user space: frames in memory, through the decoder into the window.
//!
//! Nanoseconds of the thread's processor time. Decoder and window are those of a capture that has run a while:
//! the memory was used before, and as many questions are open as may be.

use crate::report::Report;
use crate::traffic::{Shape, Traffic};
use pdns_agent::aggregate::{RetryBuffer, Window};
use pdns_agent::decode::packets::{PacketDecoder, PacketOptions};
use pdns_agent::decode::{dns, wire};
use pdns_agent::hash::{Hasher, Router};
use pdns_agent::observation::{Observation, Seen};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// Responses of one kind, and how often each measurement is made; the median counts.
const RESPONSES: u32 = 200_000;
const ROUNDS: usize = 15;
/// Memory of the agent's window and partitions of its store, as they are unless somebody says otherwise.
const MEMORY: usize = 136 << 20;
const PARTITIONS: u16 = 64;
/// Nanoseconds that a response may take.
const TARGET: f64 = 400.0;

/// What is measured, in this order.
const PARTS: [&str; 5] = [
    "query and response",
    "of that the query",
    "finding both messages in their packets, alone",
    "pairing and decoding them, alone",
    "merging the response's records, alone",
];

/// One of the things that are measured.
trait Step {
    /// Makes ready for a round, unmeasured.
    fn prepare(&mut self) {}
    /// What is measured.
    fn run(&mut self, traffic: &Traffic, round: u32);
}

/// Measures all kinds of traffic.
pub(crate) fn measure(report: &mut Report) {
    let new = of_shape(report, "new names", Shape::New, true);
    let repeated = of_shape(report, "each answer 20 times", Shape::Repeated, true);
    report.at_most("a repeated answer's cost to a new one's", repeated / new, 1.0);
    of_shape(report, "12 records, each response 20 times", Shape::Mixed, false);
}

/// Measures one kind of traffic and returns what a response costs, its query not included.
fn of_shape(report: &mut Report, what: &str, shape: Shape, is_judged: bool) -> f64 {
    let pairs = Traffic::new(shape, RESPONSES);
    let queries = pairs.only(true);
    let mut whole = Whole::new();
    let mut only_queries = Whole::new();
    let mut parts: [Box<dyn Step>; 3] = [
        Box::new(Wire(wire::Wire::new(wire::WireOptions::default()))),
        Box::new(Dns::new(&pairs)),
        Box::new(Aggregate::new(&pairs)),
    ];
    let mut times = PARTS.map(|_| Vec::new());
    for round in 0..=ROUNDS {
        let round = u32::try_from(round).unwrap_or(0);
        let [one, two, three] = &mut parts;
        let steps: [(&mut dyn Step, &Traffic); 5] = [
            (&mut whole, &pairs),
            (&mut only_queries, &queries),
            (&mut **one, &pairs),
            (&mut **two, &pairs),
            (&mut **three, &pairs),
        ];
        for ((step, traffic), times) in steps.into_iter().zip(&mut times) {
            let time = timed(step, traffic, round);
            // The first round brings everything into the state it has in a long run.
            if round > 0 {
                times.push(time);
            }
        }
    }
    let mut best = [0.0; 5];
    for (best, times) in best.iter_mut().zip(&times) {
        *best = times.iter().min().map_or(0.0, |time| each(*time));
    }
    let medians = times.map(median);
    for ((part, median), best) in PARTS.into_iter().zip(medians).zip(best) {
        report.nanoseconds(&format!("{what}: {part}"), median, best);
    }
    let [pair, query, ..] = medians;
    let response = pair - query;
    let name = format!("{what}: the response, in ns");
    if is_judged {
        report.at_most(&name, response, TARGET);
    } else {
        report.number(&name, response);
    }
    response
}

fn timed(step: &mut dyn Step, traffic: &Traffic, round: u32) -> Duration {
    step.prepare();
    let before = spent();
    step.run(traffic, round);
    spent().saturating_sub(before)
}

/// Processor time of this thread.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Of a round's time, a response's share in nanoseconds.
fn each(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(RESPONSES)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| each(*time))
}

/// All of it, as the agent does it.
struct Whole {
    decoder: PacketDecoder,
    window: Window,
}

impl Whole {
    fn new() -> Self {
        let (ports, timeout) = (vec![53], dns::DnsOptions::default().timeout);
        let decoder =
            PacketDecoder::new(&PacketOptions { ports, timeout, drop_unsolicited: false });
        Self { decoder, window: window() }
    }
}

impl Step for Whole {
    fn prepare(&mut self) {
        self.window.clear();
    }

    fn run(&mut self, traffic: &Traffic, round: u32) {
        let Self { decoder, window } = self;
        for frame in traffic.frames(round) {
            decoder.frame(&frame, &mut |observation| window.observe(&observation));
        }
        assert!(!self.window.is_full(), "a full window would have gone to the store");
    }
}

fn window() -> Window {
    Window::with_texts(Router::new(Hasher::new(&[7; 16]), PARTITIONS), MEMORY)
}

/// From packets to messages.
struct Wire(wire::Wire);

impl Step for Wire {
    fn run(&mut self, traffic: &Traffic, round: u32) {
        for frame in traffic.frames(round) {
            self.0.frame(&frame, &mut |message| {
                black_box(message);
            });
        }
    }
}

/// From messages to observations.
struct Dns {
    decoder: dns::Decoder,
    /// Of each frame: the flow, and how long the message is that it ends with.
    messages: Vec<(wire::Flow, usize)>,
}

impl Dns {
    fn new(traffic: &Traffic) -> Self {
        let mut messages = Vec::new();
        let mut wire = wire::Wire::new(wire::WireOptions::default());
        for frame in traffic.frames(0) {
            wire.frame(&frame, &mut |message| messages.push((message.flow, message.octets.len())));
        }
        assert_eq!(messages.len(), traffic.len(), "each frame is a message");
        Self { decoder: dns::Decoder::new(dns::DnsOptions::default()), messages }
    }
}

impl Step for Dns {
    fn run(&mut self, traffic: &Traffic, round: u32) {
        for (frame, &(flow, length)) in traffic.frames(round).zip(&self.messages) {
            let octets = frame.octets.get(frame.octets.len() - length..).unwrap_or_default();
            let message = wire::Message { at: frame.at, flow, octets, is_cut: false };
            let ending = self.decoder.message(&message, &mut |observation| {
                black_box(observation);
            });
            assert!(ending.is_ok(), "the messages are whole");
        }
    }
}

/// From observations to sums.
struct Aggregate {
    window: Window,
    observations: RetryBuffer,
}

impl Aggregate {
    fn new(traffic: &Traffic) -> Self {
        let mut observations = RetryBuffer::default();
        records(traffic, &mut |observation| {
            let Observation { rrname, fact, at, ttl, provenance } = observation;
            observations.push(rrname, fact, &Seen::once(at, ttl, provenance));
        });
        Self { window: window(), observations }
    }
}

impl Step for Aggregate {
    fn prepare(&mut self) {
        self.window.clear();
    }

    fn run(&mut self, _: &Traffic, _: u32) {
        for (rrname, fact, seen) in self.observations.iter() {
            self.window.merge(rrname, fact, seen);
        }
    }
}

/// Each sighting of a record that the traffic brings.
pub(crate) fn records(traffic: &Traffic, emit: &mut dyn FnMut(Observation<'_>)) {
    let mut whole = Whole::new();
    for frame in traffic.frames(0) {
        whole.decoder.frame(&frame, emit);
    }
}
