//! Tests of scanning and of real archives.

use super::support::Data;
use super::{append, hasher, lines};
use crate::source::{Log, LogNames, Missing, Progress, Scan, SourceError};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Names found, relative to `dir`.
fn names(scan: &mut Scan, dir: &Path) -> Vec<String> {
    scan.changed()
        .iter()
        .map(|found| found.path.strip_prefix(dir).unwrap().display().to_string())
        .collect()
}

fn scan(input: PathBuf) -> Scan {
    Scan::new(&[input], LogNames::Zeek).unwrap()
}

#[test]
fn a_directory_gives_its_dns_logs_each_once() {
    let root = TempDir::new().unwrap();
    let dir = root.path();
    for sub in ["spool/zeeksa", "logs/2024-04-19", "logs/loop"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    symlink("../spool/zeeksa", dir.join("logs/current")).unwrap();
    symlink("..", dir.join("logs/loop/up")).unwrap();
    symlink("nowhere", dir.join("logs/dns.log")).unwrap();
    for file in ["spool/zeeksa/dns.log", "spool/zeeksa/conn.log", "logs/2024-04-19/dns.00.log.gz"] {
        fs::write(dir.join(file), "1\n").unwrap();
    }
    let mut scan = scan(dir.join("logs"));
    assert_eq!(names(&mut scan, dir), ["logs/2024-04-19/dns.00.log.gz", "logs/current/dns.log"]);
    assert!(names(&mut scan, dir).is_empty());
    assert!(scan.problems().is_empty());
    let watched: HashSet<_> = scan.watch_dirs().into_iter().collect();
    for sub in ["logs", "logs/current", "logs/2024-04-19"] {
        assert!(watched.contains(&dir.join(sub)), "{sub}");
    }
    // Growth counts, and so does a new name: the file may have been renamed before it was opened.
    append(&dir.join("spool/zeeksa/dns.log"), b"2\n");
    assert_eq!(names(&mut scan, dir), ["logs/current/dns.log"]);
    fs::rename(dir.join("spool/zeeksa/dns.log"), dir.join("spool/zeeksa/dns-1.log")).unwrap();
    assert_eq!(names(&mut scan, dir), ["logs/current/dns-1.log"]);
    assert!(names(&mut scan, dir).is_empty());
    fs::rename(dir.join("spool/zeeksa/dns-1.log"), dir.join("logs/dns-1.log")).unwrap();
    assert_eq!(names(&mut scan, dir), ["logs/dns-1.log"]);
    assert!(names(&mut scan, dir).is_empty());
    fs::remove_file(dir.join("logs/dns-1.log")).unwrap();
    // A new target for `current`.
    fs::create_dir(dir.join("spool/logger")).unwrap();
    fs::write(dir.join("spool/logger/dns.log"), "1\n").unwrap();
    fs::remove_file(dir.join("logs/current")).unwrap();
    symlink("../spool/logger", dir.join("logs/current")).unwrap();
    assert_eq!(names(&mut scan, dir), ["logs/current/dns.log"]);
    scan.forget();
    assert_eq!(names(&mut scan, dir).len(), 2);
}

#[test]
fn logs_are_found_at_any_depth_and_other_files_are_counted() {
    let root = TempDir::new().unwrap();
    let deep = (0..40).fold(root.path().join("logs"), |path, level| path.join(level.to_string()));
    fs::create_dir_all(&deep).unwrap();
    for name in ["DNS.LOG", "conn.log", "http.log"] {
        fs::write(deep.join(name), "1\n").unwrap();
    }
    let mut scan = scan(root.path().join("logs"));
    for _ in 0..2 {
        scan.forget();
        assert_eq!(scan.changed().len(), 1);
        assert_eq!(scan.skipped().count, 2);
        assert_eq!(scan.skipped().example, Some(deep.join("conn.log")));
    }
    let (empty, absent) = (root.path().join("empty"), root.path().join("absent"));
    fs::create_dir(&empty).unwrap();
    let pattern = root.path().join("*.none");
    let inputs = [empty.clone(), absent.clone(), pattern.clone()];
    let mut scan = Scan::new(&inputs, LogNames::Suricata).unwrap();
    assert!(scan.changed().is_empty());
    let pattern = Missing::Pattern(pattern.display().to_string());
    assert_eq!(scan.missing(), [Missing::NoLogs(empty), Missing::Path(absent), pattern]);
}

#[test]
fn a_named_file_and_a_glob_are_taken_whatever_the_name() {
    let root = TempDir::new().unwrap();
    let dir = root.path();
    let mut late = scan(dir.join("answers.txt"));
    assert!(late.changed().is_empty());
    assert_eq!(late.missing(), [Missing::Path(dir.join("answers.txt"))]);
    assert_eq!(late.watch_dirs(), [dir]);
    fs::write(dir.join("answers.txt"), "1\n").unwrap();
    assert_eq!(names(&mut late, dir), ["answers.txt"]);
    assert!(late.missing().is_empty());
    let found = late.changed();
    assert!(found.is_empty());

    let mut globbed = scan(dir.join("*.txt"));
    assert_eq!(names(&mut globbed, dir), ["answers.txt"]);
    fs::write(dir.join("b.txt"), "1\n").unwrap();
    assert_eq!(names(&mut globbed, dir), ["b.txt"]);
    assert!(globbed.watch_dirs().iter().any(|watched| watched.components().eq(dir.components())));

    // A file name may look like a pattern.
    fs::write(dir.join("a[.log"), "1\n").unwrap();
    assert_eq!(names(&mut scan(dir.join("a[.log")), dir), ["a[.log"]);
    assert!(matches!(
        Scan::new(&[dir.join("b[.log")], LogNames::Zeek),
        Err(SourceError::Pattern { .. })
    ));
}

/// Output of `zcat` for a file; if the file is corrupt, everything before the corruption.
fn zcat(path: &Path) -> Vec<u8> {
    Command::new("zcat").arg(path).output().unwrap().stdout
}

fn complete_lines(octets: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', octets).count()
}

#[test]
fn an_archive_of_three_days_is_read_as_zcat_reads_it() {
    let archive = Data::of("zeek-logs/rita").folder;
    let mut ids = HashSet::new();
    let found = scan(archive).changed();
    let mut packed = 0;
    for found in &found {
        let is_gzip = found.path.extension().is_some_and(|end| end == "gz");
        packed += usize::from(is_gzip);
        let Some(mut log) = Log::open_finished(&found.path, &hasher()).unwrap() else {
            panic!("{} has no record", found.path.display());
        };
        assert_eq!(log.is_packed(), is_gzip);
        let (got, end) = lines(&mut log);
        assert_eq!(end.unwrap(), Progress::AtEnd);
        let want = if is_gzip { zcat(&found.path) } else { fs::read(&found.path).unwrap() };
        assert_eq!(got.len(), complete_lines(&want), "{}", found.path.display());
        assert_eq!(log.offset() + rest(&mut log), want.len() as u64);
        ids.insert(log.id());
    }
    assert!(packed >= 72, "{packed}");
    assert_eq!(ids.len(), found.len());
}

/// Length of the line without a newline.
fn rest(log: &mut Log) -> u64 {
    let mut length = 0;
    log.rest(&mut |line, _| length = line.len() as u64).unwrap();
    length
}

#[test]
fn a_corrupt_archive_is_read_up_to_the_break() {
    let path = Data::of("zeek-logs/zat/http.log.corrupt.gz").folder;
    let mut log = super::open(&path);
    let (got, end) = lines(&mut log);
    assert!(matches!(end, Err(SourceError::Unpack { .. })));
    assert_eq!(got.len(), complete_lines(&zcat(&path)));
}
