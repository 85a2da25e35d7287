//! Checks the indicators, and removes what cannot be read.
//!
//! A part of `store/verify.rs`. What a feed lists comes back with its next refresh, so a repair removes damaged entries
//! and says so, rather than guess.

use super::source::{HALF_LIFE, IntelSource, decode, encode};
use crate::store::layout::listing::{
    self, BucketAddress, Listing, Text, place, read_subject, write_subject,
};
use crate::store::redis::client::Pipeline;
use crate::store::verify::Verdict;
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

/// Listings of each source: those that it lists, and those that end.
type SourceCounts = HashMap<u32, (u64, u64)>;

/// Sources and words that listings refer to.
struct KnownSources {
    sources: BTreeMap<u32, IntelSource>,
    words: HashSet<u32>,
}

/// A bucket after the check.
#[derive(Default)]
struct Checked {
    /// The valid part of it.
    octets: Vec<u8>,
    /// The faults, one sentence each.
    problems: Vec<String>,
}

impl Store {
    /// Checks the indicators.
    pub(in crate::store) fn verify_indicators(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let keys = ["i", "is", "iw", "il"].map(|letters| self.keys.intel(letters));
        for key in &keys {
            self.verify_type(key, "hash", repair, verdict)?;
        }
        let known = match self.known_of_indicators(repair, verdict) {
            Err(StoreError::Damaged { .. }) if !repair => return Ok(()),
            known => known?,
        };
        let mut counts = SourceCounts::new();
        for shard in Self::shards() {
            let key = self.keys.intel(&format!("ib{shard:02x}"));
            self.verify_type(&key, "hash", repair, verdict)?;
            let pairs = match self.hash(&key) {
                Err(StoreError::Damaged { .. }) if !repair => continue,
                pairs => pairs?,
            };
            let mut packed = Pipeline::default();
            for (field, octets) in pairs {
                if field == b"v" {
                    if std::str::from_utf8(&octets)
                        .ok()
                        .is_none_or(|text| text.parse::<u64>().is_err())
                    {
                        verdict.problem(repair, || format!("{key}: the version does not read"));
                        packed.command(&[b"HSET", key.as_bytes(), b"v", b"1"]);
                    }
                    continue;
                }
                let checked = match BucketAddress::of_field(&field) {
                    Some(bucket) => self.check_bucket(
                        BucketAddress { shard, bucket },
                        &octets,
                        &known,
                        &mut counts,
                    ),
                    None => Checked {
                        problems: vec!["an unknown field".to_owned()],
                        ..Checked::default()
                    },
                };
                for problem in &checked.problems {
                    verdict.problem(repair, || format!("{key}: {problem}"));
                    if repair {
                        verdict.lost.push(format!(
                            "{key}: {problem}; the next import of its source brings it back"
                        ));
                    }
                }
                if checked.problems.is_empty() {
                    continue;
                }
                if checked.octets.is_empty() {
                    packed.command(&[b"HDEL", key.as_bytes(), &field]);
                } else {
                    packed.command(&[b"HSET", key.as_bytes(), &field, &checked.octets]);
                }
            }
            if repair && !packed.is_empty() {
                packed.command(&[b"HINCRBY", key.as_bytes(), b"v", b"1"]);
                self.client.call(&packed)?;
            }
        }
        self.check_counts(&known.sources, &counts, repair, verdict)
    }

    /// Reads sources and words, and checks the numbers that are kept of them.
    fn known_of_indicators(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<KnownSources, StoreError> {
        let (meta_key, source_key, word_key) =
            (self.keys.intel("i"), self.keys.intel("is"), self.keys.intel("iw"));
        let mut packed = Pipeline::default();
        let mut sources = BTreeMap::new();
        for (number, record) in self.hash(&source_key)? {
            if let Some(source) = decode(&number, &record) {
                sources.insert(source.number, source);
            } else {
                let shown = String::from_utf8_lossy(&number).into_owned();
                verdict.problem(repair, || {
                    format!("{source_key}: the source {shown:?} does not read")
                });
                packed.command(&[b"HDEL", source_key.as_bytes(), &number]);
            }
        }
        let mut words = HashSet::new();
        for (number, word) in self.hash(&word_key)? {
            let read =
                std::str::from_utf8(&number).ok().and_then(|number| number.parse::<u32>().ok());
            if let Some(number) = read.filter(|_| std::str::from_utf8(&word).is_ok()) {
                words.insert(number);
            } else {
                verdict.problem(repair, || format!("{word_key}: a word does not read"));
                packed.command(&[b"HDEL", word_key.as_bytes(), &number]);
            }
        }
        let meta: HashMap<Vec<u8>, Vec<u8>> = self.hash(&meta_key)?.into_iter().collect();
        let number = |field: &[u8]| -> u64 {
            let text = meta.get(field).and_then(|text| std::str::from_utf8(text).ok());
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let last_source = sources.keys().next_back().copied().unwrap_or(0);
        let last_word = words.iter().max().copied().unwrap_or(0);
        for (field, least) in [("s", last_source), ("w", last_word)] {
            if number(field.as_bytes()) < u64::from(least) {
                verdict.problem(repair, || format!("{meta_key}: {field} is below {least}"));
                packed.command(&[
                    b"HSET",
                    meta_key.as_bytes(),
                    field.as_bytes(),
                    least.to_string().as_bytes(),
                ]);
            }
        }
        // A source whose record is lost is known by its name and number.
        for (field, number) in &meta {
            let name = field.strip_prefix(b"=").and_then(|name| std::str::from_utf8(name).ok());
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            let (Some(name), Some(number)) = (name, number.filter(|&number: &u32| number > 0))
            else {
                continue;
            };
            if sources.contains_key(&number) {
                continue;
            }
            verdict.problem(repair, || format!("{source_key}: the source {name} is missing"));
            if repair {
                verdict
                    .lost
                    .push(format!("{source_key}: when {name} was imported, and how it is fetched"));
            }
            let source = IntelSource {
                name: name.to_owned(),
                number,
                half_life: HALF_LIFE,
                ..IntelSource::default()
            };
            packed.command(&[
                b"HSET",
                source_key.as_bytes(),
                number.to_string().as_bytes(),
                encode(&source).as_bytes(),
            ]);
            sources.insert(number, source);
        }
        for (number, source) in &sources {
            let field = format!("={}", source.name);
            let number = number.to_string();
            if meta.get(field.as_bytes()).map(Vec::as_slice) != Some(number.as_bytes()) {
                verdict.problem(repair, || {
                    format!("{meta_key}: the number of {} is wrong", source.name)
                });
                packed.command(&[
                    b"HSET",
                    meta_key.as_bytes(),
                    field.as_bytes(),
                    number.as_bytes(),
                ]);
            }
        }
        if repair {
            self.client.call(&packed)?;
        }
        Ok(KnownSources { sources, words })
    }

    fn check_bucket(
        &self,
        address: BucketAddress,
        octets: &[u8],
        known: &KnownSources,
        counts: &mut SourceCounts,
    ) -> Checked {
        let mut checked = Checked::default();
        let mut rest = octets;
        while !rest.is_empty() {
            let Some((key, listings)) = read_subject(&mut rest) else {
                checked.problems.push("a bucket does not read".to_owned());
                break;
            };
            let subject = listing::subject(key);
            let is_here = subject
                .as_ref()
                .is_some_and(|subject| place(self.router.hasher(), subject) == address);
            let listings = Listing::read_all(listings);
            let (Some(subject), Some(listings), true) = (subject, listings, is_here) else {
                checked
                    .problems
                    .push("a subject does not read, or is in the wrong bucket".to_owned());
                continue;
            };
            let mut kept = Vec::new();
            for listing in listings {
                let texts = [&listing.labels, &listing.reference_head, &listing.note];
                let lacks_word =
                    |text: &&Text| matches!(text, Text::Word(word) if !known.words.contains(word));
                if !known.sources.contains_key(&listing.source) {
                    checked.problems.push(format!("{subject} is listed by an unknown source"));
                } else if texts.iter().any(lacks_word) {
                    checked.problems.push(format!("the words of {subject} are gone"));
                } else {
                    let (listed, ending) = counts.entry(listing.source).or_default();
                    *if listing.gone.is_some() { ending } else { listed } += 1;
                    listing.write(&mut kept);
                }
            }
            if !kept.is_empty() {
                write_subject(key, &kept, &mut checked.octets);
            }
        }
        checked
    }

    /// Checks the numbers of indicators that sources are said to list.
    fn check_counts(
        &mut self,
        sources: &BTreeMap<u32, IntelSource>,
        counts: &SourceCounts,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.intel("is");
        let leases = self.hash(&self.keys.intel("il"))?;
        for (number, source) in sources {
            let field = number.to_string();
            let (listed, ending) = counts.get(number).copied().unwrap_or_default();
            verdict.indicators += listed + ending;
            // An import that is under way counts at its end; one that was killed has no valid lease any more.
            let is_leased =
                leases.iter().any(|(leased, lease)| leased == field.as_bytes() && is_valid(lease));
            if is_leased || (source.listed, source.ending) == (listed, ending) {
                continue;
            }
            verdict.problem(repair, || {
                format!(
                    "{key}: {} lists {listed} indicators instead of {}",
                    source.name, source.listed
                )
            });
            if repair {
                let source = IntelSource { listed, ending, ..source.clone() };
                self.client.ask(&[
                    b"HSET",
                    key.as_bytes(),
                    field.as_bytes(),
                    encode(&source).as_bytes(),
                ])?;
            }
        }
        Ok(())
    }
}

/// Returns true if a lease has not ended.
fn is_valid(lease: &[u8]) -> bool {
    let ends =
        std::str::from_utf8(lease).ok().and_then(|lease| lease.rsplit(' ').next()?.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    ends.is_some_and(|ends: u64| ends > now)
}
