//! The private Redis of a newcomer who has set up nothing: `managed:`.

mod machine;
mod mend;
mod places;
mod settings;

use crate::agent::Agent;
use crate::run::{Ended, Home, run};
use crate::serve::{listens, request};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A home whose private Redis is stopped at the end, whatever happens.
struct Managed {
    home: Home,
    data: PathBuf,
}

impl Managed {
    fn new() -> Self {
        Self::below("data")
    }

    /// With a data directory of this name.
    fn below(name: &str) -> Self {
        let home = Home::new();
        let data = home.path().join(name);
        Self { home, data }
    }

    fn pdns(&self) -> Command {
        self.pdns_with(&self.data)
    }

    /// `pdns` with another data directory, whatever the settings files of this machine name.
    fn pdns_with(&self, data: &Path) -> Command {
        let mut command = self.home.pdns();
        command.env("XDG_DATA_HOME", data).env("PDNS_REDIS", "managed:");
        command
    }

    /// Reads a log of one line with one answer.
    fn fill(&self) -> Ended {
        let log = self.home.write(
            "dns.log",
            concat!(
                r#"{"ts":1700000000.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"#,
                r#""id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"www.example.com","#,
                r#""qclass":1,"qclass_name":"C_INTERNET","qtype":1,"qtype_name":"A","rcode":0,"#,
                r#""rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"#,
                r#""answers":["192.0.2.7"],"TTLs":[300.0],"rejected":false}"#,
                "\n"
            ),
        );
        let mut agent = self.home.agent();
        agent.env("XDG_DATA_HOME", &self.data).env("PDNS_REDIS", "managed:");
        run(agent.args(["zeek", "--once"]), &[log])
    }

    /// Asks for the one record that [`Self::fill`] brings.
    #[track_caller]
    fn has_it(&self, data: &Path) {
        let mut pdns = self.pdns_with(data);
        let shown = run(&mut pdns, &["192.0.2.7", "--format", "plain"]).with(&[0]);
        assert_eq!(shown, "www.example.com\tA\t192.0.2.7\n");
    }

    /// Our directory within the data directory.
    fn directory(&self) -> PathBuf {
        self.data.join("pdns")
    }

    fn stop(&self) -> Ended {
        run(&mut self.pdns(), &["admin", "stop"])
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // A test that failed may have broken this, too.
        drop(self.pdns().args(["admin", "stop"]).output());
    }
}

/// The processes that have a directory as their own, as a managed server does.
fn servers_in(directory: &Path) -> Vec<u32> {
    let Ok(directory) = directory.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let of = fs::read_link(entry.path().join("cwd")).ok()?;
        (of == directory).then_some(pid)
    });
    processes.collect()
}

/// Inodes of the sockets that a process holds.
fn sockets(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let names = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    names
        .filter_map(|name| {
            let inode = name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}

/// Inodes of all TCP sockets of this machine.
fn tcp_sockets() -> Vec<String> {
    ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| {
            let lines = table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
            lines.into_iter().filter_map(|line| line.split_whitespace().nth(9).map(str::to_owned))
        })
        .collect()
}

#[test]
fn the_first_command_starts_a_server_that_nobody_else_can_reach() {
    let managed = Managed::new();
    let status = run(&mut managed.pdns(), &["status", "--format", "plain"]).with(&[0]);
    assert!(status.contains("store\tmanaged:\n") && status.contains("records\t0\n"), "{status}");
    let directory = managed.directory();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("redis.sock")), 0o700);
    let servers = servers_in(&directory);
    let &[server] = servers.as_slice() else { panic!("not one server: {servers:?}") };
    let (held, tcp) = (sockets(server), tcp_sockets());
    assert!(!held.is_empty());
    assert!(held.iter().all(|inode| !tcp.contains(inode)), "the server has a TCP socket");
    assert_eq!(
        fs::metadata(format!("/proc/{server}")).unwrap().uid(),
        fs::metadata("/proc/self").unwrap().uid()
    );
    // The settings that the store was measured with, so that there is nothing to advise.
    assert!(!status.contains("advice"), "{status}");
}

#[test]
fn further_commands_use_the_server_that_runs_and_what_it_has() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let before = servers_in(&managed.directory());
    assert_eq!(before.len(), 1);
    let shown = run(&mut managed.pdns(), &["192.0.2.7", "--format", "plain"]).with(&[0]);
    assert_eq!(shown, "www.example.com\tA\t192.0.2.7\n");
    assert_eq!(servers_in(&managed.directory()), before);
    // The same log again: nothing new.
    managed.fill().with(&[0]);
    let shown = run(&mut managed.pdns(), &["192.0.2.7", "--format", "json"]).with(&[0]);
    assert!(shown.contains("\"count\":1,"), "{shown}");
}

#[test]
fn the_web_server_answers_from_it_and_leaves_it_running() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let before = servers_in(&managed.directory());
    let mut serve = managed.pdns();
    let process = Agent::start(serve.args(["serve", "--listen", "127.0.0.1:0"]));
    let address = listens(&process);
    let answer = request(&address, "GET", "/pdns/query/192.0.2.7", &[]);
    assert_eq!(answer.lines()[0]["rrname"], "www.example.com");
    let (code, said) = process.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(servers_in(&managed.directory()), before);
}

#[test]
fn commands_that_start_at_once_start_one_server() {
    let managed = Managed::new();
    let children: Vec<_> =
        (0..6).map(|_| managed.pdns().args(["find", "--limit", "1"]).spawn().unwrap()).collect();
    for mut child in children {
        // Nothing is found, by all of them.
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
    assert_eq!(servers_in(&managed.directory()).len(), 1);
}

#[test]
fn a_server_that_was_stopped_comes_back_with_its_data() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let ended = managed.stop();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "pdns: the managed Redis stopped\n"));
    assert_eq!(servers_in(&managed.directory()), Vec::<u32>::new());
    let ended = managed.stop();
    assert_eq!(ended.stderr, "pdns: the managed Redis was not running\n");
    let shown = run(&mut managed.pdns(), &["www.example.com", "--format", "plain"]).with(&[0]);
    assert_eq!(shown, "www.example.com\tA\t192.0.2.7\n");
}

#[test]
fn a_killed_server_is_started_again() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let servers = servers_in(&managed.directory());
    for server in &servers {
        let killed = Command::new("kill").args(["-KILL", &server.to_string()]).status().unwrap();
        assert!(killed.success());
    }
    crate::redis::until("the server is gone", || servers_in(&managed.directory()).is_empty());
    // Its socket is still there, and nobody behind it.
    assert!(managed.directory().join("redis.sock").exists());
    run(&mut managed.pdns(), &["status"]).with(&[0]);
    assert_eq!(servers_in(&managed.directory()).len(), 1);
}

#[test]
fn a_data_directory_may_have_any_name() {
    for name in ["a b", "100%25", "#1?x=y", "\u{fc}nicode", "q\"uo\\te"] {
        let managed = Managed::below(name);
        managed.fill().with(&[0]);
        let shown = run(&mut managed.pdns(), &["192.0.2.7", "--format", "plain"]).with(&[0]);
        assert_eq!(shown, "www.example.com\tA\t192.0.2.7\n", "{name}");
        managed.stop().with(&[0]);
    }
}

#[test]
fn a_path_too_long_for_a_socket_is_told() {
    let managed = Managed::below(&"long".repeat(30));
    let ended = run(&mut managed.pdns(), &["www.example.com"]);
    assert_eq!(ended.code, Some(2));
    let want = format!(
        "pdns: cannot open the store: {} is too long for a Unix socket: set XDG_DATA_HOME to a \
         shorter path\n",
        managed.directory().join("redis.sock").display()
    );
    assert_eq!(ended.stderr, want);
}

#[test]
fn a_missing_redis_server_is_told() {
    let managed = Managed::new();
    let ended = run(managed.pdns().env("PATH", managed.home.path()), &["www.example.com"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "pdns: cannot open the store: cannot run redis-server: install it, or name a Redis with \
         --redis: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_server_that_does_not_start_is_told_with_the_place_of_its_log() {
    let managed = Managed::new();
    // As if the disk were full of somebody else's things.
    let directory = managed.directory();
    fs::create_dir_all(directory.join("appendonlydir")).unwrap();
    fs::write(directory.join("appendonlydir/appendonly.aof.manifest"), "nonsense\n").unwrap();
    fs::write(directory.join("pdns-managed"), "").unwrap();
    let ended = run(&mut managed.pdns(), &["www.example.com"]);
    assert_eq!(ended.code, Some(2));
    let log = directory.join("redis.log");
    let want = format!(
        "pdns: cannot open the store: redis-server does not start: see {}\n",
        log.display()
    );
    assert_eq!(ended.stderr, want);
    assert!(fs::read_to_string(log).unwrap().contains("manifest"));
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let managed = Managed::new();
    symlink("/proc/nowhere", &managed.data).unwrap();
    let ended = run(&mut managed.pdns(), &["www.example.com"]);
    assert_eq!(ended.code, Some(2));
    let start =
        format!("pdns: cannot open the store: cannot make {}: ", managed.directory().display());
    assert!(ended.stderr.starts_with(&start), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn the_server_outlives_the_terminal_it_was_started_on() {
    let managed = Managed::new();
    let mut script = Command::new("script");
    script
        .env_clear()
        .envs(managed.pdns().get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.env("PDNS", managed.pdns().get_program());
    // `script` gives the command a terminal of its own and hangs it up at the end.
    let ended = run(&mut script, &["-qec", "\"$PDNS\" status", "/dev/null"]).with(&[0]);
    assert!(ended.contains("managed:"), "{ended}");
    let servers = servers_in(&managed.directory());
    assert_eq!(servers.len(), 1);
    run(&mut managed.pdns(), &["status"]).with(&[0]);
    assert_eq!(servers_in(&managed.directory()), servers);
}

#[test]
fn a_server_that_lost_its_socket_is_told_and_stopped() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let servers = servers_in(&managed.directory());
    assert_eq!(servers.len(), 1);
    fs::remove_file(managed.directory().join("redis.sock")).unwrap();
    let ended = run(&mut managed.pdns(), &["status"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let process = format!("redis-server (process {})", servers[0]);
    assert!(ended.stderr.contains(&process), "{}", ended.stderr);
    assert!(ended.stderr.contains("stop it with `pdns admin stop`"), "{}", ended.stderr);
    let stopped = managed.stop();
    assert!(stopped.stderr.contains("the managed Redis stopped"), "{}", stopped.stderr);
    stopped.with(&[0]);
    assert!(servers_in(&managed.directory()).is_empty());
    managed.has_it(&managed.data);
}
