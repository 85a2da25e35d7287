//! Tests of `securityonion/`, including the analyst's notebook: Python, run with the programs that cargo just
//! built.

use crate::python;
use crate::shell::{cargo, root, run, target};
use std::process::Command;

/// Runs them; fails if one failed. Skipped tests report themselves.
pub(crate) fn test() -> anyhow::Result<()> {
    run(&mut cargo(&["build", "--quiet", "--package", "pdns-agent", "--bins"]))?;
    run(Command::new(python::interpreter()?)
        .arg(root().join("securityonion/tests/run.py"))
        .env("PDNS_BIN", target()?.join("debug/pdns")))
}
