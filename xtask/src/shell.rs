//! Runs other programs, and installs the few that are required.

use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A program and the Debian package that contains it.
pub(crate) struct Need {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// The store.
pub(crate) const REDIS: Need = Need { program: "redis-server", package: "redis-server" };

/// The top of the repository: above the package as cargo finds it now, because a checkout can be moved after
/// it was built.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().unwrap_or(&manifest).to_owned()
}

/// Directory of cargo's build: two levels above this program, `<target>/<profile>/xtask`.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let target = program.parent().and_then(Path::parent);
    Ok(target.context("this program lies outside a target directory")?.to_owned())
}

/// The cargo that runs this task, at the top of the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs one step of a task, and reports its duration.
pub(crate) fn timed(step: &str, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let begin = Instant::now();
    let result = run();
    let outcome = if result.is_ok() { "took" } else { "failed after" };
    eprintln!("{step} {outcome} {} s", begin.elapsed().as_secs());
    result
}

/// Prints a command and runs it; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if status.success() { Ok(()) } else { bail!("{shown}: {status}") }
}

/// Output of a program, without the trailing newline; an error if it fails.
pub(crate) fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Returns true if this is root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A command as a user would type it, with the program's bare name.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args()).map(quoted);
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&octet);
    if !text.is_empty() && text.bytes().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Returns true if a program is in the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let standard = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(standard).any(|folder| folder.join(program).is_file())
}

/// Installs the packages of missing programs with apt-get; fails if one is still missing afterwards.
pub(crate) fn install(needs: &[Need]) -> anyhow::Result<()> {
    let absent = || needs.iter().filter(|need| !is_installed(need.program));
    let missing: Vec<&str> = absent().map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let by_hand = format!("install {list} with this system's package manager, then run this again");
    if !is_installed("apt-get") {
        bail!("{list} is missing and there is no apt-get here: {by_hand}");
    }
    let is_root = is_root();
    if !is_root && !is_installed("sudo") {
        bail!("{list} is missing, and only root or sudo can install it: {by_hand}");
    }
    eprintln!("installing with apt-get: {list}");
    if missing.contains(&REDIS.package) && !is_installed(REDIS.program) {
        eprintln!(
            "Debian starts a Redis of its own with it, on 127.0.0.1:6379. pdns does not use that one; \
             `systemctl disable --now redis-server` turns it off."
        );
    }
    apt_get(is_root, &["update"])?;
    apt_get(
        is_root,
        &[["install", "--yes", "--no-install-recommends"].as_slice(), &missing].concat(),
    )
    .with_context(|| by_hand)?;
    if let Some(need) = absent().next() {
        bail!(
            "{} is not there, though the package {} is installed: put it into the search path",
            need.program,
            need.package
        );
    }
    Ok(())
}

fn apt_get(is_root: bool, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(if is_root { "env" } else { "sudo" });
    if !is_root {
        command.arg("env");
    }
    run(command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_typed() {
        let mut command = Command::new("/somewhere/pdns");
        command.args(["find", "it's", "", "a=b", "*.example.com"]);
        assert_eq!(shown(&command), r"pdns find 'it'\''s' '' a=b '*.example.com'");
    }

    #[test]
    fn finds_what_is_there() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program"));
    }
}
