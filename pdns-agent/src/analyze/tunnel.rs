//! Tunnels and exfiltration over DNS: a verdict on the names that were seen below one registrable domain.
//!
//! A tunnel encodes data in names that are each asked once, and carries the answers in types that hold many octets. An
//! ordinary domain has few names, asked again and again. The limits are hand-set on few samples of public tools
//! (iodine, dnscat2, dns2tcp, `OzymanDNS`): they find these, and what they raise on real traffic is not measured.

mod exempt;

pub use exempt::{ExemptError, Exempts};

use crate::name::Name;
use crate::rr::RrType;
use std::fmt;

/// Seconds of the window in which names are counted.
const WINDOW: u32 = 86_400;
/// Maximum number of names of an aggregate; further ones are counted and left out.
pub const MAX_TUNNEL_NAMES: usize = 4_096;
/// Names from which on a verdict is given, and from which on a suspicion is.
const NAMES: (usize, usize) = (20, 5);
/// Share of names that were asked once.
const ONCE: f64 = 0.8;
/// Average length of names, in octets of text.
const LENGTH: f64 = 40.0;
/// Average entropy of the part below the domain, in bits a character.
const ENTROPY: (f64, f64) = (3.2, 3.0);
/// Share of names with types that ordinary hosts seldom have.
const RARE: f64 = 0.5;

/// Measures of one name below the domain.
#[derive(Clone, Copy, Debug, PartialEq)]
struct TunnelName {
    first: u32,
    length: u16,
    entropy: f64,
    is_once: bool,
    is_rare: bool,
}

/// The names below one registrable domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TunnelAggregate {
    names: Vec<TunnelName>,
    left_out: u64,
}

/// Sightings of one name, of all its rows together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSighting {
    /// Time of the first sighting, in seconds since 1970.
    pub first: u32,
    /// Largest count among its rows.
    pub count: u64,
    /// Number of sensors that saw it: each may have counted the same answer.
    pub sensors: u32,
    /// True if one of its records or questions is of a rare type ([`is_rare`]).
    pub is_rare: bool,
}

/// The verdict on an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TunnelVerdict {
    /// Too few names to say anything.
    Unknown,
    /// Not like a tunnel.
    None,
    /// Some signs of a tunnel.
    Suspect,
    /// All signs of a tunnel.
    Tunnel,
}

impl TunnelVerdict {
    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Suspect => "suspect",
            Self::Tunnel => "tunnel",
        }
    }
}

/// A verdict with the measures that it rests on, all of the 24 hours in which most names were new.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TunnelReport {
    /// The verdict.
    pub verdict: TunnelVerdict,
    /// Number of names.
    pub names: usize,
    /// Share of names that were asked once.
    pub once: f64,
    /// Average length of the names, in octets of text.
    pub length: f64,
    /// Average entropy of the part below the domain, in bits a character.
    pub entropy: f64,
    /// Share of names with rare types.
    pub rare: f64,
    /// Time when the window begins, in seconds since 1970.
    pub since: u32,
    /// Number of names that the verdict does not cover, because they were more than [`MAX_TUNNEL_NAMES`].
    pub left_out: u64,
}

impl fmt::Display for TunnelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} names in a day, {:.0} % asked once, {:.0} characters, {:.1} bits each, {:.0} % of rare types",
            self.names,
            self.once * 100.0,
            self.length,
            self.entropy,
            self.rare * 100.0
        )?;
        if self.left_out > 0 {
            write!(f, "; {} further names are not among them", self.left_out)?;
        }
        Ok(())
    }
}

impl TunnelAggregate {
    /// Adds a name at or below the domain; the domain itself does not count.
    pub fn add(&mut self, name: Name<'_>, domain: Name<'_>, sighting: TunnelSighting) {
        let text = name.as_str();
        let Some(below) = text.len().checked_sub(domain.as_str().len() + 1) else { return };
        if self.names.len() >= MAX_TUNNEL_NAMES {
            self.left_out += 1;
            return;
        }
        let below = text.as_bytes().get(..below).unwrap_or_default();
        let TunnelSighting { first, count, sensors, is_rare } = sighting;
        self.names.push(TunnelName {
            first,
            length: u16::try_from(text.len()).unwrap_or(u16::MAX),
            entropy: entropy(below),
            // Clients ask again when an answer is lost.
            is_once: count <= 2 * u64::from(sensors.max(1)),
            is_rare,
        });
    }

    /// Counts names that were not read.
    pub fn leave_out(&mut self, names: u64) {
        self.left_out += names;
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns true if there are no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Gives the verdict on the 24 hours in which most names were new.
    #[must_use]
    pub fn judge(&self) -> TunnelReport {
        let mut names: Vec<&TunnelName> = self.names.iter().collect();
        names.sort_unstable_by_key(|name| name.first);
        let window = densest(&names);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand names")]
        let share = |sum: f64| if window.is_empty() { 0.0 } else { sum / window.len() as f64 };
        let sum = |of: fn(&TunnelName) -> f64| share(window.iter().map(|name| of(name)).sum());
        let mut report = TunnelReport {
            verdict: TunnelVerdict::Unknown,
            names: window.len(),
            once: sum(|name| f64::from(u8::from(name.is_once))),
            length: sum(|name| name.length.into()),
            entropy: sum(|name| name.entropy),
            rare: sum(|name| f64::from(u8::from(name.is_rare))),
            since: window.first().map_or(0, |name| name.first),
            left_out: self.left_out,
        };
        report.verdict = verdict(&report);
        report
    }
}

/// The names of the 24 hours with most of them; `names` are sorted by time.
fn densest<'n, 's>(names: &'s [&'n TunnelName]) -> &'s [&'n TunnelName] {
    let (mut best, mut start) = (0..0, 0);
    for (end, name) in names.iter().enumerate() {
        while names.get(start).is_some_and(|first| name.first - first.first >= WINDOW) {
            start += 1;
        }
        if end + 1 - start > best.len() {
            best = start..end + 1;
        }
    }
    names.get(best).unwrap_or_default()
}

/// Applies the limits.
fn verdict(report: &TunnelReport) -> TunnelVerdict {
    let &TunnelReport { names, once, length, entropy, rare, .. } = report;
    if names < NAMES.1 {
        return TunnelVerdict::Unknown;
    }
    let (is_long, is_dense, is_rare) = (length >= LENGTH, entropy >= ENTROPY.0, rare >= RARE);
    if names >= NAMES.0 && once >= ONCE {
        // Content networks have many long names, or many random ones, with addresses.
        if is_rare || (is_long && is_dense) {
            return TunnelVerdict::Tunnel;
        }
        if is_long || is_dense {
            return TunnelVerdict::Suspect;
        }
    }
    if is_rare && entropy >= ENTROPY.1 { TunnelVerdict::Suspect } else { TunnelVerdict::None }
}

/// Shannon entropy of the characters but dots, in bits a character.
fn entropy(text: &[u8]) -> f64 {
    let (mut counts, mut all) = ([0_u16; 256], 0_u16);
    for &octet in text.iter().filter(|octet| **octet != b'.') {
        if let Some(count) = counts.get_mut(usize::from(octet)) {
            *count += 1;
        }
        all = all.saturating_add(1);
    }
    let parts = counts.iter().filter(|count| **count > 0).map(|&count| {
        let share = f64::from(count) / f64::from(all);
        -share * share.log2()
    });
    parts.sum::<f64>() + 0.0
}

/// Returns true for types that carry data in tunnels and that hosts seldom have.
///
/// A CNAME is one only if it leads to a name below the same domain (`is_own_target`), as in the answers of dnscat2; a
/// service of ordinary hosts leads to another domain.
#[must_use]
pub fn is_rare(rrtype: RrType, is_own_target: bool) -> bool {
    match rrtype {
        RrType::TXT | RrType::NULL | RrType::KEY | RrType::MX | RrType::SRV => true,
        RrType::CNAME => is_own_target,
        // ANY, and private use (RFC 6895 §3.1).
        RrType(number) => matches!(number, 255 | 65_280..=65_534),
    }
}

/// Strength from 0 to 1 with which the content of a TXT or NULL record looks like encoded data. `octets` is the RDATA.
#[must_use]
pub fn content_strength(rrtype: RrType, octets: &[u8], ttl: Option<u32>) -> f64 {
    let text = if rrtype == RrType::TXT { strings(octets) } else { octets.to_vec() };
    if is_usual(&text) || text.len() < 16 {
        return 0.0;
    }
    let is_code = |octet: &&u8| octet.is_ascii_alphanumeric() || b"+/=-_".contains(octet);
    let code = text.iter().filter(is_code).count();
    // Words and sentences have blanks; sequences of letters and digits without any are encoded.
    let is_encoded = code * 100 >= text.len() * 97 && text.iter().any(u8::is_ascii_digit);
    let is_binary =
        text.iter().filter(|octet| !(32..127).contains(*octet)).count() * 4 > text.len();
    if !is_encoded && !is_binary {
        return 0.0;
    }
    let long = if text.len() > 200 { 0.3 } else { 0.0 };
    let short_lived = if ttl.is_some_and(|ttl| ttl < 60) { 0.2 } else { 0.0 };
    0.5 + long + short_lived
}

/// The strings of a TXT record, one after the other (RFC 1035 §3.3.14).
fn strings(mut octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len());
    while let Some((&length, rest)) = octets.split_first() {
        let (string, after) = rest.split_at(usize::from(length).min(rest.len()));
        text.extend_from_slice(string);
        octets = after;
    }
    text
}

/// Returns true for the starts of TXT records that mail, certificates and proofs of ownership use.
fn is_usual(text: &[u8]) -> bool {
    /// In lower case.
    const STARTS: &[&str] = &[
        "v=spf1",
        "spf2.0/",
        "v=dkim1",
        "k=rsa",
        "v=dmarc1",
        "v=sts",
        "v=tlsrpt",
        "v=bimi1",
        "v=mta",
        "ms=",
        "mscid=",
        "apple-domain",
        "docusign",
        "amazonses:",
        "_globalsign",
        "globalsign",
        "atlassian-",
        "adobe-",
        "stripe-",
        "zoom",
        "dropbox-",
        "cisco-ci",
        "webex",
        "onetrust",
        "have-i-been-pwned",
        "pardot",
        "_github",
        "keybase",
        "mongodb-",
        "status-page",
        "t-verify",
    ];
    let lower: Vec<u8> = text.iter().take(80).map(u8::to_ascii_lowercase).collect();
    let is_proof = |part: &[u8]| lower.windows(part.len()).any(|window| window == part);
    STARTS.iter().any(|start| lower.starts_with(start.as_bytes()))
        || is_proof(b"verification=")
        || is_proof(b"verification:")
        || is_proof(b"verify=")
}

#[cfg(test)]
mod tests;
