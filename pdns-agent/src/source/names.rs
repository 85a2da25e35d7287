//! Which file names in a directory are those of Zeek's DNS log, or of our package's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Whether a file so named holds Zeek's DNS log, `dns.log` or our package's `pdns.log`, as far as a name can tell.
///
/// Taken are the live `dns.log`; what zeekctl (`dns.13:00:00-14:00:00.log.gz`), the management
/// framework (`dns__2024-04-19-13-00-00__...__.log`) and several loggers
/// (`dns.13:00:00-14:00:00-logger-1.log.gz`) make of it; what logrotate adds (`dns.log.1`,
/// `dns.log-20240419.gz`); `json_streaming_dns.log` and its `.1` to `.4` (json-streaming-logs); all
/// with `.json` for `.log` too; and the same names with `pdns`.
pub(super) fn is_dns_log(name: &OsStr) -> bool {
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
