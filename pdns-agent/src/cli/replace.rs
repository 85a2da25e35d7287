//! A file that is written beside the one that it is to replace, and takes its place whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// The mode of a file that was not there before.
const MODE: u32 = 0o644;
/// How many names are tried for the file beside.
const TRIES: u32 = 16;
/// Octets that are compared at once.
const BLOCK: usize = 65_536;

/// A file on its way. Dropped before [`Replacement::finish`], it leaves no trace.
pub(super) struct Replacement {
    /// What is replaced, behind any symbolic link.
    path: PathBuf,
    old: Option<Metadata>,
    beside: PathBuf,
    file: BufWriter<File>,
}

impl Replacement {
    /// Begins a file.
    ///
    /// # Errors
    /// When there is something else than a file in its place, or none can be made beside it.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let (path, old) = match fs::canonicalize(path) {
            Ok(path) => {
                let old = fs::metadata(&path)?;
                (path, Some(old))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
            Err(error) => return Err(error),
        };
        let name = path.file_name().filter(|_| old.as_ref().is_none_or(Metadata::is_file));
        let name = name.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no file, and cannot be replaced by one",
            )
        })?;
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for number in 0..TRIES {
            let mut beside = std::ffi::OsString::from(".");
            beside.push(name);
            beside.push(format!(".{}-{number}", std::process::id()));
            let beside = path.with_file_name(beside);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside) {
                Ok(file) => {
                    let file = BufWriter::with_capacity(BLOCK, file);
                    return Ok(Self { path, old, beside, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Puts the file in its place, with the mode and, where that is allowed, the owner of the old one; unless the
    /// old one holds the same already: then it is not touched. Whether it was replaced.
    ///
    /// # Errors
    /// What the system says; the old file is as it was then.
    pub(super) fn finish(mut self) -> io::Result<bool> {
        self.file.flush()?;
        let file = self.file.get_ref();
        if let Some(old) = &self.old
            && old.len() == file.metadata()?.len()
            && is_same(&self.path, &self.beside)?
        {
            return Ok(false);
        }
        if let Some(old) = &self.old {
            // Only root may give a file away; for anybody else the file is his own, as any that he writes.
            fchown(file, Some(old.uid()), Some(old.gid())).ok();
        }
        let mode = self.old.as_ref().map_or(MODE, |old| old.permissions().mode() & 0o777);
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&self.beside, &self.path)?;
        // That the name leads to the new file is on disk once the folder is.
        if let Some(folder) = self.path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()?;
        }
        Ok(true)
    }
}

impl Write for Replacement {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write_all(octets)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After a rename there is none any more.
        fs::remove_file(&self.beside).ok();
    }
}

/// Whether two files of one length hold the same.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let mut one = BufReader::with_capacity(BLOCK, File::open(one)?);
    let mut other = BufReader::with_capacity(BLOCK, File::open(other)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&mut one).take(BLOCK as u64).read_to_end(&mut left)?;
        (&mut other).take(BLOCK as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
