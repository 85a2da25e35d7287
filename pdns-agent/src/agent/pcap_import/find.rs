//! Finds the captures in the store that a file holds, as an import would, without reading it into the store.
//!
//! Under `pcap_import`, for `pdns admin forget-source`.

use super::legacy_captures::LegacyCaptures;
use super::stored_capture::{self, Relation, StoredCapture};
use crate::source::{CaptureFile, Digest};
use crate::store::{SourceState, Store, StoreError};
use std::collections::HashMap;
use std::path::Path;

/// The identities of the captures that a file is, is the beginning of, or goes on with. None for a file that is not a
/// capture or cannot be read.
pub(in crate::agent) fn captures_of(
    path: &Path,
    sources: &HashMap<[u8; 16], SourceState>,
    store: &mut Store,
) -> Result<Vec<Digest>, StoreError> {
    let hasher = store.router().hasher().clone();
    let Ok(mut file) = CaptureFile::open(path) else { return Ok(Vec::new()) };
    let Ok(Some(head)) = file.head(&hasher) else { return Ok(Vec::new()) };
    let mut captures = Vec::new();
    for number in 0.. {
        let id = stored_capture::id(&hasher, &head, number);
        let Some(state) = sources.get(&id) else {
            match store.writer().source(&id)? {
                Some(state) if state.is_forgotten() => continue,
                _ => break,
            }
        };
        let checkpoint = store.writer().load(&id)?;
        captures.push(StoredCapture { id, state: state.clone(), checkpoint });
    }
    let earlier = LegacyCaptures::of_sources(sources.iter());
    let mut lengths = earlier.lengths().clone();
    lengths.extend(captures.iter().flat_map(StoredCapture::lengths));
    let Ok(Some(content)) = file.content(&hasher, &lengths) else { return Ok(Vec::new()) };
    captures.retain(|known| match known.relation(&content) {
        Relation::Continuation | Relation::Beginning => true,
        Relation::Unknown => {
            known.begins_with(Path::new(&known.state.path), &content, &hasher) == Some(true)
        }
        Relation::Other => false,
    });
    let earlier = earlier.matching(&content).into_iter().map(|(_, id)| id);
    Ok(captures.into_iter().map(|known| known.id).chain(earlier).collect())
}
