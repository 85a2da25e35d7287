//! Settings of `pdns-agent`: flags, then environment, then one TOML file, then defaults.
//!
//! [`Args`] holds the flags, `file` the settings file; [`settings`] combines them into the settings for
//! `agent`.

mod args;
mod file;
mod limit;

pub use args::Args;

use super::document::{self, FileError};
use super::{ConnectionError, StoreFile, exit};
use crate::agent::{Captures, Interfaces, Logs, Settings, Source};
use crate::decode::log::Format;
use crate::decode::{packets, zeek};
use crate::name::{NameBuf, NameError};
use crate::observation::SENSOR_SEPARATOR;
use crate::store::NewNames;
use args::Packets;
use file::File;
use limit::Limit;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Settings file that is read if it exists and `--config` names no other.
const DEFAULT_FILE: &str = "/etc/pdns/agent.toml";
/// Bytes for windows and the batches packed from them; including everything else, the agent stays below 200
/// MB. Less if the memory of the process is limited: see [`limit`].
const DEFAULT_MEMORY: usize = 136 << 20;
/// Minimum memory in bytes.
const LEAST_MEMORY: usize = 4 << 20;
const DEFAULT_FLUSH: Duration = Duration::from_secs(2);
/// Allowed delay of observations before they go to the store.
const FLUSH: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Allowed time for a question to wait for its answer.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);
/// Default size of a ring buffer in bytes: 16 MiB hold 65,536 typical answers, a twentieth of a second at a
/// million packets per second.
const DEFAULT_RING: usize = 16 << 20;
const LEAST_RING: usize = 1 << 20;
/// Allowed size of a ring buffer in MiB.
const RING: RangeInclusive<usize> = 1..=1024;
/// Sensor of imported records.
const IMPORTED: &str = "cof";
/// Default bound on the new names of a domain on one day.
const NEW_NAMES: u32 = 10_000;
/// Domains below which every name is kept by default: a name for each address is no flood.
const EXEMPT: &[&str] = &["in-addr.arpa", "ip6.arpa"];
/// The port of DNS.
const DEFAULT_PORT: u16 = 53;

/// Error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Invalid address of the store.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Error in the settings file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No logs named.
    #[error("no logs named: give files, directories or globs, such as `pdns-agent {example}`")]
    NoPaths {
        /// A command that names some.
        example: &'static str,
        /// True if the agent was to stop at their end.
        once: bool,
    },
    /// No interface named.
    #[error("no interface named: give one, such as `pdns-agent ebpf --interface eth0`")]
    NoInterfaces,
    /// An interface given twice.
    #[error("interface {0} is named twice: each can be captured on once")]
    InterfaceTwice(String),
    /// A sensor name that cannot be shown.
    #[error(
        "{0:?} is not a valid name for a sensor: give 1 to 64 printable characters without commas, and no space at the \
         beginning or end"
    )]
    Sensor(String),
    /// A delay out of range.
    #[error("invalid time between writes {0}: give 0.1 to 600 seconds")]
    Flush(f64),
    /// A timeout out of range.
    #[error("invalid time to wait for a response {0}: give 0.1 to 300 seconds")]
    Timeout(f64),
    /// Invalid port.
    #[error("port 0 carries no DNS")]
    Port,
    /// A ring buffer that the kernel would refuse.
    #[error("{0} MiB is not a valid ring buffer size: use a power of two up to 1024")]
    Ring(usize),
    /// Not enough memory.
    #[error("{0} MiB of memory is too little: give at least 4")]
    Memory(usize),
    /// No threads.
    #[error("at least one thread has to read")]
    Workers,
    /// A domain that is exempt from the bound on new names and is none.
    #[error("{0:?} in [flood] exempt is not a domain name")]
    Exempt(String, #[source] NameError),
}

impl ConfigError {
    /// The exit status. An import is typed by somebody who forgot the logs; a service that names none, in its file
    /// either, must not be started again and again.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NoPaths { once: true, .. } => exit::USAGE,
            _ => exit::CONFIGURATION,
        }
    }
}

/// Makes the agent's settings of what was typed, of the environment and of the file.
///
/// # Errors
/// [`ConfigError`], whose message says what to do.
pub fn settings(
    args: &Args,
    env: &dyn Fn(&str) -> Option<String>,
    progress: bool,
) -> Result<Settings, ConfigError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = args.config.clone().or_else(|| env("PDNS_CONFIG").map(PathBuf::from));
    let named = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let file = match &named {
        Some(path) => read(path)?,
        None => File::default(),
    };
    let keys = [file.redis.as_ref(), file.prefix.as_ref(), file.redis_user.as_ref()];
    let named = named.unwrap_or_default();
    let names = StoreFile::new(named, keys, file.redis_password_file.as_ref());
    let store = args.connection.options(&env, &[names])?;
    let limit = Limit::for_process();
    let sensor = sensor_name(args, &env, &file)?;
    let listen = args.listen.clone().or_else(|| env("PDNS_LISTEN")).or_else(|| file.listen.clone());
    let (source, flush, memory, workers) = match &args.source {
        args::Source::Zeek(typed) => {
            let kept = &file.zeek;
            let options = zeek::Options {
                keep_multicast: typed.keep_multicast || kept.keep_multicast,
                no_pdns_log: typed.no_pdns_log || kept.no_pdns_log,
            };
            let logs = Logs {
                format: Format::Zeek(options),
                inputs: inputs(&typed.paths, &kept.paths, "zeek /nsm/zeek/logs", typed.once)?,
                once: typed.once,
            };
            let flush = typed.flush.or(kept.flush);
            (Source::Logs(logs), flush, kept.memory, typed.workers.or(kept.workers))
        }
        args::Source::Suricata(typed) => {
            let kept = &file.suricata;
            let logs = Logs {
                format: Format::Suricata,
                inputs: inputs(
                    &typed.paths,
                    &kept.paths,
                    "suricata /var/log/suricata",
                    typed.once,
                )?,
                once: typed.once,
            };
            let flush = typed.flush.or(kept.flush);
            (Source::Logs(logs), flush, kept.memory, typed.workers.or(kept.workers))
        }
        args::Source::Ebpf(typed) => {
            let kept = &file.ebpf;
            let named =
                if typed.interfaces.is_empty() { &kept.interfaces } else { &typed.interfaces };
            let ring = typed.ring.or(kept.ring);
            let interfaces = Interfaces {
                interfaces: sensors(named, &sensor)?,
                ring: match ring {
                    None => limit.ring(DEFAULT_RING, LEAST_RING, named.len()),
                    Some(ring) if RING.contains(&ring) && ring.is_power_of_two() => ring << 20,
                    Some(ring) => return Err(ConfigError::Ring(ring)),
                },
                promiscuous: !typed.no_promiscuous && kept.promiscuous.unwrap_or(true),
                packets: packets(&typed.packets, &kept.ports, kept.timeout, kept.drop_unsolicited)?,
            };
            (Source::Ebpf(interfaces), typed.flush.or(kept.flush), kept.memory, None)
        }
        args::Source::Pcap(typed) => {
            let kept = &file.pcap;
            let captures = Captures {
                inputs: typed.files.clone(),
                packets: packets(&typed.packets, &kept.ports, kept.timeout, kept.drop_unsolicited)?,
            };
            (Source::Pcap(captures), None, kept.memory, typed.workers.or(kept.workers))
        }
        args::Source::Cof(typed) => {
            let logs = Logs { format: Format::Cof, inputs: typed.files.clone(), once: true };
            (Source::Logs(logs), None, None, typed.workers)
        }
    };
    Ok(Settings {
        store,
        sensor,
        flush: match flush {
            None => DEFAULT_FLUSH,
            Some(seconds) => time(seconds, &FLUSH).ok_or(ConfigError::Flush(seconds))?,
        },
        memory: match args.memory.or(memory).or(file.memory) {
            None => limit.memory(DEFAULT_MEMORY, LEAST_MEMORY),
            Some(mebibytes) => within(mebibytes, limit)?,
        },
        workers: match workers {
            None => limit.workers(std::thread::available_parallelism().map_or(1, usize::from)),
            Some(0) => return Err(ConfigError::Workers),
            Some(workers) => workers,
        },
        listen,
        progress,
        new_names: new_names(args, &file)?,
        source,
    })
}

/// The bound on the new names of a domain. What another system kept is kept here, too.
fn new_names(args: &Args, file: &File) -> Result<NewNames, ConfigError> {
    let configured = match args.source {
        args::Source::Cof(_) => 0,
        _ => file.flood.new_names.unwrap_or(NEW_NAMES),
    };
    let defaults = || EXEMPT.iter().copied().map(str::to_owned).collect();
    let exempt = file.flood.exempt.clone().unwrap_or_else(defaults);
    let exempt = exempt.into_iter().map(|text| match NameBuf::parse(&text) {
        Ok(name) => Ok(name),
        Err(error) => Err(ConfigError::Exempt(text, error)),
    });
    Ok(NewNames {
        most: args.new_names.unwrap_or(configured),
        exempt: exempt.collect::<Result<_, _>>()?,
    })
}

/// The requested memory in bytes. Warns if the process may not use that much.
fn within(mebibytes: usize, limit: Limit) -> Result<usize, ConfigError> {
    let bytes = mebibytes.checked_mul(1 << 20).filter(|&bytes| bytes >= LEAST_MEMORY);
    let bytes = bytes.ok_or(ConfigError::Memory(mebibytes))?;
    if let Some(limit) = limit.exceeded_by(bytes) {
        tracing::warn!(
            memory_mib = mebibytes,
            limit_mib = limit,
            "the memory asked for leaves too little of this process's limit; the kernel may kill the agent: give --memory \
             at most a third of it"
        );
    }
    Ok(bytes)
}

/// The name of the sensor. The configured one is that of a sensor on this host, which did not see what is imported.
fn sensor_name(
    args: &Args,
    env: &dyn Fn(&str) -> Option<String>,
    file: &File,
) -> Result<String, ConfigError> {
    let configured = || env("PDNS_SENSOR").or_else(|| file.sensor.clone());
    let name = match (&args.sensor, &args.source) {
        (Some(typed), _) => typed.clone(),
        (None, args::Source::Cof(_)) => IMPORTED.to_owned(),
        (None, _) => configured().unwrap_or_else(host_name),
    };
    named_sensor(name)
}

/// The logs given as arguments, or else those of the settings file.
fn inputs(
    typed: &[PathBuf],
    kept: &[PathBuf],
    example: &'static str,
    once: bool,
) -> Result<Vec<PathBuf>, ConfigError> {
    let inputs = if typed.is_empty() { kept } else { typed };
    if inputs.is_empty() {
        Err(ConfigError::NoPaths { example, once })
    } else {
        Ok(inputs.to_vec())
    }
}

/// A time in seconds, if it is in range.
fn time(seconds: f64, bounds: &RangeInclusive<Duration>) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|time| bounds.contains(time))
}

/// Decoder options for packets.
fn packets(
    typed: &Packets,
    ports: &[u16],
    timeout: Option<f64>,
    drop_unsolicited: bool,
) -> Result<packets::PacketOptions, ConfigError> {
    let mut ports = if typed.ports.is_empty() { ports.to_vec() } else { typed.ports.clone() };
    if ports.is_empty() {
        ports.push(DEFAULT_PORT);
    }
    if ports.contains(&0) {
        return Err(ConfigError::Port);
    }
    Ok(packets::PacketOptions {
        ports,
        timeout: match typed.timeout.or(timeout) {
            None => DEFAULT_TIMEOUT,
            Some(seconds) => time(seconds, &TIMEOUT).ok_or(ConfigError::Timeout(seconds))?,
        },
        drop_unsolicited: typed.drop_unsolicited || drop_unsolicited,
    })
}

/// The given interfaces, each with its sensor.
fn sensors(named: &[String], sensor: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut interfaces: Vec<(String, String)> = Vec::new();
    for text in named {
        let (name, sensor) = match text.split_once('=') {
            Some((name, sensor)) => (name, sensor.to_owned()),
            None if named.len() == 1 => (text.as_str(), sensor.to_owned()),
            None => (text.as_str(), format!("{sensor}-{text}")),
        };
        if interfaces.iter().any(|(other, _)| other == name) {
            return Err(ConfigError::InterfaceTwice(name.to_owned()));
        }
        interfaces.push((name.to_owned(), named_sensor(sensor)?));
    }
    if interfaces.is_empty() { Err(ConfigError::NoInterfaces) } else { Ok(interfaces) }
}

/// A sensor name, if it can be displayed.
fn named_sensor(name: String) -> Result<String, ConfigError> {
    // What stands between names in a list is in none of them.
    let shown = |character: char| !character.is_control() && character != SENSOR_SEPARATOR;
    let is_trimmed = name.trim() == name;
    if is_trimmed && (1..=64).contains(&name.chars().count()) && name.chars().all(shown) {
        Ok(name)
    } else {
        Err(ConfigError::Sensor(name))
    }
}

/// The kernel's host name.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "sensor".to_owned() } else { name.to_owned() }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    Ok(document::read(path, |file: &File| file.redis.as_deref())?)
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

    fn named(settings: &Settings) -> &[PathBuf] {
        match &settings.source {
            Source::Logs(logs) => &logs.inputs,
            _ => &[],
        }
    }

    #[test]
    fn the_packages_file_has_every_key() {
        let (shipped, full) = document::shipped::check::<File>(
            "agent.toml",
            &["", "zeek", "suricata", "ebpf", "pcap"],
        );
        assert_eq!(shipped.redis.as_deref(), Some("redis+unix:///run/pdns/redis.sock"));
        assert_eq!(full.prefix.as_deref(), Some(crate::config::DEFAULT_PREFIX));
        assert_eq!(full.memory, Some(DEFAULT_MEMORY >> 20));
        assert_eq!((full.ebpf.ring, full.ebpf.flush), (Some(DEFAULT_RING >> 20), Some(2.0)));
        assert_eq!(full.ebpf.ports, [DEFAULT_PORT]);
        assert_eq!(full.pcap.timeout, Some(DEFAULT_TIMEOUT.as_secs_f64()));
    }

    #[test]
    fn interfaces_and_packets_are_told() {
        let file =
            file("sensor = 's'\n[ebpf]\ninterfaces = ['eth9']\nports = [53, 5353]\nring = 4\n");
        let config = file.path().to_str().unwrap();
        let told = |words: &[&str]| match parsed(words, &[("PDNS_CONFIG", config)]).unwrap().source
        {
            Source::Ebpf(interfaces) => interfaces,
            _ => panic!("not of interfaces"),
        };
        let pair = |name: &str, sensor: &str| (name.to_owned(), sensor.to_owned());
        let interfaces = told(&["ebpf"]);
        assert_eq!(interfaces.interfaces, [pair("eth9", "s")]);
        assert_eq!((interfaces.ring, interfaces.promiscuous), (4 << 20, true));
        assert_eq!(interfaces.packets.ports, [53, 5353]);
        let words = [
            "ebpf",
            "-i",
            "eth0",
            "--interface",
            "eth1=dmz",
            "--port",
            "53,5300",
            "--no-promiscuous",
        ];
        let interfaces = told(&words);
        assert_eq!(interfaces.interfaces, [pair("eth0", "s-eth0"), pair("eth1", "dmz")]);
        assert_eq!(
            (interfaces.packets.ports.as_slice(), interfaces.promiscuous),
            (&[53, 5300][..], false)
        );
        assert_eq!(interfaces.packets.timeout, DEFAULT_TIMEOUT);
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
        assert_eq!(named(&settings), [PathBuf::from("/file")]);
        assert_eq!(settings.flush, Duration::from_secs(5));
        let settings =
            parsed(&["zeek", "/flag", "--redis", "redis://flag"], &[("PDNS_CONFIG", config)]);
        let settings = settings.unwrap();
        assert_eq!(
            (settings.store.url.as_str(), settings.sensor.as_str()),
            ("redis://flag", "file")
        );
        assert_eq!(named(&settings), [PathBuf::from("/flag")]);
    }

    #[test]
    fn suricatas_logs_have_a_part_of_the_file_of_their_own() {
        let file = file("[zeek]\npaths = ['/zeek']\n[suricata]\npaths = ['/eve']\nflush = 3\n");
        let config = [("PDNS_CONFIG", file.path().to_str().unwrap())];
        let settings = parsed(&["suricata", "--once"], &config).unwrap();
        assert_eq!(named(&settings), [PathBuf::from("/eve")]);
        assert_eq!(settings.flush, Duration::from_secs(3));
        let Source::Logs(logs) = settings.source else { panic!("not of logs") };
        assert_eq!((logs.format, logs.once), (Format::Suricata, true));
        let error = parsed(&["suricata"], &[("PDNS_CONFIG", "/dev/null")]).unwrap_err();
        assert!(error.contains("pdns-agent suricata /var/log"), "{error}");
    }

    #[test]
    fn an_import_has_a_sensor_of_its_own() {
        let env = [("PDNS_CONFIG", "/dev/null"), ("PDNS_SENSOR", "so-1")];
        let import = parsed(&["cof", "/a.json", "-"], &env).unwrap();
        assert_eq!(import.sensor, "cof");
        let Source::Logs(logs) = import.source else { panic!("not logs") };
        assert_eq!((logs.format, logs.once, logs.inputs.len()), (Format::Cof, true, 2));
        assert_eq!(parsed(&["cof", "-", "--sensor", "circl"], &env).unwrap().sensor, "circl");
        assert_eq!(parsed(&["zeek", "/x"], &env).unwrap().sensor, "so-1");
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
            (&["zeek", "/x", "--sensor", "a, b"], "commas"),
            (&["zeek", "/x", "--sensor", " a"], "no space at the beginning"),
            (&["ebpf"], "ebpf --interface eth0"),
            (&["ebpf", "-i", "a", "-i", "a=b"], "twice"),
            (&["ebpf", "-i", "a=b,c"], "commas"),
            (&["ebpf", "-i", "a", "--ring", "3"], "power of two"),
            (&["ebpf", "-i", "a", "--ring", "2048"], "power of two"),
            (&["pcap", "/x", "--timeout", "0"], "0.1 to 300"),
            (&["pcap", "/x", "--port", "0"], "port 0"),
            (&["zeek", "/x", "--redis", "redis://:secret@host"], "password"),
        ] {
            let error = parsed(words, &[("PDNS_CONFIG", "/dev/null")]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
