//! Scores of new names, the most probable threats first.
//!
//! Every new name is scored by its text, its tags and the lists. The store is read for those that score highest, and
//! for domains with many new names, which may be tunnels.

use super::{AssessError, Assessment, Facts, JUDGE_SOURCE, Scorer, assess};
use crate::analyze::scored_domain;
use crate::name::{Name, NameBuf};
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

/// Maximum number of names of one domain that are ranked: a flood below one must not hide the others.
const MAX_OF_DOMAIN: u32 = 3;

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
    /// Number of further names of domains with more than [`MAX_OF_DOMAIN`] names among those that were read.
    pub crowded_out: u64,
}

/// The new names of one domain.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    names: u32,
    /// Number of names that were offered as candidates.
    offered: u32,
    /// The highest rank among them.
    best: Option<i64>,
}

/// A candidate; the highest score comes first.
type Ranked = (Reverse<i64>, NameBuf);

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
    let mut crowds: HashMap<NameBuf, Crowd> = HashMap::new();
    let mut all = 0;
    let mut domains: BTreeMap<NameBuf, u32> = BTreeMap::new();
    for day in query.since / DAY..=query.now / DAY {
        store.new_on(day, &mut |name, first| {
            if first < query.since {
                return ControlFlow::Continue(());
            }
            let domain = scored_domain(name).to_buf();
            let crowd = if crowds.len() < MAX_DOMAINS || crowds.contains_key(&domain) {
                Some(crowds.entry(domain.clone()).or_default())
            } else {
                None
            };
            if query.by_domain {
                if let Some(crowd) = crowd {
                    crowd.names += 1;
                    let known = domains.entry(domain).or_insert(first);
                    *known = first.min(*known);
                }
                return ControlFlow::Continue(());
            }
            all += 1;
            let rank = quick(scorer, &tags, name, first, query.now);
            let is_offered = crowd.is_none_or(|crowd| {
                crowd.names += 1;
                let is_best = crowd.best.is_none_or(|best| rank > best);
                crowd.best = crowd.best.max(Some(rank));
                let is_offered = is_best || crowd.offered < MAX_OF_DOMAIN;
                crowd.offered += u32::from(is_offered);
                is_offered
            });
            if is_offered {
                best.offer((Reverse(rank), name.to_buf()));
            }
            ControlFlow::Continue(())
        })?;
    }
    for (domain, first) in &domains {
        all += 1;
        let rank = quick(scorer, &tags, domain.as_name(), *first, query.now);
        best.offer((Reverse(rank), domain.clone()));
    }
    let mut crowded: Vec<(Reverse<u32>, NameBuf)> = crowds
        .into_iter()
        .filter(|(_, crowd)| crowd.names >= CROWD)
        .map(|(domain, crowd)| (Reverse(crowd.names), domain))
        .collect();
    crowded.sort_unstable();
    crowded.truncate(MAX_CROWDED);
    let mut due: BTreeSet<NameBuf> = best.into_sorted().into_iter().map(|(_, name)| name).collect();
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
    let mut shown: HashMap<NameBuf, u32> = HashMap::new();
    found.scores.retain(|one| {
        let count = one.domain.clone().map(|domain| shown.entry(domain).or_default());
        let is_kept = count.is_none_or(|count| {
            *count += 1;
            *count <= MAX_OF_DOMAIN
        });
        found.crowded_out += u64::from(!is_kept);
        is_kept
    });
    found.scores.truncate(query.limit);
    Ok(found)
}

/// Ranks a name by its text, its tags and the lists: log-odds in millionths.
fn quick(scorer: &Scorer, tags: &TagSet, name: Name<'_>, first: u32, now: u32) -> i64 {
    let facts = Facts { first: Some(first), ..Facts::new(name) };
    let odds = scorer.assess_facts(&facts, Some(tags), now).ledger.log_odds;
    #[expect(clippy::cast_possible_truncation, reason = "log-odds are below a thousand")]
    let rank = (odds * 1e6) as i64;
    rank
}
