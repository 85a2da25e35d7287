//! The live source on its own, against the kernel: packets sent into one end of a pair of interfaces, what
//! [`Capture`](pdns_agent::source::capture::Capture) hands over at the other, and what it counts.
//!
//! Each test has a network of its own, which ends with it. Needs root. What the agent makes of the packets is
//! tested in `tests/it/live.rs`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, as in tests")]

mod interface;
mod kinds;
mod loss;
mod network;
mod offload;
mod packets;
#[path = "../support/mod.rs"]
mod support;
mod tunnel;
mod verdicts;

use pdns_agent::source::capture::{Capture, CaptureOptions};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;

/// Room for some thousand of the smallest packets, or some ten of the largest.
const RING: usize = 1 << 20;

/// Runs a test on a thread of its own, in a network of its own; without root, one line says that it does not.
fn isolated(test: &str, body: impl FnOnce() + Send + 'static) {
    if !std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        return support::skip(test, "needs root");
    }
    let thread = std::thread::spawn(|| {
        network::enter();
        network::stay_on_one_processor();
        body();
    });
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// Captures DNS on an interface.
fn capture(name: &str) -> Capture {
    open(name, RING)
}

/// The same with a ring buffer of this size.
fn open(name: &str, ring: usize) -> Capture {
    let interface = name.to_owned();
    Capture::open(&CaptureOptions { interface, ports: &[53], ring, promiscuous: true }).unwrap()
}

/// All packets that are there, as octets.
fn taken(capture: &mut Capture) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    capture.drain(usize::MAX, &mut |frame| {
        assert_eq!(usize::try_from(frame.length).unwrap(), frame.octets.len(), "cut");
        packets.push(frame.octets.to_vec());
        ControlFlow::Continue(())
    });
    packets
}
