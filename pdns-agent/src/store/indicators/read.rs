//! Reading indicators: those that apply to some subjects, or all.

use super::import::read_shard;
use super::source::IntelSource;
use crate::hash::Hasher;
use crate::indicator::Indicator;
use crate::name::ancestors;
use crate::store::layout::listing::{
    self, BucketAddress, Listing, Text, key_of_name, place_of_name, places_around, read_subject,
};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, Store, StoreError};
use crate::tag::TagSubject;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Words read at once.
const WORDS: usize = 1_000;

/// Subjects that are sought in one bucket.
#[derive(Default)]
struct WantedSubject {
    /// Keys of names.
    keys: Vec<Vec<u8>>,
    /// Prefixes; those that contain them are sought.
    nets: Vec<IpNet>,
}

impl WantedSubject {
    fn is_met_by(&self, key: &[u8]) -> bool {
        match key.first() {
            Some(b'4' | b'6') if !self.nets.is_empty() => {
                listing::net(key).is_some_and(|net| self.nets.iter().any(|one| net.contains(one)))
            }
            _ => self.keys.iter().any(|wanted| wanted == key),
        }
    }
}

/// The buckets to read, and what is sought in each.
#[derive(Default)]
struct Search {
    buckets: BTreeMap<BucketAddress, WantedSubject>,
}

impl Search {
    /// The search for the indicators that apply to subjects: to each itself, and to what contains it.
    fn new(hasher: &Hasher, subjects: &[TagSubject]) -> Self {
        let mut search = Self::default();
        // Names of an answer share most of the domains above them.
        let (mut own, mut below, mut nets) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for subject in subjects {
            match subject {
                TagSubject::Name(name) => {
                    own.insert(name.as_str());
                    below.extend(ancestors(name.as_name()));
                }
                TagSubject::Below(name) => below.extend(ancestors(name.as_name())),
                TagSubject::Net(net) => {
                    nets.insert(*net);
                }
            }
        }
        for (sort, names) in [(b'=', own), (b'.', below)] {
            for name in names {
                let wanted = search.buckets.entry(place_of_name(hasher, name)).or_default();
                wanted.keys.push(key_of_name(sort, name));
            }
        }
        for net in nets {
            for place in places_around(hasher, net) {
                search.buckets.entry(place).or_default().nets.push(net);
            }
        }
        search
    }
}

/// Listings as stored, with the key of their subject.
type FoundListing = Vec<(Vec<u8>, Listing)>;

impl Reader<'_> {
    /// Returns the indicators that apply to any of some subjects, through domains and prefixes that contain them, at
    /// a time in seconds since the epoch: those that have not ended, in no particular order, each once. Also returns
    /// true if the store has any indicators.
    ///
    /// # Errors
    /// If Redis does not answer, or a bucket cannot be decoded.
    pub fn indicators_of(
        &mut self,
        subjects: &[TagSubject],
        now: u32,
    ) -> Result<(Vec<Indicator>, bool), StoreError> {
        let search = Search::new(self.store.router.hasher(), subjects);
        let mut by_shard: BTreeMap<u8, Vec<(&BucketAddress, &WantedSubject)>> = BTreeMap::new();
        for (place, wanted) in &search.buckets {
            by_shard.entry(place.shard).or_default().push((place, wanted));
        }
        let mut packed = Pipeline::default();
        let sources_key = self.store.keys.intel("is");
        packed.command(&[b"HGETALL", sources_key.as_bytes()]);
        for (&shard, buckets) in &by_shard {
            packed.begin(2 + buckets.len()).arg("HMGET").arg(shard_key(self.store, shard));
            for (place, _) in buckets {
                packed.arg(place.field());
            }
        }
        let mut answers = self.store.client.call(&packed)?.into_iter();
        let sources = sources(answers.next().ok_or(StoreError::Reply)?, &sources_key)?;
        let mut found = FoundListing::new();
        for (answer, (&shard, buckets)) in answers.zip(&by_shard) {
            for (bucket, (_, wanted)) in reply::list(answer)?.into_iter().zip(buckets) {
                let Some(bucket) = reply::maybe_octets(bucket)? else { continue };
                select(&bucket, &|key| wanted.is_met_by(key), &mut found)
                    .ok_or_else(|| StoreError::damaged(&shard_key(self.store, shard)))?;
            }
        }
        let has_any = sources.values().any(|source| source.listed + source.ending > 0);
        let is_any = has_any || !found.is_empty();
        Ok((self.indicators(found, &sources, now)?, is_any))
    }

    /// Passes all indicators that have not ended to `each`, by subject within some groups of a thousandth of all.
    ///
    /// # Errors
    /// As [`Reader::indicators_of`].
    pub fn all_indicators(
        &mut self,
        now: u32,
        each: &mut dyn FnMut(Indicator),
    ) -> Result<(), StoreError> {
        let key = self.store.keys.intel("is");
        let sources = sources(self.store.client.ask(&[b"HGETALL", key.as_bytes()])?, &key)?;
        if sources.values().all(|source| source.listed + source.ending == 0 && source.refreshed > 0)
        {
            return Ok(());
        }
        let mut words = HashMap::new();
        for shard in Store::shards() {
            let (_, buckets) = read_shard(self.store, shard)?;
            let mut found = FoundListing::new();
            for bucket in buckets.values() {
                select(bucket, &|_| true, &mut found)
                    .ok_or_else(|| StoreError::damaged(&shard_key(self.store, shard)))?;
            }
            self.read_words(&found, &mut words)?;
            for (key, listing) in found {
                if let Some(indicator) = indicator(&key, listing, &sources, &words, now) {
                    each(indicator);
                }
            }
        }
        Ok(())
    }

    /// Returns a number that changes whenever indicators change.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn indicators_generation(&mut self) -> Result<u64, StoreError> {
        let key = self.store.keys.intel("i");
        let number =
            reply::maybe_octets(self.store.client.ask(&[b"HGET", key.as_bytes(), b"g"])?)?;
        let Some(number) = number else { return Ok(0) };
        let number = std::str::from_utf8(&number).ok().and_then(|number| number.parse().ok());
        number.ok_or_else(|| StoreError::damaged(&key))
    }

    fn indicators(
        &mut self,
        found: FoundListing,
        sources: &HashMap<u32, IntelSource>,
        now: u32,
    ) -> Result<Vec<Indicator>, StoreError> {
        let mut words = HashMap::new();
        self.read_words(&found, &mut words)?;
        let each =
            |(key, listing): (Vec<u8>, Listing)| indicator(&key, listing, sources, &words, now);
        Ok(found.into_iter().filter_map(each).collect())
    }

    /// Reads the words of listings that are not known yet.
    fn read_words(
        &mut self,
        found: &FoundListing,
        words: &mut HashMap<u32, String>,
    ) -> Result<(), StoreError> {
        let texts = found
            .iter()
            .flat_map(|(_, listing)| [&listing.labels, &listing.reference_head, &listing.note]);
        let needed: BTreeSet<u32> = texts
            .filter_map(|text| match text {
                Text::Word(word) if !words.contains_key(word) => Some(*word),
                _ => None,
            })
            .collect();
        let needed: Vec<u32> = needed.into_iter().collect();
        let key = self.store.keys.intel("iw");
        for numbers in needed.chunks(WORDS) {
            let mut packed = Pipeline::default();
            packed.begin(2 + numbers.len()).arg("HMGET").arg(&key);
            for number in numbers {
                packed.arg(number.to_string());
            }
            let answer = self.store.client.call(&packed)?.pop().ok_or(StoreError::Reply)?;
            for (number, word) in numbers.iter().zip(reply::list(answer)?) {
                let word = reply::maybe_octets(word)?.and_then(|word| String::from_utf8(word).ok());
                words.insert(*number, word.ok_or_else(|| StoreError::damaged(&key))?);
            }
        }
        Ok(())
    }
}

fn shard_key(store: &Store, shard: u8) -> String {
    store.keys.intel(&format!("ib{shard:02x}"))
}

/// Adds the listings of the subjects that are wanted; `None` if the bucket is damaged.
fn select(
    bucket: &[u8],
    is_wanted: &dyn Fn(&[u8]) -> bool,
    found: &mut FoundListing,
) -> Option<()> {
    let mut rest = bucket;
    while !rest.is_empty() {
        let (key, listings) = read_subject(&mut rest)?;
        if is_wanted(key) {
            found.extend(Listing::read_all(listings)?.into_iter().map(|one| (key.to_vec(), one)));
        }
    }
    Some(())
}

fn sources(answer: redis::Value, key: &str) -> Result<HashMap<u32, IntelSource>, StoreError> {
    let read = |(number, record): (Vec<u8>, Vec<u8>)| {
        let source = super::source::decode(&number, &record);
        source.map(|source| (source.number, source)).ok_or_else(|| StoreError::damaged(key))
    };
    reply::pairs(answer)?.into_iter().map(read).collect()
}

/// Returns an indicator, unless it has ended, or its subject or source cannot be decoded.
fn indicator(
    key: &[u8],
    listing: Listing,
    sources: &HashMap<u32, IntelSource>,
    words: &HashMap<u32, String>,
    now: u32,
) -> Option<Indicator> {
    let source = sources.get(&listing.source)?;
    let last_listed = listing.gone.unwrap_or(source.refreshed).max(listing.first_listed);
    let is_over = listing.gone.is_some_and(|gone| gone.saturating_add(source.lifetime) <= now);
    if is_over || listing.valid_until.is_some_and(|until| until <= now) {
        return None;
    }
    let text = |text: Text| match text {
        Text::None => String::new(),
        Text::Word(word) => words.get(&word).cloned().unwrap_or_default(),
        Text::Inline(text) => text,
    };
    let labels = text(listing.labels);
    Some(Indicator {
        source: source.name.clone(),
        subject: listing::subject(key)?,
        kind: listing.kind,
        confidence: listing.confidence,
        confidence_now: aged(listing.confidence, now.saturating_sub(last_listed), source.half_life),
        first_listed: listing.first_listed,
        last_listed,
        valid_until: listing.valid_until,
        labels: labels
            .split('\u{1f}')
            .filter(|label| !label.is_empty())
            .map(str::to_owned)
            .collect(),
        reference: text(listing.reference_head) + &listing.reference_tail,
        note: text(listing.note),
        tlp: listing.tlp,
        is_conditional: listing.is_conditional,
    })
}

/// Returns a confidence that halves with each `half_life`, rounded.
fn aged(confidence: u8, age: u32, half_life: u32) -> u8 {
    let halvings = f64::from(age) / f64::from(half_life.max(1));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the result is between 0 and the confidence"
    )]
    let now = (f64::from(confidence) * 0.5_f64.powf(halvings)).round() as u8;
    now
}

#[cfg(test)]
mod tests {
    use super::aged;

    #[test]
    fn confidence_halves_with_age() {
        let day = 86_400;
        let ages = [0, 15, 30, 60, 3_000].map(|days| aged(80, days * day, 30 * day));
        assert_eq!(ages, [80, 57, 40, 20, 0]);
    }
}
