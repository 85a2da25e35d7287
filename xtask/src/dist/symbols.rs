//! The package with the debug symbols of the programs, which the main package has stripped.

use super::stage::Stage;
use crate::shell::{run, said};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The symbols of the programs, in the place where debuggers look for them.
pub(super) struct Symbols {
    stage: Stage,
}

impl Symbols {
    /// Creates an empty package.
    pub(super) fn begin(folder: PathBuf) -> anyhow::Result<Self> {
        Ok(Self { stage: Stage::begin(folder, Vec::new())? })
    }

    /// Adds the symbols of a program under its build ID.
    pub(super) fn add(&self, program: &Path) -> anyhow::Result<()> {
        let notes = said(Command::new("readelf").arg("--notes").arg(program))?;
        let id =
            notes.split_once("Build ID: ").and_then(|(_, rest)| rest.split_whitespace().next());
        let id = id.with_context(|| format!("{} has no build ID", program.display()))?;
        let (head, tail) = id.split_at_checked(2).context("a build ID is longer")?;
        let path = self.stage.path(&format!("usr/lib/debug/.build-id/{head}/{tail}.debug"));
        let folder = path.parent().context("a file has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        run(Command::new("objcopy")
            .args(["--only-keep-debug", "--compress-debug-sections"])
            .arg(program)
            .arg(&path))
    }

    /// Builds the package.
    pub(super) fn build(
        &self,
        place: &Path,
        version: &str,
        architecture: &str,
        maintainer: &str,
        compression: [&str; 2],
    ) -> anyhow::Result<()> {
        let size = self.stage.size()?.div_ceil(1024);
        let control = format!(
            "Package: pdns-dbgsym\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer}\n\
             Installed-Size: {size}\nDepends: pdns (= {version})\nSection: debug\nPriority: optional\n\
             Description: debug symbols for pdns\n \
             For debuggers and backtraces of pdns and pdns-agent.\n"
        );
        self.stage.write("DEBIAN/control", &control, 0o644)?;
        self.stage.sums()?;
        let out = place.join(format!("pdns-dbgsym_{version}_{architecture}.deb"));
        run(Command::new("dpkg-deb")
            .arg("--root-owner-group")
            .args(compression)
            .arg("--build")
            .arg(self.stage.root())
            .arg(out))
    }
}
