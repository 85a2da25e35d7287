//! Settings of `pdns serve`: flags, then environment, then one TOML file, then defaults.
//!
//! `args` holds the flags, `file` the settings file; [`settings`] combines them into the settings for
//! `serve`.

mod args;
mod file;

pub use args::{Serve, ServeCommand, UserCommand};

use super::document::{self, FileError};
use super::score::{ScoreFileError, ScoreFiles};
use super::{Connection, ConnectionError, Sharing, StoreFile, pdns_files};
use crate::query::MAX_PAGE;
use crate::serve::{
    Address, BadAddress, Feed, HostName, HuntUrl, Limits, NoHostName, NoHuntUrl, Settings,
};
use file::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Settings file that is read if it exists and `--config` names no other.
const DEFAULT_FILE: &str = "/etc/pdns/serve.toml";
/// Default file of users.
const DEFAULT_USERS: &str = "/etc/pdns/users.toml";
/// Default address to listen on.
const DEFAULT_LISTEN: &str = "127.0.0.1:8953";
/// Maximum number of concurrent queries: each has a connection to Redis, two while it scans, and a thread.
const MAX_QUERIES: usize = 256;

/// Error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ServeConfigError {
    /// Invalid address of the store.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Error in the settings file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that scores rest on is invalid.
    #[error(transparent)]
    ScoreFile(#[from] ScoreFileError),
    /// Invalid address to listen on.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// Invalid host name.
    #[error(transparent)]
    Host(#[from] NoHostName),
    /// Invalid URL of Hunt.
    #[error(transparent)]
    Hunt(#[from] NoHuntUrl),
    /// Only one of the two TLS files is given.
    #[error("TLS needs both: --tls-cert and --tls-key")]
    HalfTls,
    /// Invalid origin.
    #[error("{0:?} is not a valid origin: give scheme and host, such as https://so.example.net")]
    Origin(String),
    /// A number out of range.
    #[error("{value:?} is not a valid value for {name}: use {allowed}")]
    Number {
        /// The setting.
        name: &'static str,
        /// The given value.
        value: String,
        /// The allowed values.
        allowed: String,
    },
}

/// Looks up an environment variable; an empty one counts as unset.
type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Combines flags, environment and settings file into the server's settings.
///
/// # Errors
/// [`ServeConfigError`], whose message says what to do.
pub fn settings(
    typed: &Serve,
    connection: &Connection,
    env: Env<'_>,
) -> Result<Settings, ServeConfigError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let (kept, path) = kept(typed, &env)?;
    // The files of all commands follow the server's own file.
    let keys = [kept.redis.as_ref(), kept.prefix.as_ref(), kept.redis_user.as_ref()];
    let names = StoreFile::new(path, keys, kept.redis_password_file.as_ref());
    let files = [vec![names], pdns_files(&env, connection.names_store(&env))?].concat();
    let store = connection.options(&env, &files)?;
    let Sharing { default_tlp, identity } = Sharing::from_files(&files);
    let list = |typed: &[String], name: &str, kept: &[String]| match (typed, env(name)) {
        ([], Some(text)) => text.split(',').map(|one| one.trim().to_owned()).collect(),
        ([], None) => kept.to_vec(),
        (typed, _) => typed.to_vec(),
    };
    let path = |typed: &Option<PathBuf>, name: &str, kept: &Option<PathBuf>| {
        typed.clone().or_else(|| env(name).map(PathBuf::from)).or_else(|| kept.clone())
    };
    let mut listen = list(&typed.listen, "PDNS_SERVE_LISTEN", &kept.listen);
    if listen.is_empty() {
        listen.push(DEFAULT_LISTEN.to_owned());
    }
    let hosts = list(&typed.host, "PDNS_SERVE_HOST", &kept.host);
    let certificate = path(&typed.tls_cert, "PDNS_SERVE_TLS_CERT", &kept.tls_cert);
    let key = path(&typed.tls_key, "PDNS_SERVE_TLS_KEY", &kept.tls_key);
    let origin = typed.cors_origin.clone().or_else(|| env("PDNS_SERVE_CORS_ORIGIN"));
    let origin = origin.or_else(|| kept.cors_origin.clone());
    let hunt = typed.hunt_url.clone().or_else(|| env("PDNS_SERVE_HUNT_URL"));
    let hunt = hunt.or_else(|| kept.hunt_url.clone());
    let ancestors = list(&typed.frame_ancestor, "PDNS_SERVE_FRAME_ANCESTOR", &kept.frame_ancestor);
    Ok(Settings {
        store,
        listen: listen.iter().map(|text| text.parse()).collect::<Result<Vec<Address>, _>>()?,
        users: users(typed, &env, &kept),
        tls: match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(ServeConfigError::HalfTls),
        },
        behind_proxy: typed.behind_proxy || kept.behind_proxy,
        hosts: hosts.iter().map(|text| text.parse()).collect::<Result<Vec<HostName>, _>>()?,
        origin: origin.map(checked_origin).transpose()?,
        hunt: hunt.map(|text| text.parse::<HuntUrl>()).transpose()?,
        frame_ancestors: ancestors.into_iter().map(checked_origin).collect::<Result<_, _>>()?,
        feed: Feed { default_tlp, identity },
        scorer: ScoreFiles::default().scorer()?,
        limits: limits(typed, &kept)?,
    })
}

/// The file of users that `pdns serve user` works on.
///
/// # Errors
/// [`ServeConfigError`] for the settings file.
pub fn users_file(typed: &Serve, env: Env<'_>) -> Result<PathBuf, ServeConfigError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let (kept, _) = kept(typed, &env)?;
    Ok(users(typed, &env, &kept).unwrap_or_else(|| PathBuf::from(DEFAULT_USERS)))
}

/// The file of users: the one that is named, or the default file if it exists.
fn users(typed: &Serve, env: Env<'_>, kept: &File) -> Option<PathBuf> {
    let named = typed.users.clone().or_else(|| env("PDNS_SERVE_USERS").map(PathBuf::from));
    named
        .or_else(|| kept.users.clone())
        .or_else(|| Some(PathBuf::from(DEFAULT_USERS)).filter(|path| path.exists()))
}

/// The settings file and its path, which is empty if there is none.
fn kept(typed: &Serve, env: Env<'_>) -> Result<(File, PathBuf), ServeConfigError> {
    let named = typed.config.clone().or_else(|| env("PDNS_SERVE_CONFIG").map(PathBuf::from));
    let path = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    match path {
        Some(path) => Ok((read(&path)?, path)),
        None => Ok((File::default(), PathBuf::new())),
    }
}

fn limits(typed: &Serve, kept: &File) -> Result<Limits, ServeConfigError> {
    let default = Limits::default();
    let wrong = |name, value: String, allowed: &str| ServeConfigError::Number {
        name,
        value,
        allowed: allowed.to_owned(),
    };
    let rate = typed.rate.or(kept.rate).unwrap_or(default.rate);
    let burst = typed.burst.or(kept.burst).unwrap_or_else(|| default.burst.max(rate));
    if burst == 0 {
        return Err(wrong("--burst", burst.to_string(), "1 or more"));
    }
    let queries = typed.queries.or(kept.queries).unwrap_or(default.queries);
    if !(2..=MAX_QUERIES).contains(&queries) {
        let allowed = format!("2 to {MAX_QUERIES}");
        return Err(wrong("--queries", queries.to_string(), &allowed));
    }
    let client_queries = typed.client_queries.or(kept.client_queries);
    let client_queries = client_queries.unwrap_or_else(|| Limits::client_queries(queries));
    if !(1..=queries).contains(&client_queries) {
        let allowed = format!("1 to {queries}, as many as --queries");
        return Err(wrong("--client-queries", client_queries.to_string(), &allowed));
    }
    let client_connections = typed.client_connections.or(kept.client_connections);
    let client_connections = client_connections.unwrap_or(default.client_connections);
    if !(1..=Limits::CONNECTIONS).contains(&client_connections) {
        let allowed = format!("1 to {}", Limits::CONNECTIONS);
        return Err(wrong("--client-connections", client_connections.to_string(), &allowed));
    }
    let rows = typed.max_rows.or(kept.max_rows).unwrap_or(default.rows);
    if !(1..=MAX_PAGE).contains(&rows) {
        return Err(wrong("--max-rows", rows.to_string(), &format!("1 to {MAX_PAGE}")));
    }
    let time = match typed.time.or(kept.time) {
        None => default.time,
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| (0.1..=3_600.0).contains(&time.as_secs_f64()))
            .ok_or_else(|| wrong("--time", seconds.to_string(), "0.1 to 3600 seconds"))?,
    };
    Ok(Limits { rate, burst, queries, client_queries, client_connections, time, rows })
}

/// An origin in the form that browsers send (RFC 6454 §6.2).
fn checked_origin(text: String) -> Result<String, ServeConfigError> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b".-:[]".contains(&octet);
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(fits) => Ok(text),
        _ => Err(ServeConfigError::Origin(text)),
    }
}

fn read(path: &Path) -> Result<File, ServeConfigError> {
    Ok(document::read(path, |file: &File| file.redis.as_deref())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::fs;
    use tempfile::TempDir;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        serve: Serve,
    }

    fn read_with(
        line: &str,
        file: &str,
        env: &[(&str, &str)],
    ) -> Result<Settings, ServeConfigError> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("serve.toml");
        fs::write(&path, file).unwrap();
        let words = std::iter::once("serve").chain(line.split_whitespace());
        let mut typed = Typed::try_parse_from(words).unwrap().serve;
        typed.config = Some(path);
        let env = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        settings(&typed, &Connection::default(), &env)
    }

    #[test]
    fn the_packages_file_has_every_key() {
        let (shipped, full) = document::shipped::check::<File>("serve.toml", &[""]);
        assert_eq!(shipped.redis.as_deref(), Some("redis+unix:///run/pdns/redis.sock"));
        assert_eq!(full.prefix.as_deref(), Some(crate::config::DEFAULT_PREFIX));
        assert_eq!(full.listen, [DEFAULT_LISTEN]);
        assert_eq!(full.users.as_deref(), Some(Path::new(DEFAULT_USERS)));
        let numbers = Limits::default();
        let set = limits(&Serve::default(), &full).unwrap();
        assert_eq!(set, numbers);
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file() {
        let file = "redis = \"redis://a\"\nlisten = [\"127.0.0.1:1\"]\nusers = \"/f\"\nrate = 7\n";
        let read = |line, env| read_with(line, file, env).unwrap();
        let shown = |settings: &Settings| {
            settings.listen.iter().map(Address::to_string).collect::<Vec<_>>()
        };
        let settings = read("", &[]);
        assert_eq!(shown(&settings), ["127.0.0.1:1"]);
        assert_eq!((settings.store.url.as_str(), settings.limits.rate), ("redis://a", 7));
        let env = [("PDNS_SERVE_LISTEN", "[::1]:2, unix:/s"), ("PDNS_REDIS", "redis://b")];
        let settings = read("", &env);
        assert_eq!(shown(&settings), ["[::1]:2", "unix:/s"]);
        assert_eq!(settings.store.url, "redis://b");
        let settings = read("--listen 127.0.0.1:3 --users /u --rate 0", &env);
        assert_eq!((shown(&settings), settings.limits.rate), (vec!["127.0.0.1:3".to_owned()], 0));
        assert_eq!(settings.users, Some(PathBuf::from("/u")));
        let settings = read("--queries 5 --client-connections 9", &[]);
        assert_eq!((settings.limits.client_queries, settings.limits.client_connections), (3, 9));
        let settings = read_with("", "", &[]).unwrap();
        assert_eq!(
            (shown(&settings), settings.limits),
            (vec![DEFAULT_LISTEN.to_owned()], Limits::default())
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_a_sentence() {
        for (line, file) in [
            ("--listen 8953", ""),
            ("--tls-cert /c", ""),
            ("--queries 1", ""),
            ("--client-queries 0", ""),
            ("--queries 4 --client-queries 5", ""),
            ("--client-connections 0", ""),
            ("--client-connections 513", ""),
            ("--max-rows 0", ""),
            ("--time 0", ""),
            ("--burst 0", ""),
            ("--cors-origin example.net", ""),
            ("--cors-origin https://a/b", ""),
            ("--host https://a", ""),
            ("--hunt-url so.example.net", ""),
            ("--frame-ancestor *", ""),
            ("", "redis = \"redis://:secret@h\""),
            ("", "nonsense = 1"),
        ] {
            let error = read_with(line, file, &[]).unwrap_err().to_string();
            assert!(!error.contains('\n') && !error.contains("secret"), "{line}: {error}");
        }
    }
}
