//! Python packages required by the tests' scripts, in a separate folder below the target directory.

use crate::shell::{run, target};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages that the scripts below `pdns-agent/tests/reference` and `securityonion` import, and zkg, which
/// installs the Zeek package with btest, in the versions for which they were written.
const PACKAGES: &[&str] = &[
    "btest==1.3",
    "coverage==7.17.3",
    "dnsdb2==1.2.0",
    "dnspython==2.9.2",
    "dnstwist==20250130",
    "ipykernel==7.4.0",
    "jinja2==3.1.6",
    "matplotlib==3.11.2",
    "maxminddb==3.2.0",
    "medallion==3.0.0",
    "misp-modules==3.1.1",
    "mmdb-writer==0.2.7",
    "nbconvert==7.17.2",
    "pandas==3.1.1",
    "publicsuffixlist==1.1.2.20261023",
    "pypdns==2.3.2",
    "pyyaml==6.0.3",
    // Without it pypdns fails to decode every line.
    "requests-cache==1.3.3",
    "scapy==2.8.0",
    "schemathesis==4.32.5",
    "scikit-learn==1.9.1",
    "selenium==4.51.0",
    "stix2==3.0.2",
    "stix2-patterns==2.1.2",
    "stix2-validator==3.3.2",
    "tree-sitter==0.25.2",
    "tree-sitter-zeek==0.2.15",
    "zkg==3.2.0",
];

/// The interpreter that can import these packages.
pub(crate) fn interpreter() -> anyhow::Result<PathBuf> {
    Ok(target()?.join("python/bin/python3"))
}

/// Creates the folder, unless it already exists with the same packages.
pub(crate) fn install() -> anyhow::Result<()> {
    let folder = target()?.join("python");
    let note = folder.join("pdns-packages");
    let packages = PACKAGES.join("\n");
    if std::fs::read_to_string(&note).is_ok_and(|there| there == packages) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("install the package python3-venv, then run this again")?;
    run(Command::new(folder.join("bin/python3"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES))
    .context("the tests need packages from PyPI: run this once where it can be reached")?;
    write(&note, &packages)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
