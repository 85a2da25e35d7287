//! Made-up `dns.log` files, always the same for the same seed, and what Zeek does to such files.
//!
//! Names are in domains kept for such use (RFC 2606), addresses in private ranges (RFC 1918, RFC 3849).

use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const FIELDS: &str = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\trtt\
    \tquery\tqclass\tqclass_name\tqtype\tqtype_name\trcode\trcode_name\tAA\tTC\tRD\tRA\tZ\tanswers\tTTLs\
    \trejected";

/// Seconds since the epoch of the first line.
const START: u64 = 1_700_000_000;

/// The seed of a test: always the same, unless `PDNS_TEST_SEED` has it be another one.
pub(crate) fn seed(usual: u64) -> u64 {
    match std::env::var("PDNS_TEST_SEED") {
        Ok(number) => usual + 1000 * number.parse::<u64>().expect("PDNS_TEST_SEED is a number"),
        Err(_) => usual,
    }
}

/// One line after the other, in the order of time.
pub(crate) struct Lines {
    random: fastrand::Rng,
    names: u32,
    number: u64,
}

impl Lines {
    /// Lines about `names` names and their neighbours, among which some come far more often than others.
    pub(crate) fn new(seed: u64, names: u32) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), names, number: 0 }
    }

    /// A header as a new log has it.
    pub(crate) fn header(&self) -> String {
        format!(
            "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n\
             #open\t{}\n{FIELDS}\n",
            self.number
        )
    }

    /// The next line, with its newline.
    pub(crate) fn line(&mut self) -> String {
        self.number += 1;
        let random = &mut self.random;
        // The lesser of two throws: low numbers come more often.
        let name = random.u32(..self.names).min(random.u32(..self.names));
        let [_, b, c, d] = name.to_be_bytes();
        let site = format!("h{name}.d{}.example", name % 97);
        let host = random.u8(1..4);
        let ttl = random.u32(1..4) * 60;
        let (qtype, rcode, answers) = match random.u8(..20) {
            0 => (1, "3", String::new()),
            1 => (28, "0", String::new()),
            2 => (1, "-", String::new()),
            3 => (28, "0", format!("2001:db8:{:x}::{host:x}", name % 50)),
            4 => (15, "0", format!("mx{host}.{site}")),
            5 => (16, "0", format!("TXT 6 v=spf{host}")),
            // A chain of two aliases, as content networks make them, before a shared address.
            6..=9 => (
                1,
                "0",
                format!("{site}.cdn.example.net,pop{host}.cdn.example.net,10.255.0.{host}"),
            ),
            10 => (1, "0", format!("10.{b}.{c}.{d},172.16.{c}.{d}")),
            _ => (1, "0", format!("10.{b}.{c}.{d}")),
        };
        let answered = !answers.is_empty();
        let ttls = vec![format!("{ttl}.000000"); answers.split(',').count()].join(",");
        let (answers, ttls) = if answered { (answers, ttls) } else { ("-".into(), "-".into()) };
        let rtt = if rcode == "-" { "-" } else { "0.002" };
        let at = START + self.number / 50;
        let mut line = String::new();
        writeln!(
            line,
            "{at}.{:06}\tC{:016x}\t192.0.2.1\t40000\t192.0.2.53\t53\tudp\t{}\t{rtt}\t{site}\t1\tC_INTERNET\
             \t{qtype}\t-\t{rcode}\t-\tF\tF\tT\tT\t0\t{answers}\t{ttls}\tF",
            self.number % 50 * 20_000,
            random.u64(..),
            self.number % 65_536,
        )
        .expect("a String takes any text");
        line
    }

    /// A whole log of so many lines.
    pub(crate) fn log(&mut self, lines: usize) -> String {
        let mut log = self.header();
        for _ in 0..lines {
            log.push_str(&self.line());
        }
        log
    }
}

/// Octets as `gzip` packs them.
pub(crate) fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).expect("a Vec takes any octets");
    encoder.finish().expect("a Vec takes any octets")
}

/// Adds to the end of a file, which need not be there.
pub(crate) fn append(path: &Path, octets: &[u8]) {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the folder is there and ours");
    file.write_all(octets).expect("the disk has room");
}

/// How a log is put away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// Renamed, then packed into the folder of its day, then deleted, as zeekctl does it.
    RenameAndGzip,
    /// Copied, then cut to nothing, as logrotate's `copytruncate` does it.
    CopyTruncate,
}

/// What a log says.
enum Text {
    /// Lines without end.
    Made(Lines),
    /// A header, and lines until there are no more.
    Given(String, VecDeque<String>),
}

impl Text {
    fn header(&self) -> String {
        match self {
            Self::Made(lines) => lines.header(),
            Self::Given(header, _) => header.clone(),
        }
    }

    fn line(&mut self) -> Option<String> {
        match self {
            Self::Made(lines) => Some(lines.line()),
            Self::Given(_, lines) => lines.pop_front(),
        }
    }
}

/// A Zeek that writes a log into a folder, in pieces that know nothing of lines.
pub(crate) struct Zeek {
    folder: PathBuf,
    /// `dns` or `pdns`.
    log: &'static str,
    rotation: Rotation,
    lines: Text,
    random: fastrand::Rng,
    /// What of the current line is still to be written.
    unwritten: String,
    /// Lines of the current log.
    length: usize,
    /// Logs that were put away.
    rotated: u32,
    /// The current log as it will be when its last line is whole.
    current: String,
    /// Every log put away, as it was.
    written: Vec<String>,
}

impl Zeek {
    /// Begins a `dns.log` of made-up lines in `folder`.
    pub(crate) fn new(folder: &Path, rotation: Rotation, seed: u64, names: u32) -> Self {
        Self::of(folder, "dns", rotation, seed, Text::Made(Lines::new(seed, names)))
    }

    /// Begins a log of that name which says what another one says.
    pub(crate) fn again(
        folder: &Path,
        log: &'static str,
        rotation: Rotation,
        seed: u64,
        text: &str,
    ) -> Self {
        let (header, lines): (Vec<&str>, Vec<&str>) =
            text.split_inclusive('\n').partition(|line| line.starts_with('#'));
        let header: Vec<&str> =
            header.into_iter().filter(|line| !line.starts_with("#close")).collect();
        let lines = lines.into_iter().map(str::to_owned).collect();
        Self::of(folder, log, rotation, seed, Text::Given(header.concat(), lines))
    }

    fn of(folder: &Path, log: &'static str, rotation: Rotation, seed: u64, lines: Text) -> Self {
        fs::create_dir_all(folder).expect("the home is ours");
        Self {
            folder: folder.to_owned(),
            log,
            rotation,
            lines,
            random: fastrand::Rng::with_seed(!seed),
            unwritten: String::new(),
            length: 0,
            rotated: 0,
            current: String::new(),
            written: Vec::new(),
        }
    }

    fn live(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.log))
    }

    /// Writes up to `octets` octets.
    pub(crate) fn write(&mut self, octets: usize) {
        let mut piece = String::new();
        while piece.len() < octets {
            if self.unwritten.is_empty() {
                let Some(line) = self.lines.line() else { break };
                if self.current.is_empty() {
                    self.unwritten = self.lines.header();
                }
                self.unwritten.push_str(&line);
                self.current.push_str(&self.unwritten);
                self.length += 1;
            }
            let now = self.unwritten.len().min(octets - piece.len());
            piece.extend(self.unwritten.drain(..now));
        }
        if !piece.is_empty() {
            append(&self.live(), piece.as_bytes());
        }
    }

    /// Writes a piece of any size, and now and then puts the log away.
    pub(crate) fn go_on(&mut self) {
        let octets = self.random.usize(1..700);
        self.write(octets);
        if self.length > 400 && self.random.u8(..) < 2 {
            self.rotate();
        }
    }

    /// Whether there is nothing left to write.
    pub(crate) fn is_over(&self) -> bool {
        let is_out = matches!(&self.lines, Text::Given(_, lines) if lines.is_empty());
        is_out && self.unwritten.is_empty()
    }

    /// Makes the last line whole.
    pub(crate) fn finish_line(&mut self) {
        if !self.unwritten.is_empty() {
            append(&self.live(), std::mem::take(&mut self.unwritten).as_bytes());
        }
    }

    /// Puts the log away.
    pub(crate) fn rotate(&mut self) {
        self.finish_line();
        self.rotated += 1;
        let (live, number) = (self.live(), self.rotated);
        let old = self.folder.join(format!("{}.{number:04}.log", self.log));
        match self.rotation {
            Rotation::RenameAndGzip => {
                fs::rename(&live, &old).expect("the log is there");
                let day = self.folder.join(format!("day-{}", number / 8));
                fs::create_dir_all(&day).expect("the folder is ours");
                // Into its place bit by bit, as the shell's `gzip < old > new` does it.
                let packed = gzip(self.current.as_bytes());
                let new = day.join(format!("{}.{number:04}.log.gz", self.log));
                for piece in packed.chunks(packed.len() / 3 + 1) {
                    append(&new, piece);
                }
                fs::remove_file(&old).expect("the log is there");
            }
            Rotation::CopyTruncate => {
                for piece in self.current.as_bytes().chunks(self.current.len() / 3 + 1) {
                    append(&old, piece);
                }
                fs::File::create(&live).expect("the log is there");
            }
        }
        self.written.push(std::mem::take(&mut self.current));
        self.length = 0;
    }

    /// How many logs were put away.
    pub(crate) fn rotated(&self) -> u32 {
        self.rotated
    }

    /// Octets of all logs, the lines that are not yet whole among them.
    pub(crate) fn octets(&self) -> u64 {
        let octets = self.written.iter().map(String::len).sum::<usize>() + self.current.len();
        octets as u64
    }

    /// Writes all that was written into another folder, each log a file.
    pub(crate) fn copy_to(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("the home is ours");
        for (number, log) in self.written.iter().chain([&self.current]).enumerate() {
            fs::write(folder.join(format!("{}.{number:04}.log", self.log)), log)
                .expect("the folder is ours");
        }
    }
}
