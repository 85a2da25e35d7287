//! Search for log files, and detection of those with new data.
//!
//! Under `source`: the agent calls [`Scan::changed`] at each poll and opens or reads the files it returns.

use super::names::{LogNames, is_pdns_log};
use super::walk::{DirectoryWalker, ScanResult, Skipped};
use super::{SourceError, Stat};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Maximum number of directories to watch; beyond that, the most recently modified ones. Changes in the
/// others are found by polling.
const WATCHED_MAX: usize = 256;

/// A file that is new or has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    /// Its path; the first in sort order if there are several.
    pub path: PathBuf,
    /// Its state at the time of the scan.
    pub stat: Stat,
    /// True if it was given by name or glob, not found in a directory.
    pub named: bool,
}

impl FoundLog {
    /// Returns true if its name is that of our Zeek package's log.
    #[must_use]
    pub fn is_pdns_log(&self) -> bool {
        self.path.file_name().is_some_and(is_pdns_log)
    }
}

/// An input for which no file was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The path does not exist.
    Path(PathBuf),
    /// No file matches this pattern.
    Pattern(String),
    /// This directory and those below it contain no log.
    NoLogs(PathBuf),
}

/// Contents of one argument.
enum InputArgument {
    Path(PathBuf),
    /// A pattern, unless there is a file with exactly that name.
    Glob(String),
}

impl InputArgument {
    /// The [`Missing`] value if no file was found.
    fn missing(&self) -> Missing {
        let of = |path: &Path| {
            if path.is_dir() {
                Missing::NoLogs(path.to_owned())
            } else {
                Missing::Path(path.to_owned())
            }
        };
        match self {
            Self::Path(path) => of(path),
            Self::Glob(pattern) if Path::new(pattern).exists() => of(Path::new(pattern)),
            Self::Glob(pattern) => Missing::Pattern(pattern.clone()),
        }
    }
}

/// The requested files, directories and globs, looked up again at each scan.
///
/// In and below a directory, a file is selected if its name is one of [`LogNames`]. Symbolic links such as
/// zeekctl's `current` are followed, and loops are tolerated. A file given by name or matched by a glob is
/// selected whatever its name.
pub struct Scan {
    inputs: Vec<InputArgument>,
    walk: DirectoryWalker,
    /// State and path of each file when it was last returned, by device and inode. Includes the path, because
    /// a file may be renamed after it was returned and before it was opened.
    seen: HashMap<(u64, u64), (Stat, PathBuf)>,
    missing: Vec<Missing>,
    dirs: Vec<(PathBuf, i128)>,
    problems: Vec<SourceError>,
    problem_count: u64,
    skipped: Skipped,
}

impl Scan {
    /// Accepts paths and globs (`*`, `?`, `[...]`, `**`), and the `names` of logs in directories. The paths
    /// need not exist yet.
    ///
    /// # Errors
    /// [`SourceError::Pattern`] for an invalid glob that is not an existing path either.
    pub fn new(inputs: &[PathBuf], names: LogNames) -> Result<Self, SourceError> {
        let inputs = inputs.iter().map(|path| input(path)).collect::<Result<_, _>>()?;
        Ok(Self {
            inputs,
            walk: DirectoryWalker::new(names),
            seen: HashMap::new(),
            missing: Vec::new(),
            dirs: Vec::new(),
            problems: Vec::new(),
            problem_count: 0,
            skipped: Skipped::default(),
        })
    }

    /// The files that are new, or whose size, modification time or path changed since the last call, sorted
    /// by path. A file with several names counts once.
    pub fn changed(&mut self) -> Vec<FoundLog> {
        let now = Instant::now();
        let mut result = ScanResult::default();
        self.missing.clear();
        for input in &self.inputs {
            let (files, problems) = (result.files.len(), result.problem_count);
            visit(input, &mut self.walk, now, &mut result);
            // A directory that could not be read may contain some.
            if (result.files.len(), result.problem_count) == (files, problems) {
                self.missing.push(input.missing());
            }
        }
        self.walk.tidy();
        result.files.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let mut met = HashSet::with_capacity(result.files.len());
        result.files.retain(|(_, stat)| met.insert((stat.dev, stat.ino)));
        result.files.retain(|(path, stat)| {
            let known = self.seen.get(&(stat.dev, stat.ino));
            known.is_none_or(|(seen, at)| seen != stat || at != path)
        });
        self.seen.retain(|file, _| met.contains(file));
        for (path, stat) in &result.files {
            self.seen.insert((stat.dev, stat.ino), (*stat, path.clone()));
        }
        (self.dirs, self.problems, self.skipped) = (result.dirs, result.problems, result.skipped);
        self.problem_count = result.problem_count;
        result
            .files
            .into_iter()
            .map(|(path, stat)| {
                let named = result.named.contains(&path);
                FoundLog { path, stat, named }
            })
            .collect()
    }

    /// The path at which the last scan found a file, by device and inode.
    #[must_use]
    pub fn locate(&self, file: (u64, u64)) -> Option<&Path> {
        self.seen.get(&file).map(|(_, path)| path.as_path())
    }

    /// Treats every file as new again.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// The names searched for in directories.
    #[must_use]
    pub fn names(&self) -> LogNames {
        self.walk.names()
    }

    /// The inputs for which the last scan found no file.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Errors of the last scan; repeated at each scan until they are fixed.
    #[must_use]
    pub fn problems(&self) -> &[SourceError] {
        &self.problems
    }

    /// Total number of errors, including those not kept.
    #[must_use]
    pub fn problem_count(&self) -> u64 {
        self.problem_count
    }

    /// Files that the last scan skipped because of their names.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The directories in which files appear or change, from the last scan: at most 256, the most recently
    /// modified ones.
    #[must_use]
    pub fn watch_dirs(&self) -> Vec<PathBuf> {
        let mut dirs = self.dirs.clone();
        dirs.sort_unstable_by(|left, right| {
            right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0))
        });
        let mut met = HashSet::new();
        dirs.retain(|(dir, _)| met.insert(dir.clone()));
        dirs.into_iter().take(WATCHED_MAX).map(|(dir, _)| dir).collect()
    }
}

fn input(path: &Path) -> Result<InputArgument, SourceError> {
    let Some(text) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(InputArgument::Path(path.to_owned()));
    };
    match glob::Pattern::new(text) {
        Ok(_) => Ok(InputArgument::Glob(text.to_owned())),
        Err(_) if path.exists() => Ok(InputArgument::Path(path.to_owned())),
        Err(cause) => Err(SourceError::Pattern { pattern: text.to_owned(), cause }),
    }
}

/// Adds the files for one input.
fn visit(input: &InputArgument, walk: &mut DirectoryWalker, now: Instant, result: &mut ScanResult) {
    match input {
        InputArgument::Path(path) => take(path, walk, now, result),
        InputArgument::Glob(pattern) if Path::new(pattern).exists() => {
            take(Path::new(pattern), walk, now, result);
        }
        InputArgument::Glob(pattern) => {
            watch(fixed_part(pattern), result);
            let options = glob::MatchOptions {
                case_sensitive: true,
                require_literal_separator: true,
                require_literal_leading_dot: true,
            };
            // The pattern was validated when it was given.
            for path in glob::glob_with(pattern, options).into_iter().flatten() {
                match path {
                    Ok(path) => take(&path, walk, now, result),
                    Err(error) => {
                        let path = error.path().to_owned();
                        result.push_error(SourceError::List { path, cause: error.into() });
                    }
                }
            }
        }
    }
}

/// Adds a file whatever its name, or the logs of a directory.
fn take(path: &Path, walk: &mut DirectoryWalker, now: Instant, result: &mut ScanResult) {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => walk.walk(path, &metadata, now, result),
        Ok(metadata) => {
            watch(parent(path), result);
            // Includes anything that is not a regular file: opening it reports the error.
            result.files.push((path.to_owned(), Stat::from_metadata(&metadata)));
            result.named.insert(path.to_owned());
        }
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => watch(parent(path), result),
        Err(cause) => result.push_error(SourceError::Open { path: path.to_owned(), cause }),
    }
}

fn watch(dir: &Path, result: &mut ScanResult) {
    if let Ok(metadata) = fs::metadata(dir)
        && metadata.is_dir()
    {
        result.dirs.push((dir.to_owned(), Stat::from_metadata(&metadata).mtime_ns));
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The directory above the first variable part of a pattern.
fn fixed_part(pattern: &str) -> &Path {
    let fixed = pattern.find(['*', '?', '[']).and_then(|at| pattern.get(..at)).unwrap_or(pattern);
    match fixed.rfind('/').and_then(|slash| fixed.get(..=slash)) {
        Some(dir) => Path::new(dir),
        None => Path::new("."),
    }
}
