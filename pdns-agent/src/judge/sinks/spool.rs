//! A bounded queue of lines on disk, for a receiver that may be away.
//!
//! Lines are appended to segments, files with a number; a file `cursor` says how far they were taken. When the queue is
//! too large, the oldest segment goes, and its lines are counted.

use super::file::open_lines;
use crate::atomic_file;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Smallest and largest size of a segment, in bytes.
const SEGMENT: (u64, u64) = (16 << 10, 1 << 20);

/// A point in the queue: segment and offset.
type Position = (u64, u64);

/// The queue.
pub(super) struct Spool {
    folder: PathBuf,
    most: u64,
    /// Segments with their sizes, the oldest first; the last one is open.
    segments: VecDeque<(u64, u64)>,
    last: File,
    /// Size of the last segment that is on disk, and the number of lines behind it.
    synced: (u64, usize),
    /// True if the last segment may have more than that, after an error.
    is_torn: bool,
    /// Where the next line is taken from.
    next: Position,
    pub(super) dropped: u64,
}

impl Spool {
    /// Opens the queue in a folder, which is made if there is none.
    pub(super) fn open(folder: &Path, most: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".ndjson"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let number = numbers.last().copied().unwrap_or(1);
        let (last, size) = open_lines(&segment(folder, number))?;
        numbers.pop();
        let mut segments = VecDeque::new();
        for older in numbers {
            segments.push_back((older, fs::metadata(segment(folder, older))?.len()));
        }
        segments.push_back((number, size));
        let cursor = fs::read_to_string(folder.join("cursor")).unwrap_or_default();
        let cursor = cursor.trim().split_once(' ');
        let cursor = cursor.and_then(|(one, two)| Some((one.parse().ok()?, two.parse().ok()?)));
        let first = segments.front().map_or(number, |(number, _)| *number);
        // A cursor that is lost or beyond the end has all sent again, which is better than not at all.
        let is_valid = |(at, offset): &Position| {
            segments.iter().any(|(number, size)| number == at && offset <= size)
        };
        let next = cursor.filter(is_valid).unwrap_or((first, 0));
        // A kill between two steps of `advance` leaves a segment that was taken.
        while segments.len() > 1 && segments.front().is_some_and(|(number, _)| *number < next.0) {
            if let Some((number, _)) = segments.pop_front() {
                fs::remove_file(segment(folder, number))?;
            }
        }
        let folder = folder.to_owned();
        let synced = (size, 0);
        Ok(Self { folder, most, segments, last, synced, is_torn: false, next, dropped: 0 })
    }

    /// Appends lines with their line feeds, and has them on disk. Returns how many of them are there, even after an
    /// error: the others are taken off, so that no line is torn and they can be appended again.
    pub(super) fn push<'l>(
        &mut self,
        lines: impl Iterator<Item = &'l str>,
    ) -> (usize, io::Result<()>) {
        let mut count = 0;
        let mut pushed = self.mend();
        if pushed.is_ok() {
            pushed = self.append(lines, &mut count);
        }
        if pushed.is_err() {
            count -= self.synced.1;
            self.synced.1 = 0;
            if let Some((_, size)) = self.segments.back_mut() {
                *size = self.synced.0;
            }
            self.is_torn = true;
            // If this fails too, it is done before the next line.
            self.mend().ok();
        }
        (count, pushed)
    }

    /// Takes off what an error left behind the last whole line.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.last.set_len(self.synced.0)?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn append<'l>(
        &mut self,
        lines: impl Iterator<Item = &'l str>,
        count: &mut usize,
    ) -> io::Result<()> {
        for line in lines {
            let length = line.len() as u64;
            let largest = (self.most / 8).clamp(SEGMENT.0, SEGMENT.1);
            let (number, size) = self.segments.back().copied().unwrap_or((1, 0));
            if size > 0 && size + length > largest {
                self.sync()?;
                self.last = open_lines(&segment(&self.folder, number + 1))?.0;
                self.segments.push_back((number + 1, 0));
                self.synced = (0, 0);
            }
            self.last.write_all(line.as_bytes())?;
            if let Some((_, size)) = self.segments.back_mut() {
                *size += length;
            }
            self.synced.1 += 1;
            *count += 1;
            self.limit()?;
        }
        self.sync()
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.synced.1 > 0 {
            self.last.sync_data()?;
            self.synced = (self.segments.back().map_or(0, |(_, size)| *size), 0);
        }
        Ok(())
    }

    /// Removes the oldest segments while there is too much.
    fn limit(&mut self) -> io::Result<()> {
        while self.segments.len() > 1 && self.waiting() > self.most {
            let Some((number, _)) = self.segments.pop_front() else { break };
            let text = fs::read(segment(&self.folder, number))?;
            let from =
                if self.next.0 == number { usize::try_from(self.next.1).unwrap_or(0) } else { 0 };
            let lost = text.get(from..).unwrap_or_default();
            self.dropped += memchr::memchr_iter(b'\n', lost).count() as u64;
            // First the segment, which makes room on a full disk: a cursor in no segment means the oldest one.
            fs::remove_file(segment(&self.folder, number))?;
            if self.next.0 <= number {
                self.next = (self.segments.front().map_or(number + 1, |(next, _)| *next), 0);
                self.write_cursor()?;
            }
        }
        Ok(())
    }

    /// Octets that were not taken yet.
    pub(super) fn waiting(&self) -> u64 {
        let all: u64 = self.segments.iter().map(|(_, size)| size).sum();
        all.saturating_sub(self.next.1)
    }

    /// The next lines, at most `most`, and the point behind them.
    pub(super) fn peek(&self, most: usize) -> io::Result<(Vec<String>, Position)> {
        let (mut lines, mut at) = (Vec::new(), self.next);
        for &(number, size) in self.segments.iter().filter(|(number, _)| *number >= self.next.0) {
            let offset = if number == at.0 { at.1 } else { 0 };
            let mut text = vec![0; usize::try_from(size.saturating_sub(offset)).unwrap_or(0)];
            File::open(segment(&self.folder, number))?.read_exact_at(&mut text, offset)?;
            at = (number, offset);
            for line in text.split_inclusive(|&octet| octet == b'\n') {
                if lines.len() >= most {
                    return Ok((lines, at));
                }
                lines.push(String::from_utf8_lossy(line).into_owned());
                at.1 += line.len() as u64;
            }
        }
        Ok((lines, at))
    }

    /// Everything before a point was taken.
    pub(super) fn advance(&mut self, to: Position) -> io::Result<()> {
        // What was dropped meanwhile is behind us.
        if to <= self.next {
            return Ok(());
        }
        self.next = to;
        self.write_cursor()?;
        while self.segments.len() > 1
            && self
                .segments
                .front()
                .is_some_and(|&(number, size)| number < to.0 || (number == to.0 && to.1 >= size))
        {
            if let Some((number, _)) = self.segments.pop_front() {
                fs::remove_file(segment(&self.folder, number))?;
                if self.next.0 == number {
                    self.next = (self.segments.front().map_or(number + 1, |(next, _)| *next), 0);
                    self.write_cursor()?;
                }
            }
        }
        Ok(())
    }

    fn write_cursor(&self) -> io::Result<()> {
        let text = format!("{} {}\n", self.next.0, self.next.1);
        atomic_file::write(&self.folder.join("cursor"), 0o640, text.as_bytes())
    }
}

fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.ndjson"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32) -> String {
        format!("{{\"number\":{number},\"text\":\"{}\"}}\n", "x".repeat(100))
    }

    fn number(line: &str) -> u32 {
        line[10..].split(',').next().unwrap().parse().unwrap()
    }

    #[test]
    fn lines_come_out_in_order_after_any_number_of_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let mut taken = Vec::new();
        for round in 0..20 {
            let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
            let lines: Vec<String> = (round * 100..round * 100 + 100).map(line).collect();
            spool.push(lines.iter().map(String::as_str)).1.unwrap();
            for _ in 0..9 {
                let (lines, after) = spool.peek(10).unwrap();
                taken.extend(lines.iter().map(|line| number(line)));
                spool.advance(after).unwrap();
            }
            // Taken and not confirmed before a kill: it comes again.
            spool.peek(10).unwrap();
        }
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let (lines, after) = spool.peek(10_000).unwrap();
        taken.extend(lines.iter().map(|line| number(line)));
        spool.advance(after).unwrap();
        assert_eq!(taken, (0..2_000).collect::<Vec<u32>>());
        assert_eq!((spool.waiting(), spool.dropped), (0, 0));
        assert!(spool.peek(1).unwrap().0.is_empty());
        assert!(fs::read_dir(folder.path()).unwrap().count() <= 3);
    }

    #[test]
    fn the_oldest_lines_go_first_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 100_000).unwrap();
        let lines: Vec<String> = (0..10_000).map(line).collect();
        spool.push(lines[..10].iter().map(String::as_str)).1.unwrap();
        let (_, after) = spool.peek(5).unwrap();
        spool.advance(after).unwrap();
        spool.push(lines[10..].iter().map(String::as_str)).1.unwrap();
        assert!(spool.waiting() <= 100_000);
        let (left, _) = spool.peek(usize::MAX).unwrap();
        assert_eq!(left.len() as u64 + spool.dropped + 5, 10_000);
        assert_eq!(number(left.last().unwrap()), 9_999);
        // A receiver that had taken what was dropped meanwhile goes on behind it.
        spool.advance(after).unwrap();
        assert_eq!(spool.peek(1).unwrap().0, left[..1]);
        let again = Spool::open(folder.path(), 100_000).unwrap();
        assert_eq!(again.peek(usize::MAX).unwrap().0, left);
    }

    #[test]
    fn a_line_that_did_not_fit_on_the_disk_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20).unwrap();
        let lines: Vec<String> = (0..6).map(line).collect();
        let push = |spool: &mut Spool, lines: &[String]| {
            let (count, pushed) = spool.push(lines.iter().map(String::as_str));
            (count, pushed.is_ok())
        };
        assert_eq!(push(&mut spool, &lines[..2]), (2, true));
        // Every write fails, and so does cutting the file; a part of a line is in it.
        let path = segment(folder.path(), 1);
        let good = std::mem::replace(&mut spool.last, File::open(&path).unwrap());
        (&good).write_all(&lines[2].as_bytes()[..50]).unwrap();
        assert_eq!(push(&mut spool, &lines[2..]), (0, false));
        assert_eq!(push(&mut spool, &lines[2..]), (0, false));
        assert_eq!(spool.peek(9).unwrap().0, lines[..2]);
        spool.last = good;
        assert_eq!(push(&mut spool, &lines[2..]), (4, true));
        assert_eq!(fs::read_to_string(&path).unwrap(), lines.concat());
        assert_eq!(spool.peek(9).unwrap().0, lines);
    }
}
