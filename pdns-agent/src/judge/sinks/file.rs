//! A file of lines that is rotated by size: `NAME`, then `NAME.1`, the latest, up to `NAME.N`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Octets that are looked at for the end of the last line.
const TAIL: u64 = 1 << 20;

/// The file.
pub(super) struct RotatingFile {
    pub(super) path: PathBuf,
    most: u64,
    keep: u32,
    file: BufWriter<File>,
    size: u64,
    /// Size up to which all is on disk, and the number of lines behind it.
    synced: (u64, usize),
    /// True after an error: the file is opened anew before it is used.
    is_failing: bool,
}

impl RotatingFile {
    /// Opens or creates the file. A line that a kill cut short is taken off.
    pub(super) fn open(path: &Path, most: u64, keep: u32) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        let (file, size) = open_lines(path)?;
        Ok(Self {
            path: path.to_owned(),
            most,
            keep,
            file: BufWriter::new(file),
            size,
            synced: (size, 0),
            is_failing: false,
        })
    }

    /// Writes lines with their line feeds, and has them on disk. Returns how many of them are there, even after an
    /// error: the others are taken off, so that they can be written again.
    pub(super) fn write<'l>(
        &mut self,
        lines: impl Iterator<Item = &'l str>,
    ) -> (usize, io::Result<()>) {
        let mut count = 0;
        let written = self.try_write(lines, &mut count);
        if written.is_err() {
            count -= self.synced.1;
            self.is_failing = true;
            // What is torn nevertheless is taken off when the file is opened anew.
            let file = self.file.get_ref();
            if file.metadata().is_ok_and(|found| found.len() > self.synced.0) {
                file.set_len(self.synced.0).ok();
            }
        }
        (count, written)
    }

    fn try_write<'l>(
        &mut self,
        lines: impl Iterator<Item = &'l str>,
        count: &mut usize,
    ) -> io::Result<()> {
        if self.is_failing {
            self.reopen()?;
        }
        for line in lines {
            if self.size > 0 && self.size + line.len() as u64 > self.most {
                self.rotate()?;
            }
            self.file.write_all(line.as_bytes())?;
            self.size += line.len() as u64;
            self.synced.1 += 1;
            *count += 1;
        }
        self.sync()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        self.synced = (self.size, 0);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.synced.1 = 0;
        let (file, size) = open_lines(&self.path)?;
        let old = std::mem::replace(&mut self.file, BufWriter::new(file));
        // Without what is left in its buffer.
        drop(old.into_parts());
        (self.size, self.synced, self.is_failing) = (size, (size, 0), false);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.keep > 0 {
            fs::rename(&self.path, numbered(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.reopen()
    }
}

/// Opens or creates a file of lines for appending; returns it with its size, after the last whole line.
pub(super) fn open_lines(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(0o640).open(path)?;
    let size = file.metadata()?.len();
    let start = size.saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(size - start).unwrap_or(0)];
    file.read_exact_at(&mut tail, start)?;
    let whole = match memchr::memrchr(b'\n', &tail) {
        Some(last) => start + last as u64 + 1,
        None => start,
    };
    if whole < size {
        file.set_len(whole)?;
    }
    Ok((file, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_rotated_by_size_and_loses_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events/pdns.json");
        let mut file = RotatingFile::open(&path, 100, 3).unwrap();
        let lines: Vec<String> =
            (0..20).map(|number| format!("{{\"number\":{number:03}}}\n")).collect();
        let (count, written) = file.write(lines.iter().map(String::as_str));
        written.unwrap();
        assert_eq!(count, 20);
        let read =
            |name: &str| fs::read_to_string(folder.path().join("events").join(name)).unwrap();
        let all: String =
            ["pdns.json.3", "pdns.json.2", "pdns.json.1", "pdns.json"].map(read).concat();
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(
            (lines.len(), lines[0], lines[19]),
            (20, "{\"number\":000}", "{\"number\":019}")
        );
        file.write([format!("{}\n", "x".repeat(99)).as_str()].into_iter()).1.unwrap();
        assert!(!folder.path().join("events/pdns.json.4").exists());
        assert!(!read("pdns.json.3").contains(":000"), "the oldest is gone");
    }

    #[test]
    fn a_line_that_was_cut_short_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pdns.json");
        for (before, after) in [("one\ntw", "one\nnew\n"), ("tw", "new\n"), ("one\n", "one\nnew\n")]
        {
            fs::write(&path, before).unwrap();
            let mut file = RotatingFile::open(&path, 1_000, 0).unwrap();
            file.write(["new\n"].into_iter()).1.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }
}
