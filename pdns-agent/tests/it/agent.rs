//! `pdns-agent` as a process that can be watched, killed and asked to end; and what it should have stored.

use crate::logs::{Rotation, Zeek};
use crate::redis::{Redis, Served, until};
use crate::run::{Home, run};
use crate::store::{Model, agrees, contents, options};
use pdns_agent::store::Store;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running agent. Dropped, it is killed.
pub(crate) struct Agent {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// An agent's command line, for a store at `url`, with little memory and one sensor name for all.
pub(crate) fn zeek(home: &Home, url: &str) -> Command {
    zeek_with(home, url, "4")
}

/// The same with another amount of memory, in MiB.
pub(crate) fn zeek_with(home: &Home, url: &str, memory: &str) -> Command {
    let mut command = home.agent();
    command.args(["zeek", "--redis", url, "--sensor", "test", "--memory", memory]);
    command
}

impl Agent {
    /// Starts one.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was built");
        let stderr = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let text = Arc::clone(&stderr);
        let reader = thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut text = text.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self { child, stderr, reader: Some(reader) }
    }

    /// One that follows a folder, and has its lines wait as little as may be.
    pub(crate) fn follow(home: &Home, url: &str, folder: &Path) -> Self {
        Self::start(zeek(home, url).args(["--flush", "0.1"]).arg(folder))
    }

    /// One that reads a folder to its end.
    pub(crate) fn once(home: &Home, url: &str, folder: &Path) -> Self {
        Self::start(zeek(home, url).arg("--once").arg(folder))
    }

    /// What it wrote to standard error so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until it wrote some words at least so many times.
    #[track_caller]
    pub(crate) fn says(&mut self, words: &str, times: usize) {
        let mut ended = None;
        until(&format!("the agent says {words:?}"), || {
            ended = self.child.try_wait().expect("our own child can be waited for");
            ended.is_some() || self.said().matches(words).count() >= times
        });
        assert_eq!(ended, None, "the agent ended: {}", self.said());
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("our own child can be waited for").is_none()
    }

    /// Kills it after `time`, unless it ended before; then its exit code.
    pub(crate) fn kill9_after(mut self, time: Duration) -> Option<i32> {
        let deadline = Instant::now() + time;
        while self.is_alive() {
            if Instant::now() >= deadline {
                self.child.kill().expect("our own child can be killed");
                return self.end().0;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.end().0
    }

    /// Waits for its end: exit code, `None` when a signal ended it, and all of standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("our own child can be waited for");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
        (status.code(), self.said())
    }

    /// Asks it to end with SIGTERM, and waits until it did.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        until("the agent ends", || !self.is_alive());
        self.end()
    }

    /// Sends it a signal: `-TERM`, `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill is there");
        assert!(sent.success(), "it was gone before: {}", self.said());
    }

    /// Its standard input, if that was made a pipe.
    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("standard input is a pipe, and taken once")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Octets of memory it has now.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the agent runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says it");
        let number = line.split_whitespace().nth(1).expect("a number of KiB");
        number.parse::<u64>().expect("a number of KiB") * 1024
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("the agent said: {}", self.said());
        }
        // Fails only when it ended before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One question to a page on a Unix socket: the whole reply.
pub(crate) fn ask(socket: &Path, path: &str) -> String {
    // A socket has its path a moment before it is listened on.
    let mut connected = None;
    until("somebody listens", || {
        connected = UnixStream::connect(socket).ok();
        connected.is_some()
    });
    let mut stream = connected.expect("it is connected");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers in text");
    text
}

/// What one undisturbed import of a folder or file amounts to.
pub(crate) fn clean_import(home: &Home, input: &Path) -> Model {
    clean_import_with(home, input, &[])
}

/// The same with further arguments.
pub(crate) fn clean_import_with(home: &Home, input: &Path, more: &[&str]) -> Model {
    let server = Redis::start();
    run(zeek(home, &server.url()).arg("--once").args(more), &[input]).with(&[0]);
    let mut store = Store::open(&options(&server)).unwrap();
    let model = contents(&mut store);
    assert!(!model.is_empty(), "the clean import stored nothing");
    model
}

/// Sum of the positions up to which each log is in the store; 0 while there is no store.
pub(crate) fn acknowledged(server: &impl Served) -> u64 {
    let Ok(mut store) = Store::open(&options(server)) else { return 0 };
    let Ok(sources) = store.reader().sources() else { return 0 };
    sources.iter().map(|(_, state)| state.acknowledged).sum()
}

/// Waits until all of so many octets of logs are in the store.
#[track_caller]
pub(crate) fn catches_up(agent: &mut Agent, server: &impl Served, octets: u64) {
    let mut now = 0;
    let deadline = Instant::now() + Duration::from_mins(1);
    while now != octets {
        assert!(
            agent.is_alive() && Instant::now() < deadline,
            "{now} of {octets} octets are in the store, the agent said: {}",
            agent.said()
        );
        thread::sleep(Duration::from_millis(20));
        now = acknowledged(server);
    }
}

/// A folder with a Zeek that writes into it.
pub(crate) fn zeek_site(seed: u64) -> (Home, PathBuf, Zeek) {
    let home = Home::new();
    let folder = home.path().join("logs");
    let zeek = Zeek::new(&folder, Rotation::RenameAndGzip, seed, 3_000);
    (home, folder, zeek)
}

/// The agent ends well when asked, and the store holds what one undisturbed import does.
#[track_caller]
pub(crate) fn ends_well(agent: Agent, home: &Home, server: &impl Served, zeek: &Zeek) {
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    let written = home.path().join("written");
    zeek.copy_to(&written);
    let model = clean_import(home, &written);
    agrees(&mut Store::open(&options(server)).unwrap(), &model);
}
