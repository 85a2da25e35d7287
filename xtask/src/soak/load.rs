//! Load of a soak: packets, lines of logs that are rotated, look-ups and pages.

use super::measure::Requests;
use super::programs::{Program, Site, get};
use crate::sample::model::{Model, Space, mix};
use crate::sample::row::{self, Format};
use crate::sample::{Args, for_each_row};
use crate::shell::{root, said};
use anyhow::{Context as _, anyhow, bail};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Folders of the two logs, and their formats.
pub(super) const LOGS: [(&str, Format); 2] = [("first", Format::Tsv), ("second", Format::Json)];
/// Packets per second, and in one capture.
pub(super) const PACKETS: u64 = 2_000;
const CAPTURE: u64 = 20_000;
/// Lines per second in each log.
pub(super) const LINES: u64 = 1_000;
/// Interval of rotation.
pub(super) const ROTATION: Duration = Duration::from_secs(30);
/// Rotated logs of a folder that are kept.
const KEPT: usize = 10;
/// Names that come again and again.
const NAMES: u64 = 50_000;
/// One line in so many is about a name that never came before.
const NEW: u64 = 20;
/// Pieces of a log that are written in a second.
const PIECES: u64 = 20;
/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(50);

/// A sort of request: name, path before the name, path after it, and the limit of the 99th percentile.
type Sort = (&'static str, &'static str, &'static str, Duration);

/// Sorts of requests. Two processors do everything at once here, so the limits are wider than those of the benchmarks.
const SORTS: [Sort; 3] = [
    ("look-up (CIRCL)", "/pdns/query/", "", Duration::from_millis(50)),
    ("look-up (DNSDB)", "/dnsdb/v2/lookup/rrset/name/", "", Duration::from_millis(50)),
    ("page", "/context/", "", Duration::from_millis(250)),
];

/// Number of what was sent.
#[derive(Clone, Copy, Default)]
pub(super) struct Sent {
    pub(super) packets: u64,
    /// Lines, with those that begin with `#`.
    pub(super) lines: u64,
    pub(super) records: u64,
    pub(super) rotations: u64,
}

/// Threads that send.
pub(super) struct Load {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<Sent>>>,
}

impl Load {
    /// Starts them.
    pub(super) fn start(site: &Site) -> anyhow::Result<Self> {
        let capture = site.path("capture.pcap");
        let script = root().join("pdns-agent/tests/reference/million.py");
        said(Command::new("python3").arg(script).arg(&capture).arg(CAPTURE.to_string()))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let mut threads = vec![thread::spawn(move || {
            let mut sent = Sent::default();
            while !over.load(Ordering::Relaxed) {
                sent.packets += Site::replay(&capture, PACKETS)?;
            }
            Ok(sent)
        })];
        for (number, (log, format)) in LOGS.into_iter().enumerate() {
            let over = Arc::clone(&is_over);
            let log = Log { folder: site.path(log), format };
            let seed = number as u64 * 1_000_000;
            threads.push(thread::spawn(move || log.write(seed, &over)));
        }
        Ok(Self { is_over, threads })
    }

    /// Fails if a thread ended before its time.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.threads.iter().any(JoinHandle::is_finished) {
            bail!("packets or lines could not be sent; the log of the run says more");
        }
        Ok(())
    }

    /// Ends them; returns the number of what was sent.
    pub(super) fn end(self) -> anyhow::Result<Sent> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for thread in self.threads {
            let sent = thread.join().map_err(|_| anyhow!("a thread of the load panicked"))??;
            all.packets += sent.packets;
            all.lines += sent.lines;
            all.records += sent.records;
            all.rotations += sent.rotations;
        }
        Ok(all)
    }
}

/// A log that is written and rotated as Zeek does it.
struct Log {
    folder: PathBuf,
    format: Format,
}

impl Log {
    /// Writes until the end.
    fn write(&self, seed: u64, is_over: &AtomicBool) -> anyhow::Result<Sent> {
        let mut sent = Sent::default();
        let mut kept = VecDeque::new();
        let live = self.folder.join("dns.log");
        while !is_over.load(Ordering::Relaxed) {
            sent.rotations += 1;
            self.write_one(&live, seed + sent.rotations, &mut sent, is_over)?;
            let old = self.folder.join(format!("dns.{:06}.log", sent.rotations));
            fs::rename(&live, &old).with_context(|| format!("cannot rename {}", live.display()))?;
            kept.push_back(old);
            if kept.len() > KEPT
                && let Some(oldest) = kept.pop_front()
            {
                fs::remove_file(&oldest)
                    .with_context(|| format!("cannot remove {}", oldest.display()))?;
            }
        }
        Ok(sent)
    }

    /// Writes one log, in pieces, at its pace.
    fn write_one(
        &self,
        path: &Path,
        seed: u64,
        sent: &mut Sent,
        is_over: &AtomicBool,
    ) -> anyhow::Result<()> {
        let rows = LINES * ROTATION.as_secs();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let span = u32::try_from(ROTATION.as_secs())?;
        let args =
            Args { negative: 10, start: u32::try_from(now)?, span, ..Args::for_bench(rows, NAMES) };
        // Each seed has other names.
        let mut new = Vec::new();
        let others = Args { rows: rows / NEW, names: rows / NEW, seed: seed + 2, ..args.clone() };
        for_each_row(&others, |row| {
            let mut line = Vec::new();
            row::write(self.format, row, &mut line);
            new.push(line);
            anyhow::Ok(())
        })?;
        let mut new = new.into_iter();
        let mut file =
            File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let (begun, mut piece, mut number) = (Instant::now(), Vec::new(), 0);
        row::begin(self.format, &mut piece);
        let written = for_each_row(&Args { seed: 1, ..args }, |row| {
            number += 1;
            match new.next().filter(|_| number % NEW == 0) {
                Some(line) => piece.extend_from_slice(&line),
                None => row::write(self.format, row, &mut piece),
            }
            sent.records += 1;
            if number % (LINES / PIECES) == 0 {
                sent.lines += lines(&piece);
                file.write_all(&piece).map_err(Ended::Failed)?;
                piece.clear();
                let due = Duration::from_millis(number * 1000 / LINES);
                thread::sleep(due.saturating_sub(begun.elapsed()));
                if is_over.load(Ordering::Relaxed) {
                    return Err(Ended::Over);
                }
            }
            Ok(())
        });
        if let Err(Ended::Failed(error)) = written {
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        piece.clear();
        row::end(self.format, &mut piece);
        sent.lines += lines(&piece);
        file.write_all(&piece).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Reason why a log is not written to its end.
enum Ended {
    Over,
    Failed(std::io::Error),
}

fn lines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Clients of the server, one for each sort of request.
pub(super) struct Clients {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    requests: Vec<Arc<Mutex<Requests>>>,
}

impl Clients {
    /// Requests per second of all clients at most.
    pub(super) fn rate() -> usize {
        let pause = usize::try_from(PAUSE.as_millis()).unwrap_or(1);
        SORTS.len() * 1000 / pause
    }

    /// Starts them.
    pub(super) fn start(serve: &Program) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut threads, mut requests) = (Vec::new(), Vec::new());
        for (number, (name, before, after, limit)) in SORTS.into_iter().enumerate() {
            let of = Arc::new(Mutex::new(Requests::new(name, limit)));
            requests.push(Arc::clone(&of));
            let (over, socket) = (Arc::clone(&is_over), serve.socket.clone());
            threads.push(thread::spawn(move || {
                let model = Model { seed: mix(1), names: NAMES, space: Space::Spread };
                let mut turn = number as u64;
                while !over.load(Ordering::Relaxed) {
                    turn += 1;
                    let mut name = Vec::new();
                    model.name(mix(turn) % NAMES, &mut name);
                    let path = format!("{before}{}{after}", String::from_utf8_lossy(&name));
                    let begun = Instant::now();
                    let reply = get(&socket, &path);
                    let time = begun.elapsed();
                    if let Ok(mut of) = of.lock() {
                        of.add(time, &path, reply.map(|(status, _)| status));
                    }
                    thread::sleep(PAUSE);
                }
            }));
        }
        Self { is_over, threads, requests }
    }

    /// Ends them; returns their requests.
    pub(super) fn end(self) -> Vec<Requests> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            drop(thread.join());
        }
        let taken = |of: Arc<Mutex<Requests>>| Arc::into_inner(of)?.into_inner().ok();
        self.requests.into_iter().filter_map(taken).collect()
    }
}
