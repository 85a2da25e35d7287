//! Inputs that are compressed, damaged, for another command, or not there: what is read of them, what is said, and the
//! exit status.

use crate::agent::{Agent, clean_import, zeek};
use crate::logs::{Lines, append, gzip};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::store::{agrees, contents, options};
use crate::suricata::suricata;
use pdns_agent::store::Store;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A home and a store.
struct Site {
    home: Home,
    server: Redis,
}

impl Site {
    fn new() -> Self {
        Self { home: Home::new(), server: Redis::start() }
    }

    fn import(&self, inputs: &[&Path]) -> Ended {
        run(zeek(&self.home, &self.server.url()).arg("--once"), inputs)
    }

    /// The same by a superuser who may not pass over the mode of files.
    fn import_bounded(&self, inputs: &[&Path]) -> Ended {
        let bounds = ["--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all"];
        let mut command = self.home.agent_by("setpriv", &bounds);
        command.args(["zeek", "--redis", &self.server.url(), "--sensor", "test", "--once"]);
        run(&mut command, inputs)
    }

    fn captures(&self, inputs: &[&Path]) -> Ended {
        run(self.home.agent().args(["pcap", "--redis", &self.server.url()]), inputs)
    }

    fn store(&self) -> Store {
        Store::open(&options(&self.server)).unwrap()
    }
}

/// It ended with this status, and said all of these.
#[track_caller]
fn said(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} is missing in {}", ended.stderr);
    }
}

/// What a program makes of bytes.
fn through(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo xtask test installs it");
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.stdout
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn logs_of_every_compression_are_found_read_and_counted_once() {
    let site = Site::new();
    let log = Lines::new(81, 500).log(2_000);
    let plain = site.home.write("plain/dns.log", &log);
    let model = clean_import(&site.home, &plain);
    for (program, end) in
        [("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd", "zst"), ("lz4", "lz4")]
    {
        site.home.write(&format!("logs/dns.log.{end}"), through(program, log.as_bytes()));
        // By itself, in a store of its own.
        let alone = Site::new();
        let path = alone.home.write("any.name", through(program, log.as_bytes()));
        said(&alone.import(&[&path]), 0, &["2000 DNS records"]);
        agrees(&mut alone.store(), &model);
    }
    for _ in 0..2 {
        said(&site.import(&[&site.home.path().join("logs")]), 0, &[]);
        agrees(&mut site.store(), &model);
    }
}

#[test]
fn an_import_that_could_not_read_something_ends_with_2_and_has_read_the_rest() {
    let site = Site::new();
    let good = site.home.write("logs/dns.1.log", Lines::new(82, 200).log(300));
    let model = clean_import(&site.home, &good);
    let forbidden = site.home.write("logs/dns.2.log", Lines::new(83, 200).log(300));
    set_mode(&forbidden, 0);
    let folder = site.home.path().join("logs");
    let one = "1 file or folder that could not be read to the end";
    said(&site.import_bounded(&[&folder]), 2, &["cannot open", "dns.2.log", one]);
    agrees(&mut site.store(), &model);
    said(&site.import_bounded(&[&forbidden]), 2, &["cannot open", one]);
    fs::remove_file(&forbidden).unwrap();
    // A folder that cannot be listed.
    let closed = site.home.path().join("logs/closed");
    fs::create_dir(&closed).unwrap();
    set_mode(&closed, 0);
    said(&site.import_bounded(&[&folder]), 2, &["cannot list", "closed", one]);
    said(&site.import_bounded(&[&closed]), 2, &["cannot list", one]);
    fs::remove_dir(&closed).unwrap();
    // A compressed log that is cut.
    let packed = gzip(Lines::new(84, 2_000).log(8_000).as_bytes());
    let cut = site.home.write("logs/dns.3.log.gz", &packed[..packed.len() / 2]);
    for input in [&folder, &cut] {
        said(&site.import(&[input]), 2, &["cannot unpack", "end too early", one]);
    }
    fs::write(&cut, packed).unwrap();
    said(&site.import(&[&folder]), 0, &[]);
    // What is missing.
    said(&site.import(&[&site.home.path().join("no.log")]), 2, &["no such file or directory"]);
    said(&site.import(&[&site.home.path().join("*.no")]), 2, &["no file matches"]);
    let utf16: Vec<u8> = "1.5\tC1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    said(&site.import(&[&site.home.write("dns.utf16", utf16)]), 2, &["UTF-16", "iconv"]);
}

#[test]
fn what_was_skipped_is_summed_up_and_a_folder_without_logs_says_so() {
    let site = Site::new();
    let deep = (0..30).fold("logs".to_owned(), |path, level| format!("{path}/{level}"));
    site.home.write(&format!("{deep}/Corelight_DNS.ndjson"), json(1, "deep.example"));
    for number in 0..40 {
        site.home.write(&format!("logs/{number}/conn.log"), "x\n");
    }
    let folder = site.home.path().join("logs");
    let ended = site.import(&[&folder]);
    let example = folder.join("0/conn.log").display().to_string();
    said(&ended, 0, &["1 DNS record,", "40 other files skipped", &example]);
    assert_eq!(ended.stderr.matches("conn.log").count(), 1, "{}", ended.stderr);
    let empty = site.home.path().join("logs/7");
    said(
        &site.import(&[&empty]),
        1,
        &["no logs in", "named like dns.log", "such as", "conn.log", "1 folder without logs"],
    );
    said(&site.captures(&[&empty]), 1, &["no capture files in", ".pcap", "1 other file skipped"]);
    // What is found beside it is read all the same.
    let log = site.home.write("dns.log", json(2, "beside.example"));
    said(&site.import(&[&empty, &log]), 1, &["1 DNS record,"]);
    assert_eq!(contents(&mut site.store()).len(), 2);
}

/// One line of `dns.log` in JSON.
fn json(at: u64, name: &str) -> String {
    format!(
        r#"{{"ts":{at}.5,"uid":"C{at}","id.orig_h":"192.0.2.1","id.orig_p":4000,"id.resp_h":"192.0.2.53","id.resp_p":53,"proto":"udp","query":"{name}","qclass":1,"qtype":1,"rcode":0,"AA":false,"TC":false,"RD":true,"RA":true,"answers":["198.51.100.1"],"TTLs":[60.0],"rejected":false}}"#
    ) + "\n"
}

/// An event of `eve.json`.
fn eve(at: u64, name: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:{at:02}.000001+0000","flow_id":{at},"event_type":"dns","src_ip":"192.0.2.1","src_port":40000,"dest_ip":"192.0.2.53","dest_port":53,"proto":"UDP","dns":{{"version":2,"type":"answer","id":1,"flags":"8180","qr":true,"rd":true,"ra":true,"rrname":"{name}","rrtype":"A","rcode":"NOERROR","grouped":{{"A":["198.51.100.7"]}}}}}}"#
    ) + "\n"
}

/// A capture without packets but with a name of a link type, in classic form.
fn capture() -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 4, 0, 1, 0, 0, 0]);
    bytes.extend(b"1\n2\n");
    bytes
}

#[test]
fn a_named_file_that_holds_nothing_for_the_command_ends_with_1_and_names_the_right_one() {
    let site = Site::new();
    let lines = Lines::new(85, 10);
    let file = |name: &str, bytes: &[u8]| -> PathBuf { site.home.write(name, bytes) };
    let for_pcap = "it is for `pdns-agent pcap`";
    let none = "no DNS records for `pdns-agent zeek`";
    for (path, part) in [
        (file("trace", &capture()), for_pcap),
        (file("trace.gz", &gzip(&capture())), for_pcap),
        (file("eve.json", eve(1, "a.example").as_bytes()), "it is for `pdns-agent suricata`"),
        (file("empty.log", b""), none),
        (file("header.log", lines.header().as_bytes()), none),
        (file("notes", b"some notes of 2026\n"), none),
        (file("bare.log", b"1.5\tC1\tx\n2.5\tC2\ty\n"), none),
        (PathBuf::from("/dev/null"), none),
    ] {
        let ended = site.import(&[&path]);
        said(&ended, 1, &[part, &path.display().to_string()]);
        // Lines of a file that is not understood are not shown one by one.
        assert!(!ended.stderr.contains("line not taken\""), "{}", ended.stderr);
    }
    assert!(site.store().reader().sources().unwrap().is_empty());
    let for_zeek = "it is for `pdns-agent zeek`";
    let none = "it is not a capture file";
    for (path, part) in [
        (file("dns.log", Lines::new(86, 10).log(10).as_bytes()), for_zeek),
        (file("dns.json", json(1, "a.example").as_bytes()), for_zeek),
        (file("dns.log.gz", &gzip(Lines::new(86, 10).log(10).as_bytes())), for_zeek),
        (file("eve.json", eve(1, "a.example").as_bytes()), "it is for `pdns-agent suricata`"),
        (file("notes", b"some notes of 2026\n"), none),
        (PathBuf::from("/dev/null"), none),
    ] {
        said(&site.captures(&[&path]), 1, &[part, "1 file without packets for this command"]);
    }
    said(&site.captures(&[Path::new("/nowhere.pcap")]), 2, &["cannot open capture /nowhere.pcap"]);
    let eve = run(suricata(&site.home, &site.server.url()).arg("--once"), &[file("x", b"")]);
    said(&eve, 1, &["no DNS records for `pdns-agent suricata`"]);
}

#[test]
fn a_folder_of_which_every_log_is_rejected_ends_as_a_log_that_is_rejected() {
    let site = Site::new();
    let folder = site.home.path().join("logs");
    site.home.write("logs/2026/dns.1.log", "1.5\tC1\tx\n2.5\tC2\ty\n");
    site.home.write(
        "logs/dns.2.log",
        r#"{"ts":"never","query":"a.example","qtype":1}"#.to_owned() + "\n",
    );
    for path in [folder.join("dns.2.log"), folder.clone()] {
        let ended = site.import(&[&path]);
        said(&ended, 1, &["nothing read from", "not taken: "]);
    }
    let ended = site.import(&[&folder]);
    said(&ended, 1, &["1 folder whose logs hold nothing for this command"]);
    let pattern = PathBuf::from(format!("{}/*", site.home.path().display()));
    said(&site.import(&[&pattern]), 1, &["nothing read from the logs in"]);
    // One log is enough, also when it was read before; and one without any row is quiet, not broken.
    site.home.write("logs/dns.3.log", Lines::new(89, 10).log(10));
    for _ in 0..2 {
        said(&site.import(&[&folder]), 0, &[]);
    }
    let quiet = site.home.write("quiet/dns.log", Lines::new(89, 10).header());
    said(&site.import(&[quiet.parent().unwrap()]), 0, &[]);
    let event = eve(1, "a.example").replace(r#""flags":"8180","#, "");
    let path = site.home.write("eve/eve.json", event);
    for input in [path.as_path(), path.parent().unwrap()] {
        let ended = run(suricata(&site.home, &site.server.url()).arg("--once"), &[input]);
        said(&ended, 1, &["the answer lacks dns.flags"]);
    }
    assert!(site.store().reader().sources().unwrap().len() == 1);
}

#[test]
fn rows_without_what_is_needed_say_what_that_is() {
    let site = Site::new();
    // Without addresses, as some shippers leave it.
    let line = r#"{"ts":1700000000.5,"query":"a.example","qtype":1,"rcode":0,"RD":true,"RA":true,"answers":["192.0.2.1"],"TTLs":[60.0]}"#;
    let log = site.home.write("dns.json", line.to_owned() + "\n");
    let wrong = run(suricata(&site.home, &site.server.url()).arg("--once"), &[&log]);
    said(&wrong, 1, &["it is for `pdns-agent zeek`"]);
    said(&site.captures(&[&log]), 1, &["it is for `pdns-agent zeek`"]);
    said(&site.import(&[&log]), 0, &["1 DNS record,"]);
    let nested = line.replace(r#""query""#, r#""id":{"orig_h":"192.0.2.1"},"query""#);
    let nested = site.home.write("nested.json", nested + "\n");
    said(&site.captures(&[&nested]), 1, &["it is for `pdns-agent zeek`"]);
    let other = site.home.write("other.json", "{\"ts\":1700000000.5,\"name\":\"x\"}\n");
    said(&site.import(&[&other]), 1, &["no line has query, qtype or rcode, as in dns.log"]);
    let rejected = site.home.write("rejected.json", line.replace("1700000000.5", "\"x\"") + "\n");
    said(
        &site.import(&[&rejected]),
        1,
        &["1 line rejected: the time is missing or cannot be read"],
    );
}

#[test]
fn a_log_whose_first_row_is_unfinished_waits_for_its_end() {
    let site = Site::new();
    let mut lines = Lines::new(87, 10);
    let log = lines.log(1);
    for whole in [log, json(3, "late.example")] {
        site.server.flush();
        let path = site.home.write("dns.log", &whole[..whole.len() - 9]);
        let ended = site.import(&[&path]);
        said(
            &ended,
            0,
            &["may be incomplete, left for the next run", "1 unfinished last line left"],
        );
        assert!(!ended.stderr.contains("no DNS records for"), "{}", ended.stderr);
        append(&path, &whole.as_bytes()[whole.len() - 9..]);
        said(&site.import(&[&path]), 0, &["1 DNS record,"]);
    }
}

#[test]
fn byte_order_marks_and_nul_bytes_cost_no_record() {
    let mark = "\u{feff}";
    for megabytes in [0, 3] {
        let nul = "\0".repeat(1000 + (megabytes << 20));
        let tsv = {
            let mut lines = Lines::new(88, 300);
            let (header, rows) = (lines.header(), (0..4).map(|_| lines.line()).collect::<Vec<_>>());
            let torn = &rows[1][..rows[1].len() - 20];
            (
                format!("{mark}{header}{}{torn}{nul}{}{nul}{}", rows[0], rows[2], rows[3]),
                format!("{header}{}{}{}", rows[0], rows[2], rows[3]),
            )
        };
        let records = |line: &dyn Fn(u64, &str) -> String| {
            let rows: Vec<_> = (1..5).map(|at| line(at, &format!("h{at}.example"))).collect();
            let torn = &rows[1][..40];
            (
                format!("{mark}{}{torn}{nul}{}{nul}{}", rows[0], rows[2], rows[3]),
                format!("{}{}{}", rows[0], rows[2], rows[3]),
            )
        };
        for (command, (damaged, sound)) in
            [("zeek", tsv), ("zeek", records(&json)), ("suricata", records(&eve))]
        {
            let read = |log: &str| {
                let site = Site::new();
                let path = site.home.write("log", log);
                let mut agent = site.home.agent();
                agent.args([command, "--once", "--sensor", "test", "--redis", &site.server.url()]);
                let ended = run(&mut agent, &[&path]);
                (contents(&mut site.store()), ended)
            };
            let (want, _) = read(&sound);
            let (found, ended) = read(&damaged);
            said(&ended, 0, &["3 DNS records"]);
            assert!(found == want, "{command}: {}", ended.stderr);
            if megabytes == 0 {
                said(&ended, 0, &["1 line cut off by NUL bytes"]);
            }
        }
    }
}

#[test]
fn a_rotated_log_is_shown_under_its_new_name() {
    let site = Site::new();
    let path = site.home.write("logs/eve.json", eve(1, "first.example"));
    let folder = site.home.path().join("logs");
    let import = || run(suricata(&site.home, &site.server.url()).arg("--once"), &[&folder]);
    said(&import(), 0, &[]);
    fs::rename(&path, folder.join("eve.json.1")).unwrap();
    fs::write(&path, eve(2, "second.example")).unwrap();
    said(&import(), 0, &[]);
    let sources = site.store().reader().sources().unwrap();
    let mut paths: Vec<&str> = sources.iter().map(|(_, state)| state.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, [path.to_str().unwrap(), folder.join("eve.json.1").to_str().unwrap()]);
}

#[test]
fn a_closed_standard_error_stops_no_import() {
    let site = Site::new();
    let good = Lines::new(89, 200).log(200);
    let model = clean_import(&site.home, &site.home.write("good.log", &good));
    let path = site.home.write("dns.log", format!("{good}torn\nlines\n"));
    let mut command = zeek(&site.home, &site.server.url());
    command.arg("--once").arg(&path).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    agrees(&mut site.store(), &model);
    // A refusal, too.
    let mut command = zeek(&site.home, &site.server.url());
    command.args(["--once", "--flush", "0"]).arg(&path).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(78));
    // And one that cannot be written to, while logs are followed.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = zeek(&site.home, &site.server.url());
    command.args(["--flush", "0.1"]).arg(&path).stdout(Stdio::null()).stderr(full);
    let mut agent = command.spawn().unwrap();
    append(&path, b"torn again\n");
    let line = Lines::new(90, 200).line();
    append(&path, line.as_bytes());
    let size = fs::metadata(&path).unwrap().len();
    crate::redis::until("it reads on", || {
        assert!(agent.try_wait().unwrap().is_none(), "the agent ended");
        crate::agent::acknowledged(&site.server) == size
    });
    Command::new("kill").args(["-TERM", &agent.id().to_string()]).status().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_read_while_logs_are_followed_is_no_failure_at_the_end() {
    let site = Site::new();
    site.home.write("logs/dns.log.gz", [&[0x1f, 0x8b, 8, 0][..], &[0xff; 40]].concat());
    let mut agent = Agent::follow(&site.home, &site.server.url(), &site.home.path().join("logs"));
    agent.says("cannot unpack", 1);
    let (code, said) = agent.terminate();
    assert_eq!(code, Some(0), "{said}");
}
