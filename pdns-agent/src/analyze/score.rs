//! The score of a name or an address: a ledger of evidence, in log-odds.
//!
//! Each piece of evidence has a value from -1 to 1 and a weight in nats (natural log-odds); their product is what it
//! contributes. The sum of all contributions and of the prior's log-odds gives the score, from 0 to 100. Evidence that
//! is not known contributes nothing and is listed as unknown. Evidence that tends to come together is capped by group.

mod weights;

pub use weights::{Weights, WeightsError};

use std::borrow::Cow;
use std::fmt;

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceKind {
    /// Tagged as a threat by an analyst.
    TagThreat,
    /// Tagged as trusted by an analyst.
    TagTrust,
    /// Tagged as of interest.
    TagInterest,
    /// Listed as a threat by a feed.
    FeedThreat,
    /// Listed as trusted by a feed.
    FeedTrust,
    /// Among the first 10,000 of the operator's top list.
    Top10k,
    /// Among the first 100,000 of the operator's top list.
    Top100k,
    /// Verdicts of reputation providers.
    Reputation,
    /// Names on the same address are threats.
    SharedIp,
    /// Distance to the nearest tagged address.
    NearestThreat,
    /// Its address, or a name that it points at, is a threat.
    LeadsToThreat,
    /// The label looks generated.
    Dga,
    /// Names that appeared together look generated.
    DgaSet,
    /// Imitates a protected name.
    Squat,
    /// Time since the first sighting.
    Age,
    /// Short time to live of its addresses.
    LowTtl,
    /// Many addresses in many networks.
    FastFlux,
    /// Share of sibling names that do not exist.
    NxRatio,
    /// Names below the domain look like a tunnel.
    Tunnel,
    /// Content of TXT and NULL records looks like encoded data.
    TxtCues,
    /// A public name with a private or local address.
    Rebinding,
    /// Parked.
    Parked,
    /// Leads to a sinkhole.
    Sinkholed,
    /// Below a zone of dynamic DNS.
    DynamicDns,
    /// Below a zone of free hosting.
    FreeHosting,
    /// Below a top-level domain with much abuse.
    AbusedTld,
}

/// Kinds of evidence that tend to come together, whose sum is capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The text of the name.
    Lexical,
    /// Addresses, name servers, TTLs and zones.
    Infrastructure,
    /// Word of feeds and providers.
    External,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 3] = [Self::Lexical, Self::Infrastructure, Self::External];

    /// The word in output and in the file of weights.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lexical => "lexical",
            Self::Infrastructure => "infrastructure",
            Self::External => "external",
        }
    }
}

/// Every kind with its name in output and in the file of weights, and its group.
pub const EVIDENCE: &[(EvidenceKind, &str, Option<Group>)] = &[
    (EvidenceKind::TagThreat, "tag_threat", None),
    (EvidenceKind::TagTrust, "tag_trust", None),
    (EvidenceKind::TagInterest, "tag_interest", None),
    (EvidenceKind::FeedThreat, "feed_threat", Some(Group::External)),
    (EvidenceKind::FeedTrust, "feed_trust", None),
    (EvidenceKind::Top10k, "top_10k", None),
    (EvidenceKind::Top100k, "top_100k", None),
    (EvidenceKind::Reputation, "reputation", Some(Group::External)),
    (EvidenceKind::SharedIp, "shared_ip", Some(Group::Infrastructure)),
    (EvidenceKind::NearestThreat, "nearest_threat", Some(Group::Infrastructure)),
    (EvidenceKind::LeadsToThreat, "leads_to_threat", Some(Group::External)),
    (EvidenceKind::Dga, "dga", Some(Group::Lexical)),
    (EvidenceKind::DgaSet, "dga_set", Some(Group::Lexical)),
    (EvidenceKind::Squat, "squat", Some(Group::Lexical)),
    (EvidenceKind::Age, "age", None),
    (EvidenceKind::LowTtl, "low_ttl", Some(Group::Infrastructure)),
    (EvidenceKind::FastFlux, "fast_flux", Some(Group::Infrastructure)),
    (EvidenceKind::NxRatio, "nx_ratio", Some(Group::Infrastructure)),
    (EvidenceKind::Tunnel, "tunnel", None),
    (EvidenceKind::TxtCues, "txt_cues", None),
    (EvidenceKind::Rebinding, "rebinding", Some(Group::Infrastructure)),
    (EvidenceKind::Parked, "parked", None),
    (EvidenceKind::Sinkholed, "sinkholed", Some(Group::Infrastructure)),
    (EvidenceKind::DynamicDns, "dynamic_dns", Some(Group::Infrastructure)),
    (EvidenceKind::FreeHosting, "free_hosting", Some(Group::Infrastructure)),
    (EvidenceKind::AbusedTld, "abused_tld", Some(Group::Infrastructure)),
];

impl EvidenceKind {
    fn entry(self) -> (&'static str, Option<Group>) {
        let entry = EVIDENCE.iter().find(|(kind, ..)| *kind == self);
        entry.map_or(("", None), |&(_, name, group)| (name, group))
    }

    /// The word in output and in the file of weights.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The group whose cap applies.
    #[must_use]
    pub fn group(self) -> Option<Group> {
        self.entry().1
    }
}

impl fmt::Display for EvidenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The kind.
    pub kind: EvidenceKind,
    /// Strength from -1 to 1; `None` if not known.
    pub x: Option<f64>,
    /// The value that `x` rests on, or the reason why it is not known; may contain text from outside.
    pub value: Cow<'static, str>,
    /// Origin: a feed, an analyst, a list, `store` or `name`.
    pub source: Cow<'static, str>,
    /// Time since when it has held, in seconds since 1970.
    pub since: Option<u32>,
}

impl Evidence {
    /// Evidence with a value.
    #[must_use]
    pub fn new(
        kind: EvidenceKind,
        x: f64,
        value: impl Into<Cow<'static, str>>,
        source: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind, x: Some(x), value: value.into(), source: source.into(), since: None }
    }

    /// Evidence that is not known, for this reason.
    #[must_use]
    pub fn unknown(kind: EvidenceKind, why: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, x: None, value: why.into(), source: Cow::Borrowed(""), since: None }
    }

    /// The same, with the time since when it has held.
    #[must_use]
    pub fn since(self, since: Option<u32>) -> Self {
        Self { since, ..self }
    }
}

/// A line of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// The evidence.
    pub evidence: Evidence,
    /// Weight, in nats.
    pub weight: f64,
    /// Product of value and weight, in nats; 0 if the evidence is not known.
    pub contribution: f64,
}

/// Reduction of a group to its cap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capped {
    /// The group.
    pub group: Group,
    /// The cap, in nats.
    pub cap: f64,
    /// Reduction, in nats: negative.
    pub contribution: f64,
}

/// The lowest score of [`Band::Watch`].
pub const WATCH: u8 = 30;

/// Range of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// 0 to 29.
    Low,
    /// 30 to 59.
    Watch,
    /// 60 to 84.
    Suspicious,
    /// 85 to 100.
    Bad,
}

impl Band {
    /// The band of a score.
    #[must_use]
    pub fn new(score: u8) -> Self {
        match score {
            ..WATCH => Self::Low,
            WATCH..60 => Self::Watch,
            60..85 => Self::Suspicious,
            _ => Self::Bad,
        }
    }

    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Watch => "watch",
            Self::Suspicious => "suspicious",
            Self::Bad => "bad",
        }
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A score with everything that it is made of: the prior, the entries and the caps add up to the log-odds.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Log-odds of the prior, in nats.
    pub prior: f64,
    /// All kinds of evidence, the heaviest first; those that are not known last.
    pub entries: Vec<LedgerEntry>,
    /// Groups that were reduced.
    pub capped: Vec<Capped>,
    /// Log-odds of the score, in nats.
    pub log_odds: f64,
    /// The score, from 0 to 100.
    pub score: u8,
}

impl Ledger {
    /// Weighs evidence. Of several pieces of one kind, each counts.
    #[must_use]
    pub fn new(weights: &Weights, evidence: Vec<Evidence>) -> Self {
        let prior = weights.prior_log_odds();
        let mut entries: Vec<LedgerEntry> = evidence
            .into_iter()
            .map(|evidence| {
                let weight = weights.of(evidence.kind);
                let x = evidence.x.filter(|x| x.is_finite()).unwrap_or(0.0).clamp(-1.0, 1.0);
                // Without the sum, a product of zeros could be -0.
                LedgerEntry { evidence, weight, contribution: x * weight + 0.0 }
            })
            .collect();
        let mut capped = Vec::new();
        for group in Group::ALL {
            let of_group =
                entries.iter().filter(|entry| entry.evidence.kind.group() == Some(group));
            let sum: f64 = of_group.map(|entry| entry.contribution).sum();
            let cap = weights.cap(group);
            if sum > cap {
                capped.push(Capped { group, cap, contribution: cap - sum });
            }
        }
        let sum: f64 = entries.iter().map(|entry| entry.contribution).sum();
        let log_odds = prior + sum + capped.iter().map(|one| one.contribution).sum::<f64>();
        entries.sort_by(|a, b| {
            let by_weight = b.contribution.abs().total_cmp(&a.contribution.abs());
            let is_unknown = |entry: &LedgerEntry| entry.evidence.x.is_none();
            is_unknown(a).cmp(&is_unknown(b)).then(by_weight)
        });
        Self { prior, entries, capped, log_odds, score: percent(log_odds) }
    }

    /// The band of the score.
    #[must_use]
    pub fn band(&self) -> Band {
        Band::new(self.score)
    }

    /// The score that it would have if the subject had been seen first within the last day.
    #[must_use]
    pub fn score_if_new(&self, weights: &Weights) -> u8 {
        let age = self.entry(EvidenceKind::Age).map_or(0.0, |entry| entry.contribution);
        percent(self.log_odds - age + weights.of(EvidenceKind::Age))
    }

    /// The entries that changed the score, the heaviest first.
    pub fn reasons(&self) -> impl Iterator<Item = &LedgerEntry> {
        self.entries.iter().filter(|entry| entry.contribution != 0.0)
    }

    /// The entry of a kind.
    #[must_use]
    pub fn entry(&self, kind: EvidenceKind) -> Option<&LedgerEntry> {
        self.entries.iter().find(|entry| entry.evidence.kind == kind)
    }
}

/// The probability of log-odds, in per cent.
pub(super) fn percent(log_odds: f64) -> u8 {
    let percent = (100.0 / (1.0 + (-log_odds).exp())).round().clamp(0.0, 100.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    let percent = percent as u8;
    percent
}

/// Strength of what a source says, which was confirmed `age` seconds ago: its confidence of 0 to 100, halved every 30
/// days.
#[must_use]
pub fn feed_strength(confidence: u8, age: u32) -> f64 {
    f64::from(confidence) / 100.0 * (-f64::from(age) / (30.0 * 86_400.0)).exp2()
}

/// Strength of an age in seconds.
#[must_use]
pub fn age_strength(age: u32) -> f64 {
    match age / 86_400 {
        0 => 1.0,
        1..7 => 0.8,
        7..30 => 0.5,
        30..90 => 0.2,
        90..=365 => 0.0,
        366..=1_095 => -0.5,
        _ => -1.0,
    }
}

/// Strength of `threats` other names on an address that are threats, of `names` domains there in all.
#[must_use]
pub fn shared_strength(threats: u32, names: u32) -> f64 {
    (1.0 - (-f64::from(threats) / 3.0).exp()) / (2.0 + f64::from(names)).log2()
}

/// Strength of natural log-odds at even prior that a label is generated.
#[must_use]
pub fn dga_strength(log_odds: f64) -> f64 {
    (log_odds / 6.0).clamp(-0.5, 1.0)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
    use super::*;

    #[track_caller]
    fn score(evidence: &[(EvidenceKind, f64)]) -> u8 {
        let evidence = evidence.iter().map(|&(kind, x)| Evidence::new(kind, x, "", "test"));
        Ledger::new(&Weights::shipped(), evidence.collect()).score
    }

    #[test]
    fn the_published_examples() {
        let unknown: Vec<Evidence> =
            EVIDENCE.iter().map(|(kind, ..)| Evidence::unknown(*kind, "not known")).collect();
        let ledger = Ledger::new(&Weights::shipped(), unknown);
        assert_eq!((ledger.score, ledger.reasons().count()), (1, 0));
        assert_eq!(score(&[(EvidenceKind::TagTrust, 1.0), (EvidenceKind::FeedThreat, 1.0)]), 0);
        let feed = (EvidenceKind::FeedThreat, feed_strength(90, 0));
        assert_eq!(score(&[feed]), 37);
        let age = (EvidenceKind::Age, age_strength(3_600));
        assert_eq!(score(&[feed, age, (EvidenceKind::Squat, 0.9)]), 97);
    }

    #[test]
    fn prior_entries_and_caps_add_up() {
        let all: Vec<Evidence> =
            EVIDENCE.iter().map(|(kind, ..)| Evidence::new(*kind, 1.0, "", "")).collect();
        let ledger = Ledger::new(&Weights::shipped(), all);
        let sum: f64 = ledger.entries.iter().map(|entry| entry.contribution).sum();
        let caps: f64 = ledger.capped.iter().map(|one| one.contribution).sum();
        assert!((ledger.prior + sum + caps - ledger.log_odds).abs() < 1e-9);
        assert_eq!(ledger.capped.len(), 3);
        for capped in &ledger.capped {
            let of = ledger.entries.iter();
            let of = of.filter(|entry| entry.evidence.kind.group() == Some(capped.group));
            let sum: f64 = of.map(|entry| entry.contribution).sum();
            assert!((sum + capped.contribution - capped.cap).abs() < 1e-9, "{capped:?}");
        }
        // Four of lexical evidence, no more: 7.0 would be 92.
        let lexical =
            [(EvidenceKind::Dga, 1.0), (EvidenceKind::DgaSet, 1.0), (EvidenceKind::Squat, 1.0)];
        assert_eq!(score(&lexical), 36);
    }

    #[test]
    fn values_out_of_range_are_clamped() {
        assert_eq!(score(&[(EvidenceKind::TagThreat, f64::NAN)]), 1);
        assert_eq!(score(&[(EvidenceKind::TagThreat, f64::INFINITY)]), 1);
        assert_eq!(
            score(&[(EvidenceKind::TagThreat, 9.0)]),
            score(&[(EvidenceKind::TagThreat, 1.0)])
        );
    }

    #[test]
    fn strengths() {
        assert!((feed_strength(100, 30 * 86_400) - 0.5).abs() < 1e-9);
        let ages =
            [0, 1, 6, 7, 29, 30, 89, 90, 365, 366, 1_096].map(|days| age_strength(days * 86_400));
        assert_eq!(ages, [1.0, 0.8, 0.8, 0.5, 0.5, 0.2, 0.2, 0.0, 0.0, -0.5, -1.0]);
        assert!(shared_strength(0, 1) == 0.0 && shared_strength(3, 4) > shared_strength(3, 100));
        assert!((shared_strength(3, 2) - (1.0 - (-1.0_f64).exp()) / 2.0).abs() < 1e-9);
        assert_eq!([dga_strength(-9.0), dga_strength(3.0), dga_strength(60.0)], [-0.5, 0.5, 1.0]);
        assert_eq!(
            [0, 29, 30, 59, 60, 84, 85, 100].map(|score| Band::new(score).as_str()),
            ["low", "low", "watch", "watch", "suspicious", "suspicious", "bad", "bad"]
        );
    }
}
