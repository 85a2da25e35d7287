//! The users file, as read and written by `pdns serve user`.

use super::UsersError;
use super::password::hash;
use super::secret::{Digest, new_key};
use crate::atomic_file;
use crate::config::toml_error;
use crate::file_lock::FileLock;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Permission bits that other users of the machine must not have.
const OTHERS: u32 = 0o007;
/// Mode of a new file: accessible by its owner alone.
const MODE: u32 = 0o600;
/// First lines of the file.
const HEAD: &str = "# Users of pdns serve, written by `pdns serve user`. Secrets are hashed.\n\n";

/// One user in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// Name, shown in logs and as the author of tags.
    pub name: String,
    /// May set and clear tags.
    #[serde(default)]
    pub may_tag: bool,
    /// SHA-256 of the key, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_sha256: Option<String>,
    /// Argon2id hash of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UsersFile {
    user: Vec<UserEntry>,
}

/// Returns the users in a file.
///
/// # Errors
/// [`UsersError`] when it cannot be read, or when others can read it.
pub fn list(path: &Path) -> Result<Vec<UserEntry>, UsersError> {
    let unread = |cause| UsersError::Read { path: path.to_owned(), cause };
    let found = fs::metadata(path).map_err(unread)?;
    if !found.is_file() {
        return Err(UsersError::NotAFile(path.to_owned()));
    }
    if found.permissions().mode() & OTHERS != 0 {
        return Err(UsersError::Open(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(unread)?;
    let content: UsersFile = toml::from_str(&text).map_err(|error| UsersError::Syntax {
        path: path.to_owned(),
        cause: toml_error(&text, &error),
    })?;
    if let Some(entry) = content.user.iter().find(|entry| !is_name(&entry.name)) {
        return Err(UsersError::Name(entry.name.clone()));
    }
    Ok(content.user)
}

/// Adds a user; returns the new key, which is stored nowhere else, unless there is a password.
///
/// # Errors
/// [`UsersError`].
pub fn add(
    path: &Path,
    name: &str,
    may_tag: bool,
    password: Option<&str>,
) -> Result<Option<String>, UsersError> {
    if !is_name(name) {
        return Err(UsersError::Name(name.to_owned()));
    }
    let mut entry = UserEntry { name: name.to_owned(), may_tag, key_sha256: None, password: None };
    let key = if let Some(password) = password {
        if !(12..=256).contains(&password.chars().count()) || password.contains(['\n', '\r']) {
            return Err(UsersError::Password);
        }
        entry.password = Some(hash(password).ok_or(UsersError::Secret)?);
        None
    } else {
        let key = new_key().ok_or(UsersError::Secret)?;
        entry.key_sha256 = Some(Digest::of(&key).to_hex());
        Some(key)
    };
    let _lock = lock(path)?;
    let mut entries = match list(path) {
        Err(UsersError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            Vec::new()
        }
        entries => entries?,
    };
    if entries.iter().any(|entry| entry.name == name) {
        return Err(UsersError::Twice(name.to_owned()));
    }
    entries.push(entry);
    write(path, entries)?;
    Ok(key)
}

/// Removes a user.
///
/// # Errors
/// [`UsersError::Unknown`] when the user does not exist; other errors of the file.
pub fn remove(path: &Path, name: &str) -> Result<(), UsersError> {
    // A missing file is reported as missing, not as one that cannot be locked.
    fs::metadata(path).map_err(|cause| UsersError::Read { path: path.to_owned(), cause })?;
    let _lock = lock(path)?;
    let mut entries = list(path)?;
    let before = entries.len();
    entries.retain(|entry| entry.name != name);
    if entries.len() == before {
        return Err(UsersError::Unknown(name.to_owned()));
    }
    write(path, entries)
}

/// Returns true if a user name is valid: it appears in logs, and a colon follows it in a login.
fn is_name(name: &str) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"._-@".contains(&octet);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// Waits until no other program is changing the file. Every program that reads, changes and writes it holds
/// this lock meanwhile.
fn lock(path: &Path) -> Result<FileLock, UsersError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(UsersError::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
    }
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(UsersError::NotAFile(path.to_owned()));
    }
    FileLock::acquire(path).map_err(|cause| UsersError::Lock { path: path.to_owned(), cause })
}

/// Replaces the file. A server that reads it at the same time sees either the old or the new one.
fn write(path: &Path, user: Vec<UserEntry>) -> Result<(), UsersError> {
    let text = toml::to_string(&UsersFile { user }).map_err(|_| UsersError::Secret)?;
    atomic_file::write(path, MODE, format!("{HEAD}{text}").as_bytes())
        .map_err(|cause| UsersError::Write { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use tempfile::TempDir;

    #[test]
    fn users_come_and_go() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("users.toml");
        let key = add(&path, "alice", true, None).unwrap().unwrap();
        assert_eq!(add(&path, "bob", false, Some("correct horse")).unwrap(), None);
        assert!(matches!(add(&path, "bob", false, None), Err(UsersError::Twice(_))));
        for name in ["", "a b", "a:b", "a\n", &"a".repeat(65)] {
            assert!(matches!(add(&path, name, false, None), Err(UsersError::Name(_))));
        }
        for password in ["short", "twelve\nletters"] {
            let added = add(&path, "carol", false, Some(password));
            assert!(matches!(added, Err(UsersError::Password)));
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&key) && !text.contains("horse"), "{text}");
        let names: Vec<_> = list(&path).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["alice", "bob"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        for (path, want) in [
            (directory.path().join("none/users.toml"), "there is no folder "),
            (directory.path().to_owned(), "it is not a regular file"),
            (path.join("users.toml"), "there is no folder "),
        ] {
            let error = add(&path, "carol", false, None).unwrap_err().to_string();
            assert!(error.contains(want) && error.contains("--users"), "{error}");
        }
        remove(&path, "alice").unwrap();
        assert!(matches!(remove(&path, "alice"), Err(UsersError::Unknown(_))));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(list(&path), Err(UsersError::Open(_))));
    }
}
