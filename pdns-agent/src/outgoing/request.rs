//! A request and its answer.

use super::body::{CopyError, SizeLimits, gunzip_to_temporary_file, to_temporary_file};
use super::classify::classify;
use super::error::{OutgoingError, printable};
use super::{OutgoingSettings, Secret};
use std::fs::File;
use ureq::http::{self, HeaderMap, HeaderValue};
use url::Url;

/// The types of answer that a request can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Any type except HTML, which is a login page or an error rather than a list.
    #[default]
    NotHtml,
    /// JSON of any kind.
    Json,
    /// Anything: the answer is not used.
    Any,
}

/// What a server said about the version of an answer, for a conditional request (RFC 9110 §13).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A request. `Debug` hides secrets.
#[derive(Clone, Debug)]
pub struct Request {
    /// The URL.
    pub url: String,
    /// Headers: name and value.
    pub headers: Vec<(String, String)>,
    /// Headers with credentials.
    pub secrets: Vec<(String, Secret)>,
    /// Body of a POST request; a GET request has none.
    pub body: Option<Vec<u8>>,
    /// The version that is known; an unchanged answer is then not sent again.
    pub known: Validators,
    /// The expected type of the answer.
    pub expected: Expected,
    /// True if the request can be repeated without harm after the server may have processed it.
    pub is_repeatable: bool,
}

impl Request {
    /// A GET request.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            headers: Vec::new(),
            secrets: Vec::new(),
            body: None,
            known: Validators::default(),
            expected: Expected::NotHtml,
            is_repeatable: true,
        }
    }

    /// A POST request with a JSON body, which only asks for something if `is_repeatable`.
    #[must_use]
    pub fn post_json(url: &str, body: &serde_json::Value, is_repeatable: bool) -> Self {
        let mut request = Self::get(url);
        request.body = Some(body.to_string().into_bytes());
        request.headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
        ];
        request.expected = Expected::Json;
        request.is_repeatable = is_repeatable;
        request
    }

    /// A POST request that delivers a body of a media type. It is repeated after failures: the receiver knows what it
    /// has by the identifiers in it.
    #[must_use]
    pub fn post(url: &str, body: Vec<u8>, media: &str) -> Self {
        let mut request = Self::get(url);
        request.body = Some(body);
        request.headers = vec![("Content-Type".to_owned(), media.to_owned())];
        request.expected = Expected::Any;
        request
    }

    pub(super) fn has_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    pub(super) fn is_conditional(&self) -> bool {
        self.known != Validators::default()
    }

    /// The head as the client sends it.
    pub(super) fn head(&self, url: &Url) -> Result<http::Request<()>, OutgoingError> {
        let mut head = http::Request::builder()
            .method(if self.body.is_some() { "POST" } else { "GET" })
            .uri(url.as_str());
        for (name, value) in &self.headers {
            head = head.header(name, value);
        }
        for (name, secret) in &self.secrets {
            let value = HeaderValue::from_str(secret.reveal()).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            let value = value.map_err(|_| {
                OutgoingError::Secret(format!("the secret for {name} is not valid in a header"))
            })?;
            head = head.header(name, value);
        }
        for (name, value) in
            [("If-None-Match", &self.known.etag), ("If-Modified-Since", &self.known.last_modified)]
        {
            if let Some(value) = value {
                head = head.header(name, value);
            }
        }
        head.body(()).map_err(|error| OutgoingError::Url(printable(&error.to_string())))
    }
}

/// The answer to a request.
#[derive(Debug)]
pub enum Fetched {
    /// The answer has not changed since the known version.
    NotModified,
    /// The answer.
    Body(Body),
}

/// A complete, decompressed answer.
#[derive(Debug)]
pub struct Body {
    /// Temporary file with the answer, at its start. It has no name, and is deleted when it is closed.
    pub file: File,
    /// The version of the answer.
    pub validators: Validators,
    headers: HeaderMap,
}

impl Body {
    /// Value of a header, if it is printable ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Media type of the answer in lower case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> String {
        media_type(&self.headers)
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get("content-type").and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Receives an answer into a temporary file.
pub(super) fn receive(
    response: http::Response<ureq::Body>,
    request: &Request,
    host: &str,
    settings: &OutgoingSettings,
) -> Result<Fetched, OutgoingError> {
    let (parts, mut body) = response.into_parts();
    let headers = parts.headers;
    let found = media_type(&headers);
    let is_html = matches!(found.as_str(), "text/html" | "application/xhtml+xml");
    let (fits, expected) = match request.expected {
        Expected::NotHtml => (!is_html, "a list"),
        Expected::Json => (found.ends_with("json"), "JSON"),
        Expected::Any => (true, "anything"),
    };
    let host = host.to_owned();
    if !fits {
        return Err(OutgoingError::ContentType { host, found: printable(&found), expected });
    }
    let validator = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.filter(|value| value.len() <= 1024).map(str::to_owned)
    };
    let validators =
        Validators { etag: validator("etag"), last_modified: validator("last-modified") };
    let encoding = headers.get("content-encoding").map_or(&b""[..], HeaderValue::as_bytes);
    let limits: SizeLimits = settings.size;
    let mut reader = body.as_reader();
    let copied = match encoding.to_ascii_lowercase().as_slice() {
        b"" | b"identity" => to_temporary_file(&mut reader, limits),
        b"gzip" | b"x-gzip" => gunzip_to_temporary_file(&mut reader, limits),
        other => Err(CopyError::Compression(format!(
            "the encoding {} is not supported",
            printable(&String::from_utf8_lossy(other))
        ))),
    };
    match copied {
        Ok(file) => Ok(Fetched::Body(Body { file, validators, headers })),
        Err(CopyError::Read(cause)) => Err(classify(ureq::Error::from(cause), &host, settings)),
        Err(CopyError::TooLarge(reason)) => Err(OutgoingError::TooLarge { host, reason }),
        Err(CopyError::Compression(reason)) => Err(OutgoingError::Compression { host, reason }),
        Err(CopyError::TemporaryFile(cause)) => Err(OutgoingError::TemporaryFile(cause)),
    }
}
