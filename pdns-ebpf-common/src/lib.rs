//! Types and rules that the socket filter in the kernel and the agent in user space share.
//!
//! [`decide`] says whether a packet may carry DNS and where its headers are. It is one pure function: the
//! kernel runs it on each packet of an interface, the agent runs it again on what the kernel let through and
//! on the packets of capture files, and tests and a fuzzer run it on the host. [`Header`] is what the kernel
//! puts before each packet that it hands over, [`Counter`] what it counts.
//!
//! No dependencies, no `std`, no panic, no loop without a constant bound: the kernel's verifier reads it too.

#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the kernel has one program: nothing in it may be a call"
)]

#[cfg(test)]
extern crate std;

mod decide;
mod event;
mod glance;
mod headers;
mod packet;
mod ports;
mod tunnel;

#[cfg(test)]
mod tests;

pub use decide::{Decision, Found, Fragment, Protocol, Start, decide, decide_at};
pub use event::{CLASSES, COUNTERS, Counter, HEADER, Header, SLOTS, TICK, TIME, UNWOKEN};
pub use glance::{GLANCE, GLANCE_AT, GLANCE_V6, GLANCE_V6_AT, Glance, glance, glance_v6};
pub use headers::{MPLS, PPPOE, TAGS};
pub use packet::{Link, Packet};
pub use ports::{DNS_PORTS, PORT_BYTES, PORT_WORDS, PortSet, Ports};
