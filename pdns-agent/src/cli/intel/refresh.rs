//! `pdns intel refresh`: fetches the feeds that are due.

use super::import::{columns_format, sentence};
use super::importer::{Defaults, ReadFailure, Reading, Target, gate, importing};
use super::seen::SeenHere;
use crate::causes::with_causes;
use crate::cli::args::intel::RefreshArgs;
use crate::cli::query_args::UsageError;
use crate::cli::tag::said_by;
use crate::cli::{CliError, Found, Terminal, cannot, open};
use crate::config::read_feeds;
use crate::exchange::intel::{ColumnRef, Columns, IntelFormat, IntelOptions, Pointers};
use crate::intel_feeds::{
    Attempts, Document, Extent, Feed, FeedClient, Fetch, FetchState, Protocol,
};
use crate::query::Gate;
use crate::store::{ImportSpec, IndicatorImport, IntelSource, Options, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Indicators of a source from which on losing more than half of them needs to be confirmed.
const FEW: u64 = 10;

/// Memory of a source about fetching.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct FetchedFeed {
    state: FetchState,
    attempts: Attempts,
    /// Digests of all that the last import rests on besides the list itself.
    basis: String,
}

/// Digests of the things that an import rests on besides the list itself: the settings of the feed, the gate, and which list was imported last,
/// maybe by hand. When it differs, a list is read again though it has not changed.
fn basis(feed: &Feed, gate: &str, imported: &str) -> String {
    let settings = format!("{:?} {:?}", feed.assessment, feed.read);
    let digest = ring::digest::digest(&ring::digest::SHA256, settings.as_bytes());
    format!("{} {gate} {imported}", crate::hex::encode(digest.as_ref()))
}

/// Fate of one feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefreshOutcome {
    /// It was imported, or nothing has changed.
    Done,
    /// It was imported, but for some lines.
    Rejected,
    /// It was not imported.
    Failed,
    /// Another process fetches it.
    Busy,
}

/// Fetches feeds.
pub(super) fn run(
    args: &RefreshArgs,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let feeds = read_feeds(&args.feeds)?;
    if let Some(unknown) =
        args.names.iter().find(|name| !feeds.iter().any(|feed| feed.name == **name))
    {
        return Err(UsageError::NoFeed(unknown.clone()).into());
    }
    let mut store = open(options)?;
    let (gate, gate_digest) = gate(&mut store.reader(), args.top.as_ref(), args.never.as_ref())?;
    let known = store.reader().intel_sources().map_err(cannot("read the sources"))?;
    let mut outcomes = Vec::new();
    for feed in &feeds {
        let is_named = args.names.contains(&feed.name);
        if !args.names.is_empty() && !is_named {
            continue;
        }
        let source = known.iter().find(|source| source.name == feed.name);
        let fetched: FetchedFeed = source.map(remembered).unwrap_or_default();
        if !args.now && !is_named && !fetched.attempts.is_due(feed.interval, terminal.now) {
            continue;
        }
        let gate = (&gate, gate_digest.as_str());
        outcomes.push(refresh(feed, fetched, args.confirm, gate, &mut store, terminal)?);
    }
    if outcomes.is_empty() {
        let text = if feeds.is_empty() { "no feeds are set up" } else { "no feed is due" };
        terminal.say(format_args!("{text}"));
        return Ok(Found::Something);
    }
    let is = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    if is(RefreshOutcome::Failed) == outcomes.len() {
        return Err(CliError::NoFeedFetched(outcomes.len() as u64));
    }
    let is_clean = is(RefreshOutcome::Failed) + is(RefreshOutcome::Rejected) == 0;
    Ok(if is_clean { Found::Something } else { Found::Nothing })
}

fn remembered(source: &IntelSource) -> FetchedFeed {
    serde_json::from_value(source.fetched.clone()).unwrap_or_default()
}

/// Fetches one feed. Only errors of the store end the whole command.
fn refresh(
    feed: &Feed,
    fetched: FetchedFeed,
    confirm: bool,
    (gate, gate_digest): (&Gate, &str),
    store: &mut Store,
    terminal: &mut Terminal<'_>,
) -> Result<RefreshOutcome, CliError> {
    let name = &feed.name;
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let assessment = &feed.assessment;
    let spec = ImportSpec {
        author: said_by(None, terminal),
        lifetime: Some(seconds(assessment.lifetime)),
        half_life: assessment.half_life.map(seconds),
        ..ImportSpec::new(name, terminal.now)
    };
    let mut twin = store.reader().twin();
    let mut import = match store.indicators().import(spec) {
        Ok(import) => import,
        Err(error @ StoreError::Leased { .. }) => {
            terminal.say(format_args!("{name}: {error}"));
            return Ok(RefreshOutcome::Busy);
        }
        Err(error) => return Err(importing(error)),
    };
    let client = match FeedClient::new(feed, terminal.env) {
        Ok(client) => client,
        Err(error) => {
            let reason = with_causes(&error);
            return failed(import, fetched, &reason, error.retry_after(), name, terminal);
        }
    };
    // Fetched whole before anything is imported: what comes after an error is not known to be gone.
    let mut documents: Vec<Document> = Vec::new();
    let is_same = fetched.basis == basis(feed, gate_digest, &import.source().digest);
    let asked = if is_same { fetched.state.clone() } else { FetchState::default() };
    let fetch = client.fetch(&asked, &mut |document| documents.push(document));
    let Fetch { extent, state, problems } = match fetch {
        Ok(fetch) => fetch,
        Err(error) => {
            let reason = with_causes(&error);
            return failed(import, fetched, &reason, error.retry_after(), name, terminal);
        }
    };
    for problem in &problems {
        terminal.say(format_args!("{name}: {problem}"));
    }
    let success = Attempts::after_success(terminal.now);
    if extent == Extent::Unchanged {
        remember(&mut import, &FetchedFeed { state, attempts: success, basis: fetched.basis });
        import.give_up("").map_err(importing)?;
        terminal.say(format_args!("{name}: unchanged"));
        return Ok(RefreshOutcome::Done);
    }
    let before = import.source().listed;
    let reading_options = match intel_options(feed) {
        Ok(options) => options,
        Err(reason) => return failed(import, fetched, &reason, None, name, terminal),
    };
    let defaults = Defaults {
        kind: assessment.kind,
        confidence: assessment.confidence,
        tlp: assessment.tlp,
        labels: assessment.labels.clone(),
        now: terminal.now,
    };
    let mut reading = Reading::new(false);
    let mut seen = SeenHere::default();
    for document in documents {
        let full = &mut |subjects: &mut Vec<_>| seen.look(&mut twin, subjects);
        let mut reader = document.reader();
        let mut target = Target::Import(&mut import);
        match reading.read(&mut reader, &reading_options, gate, &defaults, &mut target, full) {
            Ok(()) => {}
            Err(ReadFailure::Store(error)) => return Err(error),
            Err(ReadFailure::Document(error)) => {
                reading.tell(name, terminal);
                return failed(import, fetched, &error.to_string(), None, name, terminal);
            }
        }
    }
    reading.tell(name, terminal);
    seen.look(&mut twin, &mut reading.subjects)?;
    let is_whole = extent == Extent::Whole;
    let kept =
        if is_whole && before >= FEW { import.count_listed().map_err(importing)? } else { before };
    let has_shrunk = kept * 2 < before;
    if has_shrunk && !confirm {
        terminal.say(format_args!(
            "{name}: it lists {kept} of the {before} that it listed, so nothing ends; pdns intel refresh {name} --confirm ends the rest"
        ));
    }
    import.spec.replaces = is_whole && (!has_shrunk || confirm);
    import.spec.digest = reading.digest();
    import.spec.rejected = reading.rejected();
    // What waits for a confirmation is fetched again, though it has not changed since.
    let state = if has_shrunk && !confirm { fetched.state } else { state };
    let basis = basis(feed, gate_digest, &import.spec.digest);
    remember(&mut import, &FetchedFeed { state, attempts: success, basis });
    let tally = import.commit(&mut |_| ()).map_err(importing)?.tally;
    terminal.say(format_args!("{}", sentence(name, reading.accepted, &tally)));
    terminal.say(format_args!("{name}: {}", seen.sentence()));
    let is_clean = reading.rejected() == 0 && problems.is_empty() && (!has_shrunk || confirm);
    Ok(if is_clean { RefreshOutcome::Done } else { RefreshOutcome::Rejected })
}

fn remember(import: &mut IndicatorImport<'_>, fetched: &FetchedFeed) {
    // Numbers and texts can always be encoded as JSON.
    import.spec.fetched = serde_json::to_value(fetched).ok();
}

/// Records that a feed could not be imported, and why. `retry_after` is the time for which its server asked to be left
/// alone.
fn failed(
    mut import: IndicatorImport<'_>,
    fetched: FetchedFeed,
    reason: &str,
    retry_after: Option<Duration>,
    name: &str,
    terminal: &mut Terminal<'_>,
) -> Result<RefreshOutcome, CliError> {
    let attempts = fetched.attempts.after_failure(terminal.now, retry_after);
    remember(&mut import, &FetchedFeed { attempts, ..fetched });
    import.give_up(reason).map_err(importing)?;
    terminal.say(format_args!("{name}: {reason}"));
    Ok(RefreshOutcome::Failed)
}

fn intel_options(feed: &Feed) -> Result<IntelOptions, String> {
    let read = &feed.read;
    let format = match (&read.format, feed.protocol) {
        (Some(name), _) => Some(name.parse::<IntelFormat>().map_err(|error| error.to_string())?),
        (None, Protocol::Taxii) => Some(IntelFormat::Stix),
        (None, Protocol::MispFeed | Protocol::Misp) => Some(IntelFormat::Misp),
        (None, Protocol::Http) => None,
    };
    let format =
        columns_format(format, read.column.is_some()).map_err(|error| error.to_string())?;
    let column = read.column.as_deref().and_then(|text| text.parse::<ColumnRef>().ok());
    Ok(IntelOptions {
        format,
        kind: Some(feed.assessment.kind),
        url_hosts: read.url_hosts,
        columns: Columns { subject: column, ..Columns::default() },
        pointers: Pointers { subject: read.pointer.clone(), ..Pointers::default() },
        ..IntelOptions::default()
    })
}
