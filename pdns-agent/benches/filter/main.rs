//! Measures what the socket filter costs in the kernel: `cargo xtask bench filter`.
//!
//! The kernel itself takes the time of each run of a program. Beside ours runs what it makes of the classic
//! filter that libpcap compiles for `port 53`, on the same packets in the same run, in two ways (see [`Load`]),
//! and a program that does nothing: what that takes is the kernel's clock, and is subtracted from the others. Each
//! program sees a pair of interfaces of its own; rounds take turns, and the median of all rounds counts.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a program that prints times of counts far below 2^53"
)]

mod classic;
mod kernel;
#[path = "../../tests/capture/network.rs"]
mod network;
#[allow(dead_code, reason = "what other measurements need of it is more")]
#[path = "../ingest/report.rs"]
mod report;
mod traffic;

use classic::{EXIT, Load, is_that_of_tcpdump, translate};
use kernel::{Instruction, Place};
use network::Sender;
use pdns_agent::source::capture::{Capture, CaptureOptions};
use report::Table;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How often all packets are shown to all programs.
const ROUNDS: usize = 60;
/// Packets of one kind for one program in a round: less than the ring buffer has room for.
const PACKETS: usize = 4000;
/// As large as the agent makes it by itself.
const RING: usize = 16 << 20;
/// The targets.
const MOST_OF_CLASSIC: f64 = 1.2;
const MOST_FOR_DNS: f64 = 150.0;

/// A program under measurement.
struct Subject {
    name: &'static str,
    /// Counts and times it.
    program: RawFd,
    sender: Sender,
    /// Nanoseconds a packet, by kind and then round.
    times: Vec<Vec<f64>>,
    /// What keeps it running.
    _open: Vec<OwnedFd>,
}

fn main() {
    if !std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        println!("skipping the measurements of the filter: they need root");
        return;
    }
    match is_that_of_tcpdump() {
        Some(true) => println!("the classic filter is that of the tcpdump here\n"),
        Some(false) => println!("the tcpdump here makes another classic filter\n"),
        None => println!("there is no tcpdump here to check the classic filter against\n"),
    }
    network::enter();
    network::stay_on_one_processor();
    let statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime);
    let _statistics = statistics.expect("Linux 5.8 counts and times programs");

    network::pair("ours");
    let options = CaptureOptions {
        interface: "ours".to_owned(),
        ports: pdns_ebpf_common::DNS_PORTS,
        ring: RING,
        promiscuous: false,
    };
    let mut capture = Capture::open(&options).expect("root may capture");
    let ours = *kernel::open_programs().first().expect("the capture has a program");
    let mut subjects = vec![
        Subject::new("nothing", Place::Socket, &[Instruction::new(0xb7, 0, 0, 0, 0), EXIT]),
        Subject::of("ours", ours, Vec::new()),
        Subject::new("direct", Place::Ingress, &translate(Load::Direct)),
        Subject::new("calls", Place::Socket, &translate(Load::Call)),
        Subject::new("nothing-tc", Place::Ingress, &[Instruction::new(0xb7, 0, 0, 0, -1), EXIT]),
    ];
    let kinds = traffic::kinds();
    for _ in 0..ROUNDS {
        for (number, kind) in kinds.iter().enumerate() {
            for subject in &mut subjects {
                subject.show(number, &kind.frame);
            }
            let mut copied = 0;
            capture.drain(usize::MAX, &mut |_| {
                copied += 1;
                ControlFlow::Continue(())
            });
            assert_eq!(copied, if kind.is_dns { PACKETS } else { 0 }, "{}", kind.name);
        }
    }
    assert_eq!(capture.counters().lost, 0, "the ring buffer was too small");
    report(&kinds, &subjects);
}

impl Subject {
    fn new(name: &'static str, place: Place, program: &[Instruction]) -> Self {
        network::pair(name);
        let program =
            kernel::load(place, program).unwrap_or_else(|error| panic!("{name}: {error}"));
        let interface = network::index(name);
        let running = match place {
            Place::Socket => kernel::listen(&program, interface),
            Place::Ingress => kernel::attach(&program, interface),
        };
        let running = running.unwrap_or_else(|error| panic!("{name}: {error}"));
        Self::of(name, program.as_raw_fd(), vec![program, running])
    }

    fn of(name: &'static str, program: RawFd, open: Vec<OwnedFd>) -> Self {
        let sender = Sender::open(&format!("{name}-out"));
        let times = traffic::kinds().iter().map(|_| Vec::new()).collect();
        Self { name, program, sender, times, _open: open }
    }

    /// Shows it packets of a kind.
    fn show(&mut self, kind: usize, frame: &[u8]) {
        let (count, time) = kernel::ran(self.program);
        for _ in 0..PACKETS {
            self.sender.send(frame);
        }
        let (count_after, time_after) = kernel::ran(self.program);
        let runs = count_after - count;
        assert_eq!(runs, PACKETS as u64, "{} did not see all", self.name);
        let times = self.times.get_mut(kind).expect("one for each kind");
        times.push((time_after - time) as f64 / runs as f64);
    }

    /// The median over all rounds of what a packet of a kind takes more than with another program.
    fn beyond(&self, other: &Self, kind: usize) -> f64 {
        let of = |subject: &Self| subject.times.get(kind).cloned().unwrap_or_default();
        let mut times: Vec<f64> =
            of(self).iter().zip(of(other)).map(|(own, other)| own - other).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// The table, and a sentence for each target.
fn report(kinds: &[traffic::Kind], subjects: &[Subject]) {
    let [nothing, ours, direct, calls, nothing_tc] = subjects else { unreachable!("five of them") };
    let mut table = Table::new(&[
        "nanoseconds a packet",
        "ours",
        "classic",
        "ratio",
        "classic with calls",
        "ratio",
    ]);
    let (mut sums, mut worst, mut dearest) = ([0.0; 3], 0.0_f64, 0.0_f64);
    let clock = nothing.times.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    for (number, kind) in kinds.iter().enumerate() {
        let our = ours.beyond(nothing, number);
        let classic = direct.beyond(nothing_tc, number);
        let called = calls.beyond(nothing, number);
        table.line(&[
            kind.name,
            &format!("{our:.1}"),
            &format!("{classic:.1}"),
            &format!("{:.2}", our / classic),
            &format!("{called:.1}"),
            &format!("{:.2}", our / called),
        ]);
        if kind.is_dns {
            dearest = dearest.max(our);
        } else {
            worst = worst.max(our / classic);
            for (sum, value) in sums.iter_mut().zip([our, classic, called]) {
                *sum += value;
            }
        }
    }
    if let Some(folder) = std::env::var_os("PDNS_BENCH") {
        table.write(&Path::new(&folder).join("filter.tsv"));
    }
    let [our, classic, called] = sums;
    println!("\nthe kernel's clock, which is subtracted: {clock:.1} ns at least");
    for (what, ratio) in [("", our / classic), (" with calls", our / called)] {
        println!(
            "no DNS, all kinds alike: {ratio:.2} times the classic filter{what}; at most {MOST_OF_CLASSIC}: {}",
            verdict(ratio <= MOST_OF_CLASSIC)
        );
    }
    println!("no DNS, the worst kind: {worst:.2} times the classic filter");
    println!(
        "DNS, copy included: {dearest:.0} ns at most; below {MOST_FOR_DNS}: {}",
        verdict(dearest < MOST_FOR_DNS)
    );
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}
