//! Which log a file is, how often it is read, and what becomes of logs that cannot be read now.

use crate::agent::{Agent, acknowledged, catches_up, zeek};
use crate::logs::{Lines, append, gzip};
use crate::redis::{Redis, until};
use crate::run::{Home, run};
use crate::store::{agrees, contents, options};
use crate::suricata::suricata;
use pdns_agent::store::Store;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Bytes of a log that grows little by little, at the start.
const LARGE: usize = 20_000_000;

fn store(server: &Redis) -> Store {
    Store::open(&options(server)).unwrap()
}

/// One line of `dns.log` in JSON: at a second, for a name, with a uid.
fn json(at: u64, name: &str, uid: &str) -> String {
    format!(
        r#"{{"ts":{at}.5,"uid":"{uid}","id.orig_h":"192.0.2.1","id.orig_p":4000,"id.resp_h":"192.0.2.53","id.resp_p":53,"proto":"udp","query":"{name}","qclass":1,"qtype":1,"rcode":0,"AA":false,"TC":false,"RD":true,"RA":true,"answers":["198.51.100.{}"],"TTLs":[60.0],"rejected":false}}"#,
        at % 250
    ) + "\n"
}

/// An event of `eve.json`.
fn eve(at: u64, name: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:{:02}:{:02}.000001+0000","flow_id":{at},"event_type":"dns","src_ip":"192.0.2.1","src_port":40000,"dest_ip":"192.0.2.53","dest_port":53,"proto":"UDP","dns":{{"version":2,"type":"answer","id":1,"flags":"8180","qr":true,"rd":true,"ra":true,"rrname":"{name}","rrtype":"A","rcode":"NOERROR","grouped":{{"A":["198.51.100.7"]}}}}}}"#,
        at / 60 % 60,
        at % 60
    ) + "\n"
}

/// What a store holds that has read some logs which nothing confuses.
fn model(logs: &[String]) -> crate::store::Model {
    let (home, server) = (Home::new(), Redis::start());
    for (number, log) in logs.iter().enumerate() {
        // The uid is not stored, and makes the first record another one.
        let log = log.replacen("Csame", &format!("C{number}"), 1);
        home.write(&format!("logs/dns.{number}.log"), log);
    }
    run(zeek(&home, &server.url()).arg("--once"), &[home.path().join("logs")]).with(&[0]);
    contents(&mut store(&server))
}

#[test]
fn a_log_read_by_the_wrong_command_is_not_taken_for_read() {
    let (home, server) = (Home::new(), Redis::start());
    let events: String = (0..50).map(|at| eve(at, &format!("h{at}.example"))).collect();
    let eve = home.write("eve.json", &events);
    let dns = home.write("dns.log", Lines::new(51, 100).log(100));
    let wrong = run(zeek(&home, &server.url()).arg("--once"), &[&eve]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("it is for `pdns-agent suricata`"), "{}", wrong.stderr);
    let wrong = run(suricata(&home, &server.url()).arg("--once"), &[&dns]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("it is for `pdns-agent zeek`"), "{}", wrong.stderr);
    assert!(store(&server).reader().sources().unwrap().is_empty());
    run(suricata(&home, &server.url()).arg("--once"), &[&eve]).with(&[0]);
    run(zeek(&home, &server.url()).arg("--once"), &[&dns]).with(&[0]);
    let sources = store(&server).reader().sources().unwrap();
    let mut readers: Vec<&str> = sources.iter().map(|(_, state)| state.reader.as_str()).collect();
    readers.sort_unstable();
    assert_eq!(readers, ["suricata", "zeek"]);
    let capture = home.write("trace.pcap", b"\xd4\xc3\xb2\xa1\x02\0\x04\0 1 and more\n");
    let wrong = run(zeek(&home, &server.url()).arg("--once"), &[&capture]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("it is for `pdns-agent pcap`"), "{}", wrong.stderr);
    let text = home.write("notes.txt", "version 1 of my notes\n");
    let wrong = run(zeek(&home, &server.url()).arg("--once"), &[&text]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("no DNS records"), "{}", wrong.stderr);
}

#[test]
fn a_log_that_an_earlier_version_read_with_the_wrong_command_is_read() {
    let (home, server) = (Home::new(), Redis::start());
    let events: String = (0..50).map(|at| eve(at, &format!("h{at}.example"))).collect();
    let path = home.write("eve.json", &events);
    run(suricata(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    let whole = contents(&mut store(&server));
    let (id, mut state) = store(&server).reader().sources().unwrap().remove(0);
    // As f1a3e90 left it: read to the end, with nothing found.
    crate::files::empty(&server);
    (state.reader, state.digest) = (String::new(), None);
    state.tally = serde_json::json!({ "lines": 50, "other_records": 50 });
    store(&server).writer().acknowledge(&id, &state).unwrap();
    for _ in 0..2 {
        run(suricata(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
        agrees(&mut store(&server), &whole);
    }
    // And what it read rightly is known still.
    let (id, mut state) = store(&server).reader().sources().unwrap().remove(0);
    (state.reader, state.digest) = (String::new(), None);
    store(&server).writer().acknowledge(&id, &state).unwrap();
    append(&path, eve(50, "h50.example").as_bytes());
    run(suricata(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    assert_eq!(contents(&mut store(&server)).len(), whole.len() + 1);
    assert_eq!(store(&server).reader().sources().unwrap().len(), 1);
}

#[test]
fn logs_that_begin_with_the_same_record_are_told_apart() {
    let first = json(1_700_000_000, "first.example", "Csame");
    let log = |name: &str, count: u64| -> String {
        let lines = (1..count)
            .map(|at| json(1_700_000_000 + at, &format!("{name}{}.example", at % 40), "C"));
        first.clone() + &lines.collect::<String>()
    };
    // The second is shorter than the first, the third longer; the fourth differs in one name in the middle.
    let mut logs = vec![log("a", 400), log("b", 150), log("c", 900)];
    logs.push(logs[0].replacen("a7.", "z7.", 1));
    let want = model(&logs);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]] {
        let (home, server) = (Home::new(), Redis::start());
        for number in order {
            let path = home.write(&format!("logs/dns.{number}.log"), &logs[number]);
            run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
        }
        agrees(&mut store(&server), &want);
        // Copies, packed or cut short, are known as what they are.
        home.write("logs/dns.packed.log.gz", gzip(logs[2].as_bytes()));
        let half: String = logs[0].split_inclusive('\n').take(200).collect();
        home.write("logs/dns.half.log", half);
        for _ in 0..2 {
            run(zeek(&home, &server.url()).arg("--once"), &[home.path().join("logs")]).with(&[0]);
            agrees(&mut store(&server), &want);
        }
    }
    // All at once, by several threads.
    let (home, server) = (Home::new(), Redis::start());
    for (number, log) in logs.iter().enumerate() {
        home.write(&format!("logs/dns.{number}.log"), log);
    }
    let all = &[home.path().join("logs")];
    run(zeek(&home, &server.url()).args(["--once", "--workers", "4"]), all).with(&[0]);
    agrees(&mut store(&server), &want);
}

#[test]
fn a_log_that_was_left_half_way_is_not_gone_on_with_in_another_one() {
    let (home, server) = (Home::new(), Redis::start());
    let first = json(1_700_000_000, "first.example", "Csame");
    let log = |name: &str| -> String {
        let lines = (1..60).map(|at| json(1_700_000_000 + at, &format!("{name}{at}.example"), "C"));
        first.clone() + &lines.collect::<String>()
    };
    let (one, other) = (log("a"), log("b"));
    let path = home.write("dns.1.log", &one);
    run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    let mut whole = store(&server);
    let (id, state) = whole.reader().sources().unwrap().remove(0);
    let end = state.digest.expect("the digest of what was read").length;
    let digest = {
        let mut digest = pdns_agent::hash::PrefixDigest::new(whole.router().hasher());
        digest.write(one.as_bytes());
        digest.to_bytes()
    };
    // A batch to the end of the log was begun and nothing of it applied.
    crate::files::half_way(&server, &id, end);
    store(&server).writer().announce_batch(&id, &digest).unwrap();
    let path = home.write("dns.2.log", &other);
    run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    run(zeek(&home, &server.url()).arg("--once"), &[home.path().join("dns.1.log")]).with(&[0]);
    agrees(&mut store(&server), &model(&[one, other]));
}

#[test]
fn a_source_that_is_forgotten_is_read_again() {
    let (home, server) = (Home::new(), Redis::start());
    let path = home.write("dns.log", Lines::new(52, 100).log(200));
    let pdns = |arguments: &[&Path]| {
        let mut command = home.pdns();
        run(command.args(["--redis", &server.url(), "admin", "forget-source"]), arguments)
    };
    run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    let once = contents(&mut store(&server));
    let never = pdns(&[Path::new("/never/read")]);
    assert_eq!(never.code, Some(1), "{}", never.stderr);
    assert!(never.stderr.contains("not read before"), "{}", never.stderr);
    // By its path, though the file is gone; and by what it holds, though the path is another one.
    for by_path in [true, false] {
        let moved = home.path().join("moved.log");
        fs::rename(&path, &moved).unwrap();
        let forgotten = pdns(&[if by_path { &path } else { &moved }]);
        assert_eq!(forgotten.code, Some(0), "{}", forgotten.stderr);
        assert!(forgotten.stderr.contains("forgotten"), "{}", forgotten.stderr);
        assert!(store(&server).reader().sources().unwrap().is_empty());
        fs::rename(&moved, &path).unwrap();
        run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    }
    let thrice = contents(&mut store(&server));
    assert!(once.iter().all(|(key, seen)| thrice[key].count == 3 * seen.count));
    // Of logs that begin with the same record, the one that the file holds.
    server.flush();
    let first = json(1_700_000_000, "first.example", "Csame");
    let log = |name: &str| {
        let lines = (1..50).map(|at| json(1_700_000_000 + at, &format!("{name}{at}.example"), "C"));
        first.clone() + &lines.collect::<String>()
    };
    let one = home.write("one.log", log("one"));
    let two = home.write("two.log", log("two"));
    // The first takes the place that the second is looked for behind.
    run(zeek(&home, &server.url()).arg("--once"), &[&one]).with(&[0]);
    run(zeek(&home, &server.url()).arg("--once"), &[&two]).with(&[0]);
    let before = contents(&mut store(&server));
    pdns(&[&one]).with(&[0]);
    run(zeek(&home, &server.url()).arg("--once"), &[&two]).with(&[0]);
    assert_eq!(contents(&mut store(&server)), before, "the second is still known");
    run(zeek(&home, &server.url()).arg("--once"), &[&one]).with(&[0]);
    let after = contents(&mut store(&server));
    let added: u64 = before.iter().map(|(key, seen)| after[key].count - seen.count).sum();
    assert_eq!(added, 50, "the first counts again, once");
    // A log that goes on where the first ends is another one.
    let on = json(1_700_000_900, "on.example", "C");
    let longer = home.write("longer.log", log("one") + &on);
    run(zeek(&home, &server.url()).arg("--once"), &[&longer]).with(&[0]);
    let told = pdns(&[&two]);
    assert_eq!((told.code, told.stderr.lines().count()), (Some(0), 1), "{}", told.stderr);
    run(zeek(&home, &server.url()).arg("--once"), &[&two]).with(&[0]);
    fs::remove_file(&longer).unwrap();
    for (path, kept) in [(&one, Some(&two)), (&two, None)] {
        let packed = home.write("packed.log.gz", gzip(&fs::read(path).unwrap()));
        pdns(&[&packed]).with(&[0]);
        let left = store(&server).reader().sources().unwrap();
        let left: Vec<&str> = left.iter().map(|(_, state)| state.path.as_str()).collect();
        let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(left, kept);
    }
}

#[test]
fn a_shorter_log_that_differs_behind_the_last_sample_is_another_one() {
    let (home, server) = (Home::new(), Redis::start());
    let log = |name: &str, rows: u64| {
        let row = |at: u64| {
            let name = if at < 3_000 { "same" } else { name };
            json(1_700_000_000 + at, &format!("{name}{at}.example"), "C")
        };
        (0..rows).map(row).collect::<String>()
    };
    let long = home.write("long.log", log("long", 4_000));
    let short = home.write("short.log", log("short", 3_800));
    let copy = home.write("copy.log", &log("long", 4_000)[..200_000]);
    let total = || contents(&mut store(&server)).values().map(|seen| seen.count).sum::<u64>();
    run(zeek(&home, &server.url()).arg("--once"), &[&long]).with(&[0]);
    assert_eq!(total(), 4_000);
    run(zeek(&home, &server.url()).arg("--once"), &[&short]).with(&[0]);
    assert_eq!(total(), 7_800);
    run(zeek(&home, &server.url()).arg("--once"), &[&copy, &short, &long]).with(&[0]);
    assert_eq!(total(), 7_800, "the beginning of a log counts once");
}

#[test]
fn an_unfinished_last_line_waits_for_its_end() {
    let (home, server) = (Home::new(), Redis::start());
    let head = "#separator \\x09\n#path\tdns\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\tqclass\tqtype\trcode\tRD\tRA\tTTLs\tanswers\n";
    let row = |number: u32| {
        format!(
            "1700000000.{number:06}\tC{number}\t192.0.2.1\t4000\t192.0.2.53\t53\tudp\tn{number}.example\t1\t1\t0\tT\tT\t60.0\t192.0.2.22\n"
        )
    };
    let log = format!("{head}{}{}{}", row(1), row(2), row(3));
    for cut in [1, 2, 30] {
        server.flush();
        let (torn, rest) = log.split_at(log.len() - cut);
        let path = home.write("logs/dns.log", torn);
        let ended = run(zeek(&home, &server.url()).arg("--once"), &[&path]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("1 unfinished last line left"), "{}", ended.stderr);
        assert_eq!(contents(&mut store(&server)).len(), 2);
        append(&path, rest.as_bytes());
        for _ in 0..2 {
            run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
            let model = contents(&mut store(&server));
            assert_eq!(model.len(), 3);
            assert!(model.values().all(|seen| seen.count == 1));
        }
    }
    // A compressed file does not grow.
    server.flush();
    let path = home.write("dns.log.gz", gzip(log.trim_end().as_bytes()));
    run(zeek(&home, &server.url()).arg("--once"), &[&path]).with(&[0]);
    assert_eq!(contents(&mut store(&server)).len(), 3);
}

/// Bytes that a process has read of files.
fn read_by(agent: &Agent) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", agent.id())).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn a_live_log_is_read_on_where_it_was_left() {
    let (home, server) = (Home::new(), Redis::start());
    let folder = home.path().join("logs");
    let mut events = String::new();
    let mut at = 0;
    while events.len() < LARGE {
        events.push_str(&eve(at, &format!("h{}.example", at % 5_000)));
        at += 1;
    }
    let path = home.write("logs/eve.json", &events);
    let mut agent =
        Agent::start(suricata(&home, &server.url()).args(["--flush", "0.1"]).arg(&folder));
    catches_up(&mut agent, &server, events.len() as u64);
    let before = read_by(&agent);
    let (mut added, mut lines) = (0, at);
    for piece in 0..40 {
        // Zeek and Suricata rename their logs while these are read.
        if piece == 20 {
            fs::rename(&path, folder.join("eve.json.1")).unwrap();
        }
        let path = if piece < 20 { path.clone() } else { folder.join("eve.json.1") };
        for _ in 0..5 {
            let event = eve(lines, &format!("g{lines}.example"));
            append(&path, event.as_bytes());
            added += event.len() as u64;
            lines += 1;
        }
        catches_up(&mut agent, &server, events.len() as u64 + added);
    }
    let read = read_by(&agent) - before;
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    // What was added, and for each reading the head of the file.
    assert!(read < added + 2_000_000, "{read} bytes were read for {added}");
    assert!(!said.contains("reading again"), "{said}");
    assert!(said.contains(&format!("{lines} lines of 1 log: {lines} DNS records")), "{said}");
}

#[test]
fn an_unfinished_line_that_grows_is_read_again_only_when_it_ends() {
    let (home, server) = (Home::new(), Redis::start());
    let long = |length: usize| {
        let uid = format!("C{}", "x".repeat(length));
        json(1_700_000_001, "long.example", &uid)
    };
    let start = json(1_700_000_000, "first.example", "C");
    let path = home.write("logs/dns.log", &start);
    let mut agent = Agent::follow(&home, &server.url(), path.parent().unwrap());
    catches_up(&mut agent, &server, start.len() as u64);
    let (before, mut size) = (read_by(&agent), start.len() as u64);
    // One that is taken, and one that is too long.
    for (line, piece) in [(long(900_000), 20_000), (long(3_000_000), 60_000)] {
        for piece in line.as_bytes().chunks(piece) {
            let seen = read_by(&agent);
            append(&path, piece);
            size += piece.len() as u64;
            until("the piece is read", || read_by(&agent) >= seen + piece.len() as u64);
        }
        catches_up(&mut agent, &server, size);
    }
    let (read, added) = (read_by(&agent) - before, size - start.len() as u64);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    // Each byte, once more each of the first line's and of a megabyte of the other's, and little for each reading.
    assert!(read < added + 900_000 + (1 << 20) + 2_000_000, "{read} bytes were read for {added}");
    assert!(said.contains("3 lines of 1 log: 2 DNS records"), "{said}");
    assert!(said.contains("1 line longer than 1 MiB"), "{said}");
}

#[test]
fn a_log_that_is_forgotten_while_it_is_followed_is_read_again_and_says_why() {
    let (home, server) = (Home::new(), Redis::start());
    let mut lines = Lines::new(58, 100);
    let path = home.write("logs/dns.log", lines.log(200));
    let mut agent = Agent::follow(&home, &server.url(), path.parent().unwrap());
    let size = || fs::metadata(&path).unwrap().len();
    catches_up(&mut agent, &server, size());
    let mut forget = home.pdns();
    forget.args(["--redis", &server.url(), "admin", "forget-source"]);
    run(&mut forget, &[&path]).with(&[0]);
    append(&path, lines.line().as_bytes());
    catches_up(&mut agent, &server, size());
    agent.says("forgotten by `pdns admin forget-source`, reading it again", 1);
    assert!(!agent.said().contains("another agent"), "{}", agent.said());
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_log_that_is_written_over_is_read_as_another_one() {
    let (home, server) = (Home::new(), Redis::start());
    let line = |at: u64, name: &str| json(1_700_000_000 + at, &format!("{name}{at}.example"), "C");
    let first = json(1_700_000_000, "first.example", "Csame");
    let narrow = first.clone() + &(1..50).map(|at| line(at * 3, "n")).collect::<String>();
    let wide = first + &(1..150).map(|at| line(at, "w")).collect::<String>();
    let path = home.write("logs/dns.log", &narrow);
    let mut agent = Agent::follow(&home, &server.url(), path.parent().unwrap());
    catches_up(&mut agent, &server, narrow.len() as u64);
    // The same file, longer than what was read, with the same first record.
    fs::write(&path, &wide).unwrap();
    catches_up(&mut agent, &server, (narrow.len() + wide.len()) as u64);
    append(&path, line(200, "w").as_bytes());
    let size = fs::metadata(&path).unwrap().len();
    catches_up(&mut agent, &server, narrow.len() as u64 + size);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    let wide = wide + &line(200, "w");
    agrees(&mut store(&server), &model(&[narrow, wide]));
}

#[test]
fn a_log_that_could_not_be_opened_is_read_once_it_can() {
    let (home, server) = (Home::new(), Redis::start());
    let log = Lines::new(53, 200).log(300);
    let path = home.write("logs/dns.log", &log);
    let forbidden = |to: &str| {
        assert!(Command::new("chmod").arg(to).arg(&path).status().unwrap().success());
    };
    forbidden("000");
    // A superuser who may not pass over the mode of files.
    let bounds = ["--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all"];
    let mut command = home.agent_by("setpriv", &bounds);
    command.args(["zeek", "--redis", &server.url(), "--sensor", "test", "--flush", "0.1"]);
    let mut agent = Agent::start(command.arg(home.path().join("logs")));
    agent.says("cannot open", 1);
    forbidden("644");
    catches_up(&mut agent, &server, log.len() as u64);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    agrees(&mut store(&server), &crate::agent::clean_import(&home, &path));
}

#[test]
fn more_logs_than_files_may_be_open_are_followed() {
    let (home, server) = (Home::new(), Redis::start());
    let folder = home.path().join("logs");
    let mut lines = Lines::new(54, 2_000);
    let paths: Vec<_> = (0..200)
        .map(|number| home.write(&format!("logs/dns.{number}.log"), lines.log(3)))
        .collect();
    let mut command = home.shell();
    let line = format!(
        "ulimit -n 64; exec {} zeek --redis {} --sensor test --flush 0.1 --memory 8 {}",
        env!("CARGO_BIN_EXE_pdns-agent"),
        server.url(),
        folder.display()
    );
    let mut agent = Agent::start(command.args(["-c", &line]));
    let size = || paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    catches_up(&mut agent, &server, size());
    for _ in 0..2 {
        for path in &paths {
            append(path, lines.line().as_bytes());
        }
        catches_up(&mut agent, &server, size());
    }
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("WARN"), "{said}");
    agrees(&mut store(&server), &crate::agent::clean_import(&home, &folder));
}

#[test]
fn logs_that_are_followed_and_idle_take_little_memory() {
    let (home, server) = (Home::new(), Redis::start());
    let folder = home.path().join("logs");
    let mut lines = Lines::new(55, 2_000);
    for number in 0..1_500 {
        home.write(&format!("logs/{}/dns.{number}.log", number % 30), lines.log(2));
    }
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    let all =
        fs::read_dir(&folder).unwrap().flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap());
    let size: u64 = all.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    until("all is read", || agent.is_alive() && acknowledged(&server) == size);
    let memory = agent.memory();
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    // 256 KiB for each of the logs kept open would be 128 MB.
    assert!(memory < 90_000_000, "{memory} bytes");
}

#[test]
fn unfinished_long_lines_of_many_logs_take_little_memory_and_are_read_whole() {
    let (home, server) = (Home::new(), Redis::start());
    let folder = home.path().join("logs");
    let uid = format!("C{}", "x".repeat(1_000_000));
    let (mut texts, mut paths, mut unfinished) = (Vec::new(), Vec::new(), 0);
    for number in 0..200 {
        let at = 1_700_000_000 + number;
        let text = json(at, &format!("a{number}.example"), &format!("C{number}"))
            + &json(at, &format!("b{number}.example"), &uid);
        let torn = &text[..text.len() - 400];
        unfinished += torn.len() as u64;
        paths.push(home.write(&format!("logs/dns.{number}.log"), torn));
        texts.push(text);
    }
    let mut agent = Agent::follow(&home, &server.url(), &folder);
    until("all is read", || agent.is_alive() && read_by(&agent) > unfinished);
    until("all that is whole is stored", || contents(&mut store(&server)).len() == 200);
    let memory = agent.memory();
    assert!(memory < 90_000_000, "{memory} bytes");
    for (path, text) in paths.iter().zip(&texts) {
        append(path, &text.as_bytes()[text.len() - 400..]);
    }
    catches_up(&mut agent, &server, texts.iter().map(|text| text.len() as u64).sum());
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("400 lines of 200 logs: 400 DNS records"), "{said}");
    agrees(&mut store(&server), &crate::agent::clean_import(&home, &folder));
}

#[test]
fn a_report_says_which_logs_were_read_before_and_as_what() {
    let (home, server) = (Home::new(), Redis::start());
    let text = Lines::new(56, 200).log(300);
    let log = home.write("first/dns.log", &text);
    let import = |inputs: &[&Path]| {
        let ended = run(zeek(&home, &server.url()).args(["--once", "--workers", "2"]), inputs);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    let (packed, copy) =
        (home.write("packed/dns.log.gz", gzip(text.as_bytes())), home.path().join("copy.log"));
    fs::copy(&log, &copy).unwrap();
    // Two copies in one run: one of them is read.
    let said = import(&[&log, &copy]);
    assert!(said.contains("300 lines of 1 log:") || said.contains("of 1 log: 300"), "{said}");
    assert!(said.contains("1 log the same log as ") && said.contains(" in this run"), "{said}");
    assert!(!said.contains("unchanged") && !said.contains("already read"), "{said}");
    // Unpacked or compressed, it was read under another name.
    let stored = store(&server).reader().sources().unwrap().remove(0).1.path;
    let said = import(&[&packed]);
    assert!(said.contains(&format!("1 log already read as {stored}")), "{said}");
    assert!(said.contains("0 lines of 0 logs") && !said.contains("unchanged"), "{said}");
    let other = if stored.ends_with("copy.log") { &log } else { &copy };
    let said = import(&[other]);
    assert!(said.contains(&format!("1 log already read as {stored}")), "{said}");
    let said = import(&[Path::new(&stored)]);
    assert!(said.contains("1 log unchanged since the last run"), "{said}");
    // All of them: the first is the log, whichever that is, and the others are the same.
    let said = import(&[&log, &copy, &packed]);
    assert!(said.contains("2 logs the same log as another one in this run, such as "), "{said}");
    let one = said.contains("1 log unchanged since") || said.contains("1 log already read as");
    assert!(one, "{said}");
    // A copy that has more is read on, and is no copy.
    append(&copy, Lines::new(57, 10).line().as_bytes());
    let said = import(&[&copy]);
    assert!(said.contains("1 line of 1 log: 1 DNS record"), "{said}");
    assert!(!said.contains("already read"), "{said}");
    agrees(&mut store(&server), &crate::agent::clean_import(&home, &copy));
}
