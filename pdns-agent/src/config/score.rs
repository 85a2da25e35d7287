//! Files that scores rest on besides the store: weights, lists and protected names.
//!
//! Each is the one that a flag names, or else the one in `/etc/pdns` if it exists, or else the one that comes with the
//! program.

use crate::analyze::{ExemptError, Exempts, MimicIndex, ModelError, Weights, WeightsError, brands};
use crate::bounded_file::read_text_file;
use crate::name::{NameBuf, NameError, suffix};
use crate::query::{
    ListError, ParkedList, Purpose, ScoreLists, Scorer, Subject, TopList, TopListError,
    is_host_text,
};
use serde::Deserialize;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;

/// Folder of the files of all users of the machine.
const FOLDER: &str = "/etc/pdns";
/// Largest file, in MiB.
const MAX_FILE: u64 = 64;

/// The files that flags name.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ScoreFiles {
    /// Weights of evidence [default: /etc/pdns/weights.toml, or those that come with pdns]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Protected names, the most important first [default: protected.toml and protected.txt in /etc/pdns, or well-known
    /// brands]
    #[arg(long, value_name = "FILE")]
    pub protect: Option<PathBuf>,
    /// Popular names, the most popular first [default: /etc/pdns/top-list.txt, or none]
    #[arg(long, value_name = "FILE")]
    pub top_list: Option<PathBuf>,
    /// Addresses and hosts of parked domains [default: /etc/pdns/parked.txt, or a list that comes with pdns]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub parked: Option<PathBuf>,
    /// Addresses and name servers of sinkholes [default: /etc/pdns/sinkholes.txt, or a list that comes with pdns]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub sinkholes: Option<PathBuf>,
    /// Names that look like tunnels and are none [default: /etc/pdns/tunnel-exempt.txt, or a list that comes with
    /// pdns]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub exempt: Option<PathBuf>,
}

/// Reason why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}")]
pub struct ScoreFileError {
    /// The file, as it was named.
    pub path: String,
    /// The reason.
    #[source]
    pub cause: ScoreFileCause,
}

/// Error in a file.
#[derive(Debug, thiserror::Error)]
pub enum ScoreFileCause {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Invalid weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// An invalid list of addresses and hosts.
    #[error(transparent)]
    List(#[from] ListError),
    /// An invalid list of exempt names.
    #[error(transparent)]
    Exempt(#[from] ExemptError),
    /// An invalid list of popular names.
    #[error(transparent)]
    TopList(#[from] TopListError),
    /// An invalid TOML file of protected names: place and reason.
    #[error("{0}")]
    Toml(String),
    /// An invalid list of protected names.
    #[error("line {line}: not a valid name")]
    Name {
        /// Line number, from 1.
        line: usize,
        /// The error in the line.
        #[source]
        cause: NameError,
    },
    /// A line of a list of protected names with other characters than host names have.
    #[error("line {0}: not the name of a host")]
    NotHost(usize),
    /// A protected name that nothing can imitate, such as a top-level domain or an address.
    #[error("line {0}: not a domain that can be imitated: give one like example.com")]
    NoDomain(usize),
    /// A list of protected names without a name.
    #[error("no name is in it")]
    NothingProtected,
    /// A damaged model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ScoreFiles {
    /// Makes a scorer with these files; the store is not read.
    ///
    /// # Errors
    /// [`ScoreFileError`] for the first file that cannot be used.
    pub fn scorer(&self) -> Result<Scorer, ScoreFileError> {
        let mut scorer = Scorer::shipped().map_err(|cause| ScoreFileError {
            path: "the model of this program".to_owned(),
            cause: cause.into(),
        })?;
        scorer.weights = Arc::new(self.weights()?);
        if let Some(index) = protected_files(self.protect.as_slice())? {
            scorer.mimics = Arc::new(index);
        }
        read(self.top_list.as_deref(), "top-list.txt", |text| {
            scorer.top = Some(Arc::new(TopList::parse(text)?));
            Ok(())
        })?;
        scorer.lists = Arc::new(self.lists()?);
        read(self.exempt.as_deref(), "tunnel-exempt.txt", |text| {
            scorer.exempts = Arc::new(Exempts::parse(text)?);
            Ok(())
        })?;
        Ok(scorer)
    }

    /// Reads the weights of evidence.
    ///
    /// # Errors
    /// [`ScoreFileError`] if their file cannot be used.
    pub fn weights(&self) -> Result<Weights, ScoreFileError> {
        let mut weights = Weights::shipped();
        read(self.weights.as_deref(), "weights.toml", |text| {
            weights = Weights::parse(text)?;
            Ok(())
        })?;
        Ok(weights)
    }

    /// Reads the lists of networks, zones and suffixes.
    ///
    /// # Errors
    /// [`ScoreFileError`] for the first file that cannot be used.
    pub fn lists(&self) -> Result<ScoreLists, ScoreFileError> {
        let mut lists = ScoreLists::shipped();
        read(self.parked.as_deref(), "parked.txt", |text| {
            lists.parked = ParkedList::parse(text)?;
            Ok(())
        })?;
        read(self.sinkholes.as_deref(), "sinkholes.txt", |text| {
            lists.sinkholes = ParkedList::parse(text)?;
            Ok(())
        })?;
        Ok(lists)
    }
}

/// The protected names of files; without any, of the files of all users of the machine, or else well-known brands.
///
/// # Errors
/// [`ScoreFileError`] for the first file that cannot be used.
pub fn protected(files: &[PathBuf]) -> Result<MimicIndex, ScoreFileError> {
    Ok(protected_files(files)?.unwrap_or_else(|| MimicIndex::new(&brands())))
}

/// The same, with the names of a list of popular ones behind them; and how many of that list nothing can imitate, such as
/// public suffixes, which such lists have.
///
/// # Errors
/// [`ScoreFileError`] for the first file that cannot be used.
pub fn protected_or_popular(
    files: &[PathBuf],
    popular: &Path,
) -> Result<(MimicIndex, u64), ScoreFileError> {
    let mut names = protected_names(files)?.unwrap_or_else(brands);
    let mut left_out = 0;
    read(Some(popular), "", |text| {
        for name in TopList::parse(text)?.names() {
            if suffix::registrable(name.as_name()).is_some() {
                names.push(name.clone());
            } else {
                left_out += 1;
            }
        }
        Ok(())
    })?;
    Ok((MimicIndex::new(&names), left_out))
}

/// Indexes the protected names of all these files, or of those in the folder; `None` if there is none.
fn protected_files(files: &[PathBuf]) -> Result<Option<MimicIndex>, ScoreFileError> {
    Ok(protected_names(files)?.map(|names| MimicIndex::new(&names)))
}

/// The protected names of all these files, or of those in the folder; `None` if there is none. A file whose name
/// ends in `.toml` has them as `names`, another one a name on each line.
fn protected_names(files: &[PathBuf]) -> Result<Option<Vec<NameBuf>>, ScoreFileError> {
    let mut all = None;
    let mut add = |file: Option<&Path>, usual: &str| {
        let is_toml = file.unwrap_or(Path::new(usual)).extension().is_some_and(|end| end == "toml");
        read(file, usual, |text| {
            let found = if is_toml { names_of_toml(text)? } else { names(text)? };
            all.get_or_insert_with(Vec::new).extend(found);
            Ok(())
        })
    };
    for file in files {
        add(Some(file), "")?;
    }
    if files.is_empty() {
        add(None, "protected.toml")?;
        add(None, "protected.txt")?;
    }
    Ok(all)
}

/// Reads a file, if one is named or exists in the folder.
fn read(
    named: Option<&Path>,
    usual: &str,
    parse: impl FnOnce(&str) -> Result<(), ScoreFileCause>,
) -> Result<(), ScoreFileError> {
    let usual = Path::new(FOLDER).join(usual);
    let path = match named {
        Some(path) => path,
        None if usual.exists() => &usual,
        None => return Ok(()),
    };
    let fail = |cause| ScoreFileError { path: path.display().to_string(), cause };
    let text = read_text_file(path, MAX_FILE).map_err(|cause| fail(cause.into()))?;
    parse(text.trim_start_matches('\u{feff}')).map_err(fail)
}

/// The names of a list, one a line, as far as the first tab or comma; `#` begins a comment.
fn names(text: &str) -> Result<Vec<NameBuf>, ScoreFileCause> {
    let mut names = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split(['#', '\t', ',']).next().unwrap_or_default().trim();
        if !text.is_empty() {
            names.push(protected_name(line, text)?);
        }
    }
    if names.is_empty() { Err(ScoreFileCause::NothingProtected) } else { Ok(names) }
}

/// A TOML file of protected names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedKeys {
    names: Vec<Spanned<String>>,
}

/// The names of a TOML file.
fn names_of_toml(text: &str) -> Result<Vec<NameBuf>, ScoreFileCause> {
    let keys: ProtectedKeys = toml::from_str(text)
        .map_err(|error| ScoreFileCause::Toml(super::toml_error::toml_error(text, &error)))?;
    let line = |start: usize| text.get(..start).map_or(1, |before| before.lines().count().max(1));
    let names = keys.names.iter().map(|name| {
        // The quotation mark is on the line of the name.
        protected_name(line(name.span().start + 1), name.get_ref().trim())
    });
    let names = names.collect::<Result<Vec<NameBuf>, ScoreFileCause>>()?;
    if names.is_empty() { Err(ScoreFileCause::NothingProtected) } else { Ok(names) }
}

/// A protected name, on a line.
fn protected_name(line: usize, text: &str) -> Result<NameBuf, ScoreFileCause> {
    if !is_host_text(text) {
        return Err(ScoreFileCause::NotHost(line));
    }
    let name = if text.is_ascii() {
        NameBuf::parse(text).map_err(|cause| ScoreFileCause::Name { line, cause })?
    } else {
        // In Unicode, as people write it.
        match Subject::read(text, Purpose::LookUp).map(|reading| reading.subject) {
            Ok(Subject::Name(name)) => name,
            _ => return Err(ScoreFileCause::NotHost(line)),
        }
    };
    // It would protect nothing.
    if suffix::registrable(name.as_name()).is_none() || text.parse::<IpAddr>().is_ok() {
        return Err(ScoreFileCause::NoDomain(line));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::with_causes;
    use std::fs;

    #[test]
    fn protected_names_may_be_in_toml() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("protected.toml");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            let found = protected(std::slice::from_ref(&path));
            found.map_err(|error| {
                with_causes(&error).rsplit_once("protected.toml: ").unwrap().1.to_owned()
            })
        };
        let index = read(
            "# ours\nnames = [\n  'my-bank.example', # the bank\n  'm\u{fc}nchen.example',\n]\n",
        );
        let name = NameBuf::parse("my-bank-login.example").unwrap();
        let index = index.unwrap();
        let found = index.find(name.as_name());
        assert_eq!(found.first().unwrap().target, "my-bank.example");
        for (text, told) in [
            ("names = [\n'a.example',\n'a..b'\n]", "line 3: not a valid name"),
            ("names = ['a.example', '!!']", "line 1: not the name of a host"),
            ("names = [\n\n'com']", "line 3: not a domain"),
            ("names = ['']", "line 1: not "),
            ("names = []", "no name is in it"),
            ("protected = ['a.example']", "line 1, column 1: unknown field `protected`"),
            ("names = 'a.example'", "line 1, column 9: invalid type"),
            ("a.example\n", "line 1, column 10: "),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }

    #[test]
    fn an_invalid_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let error = |files: ScoreFiles, text: &[u8]| {
            fs::write(&path, text).unwrap();
            with_causes(&files.scorer().err().unwrap())
        };
        let file = || Some(path.clone());
        let weights = ScoreFiles { weights: file(), ..ScoreFiles::default() };
        let said = error(weights.clone(), b"prior = 0.1\n[weights]\nagee = 1\n");
        assert!(said.contains("file: line 3: unknown evidence"), "{said}");
        let said = error(weights, b"\xff\xfe");
        assert!(said.contains("UTF-8"), "{said}");
        let exempt = ScoreFiles { exempt: file(), ..ScoreFiles::default() };
        assert!(error(exempt, b"\nantivirus\n").contains("line 2: give a class"));
        let protect = ScoreFiles { protect: file(), ..ScoreFiles::default() };
        assert!(
            error(protect.clone(), b"example.com\na..b\n").contains("line 2: not a valid name")
        );
        assert!(error(protect, b"example.com\n!! nonsense\n").contains("file: line 2"));
        let top = ScoreFiles { top_list: file(), ..ScoreFiles::default() };
        assert!(error(top.clone(), b"1,a..b\n").contains("line 1"));
        assert!(error(top, b"a.example\nno name at all\n").contains("file: line 2"));
        let sinkholes = ScoreFiles { sinkholes: file(), ..ScoreFiles::default() };
        assert!(error(sinkholes, b"192.0.2.0/40\n").contains("line 1"));
        let missing = ScoreFiles { parked: Some(path.join("none")), ..ScoreFiles::default() };
        assert!(missing.scorer().is_err());
    }
}
