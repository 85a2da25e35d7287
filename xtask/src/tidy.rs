//! `cargo xtask tidy`: rules that no other tool checks.

mod documents;

use crate::shell::{cargo, root, run};
use anyhow::{Context as _, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Maximum length of a source file, in lines.
const MAX_LINES: usize = 800;

/// Entries allowed at the top of the repository, besides names that begin with a dot.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "pdns-agent",
    "pdns-ebpf",
    "pdns-ebpf-common",
    "securityonion",
    "xtask",
    "zeek",
];

/// Suffixes of the files whose text is checked.
const TEXT: &[&str] = &["rs", "toml", "md", "py", "lua", "sh", "zeek", "yml", "yaml"];

/// Modules whose doc comments are checked: a path stands for its file `.rs` and everything below its folder.
const DOCUMENTED: &[&str] = &[
    "pdns-agent/src/agent",
    "pdns-agent/src/aggregate",
    "pdns-agent/src/analyze",
    "pdns-agent/src/atomic_file",
    "pdns-agent/src/cli",
    "pdns-agent/src/config",
    "pdns-agent/src/decode",
    "pdns-agent/src/exchange",
    "pdns-agent/src/exposition",
    "pdns-agent/src/file_lock",
    "pdns-agent/src/hash",
    "pdns-agent/src/name",
    "pdns-agent/src/observation",
    "pdns-agent/src/query",
    "pdns-agent/src/rdata",
    "pdns-agent/src/record",
    "pdns-agent/src/render",
    "pdns-agent/src/rr",
    "pdns-agent/src/serve",
    "pdns-agent/src/source",
    "pdns-agent/src/store",
    "pdns-agent/src/tag",
    "pdns-agent/src/time",
    "xtask/src",
];

/// Modules within those above that are not checked: their doc comments are the help of the command line, where a
/// flag may be described by a question word.
const HELP: &[&str] = &["pdns-agent/src/cli/args"];

/// Words that must not open a doc comment. They begin a clause that does not name the item, so that the
/// reader has to work out what the item is.
const OPENINGS: &[&str] =
    &["What", "Who", "Whom", "Whose", "Which", "How", "Where", "Whether", "When", "Why"];

/// Checks every file known to git; the error lists all violations.
pub(crate) fn tidy() -> anyhow::Result<()> {
    let root = root();
    let (mut wrong, mut documents) = (Vec::new(), BTreeMap::new());
    let files = files(&root)?;
    for file in &files {
        let top = file.split('/').next().unwrap_or("");
        if !top.starts_with('.') && !TOP_LEVEL.contains(&top) {
            wrong.push(format!("{file}: not allowed at the top level"));
        }
        let path = root.join(file);
        if TEXT.iter().any(|end| Path::new(file).extension().is_some_and(|has| has == *end)) {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
            check_text(file, &text, &mut wrong);
            if is_documented(file) {
                check_docs(file, &text, &mut wrong);
            }
            if Path::new(file).extension().is_some_and(|end| end == "md") {
                documents.insert(file.clone(), text);
            }
        }
    }
    run(&mut cargo(&["build", "--quiet", "--workspace", "--bins"]))?;
    documents::check(&documents, &files, &mut wrong)?;
    crate::bench::report::check(&root, &mut wrong)?;
    if wrong.is_empty() {
        eprintln!("tidy: {} files checked", files.len());
        return Ok(());
    }
    for line in &wrong {
        eprintln!("{line}");
    }
    bail!("tidy: {} problems", wrong.len())
}

/// Files that are in git, and those that `git add .` would add.
pub(crate) fn files(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    // A file that was deleted but not yet committed is still listed.
    Ok(names
        .split_terminator('\0')
        .filter(|name| root.join(name).is_file())
        .map(str::to_owned)
        .collect())
}

fn check_text(file: &str, text: &str, wrong: &mut Vec<String>) {
    let is_rust = Path::new(file).extension().is_some_and(|end| end == "rs");
    if is_rust && !text.starts_with("//!") {
        wrong.push(format!("{file}: must begin with `//!` that says what it is for"));
    }
    let lines = text.lines().count();
    if is_rust && lines > MAX_LINES {
        wrong.push(format!("{file}: {lines} lines, more than {MAX_LINES}: split it"));
    }
    for (at, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            wrong.push(format!("{file}:{}: space at the end of the line", at + 1));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        wrong.push(format!("{file}: no newline at the end"));
    }
}

/// Returns true if the doc comments of a file are checked.
fn is_documented(file: &str) -> bool {
    let Some(module) = file.strip_suffix(".rs") else { return false };
    let is_in = |path: &&str| {
        module.strip_prefix(*path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    DOCUMENTED.iter().any(is_in) && !HELP.iter().any(is_in)
}

/// Checks that no doc comment opens with one of [`OPENINGS`].
fn check_docs(file: &str, text: &str, wrong: &mut Vec<String>) {
    let mut before = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let mark = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark));
        if let Some(mark) = mark.filter(|_| mark != before) {
            let opening = line[mark.len()..].split_whitespace().next().unwrap_or("");
            let word = opening.trim_end_matches(|char: char| !char.is_ascii_alphabetic());
            if OPENINGS.contains(&word) {
                wrong.push(format!(
                    "{file}:{}: a doc comment opens with {word:?}: name the item, or say what it does",
                    at + 1
                ));
            }
        }
        before = mark;
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_faults_are_named_with_their_place() {
        let mut wrong = Vec::new();
        check_text("a.rs", "//! Fine.\nfn a() {}\n", &mut wrong);
        assert_eq!(wrong, Vec::<String>::new());
        check_text("a.rs", "fn a() {} \nno newline", &mut wrong);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        check_text("long.rs", &format!("//!{}", "\n".repeat(MAX_LINES + 1)), &mut wrong);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
    }

    #[test]
    fn doc_comments_open_with_the_item() {
        let mut wrong = Vec::new();
        let text = "//! Where it is.\n\n/// Number of\n/// What they have.\nfn a() {}\n    /// Whether.\n/// x\n";
        check_docs("a.rs", text, &mut wrong);
        let places: Vec<&str> = wrong.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(places, ["a.rs:1", "a.rs:6"], "{wrong:?}");
        wrong.clear();
        check_docs(
            "a.rs",
            "// What a comment says.\n/// Whoever reads it.\n////// Why\n",
            &mut wrong,
        );
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    fn the_doc_comments_of_a_module_and_of_those_below_are_checked() {
        for file in ["xtask/src/tidy.rs", "pdns-agent/src/name.rs", "pdns-agent/src/name/labels.rs"]
        {
            assert!(is_documented(file), "{file}");
        }
        for file in [
            "pdns-agent/src/names.rs",
            "pdns-agent/src/lib.rs",
            "pdns-agent/src/name/a.toml",
            "pdns-agent/src/cli/args/tag.rs",
        ] {
            assert!(!is_documented(file), "{file}");
        }
    }
}
