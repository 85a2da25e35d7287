//! Standard input as a file, for logs that come through a pipe.
//!
//! A log is known by its content and read again where the store left off, so it has to be there a second time: what
//! comes through a pipe is copied to a temporary file first, which has no name and is gone with the process.

use super::{AgentError, Stop};
use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// The argument that stands for standard input.
const ARGUMENT: &str = "-";
/// Folder of the files that this process has open.
const OPEN_FILES: &str = "/proc/self/fd";
/// Interval of checks for a request to stop.
const CHECK: Duration = Duration::from_millis(50);
/// Age of a file that is not expected to grow.
const FINISHED: Duration = Duration::from_hours(1);
/// Bytes copied at a time.
const CHUNK: usize = 64 * 1024;
/// Maximum number of names tried for a temporary file.
const NAMES: u32 = 1000;

/// Outcome of looking for standard input among the arguments.
pub(super) enum Copied {
    /// Nothing was copied: it is not there, or is a file itself.
    Nothing,
    /// Stopped before its end.
    Stopped,
    /// The temporary file, kept open because its path leads there only as long.
    File { _open: File },
}

/// Replaces `-` in `inputs` by the path of a file with the content of standard input, once all of it is there.
///
/// # Errors
/// [`AgentError::StandardInput`] if it cannot be copied.
pub(super) fn resolve(inputs: &mut [PathBuf], stop: &Stop) -> Result<Copied, AgentError> {
    let is_stdin = |path: &PathBuf| path == Path::new(ARGUMENT);
    if !inputs.iter().any(is_stdin) {
        return Ok(Copied::Nothing);
    }
    let mut path = PathBuf::from(format!("{OPEN_FILES}/0"));
    let mut copied = Copied::Nothing;
    if !fs::metadata(&path).is_ok_and(|found| found.is_file()) {
        let Some(file) = copy_all(stop).map_err(AgentError::StandardInput)? else {
            return Ok(Copied::Stopped);
        };
        path = PathBuf::from(format!("{OPEN_FILES}/{}", file.as_raw_fd()));
        copied = Copied::File { _open: file };
    }
    for input in inputs.iter_mut().filter(|input| is_stdin(input)) {
        input.clone_from(&path);
    }
    Ok(copied)
}

/// The path of a log for display, and for the store.
pub(super) fn shown(path: &Path) -> Cow<'_, str> {
    if path.starts_with(OPEN_FILES) { "standard input".into() } else { path.to_string_lossy() }
}

/// A temporary file with all of standard input; `None` if stopped before its end.
fn copy_all(stop: &Stop) -> io::Result<Option<File>> {
    let mut file = temporary(&std::env::temp_dir())?;
    let (sender, end) = channel();
    // A read waits for data and cannot be interrupted.
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let copied = copy(&mut io::stdin().lock(), &mut file).and_then(|()| {
            // It is complete, so a last line without a newline is one.
            file.set_modified(SystemTime::now() - FINISHED)
        });
        drop(sender.send(copied.map(|()| file)));
    })?;
    loop {
        match end.recv_timeout(CHECK) {
            Ok(copied) => return copied.map(Some),
            Err(RecvTimeoutError::Timeout) if stop.is_stopped() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return to.flush(),
            Ok(got) => to.write_all(chunk.get(..got).unwrap_or_default())?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A new file in a folder, which only this process can reach.
fn temporary(folder: &Path) -> io::Result<File> {
    let process = std::process::id();
    for number in 0..NAMES {
        let path = folder.join(format!("pdns-agent-{process}-{number}"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_has_no_name_and_is_found_by_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = temporary(folder.path()).unwrap();
        copy(&mut &b"content"[..], &mut file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let path = PathBuf::from(format!("{OPEN_FILES}/{}", file.as_raw_fd()));
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(shown(&path), "standard input");
        assert_eq!(shown(Path::new("/nsm/a.json")), "/nsm/a.json");
    }
}
