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
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Protected names, the most important first [default: /etc/pdns/protected.txt, or well-known brands]
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

/// The protected names of files; without any, of the file of all users of the machine, or else well-known brands.
///
/// # Errors
/// [`ScoreFileError`] for the first file that cannot be used.
pub fn protected(files: &[PathBuf]) -> Result<MimicIndex, ScoreFileError> {
    Ok(protected_files(files)?.unwrap_or_else(|| MimicIndex::new(&brands())))
}

/// Indexes the protected names of all these files, or of the one in the folder; `None` if there is none.
fn protected_files(files: &[PathBuf]) -> Result<Option<MimicIndex>, ScoreFileError> {
    let mut all = None;
    let named = files.iter().map(|file| Some(file.as_path()));
    for file in named.chain(files.is_empty().then_some(None)) {
        read(file, "protected.txt", |text| {
            all.get_or_insert_with(Vec::new).extend(names(text)?);
            Ok(())
        })?;
    }
    Ok(all.map(|names| MimicIndex::new(&names)))
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
        if !is_host_text(text) {
            return Err(ScoreFileCause::NotHost(line));
        }
        if text.is_empty() {
            continue;
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
        names.push(name);
    }
    if names.is_empty() { Err(ScoreFileCause::NothingProtected) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::with_causes;
    use std::fs;

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
