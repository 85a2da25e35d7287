//! What people paste and feeds contain, through the programs: the command line, the page and the API take text for the same.

mod feeds;

use crate::cli::{Site, on_terminal};
use crate::run::{Ended, run};
use crate::serve::{Reply, listens, request, serve};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

/// Text, and the subject that it is taken for.
const PASTED: &[(&str, &str)] = &[
    ("evil.example.com", "evil.example.com"),
    ("evil[.]example[.]com", "evil.example.com"),
    ("evil[DOT]example[DOT]com", "evil.example.com"),
    ("evil(dot)example(dot)com", "evil.example.com"),
    ("evil{.}example{.}com", "evil.example.com"),
    ("evil[.example[.com", "evil.example.com"),
    ("evil\\.example\\.com", "evil.example.com"),
    ("evil [.] example [.] com", "evil.example.com"),
    ("hxxps[://]evil[.]example[.]com/x", "evil.example.com"),
    ("hxxp://evil.example.com", "evil.example.com"),
    ("\"evil.example.com\"", "evil.example.com"),
    ("'evil.example.com'", "evil.example.com"),
    ("<evil.example.com>", "evil.example.com"),
    ("<https://evil.example.com/>", "evil.example.com"),
    ("evil.example.com,", "evil.example.com"),
    ("evil.example.com;", "evil.example.com"),
    ("evil.example.com.", "evil.example.com"),
    ("(evil.example.com).", "evil.example.com"),
    ("evil.example.com?x=1", "evil.example.com"),
    ("evil.example.com#x", "evil.example.com"),
    ("evil.example.com:8443/x", "evil.example.com"),
    ("evil.example.com/login?next=https://other.example.net/", "evil.example.com"),
    ("https://evil.example.com\\@other.example.net/", "evil.example.com"),
    ("http://other.example.net@evil.example.com/", "evil.example.com"),
    ("someone@evil.example.com", "evil.example.com"),
    ("*.example.com", "*.example.com"),
    (".evil.example.com", ".evil.example.com"),
    ("http//www.example.net", "http//www.example.net"),
    ("192.0.2.66", "192.0.2.66"),
    ("192[.]0[.]2[.]66", "192.0.2.66"),
    ("192.0.2.066", "192.0.2.66"),
    ("192.0.2.66:53", "192.0.2.66"),
    ("::ffff:192.0.2.66", "192.0.2.66"),
    ("2001[:]db8[::]66", "2001:db8::66"),
    ("[2001:db8::66]:443", "2001:db8::66"),
    ("192.168.1.*", "192.168.1.0/24"),
    ("192.168.1.0/255.255.255.0", "192.168.1.0/24"),
    ("192.168.1.0 255.255.255.0", "192.168.1.0/24"),
    ("10/8", "10.0.0.0/8"),
    ("10.1.2.0-10.1.2.9", "10.1.2.0-10.1.2.9"),
];

/// Text that is taken for nothing.
const REFUSED: &[&str] = &[
    "a user",
    "443",
    "d41d8cd98f00b204e9800998ecf8427e",
    "1.2.3.4.5",
    "192.0.2.0/33",
    "192.0.2.9-192.0.2.1",
    "/var/log/x",
    "C:\\Windows",
    "sha256:ab",
    "a..b",
    "*foo.example",
];

/// A site with records of everything in [`PASTED`].
fn site() -> Site {
    let site = Site::new();
    let mut log = String::new();
    for (second, (name, qtype, address)) in (1_700_000_000..).zip([
        ("evil.example.com", (1, "A"), "192.0.2.66"),
        ("evil.example.com", (28, "AAAA"), "2001:db8::66"),
        ("host.evil.example.com", (1, "A"), "192.0.2.99"),
        ("http//www.example.net", (1, "A"), "198.51.100.7"),
        ("inside.example.com", (1, "A"), "192.168.1.5"),
        ("far.example.com", (1, "A"), "10.1.2.3"),
        ("four.example.com", (1, "A"), "192.0.2.130"),
        ("six.example.com", (28, "AAAA"), "::ffff:192.0.2.130"),
        ("xn--pypal-4ve.com", (1, "A"), "203.0.113.66"),
        ("xn--bcher-kva.example", (1, "A"), "203.0.113.67"),
        ("xn--4dbrk0ce.example", (1, "A"), "203.0.113.68"),
    ]) {
        writeln!(
            log,
            r#"{{"ts":{second}.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","query":"{name}","qclass":1,"qclass_name":"C_INTERNET","qtype":{},"qtype_name":"{}","rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["{address}"],"TTLs":[300.0],"rejected":false}}"#,
            qtype.0, qtype.1
        )
        .unwrap();
    }
    let file = site.home.write("more/dns.log", log);
    run(site.agent().args(["zeek", "--once", "--sensor", "so-1"]), &[file]).with(&[0]);
    site
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, octet| {
        write!(out, "%{octet:02X}").unwrap();
        out
    })
}

fn names(reply: &Reply) -> Vec<String> {
    let rows = reply.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut names: Vec<String> =
        rows.map(|row| row["rrname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn pasted_text_is_taken_for_the_same_everywhere() {
    let site = site();
    let server = serve(&site.home, &site.server, &["--listen", "127.0.0.1:0"]);
    let address = listens(&server);
    for (text, want) in PASTED {
        let plain = run(&mut site.pdns(), &["lookup", want, "--format", "cof"]);
        let asked = run(&mut site.pdns(), &["lookup", text, "--format", "cof"]);
        assert_eq!(asked.code, Some(0), "{text}: {asked:?}");
        assert_eq!(asked.stdout, plain.stdout, "{text}");
        assert_eq!(plain.stderr, "", "{want} is typed as it is meant");
        let is_same = text.trim_end_matches(['.', ',', ';']) == *want;
        let taken = format!(" as {want} (");
        assert_eq!(asked.stderr.contains(&taken), !is_same, "{text}: {}", asked.stderr);

        let mut owners: Vec<String> = plain
            .stdout
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["rrname"].as_str().unwrap().to_owned()
            })
            .collect();
        owners.sort();
        owners.dedup();
        let reply = request(&address, "GET", &format!("/pdns/query/{}", percent(text)), &[]);
        assert_eq!((reply.status, names(&reply)), (200, owners), "{text}: {}", reply.body);

        let page = request(&address, "GET", &format!("/context?q={}", percent(text)), &[]);
        let title = format!("<h1 class=\"data\">{want}</h1>");
        assert!(page.status == 200 && page.body.contains(&title), "{text}: {}", page.body);
    }
    for text in REFUSED {
        let asked = run(&mut site.pdns(), &["lookup", text]);
        assert_eq!((asked.code, asked.stdout.as_str()), (Some(2), ""), "{text}: {asked:?}");
        let start = format!("pdns: cannot tell what {text:?} is: ");
        assert!(asked.stderr.starts_with(&start), "{text}: {}", asked.stderr);
        let reply = request(&address, "GET", &format!("/pdns/query/{}", percent(text)), &[]);
        assert_eq!(reply.status, 400, "{text}: {}", reply.body);
        let page = request(&address, "GET", &format!("/context?q={}", percent(text)), &[]);
        assert_eq!(page.status, 404, "{text}");
        let tagged = run(&mut site.pdns(), &["tag", "set", "threat", "--", text]);
        assert_eq!(tagged.code, Some(2), "{text}: {tagged:?}");
    }
}

#[test]
fn names_below_and_names_with_their_domain_are_two_things() {
    let site = site();
    let owners = |subject: &str| {
        let shown = run(&mut site.pdns(), &["lookup", subject, "--format", "plain"]).with(&[0]);
        let mut owners: Vec<String> =
            shown.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        owners.dedup();
        owners
    };
    assert_eq!(owners("*.evil.example.com"), ["host.evil.example.com"]);
    assert_eq!(owners(".evil.example.com"), ["evil.example.com", "host.evil.example.com"]);
    run(&mut site.pdns(), &["tag", "set", "threat", ".evil.example.com"]).with(&[0]);
    let shown = run(&mut site.pdns(), &["tag", "list", "--format", "plain"]).with(&[0]);
    let subject = shown.split('\t').next().unwrap();
    assert_eq!(subject, ".evil.example.com");
    // What is printed is accepted, and is the same.
    assert_eq!(owners(subject), ["evil.example.com", "host.evil.example.com"]);
    run(&mut site.pdns(), &["tag", "clear", subject]).with(&[0]);
}

#[test]
fn an_address_and_its_mapped_form_find_each_other() {
    let site = site();
    let ask = |subject: &str| {
        let shown = run(&mut site.pdns(), &["lookup", subject, "--format", "plain"]).with(&[0]);
        let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let both = ["four.example.com\tA\t192.0.2.130", "six.example.com\tAAAA\t::ffff:192.0.2.130"];
    for subject in [
        "192.0.2.130",
        "::ffff:192.0.2.130",
        "192.0.2.128/25",
        "::ffff:192.0.2.128/121",
        "192.0.2.130-192.0.2.131",
    ] {
        assert_eq!(ask(subject), both, "{subject}");
    }
    let followed =
        run(&mut site.pdns(), &["192.0.2.130", "--follow", "--format", "plain"]).with(&[0]);
    assert_eq!(followed.lines().count(), 2, "{followed}");
}

#[test]
fn a_list_is_a_list_and_says_what_had_no_result() {
    let site = site();
    let ended = run(
        &mut site.pdns(),
        &["evil.example.com,nowhere.example, 192.0.2.99", "--format", "json"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "pdns: nowhere.example: nothing found\n");
    assert_eq!(ended.stdout.lines().count(), 3, "{ended:?}");
    let mut child = site
        .pdns()
        .args(["lookup", "-", "--format", "plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = b"evil[.]example[.]com\nnowhere.example\na..b\n192.0.2.99,198.51.100.99\n";
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "pdns: read \"evil[.]example[.]com\" as evil.example.com (name)\n\
         pdns: nowhere.example: nothing found\n\
         pdns: line 3 skipped: cannot tell what \"a..b\" is: it is not a valid domain name: empty label\n\
         pdns: 198.51.100.99: nothing found\n\
         pdns: skipped 1 line that is not a subject\n"
    );
}

#[test]
fn a_word_that_is_no_command_is_an_error() {
    let site = Site::new();
    for (line, said) in [
        (
            "resolve 8.8.8.8",
            "pdns: \"resolve\" is not a command (pdns --help lists them); to look it up as a name: pdns lookup resolve\n",
        ),
        ("enrich paypal.com", "pdns: \"enrich\" is not a command"),
        ("stauts -v x", ""),
        ("lokup www.example.com", "pdns: \"lokup\" is not a command (did you mean `pdns lookup`?)"),
    ] {
        let ended = run(&mut site.pdns(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{line}: {ended:?}");
        assert!(ended.stderr.starts_with(said), "{line}: {}", ended.stderr);
    }
    for line in [
        "lookup score www.example.com",
        "www.example.com resolve",
        "www.example.com --last-after 0",
    ] {
        let ended = run(&mut site.pdns(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    }
    let help = run(&mut site.agent(), &["-h"]).with(&[0]);
    assert!(help.starts_with("Record the DNS answers"), "{help}");
    // A dash is standard output.
    run(&mut site.pdns(), &["tag", "set", "threat", "evil.example"]).with(&[0]);
    let list = ["export", "--tag", "threat", "--format", "plain", "--out", "-"];
    assert_eq!(run(&mut site.pdns(), &list).with(&[0]), "evil.example\n");
    assert!(!site.home.path().join("-").exists());
    // The account of the process is the author where nothing names one.
    let mut nobody = site.pdns();
    nobody.env_remove("USER");
    run(&mut nobody, &["tag", "set", "threat", "b.example"]).with(&[0]);
    let shown = run(&mut site.pdns(), &["tag", "list", "--format", "json"]).with(&[0]);
    let tags: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tag = tags.iter().find(|tag| tag["subject"] == "b.example").unwrap();
    assert!(tag["author"].as_str().is_some_and(|author| !author.is_empty()), "{tag}");
}

#[test]
fn an_imitation_is_shown_with_a_warning() {
    let site = site();
    let warned = "xn--pypal-4ve.com (p\u{430}ypal.com: mixes Cyrillic and Latin)";
    let shown = run(&mut site.pdns(), &["xn--pypal-4ve.com", "--format", "table"]);
    assert!(shown.stdout.contains(warned), "{shown:?}");
    assert_eq!(
        shown.stderr,
        "pdns: xn--pypal-4ve.com mixes Cyrillic and Latin: it may imitate another name\n"
    );
    let shown =
        run(&mut site.pdns(), &["find", "--contains", "xn--", "--format", "table"]).with(&[0]);
    assert!(shown.contains("xn--bcher-kva.example (b\u{fc}cher.example) "), "{shown}");
    // Letters from right to left would move what stands beside them.
    assert!(shown.contains("xn--4dbrk0ce.example (Hebrew)"), "{shown}");
    assert!(on_terminal(&site.pdns(), 200, &["xn--pypal-4ve.com"]).contains(warned));
    // Programs get the name and nothing else.
    for format in ["cof", "json", "csv", "plain"] {
        let shown = run(&mut site.pdns(), &["xn--pypal-4ve.com", "--format", format]).with(&[0]);
        assert!(shown.contains("xn--pypal-4ve.com") && shown.is_ascii(), "{shown}");
    }
    let ended = run(&mut site.pdns(), &["tag", "set", "interest", "p\u{430}ypal.com"]);
    assert!(ended.stderr.contains("xn--pypal-4ve.com mixes Cyrillic and Latin"), "{ended:?}");
    let shown = run(&mut site.pdns(), &["tag", "list", "--format", "table"]).with(&[0]);
    assert!(shown.contains(warned), "{shown}");
    let server = serve(&site.home, &site.server, &["--listen", "127.0.0.1:0"]);
    let address = listens(&server);
    let page = request(&address, "GET", "/context/xn--pypal-4ve.com", &[]).body;
    assert!(
        page.contains("p\u{430}ypal.com") && page.contains("It mixes Cyrillic and Latin"),
        "{page}"
    );
    let page = request(&address, "GET", "/context/203.0.113.66", &[]).body;
    assert!(
        page.contains("p\u{430}ypal.com") && page.contains("mixes Cyrillic and Latin"),
        "{page}"
    );
}

/// `pdns tag import -` with this on its standard input.
fn import(site: &Site, input: &[u8], arguments: &[&str]) -> Ended {
    let file = site.home.write("import.txt", input);
    run(site.pdns().args(["tag", "import"]).arg(file), arguments)
}

/// All tags, as `SUBJECT KIND SOURCE`.
fn listed(site: &Site, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["tag", "list", "--limit", "0", "--format", "json"], arguments].concat();
    let shown = run(&mut site.pdns(), &arguments).with(&[0, 1]);
    let tags = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    tags.map(|tag| {
        let text = |key: &str| tag[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("subject"), text("kind"), text("source")).trim_end().to_owned()
    })
    .collect()
}
