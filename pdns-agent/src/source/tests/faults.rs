//! Files that are truncated, rewritten, corrupt, hostile, or not files at all.

use super::support::skip;
use super::{HEADER, append, gzip, hasher, lines, open};
use crate::source::lines::MAX_LINE;
use crate::source::{Log, Progress, SourceError};
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn error_of(path: &Path) -> SourceError {
    Log::open(path, &hasher()).err().expect("an error")
}

/// A gzip of some length, and its content.
fn long_gzip() -> (Vec<u8>, Vec<String>) {
    let text: Vec<String> = (0..20_000_u64)
        .map(|record| format!("{record}\tC{:x}", record.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    (gzip(format!("{}\n", text.join("\n")).as_bytes()), text)
}

#[test]
fn no_record_no_identity() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    for text in ["", "#separator \\x09\n", HEADER, "ts\tuid\tid.orig_h\n", "\n\n", "1.5\tC1"] {
        fs::write(&path, text).unwrap();
        assert!(Log::open(&path, &hasher()).is_ok_and(|log| log.is_none()), "{text:?}");
    }
    // Bare column names, as `LogAscii` writes them in tsv mode, are the same in every file.
    fs::write(&path, "ts\tuid\n1.5\tC1\n").unwrap();
    let first = open(&path).id();
    fs::write(&path, "ts\tuid\n1.5\tC2\n").unwrap();
    assert_ne!(open(&path).id(), first);
}

#[test]
fn a_head_without_end_is_cut_at_its_limit() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    fs::write(&path, "#".repeat(64 * 1024 - 1)).unwrap();
    assert!(Log::open(&path, &hasher()).is_ok_and(|log| log.is_none()));
    append(&path, b"#");
    let id = open(&path).id();
    append(&path, b"#\n1\n");
    let mut log = open(&path);
    assert_eq!(log.id(), id);
    assert_eq!(lines(&mut log).0.len(), 2);
}

#[test]
fn the_last_line_waits_for_its_newline_unless_the_log_is_finished() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    fs::write(&path, "1\ta\n2\tb").unwrap();
    let mut log = open(&path);
    assert_eq!(lines(&mut log).0, ["1\ta"]);
    assert_eq!(log.offset(), 4);
    let mut last = Vec::new();
    log.rest(&mut |line, end| last.push((line.to_vec(), end))).unwrap();
    assert_eq!(last, [(b"2\tb".to_vec(), 7)]);
    // It grew after all: delivered lines are not delivered again.
    append(&path, b"\n3\tc\n");
    let mut again = open(&path);
    again.resume(7, &mut |_| ()).unwrap();
    assert_eq!(lines(&mut again).0, ["", "3\tc"]);

    fs::write(&path, "ts\n1\ta").unwrap();
    let mut finished = Log::open_finished(&path, &hasher()).ok().flatten().unwrap();
    append(&path, b"\n");
    assert_eq!(finished.id(), open(&path).id());
    assert_eq!(lines(&mut finished).0, ["ts", "1\ta"]);
}

#[test]
fn headers_are_skimmed_on_the_way_to_a_position() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    fs::write(&path, "ts\tuid\n1\ta\n#fields\tuid\tts\nb\t2\nc\t3\n#close\n").unwrap();
    let mut log = open(&path);
    let mut headers = Vec::new();
    log.resume(30, &mut |line| headers.push(String::from_utf8_lossy(line).into_owned())).unwrap();
    assert_eq!(headers, ["ts\tuid", "#fields\tuid\tts"]);
    assert_eq!(lines(&mut log).0, ["c\t3", "#close"]);
    // A reader that resumes here or earlier still gets the headers.
    for at in [log.offset(), 30, 37] {
        headers.clear();
        let mut skim = |line: &[u8]| headers.push(String::from_utf8_lossy(line).into_owned());
        log.resume(at, &mut skim).unwrap();
        let passed = headers.iter().filter(|header| *header != "#close");
        assert_eq!(passed.collect::<Vec<_>>(), ["ts\tuid", "#fields\tuid\tts"], "at {at}");
    }
    // Back again.
    log.resume(7, &mut |_| ()).unwrap();
    assert_eq!(log.offset(), 7);
    assert_eq!(lines(&mut log).0.len(), 5);
    assert!(matches!(
        log.resume(1000, &mut |_| ()),
        Err(SourceError::Shrank { len: 41, offset: 1000, .. })
    ));
}

#[test]
fn a_file_rewritten_in_place_gives_nothing_of_the_new_log() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    for new in ["", "9\tz\n", "9\tz\n9\tz\n", "9\tz\n9\tz\n9\tz\n9\tz\n"] {
        fs::write(&path, "1\ta\n2\tb\n").unwrap();
        let mut log = open(&path);
        assert_eq!(lines(&mut log).0.len(), 2);
        fs::write(&path, new).unwrap();
        let (after, end) = lines(&mut log);
        assert!(after.is_empty(), "{after:?}");
        assert_eq!(end.unwrap(), Progress::Truncated);
        assert_eq!(lines(&mut log).1.unwrap(), Progress::Truncated);
        assert!(matches!(log.resume(0, &mut |_| ()), Err(SourceError::Rewritten { .. })));
        assert_eq!(log.offset(), 8);
    }
    // The same for a gzip, with data that was read ahead.
    let (packed, text) = long_gzip();
    fs::write(&path, packed).unwrap();
    let mut log = open(&path);
    let mut before = 0;
    assert_eq!(log.read(1, &mut |_, _| before += 1).unwrap(), Progress::More);
    assert!((1..text.len()).contains(&before));
    fs::write(&path, gzip(&vec![b'7'; 100_000])).unwrap();
    let (after, end) = lines(&mut log);
    assert!(after.is_empty());
    assert_eq!(end.unwrap(), Progress::Truncated);
}

#[test]
fn an_oversized_line_moves_the_position_and_goes_out_empty() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    for (length, is_whole) in [(MAX_LINE, true), (MAX_LINE + 1, false), (MAX_LINE * 3, false)] {
        fs::write(&path, format!("1\ta\n{}\n2\tb\n", "x".repeat(length))).unwrap();
        let mut log = open(&path);
        let mut got = Vec::new();
        while log.read(100_000, &mut |line, end| got.push((line.len(), end))).unwrap()
            == Progress::More
        {}
        let middle = if is_whole { length } else { 0 };
        let after = length as u64 + 5;
        assert_eq!(got, [(3, 4), (middle, after), (3, after + 4)]);
        assert_eq!(log.damage().oversized, u64::from(!is_whole));
        log.resume(after, &mut |_| ()).unwrap();
        assert_eq!(lines(&mut log).0, ["2\tb"]);
    }
    fs::write(&path, format!("1\ta\n{}", "x".repeat(MAX_LINE * 2))).unwrap();
    let mut log = open(&path);
    let mut ends = Vec::new();
    log.rest(&mut |line, end| ends.push((line.len(), end))).unwrap();
    assert_eq!(ends, [(3, 4), (0, MAX_LINE as u64 * 2 + 4)]);
}

#[test]
fn gzip_members_follow_each_other_within_a_line() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("anything");
    let parts = [gzip(b"1\ta\n2"), gzip(b""), gzip(b"\tb\n3\tc\n")];
    fs::write(&path, parts.concat()).unwrap();
    let (lines, end) = lines(&mut open(&path));
    assert_eq!(lines, ["1\ta", "2\tb", "3\tc"]);
    assert_eq!(end.unwrap(), Progress::AtEnd);
}

#[test]
fn a_gzip_cut_at_any_octet_gives_whole_lines_and_then_one_error() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log.gz");
    let (packed, text) = long_gzip();
    for cut in (0..packed.len()).step_by(packed.len() / 40).chain(packed.len() - 12..packed.len()) {
        fs::write(&path, &packed[..cut]).unwrap();
        let mut log = match Log::open(&path, &hasher()) {
            Ok(Some(log)) => log,
            Ok(None) => {
                assert!(cut < 2);
                continue;
            }
            Err(SourceError::Unpack { cause, .. }) => {
                assert_eq!(cause.kind(), ErrorKind::UnexpectedEof);
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        let (got, end) = lines(&mut log);
        assert_eq!(got, text[..got.len()], "cut at {cut}");
        match end {
            Err(SourceError::Unpack { offset, cause, .. }) => {
                assert_eq!(cause.kind(), ErrorKind::UnexpectedEof);
                assert_eq!(offset, log.offset());
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
        assert_eq!(lines(&mut log).1.unwrap(), Progress::AtEnd);
        assert_eq!(log.rest(&mut |_, _| panic!("a broken line")).unwrap(), Progress::AtEnd);
        // Another run gets equally far, from any start.
        let half = got.len() / 2;
        let offset: usize = got[..half].iter().map(|line| line.len() + 1).sum();
        log.resume(offset as u64, &mut |_| ()).unwrap();
        let (again, end) = lines(&mut log);
        assert_eq!(again, got[half..], "cut at {cut}");
        assert!(matches!(end, Err(SourceError::Unpack { .. })));
        // The file is complete now: the rest follows from the position on.
        fs::write(&path, &packed).unwrap();
        let mut whole = open(&path);
        whole.resume(log.offset(), &mut |_| ()).unwrap();
        assert_eq!(lines(&mut whole).0, text[got.len()..]);
    }
}

/// Output of a program for these bytes; `None` if it is not installed.
fn through(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(output.stdout)
}

#[test]
fn logs_of_all_compressions_are_read_whole_in_members_and_cut() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    let (_, text) = long_gzip();
    let plain = format!("{}\n", text.join("\n"));
    fs::write(&path, &plain).unwrap();
    let id = open(&path).id();
    for program in ["gzip", "bzip2", "xz", "zstd", "lz4"] {
        // Truncated within a line.
        let (left, right) = plain.as_bytes().split_at(plain.len() / 2);
        let (Some(left), Some(right)) = (through(program, left), through(program, right)) else {
            skip(program, "it is not installed (cargo xtask test does)");
            continue;
        };
        let whole = [left, right].concat();
        fs::write(&path, &whole).unwrap();
        let mut log = open(&path);
        assert!(log.is_packed());
        assert_eq!(log.id(), id, "{program}");
        let (got, end) = lines(&mut log);
        assert_eq!(end.unwrap(), Progress::AtEnd, "{program}");
        assert!(got == text, "{program}");
        log.resume(1_000, &mut |_| ()).unwrap();
        assert_eq!(log.offset(), 1_000);
        for cut in [whole.len() / 3, whole.len() / 2 + 100, whole.len() - 5] {
            fs::write(&path, &whole[..cut]).unwrap();
            let (got, end) = match Log::open(&path, &hasher()) {
                Ok(log) => lines(&mut log.unwrap()),
                Err(error) => (Vec::new(), Err(error)),
            };
            assert_eq!(got, text[..got.len()], "{program}");
            match end {
                Err(SourceError::Unpack { cause, .. }) => {
                    assert_eq!(cause.kind(), ErrorKind::UnexpectedEof, "{program}: {cause}");
                }
                other => panic!("{program} cut at {cut}: {other:?}"),
            }
        }
        let mut broken = whole.clone();
        let middle = whole.len() / 2;
        broken[middle - 200..middle - 100].fill(0xff);
        fs::write(&path, &broken).unwrap();
        let end = match Log::open(&path, &hasher()) {
            Ok(log) => lines(&mut log.unwrap()).1,
            Err(error) => Err(error),
        };
        match end {
            Err(SourceError::Unpack { cause, .. }) => {
                assert_ne!(cause.kind(), ErrorKind::UnexpectedEof, "{program}: {cause}");
            }
            other => panic!("{program}: {other:?}"),
        }
    }
}

#[test]
fn text_in_utf_16_is_named_and_marks_of_utf_8_are_passed_over() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    let text = format!("{HEADER}1.5\tC1\n");
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for bytes in
        [&little, &big, &[b"\xff\xfe", &little[..]].concat(), &[b"\xfe\xff", &big[..]].concat()]
    {
        fs::write(&path, bytes).unwrap();
        let error = error_of(&path).to_string();
        assert!(error.contains("UTF-16") && error.contains("iconv"), "{error}");
    }
    fs::write(&path, format!("\u{feff}{text}\0\0\0\u{feff}2.5\tC2\n3.\0\x003.5\tC3\n")).unwrap();
    let mut log = open(&path);
    let (got, _) = lines(&mut log);
    assert_eq!(got[0], "#separator \\x09");
    assert_eq!(got[3..], ["1.5\tC1", "2.5\tC2", "3.5\tC3"]);
    assert_eq!(log.damage().torn, 1);
    // The header is also known after resuming.
    let mut headers = Vec::new();
    log.resume(log.offset(), &mut |line| headers.push(line.to_vec())).unwrap();
    assert_eq!(headers[0], b"#separator \\x09");
}

#[test]
fn a_gzip_damaged_in_the_middle_gives_what_came_before() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log.gz");
    let (mut packed, text) = long_gzip();
    let middle = packed.len() / 2;
    packed[middle..middle + 64].fill(0xff);
    fs::write(&path, packed).unwrap();
    let (got, end) = lines(&mut open(&path));
    assert!(matches!(end, Err(SourceError::Unpack { .. })));
    // The damage is only detected at the checksum; but it is near the middle.
    let intact = got.iter().zip(&text).take_while(|(got, want)| got == want).count();
    assert!(intact > text.len() / 3, "{intact} of {}", text.len());
}

#[test]
fn what_is_no_file_says_so_and_does_not_block() {
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("dns.log");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, kind) in
        [(fifo.as_path(), "FIFO"), (dir.path(), "directory"), (Path::new("/dev/zero"), "device")]
    {
        let message = format!("{} is a {kind}, not a regular file", path.display());
        assert_eq!(error_of(path).to_string(), message);
    }
    let absent = dir.path().join("absent");
    assert!(matches!(error_of(&absent), SourceError::Open { .. }));
}

#[test]
fn a_line_that_comes_in_pieces_is_the_same_wherever_reading_rested() {
    let dir = TempDir::new().unwrap();
    let mut text = b"1\ta\n".to_vec();
    for length in [10, 5_000, MAX_LINE - 1, MAX_LINE + 1, MAX_LINE * 2, 6_000] {
        text.extend(vec![b'x'; length]);
        text.push(b'\n');
        // A crash within a long line, and a whole one behind it.
        text.extend(vec![b'y'; length]);
        text.extend([0; 100]);
        text.extend(vec![b'z'; 5_000]);
        text.push(b'\n');
    }
    let read = |log: &mut Log, got: &mut Vec<(usize, u64)>| {
        while log.read(100_000, &mut |line, end| got.push((line.len(), end))).unwrap()
            == Progress::More
        {}
    };
    let whole = dir.path().join("whole.log");
    fs::write(&whole, &text).unwrap();
    let (mut log, mut want) = (open(&whole), Vec::new());
    read(&mut log, &mut want);
    for piece in [50_000, 200_001, 600_000] {
        let path = dir.path().join(format!("{piece}.log"));
        let (first, rest) = text.split_at(4);
        fs::write(&path, first).unwrap();
        let (mut pieces, mut got) = (open(&path), Vec::new());
        read(&mut pieces, &mut got);
        for bytes in rest.chunks(piece) {
            fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(bytes).unwrap();
            read(&mut pieces, &mut got);
            pieces.rest_here();
        }
        assert_eq!(got, want, "pieces of {piece}");
        // Closed after each piece.
        fs::write(&path, first).unwrap();
        let (mut closed, mut got) = (open(&path), Vec::new());
        read(&mut closed, &mut got);
        for bytes in rest.chunks(piece) {
            append(&path, bytes);
            closed = closed.close().reopen(&path).unwrap();
            read(&mut closed, &mut got);
        }
        assert_eq!(got, want, "pieces of {piece}, closed after each");
        assert_eq!(closed.digest().to_bytes(), log.digest().to_bytes());
        assert_eq!(pieces.offset(), text.len() as u64);
        assert_eq!(pieces.damage().oversized, log.damage().oversized);
        assert_eq!(pieces.digest().to_bytes(), log.digest().to_bytes());
    }
}

#[test]
fn an_unfinished_line_that_is_written_over_is_noticed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    let mut nothing = |_: &[u8], _| ();
    for length in [100, 10_000] {
        for is_closed in [false, true] {
            fs::write(&path, [b"1\ta\n".to_vec(), vec![b'x'; length]].concat()).unwrap();
            let mut log = open(&path);
            assert_eq!(log.read(1 << 20, &mut nothing).unwrap(), Progress::AtEnd);
            log.rest_here();
            assert!(log.has_unfinished_line());
            // As long as before, with whole lines.
            fs::write(&path, [b"1\ta\n".to_vec(), b"2\n".repeat(length / 2)].concat()).unwrap();
            if is_closed {
                let reopened = log.close();
                fs::write(&path, [b"1\ta\n".to_vec(), b"3\n".repeat(length / 2)].concat()).unwrap();
                assert!(matches!(reopened.reopen(&path), Err(SourceError::Rewritten { .. })));
            } else {
                assert_eq!(log.read(1 << 20, &mut nothing).unwrap(), Progress::Truncated);
            }
        }
    }
}

#[test]
fn a_log_that_is_written_over_between_reading_and_resting_is_noticed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dns.log");
    let mut nothing = |_: &[u8], _| ();
    for is_closed in [false, true] {
        fs::write(&path, [b"1\ta\n".to_vec(), b"2\n".repeat(1000)].concat()).unwrap();
        let mut log = open(&path);
        assert_eq!(log.read(1 << 20, &mut nothing).unwrap(), Progress::AtEnd);
        // Longer, with the same first record, before the reader remembers where it was.
        fs::write(&path, [b"1\ta\n".to_vec(), b"3\n".repeat(2000)].concat()).unwrap();
        log.rest_here();
        if is_closed {
            assert!(matches!(log.close().reopen(&path), Err(SourceError::Rewritten { .. })));
        } else {
            assert_eq!(log.read(1 << 20, &mut nothing).unwrap(), Progress::Truncated);
        }
    }
}
