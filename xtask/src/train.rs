//! `cargo xtask train`: makes the model that comes with `pdns` from lists that may be passed on.
//!
//! The same lists give the same octets. Lists of which the terms are unknown or forbid to pass on what is derived from
//! them are left out by the source that each line names; see `pdns-agent/NOTICE`.

use crate::shell::{cargo, root, run, said, target};
use anyhow::{Context as _, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lists below the folder with the data, and the SHA-256 that they must have.
const INPUTS: &[(&str, &str)] = &[
    ("train/benign.tsv", "c1c6d92cae1d1737cf03f2ef3112b426412675fcb51ee17476335d33f85be32a"),
    ("train/dga.tsv", "6443aefef1ffc9d36c2e0a1a874cf50d4d0a33da9fc632915d1f5650c6587153"),
];
/// Sources of good names that may be passed on: the second column of the list.
const GOOD: &[&str] = &["alexa13", "tranco25", "majestic23", "cisco26"];
/// Sources of bad names that may be: the fourth column.
const BAD: &[&str] = &["bj", "wb"];
/// Labels in the shape of each published algorithm, which stand for the lists that are left out.
const GENERATED: &str = "600";
/// The model that comes with the program.
const MODEL: &str = "pdns-agent/src/analyze/model.bin";
/// Its dictionary.
const WORDS: &str = "pdns-agent/data/words.txt";
/// Largest model that comes with the program, in octets.
const MAX_MODEL: u64 = 3 << 20;

/// Options of `cargo xtask train`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with train/benign.tsv and train/dga.tsv
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Compare with the model in the repository instead of replacing it
    #[arg(long)]
    check: bool,
}

/// Trains the model.
pub(crate) fn train(args: &Args) -> anyhow::Result<()> {
    for (name, digest) in INPUTS {
        let path = args.data.join(name);
        let sum = said(Command::new("sha256sum").arg(&path))?;
        let found = sum.split_whitespace().next().unwrap_or_default();
        ensure!(found == *digest, "{}: SHA-256 is {found}, not {digest}", path.display());
    }
    let folder = target()?.join("train");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (good, bad) = (folder.join("good.tsv"), folder.join("bad.tsv"));
    keep(&args.data.join("train/benign.tsv"), 1, GOOD, &good)?;
    keep(&args.data.join("train/dga.tsv"), 3, BAD, &bad)?;
    let made = folder.join("model.bin");
    let mut train =
        cargo(&["run", "--release", "--quiet", "-p", "pdns-agent", "--bin", "pdns", "--", "train"]);
    train.arg("--good").arg(&good).arg("--bad").arg(&bad).arg("--out").arg(&made);
    train.arg("--words").arg(root().join(WORDS)).args([
        "--generated",
        GENERATED,
        "--format",
        "table",
    ]);
    train.args(["--note", "sources and licences: NOTICE"]);
    run(&mut train)?;
    let size = fs::metadata(&made)?.len();
    ensure!(size <= MAX_MODEL, "the model has {size} bytes, more than {MAX_MODEL}");
    let kept = root().join(MODEL);
    if args.check {
        if fs::read(&made)? != fs::read(&kept)? {
            bail!("{} differs from {MODEL}", made.display());
        }
        return Ok(());
    }
    fs::copy(&made, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
    Ok(())
}

/// Copies the first two columns of the lines whose source may be passed on.
fn keep(from: &Path, column: usize, sources: &[&str], to: &Path) -> anyhow::Result<()> {
    let text =
        fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    let lines = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let source = fields.get(column)?;
        let (name, group) = (fields.first()?, fields.get(1)?);
        sources.contains(source).then(|| format!("{name}\t{group}\n"))
    });
    let kept: String = lines.collect();
    fs::write(to, kept).with_context(|| format!("cannot write {}", to.display()))
}
