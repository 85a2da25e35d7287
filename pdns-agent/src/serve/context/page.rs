//! Pages as responses: the templates, and the headers that say what a browser may do with them.
//!
//! Part of the page. A page is one document: its style is within, and allowed by its digest; nothing else is loaded,
//! no script runs, forms go home, and only our own pages and those that the operator names may frame it.

use super::timeline::Time;
use super::view::{Badge, Judgement, Link, Table, Vicinity};
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, header};
use base64ct::{Base64, Encoding as _};
use ring::digest;
use std::sync::LazyLock;

/// The style, without blank lines, since lines are what answers are sent in.
static STYLE: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../../../templates/style.css");
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
});

/// The digest of the style, as a policy names it.
static STYLE_DIGEST: LazyLock<String> = LazyLock::new(|| {
    let digest = digest::digest(&digest::SHA256, STYLE.as_bytes());
    Base64::encode_string(digest.as_ref())
});

/// What all pages have.
pub(super) struct Frame {
    /// Title of the window.
    pub(super) title: String,
    /// What stands in the search box.
    pub(super) asked: String,
}

impl Frame {
    /// The style for the templates.
    #[expect(clippy::unused_self, reason = "templates call methods of what they show")]
    pub(super) fn style(&self) -> &'static str {
        &STYLE
    }
}

/// The page of a subject.
#[derive(Template)]
#[template(path = "context.html")]
pub(super) struct Context {
    pub(super) frame: Frame,
    /// The subject as it is typed.
    pub(super) subject: String,
    /// `name`, `address`, `prefix`, `range` or `names below`.
    pub(super) sort: &'static str,
    /// Its Unicode form and the script of that.
    pub(super) unicode: Option<crate::name::display::Unicode>,
    pub(super) badges: Vec<Badge>,
    pub(super) summary: String,
    /// What was just done, or that a click came from a field of a log.
    pub(super) said: Vec<String>,
    pub(super) others: Vec<Link>,
    /// Subjects around this one: the domain, the prefix.
    pub(super) pivots: Vec<Link>,
    /// Where the records are as COF.
    pub(super) cof: String,
    pub(super) hunt: Option<String>,
    pub(super) tables: Vec<Table>,
    pub(super) vicinities: Vec<Vicinity>,
    pub(super) near: Option<NearThreat>,
    pub(super) tags: Vec<Judgement>,
    pub(super) history: Vec<Judgement>,
    /// What is missing of the history.
    pub(super) history_note: String,
    /// The form that sets tags, for those who may.
    pub(super) form: Option<Form>,
}

/// The nearest threat.
pub(super) struct NearThreat {
    pub(super) from: Link,
    pub(super) threat: Link,
    /// The nearest address of the threat, when that is a prefix.
    pub(super) at: String,
    pub(super) distance: String,
    pub(super) shared: u8,
    pub(super) note: String,
    /// Whether there are addresses that were not compared.
    pub(super) is_part: bool,
    /// How many addresses of how many were compared, if not all.
    pub(super) compared: String,
}

/// What the form bears.
pub(super) struct Form {
    pub(super) token: String,
    /// The subject, as it is read back.
    pub(super) subject: String,
    /// Whether a tag may hold for all names below, too.
    pub(super) has_below: bool,
}

/// More of one section.
#[derive(Template)]
#[template(path = "section.html")]
pub(super) struct OneSection {
    pub(super) frame: Frame,
    pub(super) subject: Link,
    pub(super) table: Table,
    /// Where the next page is.
    pub(super) next: Option<String>,
    pub(super) is_late: bool,
}

/// The start page.
#[derive(Template)]
#[template(path = "start.html")]
pub(super) struct Start {
    pub(super) frame: Frame,
    /// What is counted, and how many there are.
    pub(super) numbers: Vec<(&'static str, String)>,
    /// What the operator has to change before the store takes more.
    pub(super) warnings: Vec<String>,
    pub(super) written: Option<Time>,
    pub(super) latest: Vec<Judgement>,
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message {
    pub(super) frame: Frame,
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// The media type of pages.
pub(super) const MEDIA: &str = "text/html; charset=utf-8";

/// The headers of a page that `ancestors` (sources of a policy, separated by blanks) may frame, beside our own.
pub(super) fn headers(ancestors: &str) -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'self'{ancestors}",
        *STYLE_DIGEST
    );
    let mut headers = HeaderMap::new();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // With no-referrer, browsers would not say where a form comes from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers
}
