//! Finds a compiler for the BPF target, or installs one.
//!
//! The target has no precompiled `core`: it is built from source, which must match the compiler exactly. The
//! linker reads the compiler's LLVM bitcode, so both must use the same LLVM version.

use crate::shell::{self, Need, cargo, run, said};
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The linker.
const LINKER: &str = "bpf-linker";
/// Version of the linker that works with LLVM 22.
const LINKER_VERSION: &str = "0.13.0";
/// Debian's compiler, independent of rustup's.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Location of Debian's LLVM.
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";
/// Debian's packages.
const DEBIAN: &[Need] = &[
    Need { program: "/usr/bin/rustc", package: "rustc-web" },
    Need { program: "/usr/lib/rustlib/src/rust/library/core/Cargo.toml", package: "rust-web-src" },
    Need { program: "/usr/lib/llvm-22/bin/llvm-config", package: "llvm-22-dev" },
];

/// A compiler with the source of its `core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// rustup's nightly with the component `rust-src`.
    Nightly,
    /// Debian's `rustc-web` with `rust-web-src`.
    Debian,
}

impl Toolchain {
    /// The toolchain that was used before if it is available; else an available one; else one that can be
    /// installed.
    pub(super) fn find(before: Option<&str>) -> anyhow::Result<Self> {
        let all = [Self::Nightly, Self::Debian];
        let present: Vec<Self> = all.into_iter().filter(|one| one.is_complete()).collect();
        let same =
            |one: &&Self| before.is_some_and(|name| one.name().is_ok_and(|this| this == name));
        if let Some(one) = present.iter().find(same).or(present.first()) {
            return Ok(*one);
        }
        let mut reasons = Vec::new();
        for one in all {
            match one.install() {
                Ok(()) if one.is_complete() => return Ok(one),
                Ok(()) => reasons.push(format!("{one:?}: incomplete after it was installed")),
                Err(error) => reasons.push(format!("{one:?}: {error:#}")),
            }
        }
        bail!("no toolchain for BPF can be had ({})", reasons.join("; "))
    }

    /// Versions of compiler and linker, as they report them.
    pub(super) fn name(self) -> anyhow::Result<String> {
        let compiler = says(self.rustc().arg("--version"))?;
        let linker = says(Command::new(LINKER).arg("--version"))?;
        Ok(format!("{compiler}, {linker}"))
    }

    /// Folder of the compiler's libraries and their sources.
    pub(super) fn sysroot(self) -> anyhow::Result<PathBuf> {
        let root = PathBuf::from(says(self.rustc().args(["--print", "sysroot"]))?);
        // Debian's is `/usr`, which is too short to be distinctive.
        Ok(if root == Path::new("/usr") { root.join("lib/rustlib") } else { root })
    }

    /// Cargo with this compiler.
    pub(super) fn cargo(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo"]);
                // Variables set by the cargo that runs this task would take precedence.
                command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
                command
            }
            Self::Debian => {
                let mut command = cargo(&[]);
                // Enables nightly options on a stable compiler.
                command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    fn rustc(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "rustc"]);
                command
            }
            Self::Debian => Command::new(DEBIAN_RUSTC),
        }
    }

    /// Returns true if compiler, source and linker are available.
    fn is_complete(self) -> bool {
        let source = "src/rust/library/core/Cargo.toml";
        let has_source = self.sysroot().is_ok_and(|root| {
            root.join(source).is_file() || root.join("lib/rustlib").join(source).is_file()
        });
        has_source && shell::is_installed(LINKER)
    }

    fn install(self) -> anyhow::Result<()> {
        match self {
            Self::Nightly => {
                if !shell::is_installed("rustup") {
                    bail!("there is no rustup here");
                }
                run(Command::new("rustup").args(["toolchain", "install", "nightly"]).args([
                    "--profile",
                    "minimal",
                    "--component",
                    "rust-src",
                ]))?;
                if !shell::is_installed(LINKER) {
                    run(&mut cargo(&["install", LINKER, "--locked"]))?;
                }
            }
            Self::Debian => {
                shell::install(DEBIAN)?;
                if !shell::is_installed(LINKER) {
                    run(cargo(&["install", LINKER, "--version", LINKER_VERSION, "--locked"])
                        .args(["--no-default-features", "--features", "llvm-22"])
                        .env("LLVM_PREFIX", DEBIAN_LLVM))?;
                }
            }
        }
        Ok(())
    }
}

/// The first line that a program prints.
fn says(command: &mut Command) -> anyhow::Result<String> {
    let text = said(command)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
