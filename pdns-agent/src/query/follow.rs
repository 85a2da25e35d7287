//! Look-ups that follow CNAMEs in both directions.
//!
//! Part of `query`. Forward, a name leads to its chain: the targets of its CNAMEs, their targets, and the
//! addresses at the end. Backward, a name or an address leads to the names whose CNAMEs point there. Each name
//! is followed once, so that loops end, and each row is returned once: first the look-up itself, then the
//! forward chain, then the names behind it, step by step.

use super::{Each, Page, Query, SectionedAnswer, What, on_addresses};
use crate::name::{Name, NameBuf};
use crate::rdata::Target;
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::store::{Reader, StoreError};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Maximum length of a CNAME chain that is followed; resolvers give up earlier.
pub const MAX_STEPS: usize = 16;
/// Maximum number of names that are followed, about 5 MB of them.
pub const MAX_FOLLOWED: usize = 65_536;

/// Parts of a trail that were not followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// A chain continues after [`MAX_STEPS`] CNAMEs.
    pub too_long: bool,
    /// More names lead there than are followed.
    pub too_many: bool,
}

/// Names met in one direction, and those among them that are still to be followed.
#[derive(Default)]
struct Frontier {
    met: HashSet<NameBuf>,
    due: Vec<NameBuf>,
    too_many: bool,
}

impl Frontier {
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

    /// Takes the names of the next step, in order.
    fn step(&mut self) -> Vec<NameBuf> {
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        due
    }
}

/// Returns the target of a CNAME record.
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

/// Passes the rows that answer a look-up and those on its trail to `each`, until it breaks. Filter, sort order
/// and limit apply to the rows returned, not to the names followed. Other queries are answered by
/// [`super::run`].
///
/// # Errors
/// [`StoreError`] when the store cannot be read; rows may have been returned before.
pub fn follow(
    store: &mut Reader<'_>,
    query: &Query,
    each: &mut Each<'_>,
) -> Result<(Page, Trail), StoreError> {
    let query = &*query.with_tags(store)?;
    let mut answer = SectionedAnswer::new(query, each);
    let (mut ahead, mut behind) = (Frontier::default(), Frontier::default());
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

/// Reads the rows of the forward chain; returns true if the chain continues.
fn go_ahead(
    store: &mut Reader<'_>,
    answer: &mut SectionedAnswer<'_, '_, '_>,
    ahead: &mut Frontier,
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
                // Records that point at the start were returned with it.
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

/// Reads the CNAMEs that lead to names; returns true if more lie behind them. Those owned by names in `shown`
/// were returned before.
fn go_back(
    store: &mut Reader<'_>,
    answer: &mut SectionedAnswer<'_, '_, '_>,
    behind: &mut Frontier,
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
                    // In a loop a name lies in both directions: it is followed in both, and returned once.
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
