//! Captures that can be read only once: standard input, and named pipes.
//!
//! `tcpdump -w - | pdns-agent pcap -` is a live capture through another program, so it uses the same pipeline
//! as one. It has its own reader thread, because a pipe without new data must not prevent earlier data from
//! being stored.

use super::packet_pipeline::{EachPacket, PacketSource};
use crate::causes::with_causes;
use crate::source::{CaptureCounters, CaptureFile, Condition, Frame, PcapError, Step};
use crate::time::Timestamp;
use pdns_ebpf_common::Start;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread;
use std::time::Duration;

/// Maximum number of packets delivered at once; fewer if they arrive slowly.
const MOST: usize = 256;
/// Minimum number of bytes delivered at once if enough are available.
const OCTETS: usize = 256 * 1024;
/// Maximum number of waiting batches.
const WAITING: usize = 8;

/// A batch of packets.
#[derive(Default)]
struct Packets {
    octets: Vec<u8>,
    /// Time, start, end in `octets`, and original length of each packet.
    ends: Vec<(Timestamp, Start, usize, u32)>,
    /// Number of packets so far with an unknown link type.
    refused: u64,
}

/// A capture that another thread reads.
pub(super) struct Pipe {
    packets: Receiver<Result<Packets, PcapError>>,
    waiting: VecDeque<Packets>,
    /// Next packet and next octet in the first of these batches.
    next: (usize, usize),
    is_closed: Arc<AtomicBool>,
    is_over: bool,
    has_failed: bool,
    /// Its path, if it turned out not to be a capture.
    foreign: Option<String>,
    refused: u64,
}

impl Pipe {
    /// Starts opening and reading it; the first bytes may take a long time to arrive.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        let (sender, packets) = sync_channel(WAITING);
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&is_closed);
        let path = path.to_owned();
        thread::Builder::new().name("pipe".to_owned()).spawn(move || {
            match CaptureFile::open(&path) {
                Ok(file) => read(file, &sender, &closed),
                Err(error) => drop(sender.send(Err(error))),
            }
        })?;
        Ok(Self {
            packets,
            waiting: VecDeque::new(),
            next: (0, 0),
            is_closed,
            is_over: false,
            has_failed: false,
            foreign: None,
            refused: 0,
        })
    }

    fn take(&mut self, packets: Result<Packets, PcapError>) {
        match packets {
            Ok(packets) => {
                self.refused = packets.refused;
                self.waiting.push_back(packets);
            }
            Err(PcapError::NotACapture { file }) => self.foreign = Some(file),
            Err(error) => {
                self.has_failed = true;
                tracing::warn!("{}", with_causes(&error));
            }
        }
    }
}

/// Reads packets and delivers them: at once while the receiver keeps up, otherwise many at a time.
fn read(
    mut file: CaptureFile,
    sender: &SyncSender<Result<Packets, PcapError>>,
    is_closed: &AtomicBool,
) {
    let mut some = Packets::default();
    while !is_closed.load(Ordering::Relaxed) {
        match file.next() {
            Ok(Some(Step::Packet(frame, _))) => {
                some.octets.extend_from_slice(frame.octets);
                some.ends.push((frame.at, frame.start, some.octets.len(), frame.length));
            }
            // The number of refused packets is passed on nevertheless.
            Ok(Some(Step::Nothing)) => {}
            Ok(None) => break,
            Err(error) => {
                // Packets before an error are valid.
                if sender.send(Ok(std::mem::take(&mut some))).is_ok() {
                    drop(sender.send(Err(error)));
                }
                return;
            }
        }
        some.refused = file.refused();
        let is_full = some.ends.len() >= MOST || some.octets.len() >= OCTETS;
        let packets = Ok(std::mem::take(&mut some));
        let sent = if is_full {
            sender.send(packets).map_err(|_| ())
        } else {
            match sender.try_send(packets) {
                Err(TrySendError::Full(packets)) => {
                    some = packets.unwrap_or_default();
                    Ok(())
                }
                Err(TrySendError::Disconnected(_)) => Err(()),
                Ok(()) => Ok(()),
            }
        };
        if sent.is_err() {
            return;
        }
    }
    some.refused = file.refused();
    drop(sender.send(Ok(some)));
}

impl PacketSource for Pipe {
    fn drain(&mut self, most: usize, each: &mut EachPacket<'_>) -> usize {
        let mut taken = 0;
        while taken < most {
            let Some(some) = self.waiting.front() else {
                match self.packets.try_recv() {
                    Ok(packets) => self.take(packets),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.is_over = true;
                        break;
                    }
                }
                continue;
            };
            let (packet, begin) = self.next;
            let Some(&(at, start, end, length)) = some.ends.get(packet) else {
                self.waiting.pop_front();
                self.next = (0, 0);
                continue;
            };
            self.next = (packet + 1, end);
            taken += 1;
            let octets = some.octets.get(begin..end).unwrap_or_default();
            if each(Frame { at, start, octets, length }).is_break() {
                break;
            }
        }
        taken
    }

    fn clock(&self) -> Option<Timestamp> {
        // Packets from a pipe may be years old.
        None
    }

    fn wait(&mut self, time: Duration) {
        match self.packets.recv_timeout(time) {
            Ok(packets) => self.take(packets),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.is_over = true,
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn foreign(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    fn is_over(&self) -> bool {
        self.is_over && self.waiting.is_empty()
    }

    fn close(&mut self) {
        // The reader notices with the next packet; until then it is blocked in a read that cannot be
        // interrupted.
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn follow(&mut self) -> Condition {
        Condition::Up
    }

    fn counters(&self) -> Option<CaptureCounters> {
        None
    }
}
