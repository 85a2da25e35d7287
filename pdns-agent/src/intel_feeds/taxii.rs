//! A collection of a TAXII 2.1 server (OASIS TAXII 2.1, §5.4).

use super::{Budget, Document, Extent, FeedClient, FeedError, Fetch, FetchState, Take, parse_json};
use crate::outgoing::{Expected, Request, checked_url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use url::Url;

/// Media type of TAXII.
const ACCEPT: &str = "application/taxii+json;version=2.1";
/// Number of objects to ask for at once. A server may send fewer.
const PAGE: &str = "1000";
/// Maximum number of pages of one fetch.
const MAX_PAGES: u32 = 10_000;
/// Maximum length of the identifier of a page, in bytes.
const MAX_NEXT: usize = 4096;

/// An envelope (§3.7).
#[derive(Debug, Deserialize)]
struct Envelope {
    #[serde(default)]
    more: bool,
    #[serde(default)]
    next: Option<Value>,
    #[serde(default)]
    objects: Vec<IgnoredAny>,
}

/// Fetches the objects that were added since the last fetch, page by page.
pub(super) fn fetch(
    access: &FeedClient<'_>,
    url: &str,
    mut state: FetchState,
    take: &mut Take<'_>,
) -> Result<Fetch, FeedError> {
    let objects = objects_url(url)?;
    let mut budget = Budget::new(access.feed);
    let mut since = state.added_after.clone();
    let (mut next, mut count) = (None, 0_usize);
    for page in 1..=MAX_PAGES {
        let mut url = objects.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", PAGE);
            for (name, value) in [("added_after", &since), ("next", &next)] {
                if let Some(value) = value {
                    query.append_pair(name, value);
                }
            }
        }
        let mut request = Request::get(url.as_str());
        request.headers.push(("Accept".to_owned(), ACCEPT.to_owned()));
        request.expected = Expected::Json;
        let mut body = access.send_for_body(request)?;
        budget.spend(&body.file)?;
        let added = body.header("x-taxii-date-added-last").map(str::to_owned);
        let envelope: Envelope = parse_json(&mut body.file)?;
        if !envelope.objects.is_empty() {
            count += envelope.objects.len();
            take(Document { name: format!("page {page}"), file: body.file });
        }
        state.added_after = later(state.added_after, added.clone());
        if !envelope.more {
            let extent = if count == 0 { Extent::Unchanged } else { Extent::Changes };
            return Ok(Fetch { extent, state, problems: Vec::new() });
        }
        next = envelope.next.as_ref().and_then(identifier);
        // Some servers use one identifier for all the pages. One without identifiers continues after the last object
        // (§3.4).
        let moves = if next.is_some() {
            !envelope.objects.is_empty()
        } else {
            let before = since.clone();
            since = later(since, added);
            since != before
        };
        if !moves {
            return Err(FeedError::Answer(
                "the server has more objects but does not say where".to_owned(),
            ));
        }
    }
    Err(FeedError::Answer(format!("the server has more than {MAX_PAGES} pages")))
}

/// URL of the objects of a collection, given that of the collection.
fn objects_url(text: &str) -> Result<Url, FeedError> {
    let mut url = checked_url(text)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let path = if path.ends_with("/objects") { path } else { format!("{path}/objects") };
    url.set_path(&format!("{path}/"));
    Ok(url)
}

/// The later of two times; one that is not valid does not count.
fn later(known: Option<String>, new: Option<String>) -> Option<String> {
    let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
    if time(&new) > time(&known) { new } else { known }
}

/// Identifier of a page; some servers send a number.
fn identifier(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| text.len() <= MAX_NEXT),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
