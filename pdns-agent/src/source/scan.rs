//! Which files are meant, and which of them have something new.
//!
//! Under `source`: the agent calls [`Scan::changed`] at each poll and opens or reads what it names.

use super::names::{LogNames, is_pdns_log};
use super::walk::{Haul, Skipped, Walk};
use super::{SourceError, Stat};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most directories named for watching; of more, the last written. The rest is found by polling.
const WATCHED_MAX: usize = 256;

/// A file that is new or has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A path to it. Of several, the first in order.
    pub path: PathBuf,
    /// Its state when it was met.
    pub stat: Stat,
    /// Whether it was named itself, or by a glob, and not found in a directory.
    pub named: bool,
}

impl Found {
    /// Whether its name is that of the log of our Zeek package.
    #[must_use]
    pub fn is_pdns_log(&self) -> bool {
        self.path.file_name().is_some_and(is_pdns_log)
    }
}

/// An input for which no file was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing has this path.
    Path(PathBuf),
    /// No file matches this pattern.
    Pattern(String),
    /// This directory, and those below it, hold no log.
    NoLogs(PathBuf),
}

/// What was asked for in one argument.
enum Input {
    Path(PathBuf),
    /// A pattern, unless there is a file of just that name.
    Glob(String),
}

impl Input {
    /// What is missing where no file was found.
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

/// The files, directories and globs that were asked for, looked up anew at each scan.
///
/// In a directory, and below it, a file is taken when its name is one of [`LogNames`]; symbolic links such as zeekctl's `current` are followed, and loops of them survived. A file that is named
/// itself, or that a glob matches, is taken whatever its name.
pub struct Scan {
    inputs: Vec<Input>,
    walk: Walk,
    /// State and path of each file when it was last named, by device and inode. The path, because a file
    /// may be renamed after it was named and before it was opened.
    seen: HashMap<(u64, u64), (Stat, PathBuf)>,
    missing: Vec<Missing>,
    dirs: Vec<(PathBuf, i128)>,
    problems: Vec<SourceError>,
    problem_count: u64,
    skipped: Skipped,
}

impl Scan {
    /// Takes paths and globs (`*`, `?`, `[...]`, `**`), and the `names` of logs in directories. None of the paths
    /// needs to exist yet.
    ///
    /// # Errors
    /// [`SourceError::Pattern`] for a broken glob that is no existing path either.
    pub fn new(inputs: &[PathBuf], names: LogNames) -> Result<Self, SourceError> {
        let inputs = inputs.iter().map(|path| input(path)).collect::<Result<_, _>>()?;
        Ok(Self {
            inputs,
            walk: Walk::new(names),
            seen: HashMap::new(),
            missing: Vec::new(),
            dirs: Vec::new(),
            problems: Vec::new(),
            problem_count: 0,
            skipped: Skipped::default(),
        })
    }

    /// The files that are new, or changed in size, time of writing or path since the last call, in order
    /// of path. A file under several names counts once.
    pub fn changed(&mut self) -> Vec<Found> {
        let now = Instant::now();
        let mut haul = Haul::default();
        self.missing.clear();
        for input in &self.inputs {
            let (files, problems) = (haul.files.len(), haul.problem_count);
            visit(input, &mut self.walk, now, &mut haul);
            // What could not be looked at may hold some.
            if (haul.files.len(), haul.problem_count) == (files, problems) {
                self.missing.push(input.missing());
            }
        }
        self.walk.tidy();
        haul.files.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let mut met = HashSet::with_capacity(haul.files.len());
        haul.files.retain(|(_, stat)| met.insert((stat.dev, stat.ino)));
        haul.files.retain(|(path, stat)| {
            let known = self.seen.get(&(stat.dev, stat.ino));
            known.is_none_or(|(seen, at)| seen != stat || at != path)
        });
        self.seen.retain(|file, _| met.contains(file));
        for (path, stat) in &haul.files {
            self.seen.insert((stat.dev, stat.ino), (*stat, path.clone()));
        }
        (self.dirs, self.problems, self.skipped) = (haul.dirs, haul.problems, haul.skipped);
        self.problem_count = haul.problem_count;
        haul.files
            .into_iter()
            .map(|(path, stat)| {
                let named = haul.named.contains(&path);
                Found { path, stat, named }
            })
            .collect()
    }

    /// The path at which the last scan met a file, by device and inode.
    #[must_use]
    pub fn locate(&self, file: (u64, u64)) -> Option<&Path> {
        self.seen.get(&file).map(|(_, path)| path.as_path())
    }

    /// Makes every file count as new again.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// The names that are looked for in directories.
    #[must_use]
    pub fn names(&self) -> LogNames {
        self.walk.names()
    }

    /// The inputs for which the last scan found no file.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What the last scan could not look at; the same at each scan until it is mended.
    #[must_use]
    pub fn problems(&self) -> &[SourceError] {
        &self.problems
    }

    /// How many there were, also beyond those that are kept.
    #[must_use]
    pub fn problem_count(&self) -> u64 {
        self.problem_count
    }

    /// The files that the last scan passed over because of their names.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The directories in which files appear or change, as the last scan met them: 256 at most, those
    /// written last.
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

fn input(path: &Path) -> Result<Input, SourceError> {
    let Some(text) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(Input::Path(path.to_owned()));
    };
    match glob::Pattern::new(text) {
        Ok(_) => Ok(Input::Glob(text.to_owned())),
        Err(_) if path.exists() => Ok(Input::Path(path.to_owned())),
        Err(cause) => Err(SourceError::Pattern { pattern: text.to_owned(), cause }),
    }
}

/// Adds what one input stands for.
fn visit(input: &Input, walk: &mut Walk, now: Instant, haul: &mut Haul) {
    match input {
        Input::Path(path) => take(path, walk, now, haul),
        Input::Glob(pattern) if Path::new(pattern).exists() => {
            take(Path::new(pattern), walk, now, haul);
        }
        Input::Glob(pattern) => {
            watch(fixed_part(pattern), haul);
            let options = glob::MatchOptions {
                case_sensitive: true,
                require_literal_separator: true,
                require_literal_leading_dot: true,
            };
            // The pattern was found well-formed when it was given.
            for path in glob::glob_with(pattern, options).into_iter().flatten() {
                match path {
                    Ok(path) => take(&path, walk, now, haul),
                    Err(error) => {
                        let path = error.path().to_owned();
                        haul.complain(SourceError::List { path, cause: error.into() });
                    }
                }
            }
        }
    }
}

/// Adds a file whatever its name, or the logs of a directory.
fn take(path: &Path, walk: &mut Walk, now: Instant, haul: &mut Haul) {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => walk.walk(path, &metadata, now, haul),
        Ok(metadata) => {
            watch(parent(path), haul);
            // What is no regular file too: opening it says so.
            haul.files.push((path.to_owned(), Stat::of(&metadata)));
            haul.named.insert(path.to_owned());
        }
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => watch(parent(path), haul),
        Err(cause) => haul.complain(SourceError::Open { path: path.to_owned(), cause }),
    }
}

fn watch(dir: &Path, haul: &mut Haul) {
    if let Ok(metadata) = fs::metadata(dir)
        && metadata.is_dir()
    {
        haul.dirs.push((dir.to_owned(), Stat::of(&metadata).mtime_ns));
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The directory above the first part of a pattern that is not fixed.
fn fixed_part(pattern: &str) -> &Path {
    let fixed = pattern.find(['*', '?', '[']).and_then(|at| pattern.get(..at)).unwrap_or(pattern);
    match fixed.rfind('/').and_then(|slash| fixed.get(..=slash)) {
        Some(dir) => Path::new(dir),
        None => Path::new("."),
    }
}
