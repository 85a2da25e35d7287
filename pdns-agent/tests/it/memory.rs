//! The agent within a limit of memory: control groups of the kernel, set as containers and units set them.

use crate::logs::Lines;
use crate::once::{capture, store};
use crate::redis::Redis;
use crate::reference::python;
use crate::run::{Home, run};
use crate::store::contents;
use crate::support::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The limit, in bytes.
const LIMIT: u64 = 100_000_000;

/// A control group with a limit; removed at the end.
pub(crate) struct Group(PathBuf);

impl Group {
    /// Makes one, if this machine lets us.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let group = Self::make(test);
        if group.is_none() {
            skip(test, "needs root and a writable control group for memory");
        }
        group
    }

    fn make(test: &str) -> Option<Self> {
        let name = format!("pdns-{test}-{}", std::process::id());
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let older = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            parts.next()?.split(',').any(|name| name == "memory").then(|| parts.next())?
        });
        let (above, file) = match older {
            Some(own) => (format!("/sys/fs/cgroup/memory{own}"), "memory.limit_in_bytes"),
            None => ("/sys/fs/cgroup".to_owned(), "memory.max"),
        };
        let path = Path::new(&above).join(name);
        fs::create_dir(&path).ok()?;
        let group = Self(path);
        fs::write(group.0.join(file), LIMIT.to_string()).ok()?;
        // Without it what is too much goes to disk, and nothing is noticed.
        drop(fs::write(group.0.join("memory.swap.max"), "0"));
        Some(group)
    }

    /// The agent, within the group.
    pub(crate) fn agent(&self, home: &Home) -> Command {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        home.agent_by("sh", &["-c", &enter, "sh"])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

/// How often anything was seen, as the store has it.
fn stored(server: &Redis) -> u64 {
    contents(&mut store(server)).values().map(|seen| seen.count).sum()
}

// Both hold more than fits into the windows of an agent without a limit, which alone are larger than the limit.

#[test]
fn a_large_log_is_read_within_a_limit_of_100_mb() {
    let Some(group) = Group::new("a_large_log_is_read_within_a_limit_of_100_mb") else { return };
    let (home, server) = (Home::new(), Redis::start());
    let path = home.write("dns.log", Lines::new(51, 600_000).log(600_000));
    let words =
        ["zeek", "--once", "--redis", &server.url(), "--sensor", "test", "--new-names", "0"]
            .map(str::to_owned);
    let ended = run(group.agent(&home).args(&words), &[&path]);
    // "600000 lines of 1 logs: 600000 DNS records, from them 5 observations of records and 4 of negative answers"
    let (_, said) = ended.stderr.split_once("from them ").expect("the agent reports");
    let numbers =
        said.lines().next().unwrap().split(' ').filter_map(|word| word.parse::<u64>().ok());
    let told: u64 = numbers.sum();
    ended.with(&[0]);
    assert!(told > 600_000, "{told} observations");
    assert_eq!(stored(&server), told);
}

#[test]
fn a_large_capture_is_read_within_a_limit_of_100_mb() {
    let Some(group) = Group::new("a_large_capture_is_read_within_a_limit_of_100_mb") else {
        return;
    };
    let (home, server) = (Home::new(), Redis::start());
    let path = home.path().join("responses.pcap");
    python("million.py", &[path.as_os_str(), "900000".as_ref(), "900000".as_ref()], &[]);
    let words = ["pcap", "--redis", &server.url(), "--sensor", "test", "--new-names", "0"]
        .map(str::to_owned);
    run(group.agent(&home).args(&words), &[&path]).with(&[0]);
    assert_eq!(stored(&server), 900_000);
}

#[test]
fn memory_beyond_the_limit_is_warned_of() {
    let Some(group) = Group::new("memory_beyond_the_limit_is_warned_of") else { return };
    let (home, server) = (Home::new(), Redis::start());
    let (path, _) = capture(&home, 300);
    for (memory, is_told) in [("136", true), ("30", false)] {
        let url = server.url();
        let words = ["pcap", "--redis", &url, "--memory", memory, "--new-names", "0"];
        let ended = run(group.agent(&home).args(words), &[&path]);
        assert_eq!(
            ended.stderr.contains("give --memory at most a third"),
            is_told,
            "{}",
            ended.stderr
        );
        ended.with(&[0]);
    }
}
