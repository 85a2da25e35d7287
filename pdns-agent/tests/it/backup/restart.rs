//! What was killed is run again.

use super::{admin, content, folder, import, restore, same, save, server};
use crate::agent::Agent;
use crate::logs::seed;
use crate::redis::Redis;
use crate::run::{Home, run};
use std::process::Command;
use std::time::Duration;

/// Shares of the keys at which a command is killed.
const KILLS: [f64; 6] = [0.0, 0.02, 0.2, 0.5, 0.8, 0.99];

/// Runs a command to its end after killing it again and again, each time when the server has some share of `all` keys.
/// Returns how often it was killed.
fn killed(home: &Home, server: &Redis, all: i64, command: &mut dyn FnMut() -> Command) -> usize {
    let count = || -> i64 { redis::cmd("DBSIZE").query(&mut server.connection()).unwrap() };
    let mut kills = 0;
    for share in KILLS {
        let mut process = Agent::start(&mut command());
        #[expect(clippy::cast_precision_loss, reason = "there are some thousands")]
        let is_due = || count() as f64 > all as f64 * share;
        crate::redis::until("so many keys are there", || is_due() || !process.is_alive());
        match process.kill9_after(Duration::ZERO) {
            None => kills += 1,
            Some(code) => assert_eq!(code, 0, "killed {kills} times before"),
        }
        unusable(home, server);
    }
    let (code, said) = Agent::start(&mut command()).end();
    // It may have ended before it was killed.
    assert!(code == Some(0) || said.contains("already"), "{said}");
    kills
}

/// Checks that nobody can use a store that is there in part.
fn unusable(home: &Home, server: &Redis) {
    if server.call(&["EXISTS", "pd:schema"]) == redis::Value::Int(1)
        && server.call(&["HEXISTS", "pd:schema", "restore"]) == redis::Value::Int(1)
    {
        let asked = run(&mut home.pdns(), &["--redis", &server.url(), "find", "--limit", "1"]);
        assert!(asked.stderr.contains("incomplete"), "{}", asked.stderr);
        assert_eq!(asked.code, Some(2));
    }
}

#[test]
fn a_restore_and_a_copy_that_are_killed_again_and_again_end_as_the_store() {
    let (home, from, to) = (Home::new(), server(), server());
    let folder = folder(&home, "logs", seed(11), 10_000);
    import(&home, &from, "pd:", "test", &folder);
    let whole = content(&from, "pd:");
    let file = home.path().join("file");
    save(&home, &from, "pd:", &file).with(&[0]);
    let keys = redis::cmd("DBSIZE").query(&mut from.connection()).unwrap();
    let mut kills = 0;
    for arguments in
        [["restore".to_owned(), file.display().to_string()], ["copy".to_owned(), from.url()]]
    {
        to.flush();
        let mut command = || {
            let mut command = admin(&home, &to, "pd:");
            command.args(&arguments);
            command
        };
        kills += killed(&home, &to, keys, &mut command);
        same(&content(&to, "pd:"), &whole);
    }
    assert!(kills > 5, "it was killed only {kills} times");
}

#[test]
fn another_store_takes_the_place_of_one_that_was_not_completed() {
    let (home, from, to) = (Home::new(), server(), server());
    let (one, two) = (folder(&home, "one", seed(12), 1_000), folder(&home, "two", seed(13), 1_000));
    import(&home, &from, "one:", "test", &one);
    import(&home, &from, "two:", "test", &two);
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    save(&home, &from, "one:", &first).with(&[0]);
    save(&home, &from, "two:", &second).with(&[0]);
    restore(&home, &to, "pd:", &first).with(&[0]);
    // As after a kill of the first before its end.
    to.call(&["DEL", "pd:schema"]);
    to.call(&["HSET", "pd:schema", "v", "0", "restore", "first 999999999"]);
    restore(&home, &to, "pd:", &second).with(&[0]);
    same(&content(&to, "pd:"), &content(&from, "two:"));
}

#[test]
fn two_at_once_are_refused() {
    let (home, from, to) = (Home::new(), server(), server());
    let folder = folder(&home, "logs", seed(14), 500);
    import(&home, &from, "pd:", "test", &folder);
    let mut other = to.connection();
    let id: i64 = redis::cmd("CLIENT").arg("ID").query(&mut other).unwrap();
    to.call(&["HSET", "pd:schema", "v", "0", "restore", &format!("copy {id}")]);
    let refused = run(admin(&home, &to, "pd:").arg("copy"), &[from.url()]);
    assert!(refused.stderr.contains("another process writes to this store"), "{}", refused.stderr);
    refused.with(&[2]);
    drop(other);
    crate::redis::until("the other has gone", || {
        run(admin(&home, &to, "pd:").arg("copy"), &[from.url()]).code == Some(0)
    });
    same(&content(&to, "pd:"), &content(&from, "pd:"));
}
