//! Files built byte by byte: both formats, every kind of corruption, every kind of compression.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A packet for comparison in tests: time in microseconds, octets, length, position.
type Taken = (i64, Vec<u8>, u32, u64);

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, octets: &[u8]) -> PathBuf {
        let path = self.0.path().join("capture");
        std::fs::write(&path, octets).unwrap();
        path
    }

    /// All packets of a file, the number refused, and the error without the folder's name.
    fn read(&self, octets: &[u8]) -> (Vec<Taken>, u64, String) {
        let path = self.file(octets);
        let mut file = measured(&path);
        let mut taken: Vec<Taken> = Vec::new();
        let error = loop {
            match file.next() {
                Ok(Some(Step::Packet(frame, position))) => {
                    assert!(taken.last().is_none_or(|last| last.3 < position));
                    assert!(frame.octets.len() <= frame.length as usize);
                    taken.push((frame.at.micros(), frame.octets.to_vec(), frame.length, position));
                }
                Ok(Some(Step::Nothing)) => {}
                Ok(None) => break String::new(),
                Err(error) => {
                    assert!(error.is_of_content(), "{error}");
                    break error.to_string();
                }
            }
        };
        assert!(matches!(file.next(), Ok(None)), "an error is told once");
        let name = path.display().to_string();
        (taken, file.refused(), error.replace(&name, "F"))
    }

    fn digest(&self, octets: &[u8]) -> Digest {
        let mut file = CaptureFile::open(&self.file(octets)).unwrap();
        file.content(&Hasher::new(&[1; 16]), &BTreeSet::new()).unwrap().unwrap().digest
    }

    fn head(&self, octets: &[u8]) -> Option<Digest> {
        CaptureFile::open(&self.file(octets)).unwrap().head(&Hasher::new(&[1; 16])).unwrap()
    }
}

/// Opens a file and measures it, so that it is read up to its current end.
fn measured(path: &Path) -> CaptureFile {
    let mut file = CaptureFile::open(path).unwrap();
    file.content(&Hasher::new(&[1; 16]), &BTreeSet::new()).unwrap().unwrap();
    file
}

#[derive(Clone, Copy)]
struct Writer {
    big: bool,
}

impl Writer {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        if self.big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32s(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|&number| self.u32(number)).collect()
    }

    /// A file header with this magic number and link type.
    fn header(self, magic: u32, link: u32) -> Vec<u8> {
        let version = [self.u16(2), self.u16(4)].concat();
        [self.u32s(&[magic]), version, self.u32s(&[0, 0, 65_535, link])].concat()
    }

    fn record(self, seconds: u32, fraction: u32, octets: &[u8], length: u32) -> Vec<u8> {
        let captured = u32::try_from(octets.len()).unwrap();
        [self.u32s(&[seconds, fraction, captured, length]), octets.to_vec()].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len()).unwrap() + 12;
        [self.u32s(&[kind, length]), body, self.u32s(&[length])].concat()
    }

    fn section(self) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        self.block(blocks::SECTION, &[self.u32s(&[0x1a2b_3c4d]), version, vec![0xff; 8]].concat())
    }

    fn interface(self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [self.u16(link), [0, 0]].concat();
        body.extend(self.u32(snaplen));
        for (code, value) in options {
            body.extend(self.u16(*code));
            body.extend(self.u16(u16::try_from(value.len()).unwrap()));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn enhanced(self, interface: u32, units: u64, octets: &[u8], length: u32) -> Vec<u8> {
        let (high, low) = ((units >> 32) as u32, (units & 0xffff_ffff) as u32);
        let captured = u32::try_from(octets.len()).unwrap();
        let head = self.u32s(&[interface, high, low, captured, length]);
        self.block(6, &[&head, octets].concat())
    }
}

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;

fn small() -> Vec<u8> {
    let writer = Writer { big: false };
    [writer.header(MICROS, 1), writer.record(5, 6, b"one", 3), writer.record(7, 8, b"second", 60)]
        .concat()
}

fn blocks() -> Vec<u8> {
    let (little, big) = (Writer { big: false }, Writer { big: true });
    [
        little.section(),
        little.interface(1, 0, &[(2, b"eth0"), (9, &[9])]),
        little.interface(113, 0, &[]),
        little.block(5, &[0; 40]),
        little.enhanced(0, 5_000_006_999, b"nanos", 5),
        little.enhanced(1, 7_000_008, b"micros", 100),
        // A comment of 300 KiB.
        little.block(0x0bad, &vec![7; 300 * 1024]),
        big.section(),
        big.interface(101, 4, &[(14, &10_i64.to_be_bytes()), (0, &[])]),
        big.enhanced(0, 1, b"", 0),
        big.block(3, &[&big.u32(9)[..], b"simp"].concat()),
        big.block(2, &[big.u32s(&[0, 0, 2, 3, 3]), b"old".to_vec()].concat()),
    ]
    .concat()
}

#[test]
fn classic_files_of_either_order_and_resolution() {
    let folder = Folder::new();
    for big in [false, true] {
        for (magic, fraction) in [(MICROS, 6), (NANOS, 6999)] {
            let writer = Writer { big };
            let file = [
                // The upper half describes frame check sequences.
                writer.header(magic, 0x1400_0001),
                writer.record(5, fraction, b"one", 3),
                writer.record(7, fraction, b"", 60),
            ]
            .concat();
            let (taken, refused, error) = folder.read(&file);
            assert_eq!((refused, error.as_str()), (0, ""));
            let expected = [(5_000_006, b"one".to_vec(), 3, 43), (7_000_006, Vec::new(), 60, 59)];
            assert_eq!(taken, expected);
        }
    }
}

#[test]
fn sections_interfaces_and_all_kinds_of_packet_blocks() {
    let folder = Folder::new();
    let (taken, refused, error) = folder.read(&blocks());
    let packets: Vec<_> =
        taken.iter().map(|(at, octets, length, _)| (*at, octets.as_slice(), *length)).collect();
    let expected: [(i64, &[u8], u32); 5] = [
        (5_000_006, b"nanos", 5),
        (7_000_008, b"micros", 100),
        (10_000_001, b"", 0),
        (10_000_001, b"simp", 9),
        (10_000_002, b"old", 3),
    ];
    assert_eq!((packets.as_slice(), refused, error.as_str()), (&expected[..], 0, ""));
    assert_eq!(taken[4].3, blocks().len() as u64);
}

#[test]
fn packets_of_unknown_link_types_are_counted() {
    let writer = Writer { big: true };
    let file = [writer.header(MICROS, 105), writer.record(1, 1, b"802.11", 6)].concat();
    assert_eq!(Folder::new().read(&file), (Vec::new(), 1, String::new()));
}

#[test]
fn who_reads_is_told_now_and_then_that_there_is_nothing() {
    let writer = Writer { big: false };
    // 600 records without a usable packet: those of an unknown link type, and blocks without packets.
    let unknown = writer.record(1, 1, b"802.11", 6).repeat(600);
    let blocks = writer.block(5, &[0; 40]).repeat(600);
    let forms = [
        ([writer.header(MICROS, 105), unknown].concat(), 600),
        ([writer.section(), blocks].concat(), 0),
    ];
    for (file, refused) in forms {
        let path = Folder::new();
        let mut file = CaptureFile::open(&path.file(&file)).unwrap();
        assert_eq!(file.next().unwrap(), Some(Step::Nothing));
        assert_eq!(file.refused(), if refused > 0 { 256 } else { 0 });
        assert_eq!(file.next().unwrap(), Some(Step::Nothing));
        assert_eq!(file.next().unwrap(), None);
        assert_eq!(file.refused(), refused);
    }
}

/// Yields some bytes, then fails like a disk.
struct Failing(io::Cursor<Vec<u8>>);

impl io::Read for Failing {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::from_raw_os_error(5)),
            got => Ok(got),
        }
    }
}

#[test]
fn a_disk_that_fails_is_told_from_content_that_is_broken() {
    let file = blocks();
    let mut forms = vec![("plain", file.clone()), ("gzip", gzip(&file))];
    for program in ["bzip2", "zstd", "xz", "lz4"] {
        forms.extend(through(program, &file).map(|packed| (program, packed)));
    }
    for (form, octets) in forms {
        for end in [3, 20, octets.len() / 2, octets.len() - 3, octets.len()] {
            let input = Failing(io::Cursor::new(octets[..end].to_vec()));
            let mut file = match CaptureFile::once("F".to_owned(), input) {
                Ok(file) => file,
                Err(error) => {
                    assert!(!error.is_of_content() && end < 6, "{form} {end}: {error}");
                    continue;
                }
            };
            let error = loop {
                match file.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{form} {end}: an error is no end"),
                    Err(error) => break error,
                }
            };
            assert!(!error.is_of_content(), "{form} {end}: {error}");
            let text = error.to_string();
            assert!(text.starts_with("cannot read capture F at byte "), "{form} {end}: {text}");
            let PcapError::Read { cause, .. } = error else { unreachable!("it says so") };
            assert_eq!(cause.raw_os_error(), Some(5), "{form} {end}");
        }
    }
}

#[test]
fn a_broken_file_gives_what_comes_before_and_says_where_it_breaks() {
    let folder = Folder::new();
    let writer = Writer { big: false };
    let check = |octets: &[u8], packets: usize, error: &str| {
        let (taken, _, told) = folder.read(octets);
        assert_eq!((taken.len(), told.as_str()), (packets, error));
    };
    let cut = |at| {
        format!("capture F ends within the record at byte {at}; the packets before it were read")
    };
    let file = small();
    let no_capture = "F is not a capture file: it is neither pcap nor pcapng, plain or compressed with gzip, bzip2, zstd, xz or lz4";
    check(&[], 0, no_capture);
    check(&file[..3], 0, no_capture);
    check(b"#separator \\x09", 0, no_capture);
    check(&file[..20], 0, &cut(0));
    check(&file[..24], 0, "");
    check(&file[..30], 0, &cut(24));
    check(&file[..file.len() - 1], 1, &cut(43));
    let long = [small(), writer.u32s(&[1, 1, MOST_PACKET + 1, 1])].concat();
    check(&long, 2, "capture F is broken at byte 65: a packet of 262145 bytes, more than 262144");
    let most = [small(), writer.record(1, 1, &vec![1; MOST_PACKET as usize], 1)].concat();
    check(&most, 3, "");
    let mut version = small();
    version[4] = 3;
    check(&version, 0, "capture F is broken at byte 0: its version of the format is not 2");

    let broken = |reason| format!("capture F is broken at byte 48: {reason}");
    let head = [writer.section(), writer.interface(1, 0, &[])].concat();
    let with = |block: Vec<u8>| [head.clone(), block].concat();
    check(
        &with(writer.enhanced(1, 0, b"x", 1)),
        0,
        &broken("a packet names an interface that was not described"),
    );
    check(&with(writer.u32s(&[5, 11])), 0, &broken("the length of a block is impossible"));
    check(&with(writer.u32s(&[5, 14])), 0, &broken("the length of a block is impossible"));
    check(
        &with(writer.block(6, &[0; 4])),
        0,
        &broken("the length of a packet's block is impossible"),
    );
    check(
        &with(writer.block(6, &writer.u32s(&[0, 0, 0, 5, 5, 0]))),
        0,
        &broken("a packet is longer than its block"),
    );
    check(
        &with(writer.block(6, &writer.u32s(&[0, 0, 0, u32::MAX, 5, 0]))),
        0,
        "capture F is broken at byte 48: a packet of 4294967295 bytes, more than 262144",
    );
    check(&with(writer.u32s(&[5, 0xffff_fffc, 1])), 0, &cut(48));
    let mut tail = with(writer.enhanced(0, 0, b"four", 4));
    let end = tail.len();
    tail[end - 4] ^= 4;
    check(&tail, 1, "capture F is broken at byte 48: the two lengths of a block differ");
    check(&tail[..end - 2], 1, &cut(48));
    let mut order = writer.section();
    order[8] = 0;
    check(&order, 0, "capture F is broken at byte 0: a section's byte order is neither of the two");
}

/// Output of a program for these bytes; `None` if it is not installed.
fn through(program: &str, octets: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(octets).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_packed_copy_is_the_same_capture_in_one_member_or_several() {
    let folder = Folder::new();
    let file = blocks();
    let (digest, head, plain) = (folder.digest(&file), folder.head(&file), folder.read(&file));
    assert!(head.is_some());
    let (left, right) = file.split_at(500);
    let mut forms = vec![("gzip", [gzip(left), gzip(right)].concat())];
    for program in ["bzip2", "zstd", "xz", "lz4"] {
        match (through(program, left), through(program, right)) {
            (Some(left), Some(right)) => forms.push((program, [left, right].concat())),
            _ => println!("skipping {program}: it is not installed (cargo xtask test does)"),
        }
    }
    for (form, packed) in &forms {
        assert_eq!((folder.digest(packed), folder.head(packed)), (digest, head), "{form}");
        assert_eq!(folder.read(packed), plain, "{form}");
        // If truncated, it delivers what it can and reports the truncation.
        let (taken, _, error) = folder.read(&packed[..packed.len() - 9]);
        assert!(error.starts_with("cannot unpack capture F after byte "), "{form}: {error}");
        assert!(taken.len() <= plain.0.len() && taken[..] == plain.0[..taken.len()], "{form}");
        assert!(!taken.is_empty() || packed.len() < 1000, "{form}");
    }
}

#[test]
fn a_capture_is_measured_at_any_length_packed_or_not() {
    let folder = Folder::new();
    let file = blocks();
    let lengths: BTreeSet<u64> =
        [0, 1, 100, file.len() as u64 - 1, file.len() as u64, 1 << 40].into();
    for octets in [file.clone(), gzip(&file)] {
        let mut capture = CaptureFile::open(&folder.file(&octets)).unwrap();
        let content = capture.content(&Hasher::new(&[1; 16]), &lengths).unwrap().unwrap();
        assert_eq!((content.length, content.at(1 << 40)), (file.len() as u64, None));
        assert_eq!(content.digests().count(), 5);
        for (length, digest) in content.digests() {
            let part = &file[..usize::try_from(length).unwrap()];
            assert_eq!(Hasher::new(&[1; 16]).identity(part), digest, "{length}");
        }
    }
    assert_ne!(folder.digest(&file), folder.digest(&file[..file.len() - 1]));
}

#[test]
fn the_head_of_a_capture_stays_when_it_grows() {
    let folder = Folder::new();
    for file in [small(), blocks()] {
        let head = folder.head(&file);
        let first = (0..=file.len()).find(|&end| folder.head(&file[..end]).is_some()).unwrap();
        for end in [first, first + 1, file.len() - 1] {
            assert_eq!(folder.head(&file[..end]), head, "{end}");
        }
        assert_eq!(folder.read(&file[..first - 1]).0, [], "a packet without a head");
    }
    assert_eq!(folder.head(b"no capture"), None);
}

#[test]
fn a_file_that_grows_while_it_is_read_ends_where_it_did_and_one_that_is_overwritten_is_told_of() {
    let folder = Folder::new();
    let path = folder.file(&small());
    let mut file = measured(&path);
    let more = Writer { big: false }.record(9, 9, b"more", 4);
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&more).unwrap();
    assert!(file.next().unwrap().is_some() && file.next().unwrap().is_some());
    assert!(matches!(file.next(), Ok(None)) && file.has_grown());
    let mut file = measured(&folder.file(&small()));
    assert!(file.next().unwrap().is_some());
    let mut other = small();
    *other.last_mut().unwrap() ^= 1;
    // Longer, because the file system's clock may not have advanced.
    other.extend(&more);
    std::fs::write(&path, &other).unwrap();
    assert!(file.next().unwrap().is_some());
    assert!(matches!(file.next(), Err(PcapError::Changed { .. })));
    assert!(matches!(file.next(), Ok(None)));
}

#[test]
fn a_pipe_is_read_once() {
    let folder = Folder::new();
    let path = folder.0.path().join("pipe");
    if !Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()) {
        println!("skipping pipe: mkfifo is not installed (cargo xtask test does)");
        return;
    }
    for _ in 0..2 {
        let writer = path.clone();
        let writing = std::thread::spawn(move || std::fs::write(writer, gzip(&small())).unwrap());
        let mut file = CaptureFile::open(&path).unwrap();
        assert_eq!(file.head(&Hasher::new(&[1; 16])).unwrap(), None);
        assert!(file.again().is_err());
        while file.next().unwrap().is_some() {}
        writing.join().unwrap();
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    for path in [Path::new("/nonexistent/capture"), Path::new("/")] {
        let error = CaptureFile::open(path).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot open capture {}", path.display()));
        assert!(!error.is_of_content());
    }
}

proptest! {
    #[test]
    fn files_with_any_octets_changed_end_in_packets_or_one_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        which in 0_u8..3,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = match which { 0 => small(), 1 => blocks(), _ => gzip(&blocks()) };
        for (at, octet) in changes {
            let at = at.index(file.len());
            file[at] = octet;
        }
        file.truncate(cut.index(file.len() + 1));
        Folder::new().read(&file);
    }
}
