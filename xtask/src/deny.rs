//! `cargo xtask deny`: licences and origins of all dependencies, and known vulnerabilities, by cargo-deny.
//!
//! Nothing is fetched. Advisories are checked against a copy of the `RustSec` database where there is one, and its date is
//! shown: a check against an old copy finds nothing new. Without a copy, that is said, and the other checks are made.

use crate::shell::{cargo, root, run, said};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Version that is installed if cargo-deny is missing.
const VERSION: &str = "0.20.2";
/// Settings, from the top of the repository.
const SETTINGS: &str = ".config/deny.toml";
/// Variable that names the folder of the copies, as `cargo deny fetch` makes it.
const VARIABLE: &str = "PDNS_ADVISORIES";

/// Checks all dependencies; an error if one must not be used.
pub(crate) fn deny() -> anyhow::Result<()> {
    install()?;
    let settings = root().join(SETTINGS);
    check(&settings, &["licenses", "bans", "sources"])?;
    let folder = folder();
    let Some(copy) = folder.as_deref().and_then(copy_in) else {
        let shown = folder.unwrap_or_default();
        eprintln!(
            "advisories are NOT checked: there is no copy of the RustSec database in {}. `cargo deny fetch` makes one where \
             the network allows it; {VARIABLE} names another folder",
            shown.display()
        );
        return Ok(());
    };
    let date = date(&copy).with_context(|| format!("{} is not a git copy", copy.display()))?;
    eprintln!("advisories of {date}, from {}", copy.display());
    let text = fs::read_to_string(&settings)
        .with_context(|| format!("cannot read {}", settings.display()))?;
    let own = root().join("target/deny.toml");
    let parent = copy.parent().unwrap_or(&copy);
    fs::write(&own, with_copy(&text, parent))
        .with_context(|| format!("cannot write {}", own.display()))?;
    check(&own, &["advisories"])
}

/// Settings that say where the copy is: their last section is the one of the advisories.
fn with_copy(settings: &str, folder: &Path) -> String {
    format!("{settings}db-path = {:?}\n", folder.display().to_string())
}

/// Runs some checks.
fn check(settings: &Path, checks: &[&str]) -> anyhow::Result<()> {
    let mut deny = cargo(&["deny", "--workspace", "--all-features", "--locked", "--offline"]);
    deny.args(["--log-level", "error", "check", "--hide-inclusion-graph", "--disable-fetch"]);
    run(deny.arg("--config").arg(settings).args(checks))
}

/// Builds cargo-deny if it is missing. It reads some files, so a build for speed is not worth its time.
fn install() -> anyhow::Result<()> {
    if cargo(&["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    eprintln!(
        "cargo-deny checks the dependencies and is missing; it is built once, which takes some minutes"
    );
    run(&mut cargo(&["install", "cargo-deny", "--version", VERSION, "--locked", "--debug"]))
        .context("install cargo-deny by hand: https://embarkstudios.github.io/cargo-deny/")
}

/// Folder of the copies: the one that was named, or where cargo-deny puts them.
fn folder() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let home = || {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))
    };
    named.or_else(|| Some(home()?.join("advisory-dbs")))
}

/// The copy in a folder, which has the name of its origin and a digest.
fn copy_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut copies = entries.filter_map(|entry| Some(entry.ok()?.path()));
    copies.find(|path| path.join(".git").exists())
}

/// Date of the last change in a copy.
fn date(copy: &Path) -> anyhow::Result<String> {
    said(Command::new("git").arg("-C").arg(copy).args(["log", "-1", "--format=%cs"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_end_with_the_advisories() {
        let text = fs::read_to_string(root().join(SETTINGS)).unwrap();
        let last = text.lines().rfind(|line| line.starts_with('['));
        assert_eq!(last, Some("[advisories]"), "db-path would go into another section");
        assert!(with_copy(&text, Path::new("/a b")).ends_with("\ndb-path = \"/a b\"\n"));
    }

    #[test]
    fn a_folder_without_a_copy_has_none() {
        assert_eq!(copy_in(Path::new("/nonexistent")), None);
        assert_eq!(copy_in(&root().join("xtask")), None);
    }
}
