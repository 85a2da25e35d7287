//! The quality gate for indicators: what no feed may call a threat.
//!
//! Part of `query`, for imports. Feeds list public suffixes, resolvers and private networks by mistake, and one such
//! line would mark half of all answers. Rejected are names and addresses for special use (RFC 6761 and the registry
//! behind it, RFC 6890, RFC 5737, RFC 3849), public suffixes, domains of clouds and hosting companies with all below
//! them, prefixes that are too wide for one judgement, names of a top list, the shipped list of resolvers and the
//! operator's `never.txt`, and what an analyst trusts, as far as that trust would silence the feed.

use super::subject::{Scope, tag_subject};
use super::{TagRules, TagSet};
use crate::name::{Name, NameBuf, ancestors, suffix};
use crate::tag::{Tag, TagSubject};
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

/// Resolvers and other addresses that everybody uses.
const SHIPPED: &str = include_str!("gate/never.txt");

/// Domains for special use: <https://www.iana.org/assignments/special-use-domain-names>.
const SPECIAL_NAMES: &[&str] = &[
    "alt",
    "arpa",
    "example",
    "example.com",
    "example.net",
    "example.org",
    "internal",
    "invalid",
    "local",
    "localhost",
    "onion",
    "test",
];

/// Prefixes for special use: <https://www.iana.org/assignments/iana-ipv4-special-registry> and the one for IPv6, and
/// multicast. 6to4 and Teredo hold addresses of everybody.
const SPECIAL_NETS: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "2001:20::/28",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// The shortest prefix of IPv4 that a feed may list.
const WIDEST_V4: u8 = 9;
/// The shortest prefix of IPv6 that a feed may list.
const WIDEST_V6: u8 = 24;

/// Reason why a subject is not accepted as a threat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateReason {
    /// A name or an address for special use, with the domain or prefix of the registry.
    SpecialUse(String),
    /// A public suffix: everybody has names below it.
    PublicSuffix,
    /// A domain of a cloud or hosting company, by itself or with all below it, where everybody can have a name.
    Hosting(String),
    /// A prefix that holds more networks than one judgement can be about.
    TooWide,
    /// A name of the top list.
    Top,
    /// A subject of a list of what is never a threat, or a prefix that contains one.
    Never(String),
    /// A subject that an analyst trusts, by itself or as a part of this one.
    Trusted(String),
}

impl fmt::Display for GateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpecialUse(of) => write!(f, "for special use ({of})"),
            Self::PublicSuffix => f.write_str("a public suffix"),
            Self::Hosting(of) => write!(f, "everybody can have a name below {of}"),
            Self::TooWide => f.write_str("too wide a prefix"),
            Self::Top => f.write_str("on the top list"),
            Self::Never(of) => write!(f, "{of} is never a threat"),
            Self::Trusted(of) => write!(f, "trusted by an analyst ({of})"),
        }
    }
}

/// Error in a list of names or subjects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct GateListError {
    /// Number of the line, from 1.
    pub line: usize,
    /// The fault.
    pub reason: String,
}

/// Subjects that no feed may call a threat.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    top: HashSet<NameBuf>,
    never: BTreeSet<TagSubject>,
    /// Threats and trust of analysts. Their threats are here, too, since one lifts the trust in something wider.
    analysts: TagSet,
    /// Domains of clouds and hosting companies.
    hosting: HashSet<NameBuf>,
    /// Each domain above one of these, and that one.
    above_hosting: HashMap<NameBuf, NameBuf>,
}

impl Gate {
    /// A gate with the shipped lists, what analysts trust, and the domains of clouds and hosting companies.
    #[must_use]
    pub fn new(tags: &[Tag], rules: &TagRules) -> Self {
        static NEVER: LazyLock<BTreeSet<TagSubject>> =
            LazyLock::new(|| read_list(SHIPPED).unwrap_or_default());
        let decides = |tag: &&Tag| tag.is_own() && tag.kind.opposite().is_some();
        let analysts = tags.iter().filter(decides).cloned().collect();
        let hosting = rules.never_silence.clone();
        let above_hosting = hosting
            .iter()
            .flat_map(|domain| {
                let above = ancestors(domain.as_name()).skip(1);
                let above = above.filter_map(|text| Name::from_canonical(text).ok());
                above.map(|above| (above.to_buf(), domain.clone()))
            })
            .collect();
        Self {
            top: HashSet::new(),
            never: NEVER.clone(),
            analysts: TagSet::with_rules(analysts, rules.clone()),
            hosting,
            above_hosting,
        }
    }

    /// Adds a top list: a name on each line, or a rank, a comma and a name.
    ///
    /// # Errors
    /// [`GateListError`] for a line that has no name.
    pub fn add_top(&mut self, text: &str) -> Result<(), GateListError> {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let name = line.split_once(',').map_or(line, |(_, name)| name.trim());
            let name = NameBuf::parse(name)
                .map_err(|error| GateListError { line: at + 1, reason: error.to_string() })?;
            self.top.insert(name);
        }
        Ok(())
    }

    /// Adds subjects that are never threats, one on each line.
    ///
    /// # Errors
    /// [`GateListError`] for a line that is not a subject.
    pub fn add_never(&mut self, text: &str) -> Result<(), GateListError> {
        self.never.extend(read_list(text)?);
        Ok(())
    }

    /// Returns the reason why a subject is not accepted as a threat, if there is one.
    #[must_use]
    pub fn rejects(&self, subject: &TagSubject) -> Option<GateReason> {
        let listed = match subject {
            TagSubject::Name(name) => self.rejects_name(name),
            TagSubject::Below(name) => self.rejects_name(name).or_else(|| {
                let shared = self.above_hosting.get(name)?;
                Some(GateReason::Hosting(format!(".{shared}")))
            }),
            TagSubject::Net(net) => self.rejects_net(*net),
        };
        listed.or_else(|| self.trusted(subject))
    }

    /// Returns the reason if an analyst's trust would silence a feed that calls this a threat.
    fn trusted(&self, subject: &TagSubject) -> Option<GateReason> {
        let analysts = &self.analysts;
        // A domain with all below it is also refused if only its apex is trusted.
        let apex = || analysts.silencing(&TagSubject::Name(subject.name()?.clone()));
        let trust = analysts.silencing(subject).or_else(apex)?;
        Some(GateReason::Trusted(trust.subject.to_string()))
    }

    fn rejects_name(&self, name: &NameBuf) -> Option<GateReason> {
        let text = name.as_name();
        if let Some(apex) = ancestors(text).find(|name| SPECIAL_NAMES.contains(name)) {
            return Some(GateReason::SpecialUse(format!(".{apex}")));
        }
        if text.is_root() || suffix::is_public(text) {
            return Some(GateReason::PublicSuffix);
        }
        if self.hosting.contains(name) || is_above_suffixes(text) {
            return Some(GateReason::Hosting(format!(".{name}")));
        }
        if self.top.contains(name) {
            return Some(GateReason::Top);
        }
        let forms = [TagSubject::Name(name.clone()), TagSubject::Below(name.clone())];
        let above = ancestors(text).skip(1).filter_map(|text| Name::from_canonical(text).ok());
        let mut covering = above.map(|name| TagSubject::Below(name.to_buf()));
        let is_never = |subject: &TagSubject| self.never.contains(subject);
        let never = forms.iter().find(|form| is_never(form)).cloned();
        let never = never.or_else(|| covering.find(is_never))?;
        Some(GateReason::Never(never.to_string()))
    }

    fn rejects_net(&self, net: IpNet) -> Option<GateReason> {
        static NETS: LazyLock<Vec<IpNet>> =
            LazyLock::new(|| SPECIAL_NETS.iter().filter_map(|net| net.parse().ok()).collect());
        let widest = if net.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        if net.prefix_len() < widest {
            return Some(GateReason::TooWide);
        }
        let overlaps = |special: &&IpNet| special.contains(&net) || net.contains(*special);
        if let Some(special) = NETS.iter().find(overlaps) {
            return Some(GateReason::SpecialUse(special.to_string()));
        }
        let never = self.never.iter().find(|never| {
            never.net().is_some_and(|never| net.contains(&never) || never.contains(&net))
        });
        never.map(|never| GateReason::Never(never.to_string()))
    }
}

/// Returns true if every name right below this one is a public suffix (a rule `*.NAME` of the Public Suffix List).
fn is_above_suffixes(name: Name<'_>) -> bool {
    // No rule names this label, so that only a wildcard matches it.
    let below = NameBuf::parse(&format!("pdns-any.{name}"));
    below.is_ok_and(|below| suffix::is_public(below.as_name()))
}

/// Reads subjects, one on each line.
fn read_list(text: &str) -> Result<BTreeSet<TagSubject>, GateListError> {
    let mut subjects = BTreeSet::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let subject = tag_subject(line, Some(Scope::Exact))
            .map_err(|error| GateListError { line: at + 1, reason: error.to_string() })?;
        subjects.insert(subject);
    }
    Ok(subjects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::TagKind;

    fn reason(gate: &Gate, subject: &str) -> Option<String> {
        gate.rejects(&tag_subject(subject, None).unwrap()).map(|reason| reason.to_string())
    }

    #[test]
    fn mistakes_of_feeds_do_no_harm() {
        let trust = Tag::new(TagKind::Trust, tag_subject("intranet-partner.com", None).unwrap());
        let mut rules = TagRules::shipped();
        rules.never_silence.insert(NameBuf::parse("hosting.partner.info").unwrap());
        let mut gate = Gate::new(&[trust], &rules);
        gate.add_top("# names\n1,popular.net\nother.org\n").unwrap();
        gate.add_never("never.info # ours\n.all-below.info\n45.9.1.0/24\n").unwrap();
        for (subject, expected) in [
            ("com", "a public suffix"),
            (".co.uk", "a public suffix"),
            ("github.io", "a public suffix"),
            ("www.example.com", "for special use (.example.com)"),
            ("host.local", "for special use (.local)"),
            ("1.168.192.in-addr.arpa", "for special use (.arpa)"),
            ("8.8.8.8", "8.8.8.8 is never a threat"),
            ("8.8.8.0/24", "8.8.8.8 is never a threat"),
            ("2001:4860:4860::8888", "2001:4860:4860::8888 is never a threat"),
            ("10.0.0.0/9", "for special use (10.0.0.0/8)"),
            ("10.0.0.0/8", "too wide a prefix"),
            ("10.1.2.3", "for special use (10.0.0.0/8)"),
            ("0.0.0.0/0", "too wide a prefix"),
            ("203.0.113.7", "for special use (203.0.113.0/24)"),
            ("2001:db8::1", "for special use (2001:db8::/32)"),
            ("44.0.0.0/8", "too wide a prefix"),
            ("popular.net", "on the top list"),
            (".other.org", "on the top list"),
            ("never.info", "never.info is never a threat"),
            ("x.all-below.info", ".all-below.info is never a threat"),
            ("45.9.1.77", "45.9.1.0/24 is never a threat"),
            ("intranet-partner.com", "trusted by an analyst (intranet-partner.com)"),
            (".intranet-partner.com", "trusted by an analyst (intranet-partner.com)"),
            (".amazonaws.com", "everybody can have a name below .amazonaws.com"),
            ("amazonaws.com", "everybody can have a name below .amazonaws.com"),
            (".blob.core.windows.net", "a public suffix"),
            (".windows.net", "everybody can have a name below .windows.net"),
            (".compute.amazonaws.com", "everybody can have a name below .compute.amazonaws.com"),
            (".eu-west-1.compute.amazonaws.com", "a public suffix"),
            (".hosting.partner.info", "everybody can have a name below .hosting.partner.info"),
            (".partner.info", "everybody can have a name below .hosting.partner.info"),
        ] {
            assert_eq!(reason(&gate, subject).as_deref(), Some(expected), "{subject}");
        }
        for accepted in [
            "evil.com",
            ".evil.com",
            "x.popular.net",
            "x.never.info",
            "x.intranet-partner.com",
            "user.github.io",
            "45.9.2.1",
            "45.9.2.0/24",
            "2a00:1450::1",
            "x.s3.amazonaws.com",
            "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
            "evil.azurewebsites.net",
            ".evil.azurewebsites.net",
            "evil.hosting.partner.info",
            "partner.info",
        ] {
            assert_eq!(reason(&gate, accepted), None, "{accepted}");
        }
        assert_eq!(gate.add_never("a b c").unwrap_err().line, 1);
        assert_eq!(gate.add_top("\n1,a..b").unwrap_err().line, 2);
    }

    #[test]
    fn trust_of_analysts_reaches_as_far_as_it_silences() {
        let mut tags: Vec<Tag> = [
            (TagKind::Trust, ".partner.com"),
            (TagKind::Threat, "bad.partner.com"),
            (TagKind::Trust, "exact.net"),
            (TagKind::Trust, ".github.io"),
            (TagKind::Trust, ".shop.github.io"),
            (TagKind::Trust, ".amazonaws.com"),
            (TagKind::Trust, "45.61.0.0/16"),
            (TagKind::Threat, "45.61.9.0/24"),
            (TagKind::Trust, "2a00:1450::/32"),
            (TagKind::Interest, ".odd.com"),
        ]
        .into_iter()
        .map(|(kind, subject)| Tag::new(kind, tag_subject(subject, None).unwrap()))
        .collect();
        let feed = Tag::new(TagKind::Trust, tag_subject(".vouched.com", None).unwrap());
        tags.push(Tag { listing: Some(Box::default()), ..feed });
        let gate = Gate::new(&tags, &TagRules::shipped());
        for (subject, by) in [
            ("partner.com", ".partner.com"),
            (".partner.com", ".partner.com"),
            ("login.partner.com", ".partner.com"),
            (".cdn.login.partner.com", ".partner.com"),
            ("exact.net", "exact.net"),
            ("a.shop.github.io", ".shop.github.io"),
            ("45.61.1.2", "45.61.0.0/16"),
            ("45.61.1.0/24", "45.61.0.0/16"),
            ("2a00:1450:1::/48", "2a00:1450::/32"),
        ] {
            let expected = format!("trusted by an analyst ({by})");
            assert_eq!(reason(&gate, subject), Some(expected), "{subject}");
        }
        for accepted in [
            "bad.partner.com",
            "www.exact.net",
            "user.github.io",
            "x.s3.amazonaws.com",
            "45.61.9.9",
            "45.60.0.0/15",
            "odd.com",
            "www.vouched.com",
            "otherpartner.com",
        ] {
            assert_eq!(reason(&gate, accepted), None, "{accepted}");
        }
    }

    #[test]
    fn the_shipped_lists_are_valid() {
        assert!(read_list(SHIPPED).unwrap().len() > 30);
        assert!(SPECIAL_NETS.iter().all(|net| net.parse::<IpNet>().is_ok()));
        assert!(SPECIAL_NAMES.iter().all(|name| Name::from_canonical(name).is_ok()));
    }
}
