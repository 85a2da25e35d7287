//! Interfaces: packets as they come, into the store until the agent is told to stop.
//!
//! Opens all of them, gives up what it took to do so, and starts a lane for each.

use super::lane::{self, Each, Lane, Tap};
use super::metrics::Metrics;
use super::report::PacketReport;
use super::{AgentError, Interfaces, Settings, Stop};
use crate::decode::packets::Decoder;
use crate::source::{Capture, CaptureCounters, CaptureOptions, Condition, drop_privileges};
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Begins to capture on all interfaces, and gives up the capabilities that this took. They are a thread's own, so
/// this has to come before others are started.
pub(super) fn open(interfaces: &Interfaces) -> Result<Vec<Capture>, AgentError> {
    let mut captures = Vec::new();
    for (interface, _) in &interfaces.interfaces {
        let options = CaptureOptions {
            interface: interface.clone(),
            ports: &interfaces.packets.ports,
            ring: interfaces.ring,
            promiscuous: interfaces.promiscuous,
        };
        captures.push(Capture::open(&options)?);
    }
    drop_privileges()?;
    Ok(captures)
}

/// Captures on all interfaces until `stop`.
pub(super) fn run(
    settings: &Settings,
    interfaces: &Interfaces,
    captures: Vec<Capture>,
    stop: &Stop,
    metrics: &Arc<Metrics>,
) -> Result<PacketReport, AgentError> {
    let means = lane::means(stop, metrics);
    let room = settings.memory / captures.len().max(1);
    let mut threads = Vec::new();
    for (tap, (interface, sensor)) in captures.into_iter().zip(&interfaces.interfaces) {
        threads.push(lane::start(Lane {
            tap,
            name: interface.clone(),
            path: format!("ebpf:{interface}"),
            sensor: sensor.clone(),
            condition: Condition::Up,
            decoder: Decoder::new(&interfaces.packets),
            settings: settings.clone(),
            room,
            means: means.clone(),
        })?);
    }
    lane::join(threads)
}

impl Tap for Capture {
    fn drain(&mut self, most: usize, each: &mut Each<'_>) -> usize {
        Self::drain(self, most, each)
    }

    fn clock(&self) -> Option<Timestamp> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(now.as_micros()).ok().map(Timestamp::from_micros)
    }

    fn wait(&mut self, time: Duration) {
        Self::wait(self, time);
    }

    fn is_over(&self) -> bool {
        // An interface that is gone may come back.
        false
    }

    fn close(&mut self) {
        Self::close(self);
    }

    fn follow(&mut self) -> Condition {
        Self::follow(self)
    }

    fn counters(&self) -> Option<CaptureCounters> {
        Some(Self::counters(self))
    }
}
