//! Files of people and other programs, which may be of any size.
//!
//! Layer 0.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Number of the device `/dev/null`, which stands for an empty file: major 1, minor 3.
const NULL: u64 = 1 << 8 | 3;
/// Where the shell and the kernel put what a program was given open: `<(command)` is `/dev/fd/63`.
const GIVEN: [&str; 4] = ["/dev/fd/", "/dev/stdin", "/proc/self/fd/", "/proc/thread-self/fd/"];

/// Opens a file to read all of it. A named pipe, a device and a directory are refused: a pipe that nobody writes to would
/// be waited for without end, and a device may have no end. What was given to the program open, such as `<(command)`, is
/// read whatever it is, like standard input; and `/dev/null` is empty.
///
/// # Errors
/// If it cannot be opened, or is no such file.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let text = path.as_os_str().as_encoded_bytes();
    if GIVEN.iter().any(|given| text.starts_with(given.as_bytes())) {
        return File::open(path);
    }
    // Before it is opened, because opening a device may change it; and again, because it may be another file by then.
    is_readable(&fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    is_readable(&file.metadata()?)?;
    Ok(file)
}

fn is_readable(found: &Metadata) -> io::Result<()> {
    let sort = found.file_type();
    let name = match () {
        () if sort.is_file() || (sort.is_char_device() && found.rdev() == NULL) => return Ok(()),
        () if sort.is_dir() => "a directory",
        () if sort.is_fifo() => "a FIFO",
        () if sort.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {name}, not a regular file")))
}

/// Reads a file of at most `most` MiB.
///
/// # Errors
/// If it cannot be read, is larger, or is refused by [`open_file`].
pub(crate) fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One octet more than a file may have, so that a larger one is noticed.
    open_file(path)?.take((most << 20) + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most << 20 {
        return Err(io::Error::other(format!("it is larger than {most} MiB")));
    }
    Ok(bytes)
}

/// Reads a text file of at most `most` MiB.
///
/// # Errors
/// Those of [`read_file`], and for text that is not UTF-8.
pub(crate) fn read_text_file(path: &Path, most: u64) -> io::Result<String> {
    io::read_to_string(read_file(path, most)?.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (path, sort) in [
            (at("pipe"), "a FIFO"),
            (at("link"), "a FIFO"),
            (at("socket"), "a socket"),
            (at(""), "a directory"),
            ("/dev/zero".into(), "a device"),
        ] {
            let error = read_file(&path, 1).unwrap_err();
            assert_eq!(error.to_string(), format!("it is {sort}, not a regular file"));
        }
        fs::write(at("text"), "one\n").unwrap();
        assert_eq!(read_text_file(&at("text"), 1).unwrap(), "one\n");
        assert_eq!(read_text_file(Path::new("/dev/null"), 1).unwrap(), "");
    }

    #[test]
    fn what_the_program_was_given_open_is_read() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"given\n").unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        assert_eq!(read_text_file(Path::new(&path), 1).unwrap(), "given\n");
    }
}
