//! Search for capture files.
//!
//! Part of `source`, before `pcap`. A file given by name is accepted as it is; in a directory, the file name
//! decides.

use super::walk::Skipped;
use super::{SourceError, Stat};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Maximum number of directories searched.
const MOST_DIRECTORIES: usize = 65_536;

/// The capture files found for some paths.
#[derive(Debug, Default)]
pub struct CaptureFiles {
    /// The files without duplicates, in the order given; those of a directory sorted.
    pub files: Vec<PathBuf>,
    /// Given directories that contain no capture.
    pub empty: Vec<PathBuf>,
    /// Paths that could not be examined.
    pub problems: Vec<SourceError>,
    /// The other files in directories.
    pub skipped: Skipped,
}

/// Finds the capture files for the given paths.
///
/// In and below a directory, it selects files whose name contains `.pcap`, followed by any suffix, as
/// tcpdump, dumpcap and Suricata write them, or ends with `.cap`. `-` stands for standard input.
#[must_use]
pub fn capture_files(inputs: &[PathBuf]) -> CaptureFiles {
    let mut found = CaptureFiles::default();
    for input in inputs {
        if fs::metadata(input).is_ok_and(|kind| kind.is_dir()) && input.as_os_str() != "-" {
            let before = (found.files.len(), found.problems.len());
            look(input, &mut HashSet::new(), &mut found);
            if before == (found.files.len(), found.problems.len()) {
                found.empty.push(input.clone());
            }
        } else {
            // Missing files are included too: opening them reports the error.
            found.files.push(input.clone());
        }
    }
    let mut seen = HashSet::new();
    found.files.retain(|path| seen.insert(path.clone()));
    found
}

/// Adds the captures in and below a directory, each once: links may form loops.
fn look(directory: &Path, met: &mut HashSet<(u64, u64)>, found: &mut CaptureFiles) {
    match fs::metadata(directory) {
        Ok(place) if !met.insert(Stat::from_metadata(&place).file()) => return,
        _ if met.len() > MOST_DIRECTORIES => {
            if met.len() == MOST_DIRECTORIES + 1 {
                let path = directory.to_owned();
                found.problems.push(SourceError::TooWide { path, most: MOST_DIRECTORIES });
            }
            return;
        }
        _ => {}
    }
    let listed = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    let mut paths: Vec<PathBuf> = match listed {
        Ok(paths) => paths,
        // It was removed after its parent was listed.
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return,
        Err(cause) => {
            found.problems.push(SourceError::List { path: directory.to_owned(), cause });
            return;
        }
    };
    paths.sort();
    for path in paths {
        // Ignore files that vanish in the meantime and dangling links.
        let Ok(kind) = fs::metadata(&path) else { continue };
        if kind.is_dir() {
            look(&path, met, found);
        } else if kind.is_file() && is_capture(&path) {
            found.files.push(path);
        } else {
            found.skipped.add(path);
        }
    }
}

fn is_capture(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.contains(".pcap") || Path::new(&name).extension().is_some_and(|end| end == "cap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_looked_into_at_any_depth_and_named_files_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        for name in ["x.pcap", "x.pcapng.zst", "log.pcap.1690000000", "y.CAP", "notes.txt"] {
            fs::write(below.join(name), "").unwrap();
        }
        let odd = folder.path().join("odd");
        fs::write(&odd, "").unwrap();
        let inputs = [odd.clone(), folder.path().to_owned(), odd.clone(), PathBuf::from("-")];
        let found = capture_files(&inputs);
        let mut want = vec![odd];
        // Deeply nested, and a loop of links.
        let deep = (0..40).fold(below.clone(), |path, level| path.join(level.to_string()));
        fs::create_dir_all(&deep).unwrap();
        std::os::unix::fs::symlink(&below, deep.join("back")).unwrap();
        want.extend(
            ["log.pcap.1690000000", "x.pcap", "x.pcapng.zst", "y.CAP"].map(|name| below.join(name)),
        );
        want.push(PathBuf::from("-"));
        assert_eq!(found.files, want);
        assert_eq!(found.skipped.count, 2);
        assert!(found.problems.is_empty() && found.empty.is_empty());
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert_eq!(capture_files(std::slice::from_ref(&empty)).empty, [empty]);
    }
}
