//! Invariant: each line is read exactly once, whatever happens to the file and whenever the reader dies.

use super::{HEADER, gzip, hasher};
use crate::source::{Log, LogId, LogNames, Progress, Scan, SourceError, Stat};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tempfile::TempDir;

/// One action of the writer, an operator or the reader.
#[derive(Clone, Debug)]
enum Act {
    /// The writer appends this many bytes.
    Grow(usize),
    /// The writer completes its line, then the file is renamed, and a new one starts with the next write.
    Rename,
    /// The same, but while the writer is within a line, which it never completes.
    Crash,
    /// An older, renamed file is gzipped.
    Gzip,
    /// The file is copied at the end of a line and truncated to zero.
    CopyTruncate,
    /// A second name, or a second file, with the same content.
    Twin { link: bool },
    /// The reader polls.
    Poll { budget: usize },
    /// The reader closes its logs and opens them again.
    Close,
    /// The reader dies and restarts with nothing but the positions.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1usize..400).prop_map(Act::Grow),
        1 => Just(Act::Rename),
        1 => Just(Act::Crash),
        2 => Just(Act::Gzip),
        1 => Just(Act::CopyTruncate),
        1 => any::<bool>().prop_map(|link| Act::Twin { link }),
        6 => (1usize..600).prop_map(|budget| Act::Poll { budget }),
        2 => Just(Act::Close),
        1 => Just(Act::Restart),
    ]
}

/// Model of Zeek's files: numbered records after a header.
struct Writer {
    dir: PathBuf,
    next_record: u64,
    next_name: u64,
    /// Rest of the current record, not yet written.
    unwritten: Vec<u8>,
    /// Old files not yet gzipped.
    renamed: Vec<PathBuf>,
    /// A truncated record was left in a file; a reader cannot tell by whom.
    torn: Vec<u64>,
}

impl Writer {
    fn live(&self) -> PathBuf {
        self.dir.join("dns.log")
    }

    fn is_fresh(&self) -> bool {
        fs::metadata(self.live()).map_or(0, |metadata| metadata.len()) == 0
    }

    fn begin_record(&mut self) {
        let record = self.next_record;
        self.next_record += 1;
        if self.is_fresh() {
            self.unwritten.extend_from_slice(HEADER.as_bytes());
        }
        let fill = "x".repeat(usize::try_from(record * 37 % 90).unwrap());
        self.unwritten.extend_from_slice(format!("{record}\tC{record}{fill}\n").as_bytes());
    }

    fn grow(&mut self, mut octets: usize) {
        while octets > 0 {
            if self.unwritten.is_empty() {
                self.begin_record();
            }
            let now = self.unwritten.len().min(octets);
            let part: Vec<u8> = self.unwritten.drain(..now).collect();
            super::append(&self.live(), &part);
            octets -= now;
        }
    }

    fn finish_line(&mut self) {
        self.grow(self.unwritten.len());
    }

    fn name(&mut self, suffix: &str) -> PathBuf {
        self.next_name += 1;
        self.dir.join(format!("dns.{:03}{suffix}", self.next_name))
    }

    fn act(&mut self, act: &Act) {
        let live = self.live();
        match act {
            Act::Grow(octets) => self.grow(*octets),
            Act::Rename | Act::Crash => {
                if matches!(act, Act::Rename) {
                    self.finish_line();
                } else if !self.unwritten.is_empty() {
                    self.unwritten.clear();
                    self.torn.push(self.next_record - 1);
                }
                if live.exists() {
                    let old = self.name(".log");
                    fs::rename(&live, &old).unwrap();
                    self.renamed.push(old);
                }
            }
            Act::Gzip => {
                if let Some(old) = self.renamed.pop() {
                    let packed = PathBuf::from(format!("{}.gz", old.display()));
                    fs::write(packed, gzip(&fs::read(&old).unwrap())).unwrap();
                    fs::remove_file(old).unwrap();
                }
            }
            Act::CopyTruncate => {
                self.finish_line();
                if live.exists() {
                    let copy = self.name(".log");
                    fs::copy(&live, copy).unwrap();
                    fs::File::create(&live).unwrap();
                }
            }
            Act::Twin { link } => {
                if live.exists() {
                    let twin = self.name(".log");
                    if *link {
                        fs::hard_link(&live, twin).unwrap();
                    } else {
                        fs::copy(&live, twin).unwrap();
                    }
                }
            }
            Act::Poll { .. } | Act::Close | Act::Restart => {}
        }
    }
}

/// Model of the agent's positions; the store is a map that outlives it.
struct Reader {
    scan: Scan,
    logs: Vec<Log>,
    positions: HashMap<LogId, u64>,
    /// Number of deliveries of each record.
    records: BTreeMap<u64, u32>,
    skimmed: bool,
}

impl Reader {
    fn new(dir: &Path) -> Self {
        let scan = Scan::new(&[dir.to_owned()], LogNames::Zeek).unwrap();
        let (logs, positions) = (Vec::new(), HashMap::new());
        Self { scan, logs, positions, records: BTreeMap::new(), skimmed: true }
    }

    fn restart(&mut self, dir: &Path) {
        self.scan = Scan::new(&[dir.to_owned()], LogNames::Zeek).unwrap();
        self.logs.clear();
    }

    /// Closes plain logs whose paths still refer to them, and reopens them: as the scheduler does, but
    /// without delay.
    fn close(&mut self) {
        for log in std::mem::take(&mut self.logs) {
            if log.is_packed()
                || !Stat::at(log.path()).is_some_and(|now| now.is_same_file(&log.stat()))
                || self.positions.get(&log.id()) != Some(&log.offset())
            {
                self.logs.push(log);
                continue;
            }
            let path = log.path().to_owned();
            match log.close().reopen(&path) {
                Ok(log) => self.logs.push(log),
                // It was truncated and has grown since.
                Err(SourceError::Rewritten { .. }) => self.scan.forget(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn poll(&mut self, budget: usize) {
        for found in self.scan.changed() {
            let is_open = |log: &Log| log.stat().is_same_file(&found.stat);
            if self.logs.iter().any(is_open) {
                continue;
            }
            if let Some(log) = Log::open(&found.path, &hasher()).unwrap() {
                self.logs.push(log);
            }
        }
        let mut gone: Vec<Stat> = Vec::new();
        for log in &mut self.logs {
            if !read(log, budget, &mut self.positions, &mut self.records, &mut self.skimmed) {
                gone.push(log.stat());
            }
        }
        for stat in gone {
            self.logs.retain(|log| !log.stat().is_same_file(&stat));
            self.scan.forget();
        }
    }
}

/// One turn with one log; false if it must be reopened.
fn read(
    log: &mut Log,
    budget: usize,
    positions: &mut HashMap<LogId, u64>,
    records: &mut BTreeMap<u64, u32>,
    skimmed: &mut bool,
) -> bool {
    let at = positions.get(&log.id()).copied().unwrap_or(0);
    let from_start = log.offset() == 0 && at > HEADER.len() as u64;
    let mut headers = 0;
    if log.resume(at, &mut |_| headers += 1).is_err() {
        return false;
    }
    if from_start {
        *skimmed &= headers == HEADER.lines().count();
    }
    let mut end = at;
    let progress = log.read(budget, &mut |line, offset| {
        if !line.starts_with(b"#") {
            let number = std::str::from_utf8(line).unwrap().split('\t').next().unwrap();
            *records.entry(number.parse().unwrap()).or_default() += 1;
        }
        end = offset;
    });
    assert_eq!(end, log.offset());
    positions.insert(log.id(), end);
    progress.unwrap() != Progress::Truncated
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn each_line_once(acts in prop::collection::vec(act(), 1..60)) {
        let dir = TempDir::new().unwrap();
        let mut writer = Writer {
            dir: dir.path().to_owned(),
            next_record: 0,
            next_name: 0,
            unwritten: Vec::new(),
            renamed: Vec::new(),
            torn: Vec::new(),
        };
        let mut reader = Reader::new(dir.path());
        for act in &acts {
            match act {
                Act::Poll { budget } => reader.poll(*budget),
                Act::Close => reader.close(),
                Act::Restart => reader.restart(dir.path()),
                act => writer.act(act),
            }
        }
        writer.finish_line();
        // The reader finishes its open files; then a new one finds the rest.
        for _ in 0..3 {
            reader.poll(usize::MAX);
        }
        reader.restart(dir.path());
        for _ in 0..3 {
            reader.poll(usize::MAX);
        }
        let want: BTreeMap<u64, u32> = (0..writer.next_record)
            .filter(|record| !writer.torn.contains(record))
            .map(|record| (record, 1))
            .collect();
        prop_assert_eq!(&reader.records, &want);
        prop_assert!(reader.skimmed);
    }
}

#[test]
fn an_open_log_is_read_to_its_end_though_renamed_and_removed() {
    let dir = TempDir::new().unwrap();
    let live = dir.path().join("dns.log");
    fs::write(&live, "1\ta\n2\tb\n").unwrap();
    let mut log = super::open(&live);
    let mut writer = fs::OpenOptions::new().append(true).open(&live).unwrap();
    fs::rename(&live, dir.path().join("old")).unwrap();
    fs::write(&live, "3\tc\n").unwrap();
    fs::remove_file(dir.path().join("old")).unwrap();
    writer.write_all(b"2.5\tbb\n").unwrap();
    let (lines, end) = super::lines(&mut log);
    assert_eq!(lines, ["1\ta", "2\tb", "2.5\tbb"]);
    assert_eq!(end.unwrap(), Progress::AtEnd);
}

#[test]
fn a_log_keeps_its_identity_wherever_it_goes() {
    let dir = TempDir::new().unwrap();
    let (live, archived) = (dir.path().join("dns.log"), dir.path().join("a.gz"));
    let text = format!("{HEADER}1.5\tC1\n2.5\tC2\n");
    fs::write(&live, &text).unwrap();
    fs::write(&archived, gzip(text.as_bytes())).unwrap();
    let (mut plain, mut packed) = (super::open(&live), super::open(&archived));
    assert!(packed.is_packed() && !plain.is_packed());
    assert_eq!(plain.id(), packed.id());
    assert_eq!(plain.id().to_string().len(), 32);
    super::append(&live, b"3.5\tC3\n");
    let copy = dir.path().join("copy");
    fs::copy(&archived, &copy).unwrap();
    super::append(&copy, &gzip(b"3.5\tC3\n"));
    assert_eq!(super::open(&copy).id(), packed.id());
    assert_eq!(super::open(&live).id(), plain.id());
    let _read = super::lines(&mut plain);
    packed.resume(plain.offset() - 7, &mut |_| ()).unwrap();
    assert!(packed.resume(plain.offset(), &mut |_| ()).is_err());
    fs::write(&live, format!("{HEADER}1.5\tC2\n")).unwrap();
    assert_ne!(super::open(&live).id(), packed.id());
}

/// Truncates one file to zero and refills it, faster than any poll; each line names the life of the file in
/// which it was written.
fn rewrite(path: &Path, lives: u32, done: &AtomicBool) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    for life in 0..lives {
        file.set_len(0).unwrap();
        file.write_all(HEADER.as_bytes()).unwrap();
        for block in 0..life % 7 {
            let records: Vec<String> =
                (0..300).map(|line| format!("{life}\t{block}.{line}\n")).collect();
            file.write_all(records.concat().as_bytes()).unwrap();
        }
    }
    done.store(true, Ordering::Release);
}

#[test]
fn no_log_is_mixed_with_the_next_while_both_sides_race() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    fs::write(&path, "").unwrap();
    let done = AtomicBool::new(false);
    let mut lives_met = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| rewrite(&path, 6000, &done));
        while !done.load(Ordering::Acquire) {
            let Some(mut log) = Log::open(&path, &hasher()).unwrap() else { continue };
            let mut handed: Vec<String> = Vec::new();
            for budget in [1, 50, 2000, 5000, 100_000] {
                let mut each =
                    |line: &[u8], _| handed.push(String::from_utf8(line.to_vec()).unwrap());
                if log.read(budget, &mut each).unwrap() == Progress::Truncated {
                    break;
                }
            }
            let mut records = handed.iter().filter(|line| !line.starts_with('#'));
            let Some(first) = records.next() else { continue };
            let life = first.split('\t').next().unwrap();
            assert_eq!(first, &format!("{life}\t0.0"));
            for (number, line) in (1..).zip(records) {
                assert_eq!(line, &format!("{life}\t{}.{}", number / 300, number % 300));
            }
            lives_met += 1;
        }
    });
    assert!(lives_met > 10, "{lives_met}");
}

#[test]
fn a_packed_log_is_known_as_such_though_it_was_empty_a_moment_ago() {
    let dir = TempDir::new().unwrap();
    let packed = gzip(format!("{HEADER}1.5\tC1\n").as_bytes());
    let path = |life: u32| dir.path().join(format!("dns.{life}.log.gz"));
    let (looked, mut known) = (AtomicU32::new(0), HashSet::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for life in 0..2_000 {
                let mut file = fs::File::create(path(life)).unwrap();
                // While the other side looks at it again and again.
                while looked.load(Ordering::Acquire) <= life {
                    std::hint::spin_loop();
                }
                // In pieces now and then.
                for piece in packed.chunks(if life % 2 == 0 { packed.len() } else { 5 }) {
                    file.write_all(piece).unwrap();
                }
            }
        });
        for life in 0..2_000 {
            let log = loop {
                match Log::open(&path(life), &hasher()) {
                    Ok(Some(log)) => break log,
                    Ok(None) => looked.store(life + 1, Ordering::Release),
                    // Not yet there, or not yet whole.
                    Err(_) => {}
                }
            };
            assert!(log.is_packed(), "life {life}: read as plain text");
            known.insert(log.id());
        }
    });
    assert_eq!(known.len(), 1);
}
