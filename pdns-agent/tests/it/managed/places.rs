//! Directories that `managed:` uses, and those that it leaves alone.

use super::{Managed, servers_in};
use crate::netns::is_root;
use crate::redis::Redis;
use crate::run::run;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

/// A user and a group that own nothing.
const NOBODY: u32 = 65_534;

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// `pdns status` on a data directory is refused, for this reason.
#[track_caller]
fn refused(managed: &Managed, data: &Path, why: &str) {
    let ended = run(&mut managed.pdns_with(data), &["status"]);
    let start = "pdns: cannot open the store: cannot use ";
    assert!(ended.stderr.starts_with(start), "{}", ended.stderr);
    assert!(ended.stderr.contains(why) && ended.stderr.contains("--redis"), "{}", ended.stderr);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1));
}

#[test]
fn no_second_server_is_started_on_another_redis() {
    let (managed, server) = (Managed::new(), Redis::start_durable());
    server.call(&["SET", "theirs", "1"]);
    let before = names(server.directory());
    fs::create_dir(&managed.data).unwrap();
    symlink(server.directory(), managed.directory()).unwrap();
    refused(&managed, &managed.data, "holds files that `managed:` did not make");
    assert_eq!(servers_in(server.directory()).len(), 1);
    assert_eq!(names(server.directory()), before);
    // Nor is theirs stopped.
    assert_eq!(managed.stop().code, Some(2));
    server.call(&["GET", "theirs"]);
}

#[test]
fn the_server_holds_the_lock_for_as_long_as_it_runs() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let marker = File::open(managed.directory().join("pdns-managed")).unwrap();
    assert!(matches!(marker.try_lock(), Err(TryLockError::WouldBlock)));
    // When it returns, nothing of the server is left.
    managed.stop().with(&[0]);
    assert_eq!(servers_in(&managed.directory()), Vec::<u32>::new());
    marker.try_lock().unwrap();
}

#[test]
fn a_directory_from_before_the_marker_is_used_on() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    managed.stop().with(&[0]);
    let marker = managed.directory().join("pdns-managed");
    fs::remove_file(&marker).unwrap();
    managed.has_it(&managed.data);
    assert!(marker.exists());
}

#[test]
fn a_directory_may_be_moved_while_its_server_runs_and_while_it_does_not() {
    let managed = Managed::new();
    managed.fill().with(&[0]);
    let servers = servers_in(&managed.directory());
    let moved = managed.home.path().join("moved");
    fs::rename(&managed.data, &moved).unwrap();
    managed.has_it(&moved);
    assert_eq!(servers_in(&moved.join("pdns")), servers);
    run(&mut managed.pdns_with(&moved), &["admin", "stop"]).with(&[0]);
    fs::rename(&moved, &managed.data).unwrap();
    managed.has_it(&managed.data);
    let configuration = fs::read_to_string(managed.directory().join("redis.conf")).unwrap();
    let line = format!("dir \"{}\"", managed.directory().display());
    assert!(configuration.lines().any(|each| each == line), "{configuration}");
}

#[test]
fn a_directory_with_two_names_has_one_server() {
    let managed = Managed::new();
    let other = managed.home.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::create_dir_all(managed.directory()).unwrap();
    symlink(managed.directory(), other.join("pdns")).unwrap();
    let children: Vec<_> = [&managed.data, &other, &managed.data, &other]
        .map(|data| managed.pdns_with(data).args(["find", "--limit", "1"]).spawn().unwrap())
        .into();
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
    assert_eq!(servers_in(&managed.directory()).len(), 1);
}

#[test]
fn a_data_directory_has_an_absolute_path() {
    let managed = Managed::new();
    let ended = run(&mut managed.pdns_with(Path::new("data")), &["status"]);
    assert_eq!(
        ended.stderr,
        "pdns: cannot open the store: cannot tell where to keep the store: XDG_DATA_HOME is not an \
         absolute path\n"
    );
    assert_eq!(ended.code, Some(2));
}

#[test]
fn root_leaves_nothing_in_a_users_directory() {
    if !is_root("root_leaves_nothing_in_a_users_directory") {
        return;
    }
    let managed = Managed::new();
    fs::create_dir(&managed.data).unwrap();
    chown(&managed.data, Some(NOBODY), Some(NOBODY)).unwrap();
    // As sudo -E has it.
    refused(&managed, &managed.data, "belongs to another user (uid 65534)");
    assert_eq!(names(&managed.data), Vec::<String>::new());
    fs::create_dir(managed.directory()).unwrap();
    chown(managed.directory(), Some(NOBODY), Some(NOBODY)).unwrap();
    refused(&managed, &managed.data, "belongs to another user (uid 65534)");
    assert_eq!(names(&managed.directory()), Vec::<String>::new());
    assert_eq!(managed.stop().code, Some(2));
}

#[test]
fn a_user_leaves_roots_directory_alone() {
    if !is_root("a_user_leaves_roots_directory_alone") {
        return;
    }
    let managed = Managed::new();
    fs::create_dir_all(managed.directory()).unwrap();
    for place in [managed.home.path(), &managed.data, &managed.directory()] {
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut pdns = super::machine::as_nobody(&managed.home);
    pdns.env("XDG_DATA_HOME", &managed.data).env("PDNS_REDIS", "managed:");
    let ended = run(&mut pdns, &["status"]);
    assert!(ended.stderr.contains("belongs to another user (uid 0)"), "{}", ended.stderr);
    assert_eq!(ended.code, Some(2));
    assert_eq!(names(&managed.directory()), Vec::<String>::new());
}
