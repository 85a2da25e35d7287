//! Real Zeek logs through the programs and the store, against an independent reader of the format.
//!
//! The logs are real ones, and ones that are odd in every row (`tests/reference/odd.py`).
//! `tests/reference/zeek.py` shares no code and no language with the decoder: what both say alike is
//! what the format and the rules of inference say.

use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::support::Data;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What identifies a row: rrname, rrtype, then RDATA or outcome, and whether it is partial.
pub(crate) type Key = (String, String, String, bool);
/// The numbers kept for it, by name; one that is unknown is absent.
pub(crate) type Numbers = BTreeMap<&'static str, u64>;
pub(crate) type Rows = BTreeMap<Key, Numbers>;

const NUMBERS: [&str; 6] = ["count", "time_first", "time_last", "ttl_min", "ttl_max", "ttl_last"];

/// The Zeek logs of the test data.
pub(crate) fn zeek_logs() -> Data {
    Data::of("zeek-logs")
}

pub(crate) fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension() != Some(OsStr::new("tsv"))
            || path.to_string_lossy().contains("log")
        {
            found.push(path);
        }
    }
    found.sort();
}

/// What a script beside the tests prints.
fn python<'a>(script: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference"));
    let output = Command::new(crate::reference::interpreter())
        .arg("-B")
        .arg(folder.join(script))
        .args(arguments)
        .output()
        .expect("cargo xtask test makes a Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What the reference says of some logs: records and negative answers.
pub(crate) fn reference(logs: &[&Path]) -> (Rows, Rows) {
    let logs = logs.iter().map(|log| log.as_os_str());
    let said = python("zeek.py", [OsStr::new("--baseline")].into_iter().chain(logs));
    let said: Value = serde_json::from_slice(&said).unwrap();
    let rows = |part: &str| said[part].as_array().unwrap().iter().map(row).collect();
    (rows("records"), rows("negatives"))
}

/// Reads a log or a folder of logs to its end.
pub(crate) fn import(home: &Home, server: &Redis, path: &Path) -> Ended {
    let url = server.url();
    run(home.agent().args(["zeek", "--once", "--redis", &url]), &[path])
}

/// What a store holds: records and negative answers.
pub(crate) fn stored(home: &Home, url: &str) -> (Rows, Rows) {
    let rows = |arguments: &[&str]| {
        let common = ["--redis", url, "--limit", "0", "--format", "json"];
        let shown = run(&mut home.pdns(), &[arguments, &common].concat()).with(&[0, 1]);
        let lines: Vec<Value> =
            shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let rows: Rows = lines.iter().map(row).collect();
        assert_eq!(rows.len(), lines.len(), "a row is shown twice by {arguments:?}");
        rows
    };
    (rows(&["find"]), rows(&["unanswered", "--outcome", "any"]))
}

pub(crate) fn row(row: &Value) -> (Key, Numbers) {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    let rrtype = text("rrtype").unwrap_or_else(|| format!("TYPE{}", row["rrtype"]));
    let what = text("rdata").or_else(|| text("outcome")).expect("a row has rdata or an outcome");
    let partial = row["partial"].as_bool().unwrap_or(false);
    let key = (text("rrname").expect("a row has an rrname"), rrtype, what, partial);
    let mut numbers: Numbers =
        NUMBERS.iter().filter_map(|&name| Some((name, row[name].as_u64()?))).collect();
    if row["unsolicited"] == true {
        numbers.insert("unsolicited", 1);
    }
    (key, numbers)
}

#[track_caller]
pub(crate) fn assert_alike(what: &str, ours: &Rows, theirs: &Rows) {
    let mut differences = Vec::new();
    for key in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key))) {
        let (our, their) = (ours.get(key), theirs.get(key));
        if our != their {
            differences.push(format!("{key:?}\n  stored    {our:?}\n  reference {their:?}"));
        }
    }
    let count = differences.len();
    differences.truncate(10);
    assert!(count == 0, "{what}: {count} rows differ, such as\n{}", differences.join("\n"));
}

/// A log as Zeek wrote it: the golden logs of its own tests get a time where that was blanked out.
pub(crate) fn as_written(home: &Home, log: &Path) -> PathBuf {
    let content = fs::read(log).unwrap();
    if !content.starts_with(b"### BTest") {
        return log.to_owned();
    }
    let text = String::from_utf8_lossy(&content);
    let (_, body) = text.split_once('\n').unwrap();
    let body = body.replace("XXXXXXXXXX.XXXXXX", "1300000000.000000");
    home.write(&format!("golden/{}", log.file_name().unwrap().to_string_lossy()), body)
}

#[test]
fn each_log_is_stored_as_the_reference_reads_it() {
    let data = zeek_logs();
    let folder = &data.folder;
    let mut logs = Vec::new();
    files_below(folder, &mut logs);
    assert!(logs.len() > 50, "too few logs in {}", folder.display());
    if data.is_own {
        // The hours of the archive are alike, and the next test reads all of them.
        let is_first_hour = |log: &PathBuf| log.to_string_lossy().contains("dns.00");
        let is_archived = |log: &PathBuf| log.starts_with(folder.join("rita"));
        logs.retain(|log| is_first_hour(log) || !is_archived(log));
    }
    let (home, server) = (Home::new(), Redis::start());
    for log in logs {
        server.flush();
        let what = log.strip_prefix(folder).unwrap().display().to_string();
        let path = as_written(&home, &log);
        let ended = import(&home, &server, &path);
        let (their_records, their_negatives) = reference(&[&log]);
        // A log with nothing in it that was taken ends with 1; of one whose rows were all left out that is not known here.
        let is_empty = their_records.is_empty() && their_negatives.is_empty();
        // A broken file is one that could not be read.
        let is_broken = what.contains("corrupt");
        ended.with(match (is_broken, is_empty) {
            (true, _) => &[2],
            (false, true) => &[0, 1],
            (false, false) => &[0],
        });
        let (records, negatives) = stored(&home, &server.url());
        assert_alike(&what, &records, &their_records);
        assert_alike(&what, &negatives, &their_negatives);
    }
}

#[test]
fn an_archive_is_stored_as_the_reference_reads_it_and_only_once() {
    let archive = zeek_logs().folder.join("rita/archive-72h");
    let mut logs = Vec::new();
    files_below(&archive, &mut logs);
    let logs: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();
    let (their_records, their_negatives) = reference(&logs);
    let (home, server) = (Home::new(), Redis::start());
    for time in ["first", "second"] {
        import(&home, &server, &archive).with(&[0]);
        let (records, negatives) = stored(&home, &server.url());
        assert_alike(&format!("{time} import, records"), &records, &their_records);
        assert_alike(&format!("{time} import, negatives"), &negatives, &their_negatives);
    }
}

#[test]
fn odd_logs_are_stored_as_the_reference_reads_them() {
    let (home, server) = (Home::new(), Redis::start());
    for form in ["tsv", "json"] {
        server.flush();
        let odd = python("odd.py", ["1", "8000", form].map(OsStr::new));
        let path = home.write(&format!("dns.{form}.log"), odd);
        import(&home, &server, &path).with(&[0]);
        let (records, negatives) = stored(&home, &server.url());
        let (their_records, their_negatives) = reference(&[&path]);
        assert!(their_records.len() > 1000, "too little in it");
        assert_alike(&format!("odd {form}, records"), &records, &their_records);
        assert_alike(&format!("odd {form}, negatives"), &negatives, &their_negatives);
    }
}
