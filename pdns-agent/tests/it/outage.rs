//! Stores that are away, come back with older data, are emptied or are others: nothing is lost or doubled.

use crate::agent::{
    Agent, acknowledged, ask, catches_up, clean_import, ends_well, zeek as zeek_command, zeek_site,
};
use crate::logs::Zeek;
use crate::redis::{Redis, until};
use crate::run::{Home, run};
use crate::store::agrees;
use pdns_agent::store::{Options, Store};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

/// The number of attempts that failed.
const FAILED: &str = "pdns_store_attempts_total{result=\"failed\"}";

/// So many pieces of log, some rotations among them.
fn pieces(zeek: &mut Zeek, pieces: usize) {
    for _ in 0..pieces {
        zeek.go_on();
    }
    zeek.finish_line();
}

#[test]
fn an_agent_waits_for_a_store_that_is_away_in_bounded_memory() {
    let (home, folder, mut zeek) = zeek_site(21);
    let mut server = Redis::start_durable();
    pieces(&mut zeek, 200);
    let socket = home.path().join("metrics");
    let mut command = zeek_command(&home, &server.url());
    command.args(["--flush", "0.1", "--listen"]).arg(&socket).arg(&folder);
    let mut agent = Agent::start(&mut command);
    catches_up(&mut agent, &server, zeek.octets());
    let before = agent.memory();
    let failed = || {
        let text = ask(&socket, "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(FAILED)).expect("it is counted");
        line.trim().parse::<u64>().expect("a whole number")
    };
    let well = failed();
    server.kill9();
    pieces(&mut zeek, 50);
    agent.says("cannot write to the store, retrying", 1);
    // Far more than the agent may hold.
    zeek.write(12 << 20);
    zeek.finish_line();
    until("it has tried again", || failed() > well + 5);
    assert_eq!(agent.said().matches("cannot write to the store").count(), 1, "{}", agent.said());
    let grown = agent.memory().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} octets more than before");
    server.restart();
    catches_up(&mut agent, &server, zeek.octets());
    ends_well(agent, &home, &server, &zeek);
}

#[test]
fn a_store_that_comes_back_with_older_data_gets_what_it_lost() {
    let (home, folder, mut zeek) = zeek_site(22);
    let mut server = Redis::start();
    pieces(&mut zeek, 600);
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    catches_up(&mut agent, &server, zeek.octets());
    server.call(&["SAVE"]);
    pieces(&mut zeek, 900);
    catches_up(&mut agent, &server, zeek.octets());
    server.kill9();
    server.restart();
    // Although no log grows.
    catches_up(&mut agent, &server, zeek.octets());
    server.kill9();
    server.restart();
    // And while one does.
    pieces(&mut zeek, 300);
    catches_up(&mut agent, &server, zeek.octets());
    ends_well(agent, &home, &server, &zeek);
}

#[test]
fn a_store_saved_in_the_midst_of_writing_gets_what_it_lost() {
    let (home, folder, mut zeek) = zeek_site(23);
    let mut server = Redis::start();
    zeek.write(3 << 20);
    zeek.finish_line();
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    let half = zeek.octets() / 4;
    until("the agent is well under way", || acknowledged(&server) > half);
    server.call(&["SAVE"]);
    catches_up(&mut agent, &server, zeek.octets());
    pieces(&mut zeek, 300);
    catches_up(&mut agent, &server, zeek.octets());
    server.kill9();
    pieces(&mut zeek, 100);
    server.restart();
    catches_up(&mut agent, &server, zeek.octets());
    ends_well(agent, &home, &server, &zeek);
}

#[test]
fn an_emptied_store_is_filled_again_though_no_log_grows() {
    let (home, folder, mut zeek) = zeek_site(24);
    let server = Redis::start();
    pieces(&mut zeek, 900);
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    catches_up(&mut agent, &server, zeek.octets());
    server.flush();
    catches_up(&mut agent, &server, zeek.octets());
    ends_well(agent, &home, &server, &zeek);
}

#[test]
fn another_store_in_place_of_the_first_is_filled() {
    let (home, folder, mut zeek) = zeek_site(25);
    // It keeps nothing: what comes up again is another store.
    let mut server = Redis::start();
    pieces(&mut zeek, 900);
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    catches_up(&mut agent, &server, zeek.octets());
    server.kill9();
    server.restart();
    pieces(&mut zeek, 100);
    catches_up(&mut agent, &server, zeek.octets());
    ends_well(agent, &home, &server, &zeek);
}

#[test]
fn an_agent_that_follows_waits_for_a_store_that_is_not_there_yet() {
    let (home, folder, mut zeek) = zeek_site(26);
    let mut server = Redis::start_durable();
    server.kill9();
    pieces(&mut zeek, 100);
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    agent.says("cannot open the store, retrying", 1);
    server.restart();
    catches_up(&mut agent, &server, zeek.octets());
    ends_well(agent, &home, &server, &zeek);
}

#[test]
fn an_agent_that_waits_for_a_store_ends_when_asked() {
    let (home, folder, mut zeek) = zeek_site(27);
    let mut server = Redis::start();
    pieces(&mut zeek, 10);
    let url = server.url();
    server.kill9();
    let mut waiting = Agent::follow(&home, &url, &folder);
    waiting.says("cannot open the store, retrying", 1);
    let (code, said) = waiting.terminate();
    assert_eq!(code, Some(0), "{said}");
    server.restart();
    let mut agent = Agent::follow(&home, &url, &folder);
    catches_up(&mut agent, &server, zeek.octets());
    server.kill9();
    pieces(&mut zeek, 10);
    agent.says("cannot write to the store, retrying", 1);
    let (code, said) = agent.terminate();
    // It ended well unless it had read something by then that it could not write.
    let is_told = said.contains("not all of them are stored");
    assert_eq!(code, Some(if is_told { 2 } else { 0 }), "{said}");
}

#[test]
fn an_import_without_a_store_says_so_in_one_sentence() {
    let (home, folder, mut zeek) = zeek_site(28);
    let mut server = Redis::start();
    server.kill9();
    pieces(&mut zeek, 10);
    let ended = run(zeek_once(&home, &server).arg(&folder), &[] as &[&str]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let said: Vec<&str> =
        ended.stderr.lines().filter(|line| line.starts_with("pdns-agent: ")).collect();
    assert_eq!(said.len(), 1, "{}", ended.stderr);
    let sentence = said.concat();
    assert!(sentence.contains("cannot use the store"), "{sentence}");
    assert!(sentence.contains(&server.url()), "{sentence}");
}

#[test]
fn a_managed_store_that_was_killed_in_a_write_is_mended_and_counts_each_answer_once() {
    let (home, folder, mut zeek) = zeek_site(29);
    pieces(&mut zeek, 1_500);
    let managed = Managed(home.path().join("data/pdns"));
    let import = || run(home.agent().args(["zeek", "--once", "--sensor", "test"]), &[&folder]);
    import().with(&[0]);
    for _ in 0..2 {
        managed.kill();
        let parts = std::fs::read_dir(managed.0.join("appendonlydir")).unwrap();
        let mut parts = parts.map(|entry| entry.unwrap().path());
        let part = parts.find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap();
        let octets = std::fs::read(&part).unwrap();
        // In the midst of a transaction near the end.
        let torn = octets.len() - octets.len() / 20;
        let torn = memchr::memmem::find(&octets[torn..], b"EXEC").unwrap() + torn - 40;
        std::fs::write(&part, &octets[..torn]).unwrap();
        let ended = import();
        assert!(ended.stderr.contains("a torn write was taken off"), "{}", ended.stderr);
        ended.with(&[0]);
    }
    let url = format!("redis+unix://{}", managed.0.join("redis.sock").display());
    let model = clean_import(&home, &folder);
    let mut store = Store::open(&Options { url, ..Options::default() }).unwrap();
    agrees(&mut store, &model);
}

/// The managed server whose data lie in a folder. It outlives the programs, but not the test.
struct Managed(PathBuf);

impl Managed {
    fn kill(&self) {
        let socket = self.0.join("redis.sock");
        let client = redis::Client::open(format!("redis+unix://{}", socket.display()));
        let Ok(mut connection) = client.and_then(|client| client.get_connection()) else { return };
        let info: String = redis::cmd("INFO").arg("server").query(&mut connection).unwrap();
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
        Command::new("kill").args(["-KILL", pid]).status().expect("kill is there");
        until("the managed server is gone", || UnixStream::connect(&socket).is_err());
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        self.kill();
    }
}

fn zeek_once(home: &Home, server: &Redis) -> Command {
    let mut command = zeek_command(home, &server.url());
    command.arg("--once");
    command
}
