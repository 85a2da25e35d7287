//! One bucket and what an import has for it: which listings are new, changed, the same, or no longer there.

use crate::store::layout::listing::{self, Listing, read_subject, write_subject};
use crate::tag::{TagKind, TagSubject};
use std::collections::BTreeMap;

/// Counts of what an import did. Each indicator of the source is in one of the first five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListingTally {
    /// New.
    pub added: u64,
    /// Known, and says something else now, or is listed again.
    pub changed: u64,
    /// As it was.
    pub same: u64,
    /// No longer listed since this import; ends with its lifetime.
    pub ending: u64,
    /// Ended and removed.
    pub expired: u64,
    /// Indicators that the source lists now.
    pub listed: u64,
    /// Indicators that it no longer lists, and whose lifetime has not ended.
    pub waiting: u64,
    /// Indicators that occurred more than once in the import.
    pub repeated: u64,
}

impl ListingTally {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { added, changed, same, ending, expired, listed, waiting, repeated } = other;
        for (sum, number) in [
            (&mut self.added, added),
            (&mut self.changed, changed),
            (&mut self.same, same),
            (&mut self.ending, ending),
            (&mut self.expired, expired),
            (&mut self.listed, listed),
            (&mut self.waiting, waiting),
            (&mut self.repeated, repeated),
        ] {
            *sum += number;
        }
    }
}

/// Event in the life of an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingAct {
    /// New.
    Added,
    /// Says something else, or is listed again.
    Changed,
    /// No longer listed.
    Ending,
    /// Removed.
    Expired,
}

impl ListingAct {
    const ALL: [Self; 4] = [Self::Added, Self::Changed, Self::Ending, Self::Expired];

    /// The name of the act, for output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Ending => "ending",
            Self::Expired => "expired",
        }
    }
}

/// A change of one indicator by an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingChange {
    /// Time of the import, in seconds since the epoch.
    pub time: u32,
    /// The event.
    pub act: ListingAct,
    /// Subject of the indicator.
    pub subject: TagSubject,
    /// Kind of the indicator.
    pub kind: TagKind,
    /// Confidence as listed.
    pub confidence: u8,
}

impl ListingChange {
    /// Encodes the change: time, act, kind and confidence, with spaces between, then the key of the subject.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { time, act, kind, confidence, .. } = self;
        let mut entry = format!("{time} {} {kind} {confidence} ", act.name()).into_bytes();
        entry.extend(listing::key(&self.subject));
        entry
    }

    pub(super) fn decode(entry: &[u8]) -> Option<Self> {
        let mut parts = entry.splitn(5, |&octet| octet == b' ');
        let mut text = || std::str::from_utf8(parts.next()?).ok();
        let (time, act, kind, confidence) = (text()?, text()?, text()?, text()?);
        Some(Self {
            time: time.parse().ok()?,
            act: ListingAct::ALL.into_iter().find(|known| known.name() == act)?,
            kind: kind.parse().ok()?,
            confidence: confidence.parse().ok()?,
            subject: listing::subject(parts.next()?)?,
        })
    }
}

/// Listings that an import has for one bucket, by the key of their subject; `None` ends one.
pub(super) type Incoming = BTreeMap<Vec<u8>, Option<Listing>>;

/// Rules for replacing the listings of a source.
pub(super) struct Rules {
    /// Number of the source.
    pub(super) source: u32,
    pub(super) now: u32,
    /// Time of the last complete import.
    pub(super) refreshed: u32,
    pub(super) lifetime: u32,
    /// True if the import has all that the source lists.
    pub(super) replaces: bool,
    /// True if nothing of the source is to remain.
    pub(super) withdraws: bool,
}

/// A merged bucket.
#[derive(Default)]
pub(super) struct Merged {
    /// The new octets; `None` if the bucket is as it was. Empty if nothing is left.
    pub(super) octets: Option<Vec<u8>>,
    pub(super) tally: ListingTally,
    pub(super) changes: Vec<ListingChange>,
}

impl Merged {
    fn note(&mut self, rules: &Rules, act: ListingAct, key: &[u8], listing: &Listing) {
        match act {
            ListingAct::Added => self.tally.added += 1,
            ListingAct::Changed => self.tally.changed += 1,
            ListingAct::Ending => self.tally.ending += 1,
            ListingAct::Expired => self.tally.expired += 1,
        }
        if let Some(subject) = listing::subject(key) {
            let (kind, confidence) = (listing.kind, listing.confidence);
            self.changes.push(ListingChange { time: rules.now, act, subject, kind, confidence });
        }
    }
}

/// Merges what an import has into a bucket; `None` if the bucket is damaged.
pub(super) fn merge(bucket: &[u8], incoming: &Incoming, rules: &Rules) -> Option<Merged> {
    let mut merged = Merged::default();
    let mut octets = Vec::with_capacity(bucket.len());
    let mut incoming = incoming.iter().peekable();
    let mut rest = bucket;
    while !rest.is_empty() {
        let (key, listings) = read_subject(&mut rest)?;
        while let Some((new, listing)) = incoming.next_if(|(new, _)| new.as_slice() < key) {
            insert(new, listing.as_ref(), rules, &mut octets, &mut merged);
        }
        let new = incoming.next_if(|(new, _)| new.as_slice() == key).map(|(_, listing)| listing);
        let mut kept = Vec::new();
        let mut is_known = false;
        for old in Listing::read_all(listings)? {
            if old.source != rules.source {
                old.write(&mut kept);
                continue;
            }
            is_known = true;
            if let Some(listing) = replace(key, &old, new, rules, &mut merged) {
                listing.write(&mut kept);
            }
        }
        if let (false, Some(Some(new))) = (is_known, new) {
            merged.note(rules, ListingAct::Added, key, new);
            merged.tally.listed += 1;
            new.write(&mut kept);
        }
        if !kept.is_empty() {
            write_subject(key, &kept, &mut octets);
        }
    }
    for (new, listing) in incoming {
        insert(new, listing.as_ref(), rules, &mut octets, &mut merged);
    }
    merged.octets = (octets != bucket).then_some(octets);
    Some(merged)
}

/// Writes a subject that the bucket does not have.
fn insert(
    key: &[u8],
    listing: Option<&Listing>,
    rules: &Rules,
    octets: &mut Vec<u8>,
    merged: &mut Merged,
) {
    let Some(listing) = listing else { return };
    merged.note(rules, ListingAct::Added, key, listing);
    merged.tally.listed += 1;
    let mut listings = Vec::new();
    listing.write(&mut listings);
    write_subject(key, &listings, octets);
}

/// Decides what becomes of a listing of the source; `new` is what the import has for its subject.
fn replace(
    key: &[u8],
    old: &Listing,
    new: Option<&Option<Listing>>,
    rules: &Rules,
    merged: &mut Merged,
) -> Option<Listing> {
    match new {
        Some(Some(new)) => {
            let first_listed = old.first_listed.min(new.first_listed);
            let listing = Listing { first_listed, ..new.clone() };
            if old.gone.is_none() && old.says_the_same(&listing) {
                merged.tally.same += 1;
            } else {
                merged.note(rules, ListingAct::Changed, key, &listing);
            }
            merged.tally.listed += 1;
            Some(listing)
        }
        Some(None) => {
            merged.note(rules, ListingAct::Expired, key, old);
            None
        }
        None => {
            let has_ended = old.valid_until.is_some_and(|until| until <= rules.now);
            let gone = match old.gone {
                None if rules.replaces => Some(old.first_listed.max(rules.refreshed)),
                gone => gone,
            };
            let is_over = gone.is_some_and(|gone| gone.saturating_add(rules.lifetime) <= rules.now);
            if rules.withdraws || has_ended || is_over {
                merged.note(rules, ListingAct::Expired, key, old);
                return None;
            }
            if old.gone.is_none() && gone.is_some() {
                merged.note(rules, ListingAct::Ending, key, old);
                merged.tally.waiting += 1;
            } else if gone.is_some() {
                merged.tally.waiting += 1;
            } else {
                merged.tally.same += 1;
                merged.tally.listed += 1;
            }
            Some(Listing { gone, ..old.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;
    use crate::store::layout::listing::Text;

    fn listing(source: u32, confidence: u8) -> Listing {
        Listing {
            source,
            kind: TagKind::Threat,
            confidence,
            first_listed: 100,
            gone: None,
            valid_until: None,
            labels: Text::None,
            reference_head: Text::None,
            reference_tail: String::new(),
            note: Text::None,
            tlp: None,
            is_conditional: false,
        }
    }

    fn key(name: &str) -> Vec<u8> {
        listing::key(&TagSubject::Name(NameBuf::parse(name).unwrap()))
    }

    fn incoming(listings: &[(&str, Option<Listing>)]) -> Incoming {
        listings.iter().map(|(name, listing)| (key(name), listing.clone())).collect()
    }

    fn rules(source: u32, now: u32, lifetime: u32) -> Rules {
        Rules { source, now, refreshed: 150, lifetime, replaces: true, withdraws: false }
    }

    #[test]
    fn a_source_replaces_its_own_listings_and_no_others() {
        let first =
            incoming(&[("a.example", Some(listing(1, 50))), ("b.example", Some(listing(1, 50)))]);
        let made = merge(&[], &first, &rules(1, 150, 0)).unwrap();
        assert_eq!((made.tally.added, made.tally.listed), (2, 2));
        let bucket = made.octets.unwrap();
        let other = incoming(&[("b.example", Some(listing(2, 90)))]);
        let bucket = merge(&bucket, &other, &rules(2, 160, 0)).unwrap().octets.unwrap();
        // Listed again with another confidence, one no longer listed, one new.
        let next =
            incoming(&[("a.example", Some(listing(1, 60))), ("c.example", Some(listing(1, 1)))]);
        let made = merge(&bucket, &next, &rules(1, 200, 0)).unwrap();
        let ListingTally { added, changed, same, expired, listed, .. } = made.tally;
        assert_eq!((added, changed, same, expired, listed), (1, 1, 0, 1, 2));
        assert_eq!(made.changes.len(), 3);
        let bucket = made.octets.unwrap();
        let made = merge(&bucket, &next, &rules(1, 300, 0)).unwrap();
        assert_eq!((made.tally.same, made.octets), (2, None));
        // The other source is as it was.
        let mut rest = bucket.as_slice();
        let mut of_b = None;
        while let Some((found, listings)) = read_subject(&mut rest) {
            if found == key("b.example") {
                of_b = Listing::read_all(listings);
            }
        }
        assert_eq!(of_b, Some(vec![listing(2, 90)]));
    }

    #[test]
    fn what_is_no_longer_listed_ends_with_its_lifetime() {
        let first = incoming(&[("a.example", Some(listing(1, 50)))]);
        let bucket = merge(&[], &first, &rules(1, 150, 100)).unwrap().octets.unwrap();
        let made = merge(&bucket, &Incoming::new(), &rules(1, 200, 100)).unwrap();
        assert_eq!((made.tally.ending, made.tally.waiting, made.tally.listed), (1, 1, 0));
        let waiting = made.octets.unwrap();
        let made = merge(&waiting, &Incoming::new(), &rules(1, 249, 100)).unwrap();
        assert_eq!((made.tally.waiting, made.octets), (1, None));
        let made = merge(&waiting, &Incoming::new(), &rules(1, 250, 100)).unwrap();
        assert_eq!((made.tally.expired, made.octets), (1, Some(Vec::new())));
        let made = merge(&waiting, &first, &rules(1, 230, 100)).unwrap();
        assert_eq!((made.tally.changed, made.tally.listed), (1, 1));
    }

    #[test]
    fn changes_read_back() {
        let change = ListingChange {
            time: 7,
            act: ListingAct::Ending,
            subject: TagSubject::Net("32.32.32.0/24".parse().unwrap()),
            kind: TagKind::Interest,
            confidence: 3,
        };
        assert_eq!(ListingChange::decode(&change.encode()), Some(change));
        assert_eq!(ListingChange::decode(b"7 added threat"), None);
    }
}
