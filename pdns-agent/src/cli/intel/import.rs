//! `pdns intel import`: one file or URL.

use super::importer::{Defaults, ReadFailure, Reading, Target, gate, importing};
use super::input;
use super::report;
use super::seen::SeenHere;
use crate::causes::with_causes;
use crate::cli::args::intel::ImportArgs;
use crate::cli::query_args::UsageError;
use crate::cli::tag::said_by;
use crate::cli::{CliError, Found, Terminal, open};
use crate::config::Sharing;
use crate::exchange::intel::{ColumnRef, Columns, IntelFormat, IntelOptions, Pointers};
use crate::indicator::JUDGE_SOURCE;
use crate::intel_feeds::{Document, Feed, FeedClient, FetchState};
use crate::query::Scope;
use crate::render::counted;
use crate::store::{ImportSpec, ListingTally, Options};
use crate::tag::{MAX_SOURCE, TagKind};
use std::io::BufRead;
use std::path::Path;

/// Imports a file, standard input or a URL.
pub(super) fn run(
    args: &ImportArgs,
    options: &Options,
    sharing: &Sharing,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let source = source_name(args)?;
    let format = columns_format(args.format, args.column.is_some())?;
    let mut store = open(options)?;
    let mut twin = store.reader().twin();
    let (gate, _) = gate(&mut store.reader(), args.top.as_ref(), args.never.as_ref())?;
    let reading_options = intel_options(args, format);
    let defaults = Defaults {
        kind: args.kind.unwrap_or(TagKind::Threat),
        confidence: args.confidence,
        tlp: args.tlp,
        labels: args.label.clone(),
        now: terminal.now,
    };
    let mut documents = documents(args, terminal)?;
    let mut seen = SeenHere::default();
    let mut reading = Reading::new(args.sightings.is_some());
    let spec = ImportSpec {
        author: said_by(args.author.as_ref(), terminal),
        lifetime: args.lifetime,
        half_life: args.half_life,
        replaces: !args.add,
        ..ImportSpec::new(&source, terminal.now)
    };
    let tally = {
        let mut import = None;
        if !args.dry_run {
            import = Some(store.indicators().import(spec).map_err(importing)?);
        }
        let mut target = import.as_mut().map_or(Target::Nowhere, Target::Import);
        let mut failure = None;
        for document in &mut documents {
            let input: &mut dyn BufRead = match document {
                Some(reader) => reader.as_mut(),
                None => terminal.input,
            };
            let full = &mut |subjects: &mut Vec<_>| seen.look(&mut twin, subjects);
            if let Err(error) =
                reading.read(input, &reading_options, &gate, &defaults, &mut target, full)
            {
                failure = Some(error);
                break;
            }
        }
        let shown = if is_url(&args.file) { shown_url(&args.file) } else { args.file.clone() };
        reading.tell(&shown, terminal);
        match failure {
            Some(ReadFailure::Store(error)) => return Err(error),
            // A part of a file is not what the source lists.
            Some(ReadFailure::Document(cause)) => {
                return Err(CliError::Intel { file: shown, cause });
            }
            None => {}
        }
        if reading.accepted == 0 {
            return Err(CliError::NothingImported(shown));
        }
        seen.look(&mut twin, &mut reading.subjects)?;
        match import {
            Some(mut import) => {
                import.spec.digest = reading.digest();
                import.spec.rejected = reading.rejected();
                Some(import.commit(&mut |_| ()).map_err(importing)?.tally)
            }
            None => None,
        }
    };
    match &tally {
        Some(tally) => terminal.say(format_args!("{}", sentence(&source, reading.accepted, tally))),
        None => terminal.say(format_args!(
            "{} from {source} would be imported",
            counted(reading.accepted, "indicator", "indicators")
        )),
    }
    terminal.say(format_args!("{}", seen.sentence()));
    seen.show(&mut twin, args.output.output, terminal)?;
    // The import itself succeeded and stays.
    let reported = report::sightings(args, &reading, &seen, sharing, terminal);
    if let Err(error) = &reported {
        terminal.say(format_args!("{}", with_causes(error)));
    }
    let is_clean = reading.rejected() == 0 && reported.is_ok();
    Ok(if is_clean { Found::Something } else { Found::Nothing })
}

/// Describes an import.
pub(super) fn sentence(source: &str, accepted: u64, tally: &ListingTally) -> String {
    let mut parts = vec![format!("{} added", tally.added)];
    for (count, word) in [
        (tally.changed, "changed"),
        (tally.same, "as before"),
        (tally.ending, "no longer listed"),
        (tally.expired, "ended"),
        (tally.repeated, "repeated"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let indicators = counted(accepted, "indicator", "indicators");
    format!("{indicators} from {source}: {}", parts.join(", "))
}

/// Returns the name of the source: as given, or that of the file without its ending.
fn source_name(args: &ImportArgs) -> Result<String, UsageError> {
    let name = match &args.source {
        Some(source) => source.clone(),
        None if args.file == "-" => return Err(UsageError::NoSource),
        None => {
            let path = args.file.split(['?', '#']).next().unwrap_or_default();
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
            let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or_default();
            stem.to_owned()
        }
    };
    if name.is_empty() || name.len() > MAX_SOURCE || name.chars().any(char::is_control) {
        return Err(UsageError::NoSource);
    }
    if name == JUDGE_SOURCE {
        return Err(UsageError::JudgeSource(JUDGE_SOURCE));
    }
    Ok(name)
}

/// Returns the format of a file of which a column was named: that is of a table.
pub(super) fn columns_format(
    format: Option<IntelFormat>,
    has_column: bool,
) -> Result<Option<IntelFormat>, UsageError> {
    match format {
        None if has_column => Ok(Some(IntelFormat::Csv)),
        Some(format) if has_column && format != IntelFormat::Csv => {
            Err(UsageError::ColumnOfFormat(format.name()))
        }
        format => Ok(format),
    }
}

fn intel_options(args: &ImportArgs, format: Option<IntelFormat>) -> IntelOptions {
    let column = args.column.as_deref().and_then(|text| text.parse::<ColumnRef>().ok());
    IntelOptions {
        format,
        file_name: Some(args.file.clone()).filter(|file| file != "-"),
        kind: args.kind,
        scope: args.below.then_some(Scope::Below),
        url_hosts: args.url_hosts,
        columns: Columns { subject: column, ..Columns::default() },
        pointers: Pointers { subject: args.pointer.clone(), ..Pointers::default() },
        all_attributes: args.all_attributes,
        ..IntelOptions::default()
    }
}

/// Opens what is imported; `None` is standard input.
fn documents(
    args: &ImportArgs,
    terminal: &Terminal<'_>,
) -> Result<Vec<Option<Box<dyn BufRead>>>, CliError> {
    if args.file == "-" {
        return Ok(vec![None]);
    }
    if !is_url(&args.file) {
        return Ok(vec![Some(input::open(&args.file)?)]);
    }
    let feed = Feed::of_url(&args.file, args.allow_private);
    let failed = |cause| CliError::Feed { feed: shown_url(&args.file), cause };
    let client = FeedClient::new(&feed, terminal.env).map_err(failed)?;
    let mut fetched: Vec<Document> = Vec::new();
    client.fetch(&FetchState::default(), &mut |document| fetched.push(document)).map_err(failed)?;
    let mut readers: Vec<Option<Box<dyn BufRead>>> = Vec::new();
    for document in fetched {
        readers.push(Some(Box::new(document.reader())));
    }
    Ok(readers)
}

fn is_url(file: &str) -> bool {
    file.starts_with("http://") || file.starts_with("https://")
}

/// Returns scheme and host of a URL: the rest may be a secret.
fn shown_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}
