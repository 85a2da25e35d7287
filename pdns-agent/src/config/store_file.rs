//! The part of a settings file that describes the store, and the settings files of `pdns` itself.
//!
//! All of these keys describe the same store: if something that takes precedence over a file names another
//! store, the file's prefix, user and password are not used, so that no store is sent the password of
//! another.

use super::document::{self, FileError};
use super::judge::JudgeKeys;
use super::retention::RetentionKeys;
use super::sharing::{self, SharingKeys};
use crate::indicator::Tlp;
use crate::judge::JudgeSettings;
use crate::name::NameBuf;
use crate::retention::Retention;
use serde::Deserialize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The settings file of `pdns` for all users of the machine.
const FOR_ALL: &str = "/etc/pdns/pdns.toml";
/// The settings file of one user, within their settings folder.
const OWN: &str = "pdns/pdns.toml";
/// Home of root, used if the environment names another user's.
const ROOT_HOME: &str = "/root";

/// The store as described in a settings file.
#[derive(Clone, Debug, Default)]
pub struct StoreFile {
    /// The file.
    pub path: PathBuf,
    /// URL of the store.
    pub redis: Option<String>,
    /// Prefix of all keys.
    pub prefix: Option<String>,
    /// ACL user.
    pub user: Option<String>,
    /// File with the user's password; relative to the settings file.
    pub password_file: Option<PathBuf>,
    /// Domains below which an analyst's trust in something wider does not silence indicators.
    pub never_silence: Vec<NameBuf>,
    /// Its keys about sharing.
    pub sharing: SharingKeys,
    /// Settings of the judge.
    pub judge: Option<JudgeSettings>,
    /// Rules for what the store forgets by itself.
    pub retention: Option<Retention>,
    /// Tables of addresses that are shown beside them, the most trusted first.
    pub address_tables: Vec<PathBuf>,
}

/// The keys of `pdns.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreKeys {
    pub(super) redis: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) redis_user: Option<String>,
    pub(super) redis_password_file: Option<PathBuf>,
    pub(super) never_silence: Vec<String>,
    #[serde(deserialize_with = "sharing::tlp")]
    pub(super) default_tlp: Option<Tlp>,
    pub(super) identity: Option<String>,
    pub(super) judge: Option<JudgeKeys>,
    pub(super) retention: Option<RetentionKeys>,
    pub(super) address_tables: Vec<PathBuf>,
}

impl StoreFile {
    /// The store described by the file at `path` with its keys `redis`, `prefix`, `redis_user` and
    /// `redis_password_file`.
    pub(super) fn new(
        path: PathBuf,
        [redis, prefix, user]: [Option<&String>; 3],
        password_file: Option<&PathBuf>,
    ) -> Self {
        Self {
            path,
            redis: redis.cloned(),
            prefix: prefix.cloned(),
            user: user.cloned(),
            password_file: password_file.cloned(),
            never_silence: Vec::new(),
            sharing: SharingKeys::default(),
            judge: None,
            retention: None,
            address_tables: Vec::new(),
        }
    }

    /// The same with the domains of `never_silence`.
    ///
    /// # Errors
    /// [`FileError`] for text that is not a domain.
    pub(super) fn with_never_silence(self, domains: &[String]) -> Result<Self, FileError> {
        let mut never_silence = Vec::new();
        for text in domains {
            let name = NameBuf::parse(text.trim_start_matches('.'));
            never_silence.push(name.map_err(|error| FileError::Syntax {
                path: self.path.clone(),
                cause: format!("never_silence: {text:?} is not a valid domain: {error}"),
            })?);
        }
        Ok(Self { never_silence, ..self })
    }
}

/// Reads the settings files of `pdns`, the user's own before the one for all users. `env` looks up an
/// environment variable. If something that takes precedence names a store (`is_named`), an unreadable file
/// for all users is ignored.
///
/// # Errors
/// [`FileError`] for a file that exists but is unreadable or invalid.
pub fn pdns_files(
    env: &dyn Fn(&str) -> Option<String>,
    is_named: bool,
) -> Result<Vec<StoreFile>, FileError> {
    let for_all = match read(Path::new(FOR_ALL)) {
        Err(FileError::File { .. }) if is_named => None,
        file => file.transpose(),
    };
    [own(env), for_all].into_iter().flatten().collect()
}

/// The user's own file, if there is one.
fn own(env: &dyn Fn(&str) -> Option<String>) -> Option<Result<StoreFile, FileError>> {
    let env = |name| env(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
    // /proc/self belongs to the effective user.
    let user = fs::metadata("/proc/self").ok().map(|process| process.uid());
    let is_ours = |path: &Path| fs::metadata(path).is_ok_and(|place| Some(place.uid()) == user);
    let (folder, is_certain) = match (env("XDG_CONFIG_HOME"), env("HOME")) {
        // sudo may keep the variables of the calling user, whose file must not be used for root.
        (Some(folder), _) if user != Some(0) || is_ours(&folder) => (folder, true),
        (None, Some(home)) if user != Some(0) || is_ours(&home) => {
            let is_ours = is_ours(&home);
            (home.join(".config"), is_ours)
        }
        _ if user == Some(0) => (Path::new(ROOT_HOME).join(".config"), true),
        _ => return None,
    };
    match read(&folder.join(OWN)) {
        // The home belongs to another user, so there is no file of our own.
        Err(FileError::File { cause, .. })
            if cause.kind() == io::ErrorKind::PermissionDenied && !is_certain =>
        {
            None
        }
        file => file.transpose(),
    }
}

/// Reads a settings file of `pdns` if it exists.
fn read(path: &Path) -> Result<Option<StoreFile>, FileError> {
    match document::read(path, |keys: &StoreKeys| keys.redis.as_deref()) {
        Ok(keys) => {
            let named = [&keys.redis, &keys.prefix, &keys.redis_user].map(Option::as_ref);
            let file = StoreFile::new(path.to_owned(), named, keys.redis_password_file.as_ref());
            let sharing =
                SharingKeys { default_tlp: keys.default_tlp, identity: keys.identity.clone() };
            let folder = path.parent().unwrap_or(Path::new(""));
            let judge = keys.judge.as_ref().map(|keys| keys.settings(folder)).transpose();
            let judge =
                judge.map_err(|cause| FileError::Syntax { path: path.to_owned(), cause })?;
            let retention = keys.retention.as_ref().map(RetentionKeys::rules).transpose();
            let retention =
                retention.map_err(|cause| FileError::Syntax { path: path.to_owned(), cause })?;
            let address_tables = keys.address_tables.iter().map(|table| folder.join(table));
            let address_tables = address_tables.collect();
            StoreFile { sharing, judge, retention, address_tables, ..file }
                .with_never_silence(&keys.never_silence)
                .map(Some)
        }
        Err(FileError::File { cause, .. })
            if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The files that apply, in order of precedence: those before the one that names the store, and that one.
///
/// `named` is the store named by flags or the environment: if files name another one, none of them applies.
pub(super) fn heard<'a>(files: &'a [StoreFile], named: Option<&str>) -> &'a [StoreFile] {
    let first = files.iter().enumerate().find_map(|(at, file)| Some((at, file.redis.as_deref()?)));
    let end = match first {
        None => files.len(),
        // Files that take precedence over it refer to its store, too.
        Some((_, redis)) if named.is_some_and(|named| named != redis) => 0,
        Some((at, _)) => at + 1,
    };
    files.get(..end).unwrap_or(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn the_users_own_file_is_where_the_environment_says() {
        let home = TempDir::new().unwrap();
        let other = TempDir::new().unwrap();
        let write = |folder: &Path, text: &str| {
            fs::create_dir_all(folder.join("pdns")).unwrap();
            fs::write(folder.join(OWN), text).unwrap();
        };
        let read = |xdg: &Path| {
            let env = |name: &str| match name {
                "HOME" => home.path().to_str().map(str::to_owned),
                "XDG_CONFIG_HOME" => xdg.to_str().map(str::to_owned),
                _ => None,
            };
            own(&env).transpose().map(|file| file.and_then(|file| file.redis))
        };
        let nowhere = Path::new("");
        assert_eq!(read(nowhere).unwrap(), None);
        write(&home.path().join(".config"), "redis = 'redis://home'");
        assert_eq!(read(nowhere).unwrap().as_deref(), Some("redis://home"));
        // If a folder is named, only that one is used.
        assert_eq!(read(other.path()).unwrap(), None);
        write(other.path(), "redis = 'redis://xdg'");
        assert_eq!(read(other.path()).unwrap().as_deref(), Some("redis://xdg"));
        for wrong in ["redis = 'redis://:secret@h'", "sensor = 'x'", "redis = 1"] {
            write(other.path(), wrong);
            let error = read(other.path()).unwrap_err().to_string();
            assert!(error.contains("pdns.toml") && !error.contains("secret"), "{error}");
        }
        fs::remove_file(other.path().join(OWN)).unwrap();
        fs::create_dir(other.path().join(OWN)).unwrap();
        assert!(matches!(read(other.path()), Err(FileError::File { .. })));
    }
}
