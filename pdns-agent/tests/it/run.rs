//! Runs the programs as a user would, in an empty home and with nothing of the caller's environment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// An empty home directory; the managed store of what runs in it lives there too.
pub(crate) struct Home(TempDir);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

impl Home {
    /// A new one.
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("pdns-home-").expect("a temporary directory"))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file below the home and gives its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("the home is ours");
        std::fs::write(&path, content).expect("the home is ours");
        path
    }

    /// `pdns-agent`, ready to be given arguments and run.
    pub(crate) fn agent(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_pdns-agent"))
    }

    /// `pdns-agent`, as an argument of another program that runs it, such as `ip netns exec NAME`.
    pub(crate) fn agent_by(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(program);
        command.args(arguments).arg(env!("CARGO_BIN_EXE_pdns-agent"));
        command
    }

    /// `pdns`, ready to be given arguments and run.
    pub(crate) fn pdns(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_pdns"))
    }

    /// `sh`, ready to be given a line.
    pub(crate) fn shell(&self) -> Command {
        self.command("sh")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("TMPDIR", std::env::temp_dir())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "Pacific/Chatham") // An odd zone: whatever leaks local time shows it.
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command, arguments: &[impl AsRef<OsStr>]) -> Ended {
    let output = command.args(arguments).output().expect("the program was built");
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("output is UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Ended {
    /// Standard output of a program that must have ended with one of these codes.
    #[track_caller]
    pub(crate) fn with(self, codes: &[i32]) -> String {
        assert!(
            self.code.is_some_and(|code| codes.contains(&code)),
            "ended with {:?}, not one of {codes:?}\nstdout: {}\nstderr: {}",
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}
