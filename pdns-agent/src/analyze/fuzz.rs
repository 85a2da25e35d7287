//! Entry points of the fuzz targets `judgement` and `score`, to readers that are private to the module.
//!
//! Not a part of the library's interface.

use super::parts::Parts;
use super::{
    EVIDENCE, Evidence, Exempts, Ledger, MimicIndex, Model, TunnelAggregate, TunnelSighting,
    Weights, content_strength, scored_domain, squats,
};
use crate::name::NameBuf;
use crate::rr::RrType;

/// Reads octets as the contents of a model file, and judges names with it. A checksum would be valid in a hostile file,
/// too, so it is not asked for.
///
/// # Panics
/// If the contents do not encode to what they were, or a name is judged wrongly.
pub fn model(octets: &[u8]) {
    let Ok(parts) = Parts::decode_body(octets) else { return };
    let again = parts.encode();
    assert_eq!(Parts::decode(&again).as_ref(), Ok(&parts));
    judge(&Model::from_parts(parts), octets);
}

/// Longest name, in octets of text, whose possible imitations are listed.
const LISTED: usize = 12;

/// Judges octets as a name in wire form and as text.
///
/// # Panics
/// If a score is not a probability, or a name imitates itself.
pub fn judge(model: &Model, octets: &[u8]) {
    let wire = NameBuf::from_wire(octets).ok().map(|(name, _)| name);
    let text = str::from_utf8(octets).ok().and_then(|text| NameBuf::parse(text).ok());
    let names: Vec<NameBuf> = wire.into_iter().chain(text).collect();
    for name in &names {
        let (classified, _) = model.explain(name.as_name());
        assert_eq!(model.classify(name.as_name()).verdict, classified.verdict);
        for p in [classified.scores.p, classified.scores.bayes, classified.scores.forest] {
            assert!((0.0..=1.0).contains(&p), "{name}: {p}");
        }
        let index = MimicIndex::new(&names);
        assert!(index.find(name.as_name()).is_empty(), "{name} imitates itself");
        // Names with two look-alikes grow with the square of the length, to a million for the longest label.
        if name.as_str().len() <= LISTED {
            drop(squats(name.as_name()).ok());
        }
    }
    let p = model.classify_set(&names).p;
    assert!((0.0..=1.0).contains(&p), "{p}");
}

/// Reads octets as a file of weights, as a list of exempt names, as the names below a domain, and as RDATA.
///
/// # Panics
/// If a score or a measure is out of range.
pub fn score(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(weights) = Weights::parse(&text) {
        for x in [-1.0, 0.5, f64::NAN] {
            let all = EVIDENCE.iter().map(|&(kind, ..)| Evidence::new(kind, x, "", ""));
            let ledger = Ledger::new(&weights, all.collect());
            assert!(ledger.score <= 100 && ledger.log_odds.is_finite(), "{ledger:?}");
        }
    }
    let exempts = Exempts::parse(&text).unwrap_or_default();
    let mut aggregate = TunnelAggregate::default();
    for (at, octets) in (0..).zip(octets.chunks(64)) {
        let Some(name) = str::from_utf8(octets).ok().and_then(|text| NameBuf::parse(text).ok())
        else {
            continue;
        };
        let name = name.as_name();
        assert!(exempts.zone_class(name).is_none() || exempts.class(name).is_some());
        let sighting =
            TunnelSighting { first: at, count: at.into(), sensors: at, is_rare: at % 2 == 0 };
        aggregate.add(name, scored_domain(name), sighting);
    }
    let report = aggregate.judge();
    for share in [report.once, report.rare, report.entropy / 8.0, report.length / 1_100.0] {
        assert!((0.0..=1.0).contains(&share), "{report:?}");
    }
    for rrtype in [RrType::TXT, RrType::NULL] {
        assert!((0.0..=1.0).contains(&content_strength(rrtype, octets, Some(1))));
    }
}
