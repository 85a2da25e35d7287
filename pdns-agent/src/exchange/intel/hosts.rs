//! Files that block names: hosts files, and the rules of dnsmasq and Unbound.
//!
//! `0.0.0.0 NAME...`; `address=/NAME/`, `server=/NAME/` or `local=/NAME/` (dnsmasq, with all below the name);
//! `local-zone: "NAME" always_nxdomain` (Unbound, likewise) and `local-data: "NAME A 0.0.0.0"` (the name alone). With
//! `server=/NAME/#` and a transparent zone the name passes. Rules that give a name another server or a real address say
//! nothing of it.

use super::item::SkipReason;
use super::lines::{Line, Lines};
use super::list;
use super::sink::{Details, Sink, Stop, Wanted};
use crate::query::Scope;
use crate::tag::TagKind;
use std::io::BufRead;
use std::net::IpAddr;

/// Addresses that a hosts file assigns to blocked names.
pub const SINK_ADDRESSES: [&str; 5] = ["0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"];
/// Names that a hosts file lists besides the blocked ones.
pub const LOCAL_NAMES: [&str; 14] = [
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "localhost6.localdomain6",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
];

/// Options of dnsmasq without a value.
const DNSMASQ_FLAGS: [&str; 20] = [
    "all-servers",
    "bind-dynamic",
    "bind-interfaces",
    "bogus-priv",
    "dnssec",
    "domain-needed",
    "expand-hosts",
    "filter-A",
    "filter-AAAA",
    "filterwin2k",
    "keep-in-foreground",
    "local-service",
    "localise-queries",
    "localmx",
    "log-queries",
    "no-hosts",
    "no-negcache",
    "no-poll",
    "no-resolv",
    "strict-order",
];
/// Options of dnsmasq that read other files.
const INCLUDES: [&str; 4] = ["conf-file=", "conf-dir=", "servers-file=", "addn-hosts="];

/// Option of Unbound with a name and what becomes of all below it.
const ZONE: &str = "local-zone:";
/// Option of Unbound with an answer.
const DATA: &str = "local-data:";

/// True for a rule of dnsmasq or Unbound for a name.
pub(super) fn is_rule(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    [ZONE, DATA].iter().any(|option| first.eq_ignore_ascii_case(option))
        || ["address=/", "server=/", "local=/"].iter().any(|start| text.starts_with(start))
}

/// True for another line of the configuration of Unbound (`do-ip6: no`, `server:`) or dnsmasq (`port=53`, `no-resolv`).
pub(super) fn is_setting(text: &str) -> bool {
    let end = text.find([':', '=']).unwrap_or(text.len());
    let (option, rest) = text.split_at(end);
    let is_word = option.starts_with(|first: char| first.is_ascii_alphabetic())
        && option.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let is_alone = || DNSMASQ_FLAGS.contains(&option);
    // Behind a colon is a blank, so that this is not a URL or an IPv6 address.
    let has_value = rest.starts_with('=')
        || rest.strip_prefix(':').is_some_and(|value| value.trim_start() != value)
        || rest == ":";
    is_word && (has_value || rest.is_empty() && is_alone())
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}

/// Reads a hosts file.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    let mut zone = String::new();
    while let Some(line) = lines.next(sink)? {
        let mut words = line.text.split_whitespace().map(unquoted);
        let option = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default().trim_end_matches('.');
        if option.eq_ignore_ascii_case(ZONE) {
            name.clone_into(&mut zone);
        } else if option.eq_ignore_ascii_case(DATA) && name == zone {
            // What answers in the place of a blocked name says the same again.
            continue;
        }
        read_line(&line, sink)?;
    }
    Ok(())
}

pub(super) fn read_line(line: &Line, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let Some(text) = list::content(&line.text) else { return Ok(()) };
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    if let Some((names, means)) = dnsmasq(first) {
        let Some(kind) = means else { return sink.skip(SkipReason::Local) };
        for name in names {
            blocked(line, name, Some(Scope::Below), kind, sink)?;
        }
        return Ok(());
    }
    if first.eq_ignore_ascii_case(ZONE) {
        return unbound(line, text, sink);
    }
    if first.eq_ignore_ascii_case(DATA) {
        return local_data(line, text, sink);
    }
    if first == "include:" || INCLUDES.iter().any(|option| first.starts_with(option)) {
        let reason = "other files are not included: import them one by one";
        return sink.problem(line.place(), text, reason);
    }
    // The section in which Unbound's rules stand, and what else is set there.
    if !is_rule(text) && is_setting(text) {
        return Ok(());
    }
    if SINK_ADDRESSES.contains(&first) {
        for name in words {
            blocked(line, name, sink.options.scope, TagKind::Threat, sink)?;
        }
        return Ok(());
    }
    if first.parse::<IpAddr>().is_ok() && text.contains(char::is_whitespace) {
        // The address of a machine, not of a blocked name.
        return sink.skip(SkipReason::Local);
    }
    // Some lists have lines with only a name.
    sink.value(line.place(), text, Wanted::Name, sink.options.scope, &Details::default())
}

/// Hands out a name; `kind` only matters if it is trust, since to block a name says nothing more about it.
fn blocked(
    line: &Line,
    name: &str,
    scope: Option<Scope>,
    kind: TagKind,
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let lower = name.to_ascii_lowercase();
    if LOCAL_NAMES.contains(&lower.as_str()) || SINK_ADDRESSES.contains(&name) {
        return sink.skip(SkipReason::Local);
    }
    let kind = Some(kind).filter(|kind| *kind == TagKind::Trust);
    let details = Details { kind, ..Details::default() };
    sink.value(line.place(), name, Wanted::Name, scope, &details)
}

/// The names of a rule of dnsmasq, and what it says of them: nothing if it only gives them other servers or an address
/// of their own.
fn dnsmasq(word: &str) -> Option<(impl Iterator<Item = &str>, Option<TagKind>)> {
    let (option, rest) = word.split_once("=/")?;
    // Behind the last slash is the address for the names, or their server.
    let (names, target) = rest.rsplit_once('/')?;
    let means = match (option, target) {
        ("address", "" | "#") | ("server" | "local", "") => Some(TagKind::Threat),
        ("address", sink) if SINK_ADDRESSES.contains(&sink) => Some(TagKind::Threat),
        // The usual servers: an exception to a wider rule.
        ("server" | "local", "#") => Some(TagKind::Trust),
        ("address" | "server" | "local", _) => None,
        _ => return None,
    };
    Some((names.split('/').filter(|name| !name.is_empty()), means))
}

/// Reads a zone of Unbound (`local-zone` in unbound.conf(5)).
fn unbound(line: &Line, text: &str, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut words = text.split_whitespace().skip(1).map(unquoted);
    let (name, how) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let kind = match how {
        "transparent" | "typetransparent" | "always_transparent" => TagKind::Trust,
        "deny" | "refuse" | "static" | "redirect" | "always_refuse" | "always_nxdomain"
        | "always_nodata" | "always_deny" | "always_null" | "inform_deny" | "inform_redirect" => {
            TagKind::Threat
        }
        "inform" | "nodefault" | "noview" | "ipset" => return sink.skip(SkipReason::OtherType),
        _ => return sink.problem(line.place(), text, "unknown type of local-zone"),
    };
    blocked(line, name, Some(Scope::Below), kind, sink)
}

/// Reads an answer of Unbound: `local-data: "NAME [TTL] [IN] A 0.0.0.0"` blocks the name alone.
fn local_data(line: &Line, text: &str, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let data = text.split_once(':').map_or("", |(_, data)| data).trim().trim_matches(['"', '\'']);
    let words: Vec<&str> = data.split_whitespace().collect();
    match words.as_slice() {
        [name, .., kind, address]
            if ["A", "AAAA"].iter().any(|known| kind.eq_ignore_ascii_case(known))
                && SINK_ADDRESSES.contains(address) =>
        {
            blocked(line, name, Some(Scope::Exact), TagKind::Threat, sink)
        }
        [_, _, ..] => sink.skip(SkipReason::Local),
        _ => sink.problem(line.place(), text, "it is not a record"),
    }
}
