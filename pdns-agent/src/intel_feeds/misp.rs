//! The REST API of a MISP server: search, and sightings.

use super::{Budget, Document, Extent, FeedClient, FeedError, Fetch, FetchState, Take, parse_json};
use crate::outgoing::{OutgoingError, Request, checked_url};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

/// Number of attributes to ask for at once.
const PAGE: usize = 1000;
/// Number of events to ask for at once: each has all its attributes.
const EVENT_PAGE: usize = 50;
/// Maximum number of pages of one fetch.
const MAX_PAGES: u32 = 10_000;
/// Types of attributes with names and addresses.
const TYPES: &[&str] = &[
    "domain",
    "hostname",
    "domain|ip",
    "hostname|port",
    "ip-src",
    "ip-dst",
    "ip-src|port",
    "ip-dst|port",
    "url",
];

/// Answer of `/attributes/restSearch` and `/events/restSearch`.
#[derive(Deserialize)]
struct Answer {
    response: Items,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Items {
    Attributes {
        #[serde(rename = "Attribute")]
        attributes: Vec<Item>,
    },
    Events(Vec<Wrapped>),
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "Event")]
    event: Item,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    timestamp: Value,
}

/// Fetches the attributes (or events, if the URL names that search) that were changed or deleted since the last fetch;
/// once a week all that there are, since what was removed for good, or is no longer shared, leaves no trace.
pub(super) fn fetch(
    access: &FeedClient<'_>,
    url: &str,
    mut state: FetchState,
    take: &mut Take<'_>,
) -> Result<Fetch, FeedError> {
    let url = search_url(url)?;
    let is_events = url.path().contains("/events/");
    let limit = if is_events { EVENT_PAGE } else { PAGE };
    let mut budget = Budget::new(access.feed);
    let is_whole = state.timestamp.is_none() || state.is_whole_due();
    let (since, mut count) = (state.timestamp.filter(|_| !is_whole), 0_usize);
    for page in 1..=MAX_PAGES {
        let mut search = serde_json::Map::new();
        if !is_events {
            search.insert("type".to_owned(), json!(TYPES));
            search.insert("includeEventTags".to_owned(), json!(true));
        }
        search.extend(access.feed.search.clone());
        search.insert("returnFormat".to_owned(), json!("json"));
        search.insert("page".to_owned(), json!(page));
        search.insert("limit".to_owned(), json!(limit));
        if let Some(since) = since {
            search.insert("timestamp".to_owned(), json!(since));
            // Those that were deleted, too.
            search.entry("deleted").or_insert_with(|| json!(["0", "1"]));
        }
        let request = Request::post_json(url.as_str(), &Value::Object(search), true);
        let mut body = access.send_for_body(request)?;
        budget.spend(&body.file)?;
        let answer: Answer = parse_json(&mut body.file)?;
        let items = match answer.response {
            Items::Attributes { attributes } => attributes,
            Items::Events(events) => events.into_iter().map(|wrapped| wrapped.event).collect(),
        };
        let latest = items.iter().filter_map(Item::time).max();
        state.timestamp = state.timestamp.max(latest);
        if !items.is_empty() {
            count += items.len();
            take(Document { name: format!("page {page}"), file: body.file });
        }
        if items.len() < limit {
            let extent = match count {
                _ if is_whole => Extent::Whole,
                0 => Extent::Unchanged,
                _ => Extent::Changes,
            };
            if is_whole {
                state.set_whole();
            }
            return Ok(Fetch { extent, state, problems: Vec::new() });
        }
    }
    Err(FeedError::Answer(format!("the server has more than {MAX_PAGES} pages")))
}

impl Item {
    fn time(&self) -> Option<u64> {
        match &self.timestamp {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64(),
            _ => None,
        }
    }
}

/// Sends a sighting (`/sightings/add`). Returns false if the server knows none of the values.
pub(super) fn post_sighting(
    access: &FeedClient<'_>,
    url: &str,
    values: &[String],
    time: u32,
    source: &str,
) -> Result<bool, FeedError> {
    let mut url = server_url(url)?;
    url.set_path(&format!("{}/sightings/add", url.path().trim_end_matches('/')));
    let sighting = json!({"values": values, "timestamp": time, "source": source, "type": "0"});
    match access.send_for_body(Request::post_json(url.as_str(), &sighting, false)) {
        Ok(_) => Ok(true),
        Err(FeedError::Outgoing(OutgoingError::Status { status: 404, .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// URL of the search, given that of the search or the server.
fn search_url(text: &str) -> Result<Url, FeedError> {
    let mut url = checked_url(text)?;
    if !url.path().trim_end_matches('/').ends_with("/restSearch") {
        let path = format!("{}/attributes/restSearch", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

/// URL of the server, given that of the search or the server.
fn server_url(text: &str) -> Result<Url, FeedError> {
    let mut url = checked_url(text)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let server = ["/attributes/restSearch", "/events/restSearch"]
        .iter()
        .find_map(|search| path.strip_suffix(search))
        .unwrap_or(&path);
    url.set_path(server);
    Ok(url)
}
