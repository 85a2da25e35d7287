//! Capture files of one folder, which may be parts of one capture.
//!
//! Under `pcap_import`. Long captures write file after file (`tcpdump -C`), and a query may be the last
//! packet of one file and its response the first of the next. The files of a folder are therefore read in the
//! order of their first packets, and a file that begins where another ends continues with the state that it
//! left open.

use crate::hash::Hasher;
use crate::source::{CaptureFile, Digest, Step};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Maximum time by which the first packet of a file may precede the last packet of the previous one, in
/// microseconds: packets from several queues or processors are written slightly out of order.
const OVERLAP: i64 = 100_000;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct FolderFile {
    pub(super) path: PathBuf,
    /// Its first packet and the capture time; `None` if it has no readable packet.
    pub(super) start: Option<(Digest, Timestamp)>,
}

/// The files of a folder, in the order of their first packets.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) parts: Vec<FolderFile>,
    /// Maximum time between the last packet of a file and the first of the next: the time that questions stay
    /// open.
    most_gap: i64,
}

/// Groups files by folder.
pub(super) fn by_folder(files: Vec<PathBuf>) -> Vec<Vec<PathBuf>> {
    let mut folders: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<PathBuf>> = Vec::new();
    for path in files {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let at = *folders.entry(folder).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at) {
            group.push(path);
        }
    }
    groups
}

impl Folder {
    /// Reads the first packet of each file.
    pub(super) fn new(files: Vec<PathBuf>, hasher: &Hasher, timeout: Duration) -> Arc<Self> {
        let is_alone = files.len() == 1;
        let mut parts: Vec<FolderFile> = files
            .into_iter()
            .map(|path| {
                // An unreadable file reports its error when it is read.
                let start = if is_alone { None } else { start(&path, hasher) };
                FolderFile { path, start }
            })
            .collect();
        // If names contain numbers without leading zeros, sorting them does not give the order in time.
        parts.sort_by_key(|part| part.start.map_or(i64::MAX, |(_, at)| at.micros()));
        let most_gap = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
        Arc::new(Self { parts, most_gap })
    }

    /// Rank of a file as the continuation of another, whose last packet was captured at `last`; `None` if it
    /// is not a continuation. The smallest is best: first come those whose names differ in the fewest
    /// numbers, because two interfaces may be captured into one folder.
    /// folder.
    pub(super) fn gap(&self, before: usize, last: Timestamp, after: usize) -> Option<(usize, u64)> {
        let (before, after) = (self.parts.get(before)?, self.parts.get(after)?);
        let ((_, began), (_, first)) = (before.start?, after.start?);
        let gap = first.micros().saturating_sub(last.micros());
        // A file that begins with the same packet, or earlier, is not a continuation.
        if first <= began || gap < -OVERLAP || gap > self.most_gap {
            return None;
        }
        Some((differing(&before.path, &after.path), gap.unsigned_abs()))
    }

    /// Maximum time that anything stays open in a decoder, in microseconds: questions, and waiting fragments
    /// and streams.
    pub(super) fn most_open(&self) -> i64 {
        self.most_gap.saturating_add(60_000_000)
    }
}

/// Number of differing numbers in two file names; the maximum value if they differ in anything else.
fn differing(one: &Path, other: &Path) -> usize {
    let split = |path: &Path| -> (String, Vec<String>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_digit = |letter: char| letter.is_ascii_digit();
        let numbers = name.split(|letter| !is_digit(letter)).filter(|number| !number.is_empty());
        let numbers = numbers.map(str::to_owned).collect();
        (name.replace(is_digit, ""), numbers)
    };
    let ((text, numbers), (other_text, other_numbers)) = (split(one), split(other));
    if text != other_text {
        return usize::MAX;
    }
    let count = numbers.len().max(other_numbers.len());
    (0..count).filter(|&at| numbers.get(at) != other_numbers.get(at)).count()
}

/// The first packet of a file.
fn start(path: &Path, hasher: &Hasher) -> Option<(Digest, Timestamp)> {
    let mut file = CaptureFile::open(path).ok()?;
    let head = file.head(hasher).ok()??;
    loop {
        match file.next() {
            Ok(Some(Step::Packet(frame, _))) => return Some((head, frame.at)),
            Ok(Some(Step::Nothing)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str, micros: i64) -> FolderFile {
        FolderFile { path: path.into(), start: Some(([0; 16], Timestamp::from_micros(micros))) }
    }

    #[test]
    fn files_are_grouped_by_folder() {
        let files = ["a/1", "b/1", "a/2", "1"].map(PathBuf::from).into();
        let groups = by_folder(files);
        let want: [&[&str]; 3] = [&["a/1", "a/2"], &["b/1"], &["1"]];
        assert_eq!(groups.len(), 3);
        for (group, want) in groups.iter().zip(want) {
            assert_eq!(group, &want.iter().map(PathBuf::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_next_file_begins_where_one_ends() {
        let last = 100_000_000;
        let gap = |name: &str, first: i64| {
            let parts = vec![part("f/eth0-1.pcap", 50_000_000), part(name, first)];
            let folder = Folder { parts, most_gap: 10_000_000 };
            folder.gap(0, Timestamp::from_micros(last), 1)
        };
        assert_eq!(gap("f/eth0-2.pcap", last + 10_000_001), None);
        assert_eq!(gap("f/eth0-2.pcap", last - 100_001), None);
        let next = gap("f/eth0-2.pcap", last + 1_000_000).unwrap();
        let later = gap("f/eth0-10.pcap", last + 9_000_000).unwrap();
        let other = gap("f/eth1-2.pcap", last + 1).unwrap();
        let unlike = gap("f/other.pcap", last).unwrap();
        assert!(next < later && later < other && other < unlike);
        // A short capture does not continue with one that has the same beginning.
        let parts = vec![part("f/one.pcap", 5), part("f/two.pcap", 5)];
        let folder = Folder { parts, most_gap: 10_000_000 };
        assert_eq!(folder.gap(0, Timestamp::from_micros(9), 1), None);
    }
}
