//! Queries of a log whose answers may follow, with their RD flags.
//!
//! Under `suricata`. Not all resolvers copy RD from the query to the response. Both events contain the flow
//! number and the message id; the query's flags are only logged in version 3.

use super::event::{Dns, Event, Text};
use super::{Flags, RD};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

/// Number of remembered queries; the oldest are dropped first. Most are answered within a few lines.
const MOST: usize = 4096;

/// Queries by a hash of flow, id and question.
#[derive(Default)]
pub(super) struct Queries {
    wants_recursion: HashMap<u64, bool>,
    order: VecDeque<u64>,
    /// Keyed, because a client could otherwise construct questions that collide.
    hasher: RandomState,
}

impl Queries {
    /// Remembers a query if its flags are logged. If it is repeated, all repetitions must request recursion.
    pub(super) fn note(&mut self, event: &Event<'_>, query: &Dns<'_>) {
        let (Some(key), Ok(flags)) = (self.key(event, query), Flags::read(query.flags.as_ref()))
        else {
            return;
        };
        match self.wants_recursion.entry(key) {
            Entry::Occupied(mut entry) => *entry.get_mut() &= flags.has(RD),
            Entry::Vacant(entry) => {
                entry.insert(flags.has(RD));
                self.order.push_back(key);
            }
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.wants_recursion.remove(&oldest);
        }
    }

    /// Returns whether the query of an answer requested recursion, if that is known.
    pub(super) fn wants_recursion(&self, event: &Event<'_>, answer: &Dns<'_>) -> Option<bool> {
        if self.order.is_empty() {
            return None;
        }
        self.wants_recursion.get(&self.key(event, answer)?).copied()
    }

    /// Hash of flow, id and question; the name is compared case-insensitively (RFC 4343).
    fn key(&self, event: &Event<'_>, dns: &Dns<'_>) -> Option<u64> {
        let (rrname, rrtype) = match dns.queries.0.as_slice() {
            [] => (&dns.rrname, &dns.rrtype),
            [query] => (&query.rrname, &query.rrtype),
            _ => return None,
        };
        let name: &Text<'_> = rrname.as_ref()?;
        let name = name.0.strip_suffix('.').unwrap_or(&name.0).to_ascii_lowercase();
        let rrtype = rrtype.as_ref().map(|rrtype| &*rrtype.0);
        Some(self.hasher.hash_one((event.flow_id?, dns.id?, name, rrtype)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut queries = Queries::default();
        let line = |flow: usize| {
            format!(
                r#"{{"flow_id":{flow},"dns":{{"version":3,"type":"request","id":7,"flags":"100",
                    "queries":[{{"rrname":"A.example","rrtype":"A"}}]}}}}"#
            )
        };
        for flow in 0..=MOST {
            let line = line(flow);
            let event: Event<'_> = serde_json::from_str(&line).unwrap();
            queries.note(&event, event.dns.as_ref().unwrap());
        }
        let known = |flow: usize| {
            let line = line(flow).replace("A.example", "a.example");
            let event: Event<'_> = serde_json::from_str(&line).unwrap();
            queries.wants_recursion(&event, event.dns.as_ref().unwrap())
        };
        assert_eq!([known(0), known(1), known(MOST)], [None, Some(true), Some(true)]);
        assert_eq!((queries.order.len(), queries.wants_recursion.len()), (MOST, MOST));
    }
}
