//! `cargo xtask dist --zeek`: the Zeek package as a git repository named `pdns`, which zkg installs.
//!
//! zkg only installs the root of a git repository, and names the package after its folder. The folder `zeek/`
//! of this repository therefore becomes a separate repository.

use crate::python;
use crate::shell::{is_installed, root, run, target};
use crate::tidy;
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Scripts that must exist after an installation, below zkg's `script_dir`: as loaded in README.md, and by
/// the alias in zkg.meta.
const LOADED: [&str; 3] =
    ["packages/pdns/__load__.zeek", "packages/pdns/intel.zeek", "pdns/intel.zeek"];

/// Builds the repository in `target/dist/zeek`.
pub(crate) fn dist() -> anyhow::Result<()> {
    let package = build(&target()?.join("dist/zeek"))?;
    eprintln!("{}", package.display());
    Ok(())
}

/// Builds the repository in a folder and returns its path. An earlier one is replaced.
fn build(place: &Path) -> anyhow::Result<PathBuf> {
    let package = place.join("pdns");
    remove(&package)?;
    let root = root();
    for file in tidy::files(&root)? {
        if let Some(inner) = file.strip_prefix("zeek/") {
            copy(&root.join(&file), &package.join(inner))?;
        }
    }
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&root.join(license), &package.join(license))?;
    }
    let message = concat!("pdns for Zeek ", env!("CARGO_PKG_VERSION"));
    run(&mut git(&package, &["init", "--quiet", "--initial-branch=main", "--template="]))?;
    run(&mut git(&package, &["add", "--force", "--all"]))?;
    run(&mut git(&package, &["commit", "--quiet", "--no-verify", "--message", message]))?;
    Ok(package)
}

/// Installs the repository with zkg, twice, like an update. If Zeek is installed, zkg runs the package's
/// tests too.
pub(crate) fn test() -> anyhow::Result<()> {
    let place = target()?.join("dist/zeek-test");
    remove(&place)?;
    let config = place.join("zkg.config");
    let scripts = place.join("scripts");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let [state, plugins, programs] = ["state", "plugins", "bin"].map(|name| place.join(name));
    let settings = format!(
        "[sources]\n[templates]\n[paths]\nstate_dir = {}\nscript_dir = {}\nplugin_dir = {}\nbin_dir = {}\n",
        state.display(),
        scripts.display(),
        plugins.display(),
        programs.display()
    );
    fs::write(&config, settings).with_context(|| format!("cannot write {}", config.display()))?;
    let mut options = vec!["install", "--force"];
    if !is_installed("zeek") {
        eprintln!("skipping the tests within the Zeek package: there is no Zeek");
        options.push("--skiptests");
    }
    for _ in 0..2 {
        let package = build(&place)?;
        let mut zkg = Command::new(python::interpreter()?.with_file_name("zkg"));
        zkg.arg("--configfile").arg(&config).args(&options).arg(&package).env("HOME", &place);
        run(&mut zkg)?;
        for script in LOADED.map(|script| scripts.join(script)) {
            ensure!(script.is_file(), "zkg installed the package without {}", script.display());
        }
    }
    Ok(())
}

/// git in the package, independent of the caller and their settings.
fn git(package: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    for (key, value) in
        [("user.name", "pdns"), ("user.email", "pdns@localhost"), ("commit.gpgSign", "false")]
    {
        command.arg("-c").arg(format!("{key}={value}"));
    }
    // Set if a hook of the repository above runs this.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(package);
    command
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
