//! Tests of the source against real files: invariants that hold whatever happens to the files.

mod archive;
mod faults;
mod rotation;
#[path = "../../tests/support/mod.rs"]
mod support;

use super::{Log, Progress, SourceError};
use crate::hash::Hasher;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;

const HEADER: &str = "#separator \\x09\n#path\tdns\n#fields\tts\tuid\n";

fn hasher() -> Hasher {
    Hasher::new(b"0123456789abcdef")
}

fn open(path: &Path) -> Log {
    Log::open(path, &hasher()).map_err(|error| error.to_string()).unwrap().expect("a first record")
}

/// The complete lines from the log's position on, and the result of reading them.
fn lines(log: &mut Log) -> (Vec<String>, Result<Progress, SourceError>) {
    let mut lines = Vec::new();
    let mut each = |line: &[u8], _| lines.push(String::from_utf8_lossy(line).into_owned());
    let end = loop {
        match log.read(1000, &mut each) {
            Ok(Progress::More) => {}
            end => break end,
        }
    };
    (lines, end)
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn append(path: &Path, octets: &[u8]) {
    fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(octets).unwrap();
}
