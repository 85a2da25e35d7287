//! `pdns admin mend-aof` beside servers: it cuts no file that one is writing.

use super::Managed;
use super::machine::as_nobody;
use crate::netns::is_root;
use crate::redis::{Redis, until};
use crate::run::{Ended, Home, run};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails only when it ended before.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn mend(home: &Home, directory: &Path) -> Ended {
    run(home.pdns().args(["admin", "mend-aof"]), &[directory])
}

/// It is refused in one sentence, with this in it.
#[track_caller]
fn refused(ended: &Ended, why: &str) {
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1));
}

/// The file that a server of this directory appends to.
fn last_part(directory: &Path) -> PathBuf {
    let parts = fs::read_dir(directory.join("appendonlydir")).unwrap();
    let mut paths = parts.map(|part| part.unwrap().path());
    paths.find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap()
}

/// Adds a command that is cut short; gives its size.
fn tear(directory: &Path) -> usize {
    let torn = b"*1\r\n$5\r\nMUL";
    let mut file = OpenOptions::new().append(true).open(last_part(directory)).unwrap();
    file.write_all(torn).unwrap();
    torn.len()
}

#[test]
fn a_file_in_use_is_left_alone() {
    let (home, mut server) = (Home::new(), Redis::start_durable());
    server.call(&["SET", "key", "value"]);
    let torn = tear(server.directory());
    let size = || fs::metadata(last_part(server.directory())).unwrap().len();
    let before = size();
    refused(&mend(&home, server.directory()), "redis-server (process ");
    assert_eq!(size(), before);
    server.kill9();
    let ended = mend(&home, server.directory());
    assert_eq!(ended.stderr, format!("pdns: {torn} bytes of a torn write were taken off\n"));
    assert_eq!(ended.code, Some(0));
    let ended = mend(&home, server.directory());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_managed_servers_file_is_left_alone_while_it_runs() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    refused(&mend(&managed.home, &managed.directory()), "stop it first, with pdns admin stop");
    managed.stop().with(&[0]);
    mend(&managed.home, &managed.directory()).with(&[0]);
    managed.has_it(&managed.data);
}

#[test]
fn a_wrong_path_is_no_success() {
    let (home, server) = (Home::new(), Redis::start_durable());
    refused(&mend(&home, &home.path().join("none")), "No such file or directory");
    let folder = server.directory().join("appendonlydir");
    refused(&mend(&home, &folder), "give the directory in which it is");
    // A new Redis has not written yet.
    let ended = mend(&home, home.path());
    let want =
        format!("pdns: {} has no append-only file: nothing to mend\n", home.path().display());
    assert_eq!((ended.code, ended.stderr), (Some(0), want));
}

#[test]
fn who_cannot_see_which_files_a_server_uses_is_told() {
    if !is_root("who_cannot_see_which_files_a_server_uses_is_told") {
        return;
    }
    // Root's server, which may be on any directory.
    let (home, server) = (Home::new(), Redis::start_durable());
    let place = home.path().join("place");
    fs::create_dir_all(place.join("appendonlydir")).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = run(as_nobody(&home).args(["admin", "mend-aof"]), &[&place]);
    refused(&ended, "only root can see whether redis-server (process ");
    drop(server);
}

#[test]
fn a_server_of_another_name_is_found_by_the_file_it_writes() {
    let home = Home::new();
    let place = home.path().join("place");
    fs::create_dir(&place).unwrap();
    // A copy that runs in the same directory under its own name, as a container's may.
    let program = home.path().join("store");
    let found = run(home.shell().args(["-c", "command -v redis-server"]), &[] as &[&str]);
    fs::copy(found.with(&[0]).trim_end(), &program).unwrap();
    let server = Command::new(&program)
        .args(["--port", "0", "--appendonly", "yes", "--dir"])
        .arg(&place)
        .arg("--unixsocket")
        .arg(home.path().join("s"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let server = Killed(server);
    until("the server has made its file", || {
        fs::read_dir(place.join("appendonlydir")).is_ok_and(|mut parts| {
            parts.any(|part| part.unwrap().path().to_string_lossy().ends_with(".incr.aof"))
        })
    });
    let ended = mend(&home, &place);
    drop(server);
    refused(&ended, "store (process ");
    mend(&home, &place).with(&[0]);
}
