//! Look-ups that follow CNAMEs, both ways.
//!
//! Part of `query`. Ahead of a name lies its chain: the targets of its CNAMEs, theirs, and the addresses at the end.
//! Behind a name or an address lie the names whose CNAMEs lead there. Each name is followed once, so that circles
//! end, and each row comes once: the look-up's own first, then what lies ahead, then what lies behind, step by step.

use super::{Answer, Each, Page, Query, What, on_addresses};
use crate::name::{Name, NameBuf};
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Reader, StoreError};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// The most CNAMEs one behind the other that are followed; resolvers give up earlier.
pub const MAX_STEPS: usize = 16;
/// The most names that are followed, some 5 MB of them.
pub const MAX_FOLLOWED: usize = 65_536;

/// What of the trail was not followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// A chain goes on behind [`MAX_STEPS`] CNAMEs.
    pub too_long: bool,
    /// More names lead there than are followed.
    pub too_many: bool,
}

/// Names that were met in one direction, and those of them that are still to be looked at.
#[derive(Default)]
struct Names {
    met: HashSet<NameBuf>,
    due: Vec<NameBuf>,
    too_many: bool,
}

impl Names {
    fn meet(&mut self, name: &NameBuf) {
        if self.met.contains(name) {
            return;
        }
        if self.met.len() >= MAX_FOLLOWED {
            self.too_many = true;
            return;
        }
        self.met.insert(name.clone());
        self.due.push(name.clone());
    }

    /// The names of the next step, in order.
    fn step(&mut self) -> Vec<NameBuf> {
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        due
    }
}

/// The target of a CNAME record.
pub(super) fn alias(row: &StoredRecord) -> Option<NameBuf> {
    match &row.fact {
        FactBuf::Record(rdata) if rdata.rrtype == RrType::CNAME => {
            match rdata.as_rdata().target() {
                Target::Name(name) => Some(name),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_address(row: &StoredRecord) -> bool {
    matches!(&row.fact, FactBuf::Record(rdata) if [RrType::A, RrType::AAAA].contains(&rdata.rrtype))
}

/// Hands the rows that answer a look-up and those on its trail to `each`, until it breaks. Filter, order and limit
/// are of what is shown, not of what is followed. What is no look-up is answered as by [`super::run`].
///
/// # Errors
/// [`StoreError`] when the store cannot be read; rows may have been handed out before.
pub fn follow(
    store: &mut Reader<'_>,
    query: &Query,
    each: &mut Each<'_>,
) -> Result<(Page, Trail), StoreError> {
    let query = &*query.informed(store)?;
    let mut answer = Answer::new(query, each);
    let (mut ahead, mut behind) = (Names::default(), Names::default());
    let start = match &query.what {
        What::Name { name, negative } => {
            let start = name.as_name();
            ahead.meet(name);
            behind.meet(name);
            (ahead.due, behind.due) = (Vec::new(), Vec::new());
            let about = store.lookup_name(start, *negative)?;
            answer.section(|_, take| {
                store.own_records(&about, &mut |row| {
                    if let Some(target) = alias(&row) {
                        ahead.meet(&target);
                    }
                    take(row)
                })
            })?;
            answer.section(|most, take| {
                store.records_targeting(&about, most, &mut |row| {
                    if row.rrname.as_name() == start {
                        return ControlFlow::Continue(());
                    }
                    if alias(&row).is_some() {
                        behind.meet(&row.rrname);
                    }
                    take(row)
                })
            })?;
            if *negative {
                answer.section(|_, take| store.own_negatives(&about, take))?;
            }
            Some(start)
        }
        What::Addresses(from, to) => {
            answer.section(|most, take| {
                on_addresses(store, *from, *to, most, &mut |row| {
                    if is_address(&row) {
                        behind.meet(&row.rrname);
                    }
                    take(row)
                })
            })?;
            None
        }
        _ => return super::run(store, query, each).map(|page| (page, Trail::default())),
    };
    let mut trail = Trail::default();
    trail.too_long |= go_ahead(store, &mut answer, &mut ahead, start)?;
    trail.too_long |= go_back(store, &mut answer, &mut behind, &ahead.met)?;
    trail.too_many = ahead.too_many || behind.too_many;
    Ok((answer.page, trail))
}

/// The rows of the chain; whether it goes on.
fn go_ahead(
    store: &mut Reader<'_>,
    answer: &mut Answer<'_, '_, '_>,
    ahead: &mut Names,
    start: Option<Name<'_>>,
) -> Result<bool, StoreError> {
    for _ in 0..MAX_STEPS {
        let names = ahead.step();
        if names.is_empty() || answer.over {
            return Ok(false);
        }
        answer.section(|_, take| {
            store.records_by_names(&names, &mut |row| {
                let target = alias(&row);
                if let Some(target) = &target {
                    ahead.meet(target);
                }
                // What points at the start was shown with it.
                let leads_back = target.is_some() && target.as_ref().map(NameBuf::as_name) == start;
                if (target.is_some() || is_address(&row)) && !leads_back {
                    take(row)
                } else {
                    ControlFlow::Continue(())
                }
            })
        })?;
    }
    Ok(!ahead.due.is_empty())
}

/// The CNAMEs that lead to names; whether there are more behind them. Those of names in `shown` were shown.
fn go_back(
    store: &mut Reader<'_>,
    answer: &mut Answer<'_, '_, '_>,
    behind: &mut Names,
    shown: &HashSet<NameBuf>,
) -> Result<bool, StoreError> {
    for _ in 0..MAX_STEPS {
        let names = behind.step();
        if names.is_empty() || answer.over {
            return Ok(false);
        }
        answer.section(|most, take| {
            let mut flow = ControlFlow::Continue(());
            for name in &names {
                store.records_targeting_name(name.as_name(), most, &mut |row| {
                    if alias(&row).is_none() {
                        return ControlFlow::Continue(());
                    }
                    // In a circle a name lies both ways: it is followed both ways, and shown once.
                    behind.meet(&row.rrname);
                    if shown.contains(&row.rrname) {
                        return ControlFlow::Continue(());
                    }
                    flow = take(row);
                    flow
                })?;
                if flow.is_break() {
                    break;
                }
            }
            Ok(())
        })?;
    }
    Ok(!behind.due.is_empty())
}
