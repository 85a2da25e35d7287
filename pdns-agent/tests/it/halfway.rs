//! Batches that fail after the store began to write them: nothing of them may stay, and the next attempt must pass.
//!
//! The functions in Redis check first, so that no known input makes one fail there. Hence the test adds failures to the
//! text of the functions, and gives the server that text before the agent brings its own.

use crate::agent::{Agent, catches_up, clean_import, zeek};
use crate::redis::Redis;
use crate::run::{Home, run};
use crate::store::{agrees, options};
use pdns_agent::store::Store;
use std::fmt::Write as _;

/// Lines of the function that writes. In front of each, one call fails.
const FAILURES: &[&str] = &[
    "  local function write_log()\n",
    "  write_name()\n  write_rows()\n",
    "  -- Linear hashing: at most",
    "  if rows ~= grown or looked > 0 then\n",
    "    call('HSET', tag .. 'c', ARGV[1], concat(redo))\n",
];

/// Names in the log: enough for several blocks of rows and of names in one partition, and for buckets to be split.
const NAMES: u32 = 6_000;

/// The functions' text on a server.
fn library(server: &Redis) -> String {
    let mut connection = server.connection();
    let libraries: Vec<redis::Value> =
        redis::cmd("FUNCTION").arg("LIST").arg("WITHCODE").query(&mut connection).unwrap();
    let texts = libraries.iter().flat_map(|library| match library {
        redis::Value::Array(fields) => fields.as_slice(),
        _ => &[],
    });
    let mut codes = texts.filter_map(|field| match field {
        redis::Value::BulkString(text) if text.starts_with(b"#!lua name=pdns_") => {
            Some(String::from_utf8(text.clone()).unwrap())
        }
        _ => None,
    });
    codes.find(|code| code.contains("pdns_upsert_")).expect("the agent brought its functions")
}

/// The text with failures.
fn failing(library: &str) -> String {
    let (head, body) = library.split_once('\n').unwrap();
    let mut text = format!("{head}\nlocal failed_at = {{}}\n");
    let mut body = body.to_owned();
    for (number, line) in FAILURES.iter().enumerate() {
        assert_eq!(body.matches(line).count(), 1, "the functions have changed: {line:?}");
        let failure = format!(
            "if not failed_at[{number}] then failed_at[{number}] = true; error('made to fail') end\n{line}"
        );
        body = body.replace(line, &failure);
    }
    text.push_str(&body);
    text
}

#[test]
fn a_batch_that_fails_while_it_is_written_leaves_nothing_behind() {
    let (home, seed, server) = (Home::new(), Redis::start(), Redis::start());
    let mut log = String::new();
    for at in 0..NAMES {
        // Below one domain, so that all are in one partition; some come again, later or earlier.
        let (name, second) = (at % (NAMES / 3 * 2), 1_700_000_000 + at * 37 % 500_000);
        writeln!(
            log,
            r#"{{"ts":{second}.5,"id.orig_h":"10.0.0.1","id.resp_p":53,"query":"h{name}.wide.example.com","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["192.0.2.{}"],"TTLs":[300.0]}}"#,
            at % 250
        )
        .unwrap();
    }
    let folder = home.path().join("logs");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("dns.log"), &log).unwrap();
    let model = clean_import(&home, &folder);

    run(zeek(&home, &seed.url()).arg("--once"), &[&folder]).with(&[0]);
    server.call(&["FUNCTION", "LOAD", &failing(&library(&seed))]);
    let mut agent = Agent::start(zeek(&home, &server.url()).args(["--flush", "0.1"]).arg(&folder));
    catches_up(&mut agent, &server, log.len().try_into().unwrap());
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("made to fail"), "no batch failed: {said}");
    agrees(&mut Store::open(&options(&server)).unwrap(), &model);
    run(&mut home.pdns(), &["admin", "verify", "--redis", &server.url()]).with(&[0]);
}
