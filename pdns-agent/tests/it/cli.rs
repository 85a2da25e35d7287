//! The analyst's program as it is typed: what it prints, says and exits with, word for word.
//!
//! What it should print stands in `tests/golden`, one file a test; `PDNS_UPDATE_GOLDEN=1` writes them anew,
//! and a change in them is to be read like code.

use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A home, a server, and a few records in it.
pub(crate) struct Site {
    pub(crate) home: Home,
    pub(crate) server: Redis,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { home: Home::new(), server: Redis::start() };
        let log = site.home.write("zeek/dns.log", log());
        let read = run(&mut site.agent(), &["zeek", "--once", "--sensor", "so-1"]);
        assert_eq!(read.code, Some(2), "no logs named: {}", read.stderr);
        run(site.agent().args(["zeek", "--once", "--sensor", "so-1"]), &[log]).with(&[0]);
        site
    }

    /// `pdns` that knows the store from its environment.
    pub(crate) fn pdns(&self) -> Command {
        let mut command = self.home.pdns();
        command.env("PDNS_REDIS", self.server.url()).env("USER", "analyst");
        command
    }

    /// A shell in whose environment `pdns` knows the store.
    pub(crate) fn shell(&self) -> Command {
        let mut command = self.home.shell();
        command.env("PDNS_REDIS", self.server.url());
        command
    }

    pub(crate) fn agent(&self) -> Command {
        let mut command = self.home.agent();
        command.env("PDNS_REDIS", self.server.url());
        command
    }

    /// What is typed, in words with blanks between, and how it ends: for a golden.
    pub(crate) fn typed(&self, line: &str) -> String {
        let home = self.home.path().to_string_lossy();
        let arguments = line.split_whitespace().map(|word| word.replace("HOME", &home));
        let arguments: Vec<String> = arguments.collect();
        transcript(line, &run(&mut self.pdns(), &arguments), self)
    }
}

/// Some answers that a network may see, and a few that somebody means ill with.
fn log() -> String {
    let mut log = String::new();
    let mut line = |second: u32,
                    query: &str,
                    qtype: (u16, &str),
                    rcode: (u16, &str),
                    answers: &str,
                    ttls: &str| {
        writeln!(
            log,
            r#"{{"ts":{}.25,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"{query}","qclass":1,"qclass_name":"C_INTERNET","qtype":{},"qtype_name":"{}","rcode":{},"rcode_name":"{}","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,{}"rejected":false}}"#,
            1_700_000_000 + second,
            qtype.0,
            qtype.1,
            rcode.0,
            rcode.1,
            if answers.is_empty() { String::new() } else { format!(r#""answers":[{answers}],"TTLs":[{ttls}],"#) },
        )
        .unwrap();
    };
    let (a, aaaa, mx, txt, ptr) = ((1, "A"), (28, "AAAA"), (15, "MX"), (16, "TXT"), (12, "PTR"));
    let (fine, missing) = ((0, "NOERROR"), (3, "NXDOMAIN"));
    line(0, "www.example.com", a, fine, r#""192.0.2.7""#, "300.0");
    line(60, "www.example.com", a, fine, r#""192.0.2.7""#, "240.0");
    line(61, "www.example.com", aaaa, fine, r#""2001:db8::7""#, "300.0");
    line(
        90_000,
        "login.example.com",
        a,
        fine,
        r#""www.example.com","192.0.2.7","192.0.2.8""#,
        "60.0,30.0,30.0",
    );
    line(90_001, "example.com", mx, fine, r#""mail.example.com""#, "3600.0");
    line(90_002, "7.2.0.192.in-addr.arpa", ptr, fine, r#""www.example.com""#, "3600.0");
    line(90_003, "=1+1.example.org", a, fine, r#""198.51.100.1""#, "5.0");
    line(180_000, "evil.example.net", txt, fine, r#""TXT 11 \u001b[2J\u0007\r\nroot""#, "1.0");
    line(180_001, "a\\u001b]0;x\\u0007.example.net", a, fine, r#""203.0.113.9""#, "1.0");
    line(180_002, "nothere.example.com", a, missing, "", "");
    line(180_003, "nothere.example.com", a, missing, "", "");
    line(180_004, "www.example.com", mx, fine, "", "");
    log
}

/// One command as in a session on a terminal, with what is different each time taken out.
fn transcript(line: &str, ended: &Ended, site: &Site) -> String {
    let code = ended.code.map_or("signal".to_owned(), |code| code.to_string());
    let text = format!("$ pdns {line}\n{}{}[{code}]\n\n", ended.stdout, ended.stderr);
    let url = site.server.url();
    text.replace(&url, "REDIS").replace(&*site.home.path().to_string_lossy(), "HOME")
}

/// Compares with the file of that name.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("PDNS_UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        want == text,
        "not as in {} (PDNS_UPDATE_GOLDEN=1 writes it anew); it is now:\n{text}",
        path.display()
    );
}

#[test]
fn every_format_is_as_it_should_be() {
    let site = Site::new();
    let mut text = String::new();
    for format in ["table", "cof", "json", "csv", "plain"] {
        for line in [
            "find",
            "www.example.com --negative",
            "top --by names --limit 2",
            "new --list 2023-11-15",
        ] {
            text += &site.typed(&format!("{line} --format {format}"));
        }
    }
    golden("formats.txt", &text);
}

#[test]
fn a_name_with_negative_answers_alone_is_found_wherever_the_answer_goes() {
    let site = Site::new();
    let name = "nothere.example.com";
    for format in ["table", "cof", "json", "csv", "plain"] {
        let ended = run(&mut site.pdns(), &[name, "--format", format]);
        assert_eq!(ended.code, Some(0), "{format}: {}", ended.stderr);
        assert_eq!(ended.stderr.contains("negative answers"), format != "table", "{format}");
        let more = [name, "elsewhere.example.org", "--format", format];
        let ended = run(&mut site.pdns(), &more);
        assert_eq!(ended.code, Some(0), "{format}: {}", ended.stderr);
        assert!(ended.stderr.contains("elsewhere.example.org: nothing found"), "{}", ended.stderr);
    }
    assert_eq!(run(&mut site.pdns(), &["elsewhere.example.org"]).code, Some(1));
}

#[test]
fn every_question_is_answered_as_it_should_be() {
    let site = Site::new();
    let mut text = String::new();
    for line in [
        "www.example.com",
        "WWW.Example.COM.",
        "https://www.example.com:8443/login",
        "192.0.2.7",
        "192.0.2.0/24 --rrtype A --sort first",
        "192.0.2.8-192.0.2.9",
        "2001:db8::/32",
        "*.example.com",
        "example.com login.example.com --limit 1",
        "none.example",
        "find --contains log",
        "find --starts www --rrtype aaaa",
        "find --ends .example.com --limit 2",
        "find --ttl-max 60",
        "find --ttl 240",
        "find --seen-in 2023-11-17",
        "find --first-after 2023-11-15 --last-before 2023-11-17 --sort ttl",
        "top --limit 1",
        "top --by names --limit 2",
        "top --by names --limit 0",
        "new --since 2099-01-01",
        "new --list 2023-11-17",
        "unanswered",
        "unanswered --outcome any",
        "unanswered --outcome nxdomain",
        "unanswered --outcome any --by domains",
        "find --glob *.EXAMPLE.com",
        "find --regex ^[a-z]+\\.example\\.",
        "find --glob ???.example.* --regex com$ --rrtype A",
        "subdomains example.com",
        "subdomains com --depth 2 --sort name",
        "subdomains com --by depth",
        "subdomains none.example",
        "top --by domains",
        "top --by addresses --limit 2",
        "top --by rrtypes",
        "new --list 2023-11-15 --by domains",
        "new --since 2099-01-01 --by domains",
        "login.example.com --follow",
        "192.0.2.7 --follow --rrtype CNAME",
        "parked --kind documentation --limit 2",
        "lookup status",
        "*.example.com --negative",
        "top --sort last --limit 3",
        "top --by names --sort first --limit 3",
        "top --by domains --sort name",
        "new --list 2023-11-15 --sort count",
        "new --since 2023-11-01 --sort count",
        "unanswered --outcome any --sort name",
        "stauts",
    ] {
        text += &site.typed(&format!("{line} --format plain"));
    }
    golden("questions.txt", &text);
}

#[test]
fn help_is_as_it_should_be() {
    let site = Site::new();
    let mut text = String::new();
    for line in [
        "-h",
        "--help",
        "find -h",
        "subdomains -h",
        "parked --help",
        "new -h",
        "export -h",
        "export --help",
        "admin -h",
        "admin verify -h",
    ] {
        text += &site.typed(line);
    }
    let ended = run(&mut site.pdns(), &[] as &[&str]);
    text += &transcript("", &ended, &site);
    golden("help.txt", &text);
}

#[test]
fn every_error_is_one_good_sentence() {
    let site = Site::new();
    site.home.write("list.txt", "# ours\nns.example\n192.0.2.0/40\n");
    let mut text = String::new();
    for line in [
        "192.0.2.0/33",
        "192.0.2.9-192.0.2.1",
        "a..b",
        "www.*",
        "x --first-after soon",
        "x --seen-in 2026-02-01..2026-01-01",
        "x --rrtype www",
        "x --sort best",
        "x --limit few",
        "x --format xml",
        "x --redis localhost",
        "x --redis http://localhost",
        "x --redis redis://",
        "x --redis redis://h:99999",
        "x --redis redis://h/x",
        "x --redis rediss://h/#insecure",
        "x --redis managed:here",
        "x --redis redis://user:secret@localhost",
        "x --redis redis://127.0.0.1:1",
        "x --redis redis+unix:///nonexistent/redis.sock",
        "x --redis-password-file /nonexistent/password",
        "x --prefix a{b}",
        "status --limit 3",
        "top --by domains --sort ttl",
        "unanswered --sort ttl",
        "unanswered --outcome tired",
        "new --list soon",
        "new --since 7d --list today",
        "find --contains \\9",
        "find --ttl-max -1",
        "find --regex (",
        "find --regex (a{1000}){1000}",
        "find --glob a[b",
        "subdomains 192.0.2.7",
        "subdomains example.com --sort ttl",
        "subdomains example.com --depth 0",
        "*.example.com --follow",
        "top --follow",
        "parked --kind empty",
        "parked --list /nonexistent/list",
        "parked --list HOME/list.txt",
        "export",
        "export --tag threat",
        "export --tag threat --format cof",
        "--format table export --tag threat",
        "export --format csv",
        "export --tag none --format plain",
        "export --tag harm --format plain",
        "export --format ip-descriptions --limit 0",
        "export --format ip-descriptions --url https://pdns.example.net",
        "export --tag any --format zeek-intel --last-after 1d",
        "export --tag any --format zeek-intel --url pdns.example.net",
        "export --tag any --format plain --out HOME",
        "export --tag any --format plain --out HOME/none/list",
        "admin completions tcsh",
        "example.com status",
        "lookup",
        "admin",
        "--nosuch",
    ] {
        text += &site.typed(line);
    }
    golden("errors.txt", &text);
    assert_eq!(text.matches("secret").count(), 1, "only where it is typed");
    // Its sentence depends on the resolver of this machine.
    let ended = run(&mut site.pdns(), &["x", "--redis", "redis://nosuch.invalid"]);
    let start = "pdns: cannot open the store: cannot reach redis://nosuch.invalid: ";
    assert!(
        ended.stderr.starts_with(start) && ended.stderr.lines().count() == 1,
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, Some(2));
}

#[test]
fn a_refused_login_is_told() {
    let site = Site::new();
    site.server.call(&["ACL", "SETUSER", "analyst", "on", ">right", "~pd:*", "+@all"]);
    let ask = |user: &str, password: &str| {
        run(
            site.pdns().env("PDNS_REDIS_USER", user).env("PDNS_REDIS_PASSWORD", password),
            &["192.0.2.7"],
        )
    };
    ask("analyst", "right").with(&[0]);
    for (user, password) in [("analyst", "wrong"), ("nobody", "right")] {
        let ended = ask(user, password);
        assert_eq!(
            ended.stderr,
            "pdns: cannot open the store: Redis refuses access: user or password is wrong\n"
        );
        assert_eq!(ended.code, Some(2));
    }
    // No password where one is needed.
    site.server.call(&["CONFIG", "SET", "requirepass", "right"]);
    let ended = run(&mut site.pdns(), &["192.0.2.7"]);
    assert_eq!(
        ended.stderr,
        "pdns: cannot open the store: Redis refuses access: it asks for a password: give \
         PDNS_REDIS_PASSWORD or --redis-password-file, and --redis-user where there are several users\n"
    );
    let file = site.home.write("password", "right\n");
    run(site.pdns().env("PDNS_REDIS_PASSWORD_FILE", file), &["192.0.2.7"]).with(&[0]);
}

#[test]
fn a_list_on_standard_input_is_answered_line_by_line() {
    let site = Site::new();
    let ask = |input: &str, arguments: &[&str]| {
        let mut child = site
            .pdns()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Fails when the program found a mistake in its arguments and ended before it read.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    };
    let input =
        "192.0.2.8\n\n  hxxps://www.example[.]com/x \na..b\nnone.example\n\u{1b}[2J..\nexample.com";
    let ended = ask(input, &["lookup", "-", "--format", "plain", "--limit", "1"]);
    golden("batch.txt", &transcript("lookup - --format plain --limit 1", &ended, &site));
    assert_eq!(ask("none.example\n", &["-"]).code, Some(1));
    assert_eq!(ask("", &["lookup", "-"]).code, Some(1));
    let ended = ask("x\n", &["lookup", "-", "--first-after", "soon"]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1));
}

#[test]
fn an_answer_comes_before_the_next_line_is_read() {
    use std::io::{BufRead as _, BufReader};
    let site = Site::new();
    let mut child = site
        .pdns()
        .args(["lookup", "-", "--format", "plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for (asked, answer) in [("192.0.2.8", "login"), ("2001:db8::7", "www")] {
        writeln!(input, "{asked}").unwrap();
        // It would wait here for ever if the answer waited for more questions.
        let mut line = output.next().unwrap().unwrap();
        if asked == "192.0.2.8" {
            assert!(line.starts_with("www.example.com\tA"), "{line}");
            line = answer.to_owned();
        }
        assert!(line.starts_with(answer), "{line}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let site = Site::new();
    let mut child = site
        .pdns()
        .args(["find", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_is_told() {
    let site = Site::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = site.pdns().arg("find").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "pdns: cannot write the answer: No space left on device (os error 28)\n"
    );
}

/// What a command writes to a terminal of so many columns.
pub(crate) fn on_terminal(command: &Command, columns: u16, arguments: &[&str]) -> String {
    let environment =
        command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let mut line = format!("stty rows 40 cols {columns}; exec \"$PDNS\"");
    for (number, argument) in arguments.iter().enumerate() {
        assert!(!argument.contains('\''), "{number}");
        write!(line, " '{argument}'").unwrap();
    }
    let mut script = Command::new("script");
    script.env_clear().envs(environment).env("PDNS", command.get_program());
    let output = script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn a_terminal_gets_tables_that_fit() {
    let site = Site::new();
    let mut text = String::new();
    for columns in [80, 120] {
        for arguments in [
            &["www.example.com"][..],
            &["find"],
            &["top", "--by", "names"],
            &["unanswered", "--outcome", "any"],
            &["new", "--list", "2023-11-15"],
            &["subdomains", "example.com"],
            &["top", "--by", "addresses"],
            &["parked", "--kind", "documentation"],
            &["lookup", "192.0.2.8", "2001:db8::7"],
            &["none.example"],
            &["show", "www.example.com"],
            &["show", "192.0.2.8"],
            &["show", "*.example.com"],
        ] {
            let shown = on_terminal(&site.pdns(), columns, arguments);
            for line in shown.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").lines() {
                assert!(line.len() <= usize::from(columns), "{line}");
            }
            write!(text, "$ pdns {} # {columns} columns\n{shown}\n", arguments.join(" ")).unwrap();
        }
    }
    golden("tables.txt", &text.replace('\u{1b}', "ESC"));
    let plain = on_terminal(site.pdns().env("NO_COLOR", "1"), 80, &["find"]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
}

#[test]
fn nothing_that_came_from_the_wire_acts_on_a_terminal() {
    let site = Site::new();
    let hostile =
        site.home.write("\u{1b}]0;title\u{7}/dns.log", log().replace("example.com", "example.edu"));
    run(site.agent().args(["zeek", "--once", "--sensor", "so-2"]), &[hostile]).with(&[0]);
    for format in ["table", "cof", "json", "csv", "plain"] {
        for arguments in [
            &["find", "--limit", "0"][..],
            &["evil.example.net"],
            &["203.0.113.0/24"],
            &["unanswered", "--outcome", "any"],
            &["top", "--by", "names"],
            &["new", "--list", "2023-11-17"],
            &["new", "--list", "2023-11-17", "--by", "domains"],
            &["subdomains", "example.net"],
            &["top", "--by", "domains"],
            &["parked"],
            &["lookup", "evil.example.net", "203.0.113.9"],
            &["status"],
        ] {
            let shown =
                on_terminal(&site.pdns(), 100, &[arguments, &["--format", format]].concat());
            let shown = shown.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
            assert!(!shown.contains("nothing found"), "{shown}");
            let harmless = |char: char| char == '\n' || char == '\t' || !char.is_control();
            assert!(shown.chars().all(harmless), "{arguments:?} as {format}: {shown:?}");
        }
    }
    // Nor what was pasted from somewhere.
    for arguments in [
        &["\u{1b}[2J.."][..],
        &["\u{1b}[2J"],
        &["x", "--limit", "\u{1b}[2J"],
        &["x", "--first-after", "\u{1b}[2J"],
        &["x", "--redis", "\u{1b}[2J"],
        &["x", "--rrtype", "\u{1b}[2J"],
        &["x", "--prefix", "\u{1b}[2J"],
        &["x", "--redis-password-file", "\u{1b}[2J"],
        &["x", "--\u{1b}[2J"],
        &["find", "--contains", "\u{1b}[2J"],
        &["find", "--regex", "\u{1b}[2J"],
        &["find", "--regex", "\u{1b}[2J("],
        &["find", "--glob", "\u{1b}[2J"],
        &["subdomains", "\u{1b}[2J"],
        &["parked", "--list", "\u{1b}[2J"],
        &["status", "--redis", "redis+unix:///\u{1b}[2J"],
    ] {
        let shown = on_terminal(&site.pdns(), 100, arguments);
        assert!(!shown.contains('\u{1b}'), "{arguments:?}: {shown:?}");
        let ended = run(&mut site.pdns(), arguments);
        assert!(!ended.stderr.contains('\u{1b}'), "{arguments:?}: {:?}", ended.stderr);
    }
}

#[test]
fn status_tells_a_bug_report_what_it_needs() {
    let site = Site::new();
    let shown = run(&mut site.pdns(), &["status", "--format", "plain"]).with(&[0]);
    for line in
        ["names\t7", "records\t9", "negatives\t1", "logs\t1", "sensor\tso-1", "sources_left_out\t0"]
    {
        assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
    }
    let verbose = run(&mut site.pdns(), &["status", "--verbose", "--format", "table"]).with(&[0]);
    for part in ["version  ", "password        none", "zeek/dns.log", "lines 12"] {
        assert!(verbose.contains(part), "{part} is not in\n{verbose}");
    }
    let url = format!("{}?pass=secret", site.server.url());
    let ended = run(site.pdns().env("PDNS_REDIS", url), &["status"]);
    assert!(!format!("{ended:?}").contains("secret"), "{ended:?}");
}

#[test]
fn the_manual_and_completions_come_of_the_same_definitions() {
    let site = Site::new();
    let folder = site.home.path().join("man/man1");
    let mut pdns = site.home.pdns();
    // Where no store is, they are written all the same.
    pdns.env("PDNS_REDIS", "redis+unix:///nonexistent");
    run(pdns.args(["admin", "man"]), &[&folder]).with(&[0]);
    for (page, part) in [
        ("pdns.1", "subdomains"),
        ("pdns-find.1", "regex"),
        ("pdns-subdomains.1", "Examples"),
        ("pdns-admin-verify.1", "repair"),
        ("pdns-agent.1", "sensor"),
        ("pdns-agent-ebpf.1", "interface"),
    ] {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains(part), "{page}: {text}");
    }
    // What only the long help has is described, too.
    let text = fs::read_to_string(folder.join("pdns-judge.1")).unwrap();
    for part in
        ["What every key begins with", "User name for Redis", "File that holds the password"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let text = run(&mut site.pdns(), &["admin", "completions", shell]).with(&[0]);
        assert!(text.contains("unanswered") && text.contains("regex"), "{text}");
    }
    let agents = ["admin", "completions", "bash", "--program", "pdns-agent"];
    let text = run(&mut site.pdns(), &agents).with(&[0]);
    assert!(text.contains("pdns-agent") && text.contains("--interface"), "{text}");
    let ended = run(&mut site.pdns(), &["admin", "man", "/dev/null/man"]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{}", ended.stderr);
}

#[test]
fn mending_says_where_there_is_no_folder() {
    let home = Home::new();
    let folder = home.path().join("redis");
    let mend = || {
        let mut pdns = home.pdns();
        // The server is not there yet when this is done.
        pdns.env("PDNS_REDIS", "redis+unix:///nonexistent");
        run(pdns.args(["admin", "mend-aof"]), &[&folder])
    };
    let ended = mend();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains(&*folder.to_string_lossy()), "{}", ended.stderr);
    assert!(ended.stderr.contains("No such file"), "{}", ended.stderr);
    fs::create_dir(&folder).unwrap();
    assert_eq!(mend().with(&[0]), "");
}
