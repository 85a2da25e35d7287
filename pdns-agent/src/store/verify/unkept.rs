//! Checks and repairs what is kept of names that are not kept.

use super::rebuild::Change;
use crate::name::{Name, NameBuf, suffix};
use crate::store::layout::unkept::{SumKey, read_sum};
use crate::store::redis::reply::Pairs;
use crate::store::verify::Verdict;
use crate::store::{Store, StoreError};
use std::collections::HashSet;

/// Returns true if a field of the sums of a domain reads.
fn is_sound((field, value): &(Vec<u8>, Vec<u8>)) -> bool {
    SumKey::read(field).is_some() && read_sum(value).is_some()
}

impl Store {
    /// Checks the sums of a partition's domains.
    pub(super) fn verify_unkept(
        &mut self,
        partition: u8,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let directory = self.keys.unkept_domains(partition);
        for (domain, _) in self.hash(&directory)? {
            let Some((_, hash)) = self.unkept_place(partition, &domain) else {
                verdict.problem(false, || format!("{directory}: a domain in it does not read"));
                continue;
            };
            let key = self.keys.unkept(partition, hash);
            let sums = self.hash(&key)?;
            if sums.is_empty() || !sums.iter().all(is_sound) {
                verdict.problem(false, || format!("{key} is missing, or does not read"));
            }
            let sample = self.keys.unkept_sample(partition, hash);
            self.hash(&sample)?;
        }
        Ok(())
    }

    /// Returns a domain of the directory and its hash; `None` if it is none of this partition.
    fn unkept_place(&self, partition: u8, domain: &[u8]) -> Option<(NameBuf, u64)> {
        let name = Name::from_canonical(std::str::from_utf8(domain).ok()?).ok()?;
        let place = self.router.place(name);
        (place.partition == partition).then(|| (name.to_buf(), place.hash))
    }

    /// Plans what makes the sums sound again, for these hashes of domains that have some: what does not read is removed, and
    /// a domain that lost its place in the directory is known from its sample.
    pub(super) fn unkept_changes(
        &mut self,
        partition: u8,
        hashes: &[u64],
        lost: &mut Vec<String>,
    ) -> Result<Vec<Change>, StoreError> {
        let change = |command, suffix: String, words| Change { command, suffix, words };
        let mut changes = Vec::new();
        let mut listed: HashSet<u64> = HashSet::new();
        for (domain, _) in self.hash(&self.keys.unkept_domains(partition))? {
            match self.unkept_place(partition, &domain) {
                Some((_, hash)) if hashes.contains(&hash) => {
                    listed.insert(hash);
                }
                _ => {
                    let text = String::from_utf8_lossy(&domain).into_owned();
                    lost.push(format!(
                        "{}: what was seen of names below {text} that are not kept",
                        self.keys.unkept_domains(partition)
                    ));
                    changes.push(change("HDEL", "u".to_owned(), vec![domain]));
                }
            }
        }
        for &hash in hashes {
            let (key, suffix) = (self.keys.unkept(partition, hash), format!("u{hash:016x}"));
            let pairs: Pairs = self.hash(&key)?;
            for pair in pairs.iter().filter(|pair| !is_sound(pair)) {
                lost.push(format!("{key}: a sum of names that are not kept"));
                changes.push(change("HDEL", suffix.clone(), vec![pair.0.clone()]));
            }
            if listed.contains(&hash) {
                continue;
            }
            let sample = self.keys.unkept_sample(partition, hash);
            let domain = self.hash(&sample)?.into_iter().find_map(|(_, name)| {
                let text = String::from_utf8(name).ok()?;
                let domain = suffix::registrable(Name::from_canonical(&text).ok()?)?;
                (self.router.place(domain).hash == hash).then(|| domain.to_buf())
            });
            if let Some(domain) = domain {
                let words = vec![domain.as_str().as_bytes().to_vec(), b"1".to_vec()];
                changes.push(change("HSET", "u".to_owned(), words));
            } else {
                lost.push(format!("{key}: the name of a domain of which not all names are kept"));
                changes.push(change("DEL", suffix, Vec::new()));
            }
        }
        Ok(changes)
    }
}
