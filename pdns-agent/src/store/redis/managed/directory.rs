//! The directory of the managed store: its path, and the checks before it is used.
//!
//! Only a directory that `managed:` made itself is used: any other may hold the files of another Redis, or belong to
//! another user. A marker file identifies it, and is locked by the server as long as it runs.

use super::failed;
use crate::store::StoreError;
use crate::store::redis::in_use::is_private;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

/// Directory of root's managed store.
const OF_ROOT: &str = "/var/lib/pdns-managed";
/// Directory of root's managed store in earlier versions; the Debian package keeps its own store there.
const OF_ROOT_BEFORE: &str = "/var/lib/pdns";
/// Name of the file that marks a directory as ours, and that the server locks.
const MARKER: &str = "pdns-managed";
/// Name of the server's configuration.
pub(super) const CONFIGURATION: &str = "redis.conf";
/// Files that a directory may hold and still count as empty: the lock of earlier versions, and the contents of a new
/// file system.
const NOTHING: [&str; 2] = ["lock", "lost+found"];

/// Text of the marker, for people who find it.
const TEXT: &str = "\
The managed store of pdns (`managed:`). pdns starts a redis-server of its own on this directory, which keeps
this file locked while it runs. Let no other server use the directory, and do not copy this file elsewhere.
";

/// Remedy for users who may not use a directory.
const ADVICE: &str = "name a store with --redis, PDNS_REDIS or in /etc/pdns/pdns.toml, or set XDG_DATA_HOME to a \
    directory of your own";

/// Returns the path of the managed store: `$XDG_DATA_HOME/pdns`, or `/var/lib/pdns-managed` for root, or
/// `~/.local/share/pdns`.
///
/// # Errors
/// If none of these can be derived from the environment.
pub(super) fn path() -> Result<PathBuf, StoreError> {
    let unknown = |cause: &str| StoreError::Managed {
        act: "cannot tell where to keep the store".to_owned(),
        cause: io::Error::other(cause.to_owned()),
    };
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|data| !data.is_empty()) {
        let data = Path::new(&data);
        if !data.is_absolute() {
            return Err(unknown("XDG_DATA_HOME is not an absolute path"));
        }
        return Ok(data.join("pdns"));
    }
    if effective_user()? == 0 {
        return Ok(PathBuf::from(of_root()));
    }
    match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        Some(home) if Path::new(&home).is_absolute() => {
            Ok(Path::new(&home).join(".local/share/pdns"))
        }
        _ => Err(unknown("set XDG_DATA_HOME, or name a Redis with --redis")),
    }
}

/// Returns root's directory: the one of an earlier version stays in use where it is.
fn of_root() -> &'static str {
    let is_there = |path: &str| fs::symlink_metadata(path).is_ok();
    let was_ours = |path: &Path| {
        fs::metadata(path).is_ok_and(|place| place.is_dir() && place.uid() == 0)
            && (is_marked(path) || is_from_before_the_marker(path))
    };
    if !is_there(OF_ROOT) && was_ours(Path::new(OF_ROOT_BEFORE)) { OF_ROOT_BEFORE } else { OF_ROOT }
}

/// Returns true if root has a managed store on this machine other than the one in use here: an agent that root
/// started writes there.
#[must_use]
pub fn is_another_of_root() -> bool {
    let all = [OF_ROOT, OF_ROOT_BEFORE];
    path().is_ok_and(|used| {
        !all.iter().any(|one| used == Path::new(one))
            && all.iter().any(|one| {
                fs::metadata(one).is_ok_and(|place| place.uid() == 0 && is_private(&place))
            })
    })
}

/// Returns the effective user of this process, the owner of /proc/self.
fn effective_user() -> Result<u32, StoreError> {
    let process = fs::metadata("/proc/self").map_err(failed("cannot read /proc".to_owned()))?;
    Ok(process.uid())
}

/// A directory that is ours to use.
#[derive(Debug)]
pub(super) struct Directory {
    /// Its path, as given.
    pub(super) path: PathBuf,
    /// Its marker, open for reading and writing.
    pub(super) marker: File,
}

impl Directory {
    /// Opens an existing directory; `None` if it does not exist.
    ///
    /// # Errors
    /// If it belongs to another user or holds files that are not ours.
    pub(super) fn existing(path: PathBuf) -> Result<Option<Self>, StoreError> {
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            place => Self::claim(path, place).map(Some),
        }
    }

    /// Opens a directory, and creates it if it is missing.
    ///
    /// # Errors
    /// If it belongs to another user, holds files that are not ours, or cannot be created.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&path)?;
                let place = fs::metadata(&path);
                Self::claim(path, place)
            }
            place => Self::claim(path, place),
        }
    }

    fn claim(path: PathBuf, place: io::Result<fs::Metadata>) -> Result<Self, StoreError> {
        let place = place.map_err(failed(format!("cannot use {}", path.display())))?;
        if !place.is_dir() {
            return Err(refused(&path, "it is not a directory"));
        }
        if place.uid() != effective_user()? {
            return Err(refused(
                &path,
                &format!("it belongs to another user (uid {})", place.uid()),
            ));
        }
        // In this order: another program that starts the server on an empty directory leaves the marker before any file.
        if !(is_empty(&path)? || is_marked(&path) || is_from_before_the_marker(&path)) {
            return Err(refused(&path, "it holds files that `managed:` did not make"));
        }
        if place.mode() & 0o777 != 0o700 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(failed(format!("cannot close {} to others", path.display())))?;
        }
        let marker = path.join(MARKER);
        let marker = mark(&marker).map_err(failed(format!("cannot write {}", marker.display())))?;
        Ok(Self { path, marker })
    }
}

fn refused(path: &Path, why: &str) -> StoreError {
    StoreError::Managed {
        act: format!("cannot use {}", path.display()),
        cause: io::Error::other(format!("{why}; {ADVICE}")),
    }
}

/// Creates a directory. Root creates none among another user's files, since that user could not use it afterwards.
fn create(path: &Path) -> Result<(), StoreError> {
    if effective_user()? == 0 {
        let above =
            path.ancestors().skip(1).find_map(|above| Some((above, fs::metadata(above).ok()?)));
        if let Some((above, place)) = above
            && place.uid() != 0
        {
            let why = format!("{} belongs to another user (uid {})", above.display(), place.uid());
            return Err(refused(path, &why));
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed(format!("cannot make {}", path.display())))
}

fn is_marked(directory: &Path) -> bool {
    fs::symlink_metadata(directory.join(MARKER)).is_ok_and(|marker| marker.is_file())
}

/// Returns true if an earlier version, which left no marker, made a directory: its configuration is ours.
fn is_from_before_the_marker(directory: &Path) -> bool {
    fs::read_to_string(directory.join(CONFIGURATION)).is_ok_and(|text| {
        text.starts_with("port 0\nunixsocketperm 700\n")
            && ["\ndir \"", "\nunixsocket \"", "\nlogfile \""]
                .iter()
                .all(|setting| text.contains(setting))
    })
}

fn is_empty(directory: &Path) -> Result<bool, StoreError> {
    let names = fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
    });
    let names = names.map_err(failed(format!("cannot read {}", directory.display())))?;
    Ok(names.iter().all(|name| NOTHING.iter().any(|known| name == known)))
}

/// Opens the marker; writes it if it is new.
fn mark(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() == 0 {
        file.write_all(TEXT.as_bytes())?;
    }
    Ok(file)
}

/// Locks the marker of a directory, regardless of its owner; `None` if it has none.
///
/// # Errors
/// If it is locked already: by the server, or by a program that is starting it.
pub(super) fn lock_marker(directory: &Path) -> io::Result<Option<File>> {
    if !is_marked(directory) {
        return Ok(None);
    }
    let marker = OpenOptions::new().read(true).write(true).open(directory.join(MARKER))?;
    match marker.try_lock() {
        Ok(()) => Ok(Some(marker)),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("its server is running: stop it first, with pdns admin stop"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn is_usable(path: &Path) -> bool {
        Directory::open(path.to_owned()).is_ok()
    }

    #[test]
    fn only_new_marked_and_earlier_directories_are_used() {
        let place = TempDir::new().unwrap();
        let path = |name: &str| place.path().join(name);
        assert!(Directory::existing(path("none")).unwrap().is_none());
        assert!(is_usable(&path("new")) && is_marked(&path("new")));
        fs::write(path("new").join("appendonly.aof"), "").unwrap();
        assert!(is_usable(&path("new")));

        fs::create_dir_all(path("empty/lost+found")).unwrap();
        assert!(is_usable(&path("empty")));
        assert_eq!(fs::metadata(path("empty")).unwrap().mode() & 0o777, 0o700);

        fs::create_dir(path("other")).unwrap();
        fs::set_permissions(path("other"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path("other").join(CONFIGURATION), "port 0\nunixsocket /run/s\n").unwrap();
        assert!(!is_usable(&path("other")));
        assert!(!is_marked(&path("other")));
        assert_eq!(fs::metadata(path("other")).unwrap().mode() & 0o777, 0o755);

        fs::write(path("file"), "").unwrap();
        assert!(!is_usable(&path("file")));
    }

    #[test]
    fn the_configurations_of_earlier_versions_are_known() {
        let place = TempDir::new().unwrap();
        let end = "unixsocket \"/d/redis.sock\"\nlogfile \"/d/redis.log\"\n";
        for settings in [
            "daemonize yes\nappendonly yes\nmaxmemory-policy noeviction\n",
            "daemonize no\nappendonly yes\nsave \"\"\nlatency-tracking no\n",
        ] {
            let text = format!("port 0\nunixsocketperm 700\n{settings}dir \"/d\"\n{end}");
            fs::write(place.path().join(CONFIGURATION), text).unwrap();
            assert!(is_from_before_the_marker(place.path()));
        }
    }
}
