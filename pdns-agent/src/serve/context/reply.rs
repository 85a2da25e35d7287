//! Sending of pages: complete pages line by line, and refusals as pages.
//!
//! Part of the page; the last step of each request.

use super::page::{MEDIA, MessagePage, PageFrame};
use super::{page, sanitize};
use crate::serve::app::App;
use crate::serve::http_error::HttpError;
use crate::serve::pages::Pages;
use crate::serve::stream::Out;
use askama::Template;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

/// Maximum length of a value repeated in the search box, in characters.
const MAX_ASKED: usize = 300;
/// Maximum length of a refusal's line, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// Sends a page, line by line.
pub(super) fn send(page: &impl Template, pages: &Pages, more: HeaderMap, out: &mut Out) {
    let Ok(html) = page.render() else {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        out.refuse(HttpError::new(status, "the page could not be made"));
        return;
    };
    let mut headers = page::headers(&pages.ancestors);
    headers.extend(more);
    out.begin(MEDIA, headers);
    for line in html.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if out.line(|chunk| chunk.extend_from_slice(line.as_bytes())).is_err() {
            break;
        }
    }
}

/// Responds to a value that cannot be looked up.
pub(super) fn no_subject(app: &App, value: &str) -> Response {
    let text = if value.trim().is_empty() {
        "Nothing was given to look up.".to_owned()
    } else {
        "This is not a domain name, IP address or URL, and contains none. \
         Names, addresses, prefixes, URLs and lists of them with commas can be looked up; an odd octet of a \
         name is written \\DDD."
            .to_owned()
    };
    let title = "Not an IP address or domain";
    message(app, StatusCode::NOT_FOUND, title, text, value)
}

/// Renders a refusal as a page.
pub(super) fn refused(app: &App, refusal: &HttpError) -> Response {
    message(app, refusal.status, title_of(refusal.status), sentence(refusal.line()), "")
}

/// Renders a handler's refusal as a page; passes other responses through unchanged.
pub(super) async fn politely(app: &App, response: Response) -> Response {
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let line = to_bytes(body, MAX_LINE).await.unwrap_or_default();
    let line = sentence(String::from_utf8_lossy(&line).trim());
    let mut page = message(app, status, title_of(status), line, "");
    if let Some(retry) = parts.headers.get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, retry.clone());
    }
    page
}

fn title_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "Not now",
        status if status.is_server_error() => "That went wrong",
        _ => "That cannot be done",
    }
}

/// Turns a line into a sentence.
fn sentence(line: &str) -> String {
    let mut letters = line.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let whole: String = first.into_iter().chain(letters).collect();
    if whole.ends_with('.') { whole } else { whole + "." }
}

fn message(
    app: &App,
    status: StatusCode,
    title: &'static str,
    text: String,
    value: &str,
) -> Response {
    let frame = PageFrame { title: title.to_owned(), asked: sanitize::visible(&shortened(value)) };
    let html = MessagePage { frame, title, text }.render().unwrap_or_else(|_| title.to_owned());
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    *response.headers_mut() = page::headers(&app.pages.ancestors);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    response
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MAX_ASKED).collect()
}
