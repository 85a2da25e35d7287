//! Names in the store that imitate a domain: `pdns squats`.
//!
//! Part of `query`. All names are read and pass a filter ([`Screen`]); the few that are left are compared with the domain.
//! Names below a registrable domain that is an imitation itself count as one, with the domain's name.

use super::owner::Owner;
use super::{ScoreLists, left};
use crate::analyze::{MIMIC_LIMIT, Mimic, MimicIndex, MimicKind, Screen, scored_domain};
use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use crate::record::{FactBuf, StoredRecord};
use crate::store::{Kind, Reader, StoreError};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Number of names whose rows are read at once.
const AT_ONCE: usize = 4_096;

/// A search for imitations.
#[derive(Clone, Copy, Debug)]
pub struct SquatQuery<'q> {
    /// The imitated name; its registrable domain counts.
    pub domain: Name<'q>,
    /// Kinds of imitation; all if there are none.
    pub kinds: &'q [MimicKind],
    /// Imitations that belong to the owner of the domain, too.
    pub with_own: bool,
    /// Most imitations; 0 for all.
    pub limit: usize,
}

/// An imitation that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSquat {
    /// The registrable domain, or the name if only that is an imitation.
    pub name: NameBuf,
    /// Way of imitation.
    pub kind: MimicKind,
    /// Likeness from [`MIMIC_LIMIT`] to 100.
    pub score: u8,
    /// Number of names that were seen: the name and those below it.
    pub names: u64,
    /// Sum of the counts of their records, or of their negative answers if there are no records.
    pub count: u64,
    /// Earliest first sighting among them, in seconds since 1970.
    pub time_first: u32,
    /// Latest sighting among them.
    pub time_last: u32,
    /// True if the store has records, false if it has negative answers only.
    pub resolves: bool,
    /// True if it belongs to the owner of the imitated domain by what both use.
    pub is_own: bool,
}

/// Imitations of a domain: the likeliest first, among those the one seen first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenSquats {
    /// The imitations.
    pub squats: Vec<SeenSquat>,
    /// Imitations before the limit that were left out because they belong to the owner of the domain.
    pub own: u64,
    /// True if the limit left some out.
    pub cut: bool,
}

/// Rows of the names of one imitation.
#[derive(Default)]
struct SquatRows {
    names: u64,
    last_name: Option<NameBuf>,
    records: Option<Seen>,
    negatives: Option<Seen>,
}

impl SquatRows {
    /// Adds a row; the rows of a name come one after the other.
    fn add(&mut self, row: &StoredRecord) {
        if self.last_name.as_ref() != Some(&row.rrname) {
            self.names += 1;
            self.last_name = Some(row.rrname.clone());
        }
        let sum = match row.fact {
            FactBuf::Record(_) => &mut self.records,
            FactBuf::Negative { .. } => &mut self.negatives,
        };
        match sum {
            Some(sum) => {
                sum.count = sum.count.saturating_add(row.seen.count);
                sum.time_first = sum.time_first.min(row.seen.time_first);
                sum.time_last = sum.time_last.max(row.seen.time_last);
            }
            None => *sum = Some(row.seen),
        }
    }
}

/// Finds the names that imitate a domain. Exact for what the store has when the names are read, apart from likenesses below
/// [`MIMIC_LIMIT`].
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn seen_squats(
    store: &mut Reader<'_>,
    lists: &ScoreLists,
    query: &SquatQuery<'_>,
) -> Result<SeenSquats, StoreError> {
    let Some(screen) = Screen::new(query.domain) else { return Ok(SeenSquats::default()) };
    let index = MimicIndex::new(&[query.domain.to_buf()]);
    let groups = group(&index, &names(store, &screen)?, query.kinds);
    let mut squats = read(store, groups)?;
    squats.sort_by(|a, b| {
        let key = |one: &SeenSquat| (Reverse(one.resolves), Reverse(one.score), one.time_first);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    let owner = Owner::read(store, scored_domain(query.domain))?;
    let mut found = SeenSquats::default();
    for mut squat in squats {
        if left(query.limit, found.squats.len() as u64).is_none() {
            found.cut = true;
            break;
        }
        let domain = scored_domain(squat.name.as_name()).to_buf();
        let (name, domain) = (squat.name.as_name(), domain.as_name());
        squat.is_own = squat.resolves && owner.owns(store, lists, name, domain)?;
        if squat.is_own && !query.with_own {
            found.own += 1;
        } else {
            found.squats.push(squat);
        }
    }
    Ok(found)
}

/// Returns the names that pass the filter, in text order, each once.
fn names(store: &mut Reader<'_>, screen: &Screen) -> Result<Vec<NameBuf>, StoreError> {
    let mut names = Vec::new();
    store.names_of(&[Kind::Record, Kind::Negative], None, &mut |block| {
        screen.search(block, &mut |line| {
            let text = std::str::from_utf8(line).ok();
            names.extend(text.and_then(|text| Name::from_canonical(text).ok()).map(Name::to_buf));
        });
        ControlFlow::Continue(())
    })?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Kind and likeness of each imitation, with its names.
type Groups = BTreeMap<NameBuf, (MimicKind, u8, Vec<NameBuf>)>;

/// Compares names with the domain.
fn group(index: &MimicIndex, names: &[NameBuf], kinds: &[MimicKind]) -> Groups {
    let likeness = |name: Name<'_>| {
        let found = index.find(name);
        let alike = found.first().filter(|mimic| mimic.score >= MIMIC_LIMIT);
        alike.map(|&Mimic { kind, score, .. }| (kind, score))
    };
    let mut groups = Groups::new();
    let mut domains: BTreeMap<NameBuf, Option<(MimicKind, u8)>> = BTreeMap::new();
    for name in names {
        let domain = scored_domain(name.as_name());
        let of_domain = match domains.get(&domain.to_buf()) {
            Some(known) => *known,
            None => *domains.entry(domain.to_buf()).or_insert(likeness(domain)),
        };
        let (key, found) = match of_domain {
            Some(_) => (domain, of_domain),
            None => (name.as_name(), likeness(name.as_name())),
        };
        let Some((kind, score)) = found else { continue };
        if kinds.is_empty() || kinds.contains(&kind) {
            let group = groups.entry(key.to_buf()).or_insert_with(|| (kind, score, Vec::new()));
            group.2.push(name.clone());
        }
    }
    groups
}

/// Reads the rows of the names.
fn read(store: &mut Reader<'_>, groups: Groups) -> Result<Vec<SeenSquat>, StoreError> {
    let mut squats: Vec<(SeenSquat, SquatRows)> = Vec::with_capacity(groups.len());
    let mut due: Vec<(NameBuf, usize)> = Vec::new();
    for (place, (name, (kind, score, names))) in groups.into_iter().enumerate() {
        due.extend(names.into_iter().map(|name| (name, place)));
        let squat = SeenSquat {
            name,
            kind,
            score,
            names: 0,
            count: 0,
            time_first: 0,
            time_last: 0,
            resolves: false,
            is_own: false,
        };
        squats.push((squat, SquatRows::default()));
    }
    for due in due.chunks(AT_ONCE) {
        let (names, places): (Vec<NameBuf>, Vec<usize>) = due.iter().cloned().unzip();
        let mut at = 0;
        store.rows_by_names(&[Kind::Record, Kind::Negative], &names, &mut |row| {
            // Rows come in the order of the names.
            while names.get(at).is_some_and(|name| *name != row.rrname) {
                at += 1;
            }
            if let Some((_, rows)) = places.get(at).and_then(|place| squats.get_mut(*place)) {
                rows.add(&row);
            }
            ControlFlow::Continue(())
        })?;
    }
    let complete = |(mut squat, rows): (SeenSquat, SquatRows)| {
        let seen = rows.records.or(rows.negatives)?;
        squat.resolves = rows.records.is_some();
        squat.names = rows.names;
        (squat.count, squat.time_first, squat.time_last) =
            (seen.count, seen.time_first, seen.time_last);
        Some(squat)
    };
    Ok(squats.into_iter().filter_map(complete).collect())
}
