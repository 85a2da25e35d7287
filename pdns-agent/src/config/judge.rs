//! Settings of `pdns judge`: the section `[judge]` of `pdns.toml`.

use super::feeds::value::{Proxy, Size, Time};
use crate::exchange::{Dataset, PageUrl};
use crate::judge::{FileSink, FirstSeen, JudgeSettings, SyslogSink, WebhookKey, WebhookSink};
use crate::outgoing::{OutgoingSettings, SecretSource, checked_url};
use serde::{Deserialize, Deserializer, de};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Directory of the spool, unless the file says otherwise.
const DEFAULT_SPOOL: &str = "/var/lib/pdns-judge";
/// Facilities of the system log (RFC 5424 §6.2.1).
const FACILITIES: &[(&str, u8)] = &[
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
/// Smallest size of a file of events, and of a spool, in bytes.
const LEAST_SIZE: u64 = 64 << 10;
/// Largest number of rotated files: each is renamed at every rotation.
const MOST_KEPT: u32 = 1_000;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JudgeKeys {
    alerts_per_day: u32,
    verdicts_per_day: u32,
    lifetime: Time,
    interval: Time,
    protect: Vec<PathBuf>,
    model: Option<PathBuf>,
    listen: Option<String>,
    url: Option<String>,
    #[serde(deserialize_with = "first_seen")]
    first_seen: FirstSeen,
    file: Option<FileKeys>,
    syslog: Option<SyslogKeys>,
    webhook: Option<WebhookKeys>,
}

impl Default for JudgeKeys {
    fn default() -> Self {
        let default = JudgeSettings::default();
        Self {
            alerts_per_day: default.alerts_per_day,
            verdicts_per_day: default.verdicts_per_day,
            lifetime: Time(Duration::from_secs(default.lifetime.into())),
            interval: Time(default.interval),
            protect: Vec::new(),
            model: None,
            listen: None,
            url: None,
            first_seen: default.first_seen,
            file: None,
            syslog: None,
            webhook: None,
        }
    }
}

/// `[judge.file]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileKeys {
    path: Option<PathBuf>,
    max_bytes: Size,
    keep: u32,
    events: Vec<EventName>,
}

impl Default for FileKeys {
    fn default() -> Self {
        Self {
            path: None,
            max_bytes: Size(100 << 20),
            keep: 7,
            events: vec![EventName(Dataset::FirstSeen), EventName(Dataset::Verdict)],
        }
    }
}

/// `[judge.syslog]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SyslogKeys {
    socket: PathBuf,
    facility: String,
    events: Vec<EventName>,
}

impl Default for SyslogKeys {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/dev/log"),
            facility: "local0".to_owned(),
            events: vec![EventName(Dataset::Verdict)],
        }
    }
}

/// `[judge.webhook]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WebhookKeys {
    url: Option<String>,
    api_key_header: Option<String>,
    api_key_env: Option<String>,
    api_key_file: Option<PathBuf>,
    batch: usize,
    spool: PathBuf,
    max_bytes: Size,
    timeout: Time,
    allow_private: bool,
    ca_file: Option<PathBuf>,
    proxy: Option<Proxy>,
    events: Vec<EventName>,
}

impl Default for WebhookKeys {
    fn default() -> Self {
        Self {
            url: None,
            api_key_header: None,
            api_key_env: None,
            api_key_file: None,
            batch: 1,
            spool: PathBuf::from(DEFAULT_SPOOL),
            max_bytes: Size(64 << 20),
            timeout: Time(Duration::from_secs(30)),
            allow_private: false,
            ca_file: None,
            proxy: None,
            events: vec![EventName(Dataset::Verdict)],
        }
    }
}

/// A data set as it is written.
#[derive(Clone, Copy, Debug)]
struct EventName(Dataset);

impl<'de> Deserialize<'de> for EventName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Dataset::ALL.into_iter().find(|dataset| dataset.name() == text);
        known.map(Self).ok_or_else(|| {
            de::Error::custom(format!("unknown events {text:?}: give first_seen or verdict"))
        })
    }
}

fn first_seen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FirstSeen, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "names" => Ok(FirstSeen::Names),
        "domains" => Ok(FirstSeen::Domains),
        "none" => Ok(FirstSeen::Nothing),
        _ => Err(de::Error::custom(format!(
            "unknown first_seen {text:?}: give names, domains or none"
        ))),
    }
}

impl JudgeKeys {
    /// The settings, or the reason why they are wrong. Files are relative to `folder`, that of the settings file.
    pub(super) fn settings(&self, folder: &Path) -> Result<JudgeSettings, String> {
        let seconds = |time: Time| u32::try_from(time.0.as_secs()).unwrap_or(u32::MAX);
        if self.interval.0.is_zero() || self.lifetime.0.is_zero() {
            return Err("judge: interval and lifetime must not be 0".to_owned());
        }
        let page = self.url.as_deref().map(str::parse::<PageUrl>).transpose();
        Ok(JudgeSettings {
            alerts_per_day: self.alerts_per_day,
            verdicts_per_day: self.verdicts_per_day,
            lifetime: seconds(self.lifetime),
            interval: self.interval.0,
            page: page.map_err(|error| format!("judge: url: {error}"))?,
            first_seen: self.first_seen,
            protect: self.protect.iter().map(|path| folder.join(path)).collect(),
            model: self.model.as_ref().map(|path| folder.join(path)),
            listen: self.listen.clone(),
            file: self.file.as_ref().map(|keys| file(keys, folder)).transpose()?,
            syslog: self.syslog.as_ref().map(|keys| syslog(keys, folder)).transpose()?,
            webhook: self.webhook.as_ref().map(|keys| webhook(keys, folder)).transpose()?,
        })
    }
}

/// The events of a section, of which there must be some: else they would go nowhere, and nobody would notice.
fn datasets(section: &str, events: &[EventName]) -> Result<Vec<Dataset>, String> {
    if events.is_empty() {
        return Err(format!(
            "{section}: events is empty: give first_seen, verdict or both, or leave the section out"
        ));
    }
    Ok(events.iter().map(|event| event.0).collect())
}

fn large_enough(section: &str, size: Size) -> Result<u64, String> {
    if size.0 < LEAST_SIZE {
        return Err(format!("{section}: max_bytes is {}: give at least {LEAST_SIZE}", size.0));
    }
    Ok(size.0)
}

fn file(keys: &FileKeys, folder: &Path) -> Result<FileSink, String> {
    let path = keys.path.as_ref().ok_or("judge.file: path is missing")?;
    if keys.keep > MOST_KEPT {
        return Err(format!("judge.file: keep is {}: give 0 to {MOST_KEPT}", keys.keep));
    }
    Ok(FileSink {
        path: folder.join(path),
        most: large_enough("judge.file", keys.max_bytes)?,
        keep: keys.keep,
        datasets: datasets("judge.file", &keys.events)?,
    })
}

fn syslog(keys: &SyslogKeys, folder: &Path) -> Result<SyslogSink, String> {
    let facility = FACILITIES.iter().find(|(name, _)| *name == keys.facility);
    let facility = facility.map(|(_, number)| *number).ok_or_else(|| {
        let names: Vec<&str> = FACILITIES.iter().map(|(name, _)| *name).collect();
        format!("judge.syslog: unknown facility {:?}: give {}", keys.facility, names.join(", "))
    })?;
    let socket = folder.join(&keys.socket);
    Ok(SyslogSink { socket, facility, datasets: datasets("judge.syslog", &keys.events)? })
}

fn webhook(keys: &WebhookKeys, folder: &Path) -> Result<WebhookSink, String> {
    let wrong = |text: String| format!("judge.webhook: {text}");
    let url = keys.url.as_deref().ok_or_else(|| wrong("url is missing".to_owned()))?;
    let url = checked_url(url).map_err(|error| wrong(format!("url is {error}")))?;
    let secret = match (&keys.api_key_env, &keys.api_key_file) {
        (None, None) => None,
        (Some(env), None) => Some(SecretSource::Env(env.clone())),
        (None, Some(path)) => Some(SecretSource::File(folder.join(path))),
        (Some(_), Some(_)) => {
            return Err(wrong("it has both api_key_env and api_key_file: give one".to_owned()));
        }
    };
    let key = match (&keys.api_key_header, secret) {
        (None, None) => None,
        (Some(_), None) => {
            return Err(wrong("api_key_header needs api_key_env or api_key_file".to_owned()));
        }
        (None, Some(secret)) => {
            let header = "Authorization".to_owned();
            Some(WebhookKey { header, prefix: "Bearer ", secret })
        }
        (Some(header), Some(secret)) => {
            let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
            if header.is_empty() || !header.bytes().all(fits) {
                return Err(wrong("api_key_header is not the name of a header".to_owned()));
            }
            Some(WebhookKey { header: header.clone(), prefix: "", secret })
        }
    };
    if keys.batch == 0 || keys.batch > 1_000 {
        return Err(wrong(format!("batch is {}: give 1 to 1000", keys.batch)));
    }
    let default = OutgoingSettings::default();
    let outgoing = OutgoingSettings {
        allow_private: keys.allow_private,
        proxy: keys.proxy.clone().map_or(default.proxy.clone(), |proxy| proxy.0),
        ca_file: keys.ca_file.as_ref().map(|path| folder.join(path)),
        total_time: keys.timeout.0.max(Duration::from_secs(1)),
        // The spool repeats what fails.
        retries: 0,
        ..default
    };
    Ok(WebhookSink {
        url: url.into(),
        key,
        outgoing,
        batch: keys.batch,
        spool: folder.join(&keys.spool),
        most: large_enough("judge.webhook", keys.max_bytes)?,
        datasets: datasets("judge.webhook", &keys.events)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<JudgeSettings, String> {
        let keys: JudgeKeys = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        keys.settings(Path::new("/etc/pdns"))
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(
            r#"
            alerts_per_day = 20
            verdicts_per_day = 100
            lifetime = "14d"
            interval = "10s"
            protect = ["own.txt"]
            model = "own.model"
            listen = "127.0.0.1:9954"
            url = "https://pdns.example.net"
            first_seen = "domains"
            [file]
            path = "/var/log/pdns/events/pdns.json"
            max_bytes = "10MB"
            keep = 3
            [syslog]
            facility = "local5"
            events = ["first_seen", "verdict"]
            [webhook]
            url = "https://hook.example.net/pdns"
            api_key_env = "HOOK_KEY"
            batch = 100
            spool = "spool"
            "#,
        )
        .unwrap();
        assert_eq!((settings.alerts_per_day, settings.lifetime), (20, 14 * 86_400));
        assert_eq!(settings.protect, [PathBuf::from("/etc/pdns/own.txt")]);
        assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:9954"));
        assert_eq!(settings.first_seen, FirstSeen::Domains);
        assert_eq!(settings.file.unwrap().keep, 3);
        assert_eq!(settings.syslog.unwrap().facility, 21);
        let hook = settings.webhook.unwrap();
        assert_eq!((hook.batch, hook.spool), (100, PathBuf::from("/etc/pdns/spool")));
        assert_eq!(hook.key.unwrap().prefix, "Bearer ");
        assert_eq!(read("").unwrap().alerts_per_day, 50);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, error) in [
            ("alerts = 1", "unknown field `alerts`"),
            ("first_seen = 'all'", "give names, domains or none"),
            ("interval = '0'", "must not be 0"),
            ("url = 'pdns'", "is no address of a page"),
            ("[file]", "judge.file: path is missing"),
            ("[file]\npath = 'x'\nmax_bytes = 1", "give at least 65536"),
            ("[file]\npath = 'x'\nevents = ['all']", "give first_seen or verdict"),
            ("[file]\npath = 'x'\nevents = []", "judge.file: events is empty"),
            ("[syslog]\nevents = []", "judge.syslog: events is empty"),
            ("[webhook]\nurl = 'https://x.example'\nevents = []", "judge.webhook: events is empty"),
            ("[file]\npath = 'x'\nkeep = 100000", "judge.file: keep is 100000: give 0 to 1000"),
            ("[syslog]\nfacility = 'x'", "unknown facility \"x\": give user, daemon"),
            ("[webhook]", "judge.webhook: url is missing"),
            ("[webhook]\nurl = 'ftp://x'", "judge.webhook: url is not a valid web address"),
            ("[webhook]\nurl = 'https://x.example'\nbatch = 0", "give 1 to 1000"),
            ("[webhook]\nurl = 'https://x.example'\napi_key_header = 'X'", "needs api_key_env"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(error), "{text}: {found}");
        }
    }
}
