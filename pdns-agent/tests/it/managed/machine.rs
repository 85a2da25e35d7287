//! Root's own directories and settings, in a machine of the test's own: a mount namespace with an empty /etc, /root and
//! /var/lib.

use crate::netns::is_root;
use crate::run::{Ended, Home, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// A copy of `pdns` that every user may run; programs of a build may lie in a folder that is closed to others.
fn public_copy(home: &Home) -> PathBuf {
    let copy = home.path().join("bin/pdns");
    if !copy.exists() {
        fs::create_dir(home.path().join("bin")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_pdns"), &copy).unwrap();
    }
    for place in [home.path(), copy.parent().unwrap(), &copy] {
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
    }
    copy
}

/// `pdns` as a user who owns nothing, ready to be given arguments and run.
pub(super) fn as_nobody(home: &Home) -> Command {
    let pdns = public_copy(home);
    let mut command = home.shell();
    command.args(["-c", r#"exec setpriv --reuid=65534 --regid=65534 --clear-groups "$0" "$@""#]);
    command.arg(pdns);
    command
}

/// Runs a script for `sh` as root of such a machine, in which `pdns` is our program and `nobody` runs a command as a
/// user who owns nothing. It ends with the script's status, and its managed servers with it.
pub(super) fn on_a_new_machine(home: &Home, script: &str) -> Ended {
    let pdns = public_copy(home);
    let script = format!(
        "set -eu
        mount -t tmpfs -o mode=755 tmpfs /etc
        mount -t tmpfs -o mode=700 tmpfs /root
        mount -t tmpfs -o mode=755 tmpfs /var/lib
        pdns() {{ '{}' \"$@\"; }}
        nobody() {{ setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"; }}
        trap 'for socket in /var/lib/*/redis.sock; do redis-cli -s \"$socket\" SHUTDOWN || true; done >/dev/null 2>&1' EXIT
        {script}",
        pdns.display()
    );
    let mut shell = home.shell();
    shell.args(["-c", r#"exec unshare --mount --propagation private sh -c "$1""#, "sh", &script]);
    run(shell.env("HOME", "/root").env_remove("XDG_DATA_HOME"), &[] as &[&str])
}

#[test]
fn roots_store_is_apart_from_the_packages() {
    if !is_root("roots_store_is_apart_from_the_packages") {
        return;
    }
    let script = "
        mkdir -m 700 /var/lib/pdns; chown 65534 /var/lib/pdns; touch /var/lib/pdns/theirs
        pdns status --format plain | grep -q '^store\tmanaged:$'
        test -S /var/lib/pdns-managed/redis.sock
        test \"$(stat -c '%u %a' /var/lib/pdns-managed/pdns-managed)\" = '0 600'
        test \"$(ls /var/lib/pdns)\" = theirs
        if XDG_DATA_HOME=/var/lib pdns status; then exit 1; fi
        test \"$(ls /var/lib/pdns)\" = theirs";
    let ended = on_a_new_machine(&Home::new(), script);
    assert!(ended.stderr.contains("belongs to another user (uid 65534)"), "{ended:?}");
    ended.with(&[0]);
}

#[test]
fn roots_store_of_an_earlier_version_is_used_on_and_may_be_renamed() {
    if !is_root("roots_store_of_an_earlier_version_is_used_on_and_may_be_renamed") {
        return;
    }
    let script = "
        pdns tag set threat first.example
        pdns admin stop
        rm /var/lib/pdns-managed/pdns-managed
        mv /var/lib/pdns-managed /var/lib/pdns
        pdns tag list threat --format plain
        test -f /var/lib/pdns/pdns-managed
        test ! -e /var/lib/pdns-managed
        pdns tag set threat second.example
        redis-cli -s /var/lib/pdns/redis.sock SHUTDOWN
        mv /var/lib/pdns /var/lib/pdns-managed
        pdns tag list threat --format plain
        test ! -e /var/lib/pdns";
    let shown = on_a_new_machine(&Home::new(), script).with(&[0]);
    assert_eq!(shown.matches("first.example").count(), 2, "{shown}");
    assert_eq!(shown.matches("second.example").count(), 1, "{shown}");
}
