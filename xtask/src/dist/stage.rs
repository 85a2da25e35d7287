//! Folder from which a package is built.

use crate::shell::run;
use anyhow::Context as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that becomes a package, and the folders with its source files.
pub(super) struct Stage {
    root: PathBuf,
    /// Folders with files written for the package; the first one that contains a file is used.
    sources: Vec<PathBuf>,
}

impl Stage {
    /// Creates an empty stage.
    pub(super) fn begin(root: PathBuf, sources: Vec<PathBuf>) -> anyhow::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("cannot empty {}", root.display()))?;
        }
        let stage = Self { root, sources };
        stage.folder(&stage.root)?;
        Ok(stage)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Location of a path of the package in the stage.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a source file.
    pub(super) fn source(&self, name: &str) -> anyhow::Result<String> {
        let mut paths = self.sources.iter().map(|folder| folder.join(name));
        let path = paths.find(|path| path.exists());
        let path = path.with_context(|| format!("{name} is missing"))?;
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Adds a source file to the package.
    pub(super) fn file(&self, name: &str, path: &str, mode: u32) -> anyhow::Result<()> {
        self.write(path, &self.source(name)?, mode)
    }

    pub(super) fn copy(&self, from: &Path, path: &str, mode: u32) -> anyhow::Result<()> {
        let octets = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.put(path, &octets, mode)
    }

    pub(super) fn write(&self, path: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        self.put(path, text.as_bytes(), mode)
    }

    fn put(&self, path: &str, octets: &[u8], mode: u32) -> anyhow::Result<()> {
        let to = self.path(path);
        self.folder(to.parent().unwrap_or(&self.root))?;
        fs::write(&to, octets)
            .and_then(|()| fs::set_permissions(&to, Permissions::from_mode(mode)))
            .with_context(|| format!("cannot write {}", to.display()))
    }

    /// Creates a folder and its parents with the mode that they have in a package, regardless of the caller's
    /// umask.
    fn folder(&self, folder: &Path) -> anyhow::Result<()> {
        let failed = || format!("cannot make {}", folder.display());
        fs::create_dir_all(folder).with_context(failed)?;
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.root)) {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).with_context(failed)?;
        }
        Ok(())
    }

    /// Compresses a file reproducibly, as Debian requires.
    pub(super) fn zip(&self, path: &Path) -> anyhow::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(0o644))?;
        let folder = path.parent().unwrap_or(&self.root);
        self.folder(folder)?;
        let done = Command::new("gzip").args(["-9", "-n", "-f"]).arg(path).status();
        anyhow::ensure!(done.context("cannot run gzip")?.success(), "gzip {}", path.display());
        Ok(())
    }

    /// Total size of all files in bytes.
    pub(super) fn size(&self) -> anyhow::Result<u64> {
        let mut size = 0;
        for path in self.files()? {
            size += fs::metadata(path)?.len();
        }
        Ok(size)
    }

    /// Writes the checksums for dpkg.
    pub(super) fn sums(&self) -> anyhow::Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums"]);
        run(command.current_dir(&self.root))?;
        fs::set_permissions(self.path("DEBIAN/md5sums"), Permissions::from_mode(0o644))?;
        Ok(())
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let (mut files, mut folders) = (Vec::new(), vec![self.root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        Ok(files)
    }
}
