//! One feed in `feeds.toml`.

use super::Common;
use super::value::{self, Proxy, Size, Time, Type};
use crate::indicator::{JUDGE_SOURCE, MAX_CONFIDENCE, Tlp};
use crate::intel_feeds::{Assessment, Credentials, Feed, Location, Protocol, ReadOptions};
use crate::outgoing::{OutgoingSettings, SecretSource, SizeLimits, checked_url};
use crate::tag::TagKind;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two fetches, unless the file says otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_hours(24);
/// Shortest time between two fetches.
const SHORTEST_INTERVAL: Duration = Duration::from_mins(1);
/// Confidence, unless the file says otherwise.
const DEFAULT_CONFIDENCE: u8 = 50;
/// Longest name, in characters.
const LONGEST_NAME: usize = 64;

/// The keys of one feed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    url: Option<String>,
    file: Option<PathBuf>,
    r#type: Type,
    format: Option<String>,
    member: Option<String>,
    #[serde(deserialize_with = "value::column")]
    column: Option<String>,
    pointer: Option<String>,
    url_hosts: bool,
    #[serde(deserialize_with = "value::kind")]
    kind: TagKind,
    confidence: u8,
    lifetime: Time,
    half_life: Option<Time>,
    #[serde(deserialize_with = "value::tlp")]
    tlp: Option<Tlp>,
    labels: Vec<String>,
    interval: Time,
    user: Option<String>,
    password_env: Option<String>,
    password_file: Option<PathBuf>,
    api_key_header: Option<String>,
    api_key_env: Option<String>,
    api_key_file: Option<PathBuf>,
    allow_private: bool,
    ca_file: Option<PathBuf>,
    proxy: Option<Proxy>,
    max_bytes: Option<Size>,
    max_lines: Option<u64>,
    timeout: Option<Time>,
    search: serde_json::Map<String, serde_json::Value>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            url: None,
            file: None,
            r#type: Type::default(),
            format: None,
            member: None,
            column: None,
            pointer: None,
            url_hosts: false,
            kind: TagKind::Threat,
            confidence: DEFAULT_CONFIDENCE,
            lifetime: Time(Duration::ZERO),
            half_life: None,
            tlp: None,
            labels: Vec::new(),
            interval: Time(DEFAULT_INTERVAL),
            user: None,
            password_env: None,
            password_file: None,
            api_key_header: None,
            api_key_env: None,
            api_key_file: None,
            allow_private: false,
            ca_file: None,
            proxy: None,
            max_bytes: None,
            max_lines: None,
            timeout: None,
            search: serde_json::Map::new(),
        }
    }
}

/// The feed that these keys describe, or the reason why they are wrong.
pub(super) fn feed(name: &str, keys: Keys, common: &Common<'_>) -> Result<Feed, String> {
    check_name(name)?;
    let protocol = keys.r#type.0;
    let location = location(&keys, protocol, common)?;
    let credentials = credentials(&keys, protocol, common)?;
    if location_is_file(&location) && credentials != Credentials::None {
        return Err("credentials do not apply to a file".to_owned());
    }
    if keys.confidence > MAX_CONFIDENCE {
        return Err(format!("confidence is {}: use 0 to {MAX_CONFIDENCE}", keys.confidence));
    }
    if keys.interval.0 < SHORTEST_INTERVAL {
        return Err("interval is too short: use 1m or more".to_owned());
    }
    if keys.half_life.is_some_and(|time| time.0.is_zero()) {
        return Err("half_life is 0: give a time, or leave it out".to_owned());
    }
    if protocol != Protocol::Http && keys.member.is_some() {
        return Err("member applies to type http only".to_owned());
    }
    if protocol != Protocol::Misp && !keys.search.is_empty() {
        return Err("search applies to type misp only".to_owned());
    }
    if keys.labels.iter().any(|label| label.trim().is_empty()) {
        return Err("labels has an empty one".to_owned());
    }
    let default = OutgoingSettings::default();
    let size = SizeLimits::default();
    let outgoing = OutgoingSettings {
        allow_private: keys.allow_private,
        proxy: keys.proxy.map_or_else(|| common.proxy.clone(), |proxy| proxy.0),
        ca_file: keys
            .ca_file
            .map(|path| common.folder.join(path))
            .or_else(|| common.ca_file.clone()),
        size: SizeLimits {
            bytes: positive("max_bytes", keys.max_bytes.map(|size| size.0))?.unwrap_or(size.bytes),
            lines: positive("max_lines", keys.max_lines)?.unwrap_or(size.lines),
        },
        total_time: positive("timeout", keys.timeout.map(|time| time.0.as_secs()))?
            .map_or(default.total_time, Duration::from_secs),
        ..default
    };
    let format = keys.format.or_else(|| {
        let format = match protocol {
            Protocol::Http => return None,
            Protocol::Taxii => "stix",
            Protocol::MispFeed | Protocol::Misp => "misp",
        };
        Some(format.to_owned())
    });
    Ok(Feed {
        name: name.to_owned(),
        location,
        protocol,
        credentials,
        outgoing,
        interval: keys.interval.0,
        member: keys.member,
        search: keys.search,
        read: ReadOptions {
            format,
            column: keys.column,
            pointer: keys.pointer,
            url_hosts: keys.url_hosts,
        },
        assessment: Assessment {
            kind: keys.kind,
            confidence: keys.confidence,
            lifetime: keys.lifetime.0,
            half_life: keys.half_life.map(|time| time.0),
            tlp: keys.tlp,
            labels: keys.labels,
        },
    })
}

/// A name is the source of indicators, and is typed in commands.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(fits) {
        return Err(format!(
            "the name must be 1 to {LONGEST_NAME} letters, digits, or any of . _ -"
        ));
    }
    if name == JUDGE_SOURCE {
        return Err(format!("the name {name} is that of the verdicts of pdns judge"));
    }
    Ok(())
}

fn location(keys: &Keys, protocol: Protocol, common: &Common<'_>) -> Result<Location, String> {
    match (&keys.url, &keys.file) {
        (Some(url), None) => {
            let url = checked_url(url).map_err(|error| format!("url is {error}"))?;
            Ok(Location::Url(url.into()))
        }
        (None, Some(path)) if protocol == Protocol::Http => {
            Ok(Location::File(common.folder.join(path)))
        }
        (None, Some(_)) => Err(format!("file does not apply to type {}", protocol.name())),
        (Some(_), Some(_)) => Err("it has both url and file: give one of them".to_owned()),
        (None, None) => Err("it has neither url nor file: give one of them".to_owned()),
    }
}

fn location_is_file(location: &Location) -> bool {
    matches!(location, Location::File(_))
}

fn credentials(
    keys: &Keys,
    protocol: Protocol,
    common: &Common<'_>,
) -> Result<Credentials, String> {
    let source = |name: &str, env: &Option<String>, file: &Option<PathBuf>| match (env, file) {
        (None, None) => Ok(None),
        (Some(env), None) if env.is_empty() || env.contains(['=', '\0']) => {
            Err(format!("{name}_env is not the name of an environment variable"))
        }
        (Some(env), None) => Ok(Some(SecretSource::Env(env.clone()))),
        (None, Some(path)) => Ok(Some(SecretSource::File(common.folder.join(path)))),
        (Some(_), Some(_)) => {
            Err(format!("it has both {name}_env and {name}_file: give one of them"))
        }
    };
    let password = source("password", &keys.password_env, &keys.password_file)?;
    let key = source("api_key", &keys.api_key_env, &keys.api_key_file)?;
    if keys.api_key_header.is_some() && key.is_none() {
        return Err("api_key_header needs api_key_env or api_key_file".to_owned());
    }
    match (&keys.user, password, key) {
        (None, None, None) => Ok(Credentials::None),
        (Some(user), Some(password), None) if !user.contains(':') => {
            Ok(Credentials::Basic { user: user.clone(), password })
        }
        (Some(_), Some(_), None) => Err("user contains a colon".to_owned()),
        (None, None, Some(key)) => {
            let is_token = |name: &str| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            };
            let (header, prefix) = match &keys.api_key_header {
                Some(header) if is_token(header) => (header.clone(), ""),
                Some(_) => return Err("api_key_header is not the name of a header".to_owned()),
                // MISP wants the key alone.
                None if protocol == Protocol::Misp => ("Authorization".to_owned(), ""),
                None => ("Authorization".to_owned(), "Bearer "),
            };
            Ok(Credentials::Key { header, prefix, key })
        }
        (_, _, Some(_)) => Err("it has both a user and an api_key: give one of them".to_owned()),
        (Some(_), None, None) => Err("user needs password_env or password_file".to_owned()),
        (None, Some(_), None) => Err("a password needs user".to_owned()),
    }
}

fn positive(name: &str, value: Option<u64>) -> Result<Option<u64>, String> {
    match value {
        Some(0) => Err(format!("{name} is 0: give a positive number, or leave it out")),
        value => Ok(value),
    }
}
