//! The best estimate of the zone that a name belongs to: DNSDB's bailiwick.
//!
//! The nearest name with an NS or SOA record in the store, from the name itself up to its registrable domain;
//! if there is none, the registrable domain. A public suffix has no registrable domain, and is its own zone.

use crate::name::{Name, NameBuf, suffix};
use crate::record::FactBuf;
use crate::rr::RrType;
use crate::store::{Reader, StoreError};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Maximum number of names remembered.
const MOST: usize = 20_000;

/// The names looked up so far, each with true if it is the apex of a zone.
#[derive(Debug, Default)]
pub(super) struct Apexes(HashMap<NameBuf, bool>);

impl Apexes {
    /// Looks up everything needed for these names in one batch.
    pub(super) fn learn(
        &mut self,
        store: &mut Reader<'_>,
        names: &[NameBuf],
    ) -> Result<(), StoreError> {
        if self.0.len() > MOST {
            self.0.clear();
        }
        let mut unknown = Vec::new();
        for name in names {
            for candidate in candidates(name.as_name()) {
                let candidate = candidate.to_buf();
                if !self.0.contains_key(&candidate) {
                    self.0.insert(candidate.clone(), false);
                    unknown.push(candidate);
                }
            }
        }
        store.records_by_names(&unknown, &mut |row| {
            let is_apex = match &row.fact {
                FactBuf::Record(rdata) => matches!(rdata.rrtype, RrType::NS | RrType::SOA),
                FactBuf::Negative { .. } => false,
            };
            if is_apex {
                self.0.insert(row.rrname, true);
            }
            ControlFlow::Continue(())
        })
    }

    /// Returns the zone of a name that was looked up before.
    pub(super) fn of(&self, name: Name<'_>) -> NameBuf {
        let known = candidates(name).find(|name| self.0.get(&name.to_buf()) == Some(&true));
        known.or_else(|| suffix::registrable(name)).unwrap_or(name).to_buf()
    }
}

/// Returns the possible apexes: from the name up to its registrable domain.
fn candidates(name: Name<'_>) -> impl Iterator<Item = Name<'_>> {
    let labels = name.labels().count();
    let least = suffix::registrable(name).map_or(labels, |domain| domain.labels().count());
    (least..=labels).rev().map(move |count| name.suffix(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_zone_is_found() {
        let name = |text: &str| NameBuf::parse(text).unwrap();
        let mut apexes = Apexes::default();
        let zone = |apexes: &Apexes, text: &str| apexes.of(name(text).as_name()).to_string();
        assert_eq!(zone(&apexes, "a.b.example.co.uk"), "example.co.uk");
        assert_eq!(zone(&apexes, "co.uk"), "co.uk");
        assert_eq!(zone(&apexes, "."), ".");
        apexes.0.insert(name("b.example.co.uk"), true);
        apexes.0.insert(name("co.uk"), true);
        assert_eq!(zone(&apexes, "a.b.example.co.uk"), "b.example.co.uk");
        assert_eq!(zone(&apexes, "b.example.co.uk"), "b.example.co.uk");
        assert_eq!(zone(&apexes, "c.example.co.uk"), "example.co.uk");
    }
}
