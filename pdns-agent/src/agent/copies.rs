//! Files that hold what was read before, and the paths under which that was: for the report.
//!
//! Used by `log_reader` and `captured`. A file is known by its content, so that a copy that was renamed, unpacked or
//! compressed counts nothing again; without a word of it the report would look as if the file had been empty.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// First sighting of the content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Nowhere in this run before.
    New,
    /// In this very file.
    Here,
    /// In another file of this run.
    At(PathBuf),
}

/// The path under which each content was met first in this run, all threads together.
#[derive(Default)]
pub(super) struct FirstPaths(Mutex<MetContents>);

#[derive(Default)]
struct MetContents {
    first: HashMap<[u8; 16], PathBuf>,
    /// Files that were reported: they may be looked at again.
    reported: HashSet<PathBuf>,
}

impl FirstPaths {
    /// Notes that a file has a content.
    pub(super) fn meet(&self, key: [u8; 16], path: &Path) -> Met {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.first.get(&key) {
            None => {
                state.first.insert(key, path.to_owned());
                Met::New
            }
            Some(first) if first == path => Met::Here,
            Some(first) => Met::At(first.clone()),
        }
    }

    /// The path at which a content was met first.
    pub(super) fn first(&self, key: &[u8; 16]) -> Option<PathBuf> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.first.get(key).cloned()
    }

    /// True the first time that a file is to be reported.
    fn reports(&self, path: &Path) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.reported.insert(path.to_owned())
    }
}

/// Files in which nothing was new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NothingNew {
    /// Those that an earlier run read at the same path.
    pub unchanged: u64,
    /// Those that an earlier run read at another path.
    pub copied: Copies,
    /// Those whose content another file of this run has.
    pub repeated: Copies,
}

/// Files that were read at other paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Number of files.
    pub count: u64,
    /// One of them, and the other path.
    pub example: Option<(PathBuf, PathBuf)>,
}

impl Copies {
    fn add(&mut self, path: &Path, other: &Path) {
        self.count += 1;
        self.example.get_or_insert_with(|| (path.to_owned(), other.to_owned()));
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
    }
}

impl NothingNew {
    /// Counts a file, unless it was counted before. `met` is what [`FirstPaths::meet`] said of it, and `known_as` the
    /// path that the store has for its content.
    pub(super) fn add(&mut self, paths: &FirstPaths, path: &Path, met: &Met, known_as: &str) {
        if *met == Met::Here || !paths.reports(path) {
            return;
        }
        match met {
            Met::At(other) => self.repeated.add(path, other),
            _ if known_as.is_empty() || Path::new(known_as) == path => self.unchanged += 1,
            _ => self.copied.add(path, Path::new(known_as)),
        }
    }

    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.unchanged += other.unchanged;
        self.copied.merge(&other.copied);
        self.repeated.merge(&other.repeated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_counted_once_by_where_its_content_was_met() {
        let (paths, mut report) = (FirstPaths::default(), NothingNew::default());
        let [a, b, c] = ["a", "b", "c"].map(Path::new);
        // Of the first content `a` is the file that was read, and `b` a copy.
        assert_eq!(paths.meet([1; 16], a), Met::New);
        for _ in 0..2 {
            let met = paths.meet([1; 16], b);
            assert_eq!(met, Met::At(a.to_owned()));
            report.add(&paths, b, &met, "a");
        }
        // Looked at again, the file itself is no copy.
        report.add(&paths, a, &paths.meet([1; 16], a), "a");
        report.add(&paths, c, &paths.meet([2; 16], c), "old");
        let d = Path::new("d");
        report.add(&paths, d, &paths.meet([3; 16], d), "d");
        let copies = |path: &Path, other: &str| Copies {
            count: 1,
            example: Some((path.to_owned(), PathBuf::from(other))),
        };
        let (repeated, copied) = (copies(b, "a"), copies(c, "old"));
        assert_eq!(report, NothingNew { unchanged: 1, copied, repeated });
    }
}
