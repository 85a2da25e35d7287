//! An agent that follows Suricata's hourly files and is killed again and again: each record is counted once.

use super::{imported, suricata};
use crate::agent::{Agent, catches_up};
use crate::corpus::{assert_alike, stored};
use crate::logs::{append, gzip, seed};
use crate::redis::Redis;
use crate::reference::octets;
use crate::run::Home;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Longest life of an agent that is killed: some lives are too short to do anything.
const LIFE: Duration = Duration::from_millis(700);
/// How long Suricata rests between two pieces.
const REST: Duration = Duration::from_millis(2);
/// Events of an hour.
const HOUR: u32 = 300;

/// A made-up event as Security Onion has Suricata write it, at a second of its own, with its newline.
pub(crate) fn event(random: &mut fastrand::Rng, at: u32) -> String {
    // The lesser of two throws: low numbers come more often.
    let name = random.u32(..500).min(random.u32(..500));
    let (host, ttl) = (random.u8(1..4), random.u32(1..4) * 60);
    let soa = format!(
        r#","authorities":[{{"rrname":"d{name}.example","rrtype":"SOA","ttl":{ttl},"soa":{{"mname":"ns.d{name}.example","rname":"root.d{name}.example","serial":1,"refresh":2,"retry":3,"expire":4,"minimum":5}}}}]"#
    );
    let (rcode, rest) = match random.u8(..8) {
        0 => (3, soa),
        1 => (0, soa),
        2 => (2, String::new()),
        3 => {
            (0, format!(r#","grouped":{{"CNAME":["w.cdn.example.net"],"A":["10.255.0.{host}"]}}"#))
        }
        _ => (0, format!(r#","grouped":{{"A":["10.1.{}.{host}"]}}"#, name % 200)),
    };
    let word = ["NOERROR", "", "SERVFAIL", "NXDOMAIN"][rcode];
    let (minute, second) = (at / 60 % 60, at % 60);
    format!(
        r#"{{"timestamp":"2026-01-01T{:02}:{minute:02}:{second:02}.{:06}+0000","flow_id":{},"event_type":"dns","src_ip":"192.0.2.1","src_port":40000,"dest_ip":"192.0.2.53","dest_port":53,"proto":"UDP","dns":{{"version":2,"type":"answer","id":1,"flags":"818{rcode}","qr":true,"rd":true,"ra":true,"rrname":"h.d{name}.example","rrtype":"A","rcode":"{word}"{rest}}}}}"#,
        at / 3600 % 24,
        random.u32(..1_000_000),
        random.u64(..),
    ) + "\n"
}

/// A Suricata that writes one file after the other, in pieces that know nothing of lines; files that are done are
/// packed by and by.
struct Suricata {
    folder: PathBuf,
    random: fastrand::Rng,
    events: u32,
    unwritten: String,
    /// Each file, as it will be.
    written: Vec<String>,
}

impl Suricata {
    fn new(folder: &Path, seed: u64) -> Self {
        fs::create_dir_all(folder).unwrap();
        let random = fastrand::Rng::with_seed(seed);
        Self {
            folder: folder.to_owned(),
            random,
            events: 0,
            unwritten: String::new(),
            written: Vec::new(),
        }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("eve-2026-01-01-{:02}:{:02}.json", number / 60, number % 60))
    }

    fn go_on(&mut self) {
        let octets = self.random.usize(1..2_000);
        while self.unwritten.len() < octets {
            if self.events.is_multiple_of(HOUR) {
                self.finish();
                self.turn();
            }
            let event = event(&mut self.random, self.events);
            self.events += 1;
            self.unwritten.push_str(&event);
            self.written.last_mut().unwrap().push_str(&event);
        }
        let piece: String = self.unwritten.drain(..octets).collect();
        append(&self.path(self.written.len() - 1), piece.as_bytes());
    }

    /// Begins a new file; the one before the last is packed.
    fn turn(&mut self) {
        self.written.push(String::new());
        if let Some(old) = self.written.len().checked_sub(3) {
            let path = self.path(old);
            let packed = path.with_extension("json.gz");
            for piece in gzip(self.written[old].as_bytes()).chunks(4_000) {
                append(&packed, piece);
            }
            fs::remove_file(path).unwrap();
        }
    }

    /// Makes the last line whole.
    fn finish(&mut self) {
        if !self.unwritten.is_empty() {
            let rest = std::mem::take(&mut self.unwritten);
            append(&self.path(self.written.len() - 1), rest.as_bytes());
        }
    }
}

#[test]
fn hourly_files_followed_by_an_agent_that_is_killed_are_counted_once() {
    let seed = seed(41);
    let (home, server) = (Home::new(), Redis::start_durable());
    let folder = home.path().join("logs");
    let follow =
        || Agent::start(suricata(&home, &server.url()).args(["--flush", "0.1"]).arg(&folder));
    let writer = Mutex::new(Suricata::new(&folder, seed));
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                writer.lock().unwrap().go_on();
                thread::sleep(REST);
            }
        });
        let mut random = fastrand::Rng::with_seed(seed);
        for kill in 0..20 {
            let code = follow().kill9_after(LIFE.mul_f64(random.f64()));
            if code.is_some() {
                enough.store(true, Ordering::Relaxed);
            }
            assert_eq!(code, None, "seed {seed}: the agent ended by itself before kill {kill}");
        }
        enough.store(true, Ordering::Relaxed);
    });
    let mut writer = writer.into_inner().unwrap();
    writer.finish();
    let total = writer.written.iter().map(|log| log.len() as u64).sum();
    let mut agent = follow();
    catches_up(&mut agent, &server, total);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "seed {seed}: {said}");
    let (records, negatives) = stored(&home, &server.url());
    let (clean, other) = (Home::new(), Redis::start());
    let copies: Vec<PathBuf> = writer
        .written
        .iter()
        .enumerate()
        .map(|(number, log)| clean.write(&format!("eve.{number}.json"), log))
        .collect();
    let copies: Vec<&Path> = copies.iter().map(PathBuf::as_path).collect();
    let (want, want_negatives) = imported(&clean, &other, &copies);
    assert!(
        want.len() > 100 && copies.len() > 2,
        "{} records of {} files",
        want.len(),
        copies.len()
    );
    assert_alike("records", &octets(records), &want);
    assert_alike("negatives", &negatives, &want_negatives);
}
