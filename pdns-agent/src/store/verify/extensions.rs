//! Checks the counts and sensors that rows do not have themselves (`store/layout/extension.rs`).
//!
//! A part of `store/verify.rs`: each row that says that it has more elsewhere has it there, and nothing is there for
//! another row.

use crate::store::layout::extension::{IN_ROW, RowSensors, SETS, read_count, read_set};
use crate::store::layout::keys::{Keys, Kind, Volume};
use crate::store::read::scan::Whole;
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::redis::reply::Pairs;
use crate::store::verify::Verdict;
use crate::store::{Store, StoreError};
use std::collections::HashSet;

/// Hashes of sets read in one pipeline.
const KEYS: usize = 256;

impl Store {
    /// Checks the extensions of a partition's rows, and adds their sensor sets to `whole`.
    pub(in crate::store) fn verify_extensions(
        &mut self,
        (kind, volume): (Kind, Volume),
        whole: &mut Whole,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.large_counts(volume, kind);
        let counts = self.hashes(std::slice::from_ref(&key))?.pop().unwrap_or_default();
        let mut found = HashSet::new();
        for (field, value) in &counts {
            let shown = String::from_utf8_lossy(field);
            let row = row_number(field);
            match row.filter(|&row| whole.raw_row(row).is_some_and(|row| row.is_large())) {
                None => {
                    verdict.problem(false, || format!("{key}: row {shown} has a count of its own"));
                }
                Some(row) => {
                    found.insert(row);
                    if read_count(value).is_none() {
                        verdict.problem(false, || {
                            format!("{key}: the count of row {shown} does not read")
                        });
                    }
                }
            }
        }
        let rows = (0..whole.used).filter_map(|row| Some((row, whole.raw_row(row)?)));
        let mut many = Vec::new();
        for (row, read) in rows {
            if read.is_large() && !found.contains(&row) {
                verdict.problem(false, || format!("{key}: the count of row {row} is missing"));
            }
            if read.sensors == RowSensors::Many {
                many.push(row);
            }
        }
        // Where no sensor has so high a number, there are no sets to look for.
        let has_sets = !many.is_empty() || self.has_sensors_beyond_rows()?;
        let groups: Vec<u32> =
            if has_sets { (0..whole.used.div_ceil(SETS)).collect() } else { Vec::new() };
        for groups in groups.chunks(KEYS) {
            let keys: Vec<String> = groups
                .iter()
                .map(|group| Keys::sensor_sets(&self.keys, volume, kind, group * SETS))
                .collect();
            for ((pairs, key), group) in self.hashes(&keys)?.into_iter().zip(&keys).zip(groups) {
                for (field, value) in pairs {
                    let shown = String::from_utf8_lossy(&field);
                    let row = row_number(&field).filter(|row| row / SETS == *group);
                    let row = row.filter(|&row| {
                        whole.raw_row(row).is_some_and(|row| row.sensors == RowSensors::Many)
                    });
                    match (row, read_set(&value)) {
                        (None, _) => verdict.problem(false, || {
                            format!("{key}: row {shown} has its sensors itself")
                        }),
                        (Some(_), None) => verdict.problem(false, || {
                            format!("{key}: the sensors of row {shown} do not read")
                        }),
                        (Some(row), Some(set)) => {
                            whole.sets.insert(row, set);
                        }
                    }
                }
            }
        }
        for row in many.into_iter().filter(|row| !whole.sets.contains_key(row)) {
            let key = self.keys.sensor_sets(volume, kind, row);
            verdict.problem(false, || format!("{key}: the sensors of row {row} are missing"));
        }
        Ok(())
    }

    /// Returns true if a sensor has a number that has no bit in rows.
    fn has_sensors_beyond_rows(&mut self) -> Result<bool, StoreError> {
        match self.reader().sensors() {
            Ok(names) => Ok(names.len() > usize::from(IN_ROW)),
            // The check of the sensors reports it.
            Err(StoreError::Damaged { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads whole hashes.
    fn hashes(&mut self, keys: &[String]) -> Result<Vec<Pairs>, StoreError> {
        let mut packed = Pipeline::default();
        for key in keys {
            packed.command(&[b"HGETALL", key.as_bytes()]);
        }
        let answers = keys.iter().zip(self.client.call_each(&packed)?);
        let pairs = answers.map(|(key, answer)| {
            reply::pairs(answer.map_err(|error| error.of(|| Some(key.clone())))?)
        });
        pairs.collect()
    }
}

/// Reads the number of a row from a field.
pub(in crate::store) fn row_number(field: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(field).ok()?;
    text.parse().ok().filter(|row: &u32| row.to_string() == text)
}
