//! Where the store is, as both binaries are told: flags, then environment, then the default.
//!
//! Turns what was typed into [`Options`] for `store`. A password never comes from the command line,
//! where every user of the machine can read it.

pub mod agent;
mod document;
pub mod exit;
mod security_onion;
pub mod serve;
pub mod usage;

pub use document::FileError;

use crate::store::{Options, has_password, mask, read_password};
use std::io;
use std::path::PathBuf;

/// The store that is used when none is named: a private Redis that pdns starts itself.
pub const DEFAULT_URL: &str = "managed:";
/// What every key begins with when nothing else is said.
pub const DEFAULT_PREFIX: &str = "pd:";
/// The schemes that the store knows, beside [`DEFAULT_URL`].
const SCHEMES: [&str; 3] = ["redis://", "rediss://", "redis+unix://"];

/// Flags that say where the store is.
///
/// The environment is not read by clap, because what came from argv and what came from the environment
/// must be told apart: see [`ConnectionError::PasswordInArgv`].
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Store")]
pub struct Connection {
    /// Address of the store.
    #[arg(
        long = "redis",
        value_name = "URL",
        global = true,
        help = "Where the store is [env: PDNS_REDIS] [default: managed:]",
        long_help = "Where the store is: managed:, redis://HOST:PORT, rediss://HOST:PORT or \
            redis+unix:///PATH [env: PDNS_REDIS]\n\n\
            The default, managed:, is a private Redis in the data directory, started when it is not \
            running. A password does not belong here, since every user of the machine can read it: put \
            the URL into PDNS_REDIS, or the password into PDNS_REDIS_PASSWORD or a file."
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

/// Why it is not clear how to reach the store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// `--redis` holds a password.
    #[error(
        "--redis holds a password, which every user of this machine can read; \
         put the URL into PDNS_REDIS, or the password into PDNS_REDIS_PASSWORD or PDNS_REDIS_PASSWORD_FILE"
    )]
    PasswordInArgv,
    /// The URL has another scheme than the known ones.
    #[error(
        "{0:?} is no address of a store: give managed:, redis://HOST:PORT, rediss://HOST:PORT \
         or redis+unix:///PATH"
    )]
    Url(String),
    /// The URL leads to Security Onion's own Redis.
    #[error(
        "{0:?} is Security Onion's own Redis, the queue of its logs, which stop when pdns fills it: name the one of pdns, \
         or set {over}=1 if it is another one",
        over = security_onion::OVERRIDE
    )]
    SecurityOnion(String),
    /// The prefix would break the keys.
    #[error("{0:?} cannot begin a key: give up to 64 letters, digits, or any of : . _ -")]
    Prefix(String),
    /// The password file cannot be read.
    #[error("cannot read the password file {path}")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The password file is empty, too long or not UTF-8.
    #[error("the password file {0} holds no password: one line of up to 4096 bytes is expected")]
    NoPassword(PathBuf),
}

impl Connection {
    /// What the store needs. `env` looks up an environment variable; one that is empty counts as not set.
    ///
    /// # Errors
    /// [`ConnectionError`], whose sentence says what to do.
    pub fn options(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Options, ConnectionError> {
        let env = |name| env(name).filter(|value: &String| !value.is_empty());
        if self.url.as_deref().is_some_and(has_password) {
            return Err(ConnectionError::PasswordInArgv);
        }
        let url = self.url.clone().or_else(|| env("PDNS_REDIS"));
        let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
        if url != DEFAULT_URL && !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(ConnectionError::Url(mask(&url)));
        }
        if security_onion::is_its_redis(&url)
            && security_onion::is_node()
            && env(security_onion::OVERRIDE).is_none()
        {
            return Err(ConnectionError::SecurityOnion(mask(&url)));
        }
        let prefix = self.prefix.clone().or_else(|| env("PDNS_PREFIX"));
        let prefix = prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
        // Braces would move every key to one slot of a cluster, and control characters hide in logs.
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b":._-".contains(&octet);
        if prefix.len() > 64 || !prefix.bytes().all(fits) {
            return Err(ConnectionError::Prefix(prefix));
        }
        let file = match &self.password_file {
            Some(path) => Some(path.clone()),
            None => env("PDNS_REDIS_PASSWORD_FILE").map(PathBuf::from),
        };
        let password = match &file {
            None => env("PDNS_REDIS_PASSWORD"),
            Some(path) => match read_password(path) {
                Ok(Some(password)) => Some(password),
                Ok(None) => return Err(ConnectionError::NoPassword(path.clone())),
                Err(cause) => {
                    return Err(ConnectionError::PasswordFile { path: path.clone(), cause });
                }
            },
        };
        let user = self.user.clone().or_else(|| env("PDNS_REDIS_USER"));
        Ok(Options { url, prefix, user, password, password_file: file })
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
        connection.options(&env).map(|all| (all.url, all.prefix, all.user, all.password))
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
        ] {
            assert!(
                matches!(options(&url(bad), &[]), Err(ConnectionError::PasswordInArgv)),
                "{bad}"
            );
        }
        for good in ["redis://host:6379/0", "redis://user@host", "redis://[::1]:6379", "managed:"] {
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
