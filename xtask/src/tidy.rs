//! `cargo xtask tidy`: what no other tool checks.

mod documents;

use crate::shell::{cargo, root, run};
use anyhow::{Context as _, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Longest source file, in lines.
const MAX_LINES: usize = 800;

/// What may lie at the top of the repository, beside names that begin with a dot.
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

/// Files whose text is checked, by the end of their names.
const TEXT: &[&str] = &["rs", "toml", "md", "py", "lua", "sh", "zeek", "yml", "yaml"];

/// Checks every file that git knows; an error that lists all that is wrong.
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
            if Path::new(file).extension().is_some_and(|end| end == "md") {
                documents.insert(file.clone(), text);
            }
        }
    }
    run(&mut cargo(&["build", "--quiet", "--workspace", "--bins"]))?;
    documents::check(&documents, &files, &mut wrong)?;
    if wrong.is_empty() {
        eprintln!("tidy: {} files checked", files.len());
        return Ok(());
    }
    for line in &wrong {
        eprintln!("{line}");
    }
    bail!("tidy: {} things are wrong", wrong.len())
}

/// Files that are in git, and those that would be with `git add .`.
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
    // A file that was deleted and not yet committed is still listed.
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
}
