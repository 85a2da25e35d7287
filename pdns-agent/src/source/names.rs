//! Which file names in a directory are those of the logs that are asked for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Whose logs to take from a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogNames {
    /// Zeek's `dns.log`, and our package's `pdns.log`.
    Zeek,
    /// Suricata's `eve.json`.
    Suricata,
}

impl LogNames {
    /// Whether a file so named is one of them, as far as a name can tell.
    pub(super) fn include(self, name: &OsStr) -> bool {
        match self {
            Self::Zeek => is_dns_log(name),
            Self::Suricata => is_eve_log(name),
        }
    }
}

/// Whether a file so named holds Suricata's events.
///
/// Taken are `eve.json`; what `filename` makes of it with a date (`eve-2024-04-19-13:00.json`, as on Security
/// Onion), one of several (`eve-dns.json`) or a thread's (`eve.3.json`, `threaded: yes`); what logrotate adds
/// (`eve.json.1`, `eve.json-20240419.gz`); all with `.log` for `.json` too, and packed with gzip.
fn is_eve_log(name: &OsStr) -> bool {
    is_log(name, b"eve")
}

/// Whether a file so named holds Zeek's DNS log, `dns.log` or our package's `pdns.log`, as far as a name can tell.
///
/// Taken are the live `dns.log`; what zeekctl (`dns.13:00:00-14:00:00.log.gz`), the management
/// framework (`dns__2024-04-19-13-00-00__...__.log`) and several loggers
/// (`dns.13:00:00-14:00:00-logger-1.log.gz`) make of it; what logrotate adds (`dns.log.1`,
/// `dns.log-20240419.gz`); `json_streaming_dns.log` and its `.1` to `.4` (json-streaming-logs); all
/// with `.json` for `.log` too; and the same names with `pdns`.
fn is_dns_log(name: &OsStr) -> bool {
    is_log(name, b"dns") || is_pdns_log(name)
}

/// Whether a file so named holds our package's `pdns.log`.
pub(super) fn is_pdns_log(name: &OsStr) -> bool {
    is_log(name, b"pdns")
}

fn is_log(name: &OsStr, log: &[u8]) -> bool {
    let name = name.as_bytes();
    let name = without_rotation(name.strip_suffix(b".gz").unwrap_or(name));
    let Some(stem) = name.strip_suffix(b".log").or_else(|| name.strip_suffix(b".json")) else {
        return false;
    };
    let bare = stem.strip_prefix(b"json_streaming_").unwrap_or(stem);
    bare.strip_prefix(log).is_some_and(|rest| matches!(rest, [] | [b'.' | b'-' | b'_', ..]))
}

/// Without what logrotate puts behind a name: `.N`, `-YYYYMMDD`, `-YYYYMMDD-HH` or `-SECONDS`.
fn without_rotation(name: &[u8]) -> &[u8] {
    let kept = name.iter().rposition(|octet| !octet.is_ascii_digit() && *octet != b'-');
    let (base, counter) = name.split_at(kept.map_or(0, |at| at + 1));
    match counter {
        [] => name,
        [b'-', ..] => base,
        _ => base.strip_suffix(b".").unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_suricatas_log() {
        for name in [
            "eve.json",
            "eve.json.gz",
            "eve.json.1",
            "eve.json-20240419.gz",
            "eve-2024-04-19-13:00.json",
            "eve-2024-04-19-13:00.json.gz",
            "eve.3.json",
            "eve-dns.json",
        ] {
            assert!(LogNames::Suricata.include(OsStr::new(name)), "{name}");
            assert!(!LogNames::Zeek.include(OsStr::new(name)), "{name}");
        }
        for name in ["dns.log", "steve.json", "events.json", "eve", "eve.json.tmp", "stats.log"] {
            assert!(!LogNames::Suricata.include(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn names_of_the_dns_log() {
        for name in [
            "dns.log",
            "dns.log.gz",
            "dns.json",
            "dns.log.1",
            "dns.log.12.gz",
            "dns.log-20240419",
            "dns.log-20240419-05.gz",
            "dns.13:00:00-14:00:00.log.gz",
            "dns.13:00:00-14:00:00-logger-1.log.gz",
            "dns-2024-04-19.log",
            "dns_20240419.log.gz",
            "dns__2024-04-19-13-00-00__2024-04-19-14-00-00__.log",
            "json_streaming_dns.log",
            "json_streaming_dns.4.log",
            "dns.2.json.gz",
        ] {
            assert!(is_dns_log(OsStr::new(name)), "{name}");
            assert!(!is_pdns_log(OsStr::new(name)), "{name}");
            let name = name.replace("dns", "pdns");
            assert!(is_pdns_log(OsStr::new(&name)) && is_dns_log(OsStr::new(&name)), "{name}");
        }
        for name in [
            "",
            "dns",
            "dns.gz",
            "dns.log.bak",
            "dns.log.",
            "dnsmasq.log",
            "conn.log",
            "known_dns.log",
            "pdnsd.log",
            "xpdns.log",
            "dns.log.xz",
            ".dns.log.swp",
            "json_streaming_conn.log",
            "1",
            "-",
            "log.1",
            "dns.log.1.tmp",
        ] {
            assert!(!is_dns_log(OsStr::new(name)), "{name}");
        }
    }
}
