//! `pdns-agent cof`: passive DNS from other systems, and from our own exports, imported once.

use crate::agent::Agent;
use crate::cli::Site;
use crate::corpus::{Rows, assert_alike, stored};
use crate::logs::{gzip, seed};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::serve;
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `pdns-agent cof` for a store, with little memory.
fn cof(home: &Home, url: &str) -> Command {
    let mut command = home.agent();
    command.args(["cof", "--redis", url, "--memory", "4"]);
    command
}

fn import(home: &Home, server: &Redis, paths: &[impl AsRef<OsStr>]) -> Ended {
    run(&mut cof(home, &server.url()), paths)
}

/// An import of standard input.
fn piped(home: &Home, server: &Redis, content: &[u8]) -> Ended {
    let mut command = cof(home, &server.url());
    let command = command.arg("-").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// What `pdns` prints as JSON; nothing found is no mistake.
fn shown(home: &Home, server: &Redis, arguments: &[&str]) -> Vec<Value> {
    let common = ["--redis", &server.url(), "--format", "json"];
    let text = run(&mut home.pdns(), &[arguments, &common].concat()).with(&[0, 1]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Records without what an import does not keep.
fn records(home: &Home, server: &Redis) -> Rows {
    let (mut records, negatives) = stored(home, &server.url());
    assert!(negatives.is_empty() || !records.is_empty());
    for numbers in records.values_mut() {
        numbers.remove("unsolicited");
    }
    records
}

/// Some lines about many names, seen again and again.
fn lines(random: &mut fastrand::Rng, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        let (name, host) = (random.u32(..6000), random.u8(..));
        let first = 1_600_000_000 + random.u32(..1_000_000);
        let last = first + random.u32(..1000);
        writeln!(
            text,
            r#"{{"rrname":"h{name}.example.org","rrtype":"A","rdata":["10.1.2.{host}","10.1.3.{host}"],"count":{},"time_first":{first},"time_last":{last}}}"#,
            random.u32(..9)
        )
        .unwrap();
    }
    text
}

/// Asserts that a store passes its own check.
#[track_caller]
fn is_sound(home: &Home, server: &Redis) {
    run(&mut home.pdns(), &["admin", "verify", "--redis", &server.url()]).with(&[0]);
}

#[test]
fn an_export_imported_into_an_empty_store_answers_the_same() {
    let site = Site::new();
    serve::fill(&site.server);
    let other = Redis::start();
    let export = run(&mut site.pdns(), &["find", "--format", "cof", "--limit", "0"]).with(&[0]);
    let file = site.home.write("export.cof", &export);
    let ended = import(&site.home, &other, &[&file]);
    let lines = export.lines().count();
    assert!(ended.stderr.contains(&format!("{lines} lines of 1 log")), "{}", ended.stderr);
    assert!(!ended.stderr.contains("not taken"), "{}", ended.stderr);
    ended.with(&[0]);
    let imported = records(&site.home, &other);
    assert!(imported.len() > 130, "too little: {}", imported.len());
    assert_alike("all records", &imported, &records(&site.home, &site.server));
    is_sound(&site.home, &other);

    for question in [
        &["www.example.com"][..],
        &["*.example.com"],
        &["192.0.2.0/24"],
        &["2001:db8::7"],
        &["mail.example.com"],
        &["login.example.com", "--follow"],
        &["--sort", "count", "*.example.org"],
        &["subdomains", "example.com"],
        &["find", "--contains", "evil"],
        &["top"],
        &["new", "--by", "names"],
    ] {
        let ask = |server: &Redis| {
            let mut rows = shown(&site.home, server, question);
            for row in &mut rows {
                let row = row.as_object_mut().unwrap();
                for field in ["sensors", "inferred", "unsolicited", "imported"] {
                    row.remove(field);
                }
                // COF has no negative answers.
                if row.get("outcome").is_some_and(|outcome| !outcome.is_null()) {
                    row.clear();
                }
            }
            rows.retain(|row| row.as_object().is_some_and(|row| !row.is_empty()));
            rows
        };
        let (ours, theirs) = (ask(&site.server), ask(&other));
        assert!(!ours.is_empty() || question[0] == "new", "{question:?} finds nothing");
        assert_eq!(ours, theirs, "{question:?}");
    }
    // An export of the import is the same but for what says that it was imported.
    let mut again = site.home.pdns();
    let again =
        run(again.args(["--redis", &other.url()]), &["find", "--format", "cof", "--limit", "0"])
            .with(&[0]);
    let mut again: Vec<&str> = again.lines().collect();
    assert!(again.iter().all(|line| line.contains(r#""sensor_id":"cof","#)), "{again:?}");
    assert!(again.iter().all(|line| line.contains(r#""pdns_imported":true"#)), "{again:?}");
    again.sort_unstable();
    again.dedup();
    assert_eq!(again.len(), lines);
}

#[test]
fn imported_records_are_marked_until_a_sensor_sees_them() {
    let home = Home::new();
    let server = Redis::start();
    let file = home.write(
        "circl.json",
        concat!(
            r#"{"count":40,"time_first":1500000000,"time_last":1500000001,"rrname":"www.example.com","rrtype":"A","rdata":"192.0.2.7"}"#,
            "\n",
            r#"{"count":2,"time_first":1500000000,"time_last":1500000001,"rrname":"www.example.com","rrtype":"A","rdata":"192.0.2.9"}"#,
            "\n",
        ),
    );
    let mut command = cof(&home, &server.url());
    // The name of the sensor on this host is not that of an import.
    command.env("PDNS_SENSOR", "so-1");
    run(&mut command, &[&file]).with(&[0]);
    let rows = shown(&home, &server, &["www.example.com"]);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((&row["imported"], &row["sensors"][0]), (&true.into(), &"cof".into()));
        assert_eq!((&row["inferred"], &row["unsolicited"]), (&false.into(), &false.into()));
    }
    assert!(shown(&home, &server, &["www.example.com", "--exclude-imported"]).is_empty());
    assert!(
        shown(&home, &server, &["find", "--contains", "example", "--exclude-imported"]).is_empty()
    );
    let log = home.write(
        "dns.log",
        r#"{"ts":1700000000.25,"id.resp_p":53,"query":"www.example.com","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["192.0.2.7"],"TTLs":[300.0]}
"#,
    );
    let url = server.url();
    run(home.agent().args(["zeek", "--once", "--sensor", "so-1", "--redis", &url]), &[log])
        .with(&[0]);
    let rows = shown(&home, &server, &["www.example.com", "--exclude-imported"]);
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((&row["rdata"], &row["count"]), (&"192.0.2.7".into(), &41.into()));
    assert_eq!((&row["imported"], &row["inferred"]), (&false.into(), &true.into()));
    assert_eq!(row["sensors"].as_array().unwrap().len(), 2);
    assert_eq!(row["time_first"], 1_500_000_000);
    is_sound(&home, &server);
}

#[test]
fn the_same_content_counts_once_under_any_name_and_packing() {
    let (home, server) = (Home::new(), Redis::start());
    let content = lines(&mut fastrand::Rng::with_seed(1), 3000);
    let first = home.write("a.json", &content);
    import(&home, &server, &[&first]).with(&[0]);
    let once = records(&home, &server);
    let copies = [home.write("b.jsonl", &content), home.write("c.gz", gzip(content.as_bytes()))];
    let again = |ended: Ended| {
        assert!(ended.stderr.contains("already read as"), "{}", ended.stderr);
        ended.with(&[0]);
        assert_alike("imported again", &records(&home, &server), &once);
    };
    for copy in &copies {
        again(import(&home, &server, &[copy]));
    }
    again(piped(&home, &server, content.as_bytes()));
    again(piped(&home, &server, &gzip(content.as_bytes())));
    // All of a folder at once, and what is behind the end of what is known.
    let folder = home.path().join("folder");
    home.write("folder/d.json", &content);
    home.write("folder/e.ndjson.gz", gzip(content.as_bytes()));
    home.write("folder/README", "not a file of passive DNS");
    import(&home, &server, &[&folder]).with(&[0]);
    assert_alike("a folder", &records(&home, &server), &once);
    // A last line needs no newline where the end is the end.
    again(piped(&home, &server, content.trim_end().as_bytes()));
    let fresh = Redis::start();
    piped(&home, &fresh, content.trim_end().as_bytes()).with(&[0]);
    assert_alike("without the last newline", &records(&home, &fresh), &once);
    let fresh = Redis::start();
    piped(&home, &fresh, &gzip(content.as_bytes())).with(&[0]);
    assert_alike("standard input alone", &records(&home, &fresh), &once);
    let status = shown(&home, &fresh, &["status", "--verbose"]);
    assert_eq!(status[0]["sources"][0]["path"], "standard input", "{status:?}");
}

#[test]
fn an_import_killed_again_and_again_counts_each_record_once() {
    let seed = seed(11);
    let (home, server) = (Home::new(), Redis::start_durable());
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = home.path().join("archive");
    for number in 0..3 {
        let content = lines(&mut random, 5_000);
        home.write(&format!("archive/{number}.json"), &content);
    }
    home.write("archive/3.json.gz", gzip(lines(&mut random, 5_000).as_bytes()));
    let clean = Redis::start();
    let begin = Instant::now();
    import(&home, &clean, &[&folder]).with(&[0]);
    let whole = begin.elapsed();
    let model = records(&home, &clean);
    let mut kills = 0;
    while kills < 12 {
        let time = whole.mul_f64(random.f64() * 0.6).max(Duration::from_millis(1));
        match Agent::start(cof(&home, &server.url()).arg(&folder)).kill9_after(time) {
            None => kills += 1,
            Some(code) => {
                assert_eq!(code, 0, "seed {seed}, after {kills} kills");
                assert_alike("killed", &records(&home, &server), &model);
                server.flush();
            }
        }
    }
    import(&home, &server, &[&folder]).with(&[0]);
    assert_alike("killed", &records(&home, &server), &model);
    is_sound(&home, &server);
}

#[test]
fn a_kill_while_standard_input_is_copied_leaves_nothing_behind() {
    let (home, server) = (Home::new(), Redis::start());
    let temporary = home.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = cof(&home, &server.url());
    command.arg("-").env("TMPDIR", &temporary).stdin(Stdio::piped());
    let mut agent = Agent::start(&mut command);
    let content = lines(&mut fastrand::Rng::with_seed(2), 100);
    let mut stdin = agent.stdin();
    stdin.write_all(content.as_bytes()).unwrap();
    stdin.flush().unwrap();
    agent.says("starting", 1);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    drop(stdin);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(records(&home, &server).is_empty());
}

#[test]
fn each_bad_line_has_its_place_and_reason() {
    let (home, server) = (Home::new(), Redis::start());
    let content = concat!(
        r#"{"rrname":"a.example","rrtype":"A","rdata":"192.0.2.1","time_first":1,"time_last":2}"#,
        "\n",
        r#"{"rrname":"a.example","rrtype":"A","rdata":"not an address","time_first":1,"time_last":2}"#,
        "\n",
        r#"{"rrname":"a.example","rrtype":"A","rdata":"192.0.2.2","time_first":2,"time_last":1}"#,
        "\n",
        r#"{"rrname":"a.example","rrtype":"WHAT\u001b[2J","rdata":"192.0.2.2","time_first":1,"time_last":1}"#,
        "\n",
        "{\"rrname\":\n",
        r#"{"rrname":"a.example","rrtype":"A","rdata":["192.0.2.3","x"],"time_first":1,"time_last":4294967295}"#,
        "\n",
    );
    let file = home.write("bad\u{1b}[2J.json", content);
    let ended = import(&home, &server, &[&file]);
    for (line, reason) in [
        (2, "the RDATA cannot be read"),
        (3, "the last time lies before the first"),
        (4, "the record type is not known"),
        (5, "not a JSON object"),
    ] {
        assert!(
            ended.stderr.lines().any(|text| text.contains(reason)
                && text.contains("line not taken")
                && text.contains(&format!("\"line\":{line}"))),
            "{line} {reason}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains(&format!("not taken: {reason}")), "{}", ended.stderr);
    }
    assert!(ended.stderr.contains("1 answer not taken: the RDATA cannot be read"));
    let letters = |letter: char| letter == '\n' || letter == ' ' || letter.is_ascii_graphic();
    assert!(ended.stderr.chars().all(letters), "{:?}", ended.stderr);
    ended.with(&[0]);
    assert_eq!(records(&home, &server).len(), 2);

    let log = home.write("nothing.json", "{\"something\":1}\n");
    let ended = import(&home, &server, &[&log]);
    assert!(ended.stderr.contains("no DNS records for `pdns-agent cof`"), "{}", ended.stderr);
    assert_eq!(ended.code, Some(1));
    // The other commands know whose file it is.
    let url = server.url();
    let ended = run(home.agent().args(["zeek", "--once", "--redis", &url]), &[&file]);
    assert!(ended.stderr.contains("it is for `pdns-agent cof`"), "{}", ended.stderr);
    let ended = import(&home, &server, &[Path::new("/nonexistent.json")]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}
