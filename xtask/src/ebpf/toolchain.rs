//! Finds a compiler that can build for the kernel's machine, or installs one.
//!
//! The target has no `core` of its own: it is built from source, which has to be that of the very compiler.
//! The linker reads the compiler's own LLVM code, so the two have to be of one LLVM version.

use crate::shell::{self, Need, cargo, run, said};
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The linker.
const LINKER: &str = "bpf-linker";
/// Its version that goes with LLVM 22.
const LINKER_VERSION: &str = "0.13.0";
/// Debian's compiler, beside whichever rustup has.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Where Debian has LLVM.
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
    /// The one that was used before if it is there; else one that is there; else one that can be installed.
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

    /// Compiler and linker, as they name themselves.
    pub(super) fn name(self) -> anyhow::Result<String> {
        let compiler = says(self.rustc().arg("--version"))?;
        let linker = says(Command::new(LINKER).arg("--version"))?;
        Ok(format!("{compiler}, {linker}"))
    }

    /// Where the compiler has its libraries and their sources.
    pub(super) fn sysroot(self) -> anyhow::Result<PathBuf> {
        let root = PathBuf::from(says(self.rustc().args(["--print", "sysroot"]))?);
        // Debian's is `/usr`, and too short to be told from others.
        Ok(if root == Path::new("/usr") { root.join("lib/rustlib") } else { root })
    }

    /// Cargo with this compiler.
    pub(super) fn cargo(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo"]);
                // What the cargo that runs this task has set would go before.
                command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
                command
            }
            Self::Debian => {
                let mut command = cargo(&[]);
                // The nightly options are used, on a stable compiler.
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

    /// Whether compiler, source and linker are there.
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
