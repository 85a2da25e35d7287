//! Repairs the managed server's append-only file after a crash, before the server reads it.
//!
//! Redis writes the changes of one function as a transaction, from MULTI to EXEC. A crash can cut the file within
//! one. Redis 7.0 then cuts off only the last, incomplete command and continues to write behind the rest. At its next
//! start it executes that half transaction, which doubles counts and gives two records one row. valkey-io/valkey#4342
//! describes this and fixes it for Valkey. `redis-check-aof --fix` would work, but it also discards everything that
//! follows other damage; here only a torn end is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

/// The folder in which Redis 7 keeps the parts of the file.
pub(in crate::store) const FOLDER: &str = "appendonlydir";
/// The list of the parts.
const MANIFEST: &str = "appendonly.aof.manifest";
/// Longest line between the words of a command: a mark and the digits of a length.
const LINE_MAX: u64 = 64;
/// Longest annotation of Redis between commands, such as a timestamp.
const NOTE_MAX: u64 = 1024;

/// Repairs the append-only file of a data directory that the user named, see [`mend`]. `None` if there is no such
/// file.
///
/// # Errors
/// Those of [`mend`]; also if the folder of the parts was named.
pub(in crate::store) fn mend_data(home: &Path) -> io::Result<Option<u64>> {
    if home.join(MANIFEST).exists() {
        let text = format!("this is {FOLDER} itself: give the directory in which it is");
        return Err(io::Error::other(text));
    }
    let torn = mend(home)?;
    Ok(home.join(FOLDER).is_dir().then_some(torn))
}

/// Removes a torn transaction or command from the end of the append-only file below `home`; returns the number of
/// bytes removed. A file that is damaged in another way is left as it is, so that Redis reports the damage.
///
/// # Errors
/// If there is no such folder, or a file cannot be read or truncated.
pub(in crate::store) fn mend(home: &Path) -> io::Result<u64> {
    let folder = home.join(FOLDER);
    let manifest = match fs::read_to_string(folder.join(MANIFEST)) {
        // If this is the folder of Redis, it has written nothing yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::read_dir(home)?;
            return Ok(0);
        }
        manifest => manifest?,
    };
    let Some(name) = last_part(&manifest) else { return Ok(0) };
    let file = OpenOptions::new().read(true).write(true).open(folder.join(name))?;
    let size = file.metadata()?.len();
    match whole(&file)? {
        Some(end) if end < size => {
            file.set_len(end)?;
            file.sync_all()?;
            Ok(size - end)
        }
        _ => Ok(0),
    }
}

/// Returns the part that Redis wrote to last, if it is one of commands (`type i`).
fn last_part(manifest: &str) -> Option<&str> {
    let words: Vec<&str> = manifest.lines().last()?.split_whitespace().collect();
    match words.as_slice() {
        ["file", name, "seq", _, "type", "i", ..] if !name.contains(['/', '"']) => Some(name),
        _ => None,
    }
}

/// Finds the end of the last complete command outside a transaction, or of the last complete transaction; `None` if
/// the file is damaged in another way.
fn whole(file: &File) -> io::Result<Option<u64>> {
    let mut reader = Commands { input: BufReader::new(file), at: 0 };
    let (mut good, mut is_inside) = (0, false);
    loop {
        match reader.next()? {
            Next::Command(word) => match word.to_ascii_uppercase().as_slice() {
                b"MULTI" => is_inside = true,
                b"EXEC" | b"DISCARD" => is_inside = false,
                _ => {}
            },
            Next::Torn => return Ok(Some(good)),
            Next::Damaged => return Ok(None),
        }
        if !is_inside {
            good = reader.at;
        }
    }
}

/// The next item in a file.
enum Next {
    /// A complete command, of which only the first word is returned, or an annotation, returned as an empty word.
    Command(Vec<u8>),
    /// The end of the file, inside a command or not.
    Torn,
    /// Anything but a command.
    Damaged,
}

/// Iterator over the commands of a file.
struct Commands<R> {
    input: BufReader<R>,
    /// Number of octets read so far.
    at: u64,
}

impl<R: io::Read> Commands<R> {
    fn next(&mut self) -> io::Result<Next> {
        let line = self.line(NOTE_MAX)?;
        if line.first() == Some(&b'#') && line.ends_with(b"\n") {
            return Ok(Next::Command(Vec::new()));
        }
        let words = match length(&line, b'*') {
            Length::Is(words @ 1..) => words,
            Length::Torn => return Ok(Next::Torn),
            _ => return Ok(Next::Damaged),
        };
        let mut first = Vec::new();
        for number in 0..words {
            let line = self.line(LINE_MAX)?;
            let octets = match length(&line, b'$') {
                Length::Is(octets) => octets,
                Length::Torn => return Ok(Next::Torn),
                Length::Damaged => return Ok(Next::Damaged),
            };
            let whole = octets.saturating_add(2);
            let mut word = self.input.by_ref().take(whole);
            let got = if number == 0 && octets < LINE_MAX {
                word.read_to_end(&mut first)? as u64
            } else {
                io::copy(&mut word, &mut io::sink())?
            };
            self.at += got;
            if got < whole {
                return Ok(Next::Torn);
            }
        }
        Ok(Next::Command(first.trim_ascii_end().to_vec()))
    }

    /// Reads a line with its end, or as much of it as there is, but `most` octets at most.
    fn line(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.at += self.input.by_ref().take(most).read_until(b'\n', &mut line)? as u64;
        Ok(line)
    }
}

/// A number after its mark.
enum Length {
    Is(u64),
    Torn,
    Damaged,
}

fn length(line: &[u8], mark: u8) -> Length {
    let Some((&first, rest)) = line.split_first() else { return Length::Torn };
    let digits = rest.strip_suffix(b"\r\n");
    let number = std::str::from_utf8(digits.unwrap_or(rest.trim_ascii_end())).ok();
    let number = number.filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    match (digits, number.map(str::parse)) {
        (Some(_), Some(Ok(number))) if first == mark => Length::Is(number),
        // Short, but valid so far.
        (None, Some(_)) if first == mark && !line.ends_with(b"\n") && rest.len() < 20 => {
            Length::Torn
        }
        _ => Length::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn command(words: &[&str]) -> String {
        let each = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        format!("*{}\r\n{}", words.len(), each.collect::<String>())
    }

    /// Returns the rest of a file with this content.
    fn mended(content: &[u8]) -> Vec<u8> {
        let home = TempDir::new().unwrap();
        let folder = home.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        let manifest = "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n";
        fs::write(folder.join(MANIFEST), manifest).unwrap();
        let path = folder.join("a.1.incr.aof");
        fs::write(&path, content).unwrap();
        let cut = mend(home.path()).unwrap();
        let left = fs::read(path).unwrap();
        assert_eq!(left.len() as u64 + cut, content.len() as u64);
        left
    }

    #[test]
    fn a_file_cut_anywhere_is_left_with_whole_transactions() {
        let parts = [
            command(&["SELECT", "0"]),
            "#TS:1700000000\r\n".to_owned(),
            command(&["SET", "key", "*3\r\n$5\r\nMULTI\r\n"]),
            [&["MULTI"][..], &["SET", "a", "1"], &["HSET", "b", "", "\r\n"], &["EXEC"]]
                .map(command)
                .concat(),
            command(&["DEL", "key"]),
            [&["multi"][..], &["SET", "a", "2"], &["exec"]].map(command).concat(),
        ];
        let all = parts.concat();
        for cut in 0..=all.len() {
            let mut whole = 0;
            for part in &parts {
                if whole + part.len() <= cut {
                    whole += part.len();
                } else {
                    break;
                }
            }
            // A truncated annotation cannot be told from damage: Redis decides.
            let left = mended(&all.as_bytes()[..cut]).len();
            let is_note = all.as_bytes().get(whole) == Some(&b'#') && cut > whole;
            assert_eq!(left, if is_note { cut } else { whole }, "cut at {cut}");
        }
    }

    #[test]
    fn other_damage_is_left_to_redis() {
        let good = command(&["SET", "a", "1"]);
        for bad in ["x", "*2\n", "*-1\r\n", "*1\r\n+OK\r\n", "*1\r\n$x\r\n", "\0\0\0\0\0\0"] {
            let content = format!("{good}{bad}{good}");
            assert_eq!(mended(content.as_bytes()).len(), content.len(), "{bad:?}");
        }
    }

    #[test]
    fn where_there_is_no_file_there_is_nothing_to_mend() {
        let home = TempDir::new().unwrap();
        assert_eq!(mend(home.path()).unwrap(), 0);
        assert_eq!(mend_data(home.path()).unwrap(), None);
        fs::create_dir(home.path().join(FOLDER)).unwrap();
        assert_eq!(mend_data(home.path()).unwrap(), Some(0));
        let none = home.path().join("none");
        assert_eq!(mend(&none).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(mend_data(&none).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_folder_of_the_parts_is_not_taken_for_the_data_directory() {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join(MANIFEST), "").unwrap();
        assert!(mend_data(home.path()).is_err());
    }
}
