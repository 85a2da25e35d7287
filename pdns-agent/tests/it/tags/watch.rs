//! `pdns watch`: what is new comes, once, and the end is an orderly one.

use crate::cli::Site;
use crate::redis::Redis;
use crate::run::{Home, run};
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

/// A running watch.
struct Watching {
    child: Child,
    rows: Lines<BufReader<ChildStdout>>,
    talk: BufReader<ChildStderr>,
}

impl Watching {
    /// Starts one, and waits until it watches.
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut child = site
            .pdns()
            .arg("watch")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let rows = BufReader::new(child.stdout.take().unwrap()).lines();
        let talk = BufReader::new(child.stderr.take().unwrap());
        let mut watching = Self { child, rows, talk };
        assert_eq!(watching.said(), "pdns: watching for what is new; Ctrl-C ends\n");
        watching
    }

    fn row(&mut self) -> String {
        self.rows.next().unwrap().unwrap()
    }

    /// The next line that is said.
    fn said(&mut self) -> String {
        let mut line = String::new();
        self.talk.read_line(&mut line).unwrap();
        line
    }

    /// Sends a signal; exit code, and what was said.
    fn end(mut self, signal: Option<&str>) -> (Option<i32>, String) {
        if let Some(signal) = signal {
            let pid = self.child.id().to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        }
        let mut talk = String::new();
        self.talk.read_to_string(&mut talk).unwrap();
        (self.child.wait().unwrap().code(), talk)
    }
}

/// Feeds one answer.
fn feed(site: &Site, number: u32, rrname: &str, address: &str) {
    let line = format!(
        concat!(
            r#"{{"ts":{}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","#,
            r#""id.resp_p":53,"proto":"udp","query":"{}","qclass":1,"qclass_name":"C_INTERNET","qtype":1,"#,
            r#""qtype_name":"A","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"#,
            r#""Z":0,"answers":["{}"],"TTLs":[60.0],"rejected":false}}"#,
            "\n"
        ),
        1_700_500_000 + number,
        rrname,
        address
    );
    let log = site.home.write(&format!("more/{number}/dns.log"), line);
    run(site.agent().args(["zeek", "--once", "--sensor", "so-1"]), &[log]).with(&[0]);
}

#[test]
fn new_names_come_as_they_are_first_seen() {
    let site = Site::new();
    let mut watching = Watching::start(&site, &["--format", "plain", "--ends", ".example"]);
    feed(&site, 1, "a.example", "192.0.2.50");
    assert_eq!(watching.row(), "a.example\tA\t192.0.2.50");
    // Neither a known name nor one of other text.
    feed(&site, 2, "a.example", "192.0.2.51");
    feed(&site, 3, "a.other", "192.0.2.51");
    feed(&site, 4, "b.example", "192.0.2.52");
    assert_eq!(watching.row(), "b.example\tA\t192.0.2.52");
    assert_eq!(watching.end(Some("-INT")), (Some(0), String::new()));
}

#[test]
fn new_records_come_too_when_they_are_wanted_and_by_tags_set_meanwhile() {
    let site = Site::new();
    let arguments = ["--format", "cof", "--records", "--tag", "threat"];
    let mut watching = Watching::start(&site, &arguments);
    run(&mut site.pdns(), &["tag", "set", "threat", "192.0.2.0/28"]).with(&[0]);
    feed(&site, 1, "c.example", "198.51.100.9");
    feed(&site, 2, "www.example.com", "192.0.2.9");
    let row = watching.row();
    assert!(row.contains("www.example.com") && row.contains("192.0.2.9"), "{row}");
    let tags = "\"pdns_tags\":[\"threat\"],\"pdns_rdata_tags\":[\"threat\"]}";
    assert!(row.ends_with(tags), "{row}");
    assert_eq!(watching.end(Some("-TERM")), (Some(0), String::new()));
}

#[test]
fn a_watch_ends_with_its_limit_and_with_its_store() {
    let site = Site::new();
    let mut watching = Watching::start(&site, &["--format", "table", "--limit", "1"]);
    feed(&site, 1, "d.example", "192.0.2.9");
    assert!(watching.row().starts_with("RRNAME"));
    assert!(watching.row().starts_with("d.example"));
    assert_eq!(watching.end(None), (Some(0), String::new()));

    let watching = Watching::start(&site, &[]);
    site.server.flush();
    let (code, talk) = watching.end(None);
    assert_eq!(code, Some(2));
    // In the midst of a look it may seem to have lost something first.
    let last = "pdns: cannot go on watching: the store was emptied or replaced by another one\n";
    assert!(talk.ends_with(last), "{talk}");
}

#[test]
fn a_watch_waits_for_its_store() {
    let mut site = Site { home: Home::new(), server: Redis::start_durable() };
    feed(&site, 1, "a.example", "192.0.2.50");
    let mut watching = Watching::start(&site, &["--format", "plain"]);
    site.server.kill9();
    let said = watching.said();
    assert!(said.starts_with("pdns: waiting for the store: "), "{said}");
    site.server.restart();
    assert_eq!(watching.said(), "pdns: the store is back\n");
    feed(&site, 2, "b.example", "192.0.2.51");
    assert_eq!(watching.row(), "b.example\tA\t192.0.2.51");
    assert_eq!(watching.end(Some("-INT")), (Some(0), String::new()));
}
