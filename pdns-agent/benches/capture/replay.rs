//! How many packets per second go in without loss: the same replay for the agent, which decodes and stores them,
//! and for two programs that write them to a file.

use crate::inside;
use crate::network::{Network, Sent};
use crate::programs::{Outcome, Program, Which};
use crate::report::Report;
use crate::server::Server;
use crate::traffic::{Shape, Traffic};
use std::path::Path;

/// Exchanges in the capture, each a query and a response.
const EXCHANGES: u32 = 500_000;
/// How long a replay lasts at least.
const LASTS: f64 = 8.0;
/// How often a rate is tried before it counts as too high: other work on the machine can spoil a try.
const TRIES: u32 = 2;
/// The lowest rate that is tried, and how often the span of rates is halved.
const LOWEST: f64 = 50_000.0;
const HALVINGS: u32 = 5;
/// Part of a rate that the sender has to reach for the try to count as one at that rate.
const REACHED: f64 = 0.97;

const PROGRAMS: [Program; 6] = [
    Program { kind: Which::Agent, buffer: None },
    Program { kind: Which::Dnscap, buffer: None },
    Program { kind: Which::Dumpcap, buffer: None },
    Program { kind: Which::Agent, buffer: Some(64) },
    Program { kind: Which::Dnscap, buffer: Some(64) },
    Program { kind: Which::Dumpcap, buffer: Some(64) },
];

/// What is known of one program.
struct Search {
    program: Program,
    /// Highest rate that was sent and lost nothing, and what it took; lowest rate that lost something.
    best: Option<(f64, Outcome)>,
    bad: f64,
}

/// Where the measuring happens.
struct Place<'a> {
    network: Network,
    server: &'a Server,
    folder: &'a Path,
    capture: &'a Path,
    packets: u64,
    /// Observations of records from one pass of the capture.
    sightings: u64,
}

/// Measures both kinds of traffic.
pub(crate) fn measure(report: &mut Report, folder: &Path) {
    let server = Server::start(folder);
    for (what, shape) in [
        ("each answer 20 times", Shape::Repeated),
        ("12 records, each response 20 times", Shape::Mixed),
    ] {
        of_shape(report, &server, folder, what, shape);
    }
}

fn of_shape(report: &mut Report, server: &Server, folder: &Path, what: &str, shape: Shape) {
    let capture = folder.join("replay.pcap");
    let traffic = Traffic::new(shape, EXCHANGES);
    traffic.write(&capture).expect("the capture can be written");
    let mut sightings = 0;
    inside::records(&traffic, &mut |_| sightings += 1);
    let packets = traffic.len() as u64;
    drop(traffic);
    let (network, capture) = (Network::new(), &*capture);
    let place = Place { network, server, folder, capture, packets, sightings };
    let most = place.send(None, 1.0e6).0.per_second();
    report.rate(&format!("{what}: packets that the sender sends with nobody looking"), most);
    let mut searches = PROGRAMS.map(|program| Search { program, best: None, bad: most });
    // In turns, so that whatever else the machine does meets all of them alike.
    for search in &mut searches {
        search.attempt(&place, None, most);
    }
    for _ in 0..HALVINGS {
        for search in &mut searches {
            search.halve(&place);
        }
    }
    for search in &searches {
        let label = format!("{what}: {}", search.program.name());
        match &search.best {
            Some((rate, outcome)) => {
                let end = if search.bad > *rate { "" } else { ", the sender's limit" };
                report.rate(&format!("{label}: packets without loss{end}"), *rate);
                let (own, store) = outcome.spent;
                report.times(&format!("{label}: processor time, own and the store's"), own, store);
            }
            None => report.rate(&format!("{label}: packets without loss"), 0.0),
        }
    }
    let [ours, dnscap, dumpcap, ours_64, dnscap_64, dumpcap_64] =
        searches.map(|search| search.rate());
    for (buffer, ours, dnscap, dumpcap) in
        [("own buffers", ours, dnscap, dumpcap), ("64 MiB", ours_64, dnscap_64, dumpcap_64)]
    {
        report.number(&format!("{what}: {buffer}: ours to dnscap's"), ours / dnscap);
        report.number(&format!("{what}: {buffer}: ours to dumpcap's"), ours / dumpcap);
    }
}

impl Place<'_> {
    /// Sends at a rate, or as fast as possible, which is about `expected`; and how many sightings that brings.
    fn send(&self, rate: Option<f64>, expected: f64) -> (Sent, u64) {
        let mut times = 1;
        while (times * self.packets) as f64 / rate.unwrap_or(expected) < LASTS {
            times += 1;
        }
        let sent = self.network.replay(self.capture, times, rate);
        assert_eq!(sent.packets, times * self.packets, "all are sent");
        (sent, times * self.sightings)
    }
}

impl Search {
    fn rate(&self) -> f64 {
        self.best.as_ref().map_or(0.0, |(rate, _)| *rate)
    }

    /// Tries a rate between the best and the first bad one.
    fn halve(&mut self, place: &Place<'_>) {
        let low = self.rate().max(LOWEST);
        if self.bad / low > 1.02 {
            self.attempt(place, Some((low * self.bad).sqrt()), self.bad);
        }
    }

    fn attempt(&mut self, place: &Place<'_>, rate: Option<f64>, expected: f64) {
        for _ in 0..TRIES {
            let sent = std::cell::Cell::new(None);
            let outcome = self.program.capture(&place.network, place.server, place.folder, &|| {
                let (now, sightings) = place.send(rate, expected);
                sent.set(Some(now));
                (now.packets, sightings)
            });
            let Some(sent) = sent.get() else { return };
            let reached = sent.per_second();
            let name = self.program.name();
            let lost = outcome.lost;
            eprintln!("{name}: {reached:.0}/s for {:.1} s, {lost} lost", sent.time.as_secs_f64());
            assert!(lost > 0 || outcome.is_stored, "sightings are missing, and no loss is told");
            if lost == 0 {
                if reached > self.rate() {
                    self.best = Some((reached, outcome));
                }
                // As fast as it can, or slower than it was told to: there is no faster.
                if rate.is_none_or(|rate| reached < rate * REACHED) {
                    self.bad = reached;
                }
                return;
            }
        }
        self.bad = rate.unwrap_or(expected);
    }
}
