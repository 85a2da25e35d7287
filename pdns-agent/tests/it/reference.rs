//! The independent side of the packet tests: Python scripts that take from tshark what is on the wire, and
//! what the programs stored in the same shape.
//!
//! RDATA is compared as octets. The reference has them from the wire; the text that `pdns` shows is turned back
//! into octets by dnspython, so that text and octets are both checked and style is not.

use crate::corpus::{Rows, row, stored};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::support::skip;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the reference says of one capture.
pub(crate) struct Said {
    /// Records, by their octets.
    pub(crate) records: Rows,
    /// Negative answers.
    pub(crate) negatives: Rows,
    /// `[{rrname, rrtype, rdata, reason, count}]`: records that the rules leave out.
    pub(crate) omitted: Vec<Value>,
    /// Where tshark reads the octets of a message otherwise than the rules do.
    pub(crate) differs: Vec<String>,
}

/// A program of the system, or `None` where it is missing.
pub(crate) fn program(test: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let standard = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(standard)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        skip(test, &format!("{name} is missing"));
    }
    found
}

/// Python with the packages that the scripts need.
pub(crate) fn interpreter() -> PathBuf {
    let made = concat!(env!("CARGO_TARGET_TMPDIR"), "/../python/bin/python3");
    std::env::var_os("PDNS_TEST_PYTHON").map_or_else(|| PathBuf::from(made), PathBuf::from)
}

/// What a script beside the tests prints, given something to read.
pub(crate) fn python(script: &str, arguments: &[&OsStr], input: &[u8]) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference"));
    let interpreter = interpreter();
    let mut child = Command::new(&interpreter)
        .arg("-B")
        .arg(folder.join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot run {} ({error}): cargo xtask test makes it", interpreter.display())
        });
    // A script that ends before it has read all tells why below.
    child.stdin.take().expect("stdin is piped").write_all(input).ok();
    let output = child.wait_with_output().expect("our own child can be waited for");
    assert!(
        output.status.success(),
        "{script}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The same, as JSON.
pub(crate) fn python_json(script: &str, arguments: &[&OsStr], input: &[u8]) -> Value {
    serde_json::from_slice(&python(script, arguments, input)).expect("the script prints JSON")
}

/// What the reference says of each of some captures, in the same order.
pub(crate) fn packets(captures: &[&Path], options: &[String]) -> Vec<Said> {
    let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    arguments.extend(captures.iter().map(|capture| capture.as_os_str()));
    let said = python_json("packets.py", &arguments, &[]);
    let rows = |rows: &Value| rows.as_array().expect("a list of rows").iter().map(row).collect();
    let of = |capture: &&Path| {
        let said = &said[capture.to_str().expect("paths of test data are text")];
        let differs = said["differs"].as_array().expect("a list of sentences");
        Said {
            records: rows(&said["records"]),
            negatives: rows(&said["negatives"]),
            omitted: said["omitted"].as_array().expect("a list of records").clone(),
            differs: differs.iter().map(|said| said.as_str().expect("text").to_owned()).collect(),
        }
    };
    captures.iter().map(of).collect()
}

/// Reads captures with `pdns-agent pcap`.
pub(crate) fn import(home: &Home, url: &str, options: &[String], captures: &[&Path]) -> Ended {
    let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
    arguments.extend(captures.iter().map(|capture| capture.as_os_str().to_owned()));
    run(home.agent().args(["pcap", "--redis", url, "--sensor", "test"]), &arguments)
}

/// What a store holds, with the octets of each record in place of its text.
pub(crate) fn stored_octets(home: &Home, url: &str) -> (Rows, Rows) {
    let (records, negatives) = stored(home, url);
    (octets(records), negatives)
}

/// Records by their octets.
pub(crate) fn octets(records: Rows) -> Rows {
    let texts: Vec<[&str; 2]> =
        records.keys().map(|(_, rrtype, text, _)| [rrtype.as_str(), text.as_str()]).collect();
    let texts = serde_json::to_vec(&texts).expect("text is JSON");
    let octets = python_json("rdata.py", &[], &texts);
    let octets: Vec<String> = serde_json::from_value(octets).expect("a list of texts");
    let count = records.len();
    assert_eq!(octets.len(), count, "rdata.py answers each row");
    let by_octets: Rows = records
        .into_iter()
        .zip(octets)
        .map(|(((rrname, rrtype, _, partial), numbers), octets)| {
            ((rrname, rrtype, octets, partial), numbers)
        })
        .collect();
    assert_eq!(by_octets.len(), count, "two texts stand for the same octets");
    by_octets
}

/// What a fresh store holds after an import of some captures, which must end well.
pub(crate) fn imported(
    home: &Home,
    server: &Redis,
    options: &[String],
    captures: &[&Path],
) -> (Rows, Rows) {
    server.flush();
    import(home, &server.url(), options, captures).with(&[0]);
    stored_octets(home, &server.url())
}

/// The captures that are made for the tests, and what is expected of each.
pub(crate) fn made(folder: &Path) -> BTreeMap<String, Value> {
    python("captures.py", &[folder.as_os_str()], &[]);
    let index = std::fs::read(folder.join("index.json")).expect("captures.py wrote an index");
    serde_json::from_slice(&index).expect("the index is JSON")
}

/// The options under which a made capture is read.
pub(crate) fn options_of(made: &Value) -> Vec<String> {
    let ports = made["ports"].as_array().expect("a list of ports").iter();
    let mut options: Vec<String> =
        ports.flat_map(|port| ["--port".to_owned(), port.to_string()]).collect();
    let others = made["options"].as_array().expect("a list of options").iter();
    options.extend(others.map(|option| option.as_str().expect("text").to_owned()));
    options
}
