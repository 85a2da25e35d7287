//! A backup is of one moment, and what was read after it is read again.

use super::{admin, content, folder, import, restore, same, save, server};
use crate::agent::{Agent, acknowledged, zeek};
use crate::logs::seed;
use crate::redis::until;
use crate::run::{Home, run};
use crate::store::{Log, Model, a, name, options};
use pdns_agent::store::{Store, StoreError};

#[test]
fn an_import_goes_on_from_a_backup_that_was_made_during_it() {
    let (home, live, later) = (Home::new(), server(), server());
    let folder = folder(&home, "logs", seed(1), 15_000);
    import(&home, &later, "pd:", "test", &folder);
    let whole = content(&later, "pd:");
    for diskless in ["yes", "no"] {
        live.flush();
        live.call(&["CONFIG", "SET", "repl-diskless-sync", diskless]);
        let agent = Agent::once(&home, &live.url(), &folder);
        let mut partial = 0;
        for number in 0..4 {
            until("the agent writes", || acknowledged(&live) > 0);
            let file = home.path().join(format!("{diskless}{number}"));
            save(&home, &live, "pd:", &file).with(&[0]);
            later.flush();
            restore(&home, &later, "other:", &file).with(&[0]);
            let part = content(&later, "other:");
            partial += usize::from(part.len() < whole.len());
            import(&home, &later, "other:", "test", &folder);
            same(&content(&later, "other:"), &whole);
        }
        assert!(partial > 0, "every backup was made after the import");
        assert_eq!(agent.end().0, Some(0));
        same(&content(&live, "pd:"), &whole);
    }
}

#[test]
fn writers_that_know_a_later_state_notice() {
    let (home, server) = (Home::new(), server());
    let file = home.path().join("file");
    let mut store = Store::open(&options(&server)).unwrap();
    let (mut log, mut model) = (Log::new(&mut store, 1), Model::new());
    log.add(&mut model, &name("a.example"), &a([192, 0, 2, 7]), 100, None);
    log.flush(&mut store).unwrap();
    save(&home, &server, "pd:", &file).with(&[0]);
    log.add(&mut model, &name("b.example"), &a([192, 0, 2, 7]), 100, None);
    log.flush(&mut store).unwrap();
    for _ in 0..2 {
        server.flush();
        restore(&home, &server, "pd:", &file).with(&[0]);
        let noticed = store.check();
        assert!(matches!(noticed, Err(StoreError::Renumbered)), "{noticed:?}");
        store = Store::open(&options(&server)).unwrap();
        // The generation of the next one is a later second.
        super::next_second();
    }
}

#[test]
fn the_judge_goes_on_in_a_restored_store() {
    let (home, server) = (Home::new(), server());
    import(&home, &server, "pd:", "test", &folder(&home, "logs", seed(6), 100));
    server.call(&["HSET", "pd:{tags}j", "l", "token 4000000000 me", "s", r#"{"repairs":0,"x":1}"#]);
    server.call(&["HSET", "pd:{tags}il", "1", "token 4000000000"]);
    let file = home.path().join("file");
    save(&home, &server, "pd:", &file).with(&[0]);
    restore(&home, &server, "new:", &file).with(&[0]);
    let connection = &mut server.connection();
    let mut field = |key: &str, field: &str| -> Option<String> {
        redis::cmd("HGET").arg(key).arg(field).query(connection).unwrap()
    };
    assert_eq!((field("new:{tags}j", "l"), field("new:{tags}il", "1")), (None, None));
    // Its positions are valid for the generation of the restored store.
    let generation = field("new:schema", "g").unwrap();
    let state: serde_json::Value =
        serde_json::from_str(&field("new:{tags}j", "s").unwrap()).unwrap();
    assert_eq!(state, serde_json::json!({"repairs": generation.parse::<u32>().unwrap(), "x": 1}));
}

#[test]
fn a_store_of_an_earlier_version_is_saved_and_restored() {
    let (home, server) = (Home::new(), server());
    crate::migrate::version_2(&server);
    let file = home.path().join("file");
    save(&home, &server, "pd:", &file).with(&[0]);
    let restored = restore(&home, &server, "new:", &file);
    assert!(restored.stderr.contains("schema version 2"), "{}", restored.stderr);
    restored.with(&[0]);
    run(admin(&home, &server, "new:").arg("migrate"), &[] as &[&str]).with(&[0]);
    run(admin(&home, &server, "pd:").arg("migrate"), &[] as &[&str]).with(&[0]);
    same(&content(&server, "new:"), &content(&server, "pd:"));
}

#[test]
fn an_agent_waits_while_the_store_is_incomplete() {
    let (home, server) = (Home::new(), server());
    let folder = folder(&home, "logs", seed(2), 1_000);
    server.call(&["HSET", "pd:schema", "v", "0", "restore", "copy 999999999"]);
    let refused = run(&mut home.pdns(), &["--redis", &server.url(), "find"]);
    assert!(refused.stderr.contains("incomplete"), "{}", refused.stderr);
    refused.with(&[2]);
    let repaired =
        run(&mut home.pdns(), &["--redis", &server.url(), "admin", "verify", "--repair"]);
    assert!(repaired.stderr.contains("incomplete"), "{}", repaired.stderr);
    repaired.with(&[2]);
    let once = run(zeek(&home, &server.url()).arg("--once"), &[&folder]);
    assert_eq!(once.code, Some(78), "{}", once.stderr);
    assert_eq!(server.call(&["DBSIZE"]), redis::Value::Int(1));
}

#[test]
fn keys_of_others_are_left_out_and_named() {
    let (home, server) = (Home::new(), server());
    let (one, two) = (folder(&home, "one", seed(3), 500), folder(&home, "two", seed(4), 500));
    import(&home, &server, "pd:", "s1", &one);
    import(&home, &server, "pd:x:", "s2", &two);
    server.call(&["SET", "pd:mine", "1"]);
    server.call(&["SET", "elsewhere", "1"]);
    server.call(&["SET", "pd:{00}v", "token", "EX", "100"]);
    server.call(&["XADD", "stream", "*", "field", "value"]);
    server.call(&["ZADD", "scores", "1.5", "member"]);
    let file = home.path().join("file");
    let saved = save(&home, &server, "pd:", &file);
    assert!(saved.stderr.contains("left out"), "{}", saved.stderr);
    saved.with(&[0]);
    let refused = restore(&home, &server, "pd:", &file);
    assert!(refused.stderr.contains("already"), "{}", refused.stderr);
    refused.with(&[2]);
    server.call(&["DEL", "pd:{00}v"]);
    // Another store has a prefix that continues this one, which is therefore empty.
    restore(&home, &server, "pd", &file).with(&[0]);
    same(&content(&server, "pd"), &content(&server, "pd:"));
    assert_eq!(server.call(&["EXISTS", "pd{00}v", "pdmine"]), redis::Value::Int(0));
}

#[test]
fn a_backup_goes_to_standard_output_and_another_database() {
    let (home, server) = (Home::new(), server());
    let folder = folder(&home, "logs", seed(5), 500);
    import(&home, &server, "pd:", "test", &folder);
    let line = r#""$0" --redis "$1" admin backup - > file && "$0" admin backup --verify file"#;
    let mut shell = home.shell();
    shell.args(["-c", line]).arg(home.pdns().get_program()).arg(server.url());
    let ended = run(&mut shell, &[] as &[&str]);
    assert!(ended.stderr.contains("the backup is whole"), "{}", ended.stderr);
    ended.with(&[0]);
    let other = format!("{}?db=1", server.url());
    let empty = run(&mut home.pdns(), &["--redis", &other, "admin", "backup", "none"]);
    assert!(empty.stderr.contains("no store with the prefix"), "{}", empty.stderr);
    empty.with(&[2]);
    let file = home.path().join("file");
    run(home.pdns().args(["--redis", &other, "admin", "restore"]), &[&file]).with(&[0]);
    run(home.pdns().args(["--redis", &other, "admin", "verify"]), &[] as &[&str]).with(&[0]);
    let again = home.path().join("again");
    run(home.pdns().args(["--redis", &other, "admin", "backup"]), &[&again]).with(&[0]);
}
