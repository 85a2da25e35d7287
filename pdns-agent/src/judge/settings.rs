//! Settings of the judge.

use crate::exchange::{Dataset, PageUrl};
use crate::outgoing::{OutgoingSettings, SecretSource};
use std::path::PathBuf;
use std::time::Duration;

/// Which names get an event `pdns.first_seen`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstSeen {
    /// Every name.
    #[default]
    Names,
    /// The first name of each registrable domain.
    Domains,
    /// None.
    Nothing,
}

/// Settings of the judge.
#[derive(Clone, Debug)]
pub struct JudgeSettings {
    /// Alerts a day, besides hits on tags and feeds.
    pub alerts_per_day: u32,
    /// Verdicts a day that are kept in the store.
    pub verdicts_per_day: u32,
    /// Seconds for which a verdict is kept.
    pub lifetime: u32,
    /// Pause between two looks at the store.
    pub interval: Duration,
    /// URL of `pdns serve`, for links in events.
    pub page: Option<PageUrl>,
    /// Which names get an event.
    pub first_seen: FirstSeen,
    /// The file of events.
    pub file: Option<FileSink>,
    /// The system log.
    pub syslog: Option<SyslogSink>,
    /// The web hook.
    pub webhook: Option<WebhookSink>,
    /// Lists of protected names.
    pub protect: Vec<PathBuf>,
    /// The model file.
    pub model: Option<PathBuf>,
    /// Address that serves metrics and health: an address and port, or the path of a Unix socket.
    pub listen: Option<String>,
}

impl Default for JudgeSettings {
    fn default() -> Self {
        Self {
            alerts_per_day: 50,
            verdicts_per_day: 5_000,
            lifetime: 30 * 86_400,
            interval: Duration::from_secs(5),
            page: None,
            first_seen: FirstSeen::default(),
            file: None,
            syslog: None,
            webhook: None,
            protect: Vec::new(),
            model: None,
            listen: None,
        }
    }
}

/// A file of events that is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// The file.
    pub path: PathBuf,
    /// Size at which it is rotated, in bytes.
    pub most: u64,
    /// Number of rotated files that are kept.
    pub keep: u32,
    /// Which events.
    pub datasets: Vec<Dataset>,
}

/// The system log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSink {
    /// Its socket.
    pub socket: PathBuf,
    /// Number of the facility (RFC 5424 §6.2.1).
    pub facility: u8,
    /// Which events.
    pub datasets: Vec<Dataset>,
}

/// Key that a web hook wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookKey {
    /// Name of the header.
    pub header: String,
    /// Text before the key.
    pub prefix: &'static str,
    /// The key.
    pub secret: SecretSource,
}

/// A web hook with its spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSink {
    /// Its URL.
    pub url: String,
    /// The key.
    pub key: Option<WebhookKey>,
    /// Settings of connections.
    pub outgoing: OutgoingSettings,
    /// Largest number of events in one request; 1 sends a JSON object, more send lines.
    pub batch: usize,
    /// Directory of events that are not sent yet.
    pub spool: PathBuf,
    /// Largest size of the spool, in bytes.
    pub most: u64,
    /// Which events.
    pub datasets: Vec<Dataset>,
}
