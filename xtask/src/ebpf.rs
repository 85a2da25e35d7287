//! `cargo xtask build-ebpf`: builds the socket filter for the BPF target, and stores the object in the
//! repository.
//!
//! A stable Rust toolchain cannot build it, because the target comes without `core`. The object is therefore
//! kept in the repository and embedded in the agent. Whoever changes the program must rebuild the object, and
//! `cargo xtask test` fails if the two do not match.

mod object;
mod toolchain;

use crate::shell::{root, run, target};
use anyhow::{Context as _, bail};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::fs;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use toolchain::Toolchain;

/// The object in the repository, and the note about it.
const OBJECT: &str = "pdns-ebpf/pdns.bpf.o";
const NOTE: &str = "pdns-ebpf/pdns.bpf.toml";

/// Sources of the program, without the workspace's manifest, which changes too often.
const SOURCES: &[&str] = &[
    "pdns-ebpf/Cargo.toml",
    "pdns-ebpf/Cargo.lock",
    "pdns-ebpf/src",
    "pdns-ebpf-common/Cargo.toml",
    "pdns-ebpf-common/src",
];

/// Builds the object with an available or installable toolchain, and stores it.
pub(crate) fn build() -> anyhow::Result<()> {
    let toolchain = Toolchain::find(kept().ok().map(|note| note.toolchain).as_deref())?;
    let built = compile(toolchain)?;
    let note = Note { toolchain: toolchain.name()?, sources: hash(&root())? };
    write(&root().join(OBJECT), &built)?;
    write(&root().join(NOTE), note.to_string().as_bytes())?;
    eprintln!("{OBJECT}: {} octets, by {}", built.len(), note.toolchain);
    Ok(())
}

/// Fails if the object in the repository does not match the sources.
pub(crate) fn check() -> anyhow::Result<()> {
    let note = kept()?;
    if note.sources != hash(&root())? {
        bail!("{OBJECT} was made from other sources than these; run `cargo xtask build-ebpf`");
    }
    let toolchain = match Toolchain::find(Some(&note.toolchain)) {
        Ok(toolchain) => toolchain,
        Err(error) => {
            eprintln!("skipping ebpf build: {error:#}; only the hash of its sources was compared");
            return Ok(());
        }
    };
    let name = toolchain.name()?;
    let built = compile(toolchain)?;
    let file = fs::read(root().join(OBJECT)).with_context(|| format!("cannot read {OBJECT}"))?;
    let differences = object::differences(&file, &built)?;
    if differences.is_empty() {
        eprintln!("ebpf: the kept object is what {name} makes of the sources");
    } else if name == note.toolchain {
        bail!(
            "{OBJECT} is not what its sources make: {} differ; run `cargo xtask build-ebpf`",
            differences.join(", ")
        );
    } else {
        eprintln!(
            "skipping ebpf comparison: the kept object was made by {}, here is {name}, and they differ in {}; \
             only the hash of the sources was compared",
            note.toolchain,
            differences.join(", ")
        );
    }
    Ok(())
}

/// Builds the program, and strips everything that neither the kernel nor its tools read.
fn compile(toolchain: Toolchain) -> anyhow::Result<Vec<u8>> {
    let folder = target()?.join("ebpf");
    let mut command = toolchain.cargo();
    command
        .args(["build", "--quiet", "--release", "--locked"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain)?.join("\x1f"))
        .env_remove("RUSTFLAGS")
        .current_dir(root().join("pdns-ebpf"));
    run(&mut command)?;
    let path = folder.join("bpfel-unknown-none/release/pdns-ebpf");
    let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    object::strip(&file)
}

/// Flags that remove the folders of the building machine from the names of source files in BTF.
fn flags(toolchain: Toolchain) -> anyhow::Result<Vec<String>> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        "-Cdebuginfo=2".to_owned(),
        "-Clinker=bpf-linker".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        remap(&toolchain.sysroot()?, "rust"),
        remap(&home, "cargo"),
        remap(&root(), "pdns"),
    ])
}

/// Note that is stored next to the object.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    /// Compiler and linker.
    toolchain: String,
    /// The hash of the sources.
    sources: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "# What pdns.bpf.o was made by and from; `cargo xtask build-ebpf` writes both."
        )?;
        writeln!(f, "toolchain = \"{}\"", self.toolchain)?;
        writeln!(f, "sources = \"{}\"", self.sources)
    }
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once(" = ")?;
                (name == key).then(|| value.trim_matches('"').to_owned())
            })
        };
        Some(Self { toolchain: value("toolchain")?, sources: value("sources")? })
    }
}

fn kept() -> anyhow::Result<Note> {
    let text =
        fs::read_to_string(root().join(NOTE)).with_context(|| format!("cannot read {NOTE}"))?;
    Note::parse(&text).with_context(|| format!("{NOTE} says neither toolchain nor sources"))
}

/// A hash of all sources, including their names. Tests next to them are not part of the program.
fn hash(root: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hasher = SipHasher13::new();
    for path in &files {
        let name = path.strip_prefix(root)?.to_string_lossy();
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        for part in [name.as_bytes(), &text] {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
    }
    let hash = hasher.finish128();
    Ok(format!("{:016x}{:016x}", hash.h1, hash.h2))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.file_stem().is_some_and(|stem| stem == "tests") {
        return Ok(());
    }
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let list = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in list {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

fn write(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    fs::write(path, octets).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let note = Note { toolchain: "rustc 1 (a), b".to_owned(), sources: "0f".to_owned() };
        assert_eq!(Note::parse(&note.to_string()), Some(note));
        assert_eq!(Note::parse("toolchain = \"x\""), None);
    }

    #[test]
    fn the_hash_sees_every_source_and_no_test() {
        let folder = std::env::temp_dir().join(format!("pdns-xtask-hash-{}", std::process::id()));
        for source in SOURCES {
            let path = folder.join(source);
            let is_folder = path.extension().is_none();
            let file = if is_folder { path.join("a.rs") } else { path };
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "one").unwrap();
        }
        let before = hash(&folder).unwrap();
        fs::write(folder.join("pdns-ebpf-common/src/tests.rs"), "two").unwrap();
        assert_eq!(hash(&folder).unwrap(), before);
        fs::write(folder.join("pdns-ebpf-common/src/a.rs"), "two").unwrap();
        assert_ne!(hash(&folder).unwrap(), before);
        fs::remove_dir_all(folder).unwrap();
    }
}
