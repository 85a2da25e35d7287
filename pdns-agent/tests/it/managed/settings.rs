//! The settings files of `pdns`: `/etc/pdns/pdns.toml` and the user's own.

use super::machine::{as_nobody, on_a_new_machine};
use crate::agent::Agent;
use crate::netns::is_root;
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::serve::{listens, request};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

/// The user's own file, below their home.
const OWN: &str = ".config/pdns/pdns.toml";

/// Two stores that can be told apart: one tag each.
fn stores(home: &Home) -> (Redis, Redis) {
    let (one, two) = (Redis::start(), Redis::start());
    for (server, subject) in [(&one, "one.example"), (&two, "two.example")] {
        let (note, url) = (format!("note-{subject}"), server.url());
        let mut pdns = home.pdns();
        let set = pdns.args(["tag", "set", "threat", subject, "--note", &note, "--redis", &url]);
        run(set, NONE).with(&[0]);
    }
    (one, two)
}

const NONE: &[&str] = &[];
const LIST: &[&str] = &["tag", "list", "threat", "--format", "plain"];

/// Its tag is the one that was set there.
#[track_caller]
fn reads(ended: Ended, subject: &str) {
    let shown = ended.with(&[0]);
    assert!(shown.contains(subject) && shown.lines().count() == 1, "{shown}");
}

#[test]
fn the_users_own_file_names_the_store_until_the_environment_does() {
    let home = Home::new();
    let (one, two) = stores(&home);
    home.write(OWN, format!("redis = \"{}\"\n", one.url()));
    reads(run(&mut home.pdns(), LIST), "one.example");
    reads(run(home.pdns().env("PDNS_REDIS", two.url()), LIST), "two.example");
    let other = home.write("other/pdns/pdns.toml", format!("redis = \"{}\"\n", two.url()));
    let folder = other.parent().unwrap().parent().unwrap();
    reads(run(home.pdns().env("XDG_CONFIG_HOME", folder), LIST), "two.example");
    let status = run(&mut home.pdns(), &["status", "--verbose", "--format", "plain"]).with(&[0]);
    let line = format!("settings file\t{}\n", home.path().join(OWN).display());
    assert!(status.contains(&line), "{status}");
}

#[test]
fn the_server_uses_the_file_where_its_own_names_no_store() {
    let home = Home::new();
    let (one, two) = stores(&home);
    let list = |serve: &str| {
        let settings = home.write("serve.toml", serve);
        let mut pdns = home.pdns();
        pdns.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(settings);
        let server = Agent::start(&mut pdns);
        let answer = request(&listens(&server), "GET", "/context?q=one.example", &[]);
        let (code, said) = server.terminate();
        assert_eq!(code, Some(0), "{said}");
        answer.body.contains("note-one.example")
    };
    home.write(OWN, format!("redis = \"{}\"\n", one.url()));
    assert!(list("rate = 7\n"));
    assert!(!list(&format!("redis = \"{}\"\n", two.url())));
}

#[test]
fn an_error_names_the_file_that_is_at_fault() {
    let home = Home::new();
    let file = home.path().join(OWN);
    for (text, want) in [
        (
            "redis = 'redis+unix:///nonexistent/s'",
            "cannot open the store that FILE names: cannot reach ",
        ),
        ("redis = 'localhost'", "the settings of the store in FILE are wrong: "),
        ("redis_password_file = 'nowhere'", "the settings of the store in FILE are wrong: "),
        ("sensor = 'x'", "the configuration file FILE is wrong: "),
        ("redis = 'redis://:secret@h'", "the configuration file FILE holds a password: "),
    ] {
        home.write(OWN, text);
        let ended = run(&mut home.pdns(), LIST);
        let want = format!("pdns: {}", want.replace("FILE", &file.display().to_string()));
        assert!(ended.stderr.starts_with(&want), "{text}: {}", ended.stderr);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
        assert_eq!(ended.code, Some(2));
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let ended = run(&mut home.pdns(), LIST);
    let want = format!("pdns: cannot read the configuration file {}: ", file.display());
    assert!(ended.stderr.starts_with(&want), "{}", ended.stderr);
}

#[test]
fn a_file_that_the_user_cannot_read_is_an_error_and_another_users_is_none() {
    if !is_root("a_file_that_the_user_cannot_read_is_an_error_and_another_users_is_none") {
        return;
    }
    let home = Home::new();
    let file = home.write("own/.config/pdns/pdns.toml", "nonsense");
    let own = home.path().join("own");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // The folder is named, so the file is meant.
    let mut pdns = as_nobody(&home);
    pdns.env("XDG_CONFIG_HOME", own.join(".config"))
        .env("PDNS_REDIS", "redis+unix:///nonexistent/s");
    let ended = run(&mut pdns, LIST);
    assert!(ended.stderr.contains("cannot read the configuration file"), "{}", ended.stderr);
    // A home of another user's, as root's is when `setpriv` keeps HOME.
    let mut pdns = as_nobody(&home);
    pdns.env("HOME", &own).env("PDNS_REDIS", "redis+unix:///nonexistent/s");
    let ended = run(&mut pdns, LIST);
    assert!(ended.stderr.contains("cannot reach redis+unix:///nonexistent/s"), "{}", ended.stderr);
    // And root does not do what a user's file says, as with `sudo -E`.
    chown(&own, Some(65_534), Some(65_534)).unwrap();
    let ended =
        run(home.pdns().env("HOME", &own).env("PDNS_REDIS", "redis+unix:///nonexistent/s"), LIST);
    assert!(ended.stderr.contains("cannot reach redis+unix:///nonexistent/s"), "{}", ended.stderr);
}

#[test]
fn the_file_for_all_is_for_root_and_users_and_stands_behind_their_own() {
    if !is_root("the_file_for_all_is_for_root_and_users_and_stands_behind_their_own") {
        return;
    }
    let home = Home::new();
    // Stores that a user can reach, the first with a password.
    let (one, two) = (Redis::start_cluster(), Redis::start_cluster());
    one.call(&["ACL", "SETUSER", "analyst", "on", ">right", "~*", "&*", "+@all"]);
    let script = format!(
        "
        mkdir -p /etc/pdns /root/.config/pdns
        umask 077
        echo right > /etc/pdns/password
        umask 022
        printf 'redis = \"{one}\"\\nredis_user = \"analyst\"\\nredis_password_file = \"password\"\\nprefix = \"x:\"\\n' > /etc/pdns/pdns.toml
        pdns tag set threat one.example
        pdns tag list threat --format plain
        nobody '{pdns}' tag list threat 2>&1 && exit 1
        chmod 644 /etc/pdns/password
        nobody '{pdns}' tag list threat --format plain
        printf 'redis = \"{two}\"\\n' > /root/.config/pdns/pdns.toml
        pdns tag set threat two.example
        pdns tag list threat --format plain
        nobody '{pdns}' tag list threat --format plain
        redis-cli -p {port} KEYS '*' | grep -c '^pd:' > /dev/null
        redis-cli -p {port} KEYS '*' | grep '^x:' && exit 1
        test ! -e /var/lib/pdns-managed",
        one = one.url(),
        two = two.url(),
        port = two.url().rsplit(':').next().unwrap(),
        pdns = home.path().join("bin/pdns").display(),
    );
    let ended = on_a_new_machine(&home, &script);
    let shown: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(shown[0].contains("one.example"), "{ended:?}");
    let refused = "pdns: the settings of the store in /etc/pdns/pdns.toml are wrong: cannot read the password file \
                   /etc/pdns/password (be in the group that may read it, or run as root): Permission denied (os error 13)";
    assert_eq!(shown[1], refused);
    assert!(shown[2].contains("one.example"), "{ended:?}");
    assert!(shown[3].contains("two.example"), "{ended:?}");
    assert!(shown[4].contains("one.example"), "{ended:?}");
    assert_eq!(shown.len(), 5, "{ended:?}");
}

#[test]
fn a_file_for_all_that_cannot_be_read_stops_no_command_that_names_its_store() {
    if !is_root("a_file_for_all_that_cannot_be_read_stops_no_command_that_names_its_store") {
        return;
    }
    let (home, server) = (Home::new(), Redis::start_cluster());
    let script = format!(
        "
        mkdir -p /etc/pdns
        umask 077
        echo 'redis = \"redis://nowhere\"' > /etc/pdns/pdns.toml
        pdns tag set threat one.example --redis {url}
        nobody '{pdns}' tag list threat 2>&1 && exit 1
        nobody '{pdns}' tag list threat --format plain --redis {url}
        PDNS_REDIS={url} nobody '{pdns}' tag list threat --format plain",
        url = server.url(),
        pdns = home.path().join("bin/pdns").display(),
    );
    let ended = on_a_new_machine(&home, &script);
    let shown: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!((ended.code, shown.len()), (Some(0), 3), "{ended:?}");
    assert!(shown[0].contains("cannot read the configuration file"), "{ended:?}");
    assert!(shown[1].contains("one.example") && shown[2].contains("one.example"), "{ended:?}");
}

#[test]
fn a_mistake_in_a_file_is_told_in_one_line_with_its_place() {
    let home = Home::new();
    home.write(OWN, "prefix = 'x:'\nredis = 'x\n");
    let ended = run(&mut home.pdns(), LIST);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("pdns.toml is wrong: line 2, column "), "{}", ended.stderr);
    assert!(
        !ended.stderr.contains("\\u{a}") && ended.stderr.lines().count() == 1,
        "{}",
        ended.stderr
    );
}
