//! The README's questions, each as it stands there.

use crate::cli::Site;
use crate::run::run;
use std::ffi::OsString;
use std::path::Path;

/// The lines of `sh` blocks that begin with `pdns`, without their comments; but for the server's, which comes to no end.
fn questions() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(path).expect("the README is there");
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && line.starts_with("pdns ") && !line.starts_with("pdns serve") {
            // A server never ends, and has tests of its own.
            lines.push(line.split(" #").next().unwrap_or(line).trim_end().to_owned());
        }
    }
    lines
}

#[test]
fn every_question_in_the_readme_can_be_asked() {
    let site = Site::new();
    site.home.write("subjects.txt", "www.example.com\n192.0.2.8\n");
    site.home.write("list.txt", "bad.example\n");
    let programs = Path::new(env!("CARGO_BIN_EXE_pdns")).parent().expect("a program has a folder");
    let mut path = OsString::from(programs);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let questions = questions();
    assert!(questions.len() > 10, "{questions:?}");
    for line in questions {
        let mut shell = site.shell();
        let ended = run(shell.env("PATH", &path), &["-c", &line]);
        assert!(
            matches!(ended.code, Some(0 | 1)),
            "{line} ends with {:?}: {}",
            ended.code,
            ended.stderr
        );
    }
}
