//! Settings of feeds: `feeds.toml`.
//!
//! A section `[feed.NAME]` describes one feed; keys before the first section are defaults for all of them. The file holds
//! no secrets: keys and passwords are in environment variables or files of their own.

mod feed;
pub(super) mod value;

use super::document::{FileError, MAX_SETTINGS};
use super::toml_error;
use crate::bounded_file::read_text_file;
use crate::intel_feeds::Feed;
use crate::outgoing::ProxyChoice;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Settings file that is read unless `--feeds` names another.
pub const DEFAULT_FEEDS: &str = "/etc/pdns/feeds.toml";

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FeedsFile {
    ca_file: Option<PathBuf>,
    proxy: Option<value::Proxy>,
    feed: BTreeMap<String, Spanned<feed::Keys>>,
}

/// Reads the feeds of a settings file, sorted by name. Files that it names are relative to it.
///
/// # Errors
/// [`FileError`] for a file that cannot be read or is invalid, with the line.
pub fn read_feeds(path: &Path) -> Result<Vec<Feed>, FileError> {
    let text = read_text_file(path, MAX_SETTINGS)
        .map_err(|cause| FileError::File { path: path.to_owned(), cause })?;
    let wrong = |cause| FileError::Syntax { path: path.to_owned(), cause };
    let file: FeedsFile = toml::from_str(&text).map_err(|error| wrong(described(&text, &error)))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let common = Common {
        folder,
        ca_file: file.ca_file.map(|path| folder.join(path)),
        proxy: file.proxy.map_or(ProxyChoice::Environment, |proxy| proxy.0),
    };
    file.feed
        .into_iter()
        .map(|(name, keys)| {
            let before = text.get(..keys.span().start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            feed::feed(&name, keys.into_inner(), &common)
                .map_err(|reason| wrong(format!("line {line}: feed {name:?}: {reason}")))
        })
        .collect()
}

/// Settings that apply to all feeds.
struct Common<'p> {
    folder: &'p Path,
    ca_file: Option<PathBuf>,
    proxy: ProxyChoice,
}

/// The error with its place and, for a misspelt key, the key that is meant.
fn described(text: &str, error: &toml::de::Error) -> String {
    let described = toml_error(text, error);
    let quoted = |part: &str| part.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let Some((found, known)) = error.message().split_once("expected") else { return described };
    let (found, known): (Vec<String>, Vec<String>) = (quoted(found), quoted(known));
    let [found] = found.as_slice() else { return described };
    let nearest = known.iter().min_by_key(|known| strsim::osa_distance(found, known));
    match nearest.filter(|known| strsim::osa_distance(found, known) <= 2) {
        Some(nearest) => {
            let place = described.split(": ").next().unwrap_or_default();
            format!("{place}: unknown key {found:?}, did you mean {nearest:?}?")
        }
        None => described,
    }
}

#[cfg(test)]
mod tests;
