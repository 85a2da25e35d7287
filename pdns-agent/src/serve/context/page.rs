//! Pages as responses: the templates, and the headers that tell a browser what the page may do.
//!
//! Part of the page. A page is a single document: its style is inline, and allowed by its digest. It loads
//! nothing else and runs no script, its forms submit only to this server, and only our own pages and those that
//! the operator configures may frame it.

use super::score_card::ScoreCard;
use super::timeline::Time;
use super::view::{Badge, Judgement, Link, RecordTable, Vicinity};
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, header};
use base64ct::{Base64, Encoding as _};
use ring::digest;
use std::sync::LazyLock;

/// The style, without blank lines, because responses are sent line by line.
static STYLE: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../../../templates/style.css");
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
});

/// The digest of the style, as in a policy.
static STYLE_DIGEST: LazyLock<String> = LazyLock::new(|| {
    let digest = digest::digest(&digest::SHA256, STYLE.as_bytes());
    Base64::encode_string(digest.as_ref())
});

/// Elements common to all pages.
pub(super) struct PageFrame {
    /// Title of the window.
    pub(super) title: String,
    /// Text in the search box.
    pub(super) asked: String,
}

impl PageFrame {
    /// Returns the style for the templates.
    #[expect(clippy::unused_self, reason = "templates call methods of what they show")]
    pub(super) fn style(&self) -> &'static str {
        &STYLE
    }
}

/// The page of a subject.
#[derive(Template)]
#[template(path = "context.html")]
pub(super) struct Context {
    pub(super) frame: PageFrame,
    /// The subject in the notation in which it is typed.
    pub(super) subject: String,
    /// `name`, `address`, `prefix`, `range` or `names below`.
    pub(super) sort: &'static str,
    /// Its Unicode form, and the script of that.
    pub(super) unicode: Option<crate::name::display::Unicode>,
    pub(super) badges: Vec<Badge>,
    pub(super) summary: String,
    /// Messages: the change just made, or the log field that a click came from.
    pub(super) said: Vec<String>,
    pub(super) others: Vec<Link>,
    /// Subjects around this one: the domain, the prefix.
    pub(super) pivots: Vec<Link>,
    /// Link to the records in COF.
    pub(super) cof: String,
    pub(super) hunt: Option<String>,
    pub(super) tables: Vec<RecordTable>,
    pub(super) vicinities: Vec<Vicinity>,
    pub(super) near: Option<NearThreat>,
    /// The score, if the subject has one.
    pub(super) score: Option<ScoreCard>,
    pub(super) tags: Vec<Judgement>,
    pub(super) history: Vec<Judgement>,
    /// Note on the part of the history that is missing.
    pub(super) history_note: String,
    /// The form that sets tags, for visitors who may set them.
    pub(super) form: Option<Form>,
}

/// The nearest threat.
pub(super) struct NearThreat {
    pub(super) from: Link,
    pub(super) threat: Link,
    /// The nearest address of the threat, if the threat is a prefix.
    pub(super) at: String,
    pub(super) distance: String,
    pub(super) shared: u8,
    pub(super) note: String,
    /// True if some addresses were not compared.
    pub(super) is_part: bool,
    /// The number of addresses compared, and the total, if not all were compared.
    pub(super) compared: String,
}

/// Contents of the form.
pub(super) struct Form {
    pub(super) token: String,
    /// The subject, in a notation that can be read back.
    pub(super) subject: String,
    /// True if a tag may also cover everything below the name.
    pub(super) has_below: bool,
}

/// Further rows of one section.
#[derive(Template)]
#[template(path = "section.html")]
pub(super) struct OneSection {
    pub(super) frame: PageFrame,
    pub(super) subject: Link,
    pub(super) table: RecordTable,
    /// Link to the next page.
    pub(super) next: Option<String>,
    pub(super) is_late: bool,
}

/// The start page.
#[derive(Template)]
#[template(path = "start.html")]
pub(super) struct Start {
    pub(super) frame: PageFrame,
    /// Statistics: label and value.
    pub(super) numbers: Vec<(&'static str, String)>,
    /// Problems that the operator has to fix before the store accepts more data.
    pub(super) warnings: Vec<String>,
    pub(super) written: Option<Time>,
    pub(super) latest: Vec<Judgement>,
}

/// A page with a single message.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessagePage {
    pub(super) frame: PageFrame,
    pub(super) title: &'static str,
    pub(super) text: String,
}

/// Media type of pages.
pub(super) const MEDIA: &str = "text/html; charset=utf-8";

/// Returns the headers of a page. `ancestors` (policy sources, separated by blanks) may frame it, besides our
/// own pages.
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
    // With no-referrer, browsers would not tell where a form comes from.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers
}
