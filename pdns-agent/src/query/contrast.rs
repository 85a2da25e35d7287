//! What is untagged and yet close to a threat: `pdns contrast`.
//!
//! Part of `query`. A threat has *values* that it may share with others: its addresses, the /24 or /48 around
//! them, its name servers, its CNAME targets, its registrable domain. All that share a value are tied by it. A
//! tie says the more the fewer names share the value: its score is 1 over their number, those of threats
//! included. A value that more than [`MAX_SHARED`] names share is a hosting service or a resolver's
//! answer to everything; it is counted and not followed.
//!
//! First the values are collected (`contrast/values.rs`), then each is followed (`contrast/sharers.rs`). Both
//! are bounded, and the answer does not depend on the order in which the store hands anything out.

mod sharers;
mod values;

use super::order::{MAX_SORTED, Smallest};
use super::tags::TagSet;
use crate::store::{Store, StoreError, Tag, TagKind, TagSubject};
use std::collections::BTreeSet;
use std::str::FromStr;
use values::Values;

/// The most names that may share a value for it to be followed.
pub const MAX_SHARED: usize = 1_000;

/// What a tie is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TieKind {
    /// An address.
    Address,
    /// A prefix: the /24 or /48 around an address of a threat, or a prefix that is tagged.
    Prefix,
    /// A name server.
    Nameserver,
    /// The target of a CNAME record, which may be the threat itself.
    Cname,
    /// A registrable domain.
    Domain,
}

impl TieKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Address, Self::Prefix, Self::Nameserver, Self::Cname, Self::Domain];

    /// Its name, as it is typed and shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Nameserver => "nameserver",
            Self::Cname => "cname",
            Self::Domain => "domain",
        }
    }
}

/// Text that names no tie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no tie: give address, prefix, nameserver, cname or domain")]
pub struct UnknownTie(String);

impl FromStr for TieKind {
    type Err = UnknownTie;

    fn from_str(text: &str) -> Result<Self, UnknownTie> {
        let known = Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownTie(text.to_owned()))
    }
}

/// Something untagged that shares a value with a threat. Ordered as an answer is: the most specific tie
/// first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tie {
    /// How many names share the value, at least 1.
    pub shared: u64,
    /// The untagged name or address.
    pub subject: TagSubject,
    /// What the tie is over.
    pub kind: TieKind,
    /// The value.
    pub over: TagSubject,
    /// The threat that has it; the first in order when there are several.
    pub threat: TagSubject,
    /// How many threats have it.
    pub threats: u64,
}

impl Tie {
    /// How specific the tie is: 1 over the number of names that share the value.
    #[must_use]
    pub fn score(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_SHARED")]
        let shared = self.shared.max(1) as f64;
        1.0 / shared
    }
}

/// The answer, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contrast {
    /// The ties.
    pub ties: Vec<Tie>,
    /// Whether the limit left any out.
    pub cut: bool,
    /// Values that more than [`MAX_SHARED`] names share.
    pub common: u64,
    /// Whether there were more threats or values than are looked at.
    pub partial: bool,
}

/// Whose neighbours are looked for.
enum Of<'a> {
    /// Those of all threats.
    Threats,
    /// Those of one subject, tagged or not.
    One(&'a TagSubject),
}

/// The question, with what tells threat from neighbour.
struct Asked<'a> {
    tags: &'a TagSet,
    of: Of<'a>,
}

impl<'a> Asked<'a> {
    /// The subjects that are asked about.
    fn subjects(&self) -> Vec<&'a TagSubject> {
        match self.of {
            Of::One(subject) => vec![subject],
            Of::Threats => {
                let threats = self.tags.tags().iter().filter(|tag| tag.kind == TagKind::Threat);
                threats.map(|tag| &tag.subject).collect()
            }
        }
    }

    /// The threat that something is part of: the nearest one, unless trust lies nearer.
    fn threat(&self, subject: &TagSubject, tags: &[&'a Tag]) -> Option<&'a TagSubject> {
        match self.of {
            Of::One(one) => subject.is_within(one).then_some(one),
            Of::Threats => tags
                .iter()
                .find(|tag| tag.kind != TagKind::Interest)
                .filter(|tag| tag.kind == TagKind::Threat)
                .map(|tag| &tag.subject),
        }
    }

    /// Whether something may be a neighbour: it is untagged, and not what is asked about.
    fn is_candidate(&self, subject: &TagSubject) -> bool {
        let tags = match subject {
            TagSubject::Name(name) => self.tags.of_name(name.as_name()),
            other => self.tags.of_subject(other),
        };
        tags.is_empty() && self.threat(subject, &[]).is_none()
    }
}

/// Ties on their way into the answer.
struct Answer {
    nearest: Smallest<Tie>,
    common: u64,
}

/// One value that threats have, with those threats.
struct Value<'v> {
    kind: TieKind,
    over: &'v TagSubject,
    threats: &'v BTreeSet<&'v TagSubject>,
}

impl Answer {
    /// Adds a tie, if it is among the best.
    fn offer(&mut self, subject: TagSubject, value: &Value<'_>, shared: usize) {
        let Some(&threat) = value.threats.first() else { return };
        let tie = Tie {
            shared: shared.max(1) as u64,
            subject,
            kind: value.kind,
            over: value.over.clone(),
            threat: threat.clone(),
            threats: value.threats.len() as u64,
        };
        match self.nearest.worst() {
            Some(worst) if *worst < tie => self.nearest.refuse(),
            _ => self.nearest.offer(tie),
        }
    }
}

/// The untagged neighbours of one subject, or of all threats; over values of one kind, or of all. At most
/// `limit` ties; 0 or more than [`MAX_SORTED`] stand for that many.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn contrast(
    store: &mut Store,
    tags: &TagSet,
    of: Option<&TagSubject>,
    kind: Option<TieKind>,
    limit: usize,
) -> Result<Contrast, StoreError> {
    let asked = Asked { tags, of: of.map_or(Of::Threats, Of::One) };
    let values = Values::collect(store, &asked)?;
    let keep = if limit == 0 { MAX_SORTED } else { limit.min(MAX_SORTED) };
    let mut answer = Answer { nearest: Smallest::new(keep), common: 0 };
    sharers::follow(store, &asked, &values, kind, &mut answer)?;
    Ok(Contrast {
        cut: answer.nearest.overflowed(),
        ties: answer.nearest.into_sorted(),
        common: answer.common,
        partial: values.partial,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_that_few_share_comes_first() {
        let name = |text: &str| TagSubject::Name(crate::name::NameBuf::parse(text).unwrap());
        let (over, threat) = (name("ns.example"), name("evil.example"));
        let threats = BTreeSet::from([&threat]);
        let value = Value { kind: TieKind::Nameserver, over: &over, threats: &threats };
        let mut answer = Answer { nearest: Smallest::new(2), common: 0 };
        for (text, shared) in [("b.example", 4), ("a.example", 9), ("c.example", 2)] {
            answer.offer(name(text), &value, shared);
        }
        assert!(answer.nearest.overflowed());
        let ties = answer.nearest.into_sorted();
        let shown: Vec<_> = ties.iter().map(|tie| (tie.subject.to_string(), tie.score())).collect();
        assert_eq!(shown, [("c.example".to_owned(), 0.5), ("b.example".to_owned(), 0.25)]);
    }

    #[test]
    fn kinds_have_names() {
        for kind in TieKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("colour".parse::<TieKind>().is_err());
    }
}
