//! Suricata's logs through the programs and the store, against an independent reader of the format.
//!
//! The logs are real ones, of version 2, detailed and grouped, and version 3; and ones that are odd in every line
//! (`tests/reference/odd_eve.py`). What is stored is what `tests/reference/eve.py` says, and so is what became of the
//! lines. `pairs` holds the same logs to their captures; `suricata/follow.rs` follows logs that grow.

#[cfg(test)]
mod follow;

use crate::corpus::{Rows, assert_alike, files_below, row, stored};
use crate::redis::Redis;
use crate::reference::{octets, python, python_json};
use crate::run::{Ended, Home, run};
use crate::support::Data;
use pdns_agent::decode::Tally;
use pdns_agent::decode::suricata::SuricataDecoder;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `pdns-agent suricata` for a store, with little memory and one sensor name for all.
pub(crate) fn suricata(home: &Home, url: &str) -> Command {
    let mut command = home.agent();
    command.args(["suricata", "--redis", url, "--sensor", "test", "--memory", "4"]);
    command
}

/// Reads logs to their end.
pub(crate) fn import(home: &Home, server: &Redis, paths: &[&Path]) -> Ended {
    run(suricata(home, &server.url()).arg("--once"), paths)
}

/// What a fresh store holds after an import of some logs, which must end well.
pub(crate) fn imported(home: &Home, server: &Redis, paths: &[&Path]) -> (Rows, Rows) {
    server.flush();
    import(home, server, paths).with(&[0]);
    let (records, negatives) = stored(home, &server.url());
    (octets(records), negatives)
}

/// What the reference says of some logs together.
fn reference(logs: &[&Path]) -> (Rows, Rows, Value) {
    let logs = logs.iter().map(|log| log.as_os_str());
    let arguments: Vec<&OsStr> = [OsStr::new("--rows")].into_iter().chain(logs).collect();
    let said = python_json("eve.py", &arguments, &[]);
    let rows = |part: &str| said[part].as_array().unwrap().iter().map(row).collect();
    (rows("records"), rows("negatives"), said["lines"].clone())
}

/// What the decoder says became of the lines of some logs.
fn lines(logs: &[&Path]) -> Value {
    let mut decoder = SuricataDecoder::default();
    for log in logs {
        let content = fs::read(log).unwrap();
        let content = content.strip_suffix(b"\n").unwrap_or(&content);
        for line in content.split(|&octet| octet == b'\n') {
            // Bad lines are counted, too.
            decoder.line(line, &mut |_| {}).ok();
        }
    }
    let tally: &Tally = decoder.tally();
    assert_eq!(tally.lines, tally.endings());
    let mut said = serde_json::to_value(tally).unwrap();
    for only_zeeks in ["directives", "ttl_mismatches"] {
        assert_eq!(said.as_object_mut().unwrap().remove(only_zeeks), Some(0.into()));
    }
    said
}

#[track_caller]
fn is_stored_as_the_reference_reads_it(what: &str, logs: &[&Path]) {
    let (home, server) = (Home::new(), Redis::start());
    let (records, negatives) = imported(&home, &server, logs);
    let (their_records, their_negatives, their_lines) = reference(logs);
    assert_eq!(lines(logs), their_lines, "{what}");
    assert_alike(&format!("{what}, records"), &records, &their_records);
    assert_alike(&format!("{what}, negatives"), &negatives, &their_negatives);
    assert!(records.len() > 50 && !negatives.is_empty(), "{what}: too little in it");
}

#[test]
fn each_form_is_stored_as_the_reference_reads_it() {
    let folder = Data::of("suricata-eve").folder;
    for form in ["v2d", "v2g", "v3d"] {
        let mut logs = Vec::new();
        files_below(&folder.join(form), &mut logs);
        let logs: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();
        is_stored_as_the_reference_reads_it(form, &logs);
    }
}

#[test]
fn odd_logs_are_stored_as_the_reference_reads_them() {
    let home = Home::new();
    let odd = python("odd_eve.py", &["1", "6000"].map(OsStr::new), &[]);
    let path = home.write("eve.json", odd);
    is_stored_as_the_reference_reads_it("odd lines", &[&path]);
}

#[test]
fn logs_are_found_in_folders_and_by_patterns_and_counted_once() {
    let (home, server) = (Home::new(), Redis::start());
    let event = |at: u32| follow::event(&mut fastrand::Rng::with_seed(1), at);
    let log: String = (0..200).map(event).collect();
    home.write("logs/eve-2026-01-01-00:00.json", &log);
    home.write("logs/eve-2026-01-01-01:00.json.gz", crate::logs::gzip(log.as_bytes()));
    home.write("logs/dns.log", "no log of Suricata's\n");
    let folder = home.path().join("logs");
    let (records, negatives) = imported(&home, &server, &[&folder]);
    let (theirs, their_negatives, _) = reference(&[&folder.join("eve-2026-01-01-00:00.json")]);
    assert_alike("a folder, records", &records, &theirs);
    assert_alike("a folder, negatives", &negatives, &their_negatives);
    let again = import(&home, &server, &[&folder.join("eve*.json*")]);
    // Either of the two copies may have been read first.
    let said = ["unchanged since the last run", "already read as"];
    assert!(said.iter().any(|said| again.stderr.contains(said)), "{}", again.stderr);
    assert!(again.stderr.contains("0 lines of 0 logs"), "{}", again.stderr);
    assert_alike("again", &octets(stored(&home, &server.url()).0), &theirs);
}

#[test]
fn lines_that_are_not_taken_are_told_with_file_number_and_reason() {
    let (home, server) = (Home::new(), Redis::start());
    let mut random = fastrand::Rng::with_seed(2);
    let mut good = |at: u32| follow::event(&mut random, at);
    let first = good(1);
    let flow = r#"{"timestamp":"2026-01-01T00:00:00.000000+0000","event_type":"flow","flow":{}}"#;
    let deep = "[".repeat(200_000);
    let long = "x".repeat(2 << 20);
    let bad_time = first.replace("+0000", "");
    let log = format!("{first}{flow}\n{{torn\n\n{deep}\n{long}\n{bad_time}{}", good(2));
    let path = home.write("eve.json", log);
    let ended = import(&home, &server, &[&path]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = &ended.stderr;
    for (line, reason) in [
        (3, "not a JSON object of a log record"),
        (5, "not a JSON object of a log record"),
        (7, "the time is missing or cannot be read"),
    ] {
        let told = text.lines().any(|told| {
            told.contains(&format!("\"line\":{line}"))
                && told.contains(reason)
                && told.contains("eve.json")
        });
        assert!(told, "line {line} is not told: {text}");
    }
    for part in [
        "8 lines of 1 log: 2 DNS records",
        "1 line about something else than DNS",
        "1 line longer than 1 MiB, skipped",
        "2 lines not taken: not a JSON object",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
