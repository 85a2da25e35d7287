//! Live capture: packets of interfaces, stored until the agent is stopped.
//!
//! Opens all interfaces, drops the privileges needed for that, and starts a pipeline for each.

use super::metrics::Metrics;
use super::packet_pipeline::{self, EachPacket, PacketPipeline, PacketSource};
use super::report::PacketReport;
use super::{AgentError, Interfaces, Settings, Stop};
use crate::decode::packets::PacketDecoder;
use crate::source::{Capture, CaptureCounters, CaptureOptions, Condition, drop_privileges};
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Starts capturing on all interfaces, and drops the capabilities needed for it. They belong to a thread, so
/// this must come before others are started.
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
    let context = packet_pipeline::writer_context(stop, metrics);
    let room = settings.memory / captures.len().max(1);
    let mut threads = Vec::new();
    for (source, (interface, sensor)) in captures.into_iter().zip(&interfaces.interfaces) {
        threads.push(packet_pipeline::start(PacketPipeline {
            source,
            name: interface.clone(),
            path: format!("ebpf:{interface}"),
            sensor: sensor.clone(),
            condition: Condition::Up,
            decoder: PacketDecoder::new(&interfaces.packets),
            settings: settings.clone(),
            room,
            context: context.clone(),
        })?);
    }
    packet_pipeline::join(threads)
}

impl PacketSource for Capture {
    fn drain(&mut self, most: usize, each: &mut EachPacket<'_>) -> usize {
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
