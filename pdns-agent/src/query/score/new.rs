//! Scores of new names, the most probable threats first.
//!
//! Every new name is scored by its text, its tags and the lists. The store is read for those that score highest, and
//! for domains with many new names, which may be tunnels. A flood of one kind, such as names that a program generated, must
//! not hide what is of another: each kind of evidence has its share of what is read and of what is shown.

use super::{AssessError, Assessment, Facts, Scorer, assess};
use crate::analyze::{EvidenceKind, Ledger, WATCH, scored_domain};
use crate::indicator::JUDGE_SOURCE;
use crate::name::{Name, NameBuf};
use crate::query::order::TopN;
use crate::query::{By, DAY, Filter, GroupKey, GroupSort, Grouping, Subject, TagSet, groups};
use crate::store::{Kind, Reader};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

/// Maximum number of names for which the store is read.
const MAX_READ: usize = 1_000;
/// Maximum number of domains for which it is read because many of their names are new.
const MAX_CROWDED: usize = 50;
/// Number of new names from which on a domain has many.
const CROWD: u64 = 20;
/// Maximum number of domains whose new names are counted.
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
    /// Number of further names of domains with many names among those that were read.
    pub crowded_out: u64,
}

/// The new names of one domain.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    names: u64,
    /// Number of names that were offered as candidates.
    offered: u32,
    /// The highest rank among them.
    best: Option<i64>,
}

impl Crowd {
    /// Counts a name, and returns true if it is to be a candidate: among the first of its domain, or better than those.
    fn admits(&mut self, rank: i64) -> bool {
        self.names += 1;
        let is_best = self.best.is_none_or(|best| rank > best);
        self.best = self.best.max(Some(rank));
        let admits = is_best || self.offered < MAX_OF_DOMAIN;
        self.offered += u32::from(admits);
        admits
    }
}

/// A candidate; the highest score comes first.
type Ranked = (Reverse<i64>, NameBuf);

/// Number of kinds of leading evidence.
const LEADS: usize = 4;

/// Returns the kind of evidence that speaks most against a subject: tags and feeds, imitation, generated text, or others.
fn lead(ledger: &Ledger) -> usize {
    let mut sums = [0.0; LEADS];
    for entry in &ledger.entries {
        let place = match entry.evidence.kind {
            EvidenceKind::TagThreat
            | EvidenceKind::TagInterest
            | EvidenceKind::FeedThreat
            | EvidenceKind::SharedIp
            | EvidenceKind::NearestThreat
            | EvidenceKind::LeadsToThreat => 0,
            EvidenceKind::Squat => 1,
            EvidenceKind::Dga | EvidenceKind::DgaSet => 2,
            _ => LEADS - 1,
        };
        if let Some(sum) = sums.get_mut(place) {
            *sum += entry.contribution.max(0.0);
        }
    }
    let most = sums.iter().enumerate().rev().max_by(|(_, one), (_, other)| one.total_cmp(other));
    most.map_or(LEADS - 1, |(place, _)| place)
}

/// Divides room among kinds of which so many want a place: equally, and what one does not need goes to the others.
fn shares(wanted: [usize; LEADS], room: usize) -> [usize; LEADS] {
    let (mut shares, mut left) = ([0; LEADS], room);
    loop {
        let hungry = wanted.iter().zip(&shares).filter(|(wanted, share)| wanted > share).count();
        if hungry == 0 || left == 0 {
            return shares;
        }
        let each = (left / hungry).max(1);
        for (share, wanted) in shares.iter_mut().zip(wanted) {
            let more = each.min(wanted - *share).min(left);
            *share += more;
            left -= more;
        }
    }
}

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
    let mut best: [TopN<Ranked>; LEADS] = std::array::from_fn(|_| TopN::new(MAX_READ));
    let mut offer = |(lead, rank): (usize, i64), name: NameBuf| {
        if let Some(best) = best.get_mut(lead) {
            best.offer((Reverse(rank), name));
        }
    };
    let mut found = ScoredNew::default();
    let mut crowded: Vec<(Reverse<u64>, NameBuf)> = Vec::new();
    if query.by_domain {
        let grouping = Grouping {
            by: By::Domains,
            kind: Kind::Record,
            filter: Filter::default(),
            first_on: None,
        };
        // The latest first: the others are not new.
        groups(store, &grouping, GroupSort::First, 0, &mut |group| {
            let GroupKey::Name(domain) = &group.key else { return ControlFlow::Continue(()) };
            if group.time_first < query.since {
                return ControlFlow::Break(());
            }
            found.new += 1;
            let ranked = quick(scorer, &tags, domain.as_name(), group.time_first, query.now);
            offer(ranked, domain.clone());
            if group.names >= CROWD {
                crowded.push((Reverse(group.names), domain.clone()));
            }
            ControlFlow::Continue(())
        })?;
    } else {
        let mut crowds: HashMap<NameBuf, Crowd> = HashMap::new();
        for day in query.since / DAY..=query.now / DAY {
            store.new_on(day, &mut |name, first| {
                if first < query.since {
                    return ControlFlow::Continue(());
                }
                found.new += 1;
                let ranked = quick(scorer, &tags, name, first, query.now);
                let domain = scored_domain(name).to_buf();
                let is_counted = crowds.len() < MAX_DOMAINS || crowds.contains_key(&domain);
                if !is_counted || crowds.entry(domain).or_default().admits(ranked.1) {
                    offer(ranked, name.to_buf());
                }
                ControlFlow::Continue(())
            })?;
        }
        crowded = crowds
            .into_iter()
            .filter(|(_, crowd)| crowd.names >= CROWD)
            .map(|(domain, crowd)| (Reverse(crowd.names), domain))
            .collect();
    }
    crowded.sort_unstable();
    crowded.truncate(MAX_CROWDED);
    let best = best.map(TopN::into_sorted);
    let room = shares(std::array::from_fn(|lead| best.get(lead).map_or(0, Vec::len)), MAX_READ);
    let chosen = best.into_iter().zip(room).flat_map(|(best, room)| best.into_iter().take(room));
    let mut due: BTreeSet<NameBuf> = chosen.map(|(_, name)| name).collect();
    due.extend(crowded.into_iter().map(|(_, domain)| domain));
    for name in due {
        let assessed = assess(store, scorer, &Subject::Name(name), query.now)?;
        found.read += 1;
        found.scores.push(assessed);
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
    found.scores = cut(std::mem::take(&mut found.scores), query.limit);
    Ok(found)
}

/// Cuts sorted scores to a limit: what is tagged or listed comes first, each other kind of evidence keeps its share of those worth watching, and what room is left goes to
/// the others in order.
fn cut(scores: Vec<Assessment>, limit: usize) -> Vec<Assessment> {
    if scores.len() <= limit {
        return scores;
    }
    let mut wanted = [0; LEADS];
    let leads: Vec<Option<usize>> = scores
        .iter()
        .map(|one| (one.ledger.score >= WATCH).then(|| lead(&one.ledger)))
        .inspect(|lead| {
            if let Some(wanted) = lead.and_then(|lead| wanted.get_mut(lead)) {
                *wanted += 1;
            }
        })
        .collect();
    // What analysts and feeds name is never held back.
    let named = std::mem::take(&mut wanted[0]).min(limit);
    let mut room = shares(wanted, limit - named);
    room[0] = named;
    let mut rest = limit - room.iter().sum::<usize>();
    let is_kept = |lead: &Option<usize>| {
        let room = match lead {
            Some(lead) => room.get_mut(*lead),
            None => Some(&mut rest),
        };
        let Some(room) = room.filter(|room| **room > 0) else { return false };
        *room -= 1;
        true
    };
    let kept: Vec<bool> = leads.iter().map(is_kept).collect();
    scores.into_iter().zip(kept).filter_map(|(one, is_kept)| is_kept.then_some(one)).collect()
}

/// Ranks a name by its text, its tags and the lists: kind of evidence, and log-odds in millionths.
fn quick(scorer: &Scorer, tags: &TagSet, name: Name<'_>, first: u32, now: u32) -> (usize, i64) {
    let facts = Facts { first: Some(first), ..Facts::new(name) };
    let ledger = scorer.assess_facts(&facts, Some(tags), now).ledger;
    #[expect(clippy::cast_possible_truncation, reason = "log-odds are below a thousand")]
    let rank = (ledger.log_odds * 1e6) as i64;
    (lead(&ledger), rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_one_kind_does_not_need_goes_to_the_others() {
        assert_eq!(shares([0, 1, 10_000, 0], 1_000), [0, 1, 999, 0]);
        assert_eq!(shares([2, 50, 50, 50], 20), [2, 6, 6, 6]);
        assert_eq!(shares([9, 9, 9, 9], 2), [1, 1, 0, 0]);
        assert_eq!(shares([1, 1, 1, 1], 20), [1, 1, 1, 1]);
        assert_eq!(shares([5, 5, 5, 5], 0), [0, 0, 0, 0]);
    }
}
