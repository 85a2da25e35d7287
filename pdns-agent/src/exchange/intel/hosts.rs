//! Files that block names: hosts files, and the rules of dnsmasq and Unbound.
//!
//! `0.0.0.0 NAME...`; `address=/NAME/`, `server=/NAME/` or `local=/NAME/` (dnsmasq, with all below the name);
//! `local-zone: "NAME" always_nxdomain` (Unbound, likewise).

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

/// Reads a hosts file.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut lines = Lines::new(input, sink.options);
    while let Some(line) = lines.next(sink)? {
        read_line(&line, sink)?;
    }
    Ok(())
}

pub(super) fn read_line(line: &Line, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let Some(text) = list::content(&line.text) else { return Ok(()) };
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    if let Some(names) = dnsmasq(first) {
        for name in names {
            blocked(line, name, Some(Scope::Below), TagKind::Threat, sink)?;
        }
        return Ok(());
    }
    if first.eq_ignore_ascii_case("local-zone:") {
        return unbound(line, text, sink);
    }
    // What answers in the place of a blocked name says the same again.
    if first.eq_ignore_ascii_case("local-data:") || first.eq_ignore_ascii_case("server:") {
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

/// The names of a rule of dnsmasq.
fn dnsmasq(word: &str) -> Option<impl Iterator<Item = &str>> {
    let (option, rest) = word.split_once("=/")?;
    if !["address", "server", "local"].contains(&option) {
        return None;
    }
    // What follows the last slash is the address for the names.
    let (names, _) = rest.rsplit_once('/')?;
    Some(names.split('/').filter(|name| !name.is_empty()))
}

fn unbound(line: &Line, text: &str, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut words = text.split_whitespace().skip(1);
    let name = words.next().unwrap_or_default().trim_matches('"');
    let kind = match words.next() {
        Some("transparent" | "typetransparent" | "always_transparent" | "static") => TagKind::Trust,
        _ => TagKind::Threat,
    };
    blocked(line, name, Some(Scope::Below), kind, sink)
}
