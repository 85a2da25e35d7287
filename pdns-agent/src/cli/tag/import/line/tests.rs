//! Lines of our own files and of the usual feeds.

use super::*;
use crate::tag::TagKind;

fn defaults(kind: Option<TagKind>) -> Defaults {
    Defaults {
        kind,
        scope: None,
        note: String::new(),
        source: "feed".to_owned(),
        author: "me".to_owned(),
        now: 1_795_486_978,
        column: None,
        is_dry: false,
        replaces: false,
    }
}

/// Returns the subjects and notes of all lines, or the faults of invalid ones.
fn read(text: &str, column: Option<&str>) -> Vec<String> {
    let defaults =
        Defaults { column: column.map(str::to_owned), ..defaults(Some(TagKind::Threat)) };
    let mut lines = Lines::new("x", &defaults);
    let mut out = Vec::new();
    for line in text.lines() {
        match lines.read(line.as_bytes()) {
            Ok(Ok(tags)) => out.extend(
                tags.into_iter()
                    .map(|tag| format!("{} {}", tag.subject, tag.note).trim_end().to_owned()),
            ),
            Ok(Err(error)) => out.push(format!("bad: {}", error.sort())),
            Err(error) => out.push(format!("error: {error}")),
        }
    }
    out
}

#[test]
fn a_line_of_our_own_csv() {
    let head = Head::read("Kind,subject,note,time", "x", None).ok().flatten().unwrap();
    let read = |line: &str| of_columns(line, &head, &defaults(None));
    let tag = read("threat,'-x.example,\"a, \"\"b\"\"\",2026-01-31 12:00:00").unwrap();
    assert_eq!((tag.kind, tag.subject.to_string()), (TagKind::Threat, "-x.example".to_owned()));
    assert_eq!((tag.note.as_str(), tag.source.as_str()), ("a, \"b\"", "feed"));
    assert_eq!(tag.time, 1_769_860_800);
    let said = |line: &str| read(line).unwrap_err().to_string();
    assert_eq!(said("threat,a.example"), "it has 2 values and the head names 4 columns");
    assert_eq!(said(",a.example,,"), "the column kind is empty: fill it in, or give --kind");
    assert!(said("harm,a.example,,").contains("unknown kind of tag"));
    assert_eq!(said("threat,a..b,,"), "cannot tell what \"a..b\" is");
    assert_eq!(said("threat,a.example,\"x,"), "a quoted value does not end on the line");
    assert_eq!(said("threat,a.example,,soon"), "the time cannot be read");
    assert!(said(&format!("threat,a.example,{},", "x".repeat(1_001))).contains("1001 bytes"));
}

#[test]
fn a_head_of_ours_with_another_column_is_refused() {
    assert!(Head::read("subject,colour", "x", None).is_err());
    assert!(Head::read("evil.example", "x", None).ok().flatten().is_none());
}

#[test]
fn lists_of_all_shapes() {
    let check = |text: &str, want: &[&str]| assert_eq!(read(text, None), want, "{text}");
    check(
        "\u{feff}a.example\r\n\n# x\n; y\n// z\n! w\nb.example # why\nc.example // why\n",
        &["a.example", "b.example", "c.example"],
    );
    check("# IP\tnumber\n192.0.2.1\t10\n192.0.2.2 9", &["192.0.2.1", "192.0.2.2"]);
    check("a.example;2024;x\nb.example,mal", &["a.example", "b.example"]);
    check("a.example, b.example,", &["a.example", "b.example"]);
    check(
        "0.0.0.0 a.example b.example\n127.0.0.1 localhost\n::1 ip6-localhost",
        &["a.example", "b.example"],
    );
    check(
        "*.a.example\n.b.example\n10.0.0.0/8\n192.168.1.0 255.255.255.0",
        &[".a.example", ".b.example", "10.0.0.0/8", "192.168.1.0/24"],
    );
    check(
        "Domain,Malware,Date added,Source\na.example,keitaro,2024-09-01,X",
        &["a.example keitaro"],
    );
    check("domain\na.example", &["a.example"]);
    check(
        "a.example\n2024-09-01,b.example\nfree text here",
        &[
            "a.example",
            "bad: several values, of which the first is not a name or an address",
            "bad: several values, of which the first is not a name or an address",
        ],
    );
    check(
        "# id,dateadded,url,url_status\r\n\"7\",\"2026\",\"http://a.example/x,y\",\"online\"",
        &["a.example"],
    );
    check(
        "\"first_seen_utc\", \"ioc_value\", \"ioc_type\", \"malware\"\n\"2026\", \"192.0.2.1:443\", \"ip:port\", \"win.x\"",
        &["192.0.2.1 win.x"],
    );
    check("first_seen_utc,dst_ip,dst_port\n2026,192.0.2.1,443", &["192.0.2.1"]);
    check("]e.example\n192.0.2.1|443\nfe80::1%eth0", &["bad: a guess"; 3]);
    check(
        "{\n\"Event\": {}\n}",
        &[
            "error: x is JSON: tag import reads lists, one subject a line, and CSV with a head",
            "bad: several values, of which the first is not a name or an address",
            "bad: not a name, address or prefix",
        ],
    );
}

#[test]
fn the_column_can_be_named() {
    assert_eq!(read("2024-09-01,a.example", Some("2")), ["a.example"]);
    assert_eq!(read("when,what\n2024-09-01,a.example", Some("What")), ["a.example"]);
    assert_eq!(read("domain,ip\na.example,192.0.2.1", Some("2")), ["192.0.2.1"]);
    assert_eq!(read("a.example", Some("2")), ["bad: too few columns"]);
    assert!(read("a.example,b", Some("what"))[0].starts_with("error: x has no column \"what\""));
}
