//! Which capture files are meant.
//!
//! Part of `source`, before `pcap`. A file that is named is taken as it is; in a directory, names decide.

use super::SourceError;
use std::fs;
use std::path::{Path, PathBuf};

/// Deepest directories are looked into; a loop of links ends here.
const DEPTH: usize = 16;

/// The files meant, each once, in the order they are named; those of a directory sorted.
///
/// In a directory, and below it, files are taken whose name has `.pcap` in it, as those of tcpdump, dumpcap
/// and Suricata do with whatever comes behind, or ends with `.cap`. `-` stands for standard input.
///
/// # Errors
/// When a file or a directory that is named is not there or cannot be read.
pub fn capture_files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut found = Vec::new();
    for input in inputs {
        if input.as_os_str() == "-" {
            found.push(input.clone());
            continue;
        }
        let kind = fs::metadata(input)
            .map_err(|cause| SourceError::Open { path: input.clone(), cause })?;
        if kind.is_dir() { look(input, DEPTH, &mut found)? } else { found.push(input.clone()) }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn look(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let error = |cause| SourceError::Open { path: directory.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(error)? {
        paths.push(entry.map_err(error)?.path());
    }
    paths.sort();
    for path in paths {
        // What vanishes meanwhile, or leads nowhere, is not meant.
        let Ok(kind) = fs::metadata(&path) else { continue };
        if kind.is_dir() {
            if depth > 0 {
                look(&path, depth - 1, found)?;
            }
        } else if kind.is_file() && is_capture(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_capture(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    name.contains(".pcap") || Path::new(&name).extension().is_some_and(|end| end == "cap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_looked_into_and_named_files_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        for name in ["x.pcap", "x.pcapng.zst", "log.pcap.1690000000", "y.CAP", "notes.txt"] {
            fs::write(below.join(name), "").unwrap();
        }
        let odd = folder.path().join("odd");
        fs::write(&odd, "").unwrap();
        let inputs = [odd.clone(), folder.path().to_owned(), odd.clone(), PathBuf::from("-")];
        let found = capture_files(&inputs).unwrap();
        let mut want = vec![odd];
        want.extend(
            ["log.pcap.1690000000", "x.pcap", "x.pcapng.zst", "y.CAP"].map(|name| below.join(name)),
        );
        want.push(PathBuf::from("-"));
        assert_eq!(found, want);
        let error = capture_files(&[folder.path().join("none")]).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
