//! File names that logs have in a directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Kind of logs to select from a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogNames {
    /// Zeek's `dns.log`, and our package's `pdns.log`.
    Zeek,
    /// Suricata's `eve.json`.
    Suricata,
    /// Passive DNS in JSON lines, whatever their names.
    Cof,
}

/// Suffixes of compressed files.
const PACKED: [&[u8]; 8] =
    [b".gz", b".bz2", b".bzip2", b".xz", b".zst", b".zstd", b".lz4", b".gzip"];
/// Suffixes of logs.
const ENDS: [&[u8]; 5] = [b".log", b".json", b".ndjson", b".jsonl", b".tsv"];
/// Suffixes of files of passive DNS.
const JSON_ENDS: [&[u8]; 4] = [b".cof", b".json", b".jsonl", b".ndjson"];
/// Separators between the parts of a name.
const PARTS: [u8; 3] = [b'.', b'-', b'_'];
/// Words before `dns` that denote another log: `known_dns` is a list of servers, `eve-dns` is Suricata's.
const OTHERS: [&[u8]; 2] = [b"known", b"eve"];

impl LogNames {
    /// Returns true if a file of this name is one of these logs, as far as a name can tell.
    pub(super) fn include(self, name: &OsStr) -> bool {
        match self {
            Self::Zeek => is_dns_log(name),
            Self::Suricata => is_eve_log(name),
            Self::Cof => is_json(name),
        }
    }

    /// Description of the names searched for.
    #[must_use]
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Zeek => "dns.log, dns.json or pdns.log",
            Self::Suricata => "eve.json",
            Self::Cof => "*.cof, *.json, *.jsonl or *.ndjson",
        }
    }
}

/// Returns true if a file of this name contains Suricata's events.
///
/// Matches `eve.json`; the names that `filename` produces with a date (`eve-2024-04-19-13:00.json`, as on
/// Security Onion), for one of several logs (`eve-dns.json`) or for a thread (`eve.3.json`, `threaded: yes`);
/// names prefixed with a sensor (`sensor1.eve.json`); and logrotate's (`eve.json.1`, `eve.json-20240419.gz`);
/// all of them also with other log suffixes, in upper case, and compressed.
fn is_eve_log(name: &OsStr) -> bool {
    is_log(name, b"eve")
}

/// Returns true if a file of this name is Zeek's DNS log, `dns.log`, or our package's `pdns.log`, as far as a
/// name can tell.
///
/// Matches the live `dns.log`; the names produced by zeekctl (`dns.13:00:00-14:00:00.log.gz`), the management
/// framework (`dns__2024-04-19-13-00-00__...__.log`) and several loggers
/// (`dns.13:00:00-14:00:00-logger-1.log.gz`); logrotate's (`dns.log.1`, `dns.log-20240419.gz`);
/// `json_streaming_dns.log` and its `.1` to `.4` (json-streaming-logs), `corelight_dns.log`, and others with
/// a word in front; all of them also with other log suffixes, in upper case, and compressed; and the same
/// names with `pdns`.
fn is_dns_log(name: &OsStr) -> bool {
    is_log(name, b"dns") || is_pdns_log(name)
}

/// Returns true if a file of this name is our package's `pdns.log`.
pub(super) fn is_pdns_log(name: &OsStr) -> bool {
    is_log(name, b"pdns")
}

/// Returns true if a file of this name contains JSON lines, compressed or not.
fn is_json(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    let packed = PACKED.iter().find_map(|end| name.strip_suffix(*end)).unwrap_or(&name);
    !name.starts_with(b".") && JSON_ENDS.iter().any(|end| packed.ends_with(end))
}

/// Returns true if one of the parts of a name, without its suffix, is the name of the log.
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

/// Removes the suffix added by logrotate: `.N`, `-YYYYMMDD`, `-YYYYMMDD-HH` or `-SECONDS`.
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
    fn names_of_passive_dns() {
        for name in ["pdns.cof", "export.JSON.gz", "a.jsonl", "b.ndjson.zst"] {
            assert!(LogNames::Cof.include(OsStr::new(name)), "{name}");
        }
        for name in [".a.json", "dns.log", "a.json.tmp", "cof", "a.gz"] {
            assert!(!LogNames::Cof.include(OsStr::new(name)), "{name}");
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
