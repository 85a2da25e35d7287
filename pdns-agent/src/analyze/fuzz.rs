//! Entry point of the fuzz target `judgement`, to readers that are private to the module.
//!
//! Not a part of the library's interface.

use super::parts::Parts;
use super::{MimicIndex, Model, squats};
use crate::name::NameBuf;

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
        drop(squats(name.as_name()));
    }
    let p = model.classify_set(&names).p;
    assert!((0.0..=1.0).contains(&p), "{p}");
}
