//! Repeated, cheap walks through a directory of logs.
//!
//! Under `scan`. An archive contains years of hourly files of about fifty kinds, and is walked at each poll.
//! A directory is therefore listed again only if its modification time has changed, and only relevant names
//! are remembered. Files grow without changing that time, so each file is examined.

use super::log::name_of;
use super::names::LogNames;
use super::{SourceError, Stat};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Maximum number of directories below the given one: about thirty years of days, for five such archives.
const DIRS_MAX: usize = 65_536;
/// Maximum number of errors kept from one scan.
const PROBLEMS_MAX: usize = 64;
/// Minimum age of a directory's modification time before a listing is reused. Some file systems store that
/// time in whole seconds: a file may be created in the same second as the listing.
const SETTLED: Duration = Duration::from_secs(2);

/// Results of one scan.
#[derive(Default)]
pub(super) struct ScanResult {
    pub(super) files: Vec<(PathBuf, Stat)>,
    /// Those given by name or glob.
    pub(super) named: HashSet<PathBuf>,
    /// Directories visited, with their modification times.
    pub(super) dirs: Vec<(PathBuf, i128)>,
    pub(super) problems: Vec<SourceError>,
    /// Total number of errors, including those not kept.
    pub(super) problem_count: u64,
    pub(super) skipped: Skipped,
}

/// Files below the given directories whose names are those of other logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Number of files.
    pub count: u64,
    /// Example of such a file.
    pub example: Option<PathBuf>,
}

impl Skipped {
    /// Adds one file.
    pub(super) fn add(&mut self, path: PathBuf) {
        self.count += 1;
        self.example.get_or_insert(path);
    }

    fn add_all(&mut self, directory: &Path, others: u64, example: Option<&OsString>) {
        self.count += others;
        if self.example.is_none() {
            self.example = example.map(|name| directory.join(name));
        }
    }
}

impl ScanResult {
    pub(super) fn push_error(&mut self, problem: SourceError) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// A directory listing.
struct DirectoryListing {
    stat: Stat,
    /// Time when this modification time was first observed.
    since: Instant,
    listed: Instant,
    /// Directories, symbolic links, and everything with the name of a log.
    names: Vec<OsString>,
    /// Number of other files, and an example.
    others: u64,
    example: Option<OsString>,
    used: bool,
}

impl DirectoryListing {
    fn holds(&self, stat: &Stat) -> bool {
        self.is_of(stat) && self.listed.duration_since(self.since) >= SETTLED
    }

    fn is_of(&self, stat: &Stat) -> bool {
        self.stat.is_same_file(stat) && self.stat.mtime_ns == stat.mtime_ns
    }
}

/// Directory listings kept across scans.
pub(super) struct DirectoryWalker {
    wanted: LogNames,
    listings: HashMap<PathBuf, DirectoryListing>,
}

impl DirectoryWalker {
    /// Starts without any directory.
    pub(super) fn new(wanted: LogNames) -> Self {
        Self { wanted, listings: HashMap::new() }
    }

    /// The names searched for.
    pub(super) fn names(&self) -> LogNames {
        self.wanted
    }

    /// Adds the logs below `root`, each directory once: links may form loops. Breadth-first, so that a
    /// directory is found at its least depth.
    pub(super) fn walk(
        &mut self,
        root: &Path,
        metadata: &Metadata,
        now: Instant,
        result: &mut ScanResult,
    ) {
        let wanted = self.wanted;
        let mut met = HashSet::new();
        let mut queue = VecDeque::from([(root.to_owned(), Stat::from_metadata(metadata))]);
        while let Some((dir, stat)) = queue.pop_front() {
            if !met.insert((stat.dev, stat.ino)) {
                continue;
            }
            if met.len() > DIRS_MAX {
                let path = root.to_owned();
                result.push_error(SourceError::TooWide { path, most: DIRS_MAX });
                return;
            }
            let listing = match self.list(&dir, stat, now) {
                Ok(listing) => listing,
                // It was removed after its parent was listed.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => {
                    result.push_error(SourceError::List { path: dir, cause });
                    continue;
                }
            };
            let Some(DirectoryListing { names, others, example, .. }) = listing else { continue };
            result.skipped.add_all(&dir, *others, example.as_ref());
            for name in names {
                let path = dir.join(name);
                let metadata = match fs::metadata(&path) {
                    Ok(metadata) => metadata,
                    Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
                    Err(cause) => {
                        result.push_error(SourceError::Open { path, cause });
                        continue;
                    }
                };
                let kind = metadata.file_type();
                if kind.is_dir() {
                    queue.push_back((path, Stat::from_metadata(&metadata)));
                } else if !wanted.include(name) {
                    // A symbolic link to a file with another name.
                    result.skipped.add(path);
                } else if kind.is_file() {
                    result.files.push((path, Stat::from_metadata(&metadata)));
                } else {
                    result.push_error(SourceError::NotAFile { path, kind: name_of(kind) });
                }
            }
            result.dirs.push((dir, stat.mtime_ns));
        }
    }

    /// The relevant names in a directory, from memory if it has not changed.
    fn list(
        &mut self,
        dir: &Path,
        stat: Stat,
        now: Instant,
    ) -> io::Result<Option<&DirectoryListing>> {
        let known = self.listings.get(dir);
        let since = known.filter(|known| known.is_of(&stat)).map_or(now, |known| known.since);
        let fresh = match known {
            Some(known) if known.holds(&stat) => None,
            _ => {
                let (names, others, example) = read_names(dir, self.wanted)?;
                Some(DirectoryListing {
                    stat,
                    since,
                    listed: now,
                    names,
                    others,
                    example,
                    used: true,
                })
            }
        };
        let listing = match fresh {
            Some(fresh) => self.listings.entry(dir.to_owned()).insert_entry(fresh).into_mut(),
            None => match self.listings.get_mut(dir) {
                Some(listing) => listing,
                None => return Ok(None),
            },
        };
        listing.used = true;
        Ok(Some(listing))
    }

    /// Drops the directories that no walk visited since the last call.
    pub(super) fn tidy(&mut self) {
        self.listings.retain(|_, listing| std::mem::replace(&mut listing.used, false));
    }
}

/// The relevant names in a directory; the number of others, and an example.
fn read_names(dir: &Path, wanted: LogNames) -> io::Result<(Vec<OsString>, u64, Option<OsString>)> {
    let (mut names, mut others, mut example) = (Vec::new(), 0, None);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if wanted.include(&name)
            || entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
        {
            names.push(name);
        } else {
            others += 1;
            // The same one each time.
            if example.as_ref().is_none_or(|first| name < *first) {
                example = Some(name);
            }
        }
    }
    names.sort_unstable();
    Ok((names, others, example))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn found(walk: &mut DirectoryWalker, root: &Path, now: Instant) -> Vec<(String, u64)> {
        let mut result = ScanResult::default();
        walk.walk(root, &fs::metadata(root).unwrap(), now, &mut result);
        walk.tidy();
        assert!(result.problems.is_empty());
        let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
        result.files.iter().map(|(path, stat)| (name(path), stat.size)).collect()
    }

    #[test]
    fn a_listing_from_memory_shows_what_a_new_one_would() {
        let dir = TempDir::new().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("day")).unwrap();
        fs::write(root.join("day/dns.1.log"), "1").unwrap();
        let mut walk = DirectoryWalker::new(LogNames::Zeek);
        let start = Instant::now();
        for seconds in [0, 3, 6] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(found(&mut walk, root, now), [("day/dns.1.log".to_owned(), 1)]);
        }
        let day = root.join("day");
        assert!(walk.listings[&day].holds(&Stat::from_metadata(&fs::metadata(&day).unwrap())));
        // Files that grow, appear or disappear are still noticed.
        let now = start + Duration::from_secs(9);
        fs::write(root.join("day/dns.1.log"), "12").unwrap();
        assert_eq!(found(&mut walk, root, now), [("day/dns.1.log".to_owned(), 2)]);
        fs::write(root.join("day/dns.2.log"), "").unwrap();
        assert_eq!(found(&mut walk, root, now).len(), 2);
        fs::remove_dir_all(root.join("day")).unwrap();
        assert!(found(&mut walk, root, now).is_empty());
        assert_eq!(walk.listings.len(), 1);
    }
}
