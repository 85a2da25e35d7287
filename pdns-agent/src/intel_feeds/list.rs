//! One list, by HTTP or in a file.

use super::unpack::unpack;
use super::{Document, Extent, FeedClient, FeedError, Fetch, FetchState, Take};
use crate::bounded_file::open_file;
use crate::outgoing::{CopyError, Fetched, Request, to_temporary_file};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Fetches a list, unless it has not changed.
pub(super) fn from_url(
    access: &FeedClient<'_>,
    url: &str,
    known: &FetchState,
    take: &mut Take<'_>,
) -> Result<Fetch, FeedError> {
    let mut request = Request::get(url);
    request.known = known.validators();
    let body = match access.send(request)? {
        Fetched::NotModified => return Ok(unchanged(known)),
        Fetched::Body(body) => body,
    };
    let mut state = FetchState::default();
    state.set_validators(&body.validators);
    whole(access, body.file, state, take)
}

/// Reads a list from a file, unless it has not changed.
pub(super) fn from_file(
    access: &FeedClient<'_>,
    path: &Path,
    known: &FetchState,
    take: &mut Take<'_>,
) -> Result<Fetch, FeedError> {
    let cannot = |cause| FeedError::File { path: path.to_owned(), cause };
    let mut file = open_file(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    let (size, seconds, nanos) = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    let etag = Some(format!("{size}-{seconds}.{nanos:09}-{}", metadata.ino()));
    if known.etag == etag {
        return Ok(unchanged(known));
    }
    let copy = match to_temporary_file(&mut file, access.feed.outgoing.size) {
        Err(CopyError::Read(cause)) => return Err(cannot(cause)),
        copy => copy?,
    };
    whole(access, copy, FetchState { etag, ..FetchState::default() }, take)
}

fn unchanged(known: &FetchState) -> Fetch {
    Fetch { extent: Extent::Unchanged, state: known.clone(), problems: Vec::new() }
}

fn whole(
    access: &FeedClient<'_>,
    file: File,
    state: FetchState,
    take: &mut Take<'_>,
) -> Result<Fetch, FeedError> {
    let feed = access.feed;
    let file = unpack(file, feed.outgoing.size, feed.member.as_deref())?;
    take(Document { name: String::new(), file });
    Ok(Fetch { extent: Extent::Whole, state, problems: Vec::new() })
}
