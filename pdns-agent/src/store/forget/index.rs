//! Removal of what the inverted index has of records that are gone.
//!
//! An entry is a location (`store/layout/posting.rs`), so a record that is kept may need the entry of one that is gone, and
//! an agent may have stored a record again since. Entries are removed first, and those that a record needs after all are
//! added again: whoever stores a record later adds its entry later.

use crate::observation::Fact;
use crate::rdata::Rdata;
use crate::store::forget::Pace;
use crate::store::forget::image::digest_in;
use crate::store::layout::encoding::StoredRef;
use crate::store::layout::keys::{Kind, Pointer, low24};
use crate::store::layout::posting::Posting;
use crate::store::redis::client::Pipeline;
use crate::store::write::upsert::pack_removal;
use crate::store::{Store, StoreError};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// Records whose entries are removed together.
const CHUNK: usize = 256;

/// Owner and key, as stored, of a record that is gone.
pub(super) struct Gone {
    pub(super) hash: u64,
    pub(super) key: Vec<u8>,
}

/// Removes the entries of records of a partition, unless others need them. `long` has their long RDATA, by digest.
pub(super) fn remove(
    store: &mut Store,
    partition: u8,
    gone: &[Gone],
    long: &HashMap<Vec<u8>, Vec<u8>>,
    pace: &mut Pace<'_>,
) -> Result<(), StoreError> {
    let keys = store.keys.clone();
    for gone in gone.chunks(CHUNK) {
        let begin = Instant::now();
        let entries = gone.iter().filter_map(|one| {
            let posting = posting_of(store, &one.key, long)?;
            let owner = Pointer::new(partition, low24(one.hash));
            Some((posting.member(owner), posting, owner))
        });
        let entries: Vec<(u64, Posting, Pointer)> = entries.collect();
        let mut packed = Pipeline::default();
        for (member, posting, _) in &entries {
            pack_removal(posting, *member, &mut packed);
        }
        store.client.call(&packed)?;
        let owners: Vec<Pointer> = entries.iter().map(|(.., owner)| *owner).collect();
        let removed: HashSet<(&str, u64)> =
            entries.iter().map(|(member, posting, _)| (posting.key.as_str(), *member)).collect();
        let mut packed = Pipeline::default();
        for (posting, owner) in needed(store, &owners)? {
            let member = posting.member(owner);
            if removed.contains(&(posting.key.as_str(), member)) {
                store.writer_state.add_posting(&posting, member, &keys, &mut packed);
            }
        }
        store.client.call(&packed)?;
        pace.rest(begin.elapsed());
    }
    Ok(())
}

/// Adds the entries that all records of some names need.
pub(super) fn add_again(
    store: &mut Store,
    owners: &[Pointer],
    pace: &mut Pace<'_>,
) -> Result<(), StoreError> {
    let keys = store.keys.clone();
    for owners in owners.chunks(CHUNK) {
        let begin = Instant::now();
        let mut packed = Pipeline::default();
        for (posting, owner) in needed(store, owners)? {
            store.writer_state.add_posting(&posting, posting.member(owner), &keys, &mut packed);
        }
        store.client.call(&packed)?;
        pace.rest(begin.elapsed());
    }
    Ok(())
}

/// Returns the entries that the stored records of some owners need now.
fn needed(store: &mut Store, owners: &[Pointer]) -> Result<Vec<(Posting, Pointer)>, StoreError> {
    let mut owners = owners.to_vec();
    owners.sort_unstable();
    owners.dedup();
    let mut needed = Vec::new();
    for entry in store.reader().entries(Kind::Record, &owners)? {
        let owner = Pointer::new(entry.volume.partition, low24(entry.hash));
        let mut facts = Vec::new();
        store.reader().for_each_record(Kind::Record, &entry, &mut |reader, page| {
            for (stored, _) in page {
                facts.push(reader.complete(entry.volume, stored)?);
            }
            Ok(true)
        })?;
        for fact in facts {
            if let crate::record::FactBuf::Record(rdata) = &fact {
                let posting = Posting::of(rdata.as_rdata(), &store.keys, &store.router);
                needed.push((posting, owner));
            }
        }
    }
    Ok(needed)
}

fn posting_of(store: &Store, key: &[u8], long: &HashMap<Vec<u8>, Vec<u8>>) -> Option<Posting> {
    let rdata = match StoredRef::read(key)?.0 {
        StoredRef::Fact(Fact::Record(rdata)) => rdata,
        StoredRef::Fact(Fact::Negative { .. }) => return None,
        StoredRef::Long { rrtype, partial, .. } => {
            let octets = long.get(digest_in(key)?)?;
            Rdata { rrtype, octets, partial }
        }
    };
    Some(Posting::of(rdata, &store.keys, &store.router))
}
