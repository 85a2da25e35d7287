//! Detection of the server that uses a Redis data directory: two servers on one append-only file ruin it.
//!
//! Checked before `managed:` starts a server and before `pdns admin mend-aof` truncates a file. Redis locks nothing,
//! so the evidence is in /proc: a server works in its data directory and keeps its append-only file open.

use crate::store::redis::aof::FOLDER;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fmt, fs, io};

/// Program names of Redis and its forks.
const SERVERS: [&str; 3] = ["redis-server", "valkey-server", "keydb-server"];
/// The bits of `flags` in `/proc/PID/fdinfo` that show whether a file is open for writing.
const ACCESS_MODE: u32 = 0o3;
/// The permissions of everyone but the owner.
const OF_OTHERS: u32 = 0o077;

/// A file system object: device and inode, whatever its path.
type FileIdentity = (u64, u64);

/// A process on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Process {
    id: u32,
    program: String,
}

impl Process {
    /// Asks a Redis server to save its data and exit.
    ///
    /// # Errors
    /// If it is another program, or this user lacks the permission.
    pub(in crate::store) fn terminate(&self) -> io::Result<()> {
        if !SERVERS.contains(&self.program.as_str()) {
            return Err(io::Error::other("it is not a Redis server: end it yourself"));
        }
        let process = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        let process = process.ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(process, Signal::TERM)?)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.program, self.id)
    }
}

/// The use of a directory by a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum InUse {
    /// Not used by any visible process.
    No,
    /// Used by this process.
    By(Process),
    /// Possibly used by this server; only root can tell.
    Unknown(Process),
}

/// Finds a process that uses the data directory `directory`, or may use it.
///
/// # Errors
/// When the directory, its append-only files or /proc cannot be read.
pub(in crate::store) fn find(directory: &Path) -> io::Result<InUse> {
    let root = fs::metadata(directory)?;
    let files = append_only_files(directory)?;
    let mut unknown = None;
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if id == std::process::id() {
            continue;
        }
        let path = entry.path();
        // A process that ends meanwhile has no name.
        let Ok(name) = fs::read_to_string(path.join("comm")) else { continue };
        let process = Process { id, program: name.trim_end().to_owned() };
        let is_server = SERVERS.contains(&process.program.as_str());
        match fs::metadata(path.join("cwd")) {
            Ok(place) if is_server && identity(&place) == identity(&root) => {
                return Ok(InUse::By(process));
            }
            Err(error)
                if is_server
                    && error.kind() == io::ErrorKind::PermissionDenied
                    && may_enter(&path, &root) =>
            {
                unknown = Some(process);
            }
            _ if writes(&path, &files) => return Ok(InUse::By(process)),
            _ => {}
        }
    }
    Ok(unknown.map_or(InUse::No, InUse::Unknown))
}

/// Returns true if only its owner, and root, can enter a directory.
pub(in crate::store) fn is_private(directory: &fs::Metadata) -> bool {
    directory.mode() & OF_OTHERS == 0
}

fn identity(object: &fs::Metadata) -> FileIdentity {
    (object.dev(), object.ino())
}

/// Lists the files that a server appends to.
fn append_only_files(directory: &Path) -> io::Result<HashSet<FileIdentity>> {
    match fs::read_dir(directory.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
        // A server may remove a part meanwhile.
        entries => Ok(entries?
            .filter_map(|entry| fs::metadata(entry.ok()?.path()).ok())
            .map(|file| identity(&file))
            .collect()),
    }
}

/// Returns true if the user of a process may enter a directory that is closed to others.
fn may_enter(process: &Path, directory: &fs::Metadata) -> bool {
    fs::metadata(process).is_ok_and(|process| {
        !is_private(directory) || [0, directory.uid()].contains(&process.uid())
    })
}

/// Returns true if a process is seen to have one of these files open for writing.
fn writes(process: &Path, files: &HashSet<FileIdentity>) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    open.filter_map(Result::ok).any(|file| {
        fs::metadata(file.path()).is_ok_and(|object| files.contains(&identity(&object)))
            && is_writable(&process.join("fdinfo").join(file.file_name()))
    })
}

fn is_writable(information: &Path) -> bool {
    let Ok(text) = fs::read_to_string(information) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & ACCESS_MODE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::process::{Command, Stdio};
    use tempfile::TempDir;

    #[test]
    fn a_program_that_writes_the_file_uses_the_directory_and_a_reader_does_not() {
        let home = TempDir::new().unwrap();
        assert_eq!(find(home.path()).unwrap(), InUse::No);
        fs::create_dir(home.path().join(FOLDER)).unwrap();
        let path = home.path().join(FOLDER).join("a.1.incr.aof");
        fs::write(&path, "").unwrap();
        for (writes, is_found) in [(false, false), (true, true)] {
            let file = OpenOptions::new().read(true).write(writes).open(&path).unwrap();
            // It waits for the end of its input.
            let mut program = Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::from(file))
                .spawn()
                .unwrap();
            let found = find(home.path()).unwrap();
            assert_eq!(matches!(found, InUse::By(_)), is_found, "{found:?}");
            drop(program.stdin.take());
            program.wait().unwrap();
        }
        assert_eq!(find(home.path()).unwrap(), InUse::No);
    }
}
