//! Programs of a soak, and the folder and network in which they run.

use crate::shell::{root, run, said, target};
use anyhow::{Context as _, bail, ensure};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Name of the network namespace, and of its interface that is captured.
const NETWORK: &str = "pdns-soak";
const INTERFACE: &str = "cap";
/// Time in which a program has to come up or go down.
const PATIENCE: Duration = Duration::from_secs(30);

/// Folder of a run, and its network, which is gone at the end.
pub(super) struct Site {
    folder: PathBuf,
    programs: PathBuf,
}

impl Site {
    /// Makes both anew.
    pub(super) fn new() -> anyhow::Result<Self> {
        let folder = root().join("target/soak");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let programs = target()?.join("release");
        let site = Self { folder, programs };
        // Of a run that was killed.
        Command::new("ip").args(["netns", "del", NETWORK]).output().ok();
        run(Command::new("ip").args(["netns", "add", NETWORK]))?;
        // The kernel sends nothing of its own.
        run(Command::new("ip")
            .args(["netns", "exec", NETWORK, "sysctl", "-qw"])
            .args(["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]))?;
        let other = format!("{INTERFACE}-out");
        let pair = ["link", "add", INTERFACE, "type", "veth", "peer", "name", &other];
        run(Command::new("ip").args(["-n", NETWORK]).args(pair))?;
        for end in [INTERFACE, &other] {
            run(Command::new("ip").args(["-n", NETWORK, "link", "set", end, "up"]))?;
        }
        Ok(site)
    }

    /// A file or folder of the run.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.path("redis.sock").display())
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// A command that runs in the network.
    pub(super) fn within(program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", NETWORK]).arg(program);
        command
    }

    /// Starts a server with persistence, as a site has it.
    pub(super) fn redis(&self) -> anyhow::Result<Program> {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "yes"]);
        command.arg("--dir").arg(&self.folder).arg("--unixsocket").arg(self.path("redis.sock"));
        Program::start("redis-server", &mut command, self, &self.path("redis.sock"))
    }

    /// Starts the agent that captures.
    pub(super) fn capture(&self) -> anyhow::Result<Program> {
        let mut command = Self::within(self.programs.join("pdns-agent"));
        command.args([
            "ebpf",
            "--interface",
            INTERFACE,
            "--sensor",
            "live",
            "--redis",
            &self.url(),
        ]);
        self.listening("pdns-agent ebpf", &mut command)
    }

    /// Starts the agent that follows both logs.
    pub(super) fn follow(&self) -> anyhow::Result<Program> {
        let mut command = self.program("pdns-agent");
        command.args(["zeek", "--sensor", "logs", "--redis", &self.url()]);
        for (log, _) in super::load::LOGS {
            let folder = self.path(log);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            command.arg(folder);
        }
        self.listening("pdns-agent zeek", &mut command)
    }

    /// Starts the server.
    pub(super) fn serve(&self) -> anyhow::Result<Program> {
        let socket = self.path("serve.sock");
        let mut command = self.program("pdns");
        command.args(["serve", "--redis", &self.url(), "--rate", "0", "--listen"]);
        command.arg(format!("unix:{}", socket.display()));
        Program::start("pdns serve", &mut command, self, &socket)
    }

    /// Starts the judge.
    pub(super) fn judge(&self) -> anyhow::Result<Program> {
        let mut command = self.program("pdns");
        command.args(["judge", "--redis", &self.url()]);
        self.listening("pdns judge", &mut command)
    }

    /// Starts a program that serves metrics.
    fn listening(&self, name: &'static str, command: &mut Command) -> anyhow::Result<Program> {
        let socket = self.path(&format!("{}.sock", name.replace(' ', "-")));
        Program::start(name, command.arg("--listen").arg(&socket), self, &socket)
    }

    /// Forgets what was seen once, and not in the last three minutes; returns the time that this took.
    pub(super) fn forget(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let mut command = self.program("pdns");
        command.args(["admin", "forget", "--redis", &self.url()]);
        said(command.args(["--most-count", "1", "--last-before", "3m", "--yes"]))?;
        Ok(begun.elapsed())
    }

    /// Returns true if the store is sound.
    pub(super) fn verify(&self) -> anyhow::Result<bool> {
        let mut command = self.program("pdns");
        let output = command.args(["admin", "verify", "--redis", &self.url()]).output()?;
        Ok(output.status.success())
    }

    /// Replays a capture; returns the number of packets that were sent.
    pub(super) fn replay(capture: &Path, rate: u64) -> anyhow::Result<u64> {
        let mut command = Self::within("tcpreplay");
        command.args(["--quiet", "-i", &format!("{INTERFACE}-out"), &format!("--pps={rate}")]);
        let text = said(command.arg(capture))?;
        let number = |word: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(word));
            line.and_then(|line| line.split_whitespace().last()?.parse::<u64>().ok())
        };
        ensure!(number("Failed packets:") == Some(0), "tcpreplay could not send all: {text}");
        number("Successful packets:").with_context(|| format!("tcpreplay says nothing: {text}"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        Command::new("ip").args(["netns", "del", NETWORK]).output().ok();
    }
}

/// A running program. Dropped, it is killed.
pub(super) struct Program {
    pub(super) name: &'static str,
    child: Child,
    pub(super) socket: PathBuf,
    log: PathBuf,
}

impl Program {
    /// Starts it, and waits until somebody listens on its socket.
    fn start(
        name: &'static str,
        command: &mut Command,
        site: &Site,
        socket: &Path,
    ) -> anyhow::Result<Self> {
        let log = site.path(&format!("{}.log", name.replace(' ', "-")));
        let file = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let home = site.path("home");
        command.env("HOME", &home).env("XDG_DATA_HOME", &home);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        let mut program = Self { name, child, socket: socket.to_owned(), log };
        let begun = Instant::now();
        while UnixStream::connect(socket).is_err() {
            if program.child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                bail!("{name} does not come up: {}", program.said());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(program)
    }

    /// Standard error so far.
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Memory of the process now, in KiB.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("{} ended: {}", self.name, self.said()))
    }

    /// Sum of the values of a metric.
    pub(super) fn number(&self, metric: &str) -> anyhow::Result<u64> {
        self.numbers(metric, "")
    }

    /// Sum of the values of a metric with a label.
    pub(super) fn numbers(&self, metric: &str, label: &str) -> anyhow::Result<u64> {
        let (_, text) = get(&self.socket, "/metrics")
            .with_context(|| format!("{} has no metrics: {}", self.name, self.said()))?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(metric)?;
            let is_it = rest.starts_with([' ', '{']) && rest.contains(label);
            is_it.then(|| rest.rsplit(' ').next()?.parse::<u64>().ok())?
        });
        Ok(values.sum())
    }

    /// Asks the program to end; returns true if it ended well, and what it said.
    pub(super) fn end(mut self) -> anyhow::Result<(bool, String)> {
        run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status.success(), self.said()));
            }
            ensure!(begun.elapsed() < PATIENCE, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only when it ended before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Gets a page from a Unix socket: its status and all of its text.
pub(super) fn get(socket: &Path, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.context("no reply")?, text))
}
