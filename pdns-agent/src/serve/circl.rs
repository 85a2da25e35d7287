//! CIRCL's passive DNS protocol: `GET /pdns/query/VALUE`, answered in COF, one record per line.
//!
//! VALUE is any subject that `pdns` looks up: a name, an address, a range, a prefix (`/24` or `,24`), `*.` and
//! a name (everything below it), `.` and a name (including the name), a URL; or a name and `.*` (all names that
//! begin with it). A name is answered with its records and those that point at it. Rows sort by latest seen,
//! then by name, type and RDATA. `PyPDNS` and `dnsdbq -u circl` use this protocol.
//!
//! The whole page is built before its first line is sent, because the headers tell how it ends.

use super::app::{App, now};
use super::clients::ClientHandle;
use super::host_check::authority;
use super::http_error::HttpError;
use super::metrics::Endpoint;
use super::pages::Pages;
use super::part::{decode, parameters};
use super::stream::{Out, QueryContext, ask};
use crate::query::{
    AssessError, Cursor, MAX_PAGE, Pager, Rows, Section, Sections, Subject, TagSet, Text, Walk,
    Word, assess, parts, subjects_of_row, walk,
};
use crate::record::{FactBuf, StoredRecord};
use crate::render::{Format, Item, NameScores, RenderOptions};
use crate::rr::RrType;
use crate::store::{Reader, StoreError};
use crate::tag::TagSubject;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, Version};
use axum::response::{IntoResponse, Response};
use std::error::Error as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Maximum time to build a page: `PyPDNS` disconnects after 15 seconds.
const TIME: Duration = Duration::from_secs(12);
/// Maximum number of owner names of a page that are scored.
const MAX_SCORED: usize = 200;

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CirclQuery {
    what: CirclSubject,
    only: Only,
    after: Option<Cursor>,
    count: usize,
    /// True if owner names are to be scored.
    score: bool,
    /// True if the client asked for a page, and therefore knows that there may be more.
    is_paged: bool,
}

/// Record types to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    /// All types.
    Any,
    /// One type.
    One(RrType),
    /// A type that does not exist, which no record has.
    Nothing,
}

/// Subject of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CirclSubject {
    /// A subject in the usual notation.
    Subject(Subject),
    /// All names that begin with these labels.
    Beginning(Word),
}

/// Handles a query.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
    version: Version,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let value = uri.path().strip_prefix("/pdns/query/").unwrap_or_default();
    let question = match understand(value, &headers, app.limits.rows) {
        Ok(question) => question,
        Err(refusal) => return refusal.into_response(),
    };
    let question = match with_score(question, &uri) {
        Ok(question) => question,
        Err(refusal) => return refusal.into_response(),
    };
    let time = app.limits.time.min(TIME);
    let origin = origin(&app, version, &uri, &headers);
    let shared = Arc::clone(&app);
    let asking = QueryContext { app, asker, endpoint: Endpoint::Circl, time, keep_alive: None };
    ask(asking, move |store, out| answer(store, &question, origin, &shared.pages, out)).await
}

/// Returns the URI of this protocol as the client sees it, for COF's `origin`.
fn origin(app: &App, version: Version, uri: &Uri, headers: &HeaderMap) -> String {
    // The guard has refused requests with an unclear host; HTTP/1.0 and a Unix socket may have none.
    let host = authority(version, uri, headers).ok().flatten();
    let host = host.map_or_else(|| "localhost".to_owned(), |host| host.to_string());
    let scheme = if app.behind_proxy || app.has_tls { "https" } else { "http" };
    format!("{scheme}://{host}/pdns/")
}

/// Parses the query; `most` is the maximum page size.
fn understand(value: &str, headers: &HeaderMap, most: usize) -> Result<CirclQuery, HttpError> {
    let most = most.min(MAX_PAGE);
    let header = |name: &str| {
        let value = headers.get(name);
        value.map(|value| value.to_str().unwrap_or_default().trim())
    };
    let bad = |name: &str, value: &str| Err(HttpError::bad(format!("{value:?} is no {name}")));
    let count = match header("dribble-paginate-count") {
        None => most,
        Some(text) => match text.parse::<usize>() {
            Ok(count) if count > 0 => count.min(most),
            _ => return bad("dribble-paginate-count", text),
        },
    };
    let after = match header("dribble-paginate-cursor") {
        None => None,
        Some(text) => match Cursor::parse(text) {
            Some(cursor) => Some(cursor),
            None => return bad("dribble-paginate-cursor", text),
        },
    };
    let only = match header("dribble-filter-rrtype") {
        None => Only::Any,
        Some(text) if text.eq_ignore_ascii_case("ANY") => Only::Any,
        Some(text) => text.parse().map_or(Only::Nothing, Only::One),
    };
    let is_paged = after.is_some() || headers.contains_key("dribble-paginate-count");
    Ok(CirclQuery { what: what(&decode(value)?)?, only, after, count, score: false, is_paged })
}

/// Adds what the parameter `score` says: 1 for scores, 0 for none.
fn with_score(question: CirclQuery, uri: &Uri) -> Result<CirclQuery, HttpError> {
    // Other parameters have no meaning here, so they need not be valid.
    let query = uri.query().filter(|query| query.contains("score"));
    let parameters = parameters(query)?;
    let score =
        parameters.iter().find(|(name, _)| name == "score").map(|(_, value)| value.as_str());
    let score = match score {
        None | Some("0") => false,
        Some("1") => true,
        Some(other) => return Err(HttpError::bad(format!("score is 0 or 1, not {other:?}"))),
    };
    Ok(CirclQuery { score, ..question })
}

/// Scores the owner names of rows until time runs out; true if some have no score.
fn scores(
    store: &mut Reader<'_>,
    rows: &[StoredRecord],
    pages: &Pages,
    out: &Out,
) -> Result<(NameScores, bool), StoreError> {
    let mut scorer = pages.scorer.clone();
    let threats = pages.tagged(store)?.threats;
    scorer.refresh_with(store, threats)?;
    let (mut found, now) = (NameScores::new(), now());
    for row in rows {
        if found.contains_key(&row.rrname) {
            continue;
        }
        if found.len() >= MAX_SCORED || out.check().is_err() {
            return Ok((found, true));
        }
        match assess(store, &scorer, &Subject::Name(row.rrname.clone()), now) {
            Ok(assessed) => {
                found.insert(row.rrname.clone(), assessed.ledger.score);
            }
            Err(AssessError::NoScore(_)) => {}
            Err(AssessError::Store(error)) => return Err(error),
        }
    }
    Ok((found, false))
}

/// Reads a value without headers, for the fuzzer.
pub(super) fn check(value: &str) -> Result<(), HttpError> {
    understand(value, &HeaderMap::new(), MAX_PAGE).map(drop)
}

/// Parses the value: a subject in the usual notation, or the beginning of names.
fn what(value: &str) -> Result<CirclSubject, HttpError> {
    let values = parts(value);
    let value = match values.as_slice() {
        [] => "",
        [one] => one,
        _ => {
            return Err(HttpError::bad(format!(
                "{value:?} has {} subjects: one can be asked for at a time",
                values.len()
            )));
        }
    };
    let error = match Subject::parse(value) {
        Ok(subject) => return Ok(CirclSubject::Subject(subject)),
        Err(error) => error,
    };
    if let Some(start) = value.trim_end_matches('.').strip_suffix(".*")
        && !start.contains('*')
    {
        // The dot is part of the beginning of the names.
        let word = Word::parse(&format!("{start}."));
        let word = word.map_err(|error| HttpError::bad(error.to_string()))?;
        return Ok(CirclSubject::Beginning(word));
    }
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Err(HttpError::bad(format!("cannot tell what {value:?} is: {error}{cause}")))
}

fn answer(
    store: &mut Reader<'_>,
    question: &CirclQuery,
    origin: String,
    pages: &Pages,
    out: &mut Out,
) -> Result<(), StoreError> {
    let sensors = store.sensors()?;
    let mut pager = Pager::new(question.after, question.count);
    let mut late = false;
    gather(store, question, out, &mut pager, &mut late)?;
    let Rows { rows, next, cut } = pager.finish();
    let subjects: Vec<TagSubject> = rows.iter().flat_map(subjects_of_row).collect();
    let tags = Arc::new(TagSet::of_subjects(store, &subjects)?);
    let (scores, is_part) = if question.score {
        let (scores, is_part) = scores(store, &rows, pages, out)?;
        (Some(Arc::new(scores)), is_part)
    } else {
        (None, false)
    };
    let mut headers = HeaderMap::new();
    if let Some(next) = next {
        headers.insert("x-dribble-cursor", HeaderValue::from(next.number()));
    }
    let error = if late {
        Some("{\"time\":\"the query took too long: records are missing\"}")
    } else if cut && next.is_none() {
        Some("{\"rows\":\"too many records share a second: the rest cannot be paged\"}")
    } else if cut && !question.is_paged {
        Some("{\"rows\":\"there are more records: ask for pages with dribble-paginate-count\"}")
    } else if is_part {
        Some("{\"score\":\"only the first names have a score\"}")
    } else {
        None
    };
    if let Some(error) = error {
        headers.insert("x-dribble-errors", HeaderValue::from_static(error));
    }
    out.begin(Format::Cof.info().media, headers);
    let mut renderer = Format::Cof.renderer(RenderOptions {
        sensors,
        tags,
        origin: Some(origin),
        scores,
        ..RenderOptions::default()
    });
    for row in &rows {
        let mut line = Vec::new();
        // Writing to a Vec cannot fail.
        if renderer.item(&Item::Record(row), &mut line).is_err() {
            continue;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if out.row(|chunk| chunk.append(&mut line)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Offers all rows of the answer to the pager until time runs out.
fn gather(
    store: &mut Reader<'_>,
    question: &CirclQuery,
    out: &Out,
    pager: &mut Pager,
    late: &mut bool,
) -> Result<(), StoreError> {
    let mut take = |row: StoredRecord| {
        let is_wanted = match (question.only, &row.fact) {
            // Names that are not kept have no form in COF.
            _ if row.unkept.is_some() => false,
            (Only::Any, _) => true,
            (Only::One(wanted), FactBuf::Record(rdata)) => wanted == rdata.rrtype,
            _ => false,
        };
        if is_wanted {
            pager.offer(row);
        }
        if out.check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let names = match &question.what {
        CirclSubject::Subject(subject @ (Subject::Name(_) | Subject::Addresses(..))) => {
            let sections = Sections::open(store, subject, false)?;
            for section in [Section::Records, Section::Pointing] {
                sections.rows(store, section, usize::MAX, &mut take)?;
            }
            None
        }
        CirclSubject::Subject(Subject::Below(apex)) => {
            Some(Walk::Text(Text { below: Some(apex.clone()), ..Text::default() }))
        }
        CirclSubject::Subject(Subject::AtOrBelow(apex)) => Some(Walk::AtOrBelow(apex.clone())),
        CirclSubject::Beginning(word) => {
            Some(Walk::Text(Text { starts: Some(word.clone()), ..Text::default() }))
        }
    };
    if let Some(names) = names {
        let stop = || out.check().is_err();
        walk(store, &names, &|_| true, usize::MAX, &stop, &mut |store, names| {
            store.records_by_names(names, &mut take)?;
            Ok(if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    *late = out.check() == Err(super::stream::Cancelled::Late);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;

    fn one(value: &str) -> Result<CirclSubject, HttpError> {
        what(&decode(value)?)
    }

    #[track_caller]
    fn check_subject(value: &str, want: Subject) {
        assert_eq!(one(value), Ok(CirclSubject::Subject(want)), "{value}");
    }

    #[test]
    fn values_are_read_as_clients_send_them() {
        let name = |text| NameBuf::parse(text).unwrap();
        let addresses =
            |from: &str, to: &str| Subject::Addresses(from.parse().unwrap(), to.parse().unwrap());
        check_subject("WWW.example.com.", Subject::Name(name("www.example.com")));
        for value in ["*.example.com", "%2A.example.com", "%2a.Example.com."] {
            check_subject(value, Subject::Below(name("example.com")));
        }
        check_subject(".example.com", Subject::AtOrBelow(name("example.com")));
        let word = Word::parse("www.example.").unwrap();
        assert_eq!(one("www.example.*"), Ok(CirclSubject::Beginning(word)));
        for value in [
            "192.0.2.0/24",
            "192.0.2.0,24",
            "192.0.2.0%2F24",
            "192.0.2.0%2c24",
            "192.0.2.0-192.0.2.255",
        ] {
            check_subject(value, addresses("192.0.2.0", "192.0.2.255"));
        }
        for value in ["2001:db8::1", "2001%3Adb8%3A%3A1", "[2001:db8::1]"] {
            check_subject(value, addresses("2001:db8::1", "2001:db8::1"));
        }
        check_subject("https://evil[.]example/x", Subject::Name(name("evil.example")));
        for value in [
            "",
            "192.0.2.0/33",
            "192.0.2.9-192.0.2.1",
            "a.*.b",
            "*.a.*",
            "a..b",
            "%zz",
            "%00",
            "%ff",
        ] {
            let refused = one(value).unwrap_err();
            assert_eq!(refused.status, 400, "{value}: {}", refused.line());
        }
    }

    #[test]
    fn pages_are_asked_for_by_headers() {
        let ask = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            understand("example.com", &headers, 1_000)
        };
        let question = ask(&[]).unwrap();
        assert_eq!((question.count, question.after, question.only), (1_000, None, Only::Any));
        let question = ask(&[
            ("dribble-paginate-count", "50"),
            ("dribble-paginate-cursor", "4294967297"),
            ("dribble-filter-rrtype", "aaaa"),
            ("dribble-disable-active-query", "1"),
        ])
        .unwrap();
        assert_eq!((question.count, question.only), (50, Only::One(RrType::AAAA)));
        assert_eq!(question.after.map(Cursor::number), Some(4_294_967_297));
        assert_eq!(ask(&[("dribble-paginate-count", "5000")]).unwrap().count, 1_000);
        assert_eq!(ask(&[("dribble-filter-rrtype", "nonsense")]).unwrap().only, Only::Nothing);
        for (name, value) in [
            ("dribble-paginate-count", "0"),
            ("dribble-paginate-count", "-1"),
            ("dribble-paginate-count", "x"),
            ("dribble-paginate-cursor", "0"),
            ("dribble-paginate-cursor", "x"),
        ] {
            assert_eq!(ask(&[(name, value)]).unwrap_err().status, 400, "{name}: {value}");
        }
    }
}
