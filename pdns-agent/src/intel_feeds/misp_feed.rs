//! A MISP feed: a folder with `manifest.json` and one file per event.
//!
//! An event that vanished takes its attributes with it, unless other events have them. Only a look at all events tells,
//! so that all are fetched then, and once a week, since attributes vanish from events as well.

use super::{Budget, Document, Extent, FeedClient, FeedError, Fetch, FetchState, Take, parse_json};
use crate::outgoing::{Expected, Fetched, OutgoingError, Request, checked_url, printable};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Maximum number of events of a feed.
const MAX_EVENTS: usize = 100_000;
/// Number of problems that are told one by one.
const SHOWN: usize = 10;

/// Entry of the manifest; its key is the UUID of the event.
#[derive(Debug, Deserialize)]
struct ManifestEntry {
    timestamp: Value,
}

/// Fetches the events that are new or changed since the last fetch, or all of them if one has vanished. Those that cannot be fetched are problems; the next
/// fetch asks for them again.
pub(super) fn fetch(
    access: &FeedClient<'_>,
    url: &str,
    mut state: FetchState,
    take: &mut Take<'_>,
) -> Result<Fetch, FeedError> {
    let folder = folder(url)?;
    let mut request = json(&folder, "manifest.json");
    if !state.is_whole_due() {
        request.known = state.validators();
    }
    let mut body = match access.send(request)? {
        Fetched::NotModified => {
            return Ok(Fetch { extent: Extent::Unchanged, state, problems: Vec::new() });
        }
        Fetched::Body(body) => body,
    };
    let mut budget = Budget::new(access.feed);
    budget.spend(&body.file)?;
    let manifest: BTreeMap<String, ManifestEntry> = parse_json(&mut body.file)?;
    if manifest.len() > MAX_EVENTS {
        return Err(FeedError::List(format!("has more than {MAX_EVENTS} events")));
    }
    let listed: BTreeSet<String> = manifest.keys().cloned().collect();
    let has_lost = state.events.keys().any(|uuid| !listed.contains(uuid));
    let is_whole = has_lost || state.is_whole_due();
    let mut problems = Problems::default();
    let (mut events, mut count) = (BTreeMap::new(), 0_usize);
    for (uuid, entry) in manifest {
        let Some(timestamp) = timestamp(&entry.timestamp).filter(|_| is_uuid(&uuid)) else {
            problems.push(format!("the manifest has an invalid entry, {}", printable(&uuid)));
            continue;
        };
        let known = state.events.get(&uuid).copied();
        if known == Some(timestamp) && !is_whole {
            events.insert(uuid, timestamp);
            continue;
        }
        let fetched = if problems.is_over {
            problems.failed += 1;
            None
        } else {
            problems.check(&uuid, event(access, &folder, &uuid, &mut budget))
        };
        match (fetched, known) {
            (Some(document), _) => {
                events.insert(uuid, timestamp);
                count += 1;
                take(document);
            }
            (None, Some(known)) => drop(events.insert(uuid, known)),
            (None, None) => {}
        }
    }
    // A manifest whose events are incomplete has to be read again.
    let is_complete = problems.count == 0;
    let is_whole = is_whole && problems.failed == 0;
    if is_whole {
        state.set_whole();
    } else {
        // What has vanished must be noticed again, until all events were fetched.
        let mut lost = std::mem::take(&mut state.events);
        lost.retain(|uuid, _| !listed.contains(uuid));
        events.append(&mut lost);
    }
    state.events = events;
    state.set_validators(&if is_complete { body.validators } else { <_>::default() });
    if let (Some(error), 0) = (problems.fatal.take(), count) {
        return Err(error);
    }
    let extent = match count {
        _ if is_whole => Extent::Whole,
        0 => Extent::Unchanged,
        _ => Extent::Changes,
    };
    Ok(Fetch { extent, state, problems: problems.into_texts() })
}

/// Problems with single events.
#[derive(Debug, Default)]
struct Problems {
    texts: Vec<String>,
    count: usize,
    /// Number of events that could not be fetched.
    failed: usize,
    /// True once the server itself has failed, so that further requests make no sense.
    is_over: bool,
    fatal: Option<FeedError>,
}

impl Problems {
    fn push(&mut self, text: String) {
        self.count += 1;
        if self.texts.len() < SHOWN {
            self.texts.push(text);
        }
    }

    fn check(&mut self, uuid: &str, result: Result<Document, FeedError>) -> Option<Document> {
        let error = match result {
            Ok(document) => return Some(document),
            Err(error) => error,
        };
        self.push(format!("event {uuid}: {error}"));
        self.failed += 1;
        let is_missing =
            matches!(error, FeedError::Outgoing(OutgoingError::Status { status: 404 | 410, .. }));
        if !is_missing {
            self.is_over = true;
            self.fatal = Some(error);
        }
        None
    }

    fn into_texts(mut self) -> Vec<String> {
        let more = self.count - self.texts.len();
        if more > 0 {
            self.texts.push(format!("{more} more problems"));
        }
        if self.is_over {
            self.texts.push("the remaining events are left to the next fetch".to_owned());
        }
        self.texts
    }
}

fn event(
    access: &FeedClient<'_>,
    folder: &Url,
    uuid: &str,
    budget: &mut Budget,
) -> Result<Document, FeedError> {
    let body = access.send_for_body(json(folder, &format!("{uuid}.json")))?;
    budget.spend(&body.file)?;
    Ok(Document { name: uuid.to_owned(), file: body.file })
}

fn json(folder: &Url, file: &str) -> Request {
    let mut url = folder.clone();
    url.set_path(&format!("{}{file}", folder.path()));
    let mut request = Request::get(url.as_str());
    request.headers.push(("Accept".to_owned(), "application/json".to_owned()));
    // Web servers send files under all kinds of types.
    request.expected = Expected::NotHtml;
    request
}

/// URL of the folder, which ends with a slash, given that of the folder or its manifest.
fn folder(text: &str) -> Result<Url, FeedError> {
    let mut url = checked_url(text)?;
    let path = url.path().strip_suffix("manifest.json").unwrap_or(url.path());
    let path = format!("{}/", path.trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

/// A time of the manifest: text or a number.
fn timestamp(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

/// Whether a text is a UUID, and so safe as the name of a file.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
