//! `pdns train`: makes a model from lists of names, and from tags of the store if asked.

use super::args::analyze::Train;
use super::{CliError, Found, Terminal, cannot, classify, open};
use crate::analyze::{self, Labelled, TrainOptions};
use crate::bounded_file::read_file;
use crate::causes::with_causes;
use crate::name::NameBuf;
use crate::render::{self, Format};
use crate::store::Options;
use crate::tag::TagKind;
use crate::{atomic_file, hex};
use std::collections::BTreeSet;
use std::path::Path;

/// Largest list that is read, in MiB.
const MAX_LIST: u64 = 256;
/// Number of invalid lines of a file that are reported one by one.
const REPORTED: u64 = 5;

/// Trains a model, writes it and reports how good it is.
pub(super) fn train(
    asked: &Train,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Found, CliError> {
    let mut notes = asked.note.clone();
    let mut read = |paths: &[std::path::PathBuf], class: &str| -> Result<Vec<Labelled>, CliError> {
        let mut names = Vec::new();
        for path in paths {
            let text = read(path)?;
            let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            notes.push(format!("{class} list: {file} sha256 {}", hex::encode(digest.as_ref())));
            list(path, &text, &mut names, terminal);
        }
        Ok(names)
    };
    let mut good = read(&asked.good, "good")?;
    let mut bad = read(&asked.bad, "bad")?;
    if asked.from_tags {
        let (trusted, threats) = tagged(options)?;
        notes.push(format!("from tags: {} good, {} bad", trusted.len(), threats.len()));
        good.extend(trusted);
        bad.extend(threats);
    }
    let words = match &asked.words {
        Some(path) => read_words(path)?,
        None => classify::model(None)?.words(),
    };
    let training = TrainOptions {
        seed: asked.seed,
        trees: asked.trees.into(),
        generated: usize::try_from(asked.generated).unwrap_or(usize::MAX),
        prior: asked.prior,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        unseen: !asked.quick,
        notes,
        ..TrainOptions::default()
    };
    let (bytes, report) =
        analyze::train(&good, &bad, &words, &training).map_err(CliError::Train)?;
    let path = asked.out.display().to_string();
    atomic_file::write(&asked.out, 0o644, &bytes)
        .map_err(|cause| CliError::Write { path, cause })?;
    let format = terminal.format(asked.format, Format::Json);
    let look = terminal.look(Vec::new());
    render::training(&report, format, &look, terminal.out).map_err(CliError::Output)?;
    Ok(Found::Something)
}

/// Names that analysts trust, and names that they call threats, each in the order of names, with `tags` as their group.
fn tagged(options: &Options) -> Result<(Vec<Labelled>, Vec<Labelled>), CliError> {
    let tags = open(options)?.reader().tags().map_err(cannot("read the tags"))?.tags;
    let of_kind = |kind: TagKind| -> Vec<Labelled> {
        let names = tags.iter().filter(|tag| tag.kind == kind && tag.is_own());
        let names: BTreeSet<&NameBuf> = names.filter_map(|tag| tag.subject.name()).collect();
        let group = "tags".to_owned();
        names
            .into_iter()
            .map(|name| Labelled { name: name.clone(), group: group.clone() })
            .collect()
    };
    Ok((of_kind(TagKind::Trust), of_kind(TagKind::Threat)))
}

fn read(path: &Path) -> Result<String, CliError> {
    let cannot = |cause| CliError::File { path: path.display().to_string(), cause };
    let bytes = read_file(path, MAX_LIST).map_err(cannot)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_words(path: &Path) -> Result<Vec<String>, CliError> {
    let text = read(path)?;
    Ok(text.lines().map(|line| line.trim().to_ascii_lowercase()).collect())
}

/// Reads the lines of a list; an invalid one is reported and skipped.
fn list(path: &Path, text: &str, names: &mut Vec<Labelled>, terminal: &mut Terminal<'_>) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut bad = 0;
    for (number, line) in (1_u64..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let mut fields = line.split(['\t', ',']).map(str::trim);
        let first = fields.next().unwrap_or_default();
        let is_header = number == 1 && ["domain", "name", "host"].contains(&first);
        if first.is_empty() || first.starts_with('#') || is_header {
            continue;
        }
        match classify::name(first) {
            Ok(name) => {
                let group = fields.next().filter(|group| !group.is_empty()).unwrap_or(&stem);
                names.push(Labelled { name, group: group.to_owned() });
            }
            Err(error) => {
                bad += 1;
                if bad <= REPORTED {
                    let why = with_causes(&error);
                    terminal.say(format_args!("{}:{number} skipped: {why}", path.display()));
                }
            }
        }
    }
    if bad > REPORTED {
        let more = bad - REPORTED;
        terminal.say(format_args!("{}: {more} more lines skipped", path.display()));
    }
}
