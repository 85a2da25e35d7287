//! Location of the store, for both binaries: flags, then environment, then settings files, then the default.
//!
//! Converts the flags to [`Options`] for `store`. A password is never taken from the command line, where
//! every user of the machine can read it.

pub mod agent;
mod document;
pub mod exit;
pub mod feeds;
mod judge;
mod retention;
pub mod score;
pub(crate) mod security_onion;
pub mod serve;
mod sharing;
mod store_file;
mod toml_error;
pub mod usage;

pub use document::FileError;
pub use feeds::{DEFAULT_FEEDS, read_feeds};
pub use sharing::{Sharing, SharingKeys};
pub use store_file::{StoreFile, pdns_files};
pub(crate) use toml_error::toml_error;

use crate::store::{Options, has_password, mask, read_password};
use std::io;
use std::path::{Path, PathBuf};

/// Default store if none is named: a private Redis that pdns starts itself.
pub const DEFAULT_URL: &str = "managed:";
/// Default prefix of all keys.
pub const DEFAULT_PREFIX: &str = "pd:";
/// Supported URL schemes, besides [`DEFAULT_URL`].
const SCHEMES: [&str; 7] = [
    "redis://",
    "rediss://",
    "redis+unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis-cluster://",
    "rediss-cluster://",
];

/// Flags for the connection to the store.
///
/// clap does not read the environment, because values from argv must be distinguished from values of the
/// environment: see [`ConnectionError::PasswordInArgv`].
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Store")]
pub struct Connection {
    /// Address of the store.
    #[arg(
        long = "redis",
        value_name = "URL",
        global = true,
        help = "Where the store is [env: PDNS_REDIS] [default: managed:]",
        long_help = "Where the store is: managed:, redis://HOST:PORT, rediss://HOST:PORT, \
            redis+unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/MASTER_NAME or \
            redis-cluster://HOST:PORT,HOST:PORT [env: PDNS_REDIS]\n\n\
            The default, managed:, is a private Redis in the data directory, started when it is not \
            running. Settings files override the default: for pdns ~/.config/pdns/pdns.toml and \
            /etc/pdns/pdns.toml, for pdns-agent /etc/pdns/agent.toml. A password does not belong here, since \
            every user of the machine can read it: put the URL into PDNS_REDIS, or the password into \
            PDNS_REDIS_PASSWORD or a file."
    )]
    pub url: Option<String>,

    /// Prefix of all keys.
    #[arg(
        long,
        value_name = "TEXT",
        global = true,
        hide_short_help = true,
        help = "What every key begins with, so that stores can share a Redis [env: PDNS_PREFIX] [default: pd:]"
    )]
    pub prefix: Option<String>,

    /// User name.
    #[arg(
        long = "redis-user",
        value_name = "NAME",
        global = true,
        hide_short_help = true,
        help = "User name for Redis [env: PDNS_REDIS_USER]"
    )]
    pub user: Option<String>,

    /// File with the password.
    #[arg(
        long = "redis-password-file",
        value_name = "FILE",
        global = true,
        hide_short_help = true,
        help = "File that holds the password for Redis [env: PDNS_REDIS_PASSWORD_FILE, or the password \
            itself in PDNS_REDIS_PASSWORD]"
    )]
    pub password_file: Option<PathBuf>,
}

/// Error in the settings for the connection to the store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// `--redis` contains a password.
    #[error(
        "--redis holds a password, which every user of this machine can read; \
         put the URL into PDNS_REDIS, or the password into PDNS_REDIS_PASSWORD or PDNS_REDIS_PASSWORD_FILE"
    )]
    PasswordInArgv,
    /// The URL has an unsupported scheme.
    #[error(
        "{0:?} is no address of a store: give managed:, redis://HOST:PORT, rediss://HOST:PORT, \
         redis+unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/MASTER_NAME or redis-cluster://HOST:PORT,HOST:PORT"
    )]
    Url(String),
    /// The URL refers to Security Onion's own Redis.
    #[error(
        "{0:?} is Security Onion's own Redis, the queue of its logs, which stop when pdns fills it: name the one of pdns, \
         or set {over}=1 if it is another one",
        over = security_onion::OVERRIDE
    )]
    SecurityOnion(String),
    /// The prefix would make the keys invalid.
    #[error("{0:?} cannot begin a key: give 1 to 64 letters, digits, or any of : . _ -")]
    Prefix(String),
    /// A setting without a value.
    #[error("{0} is empty: give a value, or leave it out")]
    Empty(&'static str),
    /// A settings file has an invalid value for the store.
    #[error("the settings of the store in {} are wrong", file.display())]
    InFile {
        /// The file.
        file: PathBuf,
        /// Error in the file.
        #[source]
        cause: Box<Self>,
    },
    /// The password file cannot be read.
    #[error("cannot read the password file {}{}", path.display(), whose(cause))]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The password file is empty, too long or not UTF-8.
    #[error("the password file {0} holds no password: one line of up to 4096 bytes is expected")]
    NoPassword(PathBuf),
}

/// Suggested remedy for a password file that this user must not read.
fn whose(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => " (be in the group that may read it, or run as root)",
        _ => "",
    }
}

impl Connection {
    /// Returns true if the command line or the environment names a store.
    pub fn names_store(&self, env: &dyn Fn(&str) -> Option<String>) -> bool {
        self.url.is_some() || env("PDNS_REDIS").is_some_and(|url| !url.is_empty())
    }

    /// Options for the store. `env` looks up an environment variable; an empty one counts as unset. `files`
    /// are the settings files, in order of precedence.
    ///
    /// # Errors
    /// [`ConnectionError`], whose message says what to do.
    pub fn options(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        files: &[StoreFile],
    ) -> Result<Options, ConnectionError> {
        let env = |name| env(name).filter(|value: &String| !value.is_empty());
        if self.url.as_deref().is_some_and(has_password) {
            return Err(ConnectionError::PasswordInArgv);
        }
        let named = self.url.clone().or_else(|| env("PDNS_REDIS"));
        // This says nothing about a store: it holds whichever is used.
        let never_silence = files.iter().flat_map(|file| file.never_silence.clone()).collect();
        let files = store_file::heard(files, named.as_deref());
        let named_in = files.last().filter(|file| file.redis.is_some());
        let url = named.or_else(|| named_in.and_then(|file| file.redis.clone()));
        let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
        let named_in = named_in.map(|file| file.path.as_path());
        check_url(&url, env(security_onion::OVERRIDE).is_some()).map_err(in_file(named_in))?;

        let prefix = self.prefix.clone().or_else(|| env("PDNS_PREFIX"));
        let prefix = match (prefix, first(files, |file| file.prefix.clone())) {
            (None, Some((prefix, file))) => checked_prefix(prefix).map_err(in_file(Some(file)))?,
            (prefix, _) => checked_prefix(prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()))?,
        };
        let password_file = match &self.password_file {
            Some(path) => Some(path.clone()),
            None => env("PDNS_REDIS_PASSWORD_FILE").map(PathBuf::from),
        };
        let is_empty = |path: &Path| path.as_os_str().is_empty();
        let user_of = |file: &StoreFile| file.user.clone();
        let file_of = |file: &StoreFile| file.password_file.clone();
        for (name, typed, written) in [
            (
                "redis_user",
                self.user.as_deref().is_some_and(str::is_empty),
                first(files, user_of).filter(|(user, _)| user.is_empty()).map(|(_, file)| file),
            ),
            (
                "redis_password_file",
                self.password_file.as_deref().is_some_and(is_empty),
                first(files, file_of).filter(|(path, _)| is_empty(path)).map(|(_, file)| file),
            ),
        ] {
            if typed || written.is_some() {
                return Err(in_file(written.filter(|_| !typed))(ConnectionError::Empty(name)));
            }
        }
        let (password, password_file) = match (password_file, env("PDNS_REDIS_PASSWORD")) {
            (Some(path), _) => (Some(password_of(&path)?), Some(path)),
            (None, Some(password)) => (Some(password), None),
            (None, None) => match first(files, |file| file.password_file.clone()) {
                Some((path, file)) => {
                    let path = file.parent().unwrap_or(Path::new("")).join(path);
                    (Some(password_of(&path).map_err(in_file(Some(file)))?), Some(path))
                }
                None => (None, None),
            },
        };
        let user = self.user.clone().or_else(|| env("PDNS_REDIS_USER"));
        let user = user.or_else(|| first(files, |file| file.user.clone()).map(|(user, _)| user));
        let named_in = named_in.map(Path::to_owned);
        Ok(Options {
            url,
            prefix,
            user,
            password,
            password_file,
            named_in,
            never_silence,
            ..Options::default()
        })
    }
}

/// The first value for a key in the files, with its file.
fn first<T>(files: &[StoreFile], key: impl Fn(&StoreFile) -> Option<T>) -> Option<(T, &Path)> {
    files.iter().find_map(|file| key(file).map(|value| (value, file.path.as_path())))
}

/// Adds the name of the file to an error.
fn in_file(file: Option<&Path>) -> impl FnOnce(ConnectionError) -> ConnectionError {
    move |cause| match file {
        Some(file) => ConnectionError::InFile { file: file.to_owned(), cause: Box::new(cause) },
        None => cause,
    }
}

fn check_url(url: &str, may_be_any: bool) -> Result<(), ConnectionError> {
    if url != DEFAULT_URL && !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(ConnectionError::Url(mask(url)));
    }
    if security_onion::is_its_redis(url) && security_onion::is_node() && !may_be_any {
        return Err(ConnectionError::SecurityOnion(mask(url)));
    }
    Ok(())
}

fn checked_prefix(prefix: String) -> Result<String, ConnectionError> {
    // Braces would move all keys to one slot of a cluster, and control characters would be invisible in logs.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(fits) {
        return Err(ConnectionError::Prefix(prefix));
    }
    Ok(prefix)
}

/// Reads the password in a file.
fn password_of(path: &Path) -> Result<String, ConnectionError> {
    match read_password(path) {
        Ok(Some(password)) => Ok(password),
        Ok(None) => Err(ConnectionError::NoPassword(path.to_owned())),
        Err(cause) => Err(ConnectionError::PasswordFile { path: path.to_owned(), cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(
        connection: &Connection,
        env: &[(&str, &str)],
    ) -> Result<(String, String, Option<String>, Option<String>), ConnectionError> {
        let env = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let options = connection.options(&env, &[]);
        options.map(|all| (all.url, all.prefix, all.user, all.password))
    }

    /// A file `NAME.toml` that names a store, with prefix, user and password of that name.
    fn file(directory: &Path, name: &str) -> StoreFile {
        std::fs::write(directory.join(name), name).unwrap();
        StoreFile {
            path: directory.join(format!("{name}.toml")),
            redis: Some(format!("redis://{name}")),
            prefix: Some(format!("{name}:")),
            user: Some(name.to_owned()),
            password_file: Some(PathBuf::from(name)),
            ..StoreFile::default()
        }
    }

    fn shown(connection: &Connection, env: &[(&str, &str)], files: &[StoreFile]) -> String {
        let env = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        match connection.options(&env, files) {
            Ok(all) => format!(
                "{} {} {} {}",
                all.url,
                all.prefix,
                all.user.as_deref().unwrap_or("-"),
                all.password.as_deref().unwrap_or("-")
            ),
            Err(error) => format!("{:#}", anyhow::Error::from(error)),
        }
    }

    #[test]
    fn a_file_speaks_of_its_own_store_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (own, all) = (file(directory.path(), "own"), file(directory.path(), "all"));
        let none = Connection::default();
        let both = [own.clone(), all.clone()];
        assert_eq!(shown(&none, &[], &both), "redis://own own: own own");
        // The password of one store must not be used for another, whoever names it.
        let bare = StoreFile { prefix: None, user: None, password_file: None, ..own.clone() };
        assert_eq!(shown(&none, &[], &[bare, all.clone()]), "redis://own pd: - -");
        assert_eq!(shown(&url("redis://flag"), &[], &both), "redis://flag pd: - -");
        assert_eq!(shown(&none, &[("PDNS_REDIS", "redis://env")], &both), "redis://env pd: - -");
        // The same store may be named again.
        assert_eq!(shown(&url("redis://own"), &[], &both), "redis://own own: own own");
        let env = [("PDNS_REDIS", "redis://own"), ("PDNS_REDIS_USER", "me")];
        assert_eq!(shown(&none, &env, &both), "redis://own own: me own");
        // A file that names no store refers to the one named after it.
        let user = StoreFile { user: Some("me".to_owned()), ..StoreFile::default() };
        assert_eq!(shown(&none, &[], &[user, all.clone()]), "redis://all all: me all");
        let env = [("PDNS_PREFIX", "x:"), ("PDNS_REDIS_PASSWORD", "word"), ("PDNS_REDIS_USER", "")];
        assert_eq!(shown(&none, &env, &both), "redis://own x: own word");
        let options = none.options(&|_| None, &both).unwrap();
        assert_eq!(options.named_in, Some(own.path));
        assert_eq!(url("managed:").options(&|_| None, &both).unwrap().named_in, None);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let good = file(directory.path(), "all");
        for wrong in [
            StoreFile { redis: Some("localhost".to_owned()), ..good.clone() },
            StoreFile { prefix: Some("a b".to_owned()), ..good.clone() },
            StoreFile { prefix: Some(String::new()), ..good.clone() },
            StoreFile { user: Some(String::new()), ..good.clone() },
            StoreFile { password_file: Some(PathBuf::new()), ..good.clone() },
            StoreFile { password_file: Some(PathBuf::from("nowhere")), ..good.clone() },
        ] {
            let error = shown(&Connection::default(), &[], &[wrong]);
            let start = format!("the settings of the store in {} are wrong: ", good.path.display());
            assert!(error.starts_with(&start), "{error}");
        }
    }

    fn url(url: &str) -> Connection {
        Connection { url: Some(url.to_owned()), ..Connection::default() }
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_default() {
        let none = Connection::default();
        assert_eq!(
            options(&none, &[("PDNS_REDIS", "")]).unwrap(),
            ("managed:".to_owned(), "pd:".to_owned(), None, None)
        );
        let env = [
            ("PDNS_REDIS", "redis://:secret@h"),
            ("PDNS_PREFIX", "x:"),
            ("PDNS_REDIS_USER", "me"),
            ("PDNS_REDIS_PASSWORD", "word"),
        ];
        let (address, prefix, user, password) = options(&none, &env).unwrap();
        assert_eq!((address.as_str(), prefix.as_str()), ("redis://:secret@h", "x:"));
        assert_eq!((user.as_deref(), password.as_deref()), (Some("me"), Some("word")));
        assert_eq!(options(&url("rediss://other"), &env).unwrap().0, "rediss://other");
    }

    #[test]
    fn a_password_in_argv_is_refused() {
        for bad in [
            "redis://:secret@host",
            "redis://user:secret@host:6379/0",
            "rediss://user:a@b@host",
            "redis+unix:///run/redis.sock?db=1&pass=secret",
            "redis+sentinel://:secret@host,other/name",
            "redis+sentinel://host/name?sentinel_password=secret",
            "redis-cluster://user:secret@host,other",
        ] {
            assert!(
                matches!(options(&url(bad), &[]), Err(ConnectionError::PasswordInArgv)),
                "{bad}"
            );
        }
        for good in [
            "redis://host:6379/0",
            "redis://user@host",
            "redis://[::1]:6379",
            "managed:",
            "redis+sentinel://user@h:26379,i/name",
        ] {
            assert!(options(&url(good), &[]).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_the_store_cannot_use_is_refused() {
        assert!(matches!(options(&url("localhost"), &[]), Err(ConnectionError::Url(_))));
        assert!(matches!(options(&url("http://h"), &[]), Err(ConnectionError::Url(_))));
        for prefix in ["{x}", "a b", "\n"] {
            let connection =
                Connection { prefix: Some(prefix.to_owned()), ..Connection::default() };
            assert!(matches!(options(&connection, &[]), Err(ConnectionError::Prefix(_))));
        }
    }

    #[test]
    fn a_password_file_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let connection = Connection { password_file: Some(path.clone()), ..Connection::default() };
        assert!(matches!(options(&connection, &[]), Err(ConnectionError::PasswordFile { .. })));
        std::fs::write(&path, "secret\r\n").unwrap();
        let both = [("PDNS_REDIS_PASSWORD", "other")];
        assert_eq!(options(&connection, &both).unwrap().3.as_deref(), Some("secret"));
        let long = "x".repeat(5_000);
        for bad in ["", "\n", "a\nb", long.as_str()] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(options(&connection, &[]), Err(ConnectionError::NoPassword(_))));
        }
    }
}
