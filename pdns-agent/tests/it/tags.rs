//! Tags: kept by the store as a model keeps them, typed, shown, imported, and no way to do harm with them.

mod neighbours;
mod precedence;
mod watch;

use crate::cli::{Site, golden, on_terminal};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::store::options;
use pdns_agent::name::NameBuf;
use pdns_agent::store::{MAX_HISTORY, Store};
use pdns_agent::tag::{Tag, TagAct, TagChange, TagEvent, TagKind, TagOutcome, TagSubject};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn random_change(random: &mut fastrand::Rng, time: u32) -> TagChange {
    let name = || NameBuf::parse("example.com").unwrap();
    let subject = match random.u8(0..5) {
        0 => TagSubject::Name(name()),
        1 => TagSubject::Below(name()),
        2 => TagSubject::Net("192.0.2.0/24".parse().unwrap()),
        3 => TagSubject::address([192, 0, 2, 7].into()),
        _ => TagSubject::Net("2001:db8::/32".parse().unwrap()),
    };
    let tag = Tag {
        note: random.choice(["", "one", "\u{1b}[2J\r\n\0"]).unwrap().to_owned(),
        source: random.choice(["", "feed"]).unwrap().to_owned(),
        author: "me".to_owned(),
        time,
        ..Tag::new(random.choice(TagKind::ALL).unwrap(), subject)
    };
    if random.u8(0..4) == 0 { TagChange::Clear(tag) } else { TagChange::Set(tag) }
}

/// What the documentation says of a change.
fn model_change(
    model: &mut BTreeMap<(TagSubject, TagKind), Tag>,
    history: &mut Vec<(TagAct, Tag)>,
    change: &TagChange,
) -> TagOutcome {
    match change {
        TagChange::Clear(tag) => {
            if model.remove(&(tag.subject.clone(), tag.kind)).is_none() {
                return TagOutcome::Same;
            }
            history.push((TagAct::Cleared, tag.clone()));
            TagOutcome::Cleared
        }
        TagChange::Set(tag) => {
            let other = tag.kind.opposite().map(|kind| (tag.subject.clone(), kind));
            let displaced = other.and_then(|key| model.remove(&key));
            if let Some(other) = &displaced {
                history.push((TagAct::Displaced, Tag { kind: other.kind, ..tag.clone() }));
            }
            let key = (tag.subject.clone(), tag.kind);
            let old = model.get(&key).cloned();
            let timeless = |tag: &Tag| Tag { time: 0, ..tag.clone() };
            let same = old.as_ref().is_some_and(|old| timeless(old) == timeless(tag));
            if !same {
                history.push((TagAct::Set, tag.clone()));
                model.insert(key, tag.clone());
            }
            match (displaced, old, same) {
                (Some(_), ..) => TagOutcome::Displaced,
                (None, None, _) => TagOutcome::New,
                (None, Some(_), false) => TagOutcome::Changed,
                (None, Some(_), true) => TagOutcome::Same,
            }
        }
    }
}

fn history_of(store: &mut Store) -> Vec<TagEvent> {
    let mut events = Vec::new();
    let dropped = store.reader().tag_history(&mut |event| {
        events.push(event);
        ControlFlow::Continue(())
    });
    assert_eq!(dropped.unwrap(), 0);
    events
}

#[test]
fn a_store_keeps_tags_as_a_model_does() {
    for server in [Redis::start_durable(), Redis::start_cluster()] {
        let mut store = Store::open(&options(&server)).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let (mut model, mut history) = (BTreeMap::new(), Vec::new());
        let mut generation = store.reader().tags().unwrap().generation;
        for round in 0..120 {
            let count = random.usize(1..12);
            let changes: Vec<TagChange> =
                (0..count).map(|_| random_change(&mut random, round)).collect();
            let before = history.len();
            let want: Vec<TagOutcome> = changes
                .iter()
                .map(|change| model_change(&mut model, &mut history, change))
                .collect();
            assert_eq!(store.tags().change(&changes).unwrap(), want, "{changes:?}");
            let tags = store.reader().tags().unwrap();
            assert_eq!(tags.tags, model.values().cloned().collect::<Vec<_>>());
            // A client that knows the generation knows whether to read again.
            assert_eq!(tags.generation != generation, history.len() > before);
            assert_eq!(store.reader().tags_generation().unwrap(), tags.generation);
            generation = tags.generation;
        }
        let events = history_of(&mut store);
        let numbers: Vec<u64> = events.iter().map(|event| event.number).rev().collect();
        assert_eq!(numbers, (1..=history.len() as u64).collect::<Vec<_>>());
        let events: Vec<(TagAct, Tag)> =
            events.into_iter().rev().map(|event| (event.act, event.tag)).collect();
        assert_eq!(events, history);
        let verdict = store.verify(false, &mut |_, _| {}).unwrap();
        assert_eq!((verdict.tags, verdict.problem_count), (model.len() as u64, 0));
    }
}

#[test]
fn too_many_tags_are_refused_whole() {
    let server = Redis::start();
    let mut store = Store::open(&options(&server)).unwrap();
    store.tags().change(&[]).unwrap();
    // The script itself, with limits that are reached sooner.
    let script = concat!(
        "#!lua\n",
        include_str!("../../src/store/refusals.lua"),
        include_str!("../../src/store/tags/change.lua")
    );
    let call = |changes: &[&str]| -> String {
        let mut call = redis::cmd("EVAL");
        call.arg(script).arg(1).arg("pd:{tags}").arg("3 2");
        for field in changes {
            call.arg(*field).arg("1 {}").arg("").arg("entry").arg("");
        }
        call.query(&mut server.connection()).unwrap()
    };
    assert_eq!(call(&["threat =a", "threat =b"]), "++");
    assert_eq!(call(&["threat =c", "threat =d"]), "full");
    assert_eq!(store.reader().tags().unwrap().tags.len(), 2);
    assert_eq!(call(&["threat =a", "threat =b", "threat =c"]), "==+");
    assert_eq!(call(&["threat =a", "threat =d"]), "full");
    // Two entries are kept of three.
    let kept: u32 = redis::cmd("LLEN").arg("pd:{tags}h").query(&mut server.connection()).unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn a_damaged_tag_is_told() {
    let site = Site::new();
    run(&mut site.pdns(), &["tag", "set", "threat", "evil.example"]).with(&[0]);
    site.server.call(&["HSET", "pd:{tags}t", "threat =A", "1 {}"]);
    let ended = run(&mut site.pdns(), &["www.example.com"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "pdns: cannot read the tags: pd:{tags}t in the store is damaged or missing: run `pdns admin verify`, and with --repair to mend it\n"
    );
    let ended = run(&mut site.pdns(), &["admin", "verify"]);
    assert_eq!(ended.code, Some(1));
    let told = "pd:{tags}t: the tag \"threat =A\" does not read\n";
    assert!(ended.stdout.contains(told), "{}", ended.stdout);
}

#[test]
fn a_hundred_thousand_tags_go_in_and_the_history_is_bounded() {
    let site = Site::new();
    let mut list = String::from("# a feed\n");
    for number in 0..MAX_HISTORY + 7 {
        writeln!(list, "n{number}.example.net").unwrap();
    }
    let file = site.home.write("feed.txt", list);
    let file = file.to_str().unwrap();
    let began = Instant::now();
    let import = ["tag", "import", file, "--kind", "threat", "--source", "feed"];
    let ended = run(&mut site.pdns(), &import);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "pdns: 100007 tags set\n"));
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    let ended = run(&mut site.pdns(), &import);
    assert_eq!(ended.stderr, "pdns: 0 tags set, 100007 as before\n");
    let ended = run(&mut site.pdns(), &["tag", "history", "--limit", "0", "--format", "plain"]);
    assert_eq!(ended.stdout.lines().count(), MAX_HISTORY as usize);
    assert!(ended.stdout.starts_with("100007\t"), "{}", &ended.stdout[..200]);
    assert_eq!(ended.stderr, "pdns: the 7 oldest entries are gone: the history keeps 100000\n");
    let shown = run(&mut site.pdns(), &["find", "--tag", "threat", "--format", "plain"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (Some(1), ""));
}

/// Tags with fixed times, so that what is shown is the same each time.
const TAGS: &str = "\
subject,kind,note,source,author,time
# comment
www.example.com,threat,phishing,feed,anna,2023-11-20
.example.com,interest,ours,,anna,2023-11-20T01:02:03Z
192.0.2.0/25,threat,\"a, \"\"b\"\"\",,,1700500000
2001:db8::7,trust,,,bob,2023-11-21
hxxps://evil[.]example[.]net/x,threat,,,,2023-11-22
";

/// A site with [`TAGS`].
pub(crate) fn tagged() -> Site {
    let site = Site::new();
    let file = site.home.write("tags.csv", TAGS);
    let file = file.to_str().unwrap();
    let ended = run(&mut site.pdns(), &["tag", "import", file]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "pdns: 5 tags set\n"));
    site
}

#[test]
fn tags_show_in_every_format() {
    let site = tagged();
    let mut text = String::new();
    for format in ["table", "cof", "json", "csv", "plain"] {
        for line in [
            "www.example.com --negative",
            "top --by names --limit 3",
            "new --list 2023-11-15",
            "tag list",
            "tag history",
            "near 192.0.2.130",
            "contrast",
        ] {
            text += &site.typed(&format!("{line} --format {format}"));
        }
    }
    golden("tags.txt", &text);
}

#[test]
fn commands_on_tags_say_what_they_did() {
    let site = Site::new();
    let mut text = String::new();
    for line in [
        "tag set threat example.com 192.0.2.7 --note seen",
        "tag set threat example.com --note seen",
        "tag set threat example.com --note more",
        "tag set trust example.com",
        "tag set interest *.example.com 192.0.2.77/24",
        "tag list --format json --under 192.0.2.0/24 --limit 0 --tag any",
        "tag list trust --under example.com --limit 1 --sort name",
        "tag clear trust",
        "tag clear threat example.com",
        "tag clear example.com",
        "tag clear interest 192.0.2.0/24",
        "tag clear 192.0.2.7",
        "tag list",
        "tag set harm example.com",
        "tag set threat a..b",
        "tag set threat *",
        "tag set threat 192.0.2.1-192.0.2.9",
        "tag set threat",
        "tag set threat x --below --exact",
        "tag import /nonexistent/file",
        "tag import - --kind harm",
        "tag",
        "near example.com",
        "near 192.0.2.0/24",
        "near 192.0.2.7 --kind harm",
        "contrast a..b",
        "contrast --relation colour",
        "watch --interval 0",
        "watch --contains \\9",
        "www.example.com --tag harm",
    ] {
        text += &site.typed(line);
    }
    for line in ["tag set -h", "tag import -h", "near -h", "contrast -h", "watch -h"] {
        text += &site.typed(line);
    }
    golden("tagging.txt", &text);
    let long = "x".repeat(1_001);
    let ended = run(&mut site.pdns(), &["tag", "set", "threat", "x", "--note", &long]);
    assert_eq!(ended.stderr, "pdns: the note has 1001 bytes, more than 1000: shorten it\n");
}

#[test]
fn a_list_is_read_as_people_keep_it() {
    let site = Site::new();
    let list = site.home.write("list.txt", "a.example\nb.example\nA.example.\n");
    let packed = site.home.path().join("list.txt.gz");
    let gzip = Command::new("gzip").arg("-kf").arg(&list).status().unwrap();
    assert!(gzip.success());
    let file = packed.to_str().unwrap();
    let said = |arguments: &[&str]| {
        let ended = run(&mut site.pdns(), &[&["tag", "import"], arguments].concat());
        (ended.code, ended.stderr)
    };
    let set = "pdns: 2 tags set, 1 repeated in the file\n".to_owned();
    assert_eq!(said(&[file, "--kind", "threat"]), (Some(0), set));
    let again = "pdns: 0 tags set, 2 as before, 1 repeated in the file\n".to_owned();
    assert_eq!(said(&[file, "--kind", "threat"]), (Some(0), again.clone()));
    assert_eq!(
        said(&[file, "--kind", "threat", "--dry-run"]),
        (Some(0), again.replace("tags set", "tags would be set"))
    );
    // Without a kind no line means anything, which is said once.
    let (code, told) = said(&[file]);
    assert_eq!((code, told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("give --kind"), "{told}");
    let wide: Vec<u8> = "\u{feff}a.example\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = site.home.write("wide.txt", &wide);
    let (code, told) = said(&[file.to_str().unwrap(), "--kind", "threat"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("UTF-16") && told.contains("iconv"), "{told}");
    let mut lookup = site.pdns();
    let ended = run(lookup.arg("lookup").stdin(fs::File::open(&file).unwrap()), &["-"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("UTF-16"), "{}", ended.stderr);
    let subjects = "# known bad\na.example # why\n\n; b.example\n//nothing\n";
    let file = site.home.write("subjects.txt", subjects);
    let mut lookup = site.pdns();
    let ended = run(lookup.arg("lookup").stdin(fs::File::open(&file).unwrap()), &["-"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "pdns: a.example: nothing found\n"));
}

#[test]
fn a_feed_leaves_what_others_judged() {
    let site = Site::new();
    let file = |name: &str, text: &str| site.home.write(name, text).to_str().unwrap().to_owned();
    let (both, one) =
        (file("both.txt", "a.example\nb.example\nc.example\n"), file("one.txt", "b.example\n"));
    let said = |words: &[&str]| {
        let ended = run(&mut site.pdns(), &[&["tag"], words].concat());
        (ended.code, ended.stderr)
    };
    said(&["set", "threat", "a.example", "--note", "case 17", "--source", "me"]);
    said(&["set", "trust", "c.example"]);
    let feed = |file: &str, more: &[&str]| {
        said(&[&["import", file, "--kind", "threat", "--source", "feed"], more].concat())
    };
    let kept = "pdns: 1 tag set, 2 kept as another source has them\n".to_owned();
    assert_eq!(feed(&both, &["--dry-run"]).1, kept.replace("tag set", "tag would be set"));
    assert_eq!(feed(&both, &[]), (Some(0), kept));
    assert_eq!(feed(&one, &["--replace"]), (Some(0), "pdns: 0 tags set, 1 as before\n".to_owned()));
    let listed = run(&mut site.pdns(), &["tag", "list", "--format", "plain"]).with(&[0]);
    let has = |start: &str| listed.lines().any(|line| line.starts_with(start));
    assert!(has("a.example\tthreat\tcase 17\tme") && has("c.example\ttrust"), "{listed}");
    // The feed itself may change its mind, and clears nothing twice.
    let changed = said(&["import", &one, "--kind", "trust", "--source", "feed", "--replace"]);
    assert!(changed.1.ends_with("pdns: 1 tag set\n"), "{changed:?}");
    // A column with the kind holds, whatever the column with the subjects is called.
    let kinds = file("kinds.csv", "domain,kind\nd.example,trust\ne.example,phishing\n");
    said(&["import", &kinds, "--kind", "threat"]);
    let listed = run(&mut site.pdns(), &["tag", "list", "--format", "plain"]).with(&[0]);
    let has = |start: &str| listed.lines().any(|line| line.starts_with(start));
    assert!(has("d.example\ttrust") && has("e.example\tthreat"), "{listed}");
    // A file that breaks off has set what was read.
    let mut list = String::new();
    for number in 0..20_000 {
        writeln!(list, "{:016x}.example", number * 0x9e37_79b9_7f4a_7c15_u128 % (1 << 64)).unwrap();
    }
    let list = file("list.txt", &list);
    assert!(Command::new("gzip").arg("-kf").arg(&list).status().unwrap().success());
    let packed = fs::read(format!("{list}.gz")).unwrap();
    fs::write(format!("{list}.cut.gz"), &packed[..packed.len() / 2]).unwrap();
    let (code, told) = said(&["import", &format!("{list}.cut.gz"), "--kind", "threat"]);
    assert_eq!((code, told.lines().count()), (Some(2), 2), "{told}");
    assert!(told.lines().next().unwrap().ends_with(" tags set"), "{told}");
    // What may be a date or a fraction is not a prefix.
    let odd = file("odd.txt", "1/2\n24/7\n10/8\n");
    let (code, told) = said(&["import", &odd, "--kind", "threat"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("1 tag set") && told.contains("skipped 2 of 3 lines"), "{told}");
}

#[test]
fn a_tag_that_covers_very_much_is_set_and_pointed_out() {
    let site = Site::new();
    for (subject, said) in [
        ("0.0.0.0/0", "every IPv4 address"),
        ("10.0.0.0/7", "33554432 IPv4 addresses"),
        ("::/0", "every IPv6 address"),
        (".co.uk", "all domains below a public suffix"),
    ] {
        let ended = run(&mut site.pdns(), &["tag", "set", "threat", subject]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        run(&mut site.pdns(), &["tag", "clear", subject]).with(&[0]);
    }
    let ended = run(&mut site.pdns(), &["tag", "set", "threat", "10.0.0.0/8", ".example.co.uk"]);
    assert_eq!(ended.stderr, "pdns: 2 tags set\n");
}

/// `pdns tag import -` with this on its standard input.
fn import(site: &Site, input: &[u8], arguments: &[&str]) -> Ended {
    let mut child = site
        .pdns()
        .args(["tag", "import", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).ok();
    let output = child.wait_with_output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_list_in_another_form_sets_no_tags() {
    let site = Site::new();
    for list in ["foo,bar\n1,2\n", "name of it;sort\n7;a.example\n"] {
        let ended = import(&site, list.as_bytes(), &["--kind", "threat"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("line 1 is skipped: it has several values"), "{ended:?}");
        assert!(ended.stderr.contains("skipped 2 of 2 lines"), "{ended:?}");
    }
    let ended = import(&site, b"a\\,b.example\n", &["--kind", "threat"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_bad_line_is_told_and_the_good_ones_go_in() {
    let site = Site::new();
    let list = b"# list\n\nevil.example\n a..b\n\xff\nsome words\n\x1b[2J..\n198.51.100.0/24\n";
    let ended = import(&site, list, &["--kind", "threat", "--below"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "pdns: standard input, line 4 is skipped: cannot tell what \"a..b\" is: it is not a valid domain name: \
         empty label\n\
         pdns: standard input, line 5 is skipped: it is not UTF-8\n\
         pdns: standard input, line 6 is skipped: it has several values, of which the first is not a name or an \
         address: give --column\n\
         pdns: standard input, line 7 is skipped: cannot tell what \"\\u{1b}[2J..\" is: a name does not contain \
         '\\u{1b}' (for the character itself, write \\027)\n\
         pdns: 2 tags set\n\
         pdns: skipped 4 of 6 lines; the others are imported\n"
    );
    let shown = run(&mut site.pdns(), &["tag", "list", "--format", "csv"]).with(&[0]);
    let subjects: Vec<&str> =
        shown.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(subjects, [".evil.example", "198.51.100.0/24"]);
    assert!(shown.contains(",analyst,"), "{shown}");
    // What is listed can be read again, and is the same.
    let ended = import(&site, shown.as_bytes(), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), "pdns: 0 tags set, 2 as before\n"));
    let ended = import(&site, b"subject,colour\nx.example,red\n", &["--kind", "threat"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("has a column \"colour\" that no tag has"), "{}", ended.stderr);
    assert_eq!(import(&site, b"x.example\n", &[]).code, Some(2));
    assert_eq!(import(&site, b"# nothing\n", &["--kind", "trust"]).code, Some(1));
    // The order is kept: the last word is the one that stands.
    let words = b"subject,kind\ny.example,threat\ny.example,trust\n";
    let ended = import(&site, words, &[]);
    assert!(
        ended.stderr.contains("y.example was tagged as threat, which ends"),
        "{}",
        ended.stderr
    );
    let shown = run(&mut site.pdns(), &["tag", "list", "trust", "--format", "plain"]).with(&[0]);
    assert!(shown.starts_with("y.example\ttrust\t"), "{shown}");
}

#[test]
fn the_filter_takes_rows_with_the_tag_on_either_end() {
    let site = tagged();
    let ask = |line: &str| {
        let arguments: Vec<&str> = line.split_whitespace().chain(["--format", "plain"]).collect();
        let shown = run(&mut site.pdns(), &arguments).with(&[0, 1]);
        let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for line in ["find", "find --sort name", "192.0.2.0/24", "find --contains e", "*.example.com"] {
        let all = ask(line);
        let (any, none) = (ask(&format!("{line} --tag any")), ask(&format!("{line} --tag none")));
        assert!(!any.is_empty(), "{line}");
        let mut both = [any.clone(), none].concat();
        both.sort();
        assert_eq!(both, all, "{line}");
        for kind in ["threat", "interest", "trust"] {
            let of_kind = ask(&format!("{line} --tag {kind}"));
            assert!(of_kind.iter().all(|row| any.contains(row)), "{line} {kind}");
        }
    }
    assert_eq!(ask("find --tag trust"), ["www.example.com\tAAAA\t2001:db8::7"]);
    assert_eq!(
        ask("find --tag threat --rrtype A"),
        ["www.example.com\tA\t192.0.2.7", "www.example.com\tA\t192.0.2.8"]
    );
    assert_eq!(ask("find --tag threat --limit 1 --rrtype TXT").len(), 1);
    let names = ask("top --by names --tag threat");
    assert!(names.iter().all(|line| !line.starts_with("=1")), "{names:?}");
    assert_eq!(
        ask("unanswered --outcome any --tag interest"),
        ["nothere.example.com\tA\t(NXDOMAIN)"]
    );
    assert!(ask("unanswered --outcome any --tag none").is_empty());
}

#[test]
fn notes_do_no_harm() {
    let site = Site::new();
    for (subject, note) in [
        ("www.example.com", "\u{1b}]0;x\u{7}\u{1b}[2J\r\n\"<b>,\u{9b}2J\u{202e}"),
        ("192.0.2.7", "=cmd|' /C calc'!A0"),
        ("192.0.2.8", "@x\ty"),
    ] {
        let arguments = ["tag", "set", "threat", subject, "--note", note, "--source", note];
        let ended = run(site.pdns().args(arguments), &["--author", note]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    for format in ["table", "cof", "json", "csv", "plain"] {
        for arguments in [
            &["tag", "list"][..],
            &["tag", "history"],
            &["www.example.com"],
            &["near", "192.0.2.1"],
            &["contrast"],
        ] {
            let arguments = [arguments, &["--format", format]].concat();
            let shown = run(&mut site.pdns(), &arguments).with(&[0]);
            let terminal = on_terminal(&site.pdns(), 100, &arguments);
            let terminal = terminal.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
            for shown in [&shown, &terminal] {
                let harmless = |char: char| {
                    char == '\n' || char == '\t' || char == ' ' || char.is_ascii_graphic()
                };
                assert!(shown.chars().all(harmless), "{arguments:?}: {shown:?}");
            }
            let tabs = shown.lines().map(|line| line.matches('\t').count());
            if format == "plain" {
                let counts: std::collections::BTreeSet<usize> = tabs.collect();
                assert_eq!(counts.len(), 1, "{arguments:?}: {shown}");
            }
        }
        let shown = run(&mut site.pdns(), &["tag", "list", "--format", "csv"]).with(&[0]);
        let mut reader = csv::Reader::from_reader(shown.as_bytes());
        for cell in reader
            .records()
            .map(Result::unwrap)
            .flat_map(|row| row.iter().map(str::to_owned).collect::<Vec<_>>())
        {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
        }
    }
}

/// The first block of the document on tags.
#[test]
fn the_examples_of_the_document_run() {
    let site = Site::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tags-and-intel.md");
    let document = fs::read_to_string(path).unwrap();
    let part = document.split_once("## Set, list and clear tags").unwrap().1;
    let part = part.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let mut answers = Vec::new();
    for line in part.lines() {
        let line = line.strip_prefix("pdns ").unwrap();
        let program = site.pdns();
        let mut shell = Command::new("sh");
        shell.env("PDNS", program.get_program()).arg("-c").arg(format!("\"$PDNS\" {line}"));
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ended = run(&mut shell, &[] as &[&str]);
        assert!(matches!(ended.code, Some(0 | 1)), "{line}: {}", ended.stderr);
        answers.push(ended);
    }
    let said = |at: usize| answers[at].stderr.as_str();
    assert_eq!(said(0), "pdns: 3 tags set\n");
    assert_eq!(answers[2].stdout.lines().count(), 3);
    assert_eq!(answers[3].stdout.lines().count(), 1);
    assert_eq!(answers[4].stdout.lines().count(), 2);
    assert!(answers[5].stdout.contains("\"distance\":3.0"), "{}", answers[5].stdout);
    assert_eq!(said(8), "pdns: 1 tag cleared\n");
}

#[test]
fn who_tags_is_noted_behind_sudo_too() {
    let home = Home::new();
    let server = Redis::start();
    let pdns = |names: &[(&str, &str)], arguments: &[&str]| {
        let mut command = home.pdns();
        command.env("PDNS_REDIS", server.url()).envs(names.iter().copied());
        run(&mut command, arguments).with(&[0])
    };
    // Where the environment names nobody, it is the account of the process.
    let account = Command::new("id").arg("-un").output().unwrap().stdout;
    let account = String::from_utf8(account).unwrap();
    for (names, subject, author) in [
        (&[("USER", "root"), ("SUDO_USER", "anna")][..], "a.example", "anna"),
        (&[("USER", "bob"), ("SUDO_USER", "")], "b.example", "bob"),
        (&[], "c.example", account.trim()),
    ] {
        pdns(names, &["tag", "set", "threat", subject]);
        let shown = pdns(&[], &["tag", "list", "--under", subject, "--format", "json"]);
        let tag: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(tag["author"].as_str().unwrap_or_default(), author, "{shown}");
    }
}
