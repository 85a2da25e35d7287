//! The capture files of one folder, which may be parts of one capture.
//!
//! Under `captured`. What captures for long writes file after file (`tcpdump -C`), and a query may be the last packet
//! of one and its response the first of the next. So the files of a folder are read in the order of their first
//! packets, and one that begins where another ends goes on with what that one left open.

use crate::hash::Hasher;
use crate::source::{CaptureFile, Digest, Step};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How much earlier than the last packet of a file the first of the next may be, in microseconds: packets of several
/// queues or processors are written a little out of order.
const OVERLAP: i64 = 100_000;

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Its first packet, and when that was captured; `None` if it has none that can be read.
    pub(super) start: Option<(Digest, Timestamp)>,
}

/// The files of a folder, in the order of their first packets.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) parts: Vec<Part>,
    /// Most time between the last packet of a file and the first of the next: questions are open as long.
    most_gap: i64,
}

/// Groups files by the folder that they lie in.
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
    /// Looks at the first packet of each file.
    pub(super) fn new(files: Vec<PathBuf>, hasher: &Hasher, timeout: Duration) -> Arc<Self> {
        let is_alone = files.len() == 1;
        let mut parts: Vec<Part> = files
            .into_iter()
            .map(|path| {
                // What cannot be read says so when its turn comes.
                let start = if is_alone { None } else { start(&path, hasher) };
                Part { path, start }
            })
            .collect();
        // Where names have numbers without leading zeros, their order is not that of time.
        parts.sort_by_key(|part| part.start.map_or(i64::MAX, |(_, at)| at.micros()));
        let most_gap = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
        Arc::new(Self { parts, most_gap })
    }

    /// How well a file goes on where another ended, whose last packet was captured at `last`; `None` if it does not. The
    /// least is best: first those whose names differ in the fewest numbers, as two interfaces may be captured into one
    /// folder.
    pub(super) fn gap(&self, before: usize, last: Timestamp, after: usize) -> Option<(usize, u64)> {
        let (before, after) = (self.parts.get(before)?, self.parts.get(after)?);
        let ((_, began), (_, first)) = (before.start?, after.start?);
        let gap = first.micros().saturating_sub(last.micros());
        // One that begins with the same packet, or earlier, is no later part.
        if first <= began || gap < -OVERLAP || gap > self.most_gap {
            return None;
        }
        Some((differing(&before.path, &after.path), gap.unsigned_abs()))
    }

    /// How long anything can be open in a decoder, in microseconds: questions, and fragments and streams that wait.
    pub(super) fn most_open(&self) -> i64 {
        self.most_gap.saturating_add(60_000_000)
    }
}

/// In how many numbers two file names differ; more than any if they differ in something else.
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

    fn part(path: &str, micros: i64) -> Part {
        Part { path: path.into(), start: Some(([0; 16], Timestamp::from_micros(micros))) }
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
        // A short capture does not go on with one that begins as it does.
        let parts = vec![part("f/one.pcap", 5), part("f/two.pcap", 5)];
        let folder = Folder { parts, most_gap: 10_000_000 };
        assert_eq!(folder.gap(0, Timestamp::from_micros(9), 1), None);
    }
}
