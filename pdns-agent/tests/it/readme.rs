//! The README and the documents: every command of `pdns` in them runs, and every test that the threat model names exists.

use crate::cli::Site;
use crate::run::run;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder of this package.
fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README, and each of the documents.
fn documents() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(package().join("docs")).expect("the documents are there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.sort();
    paths.insert(0, package().join("../README.md"));
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of `sh` blocks that begin with `pdns`, without their comments; but for the server's, which comes to no end.
fn questions(text: &str) -> Vec<String> {
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```sh";
        } else if inside && line.starts_with("pdns ") && !line.starts_with("pdns serve") {
            // A server never ends, and has tests of its own.
            lines.push(line.split(" #").next().unwrap_or(line).trim_end().to_owned());
        }
    }
    lines
}

#[test]
fn every_question_in_the_documents_can_be_asked() {
    let programs = Path::new(env!("CARGO_BIN_EXE_pdns")).parent().expect("a program has a folder");
    let mut path = OsString::from(programs);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut count = 0;
    for document in documents() {
        let questions = questions(&read(&document));
        if questions.is_empty() {
            continue;
        }
        // Each document is typed into a store of its own, as its reader may do.
        let site = Site::new();
        site.home.write("subjects.txt", "www.example.com\n192.0.2.8\n");
        site.home.write("list.txt", "bad.example\n");
        site.home.write("report.txt", "www.bad-host.com\n");
        for names in ["names.txt", "new-names.txt", "our-names.txt"] {
            site.home.write(names, "kdjfhgqwz.com\nwww.paypa1.com\n");
        }
        site.home.write("sets.txt", "kdjfhgqwz.com\nqwzkdjfh.net\n\nwww.example.com\n");
        for line in questions {
            let mut shell = site.shell();
            let ended = run(shell.env("PATH", &path), &["-c", &line]);
            assert!(
                matches!(ended.code, Some(0 | 1)),
                "{}: {line} ends with {:?}: {}",
                document.display(),
                ended.code,
                ended.stderr
            );
            count += 1;
        }
    }
    assert!(count > 50, "only {count} lines were found");
}

#[test]
fn every_test_in_the_threat_model_exists() {
    let text = read(&package().join("docs/threat-model.md"));
    let mut count = 0;
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let words: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        for pair in words.windows(2) {
            let &[file, test] = pair else { continue };
            let is_file = |word: &str| word.contains('/') && Path::new(word).extension().is_some();
            if !is_file(file) {
                continue;
            }
            assert!(!is_file(test), "{file} has no test beside it: {line}");
            let code = read(&package().join(file));
            let (before, _) = code
                .split_once(&format!("fn {test}("))
                .unwrap_or_else(|| panic!("there is no {test} in {file}"));
            // A property has its attribute within the macro, as a test has it.
            let attributes = before.rsplit_once('}').map_or(before, |(_, attributes)| attributes);
            assert!(attributes.contains("#[test]"), "{test} in {file} is no test");
            count += 1;
        }
    }
    assert!(count > 80, "only {count} tests were found");
    let threats = text.lines().filter(|line| line.starts_with("## ")).count();
    assert!(threats > 10, "only {threats} parts were found");
}
