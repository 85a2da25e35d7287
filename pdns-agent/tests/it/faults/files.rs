//! The folder of the logs is unmounted, forbidden, cannot be watched, or is flooded; and memory is short.

use super::{Trial, pick, progresses, signal};
use crate::agent::{Agent, zeek};
use crate::memory::Group;
use crate::netns::is_root;
use crate::redis::Redis;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// A folder that another one is mounted on; unmounted at the end.
struct Mount {
    of: PathBuf,
    at: PathBuf,
}

impl Mount {
    fn new(of: &Path, at: PathBuf) -> Self {
        fs::create_dir(&at).expect("the home is ours");
        let mount = Self { of: of.to_owned(), at };
        mount.mount();
        mount
    }

    fn mount(&self) {
        let mounted = Command::new("mount").arg("--bind").args([&self.of, &self.at]).status();
        assert!(mounted.expect("mount is there").success());
    }

    /// Unmounts the folder although an agent has files in it open.
    fn unmount(&self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.at).status();
        assert!(unmounted.expect("umount is there").success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Not mounted if a test failed between.
        Command::new("umount").arg("--lazy").arg(&self.at).output().ok();
    }
}

#[test]
fn the_logs_are_unmounted() {
    let fault = "the_logs_are_unmounted";
    if !is_root(fault) {
        return;
    }
    let times = pick(30, 4);
    let done = format!("folder unmounted while Zeek goes on, mounted again, {times} times");
    let mut trial = Trial::begin(fault, 161, done);
    let server = Redis::start();
    let mount = Mount::new(&trial.folder, trial.home.path().join("mounted"));
    let mut agent = Agent::follow(&trial.home, &server.url(), &mount.at);
    for _ in 0..times {
        progresses(&mut agent, &server);
        mount.unmount();
        thread::sleep(trial.moment(Duration::from_secs(4)));
        mount.mount();
    }
    trial.end(agent, &server);
}

#[test]
fn permissions_are_removed() {
    let fault = "permissions_are_removed";
    if !is_root(fault) {
        return;
    }
    let times = pick(30, 3);
    let done = format!("chmod 000 of the folder, then of all logs, and back, {times} times");
    let mut trial = Trial::begin(fault, 162, done);
    let server = Redis::start();
    // Root without the right to read what it may not.
    let without = ["--bounding-set=-dac_override,-dac_read_search"];
    let mut command = trial.home.agent_by("setpriv", &without);
    let url = server.url();
    let words = ["zeek", "--redis", &url, "--sensor", "test", "--memory", "4", "--flush", "0.1"];
    let mut agent = Agent::start(command.args(words).arg(&trial.folder));
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    for _ in 0..times {
        progresses(&mut agent, &server);
        set(&trial.folder, 0).unwrap();
        thread::sleep(trial.moment(Duration::from_secs(4)));
        set(&trial.folder, 0o755).unwrap();
        progresses(&mut agent, &server);
        let zeek = trial.zeek();
        let logs: Vec<PathBuf> =
            fs::read_dir(&trial.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        for log in &logs {
            set(log, 0).unwrap();
        }
        drop(zeek);
        thread::sleep(trial.moment(Duration::from_secs(4)));
        let zeek = trial.zeek();
        for log in &logs {
            // Logs may have been put away meanwhile.
            set(log, if log.is_dir() { 0o755 } else { 0o644 }).ok();
        }
        drop(zeek);
    }
    trial.end(agent, &server);
}

/// Has an agent follow that may not watch more than so much.
fn inotify_is_exhausted(fault: &'static str, number: u64, limit: &str, most: u32, done: &str) {
    if !is_root(fault) {
        return;
    }
    let trial = Trial::begin(fault, number, done.to_owned());
    let server = Redis::start();
    // The limits of a namespace of users hold for whoever is in it.
    let enter = format!("echo {most} > /proc/sys/user/{limit} && exec \"$@\"");
    let arguments = ["--user", "--map-root-user", "sh", "-c", &enter, "sh"];
    let mut command = trial.home.agent_by("unshare", &arguments);
    let url = server.url();
    let words = ["zeek", "--redis", &url, "--sensor", "test", "--memory", "4", "--flush", "0.1"];
    let mut agent = Agent::start(command.args(words).arg(&trial.folder));
    agent.says("watch", 1);
    let rotated = trial.zeek().rotated();
    while trial.zeek().rotated() < rotated + pick(100, 10) {
        thread::sleep(Duration::from_millis(100));
    }
    progresses(&mut agent, &server);
    trial.end(agent, &server);
}

#[test]
fn inotify_has_no_instance_left() {
    inotify_is_exhausted(
        "inotify_has_no_instance_left",
        163,
        "max_inotify_instances",
        0,
        "no inotify instance for the agent",
    );
}

#[test]
fn inotify_has_no_watch_left() {
    inotify_is_exhausted(
        "inotify_has_no_watch_left",
        164,
        "max_inotify_watches",
        2,
        "no third inotify watch for the agent",
    );
}

#[test]
fn many_logs_are_rotated_at_once() {
    let logs = pick(10_000, 1_000);
    let done = format!("{logs} rotated logs appear at once");
    let trial = Trial::begin("many_logs_are_rotated_at_once", 165, done);
    let server = Redis::start();
    let mut agent =
        Agent::start(zeek(&trial.home, &server.url()).args(["--flush", "0.1"]).arg(&trial.folder));
    progresses(&mut agent, &server);
    // It sees all of them at once, and far more events than the kernel keeps for it.
    agent.signal("-STOP");
    for _ in 0..logs {
        let mut zeek = trial.zeek();
        zeek.write(700);
        zeek.rotate();
    }
    agent.signal("-CONT");
    progresses(&mut agent, &server);
    trial.end(agent, &server);
}

#[test]
fn memory_is_short() {
    let fault = "memory_is_short";
    let Some(group) = Group::new(fault) else { return };
    let bytes = pick(200 << 20, 16 << 20);
    let done = format!("limit of 100 MB, {} MiB of logs, Redis frozen meanwhile", bytes >> 20);
    let mut trial = Trial::prepare_for(fault, 166, done, 300_000);
    trial.settings = &["--new-names", "0"];
    let server = Redis::start();
    let url = server.url();
    let words = ["zeek", "--redis", &url, "--sensor", "test", "--flush", "0.1"];
    let mut agent =
        Agent::start(group.agent(&trial.home).args(words).args(trial.settings).arg(&trial.folder));
    for part in 0..4 {
        trial.zeek().write(bytes / 4);
        trial.zeek().rotate();
        if part % 2 == 0 {
            signal(server.id(), "-STOP");
            thread::sleep(Duration::from_secs(pick(30, 2)));
            signal(server.id(), "-CONT");
        }
        progresses(&mut agent, &server);
    }
    trial.end(agent, &server);
}
