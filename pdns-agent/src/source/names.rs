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

/// What is put behind a name when a file is compressed.
const PACKED: [&[u8]; 8] =
    [b".gz", b".bz2", b".bzip2", b".xz", b".zst", b".zstd", b".lz4", b".gzip"];
/// What logs end with.
const ENDS: [&[u8]; 5] = [b".log", b".json", b".ndjson", b".jsonl", b".tsv"];
/// What separates the parts of a name.
const PARTS: [u8; 3] = [b'.', b'-', b'_'];
/// Words in front of `dns` that make it another log: `known_dns` is a list of servers, `eve-dns` is Suricata's.
const OTHERS: [&[u8]; 2] = [b"known", b"eve"];

impl LogNames {
    /// Whether a file so named is one of them, as far as a name can tell.
    pub(super) fn include(self, name: &OsStr) -> bool {
        match self {
            Self::Zeek => is_dns_log(name),
            Self::Suricata => is_eve_log(name),
        }
    }

    /// The names that are looked for, in words.
    #[must_use]
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Zeek => "dns.log, dns.json or pdns.log",
            Self::Suricata => "eve.json",
        }
    }
}

/// Whether a file so named holds Suricata's events.
///
/// Taken are `eve.json`; what `filename` makes of it with a date (`eve-2024-04-19-13:00.json`, as on Security
/// Onion), one of several (`eve-dns.json`) or a thread's (`eve.3.json`, `threaded: yes`); one with a sensor's name in
/// front (`sensor1.eve.json`); what logrotate adds (`eve.json.1`, `eve.json-20240419.gz`); all with other ends of logs,
/// in upper case too, and compressed.
fn is_eve_log(name: &OsStr) -> bool {
    is_log(name, b"eve")
}

/// Whether a file so named holds Zeek's DNS log, `dns.log` or our package's `pdns.log`, as far as a name can tell.
///
/// Taken are the live `dns.log`; what zeekctl (`dns.13:00:00-14:00:00.log.gz`), the management
/// framework (`dns__2024-04-19-13-00-00__...__.log`) and several loggers
/// (`dns.13:00:00-14:00:00-logger-1.log.gz`) make of it; what logrotate adds (`dns.log.1`,
/// `dns.log-20240419.gz`); `json_streaming_dns.log` and its `.1` to `.4` (json-streaming-logs), `corelight_dns.log`,
/// and others with a word in front; all with other ends of logs, in upper case too, and compressed; and the same names
/// with `pdns`.
fn is_dns_log(name: &OsStr) -> bool {
    is_log(name, b"dns") || is_pdns_log(name)
}

/// Whether a file so named holds our package's `pdns.log`.
pub(super) fn is_pdns_log(name: &OsStr) -> bool {
    is_log(name, b"pdns")
}

/// Whether one of the parts of a name, but for its end, is that of the log.
fn is_log(name: &OsStr, log: &[u8]) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    if name.starts_with(b".") {
        return false;
    }
    let packed = PACKED.iter().find_map(|end| name.strip_suffix(*end));
    let name = without_rotation(packed.unwrap_or(&name));
    let Some(stem) = ENDS.iter().find_map(|end| name.strip_suffix(*end)) else { return false };
    for part in stem.split(|byte| PARTS.contains(byte)) {
        if part == log {
            return true;
        }
        if OTHERS.contains(&part) {
            return false;
        }
    }
    false
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
            "sensor1.eve.json",
            "EVE.JSON",
            "eve.ndjson.zst",
            "eve.json.1.xz",
            "eve.jsonl",
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
            "dns.ndjson",
            "DNS.LOG",
            "Dns.Log.GZ",
            "corelight_dns.log",
            "corelight_dns_20240419_13:00:00-14:00:00.log.gz",
            "sensor1.dns.log",
            "2024-04-19-dns.log.bz2",
            "dns.log.xz",
            "dns.log.1.zst",
            "dns.13:00:00-14:00:00.log.lz4",
            "dns.tsv",
        ] {
            assert!(is_dns_log(OsStr::new(name)), "{name}");
            assert!(!is_pdns_log(OsStr::new(name)), "{name}");
            let name = name.to_ascii_lowercase().replace("dns", "pdns");
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
            "dns.log.rar",
            "dns-log",
            ".dns.log",
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
