//! Scores of new names, the most probable threats first.
//!
//! Every new name is scored by its text, its tags and the lists. The store is read for those that score highest, and
//! for domains with many new names, which may be tunnels.

use super::{AssessError, Assessment, JUDGE_SOURCE, Scorer, assess};
use crate::analyze::scored_domain;
use crate::name::NameBuf;
use crate::query::order::TopN;
use crate::query::{DAY, Subject, TagSet};
use crate::store::Reader;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

/// Maximum number of names for which the store is read.
const MAX_READ: usize = 1_000;
/// Maximum number of domains for which it is read because many of their names are new.
const MAX_CROWDED: usize = 50;
/// Number of new names from which on a domain has many.
const CROWD: u32 = 20;
/// Maximum number of domains whose new names are counted, and of domains that are kept once each.
const MAX_DOMAINS: usize = 1_000_000;

/// New names to score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewScores {
    /// First sighting at or after this time, in seconds since 1970.
    pub since: u32,
    /// One score for each registrable domain that is new, instead of one for each name.
    pub by_domain: bool,
    /// Maximum number of scores to return.
    pub limit: usize,
    /// The time of the scores, in seconds since 1970.
    pub now: u32,
}

/// Scores of new names.
#[derive(Debug, Default)]
pub struct ScoredNew {
    /// The highest scores, the highest first.
    pub scores: Vec<Assessment>,
    /// Number of names, or domains, that are new.
    pub new: u64,
    /// Number of those for which the store was read; the others were scored by text, tags and lists alone.
    pub read: u64,
}

/// A candidate; the highest score comes first.
type Ranked = (Reverse<i64>, NameBuf, u32);

/// Scores the names that are new since a time.
///
/// # Errors
/// [`AssessError`] when the store cannot be read.
pub fn score_new(
    store: &mut Reader<'_>,
    scorer: &Scorer,
    query: &NewScores,
) -> Result<ScoredNew, AssessError> {
    let tags = TagSet::load(store)?.without_source(JUDGE_SOURCE);
    let keep = query.limit.clamp(1, MAX_READ);
    let mut best: TopN<Ranked> = TopN::new(MAX_READ.max(keep));
    let mut crowds: HashMap<NameBuf, u32> = HashMap::new();
    let mut all = 0;
    let mut quick = |name: &NameBuf, first: u32| {
        let facts = super::Facts { first: Some(first), ..super::Facts::new(name.as_name()) };
        let odds = scorer.assess_facts(&facts, Some(&tags), query.now).ledger.log_odds;
        #[expect(clippy::cast_possible_truncation, reason = "log-odds are below a hundred")]
        let rank = (odds * 1e6) as i64;
        best.offer((Reverse(rank), name.clone(), first));
    };
    let mut domains: BTreeMap<NameBuf, u32> = BTreeMap::new();
    for day in query.since / DAY..=query.now / DAY {
        store.new_on(day, &mut |name, first| {
            if first < query.since {
                return ControlFlow::Continue(());
            }
            let domain = scored_domain(name).to_buf();
            if let Some(count) = crowds.get_mut(&domain) {
                *count += 1;
            } else if crowds.len() < MAX_DOMAINS {
                crowds.insert(domain.clone(), 1);
            }
            if query.by_domain {
                if domains.len() < MAX_DOMAINS || domains.contains_key(&domain) {
                    let known = domains.entry(domain).or_insert(first);
                    *known = first.min(*known);
                }
            } else {
                all += 1;
                quick(&name.to_buf(), first);
            }
            ControlFlow::Continue(())
        })?;
    }
    for (domain, first) in &domains {
        all += 1;
        quick(domain, *first);
    }
    let mut crowded: Vec<(Reverse<u32>, NameBuf)> = crowds
        .into_iter()
        .filter(|(_, count)| *count >= CROWD)
        .map(|(domain, count)| (Reverse(count), domain))
        .collect();
    crowded.sort_unstable();
    crowded.truncate(MAX_CROWDED);
    let mut due: BTreeSet<NameBuf> =
        best.into_sorted().into_iter().map(|(_, name, _)| name).collect();
    due.extend(crowded.into_iter().map(|(_, domain)| domain));
    let mut found = ScoredNew { new: all, ..ScoredNew::default() };
    for name in due {
        let assessed = assess(store, scorer, &Subject::Name(name), query.now)?;
        // A domain with many new names may be old itself.
        found.read += 1;
        found.scores.push(assessed);
    }
    if query.by_domain {
        let is_new = |one: &Assessment| one.first.is_none_or(|first| first >= query.since);
        let is_tunnel = |one: &Assessment| {
            let tunnel = one.ledger.entry(crate::analyze::EvidenceKind::Tunnel);
            tunnel.is_some_and(|entry| entry.contribution > 0.0)
        };
        found.scores.retain(|one| is_new(one) || is_tunnel(one));
    }
    found.scores.sort_by(|one, other| {
        let odds = other.ledger.log_odds.total_cmp(&one.ledger.log_odds);
        odds.then_with(|| one.subject.to_string().cmp(&other.subject.to_string()))
    });
    found.scores.truncate(query.limit);
    Ok(found)
}
