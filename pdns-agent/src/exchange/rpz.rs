//! A response policy zone (draft-vixie-dnsop-dns-rpz), as BIND, Unbound, Knot and `PowerDNS` read it.
//!
//! Listed names get NXDOMAIN, and so do names that resolve to listed addresses. Trusted subjects are passed through
//! and stand first. Servers ignore the order: they take the exact name before a wildcard, and the longest prefix. That
//! is why only the first line for an owner name is written: subjects come with single names before domains, so that
//! what is said of a name alone goes before what is said of it with all below it.

use super::host_name::{is_wildcard, master_file, wire_length};
use crate::name::{MAX_WIRE, Name, NameBuf};
use crate::query::ExportItem;
use crate::tag::TagSubject;
use ipnet::IpNet;
use std::collections::HashSet;
use std::io::{self, Write};

/// The policy that answers NXDOMAIN.
const NXDOMAIN: &str = ".";
/// The policy that answers as if there were no zone.
const PASS: &str = "rpz-passthru.";

/// A zone in progress.
pub(super) struct Zone {
    origin: NameBuf,
    /// Octets of the origin on the wire.
    room: usize,
    serial: u32,
    owners: HashSet<String>,
    /// Lines of subjects that are not trusted, which stand last.
    blocked: Vec<u8>,
    too_long: u64,
}

impl Zone {
    /// Creates a zone. `serial` should increase from one export to the next; seconds since the epoch do.
    pub(super) fn new(origin: NameBuf, serial: u32) -> Self {
        let room = wire_length(origin.as_name());
        let (owners, blocked) = (HashSet::new(), Vec::new());
        Self { origin, room, serial, owners, blocked, too_long: 0 }
    }

    /// Writes SOA and NS.
    pub(super) fn begin(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "$TTL 300")?;
        writeln!(out, "$ORIGIN {}.", master_file(self.origin.as_name()))?;
        writeln!(out, "@ SOA localhost. root.localhost. {} 3600 600 604800 300", self.serial)?;
        writeln!(out, "@ NS localhost.")
    }

    /// Writes a trusted subject, or keeps another for the end.
    pub(super) fn item(&mut self, listed: &ExportItem<'_>, out: &mut dyn Write) -> io::Result<()> {
        let owners = match &listed.subject {
            TagSubject::Name(name) => vec![master_file(name.as_name())],
            TagSubject::Below(name) => {
                let name = master_file(name.as_name());
                vec![format!("*.{name}"), name]
            }
            TagSubject::Net(net) => vec![trigger(*net)],
        };
        // The wildcard has two octets more.
        let longest = match &listed.subject {
            TagSubject::Name(name) => wire_length(name.as_name()),
            TagSubject::Below(name) => wire_length(name.as_name()) + 2,
            TagSubject::Net(net) => trigger(*net).len() + 2,
        };
        if longest + self.room - 1 > MAX_WIRE {
            self.too_long += 1;
            return Ok(());
        }
        let is_trusted = listed.is_trusted();
        for owner in owners {
            if self.owners.contains(&owner) {
                continue;
            }
            if is_trusted {
                writeln!(out, "{owner} CNAME {PASS}")?;
            } else {
                writeln!(self.blocked, "{owner} CNAME {NXDOMAIN}")?;
            }
            self.owners.insert(owner);
        }
        Ok(())
    }

    /// Writes the subjects that are not trusted.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&std::mem::take(&mut self.blocked))
    }

    /// The number of subjects whose names are too long below the origin.
    pub(super) fn too_long(&self) -> u64 {
        self.too_long
    }
}

/// Returns true if the zone can hold a subject. `*` as a label of its own would match all names beside it.
pub(super) fn admits(subject: &TagSubject) -> bool {
    let fits = |name: Name<'_>| !name.is_root() && !is_wildcard(name);
    subject.name().is_none_or(|name| fits(name.as_name()))
}

/// The owner name that matches addresses: prefix length, then the octets or groups in reverse; `zz` stands for the
/// longest run of zeros of an IPv6 address.
fn trigger(net: IpNet) -> String {
    let mut labels = vec![net.prefix_len().to_string()];
    match net {
        IpNet::V4(net) => {
            labels.extend(net.network().octets().iter().rev().map(u8::to_string));
        }
        IpNet::V6(net) => {
            let groups = net.network().segments();
            let (start, length) = longest_zeros(&groups);
            for (at, group) in groups.iter().enumerate().rev() {
                if length < 2 || !(start..start + length).contains(&at) {
                    labels.push(format!("{group:x}"));
                } else if at == start {
                    labels.push("zz".to_owned());
                }
            }
        }
    }
    labels.push("rpz-ip".to_owned());
    labels.join(".")
}

/// The first of the longest runs of zeros: its start and its length.
fn longest_zeros(groups: &[u16]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut at = 0;
    for run in groups.chunk_by(|one, other| (*one == 0) == (*other == 0)) {
        if run.first() == Some(&0) && run.len() > best.1 {
            best = (at, run.len());
        }
        at += run.len();
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_as_in_the_draft() {
        for (net, want) in [
            ("198.51.100.3/32", "32.3.100.51.198.rpz-ip"),
            ("10.0.0.0/8", "8.0.0.0.10.rpz-ip"),
            ("2001:db8::1/128", "128.1.zz.db8.2001.rpz-ip"),
            ("2001:db8::/32", "32.zz.db8.2001.rpz-ip"),
            ("::/0", "0.zz.rpz-ip"),
            ("1:0:0:2:0:0:0:3/128", "128.3.zz.2.0.0.1.rpz-ip"),
            ("1:0:2:3:4:5:6:7/128", "128.7.6.5.4.3.2.0.1.rpz-ip"),
        ] {
            assert_eq!(trigger(net.parse().unwrap()), want);
        }
    }
}
