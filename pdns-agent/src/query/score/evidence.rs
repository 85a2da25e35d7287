//! From what is known of a subject to evidence. Pure: no store, no clock.

use super::facts::{AddressUse, Facts};
use super::{Scorer, from_tags};
use crate::analyze::{
    Evidence, EvidenceKind, MIMIC_LIMIT, TunnelVerdict, Verdict, age_strength, dga_strength,
    dynamic_zone,
};
use crate::name::{Name, suffix};
use crate::query::parked::{Why, why_local};
use crate::query::{DAY, Subject, TagSet};
use std::fmt::Write as _;

/// Least number of names below a domain for a share of failed ones.
const LEAST_SIBLINGS: u32 = 5;
/// Likeness of a parked name is no more than this: nobody uses it yet.
const PARKED_SQUAT: f64 = 0.6;
/// Limit and factors of the flux score: addresses, and autonomous systems (Holz et al., Measuring and Detecting
/// Fast-Flux Service Networks, NDSS 2008).
const FLUX: (f64, f64, f64) = (142.38, 1.32, 18.54);
/// Seconds of a year.
const YEAR: u32 = 365 * DAY;

/// Makes evidence of each kind, and labels. `tags` are `None` if they were not read.
pub(super) fn evidence(
    scorer: &Scorer,
    facts: &Facts,
    tags: Option<&TagSet>,
    now: u32,
) -> (Vec<Evidence>, Vec<&'static str>) {
    let mut out = Vec::with_capacity(crate::analyze::EVIDENCE.len());
    let mut labels = Vec::new();
    from_tags::own(facts, tags, now, &mut out);
    out.push(Evidence::unknown(EvidenceKind::Reputation, "no provider was asked"));
    out.push(from_tags::shared(facts, tags));
    out.push(from_tags::nearest(scorer, facts));
    out.push(age(scorer, facts, now));
    out.push(set(facts));
    let parked = parked(scorer, facts, &mut labels);
    let is_parked = parked.x.is_some_and(|x| x > 0.0);
    out.push(parked);
    out.push(sinkholed(scorer, facts, &mut labels));
    let uses = |use_| facts.addresses.iter().any(|one| one.use_ == use_);
    let hosts = &scorer.lists.content_networks;
    let is_content = uses(AddressUse::ContentNetwork)
        || facts.hosts.iter().any(|host| hosts.has_host(host.as_name()));
    if is_content {
        labels.push("content-network");
    }
    if uses(AddressUse::Shared) {
        labels.push("shared-hosting");
    }
    let Subject::Name(name) = &facts.subject else { return (out, labels) };
    let name = name.as_name();
    out.push(from_tags::targets(scorer, facts, tags, now));
    top(scorer, facts, &mut out);
    let squat = squat(scorer, facts, name, is_parked);
    let is_squat = squat.x.is_some_and(|x| x > 0.0);
    out.push(dga(scorer, name, is_squat, out.iter().any(is_accusation)));
    out.push(squat);
    out.push(low_ttl(facts));
    out.push(fast_flux(facts, is_content, now));
    out.push(nx_ratio(facts));
    out.push(tunnel(facts));
    out.push(match &facts.txt {
        Some((x, owner)) => Evidence::new(EvidenceKind::TxtCues, *x, owner.to_string(), "store"),
        None => Evidence::unknown(EvidenceKind::TxtCues, "no TXT or NULL record"),
    });
    out.push(rebinding(facts, name));
    zones(scorer, name, &mut out);
    (out, labels)
}

/// Rank in the operator's top list.
fn top(scorer: &Scorer, facts: &Facts, out: &mut Vec<Evidence>) {
    let kinds = [EvidenceKind::Top10k, EvidenceKind::Top100k];
    let Some(list) = &scorer.top else {
        out.extend(kinds.map(|kind| Evidence::unknown(kind, "no top list is given")));
        return;
    };
    let rank = facts.domain.as_ref().and_then(|domain| list.rank(domain.as_name()));
    for kind in kinds {
        let is_in = match (kind, rank) {
            (EvidenceKind::Top10k, Some(rank)) => rank <= 10_000,
            (_, Some(rank)) => rank > 10_000,
            (_, None) => false,
        };
        let value = rank.map_or("not in the list".to_owned(), |rank| format!("rank {rank}"));
        out.push(Evidence::new(kind, f64::from(u8::from(is_in)), value, "top list"));
    }
}

/// True for the word of an analyst or a feed that a name, or what it leads to, is a threat.
fn is_accusation(evidence: &Evidence) -> bool {
    use EvidenceKind::{FeedThreat, LeadsToThreat, TagThreat};
    let is_meant = matches!(evidence.kind, TagThreat | FeedThreat | LeadsToThreat);
    is_meant && evidence.x.is_some_and(|x| x > 0.0)
}

/// Probability that the label is generated. An imitation looks like an ordinary name on purpose, and most names that
/// somebody calls a threat were chosen by people, so that this is no evidence in favour of either.
fn dga(scorer: &Scorer, name: Name<'_>, is_squat: bool, is_accused: bool) -> Evidence {
    let kind = EvidenceKind::Dga;
    let judged = scorer.model.classify(name);
    match judged.verdict {
        Verdict::TooShort => Evidence::unknown(kind, "the label is too short"),
        Verdict::Idn => Evidence::unknown(kind, "the label is internationalised"),
        verdict => {
            let mut value = format!("p {:.2} ({verdict})", judged.scores.p);
            let mut x = dga_strength(judged.scores.odds);
            if x < 0.0 && (is_squat || is_accused) {
                x = 0.0;
                let who = if is_squat { "an imitation" } else { "most threats" };
                write!(value, ", which {who} would be, too").ok();
            }
            Evidence::new(kind, x, value, "name")
        }
    }
}

/// Verdict on the names that appeared together.
fn set(facts: &Facts) -> Evidence {
    let kind = EvidenceKind::DgaSet;
    match &facts.set {
        None => Evidence::unknown(kind, "fewer than 5 domains appeared together on one address"),
        Some(set) => {
            let x = f64::from(u8::from(set.verdict == Verdict::Dga));
            let value =
                format!("{} domains of one day, p {:.2} ({})", set.names, set.p, set.verdict);
            Evidence::new(kind, x, value, "store")
        }
    }
}

/// Likeness to a protected name.
fn squat(scorer: &Scorer, facts: &Facts, name: Name<'_>, is_parked: bool) -> Evidence {
    let kind = EvidenceKind::Squat;
    let found = scorer.mimics.find(name);
    let Some(mimic) = found.first().filter(|mimic| mimic.score >= MIMIC_LIMIT) else {
        return Evidence::new(kind, 0.0, "imitates no protected name", "name");
    };
    let value = format!("{} of {}, likeness {}", mimic.kind, mimic.target, mimic.score);
    let rank = scorer.top.as_ref().zip(facts.domain.as_ref());
    if rank.is_some_and(|(top, domain)| top.rank(domain.as_name()).is_some()) {
        return Evidence::new(kind, 0.0, value + ", but popular itself", "name");
    }
    if facts.same_owner.as_deref() == Some(mimic.target) {
        return Evidence::new(kind, 0.0, value + ", but of the same owner", "name");
    }
    let x = f64::from(mimic.score) / 100.0;
    if is_parked {
        return Evidence::new(kind, x.min(PARKED_SQUAT), value + ", parked", "name");
    }
    Evidence::new(kind, x, value, "name")
}

/// Time since the first sighting here. What the store had on its first day may be of any age.
fn age(scorer: &Scorer, facts: &Facts, now: u32) -> Evidence {
    let kind = EvidenceKind::Age;
    let Some(first) = facts.first else {
        return Evidence::unknown(kind, "never seen here");
    };
    let age = now.saturating_sub(first);
    let x = age_strength(age);
    let value = format!("first seen here {}", span(age));
    let begun = scorer.store_since.map_or(0, |since| since.saturating_add(DAY));
    if first < begun && !facts.is_new {
        return Evidence::unknown(kind, "first seen on the first day of the store");
    }
    Evidence::new(kind, x, value, "store").since(Some(first))
}

/// The range of an age that [`age_strength`] tells apart, in words.
fn span(seconds: u32) -> &'static str {
    match seconds / DAY {
        0 => "less than a day ago",
        1..7 => "less than a week ago",
        7..30 => "less than 30 days ago",
        30..90 => "less than 90 days ago",
        90..=365 => "less than a year ago",
        366..=1_095 => "more than a year ago",
        _ => "more than three years ago",
    }
}

/// Short time to live.
fn low_ttl(facts: &Facts) -> Evidence {
    let kind = EvidenceKind::LowTtl;
    match facts.ttl {
        None => Evidence::unknown(kind, "no address with a TTL"),
        Some(ttl) => {
            let x = match ttl {
                0..60 => 1.0,
                60..300 => 0.5,
                _ => 0.0,
            };
            Evidence::new(kind, x, format!("median of the largest TTLs: {ttl} s"), "store")
        }
    }
}

/// Many addresses in many networks. Autonomous systems are not known here: there are at least one and at most as many
/// as /16 prefixes, so that the score is known only where both ends lie on one side of the limit.
fn fast_flux(facts: &Facts, is_content: bool, now: u32) -> Evidence {
    let kind = EvidenceKind::FastFlux;
    let Some((count, nets)) = facts.flux else { return Evidence::unknown(kind, "no address") };
    let score = |systems: f64| FLUX.1.mul_add(f64::from(count), FLUX.2 * systems);
    let addresses = if count == 1 { "address" } else { "addresses" };
    let value = format!("{count} {addresses} in {nets} /16 within a week");
    if is_content {
        return Evidence::new(kind, 0.0, value + ", of a content network", "store");
    }
    if score(f64::from(nets)) <= FLUX.0 {
        return Evidence::new(kind, 0.0, value, "store");
    }
    if facts.first.is_some_and(|first| now.saturating_sub(first) >= YEAR) {
        return Evidence::new(kind, 0.0, value + ", but seen for a year", "store");
    }
    if score(1.0) > FLUX.0 {
        return Evidence::new(kind, 1.0, value, "store");
    }
    Evidence::unknown(kind, value + "; their autonomous systems are not known")
}

/// Share of names below the domain that do not exist.
fn nx_ratio(facts: &Facts) -> Evidence {
    let kind = EvidenceKind::NxRatio;
    match facts.siblings {
        None => Evidence::unknown(kind, "names below the domain were not read"),
        Some((_, all)) if all < LEAST_SIBLINGS => {
            Evidence::unknown(kind, format!("names of the domain: {all}, needed: {LEAST_SIBLINGS}"))
        }
        Some((failed, all)) => {
            let value = format!("{failed} of {all} names of the domain got NXDOMAIN only");
            Evidence::new(kind, f64::from(failed) / f64::from(all), value, "store")
        }
    }
}

/// Names below the domain that look like a tunnel.
fn tunnel(facts: &Facts) -> Evidence {
    let kind = EvidenceKind::Tunnel;
    if let Some(class) = &facts.exempt {
        return Evidence::new(kind, 0.0, format!("exempt: {class}"), "list");
    }
    let Some(aggregate) = &facts.tunnel else {
        return Evidence::unknown(kind, "names below the domain were not read");
    };
    let report = aggregate.judge();
    let x = match report.verdict {
        TunnelVerdict::Unknown => {
            return Evidence::unknown(
                kind,
                format!("new names in a day: {}, needed: {LEAST_SIBLINGS}", report.names),
            );
        }
        TunnelVerdict::None => 0.0,
        TunnelVerdict::Suspect => 0.4,
        TunnelVerdict::Tunnel => 1.0,
    };
    let value = format!("{}: {report}", report.verdict.as_str());
    Evidence::new(kind, x, value, "store").since(Some(report.since))
}

/// A public name with a local address.
fn rebinding(facts: &Facts, name: Name<'_>) -> Evidence {
    let kind = EvidenceKind::Rebinding;
    if facts.addresses.is_empty() {
        return Evidence::unknown(kind, "no address");
    }
    let local = facts.addresses.iter().filter(|one| one.use_ == AddressUse::Local);
    let Some(first) = local.clone().next() else {
        return Evidence::new(kind, 0.0, "no local address", "store");
    };
    let value = first.address.to_string();
    if !suffix::has_listed(name) {
        return Evidence::new(kind, 0.0, value + ", but the name is local, too", "store");
    }
    let why = why_local(first.address);
    if matches!(why, Some(Why::Unspecified | Why::Loopback)) {
        return Evidence::new(kind, 0.5, value + ", as filters answer, too", "store");
    }
    if local.count() == facts.addresses.len() {
        return Evidence::new(
            kind,
            0.3,
            value + ", and no public one: an intranet, perhaps",
            "store",
        );
    }
    Evidence::new(kind, 1.0, value + ", and public ones", "store")
}

/// Parked by name server, CNAME or address.
fn parked(scorer: &Scorer, facts: &Facts, labels: &mut Vec<&'static str>) -> Evidence {
    let kind = EvidenceKind::Parked;
    let list = &scorer.lists.parked;
    if let Some(host) = facts.hosts.iter().find(|host| list.has_host(host.as_name())) {
        labels.push("parked");
        return Evidence::new(kind, 1.0, format!("leads to {host}"), "parking list");
    }
    let mut on = facts.addresses.iter().filter(|one| one.use_ == AddressUse::Parked);
    let Some(first) = on.next() else {
        return if facts.addresses.is_empty() && facts.hosts.is_empty() {
            Evidence::unknown(kind, "no address and no name server")
        } else {
            Evidence::new(kind, 0.0, "not in the list", "parking list")
        };
    };
    let value = format!("on {}", first.address);
    if 1 + on.count() < facts.addresses.len() {
        return Evidence::new(kind, 0.0, value + ", and on others", "parking list");
    }
    labels.push("parked");
    // Some prefixes of the list hold sites in use.
    Evidence::new(kind, 0.5, value, "parking list")
}

/// Leads to a sinkhole.
fn sinkholed(scorer: &Scorer, facts: &Facts, labels: &mut Vec<&'static str>) -> Evidence {
    let kind = EvidenceKind::Sinkholed;
    let list = &scorer.lists.sinkholes;
    let host =
        facts.hosts.iter().find(|host| list.has_host(host.as_name())).map(ToString::to_string);
    let on = facts.addresses.iter().find(|one| one.use_ == AddressUse::Sinkhole);
    let Some(place) = host.or_else(|| on.map(|one| one.address.to_string())) else {
        return if facts.addresses.is_empty() && facts.hosts.is_empty() {
            Evidence::unknown(kind, "no address and no name server")
        } else {
            Evidence::new(kind, 0.0, "not in the list", "sinkhole list")
        };
    };
    labels.push("sinkholed");
    if facts.subject.name().is_none() {
        // The names that lead there were bad; the address itself does no harm.
        return Evidence::new(kind, 0.0, "a sinkhole itself", "sinkhole list");
    }
    Evidence::new(kind, 1.0, format!("leads to {place}"), "sinkhole list")
}

/// Zones and suffixes that say something about the names below them.
fn zones(scorer: &Scorer, name: Name<'_>, out: &mut Vec<Evidence>) {
    let found = [
        (EvidenceKind::DynamicDns, dynamic_zone(name).map(Name::as_str)),
        (EvidenceKind::FreeHosting, scorer.lists.free_hosting(name)),
        (EvidenceKind::AbusedTld, scorer.lists.abused_tld(name)),
    ];
    for (kind, zone) in found {
        out.push(match zone {
            Some(zone) => Evidence::new(kind, 1.0, format!("below {zone}"), "list"),
            None => Evidence::new(kind, 0.0, "not in the list", "list"),
        });
    }
}
