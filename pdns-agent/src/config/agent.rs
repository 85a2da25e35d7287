//! What `pdns-agent` is told: flags, then environment, then one TOML file, then defaults.
//!
//! [`Args`] holds what was typed, [`File`] what the file says; [`settings`] makes of both what `agent` takes.

#![expect(clippy::doc_markdown, reason = "the help of a command is plain text")]
#![expect(clippy::struct_field_names, reason = "the keys of a file that people write")]

use super::{Connection, ConnectionError};
use crate::agent::Settings;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Read when `--config` names no other file and this one is there.
const DEFAULT_FILE: &str = "/etc/pdns/agent.toml";
/// Octets for windows and what is packed of them: with all else, the agent stays below 200 MB.
const DEFAULT_MEMORY: usize = 136 << 20;
/// Least octets that make sense.
const LEAST_MEMORY: usize = 4 << 20;
const DEFAULT_FLUSH: Duration = Duration::from_secs(2);
/// Longest that lines may wait for the store.
const LONGEST_FLUSH: Duration = Duration::from_mins(10);

/// Feeds DNS answers that this sensor sees into a passive DNS store.
#[derive(Debug, clap::Parser)]
#[command(
    name = "pdns-agent",
    version,
    about,
    after_help = "The store is a private Redis unless --redis or PDNS_REDIS names one. SIGTERM and SIGINT end the \
                  agent after all it has read is in the store."
)]
pub struct Args {
    /// Where the store is.
    #[command(flatten)]
    pub connection: Connection,

    /// TOML file with settings; flags and environment go before it [env: PDNS_CONFIG] [default:
    /// /etc/pdns/agent.toml, if there].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Name of this sensor, shown with the records it saw [env: PDNS_SENSOR] [default: the host's name].
    #[arg(long, value_name = "NAME", global = true)]
    pub sensor: Option<String>,

    /// Where the answers come from.
    #[command(subcommand)]
    pub source: Source,
}

/// Where the answers come from.
#[derive(Debug, clap::Subcommand)]
pub enum Source {
    /// Read Zeek dns.log files: what is there first, then what is added.
    ///
    /// Takes files, directories and globs, TSV and JSON, plain and gzip. A log is known by its content, so that
    /// rotation, compression and copies count nothing twice.
    Zeek(Zeek),
}

/// Flags of `pdns-agent zeek`.
#[derive(Debug, Default, clap::Args)]
pub struct Zeek {
    /// Files, directories and globs, such as /nsm/zeek/logs or '/data/*/dns.*.log.gz' [default: those of
    /// the configuration file].
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Stop at the end of what is there.
    #[arg(long)]
    pub once: bool,

    /// Also take multicast DNS, LLMNR and NetBIOS (ports 5353, 5355, 137).
    #[arg(long)]
    pub keep_multicast: bool,

    /// How long new lines may wait before they go to the store, in seconds [default: 2].
    #[arg(long, value_name = "SECONDS")]
    pub flush: Option<f64>,

    /// Memory for merging equal answers, in MiB [default: 136].
    #[arg(long, value_name = "MIB")]
    pub memory: Option<usize>,

    /// Threads that read logs, at most [default: as many as there are processors].
    #[arg(long, value_name = "NUMBER")]
    pub workers: Option<usize>,
}

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    redis: Option<String>,
    prefix: Option<String>,
    redis_user: Option<String>,
    redis_password_file: Option<PathBuf>,
    sensor: Option<String>,
    zeek: ZeekFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ZeekFile {
    paths: Vec<PathBuf>,
    keep_multicast: bool,
    flush: Option<f64>,
    memory: Option<usize>,
    workers: Option<usize>,
}

/// Why the settings make no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The store's address.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The file does not say what it should.
    #[error("the configuration file {} is wrong", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A URL with a password in a file that others can read.
    #[error("the configuration file {} holds a password: put it into redis_password_file", .0.display())]
    PasswordInFile(PathBuf),
    /// No logs named.
    #[error(
        "no logs named: give files, directories or globs, such as `pdns-agent zeek /nsm/zeek/logs`"
    )]
    NoPaths,
    /// A sensor name that cannot be shown.
    #[error("{0:?} is no name for a sensor: give 1 to 64 printable characters without commas")]
    Sensor(String),
    /// A time beyond bounds.
    #[error("{0} is no time to wait for more lines: give 0.1 to 600 seconds")]
    Flush(f64),
    /// Too little memory.
    #[error("{0} MiB of memory is too little: give at least 4")]
    Memory(usize),
    /// No thread.
    #[error("at least one thread has to read logs")]
    Workers,
}

/// Makes the agent's settings of what was typed, of the environment and of the file.
///
/// # Errors
/// [`ConfigError`], whose sentence says what to do.
pub fn settings(
    args: &Args,
    env: &dyn Fn(&str) -> Option<String>,
    progress: bool,
) -> Result<Settings, ConfigError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = args.config.clone().or_else(|| env("PDNS_CONFIG").map(PathBuf::from));
    let file = match named {
        Some(path) => read(&path)?,
        None if Path::new(DEFAULT_FILE).exists() => read(Path::new(DEFAULT_FILE))?,
        None => File::default(),
    };
    let Source::Zeek(zeek) = &args.source;
    // The file stands behind the environment: it answers what the environment leaves open.
    let layered = |name: &str| {
        env(name).or_else(|| match name {
            "PDNS_REDIS" => file.redis.clone(),
            "PDNS_PREFIX" => file.prefix.clone(),
            "PDNS_REDIS_USER" => file.redis_user.clone(),
            "PDNS_REDIS_PASSWORD_FILE" if env("PDNS_REDIS_PASSWORD").is_none() => {
                file.redis_password_file.as_ref().map(|path| path.display().to_string())
            }
            _ => None,
        })
    };
    let store = args.connection.options(&layered)?;
    let sensor = args.sensor.clone().or_else(|| env("PDNS_SENSOR")).or_else(|| file.sensor.clone());
    let sensor = sensor.unwrap_or_else(host_name);
    let shown = |character: char| !character.is_control() && character != ',';
    if !(1..=64).contains(&sensor.chars().count()) || !sensor.chars().all(shown) {
        return Err(ConfigError::Sensor(sensor));
    }
    let inputs = if zeek.paths.is_empty() { file.zeek.paths.clone() } else { zeek.paths.clone() };
    if inputs.is_empty() {
        return Err(ConfigError::NoPaths);
    }
    let flush = match zeek.flush.or(file.zeek.flush) {
        None => DEFAULT_FLUSH,
        Some(seconds) => Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| (Duration::from_millis(100)..=LONGEST_FLUSH).contains(time))
            .ok_or(ConfigError::Flush(seconds))?,
    };
    let memory = match zeek.memory.or(file.zeek.memory) {
        None => DEFAULT_MEMORY,
        Some(mebibytes) => mebibytes
            .checked_mul(1 << 20)
            .filter(|&octets| octets >= LEAST_MEMORY)
            .ok_or(ConfigError::Memory(mebibytes))?,
    };
    let workers = match zeek.workers.or(file.zeek.workers) {
        None => std::thread::available_parallelism().map_or(1, usize::from),
        Some(0) => return Err(ConfigError::Workers),
        Some(workers) => workers,
    };
    Ok(Settings {
        store,
        sensor,
        inputs,
        once: zeek.once,
        keep_multicast: zeek.keep_multicast || file.zeek.keep_multicast,
        flush,
        memory,
        workers,
        progress,
    })
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|cause| ConfigError::File { path: path.to_owned(), cause })?;
    let file: File = toml::from_str(&text)
        .map_err(|cause| ConfigError::Syntax { path: path.to_owned(), cause: Box::new(cause) })?;
    if file.redis.as_deref().is_some_and(crate::store::has_password) {
        return Err(ConfigError::PasswordInFile(path.to_owned()));
    }
    Ok(file)
}

/// The host's name, as the kernel has it.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "sensor".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn parsed(words: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let words = std::iter::once("pdns-agent").chain(words.iter().copied());
        let args = Args::try_parse_from(words).map_err(|error| error.to_string())?;
        let env = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        settings(&args, &env, false).map_err(|error| error.to_string())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file() {
        let file = file(
            "redis = 'redis://file'\nprefix = 'file:'\nsensor = 'file'\n[zeek]\npaths = ['/file']\nflush = 5\n",
        );
        let config = file.path().to_str().unwrap();
        let settings = parsed(
            &["zeek", "--config", config, "--sensor", "flag"],
            &[("PDNS_PREFIX", "env:"), ("PDNS_SENSOR", "env")],
        )
        .unwrap();
        assert_eq!(settings.store.url, "redis://file");
        assert_eq!(settings.store.prefix, "env:");
        assert_eq!(settings.sensor, "flag");
        assert_eq!(settings.inputs, [PathBuf::from("/file")]);
        assert_eq!(settings.flush, Duration::from_secs(5));
        let settings =
            parsed(&["zeek", "/flag", "--redis", "redis://flag"], &[("PDNS_CONFIG", config)]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.store.url.as_str(), settings.sensor.as_str()),
            ("redis://flag", "file")
        );
        assert_eq!(settings.inputs, [PathBuf::from("/flag")]);
    }

    #[test]
    fn mistakes_are_told_in_a_sentence() {
        let config = |text: &str| {
            let file = file(text);
            parsed(&["zeek", "/x", "--config", file.path().to_str().unwrap()], &[]).unwrap_err()
        };
        assert!(config("sensors = 'x'").contains("is wrong"));
        assert!(config("redis = 'redis://:secret@host'").contains("redis_password_file"));
        assert!(
            parsed(&["zeek"], &[("PDNS_CONFIG", "/nonexistent")])
                .unwrap_err()
                .contains("/nonexistent")
        );
        for (words, part) in [
            (&["zeek", "/x", "--flush", "0"][..], "0.1 to 600"),
            (&["zeek", "/x", "--flush", "nan"], "0.1 to 600"),
            (&["zeek", "/x", "--memory", "1"], "at least 4"),
            (&["zeek", "/x", "--workers", "0"], "at least one"),
            (&["zeek", "/x", "--sensor", "a,b"], "commas"),
            (&["zeek", "/x", "--redis", "redis://:secret@host"], "password"),
        ] {
            let error = parsed(words, &[("PDNS_CONFIG", "/dev/null")]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
