//! The Zeek package: its scripts, as far as they can be checked without Zeek, and what it writes.
//!
//! `tests/reference/package.py` is the package's logic told again in Python.

use crate::reference::interpreter;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package.
fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../zeek")
}

/// A script of the reference, to be run.
fn script(name: &str) -> Command {
    let mut command = Command::new(interpreter());
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name));
    command
}

#[test]
fn scripts_parse_and_use_what_zeek_declares() {
    let output = script("scripts.py").arg(package()).output().expect("cargo xtask test has Python");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(3) {
        println!("skipping scripts_parse_and_use_what_zeek_declares: no parser of Zeek scripts: {said}");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "");
}

#[test]
fn the_trace_of_the_packages_tests_is_the_one_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let output = script("captures.py").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = fs::read(folder.path().join("package.pcap")).unwrap();
    let kept = fs::read(package().join("tests/Traces/answers.pcap")).unwrap();
    assert!(made == kept, "copy package.pcap, which captures.py makes, to zeek/tests/Traces");
}
