//! Evidence from tags and indicators: of the subject itself, of names on its addresses, of addresses near it.

use super::Scorer;
use super::facts::{AddressUse, Facts};
use crate::analyze::{Evidence, EvidenceKind, feed_strength, shared_strength};
use crate::name::suffix;
use crate::query::{NearThreat, Subject, TagSet, prefix_around};
use crate::tag::{Tag, TagKind, TagSubject};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Number of near threats that are looked at, so that those on the address itself do not take all places.
const NEAREST: usize = 16;
/// Distance at which the nearness of a threat has fallen to 1/e, in the metric of `near`.
const SIGMA: f64 = 16.0;

/// Adds the evidence of tags and indicators on the subject itself. `tags` are `None` if they were not read.
pub(super) fn own(facts: &Facts, tags: Option<&TagSet>, now: u32, out: &mut Vec<Evidence>) {
    const KINDS: [EvidenceKind; 5] = [
        EvidenceKind::TagThreat,
        EvidenceKind::TagTrust,
        EvidenceKind::TagInterest,
        EvidenceKind::FeedThreat,
        EvidenceKind::FeedTrust,
    ];
    let (Some(tags), Some(subject)) = (tags, own_subject(facts)) else {
        out.extend(KINDS.map(|kind| Evidence::unknown(kind, "tags were not read")));
        return;
    };
    let in_effect = tags.of_subject(&subject);
    let all = tags.all_of_subject(&subject);
    for kind in KINDS {
        let (of, is_own) = match kind {
            EvidenceKind::TagThreat => (TagKind::Threat, true),
            EvidenceKind::TagTrust => (TagKind::Trust, true),
            EvidenceKind::FeedThreat => (TagKind::Threat, false),
            EvidenceKind::FeedTrust => (TagKind::Trust, false),
            // Of whoever says so.
            _ => (TagKind::Interest, true),
        };
        let is_meant =
            |tag: &&&Tag| tag.kind == of && (of == TagKind::Interest || tag.is_own() == is_own);
        let strongest = in_effect
            .iter()
            .filter(is_meant)
            .map(|tag| (strength(tag, now), *tag))
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        out.push(match strongest {
            Some((x, tag)) => of_tag(kind, x, tag, in_effect.iter().filter(is_meant).count()),
            None => match all.iter().find(is_meant) {
                Some(tag) => {
                    let by = tags.overriding(tag, &all, &subject);
                    let by =
                        by.map_or(String::new(), |by| format!(" by {} {}", by.kind, by.subject));
                    Evidence::new(kind, 0.0, format!("overridden{by}"), tag.said_by().to_owned())
                        .since(Some(tag.time).filter(|time| *time > 0))
                }
                None => Evidence::new(kind, 0.0, "none", "store"),
            },
        });
    }
}

/// The tag subject that equals the subject.
fn own_subject(facts: &Facts) -> Option<TagSubject> {
    match &facts.subject {
        Subject::Name(name) => Some(TagSubject::Name(name.clone())),
        Subject::Addresses(address, _) => Some(TagSubject::address(*address)),
        Subject::Below(_) | Subject::AtOrBelow(_) => None,
    }
}

/// Strength of a tag: an analyst's is certain, a feed's is its confidence, halved for each 30 days since it last said so.
fn strength(tag: &Tag, now: u32) -> f64 {
    match &tag.listing {
        None => 1.0,
        Some(listing) => feed_strength(listing.confidence, now.saturating_sub(listing.last_listed)),
    }
}

fn of_tag(kind: EvidenceKind, x: f64, tag: &Tag, count: usize) -> Evidence {
    // Writing to a String cannot fail.
    let mut value = tag.subject.to_string();
    if let Some(listing) = &tag.listing {
        write!(value, ", confidence {}", listing.confidence).ok();
    }
    if count > 1 {
        write!(value, ", the strongest of {count}").ok();
    }
    let since = Some(tag.time).filter(|time| *time > 0);
    Evidence::new(kind, x, value, tag.said_by().to_owned()).since(since)
}

/// Threats that the name leads to: addresses through which evidence spreads, and names.
pub(super) fn targets(scorer: &Scorer, facts: &Facts, tags: Option<&TagSet>, now: u32) -> Evidence {
    let kind = EvidenceKind::LeadsToThreat;
    let Some(tags) = tags else { return Evidence::unknown(kind, "tags were not read") };
    if facts.targets.is_empty() {
        return Evidence::unknown(kind, "no record that leads anywhere");
    }
    let spreads = |target: &&TagSubject| match (target.as_address(), target.name()) {
        (Some(address), _) => match facts.addresses.iter().find(|one| one.address == address) {
            Some(one) => one.spreads(),
            // Its names were not read, as there are many addresses.
            None => AddressUse::listed(scorer, address) == AddressUse::Host,
        },
        (None, Some(name)) => !scorer.lists.is_host_of_many(name.as_name()),
        (None, None) => false,
    };
    let threats = facts.targets.iter().filter(spreads).flat_map(|target| tags.of_subject(target));
    let threats = threats.filter(|tag| tag.kind == TagKind::Threat);
    let found: BTreeMap<&Tag, f64> = threats.map(|tag| (tag, strength(tag, now))).collect();
    let strongest = found.iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
    match strongest {
        Some((tag, x)) => of_tag(kind, *x, tag, found.len()),
        None => Evidence::new(kind, 0.0, "none of what it leads to", "store"),
    }
}

/// Threats on the addresses through which evidence spreads.
pub(super) fn shared(facts: &Facts, tags: Option<&TagSet>) -> Evidence {
    let kind = EvidenceKind::SharedIp;
    let Some(tags) = tags else { return Evidence::unknown(kind, "tags were not read") };
    let mut strongest: Option<(f64, String)> = None;
    let mut spread = facts.addresses.iter().filter(|one| one.spreads()).peekable();
    if spread.peek().is_none() {
        let why = if facts.addresses.is_empty() {
            "no address"
        } else {
            "only addresses that many names share"
        };
        return Evidence::unknown(kind, why);
    }
    for one in spread {
        let mut threats = BTreeSet::new();
        for name in &one.names {
            let name = name.as_name();
            let domain = suffix::registrable(name).unwrap_or(name);
            let is_own =
                facts.domain.as_ref().is_some_and(|own| name.is_at_or_below(own.as_name()));
            let is_threat = || tags.of_name(name).iter().any(|tag| tag.kind == TagKind::Threat);
            if !is_own && !threats.contains(&domain) && is_threat() {
                threats.insert(domain);
            }
        }
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let x = shared_strength(number(threats.len()), number(one.domains));
        if x > strongest.as_ref().map_or(0.0, |(x, _)| *x) {
            let example = threats.first().map_or(String::new(), ToString::to_string);
            let (count, domains) = (threats.len(), one.domains);
            let value =
                format!("{count} of {domains} domains on {}, such as {example}", one.address);
            strongest = Some((x, value));
        }
    }
    match strongest {
        Some((x, value)) => Evidence::new(kind, x, value, "store"),
        None => Evidence::new(kind, 0.0, "none of the domains on its addresses", "store"),
    }
}

/// The threat nearest to the addresses through which evidence spreads.
pub(super) fn nearest(scorer: &Scorer, facts: &Facts) -> Evidence {
    let kind = EvidenceKind::NearestThreat;
    let mut spread = facts.addresses.iter().filter(|one| one.spreads()).peekable();
    if spread.peek().is_none() {
        return Evidence::unknown(kind, "no address that evidence spreads through");
    }
    let found = spread.filter_map(|one| {
        // The tags of the address itself have lines of their own in the ledger.
        let mut nearest = scorer.threats.near(one.address, NEAREST).into_iter();
        let near = nearest.find(|near| near.square > 0)?;
        Some((nearness(one.address, &near), one.address, near))
    });
    let strongest = found.max_by(|(one, ..), (other, ..)| one.total_cmp(other));
    match strongest {
        Some((x, from, near)) if x >= 0.005 => {
            let (threat, distance, shared) = (&near.subject, near.distance(), near.shared);
            let value = format!("{threat} is {distance:.1} from {from}, same /{shared}");
            let since = Some(near.since).filter(|time| *time > 0);
            Evidence::new(kind, x, value, near.author.to_owned()).since(since)
        }
        _ => Evidence::new(kind, 0.0, "none near", "store"),
    }
}

/// Strength of a near threat: 1/2 within the same /24 or /48, less beyond.
fn nearness(from: IpAddr, near: &NearThreat<'_>) -> f64 {
    if near.square == 0 {
        return 1.0;
    }
    if prefix_around(from).contains(&near.address) {
        return 0.5;
    }
    (-near.distance() / SIGMA).exp().min(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Threats;

    #[test]
    fn near_threats_weigh_by_distance() {
        let threat = |text: &str| {
            TagSet::new(vec![Tag::new(TagKind::Threat, TagSubject::Net(text.parse().unwrap()))])
        };
        for (tagged, from, want) in [
            ("1.2.3.4/32", "1.2.3.4", 1.0),
            ("192.0.2.1/32", "192.0.2.4", 0.5),
            ("198.51.100.3/32", "198.51.101.7", 0.5),
            ("10.0.0.255/32", "10.0.1.0", (-255.002_f64 / 16.0).exp()),
            ("192.0.2.0/24", "192.0.2.77", 1.0),
        ] {
            let tags = threat(tagged);
            let from = from.parse().unwrap();
            let threats = Threats::of(&tags);
            let x = nearness(from, &threats.near(from, 1)[0]);
            assert!((x - want).abs() < 1e-6, "{tagged} {from}: {x}");
        }
    }

    /// The distances of the specification: octets as coordinates.
    #[test]
    fn published_distances() {
        for (one, other, want) in [
            ("192.0.2.1", "192.0.2.4", 3.0),
            ("198.51.100.3", "198.51.101.7", 4.1231),
            ("1.2.3.4", "1.2.3.4", 0.0),
            ("10.0.0.255", "10.0.1.0", 255.002),
        ] {
            let subject = TagSubject::address(one.parse().unwrap());
            let tags = TagSet::new(vec![Tag::new(TagKind::Threat, subject)]);
            let threats = Threats::of(&tags);
            let found = threats.near(other.parse().unwrap(), 1);
            assert!((found[0].distance() - want).abs() < 1e-4, "{one} {other}");
        }
    }
}
