//! The part of an import that was seen here.

use crate::cli::answer::Output;
use crate::cli::{CliError, Terminal, cannot};
use crate::indicator::Sighting;
use crate::query::sightings;
use crate::render::{Cell, CellValue, Format, Item};
use crate::store::Store;
use crate::tag::TagSubject;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// Subjects that are looked for together, so that memory does not grow with the feed.
pub(super) const TOGETHER: usize = 200_000;
/// Subjects that are shown.
const SHOWN: usize = 10;

/// Sightings of the subjects of an import.
#[derive(Default)]
pub(super) struct SeenHere {
    seen: BTreeMap<TagSubject, Sighting>,
    /// Number of subjects that were looked for.
    of: u64,
}

impl SeenHere {
    /// Looks for subjects, and empties the list of them.
    pub(super) fn look(
        &mut self,
        store: &mut Store,
        subjects: &mut Vec<TagSubject>,
    ) -> Result<(), CliError> {
        let wanted: HashSet<TagSubject> = subjects.drain(..).collect();
        let wanted: Vec<TagSubject> = wanted.into_iter().collect();
        self.of += wanted.len() as u64;
        let found = sightings(&mut store.reader(), &wanted);
        self.seen.extend(found.map_err(cannot("look for what was seen here"))?);
        Ok(())
    }

    /// Returns the sightings.
    pub(super) fn sightings(&self) -> &BTreeMap<TagSubject, Sighting> {
        &self.seen
    }

    /// Returns the sentence: `3 of 412 were seen here, first on 2026-02-11 by sensor so-2`.
    pub(super) fn sentence(&self) -> String {
        let earliest = self.seen.values().min_by_key(|seen| seen.time_first);
        let Some(earliest) = earliest else {
            return format!("none of {} was seen here", self.of);
        };
        let (seen, verb) = (self.seen.len(), if self.seen.len() == 1 { "was" } else { "were" });
        let day = crate::render::utc_date(earliest.time_first);
        let sensors = match earliest.sensors.as_slice() {
            [] => String::new(),
            [one] => format!(" by sensor {one}"),
            many => format!(" by the sensors {}", many.join(", ")),
        };
        format!("{seen} of {} {verb} seen here, first on {day}{sensors}", self.of)
    }

    /// Prints the subjects that were counted most.
    pub(super) fn show(
        &self,
        store: &mut Store,
        format: Option<Format>,
        terminal: &mut Terminal<'_>,
    ) -> Result<(), CliError> {
        let mut most: Vec<(&TagSubject, &Sighting)> = self.seen.iter().collect();
        most.sort_by_key(|(_, seen)| Reverse(seen.count));
        let mut store = store.reader();
        let mut answer = Output::new(&mut store, format, Format::Json, terminal)?;
        for (subject, seen) in most.iter().take(SHOWN) {
            let cells = [
                Cell::new("SEEN HERE", "subject", CellValue::Text(subject.to_string())),
                Cell::new("COUNT", "count", CellValue::Number(seen.count)),
                Cell::new("FIRST (UTC)", "time_first", CellValue::Time(seen.time_first)),
                Cell::new("LAST (UTC)", "time_last", CellValue::Time(seen.time_last)),
                Cell::new("SENSORS", "sensors", CellValue::List(seen.sensors.clone())),
            ];
            if answer.item(&Item::Cells(&cells)).is_break() {
                break;
            }
        }
        answer.check()?;
        if most.len() > SHOWN {
            answer.remark(format!("{} more were seen here", most.len() - SHOWN));
        }
        answer.end().map(drop)
    }
}
