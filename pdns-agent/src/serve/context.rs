//! The page behind a right click: `/context/SUBJECT`, `/context?q=VALUE`, the start page `/`, and the form for
//! tags.
//!
//! Part of `serve`, for people with a browser; the pages have no scripts. The path of a value:
//!
//! ```text
//! parse_value (what was clicked) -> compose (query::profile) -> view -> page (templates, policy)
//!                             tag_form (the form) <- session (is it ours?)
//! ```

mod compose;
mod page;
mod parse_value;
mod reply;
mod sanitize;
mod score_card;
mod tag_form;
mod timeline;
mod view;

use super::app::{App, now};
use super::clients::ClientHandle;
use super::http_error::HttpError;
use super::metrics::Endpoint;
use super::pages::Pages;
use super::pages::session::{Session, is_from_here};
use super::part;
use super::stream::{QueryContext, ask, change_tags};
use super::users::Identity;
use crate::query::{Cursor, Section, TimeSpec};
use crate::store::StoreError;
use crate::tag::TagOutcome;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use compose::PageRequest;
use page::MEDIA;
use parse_value::ClickedValue;
use reply::{no_subject, politely, refused, send, shortened};
use std::sync::Arc;
use std::time::Duration;

/// Maximum time to build a page.
const TIME: Duration = Duration::from_secs(15);
/// Author of tags if users do not have to authenticate.
const LOCAL: &str = "local";

/// The visitor, with their session.
struct Visitor {
    name: String,
    may_tag: bool,
    session: Option<Session>,
}

impl Visitor {
    fn new(app: &App, identity: &Identity, headers: &HeaderMap) -> Self {
        let name = identity.name.as_deref().unwrap_or(LOCAL).to_owned();
        // Without users, the server is open to this machine only, like its store.
        let may_tag = identity.may_tag || app.users.is_open();
        Self { name, may_tag, session: Session::of(headers) }
    }

    /// Returns the token for a form, if this visitor may send one.
    fn token(&self, pages: &Pages) -> Option<String> {
        let session = self.session.as_ref().filter(|_| self.may_tag)?;
        Some(pages.sessions.as_ref()?.token(session, &self.name))
    }
}

/// Reads what follows `/context/` in a path, for the fuzzer; a subject's own path reads back as the same.
pub(super) fn check(tail: &str) {
    if let Some(ClickedValue { subject, .. }) = ClickedValue::of_path(tail) {
        let path = parse_value::path_of(&subject);
        let again = path.strip_prefix("/context/").or_else(|| path.strip_prefix("/context?q="));
        let again = again.and_then(ClickedValue::of_path);
        assert_eq!(again.map(|again| again.subject), Some(subject), "{path}");
    }
}

/// `GET /`.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
) -> Response {
    let pages = Arc::clone(&app);
    let asking = asking(&app, asker);
    let response = ask(asking, move |store, out| {
        let start = compose::start(store)?;
        send(&start, &pages.pages, HeaderMap::new(), out);
        Ok(())
    });
    politely(&app, response.await).await
}

/// `GET /context?q=VALUE`, with `field` and `t` of the clicked event, or `show` and `after` for further rows of
/// one section.
pub(super) async fn query(
    state: State<Arc<App>>,
    asker: Extension<ClientHandle>,
    identity: Extension<Identity>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let parameters = match part::parameters(uri.query()) {
        Ok(parameters) => parameters,
        Err(refusal) => return refused(&state.0, &refusal),
    };
    let value = parameters.iter().find(|(name, _)| name == "q").map(|(_, value)| value.clone());
    match value.filter(|value| !value.trim().is_empty()) {
        None => (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response(),
        Some(value) => {
            let asked = ClickedValue::read(&value);
            context(state, asker, identity, &headers, &parameters, asked, &value).await
        }
    }
}

/// `GET /context/SUBJECT`, with the same parameters except `q`.
pub(super) async fn subject(
    state: State<Arc<App>>,
    asker: Extension<ClientHandle>,
    identity: Extension<Identity>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let parameters = match part::parameters(uri.query()) {
        Ok(parameters) => parameters,
        Err(refusal) => return refused(&state.0, &refusal),
    };
    let tail = uri.path().strip_prefix("/context/").unwrap_or_default();
    let asked = ClickedValue::of_path(tail);
    let value = part::decode(tail).unwrap_or_default();
    context(state, asker, identity, &headers, &parameters, asked, &value).await
}

async fn context(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
    Extension(identity): Extension<Identity>,
    headers: &HeaderMap,
    parameters: &[(String, String)],
    asked: Option<ClickedValue>,
    value: &str,
) -> Response {
    let Some(asked) = asked else { return no_subject(&app, value) };
    let parameter = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let section = parameter("show").and_then(Section::parse);
    let after = parameter("after").and_then(Cursor::parse);
    let done = tag_form::told(
        parameter("done").unwrap_or_default(),
        parameter("kind").unwrap_or_default(),
    );
    let visitor = Visitor::new(&app, &identity, headers);
    let visit = PageRequest {
        asked,
        field: parameter("field").map(|field| sanitize::visible(&shortened(field))),
        at: parameter("t").and_then(|text| TimeSpec::parse(text, now()).ok()).map(|at| at.start),
        done,
        token: visitor.token(&app.pages),
    };
    let cookie = visitor.session.and_then(|session| session.cookie(app.pages.is_secure));
    let mut headers = HeaderMap::new();
    headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    let shared = Arc::clone(&app);
    let response = ask(asking(&app, asker), move |store, out| {
        let pages = &shared.pages;
        if let Some(section) = section {
            let made = compose::section(store, &visit.asked.subject, section, after, out)?;
            send(&made, pages, headers, out);
        } else {
            let tagged = pages.tagged(store)?;
            let mut scorer = pages.scorer.clone();
            scorer.refresh_with(store, tagged.threats)?;
            let near = compose::Around { threats: &tagged.tags, scorer: &scorer, now: now() };
            let made = compose::context(store, visit, &near, pages.hunt.as_ref(), out)?;
            send(&made, pages, headers, out);
        }
        Ok(())
    });
    politely(&app, response.await).await
}

/// `POST /tag`.
pub(super) async fn tag(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let visitor = Visitor::new(&app, &identity, &headers);
    let wish = match allowed(&app, &visitor, &headers, &body) {
        Ok(wish) => wish,
        Err(refusal) => return refused(&app, &refusal),
    };
    let response = change_tags(asking(&app, asker), move |tags, out| {
        let outcomes = tags.change(std::slice::from_ref(&wish.change));
        let outcome = match outcomes {
            Ok(outcomes) => outcomes.first().copied().unwrap_or(TagOutcome::Same),
            Err(error @ StoreError::TooManyTags) => {
                out.refuse(HttpError::new(StatusCode::CONFLICT, error.to_string()));
                return Ok(());
            }
            Err(StoreError::Refused(_)) => {
                let line = "this server's Redis user may not set tags: give it that of who tags";
                out.refuse(HttpError::new(StatusCode::FORBIDDEN, line));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut headers = HeaderMap::new();
        if let Ok(location) = HeaderValue::from_str(&wish.done(outcome)) {
            headers.insert(header::LOCATION, location);
        }
        out.begin(MEDIA, headers);
        Ok(())
    });
    let mut response = politely(&app, response.await).await;
    if response.headers().contains_key(header::LOCATION) {
        *response.status_mut() = StatusCode::SEE_OTHER;
    }
    response
}

/// Returns the change requested by a form, if this visitor may make it and the form is one of ours.
fn allowed(
    app: &App,
    visitor: &Visitor,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<tag_form::Wish, HttpError> {
    let forbidden = |line: &str| Err(HttpError::new(StatusCode::FORBIDDEN, line));
    if !visitor.may_tag {
        return forbidden("you may not set tags: pdns serve user add NAME --may-tag lets a user");
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|media| media.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let line = "send a form (application/x-www-form-urlencoded)";
        return Err(HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, line));
    }
    if !is_from_here(headers) {
        return forbidden("the form comes from a page of another site");
    }
    let wish = tag_form::Wish::read(body, &visitor.name, now())?;
    let is_ours =
        app.pages.sessions.as_ref().zip(visitor.session.as_ref()).is_some_and(
            |(sessions, session)| sessions.is_token(&wish.token, session, &visitor.name),
        );
    if !is_ours {
        return forbidden(
            "the form is too old, or its cookie is gone: go back, load the page again and send it once more",
        );
    }
    Ok(wish)
}

fn asking(app: &Arc<App>, asker: ClientHandle) -> QueryContext {
    let time = app.limits.time.min(TIME);
    QueryContext { app: Arc::clone(app), asker, endpoint: Endpoint::Page, time, keep_alive: None }
}
