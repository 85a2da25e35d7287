//! Atomic replacement of files.
//!
//! Layer 0, std only. The new content is written to a temporary file next to the old one and renamed over it,
//! so that readers see either the old or the new content, even after a crash at any moment. A killed program
//! leaves its temporary file behind; the next replacement in the same directory removes it.

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Maximum number of symbolic links followed from a path to its file, the same as in Linux.
const LINKS: usize = 40;
/// Maximum number of names tried for the temporary file.
const TRIES: usize = 16;
/// Prefix and suffix of a temporary file's name, with 16 random hexadecimal digits between them.
const TEMPORARY: (&str, &str) = (".pdns-", ".new");
/// Number of bytes written or compared at a time.
const BLOCK: usize = 65_536;

/// New content for a file. If dropped before [`AtomicFile::commit`], it leaves no trace.
pub(crate) struct AtomicFile {
    /// The file to replace, with symbolic links resolved.
    path: PathBuf,
    /// Its directory.
    directory: File,
    old: Option<Metadata>,
    mode: u32,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl AtomicFile {
    /// Starts to replace the file at `path`, or to create it with `mode`. Until [`AtomicFile::commit`] only
    /// the owner can read the new content.
    ///
    /// # Errors
    /// The system's error; [`io::ErrorKind::InvalidInput`] if `path` is not a regular file.
    pub(crate) fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let path = target(path)?;
        let old = match fs::metadata(&path) {
            Ok(old) if old.is_file() => Some(old),
            Ok(_) => return Err(not_a_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let parent = path.parent().ok_or_else(not_a_file)?;
        let directory = File::open(parent)?;
        let (temporary, file) = create_temporary(parent)?;
        remove_abandoned(parent, &file);
        let file = BufWriter::with_capacity(BLOCK, file);
        Ok(Self { path, directory, old, mode, temporary, file })
    }

    /// Puts the new content in place, with the mode and, as far as the system permits, the owner and group of
    /// the old file. Leaves a file with identical content untouched. Returns true if the file was replaced.
    ///
    /// # Errors
    /// The system's error. The old file is unchanged, unless only the last step failed, which makes the
    /// change survive a power failure.
    pub(crate) fn commit(mut self) -> io::Result<bool> {
        self.file.flush()?;
        let file = self.file.get_ref();
        let mut mode = self.mode;
        if let Some(old) = &self.old {
            if old.len() == file.metadata()?.len() && is_same(&self.path, &self.temporary)? {
                return Ok(false);
            }
            mode = old.permissions().mode() & 0o777;
            // Only root can change the owner of a file; others can set a group that they belong to.
            if fchown(file, Some(old.uid()), Some(old.gid())).is_err()
                && fchown(file, None, Some(old.gid())).is_err()
            {
                // A different group gets no more rights than everybody else.
                mode &= 0o707 | (mode & 0o007) << 3;
            }
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        match self.directory.sync_all() {
            // Some file systems cannot sync a directory.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(true),
            synced => synced.map(|()| true),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // After a rename it no longer exists.
        fs::remove_file(&self.temporary).ok();
    }
}

/// Replaces the content of the file at `path`, or creates the file with `mode`.
///
/// # Errors
/// Same as for [`AtomicFile`].
pub(crate) fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content)?;
    file.commit().map(drop)
}

/// Resolves the symbolic links of `path`; the file need not exist.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(link) = fs::read_link(&path) else {
            // It is not a link, or does not exist.
            let name = path.file_name().ok_or_else(not_a_file)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            return Ok(fs::canonicalize(parent.unwrap_or(Path::new(".")))?.join(name));
        };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file, and cannot be replaced by one")
}

/// Creates a file with a random name that only its owner can read, locked for as long as it is open.
fn create_temporary(directory: &Path) -> io::Result<(PathBuf, File)> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let number = RandomState::new().hash_one(std::process::id());
        let path = directory.join(format!("{}{number:016x}{}", TEMPORARY.0, TEMPORARY.1));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                let is_locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
                // Before it was locked, another program may have removed it as abandoned.
                if is_locked && file.metadata()?.nlink() > 0 {
                    return Ok((path, file));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Removes temporary files of killed programs, which are those without a lock. Best effort: if removal fails,
/// they stay.
fn remove_abandoned(directory: &Path, own: &File) {
    let (Ok(entries), Ok(own)) = (fs::read_dir(directory), own.metadata()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| {
            name.strip_prefix(TEMPORARY.0).and_then(|name| name.strip_suffix(TEMPORARY.1))
        });
        if random.is_none_or(|random| random.len() != 16) {
            continue;
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(entry.path());
        let Ok(file) = opened else { continue };
        let is_ours =
            file.metadata().is_ok_and(|found| found.is_file() && found.uid() == own.uid());
        if is_ours && file.try_lock().is_ok() {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Returns true if two files of the same length have the same content.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn names(directory: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("list");
        write(&path, 0o640, b"one").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode()), (&b"one"[..], 0o640));
        let mut file = AtomicFile::create(&path, 0o644).unwrap();
        file.write_all(b"other").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert!(file.commit().unwrap());
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode()), (&b"other"[..], 0o640));
        let mut file = AtomicFile::create(&path, 0o644).unwrap();
        file.write_all(b"other").unwrap();
        assert!(!file.commit().unwrap(), "it holds the same");
        drop(AtomicFile::create(&path, 0o644).unwrap());
        assert_eq!(names(&directory), ["list"]);
    }

    #[test]
    fn symbolic_links_stay_and_lead_to_the_new_file() {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("data")).unwrap();
        symlink("data/list", at("first")).unwrap();
        symlink("first", at("second")).unwrap();
        // At first, the links point to a missing file.
        for content in ["new", "newer"] {
            write(&at("second"), 0o600, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("data/list")).unwrap(), content);
        }
        assert!(fs::symlink_metadata(at("second")).unwrap().is_symlink());
        symlink("loop", at("loop")).unwrap();
        for path in [at("loop"), at("data"), at("none/list"), "/".into(), "/dev/null".into()] {
            assert!(AtomicFile::create(&path, 0o600).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn what_killed_programs_left_is_removed_and_what_others_write_is_not() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("list");
        fs::write(directory.path().join(".pdns-0123456789abcdef.new"), "left").unwrap();
        fs::write(directory.path().join(".pdns-mine.new"), "not ours").unwrap();
        let mut one = AtomicFile::create(&path, 0o600).unwrap();
        one.write_all(b"one").unwrap();
        write(&path, 0o600, b"other").unwrap();
        assert_eq!(names(&directory).len(), 3, "{:?}", names(&directory));
        one.commit().unwrap();
        assert_eq!(names(&directory), [".pdns-mine.new", "list"]);
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
