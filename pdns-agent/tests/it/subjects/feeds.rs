//! Tag imports: real feeds and the ways in which lists are odd, and sources that are kept up to date.

use super::{import, listed};
use crate::cli::Site;
use crate::run::run;
use crate::support::Data;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

#[test]
fn real_feeds_are_imported_whole() {
    let feeds = Data::of("dga/feeds").folder;
    let site = Site::new();
    for (file, is_clean) in [
        ("ipsum_head.txt", true),
        ("blackbook_head.csv", true),
        ("maltrail_emotet.txt", false),
        ("maltrail_ramnit.txt", true),
        ("maltrail_virut.txt", false),
    ] {
        let path = feeds.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let lines = lines.filter(|line| !line.starts_with("Domain,"));
        // The feeds' own forms, read once more: what stands before the path, the port and the next column.
        let mut want = BTreeSet::new();
        let mut paths = 0;
        for line in lines {
            let host =
                line.split("://").last().unwrap().split(['/', '\t', ',', ':']).next().unwrap();
            let is_host = host.parse::<IpAddr>().is_ok()
                || host.contains(|letter: char| letter.is_alphabetic());
            // A path, or an address that was cut off where the file ends.
            if is_host {
                want.insert(host.trim_end_matches('.').to_owned());
            } else {
                paths += 1;
            }
        }
        assert_eq!(paths == 0, is_clean, "{file}");
        let arguments = ["--kind", "threat", "--source", file];
        let ended = run(site.pdns().args(["tag", "import"]).arg(&path), &arguments);
        assert_eq!(ended.code, Some(if is_clean { 0 } else { 2 }), "{file}: {ended:?}");
        assert!(ended.stderr.lines().count() < 12, "{file}: {}", ended.stderr);
        let shown = listed(&site, &["--source", file]);
        let found: BTreeSet<String> =
            shown.iter().map(|tag| tag.split(' ').next().unwrap().to_owned()).collect();
        // A subject that an earlier feed listed as well is this one's now.
        assert_eq!(found, want, "{file}");
        assert!(
            found.iter().all(|subject| subject.parse::<IpAddr>().is_ok() || subject.contains('.'))
        );
    }
    let before = listed(&site, &[]);
    for file in ["eset_misp-turla-powershell-event.json", "eset_misp-xdspy-event.json"] {
        let arguments = ["--kind", "threat", "--source", file];
        let ended = run(site.pdns().args(["tag", "import"]).arg(feeds.join(file)), &arguments);
        assert_eq!(ended.code, Some(2), "{file}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{file}: {}", ended.stderr);
        assert!(ended.stderr.contains("is JSON"), "{file}: {}", ended.stderr);
    }
    assert_eq!(listed(&site, &[]), before);
}

#[test]
fn what_can_never_match_is_not_stored() {
    let site = Site::new();
    let list = b"]e.example.com\n\"quoted.example.com\n192.0.2.1|443\nfe80::1%eth0\n{\n}\n\
        192.0.2.066\nsomeone@mail.example\na=b.example\n443\nd41d8cd98f00b204e9800998ecf8427e\n/gate.php\n";
    let ended = import(&site, b"good.example\n", &["--kind", "threat"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended =
        import(&site, &[b"good.example\n".as_slice(), list].concat(), &["--kind", "threat"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for subject in String::from_utf8(list.to_vec()).unwrap().lines() {
        let ended = run(&mut site.pdns(), &["tag", "set", "threat", "--", subject]);
        assert_eq!(ended.code, Some(2), "{subject}: {ended:?}");
        assert!(ended.stderr.starts_with("pdns: cannot tell what "), "{subject}: {}", ended.stderr);
    }
    assert_eq!(listed(&site, &[]), ["good.example threat"]);
}

#[test]
fn bad_lines_of_one_sort_are_counted() {
    let site = Site::new();
    let list = (0..3_000).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
    let ended = import(&site, list.as_bytes(), &["--kind", "threat"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr.lines().count(), 8, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("2995 more lines are skipped: a number or a hash"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_source_is_kept_up_to_date() {
    let site = Site::new();
    let feed = ["--kind", "threat", "--source", "feed"];
    run(&mut site.pdns(), &["tag", "set", "threat", "mine.example"]).with(&[0]);
    run(&mut site.pdns(), &["tag", "set", "interest", "other.example", "--source", "other"])
        .with(&[0]);
    assert_eq!(import(&site, b"a.example\nb.example\nc.example\n", &feed).code, Some(0));
    let before = listed(&site, &[]);

    let replace = [&feed[..], &["--replace"]].concat();
    let dry = [&replace[..], &["--dry-run"]].concat();
    let next = b"b.example\nd.example\n";
    let ended = import(&site, next, &dry);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), "pdns: 1 tag would be set, 1 as before, 2 cleared\n")
    );
    assert_eq!(listed(&site, &[]), before, "a dry run changes nothing");

    let ended = import(&site, next, &replace);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), "pdns: 1 tag set, 1 as before, 2 cleared\n")
    );
    assert_eq!(
        listed(&site, &["--source", "feed"]),
        ["b.example threat feed", "d.example threat feed"]
    );
    assert_eq!(
        listed(&site, &[]),
        [
            "b.example threat feed",
            "d.example threat feed",
            "mine.example threat",
            "other.example interest other"
        ]
    );
    // A feed that is empty today clears nothing.
    let ended = import(&site, b"# nothing today\n", &replace);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("lists nothing, so the tags from feed stay"), "{ended:?}");
    assert_eq!(listed(&site, &["--source", "feed"]).len(), 2);
    assert_eq!(import(&site, next, &["--kind", "threat", "--replace"]).code, Some(2));

    let ended = run(&mut site.pdns(), &["tag", "clear", "--source", "feed", "b.example"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "pdns: 1 tag cleared\n"));
    let ended = run(&mut site.pdns(), &["tag", "clear", "--source", "feed"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "pdns: 1 tag cleared\n"));
    assert_eq!(run(&mut site.pdns(), &["tag", "clear", "--source", "feed"]).code, Some(1));
    assert_eq!(listed(&site, &[]).len(), 2);
}

#[test]
fn a_column_is_chosen_by_name_or_number() {
    let site = Site::new();
    let list = b"when,what\n2024-09-01,a.example\n2024-09-02,b.example\n";
    assert_eq!(import(&site, list, &["--kind", "threat"]).code, Some(2));
    assert_eq!(import(&site, list, &["--kind", "threat", "--column", "what"]).code, Some(0));
    assert_eq!(listed(&site, &[]), ["a.example threat", "b.example threat"]);
    let ended = import(&site, list, &["--kind", "threat", "--column", "who"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("has no column \"who\""), "{ended:?}");
}
