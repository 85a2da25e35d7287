//! Fetching feeds: lists by HTTP or from a file, collections of TAXII 2.1 servers, MISP feeds and MISP servers.
//!
//! A fetch hands out documents, which `exchange::intel` parses, and returns a [`FetchState`]: what the next fetch has to
//! know to ask for changes only. The store keeps it. This module knows neither the store nor the formats of lists.

mod credentials;
mod list;
mod misp;
mod misp_feed;
mod schedule;
mod settings;
mod state;
mod taxii;
#[cfg(test)]
mod tests;
mod unpack;
mod zip;

pub use credentials::Credentials;
pub use schedule::Attempts;
pub use settings::{Assessment, Feed, Location, Protocol, ReadOptions};
pub use state::FetchState;

use crate::outgoing::{Body, Client, CopyError, Fetched, OutgoingError, Request, Secret};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Error with a feed: one sentence without secrets.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The request failed.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The list is too large or cannot be unpacked. The text is the end of a sentence that begins with "the list".
    #[error("the list {0}")]
    List(String),
    /// The answer does not follow the protocol.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// The temporary file cannot be used.
    #[error("cannot use the temporary file")]
    TemporaryFile(#[source] io::Error),
}

impl From<CopyError> for FeedError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read(cause) | CopyError::TemporaryFile(cause) => Self::TemporaryFile(cause),
            CopyError::TooLarge(reason) => Self::List(reason),
            CopyError::Compression(_) => Self::List(error.to_string()),
        }
    }
}

impl FeedError {
    /// The time after which the server wants to be asked again, for [`Attempts::after_failure`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Outgoing(error) => error.retry_after(),
            _ => None,
        }
    }
}

/// One document of a feed.
#[derive(Debug)]
pub struct Document {
    /// What it is within the feed, such as `page 2` or the UUID of an event; empty if it is the whole feed.
    pub name: String,
    /// Temporary file with the document, decompressed, at its start.
    pub file: File,
}

impl Document {
    /// Reader of the document.
    #[must_use]
    pub fn reader(self) -> BufReader<File> {
        BufReader::new(self.file)
    }
}

/// What the documents of a fetch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// There are none: nothing has changed.
    Unchanged,
    /// The whole list, with nothing missing: what it does not contain is no longer listed.
    Whole,
    /// What is new or changed since the last fetch: everything else remains as it was.
    Changes,
}

/// Result of a fetch.
#[derive(Debug)]
pub struct Fetch {
    /// What the documents are.
    pub extent: Extent,
    /// State for the next fetch, to be kept once the documents are stored.
    pub state: FetchState,
    /// Parts that are missing, one sentence each. The next fetch asks for them again.
    pub problems: Vec<String>,
}

/// Receives the documents of a fetch, one after another.
pub type Take<'t> = dyn FnMut(Document) + 't;

/// Looks up an environment variable.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Access to one feed.
#[derive(Debug)]
pub struct FeedClient<'f> {
    feed: &'f Feed,
    client: Client,
    secrets: Vec<(String, Secret)>,
}

impl<'f> FeedClient<'f> {
    /// Reads the credentials of a feed and prepares its client. `env` looks up an environment variable, for credentials
    /// and the proxy.
    ///
    /// # Errors
    /// [`FeedError`] for credentials, a proxy or a certificate file that cannot be used.
    pub fn new(feed: &'f Feed, env: Env<'_>) -> Result<Self, FeedError> {
        let secrets = feed.credentials.headers(env)?;
        Ok(Self { feed, client: Client::new(&feed.outgoing, env)?, secrets })
    }

    /// Fetches what is new, and hands each document to `take`. `state` is that of the last fetch; it is ignored if it is
    /// of another server or file.
    ///
    /// # Errors
    /// [`FeedError`]. Documents may have been handed out before; nothing is lost if they are stored, since the next
    /// fetch brings them again.
    pub fn fetch(&self, state: &FetchState, take: &mut Take<'_>) -> Result<Fetch, FeedError> {
        let source = state::source(self.feed);
        let known =
            if state.source == Some(source) { state.clone() } else { FetchState::default() };
        let mut fetch = match (self.feed.protocol, &self.feed.location) {
            (_, Location::File(path)) => list::from_file(self, path, &known, take),
            (Protocol::Http, Location::Url(url)) => list::from_url(self, url, &known, take),
            (Protocol::Taxii, Location::Url(url)) => taxii::fetch(self, url, known, take),
            (Protocol::MispFeed, Location::Url(url)) => misp_feed::fetch(self, url, known, take),
            (Protocol::Misp, Location::Url(url)) => misp::fetch(self, url, known, take),
        }?;
        fetch.state.source = Some(source);
        Ok(fetch)
    }

    /// Tells a MISP server that `values` were seen at `time`, in seconds since the epoch, by `source`. Returns false if
    /// the server knows none of them.
    ///
    /// # Errors
    /// [`FeedError`] if the feed is not a MISP server, or the request fails.
    pub fn post_sighting(
        &self,
        values: &[String],
        time: u32,
        source: &str,
    ) -> Result<bool, FeedError> {
        match (self.feed.protocol, &self.feed.location) {
            (Protocol::Misp, Location::Url(url)) => {
                misp::post_sighting(self, url, values, time, source)
            }
            _ => Err(FeedError::Answer(
                "sightings can only be sent to a feed of type misp".to_owned(),
            )),
        }
    }

    /// Sends a request with the credentials of the feed.
    fn send(&self, mut request: Request) -> Result<Fetched, FeedError> {
        request.secrets.clone_from(&self.secrets);
        Ok(self.client.send(&request)?)
    }

    /// Sends a request whose answer cannot be "not modified".
    fn send_for_body(&self, request: Request) -> Result<Body, FeedError> {
        match self.send(request)? {
            Fetched::Body(body) => Ok(body),
            Fetched::NotModified => Err(FeedError::Answer("not modified".to_owned())),
        }
    }
}

/// Number of times that a fetch of many requests may take as long as the limit of one request.
const REQUESTS: u32 = 12;

/// What a fetch of many requests may still use.
#[derive(Debug)]
struct Budget {
    total: u64,
    /// Bytes of its documents.
    left: u64,
    time: Duration,
    start: Instant,
}

impl Budget {
    fn new(feed: &Feed) -> Self {
        let bytes = feed.outgoing.size.bytes;
        let time = feed.outgoing.total_time.saturating_mul(REQUESTS);
        Self { total: bytes, left: bytes, time, start: Instant::now() }
    }

    /// Counts a file and the time so far.
    fn spend(&mut self, file: &File) -> Result<(), FeedError> {
        let length = file.metadata().map_err(FeedError::TemporaryFile)?.len();
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return Err(FeedError::List(format!("is larger than {} bytes", self.total))),
        }
        if self.start.elapsed() > self.time {
            return Err(FeedError::List(format!(
                "takes longer than {} seconds",
                self.time.as_secs()
            )));
        }
        Ok(())
    }
}

/// Parses a JSON answer and sets its file back to the start.
fn parse_json<T: serde::de::DeserializeOwned>(file: &mut File) -> Result<T, FeedError> {
    let mut reader = BufReader::new(&*file);
    let is_page = reader.fill_buf().is_ok_and(|head| head.trim_ascii_start().starts_with(b"<"));
    let parsed = serde_json::from_reader(reader).map_err(|error| {
        // A login page, or that of a proxy.
        let what = if is_page {
            "it is a web page, not JSON"
        } else {
            "it is not the JSON that was asked for"
        };
        let reason = crate::outgoing::printable(&error.to_string());
        FeedError::Answer(format!("{what} ({reason})"))
    })?;
    file.rewind().map_err(FeedError::TemporaryFile)?;
    Ok(parsed)
}
