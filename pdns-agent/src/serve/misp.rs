//! `/misp/`: a MISP feed of the tagged threats: `manifest.json`, `hashes.csv` and `UUID.json`, the event.
//!
//! Only what may go to the community is in it: TLP:GREEN and weaker. Each file is made anew from the store.

use super::Feed;
use super::app::App;
use super::clients::ClientHandle;
use super::http_error::HttpError;
use super::metrics::Endpoint;
use super::stream::{Out, QueryContext, ask};
use crate::exchange::{List, ListOptions, Writer, misp_file_name};
use crate::name::Name;
use crate::query::{ExportConditions, ExportDetail, ExportItem, ExportSpec, TagSet, export_tags};
use crate::store::{Reader, StoreError};
use crate::tag::TagKind;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A file of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedFile {
    Manifest,
    Hashes,
    Event,
}

/// Handles a request for a file.
pub(super) async fn file(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<ClientHandle>,
    uri: Uri,
) -> Response {
    let file = match uri.path().strip_prefix("/misp/").unwrap_or_default() {
        "manifest.json" => FeedFile::Manifest,
        "hashes.csv" => FeedFile::Hashes,
        name if name == misp_file_name(&app.feed.identity) => FeedFile::Event,
        _ => {
            let line =
                "the feed has manifest.json, hashes.csv and the event that the manifest names";
            return HttpError::not_found(line).into_response();
        }
    };
    let feed = app.feed.clone();
    let time = app.limits.time;
    let asking = QueryContext { app, asker, endpoint: Endpoint::Other, time, keep_alive: None };
    ask(asking, move |store, out| answer(&feed, file, store, out)).await
}

fn answer(
    feed: &Feed,
    file: FeedFile,
    store: &mut Reader<'_>,
    out: &mut Out,
) -> Result<(), StoreError> {
    let sensors = store.sensors()?;
    let tags = TagSet::load(store)?;
    let list = List::MispFeed;
    let mut writer = Writer::new(
        list,
        ListOptions {
            page: None,
            identity: feed.identity.clone(),
            zone: Name::ROOT.to_buf(),
            serial: 0,
            sensors,
        },
    );
    let conditions = ExportConditions {
        max_tlp: list.max_tlp(),
        default_tlp: feed.default_tlp,
        ..ExportConditions::default()
    };
    let admits = |listed: &ExportItem<'_>| list.admits(listed);
    let is_event = file == FeedFile::Event;
    let spec = ExportSpec {
        kinds: &[TagKind::Threat],
        adds_trusted: false,
        expand: list.expands(),
        split: list.splits(),
        takes_conditional: list.takes_conditional(),
        admits: &admits,
        conditions: &conditions,
        // The other files say nothing of records.
        detail: if is_event { list.detail() } else { ExportDetail::Subject },
        limit: list.info().most,
    };
    let media =
        if file == FeedFile::Hashes { "text/csv; charset=utf-8" } else { "application/json" };
    let pulse = out.pulse();
    let mut lines = AnswerLines { out, media, has_begun: false, line: Vec::new() };
    let mut nothing = io::sink();
    let event: &mut dyn Write = if is_event { &mut lines } else { &mut nothing };
    let mut written = writer.begin(event);
    export_tags(store, &tags, &spec, &mut |listed| {
        if written.is_ok() && pulse.check().is_ok() {
            written = writer.subject(listed, event);
            return ControlFlow::Continue(());
        }
        written = Err(io::ErrorKind::ConnectionAborted.into());
        ControlFlow::Break(())
    })?;
    let written = written.and_then(|()| writer.end(event)).and_then(|()| match file {
        FeedFile::Manifest => writer.misp_manifest(&mut lines),
        FeedFile::Hashes => writer.misp_hashes(&mut lines),
        FeedFile::Event => Ok(()),
    });
    lines.begin();
    if written.is_err() {
        out.abort();
    }
    Ok(())
}

/// Passes on what is written, line by line.
struct AnswerLines<'o> {
    out: &'o mut Out,
    media: &'static str,
    has_begun: bool,
    line: Vec<u8>,
}

impl AnswerLines<'_> {
    fn begin(&mut self) {
        if !self.has_begun {
            self.out.begin(self.media, HeaderMap::new());
            self.has_begun = true;
        }
    }
}

impl Write for AnswerLines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', rest)) => {
                    self.line.extend_from_slice(rest);
                    let line = std::mem::take(&mut self.line);
                    if line.is_empty() {
                        continue;
                    }
                    self.begin();
                    self.out
                        .row(|chunk| chunk.extend_from_slice(&line))
                        .map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
                }
                _ => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
